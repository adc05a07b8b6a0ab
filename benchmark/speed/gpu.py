"""Speed of the kernels on a GPU: milliseconds, compared with other software on the device and with the device's limits.

Every number is the median of several calls, each timed on the device itself. A missing comparison has its reason instead.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.errors import InputError, MissingDependency
from benchmark.fields import MLP, HashGrid, TinyCudaField, tiny_cuda_name, torch_twins
from benchmark.kernels.cuda_module import full_precision
from benchmark.machine.environment import missing_modules, version
from benchmark.plugins.specs import SpeedSpec, resolve
from benchmark.projection import tigre
from benchmark.projection.compositing import composite_rays_xray
from benchmark.projection.marching import march
from benchmark.projection.projector import Projector
from benchmark.projection.rays import view_rays
from benchmark.scan.geometry import ConeBeamGeometry

REPEATS = 7
SIZE, VIEWS = 512, 100  # of the projector's problem: SIZE^3 voxels, VIEWS views of SIZE^2 pixels
RAYS, SAMPLES = 1024, 192  # of one step of a field
TRAINING_SIZE = 128  # voxels along an edge, for whole steps of training
MATRIX = 4096  # rows and columns of the matrix product that measures the rate of arithmetic
# Operations of Joseph's method (and its transpose) per ray and crossed plane: advance of the position in the plane (2), its fractions (2),
# three linear interpolations (9), sum (1).
OPERATIONS = 14
REPLACE = 1  # ASTRA's mode that overwrites instead of adding
BEGIN, END = "<!-- the table of `speed --device cuda --write` begins -->", "<!-- it ends -->"


@dataclasses.dataclass(frozen=True)
class Row:
    """One measurement: milliseconds and their ratio to `other`, or the reason for their absence."""

    name: str
    other: str
    milliseconds: float | None = None
    ratio: float | None = None  # ours over the other's: below 1 is faster
    skipped: str = ""


def measure(
    device: str, specs: Iterable[SpeedSpec], size: int = SIZE, views: int = VIEWS, training_size: int = TRAINING_SIZE
) -> Iterator[Row]:
    """Yield all rows; `specs` may add whole training steps."""
    full_precision()
    yield from _projector(device, size, views)
    yield from _field(device)
    for spec in specs:
        if spec.training_step is not None:
            yield from _training(spec, device, training_size)


def _training(spec: SpeedSpec, device: str, size: int) -> Iterator[Row]:
    """Yield rows of a whole training step of a method, alone and compared with its alternatives, or the reason for their absence."""
    name = f"{spec.name}: a step of training, {size}^3 voxels"
    try:
        assert spec.training_step is not None
        step, others = resolve(spec.training_step)(device, size)
        milliseconds = median(step, device)
    except Exception as error:  # a plug-in's own code
        yield Row(name, "", skipped=f"{type(error).__name__}: {error}")
        return
    if not others:
        yield Row(name, "", milliseconds)
    for other, make in others.items():
        yield from _against(other, {name: milliseconds}, functools.partial(_named, name, make), device)


def _projector(device: str, size: int, views: int) -> Iterator[Row]:
    """Yield rows of A and A^T compared with the limits of the device and the projectors of TIGRE and ASTRA.

    The limit of bandwidth is the time to read or write volume and projections once, half of what their copy takes; that of arithmetic
    the time of the operations at the rate of a float32 matrix product. Both rates are measured.
    """
    geometry = problem(size, views)
    projector = Projector(geometry)
    volume = torch.rand(geometry.volume_shape, dtype=torch.float32, generator=torch.Generator().manual_seed(0)).to(device)
    projections = projector.forward(volume)
    calls: dict[str, Callable[[], Any]] = {"A": lambda: projector.forward(volume), "A^T": lambda: projector.adjoint(projections)}
    times = {name: median(call, device) for name, call in calls.items()}
    copy = median(lambda: (volume.clone(), projections.clone()), device)
    limits = {
        "limit of bandwidth (volume and projections once, at the rate of their copy)": copy / 2,
        f"limit of arithmetic ({OPERATIONS} operations a ray and plane, at the rate of a matrix product)": OPERATIONS
        * planes_crossed(projector, device)
        / operations_per_millisecond(device),
    }
    for limit, least in limits.items():
        yield from (Row(name, limit, milliseconds, milliseconds / least) for name, milliseconds in times.items())
    others = (
        (f"{tigre.name()}, the way from and to the host included", _tigre_operators),
        (f"astra {version('astra-toolbox')}".strip(), _astra_operators),
    )
    for other, operators in others:
        yield from _against(other, times, functools.partial(operators, geometry, volume, projections, device), device)


def _against(other: str, ours: dict[str, float], make: Callable[[], dict[str, Callable[[], Any]]], device: str) -> Iterator[Row]:
    """Yield our milliseconds by name compared with the functions from `make`, or the reason for their absence."""
    try:
        for name, call in make().items():
            yield Row(name, other, ours[name], ours[name] / median(call, device, 3))
    except MissingDependency as error:
        yield Row(", ".join(ours), other, skipped=str(error))
    except Exception as error:  # other people's code
        yield Row(", ".join(ours), other, skipped=f"{type(error).__name__}: {error}")


def _named(name: str, make: Callable[[], Callable[[], Any]]) -> dict[str, Callable[[], Any]]:
    return {name: make()}


def planes_crossed(projector: Projector, device: str) -> float:
    """Return the number of planes of voxel centres crossed by all rays of a projector of cubic voxels, along each ray's main axis."""
    geometry = projector.geometry
    lengths, total = projector.forward(torch.ones(geometry.volume_shape, dtype=torch.float32, device=device)), 0.0  # [mm]
    for view in range(geometry.views):
        along = view_rays(geometry, [view], device=device).directions.abs().amax(1)
        total += float((along * lengths[view].flatten()).double().sum())
    return total / geometry.volume_spacing[0]


def operations_per_millisecond(device: str) -> float:
    """Return the float32 additions and multiplications per millisecond in a matrix product."""
    matrix = torch.rand(MATRIX, MATRIX, dtype=torch.float32, generator=torch.Generator().manual_seed(0)).to(device)
    return 2 * MATRIX**3 / median(lambda: matrix @ matrix, device)


def problem(size: int, views: int) -> ConeBeamGeometry:
    """Return a geometry of size^3 voxels in a 256 mm cube, `views` views of size^2 pixels that see all of it."""
    return ConeBeamGeometry(
        source_to_origin=1000.0,
        source_to_detector=1500.0,
        detector_shape=(size, size),
        detector_pitch=(400.0 / size, 400.0 / size),
        volume_shape=(size, size, size),
        volume_spacing=(256.0 / size,) * 3,
        angles=np.linspace(0, 2 * np.pi, views, endpoint=False),
    )


def difference_from_cpu(device: str = "cuda:0") -> float:
    """Return the largest difference between a small A on a device and on the CPU, relative to its largest value."""
    projector = Projector(problem(24, 5))
    volume = torch.rand(projector.geometry.volume_shape, dtype=torch.float32, generator=torch.Generator().manual_seed(0))
    expected = projector.forward(volume)
    return float((projector.forward(volume.to(device)).cpu() - expected).abs().max() / expected.max())


def _tigre_operators(
    geometry: ConeBeamGeometry, volume: torch.Tensor, projections: torch.Tensor, device: str
) -> dict[str, Callable[[], Any]]:
    """Return TIGRE's operators, whose arrays lie on the host."""
    projector = tigre.TigreProjector(geometry, device)
    host, measured = volume.cpu(), projections.cpu()
    return {"A": lambda: projector.forward(host), "A^T": lambda: projector.adjoint(measured)}


def _astra_operators(
    geometry: ConeBeamGeometry, volume: torch.Tensor, projections: torch.Tensor, device: str
) -> dict[str, Callable[[], Any]]:
    """Return projectors of ASTRA (van Aarle et al. 2016, doi 10.1364/OE.24.025129) on the device's own arrays; its stack: [v, view, u]."""
    if missing_modules(["astra"]):
        raise MissingDependency("needs astra (install: pip install astra-toolbox)")
    import astra
    import astra.experimental

    astra.set_gpu_index(torch.device(device).index or 0)
    (nz, ny, nx), (low, high) = geometry.volume_shape, geometry.volume_bounds
    grid = astra.create_vol_geom(ny, nx, nz, low[0], high[0], low[1], high[1], low[2], high[2])
    scanner = astra.create_proj_geom("cone_vec", *geometry.detector_shape, geometry.vectors().reshape(-1, 12))
    projector = astra.create_projector("cuda3d", scanner, grid)
    grid_there, stack = volume.clone(), projections.transpose(0, 1).contiguous()

    def linked(tensor: torch.Tensor) -> Any:
        z, y, x = tensor.shape
        return astra.pythonutils.GPULink(tensor.data_ptr(), x, y, z, 4 * x)

    there, measured = linked(grid_there), linked(stack)

    def run(way: str) -> tuple[torch.Tensor, torch.Tensor]:
        astra.experimental.direct_FPBP3D(projector, there, measured, REPLACE, way)
        return grid_there, stack  # keep them alive: the links do not

    for way, made in (("FP", stack), ("BP", grid_there)):  # ASTRA fails silently
        made.zero_()
        run(way)
        if not made.any():
            raise RuntimeError(f"astra did nothing ({way})")
    return {"A": lambda: run("FP"), "A^T": lambda: run("BP")}


def _field(device: str) -> Iterator[Row]:
    """Yield rows of a ray step of a field (march, 16-level hash grid, network, sum, and back) against plain torch and tiny-cuda-nn."""
    geometry = problem(128, 50)
    generator = torch.Generator().manual_seed(0)
    sizes: dict[str, int] = {"levels": 16, "base": 16, "finest": 512, "log2_entries": 19}
    grid = HashGrid(**sizes, spread=0.1, generator=generator).to(device)
    network = MLP(grid.out_features, hidden=32, layers=4, generator=generator).to(device)
    pixels = [torch.randint(count, (RAYS,), generator=generator).to(device) for count in geometry.projection_shape]
    rays, bounds = view_rays(geometry, pixels=(pixels[0], pixels[1], pixels[2])), geometry.volume_bounds
    lower, upper = torch.tensor(bounds, dtype=torch.float32, device=device)

    def step(field: Callable[[torch.Tensor], torch.Tensor]) -> None:
        samples = march(rays, bounds, samples=SAMPLES, jitter=generator)
        mu = field((samples.positions - lower) / (upper - lower))[:, 0]
        composite_rays_xray(mu, samples.ts, samples.rays).sum().backward()

    def of_ours(encode: Callable[[torch.Tensor], torch.Tensor]) -> None:
        grid.table.grad = network.weights.grad = None
        step(lambda points: network(encode(points)))

    ours = median(lambda: of_ours(grid), device)
    other = median(lambda: of_ours(functools.partial(torch_twins.hash_grid, grid)), device, 3)
    yield Row("field step", "the hash grid in plain torch", ours, ours / other)

    def fused() -> dict[str, Callable[[], Any]]:
        field = TinyCudaField(**sizes, hidden=32, layers=4, device=device, seed=0)

        def of_theirs() -> None:
            field.zero_grad(set_to_none=True)
            step(field)

        return {"field step": of_theirs}

    yield from _against(tiny_cuda_name(), {"field step": ours}, fused, device)


def median(call: Callable[[], Any], device: str, repeats: int = REPEATS) -> float:
    """Return the median milliseconds of a call, after a warm-up call."""
    call()
    return statistics.median(_milliseconds(call, device) for _ in range(repeats))


def _milliseconds(call: Callable[[], Any], device: str) -> float:
    if not device.startswith("cuda"):
        begin = time.perf_counter()
        call()
        return 1000 * (time.perf_counter() - begin)
    with torch.cuda.device(device):
        begin_event, end_event = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        begin_event.record()
        call()
        end_event.record()
        torch.cuda.synchronize()
    return begin_event.elapsed_time(end_event)


def device_text(device: str) -> str:
    """Return the GPU and the versions of its software."""
    return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}, CUDA {torch.version.cuda}"


def markdown(rows: list[Row], where: str) -> str:
    """Return the table of docs/performance.md."""
    lines = [f"Measured by `python -m benchmark speed --device cuda` on {where}.", ""]
    lines += ["| what | ms | against | ratio |", "|---|---|---|---|"]
    for row in rows:
        value = "" if row.milliseconds is None else f"{row.milliseconds:.3g}"
        lines.append(f"| {row.name} | {value} | {row.other} | {row.skipped if row.ratio is None else f'{row.ratio:.3g}'} |")
    return "\n".join(lines)


def write(path: Path, table: str) -> None:
    """Replace the text between the marks of a page. Raise InputError for a page without them."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        found = "no such lines" if text else "no such file"
        raise InputError(str(path), expected=f"a page with the lines '{BEGIN}' and '{END}'", found=found)
    path.write_text(f"{before}{begin}\n\n{table}\n\n{end}{after}", encoding="utf-8")
