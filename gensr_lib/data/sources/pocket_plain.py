"""The plain pocket world, all dials at zero: the negative control beside `pocket`."""

from __future__ import annotations

from ..pocket.world import simulate
from .source import Kind

SOURCE = Kind(
    read=lambda path, profile, seed: simulate(profile.pocket.plain(), seed),
    example=lambda folder: "pocket-plain",
    about="the same with every dial at zero",
)
