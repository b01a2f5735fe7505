"""Every input of the table comes to what it must: right, or an error that names the place."""

from __future__ import annotations

import pytest

from .cases import outcome
from .inputs import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_input(case, tmp_path, monkeypatch):
    monkeypatch.setenv("GENSR_HOME", str(tmp_path / "home"))
    shop = tmp_path / "shop"
    shop.mkdir()
    found, message = outcome(case, shop)
    wanted = {"right"} if case.right else set()
    wanted |= {"clear"} if case.names else set()
    assert found in wanted, message


def test_the_table_is_large_and_has_no_name_twice():
    assert len({case.name for case in CASES}) == len(CASES) >= 140
    assert sum(case.is_new for case in CASES) >= 30
    assert all(case.right or case.names for case in CASES)
