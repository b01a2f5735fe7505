"""What the systems of product search share: the query's vector, and texts that items account for.

Both are of HEM (Ai et al., SIGIR 2017) and were taken over by those after it. They have one table
of words, so that an item whose text says a word is near the queries that say it.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

from ..data.dataset import Dataset
from ..data.words import UNKNOWN_WORD, text_ids
from .layers import QueryEncoder, random_below
from .losses import mean_of_all, negative_sampling

LOG = logging.getLogger(__name__)


class ProductQuery(nn.Module):
    """q = tanh(W m + b) of the mean m of its words; tanh(b) without a word that training knows."""

    def __init__(self, n_words: int, width: int):
        super().__init__()
        self.words = QueryEncoder(n_words, width)
        self.linear = nn.Linear(width, width)

    def forward(self, words: Tensor) -> Tensor:
        """words (..., W), 0 for padding -> (..., d)."""
        # An unknown word would add a random vector that nothing ever trains.
        known = words.masked_fill(words == UNKNOWN_WORD, 0)
        return torch.tanh(self.linear(self.words(known)))


class WordLM(nn.Module):
    """A vector v says the words w of a text, by negative sampling, as in paragraph vectors.

    -log σ(e_w · v + b_w) - Σ log σ(-e_w' · v - b_w') over n drawn words w', where a word is drawn
    by its count in all texts to the power 3/4.

    Args:
        n_words: size of the vocabulary, padding included.
        texts: (I + 1, T) words of each item's text, as `item_texts_of` gives them.
        words: how many words of a text are said in a step.
        negatives: n.
    """

    def __init__(self, n_words: int, texts: Tensor, words: int = 5, negatives: int = 5):
        super().__init__()
        self.n_drawn = words
        self.negatives = negatives
        count = torch.bincount(texts.flatten(), minlength=n_words)
        count[0] = 0
        chance = (count.double() ** 0.75).cumsum(0)
        self.register_buffer("texts", texts)
        self.register_buffer("up_to", chance / chance[-1].clamp(min=1))  # (V,), the last one is 1
        self.bias = zero_table(n_words)

    def terms(self, table: nn.Embedding, items: Tensor, **vectors: Tensor) -> dict[str, Tensor]:
        """The loss of each of the vectors (B, d) by name; none if no item has a text.

        All say the same words, drawn from the texts of items (B,).

        Args:
            table: of words, e_w.
        """
        if not self.texts.shape[1]:
            return {}
        words = self.draw(items)
        return {name: self(x, words, table) for name, x in vectors.items()}

    def draw(self, items: Tensor) -> Tensor:
        """Random words of the texts of items (B,): (B, L), all 0 for an item without a text."""
        texts = self.texts[items]  # (B, T)
        length = (texts != 0).sum(dim=1, keepdim=True)  # (B, 1)
        return texts.gather(1, random_below(length.expand(-1, self.n_drawn))).long()

    def draw_negatives(self, words: Tensor) -> Tensor:
        """n words for each of words (B, L): (B, L, n)."""
        shape = (*words.shape, self.negatives)
        chance = torch.rand(shape, dtype=torch.double, device=words.device)
        return torch.searchsorted(self.up_to, chance, right=True)

    def forward(self, x: Tensor, words: Tensor, table: nn.Embedding) -> Tensor:
        """Mean loss of vectors x (B, d) that say words (B, L); padding has none."""
        real = words != 0
        asked = torch.cat([words.unsqueeze(-1), self.draw_negatives(words)], dim=-1)  # (B, L, 1+n)
        scores = torch.einsum("bd,blnd->bln", x, table(asked)) + self.bias(asked).squeeze(-1)
        return mean_of_all(negative_sampling(scores)[real])


def zero_table(n: int) -> nn.Embedding:
    """n biases (n, 1), all 0 at the start."""
    table = nn.Embedding(n, 1)
    nn.init.zeros_(table.weight)
    return table


def item_texts_of(dataset: Dataset, name: str) -> Tensor:
    """Words (I + 1, T) of each item's text for the model ``name``, no columns if none has a text.

    A warning in the log then says that it has no language model.
    """
    texts = torch.tensor(text_ids(dataset.item_text, dataset.words))
    if not texts.any():
        LOG.warning("%s: no item has a text; its loss has no language model.", name)
        return texts[:, :0]
    return texts
