"""A method of your own against the ones that come with the project: a table, and convergence in a picture.

    python examples/own_method.py [--output FOLDER]

The method is in landweber.py. To share it, make a package of it: python -m benchmark new-method NAME.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import landweber
import matplotlib.pyplot as plt
import pandas as pd

import benchmark


def main(output: Path) -> None:
    table = benchmark.run(
        methods=[landweber.METHOD, "sart", "fdk"],
        datasets="phantom",
        views=20,
        size=32,
        set={"landweber.iterations": 60, "sart.iterations": 20},
        output=output / "own_method",
        report=False,
    )
    print(table[["method", "status", "volume_psnr", "volume_ssim", "projection_psnr", "seconds"]].to_string(index=False))

    figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for record in benchmark.load_results(output / "own_method").records:
        curve = pd.DataFrame([point.model_dump() for point in record.curve])
        axes.plot(curve["seconds"], curve["volume_psnr"], marker="o", markersize=3, label=record.spec.method)
    axes.set(xlabel="time of the method [s]", ylabel="PSNR of the volume [dB]", title="phantom, 32 voxels, 20 views")
    axes.legend()
    figure.savefig(output / "own_method.png", dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "output", help="folder of results and picture")
    main(parser.parse_args().output)
