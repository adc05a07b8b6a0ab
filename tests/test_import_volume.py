"""Volumes from elsewhere: into our axes from any orientation, refused where they lie wrongly, scored like any other."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from tiny_plugin import geometry as tiny_geometry

from benchmark.cli.main import main
from benchmark.errors import InputError
from benchmark.exchange.volume_formats import usual_name, write
from benchmark.exchange.volume_image import VolumeImage
from benchmark.exchange.volume_import import check_fit, read_volume
from benchmark.plan.sources import open_case
from benchmark.plugins import registry
from benchmark.records import nifti
from benchmark.records.results import Results
from benchmark.records.store import Store
from benchmark.scan.case import Case
from benchmark.scan.scan import Scan

GEOMETRY = tiny_geometry(8, np.zeros(1))  # 1 x 1.5 x 2 mm (z, y, x), centred at (1, 2, 3) mm


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).random((8, 8, 8), dtype=np.float32)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """A results folder with the walnut sample's case and no runs."""
    folder = tmp_path_factory.mktemp("results")
    store = Store(folder)
    store.prepare()
    case = open_case(registry.registry(), "walnut_sample", {"size": 24, "views": 12}, ("walnut_sample.heldout=3",))
    store.write_case(case, "walnut_sample", {"size": 24, "views": 12})
    return folder


def bring(results: Path, path: Path, *options: str) -> int:
    return main(["import-volume", str(path), "--results", str(results), "--case", "walnut_sample", "--name", "other", *options])


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SAR", "PIL", "ASR"])
def test_any_orientation_of_a_placed_file_becomes_ours(tmp_path, values, codes):
    nifti.write_volume(tmp_path / "ours.nii.gz", values, GEOMETRY)
    image = nibabel.load(tmp_path / "ours.nii.gz")
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(tuple(codes))
    )
    nibabel.save(image.as_reoriented(turn), tmp_path / "turned.nii.gz")
    assert np.array_equal(read_volume(tmp_path / "turned.nii.gz", GEOMETRY), values)


@pytest.mark.parametrize("format", ["nifti", "dicom", "nrrd", "mha", "tiff", "npy"])
def test_what_export_writes_comes_back(tmp_path, values, format):
    pytest.importorskip("SimpleITK")
    path = write(format, tmp_path / usual_name(format, "v"), VolumeImage(values, GEOMETRY, "v"))[0]
    assert np.abs(read_volume(path, GEOMETRY) - values).max() < 1e-4


def test_files_without_a_place_are_turned_by_the_user(tmp_path, values):
    np.save(tmp_path / "v.npy", values.transpose(2, 0, 1))
    assert np.array_equal(read_volume(tmp_path / "v.npy", GEOMETRY, "xzy"), values)
    with pytest.raises(InputError, match="each once"):
        read_volume(tmp_path / "v.npy", GEOMETRY, "xxy")


def test_a_volume_elsewhere_or_of_another_size_is_refused(tmp_path, values):
    affine = nifti.affine(GEOMETRY)

    def save(array: np.ndarray, matrix: np.ndarray) -> Path:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.nii"
        nibabel.save(nibabel.Nifti1Image(array, matrix), path)
        return path

    moved, oblique = affine.copy(), affine.copy()
    moved[0, 3] += 1.0
    oblique[:3, :3] = [[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]] @ affine[:3, :3]
    for path, text in (
        (save(values.T, moved), "first voxel"),
        (save(values.T, oblique), "axes along x, y and z"),
        (save(values.T, affine @ np.diag([1.1, 1, 1, 1])), "spacing"),
        (save(values.T[:7], affine), "shape"),
    ):
        with pytest.raises(InputError, match=text):
            read_volume(path, GEOMETRY)
    values[0, 0, 0] = np.nan
    np.save(tmp_path / "v.npy", values)
    with pytest.raises(InputError, match="finite"):
        read_volume(tmp_path / "v.npy", GEOMETRY)


def test_an_imported_volume_is_a_row_of_the_table(results, tmp_path, capsys):
    (case,) = [path.name for path in (results / "cases").iterdir()]
    truth = nifti.read_volume(results / "cases" / case / "truth.nii.gz")
    np.save(tmp_path / "v.npy", truth.transpose(2, 1, 0) / np.float32(0.05))
    assert bring(results, tmp_path / "v.npy", "--axes", "xyz", "--scale", "0.05", "--source", "their program 1.0") == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"Summary and page with it: python -m benchmark report {results}"
    found = Results.open(results)
    (record,) = found.records
    assert (record.status, record.engine, record.spec.preset) == ("ok", "imported: their program 1.0", "imported")
    assert record.metrics["volume_psnr"] > 100 and record.metrics["projection_psnr"] > 28
    assert np.allclose(found.volume(record), truth, rtol=1e-6)
    table = found.frame()
    assert table.engine.tolist() == ["imported: their program 1.0"]
    assert (results / "tables" / "runs.csv").read_text().count("imported") >= 1


def test_the_measured_views_reveal_a_wrong_orientation_and_unit(results, tmp_path, capsys):
    (case,) = [path.name for path in (results / "cases").iterdir()]
    truth = nifti.read_volume(results / "cases" / case / "truth.nii.gz")
    before = len(Results.open(results).records)
    for values, text in (
        (truth[::-1], "found z reversed fits the measured views better"),
        (truth.transpose(2, 1, 0), "axes xyz in place of zyx"),
        (truth[:, ::-1, ::-1].transpose(0, 2, 1), "axes zxy in place of zyx, y, x reversed"),
        (truth / 0.05, "--scale 0.05"),
        (1000 * (truth / 0.0206 - 1), "error: volume"),
    ):
        np.save(tmp_path / "v.npy", values.astype(np.float32))
        assert bring(results, tmp_path / "v.npy") == 2
        assert text in capsys.readouterr().err
    assert len(Results.open(results).records) == before
    assert bring(results, tmp_path / "v.npy", "--hu") == 0
    np.save(tmp_path / "v.npy", truth[::-1])
    assert bring(results, tmp_path / "v.npy", "--as-is") == 0


def test_a_volume_of_nothing_is_imported_only_as_it_is(results, tmp_path, capsys):
    np.save(tmp_path / "v.npy", np.zeros((24, 24, 24), np.float32))
    assert bring(results, tmp_path / "v.npy") == 2
    assert "volume: expected something to reconstruct, found zeros only. If that is meant: --as-is." in capsys.readouterr().err
    assert bring(results, tmp_path / "v.npy", "--as-is") == 0
    shown = Case("dark", Scan(np.zeros((4, 10, 12), np.float32), tiny_geometry(8, np.arange(4.0))))
    with pytest.raises(InputError, match="found nothing in common with them"):
        check_fit(np.ones((8, 8, 8), np.float32), shown)


def test_mistakes_of_the_user(results, tmp_path, capsys):
    np.save(tmp_path / "v.npy", np.zeros((3, 3, 3), np.float32))
    arguments = ["import-volume", str(tmp_path / "v.npy"), "--results", str(results), "--name", "other"]
    for more, text in (
        (["--case", "nowhere"], "expected one case of the results folder"),
        (["--case", "walnut_sample"], "a volume [z, y, x] = (24, 24, 24)"),
        (["--case", "walnut_sample", "--hu", "--scale", "2"], "one of --hu and --scale"),
    ):
        assert main([*arguments, *more]) == 2
        assert text in capsys.readouterr().err
    np.save(tmp_path / "w.npy", np.ones((24, 24, 24), np.float32))
    before = len(Results.open(results).records)
    for more in (["--scale", "nan"], ["--scale", "inf"], ["--scale", "0"], ["--scale", "1e39"], ["--hu", "--water", "inf"]):
        for as_is in ([], ["--as-is"]):
            assert bring(results, tmp_path / "w.npy", *more, *as_is) == 2
            assert f"{more[-2]} {float(more[-1]):g}: expected a number other than 0 that gives finite" in capsys.readouterr().err
    assert len(Results.open(results).records) == before
    assert main(["import-volume", "none.npy", *arguments[2:], "--case", "walnut_sample"]) == 2
