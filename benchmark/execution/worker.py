"""The process of one run: `python -m benchmark.execution.worker JOB_FOLDER`.

Reads projections.npy and job.json (all it ever gets: no truth, no held-out views), runs the method inside the clock, writes
volume.npy, snapshots and, last, result.json. Progress goes out as JSON lines on the standard output it was given;
whatever the method itself prints goes to the log.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib.abc
import itertools
import json
import os
import random
import re
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError, MissingDependency
from benchmark.execution.tensorboard import Board
from benchmark.kernels.cpu_library import library
from benchmark.machine import counters
from benchmark.machine.clock import peak_memory_mb
from benchmark.machine.environment import available_cores
from benchmark.plugins.specs import resolve
from benchmark.records.budget import Budget
from benchmark.runtime.checkpoint import Checkpoint, Checkpoints
from benchmark.runtime.context import Interrupted, Run
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.reconstruction import ARRAYS, Reconstruction
from benchmark.scan.scan import Scan
from benchmark.storage import mapped
from benchmark.storage.json_values import dumps, plain

Emit = Callable[[dict[str, Any]], None]
MOST_LOSSES = 500  # points of the loss curve that a record keeps
EVENT_INTERVAL = 0.2  # [s] between progress lines
ALMOST_FULL = 1 << 20  # [bytes]


class Tracker:
    """Keeps what a method logs and offers, and passes some of it on. Snapshots lie in `folder`."""

    def __init__(self, folder: Path, emit: Emit) -> None:
        self.folder, self.emit = folder, emit
        self.losses: list[tuple[int, float, float]] = []  # (step, seconds, loss)
        self.snapshots: list[dict[str, Any]] = []
        self.board: Board | None = None
        self._next_event = 0.0

    def log(self, values: dict[str, Any]) -> None:
        """Remember the loss of every step; emit a progress line now and then."""
        if "loss" in values:
            self.losses.append((int(values["step"]), float(values["seconds"]), float(values["loss"])))
        if self.board is not None:
            self.board.log(values)
        now = time.monotonic()
        if now >= self._next_event:
            self._next_event = now + EVENT_INTERVAL
            self.emit({"event": "progress", **{key: _number(value) for key, value in values.items()}})

    def snapshot(self, step: int, seconds: float, volume: np.ndarray) -> None:
        """Keep a volume on disk, to be scored after the run."""
        if self.board is not None:
            self.board.snapshot(step, volume)
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"snapshot-{len(self.snapshots):04d}.npy"
        mapped.save(path, volume)
        self.snapshots.append({"file": str(path), "step": step, "seconds": seconds, "loss": self.losses[-1][2] if self.losses else None})

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it; the snapshots themselves stay where they are."""
        return {"losses": list(self.losses), "snapshots": list(self.snapshots)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.losses = [tuple(loss) for loss in state["losses"]]
        self.snapshots = list(itertools.takewhile(lambda snapshot: Path(snapshot["file"]).exists(), state["snapshots"]))

    def thinned_losses(self) -> list[tuple[int, float, float]]:
        """At most MOST_LOSSES points, evenly chosen, first and last included."""
        if len(self.losses) <= MOST_LOSSES:
            return self.losses
        chosen = np.linspace(0, len(self.losses) - 1, MOST_LOSSES).round().astype(int)
        return [self.losses[index] for index in chosen]


def work(folder: Path, emit: Emit) -> None:
    """Run the job of a folder and write result.json; a method's exception becomes a result, it is not raised."""
    job = json.loads((folder / "job.json").read_text())
    checkpoints = _checkpoints(job)
    tracker = Tracker(checkpoints.path.with_name("snapshots") if checkpoints else folder, emit)
    result: dict[str, Any] = {"status": "failed", "reason": "", "device": job["device"]}
    run: Run | None = None
    try:
        tracker.board = _board(job, folder)
        scan = read_scan(folder, job)
        target, params = _method(job)
        result["device"] = resolve_device(job["device"])
        set_up_libraries(job["seed"], job["threads"], result["device"])
        run = Run(
            seed=job["seed"],
            device=result["device"],
            threads=job["threads"],
            budget=Budget(**job["budget"]),
            views=scan.geometry.views,
            memory_bytes=job["memory_bytes"],
            scratch=folder,
            on_log=tracker.log,
            on_snapshot=tracker.snapshot,
            snapshots=job["snapshots"],
            checkpoints=checkpoints,
            history=tracker,
            weights=Checkpoint.read(Path(job["weights"])).state if job["weights"] else None,
        )
        if job["own_process"]:
            _end_politely(run)
        reconstruction = _timed(target, scan, params, run)
        result["peak_memory_mb"] = peak_memory_mb()
        volume = _volume(reconstruction)
        mapped.save(folder / "volume.npy", volume)
        if reconstruction.arrays:
            np.savez(folder / ARRAYS, **reconstruction.arrays)
        result |= {"status": "ok", "engine": str(reconstruction.engine), "info": plain(dict(reconstruction.info))}
        if run.resumed:
            result["info"]["resumed_after_step"] = run.resumed
    except Interrupted:
        return  # whoever asked for it knows
    except MissingDependency as error:
        result |= {"status": "skipped", "reason": str(error)}
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        result["reason"] = _reason(error, folder)
        (folder / "volume.npy").unlink(missing_ok=True)  # half of one may have filled the disk
    result.setdefault("peak_memory_mb", peak_memory_mb())
    if run is not None:
        result |= {"seconds": run.clock.seconds, "cpu_seconds": run.clock.cpu_seconds, "steps": run.step, "counters": counters.totals()}
        result |= {"losses": tracker.thinned_losses(), "snapshots": tracker.snapshots, "facts": _facts(run.device)}
    temporary = folder / "result.json.part"
    temporary.write_text(dumps(result))
    os.replace(temporary, folder / "result.json")


def _reason(error: BaseException, folder: Path) -> str:
    """An exception in one line. NumPy does not say that the disk is full."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and shutil.disk_usage(folder).free < ALMOST_FULL:
        text += f" (almost no space is left in {folder})"
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}" if text else type(error).__name__


def _checkpoints(job: dict[str, Any]) -> Checkpoints | None:
    """The run's checkpoint, in the run's own folder; none where that folder is not on this machine."""
    path = Path(job["checkpoint"]) if job.get("checkpoint") else None
    return Checkpoints(path, job["facts"], job["checkpoint_every"]) if path is not None and path.parent.is_dir() else None


def _board(job: dict[str, Any], folder: Path) -> Board | None:
    if not job.get("tensorboard"):
        return None
    return Board(Path(job["tensorboard"]), read_scan(folder, job))


def _end_politely(run: Run) -> None:
    """SIGTERM ends a run's process at once, or after the present step where that is worth a checkpoint."""

    def terminated(number: int, frame: Any) -> None:
        if not run.interrupt():
            os._exit(128 + number)

    signal.signal(signal.SIGTERM, terminated)


def _timed(target: Callable[..., Any], scan: Scan, params: Any, run: Run) -> Any:
    """The method's return value; the clock runs only while the method does, pending work on a GPU included."""
    counters.reset()
    if run.device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(run.device)
    run.clock.start()
    try:
        return target(scan, params, run)
    finally:
        run.clock.stop()


def _volume(reconstruction: Any) -> np.ndarray:
    if not isinstance(reconstruction, Reconstruction):
        raise TypeError(f"a method must return a benchmark.api.Reconstruction, this one returned {type(reconstruction).__name__}")
    volume = reconstruction.volume
    if hasattr(volume, "detach"):  # a tensor, wherever it lives
        volume = volume.detach().cpu().numpy()
    return np.asarray(volume)


def read_scan(folder: Path, job: dict[str, Any]) -> Scan:
    """The scan of a job folder; its projections stay on the disk until they are needed."""
    projections = np.load(folder / "projections.npy", mmap_mode="r", allow_pickle=False)
    geometry = ConeBeamGeometry.from_dict(job["geometry"])
    common = {"photons": job["photons"], "length_unit": job["length_unit"], "composite": job["composite"], "noise": job["noise"]}
    common |= {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in job["beside"]}
    return Scan(projections, geometry, view_labels=job.get("view_labels", {}), **common)


def _method(job: dict[str, Any]) -> tuple[Callable[..., Any], Any]:
    """Target and parameters: by import path, or through the registry where a plug-in's objects have none."""
    if job["target"] and job["params_model"]:
        return resolve(job["target"]), resolve(job["params_model"])(**job["params"])
    from benchmark.plugins import registry

    spec = registry.registry().methods.get(job["method"])
    if spec is None:
        raise InputError(
            f"method '{job['method']}'",
            expected="a target and a params class that another process can import (defined at the top of a module)",
            found="neither an import path nor a plug-in of this name",
            fix="Move them, or debug with --in-process.",
        )
    return resolve(spec.target), spec.params(**job["params"])


def check_device(device: str) -> None:
    """Raise InputError for what is no name of a device."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise InputError("--device", expected="auto, cpu, cuda or cuda:0", found=repr(device))


def resolve_device(device: str) -> str:
    """'auto' is the first CUDA device that torch can use, else the CPU. Raises InputError for a device that is not there."""
    check_device(device)
    if device == "cpu":
        return device
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda:0" if count else "cpu"
    index = int(device.partition(":")[2] or 0)
    if index >= count:
        raise InputError("--device", expected="a device that torch can use", found=f"'{device}' with {count} CUDA devices", fix="Use cpu.")
    return f"cuda:{index}"


class _TorchSetUp(importlib.abc.MetaPathFinder):
    """Sets up torch when, and if, somebody imports it: that takes seconds and memory, which not every method needs."""

    def __init__(self, set_up: Callable[[Any], None]) -> None:
        self.set_up = set_up

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name != "torch":
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def load_and_set_up(module: Any) -> None:
            load(module)
            sys.meta_path.remove(self)
            self.set_up(module)

        vars(spec.loader)["exec_module"] = load_and_set_up
        return spec


def set_up_libraries(seed: int, threads: int | None, device: str) -> None:
    """Load the kernels outside of the clock, seed the global generators (a method should use run.rng; some libraries do not)
    and limit torch's threads, whenever it is imported.
    """
    with contextlib.suppress(MissingDependency):  # a method that needs no kernels runs without a compiler, too
        library()
    if device.startswith("cuda"):
        _set_up_cuda(device)
    random.seed(seed)
    np.random.seed(seed % 2**32)

    def set_up(torch: Any) -> None:
        torch.manual_seed(seed)
        if threads:
            torch.set_num_threads(threads)

    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _TorchSetUp)]  # of an earlier run here
    if "torch" in sys.modules:
        set_up(sys.modules["torch"])
    else:
        sys.meta_path.insert(0, _TorchSetUp(set_up))


def _set_up_cuda(device: str) -> None:
    """Compile and load the kernels for a GPU, and let float32 mean float32 there as well."""
    import torch

    from benchmark.kernels.cuda_module import full_precision, module

    full_precision()
    with contextlib.suppress(MissingDependency):
        module(torch.device(device))


def _thread_count() -> int:
    """Threads that the kernels and torch use in this process."""
    if "torch" in sys.modules:
        import torch

        return torch.get_num_threads()
    return int(os.environ.get("OMP_NUM_THREADS") or available_cores())


def _facts(device: str) -> dict[str, Any]:
    threads = {"threads": _thread_count()}
    if not device.startswith("cuda"):
        return threads
    import torch

    return threads | {"gpu": torch.cuda.get_device_name(device), "gpu_peak_memory_mb": torch.cuda.max_memory_allocated(device) / 2**20}


def _number(value: Any) -> Any:
    try:
        return value if isinstance(value, int) else float(value)
    except (TypeError, ValueError):
        return repr(value)


def _follow_parent(parent: int) -> None:
    """End this process and its children soon after the parent is gone (killed hard, terminal closed)."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def main(folder: Path) -> None:
    """Entry point of the child process."""
    faulthandler.enable()
    job = json.loads((folder / "job.json").read_text())
    protocol = os.fdopen(os.dup(1), "w", buffering=1)  # not inherited by processes that the method may start
    os.dup2(2, 1)  # what the method prints, also from C++, goes to the log
    _follow_parent(job["parent"])
    sys.path[:] = job["sys_path"]

    def emit(event: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):
            protocol.write(dumps(event) + "\n")

    work(folder, emit)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
