"""Model cards are read again by huggingface_hub: their numbers must be those of the run's record."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard

from gensr_lib.evaluation import evaluate
from gensr_lib.model_card import model_card
from gensr_lib.models import available_models
from gensr_lib.provenance import code_hash, provenance
from tests.models.test_contract import make
from tests.worlds import pocket


@cache
def run(name: str):
    """A model and the record of its run, made of the library's own parts."""
    model = make(name).eval()
    tested = evaluate(model, pocket(), batch_size=20)
    record = {
        "hash": "0123456789abcdef", "model": {"width": 8}, "training": {"epochs": 3, "learning_rate": 0.002},
        "metrics": tested.metrics, "best_epoch": 2, "seconds": {"train": 61.4, "test": 1.0, "all": 63.0},
        "resumed_at": 0, "provenance": provenance(pocket(), 7, code_hash()),
    }  # fmt: skip
    return model, record


def changed(record: dict, **changes) -> dict:
    """The record with other fields in its provenance; fields of the data's configuration go there."""
    source = record["provenance"]
    of_data = {k: v for k, v in changes.items() if k in source["dataset_config"]}
    own = {k: v for k, v in changes.items() if k not in of_data}
    return {**record, "provenance": {**source, **own, "dataset_config": {**source["dataset_config"], **of_data}}}


@pytest.mark.parametrize("name", available_models())
def test_the_hub_reads_the_runs_own_numbers(name):
    model, record = run(name)
    data = ModelCard(model_card(record, model)).data
    found = {(r.task_type, r.metric_name): r.metric_value for r in data.eval_results}
    tasks, metrics = {"rec": "recommendation", "src": "search"}, {"R": "recall", "N": "ndcg"}
    assert found == {
        (tasks[task], metrics[metric[0]] + metric[1:]): value
        for task, values in record["metrics"].items()
        for metric, value in values.items()
    }
    assert len(found) == 4 * len(model.tasks)
    assert {(r.dataset_name, r.dataset_revision, r.dataset_split) for r in data.eval_results} == {
        ("tables", pocket().hash, "test")
    }


def test_the_header_is_what_the_hub_wants():
    model, record = run("gensr")
    card = ModelCard(model_card(record, model))
    header = yaml.safe_load(model_card(record, model).split("---\n")[1])
    assert card.data.license == "apache-2.0" and card.data.library_name == "gensr-lib"
    assert card.data.model_name == "gensr" == header["model-index"][0]["name"]
    assert header["tags"] == ["gensr", "recommendation", "search"] and header["metrics"] == ["recall", "ndcg"]
    assert "base_model" not in header, "the pocket backbone is nobody's model"


def test_a_backbone_of_the_hub_is_the_base_model():
    model = make("gensr")
    for name, expected in (("google/flan-t5-base", "google/flan-t5-base"), ("/models/flan", None), ("", None)):
        model.lm.name_or_path = name
        assert ModelCard(model_card(run("gensr")[1], model)).data.base_model == expected


def test_the_text_has_the_table_the_options_and_where_it_comes_from():
    model, record = run("gensr")
    text = ModelCard(model_card(record, model)).text
    row = [f"{record['metrics']['src'][metric]:.4f}" for metric in ("R@5", "R@10", "N@5", "N@10")]
    assert f"| search | {' | '.join(row)} |" in text and "| task | R@5 | R@10 | N@5 | N@10 |" in text
    options = json.loads(text.split("```json\n")[1].split("```")[0])
    assert options == {"model": model.config.model_dump(mode="json"), "training": record["training"]}
    source = record["provenance"]
    assert "seed 7" in text and "best epoch 2" in text and "61 seconds" in text
    assert f"{sum(p.numel() for p in model.parameters()):,} parameters" in text
    assert source["dataset_hash"] in text and source["code_hash"] in text and source["versions"]["torch"] in text
    assert json.loads(text.split("```json\n")[2].split("```")[0]) == source["dataset_config"]


def test_the_limits_fit_the_data():
    model, record = run("popularity")
    plain = model_card(record, model)
    assert "simulated" not in plain and "twins: visible" not in plain and "training events only" in plain
    assert f"{pocket().config.eval_negatives + 1} a list" in plain
    simulated = model_card(changed(record, dataset="pocket"), model)
    assert simulated.count("are **simulated**") == 2
    other = model_card(changed(record, twins="visible", test_history="train+validation"), model)
    assert "twins: visible" in other and "events before the test events only" in other


def test_a_model_of_one_task_claims_no_other():
    model, record = run("lightgcn")
    text = model_card(record, model)
    assert "For research on recommendation:" in text and "| search |" not in text


def test_a_loaded_model_and_a_record_read_from_disk_give_the_same_card(tmp_path):
    model, record = run("gensr")
    model.save_pretrained(tmp_path)
    loaded = available_models()["gensr"].from_pretrained(tmp_path)
    assert model_card(json.loads(json.dumps(record)), loaded) == model_card(record, model)


def test_numpys_numbers_are_plain_numbers_in_the_header():
    model, record = run("popularity")
    metrics = {
        task: {name: np.float64(value) for name, value in row.items()} for task, row in record["metrics"].items()
    }
    assert model_card({**record, "metrics": metrics}, model) == model_card(record, model)


def test_the_code_in_the_card_runs(tmp_path):
    model, record = run("popularity")
    code = model_card(record, model).split("```python\n")[1].split("```")[0]
    model.save_pretrained(tmp_path)
    names = {}
    lines = [line for line in code.splitlines() if not line.startswith("from gensr_lib")]
    exec("from gensr_lib import available_models\nfrom gensr_lib.ranker import Ranker", names)
    names["load_dataset"] = lambda name: pocket()
    exec("\n".join(lines).replace("path/to/this/folder", str(tmp_path)), names)
    assert len(names["ranker"].recommend(0, 3)) == 3
