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
from matplotlib.patches import Patch

from ..data.schema import BEHAVIORS, TASK_LABELS
from ..errors import ConfigError, unknown
from ..training.metrics import METRICS
from .style import COLOURS, INK, legend_below, legend_of, panels

# Dark to light, so that the order survives printing in grey; hatches part neighbours.
BARS = ("#0072B2", "#D55E00", "#CC79A7", "#56B4E9", "#E69F00", "#F0E442")
HATCHES = ("", "//", "", "\\\\", "xx", "..")
AXES = ("linear", "log", "even")


def ablation_bars(
    by_seed: pd.DataFrame,
    *,
    tasks: Sequence[str] = BEHAVIORS,
    metrics: Sequence[str] = METRICS,
    from_zero: bool = False,
) -> Figure:
    """A panel per task, a group per metric, in it a bar per variant: mean ± sd, a dot per seed.

    Args:
        by_seed: as above; its variants in their order, at most six. One that does
            not serve a task leaves a gap there.
        tasks: of the panels, from top to bottom; those that no variant serves are left out.
        metrics: of the groups, from left to right.
        from_zero: begin the axes at zero. Else each begins at a round value below everything that
            is drawn, and its label says so: differences between variants are small beside values.

    Raises:
        ConfigError: too many variants, or an unknown task or metric.
    """
    tasks = _served(by_seed, tasks, metrics)
    variants = list(by_seed["variant"].unique())
    if len(variants) > len(BARS):
        raise ConfigError(f"draw at most {len(BARS)} variants, of {len(variants)}: bars look alike")
    fig, axes = panels(rows=len(tasks), height=0.6 + 2.5 * len(tasks))
    for ax, task in zip(axes, tasks, strict=True):
        own = by_seed[(by_seed["task"] == task) & by_seed["metric"].isin(metrics)]
        _bars(ax, own, variants, metrics)
        begin = 0.0 if from_zero else _round_below(own)
        ylabel = f"value (axis begins at {begin:g})" if begin else "value"
        ax.set(title=TASK_LABELS[task], xlabel="", ylabel=ylabel)
        ax.set_ylim(bottom=begin)
    looks = zip(variants, BARS, HATCHES, strict=False)
    legend_of(fig, {name: Patch(fc=fc, hatch=hatch, ec="white") for name, fc, hatch in looks})
    return fig


def _bars(ax: Axes, own: pd.DataFrame, variants: Sequence[str], metrics: Sequence[str]) -> None:
    cells = {"data": own, "x": "metric", "y": "value", "hue": "variant", "order": metrics}
    cells |= {"hue_order": variants, "legend": False, "ax": ax}
    whiskers = {"errorbar": "sd", "capsize": 0.1, "err_kws": {"color": INK, "linewidth": 1.2}}
    colours = list(BARS[: len(variants)])
    sns.barplot(**cells, palette=colours, saturation=1, edgecolor="white", **whiskers)
    dots = {"palette": ["white"] * len(variants), "edgecolor": INK, "linewidth": 0.7, "size": 4}
    sns.stripplot(**cells, **dots, dodge=True, jitter=False)
    for bars, hatch in zip(ax.containers, HATCHES, strict=False):
        for bar in bars:
            bar.set_hatch(hatch)


def _round_below(own: pd.DataFrame) -> float:
    """A round number from zero on, some way below all that is drawn: the smallest bar is a bar."""
    runs = own.groupby(["variant", "metric"])["value"]
    lowest = min(own["value"].min(), (runs.mean() - runs.std()).min())
    spread = max(runs.mean().max() - lowest, 0.01)
    step = 10 ** np.floor(np.log10(spread))
    return max(0.0, round(np.floor((lowest - 0.1 * spread) / step) * step, 10))


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
