"""Codes of items from two views of them, their texts and their clicks, as GenSAR writes them.

Shapes: I items, M codes of an identifier, V views.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor

from .quantiser import QuantiserConfig, identifiers


def text_vectors(texts: Sequence[str], width: int) -> Tensor:
    """TF-IDF of the words of texts, cut to the first singular vectors: (n, width) or narrower."""
    words = TfidfVectorizer(token_pattern=r"\w+|[^\w\s]", sublinear_tf=True)
    weights = words.fit_transform(texts)
    if weights.shape[1] == 1:  # one word in all texts: its weights are the vectors
        return torch.from_numpy(weights.toarray()).float()
    svd = TruncatedSVD(min(width, *weights.shape), random_state=0)
    return torch.from_numpy(svd.fit_transform(weights)).float()


def coded(vectors: Sequence[Tensor], config: QuantiserConfig, kind: str) -> Tensor:
    """The semantic and the collaborative identifiers (2, I, M) of items, by the vectors (I, ·) of
    their texts and of their clicks.

    Codes are numbered through all codebooks, from 0: one that both identifiers share is one number.

    Args:
        kind: what identifiers are made of, as the option ``identifiers`` of GenSAR says.
    """
    views = {"text": vectors[:1], "cf": vectors[1:]}.get(kind, vectors)
    shared = config.shared_levels
    own = config.own_levels
    if kind != "both":
        shared, own = shared + own, 0
    found = identifiers(views, config, shared, own)  # (V, I, M)
    book = torch.arange(shared + own).repeat(len(views), 1)  # (V, M), which codebook it is
    book[:, shared:] += own * torch.arange(len(views)).unsqueeze(1)
    codes = found + config.codes * book.unsqueeze(1)
    return torch.stack([codes[0], codes[-1]])
