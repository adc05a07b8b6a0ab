"""Content of case.json: the facts of a stored case, without its arrays."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from benchmark.records.record import Amount, Count, Digest
from benchmark.scan.scan import Composite


class CaseFile(BaseModel):
    """Facts of one case. Fields with a default are absent in older folders."""

    model_config = ConfigDict(frozen=True)

    digest: Digest
    name: str
    part: str = ""
    dataset: str
    dataset_params: dict[str, Any]
    truth_note: str
    notes: tuple[str, ...] = ()
    length_unit: str
    composite: Composite = "sum"
    beside: tuple[str, ...] | None = None  # names of the arrays beside the training views, see Scan.beside
    heldout_beside: tuple[str, ...] | None = None
    view_labels: dict[str, list[float]] = {}
    heldout_view_labels: dict[str, list[float]] = {}
    photons: Amount | None
    noise: Amount | None = None
    heldout_photons: Amount | None = None
    heldout_noise: Amount | None = None
    facts: dict[str, Any] = {}  # since schema version 2
    training_views: tuple[Count, ...]
    heldout_views: tuple[Count, ...]
    geometry: dict[str, Any]
    heldout_geometry: dict[str, Any] | None

    @property
    def its_photons(self) -> float | None:
        """Photons of the held-out views; in older folders those of the training views."""
        return self.heldout_photons if "heldout_photons" in self.model_fields_set else self.photons

    def arrays_beside(self, which: str) -> tuple[str, ...]:
        """Return the names of the arrays beside the 'training' or 'heldout' views; photographs had colours before these were named."""
        names = self.beside if which == "training" else self.heldout_beside
        if names is None:
            names = ("colours",) if self.composite == "over" else ()
        return names
