"""Scores again from stored volumes, and a folder held to its digests."""

from __future__ import annotations

import dataclasses
import json
import shutil

import nibabel
import numpy as np
import pytest
import synthetic_results as synthetic
from tiny import sweep, tiny_registry

from benchmark.audit.reevaluate import chosen_metrics, reevaluate
from benchmark.audit.verify import candidates, pick, rerun, verify_files
from benchmark.cli.main import main
from benchmark.errors import InputError
from benchmark.exchange.volume_import import import_record
from benchmark.execution.options import Options
from benchmark.metrics import volume as volume_metrics
from benchmark.records import nifti
from benchmark.records.results import Results
from benchmark.records.store import Store


@pytest.fixture(scope="module")
def registry():
    return tiny_registry()


@pytest.fixture
def results(tmp_path):
    return synthetic.fill(tmp_path / "out", views=(10,), methods=("fdk", "sart"))


def test_protocols_that_were_never_computed_come_from_the_volume(results, registry):
    before = {record.run_id: record.metrics for record in results.records}
    assert "volume_ssim_naf" not in before[results.records[0].run_id]
    evaluations = list(reevaluate(results, chosen_metrics(registry.metrics.values(), ["naf"])))
    assert len(evaluations) == 2 and not any(evaluation.problem for evaluation in evaluations)
    again = Results.open(results.folder)
    for record in again.records:
        volume, truth = again.volume(record), again.truth(record)
        assert record.metrics["volume_ssim_naf"] == volume_metrics.ssim_naf(volume, truth)
        assert record.metrics["projection_psnr_naf"] is not None and record.metrics["fit_psnr_naf"] is not None
        assert record.metric_versions["volume_ssim_naf"] == 1 and record.reevaluated["metrics"]
        assert record.metrics["volume_psnr"] == before[record.run_id]["volume_psnr"]  # no part of this protocol: left alone
        assert "volume_ssim_r2" not in record.metrics


def test_old_values_are_kept_and_a_second_time_changes_nothing(results, registry):
    metrics = list(registry.metrics.values())
    assert all(evaluation.after is not evaluation.before for evaluation in reevaluate(results, metrics))
    files = sorted(results.folder.glob("runs/*/attempt-*.json"))
    assert [file.name for file in files] == ["attempt-0001.json", "attempt-0002.json"] * 2
    assert json.loads(files[0].read_text())["metrics"]["projection_psnr"] == 30.0  # made up, so the new value is another
    assert all(evaluation.after is evaluation.before for evaluation in reevaluate(Results.open(results.folder), metrics))
    assert sorted(results.folder.glob("runs/*/attempt-*.json")) == files


def test_a_metric_of_a_new_version_is_noted_even_if_its_value_stays(results, registry):
    metrics = chosen_metrics(registry.metrics.values(), ["strict"])
    list(reevaluate(results, metrics))
    newer = [dataclasses.replace(metric, revision=2) for metric in metrics]
    evaluations = list(reevaluate(Results.open(results.folder), newer))
    assert all(evaluation.after.metric_versions["volume_psnr"] == 2 and not evaluation.changes for evaluation in evaluations)


def test_a_wrong_or_missing_volume_is_a_problem_and_never_scored(results, registry, capsys):
    metrics = list(registry.metrics.values())
    list(reevaluate(results, metrics))  # notes the digests
    first, second = Results.open(results.folder).records
    path = results.folder / "runs" / first.run_id / "volume.nii.gz"
    problem = synthetic.case("chest", 10)
    nifti.write_volume(path, np.zeros(problem.truth.shape, np.float32), problem.scan.geometry)
    (results.folder / "runs" / second.run_id / "volume.nii.gz").unlink()
    problems = [evaluation.problem for evaluation in reevaluate(Results.open(results.folder), metrics)]
    assert "expected the recorded volume" in problems[0] and problems[1].startswith("its volume is gone. To have it made again, remove ")
    path.write_bytes(path.read_bytes()[:100])
    found = list(reevaluate(Results.open(results.folder), metrics))
    assert found[0].problem and found[0].after is found[0].before
    assert main(["reevaluate", str(results.folder)]) == 1
    assert "0 runs scored again, 0 with another record (the earlier one is kept), 2 with a problem." in capsys.readouterr().out


def test_reasons_of_metrics_that_are_not_scored_again_stay(results, registry):
    store, (first, second) = Store(results.folder), results.records
    kept = ["metric volume_broken: ZeroDivisionError: by; nothing", "metric projection_psnr_r2: OSError: gone"]
    reason = "; ".join(["metric volume_psnr: ValueError: bad", *kept])
    store.write_record(first.model_copy(update={"reason": reason, "metrics": {**first.metrics, "volume_psnr": None}}))
    store.write_record(second.model_copy(update={"reason": "Reconstruction.arrays: expected Gaussians, found none"}))
    strict = chosen_metrics(registry.metrics.values(), ["strict"])
    list(reevaluate(Results.open(results.folder), [metric for metric in strict if metric.kind == "volume"]))
    assert [record.reason for record in Results.open(results.folder).records] == [
        "; ".join(kept),
        "Reconstruction.arrays: expected Gaussians, found none",
    ]
    list(reevaluate(Results.open(results.folder), list(registry.metrics.values())))
    assert [record.reason for record in Results.open(results.folder).records] == [kept[0], ""]


def test_arrays_that_are_cut_off_are_a_problem(results, registry):
    first, second = results.records
    (results.folder_of(first) / "arrays.npz").write_bytes(b"PK\x03\x04 and no more")
    found = list(reevaluate(results, list(registry.metrics.values())))
    assert "arrays.npz: expected a complete file" in found[0].problem and not found[0].scored and found[1].scored


def test_the_map_of_ssim_is_a_volume_beside_the_volume(results, registry):
    list(reevaluate(results, chosen_metrics(registry.metrics.values(), ["strict"]), maps=True))
    record = Results.open(results.folder).records[0]
    scores = nifti.read_volume(results.folder_of(record) / "ssim.nii.gz")
    assert scores[5:-5, 5:-5, 5:-5].mean() == pytest.approx(record.metrics["volume_ssim"], abs=1e-5)
    image = nibabel.load(results.folder_of(record) / "ssim.nii.gz")
    assert image.header.get_zooms() == pytest.approx((1.5, 1.5, 2.0))


def test_an_unknown_protocol_is_said_with_the_valid_ones(registry):
    with pytest.raises(InputError, match="expected one of more, naf, r2, sax, strict, found 'nerf'"):
        chosen_metrics(registry.metrics.values(), ["strict", "nerf"])


# -- verify -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("swept")
    sweep(folder, "grey", {"bad": {"how": "raise"}}, {"noisy": {"how": "clock"}}, options=Options(device="cpu", threads=1))
    return Results.open(folder)


def find(results, method):
    return next(record for record in results.records if record.spec.method == method)


def test_an_untouched_folder_is_as_recorded(swept):
    findings = list(verify_files(swept))
    assert {finding.status for finding in findings} == {"ok"} and len(findings) == 3  # one case, two volumes


def test_a_run_done_again_has_the_same_digest(swept, registry):
    record = find(swept, "grey")
    finding = rerun(swept, registry, record, Options(device="cpu", threads=1), lambda event: None)
    assert finding.status == "ok" and record.volume_digest in finding.detail
    assert len(list(swept.folder_of(record).glob("attempt-*.json"))) == 1  # verifying records nothing


def test_a_run_that_comes_out_differently_says_by_how_much_and_what_else_differs(swept, registry):
    record = find(swept, "noisy")
    same = rerun(swept, registry, record, Options(device="cpu", threads=1), lambda event: None)
    assert same.status == "differs" and "the method is not reproducible" in same.detail and "volume PSNR" in same.detail
    elsewhere = record.model_copy(update={"environment": {**record.environment, "torch": "0.0", "processor": "abacus"}})
    other = rerun(swept, registry, elsewhere, Options(device="cpu", threads=1), lambda event: None)
    assert "software: torch 0.0 -> " in other.detail and "machine: processor abacus -> " in other.detail


def test_on_a_gpu_a_run_need_not_come_out_the_same_to_the_last_bit(swept, registry, monkeypatch):
    record = find(swept, "noisy").model_copy(update={"device": "cuda:0"})
    stored = swept.volume(record)
    for change, status in ((1e-6, "ok"), (1e-2, "unknown")):
        again = stored + np.float32(change * np.ptp(stored))
        monkeypatch.setattr("benchmark.audit.verify.perform", lambda *_, again=again: (record, again))
        finding = rerun(swept, registry, record, Options(device="cpu", threads=1), lambda event: None)
        assert finding.status == status and "the order of sums is undefined" in finding.detail


def test_a_run_whose_data_cannot_be_read_is_not_done_again_but_said(swept, registry, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(swept.folder, folder)
    training = next(folder.glob("cases/*/training.npy"))
    for damage in (training.read_bytes()[:200], None):
        training.unlink() if damage is None else training.write_bytes(damage)
        results = Results.open(folder)
        finding = rerun(results, registry, find(results, "grey"), Options(device="cpu", threads=1), lambda event: None)
        assert finding.status == "differs" and f"cannot be done ({training}: expected a complete file" in finding.detail
    monkeypatch.setattr("benchmark.plugins.registry.registry", lambda: registry)
    assert main(["verify", str(folder), "--seed", "0"]) == 1
    said = capsys.readouterr().out
    assert "differs  case" in said and "the next run on this case writes it again" in said and "done again: cannot be done" in said


def test_the_random_run_is_one_that_finished_and_follows_the_seed(swept, registry):
    found = candidates(swept, registry)
    assert sorted(record.spec.method for record in found) == ["grey", "noisy"]
    assert pick(found, 3) is pick(found, 3) and {pick(found, seed).run_id for seed in range(20)} == {r.run_id for r in found}
    assert pick([], 0) is None


def test_what_the_clock_ended_and_what_was_imported_is_not_done_again(tmp_path, registry):
    sweep(tmp_path, {"grey": {"steps": 10_000}}, budget="0.05s")
    sweep(tmp_path, {"grey": {"steps": 2}}, budget="60s")
    results = Results.open(tmp_path)
    stored = results.case(results.records[0])
    import_record(registry, results, stored, np.zeros(stored.geometry.volume_shape, np.float32), "grey", "elsewhere")
    assert len(Results.open(tmp_path).records) == 3
    assert [record.steps for record in candidates(Results.open(tmp_path), registry)] == [2]


def test_a_case_of_a_version_whose_digests_left_out_photons_is_as_recorded(tmp_path):
    results = synthetic.fill(tmp_path, views=(10,), methods=("fdk",))
    path = next(results.folder.glob("cases/*/case.json"))
    facts = json.loads(path.read_text())
    earlier = {name: value for name, value in facts.items() if name not in ("heldout_photons", "content_digest")} | {"photons": 1e4}
    path.write_text(json.dumps(earlier))
    assert next(verify_files(Results.open(tmp_path))).status == "ok"


def test_what_was_changed_in_a_folder_is_found(tmp_path):
    results = synthetic.fill(tmp_path, views=(10,), methods=("fdk",))
    (unknown,) = [finding for finding in verify_files(results) if finding.status != "ok"]
    assert unknown.status == "unknown" and "recorded without a digest" in unknown.detail
    training = next(results.folder.glob("cases/*/training.npy"))
    projections = np.load(training)
    projections[0, 0, 0] += 1
    np.save(training, projections)
    assert [finding.what.split()[0] for finding in verify_files(Results.open(tmp_path)) if finding.status == "differs"] == ["case"]
    training.write_bytes(b"")
    assert any("cannot be read" in finding.detail for finding in verify_files(Results.open(tmp_path)))
    attempt = next(results.folder.glob("runs/*/attempt-0001.json"))
    values = json.loads(attempt.read_text())
    values["spec"]["seed"] = 5
    attempt.write_text(json.dumps(values))
    assert "its content is not what was written" in next(verify_files(Results.open(tmp_path))).what
    del values["content_digest"]  # as older records are
    attempt.write_text(json.dumps(values))
    assert any("has the identity" in finding.detail for finding in verify_files(Results.open(tmp_path)))
