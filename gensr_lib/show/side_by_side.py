"""Figures of many models at once: a small panel for each, on common axes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ..data.schema import TASK_LABELS
from .names import displayed
from .plots import lines
from .style import TASK_COLOURS, panels

IN_A_ROW = 5
LEAST = 1e-3


def curves(
    values: Mapping[str, pd.Series], xlabel: str, ylabel: str, marks: Mapping[str, float]
) -> Figure:
    """A panel for each curve, five in a row.

    Args:
        values: over an index, by the titles of the panels; those that are missing are gaps.
        marks: by the same titles, where a dotted vertical line stands; 0 for none.
    """
    wide = min(len(values), IN_A_ROW)
    rows = -(-len(values) // wide)
    fig, axes = panels(wide, height=0.4 + 1.6 * rows, rows=rows, sharex=True, sharey=True)
    for ax, (title, curve) in zip(axes, values.items(), strict=False):
        lines(curve.to_frame(), "", "", ax=ax, markers=True)
        ax.set_title(displayed(title), fontsize=9)
        ax.xaxis.get_major_locator().set_params(integer=True)
        if marks[title]:
            ax.axvline(marks[title], color="#777777", linestyle=":")
    for ax in axes[len(values) :]:
        ax.set_visible(False)
    fig.supxlabel(xlabel, fontsize=10)
    fig.supylabel(ylabel, fontsize=10)
    return fig


def matrices(values: Mapping[str, np.ndarray], xlabel: str, ylabel: str, clabel: str) -> Figure:
    """A panel for each matrix of shares, such as what reads what, on one logarithmic scale.

    Args:
        values: by the titles of the panels, numbers up to 1; what is below `LEAST` is white.
        clabel: what the numbers are.
    """
    fig, axes = panels(len(values), height=2.6, sharey=True)
    for ax, (title, table) in zip(axes, values.items(), strict=True):
        seen = np.ma.masked_less(table, LEAST)
        picture = ax.imshow(seen, cmap="cividis_r", norm=LogNorm(LEAST, 1))
        rows, columns = (np.arange(n) for n in np.shape(table))
        ax.set_yticks(rows, rows + 1)
        ax.set_xticks(columns, columns + 1)
        ax.set(title=displayed(title), xlabel=xlabel)
        ax.grid(visible=False)
    axes[0].set_ylabel(ylabel)
    fig.colorbar(picture, ax=axes, pad=0.02, fraction=0.05, label=clabel)
    return fig


def orders(values: Mapping[str, pd.DataFrame], xlabel: str, ylabel: str) -> Figure:
    """A panel for each pair of orders: the places of some things in one against those in another.

    Things on the diagonal have the same place in both. The best is at the top right.

    Args:
        values: by task, two columns of numbers, the highest is the first place; the index names the
            things.
    """
    fig, axes = panels(len(values), height=4.4)
    for ax, (task, table) in zip(axes, values.items(), strict=True):
        places = table.rank(ascending=False).to_numpy()
        n = len(table)
        ax.plot([n, 1], [n, 1], color="#bbbbbb", linewidth=1, zorder=0)
        ax.scatter(*places.T, s=18, color=TASK_COLOURS[task])
        for name, place in zip(table.index, places, strict=True):
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # over the line
            ax.annotate(name, place, (4, 3), textcoords="offset points", fontsize=7, bbox=box)
        ticks = [1, *range(5, n + 1, 5)]
        ax.set(xticks=ticks, yticks=ticks, xlim=(n + 0.8, -0.8), ylim=(n + 0.8, 0.2))
        ax.set(title=TASK_LABELS[task], xlabel=xlabel)
    axes[0].set_ylabel(ylabel)
    return fig
