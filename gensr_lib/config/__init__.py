"""Profiles: how large the data, the models and the training are, as typed and validated objects.

Three profiles stand in YAML files beside this one: ``smoke`` (does everything run?), ``pocket``
(the default: a meaningful run on a laptop) and ``paper`` (flan-t5-base and the paper's settings).
An unknown key or a value out of range is a `ConfigError` that names it.
"""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import ConfigError, unknown


class Config(BaseModel):
    """Base of every configuration: frozen, no unknown keys, nothing infinite, errors as
    `ConfigError`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, values: dict[str, Any] | None = None, where: str = "") -> Config:
        """Build from a plain dict; raise `ConfigError` naming the option at fault."""
        try:
            return cls.model_validate(values or {})
        except ValidationError as error:
            raise ConfigError(_explain(error, cls, where or cls.__name__)) from None

    def replace(self, **changes: Any) -> Config:
        """A validated copy with some options changed; what was left to its default stays so."""
        return type(self).parse({**self.model_dump(exclude_unset=True), **changes})


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
        sizes = {"n_users", "n_items", "n_events", "n_topics"}
        return PocketConfig(**self.model_dump(include=sizes))

    @property
    def topics(self) -> int:
        """The number of topics K, given or derived from the number of items."""
        return self.n_topics or max(2, round(24 * (self.n_items / 1500) ** 0.5))

    @property
    def most_events(self) -> int:
        """The largest number of events that a user can have."""
        return int(1.4 * self.n_events / self.n_users)


class DataConfig(Config):
    """What happens to the two tables on the way to rows, histories and candidates."""

    min_interactions: int = Field(5, ge=1, description="k of the k-core filter (paper §6.1.1)")
    twins: Literal["hidden", "visible"] = Field(
        "hidden",
        description="'visible' cuts histories by row, so a search may see its purchase (a leak)",
    )
    test_history: Literal["train", "train+validation"] = Field(
        "train",
        description="which events the history of a test row may hold; 'train': no held-out one",
    )
    eval_negatives: int = Field(99, ge=1, description="stored negatives per row (paper §6.1.3)")
    max_valid_rows: int | None = Field(
        None, ge=1, description="rows per task to select by; None: all"
    )
    max_test_rows: int | None = Field(None, ge=1, description="rows per task to test; None: all")
    history_rec: int = Field(30, ge=1, description="most recent recommendation clicks in a batch")
    history_src: int = Field(30, ge=1, description="most recent search sessions in a batch")
    session_clicks: int = Field(5, ge=1, description="clicks kept per session (Amazon: 1)")
    query_words: int = Field(50, ge=1, description="words kept per query")
    categories_in_text: bool = Field(
        False,
        description="an item's category stands in front of its title and text; where searches are "
        "made out of categories (`made_searches`), the text then answers the query and search is "
        "a lookup: show both ways",
    )


class TrainingConfig(Config):
    """How a model is trained; the same fields for every model."""

    epochs: int = Field(10, ge=0)
    batch_size: int = Field(64, ge=1, description="rec rows a step; src rows in proportion")
    eval_batch_size: int = Field(64, ge=1, description="rows of 1 + 99 candidates scored at once")
    negatives: int = Field(4, ge=1, description="negatives per positive, redrawn each epoch")
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    warmup_steps: int = Field(0, ge=0, description="linear warm-up; then linear decay to zero")
    decay_epochs: int | None = Field(
        None,
        ge=1,
        description="epochs in which the rate would reach zero; None: those of the training",
    )
    gradient_clip: float = Field(1.0, gt=0, description="largest norm of the whole gradient")
    patience: int = Field(3, ge=1, description="epochs without a better validation NDCG@5")
    first_validation: int = Field(
        1, ge=1, description="epoch of the first validation, from which on patience counts"
    )
    search_weight: float = Field(1.0, ge=0, description="gamma of eq. 1: weight of search rows")
    max_steps_per_epoch: int | None = Field(None, ge=1, description="cap for large data; None: all")
    eval_every: int | None = Field(
        1,
        ge=1,
        description="epochs between two validations, the last one included; None: the last is best",
    )
    checkpoint_steps: int = Field(200, ge=1, description="steps between checkpoints in an epoch")
    probe_steps: int | None = Field(
        None,
        ge=1,
        description="steps between two measurements of the tasks' gradients; None: none",
    )
    probe_rows: int = Field(
        2048, ge=2, description="rows of each task in such a measurement, or all that there are"
    )

    @model_validator(mode="after")
    def _decays_after_the_end(self):
        if self.decay_epochs is not None and self.decay_epochs < self.epochs:
            raise ValueError(
                f"decay_epochs={self.decay_epochs} is below epochs={self.epochs}: the rate would "
                f"fall below zero; raise it to {self.epochs} or more, or leave it out"
            )
        return self


class ModelBlock(Config):
    """What a profile says of a model, or of a family, before the model's class has read it."""

    model: dict[str, Any] = Field(default_factory=dict, description="of the model's own `Config`")
    training: dict[str, Any] = Field(default_factory=dict, description="fields of `TrainingConfig`")


class BackboneConfig(Config):
    """Which language model GenSR is built on."""

    name: str = Field("pocket", description="'pocket', a name on the hub, or a local folder")
    vocabulary: int = Field(4000, ge=64, description="largest vocabulary of the pocket tokenizer")
    d_model: int = Field(64, ge=8)
    d_ff: int = Field(128, ge=8)
    heads: int = Field(4, ge=1)
    encoder_layers: int = Field(2, ge=1)
    decoder_layers: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _heads_divide(self):
        if self.d_model % self.heads:
            raise ValueError(
                f"d_model {self.d_model} is not a multiple of heads {self.heads}; "
                f"change one of them"
            )
        return self


class SweepConfig(Config):
    """What ablations and sensitivity analyses change, so that many runs fit into the time."""

    seeds: int = Field(3, ge=1, description="trainings of each variant")
    options: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="by model, for every run of it"
    )


class Profile(Config):
    """Everything a run needs beyond the data set and the seed.

    ``families`` holds the defaults of models by their `RankingModel.family`, ``models`` what a
    single model has otherwise. Both are read by the models' classes in `experiments.spec`.
    """

    name: str
    pocket: PocketConfig = PocketConfig()
    data: DataConfig = DataConfig()
    backbone: BackboneConfig = BackboneConfig()
    families: dict[str, ModelBlock] = Field(default_factory=dict)
    models: dict[str, ModelBlock] = Field(default_factory=dict)
    sweep: SweepConfig = SweepConfig()


def available_profiles() -> list[str]:
    """Names of the profiles that come with the package."""
    folder = resources.files("gensr_lib.config")
    return sorted(
        p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml")
    )


def read_profile(name: str) -> Profile:
    """Read a profile by name; the blocks of single models are left to `experiments.load_profile`.

    Raises:
        ConfigError: no profile of that name, a file that is no YAML mapping, or one with an unknown
            key or a value out of range.
    """
    if name not in available_profiles():
        raise unknown("profile", name, available_profiles())
    path = resources.files("gensr_lib.config") / f"{name}.yaml"
    where = f"profile {name} ({path})"
    try:
        values = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: this is no YAML: {error}; mend that line") from None
    if not isinstance(values, dict):
        raise ConfigError(
            f"{where}: it must hold blocks such as 'data: {{min_interactions: 5}}', "
            f"and holds {str(values)[:60]!r}"
        )
    return Profile.parse({"name": name} | values, where=where)


def digest(*values: Any) -> str:
    """Short SHA-256 of plain values and configurations, the same on every machine.

    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    plain = [v.model_dump(mode="json") if isinstance(v, BaseModel) else v for v in values]
    text = json.dumps(plain, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _explain(error: ValidationError, cls: type[BaseModel], where: str) -> str:
    lines = []
    for detail in error.errors():
        option = ".".join(map(str, detail["loc"]))
        if detail["type"] == "extra_forbidden":
            lines.append(str(unknown("option", option, _options(cls))))
        else:
            lines.append(f"option '{option}': {detail['msg']}, got {detail['input']!r}")
    return f"{where}: " + "; ".join(lines)


def _options(cls: type[BaseModel], prefix: str = "") -> list[str]:
    names = []
    for name, info in cls.model_fields.items():
        nested = info.annotation
        is_config = isinstance(nested, type) and issubclass(nested, BaseModel)
        names += _options(nested, f"{prefix}{name}.") if is_config else [prefix + name]
    return names
