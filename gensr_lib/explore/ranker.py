"""`Ranker`: a trained model answers for one user, known or new, over the whole catalogue.

The test protocol ranks one positive among 99 negatives; here every item is a candidate. The history
is that of the protocol: a known user's events before the held-out ones (`DataConfig.test_history`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from ..data.batches import Batch
from ..data.dataset import Dataset
from ..data.schema import BEHAVIOR, BEHAVIORS, CATEGORIES, ITEM, QUERY, REC, SRC, TIME, TITLE
from ..data.split import TEST, TRAIN
from ..errors import ConfigError, unknown
from ..models.base import RankingModel
from .events import Event, event_batch, history_batch

if TYPE_CHECKING:
    from ..experiments.store import Run

P_YES = "P(Yes)"
PARTS = {  # what can be taken out of GenSR's prompt, and the slots that then hold zeros
    "cf": ("user_cf", "item_cf"),
    "semantic": ("user_semantic", "item_semantic"),
    "history": ("user_cf", "user_semantic"),
}


Person = int | list[Event]  # a known user by position, or what a new one did


@dataclass(frozen=True)
class Explanation:
    """What GenSR looked at, for C candidates and N history items.

    Attributes:
        history: (N rows) as `Ranker.history`.
        weights: (C, N) by view: the soft filter's weights (eq. 5); rows sum to 1.
        contributions: (C rows) ``item_id, title, score, P(Yes)`` and a column per part of the
            prompt: how much lower the score, a logit, is when that part's slots (`PARTS`) hold
            zeros. The model was never trained so and the parts interact: they do not add up.
    """

    history: pd.DataFrame
    weights: dict[str, np.ndarray]
    contributions: pd.DataFrame


class Ranker:
    """Ranked lists of a model for one user, over the whole catalogue.

    A *user* is the id of a known user (or its position, an int); None, nobody in particular; or a
    list of what a new user did, oldest first: items (ids or positions) and ``(item, behavior,
    query)`` events. Consecutive searches with one query are one session. A model that knows single
    users refuses new ones, or takes the mean of its table of users. The oracle answers for known
    users at their test event: for a search, its own query. All else raises `ConfigError`.

    Args:
        model: trained; it stays on its device and keeps its mode.
        chunk: candidates scored at once; changes speed and memory only.
        data_hash: `Dataset.hash` of what the model was trained on, as its card has it; if empty,
            only the numbers of users and items are compared, which other data may share.
    """

    def __init__(self, model: RankingModel, dataset: Dataset, chunk: int = 256, data_hash=""):
        trained_on = {name: getattr(model, name, None) for name in ("n_users", "n_items")}
        for name, value in {**trained_on, "hash": data_hash}.items():
            here = getattr(dataset, name)
            if value and value != here:
                raise ConfigError(
                    f"the model '{model.name}' has {name} = {value}, the data set '{dataset.name}' "
                    f"has {here}: use the data, profile and seed of its training."
                )
        self.model = model
        self.dataset = dataset
        self.chunk = chunk
        self.all_items = np.arange(1, dataset.n_items + 1)
        self._users = pd.Index(dataset.user_ids, dtype=object)
        self._items = pd.Index(dataset.item_ids, dtype=object)

    @classmethod
    def from_run(cls, run: Run, dataset: Dataset, chunk: int = 256) -> Ranker:
        """The ranker of a run's model; ``dataset`` must be the very data of the run, by hash."""
        return cls(run.model, dataset, chunk, run.record["provenance"]["dataset_hash"])

    def recommend(self, user=None, k: int | None = 10, exclude_seen: bool = True) -> pd.DataFrame:
        """The best items for a user who asks for nothing.

        Args:
            k: length of the list; None: all candidates.
            exclude_seen: leave out the items of the log that the history is taken from.

        Returns:
            Columns ``rank, item_id, title, categories, score`` and, of a score that is a logit,
            ``P(Yes)``; equal scores stand in the order of the items.
        """
        return self._list(self._person(user), "", k, exclude_seen)

    def search(self, user, query: str, k: int | None = 10, exclude_seen=True) -> pd.DataFrame:
        """The best items for a user and a query, whose words need not be known; as `recommend`."""
        if not (query := _typed(query)):
            raise ConfigError("query is empty: type one, or call recommend(user, k) without one.")
        return self._list(self._person(user), query, k, exclude_seen)

    def scores(self, user, query: str = "", zeroed: Sequence[str] = ()) -> np.ndarray:
        """Scores (n_items,) of the catalogue, whose item i stands at i - 1; higher is better.

        ``zeroed`` names parts of GenSR's prompt (`PARTS`) whose slots are filled with zeros.
        """
        return self._scores(self._person(user), _typed(query), self.all_items, zeroed)

    def history(self, user, query: str = "") -> pd.DataFrame:
        """What the model reads of a user: ``item_id, title, behavior, query, time``, oldest first.

        Queries are words as models read them, ``<unknown>`` for a new one; a new user's events have
        numbers for times. The argument ``query`` matters with visible twins only.
        """
        return self._history(self._batch(self._person(user), _typed(query)))

    def events(self, user, query: str = "") -> list[Event]:
        """What a user did, as a new one would give it; of a known one before the held-out events.

        Other than `history` it has all of it, not only the most recent that the model reads.
        """
        return self._events(self._person(user), _typed(query))

    def explain(self, user, query: str, item) -> Explanation:
        """What GenSR looks at for an item or several, and what each part of its prompt adds."""
        self._slots(PARTS)
        person = self._person(user)
        query = _typed(query)
        given = [item] if isinstance(item, str | Integral) else item
        items = np.array([_place("item", one, self._items, first=1) for one in given])
        score = self._scores(person, query, items)
        batch = self._batch(person, query).with_candidates(torch.from_numpy(items)[None])
        with self._scoring():
            _, weights = self.model.filter_weights(batch.to(self.model.device))
        table = self._described(items, score).drop(columns=CATEGORIES)
        for part in [*weights, "history"]:
            table[part] = score - self._scores(person, query, items, [part])
        n = len(history := self._history(batch))  # behind these is padding
        weights = {view: w[0, :, :n].float().cpu().numpy() for view, w in weights.items()}
        return Explanation(history, weights, table)

    # --- the question --------------------------------------------------------------------------

    def _person(self, user: object) -> Person:
        if isinstance(user, str | Integral):
            return _place("user", user, self._users, first=0)
        events = [] if user is None else user
        if not isinstance(events, list | tuple | np.ndarray | pd.Series):
            raise ConfigError(f"user {user!r} is neither a known user nor a list of events.")
        return [self._event(event) for event in events]

    def _event(self, given: object) -> Event:
        parts = given if isinstance(given, tuple | list) else (given,)
        item, behavior, query = Event(*parts) if 1 <= len(parts) <= 3 else (None, "", "")
        query = _typed(query)
        if behavior not in BEHAVIORS or (behavior == SRC) != bool(query):
            raise ConfigError(f"no event {given}: give item, (item, 'rec') or (item, 'src', query)")
        return Event(_place("item", item, self._items, first=1), behavior, query)

    def _limit(self, user: int, task: str) -> int:
        """Row before which the events of a user may be seen, as in the test protocol."""
        split = self.dataset.split
        config = self.dataset.config
        if config.twins == "visible":
            event = self._test_event(user, task)
            return split.cut_test[user] if event is None else event
        to_test = config.test_history == "train+validation"
        return (split.cut_test if to_test else split.cut_valid)[user]

    def _test_event(self, user: int, task: str) -> int | None:
        """Row of the user's held-out event of a task."""
        rows = self.dataset.split.rows[TEST][task]
        own = rows[self.dataset.user[rows] == user]
        return int(own[0]) if len(own) else None

    def _events(self, person: Person, query: str) -> list[Event]:
        if isinstance(person, list):
            return person
        data = self.dataset
        limit = self._limit(person, SRC if query else REC)
        rows = np.arange(np.searchsorted(data.user, person), limit)
        items = data.item[rows].tolist()
        behaviors = [BEHAVIORS[code] for code in data.is_search[rows].astype(int)]
        queries = data.query_texts[data.query[rows]]
        return [Event(*event) for event in zip(items, behaviors, queries, strict=True)]

    def _batch(self, person: Person, query: str) -> Batch:
        """The one-row batch of a user, without candidates."""
        task = SRC if query else REC
        if isinstance(person, list):
            return event_batch(self.dataset, task, person, query)
        batch = history_batch(self.dataset, task, person, self._limit(person, task), query)
        event = self._test_event(person, task)
        if self.model.reads_event and event is not None:
            asked = self.dataset.query_texts[self.dataset.query[event]]
            batch = replace(batch, event=torch.tensor([event])) if asked == query else batch
        return batch

    def _require(self, batch: Batch, person: Person) -> None:
        """Refuse what the model cannot answer."""
        who = f"the model '{self.model.name}'"
        if batch.task not in self.model.tasks:
            raise ConfigError(f"{who} does not serve '{batch.task}'; take one that does.")
        if not len(self.dataset.rows[TRAIN][batch.task]):
            raise ConfigError(f"{who} was never trained for '{batch.task}': no event is of it.")
        if isinstance(person, list) and not self.model.serves_new_users:
            why = "it knows the users of its training only; take one that reads histories"
            raise ConfigError(f"{who} cannot score a new user: {why}.")
        if self.model.reads_event and batch.event is None:
            raise ConfigError(f"{who} knows test events only, and this user has no such one.")

    def _slots(self, parts: Sequence[str]) -> frozenset[str]:
        """The slots of some parts of the prompt; no model but one with four slots has any."""
        sequence = getattr(self.model.config, "history_slot", None) == "sequence"
        if sequence or not self.model.prompt_slots:
            what = "history_slot='sequence'" if sequence else f"the model '{self.model.name}'"
            raise ConfigError(f"{what} has not got the four slots of GenSR's prompt to look into.")
        for part in parts:
            if part not in PARTS:
                raise unknown("part of the prompt", part, PARTS)
        return frozenset(slot for part in parts for slot in PARTS[part])

    # --- the answer ----------------------------------------------------------------------------

    @contextlib.contextmanager
    def _scoring(self, new_user: bool = False) -> Iterator[None]:
        """Eval mode without gradients; a new user's vector is the mean of the table of users."""
        model = self.model
        with torch.no_grad(), contextlib.ExitStack() as undone:
            undone.callback(model.train, model.training)
            model.eval()
            if new_user and model.user_table:
                table = getattr(model, model.user_table)
                mean = table.weight.mean(dim=0)
                hook = table.register_forward_hook(lambda _, ids, rows: mean.expand_as(rows))
                undone.callback(hook.remove)
            yield

    def _scores(self, person: Person, query: str, items: np.ndarray, zeroed=()) -> np.ndarray:
        """Scores (n,) of the items at these positions."""
        options = {"zeroed": self._slots(zeroed)} if len(zeroed) else {}
        batch = self._batch(person, query).with_candidates(torch.from_numpy(items)[None])
        self._require(batch, person)
        with self._scoring(new_user=isinstance(person, list)):
            batch = batch.to(self.model.device)
            found = self.model.score_in_chunks(batch, self.chunk, **options)[0].float()
        if not found.isfinite().all():
            raise ValueError(f"a score of {self.model.name} is not finite: damaged weights.")
        return found.cpu().numpy()

    def _list(self, person: Person, query: str, k: int | None, exclude_seen: bool) -> pd.DataFrame:
        seen = [event.item for event in self._events(person, query)]
        items = np.setdiff1d(self.all_items, seen if exclude_seen else [])
        if k is not None and not 1 <= k <= len(items):
            raise ConfigError(f"k is {k}, and there are {len(items)} items that can be ranked.")
        scores = self._scores(person, query, self.all_items)[items - 1]
        best = np.argsort(-scores, kind="stable")[:k]
        table = self._described(items[best], scores[best])
        table.insert(0, "rank", np.arange(1, len(best) + 1))
        return table

    def _described(self, items: np.ndarray, score: np.ndarray) -> pd.DataFrame:
        table = self.dataset.items[[ITEM, TITLE, CATEGORIES]].iloc[items - 1].reset_index(drop=True)
        table[TITLE] = [self.dataset.item_title[item] for item in items]
        table["score"] = score
        return table.assign(**{P_YES: p_yes(score)}) if self.model.prompt_slots else table

    def _history(self, batch: Batch) -> pd.DataFrame:
        """The clicks of a one-row batch as the model reads them, with what is known of each."""
        config = self.model.config
        width = batch.ses_clicks.shape[2]
        words = self.dataset.words
        queries = [" ".join(words[row[row > 0]]) for row in batch.ses_words[0].numpy()]
        rec = {ITEM: batch.rec_items[0], BEHAVIOR: REC, QUERY: "", TIME: batch.rec_time[0]}
        src = {ITEM: batch.ses_clicks[0].flatten(), BEHAVIOR: SRC}
        src |= {QUERY: np.repeat(queries, width), TIME: batch.ses_time[0].repeat_interleave(width)}
        clicks = pd.concat([pd.DataFrame(rec), pd.DataFrame(src)]).query(f"{ITEM} > 0")
        clicks = clicks.sort_values(TIME, kind="stable")
        if getattr(config, "history_of", "both") != "both":
            clicks = clicks[clicks[BEHAVIOR] == config.history_of]
        clicks = clicks.tail(getattr(config, "history", len(clicks))).reset_index(drop=True)
        clicks.insert(1, TITLE, [self.dataset.item_title[item] for item in clicks[ITEM]])
        return clicks.assign(**{ITEM: self.dataset.item_ids[clicks[ITEM]]})


def p_yes(score) -> np.ndarray:
    """The probability of "Yes" from a score that is its logit."""
    return 0.5 * (1 + np.tanh(np.asarray(score, dtype=np.float64) / 2))


def _place(kind: str, name: object, names: pd.Index, first: int) -> int:
    """Position of a user or item, given by id (str) or by that position (int, from ``first``)."""
    if isinstance(name, str) and name and name in names:
        return int(names.get_loc(name))
    if isinstance(name, Integral) and first <= name < len(names):
        return int(name)
    close = get_close_matches(str(name), names[first:20_000], n=1)  # more would take seconds
    hint = f"did you mean '{close[0]}'?" if close else f"one of them is '{names[first]}'."
    span = f"{first} to {len(names) - 1}"
    raise ConfigError(f"unknown {kind} {name!r}: ids are text, positions {span}; {hint}")


def _typed(query: object) -> str:
    """A query without the spaces around it, which say nothing; None is the empty one."""
    return (query or "").strip()
