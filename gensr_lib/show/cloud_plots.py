"""Samples of points in the plane with their contours: one kind of `plots`, which has it too."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from ..errors import ConfigError
from .names import displayed
from .style import look_of, panels

ENCLOSED = (0.9, 0.5)  # shares of a cloud's density inside its two contours


def clouds(
    points: Mapping[str, np.ndarray], *, ax=None, contours=True, max_points=800, legend=True, **axes
) -> Figure:
    """Samples of points in the plane, such as two tasks' hidden states, with contours.

    Args:
        points: (n, 2) by name.
        contours: of Gaussian kernel densities of all points, around 50 % and 90 % of each density.
        max_points: shown of each sample, always the same ones.

    Raises:
        ConfigError: points that are not finite, or contours of points that lie on a line.
    """
    ax = ax or panels(height=4.5)[1][0]
    for number, (name, sample) in enumerate(points.items()):
        _check_cloud(name, sample, contours)
        look = look_of(name, number)
        marker = "oxs^"[number % 4]
        shown = sample[np.random.default_rng(0).permutation(len(sample))[:max_points]]
        edge = {"edgecolors": None if marker == "x" else "none", "linewidths": 0.8}
        # As pixels in drawings too: thousands of points would be a megabyte.
        faint = {"s": 9, "alpha": 0.3, "color": look["color"], "zorder": 1, "rasterized": True}
        ax.scatter(*shown.T, marker=marker, **faint, **edge)
        if contours:
            style = {"color": look["color"], "linestyles": look["linestyle"], "linewidths": 1.5}
            levels = [1 - share for share in ENCLOSED]  # seaborn counts the mass outside
            sns.kdeplot(x=sample[:, 0], y=sample[:, 1], levels=levels, gridsize=80, ax=ax, **style)
        line = look if contours else {"color": look["color"], "linestyle": ""}
        ax.plot([], [], marker=marker, label=displayed(name), **line)  # for a legend
    ax.set(xlabel="", ylabel="", aspect="equal", adjustable="datalim")
    ax.set(**axes)
    if legend and len(points) > 1:
        ax.legend()
    return ax.figure


def _check_cloud(name: str, sample: np.ndarray, contours: bool) -> None:
    if not np.isfinite(sample).all():
        raise ConfigError(f"points of '{name}' are not finite")
    if contours and np.linalg.matrix_rank(sample - sample.mean(axis=0)) < 2:
        raise ConfigError(f"the points of '{name}' lie on a line; pass contours=False")
