"""Tables of sentences on the site: a card for each row, or on a phone a row of blocks.

A table of several columns of sentences is easy to edit, and hard to read in a page's column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

PAGE = "paper_versus_code.md"
MESSAGES = "book/what_can_go_wrong.md"
FIRST = "what"  # head of the first column of such a table
NOTHING = "–"
WIDE = 3  # columns
CELLS = re.compile(r"(?<!\\)\|")  # a bar that is written \| is a part of its cell


def with_cards(text: str) -> str:
    """The page with each of its tables of choices as cards, all else as it is.

    A column that has nothing (a dash) has no line in the card.

    >>> print(with_cards("| what | they | we |\\n| --- | --- | --- |\\n| a norm | – | two |"))
    :::{card} a norm
    **we**: two
    :::
    <BLANKLINE>
    """
    parts = []
    for is_table, lines in groupby(text.split("\n"), lambda line: line.startswith("|")):
        block = [*lines]
        head = _cells(block[0]) if is_table else []
        if head[:1] == [FIRST]:
            parts += [line for row in block[2:] for line in _card(head, _cells(row))]
        else:
            parts += block
    return "\n".join(parts)


def stacked(text: str) -> str:
    """The page of messages with its wide tables marked for the style: on a phone their cells stand
    one below the other, which needs no heads where each row reads as a sentence.

    >>> stacked("| a | b | c |\\n| --- | --- | --- |\\n| no file | none is there | save one |")[:9]
    ':::{div}\\n'
    """
    parts = []
    for is_table, lines in groupby(text.split("\n"), lambda line: line.startswith("|")):
        block = [*lines]
        is_wide = is_table and len(_cells(block[0])) >= WIDE
        parts += [":::{div}", ":class: stacked", "", *block, ":::"] if is_wide else block
    return "\n".join(parts)


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in CELLS.split(line)[1:-1]]


def _card(head: list[str], cells: list[str]) -> Iterator[str]:
    """A row's card: its first cell is the title, what the others are of stands before them."""
    yield f":::{{card}} {cells[0]}"
    columns = zip(head[1:], cells[1:], strict=True)
    yield "\n\n".join(f"**{name}**: {cell}" for name, cell in columns if cell != NOTHING)
    yield ":::"
    yield ""
