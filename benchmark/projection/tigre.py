"""Projectors and FDK of TIGRE (Biguri et al. 2016, doi 10.1088/2057-1976/2/5/055010), if installed, on our geometry.

Only this file depends on TIGRE's axes and signs. Volumes [z, y, x] and projections [view, v, u] are as ours, rows grow with +z, and the
source at angle a stands at DSO (cos a, sin a, 0). TIGRE's names, and ours:

    offDetector   detector_offset (v, u)                offOrigin   volume_offset (z, y, x), less source_height along z
    COR           axis_shift                            rotDetector (-detector_roll, detector_pitch_angle, detector_yaw)

TIGRE turns the detector about its centre, about x by rotDetector[0], then about u by [1], then about z by [2]; x points from the axis to
the source, against our central ray. Values common to all views are given once, the only form its FDK accepts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmark.errors import InputError, MissingDependency
from benchmark.machine import counters
from benchmark.machine.environment import install_hint, missing_modules, mistaken, version
from benchmark.projection.filters import FilterName
from benchmark.scan.geometry import ConeBeamGeometry

NOTE = "TIGRE weighs every view by 2 pi / views: on less or more than a full circle its FDK is not correct"


def values_of(geometry: ConeBeamGeometry) -> dict[str, Any]:
    """Return TIGRE's attributes of a geometry. Raise InputError for orbits given by a table of vectors."""
    if geometry.view_vectors is not None:
        raise InputError("tigre: geometry", expected="an orbit described by angles and distances", found="a table of vectors", fix="native")
    z, y, x = geometry.volume_offset
    height = np.asarray(geometry.source_height)
    turned = (-np.asarray(geometry.detector_roll), np.asarray(geometry.detector_pitch_angle), np.asarray(geometry.detector_yaw))
    detector, volume = np.array(geometry.detector_shape), np.array(geometry.volume_shape)
    return {
        "mode": "cone",
        "DSO": geometry.source_to_origin,
        "DSD": geometry.source_to_detector,
        "nDetector": detector,
        "dDetector": np.array(geometry.detector_pitch),
        "sDetector": detector * np.array(geometry.detector_pitch),
        "nVoxel": volume,
        "dVoxel": np.array(geometry.volume_spacing),
        "sVoxel": volume * np.array(geometry.volume_spacing),
        "offDetector": np.array(geometry.detector_offset),
        "offOrigin": np.stack(np.broadcast_arrays(z - height, y, x), -1),
        "rotDetector": np.stack(np.broadcast_arrays(*turned), -1),
        "COR": geometry.axis_shift,
        "angles": geometry.angles,
    }


def geometry_of(values: Any, angles: np.ndarray) -> ConeBeamGeometry:
    """Return the geometry (inverse of values_of) for an object with TIGRE's attributes and angles [view] or [view, 3] about z alone.

    Raise InputError for anything but a cone beam on a circle about z.
    """
    angles = np.asarray(angles, dtype=np.float64)
    if angles.ndim == 2:
        if np.any(angles[:, 1:]):
            raise InputError("tigre: angles", expected="rotations about z alone", found="Euler angles about other axes")
        angles = angles[:, 0]
    if getattr(values, "mode", "cone") != "cone":
        raise InputError("tigre: mode", expected="'cone'", found=f"'{values.mode}'")
    (rows, columns), (nz, ny, nx) = ([int(n) for n in counts] for counts in (values.nDetector, values.nVoxel))
    offset = np.broadcast_to(_given(values, "offOrigin", 3), (len(angles), 3))
    centre = offset[0]
    height = centre[0] - offset[:, 0]
    roll, pitch, yaw = _given(values, "rotDetector", 3).T
    return ConeBeamGeometry(
        source_to_origin=_one(values, "DSO"),
        source_to_detector=_one(values, "DSD"),
        detector_shape=(rows, columns),
        detector_pitch=_same_rows("dDetector", values.dDetector),
        volume_shape=(nz, ny, nx),
        volume_spacing=_same_rows("dVoxel", values.dVoxel),
        angles=angles,
        detector_offset=_same_rows("offDetector", _given(values, "offDetector", 2)),
        volume_offset=(float(centre[0]), *_same_rows("offOrigin", offset[:, 1:])),
        axis_shift=getattr(values, "COR", 0.0),
        source_height=height if height.any() else 0.0,
        detector_roll=-roll,
        detector_pitch_angle=pitch,
        detector_yaw=yaw,
    )


def _given(values: Any, name: str, count: int) -> np.ndarray:
    return np.asarray(getattr(values, name, np.zeros(count)), dtype=np.float64)


def _one(values: Any, name: str) -> float:
    return _same_rows(name, np.reshape(getattr(values, name), (-1, 1)))[0]


def _same_rows(name: str, value: Any) -> tuple[Any, ...]:
    """Return the numbers of an attribute. Raise InputError unless they are the same in all views."""
    rows = np.atleast_2d(np.asarray(value, dtype=np.float64))
    if np.ptp(rows, axis=0).any():
        raise InputError(f"tigre: {name}", expected="the same in all views", found="different ones")
    return tuple(float(number) for number in rows[0])


class TigreProjector:
    """A of TIGRE (Siddon 1985, doi 10.1118/1.595715) and its matched transpose, with the interface of Projector, without gradients.

    `device` is the CUDA device that computes; results return to the tensors' own device through the host's memory.
    Raise MissingDependency if TIGRE or a CUDA device is missing, InputError for geometries that TIGRE does not support.
    """

    def __init__(self, geometry: ConeBeamGeometry, device: str) -> None:
        self.geometry, self._device = geometry, device
        self._tigre, self._gpu = _loaded(device)
        self._values, self._angles = described(self._tigre, geometry)

    def subset(self, indices: Sequence[int] | np.ndarray) -> TigreProjector:
        """Return the projector of only these views."""
        return TigreProjector(self.geometry.subset(indices), self._device)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Return A volume: [z, y, x] -> [view, v, u]."""
        counters.count("forward_views", self.geometry.views)
        found = self._tigre.Ax(_array(volume), self._values, self._angles, "Siddon", gpuids=self._gpu)
        return torch.from_numpy(found).to(volume.device)

    def adjoint(self, projections: torch.Tensor) -> torch.Tensor:
        """Return A^T projections: [view, v, u] -> [z, y, x]."""
        counters.count("adjoint_views", self.geometry.views)
        found = self._tigre.Atb(_array(projections), self._values, self._angles, "matched", gpuids=self._gpu)
        return torch.from_numpy(found).to(projections.device)


def tigre_fdk(projections: np.ndarray, geometry: ConeBeamGeometry, filter: FilterName, device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Reconstruct by TIGRE's own FDK: the volume [z, y, x] [1/mm], and notes for the record.

    Raises MissingDependency where TIGRE or a CUDA device is missing, InputError for geometries that TIGRE does not support.
    """
    tigre, gpu = _loaded(device)
    values, angles = described(tigre, geometry)
    # TIGRE's weights of displaced detectors depend on both offsets, but would cut the detector in half for an offset along v alone.
    how = {"filter": filter.replace("-", "_"), "dowang": bool(geometry.detector_offset[1]), "verbose": False, "gpuids": gpu}
    counters.count("adjoint_views", geometry.views)
    volume = tigre.algorithms.fdk(np.array(projections, dtype=np.float32), values, angles, **how)
    circle = abs(geometry.arc - 2 * np.pi) < 1e-3
    return volume, {} if circle else {"note": NOTE}


def described(tigre: Any, geometry: ConeBeamGeometry) -> tuple[Any, np.ndarray]:
    """Return TIGRE's geometry object and its angles [view]."""
    values, found = values_of(geometry), tigre.geometry(mode="cone")
    angles = values.pop("angles")
    for name, value in values.items():
        setattr(found, name, value)
    return found, np.ascontiguousarray(angles, dtype=np.float32)


def name() -> str:
    """Return the name for the record, such as 'tigre 3.1.3'."""
    return f"tigre {version('pytigre') or version('tigre')}".strip()


def _loaded(device: str) -> tuple[Any, Any]:
    """Return TIGRE, and its object that selects a GPU."""
    if missing_modules(["tigre"]):
        raise MissingDependency(f"engine tigre needs tigre (install: {install_hint('tigre')})")
    if not device.startswith("cuda"):
        raise MissingDependency(f"engine tigre needs a CUDA device, this run has '{device}' (--device cuda:0)")
    if reason := mistaken("tigre"):
        raise MissingDependency(f"engine tigre {reason}")
    import tigre
    from tigre.utilities.gpu import GpuIds

    gpu = GpuIds()
    gpu.devices = [int(device.partition(":")[2] or 0)]
    return tigre, gpu


def _array(tensor: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype=np.float32)
