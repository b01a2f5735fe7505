"""Questions as arrays: the model's own scores, in order, and nothing of the wrong task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gensr_lib.analysis.representations import Sample, collect
from gensr_lib.errors import ConfigError, DataError
from tests.models.test_contract import make
from tests.worlds import pocket

NAMES = ["gensr", "unisar"]


@pytest.mark.parametrize("task", ["rec", "src"])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_collected_is_what_the_model_scores(name, task):
    model = make(name).train()
    found = collect(model, pocket(), task, negatives=3, batch_size=7)
    assert model.training, "the model's mode comes back"
    rows = pocket().rows["test"][task]
    batch = pocket().batch("test", task, np.arange(len(rows)))
    batch = batch.with_candidates(batch.cand[:, :4])
    with torch.no_grad():
        expected = model.eval().score(batch)
    assert np.allclose(found.score.reshape(-1, 4), expected.numpy(), atol=1e-5)
    assert (found.label.reshape(-1, 4) == [1, 0, 0, 0]).all()
    assert (found.row == np.repeat(np.arange(len(rows)), 4)).all()
    assert (found.user == np.repeat(batch.user.numpy(), 4)).all()
    assert np.allclose(found.probability, torch.from_numpy(found.score).double().sigmoid().numpy(), atol=1e-12)
    assert found.input.shape[0] == len(found) and set(found.hidden) == {"encoder", "head"}
    assert all(len(state) == len(found) and np.isfinite(state).all() for state in found.hidden.values())
    assert found.hidden["head"].std(axis=0).max() > 1e-4, "else this test sees nothing"


@pytest.mark.parametrize("name", NAMES)
def test_the_score_is_a_function_of_the_head_state(name):
    """The head's own weights turn its state into the score."""
    model = make(name).eval()
    found = collect(model, pocket(), "rec", negatives=5)
    head, score = torch.from_numpy(found.hidden["head"]), found.score
    with torch.no_grad():
        if name == "gensr":
            weight = model.lm.get_output_embeddings().weight[list(model.answers)]
            again = (head * model.lm.config.d_model**-0.5) @ (weight[0] - weight[1])
        else:
            again = model.head["rec"](head)
    assert np.allclose(again.numpy(), score, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_asking_as_the_other_task_changes_the_states_and_not_the_item(name):
    """The user's and the item's part of the input stay; only task and query may change."""
    model = make(name).eval()
    asked = {task: collect(model, pocket(), "rec", negatives=2, as_task=task) for task in ("rec", "src")}
    assert [sample.task for sample in asked.values()] == ["rec", "src"]
    fifth = asked["rec"].input.shape[1] // 5  # the query is the last of five parts of equal width
    assert np.allclose(asked["rec"].input[:, :-fifth], asked["src"].input[:, :-fifth], atol=1e-6)
    assert not np.allclose(asked["rec"].score, asked["src"].score, atol=1e-4)


def test_a_search_asked_as_a_recommendation_has_lost_its_query():
    model, other = make("gensr").eval(), "rec"
    changed = collect(model, pocket(), "src", negatives=1, as_task=other)
    batch = pocket().batch("test", "src", np.arange(len(pocket().rows["test"]["src"])))
    batch = batch.with_candidates(batch.cand[:, :2])
    with torch.no_grad():
        expected = model.score(replace(batch, task="rec", query_text=("",) * len(batch)))
    assert np.allclose(changed.score.reshape(-1, 2), expected.numpy(), atol=1e-5)


def test_rows_are_evenly_spaced():
    found = collect(make("gensr"), pocket(), "rec", negatives=0, max_rows=3)
    n = len(pocket().rows["test"]["rec"])
    assert found.row.tolist() == [0, (n - 1) // 2, n - 1] and found.label.tolist() == [1, 1, 1]


def sample() -> Sample:
    """Two rows: a click with two negatives, and a click with one."""
    label, row = np.array([1, 0, 0, 1, 0]), np.array([0, 0, 0, 4, 4])
    numbers = np.arange(5.0)
    return Sample("rec", numbers[:, None], {"head": numbers[:, None] * 10}, numbers - 2, label, row, row + 100)


def test_balanced_questions_repeat_the_click():
    found = sample().balanced()
    assert found.label.tolist() == [1, 1, 0, 0, 1, 0] and found.label.mean() == 0.5
    assert found.input.ravel().tolist() == [0, 0, 1, 2, 3, 4]
    assert found.hidden["head"].ravel().tolist() == [0, 0, 10, 20, 30, 40]
    assert found.user.tolist() == [100, 100, 100, 100, 104, 104]


def test_decisions_are_yes_where_yes_is_likelier():
    score = np.array([-2.0, -0.01, 0.01, 3.0], dtype=np.float32)
    sample = Sample("rec", score[:, None], {}, score, *np.zeros((3, 4), int))
    assert sample.decisions().tolist() == (sample.probability > 0.5).tolist() == [0, 0, 1, 1]


def test_answers_follow_the_probability():
    many = Sample(
        "rec",
        np.zeros((1, 1)),
        {},
        np.repeat([-1.0, 0.0, 3.0], 20_000),
        *[np.zeros(60_000, int)] * 3,
    )
    rates = many.answers(seed=1).reshape(3, -1).mean(axis=1)
    assert np.allclose(rates, 1 / (1 + np.exp([1.0, 0.0, -3.0])), atol=0.012)
    assert (many.answers(seed=1) == many.answers(seed=1)).all() and (many.answers(1) != many.answers(2)).any()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"task": "recs"}, ConfigError, "task 'recs'.*'rec'"),
        ({"as_task": "search"}, ConfigError, "as_task 'search'"),
        ({"split": "tests"}, ConfigError, "split 'tests'.*'test'"),
        ({"negatives": 1000}, DataError, "99 stored negatives.*1000"),
        ({"split": "train"}, DataError, "0 stored negatives"),
    ],
)
def test_bad_questions_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        collect(make("gensr"), pocket(), **{"task": "rec", **options})


def test_a_model_without_states_says_so():
    with pytest.raises(ConfigError, match="'popularity' has no hidden states"):
        collect(make("popularity"), pocket(), "rec")


def test_gensr_against_its_language_model_called_by_hand():
    """The query's part of the input and the encoder's state, one by one, without padding."""
    model = make("gensr").eval()
    found = collect(model, pocket(), "src", negatives=0, max_rows=3)
    embed = model.lm.get_input_embeddings()
    for n, row in enumerate(found.row):
        batch = pocket().batch("test", "src", np.array([row]))
        batch = batch.with_candidates(batch.cand[:, :1])
        with torch.no_grad():
            query = embed(model.tokenizer(batch.query_text[0], return_tensors="pt")["input_ids"])[0].mean(dim=0)
            views = model.encode(batch)
            prompt, mask = model.prompt(batch, views, model.soft_filter(views, batch)[0]).whole()
            encoder = model.lm.get_encoder()(inputs_embeds=prompt[0], attention_mask=mask).last_hidden_state[0]
        assert mask.all()
        assert np.allclose(found.input[n, -len(query) :], query.numpy(), atol=1e-6)
        assert np.allclose(found.hidden["encoder"][n], encoder.mean(dim=0).numpy(), atol=1e-5)
