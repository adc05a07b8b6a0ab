"""Descriptors of shapes made of Gaussians, of their colours and of a network's numbers, invariant under rotation and translation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmark.errors import InputError

REACH = 2.5  # of the outermost shell, in root mean square distances from the centre of mass
NEEDED = ("means", "log_scales")  # of Reconstruction.arrays


PARTS = {"shape": "means", "colour": "colours", "latent": "latent"}  # part of a descriptor -> the array that it needs


def descriptor(arrays: Mapping[str, np.ndarray], shells: int, degree: int, part: str = "shape") -> np.ndarray:
    """Return [shells, degree + 1], dimensionless: for each shell about the centre of mass, the square root of the power in each
    degree of the spherical harmonics of its mass. For the other PARTS [channel, shells, degree + 1], where each Gaussian's mass
    counts times its number in the channel: red, green, blue, or one of the features of a network.

    c_slm = sum_k w_ks Y_lm(direction of k), and sqrt(sum_m |c_slm|^2 4 pi / (2 l + 1)): a rotation mixes the m of one l and
    keeps the sum (Kazhdan, Funkhouser, Rusinkiewicz 2003, Rotation invariant spherical harmonic representation of 3D shape
    descriptors). A Gaussian counts as its mass at its mean, shared by the two shells that it lies between. Distances are divided by their
    root mean square and masses by the total mass, so the descriptor is also invariant under scaling.
    """
    masses, means = mass(arrays), arrays["means"].astype(np.float64)
    masses = masses / masses.sum()
    away = means - masses @ means
    distances = np.linalg.norm(away, axis=1)
    scale = np.sqrt(masses @ distances**2)
    places = np.clip(distances / max(scale, 1e-12) / REACH * shells - 0.5, 0, shells - 1)
    share = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(shells))) * masses[:, None]  # [K, shell]
    if part != "shape":
        numbers = arrays[PARTS[part]].astype(np.float64)  # [K, channel]
        share = (numbers[:, :, None] * share[:, None]).reshape(len(numbers), -1)
    polar = np.divide(away[:, 2], distances, out=np.ones_like(distances), where=distances > 0)
    azimuth = np.arctan2(away[:, 1], away[:, 0])
    directed = share * (distances > 1e-9 * scale)[:, None]  # mass at the centre has no direction
    power = np.stack([_power(directed if order else share, polar, azimuth, order) for order in range(degree + 1)], 1)
    found = np.sqrt(power).astype(np.float32)
    return found if part == "shape" else found.reshape(-1, shells, degree + 1)


def mass(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the mass of each Gaussian, float64 [K]: its amplitude or opacity integrated over space, up to a common factor."""
    missing = [name for name in NEEDED if name not in arrays]
    if missing or not {"log_amplitudes", "opacities"} & set(arrays):
        raise InputError("arrays", expected="the Gaussians of a run", found=f"{', '.join(arrays) or 'none'}")
    volumes = np.exp(arrays["log_scales"].astype(np.float64).sum(1))
    strength = arrays["opacities"].astype(np.float64) if "opacities" in arrays else np.exp(arrays["log_amplitudes"].astype(np.float64))
    return strength * volumes


def _power(share: np.ndarray, polar: np.ndarray, azimuth: np.ndarray, degree: int) -> np.ndarray:
    """Return sum_m |c_lm|^2 4 pi / (2 l + 1) of each shell [shell], from Legendre functions P_lm of degree l = `degree`."""
    from scipy.special import gammaln, lpmv

    total = np.zeros(share.shape[1])
    for order in range(degree + 1):
        ratio = np.exp(gammaln(degree - order + 1) - gammaln(degree + order + 1))
        waves = lpmv(order, degree, polar) * np.exp(1j * order * azimuth)
        total += (1 if order == 0 else 2) * ratio * np.abs(waves @ share) ** 2
    return total
