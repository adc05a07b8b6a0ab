"""A plug-in may set torch's default dtype: what is computed stays the same to the last bit."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@functools.cache
def digests(dtype: str) -> dict[str, str]:
    """Of what every part and method computes in a process with this default."""
    paths = os.pathsep.join([str(HERE.parent), str(HERE)])
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, str(HERE / "digests.py"), dtype]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=HERE.parent)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_the_default_dtype_changes_nothing(dtype: str) -> None:
    expected = digests("float32")
    assert digests(dtype) == expected and len(expected) == 41
