"""Figures as files: whole, small, and drawn anew for phones."""

from __future__ import annotations

from threading import Lock

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from gensr_lib.errors import ConfigError
from gensr_lib.show import plots, style
from gensr_lib.show.saving import PANEL_PAD, PHONE_WIDTH, for_phone

TABLE = pd.DataFrame({"rec": [1.0, 2.0], "src": [2.0, 3.0]})
LONG = "a title of a single panel that is as long as the whole figure is wide"


def panels(count: int, rows: int = 1, **options) -> Figure:
    """Panels with a line per task, and a legend below."""
    fig, axes = style.panels(count, rows=rows, height=3.0 * rows, **options)
    for number, ax in enumerate(axes):
        plots.lines(TABLE, "x", f"y{number}" if number == 0 else "", ax=ax, legend=False)
    style.legend_below(fig, axes)
    return fig


def geometry(fig: Figure) -> tuple[int, int]:
    return fig.axes[0].get_gridspec().get_geometry()


def labels(fig: Figure) -> list[str]:
    return [text.get_text() for text in fig.legends[0].get_texts()]


def test_a_cloud_of_points_is_small_as_a_drawing_too(tmp_path):
    points = {"rec": np.random.default_rng(0).standard_normal((3000, 2))}
    drawn = plots.save_figure(plots.clouds(points), "a", tmp_path).with_suffix(".svg").read_text()
    assert len(drawn) < 200_000 and "data:image/png" in drawn


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = plots.save_figure(plots.lines(TABLE, "x", "y"), "a", tmp_path)
    before = path.read_bytes()

    class Broken(Figure):
        def savefig(self, part, **options):
            part.write_bytes(b"half")
            raise OSError("disk full")

    with pytest.raises(ConfigError, match=r"a.png: cannot be written .*disk full"):
        plots.save_figure(Broken(), "a", tmp_path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 3


def test_panels_stand_one_below_the_other_on_a_phone_and_as_high_as_before():
    fig = panels(2, sharey=True)
    phone = for_phone(fig)
    assert geometry(phone) == (2, 1) and phone.get_size_inches() == pytest.approx([PHONE_WIDTH, 6])
    assert geometry(fig) == (1, 2) and fig.get_figwidth() == style.WIDTH, "the page's stays as it is"
    phone.draw_without_rendering()
    first, second = (ax.get_window_extent() for ax in phone.axes)
    assert first.y0 > second.y1 and first.x0 == pytest.approx(second.x0)
    assert [ax.get_ylabel() for ax in phone.axes] == ["y0", "y0"], "that of a panel which stood beside it"
    assert all(text.get_visible() and text.get_text() for text in phone.axes[1].get_yticklabels()[1:-1])
    assert labels(phone) == labels(fig) == ["recommendation", "search"]
    assert phone.get_layout_engine().get()["h_pad"] == PANEL_PAD, "a label is not on the next panel's title"


def test_many_panels_stand_in_two_columns_and_one_column_stays():
    assert geometry(for_phone(panels(4, rows=3))) == (6, 2)
    assert geometry(for_phone(panels(4, rows=2))) == (8, 1)
    assert geometry(for_phone(panels(1, rows=3))) == (3, 1)


def test_a_panel_that_is_not_shown_has_no_place():
    fig = panels(3)
    fig.axes[-1].set_visible(False)
    assert geometry(for_phone(fig)) == (2, 1)


def test_what_is_drawn_with_whiskers_has_them_in_the_legend_too():
    table = pd.DataFrame({"mean": [1.0], "low": [0.0], "high": [2.0], "group": ["rec"]}, ["a"])
    phone = for_phone(plots.intervals(table, "x"))
    assert len(phone.legends) == 1 and labels(phone) == ["recommendation"]
    assert type(phone.legends[0].legend_handles[0]).__name__ == "LineCollection"
    fig, (ax,) = style.panels()
    style.legend_of(fig, {"not in a panel": ax.plot([], [])[0]})
    assert labels(for_phone(fig)) == ["not in a panel"]


def test_titles_and_labels_end_inside():
    fig = plots.lines(TABLE.rename(index=str), LONG, "y", title=LONG)
    fig.supxlabel(2 * LONG)
    fig.axes[0].set_yticks([1, 3], ["a name that takes its room from the panel", "b"])
    phone = for_phone(fig)
    phone.draw_without_rendering()
    ax = phone.axes[0]
    ends = [text.get_window_extent() for text in (ax.title, ax.xaxis.label, *phone.texts)]
    assert max(end.x1 for end in ends) <= phone.bbox.x1 + 1 and min(end.x0 for end in ends) >= -1
    assert len(phone.texts) == 1 and "\n" in phone.texts[0].get_text()


def test_maps_and_what_is_in_no_grid_stay_as_they_are(tmp_path):
    fig, (ax,) = style.panels()
    ax.imshow(np.eye(2))
    free = Figure()
    free.add_axes([0, 0, 1, 1])
    assert [for_phone(figure) for figure in (fig, free, Figure())] == [None] * 3
    plots.save_figure(panels(2), "a", tmp_path)
    plots.save_figure(fig, "a", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.svg"], "nothing of the earlier figure"


def test_panels_keep_the_numbers_that_are_their_own():
    fig, axes = style.panels(3, rows=4, height=9)
    for number, ax in enumerate(axes):
        ax.set(xlim=(0, number + 1), ylim=(0, 10 ** (number + 1)))
    phone = for_phone(fig)
    assert geometry(phone) == (6, 2)
    phone.draw_without_rendering()
    shown = [any(t.get_visible() and t.get_text() for t in ax.get_yticklabels()) for ax in phone.axes]
    assert all(shown), "no axis is shared, and each has its own scale"
    fig, axes = style.panels(3, rows=4, height=9, sharex=True, sharey=True)
    axes[0].set_ylabel("y")
    phone = for_phone(fig)
    phone.draw_without_rendering()
    sides = [[ax.yaxis.get_tick_params()["labelleft"], ax.xaxis.get_tick_params()["labelbottom"]] for ax in phone.axes]
    assert sides == [[place % 2 == 0, place >= 10] for place in range(12)]
    assert [ax.get_ylabel() for ax in phone.axes] == ["y", ""] * 6


def test_a_legend_keeps_its_title_and_the_look_of_the_first_of_a_name():
    fig, axes = style.panels(2)
    for ax, colour in zip(axes, ("red", "blue"), strict=True):
        ax.plot([0, 1], color=colour, label="a")
    style.legend_below(fig, axes)
    fig.legends[0].set_title("what")
    (legend,) = for_phone(fig).legends
    assert legend.get_title().get_text() == "what" and legend.legend_handles[0].get_color() == "red"


def test_what_cannot_be_copied_or_stands_twice_in_a_place_is_saved_without_a_drawing_for_phones(tmp_path):
    fig, (ax,) = style.panels()
    ax.held = Lock()
    twin, (left, _) = style.panels(2)
    left.twinx()
    wide = Figure()
    grid = wide.add_gridspec(2, 2)
    for place in (grid[0, :], grid[1, 0], grid[1, 1]):
        wide.add_subplot(place)
    for figure in (fig, twin, wide):
        assert for_phone(figure) is None
        assert plots.save_figure(figure, "a", tmp_path).exists() and not (tmp_path / "a_phone.svg").exists()
