"""The card of an exported data set, ``README.md``, in the format of the Hugging Face hub.

Its YAML header is made by `huggingface_hub`, so that `datasets` finds configurations, splits and
features there; the text is ``card.md`` beside this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from huggingface_hub import DatasetCard, DatasetCardData

from ..dataset import Dataset
from ..schema import TASK_LABELS

TEMPLATE = Path(__file__).with_suffix(".md")
SIMULATED = "apache-2.0"  # what the library simulates has its licence
# As the hub calls them, by the beginning of a data set's name; all else is unknown.
LICENCES = {"kuaisar": "cc-by-nc-sa-4.0", "movielens-": "other"}
MADE = "searches were made from the categories"  # what `Dataset.notes` say of made searches


@dataclass(frozen=True)
class Table:
    """A Parquet file, as the hub describes it.

    Attributes:
        config, split: its configuration and its part of it.
        path: below the folder of the export.
        schema: names and types of its columns.
        rows: how many it has.
        memory, disk: its bytes as Arrow columns, and as a file.
    """

    config: str
    split: str
    path: str
    schema: pa.Schema
    rows: int = 0
    memory: int = 0
    disk: int = 0


def card(dataset: Dataset, tables: Sequence[Table]) -> str:
    """The card of a data set whose tables were written: YAML header and Markdown."""
    configs: dict[str, list[Table]] = {}
    for table in tables:
        configs.setdefault(table.config, []).append(table)
    tasks = {name: label for name, label in TASK_LABELS.items() if name in configs}
    simulated = dataset.truth is not None
    header = DatasetCardData(
        license=_licence(dataset),
        pretty_name=dataset.name,
        tags=list(tasks.values()),
        configs=[_files(*config) for config in configs.items()],
        dataset_info=[_info(*config) for config in configs.items()],
    )
    said = {"data": dataset, "tasks": tasks, "tables": tables, "simulated": simulated}
    said |= {"searches_made": any(MADE in note for note in dataset.notes)}
    return str(DatasetCard.from_template(header, str(TEMPLATE), **said))


def _licence(dataset: Dataset) -> str:
    if dataset.truth is not None:
        return SIMULATED
    known = (licence for start, licence in LICENCES.items() if dataset.name.startswith(start))
    return next(known, "unknown")


def _files(config: str, tables: Sequence[Table]) -> dict[str, Any]:
    """Which files a configuration has."""
    files = [{"split": table.split, "path": table.path} for table in tables]
    return {"config_name": config, "data_files": files}


def _info(config: str, tables: Sequence[Table]) -> dict[str, Any]:
    """What `datasets` checks a configuration by, and casts it to."""
    splits = [
        {"name": table.split, "num_bytes": table.memory, "num_examples": table.rows}
        for table in tables
    ]
    return {
        "config_name": config,
        "features": [_feature(field) for field in tables[0].schema],
        "splits": splits,
        "download_size": sum(table.disk for table in tables),
        "dataset_size": sum(table.memory for table in tables),
    }


def _feature(field: pa.Field) -> dict[str, str]:
    if pa.types.is_list(field.type):
        return {"name": field.name, "sequence": str(field.type.value_type)}
    return {"name": field.name, "dtype": str(field.type)}
