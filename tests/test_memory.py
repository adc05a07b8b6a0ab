"""Ray batches: chosen for the free memory, halved when it runs out, and said."""

from __future__ import annotations

import pytest
import torch

from benchmark.fields.fitting.ray_batch import RayBatch, most_rays, out_of_memory
from benchmark.machine.memory import free_memory


@pytest.mark.parametrize("gib, rays", [(80, 65536), (24, 65536), (23.9, 32768), (16, 16384), (12, 8192), (3, 1024), (0.1, 1024)])
def test_rays_follow_the_free_memory(gib: float, rays: int) -> None:
    assert most_rays(gib) == rays


def test_free_memory_is_less_than_the_machine_has() -> None:
    import os

    assert 0 < free_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def test_what_does_not_fit_is_said_once() -> None:
    batch = RayBatch()
    batch.most = 2048
    assert [batch.allowed(65536), batch.allowed(65536), batch.allowed(100)] == [2048, 2048, 100]
    assert len(batch.notes) == 1 and "2048 rays a step instead of 65536" in batch.notes[0]


def test_running_out_of_memory_halves_the_batch_and_goes_on() -> None:
    batch, used = RayBatch(), []
    batch.most = 1000

    def step() -> int:
        used.append(batch.allowed(1 << 16))
        if used[-1] > 300:
            torch.empty(1 << 60)  # really does not fit
        return used[-1]

    assert batch.attempt(step, 1 << 16) == 250
    assert used == [1000, 500, 250]
    assert "goes on with 250" in batch.notes[-1]


def test_other_errors_and_hopeless_ones_are_raised() -> None:
    batch = RayBatch()
    with pytest.raises(RuntimeError, match="shape"):
        batch.attempt(_wrong_shape, 1024)
    with pytest.raises(RuntimeError) as caught:
        batch.attempt(lambda: torch.empty(1 << 60), 40)
    assert out_of_memory(caught.value)


def _wrong_shape() -> None:
    raise RuntimeError("shape")
