"""A volume as a DICOM series of CT slices, so that clinical viewers and planning systems open it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.exchange.volume_image import VolumeImage

LARGEST = 65535
HU_RANGE = (-32768, 32767)  # of the whole numbers that hold HU without a slope


def write_series(folder: Path, image: VolumeImage) -> None:
    """Write one file per slice, from the feet to the head, into a new folder.

    Rows run from the patient's right to the left, columns from the front to the back, as on every CT: the volume is turned by
    180 degrees about z, and its position accounts for the turn. HU are rounded to whole numbers where those fit; larger ones, and
    attenuation [1/mm], become 65536 steps between the smallest and the largest value. The frame of reference is the
    source's. Equal images give identical files, identifiers included.
    """
    from pydicom.uid import generate_uid

    folder.mkdir(exist_ok=True)
    slices, slope, intercept = _stored(image)
    content = [image.title, image.unit, image.geometry.digest, hashlib.sha256(slices.tobytes()).hexdigest()]
    dataset = _common(image)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = (
        generate_uid(entropy_srcs=[*content, part]) for part in ("study", "series", "frame")
    )
    dataset.FrameOfReferenceUID = image.frame_of_reference or dataset.FrameOfReferenceUID
    dataset.RescaleSlope, dataset.RescaleIntercept = _number(slope), _number(intercept)
    dataset.PixelRepresentation = int(slices.dtype == np.int16)
    x, y, z = (np.asarray(image.geometry.voxel_centres(axis)) + image.origin[2 - axis] for axis in (2, 1, 0))
    for index, pixels in enumerate(slices[:, ::-1, ::-1]):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[*content, str(index)])
        dataset.InstanceNumber, dataset.SliceLocation = index + 1, _number(z[index])
        dataset.ImagePositionPatient = [_number(-x[-1]), _number(-y[-1]), _number(z[index])]
        dataset.PixelData = np.ascontiguousarray(pixels).tobytes()
        dataset.save_as(folder / f"{index + 1:04d}.dcm", enforce_file_format=True)


def _stored(image: VolumeImage) -> tuple[np.ndarray, float, float]:
    """Return whole numbers [z, y, x], and the slope and intercept that restore the values."""
    low, high = float(image.values.min()), float(image.values.max())
    if image.unit == "HU" and HU_RANGE[0] <= low and high <= HU_RANGE[1]:
        return np.rint(image.values).astype(np.int16), 1.0, 0.0
    slope, intercept = float(_number((high - low) / LARGEST or 1.0)), float(_number(low))  # as the file will state it
    return np.clip(np.rint((image.values - intercept) / slope), 0, LARGEST).astype(np.uint16), slope, intercept


def _common(image: VolumeImage) -> Any:
    """Return the data set that all slices share, without the identifiers of the series."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.Modality, dataset.ImageType = "CT", ["DERIVED", "SECONDARY", "AXIAL"]
    dataset.PatientName, dataset.PatientID = "Reconstruction^Benchmark", "benchmark"
    dataset.SeriesDescription = image.title[:64]
    dataset.ImageComments = f"{image.title}; values in {image.unit}, lengths in {image.length_unit}"
    for name in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "Manufacturer"):
        setattr(dataset, name, "")  # the standard requires these elements, but no values
    dataset.StudyID, dataset.SeriesNumber, dataset.AcquisitionNumber = "1", 1, 1
    dataset.KVP, dataset.PositionReferenceIndicator, dataset.PatientPosition = None, "", "HFS"
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    x, y, z = image.spacing_xyz
    dataset.PixelSpacing = [_number(y), _number(x)]  # between rows, between columns
    dataset.SliceThickness = dataset.SpacingBetweenSlices = _number(z)
    dataset.Rows, dataset.Columns = image.values.shape[1:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.RescaleType = "HU" if image.unit == "HU" else "US"  # US: unspecified; no term of the standard means 1/mm
    low, high = (float(value) for value in np.percentile(image.values, (0.1, 99.9)))
    dataset.WindowCenter, dataset.WindowWidth = _number((low + high) / 2), _number(max(high - low, 1e-6))
    return dataset


def _number(value: float) -> Any:
    """Return a number as a DICOM decimal string, at most 16 characters long."""
    from pydicom.valuerep import DSfloat

    return DSfloat(float(value), auto_format=True)
