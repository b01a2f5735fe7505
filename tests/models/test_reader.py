"""The reader: its fit against scikit-learn, and what it may not see."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from gensr_lib.config import DataConfig
from gensr_lib.data.dataset import Dataset
from gensr_lib.data.pocket.world import PocketConfig, simulate
from gensr_lib.errors import ConfigError
from gensr_lib.models.anchors import Oracle, Popularity
from gensr_lib.models.reader import Reader, ReaderConfig, conditional_logit
from gensr_lib.models.registry import build_model
from gensr_lib.training.evaluation import evaluate
from tests.worlds import TINY, tables, twin_events


@cache
def world() -> Dataset:
    sizes = {"n_users": 300, "n_items": 200, "n_events": 12_000, "n_topics": 5}
    dials = {"topic_taste": 1.0, "affinity": 3.0, "no_text": 0.4, "rec_hidden": 0.3}
    return Dataset.from_tables(simulate(PocketConfig(**sizes, **dials), 0), DataConfig())


@cache
def expected(**options) -> dict[str, float]:
    reader = Reader.from_dataset(world(), ReaderConfig(rows=1000, **options))
    return {task: values["N@10"] for task, values in evaluate(reader, world()).expected.items()}


def test_two_candidates_are_a_logistic_regression_on_their_difference():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 2, 3)) * [1.0, 5.0, 0.2]
    swap = rng.random(500) > 1 / (1 + np.exp(-(x[:, 0] - x[:, 1]) @ [1.0, -0.2, 3.0]))
    x[swap] = x[swap][:, ::-1]  # the clicked one first
    found = conditional_logit([torch.from_numpy(x)], ridge=2.0)
    spread = x.std(axis=(0, 1), ddof=1)
    d = (x[:, 0] - x[:, 1]) / spread
    own = LogisticRegression(fit_intercept=False, C=0.5, tol=1e-10)
    sign = np.where(rng.random(500) < 0.5, 1, -1)  # which side is called 1 does not matter
    own.fit(d * sign[:, None], sign)
    np.testing.assert_allclose(found.numpy() * spread, own.coef_[0], rtol=1e-3)


def test_weights_of_a_known_law_come_back():
    generator = torch.Generator().manual_seed(0)
    weights = torch.tensor([1.0, -0.5, 0.0], dtype=torch.float64)
    x = torch.randn(20_000, 8, 3, generator=generator, dtype=torch.float64)
    clicked = torch.multinomial((x @ weights).softmax(1), 1, generator=generator)
    first = torch.arange(8).expand(len(x), 8).clone()
    first[:, 0] = clicked[:, 0]
    first.scatter_(1, clicked, torch.zeros_like(clicked))
    x = x.gather(1, first.unsqueeze(-1).expand_as(x))
    torch.testing.assert_close(conditional_logit([x]), weights, atol=0.03, rtol=0)


def test_it_stands_between_popularity_and_the_oracle():
    low = evaluate(Popularity.from_dataset(world()), world()).expected
    high = evaluate(Oracle.from_dataset(world()), world()).expected
    for task, value in expected().items():
        assert low[task]["N@10"] + 0.1 < value < high[task]["N@10"]


@pytest.mark.parametrize(
    ("task", "less"),
    [
        ("rec", {"filter": False}),
        ("rec", {"items": "text"}),
        ("src", {"items": "text"}),
        ("rec", {"items": "clicks"}),
        ("src", {"items": "clicks", "clicks_of": "rec"}),
    ],
)
def test_each_ability_is_worth_something_where_its_dial_is_up(task, less):
    assert expected(**less)[task] < expected()[task] - 0.02


def test_only_training_clicks_tell_of_items():
    data = world()
    reader = Reader.from_dataset(data, ReaderConfig(rows=100, items="clicks"))
    rows = reader._training_events()
    behavior = np.where(data.is_search, "src", "rec")
    known = data.rows_before_cut()
    names = data.user_ids[data.user]
    assert set(rows) == set(data.truth.rows(names[known], data.time[known], behavior[known]))


def test_an_empty_history_leaves_popularity_and_the_query():
    data = world()
    reader = Reader.from_dataset(data, ReaderConfig(rows=200))
    batch = data.batch("test", "src", np.arange(20))
    user, empty = batch.user.numpy(), np.zeros(20, dtype=np.int64)
    bare = data.make_batch("src", user, empty, batch.cand.numpy(), batch.query.numpy(), batch.query_text)
    assert not bare.rec_items.any()
    scores = reader.score(bare)
    assert torch.isfinite(scores).all()
    assert (scores.argsort(1, descending=True)[:, :20] == 0).any(dim=1).float().mean() > 0.5


def test_it_refuses_data_without_a_law():
    data = Dataset.from_tables(tables(*twin_events("a")), TINY, name="mine")
    with pytest.raises(ConfigError, match="cannot be made for mine: it needs a simulated world"):
        build_model("reader", data)
