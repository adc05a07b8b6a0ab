"""A CT volume of the user's: every format and orientation comes out upright, DICOM defects are said, scanners and orbits fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
import tifffile
from foreign import centre_of_mass, reconstructed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pydicom.dataset import Dataset, FileMetaDataset

from benchmark.acquisition.ellipsoids import Ellipsoids
from benchmark.acquisition.noise import detected
from benchmark.acquisition.scanners import SCANNERS
from benchmark.acquisition.simulated import SimulatedParams, simulated_case
from benchmark.cli.main import main
from benchmark.datasets.volume import VolumeParams
from benchmark.datasets.volume.simulate import load
from benchmark.errors import InputError
from benchmark.files.dicom import read_series
from benchmark.files.volume import read_volume_file, volume_format
from benchmark.storage import cache

SPACING = (3.0, 2.0, 1.5)  # z y x [mm]
SHAPE = (5, 6, 8)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path_factory.getbasetemp() / "cache")


def patient() -> np.ndarray:
    """Hounsfield units [z, y, x] (to the head, the front, the right), no symmetry."""
    return np.random.default_rng(0).integers(-1000, 2000, SHAPE).astype(np.int16)


def write_dicom(folder: Path, values: np.ndarray, turn: np.ndarray | None = None, **changes: Any) -> Path:
    """A series of slices of `values` [z, y, x] as scanners write it: rows run to the back; `turn` rotates the patient's frame (LPS)."""
    folder.mkdir()
    turn = np.eye(3) if turn is None else turn
    stored = ((values.astype(float) + 1024) * 2).astype(np.uint16)  # slope 0.5, intercept -1024
    for index, image in enumerate(stored):
        place = np.array([-10.0, -20.0, 30.0 + index * SPACING[0]])
        header = Dataset()
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = pydicom.uid.CTImageStorage
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = pydicom.uid.UID(f"1.2.3.{index + 1}")
        header.SeriesInstanceUID = "1.2.3"
        header.Rows, header.Columns = image.shape
        header.ImagePositionPatient = [float(f"{x:.6f}") for x in turn @ place]
        header.ImageOrientationPatient = [float(f"{x:.8f}") for x in (*(-turn[:, 0]), *(-turn[:, 1]))]
        header.PixelSpacing = [SPACING[1], SPACING[2]]
        header.RescaleSlope, header.RescaleIntercept = 0.5, -1024
        header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
        header.BitsAllocated = header.BitsStored = 16
        header.HighBit, header.PixelRepresentation = 15, 0
        # Columns to the patient's right (-x of LPS), rows to the front (-y of LPS): our own order.
        header.PixelData = image.tobytes()
        for key, value in changes.items():
            setattr(header, key, value)
        header.save_as(folder / f"{(index * 7) % 11:02d}.dcm", enforce_file_format=True)
    return folder


def write_nifti(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    affine = np.diag([*SPACING[::-1], 1.0]) if affine is None else affine
    nibabel.save(nibabel.Nifti1Image(values.transpose(2, 1, 0), affine), path)
    return path


def write_itk(path: Path, values: np.ndarray) -> Path:
    """ITK's frame is left, back, head: the stored order is turned with the directions."""
    image = SimpleITK.GetImageFromArray(values)
    image.SetSpacing(SPACING[::-1])
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    SimpleITK.WriteImage(image, str(path))
    return path


WRITERS = {
    "dicom": lambda folder: write_dicom(folder / "series", patient()),
    "nii": lambda folder: write_nifti(folder / "ct.nii", patient()),
    "nii.gz": lambda folder: write_nifti(folder / "ct.nii.gz", patient()),
    "nrrd": lambda folder: write_itk(folder / "ct.nrrd", patient()),
    "mha": lambda folder: write_itk(folder / "ct.mha", patient()),
    "mhd": lambda folder: write_itk(folder / "ct.mhd", patient()),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_medical_format_gives_the_same_patient(tmp_path, name):
    path = WRITERS[name](tmp_path)
    values, spacing, note = read_volume_file(path)
    np.testing.assert_array_equal(values, patient())
    np.testing.assert_allclose(spacing, SPACING, rtol=1e-6)
    assert note == ""


@settings(max_examples=48, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(3)), flips=st.tuples(*[st.booleans()] * 3))
def test_the_patient_comes_out_upright_however_it_is_stored(tmp_path, order, flips):
    stored = np.flip(patient().transpose(2, 1, 0), [axis for axis in range(3) if flips[axis]]).transpose(order)
    affine = np.diag([*SPACING[::-1], 1.0])
    affine[:3, :3] *= np.where(flips, -1, 1)
    affine = affine[:, [*order, 3]]
    nibabel.save(nibabel.Nifti1Image(stored, affine), tmp_path / "ct.nii")
    values, spacing, _ = read_volume_file(tmp_path / "ct.nii")
    np.testing.assert_array_equal(values, patient())
    np.testing.assert_allclose(spacing, SPACING, rtol=1e-6)


def rotation(degrees: float) -> np.ndarray:
    """About x and then z."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def test_an_oblique_volume_is_interpolated_and_it_is_said(tmp_path):
    z, y, x = np.meshgrid(*((np.arange(n) - (n - 1) / 2) * d for n, d in zip((20, 30, 40), SPACING, strict=True)), indexing="ij")
    turn = rotation(20.0)
    centre = turn.T @ np.array([8.0, -5.0, 6.0])  # in the file's frame, of a blob at (8, -5, 6) mm in the patient's
    blob = 1000 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2) / 2 / 5**2) - 1000
    affine = np.eye(4)
    affine[:3, :3] = turn * SPACING[::-1]
    path = write_nifti(tmp_path / "ct.nii", blob.astype(np.float32), affine)
    values, spacing, note = read_volume_file(path, outside=-1000.0)
    assert "oblique, interpolated" in note and spacing == pytest.approx(SPACING)
    weights = values.astype(float) + 1000
    places = [(np.arange(n) - (n - 1) / 2) * d for n, d in zip(values.shape, spacing, strict=True)]
    found = [(weights.sum(rest) * place).sum() / weights.sum() for rest, place in zip([(1, 2), (0, 2), (0, 1)], places, strict=True)]
    np.testing.assert_allclose(found[::-1], (8, -5, 6), atol=0.05)
    assert values.max() == pytest.approx(blob.max(), abs=120) and values[0, 0, 0] == -1000


def test_an_oblique_series_of_slices(tmp_path):
    image = read_series(write_dicom(tmp_path / "x", patient(), turn=rotation(10.0)))
    np.testing.assert_array_equal(image.values, patient())
    np.testing.assert_allclose(np.linalg.norm(image.axes, axis=0), SPACING[::-1], rtol=1e-5)


@pytest.mark.parametrize("length", [-1.0, 0.0, np.nan])
def test_a_spacing_that_is_not_positive(tmp_path, length):
    content = bytearray(nibabel.Nifti1Image(patient(), np.eye(4)).to_bytes())
    content[80:84] = np.float32(length).tobytes()  # pixdim[1]
    (tmp_path / "ct.nii").write_bytes(content)
    with pytest.raises(InputError, match="ct.nii: expected positive voxel spacings"):
        read_volume_file(tmp_path / "ct.nii")
    text = write_itk(tmp_path / "ct.mha", patient()).read_bytes()
    (tmp_path / "ct.mha").write_bytes(text.replace(b"ElementSpacing = 1.5", f"ElementSpacing = {length}".encode()))
    with pytest.raises(InputError, match="ct.mha: expected positive voxel spacings"):
        read_volume_file(tmp_path / "ct.mha")


# -- DICOM defects ----------------------------------------------------------------------------------------------------------


def files_in_order(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda path: float(pydicom.dcmread(path).ImagePositionPatient[2]))


def edit(path: Path, **changes: Any) -> None:
    header = pydicom.dcmread(path)
    for key, value in changes.items():
        if value is None:
            delattr(header, key)
        else:
            setattr(header, key, value)
    header.save_as(path)


def test_a_missing_slice_is_said(tmp_path):
    folder = write_dicom(tmp_path / "x", patient())
    third = files_in_order(folder)[2]
    third.unlink()
    with pytest.raises(InputError, match=r"4 slices every 3 mm, found 1 missing between \d\d.dcm and \d\d.dcm \(6 mm apart\)"):
        read_series(folder)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"ImagePositionPatient": [-10, -20, 30]}, "at the same place"),
        ({"ImagePositionPatient": [-10, -20, 37.2]}, "mm apart"),
        ({"ImagePositionPatient": None}, "ImagePositionPatient: expected 3 numbers, found None. The file is no slice"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "two unit vectors at right angles"),
        ({"ImageOrientationPatient": [0, 1, 0, -1, 0, 0]}, "expected shape and direction of"),
        ({"PixelSpacing": [1, -1]}, "PixelSpacing: expected positive lengths"),
        ({"SeriesInstanceUID": "9.9"}, "expected one DICOM series, found 2"),
        ({"Rows": 3}, "expected shape and direction of"),
        ({"NumberOfFrames": 4}, "ImagePositionPatient: expected 3 numbers"),
        ({"PixelData": b"xx"}, "expected pixels that can be read"),
    ],
)
def test_a_slice_with_a_defect(tmp_path, changes, found):
    folder = write_dicom(tmp_path / "x", patient())
    edit(files_in_order(folder)[2], **changes)
    with pytest.raises(InputError, match=found):
        read_series(folder)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), max_size=4), end=st.none() | st.integers(0, 1000))
def test_a_damaged_slice_is_one_clear_error(tmp_path, cuts, end):
    folder = tmp_path / "x"
    if not folder.exists():
        write_dicom(folder, patient())
        (tmp_path / "good").write_bytes((folder / "00.dcm").read_bytes())
    content = bytearray((tmp_path / "good").read_bytes())
    for place, value in cuts:
        content[place % len(content)] = value
    (folder / "00.dcm").write_bytes(bytes(content if end is None else content[:end]))
    try:
        assert np.isfinite(read_series(folder).values).all()
    except InputError as error:
        assert str(folder) in str(error)


# -- from file to case ----------------------------------------------------------------------------------------------------------


def ball_in_water(shape=(40, 44, 48), spacing=(2.0, 2.0, 2.0), centre=(10.0, -8.0, 6.0)) -> np.ndarray:
    """HU [z, y, x]: air with a ball of water of 25 mm at `centre` x y z [mm]."""
    z, y, x = np.meshgrid(*((np.arange(n) - (n - 1) / 2) * d for n, d in zip(shape, spacing, strict=True)), indexing="ij")
    distance = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
    return (1000 * np.clip((25 - distance) / 2 + 0.5, 0, 1) - 1000).astype(np.float32)


def test_a_ball_comes_out_where_it_was(tmp_path):
    path = write_nifti(tmp_path / "ball.nii.gz", ball_in_water(), np.diag([2.0, 2, 2, 1]))
    case = load(VolumeParams(path=str(path), views=24, size=24, heldout=4))
    assert case.name == "ball" and "ball.nii.gz" in case.truth_note
    assert case.scan.geometry.volume_extent == pytest.approx((96, 96, 96))  # 48 x 2 mm in the axial plane
    assert case.truth.max() == pytest.approx(0.0206, rel=1e-4)
    for volume in (case.truth, reconstructed(case.scan)):
        np.testing.assert_allclose(centre_of_mass(volume, case.scan), (10, -8, 6), atol=0.3)


def test_crop_ceiling_side_and_units(tmp_path):
    values = np.random.default_rng(1).uniform(0, 0.05, (10, 12, 12)).astype(np.float32)
    np.save(tmp_path / "mu.npy", values)
    keys = dict(path=str(tmp_path / "mu.npy"), views=3, heldout=2)
    case = load(VolumeParams(**keys, unit="attenuation", spacing=0.5, size=6, crop=(0.2, 0.8, 0, 0.5, 0.5, 1)))
    np.testing.assert_allclose(case.truth, values[2:8, :6, 6:], rtol=1e-5)
    assert case.scan.geometry.volume_extent == pytest.approx((3, 3, 3))
    tifffile.imwrite(tmp_path / "hu.tif", np.full((4, 4, 4), 3000, np.int16), photometric="minisblack")
    hu = load(VolumeParams(path=str(tmp_path / "hu.tif"), unit="HU", ceiling=1000, spacing=(1, 2, 2), side=4, size=4, views=3, heldout=0))
    assert hu.truth.max() == pytest.approx(2 * 0.0206)
    with pytest.raises(InputError, match="expected Hounsfield units .values below -100.*volume.unit=HU"):
        load(VolumeParams(**keys, spacing=1.0))
    with pytest.raises(InputError, match="spacing: expected the voxels' edges in mm, found none"):
        load(VolumeParams(**keys, unit="attenuation"))
    nifti = write_nifti(tmp_path / "ct.nii", patient())
    with pytest.raises(InputError, match="spacing: expected none, since the file has its own"):
        load(VolumeParams(path=str(nifti), spacing=1.0))
    with pytest.raises(InputError, match="expected attenuation per mm, found values down to"):
        load(VolumeParams(path=str(nifti), unit="attenuation"))
    with pytest.raises(ValidationError, match="crop: expected from < to"):
        VolumeParams(**keys, crop=(0.5, 0.5, 0, 1, 0, 1))


def test_what_a_path_is(tmp_path):
    assert volume_format(write_dicom(tmp_path / "series", patient())) == "dicom"
    assert volume_format(next((tmp_path / "series").iterdir())) == "dicom"
    assert volume_format(tmp_path) == "dicom"  # in a folder below
    (tmp_path / "empty").mkdir()
    assert volume_format(tmp_path / "empty") == "" and volume_format(tmp_path / "none") == ""
    with pytest.raises(InputError, match="expected a DICOM folder, numbered images, NIfTI"):
        read_volume_file(tmp_path / "empty")


def test_run_with_a_volume_of_ones_own(tmp_path, capsys):
    path = write_nifti(tmp_path / "ball.nii.gz", ball_in_water(), np.diag([2.0, 2, 2, 1]))
    arguments = ["--methods", "fdk", "--views", "8", "--size", "16", "--output", str(tmp_path / "out"), "--no-report", "--in-process"]
    assert main(["run", "--volume", str(path), "--set", "volume.scanner=c_arm", *arguments]) == 0
    assert "ball 16, 8 views" in capsys.readouterr().out
    assert main(["run", "--volume", str(tmp_path / "none.nii"), *arguments]) == 2
    assert "--volume" in capsys.readouterr().err


# -- orbits and detectors ---------------------------------------------------------------------------------------------------------

BALL = Ellipsoids(np.array([[10.0, -8.0, 6.0]]), np.full((1, 3), 25.0), np.array([0.02]))


def case_of(**keys: Any) -> Any:
    return simulated_case("ball", 96.0, lambda: BALL, SimulatedParams(**{"size": 24, "views": 24, "heldout": 4, **keys}))


@pytest.mark.parametrize(
    "keys",
    [
        {"scanner": "naf"},
        {"scanner": "c_arm"},
        {"scanner": "dental", "start": 30},
        {"scanner": "micro_ct", "arc": 210},
        {"jitter": 0.4},
        {"rise": 20.0, "arc": 720},
        {"axis_shift": 9.0},
        {"detector_offset": (6.0, -11.0)},
    ],
)
def test_every_orbit_sees_the_ball_where_it_is(keys):
    case = case_of(**keys)
    np.testing.assert_allclose(centre_of_mass(reconstructed(case.scan), case.scan), (10, -8, 6), atol=0.7)
    assert case.heldout.geometry.detector_pitch == case.scan.geometry.detector_pitch


@pytest.mark.parametrize(
    ("name", "cube", "pixels", "distances", "pitch", "arc"),
    [
        ("r2", 2.0, 512, (5.0, 7.0), 4 / 512, 360),  # data_generator/synthetic_dataset/scanner/cone_beam.yml of R2-Gaussian
        ("standard", 2.0, 512, (5.0, 7.0), 4 / 512, 360),
        ("naf", 128.0, 256, (1000.0, 1500.0), 1.0, 180),  # the chest's pickle; SAX-NeRF's own scenes have its DSO, DSD and arc
    ],
)
def test_the_peers_scanners_are_theirs(name, cube, pixels, distances, pitch, arc):
    found = SCANNERS[name].around(cube, pixels)
    assert (found["source_to_origin"], found["source_to_detector"]) == pytest.approx(distances, rel=1e-12)
    assert found["detector_shape"] == (pixels, pixels) and found["detector_pitch"] == pytest.approx((pitch, pitch), rel=1e-12)
    assert SCANNERS[name].arc == arc


def test_the_arc_is_what_was_asked_for():
    assert case_of(arc=200).scan.geometry.arc == pytest.approx(np.deg2rad(200))
    assert case_of(scanner="c_arm").scan.geometry.arc == pytest.approx(np.deg2rad(200))
    heights = case_of(rise=20.0, arc=720).scan.geometry.source_height
    assert heights[0] == pytest.approx(-20) and heights[-1] == pytest.approx(20 - 40 / 24)
    irregular = case_of(jitter=0.4).scan.geometry.angles
    assert np.ptp(np.diff(irregular)) > 0.02 and (np.diff(irregular) > 0).all()
    np.testing.assert_array_equal(irregular, case_of(jitter=0.4).scan.geometry.angles)
    assert (case_of(jitter=0.4, data_seed=1).scan.geometry.angles != irregular).any()
    limited = case_of(arc=90)
    assert limited.heldout.geometry.angles.max() < np.pi / 2


def test_blur_and_scatter_change_what_they_should():
    projections = case_of().scan.projections
    assert detected(projections) is projections
    blurred, scattered = detected(projections, blur=1.5), detected(projections, scatter=0.1)
    assert np.abs(np.diff(blurred, axis=2)).max() < 0.9 * np.abs(np.diff(projections, axis=2)).max()
    np.testing.assert_allclose(np.exp(-blurred).mean(), np.exp(-projections).mean(), rtol=2e-3)
    assert scattered.max() < projections.max() and scattered[:, 0, 0] == pytest.approx(-np.log(1.1), abs=1e-3)
    assert np.isfinite(detected(np.full((1, 4, 4), 2000.0), blur=1, scatter=1)).all()
    noisy = case_of(blur=1.0, scatter=0.05, photons=1e4, electronic=5)
    assert noisy.scan.digest == case_of(blur=1.0, scatter=0.05, photons=1e4, electronic=5).scan.digest
    assert noisy.heldout.digest == case_of().heldout.digest  # held-out views are what a perfect detector sees
    with pytest.raises(InputError, match="scatter: expected a number from 0"):
        detected(projections, scatter=-1)
