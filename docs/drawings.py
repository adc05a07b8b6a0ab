"""Draws docs/concepts/geometry.svg, run.svg and zerorf.svg: `make docs`. The geometry's points are those that the code computes."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the drawings show the tree that they lie in

from benchmark.api import ConeBeamGeometry  # noqa: E402

FOLDER = ROOT / "docs" / "concepts"
INK, GREY, BLUE, RED, GREEN = "#1d2733", "#8795a8", "#2867b2", "#b23b28", "#2f7d4f"
CHECKED = ("shape and values checked,", "volume against the truth,", "volume projected: held-out views")
GIVEN = ("method(scan, params, run)", "", "run: seed, random numbers,", "steps and budget, log,", "snapshots, checkpoints")
Point = tuple[float, float]


class Sheet:
    """An SVG picture, written element by element. Lengths are pixels, y grows downwards."""

    def __init__(self, width: int, height: int) -> None:
        self.parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">', "<defs>"]
        for colour in (INK, GREY, BLUE, RED, GREEN):
            tip = f'<path d="M0 0L8 4L0 8z" fill="{colour}"/></marker>'
            size = 'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"'
            self.parts.append(f'<marker id="tip{colour[1:]}" {size}>{tip}')
        self.parts += ["</defs>", f'<rect width="{width}" height="{height}" fill="#ffffff"/>']

    def line(
        self, points: list[Point], colour: str = INK, width: float = 1.4, fill: str = "none", dash: str = "", tip: bool = False
    ) -> None:
        """Draw a polyline; with `tip` as an arrow."""
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        more = (f' stroke-dasharray="{dash}"' if dash else "") + (f' marker-end="url(#tip{colour[1:]})"' if tip else "")
        self.parts.append(f'<path d="{path}" fill="{fill}" stroke="{colour}" stroke-width="{width}"{more}/>')

    def text(self, at: Point, words: str, colour: str = INK, size: float = 13, anchor: str = "start", bold: bool = False) -> None:
        """Write one line of text."""
        weight = ' font-weight="bold"' if bold else ""
        place = f'x="{at[0]:.1f}" y="{at[1]:.1f}"'
        self.parts.append(f'<text {place} font-size="{size}" text-anchor="{anchor}" fill="{colour}"{weight}>{escape(words)}</text>')

    def dot(self, at: Point, colour: str = INK) -> None:
        """Draw a point."""
        self.parts.append(f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="4" fill="{colour}"/>')

    def box(self, at: Point, size: Point, title: str, lines: tuple[str, ...] = (), colour: str = "#f3f6fa") -> None:
        """Draw a box with a title and lines of text."""
        place = f'x="{at[0]}" y="{at[1]}" width="{size[0]}" height="{size[1]}"'
        self.parts.append(f'<rect {place} rx="7" fill="{colour}" stroke="#5b6b80"/>')
        self.text((at[0] + 10, at[1] + 20), title, size=13.5, bold=True)
        for number, line in enumerate(lines):
            self.text((at[0] + 10, at[1] + 38 + 15 * number), line, colour="#455365", size=11.5)

    def written(self) -> str:
        """Return the picture's text."""
        return "\n".join([*self.parts, "</svg>", ""])


def geometry() -> str:
    """Draw one view: source, axis, box and detector with the directions of x y z, u and v."""
    scan = ConeBeamGeometry(
        source_to_origin=300.0,
        source_to_detector=480.0,
        detector_shape=(8, 10),
        detector_pitch=(24.0, 24.0),
        volume_shape=(8, 8, 8),
        volume_spacing=(12.0, 12.0, 12.0),
        angles=np.deg2rad([25.0]),
    )
    source, centre, u, v = scan.vectors()[0]
    turn, tilt = math.radians(-30), math.radians(22)

    def seen(point: np.ndarray) -> Point:
        """Place a point (x y z [mm]) on the paper, in parallel projection."""
        x, y, z = (float(value) for value in point)
        across = -x * math.sin(turn) + y * math.cos(turn)
        away = x * math.cos(turn) + y * math.sin(turn)
        return 400 + 1.1 * across, 205 - 1.1 * (z * math.cos(tilt) - away * math.sin(tilt))

    sheet, zero = Sheet(860, 430), np.zeros(3)
    circle = [300 * np.array([math.cos(a), math.sin(a), 0]) for a in np.linspace(-0.5, 1.9, 60)]
    sheet.line([seen(point) for point in circle], GREY, dash="4 4")
    sheet.text((seen(circle[-1])[0] + 12, seen(circle[-1])[1] - 8), "angles grow", GREY, 12)
    sheet.line([seen(circle[-2]), seen(circle[-1])], GREY, tip=True)
    half = np.array(scan.volume_shape) * np.array(scan.volume_spacing) / 2
    corners = {(i, j, k): seen(half * np.array([i, j, k])) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)}
    for first, one in corners.items():
        for second, other in corners.items():
            if first < second and sum(a != b for a, b in zip(first, second, strict=True)) == 1:
                sheet.line([one, other], "#5b6b80", 1)
    edges = [centre + a * 5 * u + b * 4 * v for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))]
    sheet.line([seen(point) for point in edges], INK, 1.4, "#eef3f9")
    for edge in edges[:4]:
        sheet.line([seen(source), seen(edge)], "#d0d8e2", 0.8)
    sheet.line([seen(source), seen(centre)], GREY, 1, dash="6 4")
    for axis, name in zip(np.eye(3), "xyz", strict=True):
        sheet.line([seen(zero), seen(125 * axis)], GREEN, 1.8, tip=True)
        sheet.text((seen(137 * axis)[0] - 4, seen(137 * axis)[1] + 4), name, GREEN, 15, bold=True)
    for step, name, reach in ((u, "u (columns)", 4), (v, "v (rows)", 3)):
        sheet.line([seen(centre), seen(centre + reach * step)], BLUE, 1.8, tip=True)
        place = seen(centre + (reach + 0.3) * step)
        sheet.text((place[0] + 4, place[1]), name, BLUE, 13, bold=True)
    first = centre - 4.5 * u - 3.5 * v
    sheet.dot(seen(first), BLUE)
    sheet.text((seen(first)[0] + 7, seen(first)[1] + 16), "pixel (row 0, column 0)", BLUE, 12)
    sheet.dot(seen(source), RED)
    sheet.text((seen(source)[0] + 10, seen(source)[1] + 14), "source", RED, 14, bold=True)
    sheet.text((seen(zero)[0] - 8, seen(zero)[1] + 5), "origin", GREEN, 12, "end")
    sheet.text((20, 398), "source_to_origin: source to axis. source_to_detector: along the dashed central ray.", size=12.5)
    sheet.text((20, 416), "detector_offset moves the detector, axis_shift source and detector, along u and v.", size=12.5)
    return sheet.written()


def run() -> str:
    """Draw the way of one run through the processes, and all that crosses between them."""
    sheet = Sheet(860, 400)
    sheet.box((20, 30), (250, 330), "Harness", ("plan: which runs, in what order", "", "Case:"), "#f3f6fa")
    sheet.box((40, 105), (210, 62), "Scan", ("projections, geometry,", "masks, photons"), "#dfeaf7")
    sheet.box((40, 180), (210, 62), "Truth, held-out views", ("never leave this process",), "#f7e3df")
    sheet.box((40, 262), (210, 82), "Scores", CHECKED, "#e3f1e7")
    sheet.box((390, 60), (230, 250), "Process of the run", GIVEN, "#f3f6fa")
    sheet.text((400, 210), "no truth, no held-out views,", "#455365", 11.5)
    sheet.text((400, 225), "no file of the results folder", "#455365", 11.5)
    sheet.line([(250, 125), (390, 125)], BLUE, 1.8, tip=True)
    sheet.text((262, 115), "job.json, scan", BLUE, 12)
    sheet.line([(390, 300), (250, 300)], BLUE, 1.8, tip=True)
    sheet.text((262, 290), "volume [z, y, x]", BLUE, 12)
    sheet.line([(390, 215), (270, 215)], GREY, 1.4, tip=True)
    sheet.text((282, 207), "steps, losses", GREY, 12)
    sheet.box((690, 60), (150, 92), "Records", ("one JSON file for each", "attempt, written in", "one step"))
    sheet.box((690, 218), (150, 92), "Report", ("tables, figures and", "page: made from the", "records alone"))
    sheet.line([(145, 344), (145, 380), (660, 380), (660, 105), (690, 105)], GREEN, 1.6, tip=True)
    sheet.text((500, 374), "record, volume.nii.gz", GREEN, 12)
    sheet.line([(765, 152), (765, 218)], GREEN, 1.6, tip=True)
    return sheet.written()


def zerorf() -> str:
    """Draw the parts of ZeroRF-DIP and the way of the gradient."""
    sheet = Sheet(980, 300)
    names: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("Frozen noise", ("a few cells for each", "plane and line;", "never trained")),
        ("Decoders", ("convolutions, one for", "planes, one for lines:", "the deep image prior")),
        ("Planes and lines", ("three of each; feature =", "plane value x line value", "(vector-matrix)")),
        ("Network", ("two or three layers,", "softplus:", "attenuation [1/mm]")),
        ("Line integrals", ("A mu on the voxel grid,", "or sums of mu dt", "along rays")),
    )
    for number, (title, lines) in enumerate(names):
        left = 20 + 192 * number
        sheet.box((left, 60), (164, 92), title, lines, "#f7e3df" if number == 0 else "#dfeaf7" if number < 4 else "#e3f1e7")
        if number:
            sheet.line([(left - 28, 106), (left, 106)], INK, 1.6, tip=True)
    sheet.box((788, 200), (164, 62), "Measured views", ("line integrals [view, v, u]",), "#f3f6fa")
    sheet.line([(870, 200), (870, 152)], INK, 1.6, tip=True)
    sheet.text((880, 180), "squared error", INK, 12)
    sheet.line([(788, 231), (294, 231), (294, 152)], RED, 1.6, dash="6 4", tip=True)
    sheet.line([(678, 231), (678, 152)], RED, 1.6, dash="6 4", tip=True)
    sheet.text((294, 250), "gradient: decoders and network are trained for this scan alone, from nothing", RED, 12.5)
    sheet.text((20, 36), "ZeroRF-DIP", INK, 16, bold=True)
    return sheet.written()


DRAWINGS = {"geometry.svg": geometry, "run.svg": run, "zerorf.svg": zerorf}

if __name__ == "__main__":
    for name, draw in DRAWINGS.items():
        (FOLDER / name).write_text(draw(), encoding="utf-8")
