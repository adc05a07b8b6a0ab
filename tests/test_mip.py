"""Maximum projections through the harness: cameras, the dataset mip, and who is given such scans."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from tiny import sweep
from typer.testing import CliRunner

from benchmark.api import Case, InputError, MethodSpec, Scan, Voxels
from benchmark.cli import main
from benchmark.datasets.mip import MipParams
from benchmark.datasets.mip.case import load as load_mip
from benchmark.datasets.mip.neuron import SIDE, Tubes, grown, neuron, profile
from benchmark.exchange.scan_export import export_scan
from benchmark.exchange.volume_import import check_fit
from benchmark.execution.eligibility import skip_reason
from benchmark.execution.options import Options
from benchmark.fields.novel_views import NovelField
from benchmark.plugins.registry import load
from benchmark.projection.rays import view_rays
from benchmark.projection.rendering import rendered
from benchmark.records.record import RunSpec
from benchmark.records.results import Results
from benchmark.records.store import Store
from benchmark.scan.viewpoints import AXES, camera_geometry, orbit_directions
from benchmark.storage import cache
from benchmark.validate.setup import Setup

BOX: dict[str, Any] = {"volume_shape": (10, 20, 30), "volume_spacing": (3.0, 2.0, 1.0)}
FEW: dict[str, Any] = {"size": 16, "views": 5, "heldout": 3}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache folder of this test's own (the kernels stay where they are)."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(cache, "cache_folder", lambda: folder)
    return folder


# -- cameras --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field_of_view", [None, np.deg2rad(20), np.deg2rad(90)])
def test_every_camera_sees_the_whole_ball_around_the_box(field_of_view: float | None) -> None:
    directions = np.concatenate([AXES, -AXES, orbit_directions(np.linspace(0, 6, 5), 0.7)])
    shadow = camera_geometry(directions, 64, field_of_view, **BOX).shadow()
    assert (shadow > -32).all() and (shadow < 32).all()
    assert shadow.max() > 20  # and little else


def test_pictures_along_the_axes_show_x_to_the_right_and_y_or_z_up() -> None:
    geometry = camera_geometry(AXES, 64, None, **BOX)
    unit = geometry.vectors()[:, 2:] / np.linalg.norm(geometry.vectors()[:, 2:], axis=-1, keepdims=True)
    np.testing.assert_allclose(unit[0], [[1, 0, 0], [0, 1, 0]], atol=1e-12)
    np.testing.assert_allclose(unit[1], [[1, 0, 0], [0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(unit[2], [[0, 1, 0], [0, 0, 1]], atol=1e-12)


def test_orthographic_rays_are_parallel_and_perspective_ones_span_the_field_of_view() -> None:
    ends = torch.tensor([[0, 0, 0], [0, 63, 63]])
    rays = view_rays(camera_geometry(AXES[:1], 64, None, **BOX), pixels=ends).directions
    assert float((rays[0] - rays[1]).norm()) < 1e-3
    row = torch.tensor([[0, 31, 0], [0, 31, 63]])
    one, other = view_rays(camera_geometry(AXES[:1], 64, np.deg2rad(60), **BOX), pixels=row).directions.double()
    assert abs(np.rad2deg(np.arccos(float(one @ other))) - 60) < 1.5  # from pixel centre to pixel centre


@pytest.mark.parametrize(
    ("directions", "field_of_view", "message"),
    [
        (np.zeros((1, 3)), None, "a length that is not 0"),
        (np.zeros((0, 3)), None, "at least one"),
        (AXES, 4.0, "field_of_view: expected more than 0 and less than 180 degrees, found 229"),
    ],
)
def test_cameras_that_are_none(directions: np.ndarray, field_of_view: float | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        camera_geometry(directions, 8, field_of_view, **BOX)


# -- what is looked at ----------------------------------------------------------------------------------------------------


def test_maxima_of_voxels_are_those_of_the_array_along_its_axes() -> None:
    values = np.random.default_rng(0).random((10, 20, 30)).astype(np.float32)
    geometry = camera_geometry(AXES, 400, None, **BOX)
    images = Voxels(values, (3.0, 2.0, 1.0)).maxima(geometry, 1)
    i, j = (np.arange(400) - 199.5) * geometry.detector_pitch[1], (np.arange(400) - 199.5) * geometry.detector_pitch[0]
    for image, axis in zip(images, range(3), strict=True):
        flat, (down, across) = values.max(axis), [axis_ for axis_ in range(3) if axis_ != axis]
        rows = np.floor(j / BOX["volume_spacing"][down] + BOX["volume_shape"][down] / 2).astype(int)
        columns = np.floor(i / BOX["volume_spacing"][across] + BOX["volume_shape"][across] / 2).astype(int)
        inside = ((rows >= 0) & (rows < flat.shape[0]))[:, None] & ((columns >= 0) & (columns < flat.shape[1]))
        expected = np.where(inside, flat[rows.clip(0, flat.shape[0] - 1)][:, columns.clip(0, flat.shape[1] - 1)], 0)
        assert (image == expected).mean() > 0.99  # but for rays along a face
    with pytest.raises(InputError, match="sub_rays"):
        Voxels(values, (3.0, 2.0, 1.0)).maxima(geometry, 0)


def test_maxima_of_tubes_are_those_of_their_volume() -> None:
    """Closed form against the largest of many points along each ray."""
    tubes, geometry = neuron(3), camera_geometry(AXES, 14, np.deg2rad(50), volume_shape=(8,) * 3, volume_spacing=(SIDE / 8,) * 3)
    rays, t = view_rays(geometry), np.arange(0, 1.2 * SIDE, 0.8)
    nearest = geometry.source_to_origin - 0.6 * SIDE
    points = rays.origins[:, None].numpy() + (nearest + t)[:, None] * rays.directions[:, None].numpy()
    most = np.zeros(len(rays))
    for start, end, radius, glow in zip(tubes.starts, tubes.ends, tubes.radii, tubes.brightness, strict=True):
        along = end - start
        share = np.clip((points - start) @ along / max(along @ along, 1e-9), 0, 1)
        apart = np.linalg.norm(points - start - share[..., None] * along, axis=-1).min(1)
        most = np.maximum(most, glow * profile(apart / radius))
    np.testing.assert_allclose(tubes.maxima(geometry, 1).ravel(), most, atol=0.04)


def test_a_ball_of_light_is_what_its_profile_says() -> None:
    ball = Tubes(np.zeros((1, 3)), np.zeros((1, 3)), np.array([10.0]), np.array([0.5]))
    geometry = camera_geometry(AXES, 120, None, volume_shape=(12,) * 3, volume_spacing=(5.0,) * 3)
    image = ball.maxima(geometry, 1)[0]
    apart = np.hypot(*np.meshgrid(*[(np.arange(120) - 59.5) * geometry.detector_pitch[0]] * 2))
    np.testing.assert_allclose(image, 0.5 * np.clip(1.5 - apart / 10, 0, 1), atol=1e-3)
    volume = ball.averaged(geometry)
    radii = np.linspace(0, 15, 3000)
    mass = np.trapezoid(4 * np.pi * radii**2 * 0.5 * np.clip(1.5 - radii / 10, 0, 1), radii)
    assert abs(float(volume.sum()) * 125 / mass - 1) < 0.02
    with pytest.raises(InputError, match="sub_rays"):
        ball.maxima(geometry, 0)


def test_a_neuron_is_one_tree_inside_the_box_and_its_seed_decides() -> None:
    tree, dendrite = grown(0)
    assert (tree.parents[1:] < np.arange(1, len(tree.parents))).all() and tree.parents[0] == -1
    assert (np.abs(tree.positions).max(0) + 1.5 * tree.radii.max() < SIDE / 2 + 8).all()
    assert set(dendrite) == set(range(6))
    assert (grown(0)[0].positions == tree.positions).all() and len(grown(1)[0].positions) != len(tree.positions)
    tubes = neuron(0)
    reach = np.abs(np.concatenate([tubes.starts, tubes.ends])).max(1) + 1.5 * np.tile(tubes.radii, 2)
    assert reach.max() < SIDE / 2  # nothing is cut by the faces


# -- the dataset ----------------------------------------------------------------------------------------------------------


def test_the_case_of_the_neuron() -> None:
    case = load_mip(MipParams(**FEW))
    geometry, heldout = case.scan.geometry, case.heldout
    assert case.scan.composite == "max" and heldout is not None and heldout.composite == "max"
    assert geometry.views == 5 and geometry.detector_shape == (24, 24) and case.scan.length_unit == "um"
    assert len(case.heldout_views) == heldout.geometry.views == 3
    assert case.truth is not None and case.truth.shape == (16, 16, 16) and 0.8 < case.truth.max() <= 1
    directions = geometry.vectors()[:, 0] / np.linalg.norm(geometry.vectors()[:, 0], axis=1, keepdims=True)
    np.testing.assert_allclose(directions[:3], AXES, atol=1e-12)
    np.testing.assert_allclose(directions[3:, 2], np.sin(np.deg2rad(20)))
    again = rendered(case.truth, heldout.geometry, "max")
    assert np.corrcoef(again.ravel(), heldout.projections.ravel())[0, 1] > 0.9


def test_views_count_all_cameras_and_a_list_names_the_orbits() -> None:
    def directions(**values: Any) -> tuple[np.ndarray, tuple[int, ...]]:
        case = load_mip(MipParams(**{**FEW, "size": 6, "sub_rays": 1, **values}))
        return case.scan.geometry.vectors()[:, 0], case.training_views

    assert len(directions(views=2)[0]) == 2 and directions(views=2)[1] == ()
    assert len(directions(views=4, orthogonal=False)[0]) == 4 and directions(views=4, orthogonal=False)[1] == (0, 180, 360, 540)
    sources, indices = directions(views=(0, 180))
    assert indices == (0, 180)
    assert abs(sources[1] / np.linalg.norm(sources[1]) @ [0, 1, 0] - np.cos(np.deg2rad(20))) < 1e-9


@pytest.mark.parametrize("camera", ["orthographic", "perspective"])
def test_pictures_of_any_height_and_width(camera: Any) -> None:
    """Square pixels: the shorter edge sees the whole ball, the longer one more; what both see is the same."""
    wide, square = (load_mip(MipParams(**FEW, camera=camera, detector=pixels)).scan for pixels in ((20, 30), 20))
    assert wide.geometry.detector_shape == (20, 30) and wide.projections.shape == (5, 20, 30)
    assert wide.geometry.detector_pitch == pytest.approx(square.geometry.detector_pitch)
    np.testing.assert_allclose(wide.projections[:, :, 5:25], square.projections, atol=2e-3)
    assert not wide.projections[:, :, :4].any()


def test_a_perspective_camera_is_nearer() -> None:
    near, far = (load_mip(MipParams(**FEW, camera=camera)).scan.geometry for camera in ("perspective", "orthographic"))
    assert near.source_to_origin < 10 * SIDE < far.source_to_origin


def stack_file(folder: Path, values: np.ndarray, name: str = "stack.tif") -> str:
    tifffile.imwrite(folder / name, values, photometric="rgb" if values.ndim == 4 else "minisblack")
    return str(folder / name)


def test_a_stack_keeps_its_proportions_and_its_brightest_voxel_is_one(tmp_path: Path) -> None:
    values = np.full((6, 20, 40), 100, dtype=np.uint16)
    values[2, 4:9, 10:15] = 600
    values[0, 0, 0] = 50  # below the background
    case = load_mip(MipParams(**FEW, path=stack_file(tmp_path, values), spacing=(2.0, 1.0, 1.0), background=100.0, unit="px"))
    assert case.scan.geometry.volume_shape == (5, 8, 16) and case.scan.geometry.volume_extent == (12, 20, 40)
    assert case.truth is not None and case.truth.min() == 0 and case.scan.projections.max() == 1 and case.scan.length_unit == "px"
    assert load_mip(MipParams(**FEW, path=stack_file(tmp_path, values))).scan.geometry.volume_extent == (6, 20, 40)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((8, 8), dtype=np.uint8), r"stack\.tif: expected three axes: grey pages of one shape, found shape \(8, 8\)"),
        (np.zeros((4, 8, 8, 3), dtype=np.uint8), r"stack\.tif: expected three axes: grey pages of one shape, found shape \(4, 8, 8, 3\)"),
        (np.zeros((4, 8, 8), dtype=np.uint8), r"expected finite voxels, some brighter than the background \(0\), found at most 0"),
        (np.full((4, 8, 8), np.nan, dtype=np.float32), "expected numbers in each plane"),
    ],
)
def test_stacks_that_are_none(values: np.ndarray, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        load_mip(MipParams(**FEW, path=stack_file(tmp_path, values)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"photons": 1e4}, "photons, electronic: expected none"),
        ({"path": "nowhere.tif"}, "path: expected a file or folder, found 'nowhere.tif'"),
        ({"field_of_view": 180}, "less than 180"),
        ({"elevation": 90}, "less than 90"),
        ({"detector": [0, 20]}, "greater than or equal to 1"),
    ],
)
def test_impossible_parameters(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MipParams(**values)


def test_a_spacing_belongs_to_a_stack() -> None:
    with pytest.raises(InputError, match="mip.spacing: expected none without a path"):
        load_mip(MipParams(**FEW, spacing=2.0))


# -- through the harness --------------------------------------------------------------------------------------------------


def tiny_case() -> Case:
    return load_mip(MipParams(**{**FEW, "size": 8, "sub_rays": 1}))


def run_spec(method: str) -> RunSpec:
    return RunSpec(dataset="mip", dataset_params={}, method=method, method_params={})


def test_a_method_that_says_nothing_is_skipped_and_never_sees_maxima() -> None:
    silent = MethodSpec(name="silent", target=lambda *_: pytest.fail("it was called"))
    case = tiny_case()
    reason = skip_reason(silent, run_spec("silent"), case)
    assert reason == "understands line integrals; the views of this scan are maxima along the rays"
    knowing = dataclasses.replace(silent, composites=("max",))
    assert skip_reason(knowing, run_spec("silent"), case) == ""
    line_integrals = dataclasses.replace(case, scan=dataclasses.replace(case.scan, composite="sum"), heldout=None)
    assert skip_reason(knowing, run_spec("silent"), line_integrals).startswith("understands maxima along the rays; the views")


def test_who_understands_maxima_among_the_methods_of_this_project() -> None:
    understood = {name: spec.composites for name, spec in load().methods.items()}
    assert {name for name, kinds in understood.items() if "max" in kinds} == {"gaussians", "naf", "zerorf"}
    assert all("sum" in kinds for kinds in understood.values())


def test_the_kind_of_views_is_part_of_a_scans_identity_and_of_a_stored_case(tmp_path: Path) -> None:
    case = tiny_case()
    scan = case.scan
    assert dataclasses.replace(scan, composite="sum").digest != scan.digest
    assert Scan(scan.projections, scan.geometry, length_unit="um").digest == dataclasses.replace(scan, composite="sum").digest
    store = Store(tmp_path / "results")
    store.prepare()
    store.write_case(case, "mip", {})
    folder = tmp_path / "results" / "cases" / case.digest
    from benchmark.records.results import StoredCase

    again = StoredCase(folder).load()
    assert again.digest == case.digest and again.scan.composite == "max"
    facts = json.loads((folder / "case.json").read_text())
    del facts["composite"], facts["content_digest"]  # as older folders are
    (folder / "case.json").write_text(json.dumps(facts))
    assert StoredCase(folder).composite == "sum"


def test_a_case_of_two_kinds_is_none() -> None:
    case = tiny_case()
    assert case.heldout is not None
    with pytest.raises(InputError, match="heldout: expected maxima along the rays, as in the scan, found line integrals"):
        dataclasses.replace(case, heldout=dataclasses.replace(case.heldout, composite="sum"))


def test_what_line_integrals_are_needed_for_refuses_maxima(tmp_path: Path) -> None:
    case = tiny_case()
    for act in (lambda: Setup.of(case), lambda: export_scan(case, "folder", tmp_path / "new")):
        with pytest.raises(InputError, match="expected line integrals, found maxima along the rays"):
            act()
    assert case.truth is not None
    with pytest.raises(InputError, match="do not determine the orientation of a volume. Import the volume --as-is"):
        check_fit(case.truth, case)


GAUSSIANS = {"gaussians": {"steps": 40, "gaussians": 150, "tv_block": 8}}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """One sweep over everything: gaussians fits, fdk and an outside method that says nothing are skipped."""
    folder = tmp_path_factory.mktemp("swept")
    options = Options(device="cpu", in_process=True, checkpoints=folder / "runs")
    sweep(folder, GAUSSIANS, "fdk", "grey", options=options, datasets=[{"mip": {"heldout": 2}}], size=12, views=6)
    return Results.open(folder)


def test_one_table_holds_all(swept: Results) -> None:
    records = {record.spec.method: record for record in swept.records}
    assert records["gaussians"].status == "ok", records["gaussians"].reason + records["gaussians"].log_tail
    for name in ("fdk", "grey"):
        assert (records[name].status, records[name].reason.split(";")[0]) == ("skipped", "understands line integrals")
    metrics = records["gaussians"].metrics
    case, volume = swept.case(records["gaussians"]), swept.volume(records["gaussians"])
    assert case is not None and case.heldout is not None and case.heldout_geometry is not None and volume is not None
    difference = rendered(volume, case.heldout_geometry, "max") - case.heldout
    psnr = 10 * np.log10(float(case.heldout.max()) ** 2 / float(np.mean(difference.astype(np.float64) ** 2)))
    assert metrics["projection_psnr"] == pytest.approx(psnr, abs=1e-3)
    assert metrics["volume_psnr"] is not None and metrics["volume_psnr"] > 20


def test_the_checkpoint_shows_maxima_from_other_angles(swept: Results) -> None:
    record = next(record for record in swept.records if record.spec.method == "gaussians")
    path = swept.folder_of(record) / "checkpoint.pt"
    field = NovelField(path)
    views, geometry = field.views(np.deg2rad([0.0, 90.0]))
    assert field.composite == "max" and views.shape == (2, 18, 18) and geometry.view_vectors is None
    volume, fine = field.volume(60)
    np.testing.assert_allclose(rendered(volume, fine.with_angles(geometry.angles), "max"), views, atol=0.1)
    done = CliRunner().invoke(main.app, ["render", str(path), "--angles", "0"])
    assert done.exit_code == 0 and "maxima along the rays" in done.output


def test_the_page_says_what_the_pictures_are(swept: Results) -> None:
    from benchmark.report.provenance import cases

    assert [case["facts"]["projections"] for case in cases(swept)] == ["maxima along the rays"]


def test_a_dataset_that_is_named_gets_the_path_of_a_volume(tmp_path: Path) -> None:
    values = np.zeros((6, 8, 8), dtype=np.uint8)
    values[2:4, 3:6, 3:6] = 9
    command = ["run", "--datasets", "mip", "--volume", stack_file(tmp_path, values), "--views", "3", "--size", "8", "--methods", "fdk"]
    done = CliRunner().invoke(main.app, [*command, "--output", str(tmp_path / "results"), "--no-report"])
    assert done.exit_code == 0, done.output
    (record,) = Results.open(tmp_path / "results").records
    assert (record.spec.dataset, record.case, record.status) == ("mip", "stack", "skipped")
