"""The cells of a study: one training each, known by a key that needs neither training nor data.

A cell's key says what its numbers follow from: the data (of a simulated world its law and seed, of
others their hash), model, options, training, seed, what the model is built on, and `NUMBERS`. Equal
settings are one cell, under whatever name and in whatever study.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ... import NUMBERS
from ...config import Profile, TrainingConfig, digest, with_dials
from ...config.study import Arm, Study
from ...data.sources.load import find
from ...errors import ConfigError
from ...models.language_model import identity
from ...models.registry import model_class
from ..needs import lacks
from ..spec import code_of, load_profile, resolve
from ..workspace import Workspace

TURNED = "pocket"  # the data set whose law has dials


@dataclass(frozen=True)
class Home:
    """Where cells are trained: what a `Workspace` is made of."""

    data: str
    profile: Profile
    seed: int

    def open(self) -> Workspace:
        """The workspace; its profile may be another than that of its name's file."""
        workspace = Workspace(self.data, self.profile.name, self.seed)
        workspace.profile = self.profile
        return workspace


@dataclass(frozen=True)
class Cell:
    """One training of a study.

    Attributes:
        part, arm: names in the study.
        home: where it is trained.
        model: name of the model.
        options: complete changes to the profile's settings.
        measures: to be taken of the trained model.
        rows: whether its test rows are kept.
        seed: of the weights.
        key: what it is known by.
    """

    part: str
    arm: str
    home: Home
    model: str
    options: Mapping[str, Any]
    measures: tuple[str, ...]
    rows: bool
    seed: int
    key: str

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.arm} · {self.part} · seed {self.seed}"


def cells_of(study: Study) -> list[Cell]:
    """The cells of a declared study, all arms of a world before the next world.

    So a study that is stopped has whole worlds, whose arms can be compared.

    Raises:
        ConfigError: an unknown data set, dial, model or option, or a value out of range; the
            message names study, part and arm.
    """
    found = []
    for part, declared in study.parts.items():
        try:
            if declared.dials and declared.data != TURNED:
                raise ConfigError(f"dials turn the data set '{TURNED}', not '{declared.data}'")
            profile = _profile(with_dials(study.profile, declared.dials))
        except ConfigError as error:
            raise ConfigError(f"study {study.name}, part '{part}': {error}") from None
        for seed in study.seeds_of(part):
            home = Home(declared.data, profile, seed)
            data = _data(home)
            for name, arm in study.arms_of(part).items():
                found.append(_cell(study, part, name, arm, home, data, seed))
    order = {part: number for number, part in enumerate(study.parts)}
    return sorted(found, key=lambda cell: (cell.seed, order[cell.part]))


def cells_here(study: Study, workspace: Workspace, part: str, whole: bool = False) -> list[Cell]:
    """The cells of a part for other data than the study's own: those of a workspace.

    Dials are left out, and arms that the data do not allow or that are not for them (`Arm`). The
    profile's ``studies`` block says how many seeds, and how short the trainings are, unless the
    study has it otherwise; with ``whole`` its steps are left out, and all arms are there. Of a
    simulated world each seed draws another.

    Raises:
        ConfigError: as `cells_of`.
    """
    block = workspace.profile.studies
    seeds = block.seeds if study.short_elsewhere else 1
    steps = None if whole else block.steps
    name, first = str(workspace.dataset_name), workspace.seed
    redrawn = workspace.dataset.truth is not None
    arms = {
        name: arm
        for name, arm in study.arms_of(part).items()
        if (arm.elsewhere or whole)
        and not any(lacks(workspace.dataset, need) for need in arm.needs)
    }
    able = workspace.able(*dict.fromkeys(arm.like or arm.model for arm in arms.values()))
    found = []
    for seed in range(first, first + seeds):
        home = Home(name, workspace.profile, seed if redrawn else first)
        data = _data(home, None if redrawn else workspace)
        for arm_name, arm in arms.items():
            if (arm.like or arm.model) in able:
                short = block.options.get(arm.model, {}) if study.short_elsewhere else {}
                found.append(_cell(study, part, arm_name, arm, home, data, seed, short, steps))
    return found


def _cell(
    study: Study,
    part: str,
    name: str,
    arm: Arm,
    home: Home,
    data: list[Any],
    seed: int,
    short: Mapping[str, Any] | None = None,
    steps: int | None = None,
) -> Cell:
    """One cell; ``short`` holds settings that come before the arm's own, ``steps`` is `_capped`."""
    try:
        settings = {**_known(arm.model, study.set), **(short or {}), **arm.set}
        options = {**_settings(home.profile, arm.like), **settings}
        options = _capped(home.profile, arm.model, options, steps)
        recipe = _recipe(home.profile, arm.model, seed, home.seed, options)
        key = digest(data, recipe, NUMBERS)
    except ConfigError as error:
        raise ConfigError(f"study {study.name}, part '{part}', arm '{name}': {error}") from None
    return Cell(part, name, home, arm.model, options, tuple(arm.measures), arm.rows, seed, key)


def _settings(profile: Profile, model: str | None) -> dict[str, Any]:
    """All settings that a profile has for a model, complete."""
    if model is None:
        return {}
    options, training = resolve(profile, model)
    return {**options.model_dump(), **training.model_dump()}


def _capped(
    profile: Profile, model: str, options: dict[str, Any], steps: int | None
) -> dict[str, Any]:
    """Options whose epochs have no more steps together than a training may take, and which is
    validated at its end alone: among so few steps there is no best epoch to choose.
    """
    if steps is None or not model_class(model).learns():
        return options
    training = resolve(profile, model, **options)[1]
    epochs = max(1, training.epochs)
    share = max(1, steps // epochs)
    most = min(training.max_steps_per_epoch or share, share)
    return options | {"max_steps_per_epoch": most, "eval_every": training.eval_every and epochs}


def _known(model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a study's common settings that a model has."""
    fields = {**model_class(model).Config.model_fields, **TrainingConfig.model_fields}
    return {name: value for name, value in options.items() if name in fields}


@lru_cache(maxsize=64)
def _profile(name: str) -> Profile:
    return load_profile(name)


def _data(home: Home, workspace: Workspace | None = None) -> list[Any]:
    """What decides the data: of a simulated world all that it is drawn from, else their hash."""
    source = find(home.data, must_exist=False)
    if source.path is not None:
        return [source.name, (workspace or home.open()).dataset.hash]
    of_world = home.profile.pocket
    world = of_world.plain() if source.name == "pocket-plain" else of_world
    return [source.name, world.identity(), home.profile.data.identity(), home.seed]


def _recipe(
    profile: Profile, model: str, seed: int, first: int, options: Mapping[str, Any]
) -> dict[str, Any]:
    """All else that decides a run's numbers, as `RunSpec` has it, but without the data."""
    cls = model_class(model)
    config, training = resolve(profile, model, **options)
    built_on = {
        need: identity(profile.backbone)
        if need == "language_model"
        else _recipe(profile, need, first, first, {})
        for need in cls.needs
    }
    return {
        "model": model,
        "options": config.identity(),
        "training": training.identity() if cls.learns() else None,
        "seed": seed,
        "built_on": built_on,
        "code": code_of(cls),
    }
