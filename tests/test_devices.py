"""Every method on a GPU: the same numbers as on the CPU, to float rounding, from the same seed."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pretend
import pytest
import torch
from balls import ball_scan, scanner
from tiny import sweep
from torch.utils._pytree import tree_map

import benchmark.methods.naf.reconstruct as naf
import benchmark.methods.zerorf.reconstruct as zerorf
from benchmark.api import Projector, Reconstruction, Run, Scan
from benchmark.execution.options import Options
from benchmark.fields import HashGrid, Mixture, MixtureMaxima
from benchmark.fields.fitting.ray_batch import out_of_memory
from benchmark.methods.gaussians import GaussiansParams
from benchmark.methods.gaussians.reconstruct import Training as GaussiansTraining
from benchmark.methods.naf import NafParams
from benchmark.methods.zerorf import ZeroRFParams
from benchmark.plugins.registry import load
from benchmark.plugins.specs import resolve

NAF: dict[str, Any] = {"steps": 8, "base": 4, "log2_entries": 10, "hidden": 8, "rays": 64, "refine": 3}
ZERORF: dict[str, Any] = {
    "steps": 2, "members": 2, "channels": (8, 8), "features": 3, "hidden": 8, "rays": 64, "rays_end": 64, "refine": 3,
}  # fmt: skip
GAUSSIANS: dict[str, Any] = {
    "steps": 8, "every": 4, "until": 1.0, "gaussians": 60, "tv_block": 6, "ssim": 0.2, "refine": 3,
    "means_rate": 0.1, "scales_rate": 0.04, "quaternions_rate": 0.02, "amplitudes_rate": 0.06,
}  # fmt: skip
CARVE: dict[str, Any] = {"voxels": 8, "channels": 2, "levels": 2, "networks": 1, "steps": 3, "views": 3}
RUNS: list[tuple[str, dict[str, Any], float]] = [  # method, parameters, the largest difference from the CPU's volume, relative
    ("fdk", {}, 1e-4),
    ("sart", {"iterations": 3}, 1e-4),
    ("sart", {"iterations": 3, "subset": 4, "nonnegative": False}, 1e-4),
    ("cgls", {"most": 8}, 1e-3),
    ("asd_pocs", {"iterations": 3}, 1e-4),
    ("fista_tv", {"iterations": 10, "weight": 0.01}, 1e-4),
    ("naf", {**NAF, "tv": 0.01, "weighting": "photons"}, 1e-2),
    ("naf", {**NAF, "render": "grid", "views": 3, "skip": 2, "layers": 4, "tv": 0.01}, 1e-2),
    ("zerorf", {**ZERORF, "tv": 0.01}, 1e-2),
    ("zerorf", {**ZERORF, "members": 1, "render": "rays", "attention": True, "muon": 0.0, "tv": 0.01}, 1e-2),
    ("zerorf", {**ZERORF, "finetune": 2, "finetune_rays": 64}, 1e-2),
    ("gaussians", GAUSSIANS, 1e-2),
    ("carve", {**CARVE, "ssim": 0.2, "refine": 3}, 1e-2),
    ("carve", {**CARVE, "values": "plain", "loss": "l2"}, 1e-2),
]
OF_MAXIMA: list[tuple[str, dict[str, Any], float]] = [
    ("naf", NAF, 1e-2),
    ("zerorf", {**ZERORF, "members": 1}, 1e-2),
    # Adam goes by the signs of gradients, of which SSIM and cold maxima have many that are nearly 0.
    ("gaussians", {**GAUSSIANS, "scale": 0.01, "ssim": 0.0, "every": 10, "temperature": 0.05}, 1e-2),
    ("gaussians", {**GAUSSIANS, "start": "random", "temperature": 0.05}, 1e-2),
]


pytestmark = pytest.mark.usefixtures("one_thread")


@functools.cache
def scan() -> Scan:
    found, _ = ball_scan(views=6, size=10, noise=0.005)
    return Scan(found.projections, found.geometry, photons=1e5)


def maxima() -> Scan:
    """Of a Gaussian where the ball is."""
    geometry = scan().geometry
    blob = Mixture(torch.tensor([[20.0, -10.0, 5.0]]), torch.tensor([[1.0, 0, 0, 0]]), torch.full((1, 3), 3.4), torch.zeros(1))
    return Scan(MixtureMaxima(geometry, 0.0)(blob).numpy(), geometry, composite="max")


def reconstruct(method: str, changes: dict[str, Any], device: str, scan: Callable[[], Scan] = scan) -> tuple[Reconstruction, list[Any]]:
    """The method as the harness calls it, and what it offered as snapshots."""
    spec, snapshots = load().methods[method], list[Any]()
    run = Run(seed=3, device=device, on_snapshot=lambda step, seconds, volume: snapshots.append(volume))
    return resolve(spec.target)(scan(), spec.params(**changes), run), snapshots


@pytest.mark.parametrize(("method", "changes", "bound"), RUNS, ids=lambda value: value if isinstance(value, str) else None)
def test_a_method_computes_the_same_on_any_device(method: str, changes: dict[str, Any], bound: float, device: str) -> None:
    if device == "cpu":
        pytest.skip("this is what the others are compared with")
    (found, shown), (expected, _) = (reconstruct(method, changes, where) for where in (device, "cpu"))
    assert found.volume.dtype == np.float32 and expected.volume.max() > 0
    assert np.linalg.norm(found.volume - expected.volume) <= bound * np.linalg.norm(expected.volume)
    assert method == "fdk" or np.isfinite(shown[-1]).all()
    assert found.info.keys() == expected.info.keys()


@pytest.mark.parametrize(("method", "changes", "bound"), OF_MAXIMA, ids=lambda value: value if isinstance(value, str) else None)
def test_maxima_are_fitted_the_same_on_any_device(method: str, changes: dict[str, Any], bound: float, device: str) -> None:
    if device == "cpu":
        pytest.skip("this is what the others are compared with")
    found, expected = (reconstruct(method, changes, where, maxima)[0].volume for where in (device, "cpu"))
    assert np.linalg.norm(found - expected) <= bound * np.linalg.norm(expected) > 0


def test_importance_samples_fit_as_well(device: str) -> None:
    """Their places in the bins are other random numbers on a GPU."""
    changes = {**ZERORF, "steps": 3, "members": 1, "render": "rays", "importance": 6, "samples": 8}
    found, _ = reconstruct("zerorf", changes, device)
    expected, _ = reconstruct("zerorf", {**changes, "importance": 0, "samples": 20}, "cpu")
    assert np.linalg.norm(found.volume - expected.volume) < 0.2 * np.linalg.norm(expected.volume)


def training(method: str, device: str, **changes: Any) -> Any:
    if method == "gaussians":
        return GaussiansTraining(scan(), GaussiansParams(**{"steps": 20, "every": 3, "gaussians": 40, "tv": 0.0} | changes), 0, device)
    if method == "naf":
        return naf.Training(scan(), NafParams(**NAF | changes), 0, device)
    return zerorf.Ensemble(scan(), ZeroRFParams(**ZERORF | changes), 0, device)


@pytest.mark.parametrize("method", ["naf", "zerorf", "gaussians"])
def test_what_was_trained_elsewhere_goes_on(method: str, device: str) -> None:
    """A checkpoint comes back on the CPU, wherever it was written."""
    first, second = training(method, device), training(method, device)
    for _ in range(5):
        first.step()
    second.load_state_dict(tree_map(lambda leaf: leaf.cpu() if isinstance(leaf, torch.Tensor) else leaf, first.state_dict()))
    found, expected = (tree_map(float, each.step()) for each in (second, first))
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("method", "expected"),
    [("zerorf", 0), ("naf", 1), ("gaussians", 1)],  # naf: the samples are counted; gaussians: are its numbers finite?
)
def test_a_step_of_training_hardly_waits_for_the_device(method: str, expected: int, device: str) -> None:
    if device == "cpu":
        pytest.skip("there is nothing to wait for")
    trained = training(method, device, steps=10)
    trained.step()
    with waiting(device) as waits:
        trained.step()
    assert len(waits) == expected, waits


@contextlib.contextmanager
def waiting(device: str) -> Iterator[list[Any]]:
    """What the host waits for, on a GPU (as torch warns of it) or on what stands for one."""
    if not device.startswith("cuda"):
        pretend.waits.clear()
        yield pretend.waits
        return
    waits: list[Any] = []
    with warnings.catch_warnings(record=True) as found, sync_debug_mode("warn"):
        warnings.simplefilter("always")
        yield waits
    waits += [str(warning.message) for warning in found if "synchronizing CUDA operation" in str(warning.message)]


@contextlib.contextmanager
def sync_debug_mode(mode: str) -> Iterator[None]:
    """What torch does ('warn', 'error') where the host waits for a GPU."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*prototype feature")
        torch.cuda.set_sync_debug_mode(mode)
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


# -- what the harness does around them ----------------------------------------------------------------------------------


def test_the_clock_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    clock = Run(device="cuda:1").clock
    clock.start()
    with clock.paused():
        assert waited == ["cuda:1"] * 2
    clock.stop()
    clock.stop()
    assert waited == ["cuda:1"] * 4
    Run().clock.start()
    assert len(waited) == 4


@pytest.mark.parametrize(
    "text",
    ["CUDA out of memory. Tried to allocate 2.00 GiB.", "CUDA: seed_vm_grid: CUDA_ERROR_OUT_OF_MEMORY (out of memory)",
     "cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"],
)  # fmt: skip
def test_a_gpu_without_memory_is_understood(text: str) -> None:
    assert out_of_memory(RuntimeError(text))
    assert not out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))


@pytest.mark.gpu
def test_a_record_says_what_ran_where(cuda: str, tmp_path: Path) -> None:
    (record,) = sweep(tmp_path, "sart", options=Options(device=cuda)).records
    assert (record.status, record.device, record.engine) == ("ok", cuda, "native")
    assert record.environment["gpu"] and record.gpu_peak_memory_mb


# -- what only a GPU can show -------------------------------------------------------------------------------------------


@pytest.mark.gpu
def test_nothing_waits_for_the_gpu(cuda: str) -> None:
    geometry = scanner(views=5, size=16)
    projector, grid = Projector(geometry), HashGrid(levels=3, base=4, finest=16).to(cuda)
    volume, projections = torch.rand(geometry.volume_shape, device=cuda), torch.rand(geometry.projection_shape, device=cuda)
    points = torch.rand(1000, 3, device=cuda)
    projector.forward(volume)  # compiled and loaded
    with sync_debug_mode("error"):
        projector.forward(volume)
        projector.adjoint(projections)
        grid(points).sum().backward()


@pytest.mark.gpu
def test_any_gpu_of_several(cuda: str) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("torch finds one CUDA device")
    projector = Projector(scanner(views=5, size=16))
    volume = torch.rand(projector.geometry.volume_shape)
    found = projector.forward(volume.to("cuda:1"))
    assert found.device == torch.device("cuda:1") and torch.cuda.current_device() == 0
    torch.testing.assert_close(found.cpu(), projector.forward(volume), rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
def test_volumes_of_more_than_two_to_the_31_voxels(cuda: str) -> None:
    if torch.cuda.mem_get_info()[0] < 24 * 2**30:
        pytest.skip("needs 24 GiB of free GPU memory")
    geometry = scanner(views=2, size=16).with_volume((1300, 1300, 1300))
    found = Projector(geometry).forward(torch.ones(geometry.volume_shape, device=cuda))
    middle = found[:, 11:13, 11:13].cpu()  # rays nearly along an axis of a cube of 192 mm
    torch.testing.assert_close(middle, torch.full_like(middle, 192.0), rtol=2e-3, atol=0)
