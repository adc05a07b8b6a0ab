"""Given masks: carried beside the projections from a user's files to the hull, and mistakes in them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from balls import ball_scan, chords, scanner
from PIL import Image

from benchmark.api import Case, ConeBeamGeometry, InputError, Run, Scan
from benchmark.cli.main import main
from benchmark.datasets.folder import FolderParams, load
from benchmark.exchange.scan_export import export_scan
from benchmark.execution.job import Job, read_job, read_scan, write_job
from benchmark.execution.options import Options
from benchmark.methods.carve import CarveParams
from benchmark.methods.carve.fit import fit, only
from benchmark.methods.carve.hull import carve, hull
from benchmark.methods.carve.reconstruct import reconstruct
from benchmark.methods.zerorf.losses import half_resolution
from benchmark.plugins.registry import registry
from benchmark.records.record import RunSpec
from benchmark.records.results import Results
from benchmark.records.store import Store
from benchmark.scan_folder.load import open_scan_folder
from benchmark.sweep.case_cache import size_in_bytes

TINY: dict[str, Any] = {"voxels": 12, "channels": 4, "levels": 2, "networks": 1, "steps": 2}
SHADOW = 1e-3  # line integrals above it are the ball's


pytestmark = pytest.mark.usefixtures("one_thread")


def masked(views: int = 8, **changes: Any) -> Scan:
    """The ball and where it is."""
    scan, _ = ball_scan(views=views)
    return dataclasses.replace(scan, **{"masks": scan.projections > SHADOW, **changes})


# -- what a scan holds ----------------------------------------------------------------------------------------------------


def test_digests_of_scans_without_masks_are_what_they_were() -> None:
    geometry = ConeBeamGeometry(
        source_to_origin=500,
        source_to_detector=700,
        detector_shape=(4, 6),
        detector_pitch=(50.0, 50.0),
        volume_shape=(4, 4, 4),
        volume_spacing=(20.0,) * 3,
        angles=np.arange(3) * 0.5,
    )
    projections = np.arange(72, dtype=np.float32).reshape(3, 4, 6) / 64
    assert Scan(projections, geometry).digest == "438cb0c6d2f9904e"
    assert Scan(projections, geometry, composite="max").digest == "773053466b77674a"


def test_masks_are_part_of_the_digest_whatever_their_type() -> None:
    scan = masked()
    other = np.array(scan.masks)
    other[3] = np.roll(other[3], 1)
    digests = [dataclasses.replace(scan, masks=masks).digest for masks in (None, scan.masks, other)]
    assert len(set(digests)) == 3
    assert dataclasses.replace(scan, masks=7 * scan.masks.astype(np.uint8)).digest == digests[1]


def test_nobody_changes_the_masks_of_a_scan() -> None:
    given = np.ones(scanner(views=2).projection_shape, np.uint8)
    scan = masked(views=2, masks=given)
    given[:] = 0
    assert scan.masks.dtype == bool and scan.masks.all()
    with pytest.raises(ValueError, match="read-only"):
        scan.masks[0] = False


def test_masks_that_are_none() -> None:
    scan = masked()
    with pytest.raises(
        InputError, match=r"scan.masks: expected bool or uint8 \[view, v, u\] = \(8, 36, 36\), found shape \(7, 36, 36\), bool"
    ):
        dataclasses.replace(scan, masks=scan.masks[1:])
    with pytest.raises(InputError, match="scan.masks: expected bool or uint8 .*found shape .*float32"):
        dataclasses.replace(scan, masks=scan.masks.astype(np.float32))
    empty = np.array(scan.masks)
    empty[[2, 5]] = False
    with pytest.raises(
        InputError, match="scan.masks: expected the object in every view, found empty masks in 2 of 8 views, the first is view 2"
    ):
        dataclasses.replace(scan, masks=empty)
    pictures = {"projections": scan.masks, "colours": np.zeros((*scan.masks.shape, 3)), "composite": "over"}
    with pytest.raises(InputError, match="scan.masks: expected none beside photographs"):
        dataclasses.replace(scan, **pictures)  # type: ignore[arg-type]


def test_masks_go_where_the_projections_go(tmp_path: Path) -> None:
    """To the worker, into the store and back, into the case cache, into subsets of views and to other resolutions."""
    held = masked(views=3)
    case = Case("ball", masked(noise=0.01), heldout=held)
    spec = RunSpec(dataset="ball", dataset_params={"views": 8}, method="carve", method_params={})
    write_job(tmp_path, Job.of(registry().methods["carve"], spec, case, Options(device="cpu")), case.scan)
    assert read_scan(tmp_path, read_job(tmp_path).scan).digest == case.scan.digest
    store = Store(tmp_path / "out")
    store.prepare()
    store.write_case(case, "ball", {})
    again = Results.open(tmp_path / "out").case_of(case.digest).load()
    assert again.digest == case.digest and np.array_equal(again.heldout.masks, held.masks)
    without = Case("ball", masked(masks=None, noise=0.01), heldout=dataclasses.replace(held, masks=None))
    assert size_in_bytes(case) - size_in_bytes(without) == case.scan.masks.size + held.masks.size
    assert np.array_equal(only(case.scan, np.array([1, 6])).masks, case.scan.masks[[1, 6]])
    assert half_resolution(case.scan).digest == half_resolution(without.scan).digest


# -- the hull -------------------------------------------------------------------------------------------------------------


def test_masks_stand_for_the_threshold() -> None:
    """The same silhouettes, the same hull; and where line integrals are nowhere 0, only masks tell where the ball is."""
    scan, params = masked(), CarveParams(**TINY)
    threshold = SHADOW / float(scan.projections.max())
    expected = hull(dataclasses.replace(scan, masks=None), threshold).mask
    assert torch.equal(hull(scan, 0.5).mask, expected) and 0.02 < float(expected.float().mean()) < 0.3
    fog = dataclasses.replace(scan, projections=scan.projections + 0.5)
    assert torch.equal(hull(fog, threshold).mask, expected)
    assert bool(hull(dataclasses.replace(fog, masks=None), threshold).mask.all())
    result = reconstruct(fog, params, Run())
    assert np.array_equal(result.arrays["hull"], expected.numpy())


def test_what_lies_outside_of_the_masks_is_not_seen() -> None:
    """A holder beside the ball changes nothing: not the start, not the fit, not the corrections."""
    scan, params = masked(), CarveParams(**TINY)
    beside = dataclasses.replace(scan, projections=np.where(scan.masks, scan.projections, 3.0).astype(np.float32))
    clean = dataclasses.replace(scan, projections=scan.projections * scan.masks)
    with_it, without = (reconstruct(each, params, Run()) for each in (beside, clean))
    assert np.array_equal(with_it.volume, without.volume) and with_it.volume.max() > 0
    fitted, expected = (fit([each], params, Run())["carver"] for each in (beside, clean))
    assert all(torch.equal(fitted[name], expected[name]) for name in expected)


def test_smaller_masks_carve_more() -> None:
    scan, params = masked(), CarveParams(**TINY)
    half = np.array(scan.masks)
    half[:, :18] = False  # what is above the middle
    whole, upper = carve(scan, params).mask, carve(dataclasses.replace(scan, masks=half), params).mask
    assert not bool((upper & ~whole).any()) and 0 < int(upper.sum()) < 0.8 * int(whole.sum())
    assert not bool(upper[:4].any())


def test_masks_that_agree_on_no_voxel() -> None:
    masks = np.zeros((8, 36, 36), bool)
    masks[:4, :4], masks[4:, -4:] = True, True
    with pytest.raises(InputError, match="visual hull: expected voxels that every silhouette covers, found none.*the masks"):
        reconstruct(masked(masks=masks), CarveParams(**TINY), Run())


def test_masks_that_show_nothing() -> None:
    scan = masked()
    beside = scan.projections == 0
    with pytest.raises(InputError, match="masks: expected line integrals above 0 where the thing is, found none.*first_row"):
        reconstruct(masked(masks=beside), CarveParams(**TINY), Run())


# -- a user's files -------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A scan of the ball as sinograms from the top right, its masks beside it."""
    geometry = scanner(views=12, detector_shape=(30, 36), detector_pitch=(12.0, 11.0))
    projections = chords(geometry)
    np.save(tmp_path / "p.npy", projections[:, ::-1, ::-1].transpose(1, 0, 2))
    np.save(tmp_path / "m.npy", (projections > SHADOW)[:, ::-1, ::-1].transpose(1, 0, 2))
    return describe(tmp_path, {"file": "m.npy"})


def describe(folder: Path, masks: dict[str, Any] | None, **sections: Any) -> Path:
    content = {
        "projections": {"file": "p.npy", "axes": ["v", "view", "u"], "first_row": "top", "first_column": "right"},
        "masks": masks,
        "geometry": {"source_to_origin": 500, "source_to_detector": 700, "detector_pitch": [12, 11]},
        "angles": {"arc": 360},
        "volume": {"extent": [192, 192, 192]},
        **sections,
    }
    (folder / "scan.yaml").write_text(yaml.safe_dump(content))
    return folder


def params_of(folder: Path, **changes: Any) -> FolderParams:
    return FolderParams(path=str(folder), **{"views": 6, "heldout": 3, "size": 24, "bin": 1, **changes})


def test_masks_are_turned_and_chosen_as_the_projections(folder: Path) -> None:
    case = load(params_of(folder))
    for scan in (case.scan, case.heldout):
        assert np.array_equal(scan.masks, scan.projections > SHADOW) and 0.02 < scan.masks.mean() < 0.5
    without = load(params_of(describe(folder, None)))
    assert without.scan.masks is None and np.array_equal(without.scan.projections, case.scan.projections)


@pytest.mark.parametrize("values", [bool, np.uint8, np.uint16])
def test_pictures_with_an_order_of_their_own(folder: Path, values: Any) -> None:
    (folder / "masks").mkdir()
    for index, mask in enumerate(np.load(folder / "m.npy").transpose(1, 0, 2)[:, ::-1, ::-1]):  # now from the bottom left
        image = mask if values is bool else (np.iinfo(values).max * mask).astype(values)
        Image.fromarray(image).save(folder / "masks" / f"view{index}.png")
    expected = load(params_of(folder)).scan.masks
    describe(folder, {"file": "masks", "axes": ["view", "v", "u"], "first_row": "bottom", "first_column": "left"})
    assert np.array_equal(load(params_of(folder)).scan.masks, expected)


def test_a_pixel_with_a_part_inside_is_inside(folder: Path) -> None:
    fine, coarse = (load(params_of(folder, bin=factor)).scan for factor in (1, 3))
    parts = fine.masks.reshape(6, 10, 3, 12, 3)
    assert coarse.masks.shape == (6, 10, 12) and np.array_equal(coarse.masks, parts.any((2, 4)))
    assert not np.array_equal(coarse.masks, parts.all((2, 4)))


def test_mistakes_in_masks(folder: Path) -> None:
    stored = np.load(folder / "m.npy")
    for changed, text in (
        (stored[:, 1:], r"m.npy: expected masks \[view, v, u\] = \(12, 30, 36\), as the projections, found \(11, 30, 36\)"),
        (stored * (np.arange(12) != 4)[:, None], "m.npy: view 4: expected the thing in every mask, found an empty mask"),
        (np.where(stored, np.nan, 0.0), "m.npy: view 0: expected finite numbers, found NaN or Inf"),
    ):
        np.save(folder / "m.npy", changed)
        with pytest.raises((InputError, ValueError), match=text):
            load(params_of(folder, views=12, heldout=0))
    for masks, text in (
        ({"file": "none.npy"}, "none.npy: expected a file or folder, found none"),
        ({"file": "../m.npy"}, "masks.file: expected a file inside"),
        ({"file": "m.npy", "axes": ["view", "v", "v"]}, "axes: expected view, v and u, each once"),
        ({"file": "m.npy", "values": "intensities"}, "masks.values"),
        ({}, "masks.file"),
    ):
        with pytest.raises(InputError, match=text):
            open_scan_folder(describe(folder, masks))


def test_a_run_with_a_wrong_mask_ends_with_one_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(folder / "m.npy", np.load(folder / "m.npy")[1:])
    assert main(["run", "--scan", str(folder), "--views", "6", "--methods", "carve", "--output", str(folder / "out")]) == 2
    assert "as the projections, found (12, 29, 36)" in capsys.readouterr().err


def test_new_scan_finds_masks(folder: Path) -> None:
    text = (folder / "scan.yaml").read_text()
    (folder / "m.npy").rename(folder / "masks.npy")
    (folder / "scan.yaml").unlink()
    assert main(["new-scan", str(folder)]) == 0
    found = yaml.safe_load((folder / "scan.yaml").read_text())
    assert (found["masks"], found["projections"]["file"]) == ({"file": "masks.npy"}, "p.npy") and "masks" in text
    (folder / "masks.npy").unlink()
    (folder / "scan.yaml").unlink()
    assert main(["new-scan", str(folder)]) == 0
    assert "# masks:" in (folder / "scan.yaml").read_text()


def test_an_exported_folder_keeps_them(folder: Path, tmp_path: Path) -> None:
    case = load(params_of(folder))
    path, _ = export_scan(case, "folder", tmp_path / "again")
    again = load(params_of(path.parent))
    assert again.scan.digest == case.scan.digest and np.array_equal(again.heldout.masks, case.heldout.masks)
