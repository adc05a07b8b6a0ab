"""Eligibility of a run: reasons why a method cannot do a case, or must not be scored on it."""

from __future__ import annotations

import math
from pathlib import Path

from benchmark.errors import InputError
from benchmark.machine.device import resolve_device
from benchmark.machine.environment import needs
from benchmark.machine.memory import BASE_MEMORY, GIB, amount, free_memory
from benchmark.plugins.isolation import call
from benchmark.plugins.specs import MethodSpec
from benchmark.records.record import RunRecord, RunSpec
from benchmark.runtime.weights import Weights
from benchmark.scan.case import Case
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import MEASURED
from benchmark.storage import mapped


def screened(record: RunRecord, method: MethodSpec, case: Case, memory_bytes: int | None, device: str = "cpu") -> RunRecord:
    """Return the record of a run about to begin: with the reason if it must not, and with the scans its weights were fitted to."""
    try:
        reason = skip_reason(method, record.spec, case) or _memory_shortage(method, record.spec, case, memory_bytes, device)
    except Exception as error:  # a plug-in's own code
        return record.model_copy(update={"reason": f"skip() failed: {type(error).__name__}: {error}"})
    if reason:
        return record.model_copy(update={"status": "skipped", "reason": reason})
    return _pretrained(record, case) if record.spec.weights_digest else record


def skip_reason(method: MethodSpec, spec: RunSpec, case: Case) -> str:
    """Return the reason why this method cannot do this case; '' if it can."""
    missing = needs(method.requires)
    if missing:
        return missing
    if case.scan.composite not in method.composites:
        understood = " and ".join(MEASURED[kind] for kind in method.composites)
        return f"understands {understood}; the views of this scan are {MEASURED[case.scan.composite]}"
    if case.scan.composite == "sum" and mapped.extent(case.scan.projections)[1] <= 0:
        return "no ray of the scan is attenuated: all line integrals are 0 or less (the volume may lie between the rays)"
    if method.skip is None:
        return ""
    return str(call(method.skip, case.scan, method.params(**spec.method_params)) or "")


def _memory_shortage(method: MethodSpec, spec: RunSpec, case: Case, memory_bytes: int | None, device: str) -> str:
    """Return the reason why a run exceeds this many bytes, or what is free; '' if it may fit."""
    if method.pieces:
        return ""
    least = least_memory(case.scan.geometry)
    if memory_bytes is not None and least > memory_bytes:
        return f"takes scan and volume whole: at least {amount(least)} of memory, more than --memory {amount(memory_bytes)}"
    if method.memory is None or resolve_device(device) != "cpu":
        return ""
    needed = BASE_MEMORY + float(call(method.memory, case.scan, method.params(**spec.method_params)))
    free = free_memory() * GIB
    if needed > (free if memory_bytes is None else memory_bytes):
        limit = f"{amount(free)} are free" if memory_bytes is None else f"--memory allows {amount(memory_bytes)}"
        return f"would take about {amount(needed)} of memory, {limit}"
    return ""


def least_memory(geometry: ConeBeamGeometry) -> int:
    """Return the bytes that any method takes which holds scan and volume whole, each twice."""
    return BASE_MEMORY + 4 * (2 * math.prod(geometry.projection_shape) + 2 * math.prod(geometry.volume_shape))


def _pretrained(record: RunRecord, case: Case) -> RunRecord:
    """Return the record with the scans its weights were fitted to, and a reason if the file has changed or its fit included this case."""
    try:
        weights = Weights.read(Path(record.spec.method_params["weights"]))
    except InputError as error:
        return record.model_copy(update={"reason": str(error)})
    record = record.model_copy(update={"pretrained": weights.facts()})
    if weights.digest != record.spec.weights_digest:
        changed = f"the weights file has changed: digest {weights.digest}, not {record.spec.weights_digest}"
        return record.model_copy(update={"reason": changed})
    refusal = weights.refusal(record.spec, case)
    return record.model_copy(update={"status": "skipped", "reason": refusal}) if refusal else record
