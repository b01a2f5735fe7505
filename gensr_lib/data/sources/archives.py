"""Files out of a zip archive that somebody else has made: no path of it is trusted."""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from ...errors import DataError
from ...files import write_atomically
from . import content

# What a damaged archive raises, one with a password, and one packed by an unknown method.
UNREADABLE = (zipfile.BadZipFile, EOFError, zlib.error, RuntimeError, NotImplementedError)


def unpack(archive: Path, members: tuple[str, ...], folder: Path) -> None:
    """Lay some files of an archive side by side into a folder, each whole or not at all.

    A file that is already there stays as it is.

    Args:
        members: their paths in the archive.

    Raises:
        DataError: this is no sound archive; a path in it leads out of its folder, or is a link; it
            lacks a member; its members grow beyond `content.MAX_GROWTH`.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            _refuse_foreign_paths(archive, opened.infolist())
            _refuse_growth(archive, [_member(archive, opened, name) for name in members])
            for name in members:
                target = folder / PurePosixPath(name).name
                if not target.exists():
                    _take(opened, name, target)
    except UNREADABLE as error:
        raise content.damaged(archive, error) from error


def _take(opened: zipfile.ZipFile, name: str, target: Path) -> None:
    def copy(part: Path) -> None:
        with opened.open(name) as source, part.open("wb") as file:
            shutil.copyfileobj(source, file)

    write_atomically(target, copy)


def _member(archive: Path, opened: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    try:
        return opened.getinfo(name)
    except KeyError:
        raise DataError(f"{archive}: there is no {name} in this archive.") from None


def _refuse_foreign_paths(archive: Path, infos: list[zipfile.ZipInfo]) -> None:
    """An archive with one such path was made to do harm: nothing of it is taken."""
    for info in infos:
        path = PurePosixPath(info.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or re.match("[a-zA-Z]:", info.filename):
            raise DataError(f"{archive}: its path {info.filename} leads out of its folder.")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise DataError(f"{archive}: its file {info.filename} is a link.")


def _refuse_growth(archive: Path, infos: list[zipfile.ZipInfo]) -> None:
    """`zipfile` unpacks no more of a file than its size as the archive states it."""
    total = sum(info.file_size for info in infos)
    packed = archive.stat().st_size
    if total > content.FREE and total > content.MAX_GROWTH * packed:
        found = f"its {packed:,} bytes unpack to {total:,}"
        limit = f"{content.__name__}.MAX_GROWTH, {content.MAX_GROWTH} times"
        raise DataError(f"{archive}: {found}, more than {limit}.")
