"""Lanes of this machine: one worker process each."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from benchmark.execution.options import OnEvent, Options, Stop
from benchmark.execution.runner import perform
from benchmark.machine.device import cuda_devices
from benchmark.machine.environment import available_cores
from benchmark.plugins.registry import Registry
from benchmark.records.record import RunRecord, RunSpec
from benchmark.scan.case import Case


class LocalExecutor:
    """Executor with `workers` concurrent processes on this machine. Each gets its share of the cores and, on GPUs, a GPU of its own."""

    def __init__(self, registry: Registry, options: Options, scratch: Path, workers: int = 1) -> None:
        self.registry, self.scratch, self.inline = registry, scratch, options.in_process
        devices = _devices(options.device, workers)
        threads = options.threads or (max(1, available_cores() // len(devices)) if len(devices) > 1 else None)
        self._options = {
            f"worker {number}": dataclasses.replace(options, device=device, threads=threads) for number, device in enumerate(devices, 1)
        }

    def lanes(self) -> list[str]:
        return list(self._options)

    def perform(self, lane: str, spec: RunSpec, case: Case, on_event: OnEvent, stop: Stop) -> tuple[RunRecord, np.ndarray | None]:
        return perform(self.registry, spec, case, self.scratch, self._options[lane], on_event, stop)


def _devices(device: str, workers: int) -> list[str]:
    """Return the device of each lane: one lane per GPU, or `workers` lanes on the CPU."""
    if workers == 1 or device == "cpu":
        return [device] * workers
    count = cuda_devices()
    if device == "auto" and count:
        return [f"cuda:{index}" for index in range(min(workers, count))]
    return [device] if device.startswith("cuda") else ["cpu"] * workers
