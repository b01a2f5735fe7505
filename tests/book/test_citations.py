"""Citations: what is one on the page, what is left alone, and that text and .bib name the same."""

from __future__ import annotations

import json
import re

import nbformat
import pytest

from gensr_lib.book import citations
from gensr_lib.book import site_check as site
from gensr_lib.errors import ConfigError

WORKS = {"he 2020": "he", "ng 2001": "ng", "van der maaten 2008": "tsne", "ai 2019a": "one", "ai 2019b": "two"}

CITED = {
    "As (He et al., 2020) says": "As {cite:p}`he` says",
    "As (He\net al., 2020) says": "As {cite:p}`he` says",
    "as in (Ng and Jordan 2001; He et al., 2020).": "as in {cite:p}`ng;he`.",
    "In Ng and\nJordan (2001), and": "In {cite:t}`ng`, and",
    "(LightGCN, He et al., 2020, eq. 8)": "(LightGCN, {cite:alp}`he`, eq. 8)",
    "van der Maaten and Hinton (2008) map": "{cite:t}`tsne` map",
    "(Ai et al., 2019b)": "{cite:p}`two`",
    "> *Kept* (Ng & Jordan, 2001)": "> *Kept* {cite:p}`ng`",
}


@pytest.mark.parametrize("text", CITED)
def test_a_mention_is_a_citation_on_the_page(text):
    assert citations.with_citations(text, WORKS) == CITED[text]


@pytest.mark.parametrize(
    "text",
    [
        "`(He et al., 2020)` and ``a ` (He et al., 2020)``",
        "```python\n# (He et al., 2020)\n```",
        "  ~~~\n(He et al., 2020)\n  ~~~",
        "$x$, $y\\text{ (He et al., 2020)}$",
        "$$\nx \\text{ of He et al. (2020)}\n$$",
        "[He et al. (2020)](https://example.org)",
        "{cite:p}`he`, {cite:t}`ng`",
        "---\ndescription: LightGCN (He et al., 2020)\n---\n",
        "## LightGCN (He et al., 2020)",
        ":::{figure} a.png\n:alt: by He et al. (2020)\n:::",
        "<table><tr><td>He et al. (2020)</td></tr></table>",
        "(Ai et al., 2019), of which there are two",
        "(Nobody et al., 2020) and (He et al., 2020; Nobody, 2021)",
        "He said in 2020, and She 2020",
    ],
)
def test_other_text_is_left_alone(text):
    assert citations.with_citations(text, WORKS) == text


def test_two_works_of_one_author_and_year_have_letters():
    entry = "@misc{%s,\n  author = {Ai, Q. and\n  Bi, K.},\n  year = {2019}\n}\n"
    assert citations.known_works(entry % "x" + entry % "y") == {"ai 2019a": "x", "ai 2019b": "y"}
    for lost in ("author", "year"):
        with pytest.raises(ConfigError, match=r"references\.bib: x needs author"):
            citations.known_works((entry % "x").replace(lost, "editor"))


def test_a_notebook_keeps_its_code_and_its_outputs(tmp_path):
    path, source = tmp_path / "a.ipynb", "x = 1  # (He et al., 2020)"
    cells = [nbformat.v4.new_markdown_cell("(He et al., 2020)"), nbformat.v4.new_code_cell(source)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    assert citations.uncited(path, {}) == ["He et al., 2020"]
    citations.give_citations(path, WORKS)
    assert [cell.source for cell in nbformat.read(path, 4).cells] == ["{cite:p}`he`", source]


def test_the_gate_names_a_work_without_an_entry(root, tmp_path):
    toc = [{"file": "index.md"}]
    (tmp_path / "myst.yml").write_text(json.dumps({"project": {"toc": toc}}))
    (tmp_path / "index.md").write_text("# A\n\nAs Nobody et al. (2020) say.\n")
    assert site.audit_files(tmp_path) == ["index.md: names Nobody et al. (2020), not in references.bib"]


def test_every_entry_is_cited_in_the_book_or_in_the_library(root):
    """A docstring may put the venue between the name and the year: "Ai et al., CIKM 2019"."""
    works = citations.bibliography(root)
    pages = [path for pattern in site.PAGES for path in root.glob(pattern)]
    text = "\n".join(path.read_text(encoding="utf-8") for path in pages)
    code = "\n".join(path.read_text(encoding="utf-8") for path in root.glob("gensr_lib/**/*.py"))

    def cited(label: str, key: str) -> bool:
        name, _, year = label.rpartition(" ")
        mention = rf"\b{name}\b[^.]{{0,40}}(?:et al\.[^.]{{0,20}})?{year}"
        return f"`{key}`" in text or bool(re.search(mention, text + code, re.IGNORECASE))

    assert [key for label, key in works.items() if not cited(label, key)] == []
    entries = re.findall(r"^@\w+\{", (root / citations.BIB).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(works) == len(entries) > 30
