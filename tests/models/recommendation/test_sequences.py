"""What all sequence models have in common: what they read, and that they learn an order."""

from __future__ import annotations

import logging
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gensr_lib.models import build_model
from tests.models.recommendation.sequences import (
    HISTORIES,
    LONGEST,
    SEQUENCE_MODELS,
    batch_of,
    every_start_and_length,
    learn_the_cycle,
    untrained,
)
from tests.worlds import pocket

SOFTMAX = {"bert4rec": {}, "gru4rec": {}, "sasrec": {"loss": "ce"}}
by_name = pytest.mark.parametrize("name", SEQUENCE_MODELS)


@pytest.mark.parametrize(
    ("name", "steps", "options"),
    [
        ("gru4rec", 60, {}),
        ("gru4rec", 60, {"full_softmax": 10, "sampled_items": 8}),
        ("sasrec", 150, {}),
        ("sasrec", 100, {"loss": "ce"}),
        ("fmlp", 150, {}),
    ],
)
def test_a_cycle_is_learned(name, steps, options):
    """BERT4Rec takes longer, see its own tests."""
    _, recall = learn_the_cycle(name, steps, **options)
    assert recall > 0.95


@by_name
def test_untrained_models_do_not_know_the_cycle(name):
    """Else the test above sees nothing."""
    _, recall = learn_the_cycle(name, steps=0)
    assert recall < 0.5


@torch.no_grad()
@by_name
def test_recommendation_clicks_are_read_and_searches_only_by_option(name):
    made = pocket().batch("test", "rec", np.arange(8))
    changed = {
        "rec_items": replace(made, rec_items=made.rec_items.flip(0)),
        "ses_clicks": replace(made, ses_clicks=made.ses_clicks.flip(0)),
        "ses_words": replace(made, ses_words=made.ses_words.flip(0)),
        "user": replace(made, user=made.user.flip(0)),
    }
    for history_of, read in {"rec": {"rec_items"}, "src": {"ses_clicks"}, "both": {"rec_items", "ses_clicks"}}.items():
        model = build_model(name, pocket(), {"width": 8, "history": 20, "history_of": history_of}).eval()
        scores = model.score(made)
        differ = {field for field, other in changed.items() if not torch.allclose(model.score(other), scores)}
        assert differ == read


@torch.no_grad()
@by_name
def test_the_newest_items_of_a_long_history_are_read_in_order(name):
    model = untrained(name)
    long = [1, 2, 3, 4, 5, 6, 7, 8]
    candidates = torch.tensor([[9, 10, 11]])
    score = lambda history: model.score(batch_of([history], candidates))  # noqa: E731
    assert torch.allclose(score(long), score(long[-LONGEST:]), atol=1e-6)
    assert torch.allclose(score(long), score([20, 19, *long[-LONGEST:]]), atol=1e-6)
    for other in ([8, *long[-LONGEST + 1 :]], [*long[-LONGEST:-2], 8, 7]):
        assert not torch.allclose(score(long), score(other), atol=1e-4)


@torch.no_grad()
@by_name
def test_users_without_a_history_are_scored_alike(name):
    model = untrained(name)
    candidates = torch.tensor([[4, 13, 20, 17]]).expand(len(HISTORIES), -1)
    rows = model.score(batch_of([[], [3, 7], [], [5], []], candidates))
    assert torch.isfinite(rows).all()
    assert torch.allclose(rows[0], rows[2], atol=1e-6) and torch.allclose(rows[0], rows[4], atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("name", SOFTMAX)
def test_the_loss_begins_at_ln_of_the_catalogue(name):
    model = build_model(name, pocket(), {"width": 8, **SOFTMAX[name]}).eval()
    (loss,) = model.loss(pocket().batch("train", "rec", np.arange(16), np.ones((16, 5), dtype=int))).values()
    assert loss.item() == pytest.approx(math.log(pocket().n_items), abs=0.1)


@pytest.mark.parametrize("name", SOFTMAX)
def test_a_catalogue_too_large_for_a_softmax_is_sampled_and_said_so(name, caplog):
    options = {"width": 8, "sampled_items": 5, **SOFTMAX[name]}
    n = pocket().n_items
    assert build_model(name, pocket(), {**options, "full_softmax": n}).draws is None and not caplog.messages
    with caplog.at_level(logging.WARNING):
        model = build_model(name, pocket(), {**options, "full_softmax": n - 1})
    assert model.draws == 5
    (said,) = caplog.messages
    assert said.startswith(f"{name}: {n} items are more than full_softmax={n - 1}; ") and "over 5 random items" in said
    made = pocket().batch("train", "rec", np.arange(4), np.arange(1, 21).reshape(4, 5))
    (loss,) = model.eval().loss(made).values()
    most = int((made.rec_items != 0).sum()) + 4 + 5  # targets and draws
    assert loss.item() < math.log(most) + 0.1 < math.log(n), "fewer items than the catalogue has"
    loss.backward()


def test_the_cycle_is_as_it_says():
    made = every_start_and_length()
    assert (
        len(made) == 120
        and made.rec_items[5].tolist() == [1, 2, 3, 4, 5, 6]
        and made.cand[5].tolist() == [*range(7, 21)]
    )
    assert made.rec_items[-1].tolist() == [20, 1, 2, 3, 4, 5] and made.cand[-1, 0] == 6
    for history, candidates in zip(made.rec_items, made.cand, strict=True):
        assert not set(history.tolist()) & set(candidates.tolist())
