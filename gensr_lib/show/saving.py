"""Figures as files: for the page, and for a phone, on which the page's would be too small."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from pathlib import Path

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from ..files import write_atomically
from .style import DPI, legend_of

# What a file is written in, and what of it would name the version of matplotlib, or the time.
NAMELESS = {"png": {"Software": None}, "svg": {"Creator": None, "Date": None}}
PHONE = "_phone"  # how the names of drawings for phones end
PHONE_WIDTH = 4.2  # inches; 10 pt in the figure are about 12 px on a phone
IN_ONE_COLUMN = 8  # panels; more of them stand in two columns
PANEL_PAD = 0.1  # inches above and below a panel, whose title follows on another one's label
MOST_TICKS = 6  # of an axis across


def save_figure(fig: Figure, name: str, folder: str | Path) -> Path:
    """Write ``<name>.png`` and ``<name>.svg``, and ``<name>_phone.svg`` if it is more readable on a
    phone: each whole or not at all. Equal figures give equal bytes.

    Returns:
        The path of the first.
    """
    path = Path(folder) / f"{name}.png"
    save_drawing(fig, path)
    save_drawing(fig, path.with_suffix(".svg"))
    phone = path.with_name(f"{name}{PHONE}.svg")
    if redrawn := for_phone(fig):
        save_drawing(redrawn, phone)
    else:
        phone.unlink(missing_ok=True)  # of an earlier figure
    return path


def save_drawing(fig: Figure, path: Path) -> None:
    """Write a file of the kind that its suffix says, ``.png`` or ``.svg``, whole or not at all."""
    if isinstance(fig.get_layout_engine(), ConstrainedLayoutEngine):
        fig.draw_without_rendering()
        fig.set_layout_engine("none")  # each further draw would move a colour bar a little
    kind = path.suffix[1:]
    with mpl.rc_context({"svg.hashsalt": "gensr"}):  # ids that are not drawn by chance
        write_atomically(path, partial(fig.savefig, format=kind, dpi=DPI, metadata=NAMELESS[kind]))


def for_phone(fig: Figure) -> Figure | None:
    """A copy with its panels one below the other; None for a heat map, which needs its width, and
    where panels are in no grid, or in several.
    """
    fig = deepcopy(fig)
    axes = [ax for ax in fig.axes if ax.get_visible()]
    grids = {ax.get_gridspec() for ax in axes}
    if len(grids) != 1 or None in grids or any(_is_heat_map(ax) for ax in axes):
        return None
    (grid,) = grids
    fig.set_layout_engine("constrained")  # saving may have ended it
    panel_height = fig.get_figheight() / grid.nrows
    columns = 1 if len(axes) <= IN_ONE_COLUMN else 2
    rows = -(-len(axes) // columns)
    if grid.ncols > 1:
        _stack(axes, fig.add_gridspec(rows, columns))
        fig.set_figheight(panel_height * rows)
    fig.set_figwidth(PHONE_WIDTH)
    fig.get_layout_engine().set(h_pad=PANEL_PAD)
    for ax in axes:
        if isinstance(locator := ax.xaxis.get_major_locator(), MaxNLocator):
            locator.set_params(nbins=MOST_TICKS)
    legends = [_entries(fig, legend) for legend in fig.legends]
    fig.legends.clear()
    for entries in legends:
        legend_of(fig, entries)
    _keep_inside(fig, [text for ax in axes for text in (ax.title, ax.xaxis.label)])
    return fig


def _is_heat_map(ax: Axes) -> bool:
    return bool(ax.images) or any(isinstance(part, QuadMesh) for part in ax.collections)


def _stack(axes: list[Axes], grid: mpl.gridspec.GridSpec) -> None:
    """Give each panel its place in a grid, and the labels that a panel to its left had for it."""
    first = axes[0]
    for place, ax in enumerate(axes):
        ax.set_subplotspec(grid[place])
        is_left, is_last = place % grid.ncols == 0, place >= len(axes) - grid.ncols
        ax.tick_params(labelleft=is_left, labelbottom=is_last or grid.ncols == 1)
        if is_left and first.get_shared_y_axes().joined(first, ax) and not ax.get_ylabel():
            ax.set_ylabel(first.get_ylabel())


def _entries(fig: Figure, legend: mpl.legend.Legend) -> dict[str, Artist]:
    """What a legend has, by label: of the panels what is drawn there, with its whiskers."""
    drawn: dict[str, Artist] = {}
    for ax in fig.axes:
        handles, labels = ax.get_legend_handles_labels()
        drawn |= dict(zip(labels, handles, strict=True))
    labels = [text.get_text() for text in legend.get_texts()]
    shown = dict(zip(labels, legend.legend_handles, strict=True))
    return {label: drawn.get(label, handle) for label, handle in shown.items()}


def _keep_inside(fig: Figure, texts: list[Text]) -> None:
    """Titles and labels that are wider than their panel end where it ends."""
    fig.draw_without_rendering()
    for text in texts:
        if text.get_window_extent().x1 > fig.bbox.x1:
            text.set(x=1, ha="right")
