"""The gate of the panel that asks GenSR: files that are missing, damaged or of other data, or not linked."""

from __future__ import annotations

import json
import os
import shutil
import sys
import zlib
from pathlib import Path

import nbformat
import pytest
import yaml

from gensr_lib.book import panel_check, site_check, site_stage
from gensr_lib.book.notebook_pages import ASK, ASK_TAG
from gensr_lib.book.panel_check import CHAPTER, FILES, FOLDER, MODEL, WEIGHTS, file_faults
from gensr_lib.explore import export

LINKS = f"[the model](ask/{MODEL}) and [its weights](ask/{WEIGHTS})"
DIRECTIVE = f":::{{anywidget}} /{ASK}\n{{}}\n:::"
PANEL = f"{DIRECTIVE}\n"
STATUS = f"| chapter | data hash | commit |\n| --- | --- | --- |\n| {CHAPTER} | 0a1b2c3d | 01234567 |\n"


@pytest.fixture
def book(tmp_path, root) -> Path:
    """A book of one page with the panel, and files that stand for the model's."""
    shutil.copytree(root / "book/widgets/ask", tmp_path / "book/widgets/ask")
    weights = bytes(range(200))
    kept = {"bytes": len(weights), "crc32": zlib.crc32(weights)}
    model = {"provenance": {"dataset_hash": "0a1b2c3d4e5f"}, "weights": kept}
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / MODEL).write_text(json.dumps(model))
    (tmp_path / FOLDER / WEIGHTS).write_bytes(weights)
    (tmp_path / "book/status.md").write_text(f"# Status\n\nWhen it was run.\n\n{STATUS}")
    (tmp_path / "book/page.md").write_text(f"# Ask\n\nIt reads {LINKS}.\n\n{PANEL}")
    (tmp_path / "index.md").write_text("# Start\n\n[Ask](book/page.md), [status](book/status.md)\n")
    toc = [{"file": name} for name in ("index.md", "book/page.md", "book/status.md")]
    config = {"version": 1, "project": {"title": "Small", "toc": toc}, "site": {"template": "book-theme"}}
    (tmp_path / "myst.yml").write_text(yaml.safe_dump(config))
    return tmp_path


def change_model(book: Path, old: str, new: str) -> None:
    path = book / FOLDER / MODEL
    path.write_text(path.read_text().replace(old, new))


FAULTS = {
    f"{MODEL}: is missing": lambda book: (book / FOLDER / MODEL).unlink(),
    f"{WEIGHTS}: is missing": lambda book: (book / FOLDER / WEIGHTS).unlink(),
    "damaged (JSONDecodeError": lambda book: (book / FOLDER / MODEL).write_text("{"),
    "damaged (KeyError: 'weights')": lambda book: (book / FOLDER / MODEL).write_text("{}"),
    f"{WEIGHTS}: is not that": lambda book: (book / FOLDER / WEIGHTS).write_bytes(bytes(200)),
    f"of data 99999999, and {CHAPTER} of 0a1b2c3d": lambda book: change_model(book, "0a1b2c3d4e5f", "99999999ff"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_files_that_the_panel_cannot_use_are_found(book, fault):
    FAULTS[fault](book)
    (found,) = site_check.audit_files(book)
    assert fault in found and "--only 11_explore" in found


def test_without_the_panel_nothing_is_asked_of_its_files(book):
    shutil.rmtree(book / FOLDER)
    assert len(file_faults(book, [book / "book/page.md"])) == len(FILES)
    assert file_faults(book, [book / "index.md"]) == []


def test_a_page_has_the_panel_in_the_place_of_a_tagged_cell(book, tmp_path_factory):
    """JupyterLab shows the cell's form, which asks the live model."""
    form = nbformat.v4.new_code_cell("form", metadata={"tags": [ASK_TAG]}, execution_count=1)
    form.outputs = [nbformat.v4.new_output("display_data", data={"text/plain": "VBox()"})]
    cells = [nbformat.v4.new_markdown_cell("# One"), nbformat.v4.new_code_cell("1", execution_count=2), form]
    notebook = nbformat.v4.new_notebook(cells=cells)
    (book / "notebooks").mkdir()
    nbformat.write(notebook, book / "notebooks/01_one.ipynb")
    assert file_faults(book, [book / "notebooks/01_one.ipynb"]) == []
    (book / FOLDER / MODEL).unlink()
    assert file_faults(book, [book / "notebooks/01_one.ipynb"])
    staged = tmp_path_factory.mktemp("staged")
    site_stage.stage(book, staged)
    *others, panel = nbformat.read(staged / "notebooks/01_one.ipynb", as_version=4).cells
    assert (panel.cell_type, panel.source) == ("markdown", DIRECTIVE)
    assert [cell.source for cell in others] == ["# One", "1"]
    assert "import {" not in (staged / ASK).read_text(encoding="utf-8")


def test_the_builder_copies_the_panel_and_its_files_and_a_missing_link_is_found(book):
    """What the panel relies on: linked files get an address of the site."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    if not all(shutil.which(name, path=path) for name in ("jupyter-book", "node")):
        pytest.skip("the site's programs are not installed: make site installs them")
    assert site_check.check_site(book) == []
    (book / "book/page.md").write_text(f"# Ask\n\nIt reads {LINKS.split(' and ')[0]}.\n\n{PANEL}")
    (found,) = site_check.check_site(book)
    assert f"no link to {FOLDER}/{WEIGHTS}" in found


def test_the_gate_and_the_export_name_the_same_files():
    assert (export.MODEL, export.WEIGHTS) == panel_check.FILES
