"""Speed of the kernels on the CPU, as ratios to plain implementations, measured in one process.

Every ratio is CPU seconds over CPU seconds, both on one thread (threads waiting for each other on a shared machine burn
time unrelated to the code): the two sides run alternately and the median of the pairwise ratios counts, so that
a slow machine slows both. Below 1 means faster than the alternative. The exception is `busy_machine_over_quiet`, of wall times.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from benchmark.fields import MLP, HashGrid, Mixture, MixtureProjector, Splats, mixture_line_integrals, splat, torch_twins
from benchmark.machine.environment import available_cores
from benchmark.plugins.registry import Registry
from benchmark.plugins.specs import resolve
from benchmark.projection.compositing import composite_rays_xray
from benchmark.projection.marching import march
from benchmark.projection.projector import Projector
from benchmark.projection.rays import Rays, view_rays
from benchmark.scan.geometry import ConeBeamGeometry

REPEATS = 5
RAYS, SAMPLES = 1024, 192  # one training step of a field rendered by rays
BUSY_STEPS = 100  # per repeat: a second or two, since a scheduler is fair in the long run only
BUSY_LOOP = "import os\nwhile os.getppid() == {parent}:\n    for _ in range(10**6): pass"


def measure(registry: Registry) -> dict[str, float]:
    """Measure all ratios by name, including those of plug-ins, in some minutes. Skip ratios whose alternative is not installed."""
    threads, ratios = torch.get_num_threads(), dict[str, float]()
    torch.set_num_threads(1)
    try:
        for part in MEASUREMENTS:
            ratios.update(part())
        for spec in registry.speed.values():
            for name, found in (resolve(spec.ratios)() if spec.ratios else {}).items():
                ratios[name] = compare(found[0], found[1], 3) if isinstance(found, tuple) else found
    finally:
        torch.set_num_threads(threads)
    return ratios


def compare(ours: Callable[[], Any], other: Callable[[], Any], repeats: int = REPEATS, calls: int = 1) -> float:
    """Return CPU seconds of `ours` over those of `other`: each runs once to warm up, then `calls` times per repeat, alternately."""
    ours(), other()
    return statistics.median(_seconds(ours, calls) / _seconds(other, calls) for _ in range(repeats))


def _seconds(function: Callable[[], Any], calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        function()
    return max(time.process_time() - start, 1e-9)


def standard_geometry() -> ConeBeamGeometry:
    """Return a geometry of 128^3 voxels in a 256 mm cube, 50 views of 128 x 128 pixels of 3 mm."""
    return ConeBeamGeometry(
        source_to_origin=1000.0,
        source_to_detector=1500.0,
        detector_shape=(128, 128),
        detector_pitch=(3.0, 3.0),
        volume_shape=(128, 128, 128),
        volume_spacing=(2.0, 2.0, 2.0),
        angles=np.linspace(0, 2 * np.pi, 50, endpoint=False),
    )


def _standard_data(geometry: ConeBeamGeometry) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    volume = torch.rand(geometry.volume_shape, dtype=torch.float32, generator=generator)
    return volume, torch.rand(geometry.projection_shape, dtype=torch.float32, generator=generator)


# -- the projector ------------------------------------------------------------------------------------------------------


def projector_over_plain() -> dict[str, float]:
    """Compare the separable path with a plain loop of Joseph's method along every ray."""
    geometry = standard_geometry()
    fast, plain = Projector(geometry, "separable"), Projector(geometry, "rays")
    volume, projections = _standard_data(geometry)
    return {
        "projector_forward_over_plain": compare(lambda: fast.forward(volume), lambda: plain.forward(volume)),
        "projector_adjoint_over_plain": compare(lambda: fast.adjoint(projections), lambda: plain.adjoint(projections)),
    }


def projector_over_rtk() -> dict[str, float]:
    """Compare the separable path with RTK's Joseph filters, if itk-rtk is installed. Raise RuntimeError if the two disagree."""
    if importlib.util.find_spec("itk") is None:
        return {}
    import itk

    if not hasattr(itk, "RTK"):
        return {}
    geometry = standard_geometry()
    projector = Projector(geometry)
    volume, projections = _standard_data(geometry)
    inside = torch.zeros_like(volume)  # at the faces the two differ: ours fades to zero over one voxel, RTK cuts
    inside[4:-4, 4:-4, 4:-4] = 1
    volume *= inside
    forward, adjoint = _rtk_operators(itk, geometry, volume, projections)
    for ours, theirs in ((projector.forward(volume), forward()), (inside * projector.adjoint(projections), inside * adjoint())):
        difference = float((ours - theirs).norm() / ours.norm())
        if difference > 1e-4:
            raise RuntimeError(f"RTK disagrees with the projector: relative difference {difference:.3g}")
    return {
        "projector_forward_over_rtk": compare(lambda: projector.forward(volume), forward, 3),
        "projector_adjoint_over_rtk": compare(lambda: projector.adjoint(projections), adjoint, 3),
    }


def _rtk_operators(
    itk: Any, geometry: ConeBeamGeometry, volume: torch.Tensor, projections: torch.Tensor
) -> tuple[Callable[[], torch.Tensor], Callable[[], torch.Tensor]]:
    """Return RTK's A and A^T of these data. RTK turns about y: our x, y, z are its z, x, y."""
    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(torch.get_num_threads())
    scanner = itk.RTK.ThreeDCircularProjectionGeometry.New()
    for angle in np.degrees(geometry.angles):
        scanner.AddProjection(geometry.source_to_origin, geometry.source_to_detector, float(angle))

    def image(array: np.ndarray, spacing: list[float]) -> Any:
        result = itk.image_from_array(np.ascontiguousarray(array, dtype=np.float32))
        result.SetSpacing(spacing)
        count = array.shape[::-1]
        stack = len(spacing) == 3 and spacing[2] == 1.0  # a stack of projections: views are not centred
        result.SetOrigin([0.0 if stack and axis == 2 else -(count[axis] - 1) / 2 * spacing[axis] for axis in range(3)])
        return result

    dz, dy, dx = geometry.volume_spacing
    dv, du = geometry.detector_pitch
    grid, stack = [dy, dz, dx], [du, dv, 1.0]
    turned, measured = image(volume.permute(2, 0, 1).numpy(), grid), image(projections.numpy(), stack)
    no_volume, no_projections = image(np.zeros_like(volume.permute(2, 0, 1).numpy()), grid), image(np.zeros(projections.shape), stack)

    def run(name: str, first: Any, second: Any) -> np.ndarray:
        kind = type(first)
        step = getattr(itk.RTK, name)[kind, kind].New()
        step.SetInput(0, first)
        step.SetInput(1, second)
        step.InPlaceOff()  # otherwise the filter releases its first image
        step.SetGeometry(scanner)
        step.Update()
        return itk.array_from_image(step.GetOutput())

    return (
        lambda: torch.from_numpy(run("JosephForwardProjectionImageFilter", no_projections, turned)),
        lambda: torch.from_numpy(run("JosephBackProjectionImageFilter", no_volume, measured)).permute(1, 2, 0),
    )


# -- the field renderer -------------------------------------------------------------------------------------------------


def renderer_over_torch() -> dict[str, float]:
    """Compare marching with jitter, and the attenuation composite forward and backward, with plain torch."""
    geometry = standard_geometry()
    generator = torch.Generator().manual_seed(0)
    pixels = [torch.randint(count, (RAYS,), generator=generator) for count in geometry.projection_shape]
    rays, bounds = view_rays(geometry, pixels=(pixels[0], pixels[1], pixels[2])), geometry.volume_bounds
    corners = torch.from_numpy(bounds).float()
    samples = march(rays, bounds, samples=SAMPLES)
    mu = torch.rand(len(samples.positions), dtype=torch.float32, generator=generator, requires_grad=True)
    weight = torch.rand(RAYS, dtype=torch.float32, generator=generator)
    hit = samples.rays[:, 1] > 0
    dt = samples.ts[:, 1].reshape(-1, SAMPLES)

    def ours() -> None:
        composite_rays_xray(mu, samples.ts, samples.rays).backward(weight)
        mu.grad = None

    def plain() -> None:
        torch.zeros(RAYS, dtype=torch.float32).masked_scatter(hit, (mu.view(-1, SAMPLES) * dt).sum(1)).backward(weight)
        mu.grad = None

    marching = compare(
        lambda: march(rays, bounds, samples=SAMPLES, jitter=generator), lambda: _torch_march(rays, corners, generator), calls=20
    )
    return {"march_over_torch": marching, "composite_step_over_torch": compare(ours, plain, calls=20)}


def _torch_march(rays: Rays, corners: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return positions and (t, dt) of SAMPLES jittered samples on each ray that hits the box."""
    crossings = (corners[:, None] - rays.origins) / rays.directions
    near, far = crossings.amin(0).amax(1).clamp(min=0), crossings.amax(0).amin(1)
    hit = far > near
    near, dt = near[hit, None], (far - near)[hit, None] / SAMPLES
    t = near + (torch.arange(SAMPLES) + torch.rand(len(near), SAMPLES, dtype=torch.float32, generator=generator)) * dt
    positions = rays.origins[hit, None] + t[..., None] * rays.directions[hit, None]
    return positions.reshape(-1, 3), torch.stack([t, dt.expand_as(t)], -1).reshape(-1, 2)


# -- the fields ---------------------------------------------------------------------------------------------------------


def hash_grid_over_torch() -> dict[str, float]:
    """Compare a step (forward and backward) of a 16-level hash grid with a small network with plain torch."""
    generator = torch.Generator().manual_seed(0)
    grid = HashGrid(levels=16, base=16, finest=512, log2_entries=19, spread=0.1, generator=generator)
    network = MLP(grid.out_features, hidden=32, layers=4, generator=generator)
    # An eighth of a step: torch takes seconds for that.
    points = torch.rand(RAYS * SAMPLES // 8, 3, dtype=torch.float32, generator=generator)

    def ours() -> torch.Tensor:
        return network(grid(points))

    def other() -> torch.Tensor:
        return torch_twins.mlp(network, torch_twins.hash_grid(grid, points))

    def step(field: Callable[[], torch.Tensor]) -> None:
        field().sum().backward()
        grid.table.grad = network.weights.grad = None

    torch.testing.assert_close(ours(), other(), atol=1e-4, rtol=1e-4)
    return {"hash_grid_step_over_torch": compare(lambda: step(ours), lambda: step(other), 3)}


def gaussians_over_torch() -> dict[str, float]:
    """Compare a step (forward and backward) of two small views of 200 Gaussians with plain torch, which has no tiles."""
    geometry, (means, quaternions, log_scales, shares) = _gaussians_seen()
    mixture = Mixture(*(tensor.requires_grad_() for tensor in (means, quaternions, log_scales, (0.01 + shares).log())))
    projector, rays = MixtureProjector(geometry), view_rays(geometry)
    step = _step_over_torch(mixture, lambda: projector(mixture).view(-1), lambda: mixture_line_integrals(mixture, rays))
    return {"gaussians_step_over_torch": step}


def splat_over_torch() -> dict[str, float]:
    """Compare a step of the splatter, whose Gaussians have colours and hide each other, with plain torch."""
    geometry, (means, quaternions, log_scales, shares) = _gaussians_seen()
    parameters = (means, quaternions, log_scales, 0.05 + 0.9 * shares, torch.stack([shares, 1 - shares, shares.square()], 1))
    splats = Splats(*(tensor.requires_grad_() for tensor in parameters))
    return {"splat_step_over_torch": _step_over_torch(splats, lambda: splat(splats, geometry), lambda: torch_twins.splat(splats, geometry))}


def _gaussians_seen() -> tuple[ConeBeamGeometry, tuple[torch.Tensor, ...]]:
    """Return two views of 48 x 48 pixels, and means, quaternions, log scales and numbers 0 .. 1 of 200 Gaussians in view."""
    geometry = dataclasses.replace(standard_geometry(), detector_shape=(48, 48), detector_pitch=(8.0, 8.0), angles=np.array([0.0, 1.0]))
    generator = torch.Generator().manual_seed(0)
    how: dict[str, Any] = {"dtype": torch.float32, "generator": generator}
    means, scales = 200 * torch.rand(200, 3, **how) - 100, 4 + 8 * torch.rand(200, 3, **how)
    return geometry, (means, torch.randn(200, 4, **how), scales.log(), torch.rand(200, **how))


def _step_over_torch(parameters: Sequence[torch.Tensor], ours: Callable[[], torch.Tensor], other: Callable[[], torch.Tensor]) -> float:
    """Compare forward and backward of ours with the other's. Raise AssertionError if the two disagree."""

    def step(render: Callable[[], torch.Tensor]) -> None:
        torch.autograd.grad(render().sum(), parameters)

    torch.testing.assert_close(ours(), other(), atol=1e-2, rtol=1e-3)
    return compare(lambda: step(ours), lambda: step(other), calls=3)


# -- other work on the same machine -------------------------------------------------------------------------------------


def busy_machine_over_quiet() -> dict[str, float]:
    """Compare the wall time of a training step (many short kernels, all cores) beside one busy loop per core with that without.

    A fair share, half of the cores, gives a ratio of 2; threads that spin while waiting give 10 or more.
    """
    step, threads = _field_step(), torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or available_cores()))
    try:
        step()
        ratios = []
        for _ in range(REPEATS):
            quiet = _wall_seconds(step, BUSY_STEPS)
            with _busy_loops(available_cores()):
                ratios.append(_wall_seconds(step, BUSY_STEPS) / quiet)
    finally:
        torch.set_num_threads(threads)
    return {"busy_machine_over_quiet": statistics.median(ratios)}


def _field_step() -> Callable[[], None]:
    """Return a step: hash grid and network along 256 rays of 96 samples, forward and backward; a few ms, most regions below one."""
    geometry, generator = standard_geometry(), torch.Generator().manual_seed(0)
    grid = HashGrid(levels=8, base=8, finest=128, log2_entries=16, spread=0.1, generator=generator)
    network = MLP(grid.out_features, hidden=32, layers=4, generator=generator)
    pixels = [torch.randint(count, (256,), generator=generator) for count in geometry.projection_shape]
    rays, bounds = view_rays(geometry, pixels=(pixels[0], pixels[1], pixels[2])), geometry.volume_bounds
    lower, upper = torch.from_numpy(bounds).float()

    def step() -> None:
        samples = march(rays, bounds, samples=96, jitter=generator)
        mu = network(grid((samples.positions - lower) / (upper - lower)))[:, 0]
        composite_rays_xray(mu, samples.ts, samples.rays).sum().backward()
        grid.table.grad = network.weights.grad = None

    return step


def _wall_seconds(function: Callable[[], Any], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return max(time.perf_counter() - start, 1e-9)


@contextlib.contextmanager
def _busy_loops(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start processes of pure computation. They end with this process, however it ends."""
    command = [sys.executable, "-S", "-c", BUSY_LOOP.format(parent=os.getpid())]
    loops = [subprocess.Popen(command) for _ in range(count)]
    try:
        time.sleep(0.2)  # to start
        yield loops
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


# Functions without arguments that return named ratios; append to this list to measure more.
MEASUREMENTS: list[Callable[[], dict[str, float]]] = [
    projector_over_plain,
    projector_over_rtk,
    renderer_over_torch,
    hash_grid_over_torch,
    gaussians_over_torch,
    splat_over_torch,
    busy_machine_over_quiet,
]
