"""What people see is rounded and safe to show; what is saved has all digits and reads back."""

import re

import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import HTMLFormatter, PlainTextFormatter

from gensr_lib.show.tables import show


@pytest.fixture
def results():
    columns = pd.MultiIndex.from_product([["rec", "src"], ["N@5", "N@10"]], names=["task", "metric"])
    values = [[1 / 3, 0.5, np.nan, np.nan], [2 / 3, 0.25, 0.125, 1.0]]
    return pd.DataFrame(values, index=pd.Index(["lightgcn", "gensr"], name="system"), columns=columns)


def test_floats_are_rounded_and_missing_ones_are_a_dash(results, tmp_path):
    html = show(results, "results", tmp_path, digits=2).to_html()
    assert ">0.33<" in html and ">0.12<" in html and ">1.00<" in html and html.count(">–<") == 2
    assert "0.333" not in html and "nan" not in html


def test_what_would_round_to_zero_is_shown_by_its_first_digit(tmp_path):
    column = pd.Series([0.0, -0.0004, 0.0005, 3.2e-7, 1.0], name="x")
    html = show(column, "x", tmp_path).to_html()
    assert re.findall(r">(\S+)</td>", html) == ["0.000", "−0.0004", "0.001", "3e−07", "1.000"]


def test_the_file_has_all_digits_and_names_of_one_level(results, tmp_path):
    show(results, "results", tmp_path, digits=2)
    back = pd.read_csv(tmp_path / "results.csv", index_col="system")
    assert list(back.columns) == ["rec N@5", "rec N@10", "src N@5", "src N@10"]
    np.testing.assert_array_equal(back.to_numpy(), results.to_numpy())


def test_an_index_that_only_counts_is_neither_shown_nor_saved(tmp_path):
    table = pd.DataFrame({"item": ["a", "b"], "rank": [1, 2]})
    html = show(table, "list", tmp_path).to_html()
    assert "row_heading" not in html
    assert (tmp_path / "list.csv").read_text() == "item,rank\na,1\nb,2\n"
    named = table.rename_axis("place")
    assert "row_heading" in show(named, "named", tmp_path).to_html()
    assert (tmp_path / "named.csv").read_text() == "place,item,rank\n0,a,1\n1,b,2\n"


def test_a_series_becomes_a_column(tmp_path):
    show(pd.Series({"chance": 0.05}, name="share").rename_axis("ranking"), "share", tmp_path)
    assert (tmp_path / "share.csv").read_text() == "ranking,share\nchance,0.05\n"


def test_titles_of_items_cannot_become_markup(tmp_path):
    titles = pd.DataFrame({"<b>": ["<script>alert(1)</script>"]}, index=pd.Index(["a & b"], name="query"))
    html = show(titles, "titles", tmp_path).to_html()
    assert "<script>" not in html and "&lt;script&gt;" in html and "a &amp; b" in html and "&lt;b&gt;" in html
    assert pd.read_csv(tmp_path / "titles.csv").loc[0, "<b>"] == "<script>alert(1)</script>"


def test_settings_in_the_index_are_shown_as_they_were_set(tmp_path):
    html = show(pd.DataFrame({"k": [1.0, 2.0]}, index=[0.01, 0.3]), "taus", tmp_path).to_html()
    assert ">0.01<" in html and ">0.3<" in html


def test_equal_tables_give_equal_outputs(results, tmp_path):
    """Nothing random or of this process: neither ids nor addresses."""
    outputs = [[f(show(results, "results", tmp_path)) for f in (HTMLFormatter(), PlainTextFormatter())] for _ in "ab"]
    assert outputs[0] == outputs[1]
    assert outputs[0][0].count('id="') == 1 and "lightgcn" in outputs[0][1]


def test_the_best_of_a_column_is_bold_and_the_second_underlined(tmp_path):
    table = pd.DataFrame({"N@10": [0.2, 0.4, 0.3, np.nan], "rows": [9, 1, 1, 1]})
    html = show(table, "marked", tmp_path, best_in=["N@10"]).to_html()
    assert html.count("font-weight: bold") == html.count("text-decoration: underline") == 1
    bold, under = (re.search(rf"#(\S+) {{{{\n  {style}".replace("{{", "{"), html) for style in ("font", "text"))
    assert bold and under and bold.group(1).endswith("row1_col0") and under.group(1).endswith("row2_col0")


def test_marks_are_given_among_some_rows(tmp_path):
    table = pd.DataFrame({"N": [0.9, 0.2, 0.3]}, ["oracle", "a", "b"])
    html = show(table, "among", tmp_path, best_in=["N"], among=["a", "b"]).to_html()
    assert re.search(r"row2_col0 {\s+font-weight", html) and re.search(r"row1_col0 {\s+text-decoration", html)
    assert "row0_col0 {" not in html


def test_equals_share_a_mark_and_a_single_number_has_no_second(tmp_path):
    html = show(pd.DataFrame({"N": [0.4, 0.4]}), "equal", tmp_path, best_in=["N"]).to_html()
    assert "bold" in html and "underline" not in html


def test_what_is_doubtful_has_a_dagger_and_nothing_else_has(tmp_path):
    table = pd.DataFrame({("ours", "N"): [0.41, 0.2], ("theirs", "N"): [0.5, np.nan]}, ["a", "b"])
    doubtful = pd.DataFrame({("theirs", "N"): [True, True]}, ["a", "b"])
    html = show(table, "doubtful", tmp_path, digits=2, doubtful=doubtful).to_html()
    assert "0.50†" in html and html.count("†") == 1  # what is missing is a dash, and cannot be doubted
    assert "0.41" in html and "†" not in (tmp_path / "doubtful.csv").read_text(encoding="utf-8")


def test_systems_and_tasks_have_the_names_that_people_know(tmp_path):
    """In labels and in columns of names; the file keeps the short ones, and other columns are data."""
    index = pd.Index(["gensr, perceptron", "item_knn, rec"], name="system")
    table = pd.DataFrame({"rec": [0.5, 0.25], "task": ["src", "rec"], "behavior": ["src", "rec"]}, index)
    html = show(table, "names", tmp_path).to_html()
    for text in ("GenSR, perceptron", "itemKNN, recommendation clicks", ">recommendation<", ">search<"):
        assert text in html
    assert html.count(">rec<") == html.count(">src<") == 1, "a click's behavior, as the data have it"
    assert 'perceptron",0.5,src,src' in (tmp_path / "names.csv").read_text()


def test_small_p_values_are_said_to_be_small(tmp_path):
    table = pd.DataFrame({"p": [3e-106, 0.0042, np.nan], "p_holm": [0.0009, 0.5, 1.0]}, list("abc"))
    html = show(table, "p", tmp_path, digits=2).to_html()
    assert html.count("&lt;\N{NO-BREAK SPACE}0.001") == 2 and ">0.004<" in html and ">0.500<" in html and ">–<" in html
    assert "3e-106" in (tmp_path / "p.csv").read_text(), "the file keeps all digits"


def test_a_number_and_its_spread_stand_on_one_line(tmp_path):
    assert (
        ">1 \N{PLUS-MINUS SIGN} 2<".replace(" ", "\N{NO-BREAK SPACE}")
        in show(pd.DataFrame({"a": ["1 ± 2"]}), "t", tmp_path).to_html()
    )


def test_a_negative_number_that_names_a_row_or_column_has_the_sign_too(tmp_path):
    table = pd.DataFrame([[1]], index=pd.Index([-0.5], name="x"), columns=[-2.0])
    html = show(table, "t", tmp_path).to_html()
    assert "−0.5" in html and "−2" in html and "-0.5" not in html


def test_columns_of_words_need_no_name_and_columns_of_numbers_keep_theirs(results, tmp_path):
    html = show(results, "results", tmp_path, best_in=[("rec", "N@5")]).to_html()
    assert "metric" not in html and ">task<" not in html and ">system<" in html
    assert results.columns.names == ["task", "metric"], "the table itself is as it was"
    angles = results.set_axis(pd.MultiIndex.from_product([[0, 90], ["N@5", "N@10"]], names=["angle", "metric"]), axis=1)
    html = show(angles, "angles", tmp_path).to_html()
    assert ">angle<" in html and "metric" not in html
