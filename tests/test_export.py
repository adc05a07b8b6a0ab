"""Exported volumes, read back by the libraries of other people: the same voxel at the same point, in every format."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from tiny import Watcher, sweep
from tiny_plugin import geometry as tiny_geometry

from benchmark.cli.volumes import export
from benchmark.errors import InputError
from benchmark.exchange.volume_formats import usual_name, write
from benchmark.exchange.volume_image import VolumeImage
from benchmark.records.results import Results

SPOT = (1, 5, 2)  # [z, y, x] of the one bright voxel


@pytest.fixture
def image() -> VolumeImage:
    """8 voxels a side of 1 x 1.5 x 2 mm (z, y, x), centred at (1, 2, 3) mm, with one bright voxel."""
    values = np.random.default_rng(0).uniform(0.019, 0.022, (8, 8, 8)).astype(np.float32)
    values[SPOT] = 0.06
    return VolumeImage(values, tiny_geometry(8, np.zeros(1)), "a-run")


def spot_lps(image: VolumeImage) -> np.ndarray:
    """By hand: x and y of our axes with the other sign."""
    z, y, x = (image.geometry.voxel_centres(axis)[index] for axis, index in enumerate(SPOT))
    return np.array([-x, -y, z])


def test_the_spot_is_where_arithmetic_says(image):
    assert spot_lps(image) == pytest.approx([-(3 + (2 - 3.5) * 2.0), -(2 + (5 - 3.5) * 1.5), 1 + (1 - 3.5) * 1.0])


@pytest.mark.parametrize("kind", ["nifti", "nrrd", "mha", "dicom"])
@pytest.mark.parametrize("hounsfield", [False, True])
def test_itk_finds_the_spot_in_every_format(image, tmp_path, kind, hounsfield):
    sitk = pytest.importorskip("SimpleITK")
    image = image.in_hounsfield() if hounsfield else image
    (path,) = write(kind, tmp_path / usual_name(kind, "x"), image)
    if kind == "dicom":
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
        read = reader.Execute()
    else:
        read = sitk.ReadImage(str(path))
    values = sitk.GetArrayFromImage(read)
    brightest = np.unravel_index(values.argmax(), values.shape)
    point = read.TransformIndexToPhysicalPoint([int(i) for i in brightest[::-1]])
    assert point == pytest.approx(spot_lps(image), abs=1e-4)
    rounding = 0.51 if hounsfield else float(np.ptp(image.values)) / 65535
    step = rounding if kind == "dicom" else 1e-6
    index = read.TransformPhysicalPointToIndex([float(x) for x in spot_lps(image)])
    assert read.GetPixel(index) == pytest.approx(float(image.values[SPOT]), abs=step)
    ours = values[:, ::-1, ::-1] if kind == "dicom" else values
    assert np.abs(ours - image.values).max() <= step


def test_nibabel_finds_the_spot(image, tmp_path):
    import nibabel

    (path,) = write("nifti", tmp_path / "x.nii.gz", image)
    read = nibabel.load(path)
    index = np.unravel_index(np.asarray(read.dataobj).argmax(), read.shape)
    right, anterior, superior, _ = read.affine @ [*index, 1]
    assert (-right, -anterior, superior) == pytest.approx(spot_lps(image))
    assert nibabel.aff2axcodes(read.affine) == ("R", "A", "S")
    assert (int(read.header["sform_code"]), int(read.header["qform_code"])) == (1, 1)


def test_pydicom_finds_the_spot_and_slices_that_belong_together(image, tmp_path):
    pydicom = pytest.importorskip("pydicom")
    (folder,) = write("dicom", tmp_path / "x", image.in_hounsfield())
    slices = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    assert len(slices) == 8
    assert len({s.SOPInstanceUID for s in slices}) == 8
    assert len({(s.SeriesInstanceUID, s.StudyInstanceUID, s.FrameOfReferenceUID) for s in slices}) == 1
    peak = max(slices, key=lambda s: s.pixel_array.max())
    row, column = np.unravel_index(peak.pixel_array.argmax(), peak.pixel_array.shape)
    across, down = np.array(peak.ImageOrientationPatient[:3]), np.array(peak.ImageOrientationPatient[3:])
    # DICOM PS3.3 C.7.6.2.1.1: columns advance along the first cosines by the second spacing.
    point = np.array(peak.ImagePositionPatient) + across * column * peak.PixelSpacing[1] + down * row * peak.PixelSpacing[0]
    assert point == pytest.approx(spot_lps(image))
    hounsfield = peak.pixel_array.max() * peak.RescaleSlope + peak.RescaleIntercept
    assert hounsfield == pytest.approx(1000 * (0.06 / 0.0206 - 1), abs=0.5)
    assert (peak.Modality, peak.RescaleType) == ("CT", "HU")


def test_dicom_writes_the_same_files_again(image, tmp_path):
    pytest.importorskip("pydicom")
    for name in ("a", "b"):
        write("dicom", tmp_path / name, image)
    files = [[path.read_bytes() for path in sorted((tmp_path / name).iterdir())] for name in ("a", "b")]
    assert files[0] == files[1]


def test_tiff_has_its_spacing_where_imagej_and_itk_look_and_npy_a_file_beside(image, tmp_path):
    import tifffile

    path, beside = write("tiff", tmp_path / "x.tif", image)
    with tifffile.TiffFile(path) as file:
        assert np.array_equal(file.asarray(), image.values)
        tags, metadata = file.pages[0].tags, file.imagej_metadata
        assert metadata["spacing"] == pytest.approx(0.1)  # [cm]
        assert metadata["unit"] == "cm"
        for name, length in (("XResolution", 2.0), ("YResolution", 1.5)):
            above, below = tags[name].value
            assert 10 * below / above == pytest.approx(length, rel=1e-6)
    path, other = write("npy", tmp_path / "x.npy", image)
    assert np.array_equal(np.load(path), image.values)
    for facts in (json.loads(beside.read_text()), json.loads(other.read_text())):
        assert facts["spacing_zyx"] == [1.0, 1.5, 2.0]
        first = facts["first_voxel_centre_xyz"][::-1]
        z, y, x = np.array(first) + np.array(SPOT) * facts["spacing_zyx"]
        assert (-x, -y, z) == pytest.approx(spot_lps(image))


def test_hounsfield_needs_mm_and_follows_the_water(image):
    assert image.in_hounsfield(0.02).values[SPOT] == pytest.approx(2000, abs=0.01)
    with pytest.raises(InputError, match="lengths are mm"):
        VolumeImage(image.values, image.geometry, "x", length_unit="unit").in_hounsfield()


def test_a_constant_volume_can_be_stored(image, tmp_path):
    pydicom = pytest.importorskip("pydicom")
    (folder,) = write("dicom", tmp_path / "x", VolumeImage(np.zeros((8, 8, 8), np.float32), image.geometry, "air"))
    read = pydicom.dcmread(folder / "0001.dcm")
    assert (read.pixel_array * read.RescaleSlope + read.RescaleIntercept == 0).all()


def test_export_finds_runs_and_refuses_what_it_cannot_do(tmp_path, monkeypatch, capsys):
    sweep(tmp_path / "out", "grey", "grey:dark")
    folders = sorted((tmp_path / "out" / "runs").iterdir())
    monkeypatch.chdir(tmp_path)
    assert export(str(folders[0]), format="npy") == 0
    assert capsys.readouterr().out.split() == [f"{folders[0].name}.npy", f"{folders[0].name}.npy.json"]
    assert export(folders[1].name[-6:], format="npy", results=tmp_path / "out", output=tmp_path / "b.npy") == 0
    assert np.load("b.npy").shape == (8, 8, 8)
    assert export(folders[1].name, format="npy", results=tmp_path / "out", output=tmp_path / "t.npy", truth=True) == 0
    assert np.load("t.npy")[0, 0, 0] == np.float32(0.123456)
    for name in ("grey", "grey:dark"):  # as tables call them
        assert export(name, format="npy", results=tmp_path / "out", output=tmp_path / f"{name[-4:]}.npy") == 0
    assert not np.array_equal(np.load("grey.npy"), np.load("dark.npy"))
    for arguments, text in (
        ((str(folders[0]), "npy"), "one that exists"),
        (("tiny", "npy", tmp_path / "out"), r"expected one run, found 2. Runs: tiny\S+ \(grey:dark\), tiny\S+ \(grey\)\."),
        (("nowhere", "npy"), "a run folder"),
        ((str(folders[0]), "nifty"), "Did you mean 'nifti'"),
        ((str(folders[0]), "npy", None, tmp_path / "x.raw"), "ends in .npy"),
        ((str(folders[0]), "npy", None, tmp_path / "none" / "x.npy"), "a folder, found none"),
    ):
        with pytest.raises(InputError, match=text):
            export(*arguments)


def test_export_says_what_has_become_of_a_volume(tmp_path):
    record = sweep(tmp_path / "out", "grey").records[0]
    folder = tmp_path / "out" / "runs" / record.run_id
    volume, remedy = folder / "volume.nii.gz", f"To have it made again, remove {folder} and repeat the `run` that wrote it."
    volume.write_bytes(volume.read_bytes()[:60])
    with pytest.raises(InputError, match=re.escape(f"{volume}: expected a complete file, found one that cannot be read (")) as caught:
        export(str(folder), format="npy", output=tmp_path / "a.npy")
    assert str(caught.value).endswith(remedy)
    volume.unlink()
    with pytest.raises(InputError, match=re.escape(f"expected a reconstruction, found none: {volume} is missing. {remedy}")):
        export(str(folder), format="npy", output=tmp_path / "a.npy")
    watcher = Watcher()
    assert sweep(tmp_path / "out", "grey", watcher=watcher).records == Results.open(tmp_path / "out").records
    assert watcher.named("warning") == [f"finished runs whose volume is gone: 1, such as {volume}. {remedy}"]
    shutil.rmtree(folder)
    sweep(tmp_path / "out", "grey", watcher=watcher)
    assert volume.exists() and len(watcher.named("warning")) == 1
