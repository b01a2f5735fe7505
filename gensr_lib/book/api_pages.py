"""The reference of the library for the site: a page for each module that has public names.

The pages are made by griffe from the sources, which are parsed and not imported, when the site is
staged; they are never committed.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = "book/api"
OVERVIEW = """\
# The library

Each module of `gensr_lib` by its docstrings. Start with `load_dataset`, `Workspace`, `train` and
`evaluate`; how they fit together is shown in [chapter 1](../../notebooks/01_data.ipynb) and
[Add a model](../add_a_model.md).
"""
CODE = re.compile(r"(``.+?``|`[^`\n]+`)", re.DOTALL)
# Parts of a docstring's text that are code: doctests, and blocks that stand behind a "::".
DOCTEST = re.compile(r"^>>> .*?(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"::\n\n((?: {4}.*(?:\n|\Z)|\n)+)")


def write_api_pages(root: Path, folder: Path, repository: str = "") -> list[dict[str, Any]]:
    """Write the pages for ``root/gensr_lib`` to ``folder/book/api``.

    Args:
        repository: ``owner/name`` at GitHub, to whose sources the pages then link.

    Returns:
        Their part of the site's table of contents: the overview, then the modules by room.
    """
    import griffe

    package = griffe.load(
        "gensr_lib",
        search_paths=[root],
        try_relative_path=False,  # the working directory may hold another one
        docstring_parser="google",
        docstring_options={"warnings": False},
    )
    (folder / FOLDER).mkdir(parents=True)
    rooms: dict[str, list[Any]] = {}
    for module in sorted(_modules(package), key=lambda module: module.path):
        source = f"https://github.com/{repository}/blob/HEAD/{_file(module)}" if repository else ""
        text = "\n".join([f"# {module.path}", *_described(module, source)])
        (folder / FOLDER / f"{module.path}.md").write_text(text + "\n", encoding="utf-8")
        rooms.setdefault(_room(module), []).append(module)
    listed = [line for room in rooms.items() for line in _listed(package, *room)]
    overview = "\n".join([OVERVIEW, *listed]) + "\n"
    (folder / FOLDER / "overview.md").write_text(overview, encoding="utf-8")
    entries: list[dict[str, Any]] = [{"file": f"{FOLDER}/overview.md"}]
    for room, modules in rooms.items():
        files = [{"file": f"{FOLDER}/{module.path}.md"} for module in modules]
        entries.append({"title": room, "children": files})
    return [{"title": "The library", "children": entries}]


def _room(module: Any) -> str:
    """The package below the library's root that a module is in; of the root's files that itself."""
    parts = module.path.split(".")
    return ".".join(parts[:2] if len(parts) > 2 or module.modules else parts[:1])


def _listed(package: Any, room: str, modules: list[Any]) -> Iterator[str]:
    """A room's part of the overview: what it is, and its modules with what they are."""
    owner = package[room.partition(".")[2]] if "." in room else package
    yield from [f"## {room}", "", _about(owner), ""]
    yield from (f"- [{m.path.removeprefix(f'{room}.')}]({m.path}.md): {_about(m)}" for m in modules)
    yield ""


def _about(module: Any) -> str:
    """The first paragraph of a module's docstring, on one line."""
    text = module.docstring.value if module.docstring else ""
    return " ".join(_text(text.partition("\n\n")[0]).split())


def _modules(package: Any) -> Iterator[Any]:
    """The package's modules with public functions or classes."""
    for module in package.modules.values():
        if any(_public(module)):
            yield module
        yield from _modules(module)


def _file(module: Any) -> str:
    """The module's file, relative to the repository."""
    name = module.path.replace(".", "/")
    return f"{name}/__init__.py" if module.filepath.name == "__init__.py" else f"{name}.py"


def _public(owner: Any) -> Iterator[Any]:
    """Functions, classes and properties that say what they are, in the order of the source."""
    for name, member in owner.members.items():
        if member.is_alias or name.startswith("_") or member.is_module or not member.docstring:
            continue
        if member.is_function or member.is_class or "property" in member.labels:
            yield member


def _described(owner: Any, source: str, level: str = "##") -> Iterator[str]:
    """Docstring and options of a module, class or function, then what is public in it.

    ``source`` is the address of the module's file, '' if it has none.
    """
    for section in owner.docstring.parsed if owner.docstring else []:
        yield from ["", *_section(section)]
    yield from _options(owner)
    for member in _public(owner):
        head = member.lines[: member.docstring.lineno - member.lineno]
        code = textwrap.dedent("\n".join(head)).rstrip().removesuffix(":")
        if "property" in member.labels:  # griffe counts from the line below the decorator
            code = f"@property\n{code}"
        yield from ["", f"{level} `{member.name}`", "", "```python", code, "```"]
        if source:
            yield f"\n[Source]({source}#L{member.lineno}-L{member.endlineno})"
        yield from _described(member, source, level + "#")


def _section(section: Any) -> Iterator[str]:
    """One part of a docstring as Markdown: text, or a title with a list of entries."""
    if section.kind.value == "text":
        yield _text(section.value)
        return
    yield f"**{(section.title or section.kind.value).capitalize()}**\n"
    if section.kind.value == "admonition":  # a title that griffe does not know
        yield _text(section.value.description)
        return
    for entry in section.value:
        name = getattr(entry, "name", "")
        if not name and section.kind.value == "raises":
            name = entry.annotation
        elif name.endswith(","):  # of "a, b: …", griffe takes what follows the comma for a type
            name = f"{name} {entry.annotation}"
        about = " ".join(_prose(entry.description).split())
        yield f"- `{name}`: {about}" if name else about


def _text(text: str) -> str:
    """A docstring's text: its code fenced, the rest free of what MyST takes for its own syntax."""
    text = DOCTEST.sub(lambda match: f"```python\n{match[0]}\n```", text)
    text = BLOCK.sub(lambda m: f":\n\n```text\n{textwrap.dedent(m[1]).strip()}\n```\n\n", text)
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if i % 2 else _prose(part) for i, part in enumerate(parts))


def _prose(text: str) -> str:
    parts = CODE.split(text)
    return "".join(
        f"`{' '.join(part.strip('`').split())}`" if i % 2 else re.sub(r"([$<{@\[])", r"\\\1", part)
        for i, part in enumerate(parts)
    )


def _options(owner: Any) -> list[str]:
    """The fields of a configuration, which are declared by ``Field(default, description=…)``."""
    rows = []
    for name, field in owner.members.items() if owner.is_class else []:
        value = str(field.value) if field.is_attribute else ""
        if value.startswith("Field("):
            call = ast.parse(value, mode="eval").body
            words = {word.arg: word.value for word in call.keywords}
            about = ast.literal_eval(words.get("description", ast.Constant("")))
            about = _prose(about).replace("|", "\\|")
            default = ast.unparse(call.args[0]) if call.args else ""
            rows.append(f"| `{name}` | `{default}` | {about} |")
    return ["", "| option | default | meaning |", "| --- | --- | --- |", *rows] if rows else []
