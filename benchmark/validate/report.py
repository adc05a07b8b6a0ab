"""A diagnosis in words."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from benchmark.storage.download import Progress
from benchmark.validate.defects import cleaned
from benchmark.validate.diagnosis import GOOD, Candidate, Diagnosis, diagnose, one_thread
from benchmark.validate.numbers import Remark, mask_remarks, number_remarks, orbit_remarks
from benchmark.validate.residual import outside
from benchmark.validate.setup import Setup
from benchmark.validate.sizes import size_remarks, sizes

SURE, LIKELY = 1.5, 1.15  # residual of the next best over that of the best
OUTSIDE = 0.02  # of the line integrals
FEWEST_BLIND = 6  # views; with fewer, almost any volume explains them
FEW = 3  # equally good explanations; with more, none is trusted
RIGHT_SCALE = 0.15  # the truth may be a little off
# Likely cause by the ratio of the numbers to the truth's prediction.
SCALES = {
    1000.0: "line integrals of mu in 1/m over mm, or a truth in 1/m",
    0.001: "line integrals over metres, or a truth that is 1000 times too large",
    10.0: "mm and cm mixed",
    0.1: "mm and cm mixed",
    1 / math.log(10): "the logarithm to base 10 instead of the natural one (multiply by 2.3026)",
}
BLIND = (
    "without a truth, these cannot be determined: mirroring of the scan (flip v; flip u with the rotation reversed), the start angle,"
    " the scale of the numbers, a shift along v"
)


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """Report of `validate`."""

    name: str
    setup: Setup
    remarks: list[Remark]
    diagnosis: Diagnosis | None  # None if the numbers are already wrong, or too few to judge by

    @classmethod
    def of(cls, name: str, setup: Setup, progress: Progress = lambda done, total, what: None) -> Report:
        """Check the numbers, then the geometry, unless the numbers are wrong."""
        clean, remarks = cleaned(setup)
        remarks += number_remarks(clean.projections)
        geometry = clean.possible()
        remarks += [*(orbit_remarks(geometry) if geometry is not None else []), *size_remarks(clean)]
        if any(remark.level == "error" for remark in remarks):  # nothing could fit
            return cls(name, setup, remarks, None)
        remarks += mask_remarks(clean.projections, clean.masks)
        with one_thread():
            missed = outside(clean)
        if missed > OUTSIDE:
            text = f"{missed:.0%} of what the views show lies on rays that miss the volume"
            remarks.append(Remark("warning", text, "make volume.extent larger: every method needs the whole object inside"))
        if clean.truth is None and len(clean.projections) < FEWEST_BLIND:
            return cls(name, setup, remarks, None)
        report = cls(name, setup, remarks, diagnose(clean, progress))
        if (missed > OUTSIDE or clean.partial_truth) and report.exit_code and _may_show_more(clean, report.diagnosis):
            blind = diagnose(dataclasses.replace(clean, truth=None), progress)
            if blind.as_declared and blind.explains:
                remarks.append(Remark("warning", "the truth shows a part of the object alone", "the geometry is judged without it"))
                return cls(name, dataclasses.replace(setup, truth=None), remarks, blind)
        return report

    @property
    def known(self) -> bool:
        return self.setup.truth is not None

    @property
    def wrong_numbers(self) -> bool:
        """True if the numbers cannot be line integrals."""
        return any(remark.level == "error" for remark in self.remarks)

    @property
    def wrong_scale(self) -> bool:
        """True if the numbers do not match the truth's prediction under any geometry."""
        if self.diagnosis is None or not self.known or not self.diagnosis.explains:
            return False
        scale = self.diagnosis.best.fit.scale
        return scale <= 0 or abs(math.log(scale)) > RIGHT_SCALE

    @property
    def exit_code(self) -> int:
        """Exit code: 0 if the scan as declared fits best and its numbers are in order, else 1."""
        if self.wrong_numbers or self.diagnosis is None:
            return int(self.wrong_numbers)
        return int(not self.diagnosis.as_declared or not self.diagnosis.explains or self.wrong_scale)

    @property
    def headline(self) -> str:
        if self.diagnosis is None:
            return "the numbers are not line integrals" if self.wrong_numbers else "too few views to judge the geometry"
        if not self.diagnosis.explains:
            return "nothing that was tried explains the projections"
        return "as declared" if self.diagnosis.as_declared else self.diagnosis.best.hypothesis.name

    @staticmethod
    def _certainty(diagnosis: Diagnosis) -> str:
        ratio, same = diagnosis.certainty, len(diagnosis.same)
        if same > FEW:
            return f"but {same} others fit equally well"
        word = "sure" if ratio >= SURE else "likely" if ratio >= LIKELY else "barely better than the next best"
        return word + (f", except for equally good fits ({same})" if same else "")

    def lines(self) -> list[str]:
        """Return the report, line by line."""
        views, rows, columns = self.setup.projections.shape
        how = "the truth's projections" if self.known else "views predicted by a reconstruction from the other views (no truth)"
        lines = [f"{self.name}: {views} views of {rows} x {columns} pixels, compared with {how}", f"sizes: {sizes(self.setup).text}"]
        lines += [f"note: {note}" for note in self.setup.notes]
        lines += [f"numbers: {r.level}: {r.text}{'. ' + r.fix if r.fix else ''}" for r in self.remarks]
        if not self.remarks:
            lines.append("numbers: plausible line integrals")
        if self.diagnosis is None:
            few = f"{views} views without a truth say too little ({FEWEST_BLIND} at least)"
            return [*lines, f"geometry: not checked, because {'the numbers are wrong' if self.wrong_numbers else few}"]
        return [*lines, *self._geometry(self.diagnosis), *([] if self.known else [BLIND])]

    def _geometry(self, diagnosis: Diagnosis) -> list[str]:
        best = diagnosis.best
        if not math.isfinite(best.residual):
            return ["geometry: error: impossible as declared and with every correction tried"]
        lines = []
        if not diagnosis.explains:
            text = f"geometry: error: {self.headline}; the best ({best.hypothesis.name}) leaves {best.residual:.1%} of them"
            usual = f", where a right description would leave about {diagnosis.expected:.1%}" if diagnosis.expected is not None else ""
            lines.append(text + usual)
        elif diagnosis.as_declared:
            text = f"residual {best.residual:.1%} of the projections"
            lines.append(f"geometry: as declared fits best, {self._certainty(diagnosis)}: {text}")
        else:
            lines.append(f"geometry: error: {best.hypothesis.name}, {self._certainty(diagnosis)}: {_improvement(diagnosis)}")
            lines.append(f"  change in scan.yaml: {best.hypothesis.advice}")
        lines += [f"  equally good: {c.hypothesis.name} ({c.hypothesis.advice})" for c in diagnosis.same]
        if diagnosis.rival is not None:
            ratio = f"residual {diagnosis.certainty:.2f} times as large"
            lines.append(f"  next best: {diagnosis.rival.hypothesis.name} ({ratio}); {diagnosis.tried} hypotheses tried")
        if self.wrong_scale:
            lines.append(_scale(best.fit.scale))
        return lines

    def facts(self) -> dict[str, Any]:
        """Return the report as plain values."""
        diagnosis = self.diagnosis
        facts = {
            "name": self.name,
            "truth": self.known,
            "sizes": dataclasses.asdict(sizes(self.setup)),
            "remarks": [dataclasses.asdict(remark) for remark in self.remarks],
            "notes": list(self.setup.notes),
            "exit_code": self.exit_code,
        }
        if diagnosis is None:
            return facts
        return facts | {
            "as_declared": diagnosis.as_declared,
            "explained": diagnosis.explains,
            "declared_residual": diagnosis.declared.residual,
            "best": _facts(diagnosis.best),
            "same": [_facts(candidate) for candidate in diagnosis.same],
            "expected_residual": diagnosis.expected,
            "next_best": None if diagnosis.rival is None else _facts(diagnosis.rival),
            "certainty": diagnosis.certainty,
            "tried": diagnosis.tried,
        }


def _may_show_more(setup: Setup, diagnosis: Diagnosis | None) -> bool:
    """Return True if the projections may show more than the truth: nothing explains them well by it, and they can do without it."""
    unexplained = diagnosis is not None and diagnosis.best.residual > GOOD
    return setup.truth is not None and len(setup.projections) >= FEWEST_BLIND and unexplained


def _improvement(diagnosis: Diagnosis) -> str:
    declared, best = diagnosis.declared.residual, diagnosis.best.residual
    was = f"as declared {declared:.1%}" if math.isfinite(declared) else "the declared geometry is impossible"
    return f"residual {best:.1%} of the projections, {was}"


def _scale(scale: float) -> str:
    if scale <= 0:
        return "scale: error: the projections are the negative of the truth's prediction"
    near = [text for factor, text in SCALES.items() if abs(math.log(scale / factor)) < RIGHT_SCALE]
    return f"scale: error: the projections are {scale:.4g} times the truth's prediction{': ' + near[0] if near else ''}"


def _facts(candidate: Candidate) -> dict[str, Any]:
    hypothesis = candidate.hypothesis
    return {"name": hypothesis.name, "change": hypothesis.advice, "residual": candidate.residual, "scale": candidate.fit.scale}
