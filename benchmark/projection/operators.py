"""Choice of the engine for A and A^T."""

from __future__ import annotations

from benchmark.machine.engine import Engine
from benchmark.projection import tigre
from benchmark.projection.projector import Projector
from benchmark.scan.geometry import ConeBeamGeometry


def operators(geometry: ConeBeamGeometry, engine: Engine, device: str) -> Projector | tigre.TigreProjector:
    """Return the projector of an engine, with `forward` and `adjoint` as in Projector; TIGRE's are not differentiable.

    Raises MissingDependency for 'tigre' where TIGRE or a CUDA device is missing, InputError for geometries that TIGRE does not support.
    """
    return tigre.TigreProjector(geometry, device) if engine == "tigre" else Projector(geometry)


def engine_name(engine: Engine) -> str:
    """Return the engine's name for the record: 'native', or 'tigre' with its version."""
    return tigre.name() if engine == "tigre" else "native"
