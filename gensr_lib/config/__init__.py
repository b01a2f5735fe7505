"""Profiles: how large the data, the models and the training are, as typed and validated objects.

Three profiles stand in YAML files beside this one: ``smoke`` (does everything run?), ``pocket``
(the default: a meaningful run on a laptop) and ``paper`` (flan-t5-base and the paper's settings).
An unknown key or a value out of range is a `ConfigError` that names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any, Literal

from pydantic import Field, model_validator

from ..errors import ConfigError, unknown
from .base import Config, digest, later, read_mapping
from .world import DefaultWorld, PocketConfig

__all__ = [
    "BackboneConfig",
    "Config",
    "DataConfig",
    "DefaultWorld",
    "ModelBlock",
    "PocketConfig",
    "Profile",
    "StudiesConfig",
    "TrainingConfig",
    "available_profiles",
    "digest",
    "read_profile",
    "with_dials",
]


class DataConfig(Config):
    """What happens to the two tables on the way to rows, histories and candidates."""

    min_interactions: int = Field(5, ge=1, description="k of the k-core filter (paper §6.1.1)")
    both_behaviors: bool = later(
        False, description="keep only users with clicks of both behaviors (paper §6.1.1, KuaiSAR)"
    )
    split: Literal["leave-one-out", "last days", "given"] = later(
        "leave-one-out",
        description="each user's last events, or all events of the last two days of the log, are "
        "held out (paper §6.1.1: Amazon, KuaiSAR); 'given': rows, histories and negatives come "
        "with the data, and the options that make them do nothing",
    )
    twins: Literal["hidden", "visible"] = Field(
        "hidden",
        description="'visible' cuts histories by row, so a search may see its purchase (a leak)",
    )
    test_history: Literal["train", "train+validation", "earlier"] = Field(
        "train",
        description="which events the history of a test row may hold; 'train': no held-out one; "
        "'earlier': all that happened before, which are UniSAR's records; so in validation",
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

    def under(self, other: ModelBlock) -> ModelBlock:
        """Both in one; where they say different things, the other's."""
        return ModelBlock(model=self.model | other.model, training=self.training | other.training)


class BackboneConfig(Config):
    """Which language model GenSR is built on."""

    name: str = Field("pocket", description="'pocket', a name on the hub, or a local folder")
    vocabulary: int = Field(4000, ge=64, description="largest vocabulary of the pocket tokenizer")
    numbered_words: int = later(
        20_000,
        ge=0,
        description="most frequent words that get a token of their own where words are numbers "
        "(KuaiSAR: w20)",
    )
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


class StudiesConfig(Config):
    """How the chapters on studies train where no evidence is stored: on your data, or in smoke."""

    seeds: int = Field(3, ge=2, description="trainings of each arm")
    options: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="by model, so that many trainings fit into the time"
    )
    steps: int | None = Field(
        None,
        ge=1,
        description="of one training, at most, shared out among its epochs, which are then "
        "validated once, at the end; None: all",
    )


class Profile(Config):
    """Everything a run needs beyond the data set and the seed.

    ``families`` holds the defaults of models by their `RankingModel.family`, ``models`` what a
    single model has otherwise, ``real_data`` what it has otherwise again where the data are not
    simulated. All are read by the models' classes in `experiments.spec`.
    """

    name: str
    pocket: DefaultWorld = DefaultWorld()
    data: DataConfig = DataConfig()
    backbone: BackboneConfig = BackboneConfig()
    families: dict[str, ModelBlock] = Field(default_factory=dict)
    models: dict[str, ModelBlock] = Field(default_factory=dict)
    real_data: dict[str, ModelBlock] = Field(default_factory=dict)
    studies: StudiesConfig = StudiesConfig()

    def on_real_data(self) -> Profile:
        """The profile of data that are not simulated: ``real_data`` laid over ``models``."""
        models = dict(self.models)
        for name, block in self.real_data.items():
            models[name] = models.get(name, ModelBlock()).under(block)
        return self.model_copy(update={"models": models, "real_data": {}})


def available_profiles() -> list[str]:
    """Names of the profiles that come with the package."""
    folder = resources.files("gensr_lib.config")
    return sorted(
        p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml")
    )


def with_dials(name: str, dials: Mapping[str, float]) -> str:
    """The name of a profile whose simulated world has some dials turned.

    >>> with_dials("pocket", {"task_angle": 60, "topic_taste": 0.35})
    'pocket+task_angle=60,topic_taste=0.35'
    """
    turned = ",".join(f"{dial}={value:g}" for dial, value in dials.items())
    return f"{name}+{turned}" if turned else name


def _split_dials(name: str) -> tuple[str, dict[str, str]]:
    base, plus, turned = name.partition("+")
    pairs = [pair.partition("=") for pair in turned.split(",")] if plus else []
    for dial, _, value in pairs:
        if not (dial and value):
            raise ConfigError(
                f"profile '{name}': behind the + stand dials of the simulated world, as in "
                f"pocket+task_angle=60,topic_taste=0.35"
            )
    return base, {dial: value for dial, _, value in pairs}


def read_profile(name: str) -> Profile:
    """Read a profile by name; the blocks of single models are left to `experiments.load_profile`.

    Args:
        name: of a file, with or without dials of its simulated world (`with_dials`).

    Raises:
        ConfigError: no profile of that name, a file that is no YAML mapping, or one with an unknown
            key or a value out of range.
    """
    base, dials = _split_dials(name)
    if base not in available_profiles():
        raise unknown("profile", base, available_profiles())
    path = resources.files("gensr_lib.config") / f"{base}.yaml"
    where = f"profile {name} ({path})"
    values = read_mapping(path, where, "blocks such as 'data: {min_interactions: 5}'")
    if dials:
        values["pocket"] = {**(values.get("pocket") or {}), **dials}
    return Profile.parse({"name": name} | values, where=where)
