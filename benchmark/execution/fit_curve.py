"""Losses along a fit: training, and validation where scans are set aside for it; as a table and a figure beside the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from benchmark.report.canvas import canvas, save, styled
from benchmark.storage import atomic
from benchmark.storage.visible import csv_text

COLUMNS = ("step", "seconds", "loss", "validation_loss")


class FitCurve:
    """Points (step, seconds, loss, validation loss or None) of a fit; those of the fit that it goes on from come first."""

    def __init__(self, before: list[list[Any]] | None = None) -> None:
        self.points = [list(point) for point in before or []]
        self._first = tuple(self.points[-1][:2]) if self.points else (0, 0.0)

    def log(self, values: dict[str, Any]) -> None:
        """Note what a method has logged: `loss`, and `validation_loss` after a step that was judged."""
        if "loss" in values:
            step, seconds = self._first
            self.points.append([step + values["step"] + 1, seconds + values["seconds"], values["loss"], values.get("validation_loss")])

    @property
    def best(self) -> list[Any] | None:
        """The point of the least validation loss; None without any."""
        judged = [point for point in self.points if point[3] is not None]
        return min(judged, key=lambda point: float(point[3])) if judged else None

    def state_dict(self) -> dict[str, Any]:
        return {"points": self.points}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.points = state["points"]

    def write(self, weights: Path) -> list[Path]:
        """Write <weights>-losses.csv and .png beside the weights (of a method that logs losses); return both. Raise StorageError."""
        if not self.points:
            return []
        name = f"{weights.stem}-losses"
        table = weights.with_name(f"{name}.csv")
        atomic.replace_text(table, csv_text(pd.DataFrame(self.points, columns=COLUMNS)))
        with styled():
            return [table, *save(self.figure(), weights.parent, name, ("png",))]

    def figure(self) -> Figure:
        """Draw both losses against the steps, and mark the best validation."""
        figure = canvas(5.6, 3.4)
        axes = figure.subplots()
        steps, _, losses, _ = zip(*self.points, strict=True)
        axes.plot(steps, losses, color="0.7", linewidth=1.0, label="training (one scan a step)")
        judged = [(step, validation) for step, _, _, validation in self.points if validation is not None]
        if judged and self.best is not None:
            axes.plot(*zip(*judged, strict=True), color="tab:blue", marker="o", markersize=4, label="validation (mean over scans)")
            axes.plot(self.best[0], self.best[3], ls="", marker="*", markersize=13, color="tab:red", label=f"kept: step {self.best[0]}")
        if min(losses) > 0:
            axes.set_yscale("log")
        axes.set(xlabel="steps", ylabel="loss", title="Losses along the fit")
        axes.legend()
        return figure
