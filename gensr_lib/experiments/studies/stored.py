"""A cell on disk: one Parquet file of some kilobytes, with the ranks and where they come from.

The table has a row per test row; the record stands in the file's own metadata, so that a cell is
one file, named by its key, and two machines' results are merged by copying files together.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ...data.schema import BEHAVIORS
from ...errors import ConfigError
from ...files import write_atomically
from ...training.metrics import EXPECTED
from .cells import Cell

FORMAT = 1  # of the file; readers refuse others
RECORD = "gensr"  # key of the record in the file's metadata: JSON, zlib, base64
KEPT = "expected N@10"  # the one expected metric of each row; the means of all are in the record
STEPS = 10_000  # a kept value is a whole number of these: a row is exact to 5e-5
PLAIN = ("task", "rank")  # smaller without an encoding of differences


@dataclass(frozen=True)
class Stored:
    """A finished cell.

    Attributes:
        key: of the `cells.Cell`.
        record: plain values: ``data, profile, data_hash, model, options, training, seed``, what
            came out, ``metrics, expected, best_epoch, measures, parameters``, the ``history`` (a
            row per epoch), ``seconds`` and ``provenance``.
        ranks: ``task, row, user, item, rank`` and, where a law is known, `KEPT`; no row where the
            study keeps only means.
    """

    key: str
    record: dict[str, Any]
    ranks: pd.DataFrame = field(repr=False)


def save_cell(folder: Path, cell: Stored) -> Path:
    """Write ``<key>.parquet`` whole or not at all.

    Raises:
        ConfigError: it cannot be written.
    """
    ranks = cell.ranks
    columns = {
        "task": ranks["task"].map(BEHAVIORS.index).to_numpy(np.uint8),
        "row": ranks["row"].to_numpy(np.int32),
        "user": ranks["user"].to_numpy(np.int32),
        "item": ranks["item"].to_numpy(np.int32),
        "rank": (2 * ranks["rank"]).to_numpy(np.int32),  # ties count half
    }
    if KEPT in ranks:
        columns[KEPT] = np.rint(ranks[KEPT].to_numpy() * STEPS).astype(np.int32)
    record = {"format": FORMAT, "key": cell.key, **cell.record}
    packed = zlib.compress(json.dumps(record, separators=(",", ":")).encode(), 9)
    text = base64.b64encode(packed).decode()
    return write_atomically(
        folder / f"{cell.key}.parquet", lambda part: _write(part, pa.table(columns), text)
    )


def _write(path: Path, table: pa.Table, text: str) -> None:
    encoding = {name: "DELTA_BINARY_PACKED" for name in table.column_names if name not in PLAIN}
    options = {"compression": "zstd", "compression_level": 19, "use_dictionary": False}
    options |= {"column_encoding": encoding, "write_statistics": False}
    # Without Arrow's own copy of the schema, which would hold the record a second time.
    with pq.ParquetWriter(path, table.schema, store_schema=False, **options) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({RECORD: text})


def load_cell(path: Path) -> Stored:
    """Read a cell.

    Raises:
        ConfigError: the file is missing, damaged, of another layout, or is not named by its key.
    """
    try:
        file = pq.ParquetFile(path)
        packed = base64.b64decode(file.metadata.metadata[RECORD.encode()])
        record = json.loads(zlib.decompress(packed))
        ranks = file.read().to_pandas()
        layout, key = record.pop("format"), record.pop("key")
    except Exception as error:  # Arrow, JSON and the disk each have their own
        raise ConfigError(
            f"{path}: missing or damaged ({str(error).splitlines()[0]}); delete it, and "
            f"`gensr study run {path.parent.name}` makes it anew"
        ) from None
    if layout != FORMAT or key != path.stem:
        raise ConfigError(
            f"{path}: layout {layout} and key {key}, where this library reads layout {FORMAT} and "
            f"a file is named by its key; `gensr study run {path.parent.name}` makes it anew"
        )
    ranks["task"] = np.array(BEHAVIORS, dtype=object)[ranks["task"]]
    ranks["rank"] = ranks["rank"] / 2
    if KEPT in ranks:
        ranks[KEPT] = ranks[KEPT] / STEPS
    return Stored(key, record, ranks)


def load_cells(cells: Iterable[Cell], folder: Path) -> list[tuple[Cell, Stored]]:
    """Those of some cells that are in a folder; `ConfigError` as `load_cell`."""
    paths = [(cell, folder / f"{cell.key}.parquet") for cell in cells]
    return [(cell, load_cell(path)) for cell, path in paths if path.exists()]


def means(record: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """The test metrics of a cell by task and name, plain and, as in `EXPECTED`, under the law."""
    found = {(t, name): value for t, of in record["metrics"].items() for name, value in of.items()}
    for task, of in record["expected"].items():
        found |= {(task, name): of[name.removeprefix("expected ")] for name in EXPECTED}
    return found
