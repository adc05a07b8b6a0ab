"""Make a sequence of frames of videos: cut, made smaller, background cut away, written in pieces that survive a kill."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError, note
from benchmark.files.limits import check_array
from benchmark.photographs.cameras import Cameras, check_heldout, read_camera_params, unit_vector, write_cameras
from benchmark.photographs.config import Box, FramesConfig, output_folder, read_config
from benchmark.photographs.footage import Footage, open_footage
from benchmark.photographs.frame_file import PIECES, hdf5
from benchmark.photographs.pose import hull_about
from benchmark.photographs.up_direction import up_from_cameras
from benchmark.storage.atomic import replace_text, replacing
from benchmark.storage.litter import clear
from benchmark.storage.writable import prove_folder

SETTINGS = "preparation.json"  # in the folder of the pieces
RATE_ALIKE = 0.01  # relative
FILLED = 0.7  # of a silhouette's extent by the common hull: 0.9 and more where everything fits

Progress = Callable[[int, int, int], None]  # camera, frames of it that are written, frames


@dataclasses.dataclass(frozen=True)
class Preparation:
    """Videos and the frames that become of them. `cut`: [left, top, width, height] of each camera's pictures."""

    folder: Path
    config: FramesConfig
    videos: tuple[Footage, ...]
    masks: tuple[Footage, ...]
    cameras: Cameras  # of the frames
    cut: tuple[Box, ...]
    roll: float  # [degrees] largest of a camera against the up direction

    @property
    def indices(self) -> range:
        """Frames of the videos that are taken."""
        return range(0, self.videos[0].count, self.config.frame_jump)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the frames [pixels]."""
        _, _, width, height = self.cut[0]
        return height // self.config.image_downsample, width // self.config.image_downsample

    @property
    def rate(self) -> float | None:
        """Frames a second of the sequence."""
        fps = self.config.fps or self.videos[0].fps
        return None if fps is None else fps / self.config.frame_jump

    def settings(self) -> dict[str, Any]:
        """Return everything that the pieces depend on."""
        footage = [*self.videos, *self.masks]
        return {
            "videos": [[str(item.path), item.count, item.path.stat().st_size, item.path.stat().st_mtime_ns] for item in footage],
            "cut": [list(box) for box in self.cut],
            **{key: getattr(self.config, key) for key in ("image_downsample", "frame_jump", "mask_threshold", "piece")},
        }

    def piece(self, camera: int, first: int) -> Path:
        """Return the file with a camera's frames from `first` on."""
        return self.folder / PIECES / f"camera-{camera:02d}-frame-{first:06d}.h5"


def open_preparation(path: Path) -> Preparation:
    """Read a config and open everything that it names. Raise InputError for the first thing that does not fit."""
    config = read_config(path)
    data, project = (path.parent / Path(name).expanduser() for name in (config.data_directory, config.project_directory))
    videos, masks = (tuple(open_footage(data / name) for name in names) for names in (config.video_fns, config.mask_video_fns))
    _check_alike(config, videos, masks)
    check_heldout(f"{path}: holdout_views", config.holdout_views or (), len(videos))
    cut = config.crops or tuple((0, 0, item.shape[1], item.shape[0]) for item in videos)
    _check_cut(path, config, cut, videos)
    cameras = read_camera_params(project / config.camera_fn, config.camera_unit, len(videos))
    up, roll = up_from_cameras(cameras) if config.up == "cameras" else (unit_vector(f"{path}: up", np.array(config.up, float)), np.nan)
    cameras = dataclasses.replace(cameras.cut(np.array(cut)[:, :2], config.image_downsample), up=up, heldout=config.holdout_views)
    return Preparation(output_folder(path, config), config, videos, masks, cameras, cut, roll)


def prepare(preparation: Preparation, progress: Progress) -> bool:
    """Write frames.h5, its pieces and cameras.json; pieces that are there already stay. Return False if nothing was left to do.

    Raise InputError for a folder with frames of other videos or settings, a damaged video, and cameras that do not see one object.
    """
    h5py, folder = hdf5(), preparation.folder
    prove_folder(folder, str(folder), "Choose another image_directory.", PIECES)
    clear(folder)
    _claim(preparation)
    frames = len(preparation.indices)
    starts = range(0, frames, preparation.config.piece)
    missing = [[first for first in starts if not preparation.piece(camera, first).exists()] for camera in range(len(preparation.videos))]
    write_cameras(folder / "cameras.json", preparation.cameras)
    if not any(missing) and (folder / "frames.h5").exists():
        return False
    _check_cameras(preparation)
    for camera, firsts in enumerate(missing):
        if firsts:
            _write_camera(preparation, camera, firsts[0], progress)
    with replacing(folder / "frames.h5") as temporary, h5py.File(temporary, "w", libver="latest") as file:
        for name, tail in (("images", (*preparation.shape, 3)), ("masks", preparation.shape)):
            layout = h5py.VirtualLayout((frames, len(preparation.videos), *tail), np.uint8)
            for camera in range(len(preparation.videos)):
                for first in starts:
                    count = min(preparation.config.piece, frames - first)
                    piece = preparation.piece(camera, first).relative_to(folder).as_posix()
                    layout[first : first + count, camera] = h5py.VirtualSource(piece, name, (count, *tail))
            file.create_virtual_dataset(name, layout)
        file["source_frames"] = np.array(preparation.indices)
        if preparation.rate is not None:
            file.attrs["fps"] = preparation.rate
    return True


def _write_camera(preparation: Preparation, camera: int, first: int, progress: Progress) -> None:
    """Write the pieces of one camera from frame `first` on; a piece is there as a whole or not at all."""
    h5py, config, frames = hdf5(), preparation.config, len(preparation.indices)
    packed = {"compression": "gzip", "compression_opts": config.image_compression_level, "shuffle": False}
    pictures = _pictures(preparation, camera, preparation.indices[first:])
    for start in range(first, frames, config.piece):
        count = min(config.piece, frames - start)
        with replacing(preparation.piece(camera, start)) as temporary, h5py.File(temporary, "w", libver="latest") as file:
            arrays = {
                name: file.create_dataset(name, (count, *tail), np.uint8, chunks=(1, *tail), **packed)
                for name, tail in (("images", (*preparation.shape, 3)), ("masks", preparation.shape))
            }
            for index in range(count):
                arrays["images"][index], arrays["masks"][index] = next(pictures)
        progress(camera, start + count, frames)


def _pictures(preparation: Preparation, camera: int, indices: range) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the colours uint8 [row, column, 3] and masks uint8 [row, column], 0 .. 255, of a camera's frames."""
    (left, top, width, height), config = preparation.cut[camera], preparation.config
    part = np.s_[top : top + height, left : left + width]
    both = zip(preparation.videos[camera].frames(indices), preparation.masks[camera].frames(indices, grey=True), strict=True)
    for image, mask in both:
        yield averaged(image[part], mask[part] >= config.mask_threshold, config.image_downsample)


def averaged(image: np.ndarray, mask: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Return factor x factor pixels averaged: colours of the object alone, uint8, 0 where it is not, and its share, 0 .. 255.

    Colour times share is then the mean of the picture over black. Rows and columns that fill no block are dropped.
    """
    if factor == 1:
        return image * mask[..., None], mask.astype(np.uint8) * 255
    rows, columns = (edge // factor for edge in mask.shape)
    mask = mask[: rows * factor, : columns * factor]
    seen = image[: rows * factor, : columns * factor] * mask[..., None]
    count = mask.reshape(rows, factor, columns, factor).sum((1, 3), dtype=np.uint32)
    colours = seen.reshape(rows, factor, columns, factor, 3).sum((1, 3), dtype=np.uint32) / np.maximum(count, 1)[..., None]
    return np.rint(colours).astype(np.uint8), np.rint(count * (255 / factor**2)).astype(np.uint8)


def _claim(preparation: Preparation) -> None:
    """Note the settings of the pieces. Raise InputError if pieces of other settings are there."""
    path = preparation.folder / PIECES / SETTINGS
    wanted = json.loads(json.dumps(preparation.settings()))
    if not path.exists():
        if (preparation.folder / "frames.h5").exists() or (preparation.folder / "frames.zarr").exists():
            raise InputError(str(preparation.folder), expected="a new folder", found="frames", fix="Choose another image_directory.")
        replace_text(path, json.dumps(wanted, indent=1))
        return
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        found = {}
    differing = [key for key in wanted if found.get(key) != wanted[key]]
    if differing:
        raise InputError(
            str(preparation.folder),
            expected=f"frames of the same settings ({', '.join(differing)})",
            found="frames of others",
            fix=f"Remove {preparation.folder} or choose another image_directory.",
        )


def _check_alike(config: FramesConfig, videos: tuple[Footage, ...], masks: tuple[Footage, ...]) -> None:
    """Raise InputError unless all videos have as many frames of the same size."""
    first = videos[0]
    for item in (*videos, *masks):
        if item.count != first.count:
            raise InputError(str(item.path), expected=f"{first.count} frames, as {first.path} has", found=f"{item.count}")
    for video, mask in zip(videos, masks, strict=True):
        if mask.shape != video.shape:
            expected = f"{video.shape[1]} x {video.shape[0]} pixels, as {video.path} has"
            raise InputError(str(mask.path), expected=expected, found=f"{mask.shape[1]} x {mask.shape[0]}")
    for key, axis in (("image_width", 1), ("image_height", 0)):
        wanted = getattr(config, key)
        odd = next((item for item in videos if wanted not in (None, item.shape[axis])), None)
        if odd is not None:
            raise InputError(str(odd.path), expected=f"{key}: {wanted}", found=f"{odd.shape[axis]} pixels", fix="Correct the config.")
    if first.count <= config.frame_jump and config.frame_jump > 1:
        raise InputError("frame_jump", expected=f"less than the {first.count} frames of the videos", found=f"{config.frame_jump}")
    if config.fps is not None and first.fps is not None and abs(first.fps / config.fps - 1) > RATE_ALIKE:
        note(f"{first.path} states {first.fps:g} frames a second; fps: {config.fps:g} is used")


def _check_cut(path: Path, config: FramesConfig, cut: tuple[Box, ...], videos: tuple[Footage, ...]) -> None:
    """Raise InputError unless all pictures have one size after the cut, and a block of pixels at least."""
    for box, video in zip(cut, videos, strict=True):
        left, top, width, height = box
        if left + width > video.shape[1] or top + height > video.shape[0]:
            found, expected = (
                f"{list(box)}",
                f"[left, top, width, height] within {video.shape[1]} x {video.shape[0]} pixels of {video.path}",
            )
            raise InputError(f"{path}: crop", expected=expected, found=found)
        if (width, height) != cut[0][2:]:
            found = f"{cut[0][2]} x {cut[0][3]} and {width} x {height} ({video.path})"
            raise InputError(f"{path}: crop", expected="pictures of one size", found=found, fix="Give a crop for each camera.")
        if min(width, height) < config.image_downsample:
            raise InputError(f"{path}: image_downsample", expected=f"at most {min(width, height)}", found=f"{config.image_downsample}")
    check_array(str(path), (len(videos), cut[0][3], cut[0][2], 3), np.dtype(np.uint8))


def _check_cameras(preparation: Preparation) -> None:
    """Raise InputError if the silhouettes of the first frame agree on no place, which cameras of other videos or units do not."""
    first = [next(_pictures(preparation, camera, preparation.indices[:1]))[1] for camera in range(len(preparation.videos))]
    masks = np.stack(first)
    if masks.max() == 0:
        found, fix = "none in the first frame", "Check mask_video_fns, or lower mask_threshold."
        raise InputError("masks", expected=f"pixels of at least {preparation.config.mask_threshold}, the object", found=found, fix=fix)
    if not (masks.max((1, 2)) > 127).all():  # the object is not yet in every picture
        return
    pixels, _ = preparation.cameras.pixels(hull_about(preparation.cameras, masks / np.float32(255)))
    for camera, mask in enumerate(masks > 127):
        wide, high = (np.ptp(places) + 1 for places in np.nonzero(mask)[::-1])
        filled = float((np.ptp(pixels[camera], axis=0) / (wide, high)).min())
        if filled < FILLED:
            note(
                f"in the first frame the other cameras leave {filled:.0%} of the extent of camera {camera}'s silhouette: "
                "are cameras, videos and masks in the same order?"
            )
