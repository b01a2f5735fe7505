"""The prompt of eq. 7: text of the task, four soft slots, the query.

Kept in two parts, what all candidates of a row share and what each candidate fills in, so that the
shared part need not be repeated where nothing in it depends on the candidate (`one_way`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import BatchEncoding, PreTrainedTokenizerFast

from ...data.schema import REC, SRC

# The text around the slots, p_1 … p_5 of eq. 7. <extra_id_k> is slot k: the filtered CF and
# semantic history, the candidate's CF and semantic vector. Short, because each token costs time for
# each candidate; the query comes last, so that its length moves nothing.
PROMPTS = {
    REC: (
        "Recommendation: user history <extra_id_0> and <extra_id_1> "
        "item <extra_id_2> and <extra_id_3> click Yes or No"
    ),
    SRC: (
        "Search: user history <extra_id_0> and <extra_id_1> "
        "item <extra_id_2> and <extra_id_3> click Yes or No for the query"
    ),
}
SLOTS = ("user_cf", "user_semantic", "item_cf", "item_semantic")
# What is read of a query, as all rows of a batch pay for its longest one. UniSAR reads 50 words
# (`DataConfig.query_words`), which are some 70 tokens; the characters are cut so that the tokenizer
# is spared what it would throw away.
QUERY_TOKENS, QUERY_CHARACTERS = 100, 2000


@dataclass(frozen=True)
class Prompt:
    """Prompts of B rows with C candidates each, as embeddings; two parts that interleave.

    Attributes:
        shared: (B, P, d') what the candidates of a row have in common; (1, P, d') if all rows have
            it in common. The query's tokens come last.
        mask: (B, P) or (1, P), 1 where ``shared`` is real.
        shared_at: (P,) positions in the whole prompt.
        own: (B, C, S, d') the slots that each candidate fills.
        own_at: (S,) their positions.
        query: how many of the shared tokens are the query's, padding included.
    """

    shared: Tensor
    mask: Tensor
    shared_at: Tensor
    own: Tensor
    own_at: Tensor
    query: int

    def whole(self) -> tuple[Tensor, Tensor]:
        """One prompt per candidate: embeddings (B, C, L, d') and their mask (B, L), L = P + S."""
        rows, candidates = self.own.shape[:2]
        shared = self.shared.expand(rows, -1, -1).unsqueeze(1).expand(-1, candidates, -1, -1)
        order = torch.cat([self.shared_at, self.own_at]).argsort()
        filled = self.mask.new_ones(rows, len(self.own_at))
        mask = torch.cat([self.mask.expand(rows, -1), filled], dim=1)
        whole = torch.cat([shared, self.own], dim=2)
        return whole.index_select(2, order), mask.index_select(1, order)


def prompt_tokens(
    tokenizer: PreTrainedTokenizerFast, task_prompts: bool
) -> tuple[dict[int, str], dict[str, list[int]]]:
    """Which token stands for which slot, and the token ids of each task's prompt.

    Args:
        task_prompts: whether each task has its own words; else both have those of search.
    """
    marks = tokenizer.convert_tokens_to_ids([f"<extra_id_{k}>" for k in range(len(SLOTS))])
    texts = {task: PROMPTS[task if task_prompts else SRC] for task in PROMPTS}
    ids = {t: tokenizer(text, add_special_tokens=False)["input_ids"] for t, text in texts.items()}
    return dict(zip(marks, SLOTS, strict=True)), ids


def query_tokens(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> BatchEncoding:
    """Token ids and mask of queries, (B, Q); (1, Q) if all rows have the same, as without one.

    Each ends in </s>, and is cut to `QUERY_TOKENS` with it.
    """
    texts = [text[:QUERY_CHARACTERS] for text in texts]
    texts = texts[:1] if len(set(texts)) == 1 else texts
    cut = {"truncation": True, "max_length": QUERY_TOKENS}
    return tokenizer(texts, padding=True, return_tensors="pt", **cut)


def assemble(
    ids: list[int],
    slot_of: Mapping[int, str],
    text: Tensor,
    query: tuple[Tensor, Tensor],
    slots: Mapping[str, Tensor],
    sequences: Mapping[str, tuple[Tensor, Tensor]],
) -> Prompt:
    """Put a prompt together.

    Args:
        ids: token ids of the text, slot ids among them.
        slot_of: the slot that each slot id stands for.
        text: (len(ids), d') embeddings of ``ids``; those of slots are not used.
        query: embeddings (B, Q, d') or (1, Q, d') and mask of what stands behind the text.
        slots: (B, C, d') by slot, one vector per candidate; (B, C, n, d') if it takes n positions.
        sequences: (B, N, d') and mask (B, N) by slot: these take the place of the slot's vector.
    """
    one = query[1].new_ones(1, 1)  # the mask of a single word
    shared = []  # pairs of embeddings and mask
    shared_at = []
    own = []
    own_at = []
    position = 0
    for token, vector in zip(ids, text, strict=True):
        slot = slot_of.get(token)
        # A slot holds either one vector per candidate, or a whole history, which all candidates
        # share and which then counts as many positions as it has items.
        if slot is not None and slot not in sequences:  # filled by each candidate itself
            filled = slots[slot] if slots[slot].ndim == 4 else slots[slot].unsqueeze(2)
            own.append(filled)  # (B, C, n, d')
            own_at += range(position, position + filled.shape[2])
            position += filled.shape[2]
            continue
        part = sequences[slot] if slot else (vector[None, None], one)
        length = part[1].shape[1]
        shared.append(part)
        shared_at += range(position, position + length)
        position += length
    length = query[1].shape[1]
    shared.append(query)
    shared_at += range(position, position + length)
    rows = max(len(mask) for _, mask in shared)
    embeddings = [part.to(text.dtype).expand(rows, -1, -1) for part, _ in shared]
    masks = [mask.to(query[1].dtype).expand(rows, -1) for _, mask in shared]
    return Prompt(
        shared=torch.cat(embeddings, dim=1),
        mask=torch.cat(masks, dim=1),
        shared_at=torch.tensor(shared_at, device=text.device),
        own=torch.cat(own, dim=2).to(text.dtype),
        own_at=torch.tensor(own_at, device=text.device),
        query=length,
    )
