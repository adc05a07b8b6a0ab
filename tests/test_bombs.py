"""Small files that stand for endless data, or end the process that reads them: each is one error, in bounded memory.

Each is read by a process of its own, since a fault of compiled code would end this one.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import InputError
from benchmark.files.pictures import read_frame

ALLOWED = 200  # [MiB] that reading may take on top of the imports
BIG = 320 << 20  # [bytes] that a bomb unpacks to
READ = """
import os, resource, sys
from pathlib import Path
import numpy, nibabel, tifffile, pydicom.pixels, SimpleITK, fabio
from benchmark.errors import InputError
from benchmark.files.door import open_stack
from benchmark.files.pickles import read_plain_pickle
from benchmark.files.volume import read_volume_file
from benchmark.storage.archive import read_archive

def read(path):
    if path.suffix == ".pickle":
        read_plain_pickle(path)
    elif path.name == "arrays.npz":
        read_archive(path, 1 << 27)
    elif path.suffix == ".dcm":
        read_volume_file(path, spacing=1.0)
    else:
        open_stack(path).page(0)

for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        said = "read"
        try:
            read(Path(name))
        except (InputError, ValueError) as error:
            said = f"{type(error).__name__}: {error}"
        taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
        print(f"{name}\\t0\\t{taken}\\t{' '.join(said.split())}", flush=True)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status:
        print(f"{name}\\t{status}\\t0\\tdied", flush=True)
"""


@functools.cache
def deflated(bits: int = zlib.MAX_WBITS) -> bytes:
    """BIG zeros."""
    compressor, block = zlib.compressobj(9, zlib.DEFLATED, bits), bytes(1 << 20)
    return b"".join([*(compressor.compress(block) for _ in range(BIG >> 20)), compressor.flush()])


def tiff(path: Path) -> None:
    """A page of 64 x 64 whose only strip unpacks to far more."""
    import tifffile

    tifffile.imwrite(path, np.zeros((4, 64, 64), np.uint16), compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        places = [page.tags[name].valueoffset for name in ("StripOffsets", "StripByteCounts")]
    content, strip = bytearray(path.read_bytes()), deflated()
    for place, value in zip(places, (len(content), len(strip)), strict=True):
        content[place : place + 4] = value.to_bytes(4, "little")
    path.write_bytes(bytes(content) + strip)


def circle(path: Path) -> None:
    """Pages of which the last one names the first as the next."""
    import tifffile

    tifffile.imwrite(path, np.zeros((3, 8, 8), np.uint16), photometric="minisblack", metadata=None)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        last, first = file.pages[-1].offset, file.pages[0].offset
    place = last + 2 + 12 * int.from_bytes(content[last : last + 2], "little")
    content[place : place + 4] = first.to_bytes(4, "little")
    path.write_bytes(content)


def png(path: Path) -> None:
    """A header that promises a hundred thousand by a hundred thousand pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    header = (100_000).to_bytes(4, "big") * 2 + bytes([16, 0, 0, 0, 0])
    pixels = chunk(b"IDAT", deflated())
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b""))


def dicom(path: Path) -> None:
    import pydicom
    from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, generate_uid

    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    buffer = io.BytesIO()
    pydicom.filewriter.write_file_meta_info(pydicom.filebase.DicomFileLike(buffer), meta)
    path.write_bytes(bytes(128) + b"DICM" + buffer.getvalue() + deflated(-15))


def npz(path: Path, method: int = zipfile.ZIP_DEFLATED) -> None:
    """Write an array whose header announces a hundred numbers."""
    header = io.BytesIO()
    np.save(header, np.zeros((4, 5, 5), np.float32))
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as content, content.open("stack.npy", "w", force_zip64=True) as file:
        file.write(header.getvalue())
        for _ in range(BIG >> 20):
            file.write(bytes(1 << 20))


def large_npz(path: Path) -> None:
    """An array that is as large as its header says."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as content, content.open("a.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (BIG // 4,)})
        for _ in range(BIG >> 20):
            file.write(bytes(1 << 20))


def nifti(path: Path, extension: int, shape: tuple[int, int, int] = (4, 4, 4)) -> None:
    import nibabel

    header = nibabel.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(np.float32)
    header["vox_offset"], header["magic"] = 352 + 32, b"n+1"
    begin = header.binaryblock + b"\1\0\0\0" + extension.to_bytes(4, "little", signed=True) + bytes(4)
    path.write_bytes(gzip.compress(begin) + deflated(31))


def edf(path: Path) -> None:
    packed = deflated()
    text = f"{{\nHeaderID = EH:000001:000000:000000 ;\nByteOrder = LowByteFirst ;\nDataType = FloatValue ;\nSize = {len(packed)} ;\n"
    text += "Dim_1 = 4 ;\nDim_2 = 4 ;\nCOMPRESSION = ZCompression ;\n"
    path.write_bytes(text.encode().ljust(1022) + b"}\n" + packed)


def endless_edf(path: Path) -> None:
    path.write_bytes(b"{\nDim_" + b"9" * 30 + b" = 4 ;\n}\n")


def nrrd(path: Path, field: str, value: str) -> None:
    fields = {"type": "float", "dimension": "3", "sizes": "4 4 4", "spacings": "1 1 1", "endian": "little", "encoding": "raw"}
    text = "NRRD0005\n" + "".join(f"{name}: {content}\n" for name, content in (fields | {field: value}).items())
    path.write_bytes(text.encode() + b"\n" + bytes(256))


def meta_image(path: Path, axes: str) -> None:
    header = f"ObjectType = Image\n{axes}\nBinaryData = True\nDimSize = 2 2 2\nElementType = MET_FLOAT\nElementDataFile = LOCAL\n"
    path.write_bytes(header.encode() + bytes(32))


def packed_nrrd(path: Path, kind: str) -> None:
    block = bytes(1 << 20)
    if kind == "gzip":
        packed = deflated(31)
    else:
        one = bz2.BZ2Compressor()
        packed = b"".join([*(one.compress(block) for _ in range(BIG >> 20)), one.flush()])
    text = f"NRRD0005\ntype: float\ndimension: 3\nsizes: 4 4 4\nspacings: 1 1 1\nendian: little\nencoding: {kind}\n\n"
    path.write_bytes(text.encode() + packed)


def keys(path: Path, empty: bytes, wrap: bytes) -> None:
    """A dict whose key is a tuple in a tuple, two hundred thousand times: to hash it recurses in C."""
    path.write_bytes(b"\x80\x04}" + empty + wrap * 200_000 + b"K\x01s.")


def bytearray8(path: Path) -> None:
    path.write_bytes(b"\x80\x05}\x8c\x01a\x96" + (1 << 40).to_bytes(8, "little") + b"xs.")


def away(
    path: Path, line: str, header: str = "ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementSpacing = 1 1 1\nElementType = MET_FLOAT\n"
) -> None:
    """A header that names its numbers in another folder."""
    (path.parent / "other").mkdir()
    (path.parent / "other" / "secret.raw").write_bytes(bytes(256))
    path.write_bytes((header + line.format(folder=path.parent)).encode() + bytes(1024))


NRRD_HEAD = "NRRD0004\ntype: float\ndimension: 3\nsizes: 4 4 4\nspacings: 1 1 1\nendian: little\nencoding: raw\n"
BOMBS: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "TIFF": ("a.tif", tiff, "far more when unpacked"),
    "TIFF in a circle": ("a.tif", circle, "follow one another in a circle"),
    "PNG": ("a.png", png, "could be decompression bomb"),
    "DICOM": ("a.dcm", dicom, "when unpacked"),
    "npz": ("a.npz", npz, "nothing behind the voxels"),
    "npz by bzip2": ("a.npz", lambda path: npz(path, zipfile.ZIP_BZIP2), "a way that NumPy does not use"),
    "arrays.npz": ("arrays.npz", large_npz, "too large for this machine"),
    "lying arrays.npz": ("arrays.npz", npz, "too large for this machine"),
    "NIfTI extension": ("a.nii.gz", lambda path: nifti(path, BIG - 16), "header extensions of 8 to"),
    "NIfTI extension of no size": ("a.nii.gz", lambda path: nifti(path, 0), "header extensions of 8 to"),
    "NIfTI extension, negative": ("a.nii.gz", lambda path: nifti(path, -16), "header extensions of 8 to"),
    "NIfTI": ("a.nii.gz", lambda path: nifti(path, 32), "nothing behind the voxels"),
    "NIfTI of zeros": ("a.nii.gz", lambda path: nifti(path, 32, (430, 430, 430)), "nothing behind the voxels|read"),
    "NIfTI, cut off": ("a.nii.gz", lambda path: nifti(path, 32, (20_000, 20_000, 4)), "compressed numbers"),
    "EDF": ("a.edf", edf, "far more when unpacked"),
    "EDF, endless axes": ("a.edf", endless_edf, "at most nine axes"),
    "NRRD, gzip": ("a.nrrd", lambda path: packed_nrrd(path, "gzip"), "far more when unpacked"),
    "NRRD, bzip2": ("a.nrrd", lambda path: packed_nrrd(path, "bzip2"), "far more when unpacked"),
    "NRRD, long line": ("a.nrrd", lambda path: nrrd(path, "labels", "a" * 70_000), "a header of at most 64 KiB"),
    "NRRD, longish line": ("a.nrrd", lambda path: nrrd(path, "space directions", "(" * 3000), "at most 500 characters"),
    "MetaImage, axes without number": ("a.mha", lambda path: meta_image(path, "NDims = " + "9" * 30), "NDims: expected one number of axes"),
    "MetaImage, negative axes": ("a.mha", lambda path: meta_image(path, "NDims : -1"), "NDims: expected one number of axes"),
    "MetaImage, axes twice": ("a.mha", lambda path: meta_image(path, "NDims = 3\nNDims = 99"), "NDims: expected one number of axes"),
    "MetaImage, long name": ("a.mha", lambda path: meta_image(path, "NDims = 3\nName = " + "x" * 300), "Name: expected at most 250"),
    "NRRD, unknown field": ("a.nrrd", lambda path: nrrd(path, "b" * 2000, "1"), "at most 500 characters"),
    "NHDR elsewhere": ("a.nhdr", lambda path: away(path, "data file: {folder}/other/secret.raw\n\n", NRRD_HEAD), "in a file beside it"),
    "NHDR elsewhere, late": (
        "a.nhdr",
        lambda path: away(path, "# x\n" * 20_000 + "data file: other/secret.raw\n\n", NRRD_HEAD),
        "a header of at most 64 KiB",
    ),
    "MHD elsewhere": ("a.mhd", lambda path: away(path, "ElementDataFile = ../{folder.name}/other/secret.raw\n"), "in a file beside it"),
    "MHD elsewhere, colon": ("a.mhd", lambda path: away(path, "ElementDataFile : other/secret.raw\n"), "that ends in ElementDataFile"),
    "nested keys": ("a.pickle", lambda path: keys(path, b")", b"\x85"), "keys that are not strings"),
    "nested frozensets": ("a.pickle", lambda path: keys(path, b"(\x91", b"(\x91"), "a set, or a buffer"),
    "bytearray": ("a.pickle", bytearray8, "cut off"),
}


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, int, str]]:
    """Status, MiB taken, and what was said, for each bomb."""
    paths = {}
    for number, (kind, (name, make, _)) in enumerate(BOMBS.items()):
        folder = tmp_path_factory.mktemp(f"bomb{number}")
        paths[str(folder / name)] = kind
        make(folder / name)
    done = subprocess.run([sys.executable, "-c", READ, *paths], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    found = {}
    for line in done.stdout.splitlines():
        name, status, taken, said = line.split("\t")
        found[paths[name]] = int(status), int(taken), said
    return found


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_one_error_in_bounded_memory(readings: dict[str, tuple[int, int, str]], kind: str) -> None:
    status, taken, said = readings[kind]
    assert status == 0 and re.search(BOMBS[kind][2], said), said
    assert taken < ALLOWED, said


def test_a_tiff_page_longer_than_its_file_is_an_error(tmp_path: Path) -> None:
    """A page of eight rows whose header says 67 million."""
    import tifffile

    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((8, 8), np.uint16), photometric="minisblack")
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["ImageLength"].overwrite(1 << 26)
    with pytest.raises(InputError, match="1073741824 bytes of pixels, found a file of"):
        read_frame(path, 0)
