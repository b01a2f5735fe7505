"""The style of all figures of the book: colours, lines, sizes, panels and legends.

The colours are Okabe and Ito's, those of systems Paul Tol's, safe for readers with a colour vision
deficiency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from ..data.schema import REC, SRC

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
OTHERS = (*COLOURS[2:-1], "#888888")  # of what is no task; black is that of axes
TASK_COLOURS = {REC: COLOURS[0], SRC: COLOURS[1]}
# Of systems: none of them a task's, so that a colour says one thing only.
SYSTEM_COLOURS = {
    "gensr": "#882255",
    "gensar": "#AA4499",
    "unisar": "#117733",
    "lightgcn": "#777777",
    # Kinds of systems, where a figure has many; baselines are one, or the families of chapter 4.
    "floors": "#332288",
    "readers": "#44AA99",
    "oracle": "#000000",
    "baselines": "#8C6D31",
    "sequence": "#DDAA33",
    "candidate asks": "#66CCEE",
    "searches tell": "#CC6677",
    "language model": "#661100",
    "product search": "#6699CC",
    "both tasks": "#999933",
}
INK = "#222222"
LINES = ("-", "--", "-.", ":")  # lines that coincide stay visible, and survive printing in grey
WIDTH, DPI = 7.5, 150  # inches; 10 pt in the figure are about 10 pt on the page
LEGEND_WIDTH = 85 / WIDTH  # characters an inch


def use_style() -> None:
    """Give all figures made from now on the style of the book; call it once, after the imports."""
    mpl.rc("figure", facecolor="white", dpi=DPI)
    mpl.rc("savefig", facecolor="white", dpi=DPI, bbox=None)
    mpl.rc("font", family="DejaVu Sans", size=10)
    mpl.rc("text", color=INK)
    mpl.rc("axes", facecolor="white", edgecolor="#555555", labelcolor=INK, labelsize=10)
    mpl.rc("axes", titlesize=10.5, titleweight="bold", axisbelow=True, grid=True)
    mpl.rc("axes", prop_cycle=mpl.cycler(color=COLOURS))
    mpl.rc("axes.spines", top=False, right=False)
    mpl.rc("grid", color="#DDDDDD", linewidth=0.7)
    mpl.rc(("xtick", "ytick"), labelsize=9, color="#444444")
    mpl.rc("lines", linewidth=2, markersize=4.5)
    mpl.rc("legend", frameon=False, fontsize=9, handlelength=2.6)


def panels(n: int = 1, height: float = 3.0, rows: int = 1, **options) -> tuple[Figure, list[Axes]]:
    """An empty figure of the page's width with ``n`` panels side by side in each of some rows.

    Args:
        options: for `plt.subplots`.
    """
    look = {"figsize": (WIDTH, height), "layout": "constrained", "squeeze": False}
    fig, axes = plt.subplots(rows, n, **look, **options)
    plt.close(fig)  # pyplot would show it a second time at the end of the cell
    return fig, list(axes.flat)


def legend_below(fig: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, each label once, below them; none if nothing has a label."""
    entries = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        legend_of(fig, entries)


def legend_of(fig: Figure, entries: Mapping[str, Artist]) -> Legend:
    """A legend of these labels below the panels, in at most three columns if one line is short."""
    room = LEGEND_WIDTH * fig.get_figwidth()
    lengths = [len(label) + 7 for label in entries]
    ncols = len(entries) if sum(lengths) <= room else min(3, round(room / max(lengths)) or 1)
    return fig.legend(entries.values(), entries, loc="outside lower center", ncols=ncols)


def look_of(name: object, number: int) -> dict[str, object]:
    """Colour and line of the sample or column of that name: a task or a system has its own colour,
    and so have variants of a system, whose names go on behind a comma; all else has no task's.
    """
    own = {**TASK_COLOURS, **SYSTEM_COLOURS}
    system = str(name).partition(", ")[0].lower()
    colour = own.get(name, own.get(system, OTHERS[number % len(OTHERS)]))
    return {"color": colour, "linestyle": LINES[number % len(LINES)]}
