"""validate finds every planted mistake, alone, and leaves correct scans alone."""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from pathlib import Path
from typing import Any

import foreign
import numpy as np
import pytest
import yaml

from benchmark.cli.main import main
from benchmark.plugins import registry
from benchmark.plugins.specs import resolve
from benchmark.projection.rendering import rendered
from benchmark.scan.case import Case
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.validate.diagnosis import Diagnosis, diagnose
from benchmark.validate.numbers import mask_remarks, number_remarks, orbit_remarks
from benchmark.validate.report import Report
from benchmark.validate.residual import fit
from benchmark.validate.setup import Setup
from benchmark.validate.shifts import shifted

SIZE, VIEWS = 32, 20
SLOW = pytest.mark.slow
CASES = [
    "walnut_sample",
    pytest.param("anatomy", marks=pytest.mark.slow),
    pytest.param("chest", marks=pytest.mark.network),
    pytest.param("walnut", marks=pytest.mark.network),
]


@cache
def case(name: str) -> Case:
    dataset, own = ("phantom", {"kind": "anatomy"}) if name == "anatomy" else (name, {})
    spec = registry.registry().datasets[dataset]
    return resolve(spec.target)(spec.params(size=SIZE, views=VIEWS, heldout=2, **own))


def setup(name: str, *, blind: bool = False) -> Setup:
    found = Setup.of(case(name))
    return dataclasses.replace(found, truth=None) if blind else found


def said(diagnosis: Diagnosis) -> str:
    """The best hypothesis and all that cannot be told from it."""
    return " | ".join(c.hypothesis.name for c in (diagnosis.best, *diagnosis.same))


def multiplied(name: str, factor: float):
    return lambda s: s.changed(**{name: np.multiply(s.geometry[name], factor).tolist()})


# What is planted, and what must be said: a part of the best hypothesis's name, or of one that is the same scan.
PLANTED = {
    "flip u": (lambda s: s.with_projections(s.projections[:, :, ::-1]), "columns reversed"),
    "flip v": (lambda s: s.with_projections(s.projections[:, ::-1]), "rows reversed"),
    "flip u and v": (lambda s: s.with_projections(s.projections[:, ::-1, ::-1]), "columns reversed (flip u) + rows reversed (flip v)"),
    "turned": (lambda s: s.with_projections(s.projections.swapaxes(1, 2)[:, ::-1]), "rows and columns swapped (u <-> v) + "),
    "swapped u v": (lambda s: s.with_projections(s.projections.swapaxes(1, 2)), "rows and columns swapped"),
    "angle sign": (lambda s: s.changed(angles=-s.geometry["angles"]), "rotation the other way"),
    "volume z": (lambda s: s.with_truth(s.truth[::-1]), "volume z reversed"),
    "volume y": (lambda s: s.with_truth(s.truth[:, ::-1]), "volume y reversed"),
    "volume x": (lambda s: s.with_truth(s.truth[:, :, ::-1]), "volume x reversed"),
    "volume xyz": (lambda s: s.with_truth(s.truth.transpose(2, 1, 0)), "volume axes xyz"),
    "radians": (lambda s: s.changed(angles=np.deg2rad(s.geometry["angles"])), "angles are radians"),
    "degrees": (lambda s: s.changed(angles=np.rad2deg(s.geometry["angles"])), "angles are degrees"),
    "source_to_origin m": (multiplied("source_to_origin", 1e-3), "source_to_origin times 1000"),
    "source_to_origin um": (multiplied("source_to_origin", 1e3), "source_to_origin times 0.001"),
    "source_to_detector m": (multiplied("source_to_detector", 1e-3), "source_to_detector times 1000"),
    "source_to_detector um": (multiplied("source_to_detector", 1e3), "source_to_detector times 0.001"),
    "detector_pitch m": (multiplied("detector_pitch", 1e-3), "detector_pitch times 1000"),
    "detector_pitch um": (multiplied("detector_pitch", 1e3), "detector_pitch times 0.001"),
    "volume_spacing m": (multiplied("volume_spacing", 1e-3), "volume_spacing times 1000"),
    "volume_spacing um": (multiplied("volume_spacing", 1e3), "volume_spacing times 0.001"),
}
LENGTHS = ("source_to_origin", "source_to_detector", "detector_pitch", "volume_spacing")
ALIKE = ("flip u and v", "turned", "volume y", *(f"{name} um" for name in LENGTHS))  # others are tested always
SCAN_ONLY = ("flip u", "swapped u v", "angle sign", "radians", "degrees", "source_to_origin m", "source_to_detector um", "detector_pitch m")


@pytest.mark.parametrize("name", CASES)
def test_a_correct_scan_is_left_alone(name):
    found = diagnose(setup(name))
    assert found.as_declared and found.explains
    assert found.best.residual < 0.05
    assert found.certainty > 1.3


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mistake", [pytest.param(name, marks=SLOW if name in ALIKE else ()) for name in PLANTED])
def test_each_planted_mistake_is_found(name, mistake):
    plant, expected = PLANTED[mistake]
    found = diagnose(plant(setup(name)))
    assert not found.as_declared
    assert expected in found.best.hypothesis.name or (mistake == "volume z" and expected in said(found))
    assert found.best.residual == pytest.approx(diagnose_declared(name), rel=1e-3)


@cache
def diagnose_declared(name: str) -> float:
    return fit(setup(name)).residual


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("axis", ["u", "v", "axis"])
@pytest.mark.parametrize("pixels", [0.5, -2.0])
def test_small_shifts_are_measured(name, axis, pixels):
    good = setup(name)
    step = good.geometry["detector_pitch"][1]
    if axis == "axis":
        step *= good.geometry["source_to_origin"] / good.geometry["source_to_detector"]
    found = diagnose(shifted(good, axis, pixels * step))
    assert not found.as_declared
    wanted = "rotation axis shifted" if axis == "axis" else f"detector shifted along {axis}"
    assert wanted in said(found)
    corrected = {c.hypothesis.name: c.setup.geometry for c in (found.best, *found.same) if wanted in c.hypothesis.name}
    for geometry in corrected.values():
        left = geometry["axis_shift"] if axis == "axis" else geometry["detector_offset"]["vu".index(axis)]
        assert abs(left) < 0.1 * step


@pytest.mark.parametrize("name", ["walnut_sample", pytest.param("chest", marks=pytest.mark.network)])
@pytest.mark.parametrize("mistake", SCAN_ONLY)
@pytest.mark.slow
def test_without_a_truth_the_scan_alone_tells(name, mistake):
    plant, expected = PLANTED[mistake]
    found = diagnose(plant(setup(name, blind=True)))
    assert not found.as_declared
    assert expected in said(found)


def test_without_a_truth_the_direction_of_rotation_and_the_mirror_image():
    """Flipped columns and reversed rotation are seen, both together are the scan's mirror image, as flipped rows are."""
    good = setup("walnut_sample", blind=True)
    residual = {name: fit(PLANTED[name][0](good)).residual for name in ("flip u", "flip v", "angle sign")}
    right = fit(good).residual
    assert min(residual["flip u"], residual["angle sign"]) > 1.5 * right
    assert residual["flip v"] == pytest.approx(right, rel=1e-3)
    mirrored = PLANTED["flip u"][0](PLANTED["angle sign"][0](good))
    assert fit(mirrored).residual == pytest.approx(right, rel=0.01)


@pytest.mark.slow
def test_without_a_truth_an_axis_shift_is_measured():
    good = setup("walnut_sample", blind=True)
    found = diagnose(shifted(good, "axis", 0.8))
    assert "rotation axis shifted" in said(found)
    (geometry,) = [c.setup.geometry for c in (found.best, *found.same) if "axis shifted" in c.hypothesis.name]
    assert geometry["axis_shift"] == pytest.approx(0, abs=0.1)


def test_two_mistakes_at_once():
    good = setup("walnut_sample")
    found = diagnose(shifted(good.with_projections(good.projections[:, :, ::-1]), "u", 3.0))
    assert "columns reversed" in said(found) and "shifted" in said(found)
    assert found.best.residual == pytest.approx(diagnose_declared("walnut_sample"), rel=0.03)


def test_a_ball_in_the_middle_has_no_orientation():
    """All flips explain it: the declared one wins, the others are named."""
    scan = setup("walnut_sample")
    z, y, x = np.meshgrid(*(np.arange(SIZE) - (SIZE - 1) / 2,) * 3, indexing="ij")
    ball = (x**2 + y**2 + z**2 < 100).astype(np.float32)
    geometry = ConeBeamGeometry(**scan.geometry)
    noise = np.random.default_rng(0).normal(0, 1.0, geometry.projection_shape).astype(np.float32)
    found = diagnose(Setup(rendered(ball, geometry) + noise, scan.geometry, ball))
    assert found.as_declared
    assert {"columns reversed (flip u)", "rows reversed (flip v)", "volume x reversed"} <= {c.hypothesis.name for c in found.same}


def test_views_that_all_look_the_same_tell_no_angles():
    found = Report.of("ball", dataclasses.replace(Setup.of(case("ball")), truth=None))
    assert found.exit_code == 0 and found.diagnosis is not None and found.diagnosis.as_declared and found.diagnosis.same
    assert "dead" not in "\n".join(found.lines())


def test_noise_is_explained_by_nothing():
    scan = setup("walnut_sample")
    noise = np.random.default_rng(0).random(scan.projections.shape, dtype=np.float32) - 0.5
    report = Report("noise", scan, [], diagnose(scan.with_projections(noise)))
    assert report.exit_code == 1
    assert "nothing that was tried" in "\n".join(report.lines())


def test_numbers_that_are_no_line_integrals():
    good = setup("walnut_sample").projections
    assert number_remarks(good) == []
    counts = np.exp(-good) * 60000
    for wrong, text in (
        (counts, "these are intensities"),
        (np.exp(-good), "these are intensities"),
        (-good, "negative"),
        (np.where(good > 1, np.nan, good), "NaN"),
        (np.zeros_like(good), "all numbers are 0"),
    ):
        (remark,) = number_remarks(wrong.astype(np.float32))
        assert remark.level == "error" and text in remark.text
    assert "flat: 59970" in number_remarks(counts.astype(np.float32))[0].fix
    dead = good.copy()
    dead[:, 3, 16] = 1.234
    for odd, text in (
        (np.minimum(good, 0.8), "exactly the largest"),
        (good + 0.3, "edges show"),
        (good * 20, "hardly one photon"),
        (good * 0.005, "nearly air"),
        (good - 0.4 * (good < 0.01), "clearly negative"),
        (dead, "1 pixels have the same value"),
        (np.concatenate([good, good[:1]]), "views 0 and 20 are the same"),
    ):
        assert any(text in remark.text and remark.level == "warning" for remark in number_remarks(odd.astype(np.float32))), text


def test_a_small_file_of_the_peers_gives_all_its_views(tmp_path, capsys):
    path = foreign.write_naf(tmp_path / "ball.pickle")
    assert main(["validate", str(path), "--output", str(tmp_path / "v.png")]) in (0, 1)
    assert "ball: 30 views of" in capsys.readouterr().out
    assert main(["validate", str(path), "--views", "31", "--output", str(tmp_path / "v.png")]) in (0, 1)
    found = capsys.readouterr()
    assert "ball: 30 views of" in found.out and "note: ball: 31 views: only 30 exist for training, all 30 are used" in found.out


def test_nothing_is_sure_of_which_many_fit():
    scan = setup("walnut_sample")
    diagnosis = diagnose(scan)
    some = [f"sure, except for equally good fits ({count}): " for count in (1, 2, 3)]
    for count, text in enumerate(("sure: ", *some, "but 4 others fit equally well: ")):
        ambiguous = dataclasses.replace(diagnosis, same=[diagnosis.declared] * count)
        assert f"geometry: as declared fits best, {text}" in "\n".join(Report("walnut", scan, [], ambiguous).lines())


def test_odd_masks_are_said():
    projections = np.zeros((5, 40, 40), np.float32)
    projections[:, 4:20, 2:12] = 1.0  # the thing
    masks = projections > 0
    assert mask_remarks(projections, None) == mask_remarks(projections, masks) == []
    for turned, text in (
        (masks[:, ::-1], "leave out 100% of what the views show, with their rows reversed 0%"),
        (masks[:, :, ::-1], "leave out 100% of what the views show, with their columns reversed 0%"),
        (masks[:, ::-1, ::-1], "leave out 100% of what the views show, with their rows and columns reversed 0%"),
        (np.ones_like(masks), "leave nothing out"),
    ):
        (remark,) = mask_remarks(projections, turned)
        assert remark.level == "warning" and text in remark.text
    assert mask_remarks(projections, masks[:, ::-1, ::-1])[0].fix == "check masks.first_row and masks.first_column"
    projections[:, 30:] = 0.1  # a table
    (remark,) = mask_remarks(projections, masks)
    assert "leave out 20% of what the views show" in remark.text and "a holder or a table" in remark.fix


def test_masks_of_a_folder_are_looked_at(tmp_path, capsys):
    scan = case("walnut_sample").scan
    np.save(tmp_path / "p.npy", scan.projections)
    masks = (scan.projections > 0.1 * scan.projections.max()) & (np.arange(scan.projections.shape[1])[:, None] > 20)
    np.save(tmp_path / "m.npy", masks)
    geometry = scan.geometry
    content = {
        "projections": {"file": "p.npy"},
        "masks": {"file": "m.npy", "first_row": "top"},
        "geometry": {name: getattr(geometry, name) for name in ("source_to_origin", "source_to_detector")}
        | {"detector_pitch": list(geometry.detector_pitch)},
        "angles": {"values": np.rad2deg(geometry.angles).tolist()},
        "volume": {"extent": list(geometry.volume_extent)},
    }
    (tmp_path / "scan.yaml").write_text(yaml.safe_dump(content))
    assert main(["validate", str(tmp_path), "--output", str(tmp_path / "v.png")]) == 0
    assert "numbers: warning: the masks leave out" in capsys.readouterr().out
    masks[3] = False
    np.save(tmp_path / "m.npy", masks)
    assert main(["validate", str(tmp_path), "--output", str(tmp_path / "v.png")]) == 2
    assert "view 3: expected the thing in every mask" in capsys.readouterr().err


def test_odd_angles_are_said():
    geometry = case("walnut_sample").scan.geometry
    assert orbit_remarks(geometry) == []
    twice = dataclasses.replace(geometry, angles=np.linspace(0, 2 * np.pi, VIEWS))
    assert "occur twice" in orbit_remarks(twice)[0].text
    assert "cover 90 degrees" in orbit_remarks(dataclasses.replace(geometry, angles=np.deg2rad(np.arange(VIEWS) * 90 / VIEWS)))[0].text


def scan_folder(path: Path, **changes: dict) -> Path:
    """The walnut sample as a user's own scan."""
    found, path = case("walnut_sample"), path / "mine"
    path.mkdir()
    geometry = found.scan.geometry
    np.save(path / "projections.npy", found.scan.projections)
    np.save(path / "truth.npy", found.truth)
    content: dict[str, Any] = {
        "projections": {"file": "projections.npy"},
        "geometry": {
            "source_to_origin": geometry.source_to_origin,
            "source_to_detector": geometry.source_to_detector,
            "detector_pitch": list(geometry.detector_pitch),
        },
        "angles": {"values": np.rad2deg(geometry.angles).tolist()},
        "volume": {"extent": list(geometry.volume_extent)},
        "truth": {"file": "truth.npy"},
    }
    for section, values in changes.items():
        content[section].update(values)
    (path / "scan.yaml").write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("changes", "text", "code"),
    [
        ({}, "as declared fits best", 0),
        ({"projections": {"first_row": "top"}}, "projections.first_row: the other end", 1),
        ({"geometry": {"source_to_origin": 0.21066}}, "geometry.source_to_origin: 1000 times as much", 1),
        ({"projections": {"scale": 0.4342945}}, "the logarithm to base 10", 1),
        pytest.param(
            {"geometry": {"source_to_detector": 210.66, "source_to_origin": 553.74}},
            "source_to_detector: exchange the values",
            1,
            marks=SLOW,
        ),
        pytest.param({"truth": {"flip": ["x"]}}, "truth.flip: x", 1, marks=SLOW),
    ],
)
def test_the_command_says_what_to_change(tmp_path, monkeypatch, capsys, changes, text, code):
    folder = scan_folder(tmp_path, **changes)
    monkeypatch.chdir(tmp_path)
    assert main(["validate", str(folder)]) == code
    assert text in capsys.readouterr().out
    assert (tmp_path / "validate-mine.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_written_is_said_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("benchmark.validate.diagnosis.diagnose", lambda *arguments: pytest.fail("the work was done"))

    def refuse(*arguments):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("benchmark.storage.atomic.create", refuse)
    for output, text in ((tmp_path, "a file, found a folder"), (tmp_path / "p.png", "a folder that can be written, found Read-only")):
        assert main(["validate", "walnut_sample", "--views", "6", "--size", "8", "--output", str(output)]) == 2
        assert text in capsys.readouterr().err


def test_the_command_on_a_dataset_as_json_and_its_mistakes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["validate", "walnut_sample", "--views", "12", "--set", "walnut_sample.heldout=0", "--output", "p.png", "--json"]
    assert main(arguments) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["as_declared"] and facts["truth"] and facts["picture"] == "p.png"
    assert main(["validate", "walnut_sampel"]) == 2
    assert "Did you mean 'walnut_sample'" in capsys.readouterr().err
    assert main(["validate", "walnut_sample", "--views", "0"]) == 2
    assert main(["validate", str(tmp_path)]) == 2
    folder = scan_folder(tmp_path)
    np.save(folder / "projections.npy", np.exp(-case("walnut_sample").scan.projections))
    assert main(["validate", str(folder), "--output", "none.png"]) == 1
    assert "these are intensities" in capsys.readouterr().out
    assert not Path("none.png").exists()


@SLOW
def test_a_truth_of_the_middle_alone_does_not_condemn_the_geometry(tmp_path, capsys):
    folder = scan_folder(tmp_path)
    truth = np.load(folder / "truth.npy")
    middle = tuple(slice(count // 3, count - count // 3) for count in truth.shape)
    np.save(folder / "truth.npy", truth[middle])
    content = yaml.safe_load((folder / "scan.yaml").read_text())
    edges = np.multiply(content["volume"]["extent"], truth[middle].shape) / truth.shape
    content["volume"]["extent"] = edges.tolist()
    (folder / "scan.yaml").write_text(yaml.safe_dump(content))
    assert main(["validate", str(folder), "--output", str(tmp_path / "v.png")]) == 0
    said = capsys.readouterr().out
    assert "the truth shows a part of the object alone" in said and "as declared fits best" in said
