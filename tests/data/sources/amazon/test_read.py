"""Raw Amazon 2014 files: made by hand with every fault, and a real sample."""

import gzip
import json
import re
from pathlib import Path

import pytest

from gensr_lib.data.sources.amazon import find_files, read_amazon
from gensr_lib.data.sources.amazon import reviews as reviews_module
from gensr_lib.data.sources.amazon.fields import TEXT_CHARACTERS
from gensr_lib.data.sources.made_searches import synthesize_searches
from gensr_lib.errors import DataError

META = [
    {
        "asin": "0001",
        "related": {"also_bought": ["0009"]},
        "title": "It&#39;s a pen",
        "description": "Writes  well.\nTwice.",
        "categories": [["Office", "Pens"], ["Gifts"]],
    },
    {"asin": "0002", "brand": "Acme", "categories": [["Office", "Ink > Blue"]]},
    {"asin": "0003"},
    {"asin": "0009", "title": "never reviewed"},
    {"asin": "0001", "title": "a second line for 0001"},
]


def review(user: str = "U1", item: str = "0001", time: object = 86400) -> str:
    known = {"reviewerID": user, "asin": item, "unixReviewTime": time}
    return json.dumps({**known, "helpful": [0, 1], "reviewText": "x"})


def write(folder: Path, reviews: list[str], meta: list | None = None, zipped: bool = True):
    """Both files, gzipped or plain; what is no string in ``meta`` becomes a Python literal."""
    items = [line if isinstance(line, str) else repr(line) for line in meta or META]
    texts = {"reviews_Toy_5.json": reviews, "meta_Toy.json": items}
    for name, lines in texts.items():
        data = ("\n".join(lines) + "\n").encode()
        path = folder / (name + ".gz" * zipped)
        path.write_bytes(gzip.compress(data) if zipped else data)
    return find_files(folder)


@pytest.mark.parametrize("zipped", [True, False])
def test_reads_reviews_and_items(tmp_path, zipped):
    lines = [review("U2", "0002", 5), review("U1", "0003", 9), review("U1", "0001", 7)]
    lines.append(lines[1])
    tables = read_amazon(*write(tmp_path, lines, zipped=zipped))
    events = tables.interactions  # in order of time, without the duplicate
    rows = events[["user_id", "item_id", "time"]].to_numpy().tolist()
    assert rows == [["U1", "0001", 7], ["U1", "0003", 9], ["U2", "0002", 5]]
    assert set(events["behavior"]) == {"rec"}
    assert tables.items.to_numpy().tolist() == [
        ["0001", "It's a pen", "Office > Pens | Gifts", "It's a pen Writes well. Twice."],
        ["0002", "Acme Ink Blue", "Office > Ink Blue", "Acme Ink Blue"],
        ["0003", "", "", ""],
    ]
    assert [line["rec events"] for line in tables.counts] == [4, 3]


def test_item_without_metadata_is_kept(tmp_path):
    tables = read_amazon(*write(tmp_path, [review(item="B777"), review()]))
    assert tables.items["item_id"].tolist() == ["0001", "B777"]
    assert tables.notes == ["1 of the 2 items that occur in events have no row in items; their texts are empty."]


def test_metadata_may_be_json(tmp_path):
    tables = read_amazon(*write(tmp_path, [review()], [json.dumps(META[0])]))
    assert tables.items["title"].tolist() == ["It's a pen"]


def test_text_is_cut_after_a_word(tmp_path):
    item = {"asin": "0001", "title": "T", "description": "word " * 900}
    tables = read_amazon(*write(tmp_path, [review()], [item]))
    text = tables.items["text"][0]
    assert text == "T" + " word" * 99  # 1 + 99 * 5 = 496; one word more is 501 > 500
    assert TEXT_CHARACTERS == 500


def test_metadata_is_never_run(tmp_path):
    evil = f"{{'asin': '0001', 'title': open({str(tmp_path / 'made')!r}, 'w')}}"
    with pytest.raises(DataError, match="1 of 1 lines"):
        read_amazon(*write(tmp_path, [review()], [evil]))
    assert not (tmp_path / "made").exists()


def test_unreviewed_items_are_not_parsed(tmp_path):
    broken = ["{'asin': '0009', 'title': "] * 5  # no reviewed item: never looked at, so not counted
    tables = read_amazon(*write(tmp_path, [review()], [META[0], *broken]), max_bad_share=0)
    assert len(tables.items) == 1


@pytest.mark.parametrize(
    "bad",
    ["{", "null", '{"asin": "0001"}', review(time="5"), review(time=1.5), review(user=None), review(item="")],
)
def test_few_bad_reviews_are_counted_and_left_out(tmp_path, bad, caplog):
    lines = [review(time=n) for n in range(150)]
    lines[36:36] = ["", bad]  # a blank line is no fault, but it is counted as a line number
    tables = read_amazon(*write(tmp_path, lines))
    assert re.search(r"reviews_Toy_5.*: 1 of 151 lines.* line 38", tables.notes[0])
    assert "line 38" in caplog.text
    assert tables.interactions["time"].tolist() == list(range(150))


def test_too_many_bad_reviews(tmp_path):
    lines = [review(time=n) for n in range(97)] + ["{"] * 3
    with pytest.raises(DataError, match=r"reviews_Toy_5\.json\.gz: 3 of 100 lines .* line 98"):
        read_amazon(*write(tmp_path, lines))
    assert len(read_amazon(*write(tmp_path, lines), max_bad_share=0.03).interactions) == 97


def test_bad_metadata(tmp_path):
    meta = [*META, "{'asin': '0002', 'title': "]
    with pytest.raises(DataError, match=r"meta_Toy\.json\.gz: 1 of 6 lines .* line 6"):
        read_amazon(*write(tmp_path, [review(item="0002")], meta))
    tables = read_amazon(*write(tmp_path, [review(item="0002")], meta), max_bad_share=0.2)
    assert "meta_Toy.json.gz: 1 of 6 lines" in tables.notes[0]


def test_slow_path_equals_fast_path(tmp_path, monkeypatch):
    files = write(tmp_path, [review(f"U{n % 7}", f"000{n % 3}", n) for n in range(60)])
    fast = read_amazon(*files).interactions
    monkeypatch.setattr(reviews_module, "_arrow_table", lambda block, schema: None)
    assert read_amazon(*files).interactions.equals(fast)


@pytest.mark.parametrize("which", [0, 1])
def test_truncated_file(tmp_path, which):
    lines = [review(f"user-{n * 7919}", time=n) for n in range(2000)]
    items = [META[0], *({"asin": f"A{n * 7919}"} for n in range(2000))]
    files = write(tmp_path, lines, items)
    files[which].write_bytes(files[which].read_bytes()[:-200])
    with pytest.raises(DataError, match=rf"{files[which].name}.*cut short.*Download"):
        read_amazon(*files)


def test_several_files_that_fit(tmp_path):
    for name in ("reviews_Toy.json", "reviews_Toy_5.json.gz", "meta_Toy.json.gz"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"reviews_Toy\.json, reviews_Toy_5\.json\.gz"):
        find_files(tmp_path)


def test_real_digital_music(shared):
    files = find_files(shared / "amazon-digital-music-2014")
    tables = read_amazon(*files, max_bad_share=0)
    read = [tables.counts[-1][what] for what in ("rec events", "src events", "users", "items")]
    assert read == [6908, 0, 2490, 382] and len(tables.items) == 382
    assert tables.interactions["time"].between(883612800, 1420070400).all()  # 1998 to 2014
    made = synthesize_searches(tables, seed=0)
    assert made.counts[-1]["src events"] == 6908
    assert made.interactions["query"].str.fullmatch("[a-z ]*").all()
