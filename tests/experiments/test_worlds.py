"""Tests over redrawn worlds against scipy and simulated truths."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gensr_lib.errors import ConfigError
from gensr_lib.experiments.significance import compare, detectable, holm, summary
from gensr_lib.experiments.worlds import compare_worlds, world_differences
from gensr_lib.training.metrics import metric_columns, summarise

approx = pytest.approx


def experiment(worlds=(4, 0, 2, 7), tasks=("rec", "src")) -> pd.DataFrame:
    """Ranks of three variants; each world has its own users, items and number of test rows."""
    rng = np.random.default_rng(0)
    runs = []
    for world in worlds:
        rows = np.arange(30 + world)
        who = {"row": rows, "user": rows // 2 + 1000 * world, "item": rng.integers(1, 500, len(rows))}
        for variant, worse in (("full", 0), ("b", 0), ("c", 3)):
            for task in tasks:
                rank = rng.integers(1, 16, len(rows)) + worse
                runs.append(pd.DataFrame({"variant": variant, "seed": world, "task": task, **who, "rank": rank}))
    return pd.concat(runs, ignore_index=True)


def means(ranks: pd.DataFrame, variant: str, task: str, metric: str) -> np.ndarray:
    own = ranks[(ranks["variant"] == variant) & (ranks["task"] == task)]
    return np.array([summarise(rows)[metric] for _, rows in own.groupby("seed")])


def test_it_is_the_paired_t_test_over_worlds():
    ranks = experiment()
    table = compare_worlds(ranks, "full", ["N@10", "R@5"])
    assert table[["task", "variant"]].drop_duplicates().values.tolist() == [
        ["rec", "b"], ["rec", "c"], ["src", "b"], ["src", "c"]]  # fmt: skip
    for row in table.itertuples():
        own, other = (means(ranks, v, row.task, row.metric) for v in (row.variant, "full"))
        exact = stats.ttest_rel(own, other)
        assert (row.p, row.df, row.worlds) == (approx(exact.pvalue), approx(3), 4)
        assert (row.low, row.high) == approx(tuple(exact.confidence_interval(0.95)))
        assert row.difference == approx((own - other).mean())
        assert (row.wins, row.losses) == ((own > other).sum(), (own < other).sum())
    for _, group in table.groupby(["task", "metric"]):
        assert group["p_holm"].tolist() == approx(holm(group["p"]))


def test_the_difference_of_each_world_is_shown():
    ranks = experiment()
    table = world_differences(ranks, "full", ["N@10"])
    assert table["seed"].tolist()[:4] == [0, 2, 4, 7] and len(table) == 4 * 2 * 2
    for (task, variant), own in table.groupby(["task", "variant"]):
        exact = means(ranks, variant, task, "N@10") - means(ranks, "full", task, "N@10")
        assert own["difference"].tolist() == approx(exact)
    assert set(table["reference"]) == {"full"}


def test_expected_metrics_are_tested_too():
    ranks = experiment()
    plain = metric_columns(ranks["rank"].to_numpy())["N@10"]
    ranks["expected N@10"] = plain / 2
    twice = compare_worlds(ranks, "full", ["expected N@10", "N@10"]).set_index(["task", "variant", "metric"])
    expected, usual = (twice.xs(m, level="metric") for m in ("expected N@10", "N@10"))
    assert (expected["difference"] * 2).tolist() == approx(usual["difference"].tolist())
    assert expected["p"].tolist() == approx(usual["p"].tolist())
    assert (detectable(expected) * 2).tolist() == approx(detectable(usual).tolist())


def test_one_in_twenty_is_rejected_where_only_worlds_differ():
    """Each of 200 variants is better or worse in each of five worlds, and equal under the law."""
    rng = np.random.default_rng(0)
    names = ["full", *(f"v{n}" for n in range(200))]
    rank = rng.uniform(1, 15, (5, 1, 40)) + rng.normal(size=(5, 201, 40)) / 10
    rank[:, 1:] += 4 * rng.normal(size=(5, 200, 1))  # a world's luck with a variant
    world, variant, row = (index.ravel() for index in np.indices(rank.shape))
    columns = {"variant": np.array(names)[variant], "seed": world, "task": "rec", "row": row}
    columns |= {"user": row + 1000 * world, "item": row, "rank": rank.clip(1).ravel()}
    ranks = pd.DataFrame(columns)
    over_worlds = compare_worlds(ranks, "full", ["R@10"])["p"]
    over_users = compare(ranks[ranks["seed"] == 1], "full", ["R@10"])["p"]
    assert 0.01 < (over_worlds < 0.05).mean() < 0.1
    assert (over_users < 0.05).mean() > 0.3, "one world convinces of its own luck"


def test_only_worlds_of_both_count_and_a_task_must_be_served_by_both():
    ranks = experiment()
    ranks = ranks[(ranks["variant"] != "b") | ((ranks["seed"] != 7) & (ranks["task"] == "rec"))]
    table = compare_worlds(ranks, "full", ["N@10"]).set_index(["task", "variant"])
    assert table["worlds"].to_dict() == {("rec", "b"): 3, ("rec", "c"): 4, ("src", "c"): 4}
    assert table.loc[("rec", "b"), "difference"] == approx(
        (means(ranks, "b", "rec", "N@10") - means(ranks, "full", "rec", "N@10")[:3]).mean()
    )


def test_the_summary_counts_worlds():
    table = summary(experiment(), ["N@10"]).set_index(["variant", "task"])
    values = means(experiment(), "full", "rec", "N@10")
    assert table.loc[("full", "rec"), ["mean", "sd"]].tolist() == approx([values.mean(), values.std(ddof=1)])
    assert set(table["seeds"]) == {4}


@pytest.mark.parametrize(
    ("ranks", "reference", "says"),
    [
        (experiment(), "ful", "unknown reference variant 'ful'; did you mean 'full'"),
        (experiment((3,)), "full", "'b' shares one world with 'full' in task 'rec'.*more seeds"),
        (experiment()[lambda t: t["variant"] == "b"], "b", "no other variant shares a task"),
        (experiment().drop(index=0), "full", "'full', seed 4, task 'rec' lacks 1 of the 34 rows"),
        (
            experiment().assign(user=lambda t: t["user"] + (t["variant"] == "b")),
            "full",
            "another user or item in row 0",
        ),
    ],
)
def test_what_cannot_be_compared_is_named(ranks, reference, says):
    with pytest.raises(ConfigError, match=says):
        compare_worlds(ranks, reference)
