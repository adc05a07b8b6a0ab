"""Scans as scanners write them: `new-scan` describes them completely, and the ball comes out where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scanner_files import BALL, WHITE, chords, counts, misfit, panel, save, turn

from benchmark.cli.main import main
from benchmark.scan_folder.load import open_scan_folder

SHAPE = (26, 40)
NOISE = 2e-3  # of a ball whose line integrals reach 0.5; a tenth of a pixel changes its edge by 0.02


def described(folder: Path, *options: str) -> dict[str, Any]:
    """Run new-scan; return the scan.yaml, which must hold no FILL_IN."""
    assert main(["new-scan", str(folder), *options]) == 0
    text = (folder / "scan.yaml").read_text()
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
