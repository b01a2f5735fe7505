"""Literature that a chapter names in plain text becomes citations on the page.

JupyterLab shows MyST's roles raw, so a chapter writes ``(He et al., 2020)``. On the page that is a
link, and the work stands in the list of references below. First author and year tell the work in
``references.bib``; of works that share both, the first there is 2020a, the second 2020b.
"""

from __future__ import annotations

import json
import re
from calendar import month_name
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from ..errors import ConfigError

BIB = "references.bib"
ENTRY = re.compile(r"^@\w+\{([\w-]+),(.*?)^\}", re.DOTALL | re.MULTILINE)
NAME = r"(?:[Vv]an\s+(?:de[nr]\s+)?|[Dd]e\s+)?[A-ZÀ-Þ][\w’'-]+"
MORE = rf"\s+et\s+al\.|\s+(?:and|&)\s+{NAME}"
YEAR = r"(?:19|20)\d\d[a-h]?\b"
INSIDE = rf"{NAME}(?:{MORE})?,?\s+{YEAR}"  # as within parentheses: He et al., 2020
BESIDE = rf"{NAME}(?:{MORE})?\s+\({YEAR}\)"  # as in a sentence: He et al. (2020)
MENTION = rf"\({INSIDE}(?:;\s+{INSIDE})*\)|\b{BESIDE}|\b{INSIDE}"
WORK = re.compile(rf"({NAME})({MORE})?,?\s+\(?({YEAR})")
LEFT_ALONE = r"""
    \A---\n.*?\n---\n  # the front matter
    | ^[ ]*(?P<fence>`{3,}|~{3,}).*?^[ ]*(?P=fence)
    | (?P<ticks>`+)(?!`)(?:[^\n]|\n(?!\n))*?(?<!`)(?P=ticks)(?!`)  # code, and what a role holds
    | ^:[\w-]+:[^\n]*  # an option of a directive
    | ^\#+[ ][^\n]*  # a heading, whose words are an address
    | \$\$.*?\$\$ | \$(?:[^$\n]|\n(?!\n))+\$
    | \[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])
    | <(?P<tag>table|pre|svg)\b.*?</(?P=tag)> | <[^<>\n]+>"""
TOKEN = re.compile(f"{LEFT_ALONE} | (?P<mention>{MENTION})", re.DOTALL | re.MULTILINE | re.VERBOSE)


def known_works(bib: str) -> dict[str, str]:
    """The key of each entry of a .bib, by its first author's family name and its year.

    >>> known_works("@misc{a1,\\n author = {{De Nadai}, M. and Ai, Q.},\\n year = {2024}\\n}\\n")
    {'de nadai 2024': 'a1'}

    Raises:
        ConfigError: an entry has no author ("Family, Given") or no year in braces.
    """
    found = defaultdict(list)
    for key, fields in ENTRY.findall(bib):
        author = re.search(r"\bauthor\s*=\s*\{\{?([^,{}]+)", fields)
        year = re.search(r"\byear\s*=\s*\{(\d{4})\}", fields)
        if not author or not year:
            raise ConfigError(f"{BIB}: {key} needs author = {{Family, Given}} and year = {{2020}}")
        found[_label(author[1], year[1])].append(key)
    known = {}
    for label, keys in found.items():
        letters = "abcdefgh" if len(keys) > 1 else [""]
        known |= {label + letter: key for letter, key in zip(letters, keys, strict=False)}
    return known


def bibliography(root: Path) -> dict[str, str]:
    """`known_works` of the book in a folder; empty where it has no .bib."""
    path = root / BIB
    return known_works(path.read_text(encoding="utf-8")) if path.exists() else {}


def with_citations(text: str, works: dict[str, str]) -> str:
    """A page's Markdown with its mentions of known works as MyST's citations.

    Code, mathematics, links, headings and roles are left alone, and so are unknown works.

    >>> works = {"he 2020": "he2020lightgcn", "ai 2017": "ai2017hem"}
    >>> with_citations("LightGCN (He et al., 2020)", works)
    'LightGCN {cite:p}`he2020lightgcn`'
    >>> with_citations("He et al. (2020) and others (HEM, Ai et al., 2017)", works)
    '{cite:t}`he2020lightgcn` and others (HEM, {cite:alp}`ai2017hem`)'
    """
    return TOKEN.sub(lambda found: _citation(found["mention"], works) or found[0], text)


def unknown_works(text: str, works: dict[str, str]) -> list[str]:
    """The works that a page's Markdown names, and the .bib does not have.

    A word and a year are taken for a work where they stand as one is cited: "April 2025" is none.

    >>> unknown_works("(He et al., 2020), Ai and Bi (2017), in April 2025 (May 2025)", {})
    ['He et al., 2020', 'Ai and Bi (2017)']
    """
    return [
        found[0] + ")" * found[0].count("(")
        for token in TOKEN.finditer(text)
        for found in WORK.finditer(token["mention"] or "")
        if _label(found[1], found[3]) not in works
        and found[1] not in month_name
        and (found[2] or "(" in token["mention"])
    ]


def give_citations(page: Path, works: dict[str, str]) -> None:
    """Make the citations of a page or notebook of the staged book, in place."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        notebook = json.loads(text)
        for cell in _prose(notebook):
            cell["source"] = with_citations("".join(cell["source"]), works)
        text = json.dumps(notebook)
    else:
        text = with_citations(text, works)
    page.write_text(text, encoding="utf-8")


def uncited(page: Path, works: dict[str, str]) -> list[str]:
    """What `unknown_works` finds in the prose of a page or notebook."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return unknown_works(text, works)
    cells = ["".join(cell["source"]) for cell in _prose(json.loads(text))]
    return [work for cell in cells for work in unknown_works(cell, works)]


def _citation(mention: str | None, works: dict[str, str]) -> str:
    """The role for a mention of one or several works; '' if one of them is unknown."""
    labels = [_label(name, year) for name, _, year in WORK.findall(mention or "")]
    if not labels or not works.keys() >= set(labels):
        return ""
    if mention.startswith("("):
        role = "cite:p"
    else:
        role = "cite:t" if mention.endswith(")") else "cite:alp"
    return f"{{{role}}}`{';'.join(works[label] for label in labels)}`"


def _prose(notebook: dict) -> Iterator[dict]:
    return (cell for cell in notebook["cells"] if cell["cell_type"] == "markdown")


def _label(name: str, year: str) -> str:
    return " ".join(f"{name} {year}".casefold().split())
