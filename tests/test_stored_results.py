"""Results folders that version 0.1.0 wrote (stored_results/README.md): read, reported, scored, verified, resumed and compared as then.

Whoever changes what these tests hold fast makes the stored results of users unreadable, or their finished runs run again.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import forks
import numpy as np
import pandas as pd
import pytest

from benchmark.plugins.registry import registry
from benchmark.records.record import RunRecord
from benchmark.records.results import Results
from benchmark.report.tables import write_tables
from benchmark.scan.reconstruction import volume_digest

STORED = Path(__file__).parent / "stored_results"
RUNS = {  # folder -> run id -> status; no record of the run that was interrupted
    "sample": {
        "walnut_sample-6v-fdk-s0-b553cb3f9cf3": "ok",
        "walnut_sample-6v-sart-s0-653fed3f9910": "ok",
        "walnut_sample-6v-fista_tv-s0-7a96dea53e8a": "ok",
        "walnut_sample-6v-zerorf-s0-48af9536dd57": "ok",
        "walnut_sample-6v-naf-s0-464a1886f386": "ok",
        "walnut_sample-6v-naf-s1-36f5a4e3d0c3": "ok",
    },
    "interrupted": {"folder-6v-fdk-s0-b898810b658e": "ok", "folder-6v-sart-s0-503b0c19c82d": "ok"},
    "whole": {"folder-6v-naf-s0-7f50120b7459": "ok"},
    "ball": {
        "ball-5v-fdk-s0-d059cbfc545f": "ok",
        "ball-5v-sart-s0-9b7d65141bca": "ok",
        "ball-5v-theirs-s0-20dcc7c58ae3": "ok",
        "ball-5v-naf-s0-31ed5dc68bb3": "skipped",
        "ball-5v-naf-s0-298ac0ecfc0e": "failed",
        "ball-5v-naf-s0-080bee5d8c65": "failed",
    },
    "noisy": {"phantom-5v-fdk-s0-3cd507e7e1aa": "ok", "phantom-5v-sart-s0-11a9f1008bab": "ok"},
    "photographs": {"multiview-3v-carve-s0-18558c069620": "ok", "multiview-3v-fdk-s0-7b1c62b9a538": "skipped"},
}
NAF = "folder-6v-naf-s0-7f50120b7459"  # done in 'whole', stopped after 35 of its 200 steps in 'interrupted'
CASES = {  # folder -> digest, dataset, photons
    "sample": ("4dfa17f272d3be36", "walnut_sample", None),
    "interrupted": ("4dfa17f272d3be36", "folder", None),  # the same numbers in files of one's own
    "whole": ("4dfa17f272d3be36", "folder", None),
    "ball": ("ed2e38e02b4a5048", "ball", None),
    "noisy": ("5f3bb200ad303039", "phantom", 1e4),
    "photographs": ("c8c10b14007d5fa9", "multiview", None),
}
folders = pytest.mark.parametrize("folder", list(RUNS))
Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of everything, since commands write into the folders that they read."""
    return Path(shutil.copytree(STORED, tmp_path_factory.mktemp("stored") / "results"))


@pytest.fixture(scope="module")
def cli(place: Path) -> Cli:
    def call(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = forks.benchmark(*arguments, folder=place, environment={**os.environ, "TERM": "dumb"})
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return call


def records(folder: Path) -> dict[str, RunRecord]:
    return {record.run_id: record for record in Results.open(folder).records}


def commands(folder: str) -> list[list[str]]:
    """The arguments of the `run` commands that the records of a folder name."""
    said = dict.fromkeys(record.command for record in records(STORED / folder).values())
    return [shlex.split(line)[3:] for line in said if line.startswith("python -m benchmark run ")]


def attempts(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("runs/*/attempt-*.json")}


# -- reading ------------------------------------------------------------------------------------------------------------


@folders
def test_everything_can_be_read_and_keeps_its_identity(folder: str) -> None:
    results = Results.open(STORED / folder)
    assert results.problems == []
    assert {record.run_id: record.status for record in results.records} == RUNS[folder]
    for record in results.records:
        (stored,) = {path.parent.name for path in (STORED / folder).glob(f"runs/{record.run_id}/attempt-*.json")}
        assert record.spec.id == stored and record.environment["benchmark"] == "0.1.0"
        case, volume = results.case(record), results.volume(record)
        assert case is not None and case.load().digest == record.spec.data_digest == CASES[folder][0]
        assert (case.dataset, case.photons) == CASES[folder][1:]
        if record.status == "ok":
            assert volume is not None and list(volume.shape) == record.volume_shape and volume_digest(volume) == record.volume_digest
        else:
            assert volume is None and record.reason


def test_what_is_special_about_a_run_is_read() -> None:
    ball, noisy = records(STORED / "ball"), records(STORED / "noisy")
    assert ball["ball-5v-naf-s0-31ed5dc68bb3"].reason.startswith("engine tinycudann needs tinycudann (install: pip install ")
    assert ball["ball-5v-naf-s0-298ac0ecfc0e"].reason == "not finite: 1000 of 1000 voxels are NaN or Inf"
    assert ball["ball-5v-naf-s0-080bee5d8c65"].reason.startswith("time-out: still running after 12 s")
    theirs = ball["ball-5v-theirs-s0-20dcc7c58ae3"]
    psnr = theirs.metrics["volume_psnr"]
    assert theirs.info == {"imported": True, "source": "the truth itself"} and psnr is not None and psnr > 120
    for record in noisy.values():  # of a plug-in that is not here
        assert (record.metrics["volume_largest_error"] or 0) > 0 and record.reevaluated["benchmark"] == "0.1.0"
        assert record.spec.budget.projections == 8
    carve = Results.open(STORED / "photographs")
    (record,) = (record for record in carve.records if record.status == "ok")
    assert set(carve.arrays(record)) >= {"means", "quaternions", "log_scales", "colours"}
    case = carve.case(record)
    assert case is not None and case.load().scan.composite == "over" and case.load().scan.colours is not None


@folders
def test_tables_are_the_same(folder: str, tmp_path: Path) -> None:
    """Every number of the stored tables, from the stored records."""
    shutil.copytree(STORED / folder / "runs", tmp_path / "runs")
    shutil.copytree(STORED / folder / "cases", tmp_path / "cases")
    results = Results.open(tmp_path)
    write_tables(results)
    results.frame().to_csv(tmp_path / "tables" / "runs.csv", index=False)
    names = ("runs.csv", "summary.csv", "curves.csv", "time_to_quality.csv")
    for name in names:
        then, now = pd.read_csv(STORED / folder / "tables" / name), pd.read_csv(tmp_path / "tables" / name)
        if name != "runs.csv":  # since then, the user's own data go by the case's name
            then["dataset"] = then["dataset"].replace({"folder": "walnut_sample"})
        then = then[[column for column in then.columns if not column.endswith("_leads")]]  # empty where only numbers decided
        pd.testing.assert_frame_equal(now[then.columns], then, check_exact=False, rtol=1e-9, obj=name)


# -- scoring and verifying ----------------------------------------------------------------------------------------------


@folders
def test_scored_again_the_volumes_have_the_same_scores(folder: str, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(STORED / folder, tmp_path / folder))
    done = forks.benchmark("reevaluate", folder, folder=tmp_path, environment={**os.environ, "TERM": "dumb"})
    assert done.returncode == 0, done.stdout + done.stderr
    finished = sum(status == "ok" for status in RUNS[folder].values())
    assert f"{finished} runs scored again" in done.stdout and done.stdout.endswith(", 0 with a problem.\n")
    then, now = records(STORED / folder), records(copy)
    assert then.keys() == now.keys()
    for run_id, record in then.items():
        scores = {name: np.nan if value is None else value for name, value in now[run_id].metrics.items()}
        expected = {name: np.nan if value is None else value for name, value in record.metrics.items()}
        assert scores == pytest.approx(expected, rel=1e-6, nan_ok=True), run_id
        assert now[run_id].metric_versions == record.metric_versions


@folders
def test_verify_finds_everything_as_recorded(folder: str, cli: Cli) -> None:
    count = sum(status == "ok" for status in RUNS[folder].values()) + 1  # and one case
    assert cli("verify", folder, "--no-rerun").stdout == f"{count} as recorded, 0 differ, 0 cannot be told.\n"


# -- resuming -----------------------------------------------------------------------------------------------------------


@folders
def test_the_same_commands_find_what_they_did(folder: str, cli: Cli) -> None:
    """Identities of runs come from the plan alone: parameters, defaults and revisions included. What a method did at an earlier revision
    is to be done again.
    """
    stored, methods = records(STORED / folder), registry().methods
    for command in commands(folder):
        lines = [line for line in cli(*command, "--dry-run").stdout.splitlines() if not line.endswith(" views held out")]
        made = [record for record in stored.values() if shlex.split(record.command)[3:] == command]
        ended = [f"to do ({record.status} before: {record.reason})" for record in made if record.status != "ok"]
        ok = [record.spec for record in made if record.status == "ok"]
        revised = sum(spec.method in methods and methods[spec.method].revision > spec.method_revision for spec in ok)
        done, left = len(ok) - revised, ["to do"] * (revised + (folder == "interrupted"))
        assert sorted(line.split(": ", 2)[2] for line in lines[:-1]) == sorted(["done"] * done + ended + left)
        assert lines[-1] == f"{done + len(ended + left)} runs, {done} done, {len(ended + left)} to do; output {folder}"


@pytest.fixture(scope="module")
def resumed(place: Path, cli: Cli) -> tuple[dict[str, bytes], str]:
    """The interrupted sweep, gone on with by its own command: its records before, and what was said."""
    (command,) = commands("interrupted")
    return attempts(place / "interrupted"), cli(*command, "--in-process").stdout


@pytest.fixture(scope="module")
def again(place: Path, cli: Cli) -> Path:
    """The same sweep from its beginning, in a new folder."""
    (command,) = commands("interrupted")
    cli(*command[:-1], "again", "--in-process")
    return place / "again"


def test_an_interrupted_sweep_goes_on_and_what_is_finished_stays(place: Path, resumed: tuple[dict[str, bytes], str]) -> None:
    before, said = resumed
    after = attempts(place / "interrupted")
    assert {name: after[name] for name in before} == before and len(before) == 2
    assert after.keys() - before.keys() == {f"runs/{NAF}/attempt-0001.json"}
    assert "3 runs, 2 of them finished earlier" in said and "[3/3] walnut_sample 12, 6 views: naf ..." in said and "[1/3]" not in said
    record = records(place / "interrupted")[NAF]
    assert (record.status, record.steps, record.info["resumed_after_step"]) == ("ok", 200, 35)
    assert record.counters["ray_samples"] == records(STORED / "whole")[NAF].counters["ray_samples"]
    assert not (place / "interrupted" / "runs" / NAF / "snapshots").exists()


def test_an_interrupted_run_ends_as_if_nothing_had_happened(place: Path, resumed: tuple[dict[str, bytes], str], again: Path) -> None:
    """To the same bits where the processor computes as the one that wrote the checkpoint."""
    found, whole, anew = (Results.open(folder) for folder in (place / "interrupted", STORED / "whole", again))
    joined, stored, fresh = (np.asarray(results.volume(records(results.folder)[NAF])) for results in (found, whole, anew))
    assert volume_digest(stored) == "5debd776acf621ba"
    if np.array_equal(fresh, stored):
        assert volume_digest(joined) == "5debd776acf621ba"
    np.testing.assert_allclose(joined, stored, rtol=0, atol=0.02 * stored.max())
    np.testing.assert_allclose(fresh, stored, rtol=0, atol=0.02 * stored.max())


@pytest.mark.parametrize("folder", ["interrupted", "whole"])
def test_compared_with_the_same_made_now_nothing_but_code_and_machine_differ(folder: str, again: Path, cli: Cli) -> None:
    """Run ids, and so the digest of data that come from files, are those of then."""
    shutil.copytree(STORED / folder, again.parent / f"{folder}-then")
    said = cli("compare", f"{folder}-then", "again").stdout
    assert records(again).keys() >= RUNS[folder].keys()
    assert f"{len(RUNS[folder])} runs in both, 0 only in A, {3 - len(RUNS[folder])} only in B." in said
    means = pd.DataFrame(
        [[cell.strip() for cell in line.split("|")[1:-1]] for line in said.split("## ")[1].splitlines() if line.startswith("|")]
    )
    scores = means.iloc[2:, [place for place, head in enumerate(means.iloc[0]) if "PSNR" in head or "SSIM" in head]]
    assert scores.shape == (len(RUNS[folder]), 5)
    assert scores.astype(float).abs().to_numpy().max() <= (0.0 if folder == "interrupted" else 0.05)
    different = said.split("## What else differs\n\n")[1].split("\n\n")[0].splitlines()
    assert all(line.startswith(("Nothing:", "- code:", "- machine:", "- software:")) for line in different), different
