"""`check_tables`: can the book run on a data set, what becomes of it, and what is left out?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ..config import Profile
from ..data.dataset import Dataset
from ..data.item_texts import item_texts
from ..data.origin import FIRST
from ..data.schema import (
    BEHAVIOR,
    CATEGORIES,
    CATEGORY_SEPARATOR,
    ITEM,
    QUERY,
    SESSION,
    SRC,
    TIME,
    TITLE,
    USER,
    Tables,
    count_events,
)
from ..data.sources.load import find, with_searches
from ..data.sources.own.column_map import ColumnMap
from ..data.sources.own.examined import Examined, Finding, examine
from ..data.split import k_core
from ..data.times import span
from ..errors import DataError
from .comparison import FLOORS, PRINTED
from .data_report import Report
from .needs import NEEDS, lacks, sorted_out, tested_tasks
from .spec import load_profile

LITTLE = 0.5  # of the events: a k-core that leaves less is shown beside those of a smaller k


def check_tables(
    name_or_path: str | Path = "pocket",
    profile: str | Profile = "pocket",
    seed: int = 0,
    columns: ColumnMap | None = None,
) -> Report:
    """Read a data set as `load_dataset` does, and report what comes of it; nothing is stored.

    Faults of the user's own tables are collected, as far as one does not hide another; what can be
    said of the rows without a fault is said. Data that can be read and leave too few users to test
    are refused too, since the chapters would be.

    Args:
        name_or_path: as for `load_dataset`.
        profile: name or object; its ``data`` section has the filters and the protocol.
        seed: of a simulation, of made searches and of the negatives.
        columns: a mapping of the user's own tables, in place of their ``columns.yaml``.

    Raises:
        ConfigError, DataError: there is no data set of that name, or no such folder; the profile
            or ``columns.yaml`` is faulty.
    """
    source = find(name_or_path)
    profile = load_profile(profile) if isinstance(profile, str) else profile
    profile = profile.replace(data=source.config(profile.data))
    found = examine(source, profile, seed, columns)
    report = Report(source.name, source.address, profile.name, list(found.faults))
    report.files = found.files
    report.columns = found.columns
    report.is_part = bool(found.faults)
    if found.tables is not None:
        _follow(report, found, profile, seed)
    return report


def _follow(report: Report, found: Examined, profile: Profile, seed: int) -> None:
    """Take the tables through all steps, and put what happens into the report."""
    report.contents = list(_contents(found.tables))
    tables = with_searches(found.tables, seed)
    k = profile.data.min_interactions
    is_given = profile.data.split == "given"  # with its own filters
    kept = tables if is_given else k_core(tables, k, profile.data.both_behaviors)
    report.counts = kept.counts
    report.changes = [Finding(str(n), getattr(n, "examples", list)()) for n in tables.notes]
    report.changes += _outside_the_core(tables, kept, found, k)
    if len(kept.interactions) < LITTLE * len(tables.interactions):
        report.cores = [_core(tables, each) for each in range(1, k + 1)]
    try:
        dataset = Dataset.from_tables(tables, profile.data, report.name, seed)
        report.counts = dataset.counts
        tested_tasks(dataset)
    except DataError as error:
        report.problems.append(Finding(str(error), advice=_room(kept, profile)))
        return
    report.limits = list(_limits(dataset, profile))
    report.hash = dataset.hash


def _contents(tables: Tables) -> Iterator[dict]:
    """What is in the tables, and how it was understood, a line each."""
    events, items = tables.interactions, tables.items
    is_search = events[BEHAVIOR].eq(SRC)
    per_user = events[USER].value_counts()
    clicked = items[ITEM].isin(events[ITEM].cat.categories).sum()
    of_users = f"{per_user.min()} to {per_user.max()}, half of them up to {per_user.median():g}"
    yield {"what": "users", "how": f"{len(per_user):,}; events of each: {of_users}"}
    yield {"what": "items", "how": f"{clicked:,} in events, {len(items):,} with a row"}
    yield {"what": "time", "how": span(events[TIME].to_numpy())}
    clicks = f"{(~is_search).sum():,} clicks or purchases (rec)"
    yield {"what": "behaviors", "how": f"{clicks}, {is_search.sum():,} searches (src)"}
    searches = events[is_search]
    sessions = len(searches[[USER, SESSION]].drop_duplicates())
    queries = f"{searches[QUERY].nunique():,} distinct ones in {sessions:,} sessions"
    yield {"what": "queries", "how": queries if len(searches) else "none"}
    paths = items[CATEGORIES]
    shares = {
        "items with a title": items[TITLE].ne(""),
        "items with something to read": item_texts(items).ne(""),
        "items with a category": paths.ne(""),
        "items with a path of two levels": paths.str.contains(CATEGORY_SEPARATOR, regex=False),
    }
    for what, has in shares.items():
        yield {"what": what, "how": f"{has.mean():.1%}"}


def _outside_the_core(tables: Tables, kept: Tables, found: Examined, k: int) -> list[Finding]:
    """What the k-core has dropped; the first rows of it say how often user and item occur."""
    before, after = (count_events("", each.interactions) for each in (tables, kept))
    dropped = {name: before[name] - after[name] for name in before if name != "step"}
    if not any(dropped.values()):
        return []
    number = dropped["rec events"] + dropped["src events"]
    said = f"{number} events, {dropped['users']} users and {dropped['items']} items were dropped"
    user, item = (found.log[name] for name in (USER, ITEM))
    stay = [kept.interactions[name].cat.categories for name in (USER, ITEM)]
    rows = np.flatnonzero(~(user.isin(stay[0]) & item.isin(stay[1])))[:FIRST]
    once = tables.interactions.drop_duplicates([USER, ITEM, TIME])
    often = [once[name].value_counts() for name in (USER, ITEM)]
    pairs = list(zip(user.iloc[rows], item.iloc[rows], strict=True))
    values = [f"{u} ({often[0][u]} events), {i} ({often[1][i]})" for u, i in pairs]
    first = pd.Series(values, index=user.index[rows], name=f"{USER} and {ITEM}", dtype=object)
    why = f"by the {k}-core: users and items with fewer than {k} events, again and again"
    return [Finding(f"{said} {why}.", found.origin.examples(first)())]


def _core(tables: Tables, k: int) -> dict:
    """One line of the table of cores."""
    counts = count_events("", k_core(tables, k).interactions)
    events = counts["rec events"] + counts["src events"]
    return {"k": k, "events": events, "users": counts["users"], "items": counts["items"]}


def _room(kept: Tables, profile: Profile) -> str:
    """How many negatives each user has room for, if it is fewer than are asked for."""
    events = kept.interactions
    most = events.groupby(USER, observed=True)[ITEM].nunique().max() if len(events) else 0
    room = len(kept.items) - most
    asked = profile.data.eval_negatives
    if not len(events) or room >= asked:
        return ""
    return f"With these {len(kept.items)} items eval_negatives may be {room}, and is {asked}."


def _limits(dataset: Dataset, profile: Profile) -> Iterator[str]:
    """What the data do not support in the book, a sentence each."""
    for need, name in NEEDS.items():
        if lack := lacks(dataset, need):
            yield f"The data have {lack}: every chapter leaves out what needs {name}, and says so."
    yield from sorted_out(dataset, profile, [*PRINTED, *FLOORS])[1]
    if dataset.truth is None:
        known = "the oracle, the readers, the ceilings and the expected metrics are left out"
        yield f"The data are not simulated, so nobody knows their click law: {known}."
    if short := int(dataset.split.too_short.sum()):
        said = "have too few events to hold two of them out: they are trained on and not tested"
        yield f"{short} of the {dataset.n_users} users {said}."
    if silent := dataset.item_text[1:].count(""):
        said = "have neither title nor text nor category: they are known from clicks alone"
        yield f"{silent} of the {dataset.n_items} items {said}."
