"""Around a `Ranker`: systems side by side, bars of an explanation, and a form to play with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..data.schema import ITEM, TIME, TITLE
from ..errors import ConfigError
from ..show.style import COLOURS, legend_below, panels
from .ranker import Explanation, Ranker

if TYPE_CHECKING:
    from ipywidgets import VBox
    from matplotlib.figure import Figure

NOT_SERVED = "–"
PART_NAMES = {"cf": "CF view", "semantic": "semantic view", "history": "user's history"}
EXPLAINED = 3  # items of a list that the form looks into
SHOWN = 10  # items of a history that the form shows


def ask(ranker: Ranker, user, query: str = "", k: int | None = 10) -> pd.DataFrame:
    """`Ranker.search` if there is a query, else `Ranker.recommend`."""
    return ranker.search(user, query, k) if query.strip() else ranker.recommend(user, k)


def side_by_side(
    rankers: Mapping[str, Ranker], user, query: str = "", k: int | None = 10
) -> pd.DataFrame:
    """The titles that several systems rank highest: a row per rank, a column per system.

    A system that does not serve the task or the user has a column of dashes. The first one must
    serve them: its errors are those of the question itself, such as an unknown user.
    """
    lists = {}
    for name, ranker in rankers.items():
        try:
            lists[name] = ask(ranker, user, query, k)[TITLE].tolist()
        except ConfigError:
            if not lists:
                raise
            lists[name] = NOT_SERVED
    table = pd.DataFrame(lists)
    return table.set_index(pd.RangeIndex(1, len(table) + 1, name="rank"))


def overlap(
    rankers: Mapping[str, Ranker],
    users: Sequence,
    queries: Sequence[str] | None = None,
    k: int = 10,
) -> pd.DataFrame:
    """Share of items that the lists of two systems have in common, mean over users: a square table.

    Args:
        queries: one per user; None: recommendation.
    """
    queries = [""] * len(users) if queries is None else queries
    asked = list(zip(users, queries, strict=True))
    lists = {name: [set(ask(r, *who, k)[ITEM]) for who in asked] for name, r in rankers.items()}

    def share(one: str, other: str) -> float:
        both = zip(lists[one], lists[other], strict=True)
        return np.mean([len(mine & theirs) / k for mine, theirs in both])

    return pd.DataFrame({one: {other: share(one, other) for other in lists} for one in lists})


def contribution_bars(explanation: Explanation, title: str = "") -> Figure:
    """What each part of GenSR's prompt adds to the score of each item: a group of bars per item."""
    names = {part: name for part, name in PART_NAMES.items() if part in explanation.contributions}
    table = explanation.contributions.set_index(TITLE)[list(names)].rename(columns=names)
    fig, (ax,) = panels(height=1.6 + 0.5 * len(table))
    colours = COLOURS[2:]  # the first two stand for the tasks
    table.plot.barh(ax=ax, width=0.75, color=colours, legend=False)
    ax.set(xlabel="score with the part minus score without it (logit)", ylabel="", title=title)
    ax.axvline(0, color="#555555", linewidth=1)
    ax.invert_yaxis()  # best item on top
    ax.grid(axis="y", visible=False)
    legend_below(fig, [ax])
    return fig


def form(rankers: Mapping[str, Ranker], users: Sequence[str], query: str = "", k: int = 5) -> VBox:
    """A form for JupyterLab: choose a user or type a new one's items, type a query, read `answer`.

    Args:
        users: ids to choose from.
        query, k: what the form starts with.
    """
    import ipywidgets as widgets

    late = {"continuous_update": False}  # a model is asked when typing is over
    fields = [
        widgets.Dropdown(options=list(users), description="user"),
        widgets.Text(description="or items", placeholder="of a new user, e.g. i00012", **late),
        widgets.Text(query, description="query", placeholder="empty: recommendation", **late),
        widgets.IntSlider(k, 1, 20, description="k", **late),
    ]
    page = widgets.HTML()

    def refresh(change: object = None) -> None:
        user, items, typed, length = (field.value for field in fields)
        page.value = answer(rankers, items.replace(",", " ").split() or user, typed, length)

    for field in fields:
        field.observe(refresh, names="value")
    refresh()
    return widgets.VBox([*fields, page])


def answer(rankers: Mapping[str, Ranker], user, query: str = "", k: int | None = 5) -> str:
    """What the form shows, as HTML: the history, every list, and what the best items rest on.

    The model that is explained is the first one whose prompt has slots. What is wrong with the
    question is said in place of the answer.
    """
    try:
        name = next((n for n, ranker in rankers.items() if ranker.model.prompt_slots), None)
        if name is None:
            raise ConfigError("no system here has a prompt with slots to look into, as GenSR's.")
        lists = side_by_side({name: rankers[name], **rankers}, user, query, k)
        best = ask(rankers[name], user, query, k)[ITEM][:EXPLAINED]
        found = rankers[name].explain(user, query, best)
    except ConfigError as error:
        return f"<p><b>{escape(str(error))}</b></p>"
    weights = {f"weight, {PART_NAMES[view]}": alpha[0] for view, alpha in found.weights.items()}
    history = found.history.assign(**weights).drop(columns=[TIME, ITEM]).tail(SHOWN)
    rest = found.contributions.rename(columns=PART_NAMES).drop(columns=ITEM)
    tables = {
        f"Search: {escape(query)}" if query.strip() else "Recommendation": lists.reset_index(),
        f"What the best items of {escape(name)} rest on (logits)": rest,
        "The most recent history, with the soft filter's weights for the best item": history,
    }
    return "".join(f"<h4>{title}</h4>{_html(table)}" for title, table in tables.items())


def _html(table: pd.DataFrame) -> str:
    return table.to_html(border=0, float_format="{:.3f}".format, index=False)
