"""naf on tiny-cuda-nn: what is asked of it, and what is said where it is missing. What needs it is marked gpu."""

from __future__ import annotations

import contextlib
import itertools
import math
import sys
import types
from typing import Any

import numpy as np
import pytest
import torch
from balls import ball_scan, error
from pydantic import ValidationError
from torch import nn

import benchmark.methods.naf.reconstruct as naf
from benchmark.api import InputError, MissingDependency, Run
from benchmark.fields import MLP, HashGrid, TinyCudaField, tiny_cuda
from benchmark.methods.naf import NafParams
from benchmark.methods.naf.reconstruct import reconstruct

SIZES: dict[str, Any] = {"levels": 3, "base": 4, "finest": 16, "log2_entries": 10, "hidden": 16, "layers": 3, "seed": 5}
TINY: dict[str, Any] = {"steps": 60, "base": 4, "log2_entries": 10, "hidden": 16, "learning_rate": 0.02, "engine": "tinycudann"}


ENCODING = {"n_levels": 16, "n_features_per_level": 2, "log2_hashmap_size": 19, "base_resolution": 16, "per_level_scale": 2.0}
NETWORK = {"activation": "ReLU", "output_activation": "None", "n_neurons": 128, "n_hidden_layers": 5}
SLOPES = {"None": 1.0, "ReLU": 0.0, "LeakyReLU": 0.01}


class NetworkWithInputEncoding(nn.Module):
    """tiny-cuda-nn's class of that name in plain torch, by its documentation and owing nothing to our parts.

    It is stricter in one thing: what is misspelt is an error there only for names of types, here for all keys.
    """

    def __init__(self, inputs: int, outputs: int, encoding: dict[str, Any], network: dict[str, Any], seed: int = 1337) -> None:
        super().__init__()
        assert inputs == 3 and encoding["otype"] == "HashGrid" and network["otype"] in ("FullyFusedMLP", "CutlassMLP")
        assert not (encoding.keys() - {"otype", *ENCODING}) and not (network.keys() - {"otype", *NETWORK})
        assert network["otype"] == "CutlassMLP" or network["n_neurons"] in (16, 32, 64, 128)
        self.encoding, self.settings = {**ENCODING, **encoding}, {**NETWORK, **network}
        levels, features = self.encoding["n_levels"], self.encoding["n_features_per_level"]
        growth = np.log2(np.float32(self.encoding["per_level_scale"]))
        self.scales = [
            float(np.exp2(np.float32(level) * growth) * self.encoding["base_resolution"] - np.float32(1)) for level in range(levels)
        ]
        self.resolutions = [math.ceil(scale) + 1 for scale in self.scales]  # grid points along an edge
        generator, most = torch.Generator().manual_seed(seed), 2 ** self.encoding["log2_hashmap_size"]
        self.tables = nn.ParameterList(
            2e-4 * torch.rand(min(points**3, most), features, generator=generator) - 1e-4 for points in self.resolutions
        )
        width = self.settings["n_neurons"]
        shapes = [levels * features, *[width] * self.settings["n_hidden_layers"], outputs]
        self.matrices = nn.ParameterList(
            (torch.rand(into, out, generator=generator) * 2 - 1) * math.sqrt(6 / (into + out)) for into, out in itertools.pairwise(shapes)
        )

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        assert points.dtype == torch.float32 and points.shape[1] == 3 and bool((points >= 0).all() and (points <= 1).all())
        values = torch.cat([self._level(points, *level) for level in zip(self.scales, self.resolutions, self.tables, strict=True)], 1)
        for matrix in self.matrices[:-1]:
            values = nn.functional.leaky_relu(values @ matrix, SLOPES[self.settings["activation"]])
        return nn.functional.leaky_relu(values @ self.matrices[-1], SLOPES[self.settings["output_activation"]]).half()

    @staticmethod
    def _level(points: torch.Tensor, scale: float, resolution: int, table: torch.Tensor) -> torch.Tensor:
        """Linear between grid points that lie half a cell beside the unit cube's faces."""
        places = points * scale + 0.5
        first, total = places.floor().long(), torch.zeros(len(points), table.shape[1])
        for corner in itertools.product((0, 1), repeat=3):
            x, y, z = (first + torch.tensor(corner)).unbind(1)
            dense = x + resolution * (y + resolution * z)
            rows = dense if resolution**3 <= len(table) else x ^ (y * 2654435761) ^ (z * 805459861)
            near = torch.where(torch.tensor(corner, dtype=torch.bool), places - first, 1 - places + first).prod(1, keepdim=True)
            total = total + near * table[rows % len(table)]
        return total


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tinycudann", types.SimpleNamespace(NetworkWithInputEncoding=NetworkWithInputEncoding))
    monkeypatch.setattr(tiny_cuda, "missing_modules", lambda names: [])
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())


def asked(**changes: Any) -> tuple[TinyCudaField, NetworkWithInputEncoding]:
    field = TinyCudaField(**{**SIZES, **changes}, device="cuda:0")
    assert isinstance(field.network, NetworkWithInputEncoding)
    return field, field.network


@pytest.mark.parametrize(("levels", "base", "finest"), [(3, 4, 16), (1, 8, 8), (3, 4, 12), (5, 16, 200), (16, 16, 2048)])
def test_its_levels_are_as_fine_as_ours(installed: None, levels: int, base: int, finest: int) -> None:
    """To a cell: theirs are rounded up, ours to the nearest."""
    field, network = asked(levels=levels, base=base, finest=finest, log2_entries=6)
    ours = HashGrid(levels=levels, base=base, finest=finest, log2_entries=6, generator=torch.Generator())
    assert field.cells == ours.cells and field.cells[-1] == finest
    assert len(network.resolutions) == levels and max(abs(a - b) for a, b in zip(network.resolutions, ours.cells, strict=True)) <= 1
    assert [table.shape[1] for table in network.tables] == [ours.out_features // levels] * levels
    assert all(len(table) == min(points**3, 2**6) for table, points in zip(network.tables, network.resolutions, strict=True))


@pytest.mark.parametrize(("hidden", "layers", "kind"), [(16, 3, "FullyFusedMLP"), (128, 2, "FullyFusedMLP"), (24, 4, "CutlassMLP")])
def test_its_network_has_the_shape_of_ours(installed: None, hidden: int, layers: int, kind: str) -> None:
    _, network = asked(hidden=hidden, layers=layers)
    assert network.settings["otype"] == kind and (network.settings["activation"], network.settings["output_activation"]) == (
        "LeakyReLU",
        "None",
    )
    inputs = 2 * SIZES["levels"]
    assert [tuple(matrix.shape) for matrix in network.matrices] == [(inputs, hidden), *[(hidden, hidden)] * (layers - 2), (hidden, 1)]
    ours = MLP(inputs, 1, hidden=hidden, layers=layers, generator=torch.Generator())
    biases = (layers - 1) * hidden + 1
    assert sum(matrix.numel() for matrix in network.matrices) == sum(weights.numel() for weights in ours.parameters()) - biases


def test_it_answers_in_float32_and_follows_the_seed(installed: None) -> None:
    points = torch.rand(7, 3, generator=torch.Generator().manual_seed(0))
    one, same, other = (asked(seed=seed)[0](points) for seed in (5, 5, 6))
    assert one.shape == (7, 1) and one.dtype == torch.float32
    assert torch.equal(one, same) and not torch.equal(one, other)
    with pytest.raises(InputError, match="engine tinycudann: expected 2 layers or more, found 1"):
        asked(layers=1)


def test_naf_trains_it_and_names_it(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_cuda, "version", lambda name: "1.7")
    monkeypatch.setattr(naf, "TinyCudaField", lambda device, **how: TinyCudaField(device="cuda:0", **how))
    scan, truth = ball_scan(views=8, size=12)
    found, ours = (reconstruct(scan, NafParams(**{**TINY, "engine": engine}, refine=0), Run()) for engine in ("tinycudann", "native"))
    assert found.engine == "tinycudann 1.7" and found.info["levels"] == [4, 7, 12]
    nothing = math.sqrt(float((truth**2).mean())) / 0.02  # the error of no fit at all
    assert error(found, truth) < 0.5 * nothing and error(found, truth) < 1.5 * error(ours, truth)


def test_without_it_the_run_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    scan, _ = ball_scan(views=4, size=8)
    monkeypatch.setattr(tiny_cuda, "missing_modules", list)
    line = r"pip install 'setuptools<81' ninja; pip install --no-build-isolation 'git\+https://.*tiny-cuda-nn"
    with pytest.raises(MissingDependency, match=rf"engine tinycudann needs tinycudann \(install: {line}"):
        reconstruct(scan, NafParams(**TINY), Run())
    monkeypatch.setattr(tiny_cuda, "missing_modules", lambda names: [])
    with pytest.raises(MissingDependency, match="engine tinycudann needs a CUDA device, this run has 'cpu'"):
        reconstruct(scan, NafParams(**TINY), Run())


def test_a_skip_is_refused() -> None:
    with pytest.raises(ValidationError, match="skip has no counterpart in tiny-cuda-nn"):
        NafParams(**TINY, skip=1)


@pytest.mark.gpu
def test_it_fits_as_well_as_our_kernels(cuda: str) -> None:
    pytest.importorskip("tinycudann", exc_type=ImportError)
    scan, truth = ball_scan(views=20, size=24)
    errors = {}
    for engine in ("native", "tinycudann"):
        params = NafParams(**{**TINY, "engine": engine, "steps": 500, "learning_rate": 5e-3}, refine=0)
        errors[engine] = error(reconstruct(scan, params, Run(device=cuda)), truth)
    assert errors["tinycudann"] < 1.3 * errors["native"]
