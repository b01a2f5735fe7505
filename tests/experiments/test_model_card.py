"""Model cards are read again by huggingface_hub: their numbers must be those of the run's record."""

from __future__ import annotations

import json
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard

import gensr_lib
from gensr_lib.config import DataConfig
from gensr_lib.data.dataset import Dataset
from gensr_lib.data.pocket.world import PocketConfig, simulate
from gensr_lib.errors import ConfigError
from gensr_lib.experiments.model_card import model_card
from gensr_lib.experiments.provenance import provenance
from gensr_lib.models import available_models
from gensr_lib.training.evaluation import evaluate
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
        "resumed_at": 0, "provenance": provenance(pocket(), 7),
    }  # fmt: skip
    return model, record


def made_by(dataset_name: str) -> dict:
    """The `Workspace` of a record."""
    return {"dataset_name": dataset_name, "profile_name": "smoke", "seed": 10}


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
    assert all(r.metric_name == f"{r.metric_type}@{r.metric_args['k']}" for r in data.eval_results)
    assert {(r.dataset_name, r.dataset_revision, r.dataset_split) for r in data.eval_results} == {
        ("tables", pocket().hash, "test")
    }


def test_the_header_is_what_the_hub_wants():
    model, record = run("gensr")
    card = ModelCard(model_card(record, model))
    header = yaml.safe_load(model_card(record, model).split("---\n")[1])
    assert card.data.library_name == "gensr-lib"
    assert card.data.model_name == "gensr" == header["model-index"][0]["name"]
    assert header["tags"] == ["gensr", "recommendation", "search"] and header["metrics"] == ["recall", "ndcg"]
    assert "base_model" not in header, "the pocket backbone is nobody's model"


def test_a_backbone_of_the_hub_is_the_base_model(tmp_path, monkeypatch):
    model = make("gensr")
    monkeypatch.chdir(tmp_path)
    for name, expected in (("google/flan-t5-base", "google/flan-t5-base"), ("/models/flan", None), ("", None)):
        model.lm.name_or_path = name
        assert ModelCard(model_card(run("gensr")[1], model)).data.base_model == expected
    (tmp_path / "mine" / "flan").mkdir(parents=True)
    model.lm.name_or_path = "mine/flan"  # could be of the hub, and is a folder
    assert ModelCard(model_card(run("gensr")[1], model)).data.base_model is None


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


def test_only_weights_of_simulated_data_come_with_a_licence():
    model, record = run("popularity")
    for name, workspace, simulated in (
        ("pocket", {}, True), ("tables", {}, False),
        ("pocket", {"workspace": made_by("pocket")}, True),
        ("pocket", {"workspace": made_by("/somebody/elses/pocket")}, False),
    ):  # fmt: skip
        text = model_card({**changed(record, dataset=name), **workspace}, model)
        assert ModelCard(text).data.license == ("apache-2.0" if simulated else None)
        assert ("No licence is named" in text) == ("license:" not in text) == ("simulated" not in text) != simulated


def test_a_run_outside_a_checkout_has_no_known_commit():
    model, record = run("popularity")
    for commit, shown in ((None, "commit unknown,"), ("abc123", "commit abc123,")):
        assert shown in model_card(changed(record, git_commit=commit), model)


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


def code_of(record: dict, model) -> str:
    return model_card(record, model).split("```python\n")[1].split("```")[0]


def test_the_code_in_the_card_runs_on_the_data_of_the_training_only(tmp_path, monkeypatch):
    model, record = run("popularity")
    record, asked = {**record, "workspace": made_by("tables")}, []
    code, names = code_of(record, model).replace("path/to/this/folder", str(tmp_path)), {}
    model.save_pretrained(tmp_path)

    def workspace(*args, **options):
        asked.append((args, options))
        return SimpleNamespace(dataset=pocket())

    monkeypatch.setattr(gensr_lib, "Workspace", workspace)
    exec(code, names)
    assert len(names["ranker"].recommend(0, 3)) == 3 and asked == [(("tables", "smoke"), {"seed": 10})]
    with pytest.raises(ConfigError, match=f"has hash = {pocket().hash}, the data set 'tables' has"):
        exec(code.replace("= Workspace", "= other"), {"other": lambda *args, **options: other_data()})


def other_data() -> SimpleNamespace:
    """Data of the same size as those of `run`: another protocol."""
    tables = simulate(PocketConfig(n_users=60, n_items=220, n_events=2000), 0)
    return SimpleNamespace(dataset=Dataset.from_tables(tables, DataConfig(min_interactions=2)))


def test_the_code_in_the_card_tells_no_folder_of_this_machine():
    model, record = run("popularity")
    code = code_of({**record, "workspace": made_by("/home/ann/my/tables")}, model)
    assert 'Workspace("path/to/tables", "smoke", seed=10)' in code and "ann" not in code
    assert "# dataset: the data set tables with the options above" in code_of(record, model), "no workspace made it"
