"""The kernels' declarations: they are those of the sources, a wrong argument is an error that names it, and so is a C++ exception."""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.errors import InputError
from benchmark.kernels.declarations import CPU, CUDA, STRUCTS, Argument, Kernel, Size, argument, kernel
from benchmark.kernels.dispatch import call
from benchmark.kernels.sources import CPU_SOURCES, CUDA_SOURCES, SHARED_SOURCES

NUMBER = {"f32": "float", "f64": "double", "i32": "int", "i64": "int64_t", "u8": "unsigned char"}
# In memory these are nothing but as many numbers.
ROWS = {"FdkView": ("double", 9), "Splat": ("float", 21), "SplatSums<float>": ("float", 16)}
ENTRY = re.compile(r"SEED_ENTRY seed_(\w+)\(([^{]*?)\) try \{")
LAUNCHED = re.compile(r"SEED_KERNEL seed_(\w+)\(([^{]*?)\) \{")
FOLDERS = {"*.cpp": CPU_SOURCES, "*.cuh": CUDA_SOURCES, "*.h": SHARED_SOURCES}
CODE = {pattern: "".join(path.read_text() for path in sorted(folder.glob(pattern))) for pattern, folder in FOLDERS.items()}


def parameters(pattern: re.Pattern[str], source: str) -> dict[str, list[tuple[str, str]]]:
    """C type and name of each parameter of each kernel."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, text in pattern.findall(source):
        parts = [" ".join(part.split()).rpartition(" ") for part in text.split(",")]
        found[name] = [(type_.replace("int32_t", "int"), own) for type_, _, own in parts]
    return found


def fields(struct: str) -> list[tuple[str, str, int]]:
    """Type, name and length of each field of a C struct."""
    body = re.search(rf"struct {struct} \{{(.*?)\n\}};", re.sub(r" *//.*", "", CODE["*.h"] + CODE["*.cuh"]), re.DOTALL)
    assert body, struct
    lines = re.findall(r"^\s*(\w+) ([\w\[\], ]+);", body[1], re.MULTILINE)
    found = []
    for type_, names in lines:
        for name in names.split(","):
            own, _, length = name.strip().rstrip("]").partition("[")
            size = re.search(rf"constexpr int {length} = (\d+);", CODE["*.cuh"]) if length and not length.isdigit() else None
            found.append((type_, own, int(size[1] if size else length or 1)))
    return found


def address(declared: Argument) -> str:
    """The C type of what goes by address."""
    element = declared.type if declared.type in STRUCTS else NUMBER[declared.type]
    return f"{'' if declared.written else 'const '}{element}*{' const*' if declared.kind == 'tensors' else ''}"


def check_address(declared: Argument, found: str) -> None:
    row = re.fullmatch(r"(const )?([\w<>]+)\*", found)
    if row and row[2] in ROWS:
        element, count = ROWS[row[2]]
        assert declared.shapes[0][-1] == Size.of(str(count))
        found = f"{row[1] or ''}{element}*"
    assert found == address(declared)


@pytest.mark.parametrize("name", sorted(CPU))
def test_a_cpu_kernel_is_declared_as_it_is(name: str) -> None:
    declared, found = CPU[name], parameters(ENTRY, CODE["*.cpp"])[name]
    names = [each.name for each in declared.arguments] + ["answer"] * declared.answers
    assert [own for _, own in found] == names
    if declared.answers:
        assert found.pop()[0] == "int64_t*"
    for each, (type_, _) in zip(declared.arguments, found, strict=True):
        if each.kind == "number":
            assert type_ == NUMBER[each.type], each.name
        else:
            check_address(each, type_)


@pytest.mark.parametrize("name", sorted(CUDA))
def test_a_cuda_kernel_is_declared_as_it_is(name: str) -> None:
    declared, found = CUDA[name], parameters(LAUNCHED, CODE["*.cuh"])[name]
    assert [own for _, own in found] == [each.name for each in declared.arguments]
    for each, (type_, _) in zip(declared.arguments, found, strict=True):
        if each.kind == "number":
            assert type_ == NUMBER[each.type], each.name
        elif each.kind == "tensor":
            check_address(each, type_)
        elif each.kind == "tensors":
            assert type_ == ("SeedOutputs" if each.written else "SeedInputs"), each.name
        elif each.kind == "struct":
            assert type_ == each.type
        else:  # an array by value: a struct with nothing else in it
            ((element, _, length),) = fields(type_)
            assert element == (each.type if each.type in STRUCTS else NUMBER[each.type]), each.name
            assert length == each.by_value._length_, each.name


def test_nothing_is_left_out_or_made_up() -> None:
    assert sorted(CPU) == sorted(parameters(ENTRY, CODE["*.cpp"]))
    assert sorted(CUDA) == sorted(parameters(LAUNCHED, CODE["*.cuh"]))


@pytest.mark.parametrize("name", sorted(STRUCTS))
def test_a_struct_is_that_of_the_sources(name: str) -> None:
    c_types: dict[str, Any] = {"float": ctypes.c_float, "int": ctypes.c_int, "int64_t": ctypes.c_int64, "uint32_t": ctypes.c_uint32}
    found = [(own, c_types[type_] * length if length > 1 else c_types[type_]) for type_, own, length in fields(name)]
    assert found == STRUCTS[name]._fields_


def test_rows_of_numbers_are_nothing_else() -> None:
    assert {type_ for type_, *_ in fields("FdkView")} == {"double"} and sum(length for *_, length in fields("FdkView")) == 9
    assert "sizeof(Splat) == SPLAT_NUMBERS * sizeof(float) && sizeof(SplatSums<float>) == SUMS_NUMBERS * sizeof(float)" in CODE["*.cuh"]
    assert "SPLAT_NUMBERS = 21, SUMS_NUMBERS = 16" in CODE["*.cuh"]


def test_every_function_is_entered_through_the_one_way() -> None:
    """Which is what catches exceptions; seed_error can throw none."""
    code = re.sub(r"//.*", "", CODE["*.cpp"])
    assert re.findall(r'extern "C" .*', code) == ['extern "C" const char* seed_error() { return words; }']
    assert len(ENTRY.findall(code)) == len(re.findall(r"^    return SEED_DONE;\n\} SEED_CATCH$", code, re.MULTILINE)) == len(CPU)


@pytest.mark.parametrize("text", ["x", "x: f33[2", "x: out", "x: f32[2", "f32[2]"])
def test_what_is_no_declaration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no argument of a kernel"):
        argument(text)
    with pytest.raises(ValueError, match="no prototype of a kernel"):
        kernel("name(x: f32")


def test_a_declaration_is_read() -> None:
    read = kernel("it(x: out f32[2 * a, b + 1]?, a: i32, pair: f32[a | a, 3], n: i64(a, ..., c), h: host u8[4]) -> i64")
    assert isinstance(read, Kernel) and read.answers and [each.kind for each in read.arguments] == [
        "tensor", "number", "tensors", "sizes", "array",
    ]  # fmt: skip
    x = read.arguments[0]
    assert x.written and x.optional and [size.value({"a": 3, "b": 4}) for size in x.shapes[0]] == [6, 5]
    assert x.shapes[0][0].value({}) is None and x.shapes[0][0].name is None and read.arguments[1].shapes == ()


# -- wrong arguments ------------------------------------------------------------------------------------------------------


def variation(**changes: Any) -> tuple[Any, ...]:
    """Arguments of tv_dual for a volume [2, 3, 4]."""
    shape = (2, 3, 4)
    given: dict[str, Any] = {
        "x": torch.zeros(shape), "shape": shape, "scale": np.ones(3, dtype=np.float32), "weights": None, "step": 1.0, "momentum": 0.0,
        "p": torch.zeros(3, *shape), "q": torch.zeros(3, *shape),
    }  # fmt: skip
    return tuple((given | changes).values())


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"x": torch.zeros(2, 3, 4, dtype=torch.float64)},
        r"x: expected a C-contiguous tensor, float32 \[nz, ny, nx\] = \[2, 3, 4\], found a tensor, float64 \[2, 3, 4\] on cpu$",
    ),
    ({"p": torch.zeros(3, 2, 3, 4, dtype=torch.float16)}, r"p: expected .*float32 \[3, nz, ny, nx\] = \[3, 2, 3, 4\], found .*float16"),
    ({"q": torch.zeros(3, 2, 3, 5)}, r"q: expected .*= \[3, 2, 3, 4\], found a tensor, float32 \[3, 2, 3, 5\] on cpu"),
    ({"q": torch.zeros(2, 3, 4)}, r"q: expected .*= \[3, 2, 3, 4\], found a tensor, float32 \[2, 3, 4\] on cpu"),
    ({"x": torch.zeros(4, 3, 2).permute(2, 1, 0)}, r"x: expected .*found a tensor, float32 \[2, 3, 4\] on cpu, not C-contiguous"),
    ({"x": torch.zeros(1).expand(2, 3, 4)}, r"x: expected .*, not C-contiguous"),
    ({"x": np.zeros((2, 3, 4), dtype=np.float32)}, r"x: expected a C-contiguous tensor, .*found a numpy array, float32 \[2, 3, 4\]"),
    ({"x": None}, r"x: expected .*found NoneType None"),
    ({"weights": torch.zeros(2, 3)}, r"weights: expected .*= \[2, 3, 4\] or None, found a tensor, float32 \[2, 3\]"),
    ({"scale": np.ones(3)}, r"scale: expected a C-contiguous numpy array, float32 \[3\], found a numpy array, float64 \[3\]"),
    ({"scale": np.ones(6, dtype=np.float32)[::2]}, r"scale: .*found a numpy array, float32 \[3\], not C-contiguous"),
    ({"scale": np.ones(3, dtype=">f4")}, r"scale: .*found a numpy array, >f4 \[3\]"),
    ({"scale": np.frombuffer(bytes(13), np.uint8)[1:].view(np.float32)}, r"scale: .*not aligned, read-only"),
    ({"scale": torch.ones(3)}, r"scale: expected a C-contiguous numpy array.*found a tensor"),
    ({"shape": (2, 3, 5)}, r"x: expected .*= \[2, 3, 5\], found"),
    ({"shape": (2, 3)}, r"shape: expected whole numbers \(nz, ny, nx\), found tuple \(2, 3\)"),
    ({"shape": (2, 3, -4)}, r"shape: expected whole numbers"),
    ({"shape": (2, 3, 4.0)}, r"shape: expected whole numbers"),
    ({"step": torch.ones(())}, r"step: expected a number, found a tensor, float32 \[\] on cpu"),
    ({"step": "1"}, r"step: expected a number, found str '1'"),
    ({"momentum": None}, r"momentum: expected a number, found NoneType None"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=lambda value: next(iter(value)) if isinstance(value, dict) else None)
def test_a_wrong_argument_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^kernel tv_dual: {message}"):
        call("tv_dual", *variation(**changes))


def test_right_ones_are_taken() -> None:
    call("tv_dual", *variation())
    call("tv_dual", *variation(step=np.float32(1), momentum=1, weights=torch.ones(2, 3, 4), shape=torch.zeros(2, 3, 4).shape))
    assert call("check_packed", torch.tensor([[0, 3], [2, 4]]), np.int64(2), 9) == 1


def test_what_is_written_can_be_written() -> None:
    slices = np.zeros(2)
    slices.flags.writeable = False
    with pytest.raises(InputError, match=r"tv_value: slices: expected a C-contiguous numpy array that can be written, float64 .*read-only"):
        call("tv_value", torch.zeros(2, 3, 4), (2, 3, 4), np.ones(3, dtype=np.float32), None, slices)


def test_numbers_are_the_sizes_of_their_names() -> None:
    rays = torch.zeros(5, 3)
    with pytest.raises(InputError, match=r"clip_rays: origins: expected .*float32 \[rays, 3\] = \[6, 3\], found .*\[5, 3\]"):
        call("clip_rays", rays, rays, 6, np.zeros((2, 3)), torch.zeros(6, 2))
    with pytest.raises(InputError, match=r"check_packed: rays: expected a whole number of 64 bits, found int 9223372036854775808"):
        call("check_packed", torch.zeros(1, 2, dtype=torch.int64), 1 << 63, 1)
    with pytest.raises(InputError, match=r"set_threads: threads: expected a whole number of 32 bits, found float 1.5"):
        call("set_threads", 1.5)


def test_lists_of_tensors_are_looked_at_one_by_one() -> None:
    planes, lines = [torch.zeros(2, 6, 7), torch.zeros(2, 5, 6), torch.zeros(2, 5, 7)], [torch.zeros(2, n) for n in (5, 7, 6)]
    runs, features = torch.zeros(0, 5, dtype=torch.int64), torch.zeros(6, 0)
    call("vm_grid", 5, 6, 7, 2, runs, 0, 0, planes, lines, features)
    for wrong in ([*lines[:2], lines[2].double()], [lines[0], lines[2], lines[1]]):
        with pytest.raises(
            InputError, match=r"kernel vm_grid: lines: expected .* \[channels, nx\] = \[2, 7\] and .*, found a tensor, float.. \[2, 6\]"
        ):
            call("vm_grid", 5, 6, 7, 2, runs, 0, 0, planes, wrong, features)
    with pytest.raises(InputError, match=r"kernel vm_grid: lines: expected C-contiguous tensors.*found 2 of them: a tensor"):
        call("vm_grid", 5, 6, 7, 2, runs, 0, 0, planes, lines[:2], features)


def test_another_number_of_arguments_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError, match="kernel tv_dual takes 8 arguments, found 7"):
        call("tv_dual", *variation()[:-1])


# -- exceptions of C++ ----------------------------------------------------------------------------------------------------


def test_what_a_kernel_refuses_is_an_error_with_its_words() -> None:
    values, weights = torch.zeros(3, 4), torch.zeros(7)
    with pytest.raises(RuntimeError, match="^kernel mlp: expected 8 weights and biases, found 7$"):
        call("mlp", values, 4, (3, 2), 1, -1, 0.0, weights, 7, torch.zeros(2, 4))
    call("mlp", values, 4, (3, 2), 1, -1, 0.0, torch.zeros(8), 8, torch.zeros(2, 4))


SHORT_OF_MEMORY = """
    import json, resource
    import numpy as np, torch
    from benchmark.kernels.dispatch import call

    def zeros(*shape, dtype=torch.float32):
        return torch.zeros(shape, dtype=dtype)

    N = 1 << 20
    wide = 48000
    grid = __import__("benchmark.fields.mixture", fromlist=["Grid"]).Grid.of((1, 1, N), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    spacing, views = np.ones(3), np.array([[[-9.0, 0, 0], [9, 0, 0], [0, 1, 0], [0, 0, 1]]])
    plane, row = zeros(1, 2000, 2000), zeros(1, 1, N)
    one = (zeros(1, 3), torch.eye(3)[None].contiguous(), torch.ones(1))
    scene = (views, 1, 1, N, 1, *one)
    answers = (zeros(1, 3), zeros(1, 3, 3), zeros(1))
    order, image = zeros(1, 1, dtype=torch.int64), zeros(1, 1, N, 4)
    inputs, weights = zeros(wide, 1), zeros(wide + 1)
    network = (inputs, 1, (wide, 1), 1, -1, 0.0, weights, wide + 1)
    to_network = (zeros(1, 1), zeros(wide, 1), zeros(wide + 1))
    deep, tall = zeros(2000, 1, 2000), zeros(1, 1, 1)
    many = 400000
    cells = (zeros(many, 3), zeros(many, 3, 3), zeros(many))
    near = (zeros(1, 3), 1, zeros(1))
    block = type(grid).of((200, 200, 200), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    pixel = zeros(1, 1, 1)
    run, far = torch.tensor([[0, 0, 0, 1, 0]]), 100000
    planes, lines = (zeros(1, 1, far), zeros(1, 1, 1), zeros(1, 1, far)), (zeros(1, 1), zeros(1, far), zeros(1, 1))
    field = (1, 1, far, 1, run, 1, 1, planes, lines, (3, 1), 1, -1, 0.0, zeros(4), 4)
    to_field = (planes, lines, zeros(4))
    CALLS = {
        "project_separable": (plane, plane.shape, spacing, views, 1, 1, 1, pixel),
        "backproject_separable": (plane, plane.shape, spacing, views, 1, 1, 1, pixel),
        "project_rays": (plane, plane.shape, spacing, views, 1, 1, 1, pixel),
        "backproject_rays": (plane, plane.shape, spacing, views, 1, 1, 1, pixel),
        "fdk_backproject": (deep, deep.shape, np.ones((1, 9)), 1, 1, 1, pixel, 1.0),
        "mlp": (*network, to_network[0]),
        "mlp_backward": (*network, *to_network),
        "vm_network": (*field, zeros(1, 1)),
        "vm_network_backward": (*field, zeros(1, 1), *to_field),
        "gaussian_project": (*scene, 9.0, row),
        "gaussian_project_backward": (*scene, 9.0, row, *answers),
        "gaussian_peaks": (*scene, 9.0, 0.1, row),
        "gaussian_peaks_backward": (*scene, 9.0, 0.1, row, row, *answers),
        "gaussian_voxelise": (grid, 1, *one, 9.0, row),
        "gaussian_voxelise_backward": (grid, 1, *one, 9.0, row, *answers),
        "gaussian_soft_voxelise": (grid, 1, *one, 9.0, 0.1, row),
        "gaussian_soft_voxelise_backward": (grid, 1, *one, 9.0, 0.1, row, row, *answers),
        "gaussian_values": (block, 1, *one, 9.0, -1.0, *near),
        "splat": (*scene, zeros(1, 3), order, image, row, zeros(1, 1, N, dtype=torch.int32)),
        "splat_backward": (*scene, zeros(1, 3), order, row, zeros(1, 1, N, dtype=torch.int32), image, *answers, zeros(1, 3)),
    }
    torch.set_num_threads(2)
    for name, arguments in CALLS.items():  # threads, and what the allocator keeps
        call("tv_value", tall, (1, 1, 1), np.ones(3, dtype=np.float32), None, np.zeros(1))
    failed = {}
    for name, arguments in CALLS.items():
        pages = int(open("/proc/self/statm").read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (2 << 20), resource.RLIM_INFINITY))
        try:
            call(name, *arguments)
            failed[name] = "nothing"
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        call(name, *arguments)
    print(json.dumps(failed))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's account of address space")
def test_a_kernel_without_memory_is_an_error_and_the_process_goes_on() -> None:
    """Address space is limited to little more than is in use; each kernel that allocates fails, and works once the limit is gone."""
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}  # what is freed goes back at once
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(SHORT_OF_MEMORY)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    failed = json.loads(done.stdout)
    assert failed == {name: f"MemoryError: kernel {name}: out of memory" for name in failed} and len(failed) == 20
