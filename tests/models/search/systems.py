"""The systems of product search, made small, and batches of searches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from gensr_lib.data.batches import Batch
from gensr_lib.models import RankingModel, available_models
from tests.models.joint.unisar_cases import interleaved
from tests.models.lessons import N_ITEMS, N_WORDS
from tests.worlds import pocket

SYSTEMS = ("qem", "hem", "aem", "zam", "tem", "copps")
SMALL = {"width": 8}


def system(name: str, **options) -> RankingModel:
    """A narrow one in eval mode, with weights large enough to be told apart."""
    cls = available_models()[name]
    torch.manual_seed(0)
    model = cls.from_dataset(pocket(), cls.Config(**{**SMALL, **options})).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.4 * torch.randn_like(parameter)
    model.items.weight.data[0] = 0
    return model


def pupil(name: str, **options) -> RankingModel:
    """A fresh one for the lessons, in which items have no text."""
    cls = available_models()[name]
    torch.manual_seed(0)
    sizes = {"n_words": N_WORDS, "texts": torch.zeros(N_ITEMS + 1, 0, dtype=torch.int32)}
    if name == "hem":
        sizes["n_users"] = 5
    if name == "copps":
        nothing = torch.zeros(2, 1).long()
        sizes |= {"by_item": nothing, "by_query": nothing}
    return cls(cls.Config(**{"width": 16, **options}), **sizes)


def searches(rows: int = 6, candidates: int = 5) -> Batch:
    """Rows of the test set."""
    made = pocket().batch("test", "src", np.arange(rows))
    return made.with_candidates(made.cand[:, :candidates])


def some() -> Batch:
    """Searches whose histories are of every shape; one session has a query without a word, one user no session."""
    made = interleaved()
    width = pocket().query_word_ids.shape[1]
    words = torch.nn.functional.pad(made.ses_words, (0, max(width - made.ses_words.shape[2], 0)))
    words[:, 0] = 0
    clicks = made.ses_clicks.clone()
    words[3], clicks[3] = 0, 0
    return replace(made, ses_words=words, ses_clicks=clicks)


def clicks_of(made: Batch, row: int) -> list[int]:
    """What was clicked after searches, in order of time, by a loop."""
    found, r = [], made.rec_items.shape[1]
    for step in made.merge_index[row].tolist():
        if step >= r:
            found += [click for click in made.ses_clicks[row, step - r].tolist() if click]
    return found


def query_vector(model: RankingModel, words: torch.Tensor) -> torch.Tensor:
    """tanh(W m + b) of the words of one query (W,), word by word; 1 is the unknown one."""
    known = [model.query.words.table.weight[w] for w in words.tolist() if w > 1]
    mean = sum(known) / len(known) if known else torch.zeros(model.config.width)
    return torch.tanh(model.query.linear.weight @ mean + model.query.linear.bias)
