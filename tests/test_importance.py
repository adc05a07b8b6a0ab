"""Importance samples: a quadrature against closed forms, unbiased under jitter, better than equal bins where it matters."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from benchmark.api import InputError, Rays, importance_integral, line_integral
from benchmark.machine import counters
from benchmark.projection.importance import importance_march

BOX = [[-50.0, -40.0, -30.0], [50.0, 40.0, 30.0]]


def some_rays(count: int, seed: int = 0, device: str = "cpu") -> Rays:
    """From all around towards points near the middle; some of them miss the box."""
    generator = torch.Generator().manual_seed(seed)
    origins = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1) * 200
    targets = 160 * (torch.rand(count, 3, generator=generator) - 0.5)
    return Rays(origins.to(device), (targets - origins).to(device))


def ball(positions: torch.Tensor, radius: float = 3.0) -> torch.Tensor:
    return (positions.square().sum(1) < radius**2).float()


def through_the_ball(count: int) -> Rays:
    """Parallel to x, 1 mm above the centre."""
    return Rays(torch.tensor([[-100.0, 0.0, 1.0]]).repeat(count, 1), torch.tensor([[1.0, 0.0, 0.0]]).repeat(count, 1))


@pytest.mark.parametrize("jitter", [None, torch.Generator().manual_seed(0)])
def test_the_bins_fill_each_chord(jitter: torch.Generator | None, device: str) -> None:
    rays = some_rays(200, device=device)
    chords = line_integral(lambda p: torch.ones_like(p[:, 0]), rays, BOX, samples=5)
    assert (chords == 0).any() and (chords > 0).any()
    cells = torch.ones(2, 3, 4, device=device)
    found = importance_integral(lambda p: torch.ones_like(p[:, 0]), rays, BOX, samples=7, importance=9, jitter=jitter, occupancy=cells)
    torch.testing.assert_close(found.cpu(), chords.cpu(), rtol=1e-4, atol=1e-3)


def test_samples_gather_where_the_field_is_dense() -> None:
    def slab(p: torch.Tensor) -> torch.Tensor:
        return ((p[:, 0] > 10) & (p[:, 0] < 20)).float()

    found = importance_march(slab, through_the_ball(1), BOX, samples=10, importance=40)
    inside = slab(found.positions).bool()
    assert len(found.positions) == 50 and found.rays.tolist() == [[0, 50]]
    assert (found.ts[1:, 0] > found.ts[:-1, 0]).all() and float(found.ts[:, 1].sum()) == pytest.approx(100, rel=1e-5)
    assert 36 <= int(inside.sum()) <= 40  # 0.9 of the importance samples and one of the coarse
    assert float((slab(found.positions) * found.ts[:, 1]).sum()) == pytest.approx(10, rel=0.05)


def test_without_importance_samples_it_is_the_usual_quadrature(device: str) -> None:
    def field(p: torch.Tensor) -> torch.Tensor:
        return torch.exp(-p.square().sum(1) / 800)

    rays = some_rays(100, device=device)
    found = importance_integral(field, rays, BOX, samples=30, importance=0)
    torch.testing.assert_close(found.cpu(), line_integral(field, rays, BOX, samples=30).cpu(), rtol=1e-4, atol=1e-4)


def test_the_chord_of_a_small_ball() -> None:
    """32 + 32 samples see a ball of 6 mm in 100 mm better than 64 (or even 96) equal bins do."""
    chord, rays = 2 * math.sqrt(3.0**2 - 1), through_the_ball(2000)
    generator = torch.Generator().manual_seed(1)
    found = importance_integral(ball, rays, BOX, samples=32, importance=32, jitter=generator)
    equal = line_integral(ball, rays, BOX, samples=96, jitter=generator)
    assert abs(float(found.mean()) - chord) < 4 * float(found.std()) / math.sqrt(2000)  # unbiased
    assert float(found.std()) < 0.5 * float(equal.std())


def test_unbiased_where_the_coarse_samples_see_nothing() -> None:
    """A ball between two coarse samples still counts as much as it should on the mean."""
    chord, rays = 2 * math.sqrt(3.0**2 - 1), through_the_ball(20000)
    found = importance_integral(ball, rays, BOX, samples=4, importance=4, jitter=torch.Generator().manual_seed(2))
    assert abs(float(found.mean()) - chord) < 4 * float(found.std()) / math.sqrt(20000)


def test_chunks_and_empty_cells() -> None:
    def field(p: torch.Tensor) -> torch.Tensor:
        return torch.exp(-p.square().sum(1) / 200)

    rays, half = some_rays(60), torch.ones(2, 1, 1, dtype=torch.bool)
    half[0] = False  # z < 0
    how: dict[str, Any] = {"samples": 20, "importance": 20}
    whole = importance_integral(field, rays, BOX, **how)
    torch.testing.assert_close(importance_integral(field, rays, BOX, chunk=200, **how), whole)
    upper = importance_integral(lambda p: field(p) * (p[:, 2] >= 0), rays, BOX, samples=200, importance=200)
    skipping = importance_integral(field, rays, BOX, samples=200, importance=200, occupancy=half)
    torch.testing.assert_close(skipping, upper, rtol=2e-2, atol=5e-2)
    assert importance_integral(field, rays[:0], BOX, **how).shape == (0,)


def test_the_maximum_of_a_narrow_peak(device: str) -> None:
    """More samples near it come nearer to its top than equal bins do, and none comes above it."""

    def peak(p: torch.Tensor) -> torch.Tensor:
        return torch.exp(-p.square().sum(1) / 18)

    through, generator = through_the_ball(200), torch.Generator().manual_seed(0)
    rays = Rays(through.origins.to(device), through.directions.to(device))
    found = importance_integral(peak, rays, BOX, samples=16, importance=16, jitter=generator, mode="max").cpu()
    equal = line_integral(peak, rays, BOX, samples=32, jitter=generator, mode="max").cpu()
    top = math.exp(-1 / 18)
    assert (found <= top + 1e-6).all() and float((top - found).mean()) < 0.5 * float((top - equal).mean())


def test_gradients_reach_the_field() -> None:
    amplitude, rays = torch.tensor(0.7, requires_grad=True), some_rays(50)
    found = importance_integral(lambda p: amplitude * torch.exp(-p.square().sum(1) / 800), rays, BOX, samples=20, importance=20)
    (gradient,) = torch.autograd.grad(found.sum(), amplitude)
    assert float(gradient) == pytest.approx(float(found.detach().sum()) / 0.7, rel=1e-4)


@pytest.mark.parametrize("occupied", [False, True])
def test_the_field_is_never_asked_outside_the_box(occupied: bool, device: str) -> None:
    asked = []

    def field(p: torch.Tensor) -> torch.Tensor:
        asked.append(p.cpu())
        return torch.exp(-p.square().sum(1) / 800)

    rays, cells = some_rays(200, device=device), torch.ones(2, 3, 4, dtype=torch.bool, device=device) if occupied else None
    hits = int((line_integral(lambda p: torch.ones_like(p[:, 0]), rays, BOX, samples=2) > 0).sum())
    counters.reset()
    found = importance_march(field, rays, BOX, samples=6, importance=5, occupancy=cells)
    assert 0 < hits < 200 and [len(positions) for positions in asked] == [6 * hits]
    assert counters.totals() == {"ray_samples": 6 * hits + len(found.positions)}
    assert (torch.cat(asked).abs() <= torch.tensor(BOX[1]) + 1e-3).all()


def test_rays_that_hit_do_not_depend_on_those_that_miss() -> None:
    rays = some_rays(200)
    hits = line_integral(lambda p: torch.ones_like(p[:, 0]), rays, BOX, samples=2) > 0
    alone = Rays(rays.origins[hits], rays.directions[hits])
    both, one = (importance_integral(ball, some, BOX, samples=6, importance=5) for some in (rays, alone))
    assert torch.equal(both[hits], one) and not both[~hits].any()


def test_wrong_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="samples >= 1"):
        importance_integral(ball, some_rays(3), BOX, samples=0, importance=4)
