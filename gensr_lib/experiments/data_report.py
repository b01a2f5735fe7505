"""`Report`: what a check of a data set found, as text, Markdown, HTML or plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ..data.sources.own.examined import FILLED, Finding
from ..errors import ConfigError
from ..files import write_atomically, write_json

HEAD = '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{0}</title>\n<h1>{0}</h1>\n'


@dataclass
class Report:
    """What `check_tables` found.

    Attributes:
        name: of the data set.
        source: what finds it: its name, or the path of its folder.
        profile: whose filters and protocol were taken.
        problems: why the data are refused as they are; empty if they can be used.
        files, columns: as in `Examined`.
        contents: pairs of what there is and how it was understood.
        counts: events, users and items after each step, as `Dataset.counts`.
        changes: what was dropped, cut or made up on the way.
        cores: what each k of the k-core would leave, where it leaves little.
        limits: sentences on what the data will not support in the book.
        hash: of the data set; empty if there is none.
        is_part: whether all but problems, files and columns is of the rows without a fault.
    """

    name: str
    source: str
    profile: str
    problems: list[Finding] = field(default_factory=list)
    files: list[dict] = field(default_factory=list)
    columns: list[dict] = field(default_factory=list)
    contents: list[dict] = field(default_factory=list)
    counts: list[dict] = field(default_factory=list)
    changes: list[Finding] = field(default_factory=list)
    cores: list[dict] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    hash: str = ""
    is_part: bool = False

    @property
    def is_refused(self) -> bool:
        """Whether the data cannot be used as they are."""
        return bool(self.problems)

    @property
    def is_readable(self) -> bool:
        """Whether both tables of somebody's own data can be read, if not all of their rows."""
        return len(self.files) == 2 and all(file.get("rows") for file in self.files)

    def plain(self) -> dict[str, Any]:
        """All of it as plain values."""
        values = asdict(self)
        for name in ("problems", "changes"):
            values[name] = [_plain_finding(finding) for finding in getattr(self, name)]
        return {**values, "is_refused": self.is_refused}

    def text(self) -> str:
        """As a terminal shows it."""
        parts = [_title(self)]
        for section in sections(self):
            lines = [f"  {'- ' if depth == 0 else '    '}{line}" for depth, line in section.lines]
            lines += [f"  {line}" for line in _aligned(section.table)]
            parts.append("\n".join([section.title, *lines]))
        return "\n\n".join(parts) + "\n"

    def markdown(self) -> str:
        """As a page of Markdown."""
        parts = [f"# {_title(self)}"]
        for section in sections(self):
            lines = [f"{'  ' * depth}- {_spelled(line)}" for depth, line in section.lines]
            parts.append(f"## {section.title}")
            parts += ["\n".join(lines)] if lines else []
            parts += ["\n".join(_rows(section.table))] if len(section.table) else []
        return "\n\n".join(parts) + "\n"

    def html(self) -> str:
        """As a page that needs nothing else."""
        parts = [HEAD.format(escape(_title(self)))]
        for section in sections(self):
            parts.append(f"<h2>{escape(section.title)}</h2>")
            if section.lines:
                parts.append(f"<ul>{''.join(map(_item, section.lines))}</ul>")
            if len(section.table):
                with pd.option_context("display.max_colwidth", None):
                    parts.append(section.table.to_html(index=False, border=0))
        return "\n".join(parts) + "\n"

    def write(self, path: Path) -> Path:
        """Write it as ``.md``, ``.html`` or ``.json``.

        Raises:
            ConfigError: another ending, or a disk that is full or read-only.
        """
        write = writer(path)
        if write is None:
            return write_json(path, self.plain())
        return write_atomically(path, lambda part: part.write_text(write(self), encoding="utf-8"))


def writer(path: Path) -> Callable[[Report], str] | None:
    """What makes the text of a file of this name; None for JSON, ConfigError for other endings."""
    known = {".md": Report.markdown, ".html": Report.html, ".json": None}
    if Path(path).suffix not in known:
        raise ConfigError(f"{path}: a report is written as {', '.join(known)}; name it so.")
    return known[Path(path).suffix]


class Section(NamedTuple):
    """A part of a report: a title, lines with their depth (0 or 1), and a table, maybe empty."""

    title: str
    lines: list[tuple[int, str]]
    table: pd.DataFrame


def sections(report: Report) -> list[Section]:
    """The parts of a report that have something in them, in the order in which one reads them."""
    part = ", of the rows without a fault" if report.is_part else ""
    candidates = [
        Section("Problems: mend these", _told(report.problems), _table([])),
        Section("Files", [], _table(report.files)),
        Section("Columns", [], _table(report.columns)),
        Section(f"What is in them{part}", [], _table(report.contents)),
        Section(f"What is left after each step{part}", [], _table(report.counts)),
        Section(f"Dropped, cut or made up{part}", _told(report.changes), _table([])),
        Section("What each k of the k-core would leave", [], _table(report.cores)),
        Section("What the book leaves out", [(0, line) for line in report.limits], _table([])),
    ]
    return [section for section in candidates if section.lines or len(section.table)]


def _title(report: Report) -> str:
    number = len(report.problems)
    found = f"refused, {number} problem{'s' * (number != 1)}" if number else "can be used"
    return f"{report.name}: {found} (profile {report.profile})"


def _told(findings: Iterable[Finding]) -> list[tuple[int, str]]:
    lines = []
    for finding in findings:
        lines.append((0, finding.said))
        for example in finding.examples:
            column = f", {example.column}" if example.column else ""
            lines.append(
                (1, f"{Path(example.file).name}, {example.place}{column}: {example.value}")
            )
        if finding.advice:
            lines.append((1, f"→ {finding.advice}"))
    return lines


def _table(rows: Sequence[dict]) -> pd.DataFrame:
    """Rows as texts: numbers with commas, shares in per cent, nothing where nothing is known."""
    texts = [{name: _cell(name, value) for name, value in row.items()} for row in rows]
    return pd.DataFrame(texts).fillna("")


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    if name == FILLED:
        return f"{value:.1%}"
    return str(value) if isinstance(value, str) else f"{value:,}"


def _aligned(table: pd.DataFrame) -> Iterator[str]:
    """The lines of a table: numbers to the right, texts to the left."""
    columns = []
    for name in table.columns:
        cells = [name, *table[name]]
        width = max(map(len, cells))
        is_number = table[name].str.fullmatch(r"[\d,.%]*").all()
        columns.append([c.rjust(width) if is_number else c.ljust(width) for c in cells])
    yield from ("  ".join(row).rstrip() for row in zip(*columns, strict=True))


def _rows(table: pd.DataFrame) -> Iterator[str]:
    """The lines of a table in Markdown."""
    yield f"| {' | '.join(table.columns)} |"
    yield f"|{' --- |' * table.shape[1]}"
    for row in table.itertuples(index=False):
        yield f"| {' | '.join(map(_spelled, row))} |"


def _spelled(text: str) -> str:
    """A text of the data that Markdown shows as it is."""
    marked = "".join(f"\\{letter}" if letter in "\\`*_[]<>|" else letter for letter in text)
    return marked.replace("\n", " ")


def _item(line: tuple[int, str]) -> str:
    depth, text = line
    return f'<li style="margin-left: {2 * depth}em">{escape(text)}</li>'


def _plain_finding(finding: Finding) -> dict[str, Any]:
    examples = [example._asdict() for example in finding.examples]
    return {**finding._asdict(), "examples": examples}
