"""Measures how the cost of methods grows with voxels and views, and draws docs/growth.svg from docs/growth.csv.

python docs/growth.py measure fdk,naf --sizes 64,128 --views 10,50   runs the methods, one process each, and appends rows to the table
python docs/growth.py                                                draws the figure and prints the table with fitted exponents

The scan is a head of ellipsoids, noise-free, with as many detector columns as voxels along an edge.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
TABLE, FIGURE = FOLDER / "growth.csv", FOLDER / "growth.svg"
COLUMNS = ("method", "size", "views", "cpu_seconds", "peak_mib")


def measure(method: str, size: int, views: int) -> dict[str, Any]:
    """Run a method with its defaults in this process; return CPU seconds and peak memory [MiB]."""
    import time

    import numpy as np

    from benchmark.acquisition.reference import CENTRES, DENSITIES, SEMI_AXES
    from benchmark.api import ConeBeamGeometry, Ellipsoids, Run, Scan
    from benchmark.machine.clock import peak_memory_mb
    from benchmark.plugins.registry import registry
    from benchmark.plugins.specs import resolve

    geometry = ConeBeamGeometry(
        source_to_origin=500.0,
        source_to_detector=700.0,
        detector_shape=(size, size),
        detector_pitch=(400 / size, 400 / size),
        volume_shape=(size,) * 3,
        volume_spacing=(200 / size,) * 3,
        angles=np.linspace(0, 2 * np.pi, views, endpoint=False),
    )
    head = Ellipsoids(np.array(CENTRES, dtype=float), np.array(SEMI_AXES, dtype=float), np.array(DENSITIES))
    scan, spec = Scan(head.project(geometry, 1), geometry), registry().methods[method]
    begin = time.process_time()
    resolve(spec.target)(scan, spec.params(), Run())
    spent = time.process_time() - begin
    return dict(zip(COLUMNS, (method, size, views, round(spent, 2), round(peak_memory_mb())), strict=True))


def rows() -> list[dict[str, Any]]:
    """Return the measured runs."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return [{key: value if key == "method" else float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def exponent(points: list[tuple[float, float]]) -> float:
    """Return the power of x that y grows with, by least squares in the logarithms."""
    import numpy as np

    x, y = np.log(np.array(points)).T
    return float(np.polyfit(x, y, 1)[0])


def curves(found: list[dict[str, Any]], cost: str) -> list[tuple[str, int, list[tuple[float, float]]]]:
    """Return method, views and (voxels, cost), by size, of every series of two sizes or more."""
    series = []
    for method, views in sorted({(row["method"], int(row["views"])) for row in found}):
        points = sorted((row["size"] ** 3, row[cost]) for row in found if (row["method"], int(row["views"])) == (method, views))
        series += [(method, views, points)] if len(points) > 1 else []
    return series


def draw() -> None:
    """Write the figure, and print the table."""
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "growth"
    found = rows()
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    methods = sorted({row["method"] for row in found})
    for axis, cost, label in zip(axes, ("cpu_seconds", "peak_mib"), ("CPU seconds", "peak memory [MiB]"), strict=True):
        for method, views, points in curves(found, cost):
            style = {10: "o--", 50: "s-"}.get(views, "x:")
            name = f"{method}, {views} views: voxels^{exponent(points):.2f}"
            axis.loglog(*zip(*points, strict=True), style, color=f"C{methods.index(method)}", label=name, markersize=4, linewidth=1)
        axis.set(xlabel="voxels", ylabel=label, xticks=[n**3 for n in (64, 128, 256)])
        axis.set_xticklabels([f"{n}³" for n in (64, 128, 256)])
        axis.minorticks_off()
        axis.legend(fontsize=6)
    figure.savefig(FIGURE, metadata={"Date": None})
    print("| method | views | " + " | ".join(f"{n}^3" for n in (64, 128, 256, 512)) + " | seconds grow as voxels to the power |")
    print("|---|---|---|---|---|---|---|")
    by_place = {(row["method"], int(row["views"]), int(row["size"])): row for row in found}
    for method, views in sorted({key[:2] for key in by_place}):
        cells = [by_place.get((method, views, size)) for size in (64, 128, 256, 512)]
        texts = [f"{cell['cpu_seconds']:.3g} s, {cell['peak_mib']:.0f} MiB" if cell else "" for cell in cells]
        points = [(cell["size"] ** 3, cell["cpu_seconds"]) for cell in cells if cell]
        power = f"{exponent(points):.2f}" if len(points) > 1 else ""
        print(f"| {method} | {views} | {' | '.join(texts)} | {power} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", nargs="?", choices=("draw", "measure", "one"), default="draw")
    parser.add_argument("methods", nargs="?", default="")
    parser.add_argument("--sizes", default="64,128")
    parser.add_argument("--views", default="10,50")
    asked = parser.parse_args()
    if asked.command == "draw":
        return draw()
    sizes, views = ([int(number) for number in text.split(",")] for text in (asked.sizes, asked.views))
    if asked.command == "one":
        with TABLE.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(measure(asked.methods, sizes[0], views[0]))
        return None
    for size, count, method in itertools.product(sizes, views, asked.methods.split(",")):
        arguments = [sys.executable, __file__, "one", method, "--sizes", str(size), "--views", str(count)]
        subprocess.run(arguments, check=True)
    return None


if __name__ == "__main__":
    main()
