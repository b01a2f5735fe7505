"""The pocket world: its tables, and its law against counting, brute force and simulation."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from gensr_lib.data.pocket import words as vocabulary
from gensr_lib.data.pocket.clicks import draw_each
from gensr_lib.data.pocket.tastes import task_weights
from gensr_lib.data.pocket.world import PocketConfig, simulate
from gensr_lib.data.schema import NAME_COLUMNS, Tables, validate
from gensr_lib.errors import DataError

SMALL = PocketConfig(n_users=1100, n_items=300, n_events=14_000)


@pytest.fixture(scope="module")
def small():
    return simulate(SMALL, seed=3)


DIALS = {
    "topic_taste": 0.6,
    "second_person": 0.4,
    "own_search_taste": 0.3,
    "task_angle": 60,
    "rec_hidden": 0.3,
    "no_text": 0.2,
}


@pytest.fixture(scope="module", params=["plain", "all dials"])
def tiny(request):
    """Few users and items, many events: enough of each kind to count."""
    sizes = {"n_users": 40, "n_items": 12, "n_events": 20_000, "n_topics": 3}
    dials = DIALS if request.param == "all dials" else {}
    return simulate(PocketConfig(**sizes, repeat=0.2, search_accident=0.1, **dials), seed=5)


def all_rows(tables):
    events = tables.interactions
    return tables.truth.rows(events.user_id, events.time, events.behavior)


def everything(truth, rows):
    return np.broadcast_to(np.arange(truth.config.n_items), (len(rows), truth.config.n_items))


def test_tables_are_what_validation_of_their_names_gives(small):
    named = small.interactions.astype(dict.fromkeys(NAME_COLUMNS, object))
    checked = validate(Tables(named, small.items), "pocket")
    pd.testing.assert_frame_equal(checked.interactions, small.interactions)
    pd.testing.assert_frame_equal(checked.items, small.items)


def test_events_and_shares_are_as_configured(small):
    events = small.interactions
    per_user = events.groupby("user_id").size()
    mean = SMALL.n_events / SMALL.n_users
    assert len(per_user) == SMALL.n_users
    assert per_user.between(0.6 * mean, 1.4 * mean).all()
    assert abs(len(events) / SMALL.n_events - 1) < 0.05
    assert abs(events.behavior.eq("src").mean() - SMALL.search_share) < 0.02
    assert (events.groupby("user_id").time.diff().dropna() > 0).all()


def test_sessions_number_the_searches(small):
    searches = small.interactions[small.interactions.behavior.eq("src")]
    assert searches.session_id.is_unique
    assert (searches.session_id >= 0).all()
    others = small.interactions.drop(searches.index)
    assert (others.session_id == -1).all()
    assert others["query"].eq("").all()


def test_same_seed_same_tables_and_other_seed_others(small):
    again, other = simulate(SMALL, seed=3), simulate(SMALL, seed=4)
    pd.testing.assert_frame_equal(again.interactions, small.interactions)
    pd.testing.assert_frame_equal(again.items, small.items)
    assert (other.items.title != small.items.title).mean() > 0.9


def test_runs_of_one_behavior_are_short(small):
    events = small.interactions
    for _, behavior in itertools.islice(events.groupby("user_id").behavior, 300):
        assert max(len(list(run)) for _, run in itertools.groupby(behavior)) <= SMALL.longest_run
    back = events.groupby("user_id").cumcount(ascending=False)
    second_last = back[events.groupby(["user_id", "behavior"]).cumcount(ascending=False) == 1]
    assert second_last.max() <= 2 * SMALL.longest_run + 1
    assert second_last.median() <= 4


def test_query_words_come_from_the_topic(small):
    truth = small.truth
    src = np.flatnonzero(small.interactions.behavior.eq("src"))
    for e in src[:500]:
        words = small.interactions["query"][e].split()
        own = vocabulary.topic(truth.event_topic[e])[1]
        assert 1 <= len(words) <= 4
        assert set(words) <= set(own)
        assert set(words) & set(own[vocabulary.LABEL :]), "a query names its topic"


def test_own_words_of_topics_are_disjoint():
    own = [set(vocabulary.topic(k)[1][vocabulary.LABEL :]) for k in range(2000)]
    assert len(set().union(*own)) == sum(map(len, own)) == 2000 * 11
    assert not set().union(*own) & {*vocabulary.COLOURS, *vocabulary.MATERIALS}


def test_titles_and_paths_read_as_english(small):
    first = small.items.iloc[0]
    label = first.categories.split(" > ")[-1]
    assert f" {label} " in first.title
    assert len(first.title.split()) == 4
    assert first.text.startswith(first.title + " for ")
    assert len(first.text.split()) == 8


def test_probabilities_sum_to_one(small, tiny):
    for tables in (small, tiny):
        rows = np.random.default_rng(0).choice(len(tables.interactions), 400, replace=False)
        total = np.exp(tables.truth.log_prob(rows, everything(tables.truth, rows))).sum(axis=1)
        np.testing.assert_allclose(total, 1, atol=1e-9)


@pytest.mark.parametrize("behavior", ["rec", "src"])
def test_clicks_follow_the_law(tiny, behavior):
    """Each item is as frequent as the law says, and within bins of p, that share are clicks."""
    truth, rows = tiny.truth, all_rows(tiny)
    clicked = truth.item_index(tiny.interactions.item_id)
    chosen = tiny.interactions.behavior.eq(behavior).to_numpy()
    p = np.exp(truth.log_prob(rows[chosen], everything(truth, rows[chosen])))  # (E, I)
    hit = np.eye(truth.config.n_items)[clicked[chosen]]
    z_item = (hit - p).sum(axis=0) / np.sqrt((p * (1 - p)).sum(axis=0))  # (I,), each about N(0, 1)
    assert (np.abs(z_item) < 4).all()
    for low, high in itertools.pairwise([0, 0.01, 0.05, 0.2, 0.5, 1]):  # calibration of p itself
        inside = (p >= low) & (p < high)
        variance = (p * (1 - p))[inside].sum()
        assert abs((hit - p)[inside].sum()) < 4 * variance**0.5 + 1e-9


def test_repeats_follow_the_law(tiny):
    """Clicks on what the user already has are as frequent as the law says."""
    truth, rows = tiny.truth, all_rows(tiny)
    items = everything(truth, rows)
    p, before = np.exp(truth.log_prob(rows, items)), truth._clicked_before(rows, items)
    expected = (p * before).sum(axis=1)
    clicked = truth.item_index(tiny.interactions.item_id)
    hit = before[np.arange(len(clicked)), clicked]
    assert 0.05 < hit.mean() < 0.995
    assert abs((hit - expected).sum()) < 4 * (expected * (1 - expected)).sum() ** 0.5


def by_hand(tables, row, item):
    """The law of one event as its text says it: p(item | everything before), by loops."""
    c = tables.truth.config
    truth = tables.truth
    p = truth.person[row]
    k = truth.event_topic[row]
    search = truth.is_search[row]
    mine = [e for e in range(row) if truth.person[e] == p]
    clicks = truth.clicked(np.arange(row))
    old = {clicks[e] for e in mine if not truth._accidents[e]}
    half = [1] * (c.latent_dim // 2) + [-1] * (c.latent_dim // 2)

    def weight(i):
        own = math.sqrt(1 - c.topic_taste) * truth.tastes.own[p]
        z = own + math.sqrt(c.topic_taste) * truth.tastes.by_topic[p, truth.topic[i]]
        if search:
            z = math.sqrt(1 - c.own_search_taste) * z
            z = z + math.sqrt(c.own_search_taste) * truth.tastes.search[p]
            angle = math.radians(c.task_angle)
            z = [x * (math.cos(angle) + s * math.sin(angle)) for x, s in zip(z, half, strict=True)]
        like = sum(a * b for a, b in zip(z, truth.item_latent[i], strict=True)) / c.latent_dim**0.5
        score = math.log(c.repeat) if i in old else 0
        if not search:
            score += c.popularity * truth.popularity[i] + c.affinity * like + truth.shown[i]
            return math.exp(score)
        asked = set(truth.query_codes[row].tolist()) - {vocabulary.NO_WORD}
        score += c.query_match * len(asked & set(truth.words[i].tolist()))
        score += c.search_popularity * truth.popularity[i] + c.search_affinity * like
        return math.exp(score)

    rivals = [j for j in range(c.n_items) if truth.topic[j] == truth.topic[item]]
    share = weight(item) / sum(map(weight, rivals))
    if search:
        meant = (1 - c.search_accident) * share if truth.topic[item] == k else 0
        return meant + c.search_accident / c.n_items
    return math.exp(truth._log_topic[truth._rec_row[row], truth.topic[item]]) * share


def test_the_law_of_single_events_is_the_one_in_words():
    sizes = {"n_users": 10, "n_items": 30, "n_events": 300, "n_topics": 3}
    tables = simulate(PocketConfig(**sizes, repeat=0.2, search_accident=0.1, **DIALS), seed=2)
    rows = np.random.default_rng(0).choice(len(tables.interactions), 40, replace=False)
    found = np.exp(tables.truth.log_prob(rows, everything(tables.truth, rows)))
    expected = [[by_hand(tables, row, item) for item in range(30)] for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_dial_at_zero_changes_nothing(small):
    """Every dial draws from a stream of its own: the tables of the plain world stay as they are."""
    moved = simulate(SMALL.replace(no_text=0.5), seed=3)
    pd.testing.assert_frame_equal(moved.interactions, small.interactions)
    silent = moved.items[["title", "categories", "text"]].eq("").all(axis=1)
    assert 0.4 < silent.mean() < 0.6
    pd.testing.assert_frame_equal(moved.items[~silent], small.items[~silent])
    assert SMALL.replace(**DIALS).plain() == SMALL


def test_hidden_items_are_found_by_search_alone(small):
    moved = simulate(SMALL.replace(rec_hidden=0.5), seed=3)
    hidden = moved.truth.shown < 0
    item = moved.truth.item_index(moved.interactions.item_id)
    is_search = moved.interactions.behavior.eq("src").to_numpy()
    assert hidden[item[~is_search]].mean() < 0.12
    assert 0.4 < hidden[item[is_search]].mean() < 0.6


def test_people_of_an_account_take_turns_by_visits():
    world = simulate(SMALL.replace(second_person=0.4), seed=3)
    person = world.truth.person
    assert (person // 2 == world.truth._user).all()
    assert abs((person % 2).mean() - 0.4) < 0.03
    within = np.diff(world.interactions.time) < 60  # seconds: the gap between visits is a day
    same_user = np.diff(world.truth._user) == 0
    assert (np.diff(person)[within & same_user] != 0).mean() < 0.01


@pytest.mark.parametrize("angle", [0, 30, 90, 180])
def test_the_angle_is_that_between_the_laws(angle):
    """Of the features z_p * z_i, recommendation weighs all alike and search by w(theta)."""
    weights = task_weights(PocketConfig(task_angle=angle))
    cosine = weights.sum() / np.sqrt(len(weights) * (weights**2).sum())
    assert abs(cosine - math.cos(math.radians(angle))) < 1e-12


def test_own_tastes_correlate_as_their_dials_say():
    dials = {"topic_taste": 0.6, "own_search_taste": 0.3}
    tastes = simulate(SMALL.replace(**dials), seed=3).truth.tastes
    people = np.arange(len(tastes.own))
    one, other = (tastes.rec(people, k).ravel() for k in (0, 1))
    assert abs(np.corrcoef(one, other)[0, 1] - (1 - 0.6)) < 0.05
    assert abs(np.corrcoef(one, tastes.src(people, 0).ravel())[0, 1] - 0.7**0.5) < 0.05
    assert abs(one.std() - 1) < 0.05


def test_default_world_rarely_repeats(small):
    pairs = small.interactions[["user_id", "item_id"]]
    assert pairs.duplicated().mean() < 0.03


def test_draw_each_matches_its_weights():
    weights = np.tile([1.0, 0.0, 3.0], (40_000, 1))
    drawn = draw_each(weights, np.random.default_rng(0).random(40_000))
    shares = np.bincount(drawn, minlength=3) / 40_000
    np.testing.assert_allclose(shares, [0.25, 0, 0.75], atol=0.01)


def test_no_perturbed_scorer_ranks_better(small):
    truth, rng = small.truth, np.random.default_rng(0)
    rows = np.arange(len(small.interactions))
    items = rng.integers(SMALL.n_items, size=(len(rows), 21))
    items[:, 0] = truth.item_index(small.interactions.item_id)
    oracle = truth.log_prob(rows, items)

    def gain(scores):
        return (1 / np.log2(1 + ranks(scores))).mean()

    best = gain(oracle)
    for scale in (0.3, 1.0, 3.0):
        assert gain(oracle + scale * rng.standard_normal(oracle.shape)) < best
    assert 0.7 * best < gain(truth.log_prob(rows, items, static=True)) < best


def ranks(scores):
    """The rank of column 0 in each row; half of the ties stand before it."""
    above = (scores[:, 1:] > scores[:, :1]).sum(axis=1)
    return 1 + above + 0.5 * (scores[:, 1:] == scores[:, :1]).sum(axis=1)


def ndcg_at_10(scores):
    rank = ranks(scores)
    return np.where(rank <= 10, 1 / np.log2(1 + rank), 0).mean()


def test_default_world_is_neither_hopeless_nor_trivial():
    """Each user's last event of each behavior against 99 items that the user never touched."""
    tables, rng = simulate(seed=0), np.random.default_rng(0)
    truth, events = tables.truth, tables.interactions
    item, user = truth.item_index(events.item_id), events.user_id.factorize()[0]
    train = events.groupby("user_id").cumcount(ascending=False) >= 8
    popularity = np.bincount(item[train], minlength=truth.config.n_items)
    touched = np.zeros((truth.config.n_users, truth.config.n_items), dtype=bool)
    touched[user, item] = True
    bands = {"rec": [(0.09, 0.15), (0.5, 0.6)], "src": [(0.05, 0.25), (0.95, 0.985)]}
    for behavior, ((worst, best), (low, high)) in bands.items():
        last = events[events.behavior.eq(behavior)].groupby("user_id").tail(1).index.to_numpy()
        draw = np.where(touched[user[last]], 2, rng.random((len(last), touched.shape[1])))
        negatives = np.argpartition(draw, 99, axis=1)[:, :99]
        shown = np.concatenate([item[last, None], negatives], axis=1)  # (U, 100)
        oracle, static = (ndcg_at_10(truth.log_prob(last, shown, static=s)) for s in (False, True))
        assert worst < ndcg_at_10(popularity[shown]) < best
        assert low < oracle < high
        assert static >= 0.85 * oracle


def test_click_probability_is_the_share_of_clicks_among_shown(tiny):
    """Mix each click with 3 uniform items: in bins of the probability, that share are clicks."""
    truth, rows, n = tiny.truth, all_rows(tiny), 3
    items = np.random.default_rng(1).integers(truth.config.n_items, size=(len(rows), 1 + n))
    items[:, 0] = truth.item_index(tiny.interactions.item_id)
    yes = truth.click_probability(rows, items, n)
    label = np.zeros_like(yes)
    label[:, 0] = 1
    for low, high in itertools.pairwise([0, 0.2, 0.4, 0.6, 0.81]):
        inside = (yes >= low) & (yes < high)
        assert inside.sum() > 100
        error = 4 * (yes * (1 - yes))[inside].sum() ** 0.5
        assert abs((label - yes)[inside].sum()) < error


@pytest.mark.parametrize("task", ["rec", "src"])
@pytest.mark.parametrize("n", [1, 4])
def test_information_against_a_sum_over_the_joint_table(tiny, task, n):
    truth = tiny.truth
    rows = all_rows(tiny)[tiny.interactions.behavior.eq(task).to_numpy()][:300]
    p = np.exp(truth.log_prob(rows, everything(truth, rows)))  # (E, I)
    joint = np.stack([np.full_like(p, n / p.shape[1]), p]) / (1 + n) / len(rows)  # (2, E, I)
    independent = joint.sum(axis=0) * joint.sum(axis=(1, 2), keepdims=True)
    brute = (joint * np.log(joint / independent)).sum()
    np.testing.assert_allclose(truth.information_by_event(rows, n).mean(), brute, atol=1e-9)
    ceiling = np.log(1 + n) - n / (1 + n) * np.log(n)  # H(Y) in nats
    assert 0 < truth.information(task, n) < ceiling <= np.log(2) + 1e-12


def test_information_of_a_sample_is_close_to_that_of_all(tiny):
    truth = tiny.truth
    assert abs(truth.information("rec", 4) - truth.information("rec", 4, max_events=10**9)) < 0.005


def test_unknown_events_items_and_tasks_are_named(small):
    truth, first = small.truth, small.interactions.iloc[0]
    other = "src" if first.behavior == "rec" else "rec"
    known, now = first.user_id, first.time
    for user, time, behavior in [("nobody", now, "rec"), (known, 1, "rec"), (known, now, other)]:
        with pytest.raises(DataError, match=f"no simulated event of user '{user}', time {time}"):
            truth.rows([user], [time], [behavior])
    with pytest.raises(DataError, match="'i99999' is not in the simulated catalogue"):
        truth.item_index([["i00001", "i99999"]])
    with pytest.raises(DataError, match="task 'both'"):
        truth.information("both", 4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_users": 0}, "n_users"),
        ({"affinity": -1.0}, "affinity"),
        ({"search_shift": -0.1}, "search_shift"),
        ({"topic_taste": 1.1}, "topic_taste"),
        ({"second_person": 0.6}, "second_person"),
        ({"own_search_taste": -0.1}, "own_search_taste"),
        ({"task_angle": 181}, "task_angle"),
        ({"rec_hidden": 1.0}, "rec_hidden"),
        ({"no_text": -1}, "no_text"),
        ({"search_share": 1.0}, "search_share"),
        ({"n_events": 5000}, "raise it to 10000"),
        ({"n_topics": 2000}, "every topic needs an item"),
        ({"search_taste": 0, "search_explore": 0, "search_recent": 0}, "must be positive"),
        ({"affinty": 1.0}, "affinty"),
    ],
)
def test_configurations_out_of_range_are_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        PocketConfig(**wrong)


def test_topics_grow_with_the_square_root_of_the_items():
    assert PocketConfig().topics == 24
    assert PocketConfig(n_items=150_000).topics == 240
