"""Commands that evaluate the field in a checkpoint, without its training data: render, volume."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.markup import escape

from benchmark.errors import InputError
from benchmark.machine.console import open_console

COLOURED = (".png", ".h5", ".mp4", ".gif")  # outputs of photographs
CheckpointFile = Annotated[Path, typer.Argument(help="A checkpoint: <results>/runs/<run>/checkpoint.pt.")]


def render(
    checkpoints: Annotated[
        list[Path], typer.Argument(metavar="CHECKPOINT...", help="<results>/runs/<run>/checkpoint.pt; several, a frame each, into one .h5.")
    ],
    angles: Annotated[str | None, typer.Option(help="Degrees, comma-separated, such as 0,45,90.")] = None,
    views: Annotated[int, typer.Option(min=1, max=10_000, help="Number of views, evenly spaced over the circle (without --angles).")] = 8,
    view: Annotated[str | None, typer.Option(help="Photographs: numbers of training cameras, such as 0 or 0,3, or all.")] = None,
    camera: Annotated[Path | None, typer.Option(help="Photographs: a file like cameras.json, in world coordinates.")] = None,
    turn: Annotated[float | None, typer.Option(help="Photographs: degrees that the thing is turned about the vertical.")] = None,
    shift: Annotated[str | None, typer.Option(help="Photographs: x,y,z in mm that it is moved by.")] = None,
    background: Annotated[str | None, typer.Option(help="Photographs: white (the default), black, grey or red,green,blue.")] = None,
    scale: Annotated[int | None, typer.Option(min=1, max=64, help="Photographs: pixels along each edge of a camera's pixel.")] = None,
    rate: Annotated[int, typer.Option(min=1, max=120, help="Pictures a second of a video.")] = 15,
    output: Annotated[
        Path | None, typer.Option(help="An .npy file, with a picture beside it; or, of photographs, .png, .h5, .mp4 or .gif.")
    ] = None,
) -> int:
    from benchmark.fields.novel_views import NovelField
    from benchmark.report.mosaics import save_views
    from benchmark.scan.scan import MEASURED
    from benchmark.storage.atomic import replacing
    from benchmark.storage.writable import prove_file

    degrees = np.arange(views) * 360 / views if angles is None else _degrees(angles)
    own = {"--view": view, "--camera": camera, "--turn": turn, "--shift": shift, "--background": background, "--scale": scale}
    given = [name for name, value in own.items() if value is not None]
    if given or len(checkpoints) > 1 or (output is not None and output.suffix in COLOURED):
        look = Look(degrees, view, camera, turn or 0.0, shift or "0,0,0", background or "white", scale or 1, rate)
        for path in in_colour(checkpoints, look, output):
            _say(path, "")
        return 0
    (checkpoint,) = checkpoints
    field = NovelField(checkpoint)
    path = _output(output, checkpoint, "views.npy")
    prove_file(path.with_suffix(".png"))
    projections, _ = field.views(np.deg2rad(degrees))
    with replacing(path) as temporary:
        np.save(temporary, projections)
    picture = save_views(projections, degrees, path.with_suffix(".png"))
    _say(path, f"{projections.shape} [view, v, u], {'opacities' if field.composite == 'over' else MEASURED[field.composite]}")
    _say(picture, "")
    return 0


@dataclasses.dataclass(frozen=True)
class Look:
    """Cameras and appearance of colour pictures, as typed."""

    degrees: np.ndarray
    view: str | None
    camera: Path | None
    turn: float
    shift: str
    background: str
    scale: int
    rate: int


def in_colour(checkpoints: list[Path], look: Look, output: Path | None) -> list[Path]:
    """Render coloured Gaussians, and write them in the format that the output's suffix names; return the files."""
    from benchmark.exchange.pictures import VIDEOS, Scene, background_of, shift_of, write_hdf5, write_png, write_video
    from benchmark.storage.writable import prove_file, prove_folder

    if look.view is not None and look.camera is not None:
        raise InputError("command line", expected="one of --view and --camera", found="both")
    path = output or checkpoints[0].with_name("views.png" if len(checkpoints) == 1 else "rendered_images.h5")
    if path.suffix not in COLOURED or (len(checkpoints) > 1 and path.suffix != ".h5"):
        expected = "an .h5 file for several checkpoints" if len(checkpoints) > 1 else f"a file that ends in {', '.join(COLOURED)}"
        raise InputError("--output", expected=expected, found=f"'{path.name}'")
    prove_folder(path.parent, str(path.parent), "Choose another --output.")
    prove_file(path)
    colour, shift, frames = background_of(look.background), shift_of(look.shift), []
    for checkpoint in checkpoints:
        scene = Scene.read(checkpoint)
        if look.camera is not None:
            cameras = scene.seen_from_world(look.camera)
        elif look.view is not None:
            cameras = scene.seen_by(list(range(scene.geometry.views)) if look.view == "all" else _numbers(look.view))
        else:
            cameras = scene.circle(look.degrees)
        frames.append(scene.moved(look.turn, shift).pictures(cameras, colour, look.scale))
    if path.suffix == ".h5":
        if len({frame.shape for frame in frames}) > 1:
            found = f"{sorted({frame.shape[:3] for frame in frames})}"
            raise InputError("checkpoints", expected="pictures of one size and number", found=f"[view, row, column] {found}")
        return write_hdf5(path, np.stack(frames))
    return write_video(path, frames[0], look.rate) if path.suffix in VIDEOS else write_png(path, frames[0])


def volume(
    checkpoint: CheckpointFile,
    size: Annotated[int, typer.Option(min=1, help="Voxels along the longest edge.")],
    output: Annotated[Path | None, typer.Option(help="A .nii.gz file (default: beside the checkpoint).")] = None,
) -> int:
    from benchmark.fields.novel_views import NovelField
    from benchmark.records.nifti import write_volume
    from benchmark.storage.atomic import replacing

    field = NovelField(checkpoint)
    path = _output(output, checkpoint, f"volume-{size}.nii.gz")
    values, geometry = field.volume(size)
    with replacing(path) as temporary:
        write_volume(temporary, values, geometry)
    _say(path, f"{values.shape} [z, y, x], 1/mm: the raw field, without the method's final voxel correction")
    return 0


def _numbers(text: str) -> list[int]:
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise InputError("--view", expected="numbers of cameras such as 0 or 0,3, or all", found=f"'{text}'")
    return [int(word) for word in text.split(",")]


def _degrees(text: str) -> np.ndarray:
    try:
        values = np.array([float(word) for word in text.replace(",", " ").split()])
    except ValueError:
        values = np.array([])
    if values.size == 0 or not np.isfinite(values).all():
        raise InputError("--angles", expected="degrees such as 0,45,90", found=f"'{text}'")
    return values


def _output(output: Path | None, checkpoint: Path, name: str) -> Path:
    """Return the path of the result. Raise InputError if it cannot be written."""
    from benchmark.storage.writable import prove_file, prove_folder

    path = output or checkpoint.with_name(name)
    suffix = ".npy" if name.endswith(".npy") else ".nii.gz"
    if not path.name.endswith(suffix):
        raise InputError("--output", expected=f"a {suffix} file", found=f"'{path.name}'")
    prove_folder(path.parent, str(path.parent), "Choose another --output.")
    prove_file(path)
    return path


def _say(path: Path, what: str) -> None:
    open_console().print(escape(f"{path}  {what}".rstrip()), soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(help="Render views of a checkpoint from any angle. Photographs are rendered in colour, also as video.")(render)
    app.command(help="Write a checkpoint's volume at any resolution.")(volume)
