"""`evaluate`: against a loop over rows, fair to a constant scorer, and alike in several processes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from gensr_lib.data.dataset import Dataset
from gensr_lib.errors import ConfigError
from gensr_lib.models import Oracle, Popularity, RankingModel
from gensr_lib.training import loop as training
from gensr_lib.training.evaluation import evaluate
from gensr_lib.training.metrics import EXPECTED, METRICS, metric_columns
from tests.processes import SHORT, lightgcn, start_two
from tests.worlds import TINY, pocket, tables, twin_events


class Constant(RankingModel):
    """The same score for every candidate."""

    name = "constant"

    def score(self, batch):
        return torch.zeros(batch.cand.shape)


class NotANumber(Constant):
    def score(self, batch):
        return torch.full(batch.cand.shape, torch.nan)


class Noise(Constant):
    """Scores that depend on user and item alone, so on no batch."""

    def score(self, batch):
        return torch.sin(batch.user[:, None] * 12.9898 + batch.cand * 78.233).float()


def brute_force(model: RankingModel, dataset: Dataset, split: str, task: str) -> tuple[list[float], dict[str, float]]:
    """Ranks and metrics by counting, one row and one candidate at a time."""
    rows, found, by_user = dataset.rows[split][task], [], {}
    for number in range(len(rows)):
        made = dataset.batch(split, task, np.array([number]), with_event=model.reads_event)
        own, *others = model.score(made)[0].tolist()
        rank = 1 + sum(s > own for s in others) + sum(s == own for s in others) / 2
        found.append(rank)
        values = {f"R@{k}": float(rank <= k) for k in (5, 10)}
        values |= {f"N@{k}": 1 / math.log2(rank + 1) if rank <= k else 0.0 for k in (5, 10)}
        by_user.setdefault(int(dataset.user[rows.event[number]]), []).append(values)
    per_user = [{m: sum(v[m] for v in values) / len(values) for m in METRICS} for values in by_user.values()]
    return found, {m: sum(v[m] for v in per_user) / len(per_user) for m in METRICS}


@pytest.mark.parametrize("split", ["valid", "test"])
@pytest.mark.parametrize("make", [Popularity.from_dataset, lambda _: Noise(Popularity.Config())])
def test_ranks_and_metrics_equal_a_loop_over_rows(make, split):
    dataset = pocket()
    model = make(dataset).eval()
    found = evaluate(model, dataset, split, batch_size=7)
    assert (found.model, found.split) == (model.name, split) and list(found.metrics) == ["rec", "src"]
    for task, rows in found.table.groupby("task"):
        ranks, metrics = brute_force(model, dataset, split, task)
        assert rows["rank"].tolist() == ranks
        assert found.metrics[task] == pytest.approx(metrics, abs=1e-12)


def test_users_with_many_rows_count_once():
    """Own data may hold two test rows of one user; the loop above and `summarise` must agree there too."""
    dataset = Dataset.from_tables(tables(*twin_events("a"), *twin_events("b", 9)), TINY)
    found = evaluate(Popularity.from_dataset(dataset), dataset)
    for task in found.metrics:
        assert found.metrics[task] == pytest.approx(
            brute_force(Popularity.from_dataset(dataset), dataset, "test", task)[1]
        )


def test_the_table_says_which_row_user_and_item():
    dataset, found = pocket(), evaluate(Popularity.from_dataset(pocket()), pocket(), batch_size=16)
    for task, rows in found.table.groupby("task"):
        event = dataset.rows["test"][task].event
        assert rows["row"].tolist() == list(range(len(event)))
        assert (rows["user"].to_numpy() == dataset.user[event]).all()
        assert (rows["item"].to_numpy() == dataset.item[event]).all()


@pytest.mark.parametrize("batch_size", [1, 13, 1000])
def test_the_batch_size_changes_nothing(batch_size):
    model = lightgcn()
    expected = evaluate(model, pocket(), batch_size=64).table
    pd.testing.assert_frame_equal(evaluate(model, pocket(), batch_size=batch_size).table, expected)


@pytest.mark.parametrize("training_mode", [True, False])
def test_scored_in_eval_mode_without_gradients_and_the_mode_is_restored(training_mode):
    seen = []

    class Spy(Constant):
        def score(self, batch):
            seen.append((self.training, torch.is_grad_enabled()))
            return super().score(batch)

    model = Spy(Popularity.Config()).train(training_mode)
    evaluate(model, pocket())
    assert set(seen) == {(False, False)} and model.training is training_mode


def test_a_nan_score_is_an_error_and_the_mode_is_restored_all_the_same():
    model = NotANumber(Popularity.Config()).train()
    with pytest.raises(ValueError, match="NaN score"):
        evaluate(model, pocket())
    assert model.training


def test_a_split_without_rows_is_an_error_that_says_so():
    dataset = Dataset.from_tables(tables(("a", "x", 0, "rec"), ("a", "y", 1, "rec")), TINY)
    with pytest.raises(ValueError, match="no test row for constant"):
        evaluate(Constant(Popularity.Config()), dataset)


def test_the_rank_of_a_constant_scorer_is_that_of_chance_and_no_row_is_a_hit():
    """All tie: the rank is the middle of the list, 1 + 99/2, for every row; no row is a hit."""
    found = evaluate(Constant(Popularity.Config()), pocket())
    assert (found.table["rank"] == 1 + 99 / 2).all()
    assert all(value == 0 for values in found.metrics.values() for value in values.values())


def test_noise_is_at_chance_on_average():
    """A uniform rank over 1..100 has mean 50.5 and sd 100/sqrt(12); four standard errors either side."""
    found = evaluate(Noise(Popularity.Config()), pocket())
    ranks = found.table["rank"]
    assert abs(ranks.mean() - 50.5) < 4 * (100 / math.sqrt(12)) / math.sqrt(len(ranks))


@pytest.mark.parametrize("task", ["rec", "src"])
def test_no_system_beats_the_oracle(task):
    oracle = evaluate(Oracle.from_dataset(pocket()), pocket()).metrics[task]
    trained = training.train(lightgcn(), pocket(), SHORT).model
    others = [Popularity.from_dataset(pocket()), Constant(Popularity.Config()), Noise(Popularity.Config()), trained]
    for other in others:
        if task in other.tasks:
            assert oracle["N@10"] >= evaluate(other, pocket()).metrics[task]["N@10"]
    assert oracle["N@10"] > 0.3, "the oracle knows something"


def test_mean_and_frame():
    found = evaluate(Popularity.from_dataset(pocket()), pocket())
    assert found.mean("R@10") == pytest.approx((found.metrics["rec"]["R@10"] + found.metrics["src"]["R@10"]) / 2)
    frame = found.frame()
    assert list(frame.columns) == list(METRICS) and list(frame.index) == ["rec", "src"]
    assert frame.loc["src", "N@5"] == found.metrics["src"]["N@5"]


# --- under the law ----------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["valid", "test"])
def test_expected_metrics_equal_a_loop_over_rows_and_clicks(split):
    data, model = pocket(), Noise(Popularity.Config())
    found = evaluate(model, data, split, batch_size=7)
    for task, rows in found.table.groupby("task"):
        for row in rows.head(12).itertuples():
            batch = data.batch(split, task, np.array([row.row]))
            event = data.rows[split][task].event[[row.row]]
            shares = data.law.click_shares(event, batch.cand.numpy())[0]
            scores = model.score(batch)[0].tolist()
            places = [1 + sum(s > own for s in scores) + (scores.count(own) - 1) / 2 for own in scores]
            exact = sum(w / math.log2(r + 1) for w, r in zip(shares, places, strict=True) if r <= 10)
            assert rows.loc[row.Index, "expected N@10"] == pytest.approx(exact, abs=1e-12)
        users = rows.groupby("user")[list(EXPECTED)].mean().mean()
        assert found.expected[task] == pytest.approx(dict(zip(METRICS, users[list(EXPECTED)], strict=True)))


@pytest.mark.parametrize("make", [Popularity.from_dataset, Oracle.from_dataset, lambda _: Noise(Popularity.Config())])
def test_expected_metrics_are_plain_ones_on_average_and_vary_less(make):
    """Over rows of four worlds, four standard errors either side; clicks of an event are independent given p."""
    tested = [evaluate(make(pocket(seed)), pocket(seed)).table for seed in range(4)]
    for _, rows in pd.concat(tested).groupby("task"):
        plain = metric_columns(rows["rank"].to_numpy())["N@10"]
        apart = plain - rows["expected N@10"].to_numpy()
        assert abs(apart.mean()) < 4 * apart.std() / len(apart) ** 0.5
        assert rows["expected N@10"].std() < plain.std()


def test_no_system_is_expected_to_beat_the_oracle_in_any_row():
    best = evaluate(Oracle.from_dataset(pocket()), pocket()).table
    for other in (Popularity.from_dataset(pocket()), Noise(Popularity.Config())):
        table = evaluate(other, pocket()).table
        certain = best["expected N@10"].eq(0)  # an item clicked again: the oracle does not expect it
        assert (table["expected N@10"] <= best["expected N@10"] + 1e-9)[~certain].all()


def test_models_are_selected_by_plain_metrics_in_a_simulated_world_too():
    found = evaluate(Popularity.from_dataset(pocket()), pocket(), "valid")
    plain = found.mean("N@5")
    found.table[list(EXPECTED)] = 0.0
    assert found.mean("N@5") == plain > 0


def test_data_without_a_law_have_plain_metrics_only():
    data = Dataset.from_tables(tables(*twin_events("a"), *twin_events("b", 9)), TINY)
    found = evaluate(Popularity.from_dataset(data), data)
    assert list(found.table) == ["task", "row", "user", "item", "rank"] and found.expected == {}
    assert list(found.frame(expected=True)) == list(METRICS)


def test_the_frame_shows_plain_and_expected_beside_each_other():
    found = evaluate(Popularity.from_dataset(pocket()), pocket())
    frame = found.frame(expected=True)
    assert list(frame) == [*METRICS, *EXPECTED] and list(frame.index) == ["rec", "src"]
    assert frame.loc["src", "expected N@5"] == found.expected["src"]["N@5"]
    assert frame.loc["src", "N@5"] == found.metrics["src"]["N@5"]


def test_values_of_a_task_are_those_that_its_mean_is_of():
    found = evaluate(Popularity.from_dataset(pocket()), pocket())
    for task in ("rec", "src"):  # one row a user
        assert found.values(task, "N@5").mean() == pytest.approx(found.metrics[task]["N@5"])
        assert found.values(task, "expected R@10").mean() == pytest.approx(found.expected[task]["R@10"])
    with pytest.raises(ConfigError, match="unknown metric 'N@7'"):
        found.values("rec", "N@7")
    with pytest.raises(ConfigError, match="unknown task 'both'"):
        found.values("both")


# --- several processes ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory) -> list[dict]:
    """What each of two processes found that train and evaluate together."""
    return start_two("parallel", tmp_path_factory.mktemp("parallel"))


def test_two_processes_rank_each_row_once_and_as_one_process_does(two_processes):
    assert [found["processes"] for found in two_processes] == [2, 2]
    for model in (Popularity.from_dataset(pocket()), lightgcn()):
        alone = evaluate(model, pocket()).table
        for found in two_processes:
            pd.testing.assert_frame_equal(pd.DataFrame(found["ranks"][model.name]), alone)


def test_two_processes_train_to_equal_weights(two_processes):
    one, other = (found["weights"] for found in two_processes)
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert not torch.equal(one["embedding"], lightgcn().embedding), "they did train"
    assert two_processes[0]["history"][0]["valid rec N@5"] == two_processes[1]["history"][0]["valid rec N@5"]


def test_two_processes_take_the_gradient_of_the_whole_batch(two_processes):
    """Halves of equal size: the mean of their gradients is the gradient of the batch one process would take."""
    options = SHORT.replace(epochs=1, max_steps_per_epoch=2)
    alone = training.train(lightgcn(), pocket(), options).model.embedding
    assert torch.allclose(two_processes[0]["weights"]["embedding"], alone, atol=1e-4)


class Share:
    """As much of an accelerator as a plan's share needs."""

    num_processes, device = 2, torch.device("cpu")

    def __init__(self, process_index: int):
        self.process_index = process_index


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_every_process_has_a_row_in_every_step(rows):
    """A last batch of one row must not leave a process without one: the others would wait for it for ever."""
    loops = [training.Loop(lightgcn(), pocket(), SHORT, 0, None, training.make_accelerator()) for _ in range(2)]
    plan = np.arange(rows), np.ones((rows, 2), dtype=int)
    users = []
    for index, loop in enumerate(loops):
        loop.accelerator = Share(index)
        users.append(loop.batch(plan, "rec", 0).user.tolist())
    expected = pocket().user[pocket().rows["train"]["rec"].event[:rows]]
    assert all(users) and set(users[0] + users[1]) == set(expected.tolist())
    assert rows == 1 or len(users[0] + users[1]) == rows


def test_a_model_that_learns_is_not_evaluated_in_a_task_that_it_had_no_row_of(monkeypatch, caplog):
    data = pocket()
    nothing = data.rows["train"]["src"].taken(np.arange(0))
    train = {**data.rows["train"], "src": nothing}
    monkeypatch.setitem(data.rows, "train", train)
    learner = type("Learner", (Constant,), {"loss": lambda self, batch: {}})
    assert set(evaluate(learner(Constant.Config()), data).metrics) == {"rec"}
    assert "no training row of search" in caplog.text
    assert set(evaluate(Constant(Constant.Config()), data).metrics) == {"rec", "src"}, "a rule needs no training"
