"""Figures of studies over worlds: what mechanisms are worth beside what they could be worth.

They draw tables of `experiments.mean_effects`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..data.schema import BEHAVIORS, TASK_LABELS
from ..errors import ConfigError
from .plots import intervals
from .style import INK, TASK_COLOURS, legend_of, look_of, panels

LEVEL = 0.05  # effects with a smaller corrected p are drawn filled
CEILING = "ceiling"
DOSE_SIZES = (4, 10)  # points, of the smallest dose and the largest


def beside_ceilings(found: pd.DataFrame, ceilings: pd.DataFrame | None, xlabel: str) -> Figure:
    """A panel per task, a row per mechanism: effect with its 95 % interval, and its ceiling.

    Args:
        found: of one part, indexed by (mechanism, task): `mean_effects` with the part dropped.
            Filled where ``p_holm`` is below `LEVEL`.
        ceilings: the same of readers; None where no law is known.
        xlabel: what an effect is.

    Raises:
        ConfigError: nothing to draw.
    """
    tasks = [t for t in BEHAVIORS if t in found.index.get_level_values("task")]
    if not tasks:
        raise ConfigError("there is no effect to draw")
    mechanisms = found.index.get_level_values("mechanism").unique()
    fig, axes = panels(len(tasks), height=1.5 + 0.34 * len(mechanisms), sharey=True)
    for ax, task in zip(axes, tasks, strict=True):
        own = found.xs(task, level="task").reindex(mechanisms)
        table = own.rename(columns={"effect": "mean"}).assign(group=task)
        marks: dict[str, float | pd.Series] = {"no effect": 0.0}
        if ceilings is not None:
            marks = {CEILING: ceilings["effect"].xs(task, level="task"), **marks}
        intervals(table, xlabel, ax=ax, reference=marks, legend=False, title=TASK_LABELS[task])
        _hollow(ax, own, TASK_COLOURS[task])
        ax.locator_params(axis="x", nbins=5, steps=[1, 2, 5, 10])
    legend_of(fig, _marks(ceilings is not None))
    return fig


def _hollow(ax: Axes, own: pd.DataFrame, colour: str) -> None:
    chance = np.flatnonzero(own["p_holm"] >= LEVEL)
    look = {"markerfacecolor": "white", "color": colour, "zorder": 4}
    ax.plot(own["effect"].iloc[chance], chance, "o", **look)


def _marks(with_ceilings: bool) -> dict[str, Line2D]:
    grey = {"linestyle": "", "color": "#555555"}
    entries = {
        f"p < {LEVEL:g} (Holm)": Line2D([], [], marker="o", **grey),
        f"p ≥ {LEVEL:g}": Line2D([], [], marker="o", markerfacecolor="white", **grey),
    }
    if with_ceilings:
        look = {"marker": "D", "markersize": 8, "markerfacecolor": "none"}
        entries[CEILING] = Line2D([], [], linestyle="", color=INK, **look)
    return entries


def dose_response(
    found: pd.DataFrame,
    ceilings: pd.DataFrame,
    doses: Mapping[str, Mapping[str, str]],
) -> Figure:
    """Effects over their ceilings, a panel per dial and mechanism: a line per task through its
    doses, whose points grow with the dose.

    On the dotted line an effect is all that its ceiling allows. Whiskers are 95 % intervals over
    worlds.

    Args:
        found, ceilings: `mean_effects` of the model's arms and of readers.
        doses: by dial, its parts from the smallest dose to the largest, and for each the dose as it
            is written above the panel.

    Raises:
        ConfigError: no dial has a mechanism that was measured at all its doses.
    """
    series: dict[tuple[str, str], dict[str, list[tuple[str, str, str]]]] = {}
    for dial, parts in doses.items():
        whole = found.loc[found.index.get_level_values("part").isin(list(parts))]
        for mechanism, task in whole.index.droplevel("part").unique():
            at = [(part, mechanism, task) for part in parts]
            if all(key in found.index and key in ceilings.index for key in at):
                series.setdefault((dial, mechanism), {})[task] = at
    if not series:
        raise ConfigError("no dial has a mechanism with an effect and a ceiling at all its doses")
    wide = min(3, len(series))
    rows = -(-len(series) // wide)
    fig, axes = panels(wide, height=0.6 + 2.3 * rows, rows=rows)
    for ax, ((dial, mechanism), by_task) in zip(axes, series.items(), strict=False):
        for task, at in by_task.items():
            _response(ax, found.loc[at], ceilings.loc[at, "effect"], TASK_COLOURS[task])
        low, high = ax.get_xlim()
        ax.plot([low, high], [low, high], ":", color="#777777", zorder=1)
        ax.set_title(dial, pad=18)
        told = f"{mechanism}; {', '.join(doses[dial].values())}"
        ax.annotate(told, (0.5, 1), (0, 5), "axes fraction", "offset points", ha="center", size=8.5)
        ax.set(xlabel="ceiling", ylabel="effect")
        ax.locator_params(nbins=4, steps=[1, 2, 5, 10])
    for ax in axes[len(series) :]:
        ax.set_visible(False)
    entries = {
        TASK_LABELS[task]: Line2D([], [], color=TASK_COLOURS[task], linewidth=3)
        for task in BEHAVIORS
    }
    for size, name in zip(DOSE_SIZES, ("smallest dose", "largest dose"), strict=True):
        entries[name] = Line2D([], [], color="#555555", marker="o", linestyle="", markersize=size)
    legend_of(fig, entries)
    return fig


def _response(ax: Axes, own: pd.DataFrame, ceiling: pd.Series, colour: str) -> None:
    half = np.array([own["effect"] - own["low"], own["high"] - own["effect"]])
    ax.errorbar(ceiling.to_numpy(), own["effect"].to_numpy(), yerr=half, capsize=2, color=colour)
    sizes = np.linspace(*DOSE_SIZES, len(own)) ** 2
    ax.scatter(ceiling, own["effect"], s=sizes, color=colour, zorder=3)


def over_doses(
    found: pd.DataFrame,
    values: Mapping[str, float],
    xlabel: str,
    ylabel: str,
    ceilings: pd.DataFrame | None = None,
) -> Figure:
    """An effect over the value of a dial, a panel per task, with 95 % intervals over worlds.

    Args:
        found: of one mechanism, indexed by (part, task).
        values: of the dial, by part.
        ceilings: drawn dashed.
    """
    tasks = [t for t in BEHAVIORS if t in found.index.get_level_values("task")]
    fig, axes = panels(len(tasks), height=3.2, sharey=True)
    parts = sorted(values, key=values.get)
    x = [values[part] for part in parts]
    for ax, task in zip(axes, tasks, strict=True):
        own = found.xs(task, level="task").loc[parts]
        half = [own["effect"] - own["low"], own["high"] - own["effect"]]
        look = {"label": "effect", "capsize": 3, **look_of(task, 0)}
        ax.errorbar(x, own["effect"], yerr=np.array(half), **look)
        if ceilings is not None:
            of_task = ceilings.xs(task, level="task").loc[parts, "effect"]
            ax.plot(x, of_task, "D--", color=INK, markerfacecolor="none", label=CEILING)
        ax.axhline(0, color="#777777", linewidth=1)
        ax.set_xticks(x)
        ax.set(title=TASK_LABELS[task], xlabel=xlabel, ylabel=ylabel)
        ax.legend()
    return fig
