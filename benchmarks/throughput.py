"""How fast GenSR trains and ranks, and what its three economies are worth, on this machine.

    python benchmarks/throughput.py [--quick] [--out FILE]

Two language models of random weights: the pocket T5 of profile ``pocket``, and one of flan-t5-base's
shape. Speed does not depend on what the weights are. `README.md` says what each figure means.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from command import command
from torch import Tensor
from transformers import T5Config, T5ForConditionalGeneration

from gensr_lib.data.batches import Batch
from gensr_lib.data.schema import BEHAVIORS
from gensr_lib.experiments.workspace import Workspace
from gensr_lib.models.answers import answer_states, log_probs_of
from gensr_lib.models.gensr.model import GenSR
from gensr_lib.models.language_model import Backbone
from gensr_lib.models.recommendation.lightgcn import LightGCN, LightGCNConfig

PUBLISHED = "training 199 samples/s, ranking 2,523 candidates/s"
CF_WIDTH = 64  # of the LightGCN table; untrained here
FLAN_T5_BASE = dict(vocab_size=32128, d_model=768, d_kv=64, d_ff=2048, num_heads=12, num_layers=12,
                    num_decoder_layers=12)  # fmt: skip
TINY = dict(vocab_size=2048, d_model=32, d_kv=16, d_ff=64, num_heads=2, num_layers=1, num_decoder_layers=1)


@dataclass(frozen=True)
class Load:
    """How much is done in one timed call, and how often."""

    train_rows: int  # of each task
    score_rows: int
    candidates: int
    repeats: int


@dataclass(frozen=True)
class Bench:
    """One model ready to be timed."""

    model: GenSR
    one_way: GenSR  # the same, whose prompts do not see their slots: encoded once for all candidates
    train: list[Batch]  # one batch per task, with 1 + 4 candidates
    score: Batch
    repeats: int

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.cf_table.device

    def times(self, *calls: Callable[[], object]) -> list[list[float]]:
        """Seconds of each call, taken in turn so that a busy machine slows all of them alike."""
        for call in calls:
            call()  # warm-up
        found = [[self._seconds(call) for call in calls] for _ in range(self.repeats)]
        return [list(column) for column in zip(*found, strict=True)]

    def _seconds(self, call: Callable[[], object]) -> float:
        self.wait()
        started = time.perf_counter()
        call()
        self.wait()
        return time.perf_counter() - started

    def wait(self) -> None:
        """Until the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def precision(self) -> contextlib.AbstractContextManager:
        """As in training: bfloat16 where a GPU has it."""
        bf16 = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.autocast("cuda", torch.bfloat16) if bf16 else contextlib.nullcontext()


# --- what is timed ------------------------------------------------------------------------------


def training(bench: Bench) -> dict:
    """One optimizer step over a batch of each task, and the share of the language model in it."""
    model = bench.model.train()
    recorded = [_prompts(bench, batch) for batch in bench.train]
    loss_and_gradient, step = _training_calls(bench, model)
    _, one_way_step = _training_calls(bench, bench.one_way.train())

    def language_model() -> None:
        with bench.precision():
            total = sum(answer_log_probs(model.lm, e.requires_grad_(), m, model.answers).mean() for e, m in recorded)
        total.backward()

    whole, both_ways, lm, one_way = bench.times(step, loss_and_gradient, language_model, one_way_step)
    model.zero_grad()
    rows = sum(len(batch) for batch in bench.train)
    candidates = sum(batch.cand.numel() for batch in bench.train)
    seconds = statistics.median(whole)
    return {
        "rows_per_second": rows / seconds,
        "candidates_per_second": candidates / seconds,
        "one_way_candidates_per_second": candidates / statistics.median(one_way),
        "share_outside_language_model": _share_outside(lm, both_ways),
        "seconds": {"step": whole, "forward and backward": both_ways, "language model alone": lm,
                    "one-way step": one_way},
    }  # fmt: skip


def _training_calls(bench: Bench, model: GenSR) -> tuple[Callable[[], None], Callable[[], None]]:
    """Loss and gradient of the training batches, and a whole step of the optimizer."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)

    def loss_and_gradient() -> None:
        with bench.precision():
            total = sum(sum(model.loss(batch).values()) for batch in bench.train)
        total.backward()

    def step() -> None:
        loss_and_gradient()
        optimizer.step()
        optimizer.zero_grad()

    return loss_and_gradient, step


def scoring(bench: Bench) -> dict:
    """Ranking: candidates a second, the language model's share, and the history encoded C times as often."""
    model, batch = bench.model.eval(), bench.score
    embeddings, mask = _prompts(bench, batch)
    spread = per_candidate(batch)

    @torch.inference_mode()
    def score(made: Batch = batch, by: GenSR = model) -> None:
        with bench.precision():
            by.score(made)

    @torch.inference_mode()
    def language_model() -> None:
        with bench.precision():
            answer_log_probs(model.lm, embeddings, mask, model.answers)

    @torch.inference_mode()
    def encode(made: Batch = batch) -> None:
        with bench.precision():
            model.encode(made)

    other = bench.one_way.eval()
    once, repeated, lm, encode_once, encode_repeated, one_way = bench.times(
        score,
        lambda: score(spread),
        language_model,
        encode,
        lambda: encode(spread),
        lambda: score(by=other),
    )
    return {
        "candidates_per_second": batch.cand.numel() / statistics.median(once),
        "one_way_candidates_per_second": batch.cand.numel() / statistics.median(one_way),
        "share_outside_language_model": _share_outside(lm, once),
        "per_candidate_over_per_user": _ratio(repeated, once),
        "per_candidate_over_per_user_encoding_alone": _ratio(encode_repeated, encode_once),
        "seconds": {"once per user": once, "once per candidate": repeated, "language model alone": lm,
                    "encoding once per user": encode_once, "encoding once per candidate": encode_repeated,
                    "one-way": one_way},
    }  # fmt: skip


def head(bench: Bench) -> dict:
    """The full vocabulary head against the two logits that are needed, behind the same prompts."""
    model = bench.model.eval()
    embeddings, mask = _prompts(bench, bench.score)

    @torch.inference_mode()
    def two() -> None:
        with bench.precision():
            answer_log_probs(model.lm, embeddings, mask, model.answers)

    @torch.inference_mode()
    def full() -> None:
        with bench.precision():
            full_head_log_probs(model.lm, embeddings, mask, model.answers)

    few, all_logits = bench.times(two, full)
    return {"full_over_two_logits": _ratio(all_logits, few), "seconds": {"two": few, "full": all_logits}}


def per_candidate(batch: Batch) -> Batch:
    """The same work with a row per candidate, (B, C) -> (B * C, 1): every candidate encodes the history anew."""
    rows, n = batch.cand.shape
    index = torch.arange(rows, device=batch.cand.device).repeat_interleave(n)
    return replace(batch.rows(index), cand=batch.cand.reshape(-1, 1))


def answer_log_probs(model, embeddings: torch.Tensor, mask: torch.Tensor, answers) -> torch.Tensor:
    """The language model's part of a score: prompts (M, L, d') to log P of the answers, (M, 2)."""
    return log_probs_of(model, answer_states(model, embeddings, mask)[1], answers)


def full_head_log_probs(lm, embeddings: Tensor, mask: Tensor, answers: tuple[int, int]) -> Tensor:
    """What `answer_log_probs` gives, by way of the logits of the whole vocabulary."""
    start = torch.full((len(embeddings), 1), lm.config.decoder_start_token_id, device=embeddings.device)
    logits = lm(inputs_embeds=embeddings, attention_mask=mask, decoder_input_ids=start, use_cache=False).logits[:, 0]
    return logits.float().log_softmax(-1)[:, list(answers)].log_softmax(-1)


def _prompts(bench: Bench, batch: Batch) -> tuple[Tensor, Tensor]:
    """The prompts (B * C, L, d') and their mask as the model hands them to the language model."""
    with torch.no_grad(), bench.precision():
        views = bench.model.encode(batch)
        embeddings, mask = bench.model.prompt(batch, views, bench.model.soft_filter(views, batch)[0]).whole()
    return embeddings.flatten(0, 1), mask.repeat_interleave(batch.cand.shape[1], dim=0)


def _ratio(numerator: list[float], denominator: list[float]) -> float:
    """Median of the ratios within each repeat."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


def _share_outside(language_model: list[float], whole: list[float]) -> float:
    return 1 - _ratio(language_model, whole)


# --- what it is timed on ------------------------------------------------------------------------


def shaped_t5(tokenizer, shape: dict) -> T5ForConditionalGeneration:
    """A T5 1.1 (gated GELU, untied head, as flan-t5) of some shape, with random weights."""
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    model = T5ForConditionalGeneration(T5Config(
        **shape, feed_forward_proj="gated-gelu", tie_word_embeddings=False, pad_token_id=pad, eos_token_id=end,
        decoder_start_token_id=pad,
    ))  # fmt: skip
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())  # transformers 5 ties it anyway
    return model


def make_bench(workspace: Workspace, backbone: Backbone, load: Load, device: str) -> Bench:
    """GenSR on a backbone, with batches of the workspace's data set."""
    dataset = workspace.dataset
    untrained = LightGCN.from_dataset(dataset, LightGCNConfig(width=CF_WIDTH))
    # As the paper has it: one-way, the prompts that the language model is timed on are not what it reads.
    config = workspace.specify("gensr", one_way=False).options
    model = GenSR.from_dataset(dataset, config, backbone, untrained).to(device)
    shared = Backbone(model.lm, backbone.tokenizer)  # the larger part of both, once in memory
    one_way = GenSR.from_dataset(dataset, config.replace(one_way=True), shared, untrained).to(device)
    batches = [dataset.batch("test", task, np.arange(load.train_rows)) for task in BEHAVIORS]
    train = [batch.with_candidates(batch.cand[:, :5]).to(device) for batch in batches]
    score = dataset.batch("test", "src", np.arange(load.score_rows))
    return Bench(
        model, one_way, train, score.with_candidates(score.cand[:, : load.candidates]).to(device), load.repeats
    )


def measure(bench: Bench, load: Load) -> dict:
    """All figures of one model."""
    embeddings, _ = _prompts(bench, bench.score)
    return {
        "parameters": sum(p.numel() for p in bench.model.parameters()),
        "language_model_parameters": sum(p.numel() for p in bench.model.lm.parameters()),
        "prompt_tokens": embeddings.shape[1],
        "load": vars(load),
        "training": training(bench),
        "scoring": scoring(bench),
        "head": head(bench),
    }


def loads(quick: bool, device: str) -> dict[str, Load]:
    """How much to time: little on a CPU, where flan-t5-base takes seconds per row."""
    if quick:
        return dict.fromkeys(("pocket", "flan-t5-base"), Load(2, 2, 10, 2))
    if device == "cuda":
        return {"pocket": Load(64, 64, 100, 20), "flan-t5-base": Load(32, 14, 100, 10)}
    return {"pocket": Load(64, 32, 100, 7), "flan-t5-base": Load(2, 1, 100, 3)}


def run(quick: bool) -> dict:
    """Both models, one after the other."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    workspace = Workspace("pocket", "smoke" if quick else "pocket")
    pocket = workspace.language_model("gensr")
    sizes = loads(quick, device)
    found = {"pocket": measure(make_bench(workspace, pocket, sizes["pocket"], device), sizes["pocket"])}
    shaped = Backbone(shaped_t5(pocket.tokenizer, TINY if quick else FLAN_T5_BASE), pocket.tokenizer)
    bench = make_bench(workspace, shaped, sizes["flan-t5-base"], device)
    found["flan-t5-base"] = measure(bench, sizes["flan-t5-base"])
    return {"models": found}


def table(result: dict) -> str:
    """The figures for a terminal."""
    models = result["models"]
    lines = [f"{'':46}" + "".join(f"{name:>14}" for name in models)]
    for part, figure, form in (
        ("training", "rows_per_second", ".1f"), ("training", "candidates_per_second", ".1f"),
        ("training", "one_way_candidates_per_second", ".1f"), ("scoring", "one_way_candidates_per_second", ".1f"),
        ("training", "share_outside_language_model", ".1%"), ("scoring", "candidates_per_second", ".1f"),
        ("scoring", "share_outside_language_model", ".1%"), ("scoring", "per_candidate_over_per_user", ".2f"),
        ("scoring", "per_candidate_over_per_user_encoding_alone", ".1f"), ("head", "full_over_two_logits", ".2f"),
    ):  # fmt: skip
        label = f"{part}: {figure.replace('_', ' ').replace(' over ', ' / ')}"
        lines.append(f"{label:46}" + "".join(f"{format(m[part][figure], form):>14}" for m in models.values()))
    lines.append(f"published for the authors' code on an A100, flan-t5-base: {PUBLISHED}")
    return "\n".join(lines)


main = partial(command, __doc__, run, table, "throughput")

if __name__ == "__main__":
    main()
