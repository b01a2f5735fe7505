"""Measures: each is what the function that it stands for finds, and plain enough to be kept."""

from __future__ import annotations

import json

import pytest
import torch

from gensr_lib.analysis import code_information, item_facts, measures, of_row_before, reads, reordered
from gensr_lib.models import build_model
from gensr_lib.training import evaluate
from gensr_lib.training.protocols import metrics_by_rule
from tests.worlds import pocket


@pytest.fixture(scope="module")
def zam():
    torch.manual_seed(0)
    return build_model("zam", pocket(), {"width": 16}).eval()


@pytest.fixture(scope="module")
def sasrec():
    torch.manual_seed(0)
    return build_model("sasrec", pocket(), {"width": 16}).eval()


def test_inputs_are_those_of_reads(zam):
    data = pocket()
    found = measures.inputs(zam, data)
    rows = min(measures.ASKED, len(data.rows["test"]["src"]))
    asked = reads(zam, data.batch("test", "src", range(rows)), data.n_items, data.n_words - 1)
    assert found == {f"src {what}": float(does) for what, does in asked.items()}
    assert found["src query"] == 1 and json.dumps(found)


def test_personal_search_exchanges_user_and_query(zam, sasrec):
    data = pocket()
    found = measures.personal_search(zam, data)
    for parts, name in {("user", "history"): "another's user and history", ("query",): "another's query"}.items():
        asked = evaluate(zam, data, change=lambda batch, parts=parts: of_row_before(batch, parts))
        assert found[name] == asked.metrics["src"]["N@10"]
    assert measures.personal_search(sasrec, data) == {}


def test_click_order_moves_the_clicks(zam, sasrec):
    data = pocket()
    found = measures.click_order(sasrec, data)
    asked = evaluate(sasrec, data, change=lambda batch: reordered(batch, "backwards"))
    assert found["backwards"] == asked.metrics["rec"]["N@10"] and set(found) == {"shuffled", "backwards"}
    assert found == measures.click_order(sasrec, data), "the shuffle is seeded"
    assert measures.click_order(zam, data) == {}


def test_other_rules_are_those_of_the_protocols():
    data = pocket()
    model = build_model("popularity", data, {})
    found = measures.other_rules(model, data)
    for task in ("rec", "src"):
        assert found[f"{task} positive first"] == metrics_by_rule(model, data, ties="positive first")[task]["N@10"]
        assert found[f"{task} all"] == metrics_by_rule(model, data, candidates="all")[task]["N@10"]


def test_other_prompt_asks_each_task_as_the_other(monkeypatch):
    data = pocket()
    told = []

    class Model:
        name, tasks, reads_event, training, device = "m", {"rec", "src"}, False, False, "cpu"

        def eval(self):
            pass

        train = lambda self, mode: None  # noqa: E731

        def score(self, batch):
            told.append((batch.task, bool((batch.query != 0).any())))
            return -batch.cand.float()

    found = measures.other_prompt(Model(), data)
    assert set(told) == {("src", False), ("rec", True)}, "the query stays the task's own"
    assert {"rec N@10", "src N@10", "rec expected N@10", "src expected N@10"} <= found.keys()


def test_codes_are_told_by_facts():
    data = pocket()

    class Model:
        semantic_ids = torch.randint(3, (data.n_items + 1, 3), generator=torch.Generator().manual_seed(0))
        collaborative_ids = semantic_ids.flip(0)

    found = measures.codes(Model(), data)
    facts = item_facts(data)
    expected = code_information(Model.semantic_ids[1:].numpy()[:, :2], facts)
    assert {k: found[f"semantic, first two, {k}"] for k in facts} == expected
    assert len(found) == 2 * 2 * len(facts)
    Model.collaborative_ids = Model.semantic_ids
    assert {key.split(",")[0] for key in measures.codes(Model(), data)} == {"one"}
