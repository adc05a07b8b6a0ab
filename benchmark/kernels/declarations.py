"""Declarations of all compiled kernels: names, types and shapes of arguments. C types, checks and sizes follow from them.

A declaration reads like a prototype, `name(argument: type, ...)`. A type is one of
    f32  f64  i32  i64             a number
    f32[count, 3]                  a tensor of this shape, C-contiguous, on the device of all other tensors of the call
    f32[a, b | c, d]               a list of tensors of these shapes
    host f64[3]                    a numpy array, which stays on the host
    i32(nz, ny, nx)                a tuple of whole numbers, which define the sizes of these names; `...` stands for any number of others
    HashLevel[levels]              an array of C structs
    GaussianGrid(nx, ny, nz)       a C struct, whose `n` are the sizes of these names
with `out` before arguments that the kernel writes and `?` after arguments that may be None. A size is a number, a name, a product of
them, or one of these plus a number. A name means the same size everywhere in a call; a whole number among the arguments is the size of
its own name. `-> i64` means that the kernel returns a number.

CPU holds the functions seed_<name> of the .cpp files. Arrays, tuples, lists and structs are passed by address, and a returned number is
written to an address after the last argument. CUDA holds the kernels seed_<name> of the .cuh files, which take tensors by address and
everything else by value.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import math
import re
from typing import Any, Literal

Kind = Literal["number", "tensor", "tensors", "array", "sizes", "structs", "struct"]
NUMBERS: dict[str, Any] = {
    "f32": ctypes.c_float, "f64": ctypes.c_double, "i32": ctypes.c_int32, "i64": ctypes.c_int64, "u8": ctypes.c_uint8,
}  # fmt: skip


class HashLevel(ctypes.Structure):
    """One level of a hash grid: hash_grid.h."""

    _fields_ = [
        ("scale", ctypes.c_float),
        ("resolution", ctypes.c_int),
        ("entries", ctypes.c_uint32),
        ("hashed", ctypes.c_int),
        ("offset", ctypes.c_int64),
    ]


class GaussianGrid(ctypes.Structure):
    """Grid points: their number, the first one and the step [mm], along x, y, z: gaussians.h."""

    _fields_ = [("n", ctypes.c_int * 3), ("lower", ctypes.c_float * 3), ("step", ctypes.c_float * 3)]


STRUCTS: dict[str, Any] = {"HashLevel": HashLevel, "GaussianGrid": GaussianGrid}


@dataclasses.dataclass(frozen=True)
class Size:
    """One size of a shape: factor times the product of the named sizes, plus more."""

    text: str
    factor: int
    names: tuple[str, ...]
    more: int = 0

    @classmethod
    def of(cls, text: str) -> Size:
        """Parse '3', 'count', '2 * levels' or 'nx + 2'."""
        product, _, more = text.partition("+")
        factors = [factor.strip() for factor in product.split("*")]
        names = tuple(factor for factor in factors if not factor.isdigit())
        return cls(text.strip(), math.prod(int(factor) for factor in factors if factor.isdigit()), names, int(more or 0))

    @property
    def name(self) -> str | None:
        """The name, if the size is a name alone."""
        return self.names[0] if len(self.names) == 1 and (self.factor, self.more) == (1, 0) else None

    def value(self, known: dict[str, int]) -> int | None:
        """Return the size; None if one of its names is not known yet."""
        value = self.factor
        for name in self.names:
            if name not in known:
                return None
            value *= known[name]
        return value + self.more


Shape = tuple[Size, ...]


@dataclasses.dataclass(frozen=True)
class Argument:
    """One argument of a kernel. `shapes` has one shape for each tensor; for a tuple or struct it holds the names of its numbers."""

    name: str
    kind: Kind
    type: str
    shapes: tuple[Shape, ...] = ()
    written: bool = False
    optional: bool = False

    @property
    def by_value(self) -> Any:
        """Return the C type of the argument if passed by value. Raise KeyError for shapes with unknown sizes."""
        if self.kind == "number":
            return NUMBERS[self.type]
        if self.kind == "tensor":
            return ctypes.c_void_p
        if self.kind == "tensors":
            return ctypes.c_void_p * len(self.shapes)
        element = {**NUMBERS, **STRUCTS}[self.type]
        if self.kind == "struct":
            return element
        return element * (len(self.shapes[0]) if self.kind == "sizes" else math.prod(_fixed(size) for size in self.shapes[0]))


def _fixed(size: Size) -> int:
    value = size.value({})
    if value is None:
        raise KeyError(f"{size.text} is not a fixed size")
    return value


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel's name and arguments, and True if it returns a whole number."""

    name: str
    arguments: tuple[Argument, ...]
    answers: bool = False

    @functools.cached_property
    def argtypes(self) -> list[Any]:
        """Types of the arguments of the function seed_<name> of the C++ library, which returns a status."""
        own = [NUMBERS[argument.type] if argument.kind == "number" else ctypes.c_void_p for argument in self.arguments]
        return [*own, ctypes.c_void_p] if self.answers else own

    @functools.cached_property
    def bytes(self) -> tuple[int, ...]:
        """Sizes of the parameters of the CUDA kernel seed_<name>."""
        return tuple(ctypes.sizeof(argument.by_value) for argument in self.arguments)


ARGUMENT = re.compile(r"(\w+): (out )?(host )?(\w+)(?:\[(.+)\]|\((.+)\))?(\?)?")
PROTOTYPE = re.compile(r"(\w+)\((.*)\)( -> i64)?", re.DOTALL)


def argument(text: str) -> Argument:
    """Parse 'name: type'. Raise ValueError for anything else."""
    found = ARGUMENT.fullmatch(text.strip())
    if not found or found[4] not in {**NUMBERS, **STRUCTS}:
        raise ValueError(f"no argument of a kernel: {text!r}")
    name, written, host, kind_of, square, round_, optional = found.groups()
    shapes = tuple(tuple(Size.of(size) for size in shape.split(",")) for shape in (square or round_ or "").split("|") if shape.strip())
    kind: Kind = "number"
    if kind_of in STRUCTS:
        kind = "structs" if square else "struct"
    elif round_:
        kind = "sizes"
    elif square:
        kind = "array" if host else "tensor" if len(shapes) == 1 else "tensors"
    return Argument(name, kind, kind_of, shapes, bool(written), bool(optional))


def kernel(text: str) -> Kernel:
    """Parse a prototype. Raise ValueError for anything else."""
    found = PROTOTYPE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"no prototype of a kernel: {text!r}")
    return Kernel(found[1], tuple(argument(part) for part in re.split(r",(?![^\[(]*[\])])", found[2])), bool(found[3]))


def kernels(text: str) -> dict[str, Kernel]:
    """Parse prototypes, each beginning with its name on a new line; return them by name."""
    return {each.name: each for each in map(kernel, re.split(r"\n(?=\w)", text.strip()))}


# -- parts common to many ------------------------------------------------------------------------------------------------

COUNTS = "count: i32, rows: i32, columns: i32"
VIEWS = f"views: host f64[count, 4, 3], {COUNTS}"  # source, detector centre, u step, v step
PIXELS = "f32[count, rows, columns]"
VOLUME = "f32[nz, ny, nx]"
SHAPE = "shape: i32(nz, ny, nx)"
RAYS = "origins: f32[rays, 3], directions: f32[rays, 3]"
HOW = "samples: i32, step: f64, seed: i64, cells: u8[cz, cy, cx]?, cells_shape: i32(cz, cy, cx)"
POINTS = "points: f32[count, 3], count: i64"
LEVELS = "levels: HashLevel[level_count], level_count: i32"
SHAPES = "shapes: i32(rows0, columns0, length0, rows1, columns1, length1, rows2, columns2, length2)"
PLANES = "f32[channels, rows0, columns0 | channels, rows1, columns1 | channels, rows2, columns2]"
LINES = "f32[channels, length0 | channels, length1 | channels, length2]"
GRID_PLANES = "f32[channels, ny, nx | channels, nz, ny | channels, nz, nx]"
GRID_LINES = "f32[channels, nz | channels, nx | channels, ny]"
LAYERS = "widths: i32(inputs, ..., outputs), layers: i32, skip: i32, slope: f32, weights: f32[parameters], parameters: i64"
NETWORK = f"in: f32[inputs, count], count: i64, {LAYERS}"
VM = f"{POINTS}, channels: i32, {SHAPES}, planes: {PLANES}, lines: {LINES}"
VM_GRID = f"channels: i32, runs: i64[count, 5], count: i64, voxels: i64, planes: {GRID_PLANES}, lines: {GRID_LINES}"
SCENE = "views: i32, rows: i32, columns: i32, count: i64"
SHAPED = "means: f32[count, 3], matrices: f32[count, 3, 3]"
MIXTURE = f"{SHAPED}, amplitudes: f32[count], reach: f32"
OF_MIXTURE = "to_means: out f32[count, 3], to_matrices: out f32[count, 3, 3], to_amplitudes: out f32[count]"
GAUSSIANS = f"vectors: host f64[views, 4, 3], {SCENE}, {MIXTURE}"
GRID = "grid: GaussianGrid(nx, ny, nz), count: i64"
IMAGES = "f32[views, rows, columns]"
SPLATS = f"{SHAPED}, opacities: f32[count], colours: f32[count, 3], order: i64[views, count]"
OF_SPLATS = "to_means: out f32[count, 3], to_matrices: out f32[count, 3, 3], to_opacities: out f32[count], to_colours: out f32[count, 3]"
VOXELS = f"""voxels: host {VOLUME}, count: i64(nx, ny, nz), spacing: host f64[3], corner: host f64[3], low: host f64[3], high: host f64[3],
    vectors: host f64[views, 4, 3], views: i64, rows: i64, columns: i64, sub_rays: i64, out: out host f32[views, rows, columns]"""

# -- C++ functions ----------------------------------------------------------------------------------------------------------

CPU = kernels(f"""
set_threads(threads: i32)

project_separable(volume: {VOLUME}, {SHAPE}, spacing: host f64[3], {VIEWS}, projections: out {PIXELS})
backproject_separable(volume: out {VOLUME}, {SHAPE}, spacing: host f64[3], {VIEWS}, projections: {PIXELS})
project_rays(volume: {VOLUME}, {SHAPE}, spacing: host f64[3], {VIEWS}, projections: out {PIXELS})
backproject_rays(volume: out {VOLUME}, {SHAPE}, spacing: host f64[3], {VIEWS}, projections: {PIXELS})
fdk_backproject(volume: out {VOLUME}, {SHAPE}, views: host f64[count, 9], {COUNTS}, filtered: f32[count, columns, rows], scale: f32)
simulate_voxels({VOXELS})
simulate_voxel_maxima({VOXELS})

clip_rays({RAYS}, rays: i64, box: host f64[2, 3], spans: out f32[rays, 2])
march_count({RAYS}, rays: i64, box: host f64[2, 3], {HOW}, table: out i64[rays, 2]) -> i64
march_fill({RAYS}, begin: i64, end: i64, box: host f64[2, 3], {HOW}, table: i64[rays, 2], positions: out f32[number, 3],
    ts: out f32[number, 2])
check_packed(table: i64[rays, 2], rays: i64, samples: i64) -> i64
composite_sum(mu: f32[samples], ts: f32[samples, 2], table: i64[rays, 2], rays: i64, out: out f32[rays])
composite_sum_transpose(values: f32[rays], ts: f32[samples, 2], table: i64[rays, 2], rays: i64, mu: out f32[samples])
composite_max(mu: f32[samples], table: i64[rays, 2], rays: i64, out: out f32[rays], at: out i64[rays])
composite_pick(mu: f32[samples], at: i64[rays], rays: i64, out: out f32[rays])
composite_pick_transpose(out: f32[rays], at: i64[rays], rays: i64, mu: out f32[samples])

hash_encode({POINTS}, {LEVELS}, table: f32[entries, 2], features: out f32[2 * level_count, count])
hash_encode_backward({POINTS}, {LEVELS}, gradient: f32[2 * level_count, count], table_gradient: out f32[entries, 2])
hash_encode_points({POINTS}, {LEVELS}, table: f32[entries, 2], gradient: f32[2 * level_count, count], point_gradient: out f32[count, 3])
mlp({NETWORK}, out: out f32[outputs, count])
mlp_backward({NETWORK}, out_gradient: f32[outputs, count], in_gradient: out f32[inputs, count]?, weight_gradient: out f32[parameters])

vm_encode({VM}, features: out f32[3 * channels, count])
vm_encode_backward({VM}, gradient: f32[3 * channels, count], plane_gradients: out {PLANES}, line_gradients: out {LINES})
vm_encode_points({VM}, gradient: f32[3 * channels, count], point_gradients: out f32[count, 3])
vm_grid(nz: i32, ny: i32, nx: i32, {VM_GRID}, features: out f32[3 * channels, voxels])
vm_grid_backward(nz: i32, ny: i32, nx: i32, {VM_GRID}, gradient: f32[3 * channels, voxels], plane_gradients: out {GRID_PLANES},
    line_gradients: out {GRID_LINES})
vm_network(nz: i32, ny: i32, nx: i32, {VM_GRID}, {LAYERS}, out: out f32[outputs, voxels])
vm_network_backward(nz: i32, ny: i32, nx: i32, {VM_GRID}, {LAYERS}, out_gradient: f32[outputs, voxels], plane_gradients: out {GRID_PLANES},
    line_gradients: out {GRID_LINES}, weight_gradient: out f32[parameters])

gaussian_project({GAUSSIANS}, images: out {IMAGES})
gaussian_project_backward({GAUSSIANS}, gradient: {IMAGES}, {OF_MIXTURE})
gaussian_peaks({GAUSSIANS}, temperature: f32, images: out {IMAGES})
gaussian_peaks_backward({GAUSSIANS}, temperature: f32, images: {IMAGES}, gradient: {IMAGES}, {OF_MIXTURE})
gaussian_voxelise({GRID}, {MIXTURE}, volume: out {VOLUME})
gaussian_voxelise_backward({GRID}, {MIXTURE}, gradient: {VOLUME}, {OF_MIXTURE})
gaussian_soft_voxelise({GRID}, {MIXTURE}, temperature: f32, volume: out {VOLUME})
gaussian_soft_voxelise_backward({GRID}, {MIXTURE}, temperature: f32, volume: {VOLUME}, gradient: {VOLUME}, {OF_MIXTURE})
gaussian_values({GRID}, {MIXTURE}, temperature: f32, points: f32[number, 3], number: i64, values: out f32[number])
splat(vectors: host f64[views, 4, 3], {SCENE}, {SPLATS}, images: out f32[views, rows, columns, 4], left: out {IMAGES},
    last: out i32[views, rows, columns])
splat_backward(vectors: host f64[views, 4, 3], {SCENE}, {SPLATS}, left: {IMAGES}, last: i32[views, rows, columns],
    gradient: f32[views, rows, columns, 4], {OF_SPLATS})

tv_primal(target: {VOLUME}, dual: f32[3, nz, ny, nx], {SHAPE}, scale: host f32[3], lambda: f32, floor: f32, x: out {VOLUME})
tv_dual(x: {VOLUME}, {SHAPE}, scale: host f32[3], weights: {VOLUME}?, step: f32, momentum: f32, p: out f32[3, nz, ny, nx],
    q: out f32[3, nz, ny, nx])
tv_value(x: {VOLUME}, {SHAPE}, scale: host f32[3], weights: {VOLUME}?, slices: out host f64[nz])
""")

# -- CUDA kernels: views lie on the device, a volume may have a rim of zeros ------------------------------------------------------------

RIMMED = "f32[ny + 2, nx + 2, nz + 2]"
THERE = f"views: f64[count, 4, 3], {COUNTS}"
ALL_LEVELS = "levels: HashLevel[32], level_count: i32"  # MOST_LEVELS of hash_grid.cuh
PLACES = "grid: i32(nz, ny, nx), channels: i32, places: i64[nz, ny, nx], voxels: i64"
SEEN = f"vectors: f64[views, 4, 3], {SCENE}"
SPLAT, SUMS = "f32[views * count, 21]", "f32[views * count, 16]"  # SPLAT_NUMBERS and SUMS_NUMBERS of splatter.cuh
LISTS = f"{SCENE}, splats: {SPLAT}, keys: i64[keys], starts: i64[starts]"

CUDA = kernels(f"""
project_rays(volume: {RIMMED}, {SHAPE}, spacing: host f64[3], {THERE}, projections: out {PIXELS})
backproject_rays(volume: out {RIMMED}, {SHAPE}, spacing: host f64[3], {THERE}, projections: {PIXELS})
fdk_backproject(volume: out {VOLUME}, {SHAPE}, views: f64[count, 9], {COUNTS}, filtered: f32[count, columns, rows], scale: f32)

clip_rays({RAYS}, rays: i64, box: host f64[2, 3], spans: out f32[rays, 2])
march_count({RAYS}, rays: i64, box: host f64[2, 3], {HOW}, table: out i64[rays, 2])
march_fill({RAYS}, begin: i64, end: i64, box: host f64[2, 3], {HOW}, table: i64[rays, 2], positions: out f32[number, 3],
    ts: out f32[number, 2])
march_places(rays: i64, samples: i64, seed: i64, places: out f32[rays, samples])
composite_sum(mu: f32[samples], ts: f32[samples, 2], table: i64[rays, 2], rays: i64, out: out f32[rays])
composite_sum_transpose(values: f32[rays], ts: f32[samples, 2], table: i64[rays, 2], rays: i64, mu: out f32[samples])
composite_max(mu: f32[samples], table: i64[rays, 2], rays: i64, out: out f32[rays], at: out i64[rays])
composite_pick(mu: f32[samples], at: i64[rays], rays: i64, out: out f32[rays])
composite_pick_transpose(out: f32[rays], at: i64[rays], rays: i64, mu: out f32[samples])

hash_encode({POINTS}, {ALL_LEVELS}, table: f32[entries, 2], features: out f32[2 * level_count, count])
hash_encode_backward({POINTS}, {ALL_LEVELS}, gradient: f32[2 * level_count, count], table_gradient: out f32[entries, 2])
hash_encode_points({POINTS}, {ALL_LEVELS}, table: f32[entries, 2], gradient: f32[2 * level_count, count], point_gradient: out f32[count, 3])

vm_encode({VM}, features: out f32[3 * channels, count])
vm_encode_backward({VM}, gradient: f32[3 * channels, count], plane_gradients: out {PLANES}, line_gradients: out {LINES})
vm_encode_points({VM}, gradient: f32[3 * channels, count], point_gradients: out f32[count, 3])
vm_grid({PLACES}, planes: {GRID_PLANES}, lines: {GRID_LINES}, features: out f32[3 * channels, voxels])
vm_grid_to_plane({PLACES}, k: i32, line: f32[channels, length], gradient: f32[3 * channels, voxels],
    plane_gradient: out f32[channels, r, s])
vm_grid_to_line({PLACES}, k: i32, plane: f32[channels, r, s], gradient: f32[3 * channels, voxels], partial: out f32[channels, length, r])
sum_rows(partial: f32[count, rows], count: i64, rows: i64, out: out f32[count])

gaussian_project({SEEN}, {MIXTURE}, images: out {IMAGES})
gaussian_project_backward({SEEN}, {MIXTURE}, gradient: {IMAGES}, {OF_MIXTURE})
gaussian_voxelise({GRID}, {MIXTURE}, volume: out {VOLUME})
gaussian_voxelise_backward({GRID}, {MIXTURE}, gradient: {VOLUME}, {OF_MIXTURE})
gaussian_peaks({SEEN}, {MIXTURE}, images: out {IMAGES})
gaussian_soft_peaks({SEEN}, {MIXTURE}, temperature: f32, images: {IMAGES}, excess: out {IMAGES})
gaussian_soften(excess: f32[count], count: i64, temperature: f32, values: out f32[count])
gaussian_peaks_backward({SEEN}, {MIXTURE}, temperature: f32, images: {IMAGES}, gradient: {IMAGES}, {OF_MIXTURE})
gaussian_voxel_peaks({GRID}, {MIXTURE}, volume: out {VOLUME})
gaussian_soft_voxels({GRID}, {MIXTURE}, temperature: f32, volume: {VOLUME}, excess: out {VOLUME})
gaussian_soft_voxels_backward({GRID}, {MIXTURE}, temperature: f32, volume: {VOLUME}, gradient: {VOLUME}, {OF_MIXTURE})
gaussian_values(count: i64, {MIXTURE}, temperature: f32, points: f32[number, 3], number: i64, values: out f32[number])

splat_sight({SEEN}, {SPLATS}, splats: out {SPLAT}, reached: out i64[views * count])
splat_keys({SCENE}, splats: {SPLAT}, reached: i64[views * count], ends: i64[views * count], keys: out i64[keys])
splat({LISTS}, images: out f32[views, rows, columns, 4], left: out {IMAGES}, last: out i32[views, rows, columns])
splat_sums({LISTS}, left: {IMAGES}, last: i32[views, rows, columns], gradient: f32[views, rows, columns, 4], sums: out {SUMS})
splat_backward({SEEN}, {SHAPED}, opacities: f32[count], order: i64[views, count], splats: {SPLAT}, sums: {SUMS}, {OF_SPLATS})

tv_primal(target: {VOLUME}, dual: f32[3, nz, ny, nx], {SHAPE}, scale: host f32[3], lambda: f32, floor: f32, x: out {VOLUME})
tv_dual(x: {VOLUME}, {SHAPE}, scale: host f32[3], weights: {VOLUME}?, step: f32, momentum: f32, p: out f32[3, nz, ny, nx],
    q: out f32[3, nz, ny, nx])
tv_lengths(x: {VOLUME}, {SHAPE}, scale: host f32[3], weights: {VOLUME}?, lengths: out {VOLUME})
""")
