"""Progress bars: one way to show them, silent in CI and under the book's runner."""

from __future__ import annotations

import os
from collections.abc import Iterable

from tqdm.auto import tqdm


def quiet() -> bool:
    """Whether bars are off: ``CI`` or ``GENSR_QUIET`` is set in the environment."""
    return bool(os.environ.get("CI") or os.environ.get("GENSR_QUIET"))


def bar(iterable: Iterable | None = None, **options) -> tqdm:
    """A tqdm bar (a widget in notebooks) that says nothing where nobody watches."""
    return tqdm(iterable, disable=quiet(), leave=False, dynamic_ncols=True, **options)
