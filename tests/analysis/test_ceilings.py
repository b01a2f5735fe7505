"""Ceilings: none where a dial is at zero, something where it is up."""

from __future__ import annotations

from functools import cache

import pytest

from gensr_lib.analysis.ceilings import MECHANISMS, ceilings_of
from gensr_lib.config import DataConfig
from gensr_lib.data.dataset import Dataset
from gensr_lib.data.pocket.world import PocketConfig, simulate
from gensr_lib.errors import ConfigError
from tests.worlds import TINY, tables, twin_events

DIALS = {"topic_taste": 1.0, "task_angle": 60, "no_text": 0.4, "rec_hidden": 0.3}
STRENGTHS = {"popularity": 1.5, "affinity": 2.0, "search_affinity": 3.0, "query_match": 0.5, "search_popularity": 0.0}


@cache
def table(dials: bool):
    sizes = {"n_users": 300, "n_items": 200, "n_events": 12_000, "n_topics": 5}
    config = PocketConfig(**sizes, **(DIALS | STRENGTHS if dials else {}))
    found = ceilings_of(Dataset.from_tables(simulate(config, 0), DataConfig()))
    return found.set_index(["mechanism", "task"])


def test_one_row_per_mechanism_and_task():
    found = table(dials=True)
    assert list(found.index.unique("mechanism")) == [m.name for m in MECHANISMS]
    assert len(found) == 2 * len(MECHANISMS)
    assert (found["ceiling"] - (found["able"] - found["unable"])).abs().max() < 1e-12


@pytest.mark.parametrize("mechanism", ["soft filter", "task prompt"])
def test_a_dial_that_is_up_gives_its_mechanism_a_ceiling(mechanism):
    """And at zero there is none, or next to none."""
    up, down = (table(dials).loc[mechanism] for dials in (True, False))
    assert up["ceiling"].max() > 0.03
    assert not up["none"].all()
    assert down["ceiling"].abs().max() < 0.015


def test_a_mechanism_without_a_ceiling_is_said_to_have_none():
    assert table(dials=False).loc["soft filter", "none"].all()


def test_a_view_is_worth_what_the_other_cannot_tell():
    found = table(dials=True)["ceiling"]
    assert found["semantic view", "src"] > 0.04  # the words of a query are in texts alone
    assert found["collaborative view", "rec"] > 0.03  # of silent items there are clicks alone


def test_data_that_cannot_be_asked_are_refused():
    mine = Dataset.from_tables(tables(*twin_events("a")), TINY, name="mine")
    with pytest.raises(ConfigError, match="whose law is known, not 'mine'"):
        ceilings_of(mine)
    tiny = PocketConfig(n_users=20, n_items=60, n_events=400, search_share=0.001, longest_run=99)
    few = Dataset.from_tables(simulate(tiny), DataConfig(min_interactions=1, eval_negatives=3))
    with pytest.raises(ConfigError, match="one of them has no rows"):
        ceilings_of(few)
