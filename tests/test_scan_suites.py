"""`--scan FOLDER-OF-SCANS`: one sweep over all scans in a folder, whoever wrote them; what cannot be opened is named."""

from __future__ import annotations

import pickle
from pathlib import Path

import foreign
import pandas as pd
import pytest

from benchmark.cli.main import main
from benchmark.datasets.naf import NafParams
from benchmark.datasets.r2 import R2Params
from benchmark.plan.plan import Flags, load_plan
from benchmark.plan.sources import scan_folder, scans_in
from benchmark.plugins.registry import registry
from benchmark.records.results import Results
from benchmark.records.titles import dataset_names
from benchmark.report.published import side_by_side


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def thin(path, count=4, voxel=7, mu=foreign.MU):
    """A pickle of few views and voxels, as the peers write them."""
    content = foreign.naf_content(count=count)
    factor = mu / foreign.MU
    content["image"] = factor * content["image"][::4, ::4, ::4]
    content.update(nVoxel=[voxel, voxel, 6], dVoxel=[156 / voxel, 168 / voxel, 28.0])
    for part in ("train", "val"):
        content[part]["projections"] = factor * content[part]["projections"]
    path.write_bytes(pickle.dumps(content))
    return path


def test_pickles_and_folders_make_one_sweep_on_their_own_grids(here, capsys):
    foreign.write_naf(here / "chest_50.pickle", count=20)
    thin(here / "foot.pkl")
    foreign.write_r2(here / "0_ball_cone")
    (here / "broken.pickle").write_bytes(b"nonsense")
    (here / "README.txt").write_text("from the authors")
    (here / ".hidden").write_text("")
    assert main(["run", "--scan", "mine", "--methods", "fdk", "--in-process", "--no-report"]) == 0
    told = capsys.readouterr().out
    assert "note: mine: 2 of 5 left out: README.txt (no scan), broken.pickle (expected an undamaged pickle" in told
    (output,) = (here.parent / "results").iterdir()
    assert output.name.startswith("mine-")
    found = {record.case: (record.status, record.volume_shape, record.views) for record in Results(output).records}
    assert found == {
        "chest_50": ("ok", [24, 28, 26], 20),
        "foot": ("ok", [6, 7, 7], 4),
        "0_ball_cone": ("ok", [24, 28, 26], 30),
    }
    assert Results(output).suite.name == output.name.rpartition("-")[0]


def test_flags_hold_for_every_scan_and_settings_for_those_of_a_dataset(here):
    foreign.write_naf(here / "a.pickle", count=20)
    thin(here / "b.pickle")
    foreign.write_r2(here / "c")
    scans = scan_folder(registry(), here)
    plan = load_plan(
        registry(), None, Flags(scans=scans, own_data=True, methods="fdk", views="2,10", size="8", sets=("naf.heldout=3",), output="x")
    )
    found = [
        (spec.dataset, spec.dataset_params["views"], spec.dataset_params["size"], spec.dataset_params["heldout"]) for spec in plan.runs
    ]
    assert found == [("naf", 2, 8, 3), ("naf", 10, 8, 3), ("naf", 2, 8, 3), ("naf", 4, 8, 3), ("r2", 2, 8, 100), ("r2", 10, 8, 100)]
    assert plan.notes == ("b: 10 views: only 4 exist for training, all 4 are used",)
    assert [name for name, _ in scan_folder(registry(), here, "r2").scans] == ["r2"]


def test_two_scans_of_one_name_stay_apart(here):
    thin(here / "ball.pickle")
    thin(here / "ball.pkl", mu=0.3)
    foreign.write_r2(here / "ball")
    plan = load_plan(registry(), None, Flags(scans=scan_folder(registry(), here), own_data=True, methods="fdk"))
    assert sorted(plan.name(spec) for spec in plan.runs) == ["ball", "ball.pickle", "ball.pkl"]
    assert main(["run", "--scan", "mine", "--methods", "fdk", "--in-process", "--no-report"]) == 0
    (output,) = (here.parent / "results").iterdir()
    records = Results(output).records
    assert len(records) == 3 == len(set(dataset_names(records).values()))
    assert len({record.spec.data_digest for record in records}) == 3


def test_a_folder_in_which_no_scan_can_be_opened_is_one_error(here, capsys):
    (here / "a.pickle").write_bytes(b"nonsense")
    (here / "b.pickle").write_bytes(pickle.dumps({"DSD": 1}))
    (here / "c").mkdir()
    (here / "c" / "meta_data.json").write_text("{}")
    assert main(["run", "--scan", "mine"]) == 2
    told = capsys.readouterr().err
    assert told.count("expected at least one scan that can be opened") == 1
    assert all(name in told for name in ("a.pickle (", "b.pickle (", "c ("))
    assert not (here.parent / "results").exists()


def test_one_scan_and_a_folder_without_scans_are_what_they_were(here, capsys):
    single = foreign.write_r2(here / "c")
    assert scan_folder(registry(), single) is None and scan_folder(registry(), here / "none") is None
    assert [(spec.name, path) for spec, path in scans_in(registry(), str(single))] == [("r2", str(single))]
    empty = here / "pictures"
    empty.mkdir()
    (empty / "x.txt").write_text("")
    assert main(["run", "--scan", str(empty)]) == 2
    assert "new-scan" in capsys.readouterr().err


def test_unchanged_files_stand_beside_published_numbers_by_their_own_names(here):
    """Fifteen scenes have the published mean beside theirs; a scene with numbers of its own has these, too."""
    for name in ["chest", "foot", *(f"scene{number}" for number in range(13))]:
        thin(here / f"{name}_50.pickle", count=50)
    run = ["run", "--scan", "mine", "--methods", "fdk", "--set", "naf.published=name", "--set", "naf.heldout=2", "--in-process"]
    assert main([*run, "--output", "out", "--no-report"]) == 0
    table = side_by_side(Results(Path("out")))
    ours = table[table["whose"] == "ours"].set_index("scene")["psnr"]
    runs = pd.read_csv("out/tables/runs.csv")
    assert set(ours.index) == {"chest", "foot", "all 15"}
    assert ours["all 15"] == pytest.approx(runs["volume_psnr_naf"].mean())
    assert set(table[table["scene"] == "all 15"]["method"]) >= {"fdk", "NAF", "SAX-NeRF"}


def test_the_published_name_is_that_of_the_file(tmp_path):
    path, folder = thin(tmp_path / "chest_50.pickle"), foreign.write_r2(tmp_path / "0_chest_cone")
    assert NafParams(path=str(path), published="name").opened().published == {"data": "sax", "scene": "chest"}
    assert R2Params(path=str(folder), published="name", views=1).opened().published == {"data": "r2", "scene": "0_chest_cone"}
