"""Figures of models trained in several variants with several seeds: ablations and the sensitivity to an option.

They draw the tables of `significance`: `summary` and `seed_means` (values), `compare` (differences).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..data.schema import BEHAVIORS, TASK_LABELS
from ..errors import ConfigError, unknown
from ..training.metrics import METRICS
from .plots import bands, intervals
from .style import COLOURS, TASK_COLOURS, WIDTH, legend_below, panels

# Dark to light, so that the order survives printing in grey; hatches part neighbours.
BARS = ("#0072B2", "#D55E00", "#CC79A7", "#56B4E9", "#E69F00", "#F0E442")
HATCHES = ("", "//", "", "\\\\", "xx", "..")
DOTS = {"color": "white", "edgecolor": "#222222", "linewidth": 0.7, "s": 10, "zorder": 4}
LEGEND_WIDTH = 85  # characters that fit the page's width
LEVEL = 0.05  # differences with a smaller corrected p are drawn filled
AXES = ("linear", "log", "even")


def ablation_bars(
    summary: pd.DataFrame,
    by_seed: pd.DataFrame | None = None,
    *,
    tasks: Sequence[str] = BEHAVIORS,
    metrics: Sequence[str] = METRICS,
    from_zero: bool = False,
) -> Figure:
    """The usual figure of an ablation: a panel per task, a group per metric, and in it a bar per variant ± sd.

    Args:
        summary: `significance.summary`; its variants in their order, at most six. One that does not serve a task
            leaves a gap there.
        by_seed: `significance.seed_means`, for a dot per seed, first seed left.
        tasks: of the panels, from top to bottom; those that no variant serves are left out.
        metrics: of the groups, from left to right.
        from_zero: begin the axes at zero. Else each begins at a round value below everything that is drawn, and its
            label says so, for differences between variants are small beside the values.

    Raises:
        ConfigError: too many variants, or an unknown task or metric.
    """
    variants, tasks = list(summary["variant"].unique()), _served(summary, tasks, metrics)
    if len(variants) > len(BARS):
        raise ConfigError(f"bars of {len(variants)} variants cannot be told apart; draw at most {len(BARS)}")
    fig, axes = plt.subplots(
        len(tasks), 1, figsize=(WIDTH, 0.6 + 2.5 * len(tasks)), layout="constrained", squeeze=False
    )
    plt.close(fig)  # as in `plot_style.panels`
    for ax, task in zip(axes[:, 0], tasks, strict=True):
        own = _of_task(summary, task, variants, metrics)
        dots = _seeds(by_seed, task, variants, metrics)
        _bars(ax, own, dots)
        begin = 0.0 if from_zero else _round_below(own, dots)
        ax.set(title=TASK_LABELS[task], ylabel=f"value (axis begins at {begin:g})" if begin else "value")
        ax.set_ylim(bottom=begin)
        ax.set_xticks(range(len(metrics)), metrics)
        ax.tick_params(axis="x", length=0)
        ax.grid(axis="x", visible=False)
    _legend(fig, axes[0, 0])
    return fig


def difference_intervals(comparison: pd.DataFrame, metric: str, *, tasks: Sequence[str] = BEHAVIORS) -> Figure:
    """How far each variant is from the reference, with 95 % intervals; filled where Holm's p is below .05.

    Args:
        comparison: `significance.compare`; a panel per task, a row per variant.
        metric: such as ``N@10``.
        tasks: of the panels, from left to right; those without a comparison are left out.

    Raises:
        ConfigError: an unknown metric or task.
    """
    tasks, variants = _served(comparison, tasks, [metric]), comparison["variant"].unique()
    fig, axes = panels(len(tasks), height=1.5 + 0.34 * len(variants), sharey=True)
    reference = str(comparison["reference"].iloc[0])
    for ax, task in zip(axes, tasks, strict=True):
        own = comparison[(comparison["task"] == task) & (comparison["metric"] == metric)].set_index("variant")
        own = own.reindex(variants).rename(columns={"difference": "mean"}).assign(group=task)
        xlabel = f"{metric}, difference from {reference}"
        intervals(own, xlabel, ax=ax, reference={"no difference": 0.0}, title=TASK_LABELS[task], legend=False)
        (rows,) = np.nonzero((own["p_holm"] >= LEVEL).to_numpy())
        look = {"marker": "o", "linestyle": "", "markerfacecolor": "white", "color": TASK_COLOURS[task]}
        ax.plot(own["mean"].iloc[rows], rows, zorder=4, **look)
        ax.locator_params(axis="x", nbins=5, steps=[1, 2, 5, 10])  # labels that do not touch
        for row in np.flatnonzero(own["mean"].isna()):
            ax.annotate("not compared", (0, row), (5, 0), textcoords="offset points", va="center", fontsize=9)
    grey = {"marker": "o", "linestyle": "", "color": "#555555"}
    handles = [Line2D([], [], **grey), Line2D([], [], **grey, markerfacecolor="white")]
    labels = [f"p < {LEVEL:g} (Holm)", f"p ≥ {LEVEL:g}"]
    fig.legend(handles, labels, loc="outside lower center", ncols=2)
    return fig


def sensitivity(
    summary: pd.DataFrame,
    values: Mapping[str, float],
    xlabel: str,
    metrics: Sequence[str] = ("N@5", "N@10"),
    *,
    by_seed: pd.DataFrame | None = None,
    tasks: Sequence[str] = BEHAVIORS,
    reference: float | None = None,
    axis: str = "linear",
) -> Figure:
    """Metrics over the value of one option, mean ± sd over seeds: a panel per task, a line per metric.

    Args:
        summary: `significance.summary`.
        values: the option's value in each variant that is to be drawn.
        xlabel: the option's name.
        metrics: of the lines.
        by_seed: `significance.seed_means`, for a dot per seed.
        tasks: of the panels, from left to right; those that no variant serves are left out.
        reference: the option's default, marked by a vertical line.
        axis: "linear", "log" (values above zero), or "even": equal steps from value to value, for values whose
            labels would else lie on each other.

    Raises:
        ConfigError: an unknown variant, metric, task or axis, two variants of one value, or a value that is not on
            the axis.
    """
    if axis not in AXES:
        raise unknown("axis", axis, AXES)
    logx, even = axis == "log", axis == "even"
    _check_values(summary, values, reference, logx)
    of_variants = summary[summary["variant"].isin(list(values))]
    tasks = _served(of_variants, tasks, metrics)
    variants = sorted(values, key=values.__getitem__)
    labels = [values[name] for name in variants]
    x = list(range(len(labels))) if even else labels
    fig, axes = panels(len(tasks), height=3.2)
    for ax, task in zip(axes, tasks, strict=True):
        tables = _of_task(summary, task, variants, metrics)
        mean, sd = (tables[name].set_axis(x) for name in ("mean", "sd"))
        ends = mean - sd.fillna(0), mean + sd.fillna(0)
        ylabel = metrics[0] if len(metrics) == 1 else "value"
        bands(mean, *ends, xlabel, ylabel, ax=ax, title=TASK_LABELS[task], logx=logx, legend=False)
        _recolour(ax, len(metrics))
        for number, dots in enumerate(_seeds(by_seed, task, variants, metrics).swapaxes(0, 1)):  # (V, S)
            ax.scatter(np.repeat(x, dots.shape[1]), dots.ravel(), s=12, color=_colour(number), alpha=0.6, linewidth=0)
        if reference is not None:
            look = {"color": "#777777", "linestyle": ":", "linewidth": 1.5, "zorder": 1}
            ax.axvline(np.interp(reference, labels, x) if even else reference, label=f"default ({reference:g})", **look)
        ax.set_xticks(x, [f"{value:g}" for value in labels])
        ax.set_xticks([], minor=True)
    legend_below(fig, axes)
    return fig


def _served(table: pd.DataFrame, tasks: Sequence[str], metrics: Sequence[str]) -> list[str]:
    """The tasks that have rows, after a look at the names."""
    for kind, names, known in (("task", tasks, BEHAVIORS), ("metric", metrics, table["metric"].unique())):
        for name in names:
            if name not in known:
                raise unknown(kind, name, known)
    if not (served := [task for task in tasks if (table["task"] == task).any()]):
        raise ConfigError(f"no rows of the tasks {list(tasks)} to draw")
    return served


def _check_values(summary: pd.DataFrame, values: Mapping[str, float], reference: float | None, logx: bool) -> None:
    known, seen = summary["variant"].unique(), {}
    for name, value in values.items():
        if name not in known:
            raise unknown("variant", name, known)
        if value in seen:
            raise ConfigError(f"variants '{seen[value]}' and '{name}' both have the value {value}")
        seen[value] = name
    for place, value in [*values.items(), ("reference", reference)]:
        if value is not None and (not np.isfinite(value) or (logx and value <= 0)):
            axis = "a logarithmic axis; take axis='linear', or leave it out" if logx else "an axis"
            raise ConfigError(f"the value {value} of '{place}' has no place on {axis}")


def _of_task(summary: pd.DataFrame, task: str, variants: Sequence[str], metrics: Sequence[str]) -> dict:
    """Tables ``mean`` and ``sd``, variants by metrics; NaN where a variant does not serve the task."""
    own = summary[summary["task"] == task]
    return {
        name: own.pivot(index="variant", columns="metric", values=name).reindex(index=variants, columns=metrics)
        for name in ("mean", "sd")
    }


def _seeds(by_seed: pd.DataFrame | None, task: str, variants: Sequence[str], metrics: Sequence[str]) -> np.ndarray:
    """Values of the single seeds, (V, M, S), in the order of the seeds; S = 0 without a table."""
    if by_seed is None:
        return np.empty((len(variants), len(metrics), 0))
    own = by_seed[by_seed["task"] == task].pivot(index="variant", columns=["metric", "seed"], values="value")
    columns = pd.MultiIndex.from_product([metrics, np.sort(by_seed["seed"].unique())])
    return own.reindex(index=variants, columns=columns).to_numpy().reshape(len(variants), len(metrics), -1)


def _bars(ax: Axes, own: Mapping[str, pd.DataFrame], dots: np.ndarray) -> None:
    n_variants, n_metrics, n_seeds = dots.shape
    width = 0.82 / n_variants
    inside = (np.arange(n_seeds) + 0.5) / max(1, n_seeds) * 0.55 * width - 0.13 * width  # right of the error bar
    for number, variant in enumerate(own["mean"].index):
        x = np.arange(n_metrics) + (number - (n_variants - 1) / 2) * width
        look = {"color": BARS[number], "hatch": HATCHES[number], "edgecolor": "white", "linewidth": 0.8}
        mean, sd = own["mean"].loc[variant].to_numpy(), own["sd"].loc[variant].to_numpy()
        ax.bar(x, mean, width, label=variant, **look)
        ax.errorbar(x - 0.3 * width, mean, sd, fmt="none", ecolor="#222222", elinewidth=1.2, capsize=2)
        ax.scatter((x[:, None] + inside).ravel(), dots[number].ravel(), **DOTS)


def _round_below(own: Mapping[str, pd.DataFrame], dots: np.ndarray) -> float:
    """A round number, at least zero, some way below all that is drawn, so that the smallest bar is still a bar."""
    ends = (own["mean"] - own["sd"].fillna(0)).to_numpy()
    lowest = np.nanmin(np.concatenate([ends.ravel(), dots.ravel()]))
    spread = max(np.nanmax(own["mean"]) - lowest, 0.01)
    step = 10 ** np.floor(np.log10(spread))
    return max(0.0, round(np.floor((lowest - 0.1 * spread) / step) * step, 10))


def _recolour(ax: Axes, n: int) -> None:
    """The n lines and bands in colours that no task has: panels are tasks here, lines are metrics."""
    for number, (line, band) in enumerate(zip(ax.get_lines()[:n], ax.collections[:n], strict=True)):
        line.set_color(_colour(number))
        band.set_color(_colour(number))


def _colour(number: int) -> str:
    return COLOURS[2:][number % len(COLOURS[2:])]


def _legend(fig: Figure, ax: Axes) -> None:
    """Below the panels, in one line where the names fit, else in rows of three that read from left to right."""
    handles, labels = ax.get_legend_handles_labels()
    columns = len(labels) if sum(len(label) + 7 for label in labels) <= LEGEND_WIDTH else 3
    order = [place for first in range(columns) for place in range(first, len(labels), columns)]
    given = [handles[i] for i in order], [labels[i] for i in order]
    fig.legend(*given, loc="outside lower center", ncols=columns)
