"""Room on disk for what is larger than memory while a data set is read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ....files import project_root, writing


@contextmanager
def temporary_folder(what: str) -> Iterator[Path]:
    """A folder in ``data/processed/`` that is gone after the ``with`` block.

    Args:
        what: is done in it, a word for its name.

    Raises:
        ConfigError: the disk is full or read-only.
    """
    place = project_root() / "data" / "processed"
    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=place, prefix=f".{what}-")
    with folder as name:
        yield Path(name)
