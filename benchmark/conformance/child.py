"""Child process of the checks: `python -m benchmark.conformance.child JOB` prints findings as JSON lines."""

from __future__ import annotations

import faulthandler
import json
import os
import random
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.conformance.checks import CHECKS, Check
from benchmark.conformance.subject import NotApplicable, Subject, Violation
from benchmark.errors import InputError
from benchmark.machine import stacks
from benchmark.plugins.registry import registry
from benchmark.storage.json_values import dumps


def examine(check: Check, subject: Subject) -> dict[str, Any]:
    """Return the finding of one check."""
    random.seed(0)
    np.random.seed(0)
    started = time.monotonic()
    try:
        status, detail = "passed", check(subject)
    except Violation as violation:
        status, detail = "failed", str(violation)
    except NotApplicable as reason:
        status, detail = "not applicable", str(reason)
    except InputError as error:
        status, detail = "failed", str(error)
    except Exception as error:
        traceback.print_exc()
        status, detail = "failed", f"{type(error).__name__}: {' '.join(str(error).split())}"
    return {"status": status, "detail": detail, "seconds": time.monotonic() - started}


def main(job: dict[str, Any]) -> None:
    """Run the job's checks."""
    faulthandler.enable()
    stacks.offer(Path(job["stacks"]))
    findings = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the method prints goes to the log
    subject = Subject(registry().method(job["method"]), job["values"])
    for name in job["checks"]:
        findings.write(dumps({"begin": name}) + "\n")
        findings.write(dumps({"check": name, **examine(CHECKS[name], subject)}) + "\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
