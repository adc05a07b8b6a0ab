"""GE and Phoenix: NAME.pca beside one 16-bit TIFF per view.

Facts: FDD and FOD in mm from the focus to the detector and to the object; PixelsizeX, PixelsizeY in mm; RotationSector in degrees is the
arc of NumberImages views. Row 0 of an image is its top. The file states neither the sense of rotation nor the intensity without object.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.api import ScanDraft, Settings, numbered_images

from .folders import ending


def recognises(folder: Path) -> list[Path]:
    """Return the .pca files of a folder."""
    return ending(folder, ".pca")


def read(path: Path) -> ScanDraft:
    """Read the scan of a .pca file."""
    given, draft = Settings.read(path), ScanDraft()
    pattern, count = numbered_images(path.parent, "", (".tif", ".tiff"))
    draft.set("length_unit", "mm", "as Phoenix writes")
    draft.set("angle_unit", "degrees", "as Phoenix writes")
    draft.set("projections.file", pattern, "one image per view")
    draft.set("projections.axes", ["view", "v", "u"], "one image per view")
    draft.set("projections.first_row", "top", "as Phoenix writes")
    draft.set("projections.first_column", "left", "assumed: not in the file")
    draft.set("projections.values", "intensities", "as Phoenix writes")
    draft.leave("projections.flat", "intensity without object: not in the file; the counts of air in an image")
    rows, columns = (given.count(f"NrPixels{side}", "Detector") if given.has(f"NrPixels{side}", "Detector") else None for side in "YX")
    if rows and columns:
        draft.images = (count, rows, columns)
    draft.set("geometry.source_to_origin", given.number("FOD", positive=True), given.source("FOD"))
    draft.set("geometry.source_to_detector", given.number("FDD", positive=True), given.source("FDD"))
    pitch = [given.number(f"Pixelsize{side}", positive=True) for side in "YX"]
    draft.set("geometry.detector_pitch", pitch, given.source("PixelsizeY", "PixelsizeX"))
    draft.set("geometry.detector_offset", [0, 0], "not in the file")
    number = given.count("NumberImages", "CT") if given.has("NumberImages", "CT") else given.count("NumberImages")
    arc = given.number("RotationSector", default=360)
    if number != count:
        draft.note(f"{path.name}: NumberImages is {number}, but {count} images are here.")
    draft.set("angles.first", 0, "the first image")
    draft.set("angles.step", arc / number, given.source("RotationSector / NumberImages"))
    draft.set("angles.rotation", "counter_clockwise", "assumed: not in the file")
    draft.note("The file does not state the sense of rotation: `validate` finds out whether clockwise fits better.")
    return draft
