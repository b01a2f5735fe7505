"""Which data sources there are, and `load_dataset`: one name or path in, one `Dataset` out.

A new source is a module or package of this room, which exposes a `Kind` as ``SOURCE``, and a line
here.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path

import pyarrow as pa
from filelock import FileLock

from ... import NUMBERS
from ...config import DataConfig, Profile, digest, read_profile
from ...errors import ConfigError, DataError, unknown
from ...files import project_root, writing
from ..dataset import Dataset
from ..prepared import FORMAT, load_prepared, save_prepared
from ..schema import BEHAVIOR, SRC, Tables
from .made_searches import synthesize_searches
from .source import Kind, Offer, Source

# name or pattern: module or package beside this file, imported when one of its data sets is asked
# for. Raw files of a name lie in data/raw/<name>/.
SOURCES = {
    "pocket": "pocket",
    "pocket-plain": "pocket_plain",
    "amazon-*": "amazon",
    "kuaisar": "kuaisar",
    "kuaisar-small": "kuaisar",
    "unisar-*": "unisar",
    "movielens-*": "movielens",
}
WORTH_KEEPING = 100_000  # events: fewer are read and split within a second
OWN = "own"  # reads any folder that none of the others knows


def load_dataset(
    name_or_path: str | Path = "pocket",
    profile: str | Profile = "pocket",
    seed: int = 0,
    data_config: DataConfig | None = None,
) -> Dataset:
    """Load, filter and split a data set.

    Args:
        name_or_path: as for `find`.
        profile: name or object; its ``pocket`` section sizes the simulation, ``data`` the filters.
        seed: of the simulation, of synthetic queries, of the stored negatives.
        data_config: replaces the profile's ``data`` section.

    Returns:
        The data set; its stored negatives lie in ``data/processed/``, and of large raw files also
        all else (`prepared`), for the next time. Data without a search get searches from the
        categories of their items (`made_searches`). What was left out or made up
        is in `Dataset.notes`; what may spoil a result is also logged as a warning, once.

    Raises:
        ConfigError: an unknown name.
        DataError: a path where nothing is, or files that cannot be used; the message says which
            and why.
    """
    source = find(name_or_path)
    profile = read_profile(profile) if isinstance(profile, str) else profile
    config = source.config(data_config or profile.data)
    cache = project_root() / "data" / "processed" / source.name
    if source.path is None:
        return _read(source, profile, config, seed, cache)
    key = digest(NUMBERS, FORMAT, source.fingerprint(), config, seed)
    folder = cache / f"prepared-{key}"
    with writing(cache):
        cache.mkdir(parents=True, exist_ok=True)
        held = FileLock(cache / f"prepared-{key}.lock").acquire()
    with held:  # processes wait, and do not all prepare
        dataset = load_prepared(folder)
        if dataset is None:
            dataset = _read(source, profile, config, seed, cache)
            if len(dataset.user) >= WORTH_KEEPING:
                save_prepared(dataset, folder)
    return dataset


def _read(source: Source, profile: Profile, config: DataConfig, seed: int, cache: Path) -> Dataset:
    """A data set from its raw files, or its simulation."""
    tables = source.read(profile.replace(data=config), seed)
    pa.default_memory_pool().release_unused()  # Arrow would keep the memory of the raw strings
    tables = with_searches(tables, seed)
    return Dataset.from_tables(tables, config, source.name, seed, cache)


def with_searches(tables: Tables, seed: int) -> Tables:
    """The tables; if they are real data without a search, with searches made from categories."""
    if tables.truth is None and not tables.interactions[BEHAVIOR].eq(SRC).any():
        return synthesize_searches(tables, seed)
    return tables


def find(name_or_path: str | Path, must_exist: bool = True) -> Source:
    """The data set of a name, of a folder, or of an archive.

    Args:
        name_or_path: ``pocket`` and ``pocket-plain`` (simulated); ``amazon-<category>``, whose raw
            files lie in ``data/raw/amazon-<category>/``; ``movielens-100k`` and
            ``movielens-1m`` likewise; or a folder with raw files of a known kind or with your own
            tables (``book/your_own_data.md``: which columns); or an archive that is read as it is,
            such as ``KuaiSAR_v2.zip``. A name wins over a folder that is called alike; write
            ``./pocket`` for the folder.
        must_exist: check that the raw files are there.

    Raises:
        ConfigError: neither a name nor a path, or a name that two sources claim.
        DataError: nothing is at a path, or a file that is read with others of its folder only; a
            name whose raw files are missing.

    >>> find("pocket").name, find("pocket").path
    ('pocket', None)
    """
    text = str(name_or_path)
    place = Path(name_or_path).expanduser()
    if len(os.fsencode(text)) > 4000 or any(len(os.fsencode(part)) > 255 for part in place.parts):
        raise ConfigError(f"no data set and no path has a name as long as '{text[:40]}…'")
    is_path = os.sep in text or text.startswith((".", "~"))
    if not is_path and (claims := [p for p in SOURCES if fnmatchcase(text, p)]):
        kind = _kind(_the_only(claims, f"the name '{text}'"))
        path = raw_folder(text) if kind.check else None
        if path and must_exist:
            _check(kind, text, path)
        return Source(text, path, kind, is_named=True)
    if not is_path and not place.exists():
        choice = unknown("data set", text, available_datasets())
        raise ConfigError(f"{choice}, or a folder with your tables (book/your_own_data.md)")
    if must_exist and not place.exists():
        looked = f"looked for {place.resolve()}"
        raise DataError(f"no folder '{text}' ({looked}): give a name or a folder of tables")
    is_file = place.is_file()
    claims = _claims(place)
    if must_exist and is_file and not claims:
        archives = ", ".join(sorted({_kind(pattern).archive or "" for pattern in SOURCES} - {""}))
        said = f"of files only an archive is read as it is ({archives})"
        raise DataError(f"{place}: {said}; give the folder that your file lies in")
    kind = _kind(_the_only(claims, f"the path {text}")) if claims else _module(OWN)
    whole = place.resolve()
    return Source(whole.stem if is_file else whole.name, place, kind, is_named=False)


def _claims(place: Path) -> list[str]:
    """The lines of the table whose raw files a folder holds, or an archive is."""
    # A kind that several names stand for claims a place once.
    patterns = {module: pattern for pattern, module in SOURCES.items()}.values()
    if place.is_file():
        archives = [(pattern, _kind(pattern).archive) for pattern in patterns]
        return [pattern for pattern, archive in archives if archive and place.match(archive)]
    return [pattern for pattern in patterns if _kind(pattern).holds(place)]


def available_datasets() -> list[str]:
    """The names that can be loaded here: the simulated ones, and those with a raw folder."""
    names = [pattern for pattern in SOURCES if _kind(pattern).check is None]
    here = sorted(path.name for path in _raw().glob("*") if path.is_dir())
    claimed = [n for n in here if any(fnmatchcase(n, pattern) for pattern in SOURCES)]
    return list(dict.fromkeys([*names, *claimed]))


def listed_datasets() -> list[dict[str, str]]:
    """Each name or pattern of the table, and the data sets of it that are here: what, and where."""
    rows = []
    for pattern in SOURCES:
        kind = _kind(pattern)
        names = [name for name in available_datasets() if fnmatchcase(name, pattern)]
        for name in names or [pattern]:
            place = "simulated"
            if kind.check:
                place = str(raw_folder(name)) if names else _way_to(kind, name)
            rows.append({"data set": name, "what it is": kind.about, "where": place})
    return rows


def _way_to(kind: Kind, name: str) -> str:
    way = f"not here; put it into {raw_folder(name)}"
    return f"{way}, or: gensr data get" if kind.remote else way


def offers() -> dict[str, Offer]:
    """The data sets that can be downloaded, by name."""
    return {name: offer for pattern in SOURCES for name, offer in _kind(pattern).remote.items()}


def raw_folder(name: str) -> Path:
    """Where the raw files of a data set lie."""
    return _raw() / name


def _raw() -> Path:
    return project_root() / "data" / "raw"


def _check(kind: Kind, name: str, folder: Path) -> None:
    """Raise `DataError` if the raw files are not there; it says what brings them."""
    try:
        kind.check(folder)
    except DataError as error:
        if name in kind.remote:
            raise DataError(f"{error} `gensr data get {name}` downloads it.") from None
        raise


def _the_only(patterns: list[str], what: str) -> str:
    if len(patterns) > 1:
        lines = ", ".join(f"'{pattern}': '{SOURCES[pattern]}'" for pattern in patterns)
        raise ConfigError(f"{what} is claimed by {lines} of {__name__}.SOURCES; keep one of them.")
    return patterns[0]


def _kind(pattern: str) -> Kind:
    return _module(SOURCES[pattern])


def _module(name: str) -> Kind:
    """The ``SOURCE`` of a module of this package."""
    try:
        return import_module(f"{__package__}.{name}").SOURCE
    except (ImportError, AttributeError) as error:
        found = f"the data source {__package__}.{name} that {__name__} lists cannot be used"
        raise ConfigError(f"{found}: {error}.") from error
