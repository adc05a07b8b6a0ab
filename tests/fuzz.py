"""Damage at random, always the same for the same seed, and how often it is tried.

SEED_FUZZ=1 (the default) is the short form, SEED_FUZZ=100 tries a hundred times as often, SEED_FUZZ=full as often as docs/reliability.md
says, SEED_FUZZ=2000:3000 the tries of these numbers: a long campaign in pieces.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator


def numbers(short: int, full: int) -> range:
    """Numbers of the tries, which are their seeds."""
    wanted = os.environ.get("SEED_FUZZ", "1")
    if ":" in wanted:
        begin, end = map(int, wanted.split(":"))
        return range(begin, min(full, end))
    return range(full if wanted == "full" else min(full, round(short * float(wanted))))


def told(wanted: range) -> Iterator[int]:
    """Yield numbers and say now and then how far they are (`pytest -s` shows it)."""
    for number in wanted:
        if number % 10 == 0:
            print(f"from number {number} on", file=sys.stderr, flush=True)
        yield number


class Faults(list[str]):
    """Faults found, each told at once: a campaign that is interrupted has told them all."""

    def add(self, fault: str) -> None:
        print(fault, file=sys.stderr, flush=True)
        self.append(fault)


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Content with one to three kinds of damage; headers, at the beginning, are hit more often."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if changed:
            rng.choice(DAMAGE)(changed, rng)
    return bytes(changed)


def _place(content: bytearray, rng: random.Random) -> int:
    return rng.randrange(min(len(content), rng.choice((16, 64, 400, 1 << 30))))


def _flip(content: bytearray, rng: random.Random) -> None:
    content[_place(content, rng)] ^= 1 << rng.randrange(8)


def _overwrite(content: bytearray, rng: random.Random) -> None:
    place, length = _place(content, rng), rng.choice((1, 2, 4, 8, 64))
    content[place : place + length] = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length), b"\x7f" + b"\xff" * (length - 1)))


def _cut(content: bytearray, rng: random.Random) -> None:
    del content[_place(content, rng) :]


def _remove(content: bytearray, rng: random.Random) -> None:
    place = _place(content, rng)
    del content[place : place + rng.choice((1, 3, 16, 200))]


def _insert(content: bytearray, rng: random.Random) -> None:
    place = _place(content, rng)
    content[place:place] = rng.choice((rng.randbytes(rng.choice((1, 4, 50))), b"9" * rng.choice((1, 3, 30, 500)), b"-", b"\n", b"\0"))


def _repeat(content: bytearray, rng: random.Random) -> None:
    place = _place(content, rng)
    content[place:place] = content[place : place + rng.choice((4, 40, 400))] * rng.choice((1, 2, 20))


def _digit(content: bytearray, rng: random.Random) -> None:
    digits = [place for place, byte in enumerate(content[:4000]) if 48 <= byte <= 57]
    if digits:
        content[rng.choice(digits)] = rng.choice(b"0123456789-.eE+x ")


DAMAGE: tuple[Callable[[bytearray, random.Random], None], ...] = (_flip, _flip, _overwrite, _cut, _remove, _insert, _repeat, _digit, _digit)
