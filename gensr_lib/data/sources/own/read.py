"""The user's own tables: `interactions` and `items` as CSV, TSV or Parquet in one folder.

Found and read in `file`, brought to our columns in `columns`, checked by
`schema.validate`. A column whose name is nearly that of a known one is an error.
"""

from __future__ import annotations

from pathlib import Path

from ....errors import DataError
from ...schema import Tables, validate
from ..source import Kind
from .column_map import ColumnMap, read_map
from .columns import interactions_of, items_of
from .file import INTERACTIONS, ITEMS, OwnFile, find_file


def read_tables(folder: Path, columns: ColumnMap | None = None) -> Tables:
    """Read the user's own data from ``folder``.

    Files: ``interactions`` and ``items``, ``.csv``, ``.tsv``, both with or without ``.gz``, or
    ``.parquet``. CSV is UTF-8 with a header, its columns separated by commas, semicolons, tabs or
    bars, those of a TSV file by tabs; every row has all columns. Files and columns of other names
    are read if a mapping says which they are.

    - interactions: ``user_id``, ``item_id`` and ``time`` (whole numbers, or dates of one format:
      `times.moments`) or ``position`` (any number that orders a user's events; taken as the time,
      or, beside ``time``, to order equal times of one behavior: `times.positions`).
      Optional: ``behavior``
      (``rec`` where the column is missing), ``query``, ``session_id`` (of any type, counted per
      user; a search without one is a session).
    - items: ``item_id``. Optional: ``title``, ``categories`` (``A > B``, paths joined by ``|``),
      ``text``, ``brand``. No text: title, brand and leaf category; no title: the text.

    Args:
        columns: the mapping; by default what the folder's ``columns.yaml`` says, if it has one.

    Returns:
        Validated `Tables`. Other columns are left out, and named in the notes.

    Raises:
        ConfigError: ``columns.yaml`` is faulty (`column_map.read_map`).
        DataError: a file that is missing, damaged, of another format or far too large
            (`content`); columns that are missing, there twice or misspelt, or that the mapping
            names and the file does not have; a row with too few or
            too many fields, or a quoted field that may have swallowed some (`csv_file`); a query
            without the column ``behavior``; what `times` and `schema.validate` refuse. The message
            names the file, the line as an editor shows it (1 is the header), the column, the value
            and what to change.
    """
    folder = existing(folder)
    mapping = columns or read_map(folder)
    log_path = find_file(folder, "interactions", mapping.interactions.file)
    items_path = find_file(folder, "items", mapping.items.file)
    notes: list[str] = []
    log = OwnFile(log_path, mapping.interactions, INTERACTIONS).checked()
    events = interactions_of(log.read(notes), log.origin, notes, log.behaviors)
    catalogue = OwnFile(items_path, mapping.items, ITEMS).checked()
    items = items_of(catalogue.read(notes), catalogue.origin)
    origins = (log.origin, catalogue.origin)
    return validate(Tables(events, items, notes=notes), str(folder), origins)


def existing(folder: Path) -> Path:
    """The folder; DataError if it is none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder for the tables `interactions` and `items`.")
    return folder


def _example(folder: Path) -> str:
    """Two customers and four things, one of them searched for."""
    events = ["user_id,item_id,time,behavior,query", "ann,pen,1,rec,", "ann,ink,2,src,blue ink"]
    events += ["bob,pen,1,rec,", "bob,mug,2,rec,"]
    items = ["item_id,title", "pen,A pen", "ink,Ink", "mug,A mug", "hat,A hat"]
    for name, lines in (("interactions", events), ("items", items)):
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder)


SOURCE = Kind(
    read=lambda path, profile, seed: read_tables(path), example=_example, check=lambda path: None
)
