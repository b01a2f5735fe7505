"""What a study takes of a trained model beside its ranks on the test rows.

A measure is a function of a model and its data set whose values, by name, are numbers or texts: a
study keeps these, and no model. A declaration in ``config/studies`` names it as
``package.module:function``, so that yours may stand anywhere.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from ..data.batches import Batch
from ..data.dataset import Dataset
from ..data.schema import BEHAVIORS, REC, SRC
from ..data.split import TEST
from ..models.base import RankingModel
from ..models.language_model import readable_texts
from ..training.evaluation import evaluate
from ..training.protocols import metrics_by_rule
from .identifiers import code_information, item_facts
from .inputs import of_row_before, reads
from .order import reordered

Values = dict[str, float | str]
ASKED = 32  # rows of a task that `inputs` exchanges inputs of
NAMED = 6  # items whose names are kept
DECODED = 4  # rows of 8 candidates whose names are decoded


def other_prompt(model: RankingModel, dataset: Dataset) -> Values:
    """Test metrics where each task is asked in the words of the other one, as ``rec N@10``.

    History, candidates and query stay the task's own; only the prompt's text changes.
    """
    found = evaluate(model, dataset, change=_of_other_task).both
    return {f"{task} {name}": value for task, of in found.items() for name, value in of.items()}


def _of_other_task(batch: Batch) -> Batch:
    rec, src = BEHAVIORS
    return replace(batch, task=rec if batch.task == src else src)


def inputs(model: RankingModel, dataset: Dataset) -> Values:
    """Whether the scores depend on each input (`inputs.reads`): ``rec query`` is 1 or 0."""
    found = {}
    for task in _tasks(model, dataset):
        asked = dataset.batch(TEST, task, np.arange(min(ASKED, len(dataset.rows[TEST][task]))))
        moved = reads(model, asked, dataset.n_items, dataset.n_words - 1)
        found |= {f"{task} {what}": float(does) for what, does in moved.items()}
    return found


def personal_search(model: RankingModel, dataset: Dataset) -> Values:
    """N@10 in search with another user's number and history, and with another user's query."""
    found = {}
    for parts in (("user", "history"), ("query",)) if SRC in _tasks(model, dataset) else ():
        asked = evaluate(model, dataset, change=partial(of_row_before, parts=parts))
        found[f"another's {' and '.join(parts)}"] = asked.metrics[SRC]["N@10"]
    return found


def click_order(model: RankingModel, dataset: Dataset) -> Values:
    """N@10 in recommendation with the clicks of each history ``shuffled``, and ``backwards``."""
    found = {}
    for how in ("shuffled", "backwards") if REC in _tasks(model, dataset) else ():
        draws = torch.Generator().manual_seed(0)
        asked = evaluate(model, dataset, change=partial(reordered, order=how, generator=draws))
        found[how] = asked.metrics[REC]["N@10"]
    return found


def other_rules(model: RankingModel, dataset: Dataset) -> Values:
    """N@10 by other rules (`training.protocols`): ``rec positive first`` and ``rec all``."""
    rules = {"positive first": {"ties": "positive first"}, "all": {"candidates": "all"}}
    found = {}
    for name, rule in rules.items():
        by_task = metrics_by_rule(model, dataset, **rule)
        found |= {f"{task} {name}": values["N@10"] for task, values in by_task.items()}
    return found


def codes(model: RankingModel, dataset: Dataset) -> Values:
    """What GenSAR's codes tell of an item (`identifiers`): ``semantic, first two, topic``.

    Where both identifiers are one and the same it is called ``one``. Empty where no law is known.
    """
    if dataset.truth is None:
        return {}
    facts = item_facts(dataset)
    kinds = {"semantic": model.semantic_ids, "collaborative": model.collaborative_ids}
    if torch.equal(*kinds.values()):
        kinds = {"one": model.semantic_ids}
    found = {}
    for kind, tokens in kinds.items():
        of_item = tokens[1:].numpy()
        for which, part in {"first two": of_item[:, :2], "third": of_item[:, 2:3]}.items():
            told = code_information(part, facts)
            found |= {f"{kind}, {which}, {fact}": value for fact, value in told.items()}
    return found


def names(model: RankingModel, dataset: Dataset) -> Values:
    """The names that IDGenRec gives the first items, and how far decoding is from their likelihood.

    ``item 1``, ``item 2``, … are names; ``kept`` is the share of items that have the name they
    began with; ``distinct`` the number of names; ``decoding`` the largest difference between beam
    search over all candidates of a few rows and one pass over their names.
    """
    texts, _ = readable_texts(dataset.item_text, model.name)
    first = model.first_ids(texts, model.config, model.tokenizer)
    began = model.tokenizer.batch_decode(first, skip_special_tokens=True)
    now = model.textual_ids[1:]
    found = {f"item {n}": model.textual_ids[n] for n in range(1, min(NAMED, dataset.n_items) + 1)}
    batch = dataset.batch(TEST, REC, np.arange(min(DECODED, len(dataset.rows[TEST][REC]))))
    few = batch.with_candidates(batch.cand[:, :8])
    _, decoded = model.decode(few)
    with torch.no_grad():
        forced = model.score(few).sort(dim=1, descending=True).values
    return found | {
        "kept": float(np.mean([a == b for a, b in zip(began, now, strict=True)])),
        "distinct": float(len(set(now))),
        "decoding": float((decoded.cpu() - forced.cpu()).abs().max()),
    }


def _tasks(model: RankingModel, dataset: Dataset) -> list[str]:
    return [t for t in BEHAVIORS if t in model.tasks and len(dataset.rows[TEST][t])]
