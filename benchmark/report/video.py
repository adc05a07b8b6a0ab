"""Videos of pictures: MP4 through PyAV where that is installed, else an animated GIF."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmark.machine.environment import missing_modules
from benchmark.storage import atomic

SIDE = 512  # [pixels] at least, of the longer edge of enlarged pictures


def enlarged(pictures: np.ndarray) -> np.ndarray:
    """Return small grey pictures [picture, row, column], each pixel repeated a whole number of times."""
    times = max(1, -(-SIDE // max(pictures.shape[1:])))
    return pictures.repeat(times, 1).repeat(times, 2)


def save_video(path: Path, pictures: np.ndarray, rate: float) -> Path:
    """Write uint8 [picture, row, column] (grey) or [picture, row, column, 3], top row first, `rate` a second; return the path.

    The suffix says MP4 or GIF; without PyAV a GIF stands in for the MP4. Raise StorageError.
    """
    if path.suffix == ".mp4" and missing_modules(("av",)):
        path = path.with_suffix(".gif")
    with atomic.replacing(path) as temporary:
        (_mp4 if path.suffix == ".mp4" else _gif)(temporary, pictures, rate)
    return path


def _gif(path: Path, pictures: np.ndarray, rate: float) -> None:
    from PIL import Image

    images = [Image.fromarray(picture) for picture in pictures]
    first, *others = [image if image.mode == "L" else image.quantize(256) for image in images]
    first.save(path, format="gif", save_all=True, append_images=others, duration=round(1000 / rate), loop=0)


def _mp4(path: Path, pictures: np.ndarray, rate: float) -> None:
    import av

    rows, columns = pictures.shape[1:3]
    even = ((0, 0), (0, rows % 2), (0, columns % 2), *[(0, 0)] * (pictures.ndim - 3))  # edges that the colour format halves
    with av.open(str(path), "w", format="mp4") as container:
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(1000))
        stream.height, stream.width, stream.pix_fmt = rows + rows % 2, columns + columns % 2, "yuv420p"
        for picture in np.pad(pictures, even, mode="edge"):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="gray" if picture.ndim == 2 else "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
