"""Scans as scanners write them: `new-scan` describes them completely, and the ball comes out where it was."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import scipy.io
import SimpleITK
import yaml
from scanner_files import BALL, MU, WHITE, chords, compound_file, counts, misfit, panel, save, turn

from benchmark.api import (
    InputError,
    MissingDependency,
    ScanDraft,
    ScanFormatSpec,
    Settings,
    hookimpl,
    numbered_images,
    read_text,
    read_zeiss,
    reference_image,
)
from benchmark.cli.main import main
from benchmark.datasets.scanners import FORMATS
from benchmark.datasets.scanners.leap import LEGACY
from benchmark.plugins.registry import load
from benchmark.scan_folder.formats import Recognised, recognised
from benchmark.scan_folder.load import open_scan_folder
from benchmark.scan_folder.template import template, write_template

SHAPE = (26, 40)
NOISE = 2e-3  # of a ball whose line integrals reach 0.5; a tenth of a pixel changes its edge by 0.02


def described(folder: Path, *options: str) -> dict[str, Any]:
    """Run new-scan; return the scan.yaml, which must hold no FILL_IN."""
    assert main(["new-scan", str(folder), *options]) == 0
    text = ((folder if folder.is_dir() else folder.parent) / "scan.yaml").read_text()
    assert "FILL_IN" not in text
    return dict(yaml.safe_load(text))


# -- Nikon --------------------------------------------------------------------------------------------------------------------


def nikon(folder: Path, angles: np.ndarray, *, white: int = WHITE, **changes: Any) -> Path:
    """A scan of X-Tek's software. The stage turns clockwise in the cabinet; images are seen from behind the detector."""
    keys: dict[str, Any] = {
        "Name": "bone [1]", "Projections": len(angles), "WhiteLevel": white, "SrcToObject": 150.0, "SrcToDetector": 600.0,
        "DetectorPixelsX": SHAPE[1], "DetectorPixelsY": SHAPE[0], "DetectorPixelSizeX": 4.0, "DetectorPixelSizeY": 5.0,
        "DetectorOffsetX": 6.0, "DetectorOffsetY": -7.0, "ObjectOffsetX": 1.5, "InitialAngle": 0.0, "AngularStep": 360 / len(angles),
        **changes,
    }  # fmt: skip
    lines = ["[XTekCT]", *(f"{key}={value}" for key, value in keys.items() if value is not None)]
    folder.mkdir(exist_ok=True)
    (folder / "bone.xtekct").write_bytes("\r\n".join([*lines, ""]).encode())
    offset = keys["ObjectOffsetX"]
    if offset is None:
        offset = keys["CentreOfRotationTop"] * keys["SrcToObject"] / keys["SrcToDetector"]
    images = []
    for angle in angles:  # x to the right along the beam y, z up; the axis stands at -offset
        ball = turn(-angle, np.array([BALL[1], -BALL[0], BALL[2]])) + [-offset, 0, 0]
        centre = [-keys["DetectorOffsetX"], keys["SrcToDetector"] - keys["SrcToObject"], keys["DetectorOffsetY"]]
        pixels = panel(centre, [-keys["DetectorPixelSizeX"], 0, 0], [0, 0, -keys["DetectorPixelSizeY"]], SHAPE)
        images.append(counts(chords(np.array([0, -keys["SrcToObject"], 0]), pixels, ball), white))
    save(folder, [f"bone [1]_{number:04}.tif" for number in range(1, len(angles) + 1)], images)
    return folder


def test_nikon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    angles = np.arange(12) * 30.0
    save(nikon(tmp_path / "s", angles), ["thumbnail_0001.tif"], [np.zeros((5, 5), np.uint16)])
    found = described(tmp_path / "s")
    assert misfit(tmp_path / "s") < NOISE
    assert found["angles"] == {"rotation": "counter_clockwise", "first": 0, "step": 30}
    text = (tmp_path / "s" / "scan.yaml").read_text()
    assert "source_to_origin: 150" in text and "# bone.xtekct: SrcToObject" in text
    printed = capsys.readouterr().out
    assert "nikon: bone.xtekct" in printed and "12 views of 26 x 40" in printed and "run --scan" in printed


@pytest.mark.parametrize("kind", ["ang", "ctdata", "both senses"])
def test_nikon_angles_of_a_file(tmp_path: Path, kind: str) -> None:
    angles = np.arange(10) * 36.0 + np.array([0, 1, -2, 3, 0, 1, 2, -1, 0, 4])  # what the stage did, not what it was told
    nikon(tmp_path / "s", angles, AngularStep=36)
    if kind == "ctdata":
        text = "Projs\tFrames per projection\tExposure\n10\t1\t500\nProjection\tAngle(deg)\tTime(s)\n"
        text += "".join(f"{number}\t{angle:.4f}\t{number / 2:.3f}\n" for number, angle in enumerate(angles, 1)) + "\n"
        (tmp_path / "s" / "_ctdata.txt").write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    else:
        sign = -1 if kind == "both senses" else 1
        lines = ["Proj\tAngle(deg)", *(f"{number}:\t{sign * angle:.4f}".replace(".", ",") for number, angle in enumerate(angles, 1))]
        (tmp_path / "s" / "bone.ang").write_bytes("\n".join(lines).encode("utf-16"))
    described(tmp_path / "s")
    assert misfit(tmp_path / "s") < NOISE


def test_nikon_with_the_axis_of_older_files(tmp_path: Path) -> None:
    nikon(tmp_path / "s", np.arange(8) * 45.0, ObjectOffsetX=None, CentreOfRotationTop=6.0, CentreOfRotationBottom=6.0)
    described(tmp_path / "s")
    assert misfit(tmp_path / "s") < NOISE
    assert open_scan_folder(tmp_path / "s").geometry.is_circular


def test_nikon_with_an_axis_that_leans(tmp_path: Path) -> None:
    """ObjectRoll turns the axis in the image, ObjectTilt along the beam; the ball goes around it."""
    roll, tilt = np.radians(2.0), np.radians(1.5)
    axis = np.array([np.sin(roll), np.sin(tilt) * np.cos(roll), np.cos(tilt) * np.cos(roll)])  # x to the right, y along the beam, z up
    angles, radius = np.arange(12) * 30.0, np.linalg.norm(BALL)
    nikon(tmp_path / "s", angles, ObjectRoll=2.0, ObjectTilt=1.5, DetectorOffsetX=0.0, DetectorOffsetY=0.0, ObjectOffsetX=0.0)
    start, images = np.array([BALL[1], -BALL[0], BALL[2]]), []
    for angle in np.radians(-angles):  # Rodrigues' rotation about the axis
        across, along = np.cross(axis, start), (axis @ start) * axis
        ball = along + np.cos(angle) * (start - along) + np.sin(angle) * across
        images.append(counts(chords(np.array([0, -150.0, 0]), panel([0, 450, 0], [-4, 0, 0], [0, 0, -5], SHAPE), ball)))
    save(tmp_path / "s", [f"bone [1]_{number:04}.tif" for number in range(1, 13)], images)
    found = described(tmp_path / "s")
    assert found["geometry"] == {"vectors": "scan_vectors.txt"}
    place, height = axis @ start, float(np.sqrt(radius**2 - (axis @ start) ** 2))  # along the axis, and away from it
    sideways = np.array([1.0, 0, 0]) - axis[0] * axis
    turned = np.degrees(np.arctan2(np.cross(axis, sideways) @ start, sideways @ start))  # of the ball about the axis, from x
    scans = [misfit(tmp_path / "s", turn(turned + shift + 90, np.array([height, 0, place]))) for shift in np.linspace(-0.2, 0.2, 41)]
    assert min(scans) < NOISE


def test_nikon_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nikon(tmp_path / "s", np.arange(8) * 45.0)
    path = tmp_path / "s" / "bone.xtekct"
    whole = path.read_text()
    for wrong, message in (
        (whole.replace("SrcToDetector=600.0", ""), "bone.xtekct: SrcToDetector: expected a value, found none"),
        (whole.replace("SrcToDetector=600.0", "SrcToDetector=far"), "SrcToDetector: expected a number, found 'far'"),
        (whole.replace("WhiteLevel=60000", "WhiteLevel=0"), "WhiteLevel: expected a positive number, found 0"),
        (whole.replace("DetectorPixelsX=40", "DetectorPixelsX=41"), ""),
    ):
        path.write_text(wrong)
        assert main(["new-scan", str(tmp_path / "s")]) == 2
        printed = capsys.readouterr()
        assert message in printed.err
        assert (tmp_path / "s" / "scan.yaml").exists() != bool(message)
    assert "expected images of 26 x 41 pixels, as bone.xtekct states, found 26 x 40" in printed.out


# -- SkyScan ------------------------------------------------------------------------------------------------------------------


def skyscan(folder: Path, step: float, views: int, *, way: str = "CC", **changes: Any) -> Path:
    """A scan of a SkyScan: the stage turns the object counter-clockwise (CC) seen from above, the camera's image is seen from behind."""
    pitch, near, far = 4.4, 150.0, 600.0  # of the binned image, at the camera [mm]
    keys: dict[str, Any] = {
        "Scanner": "SkyScan1272", "Camera Pixel Size (um)": pitch * 1000 / 2, "[Acquisition]": "", "Filename Prefix": "tooth",
        "Number Of Files": f"  {views}", "Number Of Rows": SHAPE[0], "Number Of Columns": SHAPE[1], "Camera binning": "2x2",
        "Optical Axis (line)": 11, "Object to Source (mm)": near, "Camera to Source (mm)": far,
        "Image Pixel Size (um)": f"{pitch * 1000 * near / far:.6f}", "Depth (bits)": 16, "Rotation Step (deg)": f"{step:.4f}",
        "Rotation Direction": way, **changes,
    }  # fmt: skip
    lines = ["[System]", *(key if key.startswith("[") else f"{key}={value}" for key, value in keys.items() if value is not None)]
    folder.mkdir(exist_ok=True)
    (folder / "tooth.log").write_bytes("\r\n".join([*lines, ""]).encode("latin-1"))
    shift = float(changes.get("Postalignment", 0))
    images = []
    for view in range(views):  # x to the right along the beam y, z up
        ball = turn((1 if way == "CC" else -1) * step * view, np.array([BALL[1], -BALL[0], BALL[2]]))
        centre = [-shift * pitch, far - near, (SHAPE[0] / 2 - 11) * pitch]
        pixels = panel(centre, [-pitch, 0, 0], [0, 0, -pitch], SHAPE)
        images.append(counts(chords(np.array([0, -near, 0]), pixels, ball), 65_536))
    save(folder, [f"tooth{number:08}.tif" for number in range(views)], images)
    save(folder, ["tooth_spr.tif", "tooth_rec00000001.tif"], [np.zeros((9, 9), np.uint8)] * 2)
    return folder


@pytest.mark.parametrize("way", ["CC", "CW"])
def test_skyscan_over_180_degrees_and_the_fan(tmp_path: Path, way: str) -> None:
    found = described(skyscan(tmp_path / "s", 9.0, 23, way=way))
    assert misfit(tmp_path / "s") < NOISE
    assert found["projections"]["flat"] == 65_536 and found["angles"]["step"] == 9
    assert found["geometry"]["detector_pitch"] == pytest.approx(4.4)


def test_skyscan_aligned_afterwards(tmp_path: Path) -> None:
    log: dict[str, Any] = {
        "Scanning Start Angle": "0,000",
        "Study Date and Time": "03 Apr 2020  11h:41m:02s",
        "[Reconstruction]": "",
        "Postalignment": -1.5,
    }
    found = described(skyscan(tmp_path / "s", 30.0, 12, **log))
    assert misfit(tmp_path / "s") < NOISE
    assert found["geometry"]["detector_offset"] == [pytest.approx(8.8), pytest.approx(6.6)]


def test_skyscan_with_another_pixel_size_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log: dict[str, Any] = {"Camera Pixel Size (um)": 2000, "Reference Intensity": 65_536, "Number Of Files": 20}
    described(skyscan(tmp_path / "s", 30.0, 12, **log))
    printed = capsys.readouterr().out
    assert "Camera Pixel Size and binning give a pitch of 4 mm; Image Pixel Size, 4.4 mm, is used" in printed
    assert "Number of Files is 20, but 12 images are here" in printed


# -- RTK ----------------------------------------------------------------------------------------------------------------------


def rtk(folder: Path, views: list[dict[str, float]], common: dict[str, float], matrices: bool = True) -> Path:
    """A scan of RTK: rays follow from the projection matrix alone, whose rotation is ITK's own."""
    pitch, origin = np.array([4.0, 5.0]), np.array([-80.0, -60.0])
    stack, lines = [], ['<?xml version="1.0"?>', "<!DOCTYPE RTKGEOMETRY>", '<RTKThreeDCircularGeometry version="3">']
    lines += [f"  <{key}>{value}</{key}>" for key, value in common.items()]
    names = ["SourceToIsocenterDistance", "SourceToDetectorDistance", "GantryAngle", "ProjectionOffsetX", "ProjectionOffsetY"]
    names += ["OutOfPlaneAngle", "InPlaneAngle", "SourceOffsetX", "SourceOffsetY"]
    for view in views:
        near, far, gantry, image_x, image_y, out, within, source_x, source_y = ({**common, **view}.get(name, 0.0) for name in names)
        euler = SimpleITK.Euler3DTransform()
        euler.SetComputeZYX(False)
        euler.SetRotation(*np.radians([-out, -gantry, -within]))
        rotation = np.eye(4)
        rotation[:3, :3] = np.reshape(euler.GetMatrix(), (3, 3))
        moved = np.eye(4)
        moved[:2, 3] = -source_x, -source_y
        magnified = np.array([[-far, 0, 0, 0], [0, -far, 0, 0], [0, 0, 1, -near]])
        shifted = np.array([[1, 0, source_x - image_x], [0, 1, source_y - image_y], [0, 0, 1]])
        matrix = shifted @ magnified @ moved @ rotation
        lines += ["  <Projection>", *(f"    <{key}>{value}</{key}>" for key, value in view.items())]
        if matrices:
            lines += ["    <Matrix>", *(" ".join(f"{number:.12g}" for number in row) for row in matrix), "    </Matrix>"]
        lines += ["  </Projection>"]
        source = -np.linalg.solve(matrix[:, :3], matrix[:, 3])
        u, v = np.meshgrid(origin[0] + pitch[0] * np.arange(SHAPE[1]), origin[1] + pitch[1] * np.arange(SHAPE[0]))
        ray = np.linalg.solve(matrix[:, :3], np.stack([u, v, np.ones_like(u)]).reshape(3, -1)).T.reshape(*SHAPE, 3)
        stack.append(MU * chords(source, source + ray, BALL[[1, 2, 0]]))
    folder.mkdir(exist_ok=True)
    (folder / "geometry.xml").write_text("\n".join([*lines, "</RTKThreeDCircularGeometry>"]))
    image = SimpleITK.GetImageFromArray(np.array(stack, np.float32))
    image.SetSpacing((*pitch, 1.0))
    image.SetOrigin((*origin, 0.0))
    SimpleITK.WriteImage(image, str(folder / "projections.mha"))
    return folder


CIRCLE = {"SourceToIsocenterDistance": 150.0, "SourceToDetectorDistance": 600.0}


def test_rtk_circle(tmp_path: Path) -> None:
    common = {**CIRCLE, "ProjectionOffsetX": 8.0, "ProjectionOffsetY": -6.0, "SourceOffsetX": 2.0, "SourceOffsetY": -1.0}
    described(rtk(tmp_path / "s", [{"GantryAngle": 40.0 * view + 3} for view in range(9)], common))
    assert misfit(tmp_path / "s") < 1e-4
    geometry = open_scan_folder(tmp_path / "s").geometry
    assert geometry.is_circular and np.degrees(geometry.angles) == pytest.approx(np.arange(9) * 40 + 3)


def test_rtk_moves_everything(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    views = [
        {
            **{name: float(random.uniform(-4, 4)) for name in ("ProjectionOffsetX", "ProjectionOffsetY", "SourceOffsetX", "SourceOffsetY")},
            **{"GantryAngle": 40.0 * view, "InPlaneAngle": 3.0 * view - 10, "OutOfPlaneAngle": 5.0 - view},
            **{"SourceToIsocenterDistance": 150.0 + view, "SourceToDetectorDistance": 600.0 - 2 * view},
        }
        for view in range(9)
    ]
    found = described(rtk(tmp_path / "s", views, {}))
    assert misfit(tmp_path / "s") < 1e-4
    assert found["geometry"] == {"vectors": "scan_vectors.txt"} and "angles" not in found


def test_rtk_with_an_image_per_view(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rtk(tmp_path / "s", [{"GantryAngle": 40.0 * view} for view in range(9)], {**CIRCLE, "ProjectionOffsetX": 8.0})
    (tmp_path / "s" / "projections.mha").rename(tmp_path / "projections.mha")
    save(tmp_path / "s", [f"view{view}.tif" for view in range(9)], [np.ones(SHAPE, np.uint16)] * 9)
    assert main(["new-scan", str(tmp_path / "s")]) == 0
    assert "not in the scanner's files: flat, detector_pitch" in capsys.readouterr().out
    found = yaml.safe_load((tmp_path / "s" / "scan.yaml").read_text())
    assert found["projections"]["file"] == "view[0-9]*.tif" and found["geometry"]["detector_offset"] == [0, 8]
    (tmp_path / "s" / "scan.yaml").unlink()
    (tmp_path / "s" / "proj_001.xim").touch()
    assert main(["new-scan", str(tmp_path / "s")]) == 2
    assert "found proj_001.xim. Convert them by rtkprojections" in capsys.readouterr().err


def test_rtk_refuses_a_matrix_of_another_view(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rtk(tmp_path / "s", [{"GantryAngle": 40.0 * view} for view in range(9)], CIRCLE)
    path = tmp_path / "s" / "geometry.xml"
    whole = path.read_text()
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
    for wrong, message in (
        (
            whole.replace("<GantryAngle>40.0", "<GantryAngle>50.0"),
            "Projection 1: expected a Matrix of the other numbers",
        ),
        (whole.replace('version="3"', 'version="1"'), "expected version 2 or 3 of RTK's geometry, found 1"),
        (whole.replace("</Projection>", "", 1), "expected an RTK geometry in XML"),
        (whole.replace("<!DOCTYPE RTKGEOMETRY>", bomb), "found a document type of its own"),
        (whole[: whole.index("  <Projection>", 999)] + "</RTKThreeDCircularGeometry>", "expected a Projection for each of the 9 views"),
    ):
        path.write_text(wrong)
        assert main(["new-scan", str(tmp_path / "s")]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "s" / "scan.yaml").exists()


# -- Zeiss --------------------------------------------------------------------------------------------------------------------


def zeiss(path: Path, views: int = 10, **changes: bytes) -> Path:
    """A .txrm as CIL reads it: source on -y, rows upwards, and the source clockwise for growing angles. Pixels of 1 mm at the object."""
    near, behind, pitch = 150.0, 450.0, 4.0
    angles = np.linspace(-170, 160, views)
    flat = np.linspace(40_000, 60_000, SHAPE[1]).astype(np.uint16)[None].repeat(SHAPE[0], 0)
    streams = {
        "ImageInfo/NoOfImages": np.uint32(views), "ImageInfo/ImageWidth": np.uint32(SHAPE[1]), "ImageInfo/ImageHeight": np.uint32(SHAPE[0]),
        "ImageInfo/DataType": np.uint32(5), "ImageInfo/PixelSize": np.float32(1000), "ImageInfo/XrayGeometry": np.int32(1),
        "ImageInfo/AcquisitionMode": np.int32(0), "ImageInfo/Angles": angles.astype(np.float32),
        "ImageInfo/StoRADistance": np.array([-near] * views, np.float32), "ImageInfo/DtoRADistance": np.array([behind] * views, np.float32),
        "ReferenceData/DataType": np.uint32(5), "ReferenceData/Image": flat,
    }  # fmt: skip
    for index, angle in enumerate(angles):
        source, centre = turn(-angle, np.array([[near, 0, 0], [-behind, 0, 0]]))
        column, row = turn(-angle, np.array([[0, pitch, 0], [0, 0, pitch]]))
        image = np.round(flat * np.exp(-MU * chords(source, panel(centre, column, row, SHAPE)))).astype(np.uint16)
        streams[f"ImageData{index // 100 + 1}/Image{index + 1}"] = image
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(compound_file({**{name: value.tobytes() for name, value in streams.items()}, **changes}))
    return path.parent


@pytest.mark.parametrize("views", [10, 103])
def test_zeiss(tmp_path: Path, views: int) -> None:
    found = described(zeiss(tmp_path / "s" / "scan.txrm", views))
    assert misfit(tmp_path / "s") < NOISE
    assert found["projections"]["file"] == "scan.txrm" and found["geometry"]["source_to_detector"] == 600
    path = tmp_path / "s" / "scan.txrm"
    flat, angles = reference_image(path), read_zeiss(path, "ImageInfo/Angles", "<f4", views)
    assert flat is not None and angles is not None and read_zeiss(path, "ImageInfo/Nothing", "<f4") is None
    assert flat.shape == SHAPE and flat[0, -1] == 60_000 and angles[-1] == 160
    with pytest.raises(InputError, match="Angles: expected [0-9]* bytes, found"):
        read_zeiss(path, "ImageInfo/Angles", "<f4", 10**6)


def test_a_damaged_zeiss_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s" / "scan.txrm"

    def written(**changes: bytes) -> bytes:
        zeiss(path, 3, **changes)
        return path.read_bytes()

    for content, message in (
        (written()[:3000], "scan.txrm"),
        (b"no compound file", "expected an undamaged Zeiss file"),
        (compound_file({"ImageInfo/NoOfImages": bytes(4)}), "ImageInfo/ImageHeight: expected a number, found none"),
        (written(**{"ImageInfo/ImageWidth": np.uint32(2**31).tobytes()}), "bytes of numbers (shape (3, 26, 2147483648)"),
        (written(**{"ImageInfo/DataType": np.uint32(7).tobytes()}), "expected 5 (uint16) or 10 (float32), found 7"),
    ):
        path.write_bytes(content)
        assert main(["new-scan", str(tmp_path / "s")]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "s" / "scan.yaml").exists()


# -- North Star ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flipped", [False, True])
def test_north_star(tmp_path: Path, flipped: bool) -> None:
    """y is up, the beam runs along z, and x points to the left seen from the source; the object turns clockwise seen from above."""
    folder, views, step = tmp_path / "s", 12, 30.0
    source, first, pitch = np.array([1.0, 2.0, -150.0]), np.array([90.0, 62.0, 450.0]), (4.0, 5.0)
    images = []
    for view in range(views):
        x, y, z = turn(-view * step, BALL)  # seen from above, our x towards the source and y to the right
        centre = first + [-(SHAPE[1] - 1) / 2 * pitch[0], -(SHAPE[0] - 1) / 2 * pitch[1], 0]
        pixels = panel(centre, [-pitch[0], 0, 0], [0, -pitch[1], 0], SHAPE)
        image = counts(chords(source, pixels, [-y, z, -x]))
        images.append(image[::-1, ::-1] if flipped else image)
    save(folder / "Radiographs-1", [f"view_{view:05}.tif" for view in range(views)], images)
    save(folder / "Corrections", ["gain0.tif", "offset.tif"], [np.full(SHAPE, value, np.uint16) for value in (WHITE, 0)])
    (folder / "scan.nsipro").write_text(
        f"<CT Project>\n <Object Radiograph>\n  <pitch>4 5\n  <number>{views}\n  <angleStep>{step}\n </Object Radiograph>\n"
        f" <Detector>\n  <width pixels>{SHAPE[1]}\n  <height pixels>{SHAPE[0]}\n </Detector>\n"
        f" <Correction>\n  <rotate>0\n  <flipH>{flipped}\n  <flipV>{flipped}\n </Correction>\n <Processed>\n  <clockwise>True\n"
        " </Processed>\n"
        f" <Result>\n  <source>{' '.join(map(str, source))}\n  <reference>0 0 {first[2]}\n  <normal>0 0 1\n  <horizontal>-1 0 0\n"
        "  <axis>0 -1 0\n </Result>\n</CT Project>\n"
    )
    (folder / "Geometry Report.rtf").write_text(r"{\rtf1 Image center    (90.000, 62.000) [mm]  / (3.5, 2.4) [in]\par}")
    found = described(folder)
    assert misfit(folder) < NOISE
    assert (
        found["projections"]["first_row"] == ("bottom" if flipped else "top") and found["projections"]["dark"] == "Corrections/offset.tif"
    )


# -- LEAP ---------------------------------------------------------------------------------------------------------------------


def leap_rays(phi: float, **keys: float) -> tuple[np.ndarray, np.ndarray]:
    """Source and pixels of LEAP's cone beam by its equation: R theta - tau theta' + Delta phi z, then -theta + u theta' + v z."""
    phi = np.radians(phi - 90)
    theta, across = np.array([np.cos(phi), np.sin(phi), 0]), np.array([-np.sin(phi), np.cos(phi), 0])
    source = keys["sod"] * theta - keys["tau"] * across + keys["helicalPitch"] * phi * np.array([0, 0, 1])
    v, u = np.meshgrid(
        *(np.arange(count) - keys[name] for count, name in zip(SHAPE, ("centerRow", "centerCol"), strict=True)), indexing="ij"
    )
    ray = -theta + (u * keys["pixelWidth"] / keys["sdd"])[..., None] * across
    return source, source + keys["sdd"] * (ray + (v * keys["pixelHeight"] / keys["sdd"])[..., None] * np.array([0, 0, 1]))


@pytest.mark.parametrize("beam", ["cone", "helix", "legacy", "modular"])
def test_leap(tmp_path: Path, beam: str) -> None:
    keys = dict(
        pixelHeight=5.0, pixelWidth=4.0, centerRow=11.0, centerCol=21.5, sod=150.0, sdd=600.0, tau=1.5, helicalPitch=0.0, tiltAngle=0.0
    )
    keys |= {"helix": {"helicalPitch": 1.5}, "legacy": {"tau": 0.0}}.get(beam, {})
    phis = np.arange(9) * 40.0 + 5
    rays = [leap_rays(phi, **keys) for phi in phis]
    np.save(tmp_path / "g.npy", np.array([MU * chords(*ray) for ray in rays], np.float32))
    text = {"geometry": beam if beam == "modular" else "cone", "numAngles": 9, "numRows": SHAPE[0], "numCols": SHAPE[1], **keys}
    text |= {"phis": ", ".join(map(str, phis)), "numX": 40, "numY": 40, "numZ": 30, "voxelWidth": 1.0, "voxelHeight": 1.0, "offsetZ": 0.5}
    if beam == "modular":
        steps = [(pixels[0, 1] - pixels[0, 0], pixels[1, 0] - pixels[0, 0]) for _, pixels in rays]
        lists = {
            "sourcePositions": [source for source, _ in rays], "moduleCenters": [pixels.mean((0, 1)) for _, pixels in rays],
            "rowVectors": [row / np.linalg.norm(row) for _, row in steps],
            "colVectors": [column / np.linalg.norm(column) for column, _ in steps],
        }  # fmt: skip
        text |= {name: ", ".join(f"{number:.9g}" for number in np.ravel(vectors)) for name, vectors in lists.items()}
    if beam == "legacy":
        text = {LEGACY.get(key, key): value for key, value in text.items()}
    (tmp_path / "geometry.txt").write_text("# CT\n" + "".join(f"{key} = {value}\n" for key, value in text.items()))
    found = described(tmp_path)
    assert misfit(tmp_path) < 2e-4
    assert found["projections"]["file"] == "g.npy" and found["volume"]["shape"] == [30, 40, 40]
    assert open_scan_folder(tmp_path).geometry.is_circular == (beam != "helix")


# -- TIGRE --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["npz", "mat", "per view"])
def test_tigre(tmp_path: Path, kind: str) -> None:
    angles = np.arange(9) * 0.7
    shift = np.linspace(-1, 2, 9) if kind == "per view" else np.full(9, 1.5)  # COR
    stack = []
    for angle, along in zip(np.degrees(angles), shift, strict=True):
        source, centre = turn(angle, np.array([[150, along, 0], [-450, along + 8, -6]]))
        column, row = turn(angle, np.array([[0, 4, 0], [0, 0, 5]]))
        stack.append(MU * chords(source, panel(centre, column, row, SHAPE)))
    geometry: dict[str, Any] = {
        "DSD": 600.0, "DSO": 150.0, "nDetector": SHAPE, "dDetector": [5.0, 4.0], "sDetector": [5.0 * SHAPE[0], 4.0 * SHAPE[1]],
        "offDetector": [-6.0, 8.0], "nVoxel": [30, 40, 50], "dVoxel": [1.0, 1.0, 0.8], "sVoxel": [30.0, 40.0, 40.0],
        "offOrigin": [0.5, 0.0, 1.0], "COR": shift if kind == "per view" else 1.5, "mode": "cone",
    }  # fmt: skip
    if kind == "mat":  # u before v, x before y before z
        turned = {name: np.reshape(value[::-1], (-1, 1)) if isinstance(value, list | tuple) else value for name, value in geometry.items()}
        scipy.io.savemat(tmp_path / "scan.mat", {"geo": turned, "angles": angles, "proj": np.array(stack, np.float32).transpose(1, 2, 0)})
    else:
        np.savez(tmp_path / "scan.npz", angles=angles, projections=np.array(stack, np.float32), **geometry)
    found = described(tmp_path)
    assert misfit(tmp_path) < 2e-4
    assert found["volume"] == {"extent": [30, 40, 40], "offset": [0.5, 0, 1], "shape": [30, 40, 50]}


# -- ASTRA --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["circle", "wild", "text"])
def test_astra(tmp_path: Path, kind: str) -> None:
    """cone_vec: source, detector centre, step to the next column, step to the next row. ASTRA stacks row, view, column."""
    rows, stack = [], []
    for angle in np.arange(9) * 40.0:  # columns to the left seen from the source, rows downwards
        source, centre, column, row = turn(angle, np.array([[150.0, 1, 0], [-450, 5, -6], [0, -4, 0], [0, 0, -5]]))
        if kind == "wild":
            source, row = source + [0, 3, angle / 40], row + [0.4, -0.3, 0]
        rows.append([*source, *centre, *column, *row])
        stack.append(MU * chords(source, panel(centre, column, row, SHAPE)))
    np.save(tmp_path / "sino.npy", np.array(stack, np.float32).transpose(1, 0, 2))
    if kind == "text":
        head = ";".join(f"{name}{axis}" for name in ("src", "d", "u", "v") for axis in "XYZ")
        lines = [head, *(";".join(f"{number:.9g}" for number in row) for row in rows)]
        (tmp_path / "vectors.csv").write_bytes("\r\n".join([*lines, ""]).encode("utf-8-sig"))
    else:
        np.save(tmp_path / "vectors.npy", np.array(rows))
    found = described(tmp_path)
    assert misfit(tmp_path) < 2e-4
    assert found["projections"]["axes"] == ["v", "view", "u"] and found["projections"]["first_row"] == "top"
    assert open_scan_folder(tmp_path).geometry.is_circular == (kind != "wild")


# -- Phoenix ------------------------------------------------------------------------------------------------------------------


def test_phoenix(tmp_path: Path) -> None:
    images = []
    for angle in np.arange(8) * 45.0:
        source, centre = turn(angle, np.array([[150, 0, 0], [-450, 0, 0]]))
        column, row = turn(angle, np.array([[0, 4, 0], [0, 0, -4]]))
        images.append(counts(chords(source, panel(centre, column, row, SHAPE))))
    save(tmp_path, [f"part_{number:04}.tif" for number in range(8)], images)
    text = "[General]\nVersion=2.8\n[Geometry]\nFDD=600,00\nFOD=150,00\n[CT]\nNumberImages=8\nRotationSector=360,0\n"
    text += f"[Detector]\nPixelsizeX=4,0\nPixelsizeY=4,0\nNrPixelsX={SHAPE[1]}\nNrPixelsY={SHAPE[0]}\n"
    (tmp_path / "part.pca").write_text(text)
    assert main(["new-scan", str(tmp_path)]) == 0
    path = tmp_path / "scan.yaml"
    assert path.read_text().count("flat: FILL_IN") == 1 == path.read_text().count("FILL_IN")
    path.write_text(path.read_text().replace("FILL_IN", str(WHITE)))
    assert misfit(tmp_path) < NOISE


# -- several formats ----------------------------------------------------------------------------------------------------------


def test_files_of_two_scanners(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = skyscan(nikon(tmp_path / "s", np.arange(12) * 30.0), 30.0, 12)
    assert main(["new-scan", str(folder)]) == 2
    error = capsys.readouterr().err
    assert "expected files of one scanner, found nikon (bone.xtekct); skyscan (tooth.log)" in error and "--format nikon" in error
    assert main(["new-scan", str(folder), "--format", "nikkon"]) == 2
    assert "did you mean 'nikon'" in capsys.readouterr().err.lower()
    assert main(["new-scan", str(folder), "--format", "rtk"]) == 2
    assert "expected files of the format rtk, found none" in capsys.readouterr().err
    described(folder, "--format", "skyscan")
    assert misfit(folder) < NOISE
    (folder / "scan.yaml").unlink()
    (folder / "other.xtekct").write_text((folder / "bone.xtekct").read_text())
    assert main(["new-scan", str(folder), "--format", "nikon"]) == 2
    assert "expected one file of the format nikon, found bone.xtekct, other.xtekct" in capsys.readouterr().err
    described(folder / "bone.xtekct")
    assert misfit(folder) < NOISE
    before = (folder / "scan.yaml").read_text()
    assert main(["new-scan", str(folder / "bone.xtekct")]) == 2
    assert (folder / "scan.yaml").read_text() == before and "it is left alone" in capsys.readouterr().err


# -- text, drafts and readers of others ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_settings_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "s.ini").write_bytes(
        "[Größe]\r\nPixel  Size (um) = 7,5 um\r\nNumber of Files= 12\r\nTime=03 Apr 11h:41m\r\n".encode(encoding)
    )
    found = Settings.read(tmp_path / "s.ini")
    assert found.number("pixel size (um)", unit="um") == 7.5 and found.count("Number Of Files", "größe") == 12
    assert found.text("Time") == "03 Apr 11h:41m" and found.source("Time") == "s.ini: Time"
    for key, message in (("Nothing", "s.ini: Nothing: expected a value, found none"), ("Time", "03 Apr"), ("pixel size (um)", "7,5 um")):
        with pytest.raises(InputError, match=re.escape(message)):
            found.count(key)


def test_images_are_found_by_their_names(tmp_path: Path) -> None:
    for name in ("a[1]*_1.tif", "a[1]*_02.tif", "a[1]*_03.TIF", "a_1.tif", "a_2.tif", "a[1]*_.tif", "a[1]*_x1.tif", ".a[1]*_4.tif"):
        (tmp_path / name).touch()
    assert numbered_images(tmp_path, "a[1]*_", (".tif",)) == ("a[[]1][*]_[0-9]*.tif", 2)
    assert len(list(tmp_path.glob("a[[]1][*]_[0-9]*.tif"))) == 2
    assert read_text(tmp_path / "a_1.tif") == ""
    with pytest.raises(InputError, match="expected images named b0000.tif, b0001.tif, ..., found none"):
        numbered_images(tmp_path, "b")


def test_settings_refuse_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "s.ini"
    for content, message in (
        (bytes(range(256)), "expected text, found a zero byte"),
        (b"x" * (17 << 20), "at most 16 MiB, found 17825792 bytes"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            Settings.read(path)
    path.write_text("a = 1.234,5\nb = nan\nc = -1\nd = 1e999")
    for key in "abcd":
        with pytest.raises(InputError, match=f"s.ini: {key}: expected a "):
            Settings.read(path).number(key, positive=True)


def test_damaged_texts_are_refused_or_described(tmp_path: Path) -> None:
    """Never another error, never a scan.yaml that is no YAML."""
    nikon(tmp_path / "nikon", np.arange(4) * 90.0, VoxelsX=8, VoxelsY=8, VoxelsZ=8, VoxelSizeX=1, VoxelSizeY=1, VoxelSizeZ=1)
    skyscan(tmp_path / "skyscan", 90.0, 4)
    rtk(tmp_path / "rtk", [{"GantryAngle": 90.0 * view, "InPlaneAngle": 1.0} for view in range(4)], CIRCLE)
    formats, random = load().scan_formats, np.random.default_rng(0)
    refused = described = 0
    for name, file in (("nikon", "bone.xtekct"), ("skyscan", "tooth.log"), ("rtk", "geometry.xml")):
        path = tmp_path / name / file
        whole = path.read_bytes()
        for trial in range(60):
            content = bytearray(whole[: random.integers(len(whole))] if trial % 3 == 0 else whole)
            for place in random.integers(len(content) + 1, size=random.integers(1, 4)) if trial % 3 else ():
                content[place : place + 1] = [b"", b"9", b"-", b"1e999", b"\xff", b"\n", b"nan ", b"99999999999"][random.integers(8)]
            path.write_bytes(bytes(content))
            try:
                found = recognised(path.parent, {name: formats[name]})
                text = template(name, [], found) if found else "{}"
            except InputError:
                refused += 1
            else:
                described += 1
                assert isinstance(yaml.safe_load(text), dict)
    assert refused > 40 and described > 20


def test_a_draft_of_a_plug_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "p.npy", np.full((6, 8, 10), 0.5, np.float32))
    (tmp_path / "a.mine").touch()

    def read(path: Path) -> ScanDraft:
        draft = ScanDraft()
        draft.set("geometry.source_to_origin", 500, "a\nb\x1b[31m: !!python/object {")
        draft.set("geometry.source_to_detector", 1e-7 + 700, "a")
        draft.set("geometry.detector_pitch", 0.00001, "a")
        draft.table("angles.file", "scan_angles.txt", np.arange(6), "a")
        draft.set("name", "no: [list", "a")
        return draft

    spec = ScanFormatSpec(name="mine", recognises=lambda folder: list(folder.glob("*.mine")), read=read)
    found = recognised(tmp_path, {"mine": spec})
    path = write_template(tmp_path, found)
    content = yaml.safe_load(path.read_text())
    assert content["name"] == "no: [list" and content["geometry"]["detector_pitch"] == 1e-5
    assert content["projections"]["file"] == "p.npy" and open_scan_folder(tmp_path).geometry.views == 6
    path.unlink()
    (tmp_path / "scan_angles.txt").write_text("mine")
    with pytest.raises(InputError, match="scan_angles.txt: expected no such file, or the one that new-scan wrote, found one"):
        write_template(tmp_path, found)
    assert not path.exists() and (tmp_path / "scan_angles.txt").read_text() == "mine"
    broken = [
        (dataclasses.replace(spec, read=lambda path: 1 / 0), "a.mine: expected a file of the format mine, found division by zero"),
        (dataclasses.replace(spec, read=lambda path: {}), "scan format mine: expected a ScanDraft from read(), found dict"),
        (dataclasses.replace(spec, recognises=lambda folder: folder.x), "scan format mine: expected recognises() to return files"),
    ]
    for wrong, message in broken:
        with pytest.raises(InputError, match=re.escape(message)):
            recognised(tmp_path, {"mine": wrong})
    with pytest.raises(MissingDependency, match="a.mine: needs nonexistent_module"):
        recognised(tmp_path, {"mine": dataclasses.replace(spec, requires=("nonexistent_module",))})
    unknown = ScanDraft()
    unknown.set("geometri.source", 1, "a")
    with pytest.raises(InputError, match="draft: geometri.source: expected one of the sections"):
        write_template(tmp_path, Recognised("mine", tmp_path / "a.mine", unknown))


def test_the_registry_keeps_scan_formats() -> None:
    class Plugin:
        def __init__(self, *specs: Any) -> None:
            self.specs = list(specs)

        @hookimpl
        def register_scan_formats(self) -> list[Any]:
            return self.specs

    registry = load()
    good = ScanFormatSpec(name="mine", recognises=lambda folder: [], read="somewhere.else:read")
    registry.add(
        Plugin(good, dataclasses.replace(good, name="nikon"), dataclasses.replace(good, name="x", read=cast(Any, None))), "stranger"
    )
    assert registry.scan_format("mine") is good and set(FORMATS) <= set(registry.scan_formats)
    assert [str(problem) for problem in registry.problems] == [
        "stranger: scan_format 'nikon': the name 'nikon' is taken by benchmark.datasets.scanners",
        "stranger: scan_format 'x': read: expected a callable or 'package.module:name', found NoneType",
    ]
