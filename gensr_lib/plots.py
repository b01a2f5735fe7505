"""The figures of the book: one style, and the few kinds of figure that several chapters need.

Every function takes plain tables or arrays and returns a `Figure` that no longer belongs to pyplot, so a
notebook shows it once. The colours are Okabe and Ito's, safe for readers with a colour vision deficiency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from .data.schema import BEHAVIORS, REC, SRC
from .errors import ConfigError, unknown
from .files import write_atomically

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
TASK_COLOURS = {REC: COLOURS[0], SRC: COLOURS[1]}
TASK_LABELS = {REC: "recommendation", SRC: "search"}
LINES = ("-", "--", "-.", ":")  # lines that coincide stay visible, and survive printing in grey
WIDTH, DPI = 7.5, 150  # inches; at the page's width, 10 pt in the figure are about 10 pt on the page
MOST_ANNOTATED = 120  # cells of a heatmap that still have room for their numbers
STYLE = {
    "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white", "figure.dpi": DPI,
    "savefig.dpi": DPI, "savefig.bbox": None, "font.family": "DejaVu Sans", "font.size": 10, "text.color": "#222222",
    "axes.titlesize": 10.5, "axes.titleweight": "bold", "axes.labelsize": 10, "axes.edgecolor": "#555555",
    "axes.labelcolor": "#222222", "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "axes.grid": True, "grid.color": "#DDDDDD", "grid.linewidth": 0.7, "axes.prop_cycle": mpl.cycler(color=COLOURS),
    "xtick.labelsize": 9, "ytick.labelsize": 9, "xtick.color": "#444444", "ytick.color": "#444444",
    "lines.linewidth": 2, "lines.markersize": 4.5, "legend.frameon": False, "legend.fontsize": 9,
}  # fmt: skip


def use_style() -> None:
    """Give all figures made from now on the style of the book; call it once, after the imports."""
    mpl.rcParams.update(STYLE)


def save_figure(fig: Figure, name: str, folder: str | Path) -> Path:
    """Write ``<folder>/<name>.png``; readers see the whole file or none, and equal figures give equal bytes."""
    path, plain = Path(folder) / f"{name}.png", {"Software": None}  # else the file names the version of matplotlib
    if isinstance(fig.get_layout_engine(), ConstrainedLayoutEngine):
        fig.draw_without_rendering()
        fig.set_layout_engine("none")  # each further draw would move a colour bar a little
    return write_atomically(path, lambda part: fig.savefig(part, format="png", dpi=DPI, metadata=plain))


def panels(n: int = 1, height: float = 3.0, **options) -> tuple[Figure, list[Axes]]:
    """An empty figure of the page's width with ``n`` panels side by side; ``options`` go to `plt.subplots`."""
    fig, axes = plt.subplots(1, n, figsize=(WIDTH, height), layout="constrained", squeeze=False, **options)
    plt.close(fig)  # pyplot would show it a second time at the end of the cell
    return fig, list(axes[0])


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
        look = {**_look(name, number), "marker": "o" if markers else ""}
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
    drawn = [(f"training: {term}", columns, "mean over the epoch") for term, columns in terms.items()]
    drawn += [("validation", valid, metric)] if valid else []
    fig, axes = panels(len(drawn), height=3.1)
    by_epoch = history.set_index("epoch")
    for ax, (title, columns, ylabel) in zip(axes, drawn, strict=True):
        own = by_epoch[list(columns)].rename(columns=columns)
        lines(own, "epoch", ylabel, ax=ax, markers=True, title=title, legend=False)
        ax.xaxis.get_major_locator().set_params(integer=True)
    if valid and best_epoch:
        axes[-1].axvline(best_epoch, color="#777777", linestyle=":", label=f"best epoch ({best_epoch})")
    _legend_below(fig, axes)
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
        for place, (value, end) in enumerate(zip(own, ends, strict=True)):
            _beside(ax, "not served" if np.isnan(value) else f"{value:.3f}", end, place)
        title, best = TASK_LABELS[task], values[task].get(reference, np.nan)
        if not np.isnan(best):
            ax.axvline(best, color="#222222", linestyle="--", linewidth=1.5, label=reference)
            title += f" ({reference}: {best:.3f})"
        top = np.nanmax([*ends, best, 1e-9]) * 1.25  # room for the numbers
        ax.set(title=title, xlabel=metric, xlim=(0, top), ylim=(len(systems) - 0.5, -0.5))  # first row on top
        ax.grid(axis="y", visible=False)
    _legend_below(fig, axes)
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
        look = _look(name, number)
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


def _write_numbers(ax: Axes, weights: np.ndarray) -> None:
    for (row, column), value in np.ndenumerate(weights):
        color = "white" if value < weights.max() / 2 else "black"
        ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7.5, color=color)


def _beside(ax: Axes, text: str, x: float, y: float) -> None:
    """Text right of a bar's end, legible where it lies on the line of the reference."""
    plate = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85}
    ax.annotate(text, (x, y), (4, 0), textcoords="offset points", va="center", fontsize=9, bbox=plate)


def _legend_below(fig: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, each label once, below them; none if nothing has a label."""
    entries = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        fig.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=len(entries))


def _look(name: object, number: int) -> dict[str, object]:
    return {"color": TASK_COLOURS.get(name, COLOURS[number % len(COLOURS)]), "linestyle": LINES[number % len(LINES)]}


def _short(text: str, width: int = 30) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"
