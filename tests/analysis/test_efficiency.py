"""Costs: everything is timed in turn, multiples are of one system, and models are left as they were."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from gensr_lib.analysis import costs, efficiency, growth
from gensr_lib.errors import ConfigError
from gensr_lib.models import build_model
from tests.worlds import pocket


@pytest.fixture(scope="module")
def models():
    torch.manual_seed(0)
    return {width: build_model("unisar", pocket(), {"width": width, "id_width": width // 2}) for width in (16, 32)}


def test_calls_are_taken_in_turn_after_one_that_does_not_count():
    made = []
    table = efficiency.timed({"a": lambda: made.append("a"), "b": lambda: made.append("b")}, repeats=2)
    assert "".join(made) == "ab" * 3 and table.shape == (2, 2) and (table >= 0).all().all()
    with pytest.raises(ConfigError, match="repeats is 0"):
        efficiency.timed({}, repeats=0)


def test_a_ratio_is_taken_within_each_repeat():
    seconds = pd.DataFrame({"a": [1.0, 10.0, 3.0], "b": [2.0, 20.0, 9.0]})  # a busy machine in the second
    assert efficiency.ratios(seconds, "a")["b"] == 2 and efficiency.ratios(seconds, "a")["a"] == 1


def test_costs_count_candidates_queries_and_parameters(models, monkeypatch):
    monkeypatch.setattr(efficiency, "_seconds", lambda call: call() or 0.5)
    data = pocket()
    before = {name: {k: v.clone() for k, v in model.state_dict().items()} for name, model in models.items()}
    for model in models.values():
        model.eval()
    found = costs(models, data, to=16, rows=4, negatives=3, repeats=2)
    assert found["candidates per second"].tolist() == [2 * 4 * 4 / 0.5] * 2, "two tasks, four rows, four candidates"
    assert found["ms per query"].tolist() == [500 / 8] * 2 and (found[["training", "ranking"]] == 1).all().all()
    for name, model in models.items():
        assert found.loc[name, "parameters"] == model.trained_parameters
        assert not model.training and all(p.grad is None for p in model.parameters())
        assert all(torch.equal(v, model.state_dict()[k]) for k, v in before[name].items())
    assert found.loc[32, "parameters"] > found.loc[16, "parameters"]


def test_growth_ranks_as_many_candidates_as_are_asked_for(models, monkeypatch):
    data, seen = pocket(), []
    model = models[16]
    monkeypatch.setattr(model, "score", lambda batch: seen.append(batch.cand.shape), raising=False)
    table = growth({"one": model}, data, "rec", [3, 40, 2 * data.n_items], rows=2, repeats=1)
    assert table.index.tolist() == [3, 40, 2 * data.n_items] and np.isfinite(table["one"]).all()
    assert {shape[1] for shape in seen} == set(table.index) and {shape[0] for shape in seen} == {2}
