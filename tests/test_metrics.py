"""The scores: hand-computed values, laws, agreement with scikit-image, a worked example of every protocol, degenerate truths."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchmark.metrics import projection, register_metrics, similarity, volume
from benchmark.metrics.similarity import filled_in

SPECS = {(spec.kind, spec.name): spec for spec in register_metrics() if spec.protocol != "more"}
MODULES = {"volume": volume, "projection": projection}
ALL = sorted(SPECS)
STRICT = [("volume", "psnr"), ("volume", "ssim"), ("projection", "psnr"), ("projection", "ssim")]


def score(kind, name, prediction, truth):
    return getattr(MODULES[kind], name)(prediction, truth)


@pytest.fixture
def images():
    """A smooth truth in [0, 0.9] with an empty border, and a prediction near it: valid as a volume and as a stack of views."""
    rng = np.random.default_rng(7)
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in (13, 16, 18)], indexing="ij")
    truth = np.clip(0.9 - x**2 - 0.7 * y**2 - 0.3 * z**2, 0, None)
    return (truth + 0.05 * rng.standard_normal(truth.shape)).astype(np.float32), truth.astype(np.float32)


# -- registration -------------------------------------------------------------------------------------------------------


def test_every_registered_metric_resolves_to_its_function():
    from benchmark.plugins.specs import resolve

    for (kind, name), spec in SPECS.items():
        assert resolve(spec.target) is getattr(MODULES[kind], name)
        assert spec.summary and spec.higher_is_better and spec.needs == (("valid",) if kind == "projection" else ())
    more = {spec.name: spec for spec in register_metrics() if spec.protocol == "more"}
    assert all(callable(resolve(spec.target)) and spec.needs and spec.summary for spec in more.values())
    assert {name for name, spec in more.items() if not spec.unit} == {"iou", "l1"}  # pure numbers
    assert {name for name, spec in more.items() if not spec.higher_is_better} == {"rmse_hu", "edge_width", "l1"}
    assert {("volume", "psnr"), ("volume", "ssim"), ("projection", "psnr"), ("projection", "ssim")} <= set(SPECS)


def test_listing_the_metrics_loads_nothing_heavy():
    code = "import sys, benchmark.metrics as m; m.register_metrics(); print([x for x in ('skimage', 'scipy', 'torch') if x in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


# -- by hand ------------------------------------------------------------------------------------------------------------


def test_volume_psnr_by_hand():
    truth = np.zeros((4, 4, 4))
    truth[0] = 2.0
    assert volume.psnr(truth + 0.02, truth) == pytest.approx(40.0)  # 20 log10(2 / 0.02)
    truth -= 1  # the range is max - min, not the maximum
    assert volume.psnr(truth + 0.02, truth) == pytest.approx(40.0)
    assert volume.psnr_naf(truth + 0.02, truth) == pytest.approx(20 * np.log10(1 / 0.02))  # the peers know only the maximum
    assert volume.psnr_r2(truth + 0.02, truth) == pytest.approx(20 * np.log10(1 / 0.02))


def test_projection_psnr_by_hand():
    truth = np.full((2, 3, 3), 1.0)
    truth[1] = 4.0
    prediction = truth.copy()
    prediction[0] += 0.04  # half of the pixels: mean squared error 0.04^2 / 2, range 4
    assert projection.psnr(prediction, truth) == pytest.approx(40 + 10 * np.log10(2))


def test_ssim_of_two_constants_by_hand():
    truth = np.full((11, 11, 11), 0.5)
    truth[0, 0, 0], truth[-1, -1, -1] = 0.0, 1.0  # a range of 1; the corners weigh next to nothing in the one window that fits
    expected = (2 * 0.5 * 0.6 + 1e-4) / (0.5**2 + 0.6**2 + 1e-4)
    assert volume.ssim(np.full_like(truth, 0.6), truth) == pytest.approx(expected, abs=1e-4)


def test_a_perfect_result_scores_the_resolution_of_float32(images):
    truth = images[1]
    for kind, name in ALL:
        best = 1.0 if "ssim" in name else 100.0 if (kind, name) == ("volume", "psnr_naf") else -20 * np.log10(2.0**-23)
        assert score(kind, name, truth, truth) == pytest.approx(best)


# -- laws ---------------------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), unit=st.floats(1e-3, 1e3), factor=st.floats(0.3, 0.9))
def test_strict_scores_ignore_the_unit_but_not_the_scale_of_the_prediction(seed, unit, factor):
    rng = np.random.default_rng(seed)
    truth = rng.random((11, 12, 13))
    prediction = truth + 0.05 * rng.standard_normal(truth.shape)
    for kind, name in STRICT:
        reference = score(kind, name, prediction, truth)
        assert score(kind, name, unit * prediction, unit * truth) == pytest.approx(reference, rel=1e-6)
        assert score(kind, name, factor * prediction, truth) < reference
        assert score(kind, name, prediction + 0.1, truth) < reference  # an offset is an error too


@pytest.mark.parametrize(("kind", "name"), STRICT)
def test_more_noise_scores_less(kind, name, images):
    prediction, truth = images
    scores = [score(kind, name, truth + share * (prediction - truth), truth) for share in (0.5, 1.0, 2.0, 4.0)]
    assert scores == sorted(scores, reverse=True) and len(set(scores)) == 4


def test_the_range_never_comes_from_the_prediction(images):
    prediction, truth = images
    outlier = prediction.copy()
    outlier[0, 0, 0] = 50.0
    error = np.mean((outlier.astype(float) - truth) ** 2)
    assert volume.psnr(outlier, truth) == pytest.approx(10 * np.log10(np.ptp(truth) ** 2 / error), rel=1e-5)
    assert projection.psnr(outlier, truth) == pytest.approx(10 * np.log10(truth.max() ** 2 / error), rel=1e-5)


def test_strict_volume_scores_do_not_depend_on_the_order_of_axes(images):
    prediction, truth = images
    for name in ("psnr", "ssim", "ssim_naf", "ssim_r2"):
        turned = score("volume", name, prediction.transpose(2, 0, 1), truth.transpose(2, 0, 1))
        assert turned == pytest.approx(score("volume", name, prediction, truth), rel=1e-9)


def test_slabs_give_the_number_of_the_whole(images, monkeypatch):
    prediction, truth = (np.concatenate([x, x[::-1], x]) for x in images)
    whole = [volume.ssim(prediction, truth), volume.ssim_naf(prediction, truth), volume.ssim_r2(prediction, truth)]
    monkeypatch.setattr(similarity, "SLAB", 1)
    slabs = [volume.ssim(prediction, truth), volume.ssim_naf(prediction, truth), volume.ssim_r2(prediction, truth)]
    assert slabs == pytest.approx(whole, rel=1e-12)


# -- scikit-image -------------------------------------------------------------------------------------------------------


def test_agreement_with_scikit_image(images):
    prediction, truth = (x.astype(np.float64) for x in images)
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    span, peak = np.ptp(truth), truth.max()
    assert volume.psnr(prediction, truth) == pytest.approx(peak_signal_noise_ratio(truth, prediction, data_range=span))
    assert volume.ssim(prediction, truth) == pytest.approx(structural_similarity(truth, prediction, data_range=span, **wang))
    assert projection.psnr(prediction, truth) == pytest.approx(peak_signal_noise_ratio(truth, prediction, data_range=peak))
    views = [structural_similarity(t, p, data_range=peak, **wang) for p, t in zip(prediction, truth, strict=True)]
    assert projection.ssim(prediction, truth) == pytest.approx(np.mean(views))


# -- one worked example for each of the peers' protocols ----------------------------------------------------------------


def test_naf_and_sax_volume_protocol(images):
    prediction, truth = (x.astype(np.float64) / images[1].max() for x in images)  # their data: maximum 1
    error = np.mean((prediction - truth) ** 2)
    for unit in (1.0, 0.02):  # ours are in 1/mm: the unit must not matter
        assert volume.psnr_naf(unit * prediction, unit * truth) == pytest.approx(20 * np.log10(1 / np.sqrt(error)))
        axes = ((1, 2, 0), (0, 2, 1), (0, 1, 2))
        transposed = [structural_similarity(truth.transpose(a), prediction.transpose(a), data_range=2.0) for a in axes]
        assert volume.ssim_naf(unit * prediction, unit * truth) == pytest.approx(np.mean(transposed))
    assert volume.ssim_naf(prediction, truth) > volume.ssim(prediction, truth)  # a range of 2 flatters


def test_naf_and_sax_projection_protocol(images):
    prediction, truth = (x.astype(np.float64) for x in images)
    expected = []
    for x, y in zip(prediction, truth, strict=True):
        x, y = (x - x.min()) / (x.max() - x.min()), (y - y.min()) / (y.max() - y.min())
        expected.append(-10 * np.log10(np.mean((x - y) ** 2)))
    assert projection.psnr_naf(prediction, truth) == pytest.approx(np.mean(expected))
    assert projection.psnr_naf(3 * prediction + 1, truth) == pytest.approx(np.mean(expected))  # what the protocol hides
    x, y = (prediction - prediction.min()) / np.ptp(prediction), (truth - truth.min()) / np.ptp(truth)
    assert projection.psnr_sax(prediction, truth) == pytest.approx(-10 * np.log10(np.mean((x - y) ** 2)))


def test_sax_ssim_sees_eight_bits_of_raw_values(images):
    prediction, truth = (np.asarray(x, dtype=np.float64) * 0.2 for x in images)
    x, y = (np.clip(np.round(v * 255), 0, 255) for v in (prediction, truth))
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected = np.mean([structural_similarity(b, a, **wang) for a, b in zip(x, y, strict=True)])
    assert projection.ssim_sax(prediction, truth) == pytest.approx(expected)
    assert expected > projection.ssim(prediction, truth) + 0.03  # flattering: few grey levels, constants for 255
    assert projection.ssim_sax(prediction / 200, truth / 200) == pytest.approx(1.0)  # below half a grey level nothing is left
    assert projection.ssim_sax(images[0] * 5, images[1] * 5) is None  # outside [-1, 1] their cast refuses


def test_r2_volume_protocol(images):
    prediction, truth = (x.astype(np.float64) / images[1].max() for x in images)
    expected = []
    for axis in range(3):
        slices = zip(np.moveaxis(prediction, axis, 0), np.moveaxis(truth, axis, 0), strict=True)
        expected.append(np.mean([_windowed_ssim(x, y) for x, y in slices if y.max() > 0]))
    assert volume.ssim_r2(prediction, truth) == pytest.approx(np.mean(expected))
    assert volume.ssim_r2(prediction / 50, truth / 50) == pytest.approx(np.mean(expected))
    assert volume.psnr_r2(prediction, truth) == pytest.approx(-10 * np.log10(np.mean((prediction - truth) ** 2)))


def test_r2_leaves_empty_slices_out(images):
    prediction, truth = images
    padded = np.pad(truth, ((3, 0), (0, 0), (0, 0)))
    garbage = np.pad(prediction, ((3, 0), (0, 0), (0, 0)), constant_values=9.0)
    clean = np.pad(prediction, ((3, 0), (0, 0), (0, 0)))
    along_z = [similarity.zero_padded_ssim(x[3:] / truth.max(), padded[3:] / truth.max()).mean() for x in (garbage, clean)]
    assert along_z[0] == along_z[1]
    assert projection.ssim_r2(garbage, padded) == pytest.approx(projection.ssim_r2(prediction, truth))
    assert projection.psnr_r2(garbage, padded) == pytest.approx(projection.psnr_r2(prediction, truth))


def test_r2_projection_protocol(images):
    prediction, truth = (x.astype(np.float64)[2:] for x in images)
    scaled = [(x / x.max(), y / y.max()) for x, y in zip(prediction, truth, strict=True)]
    assert projection.psnr_r2(prediction, truth) == pytest.approx(np.mean([-10 * np.log10(np.mean((x - y) ** 2)) for x, y in scaled]))
    assert projection.ssim_r2(prediction, truth) == pytest.approx(np.mean([_windowed_ssim(x, y) for x, y in scaled]))
    assert projection.ssim_r2(0.1 * prediction, truth) == pytest.approx(projection.ssim_r2(prediction, truth))  # what it hides


def _windowed_ssim(x, y):
    """SSIM by an explicit loop over windows: slow and plain."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / 4.5)
    window /= window.sum()
    x, y = np.pad(x, 5), np.pad(y, 5)
    scores = []
    for i in range(x.shape[0] - 10):
        for j in range(x.shape[1] - 10):
            a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * a * a).sum() - mean_a**2, (window * b * b).sum() - mean_b**2
            cov = (window * a * b).sum() - mean_a * mean_b
            scores.append((2 * mean_a * mean_b + 1e-4) * (2 * cov + 9e-4) / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4)))
    return np.mean(scores)


# -- degenerate input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), ALL)
@pytest.mark.parametrize("value", [0.0, 0.4, -0.4])
def test_a_constant_truth_never_gives_nan(kind, name, value, images):
    truth = np.full((12, 12, 12), value)
    prediction = truth + 0.01 * np.random.default_rng(0).standard_normal(truth.shape)
    for guess in (prediction, truth):
        result = score(kind, name, guess, truth)
        assert result is None or np.isfinite(result)
    if (kind, name) in STRICT[:2] or (value <= 0 and (kind, name) in STRICT):
        assert score(kind, name, prediction, truth) is None  # no range, no score


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_bad_predictions_give_a_number_or_none(kind, name, images):
    prediction, truth = images
    for guess in (np.zeros_like(truth), np.full_like(truth, np.nan), prediction * np.float32(1e30), -prediction):
        result = score(kind, name, guess, truth)
        assert result is None or np.isfinite(result)
    with pytest.raises(ValueError, match="different shapes"):
        score(kind, name, prediction[1:], truth)


def test_images_smaller_than_the_window_have_no_strict_ssim():
    truth = np.random.default_rng(0).random((8, 16, 16))
    assert volume.ssim(truth, truth) is None and volume.psnr(truth, truth) is not None
    assert volume.ssim_naf(truth, truth) == pytest.approx(1.0)  # a window of 7 fits
    assert volume.ssim_naf(truth[:6], truth[:6]) is None
    assert projection.ssim(truth, truth) == pytest.approx(1.0)  # eight views of 16 x 16


def test_the_inputs_are_left_alone(images):
    copies = [x.copy() for x in images]
    for kind, name in ALL:
        score(kind, name, *images)
    assert all(np.array_equal(a, b) for a, b in zip(images, copies, strict=True))


@pytest.mark.parametrize("axis", range(3))
def test_one_slice_is_scored_as_an_image(axis):
    rng = np.random.default_rng(axis)
    image = rng.random((24, 30))
    noisy = image + 0.1 * rng.standard_normal(image.shape)
    truth, guess = np.expand_dims(image, axis), np.expand_dims(noisy, axis)
    expected = structural_similarity(
        image, noisy, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=float(np.ptp(image))
    )
    assert volume.ssim(guess, truth) == pytest.approx(expected)
    assert volume.ssim_naf(guess, truth) == pytest.approx(structural_similarity(image, noisy, win_size=7, data_range=2 * image.max()))
    found = similarity.ssim_map(guess, truth)
    assert found.shape == truth.shape and found.squeeze()[5:-5, 5:-5].mean() == pytest.approx(expected)
    line = rng.random((3, 1, 40))  # a detector of one row
    assert projection.ssim(line, line) == pytest.approx(1)
    assert volume.ssim(np.ones((1, 1, 1)), np.zeros((1, 1, 1))) is None


# -- pixels that do not count -----------------------------------------------------------------------------------------------


def test_pixels_that_are_not_valid_change_no_score():
    """A scan with dead pixels, whatever they hold: every score of projections is that of the other pixels."""
    rng = np.random.default_rng(5)
    truth = np.clip(
        np.hypot(*np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 30)))[None] * np.linspace(0.3, 0.6, 3)[:, None, None], 0, 1
    )
    truth = truth.astype(np.float32)
    prediction = (truth + 0.02 * rng.standard_normal(truth.shape)).astype(np.float32)
    valid = np.ones(truth.shape, bool)
    valid[:, 4, 20] = valid[:, :, 7] = False
    scores = {}
    for value in (0.3, 0.4):  # of the repaired pixels
        repaired = np.where(valid, truth, np.float32(value))
        filled = filled_in(prediction, repaired, valid)
        np.testing.assert_array_equal(filled[valid], prediction[valid])
        scores[value] = {name: getattr(projection, name)(filled, repaired, valid) for name in ("psnr", "psnr_sax", "psnr_naf", "psnr_r2")}
    assert scores[0.3] == scores[0.4]
    expected = 20 * np.log10(truth.max()) - 10 * np.log10(np.mean((prediction - truth)[valid].astype(np.float64) ** 2))
    assert scores[0.3]["psnr"] == pytest.approx(expected, abs=1e-6)
    everything = np.ones(truth.shape, bool)
    for name in ("psnr", "ssim", "psnr_naf", "psnr_sax", "ssim_sax", "psnr_r2", "ssim_r2"):
        score = getattr(projection, name)
        assert score(prediction, truth, everything) == pytest.approx(score(prediction, truth), abs=1e-9)
        wrong = np.where(valid, prediction, np.float32(0.9))
        assert score(filled_in(wrong, truth, valid), truth, valid) == pytest.approx(
            score(filled_in(prediction, truth, valid), truth, valid)
        )
        assert score(wrong, truth) < score(filled_in(wrong, truth, valid), truth, valid)
