"""The quantiser against loops and closed forms, its balance against an optimal assignment, and identifiers at pocket
size."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from gensr_lib.config import PocketConfig, read_profile
from gensr_lib.data.item_texts import item_texts
from gensr_lib.data.pocket.world import simulate
from gensr_lib.models.joint import quantiser as module
from gensr_lib.models.joint.gensar import GenSARConfig
from gensr_lib.models.joint.item_codes import text_vectors
from gensr_lib.models.joint.quantiser import (
    Quantiser,
    QuantiserConfig,
    balanced,
    collisions,
    descend,
    fit,
    identifiers,
    separated,
    sharing,
    sinkhorn,
    standardised,
)
from gensr_lib.models.language_model import NO_TEXT

SMALL = QuantiserConfig(codes=8, code_width=4, code_layers=(16,), code_epochs=30, code_rate=0.01, code_batch=50)


def views(n: int = 120, seed: int = 0, spread: float = 0.3) -> list[torch.Tensor]:
    """Two views of items of six kinds."""
    g = torch.Generator().manual_seed(seed)
    kind = torch.randint(6, (n,), generator=g)
    centres = torch.randn(2, 6, 10, generator=g)
    noise = spread * torch.randn(2, n, 10, generator=g)
    return [standardised(x) for x in centres[:, kind] + noise]


def quantiser(n_views: int = 2, shared: int = 2, own: int = 2, config: QuantiserConfig = SMALL) -> Quantiser:
    torch.manual_seed(0)
    model = Quantiser(config, [10] * n_views, shared, own)
    model.start(views()[:n_views])
    return model


# --- balance ----------------------------------------------------------------------------------


def test_a_plan_gives_rows_one_and_columns_their_share():
    cost = torch.rand(12, 5, dtype=torch.float64)
    plan = sinkhorn(cost, 0.1, rounds=500)
    assert torch.allclose(plan.sum(0), torch.full((5,), 12 / 5, dtype=torch.float64))
    assert torch.allclose(plan.sum(1), torch.ones(12, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(sinkhorn(3 * cost + 7, 0.1, rounds=500), plan), "costs are scaled"
    several = sinkhorn(torch.stack([cost, cost.flip(0) ** 2]), 0.1, rounds=500)
    assert torch.allclose(several[0], plan) and torch.allclose(several[1], sinkhorn(cost.flip(0) ** 2, 0.1, rounds=500))


def test_a_sharp_plan_is_the_optimal_assignment():
    rng = np.random.default_rng(0)
    cost = rng.random((7, 7))
    _, best = linear_sum_assignment(cost)
    assert (best != cost.argmin(axis=1)).any(), "else the nearest would do"
    plan = sinkhorn(torch.from_numpy(cost), 0.01, rounds=5000)
    assert plan.argmax(dim=1).tolist() == best.tolist()


@pytest.mark.parametrize("rows", [torch.ones(3, 2), torch.tensor([[0.0, 0.0], [1e6, 0.0], [0.0, 1e-6]])])
def test_extreme_vectors_have_a_finite_plan(rows):
    cost = torch.cdist(rows.double(), torch.tensor([[0.0, 0.0], [2e6, 1.0]], dtype=torch.float64)).square()
    plan = sinkhorn(cost, 0.003, rounds=50)
    assert plan.isfinite().all() and torch.allclose(plan.sum(0), torch.full((2,), 1.5, dtype=torch.float64))


def test_balanced_codes_are_used_alike_where_the_nearest_are_not():
    torch.manual_seed(0)
    x = torch.randn(400, 3) + 2
    book = torch.randn(8, 3)
    nearest = torch.bincount(module.nearest(x, book), minlength=8)
    found = torch.bincount(balanced(x, book, 0.003), minlength=8)
    assert nearest.max() > 300 and nearest.min() == 0 and found.max() < 130 and found.min() > 25
    found = torch.bincount(balanced(x, book, 0.003, rounds=3000), minlength=8)
    assert found.max() < 60 and found.min() > 40


# --- one codebook after the other -------------------------------------------------------------


def test_descent_by_hand():
    torch.manual_seed(0)
    x, books = torch.randn(6, 3), torch.randn(3, 4, 3)
    found = descend(x, books, commitment=0.25)
    losses = np.zeros(3)
    for row in range(6):
        rest = x[row].clone()
        for level in range(3):
            if level == 2:
                assert torch.allclose(found.last[row], rest)
            code = min(range(4), key=lambda k: float((rest - books[level, k]).square().sum()))
            assert found.codes[row, level] == code
            rest = rest - books[level, code]
            losses[level] += 1.25 * float(rest.square().mean()) / 6
        assert torch.allclose(found.rest[row], rest, atol=1e-6)
        assert torch.allclose(found.total[row], x[row] - rest, atol=1e-6)
    assert np.allclose([float(loss) for loss in found.losses], losses, atol=1e-5)


def test_only_the_last_codebook_balances():
    torch.manual_seed(0)
    x, books = torch.randn(60, 3), torch.randn(3, 6, 3)
    plain, even = descend(x, books, 0.25), descend(x, books, 0.25, 0.003)
    assert torch.equal(plain.codes[:, :2], even.codes[:, :2])
    assert torch.equal(even.codes[:, 2], balanced(plain.last, books[2], 0.003))
    assert not torch.equal(plain.codes[:, 2], even.codes[:, 2])


def test_reconstruction_teaches_the_encoders_and_the_codes_also_the_codebooks():
    model, vectors = quantiser(), views()
    terms = model.loss(vectors)
    assert set(terms) == {"reconstruction", "codes"}
    terms["reconstruction"].backward(retain_graph=True)
    assert model.shared.grad is None and model.own.grad is None
    assert all(p.grad.any() for part in (model.encoders, model.decoders) for p in part.parameters())
    model.zero_grad()
    terms["codes"].backward()
    assert all(p.grad is None for p in model.decoders.parameters())
    assert model.shared.grad.flatten(1).any(dim=1).all() and model.own.grad.flatten(2).any(dim=2).all()
    assert all(p.grad.any() for p in model.encoders.parameters())


def test_the_loss_by_hand():
    """Two views' errors behind what their codes say, and the mean over six codebooks."""
    model, vectors = quantiser(), views()
    latent = model.encode(vectors)
    shared, own = model.quantise(latent, balanced=True)
    expected = 0
    for view, (part, decoder, x) in enumerate(zip(own, model.decoders, vectors, strict=True)):
        said = shared.total[:, 4 * view : 4 * view + 4] + part.total
        expected = expected + (decoder(said) - x).square().mean()
    found = model.loss(vectors)
    assert torch.allclose(found["reconstruction"], expected, atol=1e-5)
    losses = [*shared.losses, *own[0].losses, *own[1].losses]
    assert len(losses) == 6 and torch.allclose(found["codes"], sum(losses) / 6)


def test_codebooks_begin_as_centres_of_what_they_are_to_approximate():
    model, vectors = quantiser(), views()
    shared, own = model.quantise(model.encode(vectors))
    before = model.encode(vectors).square().mean()
    assert shared.rest.square().mean() < 0.5 * before
    assert all(part.rest.square().mean() < part.last.square().mean() for part in own)
    code, book = shared.codes[:, 0], model.shared[0]
    centres = torch.stack([model.encode(vectors)[code == k].mean(0) for k in code.unique()])
    assert torch.allclose(book[code.unique()], centres, atol=1e-4)


# --- identifiers ------------------------------------------------------------------------------


def test_groups_of_items_that_share_an_identifier():
    torch.manual_seed(0)
    codes = torch.randint(4, (40, 2))
    found = {tuple(group) for groups in sharing(codes) for group in groups.tolist()}
    of = {}
    for item, code in enumerate(map(tuple, codes.tolist())):
        of.setdefault(code, []).append(item)
    assert found == {tuple(items) for items in of.values() if len(items) > 1}
    assert len({len(group) for group in found}) > 2 and collisions(codes) == 40 - len(of)


def test_items_that_share_an_identifier_are_parted_within_their_first_codes():
    torch.manual_seed(0)
    codes = torch.tensor([[0, 1], [0, 1], [0, 1], [0, 2], [1, 1], [1, 3]])
    last, book = torch.randn(6, 3), torch.randn(5, 3)
    assert [group.tolist() for group in sharing(codes)] == [[[0, 1, 2]]] and collisions(codes) == 2
    found = separated(codes, last, book, 0.003)
    assert collisions(found) == 0 and torch.equal(found[:, 0], codes[:, 0])
    assert torch.equal(found[4:], codes[4:]), "whoever shares with nobody stays"
    assert torch.equal(codes[:3, 1], torch.ones(3).long()), "what was given is left as it was"
    equal = separated(torch.zeros(40, 2).long(), torch.ones(40, 3), torch.randn(64, 3), 0.003)
    assert collisions(equal) <= 1, "forty equal ones, as items without a text"
    crowd = separated(torch.zeros(9, 2).long(), torch.randn(9, 3), book, 0.003)
    assert collisions(crowd) == 4 and len(crowd[:, 1].unique()) == 5, "five codes are five identifiers"


@pytest.mark.parametrize(("n_views", "shared", "own"), [(2, 2, 2), (2, 4, 0), (1, 4, 0), (2, 1, 3)])
def test_all_views_of_an_item_begin_alike(n_views, shared, own):
    torch.manual_seed(0)
    found = identifiers(views(spread=1.0)[:n_views], SMALL, shared, own)
    assert found.shape == (n_views, 120, 4) and found.min() >= 0 and found.max() < SMALL.codes
    assert (found[..., :shared] == found[:1, :, :shared]).all()
    if own:
        assert (found[0, :, shared:] != found[1, :, shared:]).any(dim=1).sum() > 60
    assert max(map(collisions, found)) <= 6


def test_equal_vectors_have_equal_identifiers_and_a_seed_gives_the_same():
    vectors = views(40)
    twice = [torch.cat([x, x]) for x in vectors]
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        found.append(identifiers(twice, SMALL, 2, 2))
    assert torch.equal(*found) and torch.equal(found[0][:, :40], found[0][:, 40:])
    torch.manual_seed(4)
    assert not torch.equal(identifiers(twice, SMALL, 2, 2), found[0])


def test_reconstruction_falls():
    torch.manual_seed(0)
    vectors = views()
    before = quantiser().loss(vectors)["reconstruction"]
    after = fit(vectors, SMALL, 2, 2).loss(vectors)["reconstruction"]
    assert before > 1.5 and after < 0.5


def test_of_the_second_half_the_check_with_the_fewest_collisions_counts(monkeypatch):
    seen = []

    def counted(codes):
        seen.append(codes)
        return [3, 1, 2, 2][len(seen) - 1]

    monkeypatch.setattr(module, "collisions", counted)
    monkeypatch.setattr(module, "CHECKS", 4)
    torch.manual_seed(0)
    vectors = views()[:1]
    model = fit(vectors, SMALL.replace(code_epochs=8, code_rate=0.1), 4, 0)
    assert len(seen) == 4
    same = [torch.equal(model.codes(vectors)[0], codes) for codes in seen]
    assert same == [False, True, False, False]


def test_fewer_items_than_codes():
    torch.manual_seed(0)
    found = identifiers([x[:5] for x in views()], SMALL.replace(codes=32), 2, 2)
    assert found.shape == (2, 5, 4) and sum(map(collisions, found)) == 0


@cache
def of_pocket() -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of 1,400 simulated items, of which every fourth lacks a text: of texts, and of whom they please."""
    world = simulate(PocketConfig(n_users=100, n_items=1400, n_events=2000), 0)
    numbers = world.truth.item_index(world.items["item_id"].to_numpy())
    torch.manual_seed(0)
    latent = torch.from_numpy(world.truth.item_latent[numbers]).float()
    collaborative = latent @ torch.randn(latent.shape[1], 64) + 0.5 * torch.randn(len(latent), 64)
    texts = item_texts(world.items).tolist()
    texts[::4] = [NO_TEXT] * len(texts[::4])
    return text_vectors(texts, 64), collaborative


def test_at_pocket_size_almost_every_item_has_identifiers_of_its_own():
    config = GenSARConfig(**read_profile("pocket").models["gensar"].model)
    torch.manual_seed(0)
    vectors = of_pocket()
    found = identifiers(vectors, config, config.shared_levels, config.own_levels)
    assert found.shape == (2, 1400, 4) and config.codes == 32
    assert max(map(collisions, found)) <= 0.02 * 1400
