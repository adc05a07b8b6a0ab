"""The field kernels against plain torch: values and gradients, determinism, closed forms."""

from __future__ import annotations

import pytest
import torch

from benchmark.errors import InputError
from benchmark.fields import MLP, HashGrid, Support, torch_twins, vm_encode, vm_grid, vm_network
from benchmark.fields.attenuation import trunc_exp


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gradients(value: torch.Tensor, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    weight = torch.linspace(-1, 1, value.numel()).view(value.shape).to(value.device)
    return [gradient.cpu() for gradient in torch.autograd.grad((value * weight).sum(), inputs)]


def on(device: str, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """Copies with gradients of their own."""
    return [tensor.detach().to(device).requires_grad_() for tensor in tensors]


@pytest.mark.parametrize("log2_entries", [8, 19])
def test_hash_grid_matches_plain_torch(log2_entries: int, device: str) -> None:
    grid = HashGrid(levels=4, base=4, finest=31, log2_entries=log2_entries, spread=1.0, generator=generator())
    points = (0.01 + 0.98 * torch.rand(1000, 3, generator=generator())).requires_grad_()  # at the faces the twin's clamp has no gradient
    twin = torch_twins.hash_grid(grid, points)
    expected = gradients(twin, [points, grid.table])
    (there,), grid = on(device, [points]), grid.to(device)
    ours = grid(there)
    torch.testing.assert_close(ours.cpu(), twin, atol=1e-5, rtol=1e-5)
    for mine, theirs in zip(gradients(ours, [there, grid.table]), expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-3)


def test_hash_grid_refuses_impossible_sizes() -> None:
    with pytest.raises(InputError, match="base <= finest"):
        HashGrid(base=64, finest=16)


@pytest.mark.parametrize(("points", "inputs", "outputs", "layers", "skip"), [(1000, 8, 1, 3, None), (257, 33, 3, 4, 2), (3, 5, 2, 1, None)])
def test_mlp_matches_plain_torch(points: int, inputs: int, outputs: int, layers: int, skip: int | None, device: str) -> None:
    mlp = MLP(inputs, outputs, hidden=30, layers=layers, skip=skip, generator=generator())
    values = torch.randn(points, inputs, generator=generator()).requires_grad_()
    twin = torch_twins.mlp(mlp, values)
    expected = gradients(twin, [values, mlp.weights])
    (there,), mlp = on(device, [values]), mlp.to(device)
    ours = mlp(there)
    torch.testing.assert_close(ours.cpu(), twin, atol=1e-5, rtol=1e-5)
    for mine, theirs in zip(gradients(ours, [there, mlp.weights]), expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-4)


def tensors(shape: tuple[int, int, int], channels: int = 5) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    nz, ny, nx = shape
    planes = [torch.randn(channels, *s, generator=generator(1)).requires_grad_() for s in ((ny, nx), (nz, ny), (nz, nx))]
    lines = [torch.randn(channels, n, generator=generator(2)).requires_grad_() for n in (nz, nx, ny)]
    return planes, lines


@pytest.mark.parametrize("shape", [(6, 7, 8), (1, 5, 1)])
def test_vector_matrix_matches_plain_torch(shape: tuple[int, int, int], device: str) -> None:
    planes, lines = tensors(shape)
    inputs = [torch.rand(700, 3, generator=generator()).requires_grad_(), *planes, *lines]
    there = on(device, inputs)
    ours, twin = vm_encode(there[0], there[1:4], there[4:]), torch_twins.vm_encode(inputs[0], planes, lines)
    torch.testing.assert_close(ours.cpu(), twin, atol=1e-5, rtol=1e-5)
    for mine, theirs in zip(gradients(ours, there), gradients(twin, inputs), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("part", [1.0, 0.4])
def test_vector_matrix_grid_is_the_encoding_at_voxel_centres(part: float, device: str) -> None:
    shape = (6, 7, 8)
    planes, lines = tensors(shape)
    mask = torch.rand(shape, generator=generator()) < part
    z, y, x = torch.meshgrid(*[(torch.arange(n) + 0.5) / n for n in shape], indexing="ij")
    points = torch.stack([x, y, z], -1)[mask]
    there = on(device, planes + lines)
    grid, encoded = vm_grid(there[:3], there[3:], Support(mask.to(device))), vm_encode(points, planes, lines)
    torch.testing.assert_close(grid.cpu(), encoded, atol=1e-5, rtol=1e-5)
    for mine, theirs in zip(gradients(grid, there), gradients(encoded, planes + lines), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(("channels", "hidden", "layers", "skip", "outputs"), [(16, 32, 3, None, 1), (5, 30, 4, 2, 6), (1, 8, 1, None, 2)])
def test_fused_features_and_network_are_those_one_after_the_other(
    channels: int, hidden: int, layers: int, skip: int | None, outputs: int, device: str
) -> None:
    shape = (6, 7, 90)  # runs of many lengths, some longer than a tile
    planes, lines = tensors(shape, channels)
    network = MLP(3 * channels, outputs, hidden=hidden, layers=layers, skip=skip, generator=generator())
    support = Support(torch.rand(shape, generator=generator()).cumsum(2) % 6 > 2)
    twin = torch_twins.mlp(network, vm_grid(planes, lines, support))
    expected = gradients(twin, [*planes, *lines, network.weights])
    there, network = on(device, planes + lines), network.to(device)
    ours = vm_network(there[:3], there[3:], network, Support(support.mask.to(device)))
    torch.testing.assert_close(ours.cpu(), twin, atol=1e-4, rtol=1e-4)
    for mine, theirs in zip(gradients(ours, [*there, network.weights]), expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("mask", [torch.zeros(2, 3, 4), torch.ones(2, 3, 4), torch.eye(3).expand(2, 3, 3)], ids=["none", "all", "diagonal"])
def test_fused_features_and_network_on_supports_of_few_voxels(mask: torch.Tensor) -> None:
    nz, ny, nx = mask.shape
    planes, lines = tensors((nz, ny, nx), 2)
    network, support = MLP(6, hidden=4, generator=generator()), Support(mask.bool())
    inputs = [*planes, *lines, network.weights]
    ours, plain = vm_network(planes, lines, network, support), network(vm_grid(planes, lines, support))
    torch.testing.assert_close(ours, plain)
    for mine, theirs in zip(gradients(ours, inputs), gradients(plain, inputs), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_network_of_other_inputs_and_tensors_of_other_grids_are_refused() -> None:
    planes, lines = tensors((2, 3, 4), 2)
    with pytest.raises(InputError, match="three inputs for each channel"):
        vm_network(planes, lines, MLP(5), Support.everywhere((2, 3, 4)))
    with pytest.raises(InputError, match="of one grid"):
        vm_network(planes, lines, MLP(6), Support.everywhere((2, 3, 5)))


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    planes, lines = tensors((9, 8, 7))
    grid = HashGrid(levels=3, base=4, finest=16, spread=1.0, generator=generator())
    mlp, network = MLP(6, hidden=16, generator=generator()), MLP(15, hidden=16, generator=generator())
    support = Support(torch.rand(9, 8, 7, generator=generator()) < 0.7)
    points = torch.rand(5000, 3, generator=generator()).requires_grad_()
    results, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            field, features = mlp(grid(points)), vm_encode(points, planes, lines)
            results.append([field, features, *gradients(field, [grid.table, mlp.weights]), *gradients(features, [points, *planes, *lines])])
            fused = vm_network(planes, lines, network, support)
            results[-1] += [fused, *gradients(fused, [*planes, *lines, network.weights])]
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_trunc_exp_is_exp_with_a_bounded_gradient() -> None:
    x = torch.tensor([0.0, 1.0, 20.0], requires_grad=True)
    y = trunc_exp(x)
    torch.testing.assert_close(y, x.exp())
    y.sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([0.0, 1.0, 15.0]).exp())
