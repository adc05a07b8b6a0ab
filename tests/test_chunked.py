"""OME-Zarr and neuroglancer precomputed, opened again by readers that share nothing with the writers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.api import ConeBeamGeometry
from benchmark.errors import InputError
from benchmark.exchange.chunked import write_ome_zarr
from benchmark.exchange.volume_formats import usual_name, write
from benchmark.exchange.volume_image import VolumeImage

pytest.importorskip("zarr")
tensorstore: Any = pytest.importorskip("tensorstore")
SHAPE, SPACING, OFFSET = (5, 9, 70), (3.0, 2.0, 0.5), (1.0, 2.0, 3.0)


@pytest.fixture
def image() -> VolumeImage:
    """No cube, more than one chunk along x."""
    values = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
    geometry = ConeBeamGeometry(
        source_to_origin=500.0, source_to_detector=700.0, detector_shape=(8, 8), detector_pitch=(20.0, 20.0), angles=np.zeros(1),
        volume_shape=SHAPE, volume_spacing=SPACING, volume_offset=OFFSET,
    )  # fmt: skip
    return VolumeImage(values, geometry, "a-run", length_unit="um")


def zarr_array(folder: Path) -> np.ndarray:
    return np.asarray(tensorstore.open({"driver": "zarr", "kvstore": {"driver": "file", "path": str(folder)}}).result().read().result())


def test_tensorstore_opens_an_ome_zarr_where_its_metadata_say(image: VolumeImage, tmp_path: Path) -> None:
    (folder,) = write("ome-zarr", tmp_path / usual_name("ome-zarr", "x"), image)
    assert folder.name == "x.ome.zarr"
    (scales,) = json.loads((folder / ".zattrs").read_text())["multiscales"]
    assert scales["version"] == "0.4"
    assert [(axis["name"], axis["type"], axis["unit"]) for axis in scales["axes"]] == [(name, "space", "micrometer") for name in "zyx"]
    whole, half = scales["datasets"]
    assert (zarr_array(folder / whole["path"]) == image.values).all()
    np.testing.assert_allclose(zarr_array(folder / half["path"]), image.values.reshape(5, 9, 35, 2).mean(-1), rtol=1e-6)
    for level, width in ((whole, 0.5), (half, 1.0)):
        scale, translation = level["coordinateTransformations"]
        assert scale == {"type": "scale", "scale": [3.0, 2.0, width]}
        # By hand: centres of the first voxels; along x the box reaches from 3 - 17.5 um on.
        assert translation == {"type": "translation", "translation": [1 - 6.0, 2 - 8.0, 3 - 17.5 + width / 2]}


def test_frames_are_a_time_axis(image: VolumeImage, tmp_path: Path) -> None:
    frames = np.stack([image.values, 2 * image.values])
    write_ome_zarr(tmp_path, image, frames)
    (scales,) = json.loads((tmp_path / ".zattrs").read_text())["multiscales"]
    assert scales["axes"][0] == {"name": "t", "type": "time"} and len(scales["axes"]) == 4
    assert scales["datasets"][0]["coordinateTransformations"][0]["scale"] == [1.0, 3.0, 2.0, 0.5]
    assert (zarr_array(tmp_path / "0") == frames).all()


def raw_chunks(folder: Path, scale: dict[str, Any]) -> np.ndarray:
    """Read a scale by the specification of raw chunks alone: float32, x fastest, named by the voxels that they hold."""
    found = np.full(scale["size"], np.nan, dtype=np.float32)
    for path in (folder / scale["key"]).iterdir():
        part = tuple(slice(*map(int, text.split("-"))) for text in path.name.split("_"))
        found[part] = np.frombuffer(path.read_bytes(), dtype="<f4").reshape(found[part].shape, order="F")
    return found


def test_a_precomputed_folder_holds_chunks_as_specified(image: VolumeImage, tmp_path: Path) -> None:
    folder, beside = write("precomputed", tmp_path / usual_name("precomputed", "x"), image)
    info = json.loads((folder / "info").read_text())
    assert (info["type"], info["data_type"], info["num_channels"]) == ("image", "float32", 1)
    whole, half = info["scales"]
    assert whole["resolution"] == [500, 2000, 3000] and half["resolution"] == [1000, 2000, 3000]  # [nm]
    assert (raw_chunks(folder, whole).T == image.values).all()
    np.testing.assert_allclose(raw_chunks(folder, half).T, image.values.reshape(5, 9, 35, 2).mean(-1), rtol=1e-6)
    assert json.loads(beside.read_text())["first_voxel_centre_xyz"] == [3 - 17.25, 2 - 8.0, 1 - 6.0]


def test_what_cannot_be_written_is_said_and_leaves_nothing(image: VolumeImage, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--format precomputed: expected lengths in nm, um, .*found 'unit'. Export as ome-zarr"):
        write("precomputed", tmp_path / "x.precomputed", dataclasses.replace(image, length_unit="unit"))
    with pytest.raises(InputError, match="ends in .ome.zarr"):
        write("ome-zarr", tmp_path / "x.zarr", image)
    assert not list(tmp_path.iterdir())
    write("ome-zarr", tmp_path / "x.ome.zarr", image)
    with pytest.raises(InputError, match="expected a new file, found a folder"):
        write("ome-zarr", tmp_path / "x.ome.zarr", image)
