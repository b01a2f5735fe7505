"""Where the book keeps its files, and how files are written so that neither a kill nor a power cut
leaves one half done.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .errors import ConfigError, DataError

# How libraries that raise errors of their own say that a disk is full or read-only: safetensors and
# tokenizers in Rust, torch, and DuckDB, which passes on what the system says.
OF_THE_DISK = (
    "(os error ",
    "inline_container",
    "max_temp_directory_size",
    *map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)),
)


def of_seed(folder: Path, seed: int) -> Path:
    """Where in a folder the results of a seed lie: those of 0 in itself, others in one of their
    own, so that no seed replaces another's.

    >>> of_seed(Path("runs"), 0).as_posix(), of_seed(Path("runs"), 3).as_posix()
    ('runs', 'runs/seed-3')
    """
    return folder / f"seed-{seed}" if seed else folder


def project_root() -> Path:
    """The folder that holds ``notebooks/``, ``data/``, ``figures/`` and ``runs/``.

    ``GENSR_HOME`` if set; else the nearest folder above the working directory with a ``notebooks``
    folder and a ``pyproject.toml``; else the working directory (the library used on its own).
    """
    if home := os.environ.get("GENSR_HOME"):
        return Path(home).resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").exists() and (folder / "notebooks").is_dir():
            return folder
    return here


def write_atomically(path: Path, write: Callable[[Path], object], suffix: str = "") -> Path:
    """Call ``write`` with a temporary name, then rename to ``path``: readers see all or nothing.

    Raises:
        ConfigError: the disk is full or read-only; the message names the file.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part{suffix}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(part)
            sync(part)  # before the name: after a power cut a name without its content is worse
            os.replace(part, path)
            sync(path.parent)
        finally:
            with contextlib.suppress(OSError):  # not in place of the error that led here
                part.unlink(missing_ok=True)
    return path


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say which file could not be written, in one line.

    Raises:
        ConfigError: in place of what each library raises on a full or read-only disk.
    """
    try:
        yield
    except Exception as error:
        if not _is_of_the_disk(error):
            raise
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ConfigError(
            f"{path}: cannot be written ({said}); is the disk full, or the folder read-only? "
            f"Make room or allow writing there, and run again: what is finished is kept."
        ) from error


def _is_of_the_disk(error: Exception) -> bool:
    """Python and Arrow raise OSError, others are known by their text (`OF_THE_DISK`).

    What is said to a reader is never meant, though it may quote such a text out of a file.
    """
    if isinstance(error, (ConfigError, DataError)):
        return False
    return isinstance(error, OSError) or any(text in str(error) for text in OF_THE_DISK)


def sync(path: Path) -> None:
    """Have the disk keep a file, or the names in a folder, through a power cut."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        return  # a folder that may be written and not listed
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # not every file system syncs folders
            raise
    finally:
        os.close(handle)


def remove_litter(folder: Path, age: float = 0) -> None:
    """Remove what killed writers left below a folder, if nothing was written to it for ``age``
    seconds.

    Without an age only where nobody else can be writing: under a lock.
    """
    for part in folder.rglob(".*.part*"):
        with contextlib.suppress(OSError):  # another process was quicker, or the disk is read-only
            if time.time() - part.stat().st_mtime >= age:
                part.unlink()


# What a run of the book writes, relative to the repository: it says nothing of what made a number.
WRITTEN = ("notebooks/*.ipynb", "figures", "book/status.md", "book/ask")


def git_commit(folder: Path) -> str:
    """The commit that is checked out in a folder, with ``-dirty`` if files were changed since.

    Outputs of the book itself (`WRITTEN`) do not count: each chapter of a run changes them, and
    would make the next one's commit look doubtful. "unknown" without git, without a repository or
    before the first commit.
    """
    others = [f":(top,exclude){name}" for name in WRITTEN]
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "diff", "HEAD", "--name-only", "--", ":(top)", *others)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}-dirty" if changed else commit


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def read_or_refuse(path: Path, read: Callable[[Path], Any]) -> Any:
    """What ``read`` makes of a file of a run.

    Raises:
        ConfigError: it is missing or damaged; the message names it.
    """
    try:
        return read(path)
    except Exception as error:  # json, parquet, safetensors and pickle each have their own errors
        raise ConfigError(
            f"{path}: missing or damaged ({error}); delete the folder {path.parent} and run again."
        ) from None


def read_json(path: Path) -> Any:
    """A JSON file of a run; `ConfigError` as `read_or_refuse`."""
    return read_or_refuse(path, lambda p: json.loads(p.read_text(encoding="utf-8")))


def write_json(path: Path, content: Any) -> Path:
    """Write a JSON file whole or not at all; numpy's numbers become plain ones, all else text."""
    text = json.dumps(content, indent=2, default=_plain) + "\n"
    return write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)
