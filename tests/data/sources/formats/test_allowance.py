"""How much of a file may be left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from gensr_lib.data.sources.formats.allowance import Allowance
from gensr_lib.errors import DataError

LOG = Path("raw/log.csv")


def test_what_is_allowed_is_told_and_no_more_than_that(caplog):
    notes = ["before"]
    Allowance(0.03, notes).settle(LOG, 3, 100, "3 of 100 rows are odd", "mend them.")
    assert notes == ["before", "log.csv: 3 of 100 rows are odd; they are left out."]
    assert "raw/log.csv: 3 of 100 rows are odd; they are left out." in caplog.text
    with pytest.raises(DataError, match=r"raw/log\.csv: 4 odd; at most 3\.0% may be left out; mend them\."):
        Allowance(0.03, notes).settle(LOG, 4, 100, "4 odd", "mend them.")
    assert len(notes) == 2


def test_what_does_no_harm_is_left_out_without_limit(caplog):
    notes: list[str] = []
    Allowance(0, notes).leave_out(LOG, "all rows are odd")
    assert notes == ["log.csv: all rows are odd; they are left out."] and "all rows are odd" in caplog.text
