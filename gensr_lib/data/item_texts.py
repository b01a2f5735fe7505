"""What systems read of an item, and what people do: its texts, made of the table of items."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .schema import CATEGORIES, CATEGORY_SEPARATOR, ITEM, PATH_SEPARATOR, TEXT, TITLE


def item_texts(items: pd.DataFrame, with_categories: bool = False) -> pd.Series:
    """Title and text of each item (I,), or its category where both are empty.

    A text that begins with the title stands alone.

    Args:
        items: the table of items, as in `schema`.
        with_categories: the levels of the category come first, as in ``Beauty, Nails. Red polish.
            for ten days``.
    """
    title, text, categories = (items[column] for column in (TITLE, TEXT, CATEGORIES))
    alone = np.frompyfunc(str.startswith, 2, 1)(text, title).astype(bool)
    known = text.where(alone, (title + ". " + text).str.strip(" ."))
    if with_categories:
        levels = spoken_levels(categories)
        known = known.mask(known.ne("") & levels.ne(""), levels + ". " + known)
    return known.where(known.ne(""), categories)


def item_titles(items: pd.DataFrame) -> pd.Series:
    """A short name of each item (I,) for people: title, else text or category, else id."""
    title = items[TITLE]
    name = title.where(title.ne(""), item_texts(items))
    return name.where(name.ne(""), items[ITEM])


def spoken_levels(categories: pd.Series) -> pd.Series:
    """The levels of each item's category paths as a reader says them, joined by commas.

    Of several paths all are said, one after the other, and a level that they share only once.

    Args:
        categories: paths such as ``A > B > C``, several joined by `` | ``; empty where none is.

    >>> spoken_levels(pd.Series(["Beauty > Nails > Polish | Beauty > Gifts", ""])).tolist()
    ['Beauty, Nails, Polish, Gifts', '']
    """
    number, distinct = pd.factorize(categories)  # thousands of items share a path
    paths = [path.replace(PATH_SEPARATOR, CATEGORY_SEPARATOR) for path in distinct]
    levels = [dict.fromkeys(path.split(CATEGORY_SEPARATOR)) for path in paths]
    said = np.array([", ".join(filter(None, each)) for each in levels], dtype=object)
    return pd.Series(said[number], index=categories.index).str.strip(" .")
