"""Each figure shows what it is given, and equal figures are equal files."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.contour import ContourSet
from matplotlib.path import Path as Outline

from gensr_lib.errors import ConfigError
from gensr_lib.show import plots
from gensr_lib.show.style import INK, look_of

RATES = 1 / np.arange(1, 5)


def history(tasks=("rec", "src")) -> pd.DataFrame:
    table = pd.DataFrame({"epoch": [1, 2, 3, 4], "seconds": 1.0})
    for number, task in enumerate(tasks):
        table[f"{task} generation"] = RATES + number
        table[f"{task} contrastive"] = RATES * 2 + number
        table[f"valid {task} N@5"] = [np.nan, 0.3, np.nan, 0.4 + number]
    return table


def results(systems=("popularity", "gensr", "oracle"), tasks=("rec", "src")) -> pd.DataFrame:
    columns = pd.MultiIndex.from_product([tasks, ["N@5", "N@10"]])
    values = np.linspace(0.1, 0.9, len(systems) * len(columns)).reshape(len(systems), -1)
    return pd.DataFrame(values, systems, columns)


def heatmap(n_candidates: int = 2, n: int = 4, **changes):
    given = {
        "weights": np.arange(n_candidates * n).reshape(n_candidates, n) / 10,
        "candidates": [f"candidate {i}" for i in range(n_candidates)],
        "history": [f"item {i}" for i in range(n)],
        "behaviors": ["rec", "src"] * (n // 2),
    }
    return plots.weights_heatmap(**{**given, **changes})


def two_clouds(n: int = 400) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"rec": rng.normal(size=(n, 2)), "src": rng.normal(size=(n, 2)) * [3, 1] + 4}


def means() -> pd.DataFrame:
    return pd.DataFrame({"rec": [3.0, 2.0, 1.0], "mine": [1.0, np.nan, 2.0]}, index=[10, 100, 1000])


def estimates() -> pd.DataFrame:
    table = pd.DataFrame({"mean": [0.3, 0.5, 0.4], "low": [0.1, 0.4, 0.4]}, ["a", "b", "c"])
    return table.assign(high=[0.4, 0.9, 0.4], group=["rec", "src", "rec"])


ALL = {
    "lines": lambda: plots.lines(pd.DataFrame({"rec": [1, 2], "src": [2, 3]}), "x", "y"),
    "training_curves": lambda: plots.training_curves(history(), best_epoch=2),
    "system_bars": lambda: plots.system_bars(results(), "N@10", errors=results() * 0.1),
    "ecdf": lambda: plots.distributions({"rec": [1, 2, 2], "src": [3, 4]}, "x"),
    "hist": lambda: plots.distributions({"rec": [1, 2], "src": [3, 4]}, "x", kind="hist", bins=4),
    "heatmap": heatmap,
    "clouds": lambda: plots.clouds(two_clouds(), xlabel="x", ylabel="y"),
    "bands": lambda: plots.bands(means(), means() - 1, means() + 1, "x", "y", logx=True),
    "intervals": lambda: plots.intervals(estimates(), "x", reference={"ceiling": 0.7}),
    "ladders": lambda: plots.ladders({"rec": estimates(), "src": estimates()}, "N@10"),
}


def texts(artists) -> list[str]:
    return [artist.get_text() for artist in artists]


def legend(fig) -> list[str]:
    return texts(fig.legends[0].get_texts()) if fig.legends else []


# --- all of them -----------------------------------------------------------------------------


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_equal_figures_are_equal_files_and_none_stays_open(tmp_path, make):
    fig = make()
    files = [plots.save_figure(fig, "a", tmp_path), plots.save_figure(fig, "b", tmp_path / "deep")]
    files.append(plots.save_figure(make(), "c", tmp_path))
    for kind in (".png", ".svg") + ("_phone.svg",) * (make is not heatmap):
        written = {file.with_name(file.stem + kind).read_bytes() for file in files}
        assert len(written) == 1 and mpl.__version__.encode() not in written.pop()
    assert plt.get_fignums() == []
    written = sorted(p.name for p in tmp_path.rglob("*") if p.is_file())
    kinds = [".png", ".svg", "_phone.svg"][: 2 if make is heatmap else 3]
    assert written == [f"{name}{kind}" for name in "abc" for kind in kinds]


# --- lines and training curves ----------------------------------------------------------------


def test_lines_draws_the_columns_in_the_colours_of_the_tasks_into_a_given_panel():
    table = pd.DataFrame({"other": [3.0, 1.0], "src": [1.0, np.nan], "rec": [0.0, 2.0]}, [10, 20])
    fig, axes = plots.panels(2)
    assert plots.lines(table, "x", "y", ax=axes[1], title="t") is fig and not axes[0].lines
    drawn = axes[1].get_lines()
    assert [line.get_xdata().tolist() for line in drawn] == [[10, 20], [10], [10, 20]]
    assert [line.get_ydata().tolist() for line in drawn] == [[3, 1], [1], [0, 2]]
    colours = [plots.TASK_COLOURS["src"], plots.TASK_COLOURS["rec"]]
    assert [line.get_color() for line in drawn[1:]] == colours
    assert len({line.get_linestyle() for line in drawn}) == 3 and axes[1].get_title() == "t"
    assert texts(axes[1].get_legend().get_texts()) == ["other", "search", "recommendation"]


@pytest.mark.parametrize("tasks", [("src",), ("rec", "src")])
def test_training_curves_has_a_panel_per_term_and_one_for_the_metric(tasks):
    table = history(tasks)
    fig = plots.training_curves(table, best_epoch=2)
    assert [ax.get_title() for ax in fig.axes] == ["generation", "contrastive", "validation"]
    names = ["{} generation", "{} contrastive", "valid {} N@5"]
    for ax, name in zip(fig.axes, names, strict=True):
        for line, task in zip(ax.get_lines(), tasks, strict=False):
            expected = table.set_index("epoch")[name.format(task)].dropna()
            assert line.get_xdata().tolist() == expected.index.tolist()
            assert line.get_ydata().tolist() == expected.tolist()
            assert line.get_marker() == "o", "else a single epoch would not be seen"
    assert fig.axes[-1].get_lines()[-1].get_xdata() == [2, 2]
    assert legend(fig) == [*(plots.TASK_LABELS[task] for task in tasks), "best epoch (2)"]
    losses = table[["epoch", *(f"{task} generation" for task in tasks)]]
    assert [ax.get_title() for ax in plots.training_curves(losses).axes] == ["generation"]


def test_training_curves_names_what_is_missing():
    with pytest.raises(ConfigError, match="did you mean 'valid rec N@5'"):
        plots.training_curves(history(), "N@7")
    with pytest.raises(ConfigError, match="loss term"):
        plots.training_curves(history()[["epoch", "seconds"]])


# --- bars -------------------------------------------------------------------------------------


def test_system_bars_draws_a_bar_per_system_and_a_line_for_the_oracle():
    table = results()
    table.loc["gensr", "src"] = np.nan
    fig = plots.system_bars(table, "N@10")
    for ax, task in zip(fig.axes, ["rec", "src"], strict=True):
        values = table[(task, "N@10")]
        systems = values[["popularity", "gensr"]]
        assert [bar.get_width() for bar in ax.patches] == systems.fillna(0).tolist()
        assert ax.get_lines()[0].get_xdata() == [values["oracle"]] * 2
        said = ["not served" if np.isnan(v) else f"{v:.3f}" for v in systems]
        assert texts(ax.texts) == said
        assert ax.get_xlim()[0] == 0 and ax.get_xlim()[1] > values.max()
        assert to_hex(ax.patches[0].get_facecolor()).upper() == plots.TASK_COLOURS[task]
        assert ax.yaxis_inverted(), "the first system on top"
    assert texts(fig.axes[0].get_yticklabels()) == ["popularity", "GenSR"]
    titles = [ax.get_title() for ax in fig.axes]
    best = table.xs("N@10", axis=1, level=1).loc["oracle"]
    assert all(
        f"(dashed: oracle, {best[task]:.3f})" in title for task, title in zip(("rec", "src"), titles, strict=True)
    )
    assert legend(fig) == [], "the line is named once"


def test_system_bars_of_one_task_with_errors_and_without_the_oracle():
    table = results(("popularity", "gensr"), ("src",))
    (ax,) = plots.system_bars(table, "N@5", errors=table * 0 + 0.02).axes
    assert (len(ax.patches), ax.get_title(), legend(ax.figure)) == (2, "search", [])
    (whiskers,) = [c for c in ax.collections if len(c.get_segments()) == 2]
    lengths = [np.ptp(segment[:, 0]) for segment in whiskers.get_segments()]
    assert np.allclose(lengths, 2 * 0.02)
    with pytest.raises(ConfigError, match="did you mean 'N@10'"):
        plots.system_bars(table, "N@11")


# --- distributions ----------------------------------------------------------------------------


def test_ecdf_has_a_step_per_value():
    ax = plots.distributions({"rec": [1, 1, 3, 4], "src": [2]}, "x").axes[0]
    rec, src = ax.get_lines()
    assert rec.get_ydata()[rec.get_xdata() == 1].max() == 0.5, "two of four values are at most 1"
    assert (rec.get_ydata()[-1], src.get_ydata()[-1]) == (1, 1)
    assert texts(ax.get_legend().get_texts()) == ["recommendation", "search"]
    assert plots.distributions({"src": [1, 2]}, "x").axes[0].get_legend() is None


def test_hist_shows_shares_over_common_bins():
    values, bins = {"a": [0, 0, 1, 1], "b": [1]}, [-0.5, 0.5, 1.5]
    ax = plots.distributions(values, "x", kind="hist", bins=bins).axes[0]
    corners = [{tuple(v) for v in c.get_paths()[0].vertices} for c in ax.collections]
    assert {(-0.5, 0.5), (1.5, 0.5)} <= corners[0] and {(0.5, 1), (1.5, 1)} <= corners[1]
    colours = [to_hex(c.get_edgecolor()[0]) for c in ax.collections]
    assert len(set(colours)) == 2
    with pytest.raises(ConfigError, match="kind"):
        plots.distributions(values, "x", kind="kde")


# --- heatmap ----------------------------------------------------------------------------------


def test_weights_heatmap_labels_rows_and_columns():
    weights = np.array([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]])
    ax = heatmap(weights=weights, title="t").axes[0]
    assert np.array_equal(ax.collections[0].get_array().reshape(2, 4), weights)
    assert ax.yaxis_inverted() and ax.get_title() == "t"
    assert texts(ax.get_yticklabels()) == ["candidate 0", "candidate 1"]
    expected = ["item 0 (rec.)", "item 1 (search)", "item 2 (rec.)", "item 3 (search)"]
    assert texts(ax.get_xticklabels()) == expected
    colours = [plots.TASK_COLOURS[task] for task in ["rec", "src"] * 2]
    assert [t.get_color() for t in ax.get_xticklabels()] == colours
    assert texts(ax.texts) == [f"{w:.2f}" for w in weights.ravel()]
    assert [text.get_color() for text in ax.texts[:5]] == [INK] * 3 + ["white"] * 2, "dark on light, light on dark"


def test_weights_heatmap_leaves_out_numbers_without_room_and_shortens_titles():
    ax = heatmap(5, 40, candidates=["x" * 80] * 5).axes[0]
    assert len(ax.texts) == 0
    assert all(30 < len(t) < 40 and t.endswith("…") for t in texts(ax.get_yticklabels()))
    with pytest.raises(ConfigError, match="do not fit"):
        heatmap(weights=np.ones((3, 4)))


# --- clouds -----------------------------------------------------------------------------------


def contours(ax) -> list[ContourSet]:
    return [c for c in ax.collections if isinstance(c, ContourSet)]


def dots(ax) -> list[np.ndarray]:
    return [c.get_offsets().data for c in ax.collections if not isinstance(c, ContourSet)]


def test_clouds_shows_points_and_tells_the_tasks_apart_in_colour_and_in_grey():
    given = two_clouds(50)
    ax = plots.clouds(given, xlabel="x", title="t").axes[0]
    assert [sorted(map(tuple, d)) for d in dots(ax)] == [sorted(map(tuple, p)) for p in given.values()]
    drawn = [to_hex(c.get_edgecolor()[0]).upper() for c in contours(ax)]
    assert drawn == list(plots.TASK_COLOURS.values())
    handles = ax.get_legend().get_lines()
    assert [(h.get_marker(), h.get_linestyle()) for h in handles] == [("o", "-"), ("x", "--")]
    assert texts(ax.get_legend().get_texts()) == ["recommendation", "search"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("x", "", "t")
    assert ax.get_aspect() == 1
    assert plots.clouds(given, legend=False).axes[0].get_legend() is None


def test_contours_enclose_half_and_nine_tenths_of_the_density():
    """A normal cloud's density is a normal one too, wider by Scott's bandwidth: known ellipses."""
    given = two_clouds(2000)
    wider = 1 + 2000 ** (-1 / 3)
    for sample, drawn in zip(given.values(), contours(plots.clouds(given).axes[0]), strict=True):
        outlines = [Outline(p.vertices, p.codes) for p in drawn.get_paths()]
        shares = [outline.contains_points(sample).mean() for outline in outlines]
        assert shares == pytest.approx([1 - 0.1**wider, 1 - 0.5**wider], abs=0.015)


def test_clouds_shows_at_most_so_many_points_but_contours_of_all():
    given = two_clouds(300)
    few, everything = (plots.clouds(given, max_points=n).axes[0] for n in (20, 300))
    for shown, sample in zip(dots(few), given.values(), strict=True):
        assert len(shown) == 20 and set(map(tuple, shown)) <= set(map(tuple, sample))
    for a, b in zip(contours(few), contours(everything), strict=True):
        assert np.array_equal(a.levels, b.levels)


def test_clouds_that_have_no_contours():
    line = np.arange(12.0).reshape(6, 2)
    ax = plots.clouds({"src": line}, contours=False).axes[0]
    assert (len(dots(ax)), contours(ax)) == (1, [])
    with pytest.raises(ConfigError, match="contours=False"):
        plots.clouds({"rec": line})
    with pytest.raises(ConfigError, match="finite"):
        plots.clouds({"rec": np.full((5, 2), np.nan)})


# --- bands and intervals ----------------------------------------------------------------------


def test_bands_lie_around_their_lines_in_their_colours():
    mean = means()
    axes = plots.panels(2)[1]
    axes[1].plot([10, 1000], [0, 0], color="#123456")  # a line that was there before
    high = mean.add([1, 2, 3], axis=0)
    plots.bands(mean, mean - 0.5, high, "n", "nats", ax=axes[1], title="t", logx=True, legend=False)
    ax = axes[1]
    assert [line.get_ydata().tolist() for line in ax.get_lines()[1:]] == [[3, 2, 1], [1, 2]]
    first, second = ([tuple(v) for v in band.get_paths()[0].vertices] for band in ax.collections)
    assert set(first) == {(10, 2.5), (10, 4), (100, 1.5), (100, 4), (1000, 0.5), (1000, 4)}
    assert {x for x, _ in second} == {10, 1000}, "nothing is drawn where there is no mean"
    colours = [to_hex(line.get_color()) for line in ax.get_lines()[1:]]
    assert [to_hex(band.get_facecolor()[0]) for band in ax.collections] == colours
    assert (ax.get_xscale(), ax.get_title(), ax.get_legend()) == ("log", "t", None)


def test_intervals_has_a_row_each_from_low_to_high():
    ax = plots.intervals(estimates(), "nats", title="t").axes[0]
    segments = [s for c in ax.collections for s in c.get_segments()]
    drawn = {float(s[0, 1]): s[:, 0].tolist() for s in segments}
    for place, (low, high) in enumerate([(0.1, 0.4), (0.4, 0.9), (0.4, 0.4)]):
        assert drawn[place] == pytest.approx([low, high])
    rec, src = (c.lines[0] for c in ax.containers)
    assert (rec.get_xdata().tolist(), list(rec.get_ydata())) == ([0.3, 0.4], [0, 2])
    assert (src.get_xdata().tolist(), list(src.get_ydata())) == ([0.5], [1])
    assert [line.get_color() for line in (rec, src)] == list(plots.TASK_COLOURS.values())
    assert rec.get_marker() != src.get_marker() and ax.get_ylim() == (2.5, -0.5)
    assert texts(ax.get_yticklabels()) == ["a", "b", "c"]
    assert legend(ax.figure) == ["recommendation", "search"]
    plain = plots.intervals(estimates().drop(columns="group"), "x")
    assert legend(plain) == [] and plain.axes[0].get_legend() is None


def test_rows_of_one_name_stand_together_and_are_named_once():
    numbers = pd.DataFrame({"mean": [0.1, 0.2, 0.3], "low": 0.0, "high": 0.5, "group": ["x", "y", "x"]}, list("aab"))
    ax = plots.intervals(numbers, "bits").axes[0]
    x, y = (c.lines[0] for c in ax.containers)
    assert list(x.get_ydata()) == pytest.approx([-0.15, 1]) and list(y.get_ydata()) == pytest.approx([0.15])
    assert texts(ax.get_yticklabels()) == ["a", "b"] and ax.get_ylim() == (1.5, -0.5)
    places = plots.row_places(pd.Index(["a"] * 5 + ["b"] * 2 + [None]))
    assert np.diff(places)[:4].max() < 0.2 < places[5] - places[4] and places[-1] == 2, "names are apart"


def test_ladders_have_the_best_on_top_and_one_look_per_group():
    first = pd.DataFrame({"mean": [0.1, 0.5, 0.3], "low": [0.0, 0.4, 0.2], "high": [0.2, 0.6, 0.4]}, list("abc"))
    rec = first.assign(group=["floors", "oracle", "trained"])
    src = first.drop("c").assign(group=["floors", "oracle"])
    axes = plots.ladders({"rec": rec, "src": src}, "N@10", reference={"half": 0.5}).axes
    assert all(0.5 in ax.lines[-1].get_xdata() for ax in axes)
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["b", "c", "a"]
    assert axes[0].get_ylim()[0] > axes[0].get_ylim()[1], "the first row is on top"
    looks = [{bars.get_label(): bars.lines[0].get_color() for bars in ax.containers} for ax in axes]
    assert looks[0]["oracle"] == looks[1]["oracle"] != looks[0]["floors"]
    drawn = next(bars for bars in axes[0].containers if bars.get_label() == "oracle")
    assert drawn.lines[0].get_xdata(orig=False).tolist() == [0.5]
    (ax,) = plots.ladders({"rec": rec.rename(index={"c": "gensr"})}, "N@10").axes
    assert [label.get_fontweight() == "bold" for label in ax.get_yticklabels()] == [False, True, False]


def test_intervals_draws_a_ceiling_as_a_line_and_a_truth_per_row_as_marks():
    truth = pd.Series({"c": 0.1, "a": 0.2})  # in another order, and one row has none
    fig = plots.intervals(estimates(), "x", reference={"H(Y)": 0.69, "truth": truth})
    line, marks = fig.axes[0].get_lines()[-2:]
    assert line.get_xdata() == [0.69, 0.69]
    assert np.array_equal(marks.get_xdata(), [0.2, np.nan, 0.1], equal_nan=True)
    assert (list(marks.get_ydata()), marks.get_linestyle()) == ([0, 1, 2], "None")
    assert set(legend(fig)) == {"recommendation", "search", "H(Y)", "truth"}


def test_a_task_or_a_system_has_one_colour_wherever_it_stands():
    """And no system has that of a task."""
    names = ("rec", "src", "gensr", "gensar", "unisar", "lightgcn", "floors", "readers", "oracle", "baselines")
    named = {name: look_of(name, 0)["color"] for name in names}
    assert len(set(named.values())) == len(named)
    for number, (name, colour) in enumerate(named.items(), start=1):
        assert look_of(name, number)["color"] == colour
