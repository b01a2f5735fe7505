"""The published site: its strict build, and the gate that finds what the builder lets pass.

``jupyter-book build --site --strict`` fails on some mistakes, prints a line about others and is
silent about the rest (a link to a missing file, a notebook without outputs, a page outside the
table of contents). So `check_site` takes every line it prints for a failure, and then looks for
itself: in the files (`audit_files`) and in the built pages (`audit_pages`). It needs no network;
publishing (`build_site`) fetches the theme.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .. import NUMBERS
from ..errors import ConfigError
from .citations import BIB, bibliography, uncited
from .notebook_pages import cell_options
from .panel_check import file_faults, link_faults
from .site_finish import address_of, finish
from .site_stage import read_config, stage, toc_files, use_theme
from .status import PAGE as STATUS
from .status import code_at, status_rows
from .study_data import study_faults
from .table_widths import wide_tables

PAGES = ("index.md", "paper_versus_code.md", "book/*.md", "notebooks/[0-9][0-9]_*.ipynb")
MAX_BYTES = 3_000_000  # of one page with its pictures
BUILD_SECONDS = 600
SHOWN = {"image/png", "image/svg+xml", "text/html"}  # kinds of outputs that the copy makes its own
PROBLEM = re.compile(r"^\s*(?:- )?(?:⛔|⚠|❗)\ufe0f?\s*(.+)")
MARKER = ".gensr-site"  # lies in a folder that `build_site` wrote, and may therefore replace
EXTERNAL = re.compile(r"(?:https?|ftp|mailto|tel|doi|data|xref|wiki|rrid|ror):|//", re.IGNORECASE)
# Enough of a theme for `--site`: pages are parsed and checked, nothing is fetched or rendered.
STUB = """\
jtex: v1
title: Book Theme
version: 1.0.0
build: {install: 'true', start: 'false'}
"""


def check_site(root: Path) -> list[str]:
    """Everything that is wrong with the book as a site; an empty list if it may be published.

    Args:
        root: the folder with ``myst.yml``. Nothing in it is changed.

    Raises:
        ConfigError: no ``myst.yml`` that can be read, or jupyter-book is missing.
    """
    if wrong := audit_files(root):
        return wrong  # not worth a build
    with TemporaryDirectory(prefix="gensr-site-") as folder:
        stage(root, Path(folder))
        theme = Path(folder, "_build/templates/site/myst/book-theme")
        theme.mkdir(parents=True)
        (theme / "template.yml").write_text(STUB, encoding="utf-8")
        done = _jupyter_book(Path(folder), "--site")
        wrong = problems(done.stdout)
        if done.returncode and not wrong:
            wrong.append(f"jupyter-book failed: {done.stdout.strip()[-400:]}")
        wrong += audit_pages(Path(folder, "_build/site"))
        wrong += wide_tables(Path(folder))
    return list(dict.fromkeys(wrong))


def build_site(root: Path, out: Path, address: str = "", theme: str = "") -> None:
    """Write the site as HTML to ``out``; ``BASE_URL`` prefixes links as MyST reads it.

    Args:
        address: where it will be published; default: GitHub's pages of GITHUB_REPOSITORY, if set.
        theme: folder of a built theme, for machines that cannot fetch it.

    Raises:
        ConfigError: jupyter-book is missing, the build failed, there is no theme in ``theme``, or
            ``out`` holds anything else than a site that this function built.
    """
    out = out.resolve()
    if out.exists() and not (out / MARKER).exists() and (out.is_file() or any(out.iterdir())):
        raise ConfigError(f"--out {out} is no site that this command built: name another folder")
    with TemporaryDirectory(prefix="gensr-site-") as folder:
        stage(root, Path(folder))
        if theme:
            use_theme(Path(folder), Path(theme))
        done = _jupyter_book(Path(folder), "--html")
        html = Path(folder, "_build/html")
        if done.returncode or not (html / "index.html").exists():
            last = "\n".join(done.stdout.strip().splitlines()[-8:])
            raise ConfigError(f"the site was not built (is there a network?):\n{last}")
        address = address or address_of(os.environ.get("GITHUB_REPOSITORY", ""))
        finish(html, address.rstrip("/"))
        (html / MARKER).write_text("Written by `gensr site build`, which replaces this folder.\n")
        try:
            _replace(out, html)
        except OSError as error:
            raise ConfigError(f"the site cannot be written to --out {out}: {error}") from None


def _replace(out: Path, html: Path) -> None:
    """Put a copy of ``html`` in the place of ``out``, which stays until the copy is whole."""
    new = out.with_name(f".{out.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(html, new)
    if out.exists():
        shutil.rmtree(out)
    new.rename(out)


def _jupyter_book(folder: Path, kind: str) -> subprocess.CompletedProcess:
    """Run the strict build of a staged book; all that it prints is in ``stdout``."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    program = shutil.which("jupyter-book", path=path)
    if not program:
        raise ConfigError("jupyter-book is not installed: make site, or pip install -e '.[site]'")
    # Without a terminal it must not ask whether to install Node.js.
    quiet = {"JB_ALLOW_NODEENV": "0", "FORCE_COLOR": "0", "NO_COLOR": "1"}
    try:
        return subprocess.run(
            [program, "build", kind, "--strict"],
            cwd=folder,
            env={**os.environ, "PATH": path, **quiet},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=BUILD_SECONDS,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        message = f"jupyter-book did not finish in {BUILD_SECONDS} s; does it wait for a network?"
        raise ConfigError(message) from None


def problems(printed: str) -> list[str]:
    """The lines of the builder's output that report an error or a warning.

    >>> problems("building\\n⚠️  a.md:3 No target\\n  - ⛔ Invalid code cell metadata\\n")
    ['builder: a.md:3 No target', 'builder: Invalid code cell metadata']
    """
    found = [match[1].strip() for line in printed.splitlines() if (match := PROBLEM.match(line))]
    return [f"builder: {text}" for text in dict.fromkeys(found)]


def audit_files(root: Path) -> list[str]:
    """What no builder says of the sources: pages outside the contents, notebooks not executed,
    literature that has no entry in the .bib.
    """
    listed = toc_files(read_config(root)["project"]["toc"])
    paths = sorted(path for pattern in PAGES for path in root.glob(pattern))
    pages = {path.relative_to(root).as_posix(): path for path in paths}
    wrong = [f"{name}: is not in the table of contents" for name in pages if name not in listed]
    works = bibliography(root)
    for name, path in pages.items():
        faults = list(_notebook_faults(path)) if path.suffix == ".ipynb" else []
        faults = faults or [f"names {work}, not in {BIB}" for work in uncited(path, works)]
        wrong += [f"{name}: {fault}" for fault in faults]
    wrong += file_faults(root, pages.values()) + study_faults(root, pages.values())
    return wrong + audit_status(root)


def audit_status(root: Path) -> list[str]:
    """Chapters whose numbers, as the status page has it, no commit and no library here would make.

    Whether the recorded code is that of the recorded commit is asked where the history has it.
    """
    wrong = []
    for chapter, row in status_rows(root).items():
        if row["commit"].endswith("-dirty"):
            wrong.append(f"{chapter} was run on changed files ({row['commit']}): commit, run again")
        elif row.get("numbers") not in (None, "", str(NUMBERS)):
            wrong.append(f"{chapter} has numbers of version {row['numbers']}, not {NUMBERS}")
        elif (code := code_at(root, row["commit"])) and code[:8] != row.get("code hash", code[:8]):
            wrong.append(f"{chapter}: commit {row['commit']} has the code {code[:8]}, not that")
    return [f"{STATUS}: {fault}" for fault in wrong]


def _notebook_faults(path: Path) -> Iterator[str]:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [c for c in cells if c["cell_type"] == "code" and "".join(c["source"]).strip()]
        missed = [number for number, c in enumerate(code, 1) if c["execution_count"] is None]
        outputs = [output for c in code for output in c["outputs"]]
        named = [cell_options("".join(c["source"])).get("label") for c in code if not c["outputs"]]
    except (ValueError, KeyError, TypeError) as error:
        yield f"is no notebook that can be read ({type(error).__name__}: {error})"
        return
    if missed:
        yield f"code cell {missed[0]} was not executed ({len(missed)} of {len(code)})"
    if not outputs:
        yield "has no outputs"
    else:
        yield from (f"{label} has a caption, and shows nothing" for label in named if label)


def audit_pages(site: Path) -> list[str]:
    """What is wrong with the built pages (``content/*.json``), of which the builder is silent."""
    paths = sorted(site.glob("content/*.json"))
    pages = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    if not pages:
        return ["no page was built"]
    anchors = {slug: _anchors(page) for slug, page in pages.items()}
    wrong = []
    for slug, page in pages.items():
        name = page.get("location", slug).lstrip("/")
        faults = [fault for node in nodes(page["mdast"]) if (fault := _fault(node, anchors))]
        faults += link_faults(list(nodes(page["mdast"])))
        if not page.get("frontmatter", {}).get("description"):
            faults.append("has no description")
        size = page_bytes(page, site)
        if size > MAX_BYTES:
            faults.append(f"is {size / 1e6:.1f} MB, more than {MAX_BYTES / 1e6:g}")
        wrong += [f"{name}: {fault}" for fault in dict.fromkeys(faults)]
    return wrong


def nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a page and all below it."""
    yield tree
    for child in tree.get("children") or []:
        yield from nodes(child)


def page_bytes(page: dict[str, Any], site: Path) -> int:
    """Bytes that a browser loads for a page: its JSON, and the files shown that lie beside it."""
    text = json.dumps(page["mdast"])
    names = set(re.findall(r'"/([\w.-]+\.(?:png|svg|jpe?g|gif|webp|json|html|txt|mjs))"', text))
    beside = [site / "public" / name for name in names]
    return len(text.encode()) + sum(path.stat().st_size for path in beside if path.is_file())


def _anchors(page: dict[str, Any]) -> set[str]:
    keys = ("identifier", "html_id", "label")
    return {node[key] for node in nodes(page["mdast"]) for key in keys if node.get(key)}


def _fault(node: dict[str, Any], anchors: dict[str, set]) -> str:
    """What is wrong with one node; '' if nothing is."""
    match node["type"]:
        case "link" | "linkBlock" | "card" if node.get("url"):
            return _link_fault(node, anchors)
        case "embed" if not node.get("children"):
            return f"embeds nothing: no label {node['source'].get('label')}"
        case "output" if node.get("jupyter_data", {}).get("output_type") == "error":
            return "shows an error output"
        case "image" if not node.get("alt") or node["alt"].startswith("<"):
            return f"has a picture without an alternative text: {node.get('url')}"
        case "output" if SHOWN & node.get("jupyter_data", {}).get("data", {}).keys():
            return "has a figure or table that is left as an output, apart from its caption"
        case "inlineExpression" if not node.get("result"):
            return f"has an expression without a result: {node.get('value')}"
        case "paragraph":
            text = "".join(child.get("value", "") for child in node.get("children", [])).strip()
            if text.startswith("|") and text.endswith("|"):
                return f"has a row outside of its table: {text[:40]}"
    return ""


def _link_fault(node: dict[str, Any], anchors: dict[str, set]) -> str:
    """A link into the book must have become one to a page, or to a copied file of a new name."""
    url = node["url"]
    if EXTERNAL.match(url):
        return ""
    if node.get("static"):
        return f"links to the missing file {url}" if url == node.get("urlSource") else ""
    page, _, label = url.partition("#")
    slug = page.strip("/") or "index"
    if not node.get("internal") and (not page.startswith("/") or slug not in anchors):
        return f"links to {url}, which is no page"
    if label and slug in anchors and label not in anchors[slug]:
        return f"links to {url}, and there is nothing of that name on the page"
    return ""
