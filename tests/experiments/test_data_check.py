"""The check of a data set: what it says is what loading, the split and the chapters do."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from gensr_lib import check_tables, load_dataset
from gensr_lib.config import DataConfig, read_profile
from gensr_lib.data.origin import Example
from gensr_lib.data.sources.own.column_map import ColumnMap
from gensr_lib.data.sources.own.examined import Finding
from gensr_lib.errors import ConfigError, DataError
from gensr_lib.experiments.comparison import FLOORS, PRINTED
from gensr_lib.experiments.data_report import Report, sections
from gensr_lib.experiments.workspace import Workspace
from tests.notebooks.folders import FOLDERS, write_folder


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GENSR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def shop(tmp_path) -> Path:
    """45 users with 20 events each on 130 items, of both behaviors, with titles and categories."""
    return write_folder(tmp_path / "shop", *FOLDERS["random"])


def told(report: Report) -> dict[str, str]:
    return {line["what"]: line["how"] for line in report.contents}


def add(folder: Path, *rows: str) -> None:
    with (folder / "interactions.csv").open("a") as file:
        file.write("".join(f"{row}\n" for row in rows))


def test_sound_data_are_what_is_loaded_and_nothing_is_stored(shop, home):
    report = check_tables(shop, "smoke")
    assert not home.exists(), "the negatives are not kept"
    dataset = load_dataset(shop, "smoke")
    assert not report.is_refused and report.hash == dataset.hash and report.counts == dataset.counts
    assert [finding.said for finding in report.changes] == dataset.notes == []
    assert told(report) == {
        "users": "45; events of each: 20 to 20, half of them up to 20",
        "items": "130 in events, 130 with a row",
        "time": "whole numbers from 0 to 19",
        "behaviors": "450 clicks or purchases (rec), 450 searches (src)",
        "queries": "20 distinct ones in 450 sessions",
        "items with a title": "100.0%",
        "items with something to read": "100.0%",
        "items with a category": "100.0%",
        "items with a path of two levels": "0.0%",
    }
    assert len(report.limits) == 1 and "click law" in report.limits[0]


@pytest.mark.parametrize("name", ["recommendations", "searches", "no-titles", "made-searches"])
def test_what_is_left_out_is_what_the_workspace_says(tmp_path, capsys, name):
    folder = write_folder(tmp_path / name, *FOLDERS[name])
    report = check_tables(folder, "smoke")
    workspace = Workspace(str(folder), "smoke")
    workspace.able(*PRINTED, *FLOORS)
    systems = [line for line in report.limits if line.startswith("The system")]
    assert systems == capsys.readouterr().out.splitlines()
    for need in ("rec", "src", "texts", "categories"):
        if not workspace.has(need, part="it"):
            lack = capsys.readouterr().out.removeprefix("This data set has ").partition(":")[0]
            assert any(line.startswith(f"The data have {lack}: every chapter leaves out") for line in report.limits)
    assert [finding.said for finding in report.changes] == load_dataset(folder, "smoke").notes


def test_a_simulated_world_has_a_law_and_no_files(home):
    report = check_tables("pocket", "smoke")
    assert (report.files, report.columns, report.source) == ([], [], "pocket")
    assert not any("click law" in line for line in report.limits) and not report.is_refused


def test_the_core_is_told_with_the_lines_that_it_drops(shop):
    add(shop, "once,i0,3,rec,", "u0,rare,30,rec,", "u0,rare,30,src,red", "u1,rare,31,rec,")
    report = check_tables(shop, "smoke")
    finding = next(finding for finding in report.changes if "5-core" in finding.said)
    assert finding.said.startswith("4 events, 1 users and 1 items were dropped by the 5-core")
    assert [example[1:] for example in finding.examples] == [
        ("line 902", "user_id and item_id", "'once (1 events), i0 (8)'"),
        ("line 903", "user_id and item_id", "'u0 (21 events), rare (2)'"),
        ("line 904", "user_id and item_id", "'u0 (21 events), rare (2)'"),
    ]
    assert report.cores == []


def test_what_the_mapping_drops_is_not_what_the_core_drops(shop):
    add(shop, "u0,banner,30,show,", "u0,rare,30,rec,")
    columns = ColumnMap.parse({"interactions": {"values": {"behavior": {"show": "drop"}}}})
    report = check_tables(shop, "smoke", columns=columns)
    dropped, _, core = report.changes
    assert [example.place for example in dropped.examples] == ["line 902"] and "mapping drops" in dropped.said
    assert core.said.startswith("1 events, 0 users and 1 items were dropped by the 5-core")
    assert [example.place for example in core.examples] == ["line 903"]


def test_where_the_core_leaves_nothing_smaller_ones_are_counted_as_by_hand(shop):
    lines = ["user_id,item_id,time", "a,x,1", "a,y,2", "a,z,3", "b,x,1", "b,y,2", "c,w,1", "d,z,9"]
    (shop / "interactions.csv").write_text("\n".join(lines) + "\n")
    (shop / "items.csv").write_text("item_id\nx\ny\nz\nw\n")
    report = check_tables(shop, "smoke")
    (problem,) = report.problems
    assert "no event is left after the 5-core" in problem.said and report.hash == ""
    assert report.cores[:3] == [
        {"k": 1, "events": 7, "users": 4, "items": 4},
        {"k": 2, "events": 4, "users": 2, "items": 2},  # a and b with x and y
        {"k": 3, "events": 0, "users": 0, "items": 0},
    ]
    assert [line["k"] for line in report.cores] == [1, 2, 3, 4, 5]


def test_too_few_items_for_the_negatives_and_how_many_there_is_room_for(shop):
    smoke = read_profile("smoke")
    again = (shop / "interactions.csv").read_text().splitlines()[1].split(",")[1]
    add(shop, f"u0,{again},50,rec,")  # the same item a second time takes no room
    asked = smoke.replace(data=DataConfig(eval_negatives=111))
    (problem,) = check_tables(shop, asked).problems
    assert "has only 110 of the 130 items left" in problem.said
    assert problem.advice == "With these 130 items eval_negatives may be 110, and is 111."
    assert not check_tables(shop, smoke.replace(data=DataConfig(eval_negatives=110))).is_refused


def test_too_few_users_to_test_are_refused_as_the_chapters_refuse_them(shop):
    table = pd.read_csv(shop / "interactions.csv")
    few = table[table["user_id"].isin([f"u{n}" for n in range(12)])]
    few.to_csv(shop / "interactions.csv", index=False)
    profile = read_profile("smoke").replace(data=DataConfig(min_interactions=1))
    (problem,) = check_tables(shop, profile).problems
    assert "12 of recommendations and 12 of searches are left to test" in problem.said


def test_users_too_short_to_hold_out_are_counted(shop):
    add(shop, *(f"short,i{n},7,rec," for n in range(6)))  # all at one time
    limits = check_tables(shop, "smoke").limits
    assert any(line.startswith("1 of the 46 users have too few events") for line in limits)


def test_with_faulty_rows_the_others_are_told_and_the_data_are_refused(shop):
    add(shop, ",i0,3,rec,", "u0,i0,x,rec,")
    report = check_tables(shop, "smoke")
    assert [problem.said.partition("line ")[2][:3] for problem in report.problems] == ["903", "902"]
    assert report.is_part and report.counts[0]["rec events"] == 450 and report.hash
    assert "of the rows without a fault" in report.text()
    with pytest.raises(DataError, match="line 903"):
        load_dataset(shop, "smoke")


def test_what_is_no_data_set_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'pocket'"):
        check_tables("poket")
    with pytest.raises(DataError, match="no folder"):
        check_tables(tmp_path / "nowhere")


# --- the report -------------------------------------------------------------------------------

ODD = Report(
    "<shop>",
    "/a/<shop>",
    "smoke",
    problems=[Finding("'a|b' is *odd*", [Example("/a/log.csv", "line 5", "uid", "'<b>'")], "mend it")],
    files=[{"file": "log.csv", "rows": 1234}, {"file": "items_all.csv", "rows": None}],
    columns=[{"column": "uid", "filled": 0.5, "such as": "x" * 200}, {"column": "_"}],
    counts=[{"step": "read", "rec events": 7}],
    limits=["nothing [here]"],
)


class Texts(HTMLParser):
    """The tags of a page, and its texts."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_the_text_has_numbers_to_the_right_and_every_section_once():
    text = ODD.text()
    assert "file            rows\n  log.csv        1,234\n  items_all.csv\n" in text
    assert f"column  filled  such as\n  uid      50.0%  {'x' * 200}\n  _\n" in text
    assert "\n      → mend it\n" in text
    assert "log.csv, line 5, uid: '<b>'" in text and "/a/log.csv" not in text
    titles = [section.title for section in sections(ODD)]
    assert len(titles) == 5 and all(text.count(f"\n{title}\n") == 1 for title in titles)


def test_markdown_and_html_show_what_the_data_hold_as_it_stands(tmp_path):
    page = ODD.write(tmp_path / "report.md").read_text()
    assert r"'a\|b' is \*odd\*" in page and r"'\<b\>'" in page and r"items\_all.csv" in page
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.replace(r"\|", "").count("|") for line in table[:4]} == {3}
    read = Texts(ODD.write(tmp_path / "report.html").read_text())
    assert "b" not in read.tags and "shop" not in read.tags and read.tags.count("h2") == 5
    assert "x" * 200 in "".join(read.texts) and "log.csv, line 5, uid: '<b>'" in read.texts


def test_json_has_all_of_it_as_plain_values(tmp_path):
    plain = json.loads(ODD.write(tmp_path / "report.json").read_text())
    assert plain["is_refused"] is True and plain["files"] == ODD.files and plain["columns"][0]["filled"] == 0.5
    example = {"file": "/a/log.csv", "place": "line 5", "column": "uid", "value": "'<b>'"}
    assert plain["problems"] == [{"said": "'a|b' is *odd*", "examples": [example], "advice": "mend it"}]


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"report\.pdf: a report is written as \.md, \.html, \.json"):
        ODD.write(tmp_path / "report.pdf")
    assert not list(tmp_path.iterdir())
