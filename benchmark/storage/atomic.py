"""Write files that are either complete or absent: temporary file in the same folder, fsync, then an atomic rename."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmark.storage import litter

REMEDY = "Files stored earlier are unharmed: free space or fix the permissions, then run the same command again."


class StorageError(RuntimeError):
    """A file could not be written. Existing files are untouched."""

    def __init__(self, path: Path, error: OSError) -> None:
        self.path = path
        super().__init__(f"{path}: could not be written ({error.strerror or error}). {REMEDY}")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path of the same suffix; when the block ends well, it takes the place of `path` in one step."""
    with _temporary(path) as temporary:
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
        flush(path.parent)


def replace(path: Path, data: bytes) -> None:
    """Write or overwrite a file in one step. Raise StorageError."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def replace_text(path: Path, text: str) -> None:
    """Write or overwrite a UTF-8 file in one step; letters of file names that are no UTF-8 become U+FFFD. Raise StorageError."""
    try:
        data = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()
    except UnicodeEncodeError:  # halves of letters that no file name holds
        data = text.encode("utf-8", "replace")
    replace(path, data)


def create(path: Path, data: bytes) -> None:
    """Write a file that must not exist yet. Raise FileExistsError if it does, StorageError if it cannot be written."""
    with _temporary(path) as temporary:
        temporary.write_bytes(data)
        flush(temporary)
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if not _renamed(temporary, path):
                _create_exclusively(path, data)
        flush(path.parent)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder; when the block ends well, it becomes `path`, which must not hold anything. Raise StorageError."""
    temporary = litter.temporary(path)
    try:
        temporary.mkdir()
        yield temporary
        os.replace(temporary, path)
        flush(path.parent)
    except OSError as error:
        raise StorageError(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def flush_folder(folder: Path) -> None:
    """Force the files of a folder, and their names, to the disk. Raise OSError."""
    for path in folder.iterdir():
        flush(path)
    flush(folder)


def _renamed(temporary: Path, path: Path) -> bool:
    """Rename a file to a name that must not exist yet; return False if this system cannot. Raise FileExistsError."""
    if os.name == "nt":
        os.rename(temporary, path)  # never overwrites there
        return True
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # of Linux
    if rename is None:
        return False
    here, without_overwriting = -100, 1  # AT_FDCWD, RENAME_NOREPLACE
    if rename(here, os.fsencode(temporary.absolute()), here, os.fsencode(path.absolute()), without_overwriting) == 0:
        return True
    if ctypes.get_errno() == errno.EEXIST:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    return False


def _create_exclusively(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            path.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    temporary = litter.temporary(path)
    try:
        yield temporary
    except FileExistsError:
        raise
    except OSError as error:
        raise StorageError(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():  # some file systems cannot sync folders
            raise
    finally:
        os.close(descriptor)
