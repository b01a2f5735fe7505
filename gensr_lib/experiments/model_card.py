"""Model cards: the ``README.md`` beside a run's weights, in the Hugging Face format, with the run's own numbers.

The YAML header is made by `huggingface_hub` (``model-index`` from its `EvalResult`), so that the hub and
other tools read it; the text below it says what was trained on what, and what the numbers do not show.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from ..data.schema import TASK_LABELS
from ..models.base import RankingModel

LICENCE = "apache-2.0"  # of weights that only simulated data went into
METRIC_NAMES = {"R": "recall", "N": "ndcg"}
PAPER = "Zhao et al. (2025), *Unifying Search and Recommendation: A Generative Paradigm Inspired by Information Theory*"
PROTOCOL = (
    "One positive (the user's last event of the task) among {negatives} items that the user never touched, drawn once "
    "and stored; a history holds {history}. Metrics are means over users; a tie counts half."
)
HISTORIES = {"train": "training events only", "train+validation": "events before the test events only"}
TWINS = "Searches made from purchases are visible in the histories (`twins: visible`), which gives answers away."
SIMULATED = (
    "The data are **simulated**: users, items, queries and clicks come from a written-down click law. The numbers "
    "compare systems within this simulation and say nothing about any real platform or real people."
)
NO_LICENCE = "No licence is named: what these weights may be used for depends on the terms of the data."
LIMITS = """\
- The candidates are {candidates} a list, not a whole catalogue: the metrics are higher than those of full ranking.
- It is one run with one seed; another seed gives other numbers.
- Users and items that the training data do not hold cannot be ranked well, if at all.
- No use in production was intended or tested, nor were fairness, privacy or safety examined."""


def model_card(record: Mapping[str, Any], model: RankingModel) -> str:
    """The card of a finished run.

    Args:
        record: `Run.record`, what ``metrics.json`` holds: ``metrics``, ``training``, ``seconds``, ``provenance``, …;
            ``workspace`` holds the arguments of the `Workspace` that made the run, where one did.
        model: the trained model; its class, options and size are named.

    Returns:
        YAML header and Markdown.
    """
    sections = {
        "Results": _results(record),
        "Training": _training(record, model),
        "Data": _data(record),
        "Use": _use(record, model),
        "Limits": _limits(record),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    about = inspect.getdoc(type(model)).splitlines()[0]
    intro = f"# {model.name}\n\nTrained by `gensr_lib`, which re-implements {PAPER}, and systems beside it.\n\n{about}"
    return f"---\n{card_data(record, model).to_yaml()}\n---\n\n{intro}\n\n{body}\n"


def card_data(record: Mapping[str, Any], model: RankingModel) -> ModelCardData:
    """What machines read of the card: licence, tags, and each test metric with the data set's hash as its revision."""
    tasks = [TASK_LABELS[task] for task in record["metrics"]]
    return ModelCardData(
        model_name=model.name,
        library_name="gensr-lib",
        license=LICENCE if _is_simulated(record) else None,
        tags=[model.name, *tasks],
        metrics=list(METRIC_NAMES.values()),
        base_model=_base_model(model),
        eval_results=[
            _eval_result(record["provenance"], task, metric, value)
            for task, values in record["metrics"].items()
            for metric, value in values.items()
        ],
    )


def _eval_result(provenance: Mapping[str, Any], task: str, metric: str, value: float) -> EvalResult:
    kind, _, k = metric.partition("@")
    return EvalResult(
        task_type=TASK_LABELS[task], task_name=TASK_LABELS[task], dataset_type=provenance["dataset"],
        dataset_name=provenance["dataset"], dataset_split="test", dataset_revision=provenance["dataset_hash"],
        metric_type=METRIC_NAMES[kind], metric_name=f"{METRIC_NAMES[kind]}@{k}", metric_value=float(value),
        metric_args={"k": int(k)},
    )  # fmt: skip


def _base_model(model: RankingModel) -> str | None:
    """The language model's name on the hub; None where there is none, or it lies in a local folder."""
    name = str(getattr(getattr(model, "lm", None), "name_or_path", ""))
    return name if re.fullmatch(r"\w[\w.-]*/[\w.-]+", name) and not Path(name).exists() else None


def _results(record: Mapping[str, Any]) -> str:
    names = list(next(iter(record["metrics"].values())))
    lines = [f"| task | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    for task, values in record["metrics"].items():
        lines.append(f"| {TASK_LABELS[task]} | {' | '.join(f'{values[name]:.4f}' for name in names)} |")
    config = record["provenance"]["dataset_config"]
    protocol = PROTOCOL.format(negatives=config["eval_negatives"], history=HISTORIES[config["test_history"]])
    return "\n".join([*lines, "", f"Test set; R is recall, N is NDCG. {protocol}"])


def _training(record: Mapping[str, Any], model: RankingModel) -> str:
    source, seconds = record["provenance"], record["seconds"]
    n = sum(parameter.numel() for parameter in model.parameters())
    facts = [
        f"seed {source['seed']}, {n:,} parameters, best epoch {record['best_epoch']}",
        f"{seconds['train']:.0f} seconds of training on {source['device']}",
        f"code {source['code_hash']}, commit {source['git_commit'] or 'unknown'}, run {record['hash']}",
        f"Python {source['python']}, {', '.join(f'{p} {v}' for p, v in source['versions'].items())}",
    ]
    options = {"model": model.config.model_dump(mode="json"), "training": record["training"]}
    return "\n".join([*(f"- {fact}" for fact in facts), "", "```json", json.dumps(options, indent=2), "```"])


def _data(record: Mapping[str, Any]) -> str:
    source, about = record["provenance"], SIMULATED if _is_simulated(record) else NO_LICENCE
    options = json.dumps(source["dataset_config"], indent=2)
    what = f"`{source['dataset']}`, hash `{source['dataset_hash']}` over events, texts, split and stored negatives."
    return "\n\n".join([what, about, f"```json\n{options}\n```"])


def _use(record: Mapping[str, Any], model: RankingModel) -> str:
    tasks = " and ".join(TASK_LABELS[task] for task in sorted(model.tasks))
    what = f"For research on {tasks}: reading the book, comparing systems under one protocol, changing the code."
    lines = [
        "from gensr_lib import Ranker, Workspace, available_models",
        "",
        *_dataset_lines(record),
        f'model = available_models()["{model.name}"].from_pretrained("path/to/this/folder")',
        f'ranker = Ranker(model, dataset, data_hash="{record["provenance"]["dataset_hash"]}")',
    ]
    return "\n".join([what, "", "```python", *lines, "```"])


def _dataset_lines(record: Mapping[str, Any]) -> list[str]:
    """The code that makes the data set; of a folder's path only its name is told."""
    name, made = record["provenance"]["dataset"], record.get("workspace")
    if made is None:
        return [f"# dataset: the data set {name} with the options above, see gensr_lib.load_dataset"]
    name = name if str(made["dataset_name"]) == name else f"path/to/{name}"
    return [f'dataset = Workspace("{name}", "{made["profile_name"]}", seed={made["seed"]}).dataset']


def _limits(record: Mapping[str, Any]) -> str:
    config = record["provenance"]["dataset_config"]
    points = [LIMITS.format(candidates=config["eval_negatives"] + 1)]
    points += [f"- {TWINS}"] * (config["twins"] == "visible") + [f"- {SIMULATED}"] * _is_simulated(record)
    return "\n".join(points)


def _is_simulated(record: Mapping[str, Any]) -> bool:
    """Whether the data are the pocket data, and not somebody's tables in a folder of that name."""
    made = record.get("workspace", {"dataset_name": record["provenance"]["dataset"]})
    return str(made["dataset_name"]) == "pocket"
