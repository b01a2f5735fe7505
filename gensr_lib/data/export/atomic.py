"""RecBole's atomic files as text: what its reader makes of each field, and how a field survives it.

A file is a table with tabs between its columns, and its header names the type of each:
``user_id:token``. RecBole 1.2.1 reads it by ``pandas.read_csv`` with the usual rules for quotation
marks and missing values, and splits fields of the type ``token_seq`` at one separator for all
columns. Facts from its source, ``data/dataset/dataset.py``, and from pandas' documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import DataError
from ..origin import shown
from ..schema import CATEGORY_SEPARATOR, PATH_SEPARATOR

# Between the parts of a list: the first of these that no item id has.
SEPARATORS = (" ", "|", ";", ",", "\x1f")
# What pandas.read_csv takes for a missing value (its documentation, na_values), but for nothing.
MISSING = (
    *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)
PADDING = "[PAD]"  # RecBole's own name for no user and no item


def separator_for(data: str, item_ids: pa.StringArray) -> str:
    """What separates the parts of a list: the first of `SEPARATORS` that is in no item id.

    Args:
        data: what messages call the data set.

    Raises:
        DataError: each of them is in some id.
    """
    for separator in SEPARATORS:
        if not pc.any(pc.match_substring(item_ids, separator)).as_py():
            return separator
    each = " ".join(map(repr, SEPARATORS))
    said = f"the item ids hold each of {each}, and RecBole's lists need one of them"
    raise DataError(f"{data}: {said}; write the ids without one.")


def refuse_unreadable(data: str, column: str, ids: pa.StringArray) -> None:
    """Raise `DataError` for an id that RecBole would not read as it is.

    Args:
        data, column: what messages call them.
    """
    reserved = pa.array([*MISSING, PADDING])
    reasons = {
        "a tab, which ends the field": pc.match_substring(ids, "\t"),
        "a quotation mark in front, which opens a quoted field": pc.starts_with(ids, '"'),
        "a word that stands for a missing id": pc.is_in(ids, reserved),
    }
    for reason, bad in reasons.items():
        if faulty := ids.filter(bad).to_pylist():
            others = f" ({len(faulty)} such ids)" if len(faulty) > 1 else ""
            said = f"RecBole cannot hold the id {shown(faulty[0])}{others}: {reason}"
            raise DataError(f"{data}, column {column}: {said}; write it in another way.")


def words(texts: pa.StringArray, separator: str) -> pa.StringArray:
    """Texts (N,) as fields of words; what a text has of the separator stands between words, too.

    >>> words(pa.array(["a\\t pen", "nan", ""]), "|").to_pylist()
    ['a|pen', '|nan', '']
    """
    spaced = pc.replace_substring(texts, "\0", " ")
    split = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(spaced))
    return _readable(pc.binary_join(split, separator), separator)


def levels(categories: pd.Series, separator: str) -> pa.StringArray:
    """Paths of categories (N,) as fields of levels: each one word, and said once.

    >>> levels(pd.Series(["Home > Ink pens | Home > Gifts", ""]), " ").to_pylist()
    ['Home Ink_pens Gifts', '']
    """
    number, distinct = pd.factorize(categories)  # thousands of items share a path
    unsafe = re.compile(rf"[\s\0{re.escape(separator)}]+")
    fields = []
    for path in distinct:
        names = path.replace(PATH_SEPARATOR, CATEGORY_SEPARATOR).split(CATEGORY_SEPARATOR)
        once = dict.fromkeys(unsafe.sub("_", name) for name in names)
        fields.append(separator.join(once))
    return _readable(pa.array(fields, pa.string()), separator).take(pa.array(number))


def _readable(fields: pa.StringArray, separator: str) -> pa.StringArray:
    """A separator in front of fields that would be read as quoted, or as missing.

    Their first part is then empty, and RecBole drops empty parts.
    """
    unsafe = pc.or_(pc.starts_with(fields, '"'), pc.is_in(fields, pa.array(MISSING)))
    return pc.if_else(unsafe, pc.binary_join_element_wise("", fields, separator), fields)


def write_table(path: Path, types: Mapping[str, str], groups: Iterable[Mapping]) -> int:
    """Write a table, group by group of its rows.

    Args:
        types: of all columns by their names, in RecBole's words.
        groups: columns by name, as Arrow arrays; the first group says which columns there are.

    Returns:
        The number of rows.
    """
    n_rows = 0
    with path.open("wb") as file:
        for number, columns in enumerate(groups):
            if number == 0:
                header = "\t".join(f"{name}:{types[name]}" for name in columns)
                file.write(f"{header}\n".encode())
            lines = _lines(list(columns.values()))
            n_rows += len(lines)
            if len(lines):
                whole = pa.ListArray.from_arrays(np.array([0, len(lines)], np.int32), lines)
                file.write(pc.binary_join(whole, "\n")[0].as_buffer())
                file.write(b"\n")
    return n_rows


def _lines(columns: list[pa.Array]) -> pa.StringArray:
    return pc.binary_join_element_wise(*(pc.cast(column, pa.string()) for column in columns), "\t")
