"""Data sets for exports: titles and queries that break tables of text, and sessions of several clicks."""

from __future__ import annotations

from functools import cache

import pandas as pd

from gensr_lib.data.dataset import Dataset
from gensr_lib.data.schema import Tables
from tests.worlds import TINY, log, twin_events

# item: title, categories, text. Ids have slashes, quotation marks inside, zeros in front.
AWKWARD = {
    "a/b": ('"quoted" pen\tof\nthree lines', "Home > Ink pens | Home > Gifts", "a\r\nb"),
    "007": ("nan", "null", "None"),
    'x"y': ("  wide   space \0 ", "", "ends with a tab\t"),
    "é#1": ("Füller, 12\" | 'fine'", 'Home > 12" paper', ""),
}


@cache
def awkward() -> Dataset:
    """Two users whose queries and items are hard to write down; do not change it."""
    items = list(AWKWARD) + [f"i{n}" for n in range(12)]
    titles = pd.DataFrame([AWKWARD.get(i, (i, "Home > Things", "")) for i in items]).set_axis(
        ["title", "categories", "text"], axis=1
    )
    events = []
    for user in ("u/1", "ü 2"):
        for time, item in enumerate(items[:6]):
            query = ["nan", '"red\tshoe"', "tea | pot"][time % 3]
            events += [(user, item, time, "rec"), (user, item, time, "src", query)]
    events += [("~", item, 0, "rec") for item in items]
    return Dataset.from_tables(Tables(log(*events), titles.assign(item_id=items)), TINY, name="a shop/of mine")


def long_sessions(**options) -> Dataset:
    """A user whose searches go on: one ends before the next click, one is cut short, one is never over in training."""
    events = [("u", f"r{t}", 10 * t, "rec") for t in range(9)]
    sessions = {1: (5, 8), 2: (12, 25, 33), 3: (41, 42, 43, 44), 4: (35, 62), 5: (55,), 6: (61,), 7: (79,)}
    for session, times in sessions.items():
        events += [("u", f"s{session}-{t}", t, "src", f"query {session} at {t}", session) for t in times]
    events += [("~", f"~{n}", 0, "rec") for n in range(9)] + twin_events("v", 8)
    given = log(*events)
    items = sorted(given["item_id"].unique())
    blank = pd.DataFrame({"item_id": items, "title": "", "categories": "", "text": ""})
    config = TINY.replace(**{"session_clicks": 3, "history_rec": 4, "history_src": 3, **options})
    return Dataset.from_tables(Tables(given, blank), config)
