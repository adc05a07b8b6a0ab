"""Tables, figures and one page, as pure functions of stored results. Import is cheap."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.plugins.hooks import hookimpl
from benchmark.plugins.specs import ReporterSpec

if TYPE_CHECKING:
    from benchmark.records.store import Results

__all__ = ["register_reporters", "write_report"]


@hookimpl
def register_reporters() -> list[ReporterSpec]:
    """Return the default reporter: tables/summary.*, figures/*, report.html."""
    return [ReporterSpec(name="report", target="benchmark.report:write_report", summary="summary tables, figures and report.html")]


def write_report(results: Results) -> list[Path]:
    """Write every table, every figure and report.html into the results folder; return the files, the page last."""
    from benchmark.report.figures import write_figures
    from benchmark.report.overview import Overview
    from benchmark.report.page import write_page
    from benchmark.report.tables import write_tables

    overview = Overview(results)
    tables = write_tables(results, overview)
    figures = write_figures(results, overview)
    return [*tables, *(path for figure in figures for path in figure.files), write_page(results, figures, overview)]
