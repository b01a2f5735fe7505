"""The plan of the house: rooms at the root, and imports that only run down."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import gensr_lib
from gensr_lib.data.sources.load import OWN, SOURCES

PACKAGE = Path(gensr_lib.__file__).parent
# From the ground floor up; a room may import from itself and from those before it.
ROOMS = ("config", "data", "models", "training", "experiments", "analysis", "show", "explore", "book")


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imports(name: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules of the package that a file imports, anywhere in it, also inside functions."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        if isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            target = ".".join(filter(None, [base, node.module or ""]))
            for alias in node.names:
                full = f"{target}.{alias.name}"
                if full in known or target in known:
                    yield full if full in known else target


def room(module: str) -> str | None:
    """The room of a module; None for the few files at the root."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else None


def test_imports_run_down_and_nothing_imports_the_book():
    known = modules()
    up = [
        f"{name} imports {other}"
        for name, path in known.items()
        for other in imports(name, path, known)
        if room(name) and room(other) and ROOMS.index(room(other)) > ROOMS.index(room(name))
    ]
    assert not up
    assert any(
        room(other) == "data" for other in imports("gensr_lib.training.loop", known["gensr_lib.training.loop"], known)
    )


def test_no_module_imports_itself_by_way_of_others():
    known = modules()
    left = {name: set(imports(name, path, known)) - {name} for name, path in known.items()}
    while ready := [name for name, others in left.items() if not others & set(left)]:
        for name in ready:
            del left[name]
    assert not left  # all that is in a circle, or imports one


def test_sources_do_not_know_each_other_and_stand_on_the_formats():
    """Below them: `formats`, `source`, made searches. Above them: the table, and downloads."""
    known = modules()
    room_of_sources = "gensr_lib.data.sources"
    floors = [{"source", "formats", "made_searches"}, {*SOURCES.values(), OWN}, {"load"}, {"downloads"}]
    floor = {name: number for number, names in enumerate(floors) for name in names}
    edges = [
        (
            name.removeprefix(f"{room_of_sources}.").split(".")[0],
            other.removeprefix(f"{room_of_sources}.").split(".")[0],
        )
        for name, path in known.items()
        for other in imports(name, path, known)
        if name.startswith(f"{room_of_sources}.") and other.startswith(f"{room_of_sources}.")
    ]
    assert edges and {name for edge in edges for name in edge} <= set(floor)
    assert not [(a, b) for a, b in edges if floor[b] > floor[a] or (floor[a] == 1 == floor[b] and a != b)]


def test_the_root_holds_the_rooms_and_a_few_files():
    entries = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert set(ROOMS) <= entries and len(entries) <= 14
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(ROOMS)


def test_every_room_says_what_it_is_for_and_its_public_names_exist():
    for folder in [PACKAGE, *(p.parent for p in PACKAGE.rglob("__init__.py"))]:
        tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), folder
    for name in gensr_lib.__all__:
        assert getattr(gensr_lib, name) is not None
