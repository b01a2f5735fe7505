"""The gate of the panel that asks GenSR in a page: its files are whole, of the book's data, linked.

The panel finds its files through the page's links to them, which MyST copies and names.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .notebook_pages import ASK, ASK_TAG
from .status import status_rows

COPIED = re.compile(r"/ask-[0-9a-f]{32}\.mjs$")  # how MyST names the copy of it
FILES = MODEL, WEIGHTS = "model.json", "weights.bin"
FOLDER = "book/ask"
CHAPTER = "11_explore"  # writes them
ANEW = f"write it anew: python -m gensr_lib book run --only {CHAPTER} --force"


def file_faults(root: Path, pages: Iterable[Path]) -> list[str]:
    """What is wrong with the panel's files, if any of the pages has the panel."""
    texts = [page.read_text(encoding="utf-8") for page in pages]
    if not any(sign in text for text in texts for sign in (ASK, f'"{ASK_TAG}"')):
        return []
    folder = root / FOLDER
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        return [f"{FOLDER}/{name}: is missing; {ANEW}" for name in missing]
    try:
        model = json.loads((folder / MODEL).read_text(encoding="utf-8"))
        expected = (model["weights"]["bytes"], model["weights"]["crc32"])
        data = model["provenance"]["dataset_hash"]
    except (ValueError, LookupError, TypeError) as error:
        return [f"{FOLDER}/{MODEL}: is damaged ({type(error).__name__}: {error}); {ANEW}"]
    weights = (folder / WEIGHTS).read_bytes()
    if (len(weights), zlib.crc32(weights)) != expected:
        return [f"{FOLDER}/{WEIGHTS}: is not that of {MODEL}; {ANEW}"]
    shown = status_rows(root).get(CHAPTER, {}).get("data hash", "")
    if not data.startswith(shown):
        return [f"{FOLDER}/{MODEL}: is of data {data[:8]}, and {CHAPTER} of {shown}; {ANEW}"]
    return []


def link_faults(nodes: list[dict[str, Any]]) -> list[str]:
    """The files of the panel that a built page has the panel of, and no link to."""
    modules = [node.get("esm", "") for node in nodes if node["type"] == "anywidget"]
    has_panel = any(COPIED.search(module) for module in modules)
    linked = {Path(node.get("urlSource", "")).name for node in nodes if node["type"] == "link"}
    missing = [name for name in FILES if has_panel and name not in linked]
    return [f"has the panel that asks GenSR and no link to {FOLDER}/{name}" for name in missing]
