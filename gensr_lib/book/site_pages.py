"""Pages of the site that are made, not written: the status of the chapters, and the reference of the library.

Both are committed, so that the book can be built and read as it is; `write_pages` brings them up to date, and a
test compares the reference with the docstrings.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..files import write_atomically
from .site_stage import STATUS
from .status import NOTEBOOK_AT, ChapterRecord, read_status

PARTS = ("myst.yml", "book", "gensr_lib")  # a folder without them is not the book's root
DEFAULT_RUN = {"DATASET": "pocket", "PROFILE": "pocket", "SEED": 0}  # what the committed notebooks show
COLUMNS = ("chapter", "outcome", "minutes", "seed", "data hash", "code hash", "commit", "finished (UTC)")
SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Attributes|Class attributes|Files):$")
TITLES = {"Args": "Arguments"}
ENTRY = re.compile(r"^(\w[\w, *.]*?)(?: \([^)]*\))?: (.*)", re.DOTALL)
PATH = re.compile(r"""(?<=['"])~?/[^'"]+|(?<![\w./])~?/[^\s'",;)]+""")  # absolute; in quotes with its spaces
SPAN = re.compile(r"(``.+?``|`[^`\n]+`)", re.DOTALL)


def write_pages(root: Path) -> list[Path]:
    """Write ``book/status.md`` and ``book/api.md`` anew; the first only where the default book was run.

    Returns:
        The pages that were written.

    Raises:
        ConfigError: ``root`` is not the book's root.
    """
    if missing := [name for name in PARTS if not (root / name).exists()]:
        raise ConfigError(f"no {' and no '.join(missing)} in {root}: run this from the book's root, without GENSR_HOME")
    pages = {STATUS: status_page(root), "book/api.md": api_page(root / "gensr_lib")}
    return [
        write_atomically(root / name, lambda part, text=text: part.write_text(text, encoding="utf-8"))
        for name, text in pages.items()
        if text
    ]


# ---- status --------------------------------------------------------------------------------------


def status_page(root: Path) -> str:
    """How the last run of each chapter of the default book went; '' if none was run here. Other runs do not count.

    Made from ``runs/book/pocket/pocket/status.json`` and, for the hashes of data and code, from the record that each
    chapter leaves in ``runs/pocket/pocket/chapters/``. Chapters that were never run are named.
    """
    dataset, profile = DEFAULT_RUN["DATASET"], DEFAULT_RUN["PROFILE"]
    records = read_status(root / "runs" / "book" / dataset / profile)
    records = {name: record for name, record in records.items() if record.parameters == DEFAULT_RUN}
    if not records:
        return ""
    names = [path.stem for path in sorted(root.glob("notebooks/[0-9][0-9]_*.ipynb"))]
    lines = ["# Status", "", "When each chapter was last run, with what, and how long it took. This page is made by",
             "`python -m gensr_lib site pages` from the records that `make book` leaves in `runs/`."]  # fmt: skip
    found = [_row(root / "runs" / dataset / profile, records[name]) for name in sorted(records)]
    never = [name for name in names if name not in records]
    machines = {f"torch {r.machine.get('torch', '?')} on {r.machine.get('device', '?')}" for r in records.values()}
    lines += ["", f"## Data set {dataset}, profile {profile}", "", f"With {'; '.join(sorted(machines))}.", ""]
    lines += _table(found)
    lines += ["", f"Not run here yet: {', '.join(never)}."] if never else []
    return "\n".join(lines) + "\n"


def _row(folder: Path, record: ChapterRecord) -> dict[str, Any]:
    """One line of the table; the error of a failed chapter without its paths."""
    made = _provenance(folder / "chapters" / f"{record.chapter}.json")
    error = [line.strip() for line in record.error.splitlines() if line.strip() and not line.startswith(NOTEBOOK_AT)]
    return {
        "chapter": record.chapter,
        "outcome": f"failed: {_inline(PATH.sub('…', error[-1]))}" if error else "ran",
        "minutes": f"{record.seconds / 60:.1f}",
        "seed": record.parameters.get("SEED", ""),
        "data hash": made.get("dataset_hash", "")[:8],
        "code hash": made.get("code_hash", "")[:8],
        "commit": re.sub(r"^([0-9a-f]{8})[0-9a-f]+", r"\1", record.machine.get("commit", "")),
        "finished (UTC)": record.finished[:16].replace("T", " "),
    }


def _provenance(path: Path) -> dict[str, Any]:
    """What a chapter recorded about its data and code; nothing if it left no readable record."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["provenance"]
    except (OSError, ValueError, KeyError):
        return {}


def _table(rows: list[dict[str, Any]]) -> list[str]:
    cells = [[str(row[column]).replace("|", "\\|") for column in COLUMNS] for row in rows]
    return ["| " + " | ".join(line) + " |" for line in [COLUMNS, ["---"] * len(COLUMNS), *cells]]


# ---- the reference of the library ----------------------------------------------------------------


def api_page(package: Path) -> str:
    """Every public module, class, method and function with its signature and docstring, sorted by module.

    The sources are parsed, not imported: the page is the same on every machine.
    """
    lines = ["# API", "", "Made from the docstrings of `gensr_lib`, by module. Start with `load_dataset`, `Workspace`,",
             "`train` and `evaluate`; how they fit together is shown in [chapter 1](../notebooks/01_data.ipynb) and",
             "[Add a model](add_a_model.md)."]  # fmt: skip
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        if parts[-1].startswith("__") or not ast.get_docstring(tree):
            continue
        lines += ["", f"## `{'.'.join(parts)}`", "", *markdown(ast.get_docstring(tree))]
        for node in _public(tree.body):
            lines += _described(node, source.splitlines(), "###")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def _public(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Functions and classes without a leading underscore that say what they are."""
    for node in body:
        named = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        if named and ast.get_docstring(node):
            yield node


def _described(node: ast.FunctionDef | ast.ClassDef, source: list[str], level: str) -> list[str]:
    """Heading, signature, docstring and options of a class or function, then its methods."""
    signature = _signature(node, source)
    lines = ["", f"{level} `{node.name}`", "", "```python", *signature, "```", "", *markdown(ast.get_docstring(node))]
    if isinstance(node, ast.ClassDef):
        lines += _options(node)
        for method in _public(node.body):
            lines += _described(method, source, level + "#")
    return lines


def _signature(node: ast.FunctionDef | ast.ClassDef, source: list[str]) -> list[str]:
    """The decorators and the lines up to the docstring, as they stand in the source."""
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    lines = textwrap.dedent("\n".join(source[first - 1 : node.body[0].lineno - 1])).splitlines()
    return [*lines[:-1], re.sub(r":\s*(#.*)?$", "", lines[-1])]


def _options(node: ast.ClassDef) -> list[str]:
    """A table of the fields of a class that are declared with `Field`, with defaults and descriptions."""
    rows = []
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.value, ast.Call):
            call, words = field.value, {word.arg: word.value for word in field.value.keywords}
            if ast.unparse(call.func) == "Field" and call.args:
                text = words["description"].value if "description" in words else ""
                rows.append((f"`{ast.unparse(field.target)}`", f"`{ast.unparse(call.args[0])}`", _inline(text)))
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    head = [["option", "default", "meaning"], ["---"] * 3]
    return ["", *("| " + " | ".join(line) + " |" for line in [*head, *cells])] if rows else []


# ---- docstrings as Markdown ----------------------------------------------------------------------


def markdown(docstring: str) -> list[str]:
    """A docstring in the style of this library as lines of Markdown.

    Sections become bold titles with lists, doctests and blocks behind ``::`` become code.

    >>> markdown("Sum.\\n\\nArgs:\\n    a: first,\\n        a number.\\n\\n>>> add(1, 2)\\n3")
    ['Sum.', '', '**Arguments**', '', '- `a`: first, a number.', '', '```python', '>>> add(1, 2)', '3', '```']
    """
    lines, result = docstring.splitlines(), []
    while lines:
        block, verbatim = [], bool(result) and result[-1].endswith("::") and lines[0].startswith("    ")
        take = _indented if verbatim else _paragraph
        while lines and take(lines[0], block):
            block.append(lines.pop(0))
        if verbatim:
            result = [*result[:-1], result[-1][:-1], "", "```text", *textwrap.dedent("\n".join(block)).split("\n")]
            result = [*_without_blank_end(result), "```", *([""] if lines else [])]
        else:
            result += _block(block)
        while lines and not lines[0].strip():
            lines.pop(0)
            result += [] if result[-1].endswith("::") or result[-1] == "" else [""]
    return result


def _paragraph(line: str, _: list[str]) -> bool:
    return bool(line.strip())


def _indented(line: str, _: list[str]) -> bool:
    return not line.strip() or line.startswith("    ")


def _without_blank_end(lines: list[str]) -> list[str]:
    return _without_blank_end(lines[:-1]) if lines and not lines[-1].strip() else lines


def _block(lines: list[str]) -> list[str]:
    """One paragraph: a doctest, a section, or text."""
    if lines[0].startswith(">>>"):
        return ["```python", *lines, "```"]
    section = SECTION.match(lines[0])
    if not section:
        return [_inline(line) for line in lines]
    body = textwrap.dedent("\n".join(lines[1:]))
    entries = [re.sub(r"\s*\n\s+", " ", entry) for entry in re.split(r"\n(?=\S)", body)]
    listed = section[1] not in ("Returns", "Yields")
    return [f"**{TITLES.get(section[1], section[1])}**", "", *(_entry(entry, listed) for entry in entries)]


def _entry(text: str, listed: bool) -> str:
    """``name: text`` as an item of a list, and what has no name as text."""
    match = ENTRY.match(text) if listed else None
    return f"- `{match[1]}`: {_inline(match[2])}" if match else ("- " if listed else "") + _inline(text)


def _inline(text: str) -> str:
    """Text with code spans as Markdown has them, and nothing that MyST would take for its own syntax."""
    parts = SPAN.split(text)
    code = [f"`{' '.join(part.strip('`').split())}`" if i % 2 else "" for i, part in enumerate(parts)]
    plain = [re.sub(r"([$<{@\[])", r"\\\1", part) if i % 2 == 0 else "" for i, part in enumerate(parts)]
    return "".join(a or b for a, b in zip(code, plain, strict=True))
