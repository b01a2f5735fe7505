"""KuaiSAR's fields, and what is asked of its tables, in the order in which it is asked."""

from __future__ import annotations

import pandas as pd

from ...times import Clock

BEIJING = Clock(day=24 * 3600 * 1000, shift=8 * 3600 * 1000)  # times are milliseconds
# The days of the full release, and one on either side for clocks that differ.
FIRST, LAST = (
    int(pd.Timestamp(day, tz="Asia/Shanghai").timestamp() * 1000)
    for day in ("2023-05-21", "2023-06-12")
)
LEVELS = [f"{level}_level_category_name_en" for level in ("first", "second", "third", "fourth")]

FIELDS = {
    "rec_inter": {
        "user_id": "BIGINT",
        "item_id": "BIGINT",
        "timestamp": "DOUBLE",
        "click": "DOUBLE",
    },
    "src_inter": {
        "user_id": "BIGINT",
        "item_id": "BIGINT",
        "search_session_id": "BIGINT",
        "search_session_timestamp": "DOUBLE",
        "keyword": "VARCHAR",
        "click_cnt": "DOUBLE",
        "item_type": "VARCHAR",
    },
    "item_features": {
        "item_id": "BIGINT",
        "caption": "VARCHAR",
        **dict.fromkeys(LEVELS, "VARCHAR"),
    },
}
OPTIONAL = {"item_type", "caption", *LEVELS}

# A list of word numbers, written as text, as words that no language has: [20, 3] is 'w20 w3'.
# NULL where it is no such list.
WORDS = r"""CREATE MACRO words(list) AS CASE
    WHEN regexp_full_match(list, '\s*\[\s*\]\s*') THEN ''
    WHEN regexp_full_match(list, '\s*\[?\s*\d+(\s*,\s*\d+)*\s*\]?\s*')
    THEN 'w' || regexp_replace(regexp_replace(list, '[\[\]\s]', '', 'g'), ',', ' w', 'g') END"""

# Search also shows users, live streams and more, whose numbers are not those of the videos and
# images that are recommended: their kind stands in front of them.
CLICKS = """CREATE TABLE clicks AS
    SELECT user_id, '' AS kind, item_id, try_cast(timestamp AS BIGINT) AS time, false AS is_search,
        '' AS query, -1::BIGINT AS session
    FROM rec_inter WHERE click > 0 AND isfinite(click)
    UNION ALL
    SELECT user_id, CASE WHEN coalesce(item_type, 'VIDEO') IN ('VIDEO', 'IMAGE_ATLAS') THEN ''
        ELSE lower(item_type) || '-' END, item_id,
        try_cast(search_session_timestamp AS BIGINT), true,
        words(keyword), search_session_id
    FROM src_inter WHERE click_cnt > 0 AND isfinite(click_cnt)"""
KINDS = """SELECT rtrim(kind, '-') AS kind, count(*) AS n FROM clicks WHERE kind <> ''
    GROUP BY kind ORDER BY kind"""

FAULTS = f"""CREATE TABLE faults AS SELECT *, CASE
    WHEN user_id IS NULL OR item_id IS NULL THEN 'no user or no item'
    WHEN time IS NULL OR time NOT BETWEEN {FIRST} AND {LAST} THEN 'a time outside of the release'
    WHEN query IS NULL THEN 'a keyword that is no list of numbers'
    WHEN is_search AND session IS NULL THEN 'no session'
    WHEN is_search AND query = '' THEN 'an empty keyword' END AS fault FROM clicks"""
HARMLESS = "an empty keyword"
FAULTY = """SELECT fault, count(*) AS n,
        min(concat('user ', user_id, ', item ', item_id, ', time ', time)) AS first
    FROM faults WHERE fault IS NOT NULL GROUP BY fault ORDER BY fault"""

# Names get numbers in one order, so that the same files give the same tables.
NUMBERED = """
    CREATE TABLE users AS SELECT user_id, row_number() OVER (ORDER BY user_id) - 1 AS code
        FROM (SELECT DISTINCT user_id FROM faults WHERE fault IS NULL);
    CREATE TABLE items AS
        SELECT kind, item_id, row_number() OVER (ORDER BY kind, item_id) - 1 AS code
        FROM (SELECT DISTINCT kind, item_id FROM faults WHERE fault IS NULL);
    CREATE TABLE queries AS SELECT query, row_number() OVER (ORDER BY query) - 1 AS code
        FROM (SELECT DISTINCT query FROM faults WHERE fault IS NULL);"""
EVENTS = """SELECT u.code::INTEGER AS user_id, i.code::INTEGER AS item_id, time, is_search,
        q.code::INTEGER AS query, min(session) AS session_id, count(*)::INTEGER AS times
    FROM faults JOIN users u USING (user_id) JOIN items i USING (kind, item_id)
        JOIN queries q USING (query)
    WHERE fault IS NULL GROUP BY ALL ORDER BY ALL"""

# All that was shown, clicked or not, which is what the papers count.
SHOWN = """WITH shown AS (
        SELECT user_id, item_id FROM rec_inter UNION ALL SELECT user_id, item_id FROM src_inter),
    sessions AS (
        SELECT user_id, search_session_id, bool_or(click_cnt > 0 AND isfinite(click_cnt)) AS clicked
        FROM src_inter GROUP BY ALL)
    SELECT (SELECT count(*) FROM rec_inter) AS rec, (SELECT count(*) FROM src_inter) AS src,
        (SELECT count(DISTINCT user_id) FROM shown) AS users,
        (SELECT count(DISTINCT item_id) FROM shown) AS items,
        (SELECT count(DISTINCT keyword) FROM src_inter) AS queries,
        (SELECT count(*) FROM sessions) AS sessions,
        (SELECT count(*) FROM sessions WHERE clicked) AS clicked"""

# `kept` holds the codes of the items that the filters have left.
KNOWN = "SELECT code, kind, item_id FROM kept JOIN items USING (code) ORDER BY code"
TEXTS = f"""SELECT DISTINCT ON (code) code, words(caption) AS caption, {", ".join(LEVELS)}
    FROM kept JOIN items USING (code) JOIN item_features USING (item_id)
    WHERE kind = '' ORDER BY ALL"""
