"""What every model of `available_models` must keep; a new model is tested as soon as it is listed there."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from gensr_lib.config import BackboneConfig
from gensr_lib.data.batches import Batch
from gensr_lib.data.words import UNKNOWN_WORD
from gensr_lib.errors import ConfigError
from gensr_lib.models import available_models, build_model
from gensr_lib.models.gensr.prompt import PROMPTS
from gensr_lib.models.language_model import load_backbone
from gensr_lib.training.evaluation import evaluate
from tests.worlds import pocket

SMALL = BackboneConfig(d_model=16, d_ff=32, heads=2, encoder_layers=1, vocabulary=600)
HISTORIES = {
    "full": (),
    "no recommendation clicks": ("rec_items", "rec_time"),
    "no searches": ("ses_clicks", "ses_time", "ses_words"),
    "none at all": ("rec_items", "rec_time", "ses_clicks", "ses_time", "ses_words"),
}

cases = [(name, task) for name, cls in available_models().items() for task in sorted(cls.tasks)]
by_task = pytest.mark.parametrize(("name", "task"), cases)
by_model = pytest.mark.parametrize("name", available_models())


@cache
def provided(need: str):
    """What models need beside the data set: a language model, or another model, untrained here."""
    if need == "language_model":
        return load_backbone(SMALL, [*pocket().item_text[1:], *list(PROMPTS.values()) * 200])
    return make(need)


def make(name: str, seed: int = 0):
    """A fresh model; a language model that is fine-tuned is made anew, so tests share no weights."""
    cls = available_models()[name]
    provided.cache_clear()
    needs = {need: provided(need) for need in cls.needs}
    torch.manual_seed(seed)
    model = build_model(name, pocket(), cls.tiny, **needs)
    enter(model, n_stages(model) - 1)  # as one that has been through its training
    return model


def n_stages(model) -> int:
    """How many stages the training has; one for most models."""
    return len(model.stages.starts) if model.stages else 1


def enter(model, stage: int):
    """Be at the beginning of a stage of the training."""
    if model.stages:
        model.stages.enter(stage)


def batch(model, task: str, rows: int = 5, candidates: int = 4, history: str = "full") -> Batch:
    """Rows of the test set, as `evaluate` hands them to this model."""
    made = pocket().batch("test", task, np.arange(rows), with_event=model.reads_event)
    empty = {field: torch.zeros_like(getattr(made, field)) for field in HISTORIES[history]}
    return replace(made.with_candidates(made.cand[:, :candidates]), **empty)


def trainable(model) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("history", HISTORIES)
@by_task
def test_scores_have_shape_type_and_are_finite(name, task, history, mode):
    model = make(name)
    getattr(model, mode)()
    for rows, candidates in ((5, 4), (1, 4), (5, 1), (1, 1)):
        with torch.set_grad_enabled(mode == "train"):
            scores = model.score(batch(model, task, rows, candidates, history))
        assert scores.shape == (rows, candidates) and scores.dtype == torch.float32
        assert torch.isfinite(scores).all()


@pytest.mark.parametrize(("word", "text"), [(0, ""), (UNKNOWN_WORD, "zzyzx qwlm")], ids=["empty", "unknown"])
@pytest.mark.parametrize("name", [name for name, task in cases if task == "src"])
def test_a_query_that_says_nothing_is_answered(name, word, text):
    model = make(name).eval()
    asked = batch(model, "src")
    one_word = torch.zeros_like(asked.query)
    one_word[:, 0] = word
    asked = replace(asked, query=one_word, query_text=(text,) * len(asked))
    with torch.no_grad():
        assert model.score(asked).isfinite().all()
    assert all(torch.isfinite(value) for value in model.loss(asked).values())


@by_task
def test_a_mixed_batch_of_full_and_empty_histories(name, task):
    """Rows without a history beside rows with one: neither may disturb the other."""
    model = make(name).eval()
    full = batch(model, task)
    empty = batch(model, task, history="none at all")
    mixed = replace(full, **{f: torch.cat([getattr(full, f)[:2], getattr(empty, f)[2:]])
                             for f in HISTORIES["none at all"]})  # fmt: skip
    with torch.no_grad():
        scores, expected = model.score(mixed), (model.score(full), model.score(empty))
    assert torch.allclose(scores[:2], expected[0][:2], atol=1e-5)
    if not model.reads_event:  # else it does not look at the batch's history
        assert torch.allclose(scores[2:], expected[1][2:], atol=1e-5)


@by_task
def test_permuted_candidates_have_permuted_scores(name, task):
    model = make(name).eval()
    made = batch(model, task, candidates=6)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    with torch.no_grad():
        scores, permuted = model.score(made), model.score(made.with_candidates(made.cand[:, order]))
        fewer = model.score(made.with_candidates(made.cand[:, [4, 2]]))
    assert torch.allclose(permuted, scores[:, order], atol=1e-5)
    assert torch.allclose(fewer, scores[:, [4, 2]], atol=1e-5), "a score does not depend on the other candidates"
    assert scores.std() > 1e-4, "else this test sees nothing"


@by_task
def test_a_row_alone_scores_as_in_a_batch(name, task):
    model = make(name).eval()
    made = batch(model, task)
    with torch.no_grad():
        together = model.score(made)
        alone = torch.cat([model.score(made.rows(torch.tensor([i]))) for i in range(len(made))])
    assert torch.allclose(alone, together, atol=1e-5)


@by_task
def test_the_older_padding_on_the_right_changes_nothing(name, task):
    """More room for history than anybody fills: the same scores."""
    model = make(name).eval()
    made = batch(model, task)
    room = 3
    pad = torch.nn.functional.pad
    rec, sessions = made.rec_items.shape[1], made.ses_clicks.shape[1]
    old = torch.where(made.merge_index >= rec, made.merge_index + room, made.merge_index)  # sessions move behind
    fresh = torch.cat([torch.arange(rec, rec + room), torch.arange(rec + room + sessions, rec + 2 * room + sessions)])
    wide = replace(
        made, rec_items=pad(made.rec_items, (0, room)), rec_time=pad(made.rec_time, (0, room)),
        ses_clicks=pad(made.ses_clicks, (0, 0, 0, room)), ses_words=pad(made.ses_words, (0, 0, 0, room)),
        ses_time=pad(made.ses_time, (0, room)), merge_index=torch.cat([old, fresh.expand(len(made), -1)], dim=1),
    )  # fmt: skip
    with torch.no_grad():
        assert torch.allclose(model.score(wide), model.score(made), atol=1e-5)


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("history", HISTORIES)
@by_task
def test_losses_are_finite_scalars(name, task, history, mode):
    model = make(name)
    getattr(model, mode)()
    terms = model.loss(batch(model, task, history=history))
    assert bool(terms) == bool(trainable(model)), "what has parameters has a loss"
    assert all(term.shape == () and torch.isfinite(term) for term in terms.values())
    assert set(model.loss_weights) <= set(terms) and all(w >= 0 for w in model.loss_weights.values())


@by_model
def test_gradients_reach_every_parameter(name):
    model = make(name).train()
    if not trainable(model):
        pytest.skip("nothing to train")
    with torch.no_grad():  # weights that begin as exactly 0, as in LoRA, hide those that they are multiplied with
        for parameter in trainable(model).values():
            parameter.add_(0.01 * torch.randn_like(parameter))
    for stage in range(n_stages(model)):
        enter(model, stage)
        total = sum(sum(model.loss(batch(model, task)).values()) for task in model.tasks)
        total.backward()
    unreached = [n for n, p in trainable(model).items() if p.grad is None or not p.grad.abs().sum() > 0]
    assert all(n.startswith(model.unreached) for n in unreached), unreached
    assert all(torch.isfinite(p.grad).all() for p in trainable(model).values() if p.grad is not None)


@by_model
def test_one_step_lowers_the_loss(name):
    model = make(name).train()
    if not trainable(model):
        pytest.skip("nothing to train")
    made = [batch(model, task, rows=8) for task in sorted(model.tasks)]

    def loss():
        torch.manual_seed(0)  # the same dropout
        return sum(w * term for b in made for n, term in model.loss(b).items() for w in [model.loss_weights.get(n, 1)])

    before = loss()
    before.backward()
    with torch.no_grad():
        norm = torch.stack([p.grad.norm() for p in trainable(model).values() if p.grad is not None]).norm()
        for parameter in trainable(model).values():
            if parameter.grad is not None:
                parameter -= 0.02 * parameter.grad / norm
    assert loss() < before


@by_model
def test_a_model_that_has_scored_without_gradients_can_be_trained(name):
    """Anything it kept from scoring must still serve training."""
    model = make(name).eval()
    with torch.no_grad():
        model.score(batch(model, sorted(model.tasks)[0]))
    model.train()
    if trainable(model):
        sum(model.loss(batch(model, sorted(model.tasks)[0])).values()).backward()


@by_model
def test_new_weights_are_seen_after_scoring(name):
    """Nothing kept from an earlier score may outlive a step of training."""
    model = make(name)
    made = batch(model, sorted(model.tasks)[0])
    if not trainable(model):
        pytest.skip("nothing to train")
    with torch.no_grad():
        before = model.eval().score(made)
        model.train()
        generator = torch.Generator().manual_seed(3)
        for parameter in trainable(model).values():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
        assert not torch.allclose(model.eval().score(made), before, atol=1e-3)


@by_task
def test_the_same_seed_gives_the_same_model_and_loss(name, task):
    found = []
    for _ in range(2):
        model = make(name, seed=4).train()
        torch.manual_seed(5)
        terms = model.loss(batch(model, task))
        with torch.no_grad():
            found.append(([t.item() for t in terms.values()], model.eval().score(batch(model, task))))
    assert found[0][0] == found[1][0] and torch.equal(found[0][1], found[1][1])


@by_model
def test_saved_and_loaded_models_score_alike(name, tmp_path):
    if not available_models()[name].saved:
        pytest.skip("not saved by design")
    model = make(name, seed=2).eval()
    made = batch(model, sorted(model.tasks)[0])
    model.save_pretrained(tmp_path)
    torch.manual_seed(9)
    loaded = available_models()[name].from_pretrained(tmp_path)
    assert not loaded.training and loaded.config == model.config
    with torch.no_grad():
        assert torch.equal(loaded.score(made), model.score(made))
    state, again = model.state_dict(), loaded.state_dict()
    assert state.keys() == again.keys() and all(torch.equal(v, again[k]) for k, v in state.items())


def test_an_untied_head_survives_saving(tmp_path):
    """As in flan-t5: the head is no copy of the embeddings, though transformers builds a new T5 with both tied."""
    model = make("gensr").eval()
    made = batch(model, "src")
    model.lm.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm.lm_head.weight))
    model.save_pretrained(tmp_path)
    loaded = available_models()["gensr"].from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(loaded.score(made), model.score(made))


@by_model
def test_the_traits_fit_the_model(name):
    model = make(name)
    assert model.device.type == "cpu"
    if model.user_table:
        assert getattr(model, model.user_table).weight.shape[0] == pocket().n_users
    for size in ("n_users", "n_items"):
        assert getattr(model, size, getattr(pocket(), size)) == getattr(pocket(), size)


@by_task
def test_candidates_in_chunks_score_as_all_at_once(name, task):
    model = make(name).eval()
    made = batch(model, task, rows=1, candidates=7)
    with torch.no_grad():
        assert torch.allclose(model.score_in_chunks(made, 3), model.score(made), atol=1e-5)


@by_model
def test_no_batch_names_the_answer_unless_the_model_says_so(name):
    model = make(name)
    assert (batch(model, sorted(model.tasks)[0]).event is None) == (not model.reads_event)


@by_model
def test_a_folder_of_another_model_or_of_none_is_refused(name, tmp_path):
    cls = available_models()[name]
    with pytest.raises(ConfigError, match="no saved model"):
        cls.from_pretrained(tmp_path)
    other = "popularity" if name != "popularity" else "lightgcn"
    make(other).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=f"holds a '{other}' model, not '{name}'"):
        cls.from_pretrained(tmp_path)


@by_model
def test_a_model_is_evaluated_on_its_own_tasks(name):
    cls = available_models()[name]
    assert cls.name == name and cls.tasks and cls.tasks <= {"rec", "src"}
    assert set(evaluate(make(name), pocket(), "valid").metrics) == cls.tasks


@by_model
def test_unknown_options_are_refused_by_name(name):
    with pytest.raises(ConfigError, match=f"model {name}.*'no_such_option'"):
        build_model(name, pocket(), {"no_such_option": 1})


@by_task
def test_scoring_leaves_the_batch_as_it_was(name, task):
    model = make(name).eval()
    made = batch(model, task)
    before = {f: v.clone() for f, v in vars(made).items() if isinstance(v, torch.Tensor)}
    with torch.no_grad():
        model.score(made)
    model.loss(made)
    assert all(torch.equal(getattr(made, f), v) for f, v in before.items())


@by_task
def test_the_model_says_which_of_its_losses_is_the_task(name, task):
    """What gradients are compared by; an auxiliary term is the same in both tasks."""
    model = make(name)
    terms = model.loss(batch(model, task))
    assert len(terms) < 2 or model.task_term in terms
    assert model.task_term not in model.loss_weights
