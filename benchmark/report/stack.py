"""Stack of images embedded in a page: numbers rounded to 1024 levels, deflated, as text that a browser unpacks by itself."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import math
import zlib
from typing import Any

import numpy as np

from benchmark.storage import mapped

LEVELS = 1024  # grey levels between `low` and `high`; a screen shows 256 of any window


@dataclasses.dataclass(frozen=True)
class Packed:
    """float32 [plane, row, column] as text. A stored number q stands for low + q * step; values outside are clipped.

    The text is base64 of a zlib stream of all low bytes, then all high bytes (similar adjacent bytes deflate better).
    """

    shape: tuple[int, int, int]
    low: float
    step: float
    text: str

    @property
    def name(self) -> str:
        """Name of the stack: equal for equal stacks, so that each is written once."""
        return hashlib.sha256(f"{self.shape}{self.low}{self.step}{self.text}".encode()).hexdigest()[:12]

    def facts(self) -> dict[str, Any]:
        """Return the facts that a reader of the text needs."""
        return {"shape": self.shape, "low": self.low, "step": self.step}


def pack(stack: np.ndarray, low: float, high: float) -> Packed:
    """Round a stack [plane, row, column] to LEVELS levels between `low` and `high`."""
    step = (high - low) / (LEVELS - 1)
    numbers = np.clip(np.rint((np.asarray(stack, dtype=np.float64) - low) / step), 0, LEVELS - 1).astype("<u2")
    data = (numbers & 255).astype(np.uint8).tobytes() + (numbers >> 8).astype(np.uint8).tobytes()
    depth, rows, columns = stack.shape
    return Packed((depth, rows, columns), low, step, base64.b64encode(zlib.compress(data, 9)).decode())


def unpack(packed: Packed) -> np.ndarray:
    """Return the stack as a browser unpacks it, float32 [plane, row, column]."""
    data = np.frombuffer(zlib.decompress(base64.b64decode(packed.text)), dtype=np.uint8).astype(np.uint16)
    low, high = data.reshape(2, -1)
    return (packed.low + packed.step * (low + 256 * high)).reshape(packed.shape).astype(np.float32)


def averaged(stack: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    """Return means over blocks; an incomplete block at the end of an axis is left out."""
    shape = [count // factor for count, factor in zip(stack.shape, factors, strict=True)]
    means = np.empty(shape, dtype=np.float32)
    for part in mapped.pieces(means, mapped.WHOLE // math.prod(factors)):
        planes = slice(part.start * factors[0], part.stop * factors[0])
        cut = stack[planes, : shape[1] * factors[1], : shape[2] * factors[2]]
        blocks = cut.reshape([n for pair in zip((part.stop - part.start, *shape[1:]), factors, strict=True) for n in pair])
        means[part] = blocks.mean(axis=(1, 3, 5), dtype=np.float64)
        mapped.release(stack)
    return means
