"""The figures of arms show the tables that they are given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from gensr_lib.errors import ConfigError
from gensr_lib.show import arm_plots, plots
from gensr_lib.training.metrics import METRICS

TASKS = ("rec", "src")
VARIANTS = ("search only", "full", "b")
TAUS = {"tau=10": 10.0, "tau=2": 2.0, "tau=0.1": 0.1}  # neither in order, nor as their names


def runs(variants=VARIANTS, seeds=(2, 0, 1), without=(("search only", "rec"),)) -> pd.DataFrame:
    """A table of arms in which every value is another one, between 0.4 and 0.8."""
    names = pd.MultiIndex.from_product([variants, TASKS, METRICS, seeds])
    table = pd.DataFrame(list(names), columns=["variant", "task", "metric", "seed"])
    table = table[[pair not in without for pair in zip(table["variant"], table["task"], strict=True)]]
    values = np.linspace(0.4, 0.8, len(table))
    return table.assign(value=np.random.default_rng(0).permutation(values))


def sensitivity(**options):
    table = runs(tuple(TAUS), without=())
    return table, arm_plots.sensitivity(table, TAUS, "τ", **options)


def dots(ax) -> np.ndarray:
    """(n, 2) all dots of a panel."""
    drawn = [c.get_offsets() for c in ax.collections if isinstance(c, PathCollection)]
    return np.concatenate(drawn)


def texts(artists) -> list[str]:
    return [artist.get_text() for artist in artists]


@pytest.mark.parametrize(
    "make",
    [
        lambda: arm_plots.ablations(runs()),
        lambda: sensitivity(reference=0.1, axis="log")[1],
    ],
)
def test_equal_figures_are_equal_files(tmp_path, make):
    first, again = (plots.save_figure(make(), name, tmp_path).read_bytes() for name in "ab")
    assert first == again


# --- ablations --------------------------------------------------------------------------------


def test_ablations_are_means_with_their_spread_and_a_dot_per_seed():
    table = runs()
    fig = arm_plots.ablations(table)
    assert [ax.get_title() for ax in fig.axes] == ["recommendation", "search"]
    assert texts(fig.axes[0].get_yticklabels()) == list(VARIANTS)
    assert texts(fig.legends[0].get_texts()) == list(METRICS)
    for ax, task in zip(fig.axes, TASKS, strict=True):
        own = table[table["task"] == task].groupby(["variant", "metric"])["value"]
        seen = 0
        for metric, points in zip(METRICS, ax.containers, strict=True):
            (segments,) = (bars.get_segments() for bars in points.lines[2])
            for x, y, ends in zip(*points.lines[0].get_data(), segments, strict=True):
                if np.isnan(x):
                    continue
                values = own.get_group((VARIANTS[round(y)], metric))
                assert x == pytest.approx(values.mean()) and abs(y - round(y)) < 0.5
                assert ends[:, 0] == pytest.approx([x - values.std(), x + values.std()])
                single = ax.get_lines()[-1]
                assert sorted(single.get_xdata()[single.get_ydata() == y]) == pytest.approx(sorted(values))
                seen += 1
        assert seen == len(own)


def test_ablations_of_chosen_panels_and_one_seed():
    table = runs(("a", "b"), seeds=(4,), without=())
    fig = arm_plots.ablations(table, tasks=["src", "rec"], metrics=["N@5"])
    assert [ax.get_title() for ax in fig.axes] == ["search", "recommendation"]
    expected = table.query("metric == 'N@5' and task == 'rec'")["value"].tolist()
    points = fig.axes[1].containers[0].lines[0]
    assert points.get_xdata().tolist() == pytest.approx(expected) and list(points.get_ydata()) == [0, 1]


# --- differences ------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", arm_plots.AXES)
def test_sensitivity_draws_means_bands_and_dots_at_the_values_of_the_option(axis):
    table, fig = sensitivity(metrics=("N@5", "R@10"), reference=1.05, axis=axis)
    even = axis == "even"
    places = dict(zip(sorted(TAUS.values()), range(3) if even else sorted(TAUS.values()), strict=True))
    for ax, task in zip(fig.axes, TASKS, strict=True):
        own = table[(table["task"] == task) & table["metric"].isin(["N@5", "R@10"])]
        own = own.assign(x=own["variant"].map(TAUS).map(places))
        bands = [c for c in ax.collections if not isinstance(c, PathCollection)]
        for metric, line, band in zip(("N@5", "R@10"), ax.get_lines(), bands, strict=False):
            runs = own[own["metric"] == metric].groupby("x")["value"]
            assert list(line.get_xdata()) == list(places.values())
            np.testing.assert_allclose(line.get_ydata(), runs.mean())
            corners = band.get_paths()[0].vertices
            for x, values in runs:
                ends = corners[corners[:, 0] == x, 1]
                spread = [values.mean() - values.std(), values.mean() + values.std()]
                assert [ends.min(), ends.max()] == pytest.approx(spread)
            assert to_hex(line.get_color()).upper() not in plots.TASK_COLOURS.values()
        assert set(map(tuple, dots(ax))) == set(zip(own["x"], own["value"], strict=True))
        default = ax.get_lines()[-1].get_xdata()[0]
        assert default == pytest.approx(0.5 if even else 1.05), "half way from 0.1 to 2"
        assert ax.get_xscale() == ("log" if axis == "log" else "linear")
        assert texts(ax.get_xticklabels()) == ["0.1", "2", "10"]
        assert list(ax.get_xticks()) == list(places.values())
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("τ", "metric")
    assert texts(fig.legends[0].get_texts()) == ["N@5", "R@10", "default (1.05)"]


def test_flat_looks_flat_beside_a_steep_panel_and_the_default_is_a_line_across():
    table = runs((*TAUS, "other"), (0, 1))
    rec = table["task"] == "rec"
    table.loc[rec, "value"] = 0.5 + 0.001 * table.loc[rec, "value"]
    figure = arm_plots.sensitivity(table, TAUS, "τ", ["N@10"], levels={"rec": 0.5, "src": 0.25})
    spans = [np.ptp(ax.get_ylim()) for ax in figure.axes]
    assert spans[0] == pytest.approx(spans[1]) and spans[0] > 10 * np.ptp(table.loc[rec, "value"])
    for ax, level in zip(figure.axes, (0.5, 0.25), strict=True):
        assert list(ax.get_lines()[-1].get_ydata()) == [level, level]
    assert texts(figure.legends[0].get_texts()) == ["N@10", "the default"]


def test_sensitivity_of_one_metric_one_seed_and_the_tasks_that_its_variants_serve():
    table = runs((*TAUS, "other"), (0,), without=[(name, "rec") for name in TAUS])
    (ax,) = arm_plots.sensitivity(table, TAUS, "τ", ["N@10"]).axes
    assert (ax.get_title(), ax.get_ylabel()) == ("search", "N@10")
    assert len(dots(ax)) == 3
    (ax,) = arm_plots.sensitivity(table, TAUS, "τ", ["N@5", "N@10"]).axes
    assert ax.get_ylabel() == "NDCG"


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: arm_plots.ablations(runs(), tasks=["recs"]), "did you mean 'rec'"),
        (lambda: arm_plots.ablations(runs(), metrics=["N@100"]), "did you mean 'N@10'"),
        (lambda: arm_plots.ablations(runs(VARIANTS[:1]), tasks=["rec"]), "no rows"),
        (lambda: arm_plots.sensitivity(runs(), {"ful": 3}, "τ"), "did you mean 'full'"),
        (lambda: arm_plots.sensitivity(runs(), {"full": 1, "b": 1}, "τ"), "same value"),
        (lambda: sensitivity(reference=0.0, axis="log"), "logarithmic"),
        (lambda: sensitivity(axis="logarithmic"), "unknown axis"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, message):
    with pytest.raises(ConfigError, match=message):
        draw()
