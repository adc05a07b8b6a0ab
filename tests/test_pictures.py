"""One image file per view: every format gives the same numbers, in the right order, one file at a time."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
import tifffile
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, XRayAngiographicImageStorage, generate_uid
from test_scan_folder import describe

from benchmark.errors import InputError
from benchmark.files.door import open_stack
from benchmark.scan_folder.load import open_scan_folder

COUNTS = np.random.default_rng(3).integers(1000, 60_000, (12, 6, 8)).astype(np.uint16)
GREY = (COUNTS >> 8).astype(np.uint8)


def save_his(path: Path, images: np.ndarray) -> None:
    """Heimann / Perkin-Elmer: 68 bytes of file header, 32 of the detector's, frames of uint16."""
    frames, rows, columns = images.shape
    head = struct.pack("<HHHIHHHHHHHdH", 0x7000, 68, 100, 0, 32, 1, 1, columns, rows, frames, 0, 133.0, 4)
    path.write_bytes(head.ljust(100, b"\0") + images.astype("<u2").tobytes())


def save_edf(path: Path, image: np.ndarray) -> None:
    head = f"{{\nHeaderID = EH:000001:000000:000000 ;\nByteOrder = LowByteFirst ;\nDataType = UnsignedShort ;\nDim_1 = {image.shape[1]} ;\n"
    head += f"Dim_2 = {image.shape[0]} ;\nSize = {image.nbytes} ;\n"
    path.write_bytes(head.ljust(1022).encode() + b"}\n" + image.astype("<u2").tobytes())


def save_dicom(path: Path, images: np.ndarray, number: int | None = None, **changes: Any) -> None:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = XRayAngiographicImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SeriesInstanceUID, dataset.Modality, dataset.PatientName = "1.2.3", "XA", "x"
    if number is not None:
        dataset.InstanceNumber = number
    if len(images) > 1:
        dataset.NumberOfFrames = len(images)
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel, dataset.PhotometricInterpretation = *images.shape[1:], 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = images.astype("<u2").tobytes()
    for key, value in changes.items():
        setattr(dataset, key, value)
    dataset.save_as(path, enforce_file_format=True)


SAVE = {
    "tif": tifffile.imwrite,
    "png": lambda path, image: Image.fromarray(image).save(path),
    "bmp": lambda path, image: Image.fromarray((image >> 8).astype(np.uint8)).save(path),
    "npy": np.save,
    "his": lambda path, image: save_his(path, image[None]),
    "edf": save_edf,
    "mha": lambda path, image: SimpleITK.WriteImage(SimpleITK.GetImageFromArray(image), str(path)),
    "mhd": lambda path, image: SimpleITK.WriteImage(SimpleITK.GetImageFromArray(image[None]), str(path)),
    "nrrd": lambda path, image: SimpleITK.WriteImage(SimpleITK.GetImageFromArray(image), str(path)),
    "raw": lambda path, image: path.write_bytes(bytes(5) + image.astype(">u2").tobytes()),
}


@pytest.mark.parametrize("kind", SAVE)
@pytest.mark.parametrize("file", ["views", "views/*."])
def test_one_file_per_view(tmp_path, kind, file):
    if kind == "edf":
        pytest.importorskip("fabio")
    (tmp_path / "views").mkdir()
    for k, image in enumerate(COUNTS):
        SAVE[kind](tmp_path / "views" / f"view{k}.{kind}", image)
    if kind == "mhd" and file == "views":
        assert len(list((tmp_path / "views").glob("*.raw"))) == 12
    raw = {"shape": [6, 8], "dtype": "uint16", "byte_order": "big", "header_bytes": 5} if kind == "raw" else None
    name = file + kind if file.endswith(".") else file
    scale = 1 / 256 if kind != "bmp" else 1.0
    describe(tmp_path, projections={"file": name, "raw": raw, "scale": scale})
    measured = open_scan_folder(tmp_path)
    found = np.stack([measured.view(k) for k in range(12)])
    np.testing.assert_array_equal(found, GREY if kind == "bmp" else COUNTS.astype(np.float32) / 256)


@pytest.mark.parametrize("shape", [[6, 8], [1, 6, 8], [12, 6, 8]])
def test_shapes_of_raw_files(tmp_path, shape):
    (tmp_path / "views").mkdir()
    for k, image in enumerate(COUNTS):
        (tmp_path / "views" / f"{44 + k:04d}.raw").write_bytes(image.tobytes())
    for file in ("views", "views/*.raw"):
        describe(tmp_path, projections={"file": file, "raw": {"shape": shape, "dtype": "uint16"}, "scale": 0.01})
        np.testing.assert_array_equal(open_scan_folder(tmp_path).view(11), COUNTS[11] * np.float32(0.01))
    describe(tmp_path, projections={"file": "views", "raw": {"shape": [5, 6, 8], "dtype": "uint16"}})
    with pytest.raises(
        InputError, match=r"views/\*: expected \[v, u\] of one file, or \[12, v, u\] of all 12 files, found raw.shape \[5, 6, 8\]"
    ):
        open_scan_folder(tmp_path)
    (tmp_path / "views" / "0050.raw").write_bytes(bytes(95))
    describe(tmp_path, projections={"file": "views", "raw": {"shape": shape, "dtype": "uint16"}})
    with pytest.raises(InputError, match="0050.raw: expected 96 bytes .* found 95 bytes"):
        open_scan_folder(tmp_path)


@pytest.mark.parametrize(
    ("size", "shape", "fits"),
    [
        (2304 + 1024, [12, 12, 8], "raw.header_bytes: 1024"),
        (4608, [12, 12, 8], "raw.dtype: float32"),
        (2304 - 192, [12, 12, 8], r"raw.shape: \[11, 12, 8\]"),
        (12 * 2 * 256, [12, 15, 17], r"raw.shape: \[12, 16, 16\]"),
        (77, [12, 12, 8], "found 77 bytes. Check raw.shape"),
    ],
)
def test_what_would_fit_the_size_of_a_raw_file(tmp_path, size, shape, fits):
    (tmp_path / "p.raw").write_bytes(bytes(size))
    describe(tmp_path, projections={"file": "p.raw", "raw": {"shape": shape, "dtype": "uint16"}})
    with pytest.raises(InputError, match=fits):
        open_scan_folder(tmp_path)


def test_files_with_many_images(tmp_path):
    save_his(tmp_path / "p.his", COUNTS)
    save_dicom(tmp_path / "p.dcm", COUNTS)
    for name in ("p.his", "p.dcm"):
        stack = open_stack(tmp_path / name)
        assert stack.shape == COUNTS.shape and stack.dtype == np.uint16
        np.testing.assert_array_equal(stack.load(), COUNTS)
    (tmp_path / "pages").mkdir()
    for k in range(3):
        tifffile.imwrite(tmp_path / "pages" / f"v{k}.tif", COUNTS, photometric="minisblack")
    with pytest.raises(InputError, match="one image in each file, found 12 in each of 3 files"):
        open_stack(tmp_path / "pages")


def test_dicom_views_in_the_order_of_their_headers(tmp_path, caplog):
    for k, image in enumerate(COUNTS):
        save_dicom(tmp_path / f"IM{(5 * k) % 12:02d}", image[None], k + 1, RescaleSlope="0.5", RescaleIntercept="-7")
    save_dicom(tmp_path / "IM77", COUNTS[:1], 77)
    report = pydicom.dcmread(tmp_path / "IM77")
    for key in ("Rows", "Columns", "PixelData"):
        delattr(report, key)
    report.save_as(tmp_path / "IM77")
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    stack = open_stack(tmp_path)
    np.testing.assert_array_equal(stack.load(), COUNTS * 0.5 - 7)
    assert "12 DICOM images are used; left out, since they hold no image: IM77" in caplog.text
    save_dicom(tmp_path / "IM77", COUNTS[:1], 77, SeriesInstanceUID="1.2.4")
    with pytest.raises(InputError, match="expected one DICOM series, found 2"):
        open_stack(tmp_path)


def test_dicom_views_by_time_and_by_name(tmp_path, caplog):
    for k, image in enumerate(COUNTS):
        save_dicom(tmp_path / f"{11 - k}.dcm", image[None], 1, AcquisitionTime=f"1015{k:02d}", PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(open_stack(tmp_path).load(), COUNTS)
    assert "MONOCHROME1 only says how to show the images" in caplog.text
    for k, image in enumerate(COUNTS):
        save_dicom(tmp_path / f"{k}.dcm", image[None])
    np.testing.assert_array_equal(open_stack(tmp_path / "*.dcm").load(), COUNTS)
    save_dicom(tmp_path / "0.dcm", COUNTS[:1], PhotometricInterpretation="RGB", SamplesPerPixel=3)
    with pytest.raises(InputError, match="0.dcm: expected grey images, found 3 values a pixel, RGB"):
        open_stack(tmp_path)


def test_images_that_lost_their_numbers(tmp_path):
    Image.fromarray(GREY[0]).save(tmp_path / "v0.jpg")
    for path in (tmp_path, tmp_path / "v0.jpg"):
        with pytest.raises(InputError, match="v0.jpg: expected images without loss, found a JPEG"):
            open_stack(path)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "v.bmp")
    with pytest.raises(InputError, match="expected one grey image, found colours"):
        open_stack(tmp_path / "v.bmp")


def test_a_folder_of_something_else_with_one_image(tmp_path, caplog):
    Image.fromarray(GREY[0]).save(tmp_path / "preview.png")
    for k, image in enumerate(COUNTS):
        (tmp_path / f"{k}.xyz").write_bytes(image.tobytes())
    with pytest.raises(InputError, match="expected images for the most part, found 1 beside 12 like 0.xyz.*projections.raw"):
        open_stack(tmp_path)
    for k, image in enumerate(COUNTS):
        (tmp_path / f"{k}.xyz").unlink()
        save_dicom(tmp_path / f"{k}.dcm", image[None], k)
    assert open_stack(tmp_path).shape == COUNTS.shape and "left out: preview.png" in caplog.text
    for k in range(9):
        Image.fromarray(GREY[0]).save(tmp_path / f"{k}.png")
    with pytest.raises(InputError, match="images of one kind, found 10 .png and 12 DICOM files"):
        open_stack(tmp_path)


def test_flats_as_raw_as_the_projections(tmp_path):
    (tmp_path / "p.raw").write_bytes(np.full((12, 6, 8), 100, ">u2").tobytes())
    (tmp_path / "flat.raw").write_bytes(np.stack([np.full((6, 8), value) for value in (190, 210)]).astype(">u2").tobytes())
    raw = {"shape": [12, 6, 8], "dtype": "uint16", "byte_order": "big"}
    describe(tmp_path, projections={"file": "p.raw", "raw": raw, "values": "intensities", "flat": "flat.raw"})
    np.testing.assert_allclose(open_scan_folder(tmp_path).view(0), np.log(2), rtol=1e-6)
    (tmp_path / "flat.raw").write_bytes(bytes(95))
    with pytest.raises(InputError, match="flat.raw: expected 96 bytes"):
        open_scan_folder(tmp_path)


def test_pages_that_are_previews(tmp_path):
    for k, image in enumerate(COUNTS):
        with tifffile.TiffWriter(tmp_path / f"v{k}.tif") as file:
            file.write(image)
            file.write(image[::2, ::2])
    np.testing.assert_array_equal(open_stack(tmp_path / "v??.tif").load(), COUNTS[10:])
    np.testing.assert_array_equal(open_stack(tmp_path / "v[0-9]*.tif").load(), COUNTS)


def test_flats_may_have_any_names(tmp_path):
    np.save(tmp_path / "p.npy", np.full((12, 6, 8), 100, np.uint16))
    (tmp_path / "flat").mkdir()
    for name, value in (("before.tif", 190), ("after.tif", 210)):
        tifffile.imwrite(tmp_path / "flat" / name, np.full((6, 8), value, np.uint16))
    save_edf(tmp_path / "dark.edf", np.zeros((6, 8), np.uint16))
    describe(tmp_path, projections={"values": "intensities", "flat": "flat", "dark": "dark.edf"})
    np.testing.assert_allclose(open_scan_folder(tmp_path).view(0), np.log(2), rtol=1e-6)


def test_edf_that_is_cut_off_or_points_elsewhere(tmp_path):
    pytest.importorskip("fabio")
    path = tmp_path / "v.edf"
    save_edf(path, COUNTS[0])
    whole = path.read_bytes()
    for content in (whole[:-1], whole[:-50], whole.replace(b"Dim_1 = 8 ", b"Dim_1 = 9 ")):
        path.write_bytes(content)
        with pytest.raises(InputError, match="v.edf: expected (96|108) bytes of numbers, found"):
            open_stack(path).page(0)
    (tmp_path / "secret").write_bytes(bytes(96))
    path.write_bytes(whole.replace(b"Size = 96 ;", b"EDF_BinaryFileName = secret ; EDF_BinarySize = 96 ;").replace(b" " * 45, b"", 1))
    with pytest.raises(InputError, match="v.edf"):
        open_stack(path).page(0)


@pytest.mark.parametrize("kind", ["his", "edf", "bmp"])
def test_damaged_files_name_themselves(tmp_path, kind):
    path = tmp_path / f"v.{kind}"
    SAVE[kind](path, COUNTS[0])
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for trial in range(150):
        content = bytearray(whole[: rng.integers(len(whole))] if trial % 3 == 0 else whole)
        for place in rng.integers(0, max(1, min(len(content), 200)), 3 if content else 0):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            open_stack(path).page(0)
        except InputError as error:
            assert str(path) in str(error)
