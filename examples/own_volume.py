"""A volume of your own (CT, or anything in 1/mm), scanned in simulation, reconstructed and compared with itself.

python examples/own_volume.py                                  # a machined block is made up first
python examples/own_volume.py --volume head.nii.gz --size 64   # yours: DICOM folder, NIfTI, NRRD, MHA, TIFF, npy
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import benchmark

VIEWS = [8, 32]
METHODS = ["fdk", "sart"]


def main(output: Path, volume: Path | None, size: int) -> None:
    output.mkdir(parents=True, exist_ok=True)
    settings = {}
    if volume is None:
        volume = output / "block.npy"
        np.save(volume, block())
        settings = {"volume.spacing": 1.0, "volume.unit": "attenuation"}
    results = output / "own_volume"
    table = benchmark.run(METHODS, volume=volume, views=VIEWS, size=size, set=settings, output=results, report=False)
    print(table[["case", "views", "method", "volume_psnr", "volume_ssim", "projection_psnr"]].to_string(index=False))
    draw(benchmark.load_results(results), output / "own_volume.png")


def block() -> np.ndarray:
    """Return a block of aluminium with holes and a steel pin, float32 [z, y, x] [1/mm], voxels of 1 mm."""
    z, y, x = np.mgrid[:64, :64, :64] - 31.5
    volume = np.where((abs(z) < 20) & (abs(y) < 22) & (abs(x) < 24), 0.03, 0.0)
    for cy, cx, radius in ((-10, -12, 6), (10, -12, 4), (-10, 12, 3), (8, 8, 9)):
        volume[np.hypot(y - cy, x - cx) < radius] = 0.0
    volume[(np.hypot(y - 8, x - 8) < 3) & (abs(z) < 20)] = 0.08
    return volume.astype(np.float32)


def draw(results: benchmark.Results, path: Path) -> None:
    """Draw the central slice of the truth and of every method, one row per number of views."""
    figure, axes = plt.subplots(len(VIEWS), 1 + len(METHODS), figsize=(2.2 * (1 + len(METHODS)), 2.4 * len(VIEWS)), layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for record in results.records:
        truth, volume = results.truth(record), results.volume(record)
        if truth is None or volume is None:
            continue
        row = axes[VIEWS.index(record.views)]
        for axis, values, title in (
            (row[0], truth, "truth"),
            (row[1 + METHODS.index(record.spec.method)], volume, f"{record.spec.method}, {record.views} views"),
        ):
            axis.imshow(values[len(values) // 2], cmap="gray", vmin=truth.min(), vmax=truth.max(), origin="lower")
            axis.set_title(title, fontsize=9)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "output", help="folder of results and picture")
    parser.add_argument("--volume", type=Path, help="a volume of your own")
    parser.add_argument("--size", type=int, default=32, help="voxels along the longest edge of the reconstruction")
    arguments = parser.parse_args()
    main(arguments.output, arguments.volume, arguments.size)
