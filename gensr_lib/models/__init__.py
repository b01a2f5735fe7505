"""The models of the book; `available_models` names them."""

from __future__ import annotations

from ..config import ModelSettings
from ..errors import unknown
from .base import Oracle, Popularity, RankingModel
from .gensr.model import GenSR
from .joint.unisar import UniSAR
from .recommendation.lightgcn import LightGCN

_MODELS: tuple[type[RankingModel], ...] = (Popularity, LightGCN, UniSAR, GenSR, Oracle)


def available_models() -> dict[str, type[RankingModel]]:
    """Every model of the library by name."""
    return {model.name: model for model in _MODELS}


def model_class(name: str) -> type[RankingModel]:
    """The class of a model.

    Raises:
        ConfigError: no model of that name.
    """
    if name not in available_models():
        raise unknown("model", name, available_models())
    return available_models()[name]


def build_model(name: str, dataset, settings: ModelSettings | None = None, **artefacts) -> RankingModel:
    """A fresh model for a data set; ``settings.model`` holds its options.

    Raises:
        ConfigError: unknown model, unknown option, or an artefact that the model needs is missing.
    """
    cls = model_class(name)
    config = cls.Config.parse((settings or ModelSettings()).model, where=f"model {name}")
    return cls.from_dataset(dataset, config, **{need: artefacts[need] for need in cls.needs})


__all__ = [
    "GenSR",
    "LightGCN",
    "Oracle",
    "Popularity",
    "RankingModel",
    "UniSAR",
    "available_models",
    "build_model",
    "model_class",
]
