"""FMLP-Rec: what its filter is, and the model by hand in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import erf

from gensr_lib.models.recommendation.fmlp import SpectralFilter
from tests.models.recommendation.sequences import CANDIDATES, HISTORIES, batch_of, untrained

by_length = pytest.mark.parametrize("length", [6, 7])


def spectral(length: int) -> SpectralFilter:
    torch.manual_seed(0)
    made = SpectralFilter(length, 3)
    made.weight.data.normal_()
    return made


# --- the filter -------------------------------------------------------------------------------


@torch.no_grad()
@by_length
def test_a_filter_is_linear(length):
    made, x, y = spectral(length), torch.randn(2, length, 3), torch.randn(2, length, 3)
    assert torch.allclose(made(2 * x - 3 * y), 2 * made(x) - 3 * made(y), atol=1e-5)


@torch.no_grad()
@by_length
def test_a_filter_is_a_circular_convolution_by_channel(length):
    made, x = spectral(length), torch.randn(2, length, 3)
    kernel = np.fft.irfft(made.weight[..., 0].numpy() + 1j * made.weight[..., 1].numpy(), n=length, axis=0)
    expected = np.zeros((2, length, 3))
    for t in range(length):
        for s in range(length):
            expected[:, t] += kernel[(t - s) % length] * x[:, s].numpy()
    assert np.allclose(made(x).numpy(), expected, atol=1e-5)


@torch.no_grad()
@by_length
def test_a_filter_commutes_with_shifts_around_the_circle(length):
    made, x = spectral(length), torch.randn(2, length, 3)
    for shift in range(length):
        assert torch.allclose(made(x.roll(shift, 1)), made(x).roll(shift, 1), atol=1e-5)


@torch.no_grad()
@by_length
def test_weights_of_one_change_nothing(length):
    made, x = spectral(length), torch.randn(2, length, 3)
    made.weight.data = torch.tensor([1.0, 0.0]).expand_as(made.weight)
    assert torch.allclose(made(x), x, atol=1e-6)


def test_weights_are_pairs_of_real_numbers():
    assert spectral(30).weight.shape == (16, 3, 2) and spectral(30).weight.dtype == torch.float32


# --- the model --------------------------------------------------------------------------------


def normed(module, x: np.ndarray) -> np.ndarray:
    weight, bias = module.weight.numpy(), module.bias.numpy()
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * weight + bias


def by_hand(model, history: list[int]) -> np.ndarray:
    """h at each of N positions, padding in front, in numpy."""
    n = model.config.history
    ids = [0] * (n - len(history)) + history
    x = normed(model.entry[0], model.items.weight.numpy()[ids] + model.position.numpy())
    for block in model.blocks:
        weight = block.filter[0].weight.numpy()
        spectrum = np.fft.rfft(x, axis=0, norm="ortho") * (weight[..., 0] + 1j * weight[..., 1])
        x = normed(block.filter_norm, x + np.fft.irfft(spectrum, n=n, axis=0, norm="ortho"))
        first, second = block.feed[0], block.feed[2]
        inner = x @ first.weight.numpy().T + first.bias.numpy()
        inner = inner * (1 + erf(inner / math.sqrt(2))) / 2
        x = normed(block.feed_norm, x + inner @ second.weight.numpy().T + second.bias.numpy())
    return x


@torch.no_grad()
@by_length
def test_scores_are_those_by_hand(length):
    model = untrained("fmlp", history=length)
    scores = model.score(batch_of())
    for row, history, candidates in zip(scores, HISTORIES, CANDIDATES, strict=True):
        expected = model.items.weight[candidates].numpy() @ by_hand(model, history)[-1]
        assert np.allclose(row.numpy(), expected, atol=1e-5)


@torch.no_grad()
def test_the_loss_is_of_the_last_position_against_the_first_negatives():
    for negatives in (1, 2):
        model = untrained("fmlp", negatives=negatives)
        found = []
        for history, candidates in zip(HISTORIES, CANDIDATES, strict=True):
            scores = model.items.weight[candidates].numpy() @ by_hand(model, history)[-1]
            p = 1 / (1 + np.exp(-scores))
            found += [-math.log(p[0]), *(-math.log(1 - p[k]) for k in range(1, 1 + negatives))]
        assert model.loss(batch_of())["click"].item() == pytest.approx(np.mean(found), abs=1e-5)


@torch.no_grad()
def test_zero_scores_cost_ln_2():
    model = untrained("fmlp")
    model.items.weight.zero_()
    assert model.loss(batch_of())["click"].item() == pytest.approx(math.log(2))


@torch.no_grad()
def test_an_earlier_state_has_read_the_newest_item():
    """Not causal: this is why no position but the last may be trained."""
    model = untrained("fmlp")
    one, two = (model.states(torch.tensor([[3, 7, 1, 4, 9, item]])) for item in (2, 5))
    assert not torch.allclose(one[:, 0], two[:, 0], atol=1e-4)
