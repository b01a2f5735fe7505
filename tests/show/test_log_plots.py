"""The figure of a plateau shows both curves, both references, and what is shaded."""

from __future__ import annotations

import pandas as pd

from gensr_lib.show import log_plots, plots

LOSS = pd.Series([0.7, 0.5, 0.5, 0.2], [0.5, 1.5, 2.5, 3.5], name="loss")
HITS = pd.Series([0.05, 0.06, 0.9], [1.0, 2.0, 4.5], name="hits")


def figure():
    references = {"base_rate": ("base rate", 0.5), "chance": ("chance", 0.05)}
    return log_plots.plateau(LOSS, HITS, **references, until=2, note="flat")


def test_each_panel_has_its_curve_and_its_reference_with_a_label():
    for ax, curve, label, height in zip(figure().axes, (LOSS, HITS), ("base rate", "chance"), (0.5, 0.05), strict=True):
        drawn, reference = ax.get_lines()
        assert drawn.get_xdata().tolist() == curve.index.tolist()
        assert drawn.get_ydata().tolist() == curve.tolist()
        assert drawn.get_color() not in plots.TASK_COLOURS.values(), "both tasks together"
        assert set(reference.get_ydata()) == {height} and ax.get_ylabel() == curve.name
        assert label in [text.get_text() for text in ax.texts]


def test_the_plateau_is_shaded_in_both_panels_and_named_once():
    axes = figure().axes
    for ax in axes:
        (shade,) = ax.patches
        assert (shade.get_x(), shade.get_x() + shade.get_width()) == (0, 2)
    assert ["flat" in [text.get_text() for text in ax.texts] for ax in axes] == [True, False]


def test_the_axis_of_epochs_has_a_tick_at_each_and_holds_both_curves():
    axes = figure().axes
    assert axes[1].get_xlim() == axes[0].get_xlim() == (0, 5)
    assert {0, 1, 2, 3, 4, 5} == {tick for tick in axes[1].get_xticks() if 0 <= tick <= 5}


def test_equal_figures_are_equal_files(tmp_path):
    files = [plots.save_figure(figure(), name, tmp_path) for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()
