"""Event files: every scalar that a method logs, slices, and projections beside the measured ones. Needs tensorboard."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from balls import ball_scan

from benchmark.execution.tensorboard import Board
from benchmark.methods.gaussians import GaussiansParams
from benchmark.methods.gaussians.reconstruct import reconstruct
from benchmark.projection.rendering import rendered
from benchmark.runtime.context import Run
from benchmark.scan.scan import Scan

TERMS = ("l1", "ssim", "tv", "scale_reg")

pytest.importorskip("tensorboard")
pytestmark = pytest.mark.filterwarnings("ignore")  # of tensorboard's own imports


def events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    found.Reload()
    return found


@pytest.mark.parametrize("composite", ["sum", "max"])
def test_losses_number_and_pictures_of_a_mixture(composite: Any, tmp_path: Path) -> None:
    line_integrals, truth = ball_scan(views=6)
    views = rendered(truth, line_integrals.geometry, composite)
    scan = Scan(views, line_integrals.geometry, composite=composite)
    board = Board(tmp_path, scan)
    run = Run(on_log=board.log, on_snapshot=lambda step, seconds, volume: board.snapshot(step, volume), snapshots=3)
    run.clock.start()
    params = GaussiansParams(steps=41, gaussians=150, every=15, tv_block=8, ssim=0.2, scale=0.01)
    reconstruct(scan, params, run)
    board.writer.flush()
    found = events(tmp_path)
    assert set(found.Tags()["scalars"]) == {*(f"loss/{term}" for term in ("total", *TERMS)), "gaussians/N", "fit_psnr"}
    terms = {name: found.Scalars(f"loss/{name}")[-1].value for name in TERMS}
    assert found.Scalars("loss/total")[-1].value == pytest.approx(sum(terms.values()), rel=1e-4)
    assert [event.step for event in found.Scalars("gaussians/N")] == [0, 20, 40]
    assert found.Scalars("fit_psnr")[-1].value > found.Scalars("fit_psnr")[0].value
    pictures = [tag for tag in found.Tags()["images"] if tag.startswith("projection/")]
    assert pictures == [f"projection/view {view} (measured, rendered)" for view in (0, 2, 3, 5)]
    assert len(found.Images(pictures[0])) == len(found.Scalars("fit_psnr")) >= 3


def test_the_true_volume_shows_what_was_measured(tmp_path: Path) -> None:
    scan, truth = ball_scan(views=3)
    scan = dataclasses.replace(scan, projections=rendered(truth, scan.geometry))
    Board(tmp_path, scan).snapshot(0, truth)
    found = events(tmp_path)
    assert found.Scalars("fit_psnr")[0].value > 100
    import io

    from PIL import Image

    picture = np.asarray(Image.open(io.BytesIO(found.Images("projection/view 0 (measured, rendered)")[0].encoded_image_string)))
    left, right = np.split(picture, 2, axis=1)
    assert left.max() > 200 and (left == right).all()
