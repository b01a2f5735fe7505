"""Small panels of many models: each has its own values on common axes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gensr_lib.show import plots, side_by_side

CURVES = {f"model {n}": pd.Series([0.1 * n, np.nan, 0.3], [1, 2, 3]) for n in range(7)}
MATRICES = {"one": np.eye(3), "two": np.tril(np.ones((3, 3))) / 2}


def curves(n: int = 7):
    chosen = dict(list(CURVES.items())[:n])
    return side_by_side.curves(chosen, "epoch", "N@5", marks=dict.fromkeys(chosen, 3) | {"model 0": 0})


def matrices():
    return side_by_side.matrices(MATRICES, "click", "state", "share")


@pytest.mark.parametrize("n", [1, 5, 7])
def test_each_curve_has_a_panel_with_its_mark_and_the_rest_stays_empty(n):
    axes = curves(n).axes
    shown = [ax for ax in axes if ax.get_visible()]
    assert [ax.get_title() for ax in shown] == list(CURVES)[:n]
    assert len(axes) % min(n, side_by_side.IN_A_ROW) == 0
    for number, (ax, curve) in enumerate(zip(shown, CURVES.values(), strict=False)):
        drawn, *mark = ax.get_lines()
        assert drawn.get_xdata().tolist() == [1, 3] and drawn.get_ydata().tolist() == curve.dropna().tolist()
        assert [line.get_xdata() for line in mark] == ([[3, 3]] if number else [])
    assert len({ax.get_ylim() for ax in shown}) == 1


def test_each_matrix_is_drawn_on_one_scale_and_counted_from_one():
    *panels, bar = matrices().axes
    for ax, table in zip(panels, MATRICES.values(), strict=True):
        (picture,) = ax.get_images()
        shown = picture.get_array()
        assert np.array_equal(shown.mask, table == 0) and np.array_equal(shown.filled(0), table)
        assert picture.get_clim() == (side_by_side.LEAST, 1)
        assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "2", "3"]
    assert panels[0].get_ylabel() == "state" and bar.get_ylim() == pytest.approx((side_by_side.LEAST, 1))


ORDERS = {
    "rec": pd.DataFrame({"theirs": [0.3, 0.1, 0.2], "ours": [0.5, 0.4, 0.9]}, index=["a", "b", "c"]),
    "src": pd.DataFrame({"theirs": [0.1, 0.2], "ours": [0.1, 0.2]}, index=["a", "c"]),
}


def orders():
    return side_by_side.orders(ORDERS, "place in the paper", "place here")


def test_the_best_of_both_orders_is_at_the_top_right():
    for ax, table in zip((fig := orders()).axes, ORDERS.values(), strict=True):
        drawn = dict(zip(table.index, ax.collections[0].get_offsets().tolist(), strict=True))
        assert [text.get_text() for text in ax.texts] == list(table.index)
        assert ax.xaxis_inverted() and ax.yaxis_inverted()
        assert drawn["c"] == ([2, 1] if len(table) == 3 else [1, 1])
    assert fig.axes[0].get_ylabel() == "place here"


@pytest.mark.parametrize("make", [curves, matrices, orders])
def test_equal_figures_are_equal_files(tmp_path, make):
    files = [plots.save_figure(make(), name, tmp_path) for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()
