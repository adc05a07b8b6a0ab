"""Videos of grey pictures: MP4 through PyAV where that is installed, else an animated GIF."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmark.machine.environment import missing_modules
from benchmark.storage import atomic

SIDE = 512  # [pixels] at least, of the longer edge


def save_video(pictures: Sequence[np.ndarray], folder: Path, name: str, rate: float) -> Path:
    """Write pictures (uint8 [row, column], one shape, top row first) as <name>.mp4 or <name>.gif, `rate` a second; return the path.

    Small pictures are enlarged by a whole number. Raise StorageError.
    """
    enlarge = max(1, -(-SIDE // max(pictures[0].shape)))
    shown = [np.kron(picture, np.ones((enlarge, enlarge), np.uint8)) for picture in pictures]
    shown = [np.pad(picture, [(0, length % 2) for length in picture.shape]) for picture in shown]  # H.264 needs even edges
    if missing_modules(("av",)):
        path = folder / f"{name}.gif"
        with atomic.replacing(path) as temporary:
            _gif(temporary, shown, rate)
    else:
        path = folder / f"{name}.mp4"
        with atomic.replacing(path) as temporary:
            _mp4(temporary, shown, rate)
    return path


def _gif(path: Path, pictures: list[np.ndarray], rate: float) -> None:
    from PIL import Image

    first, *others = [Image.fromarray(picture) for picture in pictures]
    first.save(path, format="gif", save_all=True, append_images=others, duration=round(1000 / rate), loop=0)


def _mp4(path: Path, pictures: list[np.ndarray], rate: float) -> None:
    import av

    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape, "yuv420p"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="gray")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
