"""Examples at the end of each command's help. Every command has some; docs and tests read them, too."""

from __future__ import annotations

import typer

EXAMPLES: dict[str, tuple[str, ...]] = {
    "run": (
        "run --methods fdk,sart --datasets phantom --size 32 --views 10 --output results/first",
        "run --config quick --set zerorf.steps=400 --seeds 0,1,2 --output results/seeds",
        "run --methods fdk --datasets ball --size 16 --views 5,10 --dry-run",
        "run --methods zerorf,naf,fista_tv --datasets chest --views 10 --budget 300s --output results/equal",
    ),
    "fit": (
        "fit carve --scans phantom thorax --views 50 --size 32 --set carve.seen=10 --output weights.pt",
        "fit carve --scans my_scans --output weights.pt",
        "fit carve:sequence --scans multiview --frames all --split thirds --validate-every 100 --views 8 --size 32 --output walkers.pt",
    ),
    "series": (
        "series --datasets mip --volume beating.tif --methods gaussians --views 20 --then gaussians.steps=150 --output results/beating",
    ),
    "list": ("list", "list --json"),
    "show": ("show zerorf", "show walnut --json"),
    "prepare": ("prepare chest walnut", "prepare chest --set chest.size=128"),
    "report": ("report results/first", "report results/first --json"),
    "compare": ("compare results/first results/second",),
    "merge": ("merge results/first results/second --output results/both",),
    "publish": ("publish results/first --output site", "publish results/first results/second --output site --title 'Sparse views'"),
    "doctor": ("doctor", "doctor --json"),
    "speed": ("speed", "speed --json", "speed --device cuda --write docs/performance.md"),
    "new-scan": ("new-scan my_scan",),
    "prepare-frames": ("prepare-frames mouse_6.json",),
    "poses": ("poses takes/mouse", "poses takes/mouse --up hulls --smooth 15", "poses mouse_6.json"),
    "validate": ("validate my_scan", "validate walnut_sample", "validate chest --set chest.size=32 --set chest.views=20"),
    "export": ("export results/first/runs/RUN --format dicom --hu", "export results/first/runs/RUN --format nrrd --output volume.nrrd"),
    "features": ("features results/first --output features.npy", "features results/walker --parts shape,colour --embed 2"),
    "export-scan": ("export-scan chest --views 50 --format naf --output chest_naf", "export-scan my_scan --format r2 --output my_r2"),
    "import-volume": ("import-volume theirs.nii.gz --results results/first --case chest --name theirs",),
    "evaluate": (
        "evaluate results/first/runs/RUN/checkpoint.pt --scan chest",
        "evaluate theirs.nii.gz --scan my_scan --output results/theirs",
    ),
    "render": (
        "render results/first/runs/RUN/checkpoint.pt --views 24",
        "render checkpoint.pt --angles 0,45,90 --output views.npy",
        "render checkpoint.pt --view 0 --turn 30 --background white --output view.png",
        "render checkpoint.pt --views 60 --scale 4 --output turntable.mp4",
    ),
    "volume": ("volume results/first/runs/RUN/checkpoint.pt --size 256",),
    "check": ("check fdk", "check naf --set naf.steps=50 --only views,budget", "check my_method --json"),
    "new-method": ("new-method my_method", "new-method my_method ~/work"),
    "reevaluate": ("reevaluate results/first", "reevaluate results/first --protocols strict,r2"),
    "verify": ("verify results/first", "verify results/first --no-rerun"),
}
EXIT_CODES = {
    0: "all is well",
    1: "something failed: a run, a check, a report, or the program itself",
    2: "a mistake in the command or in a file; nothing was run",
    130: "stopped by Ctrl-C; what was finished is kept",
}


def add_examples(app: typer.Typer, program: str) -> None:
    """Append the examples to the help of every command, and the exit codes to the help of the program."""
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        if name in EXAMPLES:
            command.epilog = _paragraph("Examples:", [f"{program} {example}" for example in EXAMPLES[name]])
    app.info.epilog = _paragraph("Exit codes:", [f"{code:<4}{meaning}" for code, meaning in EXIT_CODES.items()])


def _paragraph(title: str, lines: list[str]) -> str:
    return "\b\n" + "\n".join([title, *(f"  {line}" for line in lines)])  # \b: as it is, not rewrapped
