"""Read pickles of NumPy arrays and plain values without running any of their code.

A pickle is a program: the usual reader calls any function it names. This reader knows only the few names that NumPy's
arrays need and maps them to small classes of this module, which record their arguments; arrays are built from the records
afterwards, with their sizes checked. Everything else is refused. Python's C reader and NumPy's reconstruction are not used:
a crafted file can make both allocate any amount of memory.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError, one_line
from benchmark.files.limits import NUMBERS, check_array, memory_limit

DEPTH = 6  # nesting of dicts and lists
ITEMS = 1_000_000  # values outside of arrays


class _Refused(Exception):
    """Content that does not belong in a file of numbers."""


class _Type:
    """Stand-in for numpy.dtype('f4'); its byte order arrives later."""

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: Any) -> None:
        plain = isinstance(state, tuple) and len(state) >= 5 and state[1] in ("<", ">", "|", "=")
        if not plain or any(part is not None for part in state[2:5]):
            raise _Refused("a structured NumPy type")
        self.order = state[1]

    def real(self) -> np.dtype:
        if not isinstance(self.code, str) or len(self.code) > 4 or self.code[:1] not in NUMBERS:
            raise _Refused(f"an array of type {self.code!r:.20}, not of real numbers")
        dtype = np.dtype(self.code)
        return dtype.newbyteorder(">") if self.order == ">" else dtype


class _Array:
    """Stand-in for numpy.ndarray, before and after its content is known."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def real(self) -> np.ndarray:
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise _Refused("an array without content")
        _, shape, kind, fortran, content = self.state
        return _made(shape, kind, content, "F" if fortran is True else "C")


def _made(shape: Any, kind: Any, content: Any, order: Any) -> np.ndarray:
    if not isinstance(kind, _Type) or not isinstance(content, bytes | bytearray) or order not in ("C", "F"):
        raise _Refused("an array of objects")
    if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape) or len(shape) > 8:
        raise _Refused("an array without a shape")
    dtype = kind.real()
    if shape and 0 not in shape:
        check_array("array", shape, dtype, stored=len(content))
    return np.frombuffer(content, dtype=dtype, count=int(np.prod(shape, dtype=object))).reshape(shape, order=order)


def _reconstruct(kind: Any, shape: Any, code: Any) -> _Array:
    """Stand in for numpy.core.multiarray._reconstruct(ndarray, (0,), b'b')."""
    if kind is not _Array:
        raise _Refused("an unknown kind of array")
    return _Array()


def _scalar(kind: Any, content: Any = b"") -> Any:
    """Stand in for numpy.core.multiarray.scalar(dtype, bytes)."""
    return _made((), kind, content, "C").item()


def _from_buffer(content: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
    """Stand in for numpy.core.numeric._frombuffer of pickle protocol 5."""
    return _made(shape, kind, content, order)


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Stand in for _codecs.encode, by which old pickles write bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _Refused("text in an unknown encoding")
    return text.encode("latin1")


def _nothing() -> bytes:
    """Stand in for bytes(), by which old pickles write empty bytes."""
    return b""


_NAMES: dict[tuple[str, str], Any] = {("numpy", "ndarray"): _Array, ("numpy", "dtype"): _Type, ("_codecs", "encode"): _encode}
_NAMES["builtins", "bytes"] = _NAMES["__builtin__", "bytes"] = _nothing
for _core in ("numpy.core", "numpy._core"):
    _NAMES[f"{_core}.multiarray", "_reconstruct"] = _reconstruct
    _NAMES[f"{_core}.multiarray", "scalar"] = _scalar
    _NAMES[f"{_core}.numeric", "_frombuffer"] = _from_buffer


_PYTHON_READER: Any = pickle._Unpickler  # type: ignore[attr-defined]


class _Reader(_PYTHON_READER):
    """The standard library's reader written in Python (its memo is a dict), restricted to the names above."""

    dispatch = dict(_PYTHON_READER.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise _Refused(f"the name {module}.{name}, which no array needs")
        return _NAMES[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("a reference to an object outside the file")

    def load_build(self) -> None:
        state = self.stack.pop()
        if type(self.stack[-1]) not in (_Array, _Type):
            raise _Refused("the state of an object that is no array")
        self.stack[-1].__setstate__(state)

    dispatch[pickle.BUILD[0]] = load_build

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1].update(_with_plain_keys([key, value]))

    dispatch[pickle.SETITEM[0]] = load_setitem

    def load_setitems(self) -> None:
        items = self.pop_mark()
        self.stack[-1].update(_with_plain_keys(items))

    dispatch[pickle.SETITEMS[0]] = load_setitems

    def load_dict(self) -> None:
        items = self.pop_mark()  # which exchanges `append`
        self.append(_with_plain_keys(items))

    dispatch[pickle.DICT[0]] = load_dict

    def load_bytearray8(self) -> None:
        length = int.from_bytes(self.read(8), "little")
        content = self.read(length)  # before memory of that length is taken
        if len(content) < length:
            raise EOFError("cut off")
        self.append(bytearray(content))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8

    def load_refused(self) -> None:
        raise _Refused("a set, or a buffer")

    for _code in (pickle.ADDITEMS, pickle.FROZENSET, pickle.EMPTY_SET, pickle.NEXT_BUFFER):
        dispatch[_code[0]] = load_refused


def _with_plain_keys(items: list[Any]) -> dict[Any, Any]:
    """Return a dict of keys and values in turn. Raise _Refused for nested keys, whose hash may recurse until the process dies."""
    if not all(isinstance(key, str | bytes | int) for key in items[::2]):
        raise _Refused("a dict with keys that are not strings")
    return dict(zip(items[::2], items[1::2], strict=True))


def read_plain_pickle(path: Path) -> dict[str, Any]:
    """Read a pickled dict of numbers, texts, lists, dicts and real arrays; run no code. Raise InputError for any other content."""
    where = str(path)
    try:
        size = path.stat().st_size
        if size > memory_limit():
            raise InputError(where, expected="a file smaller than half of this machine's memory", found=f"{size / 2**30:.1f} GiB")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(where, expected="a file that can be read", found=error.strerror or str(error)) from None
    try:
        found = _Plain().value(_Reader(io.BytesIO(content)).load())
    except _Refused as error:
        fix = "Pickles can run code; this file holds more than arrays and plain values and was not opened."
        raise InputError(where, expected="a pickle of arrays and plain values", found=str(error), fix=fix) from None
    except InputError as error:
        raise error.at(where) from None
    except Exception as error:  # a broken pickle raises anything
        raise InputError(where, expected="an undamaged pickle", found=one_line(error)) from None
    if not isinstance(found, dict):
        raise InputError(where, expected="a pickled dict", found=type(found).__name__)
    return found


class _Plain:
    """Converts the records to plain values, within limits."""

    def __init__(self) -> None:
        self.items = 0

    def value(self, thing: Any, depth: int = 0) -> Any:
        self.items += 1
        if depth > DEPTH or self.items > ITEMS:
            raise _Refused("values nested too deeply, or too many of them")
        if isinstance(thing, _Array):
            return thing.real()
        if thing is None or isinstance(thing, bool | int | float | str | bytes | np.ndarray):
            return thing
        if isinstance(thing, dict):
            if not all(isinstance(key, str) for key in thing):
                raise _Refused("a dict with keys that are not strings")
            return {key: self.value(item, depth + 1) for key, item in thing.items()}
        if isinstance(thing, list | tuple):
            return [self.value(item, depth + 1) for item in thing]
        raise _Refused(f"a value of type {type(thing).__name__.lstrip('_')}")
