"""Sizes and strengths of the simulated worlds: `pocket-plain` and, with its dials up, `pocket`."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, model_validator

from .base import Config


class PocketConfig(Config):
    """Sizes and strengths of the pocket world; the letters are those of `data.pocket.world`."""

    n_users: int = Field(1000, ge=1, description="users; enough for a paired test, one event each")
    n_items: int = Field(1500, ge=2, description="items; some 15 training clicks (rec) each")
    n_events: int = Field(45_000, ge=10, description="expected events; a user has 0.6 to 1.4 means")
    n_topics: int | None = Field(None, ge=2, description="K; by default 24 sqrt(items / 1500)")
    latent_dim: int = Field(4, ge=1, le=64, description="d; 21 clicks can teach few directions")
    favourites: float = Field(
        5.0, gt=0, description="Dirichlet total of the taste: favourite topics"
    )
    curiosity: float = Field(
        0.3, gt=0, lt=1, description="share of taste over all topics: none is 0"
    )
    popularity: float = Field(0.45, ge=0, le=20, description="A: Zipf exponent of items (rec)")
    affinity: float = Field(1.0, ge=0, le=20, description="B: strength of the latent taste (rec)")
    drift: float = Field(0.3, ge=0, le=20, description="D: the drift; small, as tests lie ahead")
    drift_memory: float = Field(
        0.9, ge=0, le=1, description="AR(1) coefficient from visit to visit"
    )
    search_shift: float = Field(
        4.5, ge=0, le=20, description="S: how far a search raises its topic"
    )
    half_life: float = Field(15.0, gt=0, description="events after which a click counts half")
    search_share: float = Field(0.4, gt=0, lt=1, description="share of searches among the events")
    repeat: float = Field(0.005, ge=0.001, le=1, description="R: weight of items clicked before")
    longest_run: int = Field(4, ge=1, description="of one behavior, so that both stay recent")
    search_taste: float = Field(0.55, ge=0, description="weight of long-term taste in searches")
    search_explore: float = Field(0.25, ge=0, description="weight of all topics in searches")
    search_recent: float = Field(0.2, ge=0, description="weight of recent clicks in searches")
    query_match: float = Field(5.0, ge=0, le=20, description="C: logit per query word of the item")
    query_noise: float = Field(0.05, ge=0, le=1, description="share of words misremembered")
    search_popularity: float = Field(
        0.3, ge=0, le=20, description="A': Zipf exponent of items (src)"
    )
    search_affinity: float = Field(
        1.5, ge=0, le=20, description="B': strength of the latent taste (src)"
    )
    search_accident: float = Field(0.01, gt=0, lt=1, description="eps: search clicks on any item")
    look_follows_taste: float = Field(0.8, ge=0, le=1, description="correlation of looks with z_i")
    visit_length: float = Field(
        8.0, ge=1, description="mean events of a visit; drift between visits"
    )
    # The dials: each makes one mechanism of the paper worth something, and is off at 0.
    topic_taste: float = Field(
        0.0, ge=0, le=1, description="T: share of the latent taste that is a topic's own"
    )
    second_person: float = Field(
        0.0, ge=0, le=0.5, description="share of visits by a second person of the account"
    )
    own_search_taste: float = Field(
        0.0, ge=0, le=1, description="O: share of the latent taste that is search's own"
    )
    task_angle: float = Field(
        0.0, ge=0, le=180, description="theta: degrees between the laws of the two tasks"
    )
    rec_hidden: float = Field(
        0.0, ge=0, le=0.9, description="share of items that recommendation hardly shows"
    )
    no_text: float = Field(
        0.0, ge=0, le=0.9, description="share of items without title, category and text"
    )

    @model_validator(mode="after")
    def _fits(self):
        if self.n_events < 10 * self.n_users:
            raise ValueError(
                f"n_events={self.n_events} is below 10 per user; raise it to "
                f"{10 * self.n_users} or more"
            )
        if self.topics > self.n_items:
            raise ValueError(
                f"n_topics={self.topics} is above n_items={self.n_items}; every topic needs an item"
            )
        if self.search_taste + self.search_explore + self.search_recent == 0:
            raise ValueError(
                "search_taste, search_explore and search_recent are all 0; "
                "one of them must be positive"
            )
        return self

    def plain(self) -> PocketConfig:
        """The world of these sizes in which every dial is off and every strength the default."""
        return PocketConfig(**self.model_dump(include={"n_users", "n_items", "n_events"}))

    @property
    def topics(self) -> int:
        """The number of topics K, given or derived from the number of items."""
        return self.n_topics or max(2, round(24 * (self.n_items / 1500) ** 0.5))

    @property
    def most_events(self) -> int:
        """The largest number of events that a user can have."""
        return int(1.4 * self.n_events / self.n_users)


class DefaultWorld(PocketConfig):
    """The data set `pocket`: a `PocketConfig`, the plain world, with strengths of its own.

    Chosen by the ceilings of `analysis.ceilings` alone, before any system was trained on it: each
    mechanism of the paper is worth .03 or more in one of the tasks to a reader that knows the law.
    """

    strengths: ClassVar = {
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

    @model_validator(mode="before")
    @classmethod
    def _stated(cls, values: Any) -> Any:
        # What is not given is filled in here, so that whoever reads or copies a profile has it.
        return {**cls.strengths, **values} if isinstance(values, dict) else values
