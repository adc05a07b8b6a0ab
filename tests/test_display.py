"""What a person reads while a sweep runs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmark.records.record import RunRecord, RunSpec
from benchmark.records.titles import case_title, outcome, run_title
from benchmark.report.console import summary_table
from benchmark.sweep.progress import PlainDisplay, progress_text


def spec(method: str = "grey", **changes) -> RunSpec:
    data = {"size": 8, "views": 4, "photons": None}
    return RunSpec(**{"dataset": "tiny", "dataset_params": data, "method": method, "method_params": {}} | changes)


def record(run: RunSpec, **changes) -> RunRecord:
    return RunRecord(**{"run_id": run.id, "spec": run, "status": "ok"} | changes)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"step": 0, "total": 10, "seconds": 0.2, "loss": 0.5}, "step 0/10, loss 0.5, 0 s"),
        ({"step": 5, "total": 10, "seconds": 20.0, "loss": 0.00012345}, "step 5/10, loss 0.0001234, 20 s"),
        ({"step": 5, "total": 1000, "seconds": 20.0, "seconds_left": 10.2}, "step 5/1000, 20 s, 10 s to go"),
        ({"step": 7, "total": 0, "seconds": 1.0, "note": "warm"}, "step 7, note warm, 1 s"),
    ],
)
def test_progress_in_words(event, text):
    assert progress_text({"event": "progress", **event}) == text


def test_titles():
    assert run_title(spec()) == "tiny 8, 4 views: grey"
    noisy = spec(preset="dark", seed=2, dataset_params={"size": 8, "views": [3], "photons": 1e5})
    assert run_title(noisy) == "tiny 8, 1 view, poisson 1e+05: grey:dark, seed 2"
    assert case_title(noisy) == "tiny 8, 1 view, poisson 1e+05"


def test_outcomes():
    assert outcome(record(spec(), metrics={"volume_psnr": 31.204, "fit_psnr": 48.0}, seconds=3)) == "volume 31.20 dB, fit 48.00 dB, 3.0 s"
    assert outcome(record(spec(), status="failed", reason="broken")) == "failed: broken"


def rendered(*records: RunRecord) -> list[list[str]]:
    """Cells of the table's rows, styles as in [bold]...[/bold] left in."""
    table = summary_table(records)
    return [list(cells) for cells in zip(*([str(cell) for cell in column.cells] for column in table.columns), strict=True)]


def test_the_table_is_sorted_best_in_bold_and_failures_last():
    runs = [
        record(spec("worse"), metrics={"volume_psnr": 20.0, "volume_ssim": 0.9}, seconds=1.0),
        record(spec("broken"), status="failed", reason="[red] brackets"),
        record(spec("better"), metrics={"volume_psnr": 30.0, "volume_ssim": 0.8}, seconds=2.0),
    ]
    title, *rows = rendered(*runs)
    assert title == ["tiny 8, 4 views", *[""] * 4]  # no columns of scores that nobody has
    assert [row[0].strip() for row in rows] == ["better", "worse", "broken"]
    assert rows[0][1:3] == ["[bold]30.00[/bold]", "0.800"]
    assert rows[1][1:3] == ["20.00", "[bold]0.900[/bold]"]
    assert rows[1][3] == "1.0"  # cost is shown, not ranked
    assert rows[2][1:] == ["-"] * 3 + ["failed: \\[red] brackets"]
    stream = io.StringIO()
    Console(file=stream, width=200).print(summary_table(runs))
    assert "failed: [red] brackets" in stream.getvalue()


def test_seeds_are_averaged_and_without_truth_the_heldout_views_rank():
    runs = [record(spec("a", seed=seed), metrics={"projection_psnr": value}) for seed, value in ((0, 10.0), (1, 20.0))]
    _, *rows = rendered(*runs, record(spec("b"), metrics={"projection_psnr": 16.0}))
    assert [(row[0].strip(), row[2]) for row in rows] == [("b", "16.00"), ("a", "15.00 ± 63.53")]  # too unlike to say who is better


def test_what_is_doubtful_about_a_finished_run_stands_beside_it():
    _, row = rendered(record(spec("outside"), metrics={"volume_psnr": 30.0}, reason="it looks mirrored\nin x"))
    assert row[1] == "30.00" and row[-1] == "it looks mirrored"


def test_a_note_of_a_method_is_printed_once_below_its_run():
    stream = io.StringIO()
    display = PlainDisplay(Console(file=stream, width=200))
    for seed in (0, 1):
        display.run_finished(record(spec(seed=seed), info={"note": "a gap of 18 degrees"}))
    assert stream.getvalue().count("\nnote: grey: a gap of 18 degrees\n") == 1
