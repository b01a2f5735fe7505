"""The figures of ablations and sweeps show the tables that they are given."""

from __future__ import annotations

from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex

from gensr_lib.errors import ConfigError
from gensr_lib.show import plots, sweep_plots
from gensr_lib.training.metrics import METRICS

TASKS = ("rec", "src")


@pytest.fixture(autouse=True)
def style():
    """The style of the book, and matplotlib's own again after each test."""
    with mpl.rc_context():
        plots.use_style()
        yield


def runs(variants=("full", "b", "rec only"), seeds=(2, 0, 1), without=(("rec only", "src"),)) -> pd.DataFrame:
    """A table of seed_means in which every value is another one, between 0.4 and 0.8."""
    names = [(v, t, m, s) for v in variants for t in TASKS for m in METRICS for s in seeds if (v, t) not in without]
    table = pd.DataFrame(names, columns=["variant", "task", "metric", "seed"])
    return table.assign(value=np.random.default_rng(0).permutation(np.linspace(0.4, 0.8, len(table))))


def summarised(table: pd.DataFrame) -> pd.DataFrame:
    groups = table.groupby(["variant", "task", "metric"], sort=False)["value"]
    return groups.agg(mean="mean", sd="std", seeds="count").reset_index().assign(rows=50)


def compared(p_holm=(0.01, 0.05, 0.9)) -> pd.DataFrame:
    table = pd.DataFrame({"task": ["rec", "rec", "src"], "variant": ["b", "c", "b"], "metric": "N@10"})
    table = table.assign(reference="full", difference=[-0.1, 0.02, 0.0], p_holm=p_holm)
    table = pd.concat([table, table.assign(metric="R@5", difference=0.3)], ignore_index=True)
    return table.assign(low=table["difference"] - 0.03, high=table["difference"] + 0.05)


def swept(seeds=(0, 1, 2)) -> tuple[pd.DataFrame, dict[str, float]]:
    values = {"tau=10": 10.0, "tau=2": 2.0, "tau=0.1": 0.1}  # neither in order, nor in that of their names
    return runs(tuple(values), seeds, without=()), values


def bars_of(variants=("full", "b", "rec only"), **options):
    table = runs(variants)
    return table, sweep_plots.ablation_bars(summarised(table), table, **options)


def sweep_of(**options):
    table, values = swept()
    return table, sweep_plots.sensitivity(summarised(table), values, "τ", by_seed=table, **options)


def legend(fig) -> list[str]:
    return [text.get_text() for text in fig.legends[0].get_texts()]


def dots(ax) -> list[np.ndarray]:
    return [c.get_offsets().filled(np.nan) for c in ax.collections if isinstance(c, PathCollection)]


ALL = {
    "bars": lambda: bars_of()[1],
    "differences": lambda: sweep_plots.difference_intervals(compared(), "N@10"),
    "sensitivity": lambda: sweep_of(reference=0.1, axis="log")[1],
}


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_saving_twice_gives_equal_bytes_and_no_figure_stays_open(tmp_path, make):
    first, again = (plots.save_figure(make(), name, tmp_path).read_bytes() for name in "ab")
    assert first == again
    assert plt.get_fignums() == []
    assert make().get_figwidth() == 7.5


# ---- ablations ---------------------------------------------------------------------------------


def test_ablation_bars_have_the_height_of_the_mean_and_stand_in_groups():
    table, fig = bars_of()
    means = summarised(table).set_index(["task", "variant", "metric"])["mean"]
    assert [ax.get_title() for ax in fig.axes] == ["recommendation", "search"]
    for ax, task in zip(fig.axes, TASKS, strict=True):
        for container, variant in zip(ax.containers[::2], ["full", "b", "rec only"], strict=True):
            for place, (bar, metric) in enumerate(zip(container, METRICS, strict=True)):
                assert np.array_equal(bar.get_height(), means.get((task, variant, metric), np.nan), equal_nan=True)
                assert abs(bar.get_x() + bar.get_width() / 2 - place) < 0.41  # in its group
        ends = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches)
        assert all(a[1] <= b[0] + 1e-9 for a, b in pairwise(ends))  # no bar on another
        assert [t.get_text() for t in ax.get_xticklabels()] == list(METRICS)
        assert list(ax.get_xticks()) == [0, 1, 2, 3]
    assert legend(fig) == ["full", "b", "rec only"]


def test_ablation_bars_show_the_spread_over_seeds_and_each_seed_inside_its_bar():
    table, fig = bars_of()
    spread = summarised(table).set_index(["task", "variant", "metric"]).sort_index()
    ax = fig.axes[0]
    whiskers = [c for c in ax.collections if isinstance(c, LineCollection)]
    for number, variant in enumerate(["full", "b", "rec only"]):
        row = spread.loc[("rec", variant)].loc[list(METRICS)]
        ends = np.array([segment[:, 1] for segment in whiskers[number].get_segments()])
        np.testing.assert_allclose(ends, np.c_[row["mean"] - row["sd"], row["mean"] + row["sd"]])
        drawn = dots(ax)[number].reshape(len(METRICS), 3, 2)
        own = table[(table["task"] == "rec") & (table["variant"] == variant)]
        expected = own.pivot(index="metric", columns="seed", values="value").loc[list(METRICS), [0, 1, 2]]
        np.testing.assert_allclose(drawn[:, :, 1], expected)
        for bar, x in zip(ax.containers[2 * number], drawn[:, :, 0], strict=True):
            assert bar.get_x() < x[0] < x[1] < x[2] < bar.get_x() + bar.get_width()


def test_ablation_bars_leave_a_gap_where_a_variant_does_not_serve():
    _, fig = bars_of()
    rec, src = fig.axes
    assert np.isnan([bar.get_height() for bar in src.containers[4]]).all()
    assert np.isnan(dots(src)[2][:, 1]).all()
    assert [b.get_x() for b in rec.patches] == [b.get_x() for b in src.patches]


def test_the_axis_of_bars_begins_below_everything_and_says_so():
    table, fig = bars_of()
    for ax in fig.axes:
        begin = ax.get_ylim()[0]
        heights = [b.get_height() for b in ax.patches]
        assert 0 < begin < min(table["value"]) < np.nanmin(heights) < np.nanmax(heights) < ax.get_ylim()[1]
        assert ax.get_ylabel() == f"value (axis begins at {begin:g})" and len(f"{begin:g}") <= 4
    for ax in bars_of(from_zero=True)[1].axes:
        assert (ax.get_ylim()[0], ax.get_ylabel()) == (0, "value")


@pytest.mark.parametrize(
    ("mean", "sd", "dot", "begin"),
    [
        ([0.83, 0.85], [0.01, 0.01], [0.82, 0.86], 0.81),  # lowest 0.82, spread 0.03, margin 0.003
        ([0.83, 0.85], [0.03, 0.01], [0.82, 0.86], 0.79),  # the error bar reaches lower than the dots
        ([0.83, 0.85], [0.01, 0.01], [0.77, 0.86], 0.76),  # a dot reaches lower than the error bars
        ([0.1, 0.85], [np.nan, np.nan], [0.1, 0.85], 0.0),
        ([0.5, 0.5], [0, 0], [0.5, 0.5], 0.49),
        ([0.001, 0.002], [0.002, 0], [0.001, 0.002], 0.0),  # never negative
    ],
)  # fmt: skip
def test_where_the_axis_begins(mean, sd, dot, begin):
    names = {"variant": ["a", "b"], "task": "rec", "metric": "R@5"}
    fig = sweep_plots.ablation_bars(
        pd.DataFrame({**names, "mean": mean, "sd": sd}),
        pd.DataFrame({**names, "seed": 0, "value": dot}),
        metrics=["R@5"],
    )
    assert fig.axes[0].get_ylim()[0] == begin
    assert ("begins" in fig.axes[0].get_ylabel()) == (begin > 0)


def test_ablation_bars_without_dots_with_one_seed_and_with_chosen_panels():
    table = runs(seeds=(4,))
    fig = sweep_plots.ablation_bars(summarised(table), tasks=["src", "rec"], metrics=["N@5"])
    assert [ax.get_title() for ax in fig.axes] == ["search", "recommendation"]
    assert all(np.isnan(d).all() or len(d) == 0 for ax in fig.axes for d in dots(ax))
    assert fig.axes[1].patches[0].get_height() == table["value"][table["metric"] == "N@5"].iloc[0]
    one_task = sweep_plots.ablation_bars(summarised(table[table["task"] == "rec"]))
    assert [ax.get_title() for ax in one_task.axes] == ["recommendation"]


def test_six_variants_are_told_apart_and_a_long_legend_reads_from_left_to_right():
    names = [f"without the part number {i}" for i in range(6)]
    _, fig = bars_of(tuple(names))
    faces = [c[0] for c in fig.axes[0].containers[::2]]
    assert len({to_hex(bar.get_facecolor()) for bar in faces}) == 6
    assert all(a.get_hatch() != b.get_hatch() for a, b in pairwise(faces))
    grey = [luminance(bar) for bar in faces]
    assert grey == sorted(grey)
    fig.draw_without_rendering()
    box = fig.legends[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= fig.bbox.x1
    at = {t.get_text(): t.get_window_extent() for t in fig.legends[0].get_texts()}
    assert sorted(names, key=lambda n: (-round(at[n].y0), at[n].x0)) == names


def luminance(bar) -> float:
    return float(np.dot(bar.get_facecolor()[:3], [0.299, 0.587, 0.114]))


# ---- differences -------------------------------------------------------------------------------


def test_differences_with_intervals_are_filled_where_they_are_significant():
    fig = sweep_plots.difference_intervals(compared(), "N@10")
    rec, src = fig.axes
    assert [ax.get_title() for ax in fig.axes] == ["recommendation", "search"]
    assert [t.get_text() for t in rec.get_yticklabels()] == ["b", "c"]
    assert [t.get_text() for t in src.get_yticklabels() if t.get_visible()] == []  # the left panel's serve both
    drawn, hollow = rec.get_lines()[0], rec.get_lines()[-1]
    assert list(drawn.get_xdata()) == [-0.1, 0.02]
    assert (list(hollow.get_xdata()), list(hollow.get_ydata())) == ([0.02], [1])  # 0.05 is not below 0.05
    assert (hollow.get_markerfacecolor(), drawn.get_markerfacecolor()) == ("white", plots.TASK_COLOURS["rec"])
    (whiskers,) = [c for c in rec.collections if isinstance(c, LineCollection)]
    ends = [segment[:, 0] for segment in whiskers.get_segments()]
    np.testing.assert_allclose(ends, [[-0.13, -0.05], [-0.01, 0.07]])
    assert [line.get_label() for line in rec.get_lines() if list(line.get_xdata()) == [0, 0]] == ["no difference"]
    assert list(src.get_lines()[-1].get_ydata()) == [0]
    assert src.get_lines()[-1].get_color() == plots.TASK_COLOURS["src"]
    assert legend(fig) == ["p < 0.05 (Holm)", "p ≥ 0.05"]
    assert rec.get_xlabel() == "N@10, difference from full"


def test_a_variant_that_is_not_compared_in_a_task_is_said_to():
    rec, src = sweep_plots.difference_intervals(compared(), "N@10").axes
    assert [t.get_text() for t in rec.texts] == []
    assert [(t.get_text(), t.xy) for t in src.texts] == [("not compared", (0, 1))]
    (only,) = sweep_plots.difference_intervals(compared(), "N@10", tasks=["src"]).axes
    assert only.get_title() == "search"


# ---- sensitivity -------------------------------------------------------------------------------


def test_sensitivity_draws_means_bands_and_dots_at_the_values_of_the_option():
    table, fig = sweep_of(metrics=("N@5", "R@10"), reference=0.1, axis="log")
    order = ["tau=0.1", "tau=2", "tau=10"]  # by value
    for ax, task in zip(fig.axes, TASKS, strict=True):
        spread = summarised(table[table["task"] == task]).set_index(["metric", "variant"])
        for number, metric in enumerate(("N@5", "R@10")):
            row, line, band = spread.loc[metric].loc[order], ax.get_lines()[number], ax.collections[number]
            assert list(line.get_xdata()) == [0.1, 2, 10]
            np.testing.assert_array_equal(line.get_ydata(), row["mean"])
            corners = band.get_paths()[0].vertices
            for x, low, high in zip([0.1, 2, 10], row["mean"] - row["sd"], row["mean"] + row["sd"], strict=True):
                assert {low, high} <= set(corners[corners[:, 0] == x, 1])
            assert (
                to_hex(band.get_facecolor()[0])
                == to_hex(line.get_color())
                not in map(str.lower, plots.TASK_COLOURS.values())
            )
            own = table[(table["task"] == task) & (table["metric"] == metric)]
            expected = {(float(name[4:]), value) for name, value in zip(own["variant"], own["value"], strict=True)}
            assert set(map(tuple, dots(ax)[number])) == expected
        assert ax.get_lines()[-1].get_xdata() == [0.1, 0.1]
        assert (ax.get_xscale(), ax.get_xlabel(), ax.get_ylabel()) == ("log", "τ", "value")
        assert [t.get_text() for t in ax.get_xticklabels()] == ["0.1", "2", "10"]
        assert list(ax.get_xticks()) == [0.1, 2, 10] and list(ax.get_xticks(minor=True)) == []
    assert legend(fig) == ["N@5", "R@10", "default (0.1)"]


def test_sensitivity_of_one_metric_one_seed_and_some_variants():
    table, values = swept(seeds=(0,))
    del values["tau=10"]
    fig = sweep_plots.sensitivity(summarised(table[table["task"] == "src"]), values, "τ", ["N@10"])
    (ax,) = fig.axes
    assert (ax.get_title(), ax.get_ylabel(), ax.get_xscale()) == ("search", "N@10", "linear")
    assert list(ax.get_lines()[0].get_xdata()) == [0.1, 2]
    assert len(ax.get_lines()) == 1 and sum(map(len, dots(ax))) == 0
    corners = ax.collections[0].get_paths()[0].vertices
    assert set(corners[:, 1]) == set(ax.get_lines()[0].get_ydata())  # no spread is known: the band is the line


def test_sensitivity_has_no_panel_for_a_task_that_only_other_variants_serve():
    table, values = swept()
    others = summarised(runs(("other",), without=()))
    of_sweep = summarised(table[table["task"] == "rec"])
    fig = sweep_plots.sensitivity(pd.concat([of_sweep, others]), values, "τ")
    assert [ax.get_title() for ax in fig.axes] == ["recommendation"]


# ---- errors ------------------------------------------------------------------------------------


def refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_more_bars_than_can_be_told_apart_are_refused():
    refused(lambda: bars_of(tuple("abcdefg")), "bars of 7 variants .* at most 6")


@pytest.mark.parametrize(
    "draw",
    [
        lambda **options: sweep_plots.ablation_bars(summarised(runs()), **options),
        lambda **options: sweep_of(**options),
        lambda tasks=TASKS, metrics=("N@10",): sweep_plots.difference_intervals(compared(), *metrics, tasks=tasks),
    ],
)
def test_unknown_tasks_and_metrics_are_refused(draw):
    refused(lambda: draw(tasks=["recs"]), "unknown task 'recs'; did you mean 'rec'")
    refused(lambda: draw(metrics=["N@100"]), "unknown metric 'N@100'; did you mean 'N@10'")


def test_a_task_without_rows_is_refused():
    table = summarised(runs(("rec only",)))
    refused(lambda: sweep_plots.ablation_bars(table, tasks=["src"]), r"no rows of the tasks \['src'\]")


@pytest.mark.parametrize(
    ("values", "axis", "message"),
    [
        ({"tau=3": 3}, "linear", "unknown variant 'tau=3'; did you mean 'tau="),
        ({"tau=2": 1, "tau=0.1": 1}, "even", "variants 'tau=2' and 'tau=0.1' both have the value 1"),
        ({"tau=2": 0}, "log", "the value 0 of 'tau=2' has no place on a logarithmic axis"),
        ({"tau=2": np.nan}, "linear", "the value nan of 'tau=2' has no place on an axis"),
        ({"tau=2": 2}, "logarithmic", "unknown axis 'logarithmic'"),
    ],
)
def test_values_that_cannot_be_drawn_are_refused(values, axis, message):
    table, _ = swept()
    refused(lambda: sweep_plots.sensitivity(summarised(table), values, "τ", axis=axis), message)


def test_the_default_has_to_fit_the_axis():
    refused(
        lambda: sweep_of(reference=0.0, axis="log"), "the value 0.0 of 'reference' has no place on a logarithmic axis"
    )


def test_equal_steps_between_values():
    """Places 0, 1, 2, …; the reference stands between the values that it lies between."""
    table, fig = sweep_of(metrics=["N@5"], reference=1.05, axis="even")
    ax = fig.axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.1", "2", "10"] and list(ax.get_xticks()) == [0, 1, 2]
    mean, default = ax.get_lines()
    assert list(mean.get_xdata()) == [0, 1, 2]
    assert default.get_xdata()[0] == pytest.approx(0.5), "half way from 0.1 to 2"
    own = table[(table["task"] == "rec") & (table["metric"] == "N@5")]
    place = own["variant"].map({"tau=0.1": 0, "tau=2": 1, "tau=10": 2})
    assert set(map(tuple, dots(ax)[0])) == set(zip(place, own["value"], strict=True))
