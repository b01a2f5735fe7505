"""UnifiedSSR (Xie et al., WWW 2024, arXiv 2310.13921): two branches read one another, both ways.

One branch holds the items that a user clicked, the other the queries that were typed for them. A
*siamese* encoder, the same for either, reads its branch and then the other one; recommendation has
no queries, and its items read themselves. Trained by the next item at every position. A sequence is
cut into sessions of one intent each, and a loss keeps neighbours apart and branches together.

Departures, besides the shared protocol's width and its negatives, which are those of the record at
every position: both attentions are causal, where the authors' code masks padding alone and lets a
position read the item that it should name; layers stack, where in the code each reads the input;
the mixture of the branches is a sigmoid between .1 and .9 in place of a number cut there; candidate
vectors are not multiplied by sqrt(d); recommendation, too, starts with the user alone, so that an
empty history has an answer. Sessions are the static windows that the code's predictor starts with
and, having no gradient, keeps; counted in the history's own length. A position gets the mean of its
window up to there (the code: itself). The joint model stands for the paper's; there is no
fine-tuning on each task.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ...config import Config
from ...data.batches import Batch, appended
from ...data.dataset import Dataset
from ...data.schema import REC, SRC
from ..base import RankingModel
from ..encoders import CrossEncoder, up_to_here
from ..layers import QueryEncoder, id_table, last_state


class UnifiedSSRConfig(Config):
    """Options of UnifiedSSR."""

    width: int = Field(64, ge=1, description="d (published: 32)")
    inner: int = Field(128, ge=1, description="of the feed-forwards, 2d (published: 64, 2d)")
    layers: int = Field(2, ge=1, description="published: 2")
    heads: int = Field(4, ge=1, description="published: 4")
    dropout: float = Field(0.5, ge=0, lt=1, description="published: 0.5")
    windows: int = Field(2, ge=1, description="sessions in a sequence (published: 2)")
    lambda_session: float = Field(0.1, ge=0, description="of the sessions' loss (published: 0.1)")


class UnifiedSSR(RankingModel):
    """s(c) = P_L · e_c in recommendation and w P_L · e_c + (1 - w) Q_L · e_c in search.

    Args:
        config: options.
        n_users, n_items, n_words: users are 0-based; items and words have 0 for padding, which
            ``n_words`` counts.
    """

    name = "unifiedssr"
    Config = UnifiedSSRConfig
    user_table = "users"
    task_term = "next"
    tiny: ClassVar = {"width": 8, "inner": 8, "heads": 2}

    def __init__(self, config: UnifiedSSRConfig, n_users: int, n_items: int, n_words: int):
        super().__init__(config, n_users=n_users, n_items=n_items, n_words=n_words)
        self.n_users = n_users
        self.n_items = n_items
        d = config.width
        self.users = id_table(n_users, d, padding=False)
        self.items = id_table(n_items + 1, d)
        self.words = QueryEncoder(n_words, d)
        self.dropout = nn.Dropout(config.dropout)
        block = {"layers": config.layers, "heads": config.heads, "dropout": config.dropout}
        self.encoder = CrossEncoder(d, **block, inner=config.inner, norm_first=True)
        self.mixture = nn.Parameter(torch.zeros(()))

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: UnifiedSSRConfig) -> UnifiedSSR:
        """A fresh model with a vector for each user, item and word."""
        return cls(config, dataset.n_users, dataset.n_items, dataset.n_words)

    @property
    def share(self) -> Tensor:
        """w, what the branch of items counts in search: from .1 to .9, .5 at the start."""
        return 0.1 + 0.8 * torch.sigmoid(self.mixture)

    def encode(self, batch: Batch) -> tuple[list[Tensor], Tensor]:
        """States (B, N, d) of the branch of items and, in search, of that of queries.

        Position t of N = 1 + the longest history knows the items before t; in search the queries up
        to t, of which the last one is the current query.

        Returns:
            The states, zeros at padding, and the real positions (B, N).
        """
        items = clicks(batch)  # (B, N - 1)
        n = (items != 0).sum(dim=1, keepdim=True)
        place = torch.arange(items.shape[1] + 1, device=items.device)
        branches = [self.items(F.pad(items, (1, 0)))]  # (B, N, d)
        if batch.task == SRC:
            before = F.pad(self.words(batch.ses_words), (0, 0, 0, 1))
            now = self.words(batch.query).unsqueeze(1)
            branches.append(torch.where((place == n).unsqueeze(-1), now, before))
        user = self.users(batch.user).unsqueeze(1)
        scale = self.config.width**0.5
        position = sinusoids(place, self.config.width)
        inputs = [self.dropout((x + user) * scale + position) for x in branches]
        valid = place <= n  # (B, N)
        readable = up_to_here(valid)
        pairs = zip(inputs, reversed(inputs), strict=True)  # each with the other one, if there is
        return [self.encoder(own, other, valid, readable) for own, other in pairs], valid

    def mix(self, parts: list[Tensor]) -> Tensor:
        """The branches' own results as one."""
        if len(parts) == 1:
            return parts[0]
        return self.share * parts[0] + (1 - self.share) * parts[1]

    def score(self, batch: Batch) -> Tensor:
        """Logits (B, C) in float32."""
        states, valid = self.encode(batch)
        inside = windows(valid, self.config.windows)
        user = self.mix([last_state(with_sessions(x, inside), valid) for x in states])  # (B, d)
        return torch.einsum("bd,bcd->bc", user, self.items(batch.cand)).float()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``next``, at every position the item that follows against the record's negatives, and
        ``session``: how alike neighbours are, less how alike a session's two branches.
        """
        states, valid = self.encode(batch)
        inside = windows(valid, self.config.windows)
        each = [self._next(with_sessions(x, inside), valid, batch) for x in states]
        return {"next": self.mix(each), "session": session_correlation(states, inside)}

    @property
    def loss_weights(self) -> dict[str, float]:
        """The sessions' loss counts lambda_session."""
        return {"session": self.config.lambda_session}

    def _next(self, states: Tensor, valid: Tensor, batch: Batch) -> Tensor:
        following = appended(clicks(batch), batch.cand[:, 0])  # (B, N), the positive is the last
        right = (states * self.items(following)).sum(dim=-1).float()  # (B, N)
        wrong = torch.einsum("bnd,bcd->bnc", states, self.items(batch.cand[:, 1:])).float()
        return _mean_where(F.softplus(-right) + F.softplus(wrong).sum(dim=-1), valid)


def clicks(batch: Batch) -> Tensor:
    """The items of the task's own history: recommended ones, or the first click of each search."""
    return batch.rec_items if batch.task == REC else batch.ses_clicks[..., 0]


def sinusoids(place: Tensor, width: int) -> Tensor:
    """Positions (N,) as sines and cosines, (N, d), as in Vaswani et al. (2017)."""
    channel = torch.arange(width, device=place.device)
    angle = place.unsqueeze(1) / 10_000 ** (channel // 2 * 2 / width)  # (N, d)
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos())


def windows(valid: Tensor, n: int) -> Tensor:
    """Which positions each of ``n`` windows holds: valid (B, N), padding on the right -> (B, n, N).

    Their centres part a sequence evenly, and each is half as long as the way to the next one: two
    windows hold the positions from 1/8 to 3/8 and from 5/8 to 7/8 of the length.
    """
    length = valid.sum(dim=1, keepdim=True).clamp(min=1)
    at = (torch.arange(valid.shape[1], device=valid.device) + 0.5) / length  # (B, N)
    centre = (torch.arange(n, device=valid.device) + 0.5) / n
    near = (at.unsqueeze(1) - centre[:, None]).abs() <= 1 / (4 * n)
    return near & valid.unsqueeze(1)


def with_sessions(x: Tensor, inside: Tensor) -> Tensor:
    """x (B, N, d) and, within windows (B, n, N), the mean of the window up to each position."""
    inside = inside.to(x.dtype)
    before = (inside.transpose(1, 2) @ inside).tril()  # (B, N, N), 1 within one window
    return x + before / before.sum(dim=2, keepdim=True).clamp(min=1) @ x


def session_correlation(states: list[Tensor], inside: Tensor) -> Tensor:
    """Mean |cosine| of neighbouring windows of each branch, less that of a window's two branches.

    Args:
        states: one branch or two, (B, N, d) each.
        inside: (B, n, N) as `windows` gives it; an empty window is left out.
    """
    known = inside.any(dim=2)  # (B, n)
    weight = inside.to(states[0].dtype)
    means = [weight @ x / weight.sum(dim=2, keepdim=True).clamp(min=1) for x in states]  # (B, n, d)
    both = known[:, 1:] & known[:, :-1]
    total = sum(
        _mean_where(F.cosine_similarity(z[:, 1:], z[:, :-1], dim=-1).abs(), both) for z in means
    )
    if len(means) == 1:
        return total
    return total - _mean_where(F.cosine_similarity(*means, dim=-1), known)


def _mean_where(x: Tensor, keep: Tensor) -> Tensor:
    """Mean of x where ``keep``, both of one shape; 0 where nothing is kept."""
    return (x * keep).sum() / keep.sum().clamp(min=1)
