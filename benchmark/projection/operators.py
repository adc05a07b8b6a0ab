"""Whose A and A^T a method uses."""

from __future__ import annotations

from benchmark.machine.engine import Engine
from benchmark.projection import tigre
from benchmark.projection.projector import Projector
from benchmark.scan.geometry import ConeBeamGeometry


def operators(geometry: ConeBeamGeometry, engine: Engine, device: str) -> Projector | tigre.TigreProjector:
    """The projector of an engine. Raises MissingDependency for 'tigre' where it cannot be used."""
    return tigre.TigreProjector(geometry, device) if engine == "tigre" else Projector(geometry)


def engine_name(engine: Engine) -> str:
    """What the record says: 'native', or 'tigre' with its version."""
    return tigre.name() if engine == "tigre" else "native"
