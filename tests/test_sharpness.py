"""Metrics beyond the protocols: error in Hounsfield units, the map of SSIM, the sharpness of a sphere's edge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import erf
from skimage.metrics import structural_similarity

from benchmark.metrics import sharpness, similarity, volume
from benchmark.metrics.scorer import Scorer
from benchmark.plugins.specs import MetricSpec
from benchmark.scan.case import Case
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import Scan

SPHERE: dict[str, Any] = {"centre": [2.0, -3.0, 1.0], "radius": 30.0}


def geometry(spacing: float = 2.0, count: int = 48) -> ConeBeamGeometry:
    return ConeBeamGeometry(
        source_to_origin=500.0,
        source_to_detector=800.0,
        detector_shape=(8, 8),
        detector_pitch=(20.0, 20.0),
        volume_shape=(count,) * 3,
        volume_spacing=(spacing,) * 3,
        angles=np.zeros(1),
    )


def ball(sigma: float, grid: ConeBeamGeometry) -> np.ndarray:
    """A sphere whose edge is a step blurred by a Gaussian of sigma [mm]."""
    z, y, x = np.meshgrid(*[grid.voxel_centres(axis) for axis in range(3)], indexing="ij")
    a, b, c = SPHERE["centre"]
    depth = np.sqrt((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) - SPHERE["radius"]
    return 0.01 * (1 - erf(depth / (np.sqrt(2) * sigma)))


@pytest.mark.parametrize("sigma", [2.0, 3.0, 4.0])
def test_a_gaussian_edge_has_the_sharpness_of_its_formula(sigma):
    grid = geometry()
    blurred = ball(sigma, grid)
    assert sharpness.edge_mtf50(blurred, blurred, grid, SPHERE) == pytest.approx(np.sqrt(2 * np.log(2)) / (2 * np.pi * sigma), rel=0.06)
    assert sharpness.edge_width(blurred, blurred, grid, SPHERE) == pytest.approx(2 * 1.2816 * sigma, rel=0.05)


def test_sharpness_does_not_depend_on_scale_or_offset_and_noise_changes_it_little():
    grid = geometry()
    clean = ball(3.0, grid)
    noisy = clean + 0.001 * np.random.default_rng(0).standard_normal(clean.shape)
    for metric in (sharpness.edge_mtf50, sharpness.edge_width):
        assert metric(5 * clean, clean, grid, SPHERE) == pytest.approx(metric(clean, clean, grid, SPHERE))
        assert metric(noisy, clean, grid, SPHERE) == pytest.approx(metric(clean, clean, grid, SPHERE), rel=0.08)
    assert sharpness.edge_width(clean + 0.02, clean, grid, SPHERE) == pytest.approx(sharpness.edge_width(clean, clean, grid, SPHERE))


def test_no_edge_no_sharpness():
    grid = geometry()
    for flat in (np.zeros(grid.volume_shape), np.full(grid.volume_shape, 0.02)):
        assert sharpness.edge_mtf50(flat, flat, grid, SPHERE) is None
        assert sharpness.edge_width(flat, flat, grid, SPHERE) is None


def test_rmse_in_hounsfield_units_by_hand():
    truth = np.zeros((2, 2, 2))
    truth[0] = 0.0206
    assert volume.rmse_hu(truth + 0.000206, truth, mu_water=0.0206) == pytest.approx(10.0)  # 1% of water is 10 HU
    assert volume.rmse_hu(truth, truth, mu_water=0.0206) == 0.0


def test_the_map_of_ssim_is_scikit_images_and_its_mean_the_score(monkeypatch):
    rng = np.random.default_rng(0)
    truth = rng.random((31, 20, 22))
    prediction = truth + 0.1 * rng.standard_normal(truth.shape)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": np.ptp(truth)}
    expected = structural_similarity(truth, prediction, full=True, **options)[1]
    for slab in (2**22, 1):  # in one piece, and in slabs
        monkeypatch.setattr(similarity, "SLAB", slab)
        found = similarity.ssim_map(prediction, truth)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found[5:-5, 5:-5, 5:-5].mean() == pytest.approx(volume.ssim(prediction, truth), abs=1e-6)
    assert similarity.ssim_map(np.zeros((8, 20, 20)), np.zeros((8, 20, 20))) is None


def test_a_metric_gets_what_it_needs_or_is_left_out():
    grid = geometry(count=8)
    scan = Scan(np.zeros(grid.projection_shape), grid)
    seen = []

    def needy(prediction, truth, mu_water, geometry):
        seen.append(geometry.volume_shape)
        return mu_water

    metric = MetricSpec(name="needy", kind="volume", target=needy, needs=("mu_water", "geometry"), revision=3)
    truth = np.zeros((8, 8, 8), np.float32)
    scorer = Scorer(Case("a", scan, truth, facts={"mu_water": 0.02}), [metric])
    assert scorer.score(truth) == ({"volume_needy": 0.02}, []) and seen == [(8, 8, 8)]
    assert scorer.versions(["volume_needy", "volume_other"]) == {"volume_needy": 3}
    assert Scorer(Case("a", scan, truth), [metric]).score(truth) == ({}, [])
