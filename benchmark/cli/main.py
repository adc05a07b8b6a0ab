"""The command line: python -m benchmark COMMAND, with the commands of benchmark.cli.

Exit codes: 0 done, 1 something failed, 2 the user's mistake (reported in one message), 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer

from benchmark.cli import (
    authors,
    catalogue,
    checkpoints,
    evaluate,
    exports,
    features,
    fitting,
    machine,
    photographs,
    results,
    run,
    scans,
    series,
    sharing,
    validate,
    volumes,
)
from benchmark.cli.examples import add_examples
from benchmark.cli.terminal import READER_GONE, lost_output, prepare_streams
from benchmark.errors import InputError, MissingDependency
from benchmark.storage.visible import visible

PROGRAM = "python -m benchmark"
MOST_SHOWN = 20_000  # characters of one message
OF_THE_SYSTEM = (  # a disk, a permission, or a folder that somebody has removed: no fault of this program
    errno.EACCES,
    errno.EDQUOT,
    errno.EIO,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
    errno.ESTALE,
)
app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

CLICK_ERROR: type[Exception] = typer.BadParameter.__mro__[2]  # ClickException, wherever this version of typer keeps it


def _show_version(wanted: bool) -> None:
    if wanted:
        from benchmark.machine.environment import DISTRIBUTION, project_version

        typer.echo(f"{DISTRIBUTION} {project_version()}")
        raise typer.Exit


def _stoppable(callback: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """Return a command that Ctrl-C aborts; typer makes a silent exit of a KeyboardInterrupt."""
    if callback is None:
        return None

    @functools.wraps(callback)
    def command(*values: Any, **named: Any) -> Any:
        try:
            return callback(*values, **named)
        except KeyboardInterrupt as error:
            raise typer.Abort from error

    return command


@app.callback(help="A benchmark for sparse-view cone-beam CT: one scan, many methods, one table.")
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks (may stand anywhere).")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)] = False,
) -> None:
    pass  # main() has taken --debug out of the arguments, and --version has ended the program


for group in (
    run,
    fitting,
    series,
    catalogue,
    results,
    sharing,
    volumes,
    evaluate,
    scans,
    photographs,
    validate,
    exports,
    features,
    checkpoints,
    machine,
    authors,
):
    group.add_to(app)
for command in app.registered_commands:
    command.callback = _stoppable(command.callback)
add_examples(app, PROGRAM)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code. Print tracebacks only with --debug."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    prepare_streams()
    previous = signal.signal(signal.SIGTERM, _interrupt)
    notes = _Notes()
    logging.getLogger("benchmark").addHandler(notes)
    try:
        code = app(args=arguments, prog_name=_program(arguments), standalone_mode=False)
        lost = lost_output()
        if lost and lost != READER_GONE:
            return _fail(f"error: the standard output could not be written ({lost}); files are not affected", 1)
        return code or int(bool(lost))
    except CLICK_ERROR as error:
        error.show()  # type: ignore[attr-defined]
        return error.exit_code  # type: ignore[attr-defined]
    except (typer.Abort, KeyboardInterrupt):
        return _fail("Stopped.", 130)
    except InputError as error:
        return _fail(f"error: {error}", 2, debug)
    except Exception as error:
        from benchmark.cli.fault import keep_fault
        from benchmark.storage.atomic import REMEDY, StorageError

        if isinstance(error, StorageError | MissingDependency):
            return _fail(f"error: {error}", 1, debug)
        if isinstance(error, OSError) and error.errno in OF_THE_SYSTEM and error.filename is not None:
            return _fail(f"error: {error.filename}: {error.strerror}. {REMEDY}", 1, debug)
        path = keep_fault(error, arguments)
        where = f"; what is known about it is in {path}" if path else ""
        return _fail(f"error: {type(error).__name__}: {error} (a fault of this program; --debug shows where{where})", 1, debug)
    finally:
        logging.getLogger("benchmark").removeHandler(notes)
        signal.signal(signal.SIGTERM, previous)


class _Notes(logging.Handler):
    """Print each note once, on the standard error."""

    def __init__(self) -> None:
        super().__init__()
        self._said = set[str]()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._said:
            self._said.add(text)
            sys.stderr.write(visible(text, MOST_SHOWN) + "\n")


def _program(arguments: list[str]) -> str:
    """Return the command that started this program; shells complete the command that pip installs, not `python -m`."""
    installed = os.path.basename(sys.argv[0]).partition(".")[0] == "benchmark"
    completing = any(argument.startswith(("--install-completion", "--show-completion")) for argument in arguments)
    return "benchmark" if installed or completing else PROGRAM


def _fail(text: str, code: int, debug: bool = False) -> int:
    if debug:
        traceback.print_exc()
    sys.stderr.write(visible(text, MOST_SHOWN) + "\n")
    return code


def _interrupt(number: int, frame: object) -> None:
    """Treat SIGTERM as Ctrl-C: end the current run, keep all finished runs."""
    raise KeyboardInterrupt
