"""What one camera recorded: the frames of a video or of a folder of images, one by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError, MissingDependency, one_line
from benchmark.files.limits import check_image
from benchmark.files.pictures import readable
from benchmark.files.series import series

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
STRICT = {"err_detect": "explode"}  # a damaged frame is an error, not a guess


@dataclasses.dataclass(frozen=True)
class Footage:
    """A video, or a folder of images in the order of their numbers.

    count: frames; shape: (rows, columns) [pixels]; fps: frames a second that a video states; places: the video's time stamps, in
    its own unit, or the images' paths.
    """

    path: Path
    shape: tuple[int, int]
    fps: float | None
    places: tuple[Any, ...]

    @property
    def count(self) -> int:
        return len(self.places)

    def frames(self, indices: range, *, grey: bool = False) -> Iterator[np.ndarray]:
        """Yield these frames: uint8 [row, column, 3] red, green, blue, or [row, column] if `grey`. Raise InputError, naming the frame."""
        return self._images(indices, grey) if self.path.is_dir() else self._video(indices, grey)

    def _video(self, indices: range, grey: bool) -> Iterator[np.ndarray]:
        wanted, position = iter(indices), None
        target = next(wanted, None)
        try:
            with _opened(self.path) as container:
                stream = container.streams.video[0]
                stream.codec_context.options = STRICT
                stream.codec_context.thread_count = 2  # every thread holds frames
                if target is not None and target > 0:
                    container.seek(self.places[target], stream=stream, backward=True)  # to the key frame before it
                for frame in container.decode(stream):
                    if target is None:
                        return
                    position = target
                    if frame.pts < self.places[target]:
                        continue
                    if frame.pts != self.places[target] or frame.is_corrupt or (frame.height, frame.width) != self.shape:
                        break
                    yield frame.to_ndarray(format="gray" if grey else "rgb24")
                    target = next(wanted, None)
        except Exception as error:
            raise self._damaged(target, one_line(error)) from error
        if target is not None:
            raise self._damaged(target, "damage" if position == target else "its end")

    def _damaged(self, frame: int | None, found: str) -> InputError:
        return InputError(
            f"{self.path}: frame {frame}", expected="a frame that can be decoded", found=found, fix="Copy or encode the video again."
        )

    def _images(self, indices: range, grey: bool) -> Iterator[np.ndarray]:
        for index in indices:
            image = _image(self.places[index], grey)
            if image.shape[:2] != self.shape:
                expected = f"{self.shape[1]} x {self.shape[0]} pixels, as the first image of the folder"
                raise InputError(str(self.places[index]), expected=expected, found=f"{image.shape[1]} x {image.shape[0]}")
            yield image


def open_footage(path: Path) -> Footage:
    """Open a video or a folder of images. Raise InputError for neither, and for a damaged file; MissingDependency without PyAV."""
    if path.is_dir():
        images = [file for file in path.iterdir() if file.suffix.lower() in IMAGES and not file.name.startswith(".")]
        if not images:
            raise InputError(str(path), expected=f"a video, or a folder of images ({', '.join(IMAGES)})", found="a folder without any")
        files = series(str(path), images)
        rows, columns = _image(files[0], False).shape[:2]
        return Footage(path, (rows, columns), None, tuple(files))
    if not path.is_file():
        raise InputError(str(path), expected="a video, or a folder of images", found="no such file")
    try:
        with _opened(path) as container:
            if not container.streams.video:
                raise InputError(str(path), expected="a video", found="a file without pictures")
            stream = container.streams.video[0]
            places = sorted(packet.pts for packet in container.demux(stream) if packet.size and packet.pts is not None)
            shape, rate = (stream.codec_context.height, stream.codec_context.width), stream.average_rate
    except (InputError, MissingDependency):
        raise
    except Exception as error:
        raise InputError(str(path), expected="a video", found=one_line(error), fix="Copy or encode it again.") from error
    if not places:
        raise InputError(str(path), expected="a video with frames", found="none")
    check_image(str(path), (*shape, 3), np.dtype(np.uint8))
    return Footage(path, shape, float(rate) if rate else None, tuple(places))


def _opened(path: Path) -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingDependency("videos need av (install: pip install 'seed-ct[photographs]')") from error
    return av.open(str(path))


def _image(path: Path, grey: bool) -> np.ndarray:
    from PIL import Image

    with readable(path), Image.open(path) as image:
        check_image(str(path), (image.height, image.width, 3), np.dtype(np.uint8))
        return np.asarray(image.convert("L" if grey else "RGB"))
