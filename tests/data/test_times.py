"""Times in words: the unit by the size of the numbers, the days as pandas has them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gensr_lib.data.times import span

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
