"""Pretraining of networks on many scans, by projections alone, to be applied to other scans unchanged."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, SupportsFloat

import numpy as np
import torch

from benchmark.api import InputError, Run, Scan

from . import CarveParams
from .attenuation import Shadows
from .augment import augmented
from .colour import Photographs
from .hull import alone
from .network import Carver
from .training import Example, Training

MOST_SUBSETS = 4  # of a scan's views, given to the networks in turn
MOST_VIEWS = 64  # that a judge is asked for
LOG_EVERY = 10  # steps
BUILD = ("networks", "levels", "channels", "norm", "bottleneck", "features", "hidden", "width", "stretch", "reach")  # the weights' own


def fit(scans: Sequence[Scan], params: CarveParams, run: Run) -> dict[str, Any]:
    """Return the networks' weights after `steps` steps, each on one scan drawn at random: the last, or the best by the validation."""
    judges = run.validation.scans if run.validation is not None else ()
    kinds = {scan.composite for scan in (*scans, *judges)}
    if len(kinds) > 1:
        raise InputError("scans", expected="all of one kind", found="line integrals and photographs")
    augments = bool(params.augment_angle or params.augment_centre or params.augment_colour)
    examples = [
        Augmented(views, scan, params, run.device) if augments else example_of(only(scan, views), scan, params, run.device)
        for scan in map(alone, scans)
        for views in subsets(scan, params.seen)
    ]
    course = Fitting(
        Training(examples, params, run.seed, run.device),
        [example_of(only(scan, subsets(scan, params.seen)[0]), scan, params, run.device) for scan in map(alone, judges)],
    )
    if run.weights is not None:
        course.go_on(run.weights, params)
    for step in run.steps(params.steps, course):
        loss, count = course.training.step()
        values: dict[str, SupportsFloat] = {"loss": loss, "gaussians": count}
        if run.validation is not None and (step + 1) % run.validation.every == 0:
            values["validation_loss"] = course.judge()
        if step % LOG_EVERY == 0 or "validation_loss" in values:
            run.log(**values)
        if run.validation is not None and course.waited == run.validation.patience:
            break
    last = {name: value for name, value in course.training.state_dict().items() if name != "carving"}
    return {"carver": course.best, "build": {key: getattr(params, key) for key in BUILD}, "training": last}


class Fitting:
    """A fit under way, and its best networks by the loss of the examples that judge it; without any, the present ones."""

    def __init__(self, training: Training, judges: Sequence[Example]) -> None:
        self.training, self.judges = training, judges
        self.least, self.waited = float("inf"), 0  # waited: judgements since the best
        self._best: dict[str, Any] = {}

    @property
    def best(self) -> dict[str, Any]:
        """Weights to keep."""
        return self._best or self.training.carver.state_dict()

    @torch.no_grad()
    def judge(self) -> float:
        """Return the mean loss of all views of all judges, and keep the networks if it is the least."""
        carver, losses = self.training.carver.eval(), []
        for example in self.judges:
            loss, _ = example.loss(carver, 1.0, torch.Generator().manual_seed(0), MOST_VIEWS)
            losses.append(float(loss))
        found, self.waited = sum(losses) / len(losses), self.waited + 1
        if found < self.least:
            self.least, self.waited = found, 0
            self._best = {name: tensor.clone() for name, tensor in carver.state_dict().items()}
        return found

    def go_on(self, weights: dict[str, Any], params: CarveParams) -> None:
        """Continue an earlier fit where it ended, by as many steps again; its best networks have to be beaten."""
        load_fitted(self.training.carver, weights, params)
        if self.judges:
            self.judge()
        self.training.load_state_dict(weights["training"])
        self.training.planned = self.training.taken + params.steps

    def state_dict(self) -> dict[str, Any]:
        return self.training.state_dict() | {"least": self.least, "waited": self.waited, "best": self._best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.training.load_state_dict(state)
        self.least, self.waited, self._best = state["least"], state["waited"], state["best"]


class Augmented:
    """Example that is turned, moved and tinted anew in every step; `views` are those that the networks get."""

    def __init__(self, views: np.ndarray, scan: Scan, params: CarveParams, device: str) -> None:
        self.views, self.scan, self.params, self.device = views, scan, params, device
        self.plain = example_of(only(scan, views), scan, params, device)
        self.more, self.carving = self.plain.more, self.plain.carving

    def loss(self, carver: Carver, progress: float, generator: torch.Generator, views: int) -> tuple[torch.Tensor, int]:
        """Return the loss of another version of the scan."""
        scan = augmented(self.scan, self.params, generator)
        return example_of(only(scan, self.views), scan, self.params, self.device).loss(carver, progress, generator, views)


def example_of(seen: Scan, scan: Scan, params: CarveParams, device: str) -> Example:
    """Return the example that predicts the views of `scan` from those of `seen`."""
    kind = Photographs if scan.composite == "over" else Shadows
    return kind(seen, scan, params, device)


def subsets(scan: Scan, seen: int | None) -> list[np.ndarray]:
    """Return the views of sparse versions of the scan: `seen` evenly spaced ones, with different first views."""
    views = scan.geometry.views
    if seen is None or seen >= views:
        return [np.arange(views)]
    starts = np.arange(min(MOST_SUBSETS, views // seen)) * (views / seen / min(MOST_SUBSETS, views // seen))
    return [np.unique(np.floor(start + np.arange(seen) * views / seen).astype(int)) for start in starts]


def only(scan: Scan, views: np.ndarray) -> Scan:
    """Return the scan with only these views."""
    labels = {name: values[views] for name, values in scan.view_labels.items()}
    beside: dict[str, Any] = {name: array[views] for name, array in scan.beside.items()}
    return dataclasses.replace(
        scan, projections=scan.projections[views], geometry=scan.geometry.subset(views), view_labels=labels, **beside
    )


def load_fitted(carver: Carver, weights: dict[str, Any], params: CarveParams) -> None:
    """Load the weights into the networks. Raise InputError if they were made for other networks."""
    built = weights["build"]
    differing = [key for key in BUILD if getattr(params, key) != built[key]]
    if differing:
        raise InputError(
            "carve.weights",
            expected="the networks that they were fitted with: " + ", ".join(f"{key}={built[key]}" for key in differing),
            found=", ".join(f"{key}={getattr(params, key)}" for key in differing),
        )
    if weights["carver"]["head.2.bias"].shape != carver.head[-1].bias.shape:
        found = "those of line integrals for photographs, or the reverse"
        raise InputError("carve.weights", expected="weights of a fit to the same kind of views", found=found)
    carver.load_state_dict(weights["carver"])
