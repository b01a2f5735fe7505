"""`Ranker`: a trained model answers for one user, known or new, over the whole catalogue.

The test protocol ranks one positive among 99 negatives; here every item is a candidate. The history is
that of the test protocol: a known user's events before the held-out ones (`DataConfig.test_history`).
"""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from reprlib import repr as short
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..data.batches import Batch
from ..data.dataset import Dataset
from ..data.schema import CATEGORIES, ITEM, REC, SRC, TITLE
from ..data.split import TEST, TRAIN
from ..errors import ConfigError, unknown
from ..models import available_models
from ..models.base import RankingModel
from .histories import event_batch, history_table
from .questions import A_LIST, Directory, Person, listed, positive, typed

if TYPE_CHECKING:
    from ..experiments.store import Run

P_YES = "P(Yes)"
# What can be taken out of GenSR's prompt, and the slots that then hold zeros.
PARTS = {
    "cf": ("user_cf", "item_cf"), "semantic": ("user_semantic", "item_semantic"),
    "history": ("user_cf", "user_semantic"),
}  # fmt: skip


@dataclass(frozen=True)
class Explanation:
    """What GenSR looked at, for C candidates and a history of N items; made by `Ranker.explain`.

    Attributes:
        history: (N rows) as `Ranker.history`.
        weights: (C, N) by view: the soft filter's weights over the history (eq. 5), mean of the heads;
            a row sums to 1. For a new user without a history N is 0, and the shape (C, 0).
        contributions: (C rows) ``item_id, title, score, P(Yes)`` and a column per part of the prompt: how
            much lower the score, a logit, is when that part's slots (`ranker.PARTS`) hold zeros and all
            else stays. The model was never trained on such prompts and the parts interact, so this is a
            sensitivity: the columns do not add up to the score.
    """

    history: pd.DataFrame
    weights: dict[str, np.ndarray]
    contributions: pd.DataFrame


def p_yes(score) -> np.ndarray:
    """The probability of "Yes" from GenSR's score, which is its logit."""
    return 0.5 * (1 + np.tanh(np.asarray(score, dtype=np.float64) / 2))


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
        data_hash: `Dataset.hash` of what the model was trained on, as its card has it; None: only the numbers of
            users and items are compared, which other data may share. `from_run` takes it from the run.

    Raises:
        ConfigError: the model was trained on other data, or an argument is not what is described here.
    """

    def __init__(self, model: RankingModel, dataset: Dataset, chunk: int = 256, *, data_hash: str | None = None):
        if not isinstance(model, RankingModel):
            raise ConfigError(
                f"model is {short(model)}; pass a trained one, or a run to Ranker.from_run(run, dataset)."
            )
        if not isinstance(dataset, Dataset):
            raise ConfigError(
                f"dataset is {short(dataset)}; pass a Dataset, such as load_dataset(…) or Workspace(…).dataset."
            )
        wanted = {name: getattr(model, name, None) for name in ("n_users", "n_items")} | {"hash": data_hash}
        for name, value in wanted.items():
            if value is not None and (here := getattr(dataset, name)) != value:
                other = f"the data set '{dataset.name}' has {here}: use the data, profile and seed of its training."
                raise ConfigError(f"the model '{model.name}' has {name} = {value}, {other}")
        self.model, self.dataset = model, dataset
        self.chunk = positive("chunk", chunk, "candidates are scored in chunks of 1 or more.")

    @classmethod
    def from_run(cls, run: Run, dataset: Dataset, chunk: int = 256) -> Ranker:
        """The ranker of a run's model; ``dataset`` must be the very data of the run, by their hash.

        Raises:
            ConfigError: as the class.
        """
        return cls(run.model, dataset, chunk, data_hash=run.record["provenance"]["dataset_hash"])

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
        return self._list(self._directory.person(user), "", k, exclude_seen)

    def search(self, user, query: str, k: int | None = 10, *, exclude_seen: bool = True) -> pd.DataFrame:
        """The best items for a user and a query; as `recommend`.

        Words that were never seen in training are allowed. A long query is read as in the test protocol: GenSR
        reads all of it, UniSAR the first `DataConfig.query_words` words.

        Raises:
            ConfigError: as `recommend`, or an empty query.
        """
        if not (query := typed("query", query)):
            raise ConfigError("query is empty: type one, or call recommend(user, k), which needs none.")
        return self._list(self._directory.person(user), query, k, exclude_seen)

    def scores(self, user, query: str = "", items: Iterable | None = None, zeroed: Iterable[str] = ()) -> np.ndarray:
        """Scores of items, higher is better; recommendation if the query is empty, else search.

        Args:
            user: as described for the class.
            items: ids or positions; None: the whole catalogue, whose item i stands at i - 1.
            zeroed: names in `PARTS`, of slots of GenSR's prompt to fill with zeros.

        Raises:
            ConfigError: as `recommend`, an unknown part, or a part of a model that has none.
            ValueError: a score is not finite.
        """
        if slots := _slots(listed("zeroed", zeroed, f"is no list of parts; they are {', '.join(PARTS)}.")):
            self._require_slots("zeroed")
        places = None if items is None else self._directory.places("items", items)
        return self._scores(self._directory.person(user), typed("query", query), places, slots)

    def history(self, user, query: str = "") -> pd.DataFrame:
        """What the model reads of a user, oldest first; the query matters only where twins are visible.

        Returns:
            Columns ``item_id, title, behavior, query, time``: for GenSR its N items, else all of a batch. Queries
            are words as models read them, ``<unknown>`` for a new word; a new user's events have numbers for times.
        """
        batch = self._batch(self._directory.person(user), typed("query", query))
        return history_table(self.dataset, batch, self.model.config)

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
        person, query = self._directory.person(user), typed("query", query)
        places = self._directory.places("item", [item] if isinstance(item, str | numbers.Integral) else item)
        score = self._scores(person, query, places)
        batch = self._batch(person, query).with_candidates(torch.from_numpy(places)[None])
        with self._scoring():
            _, weights = self.model.filter_weights(batch.to(self.model.device))
        table = self._items(places)[[ITEM, TITLE]].assign(**{"score": score, P_YES: p_yes(score)})
        for part in [*weights, "history"]:
            table[part] = score - self._scores(person, query, places, _slots([part]))
        history = history_table(self.dataset, batch, self.model.config)
        shown = {view: alpha[0, :, : len(history)].float().cpu().numpy() for view, alpha in weights.items()}
        return Explanation(history, shown, table)

    # --- who asks ------------------------------------------------------------------------------

    @cached_property
    def _directory(self) -> Directory:
        return Directory(self.dataset)

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

    def _seen(self, person: Person, task: str) -> np.ndarray:
        if person.index is None:
            return np.array([event.item for event in person.events], dtype=np.int64)
        start = np.searchsorted(self.dataset.user, person.index)
        return self.dataset.item[start : self._limit(person.index, task)]

    def _batch(self, person: Person, query: str) -> Batch:
        """The one-row batch of a user, without candidates."""
        task = SRC if query else REC
        if person.index is None:
            return event_batch(self.dataset, task, person.events, query)
        event = self._test_event(person.index, task)
        made = self.dataset.make_batch(
            task, np.array([person.index]), np.array([self._limit(person.index, task)]), np.zeros((1, 0), np.int64),
            query_words=self.dataset.word_ids(query), query_text=(query,),
        )  # fmt: skip
        known = event >= 0 and self.dataset.query_texts[self.dataset.query[event]] == query
        return replace(made, event=torch.tensor([event])) if known and self.model.reads_event else made

    def _require(self, batch: Batch, person: Person) -> None:
        name, kind = self.model.name, "search" if batch.task == SRC else "recommendation"
        if batch.task not in self.model.tasks:
            others = [other for other, cls in available_models().items() if batch.task in cls.tasks and other != name]
            raise ConfigError(f"the model '{name}' does not serve {kind}; others do: {', '.join(others)}.")
        if not len(self.dataset.rows[TRAIN][batch.task]):
            raise ConfigError(
                f"the data set '{self.dataset.name}' has no {kind} event to train on, so the model '{name}' was never "
                f"trained for {kind}; use data that have some."
            )
        if person.index is None and not self.model.serves_new_users:
            raise ConfigError(
                f"the model '{name}' cannot score a new user: it knows the users of its training only. "
                f"Name a known user, or use a model that reads histories, such as gensr."
            )
        if self.model.reads_event and batch.event is None:
            raise ConfigError(
                f"the model '{name}' knows the click law of simulated events only, and user "
                f"'{self.dataset.user_ids[person.index]}' has no test {kind} event with this query."
            )

    # --- scoring -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _scoring(self, stranger: bool = False) -> Iterator[None]:
        """Eval mode without gradients; a new user's vector is the mean of the model's table of users."""
        was_training, table = self.model.training, self.model.user_table if stranger else None
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

    def _scores(
        self, person: Person, query: str, places: np.ndarray | None = None, zeroed: frozenset[str] = frozenset()
    ) -> np.ndarray:
        """Scores (n,) of the items at ``places``, of all if None, with zeros in the slots of ``zeroed``."""
        places = np.arange(1, self.dataset.n_items + 1) if places is None else places
        batch = self._batch(person, query).with_candidates(torch.from_numpy(places)[None])
        self._require(batch, person)
        found = self._score(batch.to(self.model.device), zeroed, stranger=person.index is None)
        if not np.isfinite(found).all():
            raise ValueError(f"{self.model.name} gives a score that is not finite; its weights are damaged.")
        return found

    def _score(self, batch: Batch, zeroed: frozenset[str], stranger: bool) -> np.ndarray:
        """Scores of the candidates of a one-row batch, (C,); GenSR encodes the history once for all chunks."""
        with self._scoring(stranger):
            options = {"zeroed": zeroed} if zeroed else {}
            found = self.model.score_in_chunks(batch, self.chunk, **options)
        return found[0].float().cpu().numpy()

    def _require_slots(self, what: str) -> None:
        slots = self.model.prompt_slots
        if not slots or self.model.config.history_slot == "sequence":
            kind = "history_slot='sequence'" if slots else f"the model '{self.model.name}'"
            raise ConfigError(f"{what} looks into the four slots of GenSR's prompt, and {kind} has not got these.")

    # --- tables --------------------------------------------------------------------------------

    def _list(self, person: Person, query: str, k: int | None, exclude_seen: bool) -> pd.DataFrame:
        allowed = np.ones(self.dataset.n_items, dtype=bool)
        if exclude_seen:
            allowed[self._seen(person, SRC if query else REC) - 1] = False
        k = _checked_length(k, allowed)
        scores = self._scores(person, query)
        order = np.argsort(-scores, kind="stable")
        best = order[allowed[order]][:k]
        table = self._items(best + 1).assign(score=scores[best])
        table.insert(0, "rank", np.arange(1, k + 1))
        return table.assign(**{P_YES: p_yes(scores[best])}) if self.model.prompt_slots else table

    def _items(self, places: np.ndarray) -> pd.DataFrame:
        about = self.dataset.items.iloc[places - 1].reset_index(drop=True)
        return about[[ITEM, TITLE, CATEGORIES]].assign(**{TITLE: [self.dataset.item_title[i] for i in places]})


def _slots(zeroed: list[str]) -> frozenset[str]:
    for part in zeroed:
        if part not in list(PARTS):
            raise unknown("part of the prompt", part, PARTS)
    return frozenset(slot for part in zeroed for slot in PARTS[part])


def _checked_length(k: int | None, allowed: np.ndarray) -> int:
    most = int(allowed.sum())
    if k is None:
        return most
    if positive("k", k, A_LIST) > most:
        raise ConfigError(
            f"k is {k}, and {most} of the catalogue's {len(allowed)} items can be ranked; exclude_seen=True leaves out "
            f"those that the user has."
        )
    return int(k)


def _mean_row(module: torch.nn.Embedding, inputs: tuple, output: Tensor) -> Tensor:
    return module.weight.mean(dim=0).expand_as(output)
