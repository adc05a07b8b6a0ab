"""Agreement of devices and engines, as `speed --device cuda` shows it: on the stand-in for a device, and what disagreement looks like."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from test_tigre import fake_tigre

from benchmark.api import Engine, MethodSpec, MissingDependency, Params, Reconstruction
from benchmark.plugins.registry import load
from benchmark.projection import tigre
from benchmark.speed.parity import agreements, markdown

pytestmark = pytest.mark.usefixtures("one_thread")


def test_every_method_agrees_with_itself_on_the_cpu_and_engines_say_what_they_need(device: str) -> None:
    """The other methods take long there, or choose a weight in ways that the stand-in does not know: test_devices.py has them."""
    methods = [load().methods[name] for name in ("naf", "fdk", "sart", "ossart", "cgls", "asd_pocs")]
    rows = list(agreements(device, methods, size=8, views=4, steps=3))
    of_devices = {row.name: row for row in rows if row.other == "the CPU"}
    engines = {row.name: row for row in rows if row.other == "our kernels"}
    assert of_devices.keys() == {spec.name for spec in methods}
    assert all(row.good and row.value is not None for row in of_devices.values()), of_devices
    assert (max(row.value or 0 for row in of_devices.values()) > 0) == (device != "cpu")
    assert engines.keys() == {"naf:tcnn", *(f"{name}:tigre" for name in ("fdk", "sart", "ossart", "cgls", "asd_pocs"))}
    if not device.startswith("cuda"):
        assert all(row.value is None and row.good and "(install: pip install" in row.verdict for row in engines.values())
        assert "| fdk:tigre | our kernels | error over that of our kernels |  | 1.3 | engine tigre needs tigre (install" in markdown(rows)


def test_an_engine_that_works_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tigre, "_loaded", lambda device: (fake_tigre(), "gpu 0"))
    _, row = agreements("cpu", [load().methods["sart"]], size=8, views=8, steps=2)
    assert row.name == "sart:tigre" and row.good and row.verdict == "agrees" and row.value == pytest.approx(1, abs=0.05)


class EngineParams(Params):
    engine: Engine = "auto"


def test_what_disagrees_or_breaks_is_not_good() -> None:
    def other_here(scan: Any, params: EngineParams, run: Any) -> Reconstruction:
        """Right on a device and doubled on the CPU; with the engine all is 0."""
        if params.engine == "tigre" and run.device == "meta:1":
            raise MissingDependency("needs a device")
        factor = 0.0 if params.engine == "tigre" else 2.0 if run.device == "cpu" else 1.0
        return Reconstruction(volume=np.full(scan.geometry.volume_shape, factor * 0.001, np.float32))

    def broken(scan: Any, params: Params, run: Any) -> Reconstruction:
        raise RuntimeError("no kernel image")

    spec = MethodSpec(name="other", target=other_here, params=EngineParams, presets={"tigre": {"engine": "tigre"}})
    first, second = agreements("meta", [spec], size=8, views=3)
    assert first.value == pytest.approx(0.5) and not first.good and first.verdict == "DISAGREES"
    assert second.value is not None and second.verdict == ("agrees" if second.value <= 1.3 else "DISAGREES")
    assert [row.good for row in agreements("meta:1", [spec], size=8, views=3)] == [False, True]
    (row,) = agreements("meta", [MethodSpec(name="broken", target=broken)], size=8, views=3)
    assert row.value == math.inf and not row.good and row.verdict == "DISAGREES RuntimeError: no kernel image"
