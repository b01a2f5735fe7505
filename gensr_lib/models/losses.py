"""Losses shared by the models.

- `instruction_tuning`: eq. 9, the likelihood of "Yes" or "No".
- `contrastive`: eq. 10 in the symmetric form that the paper's text describes.
- `contrastive_released`: what the authors' code computes in its place.
- `bpr`: Bayesian personalised ranking (Rendle et al. 2009).
- `click`: binary cross-entropy of each candidate's click.
- `negative_sampling`: the same, summed over the candidates, as in word2vec (Mikolov et al. 2013).
- `info_nce`: the positive among its negatives (van den Oord et al. 2018).
- `attraction`: the same between the rows of a batch, which may have several positives or none.
- `softmax_over_items`: the positive among the whole catalogue, or among a sample of it.
- `triplet`: the anchor nearer to its positive than to its negative, by a margin.

Where rows are each other's negatives, several processes that train together show each other theirs:
`of_all_processes`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from contextvars import ContextVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

LOG = logging.getLogger(__name__)
_TOGETHER = ContextVar("together", default=False)


def instruction_tuning(log_probs: Tensor) -> Tensor:
    """Eq. 9: mean of -log P(y | prompt) over the rows and candidates of a batch.

    Args:
        log_probs: (B, C, 2) log-probabilities of ("Yes", "No"); column 0 of the candidates is the
            positive, whose answer is "Yes"; all others are answered "No".
    """
    answers = torch.ones(log_probs.shape[:2], dtype=torch.long, device=log_probs.device)  # 1: "No"
    answers[:, 0] = 0
    return F.nll_loss(log_probs.flatten(0, 1), answers.flatten())


def contrastive(cf: Tensor, semantic: Tensor, user: Tensor, temperature: float) -> Tensor:
    """Eq. 10, symmetric: a user's two views attract, views of different users repel, both ways.

    For row u, with s(a, b) the cosine over the temperature, the loss is
    ``-log e^{s(C_u,S_u)} / (e^{s(C_u,S_u)} + sum_{u'} e^{s(C_u,S_u')} + sum_{u'} e^{s(S_u,C_u')})``
    where u' runs over the rows of other users. The paper prints S_u' in the numerator; the positive
    pair must be of one user. Identical vectors everywhere give ln(2B - 1).

    Args:
        cf, semantic: (B, d) one vector per row and view.
        user: (B,) rows of the same user are not each other's negatives.
        temperature: tau > 0.

    Returns:
        Scalar mean over the rows; 0 for an empty batch.
    """
    if not len(cf):
        return cf.sum()
    cf = F.normalize(cf, dim=-1)
    semantic = F.normalize(semantic, dim=-1)
    similarity = cf @ semantic.T / temperature  # (B, B), rows C_u, columns S_u'
    same_user = user[:, None] == user[None, :]
    positive = similarity.diagonal()[:, None]  # (B, 1)
    negatives = torch.cat([similarity, similarity.T], dim=1)  # (B, 2B)
    negatives = negatives.masked_fill(torch.cat([same_user, same_user], dim=1), -torch.inf)
    return (torch.cat([positive, negatives], dim=1).logsumexp(dim=1) - positive.squeeze(1)).mean()


def contrastive_released(
    cf: Tensor, semantic: Tensor, norms: Sequence[nn.Module], temperature: float
) -> Tensor:
    """The authors' released loss in place of eq. 10: cross-entropy of row u among all rows, of C_u
    among the semantic and of S_u among the CF vectors, averaged.

    After the cosine's normalisation each vector passes a layer norm, which gives it length sqrt(d')
    again as long as the norm's weights are 1. So the inner product is d' times the cosine, and the
    effective temperature is tau / d': 9e-5 for tau 0.07 and flan-t5-base's 768 dimensions. At
    random vectors the logits have standard deviation sqrt(d') / tau, and the loss is about the
    largest of them: a thousand for 200 rows, where equal logits cost ln 200 = 5.3.

    Args:
        cf, semantic: (B, d') the rows; all are each other's negatives, also those of one user.
        norms: the layer norms of the CF and the semantic view.
        temperature: tau > 0.

    Returns:
        Scalar mean over the rows and both directions; 0 for an empty batch.
    """
    if not len(cf):
        return cf.sum()
    with torch.autocast(cf.device.type, enabled=False):  # bfloat16 is too coarse for such logits
        cf, semantic = (
            norm(F.normalize(x.float(), dim=-1))
            for norm, x in zip(norms, (cf, semantic), strict=True)
        )
        similarity = cf @ semantic.T / temperature  # (B, B)
        own = torch.arange(len(cf), device=cf.device)
        return (F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)) / 2


def bpr(positive: Tensor, negatives: Tensor) -> Tensor:
    """Mean of -log sigma(s_pos - s_neg): positive (B,), negatives (B, n)."""
    return F.softplus(negatives - positive[:, None]).mean()


def click(scores: Tensor) -> Tensor:
    """Mean binary cross-entropy of scores (B, C), of which column 0 was clicked and no other."""
    clicked = torch.zeros_like(scores)
    clicked[:, 0] = 1
    return F.binary_cross_entropy_with_logits(scores, clicked)


def negative_sampling(scores: Tensor) -> Tensor:
    """-log sigma(s_0) - sum of log sigma(-s_j) over the other columns: (..., 1 + n) -> (...)."""
    scores = scores.float()
    return F.softplus(-scores[..., 0]) + F.softplus(scores[..., 1:]).sum(dim=-1)


def info_nce(logits: Tensor) -> Tensor:
    """Cross-entropy of column 0 among all columns of logits (B, 1 + n)."""
    first = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    return F.cross_entropy(logits, first)


def attraction(z: Tensor, positive: Tensor, negative: Tensor, temperature: float) -> Tensor:
    """Rows attract their positives and repel their negatives (supervised contrastive learning).

    With s the cosine over the temperature, ``-log e^{s_ip} / (e^{s_ip} + sum_j e^{s_ij})`` with j
    over the negatives of row i, averaged over its positives p.

    Args:
        z: (N, d) the rows.
        positive, negative: (N, N) bool, row i's in row i; a pair may be neither.

    Returns:
        Scalar mean over the rows that have a positive; 0 if none has.
    """
    z = F.normalize(z.float(), dim=1)
    similarity = (z @ z.T).float() / temperature  # (N, N)
    repelled = similarity.masked_fill(~negative, -torch.inf)
    repelled = repelled.logsumexp(dim=1, keepdim=True)  # (N, 1), -inf without negatives
    loss = torch.logaddexp(similarity, repelled) - similarity  # (N, N)
    count = positive.sum(dim=1)  # (N,)
    per_row = (loss * positive).sum(dim=1) / count.clamp(min=1)
    return per_row.sum() / (count > 0).sum().clamp(min=1)


def softmax_over_items(
    states: Tensor,
    target: Tensor,
    items: Tensor,
    bias: Tensor | None = None,
    draws: int | None = None,
) -> Tensor:
    """Mean of -log softmax(states @ items.T + bias) at the targets; 0 if there are no states.

    Args:
        states: (P, d), one for each prediction.
        target: (P,) the right rows of ``items``.
        items: (I, d) vectors of all items, without padding.
        bias: (I,) of all items.
        draws: None for a softmax over all items. Else it is over the distinct ones of this many
            uniform draws and of all targets: the targets of other states are negatives too, and the
            more often an item is clicked the more often it is one. No correction is made for that.
    """
    if draws is not None:
        drawn = torch.randint(len(items), (draws,), device=target.device)
        pool = torch.cat([target, drawn]).unique()  # sorted
        target = torch.searchsorted(pool, target)
        # F.embedding, not indexing: on several threads an index's gradient adds up in any order.
        items = F.embedding(pool, items)
        bias = bias if bias is None else bias[pool]
    logits = F.linear(states, items, bias).float()  # (P, I)
    return mean_of_all(F.cross_entropy(logits, target, reduction="none"))


def draws_of_softmax(name: str, n_items: int, largest: int, draws: int) -> int | None:
    """The ``draws`` of `softmax_over_items`: None up to the ``largest`` catalogue.

    Above it, a warning in the log says that the softmax of the model ``name`` is a sampled one.
    """
    if n_items <= largest:
        return None
    LOG.warning(
        "%s: %d items are more than full_softmax=%d; the softmax of its loss is over %d random "
        "items and the targets of the batch.",
        name,
        n_items,
        largest,
        draws,
    )
    return draws


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Mean of max(0, |a - p| - |a - n| + margin), Euclidean, over rows (B, d); 0 without rows."""
    return mean_of_all(F.triplet_margin_loss(anchor, positive, negative, margin, reduction="none"))


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Within, `of_all_processes` gathers: all processes must then compute the same losses in the
    same order, as in a step of training.
    """
    before = _TOGETHER.set(True)
    try:
        yield
    finally:
        _TOGETHER.reset(before)


def of_all_processes(x: Tensor) -> Tensor:
    """The rows of all processes that train together, (B, …) each, process after process.

    A mean over all rows, computed by each process, then has the gradient of one process once the
    processes' gradients are averaged: rows of others are constants here, and own ones count as many
    times as there are processes, since the others leave them out. Alone, ``x`` as it is.
    """
    if not (_TOGETHER.get() and dist.is_initialized() and dist.get_world_size() > 1):
        return x
    world = dist.get_world_size()
    counts = [torch.zeros(1, dtype=torch.long, device=x.device) for _ in range(world)]
    dist.all_gather(counts, torch.tensor([len(x)], device=x.device))
    longest = int(max(counts))
    padded = torch.cat([x.detach(), x.new_zeros(longest - len(x), *x.shape[1:])])
    parts = [torch.empty_like(padded) for _ in range(world)]
    dist.all_gather(parts, padded)
    rows = [part[: int(n)] for part, n in zip(parts, counts, strict=True)]
    if x.requires_grad:
        rows[dist.get_rank()] = x.detach() + world * (x - x.detach())
    return torch.cat(rows)


def mean_of_all(losses: Tensor) -> Tensor:
    """Mean of the losses (P,) of all processes, however many each has; 0 if there are none."""
    losses = of_all_processes(losses)
    return losses.sum() / max(len(losses), 1)
