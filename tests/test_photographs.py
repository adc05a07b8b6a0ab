"""Photographs: the synthetic sequence and its files, poses, scores, and runs from data to page."""

from __future__ import annotations

import dataclasses
import functools
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from balls import scanner
from pinholes import looking
from tiny import Watcher

from benchmark.api import Cameras, Case, Frame, InputError, MissingDependency, Pose, Run, Scan, about_z, read_cameras
from benchmark.audit.reevaluate import reevaluate
from benchmark.datasets.multiview import MultiviewParams
from benchmark.datasets.multiview.body import Capsule, Ellipsoid, parts
from benchmark.datasets.multiview.case import load
from benchmark.datasets.multiview.caster import cast
from benchmark.datasets.multiview.frames import drawn_frame, ring
from benchmark.execution.options import Options
from benchmark.fields import Splats, splat
from benchmark.methods.carve import CarveParams
from benchmark.methods.carve.colour import Photographs, carve_colours, coloured, extinction, intersection_over_union
from benchmark.methods.carve.hull import seen_first
from benchmark.methods.carve.network import OUTPUTS, Carver
from benchmark.methods.carve.reconstruct import found, reconstruct
from benchmark.methods.carve.training import Training
from benchmark.metrics import photographs
from benchmark.metrics.silhouette import iou, l1
from benchmark.photographs.cameras import write_cameras
from benchmark.plan.plan import Flags, make_plan
from benchmark.plugins.registry import registry
from benchmark.projection.rendering import rendered
from benchmark.records.budget import Budget
from benchmark.records.results import Results
from benchmark.report import splats as drawings
from benchmark.report.canvas import Picture, save, styled
from benchmark.report.page import page
from benchmark.sweep.sweep import Sweep

SMALL: dict[str, Any] = {"pixels": 32, "cameras": 9, "views": 6, "heldout": 3, "size": 16}
TINY: dict[str, Any] = {"voxels": 16, "channels": 4, "levels": 2, "networks": 1, "steps": 12, "learning_rate": 1e-2, "views": 3}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def walker() -> Case:
    """The first frame of the synthetic sequence."""
    return load(MultiviewParams(**SMALL))


# -- cameras, pictures, poses -------------------------------------------------------------------------------------------


def test_a_point_is_seen_where_the_geometrys_ray_passes() -> None:
    cameras, geometry = looking(skew=5.0)
    points = np.random.default_rng(0).uniform(-60, 60, (20, 3))
    pixels, depth = cameras.pixels(points)
    assert (depth > 0).all()
    for camera, (source, centre, u, v) in enumerate(geometry.vectors()):
        i, j, t = np.linalg.solve(np.stack([u, v, centre - source], 1), (points - source).T)
        np.testing.assert_allclose(i / t + (30 - 1) / 2, pixels[camera, :, 0], atol=1e-6)
        np.testing.assert_allclose((21 - 1) / 2 - j / t, pixels[camera, :, 1], atol=1e-6)  # the last row of the photograph is row 0


def test_the_caster_meets_surfaces() -> None:
    """Distances to a ball, an ellipsoid's tips and a capsule's sides and ends, from their definitions."""
    source, white = np.array([0.0, 0.0, 100.0]), np.ones(3)
    ball, down = Ellipsoid(np.zeros(3), np.eye(3), np.array([30.0, 20.0, 10.0]), white), np.array([[0.0, 0.0, -1.0]])
    slope = np.array([[30.0 * np.sqrt(1 - 0.99**2), 0.0, -(100.0 - 10.0 * 0.99)]])  # to the ellipse's point at height 9.9
    colours, hit = cast([ball], source, np.concatenate([down, slope / np.linalg.norm(slope), -down]))
    assert hit.tolist() == [True, True, False] and colours[0].max() > 0.9 and not colours[2].any()
    capsule = Capsule(np.array([-20.0, 0.0, 0.0]), np.array([20.0, 0.0, 0.0]), 5.0, white)
    edge = np.array([[x, y, 0.0] for x, y in ((24.9, 0), (25.1, 0), (0, 4.9), (0, 5.1), (23, 3.9), (23, 4.1))]) - source
    _, hit = cast([capsule], source * 1000, (edge - 999 * source) / np.linalg.norm(edge - 999 * source, axis=1, keepdims=True))
    assert hit.tolist() == [True, False, True, False, True, False]  # 23, 4 is on the round end: 3^2 + 4^2 = 5^2


def test_the_body_moves_and_keeps_its_parts() -> None:
    first, later = parts(0), parts(5)
    assert len(first) == len(later) == 14
    lengths = [[np.linalg.norm(part.end - part.start) for part in body if isinstance(part, Capsule)] for body in (first, later)]
    np.testing.assert_allclose(lengths[0][4:], lengths[1][4:])  # thighs and shanks do not stretch
    assert isinstance(first[0], Ellipsoid) and isinstance(later[0], Ellipsoid)
    assert np.linalg.norm(first[0].centre - later[0].centre) > 10


@pytest.mark.parametrize("frame", [0, 7])
def test_the_pose_is_where_the_body_is(frame: int) -> None:
    seen = drawn_frame(MultiviewParams(**SMALL, frame=frame))
    pose = Pose.estimate(seen.cameras, seen.masks)
    trunk = parts(frame)[0]
    assert isinstance(trunk, Ellipsoid)
    assert np.linalg.norm(np.array(pose.centre) - trunk.centre) < 20
    assert abs(abs(np.dot(about_z(pose.yaw)[:, 0], trunk.axes[:, 0])) - 1) < 0.02  # along the trunk


def test_moving_the_world_changes_the_pose_and_not_the_case() -> None:
    """Cameras and body turned and shifted together: other numbers in the camera file, the same photographs and rays."""
    seen = drawn_frame(MultiviewParams(**SMALL))
    shift, turn = np.array([300.0, -200.0, 50.0]), about_z(0.7)
    rotation = seen.cameras.rotation @ turn.T
    moved = Cameras(rotation, seen.cameras.translation - rotation @ shift, seen.cameras.intrinsics)
    poses = [Pose.estimate(cameras, seen.masks) for cameras in (seen.cameras, moved)]
    found = [cameras.in_frame(np.array(pose.centre), pose.turn) for cameras, pose in zip((seen.cameras, moved), poses, strict=True)]
    assert abs(np.angle(np.exp(1j * (poses[1].yaw - poses[0].yaw - 0.7)))) < 0.05
    np.testing.assert_allclose(found[0].positions, found[1].positions, atol=30)  # of 570 mm; the hull's grid is turned
    np.testing.assert_allclose(poses[1].centre, turn @ poses[0].centre + shift, atol=4)


# -- the dataset --------------------------------------------------------------------------------------------------------


def test_the_case_shows_the_body(walker: Case) -> None:
    geometry = walker.scan.geometry
    assert walker.scan.composite == "over" and geometry.projection_shape == (6, 32, 32) and walker.heldout.geometry.views == 3
    assert not set(walker.training_views) & set(walker.heldout_views) and walker.name == "walker-0"
    masks, colours = walker.scan.projections, walker.scan.colours
    assert 0.03 < masks.mean() < 0.3 and not colours[masks == 0].any() and colours.max() <= 1
    for colour, mask in zip(colours, masks, strict=True):
        low = np.nonzero(mask)[0].min()
        foot = colour[low : low + 3].sum((0, 1))
        assert foot[2] > 1.2 * foot[0]  # legs are blue and below: row 0 is the lowest


def write_hdf5(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with pytest.importorskip("h5py").File(path.with_suffix(".h5"), "w") as file:
        for name, values in arrays.items():
            file[name] = values


def write_zarr(path: Path, arrays: dict[str, np.ndarray], version: int = 3) -> None:
    group = pytest.importorskip("zarr").open_group(path.with_suffix(".zarr"), mode="w", zarr_format=version)
    for name, values in arrays.items():
        group.create_array(name, data=values, chunks=(1, *values.shape[1:]))


WRITERS: dict[str, Any] = {"hdf5": write_hdf5, "zarr": write_zarr, "zarr 2": functools.partial(write_zarr, version=2)}


def write_folder(folder: Path, params: MultiviewParams, kind: str = "hdf5", **changes: Any) -> Path:
    seen = drawn_frame(params)
    folder.mkdir()
    write_cameras(folder / "cameras.json", seen.cameras)
    arrays = {"images": np.round(seen.images * 255).astype(np.uint8)[None], "masks": np.round(seen.masks * 255).astype(np.uint8)[None]}
    WRITERS[kind](folder / "frames", {**arrays, **changes})
    return folder


@pytest.mark.parametrize("kind", WRITERS)
def test_a_folder_of_frames_is_the_same_case(tmp_path: Path, kind: str) -> None:
    params = MultiviewParams(**{**SMALL, "pixels": 24})
    folder = write_folder(tmp_path / "take", params, kind)
    case, drawn = load(MultiviewParams(**{**SMALL, "path": str(folder)})), load(params)
    assert case.name == "take-0" and case.heldout_views == drawn.heldout_views
    np.testing.assert_allclose(case.scan.projections, drawn.scan.projections, atol=0.6 / 255)
    inside = drawn.scan.projections == 1
    np.testing.assert_allclose(case.scan.colours[inside], drawn.scan.colours[inside], atol=0.6 / 255)
    spec = registry().datasets["multiview"]
    opens: Any = spec.opens["scan"]
    assert opens(folder) and not opens(tmp_path)


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"images": np.zeros((1, 9, 24, 24), np.uint8)}, r"images: expected uint8 \[frame, camera, row, column, 3\] with 9 cameras"),
        ({"masks": np.zeros((1, 9, 24, 20), np.uint8)}, "masks: expected shape"),
        ({"masks": np.zeros((1, 9, 24, 24), np.uint8)}, "mask of camera 0: expected the object in every photograph, found an empty mask"),
    ],
)
@pytest.mark.parametrize("kind", WRITERS)
def test_mistakes_in_frames(tmp_path: Path, changes: dict[str, Any], text: str, kind: str) -> None:
    folder = write_folder(tmp_path / "take", MultiviewParams(**{**SMALL, "pixels": 24}), kind, **changes)
    with pytest.raises(InputError, match=text):
        load(MultiviewParams(**{**SMALL, "path": str(folder)}))


def test_files_that_are_not_there_or_not_what_they_should_be(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "take", MultiviewParams(**{**SMALL, "pixels": 24}))
    with pytest.raises(InputError, match=r"frame: expected 0 .. 0, found 3"):
        load(MultiviewParams(**{**SMALL, "path": str(folder), "frame": 3}))
    (folder / "frames.h5").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="frames.h5: expected an HDF5 file"):
        load(MultiviewParams(**{**SMALL, "path": str(folder)}))
    (folder / "frames.zarr").mkdir()
    with pytest.raises(InputError, match="take: expected one of frames.h5 and frames.zarr, found both"):
        load(MultiviewParams(**{**SMALL, "path": str(folder)}))
    (folder / "frames.zarr").rmdir()
    (folder / "frames.h5").unlink()
    with pytest.raises(InputError, match="take: expected one of frames.h5 and frames.zarr, found neither"):
        load(MultiviewParams(**{**SMALL, "path": str(folder)}))
    (folder / "cameras.json").write_text('{"cameras": [{"rotation": 1}]}')
    with pytest.raises(InputError, match="cameras.json: expected JSON with .*found KeyError"):
        read_cameras(folder / "cameras.json")
    with pytest.raises(ValueError, match="which is not there"):
        MultiviewParams(path=str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="photographs have no X-ray noise"):
        MultiviewParams(photons=1e5)


@pytest.mark.parametrize("module, name", [("h5py", "frames.h5"), ("zarr", "frames.zarr")])
def test_without_the_package_that_reads_the_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> None:
    write_cameras(tmp_path / "cameras.json", ring(9, 24))
    (tmp_path / name).touch()
    monkeypatch.setitem(sys.modules, module, None)
    extra = {"h5py": "photographs"}.get(module, module)
    with pytest.raises(MissingDependency, match=rf"need {module} .install: pip install 'seed-ct\[{extra}\]'"):
        load(MultiviewParams(**{**SMALL, "path": str(tmp_path)}))


def test_a_zarr_group_that_is_damaged_or_none(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    folder = write_folder(tmp_path / "take", MultiviewParams(**{**SMALL, "pixels": 24}), "zarr")
    for chunk in (folder / "frames.zarr" / "images" / "c").rglob("0"):
        if chunk.is_file():
            chunk.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="frames.zarr: expected a zarr group, found .*decompression"):
        load(MultiviewParams(**{**SMALL, "path": str(folder)}))
    zarr.open_group(folder / "frames.zarr", mode="w")
    with pytest.raises(InputError, match="frames.zarr: images: expected uint8 .*found none"):
        load(MultiviewParams(**{**SMALL, "path": str(folder)}))
    (folder / "frames.zarr" / "zarr.json").unlink()
    with pytest.raises(InputError, match="frames.zarr: expected a zarr group, found No group"):
        load(MultiviewParams(**{**SMALL, "path": str(folder)}))


def test_pickles_in_a_zarr_group_are_not_opened(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    folder = write_folder(tmp_path / "take", MultiviewParams(**{**SMALL, "pixels": 24}), "zarr 2")
    images = folder / "frames.zarr" / "images"
    facts = json.loads((images / ".zarray").read_text())
    (chunk,) = [path for path in images.iterdir() if not path.name.startswith(".")]
    chunk.write_bytes(pickle.dumps(Touch(tmp_path / "HACKED")))
    for place in ({"compressor": {"id": "pickle"}}, {"compressor": None, "filters": [{"id": "pickle"}]}):
        (images / ".zarray").write_text(json.dumps({**facts, **place}))
        with pytest.raises(InputError, match="frames.zarr: expected a zarr group"):
            load(MultiviewParams(**{**SMALL, "path": str(folder)}))
    assert not (tmp_path / "HACKED").exists()


@dataclasses.dataclass
class Touch:
    """Leaves a file where it is unpickled."""

    path: Path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_cameras_that_are_none() -> None:
    cameras = ring(2, 32)
    with pytest.raises(InputError, match="camera 1: rotation: expected a rotation matrix"):
        Cameras(cameras.rotation * np.array([1, -1])[:, None, None], cameras.translation, cameras.intrinsics)
    with pytest.raises(InputError, match="camera 0: intrinsics: expected .*fx"):
        Cameras(cameras.rotation, cameras.translation, -cameras.intrinsics)
    with pytest.raises(InputError, match="cameras.translation: expected finite"):
        Cameras(cameras.rotation, cameras.translation * np.nan, cameras.intrinsics)


def test_a_camera_that_has_the_object_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = drawn_frame(MultiviewParams(**SMALL))
    about = np.diag([-1.0, 1.0, -1.0])  # camera 2 looks the other way
    rotation, translation = seen.cameras.rotation.copy(), seen.cameras.translation.copy()
    rotation[2], translation[2] = about @ rotation[2], about @ translation[2]
    turned = Frame(seen.name, Cameras(rotation, translation, seen.cameras.intrinsics), seen.images, seen.masks)
    monkeypatch.setattr("benchmark.datasets.multiview.case.open_frame", lambda params: turned)
    with pytest.raises(InputError, match="camera 2: expected the object in front of it .a positive depth., found a depth of -"):
        load(MultiviewParams(**{**SMALL, "views": (0, 2, 4, 6)}))


def test_colours_belong_to_photographs(walker: Case) -> None:
    scan = walker.scan
    with pytest.raises(InputError, match="scan.colours: expected .* of photographs, found none"):
        Scan(scan.projections, scan.geometry, composite="over")
    with pytest.raises(InputError, match="scan.colours: .*of line integrals"):
        Scan(scan.projections, scan.geometry, colours=scan.colours)
    with pytest.raises(InputError, match="scan.colours: expected values from 0 to 1"):
        Scan(scan.projections, scan.geometry, composite="over", colours=2 * scan.colours)
    other = Scan(scan.projections, scan.geometry, composite="over", colours=0.5 * scan.colours)
    assert other.digest != scan.digest


# -- scores -------------------------------------------------------------------------------------------------------------


def test_scores_of_silhouettes() -> None:
    true, found = np.zeros((2, 4, 4)), np.zeros((2, 4, 4))
    true[0, :2], found[0, 1:3] = 1, 0.7
    assert iou(found, true, (found, true)) == 4 / 12
    assert iou(found, true, (0 * found, 0 * true)) is None and l1(found, true, (0 * found, 0 * true)) is None
    colours, others = np.zeros((6, 4, 4)), np.zeros((6, 4, 4))
    colours[0], others[3] = 0.3, 0.6  # red of the first view everywhere; red of the second, where there is no silhouette
    assert l1(colours, others, (found, true)) == pytest.approx(0.3 / 3)
    seen = photographs.Seen(np.moveaxis(colours.reshape(2, 3, 4, 4), 1, -1), true)
    assert np.array_equal(seen.stack(), colours)


def test_a_volume_hides_what_is_behind_it(walker: Case) -> None:
    volume = np.full(walker.scan.geometry.volume_shape, 0.01, np.float32)
    sums, hidden = (rendered(volume, walker.scan.geometry, kind) for kind in ("sum", "over"))
    np.testing.assert_allclose(hidden, 1 - np.exp(-sums), atol=1e-6)


def test_extinction_is_as_opaque_as_its_gaussian() -> None:
    from benchmark.fields import MixtureProjector

    _, geometry = looking((33, 33))
    one = Splats(torch.zeros(1, 3), torch.eye(4)[:1], torch.full((1, 3), 40.0).log(), torch.tensor([0.6]), torch.ones(1, 3))
    alpha, depth = splat(one, geometry, [0])[0, ..., 3], MixtureProjector(geometry)(extinction(one), [0])[0]
    assert abs(float(alpha.max()) - 0.6) < 0.01 and abs(float(1 - torch.exp(-depth.max())) - 0.6) < 0.01


# -- the method ---------------------------------------------------------------------------------------------------------


def test_untrained_gaussians_have_the_photographs_colours(walker: Case) -> None:
    params = CarveParams(**TINY)
    carving = carve_colours(walker.scan, params)
    with torch.no_grad():
        found = coloured(Carver(params, 3)(carving))
    torch.testing.assert_close(found.colours, carving.colours[:, carving.mask].t().clamp(0.02, 0.98), rtol=1e-3, atol=1e-3)
    assert found.opacities.unique().tolist() == [0.5] and len(found.means) == int(carving.mask.sum()) > 50


def test_cameras_see_first_what_no_voxel_hides() -> None:
    """A plate of five voxels' thickness, seen from +x and from -x."""
    mask = torch.zeros(9, 9, 9, dtype=torch.bool)
    mask[:, :, 2:7] = True
    geometry = scanner(views=2, arc=360.0, volume_shape=(9, 9, 9), volume_spacing=(4.0, 4.0, 4.0))
    front, back = (seen[4, 4].tolist() for seen in seen_first(mask, geometry))
    assert front == [False] * 5 + [True] * 2 + [False] * 2  # within a diagonal of the face
    assert back == front[::-1]


def test_hidden_cameras_colour_less(walker: Case) -> None:
    """The back of a body seen by all cameras: with less weight of those behind it, colours are nearer to the photographs."""
    errors = []
    for occluded in (1.0, 0.1):
        params = CarveParams(**{**TINY, "occluded": occluded, "networks": 0})
        gaussians: Any = found(Carver(params, 3), carve_colours(walker.scan, params)).gaussians
        shown = photographs.rendered({name: part.numpy() for name, part in gaussians._asdict().items()}, walker.scan)
        inside = (shown.silhouettes > 0.5) & (walker.scan.projections > 0.5)
        errors.append(np.abs(shown.colours - walker.scan.colours)[inside].mean())
    assert errors[1] < 0.97 * errors[0]


def test_training_reaches_every_part(walker: Case) -> None:
    params = CarveParams(**{**TINY, "norm": "group", "bottleneck": 6})
    training = Training([Photographs(walker.scan, walker.scan, params)], params, 0)
    before = {name: tensor.clone() for name, tensor in training.carver.named_parameters()}
    for _ in range(4):
        training.step()
    assert [name for name, tensor in training.carver.named_parameters() if torch.equal(tensor, before[name])] == []


@pytest.mark.parametrize("level", [-1000.0, 1000.0])
def test_gaussians_that_are_all_opaque_or_all_transparent_come_back(walker: Case, level: float) -> None:
    params = CarveParams(**{**TINY, "learning_rate": 3e-3})
    training = Training([Photographs(walker.scan, walker.scan, params)], params, 0)
    bias: Any = training.carver.head[-1].bias
    with torch.no_grad():
        bias[OUTPUTS - 4] = level  # of the level: before it quaternion and log scales, behind it the offset
    carving: Any = training.examples[0].carving
    assert not bool(coloured(training.carver(carving)).opacities.frac().any())
    for _ in range(3):
        training.step()
    assert bias[OUTPUTS - 4].abs().item() < abs(level)


def test_photographs_are_fitted_the_same_on_any_device(walker: Case, device: str) -> None:
    if device == "cpu":
        pytest.skip("this is what the others are compared with")
    params = CarveParams(**{**TINY, "steps": 2, "learning_rate": 1e-3})
    found, expected = (reconstruct(walker.scan, params, Run(device=where)).volume for where in (device, "cpu"))
    assert np.linalg.norm(found - expected) <= 1e-2 * np.linalg.norm(expected) > 0


def test_the_soft_overlap_is_the_hard_one_for_masks() -> None:
    one, other = torch.zeros(2, 4, 4), torch.zeros(2, 4, 4)
    one[0, :2], other[0, 1:3] = 1, 1
    assert float(intersection_over_union(one, other)) == pytest.approx(4 / 12)
    assert float(intersection_over_union(one, one)) == 1.0


def test_the_body_is_fitted(walker: Case) -> None:
    """Held-out cameras, which it never saw, see more of it than of the hull."""
    scores = []
    for steps in (0, 40):
        result = reconstruct(walker.scan, CarveParams(**{**TINY, "steps": 40}), Run(budget=Budget(steps=steps)))
        seen, true = photographs.rendered(result.arrays, walker.heldout), photographs.seen(walker.heldout)
        pair = (seen.silhouettes, true.silhouettes)
        scores.append((l1(seen.stack(), true.stack(), pair), iou(seen.stack(), true.stack(), pair)))
    assert scores[1][0] < 0.5 * scores[0][0] and scores[1][1] > 0.45
    assert result.volume.shape == walker.scan.geometry.volume_shape and result.volume.max() > 0 and result.info["gaussians"] > 50


def test_when_no_gaussian_is_left_the_error_says_so(walker: Case) -> None:
    with pytest.raises(InputError, match="at least one Gaussian, found none left"):
        reconstruct(walker.scan, CarveParams(**{**TINY, "prune": 1.0}), Run())


def test_masks_that_are_empty(walker: Case) -> None:
    masks = np.array(walker.scan.projections)
    masks[1] = 0
    with pytest.raises(InputError, match="silhouettes: .*in every view, found none in 1 of 6 views, the first is view 1"):
        reconstruct(Scan(masks, walker.scan.geometry, composite="over", colours=walker.scan.colours), CarveParams(**TINY), Run())


# -- from data to page --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Two methods on photographs, one of which does not understand them."""
    output = tmp_path_factory.mktemp("swept")
    sets = [f"carve.{key}={value}" for key, value in {**TINY, "steps": 4}.items()]
    sets += [f"multiview.{key}={SMALL[key]}" for key in ("pixels", "cameras", "heldout")]
    content = {"datasets": ["multiview"], "methods": ["carve", "fdk"], "output": str(output), "size": [16], "views": [6]}
    plan = make_plan(registry(), content, Flags(sets=tuple(sets)))
    Sweep(registry(), plan, Options(device="cpu", in_process=True, checkpoints=output / "runs"), Watcher()).run()
    return Results(output)


def test_methods_that_do_not_understand_photographs_are_skipped(swept: Results) -> None:
    ours, other = swept.records
    assert (ours.status, ours.reason) == ("ok", "") and other.status == "skipped"
    assert other.reason == "understands line integrals; the views of this scan are silhouettes and colours"


def test_held_out_cameras_are_scored(swept: Results, walker: Case) -> None:
    metrics = swept.records[0].metrics
    assert {f"{what}_{name}" for what in ("projection", "fit") for name in ("iou", "l1", "psnr", "ssim")} <= set(metrics)
    assert 0.2 < metrics["projection_iou"] < 1 and 5 < metrics["projection_psnr"] < 40 and "volume_psnr" not in metrics
    assert swept.case(swept.records[0]).load().digest == walker.digest  # as the dataset made it, colours included
    assert set(photographs.PARTS) | {"hull", "latent"} == set(swept.arrays(swept.records[0]))


def test_scores_can_be_computed_again(swept: Results) -> None:
    (evaluation,) = reevaluate(swept, list(registry().metrics.values()))
    assert evaluation.after is evaluation.before and not evaluation.problem


def test_the_page_shows_gaussians_and_photographs(swept: Results, tmp_path: Path) -> None:
    section = "multiview, 16 voxels, no added noise"
    with styled():
        drawn = [(name, caption, save(figure, tmp_path, name)) for name, caption, figure in drawings.pictures(swept, swept.records[0])]
    assert [name for name, _, _ in drawn] == ["slices", "photographs"]
    for path in tmp_path.iterdir():
        (swept.folder / path.name).write_bytes(path.read_bytes())
    shown = [Picture(section, name, caption, tuple(swept.folder / path.name for path in files), True) for name, caption, files in drawn]
    text = page(swept, shown)
    assert text.count('src="data:image/png;base64,') == 2 and "Held-out photographs" in text and "visual hull" in text
    assert json.loads(text.split('id="facts">')[1].split("</script>")[0])["viewers"]
    assert list(drawings.pictures(swept, swept.records[1])) == []
