"""Tiny methods and datasets that behave in every way the harness must stand; registered through the same hooks as real ones."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmark.api import (
    Case,
    ConeBeamGeometry,
    DatasetParams,
    DatasetSpec,
    Field,
    InputError,
    MethodSpec,
    MissingDependency,
    Params,
    Reconstruction,
    Run,
    Scan,
    hookimpl,
)

SECRET = 0.123456  # the value of the truth; a method that knows it has been told


class GreyParams(Params):
    level: float = Field(0.01, ge=0, description="value of every voxel [1/mm]")
    steps: int = Field(3, ge=1, description="steps to pretend")
    window: Literal["hann", "cosine"] = Field("hann", description="a choice")


class BadParams(Params):
    how: str = Field("raise", description="what to do wrong")
    marker: str = Field("", description="a file to write to")


class WalkParams(Params):
    steps: int = Field(8, ge=1, description="steps of the second loop")
    marker: str = Field("", description="a file that says that it was killed once")
    fatal: int = Field(5, ge=1, description="the step in which it is killed")
    projects: bool = Field(True, description="whether a step applies A")


class TinyParams(DatasetParams):
    size: int = Field(8, ge=4, le=64, description="voxels along an edge")
    views: int | tuple[int, ...] = Field(4, description="training views")
    heldout: int = Field(3, ge=0, description="held-out views")
    trouble: str = Field("", description="what goes wrong while loading")


def grey(scan: Scan, params: GreyParams, run: Run) -> Reconstruction:
    print("a grey word")
    volume = np.full(scan.geometry.volume_shape, params.level, dtype=np.float32)
    for step in run.steps(params.steps):
        run.log(loss=1 / (step + 1))
        run.snapshot(lambda: volume)
        time.sleep(0.01)
    return Reconstruction(volume, engine="tiny", info={"mean": volume.mean(), "seed": run.seed, "threads": run.threads})


def patient(scan: Scan, params: BadParams, run: Run) -> Reconstruction:
    """Takes a minute unless stopped; starts a child of its own."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    if params.marker:
        Path(params.marker).write_text(json.dumps([os.getpid(), child.pid]))
    for _ in run.steps(6000):
        run.log(loss=1.0)
        time.sleep(0.01)
    child.kill()
    return Reconstruction(np.zeros(scan.geometry.volume_shape, np.float32))


def once(scan: Scan, params: BadParams, run: Run) -> Reconstruction:
    """Patient as long as its marker is not there, then quick."""
    return grey(scan, GreyParams(), run) if Path(params.marker).exists() else patient(scan, params, run)


def bad(scan: Scan, params: BadParams, run: Run) -> object:
    shape = scan.geometry.volume_shape
    zeros = np.zeros(shape, np.float32)
    match params.how:
        case "raise":
            print("last words", flush=True)
            raise ValueError("this method is broken")
        case "exit":
            sys.exit("enough")
        case "hard exit":
            os._exit(0)
        case "segfault":
            ctypes.string_at(0)
        case "memory":
            used = sum(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmSize:"))
            resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20),) * 2)
            return Reconstruction(np.ones(1 << 28, np.float32))
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "nan":
            zeros[0, 0, 0] = np.nan
            return Reconstruction(zeros)
        case "shape":
            return Reconstruction(zeros[1:])
        case "dtype":
            return Reconstruction(zeros.astype(np.int32))
        case "objects":
            return Reconstruction(np.array([None]))
        case "array":
            return zeros
        case "missing":
            raise MissingDependency("needs a flux capacitor (install: pip install flux)")
        case "infinite loss":
            run.log(loss=float("nan"))
            return Reconstruction(zeros, info={"worst": float("inf")})
        case "write":
            scan.projections[0] = 0
    return None


def noisy(scan: Scan, params: BadParams, run: Run) -> Reconstruction:
    """Draws from the clock, not from the seed; a large one logs before."""
    if params.how == "large":
        run.log(loss=1.0)
    return Reconstruction(np.random.default_rng(time.time_ns()).random(scan.geometry.volume_shape, dtype=np.float32))


def working(scan: Scan, params: BadParams, run: Run) -> Reconstruction:
    """Applies A twice and its transpose to two of the views."""
    import torch

    from benchmark.api import Projector

    projector = Projector(scan.geometry)
    for _ in range(2):
        projector.forward(torch.zeros(scan.geometry.volume_shape))
    projector.subset([0, 1]).adjoint(torch.tensor(scan.projections[:2]))
    return Reconstruction(np.zeros(scan.geometry.volume_shape, np.float32))


def waits(scan: Scan, params: Params, run: Run) -> Reconstruction:
    """Tells how the threads of this process wait for each other."""
    import torch  # noqa: F401

    from benchmark.machine import threads

    info = {"waiting": [row.setting for row in threads.waiting()], "late": threads.late(), "loaded": threads.loaded_runtimes()}
    return Reconstruction(np.zeros(scan.geometry.volume_shape, np.float32), info=info)


class Walk:
    """A number of steps as the state of a checkpoint."""

    taken = 0

    def state_dict(self) -> dict[str, int]:
        return {"taken": self.taken}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.taken = state["taken"]


def walker(scan: Scan, params: WalkParams, run: Run) -> Reconstruction:
    """A loop without a state and one with; each step applies A. Killed in step `fatal` of the second if `marker` is not there yet."""
    import torch

    from benchmark.api import Projector

    projector, walk = Projector(scan.geometry), Walk()
    volume = torch.zeros(scan.geometry.volume_shape)
    for _ in run.steps(3 if params.projects else 0):
        projector.forward(volume)
    for step in run.steps(params.steps, walk):
        if params.projects:
            projector.forward(volume)
        walk.taken += 1
        run.log(loss=1 / (step + 1))
        run.snapshot(lambda: np.full(scan.geometry.volume_shape, walk.taken, np.float32))
        if params.marker and walk.taken == params.fatal and not Path(params.marker).exists():
            Path(params.marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return Reconstruction(np.full(scan.geometry.volume_shape, walk.taken, np.float32))


def spy(scan: Scan, params: BadParams, run: Run) -> Reconstruction:
    """Writes down everything it can find about its job."""
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    arrays = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    seen = {
        "files": sorted(path.name for path in folder.iterdir()),
        "keys": sorted(_keys(job)),
        "arrays": {name: list(array.shape) for name, array in arrays.items()},
        "angles": len(job["scan"]["geometry"]["angles"]),
        "secret": str(SECRET) in (folder / "job.json").read_text() or any((array == np.float32(SECRET)).any() for array in arrays.values()),
        "scan": sorted(vars(scan)),
        "run": sorted(vars(run)),
    }
    Path(params.marker).write_text(json.dumps(seen))
    return Reconstruction(np.zeros(scan.geometry.volume_shape, np.float32))


def _keys(value: object) -> set[str]:
    """Every key anywhere in a JSON value."""
    if isinstance(value, list):
        return set().union(*map(_keys, value))
    return set(value).union(*map(_keys, value.values())) if isinstance(value, dict) else set()


def too_few(scan: Scan, params: Params) -> str | None:
    return "needs at least 100 views" if scan.geometry.views < 100 else None


def geometry(size: int, angles: np.ndarray) -> ConeBeamGeometry:
    return ConeBeamGeometry(
        source_to_origin=500.0,
        source_to_detector=800.0,
        detector_shape=(10, 12),
        detector_pitch=(2.0, 2.0),
        volume_shape=(size, size, size),
        volume_spacing=(1.0, 1.5, 2.0),
        volume_offset=(1.0, 2.0, 3.0),
        angles=angles,
    )


def load(params: TinyParams) -> Case:
    if params.trouble == "input":
        raise InputError("tiny.trouble", expected="none", found="some")
    if params.trouble:
        raise OSError(params.trouble)
    count = params.views if isinstance(params.views, int) else len(params.views)
    train, held = np.arange(count) * 2 * np.pi / count, np.arange(params.heldout) * 0.7 + 0.1
    values = np.random.default_rng(params.data_seed)
    scan = Scan(values.random((count, 10, 12), dtype=np.float32), geometry(params.size, train))
    truth = np.full((params.size,) * 3, SECRET, np.float32)
    truth[2:4] = 0.0
    heldout = Scan(values.random((params.heldout, 10, 12), dtype=np.float32), geometry(params.size, held)) if params.heldout else None
    indices = tuple(range(100, 100 + params.heldout))
    return Case("tiny", scan, truth, heldout, "made up", tuple(range(count)), indices)


def prepare(params: TinyParams, progress: Any) -> None:
    for done in range(3):
        progress(done, 2, "tiny file")


@hookimpl
def register_methods() -> list[MethodSpec]:
    return [
        MethodSpec(name="grey", target=grey, params=GreyParams, summary="one grey level", presets={"dark": {"level": 0.001}}),
        MethodSpec(name="bad", target=bad, params=BadParams),
        MethodSpec(name="working", target=working, params=BadParams),
        MethodSpec(name="waits", target=waits, params=BadParams),
        MethodSpec(name="noisy", target=noisy, params=BadParams),
        MethodSpec(name="walker", target=walker, params=WalkParams),
        MethodSpec(name="spy", target="tiny_plugin:spy", params=BadParams),
        MethodSpec(name="patient", target=patient, params=BadParams),
        MethodSpec(name="once", target=once, params=BadParams),
        MethodSpec(name="choosy", target=grey, params=GreyParams, skip=too_few),
        MethodSpec(name="needy", target=grey, params=GreyParams, requires=("tigre_that_is_nowhere",)),
        MethodSpec(name="anonymous", target=lambda scan, params, run: grey(scan, params, run), params=GreyParams),
    ]


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(name="tiny", target=load, params=TinyParams, prepare=prepare, summary="random numbers"),
        DatasetSpec(name="far", target=load, params=TinyParams, requires=("nowhere_to_be_found",)),
    ]
