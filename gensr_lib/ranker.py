"""`Ranker`: a trained model answers for one user, known or new, over the whole catalogue.

The test protocol ranks one positive among 99 negatives; here every item is a candidate. The history is
that of the test protocol: a known user's events before the held-out ones (`DataConfig.test_history`).
"""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .backbone import log_probs_of
from .data.batches import Batch
from .data.dataset import Dataset
from .data.schema import BEHAVIORS, CATEGORIES, ITEM, REC, SRC, TITLE
from .data.split import TEST
from .errors import ConfigError, unknown
from .explore import P_YES, Explanation, p_yes
from .histories import Event, event_batch, history_table
from .models import available_models
from .models.base import RankingModel
from .models.gensr import GenSR, View

# What can be taken out of GenSR's prompt, and the slots that then hold zeros.
PARTS = {
    "cf": ("user_cf", "item_cf"), "semantic": ("user_semantic", "item_semantic"),
    "history": ("user_cf", "user_semantic"),
}  # fmt: skip
# Models that know users by number. A model that is not named here reads of a user nothing but the history.
NO_STRANGERS = {
    "lightgcn": "it has a vector for each user it was trained on, and for nobody else",
    "oracle": "it knows the click law of simulated users only",
}
USER_TABLES = {"unisar": "user_id"}  # the mean of this table stands for a new user
MOST_COMPARED = 20_000  # names that a misspelt one is compared with; more would take seconds


@dataclass(frozen=True)
class _Person:
    """A user of the data set (``index``), or a new one (``events``)."""

    index: int | None
    events: tuple[Event, ...] = ()


class Ranker:
    """Ranked lists of a model for one user, over the whole catalogue.

    A *user* is the id of a known user (or its position, an int); None, nobody in particular; or what a new
    user did, oldest first: items (ids or positions) and ``(item, behavior, query)`` events. Consecutive
    searches with one query are one session.

    A model that reads only the history serves everybody. LightGCN and the oracle know single users, and
    refuse new ones; for UniSAR, which adds a vector per user to the history, a new user has the mean of
    all users' vectors. The oracle answers for known users at their test event: for a search, its own query.

    Args:
        model: any of `available_models`, trained; it stays on its device and keeps its mode.
        dataset: the data set it was trained on.
        chunk: candidates scored at once; changes speed and memory only.

    Raises:
        ConfigError: the model was trained on another catalogue, or ``chunk`` is not positive.
    """

    def __init__(self, model: RankingModel, dataset: Dataset, chunk: int = 256):
        for name, size in model.sizes().items():
            if (here := getattr(dataset, name, size)) != size:
                other = f"the data set '{dataset.name}' has {here}: use the one that it was trained on."
                raise ConfigError(f"the model '{model.name}' has {name} = {size}, {other}")
        if chunk < 1:
            raise ConfigError(f"chunk is {chunk}; candidates are scored in chunks of 1 or more.")
        self.model, self.dataset, self.chunk = model, dataset, chunk

    def recommend(self, user=None, k: int | None = 10, *, exclude_seen: bool = True) -> pd.DataFrame:
        """The best items for a user who asks for nothing.

        Args:
            user: as described for the class.
            k: length of the list; None: all candidates.
            exclude_seen: leave out all items of the log that the history is taken from. Held-out items stay.

        Returns:
            Columns ``rank, item_id, title, categories, score`` and, for GenSR, ``P(Yes)``; equal scores
            stand in the order of the items.

        Raises:
            ConfigError: an unknown user or item, a ``k`` that the catalogue cannot serve, or a model that
                does not serve this task or this user.
        """
        return self._list(user, "", k, exclude_seen)

    def search(self, user, query: str, k: int | None = 10, *, exclude_seen: bool = True) -> pd.DataFrame:
        """The best items for a user and a query; as `recommend`.

        Words that were never seen in training are allowed; of a long query the first `DataConfig.query_words` count.

        Raises:
            ConfigError: as `recommend`, or an empty query.
        """
        if not (query or "").strip():
            raise ConfigError("query is empty: type one, or call recommend(user, k), which needs none.")
        return self._list(user, query, k, exclude_seen)

    def scores(self, user, query: str = "", items: Iterable | None = None, zeroed: Sequence[str] = ()) -> np.ndarray:
        """Scores of items, higher is better; recommendation if the query is empty, else search.

        Args:
            user: as described for the class.
            items: ids or positions; None: the whole catalogue, whose item i stands at i - 1.
            zeroed: names in `PARTS`, of slots of GenSR's prompt to fill with zeros.

        Raises:
            ConfigError: as `recommend`, an unknown part, or a part of a model that has none.
            ValueError: a score is not finite.
        """
        if zeroed:
            self._require_slots("zeroed")
        slots, person = _slots(zeroed), self._person(user)
        places = np.arange(1, self.dataset.n_items + 1) if items is None else self._places(items)
        batch = self._batch(person, query).with_candidates(torch.from_numpy(places)[None])
        self._require(batch, person)
        found = self._score(batch.to(_device(self.model)), slots, stranger=person.index is None)
        if not np.isfinite(found).all():
            raise ValueError(f"{self.model.name} gives a score that is not finite; its weights are damaged.")
        return found

    def history(self, user, query: str = "") -> pd.DataFrame:
        """What the model reads of a user, oldest first; the query matters only where twins are visible.

        Returns:
            Columns ``item_id, title, behavior, query, time``: for GenSR its N items, else all of a batch. Queries
            are words as models read them, ``<unknown>`` for a new word; a new user's events have numbers for times.
        """
        return history_table(self.dataset, self._batch(self._person(user), query), self.model.config)

    def explain(self, user, query: str, item) -> Explanation:
        """What GenSR looks at for one item or several, and what each part of its prompt adds to the score.

        Args:
            user: as described for the class.
            query: empty for recommendation.
            item: id or position, or several of them.

        Raises:
            ConfigError: another model than GenSR, a GenSR whose slots hold whole sequences, or bad input.
        """
        self._require_slots("explain")
        places = self._places([item] if isinstance(item, str | numbers.Integral) else item)
        batch = self._batch(self._person(user), query).with_candidates(torch.from_numpy(places)[None])
        table = self._items(places)[[ITEM, TITLE]].assign(score=self.scores(user, query, places))
        with self._scoring():
            _, weights = self.model.filter_weights(batch.to(_device(self.model)))
        table[P_YES] = p_yes(table["score"])
        for part in [*weights, "history"]:
            table[part] = table["score"] - self.scores(user, query, places, zeroed=[part])
        history = history_table(self.dataset, batch, self.model.config)
        shown = {view: alpha[0, :, : len(history)].float().cpu().numpy() for view, alpha in weights.items()}
        return Explanation(history, shown, table)

    # --- who asks ------------------------------------------------------------------------------

    @cached_property
    def _user_index(self) -> pd.Index:
        return pd.Index(self.dataset.user_ids)

    @cached_property
    def _item_index(self) -> pd.Index:
        return pd.Index(self.dataset.item_ids)

    def _places(self, items: Iterable) -> np.ndarray:
        return np.array([_find("item", i, self._item_index, first=1) for i in items], dtype=np.int64)

    def _person(self, user) -> _Person:
        if isinstance(user, str | numbers.Integral):
            return _Person(_find("user", user, self._user_index, first=0))
        if user is not None and not isinstance(user, Iterable):
            raise ConfigError(f"user {user!r} is neither the id of a known user nor a list of items; None is nobody.")
        given = [] if user is None else [e if isinstance(e, tuple | list) else (e,) for e in user]
        if wrong := [event for event in given if not 1 <= len(event) <= 3]:
            raise ConfigError(f"the event {wrong[0]} is none: give an item, (item, behavior) or (item, 'src', query).")
        return _Person(None, tuple(self._event(*event) for event in given))

    def _event(self, item, behavior: str = REC, query: str = "") -> Event:
        if behavior not in BEHAVIORS:
            raise unknown("behavior", behavior, BEHAVIORS)
        if (behavior == SRC) != bool((query or "").strip()):
            lacks = "is a search and has no query" if behavior == SRC else f"is no search and has the query '{query}'"
            raise ConfigError(f"the event of item '{item}' {lacks}; give (item, 'src', query) or (item, 'rec').")
        return Event(_find("item", item, self._item_index, first=1), behavior, query.strip())

    def _limit(self, user: int, task: str) -> int:
        """Row before which the events of a user may be seen, as in the test protocol."""
        split, config = self.dataset.split, self.dataset.config
        if config.twins == "visible":
            event = self._test_event(user, task)
            return event if event >= 0 else int(split.cut_test[user])
        return int((split.cut_test if config.test_history == "train+validation" else split.cut_valid)[user])

    def _test_event(self, user: int, task: str) -> int:
        """Row of the user's test event of a task, -1 if there is none."""
        rows = self.dataset.split.rows[TEST][task]
        own = rows[self.dataset.user[rows] == user]
        return int(own[0]) if len(own) else -1

    def _seen(self, person: _Person, task: str) -> np.ndarray:
        if person.index is None:
            return np.array([event.item for event in person.events], dtype=np.int64)
        start = np.searchsorted(self.dataset.user, person.index)
        return self.dataset.item[start : self._limit(person.index, task)]

    def _batch(self, person: _Person, query: str | None) -> Batch:
        """The one-row batch of a user, without candidates."""
        words = (query or "").split()[: self.dataset.config.query_words]
        task, query = SRC if words else REC, " ".join(words)
        if person.index is None:
            return event_batch(self.dataset, task, person.events, query)
        event = self._test_event(person.index, task)
        if event >= 0 and self.dataset.query_texts[self.dataset.query[event]] != query:
            event = -1
        return self.dataset.make_batch(
            task, np.array([person.index]), np.array([self._limit(person.index, task)]), np.zeros((1, 0), np.int64),
            query_words=self.dataset.word_ids(query), query_text=(query,), event=np.array([event]),
        )  # fmt: skip

    def _require(self, batch: Batch, person: _Person) -> None:
        name, kind = self.model.name, "search" if batch.task == SRC else "recommendation"
        if batch.task not in self.model.tasks:
            others = [other for other, cls in available_models().items() if batch.task in cls.tasks and other != name]
            raise ConfigError(f"the model '{name}' does not serve {kind}; others do: {', '.join(others)}.")
        if person.index is None and name in NO_STRANGERS:
            raise ConfigError(
                f"the model '{name}' cannot score a new user: {NO_STRANGERS[name]}. "
                f"Name a known user, or use a model that reads histories, such as gensr."
            )
        if name == "oracle" and batch.event.item() < 0:
            raise ConfigError(
                f"the oracle knows the click law of simulated events only, and user "
                f"'{self.dataset.user_ids[person.index]}' has no test {kind} event with this query."
            )

    # --- scoring -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _scoring(self, stranger: bool = False) -> Iterator[None]:
        """Eval mode without gradients; a new user's vector is the mean of the model's table of users."""
        was_training, table = self.model.training, USER_TABLES.get(self.model.name) if stranger else None
        if was_training:
            self.model.eval()
        hook = getattr(self.model, table).register_forward_hook(_mean_row) if table else None
        try:
            with torch.no_grad():
                yield
        finally:
            if hook:
                hook.remove()
            if was_training:
                self.model.train()

    def _score(self, batch: Batch, zeroed: frozenset[str], stranger: bool) -> np.ndarray:
        """Scores of the candidates of a one-row batch, (C,); GenSR encodes the history once for all chunks."""
        with self._scoring(stranger):
            views = self.model.encode(batch) if isinstance(self.model, GenSR) else None
            parts = [batch.with_candidates(cand) for cand in batch.cand.split(self.chunk, dim=1)]
            found = [_logit(self.model, p, views, zeroed) if views else self.model.score(p) for p in parts]
        return torch.cat(found, dim=1)[0].float().cpu().numpy()

    def _require_slots(self, what: str) -> None:
        if not isinstance(self.model, GenSR) or self.model.config.history_slot == "sequence":
            kind = "history_slot='sequence'" if isinstance(self.model, GenSR) else f"the model '{self.model.name}'"
            raise ConfigError(f"{what} looks into the four slots of GenSR's prompt, and {kind} has not got these.")

    # --- tables --------------------------------------------------------------------------------

    def _list(self, user, query: str, k: int | None, exclude_seen: bool) -> pd.DataFrame:
        allowed = np.ones(self.dataset.n_items, dtype=bool)
        if exclude_seen:
            allowed[self._seen(self._person(user), SRC if query else REC) - 1] = False
        k = _checked_length(k, allowed)
        scores = self.scores(user, query)
        order = np.argsort(-scores, kind="stable")
        best = order[allowed[order]][:k]
        table = self._items(best + 1).assign(score=scores[best])
        table.insert(0, "rank", np.arange(1, k + 1))
        return table.assign(**{P_YES: p_yes(scores[best])}) if isinstance(self.model, GenSR) else table

    def _items(self, places: np.ndarray) -> pd.DataFrame:
        about = self.dataset.items.iloc[places - 1].reset_index(drop=True)
        return about[[ITEM, TITLE, CATEGORIES]].assign(**{TITLE: [self.dataset.item_title[i] for i in places]})


def _find(kind: str, name: object, names: pd.Index, first: int) -> int:
    """Position of a user or item, given by its id (str) or by that position (int), which starts at ``first``."""
    if isinstance(name, numbers.Integral) and not isinstance(name, bool):
        if first <= name < len(names):
            return int(name)
        raise ConfigError(f"{kind} {name} is out of range: {first} to {len(names) - 1}; ids are given as text.")
    if isinstance(name, str) and name and name in names:
        return int(names.get_loc(name))
    close = get_close_matches(str(name), names[first:].astype(str), n=1) if len(names) <= MOST_COMPARED else []
    hint = f" did you mean '{close[0]}'?" if close else ""
    raise ConfigError(f"unknown {kind} '{name}';{hint} there are {len(names) - first}, such as '{names[first]}'.")


def _logit(model: GenSR, batch: Batch, views: dict[str, View], zeroed: frozenset[str]) -> Tensor:
    """`GenSR.score` (1, C) with zeros in the slots of ``zeroed``."""
    slots, _ = model.soft_filter(views, batch)
    slots = {name: torch.zeros_like(x) if name in zeroed else x for name, x in slots.items()}
    log_probs = log_probs_of(model.lm, model.read(model.prompt(batch, views, slots))[1], model.answers)
    return log_probs[..., 0] - log_probs[..., 1]


def _slots(zeroed: Sequence[str]) -> frozenset[str]:
    for part in zeroed:
        if part not in PARTS:
            raise unknown("part of the prompt", part, PARTS)
    return frozenset(slot for part in zeroed for slot in PARTS[part])


def _checked_length(k: int | None, allowed: np.ndarray) -> int:
    most = int(allowed.sum())
    if k is None:
        return most
    if isinstance(k, bool) or not isinstance(k, numbers.Integral) or k < 1:
        raise ConfigError(f"k is {k!r}; a list has 1 item or more.")
    if k > most:
        raise ConfigError(
            f"k is {k}, and {most} of the catalogue's {len(allowed)} items can be ranked; exclude_seen=True leaves out "
            f"those that the user has."
        )
    return int(k)


def _mean_row(module: torch.nn.Embedding, inputs: tuple, output: Tensor) -> Tensor:
    return module.weight.mean(dim=0).expand_as(output)


def _device(model: torch.nn.Module) -> torch.device:
    return next((t.device for t in [*model.parameters(), *model.buffers()]), torch.device("cpu"))
