"""Studies: declared sets of runs whose evidence is kept in the repository.

A study stands in a YAML file in ``studies/`` beside this one. It names *arms*, each a model and
changes to its settings, and *parts*: a data set, dials of its simulated world, and the arms that
are trained there, once in every world. `experiments.studies.cells` makes cells of it.
"""

from __future__ import annotations

from importlib import resources
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from ..errors import unknown
from .base import Config, read_mapping

FOLDER = "gensr_lib.config.studies"


class Arm(Config):
    """One way to train a model."""

    model: str = "gensr"
    set: dict[str, Any] = Field(
        default_factory=dict, description="options of the model or of its training, by name"
    )
    like: str | None = Field(
        None, description="a model whose settings of the profile come before those of ``set``"
    )
    measures: list[str] = Field(
        default_factory=list,
        description="``package.module:function`` each, asked of the trained model",
    )
    rows: bool = Field(True, description="keep the test rows, and not only their means")
    needs: list[Literal["rec", "src", "texts", "categories"]] = Field(
        default_factory=list, description="what data must have for it (`experiments.needs`)"
    )
    elsewhere: bool = Field(
        True, description="trained on other data than the study's, too, where none is stored"
    )


class Part(Config):
    """Arms on one data set."""

    data: str = "pocket"
    dials: dict[str, float] = Field(
        default_factory=dict, description="of the simulated world, `PocketConfig`, by name"
    )
    arms: list[str] = Field(
        default_factory=list, description="names of arms in the study's order; none: all of them"
    )
    worlds: int | None = Field(None, ge=1, description="if not as many as the study has")


class Study(Config):
    """A declared set of runs.

    Every arm is trained once in each world of each part it is listed in; seed s draws world s, its
    negatives, LightGCN and the weights. Without a simulation a seed draws the weights alone.
    """

    name: str
    title: str = Field(description="what is asked, in one line")
    about: str = Field(description="what the evidence is for, in a few sentences")
    profile: str = "pocket"
    worlds: int = Field(5, ge=1, description="seeds 0, 1, … of each part")
    short_elsewhere: bool = Field(
        True,
        description="on other data: some seeds and options of the profile's ``studies``; if not, "
        "one seed and the profile's settings; its ``steps`` hold in both",
    )
    set: dict[str, Any] = Field(
        default_factory=dict, description="settings of every arm, under those of its own"
    )
    arms: dict[str, Arm]
    parts: dict[str, Part]

    @field_validator("arms")
    @classmethod
    def _some(cls, arms: dict[str, Arm]) -> dict[str, Arm]:
        if not arms:
            raise ValueError("a study needs an arm; give a name and its settings, {whole: {}}")
        return arms

    @model_validator(mode="after")
    def _known_arms(self) -> Study:
        if not self.parts:
            raise ValueError("a study needs a part; give a name and its data, {pocket: {}}")
        for name, part in self.parts.items():
            for arm in part.arms:
                if arm not in self.arms:
                    raise ValueError(f"part '{name}': {unknown('arm', arm, self.arms)}")
        return self

    def arms_of(self, part: str) -> dict[str, Arm]:
        """The arms of a part, in the study's order."""
        listed = self.parts[part].arms or [*self.arms]
        return {name: arm for name, arm in self.arms.items() if name in listed}

    def seeds_of(self, part: str) -> range:
        """The seeds of a part's worlds."""
        return range(self.parts[part].worlds or self.worlds)


def available_studies() -> list[str]:
    """Names of the studies that come with the package."""
    folder = resources.files(FOLDER)
    return sorted(
        p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml")
    )


def read_study(name: str | Study) -> Study:
    """Read a study's declaration by name; one of your own is taken as it is.

    Raises:
        ConfigError: no study of that name, a file that is no YAML mapping, or one with an unknown
            key, an unknown arm or a value out of range.
    """
    if isinstance(name, Study):
        return name
    if name not in available_studies():
        raise unknown("study", name, available_studies())
    path = resources.files(FOLDER) / f"{name}.yaml"
    where = f"study {name} ({path})"
    values = read_mapping(path, where, "title, about, arms and parts")
    return Study.parse({"name": name} | values, where=where)
