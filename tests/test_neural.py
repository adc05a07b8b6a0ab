"""NAF and ZeroRF on a tiny ball, and the parts they are made of."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import benchmark.methods.naf
import benchmark.methods.naf.reconstruct as naf
import benchmark.methods.zerorf
import benchmark.methods.zerorf.reconstruct as zerorf
from benchmark.api import Case, ConeBeamGeometry, Ellipsoids, Params, Projector, Reconstruction, Run, Scan
from benchmark.datasets.ball import BallParams
from benchmark.datasets.ball import load as load_ball
from benchmark.fields import (
    Attenuation,
    FieldParams,
    Measurements,
    Muon,
    RayBatch,
    RayLoss,
    Support,
    field_volume,
    ramp_filtered,
    vm_grid,
    voxel_positions,
)
from benchmark.fields.fitting.muon import orthogonalised
from benchmark.fields.fitting.ray_loss import recomputed
from benchmark.methods.naf import NafParams
from benchmark.methods.zerorf import ZeroRFParams
from benchmark.methods.zerorf.field import TensorialField, restored
from benchmark.methods.zerorf.generator import (
    Decoder,
    PlanesAndLines,
    SelfAttention,
    TiledVolumes,
    line_shapes,
    plane_shapes,
    resampled,
    tensor_shape,
    tile_shape,
)
from benchmark.methods.zerorf.losses import GridLoss, finer_share
from benchmark.records.budget import Budget

BOTH = [("naf", "rays"), ("naf", "grid"), ("zerorf", "grid"), ("zerorf", "rays")]
TINY: dict[str, dict[str, Any]] = {
    "naf": {"steps": 60, "base": 4, "log2_entries": 12, "hidden": 16, "learning_rate": 0.03},
    "zerorf": {
        "steps": 40,
        "members": 1,
        "channels": (16, 16, 8),
        "features": 6,
        "hidden": 16,
        "rays": 256,
        "rays_end": 256,
        "learning_rate": 0.02,
    },
}


pytestmark = pytest.mark.usefixtures("one_thread")


@functools.cache
def ball() -> Case:
    return load_ball(BallParams(size=16, views=8, heldout=0, detector=20, centre=(15.0, -10.0, 5.0)))


def offset_scan() -> Scan:
    """A ball aside in a box that is no cube, seen by a small detector that is off centre; odd sizes everywhere."""
    geometry = ConeBeamGeometry(
        source_to_origin=500.0,
        source_to_detector=700.0,
        detector_shape=(17, 23),
        detector_pitch=(16.0, 15.0),
        volume_shape=(9, 15, 18),
        volume_spacing=(15.0, 12.0, 9.0),
        angles=np.linspace(0, 2 * np.pi, 7, endpoint=False),
        detector_offset=(8.0, -30.0),
        volume_offset=(5.0, 0.0, -10.0),
    )
    return Scan(Ellipsoids(np.array([[10.0, -20.0, 15.0]]), np.full((1, 3), 45.0), np.array([0.02])).project(geometry, 2), geometry)


def params_of(method: str, **changes: Any) -> Params:
    return {"naf": NafParams, "zerorf": ZeroRFParams}[method](**{**TINY[method], **changes})


def reconstruct(method: str, scan: Scan, run: Run | None = None, **changes: Any) -> Reconstruction:
    run = run or Run()
    run.clock.start()
    return {"naf": naf, "zerorf": zerorf}[method].reconstruct(scan, params_of(method, **changes), run)


def misfit(volume: np.ndarray, scan: Scan) -> float:
    """Mean squared residual of a volume's projections."""
    return float((Projector(scan.geometry).forward(torch.from_numpy(volume)) - torch.tensor(scan.projections)).square().mean())


def check_volume(result: Reconstruction, scan: Scan) -> None:
    assert result.volume.shape == scan.geometry.volume_shape and result.volume.dtype == np.float32
    assert np.isfinite(result.volume).all() and (result.volume >= 0).all() and result.volume.max() > 0


def check_fit(volume: np.ndarray, scan: Scan) -> None:
    """Much better than the best constant volume. Ask for it without `refine`: those corrections alone would fit any scan."""
    ones = Projector(scan.geometry).forward(torch.ones(volume.shape)).double()
    values = torch.tensor(scan.projections).double()
    best = float((ones * values).sum() / ones.square().sum())
    assert misfit(volume, scan) < 0.2 * misfit(np.full_like(volume, best), scan)


def turned(volume: np.ndarray) -> Iterator[np.ndarray]:
    """A cube's 48 rotations and mirror images, itself first."""
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product((1, -1), repeat=3):
            yield volume.transpose(axes)[tuple(slice(None, None, flip) for flip in flips)]


# -- the methods --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "render"), BOTH)
def test_the_ball_is_fitted(method: str, render: str) -> None:
    case = ball()
    result = reconstruct(method, case.scan, render=render, refine=0)
    check_volume(result, case.scan)
    check_fit(result.volume, case.scan)
    assert case.truth is not None
    alike, *others = (float(np.corrcoef(volume.ravel(), case.truth.ravel())[0, 1]) for volume in turned(result.volume))
    assert alike > 0.9 and alike > max(others)  # nothing is mirrored or swapped
    info = json.loads(json.dumps(dict(result.info)))
    assert result.engine == "native" and info["render"] == render and info["parameters"] > 0


@pytest.mark.parametrize(("method", "render"), BOTH)
def test_a_box_that_is_no_cube_and_an_offset_detector(method: str, render: str) -> None:
    scan = offset_scan()
    result = reconstruct(method, scan, render=render, refine=0)
    check_volume(result, scan)
    check_fit(result.volume, scan)


@pytest.mark.parametrize(("method", "render"), BOTH)
def test_the_seed_decides_every_bit(method: str, render: str) -> None:
    scan, state = ball().scan, torch.get_rng_state()
    one = reconstruct(method, scan, Run(seed=3), render=render, steps=5).volume
    assert torch.equal(torch.get_rng_state(), state)  # torch's global generator is left alone
    torch.rand(7)
    same, other = (reconstruct(method, scan, Run(seed=seed), render=render, steps=5).volume for seed in (3, 4))
    assert one.tobytes() == same.tobytes()
    assert not np.allclose(one, other, rtol=1e-3)


@pytest.mark.parametrize(("method", "render"), BOTH)
@pytest.mark.parametrize("budget", [0.0, 0.2])
def test_a_spent_budget_ends_early_with_a_volume(method: str, render: str, budget: float) -> None:
    run = Run(budget=Budget(seconds=budget))
    result = reconstruct(method, ball().scan, run, render=render, steps=1_000_000)
    check_volume(result, ball().scan)
    assert run.step < 10_000 and (budget > 0 or run.step == 0)
    assert run.clock.seconds < 5


@pytest.mark.parametrize("method", ["naf", "zerorf"])
def test_losses_and_snapshots_are_reported(method: str) -> None:
    logs: list[dict[str, Any]] = []
    seen: list[tuple[int, np.ndarray]] = []
    run = Run(on_log=logs.append, on_snapshot=lambda step, seconds, volume: seen.append((step, volume)), snapshots=4)
    result = reconstruct(method, ball().scan, run)
    assert run.step == TINY[method]["steps"]
    assert len(logs) > 1 and all(math.isfinite(entry["loss"]) for entry in logs) and logs[-1]["loss"] < logs[0]["loss"]
    assert 3 <= len(seen) <= 5
    assert all(volume.shape == result.volume.shape and np.isfinite(volume).all() for _, volume in seen)
    assert misfit(seen[-1][1], ball().scan) < misfit(seen[0][1], ball().scan)


def test_zerorf_averages_its_members() -> None:
    run = Run()
    result = reconstruct("zerorf", ball().scan, run, members=3, steps=4)
    assert run.step == 12 and result.info["members"] == 3
    assert [ZeroRFParams().members_for(views) for views in (1, 10, 14, 20, 50)] == [4, 4, 3, 1, 1]
    assert [ZeroRFParams(finetune=0).members_for(views) for views in (10, 20, 50, 100)] == [4, 2, 1, 1]
    means = [reconstruct("zerorf", ball().scan, members=count, steps=20, refine=0).volume.astype(np.float64) for count in (1, 2, 3)]
    members = [means[0], 2 * means[1] - means[0], 3 * means[2] - 2 * means[1]]  # each by itself, if they are means of the first so many
    for volume in members:
        assert volume.min() > -1e-5 * volume.max()  # attenuation, as that of a field
        assert misfit(volume.astype(np.float32), ball().scan) < 2 * misfit(means[0].astype(np.float32), ball().scan)
    assert [volume.mean() for volume in members] == pytest.approx([members[0].mean()] * 3, rel=0.1)  # all show the same mass
    assert all(np.abs(a - b).max() > 0.02 * a.max() for a, b in itertools.combinations(members, 2))  # from different noise
    assert misfit(means[2].astype(np.float32), ball().scan) < np.mean(
        [misfit(volume.astype(np.float32), ball().scan) for volume in members]
    )


@pytest.mark.parametrize("changes", [{}, {"tensors": "xyz xyz"}, {"render": "rays"}, {"tv": 0.001}])
def test_zerorf_goes_on_without_its_generator(changes: dict[str, Any]) -> None:
    """What the generator cannot follow of many views the tensors themselves can."""
    scan, run = ball().scan, Run()
    made = reconstruct("zerorf", scan, steps=10, refine=0, **changes)
    tuned = reconstruct("zerorf", scan, run, steps=10, refine=0, finetune=3, **changes)
    assert run.step == 13 and tuned.info["finetune"] == 3
    check_volume(tuned, scan)
    assert misfit(tuned.volume, scan) < 0.7 * misfit(made.volume, scan)
    assert [ZeroRFParams().finetuning_for(views) > 0 for views in (10, 14, 15, 50)] == [False, False, True, True]
    assert ZeroRFParams().steps_for(50) < ZeroRFParams(finetune=0).steps_for(50) == ZeroRFParams().steps_for(10)
    assert ZeroRFParams(**benchmark.methods.zerorf.SPEC.presets["paper"]).finetuning_for(50) == 0  # as published


@pytest.mark.parametrize("tensors", ["xy z yz x zx y", "xyz xyz"])
def test_releasing_the_tensors_changes_nothing_but_what_is_trained(tensors: str) -> None:
    params = params_of("zerorf", tensors=tensors)
    assert isinstance(params, ZeroRFParams)
    field, everywhere = TensorialField(params, ball().scan.geometry, 0.02), Support.everywhere((16, 16, 16))
    with torch.no_grad():
        before = field.volume(everywhere)
        assert not field.released
        field.generator.release()
        assert field.released and torch.equal(field.volume(everywhere), before)
    assert all(name.endswith(".released") for name, _ in field.generator.named_parameters())
    again = restored(field.state_dict(), params, ball().scan.geometry, 0.02)
    with torch.no_grad():
        assert torch.equal(again.volume(everywhere), before)


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("naf", {"activation": "sigmoid", "skip": 1, "levels": 3}),
        ("naf", {"activation": "exp", "samples": 12}),
        ("zerorf", {"activation": "exp", "muon": 0.0, "average": 0.0, "upsampling": "nearest", "coarse": 0.0, "sharpen": 0.0, "blocks": 2}),
        ("zerorf", {"precision": "bfloat16"}),
        ("naf", {"precision": "bfloat16"}),
        ("naf", {"epochs": 1}),
        ("naf", {"importance": 10}),
        ("zerorf", {"views": 3, "channels": (8,), "members": 2}),
        ("zerorf", {"tensors": "xyz xyz", "render": "rays", "bands": (None, 0.9, 0.3), "reduction": "sum"}),
        ("zerorf", {"noise": 3}),
        ("zerorf", {"guided": 0.01}),
    ],
)
def test_other_parameters_run(method: str, changes: dict[str, Any]) -> None:
    check_volume(reconstruct(method, ball().scan, **{"steps": 3, **changes}), ball().scan)


@pytest.mark.parametrize("method", ["naf", "zerorf"])
def test_one_view_and_a_dark_scan(method: str) -> None:
    geometry = ball().scan.geometry.subset([0])
    result = reconstruct(method, Scan(np.zeros(geometry.projection_shape), geometry), steps=5)
    assert np.isfinite(result.volume).all() and abs(result.volume).max() < 1e-6


# -- ZeroRF's parts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(13, 17), (16, 16), (5, 1), (7,), (12,), (1,)])
@pytest.mark.parametrize("upsampling", ["linear", "nearest"])
def test_the_decoder_makes_any_size(shape: tuple[int, ...], upsampling: str) -> None:
    decoder = Decoder(params_of("zerorf", upsampling=upsampling), shape)  # type: ignore[arg-type]
    made = decoder()
    assert made.shape == (6, *shape) and torch.isfinite(made).all()
    assert "noise" not in dict(decoder.named_parameters())  # frozen


def test_the_generator_makes_planes_and_lines_of_the_volume() -> None:
    planes, lines = PlanesAndLines(params_of("zerorf"), (5, 6, 7))()  # type: ignore[arg-type]
    assert [tuple(plane.shape[1:]) for plane in planes] == [(6, 7), (5, 6), (5, 7)] == list(plane_shapes((5, 6, 7)))
    assert [tuple(line.shape[1:]) for line in lines] == [(5,), (7,), (6,)] == list(line_shapes((5, 6, 7)))


def test_resampled_keeps_extent_and_mean() -> None:
    plane, line = torch.arange(8.0).expand(2, 6, 8), torch.arange(8.0).expand(3, 8)
    assert resampled(plane, (6, 8)) is plane
    assert resampled(plane, (3, 4)).shape == (2, 3, 4) and resampled(line, (4,)).shape == (3, 4)
    torch.testing.assert_close(resampled(line, (4,))[0, 1:3], torch.tensor([2.5, 4.5]))  # cell centres
    torch.testing.assert_close(resampled(torch.ones(2, 5), (3,)), torch.ones(2, 3))


def test_the_ramp_filter() -> None:
    noise = torch.randn(40, 30, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ramp_filtered(noise, 0), noise)
    for power in (0.3, 0.7, 1.0):
        filtered = ramp_filtered(noise, power)
        assert filtered.shape == noise.shape
        assert abs(float(filtered.square().mean() / noise.square().mean()) - 1) < 0.05
    smooth = torch.ones(1, 1, 64)
    assert float(ramp_filtered(smooth, 0.7).square().mean()) < 0.5  # low frequencies count less ...
    assert float(ramp_filtered(smooth, 0.7).square().mean()) > 1e-3  # ... but they count
    assert ramp_filtered(noise[..., :7], 0.7).shape == (40, 30, 7)


# -- shared parts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(20, 60), (60, 20), (1, 9)])
def test_orthogonalised_matrices_have_singular_values_near_one(shape: tuple[int, int]) -> None:
    matrices = 100 * torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
    found = orthogonalised(matrices)
    values = torch.linalg.svdvals(found)
    assert found.shape == matrices.shape and 0.6 < values.min() and values.max() < 1.3
    u, _, vt = torch.linalg.svd(matrices, full_matrices=False)
    assert (torch.diagonal(u.mT @ found @ vt.mT, dim1=1, dim2=2) > 0.6).all()  # the directions are the matrix's own


def test_muon_lowers_a_quadratic_of_a_convolution() -> None:
    target = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(2))
    weight, idle = torch.zeros_like(target).requires_grad_(), torch.ones(2, 2, requires_grad=True)
    optimiser, losses = Muon([weight, idle], lr=0.1), []
    for _ in range(40):
        loss = (weight - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]
    assert torch.equal(idle, torch.ones(2, 2))  # no gradient, no step


@pytest.mark.parametrize("supersample", [1, 2, 3])
def test_the_volume_of_a_linear_field_is_its_value_at_the_centres(supersample: int) -> None:
    geometry = offset_scan().geometry
    slope = torch.tensor([0.3, -0.2, 0.7])  # per mm along x, y, z
    found = field_volume(lambda positions: positions @ slope + 5, geometry, supersample=supersample, chunk=100)
    z, y, x = (geometry.voxel_centres(axis) for axis in range(3))
    expected = 5 + 0.3 * x + -0.2 * y[:, None] + 0.7 * z[:, None, None]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32), rtol=1e-5, atol=1e-4)


def test_voxels_outside_a_mask_are_not_sampled() -> None:
    geometry, asked = offset_scan().geometry, []

    def field(positions: torch.Tensor) -> torch.Tensor:
        asked.append(len(positions))
        return positions.sum(1) + 1000

    mask = torch.rand(geometry.volume_shape, generator=torch.Generator().manual_seed(0)) < 0.3
    mask[1] = False
    found = field_volume(field, geometry, mask=mask, chunk=50)
    assert sum(asked) == 8 * int(mask.sum()) and min(asked) > 0
    torch.testing.assert_close(found, field_volume(field, geometry) * mask)


def test_steps_on_large_grids_get_rarer() -> None:
    assert [finer_share(edge, 0.5, True) for edge in (16, 64, 128)] == [0.5] * 3
    assert [finer_share(edge, 0.5, False) for edge in (8, 32, 64)] == [1.0] * 3
    assert [finer_share(edge, 0.5, edge == 256) for edge in (256, 128, 64)] == [0.125, 0.5, 1.0]
    assert finer_share(512, 0.0, True) == 1.0
    scan = ball().scan
    loss = GridLoss(params_of("zerorf", steps=40), scan, "cpu")  # type: ignore[arg-type]
    assert [(level[0], level[1].geometry.volume_shape) for level in loss.levels] == [(20, (16, 16, 16)), (0, (8, 8, 8))]


def test_voxel_positions_can_be_shifted_by_parts_of_a_voxel() -> None:
    geometry = offset_scan().geometry
    moved = voxel_positions(geometry, (0.5, -0.25, 1.0)) - voxel_positions(geometry)
    torch.testing.assert_close(moved, torch.tensor([9.0, -3.0, 7.5]).expand_as(moved), rtol=0, atol=1e-4)  # x y z [mm]


@pytest.mark.parametrize("activation", ["softplus", "exp", "sigmoid"])
def test_an_untrained_network_starts_at_the_mean(activation: Any) -> None:
    attenuation = Attenuation(activation, 0.0123)
    torch.testing.assert_close(attenuation(torch.zeros(4)), torch.full((4,), 0.0123), rtol=1e-5, atol=0)
    values = attenuation(torch.linspace(-8, 8, 50))
    assert (values > 0).all() and (values.diff() > 0).all()


def test_measurements_are_the_rays_that_meet_the_box() -> None:
    geometry = offset_scan().geometry
    box = Projector(geometry).forward(torch.full(geometry.volume_shape, 0.02))
    measurements = Measurements(Scan(box.numpy(), geometry))
    assert len(measurements.rays) == len(measurements.values) < box.numel()
    assert abs(measurements.mean_attenuation / 0.02 - 1) < 0.03
    rays, values = measurements.draw(10, torch.Generator().manual_seed(0))
    assert len(rays) == len(values) == 10


# -- as published -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(9, 12), (10,)])
def test_attention_lets_every_cell_see_all_the_others(shape: tuple[int, ...]) -> None:
    block = SelfAttention(len(shape), 8)
    x = torch.randn(1, 8, *shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    made = block(x)
    assert made.shape == x.shape
    made.flatten(2)[0, :, 0].sum().backward()
    assert x.grad is not None and (x.grad.abs().sum((0, 1)) > 0).all()
    flipped = [-1 - axis for axis in range(len(shape))]  # it knows no positions: it commutes with any permutation of the cells
    torch.testing.assert_close(block(x.flip(flipped)), made.flip(flipped), rtol=1e-4, atol=1e-5)


def test_attention_is_the_only_thing_it_adds() -> None:
    sizes = [sum(p.numel() for p in PlanesAndLines(params_of("zerorf", attention=on), (8, 8, 8)).parameters()) for on in (False, True)]  # type: ignore[arg-type, misc]
    assert sizes[1] > sizes[0]


@pytest.mark.parametrize("render", ["grid", "rays"])
def test_summed_features_feed_a_smaller_network(render: str) -> None:
    geometry, params = offset_scan().geometry, params_of("zerorf", reduction="sum", bias=0.3)
    assert isinstance(params, ZeroRFParams)
    field = TensorialField(params, geometry, 0.02)
    assert field.network.widths[0] == params.features
    planes, lines = field.generator()
    features = vm_grid(planes, lines).view(-1, 3, params.features)
    expected = field.attenuation(field.network(features.sum(1))[:, 0] + 0.3).view(geometry.volume_shape)
    with torch.no_grad():
        by_grid, everywhere = render == "grid", Support.everywhere(geometry.volume_shape)
        found = field.volume(everywhere) if by_grid else field_volume(field.at_points(), geometry, 1)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-3, atol=1e-6)


def test_the_bias_sets_where_training_starts() -> None:
    params = params_of("zerorf", activation="exp", bias=-1.0)
    assert isinstance(params, ZeroRFParams)
    field = TensorialField(params, ball().scan.geometry, 0.02)
    with torch.no_grad():
        field.network.weights.zero_()
        volume = field.volume(Support.everywhere((16, 16, 16)))
    torch.testing.assert_close(volume, torch.full_like(volume, 0.02 / math.e))


def test_the_decoder_in_half_precision_makes_nearly_the_same() -> None:
    made = []
    for precision in ("float32", "bfloat16", "float16"):
        torch.manual_seed(0)
        planes, lines = PlanesAndLines(params_of("zerorf", precision=precision, attention=True), (8, 9, 10))()  # type: ignore[arg-type]
        assert all(tensor.dtype == torch.float32 for tensor in (*planes, *lines))
        made.append(torch.cat([tensor.detach().flatten() for tensor in (*planes, *lines)]))
    for half in made[1:]:
        assert 0 < float((made[0] - half).norm() / made[0].norm()) < 0.05


@pytest.mark.parametrize(
    "changes",
    [{"attention": True, "reduction": "sum"}, {"render": "rays", "importance": 12}, {"tensors": "xyz xyz"}, {"noise": "detector"}],
)
def test_zerorf_variants_fit_the_ball(changes: dict[str, Any]) -> None:
    result = reconstruct("zerorf", ball().scan, **changes)
    check_volume(result, ball().scan)
    check_fit(result.volume, ball().scan)


def test_a_tile_repeats_along_every_axis_and_meets_the_next_in_the_middle_of_the_box() -> None:
    params = params_of("zerorf", tensors="xyz xyz", bands=(0.5,))
    assert isinstance(params, ZeroRFParams)
    torch.manual_seed(0)
    tiles = TiledVolumes(params, (16, 12, 8))
    assert tile_shape((16, 12, 8), 0.5) == (4, 3, 2) and tile_shape((16, 12, 8), None) == (16, 12, 8)
    encode, points = tiles.encoder(), torch.rand(50, 3, generator=torch.Generator().manual_seed(1)) * 0.25
    first = encode(points)
    for axis in range(3):
        torch.testing.assert_close(encode(points + 0.25 * torch.eye(3)[axis]), first, rtol=1e-3, atol=1e-4)
    beside, middle = torch.full((1, 3), 0.5), torch.tensor([[1e-4, 0.0, 0.0]])
    assert not torch.allclose(encode(beside - middle), encode(beside + middle), rtol=1e-2)  # a seam
    everywhere = Support.everywhere((16, 12, 8))
    torch.testing.assert_close(tiles.at_voxels(everywhere), encode(everywhere.points()))


def test_the_published_noise_follows_the_detector() -> None:
    geometry = offset_scan().geometry
    for pixels, cells in ((23, 4), (400, 10), (2000, 20)):
        wide = dataclasses.replace(geometry, detector_shape=(17, pixels), detector_pitch=(16.0, 15.0 * 23 / pixels))
        shape = tensor_shape(params_of("zerorf", noise="detector", channels=(8,) * 5), wide)  # type: ignore[arg-type]
        assert shape == (cells * 8, round(cells * 16 * 15 / 18), cells * 16)


@pytest.mark.parametrize("importance", [0, 8])
def test_checkpointing_changes_no_bit(importance: int) -> None:
    scan, field = ball().scan, torch.nn.Linear(3, 1)
    gradients = []
    for checkpointing in (False, True):
        params = FieldParams(checkpointing=checkpointing, importance=importance)
        loss_of = RayLoss(scan, params, Measurements(scan), Support.of(scan), RayBatch())
        loss = loss_of(lambda p: field(p / 100)[:, 0].exp() * 0.01, 40, torch.Generator().manual_seed(0))
        gradients.append([loss.detach(), *torch.autograd.grad(loss, list(field.parameters()))])
    assert all(torch.equal(kept, computed) for kept, computed in zip(*gradients, strict=True))


def test_checkpointing_keeps_nothing_but_the_positions() -> None:
    kept: list[int] = []

    def kept_by(field: Callable[[torch.Tensor], torch.Tensor]) -> int:
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda tensor: tensor):  # type: ignore[func-returns-value]
            field(torch.rand(1000, 3))
        return sum(kept)

    network = torch.nn.Sequential(torch.nn.Linear(3, 64), torch.nn.SiLU(), torch.nn.Linear(64, 1))
    assert kept_by(network) > 100_000
    assert kept_by(recomputed(network)) == 3 * 1000  # the positions


def test_the_published_presets() -> None:
    paper = ZeroRFParams(**benchmark.methods.zerorf.SPEC.presets["paper"])
    assert paper.noise_channels == 8 and paper.channels == (256, 128, 64, 64, 32) and paper.features == 16 and paper.attention
    assert (paper.steps, paper.rays, paper.rays_end, paper.samples, paper.importance) == (10_000, 4096, 65_536, 256, 256)
    naf_paper = NafParams(**benchmark.methods.naf.SPEC.presets["paper"])
    assert naf_paper.steps_for(50) == 75_000 and naf_paper.steps_for(10) == 15_000
    assert NafParams().steps_for(10) == NafParams().steps_for(50) == NafParams().steps
    training = naf.Training(ball().scan, naf_paper.model_copy(update={"log2_entries": 10}), seed=0)
    assert training.steps == 1500 * 8
    assert training.field.grid.cells == [16 * 2**level for level in range(16)]
    assert training.field.network.widths == [32, 32, 32, 32, 1]
