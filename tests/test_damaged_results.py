"""Results folders whose files were damaged or changed by others: each is named and left out, and no score comes from it."""

from __future__ import annotations

import errno
import gzip
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic_results as synthetic

from benchmark.audit.reevaluate import reevaluate
from benchmark.audit.verify import verify_files
from benchmark.cli.main import main
from benchmark.plugins.registry import registry
from benchmark.records.results import Results
from benchmark.report import write_report
from benchmark.storage.atomic import StorageError
from benchmark.sweep import claims


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> Path:
    """Two runs on one case, as this version stores them."""
    folder = tmp_path_factory.mktemp("swept") / "results"
    assert (
        main(["run", "--datasets", "ball", "--views", "6", "--size", "12", "--methods", "fdk,sart", "--no-report", "--output", str(folder)])
        == 0
    )
    return folder


@pytest.fixture
def results(swept, tmp_path) -> Path:
    return Path(shutil.copytree(swept, tmp_path / "results"))


def changed_array(path: Path) -> None:
    values = np.load(path)
    values.flat[7] += 1e-3
    np.save(path, values)


def changed_nifti(path: Path) -> None:
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[-5] ^= 1
    path.write_bytes(gzip.compress(bytes(content)))


def changed_geometry(path: Path) -> None:
    facts = json.loads(path.read_text())
    facts["heldout_geometry"]["source_to_origin"] *= 1.1
    path.write_text(json.dumps({key: value for key, value in facts.items() if key != "content_digest"}))


def changed_fact(path: Path) -> None:
    path.write_text(path.read_text().replace('"facts": {', '"facts": {"scored": [[0, 1], [0, 1], [0, 1]], '))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("cases/*/truth.nii.gz", changed_nifti),
        ("cases/*/training.npy", changed_array),
        ("cases/*/heldout.npy", changed_array),
        ("cases/*/case.json", changed_geometry),
        ("cases/*/case.json", changed_fact),
        ("runs/*fdk*/volume.nii.gz", changed_nifti),
    ],
    ids=["truth", "training", "heldout", "geometry", "facts", "volume"],
)
def test_nothing_is_scored_from_changed_data(results, name, change):
    change(next(results.glob(name)))
    before = sorted(results.glob("runs/*/attempt-*.json"))
    evaluations = list(reevaluate(Results.open(results), list(registry().metrics.values())))
    bad = [evaluation for evaluation in evaluations if not evaluation.scored]
    assert len(bad) == (1 if name.startswith("runs") else 2) and all(str(results) in evaluation.problem for evaluation in bad)
    assert sorted(results.glob("runs/*/attempt-*.json")) == before
    assert any(finding.status == "differs" for finding in verify_files(Results.open(results)))


def test_a_changed_score_is_found(results):
    path = next(results.glob("runs/*fdk*/attempt-0001.json"))
    record = json.loads(path.read_text())
    record["metrics"]["volume_psnr"] += 10
    path.write_text(json.dumps(record))
    found = Results.open(results)
    assert [record.spec.method for record in found.records] == ["sart"]
    assert found.problems == [f"{path}: unreadable record (its content is not what was written)"]


def without_digest(**changes: Any):
    def change(values: dict[str, Any]) -> str:
        values.pop("content_digest", None)
        for key, value in changes.items():
            place, _, name = key.rpartition("__")
            (values[place] if place else values)[name] = value
        return json.dumps(values)

    return change


RECORDS = {
    "negative seconds": without_digest(seconds=-1.0),
    "infinite seconds": lambda values: without_digest(seconds=0.5)(values).replace('"seconds": 0.5', '"seconds": 1e999'),
    "negative views": without_digest(views=-1),
    "another run": without_digest(run_id="../../elsewhere/runs/x"),
    "digest as path": without_digest(spec__data_digest="../../.."),
    "schema as text": without_digest(schema_version="two"),
    "schema as list": without_digest(schema_version=[2]),
    "size as text": without_digest(spec__dataset_params={"size": "64", "views": 6}),
    "views as dict": without_digest(spec__dataset_params={"size": 64, "views": {"a": 1}}),
    "huge number": lambda values: without_digest(steps=7)(values).replace('"steps": 7', f'"steps": {10**400}'),
    "deep": lambda values: "[" * 100_000,
    "list": lambda values: "[]",
    "null": lambda values: "null",
    "cut off": lambda values: json.dumps(values)[:200],
    "binary": lambda values: "\x00\x01",
}


@pytest.mark.parametrize("change", RECORDS.values(), ids=RECORDS.keys())
def test_a_bad_record_is_one_named_line_and_the_others_are_reported(results, change, capsys):
    path = next(results.glob("runs/*fdk*/attempt-0001.json"))
    path.write_text(change(json.loads(path.read_text())))
    found = Results.open(results)
    assert [record.spec.method for record in found.records] == ["sart"]
    assert len(found.problems) == 1 and found.problems[0].startswith(f"{path}: unreadable record (")
    assert len(found.problems[0]) < 600
    assert list(found.frame()["method"]) == ["sart"]


CASES = {
    "empty": "{}",
    "list": "[]",
    "null": "null",
    "deep": '{"a":' * 50_000,
    "types": '{"digest": 1, "name": [], "dataset": {}, "geometry": "round"}',
    "nothing": "",
}


@pytest.mark.parametrize("text", CASES.values(), ids=CASES.keys())
def test_a_bad_case_file_is_named_and_costs_no_table(results, text):
    path = next(results.glob("cases/*/case.json"))
    path.write_text(text)
    found = Results.open(results)
    assert found.cases() == [] and len(found.problems) == 1 and str(path) in found.problems[0]


@pytest.mark.slow
@pytest.mark.parametrize("text", CASES.values(), ids=CASES.keys())
def test_a_page_is_written_without_a_bad_case(tmp_path, text):
    results = synthetic.fill(tmp_path, views=(10,), methods=("fdk",))
    next(tmp_path.glob("cases/*/case.json")).write_text(text)
    found = Results.open(results.folder)
    assert write_report(found) and found.problems


@pytest.mark.parametrize("text", ["[]", "", "null", '{"machine": ["x"]}', "\x00"], ids=["list", "empty", "null", "types", "binary"])
def test_a_garbled_lease_neither_ends_a_sweep_nor_holds_it_for_ever(tmp_path, monkeypatch, text):
    (tmp_path / ".sweeps").mkdir()
    (tmp_path / ".sweeps" / "0123456789ab.json").write_text(text)
    clock = iter(range(0, 10_000, 100))
    monkeypatch.setattr(claims.time, "monotonic", lambda: float(next(clock)))
    with claims.Claims(tmp_path) as mine:
        assert not mine.alone()  # it may still be written
        assert [mine.alone() for _ in range(3)][-1]


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs owners of files")
def test_the_lock_of_another_user_is_no_sign_of_death(tmp_path, monkeypatch):
    with claims.Claims(tmp_path) as theirs, claims.Claims(tmp_path) as mine:

        def refused(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(claims.filelock.FileLock, "acquire", refused)
        assert mine._is_alive(theirs.token)


def test_a_file_system_without_locks_is_good_enough(tmp_path, monkeypatch):
    def unsupported(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(claims.filelock.FileLock, "acquire", unsupported)
    with claims.Claims(tmp_path) as mine:
        assert mine.take("run") == 1 and mine.alone()


def test_a_folder_that_is_a_file_is_the_users_matter(tmp_path):
    (tmp_path / ".sweeps").write_text("")
    with pytest.raises(StorageError, match="could not be written"), claims.Claims(tmp_path):
        pass
