"""The mapping of a folder: what it may say, and that it comes back as it was written."""

from __future__ import annotations

import pytest
import yaml

from gensr_lib.data.sources.own import read_tables
from gensr_lib.data.sources.own.column_map import FILE, ColumnMap, read_map, write_map
from gensr_lib.data.sources.own.file import INTERACTIONS, ITEMS
from gensr_lib.errors import ConfigError

NAMES = {"user_id": "007", "item_id": "yes", "time": "null", "behavior": "1.50"}
KINDS = {"no": "src", "0x10": "rec", "ä: b": "drop"}
FULL = {
    "interactions": {"file": "log of May.csv", "columns": NAMES, "values": {"behavior": KINDS}},
    "items": {"columns": {"item_id": "~"}},
}


def test_what_is_written_is_read_again_and_all_names_stay_texts(tmp_path):
    mapping = ColumnMap.parse(FULL)
    path = write_map(tmp_path, mapping)
    assert path == tmp_path / FILE and read_map(tmp_path) == mapping
    assert mapping.plain() == FULL == yaml.safe_load(path.read_text(encoding="utf-8"))
    assert mapping.interactions.renamed == NAMES and mapping.items.renamed == {"item_id": "~"}
    assert mapping.interactions.behaviors == KINDS and mapping.items.behaviors == {}


def test_unquoted_names_are_texts_too(tmp_path):
    (tmp_path / FILE).write_text("interactions: {columns: {user_id: 007, time: yes}, values: {behavior: {1: rec}}}")
    found = read_map(tmp_path).interactions
    assert found.renamed == {"user_id": "007", "time": "yes"} and found.behaviors == {"1": "rec"}


def test_a_folder_without_a_mapping_and_an_empty_one(tmp_path):
    assert read_map(tmp_path) == ColumnMap()
    assert write_map(tmp_path, ColumnMap()).read_text().endswith("{}\n") and read_map(tmp_path) == ColumnMap()


def test_our_names_are_those_of_the_two_tables():
    assert INTERACTIONS == ("user_id", "item_id", "time", "position", "behavior", "query", "session_id")
    assert ITEMS == ("item_id", "title", "categories", "text", "brand")


@pytest.mark.parametrize("file", ["/etc/passwd", "../log.csv", "a/../../log.csv"])
def test_a_file_outside_the_folder_is_refused(file):
    with pytest.raises(ConfigError, match=r"mine: option 'items\.file'.*must lie in the folder"):
        ColumnMap.parse({"items": {"file": file}}, where="mine")


def test_a_file_in_a_folder_below_is_read(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/log.txt").write_text("user_id;item_id;time\nu;a;1\n")
    (tmp_path / "items.csv").write_text("item_id\na\n")
    write_map(tmp_path, ColumnMap.parse({"interactions": {"file": "raw/log.txt"}}))
    assert read_tables(tmp_path).interactions["user_id"].tolist() == ["u"]
