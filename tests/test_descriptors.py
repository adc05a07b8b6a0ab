"""Descriptors of shapes made of Gaussians: what must not change them, and what must."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.errors import InputError
from benchmark.exchange.descriptors import descriptor
from benchmark.exchange.embedding import embedded
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


def painted(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed + 50)
    arrays = shape(seed)
    return {**arrays, "colours": random.uniform(0, 1, (300, 3)), "latent": random.normal(size=(300, 5))}


@pytest.mark.parametrize("part, channels", [("colour", 3), ("latent", 5)])
def test_colours_and_latent_numbers_do_not_feel_a_turn_either(part: str, channels: int) -> None:
    usual = descriptor(painted(), 6, 5, part)
    assert usual.shape == (channels, 6, 6)
    moved = turned(painted())
    moved = {**moved, "means": 3 * moved["means"] + [100, -50, 7], "log_scales": moved["log_scales"] + np.log(3)}
    np.testing.assert_allclose(descriptor(moved, 6, 5, part), usual, atol=1e-6)
    name = {"colour": "colours", "latent": "latent"}[part]
    other = {**painted(), name: np.roll(painted()[name], 1, axis=0)}  # the same numbers in other places
    assert np.abs(descriptor(other, 6, 5, part) - usual).max() > 0.005
    ones = descriptor({**painted(), name: np.ones_like(painted()[name])}, 6, 5, part)
    np.testing.assert_allclose(ones, np.repeat(descriptor(painted(), 6, 5)[None], channels, 0), atol=1e-6)


def test_a_turned_body_has_the_features_of_the_body_and_another_pose_has_not() -> None:
    """The world turned: other cameras, another grid of voxels, the same body; beside it the body half a step later."""
    from benchmark.api import ConeBeamGeometry, Scan
    from benchmark.datasets.multiview import MultiviewParams
    from benchmark.datasets.multiview.case import load
    from benchmark.methods.carve import CarveParams
    from benchmark.methods.carve.augment import moved
    from benchmark.methods.carve.colour import carve_colours
    from benchmark.methods.carve.network import Carver
    from benchmark.methods.carve.reconstruct import found

    def features(scan: Scan, geometry: ConeBeamGeometry) -> np.ndarray:
        params = CarveParams(voxels=20, networks=0)
        gaussians, _ = found(Carver(params, 3), carve_colours(dataclasses.replace(scan, geometry=geometry), params))
        arrays = {name: part.numpy() for name, part in gaussians._asdict().items()}
        return np.concatenate([descriptor(arrays, 6, 5, part).reshape(-1) for part in ("shape", "colour")])

    scans = [load(MultiviewParams(frame=frame, pixels=32, views=8, heldout=0, size=20)).scan for frame in (1, 5)]
    usual, other = (features(scan, scan.geometry) for scan in scans)
    turned_by = features(scans[0], moved(scans[0].geometry, 0.5, np.zeros(3)))
    assert np.linalg.norm(turned_by - usual) < 0.5 * np.linalg.norm(other - usual)


def test_principal_components_are_those_of_a_library() -> None:
    rows = np.random.default_rng(0).normal(size=(12, 7)) @ np.random.default_rng(1).normal(size=(7, 7))
    scaled = (rows - rows.mean(0)) / rows.std(0)
    theirs = scaled @ torch.pca_lowrank(torch.from_numpy(scaled), q=7)[2].numpy()[:, :2]
    ours = embedded(np.concatenate([rows, np.full((12, 1), 3.0)], 1), 2, "pca")  # a column without spread says nothing
    for one, other in zip(ours.T, theirs.T, strict=True):
        np.testing.assert_allclose(one * np.sign(one @ other), other, atol=1e-8)
    with pytest.raises(InputError, match=r"--embed: expected more runs than numbers \(2\), found 2 runs"):
        embedded(rows[:2], 2, "pca")


def test_the_command_embeds_a_sequence_in_the_order_of_its_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from synthetic_results import fill

    from benchmark.cli.main import main

    results = fill(tmp_path / "out", views=(10,), methods=("fdk",), seeds=(0, 1, 2, 3))
    for index, record in enumerate(results.records):
        np.savez(results.folder_of(record) / ARRAYS, **painted(index))  # type: ignore[arg-type]
    arguments = ["features", str(tmp_path / "out"), "--output", str(tmp_path / "f.npy"), "--shells", "4", "--degree", "3"]
    assert main([*arguments, "--parts", "shape,colour", "--embed", "2"]) == 0
    rows = np.load(tmp_path / "f.npy")
    assert rows.shape == (4, 4 * 4 * 4)
    lines = (tmp_path / "f.csv").read_text().splitlines()
    assert lines[0] == "run_id,case,method,seed,pca_1,pca_2" and len(lines) == 5
    np.testing.assert_allclose([float(line.split(",")[-1]) for line in lines[1:]], embedded(rows, 2, "pca")[:, 1], atol=1e-6)
    assert (tmp_path / "f-pca.png").read_bytes().startswith(b"\x89PNG")
    for bad, text in (
        (["--parts", "shape,smell"], "--parts: expected one of colour, latent, shape, found 'smell'"),
        (["--parts", "latent"], "--parts latent: expected runs of the same pretrained networks, found networks of their own"),
        (["--embed", "2", "--embedding", "tsne"], "--embedding: expected one of pca, umap"),
        (["--embed", "4"], "--embed: expected more runs than numbers (4), found 4 runs"),
    ):
        assert main([*arguments, *bad]) == 2
        assert text in " ".join(capsys.readouterr().err.split())


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
