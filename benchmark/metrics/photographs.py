"""What a method's Gaussians look like to the cameras of photographs, and the photographs themselves, as metrics want them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from benchmark.errors import InputError
from benchmark.scan.scan import Scan

PARTS = ("means", "quaternions", "log_scales", "opacities", "colours")  # of Reconstruction.arrays


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """colours float32 [view, v, u, 3] over black and silhouettes float32 [view, v, u], both 0 .. 1."""

    colours: np.ndarray
    silhouettes: np.ndarray

    def stack(self) -> np.ndarray:
        """Each colour an image of its own, [view * 3, v, u]."""
        return np.moveaxis(self.colours, -1, 1).reshape(-1, *self.silhouettes.shape[1:])


def seen(scan: Scan) -> Seen:
    """As photographed."""
    assert scan.colours is not None
    return Seen(scan.colours, scan.projections)


def rendered(arrays: Mapping[str, np.ndarray], scan: Scan, views: Sequence[int] | None = None) -> Seen:
    """As the harness renders the Gaussians that a method returned, for every method alike. Raises InputError if it returned none."""
    import torch

    from benchmark.fields.splatter import Splats, splat

    missing = [name for name in PARTS if name not in arrays]
    if missing:
        raise InputError("Reconstruction.arrays", expected=f"Gaussians ({', '.join(PARTS)})", found=f"no {', '.join(missing)}")
    with torch.no_grad():
        images = splat(Splats(*(torch.from_numpy(np.array(arrays[name], dtype=np.float32)) for name in PARTS)), scan.geometry, views)
    return Seen(images[..., :3].numpy(), images[..., 3].numpy())
