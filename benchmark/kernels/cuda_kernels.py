"""The GPU kernels, each with the name and arguments of its CPU counterpart.

torch does the work around the loops here: it adds the rim of zeros to a volume, sums counts up and zeroes accumulators.
Sums by many threads at once have no fixed order: A^T, and the gradients of hash grid, vector-matrix points, Gaussians and
splatter differ in their last bits from run to run.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmark.errors import InputError
from benchmark.kernels.cuda_module import launch
from benchmark.kernels.declarations import GaussianGrid, HashLevel
from benchmark.kernels.transfer import to_device

TILE = (32, 8)  # detector rows and columns of a block of threads: TILE_ROWS, TILE_COLUMNS of projector.cuh
COLUMN = 8  # voxels per thread: COLUMN of fdk.cuh
MOST_LEVELS = 32  # of a hash grid: MOST_LEVELS of hash_grid.cuh
SPLAT_TILE, SPLAT_NUMBERS, SUMS_NUMBERS = 16, 21, 16  # pixels along a tile's edge, floats of a Gaussian and of its sums: splatter.cuh

Shape = tuple[int, ...]
Tensors = Sequence[torch.Tensor]
Levels = ctypes.Array[HashLevel]


def _on(device: torch.device, array: np.ndarray) -> torch.Tensor:
    return to_device(torch.from_numpy(array), device)


# -- voxel grid <-> projections: volume [z, y, x], projections [view, v, u], views [view, 4, 3] ------------------------------


def project_rays(
    volume: torch.Tensor,
    shape: Shape,
    spacing: np.ndarray,
    views: np.ndarray,
    count: int,
    rows: int,
    columns: int,
    projections: torch.Tensor,
) -> None:
    rimmed = torch.nn.functional.pad(volume.permute(1, 2, 0), (1,) * 6).contiguous()  # [y, x, z]
    counts = (count, rows, columns)
    launch("project_rays", _pixels(*counts), rimmed, shape, spacing, _on(volume.device, views), *counts, projections)


def backproject_rays(
    volume: torch.Tensor,
    shape: Shape,
    spacing: np.ndarray,
    views: np.ndarray,
    count: int,
    rows: int,
    columns: int,
    projections: torch.Tensor,
) -> None:
    z, y, x = volume.shape
    rimmed = torch.zeros(y + 2, x + 2, z + 2, dtype=torch.float32, device=volume.device)
    counts = (count, rows, columns)
    launch("backproject_rays", _pixels(*counts), rimmed, shape, spacing, _on(volume.device, views), *counts, projections)
    volume.copy_(rimmed[1:-1, 1:-1, 1:-1].permute(2, 0, 1))


project_separable, backproject_separable = (
    project_rays,
    backproject_rays,
)  # neighbouring threads share rows, as that path does


def _pixels(count: int, rows: int, columns: int) -> int:
    """Return the number of threads for whole tiles of every view."""
    return count * -(-rows // TILE[0]) * -(-columns // TILE[1]) * TILE[0] * TILE[1]


def fdk_backproject(
    volume: torch.Tensor,
    shape: Shape,
    views: np.ndarray,
    count: int,
    rows: int,
    columns: int,
    filtered: torch.Tensor,
    scale: float,
) -> None:
    z, y, x = volume.shape
    views_there = _on(volume.device, views)
    launch("fdk_backproject", -(-z // COLUMN) * y * x, volume, shape, views_there, count, rows, columns, filtered, scale)


# -- field <-> projections ----------------------------------------------------------------------------------------------------


def clip_rays(origins: torch.Tensor, directions: torch.Tensor, rays: int, box: np.ndarray, spans: torch.Tensor) -> None:
    launch("clip_rays", rays, origins, directions, rays, box, spans)


def march_count(
    origins: torch.Tensor,
    directions: torch.Tensor,
    rays: int,
    box: np.ndarray,
    samples: int,
    step: float,
    seed: int,
    cells: torch.Tensor | None,
    cells_shape: Shape,
    table: torch.Tensor,
) -> int:
    """Count samples; wait for the device, since the count decides the memory to allocate."""
    if not rays:
        return 0
    how = (box, samples, step, seed, cells, cells_shape)
    launch("march_count", rays, origins, directions, rays, *how, table)
    ends = table[:, 1].cumsum(0)
    table[:, 0] = ends - table[:, 1]
    return int(ends[-1])


def march_fill(
    origins: torch.Tensor,
    directions: torch.Tensor,
    begin: int,
    end: int,
    box: np.ndarray,
    samples: int,
    step: float,
    seed: int,
    cells: torch.Tensor | None,
    cells_shape: Shape,
    table: torch.Tensor,
    positions: torch.Tensor,
    ts: torch.Tensor,
) -> None:
    how = (box, samples, step, seed, cells, cells_shape)
    launch("march_fill", end - begin, origins, directions, begin, end, *how, table, positions, ts)


def march_places(rays: int, samples: int, seed: int, places: torch.Tensor) -> None:
    launch("march_places", rays * samples, rays, samples, seed, places)


def check_packed(table: torch.Tensor, rays: int, samples: int) -> int:
    """Check the table; wait for the device."""
    first, count = table.unbind(1)
    end = torch.nn.functional.pad((first + count)[:-1], (1, 0)) if rays else first
    bad = (count < 0) | (first < end) | (count > samples - first)
    return int(bad.to(torch.uint8).argmax()) if rays and bool(bad.any()) else -1


def composite_sum(mu: torch.Tensor, ts: torch.Tensor, table: torch.Tensor, rays: int, out: torch.Tensor) -> None:
    launch("composite_sum", rays, mu, ts, table, rays, out)


def composite_sum_transpose(values: torch.Tensor, ts: torch.Tensor, table: torch.Tensor, rays: int, mu: torch.Tensor) -> None:
    launch("composite_sum_transpose", rays, values, ts, table, rays, mu)


def composite_max(mu: torch.Tensor, table: torch.Tensor, rays: int, out: torch.Tensor, at: torch.Tensor) -> None:
    launch("composite_max", rays, mu, table, rays, out, at)


def composite_pick(mu: torch.Tensor, at: torch.Tensor, rays: int, out: torch.Tensor) -> None:
    launch("composite_pick", rays, mu, at, rays, out)


def composite_pick_transpose(out: torch.Tensor, at: torch.Tensor, rays: int, mu: torch.Tensor) -> None:
    launch("composite_pick_transpose", rays, out, at, rays, mu)


# -- fields: features [2 * levels, points] or [3 * channels, points] ----------------------------------------------------------


def hash_encode(points: torch.Tensor, count: int, levels: Levels, number: int, table: torch.Tensor, features: torch.Tensor) -> None:
    launch("hash_encode", count * number, points, count, _all_levels(levels), number, table, features)


def hash_encode_backward(
    points: torch.Tensor, count: int, levels: Levels, number: int, gradient: torch.Tensor, table_gradient: torch.Tensor
) -> None:
    launch("hash_encode_backward", count * number, points, count, _all_levels(levels), number, gradient, table_gradient)


def hash_encode_points(
    points: torch.Tensor,
    count: int,
    levels: Levels,
    number: int,
    table: torch.Tensor,
    gradient: torch.Tensor,
    point_gradient: torch.Tensor,
) -> None:
    launch("hash_encode_points", count, points, count, _all_levels(levels), number, table, gradient, point_gradient)


def _all_levels(levels: Levels) -> Levels:
    """Return the levels padded to the array length of the kernels."""
    if len(levels) > MOST_LEVELS:
        raise InputError("HashGrid: levels", expected=f"at most {MOST_LEVELS} on a GPU", found=f"{len(levels)}")
    return (HashLevel * MOST_LEVELS)(*levels)


def vm_encode(
    points: torch.Tensor, count: int, channels: int, shapes: Shape, planes: Tensors, lines: Tensors, features: torch.Tensor
) -> None:
    launch("vm_encode", 3 * channels * count, points, count, channels, shapes, planes, lines, features)


def vm_encode_backward(
    points: torch.Tensor,
    count: int,
    channels: int,
    shapes: Shape,
    planes: Tensors,
    lines: Tensors,
    gradient: torch.Tensor,
    plane_gradients: Tensors,
    line_gradients: Tensors,
) -> None:
    """Add to the gradients, which must be zero before."""
    launch(
        "vm_encode_backward",
        3 * channels * count,
        points,
        count,
        channels,
        shapes,
        planes,
        lines,
        gradient,
        plane_gradients,
        line_gradients,
    )


def vm_encode_points(
    points: torch.Tensor,
    count: int,
    channels: int,
    shapes: Shape,
    planes: Tensors,
    lines: Tensors,
    gradient: torch.Tensor,
    point_gradients: torch.Tensor,
) -> None:
    launch("vm_encode_points", count, points, count, channels, shapes, planes, lines, gradient, point_gradients)


def vm_grid(
    nz: int,
    ny: int,
    nx: int,
    channels: int,
    runs: torch.Tensor,
    count: int,
    voxels: int,
    planes: Tensors,
    lines: Tensors,
    features: torch.Tensor,
) -> None:
    grid, places = _places(nz, ny, nx, runs, voxels)
    launch("vm_grid", 3 * channels * places.numel(), grid, channels, places, voxels, planes, lines, features)


def vm_grid_backward(
    nz: int,
    ny: int,
    nx: int,
    channels: int,
    runs: torch.Tensor,
    count: int,
    voxels: int,
    planes: Tensors,
    lines: Tensors,
    gradient: torch.Tensor,
    plane_gradients: Tensors,
    line_gradients: Tensors,
) -> None:
    grid, places = _places(nz, ny, nx, runs, voxels)
    setting = (grid, channels, places, voxels)
    for k, (plane, line, to_plane, to_line) in enumerate(zip(planes, lines, plane_gradients, line_gradients, strict=True)):
        launch("vm_grid_to_plane", plane.numel(), *setting, k, line, gradient, to_plane)
        partial = torch.empty(*line.shape, plane.shape[1], dtype=torch.float32, device=gradient.device)
        launch("vm_grid_to_line", partial.numel(), *setting, k, plane, gradient, partial)
        launch("sum_rows", line.numel(), partial.view(-1, plane.shape[1]), line.numel(), plane.shape[1], to_line.view(-1))


def _places(nz: int, ny: int, nx: int, runs: torch.Tensor, voxels: int) -> tuple[Shape, torch.Tensor]:
    """Return the grid's shape, and the index of each voxel among the runs' voxels (-1: none), int64 [z, y, x]."""
    grid = (nz, ny, nx)
    z, y, x, lengths, before = runs.unbind(1)
    number = torch.arange(voxels, device=runs.device)
    shift = torch.repeat_interleave((z * ny + y) * nx + x - before, lengths, output_size=voxels)
    places = torch.full(grid, -1, dtype=torch.int64, device=runs.device)
    places.view(-1)[shift + number] = number
    return grid, places


# -- Gaussians: means [count, 3], matrices [count, 3, 3], amplitudes [count] ---------------------------------------------------


def gaussian_project(
    vectors: np.ndarray,
    views: int,
    rows: int,
    columns: int,
    count: int,
    means: torch.Tensor,
    matrices: torch.Tensor,
    amplitudes: torch.Tensor,
    reach: float,
    images: torch.Tensor,
) -> None:
    images.zero_()
    setting = (_on(means.device, vectors), views, rows, columns, count, means, matrices, amplitudes, reach)
    launch("gaussian_project", count * views, *setting, images)


def gaussian_project_backward(
    vectors: np.ndarray,
    views: int,
    rows: int,
    columns: int,
    count: int,
    means: torch.Tensor,
    matrices: torch.Tensor,
    amplitudes: torch.Tensor,
    reach: float,
    gradient: torch.Tensor,
    *answers: torch.Tensor,
) -> None:
    setting = (_on(means.device, vectors), views, rows, columns, count, means, matrices, amplitudes, reach)
    launch("gaussian_project_backward", count * views, *setting, gradient, *(answer.zero_() for answer in answers))


def gaussian_voxelise(
    grid: GaussianGrid,
    count: int,
    means: torch.Tensor,
    matrices: torch.Tensor,
    amplitudes: torch.Tensor,
    reach: float,
    volume: torch.Tensor,
) -> None:
    launch("gaussian_voxelise", count, grid, count, means, matrices, amplitudes, reach, volume.zero_())


def gaussian_voxelise_backward(
    grid: GaussianGrid,
    count: int,
    means: torch.Tensor,
    matrices: torch.Tensor,
    amplitudes: torch.Tensor,
    reach: float,
    gradient: torch.Tensor,
    *answers: torch.Tensor,
) -> None:
    setting = (grid, count, means, matrices, amplitudes, reach, gradient)
    launch("gaussian_voxelise_backward", count, *setting, *(answer.zero_() for answer in answers))


def gaussian_peaks(
    vectors: np.ndarray,
    views: int,
    rows: int,
    columns: int,
    count: int,
    means: torch.Tensor,
    matrices: torch.Tensor,
    amplitudes: torch.Tensor,
    reach: float,
    temperature: float,
    images: torch.Tensor,
) -> None:
    setting = (_on(means.device, vectors), views, rows, columns, count, means, matrices, amplitudes, reach)
    launch("gaussian_peaks", count * views, *setting, images.zero_())
    _soften("gaussian_soft_peaks", count * views, *setting, temperature=temperature, most=images)


def gaussian_peaks_backward(
    vectors: np.ndarray,
    views: int,
    rows: int,
    columns: int,
    count: int,
    means: torch.Tensor,
    matrices: torch.Tensor,
    amplitudes: torch.Tensor,
    reach: float,
    temperature: float,
    images: torch.Tensor,
    gradient: torch.Tensor,
    *answers: torch.Tensor,
) -> None:
    setting = (_on(means.device, vectors), views, rows, columns, count, means, matrices, amplitudes, reach, temperature, images, gradient)
    launch("gaussian_peaks_backward", count * views, *setting, *(answer.zero_() for answer in answers))


def gaussian_soft_voxelise(
    grid: GaussianGrid,
    count: int,
    means: torch.Tensor,
    matrices: torch.Tensor,
    amplitudes: torch.Tensor,
    reach: float,
    temperature: float,
    volume: torch.Tensor,
) -> None:
    setting = (grid, count, means, matrices, amplitudes, reach)
    launch("gaussian_voxel_peaks", count, *setting, volume.zero_())
    _soften("gaussian_soft_voxels", count, *setting, temperature=temperature, most=volume)


def gaussian_soft_voxelise_backward(
    grid: GaussianGrid,
    count: int,
    means: torch.Tensor,
    matrices: torch.Tensor,
    amplitudes: torch.Tensor,
    reach: float,
    temperature: float,
    volume: torch.Tensor,
    gradient: torch.Tensor,
    *answers: torch.Tensor,
) -> None:
    setting = (grid, count, means, matrices, amplitudes, reach, temperature, volume, gradient)
    launch("gaussian_soft_voxels_backward", count, *setting, *(answer.zero_() for answer in answers))


def _soften(excess_of: str, threads: int, *setting: Any, temperature: float, most: torch.Tensor) -> None:
    """Turn maxima into soft maxima by a kernel that sums the Gaussians' terms; do nothing at temperature 0."""
    if temperature > 0:
        excess = torch.zeros_like(most)
        launch(excess_of, threads, *setting, temperature, most, excess)
        launch("gaussian_soften", most.numel(), excess.view(-1), most.numel(), temperature, most.view(-1))


def gaussian_values(
    grid: GaussianGrid,
    count: int,
    means: torch.Tensor,
    matrices: torch.Tensor,
    amplitudes: torch.Tensor,
    reach: float,
    temperature: float,
    points: torch.Tensor,
    number: int,
    values: torch.Tensor,
) -> None:
    """Evaluate every Gaussian at every point, without the grid's cells."""
    launch("gaussian_values", number, count, means, matrices, amplitudes, reach, temperature, points, number, values)


# -- Gaussians blended front to back: opacities [count], colours [count, 3], order [view, count] ---------------------------------


def splat(
    vectors: np.ndarray,
    views: int,
    rows: int,
    columns: int,
    count: int,
    means: torch.Tensor,
    matrices: torch.Tensor,
    opacities: torch.Tensor,
    colours: torch.Tensor,
    order: torch.Tensor,
    images: torch.Tensor,
    left: torch.Tensor,
    last: torch.Tensor,
) -> None:
    sight = (_on(means.device, vectors), views, rows, columns, count, means, matrices, opacities, colours, order)
    launch("splat", *_splat_lists(*sight), images, left, last)


def splat_backward(
    vectors: np.ndarray,
    views: int,
    rows: int,
    columns: int,
    count: int,
    means: torch.Tensor,
    matrices: torch.Tensor,
    opacities: torch.Tensor,
    colours: torch.Tensor,
    order: torch.Tensor,
    left: torch.Tensor,
    last: torch.Tensor,
    gradient: torch.Tensor,
    *answers: torch.Tensor,
) -> None:
    vectors_there = _on(means.device, vectors)
    threads, *lists = _splat_lists(vectors_there, views, rows, columns, count, means, matrices, opacities, colours, order)
    splats = lists[4]
    sums = torch.zeros(order.numel(), SUMS_NUMBERS, dtype=torch.float32, device=means.device)
    launch("splat_sums", threads, *lists, left, last, gradient, sums)
    setting = (vectors_there, views, rows, columns, count, means, matrices, opacities, order, splats, sums)
    launch("splat_backward", order.numel(), *setting, *(answer.zero_() for answer in answers))


def _splat_lists(vectors: torch.Tensor, views: int, rows: int, columns: int, count: int, *parameters: torch.Tensor) -> Any:
    """Return the number of pixel threads and their input: counts, Gaussians by view, keys, and the start of each tile's keys.

    Wait for the device: the number of reached tiles decides the memory to allocate.
    """
    device, pairs = vectors.device, views * count
    tiles = views * -(-rows // SPLAT_TILE) * -(-columns // SPLAT_TILE)
    splats = torch.empty(pairs, SPLAT_NUMBERS, dtype=torch.float32, device=device)
    reached = torch.empty(pairs, dtype=torch.int64, device=device)
    counts = (views, rows, columns, count)
    launch("splat_sight", pairs, vectors, *counts, *parameters, splats, reached)
    ends = reached.cumsum(0)
    keys = torch.full(
        (int(ends[-1]) if pairs else 0,), tiles * count, dtype=torch.int64, device=device
    )  # unfilled entries sort behind all tiles
    launch("splat_keys", pairs, *counts, splats, reached, ends, keys)
    keys = keys.sort().values
    starts = torch.searchsorted(keys, count * torch.arange(tiles + 1, device=device))
    return tiles * SPLAT_TILE**2, *counts, splats, keys, starts


# -- total variation: volumes [z, y, x] ---------------------------------------------------------------------------------------


def tv_primal(
    target: torch.Tensor, dual: torch.Tensor, shape: Shape, scale: np.ndarray, weight: float, floor: float, x: torch.Tensor
) -> None:
    launch("tv_primal", x.numel(), target, dual, shape, scale, weight, floor, x)


def tv_dual(
    x: torch.Tensor,
    shape: Shape,
    scale: np.ndarray,
    weights: torch.Tensor | None,
    step: float,
    momentum: float,
    p: torch.Tensor,
    q: torch.Tensor,
) -> None:
    launch("tv_dual", x.numel(), x, shape, scale, weights, step, momentum, p, q)


def tv_value(x: torch.Tensor, shape: Shape, scale: np.ndarray, weights: torch.Tensor | None, slices: np.ndarray) -> None:
    """Compute the sums of all slices; wait for the device."""
    lengths = torch.empty_like(x)
    launch("tv_lengths", x.numel(), x, shape, scale, weights, lengths)
    slices[:] = lengths.sum((1, 2), dtype=torch.float64).cpu().numpy()
