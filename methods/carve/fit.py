"""Pretraining of networks on many scans, by projections alone, to be applied to other scans unchanged."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmark.api import InputError, Run, Scan

from . import CarveParams
from .attenuation import Shadows
from .colour import Photographs
from .hull import alone
from .network import Carver
from .training import Example, Training

MOST_SUBSETS = 4  # of a scan's views, given to the networks in turn
LOG_EVERY = 10  # steps
BUILD = ("networks", "levels", "channels", "norm", "bottleneck", "features", "hidden", "width", "stretch", "reach")  # the weights' own


def fit(scans: Sequence[Scan], params: CarveParams, run: Run) -> dict[str, Any]:
    """Return the networks' weights after `steps` steps, each on one scan drawn at random."""
    kinds = {scan.composite for scan in scans}
    if len(kinds) > 1:
        raise InputError("scans", expected="all of one kind", found="line integrals and photographs")
    examples = [example_of(seen, scan, params, run.device) for scan in map(alone, scans) for seen in subsets(scan, params.seen)]
    training = Training(examples, params, run.seed, run.device)
    for step in run.steps(params.steps, training):
        loss, count = training.step()
        if step % LOG_EVERY == 0:
            run.log(loss=loss, gaussians=count)
    return {"carver": training.carver.state_dict(), "build": {key: getattr(params, key) for key in BUILD}}


def example_of(seen: Scan, scan: Scan, params: CarveParams, device: str) -> Example:
    """Return the example that predicts the views of `scan` from those of `seen`."""
    kind = Photographs if scan.composite == "over" else Shadows
    return kind(seen, scan, params, device)


def subsets(scan: Scan, seen: int | None) -> list[Scan]:
    """Return sparse versions of the scan: `seen` evenly spaced views, with different first views."""
    views = scan.geometry.views
    if seen is None or seen >= views:
        return [scan]
    starts = np.arange(min(MOST_SUBSETS, views // seen)) * (views / seen / min(MOST_SUBSETS, views // seen))
    return [only(scan, np.unique(np.floor(start + np.arange(seen) * views / seen).astype(int))) for start in starts]


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
