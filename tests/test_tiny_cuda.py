"""naf on tiny-cuda-nn: what is asked of it, and what is said where it is missing. What needs it is marked gpu."""

from __future__ import annotations

import contextlib
import math
import sys
import types
from typing import Any

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


def fake_module() -> Any:
    """tiny-cuda-nn's class of that name, made of our parts: what it is asked for, not what it computes."""

    class NetworkWithInputEncoding(nn.Module):
        def __init__(self, inputs: int, outputs: int, encoding: dict[str, Any], network: dict[str, Any], seed: int) -> None:
            super().__init__()
            self.asked = encoding, network
            assert (inputs, outputs) == (3, 1) and network["activation"] == "LeakyReLU" and network["output_activation"] == "None"
            levels, base = encoding["n_levels"], encoding["base_resolution"]
            finest, generator = round(base * encoding["per_level_scale"] ** (levels - 1)), torch.Generator().manual_seed(seed)
            sizes = {"levels": levels, "base": base, "finest": finest, "log2_entries": encoding["log2_hashmap_size"]}
            self.grid = HashGrid(**sizes, generator=generator)
            layers = network["n_hidden_layers"] + 1
            self.network = MLP(self.grid.out_features, outputs, hidden=network["n_neurons"], layers=layers, generator=generator)

        def forward(self, points: torch.Tensor) -> torch.Tensor:
            return self.network(self.grid(points)).half()

    return types.SimpleNamespace(NetworkWithInputEncoding=NetworkWithInputEncoding)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tinycudann", fake_module())
    monkeypatch.setattr(tiny_cuda, "missing_modules", lambda names: [])
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())


def test_it_is_asked_for_the_same_sizes(installed: None) -> None:
    field = TinyCudaField(**SIZES, device="cuda:0")
    encoding, network = field.network.asked
    assert encoding["per_level_scale"] == pytest.approx(2.0) and encoding["n_features_per_level"] == 2
    assert network["otype"] == "FullyFusedMLP" and network["n_hidden_layers"] == 2 and field.cells == [4, 8, 16]
    assert TinyCudaField(**{**SIZES, "hidden": 24}, device="cuda:0").network.asked[1]["otype"] == "CutlassMLP"
    assert field(torch.rand(7, 3)).shape == (7, 1) and field(torch.rand(7, 3)).dtype == torch.float32
    with pytest.raises(InputError, match="engine tinycudann: expected 2 layers or more, found 1"):
        TinyCudaField(**{**SIZES, "layers": 1}, device="cuda:0")


def test_naf_trains_it_and_names_it(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_cuda, "version", lambda name: "1.7")
    monkeypatch.setattr(naf, "TinyCudaField", lambda device, **how: TinyCudaField(device="cuda:0", **how))
    scan, truth = ball_scan(views=8, size=12)
    found = reconstruct(scan, NafParams(**TINY, refine=0), Run())
    assert found.engine == "tinycudann 1.7" and found.info["levels"] == [4, 7, 12]
    assert error(found, truth) < 0.7 * math.sqrt(float((truth**2).mean())) / 0.02  # of what no fit at all leaves


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
