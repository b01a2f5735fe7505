"""What a data source is: the one object that each source exposes to the table in `load`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ...config import DataConfig, Profile
from ..schema import Tables


@dataclass(frozen=True)
class Remote:
    """A file that can be downloaded.

    Attributes:
        url: its address, by https.
        file: its name here.
        checksum: as published, ``md5:…`` or ``sha256:…``; None where none is.
        members: the files that are taken out of it if it is a zip archive, by their paths in it;
            they are laid side by side.
    """

    url: str
    file: str
    checksum: str | None = None
    members: tuple[str, ...] = ()

    @property
    def raw_files(self) -> tuple[str, ...]:
        """The names of what lies in the folder of raw files in the end."""
        return tuple(PurePosixPath(path).name for path in self.members) or (self.file,)


@dataclass(frozen=True)
class Offer:
    """A data set that can be downloaded.

    Attributes:
        routes: the files, and other files that hold the same data for whom the first cannot be
            reached; the best first.
        size: how much it is, in words.
        licence: the terms in a few words, for a list.
        terms: in one or two sentences with their address; shown before each download.
    """

    routes: tuple[tuple[Remote, ...], ...]
    size: str
    licence: str
    terms: str


@dataclass(frozen=True)
class Kind:
    """A kind of data set, exposed by its module or package as ``SOURCE``.

    Attributes:
        read: turns the folder of raw files or their `archive` (None for a simulation), a profile
            and a seed into validated `Tables`.
        example: writes a tiny valid example of the raw files into a folder and returns what to
            ask `load.find` for. The contract tests load it.
        check: raises `DataError` if a folder does not hold the raw files; None for a simulation,
            which has none.
        holds: whether a folder that the user gives holds raw files of this kind.
        archive: a pattern of names; such a file is read as it is, without a folder. None: none is.
        about: what the data are, in a few words for a list.
        protocol: options of `DataConfig` that the data are published with, where a profile does
            not say otherwise.
        remote: the data sets that can be downloaded, by name.
    """

    read: Callable[[Path | None, Profile, int], Tables]
    example: Callable[[Path], str]
    check: Callable[[Path], object] | None = None
    holds: Callable[[Path], bool] = lambda folder: False
    archive: str | None = None
    about: str = ""
    protocol: Mapping[str, object] = field(default_factory=dict)
    remote: Mapping[str, Offer] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """One data set that can be read.

    Attributes:
        name: for folders and tables: its own, or the last part of a path, without an ending.
        path: the folder of the raw files, or the one file that they are packed in; None for a
            simulation.
        kind: how it is read.
        is_named: whether it was found by its name, and not by its path.
    """

    name: str
    path: Path | None
    kind: Kind
    is_named: bool

    @property
    def address(self) -> str:
        """What finds it from any working directory: its name or the absolute path."""
        return self.name if self.is_named else str(self.path.resolve())

    def files(self) -> dict[str, Path]:
        """The raw files by their path below the folder; none of a simulation."""
        if self.path is None:
            return {}
        if self.path.is_file():
            return {self.path.name: self.path}
        found = sorted(path for path in self.path.rglob("*") if path.is_file())
        return {path.relative_to(self.path).as_posix(): path for path in found}

    def fingerprint(self) -> list[tuple[str, int, int]]:
        """Name, size and time of change of each file: when one differs, the files are others."""
        stats = {name: path.stat() for name, path in self.files().items()}
        return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()]

    def config(self, given: DataConfig) -> DataConfig:
        """The given options, and the protocol's for those that are not given."""
        options = given.model_dump(exclude_unset=True)
        return DataConfig.parse({**self.kind.protocol, **options})

    def read(self, profile: Profile, seed: int) -> Tables:
        """Its validated tables; the profile sizes a simulation, the seed is the simulation's."""
        profile = profile.replace(data=self.config(profile.data))
        return self.kind.read(self.path, profile, seed)
