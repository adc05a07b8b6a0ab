"""Lengths inside volume files are read in the unit that the file names; damaged and oversized files are refused."""

from __future__ import annotations

import bz2
import gzip
import struct
import zipfile
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile

from benchmark.errors import InputError
from benchmark.files import compressed, limits
from benchmark.files.arrays import read_npz
from benchmark.files.volume import read_volume_file
from benchmark.records import nifti

VALUES = np.random.default_rng(0).random((4, 5, 6), dtype=np.float32)
NRRD = (
    "NRRD0004\ntype: float\ndimension: 3\nspace: left-posterior-superior\nsizes: 6 5 4\n"
    "space directions: (-2,0,0) (0,-3,0) (0,0,4)\n{more}endian: little\nencoding: {encoding}\nspace origin: (0,0,0)\n\n"
)


def write_nrrd(path: Path, more: str = "", encoding: str = "raw", data: bytes | None = None) -> Path:
    path.write_bytes(NRRD.format(more=more, encoding=encoding).encode() + (VALUES.tobytes() if data is None else data))
    return path


@pytest.mark.parametrize(("unit", "length"), [("mm", 1.0), ("micron", 0.001), ("meter", 1000.0), ("unknown", 1.0)])
def test_a_nifti_file_in_another_unit(tmp_path, unit, length):
    image = nibabel.Nifti1Image(VALUES.transpose(2, 1, 0), np.diag([2 / length, 3 / length, 4 / length, 1]))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / "x.nii")
    values, spacing, note = read_volume_file(tmp_path / "x.nii")
    np.testing.assert_allclose(spacing, (4, 3, 2), rtol=1e-6)
    np.testing.assert_array_equal(values, VALUES)
    assert ("lengths in" in note) == (length != 1)


def test_a_nifti_unit_that_is_no_length(tmp_path):
    content = bytearray(nibabel.Nifti1Image(VALUES, np.eye(4)).to_bytes())
    content[123] = 5
    (tmp_path / "x.nii").write_bytes(content)
    with pytest.raises(InputError, match="xyzt_units: expected mm, micron or meter, found code 5"):
        read_volume_file(tmp_path / "x.nii")


@pytest.mark.parametrize(
    ("more", "spacing"),
    [
        ("", (4, 3, 2)),
        ('space units: "mm" "mm" "mm"\n', (4, 3, 2)),
        ('space units: "um" "um" "um"\n', (0.004, 0.003, 0.002)),
        ('space units: "\u00b5m" "\u00b5m" "\u00b5m"\n', (0.004, 0.003, 0.002)),
        ('space units: "microns" "mm" "cm"\n', (40, 3, 0.002)),
        ('space units: "m" "meters" "Metre"\n', (4000, 3000, 2000)),
        ('space units: "" "" ""\n', (4, 3, 2)),
    ],
)
def test_nrrd_units_count_for_each_axis_of_space(tmp_path, more, spacing):
    values, found, note = read_volume_file(write_nrrd(tmp_path / "x.nrrd", more))
    np.testing.assert_allclose(found, spacing, rtol=1e-6)
    np.testing.assert_array_equal(values, VALUES)
    assert ("lengths in" in note) == (spacing != (4, 3, 2))


def test_nrrd_units_of_the_arrays_axes_and_unknown_ones(tmp_path):
    head = (
        NRRD.replace("space directions: (-2,0,0) (0,-3,0) (0,0,4)", 'spacings: 2 3 4\nunits: "cm" "mm" "um"')
        .replace("space: left-posterior-superior\n", "")
        .replace("space origin: (0,0,0)\n", "")
    )
    (tmp_path / "x.nrrd").write_bytes(head.format(more="", encoding="raw").encode() + VALUES.tobytes())
    np.testing.assert_allclose(read_volume_file(tmp_path / "x.nrrd")[1], (0.004, 3, 20), rtol=1e-6)
    with pytest.raises(InputError, match=r"space units: expected a unit of length \(mm, cm, m, um, nm, in\), found 'furlong'"):
        read_volume_file(write_nrrd(tmp_path / "y.nrrd", 'space units: "mm" "mm" "furlong"\n'))


def test_a_metaimage_in_micrometres(tmp_path):
    image = SimpleITK.GetImageFromArray(VALUES)
    image.SetSpacing((2, 3, 4))
    SimpleITK.WriteImage(image, str(tmp_path / "x.mha"))
    content = (tmp_path / "x.mha").read_bytes().replace(b"ElementSpacing", b"DistanceUnits = um\nElementSpacing")
    (tmp_path / "x.mha").write_bytes(content)
    np.testing.assert_allclose(read_volume_file(tmp_path / "x.mha")[1], (0.004, 0.003, 0.002))


# -- damage ---------------------------------------------------------------------------------------------------------------


def compressed_files(folder: Path) -> dict[str, Path]:
    image = SimpleITK.GetImageFromArray(VALUES)
    for name in ("x.mha", "x.mhd"):
        SimpleITK.WriteImage(image, str(folder / name), useCompression=True)
    nibabel.save(nibabel.Nifti1Image(VALUES, np.diag([2, 2, 2, 1])), folder / "x.nii.gz")
    write_nrrd(folder / "x.nrrd", encoding="gzip", data=gzip.compress(VALUES.tobytes()))
    return {"mha": folder / "x.mha", "mhd": folder / "x.zraw", "nii.gz": folder / "x.nii.gz", "nrrd": folder / "x.nrrd"}


@pytest.mark.parametrize("name", ["mha", "mhd", "nii.gz", "nrrd"])
def test_every_flipped_bit_of_compressed_voxels_is_found(tmp_path, name):
    packed = compressed_files(tmp_path)[name]
    path = tmp_path / "x.mhd" if name == "mhd" else packed
    whole, (good, *_) = packed.read_bytes(), read_volume_file(path)
    start = {"mha": whole.find(b"LOCAL\n") + 6, "nrrd": whole.find(b"\n\n") + 2}.get(name, 0)
    assert start < len(whole)
    for place in np.linspace(start, len(whole) - 1, 40).astype(int):
        packed.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            found, *_ = read_volume_file(path)
        except InputError:
            continue
        np.testing.assert_array_equal(found, good)  # bits of the archive's own header, such as its date


def test_a_stored_volume_with_a_flipped_bit(tmp_path):
    from tiny_plugin import geometry

    nifti.write_volume(tmp_path / "v.nii.gz", np.random.default_rng(1).random((8, 8, 8), np.float32), geometry(8, np.zeros(1)))
    whole = (tmp_path / "v.nii.gz").read_bytes()
    for place in (len(whole) - 6, len(whole) // 2, len(whole) - 2):
        (tmp_path / "v.nii.gz").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(OSError):
            nifti.read_volume(tmp_path / "v.nii.gz")


def test_bz2_voxels_are_checked_too(tmp_path):
    data = bz2.compress(VALUES.tobytes())
    compressed.check_packed(
        "x", write_nrrd(tmp_path / "x.nrrd", data=data), len(NRRD.format(more="", encoding="raw")), "bzip2", VALUES.nbytes
    )
    (tmp_path / "cut").write_bytes(data[:-3])
    with pytest.raises(InputError, match="expected 480 bytes of compressed numbers, whole"):
        compressed.check_packed("x", tmp_path / "cut", 0, "bzip2", VALUES.nbytes)


def test_archives_that_unpack_to_far_more_than_they_announce(tmp_path, monkeypatch):
    monkeypatch.setattr(compressed, "MOST_AFTER", 1 << 20)
    bomb = bytes(8 << 20)
    header = nibabel.Nifti1Image(VALUES, np.eye(4)).to_bytes()
    (tmp_path / "x.nii.gz").write_bytes(gzip.compress(header + bomb))
    with pytest.raises(InputError, match="expected nothing behind the voxels"):
        read_volume_file(tmp_path / "x.nii.gz")
    with pytest.raises(InputError, match="found far more when unpacked"):
        read_volume_file(write_nrrd(tmp_path / "x.nrrd", encoding="gzip", data=gzip.compress(VALUES.tobytes() + bomb)))
    content = bytearray(header)
    content[108:112] = np.float32(1 << 30).tobytes()  # vox_offset: a gigabyte of extensions
    (tmp_path / "x.nii.gz").write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(InputError, match="expected voxels behind the header, within the first 16 MiB"):
        read_volume_file(tmp_path / "x.nii.gz")


def test_headers_that_itk_would_crash_on_or_follow_elsewhere(tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "x.raw").write_bytes(VALUES.tobytes())
    with pytest.raises(InputError, match="expected a header of at most 64 KiB"):
        read_volume_file(write_nrrd(tmp_path / "x.nrrd", f"content: {'x' * 70_000}\n"))
    padding = "".join(f"# {'x' * 1000}\n" for _ in range(70))
    (tmp_path / "x.nhdr").write_text(NRRD.format(more=padding, encoding="raw").rstrip() + "\ndata file: secret/x.raw\n")
    with pytest.raises(InputError, match="expected a header of at most 64 KiB"):
        read_volume_file(tmp_path / "x.nhdr")
    for twice in ("data file: x.raw\ndata file: secret/x.raw\n", "data file: x.raw\rdata file: secret/x.raw\n"):
        (tmp_path / "x.raw").write_bytes(VALUES.tobytes())
        (tmp_path / "x.nhdr").write_text(NRRD.format(more="", encoding="raw").rstrip() + "\n" + twice)
        with pytest.raises(InputError, match="expected one file with the numbers, found 2 named"):
            read_volume_file(tmp_path / "x.nhdr")


def test_tiff_pages_and_npz_headers_that_are_bombs(tmp_path, monkeypatch):
    from benchmark.files import images

    monkeypatch.setattr(compressed, "MOST_AFTER", 1 << 20)
    good, bomb = np.random.default_rng(0).integers(0, 9, (3, 20, 20), dtype=np.uint16), zlib.compress(bytes(64 << 20))
    for kind in ("zlib", "lzma"):
        tifffile.imwrite(tmp_path / "x.tif", good, photometric="minisblack", compression=kind)
        np.testing.assert_array_equal(images.tiff_pages(tmp_path / "x.tif").load(), good)
    tifffile.imwrite(tmp_path / "x.tif", iter([bomb]), shape=(20, 20), dtype="u2", photometric="minisblack", compression="zlib")
    with pytest.raises(InputError, match="expected 800 bytes of pixels, found far more when unpacked"):
        images.image_stack([tmp_path / "x.tif"]).page(0)
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", 200 << 20) + bytes(200 << 20))
    with pytest.raises(InputError, match="a header of 209715200 bytes"):
        read_npz(tmp_path / "x.npz")


def test_memory_of_a_container(tmp_path, monkeypatch):
    whole = limits.memory_limit()
    (tmp_path / "memory.max").write_text("1073741824\n")
    monkeypatch.setattr(limits, "GROUPS", {"": (str(tmp_path), "memory.max")})
    assert limits.memory_limit() == min(whole, 1 << 29)
    (tmp_path / "memory.max").write_text("max\n")
    assert limits.memory_limit() >= whole


@pytest.mark.parametrize(("unit", "length"), [("mm", 1.0), ("micron", 0.001), ("\\u00B5m", 0.001), ("cm", 10.0), ("inch", 25.4)])
def test_the_spacing_of_imagejs_stacks(tmp_path, unit, length):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, VALUES, imagej=True, resolution=(1 / 2, 1 / 3), metadata={"spacing": 4.0, "unit": unit, "axes": "ZYX"})
    values, spacing, note = read_volume_file(path)
    np.testing.assert_allclose(spacing, np.array([4, 3, 2]) * length, rtol=1e-6)
    assert "as the file says" in note
    _, spacing, note = read_volume_file(path, spacing=7.0)
    assert spacing == (7, 7, 7) and note.startswith(", spacing 7 x 7 x 7 mm (the file says ")


def test_the_spacing_of_ome_stacks_and_of_stacks_without_one(tmp_path):
    path = tmp_path / "x.ome.tif"
    sizes = {f"PhysicalSize{axis}": length for axis, length in zip("ZYX", (4.0, 3.0, 2.0), strict=True)}
    tifffile.imwrite(path, VALUES, ome=True, metadata={"axes": "ZYX", **sizes})
    np.testing.assert_allclose(read_volume_file(path)[1], (0.004, 0.003, 0.002))
    tifffile.imwrite(path, VALUES, ome=True, metadata={"axes": "ZYX", **sizes, **{f"PhysicalSize{axis}Unit": "mm" for axis in "ZYX"}})
    np.testing.assert_allclose(read_volume_file(path)[1], (4, 3, 2))
    for metadata in ({"unit": "pixel", "spacing": 1.0}, {"unit": "mm"}, {}):
        tifffile.imwrite(tmp_path / "y.tif", VALUES, imagej=True, resolution=(72, 72), metadata={"axes": "ZYX", **metadata})
        with pytest.raises(InputError, match="spacing: expected the voxels' edges in mm"):
            read_volume_file(tmp_path / "y.tif")
    tifffile.imwrite(tmp_path / "y.tif", VALUES, imagej=True, resolution=(1, 1), metadata={"axes": "ZYX", "unit": "ell", "spacing": 1.0})
    with pytest.raises(InputError, match="unit: expected a unit of length .* found 'ell'"):
        read_volume_file(tmp_path / "y.tif")
    assert read_volume_file(tmp_path / "y.tif", spacing=2.0)[1:] == ((2, 2, 2), "")
