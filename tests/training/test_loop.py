"""`train`: it learns, selects, stops, and a run that was killed ends as if it had not been."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from bisect import bisect
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from gensr_lib import files
from gensr_lib.config import BackboneConfig, TrainingConfig
from gensr_lib.data.dataset import Dataset
from gensr_lib.errors import ConfigError
from gensr_lib.experiments.spec import load_profile, resolve
from gensr_lib.models import Popularity
from gensr_lib.models.gensr.model import GenSR, GenSRConfig
from gensr_lib.models.gensr.prompt import PROMPTS
from gensr_lib.models.language_model import load_backbone
from gensr_lib.models.recommendation.lightgcn import LightGCN, LightGCNConfig
from gensr_lib.models.stages import Stages
from gensr_lib.training import checkpoints
from gensr_lib.training import loop as training
from gensr_lib.training.checkpoints import POINTER
from gensr_lib.training.evaluation import evaluate
from gensr_lib.training.loop import train
from tests.processes import SHORT, lightgcn
from tests.worlds import TINY, Vectors, pocket, tables

SMALL = BackboneConfig(d_model=16, d_ff=32, heads=2, encoder_layers=1, vocabulary=600)
SHORT_GENSR = TrainingConfig(epochs=2, batch_size=16, eval_batch_size=8, learning_rate=3e-3, max_steps_per_epoch=4,
                             checkpoint_steps=2, eval_every=2)  # fmt: skip


@cache
def backbone_texts() -> list[str]:
    return [*pocket().item_text[1:], *list(PROMPTS.values()) * 200]


def gensr(**options) -> GenSR:
    cf_table = torch.randn(pocket().n_items + 1, 8, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    backbone = load_backbone(SMALL, backbone_texts())
    return GenSR.from_dataset(pocket(), GenSRConfig(history=6, dropout=0.2, **options), backbone, Vectors(cf_table))


MAKE = {"lightgcn": (lightgcn, SHORT), "gensr": (gensr, SHORT_GENSR)}
STEPS = math.ceil(len(pocket().rows["train"]["rec"]) / SHORT.batch_size)  # of LightGCN in an epoch


def outcome(run: training.TrainingRun) -> dict:
    """All that must not depend on whether a run was killed."""
    return {
        "weights": {k: v.clone() for k, v in run.model.state_dict().items()},
        "history": run.history.drop(columns="seconds").to_dict("records"),
        "best_epoch": run.best_epoch,
        "ranks": evaluate(run.model, pocket(), batch_size=16).table["rank"].tolist(),
    }


def assert_same(one: dict, other: dict) -> None:
    assert one["weights"].keys() == other["weights"].keys()
    assert all(torch.equal(v, other["weights"][k]) for k, v in one["weights"].items())
    same_rows = [
        a.keys() == b.keys() and all(x == y or (x != x and y != y) for x, y in zip(a.values(), b.values(), strict=True))
        for a, b in zip(one["history"], other["history"], strict=True)
    ]
    assert all(same_rows)
    assert (one["best_epoch"], one["ranks"]) == (other["best_epoch"], other["ranks"])


@cache
def uninterrupted(name: str) -> dict:
    make, options = MAKE[name]
    return outcome(train(make(), pocket(), options))


def kill_at_step(monkeypatch, at: int) -> None:
    step = training.Loop.step

    def wrapped(loop, batches):
        if loop.state.step == at:
            raise KeyboardInterrupt
        return step(loop, batches)

    monkeypatch.setattr(training.Loop, "step", wrapped)


def killed_then_resumed(monkeypatch, folder: Path, name: str = "lightgcn") -> training.TrainingRun:
    make, options = MAKE[name]
    with pytest.raises(KeyboardInterrupt):
        train(make(), pocket(), options, folder=folder)
    monkeypatch.undo()
    return train(make(), pocket(), options, folder=folder)


# --- learning ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "term"), [("lightgcn", "rec bpr"), ("gensr", "src generation")])
def test_the_loss_falls(name, term):
    losses = [row[term] for row in uninterrupted(name)["history"]]
    assert losses[-1] < losses[0] * 0.98
    assert abs(losses[0] - math.log(2)) < 0.25 or name == "gensr"


def test_history_has_every_term_and_metric_by_task():
    rows = uninterrupted("gensr")["history"]
    terms = {f"{task} {term}" for task in ("rec", "src") for term in ("generation", "contrastive")}
    valid = {f"valid {task} {metric}" for task in ("rec", "src") for metric in ("R@5", "R@10", "N@5", "N@10")}
    assert set(rows[0]) == terms | valid | {"epoch"}
    assert math.isnan(rows[0]["valid rec N@5"]) and not math.isnan(rows[1]["valid rec N@5"]), "eval_every=2"


def test_every_row_of_both_tasks_is_used_once_per_epoch(monkeypatch):
    seen = {"rec": [], "src": []}
    batch = Dataset.batch

    def spy(dataset, split, task, index, candidates=None, **options):
        if split == "train":
            seen[task] += index.tolist()
            assert (candidates[:, 0] == dataset.item[dataset.rows["train"][task].event[index]]).all()
        return batch(dataset, split, task, index, candidates, **options)

    monkeypatch.setattr(Dataset, "batch", spy)
    monkeypatch.setattr(training.Loop, "step", lambda loop, batches: {})
    train(gensr(), pocket(), SHORT_GENSR.replace(epochs=1, max_steps_per_epoch=None, batch_size=50))
    for task, rows in seen.items():
        assert sorted(rows) == list(range(len(pocket().rows["train"][task])))
        assert rows != sorted(rows), "in random order"


def test_a_logged_loss_is_the_mean_over_the_steps_that_had_it(monkeypatch):
    """The shorter task runs out a step early here; its mean must not be diluted by that step."""
    monkeypatch.setattr(training, "plan_steps", lambda *given: ({"rec": 300, "src": 10**6}, 3))
    monkeypatch.setattr(training.Loop, "step", lambda loop, batches: {f"{b.task} loss": 2.0 for b in batches})
    run = train(gensr(), pocket(), SHORT_GENSR.replace(epochs=1))
    assert run.history.loc[0, ["rec loss", "src loss"]].tolist() == [2.0, 2.0]


def test_order_and_negatives_change_with_the_epoch_and_the_seed():
    loop = training.Loop(lightgcn(), pocket(), SHORT, 0, None, training.make_accelerator())
    other = training.Loop(lightgcn(), pocket(), SHORT, 1, None, training.make_accelerator())
    plans = [loop._plan("rec", 0), loop._plan("rec", 1), other._plan("rec", 0)]
    again = loop._plan("rec", 0)
    assert all((a == b).all() for a, b in zip(plans[0], again, strict=True))
    for one, two in ((0, 1), (0, 2)):
        assert all((a != b).any() for a, b in zip(plans[one], plans[two], strict=True))


def test_search_weight_scales_the_loss_of_search_rows_alone():
    model = gensr().eval()
    batches = [pocket().batch("test", task, np.arange(4)) for task in ("rec", "src")]
    objective = {w: training.Objective(model, w) for w in (0.0, 1.0, 3.0)}
    rec, src = (objective[1.0]([b])[0].item() for b in batches)
    for weight, module in objective.items():
        total, log = module(batches)
        assert total.item() == pytest.approx(rec + weight * src, rel=1e-5)
        assert set(log) == {f"{t} {n}" for t in ("rec", "src") for n in ("generation", "contrastive")}


def test_terms_are_weighted_by_the_model():
    model = gensr().eval()
    made = pocket().batch("test", "rec", np.arange(4))
    terms = model.loss(made)
    expected = terms["generation"] + model.config.beta * terms["contrastive"]
    assert training.Objective(model, 1.0)([made])[0].item() == pytest.approx(expected.item(), rel=1e-5)
    assert terms["contrastive"].item() > 0.1, "else the weight cannot be seen"


def test_learning_rate_warms_up_and_decays_linearly():
    options = SHORT.replace(epochs=2, warmup_steps=3, learning_rate=0.4)
    loop = training.Loop(lightgcn(), pocket(), options, 0, None, training.make_accelerator())
    total = 2 * loop.steps
    assert total > 6
    found = []
    for loop.state.step in range(total):
        loop._set_learning_rate()
        found.append(loop.optimizer.param_groups[0]["lr"])
    warm = [0.4 * k / 4 for k in (1, 2, 3)]
    decay = [0.4 * (total - s) / (total - 3) for s in range(3, total)]
    assert found == pytest.approx(warm + decay) and found[3] == pytest.approx(0.4)


def test_the_rate_may_decay_over_more_epochs_than_are_trained():
    """As released: linear to zero over 200 epochs, of which a few are trained."""
    options = SHORT.replace(epochs=2, decay_epochs=200, warmup_steps=3, learning_rate=0.4)
    loop = training.Loop(lightgcn(), pocket(), options, 0, None, training.make_accelerator())
    total = 200 * loop.steps
    loop.state.step = 2 * loop.steps - 1
    loop._set_learning_rate()
    assert loop.optimizer.param_groups[0]["lr"] == pytest.approx(0.4 * (total - loop.state.step) / (total - 3))
    assert loop.optimizer.param_groups[0]["lr"] > 0.395


@pytest.mark.parametrize("task", ["rec", "src"])
def test_a_task_alone_takes_the_steps_and_rows_of_joint_training(task):
    """Else "trained on one task" would also mean fewer steps, which in a few epochs is the budget."""
    options = SHORT_GENSR.replace(max_steps_per_epoch=None)
    both, alone = (
        training.Loop(gensr(trained_on=on), pocket(), options, 0, None, training.make_accelerator())
        for on in ("both", task)
    )
    assert both.sizes.keys() == {"rec", "src"} and both.sizes["rec"] == 16 != both.sizes["src"]
    assert alone.sizes == {task: both.sizes[task]} and alone.steps == both.steps
    plans = [loop._plan(task, 0) for loop in (both, alone)]
    one, other = (loop.batch(plan, task, 2) for loop, plan in zip((both, alone), plans, strict=True))
    assert torch.equal(one.cand, other.cand), "and the same rows, at the same step"


def test_a_system_of_one_task_has_its_own_batch():
    loop = training.Loop(lightgcn(), pocket(), SHORT, 0, None, training.make_accelerator())
    assert loop.sizes == {"rec": SHORT.batch_size} and loop.steps == STEPS


def test_the_gradient_is_clipped(monkeypatch):
    norms = []
    clip = torch.nn.utils.clip_grad_norm_

    def spy(parameters, limit, **options):
        parameters = list(parameters)
        value = clip(parameters, limit, **options)
        norms.append(torch.stack([p.grad.norm() for p in parameters if p.grad is not None]).norm().item())
        return value

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", spy)
    train(lightgcn(), pocket(), SHORT.replace(epochs=1, gradient_clip=1e-3))
    assert norms and max(norms) <= 1e-3 * 1.01


# --- selection --------------------------------------------------------------------------------


def scripted(monkeypatch, values: list[float]) -> list[dict]:
    """Validation gives these values in turn; returns the weights at each validation."""
    seen, real = [], training.evaluate

    def fake(model, dataset, split, **options):
        found = real(model, dataset, split, **options)
        value = values[len(seen)]
        seen.append({k: v.clone() for k, v in model.state_dict().items()})
        found.mean = lambda metric: value
        return found

    monkeypatch.setattr(training, "evaluate", fake)
    return seen


def test_best_weights_come_back_and_patience_stops(monkeypatch):
    seen = scripted(monkeypatch, [0.1, 0.5, 0.2, 0.5, 0.9])
    run = train(lightgcn(), pocket(), SHORT.replace(epochs=5, patience=2))
    assert run.best_epoch == 2 and len(run.history) == 4, "0.5 again is not better"
    assert all(torch.equal(v, seen[1][k]) for k, v in run.model.state_dict().items())
    assert not torch.equal(run.model.embedding, seen[3]["embedding"]) and not run.model.training


def test_patience_waits_for_a_validation(monkeypatch):
    """With rare validations, epochs that nobody validated must not end a run before its first one."""
    scripted(monkeypatch, [0.1, 0.2, 0.15])
    run = train(lightgcn(), pocket(), SHORT.replace(epochs=9, patience=1, eval_every=2))
    assert len(run.history) == 6 and run.best_epoch == 4


# Validation NDCG@5: chance where there is a plateau, then what the released log shows, as the epochs go on.
PLATEAU = [0.0262, 0.0244, 0.0262, 0.0244]
AFTER = [0.28, 0.727, 0.741, 0.745, 0.742, 0.743]


def paper_schedule(**changes) -> TrainingConfig:
    """When the profile `paper` validates and stops, on a model of this test's size."""
    return resolve(load_profile("paper"), "gensr")[1].replace(batch_size=200, probe_steps=None, **changes)


def test_the_paper_profile_outlasts_the_plateau_of_the_released_log(monkeypatch):
    """Its authors' own run answers with the base rate for four epochs before it learns anything."""
    schedule = paper_schedule()
    scripted(monkeypatch, (PLATEAU + AFTER)[schedule.first_validation - 1 :])
    run = train(lightgcn(), pocket(), schedule)
    assert len(run.history) == 10 and run.best_epoch == 8
    assert run.history["valid rec N@5"].notna().tolist() == [False] * 3 + [True] * 7


def test_patience_that_is_shorter_than_a_plateau_ends_in_it(monkeypatch):
    """What the profile once had: two epochs, counted from the first."""
    scripted(monkeypatch, PLATEAU + AFTER)
    run = train(lightgcn(), pocket(), paper_schedule(first_validation=1, patience=2))
    assert len(run.history) == 3 and run.best_epoch == 1


def test_patience_counts_from_the_first_validation(monkeypatch):
    scripted(monkeypatch, [0.1, 0.1, 0.1])
    run = train(lightgcn(), pocket(), SHORT.replace(epochs=9, first_validation=4, patience=2))
    assert len(run.history) == 6 and run.best_epoch == 4


def test_a_first_validation_behind_the_end_is_at_the_end(monkeypatch):
    seen = scripted(monkeypatch, [0.1])
    run = train(lightgcn(), pocket(), SHORT.replace(epochs=2, first_validation=4, patience=1))
    assert len(seen) == 1 and run.best_epoch == 2


def test_the_last_epoch_is_validated_too(monkeypatch):
    scripted(monkeypatch, [0.1, 0.2])
    run = train(lightgcn(), pocket(), SHORT.replace(epochs=3, eval_every=2))
    assert run.best_epoch == 3


# --- stages -----------------------------------------------------------------------------------


def staged(*epochs: float) -> LightGCN:
    model = lightgcn()
    model.stages = Stages(epochs)
    return model


def test_the_best_epoch_is_one_of_the_last_stage_and_patience_counts_there_alone(monkeypatch):
    """Three epochs of text would have ended it by a patience of one, and 0.9 is of a stage that is over."""
    seen = scripted(monkeypatch, [0.9, 0.2, 0.1, 0.3, 0.4, 0.2])
    run = train(staged(3.0), pocket(), SHORT.replace(epochs=9, patience=1))
    assert len(run.history) == 6 and run.best_epoch == 5
    assert run.history["stage"].tolist() == [1, 1, 1, 2, 2, 2]
    assert all(torch.equal(v, seen[4][k]) for k, v in run.model.state_dict().items())


def test_an_epoch_that_nobody_validates_does_not_inherit_the_value_of_the_stage_before(monkeypatch):
    scripted(monkeypatch, [0.9, 0.1])
    run = train(staged(2.0), pocket(), SHORT.replace(epochs=4, eval_every=2))
    assert run.best_epoch == 4


def test_a_stage_may_begin_within_an_epoch_and_is_taken_up_there(monkeypatch, tmp_path):
    model, steps = staged(0.5, 1.0), []
    step = training.Loop.step

    def noted(loop, batches):
        terms = step(loop, batches)
        steps.append(model.stages.now)
        return terms

    monkeypatch.setattr(training.Loop, "step", noted)
    train(model, pocket(), SHORT.replace(epochs=2))
    assert steps == [bisect([0.5 * STEPS, 1.5 * STEPS], n) for n in range(2 * STEPS)] and set(steps) == {0, 1, 2}


def test_a_training_that_ends_before_its_last_stage_says_so(caplog):
    train(staged(1.0, 5.0), pocket(), SHORT.replace(epochs=2))
    assert caplog.messages == ["lightgcn: training ended in stage 2 of 3; give it more epochs, or the stages fewer."]


def test_without_validation_the_last_epoch_is_kept(monkeypatch):
    scripted(monkeypatch, [])  # a validation would find no value here
    run = train(lightgcn(), pocket(), SHORT.replace(epochs=3, eval_every=None, patience=1))
    assert run.best_epoch == len(run.history) == 3 and not any("valid" in name for name in run.history)


def one_task_events(n_users: int = 8, n: int = 5, task: str = "rec") -> list[tuple]:
    return [(f"u{u}", f"i{(u + 3 * t) % 11}", t, task) for u in range(n_users) for t in range(n)]


def test_recommendation_clicks_alone_are_enough():
    dataset = Dataset.from_tables(tables(*one_task_events()), TINY)
    model = LightGCN.from_dataset(dataset, LightGCNConfig(width=4))
    run = train(model, dataset, SHORT.replace(batch_size=8, epochs=2))
    assert set(run.history) >= {"rec bpr", "valid rec N@5"} and not any("src" in c for c in run.history)
    assert set(evaluate(model, dataset).metrics) == {"rec"}


def test_a_data_set_without_rows_for_the_model_is_refused():
    """LightGCN, made for the recommendations of one data set, given another that has searches only."""
    events = [(u, i, t, "src") for u, i, t, _ in one_task_events()]
    interactions = tables(*events)
    interactions.interactions.loc[interactions.interactions["user_id"] == "~", "behavior"] = "src"
    interactions.interactions.loc[interactions.interactions["user_id"] == "~", "query"] = "red shoe"
    interactions.interactions.loc[interactions.interactions["user_id"] == "~", "session_id"] = 10**6
    dataset = Dataset.from_tables(interactions, TINY)
    assert not len(dataset.rows["train"]["rec"])
    model = LightGCN.from_dataset(dataset, LightGCNConfig(width=4))
    model.tasks = frozenset({"rec"})
    with pytest.raises(ConfigError, match="no training row for lightgcn"):
        train(model, dataset, SHORT)


def test_without_validation_rows_the_last_epoch_is_kept():
    events = [(f"u{u}", f"i{u}-{t}", t, "rec") for u in range(6) for t in range(2)]  # too short to hold out
    dataset = Dataset.from_tables(tables(*events), TINY)
    assert not len(dataset.rows["valid"]["rec"])
    run = train(LightGCN.from_dataset(dataset, LightGCNConfig(width=4)), dataset, SHORT.replace(epochs=5, patience=1))
    assert run.best_epoch == len(run.history) == 5


def test_a_model_without_parameters_comes_back_untouched(tmp_path):
    model = Popularity.from_dataset(pocket()).train()
    before = model.clicks.clone()
    run = train(model, pocket(), SHORT, folder=tmp_path)
    assert run.model is model and not model.training and torch.equal(model.clicks, before)
    assert (run.best_epoch, run.seconds, len(run.history), list(tmp_path.iterdir())) == (0, 0.0, 0, [])


def test_no_epochs_leave_the_weights_as_they_were():
    run = train(lightgcn(), pocket(), SHORT.replace(epochs=0))
    assert run.best_epoch == 0 and torch.equal(run.model.embedding, lightgcn().embedding)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run(monkeypatch, value):
    loss = LightGCN.loss
    monkeypatch.setattr(LightGCN, "loss", lambda self, batch: {k: v * value for k, v in loss(self, batch).items()})
    model = lightgcn()
    with pytest.raises(ValueError, match=r"lightgcn: the loss is (nan|inf) at step 0"):
        train(model, pocket(), SHORT)
    assert torch.equal(model.embedding, lightgcn().embedding), "no step was taken"


# --- killed runs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "resumed_at"),
    [(1, 0), (3, 2), (STEPS, STEPS), (STEPS + 3, STEPS + 2), (3 * STEPS - 1, 2 * STEPS + 2 * ((STEPS - 1) // 2))],
    ids=["before the first checkpoint", "mid-epoch", "right after an epoch", "second epoch", "at the last step"],
)
def test_a_killed_run_ends_with_the_same_numbers(monkeypatch, tmp_path, step, resumed_at):
    kill_at_step(monkeypatch, step)
    run = killed_then_resumed(monkeypatch, tmp_path)
    assert run.resumed_at == resumed_at
    assert_same(outcome(run), uninterrupted("lightgcn"))


@pytest.mark.parametrize("step", [3, 4, 7])
def test_a_killed_gensr_run_with_dropout_ends_with_the_same_numbers(monkeypatch, tmp_path, step):
    kill_at_step(monkeypatch, step)
    run = killed_then_resumed(monkeypatch, tmp_path, "gensr")
    assert run.resumed_at == step // 2 * 2
    assert_same(outcome(run), uninterrupted("gensr"))


def test_killed_while_validating(monkeypatch, tmp_path):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "evaluate", interrupted)
    run = killed_then_resumed(monkeypatch, tmp_path)
    assert 0 < run.resumed_at < STEPS
    assert_same(outcome(run), uninterrupted("lightgcn"))


def test_killed_twice(monkeypatch, tmp_path):
    kill_at_step(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        train(lightgcn(), pocket(), SHORT, folder=tmp_path)
    monkeypatch.undo()
    kill_at_step(monkeypatch, STEPS + 3)
    run = killed_then_resumed(monkeypatch, tmp_path)
    assert run.resumed_at == STEPS + 2
    assert_same(outcome(run), uninterrupted("lightgcn"))


def test_a_finished_run_is_not_repeated(tmp_path):
    train(lightgcn(), pocket(), SHORT, folder=tmp_path)
    run = train(lightgcn(), pocket(), SHORT, folder=tmp_path)
    assert run.resumed_at == 3 * STEPS
    assert_same(outcome(run), uninterrupted("lightgcn"))


def test_a_run_that_stopped_early_stays_stopped(monkeypatch, tmp_path):
    scripted(monkeypatch, [0.5, 0.2, 0.9])
    options = SHORT.replace(patience=1)
    first = train(lightgcn(), pocket(), options, folder=tmp_path)
    weights = first.model.embedding.detach().clone()
    again = train(lightgcn(), pocket(), options, folder=tmp_path)
    assert again.resumed_at == 2 * STEPS and again.best_epoch == 1 and len(again.history) == 2
    assert torch.equal(again.model.embedding, weights)


def test_kill_minus_nine(tmp_path):
    """A real process, killed by the system in the middle of its second epoch or later."""
    command = [sys.executable, str(Path(__file__).parents[1] / "processes.py"), "train", str(tmp_path)]
    process = subprocess.Popen(command, env={**os.environ})
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            pointer = tmp_path / POINTER
            if pointer.exists() and json.loads(pointer.read_text())["state"]["step"] > STEPS:
                break
            time.sleep(0.02)
        assert process.poll() is None, "it ended before it could be killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    run = train(lightgcn(), pocket(), SHORT, folder=tmp_path)
    assert STEPS < run.resumed_at < 3 * STEPS
    assert_same(outcome(run), uninterrupted("lightgcn"))


# --- the files of a checkpoint ----------------------------------------------------------------


@pytest.mark.parametrize("write", [0, 1, 2, 3], ids=["weights", "best", "optimizer", "pointer"])
def test_killed_while_writing_a_checkpoint(monkeypatch, tmp_path, write):
    """The older checkpoint is whole until the pointer has moved; what was half written is cleaned up."""
    calls, real = [], checkpoints.write_atomically

    def killed(path, *args, **options):
        calls.append(path)
        if len(calls) == 4 + write + 1:  # in the second checkpoint
            (path.parent / f".{path.name}.999.part").write_text("half")  # what kill -9 leaves
            raise KeyboardInterrupt
        return real(path, *args, **options)

    monkeypatch.setattr(checkpoints, "write_atomically", killed)
    monkeypatch.setattr(files, "write_atomically", killed)  # of the pointer
    run = killed_then_resumed(monkeypatch, tmp_path)
    assert run.resumed_at == 2
    assert_same(outcome(run), uninterrupted("lightgcn"))
    last = 3 * STEPS
    expected = {POINTER, f"weights-{last}.safetensors", f"best-{last}.safetensors", f"optimizer-{last}"}
    assert {p.name for p in tmp_path.iterdir()} - {f".{POINTER}.999.part"} == expected


def killed_run(monkeypatch, folder: Path, step: int = STEPS + 1) -> None:
    kill_at_step(monkeypatch, step)
    with pytest.raises(KeyboardInterrupt):
        train(lightgcn(), pocket(), SHORT, folder=folder)
    monkeypatch.undo()


@pytest.mark.parametrize(  # a folder without a pointer is no damage but a fresh start
    ("damage", "how"),
    [(POINTER, "cut"), *itertools.product(["weights-*", "best-*", "optimizer-*"], ["cut", "missing"])],
)
def test_a_damaged_checkpoint_says_which_file_to_delete(monkeypatch, tmp_path, damage, how):
    killed_run(monkeypatch, tmp_path)
    (path,) = tmp_path.glob(damage)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]) if how == "cut" else path.unlink()
    with pytest.raises(ConfigError) as error:
        train(lightgcn(), pocket(), SHORT, folder=tmp_path)
    assert str(path) in str(error.value) and f"delete the folder {tmp_path}" in str(error.value)


def other_data() -> Dataset:
    return Dataset.from_tables(tables(*one_task_events()), TINY)


@pytest.mark.parametrize("change", ["training", "seed", "model", "data"])
def test_the_checkpoint_of_another_configuration_is_refused(monkeypatch, tmp_path, change):
    killed_run(monkeypatch, tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    dataset = other_data() if change == "data" else pocket()
    model = LightGCN.from_dataset(dataset, LightGCNConfig(width=8, layers=1 if change == "model" else 2))
    options = SHORT.replace(learning_rate=0.5) if change == "training" else SHORT
    with pytest.raises(ConfigError, match="another configuration") as error:
        train(model, dataset, options, folder=tmp_path, seed=int(change == "seed"))
    assert str(tmp_path) in str(error.value)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before, "nothing was overwritten"


def test_weights_of_another_shape_under_the_same_options_are_refused(monkeypatch, tmp_path):
    """A backbone is no option of GenSR: two of different width have the same hash."""
    kill_at_step(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        train(gensr(), pocket(), SHORT_GENSR, folder=tmp_path)
    monkeypatch.undo()
    backbone = load_backbone(SMALL.replace(d_model=24, heads=2), backbone_texts())
    model = GenSR.from_dataset(pocket(), gensr().config, backbone, Vectors(gensr().cf_table))
    with pytest.raises(ConfigError, match="another configuration"):
        train(model, pocket(), SHORT_GENSR, folder=tmp_path)


def test_a_model_that_was_evaluated_before_can_be_trained():
    """Nothing that is kept from inference mode may get into the graph of the gradients."""
    model = lightgcn()
    evaluate(model, pocket(), "valid")
    run = train(model, pocket(), SHORT)
    assert_same(outcome(run), uninterrupted("lightgcn"))


# --- gradients ---------------------------------------------------------------------------------

PROBED = SHORT_GENSR.replace(probe_steps=3, probe_rows=50)


def test_measuring_gradients_changes_no_number():
    """Same dropout, same weights, same ranks: the probe must leave no trace, and measure without dropout."""
    plain, probed = uninterrupted("gensr"), train(gensr(), pocket(), PROBED)
    assert_same(plain, outcome(probed))
    assert probed.gradients["step"].unique().tolist() == [0, 3, 6]
    assert train(gensr(), pocket(), SHORT_GENSR).gradients.empty


def test_gradients_measured_before_a_kill_are_kept(monkeypatch, tmp_path):
    whole = train(gensr(), pocket(), PROBED)
    with pytest.MonkeyPatch.context() as patch:
        kill_at_step(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            train(gensr(), pocket(), PROBED, folder=tmp_path)
    resumed = train(gensr(), pocket(), PROBED, folder=tmp_path)
    assert resumed.resumed_at == 4
    assert resumed.gradients.equals(whole.gradients)


def test_a_model_of_one_task_has_no_gradients_to_compare():
    assert train(lightgcn(), pocket(), SHORT.replace(probe_steps=1)).gradients.empty
