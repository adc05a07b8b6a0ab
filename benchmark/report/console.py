"""The compact table after a sweep: per case, methods from best to worst, the best of each column in bold; pretrained ones apart."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Sequence

from rich.markup import escape
from rich.table import Table

from benchmark.cli.progress import case_title
from benchmark.records.frame import dataset_names, labels, pretrained
from benchmark.records.record import RunRecord


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of numbers."""

    title: str
    name: str  # a metric or a field of the record
    digits: int
    higher_is_better: bool

    def value(self, records: Sequence[RunRecord]) -> float | None:
        """Mean over the records (seeds) that have it."""
        found = [record.metrics.get(self.name, getattr(record, self.name, None)) for record in records if record.status == "ok"]
        numbers = [number for number in found if number is not None]
        return statistics.fmean(numbers) if numbers else None


COLUMNS = (
    Column("volume PSNR [dB]", "volume_psnr", 2, True),
    Column("SSIM", "volume_ssim", 3, True),
    Column("held-out PSNR [dB]", "projection_psnr", 2, True),
    Column("SSIM", "projection_ssim", 3, True),
    Column("fit PSNR [dB]", "fit_psnr", 2, True),
    Column("seconds", "seconds", 1, False),
    Column("memory [MiB]", "peak_memory_mb", 0, False),
)


def summary_table(records: Iterable[RunRecord]) -> Table:
    """Methods sorted by volume PSNR (held-out PSNR without a truth); runs without a result last, with their reason."""
    records = list(records)
    names, datasets = labels(records), dataset_names(records)
    table = Table(title=None, header_style="bold")
    table.add_column("case")
    table.add_column("method")
    for column in COLUMNS:
        table.add_column(column.title, justify="right")
    table.add_column("")
    cases: dict[str, dict[str, list[RunRecord]]] = {}
    for record in records:
        spec = record.spec.model_copy(update={"dataset": datasets[record.run_id]})
        cases.setdefault(case_title(spec), {}).setdefault(names[record.run_id], []).append(record)
    for title, methods in cases.items():
        _add_case(table, title, methods)
    return table


def _add_case(table: Table, title: str, methods: dict[str, list[RunRecord]]) -> None:
    values = {name: [column.value(runs) for column in COLUMNS] for name, runs in methods.items()}
    fitted = {name: next(filter(None, map(pretrained, runs)), "") for name, runs in methods.items()}
    best: list[float | None] = []
    for index, column in enumerate(COLUMNS):
        numbers = [number for name, row in values.items() if (number := row[index]) is not None and not fitted[name]]
        best.append((max if column.higher_is_better else min)(numbers) if numbers else None)

    def order(name: str) -> tuple[bool, float]:
        row = values[name]
        ranked = row[0] if row[0] is not None else row[2]
        return bool(fitted[name]), -ranked if ranked is not None else float("inf")

    for position, name in enumerate(sorted(methods, key=order)):
        tops = [None] * len(best) if fitted[name] else best
        cells = [_cell(value, column, top) for value, column, top in zip(values[name], COLUMNS, tops, strict=True)]
        notes = [f"pretrained on {fitted[name]}, not compared" if fitted[name] else "", *(_note(run) for run in methods[name])]
        note = "; ".join(dict.fromkeys(text for text in notes if text))
        table.add_row(escape(title) if position == 0 else "", escape(name), *cells, escape(note), end_section=position == len(methods) - 1)


def _note(run: RunRecord) -> str:
    return f"{run.status}: {run.reason}" if run.status != "ok" else run.reason


def _cell(value: float | None, column: Column, best: float | None) -> str:
    if value is None:
        return "-"
    text = f"{value:.{column.digits}f}"
    return f"[bold]{text}[/bold]" if value == best else text
