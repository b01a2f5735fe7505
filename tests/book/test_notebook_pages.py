"""Chapters as pages: what is folded, figures with their words, and tables that are the page's own."""

from __future__ import annotations

import io
import json
import re
import tarfile
from base64 import b64encode

import nbformat
import numpy as np
import pandas as pd
import pytest

from gensr_lib.book import katex, site_finish, table_widths
from gensr_lib.book.html_tables import page_table
from gensr_lib.book.notebook_pages import prepare_notebook
from gensr_lib.book.page_head import draw_card, with_head
from gensr_lib.show import tables


def page_of(tmp_path, *cells) -> list:
    """The cells that a notebook of these code cells has in the copy."""
    path = tmp_path / "01_one.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), path)
    prepare_notebook(path, tmp_path / "figures", "Made so.")
    return nbformat.read(path, 4).cells


def code(source: str, tags: tuple = (), **data: str):
    kinds = {"png": "image/png", "html": "text/html", "plain": "text/plain"}
    outputs = [nbformat.v4.new_output("display_data", data={kinds[k]: v}) for k, v in data.items()]
    return nbformat.v4.new_code_cell(source, outputs=outputs, metadata={"tags": list(tags)})


def test_a_figure_stands_by_its_caption_with_an_alternative_text(tmp_path):
    source = "#| label: fig:a\n#| caption: A bar of $x$, `rec`.\nplot()"
    shown, figure, last = page_of(tmp_path, code(source, png=b64encode(b"a picture").decode()))
    assert shown.source == "plot()" and shown.metadata.tags == ["hide-input"] and not shown.outputs
    assert ":alt: A bar of x, rec.\n:label: fig:a\n\nA bar of $x$, `rec`.\n:::" in figure.source
    name = re.match(r":::\{figure\} (\S+)", figure.source)[1]
    assert (tmp_path / name).read_bytes() == b"a picture"
    assert last.source == ":::{div}\n:class: made-with\nMade so.\n:::"


def test_a_figure_that_was_saved_as_a_drawing_stands_as_such(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "01_all_counts.svg").write_bytes(b"<svg/>")
    picture = b64encode(b"a picture").decode()
    cells = [code(f"#| label: fig:01-{name}\n#| caption: C.\nplot()", png=picture) for name in ("all-counts", "all")]
    _, drawn, _, other, _ = page_of(tmp_path, *cells, code("plot()", png=picture))[:5]
    names = [re.match(r":::\{figure\} (\S+)", figure.source)[1] for figure in (drawn, other)]
    assert (tmp_path / names[0]).read_bytes() == b"<svg/>" and names[0].endswith(".svg")
    assert (tmp_path / names[1]).read_bytes() == b"a picture" and names[1].endswith(".png")


def test_a_figure_for_phones_stands_before_the_other_with_the_same_words(tmp_path):
    (tmp_path / "figures").mkdir()
    for name in ("01_a.svg", "01_a_phone.svg"):
        (tmp_path / "figures" / name).write_text(name)
    _, figure, _ = page_of(tmp_path, code("#| label: fig:01-a\n#| caption: C.\nplot()", png=b64encode(b"p").decode()))
    small, large = re.findall(r":::\{(?:image|figure)\} (\S+)\n:class: (.+)\n:alt: C\.\n", figure.source)
    assert [small[1], large[1]] == ["small", "plot large"], "the style shows one of them"
    assert [(tmp_path / name).read_text() for name, _ in (small, large)] == ["01_a_phone.svg", "01_a.svg"]


def test_a_table_stands_by_its_caption_and_one_label_names_one_thing(tmp_path):
    html = "<table><tbody><tr><td>1</td></tr></tbody></table>"
    cell = code("#| label: tbl:a\n#| caption: 'Rows: all.'\nshow()", plain="said", html=html)
    cell.outputs.append(cell.outputs[1])
    shown, first, second, _ = page_of(tmp_path, cell)
    assert [output.data for output in shown.outputs] == [{"text/plain": "said"}]
    assert first.source.startswith(":::{table} Rows: all.\n:label: tbl:a\n<table>")
    assert second.source.startswith("<table>")


FOLDED = {
    "import os\nfrom math import pi": True,
    "import os\nos.sep": False,
    "import os\n\nplots.use_style()": True,
    "path = book.record('01_one', {})": True,
    "%matplotlib inline": False,
    "x = 1\nbook.record('01_one', {}).name": True,
    "assert 1 < 2\nassert True": True,
    "x = 1\nassert x": False,
    "": False,
}


@pytest.mark.parametrize("source", FOLDED)
def test_code_that_only_imports_checks_or_records_is_folded(tmp_path, source):
    cell, _ = page_of(tmp_path, code(source))
    assert cell.metadata.tags == ["hide-input"] * FOLDED[source]
    cell, _ = page_of(tmp_path, code(source, tags=("show-input",)))
    assert cell.metadata.tags == ["show-input"]


def test_what_was_found_stands_first_and_what_follows_last(tmp_path):
    prose = nbformat.v4.new_markdown_cell
    start = "# 1. One\n\n**Overview.** Why.\n\n**What follows**\n\n- more"
    end = "## What this chapter found\n\n- this,\n- that.\n\n**Next:** chapter 2."
    first, body, last, made = page_of(tmp_path, prose(start), prose("## Body"), prose(end))
    found = ":::{tip} What this chapter found\n- this,\n- that.\n:::"
    assert first.source == start.replace("**What follows**", f"{found}\n\n**What follows**")
    assert (body.source, last.source) == ("## Body", "**Next:** chapter 2.") and "Made so." in made.source
    original = nbformat.read(tmp_path / "downloads" / "01_one.ipynb", 4).cells
    assert [cell.source for cell in original] == [start, "## Body", end]


def test_the_parameters_are_folded(tmp_path):
    cell, _ = page_of(tmp_path, code("SEED = 0", tags=("parameters",)))
    assert cell.metadata.tags == ["parameters", "hide-input"]


def test_a_table_keeps_spans_marks_and_order_and_aligns_words_at_the_left(tmp_path):
    index = pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")], names=["task", "system"])
    columns = pd.MultiIndex.from_tuples([("rec", "N@5"), ("rec", "N@10"), ("", "why <")])
    table = pd.DataFrame([[0.25, 0.5, "so"], [0.75, np.nan, "& so"]], index, columns)
    html = tables.show(table, "t", tmp_path, best_in=[("rec", "N@5")]).to_html()
    head, body = page_table(html).split("</thead>")
    assert '<th colspan="2">recommendation</th>' in head
    assert '<th>task</th><th>system</th><th style="text-align:right">N@5</th>' in head
    assert head.count("<tr>") == 2, "the index is named in the corner"
    assert '<th rowspan="2">a</th><th>x</th>' in body
    assert '<td style="text-align:right"><strong>0.750</strong></td>' in body
    assert '<td style="text-align:right"><u>0.250</u></td>' in body
    assert '<td style="text-align:right">–</td><td>&amp; so</td>' in body
    assert page_table("<b>no table</b>") == ""


def test_an_index_and_columns_with_a_name_share_the_corner(tmp_path):
    table = pd.DataFrame([[1]], pd.Index(["a"], name="row"), pd.Index([10], name="column"))
    html = page_table(tables.show(table, "t", tmp_path).to_html())
    assert "<th>row ↓ column →</th>" in html and html.count("<tr>") == 2


def test_a_description_is_the_pages_own_or_its_first_sentences():
    own = with_head("---\ntitle: T\ndescription: Mine.\n---\n\nText.", thumbnail="a.png")
    assert "title: T\ndescription: Mine.\n---\nText." in own
    assert "description:" not in with_head("# Only a title\n")
    long = f"# T\n\nOne [link](a.md) `here`. {'Very ' * 60}long."
    assert "description: One link here.\n" in with_head(long)


def test_the_card_is_drawn_to_the_same_bytes(tmp_path):
    draw_card("A title", tmp_path / "a.png")
    draw_card("A title", tmp_path / "b.png")
    first, second = ((tmp_path / f"{name}.png").read_bytes() for name in "ab")
    assert first == second and first.startswith(b"\x89PNG")


def test_the_built_site_asks_no_other_machine_and_names_its_address(tmp_path, monkeypatch):
    monkeypatch.setenv("BASE_URL", "/book")
    html = tmp_path / "html"
    (html / "build").mkdir(parents=True)
    (html / "a").mkdir()
    monkeypatch.setattr(site_finish, "fetch_katex", lambda folder: True)
    head = f'<link href="{katex.ASKED_FOR}"/><meta property="og:image" content="/book/build/c.png"/>'
    (html / "index.html").write_text(head)
    (html / "a/index.html").write_text("".join(site_finish.UNUSED))
    (html / "build/root.js").write_text(f"links('{katex.ASKED_FOR}')")
    (html / "sitemap.xml").write_text("http://localhost:3000")
    records = [{"url": url, "type": kind} for url in ("/a", "/gensr-lib-b") for kind in ("lvl1", "content")]
    (html / "myst.search.json").write_text(json.dumps({"records": records}))
    site_finish.finish(html, "https://me.github.io/book")
    texts = "".join(path.read_text() for path in html.rglob("*.*") if path.is_file())
    assert "cdn" not in texts and "localhost" not in texts
    assert (html / "build/root.js").read_text() == "links('/book/build/katex/katex.min.css')"
    assert 'content="https://me.github.io/book/build/c.png"' in (html / "index.html").read_text()
    assert "<loc>https://me.github.io/book/a</loc>" in (html / "sitemap.xml").read_text()
    assert 'href="/book/"' in (html / "404.html").read_text()
    assert len(json.loads((html / "myst.search.json").read_text())["records"]) == 3
    site_finish.finish(html)
    assert not (html / "sitemap.xml").exists() and "Sitemap" not in (html / "robots.txt").read_text()


def test_mathematics_stay_external_where_its_package_cannot_be_had(tmp_path, monkeypatch, caplog):
    def refuse(*args, **options):
        raise OSError("no network")

    monkeypatch.setattr(katex.pooch, "retrieve", refuse)
    (tmp_path / "index.html").write_text(katex.ASKED_FOR)
    site_finish.finish(tmp_path)
    assert (tmp_path / "index.html").read_text() == katex.ASKED_FOR
    assert "KaTeX stays external" in caplog.text and "no network" in caplog.text


def test_of_the_package_only_styles_fonts_and_the_licence_are_written(tmp_path, monkeypatch):
    names = ["package/LICENSE", "package/dist/katex.min.css", "package/dist/fonts/KaTeX_A-B.woff2"]
    others = [
        "package/dist/katex.js",
        "package/dist/katex.min.css.map",
        "../katex.min.css",
        "package/dist/fonts/../../x.woff2",
        "/abs.woff2",
    ]
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as package:
        for name in names + others:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            package.addfile(member, io.BytesIO(name.encode()))
    monkeypatch.setattr(katex.pooch, "retrieve", lambda *args, **options: tmp_path / "package.tgz")
    assert katex.fetch_katex(tmp_path / "in/katex")
    written = {path.relative_to(tmp_path / "in/katex").as_posix() for path in (tmp_path / "in").rglob("*.*")}
    assert written == {"katex.min.css", "fonts/KaTeX_A-B.woff2"}
    assert (tmp_path / "in/katex/LICENSE").exists()
    assert (tmp_path / "in/katex/katex.min.css").read_text() == names[1]


def test_a_table_that_is_too_wide_is_found_where_there_is_a_browser(tmp_path, monkeypatch, caplog):
    (tmp_path / "notebooks").mkdir()
    row = "".join(f"<td>{'word' * 40}</td>" for _ in range(3))
    wide = f":::{{table}} Wide.\n:label: tbl:w\n<table><tbody><tr>{row}</tr></tbody></table>\n:::"
    small = "<table><tbody><tr><td>1</td></tr></tbody></table>"
    cells = [nbformat.v4.new_markdown_cell(text) for text in (wide, small)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks/01_one.ipynb")
    if table_widths.find_browser():
        (found,) = table_widths.wide_tables(tmp_path)
        assert found.startswith("notebooks/01_one.ipynb: a table (tbl:w) is ") and not caplog.text
    monkeypatch.setattr(table_widths, "BROWSERS", ("no-browser",))
    assert table_widths.wide_tables(tmp_path) == []
    monkeypatch.setattr(table_widths, "BROWSERS", ("false",))
    caplog.clear()
    assert table_widths.wide_tables(tmp_path) == [], "it does not start"
    assert "the widths of 2 tables are not measured" in caplog.text
