"""Maximum projections: soft maxima of Gaussians against plain torch and their laws, and volumes rendered by their maxima."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import twins
from balls import ball_scan
from test_gaussians import EXACT, compare, geometry, mixture, on

from benchmark.api import InputError, Run, Scan, line_integral, upper_bound, view_rays
from benchmark.fields import (
    Measurements,
    Mixture,
    MixtureMaxima,
    data_consistent,
    mixture_values,
    variation_weight,
    voxel_positions,
    voxelise,
    voxelise_maxima,
)
from benchmark.methods.gaussians import SPEC as GAUSSIANS
from benchmark.methods.gaussians import GaussiansParams
from benchmark.methods.gaussians.density import Population
from benchmark.methods.gaussians.neuron import turned_to
from benchmark.methods.gaussians.reconstruct import reconstruct
from benchmark.methods.gaussians.start import start_mixture
from benchmark.methods.naf import SPEC as NAF
from benchmark.methods.zerorf import SPEC as ZERORF
from benchmark.plugins.specs import resolve
from benchmark.projection.rendering import interpolated, rendered

COLD, WARM = 0.0004, 0.01  # temperatures [1/mm]; amplitudes are 0.01 .. 0.03


pytestmark = pytest.mark.usefixtures("one_thread")


def bright() -> Mixture:
    """Three round Gaussians, of which no two look alike."""
    means = torch.tensor([[20.0, -15.0, 8.0], [-30.0, 20.0, -12.0], [5.0, 35.0, 15.0]])
    log_scales = torch.tensor([10.0, 14.0, 8.0]).log()[:, None].repeat(1, 3)
    return Mixture(means, torch.tensor([[1.0, 0, 0, 0]]).repeat(3, 1), log_scales, torch.tensor([1.0, 0.6, 0.8]).log())


def scan_of_maxima(views: int = 8, **changes: Any) -> Scan:
    scanned = geometry(**{"angles": np.linspace(0.1, 6, views), "source_height": 0.0, "detector_offset": (0.0, 0.0), **changes})
    return Scan(MixtureMaxima(scanned, 0.0)(bright()).numpy(), scanned, composite="max")


# -- the kernels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [COLD, WARM])
@pytest.mark.parametrize("scale", [4.0, 60.0])
def test_projections_match_the_twin(scale: float, temperature: float, device: str) -> None:
    scanned, parameters = geometry(), mixture(scale=scale)
    rays = view_rays(scanned)
    twin = twins.soft_maximum(twins.gaussian_peaks(parameters, rays.origins, rays.directions), temperature)
    compare(MixtureMaxima(scanned, temperature, EXACT)(on(device, parameters)), twin.view(scanned.projection_shape), parameters)


@pytest.mark.parametrize("temperature", [COLD, WARM])
@pytest.mark.parametrize("scale", [12.0, 60.0])
def test_volumes_match_the_twin(scale: float, temperature: float, device: str) -> None:
    scanned, parameters = geometry(), mixture(scale=scale)
    twin = twins.soft_maximum(twins.gaussian_values(parameters, voxel_positions(scanned)), temperature)
    compare(voxelise_maxima(on(device, parameters), scanned, temperature, cutoff=EXACT), twin.view(scanned.volume_shape), parameters)


def test_peaks_are_the_largest_values_along_the_rays(device: str) -> None:
    """Against points along each ray, without a formula for where the largest is."""
    scanned, parameters = geometry(detector_shape=(5, 6), detector_pitch=(50.0, 50.0)), mixture(6)
    rays = view_rays(scanned)
    t = torch.arange(100, 900, 1.0, dtype=torch.float64)
    points = rays.origins[:, None].double() + t[:, None] * rays.directions[:, None].double()
    with torch.no_grad():
        most = twins.gaussian_values(parameters, points.view(-1, 3)).view(len(rays), -1).amax(1)
    peaks = MixtureMaxima(scanned, 0.0, EXACT)(on(device, parameters)).cpu().view(-1)
    torch.testing.assert_close(peaks.double(), most, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("temperature", [None, 0.0, COLD, WARM])
def test_values_at_points(temperature: float | None, device: str) -> None:
    scanned, parameters = geometry(), mixture(200)
    points = voxel_positions(scanned)[torch.randperm(2000, generator=torch.Generator().manual_seed(0))]
    with torch.no_grad():
        each = twins.gaussian_values(parameters, points)
        twin = each.sum(1) if temperature is None else twins.soft_maximum(each, temperature) if temperature else each.amax(1)
    there, points = on(device, parameters), points.to(device)
    torch.testing.assert_close(mixture_values(there, points, temperature, EXACT).cpu().double(), twin, rtol=2e-4, atol=1e-7)
    assert mixture_values(there, points[:0], temperature).shape == (0,)
    one = mixture_values(there, points[:1], temperature, EXACT)  # a grid of no extent
    torch.testing.assert_close(one.cpu().double(), twin[:1], rtol=2e-4, atol=1e-7)


def test_a_soft_maximum_lies_between_the_maximum_and_the_sum() -> None:
    scanned, parameters = geometry(), mixture(40, scale=30.0)
    exact, volume = MixtureMaxima(scanned, 0.0)(parameters), voxelise(parameters, scanned)
    before = exact
    for temperature in (COLD, 0.002, WARM):
        soft = MixtureMaxima(scanned, temperature)(parameters).detach()
        assert (soft >= before - 1e-6).all() and (soft <= exact + temperature * math.log(40) + 1e-6).all()
        assert (voxelise_maxima(parameters, scanned, temperature) <= volume + 1e-6).all()
        before = soft
    alone = Mixture(*(tensor[:1] for tensor in parameters))
    torch.testing.assert_close(MixtureMaxima(scanned, COLD)(alone), MixtureMaxima(scanned, 0.0)(alone), rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(voxelise_maxima(alone, scanned, COLD), voxelise(alone, scanned), rtol=1e-4, atol=1e-7)


def test_the_maximum_of_the_volume_is_the_maximum_of_the_gaussians() -> None:
    """Projecting commutes with the maximum: what is fitted is what the harness renders."""
    scanned = geometry(volume_shape=(45, 75, 90), volume_spacing=(3.0, 2.4, 1.8), volume_offset=(0.0, 0.0, 0.0))
    volume = voxelise_maxima(bright(), scanned, 0.0)
    images = MixtureMaxima(scanned, 0.0)(bright()).numpy()
    assert np.abs(rendered(volume.numpy(), scanned, "max") - images).max() < 0.02


def test_nothing_overflows_however_cold_it_is(device: str) -> None:
    scanned, parameters = geometry(), mixture(40, scale=30.0)
    for temperature in (1e-30, 1e-9):
        images = MixtureMaxima(scanned, temperature)(on(device, parameters)).cpu()
        torch.testing.assert_close(images.detach(), MixtureMaxima(scanned, 0.0)(parameters), rtol=1e-5, atol=1e-7)
        assert all(torch.isfinite(part).all() for part in torch.autograd.grad(images.sum(), parameters))
        assert torch.isfinite(voxelise_maxima(on(device, parameters), scanned, temperature).cpu()).all()


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    parameters, results = mixture(300), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found = [MixtureMaxima(geometry(), WARM)(parameters), voxelise_maxima(parameters, geometry(), WARM)]
        gradients = [torch.autograd.grad(value.square().sum(), parameters, retain_graph=True) for value in found]
        results.append([*found, *gradients[0], *gradients[1], mixture_values(parameters, voxel_positions(geometry()), WARM)])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_parts_are_parts() -> None:
    scanned, parameters = geometry(), mixture()
    maxima, block = MixtureMaxima(scanned, WARM), (slice(2, 7), slice(3, 15), slice(5, 6))
    assert torch.equal(maxima(parameters, [3, 1]), maxima(parameters)[[3, 1]])
    whole = voxelise_maxima(parameters, scanned, WARM, supersample=2)
    torch.testing.assert_close(voxelise_maxima(parameters, scanned, WARM, supersample=2, block=block), whole[block], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("temperature", [-1.0, math.inf, math.nan])
def test_temperatures_that_are_none(temperature: float) -> None:
    with pytest.raises(InputError, match="temperature: expected a number from 0"):
        MixtureMaxima(geometry(), temperature)


def test_points_that_are_none() -> None:
    with pytest.raises(InputError, match="positions: expected"):
        mixture_values(mixture(), torch.zeros(3))
    with pytest.raises(InputError, match="none left"):
        mixture_values(Mixture(*(tensor[:0] for tensor in mixture())), torch.zeros(1, 3))


# -- volumes and their maxima ---------------------------------------------------------------------------------------------


def test_a_volume_is_interpolated_between_voxel_centres_and_constant_at_the_faces() -> None:
    scanned = geometry()
    z, y, x = (torch.from_numpy(scanned.voxel_centres(axis)).float() for axis in range(3))
    volume = 1 + 0.01 * z[:, None, None] - 0.02 * y[None, :, None] + 0.03 * x
    field = interpolated(volume, scanned)
    inside = torch.tensor([[-40.0, 13.0, 6.0], [5.5, -60.0, -31.0], [float(x[2]), float(y[3]), float(z[4])]])
    expected = 1 + inside @ torch.tensor([0.03, -0.02, 0.01])
    torch.testing.assert_close(field(inside), expected, rtol=1e-4, atol=1e-5)
    corner = torch.tensor(scanned.volume_bounds[1], dtype=torch.float32)[None]
    torch.testing.assert_close(field(corner), volume[-1, -1, -1][None])


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_rendered_maxima_are_in_the_volumes_unit_and_of_its_largest_voxel(factor: float) -> None:
    scanned, volume = geometry(volume_offset=(0.0, 0.0, 0.0)), np.zeros((9, 15, 18), dtype=np.float32)
    volume[3:6, 6:9, 7:10] = 0.5 * factor
    images = rendered(volume, scanned, "max")
    np.testing.assert_allclose(images.max((1, 2)), 0.5 * factor, rtol=1e-6)
    assert images.min() == 0
    np.testing.assert_allclose(rendered(np.full_like(volume, factor), scanned, "max").max((1, 2)), factor, rtol=1e-6)


def test_nowhere_is_a_volume_above_its_upper_bound(device: str) -> None:
    scan = scan_of_maxima(20, detector_shape=(80, 100), detector_pitch=(4.0, 4.0))
    bound, truth = upper_bound(scan, device).cpu(), voxelise_maxima(bright(), scan.geometry, 0.0)
    assert (bound >= truth - 0.02).all()  # values between pixels are interpolated
    assert float((bound - truth).mean()) < 0.1
    one = dataclasses.replace(scan, geometry=scan.geometry.subset([0]), projections=np.ones_like(scan.projections[:1]))
    torch.testing.assert_close(upper_bound(one), torch.ones(one.geometry.volume_shape))


def test_the_mean_of_a_constant_box_is_its_value() -> None:
    scan = scan_of_maxima()
    rays, bounds = view_rays(scan.geometry), scan.geometry.volume_bounds
    constant = line_integral(lambda p: torch.full((len(p),), 0.7), rays, bounds, samples=3, mode="max")
    scan = dataclasses.replace(scan, projections=constant.numpy().reshape(scan.projections.shape))
    assert abs(Measurements(scan).mean_attenuation - 0.7) < 1e-6


# -- methods on maxima ----------------------------------------------------------------------------------------------------


def run_on(scan: Scan, **changes: Any) -> Any:
    run = Run()
    run.clock.start()
    return reconstruct(scan, GaussiansParams(**{"steps": 60, "gaussians": 150, "every": 15, "tv_block": 8, **changes}), run)


def relative_error(volume: np.ndarray, scan: Scan) -> float:
    truth = voxelise_maxima(bright(), scan.geometry, 0.0, supersample=2).numpy()
    return float(np.linalg.norm(volume - truth) / np.linalg.norm(truth))


@pytest.mark.parametrize("changes", [{}, {"loss": "l2", "ssim": 0.2, "scale": 0.01, "tv": 0.0}, {"start": "random", "steps": 150}])
def test_gaussians_fit_maxima(changes: dict[str, Any]) -> None:
    scan = scan_of_maxima(16)
    result = run_on(scan, **changes)
    assert relative_error(result.volume, scan) < 0.25
    assert result.info["start"] == changes.get("start", "bound") and result.info["refine"] == 0


@pytest.mark.parametrize("split", [0.3, 100.0])
def test_halves_show_what_the_whole_showed(split: float) -> None:
    scan = scan_of_maxima()
    params = GaussiansParams(gaussians=100, split=split, grow=1.0, prune=0.0)
    start = start_mixture(scan, params, torch.Generator().manual_seed(0))[0]
    people = Population(start, params, torch.tensor(scan.geometry.volume_bounds).float(), 10.0, 0.01, "max")
    maxima = MixtureMaxima(scan.geometry, 0.02)
    people.step(maxima(people.mixture).mean())
    before = maxima(people.mixture).detach()
    people.control(torch.Generator().manual_seed(0))
    after = maxima(people.mixture).detach()
    assert people.mixture.size == 200
    assert float((after - before).norm() / before.norm()) < 0.2


@pytest.mark.parametrize("kind", ["fdk", "sart"])
def test_maxima_give_no_backprojection_to_start_from(kind: str) -> None:
    with pytest.raises(InputError, match=rf"gaussians\.start: expected one of bound, random, swc for such views, found '{kind}'"):
        run_on(scan_of_maxima(), start=kind)
    with pytest.raises(InputError, match="expected one of fdk, sart, random, swc for such views, found 'bound'"):
        run_on(dataclasses.replace(scan_of_maxima(), composite="sum"), start="bound")


@pytest.mark.parametrize(
    ("spec", "settings"),
    [
        (NAF, {"steps": 400, "rays": 256, "render": "grid"}),
        (ZERORF, {"members": 1, "steps": 150, "rays": 256, "rays_end": 256, "channels": (8, 8), "features": 4, "hidden": 16}),
    ],
)
def test_neural_fields_fit_maxima_by_rays(spec: Any, settings: dict[str, Any]) -> None:
    scan, run = scan_of_maxima(16), Run()
    run.clock.start()
    result = resolve(spec.target)(scan, spec.params(**settings), run)
    assert result.info["render"] == "rays"
    assert relative_error(result.volume, scan) < 0.35


def test_what_only_line_integrals_give_is_refused_or_left_alone() -> None:
    scan = scan_of_maxima()
    volume = torch.rand(scan.geometry.volume_shape)
    assert data_consistent(volume, scan, 20) is volume
    assert variation_weight(0.0, scan, Run()) == 0
    for weight in (0.1, "auto"):
        with pytest.raises(InputError, match="total variation: expected 0 where the views are maxima"):
            variation_weight(weight, scan, Run())


@pytest.mark.parametrize("spec, preset", [(NAF, "tv"), (ZERORF, "tv"), (ZERORF, "guided")])
def test_presets_with_total_variation_skip_maxima(spec: Any, preset: str) -> None:
    why_not, scan = resolve(spec.skip), scan_of_maxima()
    assert f"{preset}: total variation needs line integrals" in why_not(scan, spec.params(**spec.presets[preset]))
    assert why_not(scan, spec.params()) == why_not(ball_scan()[0], spec.params(**spec.presets[preset])) == ""


# -- along a neuron ---------------------------------------------------------------------------------------------------------


NEURON = "1 1 {x} {y} {z} 12 -1\n2 3 {x2} {y} {z} 6 1\n3 3 {x2} {y2} {z} 6 2\n"


def neuron_file(folder: Path, scale: float = 1.0, shift: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> str:
    """An L in the middle of the scan's box, written in another unit and from another origin."""
    x, y, z = shift
    places = {"x": (x - 30) / scale, "x2": (x + 30) / scale, "y": (y - 20) / scale, "y2": (y + 40) / scale, "z": z / scale}
    path = folder / "l.swc"
    path.write_text(NEURON.format(**places).replace(" 12 ", f" {12 / scale} ").replace(" 6 ", f" {6 / scale} "))
    return str(path)


@pytest.mark.parametrize(("scale", "origin"), [(1.0, "middle"), (0.5, "corner")])
def test_gaussians_start_along_a_neuron(scale: float, origin: Any, tmp_path: Path) -> None:
    scan = scan_of_maxima(volume_offset=(0.0, 0.0, 0.0))
    lower = -scan.geometry.volume_bounds[0]
    path = neuron_file(tmp_path, scale, tuple(lower) if origin == "corner" else (0.0, 0.0, 0.0))
    params = GaussiansParams(swc=path, swc_scale=scale, swc_origin=origin)
    start, kind = start_mixture(scan, params, torch.Generator())
    assert kind == "swc"
    from_axis = (start.means - torch.tensor([30.0, -20.0, 0.0])).clamp(min=torch.tensor([-60.0, 0, 0]), max=torch.tensor([0.0, 60, 0]))
    beside = (start.means - torch.tensor([30.0, -20.0, 0.0]) - from_axis).norm(dim=1)
    assert beside.max() < 1e-3 and start.size >= 10
    along = torch.tensor([0.0, -20.0, 0.0]) + torch.linspace(-25, 25, 200)[:, None] * torch.tensor([1.0, 0.0, 0.0])
    values = mixture_values(start, along, 0.0)  # on the first edge: bright without a gap
    assert values.min() > 0.65 * values.max() > 0.3


def test_a_neuron_may_start_a_scan_of_line_integrals_and_cap_counts(tmp_path: Path) -> None:
    scan = dataclasses.replace(scan_of_maxima(volume_offset=(0.0, 0.0, 0.0)), composite="sum")
    start, kind = start_mixture(scan, GaussiansParams(start="swc", swc=neuron_file(tmp_path), cap=5), torch.Generator())
    assert kind == "swc" and start.size == 5


def test_a_neuron_elsewhere_is_an_error_that_names_scale_and_origin(tmp_path: Path) -> None:
    params = GaussiansParams(swc=neuron_file(tmp_path), swc_scale=1000.0)
    with pytest.raises(InputError, match=r"a neuron inside the volume of 162 x 180 x 135 mm, found 3 of 3 nodes outside.*swc_scale"):
        start_mixture(scan_of_maxima(), params, torch.Generator())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"start": "swc"}, "swc: expected a file"),
        ({"swc": "nowhere.swc"}, "expected an SWC file, found none"),
        ({"start": "random"}, "start: expected swc"),
        ({"swc_digest": "0123"}, "the content that was asked for, 0123"),
        ({"content": "1 1 0 0 0 5 2\n2 1 0 0 0 5 1\n"}, "found a cycle: 1 -> 2 -> 1"),
    ],
)
def test_what_is_wrong_with_a_neuron_is_said_before_anything_runs(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    if "content" in values:
        Path(neuron_file(tmp_path)).write_text(values["content"])
    given = {} if "start" in values and values["start"] == "swc" else {"swc": str(tmp_path / "l.swc")}
    if "content" not in values:
        neuron_file(tmp_path)
    with pytest.raises(ValueError, match=message):
        GaussiansParams(**{**given, **{key: value for key, value in values.items() if key != "content"}})


def test_another_content_is_another_run(tmp_path: Path) -> None:
    one = GaussiansParams(swc=neuron_file(tmp_path))
    assert GaussiansParams(**one.model_dump()) == one
    other = GaussiansParams(swc=neuron_file(tmp_path, 2.0))
    assert one.swc == other.swc and one.swc_digest != other.swc_digest


def test_turns_of_x() -> None:
    from benchmark.fields import rotations

    directions = torch.nn.functional.normalize(torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    directions = torch.cat([directions, torch.eye(3), -torch.eye(3)])
    turned = rotations(torch.tensor(turned_to(directions.double().numpy()), dtype=torch.float32))[:, :, 0]
    torch.testing.assert_close(turned, directions, rtol=0, atol=1e-5)


def test_the_method_declares_what_it_understands() -> None:
    assert {spec.composites for spec in (GAUSSIANS, NAF, ZERORF)} == {("sum", "max")}
