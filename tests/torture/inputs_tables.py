"""Columns, ids, behaviors, queries and texts of a user's own CSV files."""

from __future__ import annotations

from .cases import (
    CATALOGUE,
    DAYS,
    LOG,
    USERS,
    csv,
    events,
    folder,
    in_order,
    item_line,
    items,
    line,
    log,
    order,
    read,
    refused,
    refused_items,
    shelf,
    spoilt,
    with_texts,
)

TWICE = " ".join(f"a{day} a{day}" for day in DAYS)  # each click with the search made from it
ONCE = " ".join(f"a{day}" for day in DAYS)
FIVE = "user_id,item_id,time,behavior,query"


def number(user: str, day: int) -> int:
    """An id that is a number: ann's are 971 to 978, eve's 1011 to 1018."""
    return 10 * ord(user[0]) + day


def only_clicks(**of_items) -> dict:
    """Events without behaviors and queries."""
    return folder(csv(events(behavior=None, query=None)), csv(items(**of_items)))


def header(first: str, **columns) -> dict:
    """More columns, under a first line of one's own."""
    return folder(spoilt(csv(events(**columns)), {1: first}))


COLUMNS = [
    read("columns: the three that are needed", only_clicks(), lambda d: order(d) == TWICE),
    read("columns: in another order", folder(csv(events()[FIVE.split(",")[::-1]])), with_texts),
    read("columns: names with spaces", folder(LOG.replace("time", " time ", 1)), with_texts),
    read("columns: quoted names", folder(LOG.replace("user_id", '"user_id"', 1)), with_texts),
    read("columns: others beside them", log(rating="5"), with_texts, "rating"),
    read("columns: unused ones twice", header(f"{FIVE},a,a", y="1", z="2"), with_texts),
    refused("columns: userid", header(FIVE.replace("user_id", "userid")), "userid", "user_id"),
    refused("columns: Item_ID", header(FIVE.replace("item", "Item")), "Item_id", "item_id"),
    refused("columns: timestamp", header(FIVE.replace("time", "timestamp")), "timestamp", "time"),
    refused("columns: behaviour", header(FIVE.replace("ior", "iour")), "behaviour", "behavior"),
    refused(
        "columns: kind in place of behavior",
        header(FIVE.replace("behavior", "kind")),
        *("line 3", "query", "behavior", "red shoe 2"),
    ),
    refused("columns: queries without behavior", log(behavior=None), "line 3", "query", "behavior"),
    refused("columns: no user", log(user_id=None), "user_id"),
    refused("columns: no time", log(time=None), "time", "position"),
    refused("columns: behavior twice", header(f"{FIVE},behavior", z="rec"), "behavior", "twice"),
    refused("columns: behavior, with a space", header(f"{FIVE}, behavior", z="rec"), "behavior", "twice"),
    refused("columns: no header", folder(LOG.split("\n", 1)[1]), "user_id", "line 1"),
    refused("columns: a comment above", folder("# exported\n" + LOG), "user_id", "exported", "line 1"),
    refused_items("columns: items without an id", shelf(item_id=None), "item_id"),
    read("columns: items with ids alone", shelf(title=None, categories=None), in_order),
    read(
        "columns: movie_title and genres",
        shelf(title=None, categories=None, movie_title="Heat", genres="Crime"),
        in_order,
        "movie_title, genres",
        logged=True,
    ),
]

IDS = [
    read("ids: zeros in front stay", log(user_id="00{u}"), lambda d: d.user_ids[0] == "00ann"),
    read(
        "ids: NA, null and None are names",
        log(user_id=lambda u, d: ("NA", "None", "null")[USERS.index(u)]),
        lambda d: d.user_ids.tolist() == ["NA", "None", "null"],
    ),
    read("ids: spaces around them", folder(LOG.replace("ann,", " ann ,")), with_texts),
    read("ids: emoji, Arabic and Chinese", log(user_id="{u}😀 عربي 书"), lambda d: "eve😀 عربي 书" in d.user_ids),
    refused("ids: an empty user", line(5, ",a4,4,src,red"), "line 5", "user_id", "empty"),
    refused("ids: an empty item", line(5, "ann,,4,src,red"), "line 5", "item_id", "empty"),
    refused("ids: a user of blanks", line(5, "  ,a4,4,src,red"), "line 5", "user_id", "empty"),
    refused_items("ids: an empty one in items", item_line(5, ",Shoe,A"), "line 5", "item_id", "empty"),
    refused_items("ids: an item twice", item_line(5, "a1,Shoe,A"), "line 5", "item_id", "'a1'", "twice"),
    refused(
        "ids: 7 in one file, 7.0 in the other",
        folder(csv(events(item_id=lambda u, d: f"{number(u, d)}.0")), csv(items(item_id=number))),
        *("items.csv", "item_id", "'1011.0'", "'971'", "'.0'"),
    ),
    refused(
        "ids: 7 in one file, 007 in the other",
        folder(csv(events(item_id=number)), csv(items(item_id=lambda u, d: f"00{number(u, d)}"))),
        *("items.csv", "item_id", "'1011'", "'00971'", "zeros"),
    ),
    refused(
        "ids: capital letters in one file",
        log(item_id=lambda u, d: f"{u[0].upper()}{d}"),
        *("items.csv", "item_id", "'A1'", "'a1'", "capital"),
    ),
    refused("ids: of other things", log(item_id="sku-{u}-{d}"), "items.csv", "'sku-ann-1'", "'a1'"),
    read(
        "ids: one in three has a row",
        log(item_id=lambda u, d: f"{u[0]}{d}" if u == "ann" else f"{u[0].upper()}{d}"),
        in_order,
        *("16 of the 24", "'B1'", "'b1'", "capital"),
        logged=True,
    ),
    read("ids: one has no row", item_line(5, "zz,Hat,A > B"), in_order, "1 of the 24"),
    refused("ids: a user of a megabyte", line(5, "u" * 10**6 + ",a4,4,src,red"), "line 5", "user_id", "1000 char"),
    refused_items("ids: an item of a megabyte", item_line(5, "i" * 10**6 + ",Hat,A"), "line 5", "item_id", "1000 char"),
    refused("ids: a NUL in one", line(5, "a\0nn,a4,4,src,red"), "line 5", "NUL"),
    refused("ids: NULs at the end", folder(LOG.replace("eve,", "eve\0,")), "line 18", "NUL"),
    refused("ids: a line break in one", line(5, '"an\nn",a4,4,src,red'), "line 5", "user_id"),
]


def short_queries(dataset) -> bool:
    """All is read, and no query is longer than a tokenizer can take."""
    return in_order(dataset) and max(map(len, dataset.query_texts)) <= 500


NO_SEARCH = ("No search", "categor")

BEHAVIORS = [
    read("behavior: searches only", log(behavior="src", query="red shoe"), lambda d: d.is_search.all()),
    read(
        "behavior: clicks, no categories",
        only_clicks(categories=None),
        lambda d: order(d) == ONCE,
        *NO_SEARCH,
        logged=True,
    ),
    read(
        "behavior: clicks, flat categories",
        only_clicks(categories="Shoes"),
        lambda d: order(d) == ONCE,
        *NO_SEARCH,
        logged=True,
    ),
    read("behavior: searches are made", only_clicks(), lambda d: d.is_search.sum() == 24, "24 searches were made"),
    read("behavior: categories A>B", only_clicks(categories="Home>Tables"), lambda d: d.query_texts[1] == "home table"),
    refused("behavior: buy", line(5, "ann,a4,4,buy,"), "line 5", "behavior", "'buy'", "rec", "src"),
    refused("behavior: empty", line(5, "ann,a4,4,,"), "line 5", "behavior"),
    refused("behavior: Rec", folder(LOG.replace(",rec,", ",Rec,")), "line 2", "behavior", "'Rec'"),
    read("behavior: with spaces", folder(LOG.replace(",rec,", ", rec ,")), with_texts),
    refused("query: on a rec row", line(6, "ann,a5,5,rec,red"), "line 6", "query", "'red'", "rec"),
    refused("query: missing on a search", line(5, "ann,a4,4,src,"), "line 5", "query", "empty"),
    refused("query: blanks on a search", line(5, "ann,a4,4,src,  "), "line 5", "query", "empty"),
    refused("query: no column, but searches", log(query=None), "line 3", "query"),
    read("query: nan is a word", line(5, "ann,a4,4,src,nan"), lambda d: "nan" in d.query_texts),
    read("query: 3,000 words", line(5, "ann,a4,4,src," + "word " * 3000), short_queries, "cut", "500"),
    read("query: a word of a megabyte", line(5, "ann,a4,4,src," + "w" * 10**6), short_queries, "cut"),
    refused("query: a line break", line(5, 'ann,a4,4,src,"red\nshoe"'), "line 5", "query"),
    refused(
        "query: a quote swallows lines",
        folder(spoilt(LOG, {5: 'ann,a4,4,src,"red shoe', 15: 'ben,b6,6,src,red shoe"'})),
        *("line 5", "query"),
    ),
    refused("query: a quote is never closed", line(5, 'ann,a4,4,src,"red shoe'), "line 5", "quot"),
    read(
        "query: quotes and commas", line(5, 'ann,a4,4,src,"5"" pipe, red"'), lambda d: '5" pipe, red' in d.query_texts
    ),
    read(
        "session: two clicks have one",
        log(session_id=lambda u, d: f"s{d // 5}", query=lambda u, d: "" if d % 2 else "red"),
        lambda d: in_order(d) and len(set(d.session[d.is_search])) == 6,
    ),
    read("duplicates: one row twice", folder(LOG + "ann,a4,4,src,red shoe 4\n"), with_texts, "1 repeated"),
    refused("size: a header and no row", folder("user_id,item_id,time\n"), "no rows"),
    refused("size: an empty file", folder(""), "empty"),
    refused("size: blank lines only", folder("\n\n\n"), "empty"),
    refused_items(
        "size: too few items for the negatives",
        folder(csv(events(item_id="a{d}")), csv(items().head(9))),
        *("'ann'", "0 of the 8 items", "5 negatives"),
    ),
]


def with_one_text(text: str) -> dict:
    """Items with a column of texts, the first of which is given."""
    return folder(LOG, spoilt(csv(items(text="x")), {2: f"a1,Shoe,A > B,{text}"}))


TEXTS = [
    read("titles: with commas", item_line(2, 'a1,"Shoe, red",A'), lambda d: d.item_title[1] == "Shoe, red"),
    read("titles: HTML stays text", item_line(2, "a1,<b>x</b>,A"), lambda d: d.item_title[1] == "<b>x</b>"),
    read("titles: a quote in the middle", item_line(2, 'a1,7" pan,A'), lambda d: d.item_title[1] == '7" pan'),
    refused_items(
        "titles: a quote swallows lines",
        folder(LOG, spoilt(CATALOGUE, {2: 'a1,"Shoe,A > B', 6: 'a5,Shoe",A > B'})),
        *("line 2", "title"),
    ),
    read(
        "titles: one word of a megabyte",
        item_line(2, f"a1,{'x' * 10**6},A"),
        lambda d: max(map(len, d.item_text)) <= 5000,
        *("title of 1 items", "cut"),
    ),
    read("texts: paragraphs", with_one_text('"One.\nTwo, too."'), lambda d: "One.\nTwo, too" in d.item_text[1]),
    refused_items(
        "texts: a quote swallows rows",
        folder(LOG, spoilt(csv(items(text="x")), {2: 'a1,Shoe,A,"One', 6: 'a5,Shoe,A,Two"'})),
        *("line 2", "text"),
    ),
    refused(
        "texts: a quote swallows rows in an unused column",
        folder(spoilt(csv(events(note="x")), {2: 'ann,a1,1,rec,,"One', 6: 'ann,a5,5,rec,,Two"'})),
        *("line 2", "note"),
    ),
    refused(
        "texts: an open quote in an unused column",
        folder(spoilt(csv(events(note="x")), {20: 'eve,e3,3,rec,,"One'})),
        *("line 20", "note"),
    ),
    read("categories: empty levels", shelf(categories="A >  > B"), with_texts),
]

TABLES = [*COLUMNS, *IDS, *BEHAVIORS, *TEXTS]

NEW_TABLES = [
    refused("behavior: True and False", log(behavior=lambda u, d: d % 2 == 0), "line 2", "behavior", "'False'"),
    refused("behavior: purchase", log(behavior="purchase"), "line 2", "behavior", "'purchase'"),
    refused("behavior: SRC once", line(5, "ann,a4,4,SRC,red"), "line 5", "behavior", "'SRC'"),
    read("columns: pandas' index", folder(csv(events().reset_index()).replace("index", "", 1)), with_texts),
    read("columns: a separator behind each line", folder(LOG.replace("\n", ",\n")), with_texts),
    read("columns: two separators behind each line", folder(LOG.replace("\n", ",,\n")), with_texts),
    refused_items("ids: one with two titles", folder(LOG, CATALOGUE + "a1,Hat,A\n"), "line 26", "'a1'", "twice"),
    refused_items("ids: one with spaces twice", folder(LOG, CATALOGUE + " a1 ,Hat,A\n"), "line 26", "'a1'", "twice"),
    read("ids: formulas of a spreadsheet", log(user_id="=cmd({u})"), lambda d: "=cmd(eve)" in d.user_ids),
    read("query: without a letter", line(5, "ann,a4,4,src,!!!"), lambda d: "!!!" in d.query_texts),
    read(
        "categories: genres with bars",
        only_clicks(categories="Action|Comedy > Dark"),
        lambda d: d.query_texts[1] == "comedy dark",
    ),
    read("items: one that nobody clicked", folder(LOG, CATALOGUE + "hat,Hat,A > B\n"), lambda d: d.n_items == 24),
    read(
        "query: the same for all",
        log(query=lambda u, d: "" if d % 2 else "red"),
        lambda d: d.query_texts.tolist() == ["", "red"],
    ),
]
