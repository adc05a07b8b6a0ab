"""Attempt at a job: run the method inside the clock and write the outcome to result.json, the last file written."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.conformance.imports import home_of
from benchmark.errors import InputError, MissingDependency
from benchmark.execution.eligibility import least_memory
from benchmark.execution.job import CheckpointPlan, Job, MethodCall, read_scan
from benchmark.execution.libraries import gpu_peak_memory_mb, library_facts, set_up_libraries
from benchmark.execution.options import OnEvent
from benchmark.execution.tensorboard import Board
from benchmark.execution.tracker import OFFERED_EVENT, PICTURE_EVENT, Tracker
from benchmark.machine import counters, stacks
from benchmark.machine.clock import peak_memory_mb
from benchmark.machine.device import resolve_device
from benchmark.machine.memory import BASE_MEMORY, GIB, amount, free_memory
from benchmark.plugins.specs import resolve
from benchmark.runtime.checkpoint import Checkpoint, Checkpoints
from benchmark.runtime.context import Interrupted, Run
from benchmark.scan.reconstruction import ARRAYS, Reconstruction
from benchmark.scan.scan import Scan
from benchmark.storage import mapped
from benchmark.storage.json_values import dumps, plain

RESULT = "result.json"
BEGAN_EVENT = "began"  # the method is about to be called
ALMOST_FULL = 1 << 20  # [bytes]


def work(folder: Path, job: Job, on_event: OnEvent) -> None:
    """Do a job and write result.json into its folder; a method's exception becomes a result and is not raised."""
    attempt = _Attempt(folder, job, on_event)
    try:
        result = attempt.reconstruct()
    except Interrupted:
        return  # the caller asked for the stop
    except MissingDependency as error:
        result = {"status": "skipped", "reason": str(error)}
    except (Exception, SystemExit) as error:
        text = traceback.format_exc()
        sys.stderr.write(text)
        result = {"status": "failed", "reason": _reason(error, job, folder), "traceback": text}
        (folder / "volume.npy").unlink(missing_ok=True)  # a partial one may have filled the disk
    write_result(folder, result | attempt.facts())


class _Attempt:
    """A job under way, and its progress."""

    def __init__(self, folder: Path, job: Job, on_event: OnEvent) -> None:
        self.folder, self.job, self.device = folder, job, job.device
        self.checkpoints = _checkpoints(job.checkpoint)
        self.tracker = Tracker(self.checkpoints.path.with_name("snapshots") if self.checkpoints else folder, on_event)
        self.run: Run | None = None
        self.peak_memory_mb: float | None = None  # [MiB] at the end of the method

    def reconstruct(self) -> dict[str, Any]:
        """Run the method and store its result. Raise any error of the method."""
        scan = read_scan(self.folder, self.job.scan)
        if self.job.event_folder is not None:
            self.tracker.board = Board(self.job.event_folder, scan)
        function, params = _method(self.job.method)
        self.device = resolve_device(self.job.device)
        set_up_libraries(self.job.seed, self.job.threads, self.device)
        self.run = run = self._new_run(scan)
        if self.job.process.separate:
            _end_politely(run)
            self.tracker.on_event({"event": BEGAN_EVENT})
        self.tracker.on_event({"event": "note", "text": start_line(scan, params, self.device, self.job.method.memory)})
        reconstruction = _timed(function, scan, params, run)
        self.peak_memory_mb = peak_memory_mb()
        _store(self.folder, reconstruction)
        resumed: dict[str, Any] = {"resumed_after_step": run.resumed} if run.resumed else {}
        if self.checkpoints is not None and self.checkpoints.damage:
            resumed["restarted"] = self.checkpoints.damage
        return {"status": "ok", "engine": str(reconstruction.engine), "info": plain(dict(reconstruction.info)) | resumed}

    def _new_run(self, scan: Scan) -> Run:
        job = self.job
        return Run(
            seed=job.seed,
            device=self.device,
            threads=job.threads,
            budget=job.budget,
            views=scan.geometry.views,
            memory_bytes=job.memory_bytes,
            scratch=self.folder,
            on_log=self.tracker.log,
            on_snapshot=self.tracker.snapshot,
            snapshots=job.snapshots,
            on_validation=functools.partial(self._offer, OFFERED_EVENT),
            validate_every=job.validate_every,
            on_picture=functools.partial(self._offer, PICTURE_EVENT),
            keep_every=job.keep_every,
            checkpoints=self.checkpoints,
            history=self.tracker,
            weights=Checkpoint.read(job.weights).state if job.weights else None,
        )

    def _offer(self, event: str, step: int, seconds: float, volume: np.ndarray) -> None:
        self.tracker.offer(event, step, seconds, volume, self.folder, lambda: self.run is not None and self.run.stopping)

    def facts(self) -> dict[str, Any]:
        """Return the measurements, for any outcome of the run."""
        peak = peak_memory_mb() if self.peak_memory_mb is None else self.peak_memory_mb
        known: dict[str, Any] = {"device": self.device, "peak_memory_mb": peak}
        if self.run is None:
            return known
        clock = self.run.clock
        known |= {"seconds": clock.seconds, "cpu_seconds": clock.cpu_seconds, "steps": self.run.step, "counters": counters.totals()}
        known |= {"losses": self.tracker.thinned_losses(), "snapshots": self.tracker.snapshots}
        known |= {"validated": self.tracker.validated, "gpu_peak_memory_mb": gpu_peak_memory_mb(self.run.device)}
        return known | {"facts": library_facts(self.run.device)}


def start_line(scan: Scan, params: Any, device: str, estimate: str | None) -> str:
    """Return free and needed memory, and whether products are in half precision (AMP), as far as the parameters tell.

    `estimate` is MethodSpec.memory as 'module:name'; without one, and on a GPU, the least that scan and volume take.
    """
    free, needed, how = free_memory(device) * GIB, float(least_memory(scan.geometry)), "at least"
    if estimate is not None and device == "cpu":
        needed, how = BASE_MEMORY + float(resolve(estimate)(scan, params)), "about"
    text = f"{device}: {amount(free)} of memory free, {how} {amount(needed)} needed" + ("" if needed < free else ": too little")
    precision = getattr(params, "precision", None)
    if getattr(params, "engine", None) == "tinycudann":
        return f"{text}; half precision by tiny-cuda-nn"
    if precision is None:
        return text
    return f"{text}; AMP off (float32)" if precision == "float32" else f"{text}; AMP on ({precision})"


def _checkpoints(plan: CheckpointPlan | None) -> Checkpoints | None:
    """Return the run's checkpoint, in the run's own folder; None if that folder is not on this machine."""
    if plan is None or not plan.path.parent.is_dir():
        return None
    return Checkpoints(plan.path, plan.facts.model_dump(), plan.every)


def _method(call: MethodCall) -> tuple[Callable[..., Any], Any]:
    """Return function and parameters: by import path, or through the registry if a plug-in's objects have none."""
    if call.function and call.params_class:
        return resolve(call.function), resolve(call.params_class)(**call.params)
    from benchmark.plugins import registry

    spec = registry.registry().methods.get(call.name)
    if spec is None:
        raise InputError(
            f"method '{call.name}'",
            expected="a target and a params class that another process can import (defined at the top of a module)",
            found="neither an import path nor a plug-in of this name",
            fix="Move them, or debug with --in-process.",
        )
    return resolve(spec.target), spec.params(**call.params)


def _end_politely(run: Run) -> None:
    """Let SIGTERM end the process at once, or, for runs with checkpoints, after the present step."""

    def terminated(number: int, frame: Any) -> None:
        if not run.interrupt():
            os._exit(128 + number)

    signal.signal(signal.SIGTERM, terminated)


def _timed(function: Callable[..., Any], scan: Scan, params: Any, run: Run) -> Any:
    """Return the method's result; the clock runs only during the method, pending GPU work included."""
    counters.reset()
    if run.device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(run.device)
    run.clock.start()
    try:
        return function(scan, params, run)
    finally:
        run.clock.stop()


def _store(folder: Path, reconstruction: Any) -> None:
    """Write the volume and the method's arrays beside it. Raise TypeError for any other type than Reconstruction."""
    if not isinstance(reconstruction, Reconstruction):
        raise TypeError(f"a method must return a benchmark.api.Reconstruction, this one returned {type(reconstruction).__name__}")
    volume: Any = reconstruction.volume
    if hasattr(volume, "detach"):  # a tensor on any device
        volume = volume.detach().cpu().numpy()
    mapped.save(folder / "volume.npy", np.asarray(volume))
    arrays: dict[str, Any] = dict(reconstruction.arrays)
    if arrays:
        np.savez(folder / ARRAYS, **arrays)


def _reason(error: BaseException, job: Job, folder: Path) -> str:
    """Return an exception in one line, with the place in the method's own code. Add a full disk, which NumPy does not report."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and shutil.disk_usage(folder).free < ALMOST_FULL:
        text += f" (almost no space is left in {folder})"
    if isinstance(error, InputError):
        return text
    place = stacks.place_of(error, home_of(job.method.function))
    return type(error).__name__ + (f": {text}" if text else "") + (f" ({place})" if place else "")


def write_result(folder: Path, result: dict[str, Any]) -> None:
    """Write result.json atomically: an existing result is complete."""
    temporary = folder / f"{RESULT}.part"
    temporary.write_text(dumps(result), encoding="utf-8")
    os.replace(temporary, folder / RESULT)
