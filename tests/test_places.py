"""Places in the patient: exports lie where their source does, and a truth where its header says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
import yaml
from test_dicom import series
from tiny_plugin import geometry as tiny_geometry

from benchmark.api import ConeBeamGeometry, Ellipsoids
from benchmark.cli.main import main
from benchmark.datasets.folder import FolderParams
from benchmark.datasets.folder import load as load_scan
from benchmark.datasets.volume import VolumeParams
from benchmark.datasets.volume.simulate import load
from benchmark.errors import InputError
from benchmark.exchange.stored_run import patient_place
from benchmark.exchange.volume_formats import FORMATS, usual_name, write
from benchmark.exchange.volume_image import VolumeImage
from benchmark.exchange.volume_import import read_volume
from benchmark.files.volume import PlacedVolume, read_placed_volume
from benchmark.scan.agreement import agreement_notes
from benchmark.scan.case import Case

SHAPE, SPOT = (16, 18, 20), (11, 5, 13)  # z y x
FRAME = "1.2.826.0.1.5"


def spotted() -> np.ndarray:
    """HU [z, y, x]: air with one bright voxel."""
    values = np.full(SHAPE, -1000, np.float32)
    values[SPOT] = 2000
    return values


def oblique(degrees: float) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def nifti_source(path: Path, directions: np.ndarray) -> tuple[Path, np.ndarray]:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions * 2.0, (-130.5, 77.25, -912.0)
    nibabel.save(nibabel.Nifti1Image(spotted().transpose(2, 1, 0), affine), path)
    return path, (affine @ [*SPOT[::-1], 1])[:3]


def itk_source(path: Path, directions: np.ndarray) -> tuple[Path, np.ndarray]:
    image = SimpleITK.GetImageFromArray(spotted())
    image.SetSpacing((2, 2, 2))
    image.SetDirection(directions.ravel().tolist())
    image.SetOrigin((-130.5, 77.25, -912.0))
    SimpleITK.WriteImage(image, str(path))
    return path, np.array(image.TransformIndexToPhysicalPoint(SPOT[::-1])) * (-1, -1, 1)


def dicom_source(folder: Path) -> tuple[Path, np.ndarray]:
    def edit(data: pydicom.Dataset, index: int) -> None:
        data.ImagePositionPatient, data.FrameOfReferenceUID, data.PixelSpacing = [-130.5, 77.25, 2.0 * index - 912], FRAME, [2, 2]

    series(folder, spotted(), 2.0, edit)
    z, y, x = SPOT
    lps = np.array([-130.5 + 2 * (SHAPE[2] - 1 - x), 77.25 + 2 * (SHAPE[1] - 1 - y), 2.0 * z - 912])
    return folder, lps * (-1, -1, 1)


SOURCES = {
    "nifti": lambda folder: nifti_source(folder / "ct.nii.gz", np.eye(3)),
    "nifti LAS": lambda folder: nifti_source(folder / "ct.nii", np.diag([-1.0, 1, 1])),
    "nifti swapped": lambda folder: nifti_source(folder / "ct.nii", np.eye(3)[[2, 0, 1]]),
    "nifti oblique": lambda folder: nifti_source(folder / "ct.nii", oblique(17)),
    "nrrd": lambda folder: itk_source(folder / "ct.nrrd", np.eye(3)),
    "mha oblique": lambda folder: itk_source(folder / "ct.mha", oblique(-25)),
    "dicom": lambda folder: dicom_source(folder / "ct"),
}


def centroid(array: np.ndarray) -> list[float]:
    """Index (fastest axis first) of the centre of what is brighter than air."""
    weights = array.astype(float) - float(array.min())
    axes = range(array.ndim)
    sums = [weights.sum(tuple(other for other in axes if other != axis)) for axis in axes]
    return [float(line @ np.arange(len(line)) / line.sum()) for line in sums][::-1]


def place_of_spot(kind: str, path: Path) -> np.ndarray:
    """Place of the bright voxel in an exported file, x y z (RAS) [mm], as other programs read it."""
    if kind == "nifti":
        image: Any = nibabel.load(path)
        return (image.affine @ [*centroid(np.asarray(image.dataobj).T), 1])[:3]
    if kind in ("tiff", "npy"):
        facts = json.loads(path.with_name(f"{path.name}.json").read_text())
        array = np.load(path) if kind == "npy" else SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
        return np.array(facts["first_voxel_centre_xyz"]) + np.array(centroid(array)) * facts["spacing_zyx"][::-1]
    reader = SimpleITK.ImageSeriesReader()
    if kind == "dicom":
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
    image = reader.Execute() if kind == "dicom" else SimpleITK.ReadImage(str(path))
    index = centroid(SimpleITK.GetArrayFromImage(image))
    return np.array(image.TransformContinuousIndexToPhysicalPoint(index)) * (-1, -1, 1)


def exported(case: Case, kind: str, folder: Path) -> Path:
    origin, frame = patient_place(case.facts)
    assert case.truth is not None
    image = VolumeImage(case.truth, case.scan.geometry, "x", origin=origin, frame_of_reference=frame)
    return write(kind, folder / f"out-{usual_name(kind, 'x')}", image)[0]


PLACED = [kind for kind in FORMATS if kind not in ("ome-zarr", "precomputed")]  # those: tests/test_chunked.py


@pytest.mark.parametrize("name", SOURCES)
def test_an_export_overlays_its_source(tmp_path, name):
    path, place = SOURCES[name](tmp_path)
    for number, crop in enumerate(((0, 1, 0, 1, 0, 1), (0.25, 0.95, 0.05, 0.9, 0.2, 1))):
        (tmp_path / str(number)).mkdir()
        case = load(VolumeParams(path=str(path), views=2, heldout=0, size=32, crop=crop))
        assert case.facts["patient"]["frame_of_reference"] == (FRAME if name == "dicom" else "")
        for kind in PLACED if number else ("nifti",):
            found = exported(case, kind, tmp_path / str(number))
            np.testing.assert_allclose(place_of_spot(kind, found), place, atol=0.3 if "oblique" in name else 0.1, err_msg=kind)
            if kind == "dicom" and name == "dicom":
                assert pydicom.dcmread(next(found.iterdir())).FrameOfReferenceUID == FRAME
            if kind in ("nifti", "dicom", "nrrd"):  # and comes back to the case
                origin, _ = patient_place(case.facts)
                assert np.abs(read_volume(found, case.scan.geometry, origin=origin) - case.truth).max() < 1e-4


def test_a_file_without_a_place_is_exported_around_the_origin(tmp_path):
    np.save(tmp_path / "x.npy", spotted())
    case = load(VolumeParams(path=str(tmp_path / "x.npy"), spacing=2.0, views=2, heldout=0, size=16))
    found = read_placed_volume(tmp_path / "x.npy", spacing=2.0)
    assert isinstance(found, PlacedVolume) and case.facts == {} and found.centre is None
    assert patient_place({}) == ((0, 0, 0), "")


def test_nan_outside_of_the_field_of_view_is_air_and_inside_an_error(tmp_path):
    values = spotted()
    values[:, :2], values[3, 5:9, :4] = np.nan, np.nan
    path = tmp_path / "x.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values.transpose(2, 1, 0), np.diag([2, 2, 2, 1])), path)
    case = load(VolumeParams(path=str(path), views=2, heldout=0, size=20))
    assert "NaN outside of the field of view (11% of the voxels) read as air" in case.truth_note and case.truth.min() == 0
    values[4, 8, 8] = np.nan
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(InputError, match="x.npy: expected finite numbers, found 1 NaN inside plane 4. Only NaN outside"):
        load(VolumeParams(path=str(tmp_path / "x.npy"), spacing=2.0, views=2, heldout=0, size=20))
    values[4] = np.nan
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(InputError, match=r"numbers in each plane, found 1 of 16 without any \(the first is plane 4\)"):
        load(VolumeParams(path=str(tmp_path / "x.npy"), spacing=2.0, views=2, heldout=0, size=20))
    values[4] = 0
    values[4, 8, 8] = np.inf
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(InputError, match="found Inf in plane 4"):
        load(VolumeParams(path=str(tmp_path / "x.npy"), spacing=2.0, views=2, heldout=0, size=20))


@pytest.mark.parametrize("top", [1000.0, 32767.0, 72_000.0])
def test_hounsfield_units_of_dense_matter_fit_a_dicom_export(tmp_path, top):
    values = np.full((8, 8, 8), -1000, np.float32)
    values[2:5, 3:6, 1:4] = top
    (folder,) = write("dicom", tmp_path / "x", VolumeImage(values, tiny_geometry(8, np.zeros(1)), "x", unit="HU"))
    slices = [pydicom.dcmread(path) for path in folder.iterdir()]
    found = np.stack([one.pixel_array * one.RescaleSlope + one.RescaleIntercept for one in slices])
    assert found.max() == pytest.approx(top, abs=0.6) and found.min() == pytest.approx(-1000, abs=0.6)
    assert {one.RescaleType for one in slices} == {"HU"}


def test_values_that_no_format_holds_are_refused(tmp_path):
    values = np.zeros((8, 8, 8), np.float32)
    values[1, 2, 3] = np.nan
    for kind in FORMATS:
        with pytest.raises(InputError, match="volume of x: expected finite numbers, found 1 that are NaN or Inf"):
            write(kind, tmp_path / usual_name(kind, "x"), VolumeImage(values, tiny_geometry(8, np.zeros(1)), "x"))
    assert not list(tmp_path.iterdir())


# -- where a truth lies -----------------------------------------------------------------------------------------------------

BOX, COUNT = 48.0, 12  # [mm] and voxels along each edge of the reconstruction's box
BODY = np.random.default_rng(5).random((COUNT,) * 3).astype(np.float32)
BODY[:2] = BODY[-2:] = BODY[:, :2] = BODY[:, -2:] = BODY[:, :, :2] = BODY[:, :, -2:] = 0


def scan_with(folder: Path, **truth: Any) -> Path:
    np.save(folder / "p.npy", np.zeros((4, 10, 10), np.float32))
    content = {
        "projections": {"file": "p.npy"},
        "geometry": {"source_to_origin": 500, "source_to_detector": 700, "detector_pitch": 10},
        "angles": {"arc": 360},
        "volume": {"extent": [BOX] * 3},
        "truth": truth,
    }
    (folder / "scan.yaml").write_text(yaml.safe_dump(content))
    return folder


def case_with(folder: Path, file: str, **truth: Any) -> Case:
    return load_scan(FolderParams(path=str(scan_with(folder, file=file, **truth)), views=2, heldout=0, size=COUNT))


def affine_of(values: np.ndarray, spacing: float = 4.0, centre: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = np.array(centre) - (np.array(values.shape[::-1]) - 1) / 2 * spacing
    return affine


def save_truth(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(values.transpose(2, 1, 0)), affine), path)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SAR", "PIL"])
def test_a_truth_in_any_order_of_axes(tmp_path, codes):
    save_truth(tmp_path / "t.nii.gz", BODY, affine_of(BODY))
    image: Any = nibabel.load(tmp_path / "t.nii.gz")
    ours = nibabel.orientations.io_orientation(image.affine)
    turn = nibabel.orientations.ornt_transform(ours, nibabel.orientations.axcodes2ornt(tuple(codes)))
    nibabel.save(image.as_reoriented(turn), tmp_path / "t.nii.gz")
    case = case_with(tmp_path, "t.nii.gz")
    np.testing.assert_allclose(case.truth, BODY, atol=1e-6)
    assert case.facts == {}


def test_a_truth_in_lps_written_by_itk(tmp_path):
    image = SimpleITK.GetImageFromArray(BODY[:, ::-1, ::-1])
    image.SetSpacing((4, 4, 4))
    image.SetOrigin((-22, -22, -22))
    for name in ("t.nrrd", "t.mha"):
        SimpleITK.WriteImage(image, str(tmp_path / name))
        np.testing.assert_allclose(case_with(tmp_path, name).truth, BODY, atol=1e-6)


def test_a_truth_that_is_cropped_finer_or_larger_lies_in_its_own_place(tmp_path):
    part = BODY[1:11, 2:11, 2:10]
    save_truth(tmp_path / "t.nii", part, affine_of(part, centre=(0, 2, 0)))
    case = case_with(tmp_path, "t.nii")
    np.testing.assert_allclose(case.truth, BODY * (np.pad(np.ones_like(part), ((1, 1), (2, 1), (2, 2)))), atol=1e-6)
    assert "where its header says ([40, 36, 32] around [0, 2, 0]; the volume is [48, 48, 48] around [0, 0, 0])" in case.truth_note
    fine = np.kron(part, np.ones((2, 2, 2), np.float32))
    save_truth(tmp_path / "t.nii", fine, affine_of(fine, 2.0, centre=(0, 2, 0)))
    np.testing.assert_allclose(case_with(tmp_path, "t.nii").truth, case.truth, atol=1e-6)
    wide = np.pad(BODY, 3)
    save_truth(tmp_path / "t.nii", wide, affine_of(wide))
    np.testing.assert_allclose(case_with(tmp_path, "t.nii").truth, BODY, atol=1e-6)


def test_a_truth_without_directions_in_its_header_is_not_turned(tmp_path):
    head = "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nDimSize = 12 12 12\nElementSpacing = 4 4 4\n"
    (tmp_path / "t.mha").write_bytes(head.encode() + b"ElementType = MET_FLOAT\nElementDataFile = LOCAL\n" + BODY.tobytes())
    head = "NRRD0004\ntype: float\ndimension: 3\nsizes: 12 12 12\nspacings: 4 4 4\nendian: little\nencoding: raw\n\n"
    (tmp_path / "t.nrrd").write_bytes(head.encode() + BODY.tobytes())
    for name in ("t.mha", "t.nrrd"):
        case = case_with(tmp_path, name)
        np.testing.assert_allclose(case.truth, BODY, atol=1e-6)
        assert "no directions in its header" in case.truth_note


def test_a_truth_that_may_cut_the_body_and_one_in_another_unit(tmp_path, caplog):
    part = BODY[4:]
    save_truth(tmp_path / "t.nii", part, affine_of(part, centre=(0, 0, 8)))
    case_with(tmp_path, "t.nii")
    assert re.search(r"matter on .* lower z face .*extent: \[32.0, 48.0, 48.0\], offset: \[8.0, 0.0, 0.0\], margin: 16}", caplog.text)
    np.save(tmp_path / "t.npy", 1000 * (BODY / 0.0206 - 1))
    with pytest.raises(InputError, match="expected attenuation, found values down to -1000.*Set truth.unit: HU"):
        case_with(tmp_path, "t.npy")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t, None),
        (lambda t: t[::-1], "centre of mass"),
        (lambda t: t[:, ::-1, ::-1], "centre of mass"),
        (lambda t: t.transpose(2, 1, 0), "times as high"),
        (lambda t: 10 * t, "9.* times the attenuation"),
    ],
)
def test_a_truth_that_the_projections_contradict_is_noted(change, said):
    body = Ellipsoids(np.array([[6.0, -9, 7], [20, 5, 20]]), np.array([[30.0, 25, 60], [8, 8, 8]]), np.array([0.02, 0.01]))
    geometry = ConeBeamGeometry(
        source_to_origin=500,
        source_to_detector=700,
        detector_shape=(48, 48),
        detector_pitch=(6, 6),
        volume_shape=(24, 24, 24),
        volume_spacing=(7, 7, 7),
        angles=np.arange(12) * np.pi / 6,
    )
    notes = agreement_notes(body.project(geometry, 1), geometry, change(body.averaged(geometry)))
    assert (not notes) if said is None else re.search(said, notes[0])


def test_a_truth_in_the_patients_coordinates_is_centred_and_exported_there(tmp_path):
    save_truth(tmp_path / "t.nii", BODY, affine_of(BODY, centre=(-120, 85, -900)))
    case = case_with(tmp_path, "t.nii")
    np.testing.assert_allclose(case.truth, BODY, atol=1e-6)
    assert "centred on the volume (its header says [48, 48, 48] around [-900, 85, -120])" in case.truth_note
    assert case.facts["patient"]["origin"] == pytest.approx((-120, 85, -900))
    image: Any = nibabel.load(exported(case, "nifti", tmp_path))
    np.testing.assert_allclose(image.affine, affine_of(BODY, centre=(-120, 85, -900)))


@pytest.mark.parametrize(
    ("values", "spacing", "centre"),
    [(BODY, 4.0, (16, 0, 0)), (BODY[:8], 4.0, (0, 0, -900)), (BODY, 0.4, (30, 0, 0)), (BODY, 4000.0, (0, 0, 47_000))],
)
def test_a_truth_that_does_not_fit_is_refused_until_its_place_is_given(tmp_path, values, spacing, centre):
    save_truth(tmp_path / "t.nii", values, affine_of(values, spacing, centre))
    where = r"scan.yaml: truth: expected a file whose box fits into the volume's: \[48, 48, 48\] around \[0, 0, 0\]"
    with pytest.raises(InputError, match=where + r".* in the header of .*t.nii. Say where its centre is \(truth.offset: \["):
        case_with(tmp_path, "t.nii")
    assert case_with(tmp_path, "t.nii", offset=[0, 0, 0]).truth is not None


def test_what_scan_yaml_says_goes_before_the_header(tmp_path):
    save_truth(tmp_path / "t.nii", BODY, affine_of(BODY, 1.0, (3, 0, 0)) @ np.diag([-1, 1, 1, 1]))
    case = case_with(tmp_path, "t.nii", axes=["z", "y", "x"], flip=["z"], extent=[BOX] * 3)
    np.testing.assert_allclose(case.truth, BODY[::-1], atol=1e-6)
    assert "axes as scan.yaml says" in case.truth_note and "stretched to truth.extent" in case.truth_note


def test_a_truth_without_a_place_in_its_header_fills_the_volume_as_before(tmp_path):
    save_truth(tmp_path / "t.nii", BODY, np.eye(4))
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(BODY), str(tmp_path / "t.nrrd"))
    np.save(tmp_path / "t.npy", BODY)
    for name in ("t.nii", "t.nrrd", "t.npy"):
        case = case_with(tmp_path, name)
        np.testing.assert_allclose(case.truth, BODY, atol=1e-6)
        assert ("no place in its header" in case.truth_note) == (name != "t.npy")


def test_an_oblique_truth_and_one_in_dicom(tmp_path):
    z, y, x = np.meshgrid(*[(np.arange(24) - 11.5) * 2.0] * 3, indexing="ij")
    turn = oblique(20)
    spot = turn.T @ np.array([6.0, -4.0, 8.0])
    blob = np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2 + (z - spot[2]) ** 2) / 50).astype(np.float32)
    affine = np.eye(4)
    affine[:3, :3] = turn * 2
    affine[:3, 3] = -turn @ np.full(3, 23.0)
    save_truth(tmp_path / "t.nii", blob, affine)
    case = case_with(tmp_path, "t.nii")
    centres = [case.scan.geometry.voxel_centres(axis) for axis in range(3)]
    found = [(case.truth.sum(rest) * place).sum() / case.truth.sum() for rest, place in zip([(1, 2), (0, 2), (0, 1)], centres, strict=True)]
    np.testing.assert_allclose(found, (8, -4, 6), atol=0.3)
    assert "oblique" in case.truth_note

    def edit(data: pydicom.Dataset, index: int) -> None:
        data.ImagePositionPatient, data.FrameOfReferenceUID, data.PixelSpacing = [-22, -22, 4.0 * index - 22], FRAME, [4, 4]

    series(tmp_path / "ct", 1000 * BODY - 1000, 4.0, edit)
    case = case_with(tmp_path, "ct", unit="HU", water=1.0)
    np.testing.assert_allclose(case.truth, np.trunc(1000 * BODY + 24) / 1000 - 0.024, atol=2e-3)
    assert case.facts["patient"]["frame_of_reference"] == FRAME


def test_a_run_on_a_dicom_series_exports_where_the_series_lies(tmp_path):
    path, place = dicom_source(tmp_path / "ct")
    out = tmp_path / "out"
    arguments = ["--views", "12", "--size", "20", "--methods", "sart", "--output", str(out), "--no-report", "--in-process"]
    assert main(["run", "--volume", str(path), *arguments]) == 0
    for kind in ("nifti", "dicom"):
        target = tmp_path / usual_name(kind, "export")
        assert main(["export", "sart", "--results", str(out), "--format", kind, "--hu", "--output", str(target)]) == 0
        found = read_placed_volume(target)
        where = np.array(np.unravel_index(found.values.argmax(), found.values.shape))
        assert found.centre is not None
        spot = np.array(found.centre) + ((where - (np.array(found.values.shape) - 1) / 2) * found.spacing)[::-1]
        np.testing.assert_allclose(spot, place, atol=1.01)  # half a voxel of the source
        assert found.frame == (FRAME if kind == "dicom" else "")
