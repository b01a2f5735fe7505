"""GenSR (Zhao et al., 2025): one generative model for search and recommendation.

Follows section 4 of the paper, equation by equation: dual representation (eq. 3-4), soft filtering
(eq. 5-6), a task-specific prompt with four soft slots (eq. 7), instruction tuning (eq. 8-9) and
contrastive alignment (eq. 10). P("Yes") ranks the candidates.

Shapes: B rows, C candidates, N history items, d the CF width, d' the width of the language model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import Config
from ...data.batches import Batch, merged_history
from ...data.dataset import Dataset
from ..answers import answer_ids, answer_states, log_probs_of
from ..base import RankingModel, Representation
from ..encoders import Encoder
from ..language_model import Backbone, OnLanguageModel, token_matrix
from ..layers import SoftFilter, masked_mean
from ..losses import contrastive, contrastive_released, instruction_tuning, of_all_processes
from ..recommendation.lightgcn import LightGCN
from .mlp_reader import MLPReader, query_vector
from .one_way import one_way_states
from .options import GenSRConfig, check_widths
from .prompt import PROMPTS, SLOTS, Prompt, assemble, prompt_tokens, query_tokens


@dataclass
class View:
    """One view of the users' histories, encoded once per user.

    Attributes:
        states: (B, N, width), C_u or S_u; zeros at padding.
        valid: (B, N) real positions.
    """

    states: Tensor
    valid: Tensor


class GenSR(OnLanguageModel, RankingModel):
    """The model of the paper.

    Args:
        config: options.
        language_model: model and tokenizer; the model is fine-tuned.
        cf_table: (I + 1, d) frozen LightGCN item vectors, row 0 padding.
        item_tokens: (I + 1, T) token ids of the item texts, row 0 padding.
    """

    name = "gensr"
    family = "generative"
    Config = GenSRConfig
    needs = ("language_model", "lightgcn")
    prompts = tuple(PROMPTS.values())
    prompt_slots = SLOTS
    task_term = "generation"
    tiny: ClassVar = {"history": 8}
    unreached = (  # one decoder step attends to itself, whatever q and k are
        "lm.decoder.block.0.layer.0.SelfAttention.q",
        "lm.decoder.block.0.layer.0.SelfAttention.k",
        "lm.decoder.block.0.layer.0.SelfAttention.relative_attention_bias",
    )

    def __init__(
        self, config: GenSRConfig, language_model: Backbone, cf_table: Tensor, item_tokens: Tensor
    ):
        super().__init__(config, cf_table=cf_table, item_tokens=item_tokens)
        self.n_items = len(cf_table) - 1
        self.lm = language_model.model
        self.tokenizer = language_model.tokenizer
        self.register_buffer("cf_table", cf_table.float())
        self.register_buffer("item_tokens", item_tokens)
        d = cf_table.shape[1]
        width = self.lm.get_input_embeddings().embedding_dim  # d'
        encoder = {"layers": config.layers, "heads": config.heads, "dropout": config.dropout}
        per_item = config.item_tokens if config.semantic_level == "token" else 1
        if config.cf_view:
            self.cf_projection = nn.Linear(d, width)
            self.cf_encoder = Encoder(d, config.history, **encoder)
            self.cf_filter = SoftFilter(d, config.heads)
            if config.cf_filter_start == "aligned":
                self.cf_filter.start_aligned()
        if config.semantic_view:
            self.semantic_encoder = Encoder(width, config.history * per_item, **encoder)
            self.semantic_filter = SoftFilter(width, config.heads)
        if self._aligns and config.contrastive_form == "released":
            # No random numbers are drawn: the other weights start as without them.
            self.contrastive_norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        if config.reader == "mlp":
            self.lm.requires_grad_(False)
            self.lm.get_input_embeddings().requires_grad_(True)  # item texts and queries
            self.mlp_reader = MLPReader(width, config.cf_view + config.semantic_view)
        if config.trained_on != "both":
            self.tasks = frozenset([config.trained_on])
        self.answers = answer_ids(self.tokenizer)
        slot_of, self.prompt_ids = prompt_tokens(self.tokenizer, config.task_prompts)
        on = {"cf": config.cf_view, "semantic": config.semantic_view}
        self._slot_of = {token: slot for token, slot in slot_of.items() if on[slot.split("_")[1]]}
        for task, ids in self.prompt_ids.items():  # slots of a view that is off are cut out
            kept = [t for t in ids if t in self._slot_of or t not in slot_of]
            self.prompt_ids[task] = kept

    @classmethod
    def check(cls, config: GenSRConfig, needs: Mapping[str, Config]) -> None:
        """Raises ConfigError if the heads do not divide the widths that they work on."""
        check_widths(config, **needs)

    @classmethod
    def from_dataset(
        cls, dataset: Dataset, config: GenSRConfig, language_model: Backbone, lightgcn: LightGCN
    ) -> GenSR:
        """Tokenize the catalogue; scale the CF table to unit root mean square, for the prompt."""
        tokens = token_matrix(language_model.tokenizer, dataset.item_text, config.item_tokens)
        cf_table = lightgcn.item_vectors()
        if config.cf_vectors == "random":
            # Same shape and size: only what the vectors know is taken away.
            cf_table = torch.randn(cf_table.shape, generator=torch.Generator().manual_seed(0))
            cf_table[0] = 0
        scale = cf_table[1:].square().mean().sqrt().clamp(min=1e-12)
        return cls(config, language_model, cf_table / scale, tokens)

    # --- §4.1 dual representation ------------------------------------------------------------

    def encode(self, batch: Batch) -> dict[str, View]:
        """Both views of each user's history, eq. 3 and eq. 4; done once per user, whatever C is."""
        items, _ = merged_history(batch, self.config.history, self.config.history_of)  # (B, N)
        views = {}
        if self.config.cf_view:
            valid = items != 0
            views["cf"] = View(self.cf_encoder(self.cf_table[items], valid), valid)  # eq. 3
        if self.config.semantic_view:
            semantic, valid = self._semantic_history(items)
            views["semantic"] = View(self.semantic_encoder(semantic, valid), valid)  # eq. 4
        return views

    def semantic_items(self, items: Tensor) -> Tensor:
        """s_i: the mean embedding of an item's text in the language model, (…) -> (…, d')."""
        embed = self.lm.get_input_embeddings()
        # An item occurs in many histories and candidate lists: each is embedded once.
        unique, place = items.unique(return_inverse=True)
        tokens = self.item_tokens[unique]
        vectors = masked_mean(embed(tokens), tokens != self.tokenizer.pad_token_id)
        # Not vectors[place]: on several threads the gradient of an index adds up in any order.
        return F.embedding(place, vectors)

    def _semantic_history(self, items: Tensor) -> tuple[Tensor, Tensor]:
        if self.config.semantic_level == "item":
            return self.semantic_items(items), items != 0
        tokens = self.item_tokens[items].flatten(1)  # (B, N*T)
        return self.lm.get_input_embeddings()(tokens), tokens != self.tokenizer.pad_token_id

    def soft_filter(
        self, views: dict[str, View], batch: Batch
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What each slot of the prompt holds, eq. 5 and eq. 6, and the weights alpha behind it.

        Returns:
            slots: (B, C, d') by slot name, for the views in use.
            weights: (B, C, N) by view; every candidate's weights over the history.
        """
        slots = {}
        weights = {}
        if self.config.cf_view:
            candidate = self.cf_table[batch.cand]  # (B, C, d)
            user, weights["cf"] = self._filtered(self.cf_filter, candidate, views["cf"])
            slots |= {"user_cf": self.cf_projection(user), "item_cf": self.cf_projection(candidate)}
        if self.config.semantic_view:
            candidate = self.semantic_items(batch.cand)  # (B, C, d')
            view = views["semantic"]
            user, weights["semantic"] = self._filtered(self.semantic_filter, candidate, view)
            slots |= {"user_semantic": user, "item_semantic": candidate}
        return slots, weights

    def _filtered(
        self, soft_filter: SoftFilter, candidate: Tensor, view: View
    ) -> tuple[Tensor, Tensor]:
        if self.config.history_slot == "filtered":
            return soft_filter(candidate, view.states, view.valid)
        # Without the filter every candidate sees the same average, and its weights are uniform.
        uniform = view.valid / view.valid.sum(dim=1, keepdim=True).clamp(min=1)  # (B, N)
        mean = masked_mean(view.states, view.valid)
        alike = (-1, candidate.shape[1], -1)
        return mean.unsqueeze(1).expand(alike), uniform.unsqueeze(1).expand(alike)

    # --- §4.2 task-specific prompt -----------------------------------------------------------

    def prompt(self, batch: Batch, views: dict[str, View], slots: dict[str, Tensor]) -> Prompt:
        """E_t of eq. 7: prompt text with the slots filled in, then the query and its </s>."""
        embed = self.lm.get_input_embeddings()
        device = batch.cand.device
        ids = self.prompt_ids[batch.task]
        query = query_tokens(self.tokenizer, batch.query_text).to(device)
        text = embed(torch.tensor(ids, device=device))  # (L, d')
        behind = embed(query["input_ids"]), query["attention_mask"]
        return assemble(ids, self._slot_of, text, behind, slots, self._sequences(views))

    def _sequences(self, views: dict[str, View]) -> dict[str, tuple[Tensor, Tensor]]:
        """C_u and S_u whole, as printed in eq. 7, where ``history_slot`` says so."""
        if self.config.history_slot != "sequence":
            return {}
        states = {name: view.states for name, view in views.items()}
        if "cf" in states:
            states["cf"] = self.cf_projection(states["cf"])
        return {f"user_{name}": (states[name], view.valid) for name, view in views.items()}

    def read(self, prompt: Prompt, slots: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The language model reads: mean of its encoder's states, and its answer's, (B, C, d').

        With ``reader="mlp"``: the features and the hidden units of `MLPReader`.
        """
        if self.config.reader == "mlp":
            return self.mlp_reader(slots, query_vector(prompt))
        if self.config.one_way:
            return one_way_states(self.lm, prompt)
        embeddings, mask = prompt.whole()
        shape = embeddings.shape[:2]
        per_candidate = mask.repeat_interleave(shape[1], dim=0)  # (B*C, L), row-major as flatten
        # Each candidate is a prompt of its own; what one_way saves is just this repetition.
        encoded, decoded = answer_states(self.lm, embeddings.flatten(0, 1), per_candidate)
        return masked_mean(encoded, per_candidate).unflatten(0, shape), decoded.unflatten(0, shape)

    def answer(
        self, batch: Batch, views: dict[str, View], zeroed: frozenset[str] = frozenset()
    ) -> Tensor:
        """log P of ("Yes", "No") for each candidate: (B, C, 2), eq. 9 without the minus.

        Args:
            zeroed: slots of the prompt that hold zeros instead, to see what rests on them.
        """
        slots, _ = self.soft_filter(views, batch)
        slots = {name: torch.zeros_like(x) if name in zeroed else x for name, x in slots.items()}
        return self._answer(batch, views, slots)

    def _answer(self, batch: Batch, views: dict[str, View], slots: dict[str, Tensor]) -> Tensor:
        _, decoded = self.read(self.prompt(batch, views, slots), slots)
        return self._log_probs(decoded)

    def _log_probs(self, decoded: Tensor) -> Tensor:
        if self.config.reader == "mlp":
            return self.mlp_reader.log_probs(decoded)
        return log_probs_of(self.lm, decoded, self.answers)

    # --- training and ranking ----------------------------------------------------------------

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Eq. 8: ``generation``, eq. 9, and ``contrastive``, eq. 10, which counts beta."""
        views = self.encode(batch)
        slots, _ = self.soft_filter(views, batch)
        terms = {"generation": instruction_tuning(self._answer(batch, views, slots))}
        if self._aligns:
            terms["contrastive"] = self._contrastive(batch, views, slots)
        return terms

    @property
    def _aligns(self) -> bool:
        return self.config.cf_view and self.config.semantic_view and self.config.contrastive

    def _contrastive(
        self, batch: Batch, views: dict[str, View], slots: dict[str, Tensor]
    ) -> Tensor:
        """Eq. 10 over users, or the released form over pairs of a user and a candidate."""
        tau = self.config.tau
        cf, semantic, known = self.user_vectors(views)
        if self.config.contrastive_form == "paper":
            rows = (x[known] for x in (cf, semantic, batch.user))
            return contrastive(*map(of_all_processes, rows), tau)
        # As released: each candidate's prompt is a row, with what its own filter made of the user.
        rows = (slots[name][known].flatten(0, 1) for name in ("user_cf", "user_semantic"))
        return contrastive_released(*map(of_all_processes, rows), self.contrastive_norms, tau)

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
        """log P(Yes) - log P(No), (B, C) float32: ranks as P(Yes) does, and never saturates."""
        return _logit(self.answer(batch, self.encode(batch)))

    def score_in_chunks(
        self, batch: Batch, size: int, zeroed: frozenset[str] = frozenset()
    ) -> Tensor:
        """As the base class, with the history encoded once and zeros in the slots of ``zeroed``."""
        views = self.encode(batch)
        parts = [batch.with_candidates(some) for some in batch.cand.split(size, dim=1)]
        return torch.cat([_logit(self.answer(part, views, zeroed)) for part in parts], dim=1)

    def represent(self, batch: Batch) -> Representation:
        """The vectors that fill the prompt, the states behind the answer, and the score.

        ``input`` holds the slots in the order of `SLOTS` and the mean embedding of the query's
        tokens (the end token included, so an empty query has one too); ``encoder`` is the mean of
        the encoder's states, ``head`` the decoder's state at the first generated position.
        """
        views = self.encode(batch)
        slots, _ = self.soft_filter(views, batch)
        prompt = self.prompt(batch, views, slots)
        encoded, decoded = self.read(prompt, slots)
        query = query_vector(prompt)  # (B, 1, d')
        filled = [slots[name] for name in SLOTS if name in slots]
        return Representation(
            input=torch.cat([*filled, query.expand(*batch.cand.shape, -1)], dim=-1),
            hidden={"encoder": encoded, "head": decoded},
            score=_logit(self._log_probs(decoded)),
        )

    @torch.no_grad()
    def filter_weights(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The history (B, N) and, by view, each candidate's weights over it (B, C, N).

        With token-level semantics the weights of an item's tokens are added up.
        """
        items, _ = merged_history(batch, self.config.history, self.config.history_of)
        _, weights = self.soft_filter(self.encode(batch), batch)
        n = self.config.history
        return items, {view: w.unflatten(-1, (n, -1)).sum(-1) for view, w in weights.items()}


def _logit(log_probs: Tensor) -> Tensor:
    """(..., 2) log P of "Yes" and "No" -> (...)."""
    return log_probs[..., 0] - log_probs[..., 1]
