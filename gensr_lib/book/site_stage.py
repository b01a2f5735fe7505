"""What the site is built from: a copy of the book made ready for the builder."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError
from ..show.live_equations import FOLDER as WIDGETS
from ..show.modules import bundled
from .api_pages import write_api_pages
from .choice_cards import MESSAGES, stacked, with_cards
from .choice_cards import PAGE as CHOICES
from .citations import BIB, bibliography, give_citations
from .claims_board import write_board
from .notebook_pages import ASK, prepare_notebook
from .page_head import CARD, draw_card, with_head
from .status import PAGE as STATUS
from .status import narrow, status_rows
from .study_data import give_studies

INPUTS = (BIB, "index.md", "README.md", "paper_versus_code.md", "book", "notebooks")


def stage(root: Path, folder: Path) -> None:
    """Copy what the site is made of to ``folder``, and make there what is not committed.

    That is the board of claims and the reference of the library, where a library lies in ``root``.
    Where the environment variable GITHUB_REPOSITORY (``owner/name``; GitHub's runners set it) is
    there, the copy's configuration names the repository, which gives the site its Binder, source
    and edit buttons.
    """
    for name in INPUTS:
        if (root / name).is_dir():
            ignore = shutil.ignore_patterns("*.py", ".*")
            shutil.copytree(root / name, folder / name, ignore=ignore)
        elif (root / name).exists():
            shutil.copy(root / name, folder / name)
    for name, changed in ((CHOICES, with_cards), (MESSAGES, stacked)):
        if (path := folder / name).exists():
            path.write_text(changed(path.read_text(encoding="utf-8")), encoding="utf-8")
    for path in [*folder.glob(f"{WIDGETS}/*.mjs"), *folder.glob(ASK)]:
        path.write_text(bundled(path), encoding="utf-8")
    for path in folder.glob("notebooks/*.ipynb"):
        prepare_notebook(path, root / "figures", made_with(folder, path.stem))
    if (status := folder / STATUS).exists():  # has been read
        status.write_text(narrow(status.read_text(encoding="utf-8")), encoding="utf-8")
    repository = os.environ.get("GITHUB_REPOSITORY", "")
    config = with_repository(read_config(root), repository)
    for name in toc_files(config["project"]["toc"]):
        if (folder / name).exists():
            give_studies(folder / name, root)
    if (root / "gensr_lib").is_dir():
        write_board(root, folder)
        config["project"]["toc"] += write_api_pages(root, folder, repository)
    draw_card(config["project"]["title"], folder / CARD)
    works = bibliography(root)
    for name in toc_files(config["project"]["toc"]):
        if (folder / name).exists():  # the builder names a missing one
            _give_head(folder / name, folder)
            give_citations(folder / name, works)  # after the head, which quotes the text
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    (folder / "myst.yml").write_text(text, encoding="utf-8")


def with_repository(config: dict[str, Any], repository: str) -> dict[str, Any]:
    """The configuration with the repository named; unchanged if there is none.

    Binder is a link: cells that ran on the page itself, in the small profile of Binder's machines,
    would replace its numbers by others that mean nothing.

    >>> with_repository({"project": {}}, "me/book")["project"]["binder"]
    'https://mybinder.org/v2/gh/me/book/HEAD'
    """
    if not repository:
        return config
    named = {
        "github": f"https://github.com/{repository}",
        "binder": f"https://mybinder.org/v2/gh/{repository}/HEAD",
    }
    return {**config, "project": {**config["project"], **named}}


def use_theme(folder: Path, theme: Path) -> None:
    """Let a staged book be built with a theme that lies on this machine.

    Raises:
        ConfigError: there is none in that folder.
    """
    if not (theme / "template.yml").is_file():
        raise ConfigError(f"--theme {theme}: no template.yml there, so it is no built theme")
    config = read_config(folder)
    config["site"]["template"] = str(theme.resolve())
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    (folder / "myst.yml").write_text(text, encoding="utf-8")


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
    """Which run made a chapter's numbers, in one line; '' if the status page does not say."""
    row = status_rows(root).get(chapter)
    if not row:
        return ""
    data = f"data set {row['data set']} ({row['data hash']})" if row["data hash"] else "no data set"
    seeds = row.get("seeds", "")
    many = "seed" if seeds.isdigit() else "seeds"
    parts = [data, f"profile {row['profile']}"] + ([f"{many} {seeds}"] if seeds else [])
    parts += [f"numbers {row['numbers']}"] if row.get("numbers") else []
    when = row["finished (UTC)"].partition(" ")[0]
    parts += [f"commit {row['commit']}", when]
    return f"Made with {', '.join(parts)}; more on [the status page](../{STATUS})."


def _give_head(path: Path, folder: Path) -> None:
    """Put a description and a picture into the front matter of a page or notebook."""
    card = Path(os.path.relpath(folder / CARD, path.parent)).as_posix()
    if path.suffix == ".md":
        text = with_head(path.read_text(encoding="utf-8"), thumbnail=card)
        path.write_text(text, encoding="utf-8")
        return
    notebook = json.loads(path.read_text(encoding="utf-8"))
    first = next((c for c in notebook["cells"] if c["cell_type"] == "markdown"), None)
    if first:
        downloads = [{"file": f"downloads/{path.name}", "title": "The notebook, to run"}]
        text = "".join(first["source"])
        first["source"] = with_head(text, thumbnail=card, downloads=downloads)
        path.write_text(json.dumps(notebook), encoding="utf-8")
