"""Where the runs of a sweep execute: lanes of this machine, each with one run at a time. benchmark.sweep.cluster has those of a cluster."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Protocol

import numpy as np

from benchmark.execution.options import OnEvent, Options, Stop
from benchmark.execution.runner import perform
from benchmark.machine.environment import available_cores
from benchmark.plugins.registry import Registry
from benchmark.records.record import RunRecord, RunSpec
from benchmark.scan.case import Case


class LaneLost(RuntimeError):
    """The place where a run executed is gone, and the run with it; it is worth another attempt elsewhere."""


class Engine(Protocol):
    """Executes runs. `perform` is called from several threads, one per busy lane, unless `inline`."""

    inline: bool  # in the caller's own thread and process, for debugging

    def lanes(self) -> list[str]:
        """The places there are now; each executes one run at a time."""

    def perform(self, lane: str, spec: RunSpec, case: Case, on_event: OnEvent, stop: Stop) -> tuple[RunRecord, np.ndarray | None]:
        """The record and volume of one run. Raises Stopped, LaneLost and StorageError."""


class Here:
    """`workers` processes of this machine at a time. Each has its share of the cores, and a GPU of its own where there are GPUs."""

    def __init__(self, registry: Registry, options: Options, scratch: Path, workers: int = 1) -> None:
        self.registry, self.options, self.scratch = registry, options, scratch
        self.inline = options.in_process
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
    """The device of each lane: one lane per GPU, as many lanes as wanted on the CPU."""
    if workers == 1 or device == "cpu":
        return [device] * workers
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto" and count:
        return [f"cuda:{index}" for index in range(min(workers, count))]
    return [device] if device.startswith("cuda") else ["cpu"] * workers
