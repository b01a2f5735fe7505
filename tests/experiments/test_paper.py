"""The paper's numbers as printed, and what the paper itself says of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gensr_lib.experiments.paper import (
    CORRECTED,
    IMPOSSIBLE,
    METRICS,
    ranking_tables,
    table_1,
    with_published,
)
from gensr_lib.training.metrics import check_consistency, metric_columns


def test_table_1_as_printed():
    printed = pd.DataFrame(
        [[0.9003, 0.8739, 0.8514, 0.8475], [0.9378, 0.9217, 0.9251, 0.9168]],
        index=["unisar", "gensr"],
        columns=pd.MultiIndex.from_product([["Amazon", "KuaiSAR"], ["src", "rec"]]),
    )
    pd.testing.assert_frame_equal(table_1(), printed, check_names=False)


def test_the_paper_says_gensr_is_higher_everywhere():
    assert (table_1().loc["gensr"] > table_1().loc["unisar"]).all()


def test_tables_2_and_3_have_every_printed_row():
    rows = ranking_tables()
    counts = rows.groupby(level=["task", "data"]).size()
    assert counts.to_dict() == {
        ("rec", "Amazon"): 16,
        ("rec", "KuaiSAR"): 15,  # no IDGenRec
        ("src", "Amazon"): 12,
        ("src", "KuaiSAR"): 12,
    }
    assert rows.index.get_level_values("system").nunique() == 22
    assert ("rec", "KuaiSAR", "IDGenRec") not in rows.index
    for key, values in {
        ("rec", "Amazon", "DIN"): [0.5170, 0.6525, 0.3726, 0.4165],
        ("rec", "KuaiSAR", "UniSAR"): [0.5169, 0.6792, 0.3632, 0.4158],
        ("rec", "Amazon", "IDGenRec"): [0.2305, 0.2818, 0.1791, 0.1955],
        ("src", "KuaiSAR", "BSR"): [0.1573, 0.2075, 0.1359, 0.1520],
        ("src", "Amazon", "GenSR"): [0.9782, 0.9664, 0.9853, 0.9687],
        ("src", "KuaiSAR", "GenSR"): [0.7661, 0.8372, 0.7564, 0.7655],
    }.items():
        assert rows.loc[key, METRICS].tolist() == values


def means(rank: int) -> dict[str, float]:
    return {name: float(column[0]) for name, column in metric_columns(np.array([rank])).items()}


IMPOSSIBLE_ROWS = {
    ("rec", "KuaiSAR", "GRU4Rec"),
    ("rec", "KuaiSAR", "CoLLM"),
    ("src", "Amazon", "GenSR"),
    ("src", "KuaiSAR", "GenSR"),
}


def test_four_rows_are_impossible_and_no_other():
    """The extremes by enumeration: all lists hit at 1 or at 5, and at 6 or at 10."""
    rows = ranking_tables()
    assert set(rows.index[rows["note"] == IMPOSSIBLE]) == IMPOSSIBLE_ROWS
    best, worst = ([means(rank) for rank in both] for both in ((1, 6), (5, 10)))
    for key, row in rows.iterrows():
        more = row["R@10"] - row["R@5"]
        low, high = (
            [row["R@5"] * near["N@5"], row["R@5"] * near["N@5"] + more * far["N@10"]] for near, far in (worst, best)
        )
        gain = row["N@10"] - row["N@5"]
        outside = not (low[0] - 1e-4 <= row["N@5"] <= high[0] + 1e-4)
        outside |= not (low[1] - low[0] - 2e-4 <= gain <= high[1] - high[0] + 2e-4)
        assert outside == (key in IMPOSSIBLE_ROWS)


def test_only_the_row_with_a_log_is_corrected_and_then_possible():
    printed, corrected = ranking_tables(), ranking_tables(corrected=True)
    key = ("src", "Amazon", "GenSR")
    assert corrected.loc[key].tolist() == [0.9782, 0.9853, 0.9664, 0.9687, CORRECTED]
    assert sorted(corrected.loc[key, METRICS]) == sorted(printed.loc[key, METRICS])
    check_consistency(corrected.loc[key, METRICS].to_dict(), tolerance=1e-4)
    pd.testing.assert_frame_equal(corrected.drop(key), printed.drop(key))


def test_the_paper_says_gensr_is_best_everywhere():
    """Except Amazon search as printed, whose R@10 and N@5 are swapped."""
    rows = ranking_tables(corrected=True)[METRICS]
    best = rows.groupby(level=["task", "data"]).transform("max")
    assert (rows.xs("GenSR", level="system") == best.xs("GenSR", level="system")).all(axis=None)


def test_published_counts_stand_below_the_step_that_they_belong_to():
    columns = ["rec events", "src events", "users", "items", "queries"]
    steps = ["raw files", "clicks", "5-core, users with both behaviors, 3 rounds", "train rows"]
    ours = pd.DataFrame(1, index=pd.Index(steps, name="step"), columns=columns)
    both = with_published(ours, "kuaisar")
    assert both.index.tolist() == [
        steps[0], "published (the paper, §6.1.1)", steps[1], steps[2], "published (UniSAR's code)", steps[3]
    ]  # fmt: skip
    assert both.iloc[1].tolist() == [14_605_716, 5_059_169, 25_877, 6_890_707, 453_667]
    assert both.iloc[4]["items"] == 673_415 and pd.isna(both.iloc[4]["queries"])
    pd.testing.assert_frame_equal(with_published(ours, "pocket"), ours.astype("Int64"))
