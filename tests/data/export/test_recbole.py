"""RecBole's atomic files, read as RecBole reads them, against the data set."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from gensr_lib.data import merged_history
from gensr_lib.data.dataset import Dataset
from gensr_lib.data.export.atomic import MISSING, SEPARATORS, levels, words
from gensr_lib.data.export.recbole import export_recbole
from gensr_lib.data.split import SPLITS
from gensr_lib.errors import DataError
from gensr_lib.models import build_model
from tests.data.export.worlds import AWKWARD, awkward, long_sessions
from tests.worlds import TINY, pocket, tables


def read_atomic(path: Path, separator: str = " ") -> pd.DataFrame:
    """A file as RecBole 1.2.1 reads it: `_load_feat` of its data/dataset/dataset.py, step by step."""
    with path.open(encoding="utf-8") as file:
        head = file.readline()[:-1].split("\t")
    types = dict(column.split(":") for column in head)
    dtype = {f"{name}:{kind}": float if kind == "float" else str for name, kind in types.items()}
    table = pd.read_csv(path, delimiter="\t", usecols=head, dtype=dtype, encoding="utf-8", engine="python")
    table.columns = list(types)
    for name, kind in types.items():
        if kind == "token_seq":
            table[name] = [[part for part in field.split(separator) if part] for field in table[name].fillna("")]
    return table


def part_of(folder: Path, name: str, part: str, end: str = "inter", token: str = "tables") -> pd.DataFrame:
    return read_atomic(folder / token / f"{token}.{name}.{part}.{end}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return export_recbole(pocket(), tmp_path_factory.mktemp("recbole") / "out")


# ---- the split -----------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["rec", "src"])
@pytest.mark.parametrize("part", SPLITS)
def test_each_part_has_the_rows_of_the_split_in_their_order(folder, part, task):
    found = part_of(folder, task, part)
    target = pocket().events.iloc[pocket().rows[part][task].event]
    assert found["user_id"].tolist() == target["user_id"].tolist()
    assert found["item_id"].tolist() == target["item_id"].tolist()
    assert found["timestamp"].tolist() == target["time"].tolist()
    if task == "src":
        assert found["query"].str.join(" ").tolist() == target["query"].tolist()
        assert found["session_id"].tolist() == target["session_id"].astype(str).tolist()
    else:
        assert list(found) == ["user_id", "item_id", "timestamp"]


@pytest.mark.parametrize("part", ["valid", "test"])
def test_negatives_are_the_stored_ones(folder, part):
    for task in ("rec", "src"):
        found = part_of(folder, task, part, "negatives")
        rows = pocket().rows[part][task]
        assert found["negatives"].tolist() == pocket().item_ids[rows.negatives].tolist()
        assert found["user_id"].tolist() == pocket().user_ids[pocket().user[rows.event]].tolist()
        assert found["item_id"].tolist() == pocket().item_ids[pocket().item[rows.event]].tolist()


@pytest.mark.parametrize("made", [pocket, long_sessions, lambda: long_sessions(twins="visible")])
def test_histories_are_the_clicks_of_the_same_behavior_that_a_model_sees(tmp_path, made):
    dataset = made()
    folder = export_recbole(dataset, tmp_path / "out")
    left_out = 0
    for task in ("rec", "src"):
        for part in SPLITS:
            rows = dataset.rows[part][task]
            batch = dataset.batch(part, task, np.arange(len(rows)), candidates=dataset.item[rows.event][:, None])
            items, _ = merged_history(batch, 1000, task)
            seen = [[dataset.item_ids[i] for i in row if i] for row in items.tolist()]
            expected = pd.DataFrame({
                "user_id": dataset.user_ids[batch.user], "item_id": dataset.item_ids[batch.cand[:, 0]],
                "timestamp": dataset.time[rows.event].astype(float), "item_id_list": seen,
            })  # fmt: skip
            left_out += sum(not history for history in seen)
            expected = expected[expected["item_id_list"].str.len() > 0]
            found = part_of(folder, f"{task}-sequential", part)
            assert found.to_numpy().tolist() == expected.to_numpy().tolist()
            longest = yaml.safe_load((folder / f"{task}-sequential.yaml").read_text())["MAX_ITEM_LIST_LENGTH"]
            assert longest >= max(map(len, seen))
    assert left_out > 0, "first clicks"


def test_popularity_counted_from_the_files_ranks_as_the_library_does(folder):
    """Somebody who has nothing but the files gets the ranks of the library's own system."""
    for task in ("rec", "src"):
        clicks = part_of(folder, task, "train")["item_id"].value_counts()
        stored = part_of(folder, task, "test", "negatives")
        lists = [[positive, *negatives] for positive, negatives in stored[["item_id", "negatives"]].to_numpy()]
        score = np.array([clicks.reindex(candidates, fill_value=0) for candidates in lists])
        batch = pocket().batch("test", task, np.arange(len(stored)))
        assert np.array_equal(score, build_model("popularity", pocket(), {}).score(batch).numpy())


# ---- items, and what breaks tables of text --------------------------------------------------------


def test_titles_and_queries_lose_tabs_and_line_breaks_and_no_word(tmp_path):
    dataset = awkward()
    folder = export_recbole(dataset, tmp_path / "out")
    token = "a-shop-of-mine"
    assert (folder / token / f"{token}.item").read_bytes().count(b"\n") == dataset.n_items + 1
    items = read_atomic(folder / token / f"{token}.item").set_index("item_id")
    assert set(items.index) == {*AWKWARD, *(f"i{n}" for n in range(12))}, "ids stay as they are"
    assert items.loc["a/b", "title"] == ['"quoted"', "pen", "of", "three", "lines"]
    assert items.loc["a/b", "categories"] == ["Home", "Ink_pens", "Gifts"]
    assert items.loc["007"].tolist() == [["nan"], ["null"], ["None"]]
    assert items.loc['x"y'].tolist() == [["wide", "space"], [], ["ends", "with", "a", "tab"]]
    assert items.loc["é#1"].tolist() == [["Füller,", '12"', "|", "'fine'"], ["Home", '12"_paper'], []]
    queries = part_of(folder, "src", "train", token=token)
    assert queries["query"].tolist() == [["nan"], ['"red', 'shoe"'], ["tea", "|", "pot"], ["nan"]] * 2
    assert set(queries["user_id"]) == {"u/1", "ü 2"}


@pytest.mark.parametrize("word", MISSING)
def test_words_that_pandas_takes_for_a_missing_value_stay_words(tmp_path, word):
    path = tmp_path / "words"
    for field, expected in ((word, []), (words(pa.array([word]), " ")[0].as_py(), word.split())):
        path.write_text(f"item_id:token\ttitle:token_seq\na\t{field}\n")
        assert read_atomic(path)["title"].tolist() == [expected]


def test_every_word_that_pandas_takes_for_a_missing_value_is_known():
    from pandas._libs.parsers import STR_NA_VALUES

    assert set(MISSING) == STR_NA_VALUES - {""}


@pytest.mark.parametrize(("item", "separator"), [("a b", "|"), ("a b|c", ";"), ("a b|c;d", ","), ("a b|c;d,e", "\x1f")])
def test_lists_are_separated_by_what_no_item_id_has(tmp_path, item, separator):
    events = [("u", name, t, "rec") for t, name in enumerate([item, "b", "c", "d", item, "f"])]
    given = tables(*events)
    given.items["title"] = f"two{separator}words and more"
    folder = export_recbole(Dataset.from_tables(given, TINY), tmp_path / "out")
    found = read_atomic(folder / "tables" / "tables.rec-sequential.test.inter", separator)
    assert found["item_id_list"].tolist() == [[item, "b", "c", "d"]]
    assert read_atomic(folder / "tables" / "tables.item", separator)["title"][0] == ["two", "words", "and", "more"]
    assert yaml.safe_load((folder / "rec.yaml").read_text())["seq_separator"] == separator


def test_ids_with_every_separator_are_refused(tmp_path):
    given = tables(*(("u", f"{t}{''.join(SEPARATORS)}{t}", t, "rec") for t in range(6)))
    with pytest.raises(DataError, match="item ids hold each of ' '"):
        export_recbole(Dataset.from_tables(given, TINY), tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "reason"), [("a\tb", "a tab"), ('"a"', "quotation mark"), ("NA", "missing id"), ("[PAD]", "missing id")]
)
@pytest.mark.parametrize("column", ["user_id", "item_id"])
def test_an_id_that_would_be_misread_is_named(tmp_path, column, name, reason):
    renamed = {"user_id": {"u": name}, "item_id": {"i3": name}}[column]
    given = tables(*(("u", f"i{t}", t, "rec") for t in range(6)))
    given.interactions[column] = given.interactions[column].replace(renamed)
    if column == "item_id":
        given.items[column] = given.items[column].replace(renamed)
    with pytest.raises(DataError, match=rf"shop, column {column}: .*{re.escape(repr(name))}: .*{reason}"):
        export_recbole(Dataset.from_tables(given, TINY, name="shop"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_levels_are_words_and_said_once():
    paths = pd.Series(["A b > C", "", "A b > C", "A b > C | A b > D\tE | nan", "nan"])
    assert levels(paths, "|").to_pylist() == ["A_b|C", "", "A_b|C", "A_b|C|D_E|nan", "|nan"]


# ---- data that lack something ---------------------------------------------------------------------


@pytest.mark.parametrize("behavior", ["rec", "src"])
def test_a_data_set_of_one_behavior_has_no_files_of_the_other(tmp_path, behavior):
    events = [("u", f"i{t}", t, behavior) for t in range(6)] + [("~", f"~{n}", 0, behavior) for n in range(9)]
    dataset = Dataset.from_tables(tables(*events, extra_items=0), TINY)
    folder = export_recbole(dataset, tmp_path / "out")
    names = {path.name.split(".")[1].split("-")[0] for path in (folder / "tables").iterdir()}
    assert names == {"item", behavior}
    assert sorted(p.name for p in folder.glob("*.yaml")) == [f"{behavior}-sequential.yaml", f"{behavior}.yaml"]


def test_items_without_texts_have_empty_fields(tmp_path):
    dataset = long_sessions()
    folder = export_recbole(dataset, tmp_path / "out")
    items = read_atomic(folder / "tables" / "tables.item")
    assert len(items) == dataset.n_items and not items[["title", "categories", "text"]].map(len).any(axis=None)


@pytest.mark.parametrize(
    ("name", "token"),
    [("ml-100k", "ml-100k-gensr"), ("a shop/of mine", "a-shop-of-mine"), ("..", "data"), ("", "data")],
)
def test_a_name_that_is_no_folder_or_recboles_own_example_is_changed(tmp_path, name, token):
    given = tables(*(("u", f"i{t}", t, "rec") for t in range(6)))
    folder = export_recbole(Dataset.from_tables(given, TINY, name=name), tmp_path / "out")
    assert (folder / token / f"{token}.item").exists() and f'"{token}"' in (folder / "README.md").read_text()


# ---- settings and README --------------------------------------------------------------------------


def test_settings_name_files_and_columns_that_exist(folder):
    for path in folder.glob("*.yaml"):
        settings = yaml.safe_load(path.read_text())
        for part, name in zip(SPLITS, settings["benchmark_filename"], strict=True):
            assert name == f"{path.stem}.{part}"
            found = read_atomic(folder / "tables" / f"tables.{name}.inter")
            assert set(settings["load_col"]["inter"]) <= set(found)
        assert set(settings["load_col"]["item"]) <= set(read_atomic(folder / "tables" / "tables.item"))
        assert settings["eval_args"]["mode"] == {"valid": "uni99", "test": "uni99"}


def test_the_readme_counts_the_rows_and_its_code_compiles(folder):
    text = (folder / "README.md").read_text()
    assert pocket().hash in text
    for task, label in (("rec", "recommendation"), ("src", "search")):
        for part in SPLITS:
            with_history = len(part_of(folder, f"{task}-sequential", part))
            assert f"| {task} ({label}) | {part} | {len(pocket().rows[part][task])} | {with_history} |" in text
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    compile(code, "README.md", "exec")
    for path in re.findall(r'"(tables/\S+|\w+\.yaml)"', code):
        assert (folder / path).exists(), path


@pytest.mark.parametrize("kind", ["rec", "src", "rec-sequential", "src-sequential"])
def test_recbole_itself_reads_the_split(folder, kind, monkeypatch):
    pytest.importorskip("recbole")
    from recbole.config import Config
    from recbole.data import create_dataset

    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["recbole"])
    model = "SASRec" if kind.endswith("sequential") else "BPR"
    config = Config(model, "tables", [f"{kind}.yaml"], {"state": "ERROR", "log_wandb": False})
    data = create_dataset(config)
    assert data.item_num == pocket().n_items + 1
    for part, loaded in zip(SPLITS, data.build(), strict=True):
        expected = part_of(folder, kind, part)
        users, items = (loaded.inter_feat[name].numpy() for name in ("user_id", "item_id"))
        assert loaded.id2token("user_id", users).tolist() == expected["user_id"].tolist()
        assert loaded.id2token("item_id", items).tolist() == expected["item_id"].tolist()
        if "item_id_list" in expected:
            lists = [[i for i in row if i] for row in loaded.inter_feat["item_id_list"].tolist()]
            named = [loaded.id2token("item_id", row).tolist() for row in lists]
            assert named == expected["item_id_list"].tolist()
