"""One Parquet file: its columns as strings, numbers or dates, and how its rows are called."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from ....errors import DataError
from ...origin import Origin
from . import content

ROWS = 1 << 19  # that are taken at once: many small parts are slow to join


class ParquetFile:
    """A Parquet file.

    Attributes:
        names: of the columns, stripped.
        origin: how messages call its rows.

    Raises:
        DataError: it cannot be read.
    """

    def __init__(self, path: Path):
        self.path = path
        self.origin = Origin(str(path), lambda row: f"row {row + 1} (the first is 1)")
        with path.open("rb") as file:
            if file.read(4) != b"PAR1":
                raise DataError(
                    f"{path}: this is no Parquet file, or a damaged one. Write it again."
                )
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from error
        self._columns = self._file.schema_arrow.names
        self.names = [name.strip() for name in self._columns]

    def read(self, columns: list[str]) -> pd.DataFrame:
        """Some columns; rows have the numbers 0, 1, ….

        Raises:
            DataError: a column holds lists or other things that are no text, number or date, or
                the table is larger than `content.MAX_BYTES`.
        """
        stored = [self._columns[self.names.index(name)] for name in columns]
        parts = []
        size = 0
        try:
            for part in self._file.iter_batches(ROWS, columns=stored):
                parts.append(part)
                size += part.nbytes
                if size > content.MAX_BYTES:
                    limit = f"{content.MAX_BYTES:,} bytes, {content.__name__}.MAX_BYTES"
                    raise DataError(f"{self.path}: the table takes more than {limit}.")
            fields = [self._file.schema_arrow.field(name) for name in stored]
            table = pa.Table.from_batches(parts, pa.schema(fields)).rename_columns(columns)
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from error
        plain = {name: self._plain(name, table[name]) for name in columns}
        # Without what pandas wrote about an index: a column is a column.
        return pa.table(plain).to_pandas(ignore_metadata=True)

    def _plain(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """A column in a type that pandas holds without loss."""
        kind = column.type
        if types.is_dictionary(kind):
            return self._plain(name, column.cast(kind.value_type))
        if types.is_date(kind):
            return column.cast(pa.timestamp("s" if types.is_date32(kind) else "ms"))
        if types.is_integer(kind) and not column.null_count:
            return column
        if types.is_floating(kind) or types.is_boolean(kind) or types.is_timestamp(kind):
            return column
        if types.is_string(kind) or types.is_large_string(kind):
            return column
        # Decimals, and whole numbers beside missing ones, which pandas would make floating.
        if any(is_kind(kind) for is_kind in (types.is_integer, types.is_decimal, types.is_null)):
            return column.cast(pa.string())
        if types.is_binary(kind) or types.is_large_binary(kind) or types.is_string_view(kind):
            return self._decoded(name, column)
        advice = "write text, numbers or dates; a path of categories as 'A > B'"
        raise DataError(f"{self.path}: column {name} holds values of type {kind}; {advice}.")

    def _decoded(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        try:
            return column.cast(pa.large_string())
        except pa.ArrowInvalid as error:
            said = f"column {name} holds bytes that are no text ({error})"
            raise DataError(f"{self.path}: {said}; store it as strings.") from error

    def _unreadable(self, error: Exception) -> DataError:
        return DataError(f"{self.path}: cannot be read as a table: {str(error).strip()}")
