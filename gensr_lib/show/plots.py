"""The few kinds of figure that several chapters need.

Every function takes plain tables or arrays, draws into a panel if it is given one, and returns a
`Figure` that no longer belongs to pyplot, so that a notebook shows it once. Columns and samples
named ``rec`` and ``src`` get the colours and labels of the tasks. Keywords that a function does not
name go to `Axes.set`, such as ``title``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from seaborn.utils import relative_luminance

from ..data.schema import BEHAVIORS, REC, SRC, TASK_LABELS
from ..errors import ConfigError, unknown
from .cloud_plots import clouds as clouds
from .names import displayed
from .saving import save_figure as save_figure
from .style import INK, LINES, SYSTEM_COLOURS, TASK_COLOURS, look_of, panels
from .style import legend_below as legend_below
from .style import use_style as use_style

DARK = 0.18  # luminance: a darker cell parts better from white numbers than from black ones
MOST_ANNOTATED = 120  # cells of a heatmap that still have room for their numbers
SHORT = {REC: "rec.", SRC: "search"}  # behaviors, where there is little room
# Rows of one name, where names are one apart: from one to the next, and from first to last at most.
APART, TOGETHER = 0.3, 0.6


def lines(
    table: pd.DataFrame, xlabel: str, ylabel: str, *, ax=None, markers=False, legend=True, **axes
) -> Figure:
    """One line per column over the index."""
    ax = ax or panels()[1][0]
    for number, name in enumerate(table.columns):
        values = table[name].dropna()
        look = {**look_of(name, number), "marker": "o" if markers else ""}
        ax.plot(values.index, values, label=displayed(name), **look)
    ax.set(xlabel=xlabel, ylabel=ylabel, **axes)
    if legend and len(table.columns) > 1:
        ax.legend()
    return ax.figure


def training_curves(
    history: pd.DataFrame, metric: str = "N@5", best_epoch: int | None = None
) -> Figure:
    """A panel for each loss term, with one line per task, and one for the validation metric.

    Args:
        history: as in `Run.history`: ``epoch``, loss terms such as ``rec generation``, and
            validation metrics such as ``valid src N@5``.
        metric: which validation metric to draw.
        best_epoch: marked by a vertical line in the validation panel.

    Raises:
        ConfigError: no loss term, or another metric than those that were validated.
    """
    terms = {}  # by title; a dict keeps the order of the table
    for column in history.columns:
        task, _, term = column.partition(" ")
        if task in BEHAVIORS:
            terms.setdefault(term.replace("_", " "), {})[column] = task
    valid = [column for column in history.columns if column.startswith("valid ")]
    drawn = {f"valid {task} {metric}": task for task in BEHAVIORS}
    drawn = {column: task for column, task in drawn.items() if column in valid}
    if not terms or (valid and not drawn):
        wanted = f"valid rec {metric}" if terms else "rec <loss term>"
        raise unknown("column of a training history", wanted, history.columns)
    found = {**terms, "validation": drawn} if drawn else terms
    fig, axes = panels(len(found), height=3.1)
    for ax, (title, columns) in zip(axes, found.items(), strict=True):
        own = history.set_index("epoch")[list(columns)].rename(columns=columns)
        ylabel = metric if columns is drawn else "training loss"
        lines(own, "epoch", ylabel, ax=ax, markers=True, title=title, legend=False)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_title(displayed(title))
    if drawn and best_epoch:
        label = f"best epoch ({best_epoch})"
        axes[-1].axvline(best_epoch, color="#777777", linestyle=":", label=label)
    legend_below(fig, axes)
    return fig


def system_bars(
    table: pd.DataFrame, metric: str, reference: str = "oracle", errors: pd.DataFrame | None = None
) -> Figure:
    """Bars of all systems for one metric, a panel per task, with a line where the reference stands.

    Args:
        table: one row per system, columns (task, metric), as `result_table` makes it; a system that
            does not serve a task has NaN there and no bar.
        metric: such as ``N@10``.
        reference: row drawn as a line rather than a bar; it may be absent.
        errors: half lengths of error bars, shaped as ``table``.
    """
    if metric not in table.columns.get_level_values(1):
        raise unknown("metric", metric, table.columns.get_level_values(1).unique())
    values = table.xs(metric, axis=1, level=1)
    half = None if errors is None else errors.xs(metric, axis=1, level=1)
    tasks = [task for task in BEHAVIORS if task in values]
    systems = values.index.drop(reference, errors="ignore")
    fig, axes = panels(len(tasks), height=1.5 + 0.32 * len(systems), sharey=True)
    for ax, task in zip(axes, tasks, strict=True):
        own = values.loc[systems, task]
        whiskers = None if half is None else half.loc[systems, task]
        bars = ax.barh(
            [*map(displayed, systems)],
            own.fillna(0),
            xerr=whiskers,
            color=TASK_COLOURS[task],
            height=0.7,
        )
        texts = ["not served" if np.isnan(value) else f"{value:.3f}" for value in own]
        for text in ax.bar_label(bars, texts, padding=4, fontsize=9):
            text.set(bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # over the line
        title = TASK_LABELS[task]
        best = values[task].get(reference, np.nan)
        if not np.isnan(best):
            ax.axvline(best, color=INK, linestyle="--", linewidth=1.5)
            title += f" (dashed: {reference}, {best:.3f})"
        ax.margins(x=0.25)  # room for the numbers
        ax.set(title=title, xlabel=metric, ylim=(len(systems) - 0.5, -0.5))  # first row on top
        ax.grid(axis="y", visible=False)
    return fig


def distributions(
    values: Mapping[str, Sequence[float]], xlabel: str, *, kind="ecdf", bins=40, ax=None, **axes
) -> Figure:
    """Compare samples, such as the two behaviors, by their distributions.

    Args:
        values: a sample by name.
        kind: ``ecdf`` (share of values up to x) or ``hist`` (share of values in each bin).
        bins: of the histograms, shared by all samples: how many, or their edges.
    """
    if kind not in ("ecdf", "hist"):
        raise unknown("kind of distribution", kind, ["ecdf", "hist"])
    ax = ax or panels()[1][0]
    edges = np.histogram_bin_edges(np.concatenate(list(values.values())), bins)
    for number, (name, sample) in enumerate(values.items()):
        look = {**look_of(name, number), "label": displayed(name), "ax": ax}
        if kind == "ecdf":
            sns.ecdfplot(x=sample, **look)
        else:
            shares = {"bins": edges, "stat": "proportion", "element": "step", "alpha": 0.15}
            sns.histplot(x=sample, **shares, **look)
    ax.set(xlabel=xlabel, ylabel="share up to x" if kind == "ecdf" else "share", **axes)
    if len(values) > 1:
        ax.legend(loc="lower right" if kind == "ecdf" else "best")
    return ax.figure


def bands(
    mean: pd.DataFrame,
    low: pd.DataFrame,
    high: pd.DataFrame,
    xlabel: str,
    ylabel: str,
    *,
    ax=None,
    logx=False,
    **options,
) -> Figure:
    """`lines` of the means, in bands from low to high: three tables of one shape.

    Args:
        options: for `lines`.
    """
    ax = ax or panels()[1][0]
    lines(mean, xlabel, ylabel, ax=ax, markers=True, **options)
    for number, name in enumerate(mean.columns):
        own = mean[name].dropna().index
        look = {"color": look_of(name, number)["color"], "alpha": 0.18, "linewidth": 0}
        ax.fill_between(own, low.loc[own, name], high.loc[own, name], **look)
    if logx:
        ax.set_xscale("log")
    return ax.figure


def intervals(
    table: pd.DataFrame, xlabel: str, *, ax=None, reference=None, legend=True, **axes
) -> Figure:
    """A point with its interval per row, first row on top, such as estimates and the truth.

    Args:
        table: columns ``mean``, ``low``, ``high`` and, for colours, optionally ``group``. Rows of
            one name stand close together, and are named once.
        reference: by its name in the legend, either one number, drawn as a line across all rows (a
            ceiling), or a number per row of the table, each a mark on its row (the truth).
    """
    alone = ax is None
    ax = ax or panels(height=1.3 + 0.34 * len(table))[1][0]
    groups = table["group"] if "group" in table else pd.Series("", index=table.index)
    names, heights = table.index.unique(), row_places(table.index)
    for number, group in enumerate(groups.unique()):
        own = (groups == group).to_numpy()
        _points(ax, table[own], heights[own], group, number)
    marks, dashes = cycle("D*Pv"), cycle(LINES[1:])
    for name, value in (reference or {}).items():
        look = {"color": INK, "label": name}
        if isinstance(value, pd.Series):
            look |= {"marker": next(marks), "markersize": 8, "markerfacecolor": "none"}
            ax.plot(value.reindex(table.index), heights, linestyle="", zorder=3, **look)
        else:
            ax.axvline(value, linestyle=next(dashes), linewidth=1.5, **look)
    ax.set_yticks(range(len(names)), [*map(displayed, names)])
    ax.set(xlabel=xlabel, ylim=(len(names) - 0.5, -0.5), **axes)
    ax.grid(axis="y", visible=False)
    if legend and alone:
        legend_below(ax.figure, [ax])
    elif legend and ax.get_legend_handles_labels()[0]:
        ax.legend()
    return ax.figure


def row_places(index: pd.Index) -> np.ndarray:
    """Where `intervals` draws the rows of a table: names are one apart, the first at 0, and the
    rows of a name close together, around their name.
    """
    rows = pd.Series(range(len(index))).groupby(index, sort=False, dropna=False)
    nth, count = rows.cumcount(), rows.transform("size")
    apart = np.minimum(APART, TOGETHER / (count - 1).clip(lower=1))
    return (rows.ngroup() + (nth - (count - 1) / 2) * apart).to_numpy()


def _points(ax, own: pd.DataFrame, heights: np.ndarray, group: str, number: int) -> None:
    """Points with intervals at these heights, in the look of their group."""
    half = [own["mean"] - own["low"], own["high"] - own["mean"]]
    if group in SYSTEM_COLOURS:
        number = list(SYSTEM_COLOURS).index(group)  # one mark in all figures
    look = {"fmt": "os^v"[number % 4], "color": look_of(group, number)["color"], "capsize": 3}
    ax.errorbar(own["mean"], heights, xerr=half, label=displayed(group) or None, **look)


def ladders(
    tables: Mapping[str, pd.DataFrame], xlabel: str, reference: Mapping[str, float] | None = None
) -> Figure:
    """What systems reach between floors and ceilings: a panel per task, one above the other, in
    each the largest on top. GenSR's name is bold.

    Args:
        tables: by task, a row per system with ``mean``, ``low``, ``high`` and ``group``; a group
            has one look in all panels.
        reference: numbers by their names in the legend, each a line across all rows.
    """
    groups = list(dict.fromkeys(group for table in tables.values() for group in table["group"]))
    sizes = [len(table) for table in tables.values()]
    look = {"rows": len(sizes), "sharex": True, "height_ratios": sizes}
    fig, axes = panels(1, height=1.2 + 0.3 * len(sizes) + 0.23 * sum(sizes), **look)
    for ax, (task, table) in zip(axes, tables.items(), strict=True):
        best_first = table.sort_values("mean", ascending=False)
        for number, group in enumerate(groups):
            rows = np.flatnonzero(best_first["group"] == group)
            _points(ax, best_first.iloc[rows], rows, group, number)
        for name, value in (reference or {}).items():
            ax.axvline(value, color=INK, linestyle="--", linewidth=1.5, label=name)
        ax.set_yticks(range(len(table)), [*map(displayed, best_first.index)])
        if "gensr" in best_first.index:
            ax.get_yticklabels()[best_first.index.get_loc("gensr")].set_fontweight("bold")
        ax.set(title=TASK_LABELS[task], ylim=(len(table) - 0.5, -0.5))
        ax.tick_params(labelbottom=True)  # a panel's own numbers: the next one's are far away
        ax.grid(axis="y", visible=False)
    axes[-1].set_xlabel(xlabel)
    legend_below(fig, axes)
    return fig


def weights_heatmap(
    weights: np.ndarray, candidates: Sequence, history: Sequence, behaviors: Sequence, title=""
) -> Figure:
    """The weights that a soft filter gives to the items of a history (eq. 5).

    Args:
        weights: (C, N), a row per candidate.
        candidates: (C,) titles.
        history: (N,) titles, oldest first.
        behaviors: (N,) ``rec`` or ``src``; the labels of the columns have the task's colour.

    Raises:
        ConfigError: the sizes do not fit.
    """
    sizes = len(candidates), len(history)
    if np.shape(weights) != sizes:
        shape = np.shape(weights)
        raise ConfigError(f"weights of shape {shape} do not fit {sizes} candidates and clicks")
    fig, (ax,) = panels(height=2.4 + 0.34 * len(candidates))
    numbers = {"annot": np.size(weights) <= MOST_ANNOTATED, "annot_kws": {"fontsize": 7.5}}
    bar = {"label": "weight", "pad": 0.01, "fraction": 0.04}
    sns.heatmap(weights, vmin=0, cmap="cividis_r", fmt=".2f", cbar_kws=bar, ax=ax, **numbers)
    for text, cell in zip(ax.texts, ax.collections[0].get_facecolors(), strict=False):
        text.set_color(INK if relative_luminance(cell) > DARK else "white")
    rows = [_short(name, 34) for name in candidates]
    columns = [_short(name, 30) for name in history]
    columns = [f"{name} ({SHORT[task]})" for name, task in zip(columns, behaviors, strict=True)]
    ax.set_yticks(np.arange(sizes[0]) + 0.5, rows, rotation=0)
    slanted = {"rotation": 60, "ha": "right", "rotation_mode": "anchor", "fontsize": 7.5}
    ax.set_xticks(np.arange(sizes[1]) + 0.5, columns, **slanted)
    for label, task in zip(ax.get_xticklabels(), behaviors, strict=True):
        label.set_color(TASK_COLOURS[task])
    ax.set_title(title)
    return fig


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"
