"""Six small folders of somebody's own tables, each without something that the default run has.

All of them are random: whatever a chapter claims about the default data does not hold in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

# Name: the behaviors of the log, and the columns of the table of items beside the ids.
FOLDERS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "recommendations": (["rec"], ["title"]),
    "searches": (["src"], ["title", "categories"]),
    "no-categories": (["rec", "src"], ["title"]),
    "no-titles": (["rec", "src"], []),
    "random": (["rec", "src"], ["title", "categories"]),
    "made-searches": (["rec"], ["title", "paths"]),
}
# Users, items and clicks of each user: every user has 99 items left, every item five clicks or more.
SIZE = (45, 130, 20)
SMALLEST = (20, 150, 40)  # as few users as the chapters take
THINGS = ["shoe", "lamp", "mug", "tent", "drum"]
COLOURS = ["red", "blue", "green", "white"]


def write_folder(
    folder: Path, behaviors: Sequence[str], columns: Sequence[str], size: tuple[int, int, int] = SIZE
) -> Path:
    """Write ``interactions.csv`` and ``items.csv``."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    _interactions(behaviors, size, rng).to_csv(folder / "interactions.csv", index=False)
    items = _items(size[1], rng)[["item_id", *columns]].rename(columns={"paths": "categories"})
    items.to_csv(folder / "items.csv", index=False)
    return folder


def _interactions(behaviors: Sequence[str], size: tuple[int, int, int], rng: np.random.Generator) -> pd.DataFrame:
    users, items, clicks = size
    # Every item equally often, in random order: the 5-core keeps them all.
    deck = np.concatenate([rng.permutation(items) for _ in range(users * clicks // items + 1)])
    log = pd.DataFrame({"user_id": np.repeat(np.arange(users), clicks)})
    log["item_id"] = deck[: len(log)]
    log["time"] = np.tile(np.arange(clicks), users)
    log["behavior"] = np.resize(behaviors, len(log))
    words = rng.choice(COLOURS, len(log)) + np.array(" ") + rng.choice(THINGS, len(log))
    log["query"] = np.where(log["behavior"] == "src", words, "")
    return log.assign(user_id="u" + log["user_id"].astype(str), item_id=_names(log["item_id"]))


def _items(items: int, rng: np.random.Generator) -> pd.DataFrame:
    number = pd.Series(np.arange(items))
    thing = pd.Series(rng.choice(THINGS, items))
    title = pd.Series(rng.choice(COLOURS, items)) + " " + thing + " " + number.astype(str)
    names = {"item_id": _names(number), "title": title, "categories": thing}
    return pd.DataFrame({**names, "paths": "Things > " + thing})


def _names(number: pd.Series) -> pd.Series:
    return "i" + number.astype(str)
