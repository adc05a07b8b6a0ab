"""Turn volumes to the patient's axes: z to the head, y to the front, x to the right."""

from __future__ import annotations

import itertools

import numpy as np

from benchmark.errors import InputError
from benchmark.files.limits import check_array
from benchmark.files.medical import Image
from benchmark.storage import mapped

ALONG = 1e-3  # axes that deviate by less than this share count as the patient's

Triple = tuple[float, float, float]


def upright(image: Image, outside: float, where: str) -> tuple[np.ndarray, Triple, bool]:
    """Return values [z, y, x], spacing (z, y, x) [mm], and True if the values were interpolated.

    Axes parallel to the patient's are only permuted and flipped. Oblique volumes are interpolated linearly onto a grid of
    the same spacing that holds the whole volume; `outside` fills its corners.
    """
    lengths = np.linalg.norm(image.axes, axis=0)
    directions = image.axes / lengths  # column n: index i, j, k in x, y, z
    # Assign an index to each axis: the assignment with the largest total alignment.
    order = max(itertools.permutations(range(3)), key=lambda columns: sum(abs(directions[axis, columns[axis]]) for axis in range(3)))
    ordered = directions[:, order]
    signs = np.sign(np.diag(ordered))
    values = image.values.transpose([2 - order[axis] for axis in (2, 1, 0)])  # [z, y, x]
    values = np.flip(values, tuple(2 - axis for axis in range(3) if signs[axis] < 0))
    x, y, z = (float(lengths[index]) for index in order)
    turned = ordered * signs
    if np.abs(turned - np.eye(3)).max() <= ALONG:
        return mapped.contiguous(values, values.dtype), (z, y, x), False
    return _interpolated(values, turned, (z, y, x), outside, where), (z, y, x), True


def centre(image: Image) -> Triple:
    """Return the centre of the image's box, x y z [mm], which `upright` keeps."""
    x, y, z = image.origin + image.axes @ ((np.array(image.values.shape[::-1]) - 1) / 2)
    return (float(x), float(y), float(z))


def _interpolated(values: np.ndarray, directions: np.ndarray, spacing: Triple, outside: float, where: str) -> np.ndarray:
    from scipy.ndimage import affine_transform

    to_place = directions[::-1, ::-1] * np.array(spacing)  # index (z, y, x) to place (z, y, x) [mm], from the centre
    half = np.array(values.shape) / 2
    reach = np.abs(to_place) @ half  # [mm]
    shape = tuple(int(n) for n in np.maximum(1, np.ceil(2 * reach / np.array(spacing) - 1e-6)))
    check_array(where, shape, np.dtype(np.float32))
    back = np.linalg.inv(to_place) * np.array(spacing)
    centre = (np.array(values.shape) - 1) / 2 - back @ ((np.array(shape) - 1) / 2)
    if abs(np.linalg.det(directions)) < 0.1:
        raise InputError(where, expected="three axes in different directions", found=f"{directions.tolist()}")
    return affine_transform(values.astype(np.float32), back, centre, output_shape=shape, order=1, mode="constant", cval=outside)
