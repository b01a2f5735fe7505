"""What holds for every data source of the table, so that a new one is tested by itself."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from gensr_lib.config import read_profile
from gensr_lib.data.schema import INTERACTION_COLUMNS, ITEM_COLUMNS, NAME_COLUMNS, Tables, validate
from gensr_lib.data.sources import load
from gensr_lib.data.sources.load import OWN, SOURCES, available_datasets, find, load_dataset
from gensr_lib.errors import ConfigError, DataError

SMOKE = read_profile("smoke")
MODULES = sorted({*SOURCES.values(), OWN})


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """A project of its own, in which relative folders are looked for."""
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=MODULES)
def example(request, home) -> tuple[str, Path]:
    """What to load, and the folder of its raw files, empty for a simulation."""
    folder = home / "raw files"
    folder.mkdir()
    return load._module(request.param).example(folder), folder


def read(name: str) -> Tables:
    return find(name).read(SMOKE, seed=0)


def test_tables_are_valid_and_the_same_each_time(example):
    name, _ = example
    first, second = read(name), read(name)
    pd.testing.assert_frame_equal(first.interactions, second.interactions)
    pd.testing.assert_frame_equal(first.items, second.items)
    assert tuple(first.interactions) == INTERACTION_COLUMNS and tuple(first.items) == ITEM_COLUMNS
    named = first.interactions.astype(dict.fromkeys(NAME_COLUMNS, object))
    again = validate(Tables(named, first.items), name)
    pd.testing.assert_frame_equal(again.interactions, first.interactions)
    pd.testing.assert_frame_equal(again.items, first.items)


def test_a_missing_or_empty_file_is_an_error_that_names_it(example):
    name, folder = example
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        for damage in (lambda p: p.unlink(), lambda p: p.write_bytes(b"")):
            damage(path)
            with pytest.raises(DataError, match=path.name.split(".")[0].split("_")[0]):
                read(name)
            path.write_bytes(content)
        read(name)


def test_a_truncated_file_is_an_error_that_names_it(example):
    name, folder = example
    packed = [path for path in folder.rglob("*") if path.suffix in (".gz", ".parquet", ".pkl")]
    for path in packed:  # a text file that ends early is a shorter text file
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(DataError, match=path.name):
            read(name)
        path.write_bytes(content)


def test_an_address_finds_the_same_data_from_elsewhere(example, monkeypatch):
    name, _ = example
    there = find(name)
    address = find(os.path.relpath(name) if there.path else name).address
    monkeypatch.chdir("/")
    again = find(address)
    assert (again.name, again.kind) == (there.name, there.kind)
    assert again.path is None or again.path.samefile(there.path)


def test_every_pattern_of_the_table_answers_to_its_names(home):
    for pattern, module in SOURCES.items():
        source = find(pattern.replace("*", "x"), must_exist=False)
        assert source.is_named and source.kind is load._module(module)


def test_names_win_over_folders_and_paths_are_folders(home):
    for name in ("pocket", "shop", "amazon-toys"):
        (home / name).mkdir()
    assert find("pocket").path is None
    assert find("./pocket/").path.samefile(home / "pocket") and find("./pocket").name == "pocket"
    assert find("shop").address == str(home / "shop")
    with pytest.raises(DataError, match="amazon-toys: no such folder"):
        find("amazon-toys")


def test_a_folder_with_raw_amazon_files_is_read_as_amazon(home):
    folder = home / "data" / "raw" / "amazon-toys"
    folder.mkdir(parents=True)
    load._module("amazon").example(folder)
    assert available_datasets() == ["pocket", "pocket-plain", "amazon-toys"]
    by_name, by_path = find("amazon-toys"), find(folder)
    assert by_name.kind is by_path.kind is load._module("amazon")
    pd.testing.assert_frame_equal(by_name.read(SMOKE, 0).interactions, by_path.read(SMOKE, 0).interactions)


@pytest.mark.parametrize("name", ["./nowhere", "~/no/such/folder", "no/where"])
def test_a_path_without_a_folder(name):
    with pytest.raises(DataError, match="no folder"):
        find(name)


@pytest.mark.parametrize("name", ["interactions.csv", "./interactions.csv", "ml-100k.zip"])
def test_a_file_that_is_read_with_others_of_its_folder(home, name):
    (home / name).write_bytes(b"user_id,item_id\n")
    with pytest.raises(
        DataError, match=r"of files only an archive is read as it is \(KuaiSAR\*\.zip\); give the folder"
    ):
        find(name)
    assert find(home / name, must_exist=False).path == home / name


def test_the_files_of_a_source_by_their_place(home):
    for name in ("b/two", "one"):
        path = home / "x" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    source = find(home / "x")
    assert source.files() == {"b/two": home / "x/b/two", "one": home / "x/one"} and find("pocket").files() == {}
    assert [name for name, *_ in source.fingerprint()] == ["b/two", "one"]


def test_an_unknown_name_is_answered_with_the_closest(home):
    (home / "data" / "raw" / "amazon-kindle").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"did you mean 'amazon-kindle'.*pocket"):
        find("amazn-kindle")
    with pytest.raises(ConfigError, match="unknown data set"):
        load_dataset("poket")


def test_two_sources_that_claim_one_name_or_folder(home, monkeypatch):
    monkeypatch.setitem(SOURCES, "amazon-kindle*", "amazon")
    with pytest.raises(ConfigError, match=r"'amazon-\*': 'amazon', 'amazon-kindle\*'.*SOURCES"):
        find("amazon-kindle")
    load._module("amazon").example(home)
    assert find(home).kind is load._module("amazon")  # by two lines of the table, and one file
    load._module("kuaisar").example(home)
    with pytest.raises(ConfigError, match="claimed"):
        find(home)


def test_a_line_of_the_table_without_its_file(monkeypatch):
    monkeypatch.setitem(SOURCES, "new", "not_there")
    with pytest.raises(ConfigError, match="not_there"):
        find("new")


def test_the_list_says_of_every_line_of_the_table_what_it_is_and_where(home):
    load._module("amazon").example(_made(home / "data" / "raw" / "amazon-toys"))
    rows = {row["data set"]: row for row in load.listed_datasets()}
    assert {"pocket", "pocket-plain", "amazon-toys"} <= set(rows) and all(row["what it is"] for row in rows.values())
    assert rows["pocket"]["where"] == "simulated"
    assert rows["amazon-toys"]["where"] == str(home / "data" / "raw" / "amazon-toys")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
