"""UniSAR (Shi et al., SIGIR 2024): the discriminative counterpart of GenSR.

A user moves between recommendation (r) and search (s) in four ways, and each has a representation:
s2r, r2r, r2s and s2s. Transformers with masks extract them, contrastive losses align them, decoders
fuse them, attention of each candidate pools them, and a mixture of experts predicts the click.

Shapes: B rows, C candidates, R recommendation clicks, S search sessions of K clicks and W words,
d the width. Candidates enter behind the fusion only, so that a history is encoded once per user.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from ...config import Config
from ...data.batches import Batch
from ...data.dataset import Dataset
from ...data.schema import BEHAVIORS, REC, SRC
from ..base import RankingModel, Representation
from ..encoders import CrossEncoder, Encoder
from ..layers import Alignment, BilinearPool, Experts, masked_mean, mlp, query_click_pairs
from ..losses import click


class UniSARConfig(Config):
    """Options of UniSAR; the defaults are the published ones for Amazon."""

    width: int = Field(64, ge=1, description="d (published: 64)")
    id_width: int = Field(32, ge=1, description="of tables of users, items, words (published: 32)")
    heads: int = Field(2, ge=1, description="heads of all attention but pooling (published: 2)")
    layers: int = Field(1, ge=1, description="layers of each encoder and decoder (published: 1)")
    dropout: float = Field(0.1, ge=0, lt=1, description="published: 0.1")
    experts: int = Field(4, ge=1, description="experts by task, and as many shared (published: 4)")
    lambda_qi: float = Field(0.1, ge=0, description="of the query-item alignment (KuaiSAR: 0.001)")
    tau_qi: float = Field(0.1, gt=0, description="its first temperature, learned (KuaiSAR: 0.5)")
    lambda_tr: float = Field(0.01, ge=0, description="of the transition alignment (KuaiSAR: 0.1)")
    tau_tr: float = Field(0.1, gt=0, description="its first temperature, learned (KuaiSAR: 0.1)")
    align_negatives: int = Field(
        1024,
        ge=1,
        description="random items and queries to align (published)",
    )

    @model_validator(mode="after")
    def _heads_divide(self) -> UniSARConfig:
        if self.width % self.heads:
            raise ValueError(
                f"width {self.width} is not a multiple of heads {self.heads}; change one of them"
            )
        return self


@dataclass(frozen=True)
class History:
    """What is known of the users before any candidate is seen.

    Attributes:
        queries, clicks: (B, S, d) and (B, S, K, d), the vectors that sessions are made of.
        s2r, r2r: (B, R, d) recommendation clicks that read searches, or other recommendation
            clicks.
        r2s, s2s: (B, S, d) sessions that read recommendation clicks, or other sessions.
        rec, src: (B, R, d) and (B, S, d), both transitions of a side fused: F_r and F_s.
        rec_valid, src_valid: (B, R) and (B, S) real positions. All vectors are 0 elsewhere.
    """

    queries: Tensor
    clicks: Tensor
    s2r: Tensor
    r2r: Tensor
    r2s: Tensor
    s2s: Tensor
    rec: Tensor
    src: Tensor
    rec_valid: Tensor
    src_valid: Tensor


class TaskHead(nn.Module):
    """A task's own part: experts, the gate over these and the shared ones, tower, logit."""

    def __init__(self, config: UniSARConfig):
        super().__init__()
        d = config.width
        self.experts = Experts(5 * d, d, config.experts, config.dropout)
        self.gate = nn.Linear(5 * d, 2 * config.experts)
        self.tower = mlp(config.dropout, d, 2 * d, d)
        self.predict = nn.Sequential(mlp(config.dropout, d, 200, 80), nn.Linear(80, 1))

    def mix(self, x: Tensor, shared: Tensor) -> Tensor:
        """Gated mixture of experts: x (B, C, 5d), shared (B, C, n, d) -> (B, C, d)."""
        experts = torch.cat([self.experts(x), shared], dim=-2)  # (B, C, 2n, d), the own ones first
        return torch.einsum("bcn,bcnd->bcd", self.gate(x).softmax(dim=-1), experts)

    def forward(self, mixture: Tensor) -> Tensor:
        """Mixture (B, C, d) -> logits (B, C) in float32."""
        return self.predict(self.tower(mixture)).squeeze(-1).float()


class UniSAR(RankingModel):
    """Unified search and recommendation by transitions between the two behaviors.

    Args:
        config: options.
        n_users, n_items, n_words: users are 0-based; items and words have 0 for padding, which
            ``n_words`` counts.
        history_rec, history_src: the longest histories, R and S.
        queries: (Q, W) word ids of the training queries, to draw random ones from.
    """

    name = "unisar"
    Config = UniSARConfig
    user_table = "user_id"
    task_term = "click"
    tiny: ClassVar = {"width": 16, "id_width": 8, "align_negatives": 12}

    def __init__(
        self,
        config: UniSARConfig,
        n_users: int,
        n_items: int,
        n_words: int,
        history_rec: int,
        history_src: int,
        queries: Tensor,
    ):
        sizes = {"n_users": n_users, "n_items": n_items, "n_words": n_words, "queries": queries}
        super().__init__(config, **sizes, history_rec=history_rec, history_src=history_src)
        self.n_users = n_users
        self.n_items = n_items
        self.register_buffer("queries", queries)
        d = config.width
        block = {"layers": config.layers, "heads": config.heads, "dropout": config.dropout}
        self.user_id = nn.Embedding(n_users, config.id_width)
        self.user_linear = nn.Linear(config.id_width, d)
        self.item_id = nn.Embedding(n_items + 1, config.id_width, padding_idx=0)
        self.item_linear = nn.Linear(config.id_width, d)
        self.word_id = nn.Embedding(n_words, config.id_width, padding_idx=0)
        self.query_linear = nn.Linear(config.id_width, d)
        self.no_query = nn.Parameter(torch.empty(1, d))  # stands for the query in recommendation
        # Positions are drawn by `_initialise`, as all other weights.
        self.cross_type = Encoder(d, history_rec + history_src, **block, position_std=None)
        lengths = {REC: history_rec, SRC: history_src}
        self.same_type = nn.ModuleDict(
            {task: Encoder(d, lengths[task], **block, position_std=None) for task in BEHAVIORS}
        )
        self.fusion = nn.ModuleDict({task: CrossEncoder(d, **block) for task in BEHAVIORS})
        self.transition = nn.ModuleDict({task: Alignment(d, config.tau_tr) for task in BEHAVIORS})
        self.query_item = Alignment(d, config.tau_qi)
        self.pooling = nn.ModuleDict({task: BilinearPool(d) for task in BEHAVIORS})
        self.shared = Experts(5 * d, d, config.experts, config.dropout)
        self.head = nn.ModuleDict({task: TaskHead(config) for task in BEHAVIORS})
        self.apply(_initialise)
        nn.init.xavier_normal_(self.no_query)

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: UniSARConfig) -> UniSAR:
        """Sized for a data set; its distinct training queries are what the alignment draws from."""
        queries = torch.from_numpy(dataset.query_word_ids[dataset.training_queries]).long()
        return cls(
            config,
            n_users=dataset.n_users,
            n_items=dataset.n_items,
            n_words=dataset.n_words,
            history_rec=dataset.config.history_rec,
            history_src=dataset.config.history_src,
            queries=queries,
        )

    # --- embedding ---------------------------------------------------------------------------

    def items(self, items: Tensor) -> Tensor:
        """e_i = tanh(W_I id + b), (...) -> (..., d); the padding is a zero vector."""
        return torch.tanh(self.item_linear(self.item_id(items))) * (items != 0).unsqueeze(-1)

    def words(self, words: Tensor) -> Tensor:
        """e_q = tanh(W_Q mean of word vectors + b), (..., W) -> (..., d); tanh(b) without words."""
        valid = (words != 0).unsqueeze(-1)  # (..., W, 1)
        mean = (self.word_id(words) * valid).sum(dim=-2) / valid.sum(dim=-2).clamp(min=1)
        return torch.tanh(self.query_linear(mean))

    # --- extraction and fusion ---------------------------------------------------------------

    def encode(self, batch: Batch) -> History:
        """The four transitions of each user and their fusion; done once per user, whatever C is."""
        rec_valid = batch.rec_items != 0
        src_valid = (batch.ses_clicks != 0).any(dim=-1)
        queries = self.words(batch.ses_words)  # (B, S, d)
        clicks = self.items(batch.ses_clicks)  # (B, S, K, d)
        n_clicks = (batch.ses_clicks != 0).sum(dim=-1, keepdim=True).clamp(min=1)
        rec = self.items(batch.rec_items)  # (B, R, d)
        src = (queries + clicks.sum(dim=2) / n_clicks) * src_valid.unsqueeze(-1)  # (B, S, d)
        s2r, r2s = self._cross(rec, src, rec_valid, src_valid, batch.merge_index)
        r2r = self._same(REC, rec, rec_valid)
        s2s = self._same(SRC, src, src_valid)
        return History(
            queries=queries,
            clicks=clicks,
            s2r=s2r,
            r2r=r2r,
            r2s=r2s,
            s2s=s2s,
            rec=self.fusion[REC](r2r, s2r, rec_valid),
            src=self.fusion[SRC](s2s, r2s, src_valid),
            rec_valid=rec_valid,
            src_valid=src_valid,
        )

    def _cross(
        self, rec: Tensor, src: Tensor, rec_valid: Tensor, src_valid: Tensor, merge_index: Tensor
    ):
        """s2r and r2s: each token reads all tokens of the other type, whenever they were.

        Time decides the learned positions only. A transformer does not mind the order that its
        tokens are stored in, so they stay as [rec ; sessions] and each gets its place in time.
        """
        valid = torch.cat([rec_valid, src_valid], dim=1)  # (B, R + S)
        is_search = torch.arange(valid.shape[1], device=valid.device) >= rec.shape[1]
        readable = (is_search[:, None] != is_search) & valid.unsqueeze(1)  # (B, R + S, R + S)
        place = merge_index.argsort(dim=1)  # the inverse of a permutation
        out = self.cross_type(torch.cat([rec, src], dim=1), valid, place, readable)
        return out.split([rec.shape[1], src.shape[1]], dim=1)

    def _same(self, task: str, x: Tensor, valid: Tensor) -> Tensor:
        """r2r or s2s: tokens of one type read one another, at positions of their own order."""
        n = x.shape[1]
        readable = valid.unsqueeze(1).expand(-1, n, -1)
        return self.same_type[task](x, valid, torch.arange(n, device=x.device), readable)

    # --- prediction --------------------------------------------------------------------------

    def represent(self, batch: Batch) -> Representation:
        """Input [v_r ; v_s ; e_c ; e_u ; e_q], what encoder and experts make of it, score."""
        return self._predict(batch, self.encode(batch))

    def _predict(self, batch: Batch, history: History) -> Representation:
        shape = *batch.cand.shape, -1
        candidate = self.items(batch.cand)  # (B, C, d)
        of_rec = self.pooling[REC](history.rec, candidate, history.rec_valid)
        of_src = self.pooling[SRC](history.src, candidate, history.src_valid)
        pooled = torch.cat([of_rec, of_src], dim=-1)  # (B, C, 2d)
        user = torch.tanh(self.user_linear(self.user_id(batch.user))).unsqueeze(1)  # (B, 1, d)
        query = self.no_query if batch.task == REC else self.words(batch.query).unsqueeze(1)
        parts = [pooled, candidate, user.expand(shape), query.expand(shape)]
        x = torch.cat(parts, dim=-1)  # (B, C, 5d)
        head = self.head[batch.task]
        mixture = head.mix(x, self.shared(x))  # (B, C, d)
        return Representation(x, {"encoder": pooled, "head": mixture}, head(mixture))

    def score(self, batch: Batch) -> Tensor:
        """The logit of a click, (B, C) float32."""
        return self.represent(batch).score

    # --- training ----------------------------------------------------------------------------

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``click``, binary cross-entropy, and two alignments, ``query_item``, ``transition``."""
        history = self.encode(batch)
        score = self._predict(batch, history).score
        return {
            "click": click(score),
            "query_item": self._align_queries(batch, history),
            "transition": self._align_transitions(history),
        }

    @property
    def loss_weights(self) -> dict[str, float]:
        """The alignments count lambda_qi and lambda_tr."""
        return {"query_item": self.config.lambda_qi, "transition": self.config.lambda_tr}

    def _align_queries(self, batch: Batch, history: History) -> Tensor:
        """Each query of a history with its clicks, against random items and random queries."""
        query, click = query_click_pairs(batch, history.queries, history.clicks)
        n = self.config.align_negatives
        device = query.device
        random_items = self.items(1 + torch.randperm(self.n_items, device=device)[:n])
        some = torch.randperm(len(self.queries), device=device)[:n]
        random_queries = self.words(self.queries[some])
        return self.query_item.against(query, click, random_queries, random_items)

    def _align_transitions(self, history: History) -> Tensor:
        """(s2r, r2r) and (r2s, s2s) as means over tokens, of users that have both histories."""
        known = (history.rec_valid.any(dim=1) & history.src_valid.any(dim=1)).nonzero().squeeze(1)
        sides = {
            REC: (history.s2r, history.r2r, history.rec_valid),
            SRC: (history.r2s, history.s2s, history.src_valid),
        }
        total = 0.0
        for side, (cross, same, valid) in sides.items():
            means = (F.embedding(known, masked_mean(x, valid)) for x in (cross, same))
            total = total + self.transition[side].within(*means)
        return total


def _initialise(module: nn.Module) -> None:
    """As published: xavier-normal weights, zero biases; the padding of a table stays 0."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_normal_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.xavier_normal_(module.weight)
        if module.padding_idx is not None:
            nn.init.zeros_(module.weight[module.padding_idx])
    elif isinstance(module, Alignment | BilinearPool):
        nn.init.xavier_normal_(module.weight)
    elif isinstance(module, Encoder):
        nn.init.xavier_normal_(module.position)
    elif isinstance(module, Experts):  # behind its Linear: apply goes from the inside out
        for weight in module.linear.weight.chunk(module.n):
            nn.init.xavier_normal_(weight)
