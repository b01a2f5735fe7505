"""Figures of studies: every mechanism has its place, ceilings are marked, chance is hollow."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gensr_lib.errors import ConfigError
from gensr_lib.experiments.studies.effects import mean_effects
from gensr_lib.show import study_plots

PARTS = {"angle=0": 0.0, "angle=30": 30.0, "angle=90": 90.0}


def worlds(share: float, mechanisms=("filter", "history"), tasks=("rec", "src")) -> pd.DataFrame:
    """Effects in five worlds that grow with the dose."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [
            (part, mechanism, task, seed, share * dose / 900 + 0.002 * rng.standard_normal())
            for part, dose in PARTS.items()
            for mechanism in mechanisms
            for task in tasks
            for seed in range(5)
        ],
        columns=["part", "mechanism", "task", "seed", "effect"],
    )


@pytest.fixture(scope="module")
def found():
    return mean_effects(worlds(0.5))


@pytest.fixture(scope="module")
def ceilings():
    return mean_effects(worlds(1.0))


def test_effects_stand_beside_their_ceilings_and_chance_is_hollow(found, ceilings):
    at = "angle=0"
    figure = study_plots.beside_ceilings(found.loc[at], ceilings.loc[at], "difference")
    assert [ax.get_title() for ax in figure.axes] == ["recommendation", "search"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["filter", "history"]
    for ax, task in zip(figure.axes, ("rec", "src"), strict=True):
        marks = [line for line in ax.lines if line.get_marker() == "D"]
        assert marks[0].get_xdata().tolist() == ceilings.loc[at]["effect"].xs(task, level="task").tolist()
        hollow = next(line for line in ax.lines if line.get_markerfacecolor() == "white")
        assert len(hollow.get_xdata()) == (found.loc[at].xs(task, level="task")["p_holm"] >= 0.05).sum()
    assert study_plots.beside_ceilings(found.loc["angle=90"], None, "difference").axes
    with pytest.raises(ConfigError, match="no effect to draw"):
        study_plots.beside_ceilings(found.loc["angle=0"].iloc[:0], None, "x")


def test_a_dial_is_a_panel_and_a_mechanism_a_line(found, ceilings):
    labels = {part: f"{value:g}°" for part, value in PARTS.items()}
    doses = {"angle": labels, "other": {"angle=0": "0", "missing": "1"}}
    figure = study_plots.dose_response(found, ceilings, doses)
    assert [ax.get_title() for ax in figure.axes if ax.get_visible()] == ["angle"] * 2
    ax = figure.axes[0]
    assert len(ax.containers) == 2, "two tasks"
    drawn = ax.containers[0].lines[0]
    at = [(part, "filter", "rec") for part in PARTS]
    assert drawn.get_xdata().tolist() == ceilings.loc[at, "effect"].tolist()
    assert drawn.get_ydata().tolist() == found.loc[at, "effect"].tolist()
    assert [text.get_text() for text in ax.texts] == [f"filter; {', '.join(labels.values())}"]
    sizes = ax.collections[-1].get_sizes()
    assert len(sizes) == len(PARTS) and np.all(np.diff(sizes) > 0)
    with pytest.raises(ConfigError, match="no dial"):
        study_plots.dose_response(found, ceilings, {"other": {"missing": "1"}})


def test_an_effect_is_drawn_over_its_dial(found, ceilings):
    of_one = [table.xs("filter", level="mechanism") for table in (found, ceilings)]
    figure = study_plots.over_doses(of_one[0], PARTS, "degrees", "difference", of_one[1])
    for ax, task in zip(figure.axes, ("rec", "src"), strict=True):
        assert ax.containers[0].lines[0].get_xdata().tolist() == [0, 30, 90]
        assert ax.containers[0].lines[0].get_ydata().tolist() == of_one[0].xs(task, level="task")["effect"].tolist()
        dashed = next(line for line in ax.lines if line.get_linestyle() == "--")
        assert dashed.get_ydata().tolist() == of_one[1].xs(task, level="task")["effect"].tolist()
