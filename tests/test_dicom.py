"""DICOM as hospitals export it: rounded or missing positions, whole discs, multi-frame files, padding; never a wrong volume silently."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from benchmark.errors import InputError
from benchmark.files.dicom import read_series
from benchmark.files.volume import read_volume_file, volume_format

ROWS, COLUMNS = 6, 8
CT, ENHANCED_CT, REPORT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.88.67"


def body(slices: int = 12) -> np.ndarray:
    """HU [z, y, x] in the patient's right, front, head; a frame of air around noise."""
    values = np.full((slices, ROWS, COLUMNS), -1000, np.float32)
    values[:, 1:-1, 1:-1] = np.random.default_rng(3).integers(-900, 900, (slices, ROWS - 2, COLUMNS - 2))
    return values


def blank(kind: str = CT) -> Dataset:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = UID(kind)
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.Modality = "CT"
    return data


def pixel(data: Dataset, stored: np.ndarray) -> Dataset:
    data.Rows, data.Columns = stored.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, int(stored.dtype == np.int16)
    data.PixelData = stored.tobytes()
    return data


def series(
    folder: Path, hu: np.ndarray, step: float = 2.0, edit: Callable[[Dataset, int], object] | None = None, suffix: str = ".dcm"
) -> Path:
    """Write slices as a scanner does: rows to the patient's left, columns to the back, positions along z."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = generate_uid()
    for index, image in enumerate(hu[:, ::-1, ::-1]):
        data = pixel(blank(), (image + 1024).astype(np.int16))
        data.SeriesInstanceUID, data.InstanceNumber = uid, index + 1
        data.PixelSpacing, data.SliceThickness = [1.5, 1.5], step
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.ImagePositionPatient = [0, 0, round(index * step, 6)]
        data.RescaleSlope, data.RescaleIntercept = 1, -1024
        if edit:
            edit(data, index)
        data.save_as(folder / f"{(index * 5) % 97:03d}{suffix}", enforce_file_format=True)
    return folder


def multiframe(path: Path, hu: np.ndarray, step: float = 2.0, edit: Callable[[Dataset], object] | None = None) -> Path:
    """Write an enhanced CT file, frames in reverse order, slope and intercept per frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = blank(ENHANCED_CT)
    data.SeriesInstanceUID, data.NumberOfFrames = generate_uid(), len(hu)
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [1.5, 1.5], step
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    frames, stored = [], []
    for index in reversed(range(len(hu))):
        frame, place, value = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, index * step]
        value.RescaleSlope, value.RescaleIntercept = 0.5, -1024 - index
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [place], [value]
        frames.append(frame)
        stored.append(((hu[index, ::-1, ::-1] + 1024 + index) * 2).astype(np.int16))
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = [shared], frames
    pixel(data, np.stack(stored))
    if edit:
        edit(data)
    data.save_as(path, enforce_file_format=True)
    return path


# -- positions --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("decimals", "step"), [(1, 0.625), (2, 0.625), (1, 0.33), (0, 2.5), (1, 3.01), (2, 0.0457)])
@pytest.mark.parametrize("nominal", [True, False])
def test_rounded_positions_are_those_of_even_slices(tmp_path, decimals, step, nominal):
    def edit(data: Dataset, index: int) -> None:
        data.ImagePositionPatient = ["-200.123", "-200.123", f"{-100.3 + index * step:.{decimals}f}"]
        if not nominal:
            del data.SliceThickness

    image = read_series(series(tmp_path / "x", body(40), step, edit))
    np.testing.assert_array_equal(image.values[:, ::-1, ::-1], body(40))
    assert image.spacing[0] == pytest.approx(step, rel=1e-9 if nominal else 1.01 * 10**-decimals / step / 39)
    assert f"slice positions rounded to {10**-decimals:g} mm" in image.note


@pytest.mark.parametrize(("decimals", "step"), [(1, 0.625), (2, 0.625), (1, 0.33), (0, 2.5), (1, 0.2)])
@pytest.mark.parametrize("gone", [1, 17, 38])
def test_a_slice_missing_between_rounded_positions_is_said(tmp_path, decimals, step, gone):
    def edit(data: Dataset, index: int) -> None:
        data.ImagePositionPatient = ["0", "0", f"{-100.3 + (index + (index >= gone)) * step:.{decimals}f}"]

    with pytest.raises(InputError, match="expected 39 slices every"):
        read_series(series(tmp_path / "x", body(39), step, edit))


def without(*names: str) -> Callable[[Dataset, int], None]:
    def edit(data: Dataset, index: int) -> None:
        for name in names:
            delattr(data, name)

    return edit


PLACES = ("ImagePositionPatient", "ImageOrientationPatient")


def test_slices_without_positions_go_by_number_and_thickness(tmp_path):
    image = read_series(series(tmp_path / "x", body(), 2.5, without(*PLACES)))
    np.testing.assert_array_equal(image.values[:, ::-1, ::-1], body())
    assert image.spacing == pytest.approx((2.5, 1.5, 1.5)) and not image.stated
    assert "no positions in the files: slices by number (the first at the feet), every 2.5 mm" in image.note

    def located(data: Dataset, index: int) -> None:
        without(*PLACES)(data, index)
        data.SliceLocation, data.InstanceNumber = -1.25 * index, 1

    image = read_series(series(tmp_path / "y", body(), 2.5, located))
    np.testing.assert_array_equal(image.values[::-1, ::-1, ::-1], body())
    assert image.spacing[0] == pytest.approx(1.25) and "placed by SliceLocation" in image.note


def test_slices_without_any_lengths_need_a_spacing(tmp_path):
    folder = series(tmp_path / "x", body(), 2.5, without(*PLACES, "SliceThickness", "PixelSpacing"))
    with pytest.raises(InputError, match=r"PixelSpacing: expected 2 numbers, found None. Give .* --set volume.spacing=0.5"):
        read_volume_file(folder)
    values, spacing, note = read_volume_file(folder, spacing=(3.0, 2.0, 1.0))
    np.testing.assert_array_equal(values, body())
    assert spacing == (3, 2, 1) and "every 3 mm as given" in note
    with pytest.raises(InputError, match="spacing: expected none, since the file has its own"):
        read_volume_file(series(tmp_path / "y", body()), spacing=1.0)


def test_a_number_that_is_missing_and_numbers_that_are_alike(tmp_path):
    folder = series(tmp_path / "x", body(), 2.0, without(*PLACES))
    next(path for path in folder.iterdir() if pydicom.dcmread(path).InstanceNumber == 5).unlink()
    with pytest.raises(InputError, match="expected 11 slices every 1 numbers, found .* 2 numbers apart"):
        read_series(folder)

    def alike(data: Dataset, index: int) -> None:
        without(*PLACES)(data, index)
        data.InstanceNumber = 1

    with pytest.raises(InputError, match="expected slices with positions or with different InstanceNumber"):
        read_series(series(tmp_path / "y", body(), 2.0, alike))


def test_a_tilted_gantry(tmp_path):
    def tilt(data: Dataset, index: int) -> None:
        data.ImageOrientationPatient = [1, 0, 0, 0, np.cos(0.3), -np.sin(0.3)]
        data.ImagePositionPatient = [0, 0, 2 * index]

    image = read_series(series(tmp_path / "x", body(), 2.0, tilt))
    np.testing.assert_allclose(image.axes[:, 2], (0, 0, 2), atol=1e-9)  # slices follow each other along the table, not their normal
    values, spacing, note = read_volume_file(tmp_path / "x", outside=-1000.0)
    assert "oblique" in note and spacing == pytest.approx((2, 1.5, 1.5)) and len(values) > 12


# -- discs ------------------------------------------------------------------------------------------------------------------


def report(path: Path) -> None:
    data = blank(REPORT)
    data.Modality, data.SeriesInstanceUID = "SR", generate_uid()
    data.save_as(path, enforce_file_format=True)


def scout(data: Dataset, index: int) -> None:
    data.ImageType, data.ImageOrientationPatient = ["ORIGINAL", "PRIMARY", "LOCALIZER"], [1, 0, 0, 0, 0, -1]


def test_reports_scouts_directories_and_copies_are_left_out_and_named(tmp_path):
    folder = series(tmp_path / "x", body())
    report(folder / "dose.dcm")
    series(tmp_path / "s", body(1), edit=scout)
    shutil.copy(tmp_path / "s" / "000.dcm", folder / "scout.dcm")
    shutil.copy(folder / "005.dcm", folder / "copy.dcm")
    (folder / "._000.dcm").write_bytes(b"a Macintosh's")
    image = read_series(folder)
    np.testing.assert_array_equal(image.values[:, ::-1, ::-1], body())
    assert image.note == ", left out: 1 files without pixels, 1 scouts, 1 copies"
    with pytest.raises(InputError, match="scout.dcm: expected a slice of a volume, found a scout"):
        read_series(folder / "scout.dcm")


def disc(folder: Path, *sizes: int) -> Path:
    """A disc with a report and a series of each size, files without suffix."""
    report_folder = folder / "DICOM" / "SR0"
    report_folder.mkdir(parents=True)
    report(report_folder / "0001")
    for number, size in enumerate(sizes):

        def named(data: Dataset, index: int, number: int = number) -> None:
            data.SeriesDescription = f"series {number}"

        series(folder / "DICOM" / f"SE{number}", body(size), edit=named, suffix="")
    return folder


def test_a_whole_disc_with_one_series(tmp_path):
    folder = disc(tmp_path / "disc", 12)
    assert volume_format(folder) == "dicom"
    values, _, note = read_volume_file(folder)
    np.testing.assert_array_equal(values, body())
    assert note == ", left out: 1 files without pixels"


def test_a_disc_with_several_series_names_them_and_a_file_chooses(tmp_path):
    folder = disc(tmp_path / "disc", 12, 5)
    found = "found 2: DICOM/SE0/000 (12 files, series 0), DICOM/SE1/000 (5 files, series 1). Give one file of the series"
    with pytest.raises(InputError, match=re.escape(found)):
        read_series(folder)
    assert len(read_series(folder / "DICOM" / "SE1" / "000").values) == 5
    assert len(read_series(folder / "DICOM" / "SE0").values) == 12

    mixed = series(tmp_path / "mixed", body())
    for path in series(tmp_path / "other", body(3)).iterdir():
        shutil.copy(path, mixed / f"b{path.name}")
    assert len(read_series(mixed / "b000.dcm").values) == 3 and len(read_series(mixed / "000.dcm").values) == 12


def test_the_only_ct_among_other_modalities(tmp_path):
    def magnetic(data: Dataset, index: int) -> None:
        data.Modality = "MR"

    series(tmp_path / "disc" / "mr", body(4), edit=magnetic)
    series(tmp_path / "disc" / "ct", body())
    image = read_series(tmp_path / "disc")
    assert len(image.values) == 12 and image.note == ", left out: 4 files of other modalities"


def test_a_page_captured_from_the_screen_is_no_series(tmp_path):
    def captured(data: Dataset, index: int) -> None:
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.7")
        without(*PLACES, "PixelSpacing")(data, index)

    series(tmp_path / "disc" / "ct", body())
    series(tmp_path / "disc" / "dose", body(1), edit=captured)
    image = read_series(tmp_path / "disc")
    assert len(image.values) == 12 and image.note == ", left out: 1 captured pages"


# -- frames, padding and signs ----------------------------------------------------------------------------------------------


def test_frames_of_one_file_with_slopes_and_positions_of_their_own(tmp_path):
    image = read_series(multiframe(tmp_path / "x.dcm", body()))
    np.testing.assert_array_equal(image.values[:, ::-1, ::-1], body())
    assert image.spacing == pytest.approx((2, 1.5, 1.5)) and image.origin == pytest.approx((0, 0, 0))


def test_frames_without_positions(tmp_path):
    def one_place(data: Dataset) -> None:
        del data.PerFrameFunctionalGroupsSequence
        data.ImagePositionPatient, data.ImageOrientationPatient = [1, 2, 3], [1, 0, 0, 0, 1, 0]
        data.PixelSpacing, data.SpacingBetweenSlices = [1.5, 1.5], 2.5
        data.RescaleSlope, data.RescaleIntercept = 0.5, -1024

    image = read_series(multiframe(tmp_path / "a" / "x.dcm", body(), edit=one_place))
    assert image.spacing == pytest.approx((2.5, 1.5, 1.5)) and image.origin == pytest.approx((-1, -2, 3))

    def no_place(data: Dataset) -> None:
        one_place(data)
        del data.ImagePositionPatient, data.ImageOrientationPatient

    image = read_series(multiframe(tmp_path / "b" / "x.dcm", body(), edit=no_place))
    assert image.spacing[0] == pytest.approx(2.5) and "slices by number" in image.note


def test_frames_that_contradict_their_header(tmp_path):
    def fewer(data: Dataset) -> None:
        data.PerFrameFunctionalGroupsSequence = data.PerFrameFunctionalGroupsSequence[:-1]

    with pytest.raises(InputError, match="NumberOfFrames: expected 1 .. 20000, each with its functional group, found 12 and 11 groups"):
        read_series(multiframe(tmp_path / "a" / "x.dcm", body(), edit=fewer))

    def short(data: Dataset) -> None:
        data.PixelData = data.PixelData[:-200]

    with pytest.raises(InputError, match="expected pixels that can be read"):
        read_series(multiframe(tmp_path / "b" / "x.dcm", body(), edit=short))


@pytest.mark.parametrize("keys", [{"PixelPaddingValue": 3000}, {"PixelPaddingValue": 2900, "PixelPaddingRangeLimit": 3000}])
def test_padding_outside_of_the_field_of_view_is_air_and_inside_a_value(tmp_path, keys):
    padded = body()
    padded[:, 0], padded[:, -1, 3:] = 3000 - 1024, 3000 - 1024
    padded[4, 3, 3] = 3000 - 1024  # as bright as padding, but inside

    def edit(data: Dataset, index: int) -> None:
        for key, value in keys.items():
            data.add_new(key, "SS", value)

    wanted = body()
    wanted[4, 3, 3] = 3000 - 1024
    np.testing.assert_array_equal(read_series(series(tmp_path / "x", padded, edit=edit)).values[:, ::-1, ::-1], wanted)


def test_signed_values_of_twelve_bits_and_a_slope_per_slice(tmp_path):
    def signed(data: Dataset, index: int) -> None:
        stored = np.frombuffer(data.PixelData, np.int16) - 1024
        data.PixelData = (stored.astype(np.int16).view(np.uint16) & 0x0FFF).tobytes()
        data.BitsStored, data.HighBit, data.RescaleIntercept = 12, 11, 0

    np.testing.assert_array_equal(read_series(series(tmp_path / "x", body(), edit=signed)).values[:, ::-1, ::-1], body())

    def sloped(data: Dataset, index: int) -> None:
        slope = 0.5 + 0.05 * index
        stored = np.frombuffer(data.PixelData, np.int16) / slope
        data.PixelData, data.RescaleSlope = np.rint(stored).astype(np.int16).tobytes(), round(slope, 6)

    assert np.abs(read_series(series(tmp_path / "y", body(), edit=sloped)).values[:, ::-1, ::-1] - body()).max() < 0.6


def test_a_deflated_file(tmp_path):
    def deflated(data: Dataset, index: int) -> None:
        data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian

    folder = series(tmp_path / "x", body(), edit=deflated)
    np.testing.assert_array_equal(read_series(folder).values[:, ::-1, ::-1], body())


# -- strays --------------------------------------------------------------------------------------------------------------


def again(folder: Path, edit: Callable[[Dataset], object], count: int | None = None) -> None:
    """Write copies of the first `count` slices under other identifiers."""
    for path in sorted(folder.glob("*.dcm"))[:count]:
        data = pydicom.dcmread(path)
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        edit(data)
        data.save_as(folder / f"again_{path.name}")


def test_slices_that_were_sent_twice_count_once(tmp_path):
    plain = read_series(series(tmp_path / "a", body()))
    again(tmp_path / "a", lambda data: None)
    image = read_series(tmp_path / "a")
    np.testing.assert_array_equal(image.values, plain.values)
    assert "12 repeated slices" in image.note


def test_different_slices_at_one_place_are_refused(tmp_path):
    again(series(tmp_path / "a", body()), lambda data: setattr(data, "RescaleIntercept", -1000))
    with pytest.raises(InputError, match=r"which differ, at the same place \(12 of 12 places\)"):
        read_series(tmp_path / "a")


def test_a_scout_that_is_not_called_so(tmp_path):
    series(tmp_path / "a", body())
    again(tmp_path / "a", lambda data: setattr(data, "ImageOrientationPatient", [1, 0, 0, 0, 0, -1]), 1)
    image = read_series(tmp_path / "a")
    assert image.values.shape[0] == 12 and "1 of another shape or direction" in image.note


def test_positions_in_whole_mm_and_positions_that_tremble(tmp_path):
    def whole(data: Dataset, index: int) -> None:
        data.ImagePositionPatient = [0, 0, str(round(index * 1.25))]

    image = read_series(series(tmp_path / "a", body(), 1.25, whole))
    assert image.spacing[0] == pytest.approx(1.25) and "rounded to 1 mm taken as every 1.25 mm, as stated" in image.note

    def trembling(data: Dataset, index: int) -> None:
        data.ImagePositionPatient = [0, 0, f"{2 * index + 0.02 * (-1) ** index:.4f}"]

    image = read_series(series(tmp_path / "b", body(), 2.0, trembling))
    assert image.spacing[0] == pytest.approx(2, rel=2e-3) and "positions up to 0.02" in image.note


def test_a_slope_of_zero_is_no_slope(tmp_path):
    with pytest.raises(InputError, match="RescaleSlope: expected a number other than 0"):
        read_series(series(tmp_path / "a", body(), edit=lambda data, index: setattr(data, "RescaleSlope", 0)))


def test_files_of_old_archives_have_neither_signature_nor_ending(tmp_path):
    plain = read_series(series(tmp_path / "a", body()))
    (tmp_path / "b").mkdir()
    for path in (tmp_path / "a").iterdir():
        data = pydicom.dcmread(path)
        del data.file_meta
        data.preamble = None
        data.save_as(tmp_path / "b" / f"IM{path.stem}", implicit_vr=True, little_endian=True)
    assert volume_format(tmp_path / "b") == "dicom"
    np.testing.assert_array_equal(read_series(tmp_path / "b").values, plain.values)
