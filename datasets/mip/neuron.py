"""A neuron-like tree of glowing tubes, whose maximum along any ray has a closed form."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmark.api import ConeBeamGeometry, InputError, Morphology

UNIT = "um"
SIDE = 120.0  # [um] of the cube
REACH = 50.0  # [um] farthest node from the middle along an axis
SOMA = 9.0  # [um] radius of the cell body
THICK, THIN = 5.0, 3.0  # [um] radius of a dendrite where it begins and where it ends
STEP = 8.0  # [um] between two nodes
DENDRITES, NODES, BRANCH = 5, 12, 0.2  # at the cell body; nodes of each; probability that a node begins another branch
EDGE = 0.5  # the intensity falls from 1 to 0 between 1 - EDGE and 1 + EDGE radii
SUPERSAMPLE = 3  # points along an edge of a voxel, for its mean
FAR = 1.0 + EDGE  # [radii] the intensity is 0 beyond


@dataclasses.dataclass(frozen=True, eq=False)
class Tubes:
    """Round-ended tubes: V(x) = max_k b_k f(|x - segment k| / r_k), f falling from 1 at half a radius to 0 at one and a half.

    f never rises, so that the largest value along a ray is max_k b_k f(distance of ray and segment / r_k).
    starts, ends [tube, 3] x y z and radii [tube] in one unit of length; brightness [tube].
    """

    starts: np.ndarray
    ends: np.ndarray
    radii: np.ndarray
    brightness: np.ndarray

    def maxima(self, geometry: ConeBeamGeometry, sub_rays: int = 2) -> np.ndarray:
        """Compute maximum projections float32 [view, v, u], averaged over sub_rays x sub_rays rays per pixel (all tubes lie in the box)."""
        if sub_rays < 1:
            raise InputError("sub_rays", expected="at least 1 ray per pixel and direction", found=f"{sub_rays}")
        rows, columns = (count * sub_rays for count in geometry.detector_shape)
        out = np.empty(geometry.projection_shape, dtype=np.float32)
        for index, (source, centre, u, v) in enumerate(geometry.vectors()):
            fine, _ = self._picture(source, centre, u / sub_rays, v / sub_rays, rows, columns)
            out[index] = fine.reshape(rows // sub_rays, sub_rays, columns // sub_rays, sub_rays).mean((1, 3))
        return out

    def maximum_depths(self, geometry: ConeBeamGeometry) -> np.ndarray:
        """Return where along each pixel's central ray its maximum lies: nearest to the tube's axis (see `central_rays`), float32
        [view, v, u]; NaN where nothing glows."""
        rows, columns = geometry.detector_shape
        found = [self._picture(source, centre, u, v, rows, columns)[1] for source, centre, u, v in geometry.vectors()]
        return np.stack(found).astype(np.float32)

    def _picture(
        self, source: np.ndarray, centre: np.ndarray, u: np.ndarray, v: np.ndarray, rows: int, columns: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cast one ray for each pixel, [row, column]; test each tube only within its possible shadow. Return maxima and their depths."""
        image, depths = np.zeros((rows, columns)), np.full((rows, columns), np.nan)
        for start, end, radius, brightness in zip(self.starts, self.ends, self.radii, self.brightness, strict=True):
            low, high = _shadow(np.stack([start, end]), FAR * radius, source, centre, u, v)
            first = np.maximum(np.floor(low + [(rows - 1) / 2, (columns - 1) / 2]).astype(int), 0)
            last = np.minimum(np.ceil(high + [(rows - 1) / 2, (columns - 1) / 2]).astype(int), [rows - 1, columns - 1])
            j, i = (np.arange(first[axis], last[axis] + 1) for axis in (0, 1))
            if not (j.size and i.size):
                continue
            across, up = (i - (columns - 1) / 2)[None, :, None] * u, (j - (rows - 1) / 2)[:, None, None] * v
            apart, depth = _nearest_to_line(source, centre - source + across + up, start, end)
            values, where = brightness * profile(apart / radius), np.s_[j[0] : j[-1] + 1, i[0] : i[-1] + 1]
            brighter = values > image[where]
            image[where][brighter], depths[where][brighter] = values[brighter], depth[brighter]
        return image, depths

    def averaged(self, geometry: ConeBeamGeometry) -> np.ndarray:
        """Return the truth: mean intensity over each voxel's SUPERSAMPLE^3 points, float32 [z, y, x]."""
        fine = geometry.with_volume(tuple(SUPERSAMPLE * n for n in geometry.volume_shape))  # type: ignore[arg-type]
        axes = [fine.voxel_centres(axis) for axis in (2, 1, 0)]  # x y z
        volume = np.zeros(fine.volume_shape, dtype=np.float32)
        for start, end, radius, brightness in zip(self.starts, self.ends, self.radii, self.brightness, strict=True):
            low, high = np.minimum(start, end) - FAR * radius, np.maximum(start, end) + FAR * radius
            columns, rows, slices = (slice(*np.searchsorted(axis, [a, b])) for axis, a, b in zip(axes, low, high, strict=True))
            points = np.stack(np.meshgrid(axes[2][slices], axes[1][rows], axes[0][columns], indexing="ij")[::-1], -1)
            part = volume[slices, rows, columns]
            np.maximum(part, brightness * profile(_distance_to_point(points, start, end) / radius), out=part)
        z, y, x = geometry.volume_shape
        return volume.reshape(z, SUPERSAMPLE, y, SUPERSAMPLE, x, SUPERSAMPLE).mean((1, 3, 5), dtype=np.float64).astype(np.float32)


def profile(distance: np.ndarray) -> np.ndarray:
    """Evaluate f at distances in radii."""
    return np.clip((1 + EDGE - distance) / (2 * EDGE), 0, 1)


def neuron(seed: int) -> Tubes:
    """Return the tubes of `grown(seed)`; each dendrite has its own brightness between 0.5 and 1."""
    tree, dendrite = grown(seed)
    glow = np.concatenate([[1.0], np.linspace(0.5, 1.0, DENDRITES)])[dendrite]
    child, parent = tree.edges.T
    body = np.array([[0.0, 0.0, 0.0]])
    return Tubes(
        starts=np.concatenate([body, tree.positions[child]]),
        ends=np.concatenate([body, tree.positions[parent]]),
        radii=np.concatenate([[SOMA], tree.radii[child]]),
        brightness=np.concatenate([[1.0], glow[child]]),
    )


def grown(seed: int) -> tuple[Morphology, np.ndarray]:
    """Grow a tree from a seed, with the cell body in the middle as its root; return it and each node's dendrite (0: the root)."""
    rng = np.random.default_rng([seed, 0])
    positions, radii, parents, dendrite = [np.zeros(3)], [SOMA], [-1], [0]
    # Evenly spaced, so that dendrites seldom begin side by side.
    around = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(DENDRITES) / DENDRITES
    heights = rng.permutation(np.linspace(-0.8, 0.8, DENDRITES))
    tips = []
    for number, (angle, height) in enumerate(zip(around, heights, strict=True), 1):
        level = np.sqrt(1 - height**2)
        tips.append((0, np.array([level * np.cos(angle), level * np.sin(angle), height]), number, NODES))
    while tips:
        node, heading, number, left = tips.pop()
        for remaining in range(left, 0, -1):
            heading = heading + 0.35 * rng.standard_normal(3)
            heading /= np.linalg.norm(heading)
            heading = np.where(np.abs(positions[node] + STEP * heading) > REACH, -heading, heading)  # turned back at the walls
            positions.append(positions[node] + STEP * heading)
            radii.append(THIN + (THICK - THIN) * remaining / NODES)
            parents.append(node)
            dendrite.append(number)
            node = len(positions) - 1
            if remaining > 3 and rng.random() < BRANCH:
                tips.append((node, rng.standard_normal(3), number, remaining // 2))
    return Morphology(np.array(positions), np.array(radii), np.array(parents)), np.array(dendrite)


def _shadow(
    points: np.ndarray, radius: float, source: np.ndarray, centre: np.ndarray, u: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest (row, column), from the middle of the picture, in which balls around points [n, 3] may appear."""
    normal = np.cross(u, v)
    depth = (points - source) @ normal / ((centre - source) @ normal)  # of the points; the detector is at 1
    hit = source + (points - source) / depth[:, None] - centre
    pixels = np.stack([hit @ v / (v @ v), hit @ u / (u @ u)], 1)
    # The shadow of a ball off the central ray is longer than on it, by less than this factor for pictures below 120 degrees.
    margin = 4 * radius / depth.min() / min(np.linalg.norm(u), np.linalg.norm(v)) + 1
    return pixels.min(0) - margin, pixels.max(0) + margin


def _distance_to_point(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the distances of points [..., 3] from a segment."""
    along = end - start
    share = np.clip((points - start) @ along / max(along @ along, 1e-30), 0, 1)
    return np.linalg.norm(points - start - share[..., None] * along, axis=-1)


def _nearest_to_line(source: np.ndarray, rays: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances of the lines source + t rays [..., 3] from a segment, and the depths of its nearest points."""
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    along, away = end - start, start - source
    across = along - (rays @ along)[..., None] * rays  # the segment and its start, seen along the ray
    beside = away - (rays @ away)[..., None] * rays
    share = np.clip(-(beside * across).sum(-1) / np.maximum((across**2).sum(-1), 1e-30), 0, 1)
    return np.linalg.norm(beside + share[..., None] * across, axis=-1), rays @ start + share * (rays @ along)
