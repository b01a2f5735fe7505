"""The reviews of the Amazon data: who reviewed what and when, from JSON lines or a table."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from ....errors import DataError
from ...origin import Origin
from ...schema import BEHAVIOR, ITEM, QUERY, REC, SESSION, TIME, USER, name_codes
from ...times import LIMIT, whole_numbers
from ..formats.allowance import Allowance
from ..formats.content import line_blocks
from ..formats.csv_file import CsvFile
from .fields import Release, review_row
from .lines import Lines

CSV = (".csv.gz", ".csv")  # how the names of tables end
PARSED = 1 << 20  # bytes that Arrow parses at once; a review is far shorter
COLUMNS = (USER, ITEM, TIME)


def read_reviews(path: Path, release: Release, allowed: Allowance) -> tuple[pd.DataFrame, Origin]:
    """The events of all reviews, and how messages call their rows.

    Args:
        path: JSON lines, or a table with a header.

    Raises:
        DataError: as `read.read_amazon`.
    """
    origin = Origin(str(path))
    if path.name.endswith(CSV):
        events, origin = _read_table(path, release)
    else:
        events = _read_lines(path, release, allowed)
    events = _within_time(events, release, path, allowed)
    # Codes at once: strings of every review would take several times the memory.
    codes = {column: name_codes(events[column]) for column in (USER, ITEM)}
    return events.assign(**codes, **{BEHAVIOR: REC, QUERY: "", SESSION: -1}), origin


def _read_table(path: Path, release: Release) -> tuple[pd.DataFrame, Origin]:
    """The reviews of the release of 2023 without their texts, as it offers its 5-core."""
    fields = [release.user, release.item, release.time]
    table = CsvFile(path, (*fields, "rating"))
    missing = [name for name in fields if name not in table.names]
    if missing:
        found = f"no column {', '.join(missing)}, but {', '.join(table.names[:9])}"
        advice = f"take the file of benchmark/5core/rating_only from {release.home}"
        raise DataError(f"{path}: {found}; {advice}.")
    events = table.read(fields)
    events[release.time] = whole_numbers(events[release.time], table.origin)
    return events.set_axis(list(COLUMNS), axis="columns"), table.origin


def _read_lines(path: Path, release: Release, allowed: Allowance) -> pd.DataFrame:
    """The reviews by Arrow, but for blocks with a faulty line, which are read line by line."""
    fields = [(release.user, pa.string()), (release.item, pa.string()), (release.time, pa.int64())]
    schema = pa.schema(fields)
    seen = Lines(path)
    parts = []
    for block in line_blocks(path):
        part = _arrow_table(block, schema)
        if part is None:
            rows = seen.parsed(block, partial(review_row, release=release))
            part = pa.Table.from_pylist(rows, schema)
        else:
            seen.passed(len(part))
        parts.append(part)
    seen.report(allowed, release.home)
    return pa.concat_tables(parts).rename_columns(list(COLUMNS)).to_pandas()


def _arrow_table(block: bytes, schema: pa.Schema) -> pa.Table | None:
    """The fields of all lines of a block; None if a line is faulty, since Arrow cannot skip one."""
    parse = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    read = pyarrow.json.ReadOptions(block_size=PARSED)
    try:
        table = pyarrow.json.read_json(pa.BufferReader(block), read, parse).select(schema.names)
        table.validate(full=True)  # that the ids are UTF-8
    except (pa.ArrowException, KeyError):
        return None
    n_lines = block.count(b"\n") + (not block.endswith(b"\n"))
    return table if len(table) == n_lines and _all_sound(table) else None


def _all_sound(table: pa.Table) -> bool:
    """Whether every id has a character and every time is within the limit."""
    user, item, time = table.columns
    shortest = pc.min(pc.binary_length(pa.chunked_array([*user.chunks, *item.chunks])))
    latest = pc.max(pc.abs(time))
    is_known = not any(column.null_count for column in (user, item, time))
    return is_known and shortest.as_py() > 0 and latest.as_py() <= LIMIT


def _within_time(
    events: pd.DataFrame, release: Release, path: Path, allowed: Allowance
) -> pd.DataFrame:
    """The events whose time is possible, in seconds since 1970.

    The bound is the end of the release's last year and not today: what is read depends on the files
    alone.
    """
    time = events[TIME]
    possible = time.between(release.first, release.end, inclusive="left")
    if bad := int((~possible).sum()):
        unit = "seconds" if release.per_second == 1 else "milliseconds"
        counts = f"{bad} of {len(time)} reviews"
        found = f"{counts} have a {release.time} outside of the release of {release.year}"
        example = f"such as {time[~possible].iloc[0]}"
        advice = f"they should be {unit} since 1970."
        allowed.settle(path, bad, len(time), f"{found}, {example}", advice)
    events = events[possible]
    if release.per_second > 1:  # the order within a second stays
        events = events.sort_values(TIME, kind="stable")
    return events.assign(**{TIME: events[TIME] // release.per_second})
