"""What codes tell of items: known groups, chance, and the facts of the pocket world."""

from __future__ import annotations

from copy import copy

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from gensr_lib.analysis import code_information, item_facts
from gensr_lib.errors import ConfigError
from tests.worlds import pocket


def test_codes_that_name_a_fact_know_it_all_and_drawn_ones_nothing():
    rng = np.random.default_rng(0)
    topic = rng.integers(6, size=3000)
    named = np.stack([topic // 3, topic % 3], axis=1)  # two codes, which name it only together
    drawn = rng.integers(3, size=(3000, 2))
    assert code_information(named, {"topic": topic})["topic"] == pytest.approx(1)
    assert code_information(drawn, {"topic": topic})["topic"] == pytest.approx(0, abs=0.005)
    half = code_information(named[:, :1], {"topic": topic})["topic"]
    assert mutual_info_score(named[:, 0], topic) == pytest.approx(np.log(2), abs=0.01)
    assert half == pytest.approx(np.log(2) / ((np.log(2) + np.log(6)) / 2), abs=0.01)  # of their mean entropy


def test_many_groups_of_few_items_know_nothing_by_themselves():
    rng = np.random.default_rng(1)
    topic = rng.integers(6, size=500)
    codes = rng.integers(40, size=(500, 2))  # nearly a group for each item
    assert mutual_info_score(np.unique(codes, axis=0, return_inverse=True)[1].ravel(), topic) > 1
    assert abs(code_information(codes, {"topic": topic})["topic"]) < 0.05


def test_facts_of_the_pocket_world():
    dataset = pocket()
    facts = item_facts(dataset)
    assert {name: len(fact) for name, fact in facts.items()} == dict.fromkeys(
        ("topic", "taste", "popularity"), dataset.n_items
    )
    item = dataset.training_edges("both")[1]
    count = np.bincount(item, minlength=dataset.n_items + 1)[1:]
    best = count[facts["popularity"] == facts["popularity"].max()]
    assert best.min() > count[facts["popularity"] == 0].max() and len(best) == pytest.approx(len(count) / 10, rel=0.3)
    assert all(np.array_equal(fact, item_facts(dataset)[name]) for name, fact in facts.items())


def test_data_without_a_known_law_are_refused():
    bare = copy(pocket())
    bare.truth = None
    with pytest.raises(ConfigError, match="no simulated world"):
        item_facts(bare)
