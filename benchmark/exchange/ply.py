"""Gaussians as PLY, in the layout of 3-D Gaussian splatting that viewers open (Kerbl et al. 2023, arXiv 2308.04079)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmark.errors import InputError
from benchmark.report.splats import appearance
from benchmark.storage import atomic
from benchmark.storage.writable import prove_file

NAMES = (
    *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)
HARMONIC = 0.5 / np.sqrt(np.pi)  # the spherical harmonic of degree 0
FAINTEST = 1e-6  # opacity, so that its logit is finite


def write_ply(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write the Gaussians of Reconstruction.arrays; positions and scales in mm. Raise InputError without any, or if `path` exists.

    Viewers show colour and opacity. Gaussians of attenuation are white where they are densest: their opacity is that of the line
    through the middle, relative to the largest.
    """
    if not {"means", "quaternions", "log_scales"} <= set(arrays) or not {"opacities", "log_amplitudes"} & set(arrays):
        raise InputError("--format ply", expected="a run that kept Gaussians (carve, gaussians)", found=", ".join(arrays) or "none")
    if path.suffix != ".ply":
        raise InputError("--output", expected="a name that ends in .ply", found=f"'{path.name}'")
    prove_file(path, new=True)
    opacities, colours = appearance(arrays)
    clipped = np.clip(opacities, FAINTEST, 1 - FAINTEST)
    quaternions = arrays["quaternions"] / np.linalg.norm(arrays["quaternions"], axis=1, keepdims=True)
    columns = np.concatenate(
        [
            arrays["means"],
            np.zeros_like(arrays["means"]),
            (colours - 0.5) / HARMONIC,
            np.log(clipped / (1 - clipped))[:, None],
            arrays["log_scales"],
            quaternions,
        ],
        1,
    ).astype("<f4")
    head = ["ply", "format binary_little_endian 1.0", "comment lengths in mm", f"element vertex {len(columns)}"]
    lines = [*head, *(f"property float {name}" for name in NAMES), "end_header", ""]
    atomic.replace(path, "\n".join(lines).encode("ascii") + columns.tobytes())
    return path
