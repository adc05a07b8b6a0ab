"""The CUDA side without a GPU: NVRTC compiles the kernels, and the launcher gives them what they take.

What the kernels compute is tested where the CPU's are, on the device 'pretend' (see pretend.py).
"""

from __future__ import annotations

import ctypes
import re
import struct
from typing import Any

import numpy as np
import pytest
import torch
import twins
from pretend import emulated_driver, pretending

from benchmark.errors import InputError, MissingDependency
from benchmark.fields import HashGrid
from benchmark.kernels import cuda_kernels, cuda_module, driver, nvrtc
from benchmark.kernels.arguments import Arguments
from benchmark.kernels.cpu_library import library
from benchmark.kernels.declarations import CUDA
from benchmark.kernels.dispatch import call
from benchmark.kernels.sources import CPU_SOURCES, CUDA_SOURCES, SHARED_SOURCES
from benchmark.projection.marching import march
from benchmark.projection.rays import Rays

CPU_ONLY = {"mlp", "mlp_backward", "vm_network", "vm_network_backward", "set_threads"}  # a GPU's own library multiplies matrices


def kernels() -> list[str]:
    """Names of the kernels that the emulated driver has."""
    found: list[str] = []
    while (name := emulated_driver().emulated_name(len(found))) is not None:
        found.append(name.decode())
    return found


# -- compiling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90", "sm_100"])
def test_the_kernels_compile_and_keep_everything_in_registers(arch):
    found = nvrtc.resources(arch)
    assert sorted(found) == sorted(kernels())
    for name, takes in found.items():
        assert takes.stack == takes.spilled == 0, name
        assert 0 < takes.registers <= 128, name


def test_spills_are_seen():
    """A kernel that cannot but use local memory: the test above can fail."""
    source = """extern "C" __global__ void spills(float* x, int n) {
        float kept[200];
        for (int i = 0; i < 200; ++i) kept[i] = x[i * n];
        x[0] = kept[n];
    }"""
    _, report = nvrtc._compile("sm_80", source, "--ptxas-options=-v")
    assert nvrtc.parsed(report)["spills"].stack >= 800


@pytest.mark.parametrize("header", sorted(path.name for path in SHARED_SOURCES.glob("*.h")))
def test_every_shared_header_compiles_alone(header):
    source = f'#include "{header}"\nextern "C" __global__ void nothing() {{}}\n'
    assert nvrtc.compile_cubin("sm_80", source)[:4] == b"\x7fELF"


def test_a_mistake_in_a_kernel_is_shown_with_its_place():
    with pytest.raises(RuntimeError, match=r"kernels\.cu\(2\).*undeclared_name"):
        nvrtc.compile_cubin("sm_80", "__global__ void broken() {\n  undeclared_name = 1;\n}\n")


def test_an_unknown_architecture_lists_the_known_ones():
    with pytest.raises(InputError, match="sm_80.*found 'sm_1'"):
        nvrtc.compile_cubin("sm_1")


def test_without_nvrtc_the_error_names_the_install_line(monkeypatch, tmp_path):
    (tmp_path / "libnvrtc.so.99").write_text("not a library")
    monkeypatch.setattr(nvrtc, "_candidates", lambda: iter([tmp_path / "libnvrtc.so.99"]))
    nvrtc.load_nvrtc.cache_clear()
    try:
        with pytest.raises(MissingDependency, match="pip install nvidia-cuda-nvrtc.*not usable.*libnvrtc.so.99"):
            nvrtc.compile_cubin()
    finally:
        nvrtc.load_nvrtc.cache_clear()


def test_the_nvrtc_of_torchs_cuda_version_comes_first(monkeypatch):
    found = ["/x/libnvrtc.so.13", "/x/libnvrtc.so.12", "/x/nvrtc64_120_0.dll", "nvrtc"]
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    assert sorted(found, key=nvrtc._is_other_version) == [found[1], found[2], found[0], found[3]]
    monkeypatch.setattr(torch.version, "cuda", None)
    assert sorted(found, key=nvrtc._is_other_version) == found


def test_machine_code_is_kept_by_architecture_and_source(monkeypatch, tmp_path):
    monkeypatch.setenv("SEED_CACHE", str(tmp_path))
    asked = []
    monkeypatch.setattr(nvrtc, "compile_cubin", lambda arch: asked.append(arch) or arch.encode())
    assert [cuda_module.machine_code(arch) for arch in ("sm_80", "sm_90", "sm_80")] == [b"sm_80", b"sm_90", b"sm_80"]
    assert asked == ["sm_80", "sm_90"]
    monkeypatch.setattr(cuda_module, "source_digest", lambda: "another")
    cuda_module.machine_code("sm_80")
    assert asked[2:] == ["sm_80"] and len(list(tmp_path.rglob("*.cubin"))) == 3


@pytest.mark.parametrize(("capability", "arch"), [((8, 0), "sm_80"), ((8, 9), "sm_86"), ((9, 0), "sm_90"), ((7, 5), None), ((12, 0), None)])
def test_code_of_the_same_generation_runs(capability, arch):
    known = ("sm_80", "sm_86", "sm_90", "sm_100")
    if arch is None:
        with pytest.raises(InputError, match=rf"compiles for .*compute capability {capability[0]}\.{capability[1]}"):
            cuda_module.fitting(*capability, known)
    else:
        assert cuda_module.fitting(*capability, known) == arch


# -- launching ----------------------------------------------------------------------------------------------------------


def parameter_sizes(cubin: bytes) -> dict[str, tuple[int, ...]]:
    """Bytes of each parameter of each kernel, from the ELF sections .nv.info.<kernel> (attribute KPARAM_INFO)."""
    (table,), (size, count, names) = struct.unpack_from("<Q", cubin, 40), struct.unpack_from("<HHH", cubin, 58)
    sections = [struct.unpack_from("<IIQQQQ", cubin, table + index * size) for index in range(count)]
    start, found = sections[names][4], {}
    for name, _, _, _, offset, length in sections:
        name = cubin[start + name : cubin.index(b"\0", start + name)].decode()
        if not name.startswith(".nv.info."):
            continue
        sizes, at = {}, offset
        while at < offset + length:
            kind, attribute, more = struct.unpack_from("<BBH", cubin, at)
            at += 4
            if kind == 4:
                if attribute == 0x17:
                    _, ordinal, _, flags = struct.unpack_from("<IHHI", cubin, at)
                    sizes[ordinal] = flags >> 18
                at += more
        found[name.removeprefix(".nv.info.")] = tuple(sizes[ordinal] for ordinal in sorted(sizes))
    return found


def emulated_module() -> driver.Module:
    return driver.Module(emulated_driver(), 0, b"\x7fELF")


def test_kernels_for_a_gpu_take_what_the_emulated_ones_take():
    """So that a launch that the emulated driver takes is one that a GPU takes: every launch compares these sizes."""
    expected = parameter_sizes(cuda_module.machine_code("sm_80"))
    assert sorted(expected) == sorted(kernels())
    module = emulated_module()
    for name, sizes in expected.items():
        assert module.function(name)[1] == sizes, name


def test_arguments_of_another_size_are_refused_before_the_launch():
    numbers = torch.zeros(4)
    address, count = ctypes.c_void_p(numbers.data_ptr()), ctypes.c_int64(4)
    module = emulated_module()
    module.launch("seed_march_places", 4, 0, [count, ctypes.c_int64(1), ctypes.c_int64(7), address])
    assert numbers.unique().numel() == 4
    with pytest.raises(RuntimeError, match=r"seed_march_places: takes arguments of \(8, 8, 8, 8\) bytes, was given \(4, 8, 8, 8\)"):
        module.launch("seed_march_places", 4, 0, [ctypes.c_int(4), ctypes.c_int64(1), ctypes.c_int64(7), address])


def test_where_the_driver_is_too_old_to_tell_the_sizes_are_the_declared_ones():
    class Old:
        def __getattr__(self, name: str) -> Any:
            if name == "cuFuncGetParamInfo":
                raise AttributeError(name)
            return getattr(emulated_driver(), name)

    module = driver.Module(Old(), 0, b"\x7fELF")  # type: ignore[arg-type]
    for name in kernels():
        assert module.function(name)[1] == emulated_module().function(name)[1] == CUDA[name.removeprefix("seed_")].bytes
    with pytest.raises(RuntimeError, match=r"seed_march_places: takes arguments of \(8, 8, 8, 8\) bytes, was given \(8,\)"):
        module.launch("seed_march_places", 4, 0, [ctypes.c_int64(4)])


def test_the_driver_says_what_is_wrong():
    with pytest.raises(RuntimeError, match="CUDA: CUDA_ERROR_NOT_FOUND"):
        emulated_module().launch("seed_nothing", 1, 0, [])
    with pytest.raises(RuntimeError, match="CUDA_ERROR_INVALID_IMAGE.*newer than the driver"):
        driver.Module(emulated_driver(), 0, b"none")


def test_without_a_driver_the_error_says_so(monkeypatch):
    monkeypatch.setattr(driver.ctypes, "CDLL", lambda name: (_ for _ in ()).throw(OSError(f"{name}: not there")))
    driver.load_driver.cache_clear()
    try:
        with pytest.raises(MissingDependency, match="no CUDA device is usable"):
            driver.load_driver()
    finally:
        driver.load_driver.cache_clear()


def test_arguments_are_packed_by_kind(monkeypatch):
    scale, shape = np.array([1.0, 2.0, 3.0], dtype=np.float32), (2, 3, 4)
    with pretending(monkeypatch) as device:
        x, dual = torch.zeros(shape, device=device), torch.zeros(3, *shape, device=device)
        values, where = Arguments(CUDA["tv_dual"]).by_value((x, shape, scale, None, 0.5, 2, dual, dual))
        assert where == x.device and [values[at].value for at in (0, 3, 4, 5, 6)] == [x.data_ptr(), None, 0.5, 2.0, dual.data_ptr()]
        assert bytes(values[1]) == struct.pack("<3i", *shape) and bytes(values[2]) == struct.pack("<3f", 1, 2, 3)
        assert tuple(map(ctypes.sizeof, values)) == CUDA["tv_dual"].bytes
        with pytest.raises(InputError, match="kernel tv_dual: p: .*C-contiguous tensor.*found a tensor.*not C-contiguous"):
            cuda_module.launch("tv_dual", 24, x, shape, scale, None, 0.5, 2, dual.transpose(2, 3).contiguous().transpose(2, 3), dual)


def test_tensors_on_two_devices_are_one_clear_error(monkeypatch):
    with pretending(monkeypatch) as device:
        rays = Rays(torch.zeros(2, 3, device=device), torch.ones(2, 3, device=device))
        with pytest.raises(InputError, match="kernel march_count: expected tensors on one device.*found cpu and pretend:0"):
            march(rays, [[-1, -1, -1], [1, 1, 1]], samples=3, occupancy=torch.ones(1, 1, 1))
    with pytest.raises(InputError, match="kernel tv_value: .*found meta"):
        call("tv_value", torch.zeros(1, 1, 1, device="meta"), (1, 1, 1), np.ones(3, dtype=np.float32), None, np.zeros(1))


def test_nothing_to_do_is_not_launched(monkeypatch):
    monkeypatch.setattr(cuda_module, "module", lambda device: 1 / 0)
    cuda_module.launch("march_places", 0, torch.zeros(0))


def test_more_levels_than_a_kernel_takes_are_refused(monkeypatch):
    with pretending(monkeypatch) as device:
        grid = HashGrid(levels=33, base=2, finest=2, log2_entries=4).to(device)
        with pytest.raises(InputError, match="HashGrid: levels: expected at most 32 on a GPU, found 33"):
            grid(torch.zeros(1, 3, device=device))


def test_the_launcher_knows_the_kernels_own_numbers():
    text = "".join(path.read_text() for path in CUDA_SOURCES.glob("*.cuh"))
    stated = {name: int(value) for name, value in re.findall(r"\b([A-Z_]+) = (\d+)[,;]", text)}
    assert (stated["TILE_ROWS"], stated["TILE_COLUMNS"]) == cuda_kernels.TILE
    assert (stated["COLUMN"], stated["MOST_LEVELS"]) == (cuda_kernels.COLUMN, cuda_kernels.MOST_LEVELS)
    splatter = (cuda_kernels.SPLAT_TILE, cuda_kernels.SPLAT_NUMBERS, cuda_kernels.SUMS_NUMBERS)
    assert (stated["SPLAT_TILE"], stated["SPLAT_NUMBERS"], stated["SUMS_NUMBERS"]) == splatter


def test_every_kernel_of_the_library_has_its_counterpart():
    """But for simulation, which works on numpy arrays and stays on the CPU."""
    text = "".join(path.read_text() for path in CPU_SOURCES.glob("*.cpp") if path.stem != "simulate")
    names = set(re.findall(r"^SEED_ENTRY seed_(\w+)\(", text, re.MULTILINE))
    assert len(names) > 30 and names > CPU_ONLY
    for name in names - CPU_ONLY:
        assert callable(getattr(cuda_kernels, name)), name
        assert hasattr(library(), f"seed_{name}"), name


def test_a_kernel_without_counterpart_is_one_clear_error(monkeypatch):
    with pretending(monkeypatch) as device, pytest.raises(InputError, match="kernel mlp: expected tensors on the CPU.*found pretend:0"):
        numbers = torch.zeros(1, 2, device=device)
        call("mlp", numbers, 2, (1, 1), 1, -1, 0.0, numbers[0], 2, torch.zeros_like(numbers))
    with pytest.raises(InputError, match="kernel march_places: expected tensors on a CUDA device: it has no counterpart on the CPU"):
        call("march_places", 1, 2, 3, torch.zeros(1, 2))


def test_places_in_bins_are_those_of_marching(device: str):
    if device == "cpu":
        pytest.skip("torch's own random numbers there")
    places = torch.empty(5, 9, device=device)
    call("march_places", 5, 9, 1234567, places)
    torch.testing.assert_close(places.cpu().double(), twins.jitter(1234567, 5, 9))


def test_it_is_run_by_threads_of_blocks(monkeypatch):
    """As many blocks as it takes, and no index beyond 2^31 in a block's number."""
    seen: list[Any] = []
    fake = emulated_driver()

    class Watching:
        def __getattr__(self, name: str) -> Any:
            function = getattr(fake, name)
            return (lambda *values: seen.append(values) or function(*values)) if name == "cuLaunchKernel" else function  # type: ignore[func-returns-value]

    numbers = torch.zeros(700)
    address, count = ctypes.c_void_p(numbers.data_ptr()), ctypes.c_int64(700)
    module = driver.Module(Watching(), 0, b"\x7fELF")  # type: ignore[arg-type]
    module.launch("seed_march_places", 700, 77, [count, ctypes.c_int64(1), ctypes.c_int64(7), address])
    (launched,) = seen
    assert launched[1].value == 3 and launched[4] == driver.THREADS and launched[8].value == 77
    assert numbers.unique().numel() > 690
