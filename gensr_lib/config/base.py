"""The base of every configuration, its errors, and short hashes of configurations."""

from __future__ import annotations

import hashlib
import json
from importlib.resources.abc import Traversable
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import ConfigError, unknown


class Config(BaseModel):
    """Base of every configuration: frozen, no unknown keys, nothing infinite, errors as
    `ConfigError`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, values: dict[str, Any] | None = None, where: str = "") -> Config:
        """Build from a plain dict; raise `ConfigError` naming the option at fault."""
        try:
            return cls.model_validate(values or {})
        except ValidationError as error:
            raise ConfigError(_explain(error, cls, where or cls.__name__)) from None

    def replace(self, **changes: Any) -> Config:
        """A validated copy with some options changed; what was left to its default stays so."""
        return type(self).parse({**self.model_dump(exclude_unset=True), **changes})

    def identity(self) -> dict[str, Any]:
        """All options as plain values, but for the `later` ones that are at their default: what
        hashes are made of.
        """
        plain = self.model_dump(mode="json")
        for name, info in type(self).model_fields.items():
            value = getattr(self, name)
            if isinstance(value, Config):
                plain[name] = value.identity()
            elif (info.json_schema_extra or {}).get("later") and value == info.default:
                del plain[name]
        return plain


def later(default: Any, **info: Any) -> Any:
    """A `Field` that came after runs had been stored: at its default it changes no hash."""
    return Field(default, json_schema_extra={"later": True}, **info)


def read_mapping(path: Traversable, where: str, example: str) -> dict[str, Any]:
    """The mapping in a YAML file.

    Args:
        where: what errors call it.
        example: what it should hold.

    Raises:
        ConfigError: it is no YAML, or no mapping.
    """
    try:
        values = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: this is no YAML: {error}; mend that line") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: it must hold {example}, and holds {str(values)[:60]!r}")
    return values


def digest(*values: Any) -> str:
    """Short SHA-256 of plain values and configurations, the same on every machine.

    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    plain = [v.identity() if isinstance(v, Config) else v for v in values]
    text = json.dumps(plain, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _explain(error: ValidationError, cls: type[BaseModel], where: str) -> str:
    lines = []
    for detail in error.errors():
        option = ".".join(map(str, detail["loc"]))
        if detail["type"] == "extra_forbidden":
            lines.append(str(unknown("option", option, _options(cls))))
        else:
            lines.append(f"option '{option}': {detail['msg']}, got {detail['input']!r}")
    return f"{where}: " + "; ".join(lines)


def _options(cls: type[BaseModel], prefix: str = "") -> list[str]:
    names = []
    for name, info in cls.model_fields.items():
        nested = info.annotation
        is_config = isinstance(nested, type) and issubclass(nested, BaseModel)
        names += _options(nested, f"{prefix}{name}.") if is_config else [prefix + name]
    return names
