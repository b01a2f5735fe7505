"""Tables as pandas writes them for notebooks, made into tables of the page itself.

The theme shows an HTML output only after it has loaded a renderer of notebook outputs from three
other machines. A table that is part of the page needs no script, can be found and read aloud, and
scrolls in its own box.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from html.parser import HTMLParser

# What stands in a column of numbers: digits, signs and units, a dash or NaN for what is missing.
NUMBER = re.compile(r"[\d\s.,:;±%†–−+<>=()*e-]*|nan|none|true|false", re.IGNORECASE)
ROOMY = 7  # columns that fit the page in the size of its text
RULE = re.compile(r"((?:#\w+(?:,\s*)?)+)\s*\{([^}]*)\}")
MARKS = {"font-weight: bold": "strong", "text-decoration: underline": "u"}


@dataclass
class Cell:
    """One cell of a table: how it was marked up, and its text."""

    tag: str
    id: str = ""
    colspan: int = 1
    rowspan: int = 1
    text: str = ""


@dataclass
class _Reader(HTMLParser):
    """Reads the first table of an output: rows of its head and its body, and the styles by id."""

    head: list[list[Cell]] = field(default_factory=list)
    body: list[list[Cell]] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)
    _part: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a row or a cell, or note which part of the table comes."""
        known = dict(attrs)
        rows = self.head if self._part == "thead" else self.body
        if tag in ("style", "thead", "tbody"):
            self._part = tag
        elif tag == "tr":
            rows.append([])
        elif tag in ("td", "th"):
            spans = (int(known.get(name) or 1) for name in ("colspan", "rowspan"))
            rows[-1].append(Cell(tag, known.get("id") or "", *spans))

    def handle_data(self, data: str) -> None:
        """Text of the cell that was begun last, or styles."""
        rows = self.head if self._part == "thead" else self.body
        if self._part == "style":
            self._read_marks(data)
        elif rows and rows[-1]:
            rows[-1][-1].text += data

    def _read_marks(self, style: str) -> None:
        for names, rule in RULE.findall(style):
            for look, tag in MARKS.items():
                if look in rule:
                    self.marks |= dict.fromkeys(re.findall(r"#(\w+)", names), tag)


def page_table(html: str) -> str:
    """The table of an HTML output as MyST takes it; '' if there is none.

    Columns of words are aligned at the left, numbers at the right. Names of the index go into the
    corner of the head instead of a row of their own, before that of the columns if these have one.
    """
    reader = _Reader()
    reader.feed(html)
    if not reader.body:
        return ""
    body = reader.body
    index = sum(cell.tag == "th" for cell in body[0])
    head = _without_row_of_names(reader.head, index)
    words = _columns_of_words(body)
    rows = [*(_head_row(row, index, words) for row in head)]
    rows += [_row(row, _places(row), words, reader.marks) for row in body]
    cut = len(head)
    look = ' class="compact"' if len(body[0]) > ROOMY else ""
    return (
        f"<table{look}><thead>{''.join(rows[:cut])}</thead>\n"
        + f"<tbody>{chr(10).join(rows[cut:])}</tbody></table>"
    )


def _without_row_of_names(head: list[list[Cell]], index: int) -> list[list[Cell]]:
    """A last row of the head that only names the columns of the index moves up into the corner."""
    if len(head) < 2:
        return head
    *kept, above, names = head
    named = [(number, cell) for number, cell in enumerate(names) if cell.text.strip()]
    if any(number >= index for number, _ in named) or len(names) != len(above):
        return head
    for number, cell in named:
        of_columns = above[number].text.strip()
        above[number].text = f"{cell.text} ↓ {of_columns} →" if of_columns else cell.text
    return [*kept, above]


def _columns_of_words(body: list[list[Cell]]) -> set[int]:
    """The data columns in which some cell is no number."""
    return {
        place
        for row in body
        for place, cell in zip(_places(row), row, strict=True)
        if place is not None and not NUMBER.fullmatch(cell.text.strip())
    }


def _places(row: list[Cell]) -> list[int | None]:
    """The number of each cell's data column; None for those of the index."""
    seen = iter(range(len(row)))
    return [next(seen) if cell.tag == "td" else None for cell in row]


def _head_row(row: list[Cell], index: int, words: set[int]) -> str:
    places, column = [], -index
    for cell in row:
        places.append(column if column >= 0 and cell.colspan == 1 else None)
        column += cell.colspan
    return "<tr>" + "".join(map(_cell, row, _aligned(row, places, words))) + "</tr>"


def _row(row: list[Cell], places: list[int | None], words: set[int], marks: dict[str, str]) -> str:
    aligned = _aligned(row, places, words)
    marked = [marks.get(cell.id, "") for cell in row]
    return "<tr>" + "".join(map(_cell, row, aligned, marked)) + "</tr>"


def _aligned(row: list[Cell], places: list[int | None], words: set[int]) -> Iterator[str]:
    for _, place in zip(row, places, strict=True):
        yield "left" if place is None or place in words else "right"


def _cell(cell: Cell, aligned: str, mark: str = "") -> str:
    spans = "".join(
        f' {name}="{value}"'
        for name, value in (("colspan", cell.colspan), ("rowspan", cell.rowspan))
        if value > 1
    )
    text = re.sub(r"[ \t\r\n]+", " ", cell.text).strip()  # no-break spaces stay
    text = escape(text, quote=False)
    text = f"<{mark}>{text}</{mark}>" if mark else text
    style = "" if aligned == "left" else f' style="text-align:{aligned}"'
    return f"<{cell.tag}{spans}{style}>{text}</{cell.tag}>"
