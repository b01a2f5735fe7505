"""The gate of the site: small books that are broken in one way each, and the real book."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from gensr_lib.book import site_check as site
from gensr_lib.book import site_finish, site_stage
from gensr_lib.book.cli import main
from gensr_lib.book.status import DEFAULT_RUN, ChapterRecord, code_at, narrow, status_page, write_status
from gensr_lib.errors import ConfigError
from gensr_lib.experiments.provenance import code_hash

TOC = [
    {"file": "index.md"},
    {"title": "Part", "children": [{"file": "notebooks/01_one.ipynb"}, {"file": "book/two.md"}]},
]
WIDGET = "export default { render: ({ el }) => el.append(text) };\n"
INDEX = "# Start\n\nSee [one](notebooks/01_one.ipynb), [](#fig:one), {cite:t}`known`.\n"
TWO = "# Two\n\n(part)=\n## A part\n\n[Back](../index.md). In code, `[this](is.md)` is no link.\n"
BIB = "@misc{known,\n  title = {A title},\n  author = {Author, Ann},\n  year = {2025}\n}\n"
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture
def book(tmp_path) -> Path:
    """A whole small book: a landing page, a notebook with a figure, another page, a reference."""
    root = tmp_path / "small"
    for folder in ("notebooks", "book"):
        (root / folder).mkdir(parents=True)
    project = {"title": "Small", "bibliography": ["references.bib"], "toc": TOC}
    config = {"version": 1, "project": project, "site": {"template": "book-theme"}}
    (root / "myst.yml").write_text(yaml.safe_dump(config))
    (root / "index.md").write_text(INDEX)
    (root / "book/two.md").write_text(TWO)
    (root / "references.bib").write_text(BIB)
    (root / "book/widgets").mkdir()
    (root / "book/widgets/common.mjs").write_text('export const text = "shared";\n')
    (root / "book/widgets/live.mjs").write_text(f'import {{ text }} from "./common.mjs";\n{WIDGET}')
    write_notebook(root / "notebooks/01_one.ipynb")
    return root


def write_notebook(path: Path, count: int | None = 1, pictures: int = 1) -> None:
    """A notebook of one title and one labelled code cell; by default with a picture."""
    data = {"image/png": PICTURE, "text/plain": "figure"}
    outputs = [nbformat.v4.new_output("display_data", data=data)] * pictures
    source = "#| label: fig:one\n#| caption: A dot.\nshow()"
    cell = nbformat.v4.new_code_cell(source, execution_count=count, outputs=outputs)
    empty = nbformat.v4.new_code_cell(" \n")
    cells = [nbformat.v4.new_markdown_cell("# One\n\nA dot."), cell, empty]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["jupytext"] = {"cell_metadata_filter": "-all"}  # jupytext leaves this behind
    nbformat.write(notebook, path)


def add_empty_figure(path: Path) -> None:
    """A cell with a caption that ran and shows nothing."""
    notebook = nbformat.read(path, as_version=4)
    source = "#| label: fig:two\n#| caption: A dot.\nNone"
    notebook.cells.append(nbformat.v4.new_code_cell(source, execution_count=2))
    nbformat.write(notebook, path)


def add_to_toc(root: Path, *names: str) -> None:
    config = yaml.safe_load((root / "myst.yml").read_text())
    config["project"]["toc"] += [{"file": name} for name in names]
    (root / "myst.yml").write_text(yaml.safe_dump(config))


# ---- the files -----------------------------------------------------------------------------------


NOTEBOOK = "notebooks/01_one.ipynb"
FILES = {
    "book/new.md: is not in the table": lambda root: (root / "book/new.md").touch(),
    "notebooks/02_two.ipynb: is not in the table": lambda root: write_notebook(root / "notebooks/02_two.ipynb"),
    f"{NOTEBOOK}: has no outputs": lambda root: write_notebook(root / NOTEBOOK, pictures=0),
    f"{NOTEBOOK}: code cell 1 was not": lambda root: write_notebook(root / NOTEBOOK, count=None),
    f"{NOTEBOOK}: fig:two has a caption, and shows nothing": lambda root: add_empty_figure(root / NOTEBOOK),
    f"{NOTEBOOK}: is no notebook": lambda root: (root / NOTEBOOK).write_text("{"),
}


def test_a_whole_book_has_nothing_wrong(book, root):
    assert site.audit_files(book) == []
    assert site.audit_files(root) == []


@pytest.mark.parametrize("expected", FILES)
def test_broken_files_are_found_before_anything_is_built(book, expected):
    FILES[expected](book)
    (found,) = site.check_site(book)
    assert found.startswith(expected)


@pytest.mark.parametrize("text", [None, "project: {toc: [", "5", "project: {toc: [index.md]}"])
def test_a_configuration_that_cannot_be_used(book, text):
    (book / "myst.yml").unlink()
    if text:
        (book / "myst.yml").write_text(text)
    with pytest.raises(ConfigError, match=r"myst\.yml"):
        site.audit_files(book)


# ---- the built pages, without a builder ----------------------------------------------------------


def built(folder: Path, **pages: list[dict]) -> Path:
    """A built site of some pages with these nodes, as the builder writes them."""
    (folder / "content").mkdir(parents=True)
    (folder / "public").mkdir()
    for slug, children in pages.items():
        page = {"location": f"/{slug}.md", "mdast": {"type": "root", "children": children}}
        page["frontmatter"] = {"description": "What it is about."}
        (folder / "content" / f"{slug}.json").write_text(json.dumps(page))
    return folder


def text(*values: str) -> dict:
    return {"type": "paragraph", "children": [{"type": "text", "value": v} for v in values]}


def output(kind: str) -> dict:
    return {"type": "output", "jupyter_data": {"output_type": "display_data", "data": {kind: {}}}}


GOOD = [
    {"type": "link", "url": "https://example.org"},
    {"type": "link", "url": "/two#part", "internal": True},
    {"type": "link", "url": "/data-0123.csv", "urlSource": "data.csv", "static": True},
    {"type": "embed", "source": {"label": "fig:a"}, "children": [{"type": "text"}]},
    {"type": "output", "jupyter_data": {"output_type": "stream"}},
    {"type": "inlineExpression", "value": "1 + 1", "result": {"status": "ok"}},
    {"type": "card", "children": []},
    {"type": "image", "url": "/plot.png", "alt": "A bar."},
    text("| is a bar, and so is | this"),
]
BAD = {
    "row outside of its table": text("| 3 | ", "4 |"),
    "three.md, which is no page": {"type": "link", "url": "three.md"},
    "#none, which is no page": {"type": "link", "url": "#none"},
    "nothing of that name": {"type": "link", "url": "/two#no", "internal": True},
    "/somewhere, which is no page": {"type": "link", "url": "/somewhere"},
    "gone.md, which is no page": {"type": "card", "url": "gone.md", "children": []},
    "missing file a.csv": {"type": "link", "url": "a.csv", "urlSource": "a.csv", "static": True},
    "no label fig:b": {"type": "embed", "source": {"label": "fig:b"}},
    "error output": {"type": "output", "jupyter_data": {"output_type": "error"}},
    "apart from its caption": output("text/html"),
    "a figure or table that is left": output("image/png"),
    "without an alternative text: /a.png": {"type": "image", "url": "/a.png"},
    "without an alternative text: /b.png": {"type": "image", "url": "/b.png", "alt": "<Figure>"},
    "without a result: 1 +": {"type": "inlineExpression", "value": "1 +"},
}


def test_good_pages_pass(tmp_path):
    two = [{"type": "heading", "identifier": "part", "html_id": "part", "children": []}]
    assert site.audit_pages(built(tmp_path / "site", one=GOOD, two=two)) == []
    assert site.audit_pages(tmp_path / "none") == ["no page was built"]


def test_a_page_without_a_description_is_found(tmp_path):
    folder = built(tmp_path / "site", one=[])
    page = folder / "content/one.json"
    page.write_text(json.dumps({**json.loads(page.read_text()), "frontmatter": {}}))
    assert site.audit_pages(folder) == ["one.md: has no description"]


@pytest.mark.parametrize("expected", BAD)
def test_what_the_builder_lets_pass_is_found(tmp_path, expected):
    deep = {"type": "block", "children": [{"type": "section", "children": [BAD[expected]]}]}
    (found,) = site.audit_pages(built(tmp_path / "site", one=[deep], two=[]))
    assert found.startswith("one.md: ") and expected in found


def test_a_heavy_page_is_found_with_its_pictures(tmp_path):
    folder = built(tmp_path / "site", one=[{"type": "image", "url": "/big.png", "alt": "x"}], two=[])
    (folder / "public/big.png").write_bytes(bytes(site.MAX_BYTES - 200))
    assert site.audit_pages(folder) == []
    (folder / "public/big.png").write_bytes(bytes(site.MAX_BYTES))
    assert site.audit_pages(folder) == ["one.md: is 3.0 MB, more than 3"]


# ---- the builder: stand-ins ----------------------------------------------------------------------


@pytest.fixture
def builder(tmp_path, monkeypatch):
    """Function that makes a jupyter-book of shell lines, the only one that can be found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(site.sys, "executable", str(folder / "python"))

    def make(*lines: str) -> None:
        program = folder / "jupyter-book"
        program.write_text("\n".join(["#!/bin/sh", "PATH=/usr/bin:/bin", *lines]) + "\n")
        program.chmod(0o755)

    return make


def test_a_missing_or_waiting_builder_is_told(book, builder, monkeypatch):
    with pytest.raises(ConfigError, match="jupyter-book is not installed"):
        site.check_site(book)
    builder("exec sleep 20")
    monkeypatch.setattr(site, "BUILD_SECONDS", 0.2)
    with pytest.raises(ConfigError, match=r"did not finish in 0.2 s"):
        site.check_site(book)


def test_every_printed_warning_is_a_failure(book, builder):
    builder("echo 'building'", "echo '⚠️  book/two.md:3 Odd' >&2", "echo '  - ⛔ Bad'")
    *printed, last = site.check_site(book)
    assert printed == ["builder: book/two.md:3 Odd", "builder: Bad"]
    assert last == "no page was built"
    builder("echo 'it crashed' >&2", "exit 3")
    assert site.check_site(book) == ["jupyter-book failed: it crashed", "no page was built"]


def test_the_builder_gets_a_clean_copy_and_may_not_ask(book, builder, monkeypatch):
    (book / "notebooks/01_one.py").write_text("# the twin")
    before = (book / NOTEBOOK).read_text()
    seen = book.parent / "seen"
    builder(f"cp -r . {seen}", f'echo "$@ $JB_ALLOW_NODEENV" > {seen}/arguments', "read x")
    monkeypatch.setenv("GITHUB_REPOSITORY", "me/book")
    site.check_site(book)
    assert (seen / "arguments").read_text() == "build --site --strict 0\n"
    assert [path.name for path in (seen / "notebooks").glob("*.*")] == ["01_one.ipynb"]
    assert (seen / "notebooks/downloads/01_one.ipynb").read_text() == before
    assert "jupytext" not in json.loads((seen / NOTEBOOK).read_text())["metadata"]
    assert (book / NOTEBOOK).read_text() == before
    project = yaml.safe_load((seen / "myst.yml").read_text())["project"]
    assert project["github"] == "https://github.com/me/book"
    assert "jupyter" not in project, "cells that run on the page would replace its numbers"


def test_html_replaces_nothing_but_a_site_built_here(book, builder, tmp_path, monkeypatch):
    monkeypatch.setenv("BASE_URL", "/base")
    monkeypatch.setattr(site_finish, "fetch_katex", lambda folder: False)  # no network in a test
    builder("mkdir -p _build/html", "echo $BASE_URL $2 > _build/html/index.html")
    out = tmp_path / "new" / "html"
    site.build_site(book, out)
    (out / "page_of_yesterday.html").touch()
    site.build_site(book, out)  # a second time over the first
    assert (out / "index.html").read_text() == "/base --html\n"
    names = [site.MARKER, "404.html", "index.html", "robots.txt"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert list(out.parent.iterdir()) == [out], "nothing is left beside it"
    own = tmp_path / "public_html"
    own.mkdir()
    (own / "index.html").write_text("my page")
    for place in (own, own / "index.html"):
        with pytest.raises(ConfigError, match=f"--out {place}"):
            site.build_site(book, place)
    assert (own / "index.html").read_text() == "my page"
    for code in (1, 0):  # it may say that all went well, and have written nothing
        builder("echo 'no theme'", f"exit {code}")
        with pytest.raises(ConfigError, match="no theme"):
            site.build_site(book, out)
    assert (out / "index.html").exists()


# ---- the real builder ----------------------------------------------------------------------------


@pytest.fixture
def real_builder() -> None:
    """The real jupyter-book and griffe; a reason to skip where they are not."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    if not all(shutil.which(name, path=path) for name in ("jupyter-book", "node", "griffe")):
        pytest.skip("the site's programs are not installed: make site installs them")


PAGES = {
    "reference": ("[](#fig:none)", "fig:none"),
    "citation": ("{cite}`nobody`", "nobody"),
    "embed": ("![](#fig:none)", "embeds nothing"),
    "image": ("![a picture](none.png)", "none.png"),
    "html": ('<img src="none.png"> <a href="gone.md">x</a>', "none.png"),
    "mathematics": ("$$\n\\frac{1}{\n$$", "builder: "),
    "directive": (":::{nota}\nx\n:::", "nota"),
    "role": ("{evil}`x`", "evil"),
    "download": ("{download}`a <none.csv>`", "none.csv"),
    "include": ("```{include} none.md\n```", "none.md"),
    "link": ("[x](three.md#part)", "three.md"),
    "named": ("[x][there]\n\n[there]: gone.md", "gone.md"),
    "outside": ("[x](../../secret.md)", "secret.md"),
    "anchor": ("[x](two.md#nowhere)", "nowhere"),
    "card": (":::{card} x\n:link: none.md\ny\n:::", "none.md"),
    "expression": ("{eval}`1 + 1`", "expression without a result"),
    "widget": (":::{anywidget} none.mjs\n{}\n:::", "none.mjs"),
    "model": (":::{anywidget} widgets/live.mjs\n{1\n:::", "Invalid JSON"),
    "row": ("| a | b |\n| --- | --- |\n| 1 | 2 |\n\n| 3 | 4 |", "row outside of its table"),
}


@pytest.mark.slow
def test_the_real_builder_passes_a_whole_book_and_every_breakage_is_caught(book, real_builder):
    assert site.check_site(book) == []
    (book.parent / "secret.md").touch()  # beside the book, so no page of it
    for name, (markdown, _) in PAGES.items():
        (book / f"book/{name}.md").write_text(f"# Page {name}\n\n{markdown}\n")
        add_to_toc(book, f"book/{name}.md")
    with (book / "book/role.md").open("a") as page:
        page.write("\n(part)=\n## Again\n")  # a label that another page has
    add_to_toc(book, "gone.md")
    found = site.check_site(book)
    for name, (_, expected) in PAGES.items():
        lines = [line for line in found if expected in line and f"book/{name}.md" in line]
        assert lines, (name, found)
    assert [line for line in found if "Duplicate identifier" in line and '"part"' in line], found
    assert [line for line in found if "Table of contents" in line and "gone.md" in line], found


@pytest.mark.slow
def test_the_real_book_is_a_site_without_a_warning(root, real_builder):
    assert site.check_site(root) == []


# ---- the reference of the library ----------------------------------------------------------------


MODULE = '''"""A module.

As drawn::

    a --> b
"""
from pydantic import Field
from .b import imported

class Options:
    """Some ``options``."""
    size: int = Field(3, ge=1, description="how | large")

    @property
    def area(self) -> int:
        """Size squared, a price of $5."""

    def _hidden(self):
        """Not shown."""

def shown(a: int,
          b: int = 1) -> int:
    """What it does.

    >>> shown(1)
    {1: [2]}

    Args:
        a, b: numbers,
            two of them.

    Raises:
        ValueError: never.
    """

def bare():
    pass
'''


def test_the_reference_shows_what_is_public_and_described(tmp_path):
    pytest.importorskip("griffe")
    from gensr_lib.book.api_pages import write_api_pages

    (tmp_path / "gensr_lib/room").mkdir(parents=True)
    for name in ("__init__", "b", "room/__init__"):
        (tmp_path / f"gensr_lib/{name}.py").write_text('"""No public names."""\n')
    (tmp_path / "gensr_lib/room/a.py").write_text(MODULE)
    (entry,) = write_api_pages(tmp_path, tmp_path / "out")
    files = site_stage.toc_files([entry])
    assert files == ["book/api/overview.md", "book/api/gensr_lib.room.a.md"]
    page = (tmp_path / "out" / files[1]).read_text()
    assert re.findall(r"^#+ `(.+)`", page, re.MULTILINE) == ["Options", "area", "shown"]
    assert "As drawn:\n\n```text\na --> b\n```" in page and "Some `options`." in page
    assert "```python\n@property\ndef area(self) -> int\n```\n\nSize squared" in page
    assert "a price of \\$5." in page
    assert "```python\ndef shown(a: int,\n          b: int = 1) -> int\n```" in page
    assert "```python\n>>> shown(1)\n{1: [2]}\n```" in page
    assert "- `a, b`: numbers, two of them." in page and "- `ValueError`: never." in page
    assert "| `size` | `3` | how \\| large |" in page
    (tmp_path / "gensr_lib/b.py").write_text('"""A file.\n"""\n\ndef f():\n    """One."""\n')
    (more,) = write_api_pages(tmp_path, tmp_path / "more")
    assert [room["title"] for room in more["children"][1:]] == ["gensr_lib", "gensr_lib.room"], (
        "root's files are one room"
    )
    overview = (tmp_path / "out" / files[0]).read_text()
    assert "## gensr_lib.room\n\nNo public names.\n\n- [a](gensr_lib.room.a.md): A module.\n" in overview
    assert "[Source]" not in page
    write_api_pages(tmp_path, tmp_path / "linked", "me/book")
    page = (tmp_path / "linked" / files[1]).read_text()
    line = 1 + MODULE.splitlines().index("def shown(a: int,")
    assert f"[Source](https://github.com/me/book/blob/HEAD/gensr_lib/room/a.py#L{line}-" in page


# ---- live equations --------------------------------------------------------------------------------


def test_a_live_cell_is_a_directive_in_the_copy_and_its_module_stands_alone(book, tmp_path):
    cells = [nbformat.v4.new_markdown_cell("# One")]
    cells += [nbformat.v4.new_code_cell(code) for code in ('live("live", a=1)', "live(name)")]
    cells.append(nbformat.v4.new_markdown_cell('live("live")'))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), book / NOTEBOOK)
    for folder in ("staged", "again"):
        (tmp_path / folder).mkdir()
    site_stage.stage(book, tmp_path / "staged")
    staged = json.loads((tmp_path / "staged" / NOTEBOOK).read_text())["cells"]
    assert [cell["cell_type"] for cell in staged] == ["markdown", "markdown", "code", "markdown"]
    assert staged[1]["source"] == ':::{anywidget} /book/widgets/live.mjs\n{"a": 1}\n:::'
    module = tmp_path / "staged/book/widgets/live.mjs"
    assert module.read_text() == f'const text = "shared";\n\n{WIDGET}'
    (book / "book/widgets/live.mjs").write_text('import { a } from "./none.mjs";\n')
    with pytest.raises(ConfigError, match=r"none\.mjs: no such module"):
        site_stage.stage(book, tmp_path / "again")


@pytest.mark.slow
def test_the_real_builder_copies_the_module_of_a_live_cell(book, real_builder, monkeypatch):
    notebook = nbformat.read(book / NOTEBOOK, 4)
    notebook.cells.append(nbformat.v4.new_code_cell('live("live")', execution_count=2))
    nbformat.write(notebook, book / NOTEBOOK)
    with monkeypatch.context() as patch:
        patch.setattr(site, "audit_pages", modules_of)
        assert site.check_site(book) == [f'const text = "shared";\n\n{WIDGET}']
    assert site.check_site(book) == []
    (book / "book/widgets/live.mjs").unlink()
    found = site.check_site(book)
    assert all("live.mjs" in line for line in found) and found[0].startswith("builder: "), found


def modules_of(folder: Path) -> list[str]:
    """What the widgets of a built site load."""
    pages = [json.loads(path.read_text()) for path in folder.glob("content/*.json")]
    found = [node for page in pages for node in site.nodes(page["mdast"]) if node["type"] == "anywidget"]
    return [(folder / "public" / node["esm"].lstrip("/")).read_text() for node in found]


# ---- which run made a table or figure ------------------------------------------------------------


def record(**changes) -> ChapterRecord:
    known = {"chapter": "01_one", "outcome": "ran", "seconds": 90.0, "fingerprint": "f"}
    known |= {"finished": "2026-11-22T20:29:05+00:00", "parameters": DEFAULT_RUN}
    known |= {"machine": {"commit": "0123456789abcdef-dirty", "torch": "2.13", "device": "cpu"}}
    return ChapterRecord(**{**known, **changes})


@pytest.fixture
def home(book, monkeypatch) -> Path:
    """The small book, its chapter run; and what the chapter noted of its data."""
    monkeypatch.setenv("GENSR_HOME", str(book))
    path = book / "runs/pocket/pocket/chapters/01_one.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"provenance": {"dataset_hash": "d1d2d3d4d5", "numbers": 2}}))
    return book


def test_on_the_site_what_all_chapters_share_is_a_sentence():
    rows = {name: record(chapter=name, seconds=60.0 * k) for k, name in enumerate(("01_one", "02_two"), 1)}
    page = status_page(rows)
    found = narrow(page)
    assert "| chapter | minutes |\n| --- | --- |\n| 01_one | 1.0 |\n| 02_two | 2.0 |\n" in found
    assert "The same for all: outcome ran, data set pocket, profile pocket, seeds 0" in found
    times = {
        name: record(chapter=name, finished=f"2026-01-02T03:0{k}:00") for k, name in enumerate(("01_one", "02_two"))
    }
    assert "finished (UTC) 2026-01-02." in narrow(status_page(times)), "days, not minutes"
    assert narrow(status_page({"01_one": record()})) == status_page({"01_one": record()}), "one row shares nothing"
    assert narrow("# Status\n") == "# Status\n"


def test_the_status_page_tells_what_ran_and_hides_messages(home):
    page = status_page({"01_one": record()})
    row = "| 01_one | ran | 1.5 | pocket | pocket | 0 | d1d2d3d4 | 2 |  | 2.13 | cpu | 01234567-dirty |"
    assert f"{row} 2026-11-22 20:29 |" in page
    page = status_page({"02_two": record(chapter="02_two", outcome="failed", error="/home/x")})
    assert "| 02_two | failed | 1.5 | pocket | pocket | 0 |  |" in page and "/home" not in page


def test_only_the_default_run_is_published(home, capsys):
    (home / "book/status.md").write_text("the committed page")
    others = {"nope/pocket": {"DATASET": "nope"}, "pocket/pocket": {"SEED": 1}}
    for place, parameters in others.items():
        found = record(parameters={**DEFAULT_RUN, **parameters})
        write_status(home / "runs/book" / place, {"01_one": found})
    assert main(["site", "pages"]) == 0 and "stays" in capsys.readouterr().out
    assert (home / "book/status.md").read_text() == "the committed page"
    write_status(home / "runs/book/pocket/pocket", {"01_one": record()})
    assert main(["site", "pages"]) == 0
    assert "| 01_one | ran |" in (home / "book/status.md").read_text()


def test_code_that_a_cell_shows_is_code_on_the_page(book, tmp_path):
    """Below the folded cell: its figure first, as it was printed first, then the code."""
    path = book / NOTEBOOK
    notebook = nbformat.read(path, as_version=4)
    shown = nbformat.v4.new_output(
        "display_data", data={"text/markdown": "```python\nx = 1\n```", "text/plain": "x = 1"}
    )
    notebook.cells[1].outputs.append(shown)
    nbformat.write(notebook, path)
    (tmp_path / "staged").mkdir()
    site_stage.stage(book, tmp_path / "staged")
    cells = nbformat.read(tmp_path / "staged" / NOTEBOOK, as_version=4).cells
    assert [cell.cell_type for cell in cells] == ["markdown", "code", "markdown", "markdown", "code"]
    assert cells[1].outputs == [] and cells[2].source.startswith(":::{figure} pictures/01_one-")
    assert cells[3].source == "```python\nx = 1\n```"


def test_a_chapter_says_at_its_end_which_run_made_it(home, tmp_path):
    (home / "book/status.md").write_text(status_page({"01_one": record()}))
    write_notebook(home / "notebooks/02_two.ipynb")
    (tmp_path / "staged").mkdir()
    site_stage.stage(home, tmp_path / "staged")
    one, two = (
        nbformat.read(tmp_path / f"staged/notebooks/{name}.ipynb", 4).cells[-1].source for name in ("01_one", "02_two")
    )
    run = "data set pocket (d1d2d3d4), profile pocket, seed 0, numbers 2, commit 01234567-dirty, 2026-11-22"
    assert f"Made with {run}; more on [the status page](../book/status.md)." in one
    assert "Made with" not in two, "the status page does not know it"


def test_a_chapter_that_reads_no_data_or_many_worlds_says_so(home):
    path = home / "runs/pocket/pocket/chapters/01_one.json"
    source = {"dataset_hash": "d1", "data_read": False, "seeds": [0, 1, 2, 3], "numbers": 2}
    path.write_text(json.dumps({"provenance": source}))
    (home / "book/status.md").write_text(status_page({"01_one": record()}))
    assert "| none | pocket | 0–3 |  | 2 |" in (home / "book/status.md").read_text()
    line = site_stage.made_with(home, "01_one")
    assert line.startswith("Made with no data set, profile pocket, seeds 0–3, numbers 2, commit")


def test_what_another_seed_noted_is_found_in_its_folder(home):
    path = home / "runs/pocket/pocket/seed-3/chapters/01_one.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"provenance": {"dataset_hash": "e5e6e7e8e9", "numbers": 2}}))
    page = status_page({"01_one": record(parameters={**DEFAULT_RUN, "SEED": 3})})
    assert "e5e6e7e8" in page and "d1d2d3d4" not in page


def test_tables_of_messages_are_marked_for_phones_when_the_site_is_staged(book, tmp_path):
    wide = "| message | means | do |\n| --- | --- | --- |\n| a | b | c |\n"
    (book / "book/what_can_go_wrong.md").write_text(f"# Wrong\n\n{wide}")
    (tmp_path / "staged").mkdir()
    site_stage.stage(book, tmp_path / "staged")
    assert f":class: stacked\n\n{wide}" in (tmp_path / "staged/book/what_can_go_wrong.md").read_text()


def test_numbers_that_no_commit_makes_are_found(book, monkeypatch):
    good = {"commit": "01234567", "numbers": str(site.NUMBERS), "code hash": "c0dec0de"}
    rows = {"a": {**good, "commit": "01234567-dirty"}, "b": {**good, "numbers": "0"}, "c": good}
    monkeypatch.setattr(site, "status_rows", lambda root: rows)
    first, second = site.audit_status(book)
    assert "a was run on changed files" in first and "b has numbers of version 0" in second
    monkeypatch.setattr(site, "code_at", lambda root, commit: "0ther0ther")
    assert "c: commit 01234567 has the code 0ther0th" in site.audit_status(book)[-1]


def test_the_code_of_a_commit_is_hashed_as_that_of_a_run(tmp_path):
    if not shutil.which("git"):
        pytest.skip("there is no git")
    for name in ("b/__init__", "a", "b/a"):
        path = tmp_path / f"gensr_lib/{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    assert code_at(tmp_path, "HEAD") == code_hash(tmp_path / "gensr_lib")
    assert code_at(tmp_path, "0123456789") == "", "not in this history"
