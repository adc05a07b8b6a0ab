"""How much do methods suffer from noise? The same scan with fewer and fewer photons per pixel.

python examples/noise_study.py [--output FOLDER]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt

import benchmark

PHOTONS = [1e2, 1e3, 1e4]  # per pixel of the unattenuated beam
METHODS = ["fdk", "sart", "fista_tv"]


def main(output: Path) -> None:
    table = benchmark.run(METHODS, "phantom", views=30, size=32, photons=PHOTONS, output=output / "noise_study", report=False, workers=2)
    table["photons"] = [json.loads(params)["photons"] for params in table["dataset_params"]]
    scores = table.pivot_table(index="photons", columns="method", values="volume_psnr")[METHODS]
    print(scores.round(2))

    figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    scores.plot(ax=axes, logx=True, marker="o")
    axes.set(xlabel="photons per pixel", ylabel="PSNR of the volume [dB]", title="phantom, 32 voxels, 30 views")
    figure.savefig(output / "noise_study.png", dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "output", help="folder of results and picture")
    main(parser.parse_args().output)
