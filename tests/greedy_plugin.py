"""Methods for whoever debugs one: they take memory, print, hang and crash, each in a way of its own."""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
import os
import re
import sys
import time
from typing import Any

import numpy as np

from benchmark.api import Field, MethodSpec, Params, Reconstruction, Run, Scan, hookimpl


class GreedyParams(Params):
    how: str = Field("leak", description="what to do")
    megabytes: int = Field(1000, ge=1, description="how much to take at most")


def take(megabytes: int) -> list[np.ndarray]:
    """Memory, 20 MB at a time."""
    kept = []
    for _ in range(0, megabytes, 20):
        kept.append(np.ones(20_000_000 // 8))
        time.sleep(0.004)
    return kept


def take_and_wait(megabytes: int) -> None:
    kept = take(megabytes)
    time.sleep(1.5)
    del kept


def divided(number: int) -> float:
    return 1 / number


def deep(depth: int) -> float:
    return divided(0) if depth == 0 else deep_again(depth - 1)


def deep_again(depth: int) -> float:
    return deep(depth)


def reconstruct(scan: Scan, params: GreedyParams, run: Run) -> Any:
    volume, most = np.zeros(scan.geometry.volume_shape, np.float32), params.megabytes
    match params.how:
        case "leak":
            take(most)
        case "children":  # each far below the limit
            children = [multiprocessing.get_context("spawn").Process(target=take_and_wait, args=(most // 4,)) for _ in range(4)]
            for child in children:
                child.start()
            for child in children:
                child.join()
        case "forks":  # pages in common with the parent are no further memory
            kept = take(most)
            if all(os.fork() for _ in range(4)):
                time.sleep(0.7)
                del kept
            else:
                float(sum(block.sum() for block in kept))
                time.sleep(0.5)
                os._exit(0)
        case "daemon":  # in a session of its own, without a parent
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    print("daemon", os.getpid(), flush=True)
                    take_and_wait(most)
                os._exit(0)
            time.sleep(20)
        case "mapped":  # pages of a file can be dropped at any time
            assert run.scratch is not None
            path = run.scratch / "large.bin"
            with path.open("wb") as file:
                for _ in range(most):
                    file.write(bytes(1_000_000))
            with path.open("rb") as large, mmap.mmap(large.fileno(), 0, access=mmap.ACCESS_READ) as content:
                total = sum(content[place] for place in range(0, len(content), 4096))
                time.sleep(0.3)
            assert total == 0
        case "print":
            print("to the standard output")
            print("to the standard error", file=sys.stderr)
            os.write(1, b"from compiled \x1b[31mcode\x1b[0m\n")
            for percent in range(100):
                print(f"\r{percent} %", end="", flush=True)
            print()
            for _ in run.steps(3):
                print("step", run.step, "[bold]")
                time.sleep(0.3)
        case "divide":
            print("\n".join(f"noise {number}" for number in range(500)))
            divided(0)
        case "deep":
            deep(200)
        case "sleep":
            time.sleep(60)
        case "compiled":  # holds the interpreter's lock
            re.match("(a+)+$", 40 * "a" + "b")
        case "segfault":
            ctypes.string_at(0)
    return Reconstruction(volume)


@hookimpl
def register_methods() -> list[MethodSpec]:
    return [MethodSpec(name="greedy", target=reconstruct, params=GreedyParams, pieces=True)]
