"""Figures as files: whole, small, and drawn anew for phones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from gensr_lib.errors import ConfigError
from gensr_lib.show import plots, style
from gensr_lib.show.saving import PHONE_WIDTH, for_phone

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
    fig.axes[0].set_yticks([1, 3], ["a name that takes its room from the panel", "b"])
    phone = for_phone(fig)
    phone.draw_without_rendering()
    ax = phone.axes[0]
    assert max(text.get_window_extent().x1 for text in (ax.title, ax.xaxis.label)) <= phone.bbox.x1 + 1


def test_maps_and_what_is_in_no_grid_stay_as_they_are(tmp_path):
    fig, (ax,) = style.panels()
    ax.imshow(np.eye(2))
    free = Figure()
    free.add_axes([0, 0, 1, 1])
    assert [for_phone(figure) for figure in (fig, free, Figure())] == [None] * 3
    plots.save_figure(panels(2), "a", tmp_path)
    plots.save_figure(fig, "a", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.svg"], "nothing of the earlier figure"
