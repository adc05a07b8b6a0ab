"""Time series of stacks: read from every way to write TZYX, looked at frame by frame, each started from the last."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from rich.console import Console

from benchmark.api import InputError, Run, open_frames
from benchmark.datasets.mip import MipParams
from benchmark.datasets.mip.case import load as load_mip
from benchmark.exchange.series_export import write_series
from benchmark.methods.gaussians import GaussiansParams
from benchmark.methods.gaussians.reconstruct import fit
from benchmark.methods.gaussians.start import continued
from benchmark.plugins.registry import load
from benchmark.records.record import RunRecord
from benchmark.records.results import Results
from benchmark.report import video
from benchmark.runtime.checkpoint import Checkpoint
from benchmark.storage import cache
from benchmark.sweep.progress import PlainDisplay
from benchmark.sweep.request import Request
from benchmark.sweep.series import Series

FEW: dict[str, Any] = {"size": 12, "views": 4, "heldout": 2, "sub_rays": 1}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")


def beating(times: int = 3) -> np.ndarray:
    """A ball that wanders along x and fades, uint16 [t, z, y, x]."""
    z, y, x = np.meshgrid(np.arange(8), np.arange(10), np.arange(12), indexing="ij")
    return np.stack([np.where((z - 4) ** 2 + (y - 5) ** 2 + (x - 4 - t) ** 2 < 9, 800 - 200 * t, 0) for t in range(times)]).astype(
        np.uint16
    )


def written(kind: str, folder: Path, values: np.ndarray) -> Path:
    path = folder / f"beating.{'npy' if kind == 'npy' else 'npz' if kind == 'npz' else 'tif'}"
    if kind == "npy":
        np.save(path, values)
    elif kind == "npz":
        np.savez_compressed(path, stacks=values)
    elif kind == "imagej":
        tifffile.imwrite(path, values, imagej=True, metadata={"axes": "TZYX"})
    elif kind == "ome":
        tifffile.imwrite(path, values, ome=True, metadata={"axes": "TZYX"})
    elif kind == "ome, z slowest, deflated":
        tifffile.imwrite(path, values.swapaxes(0, 1), ome=True, metadata={"axes": "ZTYX"}, compression="zlib")
    else:
        tifffile.imwrite(path, values, compression="zlib" if kind == "deflated" else None, photometric="minisblack")
    return path


@pytest.mark.parametrize("kind", ["npy", "npz", "imagej", "ome", "ome, z slowest, deflated", "plain", "deflated"])
def test_every_frame_is_what_was_written(kind: str, tmp_path: Path) -> None:
    values = beating()
    frames = open_frames(written(kind, tmp_path, values))
    assert frames.shape == values.shape
    for time, expected in enumerate(values):
        assert (frames.frame(time) == expected).all()


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        (
            "a.tif",
            lambda path: tifffile.imwrite(path, np.zeros((5, 8, 8), np.uint8)),
            r"series of grey stacks.*\(5, 8, 8\)",
        ),
        (
            "b.tif",
            lambda path: tifffile.imwrite(path, np.zeros((2, 4, 8, 8), np.uint8), imagej=True, metadata={"axes": "TCYX"}),
            "found shape .2, 4, 8, 8., axes TCYX",
        ),
        ("c.npy", lambda path: np.save(path, np.zeros((2, 8, 8))), r"four axes TZYX, found shape \(2, 8, 8\)"),
        ("d.tif", lambda path: path.write_bytes(b"II*\0nothing"), "d.tif"),
        ("e.nii", lambda path: path.write_bytes(b"0"), "expected a time series of stacks in TIFF, .npy or .npz, found 'e.nii'"),
        ("f", lambda path: path.mkdir(), "found a folder"),
    ],
)
def test_files_that_are_none(name: str, write: Any, message: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    with pytest.raises(InputError, match=message):
        open_frames(tmp_path / name)


def test_frames_share_one_scale_and_have_names_of_their_own(tmp_path: Path) -> None:
    path = str(written("imagej", tmp_path, beating()))
    first, last = (load_mip(MipParams(**FEW, path=path, frame=frame)) for frame in (0, 2))
    assert (first.name, first.part, last.name, last.part) == ("beating-0", "frame 0", "beating-2", "frame 2")
    assert first.scan.projections.max() == 1 and last.scan.projections.max() == pytest.approx(400 / 800)
    assert first.scan.geometry.digest == last.scan.geometry.digest
    middles = [case.truth.sum((0, 1)) @ np.arange(12) / case.truth.sum() for case in (first, last) if case.truth is not None]
    assert middles[1] - middles[0] == pytest.approx(2, abs=0.1)  # voxels along x
    offer = MipParams(**FEW, path=path, frame=1).offer()
    assert offer.frames is not None and (offer.name, offer.frames()) == ("beating-1", 3)


def test_a_frame_that_is_not_there(tmp_path: Path) -> None:
    path = str(written("npy", tmp_path, beating()))
    with pytest.raises(InputError, match=r"frame: expected 0 \.\. 2, found 3"):
        load_mip(MipParams(**FEW, path=path, frame=3))
    with pytest.raises(ValueError, match="frame: expected none without a path, found 0"):
        MipParams(**FEW, frame=0)
    assert "frame" not in MipParams().model_dump()  # run ids stay


# -- one frame from the last ----------------------------------------------------------------------------------------------


def request(folder: Path, **changes: Any) -> Request:
    stack = folder / "beating.npy"
    if not stack.exists():
        np.save(stack, beating())
    sets = ("mip.heldout=2", "mip.sub_rays=1", "gaussians.steps=12", "gaussians.gaussians=40", "gaussians.tv_block=6")
    values: dict[str, Any] = dict(
        methods="gaussians", datasets="mip", volume=str(stack), views="4", size="12", sets=sets, output=str(folder / "out"), in_process=True
    )
    return Request(**{**values, **changes})


THEN = ("gaussians.steps=4",)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Series, list[RunRecord]]:
    chosen = Series.of(load(), request(tmp_path_factory.mktemp("series")), "all", THEN)
    records, code = chosen.follow(lambda plan: PlainDisplay(Console(file=io.StringIO())))
    assert code == 0, [record.reason + record.log_tail for record in records]
    return chosen, records


def test_each_frame_starts_from_the_last_and_says_so(swept: tuple[Series, list[RunRecord]]) -> None:
    chosen, records = swept
    assert chosen.frames == (0, 1, 2) and [record.case for record in records] == ["beating-0", "beating-1", "beating-2"]
    assert [record.info["start"] for record in records] == ["bound", "weights", "weights"]
    assert [record.steps for record in records] == [12, 4, 4]
    assert [len(record.pretrained.get("scans", ())) for record in records] == [0, 1, 2]
    assert len({record.info["gaussians"] for record in records}) == 1  # no more than the frame before had
    results = Results.open(chosen.plan(0, None).output)
    before, after = (results.arrays(record)["means"] for record in records[:2])
    assert 0 < np.abs(after - before).max() < 2  # um: moved by four steps, not drawn again


def test_the_same_command_runs_nothing_again(swept: tuple[Series, list[RunRecord]]) -> None:
    chosen, records = swept
    again, code = chosen.follow(lambda plan: PlainDisplay(Console(file=io.StringIO())))
    assert code == 0 and [(record.run_id, record.started) for record in again] == [(record.run_id, record.started) for record in records]


def test_volumes_and_a_video_come_out(swept: tuple[Series, list[RunRecord]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, records = swept
    results = Results.open(chosen.plan(0, None).output)
    expected = np.stack([np.asarray(results.volume(record)) for record in records])
    paths = write_series(results, records, tmp_path, 5.0)
    with tifffile.TiffFile(paths[0]) as file:
        assert file.series[0].axes == "TZYX" and (file.asarray() == expected).all()
        assert file.imagej_metadata["unit"] == "um" and file.imagej_metadata["spacing"] == pytest.approx(1.0)
    if len(paths) == 3:
        tensorstore = pytest.importorskip("tensorstore")
        store = {"driver": "zarr", "kvstore": {"driver": "file", "path": str(paths[1] / "0")}}
        assert (np.asarray(tensorstore.open(store).result().read().result()) == expected).all()
    monkeypatch.setattr(video, "missing_modules", lambda names: list(names))
    made = video.save_video(tmp_path / "grey.mp4", grey(9, 14), 4.0)
    with Image.open(made) as animation:
        assert (made.name, animation.n_frames, animation.info["duration"]) == ("grey.gif", 3, 250)
        animation.seek(2)
        assert animation.size[0] >= video.SIDE and np.asarray(animation.convert("L"))[4, 4] == 120


def grey(rows: int, columns: int) -> np.ndarray:
    """Three pictures that get brighter, enlarged."""
    return video.enlarged(np.stack([np.full((rows, columns), 60 * time, np.uint8) for time in range(3)]))


def test_a_video_that_players_open(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    made = video.save_video(tmp_path / "grey.mp4", grey(9, 15), 4.0)
    with av.open(str(made)) as container:
        stream = container.streams.video[0]
        greys = [float(frame.to_ndarray(format="gray").mean()) for frame in container.decode(stream)]
        assert made.suffix == ".mp4" and float(stream.average_rate) == 4 and stream.codec_context.name == "h264"
    np.testing.assert_allclose(greys, [0, 60, 120], atol=4)


def test_weights_are_of_one_kind_of_views_and_the_cap_holds(swept: tuple[Series, list[RunRecord]]) -> None:
    chosen, records = swept
    weights = str(chosen.plan(0, None).output / "series" / f"{records[0].run_id}.pt")
    scan = load_mip(MipParams(**FEW)).scan
    state = Checkpoint.read(Path(weights)).state
    assert continued(state, scan, GaussiansParams(cap=7)).size == 7
    with pytest.raises(InputError, match=r"gaussians.weights: expected Gaussians fitted .*\(sum\), found those of the kind max"):
        continued(state, dataclasses.replace(scan, composite="sum"), GaussiansParams())


@pytest.mark.parametrize(
    ("changes", "frames", "then", "message"),
    [
        ({"methods": "naf"}, "all", (), r"--methods: expected a method whose runs can start .*\(gaussians\), found 'naf'"),
        ({"methods": "gaussians,naf"}, "all", (), "--methods: expected one name, found 'gaussians,naf'"),
        ({"datasets": "ball", "volume": None}, "all", (), r"--datasets: expected a dataset with frames \(.*mip.*\), found 'ball'"),
        ({}, "0:1,5:5", (), "--frames: expected from 1 to .* frames, found 0 in '5:5'"),
        ({}, "two", (), "--frames: expected all, ranges such as 0:48 .*found 'two'"),
        ({}, "all", ("gaussians.stepps=3",), "Did you mean 'steps'"),
        ({"views": "3,4"}, "all", (), "series: expected one run a frame.*found 6 runs of 3 frames"),
    ],
)
def test_a_series_that_is_none(changes: dict[str, Any], frames: str, then: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        Series.of(load(), request(tmp_path, **changes), frames, then)
    assert not (tmp_path / "out").exists()


def test_fitting_to_frames_at_once_goes_through_all(tmp_path: Path) -> None:
    scans = [load_mip(MipParams(**FEW, path=str(written("npy", tmp_path, beating())), frame=frame)).scan for frame in (0, 1)]
    params = GaussiansParams(steps=3, gaussians=20, tv_block=6)
    state = fit(scans, params, Run())
    assert state["population"]["taken"] == 3 and len(state["population"]["mixture"][0]) == 20
