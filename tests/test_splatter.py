"""The splatter: its kernels against plain torch in float64, what hides what, its limits, and the same bits for any number of threads."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from pinholes import looking

from benchmark.api import ConeBeamGeometry, InputError
from benchmark.datasets.multiview.frames import ring
from benchmark.fields import Splats, splat, torch_twins
from benchmark.fields.splatter import FAINTEST, OPAQUE, nearest_first
from benchmark.kernels.sources import SHARED_SOURCES

pytestmark = pytest.mark.usefixtures("one_thread")


def splats(count: int = 40, scale: float = 6.0, spread: float = 1.5) -> Splats:
    """Standard deviations of scale (0.5 .. 0.5 + spread) mm."""
    generator = torch.Generator().manual_seed(0)
    means = 120 * torch.rand(count, 3, generator=generator) - 60
    scales = scale * (0.5 + spread * torch.rand(count, 3, generator=generator))
    quaternions = 2 * torch.randn(count, 4, generator=generator)
    opacities, colours = 0.1 + 0.85 * torch.rand(count, generator=generator), torch.rand(count, 3, generator=generator)
    return with_gradients(means, quaternions, scales.log(), opacities, colours)


def with_gradients(*parameters: torch.Tensor) -> Splats:
    return Splats(*(tensor.clone().requires_grad_() for tensor in parameters))


def on(device: str, parameters: Splats) -> Splats:
    """The same Gaussians on a device; gradients flow back."""
    return Splats(*(tensor.to(device) for tensor in parameters))


def both(parameters: Splats, geometry: ConeBeamGeometry, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Ours, on the CPU, and the twin's in float64."""
    twin = torch_twins.splat(Splats(*(tensor.double() for tensor in parameters)), geometry)
    return splat(on(device, parameters), geometry).cpu(), twin


def gradients(images: torch.Tensor, parameters: Splats) -> tuple[torch.Tensor, ...]:
    weight = torch.linspace(-3, 5, images.numel()).sin().view_as(images)
    return torch.autograd.grad((images * weight).sum(), parameters, retain_graph=True)


# -- against the twin ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale, skew", [(2.0, 0.0), (6.0, 8.0), (40.0, 0.0)])
def test_the_splatter_matches_its_twin(scale: float, skew: float, device: str) -> None:
    _, geometry = looking(skew=skew)
    parameters = splats(scale=scale)
    ours, twin = both(parameters, geometry, device)
    opacity = twin[..., 3].detach()
    assert float(opacity.max()) > 0.3 and float(opacity.min()) < 0.3
    off = (ours.double() - twin).abs().detach()
    assert float(off.max()) < 2 * FAINTEST and float(off.mean()) < 1e-5  # a pixel may be on the other side of the faintest opacity
    for mine, theirs in zip(gradients(ours, parameters), gradients(twin, parameters), strict=True):
        assert float(theirs.norm()) > 0
        assert float((mine - theirs).norm() / theirs.norm()) < 5e-3


@pytest.mark.parametrize("scale, spread", [(1.0, 1.5), (1.0, 40.0)])
def test_no_pixel_misses_a_gaussian(scale: float, spread: float, device: str) -> None:
    """Small ones between pixels, and long thin ones at all angles."""
    ours, twin = both(splats(150, scale, spread), looking((40, 50))[1], device)
    off = (ours.double() - twin).abs().detach()
    assert float(twin[..., 3].detach().mean()) > 0.002
    assert float(off.max()) < 2 * FAINTEST and float(off.mean()) < 1e-5


def special(geometry: ConeBeamGeometry) -> Splats:
    """Alone: behind the first camera, around it, beside it, off its picture; on the borders and corners of bands and tiles, in its
    pixels' middles and between them, with opacities about both limits.
    """
    source, centre, u, v = torch.from_numpy(geometry.vectors()[0]).float()
    towards, (rows, columns) = centre - source, geometry.detector_shape

    def at(row: float, column: float, depth: float) -> torch.Tensor:
        return source + depth * (towards + (column - (columns - 1) / 2) * u + (row - (rows - 1) / 2) * v)

    apart = [source - 0.2 * towards, source + 0.01 * towards, source + 0.001 * towards + 300 * u / u.norm(), at(60.0, -40.0, 0.8)]
    border = [at(7.5, 15.5, 0.9), at(15.5, 15.5, 0.95), at(8.0, 16.0, 1.0), at(15.0, 4.0, 1.05), at(0.0, 0.0, 0.85), at(20.0, 29.0, 1.1)]
    limits = [0.0, 0.99 * FAINTEST, 1.01 * FAINTEST, 0.5, 0.9899, 1.0]
    places = [at(4.05 + 2 * n, 24.05 - 3 * n, 0.9 + 0.02 * n) for n in range(len(limits))]
    means = torch.stack(apart + border + places)
    generator = torch.Generator().manual_seed(1)
    scales = torch.full((len(means), 3), 15.0) * (0.7 + 0.6 * torch.rand(len(means), 3, generator=generator))
    scales[2] *= 12  # so that it is seen
    opacities = torch.tensor([0.9, 0.6, 0.7, 0.9, *torch.linspace(0.3, 0.95, len(border)).tolist(), *limits])
    shown = torch.rand(len(means), 3, generator=generator)
    return with_gradients(means, torch.randn(len(means), 4, generator=generator), scales.log(), opacities, shown)


def test_gaussians_at_the_limits_match_the_twin(device: str) -> None:
    """Gradients Gaussian by Gaussian."""
    geometry = looking(skew=4.0)[1]
    parameters = special(geometry)
    ours, twin = both(parameters, geometry, device)
    off = (ours.double() - twin).abs().detach()
    assert float(off.max()) < 2 * FAINTEST and float(off.mean()) < 1e-5
    first = [gradients(images[:1], parameters) for images in (ours, twin)]  # of the camera that they are about
    every = [gradients(images, parameters) for images in (ours, twin)]
    for found, expected in (first, every):
        for mine, theirs in zip(found, expected, strict=True):
            size, wrong = (part.reshape(len(part), -1).norm(dim=1) for part in (theirs, mine - theirs))
            assert bool((wrong <= 1e-4 * size + 1e-5 * size.max()).all())
    for mine in first[0]:
        assert not mine[0].any() and not mine[10:12].any()  # behind the camera, and too faint
    assert all(bool((mine.abs().reshape(16, -1).amax(1)[[1, 2, *range(4, 10), 12, 13, 14, 15]] > 0).all()) for mine in first[0])


def test_many_opaque_layers_have_gradients(device: str) -> None:
    """40 of them leave 1e-80 of a pixel, which is none in float32."""
    geometry = looking()[1]
    source = torch.from_numpy(geometry.vectors()[0, 0]).float()
    count = 40
    means = source[None] * torch.linspace(0.5, -0.5, count)[:, None]
    generator = torch.Generator().manual_seed(2)
    scales, quaternions = 60 + 40 * torch.rand(count, 3, generator=generator), torch.randn(count, 4, generator=generator)
    parameters = with_gradients(means, quaternions, scales.log(), torch.ones(count), torch.rand(count, 3, generator=generator))
    ours, twin = both(parameters, geometry, device)
    assert float((1 - twin[..., 3].detach()).abs().min()) < 1e-15
    torch.testing.assert_close(ours.double(), twin, rtol=0, atol=1e-5)
    for mine, theirs in zip(gradients(ours, parameters), gradients(twin, parameters), strict=True):
        assert float(theirs.norm()) > 0 and float((mine - theirs).norm() / theirs.norm()) < 1e-3


# -- laws ---------------------------------------------------------------------------------------------------------------


def test_what_is_nearer_hides_what_is_behind_it(device: str) -> None:
    cameras, geometry = looking()
    source = torch.from_numpy(geometry.vectors()[0, 0]).float()
    column, row = np.rint(cameras.pixels(np.zeros((1, 3)))[0][0, 0]).astype(int)
    means = torch.stack([0.2 * source, torch.zeros(3), -0.2 * source, 1.5 * source])  # the last one is behind the camera
    colours = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [1.0, 1.0, 1.0]])
    sizes = torch.full((4, 3), 30.0).log()
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        parameters = Splats(means[order], torch.eye(4)[:1].repeat(4, 1), sizes, torch.full((4,), 0.5), colours[order])
        view = splat(on(device, parameters), geometry, [0])[0].cpu()
        middle = view[geometry.detector_shape[0] - 1 - row, column]  # all four lie on one line through the camera and this pixel
        torch.testing.assert_close(middle, torch.tensor([0.5, 0.25, 0.125, 0.875]), rtol=0, atol=0.01)


def test_some_views_are_a_part(device: str) -> None:
    _, geometry = looking()
    parameters = on(device, splats())
    assert torch.equal(splat(parameters, geometry, [2, 0]).cpu(), splat(parameters, geometry).cpu()[[2, 0]])


@pytest.mark.parametrize("pairs", [20, 57, 150])
def test_gaussians_in_one_place_keep_their_order_in_any_choice_of_views(pairs: int) -> None:
    """Depths must not depend on where in the arrays a Gaussian stands, nor on what other views are asked for."""
    half = splats(pairs).means.detach()
    geometry = ring(9, 32).geometry((21, 30), volume_shape=(8, 8, 8), volume_spacing=(20.0, 20.0, 20.0))
    means, vectors = torch.cat([half, half]), geometry.vectors()
    order = nearest_first(means, vectors)
    places = torch.argsort(order, dim=1)
    assert bool((places[:, :pairs] < places[:, pairs:]).all())
    assert all(torch.equal(nearest_first(means, vectors[n : n + 1])[0], order[n]) for n in range(9))


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    _, geometry = looking((50, 40))
    parameters, results = splats(300), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        images = splat(parameters, geometry)
        results.append([images, *gradients(images, parameters)])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_picture_of_nothing_is_black(device: str) -> None:
    _, geometry = looking()
    parameters = splats(3)
    away = on(device, parameters._replace(means=parameters.means + 1e4))
    images = splat(away, geometry)
    assert not images.cpu().any()
    assert not any(part.any() for part in gradients(images.cpu(), parameters))


def test_gaussians_that_are_none() -> None:
    _, geometry = looking()
    with pytest.raises(InputError, match="at least one Gaussian, found none left"):
        splat(Splats(*(tensor[:0] for tensor in splats())), geometry)
    with pytest.raises(InputError, match="finite colours"):
        splat(splats()._replace(colours=torch.full((40, 3), float("nan"))), geometry)


def test_the_kernels_have_the_same_limits() -> None:
    text = (SHARED_SOURCES / "splatter.h").read_text()
    found = re.search(r"SPLAT_FAINTEST = 1.0f / (\d+).0f, SPLAT_OPAQUE = ([\d.]+)f", text)
    assert found is not None and (1 / int(found[1]), float(found[2])) == (FAINTEST, OPAQUE)
