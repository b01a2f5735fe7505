"""What the site is built from: its configuration, and a copy of the book made ready for the builder."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError

INPUTS = ("myst.yml", "references.bib", "index.md", "README.md", "paper_versus_code.md", "book", "notebooks")
CAPTION = re.compile(r"^#\| caption: .*$", re.MULTILINE)
STATUS = "book/status.md"


def stage(root: Path, folder: Path) -> None:
    """Copy what the site is made of to ``folder``, ready for the builder.

    Where the environment variable GITHUB_REPOSITORY (``owner/name``; GitHub's runners set it) is there, the copy's
    configuration names the repository, which gives the site its Binder, source and edit buttons.
    """
    for name in INPUTS:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("*.py", ".*"))
        elif source.exists():
            shutil.copy(source, folder / name)
    for path in folder.glob("notebooks/*.ipynb"):
        _prepare_notebook(path, made_with(folder, path.stem))
    config = with_repository(read_config(root), os.environ.get("GITHUB_REPOSITORY", ""))
    (folder / "myst.yml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")


def with_repository(config: dict[str, Any], repository: str) -> dict[str, Any]:
    """The configuration with the repository named; unchanged if there is none.

    >>> with_repository({"project": {}}, "me/book")["project"]["jupyter"]
    {'binder': {'repo': 'me/book'}}

    Raises:
        ConfigError: not of the form ``owner/name``.
    """
    if not repository:
        return config
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise ConfigError(f"GITHUB_REPOSITORY is '{repository}'; it must be owner/name")
    project = {"github": f"https://github.com/{repository}", "jupyter": {"binder": {"repo": repository}}}
    return {**config, "project": {**config["project"], **project}}


def read_config(root: Path) -> dict[str, Any]:
    """``myst.yml`` as plain values.

    Raises:
        ConfigError: it is not there, not YAML, or has no table of contents that can be used.
    """
    path = root / "myst.yml"
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        toc_files(config["project"]["toc"])
    except OSError:
        raise ConfigError(f"no myst.yml in {root}: run this from the book's root") from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ConfigError) as error:
        raise ConfigError(f"{path}: no table of contents (project, toc) can be read from it: {error}") from None
    return config


def toc_files(entries: list[dict[str, Any]]) -> list[str]:
    """The files of a table of contents, in order, those of nested entries too.

    >>> toc_files([{"file": "a.md"}, {"title": "Part", "children": [{"file": "b.md"}]}])
    ['a.md', 'b.md']

    Raises:
        ConfigError: no list of entries, or an entry that is not like these.
    """
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"a list of entries is needed where {entries!r} stands, such as [{{file: index.md}}]")
    found = []
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("file", ""), str):
            raise ConfigError(f"the entry {entry!r} must be like {{file: index.md}} or {{title: …, children: […]}}")
        found += [entry["file"]] if "file" in entry else []
        found += toc_files(entry["children"]) if "children" in entry else []
    return found


def made_with(root: Path, chapter: str) -> str:
    """Which run made a chapter's tables and figures, by the status page; '' if the page does not say."""
    path, dataset, columns = root / STATUS, "", []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        if match := re.match(r"## Data set (\S+), profile (\S+)", line):
            dataset = f"{match[1]}, profile {match[2]}"
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
        columns = cells if cells[0] == "chapter" else columns
        if cells[0] == chapter and columns:
            row = dict(zip(columns, cells, strict=False))
            return f"{chapter}: {dataset}, seed {row['seed']}, data {row['data hash']}"
    return ""


def _prepare_notebook(path: Path, made: str) -> None:
    """Say under each table and figure which run made it, and take out jupytext's own settings, which the
    builder reports as unknown keys."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        notebook["metadata"].pop("jupytext", None)
        for cell in notebook["cells"]:
            if made and cell["cell_type"] == "code":
                cell["source"] = CAPTION.sub(lambda match: _caption(match, made), "".join(cell["source"]))
    except (ValueError, KeyError, TypeError):
        return  # a broken notebook is the builder's and the audit's finding
    path.write_text(json.dumps(notebook), encoding="utf-8")


def _caption(match: re.Match, made: str) -> str:
    """Say which run made it, and that a table is one: the builder counts all others as figures."""
    try:
        text = yaml.safe_load(match[0].removeprefix("#| "))["caption"]
    except yaml.YAMLError:
        return match[0]  # the audit names it
    kind = "tbl-cap" if "#| label: tbl:" in match.string else "caption"
    return f"#| {kind}: {json.dumps(f'{text} [{made}]', ensure_ascii=False)}"
