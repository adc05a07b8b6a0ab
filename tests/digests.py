"""Prints digests of what every part of the renderer, of the fields and of some methods computes: run by test_default_dtype.py in a child
process, with the name of torch's default dtype as the argument.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from balls import ball_scan, scanner

from benchmark.acquisition.voxels import Voxels
from benchmark.api import Projector, Run, Scan
from benchmark.fields import HashGrid, Mixture, MixtureMaxima, MixtureProjector, voxelise, voxelise_maxima
from benchmark.fields.mixture_points import mixture_values
from benchmark.fields.mlp import MLP
from benchmark.fields.splatter import Splats, splat
from benchmark.fields.support import Support
from benchmark.fields.vector_matrix import vm_encode, vm_grid
from benchmark.plugins.registry import load
from benchmark.plugins.specs import resolve
from benchmark.projection.compositing import composite_max, composite_rays_xray
from benchmark.projection.importance import importance_integral
from benchmark.projection.marching import line_integral, march
from benchmark.projection.rays import view_rays
from benchmark.reconstruction.fdk import filtered_backprojection
from benchmark.reconstruction.total_variation import TotalVariation

NAF: dict[str, Any] = {"steps": 3, "base": 4, "log2_entries": 10, "hidden": 8, "rays": 64, "refine": 2, "tv": 0.01}
ZERORF: dict[str, Any] = {
    "steps": 2, "members": 1, "channels": (8, 8), "features": 3, "hidden": 8, "rays": 64, "rays_end": 64, "refine": 2, "tv": 0.01,
}  # fmt: skip
GAUSSIANS: dict[str, Any] = {"steps": 4, "every": 2, "until": 1.0, "gaussians": 40, "tv_block": 6, "ssim": 0.2, "refine": 2}
CARVE: dict[str, Any] = {"voxels": 8, "channels": 2, "levels": 2, "networks": 1, "steps": 2, "views": 3}
METHODS: list[tuple[str, dict[str, Any]]] = [
    ("fdk", {}),
    ("sart", {"iterations": 2}),
    ("cgls", {"most": 3}),
    ("asd_pocs", {"iterations": 2}),
    ("fista_tv", {"iterations": 3, "weight": 0.01}),
    ("fista_tv", {"iterations": 2}),
    ("naf", NAF),
    ("naf", {**NAF, "render": "grid", "views": 3, "skip": 2, "layers": 4, "weighting": "photons"}),
    ("zerorf", ZERORF),
    (
        "zerorf",
        {**ZERORF, "render": "rays", "attention": True, "muon": 0.0, "importance": 6, "samples": 8, "finetune": 1, "finetune_rays": 64},
    ),
    ("zerorf", {**ZERORF, "tensors": "xyz xyz", "bands": (None, 1.0)}),
    ("gaussians", GAUSSIANS),
    ("gaussians", {**GAUSSIANS, "start": "random", "loss": "l2"}),
    ("carve", CARVE),
    ("carve", {**CARVE, "values": "plain", "loss": "l2", "ssim": 0.2}),
]


def numbers(*shape: int) -> torch.Tensor:
    """The same float32 in 0 .. 1, whatever the default is; no generator is asked."""
    return torch.from_numpy(np.random.default_rng(len(shape) + sum(shape)).random(shape, dtype=np.float32))


def slopes(function: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> list[torch.Tensor]:
    """What a function says, and the gradients by its inputs of its sum, each number weighted differently."""
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    out = function(*leaves)
    return [out.detach(), *torch.autograd.grad((out * numbers(*out.shape)).sum(), leaves)]


def parts() -> Iterator[tuple[str, Any]]:
    """Each with a name and all numbers that it computes."""
    geometry = scanner(views=4, size=12)
    tilted = scanner(views=4, size=12, detector_roll=0.1)
    for name, each in (("separable", geometry), ("rays", tilted)):
        projector = Projector(each)
        assert projector.path == name
        yield f"A, {name}", slopes(projector.forward, numbers(*each.volume_shape))
        yield f"A^T, {name}", projector.adjoint(numbers(*each.projection_shape))
    yield "FDK", filtered_backprojection(numbers(*geometry.projection_shape).numpy(), geometry)[0]
    voxels = Voxels(numbers(5, 6, 7).numpy(), (20.0, 21.0, 22.0))
    yield "simulation", [voxels.project(geometry), voxels.maxima(geometry), voxels.averaged(geometry)]
    variation = TotalVariation((5, 6, 7), (1.0, 2.0, 3.0), weights=numbers(5, 6, 7))
    noise = numbers(5, 6, 7)
    yield "total variation", [variation.prox(noise, 0.1), variation.gradient(noise, 0.1), np.float64(variation.value(noise))]
    yield from rendered(geometry)
    yield from of_fields(geometry)


def rendered(geometry: Any) -> Iterator[tuple[str, Any]]:
    rays, bounds = view_rays(geometry, [1, 2]), geometry.volume_bounds
    cells = numbers(3, 4, 5) > 0.3
    for name, keys in (("step", {"step": 9.0}), ("samples", {"samples": 7, "occupancy": cells, "jitter": np.random.default_rng(3)})):
        samples = march(rays, bounds, **keys)
        mu = numbers(len(samples.positions))
        yield f"march, {name}", list(samples)
        yield f"composites, {name}", slopes(lambda mu, at=samples: composite_rays_xray(mu, at.ts, at.rays), mu)
        yield f"maxima, {name}", slopes(lambda mu, at=samples: composite_max(mu, at.rays), mu)

    def field(positions: torch.Tensor) -> torch.Tensor:
        return (positions / 100).square().sum(1)

    jitter = torch.Generator().manual_seed(5)
    yield "line integrals", line_integral(field, rays, bounds, samples=9, jitter=torch.Generator().manual_seed(5))
    yield "importance", importance_integral(field, rays, bounds, samples=5, importance=4, jitter=jitter, occupancy=cells)


def of_fields(geometry: Any) -> Iterator[tuple[str, Any]]:
    grid = HashGrid(levels=4, base=3, finest=20, log2_entries=8, spread=0.5, generator=torch.Generator().manual_seed(1))
    points = numbers(300, 3)
    yield "hash grid", [*slopes(grid, points), *slopes(lambda table: grid_of(grid, table)(points), grid.table.detach())]
    network = MLP(5, 2, hidden=9, layers=4, skip=2, generator=torch.Generator().manual_seed(1))
    grid_of(network, network.weights.detach(), "weights")
    yield "network", [network.weights.detach(), *slopes(network, numbers(300, 5))]
    planes, lines = [numbers(2, 6, 7), numbers(2, 5, 6), numbers(2, 5, 7)], [numbers(2, 5), numbers(2, 7), numbers(2, 6)]
    yield "vector-matrix", slopes(lambda at, *them: vm_encode(at, them[:3], them[3:]), points, *planes, *lines)
    support = Support(numbers(5, 6, 7) > 0.5)
    yield "vector-matrix grid", slopes(lambda *them: vm_grid(them[:3], them[3:], support), *planes, *lines)
    yield "support", [support.points(), support.fill(numbers(support.count)), Support.of(ball_scan(views=4, size=10)[0]).mask]
    shapes = [40 * numbers(30, 3) - 20, numbers(30, 4) + 0.1, numbers(30, 3) + 2, numbers(30)]
    projector, soft = MixtureProjector(geometry), MixtureMaxima(geometry, 0.2)
    yield "Gaussians", slopes(lambda *them: projector(Mixture(*them)), *shapes)
    yield "Gaussian voxels", slopes(lambda *them: voxelise(Mixture(*them), geometry), *shapes)
    yield "maxima of Gaussians", slopes(lambda *them: soft(Mixture(*them)), *shapes)
    yield "voxels of maxima", slopes(lambda *them: voxelise_maxima(Mixture(*them), geometry, 0.2), *shapes)
    yield "Gaussians at points", [mixture_values(Mixture(*shapes), 40 * points - 20, heat) for heat in (None, 0.0, 0.2)]
    yield "splatter", slopes(lambda *them: splat(Splats(*them), geometry), *shapes, numbers(30, 3))


def grid_of(module: Any, values: torch.Tensor, name: str = "table") -> Any:
    """A module as a function of one of its parameters."""
    return lambda *inputs: torch.func.functional_call(module, {name: values}, inputs)


def of_methods() -> Iterator[tuple[str, Any]]:
    scan, _ = ball_scan(views=6, size=10, noise=0.005)
    scan = Scan(scan.projections, scan.geometry, photons=1e5)
    registry = load()
    for number, (name, changes) in enumerate(METHODS):
        torch.manual_seed(0)
        spec = registry.methods[name]
        yield f"method {number}, {name}", resolve(spec.target)(scan, spec.params(**changes), Run(seed=3)).volume


def digest(found: Any) -> str:
    """Hash of dtypes, shapes and bits."""
    arrays = [np.asarray(each) for each in (found if isinstance(found, list | tuple) else [found])]
    text = "".join(f"{array.dtype}{array.shape}" for array in arrays).encode()
    return hashlib.sha256(text + b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]


if __name__ == "__main__":
    torch.set_default_dtype(getattr(torch, sys.argv[1]))
    torch.set_num_threads(2)
    print(json.dumps({name: digest(found) for source in (parts, of_methods) for name, found in source()}))
