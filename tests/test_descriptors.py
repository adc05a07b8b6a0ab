"""Descriptors of shapes made of Gaussians: what must not change them, and what must."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import InputError
from benchmark.exchange.descriptors import descriptor
from benchmark.scan.reconstruction import ARRAYS


def shape(seed: int = 0, count: int = 300) -> dict[str, np.ndarray]:
    """A lump that no mirror and no turn maps onto itself."""
    random = np.random.default_rng(seed)
    means = random.normal(size=(count, 3)) * [40, 20, 10] + np.abs(random.normal(size=(count, 1))) * [0, 15, 5]
    return {"means": means, "log_scales": np.log(random.uniform(1, 4, (count, 3))), "opacities": random.uniform(0.2, 1, count)}


def turned(arrays: dict[str, np.ndarray], seed: int = 1) -> dict[str, np.ndarray]:
    axes, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return {**arrays, "means": arrays["means"] @ (axes * np.sign(np.linalg.det(axes))).T}


@pytest.mark.parametrize("seed", range(4))
def test_turning_moving_and_scaling_change_nothing(seed: int) -> None:
    arrays = shape()
    usual = descriptor(arrays, 8, 8)
    assert usual.shape == (8, 9) and usual.dtype == np.float32
    moved = turned(arrays, seed)
    moved = {**moved, "means": 3 * moved["means"] + [100, -50, 7], "log_scales": moved["log_scales"] + np.log(3)}
    np.testing.assert_allclose(descriptor(moved, 8, 8), usual, atol=1e-6)


def test_degree_0_is_the_mass_of_each_shell() -> None:
    assert descriptor(shape(), 5, 0).sum() == pytest.approx(1, abs=1e-6)


def test_a_ball_has_degree_0_only_and_a_rod_even_degrees() -> None:
    random = np.random.default_rng(0)
    directions = random.normal(size=(20_000, 3))
    ball = {"means": directions / np.linalg.norm(directions, axis=1, keepdims=True) * 10, "log_scales": np.zeros((20_000, 3))}
    found = descriptor({**ball, "opacities": np.ones(20_000)}, 4, 6)
    assert found[:, 1:].max() < 0.02 * found[:, 0].max()
    line = np.outer(np.linspace(-50, 50, 101), [1.0, 2.0, -1.0])
    found = descriptor({"means": line, "log_scales": np.zeros((101, 3)), "log_amplitudes": np.zeros(101)}, 4, 6)
    np.testing.assert_allclose(found[1:, ::2], np.repeat(found[1:, :1], 4, 1), rtol=1e-5)  # P_l(1) = 1 for all l
    assert found[:, 1::2].max() < 1e-6


def test_other_shapes_have_other_numbers() -> None:
    one, other = descriptor(shape(), 8, 8), descriptor({**shape(), "means": shape()["means"] * [1, 2, 1]}, 8, 8)
    assert np.abs(one - other).max() > 0.02


def test_the_command_writes_one_row_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from synthetic_results import fill

    from benchmark.cli.main import main

    results = fill(tmp_path / "out", views=(10,), methods=("fdk", "sart"), seeds=(0,))
    assert main(["features", str(tmp_path / "out"), "--output", str(tmp_path / "features.npy")]) == 2
    assert "at least one finished run that kept Gaussians, found none" in capsys.readouterr().err
    np.savez(results.folder_of(results.records[1]) / ARRAYS, **shape())  # type: ignore[arg-type]
    assert main(["features", str(tmp_path / "out"), "--output", str(tmp_path / "features.npy"), "--shells", "6", "--degree", "4"]) == 0
    rows = np.load(tmp_path / "features.npy")
    np.testing.assert_array_equal(rows, descriptor(shape(), 6, 4).reshape(1, -1))
    head, line = (tmp_path / "features.csv").read_text().splitlines()
    assert head == "run_id,case,method,seed" and line.startswith(results.records[1].run_id)
    assert main(["features", str(tmp_path / "out"), "--output", "features.txt"]) == 2


def test_what_is_no_shape() -> None:
    with pytest.raises(InputError, match="arrays: expected the Gaussians of a run, found means"):
        descriptor({"means": np.zeros((3, 3))}, 4, 4)
