"""Methods that break the contract, one way each; and one that keeps it."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.api import Field, InputError, MethodSpec, Params, Projector, Reconstruction, Run, Scan, hookimpl
from benchmark.records.record import RunRecord  # not from the API: what the check "no truth" finds

LEFT_BEHIND: list[float] = []


class CrookedParams(Params):
    how: str = Field("", description="what to do wrong")
    gain: float = Field(1.0, gt=0, description="factor on the volume")
    unused: int = Field(3, ge=1, description="has no effect")


class LooseParams(Params):
    model_config = {"extra": "ignore", "frozen": True}


class Kept:
    """A volume as the state of a checkpoint; a forgetful one leaves it out."""

    def __init__(self, volume: torch.Tensor, how: str) -> None:
        self.volume, self.forgetful = volume, how == "forgetful"

    def state_dict(self) -> dict[str, Any]:
        return {} if self.forgetful else {"volume": self.volume}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.volume = state.get("volume", self.volume)


def sirt(scan: Scan, run: Run, count: int = 30, how: str = "") -> np.ndarray:
    A, measured = Projector(scan.geometry), torch.tensor(scan.projections)
    now = Kept(torch.zeros(scan.geometry.volume_shape), how)
    rows, columns = A.forward(now.volume + 1).clamp(min=1e-3), A.adjoint(torch.ones_like(measured)).clamp(min=1e-3)
    for _ in run.steps(count, now if how in ("keeps", "forgetful") else None):
        now.volume = (now.volume + A.adjoint((measured - A.forward(now.volume)) / rows) / columns).clamp(min=0)
    return now.volume.numpy()


def reconstruct(scan: Scan, params: CrookedParams, run: Run) -> Any:
    if params.how == "swallow":
        try:
            sirt(scan, run)
        except BaseException:
            pass
    volume = params.gain * sirt(scan, Run() if params.how in ("swallow", "own loop") else run, how=params.how)
    match params.how:
        case "shape":
            return Reconstruction(volume[1:])
        case "array":
            return volume
        case "integers":
            return Reconstruction((1000 * volume).astype(np.int32))
        case "nan":
            return Reconstruction((torch.tensor(volume) / float(scan.projections.mean())).numpy())
        case "mirrored":
            return Reconstruction(volume[::-1].copy())
        case "swapped" if len(set(volume.shape)) == 1:
            return Reconstruction(volume.transpose(0, 2, 1).copy())
        case "random":
            return Reconstruction(volume + 1e-6 * np.random.default_rng().random(volume.shape, dtype=np.float32))
        case "one view" if scan.geometry.views == 1:
            raise ValueError("needs two views")
        case "cubes" if len(set(volume.shape)) > 1:
            raise ValueError("cubes only")
        case "slow":
            time.sleep(3.5)
        case "greedy" if run.budget.seconds is not None:
            time.sleep(60)
        case "memory":
            LEFT_BEHIND.append(1e-4)
            return Reconstruction(volume + np.float32(sum(LEFT_BEHIND)))
        case "look":
            for path in Path(".").rglob("truth*"):
                path.read_bytes()
        case "gain" if params.gain != 1:
            raise ZeroDivisionError("gain")
        case "write":
            array = scan.projections.base if scan.projections.base is not None else scan.projections
            array.setflags(write=True)
            array[0] = 0
        case "segfault" if scan.geometry.views == 1:
            ctypes.string_at(0)
        case "refuse" if scan.geometry.views < 3:
            raise InputError("scan", expected="3 views")
    return Reconstruction(volume)


def constant(scan: Scan, params: Params, run: Run) -> Reconstruction:
    return Reconstruction(np.full(scan.geometry.volume_shape, 0.01, dtype=np.float32))


def few_views(scan: Scan, params: Params) -> str:
    return "needs four views" if scan.geometry.views < 4 else ""


def record(status: str) -> RunRecord:
    raise NotImplementedError(status)


@hookimpl
def register_methods() -> list[MethodSpec]:
    return [
        MethodSpec(name="crooked", target=reconstruct, params=CrookedParams, presets={"broken": {"how": "array"}}),
        MethodSpec(name="constant", target=constant),
        MethodSpec(name="loose", target=constant, params=LooseParams),
        MethodSpec(name="choosy", target=reconstruct, params=CrookedParams, skip=few_views),
    ]
