"""A figure for a paper from the results of sweeps: quality against the number of views, in the width of a column.

    python examples/paper_plot.py                           # a small sweep of its own first
    python examples/paper_plot.py --results results/quick   # of a sweep that you have made

Points are means over cases, bars reach from the lowest to the highest case. Only cases that all methods have finished are shown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import benchmark

COLUMN = 3.4  # [inch]
METRIC, LABEL = "volume_psnr", "PSNR of the volume [dB]"


def main(output: Path, results: Path | None) -> None:
    if results is None:
        results = output / "paper_plot"
        benchmark.run(
            methods=["fdk", "sart"], datasets=["phantom", "ball"], views=[8, 16, 32], size=24, output=results, report=False, workers=2
        )
    scores = complete(benchmark.load_results(results).frame())
    print(scores.groupby(["views", "method"])[METRIC].agg(["mean", "min", "max", "count"]).round(2))

    plt.rcParams.update({"font.size": 8, "font.family": "serif", "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(figsize=(COLUMN, 0.7 * COLUMN), layout="constrained")
    for (method, rows), marker in zip(scores.groupby("method"), "osD^v<>pP*", strict=False):
        points = rows.groupby("views")[METRIC].agg(["mean", "min", "max"])
        spread = [points["mean"] - points["min"], points["max"] - points["mean"]]
        axes.errorbar(points.index, points["mean"], spread, marker=marker, markersize=3, linewidth=1, capsize=2, label=method)
    axes.set(xscale="log", xlabel="views", ylabel=LABEL)
    axes.set_xticks(sorted(scores["views"].unique()), labels=map(str, sorted(scores["views"].unique())), minor=False)
    axes.minorticks_off()
    axes.legend(frameon=False)
    for kind in ("pdf", "png"):
        figure.savefig(output / f"paper_plot.{kind}", dpi=300)


def complete(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over seeds of each method, case and number of views; cases that some method has not finished are left out."""
    done = table[table["status"] == "ok"].dropna(subset=[METRIC])
    scores = done.groupby(["method", "case", "size", "noise", "views"], as_index=False, dropna=False)[METRIC].mean()
    methods = scores.groupby(["case", "size", "noise", "views"], dropna=False)["method"].transform("nunique")
    return scores[methods == table["method"].nunique()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "output", help="folder of results and pictures")
    parser.add_argument("--results", type=Path, help="results folder of a sweep")
    arguments = parser.parse_args()
    main(arguments.output, arguments.results)
