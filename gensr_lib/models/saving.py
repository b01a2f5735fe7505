"""Models on disk: ``config.json`` (options and sizes) and ``model.safetensors`` (weights)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..config import Config
from ..errors import ConfigError
from ..files import write_atomically

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """All parameters and persistent buffers by name; tied ones once (safetensors refuses them)."""
    stored = model.state_dict()
    once = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: once[name].detach().contiguous() for name in stored if name in once}


def write_config(folder: Path, name: str, config: Config, sizes: dict[str, Any]) -> None:
    """Write what is needed to build an equal model, without its weights."""
    content = {"model": name, "config": config.model_dump(mode="json"), "sizes": sizes}
    text = json.dumps(content, indent=2) + "\n"
    write_atomically(folder / CONFIG, lambda part: part.write_text(text))


def read_config(folder: Path, name: str, kind: type[Config]) -> tuple[Config, dict[str, Any]]:
    """The options and sizes of a saved model.

    Raises:
        ConfigError: no model there, one of another class, or options that it does not know.
    """
    path = folder / CONFIG
    if not path.exists() or not (folder / WEIGHTS).exists():
        raise ConfigError(f"{folder}: no saved model ({CONFIG} and {WEIGHTS}) here.")
    content = json.loads(path.read_text())
    if content.get("model") != name:
        raise ConfigError(f"{folder}: holds a '{content.get('model')}' model, not '{name}'.")
    return kind.parse(content["config"], str(path)), content["sizes"]


def save_weights(model: nn.Module, folder: Path) -> None:
    """Write the weights of a model into a folder."""
    write_atomically(folder / WEIGHTS, lambda part: save_file(weights_of(model), part))


def load_weights(model: nn.Module, path: Path) -> None:
    """Load safetensors weights from a file, or from `WEIGHTS` in a folder; tied tensors follow.

    Raises:
        ConfigError: the file is damaged, or belongs to another configuration.
    """
    path = path / WEIGHTS if path.is_dir() else path
    try:
        stored = load_file(path)
    except Exception as error:  # safetensors raises its own untyped error class
        raise ConfigError(
            f"{path}: not a readable safetensors file ({error}); delete it and train again."
        ) from None
    _untie(model, stored)
    own = model.state_dict()
    shapes = [name for name in stored if name in own and stored[name].shape != own[name].shape]
    missing = sorted(set(weights_of(model)) - set(stored))
    unknown = sorted(set(stored) - set(own))
    if different := [*shapes, *missing, *unknown]:
        raise ConfigError(
            f"{path}: this checkpoint is of another configuration ('{different[0]}' differs); "
            f"use the configuration it was trained with or train again."
        )
    model.load_state_dict(stored, strict=False)


def _untie(model: nn.Module, stored: dict[str, Tensor]) -> None:
    """Give tensors that the model ties but the file holds apart storages of their own.

    transformers builds a T5 with a tied head whatever its configuration says; without this the head
    would silently overwrite the embeddings, or the other way round.
    """
    seen: set[int] = set()
    for name, tensor in model.state_dict().items():
        if name in stored and tensor.numel() and tensor.data_ptr() in seen:
            owner, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(owner), leaf, nn.Parameter(tensor.clone()))
        elif name in stored:
            seen.add(tensor.data_ptr())
