"""Two results folders side by side."""

import pytest
import synthetic_results as synthetic

from benchmark.records.store import Store
from benchmark.report.compare import compare


@pytest.fixture
def folders(tmp_path):
    """A has 10 and 50 views; B has 10 views by other code on another machine, and a run of its own."""
    a = synthetic.fill(tmp_path / "a", methods=("fdk", "sart"))
    there = {"benchmark": "0.2.0", "git": "fff", "python": "3.11.7", "processor": "Other CPU", "cores": 2}
    synthetic.fill(tmp_path / "b", views=(10,), methods=("fdk", "sart"), environment=there)
    b = synthetic.fill(tmp_path / "b", views=(25,), methods=("fdk",), environment=there)
    return a, b


def test_runs_match_by_question_and_the_rest_is_named(folders):
    comparison = compare(*folders)
    assert [(match.key.method, match.key.views) for match in comparison.matches] == [("fdk", 10), ("sart", 10)]
    assert [(key.method, key.views) for key in comparison.only_a] == [("fdk", 50), ("sart", 50)]
    assert [(key.method, key.views) for key in comparison.only_b] == [("fdk", 25)]
    text = str(comparison)
    assert "2 runs in both, 2 only in A, 1 only in B." in text
    assert "- chest, 28 voxels, no added noise, 25 views, fdk, seed 0" in text.split("## Only in B")[1]


def test_code_and_machine_are_named_once_for_all_runs(folders):
    text = str(compare(*folders))
    for line in ("- code: benchmark 0.1.0 -> 0.2.0 (in all runs)", "- code: git abc123def456 -> fff (in all runs)"):
        assert line in text
    assert "- machine: processor Test CPU -> Other CPU (in all runs)" in text
    assert "python" not in text.split("What else differs")[1]  # the same on both sides


def test_a_folder_compared_with_itself_has_no_differences(folders):
    comparison = compare(folders[0], folders[0])
    assert len(comparison.matches) == 4 and not comparison.only_a and not comparison.only_b
    assert all(match.change("volume_psnr") == 0 for match in comparison.matches)
    assert "Nothing: the same data, parameters, code and machine." in str(comparison)
    assert "+0.00" in str(comparison) and "-0.0" not in str(comparison)


def _store(folder, *runs, **changes):
    store = Store(folder)
    store.prepare()
    problem = synthetic.case("chest", 10)
    for seed, run in enumerate(runs):
        volume = synthetic.reconstruction(problem, run.method, seed) if changes.get("status", "ok") == "ok" else None
        store.write_record(synthetic.record(run, problem, volume, **changes), volume, problem)
    return synthetic.Results.open(folder)


def test_differences_of_scores_are_b_minus_a(tmp_path):
    run = synthetic.spec("sart", digest="one")
    a, b = _store(tmp_path / "a", run, seconds=10.0), _store(tmp_path / "b", run, seconds=7.5)
    for results, value in ((a, 30.25), (b, 31.0)):
        results.records[0].metrics["volume_psnr"] = value
    (match,) = compare(a, b).matches
    assert match.values("volume_psnr") == (30.25, 31.0)
    assert match.change("volume_psnr") == 0.75 and match.change("seconds") == -2.5
    assert match.change("nothing") is None
    row = next(line for line in str(compare(a, b)).splitlines() if line.startswith("|    10 | sart"))
    assert "31.00 (+0.75)" in row and "7.5 (-2.5)" in row


def test_parameters_data_and_versions_that_differ_are_named(tmp_path):
    a = _store(tmp_path / "a", synthetic.spec("sart", digest="one", iterations=20))
    changed = synthetic.spec("sart", digest="two", iterations=30, weight=0.5).model_copy(update={"method_revision": 2})
    b = _store(tmp_path / "b", changed, engine="tigre 3.1.3")
    (match,) = compare(a, b).matches
    assert match.differences == [
        "data digest: one -> two",
        "parameters: iterations 20 -> 30",
        "parameters: weight none -> 0.5",
        "method revision: 1 -> 2",
        "engine: native -> tigre 3.1.3",
    ]
    assert "- parameters: iterations 20 -> 30 (chest, 28 voxels, no added noise, 10 views, sart, seed 0)" in str(compare(a, b))


def test_a_failure_on_one_side_is_a_difference_with_its_reason(tmp_path):
    run = synthetic.spec("sart", digest="one")
    a, b = _store(tmp_path / "a", run), _store(tmp_path / "b", run, status="failed", reason="ValueError: no\nmore", seconds=None)
    (match,) = compare(a, b).matches
    assert match.differences[0] == "status: ok -> failed (ValueError: no)"
    row = next(line for line in str(compare(a, b)).splitlines() if line.startswith("|    10 | sart"))
    assert "none (A: 6.0)" in row


def test_runs_of_a_grid_are_paired_by_their_parameters(tmp_path):
    runs = [synthetic.spec("sart", digest="one", iterations=n) for n in (10, 20, 30)]
    a, b = _store(tmp_path / "a", *runs), _store(tmp_path / "b", *runs[1:], synthetic.spec("sart", digest="one", iterations=40))
    comparison = compare(a, b)
    pairs = [(m.a.spec.method_params["iterations"], m.b.spec.method_params["iterations"]) for m in comparison.matches]
    assert sorted(pairs) == [(10, 40), (20, 20), (30, 30)]
    assert not comparison.only_a and not comparison.only_b


def test_the_same_run_is_paired_with_itself_then_with_the_same_of_other_data(tmp_path):
    """Runs of several arcs have the same question and parameters."""
    runs = [synthetic.spec("sart", digest=f"{arc}") for arc in (90, 180, 360)]
    runs = [run.model_copy(update={"dataset_params": {**run.dataset_params, "arc": int(run.data_digest)}}) for run in runs]
    newer = runs[0].model_copy(update={"data_digest": "0", "dataset_revision": 2})
    a, b = _store(tmp_path / "a", *runs), _store(tmp_path / "b", *runs[1:], newer)
    for order in (1, -1):
        b.records.sort(key=lambda record: order * record.spec.dataset_params["arc"])
        pairs = [(match.a.spec.dataset_params["arc"], match.b.spec.dataset_params["arc"]) for match in compare(a, b).matches]
        assert sorted(pairs) == [(90, 90), (180, 180), (360, 360)]


def test_noise_preset_and_seed_keep_runs_apart(tmp_path):
    base = synthetic.spec("sart", digest="one")
    others = [synthetic.spec("sart", digest="one", **change) for change in ({"photons": 1e5}, {"preset": "fast"}, {"seed": 1})]
    comparison = compare(_store(tmp_path / "a", base), _store(tmp_path / "b", *others))
    assert not comparison.matches and len(comparison.only_b) == 3
    text = str(comparison)
    assert "poisson 1e+05" in text and "sart:fast" in text and "seed 1" in text and "No run is in both." in text


def test_tables_are_markdown_with_equal_rows(folders):
    rows = [line for line in str(compare(*folders)).splitlines() if line.startswith("|")]
    assert rows and all(len(line) == len(rows[0]) for line in rows[:3]) and all(line.endswith("|") for line in rows)


def test_which_differences_are_significant(tmp_path):
    """fdk is better by much more than its seeds scatter, sart is not; one seed of naf says nothing."""
    a = synthetic.fill(tmp_path / "a", views=(10,), methods=("fdk", "sart"), seeds=(0, 1, 2, 3))
    b = synthetic.fill(tmp_path / "b", views=(10,), methods=("fdk", "sart"), seeds=(0, 1, 2, 3))
    for folder in (tmp_path / "a", tmp_path / "b"):
        synthetic.fill(folder, views=(10,), methods=("naf",))
    a, b = synthetic.Results.open(a.folder), synthetic.Results.open(b.folder)
    for record in b.records:
        gain = {"fdk": 1.0, "sart": 0.0, "naf": 3.0}[record.spec.method] + 0.1 * (-1) ** record.spec.seed
        record.metrics["volume_psnr"] += gain
    comparison = compare(a, b)
    verdicts = {label: comparison.difference(label, "volume_psnr").verdict for label in ("fdk", "sart", "naf")}
    assert verdicts == {"fdk": "higher", "sart": "no difference seen", "naf": "one pair"}
    rows = [
        line for line in str(comparison).split("Which differences are statistically significant")[1].splitlines() if "Volume PSNR" in line
    ]
    assert [cell.strip() for cell in rows[0].split("|")[1:-1]] == ["fdk", "Volume PSNR [dB]", "+1.00", "+0.82 to +1.18", "1", "4", "higher"]
    assert comparison.difference("nobody", "volume_psnr") is None
