"""Gaussians of runs for the page's 3-D view: the heaviest of each run, as text that a browser draws by itself."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.report.splats import SHAPE, appearance, covariance

if TYPE_CHECKING:
    from benchmark.records.store import Results
    from benchmark.report.viewers import Shown

MOST = 3000  # Gaussians of a run
NEAR = 0.98  # of them within the radius that the view shows at first
MOST_RUNS = 24  # with a cloud, in a page: about 200 kB of text each


@dataclasses.dataclass(frozen=True)
class Cloud:
    """float32 [K, 13] as base64: mean x y z about their median, covariance xx xy xz yy yz zz (in units of `radius`, which holds most), red,
    green, blue, opacity."""

    count: int
    left_out: int
    radius: float  # [mm]
    text: str

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Cloud:
        """Return the cloud of Reconstruction.arrays."""
        opacities, colours = appearance(arrays)
        spread = covariance(arrays)
        heaviest = np.argsort(-opacities * np.sqrt(np.trace(spread, axis1=1, axis2=2)), kind="stable")[:MOST]
        means = arrays["means"].astype(np.float64)[heaviest]
        means -= np.median(means, axis=0)
        radius = max(float(np.quantile(np.linalg.norm(means, axis=1), NEAR)), 1e-12)
        upper = spread[heaviest][:, (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)] / radius**2
        table = np.concatenate([means / radius, upper, colours[heaviest], opacities[heaviest, None]], 1).astype("<f4")
        return cls(len(table), len(opacities) - len(table), radius, base64.b64encode(table.tobytes()).decode())


class Clouds:
    """Clouds of a page, by section; `texts` are embedded in it."""

    def __init__(self, results: Results, names: dict[str, str], shown: list[Shown]) -> None:
        self.texts: list[str] = []
        self.by_section: dict[str, list[dict[str, Any]]] = {}
        for item in shown:
            several = len(item.groups) > 1
            for views, records in item.groups.items():
                for record in records:
                    arrays = results.tried(results.arrays, record) or {}
                    strengths = {"opacities", "log_amplitudes"} & set(arrays)
                    if len(self.texts) == MOST_RUNS or not strengths or not set(SHAPE) <= set(arrays) or not len(arrays["means"]):
                        continue
                    cloud = Cloud.of(arrays)
                    label = f"{item.case}{f', {views} views' if several else ''}: {names[record.run_id]}"
                    facts = {"label": label, "cloud": len(self.texts), "count": cloud.count, "left": cloud.left_out, "radius": cloud.radius}
                    self.by_section.setdefault(item.section, []).append(facts)
                    self.texts.append(cloud.text)
