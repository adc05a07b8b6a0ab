"""A scan of your own, with or without a truth: three methods, judged by views that none of them has seen.

python examples/own_scan.py                # a small scan is written first: images and scan.yaml
python examples/own_scan.py --scan DIR     # yours: a folder with scan.yaml (python -m benchmark new-scan DIR), a file of NAF or R2
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import tifffile

import benchmark

METHODS = ["fdk", "sart", "fista_tv"]


def main(output: Path, scan: Path | None) -> None:
    if scan is None:
        scan = output / "scan"
        write_scan(scan)
    case = benchmark.load_case(scan)
    print(case.outline)
    results = output / "own_scan"
    table = benchmark.run(METHODS, scan=scan, output=results, report=False)
    print(table[["method", "views", "projection_psnr", "fit_psnr", "seconds"]].to_string(index=False))
    draw(benchmark.load_results(results), case, output / "own_scan.png")


def write_scan(folder: Path) -> None:
    """Write 36 images as a detector would, and their description. In your own folder these files are there already."""
    made = benchmark.load_case("phantom", views=36, size=20, heldout=0)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    counts = 60000 * np.exp(-made.scan.projections[:, ::-1])  # the first row is the top one
    for index, image in enumerate(counts):
        tifffile.imwrite(folder / "images" / f"view_{index:03}.tif", image.round().astype(np.uint16))
    geometry = made.scan.geometry
    (folder / "scan.yaml").write_text(
        f"""\
projections: {{file: images, values: intensities, flat: 60000, first_row: top}}
geometry:
  source_to_origin: {geometry.source_to_origin}
  source_to_detector: {geometry.source_to_detector}
  detector_pitch: {list(geometry.detector_pitch)}
angles: {{first: 0, step: 10}}
""",
        encoding="utf-8",
    )


def draw(results: benchmark.Results, case: benchmark.Case, path: Path) -> None:
    """Draw the first view, and the central slice of each method's volume."""
    figure, axes = plt.subplots(1, 1 + len(METHODS), figsize=(2.4 * (1 + len(METHODS)), 2.7), layout="constrained")
    axes[0].imshow(case.scan.projections[0], cmap="gray", origin="lower")
    axes[0].set_title("first view", fontsize=9)
    volumes = [(record, volume) for record in results.records if (volume := results.volume(record)) is not None]
    brightest = max((float(np.percentile(volume, 99.9)) for _, volume in volumes), default=1.0)
    for axis, (record, volume) in zip(axes[1:], volumes, strict=False):
        axis.imshow(volume[len(volume) // 2], cmap="gray", vmin=0, vmax=brightest, origin="lower")
        axis.set_title(f"{record.spec.method}: {record.metrics['projection_psnr']:.1f} dB held out", fontsize=9)
    for axis in axes:
        axis.axis("off")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "output", help="folder of results and picture")
    parser.add_argument("--scan", type=Path, help="a scan of your own")
    arguments = parser.parse_args()
    main(arguments.output, arguments.scan)
