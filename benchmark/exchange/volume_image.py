"""A volume with its position in space, as image formats need it.

The project's axes are the patient's, in the order right, anterior, superior (RAS): x grows to the right, y to the front, z to the
head, as in NIfTI. DICOM, MetaImage and NRRD count to the left and to the back (LPS): x and y change their sign there.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.scan.geometry import ConeBeamGeometry, Triple
from benchmark.scan.hounsfield import MU_WATER


@dataclasses.dataclass(frozen=True, eq=False)
class VolumeImage:
    """values: [z, y, x] in `unit` ('1/mm' or 'HU') on the grid of `geometry`; `title` says what it is (a run id).

    `origin`: x y z [mm] of the geometry's origin in the patient's frame, from the file that was scanned; `frame_of_reference`: DICOM's.
    """

    values: np.ndarray
    geometry: ConeBeamGeometry
    title: str
    unit: str = "1/mm"
    length_unit: str = "mm"
    origin: Triple = (0.0, 0.0, 0.0)
    frame_of_reference: str = ""

    def in_hounsfield(self, water: float = MU_WATER) -> VolumeImage:
        """Return HU = 1000 (mu / water - 1), with the attenuation of water in 1/mm. Raise InputError if lengths are not mm."""
        if self.length_unit != "mm":
            raise InputError("--hu", expected="a volume whose lengths are mm", found=f"'{self.length_unit}'", fix="Export without --hu.")
        values = (1000 * (self.values.astype(np.float64) / water - 1)).astype(np.float32)
        return dataclasses.replace(self, values=values, unit="HU")

    @property
    def spacing_xyz(self) -> Triple:
        """Voxel spacing x y z [mm]."""
        z, y, x = self.geometry.volume_spacing
        return (x, y, z)

    @property
    def first_ras(self) -> Triple:
        """Centre of voxel [0, 0, 0], x y z in the patient's frame [mm]."""
        x, y, z = (float(self.geometry.voxel_centres(axis)[0]) + self.origin[2 - axis] for axis in (2, 1, 0))
        return (x, y, z)

    def facts(self) -> dict[str, Any]:
        """Return the position and unit for a JSON file, for formats that cannot hold them."""
        x, y, z = self.spacing_xyz
        return {
            "title": self.title,
            "axes": "zyx",
            "shape": self.values.shape,
            "unit": self.unit,
            "length_unit": self.length_unit,
            "spacing_zyx": (z, y, x),
            "first_voxel_centre_xyz": self.first_ras,
            "orientation": "RAS (x to the right, y to the front, z to the head)",
            **({"frame_of_reference": self.frame_of_reference} if self.frame_of_reference else {}),
        }
