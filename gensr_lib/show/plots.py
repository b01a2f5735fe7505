"""The figures of the book: one style, and the few kinds of figure that several chapters need.

Every function takes plain tables or arrays and returns a `Figure` that no longer belongs to pyplot, so a
notebook shows it once. The colours are Okabe and Ito's, safe for readers with a colour vision deficiency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..data.schema import BEHAVIORS, TASK_LABELS
from ..errors import ConfigError, unknown
from .style import COLOURS as COLOURS
from .style import LINES, MARKERS, TASK_COLOURS, legend_below, look_of, panels
from .style import save_figure as save_figure
from .style import use_style as use_style

MOST_ANNOTATED = 120  # cells of a heatmap that still have room for their numbers
ENCLOSED = (0.5, 0.9)  # shares of a cloud's density inside its two contours


def lines(
    table: pd.DataFrame,
    xlabel: str,
    ylabel: str,
    *,
    ax: Axes | None = None,
    markers: bool = False,
    title: str = "",
    legend: bool = True,
) -> Figure:
    """One line per column over the index; columns named ``rec`` and ``src`` get the colours of the tasks."""
    ax = ax or panels()[1][0]
    for number, name in enumerate(table.columns):
        values = table[name].dropna()
        look = {**look_of(name, number), "marker": "o" if markers else ""}
        ax.plot(values.index.to_numpy(), values.to_numpy(), label=TASK_LABELS.get(name, name), **look)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if legend and len(table.columns) > 1:
        ax.legend()
    return ax.figure


def training_curves(history: pd.DataFrame, metric: str = "N@5", best_epoch: int | None = None) -> Figure:
    """A panel for each loss term, with one line per task, and one for the validation metric.

    Args:
        history: as in `Run.history`: ``epoch``, loss terms such as ``rec generation``, and validation
            metrics such as ``valid src N@5`` (absent where an epoch was not validated).
        metric: which validation metric to draw.
        best_epoch: marked by a vertical line in the validation panel.

    Raises:
        ConfigError: a column that is needed is missing; the message names those that are there.
    """
    terms = {}  # term -> its columns, in the order of the table
    for column in history.columns:
        task, _, term = str(column).partition(" ")
        if task in BEHAVIORS:
            terms.setdefault(term, {})[column] = task
    valid = {f"valid {task} {metric}": task for task in BEHAVIORS if f"valid {task} {metric}" in history}
    if "epoch" not in history or not terms:
        raise unknown("column of a training history", "epoch" if terms else "rec <loss term>", history.columns)
    if not valid and any(str(c).startswith("valid ") for c in history.columns):
        raise unknown("column of a training history", f"valid rec {metric}", history.columns)
    drawn = [(term.replace("_", " "), columns, "training loss") for term, columns in terms.items()]
    drawn += [("validation", valid, metric)] if valid else []
    fig, axes = panels(len(drawn), height=3.1)
    by_epoch = history.set_index("epoch")
    for ax, (title, columns, ylabel) in zip(axes, drawn, strict=True):
        own = by_epoch[list(columns)].rename(columns=columns)
        lines(own, "epoch", ylabel, ax=ax, markers=True, title=title, legend=False)
        ax.xaxis.get_major_locator().set_params(integer=True)
    if valid and best_epoch:
        axes[-1].axvline(best_epoch, color="#777777", linestyle=":", label=f"best epoch ({best_epoch})")
    legend_below(fig, axes)
    return fig


def system_bars(
    table: pd.DataFrame, metric: str, reference: str = "oracle", errors: pd.DataFrame | None = None
) -> Figure:
    """Bars of all systems for one metric, a panel per task, with a line where the reference stands.

    Args:
        table: one row per system, columns (task, metric), as `runs.result_table` makes it; a system
            that does not serve a task has NaN there and no bar.
        metric: such as ``N@10``.
        reference: row drawn as a line rather than a bar; it may be absent.
        errors: half lengths of error bars, shaped as ``table``.

    Raises:
        ConfigError: no column of that metric.
    """
    if metric not in table.columns.get_level_values(1):
        raise unknown("metric", metric, table.columns.get_level_values(1).unique())
    values = table.xs(metric, axis=1, level=1)
    tasks = [task for task in BEHAVIORS if task in values]
    systems = [name for name in values.index if name != reference]
    fig, axes = panels(len(tasks), height=1.5 + 0.32 * len(systems), sharey=True)
    for ax, task in zip(axes, tasks, strict=True):
        own = values.loc[systems, task]
        half = errors[(task, metric)].loc[systems].fillna(0) if errors is not None else None
        ax.barh(systems, own.fillna(0), xerr=half, color=TASK_COLOURS[task], height=0.7)
        ends = own.fillna(0) + (half if half is not None else 0)
        title, best = TASK_LABELS[task], values[task].get(reference, np.nan)
        top = np.nanmax([*ends, best, 1e-9]) * 1.25  # room for the numbers
        for place, (value, end) in enumerate(zip(own, ends, strict=True)):
            crossed = end < best < end + 0.2 * top  # the line of the reference would run through the number
            text = "not served" if np.isnan(value) else f"{value:.3f}"
            _beside(ax, text, end, place, inside=crossed and half is None)
        if not np.isnan(best):
            ax.axvline(best, color="#222222", linestyle="--", linewidth=1.5, label=reference)
            title += f" ({reference}: {best:.3f})"
        ax.set(title=title, xlabel=metric, xlim=(0, top), ylim=(len(systems) - 0.5, -0.5))  # first row on top
        ax.grid(axis="y", visible=False)
    legend_below(fig, axes)
    return fig


def distributions(
    values: Mapping[str, Sequence[float]],
    xlabel: str,
    *,
    kind: str = "ecdf",
    bins: int | Sequence[float] = 40,
    ax: Axes | None = None,
    title: str = "",
) -> Figure:
    """Compare samples, such as the two behaviors, by their distributions.

    Args:
        values: a sample by name; the names ``rec`` and ``src`` get the colours of the tasks.
        kind: ``ecdf`` (share of values up to x) or ``hist`` (share of values in each bin).
        bins: of the histograms, shared by all samples.

    Raises:
        ConfigError: an unknown kind.
    """
    if kind not in ("ecdf", "hist"):
        raise unknown("kind of distribution", kind, ["ecdf", "hist"])
    ax = ax or panels()[1][0]
    samples = {name: np.asarray(sample, dtype=float) for name, sample in values.items()}
    edges = np.histogram_bin_edges(np.concatenate([*samples.values()]), bins)
    for number, (name, sample) in enumerate(samples.items()):
        look = look_of(name, number)
        if kind == "ecdf":
            ax.ecdf(sample, label=TASK_LABELS.get(name, name), **look)
        else:
            common = {"x": sample, "bins": edges, "weights": np.full(len(sample), 1 / max(1, len(sample)))}
            ax.hist(**common, histtype="step", label=TASK_LABELS.get(name, name), **look)
            ax.hist(**common, color=look["color"], alpha=0.15)
    ax.set(xlabel=xlabel, ylabel="share up to x" if kind == "ecdf" else "share", title=title)
    if kind == "hist":
        ax.set_ylim(top=ax.get_ylim()[1] * 1.12)  # room for the legend
    if len(samples) > 1:
        ax.legend(loc="lower right" if kind == "ecdf" else "best")
    return ax.figure


def clouds(
    points: Mapping[str, np.ndarray],
    *,
    ax: Axes | None = None,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    contours: bool = True,
    max_points: int = 800,
    legend: bool = True,
) -> Figure:
    """Samples of points in the plane, such as two tasks' hidden states, with contours of their densities.

    Args:
        points: (n, 2) by name; the names ``rec`` and ``src`` get the colours of the tasks.
        contours: of Gaussian kernel densities of all points, around 50 % and 90 % of each density.
        max_points: shown of each sample, always the same ones.

    Raises:
        ConfigError: points that are not finite or not (n, 2), or contours of points that lie on a line.
    """
    ax, handles = ax or panels(height=4.5)[1][0], []
    for number, (name, given) in enumerate(points.items()):
        sample, look = np.asarray(given, dtype=float), look_of(name, number) | ({} if contours else {"linestyle": ""})
        if sample.ndim != 2 or sample.shape[1:] != (2,) or not np.isfinite(sample).all():
            raise ConfigError(f"points of '{name}' must be finite and of shape (n, 2), not {sample.shape}")
        shown = np.random.default_rng(0).permutation(len(sample))[:max_points]
        marker = MARKERS[number % len(MARKERS)]
        dots = {"marker": marker, "s": 9, "alpha": 0.3, "color": look["color"], "linewidths": 0.8}
        ax.scatter(*sample[shown].T, **dots, edgecolors=None if marker == "x" else "none", zorder=1)
        if contours:
            _contours(ax, str(name), sample, look)
        handles.append(Line2D([], [], **look, marker=marker, label=TASK_LABELS.get(name, name)))
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title, aspect="equal", adjustable="datalim")
    if legend and len(handles) > 1:
        ax.legend(handles=handles)
    return ax.figure


def bands(
    mean: pd.DataFrame,
    low: pd.DataFrame,
    high: pd.DataFrame,
    xlabel: str,
    ylabel: str,
    *,
    ax: Axes | None = None,
    title: str = "",
    logx: bool = False,
    legend: bool = True,
) -> Figure:
    """`lines` of the means, in bands from low to high: three tables of one shape, a line per column.

    Raises:
        ConfigError: tables with other rows or columns, or a low above its high.
    """
    if not all(t.index.equals(mean.index) and t.columns.equals(mean.columns) for t in (low, high)):
        raise ConfigError("mean, low and high must have the same index and columns")
    if (low > high).any(axis=None):
        raise ConfigError(f"low is above high in columns {list(mean.columns[(low > high).any()])}")
    fig = lines(mean, xlabel, ylabel, ax=ax, markers=True, title=title, legend=legend)
    ax = ax or fig.axes[0]
    for name, line in zip(mean.columns, ax.get_lines()[-len(mean.columns) :], strict=True):
        own = mean[name].notna()
        ends = low.loc[own, name].to_numpy(), high.loc[own, name].to_numpy()
        ax.fill_between(mean.index[own].to_numpy(), *ends, color=line.get_color(), alpha=0.18, linewidth=0)
    if logx:
        ax.set_xscale("log")
    return fig


def intervals(
    table: pd.DataFrame,
    xlabel: str,
    *,
    ax: Axes | None = None,
    reference: Mapping[str, float | pd.Series] | None = None,
    title: str = "",
    legend: bool = True,
) -> Figure:
    """A point with its interval per row, first row on top, such as estimates of information and the truth.

    Args:
        table: columns ``mean``, ``low``, ``high`` and, for colours, optionally ``group``.
        reference: by its name in the legend, either one number, drawn as a line across all rows (a ceiling),
            or a number per row of the table, each drawn as a mark on its row (the truth).

    Raises:
        ConfigError: a missing column, or a mean outside its interval; the message names it.
    """
    for column in ("mean", "low", "high"):
        if column not in table:
            raise unknown("column of a table of intervals", column, table.columns)
    outside = (table["mean"] < table["low"]) | (table["mean"] > table["high"])
    if outside.any():
        raise ConfigError(f"the mean lies outside low to high in row '{table.index[outside][0]}'")
    alone, ax = ax is None, ax or panels(height=1.3 + 0.34 * len(table))[1][0]
    groups = table["group"] if "group" in table else pd.Series("", index=table.index)
    for number, group in enumerate(groups.unique()):
        (rows,), marker = np.nonzero((groups == group).to_numpy()), "os^v"[number % 4]
        own, color = table.iloc[rows], look_of(group, number)["color"]
        half = [own["mean"] - own["low"], own["high"] - own["mean"]]
        label = TASK_LABELS.get(group, group) or None
        ax.errorbar(own["mean"], rows, xerr=half, fmt=marker, color=color, capsize=3, label=label)
    _references(ax, table.index, reference or {})
    ax.set_yticks(range(len(table)), table.index)
    ax.set(xlabel=xlabel, title=title, ylim=(len(table) - 0.5, -0.5))
    ax.grid(axis="y", visible=False)
    if alone and legend:
        legend_below(ax.figure, [ax])
    elif legend and ax.get_legend_handles_labels()[0]:
        ax.legend()
    return ax.figure


def weights_heatmap(
    weights: np.ndarray, candidates: Sequence[str], history: Sequence[str], behaviors: Sequence[str], title: str = ""
) -> Figure:
    """The weights that a soft filter gives to the items of a history (eq. 5), for several candidates.

    Args:
        weights: (C, N), a row per candidate.
        candidates: (C,) titles.
        history: (N,) titles, oldest first.
        behaviors: (N,) ``rec`` or ``src``; the labels of the columns have the task's colour.

    Raises:
        ConfigError: the sizes do not fit, or an unknown behavior.
    """
    weights = np.asarray(weights, dtype=float)
    if weights.shape != (len(candidates), len(history)) or len(history) != len(behaviors):
        sizes = f"{len(candidates)} candidates, {len(history)} history items and {len(behaviors)} behaviors"
        raise ConfigError(f"weights of shape {weights.shape} do not fit {sizes}")
    for behavior in set(behaviors) - set(BEHAVIORS):
        raise unknown("behavior", behavior, BEHAVIORS)
    fig, (ax,) = panels(height=2.4 + 0.34 * len(candidates))
    image = ax.imshow(weights, cmap="cividis", aspect="auto", vmin=0)
    fig.colorbar(image, ax=ax, label="weight", pad=0.01, fraction=0.04)
    ax.set_yticks(range(len(candidates)), [_short(name, 34) for name in candidates])
    names = [f"{_short(name)} ({behavior})" for name, behavior in zip(history, behaviors, strict=True)]
    ax.set_xticks(range(len(history)), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=7.5)
    for label, behavior in zip(ax.get_xticklabels(), behaviors, strict=True):
        label.set_color(TASK_COLOURS[behavior])
    ax.set_title(title)
    ax.grid(visible=False)
    if weights.size <= MOST_ANNOTATED:
        _write_numbers(ax, weights)
    return fig


def _references(ax: Axes, rows: pd.Index, reference: Mapping[str, float | pd.Series]) -> None:
    """One line per number, one mark per row of a series."""
    for number, (name, value) in enumerate(reference.items()):
        if isinstance(value, pd.Series):
            look = {"marker": "D*Pv"[number % 4], "markersize": 8, "markerfacecolor": "none", "color": "#222222"}
            ax.plot(value.reindex(rows).to_numpy(), range(len(rows)), linestyle="", label=name, zorder=3, **look)
        else:
            ax.axvline(value, color="#222222", linestyle=LINES[1:][number % 3], linewidth=1.5, label=name)


def _contours(ax: Axes, name: str, sample: np.ndarray, look: Mapping[str, object]) -> None:
    if len(sample) < 3 or np.linalg.matrix_rank(sample - sample.mean(axis=0)) < 2:
        raise ConfigError(f"the points of '{name}' lie on a line and have no contours; pass contours=False")
    style = {"color": look["color"], "linestyles": look["linestyle"], "linewidths": 1.5, "zorder": 2}
    levels = [1 - share for share in sorted(ENCLOSED, reverse=True)]  # seaborn counts the mass outside
    sns.kdeplot(x=sample[:, 0], y=sample[:, 1], levels=levels, cut=3, gridsize=80, ax=ax, **style)


def _write_numbers(ax: Axes, weights: np.ndarray) -> None:
    for (row, column), value in np.ndenumerate(weights):
        color = "white" if value < weights.max() / 2 else "black"
        ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7.5, color=color)


def _beside(ax: Axes, text: str, x: float, y: float, inside: bool = False) -> None:
    """Text right of a bar's end, or left of it, in the bar."""
    look = {"color": "white", "ha": "right"} if inside else {}
    ax.annotate(text, (x, y), (-4 if inside else 4, 0), textcoords="offset points", va="center", fontsize=9, **look)


def _short(text: str, width: int = 30) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"
