"""The mixture of methods, and how a method runs others as its parts."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from balls import ball_scan

from benchmark.api import InputError, Run, run_part
from benchmark.fields import guided_fit
from benchmark.methods.blend import BlendParams
from benchmark.methods.blend.reconstruct import reconstruct
from benchmark.plugins.identity import identity
from benchmark.plugins.registry import registry
from benchmark.records.budget import Budget

pytestmark = pytest.mark.usefixtures("one_thread")

SCAN = ball_scan(views=5, size=8)[0]
FEW: dict[str, Any] = {"gaussians": 20, "naf": 10, "zerorf": 1}


def by(name: str, **values: Any) -> torch.Tensor:
    """The volume of a part alone, in a run of its own."""
    return torch.from_numpy(np.array(run_part(name, SCAN, Run(seed=3), **values).volume))


def test_the_mixture_is_half_the_mean_of_the_fields_and_half_the_fit_that_it_guides() -> None:
    found = reconstruct(SCAN, BlendParams(**FEW), Run(seed=3))
    mean = torch.stack([by(name, steps=steps) for name, steps in FEW.items()]).mean(0)
    weight = run_part("fista_tv", SCAN, Run(seed=3)).info["weight"]
    expected = (mean + guided_fit(mean, SCAN, weight, Run(), 0.3)) / 2
    assert found.info == {"parts": ["fista_tv", *FEW], "weight": weight}
    np.testing.assert_allclose(found.volume, expected.numpy(), atol=1e-6 * float(expected.max()))


def test_a_part_without_steps_is_left_out_and_none_leaves_fista_tv() -> None:
    assert reconstruct(SCAN, BlendParams(gaussians=0, naf=5, zerorf=0), Run()).info["parts"] == ["fista_tv", "naf"]
    alone = reconstruct(SCAN, BlendParams(gaussians=0, naf=0, zerorf=0), Run(seed=3))
    assert alone.info["parts"] == ["fista_tv"]
    np.testing.assert_array_equal(alone.volume, by("fista_tv").numpy())


def test_a_spent_budget_leaves_out_what_has_not_begun() -> None:
    tv = Run()
    run_part("fista_tv", SCAN, tv)
    only = reconstruct(SCAN, BlendParams(**FEW), Run(budget=Budget(steps=tv.step)))
    assert only.info["parts"] == ["fista_tv"]
    np.testing.assert_array_equal(only.volume, by("fista_tv").numpy())
    two = reconstruct(SCAN, BlendParams(**FEW), Run(seed=3, budget=Budget(steps=tv.step + 20)))
    assert two.info["parts"] == ["fista_tv", "gaussians"]
    expected = (by("gaussians", steps=20) + by("fista_tv")) / 2  # no step is left for the guided fit
    np.testing.assert_allclose(two.volume, expected.numpy(), atol=1e-6 * float(expected.max()))


def test_an_unknown_part_is_named() -> None:
    with pytest.raises(InputError, match=r"fista.tv"):
        run_part("fista_tw", SCAN, Run())


def test_the_code_of_its_parts_is_part_of_a_methods_identity() -> None:
    blend = registry().methods["blend"]
    assert identity(blend)["digest"] != identity(dataclasses.replace(blend, parts=blend.parts[:-1]))["digest"]
