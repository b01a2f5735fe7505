"""`fetch`: the raw files of a data set in their folder, downloaded, checked and unpacked.

A file that lies there is never replaced, and none gets its name before it is whole. What is under
way lies in a folder of its own beside the others, which a killed download leaves for the next.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pooch
from filelock import FileLock, Timeout

from ....errors import DataError, known
from ....files import remove_litter, writing
from ..formats.archives import unpack
from ..load import offers, raw_folder
from ..source import Offer, Remote
from .checksums import FOUND, Record, check_published
from .http import DownloadError, ResumingDownloader

UNDER_WAY = ".download"
BEGINNINGS = {".gz": b"\x1f\x8b", ".zip": b"PK", ".whl": b"PK"}
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RawFile:
    """A raw file that is in its place, and checked.

    Attributes:
        path: where it is.
        origin: the address that it is from, or `checksums.FOUND`.
    """

    path: Path
    origin: str


def fetch(name: str) -> list[RawFile]:
    """Bring the raw files of a data set into ``data/raw/<name>/``.

    Files that are there, by hand or from before, are checked and kept. Of several routes the one
    of which most is there is taken, else the first that leads to the files.

    Args:
        name: of the data set, one of `load.offers`.

    Returns:
        The files, in the order of the offer.

    Raises:
        ConfigError: an unknown name; a full or read-only disk.
        DataError: a file cannot be downloaded (the message says from where to get it by hand, and
            where to put it), is not the one that was published or was here first, or is no sound
            archive.
    """
    there_are = offers()
    offer = there_are[known("data set to download", name, there_are)]
    folder = raw_folder(name)
    failures = []
    with _held(folder):
        for route in sorted(offer.routes, key=lambda route: _missing(route, folder)):
            if failures:
                LOG.warning("%s; taking another address", failures[-1])
            try:
                found = [file for remote in route for file in _bring(remote, folder)]
            except DownloadError as error:
                failures.append(str(error))
            else:
                shutil.rmtree(folder / UNDER_WAY)  # also what is now there by hand
                return found
    said = "; ".join(failures)
    raise DataError(f"{name} cannot be downloaded: {said}. {_by_hand(offer, folder)}")


def _by_hand(offer: Offer, folder: Path) -> str:
    """What is left to do where nothing can be downloaded."""
    missing = [
        [remote.url for remote in route if not _is_here(remote, folder)] for route in offer.routes
    ]
    urls = ", or ".join(" and ".join(route) for route in missing)
    return f"Get {urls} by hand, put what you have into {folder}, and give the same command again."


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes, and leave nothing in it that is of no use."""
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    staging = folder / UNDER_WAY
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _acquire(lock, folder)
        staging.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
    try:
        yield
    finally:
        for emptied in (staging, folder):
            with contextlib.suppress(OSError):  # there is something in it
                emptied.rmdir()
        lock.release()


def _sweep(folder: Path) -> None:
    """Remove what killed processes left, but for what one can go on with; under the lock."""
    remove_litter(folder)
    for litter in (folder / UNDER_WAY).glob("tmp*"):  # pooch's
        litter.unlink()


def _acquire(lock: FileLock, folder: Path) -> None:
    try:
        lock.acquire(timeout=1)
    except Timeout:
        LOG.warning("%s: another process is downloading to it; waiting for it", folder)
        lock.acquire()


def _missing(route: tuple[Remote, ...], folder: Path) -> int:
    return sum(not _is_here(remote, folder) for remote in route)


def _is_here(remote: Remote, folder: Path) -> bool:
    """Whether nothing has to be downloaded: the raw files are there, or the archive of them."""
    return _is_complete(remote, folder) or (folder / remote.file).is_file()


def _is_complete(remote: Remote, folder: Path) -> bool:
    return all((folder / name).is_file() for name in remote.raw_files)


def _bring(remote: Remote, folder: Path) -> list[RawFile]:
    """The raw files of one download, in their place and checked."""
    record = Record(folder)
    own = folder / remote.file
    origin = FOUND
    if own.is_file():
        check_published(own, remote)
        record.add(own)
    elif not _is_complete(remote, folder):
        own = _downloaded(remote, folder / UNDER_WAY)
        origin = remote.url
    if not _is_complete(remote, folder):
        _lay_out(own, remote, folder)
    paths = [folder / name for name in remote.raw_files]
    return [RawFile(path, record.add(path, origin)) for path in paths]


def _lay_out(own: Path, remote: Remote, folder: Path) -> None:
    """A downloaded file in its place, or what is taken out of an archive, wherever it lies."""
    with writing(folder):
        if not remote.members:
            os.replace(own, folder / remote.file)
            return
        unpack(own, remote.members, folder)
        if own.parent != folder:
            own.unlink()


def _downloaded(remote: Remote, staging: Path) -> Path:
    """What is at an address, whole and with the published checksum, where there is one."""
    part = staging / f"{remote.file}.part"
    downloader = ResumingDownloader(part, is_checked=remote.checksum is not None)
    pooch.get_logger().setLevel(logging.WARNING)  # the command line says what is done
    path = staging / remote.file
    with writing(path):
        try:
            pooch.retrieve(remote.url, remote.checksum, path.name, staging, downloader=downloader)
        except DataError:
            raise
        except ValueError as error:  # what pooch raises on another checksum
            said = f"what came has not the checksum {remote.checksum}, and was thrown away"
            raise DownloadError(f"{remote.url}: {said}") from error
    _refuse_page(path, remote)
    return path


def _refuse_page(path: Path, remote: Remote) -> None:
    """Networks that ask for a login first answer with a page, which must not be recorded."""
    beginning = BEGINNINGS.get(path.suffix, b"")
    with path.open("rb") as file:
        start = file.read(len(beginning))
    if start != beginning:
        path.unlink()
        said = f"what came is no {path.suffix} file, but perhaps a page that asks for a login"
        raise DownloadError(f"{remote.url}: {said}; it was thrown away")
