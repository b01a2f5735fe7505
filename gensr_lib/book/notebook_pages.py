"""Chapters made ready to be read as pages of the site.

In a notebook the code comes first, and what it shows below. On the page, code that only imports,
checks, shows or records is folded (one click opens it), and its figure or table becomes part of the
page, beside its caption, with an alternative text: no script and no other machine is needed to see
it. What a chapter found stands in a box at its beginning. The notebook itself is offered for
download as it is.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
from base64 import b64decode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import UnionType
from typing import Any

import yaml

from ..show.live_equations import directive
from ..show.saving import PHONE
from .html_tables import page_table

Cell = dict[str, Any]
OPTION = re.compile(r"^#\| .*\n?", re.MULTILINE)
HIDDEN, SHOWN = "hide-input", "show-input"  # a chapter's own tag SHOWN keeps a cell open
PICTURES = "pictures"  # folder beside the notebooks, in the copy
FOUND = "## What this chapter found"  # heading of a chapter's last section
NEXT = "**Next:**"  # what ends that section: a sentence on the chapter that follows
AHEAD = "**What follows**"  # the box with what was found stands before it
ASK = "book/widgets/ask/ask.mjs"  # the panel that asks GenSR
ASK_TAG = "panel-ask"  # of the cell with the form, in whose place a page has the panel


def prepare_notebook(path: Path, figures: Path, made: str = "") -> None:
    """Make the copy of an executed notebook into a page.

    Args:
        path: of the copy, which is changed; pictures are written beside it.
        figures: where the chapters have saved theirs: a labelled one that is there as a drawing
            (SVG) stands on the page as such, sharp at every size, and beside it the one for phones,
            of which the style shows one; others as in the notebook.
        made: the line on how its numbers were made, for the end of the page; '' for none.
    """
    notebook = json.loads(path.read_text(encoding="utf-8"))
    original = path.parent / "downloads" / path.name
    original.parent.mkdir(exist_ok=True)
    shutil.copy(path, original)
    notebook["metadata"].pop("jupytext", None)  # the builder reports it as unknown
    cells = [made for cell in notebook["cells"] for made in _page_cells(cell, path, figures)]
    cells = _found_first(cells)
    if made:
        cells.append(_prose(f":::{{div}}\n:class: made-with\n{made}\n:::"))
    path.write_text(json.dumps({**notebook, "cells": cells}), encoding="utf-8")


def cell_options(source: str) -> dict[str, Any]:
    """What the lines ``#| name: value`` of a cell say; empty where they are no YAML.

    >>> cell_options("#| label: fig:a\\n#| caption: 'A: b'\\nplot()")
    {'label': 'fig:a', 'caption': 'A: b'}
    """
    lines = [line[3:] for line in source.splitlines() if line.startswith("#| ")]
    try:
        found = yaml.safe_load("\n".join(lines))
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def saved_as(label: str) -> str:
    """The name of the file that a labelled figure or table is saved as.

    >>> saved_as("fig:08-figure-4")
    '08_figure_4'
    """
    return label.partition(":")[2].replace("-", "_")


def plain(markdown: str) -> str:
    """A text without its marks, as an alternative text or a description needs it.

    >>> plain("**Law** of [a page](x.md): $p_u$, `rec` as {cite:t}`he2020` says")
    'Law of a page: p_u, rec as he2020 says'
    """
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    return " ".join(re.sub(r"\{[\w:]+\}(?=`)|[`*$\\]", "", text).split())


def _page_cells(cell: Cell, path: Path, figures: Path) -> Iterator[Cell]:
    """The cell, folded if it only shows, then each figure and table of it as the page's own."""
    if cell["cell_type"] != "code":
        yield cell
        return
    source = "".join(cell["source"])
    if widget := _widget(cell, source):
        yield _prose(widget)
        return
    options = cell_options(source)
    kept, parts = [], []
    for output in cell["outputs"]:
        part = _shown(output, {} if parts else options, path, figures)  # a label names one thing
        (parts if part else kept).append(part or output)
    metadata = {**cell["metadata"], "tags": _tags(cell, source, bool(parts))}
    code = OPTION.sub("", source) if parts else source
    yield {**cell, "source": code, "outputs": kept, "metadata": metadata}
    yield from map(_prose, parts)


def _found_first(cells: list[Cell]) -> list[Cell]:
    """What the chapter found, as a box in its first cell; at its end the sentence on the next."""
    at = [n for n, cell in enumerate(cells) if _text(cell).startswith(FOUND)]
    if not at:
        return cells
    found, mark, after = _text(cells[at[0]]).removeprefix(FOUND).partition(NEXT)
    box = f":::{{tip}} {FOUND.removeprefix('## ')}\n{found.strip()}\n:::\n\n"
    start, ahead, rest = _text(cells[0]).partition(AHEAD)
    first = _prose(f"{start.rstrip()}\n\n{box}{ahead}{rest}")
    return [first, *cells[1 : at[0]], _prose(mark + after), *cells[at[0] + 1 :]]


def _text(cell: Cell) -> str:
    return "".join(cell["source"])


def _widget(cell: Cell, source: str) -> str:
    """The directive of what a page computes itself in a cell's place; '' for other cells."""
    if ASK_TAG in cell["metadata"].get("tags", []):
        return f":::{{anywidget}} /{ASK}\n{{}}\n:::"
    return directive(source)


def _tags(cell: Cell, source: str, shows: bool) -> list[str]:
    tags = list(cell["metadata"].get("tags", []))
    records = re.search(r"^(?:\w+ = )?book\.record\(", source, re.MULTILINE)
    labelled = shows and "#| label: " in source
    opens = "parameters" in tags or _only(source, ast.Import | ast.ImportFrom)
    checks = _only(source, ast.Assert)
    if SHOWN not in tags and (labelled or records or opens or checks):
        tags.append(HIDDEN)
    return tags


def _only(source: str, kind: type | UnionType) -> bool:
    """Statements of one kind, and the call that sets the style of the figures."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:  # a magic command
        return False
    others = [s for s in statements if not isinstance(s, kind)]
    return bool(statements) and all(ast.unparse(s) == "plots.use_style()" for s in others)


def _shown(output: Cell, options: dict[str, Any], path: Path, figures: Path) -> str:
    """A figure, table or text in MyST; '' for other outputs, which stay those of the cell."""
    data = output.get("data", {})
    if "image/png" in data:
        drawing = figures / f"{saved_as(options.get('label', ''))}.svg"
        if not drawing.is_file():
            return _figure(_written(b64decode("".join(data["image/png"])), "png", path), options)
        phone = drawing.with_stem(drawing.stem + PHONE)
        small = _written(phone.read_bytes(), "svg", path) if phone.is_file() else ""
        return _figure(_written(drawing.read_bytes(), "svg", path), options, small)
    if "text/markdown" in data:  # such as code of the library
        return "".join(data["text/markdown"])
    table = page_table("".join(data.get("text/html", "")))
    if not table or "label" not in options:
        return table
    return f":::{{table}} {options.get('caption', '')}\n:label: {options['label']}\n{table}\n:::"


def _written(picture: bytes, kind: str, path: Path) -> str:
    """Where a picture lies, beside the page."""
    name = f"{PICTURES}/{path.stem}-{sha256(picture).hexdigest()[:8]}.{kind}"
    (path.parent / PICTURES).mkdir(exist_ok=True)
    (path.parent / name).write_bytes(picture)
    return name


def _figure(picture: str, options: dict[str, Any], small: str = "") -> str:
    """A figure with its alternative text; where there is one for phones, that before it."""
    caption = options.get("caption", "")
    alt = f":alt: {plain(caption)}"
    lines = [f":::{{image}} {small}", ":class: small", alt, ":::", ""] if small else []
    look = "plot large" if small else "plot"
    lines += [f":::{{figure}} {picture}", f":class: {look}", alt]
    lines += [f":label: {options['label']}"] if "label" in options else []
    return "\n".join([*lines, "", caption, ":::"])


def _prose(text: str) -> Cell:
    return {"cell_type": "markdown", "metadata": {}, "source": text}
