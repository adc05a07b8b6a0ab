"""The user's own scan: a folder with scan.yaml and the files it names."""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator

from benchmark.api import Case, DatasetSpec, Field, Heldout, Measured, MeasuredParams, hookimpl, measured_case, open_scan_folder


class FolderParams(MeasuredParams):
    """Choice of the scan."""

    path: str = Field(description="folder with scan.yaml (python -m benchmark new-scan FOLDER writes one)")
    heldout: Heldout = Field(
        24, description="maximum number of held-out views (scan.yaml's own, or seeded ones from the unused views), or their indices"
    )

    def opened(self) -> Measured:
        """Open the folder."""
        return open_scan_folder(Path(self.path))

    @model_validator(mode="after")
    def _possible(self) -> FolderParams:
        """Report mistakes in scan.yaml and views missing from the scan before any run."""
        self.opened().choose(self)
        return self


def load(params: FolderParams) -> Case:
    """Load the scan's projections, and its truth if it has one."""
    return measured_case(params.opened(), params)


def is_scan(path: Path) -> bool:
    """Return True if `--scan PATH` is a folder with scan.yaml, or that file itself."""
    return path.name == "scan.yaml" or (path / "scan.yaml").is_file()


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="folder",
            target=load,
            params=FolderParams,
            opens={"scan": is_scan},
            summary="your own scan: a folder with scan.yaml (docs/data/scan_yaml.md)",
        )
    ]
