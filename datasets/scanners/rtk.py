"""RTK: geometry.xml (version 2 or 3), with projections in one .mha or .mhd file.

Facts: lengths in mm, angles in degrees; y is the rotation axis and the source stands on z at gantry angle 0, so that RTK's z, x, y are our
x, y, z. A view is turned by Rz(-InPlaneAngle) Rx(-OutOfPlaneAngle) Ry(-GantryAngle) into a frame where the source is at (SourceOffsetX,
SourceOffsetY, SourceToIsocenterDistance) and the detector's plane at z = SourceToIsocenterDistance - SourceToDetectorDistance; a pixel
lies there at its position in the image file plus (ProjectionOffsetX, ProjectionOffsetY). Values outside a Projection hold for all that
follow. SourceToDetectorDistance 0 is a parallel beam.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from benchmark.api import InputError, ScanDraft, Settings, numbered_images, read_text

from .folders import beginning, ending

NUMBERS = (
    "SourceToIsocenterDistance", "SourceToDetectorDistance", "GantryAngle", "ProjectionOffsetX", "ProjectionOffsetY",
    "OutOfPlaneAngle", "InPlaneAngle", "SourceOffsetX", "SourceOffsetY",
)  # fmt: skip
SERIES = (".his", ".tif", ".tiff", ".edf", ".png")
OTHER = (".hnd", ".hnc", ".xim", ".ora", ".att")


def recognises(folder: Path) -> list[Path]:
    """Return the geometry files of a folder."""
    return [path for path in ending(folder, ".xml") if "<RTKThreeDCircularGeometry" in beginning(path)]


def read(path: Path) -> ScanDraft:
    """Read the scan of a geometry file."""
    views, matrices, draft = *_views(path), ScanDraft()
    _check_matrices(path, views, matrices)
    draft.set("length_unit", "mm", "as RTK writes")
    draft.set("angle_unit", "degrees", "as RTK writes")
    images = ending(path.parent, ".mha", ".mhd")
    if len(images) > 1:
        images = [file for file in images if "proj" in file.name.lower()] or images
    if len(images) > 1:
        raise InputError(str(path.parent), expected="one .mha or .mhd file of projections", found=", ".join(file.name for file in images))
    if not images:
        return _without_images(path, draft, views)
    shape, pitch, centre = _grid(images[0], draft)
    if shape[0] != len(views):
        raise InputError(str(path), expected=f"a Projection for each of the {shape[0]} views of {images[0].name}", found=f"{len(views)}")
    draft.images = shape
    name = path.name
    if not views[:, 1].any():
        return _parallel(name, draft, views, pitch, centre)
    draft.orbit(_vectors(views, pitch, centre), shape[1:], f"{name}, {images[0].name}: Offset and ElementSpacing")
    return draft


def _views(path: Path) -> tuple[np.ndarray, list[np.ndarray | None]]:
    """Return NUMBERS of each view [view, 9], and its matrix if the file has one."""
    text = read_text(path, single_bytes=True)
    if "<!ENTITY" in text or "<!DOCTYPE" in text.replace("<!DOCTYPE RTKGEOMETRY>", ""):
        raise InputError(str(path), expected="an RTK geometry", found="a document type of its own")
    try:
        root = ElementTree.fromstring(text.lstrip("\ufeff").partition("?>")[2] if text.lstrip("\ufeff").startswith("<?xml") else text)
    except ElementTree.ParseError as error:
        raise InputError(str(path), expected="an RTK geometry in XML", found=str(error)) from None
    if root.get("version") not in ("2", "3"):
        raise InputError(
            str(path), expected="version 2 or 3 of RTK's geometry", found=f"{root.get('version')}", fix="Write it anew with RTK."
        )
    now, views, matrices = dict.fromkeys(NUMBERS, 0.0), [], []
    for element in root:
        if element.tag == "RadiusCylindricalDetector" and float(element.text or 0):
            raise InputError(f"{path}: RadiusCylindricalDetector", expected="0, a flat detector", found=element.text or "")
        if element.tag != "Projection":
            _take(path, element, now)
            continue
        matrix = None
        for part in element:
            if part.tag == "Matrix":
                matrix = _matrix(path, part.text or "")
            _take(path, part, now)
        views.append([now[name] for name in NUMBERS])
        matrices.append(matrix)
    table = np.array(views)
    if not views or not np.isfinite(table).all():
        raise InputError(str(path), expected="finite numbers of at least one Projection", found="none" if not views else "NaN or Inf")
    if 0 < np.count_nonzero(table[:, 1]) < len(table):
        raise InputError(f"{path}: SourceToDetectorDistance", expected="a cone or a parallel beam", found="both")
    return table, matrices


def _take(path: Path, element: ElementTree.Element, now: dict[str, float]) -> None:
    name = "GantryAngle" if element.tag == "Angle" else element.tag
    if name in now:
        try:
            now[name] = float(element.text or "")
        except ValueError:
            raise InputError(f"{path}: {name}", expected="a number", found=f"{element.text!r:.60}") from None


def _matrix(path: Path, text: str) -> np.ndarray:
    try:
        return np.array([float(word) for word in text.split()]).reshape(3, 4)
    except ValueError:
        raise InputError(f"{path}: Matrix", expected="12 numbers", found=f"{text!r:.60}") from None


def _turns(views: np.ndarray) -> np.ndarray:
    """Return the rotation of each view into its own frame [view, 3, 3], in RTK's axes."""
    gantry, out, within = np.radians(views[:, [2, 5, 6]]).T
    zero, one = np.zeros_like(gantry), np.ones_like(gantry)

    def rotation(rows: list[list[np.ndarray]]) -> np.ndarray:
        return np.array(rows).transpose(2, 0, 1)

    about_z = rotation([[np.cos(within), np.sin(within), zero], [-np.sin(within), np.cos(within), zero], [zero, zero, one]])
    about_x = rotation([[one, zero, zero], [zero, np.cos(out), np.sin(out)], [zero, -np.sin(out), np.cos(out)]])
    about_y = rotation([[np.cos(gantry), zero, -np.sin(gantry)], [zero, one, zero], [np.sin(gantry), zero, np.cos(gantry)]])
    return about_z @ about_x @ about_y


def _check_matrices(path: Path, views: np.ndarray, matrices: list[np.ndarray | None]) -> None:
    """Raise InputError where a view's matrix contradicts its numbers, as RTK does."""
    turns = _turns(views)
    for index, (numbers, matrix) in enumerate(zip(views, matrices, strict=True)):
        if matrix is None:
            continue
        near, far, _, image_x, image_y, _, _, source_x, source_y = numbers
        moved = np.hstack([turns[index], [[-source_x], [-source_y], [0.0]]])
        focus = np.array([[-far, 0, 0, 0], [0, -far, 0, 0], [0, 0, 1, -near]]) if far else np.eye(4)[[0, 1, 3]]
        expected = np.array([[1, 0, source_x - image_x], [0, 1, source_y - image_y], [0, 0, 1]]) @ focus @ np.vstack([moved, [0, 0, 0, 1]])
        if np.abs(expected - matrix).max() > 1e-3 * max(1.0, np.abs(expected).max()):
            fix = "Write the file anew with RTK."
            raise InputError(f"{path}: Projection {index}", expected="a Matrix of the other numbers", found="another one", fix=fix)


def _grid(path: Path, draft: ScanDraft) -> tuple[tuple[int, int, int], np.ndarray, np.ndarray]:
    """Set the projections; return their shape [view, v, u], the pixel size (u, v) [mm] and the position of the detector's centre (u, v)."""
    head = Settings.read(path, 1 << 14)
    sizes, spacing = head.numbers("DimSize"), head.numbers("ElementSpacing" if head.has("ElementSpacing") else "ElementSize")
    origin = next((head.numbers(key) for key in ("Offset", "Position", "Origin") if head.has(key)), [0.0, 0.0, 0.0])
    key = next((key for key in ("TransformMatrix", "Orientation", "Rotation") if head.has(key)), None)
    axes = np.reshape(head.numbers(key), (3, 3))[:2, :2] if key and len(head.numbers(key)) == 9 else np.eye(2)
    if not len(sizes) == len(spacing) == len(origin) == 3 or min(spacing) <= 0 or min(sizes) < 1:
        raise InputError(str(path), expected="three axes with their spacing", found=f"{sizes}, {spacing}, {origin}")
    if np.abs(axes - np.diag(np.sign(np.diag(axes)))).max() > 1e-6 or not np.diag(axes).all():
        raise InputError(f"{path}: {key}", expected="axes along the detector's rows and columns", found=f"{axes.tolist()}")
    pitch = np.array(spacing[:2]) * np.diag(axes)
    centre = np.array(origin[:2]) + (np.array(sizes[:2]) - 1) / 2 * pitch
    draft.set("projections.file", path.name, "the projections")
    draft.set("projections.axes", ["view", "v", "u"], "as RTK stacks them")
    kind = head.text("ElementType")
    if kind in ("MET_FLOAT", "MET_DOUBLE"):
        draft.set("projections.values", "line_integrals", head.source("ElementType"))
    else:
        draft.set("projections.values", "intensities", head.source("ElementType"))
        draft.leave("projections.flat", "intensity without object: not in RTK's files")
    return (int(sizes[2]), int(sizes[1]), int(sizes[0])), pitch, centre


def _vectors(views: np.ndarray, pitch: np.ndarray, centre: np.ndarray) -> np.ndarray:
    near, far, _, image_x, image_y, _, _, source_x, source_y = views.T
    zero = np.zeros(len(views))
    frame = np.stack(
        [
            np.stack([source_x, source_y, near], -1),
            np.stack([centre[0] + image_x, centre[1] + image_y, near - far], -1),
            np.stack([zero + pitch[0], zero, zero], -1),
            np.stack([zero, zero + pitch[1], zero], -1),
        ],
        1,
    )
    return np.einsum("vji,vkj->vki", _turns(views), frame)[:, :, [2, 0, 1]]


def _parallel(name: str, draft: ScanDraft, views: np.ndarray, pitch: np.ndarray, centre: np.ndarray) -> ScanDraft:
    if np.abs(views[:, 5:7]).max() > 1e-3 or np.ptp(views[:, 3:5], axis=0).max() > 1e-3 * np.abs(pitch).min():
        raise InputError(name, expected="a parallel beam on a circle with a detector that stands still", found="turns or offsets per view")
    draft.set("projections.first_row", "top" if pitch[1] < 0 else "bottom", "from the image file")
    draft.set("projections.first_column", "right" if pitch[0] < 0 else "left", "from the image file")
    draft.set("geometry.beam", "parallel", f"{name}: SourceToDetectorDistance is 0")
    draft.set("geometry.detector_pitch", np.abs(pitch[::-1]), "ElementSpacing of the image file")
    offset = [centre[1] + views[0, 4], centre[0] + views[0, 3]]
    draft.set("geometry.detector_offset", offset, f"{name}: ProjectionOffsetY, ProjectionOffsetX, and the image file's Offset")
    draft.table("angles.file", "scan_angles.txt", views[:, 2], f"{name}: GantryAngle")
    draft.set("angles.rotation", "counter_clockwise", "as RTK counts")
    return draft


def _without_images(path: Path, draft: ScanDraft, views: np.ndarray) -> ScanDraft:
    """Describe what geometry.xml says; the pixel size and the images are for the user."""
    if np.ptp(views[:, [0, 1, 3, 4, 7, 8]], axis=0).any() or views[:, 5:7].any() or not views[:, 1].all():
        raise InputError(str(path.parent), expected="projections in .mha or .mhd beside a geometry that is no simple circle", found="none")
    other = [file.name for file in ending(path.parent, *OTHER)]
    if other:
        fix = "Convert them by rtkprojections to one .mha file, then run new-scan again."
        raise InputError(str(path.parent), expected="projections in .mha, .mhd or one image per view", found=f"{other[0]}", fix=fix)
    name = path.name
    pattern, count = numbered_images(path.parent, "", SERIES)
    if count != len(views):
        raise InputError(str(path), expected=f"a Projection for each of the {count} images {pattern}", found=f"{len(views)}")
    draft.set("projections.file", pattern, "one image per view")
    draft.set("projections.values", "intensities", "one image per view")
    draft.leave("projections.flat", "intensity without object: not in RTK's files")
    draft.set("geometry.source_to_origin", views[0, 0], f"{name}: SourceToIsocenterDistance")
    draft.set("geometry.source_to_detector", views[0, 1], f"{name}: SourceToDetectorDistance")
    draft.leave("geometry.detector_pitch", "not in RTK's geometry: of the image files")
    offset = [views[0, 4] - views[0, 8], views[0, 3] - views[0, 7]]
    draft.set("geometry.detector_offset", offset, f"{name}: ProjectionOffset - SourceOffset; add the centre of the images' own origin")
    draft.set("geometry.axis_shift", views[0, 7], f"{name}: SourceOffsetX")
    draft.set("geometry.source_height", views[0, 8], f"{name}: SourceOffsetY")
    draft.table("angles.file", "scan_angles.txt", views[:, 2], f"{name}: GantryAngle")
    draft.set("angles.rotation", "counter_clockwise", "as RTK counts")
    return draft
