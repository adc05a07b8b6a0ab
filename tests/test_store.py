"""Records, volumes and cases on disk: atomic, append-only, read back as they were."""

from __future__ import annotations

import dataclasses
import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import tiny_plugin
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import InputError
from benchmark.records import nifti
from benchmark.records.frame import METRICS, frame
from benchmark.records.record import RunRecord, RunSpec
from benchmark.records.results import Results
from benchmark.records.store import Store
from benchmark.records.titles import labels, noise
from benchmark.storage import atomic
from benchmark.storage.json_values import dumps, plain

COLUMNS = "dataset size views noise method preset engine device seed status reason seconds peak_memory_mb run_id".split()


def spec(**changes) -> RunSpec:
    values = {
        "dataset": "tiny",
        "dataset_params": {"size": 8, "views": 4, "photons": None},
        "method": "grey",
        "method_params": {"level": 0.1},
    }
    return RunSpec(**values | changes)


def record(run: RunSpec | None = None, **changes) -> RunRecord:
    run = run or spec()
    return RunRecord(**{"run_id": run.id, "spec": run, "status": "ok", "volume_shape": [8, 8, 8], "views": 4} | changes)


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "out")
    store.prepare()
    return store


@pytest.fixture(scope="module")
def case():
    return tiny_plugin.load(tiny_plugin.TinyParams(size=6))


# -- volumes ------------------------------------------------------------------------------------------------------------


def test_a_volume_comes_back_bit_for_bit(tmp_path, case):
    volume = np.random.default_rng(0).random((6, 6, 6), dtype=np.float32)
    nifti.write_volume(tmp_path / "volume.nii.gz", volume, case.scan.geometry)
    np.testing.assert_array_equal(nifti.read_volume(tmp_path / "volume.nii.gz"), volume)


def test_a_viewer_sees_each_voxel_at_its_place_in_millimetres(tmp_path, case):
    geometry = case.scan.geometry
    volume = np.zeros((6, 6, 6), np.float32)
    volume[4, 1, 2] = 1  # z, y, x
    nifti.write_volume(tmp_path / "volume.nii.gz", volume, geometry)
    image = nibabel.load(tmp_path / "volume.nii.gz")
    assert image.header.get_zooms() == pytest.approx((2.0, 1.5, 1.0))  # x, y, z [mm]
    assert image.header.get_xyzt_units()[0] == "mm"
    index = np.argwhere(np.asarray(image.dataobj) == 1)[0]
    assert tuple(index) == (2, 1, 4)
    place = nibabel.affines.apply_affine(image.affine, index)
    assert place == pytest.approx([geometry.voxel_centres(2)[2], geometry.voxel_centres(1)[1], geometry.voxel_centres(0)[4]])
    centre = nibabel.affines.apply_affine(image.affine, [2.5, 2.5, 2.5])
    assert centre == pytest.approx([3.0, 2.0, 1.0])  # the volume's offset, x y z
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-5)


# -- records ------------------------------------------------------------------------------------------------------------


def test_attempts_are_appended_and_the_latest_counts(store):
    first = store.write_record(record(status="failed", reason="broken"))
    second = store.write_record(record())
    assert [first.name, second.name] == ["attempt-0001.json", "attempt-0002.json"]
    assert [found.status for found in Results.open(store.folder).records] == ["ok"]
    assert json.loads(first.read_text())["reason"] == "broken"


def test_a_record_comes_back_as_it_was(store):
    written = record(
        metrics={"volume_psnr": float("inf"), "volume_ssim": None, "fit_psnr": 12.5},
        losses=[(0, 0.1, float("nan")), (1, 0.2, 3.0)],
        curve=[{"step": 1, "seconds": 0.5, "volume_psnr": float("-inf")}],
        info={"weight": np.float32(0.5), "list": np.arange(2), "path": Path("a")},
        environment={"cores": 2},
    )
    store.write_record(written)
    found = Results.open(store.folder).records[0]
    assert found.metrics == written.metrics
    assert np.isnan(found.losses[0][2]) and found.losses[1] == (1, 0.2, 3.0)
    assert found.curve[0].volume_psnr == -np.inf
    assert found.info == {"weight": 0.5, "list": [0, 1], "path": "a"}
    assert found.spec == written.spec and found.spec.id == found.run_id


def test_create_never_overwrites(tmp_path):
    atomic.create(tmp_path / "a", b"first")
    with pytest.raises(FileExistsError):
        atomic.create(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_create_never_overwrites_without_hard_links_either(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(atomic.os, "link", refuse)
    atomic.create(tmp_path / "a", b"first")
    with pytest.raises(FileExistsError):
        atomic.create(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"


def test_two_writers_get_two_attempts(store):
    import threading

    threads = [threading.Thread(target=store.write_record, args=(record(reason=str(index)),)) for index in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    files = sorted((store.folder / "runs").glob("*/attempt-*.json"))
    assert [file.name for file in files] == [f"attempt-{index:04d}.json" for index in range(1, 9)]
    assert {json.loads(file.read_text())["reason"] for file in files} == set("01234567")


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    """The operating system itself refuses (a limit on file sizes), as a full disk would."""
    (tmp_path / "kept").write_text("kept")
    code = (
        "import sys; from pathlib import Path; from benchmark.storage import atomic\n"
        "try:\n    atomic.replace(Path(sys.argv[1]) / 'kept', b'x' * 100_000)\n"
        "except atomic.StorageError as error:\n    print(error)"
    )

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    done = subprocess.run([sys.executable, "-B", "-c", code, str(tmp_path)], capture_output=True, text=True, preexec_fn=limit)
    assert "could not be written (File too large)" in done.stdout
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"kept": "kept"}


def test_an_unreadable_record_is_a_problem_not_a_crash(store):
    path = store.write_record(record())
    (path.parent / "attempt-0002.json").write_text("{ half a rec")
    (path.parent / "attempt-0003.json").write_text('{"schema_version": 99}')
    (path.parent / "attempt-0004.json").write_text('{"schema_version": 1}')
    (path.parent / "attempt-0005.json").write_text("[]")
    results = Results.open(store.folder)
    assert [found.status for found in results.records] == ["ok"]
    assert len(results.problems) == 4
    assert "schema version 99 is newer" in results.problems[1]


@pytest.mark.parametrize("path", sorted((Path(__file__).parent / "records").glob("*.json")), ids=lambda path: path.stem)
def test_records_of_older_schemas_stay_readable_and_keep_their_identity(store, path):
    """Real records as earlier versions wrote them."""
    values = json.loads(path.read_text())
    folder = store.folder / "runs" / values["run_id"]
    folder.mkdir()
    (folder / "attempt-0001.json").write_text(path.read_text())
    results = Results.open(store.folder)
    (found,) = results.records
    assert results.problems == [] and found.schema_version == values["schema_version"] == int(path.stem.split("-")[1])
    assert found.spec.id == found.run_id == values["run_id"]  # resuming still recognises it
    assert found.metrics == values["metrics"] and found.status == values["status"]
    table = results.frame()
    assert table["seconds"].item() == values["seconds"] and table["ray_samples"].isna().all()  # not counted then


def test_no_results_folder_is_said(tmp_path):
    with pytest.raises(InputError, match="expected a results folder"):
        Results.open(tmp_path / "nowhere")


# -- cases --------------------------------------------------------------------------------------------------------------


def test_a_case_comes_back_whole(store, case):
    case = dataclasses.replace(case, notes=("two images were left out",))
    store.write_case(case, "tiny", {"size": 6})
    store.write_case(case, "tiny", {"size": 6})
    run = spec(data_digest=case.digest)
    volume = np.ones((6, 6, 6), np.float32)
    store.write_record(record(run), volume, case)
    results = Results.open(store.folder)
    found = results.case(results.records[0])
    assert found.load().digest == case.digest == found.digest
    np.testing.assert_array_equal(results.truth(results.records[0]), case.truth)
    np.testing.assert_array_equal(results.volume(results.records[0]), volume)
    np.testing.assert_array_equal(found.training, case.scan.projections)
    np.testing.assert_array_equal(found.heldout, case.heldout.projections)
    assert found.geometry == case.scan.geometry and found.heldout_geometry == case.heldout.geometry
    assert (found.truth_note, found.heldout_views) == ("made up", (100, 101, 102))
    assert found.load().notes == case.notes
    assert len(results.cases()) == 1
    assert [path.name for path in (store.folder / "cases").iterdir()] == [case.digest]


def test_what_is_known_of_noise_and_the_part_come_back(store, case):
    scan = dataclasses.replace(case.scan, photons=np.float64(1e4), noise=0.1)
    for heldout in (case.heldout, dataclasses.replace(case.heldout, photons=5e4, noise=0.2)):
        known = dataclasses.replace(case, scan=scan, heldout=heldout, part="frame 5")
        store.write_case(known, "tiny", {})
        stored = Results(store.folder).case_of(known.digest)
        found = stored.load()
        assert found.digest == known.digest and found.part == "frame 5"
        assert (found.scan.photons, found.scan.noise) == (1e4, 0.1)
        assert (found.heldout.photons, found.heldout.noise) == (heldout.photons, heldout.noise)
    known = dataclasses.replace(known, heldout=dataclasses.replace(heldout, photons=1e4, noise=None), part="")
    store.write_case(known, "tiny", {})
    stored = Results(store.folder).case_of(known.digest)
    facts = json.loads((stored.folder / "case.json").read_text())
    earlier = {name: value for name, value in facts.items() if name not in ("part", "heldout_photons", "heldout_noise", "content_digest")}
    (stored.folder / "case.json").write_text(json.dumps(earlier))
    found = Results(store.folder).case_of(known.digest).load()
    assert (found.part, found.heldout.photons, found.heldout.noise) == ("", 1e4, None)


def test_photons_are_part_of_the_data(case):
    noisy = [dataclasses.replace(case, scan=dataclasses.replace(case.scan, photons=photons)) for photons in (None, 1e4, 1e5, 100_000)]
    assert [known.digest == case.digest for known in noisy] == [True, False, False, False]
    assert len({known.digest for known in noisy}) == 3 and noisy[2].digest == noisy[3].digest


def test_a_case_without_truth_and_heldout_views(store):
    bare = dataclasses.replace(tiny_plugin.load(tiny_plugin.TinyParams(heldout=0)), truth=None)
    store.write_case(bare, "tiny", {})
    results = Results(store.folder)
    found = results.case_of(bare.digest)
    assert found.truth is None and found.heldout is None
    assert found.load().digest == bare.digest


# -- folders ------------------------------------------------------------------------------------------------------------


def test_an_unwritable_folder_is_said_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a folder that can be written"):
        Store(tmp_path / "file" / "out").prepare()


# -- the table ----------------------------------------------------------------------------------------------------------


def test_the_table_has_a_row_a_run_and_the_promised_columns(store):
    noisy = spec(dataset_params={"size": 8, "views": [0, 3], "photons": 1e5, "electronic": 10.0}, preset="dark", seed=1)
    records = [
        record(metrics={"volume_psnr": 30.0, "volume_psnr_naf": 31.0}, seconds=1.5, peak_memory_mb=100.0, engine="tiny", device="cpu"),
        record(noisy, status="failed", reason='a "bad", day', views=0, volume_shape=[]),
    ]
    path = store.write_table(records)
    table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    assert len(table) == 2
    assert not {*COLUMNS, *METRICS} - set(table.columns)
    assert table.noise.tolist() == ["none", "poisson 1e+05 + gaussian 10"]
    assert table.volume_psnr_naf.tolist()[0] == 31.0 and np.isnan(table.volume_psnr[1])
    assert table.views.tolist() == [4, 2] and table["size"].tolist() == [8, 8]
    assert table.reason.tolist()[1] == 'a "bad", day'
    assert table.run_id.is_unique


def test_an_empty_table_still_has_its_columns():
    assert not {*COLUMNS, *METRICS} - set(frame([]).columns)


def test_noise_in_words():
    assert noise(spec(dataset_params={"photons": 500.0})) == "poisson 500"
    assert noise(spec(dataset_params={})) == "none"


def test_labels_tell_apart_what_differs():
    runs = [spec(), spec(preset="dark"), spec(method="sart", method_params={"n": 1}), spec(method="sart", method_params={"n": 2})]
    assert list(labels(map(record, runs)).values()) == ["grey", "grey:dark", "sart (n=1)", "sart (n=2)"]


# -- plain values -------------------------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(values)
def test_any_value_is_strict_json_and_plain_twice_is_plain_once(value):
    def refuse(name):
        raise AssertionError(name)

    assert json.loads(dumps(value), parse_constant=refuse) == plain(value) == plain(plain(value))
