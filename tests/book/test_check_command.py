"""``gensr data check``: what the options come to, what is kept, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gensr_lib import load_dataset
from gensr_lib.book.cli import main
from gensr_lib.book.column_options import mapped
from gensr_lib.book.doctor import PROBLEM, check_data
from gensr_lib.data.sources.load import find
from gensr_lib.data.sources.own.column_map import read_map
from gensr_lib.errors import ConfigError
from tests.notebooks.folders import FOLDERS, write_folder

CHECK = ["data", "check", "export"]
FILES = ["--files", "interactions=log.tsv", "items=products.csv"]
COLUMNS = ["--columns", "user_id=uid", "item_id=product", "items.item_id=sku", "behavior=event", "time=ts"]
VALUES = ["--values", "behavior:click=rec", "behavior:search=src"]


@pytest.fixture
def export(tmp_path, monkeypatch) -> Path:
    """The tables of `write_folder` as a shop might export them; the working directory is above."""
    monkeypatch.setenv("GENSR_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    folder = write_folder(tmp_path / "export", *FOLDERS["random"])
    log = (folder / "interactions.csv").read_text().replace(",rec,", ",click,").replace(",src,", ",search,")
    log = log.replace("user_id,item_id,time,behavior", "uid,product,ts,event").replace(",", "\t")
    (folder / "log.tsv").write_text(log)
    items = (folder / "items.csv").read_text()
    (folder / "products.csv").write_text(items.replace("item_id", "sku"))
    for name in ("interactions.csv", "items.csv"):
        (folder / name).rename(tmp_path / name)
    return folder


def test_a_kept_mapping_is_what_all_commands_read_from_then_on(export, capsys):
    (export.parent / "plain").mkdir()
    for name in ("interactions.csv", "items.csv"):
        (export.parent / name).rename(export.parent / "plain" / name)
    expected = load_dataset(export.parent / "plain", "smoke")
    assert main([*CHECK, *FILES, *COLUMNS, *VALUES, "--profile", "smoke"]) == 0
    assert not (export / "columns.yaml").exists(), "it was not asked to be kept"
    assert main([*CHECK, *FILES, *COLUMNS, *VALUES, "--profile", "smoke", "--save"]) == 0
    assert "export: can be used" in capsys.readouterr().out
    assert load_dataset(export, "smoke").hash == expected.hash
    assert main([*CHECK, "--profile", "smoke"]) == 0
    assert main(["fit", "popularity", "--profile", "smoke", "--dataset", "export"]) == 0


def test_options_come_over_what_was_kept(export):
    assert main([*CHECK, *FILES, *COLUMNS, *VALUES, "--save"]) == 0
    mapping = mapped(find("export"), ["title=categories"], ["behavior:search=rec"], ["items=other.csv"])
    plain = mapping.plain()
    assert plain["items"] == {"file": "other.csv", "columns": {"item_id": "sku", "title": "categories"}}
    assert plain["interactions"]["values"] == {"behavior": {"click": "rec", "search": "rec"}}
    assert plain["interactions"]["file"] == "log.tsv" and plain["interactions"]["columns"]["user_id"] == "uid"


def test_item_id_is_meant_where_the_column_is(export):
    def ids(*columns: str) -> list:
        plain = mapped(find("export"), columns, [], FILES[1:]).plain()
        return [plain.get(table, {}).get("columns", {}).get("item_id") for table in ("interactions", "items")]

    assert ids("item_id=product") == ["product", None]
    assert ids("item_id=sku") == [None, "sku"]
    assert ids("item_id=prodct") == ["prodct", "prodct"], "the check says of both that it is not there"
    assert ids("items.item_id=sku", "item_id=product") == ["product", "sku"]
    assert ids("items.item_id=product") == [None, "product"]
    (export / "products.csv").write_text("sku,title,product\ni1,Shoe,Nike\n")
    assert ids("item_id=product", "items.item_id=sku") == ["product", "sku"]


def test_what_is_refused_is_told_and_ends_with_2(export, capsys):
    assert main([*CHECK, *FILES, *COLUMNS, "--save", "--out", "report.json"]) == 2
    printed = capsys.readouterr()
    assert "behavior:click=rec behavior:search=src" in printed.out, "options that would name them"
    assert "refused, 1 problem" in printed.out and printed.err == ""
    assert read_map(export).interactions.renamed["user_id"] == "uid", "both tables can be read by it"
    report = json.loads((export.parent / "report.json").read_text())
    assert report["is_refused"] and report["problems"][0]["examples"][0]["place"] == "line 2"


def test_a_mapping_by_which_a_table_cannot_be_read_is_not_kept(export, capsys):
    assert main([*CHECK, *FILES, *COLUMNS, "title=nam", "--save"]) == 2
    printed = capsys.readouterr()
    assert "no column 'nam', which the mapping names for title. Found sku, title" in printed.out
    assert "not kept" in printed.err and not (export / "columns.yaml").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--columns", "userid=uid"], "unknown column 'userid'; did you mean 'user_id'?"),
        (["--columns", "items.time=ts"], "unknown column 'items.time'"),
        (["--columns", "user_id"], "--columns user_id: it must be of the form"),
        (["--columns", "user_id="], "--columns user_id=: it must be of the form"),
        (["--columns", "user_id=uid", "user_id=ts"], "user_id would be both uid and ts"),
        (["--columns", "user_id=uid", "query=uid"], "the column 'uid' stands for user_id and query"),
        (["--values", "click=rec"], "--values click=rec: it must be of the form"),
        (["--values", "query:click=rec"], "--values query:click=rec: it must be of the form"),
        (["--values", "behavior:a=rec", "behavior:a=src"], "'a' is named twice"),
        (["--values", "behavior:click=buy"], "interactions.values.behavior.click"),
        (["--files", "log=log.tsv"], "unknown table 'log'"),
        (["--files", "interactions=../log.tsv"], "must lie in the folder"),
        (["--save"], "--save: nothing is there to be kept"),
        (["--out", "report.pdf"], "report.pdf: a report is written as"),
        (["--profile", "smok"], "did you mean 'smoke'?"),
    ],
)
def test_options_that_cannot_be_are_one_line(export, capsys, options, words):
    assert main([*CHECK, *options]) == 2
    printed = capsys.readouterr()
    assert words in printed.err and printed.err.count("\n") == 1 and printed.out == ""


def test_a_value_may_hold_the_signs_of_the_form(export):
    mapping = mapped(find("export"), ["query=a=b"], ["behavior:a:b=c=src"], [])
    assert mapping.interactions.renamed == {"query": "a=b"} and mapping.interactions.behaviors == {"a:b=c": "src"}


def test_only_own_tables_are_mapped_and_any_data_are_checked(export, capsys):
    assert main(["data", "check", "pocket", "--columns", "user_id=uid"]) == 2
    assert "for your own tables" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="for your own tables"):
        mapped(find("pocket"), [], ["behavior:a=rec"], [])
    assert main(["data", "check", "pocket", "--profile", "smoke"]) == 0
    assert "pocket: can be used (profile smoke)" in capsys.readouterr().out


def test_a_faulty_columns_yaml_is_one_line(export, capsys):
    (export / "columns.yaml").write_text("interactions: {columns: {userid: uid}}")
    assert main(CHECK) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "columns.yaml" in line and "did you mean 'interactions.columns.user_id'?" in line


def test_the_doctor_sends_to_the_check(export):
    assert [(check.status, "gensr data check export" in check.advice) for check in check_data("export")] == [
        (PROBLEM, True)
    ]
