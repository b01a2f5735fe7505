"""The contract of every model: what a system writes, and what others may know of it.

A model gives ``loss(batch)``, a dict of scalar terms whose sum weighted by ``loss_weights`` is
trained, and ``score(batch)``, float32 logits (B, C), higher is better. Only ``loss`` may rely on
the positive standing in column 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..config import Config
from ..data.batches import Batch
from ..data.dataset import Dataset
from ..data.schema import BEHAVIORS
from ..errors import ConfigError
from .saving import load_weights, read_config, save_weights, write_config
from .stages import Stages


@dataclass(frozen=True)
class Representation:
    """What a model makes of each row and candidate of a batch, for chapters 6 and 7.

    Attributes:
        input: (B, C, d_x) the vectors that enter the part that answers, laid end to end.
        hidden: (B, C, d_h) states by name, from the shared ``encoder`` to the ``head`` that the
            score is read from.
        score: (B, C) as `RankingModel.score` gives it: the log-odds of a click.
    """

    input: Tensor
    hidden: dict[str, Tensor]
    score: Tensor


class RankingModel(nn.Module, ABC):
    """Base of all models: a system writes ``__init__``, ``from_dataset``, ``loss`` and ``score``.

    A rule that nobody trains needs no ``loss``, and without sizes no ``from_dataset``. The rest are
    traits with defaults; `obstacle` is for models that not all data allow. Nothing outside of
    `gensr_lib.models` asks for a model by its name or class: what must be known of it stands here.

    Class attributes:
        name: in tables and folders.
        tasks: which of ``rec`` and ``src`` it serves.
        family: whose defaults of a profile it gets, see ``families`` in the YAML.
        Config: its options.
        needs: what `from_dataset` takes beside the data set, by keyword: names of models, each
            given trained, or ``language_model``.
        serves_new_users: whether it can score a user whom it was not trained on.
        user_table: name of an embedding by user, whose mean then stands for a new user.
        prompts: texts that a language model made on the spot should read as whole tokens.
        prompt_slots: names of the soft slots of its prompt; its score is then the logit of P(Yes).
        reads_event: whether a batch must name the row of the answer: an oracle's business only.
        saved: whether its weights are kept on disk.
        tiny: options that make it small enough for the contract tests.
        unreached: how the names of parameters begin that no loss can reach.
        task_term: the term of `loss` that asks for the click, and no auxiliary one; may be left
            out where there is one term.

    Attributes:
        stages: of a model that is trained in stages, which one it is in.
    """

    name: ClassVar[str]
    tasks: ClassVar[frozenset[str]] = frozenset(BEHAVIORS)
    family: ClassVar[str] = "baseline"
    Config: ClassVar[type[Config]] = Config
    needs: ClassVar[tuple[str, ...]] = ()
    serves_new_users: ClassVar[bool] = True
    user_table: ClassVar[str | None] = None
    prompts: ClassVar[tuple[str, ...]] = ()
    prompt_slots: ClassVar[tuple[str, ...]] = ()
    reads_event: ClassVar[bool] = False
    saved: ClassVar[bool] = True
    tiny: ClassVar[dict[str, Any]] = {}
    unreached: ClassVar[tuple[str, ...]] = ()
    task_term: ClassVar[str | None] = None

    def __init__(self, config: Config, **sizes: int | str | Tensor):
        """Keep the options, and what else the constructor was given.

        Args:
            sizes: the subclass's own arguments by name, so that `from_pretrained` can call it
                again: plain values as they are, of a tensor its shape and type (it holds weights).
        """
        super().__init__()
        self.stages: Stages | None = None
        self.config = config
        self.sizes = {name: _described(value) for name, value in sizes.items()}

    @classmethod
    def check(cls, config: Config, needs: Mapping[str, Config]) -> None:
        """Raise ConfigError if options do not go with those of what the model is built on.

        Args:
            needs: the options behind each of the class's ``needs``; nothing is built yet.
        """

    @classmethod
    def obstacle(cls, dataset: Dataset, config: Config) -> str:
        """Why the model cannot be made for a data set, as the end of a sentence; '' if it can."""
        return ""

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: Config, **needs: Any) -> RankingModel:
        """A fresh model sized for a data set."""
        return cls(config)

    @classmethod
    def learns(cls) -> bool:
        """Whether it learns by steps: it has a `loss` of its own."""
        return cls.loss is not RankingModel.loss

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalar loss terms of a batch whose column 0 holds the positives; none: not trained."""
        return {}

    @abstractmethod
    def score(self, batch: Batch) -> Tensor:
        """Logits (B, C) in float32."""

    @property
    def loss_weights(self) -> dict[str, float]:
        """Weight of each term of `loss` in what is trained; a term not named here counts 1."""
        return {}

    @property
    def device(self) -> torch.device:
        """Where its tensors are; the CPU if it has none."""
        tensors = [*self.parameters(), *self.buffers()]
        return tensors[0].device if tensors else torch.device("cpu")

    @property
    def trained_parameters(self) -> int:
        """How many numbers training changes."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    def score_in_chunks(self, batch: Batch, size: int) -> Tensor:
        """`score`, ``size`` candidates at a time, for lists as long as a catalogue."""
        parts = [self.score(batch.with_candidates(some)) for some in batch.cand.split(size, dim=1)]
        return torch.cat(parts, dim=1)

    def represent(self, batch: Batch) -> Representation:
        """The vectors behind the scores of a batch.

        Raises:
            ConfigError: the model has none.
        """
        raise ConfigError(
            f"the model '{self.name}' has no hidden states to look at; gensr has some."
        )

    # --- on disk -----------------------------------------------------------------------------

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors``; shared tensors are stored once."""
        folder = Path(folder)
        write_config(folder, self.name, self.config, self.sizes)
        save_weights(self, folder)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> RankingModel:
        """Load what `save_pretrained` wrote, in eval mode.

        Raises:
            ConfigError: no model there, one of another class, or weights of another configuration.
        """
        config, sizes = read_config(Path(folder), cls.name, cls.Config)
        model = cls.from_sizes(config, Path(folder), **sizes)
        load_weights(model, Path(folder))
        return model.eval()

    @classmethod
    def from_sizes(cls, config: Config, folder: Path, **sizes: Any) -> RankingModel:
        """An untrained model of the saved shape; a subclass may need more from ``folder``."""
        return cls(config, **{name: _empty(size) for name, size in sizes.items()})


def _described(value: int | str | Tensor) -> Any:
    if isinstance(value, Tensor):
        return {"shape": list(value.shape), "dtype": str(value.dtype).removeprefix("torch.")}
    return value


def _empty(size: Any) -> Any:
    if isinstance(size, dict):
        return torch.zeros(size["shape"], dtype=getattr(torch, size["dtype"]))
    return size
