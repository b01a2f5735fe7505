"""The tables of the book: styled where people look, all digits in a CSV file beside the figures."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from functools import partial
from numbers import Integral
from pathlib import Path

import pandas as pd
from pandas.io.formats.style import Styler

from ..files import write_atomically
from .names import displayed

NAMING = ("task", "system", "best")  # columns of names
CHANCES = ("p", "p_holm")  # columns of p-values
LONG = 10_000  # whole numbers from here on have their thousands apart


class Shown(Styler):
    """A styled table whose plain text is the table, not an address that changes with each run."""

    def __repr__(self) -> str:
        return repr(self.data)


def show(
    table: pd.DataFrame | pd.Series | None,
    name: str,
    folder: str | Path,
    digits: int = 3,
    best_in: Sequence[Hashable] = (),
    among: Sequence[Hashable] | None = None,
    doubtful: pd.DataFrame | None = None,
) -> Shown | None:
    """Write ``<folder>/<name>.csv`` and return the table as a notebook shows it.

    The file holds the numbers unrounded, names of several levels joined by a space, and the index
    unless it only counts the rows. None, or a table without rows, is what the data do not have:
    nothing is written or shown.

    Args:
        name: of the file, and of the table in the page: equal tables give equal outputs.
        digits: decimal places of floats, in mixed columns too. A number that would round to zero is
            shown by its first digit, what is missing as a dash.
        best_in: columns whose highest number is bold and whose second is underlined.
        among: the rows that can be best; default: all.
        doubtful: True for those cells, of some rows and columns, that are shown with a dagger.
    """
    if table is None or not len(table):
        return None
    table = table.to_frame() if isinstance(table, pd.Series) else table
    counted = isinstance(table.index, pd.RangeIndex) and table.index.name is None
    flat = table.set_axis([_flat(column) for column in table.columns], axis=1)
    save = {"index": not counted, "lineterminator": "\n", "encoding": "utf-8"}
    write_atomically(Path(folder) / f"{name}.csv", lambda part: flat.to_csv(part, **save))
    styler = Shown(table.set_axis(_unnamed(table.columns), axis=1), uuid=name, cell_ids=False)
    styler.format(partial(_value, digits=digits), na_rep="–", escape="html")
    for columns, shown in ((NAMING, displayed), (CHANCES, _chance)):
        own = [column for column in columns if column in table]
        styler.format(shown, subset=own, na_rep="–", escape="html")
    for column in doubtful if doubtful is not None else ():
        rows = doubtful.index[doubtful[column]]
        daggered = partial(_value, digits=digits, sign="†")
        styler.format(daggered, subset=(rows, [column]), na_rep="–", escape="html")
    for axis in (0, 1):
        styler.format_index(_label, axis=axis, escape="html")
    if best_in:
        rows = table.index if among is None else list(among)
        styler.apply(_marked, subset=(rows, list(best_in)))
    return styler.hide() if counted else styler


def _unnamed(columns: pd.Index) -> pd.Index:
    """Columns whose levels of words have no name: words say what they are, numbers do not."""
    levels = [columns.get_level_values(number) for number in range(columns.nlevels)]
    of_words = [all(isinstance(label, str) for label in level) for level in levels]
    return columns.set_names(
        [None if words else level.name for words, level in zip(of_words, levels, strict=True)]
    )


def _marked(column: pd.Series) -> list[str]:
    """The style of each cell; equal numbers have equal marks."""
    best, second = [*column.drop_duplicates().nlargest(2), None, None][:2]
    styles = {best: "font-weight: bold", second: "text-decoration: underline"}
    return ["" if pd.isna(value) else styles.get(value, "") for value in column]


def _flat(column: object) -> str:
    levels = column if isinstance(column, tuple) else (column,)
    return " ".join(str(level) for level in levels if str(level))


def _value(value: object, digits: int, sign: str = "") -> str:
    if isinstance(value, Integral) and abs(value) >= LONG:
        return f"{value:,}{sign}"
    if not isinstance(value, float):
        return f"{value}{sign}".replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")
    if value == 0 or abs(value) >= 0.5 * 10**-digits:
        return signed(f"{value:.{digits}f}") + sign
    places = -math.floor(math.log10(abs(value)))  # of its first digit
    shown = f"{value:.{places}f}" if places <= digits + 1 else f"{value:.0e}"
    return signed(shown) + sign


def signed(text: str) -> str:
    """Text whose numbers have the sign for a minus: as wide as a digit, as figures have it, and no
    place where a line may break. What was rounded to zero has none.

    >>> signed("-4e-04 [-0.1, 0.2], 2014-2018"), signed("-0.000 to -0.0.")
    ('−4e−04 [−0.1, 0.2], 2014-2018', '0.000 to 0.0.')
    """
    text = re.sub(r"(?<!\w)-(?=0\.0+(?!\.?\d|e))", "", text)
    return re.sub(r"((?<!\w)|(?<=\de))-(?=\d)", "−", text)


def _chance(p: float) -> str:
    """A p-value as HTML; how small a small one is no test knows, so far out in a tail."""
    return "&lt;\N{NO-BREAK SPACE}0.001" if p < 0.001 else f"{p:.3f}"


def _label(value: object) -> str:
    return signed(f"{value:g}") if isinstance(value, float) else str(displayed(value))
