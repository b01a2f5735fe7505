"""Small data sets that tests share: hand-written logs and a tiny simulated platform."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import torch

from gensr_lib.config import DataConfig
from gensr_lib.data.dataset import Dataset
from gensr_lib.data.pocket.world import PocketConfig, simulate
from gensr_lib.data.schema import INTERACTION_COLUMNS, Tables

TINY = DataConfig(min_interactions=1, eval_negatives=5, history_rec=6, history_src=6)


def log(*events: tuple) -> pd.DataFrame:
    """Interactions from (user, item, time, behavior[, query[, session]]) tuples."""
    rows = []
    for number, (user, item, time, behavior, *rest) in enumerate(events):
        query = rest[0] if rest else ("red shoe" if behavior == "src" else "")
        session = rest[1] if len(rest) > 1 else (number if behavior == "src" else -1)
        rows.append((user, item, time, behavior, query, session))
    return pd.DataFrame(rows, columns=list(INTERACTION_COLUMNS))


def catalogue(names) -> pd.DataFrame:
    """A table of items with readable titles."""
    names = list(names)
    return pd.DataFrame({
        "item_id": names, "title": [f"thing {n}" for n in names], "categories": "Home > Things", "text": "",
    })  # fmt: skip


def tables(*events: tuple, extra_items: int = 20) -> Tables:
    """Tables of some events, and of a last user ``~`` who touched ``extra_items`` others all at once.

    That user gives the rest something to draw negatives from, and is too short for the split.
    """
    crowd = [("~", f"~{i}", 0, "rec") for i in range(extra_items)]
    interactions = log(*events, *crowd)
    return Tables(interactions, catalogue(sorted(interactions["item_id"].unique())))


def twin_events(user: str, n: int = 6) -> list[tuple]:
    """Purchases at times 0..n-1, each with the search made from it at the same time."""
    purchases = [(user, f"{user}-i{t}", t, "rec") for t in range(n)]
    searches = [(user, f"{user}-i{t}", t, "src", "red shoe", 100 + t) for t in range(n)]
    return purchases + searches


class Vectors:
    """As much of a LightGCN as GenSR looks at: its item vectors, here any table (I + 1, d)."""

    def __init__(self, table: torch.Tensor):
        self.table = table

    def item_vectors(self) -> torch.Tensor:
        return self.table


@cache
def pocket(seed: int = 0) -> Dataset:
    """A tiny simulated platform; do not change it."""
    simulated = simulate(PocketConfig(n_users=60, n_items=220, n_events=2000), seed)
    return Dataset.from_tables(
        simulated, DataConfig(min_interactions=2, max_valid_rows=20, history_rec=12, history_src=12)
    )


def keep_items(dataset: Dataset) -> np.ndarray:
    """All item indices of a data set."""
    return np.arange(1, dataset.n_items + 1)
