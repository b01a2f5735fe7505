"""The evidence in the repository: readable, of today's settings and numbers, small, and with its page."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gensr_lib import NUMBERS
from gensr_lib.config.study import available_studies, read_study
from gensr_lib.experiments.studies import page
from gensr_lib.experiments.studies.cells import cells_of
from gensr_lib.experiments.studies.evidence import evidence
from gensr_lib.experiments.studies.stored import load_cell
from gensr_lib.experiments.workspace import Workspace

STUDIES = Path(__file__).parents[3] / "data" / "studies"
MEGABYTE = 10**6
# Read by chapters of the default book: every cell of these is there.
WHOLE = ("comparison", "ablations", "doses", "prompts", "sensitivity")


@pytest.mark.parametrize("name", [path.name for path in sorted(STUDIES.iterdir()) if path.is_dir()])
def test_stored_cells_are_of_todays_settings_and_numbers(name):
    planned = {cell.key: cell for cell in cells_of(read_study(name))}
    paths = sorted((STUDIES / name).glob("*.parquet"))
    assert paths and {path.stem for path in paths} <= planned.keys()
    assert sum(path.stat().st_size for path in paths) <= 3 * MEGABYTE
    hashes = {}
    for path in paths:
        cell, stored = planned[path.stem], load_cell(path)
        record = stored.record
        assert record["provenance"]["numbers"] == NUMBERS and "dirty" not in record["provenance"]["git_commit"]
        assert (record["model"], record["seed"], record["data"]) == (cell.model, cell.seed, cell.home.data)
        assert set(cell.measures) <= record["measures"].keys() and (len(stored.ranks) > 0) == cell.rows
        world = (cell.home.data, cell.home.profile.name, cell.home.seed)
        assert hashes.setdefault(world, record["data_hash"]) == record["data_hash"]


def test_all_studies_together_are_small():
    assert sum(path.stat().st_size for path in STUDIES.rglob("*") if path.is_file()) <= 15 * MEGABYTE


@pytest.mark.parametrize("name", [path.name for path in sorted(STUDIES.iterdir()) if path.is_dir()])
def test_the_page_is_that_of_the_cells(name):
    assert (STUDIES / name / "README.md").read_text() == page.page(read_study(name), STUDIES / name)


@pytest.mark.parametrize("name", WHOLE)
def test_what_chapters_read_is_whole(name, tmp_path, monkeypatch):
    assert name in available_studies()
    shutil.copytree(STUDIES / name, tmp_path / "data" / "studies" / name)
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    found = evidence(Workspace("pocket", "pocket"), name)
    assert found.is_stored and len(found.cells) == len(cells_of(read_study(name)))
