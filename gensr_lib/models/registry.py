"""Which models there are: a new one is one file in this room and one line here, or a path."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from ..config import Config
from ..data.dataset import Dataset
from ..data.schema import BEHAVIORS
from ..errors import ConfigError, unknown
from .base import RankingModel

# name: module in this package, class. A module is imported when its model is asked for.
MODELS = {
    "popularity": "anchors:Popularity",
    "category_count": "floors:CategoryCount",
    "item_knn": "floors:ItemKNN",
    "ease": "floors:EASE",
    "bm25": "search.lookup:BM25",
    "query_lookup": "search.lookup:QueryLookup",
    "lightgcn": "recommendation.lightgcn:LightGCN",
    "bert4rec": "recommendation.bert4rec:BERT4Rec",
    "collm": "recommendation.collm:CoLLM",
    "din": "recommendation.din:DIN",
    "fmlp": "recommendation.fmlp:FMLPRec",
    "gru4rec": "recommendation.gru4rec:GRU4Rec",
    "idgenrec": "recommendation.idgenrec:IDGenRec",
    "nrhub": "recommendation.nrhub:NRHUB",
    "sasrec": "recommendation.sasrec:SASRec",
    "seqrec": "recommendation.seqrec:SeqRec",
    "sesrec": "recommendation.sesrec:SESRec",
    "qem": "search.qem:QEM",
    "hem": "search.hem:HEM",
    "aem": "search.aem:AEM",
    "zam": "search.zam:ZAM",
    "tem": "search.tem:TEM",
    "copps": "search.copps:CoPPS",
    "jsr": "joint.jsr:JSR",
    "unifiedssr": "joint.unifiedssr:UnifiedSSR",
    "bsr": "joint.bsr:BSR",
    "gensar": "joint.gensar:GenSAR",
    "unisar": "joint.unisar:UniSAR",
    "user": "joint.user:USER",
    "gensr": "gensr.model:GenSR",
    "reader": "reader:Reader",
    "oracle": "anchors:Oracle",
}


class _Available(Mapping):
    """The registry as a mapping from names to classes, imported when looked up."""

    def __getitem__(self, name: str) -> type[RankingModel]:
        return model_class(name) if name in MODELS else {}[name]

    def __iter__(self) -> Iterator[str]:
        return iter(MODELS)

    def __len__(self) -> int:
        return len(MODELS)


def available_models() -> Mapping[str, type[RankingModel]]:
    """Every model of the library by name."""
    return _Available()


def model_class(model: str) -> type[RankingModel]:
    """The class of a model.

    Args:
        model: a name of `available_models`, or ``package.module:Class`` for a model of your own.

    Raises:
        ConfigError: no model of that name, a path that cannot be imported, or a class that breaks
            the contract of `RankingModel`; the message names the place.
    """
    if ":" in model:
        return _imported(model, model)
    if model not in MODELS:
        raise unknown("model", model, MODELS)
    found = _imported(f"{__package__}.{MODELS[model]}", f"'{model}' of {__name__}.MODELS")
    if found.name != model:
        raise ConfigError(
            f"{__name__}.MODELS lists '{model}', and the class there is '{found.name}'."
        )
    return found


def build_model(
    model: str, dataset: Dataset, options: Config | Mapping[str, Any] | None = None, **needs: Any
) -> RankingModel:
    """A fresh model for a data set.

    Args:
        model: as for `model_class`.
        options: of its ``Config``, as an object or by name; the defaults for what is not there.
        needs: what the class's ``needs`` name, such as ``language_model``.

    Raises:
        ConfigError: unknown model or option, something that the model needs is missing, or the
            data set has an `RankingModel.obstacle` for it.
    """
    cls = model_class(model)
    config = options
    if not isinstance(options, Config):
        config = cls.Config.parse(options, where=f"model {cls.name}")
    if missing := [need for need in cls.needs if need not in needs]:
        raise ConfigError(
            f"the model '{cls.name}' needs {', '.join(missing)}: pass it by keyword, or call "
            f"Workspace.build, which makes it."
        )
    if reason := cls.obstacle(dataset, config):
        raise ConfigError(f"the model '{cls.name}' cannot be made for {dataset.name}: {reason}.")
    return cls.from_dataset(dataset, config, **{need: needs[need] for need in cls.needs})


def _imported(path: str, said: str) -> type[RankingModel]:
    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"the model {said} cannot be imported from {module}: {error}. "
            f"Give package.module:Class of something that Python finds from here."
        ) from error
    if broken := _broken(found):
        raise ConfigError(f"the model {said} breaks the contract of RankingModel: {broken}.")
    return found


def _broken(cls: object) -> str:
    """What is wrong with a class as a model; '' if nothing is."""
    if not (inspect.isclass(cls) and issubclass(cls, RankingModel)):
        return "it is no subclass of gensr_lib.models.RankingModel"
    if cls.__abstractmethods__:
        return f"it does not define {', '.join(sorted(cls.__abstractmethods__))}"
    name = getattr(cls, "name", None)
    if not isinstance(name, str) or not name:
        return "its class attribute `name` is missing; give it a short text"
    own = f"{cls.__module__}:{cls.__qualname__}"
    if name in MODELS and own != f"{__package__}.{MODELS[name]}":
        return f"the name '{name}' is taken by {MODELS[name]}; choose another one"
    if not cls.tasks or not set(cls.tasks) <= set(BEHAVIORS):
        return f"its `tasks` are {set(cls.tasks)}; they must be some of {set(BEHAVIORS)}"
    if not (inspect.isclass(cls.Config) and issubclass(cls.Config, Config)):
        return "its `Config` is no subclass of gensr_lib.config.Config"
    return ""
