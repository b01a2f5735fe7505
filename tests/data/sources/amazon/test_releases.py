"""The three releases of the Amazon data: told apart, each read by its own fields and unit, and spoilt."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gensr_lib.config import DataConfig
from gensr_lib.data.sources.amazon import find_files, read_amazon
from gensr_lib.data.sources.amazon import reviews as reviews_module
from gensr_lib.data.sources.amazon.fields import NEW, OLD
from gensr_lib.data.sources.formats import content
from gensr_lib.data.sources.load import find, load_dataset
from gensr_lib.data.sources.made_searches import synthesize_searches
from gensr_lib.errors import DataError

MOMENT = datetime(2012, 3, 4, 5, 6, 7, tzinfo=UTC)
SECONDS = int(MOMENT.timestamp())
NAMES = {2014: ("reviews_Toy_5.json", "meta_Toy.json"), 2018: ("Toy_5.json", "meta_Toy.json"),
         2023: ("Toy.jsonl", "meta_Toy.jsonl")}  # fmt: skip
YEARS = sorted(NAMES)


def review(year: int, user: str = "U1", item: str = "B1", time: object = SECONDS, **more) -> dict:
    """A review as the release has it; the time in seconds."""
    if year == 2023:
        known = {"rating": 5.0, "title": "Good", "text": "So & so", "asin": f"{item}-red", "parent_asin": item,
                 "user_id": user, "timestamp": time * 1000 if isinstance(time, int) else time,
                 "helpful_vote": 0, "verified_purchase": True}  # fmt: skip
    else:
        known = {"reviewerID": user, "asin": item, "unixReviewTime": time, "overall": 5.0, "reviewText": "Good"}
        known |= {"helpful": [0, 1]} if year == 2014 else {"verified": True, "vote": "1,204", "style": {"Size:": " M"}}
    return known | more


def item(year: int, name: str = "B1", levels: tuple = ("Office", "Pens"), **more) -> dict:
    """A line of metadata as the release has it."""
    known = {
        2014: {"asin": name, "imUrl": "x.jpg", "categories": [list(levels)]},
        2018: {"category": list(levels), "main_cat": "Office Products", "also_buy": ["B9"], "asin": name},
        2023: {"main_category": "Office Products", "categories": list(levels), "parent_asin": name},
    }
    return known[year] | {"title": "A pen", **more}


def write(folder: Path, year: int, reviews: list, meta: list | None = None, names=None, packed=True):
    """Both files; what is no text is written as the release writes it."""
    as_line = repr if year == 2014 else json.dumps
    texts = [[line if isinstance(line, str) else json.dumps(line) for line in reviews],
             [line if isinstance(line, str) else as_line(line) for line in meta or [item(year)]]]  # fmt: skip
    for name, lines in zip(names or NAMES[year], texts, strict=True):
        data = ("\n".join(lines) + "\n").encode()
        path = folder / (name + ".gz" * packed)
        path.write_bytes(gzip.compress(data) if packed else data)
    return find_files(folder)


def read(*args, **options):
    return read_amazon(*write(*args), **options)


def ratings(*rows: tuple[str, str, int], header: str = "user_id,parent_asin,rating,timestamp") -> str:
    """The 5-core table of 2023; times in seconds."""
    return "\n".join([header, *(f"{user},{name},5.0,{time * 1000}" for user, name, time in rows)]) + "\n"


# --- each release ------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("year", YEARS)
def test_each_release_is_read_by_its_own_fields(tmp_path, year, packed):
    meta = [item(year), item(year, "B2", ("Office", "Ink"), title="Blue ink"), item(year, "B9")]
    tables = read(tmp_path, year, [review(year), review(year, "U2", "B2", SECONDS + 86400)], meta, None, packed)
    rows = tables.interactions[["user_id", "item_id", "time", "behavior"]].to_numpy().tolist()
    assert rows == [["U1", "B1", SECONDS, "rec"], ["U2", "B2", SECONDS + 86400, "rec"]]
    assert tables.items[["item_id", "title", "categories"]].to_numpy().tolist() == [
        ["B1", "A pen", "Office > Pens"],
        ["B2", "Blue ink", "Office > Ink"],
    ]
    assert datetime.fromtimestamp(tables.interactions["time"][0], UTC) == MOMENT


@pytest.mark.parametrize("year", YEARS)
def test_the_contents_tell_the_release_and_not_the_names(tmp_path, year):
    other = NAMES[2014 if year == 2023 else 2023]
    tables = read(tmp_path, year, [review(year)], None, other)
    assert tables.interactions["time"].tolist() == [SECONDS] and tables.items["categories"].tolist() == [
        "Office > Pens"
    ]


@pytest.mark.parametrize("year", YEARS)
def test_a_release_is_found_by_its_name_and_its_folder(tmp_path, year, monkeypatch):
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    folder = tmp_path / "data" / "raw" / f"amazon-{year}-toys"
    folder.mkdir(parents=True)
    reviews = [review(year, f"U{n}", f"B{n + k}", SECONDS + k) for n in range(3) for k in range(9)]
    write(folder, year, reviews, [item(year, f"B{n}") for n in range(11)])
    assert find(folder).kind is find(f"amazon-{year}-toys").kind
    config = DataConfig(min_interactions=1, eval_negatives=2)
    assert len(load_dataset(f"amazon-{year}-toys", data_config=config).user) == 2 * len(reviews)


def test_milliseconds_order_the_reviews_of_a_second(tmp_path):
    times = {"B1": 900, "B2": 100, "B3": 500}
    reviews = [review(2023, item=name) | {"timestamp": SECONDS * 1000 + ms} for name, ms in times.items()]
    events = read(tmp_path, 2023, reviews).interactions
    assert events["item_id"].tolist() == ["B2", "B3", "B1"] and set(events["time"]) == {SECONDS}


def test_the_five_core_table_of_2023_is_read_like_the_reviews(tmp_path):
    rows = [("U2", "B2", SECONDS), ("U1", "B1", SECONDS + 60)]
    (tmp_path / "one").mkdir()
    by_lines = read(tmp_path / "one", 2023, [review(2023, *row) for row in rows])
    (tmp_path / "Toy.csv").write_text(ratings(*rows))
    (tmp_path / "meta_Toy.jsonl").write_text(json.dumps(item(2023)))
    by_table = read_amazon(*find_files(tmp_path))
    assert by_table.interactions.equals(by_lines.interactions) and by_table.items.equals(by_lines.items)


def test_queries_are_the_levels_of_the_path_alone(tmp_path):
    """By hand: stop words, & and repeats go, plurals become singular; main_category is no level."""
    levels = ("Kindle Store", "Kindle eBooks", "Mystery, Thriller &amp; Suspense", "Mysteries")
    for year in YEARS:
        (tmp_path / str(year)).mkdir()
        made = synthesize_searches(read(tmp_path / str(year), year, [review(year)], [item(year, "B1", levels)]), seed=0)
        assert made.interactions["query"].tolist() == ["", "store kindle ebook thriller suspense mystery"]


@pytest.mark.parametrize("year", [2018, 2023])
def test_an_item_without_levels_gets_no_query_from_its_department(tmp_path, year):
    for number, levels in enumerate([(), ("Office Products",)]):
        (tmp_path / str(number)).mkdir()
        tables = read(tmp_path / str(number), year, [review(year)], [item(year, "B1", levels)])
        assert synthesize_searches(tables, seed=0).interactions["behavior"].eq("rec").all()


# --- what stands in the fields -----------------------------------------------------------------------


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.parametrize(
    ("fields", "title", "text"),
    [
        ({"title": "It&#39;s <b>5 &lt; 6</b>"}, "It's 5 < 6", "It's 5 < 6"),
        ({"title": ["A", "pen"], "description": "It writes."}, "A pen", "A pen It writes."),
        ({"description": ["It", "", "<p>writes.</p>"]}, "A pen", "A pen It writes."),
        ({"description": "<style>.a{b:c}</style>Good<br/>ink <script>var x='<b>'"}, "A pen", "A pen Good ink"),
        ({"description": "<!-- old --> new", "title": None}, "Pens", "new"),
        ({"description": {"html": "x"}, "title": ""}, "Pens", "Pens"),
        ({"title": "var aPageStart = (new Date()).getTime();"}, "Pens", "Pens"),
        ({"title": "half \ud800 character"}, "half character", "half character"),
    ],
)
def test_titles_and_texts_of_any_kind(tmp_path, year, fields, title, text):
    items = read(tmp_path, year, [review(year)], [item(year, **fields)]).items
    assert items[["title", "text"]].to_numpy().tolist() == [[title, text]]


def test_a_title_that_is_code_is_noted(tmp_path):
    meta = [item(2018, title="var aPageStart = (new Date()).getTime();", brand="Acme"), item(2018, "B2")]
    tables = read(tmp_path, 2018, [review(2018), review(2018, item="B2")], meta)
    assert tables.items["title"].tolist() == ["Acme Pens", "A pen"]
    assert [note for note in tables.notes if note.startswith("1 items have code of the shop's page")]


@pytest.mark.parametrize(("year", "brand", "features"), [(2018, "brand", "feature"), (2023, "store", "features")])
def test_brand_and_features_have_the_names_of_the_release(tmp_path, year, brand, features):
    more = {brand: "Acme", features: ["Blue.", "Long."], "title": None}
    items = read(tmp_path, year, [review(year)], [item(year, **more)]).items
    assert items[["title", "text"]].to_numpy().tolist() == [["Acme Pens", "Blue. Long."]]


@pytest.mark.parametrize("extra", [["3 layers", "Great gift"], ["</span></span></span>", "Cotton"], ["", None]])
def test_what_follows_the_levels_of_2018_is_no_level(tmp_path, extra):
    """Paths of clothing go on with the item's features or with HTML."""
    meta = item(2018, "B1", ("Clothing", "Girls", *extra), feature=["3 layers", "Great gift"])
    assert read(tmp_path, 2018, [review(2018)], [meta]).items["categories"].tolist() == ["Clothing > Girls"]


@pytest.mark.parametrize("year", [2018, 2023])
def test_a_text_that_looks_like_the_id_is_not_taken_for_it(tmp_path, year):
    name = "asin" if year == 2018 else "parent_asin"
    meta = item(year, description=f"""'{name}': 'B7', "{name}": "B8".""")
    meta = {key: meta[key] for key in sorted(meta, key=lambda key: key == name)}  # the id at last
    assert read(tmp_path, year, [review(year)], [meta]).items["title"].tolist() == ["A pen"]


# --- which files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ours", "theirs"), [(2014, 2018), (2018, 2014), (2023, 2018), (2014, 2023)])
def test_reviews_and_metadata_of_two_releases(tmp_path, ours, theirs):
    write(tmp_path, theirs, [review(theirs)], None, ("gone.json", "meta_Toy.json"))
    (tmp_path / "gone.json.gz").unlink()
    (tmp_path / NAMES[ours][0]).write_text(json.dumps(review(ours)))
    with pytest.raises(DataError, match=rf"{NAMES[ours][0]} is of .* {ours}, and meta_Toy.* {theirs}\. Download both"):
        read_amazon(*find_files(tmp_path))


def test_fields_that_fit_two_releases_are_read(tmp_path):
    """The fields that are needed are those of 2014 and of 2018; so is metadata of ids and titles."""
    bare = {"reviewerID": "U1", "asin": "B1", "unixReviewTime": SECONDS}
    for number, meta in enumerate([item(2014), item(2018), {"asin": "B1", "title": "A pen"}]):
        (tmp_path / str(number)).mkdir()
        assert read(tmp_path / str(number), 2018, [bare], [meta]).items["title"].tolist() == ["A pen"]


def test_which_files_of_a_folder_are_taken(tmp_path):
    with pytest.raises(DataError, match=r"no file of reviews \(reviews_\*.*\*\.jsonl\.gz"):
        find_files(tmp_path)
    for name in ("Toy.jsonl.gz", ".Toy_5.json.gz", "read me.txt", "Books.jsonl.gz.part"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"no file of metadata \(meta_\*"):
        find_files(tmp_path)
    (tmp_path / "meta_Toy.jsonl.gz").touch()
    assert [path.name for path in find_files(tmp_path)] == ["Toy.jsonl.gz", "meta_Toy.jsonl.gz"]
    (tmp_path / "Toy.csv").touch()
    with pytest.raises(DataError, match=r"more than one file of reviews: Toy\.csv, Toy\.jsonl\.gz"):
        find_files(tmp_path)
    (tmp_path / "meta_Toy.json").touch()
    (tmp_path / "Toy.csv").unlink()
    with pytest.raises(DataError, match=r"more than one file of metadata: meta_Toy\.json, meta_Toy\.jsonl\.gz"):
        find_files(tmp_path)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("U1,B1,5.0,1330837567\n", r"no column user_id, parent_asin, timestamp, but U1, B1.*rating_only"),
        (ratings(("U1", "B1", SECONDS), header="user_id,asin,rating,timestamp"), "no column parent_asin, but user_id"),
        (ratings(("U1", "B1", SECONDS)) + "U2,B1,5.0,soon\n", r"line 3, column timestamp: 'soon'"),
        (ratings(("U1", "B1", SECONDS)) + "U2,B1\n", r"line 3 has 2 fields"),
        (ratings(("U1", "B1", SECONDS), ("", "B1", SECONDS)), r"line 3, column user_id: '' is empty"),
        ("", "Toy.csv: the file is empty"),
    ],
)
def test_a_table_that_is_not_the_five_core(tmp_path, table, words):
    (tmp_path / "Toy.csv").write_text(table)
    (tmp_path / "meta_Toy.jsonl").write_text(json.dumps(item(2023)))
    with pytest.raises(DataError, match=words):
        read_amazon(*find_files(tmp_path))


# --- bad lines, times and files ----------------------------------------------------------------------


@pytest.mark.parametrize("year", YEARS)
def test_a_missing_field_is_named(tmp_path, year):
    user, name, time = OLD if year < 2023 else NEW
    for field in (user, name, time):
        reviews = [{key: value for key, value in review(year).items() if key != field}]
        with pytest.raises(DataError, match=rf"1 of 1 lines .* line 1: it has no field {field}, but "):
            read(tmp_path, year, reviews)
    with pytest.raises(DataError, match=rf"meta_Toy.*line 1: it has no field {name}"):
        read(tmp_path, year, [review(year)], [{k: v for k, v in item(year).items() if k != name}])


@pytest.mark.parametrize("year", YEARS)
def test_a_broken_line_in_the_middle_is_left_out_and_told(tmp_path, year, monkeypatch, caplog):
    """Small blocks: only that of the broken line is read line by line, and the number counts all of them."""
    monkeypatch.setattr(content, "LINES", 2000)
    lines = [json.dumps(review(year, f"U{n}", time=SECONDS + n)) for n in range(150)]
    lines[99] = lines[99][:40]
    tables = read(tmp_path, year, lines)
    assert tables.interactions["user_id"].tolist() == sorted(f"U{n}" for n in range(150) if n != 99)
    assert "1 of 150 lines cannot be read, the first is line 100: it is neither JSON" in tables.notes[0]
    assert "line 100" in caplog.text
    lines[98] = "{}"
    with pytest.raises(DataError, match=r"2 of 150 lines cannot be read, the first is line 99.*at most 1\.0%"):
        read(tmp_path, year, lines)


@pytest.mark.parametrize("year", YEARS)
def test_lines_of_another_release_in_between(tmp_path, year):
    other = 2014 if year == 2023 else 2023
    with pytest.raises(DataError, match=r"20 of 60 lines cannot be read, the first is line 41: it has no field"):
        read(tmp_path, year, [review(year)] * 40 + [review(other)] * 20)


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.parametrize("time", [-86400, -1, "end", "end + 1", 10**12])
def test_impossible_times_are_left_out_and_told(tmp_path, year, time, caplog):
    """Before 1970, or after the year of the release: not after today, so that no result rests on the day."""
    end = int(datetime(year + 1, 1, 1, tzinfo=UTC).timestamp())
    time = end + {"end": 0, "end + 1": 1}.get(time, time) if isinstance(time, str) else time
    sound = [review(year, f"U{n}", time=SECONDS + n) for n in range(99)] + [review(year, time=end - 1)]
    tables = read(tmp_path, year, [*sound, review(year, "later", time=time)])
    assert len(tables.interactions) == 100 and "later" not in set(tables.interactions["user_id"])
    written = time * (1000 if year == 2023 else 1)
    assert f"1 of 101 reviews have a {NEW[2] if year == 2023 else 'unixReviewTime'}" in tables.notes[0]
    assert f"such as {written}; they are left out" in tables.notes[0] and "left out" in caplog.text
    with pytest.raises(DataError, match=rf"2 of 101 reviews.*such as {written}; at most 1\.0%"):
        read(tmp_path, year, [*sound[1:], *[review(year, "later", time=time)] * 2])


@pytest.mark.parametrize(("year", "unit"), [(2014, "seconds"), (2018, "seconds"), (2023, "milliseconds")])
def test_times_in_the_unit_of_another_release(tmp_path, year, unit):
    field, wrong = ("timestamp", SECONDS) if year == 2023 else ("unixReviewTime", SECONDS * 1000)
    with pytest.raises(DataError, match=rf"9 of 9 reviews .*such as {wrong}; .*they should be {unit} since 1970"):
        read(tmp_path, year, [review(year) | {field: wrong}] * 9)
    if year == 2023:
        (tmp_path / "Toy.jsonl.gz").unlink()
        (tmp_path / "Toy.csv").write_text(ratings(("U1", "B1", SECONDS // 1000)))
        with pytest.raises(DataError, match=r"Toy\.csv: 1 of 1 reviews .*they should be milliseconds"):
            read_amazon(*find_files(tmp_path))


@pytest.mark.parametrize("year", YEARS)
def test_ids_that_are_no_text_are_left_out_and_damaged_texts_do_no_harm(tmp_path, year):
    sound = [json.dumps(review(year, f"U{n}")) for n in range(150)]
    (tmp_path / "sound").mkdir()
    reviews, meta = write(tmp_path / "sound", year, sound)
    damaged = "\n".join(sound).encode().replace(b"Good", b"Go\xffd").replace(b'"U7"', b'"U\xff"') + b"\n"
    reviews.write_bytes(gzip.compress(damaged))
    tables = read_amazon(reviews, meta)
    assert len(tables.interactions) == 149 and "line 8: its ids" in tables.notes[0] and "UTF-8" in tables.notes[0]
    for wrong in (b'"U\\ud800"', b'""', b"null"):
        reviews.write_bytes(gzip.compress(damaged.replace(b'"U\xff"', wrong)))
        tables = read_amazon(reviews, meta)
        assert len(tables.interactions) == 149 and "1 of 150 lines" in tables.notes[0]


@pytest.mark.parametrize("year", YEARS)
def test_two_reviews_in_one_line_are_a_bad_line(tmp_path, year):
    lines = [json.dumps(review(year, f"U{n}")) for n in range(150)]
    tables = read(tmp_path, year, [*lines[:9], lines[9] + lines[10], *lines[11:]])
    assert len(tables.interactions) == 148 and "1 of 149 lines cannot be read, the first is line 10" in tables.notes[0]


@pytest.mark.parametrize("year", YEARS)
def test_line_by_line_equals_arrow(tmp_path, year, monkeypatch):
    files = write(tmp_path, year, [review(year, f"U{n % 7}", f"B{n % 3}", SECONDS + n) for n in range(60)])
    fast = read_amazon(*files).interactions
    monkeypatch.setattr(reviews_module, "_arrow_table", lambda block, schema: None)
    assert read_amazon(*files).interactions.equals(fast)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("year", YEARS)
def test_half_a_download(tmp_path, year, which):
    reviews = [review(year, f"user-{n * 7919}", time=SECONDS + n) for n in range(2000)]
    files = write(tmp_path, year, reviews, [item(year), *(item(year, f"A{n * 7919}") for n in range(2000))])
    whole = files[which].read_bytes()
    files[which].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=rf"{files[which].name}: the file is damaged or cut short.*Download"):
        read_amazon(*files)
    files[which].write_text("<!DOCTYPE html>\n<title>404</title>\n")
    with pytest.raises(DataError, match=rf"{files[which].name}: 2 of 2 lines cannot be read, the first is line 1"):
        read_amazon(*files)


@pytest.mark.parametrize("year", YEARS)
def test_reviews_without_metadata_and_repeated_reviews(tmp_path, year):
    reviews = [review(year), review(year), review(year, "U2", "B404")]
    tables = read(tmp_path, year, reviews)
    assert tables.items["item_id"].tolist() == ["B1", "B404"] and tables.items["text"].tolist() == ["A pen", ""]
    assert "1 of the 2 items that occur in events have no row in items; their texts are empty." in tables.notes
    assert [line["rec events"] for line in tables.counts] == [3, 2]
    with pytest.raises(DataError, match=r"2 of the 2 items .* have no row in items"):
        read(tmp_path, year, reviews, [item(year, "B7")])


def test_ten_thousand_reviews_of_one_user_in_one_second(tmp_path):
    """One moment cannot be split: the user is for training only, and the others are held out."""
    many = [review(2023, "robot", f"B{n}") for n in range(10_000)]
    few = [review(2023, f"U{n}", f"B{n + k}", SECONDS + k) for n in range(3) for k in range(9)]
    write(tmp_path, 2023, many + few)
    config = DataConfig(min_interactions=1, eval_negatives=5)
    dataset = load_dataset(tmp_path, data_config=config)
    robot = dataset.user == list(dataset.user_ids).index("robot")
    assert robot.sum() == 10_001 and dataset.rows_before_cut()[robot].all()  # with the search for B1
    assert len(dataset.rows["test"]["rec"]) == 3


def test_a_line_that_never_ends_is_refused(tmp_path, monkeypatch):
    for name in ("LINES", "MAX_LINE"):
        monkeypatch.setattr(content, name, 1000 if name == "LINES" else 2000)
    lines = [review(2018)] * 20
    with pytest.raises(DataError, match=r"Toy_5\.json\.gz: line 21 has more than 2,000 bytes"):
        read(tmp_path, 2018, [*lines, review(2018, reviewText="x" * 3000), *lines])
