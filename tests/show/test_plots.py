"""Each figure shows what it is given, and equal figures are equal files."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.path import Path as Outline

from gensr_lib.errors import ConfigError
from gensr_lib.show import plots


@pytest.fixture(autouse=True)
def style():
    """The style of the book, and matplotlib's own again after each test."""
    with mpl.rc_context():
        plots.use_style()
        yield


def history(epochs: int = 3, tasks=("rec", "src"), terms=("generation", "contrastive")) -> pd.DataFrame:
    columns = {f"{task} {term}": 1 / np.arange(1, epochs + 1) for term in terms for task in tasks}
    valid = {f"valid {task} N@5": np.linspace(0.1, 0.4, epochs) for task in tasks}
    return pd.DataFrame({"epoch": np.arange(1, epochs + 1), **columns, **valid, "seconds": 1.0})


def results(systems=("popularity", "gensr", "oracle"), tasks=("rec", "src")) -> pd.DataFrame:
    columns = pd.MultiIndex.from_product([tasks, ["N@5", "N@10"]])
    return pd.DataFrame(np.linspace(0.1, 0.9, len(systems) * len(columns)).reshape(len(systems), -1), systems, columns)


def heatmap(n_candidates: int = 2, n: int = 4, **changes):
    given = {
        "weights": np.full((n_candidates, n), 1 / n),
        "candidates": [f"candidate {i}" for i in range(n_candidates)],
        "history": [f"item {i}" for i in range(n)],
        "behaviors": ["rec", "src"] * (n // 2),
    }
    return plots.weights_heatmap(**{**given, **changes})


def bars(ax) -> list[float]:
    return [bar.get_width() for bar in ax.patches]


def legend(fig) -> list[str]:
    return [text.get_text() for text in fig.legends[0].get_texts()] if fig.legends else []


def two_clouds(n: int = 400) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"rec": rng.normal(size=(n, 2)), "src": rng.normal(size=(n, 2)) * [3, 1] + 4}


def means() -> pd.DataFrame:
    return pd.DataFrame({"rec": [3.0, 2.0, 1.0], "mine": [1.0, np.nan, 2.0]}, index=[10, 100, 1000])


def estimates() -> pd.DataFrame:
    table = pd.DataFrame({"mean": [0.3, 0.5, 0.4], "low": [0.1, 0.4, 0.4], "high": [0.4, 0.9, 0.4]}, ["a", "b", "c"])
    return table.assign(group=["rec", "src", "rec"])


ALL = {
    "lines": lambda: plots.lines(pd.DataFrame({"rec": [1, 2], "src": [2, 3]}), "x", "y"),
    "training_curves": lambda: plots.training_curves(history(), best_epoch=2),
    "system_bars": lambda: plots.system_bars(results(), "N@10", errors=results() * 0.1),
    "ecdf": lambda: plots.distributions({"rec": [1, 2, 2], "src": [3, 4]}, "x"),
    "hist": lambda: plots.distributions({"rec": [1, 2, 2], "src": [3, 4]}, "x", kind="hist", bins=4),
    "heatmap": heatmap,
    "clouds": lambda: plots.clouds(two_clouds(), xlabel="x", ylabel="y"),
    "bands": lambda: plots.bands(means(), means() - 1, means() + 1, "x", "y", logx=True),
    "intervals": lambda: plots.intervals(estimates(), "x", reference={"ceiling": 0.7}),
}

# ---- saving ------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_saving_twice_gives_equal_bytes_and_leaves_nothing_else(tmp_path, make):
    fig = make()
    files = [plots.save_figure(fig, "a", tmp_path), plots.save_figure(fig, "b", tmp_path / "deep")]
    again = plots.save_figure(make(), "c", tmp_path)  # a new figure, not only a new file
    first = files[0].read_bytes()
    assert first.startswith(b"\x89PNG")
    assert first == files[1].read_bytes() == again.read_bytes()
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["a.png", "b.png", "c.png"]


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = plots.save_figure(ALL["lines"](), "a", tmp_path)
    before = path.read_bytes()

    class Broken(Figure):
        def savefig(self, part, **options):
            part.write_bytes(b"half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        plots.save_figure(Broken(), "a", tmp_path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_the_file_does_not_name_a_version(tmp_path):
    assert mpl.__version__.encode() not in plots.save_figure(ALL["lines"](), "a", tmp_path).read_bytes()


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_no_figure_stays_open(make):
    make()
    assert plt.get_fignums() == []


# ---- lines and training curves -----------------------------------------------------------------


def test_lines_draws_the_columns_in_the_colours_of_the_tasks():
    table = pd.DataFrame({"other": [3.0, 1.0], "src": [1.0, np.nan], "rec": [0.0, 2.0]}, index=[10, 20])
    drawn = plots.lines(table, "x", "y").axes[0].get_lines()
    assert [line.get_xdata().tolist() for line in drawn] == [[10, 20], [10], [10, 20]]
    assert [line.get_ydata().tolist() for line in drawn] == [[3, 1], [1], [0, 2]]
    assert [line.get_color() for line in drawn[1:]] == [plots.TASK_COLOURS["src"], plots.TASK_COLOURS["rec"]]
    assert len({line.get_linestyle() for line in drawn}) == 3


def test_lines_draws_into_a_given_panel():
    fig, axes = plots.panels(2)
    assert plots.lines(pd.DataFrame({"rec": [1, 2]}), "x", "y", ax=axes[1]) is fig
    assert [len(ax.get_lines()) for ax in axes] == [0, 1]


@pytest.mark.parametrize("epochs", [1, 4])
@pytest.mark.parametrize("tasks", [("rec",), ("src",), ("rec", "src")])
def test_training_curves_has_a_panel_per_term_and_one_for_the_metric(epochs, tasks):
    table = history(epochs, tasks)
    fig = plots.training_curves(table)
    assert [ax.get_title() for ax in fig.axes] == ["generation", "contrastive", "validation"]
    for ax, name in zip(fig.axes, ["{} generation", "{} contrastive", "valid {} N@5"], strict=True):
        assert [line.get_ydata().tolist() for line in ax.get_lines()] == [table[name.format(t)].tolist() for t in tasks]
        assert all(line.get_marker() == "o" for line in ax.get_lines())  # else a single epoch would not be seen
    assert legend(fig) == [plots.TASK_LABELS[task] for task in tasks]


def test_training_curves_marks_the_best_epoch():
    fig = plots.training_curves(history(), best_epoch=2)
    assert fig.axes[-1].get_lines()[-1].get_xdata() == [2, 2]
    assert legend(fig)[-1] == "best epoch (2)"


def test_training_curves_without_validation_and_with_gaps():
    table = history(4, ("rec",))
    only_losses = plots.training_curves(table.drop(columns="valid rec N@5"), best_epoch=1)
    assert [ax.get_title() for ax in only_losses.axes] == ["generation", "contrastive"]
    table.loc[[0, 2], "valid rec N@5"] = np.nan  # validated every second epoch
    assert plots.training_curves(table).axes[-1].get_lines()[0].get_xdata().tolist() == [2, 4]


@pytest.mark.parametrize(
    ("table", "metric", "message"),
    [
        (history(), "N@7", r"unknown column of a training history 'valid rec N@7'; did you mean 'valid rec N@5'"),
        (history().drop(columns="epoch"), "N@5", "'epoch'"),
        (history()[["epoch", "seconds"]], "N@5", "rec <loss term>"),
        (pd.DataFrame(), "N@5", "rec <loss term>"),
    ],
)
def test_training_curves_names_the_missing_column(table, metric, message):
    with pytest.raises(ConfigError, match=message):
        plots.training_curves(table, metric)


# ---- bars --------------------------------------------------------------------------------------


def test_system_bars_draws_a_bar_per_system_and_a_line_for_the_oracle():
    table = results()
    fig = plots.system_bars(table, "N@10")
    for ax, task in zip(fig.axes, ["rec", "src"], strict=True):
        values = table[(task, "N@10")]
        assert bars(ax) == values[["popularity", "gensr"]].tolist()
        assert ax.get_lines()[0].get_xdata() == [values["oracle"]] * 2
        assert [t.get_text() for t in ax.texts] == [f"{v:.3f}" for v in values[["popularity", "gensr"]]]
        assert ax.get_xlim()[1] > values.max()
        assert to_hex(ax.patches[0].get_facecolor()).upper() == plots.TASK_COLOURS[task]
    assert [t.get_text() for t in fig.axes[0].get_yticklabels()] == ["popularity", "gensr"]
    assert legend(fig) == ["oracle"]


def test_system_bars_without_the_oracle_and_with_one_task():
    fig = plots.system_bars(results(("popularity", "gensr"), ("src",)), "N@5")
    (ax,) = fig.axes
    assert (len(bars(ax)), len(ax.get_lines()), legend(fig)) == (2, 0, [])
    assert ax.get_title() == "search"


def test_system_bars_shows_the_first_system_on_top():
    low, high = plots.system_bars(results(), "N@5").axes[0].get_ylim()
    assert low > high


def test_system_bars_says_what_a_system_does_not_serve():
    table = results()
    table.loc["gensr", "src"] = np.nan
    table.loc["oracle", "rec"] = np.nan
    rec, src = plots.system_bars(table, "N@10", errors=table * 0.1).axes
    assert [t.get_text() for t in src.texts][1] == "not served"
    assert (bars(src)[1], rec.get_title()) == (0, "recommendation")


def test_system_bars_draws_error_bars_of_the_given_length():
    table = results()
    ax = plots.system_bars(table, "N@10", errors=table * 0 + 0.02).axes[0]
    (whiskers,) = [c for c in ax.collections if len(c.get_segments()) == 2]
    lengths = [np.ptp(segment[:, 0]) for segment in whiskers.get_segments()]
    assert np.allclose(lengths, 2 * 0.02)


def test_system_bars_of_an_unknown_metric():
    with pytest.raises(ConfigError, match="unknown metric 'N@11'; did you mean 'N@10'"):
        plots.system_bars(results(), "N@11")


# ---- distributions -----------------------------------------------------------------------------


def test_ecdf_has_a_step_per_sample():
    ax = plots.distributions({"rec": [1, 1, 3, 4], "src": [2]}, "x").axes[0]
    rec, src = ax.get_lines()
    assert rec.get_ydata()[rec.get_xdata() == 1].max() == 0.5  # two of the four values are at most 1
    assert (rec.get_ydata()[-1], src.get_ydata()[-1]) == (1, 1)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["recommendation", "search"]


def test_hist_shows_shares_over_common_bins():
    ax = plots.distributions({"a": [0, 0, 1, 1], "b": [1]}, "x", kind="hist", bins=[-0.5, 0.5, 1.5]).axes[0]
    heights = [bar.get_height() for bar in ax.patches if hasattr(bar, "get_height")]
    assert heights == [0.5, 0.5, 0, 1]


def test_distributions_of_one_sample_has_no_legend():
    assert plots.distributions({"src": [1, 2]}, "x").axes[0].get_legend() is None


def test_distributions_of_an_unknown_kind():
    with pytest.raises(ConfigError, match="unknown kind of distribution 'kde'"):
        plots.distributions({"rec": [1]}, "x", kind="kde")


# ---- heatmap -----------------------------------------------------------------------------------


def test_weights_heatmap_labels_rows_and_columns():
    weights = np.array([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]])
    ax = heatmap(weights=weights).axes[0]
    assert np.array_equal(ax.images[0].get_array(), weights)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["candidate 0", "candidate 1"]
    assert [t.get_text() for t in ax.get_xticklabels()] == [
        "item 0 (rec)",
        "item 1 (src)",
        "item 2 (rec)",
        "item 3 (src)",
    ]
    assert [t.get_color() for t in ax.get_xticklabels()] == [plots.TASK_COLOURS[b] for b in ["rec", "src"] * 2]
    assert [t.get_text() for t in ax.texts] == [f"{w:.2f}" for w in weights.ravel()]


def test_weights_heatmap_leaves_out_numbers_where_there_is_no_room_and_shortens_titles():
    ax = heatmap(5, 40, candidates=["x" * 80] * 5).axes[0]
    assert len(ax.texts) == 0
    assert all(len(t.get_text()) < 40 and t.get_text().endswith("…") for t in ax.get_yticklabels())


def test_weights_heatmap_of_one_candidate_and_one_item():
    ax = heatmap(1, weights=[[1.0]], history=["item"], behaviors=["src"]).axes[0]
    assert ax.images[0].get_array().shape == (1, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": np.ones((3, 4))}, r"shape \(3, 4\) do not fit 2 candidates, 4 history items and 4 behaviors"),
        ({"behaviors": ["rec"]}, "4 history items and 1 behaviors"),
        ({"behaviors": ["rec", "rec", "src", "search"]}, "unknown behavior 'search'"),
    ],
)
def test_weights_heatmap_refuses_what_does_not_fit(changes, message):
    with pytest.raises(ConfigError, match=message):
        heatmap(**changes)


def test_a_number_that_the_line_of_the_reference_would_cross_stands_in_its_bar():
    columns = pd.MultiIndex.from_product([["rec"], ["N@10"]])
    table = pd.DataFrame({("rec", "N@10"): [0.1, 0.9, 1.0]}, index=["far", "near", "oracle"]).reindex(columns=columns)
    texts = plots.system_bars(table, "N@10").axes[0].texts
    assert {t.get_text(): (t.get_color(), t.get_ha()) for t in texts}["0.900"] == ("white", "right")
    assert [t.get_ha() for t in texts if t.get_text() == "0.100"] == ["left"]


# ---- clouds ------------------------------------------------------------------------------------


def contours(ax) -> list[ContourSet]:
    return [c for c in ax.collections if isinstance(c, ContourSet)]


def dots(ax) -> list[np.ndarray]:
    return [c.get_offsets().data for c in ax.collections if not isinstance(c, ContourSet)]


def test_clouds_shows_points_and_tells_the_tasks_apart_in_colour_and_in_grey():
    given = two_clouds(50)
    ax = plots.clouds(given, xlabel="x", ylabel="y", title="t").axes[0]
    assert plots.clouds(given, legend=False).axes[0].get_legend() is None
    assert [sorted(map(tuple, d)) for d in dots(ax)] == [sorted(map(tuple, p)) for p in given.values()]
    assert [to_hex(c.get_edgecolor()[0]).upper() for c in contours(ax)] == list(plots.TASK_COLOURS.values())
    handles = ax.get_legend().get_lines()
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["recommendation", "search"]
    assert [(h.get_marker(), h.get_linestyle()) for h in handles] == [("o", "-"), ("x", "--")]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(), ax.get_aspect()) == ("x", "y", "t", 1)


def test_contours_enclose_half_and_nine_tenths_of_the_density():
    """A normal cloud's kernel density is a normal one too, wider by Scott's bandwidth: so its ellipses are known."""
    given = two_clouds(2000)
    wider = 1 + 2000 ** (-1 / 3)
    for sample, drawn in zip(given.values(), contours(plots.clouds(given).axes[0]), strict=True):
        shares = [Outline(p.vertices, p.codes).contains_points(sample).mean() for p in drawn.get_paths()]
        assert shares == pytest.approx([1 - 0.1**wider, 1 - 0.5**wider], abs=0.015)


def test_clouds_shows_at_most_so_many_points_but_contours_of_all():
    given = two_clouds(300)
    few, all_points = (plots.clouds(given, max_points=n).axes[0] for n in (20, 300))
    assert [len(d) for d in dots(few)] == [20, 20]
    assert all(set(map(tuple, d)) <= set(map(tuple, p)) for d, p in zip(dots(few), given.values(), strict=True))
    for a, b in zip(contours(few), contours(all_points), strict=True):
        assert np.array_equal(a.levels, b.levels)


def test_clouds_without_contours_and_in_a_given_panel():
    fig, axes = plots.panels(2)
    line = np.arange(12.0).reshape(6, 2)
    assert plots.clouds({"src": line}, ax=axes[1], contours=False) is fig
    assert (len(dots(axes[0])), len(dots(axes[1])), contours(axes[1])) == (0, 1, [])
    assert axes[1].get_legend() is None


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.ones((5, 3)), r"points of 'rec' must be finite and of shape \(n, 2\), not \(5, 3\)"),
        (np.full((5, 2), np.nan), "points of 'rec' must be finite"),
        (np.arange(12.0).reshape(6, 2), "points of 'rec' lie on a line and have no contours; pass contours=False"),
        (np.eye(2), "lie on a line"),
    ],
)
def test_clouds_refuses(points, message):
    with pytest.raises(ConfigError, match=message):
        plots.clouds({"rec": points})


# ---- bands -------------------------------------------------------------------------------------


def test_bands_lie_around_their_lines_in_their_colours():
    mean = means()
    ax = plots.bands(mean, mean - 0.5, mean.add([1, 2, 3], axis=0), "n", "nats", title="t", logx=True).axes[0]
    assert [line.get_ydata().tolist() for line in ax.get_lines()] == [[3, 2, 1], [1, 2]]
    first, second = ([tuple(v) for v in band.get_paths()[0].vertices] for band in ax.collections)
    assert {(10, 2.5), (10, 4), (100, 1.5), (100, 4), (1000, 0.5), (1000, 4)} == set(first)
    assert {x for x, _ in second} == {10, 1000}  # nothing is drawn where there is no mean
    assert [to_hex(b.get_facecolor()[0]) for b in ax.collections] == [to_hex(x.get_color()) for x in ax.get_lines()]
    assert [b.get_alpha() for b in ax.collections] == [0.18, 0.18]
    assert (ax.get_xscale(), ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("log", "n", "nats", "t")


def test_bands_in_a_panel_that_has_lines_and_without_a_legend():
    fig, axes = plots.panels(2)
    axes[1].plot([10, 1000], [0, 0], color="#123456")
    assert plots.bands(means(), means() - 1, means() + 1, "x", "y", ax=axes[1], legend=False) is fig
    expected = [to_hex(line.get_color()) for line in axes[1].get_lines()[1:]]
    assert [to_hex(b.get_facecolor()[0]) for b in axes[1].collections] == expected
    assert (axes[1].get_legend(), axes[1].get_xscale(), len(axes[0].get_lines())) == (None, "linear", 0)


def test_bands_refuses_tables_that_do_not_fit():
    mean = means()
    for low, high in ((mean.iloc[1:], mean), (mean, mean.rename(columns={"rec": "src"}))):
        with pytest.raises(ConfigError, match="must have the same index and columns"):
            plots.bands(mean, low, high, "x", "y")
    with pytest.raises(ConfigError, match=r"low is above high in columns \['rec', 'mine'\]"):
        plots.bands(mean, mean + 1, mean, "x", "y")


# ---- intervals ---------------------------------------------------------------------------------


def bars_by_row(ax) -> dict[float, list[float]]:
    segments = [s for c in ax.collections for s in c.get_segments()]
    return {float(s[0, 1]): s[:, 0].tolist() for s in segments}


def test_intervals_has_a_row_each_from_low_to_high():
    ax = plots.intervals(estimates(), "nats", title="t").axes[0]
    for place, (low, high) in enumerate([(0.1, 0.4), (0.4, 0.9), (0.4, 0.4)]):
        assert bars_by_row(ax)[place] == pytest.approx([low, high])
    rec, src = (c.lines[0] for c in ax.containers)
    assert (rec.get_xdata().tolist(), list(rec.get_ydata())) == ([0.3, 0.4], [0, 2])
    assert (src.get_xdata().tolist(), list(src.get_ydata())) == ([0.5], [1])
    assert [line.get_color() for line in (rec, src)] == list(plots.TASK_COLOURS.values())
    assert rec.get_marker() != src.get_marker()
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b", "c"]
    assert (ax.get_xlabel(), ax.get_title(), ax.get_ylim()) == ("nats", "t", (2.5, -0.5))
    assert legend(ax.figure) == ["recommendation", "search"]
    assert legend(plots.intervals(estimates(), "nats", legend=False)) == []


def test_intervals_draws_a_ceiling_as_a_line_and_a_truth_per_row_as_marks():
    truth = pd.Series({"c": 0.1, "a": 0.2})  # in another order, and one row has none
    fig = plots.intervals(estimates(), "x", reference={"H(Y)": 0.69, "truth": truth})
    line, marks = fig.axes[0].get_lines()[-2:]
    assert line.get_xdata() == [0.69, 0.69]
    assert np.array_equal(marks.get_xdata(), [0.2, np.nan, 0.1], equal_nan=True)
    assert (list(marks.get_ydata()), marks.get_linestyle()) == ([0, 1, 2], "None")
    assert set(legend(fig)) == {"recommendation", "search", "H(Y)", "truth"}


def test_intervals_without_groups_and_in_a_given_panel():
    fig, axes = plots.panels(2)
    plots.intervals(estimates().drop(columns="group"), "x", ax=axes[0])
    plots.intervals(estimates(), "x", ax=axes[1])
    assert axes[0].get_legend() is None
    assert [t.get_text() for t in axes[1].get_legend().get_texts()] == ["recommendation", "search"]
    assert fig.legends == []


def test_intervals_refuses_what_does_not_fit():
    with pytest.raises(ConfigError, match="unknown column of a table of intervals 'low'"):
        plots.intervals(estimates().drop(columns="low"), "x")
    with pytest.raises(ConfigError, match="the mean lies outside low to high in row 'b'"):
        plots.intervals(estimates().assign(mean=[0.3, 0.95, 0.4]), "x")
