"""Request for a sweep, of the command line or of Python: texts as typed become a plan and options."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.errors import InputError, Mistakes
from benchmark.execution.options import Keep, Options
from benchmark.machine.device import check_device, resolve_device
from benchmark.machine.environment import install_hint, missing_modules
from benchmark.machine.memory import memory_bytes
from benchmark.plan import quantities
from benchmark.plan.plan import Flags, Plan, ScanFolder, load_plan, make_plan
from benchmark.plan.sources import flags_for, scan_folder
from benchmark.plugins.registry import Registry
from benchmark.sweep.display import Display
from benchmark.sweep.rerun import Rerun
from benchmark.sweep.sweep import Sweep, SweepOutcome

LAST_PORT = 65535


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """Options of the command `run`, as texts; None = not given. Errors name them as on the command line."""

    methods: str | None = None
    datasets: str | None = None
    scan: str | None = None
    volume: str | None = None
    views: str | None = None
    size: str | None = None
    frames: str | None = None
    config: str | Mapping[str, Any] | None = None  # a mapping is the content of a plan
    seeds: str | None = None
    photons: str | None = None
    output: str | None = None
    sets: tuple[str, ...] = ()
    budget: str | None = None
    timeout: str | None = None
    memory: str | None = None
    device: str = "auto"
    threads: int | None = None
    workers: int = 1
    scheduler: str | None = None
    checkpoint_every: str = "60s"
    validate_every: str | None = None
    keep_every: str | None = None
    keep_views: str | None = None
    tensorboard: bool = False
    in_process: bool = False
    show_output: bool = False
    serve: int | None = None  # port of the live page, 0 = any free one; None = no page
    rerun: str | None = None  # see Rerun
    command: str = ""  # the command line, for the records

    def plan(self, registry: Registry) -> Plan:
        """Return the plan. Raise InputError with every mistake in it."""
        datasets, sets, scans = self._own_data(registry)
        flags = Flags(
            methods=self.methods,
            datasets=datasets,
            views=self.views,
            size=self.size,
            frames=self.frames,
            seeds=self.seeds,
            photons=self.photons,
            budget=self.budget,
            output=self.output,
            sets=sets,
            own_data=self.scan is not None or self.volume is not None,
            scans=scans,
        )
        if isinstance(self.config, Mapping):
            return make_plan(registry, {str(key): value for key, value in self.config.items()}, flags)
        return load_plan(registry, self.config, flags)

    def options(self, folder: Path | None) -> Options:
        """Return the settings of the execution of runs into a results folder, or of runs that keep nothing.

        Raise InputError for what is wrong or contradicts itself.
        """
        options = self._with_files(self._run_options(), folder)
        return self._with_pictures(self._with_validation(self._with_memory(options)))

    def chosen(self, plan: Plan) -> Rerun:
        """Return the finished runs to do again. Raise InputError for a name that no run of the plan has."""
        return Rerun.of(self.rerun, plan.runs)

    def sweep(self, registry: Registry, plan: Plan, options: Options, display: Display) -> SweepOutcome:
        """Execute the plan; see Sweep.run for the errors. Plug-ins that were set aside are warned of first."""
        for problem in registry.problems:
            display.warning(f"set aside: {problem}")
        rerun = self.chosen(plan)
        return Sweep(registry, plan, options, display, workers=self.workers, scheduler=self.scheduler, rerun=rerun).run()

    def _own_data(self, registry: Registry) -> tuple[str | None, tuple[str, ...], ScanFolder | None]:
        """Return --datasets and --set equivalent to --scan and --volume, or the scans in a folder of them.

        A dataset named in --datasets gets the path, or opens the scans that are its own.
        """
        given = {what: path for what, path in (("scan", self.scan), ("volume", self.volume)) if path is not None}
        if not given:
            return self.datasets, self.sets, None
        for what, path in given.items():
            if not path.strip():  # else the present folder would be taken
                raise InputError(f"--{what}", expected="a path", found=repr(path))
        several = self.datasets is not None and "," in self.datasets
        if several or len(given) > 1:
            found = ", ".join(f"--{what}" for what in (*given, *([f"datasets {self.datasets}"] if several else [])))
            raise InputError("command line", expected="one of --scan and --volume, and at most one dataset", found=found)
        ((what, path),) = given.items()
        folder = scan_folder(registry, Path(path), self.datasets) if what == "scan" else None
        if folder is not None:
            return None, self.sets, folder
        name, value = flags_for(registry, what, path, self.datasets)
        return name, (value, *self.sets), None

    def _run_options(self) -> Options:
        mistakes, device = Mistakes(), self.device
        seconds = quantities.duration(self.timeout, "--timeout", mistakes)
        if seconds is not None and self.in_process:
            mistakes.add("--timeout", expected="a process per run, which can be ended", found="--in-process", fix="Give one of the two.")
        if self.serve is not None and self.in_process:
            mistakes.add("--serve", expected="a process per run", found="--in-process", fix="Give one of the two.")
        if self.in_process and (self.workers != 1 or self.scheduler):
            found = "--scheduler" if self.scheduler else f"--workers {self.workers}"
            mistakes.add("--in-process", expected="one run at a time here", found=found)
        if self.scheduler and self.workers != 1:
            mistakes.add("--workers", expected="none with --scheduler, whose workers are used", found=str(self.workers))
        if self.scheduler and not re.fullmatch(r"\w+://\S+", self.scheduler):
            mistakes.add("--scheduler", expected="an address such as tcp://head:8786", found=repr(self.scheduler))
        for option, count in (("--threads", self.threads), ("--workers", self.workers)):
            if count is not None and not (type(count) is int and count >= 1):
                mistakes.add(option, expected="a whole number from 1", found=repr(count))
        if self.serve is not None and not (type(self.serve) is int and 0 <= self.serve <= LAST_PORT):
            mistakes.add("--serve-port", expected=f"a whole number from 0 (any free one) to {LAST_PORT}", found=repr(self.serve))
        try:
            check_device(device)
        except InputError as error:
            mistakes.note(error)
        mistakes.raise_if_any("command line")
        if device.startswith("cuda") and not self.scheduler:
            device = resolve_device(device)  # reported once, not by every run
        return Options(
            device=device,
            threads=self.threads,
            timeout=seconds,
            in_process=self.in_process,
            show_output=self.show_output,
            command=self.command,
        )

    def _with_files(self, options: Options, folder: Path | None) -> Options:
        """Return the options with the folders of checkpoints and event files."""
        mistakes = Mistakes()
        every = quantities.duration(self.checkpoint_every, "--checkpoint-every", mistakes)
        if self.tensorboard and missing_modules(("tensorboard",)):
            fix = f"Install it: {install_hint('tensorboard')}"
            mistakes.add("--tensorboard", expected="the package tensorboard", found="none", fix=fix)
        mistakes.raise_if_any("command line")
        if folder is None:
            return options
        board = folder / "tensorboard" if self.tensorboard else None
        return dataclasses.replace(options, checkpoints=folder / "runs", checkpoint_every=every or 0.0, tensorboard=board)

    def _with_memory(self, options: Options) -> Options:
        """Return the options with the memory limit of each run's process."""
        mistakes = Mistakes()
        count = memory_bytes(self.memory, "--memory", mistakes)
        if count is not None and options.in_process:
            mistakes.add("--memory", expected="a process per run, which can be limited", found="--in-process", fix="Give one of the two.")
        mistakes.raise_if_any("command line")
        return dataclasses.replace(options, memory_bytes=count)

    def _with_pictures(self, options: Options) -> Options:
        """Return the options with the interval between numbered checkpoints, and the views of the pictures beside them."""
        mistakes = Mistakes()
        interval = quantities.interval(self.keep_every, "--keep-every", mistakes)
        views = quantities.pictured_views(self.keep_views, "--keep-views", mistakes)
        if interval is not None and interval.steps is None:
            mistakes.add("--keep-every", expected="a number of steps, such as 100", found=repr(self.keep_every))
        if interval is not None and self.scheduler:
            mistakes.add("--keep-every", expected="runs on this machine", found="--scheduler", fix="Give one of the two.")
        if interval is None and views is not None:
            mistakes.add("--keep-views", expected="--keep-every beside it", found="none")
        mistakes.raise_if_any("command line")
        if interval is None or interval.steps is None:
            return options
        return dataclasses.replace(options, keep=Keep(interval.steps, views) if views else Keep(interval.steps))

    def _with_validation(self, options: Options) -> Options:
        """Return the options with the interval between scores along a run."""
        mistakes = Mistakes()
        interval = quantities.interval(self.validate_every, "--validate-every", mistakes)
        mistakes.raise_if_any("command line")
        return dataclasses.replace(options, validate_every=interval)
