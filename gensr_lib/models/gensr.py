"""GenSR (Zhao et al., 2025): one generative model for search and recommendation.

Follows section 4 of the paper, equation by equation: dual representation (eq. 3-4), soft filtering
(eq. 5-6), a task-specific prompt with four soft slots (eq. 7), instruction tuning (eq. 8-9) and
contrastive alignment (eq. 10). P("Yes") ranks the candidates.

Shapes: B rows, C candidates, N history items, d the CF width, d' the width of the language model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from ..backbone import Backbone, answer_ids, answer_log_probs, answer_states, log_probs_of, token_matrix
from ..config import Config
from ..data.batches import Batch, merged_history
from ..data.dataset import Dataset
from ..losses import contrastive, instruction_tuning
from .base import REC, SRC, RankingModel, Representation
from .layers import HistoryEncoder, SoftFilter, masked_mean

# The text around the slots, p_1 … p_5 of eq. 7. <extra_id_k> is slot k: the filtered CF and semantic
# history, the candidate's CF and semantic vector. Short, because each token costs time for each
# candidate; the query comes last, so that its length moves nothing.
PROMPTS = {
    REC: (
        "Recommendation: user history <extra_id_0> and <extra_id_1> item <extra_id_2> and <extra_id_3> click Yes or No"
    ),
    SRC: (
        "Search: user history <extra_id_0> and <extra_id_1> "
        "item <extra_id_2> and <extra_id_3> click Yes or No for the query"
    ),
}
SLOTS = ("user_cf", "user_semantic", "item_cf", "item_semantic")


class GenSRConfig(Config):
    """Options of GenSR: the released values where they are known, and the switches of the ablations."""

    history: int = Field(20, ge=1, description="N, most recent items of both behaviors (released: 20)")
    layers: int = Field(1, ge=1, description="layers of each history encoder (released: 1)")
    heads: int = Field(2, ge=1, description="heads of the encoders and of the soft filter (released: 2)")
    dropout: float = Field(0.1, ge=0, lt=1)
    item_tokens: int = Field(10, ge=1, description="tokens of an item's text that are used (released: 10)")
    beta: float = Field(0.01, ge=0, description="weight of the contrastive loss, eq. 8 (released: 0.01)")
    tau: float = Field(0.07, gt=0, description="temperature of the contrastive loss, eq. 10 (released: 0.07)")
    semantic_level: Literal["item", "token"] = Field(
        "item", description="the paper has one vector per item; the released code one per title token"
    )
    cf_view: bool = Field(True, description="False: the ablation without the CF view")
    semantic_view: bool = Field(True, description="False: the ablation without the semantic view")
    soft_filter: bool = Field(True, description="False: the average of the history takes the slot")
    contrastive: bool = Field(True, description="False: the ablation without eq. 10")
    task_prompts: bool = Field(True, description="False: one prompt text for both tasks (beyond the paper)")

    @model_validator(mode="after")
    def _some_view(self) -> GenSRConfig:
        if not (self.cf_view or self.semantic_view):
            raise ValueError("cf_view and semantic_view are both off; keep one")
        return self


@dataclass
class View:
    """One view of the users' histories, encoded once per user.

    Attributes:
        states: (B, N, width), C_u or S_u; zeros at padding.
        valid: (B, N) real positions.
    """

    states: Tensor
    valid: Tensor


class GenSR(RankingModel):
    """The model of the paper.

    Args:
        config: options.
        backbone: language model and tokenizer; the model is fine-tuned.
        cf_table: (I + 1, d) frozen LightGCN item vectors, row 0 padding.
        item_tokens: (I + 1, T) token ids of the item texts, row 0 padding.
    """

    name = "gensr"
    Config = GenSRConfig
    needs = ("backbone", "cf_table")

    def __init__(self, config: GenSRConfig, backbone: Backbone, cf_table: Tensor, item_tokens: Tensor):
        super().__init__(config)
        self.lm, self.tokenizer = backbone.model, backbone.tokenizer
        self.register_buffer("cf_table", cf_table.float())
        self.register_buffer("item_tokens", item_tokens)
        d, width = cf_table.shape[1], self.lm.get_input_embeddings().embedding_dim
        encoder = dict(layers=config.layers, heads=config.heads, dropout=config.dropout)
        steps = config.history * (config.item_tokens if config.semantic_level == "token" else 1)
        if config.cf_view:
            self.cf_projection = nn.Linear(d, width)
            self.cf_encoder, self.cf_filter = HistoryEncoder(d, config.history, **encoder), SoftFilter(d, config.heads)
        if config.semantic_view:
            self.semantic_encoder = HistoryEncoder(width, steps, **encoder)
            self.semantic_filter = SoftFilter(width, config.heads)
        self.answers = answer_ids(self.tokenizer)
        self._tokenize_prompts()

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: GenSRConfig, backbone: Backbone, cf_table: Tensor) -> GenSR:
        """Tokenize the catalogue and scale the CF table to unit root mean square, which prompts can carry."""
        tokens = token_matrix(backbone.tokenizer, dataset.item_text, config.item_tokens)
        scale = cf_table[1:].square().mean().sqrt().clamp(min=1e-12)
        return cls(config, backbone, cf_table / scale, tokens)

    # --- §4.1 dual representation ------------------------------------------------------------

    def encode(self, batch: Batch) -> dict[str, View]:
        """Both views of each user's history, eq. 3 and eq. 4; done once per user, whatever C is."""
        items, _ = merged_history(batch, self.config.history)  # (B, N)
        valid, views = items != 0, {}
        if self.config.cf_view:
            views["cf"] = View(self.cf_encoder(self.cf_table[items], valid), valid)  # eq. 3
        if self.config.semantic_view:
            semantic, valid = self._semantic_history(items)
            views["semantic"] = View(self.semantic_encoder(semantic, valid), valid)  # eq. 4
        return views

    def semantic_items(self, items: Tensor) -> Tensor:
        """s_i: the mean of the language model's own embeddings of the tokens of item texts, (…) -> (…, d')."""
        embed = self.lm.get_input_embeddings()
        unique, place = items.unique(return_inverse=True)  # an item occurs in many histories and candidate lists
        tokens = self.item_tokens[unique]
        vectors = masked_mean(embed(tokens), tokens != self.tokenizer.pad_token_id)
        return F.embedding(place, vectors)  # not vectors[place]: on several threads its gradient adds up in any order

    def _semantic_history(self, items: Tensor) -> tuple[Tensor, Tensor]:
        if self.config.semantic_level == "item":
            return self.semantic_items(items), items != 0
        tokens = self.item_tokens[items].flatten(1)  # (B, N*T)
        return self.lm.get_input_embeddings()(tokens), tokens != self.tokenizer.pad_token_id

    def soft_filter(self, views: dict[str, View], batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What each slot of the prompt holds, eq. 5 and eq. 6, and the weights alpha behind it.

        Returns:
            slots: (B, C, d') by slot name, for the views in use.
            weights: (B, C, N) by view; every candidate's weights over the history.
        """
        slots, weights = {}, {}
        if self.config.cf_view:
            candidate = self.cf_table[batch.cand]  # (B, C, d)
            user, weights["cf"] = self._filtered(self.cf_filter, candidate, views["cf"])
            slots |= {"user_cf": self.cf_projection(user), "item_cf": self.cf_projection(candidate)}
        if self.config.semantic_view:
            candidate = self.semantic_items(batch.cand)  # (B, C, d')
            user, weights["semantic"] = self._filtered(self.semantic_filter, candidate, views["semantic"])
            slots |= {"user_semantic": user, "item_semantic": candidate}
        return slots, weights

    def _filtered(self, soft_filter: SoftFilter, candidate: Tensor, view: View) -> tuple[Tensor, Tensor]:
        if self.config.soft_filter:
            return soft_filter(candidate, view.states, view.valid)
        uniform = view.valid / view.valid.sum(dim=1, keepdim=True).clamp(min=1)  # (B, N): the ablation's average
        mean = masked_mean(view.states, view.valid)
        n = candidate.shape[1]
        return mean.unsqueeze(1).expand(-1, n, -1), uniform.unsqueeze(1).expand(-1, n, -1)

    # --- §4.2 task-specific prompt -----------------------------------------------------------

    def _tokenize_prompts(self) -> None:
        """Token ids of both prompts, tokenized once; slots of a view that is off are cut out."""
        used = {s for s in SLOTS if (self.config.cf_view if s.endswith("cf") else self.config.semantic_view)}
        slot_ids = self.tokenizer.convert_tokens_to_ids([f"<extra_id_{k}>" for k in range(len(SLOTS))])
        self._slot_of = dict(zip(slot_ids, SLOTS, strict=True))
        self.prompt_ids = {}
        for task, text in PROMPTS.items():
            text = text if self.config.task_prompts else PROMPTS[SRC]
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            self.prompt_ids[task] = [t for t in ids if t not in self._slot_of or self._slot_of[t] in used]

    def prompt(self, batch: Batch, slots: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """E_t of eq. 7: prompt text with the slots filled in, then the query.

        Returns:
            embeddings (B, C, L, d') and mask (B, L); only the end, behind the query, is padding.
        """
        embed, shape = self.lm.get_input_embeddings(), batch.cand.shape
        device = batch.cand.device
        text = embed(torch.tensor(self.prompt_ids[batch.task], device=device))  # (L1, d')
        pieces, start = [], 0
        for position, token in enumerate(self.prompt_ids[batch.task]):
            if token in self._slot_of:
                pieces.append(text[start:position].expand(*shape, -1, -1))
                pieces.append(slots[self._slot_of[token]].unsqueeze(2))
                start = position + 1
        pieces.append(text[start:].expand(*shape, -1, -1))
        query = self.tokenizer(list(batch.query_text), padding=True, return_tensors="pt").to(device)  # ends in </s>
        pieces.append(embed(query["input_ids"])[:, None].expand(-1, shape[1], -1, -1))
        fixed = query["attention_mask"].new_ones(shape[0], len(self.prompt_ids[batch.task]))
        dtype = text.dtype
        return torch.cat([p.to(dtype) for p in pieces], dim=2), torch.cat([fixed, query["attention_mask"]], dim=1)

    def answer(self, batch: Batch, views: dict[str, View]) -> Tensor:
        """log P of ("Yes", "No") for each candidate: (B, C, 2), eq. 9 without the minus."""
        slots, _ = self.soft_filter(views, batch)
        embeddings, mask = self.prompt(batch, slots)
        per_candidate = mask.repeat_interleave(batch.cand.shape[1], dim=0)  # (B*C, L), row-major as flatten
        log_probs = answer_log_probs(self.lm, embeddings.flatten(0, 1), per_candidate, self.answers)
        return log_probs.unflatten(0, tuple(batch.cand.shape))

    # --- training and ranking ----------------------------------------------------------------

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Eq. 8: ``generation`` (eq. 9) and ``contrastive`` (eq. 10), the latter weighted by beta."""
        views = self.encode(batch)
        terms = {"generation": instruction_tuning(self.answer(batch, views))}
        if len(views) == 2 and self.config.contrastive:
            cf, semantic, known = self.user_vectors(views)
            terms["contrastive"] = contrastive(cf[known], semantic[known], batch.user[known], self.config.tau)
        return terms

    def user_vectors(self, views: dict[str, View]) -> tuple[Tensor, Tensor, Tensor]:
        """C_u and S_u as one vector per user, (B, d') each, and (B,) who has a history at all."""
        cf = self.cf_projection(masked_mean(views["cf"].states, views["cf"].valid))
        semantic = masked_mean(views["semantic"].states, views["semantic"].valid)
        known = views["cf"].valid.any(dim=1) & views["semantic"].valid.any(dim=1)
        return cf, semantic, known

    @property
    def loss_weights(self) -> dict[str, float]:
        """Eq. 8: the contrastive term counts beta."""
        return {"contrastive": self.config.beta}

    def score(self, batch: Batch) -> Tensor:
        """log P(Yes) - log P(No), (B, C) float32: the logit of P(Yes), which ranks alike and never saturates."""
        log_probs = self.answer(batch, self.encode(batch))
        return log_probs[..., 0] - log_probs[..., 1]

    def represent(self, batch: Batch) -> Representation:
        """The vectors that fill the prompt, the language model's states behind the answer, and the score.

        ``input`` holds the slots in the order of `SLOTS` and the mean embedding of the query's tokens
        (the end token included, so an empty query has one too); ``encoder`` is the mean of the encoder's
        states, ``head`` the decoder's state at the first generated position.
        """
        slots, _ = self.soft_filter(self.encode(batch), batch)
        embeddings, mask = self.prompt(batch, slots)  # (B, C, L, d'), (B, L)
        flat, (rows, candidates) = mask.repeat_interleave(batch.cand.shape[1], dim=0), batch.cand.shape
        encoded, decoded = answer_states(self.lm, embeddings.flatten(0, 1), flat)
        log_probs = log_probs_of(self.lm, decoded, self.answers).unflatten(0, (rows, candidates))
        fixed = len(self.prompt_ids[batch.task])  # the query's tokens stand behind these
        query = masked_mean(embeddings[:, 0, fixed:], mask[:, fixed:]).unsqueeze(1).expand(-1, candidates, -1)
        hidden = {"encoder": masked_mean(encoded, flat), "head": decoded}
        return Representation(
            input=torch.cat([*(slots[name] for name in SLOTS if name in slots), query], dim=-1),
            hidden={name: state.unflatten(0, (rows, candidates)) for name, state in hidden.items()},
            score=log_probs[..., 0] - log_probs[..., 1],
        )

    @torch.no_grad()
    def filter_weights(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The history (B, N) and, by view, the soft-filter weights (B, C, N) of each candidate over it.

        With token-level semantics the weights of an item's tokens are added up.
        """
        items, _ = merged_history(batch, self.config.history)
        _, weights = self.soft_filter(self.encode(batch), batch)
        n = self.config.history
        return items, {view: w.unflatten(-1, (n, -1)).sum(-1) for view, w in weights.items()}

    # --- on disk -----------------------------------------------------------------------------

    def sizes(self) -> dict[str, int]:
        """Shapes of the two tables."""
        return {"n_items": len(self.cf_table) - 1, "cf_width": self.cf_table.shape[1]}

    def save_pretrained(self, folder: str | Path) -> None:
        """Weights, options, and the backbone's configuration and tokenizer in ``backbone/``."""
        Backbone(self.lm, self.tokenizer).save(Path(folder) / "backbone")
        super().save_pretrained(folder)

    @classmethod
    def from_sizes(cls, config: GenSRConfig, folder: Path, n_items: int, cf_width: int) -> GenSR:
        """An untrained GenSR of the saved shape."""
        tokens = torch.zeros(n_items + 1, config.item_tokens, dtype=torch.long)
        return cls(config, Backbone.from_folder(folder / "backbone"), torch.zeros(n_items + 1, cf_width), tokens)
