"""Every input of the table comes to what it must: right, or an error that names the place."""

from __future__ import annotations

from contextlib import suppress

import pytest

from gensr_lib.config import read_profile
from gensr_lib.data.sources.load import load_dataset
from gensr_lib.errors import ConfigError, DataError
from gensr_lib.experiments.data_check import check_tables

from .cases import SMALL, outcome, write
from .inputs import CASES

PROFILE = read_profile("smoke").replace(data=SMALL)
TOO_FEW = "left to test"  # three customers are, for the chapters


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_input(case, tmp_path, monkeypatch):
    monkeypatch.setenv("GENSR_HOME", str(tmp_path / "home"))
    shop = tmp_path / "shop"
    shop.mkdir()
    found, message = outcome(case, shop)
    wanted = {"right"} if case.right else set()
    wanted |= {"clear"} if case.names else set()
    assert found in wanted, message


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_check_of_an_input_finds_what_reading_finds(case, tmp_path, monkeypatch):
    """The same message where it is refused, among others perhaps; the same data where it is read."""
    monkeypatch.setenv("GENSR_HOME", str(tmp_path / "home"))
    shop = tmp_path / "shop"
    shop.mkdir()
    write(case.files, shop)
    dataset, refused = None, ""
    try:
        dataset = load_dataset(shop, PROFILE)
    except (DataError, ConfigError) as error:
        refused = str(error)
    report = None
    with suppress(ConfigError):
        report = check_tables(shop, PROFILE)
    if report is None:
        assert "columns.yaml" in refused
        return
    problems = [problem.said for problem in report.problems if TOO_FEW not in problem.said]
    assert refused in problems if refused else problems == []
    if dataset:
        assert report.counts == dataset.counts and [change.said for change in report.changes] == dataset.notes
    assert report.text() and report.markdown() and report.html()


def test_the_table_is_large_and_has_no_name_twice():
    assert len({case.name for case in CASES}) == len(CASES) >= 140
    assert sum(case.is_new for case in CASES) >= 30
    assert all(case.right or case.names for case in CASES)
