"""Figures as files: for the page, and for a phone, on which the page's would be too small."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from pathlib import Path
from textwrap import fill

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
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
    """A copy with its panels one below the other.

    None where that is not to be had: for a heat map, which needs its width, for panels that are in
    no grid, in several, or not each in one cell of it, and for what cannot be copied.
    """
    axes = [ax for ax in fig.axes if ax.get_visible()]
    cells = [ax.get_subplotspec() and (ax.get_gridspec(), ax.get_subplotspec().num1) for ax in axes]
    is_plain = (
        all(cells) and len(set(cells)) == len(cells) and len({grid for grid, _ in cells}) == 1
    )
    spans = any(ax.get_subplotspec().num1 != ax.get_subplotspec().num2 for ax in axes if is_plain)
    if not is_plain or spans or any(_is_heat_map(ax) for ax in axes):
        return None
    try:
        fig = deepcopy(fig)
    except (TypeError, NotImplementedError):  # such as an artist that holds an open file
        return None
    axes = [ax for ax in fig.axes if ax.get_visible()]
    grid = axes[0].get_gridspec()
    fig.set_layout_engine("constrained", h_pad=PANEL_PAD)  # saving may have ended it
    panel_height = fig.get_figheight() / grid.nrows
    columns = 1 if len(axes) <= IN_ONE_COLUMN else 2
    rows = -(-len(axes) // columns)
    if grid.ncols > 1:
        _stack(axes, fig.add_gridspec(rows, columns))
        fig.set_figheight(panel_height * rows)
    fig.set_figwidth(PHONE_WIDTH)
    for ax in axes:
        if isinstance(locator := ax.xaxis.get_major_locator(), MaxNLocator):
            locator.set_params(nbins=MOST_TICKS)
    legends = [(_entries(fig, legend), legend.get_title().get_text()) for legend in fig.legends]
    fig.legends.clear()
    for entries, title in legends:
        legend_of(fig, entries).set_title(title or None)
    _keep_inside(fig, axes)
    return fig


def _is_heat_map(ax: Axes) -> bool:
    return bool(ax.images) or any(isinstance(part, QuadMesh) for part in ax.collections)


def _stack(axes: list[Axes], grid: mpl.gridspec.GridSpec) -> None:
    """Give each panel its place in a grid, and what a panel that it shares an axis with had for it.

    In one column each panel has numbers of its own; in two, a shared axis has them at the edge.
    """
    for place, ax in enumerate(axes):
        ax.set_subplotspec(grid[place])
        left = axes[place - 1] if place % grid.ncols else None
        below = axes[place + grid.ncols] if place + grid.ncols < len(axes) else None
        _label(ax, "y", "labelleft", axes, left)
        _label(ax, "x", "labelbottom", axes, below if grid.ncols > 1 else None)


def _label(ax: Axes, name: str, side: str, axes: list[Axes], neighbour: Axes | None) -> None:
    """Show numbers and label of an axis that is shared, but not with the neighbour at that side."""
    shared = getattr(ax, f"get_shared_{name}_axes")()
    alike = [other for other in axes if other is not ax and shared.joined(ax, other)]
    if not alike:
        return
    is_shown = neighbour not in alike
    ax.tick_params(**{side: is_shown})
    labels = [getattr(other, f"get_{name}label")() for other in [ax, *alike]]
    getattr(ax, f"set_{name}label")(next(filter(None, labels), "") if is_shown else "")


def _entries(fig: Figure, legend: Legend) -> dict[str, Artist]:
    """What a legend has, by label: of the panels what is drawn there, with its whiskers."""
    drawn: dict[str, Artist] = {}
    for ax in fig.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            drawn.setdefault(label, handle)
    labels = [text.get_text() for text in legend.get_texts()]
    shown = dict(zip(labels, legend.legend_handles, strict=True))
    return {label: drawn.get(label, handle) for label, handle in shown.items()}


def _keep_inside(fig: Figure, axes: list[Axes]) -> None:
    """Wrap what is wider than the figure; let what is wider than its panel end where that ends."""
    fig.draw_without_rendering()
    own = [text for ax in axes for text in (ax.title, ax.xaxis.label)]
    for text in [*own, *fig.texts]:
        words, width = text.get_text(), text.get_window_extent().width
        if width > fig.bbox.width:
            text.set_text(fill(words, int(len(words) * fig.bbox.width / width)))
    fig.draw_without_rendering()
    for text in own:
        if text.get_window_extent().x1 > fig.bbox.x1:
            text.set(x=1, ha="right")
