"""Rays of a view, and boxes for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmark.errors import InputError
from benchmark.scan.geometry import ConeBeamGeometry

Pixels = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclasses.dataclass(frozen=True, eq=False)
class Rays:
    """Half-lines origin + t direction, t >= 0 [mm]: float32 [N, 3] each, x y z [mm]. Index or slice them along the first axis.

    Directions of any length are accepted and normalised, so that t is a distance in mm. Raises InputError for other shapes, for
    numbers that are not finite, and for directions of length 0.
    """

    origins: torch.Tensor
    directions: torch.Tensor

    def __post_init__(self) -> None:
        for name in ("origins", "directions"):
            tensor = getattr(self, name)
            if tensor.ndim != 2 or tensor.shape[1] != 3 or tensor.shape != self.origins.shape or not tensor.is_floating_point():
                found = f"{tensor.dtype} {tuple(tensor.shape)}"
                raise InputError(f"rays.{name}", expected="origins and directions of one floating shape [N, 3]", found=found)
        length = torch.linalg.vector_norm(self.directions, dim=1, keepdim=True)
        # One sum reveals a NaN or Inf anywhere, and is much cheaper than a test of each number.
        if not bool(torch.isfinite(self.origins.sum() + length.sum())) or bool((length == 0).any()):
            raise InputError("rays", expected="finite origins and directions, no direction of length 0", found="NaN, Inf or zeros")
        object.__setattr__(self, "origins", self.origins.detach().float().contiguous())
        object.__setattr__(self, "directions", (self.directions.detach() / length).float().contiguous())

    def __len__(self) -> int:
        return self.origins.shape[0]

    @classmethod
    def joined(cls, parts: Sequence[Rays]) -> Rays:
        """Return the rays of all parts, in their order."""
        return _unchecked(torch.cat([part.origins for part in parts]), torch.cat([part.directions for part in parts]))

    def __getitem__(self, index: Any) -> Rays:
        """Return the rays chosen by a slice, a mask or an index tensor."""
        return _unchecked(self.origins[index].reshape(-1, 3), self.directions[index].reshape(-1, 3))


def _unchecked(origins: torch.Tensor, directions: torch.Tensor) -> Rays:
    """Return rays made of parts of checked rays."""
    rays = object.__new__(Rays)
    object.__setattr__(rays, "origins", origins.contiguous())
    object.__setattr__(rays, "directions", directions.contiguous())
    return rays


def view_rays(
    geometry: ConeBeamGeometry,
    views: Sequence[int] | None = None,
    pixels: Pixels | torch.Tensor | None = None,
    device: torch.device | str = "cpu",
) -> Rays:
    """Return the rays from the source through pixel centres, of all pixels of the chosen views or of the given pixels.

    Without `pixels`: every pixel of `views` (default: all views) in the order of projections[views].reshape(-1), on `device`.
    With `pixels` (three index tensors [N] view, v, u, or one tensor [N, 3]): the rays of projections[view, v, u], on the pixels'
    device; v and u may be fractions of a pixel. Raises InputError for pixels off the detector.
    """
    if pixels is not None:
        if views is not None:
            raise InputError("view_rays", expected="views or pixels", found="both")
        view, v, u = pixels.unbind(-1) if isinstance(pixels, torch.Tensor) else pixels
        return _pixel_rays(geometry, torch.as_tensor(view), torch.as_tensor(v), torch.as_tensor(u))
    chosen = geometry if views is None else geometry.subset(views)
    rows, columns = geometry.detector_shape
    source, centre, u_step, v_step = torch.from_numpy(chosen.vectors()).to(device).unbind(1)
    v = torch.arange(rows, dtype=torch.float64, device=device) - (rows - 1) / 2
    u = torch.arange(columns, dtype=torch.float64, device=device) - (columns - 1) / 2
    row = (centre - source)[:, None] + v[None, :, None] * v_step[:, None]
    direction = row[:, :, None] + u[None, None, :, None] * u_step[:, None, None]  # [view, v, u, 3]
    origin = source.float()[:, None, None].expand(direction.shape)
    return Rays(origin.reshape(-1, 3), direction.reshape(-1, 3))


def _pixel_rays(geometry: ConeBeamGeometry, view: torch.Tensor, v: torch.Tensor, u: torch.Tensor) -> Rays:
    rows, columns = geometry.detector_shape
    if view.ndim != 1 or view.shape != v.shape or view.shape != u.shape:
        raise InputError("view_rays: pixels", expected="view, v and u of one shape [N]", found=f"{[tuple(t.shape) for t in (view, v, u)]}")
    for name, index, low, high in (
        ("view", view, 0, geometry.views - 1),
        ("v", v, -0.5, rows - 0.5),
        ("u", u, -0.5, columns - 0.5),
    ):
        if len(index) and not (low <= float(index.min()) and float(index.max()) <= high):
            found = f"{float(index.min()):g} .. {float(index.max()):g}"
            raise InputError(f"view_rays: {name}", expected=f"{low:g} .. {high:g}", found=found)
    source, centre, u_step, v_step = torch.from_numpy(geometry.vectors()).to(view.device)[view.long()].unbind(1)
    along_u = (u.double() - (columns - 1) / 2)[:, None] * u_step
    along_v = (v.double() - (rows - 1) / 2)[:, None] * v_step
    return Rays(source, centre + along_u + along_v - source)


def box(bounds: Any) -> np.ndarray:
    """Return lower and upper corner [2, 3], x y z [mm], as float64, from geometry.volume_bounds or anything of that shape.

    Raise InputError unless upper > lower along each axis.
    """
    corners = np.ascontiguousarray(bounds, dtype=np.float64)
    if corners.shape != (2, 3) or not np.isfinite(corners).all() or not (corners[1] > corners[0]).all():
        raise InputError("bounds", expected="[[x, y, z] lower, [x, y, z] upper] in mm, upper > lower", found=f"{corners.tolist()}")
    return corners
