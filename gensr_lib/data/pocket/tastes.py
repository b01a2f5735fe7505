"""Whose taste chooses: the latent vectors of the people of the pocket world, by topic and task.

An account is one person, or two who take turns by visits (``second_person``). With d directions,
person p, topic k and the dials of `PocketConfig`, recommendation and search weigh

    z_pk   = sqrt(1 - T) z_p  + sqrt(T) z'_pk       T = ``topic_taste``
    z^s_pk = sqrt(1 - O) z_pk + sqrt(O) z''_p       O = ``own_search_taste``
    rec: z_pk * z_i    src: w(theta) * z^s_pk * z_i,   summed over the d directions,

w(theta) = cos(theta) + sin(theta) on the first half of the directions and cos(theta) - sin(theta)
on the other: over the features z_p * z_i, theta is the angle between the laws of the two tasks
(``task_angle``). The looks of an item follow the first two directions, so that search comes to
care for what can be read, and less for what cannot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...config import PocketConfig


def people_per_account(config: PocketConfig) -> int:
    """How many people share an account."""
    return 2 if config.second_person > 0 else 1


def task_weights(config: PocketConfig) -> np.ndarray:
    """w(theta) (d,), of mean square 1 where d is even; all 1 for an angle of 0.

    >>> task_weights(PocketConfig(task_angle=45)).round(3).tolist()
    [1.414, 1.414, 0.0, 0.0]
    """
    angle = np.radians(config.task_angle)
    sign = np.where(np.arange(config.latent_dim) < config.latent_dim / 2, 1.0, -1.0)
    return np.cos(angle) + np.sin(angle) * sign


@dataclass(frozen=True)
class Tastes:
    """The latent vectors of P people.

    Attributes:
        weights: w(theta) (d,).
        own: z_p (P, d).
        by_topic: z'_pk (P, K, d), or None where ``topic_taste`` is 0.
        search: z''_p (P, d), or None where ``own_search_taste`` is 0.
    """

    config: PocketConfig
    weights: np.ndarray
    own: np.ndarray
    by_topic: np.ndarray | None
    search: np.ndarray | None

    @classmethod
    def draw(cls, config: PocketConfig, own: np.ndarray, rng: np.random.Generator) -> Tastes:
        """What the dials add to the vectors z_p (P, d)."""
        shape = (len(own), config.topics, config.latent_dim)
        by_topic = rng.standard_normal(shape) if config.topic_taste else None
        search = rng.standard_normal(own.shape) if config.own_search_taste else None
        return cls(config, task_weights(config), own, by_topic, search)

    @classmethod
    def joined(cls, parts: list[Tastes]) -> Tastes:
        """The people of several blocks, one after the other."""

        def join(name: str) -> np.ndarray | None:
            arrays = [getattr(part, name) for part in parts]
            return None if arrays[0] is None else np.concatenate(arrays)

        first = parts[0]
        return cls(first.config, first.weights, join("own"), join("by_topic"), join("search"))

    def rec(self, person: np.ndarray, topic: np.ndarray | int) -> np.ndarray:
        """z_pk of people (…) in topics (…): (…, d)."""
        if self.by_topic is None:
            return self.own[person]
        share = self.config.topic_taste
        own = (1 - share) ** 0.5 * self.own[person]
        return own + share**0.5 * self.by_topic[person, topic]

    def src(self, person: np.ndarray, topic: np.ndarray | int) -> np.ndarray:
        """w(theta) * z^s_pk of people (…) in topics (…): (…, d)."""
        taste = self.rec(person, topic)
        if self.search is not None:
            share = self.config.own_search_taste
            taste = (1 - share) ** 0.5 * taste + share**0.5 * self.search[person]
        return self.weights * taste
