"""The folder of an export: written whole or not at all, with a manifest that knows its files.

The manifest is the marker, too: only a folder that has one, and no file beside those that it names,
is ever replaced.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from glob import escape
from importlib import metadata
from pathlib import Path
from typing import Any

from ... import NUMBERS, __version__
from ...errors import ConfigError, DataError
from ...files import sync, write_json, writing
from ..dataset import Dataset
from ..negatives import DAY
from ..split import tasks_of

MANIFEST = "gensr-export.json"
WRITER = "gensr data export"
PACKAGES = ("numpy", "pandas", "pyarrow")


def write_export(
    folder: str | Path,
    dataset: Dataset,
    form: str,
    write: Callable[[Path], Mapping[str, int]],
    force: bool = False,
) -> Path:
    """Fill a folder, and put the manifest beside what was written.

    The files are made in a folder next to it, which takes its place when all of them are there.

    Args:
        folder: where the export goes.
        form: the name of the format.
        write: writes the files into the folder that it is given, and returns the number of rows of
            each table by its path below that folder.
        force: replace an older export.

    Returns:
        The folder, as an absolute path.

    Raises:
        ConfigError: as `refuse_folder`; the disk is full or read-only.
    """
    target = refuse_folder(folder, force)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    with writing(target):
        _remove_left(target)
        try:
            part.mkdir(parents=True)
            rows = write(part)
            write_json(part / MANIFEST, _manifest(dataset, form, part, rows))
            _replace(target, part)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return target


def refuse_folder(folder: str | Path, force: bool = False) -> Path:
    """The absolute path of a folder that an export may be written to.

    Args:
        force: allow one that holds an export, and nothing but its files.

    Raises:
        ConfigError: it is a file, or it holds what an export would replace.
    """
    target = Path(folder).expanduser().resolve()
    if not target.exists():
        return target
    if not target.is_dir():
        raise ConfigError(f"{target} is a file; name a folder that is empty or not there.")
    if not any(target.iterdir()):
        return target
    if not (target / MANIFEST).is_file():
        said = f"is not empty, and was not written by {WRITER}"
        raise ConfigError(f"{target} {said}; name another folder.")
    manifest = _read(target)
    if not force:
        said = f"holds an export of the data {manifest['data']['hash']}"
        raise ConfigError(f"{target} {said}; force (--force) replaces it.")
    if others := sorted({*_files(target)} - {MANIFEST, *manifest["files"]}):
        said = f"{target / others[0]} was not written by {WRITER}"
        raise ConfigError(f"{said} ({len(others)} such files); move it out of the export.")
    return target


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of an export, after every file was compared with its checksum.

    Returns:
        ``format``; ``data`` (name, hash, seed, configuration, counts, notes); ``versions``; and
        ``files``: rows, bytes and SHA-256 of each by its path. Files that an export did not write
        are not looked at.

    Raises:
        DataError: the folder holds no export, or a file is missing or was changed.
    """
    target = Path(folder).expanduser()
    manifest = _read(target)
    for name, known in manifest["files"].items():
        if not (target / name).is_file():
            raise DataError(f"{target / name}: the file is missing; export the data again.")
        if _checksum(target / name) != known["sha256"]:
            said = "was changed after it was written, or is damaged"
            raise DataError(f"{target / name}: the file {said}; export the data again.")
    return manifest


def exported_tasks(dataset: Dataset) -> list[str]:
    """The behaviors that have rows to train and to test.

    Raises:
        DataError: there are none.
    """
    if tasks := tasks_of(dataset.rows):
        return tasks
    said = "no user has enough events of one behavior to be tested"
    raise DataError(f"{dataset.name}: {said}, so there is no split to export; bring longer logs.")


def _manifest(dataset: Dataset, form: str, part: Path, rows: Mapping[str, int]) -> dict[str, Any]:
    packages = {name: metadata.version(name) for name in PACKAGES}
    own = {"gensr_lib": __version__, "numbers": NUMBERS, "python": platform.python_version()}
    return {
        "written_by": WRITER,
        "format": form,
        "data": {
            "name": dataset.name,
            "hash": dataset.hash,
            "seed": dataset.seed,
            "config": dataset.config.model_dump(mode="json"),
            "counts": dataset.counts,
            "notes": dataset.notes,
        },
        "versions": own | packages,
        "files": {name: _described(part / name, rows.get(name)) for name in _files(part)},
    }


def _described(path: Path, rows: int | None) -> dict[str, Any]:
    sync(path)
    counted = {} if rows is None else {"rows": rows}
    return {**counted, "bytes": path.stat().st_size, "sha256": _checksum(path)}


def _read(folder: Path) -> dict[str, Any]:
    """The manifest as it stands."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        is_whole = manifest["written_by"] == WRITER and manifest["data"]["hash"]
        if not (is_whole and isinstance(manifest["files"], dict)):
            raise KeyError("written_by")
    except (OSError, ValueError, LookupError, TypeError) as error:
        said = f"this is no manifest of {WRITER} ({error!r})"
        raise DataError(f"{path}: {said}; name the folder of an export.") from None
    return manifest


def _files(folder: Path) -> list[str]:
    """All files below a folder, by their paths from it, sorted."""
    found = (path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _replace(target: Path, part: Path) -> None:
    """Put a finished folder in the place of an older one, which stays until then."""
    old = part.with_suffix(".old.part")
    if target.exists():
        target.rename(old)
    part.rename(target)
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _remove_left(target: Path) -> None:
    """Remove what killed exports to this folder have left, if nobody wrote to it for a day."""
    for left in target.parent.glob(f".{escape(target.name)}.*.part"):
        if time.time() - left.stat().st_mtime > DAY:
            shutil.rmtree(left, ignore_errors=True)
