"""One CSV or TSV file: its header, its separator, its rows as strings, and the line of each row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from ....errors import DataError
from ...origin import FIRST, Example, FaultyRows, Origin, shown
from ...schema import TEXT
from .content import MAX_LINE, check_text, is_gzip, open_content

TAB = "\t"
SEPARATORS = f",;{TAB}|"
NOT_UTF8 = re.compile("[\udc80-\udcff]")  # how `_records` reads a byte that is no UTF-8
LINE_END = re.compile("[\r\n]+")
# What is said of a line; the gap is for the column.
SEVERAL = (
    "begins a quoted field of several lines{}; close its quotation mark, or write spaces for its "
    "line breaks"
)


class CsvFile:
    """A CSV or TSV file with a header, packed with gzip or not.

    Args:
        known: names of columns; the separator is the one that finds most of them in the header. A
            file called ``.tsv`` has tabs.
        text: the one of them whose quoted fields may have several lines.

    Attributes:
        names: of the columns, stripped, in the order of the header.
        origin: how messages call its rows.

    Raises:
        DataError: as `content.check_text`; the file is empty; it is called ``.tsv`` and its header
            has another separator.
    """

    def __init__(self, path: Path, known: tuple[str, ...], text: str = TEXT):
        self.path = path
        self.origin = Origin(str(path), self._line)
        self._known = known
        self._one_line = set(known) - {text}
        self._filled_lines = check_text(path)
        self._separator = self._find_separator()
        self._header_line, header = next(self._records())
        self.names = [name.strip() for name in header]

    def read(self, columns: list[str]) -> pd.DataFrame:
        """Some columns as strings, one row per record; rows have the numbers 0, 1, ….

        Raises:
            DataError: a row is shorter or longer than the header, a byte is no UTF-8, or a quoted
                field has several lines though it is no text, or one of them looks like a row: a
                quotation mark that is not closed swallows rows. The message names the line.
        """
        names = [str(number) for number in range(len(self.names))]  # one may be there twice
        wanted = [str(self.names.index(name)) for name in columns]
        options = {
            "read_options": pa.csv.ReadOptions(
                column_names=names, skip_rows=self._header_line, block_size=2 * MAX_LINE
            ),
            "parse_options": pa.csv.ParseOptions(
                delimiter=self._separator, newlines_in_values=True
            ),
            "convert_options": pa.csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()), include_columns=wanted
            ),
        }
        packed = "gzip" if is_gzip(self.path) else None
        try:
            with pa.input_stream(str(self.path), compression=packed) as stream:
                table = pa.csv.read_csv(stream, **options)
        except pa.ArrowException as error:
            raise self._fault(error) from error
        if len(table) + 1 < self._filled_lines:
            self._refuse_swallowed_rows()
        return table.rename_columns(columns).to_pandas()

    def _find_separator(self) -> str:
        with self._text() as text:
            first = next((line for line in text if line.strip()), "")
        if not first:
            raise DataError(f"{self.path}: the file is empty; line 1 must hold the column names.")
        if re.fullmatch(r'"?sep=.?"?\s*', first):
            said = f"line 1 is {shown(first.strip())}, not a header; delete it"
            raise DataError(f"{self.path}: {said}.")

        def hits(separator: str) -> tuple[int, int]:
            names = next(csv.reader([first], delimiter=separator))
            return len({name.strip() for name in names} & set(self._known)), len(names)

        best = max(SEPARATORS, key=hits)
        if not self.path.name.lower().endswith((".tsv", ".tsv.gz")):
            return best
        if hits(best)[0] > hits(TAB)[0]:
            said = f"line 1 has {best!r} between the columns, and a .tsv file has tabs"
            raise DataError(f"{self.path}: {said}; name it .csv, or write tabs.")
        return TAB

    def _text(self) -> io.TextIOWrapper:
        content = open_content(self.path)
        return io.TextIOWrapper(content, "utf-8-sig", "surrogateescape", newline="")

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """The line at which each record begins, and its fields: the header first, no blank lines.

        Slow: for messages only.
        """
        before = csv.field_size_limit(2**31 - 1)
        try:
            with self._text() as text:
                reader = csv.reader(text, delimiter=self._separator)
                line = 1
                for fields in reader:
                    if fields:
                        yield line, fields
                    line = reader.line_num + 1
        finally:
            csv.field_size_limit(before)

    def _line(self, row: int) -> str:
        """Where a row of the table begins; a quoted text may have several lines."""
        line, _ = next(islice(self._records(), row + 1, None))
        return f"line {line}"

    def _refuse_swallowed_rows(self) -> None:
        for line, fields in self._records():
            for name, field in zip(self.names, fields, strict=True):
                later = LINE_END.split(field)[1:]
                rows = csv.reader(later, delimiter=self._separator)
                looks_like_row = any(len(row) == len(self.names) > 1 for row in rows)
                if later and (name in self._one_line or looks_like_row):
                    raise self._several_lines(line, f" in column {name}")

    def _several_lines(self, line: int, where: str = "") -> DataError:
        return DataError(f"{self.path}: line {line} {SEVERAL.format(where)}.")

    def _fault(self, error: Exception) -> DataError:
        """What a reader of the file must know of an error of the parser."""
        for line, said in self._faults():
            where = FaultyRows(self._first_faults)
            return DataError(f"{self.path}: line {line} {said}.", where)
        return DataError(f"{self.path}: cannot be read as a table: {str(error).strip()}")

    def _first_faults(self) -> list[Example]:
        first = islice(self._faults(), FIRST)
        return [Example(str(self.path), f"line {line}", "", said) for line, said in first]

    def _faults(self) -> Iterator[tuple[int, str]]:
        """The lines at which a record begins that cannot be read, and what is said of each."""
        for line, fields in self._records():
            if found := NOT_UTF8.search("".join(fields)):
                byte = ord(found[0]) - 0xDC00
                yield line, f"is not UTF-8 text (byte 0x{byte:02x}). Save the table as UTF-8"
            elif len(fields) == len(self.names):
                continue
            elif LINE_END.search("".join(fields)):
                yield line, SEVERAL.format("")
            else:
                number = f"{len(fields)} field{'s' * (len(fields) != 1)}"
                advice = f"write all columns, and quote a field that holds {self._separator!r}"
                yield line, f"has {number}, the header {len(self.names)}; {advice}"
