"""Model cards: the ``README.md`` beside a run's weights, in the format of the Hugging Face hub.

The YAML header is made by `huggingface_hub`, so that the hub reads the run's numbers from it;
the text is ``model_card.md`` beside this file.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..data.schema import TASK_LABELS
from ..models.base import RankingModel

LICENCE = "apache-2.0"  # of weights that only simulated data went into
METRIC_NAMES = {"R": "recall", "N": "ndcg"}
TEMPLATE = Path(__file__).with_suffix(".md")


def model_card(record: Mapping[str, Any], model: RankingModel) -> str:
    """The card of a finished run: YAML header and Markdown.

    Args:
        record: `Run.record`, what ``metrics.json`` holds.
        model: the trained model; its class and size are named.
    """
    source = record["provenance"]
    workspace = record["workspace"]
    name = str(workspace["dataset_name"])
    simulated = name in (
        "pocket",
        "pocket-plain",
    )  # and not somebody's tables in a folder of that name
    tasks = [TASK_LABELS[task] for task in record["metrics"]]
    header = ModelCardData(
        model_name=model.name,
        library_name="gensr-lib",
        license=LICENCE if simulated else None,
        tags=[model.name, *tasks],
        metrics=list(METRIC_NAMES.values()),
        base_model=_base_model(model),
        eval_results=_eval_results(record),
    )
    options = {"model": record["options"], "training": record["training"]}
    said = {
        "about": inspect.getdoc(type(model)).splitlines()[0],
        "parameters": f"{sum(parameter.numel() for parameter in model.parameters()):,}",
        "dataset": name if name == source["dataset"] else f"path/to/{source['dataset']}",
        "options": json.dumps(options, indent=2),
        "data_options": json.dumps(source["dataset_config"], indent=2),
    }
    look = {"name": model.name, "tasks": tasks, "labels": TASK_LABELS, "simulated": simulated}
    look |= {"record": record, "source": source, "protocol": source["dataset_config"]}
    return str(ModelCard.from_template(header, str(TEMPLATE), **said, **look))


def _eval_results(record: Mapping[str, Any]) -> list[EvalResult]:
    """Each test metric, with the hash of the data as their revision."""
    source = record["provenance"]
    data = {"dataset_type": source["dataset"], "dataset_name": source["dataset"]}
    data |= {"dataset_split": "test", "dataset_revision": source["dataset_hash"]}
    found = []
    for task, values in record["metrics"].items():
        label = {"task_type": TASK_LABELS[task], "task_name": TASK_LABELS[task]}
        for metric, value in values.items():
            kind, _, k = metric.partition("@")
            names = {"metric_type": METRIC_NAMES[kind], "metric_name": f"{METRIC_NAMES[kind]}@{k}"}
            value = {"metric_value": float(value), "metric_args": {"k": int(k)}}
            found.append(EvalResult(**label, **data, **names, **value))
    return found


def _base_model(model: RankingModel) -> str | None:
    """The language model's name on the hub; None where there is none, or it is a local folder."""
    name = str(getattr(getattr(model, "lm", None), "name_or_path", ""))
    on_hub = re.fullmatch(r"\w[\w.-]*/[\w.-]+", name) and not Path(name).exists()
    return name if on_hub else None
