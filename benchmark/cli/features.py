"""Command features: descriptors of fitted shapes, for analysis by other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from benchmark.machine.console import open_console

if TYPE_CHECKING:
    from benchmark.records.record import RunRecord

COLUMNS = ["run_id", "case", "method", "seed"]
FRAME = "frame"


def features(
    folder: Annotated[Path, typer.Argument(help="A results folder.")],
    output: Annotated[Path, typer.Option(help="An .npy file; a .csv beside it names the run of each row.")] = Path("features.npy"),
    shells: Annotated[int, typer.Option(min=1, max=64, help="Shells about the centre of mass.")] = 8,
    degree: Annotated[int, typer.Option(min=0, max=32, help="Highest degree of the spherical harmonics.")] = 8,
    parts: Annotated[str, typer.Option(help="shape, colour and latent (the networks' numbers), with commas between.")] = "shape",
    embed: Annotated[int | None, typer.Option(min=1, max=16, help="Embed the rows in so many numbers, and draw the first two.")] = None,
    embedding: Annotated[str, typer.Option(help="pca, or umap where umap-learn is installed.")] = "pca",
) -> int:
    import numpy as np
    import pandas as pd

    from benchmark.errors import InputError, unknown_name
    from benchmark.exchange.descriptors import PARTS, descriptor
    from benchmark.exchange.embedding import WAYS, embedded, picture
    from benchmark.records.results import Results
    from benchmark.report.canvas import save, styled
    from benchmark.storage import atomic
    from benchmark.storage.visible import csv_text

    if output.suffix != ".npy" or not output.parent.is_dir():
        raise InputError("--output", expected="an .npy file in a folder that exists", found=f"'{output}'")
    chosen = [word.strip() for word in parts.split(",")]
    for word in chosen:
        if word not in PARTS:
            raise unknown_name("--parts", word, PARTS)
    if embedding not in WAYS:
        raise unknown_name("--embedding", embedding, WAYS)
    results = Results.open(folder)
    found = [(record, arrays) for record in results.records if "means" in (arrays := results.arrays(record))]
    if not found:
        raise InputError(str(folder), expected="at least one finished run that kept Gaussians", found="none")
    found.sort(key=lambda pair: (pair[0].spec.method, pair[0].spec.seed, pair[0].spec.dataset_params.get(FRAME, 0)))
    for word in chosen:
        without = [record.run_id for record, arrays in found if PARTS[word] not in arrays]
        if without:
            raise InputError("--parts", expected=f"runs that kept {PARTS[word]}", found=f"{len(without)} without, such as {without[0]}")
    if "latent" in chosen:
        _check_networks([record for record, _ in found])
    blocks = {word: np.stack([descriptor(arrays, shells, degree, word).reshape(-1) for _, arrays in found]) for word in chosen}
    rows = np.concatenate(list(blocks.values()), 1)
    with atomic.replacing(output) as temporary, temporary.open("wb") as file:
        np.save(file, rows)
    names = output.with_suffix(".csv")
    table = pd.DataFrame([(record.run_id, record.case, record.spec.method, record.spec.seed) for record, _ in found], columns=COLUMNS)
    frames = [record.spec.dataset_params.get(FRAME) for record, _ in found]
    if all(frame is not None for frame in frames):
        table[FRAME] = frames
    written = [names]
    if embed is not None:
        points = embedded(rows, embed, embedding)
        for index in range(embed):
            table[f"{embedding}_{index + 1}"] = points[:, index]
        times = np.array(frames if FRAME in table else range(len(found)), dtype=np.float64)
        with styled():
            figure = picture(points, times, FRAME if FRAME in table else "run", embedding)
            written += save(figure, output.parent, f"{output.stem}-{embedding}", ("png",))
    atomic.replace_text(names, csv_text(table))
    console = open_console()
    layout = ", ".join(f"{word} {block.shape[1]}" for word, block in blocks.items())
    console.print(escape(f"{output}  {rows.shape} [run, {layout}]: {shells} shells, degrees 0 to {degree}"), soft_wrap=True)
    for path in written:
        console.print(escape(str(path)), soft_wrap=True)
    return 0


def _check_networks(records: list[RunRecord]) -> None:
    """Raise InputError unless the same pretrained networks made all runs: numbers of others mean something else."""
    from benchmark.errors import InputError

    digests = {record.spec.weights_digest for record in records}
    if len(records) > 1 and ("" in digests or len(digests) > 1):
        found = "networks of their own" if "" in digests else f"{len(digests)} weights files"
        fix = "Fit once (python -m benchmark fit carve ...), and run all frames with these weights."
        raise InputError("--parts latent", expected="runs of the same pretrained networks", found=found, fix=fix)


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command(help="Write rotation-invariant features of fitted scans. They describe shape and colour; --embed draws them.")(features)
