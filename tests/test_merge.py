"""Merging results folders: everything arrives, the newest attempt counts, damage is named, and a killed merge is completed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from synthetic_results import add_failure, case, fill, reconstruction, record, spec

from benchmark.audit.verify import verify_files
from benchmark.cli.main import main
from benchmark.errors import InputError
from benchmark.records.record import SCHEMA_VERSION
from benchmark.records.results import Results, read_record
from benchmark.records.store import Store
from benchmark.records.suite import Suite, read_suite, write_suite
from benchmark.sharing import merge as merging
from benchmark.sharing.merge import merge
from benchmark.sweep.claims import Claims

SHAPE = (8, 9, 10)
OLD, NEW = "2025-01-01T00:00:00+00:00", "2026-02-03T12:00:00+02:00"


def made(folder: Path, methods: tuple[str, ...] = ("fdk",), views: tuple[int, ...] = (10,), **changes) -> Results:
    return fill(folder, methods=methods, views=views, shape=SHAPE, **changes)


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def as_recorded(folder: Path) -> bool:
    return all(finding.status != "differs" for finding in verify_files(Results.open(folder)))


def test_records_volumes_cases_arrays_and_declarations_arrive_and_sources_stay(tmp_path):
    a, b, c = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    made(a, ("fdk", "sart"))
    results = made(b, ("naf",), (10, 50))
    add_failure(b, shape=SHAPE)
    place = results.folder_of(results.records[0])
    np.savez(place / "arrays.npz", centres=np.zeros(3))
    (place / "attempt-0002.claim").write_text("of a dead sweep")
    write_suite(a, Suite(name="one", tuning=("thorax",), baseline="fdk"))
    write_suite(b, Suite(name="one", tuning=("phantom",), baseline="sart"))
    before = content(a), content(b)
    merged = merge([a, b], c)
    assert (merged.runs, merged.attempts, merged.volumes, merged.cases, merged.problems) == (5, 5, 4, 2, [])
    assert merged.conflicts == [f"the baseline of the suite: {b} has 'sart'; 'fdk' is kept"]
    assert read_suite(c) == Suite(name="one", tuning=("thorax", "phantom"), baseline="fdk")
    both = Results.open(c)
    assert {r.run_id: r for r in both.records} == {r.run_id: r for f in (a, b) for r in Results.open(f).records}
    assert as_recorded(c) and len(both.cases()) == 2
    assert list(both.arrays(results.records[0])) == ["centres"] and not list(c.rglob("*.claim"))
    assert (content(a), content(b)) == before
    again = merge([a, b], c)
    assert (again.attempts, again.volumes, again.cases) == (0, 0, 0)


def another(folder: Path, level: int, started: str, status: str = "ok") -> None:
    """Add an attempt at the run of `made` with another volume."""
    problem = case("chest", 10, SHAPE)
    run = spec("fdk", "chest", 10, max(SHAPE), 0, problem.digest)
    store = Store(folder)
    store.prepare()
    store.write_case(problem, "chest", {})
    volume = reconstruction(problem, "fdk", level) if status == "ok" else None
    from benchmark.scan.reconstruction import volume_digest

    digest = volume_digest(volume) if volume is not None else ""
    store.write_record(record(run, problem, volume, started=started, status=status, volume_digest=digest), volume, problem)


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_of_one_run_in_both_the_newest_counts_and_all_attempts_stay(tmp_path, order):
    another(tmp_path / "a", 1, OLD)
    another(tmp_path / "b", 2, NEW)
    merged = merge([tmp_path / name for name in order], tmp_path / "c")
    (conflict,) = merged.conflicts
    assert "different results in" in conflict and conflict.endswith(f"the newest counts ({tmp_path / 'b'})")
    results = Results.open(tmp_path / "c")
    (latest,) = results.records
    assert latest.started == NEW and merged.attempts == 2 and as_recorded(tmp_path / "c")
    assert np.array_equal(results.volume(latest), reconstruction(case("chest", 10, SHAPE), "fdk", 2))
    first = read_record(results.folder_of(latest) / "attempt-0001.json", [])
    assert first is not None and first.started == OLD


def test_older_results_that_come_later_do_not_replace_newer_ones(tmp_path):
    another(tmp_path / "old", 1, OLD)
    another(tmp_path / "out", 2, NEW)
    merge([tmp_path / "old"], tmp_path / "out")
    (latest,) = Results.open(tmp_path / "out").records
    assert latest.started == NEW and as_recorded(tmp_path / "out")
    assert merge([tmp_path / "old"], tmp_path / "out").attempts == 0


def test_a_clock_that_was_set_back_changes_no_order(tmp_path):
    another(tmp_path / "a", 1, NEW)
    another(tmp_path / "a", 2, OLD)  # made later
    merged = merge([tmp_path / "a"], tmp_path / "c")
    (latest,) = Results.open(tmp_path / "c").records
    assert (latest.started, merged.problems, merged.volumes) == (OLD, [], 1) and as_recorded(tmp_path / "c")


def test_files_of_strange_names_are_named_and_harm_nothing(tmp_path):
    another(tmp_path / "a", 1, OLD)
    another(tmp_path / "c", 2, NEW)
    (folder,) = (tmp_path / "c" / "runs").iterdir()
    (folder / "attempt-mine.json").write_text("{}")
    (case_folder,) = (tmp_path / "a" / "cases").iterdir()
    (case_folder / ".half-written").write_text("")
    merged = merge([tmp_path / "a"], tmp_path / "c")
    assert len(merged.problems) == 1 and "attempt-mine.json: unreadable record" in merged.problems[0]
    assert len(Results.open(tmp_path / "c").records) == 1 and as_recorded(tmp_path / "a")
    merge([tmp_path / "a"], tmp_path / "d")
    assert not list((tmp_path / "d" / "cases").rglob(".*"))


def test_the_volume_of_a_good_attempt_stays_with_a_later_failure(tmp_path):
    another(tmp_path / "a", 1, OLD)
    another(tmp_path / "b", 0, NEW, status="failed")
    merged = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    (latest,) = Results.open(tmp_path / "c").records
    assert latest.status == "failed" and merged.volumes == 1
    assert (tmp_path / "c" / "runs" / latest.run_id / "volume.nii.gz").exists()


def test_damage_is_named_and_left_out(tmp_path):
    another(tmp_path / "a", 1, OLD)
    made(tmp_path / "a", ("sart",), (50,))
    another(tmp_path / "b", 1, OLD)
    (volume,) = (tmp_path / "a" / "runs").glob("*-fdk-*/volume.nii.gz")
    volume.write_bytes(b"nothing")
    (path,) = (tmp_path / "a" / "runs").glob("*-sart-*/attempt-0001.json")
    path.write_text(path.read_text().replace('"seconds": 6.0', '"seconds": 5.0'))
    digest = case("chest", 50, SHAPE).digest
    heldout = tmp_path / "a" / "cases" / digest / "heldout.npy"
    data = bytearray(heldout.read_bytes())
    data[-1] ^= 1
    heldout.write_bytes(data)
    merged = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    said = "\n".join(merged.problems)
    assert f"{path}: unreadable record (its content is not what was written). It is left out." in said
    assert f"cases/{digest}" in said and str(volume) in said and len(merged.problems) == 3
    (record,) = Results.open(tmp_path / "c").records
    assert record.spec.method == "fdk" and as_recorded(tmp_path / "c")  # with the volume of b
    assert not (tmp_path / "c" / "cases" / digest).exists()


def test_results_of_earlier_versions_arrive_whole(tmp_path):
    sources = [path for path in sorted((Path(__file__).parent / "stored_results").iterdir()) if (path / "runs").is_dir()]
    merged = merge(sources, tmp_path / "c")
    found = {record.schema_version for record in Results.open(tmp_path / "c").records}
    assert found and max(found) < SCHEMA_VERSION and merged.problems == [] and as_recorded(tmp_path / "c")
    expected = {(path.parent.name, path.read_bytes()) for source in sources for path in source.glob("runs/*/attempt-*.json")}
    assert {(path.parent.name, path.read_bytes()) for path in tmp_path.glob("c/runs/*/attempt-*.json")} == expected


def test_links_of_a_stranger_are_not_followed(tmp_path):
    another(tmp_path / "a", 1, OLD)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (folder,) = (tmp_path / "a" / "runs").iterdir()
    (folder / "checkpoint.pt").symlink_to(secret)
    (tmp_path / "a" / "cases" / "linked").symlink_to(tmp_path)
    merged = merge([tmp_path / "a"], tmp_path / "c")
    assert sorted(text.rpartition(": ")[2] for text in merged.problems) == ["a link. It is left out.", "not a plain file. It is left out."]
    assert "secret" not in {path.read_text(errors="replace") for path in (tmp_path / "c").rglob("*.pt")}


def test_a_killed_merge_is_completed_by_the_next(tmp_path, monkeypatch):
    made(tmp_path / "a", ("fdk", "sart"), (10, 50))
    another(tmp_path / "b", 2, NEW)
    sources, out = [tmp_path / "a", tmp_path / "b"], tmp_path / "c"
    whole = merge(sources, tmp_path / "whole")
    expected = {r.run_id: r for r in Results.open(tmp_path / "whole").records}
    real = merging._link_or_copy
    for step in range(0, 30, 3):
        left = step

        def stop(source: Path, target: Path) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            real(source, target)

        monkeypatch.setattr(merging, "_link_or_copy", stop)
        try:
            merge(sources, out)
        except KeyboardInterrupt:
            assert as_recorded(out)
    monkeypatch.setattr(merging, "_link_or_copy", real)
    merge(sources, out)
    assert {r.run_id: r for r in Results.open(out).records} == expected and as_recorded(out)
    assert whole.runs == 4 and not [path for path in out.rglob("*") if path.name.startswith(".") and path.is_file()]


def test_what_cannot_be_merged_is_said_before_anything_is_written(tmp_path):
    made(tmp_path / "a")
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.tex").write_text("mine")
    for sources, output, words in [
        (["nowhere"], "c", "a results folder"),
        (["a"], "a", "apart from the sources"),
        (["a"], "a/runs/inside", "apart from the sources"),
        (["a"], "papers", "holds other files"),
    ]:
        with pytest.raises(InputError, match=words):
            merge([tmp_path / name for name in sources], tmp_path / output)
    with Claims(tmp_path / "busy"):
        (tmp_path / "busy" / "runs").mkdir()
        with pytest.raises(InputError, match="a sweep that writes to it"):
            merge([tmp_path / "a"], tmp_path / "busy")
    assert sorted(os.listdir(tmp_path)) == ["a", "busy", "papers"]


def test_the_command_says_what_it_did_and_writes_the_tables(tmp_path, capsys, monkeypatch):
    from benchmark.report import reporters

    monkeypatch.setattr(reporters, "write_reports", lambda registry, results: ([], []))  # tested elsewhere, and slow
    made(tmp_path / "a")
    made(tmp_path / "b", ("sart",))
    assert main(["merge", str(tmp_path / "a"), str(tmp_path / "b"), "--output", str(tmp_path / "c")]) == 0
    assert "2 runs (new records: 2, volumes: 2, cases: 1)" in capsys.readouterr().out
    assert len((tmp_path / "c" / "tables" / "runs.csv").read_text().splitlines()) == 3
    assert main(["merge", str(tmp_path / "a"), "--output", str(tmp_path / "a")]) == 2
