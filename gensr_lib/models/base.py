"""The contract of every model, and the two models that need no training: popularity and the oracle.

A model gives ``loss(batch)``, a dict of scalar terms whose sum weighted by ``loss_weights`` is
trained, and ``score(batch)``, float32 logits (B, C), higher is better. Only ``loss`` may rely on
the positive standing in column 0.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..config import Config
from ..data.batches import Batch
from ..data.dataset import Dataset
from ..data.schema import BEHAVIORS, REC, SRC
from ..errors import ConfigError
from ..files import write_atomically

WEIGHTS, CONFIG = "model.safetensors", "config.json"


@dataclass(frozen=True)
class Representation:
    """What a model makes of each row and candidate of a batch, for the analyses of chapters 6 and 7.

    Attributes:
        input: (B, C, d_x) the vectors that enter the part that answers, laid end to end.
        hidden: (B, C, d_h) states by name, from the shared ``encoder`` to the ``head`` that the score is read from.
        score: (B, C) as `RankingModel.score` gives it: the log-odds of a click.
    """

    input: Tensor
    hidden: dict[str, Tensor]
    score: Tensor


class RankingModel(nn.Module):
    """Base of all models.

    Class attributes:
        name: as in `available_models`.
        tasks: which of ``rec`` and ``src`` it serves.
        Config: its options.
        needs: artefacts that `from_dataset` takes beside the data set, by keyword.
    """

    name: ClassVar[str]
    tasks: ClassVar[frozenset[str]] = frozenset(BEHAVIORS)
    Config: ClassVar[type[Config]] = Config
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: Config):
        super().__init__()
        self.config = config

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: Config, **artefacts) -> RankingModel:
        """A fresh model sized for a data set."""
        raise NotImplementedError

    @property
    def loss_weights(self) -> dict[str, float]:
        """Weight of each term of `loss` in what is trained; a term not named here counts 1."""
        return {}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalar loss terms of a batch whose column 0 holds the positives."""
        raise NotImplementedError

    def score(self, batch: Batch) -> Tensor:
        """Logits (B, C) in float32."""
        raise NotImplementedError

    def represent(self, batch: Batch) -> Representation:
        """The vectors behind the scores of a batch.

        Raises:
            ConfigError: the model has none.
        """
        raise ConfigError(f"the model '{self.name}' has no hidden states to look at; use one that has, such as gensr.")

    # --- on disk -----------------------------------------------------------------------------

    def sizes(self) -> dict[str, int]:
        """What the constructor needs beside the configuration to rebuild an equal model."""
        return {}

    @classmethod
    def from_sizes(cls, config: Config, folder: Path, **sizes) -> RankingModel:
        """Rebuild an untrained model of the same shape; weights are loaded afterwards."""
        return cls(config, **sizes)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors``; shared tensors are stored once."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        meta = {"model": self.name, "config": self.config.model_dump(mode="json"), "sizes": self.sizes()}
        write_atomically(folder / CONFIG, lambda p: p.write_text(json.dumps(meta, indent=2) + "\n"))
        state = unshared(self.state_dict())
        write_atomically(folder / WEIGHTS, lambda p: save_file(state, p))

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> RankingModel:
        """Load what `save_pretrained` wrote, in eval mode.

        Raises:
            ConfigError: no model there, one of another class, or weights of another configuration.
        """
        folder = Path(folder)
        if not (folder / CONFIG).exists() or not (folder / WEIGHTS).exists():
            raise ConfigError(f"{folder}: no saved model ({CONFIG} and {WEIGHTS}) here.")
        meta = json.loads((folder / CONFIG).read_text())
        if meta.get("model") != cls.name:
            raise ConfigError(f"{folder}: holds a '{meta.get('model')}' model, not '{cls.name}'.")
        model = cls.from_sizes(cls.Config.parse(meta["config"], str(folder / CONFIG)), folder, **meta["sizes"])
        load_weights(model, folder / WEIGHTS)
        return model.eval()


def unshared(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict in which each storage occurs once (safetensors refuses tied tensors)."""
    seen: set[tuple] = set()
    kept = {}
    for name, tensor in state.items():
        key = (tensor.data_ptr(), tensor.shape, tensor.stride()) if tensor.numel() else (name,)
        if key not in seen:
            seen.add(key)
            kept[name] = tensor.detach().contiguous()
    return kept


def load_weights(model: nn.Module, path: Path) -> None:
    """Load safetensors weights; tied tensors follow the one that is stored.

    Raises:
        ConfigError: the file is damaged, or belongs to another configuration.
    """
    try:
        state = load_file(path)
    except Exception as error:  # safetensors raises its own untyped error class
        raise ConfigError(f"{path}: not a readable safetensors file ({error}); delete it and train again.") from None
    _untie(model, state)
    own = model.state_dict()
    stored_only = sorted(set(state) - set(own))
    missing = sorted(set(unshared(own)) - set(state))
    shapes = [k for k in state if k in own and state[k].shape != own[k].shape]
    if stored_only or missing or shapes:
        first = (shapes or missing or stored_only)[0]
        raise ConfigError(
            f"{path}: this checkpoint is of another configuration ('{first}' differs); "
            f"use the configuration it was trained with or train again."
        )
    model.load_state_dict(state, strict=False)


def _untie(model: nn.Module, stored: dict[str, Tensor]) -> None:
    """Give tensors that the model ties but the file holds apart (the head of flan-t5) storages of their own.

    Without this the head would silently overwrite the embeddings, or the other way round.
    """
    seen: set[int] = set()
    for name, tensor in model.state_dict().items():
        if name in stored and tensor.numel() and tensor.data_ptr() in seen:
            owner, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(owner), leaf, nn.Parameter(tensor.clone()))
        elif name in stored:
            seen.add(tensor.data_ptr())


class PopularityConfig(Config):
    """Popularity has no options."""


class Popularity(RankingModel):
    """Ranks by the number of training clicks under the same behavior: the anchor every system must beat."""

    name = "popularity"
    Config = PopularityConfig

    def __init__(self, config: Config, n_items: int):
        super().__init__(config)
        self.register_buffer("clicks", torch.zeros(2, n_items + 1))  # row 0 rec, row 1 src

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: Config | None = None) -> Popularity:
        """Count the clicks of the training part."""
        model = cls(config or PopularityConfig(), dataset.n_items)
        for row, task in enumerate(BEHAVIORS):
            items = dataset.item[dataset.rows["train"][task].event]
            model.clicks[row] = torch.from_numpy(np.bincount(items, minlength=dataset.n_items + 1)).float()
        return model

    def sizes(self) -> dict[str, int]:
        """The number of items."""
        return {"n_items": self.clicks.shape[1] - 1}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Nothing is trained."""
        return {}

    def score(self, batch: Batch) -> Tensor:
        """Clicks of each candidate."""
        return self.clicks[BEHAVIORS.index(batch.task)][batch.cand]


class OracleConfig(Config):
    """The oracle has no options."""


class Oracle(RankingModel):
    """Ranks by the true click law of a simulated world: no system can be better on average."""

    name = "oracle"
    Config = OracleConfig

    def __init__(self, config: Config, dataset: Dataset):
        super().__init__(config)
        self.dataset = dataset
        self.item = np.r_[0, dataset.truth.item_index(dataset.item_ids[1:])]  # ours -> the simulation's

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: Config | None = None) -> Oracle:
        """Raises ConfigError unless the data set is simulated."""
        if dataset.truth is None:
            raise ConfigError(f"the oracle needs a simulated world with a known click law; '{dataset.name}' has none.")
        return cls(config or OracleConfig(), dataset)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Nothing is trained."""
        return {}

    def score(self, batch: Batch) -> Tensor:
        """log P(click | user's state, item, query), known by construction."""
        at = self.dataset.events.iloc[batch.event.cpu().numpy()]
        rows = self.dataset.truth.rows(at["user_id"].to_numpy(), at["time"].to_numpy(), at["behavior"].to_numpy())
        log_prob = self.dataset.truth.log_prob(rows, self.item[batch.cand.cpu().numpy()])
        return torch.from_numpy(np.asarray(log_prob, dtype=np.float32)).to(batch.cand.device)


__all__ = ["REC", "SRC", "Oracle", "Popularity", "RankingModel", "Representation", "load_weights", "unshared"]
