"""Other rules of ranking: against `evaluate` where they are the same, against counting where they are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gensr_lib.config import Config
from gensr_lib.data.batches import Batch
from gensr_lib.models import RankingModel
from gensr_lib.models.registry import build_model
from gensr_lib.training.evaluation import evaluate
from gensr_lib.training.protocols import ranked
from tests.worlds import pocket


class ByNumber(RankingModel):
    """The score of an item is its number."""

    name = "by_number"

    def score(self, batch: Batch) -> torch.Tensor:
        return batch.cand.float()


class Constant(ByNumber):
    """The score of all items is the same."""

    def score(self, batch: Batch) -> torch.Tensor:
        return torch.zeros(batch.cand.shape)


def test_the_books_own_rules_are_those_of_evaluate():
    data = pocket()
    model = build_model("category_count", data)
    table = evaluate(model, data).table
    columns = ["task", "row", "user", "item", "rank"]
    assert ranked(model, data, batch_size=7)[columns].equals(table[columns])


def test_a_tie_goes_to_the_positive_where_sorting_would_put_it():
    data = pocket()
    same = Constant(Config())
    assert (ranked(same, data, ties="positive first")["rank"] == 1).all()
    assert (ranked(same, data)["rank"] > 1).all()
    assert ranked(same, data)["rank"].nunique() == 1


@pytest.mark.parametrize("ties", ["half", "positive first"])
def test_a_model_that_diverged_is_refused_by_either_rule(ties):
    model = Constant(Config())
    model.score = lambda batch: torch.full(batch.cand.shape, torch.nan)
    with pytest.raises(ValueError, match="row 0 has a NaN score"):
        ranked(model, pocket(), ties=ties)


def test_a_catalogue_is_all_items_that_the_user_does_not_touch():
    data = pocket()
    found = ranked(ByNumber(Config()), data, candidates="all", batch_size=5)
    for row in found.sample(20, random_state=0).itertuples():
        above = np.arange(row.item + 1, data.n_items + 1)
        free = ~data.sampler.is_touched(np.full(len(above), row.user), above)
        assert row.rank == 1 + free.sum()
    stored = ranked(ByNumber(Config()), data)
    assert (found["rank"] >= stored["rank"]).all()


@pytest.mark.parametrize("ties", ["half", "positive first"])
def test_the_mode_of_the_model_is_kept(ties):
    model = ByNumber(Config()).train()
    ranked(model, pocket(), ties=ties)
    assert model.training
