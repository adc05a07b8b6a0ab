"""Commands for photographs by calibrated cameras: prepare-frames, poses."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from benchmark.machine.console import open_console

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

LINE_INTERVAL = 5.0  # [s] between progress lines


def prepare_frames(
    config: Annotated[Path, typer.Argument(help="A JSON or YAML file with Pose Splatter's keys (docs/data/photographs.md).")],
) -> int:
    import numpy as np

    from benchmark.photographs.preparation import open_preparation, prepare

    console, lines = open_console(), _Lines()
    found = open_preparation(config)
    rows, columns = found.shape
    rate = "" if found.rate is None else f", {found.rate:g} a second"
    _say(console, f"{len(found.videos)} cameras, {len(found.indices)} of {found.videos[0].count} frames{rate}, {columns} x {rows} pixels")
    x, y, z = found.cameras.up
    roll = "as given" if np.isnan(found.roll) else f"from the cameras, which are level within {found.roll:.1f} degrees"
    _say(console, f"up: {x:.4f} {y:.4f} {z:.4f} of the world, {roll}")
    written = prepare(
        found,
        lambda camera, done, frames: lines.say(
            console, f"camera {camera}: {done}/{frames} frames", last=done == frames and camera == len(found.videos) - 1
        ),
    )
    quoted = shlex.quote(str(found.folder))
    _say(console, f"{found.folder / 'frames.h5'}" + ("" if written else " was complete"))
    _say(console, f"Next:\n  python -m benchmark poses {quoted}\n  python -m benchmark run --scan {quoted} --methods carve")
    return 0


def poses(
    folder: Annotated[Path, typer.Argument(help="A folder with frames.h5 or frames.zarr and cameras.json, or the config that made it.")],
    up: Annotated[str, typer.Option(help="cameras (as cameras.json says), hulls, or x,y,z of the world.")] = "cameras",
    smooth: Annotated[int, typer.Option(min=1, max=1001, help="Frames over which centre and angle are smoothed; 1 = not.")] = 7,
    grid: Annotated[int | None, typer.Option(min=16, max=256, help="Voxels along an edge of the grid for the crop (default 64).")] = None,
) -> int:
    import dataclasses

    import numpy as np

    from benchmark.photographs.cameras import read_cameras, unit_vector
    from benchmark.photographs.config import output_folder, read_config
    from benchmark.photographs.frame import frame_masks
    from benchmark.photographs.sequence import FILE, find_poses, write_poses

    console, lines = open_console(), _Lines()
    if folder.is_file():
        config = read_config(folder)
        folder, grid = output_folder(folder, config), grid or config.grid_size
    cameras = read_cameras(folder / "cameras.json")
    if up not in ("cameras", "hulls"):
        cameras = dataclasses.replace(cameras, up=unit_vector("--up", _numbers(up)))
    used = tuple(index for index in range(len(cameras)) if index not in (cameras.heldout or ()))

    rounds = iter(("hull", "box"))

    def masks() -> Iterator[np.ndarray]:
        step = next(rounds)
        for index, mask in enumerate(frame_masks(folder, cameras, used)):
            lines.say(console, f"{step} of frame {index}")
            yield mask

    found, volume = find_poses(cameras, used, masks, up_by_hulls=up == "hulls", window=smooth, grid_size=grid or 64)
    write_poses(folder, found, volume)
    missing = np.flatnonzero(~found.found).tolist()
    if missing:
        _say(console, f"{len(missing)} frames without a hull, whose poses are interpolated: {', '.join(map(str, missing[:10]))}")
    x, y, z = found.up
    _say(console, f"{len(found.angles)} frames by cameras {', '.join(map(str, used))}; up: {x:.4f} {y:.4f} {z:.4f}")
    _say(console, f"front and back told by {found.front}; turned by {np.rad2deg(np.ptp(found.angles)):.0f} degrees in all")
    edges = " x ".join(f"{edge:.4g}" for edge in np.diff(found.box, axis=0)[0])
    _say(console, f"box {edges} mm (x, y, z); volume_idx {found.volume_idx.tolist()} of {found.grid_size} voxels, {found.edge:.4g} mm")
    _say(console, str(folder / FILE))
    return 0


def _numbers(text: str) -> np.ndarray:
    import numpy as np

    from benchmark.errors import InputError

    try:
        return np.array([float(word) for word in text.split(",")])
    except ValueError:
        raise InputError("--up", expected="cameras, hulls or three numbers x,y,z", found=f"'{text}'") from None


class _Lines:
    """Printer of a progress line every few seconds."""

    def __init__(self) -> None:
        self.next = time.monotonic() + LINE_INTERVAL

    def say(self, console: Console, text: str, *, last: bool = False) -> None:
        if last or time.monotonic() >= self.next:
            self.next = time.monotonic() + LINE_INTERVAL
            _say(console, text)


def _say(console: Console, text: str) -> None:
    console.print(escape(text), soft_wrap=True, highlight=False)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("prepare-frames", help="Make frames of calibrated cameras' videos.")(prepare_frames)
    app.command(help="Find the body's centre and heading in all frames.")(poses)
