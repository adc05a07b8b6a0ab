"""Scans of a ball as scanners write them: each from its format's own convention, none from our geometry or our readers."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import ArrayLike

from benchmark.scan_folder.load import open_scan_folder

BALL = np.array([7.0, -4.0, 3.0])  # x y z [mm]
RADIUS = 5.0  # [mm]
MU = 0.05  # [1/mm]
WHITE = 60_000


def chords(source: np.ndarray, pixels: np.ndarray, ball: ArrayLike = BALL, radius: float = RADIUS) -> np.ndarray:
    """Length [mm] of the ball on the way from a source x y z to each pixel [row, column, 3]."""
    ray = pixels - source
    ray = ray / np.linalg.norm(ray, axis=-1, keepdims=True)
    towards = np.asarray(ball) - source
    beside = (towards**2).sum(-1) - (ray @ towards) ** 2
    return np.asarray(2 * np.sqrt(np.maximum(radius**2 - beside, 0)))


def panel(centre: ArrayLike, column: ArrayLike, row: ArrayLike, shape: tuple[int, int]) -> np.ndarray:
    """Positions [row, column, 3] of pixels around a centre; `column` and `row` are the steps to the next column and row."""
    rows, columns = (np.arange(count) - (count - 1) / 2 for count in shape)
    return np.asarray(centre) + columns[None, :, None] * np.asarray(column) + rows[:, None, None] * np.asarray(row)


def turn(angle: float, points: np.ndarray) -> np.ndarray:
    """Points [..., 3] turned counter-clockwise about z, seen from above [degrees]."""
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return points @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]).T


def counts(lengths: np.ndarray, white: float = WHITE) -> np.ndarray:
    return np.minimum(np.round(white * np.exp(-MU * lengths)), 65_535).astype(np.uint16)


def save(folder: Path, names: Sequence[str], images: Sequence[np.ndarray]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in zip(names, images, strict=True):
        tifffile.imwrite(folder / name, image)


def misfit(folder: Path, ball: ArrayLike = BALL, radius: float = RADIUS, mu: float = MU) -> float:
    """Largest difference [line integral] between what the folder's scan measured and what its geometry sees of the ball."""
    scan = open_scan_folder(folder)
    worst = 0.0
    for index, (source, centre, u, v) in enumerate(scan.geometry.vectors()):
        pixels = panel(centre, u, v, scan.geometry.detector_shape)
        worst = max(worst, float(np.abs(scan.view(index) - mu * chords(source, pixels, ball, radius)).max()))
    return worst


def compound_file(streams: dict[str, bytes]) -> bytes:
    """An OLE2 compound file [MS-CFB] with streams by path ('ImageInfo/Angles'), every one in sectors of 512 bytes."""
    entries: list[dict[str, Any]] = [{"name": "Root Entry", "kind": 5, "children": {}, "data": b""}]
    for path, data in streams.items():
        place = entries[0]
        *folders, name = path.split("/")
        for folder in folders:
            if folder not in place["children"]:
                entries.append({"name": folder, "kind": 1, "children": {}, "data": b""})
                place["children"][folder] = len(entries) - 1
            place = entries[place["children"][folder]]
        entries.append({"name": name, "kind": 2, "children": {}, "data": data.ljust(4096, b"\0")})
        place["children"][name] = len(entries) - 1
    end, free = 0xFFFFFFFE, 0xFFFFFFFF
    fat: list[int] = []
    body = b""

    def chain(data: bytes) -> int:
        """Append a stream; return its first sector."""
        nonlocal body
        count, first = -(-len(data) // 512), len(fat)
        fat.extend([*range(first + 1, first + count), end])
        body += data.ljust(512 * count, b"\0")
        return first

    starts = [chain(entry["data"]) if entry["kind"] == 2 else 0 for entry in entries]
    siblings = [free] * len(entries)
    for entry in entries:  # a list in the order of the names is a binary tree too
        ordered = [entry["children"][name] for name in sorted(entry["children"], key=lambda name: (len(name), name.upper()))]
        for before, after in zip(ordered, ordered[1:], strict=False):
            siblings[before] = after
        entry["child"] = ordered[0] if ordered else free
    directory = b""
    for entry, start, sibling in zip(entries, starts, siblings, strict=True):
        name = entry["name"].encode("utf-16-le") + b"\0\0"
        start, size = (start, len(entry["data"])) if entry["kind"] == 2 else (end if entry["kind"] == 5 else 0, 0)
        fields = struct.pack(
            "<64sHBBIII16sIQQIQ", name, len(name), entry["kind"], 1, free, sibling, entry["child"], b"", 0, 0, 0, start, size
        )
        directory += fields
    first_of_directory = chain(directory)
    tables = 1
    while tables * 128 < len(fat) + tables:
        tables += 1
    first_of_fat = len(fat)
    fat += [0xFFFFFFFD] * tables
    table = struct.pack(f"<{len(fat)}I", *fat).ljust(512 * tables, b"\xff")
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 0x3E, 3, 0xFFFE, 9, 6, b"",
        0, tables, first_of_directory, 0, 4096, end, 0, end, 0,
    )  # fmt: skip
    sectors = [first_of_fat + index for index in range(tables)] + [free] * (109 - tables)
    return header + struct.pack("<109I", *sectors) + body + table
