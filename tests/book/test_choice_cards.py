"""Wide tables become cards, row by row, and nothing is lost."""

from pathlib import Path

from gensr_lib.book.choice_cards import FIRST, PAGE, stacked, with_cards

PAGE_TEXT = (Path(__file__).resolve().parents[2] / PAGE).read_text(encoding="utf-8")
SMALL = """\
Before.

| what | the paper says | we do |
| --- | --- | --- |
| a law | $P(y \\| x)$ | the same |
| a norm | – | two |

| | GenSR |
| --- | --- |
| items | text |
"""


def test_each_row_is_a_card_and_other_tables_stay():
    shown = with_cards(SMALL)
    assert shown.startswith("Before.\n\n:::{card} a law\n**the paper says**: $P(y | x)$\n\n**we do**: the same\n:::\n")
    assert shown.count(":::{card}") == 2
    assert shown.endswith("| | GenSR |\n| --- | --- |\n| items | text |\n")


def test_wide_tables_are_marked_and_narrow_ones_stay():
    wide, narrow = "| a | b | c |\n| --- | --- | --- |\n| 1 | 2 | 3 |", "| a | b |\n| --- | --- |\n| 1 | 2 |"
    assert stacked(f"x\n\n{wide}\n\n{narrow}\n") == f"x\n\n:::{{div}}\n:class: stacked\n\n{wide}\n:::\n\n{narrow}\n"


def test_the_page_keeps_every_cell():
    rows = [line for line in PAGE_TEXT.splitlines() if line.count(" | ") == 4 and not line.startswith(f"| {FIRST} |")]
    rows = [line for line in rows if not line.startswith("| ---")]
    shown = with_cards(PAGE_TEXT)
    assert len(rows) > 40 and shown.count(":::{card}") == len(rows)
    for row in rows:
        for cell in row.strip("|").split(" | "):
            assert cell.strip() in shown
