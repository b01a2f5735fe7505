"""A trained GenSR as two files that a page can ask: ``model.json`` and ``weights.bin``.

``weights.bin`` holds float32, little endian, one tensor after the other; ``model.json`` says which,
and all else that an answer needs: options, the prompts, the tokenizer, the items with the tokens of
their texts, and some users. Not half precision: with it the default run's scores are off by up to
0.018, and with float32 by 0.00001. `book/widgets/ask` reads both.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.dataset import Dataset
from ..data.schema import BEHAVIORS, CATEGORIES, KEPT, QUERY, REC, SRC
from ..data.split import TEST
from ..errors import ConfigError
from ..experiments.store import Run
from ..files import write_atomically
from ..models.gensr.prompt import QUERY_TOKENS, prompt_tokens
from .events import event_batch
from .ranker import Ranker
from .spelling import spelling
from .weights import page_weights, refuse_model

FORMAT = 1  # a page refuses files of another one
MODEL, WEIGHTS = "model.json", "weights.bin"
MAX_BYTES = 2_000_000  # of both
USERS = 36  # to choose from


def export_page(
    run: Run, dataset: Dataset, folder: str | Path, users: Sequence[str] | None = None
) -> dict[str, int]:
    """Write the two files; equal runs give equal bytes.

    Args:
        dataset: of the run's training, as for `Ranker.from_run`.
        users: ids to choose from; None: the first `USERS` who have a test event of each task.

    Returns:
        The bytes of each file by name.

    Raises:
        ConfigError: a page cannot compute this model, or the files would be larger than
            `MAX_BYTES`; nothing is written then.
    """
    refuse_model(run.model)
    ranker = Ranker.from_run(run, dataset)
    index, weights = _packed(run.model)
    known = tested_users(dataset, USERS) if users is None else users
    content = {
        "format": FORMAT,
        "provenance": _provenance(run),
        **_model(run.model, dataset),
        "items": _items(run.model, dataset),
        **_users(ranker, known),
        "weights": {"bytes": len(weights), "crc32": zlib.crc32(weights), "tensors": index},
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    if len(text) + len(weights) > MAX_BYTES:
        size = (len(text) + len(weights)) / 1e6
        raise ConfigError(
            f"{folder}: the page would load {size:.1f} MB, more than {MAX_BYTES / 1e6:g}; the "
            f"default profile's catalogue ({dataset.n_items} items here) and widths fit."
        )
    files = {MODEL: text, WEIGHTS: weights}
    for name, data in files.items():
        write_atomically(Path(folder) / name, lambda part, data=data: part.write_bytes(data))
    return {name: len(data) for name, data in files.items()}


def tested_users(dataset: Dataset, n: int) -> list[str]:
    """The first ``n`` users with a test event of each task; of any task if none has both."""
    tested = [set(dataset.user[rows.event]) for rows in dataset.rows[TEST].values()]
    both = set.intersection(*tested) or set.union(*tested)
    return dataset.user_ids[sorted(both)[:n]].tolist()


def _packed(model) -> tuple[dict[str, list[int]], bytes]:
    """Where each tensor begins, in numbers, with its shape; and all of them as bytes."""
    index = {}
    parts = []
    at = 0
    for name, tensor in page_weights(model).items():
        index[name] = [at, *tensor.shape]
        parts.append(tensor.numpy().astype("<f4").tobytes())
        at += tensor.numel()
    return index, b"".join(parts)


def _provenance(run: Run) -> dict[str, Any]:
    """Which run it was; without the time of day, which the bytes must not depend on."""
    record = run.record
    made = record["provenance"]
    names = {name: made[name] for name in ("dataset", "dataset_hash", "seed", "git_commit")}
    return {**names, "profile": record["workspace"]["profile_name"], "run": record["hash"]}


def _model(model, dataset: Dataset) -> dict[str, Any]:
    """Options, prompts and tokenizer."""
    config = model.config
    reader = model.lm.config
    empty = event_batch(dataset, REC, [])
    views = {"cf": config.cf_view, "semantic": config.semantic_view}
    return {
        "views": [view for view, is_on in views.items() if is_on],
        "view": {"layers": config.layers, "heads": config.heads, "epsilon": 1e-5},
        "history": {
            "items": config.history,
            "of": list(BEHAVIORS) if config.history_of == "both" else [config.history_of],
            REC: empty.rec_items.shape[1],
            SRC: empty.ses_time.shape[1],
            "clicks": empty.ses_clicks.shape[2],
        },
        "reader": {
            "layers": reader.num_layers,
            "heads": reader.num_heads,
            "epsilon": reader.layer_norm_epsilon,
            "buckets": reader.relative_attention_num_buckets,
            "farthest": reader.relative_attention_max_distance,
        },
        "prompts": _prompts(model),
        "query": {"characters": KEPT[QUERY], "tokens": QUERY_TOKENS},
        "tokenizer": spelling(model.tokenizer),
    }


def _prompts(model) -> dict[str, list[int | str]]:
    """The tokens of each task that the model serves, with a slot's name at its place."""
    slot_of, _ = prompt_tokens(model.tokenizer, model.config.task_prompts)
    texts = {task: model.prompt_ids[task] for task in BEHAVIORS if task in model.tasks}
    return {task: [slot_of.get(token, token) for token in ids] for task, ids in texts.items()}


def _items(model, dataset: Dataset) -> dict[str, list]:
    """Ids, titles, categories by number, and tokens; the item of position i stands at i - 1."""
    names, number = np.unique(dataset.items[CATEGORIES].to_numpy(str), return_inverse=True)
    pad = model.tokenizer.pad_token_id
    tokens = [[token for token in row if token != pad] for row in model.item_tokens[1:].tolist()]
    return {
        "ids": dataset.item_ids[1:].tolist(),
        "titles": dataset.item_title[1:],
        "category": number.tolist(),
        "categories": names.tolist(),
        "tokens": tokens if model.config.semantic_view else [],
    }


def _users(ranker: Ranker, users: Sequence[str]) -> dict[str, list]:
    """Each with events ``[item, query]``, the query by number and -1 for a recommendation, and the
    query of the held-out search, '' without one."""
    data = ranker.dataset
    test = data.rows[TEST][SRC].event
    held_out = dict(
        zip(data.user_ids[data.user[test]], data.query_texts[data.query[test]], strict=True)
    )
    queries: dict[str, int] = {}
    found = []
    for user in users:
        events = [
            [e.item, queries.setdefault(e.query, len(queries)) if e.behavior == SRC else -1]
            for e in ranker.events(user)
        ]
        found.append({"id": user, "query": held_out.get(user, ""), "events": events})
    return {"users": found, "queries": list(queries)}
