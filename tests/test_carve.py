"""Carving: what is known before training, networks that start as the identity, and what they become; closed-form scans."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from balls import MU, ball_scan, error, scanner, watched

from benchmark.api import InputError, Run, Scan
from benchmark.conformance import scans
from benchmark.fields import MixtureProjector, mixture_values, voxel_positions, voxelise
from benchmark.methods.carve import CarveParams
from benchmark.methods.carve.attenuation import Shadows, mixture_of
from benchmark.methods.carve.hull import FAINTEST, carve
from benchmark.methods.carve.network import Carver, Shapes, UNet, centres
from benchmark.methods.carve.reconstruct import reconstruct, restored_field
from benchmark.methods.carve.training import Training
from benchmark.records.budget import Budget
from benchmark.runtime.checkpoint import Checkpoints

TINY: dict[str, Any] = {"voxels": 12, "channels": 4, "levels": 2, "networks": 1, "steps": 30}


pytestmark = pytest.mark.usefixtures("one_thread")


def params(**changes: Any) -> CarveParams:
    return CarveParams(**{**TINY, **changes})


def run_on(scan: Scan, run: Run | None = None, **changes: Any) -> Any:
    run = run or Run()
    run.clock.start()
    return reconstruct(scan, params(**changes), run)


# -- before training ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 8, 8), (7, 5, 9), (1, 6, 11), (1, 1, 1)])
@pytest.mark.parametrize("levels", [1, 2, 4])
def test_untrained_networks_change_nothing(shape: tuple[int, int, int], levels: int) -> None:
    features = torch.randn(6, *shape)
    assert torch.equal(UNet(6, 4, levels)(features), features)
    assert torch.equal(Carver(params(levels=levels, networks=3, features=6)).refined(features), features)


def test_untrained_gaussians_are_the_voxels_of_the_hull() -> None:
    scan, _ = ball_scan()
    carving = carve(scan, params(values="fdk"))
    with torch.no_grad():
        mixture = mixture_of(Carver(params()), carving)
    assert mixture.size == int(carving.mask.sum()) > 50
    assert torch.equal(mixture.means, centres(carving.geometry, carving.mask))
    edges = torch.tensor(carving.geometry.volume_spacing[::-1])
    torch.testing.assert_close(mixture.log_scales.exp(), (params().width * edges).float().expand(mixture.size, 3))
    shown, values = voxelise(mixture, carving.geometry), carving.mean * carving.values.clamp(min=FAINTEST) * carving.mask
    inside = values > 0.8 * MU  # where neighbours are alike, what they add up to is the voxel's own value
    assert float((shown - values)[inside].abs().mean()) < 0.1 * MU


@pytest.mark.parametrize("values", ["fdk", "sart", "plain"])
def test_values_have_the_scans_mass(values: Any) -> None:
    scan, _ = ball_scan()
    with torch.no_grad():
        rendered = MixtureProjector(scan.geometry)(mixture_of(Carver(params()), carve(scan, params(values=values))))
    assert abs(float(rendered.mean()) / float(scan.projections.mean()) - 1) < 0.15


@pytest.mark.parametrize(
    "make, thing",
    [
        (scans.cube, scans.bodies()),
        (scans.box, scans.bodies(height=0.6)),
        (scans.offset, scans.bodies((-10.0, 4.0, 5.0))),
        (scans.slab, scans.bodies(height=0.3)),
    ],
)
@pytest.mark.parametrize("voxels", [8, 100])
def test_the_hull_contains_what_is_there(make: Any, thing: Any, voxels: int) -> None:
    carving = carve(make()[0], params(voxels=voxels))
    truth = torch.tensor(thing.averaged(carving.geometry))
    matter = truth > 0.05 * scans.ATTENUATION.min()  # a twentieth of the voxel: less may be below the threshold in every pixel
    assert matter.any() and not bool((matter & ~carving.mask).any())
    assert float(carving.mask.float().mean()) < 0.95


def test_more_views_carve_more() -> None:
    found = [carve(ball_scan(views=views)[0], params()).mask for views in (2, 4, 8)]  # each set holds the one before
    assert all(not bool((finer & ~coarser).any()) for coarser, finer in zip(found, found[1:], strict=False))
    assert found[2].sum() < found[0].sum()


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("shape", [(8, 8, 8), (1, 6, 11), (1, 1, 1)])
def test_norms_and_bottlenecks_change_nothing_before_training(norm: str, shape: tuple[int, int, int]) -> None:
    features = torch.randn(6, *shape)
    assert torch.equal(UNet(6, 4, 4, norm, 5)(features), features)


def test_the_bottleneck_carries_what_is_far_away() -> None:
    """One level of convolutions sees four voxels far; the code of the whole grid sees the other end."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        nets = [UNet(2, 4, 1, "none", size) for size in (0, 7)]
    reached = []
    for net in nets:
        for tensor in net.parameters():
            torch.nn.init.normal_(tensor, std=0.3)
        features = torch.zeros(2, 16, 16, 16, requires_grad=True)
        net(features)[0, 0, 0, 0].backward()
        reached.append(bool(features.grad[:, 15, 15, 15].abs().sum() > 0))
    assert reached == [False, True]


@pytest.mark.parametrize("least, most, kept", [(0, None, 3), (0, 2, 2), (5, None, 5), (9, None, 6), (5, 4, 4)])
def test_the_strongest_gaussians_are_kept(least: int, most: int | None, kept: int) -> None:
    strengths = torch.tensor([0.1, 0.9, 0.3, 0.8, 0.2, 0.7])
    shapes = Shapes(*(torch.arange(6.0)[:, None] for _ in Shapes._fields))
    found = shapes.strongest(strengths, 0.5, params(min_gaussians=least, max_gaussians=most))
    assert sorted(found.means[:, 0].tolist()) == sorted(torch.argsort(-strengths)[:kept].tolist())


def test_without_u_nets_and_with_few_gaussians() -> None:
    scan, truth = ball_scan(views=6)
    result = run_on(scan, networks=0, max_gaussians=40, refine=0)
    assert result.info["gaussians"] == 40 and result.arrays["latent"].shape == (40, params().features)
    assert error(run_on(scan, networks=0), truth) < 0.2


# -- training -----------------------------------------------------------------------------------------------------------


def test_training_reaches_every_part() -> None:
    scan, _ = ball_scan(views=8)
    training = Training([Shadows(scan, scan, params())], params(), 0)
    before = {name: tensor.clone() for name, tensor in training.carver.named_parameters()}
    for _ in range(3):
        training.step()
    still = [name for name, tensor in training.carver.named_parameters() if torch.equal(tensor, before[name])]
    assert len(before) > 10 and still == []


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    scan, _ = ball_scan(views=6)
    example = Shadows(scan, scan, params(views=6, loss="l2", tv=0.0))  # smooth, unlike absolute values
    carver = Training([example], params(), 0).carver
    head: Any = carver.head[-1]

    def loss() -> torch.Tensor:
        return example.loss(carver, 1.0, torch.Generator().manual_seed(0), 6)[0]

    loss().backward()
    direction = torch.linspace(-1, 1, head.bias.numel())
    slope, step = float((head.bias.grad * direction).sum()), 1e-2
    with torch.no_grad():
        head.bias += step * direction
        above = loss().item()
        head.bias -= 2 * step * direction
        below = loss().item()
    assert abs((above - below) / (2 * step) / slope - 1) < 0.05


@pytest.mark.parametrize("refine", [0, 20])
def test_the_ball_is_fitted(refine: int) -> None:
    scan, truth = ball_scan(views=8)
    changes = {"steps": 50, "views": 8, "sharpen": 0.0, "values": "plain", "learning_rate": 1e-2}
    untrained = run_on(scan, Run(budget=Budget(steps=0)), refine=0, **changes)
    run, logged, snapshots = watched()
    result = run_on(scan, run, refine=refine, **changes)
    assert result.volume.shape == truth.shape and result.volume.dtype == np.float32 and (result.volume >= 0).all()
    assert error(result, truth) < 0.8 * error(untrained, truth)
    assert run.step == 50 == len(snapshots)
    assert logged[-1]["loss"] < 0.7 * logged[0]["loss"]
    info = json.loads(json.dumps(result.info))
    assert info["carving_grid"] == [12, 12, 12] and 0 < info["hull"] < 0.5 and info["gaussians"] == len(result.arrays["means"])


@pytest.mark.parametrize("changes", [{"loss": "l2", "ssim": 0.5}, {"tv": 0.0, "sharpen": 0.0, "values": "plain"}, {"views": 99}])
def test_other_parameters_fit_too(changes: dict[str, Any]) -> None:
    scan, truth = ball_scan(views=6)
    assert error(run_on(scan, **changes), truth) < 0.2


def test_running_out_of_memory_halves_the_views(monkeypatch: pytest.MonkeyPatch) -> None:
    scan, _ = ball_scan(views=8)
    training = Training([Shadows(scan, scan, params(views=8))], params(views=8), 0)
    whole, used = Shadows.loss, []

    def large(self: Any, carver: Any, progress: float, generator: Any, views: int) -> Any:
        used.append(views)
        if views > 3:
            torch.empty(1 << 60)  # really does not fit
        return whole(self, carver, progress, generator, views)

    monkeypatch.setattr(Shadows, "loss", large)
    training.step()
    training.step()
    assert used == [8, 4, 2, 2] and "goes on with 2" in training.limit.notes[-1]


def test_the_seed_decides_every_bit() -> None:
    scan, state = ball_scan(views=6)[0], torch.get_rng_state()
    one, same, other = (run_on(scan, Run(seed=seed), steps=5).volume for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)  # torch's global generator is left alone
    assert one.tobytes() == same.tobytes() and not np.array_equal(one, other)


def test_a_checkpoints_field_is_the_mixture_in_the_hull(tmp_path) -> None:
    scan, _ = ball_scan(views=6)
    kept = Checkpoints(tmp_path / "checkpoint.pt", {"method": "carve"}, every=0.0)
    run = Run(checkpoints=kept)
    result = run_on(scan, run, steps=5, refine=0)
    field = restored_field(kept.find().state, params(steps=5), scan.geometry)
    found = field(voxel_positions(scan.geometry)).view(scan.geometry.volume_shape)
    mixture = [torch.tensor(result.arrays[name]) for name in ("means", "quaternions", "log_scales", "log_amplitudes")]
    from benchmark.fields import Mixture

    expected = mixture_values(Mixture(*mixture), voxel_positions(scan.geometry)).view(found.shape) * torch.tensor(result.arrays["hull"])
    torch.testing.assert_close(found, expected)
    assert float(found.max()) > 0.5 * MU


# -- mistakes -----------------------------------------------------------------------------------------------------------


def test_a_view_of_nothing_among_others() -> None:
    scan, _ = ball_scan(views=6)
    projections = np.array(scan.projections)
    projections[[2, 4]] = 0
    with pytest.raises(InputError, match="silhouettes: expected pixels above 0.002 .*in every view, found none in 2 of 6 views.*view 2"):
        run_on(Scan(projections, scan.geometry))


def test_silhouettes_that_have_nothing_in_common() -> None:
    geometry = scanner(views=2, arc=180.0)
    projections = np.zeros(geometry.projection_shape)
    projections[0, :4], projections[1, -4:] = 1.0, 1.0  # one sees it at the bottom, the other at the top
    with pytest.raises(InputError, match="visual hull: expected voxels that every silhouette covers, found none"):
        run_on(Scan(projections, geometry))


def test_when_no_gaussian_is_left_the_error_says_so() -> None:
    with pytest.raises(InputError, match="at least one Gaussian.*none left.*Prune less"):
        run_on(ball_scan(views=6)[0], prune=1e6)


def test_air_is_air() -> None:
    geometry = scanner(views=2)
    result = run_on(Scan(np.zeros(geometry.projection_shape), geometry))
    assert not result.volume.any() and result.info["gaussians"] == 0


@pytest.mark.slow
def test_the_contract_is_kept() -> None:
    from benchmark.conformance.suite import chosen, examine
    from benchmark.plugins.registry import registry

    findings = list(examine(*chosen(registry(), "carve", ("carve.channels=4",))))
    assert [finding for finding in findings if finding.status == "failed"] == []
