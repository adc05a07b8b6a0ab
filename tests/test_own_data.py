"""Only the path changes: number of views, grid, name and folder of a run come from the user's data; what does not exist is left out."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import foreign
import nibabel
import numpy as np
import pandas as pd
import pytest
import yaml

from benchmark.api import Heldout, Offer, Results, case_name, choose_views
from benchmark.cli.main import main
from benchmark.datasets.folder import FolderParams
from benchmark.datasets.mip import MipParams
from benchmark.datasets.mip.case import load as load_stack
from benchmark.datasets.multiview import MultiviewParams
from benchmark.datasets.multiview.case import load as load_photographs
from benchmark.datasets.naf import NafParams
from benchmark.datasets.phantom import PhantomParams
from benchmark.datasets.volume import VolumeParams
from benchmark.datasets.volume.simulate import load as load_volume
from benchmark.datasets.walnut import SampleParams
from benchmark.errors import InputError
from benchmark.plan.plan import Flags, Plan, make_plan
from benchmark.plan.sources import open_case
from benchmark.plugins.registry import registry
from benchmark.records.record import RunSpec
from benchmark.records.titles import case_title


@pytest.fixture
def pickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A NAF file of 50 training and 7 validation views of 36 x 30 pixels, in the present folder."""
    monkeypatch.chdir(tmp_path)
    return foreign.write_naf(tmp_path / "chest_50.pickle", count=50)


def folder_of(path: Path, views: int = 48, **sections: Any) -> Path:
    """A folder with scan.yaml: `views` of 32 x 24 pixels, a grid of 8 x 16 x 12 voxels (z, y, x)."""
    path.mkdir(parents=True)
    np.save(path / "p.npy", np.random.default_rng(0).random((views, 24, 32), dtype=np.float32))
    content = {
        "projections": {"file": "p.npy"},
        "geometry": {"source_to_origin": 500, "source_to_detector": 700, "detector_pitch": 10},
        "angles": {"arc": 360},
        "volume": {"extent": [96, 192, 144], "shape": [8, 16, 12]},
        **sections,
    }
    (path / "scan.yaml").write_text(yaml.safe_dump({key: value for key, value in content.items() if value}))
    return path


def planned(content: dict[str, Any], **flags: Any) -> Plan:
    return make_plan(registry(), {"methods": "fdk", **content}, Flags(**flags))


def chosen(plan: Plan, *keys: str) -> list[tuple[Any, ...]]:
    return [tuple(run.dataset_params[key] for key in keys) for run in plan.runs]


# -- the path alone -----------------------------------------------------------------------------------------------------


def test_a_file_of_50_views_runs_with_its_path_alone(pickled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--scan", "chest_50.pickle", "--methods", "fdk", "--in-process", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "50 views of 36 x 30, volume 26 x 28 x 24 (6 x 6 x 7 mm), 7 views held out"
    assert any(line.startswith("[1/1] chest_50 28, 50 views: fdk: volume ") for line in lines)
    output = Path(f"results/chest_50-{date.today():%Y%m%d}")
    assert f"{output}/report.html" in lines and [path.name for path in Path("results").iterdir()] == [output.name]
    (record,) = Results(output).records
    assert (record.status, record.case, record.volume_shape) == ("ok", "chest_50", [24, 28, 26])
    assert record.training_views == list(range(50)) and record.heldout_views == list(range(50, 57))
    assert pd.read_csv(output / "tables" / "summary.csv").dataset.tolist() == ["chest_50"]
    assert "chest_50" in (output / "tables" / "summary.md").read_text() and "chest_50" in (output / "report.html").read_text()
    assert main(["run", "--scan", "chest_50.pickle", "--methods", "fdk", "--dry-run"]) == 0
    assert "chest_50 28, 50 views: fdk: done" in capsys.readouterr().out


def test_all_and_native_are_numbers_with_the_ids_of_these_numbers(pickled: Path) -> None:
    words = planned({"datasets": [{"naf": {"path": str(pickled)}}], "views": "all", "size": "native"})
    numbers = planned({"datasets": [{"naf": {"path": str(pickled), "bin": 1}}], "views": 50, "size": 28})
    assert [run.id for run in words.runs] == [run.id for run in numbers.runs]
    assert NafParams(path=str(pickled), views="all", size="native") == NafParams(path=str(pickled), views=50, size=28, bin=1)


def test_a_folder_holds_out_an_eighth_of_its_views_spread_over_the_arc(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "my_scan")
    params = FolderParams(path=str(folder), views="all", size="native")
    assert (params.views, params.size, params.bin) == (42, 16, 1)
    training, heldout = params.opened().choose(params)
    assert len(heldout) == 6 and sorted(training + heldout) == list(range(48))
    assert set(np.diff(heldout)) == {8}
    case = open_case(registry(), str(folder), {}, (), whole=True)
    assert case.outline == "42 views of 32 x 24, volume 12 x 16 x 8 (12 mm), 6 views held out"
    assert open_case(registry(), str(folder), {}, ("folder.heldout=[0, 24]",), whole=True).heldout_views == (0, 24)


def test_the_owners_choice_of_views_is_kept(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "s", views=20, volume=None, views_=None)
    assert FolderParams(path=str(folder), views="all", size="native").size == 32  # nothing is stated: as many as pixels
    (folder / "scan.yaml").write_text((folder / "scan.yaml").read_text() + "views: {training: [0, 1, 2, 3, 4], heldout: [7, 9]}\n")
    params = FolderParams(path=str(folder), views="all")
    assert params.opened().choose(params) == ((0, 1, 2, 3, 4), (7, 9))


def test_a_volume_keeps_its_own_voxels(tmp_path: Path) -> None:
    values = (np.random.default_rng(0).random((12, 16, 6)) * 1000 - 800).astype(np.int16)
    path = tmp_path / "ct.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 2.0, 4.0, 1.0])), path)
    params = VolumeParams(path=str(path), views="all", size="native", heldout=2, sub_rays=1)
    assert (params.views, params.size, params.box) == (50, 16, "own")
    assert "box" not in VolumeParams(path=str(path)).model_dump()  # ids of stored runs stay
    case = load_volume(params)
    assert case.name == "ct" and case.outline.startswith("50 views of 24 x 24, volume 12 x 16 x 6 (2 x 2 x 4 mm), 2 views")
    wanted = np.maximum(0.0206 * (1 + values.transpose(2, 1, 0) / 1000), 0)
    assert case.truth is not None
    np.testing.assert_allclose(case.truth, wanted, atol=1e-6)
    assert VolumeParams(path=str(path), size="native", side=20).size == 10
    stack = load_stack(MipParams(path=str(path), background=-800, size="native", views=4, heldout=1))
    assert stack.scan.geometry.volume_shape == (6, 16, 12)


# -- what does not exist ------------------------------------------------------------------------------------------------


def test_numbers_of_views_that_do_not_exist_become_all(pickled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = planned({"datasets": [{"naf": {"path": str(pickled)}}], "views": [10, 50, 100], "size": 16})
    assert chosen(plan, "views") == [(10,), (50,)]
    assert plan.notes == ("chest_50: 100 views: only 50 exist for training, all 50 are used",)
    assert main(["run", "--scan", "chest_50.pickle", "--views", "100", "--methods", "fdk", "--dry-run"]) == 0
    first, note, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("50 views of") and note == "note: chest_50: 100 views: only 50 exist for training, all 50 are used"


def test_lists_lose_what_does_not_exist_and_an_empty_one_is_a_mistake(tmp_path: Path) -> None:
    entry = {"folder": {"path": str(folder_of(tmp_path / "s", views=20)), "heldout": [3, 20]}}
    plan = planned({"datasets": [entry, {"phantom": {"heldout": 900}}], "views": [[0, 19, 20], [0, 719, 720]], "size": [8, 9000]})
    assert chosen(plan, "views", "heldout", "size") == [([0, 19], [3], 8), ([0], [3], 8), ([0, 19, 20], 720, 8), ([0, 719], 720, 8)]
    assert plan.notes == (
        "folder: size 9000 left out, at most 4096 is possible",
        "s: heldout 20 left out, only 0 .. 19 exist",
        "s: views 20 left out, only 0 .. 19 exist",
        "s: views 719, 720 left out, only 0 .. 19 exist",
        "phantom: size 9000 left out, at most 4096 is possible",
        "phantom: heldout 900: only 720 views are free, 720 are held out",
        "phantom: views 720 left out, only 0 .. 719 exist",
    )
    with pytest.raises(InputError, match=r"--views: expected view indices 0 .. 19, found \[20, 21\]"):
        planned({"datasets": [entry]}, views="[20,21]")
    with pytest.raises(InputError, match="size: expected less than or equal to 4096, found 9000"):
        planned({"datasets": [entry], "size": 9000})


def test_held_out_views_are_capped_at_what_is_free(tmp_path: Path) -> None:
    folder = str(folder_of(tmp_path / "s", views=20))
    plan = planned({"datasets": [{"folder": {"path": folder, "heldout": 9}}], "views": [15, 20]})
    assert plan.notes == ("s: heldout 9: only 5 views are free, 5 are held out", "s: heldout 9: only 0 views are free, 0 are held out")
    assert plan.runs[1].case_key in plan.cases and "no views held out" in plan.cases[plan.runs[1].case_key].outline
    assert choose_views(SampleParams(views=59), 60)[1] != () and choose_views(SampleParams(views=60), 60)[1] == ()


def test_cameras_may_be_named_and_are_capped() -> None:
    small: dict[str, Any] = {"pixels": 16, "cameras": 9, "size": 8}
    case = load_photographs(MultiviewParams(**small, views="all", heldout=[8, 2]))
    assert case.heldout_views == (8, 2) and case.training_views == (0, 1, 3, 4, 5, 6, 7)
    assert len(load_photographs(MultiviewParams(**small, views=8, heldout=4)).heldout_views) == 1
    assert MultiviewParams(**small, views="all").views == 8
    with pytest.raises(InputError, match="heldout: expected indices 0 .. 8, found 9"):
        load_photographs(MultiviewParams(**small, heldout=[9]))


def test_data_that_cannot_be_read_stay_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.pickle"
    broken.write_bytes(b"not a pickle")
    assert main(["run", "--scan", str(broken), "--methods", "fdk", "--dry-run"]) == 2
    text = capsys.readouterr().err
    assert "broken.pickle" in text and text.count("\n") <= 2
    assert main(["run", "--scan", str(tmp_path), "--methods", "fdk", "--dry-run"]) == 2
    assert main(["export-scan", str(broken), "--views", "most", "--output", str(tmp_path / "o")]) == 2
    assert "--views: expected a number from 1, or all, found 'most'" in capsys.readouterr().err


# -- names --------------------------------------------------------------------------------------------------------------


def test_two_scans_of_one_name_stay_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = [{"folder": {"path": str(folder_of(tmp_path / place / "walnut", 12 + k))}} for k, place in enumerate("ab")]
    (tmp_path / "two.yaml").write_text(json.dumps({"datasets": [*entries, "walnut_sample"], "methods": ["fdk"], "views": 5, "size": 8}))
    command = ["run", "--config", str(tmp_path / "two.yaml"), "--output", str(tmp_path / "r"), "--in-process", "--device", "cpu"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("walnut: 5 views of 32 x 24 (averaged to 8 x 6), volume 6 x 8 x 4")
    assert any(line.startswith("walnut_sample: 5 views of 8 x 8") for line in lines)  # known once it is loaded
    names = pd.read_csv(tmp_path / "r" / "tables" / "summary.csv").dataset.tolist()
    assert names[2] == "walnut_sample" and [name.split(" (path=")[0] for name in names[:2]] == ["walnut", "walnut"] and names[0] != names[1]


def test_names_of_cases_from_paths() -> None:
    assert [case_name(Path(path)) for path in ("a/ct.nii.gz", "b/", ".hidden")] == ["ct", "b", ".hidden"]
    names = ("s.2023.05.12", "ct.v2.nii", "a.ome.tif", "ct_0.5")
    assert [case_name(Path(name)) for name in names] == ["s.2023.05.12", "ct.v2", "a", "ct_0.5"]
    assert case_name(Path()) == Path.cwd().name.split(".")[0]
    spec = RunSpec(dataset="folder", dataset_params={"path": "x/my_scan/scan.yaml", "size": 8, "views": 3}, method="m", method_params={})
    assert case_title(spec) == "my_scan 8, 3 views" and case_title(spec, "nut") == "nut 8, 3 views"


def test_an_offer_in_numbers() -> None:
    heldout: Heldout = (0, 1)
    offer = Offer(total=80)
    assert (offer.all_views(24), offer.all_views(5), offer.all_views(24, 30), offer.all_views(24, heldout)) == (70, 75, 50, 78)
    assert Offer(total=80, training=tuple(range(60))).all_views(24) == 60
    assert Offer(total=80, heldout=(3,)).all_views(24) == 79
    assert PhantomParams(views="all", size="native") == PhantomParams()
