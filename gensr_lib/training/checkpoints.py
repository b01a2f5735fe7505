"""Checkpoints: a killed run goes on from the last whole one, and ends with the same numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..errors import ConfigError
from ..files import read_json, read_or_refuse, write_atomically, write_json
from ..models.saving import load_weights, weights_of

POINTER = "checkpoint.json"  # names the files of the last whole checkpoint; written last, by rename


@dataclass
class Checkpoints:
    """The checkpoints of one run; of them all, only the last one is kept.

    Attributes:
        folder: where they lie; None keeps nothing.
        hash: of everything that decides the run: a checkpoint of another one is refused.
        processes: how many train it together; one of another number is refused by name.
    """

    folder: Path | None
    hash: str
    processes: int = 1

    def save(
        self,
        step: int,
        model: nn.Module,
        best: dict[str, Tensor],
        optimizer: torch.optim.Optimizer,
        state: dict[str, Any],
    ) -> None:
        """Write all files under names of this step, then point at them; older ones go last."""
        if self.folder is None:
            return
        files = {
            "weights": f"weights-{step}.safetensors",
            "best": f"best-{step}.safetensors",
            "optimizer": f"optimizer-{step}",
        }
        place = {part: self.folder / name for part, name in files.items()}
        write_atomically(place["weights"], lambda part: save_file(weights_of(model), part))
        write_atomically(place["best"], lambda part: save_file(best, part))
        write_atomically(place["optimizer"], lambda part: torch.save(optimizer.state_dict(), part))
        # The pointer is last: until it is renamed into place, the older checkpoint is valid.
        pointer = {"hash": self.hash, "processes": self.processes, "files": files, "state": state}
        write_json(self.folder / POINTER, pointer)
        for path in self.folder.iterdir():
            part = path.name.removeprefix(".").split("-")[0]  # a dot: half written when killed
            if part in files and path.name not in files.values():
                path.unlink()

    def restore(
        self, model: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Give model and optimizer what the last checkpoint holds; best weights and state, if any.

        Raises:
            ConfigError: it belongs to another configuration or another number of processes, or a
                file of it is damaged.
        """
        if self.folder is None or not (self.folder / POINTER).exists():
            return None
        pointer = read_json(self.folder / POINTER)
        began = pointer.get("processes", self.processes)
        if began != self.processes:
            raise ConfigError(
                f"{self.folder}: {began} processes began this training and {self.processes} cannot "
                f"go on with it, as each draws numbers of its own; start {began} again, or delete "
                f"the folder to train anew."
            )
        if pointer["hash"] != self.hash:
            raise ConfigError(
                f"{self.folder}: the checkpoint here was made with another configuration, data set "
                f"or seed; delete the folder, or run with the configuration it was made with."
            )
        place = {part: self.folder / name for part, name in pointer["files"].items()}
        read_or_refuse(place["weights"], lambda path: load_weights(model, path))
        best = read_or_refuse(place["best"], load_file)
        # weights_only: a checkpoint is data, and must not be able to run code.
        restored = read_or_refuse(
            place["optimizer"], lambda path: torch.load(path, weights_only=True)
        )
        optimizer.load_state_dict(restored)
        return best, pointer["state"]
