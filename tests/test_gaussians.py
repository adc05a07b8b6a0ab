"""Gaussian mixtures: the kernels against plain torch, quadrature and closed forms; the method on a tiny ball."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
import twins
from balls import ball_scan, error, scanner, watched
from skimage.metrics import structural_similarity

from benchmark.api import ConeBeamGeometry, InputError, Run, Scan, view_rays
from benchmark.fields import (
    Mixture,
    MixtureProjector,
    mixture_line_integrals,
    rotations,
    ssim,
    total_variation,
    voxel_positions,
    voxelise,
)
from benchmark.methods.gaussians import GaussiansParams
from benchmark.methods.gaussians.density import Population
from benchmark.methods.gaussians.reconstruct import reconstruct, usual_refine, usual_tv
from benchmark.methods.gaussians.start import draw, morton_order, start_mixture
from benchmark.records.budget import Budget

TINY: dict[str, Any] = {"steps": 60, "gaussians": 200, "every": 15, "tv_block": 8}
EXACT = 1e-9  # cut-off of the comparisons with float64


pytestmark = pytest.mark.usefixtures("one_thread")


def geometry(**changes: Any) -> ConeBeamGeometry:
    """No cube, an offset detector that is turned, and a source that climbs: nothing is symmetric."""
    values: dict[str, Any] = dict(
        source_to_origin=500.0, source_to_detector=700.0, detector_shape=(17, 23), detector_pitch=(16.0, 15.0), volume_shape=(9, 15, 18),
        volume_spacing=(15.0, 12.0, 9.0), angles=np.linspace(0.1, 6, 4), detector_offset=(8.0, -30.0), volume_offset=(5.0, 0.0, -10.0),
        source_height=np.linspace(-30, 40, 4), detector_roll=0.2, detector_yaw=0.1,
    )  # fmt: skip
    return ConeBeamGeometry(**{**values, **changes})


def mixture(count: int = 30, scale: float = 12.0, seed: int = 0) -> Mixture:
    generator = torch.Generator().manual_seed(seed)
    means = 120 * torch.rand(count, 3, generator=generator) - 60
    scales = scale * (0.5 + 1.5 * torch.rand(count, 3, generator=generator))
    quaternions = 2 * torch.randn(count, 4, generator=generator)
    amplitudes = 0.01 + 0.02 * torch.rand(count, generator=generator)
    return Mixture(*(tensor.requires_grad_() for tensor in (means, quaternions, scales.log(), amplitudes.log())))


def on(device: str, parameters: Mixture) -> Mixture:
    """The same mixture on a device; gradients flow back."""
    return Mixture(*(tensor.to(device) for tensor in parameters))


def compare(ours: torch.Tensor, twin: torch.Tensor, parameters: Mixture) -> None:
    """Values and the gradients of all parameters; what is ours may lie on any device."""
    ours, scale = ours.cpu(), float(twin.detach().abs().max())
    torch.testing.assert_close(ours.double(), twin, rtol=1e-4, atol=2e-6 * scale)
    weight = torch.linspace(-3, 5, ours.numel()).sin().view_as(ours)
    for mine, theirs in zip(
        torch.autograd.grad((ours * weight).sum(), parameters), torch.autograd.grad((twin * weight).sum(), parameters), strict=True
    ):
        assert float(theirs.norm()) > 0
        assert float((mine - theirs).norm() / theirs.norm()) < 2e-3


# -- the kernels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [4.0, 12.0, 60.0])
def test_projections_match_the_twin(scale: float, device: str) -> None:
    scanned, parameters = geometry(), mixture(scale=scale)
    rays = view_rays(scanned)
    twin = twins.mixture_line_integrals(parameters, rays.origins, rays.directions).view(scanned.projection_shape)
    compare(MixtureProjector(scanned, EXACT, device)(on(device, parameters)), twin, parameters)


def test_projections_are_integrals() -> None:
    """Against sums over points along each ray, without a formula for line integrals."""
    scanned, parameters = geometry(detector_shape=(5, 6), detector_pitch=(50.0, 50.0)), mixture(6)
    rays, step = view_rays(scanned), 2.0
    t = torch.arange(100, 900, step, dtype=torch.float64)
    points = rays.origins[:, None].double() + t[:, None] * rays.directions[:, None].double()
    with torch.no_grad():
        sums = step * twins.mixture_values(parameters, points.view(-1, 3)).view(len(rays), -1).sum(1)
        ours = MixtureProjector(scanned, EXACT)(parameters).reshape(-1)
    assert float(sums.max()) > 0.5
    torch.testing.assert_close(ours.double(), sums, rtol=1e-5, atol=1e-5)


def test_values_match_the_twin(device: str) -> None:
    scanned, parameters = geometry(), mixture()
    twin = twins.mixture_values(parameters, voxel_positions(scanned)).view(scanned.volume_shape)
    compare(voxelise(on(device, parameters), scanned, cutoff=EXACT), twin, parameters)


def test_any_rays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.fields.mixture.RAY_PAIRS", 1000)  # several parts
    scanned, parameters = geometry(), mixture()
    rays = view_rays(scanned)
    twin = twins.mixture_line_integrals(parameters, rays.origins, rays.directions)
    compare(mixture_line_integrals(parameters, rays), twin, parameters)
    assert mixture_line_integrals(parameters, rays[:0]).shape == (0,)


def test_a_block_is_a_part_and_a_mean_is_over_the_voxel(device: str) -> None:
    scanned, parameters = geometry(), on(device, mixture())
    whole, block = voxelise(parameters, scanned), (slice(2, 7), slice(3, 15), slice(5, 6))
    torch.testing.assert_close(voxelise(parameters, scanned, block=block).cpu(), whole.cpu()[block], rtol=1e-4, atol=1e-7)
    fine = scanned.with_volume((18, 30, 36))
    mean = torch.nn.functional.avg_pool3d(voxelise(parameters, fine)[None], 2)[0]
    torch.testing.assert_close(voxelise(parameters, scanned, supersample=2).cpu(), mean.cpu(), rtol=1e-4, atol=1e-7)


def test_some_views_are_a_part() -> None:
    projector, parameters = MixtureProjector(geometry()), mixture()
    assert torch.equal(projector(parameters, [3, 1]), projector(parameters)[[3, 1]])


@pytest.mark.parametrize("cutoff", [1e-2, 1e-4])
def test_mass_and_what_the_cutoff_takes_of_it(cutoff: float) -> None:
    scanned, parameters = scanner(size=48), mixture(1, scale=8.0)
    with torch.no_grad():
        mass = float((2 * math.pi) ** 1.5 * (parameters.log_scales.sum() + parameters.log_amplitudes[0]).exp())
        kept = float(voxelise(parameters, scanned, cutoff=cutoff).sum()) * 4.0**3 / mass
    reach = -2 * math.log(cutoff)  # the part of a Gaussian within this squared distance
    expected = math.erf(math.sqrt(reach / 2)) - math.sqrt(2 * reach / math.pi) * math.exp(-reach / 2)
    assert abs(kept - expected) < 1e-3


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    projector, parameters, results = MixtureProjector(geometry()), mixture(300), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        images, volume = projector(parameters), voxelise(parameters, geometry())
        gradients = [torch.autograd.grad(value.square().sum(), parameters, retain_graph=True) for value in (images, volume)]
        results.append([images, volume, *gradients[0], *gradients[1]])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_wide_gaussian_beside_the_source_matches_the_twin(device: str) -> None:
    """The pixel that shows its mean is thousands of pixels away from the picture."""
    scanned, parameters = geometry(), mixture(1, scale=150.0)
    source, centre, u, _ = torch.from_numpy(scanned.vectors()[0]).float()
    beside = parameters._replace(means=(source + 0.001 * (centre - source) + 300 * u / u.norm())[None].requires_grad_())
    rays = view_rays(scanned, [0])
    twin = twins.mixture_line_integrals(beside, rays.origins, rays.directions).view(1, *scanned.detector_shape)
    compare(MixtureProjector(scanned, EXACT, device)(on(device, beside), [0]), twin, beside)


def test_gaussians_around_and_behind_the_source(device: str) -> None:
    scanned, parameters = geometry(), mixture(3)
    means = parameters.means.detach().clone()
    source = torch.from_numpy(scanned.vectors()[0, 0]).float()
    means[0] = 1.5 * source  # behind
    means[1] = 0.98 * source  # all around it
    means[2, 2] = 5000  # far off the detector
    images = MixtureProjector(scanned, device=device)(on(device, parameters._replace(means=means.requires_grad_())), [0])
    assert torch.isfinite(images).all() and (images >= 0).all()
    images.sum().backward()
    assert torch.isfinite(means.grad).all() and not means.grad[[0, 2]].any()


def test_rotations() -> None:
    turn = rotations(torch.tensor([[2.0, 0.0, 0.0, 2.0], [0.3, -0.2, 0.9, 0.4]]))
    torch.testing.assert_close(turn[0] @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]))  # 90 degrees about z
    torch.testing.assert_close(turn @ turn.mT, torch.eye(3).expand(2, 3, 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: Mixture(*(tensor[:0] for tensor in m)), "at least one Gaussian.*none left"),
        (lambda m: m._replace(quaternions=m.quaternions[:, :3]), r"\[K, 4\]"),
        (lambda m: m._replace(means=m.means.double()), "float32"),
        (lambda m: m._replace(log_scales=m.log_scales * torch.nan), "NaN or Inf"),
    ],
)
def test_mixtures_that_are_none(change: Any, message: str) -> None:
    broken = change(Mixture(*(tensor.detach() for tensor in mixture())))
    with pytest.raises(InputError, match=message):
        MixtureProjector(geometry())(broken)
    with pytest.raises(InputError, match=message):
        voxelise(broken, geometry())


def test_a_cutoff_that_is_none() -> None:
    with pytest.raises(InputError, match="cutoff.*less than 1"):
        MixtureProjector(geometry(), 1.0)


# -- the method's parts -------------------------------------------------------------------------------------------------


def test_ssim_is_that_of_scikit_image() -> None:
    generator = torch.Generator().manual_seed(0)
    one = torch.rand(2, 30, 40, generator=generator)
    other = (one + 0.2 * torch.randn(one.shape, generator=generator)).requires_grad_()
    expected = [
        structural_similarity(a.numpy(), b.detach().numpy(), data_range=1.0, gaussian_weights=True, use_sample_covariance=False)
        for a, b in zip(one, other, strict=True)
    ]
    found = ssim(one, other, 1.0)
    assert abs(float(found.detach()) - np.mean(expected)) < 1e-4
    found.backward()
    assert torch.isfinite(other.grad).all()
    assert abs(float(ssim(one[:, :5], one[:, :5], 1.0)) - 1) < 1e-5  # smaller than the window


def test_total_variation_of_a_ramp() -> None:
    z, y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in (4, 5, 6)), indexing="ij")
    ramp = 3 * 2 * z + 4 * 0.5 * x  # slopes 3, 0, 4 on voxels of 2, 1, 0.5
    assert abs(float(total_variation(ramp, (2.0, 1.0, 0.5))) - 5) < 1e-5


def test_draws_follow_the_volume_and_spread() -> None:
    volume = torch.zeros(8, 8, 8)
    volume[:4], volume[4:, :4] = 1, 3
    chosen, density = draw(volume, 160, torch.Generator().manual_seed(0))
    low, high = int((chosen < 256).sum()), int((chosen >= 256).sum())
    assert abs(low - 64) <= 1 and abs(high - 96) <= 1 and volume.reshape(-1)[chosen].min() > 0
    assert set(density.mul(1000).round().tolist()) == {250.0, 750.0}
    assert draw(torch.zeros(4, 4, 4), 5, torch.Generator())[0].shape == (5,)


def test_the_morton_curve_visits_every_voxel_once_and_block_by_block() -> None:
    order = morton_order((3, 4, 6))
    assert sorted(order) == list(range(72))
    assert {tuple(np.array(np.unravel_index(i, (3, 4, 6))) // 2) for i in order[:8]} == {(0, 0, 0)}


@pytest.mark.parametrize("kind", ["fdk", "sart", "random"])
def test_the_start_has_the_scans_mass(kind: Any) -> None:
    scan, _ = ball_scan()
    start, name = start_mixture(scan, GaussiansParams(gaussians=500, start=kind), torch.Generator().manual_seed(0))
    rendered = MixtureProjector(scan.geometry)(start)
    assert name == kind and start.size == 500
    assert abs(float(rendered.mean()) / scan.projections.mean() - 1) < (0.6 if kind == "random" else 0.1)


def population(**changes: Any) -> Population:
    scan, _ = ball_scan()
    params = GaussiansParams(**{**TINY, **changes})
    start = start_mixture(scan, params, torch.Generator().manual_seed(0))[0]
    return Population(start, params, torch.tensor(scan.geometry.volume_bounds, dtype=torch.float32), 8.0, 0.01)


def pulled(people: Population, scan: Scan) -> torch.Tensor:
    images = MixtureProjector(scan.geometry)(people.mixture)
    people.step((images - torch.tensor(scan.projections)).abs().mean())
    return images.detach()


@pytest.mark.parametrize("split", [0.3, 100.0])
def test_halves_show_what_the_whole_showed(split: float) -> None:
    scan, _ = ball_scan()
    people = population(split=split, grow=1.0, prune=0.0)
    pulled(people, scan)
    before = MixtureProjector(scan.geometry)(people.mixture).detach()
    people.control(torch.Generator().manual_seed(0))
    after = MixtureProjector(scan.geometry)(people.mixture).detach()
    assert people.mixture.size == 400
    assert float((after - before).norm() / before.norm()) < 0.02


def test_control_keeps_the_state_of_survivors_and_the_cap() -> None:
    scan, _ = ball_scan()
    people = population(grow=0.5, cap=230, prune=0.0)
    pulled(people, scan)
    with torch.no_grad():
        people.mixture.log_amplitudes[:20] = -100.0
    people.faint = 1e-9
    old = people.optimiser.state[people.mixture.means]["exp_avg"].clone()
    people.control(torch.Generator().manual_seed(0))
    assert people.mixture.size == 230
    state = people.optimiser.state[people.mixture.means]
    assert torch.equal(state["exp_avg"][:180], old[20:]) and not state["exp_avg"][180:].any()
    assert len(people.optimiser.state) == 4
    pulled(people, scan)  # the optimiser goes on with the new tensors
    people.control(torch.Generator().manual_seed(0))
    assert people.mixture.size == 230


def noisy(sigma: float, views: int = 8, scale: float = 1.0) -> Scan:
    scan = ball_scan(noise=sigma, views=views)[0]
    return Scan(scale * scan.projections, scan.geometry)


def test_the_weight_of_the_variation_grows_with_the_variance_of_noise_and_falls_with_views() -> None:
    """Laws where the scan says how noisy it is; where it does not, its pixels tell about the same."""
    loud = noisy(0.5)

    def weight(relative: float, scan: Scan = loud) -> float:
        return usual_tv(dataclasses.replace(scan, noise=relative * float(scan.projections.mean())))

    none, some, twice = (weight(relative) for relative in (1e-9, 0.3, 0.6))
    assert 0 < none < some and (twice - none) / (some - none) == pytest.approx(4, rel=1e-3)
    assert weight(0.3, noisy(0.5, scale=7.0)) == pytest.approx(some, rel=1e-4)  # a pure number
    assert weight(0.3, noisy(0.5, views=16)) == pytest.approx(some / 2, rel=1e-3)  # the residual is a mean over views
    level = float(noisy(0.0).projections.mean())
    assert usual_tv(noisy(0.3 * level)) == pytest.approx(some, rel=0.4) and usual_tv(noisy(0.0)) == pytest.approx(none, rel=0.3)
    assert (none, some) == (pytest.approx(0.03125, rel=1e-3), pytest.approx(5.881, rel=1e-3))  # as tuned (docs/gaussians.md)


def test_what_the_scan_says_is_in_the_record_and_what_the_user_says_counts() -> None:
    clean, loud = noisy(0.0), noisy(0.1)
    assert (usual_refine(clean), usual_refine(loud)) == (80, 0)
    mean = float(clean.projections.mean())
    known = [dataclasses.replace(loud, noise=part * 0.005 * mean) for part in (1.0, 2.0, 4.0)]  # less than its pixels seem to show
    assert [usual_refine(scan) for scan in known] == [pytest.approx(80, abs=2), pytest.approx(20, abs=1), pytest.approx(5, abs=1)]
    info = run_on(loud, steps=2).info
    assert info["refine"] == 0 and info["tv"] == usual_tv(loud)
    info = run_on(loud, steps=2, tv=0.5, refine=3).info
    assert (info["tv"], info["refine"]) == (0.5, 3)


# -- the method ---------------------------------------------------------------------------------------------------------


def run_on(scan: Scan, run: Run | None = None, **changes: Any) -> Any:
    run = run or Run()
    run.clock.start()
    return reconstruct(scan, GaussiansParams(**{**TINY, **changes}), run)


@pytest.mark.parametrize("refine", [0, 20])
def test_the_ball_is_fitted(refine: int) -> None:
    scan, truth = ball_scan()
    run, logged, snapshots = watched()
    result = run_on(scan, run, refine=refine)
    assert result.volume.shape == truth.shape and result.volume.dtype == np.float32 and (result.volume >= 0).all()
    assert error(result, truth) < 0.1
    assert run.step == TINY["steps"] == len(snapshots)
    assert logged[-1]["loss"] < 0.8 * logged[0]["loss"] and logged[-1]["gaussians"] > 200
    assert np.mean((snapshots[-1] - truth) ** 2) < 0.5 * np.mean((snapshots[0] - truth) ** 2)
    info = json.loads(json.dumps(result.info))
    assert info["start"] == "sart" and 200 < info["gaussians"] <= 400


def test_a_helix_with_a_turned_detector_and_a_box_that_is_no_cube() -> None:
    scanned = geometry(angles=np.linspace(0, 6, 9), source_height=np.linspace(-30, 40, 9))
    truth = Mixture(*(torch.tensor(v) for v in ([[10.0, -20.0, 15.0]], [[1.0, 0, 0, 0]], [[3.0, 3.0, 3.0]], [-4.0])))
    scan = Scan(MixtureProjector(scanned)(truth).numpy(), scanned)
    result, expected = run_on(scan, steps=60), voxelise(truth, scanned, supersample=2).numpy()
    assert result.info["start"] == "sart"
    assert np.sqrt(np.mean((result.volume - expected) ** 2)) < 0.05 * expected.max()


@pytest.mark.parametrize("changes", [{"loss": "l2", "ssim": 0.5}, {"tv": 0.0, "sharpen": 0.0}, {"start": "random", "views": 99}])
def test_other_parameters_fit_too(changes: dict[str, Any]) -> None:
    scan, truth = ball_scan(views=8)
    assert error(run_on(scan, **changes), truth) < 0.2


def test_the_seed_decides_every_bit() -> None:
    scan, state = ball_scan(views=8)[0], torch.get_rng_state()
    one, same, other = (run_on(scan, Run(seed=seed), steps=20, every=7).volume for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)  # torch's global generator is left alone
    assert one.tobytes() == same.tobytes() and not np.allclose(one, other, rtol=1e-3)


@pytest.mark.parametrize("budget", [0.0, 0.2])
def test_a_spent_budget_ends_early_with_a_volume(budget: float) -> None:
    run = Run(budget=Budget(seconds=budget))
    result = run_on(ball_scan(views=8)[0], run, steps=1_000_000)
    assert np.isfinite(result.volume).all() and result.volume.max() > 0
    assert run.step < 10_000 and (budget > 0 or run.step == 0)


@pytest.mark.parametrize("changes", [{}, {"volume_shape": (1, 24, 24), "gaussians": 60}, {"gaussians": 1, "cap": 1}])
def test_one_view_of_nothing(changes: dict[str, Any]) -> None:
    keys = {key: value for key, value in changes.items() if key != "volume_shape"}
    scanned = scanner(views=1, **({"volume_shape": changes["volume_shape"]} if "volume_shape" in changes else {}))
    volume = run_on(Scan(np.zeros(scanned.projection_shape), scanned), steps=20, prune=0.0, **keys).volume
    assert np.isfinite(volume).all() and abs(volume).max() < 1e-6


def test_when_every_gaussian_is_pruned_the_error_says_so() -> None:
    with pytest.raises(InputError, match="at least one Gaussian.*none left.*Prune less"):
        run_on(ball_scan(views=8)[0], prune=1e6)


@pytest.mark.parametrize("mistake", [{"smallest": 9.0}, {"gaussians": 10, "cap": 5}, {"init_scale": 9.0}])
def test_parameters_that_contradict_each_other(mistake: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="largest|cap"):
        GaussiansParams(**mistake)


def test_scale_and_amplitude_at_the_start_are_those_asked_for() -> None:
    scan, _ = ball_scan(views=4)
    edge = math.prod(scan.geometry.volume_spacing) ** (1 / 3)
    asked = GaussiansParams(gaussians=50, init_scale=2.5, init_amplitude=0.5)
    start, _ = start_mixture(scan, asked, torch.Generator().manual_seed(0))
    assert start.size == 50 and torch.allclose(start.log_scales.exp(), torch.tensor(2.5 * edge))
    maxima = dataclasses.replace(scan, composite="max")
    bright, _ = start_mixture(maxima, asked, torch.Generator().manual_seed(0))
    assert torch.allclose(bright.log_amplitudes.exp(), torch.tensor(0.5 * float(scan.projections.max())))
    fitted, _ = start_mixture(scan, GaussiansParams(gaussians=50, init_scale=2.5), torch.Generator().manual_seed(0))
    ratio = fitted.log_amplitudes.exp() / fitted.log_amplitudes.exp()[0]
    assert not torch.allclose(ratio, torch.ones_like(ratio))  # as bright as the volume there, times one factor


def test_no_more_gaussians_than_the_cap() -> None:
    scan, _ = ball_scan(views=4)
    params = GaussiansParams(**{**TINY, "gaussians": 60, "cap": 70, "grow": 1.0})
    result = reconstruct(scan, params, Run())
    assert result.info["gaussians"] <= 70 and len(result.arrays["means"]) == result.info["gaussians"]
    assert start_mixture(scan, GaussiansParams(cap=40), torch.Generator().manual_seed(0))[0].size == 40


def test_parameters_that_came_later_are_in_no_run_id() -> None:
    assert not {"init_scale", "init_amplitude"} & set(GaussiansParams().model_dump())
    assert GaussiansParams(init_scale=2.0).model_dump()["init_scale"] == 2.0
