"""What makes a run: one typed specification, parsed once, from YAML or keywords to training."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any
from weakref import WeakKeyDictionary

from .. import NUMBERS
from ..config import Config, ModelBlock, Profile, TrainingConfig, digest, read_profile
from ..errors import ConfigError, unknown
from ..models.base import RankingModel
from ..models.registry import MODELS, model_class

# The code of models from outside when they were first asked for: what this process runs.
_IMPORTED: WeakKeyDictionary[type[RankingModel], str] = WeakKeyDictionary()


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides a run's numbers; equal specifications are one run.

    Attributes:
        model: a name of `available_models`, or ``package.module:Class``.
        options: of the model, complete.
        training: likewise.
        data: `Dataset.hash`.
        seed: of weights and training.
        built_on: by need of the model, the hash of that run or of the language model's options.
        code: for a model from outside of this library, the hash of its module without comments.
        processes: how many train it together; each draws its own dropout, so numbers differ.
    """

    model: str
    options: Config
    training: TrainingConfig
    data: str
    seed: int
    built_on: Mapping[str, str] = field(default_factory=dict)
    code: str = ""
    processes: int = 1

    @property
    def hash(self) -> str:
        """What a run is known by. Of this library's source only `NUMBERS` is in it."""
        return digest(self.record(), NUMBERS)

    @property
    def alike(self) -> str:
        """The hash of the same run by one process: who finds either need not train the other."""
        return replace(self, processes=1).hash

    def record(self) -> dict[str, Any]:
        """The specification as plain values; one process goes without saying."""
        values = {
            **vars(self),
            "options": self.options.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
        }
        if self.processes == 1:
            del values["processes"]
        return values


def load_profile(name: str) -> Profile:
    """Read a profile by name, and have each model check its own block.

    Raises:
        ConfigError: no profile of that name; an unknown key, model or family; a value out of range.
    """
    return checked(read_profile(name))


def checked(profile: Profile) -> Profile:
    """The profile, if every block of it is one that its model understands."""
    families = {cls.family for cls in map(model_class, MODELS)}
    for family in profile.families:
        if family not in families:
            raise ConfigError(f"profile {profile.name}: {unknown('family', family, families)}")
    short = profile.studies.options
    try:
        for place in (profile, profile.on_real_data()):
            for model in {**MODELS, **place.models, **short}:
                resolve(place, model)
                resolve(place, model, **short.get(model, {}))
    except ConfigError as error:
        raise ConfigError(f"profile {profile.name}: {error}") from None
    return profile


def resolve(profile: Profile, model: str, /, **options: Any) -> tuple[Config, TrainingConfig]:
    """The options of a model and its training: its family's defaults, its own, ``options``.

    Args:
        options: of the model or of the training; the names tell which.

    Raises:
        ConfigError: an option that neither of them has, a value out of range, or a shape that does
            not go with what the model is built on.
    """
    cls = model_class(model)
    known = [*cls.Config.model_fields, *TrainingConfig.model_fields]
    for name in options:
        if name not in known:
            raise unknown(f"option of {cls.name}", name, known)
    # Later blocks win: the family's defaults, the model's own entry, the caller's options.
    own = profile.models.get(model, profile.models.get(cls.name))
    blocks = [profile.families.get(cls.family), own, _as_block(options, cls)]
    all_of_them = reduce(ModelBlock.under, filter(None, blocks), ModelBlock())
    config = cls.Config.parse(all_of_them.model, where=f"model {cls.name}")
    cls.check(config, {need: _options_of(profile, need) for need in cls.needs})
    return config, TrainingConfig.parse(all_of_them.training, where=f"training of {cls.name}")


def _options_of(profile: Profile, need: str) -> Config:
    return profile.backbone if need == "language_model" else resolve(profile, need)[0]


def _as_block(options: Mapping[str, Any], cls: type[RankingModel]) -> ModelBlock:
    """Options by keyword; a name that both have, such as FMLP's ``negatives``, is the model's."""
    of_training = TrainingConfig.model_fields.keys() - cls.Config.model_fields.keys()
    trained = {name: value for name, value in options.items() if name in of_training}
    model = {name: value for name, value in options.items() if name not in trained}
    return ModelBlock(model=model, training=trained)


def code_of(cls: type[RankingModel]) -> str:
    """For a model from outside, the hash of its modules without comments and docstrings; else ''.

    `NUMBERS` cannot know of code that is not this library's: without this, an edited model of your
    own would be answered with the run that it was before. Its modules are its own and those of the
    models that it is made from.

    Raises:
        ConfigError: a module has no file, or its file was edited since it was imported.
    """
    models = (one for one in cls.__mro__ if issubclass(one, RankingModel))
    names = dict.fromkeys(one.__module__ for one in models)
    own = [name for name in names if name.partition(".")[0] != __package__.partition(".")[0]]
    if not own:
        return ""
    codes = [_code_of_module(name) for name in own]
    code = codes[0] if len(codes) == 1 else digest(codes)
    if _IMPORTED.setdefault(cls, code) != code:
        message = f"model {cls.__name__}: {own[0]} was edited since it was imported; restart Python"
        raise ConfigError(message)
    return code


def _code_of_module(name: str) -> str:
    try:
        tree = ast.parse(inspect.getsource(sys.modules[name]))
    except (OSError, TypeError):
        message = (
            f"module {name} has no file to read its code from, by which a run of your own model is "
            "known; write the model to a .py file"
        )
        raise ConfigError(message) from None
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            del body[0]
    return digest(ast.dump(tree))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str)
