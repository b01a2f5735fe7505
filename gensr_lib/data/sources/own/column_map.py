"""What a folder's own tables and columns are called, as its file ``columns.yaml`` says.

Without that file they have our names. A part of it that is missing leaves our names as they are.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from ....config import Config
from ....errors import ConfigError
from ....files import write_atomically

FILE = "columns.yaml"
DROP = "drop"  # in place of a behavior: such events are left out
HEAD = "# What the tables of this folder and their columns are called. All names are texts.\n"
Name = Annotated[str, Field(min_length=1)]


class LogColumns(Config):
    """By our name, what the file of events calls a column."""

    user_id: Name | None = None
    item_id: Name | None = None
    time: Name | None = None
    position: Name | None = None
    behavior: Name | None = None
    query: Name | None = None
    session_id: Name | None = None


class ItemColumns(Config):
    """By our name, what the file of items calls a column."""

    item_id: Name | None = None
    title: Name | None = None
    categories: Name | None = None
    text: Name | None = None
    brand: Name | None = None


class LogValues(Config):
    """What values of the file stand for."""

    behavior: dict[str, Literal["rec", "src", "drop"]] = Field(
        default_factory=dict, description="'drop' leaves such events out"
    )


class TableMap(Config):
    """One of the two tables: its file, and the columns that have other names there."""

    file: Name | None = Field(None, description="a name in the folder; None: looked for")

    @field_validator("file")
    @classmethod
    def _lies_in_the_folder(cls, file: str | None) -> str | None:
        path = Path(file or ".")
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("it must lie in the folder of the data; copy or link it there")
        return file

    @model_validator(mode="after")
    def _is_one_to_one(self):
        theirs = list(self.renamed.values())
        if twice := [name for name in theirs if theirs.count(name) > 1]:
            ours = " and ".join(name for name, column in self.renamed.items() if column == twice[0])
            raise ValueError(f"the column '{twice[0]}' stands for {ours}; keep one of them")
        return self

    @property
    def renamed(self) -> dict[str, str]:
        """By our name, what the file calls a column, where something was said of it."""
        return self.columns.model_dump(exclude_none=True)

    @property
    def behaviors(self) -> dict[str, str]:
        """What behaviors of the file stand for: ``rec``, ``src`` or `DROP`."""
        return {}


class LogMap(TableMap):
    """The table `interactions`."""

    columns: LogColumns = LogColumns()
    values: LogValues = LogValues()

    @property
    def behaviors(self) -> dict[str, str]:
        """As of `TableMap`."""
        return self.values.behavior


class ItemsMap(TableMap):
    """The table `items`."""

    columns: ItemColumns = ItemColumns()


class ColumnMap(Config):
    """Both tables of a folder."""

    interactions: LogMap = LogMap()
    items: ItemsMap = ItemsMap()

    def plain(self) -> dict[str, Any]:
        """As it is written: what was said, and nothing else."""
        return _filled(self.model_dump(exclude_none=True))


def read_map(folder: Path) -> ColumnMap:
    """What a folder's ``columns.yaml`` says; all is called as we call it where there is none.

    Raises:
        ConfigError: it is no YAML, a key stands in it twice or is none of ours, a value is out of
            range, or a column stands for two of ours.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return ColumnMap()
    try:
        values = yaml.load(path.read_bytes(), _Texts)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: this is no YAML: {error}; mend that line") from None
    if not isinstance(values or {}, dict):
        example = "interactions: {columns: {user_id: customer}}"
        raise ConfigError(f"{path}: it must hold blocks such as '{example}'")
    return ColumnMap.parse(values or {}, where=str(path))


def write_map(folder: Path, columns: ColumnMap) -> Path:
    """Write ``columns.yaml``; what stood there is replaced."""
    text = yaml.safe_dump(columns.plain(), sort_keys=False, allow_unicode=True)
    path = Path(folder) / FILE
    return write_atomically(path, lambda part: part.write_text(HEAD + text, encoding="utf-8"))


class _Texts(yaml.BaseLoader):
    """All scalars are texts (``007`` and ``yes`` too), and a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping of YAML as a dict; a doubled key would silently win over the first."""
        keys = [key.value for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            said = f"the key {twice[0]} stands there twice; keep one of them"
            raise yaml.constructor.ConstructorError(None, None, said, node.start_mark)
        return super().construct_mapping(node, deep)


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    """Nested values without the empty dicts."""
    inner = {k: _filled(v) if isinstance(v, dict) else v for k, v in values.items()}
    return {key: value for key, value in inner.items() if value != {}}
