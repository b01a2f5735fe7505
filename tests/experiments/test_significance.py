"""Tests over users and seeds against scipy, hand-worked tables and simulated truths."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gensr_lib.errors import ConfigError
from gensr_lib.experiments.significance import (
    compare,
    crossed_test,
    detectable,
    holm,
    metrics_of,
)
from gensr_lib.training.metrics import EXPECTED, METRICS, metric_columns

approx = pytest.approx

N_USERS = 60


def run(variant: str, seed: int, task: str, rank, user=None) -> pd.DataFrame:
    row = np.arange(len(rank))
    user = row // 2 if user is None else user
    return pd.DataFrame(dict(variant=variant, seed=seed, task=task, row=row, user=user, item=row + 7, rank=rank))


def experiment(variants=("full", "no filter", "alone"), seeds=(3, 1, 2), tasks=("src", "rec")) -> pd.DataFrame:
    """Random ranks, better from variant to variant; each user has one row."""
    rng, runs = np.random.default_rng(0), []
    for number, variant in enumerate(variants):
        for seed in seeds:
            for task in tasks:
                rank = rng.integers(2, 40 - 8 * number, N_USERS) / 2
                runs.append(run(variant, seed, task, rank, user=np.arange(N_USERS) + 100))
    return pd.concat(runs, ignore_index=True)


def simulate(n: int, users: int, seeds: int, v_users: float, v_seeds: float, mean: float = 0.0) -> np.ndarray:
    """Crossed effects (n, U, S) with residual variance 1."""
    rng = np.random.default_rng(0)
    effects = np.sqrt(v_users) * rng.normal(size=(n, users, 1)) + np.sqrt(v_seeds) * rng.normal(size=(n, 1, seeds))
    return mean + effects + rng.normal(size=(n, users, seeds))


# ---- the test ----------------------------------------------------------------------------------


def test_one_seed_is_the_paired_t_test():
    a, b = np.random.default_rng(0).normal(size=(2, 5, 30))
    ours = crossed_test((a - b)[:, :, None])
    theirs = stats.ttest_rel(a, b, axis=1)
    np.testing.assert_allclose(ours.p, theirs.pvalue, rtol=1e-12)
    np.testing.assert_allclose([ours.low, ours.high], theirs.confidence_interval(0.95), rtol=1e-12)
    np.testing.assert_allclose(ours.df, theirs.df, rtol=1e-12)


def test_a_table_worked_by_hand():
    # Means of users 2, 4, 6 and of seeds 2, 6; all of it 4; residuals 1 -1, 0 0, -1 1.
    test = crossed_test([[1, 3], [2, 6], [3, 9]])
    squares = 2 * (4 + 0 + 4) / 2, 3 * (4 + 4) / 1, (1 + 1 + 1 + 1) / 2  # 8, 24, 2
    df = (8 + 24 - 2) ** 2 / (squares[0] ** 2 / 2 + squares[1] ** 2 / 1 + squares[2] ** 2 / 2)
    assert (test.difference, test.se) == (4, approx(np.sqrt(30 / 6)))
    assert test.df == approx(df)
    assert test.p == approx(2 * stats.t.sf(4 / np.sqrt(5), df))
    assert [test.low, test.high] == approx(stats.t.interval(0.95, df, 4, np.sqrt(5)))


@pytest.mark.parametrize("shift", [0.0, 0.5])  # mean squares of seeds 0 and 1, of the residual 4
def test_an_effect_that_is_estimated_below_zero_counts_as_zero(shift):
    wave = np.array([[1.0, -1.0], [-1.0, 1.0]]) + np.array([shift, -shift])
    no_seeds = 5 + np.array([[0.0], [4.0]]) + wave  # seeds differ by less than chance: a test over users' means
    assert crossed_test(no_seeds).p == approx(stats.ttest_1samp(no_seeds.mean(axis=1), 0).pvalue)
    assert crossed_test(no_seeds.T).p == approx(stats.ttest_1samp(no_seeds.mean(axis=1), 0).pvalue)
    neither = crossed_test(5 + wave)  # no user differs either: the residual's 4 is all
    assert (neither.se, neither.df) == (np.sqrt(4 / 4), 1)


def test_many_tables_at_once_are_tested_each():
    tables = simulate(6, 20, 4, 0.5, 0.1).reshape(2, 3, 20, 4)
    together = crossed_test(tables)
    for place in np.ndindex(2, 3):
        alone = crossed_test(tables[place])
        for field, value in vars(alone).items():
            assert getattr(together, field)[place] == approx(value)


@pytest.mark.parametrize("seeds", [1, 3])
def test_identical_runs_have_p_1_and_constant_differences_p_0(seeds):
    same, apart = crossed_test(np.zeros((2, 10, seeds))), crossed_test(np.full((10, seeds), -0.5))
    for field, value in {"difference": 0, "low": 0, "high": 0, "p": 1, "df": 9}.items():
        assert getattr(same, field).tolist() == [value] * 2
    assert (apart.low, apart.high, apart.p) == (-0.5, -0.5, 0)


@pytest.mark.parametrize(("seeds", "v_users", "v_seeds"), [(3, 0.5, 0.05), (3, 0.0, 0.2), (5, 0.2, 0.05), (5, 0.5, 0)])
def test_rejects_about_one_in_twenty_under_the_null(seeds, v_users, v_seeds):
    d = simulate(1000, 100, seeds, v_users, v_seeds)
    assert 0.02 < (crossed_test(d).p < 0.05).mean() < 0.08
    users_alone = (crossed_test(d.mean(axis=-1, keepdims=True)).p < 0.05).mean()
    assert users_alone > 0.15 if v_seeds else 0.02 < users_alone < 0.08  # seeds vary: it speaks of luck


def test_intervals_cover_the_truth():
    test = crossed_test(simulate(1000, 50, 4, 0.3, 0.05, mean=0.7))
    assert 0.92 < ((test.low < 0.7) & (test.high > 0.7)).mean() < 0.98


@pytest.mark.parametrize("table", [[[1, np.nan], [2, 3]], [[np.inf], [1]], [1.0, 2.0], [[], []]])
def test_tables_that_cannot_be_tested_are_refused(table):
    """A missing value must never come out as certain."""
    with pytest.raises(ConfigError, match=r"users by seeds|not 2 and 0"):
        crossed_test(np.array(table))


def test_the_far_tail_is_no_heavier_than_the_docstring_says():
    """Three seeds whose spread dominates: p < .01 in about three of a hundred null tests."""
    p = crossed_test(simulate(4000, 200, 3, 1.0, 4.0)).p
    assert 0.015 < (p < 0.01).mean() < 0.045


def test_a_test_over_one_user_is_refused():
    with pytest.raises(ConfigError, match=r"two users.* not 1"):
        crossed_test(np.zeros((1, 3)))


# ---- Holm --------------------------------------------------------------------------------------


def test_holm_by_hand():
    assert holm([0.04, 0.005, 0.03, 0.01]) == approx([2 * 0.03, 4 * 0.005, 2 * 0.03, 3 * 0.01])
    assert holm([0.7, 0.8, 0.01]) == approx([1, 1, 0.03])  # 2 * 0.7 is no probability
    assert holm([0.2]).tolist() == [0.2]


def test_holm_rejects_what_the_step_down_rule_rejects():
    for p in np.random.default_rng(0).uniform(0, 0.04, size=(50, 6)):
        steps = np.sort(p) <= 0.05 / np.arange(6, 0, -1)
        rejected = 6 if steps.all() else int(np.argmin(steps))  # stops at the first that fails
        assert (holm(p) <= 0.05).sum() == rejected


# ---- power -------------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("df", [1.5, 4, 80, 25_000])
def test_the_detectable_difference_has_the_power_of_the_noncentral_t(power, df):
    shift = detectable(pd.DataFrame({"se": [0.02], "df": [df]}), power).item() / 0.02
    assert stats.nct.sf(stats.t.ppf(0.975, df), df, shift) == approx(power, abs=1e-6)


def test_with_many_degrees_of_freedom_it_is_the_sum_of_two_quantiles():
    found = detectable(pd.DataFrame({"se": [2.0], "df": [5000]})).item()
    assert found == approx(2 * (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)), rel=1e-3)


@pytest.mark.parametrize(("seeds", "v_seeds"), [(3, 0.2), (5, 0.05)])
def test_simulated_experiments_find_the_detectable_difference(seeds, v_seeds):
    users, v_users = 100, 0.3
    squares = np.array([1 + seeds * v_users, 1 + users * v_seeds, 1])  # as they are expected
    freedom = np.array([users - 1, seeds - 1, (users - 1) * (seeds - 1)])
    total = squares[0] + squares[1] - squares[2]
    table = pd.DataFrame({"se": [np.sqrt(total / users / seeds)], "df": [total**2 / (squares**2 / freedom).sum()]})
    for power in (0.5, 0.8):
        found = crossed_test(simulate(1000, users, seeds, v_users, v_seeds, detectable(table, power).item())).p < 0.05
        assert found.mean() == approx(power, abs=0.06)


def test_a_stricter_level_needs_a_larger_difference():
    table = pd.DataFrame({"se": [0.02, 0.04], "df": [50, 50]}, index=["a", "b"])
    usual, strict = detectable(table), detectable(table, alpha=0.05 / 4)
    assert (strict > usual).all() and usual["b"] == approx(2 * usual["a"])
    for wrong in ({"alpha": 0.9}, {"power": 1}):
        with pytest.raises(ConfigError, match="alpha < power"):
            detectable(table, **wrong)


# ---- tables ------------------------------------------------------------------------------------


def test_compare_with_one_seed_is_scipys_paired_test():
    ranks = experiment(seeds=(5,))
    for row in compare(ranks, "full").itertuples():
        values = {
            v: metric_columns(own[own["task"] == row.task]["rank"])[row.metric] for v, own in ranks.groupby("variant")
        }
        theirs = stats.ttest_rel(values[row.variant], values["full"])
        assert row.p == approx(theirs.pvalue) == row.p_users
        assert [row.low, row.high] == approx(list(theirs.confidence_interval(0.95)))
        assert row.difference == approx(values[row.variant].mean() - values["full"].mean())


def test_compare_equals_the_crossed_test_of_differences_made_by_hand():
    ranks = experiment()
    table = compare(ranks, "full").set_index(["task", "variant", "metric"])
    for (task, variant, metric), row in table.iterrows():
        own = ranks[ranks["task"] == task].assign(value=lambda t, m=metric: metric_columns(t["rank"])[m])
        cube = own.pivot(index="user", columns=["variant", "seed"], values="value")
        d = (cube[variant] - cube["full"]).to_numpy()  # (U, S)
        expected = crossed_test(d)
        assert row[list(vars(expected))].tolist() == approx([float(value) for value in vars(expected).values()])
        assert row["p_users"] == approx(stats.ttest_1samp(d.mean(axis=1), 0).pvalue)
        by_seed = cube.mean()
        signs = np.sign(by_seed[variant] - by_seed["full"])
        assert (row["wins"], row["losses"]) == ((signs > 0).sum(), (signs < 0).sum())
        assert (row["rows"], row["seeds"], row["reference"]) == (N_USERS, 3, "full")
    for _, group in table.groupby(["task", "metric"]):
        assert group["p_holm"].tolist() == approx(holm(group["p"]))
        assert len(group) == 2


def test_users_count_once_and_are_the_unit_of_the_test():
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(12), [1, 4] * 6)
    pair = [run(name, 0, "rec", rng.integers(1, 15, 30), user) for name in ("full", "b")]
    means = [own.assign(v=metric_columns(own["rank"])["N@10"]).groupby("user")["v"].mean() for own in pair]
    row = compare(pd.concat(pair), "full", ["N@10"]).iloc[0]
    assert (row["p"], row["df"], row["rows"]) == (
        approx(stats.ttest_rel(*means).pvalue),
        approx(11),
        30,
    )
    assert row["difference"] == approx((means[1] - means[0]).mean())


def test_compare_over_the_seeds_that_both_have():
    ranks = experiment()
    fewer = ranks[~((ranks["variant"] == "alone") & (ranks["seed"] == 2))]
    table = compare(fewer, "full").set_index("variant")
    assert set(table.loc["alone", "seeds"]) == {2} and set(table.loc["no filter", "seeds"]) == {3}
    kept = compare(ranks[ranks["seed"] != 2], "full").set_index("variant")
    columns = ["difference", "low", "high", "p", "wins", "losses"]
    pd.testing.assert_frame_equal(table.loc["alone", columns], kept.loc["alone", columns])


def test_gains_and_losses_that_cancel_are_no_win():
    rng = np.random.default_rng(1)
    rank = rng.integers(1, 9, 50).astype(float)
    for seed in range(20):  # the same ranks for other users: equal means, up to the order of a sum
        pair = pd.concat([run("full", 0, "rec", rank), run("b", 0, "rec", rng.permutation(rank))])
        pair["user"] = pair["row"]
        table = compare(pair.assign(seed=seed), "full", ["N@10"])
        assert table[["wins", "losses"]].to_numpy().tolist() == [[0, 0]]


def test_a_variant_of_one_task_is_compared_in_that_task():
    ranks = experiment()
    ranks = ranks[~((ranks["variant"] == "alone") & (ranks["task"] == "rec"))]
    table = compare(ranks, "full").set_index(["task", "variant"])
    assert ("src", "alone") in table.index and ("rec", "alone") not in table.index
    assert table.loc[("rec", "no filter"), "p_holm"].tolist() == table.loc[("rec", "no filter"), "p"].tolist()
    assert set(compare(ranks, "alone")["task"]) == {"src"}


def test_the_order_of_the_rows_changes_nothing():
    ranks = experiment()
    shuffled = ranks.sample(frac=1, random_state=0)
    keys = ["task", "variant", "metric"]
    given, again = (compare(table, "full").set_index(keys).sort_index() for table in (ranks, shuffled))
    pd.testing.assert_frame_equal(given, again, check_exact=True)


# ---- expected metrics ---------------------------------------------------------------------------


def simulated() -> pd.DataFrame:
    """The experiment in a world whose law is known: expected values halfway from plain ones to a half."""
    ranks = experiment()
    values = metric_columns(ranks["rank"].to_numpy())
    return ranks.assign(**{f"expected {m}": (values[m] + 0.5) / 2 for m in METRICS})


def test_expected_metrics_are_tested_like_plain_ones():
    ranks = simulated()
    table = compare(ranks, "full", ["expected N@10", "N@10"]).set_index(["task", "variant", "metric"])
    for (task, variant, metric), row in table.iterrows():
        own = ranks[ranks["task"] == task].assign(value=lambda t: metric_columns(t["rank"])["N@10"])
        value = metric if metric.startswith("expected") else "value"
        cube = own.pivot(index="user", columns=["variant", "seed"], values=value)
        exact = crossed_test((cube[variant] - cube["full"]).to_numpy())
        assert row[["difference", "se", "p"]].tolist() == approx([exact.difference, exact.se, exact.p])
    for _, group in table.groupby(["task", "metric"]):
        assert group["p_holm"].tolist() == approx(holm(group["p"]))
    smallest = detectable(table)
    half = smallest.xs("N@10", level=2) / 2
    pd.testing.assert_series_equal(smallest.xs("expected N@10", level=2), half)


def test_the_metrics_of_a_table_are_what_it_holds():
    assert metrics_of(simulated()) == [*METRICS, *EXPECTED] and metrics_of(experiment()) == list(METRICS)


@pytest.mark.parametrize("value", [np.nan, 1.5, -0.1, "0.5"])
def test_expected_metrics_that_are_missing_or_no_shares_are_refused(value):
    ranks = simulated().astype({"expected N@5": object})
    ranks.loc[3, "expected N@5"] = value
    if not isinstance(value, str):
        ranks = ranks.astype({"expected N@5": float})
    with pytest.raises(ConfigError, match="'expected N@5' must be numbers from 0 to 1"):
        compare(ranks, "full", ["expected N@5"])
    assert len(compare(ranks, "full", ["N@5"])), "the plain metrics need none of it"


def test_seeds_with_questions_of_their_own_are_another_test():
    ranks = experiment()
    with pytest.raises(ConfigError, match=r"another user .* take studies.effects"):
        compare(ranks.assign(user=ranks["user"] + 1000 * ranks["seed"]), "full")


# ---- errors ------------------------------------------------------------------------------------


def changed(at: int, **values) -> pd.DataFrame:
    ranks = experiment()
    ranks.loc[at, list(values)] = list(values.values())
    return ranks


FIRST = N_USERS * 7  # of the run of "no filter", seed 3, task "rec"


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        (experiment().drop(columns="item"), "column.* 'item'"),
        (experiment().drop(columns="task"), "column.* 'task'"),
        (experiment().replace("rec", "recs"), "task 'recs'.*'rec'"),
        (experiment().replace("full", "ful"), "'full'; did you mean 'ful'"),
        (changed(0, rank=0), "from 1 on"),
        (changed(0, rank=0.5), "from 1 on"),
        (changed(0, rank=np.nan), "from 1 on"),
        (experiment().assign(rank="1"), "ranks must be numbers"),
        (experiment().iloc[:0], "not none"),
        (changed(1, row=0), "'full', seed 3, task 'src' has row 0 more than once"),
        (changed(FIRST, user=5), "'no filter', seed 3, task 'rec' .* row 0"),
        (changed(FIRST, item=5), "'no filter', seed 3, task 'rec' .* row 0"),
        (experiment().drop(index=[3, 4]), "'full', seed 3, task 'src' lacks 2 of the 60"),
        (experiment().drop(index=range(N_USERS)), "'full', seed 3, task 'src' lacks 60 of the 60"),
        (changed(N_USERS * 17 + 9, row=77), "'full', seed 3, task 'rec' lacks 1 of the 61"),
        (experiment(("full",)), "no other variant"),
        (
            pd.concat([experiment(("full",)), experiment(("b",), seeds=(4,))]),
            r"'b' has \[4\] and 'full' has \[1, 2, 3\]",
        ),
    ],
)
def test_compare_names_what_is_wrong(ranks, message):
    with pytest.raises(ConfigError, match=message):
        compare(ranks, "full")


def test_no_metric_and_an_unknown_metric_are_refused():
    with pytest.raises(ConfigError, match="metrics is empty"):
        compare(experiment(), "full", [])
    with pytest.raises(ConfigError, match=r"'N@50'.*'N@5'"):
        compare(experiment(), "full", ["R@5", "N@50"])
    with pytest.raises(ConfigError, match="unknown metric 'expected N@5'"):
        compare(experiment(), "full", ["expected N@5"])
