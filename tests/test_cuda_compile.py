"""The CUDA kernels without a GPU: NVRTC compiles them, and run on the CPU they compute what the CPU kernels compute."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.ct.composite import composite_max, composite_rays_xray
from benchmark.ct.geometry import ConeBeamGeometry
from benchmark.ct.integrate import march
from benchmark.ct.kernels import cuda
from benchmark.ct.kernels.call import call
from benchmark.ct.kernels.library import OPTIMISE, SOURCES, find_compiler, tuning_flags
from benchmark.ct.projector import Projector
from benchmark.ct.rays import view_rays
from benchmark.errors import InputError, MissingDependency
from benchmark.fields import HashGrid
from benchmark.fields.mixture import Grid

KERNELS = (
    "seed_project_rays",
    "seed_backproject_rays",
    "seed_march_count",
    "seed_march_fill",
    "seed_composite_sum",
    "seed_composite_sum_transpose",
    "seed_composite_max",
    "seed_composite_max_transpose",
    "seed_hash_encode",
    "seed_hash_encode_backward",
    "seed_gaussian_project",
    "seed_gaussian_project_backward",
    "seed_gaussian_voxelise",
    "seed_gaussian_voxelise_backward",
    "seed_gaussian_peaks",
    "seed_gaussian_soft_peaks",
    "seed_gaussian_soften",
    "seed_gaussian_peaks_backward",
    "seed_gaussian_voxel_peaks",
    "seed_gaussian_soft_voxels",
    "seed_gaussian_soft_voxels_backward",
)


def geometry() -> ConeBeamGeometry:
    return ConeBeamGeometry(
        source_to_origin=300.0,
        source_to_detector=450.0,
        detector_shape=(11, 13),
        detector_pitch=(9.0, 8.0),
        volume_shape=(12, 14, 16),
        volume_spacing=(4.0, 3.6, 3.0),
        angles=np.linspace(0, 2 * np.pi, 5, endpoint=False),
        detector_roll=0.2,
    )


# -- compiling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90"])
def test_the_kernels_compile_for(arch):
    cubin = cuda.compile_cubin(arch)
    assert cubin[:4] == b"\x7fELF"
    assert int.from_bytes(cubin[18:20], "little") == 190  # EM_CUDA
    for name in KERNELS:
        assert b".text." + name.encode() + b"\0" in cubin


@pytest.mark.parametrize("header", sorted(path.name for path in SOURCES.glob("*.h")))
def test_every_shared_header_compiles_alone(header):
    source = f'#include "{header}"\nextern "C" __global__ void nothing() {{}}\n'
    assert cuda.compile_cubin("sm_80", source)[:4] == b"\x7fELF"


def test_a_mistake_in_a_kernel_is_shown_with_its_place():
    with pytest.raises(RuntimeError, match=r"kernels\.cu\(2\).*undeclared_name"):
        cuda.compile_cubin("sm_80", "__global__ void broken() {\n  undeclared_name = 1;\n}\n")


def test_an_unknown_architecture_lists_the_known_ones():
    with pytest.raises(InputError, match="sm_80.*found 'sm_1'"):
        cuda.compile_cubin("sm_1")


def test_without_nvrtc_the_error_names_the_install_line(monkeypatch, tmp_path):
    (tmp_path / "libnvrtc.so.99").write_text("not a library")
    monkeypatch.setattr(cuda, "_candidates", lambda: iter([tmp_path / "libnvrtc.so.99"]))
    cuda.load_nvrtc.cache_clear()
    try:
        with pytest.raises(MissingDependency, match="pip install nvidia-cuda-nvrtc.*not usable.*libnvrtc.so.99"):
            cuda.compile_cubin()
    finally:
        cuda.load_nvrtc.cache_clear()


# -- the same kernels, run on the CPU -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def emulated(tmp_path_factory) -> ctypes.CDLL:
    compiler, target = find_compiler(), tmp_path_factory.mktemp("cuda") / "emulated.so"
    source = Path(__file__).with_name("emulate.cpp")
    command = [compiler, *OPTIMISE, *tuning_flags(compiler), "-shared", f"-I{SOURCES}", str(source), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(target))


def at(value: torch.Tensor | np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(value.data_ptr() if isinstance(value, torch.Tensor) else value.ctypes.data)


def test_projector_kernels(emulated):
    projector = Projector(geometry(), "rays")
    volume, projections = torch.rand(projector.geometry.volume_shape), torch.rand(projector.geometry.projection_shape)
    shape = (ctypes.c_int * 3)(*volume.shape)
    setting = (shape, at(projector._spacing), at(projector._views), *projections.shape)
    padded, forward = torch.nn.functional.pad(volume, (1,) * 6), torch.empty_like(projections)
    emulated.run_project(at(padded), *setting, at(forward))
    torch.testing.assert_close(forward, projector.forward(volume), rtol=1e-6, atol=1e-6)
    back = torch.zeros_like(padded)
    emulated.run_backproject(at(back), *setting, at(projections))
    torch.testing.assert_close(back[1:-1, 1:-1, 1:-1], projector.adjoint(projections), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("samples, step, jittered, skipping", [(9, 0.0, True, False), (0, 1.3, False, False), (0, 1.3, True, True)])
def test_march_kernels(emulated, samples, step, jittered, skipping):
    rays, bounds = view_rays(geometry()), geometry().volume_bounds
    cells = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(1)).gt(0.5).to(torch.uint8) if skipping else None
    how = {"samples": samples} if samples else {"step": step}
    expected = march(rays, bounds, jitter=torch.Generator().manual_seed(3) if jittered else None, occupancy=cells, **how)
    seed = int(torch.randint(1 << 31, (), generator=torch.Generator().manual_seed(3))) if jittered else -1
    table, positions, ts = torch.empty_like(expected.rays), torch.empty_like(expected.positions), torch.empty_like(expected.ts)
    occupied, shape = (at(cells), (ctypes.c_int * 3)(*cells.shape)) if skipping else (None, None)
    emulated.run_march.restype = ctypes.c_int64
    total = emulated.run_march(
        at(rays.origins), at(rays.directions), ctypes.c_int64(len(rays)), at(bounds), samples, ctypes.c_double(step), ctypes.c_int64(seed),
        occupied, shape, at(table), at(positions), at(ts),
    )  # fmt: skip
    assert total == len(expected.positions) > 1000
    assert torch.equal(table, expected.rays)
    torch.testing.assert_close(positions, expected.positions, rtol=0, atol=1e-5)
    torch.testing.assert_close(ts, expected.ts, rtol=1e-6, atol=1e-5)


def test_composite_kernels(emulated):
    samples = march(view_rays(geometry()), geometry().volume_bounds, step=3.0)
    mu = torch.randn(len(samples.positions), requires_grad=True)
    count = len(samples.rays)
    weights, total, most, place = torch.randn(count), torch.empty(count), torch.empty(count), torch.empty(count, dtype=torch.int64)
    total_back, most_back = torch.zeros_like(mu), torch.zeros_like(mu)
    results = (total, total_back, most, place, most_back)
    emulated.run_composites(at(mu), at(samples.ts), at(samples.rays), ctypes.c_int64(count), at(weights), *map(at, results))
    for found, back, expected in (
        (total, total_back, composite_rays_xray(mu, samples.ts, samples.rays)),
        (most, most_back, composite_max(mu, samples.rays)),
    ):
        torch.testing.assert_close(found, expected.detach(), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(back, torch.autograd.grad(expected, mu, weights)[0], rtol=1e-6, atol=0)


def test_hash_grid_kernels(emulated):
    grid = HashGrid(levels=4, base=4, finest=32, log2_entries=10, spread=1.0)
    points = torch.rand(500, 3, generator=torch.Generator().manual_seed(0))
    expected = grid(points)
    gradient = torch.randn_like(expected)
    (table_gradient,) = torch.autograd.grad(expected, grid.table, gradient)
    features, back, by_feature = torch.empty(8, 500), torch.zeros_like(grid.table), gradient.t().contiguous()
    answers = (at(features), at(by_feature), at(back))
    emulated.run_hash(at(points), ctypes.c_int64(500), ctypes.byref(grid.levels), 4, at(grid.table), *answers)
    torch.testing.assert_close(features.t(), expected.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(back, table_gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["project", "voxelise", "peaks", "soft_voxelise"])
def test_gaussian_kernels(emulated, name):
    generator = torch.Generator().manual_seed(0)
    means, matrices = 40 * torch.rand(50, 3, generator=generator) - 20, 0.3 * torch.randn(50, 3, 3, generator=generator)
    gaussians = (ctypes.c_int64(50), means, matrices, torch.rand(50, generator=generator), ctypes.c_float(12.0))
    grid = Grid.of((12, 14, 16), (-20, -23, -22), (4.0, 3.6, 3.0))
    on_grid, soft = name.endswith("voxelise"), name in ("peaks", "soft_voxelise")
    where = (ctypes.byref(grid),) if on_grid else (geometry().vectors(), *map(ctypes.c_int, geometry().projection_shape))
    shape = (12, 14, 16) if on_grid else geometry().projection_shape
    gaussians += (ctypes.c_float(0.1),) if soft else ()  # the temperature
    gradient = torch.randn(shape, generator=generator)
    answers = [torch.zeros(shape), *(torch.zeros_like(tensor) for tensor in gaussians[1:4])]
    excess = (torch.zeros(shape),) if soft else ()
    emulated_arguments = (*where, *gaussians, answers[0], *excess, gradient, *answers[1:])
    getattr(emulated, f"run_gaussian_{name}")(*(at(v) if isinstance(v, (torch.Tensor, np.ndarray)) else v for v in emulated_arguments))
    expected = [torch.empty_like(tensor) for tensor in answers]
    call(f"gaussian_{name}", *where, *gaussians, expected[0])
    call(f"gaussian_{name}_backward", *where, *gaussians, *expected[:1] * soft, gradient, *expected[1:])
    assert float(expected[0].max()) > 0.01
    for found, wanted in zip(answers, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=2e-4 * float(wanted.abs().max()))
