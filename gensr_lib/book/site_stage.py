"""What the site is built from: a copy of the book made ready for the builder."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError
from .api_pages import write_api_pages
from .modules import ASK, ASK_DIRECTIVE, ASK_TAG, bundled
from .status import PAGE as STATUS

INPUTS = ("references.bib", "index.md", "README.md", "paper_versus_code.md", "book", "notebooks")
CAPTION = re.compile(r"^#\| (caption: .*)$", re.MULTILINE)


def stage(root: Path, folder: Path) -> None:
    """Copy what the site is made of to ``folder``, and make there what is not committed.

    That is the reference of the library, where a library lies in ``root``. Where the environment
    variable GITHUB_REPOSITORY (``owner/name``; GitHub's runners set it) is there, the copy's
    configuration names the repository, which gives the site its Binder, source and edit buttons.
    """
    for name in INPUTS:
        if (root / name).is_dir():
            ignore = shutil.ignore_patterns("*.py", ".*")
            shutil.copytree(root / name, folder / name, ignore=ignore)
        elif (root / name).exists():
            shutil.copy(root / name, folder / name)
    if (panel := folder / ASK).exists():
        panel.write_text(bundled(panel), encoding="utf-8")
    for path in folder.glob("notebooks/*.ipynb"):
        _prepare_notebook(path, made_with(folder, path.stem))
    config = with_repository(read_config(root), os.environ.get("GITHUB_REPOSITORY", ""))
    if (root / "gensr_lib").is_dir():
        config["project"]["toc"] += write_api_pages(root, folder)
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    (folder / "myst.yml").write_text(text, encoding="utf-8")


def with_repository(config: dict[str, Any], repository: str) -> dict[str, Any]:
    """The configuration with the repository named; unchanged if there is none.

    >>> with_repository({"project": {}}, "me/book")["project"]["jupyter"]
    {'binder': {'repo': 'me/book'}}
    """
    if not repository:
        return config
    named = {
        "github": f"https://github.com/{repository}",
        "jupyter": {"binder": {"repo": repository}},
    }
    return {**config, "project": {**config["project"], **named}}


def read_config(root: Path) -> dict[str, Any]:
    """``myst.yml`` as plain values.

    Raises:
        ConfigError: it is not there, not YAML, or has no table of contents.
    """
    path = root / "myst.yml"
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        toc_files(config["project"]["toc"])
    except OSError:
        raise ConfigError(f"no myst.yml in {root}: run this from the book's root") from None
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        message = f"{path}: no table of contents (project, toc) can be read from it: {error}"
        raise ConfigError(message) from None
    return config


def toc_files(entries: list[dict[str, Any]]) -> list[str]:
    """The files of a table of contents, in order, those of nested entries too.

    >>> toc_files([{"file": "a.md"}, {"title": "Part", "children": [{"file": "b.md"}]}])
    ['a.md', 'b.md']
    """
    found = []
    for entry in entries:
        found += [entry["file"]] if "file" in entry else []
        found += toc_files(entry.get("children", []))
    return found


def made_with(root: Path, chapter: str) -> str:
    """Which run made a chapter's tables and figures; '' if the status page does not say."""
    made = "{chapter}: {data set}, profile {profile}, seed {seed}, data {data hash}"
    row = status_row(root, chapter)
    return made.format_map(row) if row else ""


def status_row(root: Path, chapter: str) -> dict[str, str]:
    """What the status page says of a chapter, by column; nothing if it does not know it."""
    path = root / STATUS
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    known = {cells[0]: cells for cells in rows}
    return dict(zip(known["chapter"], known[chapter], strict=True)) if chapter in known else {}


def _prepare_notebook(path: Path, made: str) -> None:
    """Say under each table and figure which run made it, put the panel into its place, and drop
    jupytext's own settings, which the builder reports as unknown keys."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["metadata"].pop("jupytext", None)
    notebook["cells"] = [_on_page(cell) for cell in notebook["cells"]]
    for cell in notebook["cells"]:
        if made and cell["cell_type"] == "code":
            source = "".join(cell["source"])
            cell["source"] = CAPTION.sub(lambda match: _caption(match, made), source)
    path.write_text(json.dumps(notebook), encoding="utf-8")


def _on_page(cell: dict[str, Any]) -> dict[str, Any]:
    """What a page has in a cell's place: of a form that asks a live model, the panel."""
    if ASK_TAG not in cell["metadata"].get("tags", []):
        return cell
    return {"cell_type": "markdown", "id": ASK_TAG, "metadata": {}, "source": ASK_DIRECTIVE}


def _caption(match: re.Match, made: str) -> str:
    """Say which run made it, and that a table is one: the builder counts all others as figures."""
    try:
        text = yaml.safe_load(match[1])["caption"]
    except yaml.YAMLError:
        return match[0]  # the builder names it
    kind = "tbl-cap" if "#| label: tbl:" in match.string else "caption"
    return f"#| {kind}: {json.dumps(f'{text} [{made}]', ensure_ascii=False)}"
