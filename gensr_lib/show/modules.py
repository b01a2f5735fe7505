"""JavaScript modules as one file each: pages and notebooks load them where nothing lies beside."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import ConfigError

IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.-]+\.mjs)";\n', re.MULTILINE)
OTHER = re.compile(r"^(?:import\b|export\s*[{*].*\bfrom\b).*", re.MULTILINE)


def bundled(path: Path) -> str:
    """A module with what it imports from its neighbours, and they from theirs, in front of it.

    Names are shared by all: two modules must not define the same one.

    Raises:
        ConfigError: it imports from elsewhere, in another form, or from a file that is missing.
    """
    found: dict[Path, str] = {}
    _collect(path, found)
    *parts, last = found.values()
    return "\n".join([*(re.sub(r"^export ", "", part, flags=re.MULTILINE) for part in parts), last])


def _collect(path: Path, found: dict[Path, str]) -> None:
    """Add a module's text to ``found`` behind those that it needs, each once."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        raise ConfigError(f"{path}: no such module; a module beside it imports it") from None
    for name in IMPORT.findall(text):
        if path.with_name(name) not in found:
            _collect(path.with_name(name), found)
    text = IMPORT.sub("", text)
    if other := OTHER.search(text):
        raise ConfigError(
            f"{path}: '{other[0]}' cannot be put into one file; write import {{ a, b }} from "
            f'"./neighbour.mjs";'
        )
    found[path] = text
