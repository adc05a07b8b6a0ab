"""Videos to frames to poses: cut and smaller pictures, units, up, headings, resuming after a kill, and mistakes."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import films
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from benchmark.api import Cameras, Frame, InputError, MissingDependency, Pose, about_z, count_frames, read_cameras
from benchmark.cli.main import main
from benchmark.datasets.multiview import MultiviewParams
from benchmark.datasets.multiview.body import RADIUS, TURN
from benchmark.datasets.multiview.case import load
from benchmark.photographs import preparation
from benchmark.photographs.cameras import read_camera_params
from benchmark.photographs.config import FramesConfig, read_config
from benchmark.photographs.footage import open_footage
from benchmark.photographs.preparation import averaged, open_preparation, prepare
from benchmark.photographs.sequence import Hulls, crop_indices, find_poses, headings, read_poses, smoothed
from benchmark.photographs.up_direction import up_from_cameras, up_from_hulls, upright_axes

h5py = pytest.importorskip("h5py")
av = pytest.importorskip("av")
pytestmark = pytest.mark.usefixtures("one_thread")
FRAMES = 16


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos of the walk by four cameras, whose world is turned and shifted."""
    folder = tmp_path_factory.mktemp("takes")
    films.record(folder, FRAMES, world=films.turned_world(films.rig(), TURNED, SHIFT))
    return folder


TURNED, SHIFT = Rotation.from_rotvec([0.4, 1.9, -0.7]).as_matrix(), np.array([300.0, -200.0, 50.0])


def prepared(takes: Path, name: str, **config: Any) -> Path:
    path = films.write_config(takes, image_directory=name, **config)
    prepare(open_preparation(path), lambda *_: None)
    return takes / name


@pytest.fixture(scope="module")
def half(takes: Path) -> Path:
    """The frames with half the pixels along an edge, and their poses."""
    folder = prepared(takes, "half", image_downsample=2, piece=7)
    assert main(["poses", str(folder), "--grid", "32"]) == 0
    return folder


# -- pictures and cameras -------------------------------------------------------------------------------------------------


def test_frames_are_the_mean_of_what_the_videos_show(half: Path) -> None:
    images, masks = films.seen(films.rig(), 9)
    frame = Frame.read(half, 9)
    blocks = (4, 18, 2, 24, 2)
    np.testing.assert_allclose(frame.masks, (masks / 255).reshape(blocks).mean((2, 4)), atol=0.6 / 255)
    over_black = (images * (masks[..., None] / 255)).reshape(*blocks, 3).mean((2, 4)) / 255
    np.testing.assert_allclose(frame.images, over_black, atol=5 / 255)  # colours of videos are rounded twice
    with h5py.File(half / "frames.h5") as file:
        assert file["images"].shape == (FRAMES, 4, 18, 24, 3) and file.attrs["fps"] == films.RATE
        with h5py.File(half / file["images"].virtual_sources()[0].file_name) as piece:
            assert piece["images"].compression == "gzip" and piece["images"].chunks == (1, 18, 24, 3)


def test_a_config_that_holds_no_camera_out_leaves_it_to_the_run(half: Path) -> None:
    """An empty list would mean that nobody is held out, and runs would have no scores."""
    assert read_cameras(half / "cameras.json").heldout is None
    assert load(MultiviewParams(path=str(half), views=2, heldout=1, size=8)).heldout is not None


def test_blocks_of_pixels_are_averaged_without_the_background() -> None:
    image = np.full((4, 5, 3), 200, np.uint8)
    image[:2, :2] = [[[100] * 3, [60] * 3], [[20] * 3, [20] * 3]]
    mask = np.zeros((4, 5), bool)
    mask[0, :2] = True  # half of the first block
    colours, shares = averaged(image, mask, 2)
    assert colours.shape == (2, 2, 3) and colours[0, 0].tolist() == [80] * 3 and not colours[1:].any()
    assert shares.tolist() == [[128, 0], [0, 0]]
    assert averaged(image, mask, 1)[0][0, 1].tolist() == [60] * 3


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_a_point_lands_on_the_same_spot_of_a_cut_and_smaller_picture(factor: int) -> None:
    """The middle of the block of pixels that it was seen in; by coordinates of edges, not of centres."""
    cameras, points = films.rig(), np.random.default_rng(0).uniform(-40, 60, (30, 3))
    corner = np.array([[4, 2], [0, 0], [7, 1], [3, 3]])
    before, _ = cameras.pixels(points)
    after, _ = cameras.cut(corner, factor).pixels(points)
    np.testing.assert_allclose((after + 0.5) * factor, before + 0.5 - corner[:, None], atol=1e-9)


def test_a_dot_is_found_where_its_camera_says(tmp_path: Path) -> None:
    """A bright spot at a known place in the world, through video, cut and averaging."""
    cameras, place = films.rig(4, (96, 128)), np.array([[20.0, -30.0, 70.0]])
    at = cameras.pixels(place)[0][:, 0]  # [camera, (x, y)]
    y, x = np.mgrid[:96, :128]
    for camera in range(4):
        disc = 255 * (np.hypot(x - at[camera, 0], y - at[camera, 1]) < 9)
        for name in ("video", "mask"):
            films.encode(tmp_path / f"{name}_{camera}.mp4", [np.repeat(disc[..., None], 3, -1).astype(np.uint8)] * 2)
    films.write_params(tmp_path / "camera_params.h5", cameras)
    folder = prepared(tmp_path, "dot", image_width=128, image_height=96, crop=[10, 5, 100, 86], image_downsample=3)
    frame = Frame.read(folder, 1)
    assert frame.masks.shape == (4, 28, 33)
    rows, columns = np.mgrid[:28, :33]
    for camera, mask in enumerate(frame.masks):
        middle = [(mask * columns).sum() / mask.sum(), (mask * rows).sum() / mask.sum()]
        np.testing.assert_allclose(middle, frame.cameras.pixels(place)[0][camera, 0], atol=0.05)


def test_metres_become_millimetres(tmp_path: Path) -> None:
    cameras = films.rig()
    for unit, factor, group in (("m", 1000.0, "camera_parameters/"), ("cm", 10.0, ""), ("mm", 1.0, "")):
        films.write_params(tmp_path / "p.h5", cameras, group, translation=cameras.translation[..., None] / factor)
        np.testing.assert_allclose(read_camera_params(tmp_path / "p.h5", unit, 4).translation, cameras.translation)
    with pytest.raises(InputError, match=r"translation: expected cameras 0.02 to 50 m apart, found 1\d\d\d m, .*camera_unit: mm"):
        read_camera_params(tmp_path / "p.h5", "m", 4)


def test_frames_are_taken_at_steps(takes: Path) -> None:
    folder = prepared(takes, "every third", frame_jump=3)
    with h5py.File(folder / "frames.h5") as file:
        assert file["source_frames"][:].tolist() == [0, 3, 6, 9, 12, 15] and file.attrs["fps"] == 10
    np.testing.assert_allclose(Frame.read(folder, 4).masks, films.seen(films.rig(), 12)[1] / 255)


def test_folders_of_images_are_as_good_as_videos(tmp_path: Path) -> None:
    from PIL import Image

    for moment in (0, 1):
        for camera, pictures in enumerate(zip(*films.seen(films.rig(), moment), strict=True)):
            for name, picture in zip(("video", "mask"), pictures, strict=True):
                (tmp_path / f"{name}_{camera}").mkdir(exist_ok=True)
                Image.fromarray(picture).save(tmp_path / f"{name}_{camera}" / f"img{moment + 9}.png")  # 9 and 10: in the order of numbers
    films.write_params(tmp_path / "camera_params.h5", films.rig())
    names = {f"{what}_fns": [f"{stem}_{camera}" for camera in range(4)] for what, stem in (("video", "video"), ("mask_video", "mask"))}
    frame = Frame.read(prepared(tmp_path, "images", **names), 1)
    images, masks = films.seen(films.rig(), 1)
    assert np.array_equal(frame.masks, masks / np.float32(255))
    np.testing.assert_allclose(frame.images, images / 255 * (masks[..., None] / 255), atol=1e-6)


# -- pieces ---------------------------------------------------------------------------------------------------------------


def test_a_killed_preparation_goes_on(takes: Path) -> None:
    whole = prepared(takes, "whole", piece=2)
    path = films.write_config(takes, image_directory="killed", piece=2)
    command = [sys.executable, "-m", "benchmark", "prepare-frames", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pieces = takes / "killed" / "frames"
    while len(list(pieces.glob("camera*"))) < 13 and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (takes / "killed" / "frames.h5").exists()
    done = {piece: piece.stat().st_mtime_ns for piece in pieces.glob("camera*")}
    assert 13 <= len(done) < 40
    with pytest.raises(InputError, match="found neither. Preparing them has not ended: give prepare-frames again"):
        Frame.read(takes / "killed", 0)
    assert main(["prepare-frames", str(path)]) == 0
    assert {piece: piece.stat().st_mtime_ns for piece in done} == done  # none of them is made again
    with h5py.File(whole / "frames.h5") as one, h5py.File(takes / "killed" / "frames.h5") as other:
        assert all(np.array_equal(one[name][:], other[name][:]) for name in ("images", "masks"))
    assert not [path for path in (takes / "killed").rglob(".*")]


def test_what_is_complete_is_left_alone(half: Path, takes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = films.write_config(takes, image_directory="half", image_downsample=2, piece=7)
    assert main(["prepare-frames", str(path)]) == 0 and "was complete" in capsys.readouterr().out
    films.write_config(takes, image_directory="half", image_downsample=3, piece=7)
    assert main(["prepare-frames", str(path)]) == 2
    assert "expected frames of the same settings (image_downsample), found frames of others" in capsys.readouterr().err
    assert Frame.read(half, 0).masks.shape == (4, 18, 24)


def test_a_piece_that_is_gone_is_no_black_picture(takes: Path) -> None:
    folder = prepared(takes, "gone", piece=16)
    (folder / "frames" / "camera-02-frame-000000.h5").unlink()
    with pytest.raises(InputError, match=r"camera-02-frame-000000.h5: expected a part of frames.h5, found no such file"):
        Frame.read(folder, 0)


# -- up and poses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("up", [(0.0, 0.0, 1.0), (0.0, 0.0, -1.0), (0.6, 0.0, 0.8), (0.0, -1.0, 0.0)])
def test_upright_axes(up: tuple[float, float, float]) -> None:
    axes = upright_axes(up)
    np.testing.assert_allclose(axes[:, 2], up)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) > 0


def test_level_cameras_tell_where_up_is() -> None:
    """In any world, with any part of the ring, and nearly where they are held at a slant."""
    cameras = films.turned_world(films.rig(8), TURNED, SHIFT)
    for some in ([0, 1], [0, 4], list(range(8))):
        up, roll = up_from_cameras(cameras.subset(some))
        np.testing.assert_allclose(up, TURNED[:, 2], atol=1e-6 if some != [0, 4] else 0.2)  # those look along one line: less is known
    assert roll < 1e-3
    slants = Rotation.from_rotvec(np.deg2rad(5) * np.array([[0, 0, sign] for sign in (1, -1) * 4])).as_matrix()
    slanted = Cameras(slants @ cameras.rotation, np.einsum("cij,cj->ci", slants, cameras.translation), cameras.intrinsics)
    up, roll = up_from_cameras(slanted)
    assert np.dot(up, TURNED[:, 2]) > np.cos(np.deg2rad(3)) and 3 < roll < 8
    on_its_side = Rotation.from_euler("z", 90, degrees=True).as_matrix() @ cameras.rotation[3]
    mixed = Cameras(
        np.concatenate([cameras.rotation[:3], on_its_side[None], cameras.rotation[4:]]), cameras.translation, cameras.intrinsics
    )
    with pytest.raises(InputError, match=r"camera 3: rotation: expected cameras held level .*found a roll of 65 degrees. Give `up"):
        up_from_cameras(mixed)


def test_hulls_tell_where_up_is() -> None:
    """A long body that goes around with its nose up: closed form."""
    angles = np.linspace(0, 3, 30)
    turns = [TURNED @ about_z(angle) @ Rotation.from_euler("y", -20, degrees=True).as_matrix() for angle in angles]
    covariances = np.array([turn @ np.diag([900.0, 100.0, 80.0]) @ turn.T for turn in turns])
    centres = np.array([TURNED @ about_z(angle) @ [0, -40, 5] for angle in angles])
    cameras = films.turned_world(films.rig(), TURNED, SHIFT)
    np.testing.assert_allclose(up_from_hulls(centres, covariances, cameras), TURNED[:, 2], atol=1e-6)
    with pytest.raises(InputError, match="--up hulls: expected a body that turns or walks around"):
        up_from_hulls(np.linspace(0, 300, 30)[:, None] * TURNED[:, 0], covariances[[0] * 30], cameras)


def test_headings_do_not_flip() -> None:
    """A thin body that turns twice, with the front told by its motion, else by its long end; frames without a long axis between."""
    angles = np.linspace(0.3, 0.3 + 4 * np.pi, 60)
    turns = np.array([about_z(angle) for angle in angles])
    covariances = turns @ np.diag([400.0, 50.0, 50.0]) @ turns.transpose(0, 2, 1)
    covariances[20:23] = 100 * np.eye(3)  # it rears up
    tail = np.zeros((3, 3, 3))
    tail[0, 0, 0] = -1000.0  # the long end is behind
    skews = np.einsum("fia,fjb,fkc,abc->fijk", turns, turns, turns, tail)
    still = Hulls(np.zeros((60, 3)), covariances, skews, 50.0)
    forwards = np.cumsum(turns[:, :, 0], 0)
    for centres, front, shift in ((forwards, "motion", 0.0), (-forwards, "motion", np.pi), (still.centres, "shape", np.pi)):
        found, told = headings(still, centres, (0.0, 0.0, 1.0))
        np.testing.assert_allclose(np.angle(np.exp(1j * (found - angles - shift))), 0, atol=1e-6)
        assert told == front and np.abs(np.diff(found)).max() < 0.5


def test_smoothing_keeps_parabolas_and_takes_noise_away() -> None:
    frames = np.arange(30.0)
    walk = np.stack([frames, 0.1 * frames**2], 1)
    np.testing.assert_allclose(smoothed(walk, 7), walk, atol=1e-9)
    noise = np.random.default_rng(0).normal(size=(30, 2))
    assert smoothed(noise, 7).std() < 0.75 * noise.std()
    assert np.array_equal(smoothed(walk, 1), walk) and len(smoothed(walk[:2], 7)) == 2


def test_crops_hold_everything_in_multiples_of_eight() -> None:
    volume = np.zeros((32, 32, 32), int)
    volume[3:6, 0:17, 30:32] = 1
    assert crop_indices(volume).tolist() == [[1, 9], [0, 24], [24, 32]]


def test_the_poses_are_those_of_the_walk(half: Path) -> None:
    """In the turned world; the body is no ellipsoid, so its long axis sways about its heading and its centre is not that of the trunk."""
    cameras = read_cameras(half / "cameras.json")
    np.testing.assert_allclose(cameras.up, TURNED[:, 2], atol=1e-6)
    poses = read_poses(half, cameras, FRAMES)
    assert poses is not None and poses.found.all() and poses.front == "motion" and poses.cameras == (0, 1, 2, 3)
    heading = TURN * np.arange(FRAMES)
    forward = TURNED @ np.stack([np.cos(heading), np.sin(heading), 0 * heading])
    cosine = np.einsum("if,fi->f", forward, poses.rotations[:, :, 0])
    off = np.rad2deg(np.arccos(cosine))
    assert off.max() < 20 and np.median(off) < 7  # of 24 x 18 pixels; a flip is 180
    ground = (poses.centres - SHIFT) @ TURNED
    place = RADIUS * np.stack([np.sin(heading), -np.cos(heading)], 1)
    assert np.linalg.norm(ground[:, :2] - place, axis=1).max() < 15 and 40 < ground[:, 2].mean() < 75
    with np.load(half / "center_rotation.npz") as stored:
        assert (
            stored["centers"].shape == (FRAMES, 3) and stored["angles"].shape == (FRAMES,) and stored["rotations"].shape == (FRAMES, 3, 3)
        )
    assert np.load(half / "volume_sum.npy").max() <= FRAMES


def test_poses_by_six_cameras_are_within_four_degrees() -> None:
    cameras, heading = films.rig(6), TURN * np.arange(9)
    masks = [films.seen(cameras, frame)[1] / np.float32(255) for frame in range(9)]
    poses, _ = find_poses(cameras, tuple(range(6)), lambda: iter(masks), grid_size=16)
    off = np.rad2deg(poses.angles - heading)
    assert np.abs(off).max() < 4 and abs(off.mean()) < 2
    ahead = np.stack([np.cos(heading), np.sin(heading)], 1)
    away = poses.centres[:, :2] - RADIUS * np.stack([ahead[:, 1], -ahead[:, 0]], 1)
    assert np.linalg.norm(away - 5.4 * ahead, axis=1).max() < 4  # [mm] the head is heavier than the tail: always as far ahead


def test_frames_without_a_hull_are_interpolated() -> None:
    cameras = films.rig()
    masks = [films.seen(cameras, frame)[1] / np.float32(255) for frame in range(5)]
    masks[2] = 0 * masks[2]
    poses, volume = find_poses(cameras, (0, 1, 2, 3), lambda: iter(masks), window=1, grid_size=16)
    assert poses.found.tolist() == [True, True, False, True, True] and volume.max() <= 4
    np.testing.assert_allclose(poses.centres[2], (poses.centres[1] + poses.centres[3]) / 2)
    with pytest.raises(InputError, match="expected silhouettes that agree .*found 1 of 3"):
        find_poses(cameras, (0, 1, 2, 3), lambda: iter(masks[1:3] + masks[2:3]))


# -- the dataset ----------------------------------------------------------------------------------------------------------


def test_a_prepared_set_is_a_scan_by_its_path(half: Path) -> None:
    """The same box in every frame, upright, and the body's trunk along x in the middle of it."""
    first, later = (load(MultiviewParams(path=str(half), frame=frame, views=4, heldout=0, size=16)) for frame in (2, 11))
    assert first.scan.geometry.volume_shape == later.scan.geometry.volume_shape and first.name == "half-2"
    assert first.scan.geometry.volume_extent == later.scan.geometry.volume_extent
    z, y, x = first.scan.geometry.volume_extent
    assert x > y and max(first.scan.geometry.volume_shape) == 16
    stored = read_poses(half, read_cameras(half / "cameras.json"), FRAMES)
    assert stored is not None
    np.testing.assert_allclose(first.facts["pose"]["centre"], stored.centres[2])
    level = load(MultiviewParams(path=str(half), frame=2, views=4, heldout=0, size=16, align=False))
    assert level.facts["pose"]["yaw"] == 0 and level.scan.geometry.volume_extent[1] >= y


def test_held_out_cameras_have_no_part_in_the_pose(half: Path, takes: Path) -> None:
    """The stored pose is by all cameras: with one of them held out, the frame's own silhouettes are asked."""
    ours = load(MultiviewParams(path=str(half), frame=3, views=(0, 1, 3), heldout=(2,), size=16))
    frame = Frame.read(half, 3)
    expected = Pose.estimate(frame.cameras.subset([0, 1, 3]), frame.masks[[0, 1, 3]])
    assert ours.facts["pose"]["centre"] == list(expected.centre)
    folder = prepared(takes, "held out", image_downsample=2, holdout_views=[2])
    assert main(["poses", str(folder), "--grid", "16"]) == 0
    case = load(MultiviewParams(path=str(folder), frame=3, views=3, heldout=1, size=16))
    poses = read_poses(folder, read_cameras(folder / "cameras.json"), FRAMES)
    assert case.heldout_views == (2,) and poses is not None and poses.cameras == (0, 1, 3)
    np.testing.assert_allclose(case.facts["pose"]["centre"], poses.centres[3])
    offer = MultiviewParams(path=str(folder), views="all").offer()
    assert offer.heldout == (2,) and offer.total == 4 and offer.frames is not None and offer.frames() == count_frames(folder) == FRAMES


def test_poses_of_other_cameras_are_refused(half: Path) -> None:
    cameras = read_cameras(half / "cameras.json")
    moved = dataclasses.replace(cameras, translation=cameras.translation + 1)
    with pytest.raises(InputError, match="expected poses of these frames and cameras, found those of others"):
        read_poses(half, moved, FRAMES)
    with pytest.raises(InputError, match="expected poses of these frames"):
        read_poses(half, cameras, FRAMES + 1)


def test_up_by_hulls_and_by_hand(half: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = (half / "center_rotation.npz").read_bytes()
    try:
        assert main(["poses", str(half), "--up", "hulls", "--grid", "16"]) == 0
        poses = read_poses(half, read_cameras(half / "cameras.json"), FRAMES)
        assert poses is not None and np.dot(poses.up, TURNED[:, 2]) > np.cos(np.deg2rad(6))
        given = ",".join(map(str, 2 * TURNED[:, 2]))
        assert main(["poses", str(half), f"--up={given}", "--smooth", "1", "--grid", "16"]) == 0
        poses = read_poses(half, read_cameras(half / "cameras.json"), FRAMES)
        assert poses is not None
        np.testing.assert_allclose(poses.up, TURNED[:, 2])
        assert main(["poses", str(half), "--up", "ceiling"]) == 2
        assert "--up: expected cameras, hulls or three numbers x,y,z, found 'ceiling'" in capsys.readouterr().err
    finally:
        (half / "center_rotation.npz").write_bytes(stored)


# -- mistakes -------------------------------------------------------------------------------------------------------------


def test_the_keys_of_pose_splatter_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = films.write_config(tmp_path, frame_jump=5, holdout_views=[1], volume_idx=[[0, 96], [16, 96], [25, 89]])
    config = read_config(path)
    assert (config.frame_jump, config.holdout_views, config.fps) == (5, (1,), 30)
    assert "not used here: ell, volume_idx, lr" in caplog.text
    as_yaml = tmp_path / "walk.yaml"
    as_yaml.write_text(json.dumps(json.loads(path.read_text()) | {"crop": [[0, 0, 8, 8]] * 4}))
    assert read_config(as_yaml).crops == ((0, 0, 8, 8),) * 4
    assert all(field.description for field in FramesConfig.model_fields.values())


@pytest.mark.parametrize(
    "change, text",
    [
        ({"image_downsampel": 2}, "image_downsampel: expected one of .*Did you mean 'image_downsample'"),
        ({"video_fns": None}, r"video_fns: expected a value \(a video, or a folder of images, for each camera\), found none"),
        ({"mask_video_fns": ["mask_0.mp4"] * 3}, "mask_video_fns: expected one for each of the 4 video_fns, found 3"),
        (
            {"video_fns": [f"video_{k}.mp4" for k in (0, 1, 2, 7)]},
            "video_7.mp4: expected a video, or a folder of images, found no such file",
        ),
        ({"frame_jump": 50}, f"frame_jump: expected less than the {FRAMES} frames of the videos, found 50"),
        ({"frame_jump": 0}, "frame_jump: expected greater than or equal to 1, found 0"),
        ({"image_width": 640}, "video_0.mp4: expected image_width: 640, found 48 pixels"),
        ({"holdout_views": [0, 4]}, r"holdout_views: expected different indices 0 .. 3"),
        ({"holdout_views": [0, 1, 2]}, r"all but two at most, found \[0, 1, 2\]"),
        ({"crop": [40, 0, 16, 16]}, r"crop: expected \[left, top, width, height\] within 48 x 36 pixels"),
        ({"crop": [[0, 0, 16, 16]] * 3 + [[0, 0, 8, 16]]}, "crop: expected pictures of one size"),
        ({"image_downsample": 40}, "image_downsample: expected at most 36, found 40"),
        ({"camera_fn": "none.h5"}, "none.h5: expected an HDF5 file with camera parameters, found no such file"),
        ({"adaptive_camera": True}, "adaptive_camera: expected false, found true"),
        ({"camera_unit": "inch"}, "camera_unit: expected one of 'm', 'cm' or 'mm', found 'inch'"),
        ({"up": [0, 0, 0]}, "up: expected three numbers, not all 0"),
    ],
)
def test_mistakes_in_the_config(takes: Path, change: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        prepared(takes, "mistaken", **change)
    assert not (takes / "mistaken" / "frames.h5").exists()


def test_cameras_in_another_order_than_the_videos(takes: Path, caplog: pytest.LogCaptureFixture) -> None:
    order = (1, 0, 2, 3)
    prepared(takes, "mixed", video_fns=[f"video_{k}.mp4" for k in order], mask_video_fns=[f"mask_{k}.mp4" for k in order])
    assert "of the extent of camera 0's silhouette: are cameras, videos and masks in the same order?" in caplog.text


@pytest.mark.parametrize(
    "change, text",
    [
        ({"rotation": None}, r"rotation: expected numbers \[4, 3, 3\], one camera for each video, found none"),
        ({"rotation": np.eye(3)}, r"rotation: expected numbers \[4, 3, 3\].*found shape \[3, 3\]"),
        ({"translation": np.zeros((3, 3))}, r"translation: expected numbers \[4, 3\].*found shape \[3, 3\]"),
        ({"intrinsic": np.full((4, 3, 3), b"x")}, r"intrinsic: expected numbers"),
        (
            {"rotation": films.rig().rotation * np.array([1, -1, 1])[:, None]},
            "camera 0: rotation: expected a rotation matrix, found a reflection",
        ),
        ({"rotation": films.rig().rotation * 2}, "camera 0: rotation: expected a rotation matrix"),
        ({"translation": np.full((4, 3), np.nan)}, "cameras.translation: expected finite numbers"),
    ],
)
def test_mistakes_in_the_cameras(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    films.write_params(tmp_path / "p.h5", films.rig(), **change)
    with pytest.raises(InputError, match=text):
        read_camera_params(tmp_path / "p.h5", "m", 4)
    (tmp_path / "p.h5").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="p.h5: expected an HDF5 file"):
        read_camera_params(tmp_path / "p.h5", "m", 4)


def test_videos_that_differ(takes: Path, tmp_path: Path) -> None:
    for path in takes.glob("*.*"):
        if path.suffix in (".mp4", ".h5"):
            (tmp_path / path.name).symlink_to(path)
    images, masks = films.seen(films.rig(), 0)
    (tmp_path / "mask_1.mp4").unlink()
    films.encode(tmp_path / "mask_1.mp4", [np.repeat(masks[1][..., None], 3, -1)] * 7)
    with pytest.raises(InputError, match=f"mask_1.mp4: expected {FRAMES} frames, as .*video_0.mp4 has, found 7"):
        prepared(tmp_path, "out")
    films.encode(tmp_path / "mask_1.mp4", [np.zeros((24, 24, 3), np.uint8)] * FRAMES)
    with pytest.raises(InputError, match=r"mask_1.mp4: expected 48 x 36 pixels, as .*video_1.mp4 has, found 24 x 24"):
        prepared(tmp_path, "out")
    films.encode(tmp_path / "mask_1.mp4", [np.zeros((36, 48, 3), np.uint8)] * FRAMES)
    for camera in (0, 2, 3):
        (tmp_path / f"mask_{camera}.mp4").unlink()
        (tmp_path / f"mask_{camera}.mp4").symlink_to(tmp_path / "mask_1.mp4")
    with pytest.raises(InputError, match="masks: expected pixels of at least 128, the object, found none in the first frame"):
        prepared(tmp_path, "out")


def test_damaged_videos(takes: Path, tmp_path: Path) -> None:
    whole = (takes / "video_2.mp4").read_bytes()
    path = tmp_path / "damaged.mp4"
    path.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="damaged.mp4: expected a video, found .*Invalid data"):
        open_footage(path)
    middle = bytearray(whole)
    start = whole.index(b"mdat") + 4
    length = int.from_bytes(whole[start - 8 : start - 4], "big")
    middle[start + length // 2 : start + length // 2 + 200] = bytes(200)
    path.write_bytes(middle)
    footage = open_footage(path)
    with pytest.raises(InputError, match=r"damaged.mp4: frame \d+: expected a frame that can be decoded"):
        list(footage.frames(range(footage.count)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: expected a video, or a folder of images .*found a folder without any"):
        open_footage(tmp_path / "empty")


def test_without_the_package_that_reads_videos(takes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingDependency, match=r"videos need av .install: pip install 'seed-ct\[photographs\]'"):
        open_footage(takes / "video_0.mp4")


def test_frames_can_be_taken_out_of_the_middle(takes: Path) -> None:
    """By the key frame before, with frames that were encoded out of order."""
    footage = open_footage(takes / "video_1.mp4")
    every = list(footage.frames(range(footage.count)))
    some = list(footage.frames(range(7, FRAMES, 4)))
    assert len(every) == FRAMES and all(np.array_equal(one, every[index]) for one, index in zip(some, range(7, FRAMES, 4), strict=True))
    assert preparation.SETTINGS not in [item.name for item in takes.iterdir()]
