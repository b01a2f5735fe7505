"""Files out of a zip archive that somebody else has made: no path of it is trusted."""

from __future__ import annotations

import lzma
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm.auto import tqdm

from ....errors import ConfigError, DataError
from ....files import write_atomically
from . import content

BLOCK = 1 << 20  # bytes that are unpacked at once
BAR = {"unit": "B", "unit_scale": True, "leave": False, "disable": None}  # on a terminal only
# What a damaged archive raises, one with a password, and one packed by an unknown method.
UNREADABLE = (
    zipfile.BadZipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    RuntimeError,
    NotImplementedError,
)


def paths_in(archive: Path) -> list[str]:
    """The paths of all files in an archive.

    Raises:
        DataError: this is no sound archive.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            return [info.filename for info in opened.infolist() if not info.is_dir()]
    except UNREADABLE as error:
        raise content.damaged(archive, error) from error


def unpack(archive: Path, members: Sequence[str], folder: Path) -> None:
    """Lay some files of an archive side by side into a folder, each whole or not at all.

    A file that is already there stays as it is.

    Args:
        members: their paths in the archive.

    Raises:
        DataError: this is no sound archive; a path in it leads out of its folder, or is a link; it
            lacks a member; its members grow beyond `content.MAX_GROWTH`.
        ConfigError: the disk is full or read-only.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            _refuse_foreign_paths(archive, opened.infolist())
            infos = [_member(archive, opened, name) for name in members]
            _refuse_growth(archive, infos)
            targets = [folder / PurePosixPath(name).name for name in members]
            missing = [pair for pair in zip(infos, targets, strict=True) if not pair[1].exists()]
            size = sum(info.file_size for info, _ in missing)
            _refuse_lack_of_room(archive, size, folder)
            with tqdm(desc=archive.name, total=size, **BAR) as bar:
                for info, target in missing:
                    _take(opened, info, target, bar)
    except UNREADABLE as error:
        raise content.damaged(archive, error) from error


def _take(opened: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, bar: tqdm) -> None:
    def copy(part: Path) -> None:
        with opened.open(info) as source, part.open("wb") as file:
            for block in _blocks(source, Path(opened.filename)):
                file.write(block)
                bar.update(len(block))

    write_atomically(target, copy)


def _blocks(source: IO[bytes], archive: Path) -> Iterator[bytes]:
    """The content of a member; an error of reading is none of writing, though both are OSError."""
    try:
        while block := source.read(BLOCK):
            yield block
    except OSError as error:
        raise content.damaged(archive, error) from error


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
    packed = sum(info.compress_size for info in infos)
    if total > content.FREE and total > content.MAX_GROWTH * packed:
        found = f"{packed:,} bytes of it unpack to {total:,}"
        limit = f"{content.__name__}.MAX_GROWTH, {content.MAX_GROWTH} times"
        raise DataError(f"{archive}: {found}, more than {limit}.")


def _refuse_lack_of_room(archive: Path, size: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        found = f"unpacked it takes {size:,} bytes, and {free:,} are free in {folder}"
        raise ConfigError(f"{archive}: {found}; make room, and run again.")
