"""The style of all figures of the book: colours, lines, sizes, and how a figure is made and saved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ..data.schema import REC, SRC
from ..files import write_atomically

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
TASK_COLOURS = {REC: COLOURS[0], SRC: COLOURS[1]}
LINES = ("-", "--", "-.", ":")  # lines that coincide stay visible, and survive printing in grey
MARKERS = ("o", "x", "^", "s")
WIDTH, DPI = 7.5, 150  # inches; at the page's width, 10 pt in the figure are about 10 pt on the page
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


def legend_below(fig: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, each label once, below them; none if nothing has a label."""
    entries = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        fig.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=len(entries))


def look_of(name: object, number: int) -> dict[str, object]:
    """Colour and line of the sample or column of that name, the task's own if it is a task."""
    return {"color": TASK_COLOURS.get(name, COLOURS[number % len(COLOURS)]), "linestyle": LINES[number % len(LINES)]}
