"""Effects, ceilings and slopes over worlds, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gensr_lib.errors import ConfigError
from gensr_lib.experiments.studies.effects import Without, dose_response, effects, mean_effects, slopes, trend


def tidy(values: dict) -> pd.DataFrame:
    """A table of evidence from {(part, variant, task): [value in each world]}."""
    rows = [
        (part, variant, task, "N@10", seed, value)
        for (part, variant, task), worlds in values.items()
        for seed, value in enumerate(worlds)
    ]
    return pd.DataFrame(rows, columns=["part", "variant", "task", "metric", "seed", "value"])


WHOLE = [0.5, 0.6, 0.4, 0.55, 0.45]
TABLE = tidy(
    {
        ("p", "whole", "rec"): WHOLE,
        ("p", "whole", "src"): WHOLE,
        ("p", "no filter", "rec"): [0.45, 0.56, 0.37, 0.5, 0.43],
        ("p", "no filter", "src"): WHOLE,
        ("p", "rec alone", "rec"): [v - 0.1 for v in WHOLE],
    }
)
REMOVED = [Without("filter", "no filter", "whole"), Without("history", {"rec": "rec alone"}, "whole")]


def test_an_effect_is_the_loss_within_each_world():
    found = effects(TABLE, REMOVED, "N@10").set_index(["mechanism", "task"])
    assert found.loc[("filter", "rec"), "effect"].tolist() == pytest.approx([0.05, 0.04, 0.03, 0.05, 0.02])
    assert found.loc[("history", "rec"), "effect"].tolist() == pytest.approx([0.1] * 5)
    assert ("history", "src") not in found.index


def test_the_mean_is_tested_as_scipy_tests_it():
    found = mean_effects(effects(TABLE, REMOVED, "N@10"))
    values = np.array([0.05, 0.04, 0.03, 0.05, 0.02])
    test = stats.ttest_1samp(values, 0)
    row = found.loc[("p", "filter", "rec")]
    assert row["effect"] == pytest.approx(values.mean()) and row["p"] == pytest.approx(test.pvalue)
    interval = test.confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))
    assert row["p_holm"] == pytest.approx(row["p"]), "the larger of two p-values is multiplied by one"
    assert (row["worlds"], row["above zero"]) == (5, 5) and 0 < row["detectable"] < 0.05
    assert found.loc[("p", "filter", "src"), "p"] == 1


def test_one_world_and_wrong_names_are_refused():
    with pytest.raises(ConfigError, match="p, filter, rec: one world"):
        mean_effects(effects(TABLE[TABLE["seed"] == 0], REMOVED, "N@10"))
    with pytest.raises(ConfigError, match="did you mean 'no filter'"):
        effects(TABLE, [Without("filter", "no filtr", "whole")], "N@10")
    with pytest.raises(ConfigError, match="unknown metric 'N@11'"):
        effects(TABLE, REMOVED, "N@11")
    apart = TABLE[(TABLE["variant"] != "whole") | (TABLE["seed"] > 9)]
    with pytest.raises(ConfigError, match="unknown arm 'whole'"):
        effects(apart, REMOVED, "N@10")


def test_a_slope_is_the_mean_of_the_worlds_own():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 4))
    level = 10 * rng.standard_normal((5, 1))  # of a world: it must not matter
    y = 0.7 * x + level + 0.01 * rng.standard_normal((5, 4))
    found = slopes(pd.DataFrame(x), pd.DataFrame(y))
    each = [stats.linregress(a, b).slope for a, b in zip(x, y, strict=True)]
    assert found["slope"] == pytest.approx(np.mean(each)) and found["worlds"] == 5
    interval = stats.ttest_1samp(each, 0).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high))
    flat = slopes(pd.DataFrame(np.ones((5, 3))), pd.DataFrame(y[:, :3]))
    assert np.isnan(flat["slope"]) and flat["worlds"] == 0


def test_effects_follow_their_ceilings_over_the_doses_of_a_dial():
    by_dose = {"d=0": 0.0, "d=1": 0.04, "d=2": 0.1}
    found, ceiling = (
        pd.DataFrame(
            [
                (part, "filter", "rec", seed, share * most + 0.001 * seed)
                for part, most in by_dose.items()
                for seed in range(4)
            ],
            columns=["part", "mechanism", "task", "seed", "effect"],
        )
        for share in (0.5, 1.0)
    )
    other = ceiling.assign(mechanism="history")  # no effect of it was measured
    table = dose_response(found, pd.concat([ceiling, other]), {"d": list(by_dose), "e": ["d=0", "missing"]})
    assert table.index.tolist() == [("d", "filter", "rec")]
    assert table["slope"].item() == pytest.approx(0.5) and table["worlds"].item() == 4
    assert table["worlds"].dtype == int  # it is shown, and 4.0 worlds are none
    means = ceiling[ceiling["seed"].isin(range(4))].groupby("part")["effect"].mean()
    assert table[["least", "most"]].iloc[0].tolist() == pytest.approx([means.min(), means.max()])
    with pytest.raises(ConfigError, match="measured at all its doses in one world"):
        dose_response(found, other, {"d": list(by_dose)})


def test_a_trend_is_over_the_option_within_worlds():
    values = {f"tau={tau}": np.log(tau) for tau in (0.01, 0.1, 1.0)}
    rng = np.random.default_rng(1)
    table = tidy(
        {("p", arm, "rec"): 0.2 * x + np.arange(5) + 0.01 * rng.standard_normal(5) for arm, x in values.items()}
    )
    found = trend(table, values, "N@10")
    assert found.loc["rec", "slope"] == pytest.approx(0.2, abs=0.01) and found.loc["rec", "p"] < 0.001
    assert found["worlds"].dtype == int
    with pytest.raises(ConfigError, match="unknown arm"):
        trend(table, {"tau=9": 0.0}, "N@10")
    apart = table.assign(seed=table["seed"] + 100 * table["variant"].map(list(values).index))
    assert trend(apart, values, "N@10")["worlds"].tolist() == [0], "no world has all values"
