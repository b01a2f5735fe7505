"""`load_dataset`: one name or folder in, one `Dataset` out."""

from __future__ import annotations

from pathlib import Path

from ...config import DataConfig, Profile, read_profile
from ...errors import ConfigError
from ...files import project_root
from ..dataset import Dataset
from ..pocket.world import simulate
from ..schema import BEHAVIOR, CATEGORIES, SRC, Tables
from .amazon import find_amazon_files, read_amazon
from .made_searches import synthesize_searches
from .own_tables import read_tables


def load_dataset(
    name_or_path: str | Path = "pocket",
    profile: str | Profile = "pocket",
    seed: int = 0,
    data_config: DataConfig | None = None,
) -> Dataset:
    """Load, filter and split a data set.

    Args:
        name_or_path: ``pocket`` (simulated, the default); ``amazon-<category>``, whose raw 2014 files
            lie in ``data/raw/amazon-<category>/``; or a folder with raw Amazon files or with your own
            tables (``data/README.md`` says which columns).
        profile: name or object; its ``pocket`` section sizes the simulation, ``data`` the filters.
        seed: of the simulation, of synthetic queries, of the stored negatives.
        data_config: replaces the profile's ``data`` section.

    Returns:
        The data set; its stored negatives lie in ``data/processed/``.

    Raises:
        ConfigError: an unknown name, or a folder that does not exist.
        DataError: files that cannot be used; the message says which and why.
    """
    profile = read_profile(profile) if isinstance(profile, str) else profile
    tables, name = _read(str(name_or_path), profile, seed)
    if tables.truth is None and not tables.interactions[BEHAVIOR].eq(SRC).any() and _has_categories(tables):
        tables = synthesize_searches(tables, seed)
    cache = project_root() / "data" / "processed" / name
    return Dataset.from_tables(tables, data_config or profile.data, name, seed, cache)


def _read(name_or_path: str, profile: Profile, seed: int) -> tuple[Tables, str]:
    if name_or_path == "pocket":
        return simulate(profile.pocket, seed), "pocket"
    if name_or_path.startswith("amazon-") and not Path(name_or_path).exists():
        folder = project_root() / "data" / "raw" / name_or_path
        return read_amazon(*find_amazon_files(folder)), name_or_path
    folder = Path(name_or_path)
    if not folder.is_dir():
        raise ConfigError(
            f"unknown data set '{name_or_path}': use 'pocket', 'amazon-<category>' with its files in "
            f"data/raw/amazon-<category>/, or the path of a folder with your own tables (see data/README.md)."
        )
    if any(folder.glob("reviews_*")):
        return read_amazon(*find_amazon_files(folder)), folder.resolve().name
    return read_tables(folder), folder.resolve().name


def _has_categories(tables: Tables) -> bool:
    return bool(tables.items[CATEGORIES].astype(str).ne("").any())
