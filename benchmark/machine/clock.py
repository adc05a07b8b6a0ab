"""Seconds of method time, without the harness's own work, and peak memory of the process. Pending GPU work is waited for."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Iterator


class Clock:
    """A stopwatch over wall time and process time (all threads). Starts stopped; reads in seconds.

    Pending work of the device is completed before the clock starts or stops.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._wall = self._cpu = 0.0
        self._since: tuple[float, float] | None = None

    def start(self) -> None:
        synchronise(self._device)
        self._since = (time.perf_counter(), time.process_time())

    def stop(self) -> None:
        if self._since is not None:
            synchronise(self._device)
            self._wall, self._cpu, self._since = self.seconds, self.cpu_seconds, None

    def resume(self, seconds: float, cpu_seconds: float) -> None:
        """Continue from the time an earlier process had spent; the time of this process so far does not count."""
        self._wall += seconds - self.seconds
        self._cpu += cpu_seconds - self.cpu_seconds

    @property
    def seconds(self) -> float:
        return self._wall + (time.perf_counter() - self._since[0] if self._since else 0.0)

    @property
    def cpu_seconds(self) -> float:
        return self._cpu + (time.process_time() - self._since[1] if self._since else 0.0)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock inside the block."""
        running = self._since is not None
        self.stop()
        try:
            yield
        finally:
            if running:
                self.start()


def synchronise(device: str) -> None:
    """Wait until a CUDA device has completed all its work; return at once for the CPU."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)


def peak_memory_mb() -> float:
    """Return the largest resident size of this process so far [MiB].

    Linux keeps getrusage's maximum across exec, so a small child of a large parent would report the parent's size:
    there the kernel's high-water mark of the process itself (VmHWM) is read instead.
    """
    return _status_mb("VmHWM")


def memory_mb() -> float:
    """Return the present resident size of this process [MiB]; the largest so far if the system does not report it."""
    return _status_mb("VmRSS")


def _status_mb(key: str) -> float:
    try:
        with open("/proc/self/status", encoding="utf-8") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith(f"{key}:"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
