"""KuaiSAR: clicks on recommendations and on search results of a platform for short videos.

Source: Sun et al. 2023 (KuaiSAR: A Unified Search And Recommendation Dataset), CIKM; the page of
the data set says what the fields mean. Two releases have the same fields: the full one (22 May to
10 June 2023) and a small one (to 31 May).

The tables are larger than memory may be, so DuckDB reads and joins them, and Python sees numbers
until the filters have left the users and items whose names and texts are needed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ....config import DataConfig
from ....errors import DataError
from ...schema import (
    BEHAVIOR,
    BEHAVIOR_CODES,
    CATEGORY_SEPARATOR,
    ITEM,
    ITEM_COLUMNS,
    QUERY,
    SESSION,
    TIME,
    USER,
    Tables,
    coded,
    count_line,
    validate,
)
from ...split import core, with_both
from ..formats.allowance import MAX_BAD_SHARE, Allowance
from ..formats.large_csv import LargeTables
from ..source import Kind, Offer, Remote
from .files import ARCHIVES, HOME, find_files, holds_files, unpacked
from .sql import (
    BEIJING,
    CLICKS,
    EVENTS,
    FAULTS,
    FAULTY,
    FIELDS,
    FIRST,
    HARMLESS,
    KINDS,
    KNOWN,
    LEVELS,
    NUMBERED,
    OPTIONAL,
    SHOWN,
    TEXTS,
    WORDS,
)

NO_NAME = {"", "empty", "空", "unknown", "nan", "null"}  # a level that is not there


def read_kuaisar(path: Path, config: DataConfig) -> Tables:
    """Read a release from the folder of its tables, or from its archive, and filter it.

    - interactions: clicks only, of a recommendation where ``click`` is 1, of a search where
      ``click_cnt`` is positive; ``time`` in milliseconds since 1970, of a search that of its
      session. A query is the keyword's word numbers as words, ``w20 w3``.
    - items: named by their number; a result that is no video or image by kind and number,
      ``live-7``. ``categories``: the English names of the levels that are there. ``text``: these,
      and the caption's words, whose numbers are those of the keywords.

    Sessions without a click, repeated clicks, clicks outside of the release's days, without a word
    or without ids are left out, and counted in the notes.

    Args:
        path: the folder of the tables or of the archive, or the archive.
        config: the filters are applied here, before names and texts of some million items are
            read that do not pass them.

    Raises:
        DataError: as `files.unpacked` and `LargeTables.load`; too many clicks are faulty;
            nothing passes the filters.
        ConfigError: the disk is full or read-only, or the memory too small.
    """
    notes: list[str] = []
    allowed = Allowance(MAX_BAD_SHARE, notes)
    with unpacked(path) as files, LargeTables(allowed) as base:
        for name in tqdm(FIELDS, desc="KuaiSAR", disable=None):
            base.load(name, files[name], FIELDS[name], OPTIONAL)
        for statement in (WORDS, CLICKS, FAULTS, NUMBERED):
            base.run(statement)
        _settle_faults(base, path, allowed)
        shown = {name: int(value[0]) for name, value in base.numbers(SHOWN).items()}
        _note_clicks(base, shown, notes)
        events = base.numbers(EVENTS)
        keep, counts = _filtered(events, config)
        counts.insert(0, _shown_line(shown))
        if not keep.any():
            said = f"no event is left after the {config.min_interactions}-core filter"
            raise DataError(f"{path}: {said}; use more data or lower min_interactions.")
        kept = {name: column[keep] for name, column in events.items()}
        items = _items(base, kept[ITEM], notes)
        interactions = _interactions(base, kept, items)
    repeated = int(events["times"].sum()) - len(keep)
    if repeated:
        notes.append(f"{repeated} repeated clicks were dropped (the same user, item, time, query).")
    done = (config.min_interactions, config.both_behaviors)
    tables = Tables(interactions, items, counts, notes=notes, clock=BEIJING, core=done)
    return validate(tables, str(path))


def _note_clicks(base: LargeTables, shown: dict[str, int], notes: list[str]) -> None:
    """Note the sessions without a click, and the clicks on other results than videos."""
    sessions = shown["sessions"]
    if without := sessions - shown["clicked"]:
        without = f"{without} of {sessions} search sessions have no click"
        notes.append(f"{without} and are left out: nothing in them is a positive.")
    others = base.frame(KINDS)
    if len(others):
        found = ", ".join(f"{kind}: {n}" for kind, n in others.itertuples(index=False))
        notes.append(f"Clicks on results that are no video or image ({found}) are kept.")


def _settle_faults(base: LargeTables, path: Path, allowed: Allowance) -> None:
    """Tell which clicks cannot be used, or raise if they are too many."""
    total = int(base.numbers("SELECT count(*) AS n FROM clicks")["n"][0])
    for fault, n, first in base.frame(FAULTY).itertuples(index=False):
        found = f"{n} of {total} clicks have {fault}, such as {first}"
        if fault == HARMLESS:
            allowed.leave_out(path, found)
        else:
            allowed.settle(path, n, total, found, "are these the tables of KuaiSAR?")


def _filtered(
    events: dict[str, np.ndarray], config: DataConfig
) -> tuple[np.ndarray, list[dict[str, object]]]:
    """Which events (E,) pass the filters, and a line of counts for each step."""
    user, item, is_search = events[USER], events[ITEM], events["is_search"]
    keep = np.ones(len(user), dtype=bool)
    counts = [_line("clicks", events, keep)]
    if config.both_behaviors:
        both = with_both(user, is_search, keep)
        counts.append(_line("users with both behaviors", events, both))
    keys = np.stack([user, item, events[TIME]])  # ordered by these
    distinct = np.r_[True, (keys[:, 1:] != keys[:, :-1]).any(axis=0)][: len(user)]
    options = config.min_interactions, config.both_behaviors
    keep, step = core(user, item, is_search, distinct, *options)
    return keep, [*counts, _line(step, events, keep)]


def _line(step: str, events: dict[str, np.ndarray], keep: np.ndarray) -> dict[str, object]:
    """The line of counts of the events to keep."""
    columns = (events[name][keep] for name in ("is_search", USER, ITEM, QUERY))
    return count_line(step, *columns)


def _shown_line(shown: dict[str, int]) -> dict[str, object]:
    """The line of counts of the raw files: all that was shown, clicked or not."""
    events = {"rec events": shown["rec"], "src events": shown["src"]}
    distinct = {name: shown[name] for name in ("users", "items", "queries")}
    return {"step": "raw files", **events, **distinct}


def _interactions(
    base: LargeTables, events: dict[str, np.ndarray], items: pd.DataFrame
) -> pd.DataFrame:
    """The columns of `schema.INTERACTION_COLUMNS` with names in place of numbers."""
    users, queries = (
        base.numbers(f"SELECT {name} FROM {table} ORDER BY code")[name]
        for name, table in ((USER, "users"), (QUERY, "queries"))
    )
    place = np.unique(events[ITEM], return_inverse=True)[1]  # the row of `items`
    named = {
        USER: _used(events[USER], users),
        ITEM: coded(place, items[ITEM]),
        TIME: events[TIME],
        BEHAVIOR: pd.Categorical.from_codes(events["is_search"].astype(int), dtype=BEHAVIOR_CODES),
        QUERY: _used(events[QUERY], queries),
        SESSION: events[SESSION],
    }
    return pd.DataFrame(named)


def _used(codes: np.ndarray, names: np.ndarray) -> pd.Categorical:
    """A categorical of the names that occur, as strings."""
    used, place = np.unique(codes, return_inverse=True)
    return coded(place, names[used].astype(str))


def _items(base: LargeTables, item: np.ndarray, notes: list[str]) -> pd.DataFrame:
    """The rows of `schema.ITEM_COLUMNS` of the items that occur, by their number."""
    base.put("kept", code=np.unique(item))
    known = base.frame(KNOWN)
    texts = base.frame(TEXTS).set_index("code")
    is_video = known["kind"].eq("")
    lacking = int(is_video.sum()) - len(texts)
    if lacking:
        of_all = f"{lacking} of {int(is_video.sum())} videos and images have no row"
        notes.append(f"{of_all} in item_features; their texts are empty.")
    texts = texts.reindex(known["code"]).reset_index(drop=True)
    kind = known["kind"].str.removesuffix("-").str.replace("_", " ").str.capitalize()
    path = _paths(texts).where(is_video, kind)
    title = path.str.replace(CATEGORY_SEPARATOR, ", ", regex=False)
    text = (title + ". " + texts["caption"].fillna("")).str.strip(" .")
    name = known["kind"] + known["item_id"].astype(str)
    columns = (name, title, path, text)
    return pd.DataFrame(dict(zip(ITEM_COLUMNS, columns, strict=True))).astype(object)


def _paths(texts: pd.DataFrame) -> pd.Series:
    """The English names of each item's levels that are there, from the general on."""
    path = pd.Series("", index=texts.index)
    for level in LEVELS:
        name = texts[level].fillna("").astype(str).str.strip()
        name = name.str.replace(r"\s*[>|]\s*", " ", regex=True)
        name = name.mask(name.str.lower().isin(NO_NAME), "")
        between = np.where(path.ne("") & name.ne(""), CATEGORY_SEPARATOR, "")
        path = path + between + name
    return path


def _example(folder: Path) -> str:
    """Six users who click and search for the same six videos on four days."""
    day = BEIJING.day
    rec, src = [], []
    for user in range(1, 7):
        for item in range(1, 7):
            time = FIRST + (2 + item % 4) * day + 1000 * user
            rec.append(f"{user},{item},{time}.0,1")
            src.append(f'{user},{item},{time + 500}.0,"[{item}, 20]",{item},1,VIDEO')
    features = [f'{item},"[{item}, 3]",Funny,empty,,' for item in range(1, 7)]
    heads = {
        "rec_inter": "user_id,item_id,timestamp,click",
        "src_inter": "user_id,search_session_id,search_session_timestamp,keyword,item_id,click_cnt,"
        "item_type",
        "item_features": ",".join(["item_id", "caption", *LEVELS]),
    }
    for name, rows in zip(heads, (rec, src, features), strict=True):
        text = "\n".join([heads[name], *rows]) + "\n"
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return str(folder)


def _offer(archive: str, rows: str) -> Offer:
    """An archive of the record on Zenodo, which is read as it is."""
    remote = Remote(f"{HOME}/files/{archive}", archive)
    return Offer(((remote,),), rows, "CC BY-NC-SA 4.0", TERMS)


TERMS = (
    "KuaiSAR is licensed CC BY-NC-SA 4.0: name its authors, do not use it commercially, and share "
    f"what you derive under the same terms; see {HOME}"
)
SOURCE = Kind(
    read=lambda path, profile, seed: read_kuaisar(path, profile.data),
    example=_example,
    check=find_files,
    holds=holds_files,
    archive=ARCHIVES,
    about="clicks on recommended and on searched short videos",
    # §6.1.1 of the paper, and UniSAR's records: a history is all that was earlier.
    remote={
        "kuaisar": _offer("KuaiSAR_v2.zip", "19.7 million rows"),
        "kuaisar-small": _offer("KuaiSAR.zip", "10.7 million rows"),
    },
    protocol={"split": "last days", "both_behaviors": True, "test_history": "earlier"},
)
