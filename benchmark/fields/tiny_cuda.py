"""Hash grid and network by tiny-cuda-nn (Mueller 2021, github.com/NVlabs/tiny-cuda-nn), if installed: half precision, fused."""

from __future__ import annotations

import torch
from torch import nn

from benchmark.errors import InputError, MissingDependency
from benchmark.fields.hash_grid import FEATURES, growth, level_cells
from benchmark.machine.environment import install_hint, missing_modules, version

FUSED = (16, 32, 64, 128)  # numbers of hidden units supported by its fused network


class TinyCudaField(nn.Module):
    """Hash grid and network by tiny-cuda-nn (Mueller 2021, github.com/NVlabs/tiny-cuda-nn): points [M, 3] in the unit cube -> [M, 1].

    Sizes are those of HashGrid and MLP. Parameters are float32, products float16. Its grid points lie half a cell off HashGrid's and
    its layers have no bias: the two fit the same fields with different numbers. Raises MissingDependency without tiny-cuda-nn or CUDA.
    """

    def __init__(self, *, levels: int, base: int, finest: int, log2_entries: int, hidden: int, layers: int, device: str, seed: int) -> None:
        super().__init__()
        if missing_modules(["tinycudann"]):
            raise MissingDependency(f"engine tinycudann needs tinycudann (install: {install_hint('tinycudann')})")
        if not device.startswith("cuda"):
            raise MissingDependency(f"engine tinycudann needs a CUDA device, this run has '{device}' (--device cuda:0)")
        if layers < 2:
            raise InputError("engine tinycudann", expected="2 layers or more", found=f"{layers}")
        import tinycudann

        self.cells = level_cells(levels, base, finest)
        encoding = {
            "otype": "HashGrid", "n_levels": levels, "n_features_per_level": FEATURES, "log2_hashmap_size": log2_entries,
            "base_resolution": base, "per_level_scale": growth(levels, base, finest),
        }  # fmt: skip
        network = {
            "otype": "FullyFusedMLP" if hidden in FUSED else "CutlassMLP", "activation": "LeakyReLU", "output_activation": "None",
            "n_neurons": hidden, "n_hidden_layers": layers - 1,
        }  # fmt: skip
        with torch.cuda.device(device):
            self.network = tinycudann.NetworkWithInputEncoding(3, 1, encoding, network, seed=seed)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        return self.network(points).float()


def tiny_cuda_name() -> str:
    """Return the name and version of tiny-cuda-nn for the record, such as 'tinycudann 1.7'."""
    return f"tinycudann {version('tinycudann')}".strip()
