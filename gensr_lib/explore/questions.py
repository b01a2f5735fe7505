"""Questions to a `Ranker` as people put them: users, items and queries are checked, ids become positions."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from difflib import get_close_matches
from reprlib import repr as short

import numpy as np
import pandas as pd

from ..data.dataset import Dataset
from ..data.schema import BEHAVIORS, REC, SRC
from ..errors import ConfigError, unknown
from .histories import Event

NO_LISTS = (str, bytes, bytearray, Mapping, Set, pd.DataFrame)  # can be gone through, and are no list in order
A_LIST = "a list has 1 item or more."  # what is said of a wrong k
MOST_COMPARED = 20_000  # names that a misspelt one is compared with; more would take seconds


@dataclass(frozen=True)
class Person:
    """A user of the data set (``index``), or a new one (``events``)."""

    index: int | None
    events: tuple[Event, ...] = ()


class Directory:
    """The users and items of a data set by id (str) or position (int; users from 0, items from 1)."""

    def __init__(self, dataset: Dataset):
        self.users, self.items = pd.Index(dataset.user_ids, dtype=object), pd.Index(dataset.item_ids, dtype=object)

    def person(self, user: object) -> Person:
        """Who is asked for, as described for `Ranker`; an iterator is gone through here, once.

        Raises:
            ConfigError: an unknown user or item, or an event that is none.
        """
        if isinstance(user, str | numbers.Integral):
            return Person(_find("user", user, self.users, first=0))
        if user is None:
            return Person(None)
        wanted = "is neither the id of a known user nor a list of items and events; None is nobody."
        events = [e if isinstance(e, tuple | list) else (e,) for e in listed("user", user, wanted)]
        if wrong := [event for event in events if not 1 <= len(event) <= 3]:
            raise ConfigError(f"the event {wrong[0]} is none: give an item, (item, behavior) or (item, 'src', query).")
        return Person(None, tuple(self._event(*event) for event in events))

    def places(self, name: str, items: Iterable) -> np.ndarray:
        """Positions (n,) of items; ``name`` is the argument's, for errors.

        Raises:
            ConfigError: no list of items, an empty one, or an unknown item.
        """
        given = listed(name, items, "is no list of items; put a single one in brackets, such as ['i00000'].")
        if not given:
            raise ConfigError(f"{name} is empty: name one item or more.")
        return np.array([_find("item", i, self.items, first=1) for i in given], dtype=np.int64)

    def _event(self, item: object, behavior: str = REC, query: str | None = "") -> Event:
        if behavior not in BEHAVIORS:
            raise unknown("behavior", behavior, BEHAVIORS)
        words = typed(f"the query of the event of item '{item}'", query)
        if (behavior == SRC) != bool(words):
            lacks = "is a search and has no query" if behavior == SRC else f"is no search and has the query '{words}'"
            raise ConfigError(f"the event of item '{item}' {lacks}; give (item, 'src', query) or (item, 'rec').")
        return Event(_find("item", item, self.items, first=1), behavior, words)


def listed(name: str, values: object, wanted: str) -> list:
    """The members of a list, array or iterator, in order.

    Args:
        name: the argument's.
        wanted: how the error goes on after the name and the value.

    Raises:
        ConfigError: it is none, or of a kind in `NO_LISTS`.
    """
    if isinstance(values, NO_LISTS) or not isinstance(values, Iterable) or getattr(values, "ndim", 1) == 0:
        raise ConfigError(f"{name} {short(values)} {wanted}")
    return list(values)


def typed(name: str, text: object) -> str:
    """A query without the spaces around it, which say nothing; None is the empty one.

    Raises:
        ConfigError: it is no text, or text that cannot be encoded.
    """
    if text is not None and not isinstance(text, str):
        raise ConfigError(f"{name} is {short(text)}; give text, such as 'red shoe', or '' for none.")
    try:
        (text or "").encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{name} {text!r} has no character at position {error.start}; leave that out.") from None
    return (text or "").strip()


def positive(name: str, value: object, wanted: str) -> int:
    """A whole number from 1 on; ``wanted`` is how the error goes on.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ConfigError(f"{name} is {short(value)}; {wanted}")
    return int(value)


def _find(kind: str, name: object, names: pd.Index, first: int) -> int:
    """Position of a user or item, given by its id (str) or by that position (int), which starts at ``first``."""
    if isinstance(name, numbers.Integral) and not isinstance(name, bool):
        if first <= name < len(names):
            return int(name)
        raise ConfigError(f"{kind} {name} is out of range: {first} to {len(names) - 1}; ids are given as text.")
    if isinstance(name, str) and name and name in names:
        return int(names.get_loc(name))
    close = get_close_matches(str(name), names[first:], n=1) if len(names) <= MOST_COMPARED else []
    hint = f" did you mean '{close[0]}'?" if close else ""
    raise ConfigError(f"unknown {kind} {str(name)!r};{hint} there are {len(names) - first}, such as '{names[first]}'.")
