"""Pictures of coloured Gaussians from a checkpoint, and Gaussians in the files of viewers: checked by readers of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import Watcher

from benchmark.cli.main import main
from benchmark.datasets.multiview import MultiviewParams
from benchmark.datasets.multiview.frames import drawn_frame
from benchmark.errors import InputError
from benchmark.exchange.pictures import Scene, background_of, write_video
from benchmark.exchange.ply import write_ply
from benchmark.execution.options import Options
from benchmark.fields import rotations
from benchmark.metrics import photographs
from benchmark.plan.plan import Flags, make_plan
from benchmark.plugins.registry import registry
from benchmark.records.results import Results
from benchmark.report.page import page
from benchmark.sweep.sweep import Sweep

SMALL: dict[str, Any] = {"pixels": 24, "cameras": 9, "heldout": 3}
SETS = ("carve.voxels=10", "carve.networks=0", "carve.steps=3", "carve.views=2", *(f"multiview.{key}={SMALL[key]}" for key in SMALL))

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A run of a few steps on two frames."""
    output = tmp_path_factory.mktemp("swept")
    content = {"datasets": ["multiview"], "methods": ["carve"], "output": str(output), "size": [10], "views": [6]}
    plan = make_plan(registry(), content, Flags(sets=SETS, frames="0,5"))
    Sweep(registry(), plan, Options(device="cpu", in_process=True, checkpoints=output / "runs"), Watcher()).run()
    return Results(output)


@pytest.fixture(scope="module")
def checkpoints(swept: Results) -> list[Path]:
    return [swept.folder_of(record) / "checkpoint.pt" for record in swept.records]


@pytest.fixture(scope="module")
def scene(checkpoints: list[Path]) -> Scene:
    return Scene.read(checkpoints[0])


def test_training_cameras_see_the_harnesss_pictures(swept: Results, scene: Scene) -> None:
    case: Any = swept.case(swept.records[0])
    shown = photographs.rendered(swept.arrays(swept.records[0]), case.load().scan, [2])
    (picture,) = scene.pictures(scene.seen_by([2]), (0.0, 0.0, 0.0))
    np.testing.assert_allclose(picture[::-1, :, :3], 255 * np.clip(shown.colours[0], 0, 1), atol=0.6)
    (white,) = scene.pictures(scene.seen_by([2]), background_of("white"))
    assert white[0, 0].tolist() == [255, 255, 255, 0] and np.array_equal(white[..., 3], picture[..., 3])
    np.testing.assert_allclose(white[..., :3].astype(int), np.clip(picture[..., :3].astype(int) + 255 - white[..., 3:], 0, 255), atol=1)


def test_cameras_of_the_world_are_put_into_the_runs_axes(swept: Results, scene: Scene, tmp_path: Path) -> None:
    cameras = drawn_frame(MultiviewParams(**SMALL, views=6, size=10)).cameras
    names = ("rotation", "translation", "intrinsics")
    entries = [{name: getattr(cameras, name)[index].tolist() for name in names} for index in swept.records[0].training_views]
    (tmp_path / "cameras.json").write_text(json.dumps({"cameras": entries}))
    found = scene.seen_from_world(tmp_path / "cameras.json")
    mine, own = (scene.pictures(geometry, (0, 0, 0)).astype(int) for geometry in (found, scene.seen_by(list(range(6)))))
    assert np.abs(mine - own).max() <= 1 and own.max() > 50


def test_a_turned_thing_is_seen_as_by_cameras_turned_the_other_way(scene: Scene) -> None:
    colour = background_of("0.2,0.3,0.4")
    turned = scene.moved(-70, (0, 0, 0)).pictures(scene.circle(np.array([10.0])), colour)
    around = scene.pictures(scene.circle(np.array([80.0])), colour)
    assert np.abs(turned.astype(int) - around).max() <= 1
    assert np.abs(around.astype(int) - scene.pictures(scene.circle(np.array([10.0])), colour)).max() > 20
    there = scene.moved(30, (1.0, 2.0, 3.0)).splats
    half = np.deg2rad(15)
    step = rotations(torch.tensor([[np.cos(half), 0, 0, np.sin(half)]], dtype=torch.float32))[0]
    torch.testing.assert_close(there.means, scene.splats.means @ step.T + torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(rotations(there.quaternions), step @ rotations(scene.splats.quaternions), atol=1e-5, rtol=0)


def test_finer_pixels_average_to_the_usual_ones(scene: Scene) -> None:
    usual, finer = (scene.pictures(scene.seen_by([0]), (0, 0, 0), scale)[0].astype(float) for scale in (1, 4))
    assert finer.shape == (96, 96, 4)
    assert np.abs(finer.reshape(24, 4, 24, 4, 4).mean((1, 3)) - usual).mean() < 3


def test_files_of_pictures_are_read_by_others(checkpoints: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    h5py, av = pytest.importorskip("h5py"), pytest.importorskip("av")
    assert main(["render", *map(str, checkpoints), "--view", "all", "--output", str(tmp_path / "rendered_images.h5")]) == 0
    with h5py.File(tmp_path / "rendered_images.h5") as file:
        images = file["images"]
        assert images.shape == (2, 6, 24, 24, 4) and images.dtype == np.uint8 and images.compression == "gzip"
        stored = images[0, 3]
    assert main(["render", str(checkpoints[0]), "--view", "3", "--output", str(tmp_path / "view.png")]) == 0
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "view.png")), stored[..., :3])
    turntable = ["render", str(checkpoints[0]), "--views", "5", "--scale", "2", "--turn", "20", "--shift", "0,0,5", "--background", "black"]
    for name in ("turn.mp4", "turn.gif"):
        assert main([*turntable, "--output", str(tmp_path / name)]) == 0
    with av.open(str(tmp_path / "turn.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 5 and frames[0].shape == (48, 48, 3) and max(frame.max() for frame in frames) > 80
    with Image.open(tmp_path / "turn.gif") as gif:
        assert getattr(gif, "n_frames", 1) == 5 and gif.size == (48, 48)
    assert main(["render", str(checkpoints[0]), "--view", "0,2", "--output", str(tmp_path / "two.png")]) == 0
    assert (tmp_path / "two-000.png").exists() and str(tmp_path / "two-001.png") in capsys.readouterr().out.replace("\n", "")


def test_without_pyav_a_gif_stands_in(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    pictures = scene.pictures(scene.circle(np.array([0.0, 180.0])), (0, 0, 0))
    assert write_video(tmp_path / "turn.mp4", pictures, 10) == [tmp_path / "turn.gif"]


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["--view", "9"], "--view: expected training cameras 0 .. 5, found 9"),
        (["--view", "first"], "--view: expected numbers of cameras such as 0 or 0,3, or all"),
        (["--background", "puce"], "--background: expected white, black, grey, or red,green,blue"),
        (["--background", "1,2,3"], "--background: expected red,green,blue from 0 to 1"),
        (["--shift", "1,2"], "--shift: expected x,y,z in mm"),
        (["--camera", "nowhere.json"], "nowhere.json: expected JSON with"),
        (["--view", "0", "--camera", "nowhere.json"], "expected one of --view and --camera, found both"),
        (["--view", "0", "--output", "view.bmp"], "--output: expected a file that ends in .png, .h5, .mp4, .gif"),
    ],
)
def test_mistakes_in_pictures(checkpoints: list[Path], arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(checkpoints[0]), *arguments]) == 2
    assert text in " ".join(capsys.readouterr().err.split())


# -- the layout of viewers ----------------------------------------------------------------------------------------------


def test_a_ply_file_holds_the_gaussians(swept: Results, tmp_path: Path) -> None:
    plyfile = pytest.importorskip("plyfile")
    record, path = swept.records[0], tmp_path / "walker.ply"
    assert main(["export", str(swept.folder_of(record)), "--format", "ply", "--output", str(path)]) == 0
    vertex, arrays = plyfile.PlyData.read(str(path))["vertex"], swept.arrays(record)
    np.testing.assert_allclose(np.stack([vertex[name] for name in "xyz"], 1), arrays["means"])
    np.testing.assert_allclose(1 / (1 + np.exp(-vertex["opacity"])), arrays["opacities"], atol=1e-5)
    colours = 0.5 + 0.28209479177387814 * np.stack([vertex[f"f_dc_{channel}"] for channel in range(3)], 1)
    np.testing.assert_allclose(colours, arrays["colours"], atol=1e-5)
    np.testing.assert_allclose(np.stack([vertex[f"scale_{axis}"] for axis in range(3)], 1), arrays["log_scales"], atol=1e-5)
    turns = np.stack([vertex[f"rot_{part}"] for part in range(4)], 1)
    np.testing.assert_allclose(np.linalg.norm(turns, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose((turns * arrays["quaternions"]).sum(1), np.linalg.norm(arrays["quaternions"], axis=1), rtol=1e-5)
    with pytest.raises(InputError, match="expected a new file"):
        write_ply(path, arrays)


def test_gaussians_of_attenuation_have_a_ply_file_too(tmp_path: Path) -> None:
    plyfile = pytest.importorskip("plyfile")
    arrays = {
        "means": np.eye(3),
        "quaternions": np.eye(4)[:3] * 2,
        "log_scales": np.zeros((3, 3)),
        "log_amplitudes": np.log([1.0, 2.0, 4.0]),
    }
    vertex = plyfile.PlyData.read(str(write_ply(tmp_path / "a.ply", arrays)))["vertex"]
    np.testing.assert_allclose(1 / (1 + np.exp(-vertex["opacity"])), [0.25, 0.5, 1.0], atol=1e-5)
    with pytest.raises(InputError, match="--format ply: expected a run that kept Gaussians"):
        write_ply(tmp_path / "b.ply", {"volume": np.zeros(3)})


def test_the_page_holds_the_gaussians(swept: Results) -> None:
    import base64

    text = page(swept, [])
    (items,) = json.loads(text.split('id="facts">')[1].split("</script>")[0])["clouds"]
    assert [item["label"] for item in items] == ["walker-0: carve", "walker-5: carve"]
    words = text.split(f'id="cloud-{items[0]["cloud"]}">')[1].split("</script>")[0]
    table, arrays = np.frombuffer(base64.b64decode(words), "<f4").reshape(-1, 13), swept.arrays(swept.records[0])
    assert len(table) == len(arrays["means"]) == items[0]["count"]
    order = np.argsort(table[:, 12]), np.argsort(arrays["opacities"])
    np.testing.assert_allclose(table[order[0], 9:12], arrays["colours"][order[1]], atol=1e-6)
    assert np.linalg.norm(table[:, :3], axis=1).max() == pytest.approx(1, abs=1e-5)
