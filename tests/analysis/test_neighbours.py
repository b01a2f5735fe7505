"""Nearest-neighbour estimates against scikit-learn, loops over all pairs and many samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import digamma
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

from gensr_lib.analysis.mutual_information import estimate
from gensr_lib.analysis.neighbours import kraskov, ross
from tests.analysis.samples import gaussians

approx = pytest.approx


def test_knn_equals_scikit_learn_in_one_dimension():
    x, y = gaussians(0.8, 1, 600)
    expected = mutual_info_regression(5 * x, y[:, 0], n_neighbors=3, random_state=0)[0]
    assert estimate(5 * x, y, "knn", repeats=1).nats == approx(expected, abs=1e-5)
    labels = np.digitize(y[:, 0], [-1, 0.3])
    expected = mutual_info_classif(x, labels, n_neighbors=5, random_state=0)[0]
    found = estimate(x, labels, "knn", repeats=1, neighbours=5)
    assert found.nats == approx(expected, abs=1e-5)


def test_kraskov_and_ross_equal_loops_over_all_pairs_in_several_dimensions():
    x, y = gaussians(0.6, 2, 80)
    far_x, far_y = (np.abs(a[:, None] - a[None]).max(-1) for a in (x, y))  # largest coordinate
    both = np.maximum(far_x, far_y)
    n, k, total = 80, 4, 0.0
    for i in range(n):
        radius = np.sort(np.delete(both[i], i))[k - 1]
        for far in (far_x, far_y):
            total += digamma(sum(far[i, j] < radius for j in range(n) if j != i) + 1) / n
    assert kraskov(x, y, k) == approx(digamma(n) + digamma(k) - total)

    # One alone is left out, four have three others each.
    labels = np.r_[0, np.ones(4, int), np.full(75, 2)]
    total = 0.0
    for i in range(1, n):
        own = [j for j in range(n) if labels[j] == labels[i] and j != i]
        near = min(k, len(own))
        radius = np.sort(far_x[i, own])[near - 1]
        inside = sum(far_x[i, j] < radius for j in range(1, n) if j != i) + 1
        total += (digamma(near) - digamma(len(own) + 1) - digamma(inside)) / (n - 1)
    assert ross(x, labels, k) == approx(digamma(n - 1) + total)


def test_spread_of_knn_is_the_spread_over_samples():
    found = [estimate(*gaussians(0.5, 1, 400, s), "knn", repeats=20) for s in range(60)]
    over_samples = np.std([each.nats for each in found], ddof=1)
    assert np.mean([each.sd for each in found]) == approx(over_samples, rel=0.35)
    error = 4 * over_samples / math.sqrt(60)
    assert np.mean([each.nats for each in found]) == approx(0.5, abs=error)
