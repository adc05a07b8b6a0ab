"""Scores along a run, by the harness: the run's process writes a volume and waits; this one scores it and lets it go on.

The run's clock is paused meanwhile, and its process sees no score. Times of scoring do not count to a time-out either.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmark.execution.options import OUTPUT_EVENT, OnEvent
from benchmark.execution.tracker import OFFERED, OFFERED_EVENT
from benchmark.execution.verdict import load_volume
from benchmark.metrics.scorer import Scorer
from benchmark.plugins.specs import MetricSpec
from benchmark.scan.case import Case
from benchmark.storage import atomic
from benchmark.storage.json_values import dumps

SCORES = ("volume_psnr", "projection_psnr", "fit_psnr")  # of a point of the curve
VALIDATED_EVENT, NOTE_EVENT = "validated", "note"  # `validation` holds the scores and their step; `text` a remark


class Validation:
    """Receiver of a run's events: it scores each volume offered, and passes on all else with the latest scores.

    `folder` is the job's. `kept` keeps the scores of an interrupted run, beside its snapshots; None = nothing is kept.
    """

    def __init__(self, folder: Path, kept: Path | None, case: Case, metrics: Iterable[MetricSpec], on_event: OnEvent) -> None:
        self.folder, self.case, self.on_event = folder, case, on_event
        self.scorer = Scorer(case, [metric for metric in metrics if metric.name == "psnr" and metric.protocol == "strict"])
        self.file = kept / "validation.json" if kept is not None and kept.parent.is_dir() else None
        self.scores = _read(self.file)
        self._progress: dict[str, Any] = {}  # latest
        self._latest: dict[str, Any] = {}  # scores
        self._noted: set[str] = set()

    def __call__(self, event: dict[str, Any]) -> None:
        if event.get("event") == OUTPUT_EVENT:
            self.on_event(event)
            return
        if event.get("event") != OFFERED_EVENT:
            self._progress = event
            self.on_event({**event, **self._latest})
            return
        try:
            self._score(int(event["step"]))
        finally:
            (self.folder / OFFERED).unlink(missing_ok=True)  # the run goes on
        self.on_event({**self._progress, **event, "event": VALIDATED_EVENT, **self._latest})

    def _score(self, step: int) -> None:
        volume, defect = load_volume(self.folder / OFFERED, self.case)
        if volume is None:
            self._note(f"step {step} has no score: {defect}")
            return
        scores, problems = self.scorer.score(volume)
        for problem in problems:
            self._note(f"not scored along the run: {problem}")
        self.scores[step] = {name: scores.get(name) for name in SCORES}
        self._latest = {"validation": {"step": step, **self.scores[step]}}
        if self.file is not None:
            self.file.parent.mkdir(exist_ok=True)
            atomic.replace(self.file, dumps(self.scores).encode())

    def points(self, result: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the points of the curve for the volumes that a worker's result names."""
        return [{**point, **self.scores[point["step"]]} for point in result.get("validated", []) if point["step"] in self.scores]

    def close(self, result: dict[str, Any]) -> None:
        """Say so if a finished run has only its final scores."""
        if result.get("status") == "ok" and not self.points(result) and not self._noted:
            early = "the run ended before the first of them was due"
            why = early if result.get("snapshots") else "the method offers no volumes along its run"
            why = "photographs are scored by the Gaussians of the end" if self.case.scan.composite == "over" else why
            self._note(f"no scores along the run, only the final ones: {why}")

    def _note(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self.on_event({"event": NOTE_EVENT, "text": text})


def _read(path: Path | None) -> dict[int, dict[str, float | None]]:
    """Return the scores of an earlier process by step; none if there is no whole file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path is not None else {}
        return {int(step): {name: scores[name] for name in SCORES} for step, scores in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
