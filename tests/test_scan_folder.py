"""A user's own scan: every file format, order, unit and sign gives the same scan; mistakes are said at once."""

from __future__ import annotations

import copy
import functools
import gzip
import json
import math
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import balls
import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile
import yaml
from foreign import centre_of_mass, reconstructed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from benchmark.api import Ellipsoids, Run
from benchmark.cli.main import main
from benchmark.datasets.folder import FolderParams, is_scan, load
from benchmark.errors import InputError
from benchmark.files.door import open_stack, read_rows
from benchmark.files.limits import memory_limit
from benchmark.methods.sart import SartParams
from benchmark.methods.sart.reconstruct import reconstruct as sart
from benchmark.metrics import register_metrics
from benchmark.metrics.scorer import Scorer
from benchmark.reconstruction.fdk import not_circular
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan_folder.load import open_scan_folder

CENTRE = (20.0, -10.0, 5.0)  # [mm]
SCANNER = dict(views=24, size=24, detector_shape=(30, 36), detector_pitch=(12.0, 11.0), detector_offset=(8.0, -12.0))
DESCRIPTION: dict[str, Any] = {
    "projections": {"file": "p.npy"},
    "geometry": {"source_to_origin": 500, "source_to_detector": 700, "detector_pitch": [12, 11], "detector_offset": [8, -12]},
    "angles": {"arc": 360},
    "volume": {"extent": [192, 192, 192]},
}


def ball(**changes: Any) -> tuple[ConeBeamGeometry, np.ndarray]:
    geometry = balls.scanner(**{**SCANNER, **changes})
    return geometry, balls.chords(geometry)


def describe(folder: Path, **sections: Any) -> Path:
    """Write scan.yaml: DESCRIPTION with some sections changed (a dict is merged, None removes)."""
    folder.mkdir(exist_ok=True)
    content = copy.deepcopy(DESCRIPTION)
    for name, value in sections.items():
        if isinstance(value, dict) and name in content:
            content[name].update(value)
            content[name] = {key: item for key, item in content[name].items() if item is not None}
        else:
            content[name] = value
    (folder / "scan.yaml").write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
    return folder


@pytest.fixture
def scan(tmp_path):
    np.save(tmp_path / "p.npy", ball()[1])
    return describe(tmp_path)


def everything(folder: Path) -> np.ndarray:
    measured = open_scan_folder(folder)
    return np.stack([measured.view(index) for index in range(measured.geometry.views)])


def test_a_ball_comes_out_where_it_was(scan):
    case = load(FolderParams(path=str(scan), views=16, heldout=4, size=24))
    geometry, projections = ball()
    assert case.scan.geometry.to_dict() == geometry.subset(case.training_views).to_dict()
    np.testing.assert_array_equal(case.scan.projections, projections[list(case.training_views)])
    np.testing.assert_array_equal(case.heldout.projections, projections[list(case.heldout_views)])
    assert case.truth is None
    np.testing.assert_allclose(centre_of_mass(reconstructed(case.scan), case.scan), CENTRE, atol=0.8)


# -- formats --------------------------------------------------------------------------------------------------------------


def save_images(folder: Path, images: np.ndarray, kind: str) -> None:
    folder.mkdir()
    for number, image in enumerate(images):
        if kind == "tif":
            tifffile.imwrite(folder / f"view{number}.tif", image)
        else:
            Image.fromarray(image).save(folder / f"view{number}.png")


def save_itk(path: Path, values: np.ndarray) -> None:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values), str(path))


def save_nifti(path: Path, values: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(values.transpose(2, 1, 0), np.eye(4)), path)


FORMATS = {
    "npy": lambda folder, p: np.save(folder / "p.npy", p),
    "npy fortran big-endian": lambda folder, p: np.save(folder / "p.npy", np.asfortranarray(p.astype(">f8"))),
    "npz": lambda folder, p: np.savez_compressed(folder / "p.npz", angles=np.zeros(3), p=p),
    "tif folder": lambda folder, p: save_images(folder / "p", p, "tif"),
    "tif pages": lambda folder, p: tifffile.imwrite(folder / "p.tif", p, photometric="minisblack"),
    "tif compressed": lambda folder, p: tifffile.imwrite(folder / "p.tif", p, photometric="minisblack", compression="zlib"),
    "nii": lambda folder, p: save_nifti(folder / "p.nii", p),
    "nii.gz": lambda folder, p: save_nifti(folder / "p.nii.gz", p),
    "nrrd": lambda folder, p: save_itk(folder / "p.nrrd", p),
    "mha": lambda folder, p: save_itk(folder / "p.mha", p),
    "mhd": lambda folder, p: save_itk(folder / "p.mhd", p),
    "raw": lambda folder, p: (folder / "p.raw").write_bytes(bytes(7) + p.astype(">f4").tobytes()),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_numbers(tmp_path, name):
    FORMATS[name](tmp_path, ball()[1])
    ending = name.split()[0]
    raw = {"shape": [24, 30, 36], "dtype": "float32", "byte_order": "big", "header_bytes": 7} if ending == "raw" else None
    describe(tmp_path, projections={"file": "p" if "folder" in name else f"p.{ending}", "raw": raw})
    np.testing.assert_array_equal(everything(tmp_path), ball()[1])


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_counted_photons_with_flat_and_dark_images(tmp_path, kind):
    projections = ball()[1]
    flat = np.linspace(50_000, 60_000, 36)[None].repeat(30, 0)
    counts = np.round(flat * np.exp(-projections) + 300).astype(np.uint16)
    save_images(tmp_path / "p", counts[:, ::-1], kind)
    save_images(tmp_path / "flat", np.stack([flat + 290, flat + 310])[:, ::-1].astype(np.uint16), kind)
    np.save(tmp_path / "dark.npy", np.full((30, 36), 300, np.uint16))
    describe(tmp_path, projections={"file": f"p/*.{kind}", "first_row": "top", "values": "intensities", "flat": "flat", "dark": "dark.npy"})
    np.testing.assert_allclose(everything(tmp_path), projections, atol=2e-4)


def test_pixels_that_count_nothing_stay_finite(tmp_path):
    counts = np.full((24, 30, 36), 1000, np.uint16)
    counts[3, 4, 5] = 0
    np.save(tmp_path / "p.npy", counts)
    describe(tmp_path, projections={"values": "intensities", "flat": 1000})
    assert everything(tmp_path).max() == pytest.approx(np.log(2000))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    axes=st.permutations(["view", "v", "u"]),
    top=st.booleans(),
    right=st.booleans(),
    clockwise=st.booleans(),
    unit=st.sampled_from(["mm", "cm", "m", "um"]),
    radians=st.booleans(),
    factor=st.sampled_from([1.0, 0.25]),
    angles=st.sampled_from(["arc", "step", "values", "file"]),
)
def test_every_order_unit_and_sign_gives_the_same_scan(tmp_path, axes, top, right, clockwise, unit, radians, factor, angles):
    heights = np.linspace(-5, 5, 24)
    geometry, projections = ball(arc=-360.0 if clockwise else 360.0, axis_shift=3.0, source_height=heights, detector_roll=0.02)
    stored = projections[:, :: -1 if top else 1, :: -1 if right else 1].transpose([("view", "v", "u").index(name) for name in axes])
    np.save(tmp_path / "p.npy", stored / factor)
    np.savetxt(tmp_path / "heights.txt", np.linspace(-5, 5, 24) / {"mm": 1, "cm": 10, "m": 1000, "um": 0.001}[unit])
    length = 1 / {"mm": 1, "cm": 10, "m": 1000, "um": 0.001}[unit]
    turn = np.pi / 180 if radians else 1
    np.savetxt(tmp_path / "angles.csv", np.arange(24) * 15 * turn)
    ways = {"arc": 360 * turn, "step": 15 * turn, "values": (np.arange(24) * 15 * turn).tolist(), "file": "angles.csv"}
    describe(
        tmp_path,
        length_unit=unit,
        angle_unit="radians" if radians else "degrees",
        projections={"axes": axes, "first_row": "top" if top else "bottom", "first_column": "right" if right else "left", "scale": factor},
        geometry={
            "source_to_origin": 500 * length,
            "source_to_detector": 700 * length,
            "detector_pitch": [12 * length, 11 * length],
            "detector_offset": [8 * length, -12 * length],
            "axis_shift": [3 * length] * 24,
            "source_height": "heights.txt",
            "detector_roll": 0.02 if radians else float(np.rad2deg(0.02)),
        },
        angles={"arc": None, angles: ways[angles], "rotation": "clockwise" if clockwise else "counter_clockwise"},
        volume={"extent": [192 * length] * 3},
    )
    np.testing.assert_allclose(everything(tmp_path), projections, atol=1e-6)
    measured = open_scan_folder(tmp_path)
    np.testing.assert_allclose(measured.geometry.vectors(), geometry.vectors(), atol=1e-6)
    np.testing.assert_allclose(measured.geometry.volume_extent, (192,) * 3)


def test_a_table_of_vectors_is_the_same_scan(tmp_path):
    geometry, projections = ball()
    vectors = geometry.vectors()
    np.save(tmp_path / "p.npy", projections[:, ::-1])
    vectors[:, 3] *= -1  # rows are stored from the top
    np.savetxt(tmp_path / "vectors.txt", vectors.reshape(24, 12))
    describe(tmp_path, projections={"first_row": "top"}, geometry=None, angles=None)
    content = yaml.safe_load((tmp_path / "scan.yaml").read_text())
    (tmp_path / "scan.yaml").write_text(yaml.safe_dump({**content, "geometry": {"vectors": "vectors.txt"}}))
    case = load(FolderParams(path=str(tmp_path), views=12, heldout=4, size=24))
    np.testing.assert_allclose(case.scan.geometry.vectors(), geometry.subset(case.training_views).vectors(), atol=1e-9)
    assert not case.scan.geometry.is_circular and "table of vectors" in str(not_circular(case.scan.geometry))
    np.testing.assert_allclose(centre_of_mass(reconstructed(case.scan), case.scan), CENTRE, atol=0.8)
    binned = case.scan.geometry.binned(4)  # 30 rows make 7 bins: two rows are cut at the top
    np.testing.assert_allclose(binned.vectors(), geometry.subset(case.training_views).binned(4).vectors(), atol=1e-9)
    again = ConeBeamGeometry.from_dict(json.loads(json.dumps(case.scan.geometry.to_dict())))
    assert again == case.scan.geometry


def test_the_default_box_is_what_the_detector_sees(scan):
    describe(scan, volume=None)
    geometry = open_scan_folder(scan).geometry
    assert geometry.volume_extent[0] == pytest.approx(2 * (180 + 8) * 5 / 7)
    assert geometry.volume_extent[1] == geometry.volume_extent[2] == pytest.approx(2 * 500 * np.sin(np.arctan(210 / 700)))


def test_truth_on_a_grid_of_its_own(scan):
    volume = np.random.default_rng(0).random((12, 16, 20)).astype(np.float32)
    save_itk(scan / "truth.nrrd", volume[:, ::-1])
    centimetres = {"source_to_origin": 50, "source_to_detector": 70, "detector_pitch": 1.2, "detector_offset": [0, 0]}
    box = {"extent": [12, 16, 20], "offset": [1, 2, 3]}
    describe(scan, length_unit="cm", geometry=centimetres, volume=box, truth={"file": "truth.nrrd", "flip": ["y"]})
    case = load(FolderParams(path=str(scan), views=4, heldout=2, size=20))
    assert case.scan.geometry.volume_shape == (12, 16, 20) and case.scan.geometry.volume_offset == (10, 20, 30)
    np.testing.assert_allclose(case.truth, volume / 10, rtol=1e-5)
    half = load(FolderParams(path=str(scan), views=4, heldout=2, size=10))
    np.testing.assert_allclose(half.truth, volume.reshape(6, 2, 8, 2, 10, 2).mean((1, 3, 5)) / 10, rtol=1e-5)
    np.save(scan / "hu.npy", np.array([-1000.0, 0, 1000, -3000]).reshape(1, 2, 2))
    describe(scan, truth={"file": "hu.npy", "unit": "HU", "water": 0.02, "extent": [192, 192, 192]})
    np.testing.assert_allclose(open_scan_folder(scan).truth().values.ravel(), [0, 0.02, 0.04, 0], atol=1e-9)


def test_views_of_the_owners_choice(scan):
    describe(scan, views={"training": list(range(0, 24, 2)), "heldout": [1, 3, 5]})
    case = load(FolderParams(path=str(scan), views=4, heldout=2, size=8))
    assert case.training_views == (0, 6, 12, 18) and set(case.heldout_views) < {1, 3, 5} and len(case.heldout_views) == 2
    assert load(FolderParams(path=str(scan), views=(1, 2), size=8)).heldout_views == (3, 5)
    describe(scan, views={"heldout": [24]})
    with pytest.raises(InputError, match="views.heldout: expected indices 0 .. 23, found 24"):
        open_scan_folder(scan)


def test_pixels_are_averaged_as_long_as_enough_are_left(scan):
    geometry = load(FolderParams(path=str(scan), views=4, heldout=0, size=12)).scan.geometry
    assert geometry.detector_shape == (10, 12) and geometry.detector_pitch == (36, 33)
    assert load(FolderParams(path=str(scan), views=4, heldout=0, size=12, bin=1)).scan.geometry.detector_shape == (30, 36)


# -- mistakes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sections", "found"),
    [
        ({"projections": None}, "projections: expected a section with its keys, found none"),
        ({"angles": None}, "angles: expected angles, found none"),
        ({"geometri": {}}, "geometri: expected one of .*Did you mean 'geometry'"),
        ({"geometry": {"source_to_orgin": 5}}, "geometry.source_to_orgin: .*Did you mean 'source_to_origin'"),
        ({"geometry": {"source_to_origin": None}}, "source_to_origin: expected a number, found none"),
        ({"geometry": {"source_to_origin": -500}}, "geometry.source_to_origin: expected greater than 0, found -500"),
        ({"geometry": {"source_to_origin": "far"}}, "geometry.source_to_origin: expected a valid number"),
        ({"geometry": {"source_to_origin": 800}}, "source_to_detector: expected more than source_to_origin = 800 mm"),
        ({"geometry": {"detector_pitch": [1, -1]}}, "geometry.detector_pitch: expected positive lengths"),
        ({"geometry": {"detector_offset": [0, float("nan")]}}, "geometry.detector_offset: expected a finite number"),
        ({"geometry": {"axis_shift": [1, 2]}}, "geometry.axis_shift: expected a number or 24 of them"),
        ({"geometry": {"vectors": "v.txt"}}, "vectors: expected nothing beside vectors"),
        ({"angles": {"step": 3}}, "angles: expected one of file, values, step, arc, found step, arc"),
        ({"angles": {"arc": None, "values": [1, 2]}}, "angles: expected one angle for each of the 24 views"),
        ({"angles": {"arc": None, "values": [k * math.pi / 12 for k in range(24)]}}, "expected angles in degrees, found 6.0214 degrees"),
        (
            {"angle_unit": "radians", "angles": {"arc": None, "values": [k * 15 for k in range(24)]}},
            "expected angles in radians, found 345",
        ),
        ({"angles": {"arc": None, "file": "none.txt"}}, "none.txt: expected a file, found none"),
        ({"angles": {"arc": float("inf")}}, "angles.arc: expected a finite number, found inf"),
        ({"volume": {"extent": [1, -1, 1]}}, "volume.extent: expected positive lengths"),
        ({"volume": {"extent": [1, 1]}}, "volume.extent: expected"),
        ({"volume": {"extent": [19200] * 3}}, "source_to_origin: expected a source outside the volume"),
        ({"volume": {"shape": [0, 1, 1]}}, "volume.shape: expected positive numbers"),
        ({"projections": {"file": "other.npy"}}, "other.npy: expected a file or folder, found none"),
        ({"projections": {"file": "../p.npy"}}, "projections.file: expected a file inside"),
        ({"projections": {"file": "/etc/passwd"}}, "projections.file: expected a file inside"),
        ({"projections": {"file": "p\0.npy"}}, "projections.file: expected a file inside"),
        ({"projections": {"file": "scan.yaml"}}, "scan.yaml: expected one of npy, npz, tif"),
        ({"projections": {"axes": ["view", "u"]}}, "axes: expected view, v and u, each once"),
        ({"projections": {"values": "intensities"}}, "flat: expected the intensity without object"),
        ({"projections": {"values": "intensities", "flat": 0.0}}, "flat: expected more than projections.dark in every pixel"),
        ({"projections": {"flat": 5}}, "flat, dark: expected values: intensities"),
        ({"projections": {"scale": 1e9}}, r"view 0: expected line integrals \(-log"),
        ({"projections": {"raw": {"shape": [24, 30, 36], "dtype": "float64"}}}, "p.npy: expected 207360 bytes"),
        ({"projections": {"raw": {"shape": [10**9, 30, 36], "dtype": "float64"}}}, "p.npy: expected 8640000000000 bytes"),
        ({"projections": {"raw": {"shape": [24, -30, 36], "dtype": "float32"}}}, "expected a shape of positive lengths"),
        ({"projections": {"raw": {"shape": [24, 30, 36], "dtype": "object"}}}, "projections.raw: expected"),
        ({"truth": {"file": "p.npy", "axes": ["z", "y", "y"]}}, "axes: expected z, y and x"),
        ({"truth": {"file": "p.npy", "extent": [1, 0, 1]}}, "truth.extent: expected positive lengths"),
        ({"version": 2}, "version: expected .*found 2"),
    ],
)
def test_a_mistake_in_scan_yaml(scan, sections, found):
    describe(scan, **sections)
    with pytest.raises(InputError, match=found):
        measured = open_scan_folder(scan)
        measured.view(0)
        measured.truth()


def test_all_mistakes_are_said_at_once_and_before_anything_runs(scan, capsys):
    describe(scan, geometry={"source_to_origin": "far", "pitch": 3}, angles={"arc": None}, color="red")
    assert main(["run", "--scan", str(scan), "--methods", "sart", "--output", str(scan / "out")]) == 2
    text = capsys.readouterr().err
    assert "4 mistakes" in text and all(word in text for word in ("'far'", "geometry.pitch", "one of file", "color"))
    assert not (scan / "out").exists()


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.system [touch HACKED]", "projections: !!python/name:os.system", "a: &a [*a]", "{", "5", "\x00"]
)
def test_yaml_that_is_none_of_ours(scan, text, monkeypatch):
    monkeypatch.chdir(scan)
    (scan / "scan.yaml").write_text(text)
    with pytest.raises(InputError, match="scan.yaml"):
        open_scan_folder(scan)
    assert not (scan / "HACKED").exists()


def test_no_view_is_of_both_kinds(scan, capsys):
    describe(scan, views={"training": [0, 1, 2, 3], "heldout": [3, 5]})
    with pytest.raises(InputError, match="heldout: expected views that are not in training, found 3, which is in both"):
        open_scan_folder(scan)


def test_views_that_the_scan_does_not_have(scan):
    with pytest.raises(ValidationError, match="views: expected 1 .. 24 views, found 50"):
        FolderParams(path=str(scan))
    assert len(load(FolderParams(path=str(scan), views=20)).heldout_views) == 4  # all that are left
    assert load(FolderParams(path=str(scan), views=24)).heldout is None


def test_a_folder_without_description(tmp_path):
    with pytest.raises(InputError, match="scan.yaml: expected a description of the scan, found no such file.*new-scan"):
        open_scan_folder(tmp_path)
    assert is_scan(describe(tmp_path)) and is_scan(tmp_path / "scan.yaml") and not is_scan(tmp_path / "x")


# -- broken files -----------------------------------------------------------------------------------------------------------


def bomb_npy(path: Path) -> None:
    """A header that declares more than any machine has."""
    np.save(path, np.zeros((2, 2, 2)))
    path.write_bytes(path.read_bytes().replace(b"(2, 2, 2), }       ", b"(999999999,2,2), }"[:19].ljust(19)))


def bomb_npz(path: Path) -> None:
    """A megabyte that unpacks to more than the memory."""
    header = np.lib.format.magic(1, 0)
    text = repr({"descr": "<f8", "fortran_order": False, "shape": (memory_limit() // 8, 2, 2)}).encode().ljust(116) + b"\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("p.npy", header + len(text).to_bytes(2, "little") + text + bytes(1 << 20))


def bomb_nii(path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4))
    image.header["dim"][1:4] = 32767
    path.write_bytes(gzip.compress(image.header.binaryblock + bytes(100)))


def bomb_mha(path: Path) -> None:
    save_itk(path, np.zeros((2, 2, 2), np.float32))
    path.write_bytes(path.read_bytes().replace(b"DimSize = 2 2 2", b"DimSize = 99999 99999 99999"))


def bomb_nrrd(path: Path) -> None:
    save_itk(path, np.zeros((2, 2, 2), np.float32))
    path.write_bytes(path.read_bytes().replace(b"sizes: 2 2 2", b"sizes: 99999 99999 99999"))


@pytest.mark.parametrize("bomb", [bomb_npy, bomb_npz, bomb_nii, bomb_mha, bomb_nrrd])
def test_a_header_that_asks_for_too_much_memory(scan, bomb):
    ending = bomb.__name__.split("_")[1] + (".gz" if bomb is bomb_nii else "")
    bomb(scan / f"bomb.{ending}")
    describe(scan, projections={"file": f"bomb.{ending}"})
    with pytest.raises(InputError, match="bomb"):
        open_scan_folder(scan)


def test_arrays_that_are_no_projections(scan):
    for array in (np.array([None]), np.array(["text"] * 8).reshape(2, 2, 2), np.zeros((2, 2)), np.zeros((2, 2, 2), complex)):
        np.save(scan / "p.npy", array, allow_pickle=True)
        with pytest.raises(InputError, match="p.npy: expected (an array of real numbers|three axes)"):
            open_scan_folder(scan)
    projections = ball()[1]
    projections[2, 3, 4] = np.nan
    np.save(scan / "p.npy", projections)
    with pytest.raises(InputError, match="p.npy: view 2: expected finite numbers, found NaN or Inf"):
        open_scan_folder(scan).view(2)


def test_image_folders_with_a_defect(tmp_path):
    save_images(tmp_path / "p", ball()[1], "tif")
    describe(tmp_path, projections={"file": "p"})
    (tmp_path / "p" / "view7.tif").rename(tmp_path / "seven.tif")
    with pytest.raises(InputError, match="a gapless series of images, found none between number 6 and 8"):
        open_scan_folder(tmp_path)
    tifffile.imwrite(tmp_path / "p" / "view7.tif", np.zeros((3, 4), np.float32))
    with pytest.raises(InputError, match=r"view7.tif: expected shape \(30, 36\)"):
        open_scan_folder(tmp_path).view(7)
    (tmp_path / "p" / "view7.tif").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="view7.tif: expected an undamaged"):
        open_scan_folder(tmp_path).view(7)
    save_images(tmp_path / "q", ball()[1][:20], "tif")
    save_images(tmp_path / "r", (60_000 * ball()[1][:12]).astype(np.uint16), "png")
    for image in (tmp_path / "r").iterdir():
        image.rename(tmp_path / "q" / image.name)
    describe(tmp_path, projections={"file": "q"})
    with pytest.raises(InputError, match="names that differ only in their numbers, found 20 like view0.tif; 12 like view0.png"):
        open_scan_folder(tmp_path)


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ("ElementDataFile = ../secret.raw", "its numbers in a file beside it, found ../secret.raw"),
        ("ElementDataFile = /etc/passwd", "found /etc/passwd"),
        ("ElementDataFile = p\0.raw", "its numbers in a file beside it"),
        ("ElementDataFile = none.raw", "none.raw beside it, found no such file"),
        ("ElementDataFile = LIST", "one file with the numbers"),
        ("ElementDataFile = p%02d.raw 1 3 1", "its numbers in a file beside it"),
    ],
)
def test_a_header_does_not_lead_out_of_its_folder(scan, head, found):
    text = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_FLOAT\n"
    (scan / "p.mhd").write_text(text + head + "\n")
    describe(scan, projections={"file": "p.mhd"})
    with pytest.raises(InputError, match=found):
        open_scan_folder(scan)


SMALL = np.linspace(0, 1, 2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
FUZZED = [name for name in FORMATS if name not in ("raw", "tif folder", "mhd", "npy fortran big-endian")]


def fuzz(folder: Path, name: str, cuts: list[tuple[int, int]], end: int | None) -> None:
    """A file with some bytes changed or cut off is read, or refused with one clear error that names it."""
    original = folder / "good"
    ending = name.split()[0]
    path = folder / f"p.{ending}"
    if not (original / name).exists():
        original.mkdir(exist_ok=True)
        FORMATS[name](folder, SMALL)
        (original / name).write_bytes(path.read_bytes())
        describe(folder, projections={"file": path.name})
    content = bytearray((original / name).read_bytes())
    for place, value in cuts:
        content[place % min(len(content), 600)] = value
    path.write_bytes(bytes(content if end is None else content[: end % (len(content) + 1)]))
    describe(folder, projections={"file": path.name})
    try:
        measured = open_scan_folder(folder)
        assert np.isfinite(measured.view(0)).all()
    except InputError as error:
        assert str(folder) in str(error) or "geometry" in str(error), error


damage = st.tuples(st.lists(st.tuples(st.integers(0, 599), st.integers(0, 255)), max_size=3), st.none() | st.integers(0, 10**5))


FEW = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])


@functools.cache
def undamaged(name: str) -> bytes:
    """The content of a small file of a format."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"p.{name.split()[0]}"
        if name == "png":
            Image.fromarray((60_000 * SMALL[0]).astype(np.uint16)).save(path)
        else:
            FORMATS[name](Path(folder), SMALL)
        return path.read_bytes()


@pytest.mark.parametrize("name", [*FUZZED, "png"])
@FEW
@given(harm=damage)
def test_a_damaged_file_is_read_or_one_clear_error(tmp_path, name, harm):
    cuts, end = harm
    content = bytearray(undamaged(name))
    for place, value in cuts:
        content[place % len(content)] = value
    path = tmp_path / f"p.{name.split()[0]}"
    path.write_bytes(bytes(content if end is None else content[: end % (len(content) + 1)]))
    try:
        open_stack(path).page(0)
    except InputError as error:
        assert str(path) in str(error)


@FEW
@given(content=st.binary(max_size=100) | st.text("0123456789.,-+einfa# \n", max_size=100).map(str.encode))
def test_any_table_is_finite_numbers_or_one_clear_error(tmp_path, content):
    (tmp_path / "angles.txt").write_bytes(content)
    try:
        assert np.isfinite(read_rows(tmp_path / "angles.txt")).all()
    except InputError as error:
        assert "angles.txt" in str(error)


ONE = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["HU", "p.npy", "../p.npy", 1e300, 2**70])


@FEW
@given(data=st.data())
def test_any_value_in_place_of_any_value_of_scan_yaml(tmp_path, data):
    if not (tmp_path / "p.npy").exists():
        np.save(tmp_path / "p.npy", ball()[1])
    content = copy.deepcopy({**DESCRIPTION, "name": "x", "truth": {"file": "p.npy"}, "views": {"heldout": [1]}})
    place = data.draw(st.sampled_from([content, *(content[name] for name in DESCRIPTION)]))
    place[data.draw(st.sampled_from([*place, "raw", "flat", "vectors", "step"]))] = data.draw(
        st.recursive(ONE, lambda items: st.lists(items, max_size=3) | st.dictionaries(st.text(), items, max_size=2), max_leaves=5)
    )
    (tmp_path / "scan.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    try:
        measured = open_scan_folder(tmp_path)
        measured.view(0)
        assert measured.truth is None or measured.truth().values.shape
    except InputError:
        pass


@FEW
@given(content=st.binary(max_size=100) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_scan_yaml_is_one_clear_error(tmp_path, content):
    (tmp_path / "scan.yaml").write_bytes(content)
    with pytest.raises(InputError, match="scan.yaml"):
        open_scan_folder(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUZZED)
@settings(deadline=None, max_examples=3000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(harm=damage)
def test_many_damaged_files(tmp_path, name, harm):
    fuzz(tmp_path, name, *harm)


# -- new-scan -----------------------------------------------------------------------------------------------------------------


def test_new_scan_writes_what_it_sees_and_run_does_the_rest(tmp_path, capsys):
    geometry, projections = ball()
    save_images(tmp_path / "images", np.round(60_000 * np.exp(-projections[:, ::-1])).astype(np.uint16), "tif")
    save_images(tmp_path / "flat", np.full((2, 30, 36), 60_000, np.uint16), "png")
    np.savetxt(tmp_path / "angles.txt", np.arange(24) * 15)
    np.savez(tmp_path / "truth.npz", mu=np.zeros((4, 4, 4), np.float32))
    assert main(["new-scan", str(tmp_path)]) == 0
    assert "replace the 3 values FILL_IN" in capsys.readouterr().out
    text = (tmp_path / "scan.yaml").read_text()
    assert "#   images: 24 x 30 x 36, uint16" in text and "file: images" in text and "flat: flat" in text
    assert "file: angles.txt" in text and "key: mu" in text and "values: intensities" in text
    for key, value in (("source_to_origin", "500"), ("source_to_detector", "700"), ("detector_pitch", "[12, 11]")):
        text = text.replace(f"{key}: FILL_IN", f"{key}: {value}")
    (tmp_path / "scan.yaml").write_text(text.replace("detector_offset: [0, 0]", "detector_offset: [8, -12]"))
    np.testing.assert_allclose(everything(tmp_path), projections, atol=1e-4)
    np.testing.assert_allclose(open_scan_folder(tmp_path).geometry.vectors(), geometry.vectors(), atol=1e-9)
    before = (tmp_path / "scan.yaml").read_text()
    assert main(["new-scan", str(tmp_path)]) == 2
    assert "expected no scan.yaml yet, found one (it is left alone)" in capsys.readouterr().err
    assert (tmp_path / "scan.yaml").read_text() == before


def test_new_scan_of_nothing(tmp_path, capsys):
    assert main(["new-scan", str(tmp_path)]) == 2
    assert "found nothing" in capsys.readouterr().err
    assert main(["new-scan", str(tmp_path / "x")]) == 2
    assert os.listdir(tmp_path) == []


def test_new_scan_of_raw_numbers(tmp_path):
    (tmp_path / "proj.raw").write_bytes(bytes(48))
    assert main(["new-scan", str(tmp_path)]) == 0
    text = (tmp_path / "scan.yaml").read_text()
    assert "proj.raw: raw numbers, 48 bytes" not in text.split("version")[1] and "raw: {shape: FILL_IN" in text


def test_scan_of_something_else(tmp_path, capsys):
    assert main(["run", "--scan", str(tmp_path), "--methods", "sart"]) == 2
    assert "new-scan" in capsys.readouterr().err
    assert main(["run", "--scan", str(tmp_path), "--datasets", "ball"]) == 2
    assert "expected a dataset that takes a path, found --datasets ball" in capsys.readouterr().err
    for more in (["--datasets", "folder,ball"], ["--volume", "x.npy"]):
        assert main(["run", "--scan", str(tmp_path), *more]) == 2
        assert "expected one of --scan and --volume, and at most one dataset" in capsys.readouterr().err


def test_a_body_larger_than_the_box_is_said_and_a_margin_mends_it(tmp_path):
    body = Ellipsoids(np.array([[5.0, -8, 4], [8, 3, -2]]), np.array([[70.0, 55, 65], [9, 12, 7]]), np.array([0.02, 0.015]))
    box = balls.scanner(views=24, size=6, volume_spacing=(10.0,) * 3, detector_shape=(24, 24), detector_pitch=(16.0, 16.0))
    np.save(tmp_path / "p.npy", body.project(box, 2))
    np.save(tmp_path / "truth.npy", body.averaged(box))
    whole = {
        "projections": {"file": "p.npy"},
        "geometry": {"source_to_origin": 500, "source_to_detector": 700, "detector_pitch": 16},
        "angles": {"arc": 360},
        "truth": {"file": "truth.npy", "extent": [60, 60, 60]},
    }
    psnr, shapes = {}, {}
    for name, volume in {"box": {"extent": [60] * 3}, "margin": {"extent": [60] * 3, "margin": 50}, "auto": {"extent": "auto"}}.items():
        (tmp_path / "scan.yaml").write_text(yaml.safe_dump({**whole, "volume": volume}))
        case = load(FolderParams(path=str(tmp_path), views=20, heldout=4, size=6, bin=1))
        found = sart(case.scan, SartParams(iterations=4), Run())
        psnr[name] = Scorer(case, register_metrics()).volume_psnr(found.volume)
        shapes[name] = case.truth.shape
        assert any("volume.extent" in note for note in case.notes) == (name == "box"), case.notes
        part = tuple(slice(*ends) for ends in case.facts.get("scored", ()))
        np.testing.assert_allclose(case.truth[part], body.averaged(box), rtol=1e-5, atol=1e-7)
    assert shapes == {"box": (6, 6, 6), "margin": (16, 16, 16), "auto": shapes["auto"]} and min(shapes["auto"]) >= 24
    assert psnr["margin"] > psnr["box"] + 15 and psnr["auto"] > psnr["box"] + 15
    (tmp_path / "scan.yaml").write_text(yaml.safe_dump({**whole, "truth": {"file": "truth.npy"}, "volume": {"extent": "auto"}}))
    with pytest.raises(InputError, match="truth.extent: expected the truth's edge lengths"):
        open_scan_folder(tmp_path)
