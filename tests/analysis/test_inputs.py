"""What each system of the book reads, against what its paper says that it reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gensr_lib.analysis.inputs import INPUTS, exchanged, of_row_before, reads
from gensr_lib.errors import ConfigError
from gensr_lib.experiments.comparison import PRINTED
from gensr_lib.models import available_models
from tests.models.test_contract import make
from tests.worlds import pocket

USER, REC, CLICKS, QUERIES, ORDER, QUERY = ({name} for name in INPUTS)
SEARCHES = CLICKS | QUERIES
HISTORY = REC | SEARCHES | ORDER
# As their papers have it; AEM, ZAM and the counts by category read no order but a window of the newest clicks, and the
# models of these tests have narrow ones.
EXPECTED = {
    ("category_count", "rec"): REC | CLICKS | ORDER,
    ("category_count", "src"): REC | CLICKS | ORDER,
    ("item_knn", "rec"): REC | CLICKS,
    ("item_knn", "src"): REC | CLICKS,
    ("ease", "rec"): REC | CLICKS,
    ("ease", "src"): REC | CLICKS,
    ("bm25", "src"): QUERY,
    ("query_lookup", "src"): QUERY,
    ("lightgcn", "rec"): USER,
    ("din", "rec"): REC,
    ("gru4rec", "rec"): REC | ORDER,
    ("sasrec", "rec"): REC | ORDER,
    ("bert4rec", "rec"): REC | ORDER,
    ("fmlp", "rec"): REC | ORDER,
    ("collm", "rec"): REC | ORDER | USER,
    ("idgenrec", "rec"): REC | ORDER,
    ("nrhub", "rec"): REC | SEARCHES,
    ("seqrec", "rec"): HISTORY,
    ("sesrec", "rec"): HISTORY | USER,
    ("qem", "src"): QUERY,
    ("hem", "src"): QUERY | USER,
    ("aem", "src"): QUERY | CLICKS | ORDER,
    ("zam", "src"): QUERY | CLICKS | ORDER,
    ("tem", "src"): QUERY | CLICKS | ORDER,
    ("copps", "src"): QUERY | SEARCHES | ORDER,
    ("jsr", "rec"): USER,
    ("jsr", "src"): QUERY,
    ("user", "rec"): HISTORY | USER,
    ("user", "src"): HISTORY | QUERY,
    ("unifiedssr", "rec"): REC | ORDER | USER,
    ("unifiedssr", "src"): SEARCHES | ORDER | QUERY | USER,
    ("unisar", "rec"): HISTORY | USER,
    ("unisar", "src"): HISTORY | USER | QUERY,
    ("bsr", "rec"): REC | ORDER,
    ("bsr", "src"): QUERY,
    ("gensar", "rec"): HISTORY,
    ("gensar", "src"): HISTORY | QUERY,
    ("gensr", "rec"): REC | CLICKS | ORDER,
    ("gensr", "src"): REC | CLICKS | ORDER | QUERY,
}


def asked(task: str):
    return pocket().batch("test", task, np.arange(6))


def sizes() -> tuple[int, int]:
    return pocket().n_items, pocket().n_words - 1


@pytest.mark.parametrize(("name", "task"), EXPECTED)
def test_systems_read_what_their_papers_say(name, task):
    model = make(name).eval()
    assert {what for what, is_read in reads(model, asked(task), *sizes()).items() if is_read} == EXPECTED[name, task]


def test_every_system_of_the_tables_is_held_to_its_paper():
    for name in PRINTED:
        assert {(name, task) for task in available_models()[name].tasks} <= EXPECTED.keys()


@pytest.mark.parametrize("what", INPUTS)
def test_one_input_changes_and_nothing_else_does(what):
    batch = asked("src")
    fields = {
        "user": ["user"],
        "recommendation clicks": ["rec_items"],
        "clicks after searches": ["ses_clicks"],
        "past queries": ["ses_words"],
        "order": ["rec_items", "ses_words", "ses_clicks"],
        "query": ["query", "query_text"],
    }[what]
    changed = exchanged(batch, what, *sizes())
    for name, old in vars(batch).items():
        new = getattr(changed, name)
        same = torch.equal(old, new) if isinstance(old, torch.Tensor) else old == new
        assert same != (name in fields), name


def test_a_history_keeps_its_length_and_its_numbers_are_of_items_and_words():
    batch = asked("src")
    n_items, n_words = sizes()
    for what, name, count in (
        ("recommendation clicks", "rec_items", n_items),
        ("clicks after searches", "ses_clicks", n_items),
        ("past queries", "ses_words", n_words),
    ):
        old, new = (getattr(b, name) for b in (batch, exchanged(batch, what, n_items, n_words)))
        assert torch.equal(old == 0, new == 0)
        assert (new[old != 0] != old[old != 0]).all() and new.max() <= count


def test_histories_are_turned_round_and_sessions_stay_whole():
    batch = asked("src")
    turned = exchanged(batch, "order", *sizes())
    for old, new, words, moved in zip(
        batch.ses_clicks, turned.ses_clicks, batch.ses_words, turned.ses_words, strict=True
    ):
        n = int((old != 0).any(dim=-1).sum())
        assert torch.equal(new[:n], old[:n].flip(0)) and torch.equal(moved[:n], words[:n].flip(0))
        assert (new[n:] == 0).all()
    again = exchanged(turned, "order", *sizes())
    assert torch.equal(again.rec_items, batch.rec_items) and torch.equal(again.ses_clicks, batch.ses_clicks)


def test_rows_are_asked_with_the_history_of_the_row_before_them():
    batch = asked("src")
    moved = of_row_before(batch, ["user", "history"])
    assert moved.user.tolist() == batch.user.tolist()[-1:] + batch.user.tolist()[:-1]
    for name in ("query", "cand"):
        assert torch.equal(getattr(moved, name), getattr(batch, name))
    back = replace(moved, query=batch.query, cand=batch.cand).rows(torch.arange(1, 6))
    alone = batch.rows(torch.arange(5))  # a row's own history, time and order among them
    for name in ("rec_items", "rec_time", "ses_words", "ses_clicks", "ses_time", "merge_index"):
        assert torch.equal(getattr(back, name), getattr(alone, name))
    assert of_row_before(batch, ["query"]).query_text == batch.query_text[-1:] + batch.query_text[:-1]


def test_an_unknown_input_is_refused_by_name():
    with pytest.raises(ConfigError, match="unknown input 'oder'; did you mean 'order'"):
        exchanged(asked("rec"), "oder", *sizes())
    with pytest.raises(ConfigError, match="unknown part 'histories'; did you mean 'history'"):
        of_row_before(asked("rec"), ["histories"])
