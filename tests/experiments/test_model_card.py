"""The hub reads model cards again: their numbers must be those of the run's record."""

from __future__ import annotations

import json
from functools import cache
from types import SimpleNamespace

import pytest
from huggingface_hub import ModelCard

import gensr_lib
from gensr_lib.experiments.model_card import model_card
from gensr_lib.experiments.provenance import provenance
from gensr_lib.training.evaluation import evaluate
from tests.models.test_contract import make
from tests.worlds import pocket


@cache
def run(name: str):
    """A model and the record of its run, made of the library's own parts."""
    model = make(name).eval()
    record = {
        "hash": "0123456789abcdef",
        "model": name,
        "options": model.config.model_dump(mode="json"),
        "training": {"epochs": 3, "learning_rate": 0.002},
        "metrics": evaluate(model, pocket(), batch_size=20).metrics,
        "best_epoch": 2,
        "seconds": {"train": 61.4, "test": 1.0, "all": 63.0},
        "workspace": {"dataset_name": "tables", "profile_name": "smoke", "seed": 10},
        "provenance": provenance(pocket(), 7),
    }
    return model, record


def of_data(record: dict, name: str, **protocol) -> dict:
    """The record of a run on a data set of another name, or under another protocol."""
    source = record["provenance"]
    source = {**source, "dataset_config": {**source["dataset_config"], **protocol}}
    workspace = {**record["workspace"], "dataset_name": name}
    return {**record, "workspace": workspace, "provenance": source}


@pytest.mark.parametrize("name", ["gensr", "lightgcn"])
def test_the_hub_reads_the_runs_own_numbers_of_the_tasks_that_the_model_serves(name):
    model, record = run(name)
    card = ModelCard(model_card(record, model))
    found = {(r.task_type, r.metric_name): r.metric_value for r in card.data.eval_results}
    tasks, metrics = {"rec": "recommendation", "src": "search"}, {"R": "recall", "N": "ndcg"}
    assert found == {
        (tasks[task], metrics[metric[0]] + metric[1:]): value
        for task, values in record["metrics"].items()
        for metric, value in values.items()
    }
    assert {r.dataset_revision for r in card.data.eval_results} == {pocket().hash}
    assert len(found) == 4 * len(model.tasks) and card.data.model_name == name
    row = " | ".join(f"{value:.4f}" for value in record["metrics"]["rec"].values())
    assert "\n| task | R@5 | R@10 | N@5 | N@10 |\n| --- | --- | --- | --- | --- |\n" in card.text
    assert f"\n| recommendation | {row} |\n" in card.text
    assert ("\n| search |" in card.text) == ("src" in model.tasks)


def test_a_backbone_of_the_hub_is_the_base_model_and_a_folder_is_not(tmp_path, monkeypatch):
    model, (_, record) = make("gensr"), run("gensr")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "flan").mkdir(parents=True)
    for name in ("google/flan-t5-base", "/models/flan", "", "mine/flan"):
        model.lm.name_or_path = name
        expected = name if name.startswith("google") else None
        assert ModelCard(model_card(record, model)).data.base_model == expected


def test_the_text_says_where_the_numbers_come_from():
    model, record = run("gensr")
    text = model_card(record, model)
    blocks = [json.loads(part.split("```")[0]) for part in text.split("```json\n")[1:]]
    source = record["provenance"]
    assert blocks == [
        {"model": record["options"], "training": record["training"]},
        source["dataset_config"],
    ]
    parameters = sum(p.numel() for p in model.parameters())
    for fact in ("seed 7", "best epoch 2", "61 seconds", f"{parameters:,}", record["hash"]):
        assert fact in text
    for name in ("code_hash", "git_commit", "dataset_hash", "python"):
        assert source[name] in text
    assert f"torch {source['versions']['torch']}" in text
    assert f"are {pocket().config.eval_negatives + 1} a list" in text


def test_only_weights_of_simulated_data_have_a_licence_and_limits_fit_the_protocol():
    model, record = run("popularity")
    for name, licence in (("pocket", "apache-2.0"), ("tables", None), ("/somebodys/pocket", None)):
        text = model_card(of_data(record, name), model)
        assert ModelCard(text).data.license == licence
        assert ("**simulated**" in text) == bool(licence) != ("No licence" in text)
        assert "/somebodys" not in text, "no folder of this machine"
    protocol = {"twins": "visible", "test_history": "train+validation"}
    other = model_card(of_data(record, "tables", **protocol), model)
    assert "gives answers away" in other and "before the test events" in other
    assert "gives answers away" not in text and "training events only" in text
    spoken = model_card(of_data(record, "tables", categories_in_text=True), model)
    assert "the text answers them" in spoken and "the text answers them" not in text + other


def test_the_code_in_the_card_runs(tmp_path, monkeypatch):
    model, record = run("popularity")
    model.save_pretrained(tmp_path)
    code = model_card(record, model).split("```python\n")[1].split("```")[0]
    asked, names = [], {}

    def workspace(*args, **options):
        asked.append((args, options))
        return SimpleNamespace(dataset=pocket())

    monkeypatch.setattr(gensr_lib, "Workspace", workspace)
    exec(code.replace("path/to/this/folder", str(tmp_path)), names)
    assert asked == [(("tables", "smoke"), {"seed": 10})]
    assert len(names["ranker"].recommend(0, 3)) == 3


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ("leave-one-out", "One positive (the user's last event of the task) among\n99 items"),
        ("last days", "One positive (an event of the last days) among\n99 items"),
        ("given", "Test events, the items beside each and the ends of histories are those that the data give."),
    ],
)
def test_the_protocol_is_that_of_the_data(split, said):
    model, record = run("lightgcn")
    text = model_card(of_data(record, "tables", split=split), model)
    assert said in text and ("training events only" in text) == (split != "given")
