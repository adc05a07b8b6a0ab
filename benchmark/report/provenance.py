"""Provenance of every number: the data, the parameters, the code and the machine."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from benchmark.storage.json_values import plain

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.records.store import Results
from benchmark.scan.scan import MEASURED


def cases(results: Results) -> list[dict[str, Any]]:
    """Return facts about the data: the geometry in words, the truth, the views."""
    found = []
    for case in results.cases():
        geometry = case.geometry
        unit = case.length_unit
        facts = {
            "training views": f"{geometry.views} over {math.degrees(geometry.arc):.0f} degrees",
            "projections": MEASURED[case.composite],
            "held-out views": str(len(case.heldout_views)),
            "volume [z, y, x]": f"{_by(geometry.volume_shape)} voxels of {_by(geometry.volume_spacing)} {unit}",
            "detector [v, u]": f"{_by(geometry.detector_shape)} pixels of {_by(geometry.detector_pitch)} {unit}",
            "distances": f"source to axis {geometry.source_to_origin:.5g}, to detector {geometry.source_to_detector:.5g} {unit}",
            "photons": "noise-free or unknown" if case.photons is None else f"{case.photons:.4g} per pixel",
            "truth": case.truth_note or "not described",
            **({"notes": " ".join(case.notes)} if case.notes else {}),
            "digest": case.digest,
        }
        found.append({"name": f"{case.name}, {geometry.views} views", "facts": facts})
    return found


def methods(results: Results, table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the parameters of each label, with an anchor for links; several blocks if they differ between datasets."""
    names = dict(zip(table["run_id"], table["label"], strict=True))
    seen: dict[tuple[str, str], dict[str, Any]] = {}
    for record in results.records:
        parameters = json.dumps(plain(record.spec.method_params), indent=1)
        entry = {"label": names[record.run_id], "revision": record.spec.method_revision, "parameters": parameters}
        seen.setdefault((names[record.run_id], parameters), entry)
    found = sorted(seen.values(), key=lambda entry: entry["label"])
    return [{**entry, "anchor": f"method-{number}"} for number, entry in enumerate(found, 1)]


def environment(results: Results) -> list[tuple[str, str]]:
    """Return every fact about code and machine, with all its values if the runs differ."""
    facts: dict[str, dict[str, None]] = {}
    for record in results.records:
        for name, value in record.environment.items():
            if isinstance(value, str | int | float):
                facts.setdefault(name, {})[str(value)] = None
    days = sorted(record.started for record in results.records if record.started)
    rows = [(name, "; ".join(values)) for name, values in facts.items()]
    return rows + ([("started", days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}")] if days else [])


def _by(numbers: Iterable[float]) -> str:
    return " x ".join(f"{number:.4g}" for number in numbers)
