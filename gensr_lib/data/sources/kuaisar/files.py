"""The files of KuaiSAR: a folder with its tables, or the published zip archive as it came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ....errors import DataError
from ..formats.archives import paths_in, unpack
from ..formats.temporary import temporary_folder

HOME = "https://zenodo.org/records/8181109"
ARCHIVES = "KuaiSAR*.zip"  # how both are called where they are published
TABLES = ("rec_inter", "src_inter", "item_features")
SUFFIXES = (".csv", ".csv.gz")


def find_files(path: Path) -> dict[str, Path] | Path:
    """The three tables below a folder by name, or else the one zip archive that lies in it.

    Args:
        path: the folder, or the archive itself.

    Raises:
        DataError: there is nothing there, a table is missing, or one is there twice.
    """
    path = Path(path)
    if path.is_file():
        return path
    if not path.is_dir():
        advice = f"Download KuaiSAR_v2.zip (or KuaiSAR.zip) from {HOME} and put it there"
        raise DataError(f"{path}: no such folder. {advice}.")
    found = {name: _named(path, name) for name in TABLES}
    if not any(found.values()):
        return _archive(path)
    for name, paths in found.items():
        if not paths:
            raise DataError(f"{path}: no table {name}.csv. It is in the archive of {HOME}.")
        if len(paths) > 1:
            names = " and ".join(str(one.relative_to(path)) for one in paths)
            raise DataError(f"{path}: {names} are both there; keep one of them.")
    return {name: paths[0] for name, paths in found.items()}


def holds_files(folder: Path) -> bool:
    """Whether a folder holds KuaiSAR's tables or its archive."""
    return any(_named(folder, name) for name in TABLES) or any(folder.glob(ARCHIVES))


@contextmanager
def unpacked(path: Path) -> Iterator[dict[str, Path]]:
    """The three tables by name; those of an archive are gone after the ``with`` block.

    Raises:
        DataError: as `find_files` and `archives.unpack`; a table is missing in the archive.
        ConfigError: the disk is full or read-only.
    """
    found = find_files(path)
    if isinstance(found, dict):
        yield found
        return
    members = {name: _member(found, name) for name in TABLES}
    with temporary_folder("unpacked") as target:
        unpack(found, list(members.values()), target)
        yield {name: target / f"{name}.csv" for name in TABLES}


def _named(folder: Path, name: str) -> list[Path]:
    return sorted(p for suffix in SUFFIXES for p in folder.rglob(name + suffix) if p.is_file())


def _archive(folder: Path) -> Path:
    archives = sorted(folder.glob("*.zip"))
    if not archives:
        names = ", ".join(f"{name}.csv" for name in TABLES)
        raise DataError(f"{folder}: neither {names} nor a zip archive. Download it from {HOME}.")
    if len(archives) > 1:
        names = ", ".join(path.name for path in archives)
        raise DataError(f"{folder}: several archives: {names}. Keep one of them here.")
    return archives[0]


def _member(archive: Path, name: str) -> str:
    """The path of the one table with a name, whatever folder of the archive it is in."""
    paths = map(PurePosixPath, paths_in(archive))
    found = [str(p) for p in paths if p.name == f"{name}.csv" and "__MACOSX" not in p.parts]
    if len(found) != 1:
        raise DataError(f"{archive}: it holds {len(found)} tables {name}.csv, not one. See {HOME}.")
    return found[0]
