"""Negatives: items that a user has never touched under either behavior, in any split.

Evaluation negatives are drawn once per data set and stored with a checksum, so that every model
ranks the same lists; training negatives are redrawn each epoch from a seed.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DataError
from ..files import remove_litter, write_atomically

DAY = 24 * 3600  # seconds; what nobody wrote to for so long was left by a killed process
MAX_ROUNDS = 64  # of rejection; the few rows still short are then filled exactly


@dataclass(frozen=True)
class NegativeSampler:
    """Draws items in 1..n_items outside each user's own, without a loop over rows.

    Attributes:
        touched: (P,) the pairs of user and item of any event of any split, ascending, as numbers:
            user index times (n_items + 1), plus item index (1-based).
        user_ids: (U,) names by user index, for messages.
        n_items: size of the catalogue.
    """

    touched: np.ndarray
    user_ids: np.ndarray
    n_items: int

    @classmethod
    def of_log(
        cls, users: np.ndarray, items: np.ndarray, user_ids: np.ndarray, n_items: int
    ) -> NegativeSampler:
        """The sampler of a log, whose events are by ``users`` (E,) on ``items`` (E,)."""
        pairs = users.astype(np.int64) * (n_items + 1) + items
        return cls(np.sort(pd.unique(pairs)), user_ids, n_items)  # ten times as fast as np.unique

    @cached_property
    def untouched_count(self) -> np.ndarray:
        """(U,) how many items each user has never touched."""
        owners = self.touched // (self.n_items + 1)
        return self.n_items - np.bincount(owners, minlength=len(self.user_ids))

    def is_touched(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Whether each (user, item) pair occurs in any event; arrays broadcast."""
        keys = np.asarray(users, dtype=np.int64) * (self.n_items + 1) + items
        position = np.searchsorted(self.touched, keys)
        return self.touched[np.minimum(position, len(self.touched) - 1)] == keys

    def draw(self, users: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """``n`` distinct uniform negatives for each user: (len(users), n) int32.

        Raises:
            DataError: a user has touched so much of the catalogue that fewer than n items remain.
        """
        users = np.asarray(users, dtype=np.int64)
        short = self.untouched_count[users] < n
        if short.any():
            user = int(users[short.argmax()])
            raise DataError(
                f"user '{self.user_ids[user]}' has only {self.untouched_count[user]} of the "
                f"{self.n_items} items left that it never touched, {n} negatives were asked for; "
                f"ask for fewer (eval_negatives, negatives) or use a larger catalogue of items."
            )

        def uniform(size) -> np.ndarray:
            return rng.integers(1, self.n_items + 1, size=size, dtype=np.int32)

        drawn = uniform((len(users), n))
        rows = np.arange(len(users))
        for _ in range(MAX_ROUNDS):
            bad = self._bad(users[rows], drawn[rows])
            open_rows = bad.any(axis=1)
            if not open_rows.any():
                return drawn
            rows = rows[open_rows]
            bad = bad[open_rows]
            row, place = np.nonzero(bad)
            drawn[rows[row], place] = uniform(len(row))
        for row in rows:  # only users who have touched nearly everything come here
            drawn[row] = rng.choice(self._untouched(users[row]), size=n, replace=False)
        return drawn

    def _bad(self, users: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Touched items and, within a row, every repetition after the first: (R, n) bool."""
        order = np.argsort(drawn, axis=1, kind="stable")
        in_order = np.take_along_axis(drawn, order, axis=1)
        repeated = np.zeros_like(drawn, dtype=bool)
        np.put_along_axis(repeated, order[:, 1:], in_order[:, 1:] == in_order[:, :-1], axis=1)
        return repeated | self.is_touched(users[:, None], drawn)

    def _untouched(self, user: int) -> np.ndarray:
        everything = np.arange(1, self.n_items + 1)
        return everything[~self.is_touched(user, everything)]


def stored_negatives(
    path: Path | None, draw: Callable[[], dict[str, np.ndarray]], shapes: Mapping[str, tuple]
) -> dict[str, np.ndarray]:
    """Load the negatives at ``path``, or draw and store them there with a checksum.

    Args:
        path: an ``.npz`` file; None keeps them in memory only.
        draw: called without arguments when nothing is stored; returns arrays by name.
        shapes: of these arrays, by the same names.

    Raises:
        DataError: the stored file is damaged (its checksum does not fit), or is of other rows.
        ConfigError: it cannot be written.
    """
    if path is None:
        return draw()
    remove_litter(path.parent, age=DAY)  # no lock here: another process may be writing
    if not path.exists():
        arrays = draw()
        stamped = {"checksum": np.array(checksum(arrays)), **arrays}
        write_atomically(path, lambda part: np.savez(part, **stamped), suffix=".npz")
        return arrays
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        expected = str(arrays.pop("checksum"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        found = f"cannot be read ({error})"
        raise DataError(f"{path}: the stored negatives {found}; delete the file.") from None
    if checksum(arrays) != expected:
        found = "were changed after they were drawn"
        raise DataError(f"{path}: the stored negatives {found}; delete the file.")
    for name, shape in shapes.items():
        found = arrays[name].shape if name in arrays else "none"
        if found != shape:
            what = f"are {found} for {name}, where {shape} are needed"
            raise DataError(f"{path}: the stored negatives {what}; delete the file.")
    return arrays


def checksum(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 over names, shapes and values of some arrays."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha.update(f"{name}{array.shape}{array.dtype}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
