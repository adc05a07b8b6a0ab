"""Commands that evaluate the field in a checkpoint, without its training data: render, volume."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.markup import escape

from benchmark.errors import InputError
from benchmark.machine.console import open_console

CheckpointFile = Annotated[Path, typer.Argument(help="A checkpoint: <results>/runs/<run>/checkpoint.pt.")]


def render(
    checkpoint: CheckpointFile,
    angles: Annotated[str | None, typer.Option(help="Degrees, comma-separated, such as 0,45,90.")] = None,
    views: Annotated[int, typer.Option(min=1, max=10_000, help="Number of views, evenly spaced over the circle (without --angles).")] = 8,
    output: Annotated[Path | None, typer.Option(help="An .npy file, with a picture beside it (default: beside the checkpoint).")] = None,
) -> int:
    from benchmark.fields.novel_views import NovelField
    from benchmark.report.mosaics import save_views
    from benchmark.scan.scan import MEASURED
    from benchmark.storage.atomic import replacing
    from benchmark.storage.writable import prove_file

    degrees = np.arange(views) * 360 / views if angles is None else _degrees(angles)
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
    app.command(help="Render views of a checkpoint's field from any angle.")(render)
    app.command(help="Write the volume of a checkpoint's field at any resolution.")(volume)
