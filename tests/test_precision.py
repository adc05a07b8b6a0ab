"""Half precision: the scale of the loss, steps that are not taken, checkpoints, and where float16 is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from balls import ball_scan, error
from pydantic import ValidationError

import benchmark.methods.naf.reconstruct as naf
import benchmark.methods.zerorf.reconstruct as zerorf
from benchmark.api import MissingDependency, Reconstruction, Run
from benchmark.fields import MLP, LossScale, products_in
from benchmark.methods.naf import NafParams
from benchmark.methods.zerorf import ZeroRFParams
from benchmark.runtime.checkpoint import Checkpoints
from benchmark.runtime.context import Interrupted

NAF: dict[str, Any] = {"steps": 8, "base": 4, "log2_entries": 10, "hidden": 8, "rays": 64, "refine": 0}
ZERORF: dict[str, Any] = {"steps": 3, "members": 2, "channels": (8, 8), "features": 3, "hidden": 8, "refine": 0}
pytestmark = pytest.mark.usefixtures("one_thread")


def reconstruct(method: str, run: Run, **changes: Any) -> Reconstruction:
    scan, _ = ball_scan(views=6, size=10)
    if method == "naf":
        return naf.reconstruct(scan, NafParams(**{**NAF, **changes}), run)
    return zerorf.reconstruct(scan, ZeroRFParams(**{**ZERORF, **changes}), run)


def trained(value: float, scale: LossScale) -> tuple[torch.Tensor, torch.Tensor]:
    """Two parameters of two optimisers after a step; the gradient of the second one is `value`."""
    parameters = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    optimisers = [torch.optim.SGD([parameter], lr=0.5) for parameter in parameters]
    scale.backward((parameters[0] + value * parameters[1]).sum())
    scale.unscale(optimisers)
    scale.step(optimisers)
    return parameters


@pytest.mark.parametrize("enabled", [False, True])
def test_finite_gradients_are_those_of_the_loss_itself(enabled: bool) -> None:
    scale = LossScale(enabled, "cpu")
    first, second = trained(0.25, scale)
    assert first.tolist() == [0.5] * 3 and second.tolist() == [0.875] * 3
    assert scale.notes() == ({"loss_scale": 2.0**16, "skipped_steps": 0} if enabled else {})


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e37])
def test_an_overflow_anywhere_moves_no_optimiser_and_halves_the_factor(value: float) -> None:
    scale = LossScale(True, "cpu")
    first, second = trained(value, scale)
    assert first.tolist() == second.tolist() == [1.0] * 3
    assert scale.notes() == {"loss_scale": 2.0**15, "skipped_steps": 1}
    first, _ = trained(0.25, scale)
    assert first.tolist() == [0.5] * 3 and scale.notes() == {"loss_scale": 2.0**15, "skipped_steps": 1}


@pytest.mark.parametrize("enabled", [False, True])
def test_gradients_that_float16_rounds_to_zero_survive(enabled: bool) -> None:
    parameter = torch.ones(2, requires_grad=True)
    optimiser, scale = torch.optim.SGD([parameter], lr=1.0), LossScale(enabled, "cpu")
    scale.backward((parameter.half().float() * 1e-9).sum())
    scale.unscale([optimiser])
    assert parameter.grad is not None
    assert float(parameter.grad[0]) == (pytest.approx(1e-9, rel=1e-2) if enabled else 0.0)


@pytest.mark.parametrize("method", ["naf", "zerorf"])
def test_in_float32_the_scale_changes_no_bit(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The factor is a power of two; gradients that were clipped before they are divided by it would be others."""
    clip = {"clip": 1e-3} if method == "zerorf" else {}
    plain = reconstruct(method, Run(seed=2), **clip)
    monkeypatch.setattr(LossScale, "of", lambda precision, device: LossScale(True, device))
    scaled = reconstruct(method, Run(seed=2), **clip)
    np.testing.assert_array_equal(plain.volume, scaled.volume)
    assert scaled.info.keys() - plain.info.keys() == {"loss_scale", "skipped_steps"}


@pytest.mark.parametrize("method", ["naf", "zerorf"])
def test_an_interrupted_run_keeps_the_scale(method: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first two steps overflow: their loss is multiplied by more than float32 has."""

    class Overflowing(LossScale):
        steps = 0

        def backward(self, loss: torch.Tensor) -> None:
            Overflowing.steps += 1
            super().backward(loss * 1e36 if Overflowing.steps <= 2 else loss)

    monkeypatch.setattr(LossScale, "of", lambda precision, device: Overflowing(True, device))
    steps = {"steps": 30 if method == "naf" else 6}
    whole = reconstruct(method, Run(seed=1), **steps)
    assert whole.info["skipped_steps"] == 2 and whole.info["loss_scale"] == 2.0**14
    Overflowing.steps = 0
    kept = Checkpoints(tmp_path / "checkpoint.pt", {"method": method}, every=0.0)
    stopped = Run(seed=1, checkpoints=kept, on_log=lambda facts: facts["step"] > 2 and stopped.interrupt())  # type: ignore[arg-type, return-value]
    with pytest.raises(Interrupted):
        reconstruct(method, stopped, **steps)
    resumed = reconstruct(method, Run(seed=1, checkpoints=kept), **steps)
    np.testing.assert_array_equal(resumed.volume, whole.volume)
    assert resumed.info == whole.info


@pytest.mark.parametrize("method", ["naf", "zerorf"])
def test_float16_on_the_cpu_is_refused(method: str) -> None:
    with pytest.raises(MissingDependency, match=r"precision=float16 needs a CUDA device \(--device cuda"):
        reconstruct(method, Run(), precision="float16")


def test_tiny_cuda_nn_has_a_precision_of_its_own() -> None:
    with pytest.raises(ValidationError, match="precision is tiny-cuda-nn's own"):
        NafParams(engine="tinycudann", precision="float16")


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_the_network_in_half_precision_makes_nearly_the_same(precision: Any) -> None:
    network = MLP(6, 2, hidden=16, layers=3, skip=1, generator=torch.Generator().manual_seed(0))
    values = torch.rand(50, 6, generator=torch.Generator().manual_seed(1))
    expected = network(values).detach()
    with products_in(precision, values.device):
        found = network(values).detach()
    assert found.dtype == getattr(torch, precision) and expected.dtype == torch.float32
    assert 0 < float((found.float() - expected).norm() / expected.norm()) < 0.02
    with products_in("float32", values.device):
        assert torch.equal(network(values), expected)


@pytest.mark.parametrize("method", ["naf", "zerorf"])
def test_float16_trains_where_there_is_a_gpu(method: str, device: str) -> None:
    """The pretended device computes it in float32: all but the products is as on a GPU."""
    if device == "cpu":
        pytest.skip("refused there, see above")
    found = reconstruct(method, Run(seed=3, device=device), precision="float16")
    assert np.isfinite(found.volume).all() and found.info["loss_scale"] == 2.0 ** (16 - found.info["skipped_steps"])
    if device.startswith("pretend"):
        expected = reconstruct(method, Run(seed=3))
        assert np.linalg.norm(found.volume - expected.volume) < 1e-2 * np.linalg.norm(expected.volume)


@pytest.mark.gpu
@pytest.mark.parametrize("method", ["naf", "zerorf"])
def test_float16_fits_as_well(method: str, cuda: str) -> None:
    scan, truth = ball_scan(views=10, size=16)
    errors = {}
    for precision in ("float32", "float16"):
        if method == "naf":
            found = naf.reconstruct(scan, NafParams(base=4, log2_entries=10, steps=400, precision=precision), Run(device=cuda))
        else:
            found = zerorf.reconstruct(scan, ZeroRFParams(members=1, steps=80, precision=precision), Run(device=cuda))
        errors[precision] = error(found, truth)
    assert errors["float16"] < 1.2 * errors["float32"]
