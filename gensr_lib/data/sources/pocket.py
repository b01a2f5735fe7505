"""The pocket world as a data source: simulated on the spot, so there are no files."""

from __future__ import annotations

from ...config import PocketConfig
from ..pocket.world import simulate
from .source import Kind

# What the default world sets otherwise than `pocket-plain`; sizes are the profile's. Chosen by the
# ceilings of `analysis.ceilings` alone, before any system was trained on it: each mechanism of the
# paper is worth .03 or more in one of the tasks to a reader that knows the law.
STRENGTHS = {
    "n_topics": 10,  # some ten rivals of one topic in a list of 100: something to choose from
    "topic_taste": 0.7,
    "task_angle": 30,
    "rec_hidden": 0.3,
    "no_text": 0.3,
    "affinity": 2.0,
    "search_affinity": 2.5,
    "popularity": 1.0,
    "search_popularity": 0.0,  # who searches does not care what others like
    "query_match": 1.5,  # a word is a hint, so that search has something personal in it
    "search_shift": 8.0,
    "half_life": 60.0,
    "search_taste": 0.3,
    "search_explore": 0.6,
    "search_recent": 0.1,
}


def default_world(config: PocketConfig) -> PocketConfig:
    """The default world in the sizes, and with whatever else a profile sets itself."""
    return PocketConfig(**STRENGTHS | config.model_dump(exclude_unset=True))


SOURCE = Kind(
    read=lambda path, profile, seed: simulate(default_world(profile.pocket), seed),
    example=lambda folder: "pocket",
)
