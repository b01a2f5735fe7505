"""Search on seen and unseen pairs: the table against a loop over rows."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gensr_lib.data.dataset import Dataset
from gensr_lib.errors import ConfigError
from gensr_lib.experiments import seen_table
from gensr_lib.models import Popularity, build_model
from gensr_lib.training.evaluation import Evaluation, evaluate
from tests.worlds import TINY, pocket, tables


def run(evaluation: Evaluation) -> SimpleNamespace:
    """As much of a run as the table looks at."""
    return SimpleNamespace(evaluation=evaluation)


def brute_force(evaluation: Evaluation, dataset: Dataset, metric: str) -> dict[tuple[str, str], float]:
    """The row of a system, one test search at a time."""

    def pair(event: int) -> tuple[int, int]:
        return dataset.query[event], dataset.item[event]

    trained = {pair(event) for event in dataset.rows["train"]["src"].event}
    values = {"seen": [], "unseen": []}
    own = evaluation.table[evaluation.table["task"] == "src"]
    for line, value in zip(own.to_dict("records"), evaluation.values("src", metric), strict=True):
        event = dataset.rows["test"]["src"].event[line["row"]]
        assert dataset.item[event] == line["item"]
        values["seen" if pair(event) in trained else "unseen"].append(value)
    found = {}
    for name, part in values.items():
        mean, half = np.mean(part), stats.t(len(part) - 1).ppf(0.975) * np.std(part, ddof=1) / len(part) ** 0.5
        found |= {(name, metric): mean, (name, "low"): mean - half, (name, "high"): mean + half}
        found[name, "rows"] = len(part)
    return found


@pytest.mark.parametrize("metric", ["N@10", "R@5", "expected N@10"])
def test_the_table_equals_a_loop_over_rows(metric):
    dataset = pocket()
    names = ("popularity", "bm25", "query_lookup")
    found = {name: evaluate(build_model(name, dataset), dataset) for name in names}
    table = seen_table({name: run(each) for name, each in found.items()}, dataset, metric)
    assert list(table.index) == list(names) and table.index.name == "system"
    for name, each in found.items():
        expected = brute_force(each, dataset, metric)
        assert list(table) == list(expected)
        assert table.loc[name].to_numpy(dtype=float) == pytest.approx([*expected.values()], rel=1e-9)
    assert (table["seen", "rows"] + table["unseen", "rows"]).eq(len(dataset.rows["test"]["src"])).all()
    assert all(table[pairs, "rows"].dtype == int for pairs in ("seen", "unseen")), "shown without decimals"


def test_rows_in_any_order_are_matched_by_their_numbers():
    dataset = pocket()
    whole = evaluate(build_model("query_lookup", dataset), dataset)
    part = Evaluation(whole.model, "test", whole.table[::-1].iloc[3:], 0.0)
    found = seen_table({"part": run(part)}, dataset).loc["part"].to_numpy(dtype=float)
    assert found == pytest.approx([*brute_force(part, dataset, "N@10").values()], rel=1e-9)


def test_a_metric_that_a_run_lacks_is_an_error():
    dataset = pocket()
    new = evaluate(Popularity.from_dataset(dataset), dataset)
    old = Evaluation(new.model, "test", new.table[["task", "row", "user", "item", "rank"]], 0.0)
    assert ("seen", "N@10") in seen_table({"old": run(old)}, dataset)
    with pytest.raises(ConfigError, match="metric"):
        seen_table({"old": run(old)}, dataset, "expected N@10")


def test_systems_that_do_not_search_are_left_out():
    dataset = pocket()
    new = evaluate(Popularity.from_dataset(dataset), dataset)
    of_rec = Evaluation("rec", "test", new.table[new.table["task"] == "rec"], 0.0)
    assert list(seen_table({"rec": run(of_rec), "both": run(new)}, dataset).index) == ["both"]
    assert len(seen_table({"rec": run(of_rec)}, dataset)) == len(seen_table({}, dataset)) == 0


def test_empty_groups_and_single_rows_have_no_interval_and_give_no_warning():
    events = [("u", f"i{t % 2}", t, "src", "same") for t in range(6)]
    dataset = Dataset.from_tables(tables(*events), TINY)
    ranks = pd.DataFrame({"task": "src", "row": [0], "user": [0], "item": dataset.item[5], "rank": [2.0]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = seen_table({"one": run(Evaluation("one", "test", ranks, 0.0))}, dataset)
    row = table.loc["one"]
    assert row["seen", "N@10"] == 1 / np.log2(3) and row["seen", "rows"] == 1
    assert row["unseen", "rows"] == 0
    missing = [("seen", "low"), ("seen", "high"), *(("unseen", what) for what in ("N@10", "low", "high"))]
    assert row[missing].isna().all()
