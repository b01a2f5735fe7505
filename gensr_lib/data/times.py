"""Times and positions: whatever a column holds as int64 that orders events, or an error.

Nothing is cut off, overflows, is guessed row by row or filled with today's date.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.tseries.api import guess_datetime_format

from .origin import Origin, shown

LIMIT = 2**62  # of a time: differences of two of them still fit into int64
EXACT = 2**53  # above it, floating numbers skip whole ones
ISO = "ISO8601"
# The day is there, and not the month alone.
ISO_DATE = r"\d{4}(?:-\d{1,2}-|/\d{1,2}/)\d{1,2}(?!\d)|\d{8}"
ISO_ZONE = r"[T ]\d.*(?:[+-]\d\d(?::?\d\d)?|[zZ])$"
EITHER_FIRST = r"\d{1,2}\D\d{1,2}\D\d{2,4}\b"  # day or month
SECONDS = (10**8, 10**10)  # since 1970, in the years 1973 to 2286
DAY = 86_400  # seconds
MILLISECONDS = 10**11  # since 1970, in 1973: nobody has seconds as late
# Units, the next finer one, and how many of the former are a second.
FINER = (
    ("seconds", "milliseconds", 1),
    ("milliseconds", "microseconds", 10**3),
    ("microseconds", "nanoseconds", 10**6),
)
# What numbers of so many digits at most are taken for in words: from 1973 to 2286 it is that.
CLOCKS = (
    (8, "whole numbers", ""),
    (10, "seconds", "s"),
    (11, "whole numbers", ""),
    (13, "milliseconds", "ms"),
    (14, "whole numbers", ""),
    (16, "microseconds", "us"),
    (17, "whole numbers", ""),
    (19, "nanoseconds", "ns"),
)


@dataclass(frozen=True)
class Clock:
    """What a day is in the times of a log.

    Attributes:
        day: units of time in a day: 86,400 where times are seconds.
        shift: added to a time before days are counted: how far the clocks of the users are ahead
            of UTC, in the same units.

    >>> Clock(day=24, shift=8).days(np.array([0, 15, 16]))
    array([0, 0, 1])
    """

    day: int
    shift: int = 0

    def days(self, time: np.ndarray) -> np.ndarray:
        """The day of each time, counted from 1970 if the times are."""
        return (time + self.shift) // self.day


def whole_numbers(column: pd.Series, origin: Origin) -> pd.Series:
    """A column of whole numbers within ±2**62, of any type, as int64.

    Raises:
        DataError: a value that is none.
    """
    number = _numbers(column, origin)
    advice = "round it, or call the column `position` if only the order counts"
    origin.refuse(number % 1 != 0, column, f"is not a whole number; {advice}")
    inside = number.between(-LIMIT, LIMIT)
    origin.refuse(~inside, column, "lies beyond ±2**62; write smaller numbers")
    return number.astype("int64")


def positions(column: pd.Series, origin: Origin) -> pd.Series:
    """A column of numbers as int64 of the same order: themselves, or their ranks from 0 on.

    Raises:
        DataError: a value that is no finite number.
    """
    number = _numbers(column, origin)
    if ((number % 1 == 0) & number.between(-LIMIT, LIMIT)).all():
        return number.astype("int64")
    return number.rank(method="dense").astype("int64") - 1


def moments(column: pd.Series, origin: Origin) -> pd.Series:
    """A column of whole numbers, which stay as they are, or of dates, as int64.

    The first row decides which of the two. Dates become seconds since 1970, or, if one of them
    has fractions of a second, the coarsest of milli-, micro- and nanoseconds that holds them all.
    They are UTC where no zone is named. All are written alike: as ISO 8601 says (``2024-03-13``,
    ``2024-03-13 10:30``), or as the first one if that has a year of four digits and tells the day
    from the month (``13 March 2024``).

    Raises:
        DataError: a value that is neither, a date written unlike the first one, seconds beside
            milliseconds.
    """
    if pd.api.types.is_datetime64_any_dtype(column):
        origin.refuse(column.isna(), column, "is empty; give every event a time")
        return _since_1970(column)
    text = column
    if not pd.api.types.is_numeric_dtype(column):
        text = column.astype("string").str.strip()
        origin.refuse(text.fillna("").eq(""), column, "is empty; give every event a time")
        if pd.to_numeric(text.iloc[:1], errors="coerce").isna().all():
            return _since_1970(_dates(text, column, origin))
    number = whole_numbers(text.rename(column.name), origin)
    for unit, finer, times in FINER:
        low, high = (end * times for end in SECONDS)
        if number.between(low, high).any():
            advice = "write all of them in one unit, or call the column `position`"
            said = f"looks like {finer}, and others like {unit}; {advice}"
            origin.refuse(number >= MILLISECONDS * times, column, said)
    return number


def span(time: np.ndarray) -> str:
    """The first and the last of some times, as dates if they are as large as those of a clock.

    Args:
        time: (n,) int64 within ±2**62, in any order.

    >>> span(np.array([1388534400, 1406073600])), span(np.array([7, 3]))
    ('seconds since 1970, from 2014-01-01 to 2014-07-23', 'whole numbers from 3 to 7')
    """
    ends = np.array([time.min(), time.max()], dtype=np.int64)
    digits = len(str(np.abs(ends).max()))
    name, unit = next(clock for most, *clock in CLOCKS if digits <= most)
    if not unit:
        return f"{name} from {ends[0]} to {ends[1]}"
    first, last = ends.astype(f"datetime64[{unit}]").astype("datetime64[m]")
    days = [str(moment).replace("T", " ").removesuffix(" 00:00") for moment in (first, last)]
    return f"{name} since 1970, from {days[0]} to {days[1]}"


def _numbers(column: pd.Series, origin: Origin) -> pd.Series:
    """Finite numbers of int64, uint64 or, where one has a fraction, float64."""
    is_bool = pd.api.types.is_bool_dtype(column)
    number = pd.to_numeric(column, errors="coerce")
    known = number.to_numpy(dtype="float64", na_value=np.nan)
    said = "is not a number; write it with digits and, for a fraction, a point"
    origin.refuse(~np.isfinite(known) | is_bool, column, said)
    if pd.api.types.is_integer_dtype(number):
        kind = "uint64" if number.max() >= 2**63 else "int64"
        return number.astype(kind)
    number = number.astype("float64")
    said = "reaches ±2**53, where numbers with fractions lose digits; write whole numbers"
    origin.refuse(number.abs() >= EXACT, column, said)
    return number


def _dates(text: pd.Series, column: pd.Series, origin: Origin) -> pd.Series:
    """Texts of one format as dates (UTC)."""
    first = text.iloc[0]
    form = _format(first)
    if form is None:
        said = "is neither a whole number nor a date with its day and year"
        if re.match(EITHER_FIRST, first):
            said = "may have the day or the month first"
        advice = "write year-month-day, such as 2024-03-13 or 2024-03-13 10:30"
        origin.refuse(np.arange(len(text)) == 0, column, f"{said}; {advice}")
    dates = pd.to_datetime(text, format=form, errors="coerce", utc=True)
    bad = dates.isna() | text.str.lower().isin(["now", "today"])  # which pandas would take
    if form == ISO:
        bad |= ~text.str.match(ISO_DATE)
    advice = "write all dates alike, best as 2024-03-13 or 2024-03-13 10:30"
    said = f"is no date of the calendar, written as the first one, {shown(first)}; {advice}"
    origin.refuse(bad, column, said)
    if form == ISO:
        zoned = text.str.contains(ISO_ZONE)
        said = f"and the first date, {shown(first)}, do not both name a time zone"
        origin.refuse(zoned != zoned.iloc[0], column, f"{said}; write all or none with one")
    return dates


def _format(date: str) -> str | None:
    """How a date is written; None without day or year, or where day and month may be mixed up."""
    if re.match(ISO_DATE, date):
        return ISO
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a day that comes first
        form = guess_datetime_format(date) or ""
    is_clear = form.startswith("%Y") or ("%Y" in form and "%m" not in form)
    return form if is_clear and "%d" in form else None


def _since_1970(dates: pd.Series) -> pd.Series:
    """Dates as int64 of the coarsest unit that loses nothing."""
    for unit in ("s", "ms", "us", "ns"):
        found = dates.dt.as_unit(unit)
        if (found == dates).all():
            break
    return found.astype("int64")
