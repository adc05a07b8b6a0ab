"""Find a stored run by a user's text, and return its volume as an image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.errors import InputError
from benchmark.exchange.volume_image import VolumeImage
from benchmark.records.record import RunRecord
from benchmark.records.results import Results
from benchmark.records.titles import labels
from benchmark.scan.geometry import Triple

MOST_NAMED = 20


def find_run(text: str, folder: Path | None) -> tuple[Results, RunRecord]:
    """Find a run by its folder (.../runs/<run id>), its id, its label in the tables (zerorf:tv), or a part of its id.

    Raise InputError unless exactly one run matches.
    """
    path = Path(text)
    if folder is None:
        path = path.resolve() if path.is_dir() else path
        if path.parent.name != "runs" or not path.is_dir():
            raise InputError(text, expected="a run folder (results/<name>/runs/<run id>)", found="none", fix="Or: RUN_ID --results DIR.")
        results, wanted = Results.open(path.parent.parent), path.name
    else:
        results, wanted = Results.open(folder), text
    called = labels(results.records)
    found = [record for record in results.records if wanted in (record.run_id, called[record.run_id])]
    found = found or [record for record in results.records if wanted in record.run_id]
    if len(found) != 1:
        known = [f"{record.run_id} ({called[record.run_id]})" for record in found or results.records]
        more = f", and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
        fix = f"Runs: {', '.join(known[:MOST_NAMED]) or 'none'}{more}."
        raise InputError(f"run '{wanted}' in {results.folder}", expected="one run", found=f"{len(found)}", fix=fix)
    return results, found[0]


def stored_image(results: Results, record: RunRecord, *, truth: bool = False) -> VolumeImage:
    """Return the reconstruction of a run, or the truth of its case. Raise InputError if there is none."""
    case = results.case(record)
    values = results.truth(record) if truth else results.volume(record)
    if case is None or values is None:
        why, fix = f"{record.status}: {record.reason}".rstrip(": "), ""
        if truth and case is not None:
            why = "no truth is known"
        elif record.status == "ok":
            gone = results.volume_path(record) if case else results.folder / "cases" / record.spec.data_digest
            why, fix = f"none: {gone} is missing", results.remedy(record)
        raise InputError(f"run '{record.run_id}'", expected="a truth" if truth else "a reconstruction", found=why, fix=fix)
    title = f"truth-{case.digest}" if truth else record.run_id
    origin, frame = patient_place(case.facts)
    return VolumeImage(values, case.geometry, title, length_unit=case.length_unit, origin=origin, frame_of_reference=frame)


def patient_place(facts: Mapping[str, Any]) -> tuple[Triple, str]:
    """Return a case's origin in the patient's frame, x y z [mm], and the frame's identifier; zeros and '' where they are not known."""
    place = facts.get("patient") or {}
    x, y, z = place.get("origin", (0.0, 0.0, 0.0))
    return (float(x), float(y), float(z)), str(place.get("frame_of_reference", ""))
