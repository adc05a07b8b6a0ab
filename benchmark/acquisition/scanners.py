"""Scanners with the proportions available to simulated scans."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

Name = Literal["standard", "r2", "naf", "c_arm", "dental", "micro_ct"]


@dataclasses.dataclass(frozen=True)
class Scanner:
    """Distances and the detector's active area in proportion to each other [any length], and the usual arc [deg]."""

    source_to_origin: float
    source_to_detector: float
    width: float  # along u
    height: float  # along v
    arc: float
    cube: float | None = None  # edge of the cube the scanner was designed for; None = the largest cube with all corners in view

    def around(self, side: float, detector: int) -> dict[str, Any]:
        """Return distances, detector shape and pitch for a cube of this side, `detector` pixels wide; all lengths scale alike."""
        cube = self.cube if self.cube is not None else self.width * self.source_to_origin / self.source_to_detector / math.sqrt(2)
        pitch = self.width * side / cube / detector
        return {
            "source_to_origin": self.source_to_origin * side / cube,
            "source_to_detector": self.source_to_detector * side / cube,
            "detector_shape": (max(1, round(detector * self.height / self.width)), detector),
            "detector_pitch": (pitch, pitch),
        }


SCANNERS: dict[str, Scanner] = {
    "standard": Scanner(2.5, 3.5, 2.0, 2.0, 360.0, cube=1.0),
    "r2": Scanner(2.5, 3.5, 2.0, 2.0, 360.0, cube=1.0),  # R2-Gaussian's synthetic set: 5, 7 and a detector of 4 for a cube of 2
    "naf": Scanner(1000.0, 1500.0, 256.0, 256.0, 180.0, cube=128.0),  # NAF's chest; its half turn is no full short scan
    "c_arm": Scanner(785.0, 1200.0, 380.0, 300.0, 200.0),  # angiography: 30 x 38 cm panel, short scan
    "dental": Scanner(400.0, 600.0, 240.0, 200.0, 360.0),
    "micro_ct": Scanner(60.0, 300.0, 120.0, 120.0, 360.0),  # high magnification
}
