"""Around a `Ranker`: explanations, systems side by side, a form to play with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..data.schema import ITEM, TIME, TITLE
from ..errors import ConfigError
from ..show.style import COLOURS, legend_below, panels
from .questions import A_LIST, listed, positive, typed
from .ranker import Explanation, Ranker

if TYPE_CHECKING:
    from ipywidgets import VBox
    from matplotlib.figure import Figure

NOT_SERVED = "–"
PART_NAMES = {"cf": "CF view", "semantic": "semantic view", "history": "user's history"}
EXPLAINED = 3  # items of a list that the form looks into
SHOWN = 10  # items of a history that the form shows


# --- several systems side by side ----------------------------------------------------------------


def side_by_side(rankers: Mapping[str, Ranker], user, query: str = "", k: int | None = 10) -> pd.DataFrame:
    """The titles that several systems rank highest: a row per rank, a column per system.

    A system that does not serve the task or the user has a column of dashes; errors of the question itself
    (an unknown user, say) are raised.

    Args:
        rankers: by name; the first of them must serve the question.
        user, query, k: as for `Ranker.recommend` (empty query) and `Ranker.search`; ``k`` None: all candidates.
    """
    user, query, lists = _kept(user), typed("query", query), {}
    for name, ranker in rankers.items():
        try:
            lists[name] = _ask(ranker, user, query, k)[TITLE].tolist()
        except ConfigError:
            if not lists:
                raise
            lists[name] = [NOT_SERVED] * len(next(iter(lists.values())))
    table = pd.DataFrame(lists)
    return table.set_index(pd.RangeIndex(1, len(table) + 1, name="rank"))


def overlap(rankers: Mapping[str, Ranker], users: Iterable, queries: Iterable[str] | None = None, k: int = 10):
    """Share of items that the lists of two systems have in common, mean over users: a square table.

    Args:
        users: as for `side_by_side`, one or more of them.
        queries: one per user; None: recommendation.

    Raises:
        ConfigError: no users, not as many queries, or what one of the systems does not serve.
    """
    asked, k = _asked(users, queries), positive("k", k, A_LIST)
    lists = {name: [set(_ask(ranker, *who, k)[ITEM]) for who in asked] for name, ranker in rankers.items()}
    shares = {
        one: {other: np.mean([len(a & b) / k for a, b in zip(mine, theirs, strict=True)])
              for other, theirs in lists.items()}
        for one, mine in lists.items()
    }  # fmt: skip
    return pd.DataFrame(shares)


def _asked(users: Iterable, queries: Iterable[str] | None) -> list[tuple[object, str]]:
    """(user, query) pairs."""
    users = [_kept(user) for user in listed("users", users, "is no list of users; put a single one in brackets.")]
    if not users:
        raise ConfigError("users is empty: a mean over users needs one or more.")
    queries = [""] * len(users) if queries is None else listed("queries", queries, "is no list of one query per user.")
    if len(queries) != len(users):
        raise ConfigError(f"there are {len(queries)} queries for {len(users)} users; give one per user, '' for none.")
    return [(user, typed("a query", query)) for user, query in zip(users, queries, strict=True)]


def _kept(user: object) -> object:
    """A user to ask several systems about: what an iterator yields would be gone after the first."""
    return list(user) if isinstance(user, Iterator) else user


def contribution_bars(explanation: Explanation, title: str = "") -> Figure:
    """What each part of GenSR's prompt adds to the score of each item: a group of bars per item, best on top."""
    table = explanation.contributions
    parts = [part for part in PART_NAMES if part in table]
    fig, (ax,) = panels(height=1.6 + 0.5 * len(table))
    for number, part in enumerate(parts):
        places = np.arange(len(table)) + (number - (len(parts) - 1) / 2) * 0.26
        color = COLOURS[2 + number]  # the first two stand for the tasks
        ax.barh(places, table[part], height=0.24, color=color, label=PART_NAMES[part])
    ax.axvline(0, color="#555555", linewidth=1)
    ax.set_yticks(range(len(table)), table[TITLE])
    ax.set(xlabel="score with the part minus score without it (logit)", title=title, ylim=(len(table) - 0.5, -0.5))
    ax.grid(axis="y", visible=False)
    legend_below(fig, [ax])
    return fig


# --- the form ------------------------------------------------------------------------------------


def form(rankers: Mapping[str, Ranker], users: Sequence[str], query: str = "", k: int = 5) -> VBox:
    """A form for JupyterLab: choose a user or type a new one's items, type a query or none, and read the answer.

    Each change asks all systems again; what is wrong with a question is said in place of the answer.

    Args:
        rankers: by name, GenSR under ``gensr``.
        users: ids to choose from.
        query, k: what the form starts with.

    Raises:
        ConfigError: no user, or no ranker named ``gensr``.
    """
    import ipywidgets as widgets

    if "gensr" not in rankers or not len(users):
        raise ConfigError("the form needs a ranker named 'gensr' and at least one user to choose from.")
    fields = [
        widgets.Dropdown(options=list(users), description="user"),
        widgets.Text(description="or items", placeholder="of a new user, e.g. i00012, i00034", continuous_update=False),
        widgets.Text(query, description="query", placeholder="empty: recommendation", continuous_update=False),
        widgets.IntSlider(k, 1, 20, description="k", continuous_update=False),
    ]
    page = widgets.HTML()

    def refresh(change: object = None) -> None:
        user, items, typed, length = (field.value for field in fields)
        page.value = answer(rankers, _items_typed(items) or user, typed, length)

    for field in fields:
        field.observe(refresh, names="value")
    refresh()
    return widgets.VBox([*fields, page])


def answer(rankers: Mapping[str, Ranker], user, query: str = "", k: int = 5) -> str:
    """What the form shows, as HTML: the history, every system's list, and what GenSR's best items rest on.

    What is wrong with the question is said in place of the answer.

    Raises:
        ConfigError: no ranker is named ``gensr``.
    """
    if "gensr" not in rankers:
        raise ConfigError(f"rankers has no 'gensr', only {', '.join(rankers) or 'nothing'}; give GenSR's that name.")
    gensr, user = rankers["gensr"], _kept(user)
    try:
        query = typed("query", query)
        lists = side_by_side({"gensr": gensr, **rankers}, user, query, k)
        found = gensr.explain(user, query, _ask(gensr, user, query, k)[ITEM][:EXPLAINED])
    except ConfigError as error:
        return f"<p><b>{escape(str(error))}</b></p>"
    shares = {f"weight, {PART_NAMES[view]}": alpha[0] for view, alpha in found.weights.items()}
    history = found.history.assign(**shares).drop(columns=TIME).tail(SHOWN)
    asked = f"Search: {escape(query)}" if query else "Recommendation"
    tables = {
        asked: lists.reset_index(),
        "What GenSR's best items rest on (logits)": found.contributions.rename(columns=PART_NAMES).drop(columns=ITEM),
        "The most recent history, with the soft filter's weights for GenSR's best item": history.drop(columns=ITEM),
    }
    return "".join(f"<h4>{name}</h4>{_html(table)}" for name, table in tables.items())


def _ask(ranker: Ranker, user, query: str, k: int | None) -> pd.DataFrame:
    return ranker.search(user, query, k) if query else ranker.recommend(user, k)


def _items_typed(text: str) -> list[str]:
    return [name for name in text.replace(",", " ").split() if name]


def _html(table: pd.DataFrame) -> str:
    return table.to_html(border=0, float_format="{:.3f}".format, index=False)
