"""Limit on the rays or views of a step: as many as the free memory allows, fewer after memory ran out."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from benchmark.machine.memory import free_memory

Result = TypeVar("Result")
RAYS = ((24, 65536), (22, 32768), (16, 16384), (12, 8192), (8, 4096), (4, 2048), (0, 1024))  # free memory [GiB] -> rays a step
FEWEST = 32
WORDS = ("out of memory", "can't allocate memory", "not enough memory", "_status_alloc_failed")


def most_rays(gib: float) -> int:
    """Return the number of rays of a step that fit into so much free memory."""
    return next(rays for least, rays in RAYS if gib >= least)


class Halving:
    """Limit `most` on the `unit` (rays, views) of a training step, halved when memory runs out, but not below `fewest`.

    `notes` lists, for the record, when and why the number was reduced.
    """

    def __init__(self, most: int, fewest: int, unit: str) -> None:
        self.most, self.notes = most, list[str]()
        self._fewest, self._unit, self._limited = fewest, unit, False

    def attempt(self, step: Callable[[], Result], wanted: int) -> Result:
        """Return the result of `step`, which uses at most `wanted` and `most`; out of memory, halve the limit and call it again."""
        while True:
            try:
                return step()
            except (MemoryError, RuntimeError) as error:
                used = min(wanted, self.most)
                if not out_of_memory(error) or used // 2 < self._fewest:
                    raise
                self.most, self._limited = used // 2, True
                self._note(f"out of memory with {used} {self._unit} a step, goes on with {self.most}")
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _note(self, text: str) -> None:
        print(text, flush=True)
        self.notes.append(text)


class RayBatch(Halving):
    """Limit on the rays of a training step, from the free memory of the device; halved when memory runs out."""

    def __init__(self, device: str = "cpu") -> None:
        self._free = free_memory(device)
        super().__init__(most_rays(self._free), FEWEST, "rays")

    def allowed(self, wanted: int) -> int:
        """Return `wanted`, or the present limit if that is less."""
        if wanted > self.most and not self._limited:
            self._limited = True
            self._note(f"{self.most} rays a step instead of {wanted}: {self._free:.1f} GiB of memory are free")
        return min(wanted, self.most)


def out_of_memory(error: BaseException) -> bool:
    """Return whether this error of Python, the CPU allocator or CUDA (torch, driver, cuBLAS, cuDNN) means that memory ran out."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in WORDS)
