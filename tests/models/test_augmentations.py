"""Views of a history: what a crop, a shuffle and a choice leave as it was, and how much they change."""

from __future__ import annotations

import pytest
import torch

from gensr_lib.models.augmentations import cropped, reordered, some_of

LENGTHS = [0, 1, 2, 5, 10, 12]
REAL = torch.arange(12) < torch.tensor(LENGTHS)[:, None]
HISTORY = torch.where(REAL, 100 * (1 + torch.arange(6))[:, None] + torch.arange(12), 0)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
def test_a_crop_is_a_stretch_of_its_length_from_anywhere(share):
    starts = [set() for _ in LENGTHS]
    for _ in range(300):
        at, inside = cropped(REAL, share)
        for row, n in enumerate(LENGTHS):
            kept = HISTORY[row, at[row]][inside[row]].tolist()
            length = min(max(1, int(share * n + 1e-6)), n)
            whole = HISTORY[row][REAL[row]].tolist()
            assert len(kept) == length and inside[row, :length].all(), "padding stays on the right"
            start = whole.index(kept[0]) if kept else 0
            assert kept == whole[start : start + length]
            starts[row].add(start)
    for n, found in zip(LENGTHS, starts, strict=True):
        assert len(found) == max(n - min(max(1, int(share * n + 1e-6)), n), 0) + 1, "every start is drawn"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
def test_a_reordering_shuffles_one_stretch_and_keeps_all(share):
    ever_moved = torch.zeros_like(REAL)
    for _ in range(300):
        at = reordered(REAL, share)
        for row, n in enumerate(LENGTHS):
            assert sorted(at[row].tolist()) == list(range(12))
            moved = (at[row] != torch.arange(12)).nonzero().flatten().tolist()
            if moved:
                assert moved[-1] < n and moved[-1] - moved[0] < int(share * n + 1e-6)
        ever_moved |= at != torch.arange(12)
    for row, n in enumerate(LENGTHS):
        shuffled = int(share * n + 1e-6) > 1
        assert ever_moved[row, :n].all() == shuffled or n == 0
        assert not ever_moved[row, n:].any() and (shuffled or not ever_moved[row].any())


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
def test_a_choice_is_a_share_of_the_real_columns_wherever_they_are(share):
    real = REAL[:, torch.randperm(12)]
    ever = torch.zeros_like(real)
    for _ in range(300):
        chosen = some_of(real, share)
        assert chosen.sum(dim=1).tolist() == [int(share * n + 1e-6) for n in LENGTHS]
        assert not (chosen & ~real).any()
        ever |= chosen
    for row, n in enumerate(LENGTHS):
        assert torch.equal(ever[row], real[row] if share * n >= 1 else torch.zeros(12, dtype=torch.bool))
