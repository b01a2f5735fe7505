"""A perceptron in the language model's place: the control that asks what T5 itself brings.

It reads the slots that T5 reads, as products of user and candidate, and gives P("Yes").
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .prompt import SLOTS, Prompt

UNITS = 128  # of the one hidden layer


class MLPReader(nn.Module):
    """One hidden layer over [u * i, u, i] of each view and, of the query q, [q * i, q].

    q is the mean embedding of the query's tokens, its end token included: in recommendation, where
    there is no query, it is that token alone and tells the tasks apart. It multiplies the last slot
    of the candidate: the semantic one, if that view is on.

    Args:
        width: d' of slots and query.
        views: how many views fill the prompt, 1 or 2.
    """

    def __init__(self, width: int, views: int):
        super().__init__()
        self.hidden = nn.Linear((3 * views + 2) * width, UNITS)
        self.logit = nn.Linear(UNITS, 1)

    def forward(self, slots: Mapping[str, Tensor], query: Tensor) -> tuple[Tensor, Tensor]:
        """slots (B, C, d') by name and query (B or 1, 1, d') to the features and hidden units.

        Returns:
            (B, C, (3 * views + 2) * d') and (B, C, `UNITS`).
        """
        parts = []
        users = [name for name in SLOTS if name in slots and name.startswith("user_")]
        for name in users:
            user = slots[name]
            item = slots[name.replace("user_", "item_")]
            parts += [user * item, user, item]
        parts += [query * item, query.expand_as(item)]
        features = torch.cat(parts, dim=-1)
        return features, self.hidden(features).relu()

    def log_probs(self, hidden: Tensor) -> Tensor:
        """log P of ("Yes", "No"), (B, C, 2) in float32, from hidden units (B, C, `UNITS`)."""
        logit = self.logit(hidden).float()
        return torch.cat([F.logsigmoid(logit), F.logsigmoid(-logit)], dim=-1)


def query_vector(prompt: Prompt) -> Tensor:
    """Mean embedding of the query's tokens, the end token included: (B or 1, 1, d')."""
    tokens = prompt.shared[:, -prompt.query :]
    weight = prompt.mask[:, -prompt.query :].unsqueeze(-1).to(tokens.dtype)
    return (tokens * weight).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True)
