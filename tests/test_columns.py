"""Columns of tables: chosen by name, shown where they have a value; LaTeX tables that go into a paper as they are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import synthetic_results as synthetic

from benchmark.cli.main import main
from benchmark.errors import InputError
from benchmark.plugins.registry import registry
from benchmark.records.store import Results, Store
from benchmark.report import tables, tex
from benchmark.report.columns import COLUMNS, COSTS, NARROW, PAPER, WORK, chosen, filled
from benchmark.report.console import summary_table
from benchmark.report.ranking import leads
from benchmark.report.summary import counted, labelled, summarise

TITLE = "chest, 28 voxels, no added noise"


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    """Two seeds; a failure and a skip with every sign that LaTeX gives a meaning."""
    folder = tmp_path_factory.mktemp("results") / "a_sweep"
    synthetic.fill(folder, views=(10, 50), methods=("fdk", "sart", "naf"), seeds=(0, 1))
    synthetic.add_failure(folder, reason='ValueError: 50% of $x_1$ {a} ~ ^ \\ # | "quoted"')
    return synthetic.add_failure(folder, "tigre_fdk", "needs tigre_<x> & more", "skipped", views=50)


def photographs(folder: Path, *scores: dict[str, dict[str, float]]) -> Results:
    """Frames of one sequence: for each the scores by method; no truth."""
    store = Store(folder)
    store.prepare()
    for frame, methods in enumerate(scores):
        problem = synthetic.case(f"mouse-{frame}", 8, with_truth=False, seed=frame)
        for method, metrics in methods.items():
            run = synthetic.spec(method, "multiview", 8, 28, digest=problem.digest)
            run = run.model_copy(update={"dataset_params": {**run.dataset_params, "path": "takes/mouse", "frame": frame}})
            store.write_record(synthetic.record(run, problem, metrics=metrics))
    return Results.open(folder)


# -- choice -------------------------------------------------------------------------------------------------------------


def test_any_score_of_any_protocol_and_any_cost_can_be_chosen():
    names = ["volume_psnr_r2", "seconds", "projection_ssim_sax", "fit_psnr", "projection_l1", "volume_rmse_hu", "steps", "seconds"]
    found = chosen(names, registry().metrics.values())
    assert [column.name for column in found] == names[:-1]  # in this order, each once
    assert [column.title for column in found[:3]] == ["Volume PSNR [dB], r2", "Time [s]", "Held-out SSIM, sax"]
    assert [column.better for column in found] == [1, 0, 1, 0, -1, -1, 0]
    every = [column.name for column in (*COLUMNS, *COSTS, *WORK)]
    assert [column.name for column in chosen(every, registry().metrics.values())] == list(dict.fromkeys(every))
    assert chosen(["volume_gone"], [], recorded=["volume_gone"])[0].heading == "Volume gone"


@pytest.mark.parametrize("command", ["report {folder}", "run --methods fdk --datasets phantom --size 8 --views 4 --output {folder}"])
def test_an_unknown_column_is_an_error_before_anything_happens(tmp_path, capsys, command):
    (tmp_path / "runs").mkdir()
    arguments = command.format(folder=tmp_path).split()
    assert main([*arguments, "--columns", "volume_psnr, volume_psrn_r2"]) == 2
    said = capsys.readouterr().err
    assert "--columns: expected one of " in said and "projection_iou" in said and "gpu_peak_memory_mb" in said
    assert "found 'volume_psrn_r2'. Did you mean 'volume_psnr_r2'?" in said
    assert main([*arguments, "--columns", " , "]) == 2
    assert list(tmp_path.iterdir()) == [tmp_path / "runs"] and not list((tmp_path / "runs").iterdir())


def test_the_reporter_refuses_a_column_that_nobody_has(results):
    found = Results.open(results.folder)
    found.columns = ("volume_snr",)
    with pytest.raises(InputError, match="found 'volume_snr'"):
        tables.write_tables(found)


def test_tables_show_the_chosen_columns_in_their_order_and_the_csv_all(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("benchmark.report.figures.write_figures", lambda results, overview: [])  # quicker
    monkeypatch.setattr("benchmark.report.page.write_page", lambda results, figures, overview: results.folder / "report.html")
    results = synthetic.fill(tmp_path, views=(10,), methods=("fdk",), seeds=(0, 1))
    assert main(["report", str(tmp_path), "--columns", "seconds,volume_psnr_r2,volume_rmse_hu,steps"]) == 0
    assert "no run has a volume_rmse_hu" in capsys.readouterr().err
    folder = tmp_path / "tables"
    (heads,) = {line for line in (folder / "summary.md").read_text().splitlines() if line.startswith("| Views")}
    names = ["Views", "Method", "Rank", "Time [s]", "Volume PSNR [dB], r2", "Steps", "Runs"]
    assert [cell.strip() for cell in heads.split("|")[1:-1]] == names
    assert "Views & Method & Rank & Time [s] & PSNR [dB], r2 & Steps \\\\" in (folder / "summary.tex").read_text()
    table = pd.read_csv(folder / "summary.csv")
    assert {"volume_psnr", "volume_psnr_r2", "volume_psnr_r2_half", "fit_ssim", "steps", "cpu_seconds"} <= set(table.columns)
    tables.write_tables(results)
    assert "Volume PSNR [dB] |" in (folder / "summary.md").read_text()  # the choice is not kept


def test_chosen_scores_have_intervals_and_are_compared_as_the_others(results):
    (column,) = chosen(["volume_psnr_r2"], registry().metrics.values())
    table = labelled(results.records)
    assert not [name for name in summarise(table).columns if name.startswith("volume_psnr_r2_")]
    rows = summarise(table, [column])
    best = rows[(rows["method"] == "naf") & (rows["views"] == 10)].iloc[0]
    values = table[(table["label"] == "naf") & (table["views"] == 10)]["volume_psnr_r2"]
    assert best["volume_psnr_r2_half"] == pytest.approx(12.706 * values.std() / 2**0.5, rel=1e-3)  # Student's t, one degree of freedom
    assert leads(best, column) and not leads(rows[rows["method"] == "fdk"].iloc[0], column)
    shown = summary_table(results.records, [column])
    assert [str(head.header).replace("\n", " ") for head in shown.columns][2] == "Volume PSNR \\[dB], r2"


# -- columns with a value -----------------------------------------------------------------------------------------------


def test_photographs_show_means_over_frames_and_no_empty_columns(tmp_path):
    a = {"projection_psnr": 20.0, "projection_ssim": 0.8, "projection_iou": 0.9, "projection_l1": 0.2, "fit_iou": 0.5}
    b = {"projection_psnr": 22.0, "projection_ssim": 0.7, "projection_iou": 0.7, "projection_l1": 0.1}
    results = photographs(tmp_path, {"carve": a, "gaussians": b}, {"carve": {**a, "projection_iou": 0.7}, "gaussians": b})
    tables.write_tables(results)
    text = (tmp_path / "tables" / "summary.md").read_text()
    lines = text.partition("### mouse, 28 voxels, no added noise\n")[2].splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert text.startswith("### mouse") and text.count("###") == 1  # the frames of one sequence are one case: no leaderboard
    assert rows[0] == ["Views", "Method", *(f"Held-out {name}" for name in ("PSNR [dB]", "SSIM", "IoU", "L1")), "Time [s]", "Runs"]
    assert rows[2:] == [
        ["8", "gaussians", "**22.00**", "0.700", "0.700", "**0.100**", "5.0", "2"],
        ["8", "carve", "20.00", "**0.800**", "**0.800**", "0.200", "5.0", "2"],
    ]
    assert "Each number is the mean over 2 frames of a sequence. One seed: no intervals and no ranks. Bold: the best number." in text
    heads = [str(column.header).replace("\n", " ") for column in summary_table(results.records).columns]
    assert heads[1:5] == ["Held-out PSNR \\[dB]", "Held-out SSIM", "Held-out IoU", "Held-out L1"]
    assert not [head for head in heads if "Volume" in head or "GPU" in head]
    tex = (tmp_path / "tables" / "summary.tex").read_text()
    assert (
        r"\multicolumn{4}{c}{Held-out}" in tex
        and "PSNR [dB] & SSIM & IoU & L1 & Time [s]" in tex
        and "Volume" not in tex.split("tabular")[1]
    )


def test_a_frame_that_failed_shows_and_sequences_stay_apart(tmp_path):
    a = {"projection_iou": 0.9, "projection_l1": 0.2}
    results = photographs(tmp_path, {"carve": a, "gaussians": a}, {"carve": a})
    problem, spec = (
        synthetic.case("mouse-1", 8),
        next(record.spec for record in results.records if record.spec.dataset_params["frame"] == 1),
    )
    failed = spec.model_copy(update={"method": "gaussians"})
    other = spec.model_copy(update={"dataset_params": {**spec.dataset_params, "path": "other/mouse"}, "data_digest": "other"})
    Store(tmp_path).write_record(synthetic.record(failed, problem, status="failed", reason="it broke"))
    rows = summarise(labelled(Results.open(tmp_path).records)).set_index("method")
    assert counted(rows.loc["gaussians"]) == "1/2" and rows.loc["gaussians"]["note"] == "1 of 2 failed: it broke"
    Store(tmp_path).write_record(synthetic.record(other, problem, metrics=a))
    rows = summarise(labelled(Results.open(tmp_path).records))
    assert set(rows["dataset"]) == {"mouse (path=takes/mouse)", "mouse (path=other/mouse)"}


def test_a_column_shows_where_it_has_a_value():
    part = pd.DataFrame({"volume_psnr": [None, 1.0], "volume_ssim": [None, None], "seconds": [0.0, None]}, dtype=float)
    assert [column.name for column in filled(COLUMNS, part)] == ["volume_psnr", "seconds"]
    assert filled(NARROW, part[:0]) == ()


# -- LaTeX --------------------------------------------------------------------------------------------------------------


def test_a_latex_table_is_balanced_escaped_and_can_be_referred_to(results):
    tables.write_tables(results)
    text = (results.folder / "tables" / "summary.tex").read_text()
    assert text.count(r"\begin{table*}") == text.count(r"\end{table*}") == 1 and text.count("{") == text.count("}")
    assert rf"\caption[{{{TITLE}}}]{{{TITLE}. Mean $\pm$ half of its 95\% interval" in text and r"\label{tab:chest-28}" in text
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\cmidrule")] == [1, 2, 1, 2]
    assert r"tigre\_fdk\textsuperscript{b} & \multicolumn{6}{c}{skipped} \\" in text
    assert r"\textsuperscript{b} skipped: needs tigre\_\textless{}x\textgreater{} \& more" in text
    assert re.search(r"naf & 1 & \\textbf\{24\.44 \{\\scriptsize \$\\pm\$ 0\.15\}\} &", text)
    assert all(line.count(" & ") == 7 for line in text.splitlines() if re.match(r"    (\d+|Views) & (fdk|sart|naf|Method)", line))
    signs = r"50\% of \$x\_1\$ \{a\} \textasciitilde{} \textasciicircum{} \textbackslash{} \# \textbar{} \textless{}"
    assert tex.escape("50% of $x_1$ {a} ~ ^ \\ # | <") == signs


def test_few_columns_fit_into_a_column_of_text(results):
    text = tables.latex(
        summarise(labelled(results.records)), chosen(["volume_psnr", "volume_ssim", "seconds"], registry().metrics.values())
    )
    assert r"\begin{table}" in text and r"\multicolumn{2}{c}{Volume} & \multicolumn{1}{c}{}" in text
    failed = summarise(labelled([record for record in results.records if record.status != "ok"]))
    assert r"tigre\_fdk\textsuperscript{b} \\" in tables.latex(failed)  # no column has a value


@pytest.mark.parametrize("names", [PAPER, ("volume_psnr", "volume_ssim", "seconds"), tuple(column.name for column in COLUMNS[:2])])
def test_latex_compiles_and_fits(results, tmp_path, names):
    columns = PAPER if names is PAPER else chosen(names, registry().metrics.values())
    parts = [labelled(results.records), labelled([record for record in results.records if record.status != "ok"])]
    body = "\n".join(tables.latex(summarise(part, columns), columns) for part in parts).replace("tab:chest-28", "tab:again", 1)
    compiled(tmp_path, body, "chest-28", width="16cm" if names is PAPER else "")


def compiled(folder: Path, body: str, label: str, width: str = "") -> None:
    """Put tables into an article with lines of this width (its own without any): no error, no overfull line, nothing undefined."""
    engine = shutil.which("pdflatex")
    if engine is None or subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, check=False).returncode:
        pytest.skip("needs pdflatex with booktabs; other tests look at the structure")
    wide = rf"\usepackage[textwidth={width}]{{geometry}}" if width else ""
    text = rf"\documentclass{{article}}{wide}\usepackage{{booktabs}}\begin{{document}}{body} Table~\ref{{tab:{label}}}\end{{document}}"
    (folder / "paper.tex").write_text(text)
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    for _ in range(2):  # the second knows the labels
        ran = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        assert ran.returncode == 0, ran.stdout.decode()[-2000:]
    log = (folder / "paper.log").read_text(errors="replace")
    assert "Overfull" not in log and "undefined" not in log and "Missing character" not in log
