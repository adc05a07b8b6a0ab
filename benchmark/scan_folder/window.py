"""Part of the detector that is kept, and its binning: `crop` and `bin` of scan.yaml."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan_folder.description import FILE, Description


@dataclasses.dataclass(frozen=True)
class Window:
    """Rows and columns of the upright detector (row 0 lowest, column 0 left), and the pixels averaged along each direction.

    Incomplete bins at the end are left out: `rows` and `columns` hold whole bins.
    """

    detector: tuple[int, int]  # (v, u)
    rows: slice
    columns: slice
    bin: int = 1

    @classmethod
    def of(cls, description: Description, detector: tuple[int, int]) -> Window:
        """Return the window of a detector (v, u). Raise InputError for a region beyond it, and for a bin larger than what is kept."""
        steps, given = description.preprocessing, description.projections
        if steps is None:
            return cls(detector, slice(0, detector[0]), slice(0, detector[1]))
        v0, v1, u0, u1 = steps.crop or (0, detector[0], 0, detector[1])
        where = f"{description.folder / FILE}: preprocessing"
        if v1 > detector[0] or u1 > detector[1]:
            expected = f"a region of the {detector[0]} rows and {detector[1]} columns"
            raise InputError(f"{where}.crop", expected=expected, found=f"{[v0, v1, u0, u1]}")
        if steps.bin > min(v1 - v0, u1 - u0):
            raise InputError(f"{where}.bin", expected=f"at most {min(v1 - v0, u1 - u0)} (the pixels of a side)", found=f"{steps.bin}")
        if given.first_row == "top":
            v0, v1 = detector[0] - v1, detector[0] - v0
        if given.first_column == "right":
            u0, u1 = detector[1] - u1, detector[1] - u0
        rows, columns = (slice(first, first + (last - first) // steps.bin * steps.bin) for first, last in ((v0, v1), (u0, u1)))
        return cls(detector, rows, columns, steps.bin)

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels that are left (v, u)."""
        return ((self.rows.stop - self.rows.start) // self.bin, (self.columns.stop - self.columns.start) // self.bin)

    @property
    def whole(self) -> bool:
        """True if every pixel is kept as it is."""
        return self.shape == self.detector

    def means(self, image: np.ndarray) -> np.ndarray:
        """Return the mean of each bin of an upright image [v, u], float64; the image itself if all is kept."""
        if self.whole:
            return image
        rows, columns = self.shape
        return image[self.rows, self.columns].reshape(rows, self.bin, columns, self.bin).mean((1, 3), dtype=np.float64)

    def placed(self, scanner: dict[str, Any]) -> dict[str, Any]:
        """Return the keywords of a ConeBeamGeometry (without those of the volume) with this part of the detector."""
        if self.whole:
            return scanner
        up, right = (
            (part.start + part.stop - count) / 2 for part, count in zip((self.rows, self.columns), self.detector, strict=True)
        )  # [pixel] from the detector's centre to the window's
        pitch = scanner["detector_pitch"]
        found = {**scanner, "detector_shape": self.shape, "detector_pitch": (pitch[0] * self.bin, pitch[1] * self.bin)}
        turned = any(np.any(scanner.get(name, 0.0)) for name in ("detector_roll", "detector_pitch_angle", "detector_yaw"))
        if "view_vectors" in scanner or turned:  # the window moves along the detector's own axes
            size = 1e-6 * scanner["source_to_origin"]
            place = ConeBeamGeometry(**scanner, volume_shape=(1, 1, 1), volume_spacing=(size,) * 3)
            source, centre, u, v = place.vectors().transpose(1, 0, 2)
            return {**found, "view_vectors": np.stack([source, centre + up * v + right * u, u * self.bin, v * self.bin], 1)}
        offset = scanner["detector_offset"]
        return {**found, "detector_offset": (offset[0] + up * pitch[0], offset[1] + right * pitch[1])}
