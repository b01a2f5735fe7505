"""Times as they are written: read without a loss, or refused; and in words, as pandas has them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gensr_lib.data.origin import Origin
from gensr_lib.data.times import Clock, moments, positions, span, whole_numbers
from gensr_lib.errors import DataError

LOG = Origin("log.csv", "line {}".format)

DAYS = pd.DatetimeIndex(["2024-03-13 10:30", "1995-01-09 00:00"])


@pytest.mark.parametrize(
    ("unit", "name"), [("s", "seconds"), ("ms", "milliseconds"), ("us", "microseconds"), ("ns", "nanoseconds")]
)
def test_times_of_a_clock_are_dates(unit, name):
    time = DAYS.as_unit(unit).asi8
    assert span(time) == f"{name} since 1970, from 1995-01-09 to 2024-03-13 10:30"


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (0, 99_999_999, "whole numbers from 0 to 99999999"),
        (10**8, 10**8, "seconds since 1970, from 1973-03-03 09:46 to 1973-03-03 09:46"),
        (-(10**9), 5, "seconds since 1970, from 1938-04-24 22:13 to 1970-01-01"),
        (0, 10**10, "whole numbers from 0 to 10000000000"),
        (-(2**62), 2**62, "nanoseconds since 1970, from 1823-11-12 00:06 to 2116-02-20 23:53"),
    ],
)
def test_other_numbers_and_the_borders(first, last, said):
    assert span(np.array([last, first])) == said


def test_a_day_begins_at_the_midnight_of_the_users():
    time = pd.DatetimeIndex(["2023-05-22 23:59", "2023-05-23 00:00"], tz="Asia/Shanghai").as_unit("ms").asi8
    day = Clock(day=86_400_000, shift=8 * 3_600_000).days(time)
    assert day[1] - day[0] == 1 and len({*Clock(day=86_400_000).days(time)}) == 1


# --- as they are written ----------------------------------------------------------------------


def read(*values, by=moments) -> list[int]:
    return by(pd.Series(values, name="time"), LOG).tolist()


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        (["2024-03-13", "2024-03-14"], "s"),
        (["2024-03-13 10:30", "2024-03-13T10:30:01"], "s"),
        (["2024-03-13 10:30:00.5", "2024-03-13 10:30"], "ms"),
        (["2024-03-13 10:30:00.000001"], "us"),
        (["2024-03-13 10:30:00.000000001"], "ns"),
        (["2024-03-13 10:30+08:00", "2024-03-13 10:30Z"], "s"),
        (["13 March 2024", "1 April 2024"], "s"),
    ],
)
def test_dates_are_counted_in_the_coarsest_unit_that_holds_them(written, unit):
    assert read(*written) == [
        pd.Timestamp(text).as_unit(unit).value // {"s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}[unit]
        for text in written
    ]


def test_numbers_stay_what_they_are():
    assert read(0, -5, 2**62) == [0, -5, 2**62]
    assert read("1700000000", " 1700000001 ") == [1_700_000_000, 1_700_000_001]
    assert read(5.0, 7.0) == [5, 7] and read(1_700_000_000, 10**11 - 1) == [1_700_000_000, 10**11 - 1]


def test_positions_are_kept_or_ranked():
    assert read(3, 1, 2, by=positions) == [3, 1, 2]
    assert read(0.5, 2.25, 0.5, -1, by=positions) == [1, 2, 1, 0]


@pytest.mark.parametrize(
    ("values", "by", "says"),
    [
        ([1_700_000_000, 10**11], moments, "line 1, .* looks like milliseconds, and others like seconds"),
        ([1_700_000_000, 1_700_000_000_000], moments, "looks like milliseconds"),
        ([1_700_000_000_000, 1_700_000_000_000_000], moments, "looks like microseconds, and others like milliseconds"),
        ([1_700_000_000 * 10**6, 1_700_000_000 * 10**9], moments, "nanoseconds, and others like microseconds"),
        (["2024-03-13", "03/13/2024"], moments, "line 1, .* is no date of the calendar"),
        (["2024-02-30"], moments, "is no date of the calendar"),
        (["2024-03-13", "2024-03"], moments, "line 1, .* is no date of the calendar"),
        (["2024-03"], moments, "line 0, .* nor a date with its day and year"),
        (["2024-03-13", "today"], moments, "line 1, .* is no date of the calendar"),
        (["2024-03-13 10:00", "2024-03-13 10:00Z"], moments, "line 1, .* do not both name a time zone"),
        (["03/04/2024"], moments, "may have the day or the month first"),
        (["noon"], moments, "neither a whole number nor a date with its day and year"),
        (["2024-03-13", None], moments, "line 1, .* is empty"),
        ([pd.Timestamp("2024-03-13"), pd.NaT], moments, "line 1, .* is empty"),
        ([1.5], whole_numbers, "is not a whole number"),
        ([5.0, float(2**53)], whole_numbers, r"line 1, .* reaches ±2\*\*53"),
        ([2**62 + 1], whole_numbers, r"lies beyond ±2\*\*62"),
        ([2**63], whole_numbers, r"lies beyond ±2\*\*62"),
        ([True], whole_numbers, "is not a number"),
        ([1.0, np.inf], positions, "line 1, .* is not a number"),
    ],
)
def test_a_time_that_could_be_read_wrongly_is_refused(values, by, says):
    with pytest.raises(DataError, match=f"^log.csv: .*{says}"):
        read(*values, by=by)


@pytest.mark.parametrize("times", [1, 10**3, 10**6, 10**9])
def test_one_unit_in_all_rows_is_taken_as_it_is(times):
    assert read(1_600_000_000 * times, 1_700_000_000 * times) == [1_600_000_000 * times, 1_700_000_000 * times]
