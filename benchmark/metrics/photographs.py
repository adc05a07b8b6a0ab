"""Photographs, and renderings of a method's Gaussians by the same cameras, in the form the metrics need."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from benchmark.errors import InputError
from benchmark.scan.scan import Scan

PARTS = ("means", "quaternions", "log_scales", "opacities", "colours")  # of Reconstruction.arrays


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """Pictures of all views: colours float32 [view, v, u, 3] over black and silhouettes float32 [view, v, u], both 0 .. 1."""

    colours: np.ndarray
    silhouettes: np.ndarray

    def stack(self) -> np.ndarray:
        """Return each colour as a separate image, [view * 3, v, u]."""
        return np.moveaxis(self.colours, -1, 1).reshape(-1, *self.silhouettes.shape[1:])


def seen(scan: Scan) -> Seen:
    """Return the photographs of a scan."""
    assert scan.colours is not None
    return Seen(scan.colours, scan.projections)


def rendered(arrays: Mapping[str, np.ndarray], scan: Scan, views: Sequence[int] | None = None) -> Seen:
    """Render a method's Gaussians by the harness itself, identically for every method. Raise InputError if there are none."""
    import torch

    from benchmark.fields.splatter import Splats, splat

    missing = [name for name in PARTS if name not in arrays]
    if missing:
        raise InputError("Reconstruction.arrays", expected=f"Gaussians ({', '.join(PARTS)})", found=f"no {', '.join(missing)}")
    with torch.no_grad():
        images = splat(Splats(*(torch.from_numpy(np.array(arrays[name], dtype=np.float32)) for name in PARTS)), scan.geometry, views)
    return Seen(images[..., :3].numpy(), images[..., 3].numpy())
