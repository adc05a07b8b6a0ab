"""Bad pixels are found in views of a turning object, and the object itself is not taken for one."""

from __future__ import annotations

from typing import Any

import balls
import numpy as np
import pytest

from benchmark.scan.bad_pixels import Repair, bad_pixels

SIZE = 32  # 48 x 48 pixels


@pytest.fixture(scope="module")
def views() -> np.ndarray:
    scan, _ = balls.ball_scan(noise=0.02, size=SIZE, views=24)
    return np.array(scan.projections)


def spoiled(views: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the views with a defect, and where it is."""
    views, where = views.copy(), np.zeros(views.shape[1:], dtype=bool)
    number = np.random.default_rng(1)
    places: dict[str, Any] = {
        "dead": (24, 20),
        "hot": (10, 30),
        "noisy": (22, 26),
        "pair": (slice(24, 26), slice(20, 22)),
        "column": (slice(None), 22),
        "half a column": (slice(24, None), 22),
        "edge column": (slice(None), 0),
        "two columns": (slice(None), slice(22, 24)),
        "row": (20, slice(None)),
    }
    where[places[kind]] = True
    noise = number.uniform(0, 4, (len(views), int(where.sum())))
    views[:, where] = {"hot": 5.0, "noisy": noise, "edge column": 3.0}.get(kind, 0.0)
    return views, where


def test_a_good_detector_has_none(views):
    assert not bad_pixels(views).any()
    assert not bad_pixels(views[:6]).any()
    assert not bad_pixels(np.exp(-views) * 40000).any()


@pytest.mark.parametrize("kind", ["dead", "hot", "noisy", "pair", "column", "half a column", "edge column", "two columns", "row"])
def test_each_defect_is_found(views, kind):
    wrong, where = spoiled(views, kind)
    seen = where & (np.abs(wrong - views).max(0) > 0.3)  # a dead pixel in air measures air
    found = bad_pixels(iter(wrong))
    assert found[seen].all()
    assert (found & ~where).sum() <= 1
    repaired = np.stack([Repair(found)(view) for view in wrong])
    assert np.abs(repaired - views)[:, seen].max() < 0.6


def test_few_views_and_one_row(views):
    wrong = views[:3].copy()
    wrong[:, 5, 6], wrong[1, 7, 8] = 0.0, np.nan
    assert np.argwhere(bad_pixels(wrong)).tolist() == [[7, 8]]
    row = views[:, 24:25].copy()
    assert not bad_pixels(row).any()
    row[:, :, 22] = 0.0
    assert np.argwhere(bad_pixels(row)).tolist() == [[0, 22]]
    assert bad_pixels(views[:, :1, :1]).shape == (1, 1)


def test_a_detector_with_more_bad_than_good_pixels_is_left_alone(views):
    assert not bad_pixels(np.random.default_rng(0).choice([0.0, 9.0], views.shape) * (np.arange(48) % 2)).any()


def test_one_good_pixel_repairs_all_others():
    image = np.arange(12.0).reshape(3, 4)
    bad = np.ones((3, 4), dtype=bool)
    bad[1, 1] = False
    assert (Repair(bad)(image) == 5.0).all()
