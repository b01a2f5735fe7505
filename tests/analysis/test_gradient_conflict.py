"""Angles between gradients, against gradients taken one by one by torch, worked by hand, and simulated noise."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from gensr_lib.analysis.gradient_conflict import summary
from gensr_lib.config import TrainingConfig
from gensr_lib.errors import ConfigError, DataError
from gensr_lib.training.gradients import ALL, LEAST, disattenuate, measure, probe_batches
from tests.models.test_contract import make
from tests.worlds import pocket

approx = pytest.approx


class TwoLines(nn.Module):
    """One weight vector for both tasks, one for search alone; each row has its own slope.

    An alignment pulls the shared weights the same way in both tasks, a thousand times as hard.
    """

    name = "two lines"
    task_term = "fit"

    def __init__(self, width: int = 2):
        super().__init__()
        self.shared = nn.Linear(width, 1, bias=False)
        self.search_only = nn.Linear(width, 1)
        self.scale = nn.Parameter(torch.tensor(1.0))  # of no dimension, and of no use but once

    def loss(self, batch):
        fit = self.shared(batch.x).mean()
        if batch.task == "src":
            fit = fit + (self.search_only(batch.x) * self.scale).mean()
        return {"fit": fit, "alignment": 1e3 * self.shared.weight.sum()}


class Rows:
    """Just what `measure` needs of a batch."""

    def __init__(self, task: str, x):
        self.task, self.x = task, torch.as_tensor(x, dtype=torch.float32)
        self.user = torch.arange(len(x))

    def __len__(self):
        return len(self.x)

    def rows(self, index):
        return Rows(self.task, self.x[index])


def by_layer(rows: list[dict]) -> dict[str, dict]:
    return {row["layer"]: row for row in rows}


def test_worked_by_hand():
    """The gradient of the mean of w . x is the mean x: (1, 0) and (-1, 1), 135 degrees apart."""
    right_angle = [[1, 1], [1, -1]]  # between the two halves, which are every other row
    rec = Rows("rec", right_angle * 2)
    src = Rows("src", [[-1, 1], [-1, 1]])  # both halves alike
    found = by_layer(measure(TwoLines(), [rec, src]))
    assert set(found) == {"shared", ALL}, "a layer of one task alone is not shared"
    row = found["shared"]
    assert row["cosine"] == approx(-(0.5**0.5)) and row["size"] == 2
    assert row["norm_rec"] == approx(1) and row["norm_src"] == approx(2**0.5)
    assert row["rec"] == approx(0) and row["src"] == approx(1)
    assert row["between"] == approx((0 + 0 - 1 - 1) / 4), "(1, 1) and (1, -1) against (-1, 1), twice each"
    assert found[ALL] == {**row, "layer": ALL}


def test_opposite_tasks_and_equal_tasks():
    x = [[1, 2], [3, 1]]
    same = by_layer(measure(TwoLines(), [Rows("rec", x), Rows("src", x)]))["shared"]["cosine"]
    opposite = [[-a, -b] for a, b in x]
    against = by_layer(measure(TwoLines(), [Rows("rec", x), Rows("src", opposite)]))["shared"]["cosine"]
    assert same == approx(1) and against == approx(-1)


@pytest.mark.parametrize("rows", [[("rec", 4)], [("src", 4)], [("rec", 4), ("src", 1)], []])
def test_without_two_rows_of_both_tasks_there_is_nothing_to_measure(rows):
    assert measure(TwoLines(), [Rows(task, [[1, 2]] * n) for task, n in rows]) == []


def test_an_alignment_does_not_enter():
    """It is huge and the same in both tasks; with it the cosine would be 1."""
    found = by_layer(measure(TwoLines(), [Rows("rec", [[1, 2], [3, 1]]), Rows("src", [[-1, -2], [-3, -1]])]))
    assert found["shared"]["cosine"] == approx(-1)


def test_a_model_must_say_which_term_is_the_task():
    model = TwoLines()
    batches = [Rows(task, [[1, 2], [3, 1]]) for task in ("rec", "src")]
    model.task_term = None
    with pytest.raises(ConfigError, match=r"two lines: task_term is None.*'alignment', 'fit'"):
        measure(model, batches)
    one_term = model.loss
    model.loss = lambda batch: {"fit": one_term(batch)["fit"]}
    assert len(measure(model, batches)) == 2, "of one term there is no question"


@pytest.mark.parametrize("training", [True, False])
def test_dropout_adds_no_noise_and_the_mode_is_left_alone(training):
    model = make("gensr").train(training)
    assert model.config.dropout > 0
    batches = [
        pocket().batch("test", task, np.arange(4)).with_candidates(torch.ones(4, 2).long()) for task in ("rec", "src")
    ]
    torch.manual_seed(0)
    one = measure(model, batches)
    torch.manual_seed(1)
    assert measure(model, batches) == one or pd.DataFrame(measure(model, batches)).equals(pd.DataFrame(one))
    assert model.training is training and all(p.grad is None for p in model.parameters())


def noisy(task: str, truth: np.ndarray, rows: int, sd: float, rng) -> Rows:
    return Rows(task, truth + sd * rng.normal(size=(rows, len(truth))))


@pytest.mark.parametrize("angle", [30, 90, 120])
def test_disattenuation_recovers_a_known_angle_under_noise(angle):
    """Gradients of rows are the truth plus noise: cosines shrink to a third, and are corrected back."""
    rng = np.random.default_rng(0)
    rec, src = np.zeros((2, 300))
    rec[0] = 1
    src[:2] = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    sd = np.sqrt(100 / 300 * 2)  # of 100 rows in a half: noise of twice the squared length of the truth
    rows = []
    for step in range(40):
        batches = [noisy("rec", rec, 200, sd, rng), noisy("src", src, 200, sd, rng)]
        rows += [{"step": step, **row} for row in measure(TwoLines(300), batches)]
    found = summary(pd.DataFrame(rows)).loc["shared"]
    truth = np.cos(np.radians(angle))
    assert [found["rec"], found["src"]] == approx([1 / 3, 1 / 3], abs=0.03)
    assert found["between"] == approx(truth / 3, abs=0.03) and found["noise"] == ""
    assert found["disattenuated"] == approx(truth, abs=0.06)


def test_pure_noise_is_not_corrected():
    rng = np.random.default_rng(1)
    rec = np.eye(300)[0]
    found = by_layer(measure(TwoLines(300), [noisy("rec", rec, 200, 0.1, rng), noisy("src", 0 * rec, 200, 1, rng)]))
    assert math.isnan(found["shared"]["disattenuated"]) and found["shared"]["noise"] == "src"


def test_what_is_too_noisy_to_correct():
    assert disattenuate(0.06, {"rec": 0.2, "src": 0.45}) == (approx(0.06 / 0.3), "")
    assert disattenuate(0.06, {"rec": LEAST, "src": LEAST})[1] == ""
    for reliability, noise in (((0.09, 0.9), "rec"), ((0.9, -0.1), "src"), ((0.0, math.nan), "rec, src")):
        value, names = disattenuate(0.06, dict(zip(("rec", "src"), reliability, strict=True)))
        assert math.isnan(value) and names == noise
    assert disattenuate(0.06, {"rec": 0.2, "src": 0.45}, {"rec": 0.06, "src": 0.0})[1] == "rec", (
        "two errors lower: 0.08"
    )


@pytest.mark.parametrize("size", [2, 4, 6])
def test_small_batches_add_up_to_one(size):
    """Of each batch every other row: so the halves are the same rows, whatever the size."""
    model = make("unisar").eval()
    model.config = model.config.replace(lambda_qi=0, lambda_tr=0)
    whole = {task: pocket().batch("test", task, np.arange(12)) for task in ("rec", "src")}
    parts = [b.rows(torch.arange(12)[at : at + size]) for b in whole.values() for at in range(0, 12, size)]
    one, other = (by_layer(measure(model, batches)) for batches in (whole.values(), parts))
    assert one.keys() == other.keys() and len(one) > 5
    for layer, row in one.items():
        for column in ("cosine", "between", "rec", "src", "norm_rec"):
            assert other[layer][column] == approx(row[column], abs=1e-4), (layer, column)


def test_batches_of_unequal_size_count_by_their_rows():
    """Nine rows against one: the mean gradient is that of all rows, not that of the two means."""
    x = np.random.default_rng(0).normal(size=(20, 2))
    src = Rows("src", [[1, 0], [1, 0]])
    found = by_layer(measure(TwoLines(), [Rows("rec", x[:18]), Rows("rec", x[18:]), src]))
    mean = x.mean(axis=0)
    assert found["shared"]["norm_rec"] == approx(np.linalg.norm(mean), rel=1e-5)
    assert found["shared"]["cosine"] == approx(mean[0] / np.linalg.norm(mean), rel=1e-5)


PROBE = TrainingConfig(probe_rows=50, negatives=3)


def test_probes_hold_random_training_rows_with_fresh_negatives():
    dataset, sizes = pocket(), {"rec": 8, "src": 5}
    found = {task: [] for task in sizes}
    for batch in probe_batches(dataset, sizes, PROBE, (0, 7)):
        assert len(batch) <= 2 * sizes[batch.task] and batch.cand.shape[1] == 4
        found[batch.task].append(batch)
    for task, batches in found.items():
        event = dataset.rows["train"][task].event
        clicks = set(zip(dataset.user[event], dataset.item[event], strict=True))
        users, cand = torch.cat([b.user for b in batches]), torch.cat([b.cand for b in batches])
        assert len(users) == 50 and not (users[1:] >= users[:-1]).all(), "in random order"
        assert all((int(u), int(c[0])) in clicks for u, c in zip(users, cand, strict=True))
        assert not any((int(u), int(i)) in clicks for u, c in zip(users, cand, strict=True) for i in c[1:])


def test_probes_are_the_same_for_every_model_and_others_at_every_step():
    def cand(seed, sizes, rows=50):
        made = probe_batches(pocket(), sizes, PROBE.replace(probe_rows=rows), seed)
        return torch.cat([b.cand for b in made if b.task == "rec"])

    one = cand((0, 7), {"rec": 8, "src": 5})
    assert torch.equal(one, cand((0, 7), {"rec": 16, "src": 11}))
    assert not torch.equal(one, cand((0, 8), {"rec": 8, "src": 5}))
    every = cand((0, 7), {"rec": 64, "src": 5}, rows=10**6)
    assert len(every) == len(pocket().rows["train"]["rec"]), "with fewer rows than asked for: all"


@pytest.mark.parametrize("name", ["gensr", "unisar"])
def test_a_real_model_against_backward(name):
    """One backward pass per half batch, added up by hand, for every layer and for all of them."""
    model = make(name).eval()
    batches = [pocket().batch("test", task, np.arange(6)) for task in ("rec", "src")]
    batches = [b.with_candidates(b.cand[:, :3]) for b in batches]
    torch.manual_seed(0)
    found = by_layer(measure(model, batches))
    assert all(p.grad is None for p in model.parameters()), "the model's gradients are left alone"
    sums = {}
    torch.manual_seed(0)
    for batch in batches:
        for half in (batch.rows(torch.arange(0, 6, 2)), batch.rows(torch.arange(1, 6, 2))):
            model.zero_grad()
            model.loss(half)[{"gensr": "generation", "unisar": "click"}[name]].backward()
            for key, p in model.named_parameters():
                grad = torch.zeros_like(p) if p.grad is None else p.grad
                sums[batch.task, key] = sums.get((batch.task, key), 0) + grad.double().flatten() / 2
    owners = {}
    for _, key in sums:
        owners.setdefault(key.rpartition(".")[0] or key, {})[key] = None
    vectors = {o: [torch.cat([sums[t, k] for k in keys]) for t in ("rec", "src")] for o, keys in owners.items()}
    expected = {o: v for o, v in vectors.items() if v[0].norm() > 0 and v[1].norm() > 0}
    expected[ALL] = [torch.cat([v[i] for v in expected.values()]) for i in (0, 1)]
    assert found.keys() == expected.keys() and len(expected) > 5
    for layer, (rec, src) in expected.items():
        cosine = torch.nn.functional.cosine_similarity(rec, src, dim=0).item()
        assert found[layer]["cosine"] == approx(cosine, abs=2e-4), layer
        assert found[layer]["norm_src"] == approx(src.norm().item(), rel=1e-3)


def test_summary():
    rows = [(0, "a", -0.5), (0, "b", 0.5), (9, "a", 0.1), (9, "b", 0.7)]
    table = pd.DataFrame(rows, columns=["step", "layer", "cosine"]).assign(between=0.2, rec=0.3, src=0.4, size=8)
    table = table.assign(disattenuated=math.nan, noise="rec")  # a single measurement may know less
    by = summary(table)
    assert by.loc["a", "cosine"] == approx(-0.2) and by.loc["a", "below zero"] == 0.5
    assert by.loc["b", "below zero"] == 0 and by.loc["b", "steps"] == 2 and by.loc["b", "size"] == 8
    assert by.loc["a", ["between", "rec", "src"]].tolist() == approx([0.2, 0.3, 0.4])
    assert summary(table, by="step")["cosine"].tolist() == approx([0.0, 0.4])


def test_summary_corrects_the_means_where_they_are_clear():
    """Two steps with the layers a and b; the reliability of rec in b differs wildly from step to step."""
    rows = [(0, "a", 0.2, 0.4), (9, "a", 0.4, 0.4), (0, "b", 0.2, 0.9), (9, "b", 0.4, -0.1)]
    table = pd.DataFrame(rows, columns=["step", "layer", "between", "rec"]).assign(cosine=0.5, src=0.9, size=8)
    by = summary(table)
    assert by.loc["a", "disattenuated"] == approx(0.3 / math.sqrt(0.4 * 0.9)) and by.loc["a", "noise"] == ""
    assert math.isnan(by.loc["b", "disattenuated"]) and by.loc["b", "noise"] == "rec"


def test_layers_of_one_step_are_no_independent_measurements():
    """Ten layers at two steps: 20 rows, and the two means 0.6 and 0.2, whose standard error is 0.2."""
    rows = [(step, f"layer {k}", rec) for step, rec in ((0, 0.6), (9, 0.2)) for k in range(10)]
    table = pd.DataFrame(rows, columns=["step", "layer", "rec"]).assign(cosine=0.5, between=0.2, src=0.9, size=8)
    found = summary(table.assign(system="s"), by="system").loc["s"]
    assert found["rec"] == approx(0.4) and found["noise"] == "rec" and math.isnan(found["disattenuated"])


def test_no_measurement_says_what_to_set():
    with pytest.raises(DataError, match="probe_steps"):
        summary(pd.DataFrame())
