"""Normal scores: against scipy's ranks, on ties and constants, and with rows left out of the fit."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm, rankdata

from gensr_lib.analysis.normal_scores import normal_scores
from tests.analysis.samples import rng


def test_scores_are_gaussian_quantiles_of_mid_ranks():
    column = np.r_[rng().standard_normal(50), np.zeros(20), 3, 3]
    expected = norm.ppf((rankdata(column) - 0.5) / len(column))
    expected = (expected - expected.mean()) / expected.std()
    found = normal_scores(column[:, None], np.arange(len(column)))
    assert np.allclose(found[:, 0], expected)


def test_an_increasing_function_of_a_column_changes_nothing():
    x = rng().standard_normal((200, 4))
    changed = np.c_[np.sinh(4 * x[:, 0]), x[:, 1] ** 3, 1000 * x[:, 2] + 5, np.exp(x[:, 3])]
    fitted = rng(1).permutation(200)[:140]
    assert np.array_equal(normal_scores(x, fitted), normal_scores(changed, fitted))


def test_rows_outside_the_fit_change_no_score_of_others():
    x = rng().standard_normal((100, 3))
    fitted = np.arange(70)
    changed = x.copy()
    changed[70:90] *= 50
    before, after = normal_scores(x, fitted), normal_scores(changed, fitted)
    assert np.array_equal(before[:70], after[:70])
    assert np.array_equal(before[90:], after[90:])
    assert np.abs(after).max() < 4  # no row lies farther out than half a rank beyond the fitted ones


def test_yes_no_columns_keep_two_values_and_constant_ones_are_zero():
    bit = rng().integers(0, 2, 200)
    constant_in_fit = np.r_[np.full(150, 2.0), np.arange(50)]
    found = normal_scores(np.c_[bit, constant_in_fit, np.ones(200)], np.arange(150))
    assert len(np.unique(found[:, 0])) == 2
    assert np.ptp(found[:, 0]) < 3  # standardised, not ten standard deviations apart
    assert (found[:, 1:] == 0).all()
