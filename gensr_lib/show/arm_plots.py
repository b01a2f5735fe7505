"""Figures of the arms of a study, as they are: ablations and sensitivity.

They draw tables of `experiments.studies.evidence.Evidence.table`, or parts of them, of one part of
a study: a value per arm (``variant``), task, metric and seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..data.schema import BEHAVIORS, TASK_LABELS
from ..errors import ConfigError, unknown
from ..training.metrics import METRICS
from .plots import intervals, row_places
from .style import COLOURS, INK, legend_below, panels

AXES = ("linear", "log", "even")


def ablations(
    by_seed: pd.DataFrame,
    *,
    tasks: Sequence[str] = BEHAVIORS,
    metrics: Sequence[str] = METRICS,
) -> Figure:
    """A panel per task, a row per variant, in it a point per metric: mean ± sd, a dot per seed.

    Args:
        by_seed: as above; its variants in their order. The row of one that does not serve a task is
            empty there.
        tasks: of the panels, from left to right; those that no variant serves are left out.
        metrics: of the points, from top to bottom.

    Raises:
        ConfigError: an unknown task or metric.
    """
    metrics = list(dict.fromkeys(metrics))
    tasks = _served(by_seed, tasks, metrics)
    xlabel = "NDCG" if all("N@" in metric for metric in metrics) else "metric"
    levels = by_seed["variant"].unique(), metrics
    cells = pd.MultiIndex.from_product(levels, names=["variant", "group"])
    fig, axes = panels(len(tasks), height=1.3 + 0.26 * len(cells), sharey=True)
    for ax, task in zip(axes, tasks, strict=True):
        value = by_seed[by_seed["task"] == task].set_index(["variant", "metric"])["value"]
        found = value.groupby(level=[0, 1]).agg(["mean", "std"]).reindex(cells)
        sd = found["std"].fillna(0)  # of a single seed
        ends = {"low": found["mean"] - sd, "high": found["mean"] + sd}
        found = found.assign(**ends).reset_index("group")
        intervals(found, xlabel, ax=ax, legend=False, title=TASK_LABELS[task])
        places = pd.Series(row_places(found.index), cells)
        own = value[value.index.isin(cells)]
        ax.plot(own, places.loc[own.index], ".", color="#777777", markersize=4, zorder=1)
    legend_below(fig, axes)
    return fig


def sensitivity(
    by_seed: pd.DataFrame,
    values: Mapping[str, float],
    xlabel: str,
    metrics: Sequence[str] = ("N@5", "N@10"),
    *,
    tasks: Sequence[str] = BEHAVIORS,
    reference: float | None = None,
    levels: Mapping[str, float] | None = None,
    axis: str = "linear",
) -> Figure:
    """Metrics over the value of one option: a panel per task, a line per metric, mean ± sd.

    The panels' axes span the same difference, so that flat looks flat.

    Args:
        by_seed: as above; each training is a dot.
        values: the option's value in each variant that is to be drawn.
        xlabel: the option's name.
        metrics: of the lines.
        tasks: of the panels, from left to right; those that no variant serves are left out.
        reference: the option's default, marked by a vertical line.
        levels: by task, what the default reaches, marked by a horizontal line.
        axis: "linear", "log" (values above zero), or "even": equal steps from value to value, for
            values whose labels would else lie on each other.

    Raises:
        ConfigError: an unknown variant, metric, task or axis, two variants of one value, or a value
            that has no place on the axis.
    """
    _check_values(by_seed, values, reference, axis)
    drawn = by_seed[by_seed["variant"].isin(values)]
    tasks = _served(drawn, tasks, metrics)
    drawn = drawn[drawn["metric"].isin(metrics)]
    steps = sorted(values.values())
    places = np.arange(len(steps)) if axis == "even" else np.array(steps)
    drawn = drawn.assign(x=np.interp(drawn["variant"].map(values), steps, places))
    fig, axes = panels(len(tasks), height=3.2)
    for ax, task in zip(axes, tasks, strict=True):
        _curves(ax, drawn[drawn["task"] == task], metrics)
        if reference is not None:
            place = np.interp(reference, steps, places) if axis == "even" else reference
            look = {"color": "#777777", "linestyle": ":", "linewidth": 1.5, "zorder": 1}
            ax.axvline(place, label=f"default ({reference:g})", **look)
        if levels is not None:
            look = {"color": INK, "linestyle": "--", "linewidth": 1.5, "zorder": 1}
            ax.axhline(levels[task], label="the default", **look)
        ax.set_xscale("log" if axis == "log" else "linear")
        ax.set_xticks(places, [f"{step:g}" for step in steps])
        ax.set_xticks([], minor=True)
        ndcg = "NDCG" if all("N@" in metric for metric in metrics) else "metric"
        ylabel = metrics[0] if len(metrics) == 1 else ndcg
        ax.set(title=TASK_LABELS[task], xlabel=xlabel, ylabel=ylabel)
    _give_one_span(axes)
    legend_below(fig, axes)
    return fig


def _curves(ax: Axes, own: pd.DataFrame, metrics: Sequence[str]) -> None:
    colours = list(COLOURS[2:][: len(metrics)])  # the first two stand for the tasks
    cells = {"data": own, "x": "x", "y": "value", "ax": ax}
    cells |= {"hue": "metric", "hue_order": metrics, "palette": colours}
    look = {"style": "metric", "style_order": metrics, "markers": ["o"] * len(metrics)}
    sns.lineplot(**cells, **look, errorbar="sd", markeredgewidth=0)
    sns.scatterplot(**cells, s=12, alpha=0.6, linewidth=0, legend=False)
    ax.get_legend().remove()


def _give_one_span(axes: Sequence[Axes]) -> None:
    """Let all axes of values be as long as the longest, each around its own middle."""
    span = max(np.ptp(ax.get_ylim()) for ax in axes)
    for ax in axes:
        middle = np.mean(ax.get_ylim())
        ax.set_ylim(middle - span / 2, middle + span / 2)


def _served(table: pd.DataFrame, tasks: Sequence[str], metrics: Sequence[str]) -> list[str]:
    """The tasks that have rows, after a look at the names."""
    for name in tasks:
        if name not in BEHAVIORS:
            raise unknown("task", name, BEHAVIORS)
    for name in metrics:
        if name not in table["metric"].unique():
            raise unknown("metric", name, table["metric"].unique())
    served = [task for task in tasks if (table["task"] == task).any()]
    if not served:
        raise ConfigError(f"no rows of the tasks {list(tasks)} to draw")
    return served


def _check_values(
    by_seed: pd.DataFrame, values: Mapping[str, float], reference: float | None, axis: str
) -> None:
    if axis not in AXES:
        raise unknown("axis", axis, AXES)
    for name in values:
        if name not in by_seed["variant"].unique():
            raise unknown("variant", name, by_seed["variant"].unique())
    if len(set(values.values())) < len(values):
        raise ConfigError(f"two variants have the same value: {dict(values)}")
    marked = [*values.values(), *([] if reference is None else [reference])]
    if axis == "log" and min(marked) <= 0:
        raise ConfigError(f"{min(marked)} has no place on a logarithmic axis; take axis='linear'")
