"""The paper's comparison: both tables in its layout, tests and orders against hand-made ranks."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gensr_lib.errors import ConfigError
from gensr_lib.experiments import (
    against,
    agreement,
    beside_print,
    best_of,
    bootstrap,
    dear_first,
    fit_anchors,
    fit_floors,
    ranking_tables,
    ranks_of,
    standing,
)
from gensr_lib.experiments.comparison import FLOORS, PRINTED
from gensr_lib.models import available_models
from gensr_lib.training.evaluation import Evaluation
from gensr_lib.training.metrics import metric_columns

USERS = 60


def run(*, rec: np.ndarray | None = None, src: np.ndarray | None = None) -> SimpleNamespace:
    """A run with the given ranks, one row a user."""
    parts = []
    for task, ranks in (("rec", rec), ("src", src)):
        if ranks is not None:
            n = np.arange(len(ranks))
            parts.append(pd.DataFrame({"task": task, "row": n, "user": n, "item": n + 1, "rank": ranks}))
    table = pd.concat(parts, ignore_index=True)
    return SimpleNamespace(evaluation=Evaluation("m", "test", table, 1.0), record={"seed": 0, "data": "d0"})


def drawn(seed: int, best: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, best, USERS)


@pytest.fixture
def runs():
    """Three systems of both tasks or one, and a floor that the paper does not have."""
    return {
        "din": run(rec=drawn(0, 8)),
        "gensr": run(rec=drawn(1, 4), src=drawn(2, 5)),
        "qem": run(src=drawn(3, 40)),
        "popularity": run(rec=drawn(4, 60), src=drawn(5, 60)),
    }


# --- names and tables -------------------------------------------------------------------------


def test_every_system_of_the_paper_is_a_model_and_has_a_row_in_print():
    assert set(PRINTED) | set(FLOORS) <= set(available_models())
    assert set(PRINTED.values()) == set(ranking_tables().index.unique("system"))


@pytest.mark.parametrize(("task", "n"), [("rec", 16), ("src", 12)])
def test_the_rows_are_those_of_the_paper_then_ours(runs, task, n):
    table = beside_print(runs, task)
    printed = ranking_tables(corrected=True).loc[task]
    assert table.index[:n].tolist() == printed.loc["Amazon"].index.tolist()
    assert table.index[n:].tolist() == ["popularity"]
    for data in ("Amazon", "KuaiSAR"):
        own = table[data].loc[printed.loc[data].index]
        assert own["N@10"].equals(printed.loc[data]["N@10"])
    assert table.loc["GenSR", ("ours", "N@10")] == runs["gensr"].evaluation.metrics[task]["N@10"]
    assert table["ours"].drop(index=[PRINTED.get(name, name) for name in runs], errors="ignore").isna().all(axis=None)


def test_impossible_and_corrected_rows_are_marked(runs):
    rec, src = (beside_print(runs, task) for task in ("rec", "src"))
    marked = {(t, d, s) for t, table in (("rec", rec), ("src", src)) for d in ("Amazon", "KuaiSAR")
              for s in table.index[table[(d, "note")] != ""]}  # fmt: skip
    assert marked == {("rec", "KuaiSAR", "CoLLM"), ("rec", "KuaiSAR", "GRU4Rec"), ("src", "KuaiSAR", "GenSR"),
                      ("src", "Amazon", "GenSR")}  # fmt: skip
    assert src.loc["GenSR", ("Amazon", "note")].startswith("corrected")
    assert rec.loc["popularity", ("Amazon", "note")] == ""


def test_long_trainings_are_begun_first():
    order = dear_first([*FLOORS, *PRINTED])
    assert sorted(order) == sorted([*FLOORS, *PRINTED])
    assert set(order[:4]) == {"gensr", "bsr", "collm", "idgenrec"} and order[4] == "unisar"
    assert order[-len(FLOORS) :] == list(FLOORS)


def test_runs_of_other_data_are_refused_by_name(runs):
    runs["qem"].record["data"] = "d1"
    says = "din, gensr, popularity of d0; qem of d1"
    calls = [
        lambda: beside_print(runs, "src"),
        lambda: best_of(runs, "src"),
        lambda: against(runs, "src", "gensr"),
        lambda: standing(runs, "N@10", {}),
        lambda: agreement(runs, ranking_tables()["N@10"].loc["src", "Amazon"], "src"),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match=says):
            call()


def test_two_runs_of_one_system_stand_beside_each_other(runs):
    table = beside_print(runs | {"din, wide": run(rec=drawn(6, 9))}, "rec")["ours"]
    assert table["N@10"].notna().sum() == 4 and {"DIN", "din, wide"} <= set(table.index)


def test_where_the_runs_stand_in_each_task_that_they_serve(runs):
    found = standing(runs, "N@10", {"popularity": "floors"})
    assert found["rec"].index.tolist() == ["din", "gensr", "popularity"]
    assert found["src"]["group"].to_dict() == {"gensr": "trained", "qem": "trained", "popularity": "floors"}
    for task, table in found.items():
        for name, row in table.iterrows():
            assert row["mean"] == pytest.approx(runs[name].evaluation.metrics[task]["N@10"])
            assert (row["low"], row["high"]) == bootstrap(runs[name], task)
            assert row["low"] < row["mean"] < row["high"]
    assert standing({"qem": runs["qem"]}, "N@10", {}).keys() == {"src"}


# --- tests ------------------------------------------------------------------------------------


def test_against_is_the_paired_t_test_of_scipy(runs):
    found = against(runs, "rec", "din")
    assert found.index.tolist() == ["gensr", "popularity"]
    a, b = (metric_columns(runs[name].evaluation.table.query("task == 'rec'")["rank"].to_numpy())["N@10"]
            for name in ("gensr", "din"))  # fmt: skip
    assert found.loc["gensr", "p"] == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert found.loc["gensr", "difference"] == pytest.approx((a - b).mean())
    assert (found["p_holm"] >= found["p"]).all()


def test_the_best_is_the_highest_mean_among_those_that_serve_the_task(runs):
    assert best_of(runs, "rec") == "gensr" and best_of(runs, "rec", but=["gensr"]) == "din"
    assert best_of(runs, "src", but=["gensr"]) == "qem"


def test_the_bootstrap_interval_is_that_of_the_mean(runs):
    values = runs["din"].evaluation.values("rec", "N@10")
    low, high = bootstrap(runs["din"], "rec")
    half = 1.96 * values.std() / USERS**0.5
    assert low == pytest.approx(values.mean() - half, abs=0.25 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.25 * half)
    assert (low, high) == bootstrap(runs["din"], "rec"), "seeded"


def test_users_and_not_rows_are_drawn():
    """One user with many bad rows and one with a good one: each draw has one of three means."""
    both = run(rec=np.r_[np.full(50, 100), 1])
    both.evaluation.table["user"] = [0] * 50 + [1]
    assert bootstrap(both, "rec") == (0.0, 1.0)


# --- order ------------------------------------------------------------------------------------


def test_tau_is_scipys_and_certain_orders_have_no_spread():
    ours = {name: run(rec=np.full(USERS, 9 - n)) for n, name in enumerate(("din", "sasrec", "gensr", "unisar"))}
    same = agreement(ours, pd.Series({"DIN": 0.1, "SASRec": 0.2, "GenSR": 0.3, "UniSAR": 0.4}), "rec")
    assert (same.tau, same.low, same.high, same.systems) == (1.0, 1.0, 1.0, 4)
    other = pd.Series({"DIN": 0.1, "SASRec": 0.3, "GenSR": 0.2, "UniSAR": 0.4, "CoLLM": 0.9})
    found = agreement(ours, other, "rec")
    assert found.tau == pytest.approx(stats.kendalltau([1, 2, 3, 4], [1, 3, 2, 4]).statistic)


def test_an_uncertain_order_has_an_interval_around_tau(runs):
    runs = runs | {"sasrec": run(rec=drawn(7, 7)), "fmlp": run(rec=drawn(8, 8))}
    found = agreement(runs, ranking_tables().loc[("rec", "Amazon"), "N@10"], "rec")
    assert found.low <= found.tau <= found.high and found.low < found.high and found.systems == 4


# --- what goes wrong --------------------------------------------------------------------------


def test_what_cannot_be_compared_is_said(runs):
    with pytest.raises(ConfigError, match="did you mean 'gensr'"):
        against(runs, "rec", "gensar")
    with pytest.raises(ConfigError, match="run that serves 'rec'"):
        against(runs, "rec", "qem")
    with pytest.raises(ConfigError, match="did you mean 'rec'"):
        best_of(runs, "rek")
    with pytest.raises(ConfigError, match="no run serves 'src'"):
        best_of({"din": runs["din"]}, "src")
    with pytest.raises(ConfigError, match="2 systems in both"):
        agreement(runs, ranking_tables().loc[("rec", "Amazon"), "N@10"], "rec")


def test_the_ranks_of_runs_name_them(runs):
    ranks = ranks_of(runs)
    assert ranks["variant"].unique().tolist() == list(runs) and (ranks["seed"] == 0).all()
    assert len(ranks) == 6 * USERS


# --- beside the systems -----------------------------------------------------------------------


class Fitting:
    """A workspace that notes what it is asked to fit."""

    def __init__(self, tasks: list[str], truth: object):
        self.tasks, self.dataset = tasks, SimpleNamespace(truth=truth)
        self.asked = {}

    def able(self, *names: str) -> list[str]:
        return [name for name in names if name != "category_count"]

    def specify(self, name: str) -> SimpleNamespace:
        assert name == "gensr"
        return SimpleNamespace(options=SimpleNamespace(history=17))

    def fit(self, model: str, variant: str | None = None, **options: object) -> str:
        self.asked[variant or model] = (model, options)
        return variant or model


def test_floors_are_fitted_on_either_behavior():
    book = Fitting(["rec", "src"], None)
    assert fit_floors(book) == {
        **{name: name for name in FLOORS if name != "category_count"},
        "item_knn, rec": "item_knn-rec",
        "ease, rec": "ease-rec",
        "lightgcn, both": "lightgcn-both",
    }
    assert book.asked["ease-rec"] == ("ease", {"edges": "rec"})
    assert book.asked["lightgcn-both"] == ("lightgcn", {"edges": "both"})
    assert not any("," in name for name in fit_floors(Fitting(["rec"], None)))


def test_readers_are_given_what_gensr_has_and_only_where_the_law_is_known():
    book = Fitting(["rec", "src"], object())
    assert list(fit_anchors(book)) == ["reader, as GenSR", "oracle"]
    assert book.asked["reader-as-gensr"] == ("reader", {"items": "views", "clicks_of": "rec", "history": 17})
    assert fit_anchors(Fitting(["rec"], None)) == {}
