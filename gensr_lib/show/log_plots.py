"""The figure of a training that says the base rate for a while and then learns."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from .style import COLOURS, INK, panels

SHADE = "#F0F0F0"
CURVE = COLOURS[2]  # the first two are the tasks' own, and these curves are of both together


def plateau(
    loss: pd.Series,
    metric: pd.Series,
    *,
    base_rate: tuple[str, float],
    chance: tuple[str, float],
    until: float,
    note: str,
) -> Figure:
    """A loss beside its base rate, and below it a metric beside chance, over the epochs trained.

    Args:
        loss: by the epochs trained, whole or not; its name is the label of the axis.
        metric: likewise, between 0 and 1; it may begin and end elsewhere.
        base_rate: label and height of the line that the loss stays on.
        chance: label and height of the line that the metric stays on.
        until: the epoch at which the plateau ends; what lies before it is shaded.
        note: what is said of the shaded part.
    """
    fig, axes = panels(height=4.6, rows=2, sharex=True)
    above, below = axes
    above.plot(loss.index, loss, color=CURVE, linewidth=1.4)
    below.plot(metric.index, metric, color=CURVE, marker="o")
    _reference(above, *base_rate)
    _reference(below, *chance)
    for ax in axes:
        ax.axvspan(0, until, color=SHADE, zorder=0)
    centre = {"xycoords": above.get_xaxis_transform(), "ha": "center", "fontsize": 10}
    above.annotate(note, (until / 2, 0.3), **centre)
    above.set(ylabel=loss.name, ylim=(0, None))
    below.set(xlabel="epochs trained", ylabel=metric.name, ylim=(0, 1))
    below.set_xlim(0, math.ceil(max(loss.index[-1], metric.index[-1])))
    below.xaxis.set_major_locator(MultipleLocator(1))
    return fig


def _reference(ax: Axes, label: str, height: float) -> None:
    """A dashed line with its label above the right end, which a curve that learns has left."""
    ax.axhline(height, color=INK, linestyle="--", linewidth=1.2)
    place = {"xy": (1, height), "xycoords": ax.get_yaxis_transform(), "xytext": (-4, 7)}
    ax.annotate(label, **place, textcoords="offset points", ha="right", fontsize=9)
