"""The authors' released log, held against what can be said of it without the log."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import entropy

from gensr_lib.errors import ConfigError
from gensr_lib.experiments import released_log


def test_the_base_rate_costs_the_entropy_of_one_in_five():
    assert released_log.base_rate_loss() == pytest.approx(entropy([1 / 5, 4 / 5]), abs=1e-12)
    assert released_log.base_rate_loss(1 / 2) == pytest.approx(np.log(2))


def test_the_loss_has_a_value_per_thousand_steps_of_nine_epochs_in_their_order():
    losses = released_log.training_loss()
    epochs = losses.index.to_numpy()
    assert (np.diff(epochs) > 0).all() and epochs[0] == 500 / 35_182 and 8.99 < epochs[-1] < 9
    assert np.bincount(epochs.astype(int)).tolist() == [36] * 9  # 35 whole thousands and a rest
    assert not losses.isna().any().any()


def test_four_epochs_cost_the_base_rate_and_then_the_model_learns():
    task = released_log.training_loss()["task_loss"]
    by_epoch = task.groupby(task.index.astype(int)).mean()
    assert by_epoch.loc[1:3].to_numpy() == pytest.approx(released_log.base_rate_loss(), abs=2e-3)
    assert (by_epoch.loc[4:].diff().iloc[1:] < 0).all() and by_epoch[8] < 0.1


def test_validation_stands_at_chance_before_and_far_above_it_after():
    hits = released_log.validation()
    assert np.diff(hits.index).tolist() == [0.5] * 10 and hits.index[0] == 3.5
    assert hits.loc[:4].max() < 5 / 100 and hits.loc[4.5:].min() > 0.3
    assert hits.idxmax() == 7.5


def test_both_tasks_together_lie_where_the_validation_does():
    # Another part of the data, hence the margin; the metrics grow with K, as they must.
    released = released_log.results_by_task()
    assert released["HR@5"].mean() == pytest.approx(released_log.validation()[8.5], abs=0.02)
    assert (released["HR@5"] < released["HR@10"]).all()
    assert (released["NDCG@5"] < released["NDCG@10"]).all()


def test_a_project_elsewhere_reads_its_own_log_or_that_of_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    assert len(released_log.training_loss()) == 324
    own = tmp_path / released_log.LOG
    own.parent.mkdir(parents=True)
    own.write_text("step,task_loss,contrastive_loss,lines\n0,0.5,5.0,10\n")
    assert released_log.training_loss()["task_loss"].to_dict() == {500 / 35_182: 0.5}


def test_without_the_log_the_error_names_the_file_and_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    monkeypatch.setattr(released_log, "CHECKOUT", tmp_path / "site-packages")
    with pytest.raises(ConfigError, match=r"released_log.csv: not found.* copy the file"):
        released_log.training_loss()
