"""The pocket world as a data source: simulated on the spot, so there are no files."""

from __future__ import annotations

from ..pocket.world import simulate
from .source import Kind

SOURCE = Kind(
    read=lambda path, profile, seed: simulate(profile.pocket, seed),
    example=lambda folder: "pocket",
    about="a simulated platform whose click law is known",
)
