"""The files of KuaiSAR: a folder with its tables, or the published zip archive as it came."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm.auto import tqdm

from ...errors import DataError
from ...files import project_root, writing
from .content import FREE, MAX_GROWTH

HOME = "https://zenodo.org/records/8181109"
TABLES = ("rec_inter", "src_inter", "item_features")
SUFFIXES = (".csv", ".csv.gz")
BLOCK = 1 << 24


def find_files(folder: Path) -> dict[str, Path] | Path:
    """The three tables below ``folder`` by name, or else the one zip archive that lies in it.

    Raises:
        DataError: the folder or a table is missing, or a table is there twice.
    """
    folder = Path(folder)
    if not folder.is_dir():
        advice = f"Download KuaiSAR_v2.zip (or KuaiSAR.zip) from {HOME} and put it there"
        raise DataError(f"{folder}: no such folder. {advice}.")
    found = {name: _named(folder, name) for name in TABLES}
    if not any(found.values()):
        return _archive(folder)
    for name, paths in found.items():
        if not paths:
            raise DataError(f"{folder}: no table {name}.csv. It is in the archive of {HOME}.")
        if len(paths) > 1:
            names = " and ".join(str(path.relative_to(folder)) for path in paths)
            raise DataError(f"{folder}: {names} are both there; keep one of them.")
    return {name: paths[0] for name, paths in found.items()}


def holds_files(folder: Path) -> bool:
    """Whether a folder holds KuaiSAR's tables or its archive."""
    return any(_named(folder, name) for name in TABLES) or any(folder.glob("KuaiSAR*.zip"))


@contextmanager
def unpacked(folder: Path) -> Iterator[dict[str, Path]]:
    """The three tables by name; those of an archive are gone after the ``with`` block.

    Of an archive nothing is taken but the members with the three names, and they are written under
    names of ours, so that no path in it can lead out of the folder.

    Raises:
        DataError: as `find_files`; the archive is damaged, a table is missing in it, or one grows
            without end.
        ConfigError: the disk is full.
    """
    found = find_files(folder)
    if isinstance(found, dict):
        yield found
        return
    place = project_root() / "data" / "processed"
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix=".unpacked-") as target:
        yield _unpack(found, Path(target))


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


def _unpack(archive: Path, target: Path) -> dict[str, Path]:
    try:
        with zipfile.ZipFile(archive) as packed:
            members = {name: _member(packed, archive, name) for name in TABLES}
            size = sum(member.file_size for member in members.values())
            free = shutil.disk_usage(target).free
            if size > free:
                need = f"unpacked it takes {size:,} bytes, and {free:,} are free in {target.parent}"
                raise DataError(f"{archive}: {need}. Make room.")
            with tqdm(
                desc=archive.name, total=size, unit="B", unit_scale=True, disable=None
            ) as bar:
                for name, member in members.items():
                    _copy(packed, member, target / f"{name}.csv", bar)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        found = f"the archive is damaged, cut short or locked ({error})"
        raise DataError(f"{archive}: {found}. Download it again from {HOME}.") from error
    return {name: target / f"{name}.csv" for name in TABLES}


def _member(packed: zipfile.ZipFile, archive: Path, name: str) -> zipfile.ZipInfo:
    """The one member with a table's name, whatever folder it is said to be in."""
    found = [info for info in packed.infolist() if Path(info.filename).name == f"{name}.csv"]
    found = [info for info in found if "__MACOSX" not in info.filename]
    if len(found) != 1:
        raise DataError(f"{archive}: it holds {len(found)} tables {name}.csv, not one. See {HOME}.")
    info = found[0]
    if info.file_size > FREE + MAX_GROWTH * info.compress_size:
        grows = f"{info.compress_size:,} bytes unpack to {info.file_size:,}"
        raise DataError(f"{archive}: {name}.csv: {grows}. Download it again from {HOME}.")
    return info


def _copy(packed: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, bar: tqdm) -> None:
    """Unpack a member; `zipfile` stops at the size that was checked, and compares checksums."""
    with writing(path), packed.open(member) as source, path.open("wb") as file:
        while block := source.read(BLOCK):
            file.write(block)
            bar.update(len(block))
