"""The user's own tables, the mapping of their columns, and a look at all their faults at once."""

from .column_map import ColumnMap, read_map, write_map
from .examined import Examined, Finding, examine
from .read import SOURCE, read_tables

__all__ = [
    "SOURCE",
    "ColumnMap",
    "Examined",
    "Finding",
    "examine",
    "read_map",
    "read_tables",
    "write_map",
]
