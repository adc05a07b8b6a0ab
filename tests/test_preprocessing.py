"""Preprocessing of a user's scan: each step undoes the defect it is made for, and without the step the scan is clearly worse."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import balls
import numpy as np
import pytest
import tifffile
import yaml

from benchmark.acquisition.measured import MeasuredParams, measured_case
from benchmark.conformance.scans import bodies
from benchmark.errors import InputError
from benchmark.exchange.scan_export import export_scan
from benchmark.metrics import register_metrics
from benchmark.metrics.scorer import Scorer
from benchmark.reconstruction.fdk import filtered_backprojection
from benchmark.records.results import StoredCase
from benchmark.records.store import Store
from benchmark.scan.bad_pixels import Repair, bad_pixels
from benchmark.scan.case import Case
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan_folder.air import found_air
from benchmark.scan_folder.load import open_scan_folder
from benchmark.validate.source import folder_setup

VIEWS, PIXELS = 40, 48
I0, DARK = 40_000.0, 200.0

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr("benchmark.storage.cache.cache_folder", lambda: folder)


def scanner(**changes: Any) -> ConeBeamGeometry:
    return balls.scanner(**{"views": VIEWS, "detector_shape": (PIXELS, PIXELS), "detector_pitch": (8.0, 8.0), **changes})


def body(geometry: ConeBeamGeometry) -> np.ndarray:
    """Three balls: line integrals [view, v, u]."""
    places = ((50.0, (20.0, -10.0, 5.0)), (18.0, (-50.0, 40.0, -30.0)), (12.0, (10.0, -55.0, 45.0)))
    return sum(balls.chords(geometry, radius, centre) for radius, centre in places)  # type: ignore[return-value]


def counted(integrals: np.ndarray, seed: int = 0, i0: float = I0) -> np.ndarray:
    """Counts of a detector with this unattenuated beam."""
    return (np.random.default_rng(seed).poisson(i0 * np.exp(-integrals)) + DARK).astype(np.uint16)


def describe(folder: Path, stored: np.ndarray, *, steps: dict[str, Any] | None = None, **sections: dict[str, Any]) -> Path:
    """Write a scan folder: counts of the scanner above, or line integrals if the numbers are fractions."""
    folder.mkdir(exist_ok=True)
    np.save(folder / "p.npy", stored)
    content: dict[str, Any] = {
        "projections": {"file": "p.npy"},
        "geometry": {"source_to_origin": 500, "source_to_detector": 700, "detector_pitch": 8.0},
        "angles": {"arc": 360},
        "volume": {"extent": [192, 192, 192]},
    }
    if stored.dtype.kind == "u":
        content["projections"] |= {"values": "intensities", "flat": I0 + DARK, "dark": DARK}
    for name, values in sections.items():
        content[name] = content.get(name, {}) | values
    if steps:
        content["preprocessing"] = steps
    (folder / "scan.yaml").write_text(yaml.safe_dump(content))
    return folder


def case_of(folder: Path, **params: Any) -> Case:
    return measured_case(open_scan_folder(folder), MeasuredParams(**{"views": VIEWS - 8, "heldout": 8, "size": 24, "bin": 1, **params}))


def volume_of(case: Case) -> np.ndarray:
    return filtered_backprojection(case.scan.projections, case.scan.geometry)[0]


def errors(clean: Path, *others: Path, **params: Any) -> list[float]:
    """Root mean squared differences of reconstructions from that of the clean scan, in parts of the balls' attenuation."""
    volume = volume_of(case_of(clean, **params))
    return [float(np.sqrt(np.mean((volume_of(case_of(other, **params)) - volume) ** 2)) / balls.MU) for other in others]


# -- bad pixels -------------------------------------------------------------------------------------------------------------------


def with_bad_pixels(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return counts with dead, hot, erratic and stuck pixels and a dead column, and where they are [v, u]."""
    bad = np.zeros(counts.shape[1:], bool)
    spoiled = counts.copy()
    for (v, u), value in {(10, 12): 200, (24, 30): 65535, (5, 40): 0, (33, 20): 30000, (34, 20): 30000, (0, 3): 65535}.items():
        spoiled[:, v, u], bad[v, u] = value, True
    spoiled[:, 30, 24], bad[30, 24] = np.random.default_rng(1).integers(200, 60000, len(counts)), True
    spoiled[:, :, 17], bad[:, 17] = 1000, True
    return spoiled, bad


def test_bad_pixels_are_found_repaired_and_not_scored(tmp_path: Path) -> None:
    counts = counted(body(scanner()))
    spoiled, bad = with_bad_pixels(counts)
    clean = describe(tmp_path / "clean", counts)
    off = describe(tmp_path / "off", spoiled)
    on = describe(tmp_path / "on", spoiled, steps={"bad_pixels": "auto"})
    case = case_of(on)
    assert case.heldout is not None and case.scan.valid is not None and case.heldout.valid is not None
    np.testing.assert_array_equal(case.scan.valid[0], ~bad)
    np.testing.assert_array_equal(case.heldout.valid, np.broadcast_to(~bad, case.heldout.valid.shape))
    assert case.facts["preprocessing"]["bad_pixels"].startswith(f"{bad.sum()} of {PIXELS**2} pixels (auto)")
    pure = case_of(clean)
    np.testing.assert_allclose(case.scan.projections[case.scan.valid], pure.scan.projections[case.scan.valid], atol=1e-6)
    repaired, broken = errors(clean, on, off)
    assert repaired < 0.01 and broken > 20 * repaired
    volume = volume_of(pure)  # scored by the spoiled scans: the repaired pixels do not count, unrepaired ones do
    scores = [Scorer(case_of(folder), register_metrics()).score(volume)[0] for folder in (clean, on, off)]
    clean_psnr, repaired_psnr, spoiled_psnr = (score["projection_psnr"] or 0.0 for score in scores)
    assert repaired_psnr == pytest.approx(clean_psnr, abs=0.5) and spoiled_psnr < clean_psnr - 5
    assert scores[1]["projection_ssim"] == pytest.approx(scores[0]["projection_ssim"], abs=0.01)


def test_a_mask_file_names_the_bad_pixels_as_stored(tmp_path: Path) -> None:
    spoiled, bad = with_bad_pixels(counted(body(scanner())))
    turned = {"first_row": "top", "first_column": "right"}
    folder = describe(tmp_path, spoiled[:, ::-1, ::-1], steps={"bad_pixels": "bad.tif", "bin": 2}, projections=turned)
    tifffile.imwrite(folder / "bad.tif", bad[::-1, ::-1].astype(np.uint8) * 255)
    scan = case_of(folder).scan
    most = bad.reshape(PIXELS // 2, 2, PIXELS // 2, 2).sum((1, 3)) < 2  # a bin counts if more than half of its pixels do
    assert scan.valid is not None
    np.testing.assert_array_equal(scan.valid[0], most)
    np.save(folder / "bad.npy", np.ones((PIXELS, PIXELS)))
    describe(folder, spoiled, steps={"bad_pixels": "bad.npy"})
    with pytest.raises(InputError, match="preprocessing.bad_pixels: expected at most 10% bad pixels, found 100%"):
        case_of(folder)


def test_dead_pixels_of_flat_and_dark_images_and_missing_numbers(tmp_path: Path) -> None:
    counts = counted(body(scanner()))
    flat, dark = np.full((PIXELS, PIXELS), I0 + DARK, np.float32), np.full((PIXELS, PIXELS), DARK, np.float32)
    flat[7, 7] = DARK  # no beam
    dark[9, 9] = 20_000
    folder = describe(tmp_path, counts, projections={"flat": "flat.npy", "dark": "dark.npy"})
    np.save(folder / "flat.npy", flat)
    np.save(folder / "dark.npy", dark)
    with pytest.raises(InputError, match="more than projections.dark in every pixel, found 1 pixels.*bad_pixels: auto"):
        open_scan_folder(folder)
    spoiled = counts.astype(np.float32)
    spoiled[3, 20, 21] = np.nan
    describe(folder, spoiled, steps={"bad_pixels": "auto"}, projections={"values": "intensities", "flat": "flat.npy", "dark": "dark.npy"})
    valid = case_of(folder).scan.valid
    assert valid is not None
    assert {tuple(place) for place in np.argwhere(~valid[0])} == {(7, 7), (9, 9), (20, 21)}


def test_a_wall_and_edges_that_stand_still_are_no_bad_pixels() -> None:
    """A tube about the axis, two pixels thick, with a body that moves in it, and noise: nothing is bad."""
    geometry = scanner(views=24)
    u = np.arange(PIXELS) - (PIXELS - 1) / 2
    rings = [2 * np.sqrt(np.maximum(radius**2 - u**2, 0)) for radius in (18.0, 16.0)]
    views = body(geometry) + 0.1 * (rings[0] - rings[1])[None, None]
    views[:, 30:] = 0  # cut off at one height
    noise = 0.01 * np.random.default_rng(0).standard_normal(views.shape)
    assert not bad_pixels(views + noise).any()
    assert not bad_pixels(views).any()


def test_repair_goes_on_linearly_and_knows_borders() -> None:
    slope = np.add.outer(2.0 * np.arange(9), 3.0 * np.arange(12))
    bad = np.zeros(slope.shape, bool)
    bad[:, 5] = bad[4, :] = bad[2:4, 8:10] = bad[0, 0] = True
    found = Repair(bad)(np.where(bad, np.nan, slope))
    inside = np.zeros_like(bad)
    inside[1:-1, 1:-1] = True
    crossing = bad[:, 5:6] & bad[4:5, :]
    np.testing.assert_allclose(found[inside & ~crossing], slope[inside & ~crossing])
    assert np.isfinite(found).all() and abs(found[0, 0] - slope[0, 0]) <= 3 and abs(found[4, 5] - slope[4, 5]) <= 5


def test_valid_pixels_are_stored_and_sent_to_methods(tmp_path: Path) -> None:
    spoiled, _ = with_bad_pixels(counted(body(scanner())))
    case = case_of(describe(tmp_path / "scan", spoiled, steps={"bad_pixels": "auto"}))
    again = case_of(export_scan(case, "folder", tmp_path / "exported")[0].parent)
    assert again.scan.valid is not None and case.scan.valid is not None
    np.testing.assert_array_equal(again.scan.valid[0], case.scan.valid[0])
    without = dataclasses.replace(case, scan=dataclasses.replace(case.scan, valid=None))
    assert without.digest != case.digest
    Store(tmp_path / "results").write_case(case, "folder", {})
    stored = StoredCase(tmp_path / "results" / "cases" / case.digest)
    loaded = stored.load()
    assert loaded.digest == case.digest and loaded.scan.valid is not None and loaded.heldout is not None
    np.testing.assert_array_equal(loaded.heldout.valid, case.heldout.valid if case.heldout else None)
    assert stored.facts["preprocessing"] == case.facts["preprocessing"]
    assert stored.notes == case.notes and case.notes[-1].startswith("preprocessing: bad_pixels: ")


# -- rings, air, beam hardening, zingers -----------------------------------------------------------------------------------------------


def test_rings_of_wrong_gains_go(tmp_path: Path) -> None:
    pixels = (96, 96)
    integrals = bodies().project(scanner(detector_shape=pixels, detector_pitch=(4.0, 4.0)), 2)
    rng = np.random.default_rng(2)
    offsets = np.where(rng.random(pixels) < 0.03, rng.choice([-0.1, 0.1], pixels), 0.0)
    offsets[:, 60] += 0.06
    pitch = {"detector_pitch": 4.0}
    spoiled = (integrals + offsets).astype(np.float32)
    clean = describe(tmp_path / "clean", integrals, geometry=pitch)
    paths = [describe(tmp_path / name, array, steps=steps, geometry=pitch) for name, array, steps in (
        ("on", spoiled, {"rings": True}), ("off", spoiled, None), ("needless", integrals, {"rings": True}))]  # fmt: skip
    on, off, needless = errors(clean, *paths, size=72)
    assert on < 0.35 * off and needless < 0.1 * off
    assert "root mean square" in case_of(paths[0]).facts["preprocessing"]["rings"]


@pytest.mark.parametrize(("air", "flat"), [("auto", True), ([0, 48, 0, 3], True), ([2, 6, 0, 48], False)])
def test_each_view_is_scaled_by_its_own_air(tmp_path: Path, air: Any, flat: bool) -> None:
    integrals = body(scanner(detector_pitch=(12.0, 12.0)))
    levels = np.random.default_rng(3).uniform(0.8, 1.2, VIEWS)[:, None, None]
    pitch = {"detector_pitch": 12.0}
    clean = describe(tmp_path / "clean", counted(integrals), geometry=pitch)
    spoiled = counted(integrals - np.log(levels))
    how = {} if flat else {"projections": {"file": "p.npy", "values": "intensities", "dark": DARK}}
    on = describe(tmp_path / "on", spoiled, steps={"air": air}, geometry=pitch, **how)
    off = describe(tmp_path / "off", spoiled, geometry=pitch)
    if not flat:
        content = yaml.safe_load((on / "scan.yaml").read_text())
        del content["projections"]["flat"]
        (on / "scan.yaml").write_text(yaml.safe_dump(content))
    difference = case_of(on).scan.projections - case_of(clean).scan.projections
    assert abs(difference.mean((1, 2))).max() < 3e-3
    better, worse = (abs(case_of(folder).scan.projections - case_of(clean).scan.projections).mean() for folder in (on, off))
    assert better < 0.01 and worse > 8 * better
    assert "level" in case_of(on).facts["preprocessing"]["air"]


def test_a_detector_with_one_row_has_air_and_a_pixel_without_beam() -> None:
    integrals = body(scanner(detector_shape=(1, PIXELS), detector_pitch=(12.0, 12.0)))
    assert not found_air(iter(integrals[:, :, 12:36])).any()
    air = found_air(iter(integrals))[0]
    assert air[:4].all() and air[-4:].all() and not integrals[:, 0, air].any()
    for column in (10, 20, 24, 31):
        spoiled = integrals.astype(np.float64)
        spoiled[:, 0, column] = np.nan
        assert np.argwhere(bad_pixels(iter(spoiled))).tolist() == [[0, column]]


def test_a_truth_smaller_than_the_box_is_scored_where_it_is(tmp_path: Path) -> None:
    folder = describe(tmp_path, body(scanner()), truth={"file": "truth.npy", "extent": [96, 96, 48], "offset": [0, 0, 24]})
    np.save(folder / "truth.npy", np.ones((12, 12, 6), np.float32))
    case = case_of(folder)
    half = case.scan.geometry.volume_shape[0] // 2
    low, high = case.facts["scored"][2]
    assert low == half and high * 2 - half * 2 == case.facts["scored"][0][1] - case.facts["scored"][0][0]
    assert case.truth is not None and case.truth[tuple(slice(*ends) for ends in case.facts["scored"])].min() > 0.99
    assert "scored in a box of" in case.truth_note
    whole = np.zeros((12, 12, 6), np.float32)
    whole[4:8, 4:8, 2:4] = 1  # nothing but air on its faces: around it is air, which counts
    np.save(folder / "truth.npy", whole)
    case = case_of(folder)
    assert "scored" not in case.facts and case.truth is not None and case.truth.max() > 0.99


def test_an_object_in_the_air_is_noticed(tmp_path: Path) -> None:
    counts = counted(body(scanner()))
    with pytest.raises(InputError, match=r"preprocessing.air: expected a region without object in every view, found \d+% of the brightest"):
        case_of(describe(tmp_path, counts, steps={"air": [22, 26, 12, 16]}))
    full = np.broadcast_to(np.linspace(0, 3, PIXELS), counts.shape).astype(np.float32)
    with pytest.raises(InputError, match=r"without object in every view, found none. Give \[v0, v1, u0, u1\]"):
        case_of(describe(tmp_path, np.ascontiguousarray(full), steps={"air": "auto"}))


def test_a_polynomial_straightens_hardened_beams(tmp_path: Path) -> None:
    integrals = body(scanner())
    hardened = ((np.sqrt(1 + 0.4 * integrals) - 1) / 0.2).astype(np.float32)  # its inverse is p + 0.1 p^2
    clean, off = describe(tmp_path / "clean", integrals), describe(tmp_path / "off", hardened)
    on = describe(tmp_path / "on", hardened, steps={"beam_hardening": [1.0, 0.1]})
    np.testing.assert_allclose(case_of(on).scan.projections, case_of(clean).scan.projections, atol=1e-5)
    better, worse = errors(clean, on, off)
    assert better < 1e-4 and worse > 0.01
    with pytest.raises(InputError, match="view 0: expected preprocessing.beam_hardening: values that grow.*found a falling part"):
        open_scan_folder(describe(tmp_path / "on", hardened, steps={"beam_hardening": [1.0, -0.4]})).view(0)


def test_zingers_go(tmp_path: Path) -> None:
    counts = counted(body(scanner()))
    spoiled = counts.copy()
    hit = np.random.default_rng(4).random(counts.shape) < 2e-3
    spoiled[hit] = 65535
    clean, off = describe(tmp_path / "clean", counts), describe(tmp_path / "off", spoiled)
    on = describe(tmp_path / "on", spoiled, steps={"zingers": 0.4})
    better, worse = errors(clean, on, off)
    assert better < 0.3 * worse


# -- crop and bin ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["plain", "turned", "roll", "vectors"])
def test_what_is_left_of_the_detector_sees_the_same_rays(tmp_path: Path, way: str) -> None:
    roll = {"detector_roll": 0.1} if way == "roll" else {}
    geometry = scanner(views=6, detector_shape=(30, 40), detector_offset=(0.0, 0.0) if way == "vectors" else (8.0, -12.0), **roll)
    stored = balls.chords(geometry)
    sections: dict[str, Any] = {"geometry": {"detector_offset": [8, -12]}} if way != "vectors" else {}
    if way == "roll":
        sections["geometry"]["detector_roll"] = float(np.rad2deg(0.1))
    if way == "turned":
        stored = stored[:, ::-1, ::-1]
        sections["projections"] = {"first_row": "top", "first_column": "right"}
    folder = describe(tmp_path, np.ascontiguousarray(stored), steps={"crop": [4, 27, 6, 29]}, **sections)
    if way == "vectors":
        np.savetxt(folder / "v.txt", geometry.vectors().reshape(6, 12))
        content = yaml.safe_load((folder / "scan.yaml").read_text())
        content["geometry"] = {"vectors": "v.txt"}
        del content["angles"]
        (folder / "scan.yaml").write_text(yaml.safe_dump(content))
    measured = open_scan_folder(folder)
    assert measured.geometry.detector_shape == (23, 23)
    np.testing.assert_allclose(np.stack([measured.view(i) for i in range(6)]), balls.chords(measured.geometry), atol=1e-5)
    content = yaml.safe_load((folder / "scan.yaml").read_text()) | {"preprocessing": {"crop": [4, 27, 6, 29], "bin": 3}}
    (folder / "scan.yaml").write_text(yaml.safe_dump(content))
    binned = open_scan_folder(folder)
    cut = measured.geometry.binned(3)  # also leaves out what does not fill a bin
    np.testing.assert_allclose(binned.geometry.vectors(), cut.vectors(), atol=1e-9)
    assert binned.geometry.detector_shape == (7, 7)
    whole = np.stack([measured.view(i)[:21, :21] for i in range(6)]).reshape(6, 7, 3, 7, 3)
    np.testing.assert_allclose(np.stack([binned.view(i) for i in range(6)]), -np.log(np.exp(-whole).mean((2, 4))), atol=1e-5)


def test_intensities_are_averaged_before_the_logarithm(tmp_path: Path) -> None:
    """Where few photons arrive, the logarithm of the mean is right and the mean of logarithms is not."""
    counts = np.random.default_rng(5).poisson(2.0, (6, 40, 40)).astype(np.uint16)
    flat = {"flat": 1000.0, "dark": 0.0}
    means = [open_scan_folder(describe(tmp_path, counts, steps=steps, projections=flat)).view(0).mean() for steps in ({"bin": 10}, None)]
    assert means[0] == pytest.approx(np.log(1000 / counts[0].mean()), abs=0.01) and means[1] > means[0] + 0.1


def test_masks_photons_and_noise_follow_the_bins(tmp_path: Path) -> None:
    integrals = body(scanner())
    known: dict[str, Any] = {"photons": 1000.0, "noise": 0.04}
    folder = describe(tmp_path, integrals, steps={"crop": [0, 40, 8, 48], "bin": 2}, projections=known, masks={"file": "m.npy"})
    np.save(folder / "m.npy", (integrals > 1e-3).astype(np.uint8))
    scan = case_of(folder).scan
    assert scan.photons == 4000.0 and scan.noise == 0.02 and scan.masks is not None
    np.testing.assert_array_equal(scan.masks, scan.projections > 1e-4)


# -- axis shift ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arc", "shift"), [(360, 5.2), (360, -23.0), (215, 5.2)])
def test_the_axis_is_found_without_the_held_out_views(tmp_path: Path, arc: int, shift: float) -> None:
    geometry = scanner(views=VIEWS, angles=np.deg2rad(np.arange(VIEWS) * arc / VIEWS), axis_shift=shift)
    noisy = body(geometry) + 0.01 * np.random.default_rng(6).standard_normal(geometry.projection_shape)
    stored = noisy.astype(np.float32)
    auto: dict[str, Any] = {"geometry": {"axis_shift": "auto"}, "angles": {"arc": arc}}
    on = describe(tmp_path / "on", stored, **auto)
    case = case_of(on)
    pixel = 8.0 / 1.4
    assert abs(float(case.scan.geometry.axis_shift) - shift) < 0.1 * pixel
    assert case.heldout is not None and case.heldout.geometry.axis_shift == case.scan.geometry.axis_shift
    assert case.facts["preprocessing"]["axis_shift"].startswith(f"{case.scan.geometry.axis_shift:+.5g} mm (")
    blind = stored.copy()
    blind[list(case.heldout_views)] = 7.0  # nothing of them is looked at
    assert case_of(describe(tmp_path / "blind", blind, **auto)).scan.geometry.axis_shift == case.scan.geometry.axis_shift
    known = describe(tmp_path / "known", stored, geometry={"axis_shift": shift}, angles={"arc": arc})
    off = describe(tmp_path / "off", stored, angles={"arc": arc})
    found, missed = errors(known, on, off)
    assert found < 0.03 and missed > 5 * found
    setup = folder_setup(on)[1]
    assert setup.geometry["axis_shift"] == pytest.approx(shift, abs=0.1 * pixel) and setup.notes[-1].startswith("preprocessing: axis_shift")


def test_the_axis_of_half_a_turn_of_parallel_rays(tmp_path: Path) -> None:
    angles = np.deg2rad(np.arange(60) * 3.0)
    beam: dict[str, Any] = dict(source_to_origin=1e6, source_to_detector=1e6 * (1 + 1e-9), detector_pitch=(5.0, 5.0))
    geometry = scanner(views=60, angles=angles, axis_shift=7.0, **beam)
    folder = describe(tmp_path, body(geometry).astype(np.float32), angles={"arc": 180})
    content = yaml.safe_load((folder / "scan.yaml").read_text())
    content["geometry"] = {"beam": "parallel", "detector_pitch": 5.0, "axis_shift": "auto"}
    (folder / "scan.yaml").write_text(yaml.safe_dump(content))
    assert abs(float(case_of(folder).scan.geometry.axis_shift) - 7.0) < 0.2 * 5.0
    content["angles"] = {"arc": 120}
    (folder / "scan.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match="geometry.axis_shift: expected views over 180 degrees at least"):
        case_of(folder)


def test_no_axis_where_nothing_agrees(tmp_path: Path) -> None:
    noise = np.random.default_rng(7).standard_normal((VIEWS, PIXELS, PIXELS)).astype(np.float32)
    with pytest.raises(InputError, match="geometry.axis_shift: expected rays that agree with those from the other side"):
        case_of(describe(tmp_path, noise, geometry={"axis_shift": "auto"}))
    with pytest.raises(InputError, match="geometry.axis_shift: expected a circular orbit, to find the axis"):
        case_of(describe(tmp_path, noise, geometry={"axis_shift": "auto", "source_height": list(range(VIEWS))}))


# -- all of it -------------------------------------------------------------------------------------------------------------------------


def test_what_is_found_is_kept_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled, bad = with_bad_pixels(counted(body(scanner())))
    folder = describe(tmp_path, spoiled, steps={"bad_pixels": "auto"})
    case_of(folder)
    with monkeypatch.context() as patch:
        patch.setattr("benchmark.scan_folder.prepared.bad_pixels", lambda *_: pytest.fail("looked for again"))
        case_of(folder)
    spoiled[:, 40, 40] = 0
    describe(folder, spoiled, steps={"bad_pixels": "auto"})
    valid = case_of(folder).scan.valid
    assert valid is not None and (~valid[0]).sum() == bad.sum() + 1


def test_nothing_is_read_as_a_scan_before_it_is_found(tmp_path: Path) -> None:
    folder = describe(tmp_path, body(scanner()), geometry={"axis_shift": "auto"})
    with pytest.raises(ValueError, match=r"call calibrated\(heldout\) before scan"):
        open_scan_folder(folder).scan([0, 1], 8)


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ({"bad_pixel": "auto"}, "preprocessing.bad_pixel: .*Did you mean 'bad_pixels'"),
        ({"bad_pixels": "none.png"}, "none.png: expected a file or folder, found none"),
        ({"bad_pixels": "../bad.png"}, "preprocessing.bad_pixels: expected a file inside"),
        ({"air": [0, 4, 3, 3]}, "preprocessing.*air: expected .v0, v1, u0, u1. with 0 <= v0 < v1 and 0 <= u0 < u1"),
        ({"air": [0, 49, 0, 3]}, "preprocessing.air: expected a region of the 48 rows and 48 columns"),
        ({"crop": [0, 49, 0, 3]}, "preprocessing.crop: expected a region of the 48 rows and 48 columns"),
        ({"crop": [0, 4, 0, 3], "bin": 4}, r"preprocessing.bin: expected at most 3 \(the pixels of a side\), found 4"),
        ({"bin": 0}, "preprocessing.bin: expected greater than or equal to 1, found 0"),
        ({"beam_hardening": [-1.0]}, "preprocessing.*beam_hardening: expected a first coefficient above 0"),
        ({"zingers": 0}, "preprocessing.zingers: expected greater than 0"),
        ({"rings": "strong"}, "preprocessing.rings: expected a valid boolean"),
    ],
)
def test_a_mistake_in_the_section(tmp_path: Path, steps: dict[str, Any], found: str) -> None:
    with pytest.raises(InputError, match=found):
        case_of(describe(tmp_path, counted(body(scanner())), steps=steps))


def test_without_the_section_the_case_is_what_it_was(tmp_path: Path) -> None:
    case = case_of(describe(tmp_path, body(scanner())))
    assert case.scan.valid is None and case.facts == {} and set(json.loads(json.dumps(case.facts))) == set()
