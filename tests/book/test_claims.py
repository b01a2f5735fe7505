"""The board of claims: verdicts follow from the chapters' tables, and only from them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from gensr_lib.book import claims, judges
from gensr_lib.book.claims_board import draw, write_board
from gensr_lib.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def figures(tmp_path) -> Path:
    """A copy of the tables of the default run, to be changed."""
    folder = tmp_path / "figures"
    folder.mkdir()
    for path in (ROOT / "figures").glob("*.csv"):
        shutil.copy(path, folder)
    return folder


def verdict(figures: Path, judge) -> judges.Verdict:
    return next(verdict for claim, verdict in claims.judged(figures) if claim.judge is judge)


def change(figures: Path, name: str, column: str, value, where: dict | None = None) -> None:
    """Set a column of a table, in all rows or in those with the given values."""
    table = pd.read_csv(figures / f"{name}.csv")
    rows = pd.Series(True, table.index)
    for key, wanted in (where or {}).items():
        rows &= table[key] == wanted
    assert rows.any()
    table[column] = table[column].astype(object if isinstance(value, str) else float)
    table.loc[rows, column] = value
    table.to_csv(figures / f"{name}.csv", index=False)


def test_every_claim_has_a_chapter_numbers_to_draw_and_a_known_verdict(figures):
    found = list(claims.judged(figures))
    assert [claim for claim, _ in found] == [*claims.CLAIMS]
    for claim, judged in found:
        assert judged.word in judges.VERDICTS
        assert (ROOT / f"notebooks/{claim.chapter}.ipynb").exists()
        drawn = judged.marks.table
        assert len(drawn) >= 2 and drawn.index.is_unique
        assert (drawn["low"] <= drawn["mean"]).all() and (drawn["mean"] <= drawn["high"]).all()


LATE = {"system": "unisar", "over": "last two thirds"}
MIXED = {"system": "unisar", "state": "encoder", "stage": "trained"}
DECIDED = [
    # judge, table, column, rows, value, verdict: a difference with its interval above zero, below it, …
    (judges.ranking, "05_tests", "low", None, 0.01, judges.HOLDS),
    (judges.ranking, "05_tests", "low", None, -0.01, judges.NOT_FOUND),
    (judges.ranking, "05_tests", "low", {"system": "gensr", "task": "rec"}, 0.01, judges.IN_PART),
    (judges.reader, "03_against", "low", None, 0.01, judges.HOLDS),
    (judges.reader, "03_against", "high", None, 0.01, judges.NOT_FOUND),
    (judges.reader, "03_against", "high", None, -0.001, judges.OPPOSITE),
    (judges.information, "06_order", "low", None, 0.01, judges.HOLDS),
    (judges.information, "06_order", "low", None, -0.01, judges.NOT_FOUND),
    (judges.against_tables, "06_printed", "Table 1 gensr", None, 0.2, judges.HOLDS),
    (judges.apart, "07_separation", "probe accuracy", None, "0.510 (0.502)", judges.NOT_FOUND),
    (judges.apart, "07_separation", "probe accuracy", {"stage": "before training"}, "0.5 (0.5)", judges.HOLDS),
    (judges.conflict, "07_conflict", "disattenuated", {"system": "gensr"}, -0.02, judges.NOT_FOUND),
    (judges.conflict, "07_conflict", "disattenuated", {"system": "unisar"}, -0.2, judges.HOLDS),
    (judges.conflict, "07_conflict", "disattenuated", {"system": "unisar"}, -0.05, judges.IN_PART),
    (judges.conflict, "07_conflict", "disattenuated", LATE, -0.2, judges.HOLDS),
    (judges.apart, "07_separation", "probe accuracy", MIXED, "0.990 (0.502)", judges.NOT_FOUND),
    (judges.channel, "10_formulas", "as printed", None, 0.0, judges.HOLDS),
    (judges.channel, "10_formulas", "squared", None, 0.0, judges.WRONG),
    (judges.contrastive, "03_contrastive", "as printed", {"views": "users mixed up"}, 2.0, judges.HOLDS),
    (judges.contrastive, "03_contrastive", "as printed", None, 1.0, judges.WRONG),
    (judges.best_between, "09_tests", "p_holm", None, 0.5, judges.NOT_FOUND),
    (judges.best_between, "09_tests", "high", None, -0.001, judges.IN_PART),
    (judges.lemma, "10_inequality_13", "5120", None, 0.9, judges.HOLDS),
    (judges.lemma, "10_inequality_13", "5120", {"world": "clusters"}, 0.1, judges.IN_PART),
    (judges.figure_4, "08_worth", "p_holm", None, 0.5, judges.NOT_FOUND),
    (judges.figure_4, "08_worth", "effect", None, -0.1, judges.NOT_FOUND),
    (judges.figure_4, "08_worth", "p_holm", None, 0.01, judges.IN_PART),  # some are below zero
    (judges.soft_filter, "08_worth", "p_holm", {"task": "rec"}, 0.5, judges.NOT_FOUND),
    (judges.soft_filter, "08_worth", "ceiling", {"task": "src"}, 0.0, judges.WHERE),
    (judges.soft_filter, "08_worth", "ceiling", {"task": "src"}, 0.5, judges.IN_PART),
    (judges.joint_training, "08_worth", "p_holm", {"task": "rec"}, 0.5, judges.NOT_FOUND),
    (judges.task_prompt, "08_worth", "p_holm", None, 0.5, judges.NOT_FOUND),
    (judges.cost, "03_cost", "ranking", None, 0.5, judges.HOLDS),
    (judges.cost, "03_cost", "ranking", None, 3.0, judges.OPPOSITE),
]


@pytest.mark.parametrize(("judge", "table", "column", "where", "value", "word"), DECIDED)
def test_a_verdict_turns_with_the_table(figures, judge, table, column, where, value, word):
    change(figures, table, column, value, where)
    assert verdict(figures, judge).word == word


def test_a_part_that_both_tasks_lose_holds_and_one_without_a_row_is_named(figures):
    for column, value in (("p_holm", 0.01), ("effect", 0.1)):
        change(figures, "08_worth", column, value)
    for judge in (judges.figure_4, judges.soft_filter, judges.joint_training, judges.task_prompt):
        assert verdict(figures, judge).word == judges.HOLDS
    assert "**8** of 8 losses" in verdict(figures, judges.figure_4).number
    change(figures, "08_worth", "mechanism", "another", {"mechanism": "joint training", "task": "rec"})
    with pytest.raises(ConfigError, match="08_worth has not both tasks of joint training"):
        list(claims.judged(figures))


def test_an_effect_stands_beside_what_it_could_be(figures):
    for column, value in (("effect", 0.111), ("ceiling", 0.222)):
        change(figures, "08_worth", column, value)
    number = verdict(figures, judges.soft_filter).number
    assert "0.111" in number and "loses 0.222 and 0.222" in number and "could not be seen" not in number
    for column, value in (("p_holm", 0.5), ("detectable", 0.333)):
        change(figures, "08_worth", column, value, {"mechanism": "soft filter", "task": "src"})
    assert verdict(figures, judges.soft_filter).number.endswith("in search less than 0.333 could not be seen.")


def test_a_best_value_between_extremes_needs_worse_ones_on_both_sides_of_both_knobs(figures):
    for column, value in (("high", -0.001), ("p_holm", 0.01)):
        change(figures, "09_tests", column, value)
    assert verdict(figures, judges.best_between).word == judges.HOLDS
    change(figures, "09_tests", "p_holm", 0.5, {"value": "tau=0.09"})
    assert verdict(figures, judges.best_between).word == judges.IN_PART


def test_the_worlds_that_are_said_are_those_of_the_table(figures):
    change(figures, "09_tests", "worlds", 7)
    assert verdict(figures, judges.best_between).number.endswith("; 7 worlds. The picture has the ends of both knobs.")


def test_a_value_that_is_surely_better_is_not_a_worse_one(figures):
    for column, value in (("high", 0.002), ("p_holm", 0.01)):
        change(figures, "09_tests", column, value)
    assert verdict(figures, judges.best_between).word == judges.NOT_FOUND


def test_the_number_that_is_shown_is_the_tables(figures):
    where = {"task": "rec", "GenSR minus": "gensr, perceptron"}
    for column, value in (("difference", 0.1234), ("low", 0.1111), ("high", 0.1357)):
        change(figures, "03_against", column, value, where)
    assert "**+0.123** [0.111, 0.136] in recommendation" in verdict(figures, judges.reader).number
    change(figures, "03_against", "low", -0.00012, where)
    assert "[-0.0001, 0.136]" in verdict(figures, judges.reader).number, "on which side of zero it ends"


def test_as_many_others_are_said_as_there_were(figures):
    assert "best of 15 and 11 others" in verdict(figures, judges.ranking).number
    change(figures, "05_tests", "of", 7, {"less the": "best baseline", "task": "src"})
    assert "best of 15 and 7 others" in verdict(figures, judges.ranking).number


def test_the_number_that_is_drawn_is_the_one_that_is_said(figures):
    where = {"task": "src", "GenSR minus": "gensr, perceptron"}
    for column, value in (("difference", 0.4321), ("low", 0.4), ("high", 0.5)):
        change(figures, "03_against", column, value, where)
    judged = verdict(figures, judges.reader)
    assert "**+0.432**" in judged.number
    assert judged.marks.table.loc["search", "mean"] == 0.4321
    (panel,) = draw(judged.marks).axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ["recommendation", "search"]
    assert [bars.lines[0].get_xdata().item() for bars in panel.containers][1] == 0.4321
    change(figures, "08_worth", "ceiling", 0.0625, {"mechanism": "soft filter", "task": "src"})
    assert verdict(figures, judges.soft_filter).marks.reference["what it could be"]["search"] == 0.0625


def test_a_table_that_is_missing_or_of_another_form_is_named_with_the_command(figures):
    change(figures, "06_order", "reading", "another")
    with pytest.raises(ConfigError, match=r"06_mutual_information.*--only 06_mutual_information"):
        list(claims.judged(figures))
    (figures / "05_tests.csv").unlink()
    with pytest.raises(ConfigError, match=r"05_tests\.csv is missing.*--only 05_results"):
        list(claims.judged(figures))


def test_the_board_has_a_card_with_a_small_picture_for_each(tmp_path):
    write_board(ROOT, tmp_path)
    text = (tmp_path / "book/claims.md").read_text()
    assert text.count(":::{card}") == len(claims.CLAIMS)
    pictures = set(re.findall(r"\]\((book/thumbs/\w+\.svg)\)", text))
    assert not re.search(r"[ \[*]-\d", text) and "−0." in text, "signs are those of the tables"
    assert len(pictures) == len(claims.CLAIMS)
    for picture in pictures:
        assert (tmp_path / picture).stat().st_size < 100_000


def test_the_readme_tells_the_same_story():
    """Its table has each claim with the verdict that follows from the tables today."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for claim, judged in claims.judged(ROOT / "figures"):
        assert f"| {claim.says} | {claim.where} | {judged.word} |" in readme
