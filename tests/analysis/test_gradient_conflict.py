"""Angles between gradients, against gradients taken one by one by torch and worked by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from gensr_lib.analysis.gradient_conflict import summary
from gensr_lib.errors import DataError
from gensr_lib.training.gradients import ALL, measure
from tests.models.test_contract import make
from tests.worlds import pocket

approx = pytest.approx


class TwoLines(nn.Module):
    """One weight vector for both tasks, one for search alone; each row has its own slope."""

    loss_weights = {"extra": 0.5}

    def __init__(self):
        super().__init__()
        self.shared = nn.Linear(2, 1, bias=False)
        self.search_only = nn.Linear(2, 1)
        self.scale = nn.Parameter(torch.tensor(1.0))  # of no dimension, and of no use but once

    def loss(self, batch):
        terms = {"fit": self.shared(batch.x).mean()}
        if batch.task == "src":
            terms["extra"] = (self.search_only(batch.x) * self.scale).mean()
        return terms


class Rows:
    """Just what `measure` needs of a batch."""

    def __init__(self, task: str, x):
        self.task, self.x = task, torch.tensor(x, dtype=torch.float32)
        self.user = torch.arange(len(x))

    def __len__(self):
        return len(self.x)

    def rows(self, index):
        return Rows(self.task, self.x[index].tolist())


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
            weights = model.loss_weights
            sum(weights.get(k, 1) * v for k, v in model.loss(half).items()).backward()
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
    by = summary(table)
    assert by.loc["a", "cosine"] == approx(-0.2) and by.loc["a", "below zero"] == 0.5
    assert by.loc["b", "below zero"] == 0 and by.loc["b", "steps"] == 2 and by.loc["b", "size"] == 8
    assert by.loc["a", ["between", "rec", "src"]].tolist() == approx([0.2, 0.3, 0.4])
    assert summary(table, by="step")["cosine"].tolist() == approx([0.0, 0.4])


def test_no_measurement_says_what_to_set():
    with pytest.raises(DataError, match="probe_steps"):
        summary(pd.DataFrame())
