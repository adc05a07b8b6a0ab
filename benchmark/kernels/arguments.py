"""Check a call's arguments against a kernel's declaration and convert them to C: a wrong one is an error, never a wild write."""

from __future__ import annotations

import ctypes
import dataclasses
import operator
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import torch

from benchmark.errors import InputError
from benchmark.kernels.declarations import NUMBERS, STRUCTS, Argument, Kernel, Kind, Shape, Size

TENSORS = {"f32": torch.float32, "f64": torch.float64, "i32": torch.int32, "i64": torch.int64, "u8": torch.uint8}
ARRAYS = {name: np.dtype(kind) for name, kind in {"f32": "f4", "f64": "f8", "i32": "i4", "i64": "i8", "u8": "u1"}.items()}
WHOLE = {"i32": 31, "i64": 63}  # bits
Known = dict[str, int]  # sizes by name, as known so far in a call
Devices = list[torch.device]
Check = Callable[[Any, Known, Devices], Any]  # returns an argument's value for C; notes sizes and devices
Refuse = Callable[[Any, Known], NoReturn]


class Arguments:
    """The parameters of a kernel. The check of each argument is prepared once, so that a call costs microseconds.

    `checked` and `by_value` raise TypeError for a wrong number of arguments, and InputError for an argument of wrong dtype, shape or
    device, or one that is not C-contiguous or not writable. The error names kernel, argument, and what was expected and found.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        # Arguments that define sizes come first; all others are compared with these sizes.
        order = sorted(enumerate(kernel.arguments), key=lambda each: each[1].kind not in ("number", "sizes", "struct"))
        self._checks = [(at, CHECKS[argument.kind](argument, self._refusal(argument))) for at, argument in order]
        self._values = [_value_of(argument) for argument in kernel.arguments]

    def checked(self, arguments: tuple[Any, ...]) -> tuple[list[Any], torch.device | None]:
        """Return the arguments, with tensors, arrays, tuples, lists and structs as addresses, and the tensors' device (None without any).

        The addresses are valid while the arguments and the returned list exist.
        """
        if len(arguments) != len(self._values):
            raise TypeError(f"kernel {self.kernel.name} takes {len(self._values)} arguments, found {len(arguments)}")
        known: Known = {}
        values, devices = list(arguments), list[torch.device]()
        for at, check in self._checks:
            values[at] = check(arguments[at], known, devices)
        for device in devices:
            if device != devices[0]:
                found = " and ".join(sorted(set(map(str, devices))))
                expected = "tensors on one device, the CPU or a CUDA device"
                raise InputError(f"kernel {self.kernel.name}", expected=expected, found=found)
        return values, devices[0] if devices else None

    def by_value(self, arguments: tuple[Any, ...]) -> tuple[list[Any], torch.device | None]:
        """Return the arguments as ctypes values: tensors by address, everything else by value."""
        values, device = self.checked(arguments)
        return [make(value, given) for make, value, given in zip(self._values, values, arguments, strict=True)], device

    def _refusal(self, argument: Argument) -> Refuse:
        def refuse(value: Any, known: Known) -> NoReturn:
            where = f"kernel {self.kernel.name}: {argument.name}"
            raise InputError(where, expected=_expected(argument, known), found=_found(value))

        return refuse


def _number(argument: Argument, refuse: Refuse) -> Check:
    name, limit = argument.name, 1 << WHOLE.get(argument.type, 0)

    def whole(value: Any, known: Known, devices: Devices) -> int:
        if type(value) is not int:
            value = _converted(operator.index, value, known, refuse)
        if not -limit <= value < limit or known.setdefault(name, value) != value:
            refuse(value, known)
        return value

    def real(value: Any, known: Known, devices: Devices) -> float:
        return value if type(value) is float else _converted(float, value, known, refuse)

    return whole if argument.type in WHOLE else real


def _converted(convert: Callable[[Any], Any], value: Any, known: Known, refuse: Refuse) -> Any:
    """Convert numbers of other types, such as numpy's; never a value that would have to be copied from a device."""
    if isinstance(value, torch.Tensor | np.ndarray | str):
        refuse(value, known)
    try:
        return convert(value)
    except TypeError:
        refuse(value, known)


def _sizes(argument: Argument, refuse: Refuse) -> Check:
    element, names, limit = NUMBERS[argument.type], _names(argument), 1 << WHOLE[argument.type]

    def check(value: Any, known: Known, devices: Devices) -> Any:
        if not isinstance(value, tuple):
            refuse(value, known)
        numbers = tuple(one if type(one) is int else _converted(operator.index, one, known, refuse) for one in value)
        if not all(0 <= one < limit for one in numbers) or not _named(names, numbers, known):
            refuse(value, known)
        return (element * len(numbers))(*numbers)

    return check


def _struct(argument: Argument, refuse: Refuse) -> Check:
    struct, names = STRUCTS[argument.type], _names(argument)

    def check(value: Any, known: Known, devices: Devices) -> int:
        if not isinstance(value, struct) or not _named(names, tuple(value.n), known):
            refuse(value, known)
        return ctypes.addressof(value)

    return check


def _structs(argument: Argument, refuse: Refuse) -> Check:
    struct, shape = STRUCTS[argument.type], _shape_of(argument.shapes[0])

    def check(value: Any, known: Known, devices: Devices) -> int:
        if not isinstance(value, ctypes.Array) or value._type_ is not struct or not _fits(shape, (len(value),), known):
            refuse(value, known)
        return ctypes.addressof(value)

    return check


def _array(argument: Argument, refuse: Refuse) -> Check:
    dtype, shape, written = ARRAYS[argument.type], _shape_of(argument.shapes[0]), argument.written

    def check(value: Any, known: Known, devices: Devices) -> int:
        if not isinstance(value, np.ndarray) or value.dtype != dtype or not _fits(shape, value.shape, known):
            refuse(value, known)
        flags = value.flags
        if not (flags.c_contiguous and flags.aligned and (flags.writeable or not written)):
            refuse(value, known)
        return value.__array_interface__["data"][0]

    return check


def _tensor(argument: Argument, refuse: Refuse) -> Check:
    dtype, shape, optional = TENSORS[argument.type], _shape_of(argument.shapes[0]), argument.optional

    def check(value: Any, known: Known, devices: Devices) -> int | None:
        if value is None and optional:
            return None
        if not isinstance(value, torch.Tensor) or value.dtype is not dtype or not value.is_contiguous():
            refuse(value, known)
        if not _fits(shape, value.shape, known):
            refuse(value, known)
        devices.append(value.device)
        return value.data_ptr()

    return check


def _tensors(argument: Argument, refuse: Refuse) -> Check:
    checks = [_tensor(dataclasses.replace(argument, shapes=(shape,)), refuse) for shape in argument.shapes]

    def check(value: Any, known: Known, devices: Devices) -> Any:
        if not isinstance(value, list | tuple) or len(value) != len(checks):
            refuse(value, known)
        return (ctypes.c_void_p * len(checks))(*(each(one, known, devices) for each, one in zip(checks, value, strict=True)))

    return check


CHECKS: dict[Kind, Callable[[Argument, Refuse], Check]] = {
    "number": _number, "sizes": _sizes, "struct": _struct, "structs": _structs, "array": _array, "tensor": _tensor, "tensors": _tensors,
}  # fmt: skip


def _names(argument: Argument) -> list[str]:
    return [size.text for size in argument.shapes[0]]


def _named(names: list[str], values: tuple[int, ...], known: Known) -> bool:
    """Return True if each name has one number, equal to any known one; note the numbers."""
    if "..." in names:
        at = names.index("...")
        behind = len(names) - at - 1
        if len(values) < at + behind:
            return False
        values, names = (*values[:at], *values[len(values) - behind :]), [*names[:at], *names[at + 1 :]]
    return len(names) == len(values) and all(known.setdefault(name, value) == value for name, value in zip(names, values, strict=True))


def _shape_of(shape: Shape) -> list[str | int | Size]:
    """Return names as strings, numbers as ints, anything else as a Size."""
    return [size.name or (size if size.names else size.factor + size.more) for size in shape]


def _fits(shape: list[str | int | Size], found: tuple[int, ...], known: Known) -> bool:
    """Return True if a shape matches the declaration; note the sizes of new names."""
    if len(shape) != len(found):
        return False
    for size, one in zip(shape, found):  # noqa: B905 (equal lengths; this is called very often)
        if isinstance(size, str):
            if known.setdefault(size, one) != one:
                return False
        elif (size if isinstance(size, int) else size.value(known)) != one:
            return False
    return True


def _value_of(argument: Argument) -> Callable[[Any, Any], Any]:
    """Return a function that makes the ctypes value of a checked argument: (its value for C, the argument itself) -> value."""
    if argument.kind == "number":
        number = NUMBERS[argument.type]
        return lambda value, given: number(value)
    if argument.kind == "tensor":
        return lambda value, given: ctypes.c_void_p(value)
    if argument.kind == "array":
        return lambda value, given: (ctypes.c_char * given.nbytes).from_buffer_copy(given)
    if argument.kind in ("struct", "structs"):
        return lambda value, given: given
    return lambda value, given: value  # an array of addresses, or of sizes


def _expected(argument: Argument, known: Known) -> str:
    """Describe an argument's declaration in words, with the known sizes."""
    kind, type_ = argument.kind, argument.type
    if kind == "number":
        return f"a whole number of {WHOLE[type_] + 1} bits" if type_ in WHOLE else "a number"
    if kind in ("sizes", "struct"):
        names = ", ".join(size.text for size in argument.shapes[0])
        return f"{'whole numbers' if kind == 'sizes' else type_} ({names}){_shape(argument.shapes[0], known, '()')}"
    if kind == "structs":
        return f"{type_} {_text(argument.shapes[0])}{_shape(argument.shapes[0], known)}"
    shapes = " and ".join(f"{_text(shape)}{_shape(shape, known)}" for shape in argument.shapes)
    what = {"tensor": "a C-contiguous tensor", "tensors": "C-contiguous tensors", "array": "a C-contiguous numpy array"}[kind]
    more = " that can be written" if kind == "array" and argument.written else ""
    return f"{what}{more}, {ARRAYS[type_].name} {shapes}{' or None' if argument.optional else ''}"


def _text(shape: Shape) -> str:
    return f"[{', '.join(size.text for size in shape)}]"


def _shape(shape: Shape, known: Known, brackets: str = "[]") -> str:
    """Return the known sizes after '='; '' if they add nothing to the declaration."""
    values = [size.value(known) if size.text != "..." else None for size in shape]
    if not any(size.names and value is not None for size, value in zip(shape, values, strict=True)):
        return ""
    texts = (size.text if value is None else str(value) for size, value in zip(shape, values, strict=True))
    return f" = {brackets[0]}{', '.join(texts)}{brackets[1]}"


def _found(value: Any) -> str:
    """Describe an argument in words: type, dtype, shape, device and any fault of its memory."""
    if isinstance(value, torch.Tensor):
        memory = "" if value.is_contiguous() else ", not C-contiguous"
        return f"a tensor, {str(value.dtype).removeprefix('torch.')} {list(value.shape)} on {value.device}{memory}"
    if isinstance(value, np.ndarray):
        wrong = {", not C-contiguous": not value.flags.c_contiguous, ", not aligned": not value.flags.aligned}
        memory = "".join([text for text, so in wrong.items() if so] + ([] if value.flags.writeable else [", read-only"]))
        return f"a numpy array, {value.dtype} {list(value.shape)}{memory}"
    if isinstance(value, list | tuple) and any(isinstance(one, torch.Tensor) for one in value):
        return f"{len(value)} of them: {'; '.join(map(_found, value))}"
    return f"{type(value).__name__} {value!r}"[:200]
