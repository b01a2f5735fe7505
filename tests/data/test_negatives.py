"""Negatives: never touched, never repeated, stored once, the same for everybody."""

from __future__ import annotations

import numpy as np
import pytest

from gensr_lib.data.dataset import Dataset
from gensr_lib.data.negatives import NegativeSampler, checksum, stored_negatives
from gensr_lib.errors import DataError
from tests.worlds import TINY, pocket, tables, twin_events


@pytest.fixture
def sampler() -> NegativeSampler:
    return NegativeSampler.of_log(
        np.array([0, 0, 1]), np.array([1, 3, 2]), user_ids=np.array(["ann", "ben"]), n_items=8
    )


def test_negatives_are_untouched_and_distinct(sampler):
    drawn = sampler.draw(np.repeat([0, 1], 200), 5, np.random.default_rng(0))
    assert not np.isin(drawn[:200], [1, 3]).any() and not (drawn[200:] == 2).any()
    assert all(len(set(row)) == 5 for row in drawn.tolist())
    assert drawn.min() >= 1 and drawn.max() <= 8


def test_negatives_are_uniform(sampler):
    drawn = sampler.draw(np.zeros(6000, dtype=int), 1, np.random.default_rng(0)).ravel()
    share = np.bincount(drawn, minlength=9)[[2, 4, 5, 6, 7, 8]] / 6000
    assert np.abs(share - 1 / 6).max() < 4 * np.sqrt(1 / 6 * 5 / 6 / 6000)  # four standard errors


def test_a_user_who_touched_nearly_everything_gets_the_rest(sampler):
    drawn = sampler.draw(np.array([0]), 6, np.random.default_rng(0))
    assert sorted(drawn[0].tolist()) == [2, 4, 5, 6, 7, 8]
    with pytest.raises(DataError, match=r"user 'ann' has only 6 of the 8 items.*7 negatives"):
        sampler.draw(np.array([1, 0]), 7, np.random.default_rng(0))


def test_pocket_negatives_are_never_touched_in_any_split():
    dataset = pocket()
    for split in ("valid", "test"):
        for task in ("rec", "src"):
            rows = dataset.rows[split][task]
            users = np.unique(dataset.user)
            own = {u: set(dataset.item[dataset.user == u].tolist()) for u in users}
            for event, negatives in zip(rows.event, rows.negatives, strict=True):
                assert not own[dataset.user[event]] & set(negatives.tolist())
    negatives = dataset.training_negatives("rec", 4, (0, 0))
    users = dataset.user[dataset.rows["train"]["rec"].event]
    assert not any(set(n) & own[u] for u, n in zip(users, negatives.tolist(), strict=True))


def test_training_negatives_change_with_the_epoch_only():
    dataset = pocket()
    first, again, later = (dataset.training_negatives("rec", 4, (0, e)) for e in (0, 0, 1))
    assert (first == again).all() and (first != later).any()


def test_negatives_are_stored_once_and_checked(tmp_path):
    events = tables(*twin_events("u"))
    first = Dataset.from_tables(events, TINY, cache=tmp_path)
    [path] = tmp_path.glob("*.npz")
    stamp = path.stat().st_mtime_ns
    second = Dataset.from_tables(events, TINY, cache=tmp_path)
    assert path.stat().st_mtime_ns == stamp and first.hash == second.hash
    assert Dataset.from_tables(events, TINY, seed=1).hash != first.hash
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files if name != "checksum"}
    rows, n = arrays["test_rec"].shape
    for kept, says in (
        ({"test_rec": arrays["test_rec"][:-1]}, rf"\({rows - 1}, {n}\) for test_rec, where \({rows}, {n}\)"),
        ({"test_rec": arrays["test_rec"][:, 1:]}, rf"\({rows}, {n - 1}\) for test_rec"),
        ({}, "are none for test_rec"),
    ):
        short = {**{k: v for k, v in arrays.items() if k != "test_rec"}, **kept}
        np.savez(path, checksum=np.array(checksum(short)), **short)
        with pytest.raises(DataError, match=f"{says}.*delete the file"):
            Dataset.from_tables(events, TINY, cache=tmp_path)
    arrays = {"a": np.arange(3)}
    np.savez(path, checksum=np.array(checksum(arrays)), a=np.arange(1, 4))
    with pytest.raises(DataError, match="changed after they were drawn"):
        stored_negatives(path, dict, {})
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"cannot be read.*delete the file"):
        stored_negatives(path, dict, {})
