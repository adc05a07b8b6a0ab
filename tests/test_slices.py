"""Volumes of one slice and detectors of one row: every method reconstructs them, or is skipped with the reason."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.api import Case, ConeBeamGeometry, Projector, Run, Scan
from benchmark.execution.eligibility import skip_reason
from benchmark.plugins.registry import registry
from benchmark.plugins.specs import resolve
from benchmark.records.record import RunSpec

pytestmark = pytest.mark.usefixtures("one_thread")
SETTINGS: dict[str, dict[str, Any]] = {
    "naf": {"steps": 2, "rays": 64},
    "zerorf": {"steps": 2, "members": 1, "finetune": 1, "finetune_rays": 64, "channels": (8, 4)},  # one value in each group of a norm
    "gaussians": {"steps": 2, "gaussians": 20},
    "carve": {"steps": 2, "channels": 2},
    "blend": {"gaussians": 2, "naf": 2, "zerorf": 1},
}


@functools.cache
def case(volume_shape: tuple[int, int, int], detector_shape: tuple[int, int]) -> Case:
    """A block in the middle of the volume."""
    angles = np.linspace(0, 2 * np.pi, 5, endpoint=False)
    geometry = ConeBeamGeometry(
        source_to_origin=100.0,
        source_to_detector=150.0,
        detector_shape=detector_shape,
        detector_pitch=(2.0, 2.0),
        volume_shape=volume_shape,
        volume_spacing=(1.0, 1.0, 1.0),
        angles=angles,
    )
    truth = np.zeros(volume_shape, np.float32)
    truth[tuple(slice(n // 4, max(n // 4 + 1, n - n // 4)) for n in volume_shape)] = 0.02
    return Case("block", Scan(Projector(geometry).forward(torch.from_numpy(truth)).numpy(), geometry), truth)


@pytest.mark.parametrize("name", sorted(registry().methods))
@pytest.mark.parametrize(
    ("volume", "detector"), [((1, 10, 12), (9, 14)), ((10, 1, 12), (10, 14)), ((10, 12, 1), (9, 14)), ((1, 9, 9), (1, 14))]
)
def test_one_slice_is_reconstructed_or_skipped_with_the_reason(name: str, volume: tuple[int, int, int], detector: tuple[int, int]) -> None:
    spec, made = registry().methods[name], case(volume, detector)
    params = spec.params(**SETTINGS.get(name, {}))
    run = RunSpec(dataset="x", dataset_params={}, method=name, method_params=params.model_dump())
    if skip_reason(spec, run, made):
        return
    found = np.asarray(resolve(spec.target)(made.scan, params, Run(seed=0)).volume)
    assert found.shape == volume and np.isfinite(found).all()


@pytest.mark.parametrize("name", ["carve", "naf", "zerorf"])
def test_a_slice_between_the_rows_of_the_detector_is_skipped_with_the_reason(name: str) -> None:
    """Rays 0.67 mm above and below the middle plane do not meet a slice of 1 mm."""
    spec, made = registry().methods[name], case((1, 10, 12), (2, 14))
    run = RunSpec(dataset="x", dataset_params={}, method=name, method_params=spec.params().model_dump())
    assert skip_reason(spec, run, made).startswith("no ray of the scan meets the volume")


def test_a_scan_that_shows_nothing_is_skipped_by_every_method() -> None:
    empty = case((4, 4, 4), (4, 4))
    empty = Case("empty", Scan(np.zeros_like(empty.scan.projections), empty.scan.geometry), empty.truth)
    for name, spec in registry().methods.items():
        run = RunSpec(dataset="x", dataset_params={}, method=name, method_params=spec.params().model_dump())
        assert skip_reason(spec, run, empty).startswith("no ray of the scan is attenuated")
