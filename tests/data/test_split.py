"""The split and its leaks: what is held out, and that nothing held out is ever seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gensr_lib.data.dataset import Dataset
from gensr_lib.data.pocket.world import PocketConfig, simulate
from gensr_lib.data.schema import BEHAVIORS, REC, SRC, validate
from gensr_lib.data.sources.load import load_dataset
from gensr_lib.data.split import SPLITS, TEST, TRAIN, VALID, k_core
from gensr_lib.data.times import Clock
from gensr_lib.errors import ConfigError, DataError
from tests.worlds import TINY, pocket, tables, twin_events


def targets(dataset: Dataset, split: str, task: str) -> list[str]:
    """Items of the target rows, without those of the crowd."""
    items = dataset.item_ids[dataset.item[dataset.rows[split][task].event]].tolist()
    return [item for item in items if not item.startswith("~")]


def history(dataset: Dataset, split: str, task: str, row: int) -> set[str]:
    batch = dataset.batch(split, task, np.array([row]), np.ones((1, 1), dtype=int))
    seen = np.r_[batch.rec_items.numpy().ravel(), batch.ses_clicks.numpy().ravel()]
    return set(dataset.item_ids[seen[seen > 0]])


def assert_no_leak(dataset: Dataset) -> None:
    """Every claim of the leak tests, on every event of a data set."""
    cut_valid = dataset.split.cut_valid[dataset.user]
    cut_test = dataset.split.cut_test[dataset.user]
    row = np.arange(len(dataset.user))
    parts = {TRAIN: row < cut_valid, TEST: row >= cut_test}
    parts[VALID] = ~(parts[TRAIN] | parts[TEST])
    for task in BEHAVIORS:
        for split, allowed in parts.items():
            assert allowed[dataset.rows[split][task].event].all(), (task, split)
    # Disjoint in time: a user's latest training event is before the earliest held-out one, ...
    for split, later in ((TRAIN, VALID), (VALID, TEST)):
        for user, time in _extreme(dataset, split, max).items():
            assert time < _extreme(dataset, later, min).get(user, np.inf)
    # Histories and edges hold training events only, strictly earlier than the target.
    for split in SPLITS:
        for task in BEHAVIORS:
            rows = dataset.rows[split][task]
            assert (rows.limit <= dataset.split.cut_valid[dataset.user[rows.event]]).all()
            earlier = rows.limit - 1
            same_user = (earlier >= 0) & (dataset.user[earlier] == dataset.user[rows.event])
            assert (dataset.time[earlier][same_user] < dataset.time[rows.event][same_user]).all()
    users, _ = dataset.training_edges()
    assert len(users) == (~dataset.is_search & dataset.rows_before_cut()).sum()
    assert len(dataset.training_edges("both")[0]) == dataset.rows_before_cut().sum()
    with pytest.raises(ConfigError, match="unknown behavior 'all'"):
        dataset.training_edges("all")


def _extreme(dataset: Dataset, split: str, pick) -> dict[int, int]:
    rows = np.concatenate([dataset.rows[split][t].event for t in BEHAVIORS])
    found: dict[int, int] = {}
    for user, time in zip(dataset.user[rows].tolist(), dataset.time[rows].tolist(), strict=True):
        found[user] = pick(found.get(user, time), time)
    return found


def test_last_event_is_the_test_and_the_one_before_validation():
    events = [("u", f"i{t}", t, REC) for t in range(6)]
    dataset = Dataset.from_tables(tables(*events), TINY)
    assert targets(dataset, TRAIN, REC) == ["i0", "i1", "i2", "i3"]
    assert targets(dataset, VALID, REC) == ["i4"]
    assert targets(dataset, TEST, REC) == ["i5"]


def test_a_twin_is_held_out_with_its_event():
    dataset = Dataset.from_tables(tables(*twin_events("u")), TINY)
    for task in BEHAVIORS:
        assert targets(dataset, TRAIN, task) == ["u-i0", "u-i1", "u-i2", "u-i3"]
        assert targets(dataset, TEST, task) == ["u-i5"]
        assert history(dataset, TEST, task, 0) == {"u-i0", "u-i1", "u-i2", "u-i3"}
    assert_no_leak(dataset)


def test_a_purchase_without_query_does_not_bring_its_neighbour_back():
    """The last purchase has no search; the last search is of the one before: both are held out."""
    events = [e for e in twin_events("u", 8) if not (e[3] == SRC and e[2] == 7)]
    dataset = Dataset.from_tables(tables(*events), TINY)
    assert targets(dataset, TEST, REC) == ["u-i7"] and targets(dataset, TEST, SRC) == ["u-i6"]
    assert "u-i6" not in targets(dataset, TRAIN, REC) and "u-i5" not in targets(dataset, TRAIN, REC)
    assert_no_leak(dataset)


def test_visible_twins_put_the_answer_into_the_history():
    dataset = Dataset.from_tables(tables(*twin_events("u")), TINY.replace(twins="visible"))
    assert "u-i5" in history(dataset, TEST, SRC, 0)


def test_history_may_reach_to_validation_on_request():
    config = TINY.replace(test_history="train+validation")
    dataset = Dataset.from_tables(tables(*twin_events("u")), config)
    assert history(dataset, TEST, REC, 0) == {f"u-i{t}" for t in range(5)}
    assert history(dataset, VALID, REC, 0) == {f"u-i{t}" for t in range(4)}


def test_training_history_is_strictly_earlier_than_the_moment():
    events = [("u", "a", 0, REC), ("u", "b", 1, REC), ("u", "c", 1, REC)]
    events += [("u", f"x{t}", t, REC) for t in (5, 6, 7)]
    dataset = Dataset.from_tables(tables(*events), TINY)
    at = targets(dataset, TRAIN, REC).index("c")
    assert history(dataset, TRAIN, REC, at) == {"a"}, "b happened at the same time as c"


def test_one_behavior_only_and_too_short():
    events = [("long", f"i{t}", t, SRC) for t in range(5)]
    events += [("short", f"i{t}", t, REC) for t in range(2)]
    dataset = Dataset.from_tables(tables(*events), TINY)
    assert targets(dataset, TEST, SRC) == ["i4"] and targets(dataset, TEST, REC) == []
    assert dataset.split.too_short.tolist() == [False, True, True]  # the last is the crowd
    assert set(targets(dataset, TRAIN, REC)) == {"i0", "i1"}, "too short: training only"
    assert "2 users too short" in dataset.count_table().index[-3]


def test_an_old_search_does_not_cost_the_user_the_whole_log():
    events = [
        ("u", "s0", 0, SRC),
        ("u", "s1", 1, SRC),
        ("u", "s2", 2, SRC),
        *[("u", f"i{t}", t, REC) for t in range(3, 20)],
    ]
    dataset = Dataset.from_tables(tables(*events), TINY)
    assert targets(dataset, TEST, SRC) == [] and targets(dataset, TEST, REC) == ["i19"]
    assert targets(dataset, TRAIN, SRC) == ["s0", "s1", "s2"]


def test_half_of_a_log_is_enough_to_train_on():
    dataset = Dataset.from_tables(tables(*[("u", f"i{t}", t, REC) for t in range(4)]), TINY)
    assert [targets(dataset, split, REC) for split in SPLITS] == [["i0", "i1"], ["i2"], ["i3"]]


def test_no_event_is_tested_where_none_is_left_to_validate_by():
    events = [*[("u", f"s{t}", t, SRC) for t in range(3)], ("u", "r", 3, REC)]
    dataset = Dataset.from_tables(tables(*events), TINY)
    assert dataset.split.too_short[0] and targets(dataset, TEST, REC) == []


def test_what_a_user_lacks_is_not_taken_from_the_user_before():
    before = [("a", f"s{t}", t, SRC) for t in range(4)]
    events = [*before, *[("b", f"r{t}", t, REC) for t in range(8)], ("b", "only", 8, SRC)]
    dataset = Dataset.from_tables(tables(*events), TINY)
    assert targets(dataset, TEST, SRC) == ["s3", "only"] and targets(dataset, VALID, SRC) == ["s2"]


def test_unsorted_and_equal_times_are_sorted_per_user():
    events = [("b", f"i{t}", t, REC) for t in (2, 0, 3, 1)]
    events.insert(1, ("a", "j", 9, REC))
    dataset = Dataset.from_tables(tables(*events), TINY)
    own = dataset.user == 1
    assert dataset.item_ids[dataset.item[own]].tolist() == ["i0", "i1", "i2", "i3"]


def test_no_leak_in_the_pocket_world():
    assert_no_leak(pocket())


@pytest.mark.parametrize("folder", ["amazon-beauty", "amazon-digital-music-2014"])
def test_no_leak_in_real_data(shared, folder, monkeypatch, tmp_path):
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    dataset = load_dataset(shared / folder)
    assert len(dataset.rows[TEST][SRC]) > 100
    assert_no_leak(dataset)
    rows = dataset.rows[TEST][SRC]
    users = dataset.user[rows.event][:, None]
    assert not dataset.sampler.is_touched(users, rows.negatives).any()


def test_k_core_counts_a_purchase_and_its_search_once():
    two = [*twin_events("u", 2), ("v", "u-i0", 0, REC), ("v", "u-i1", 1, REC)]
    valid = validate(tables(*two, extra_items=0), "test")
    assert len(k_core(valid, 2).interactions) == len(two)
    with pytest.raises(DataError, match="3-core"):
        Dataset.from_tables(tables(*two, extra_items=0), TINY.replace(min_interactions=3))
    alone = validate(tables(*twin_events("u", 2), extra_items=0), "test")
    assert len(k_core(alone, 2).interactions) == 0, "each item has one interaction, in two rows"


def test_k_core_repeats_until_stable():
    pairs = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("c", "y"), ("c", "rare")]
    events = [(user, item, time, REC) for time, (user, item) in enumerate(pairs)]
    left = k_core(validate(tables(*events), "test"), 2).interactions
    assert set(left["user_id"]) == {"a", "b"}, "c falls below 2 once its rare item is gone"


def test_fewer_test_rows_are_those_of_the_same_users_in_both_tasks():
    """Of users who never search a recommendation alone is tested; the order of users is one, all the same."""
    world = simulate(PocketConfig(n_users=60, n_items=220, n_events=2000), 0)
    log = world.interactions
    silent = log["user_id"].isin(log["user_id"].unique()[::2]) & (log["behavior"] == SRC)
    world = replace(world, interactions=log[~silent].reset_index(drop=True))
    whole, part = (Dataset.from_tables(world, given) for given in (TINY, TINY.replace(max_test_rows=15)))
    users, every = (
        {task: {*data.user[data.rows[TEST][task].event].tolist()} for task in BEHAVIORS} for data in (part, whole)
    )
    assert {len(found) for found in users.values()} == {15} and len(every[SRC]) < len(every[REC])
    assert len(users[REC] & every[SRC]) > 2 and users[REC] & every[SRC] <= users[SRC]


def test_the_counts_of_the_split_are_those_of_a_loop():
    dataset = pocket()
    lines = [line for line in dataset.counts if " rows" in line["step"]]
    assert [line["step"].split()[0] for line in lines] == list(SPLITS)
    for line, split in zip(lines, SPLITS, strict=True):
        rows = {task: dataset.rows[split][task].event for task in ("rec", "src")}
        every = [*rows["rec"], *rows["src"]]
        assert (line["rec events"], line["src events"]) == (len(rows["rec"]), len(rows["src"]))
        assert line["users"] == len({dataset.user[event] for event in every})
        assert line["items"] == len({dataset.item[event] for event in every})
        assert line["queries"] == len({dataset.query_texts[dataset.query[event]] for event in rows["src"]})


def in_days(*events: tuple, day: int = 10, shift: int = 0):
    """Tables of some events and of the crowd, whose times are counted in days of some units."""
    return replace(tables(*events), clock=Clock(day, shift))


def by_days(events, config=TINY, **clock) -> Dataset:
    return Dataset.from_tables(in_days(*events, **clock), config.replace(split="last days"))


A_WEEK = [("u", f"u{t}", t, REC) for t in (1, 12, 13, 35, 41, 48)]
A_WEEK += [("v", "v0", 14, SRC), ("v", "v1", 36, SRC), ("v", "v2", 37, REC), ("w", "w0", 44, REC)]


def test_by_days_all_events_of_the_last_day_are_tests_and_those_of_the_day_before_validation():
    dataset = by_days(A_WEEK)  # days 0, 1, 3 and 4: nothing happened on day 2
    assert targets(dataset, TRAIN, REC) == ["u1", "u12", "u13"] and targets(dataset, TRAIN, SRC) == ["v0"]
    assert targets(dataset, VALID, REC) == ["u35", "v2"] and targets(dataset, VALID, SRC) == ["v1"]
    assert targets(dataset, TEST, REC) == ["u41", "u48", "w0"] and targets(dataset, TEST, SRC) == []
    assert not dataset.split.too_short.any()
    assert_no_leak(dataset)


def test_a_day_begins_where_the_users_live():
    dataset = by_days(A_WEEK, shift=2)  # 48 is the first moment of a day of its own
    assert targets(dataset, TEST, REC) == ["u48"] and targets(dataset, VALID, REC) == ["u41", "w0"]


def test_by_days_every_event_is_where_the_calendar_puts_it():
    world = simulate(PocketConfig(n_users=60, n_items=220, n_events=2000), 0)
    times = np.sort(world.interactions["time"].unique())
    per_day = int(times[-1] - times[0]) // 6
    dataset = Dataset.from_tables(replace(world, clock=Clock(per_day)), TINY.replace(split="last days"))
    day = pd.Series(dataset.time // per_day)
    last, before = sorted(day.unique())[:-3:-1]
    for task, kind in ((REC, ~dataset.is_search), (SRC, dataset.is_search)):
        assert (dataset.rows[TEST][task].event == np.flatnonzero(kind & (day == last))).all()
        assert (dataset.rows[VALID][task].event == np.flatnonzero(kind & (day == before))).all()
        assert (dataset.rows[TRAIN][task].event == np.flatnonzero(kind & (day < before))).all()
        assert all(len(dataset.rows[split][task]) for split in SPLITS)
    assert_no_leak(dataset)


def test_a_history_may_hold_all_that_was_earlier():
    dataset = by_days([*A_WEEK, ("u", "same", 48, REC)], TINY.replace(test_history="earlier"))
    assert targets(dataset, TEST, REC)[:3] == ["u41", "u48", "same"]
    seen = {"u1", "u12", "u13", "u35"}
    assert history(dataset, VALID, REC, 0) == seen - {"u35"}
    assert history(dataset, TEST, REC, 0) == seen
    for row in (1, 2):  # of one moment: neither sees the other
        assert history(dataset, TEST, REC, row) == {*seen, "u41"}
    assert history(dataset, TEST, REC, 3) == set()  # w has no event before it


def test_days_are_refused_where_there_are_none():
    with pytest.raises(DataError, match=r"2 days.*leave-one-out"):
        by_days(A_WEEK, day=25)
    with pytest.raises(DataError, match=r"times only order events"):
        Dataset.from_tables(tables(*A_WEEK), TINY.replace(split="last days"))


def test_users_of_both_behaviors_are_kept_and_go_with_their_items():
    """w's only search goes with its item, then w goes as a user of one behavior."""
    both = [("u", "a", 0, REC), ("u", "b", 1, SRC), ("v", "a", 0, REC), ("v", "b", 1, SRC)]
    one = [("w", "a", 0, REC), ("w", "b", 1, REC), ("w", "only", 2, SRC)]
    valid = validate(tables(*both, *one, extra_items=5), "test")
    left = k_core(valid, 2, both_behaviors=True)
    assert set(left.interactions["user_id"]) == {"u", "v"} and set(left.items["item_id"]) == {"a", "b"}
    assert left.counts[-1]["step"] == "2-core, users with both behaviors, 2 rounds"
    assert set(k_core(valid, 2).interactions["user_id"]) == {"u", "v", "w"}
    assert k_core(left, 2, both_behaviors=True) is left  # a loader may have done it
    assert k_core(left, 2) is not left
