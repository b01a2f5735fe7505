"""Code beside the claim: functions of the library, shown in a chapter as they run there."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]  # where `gensr_lib` lies


@dataclass(frozen=True)
class Listing:
    """Source code that a notebook shows as a block of Python.

    Attributes:
        text: the source, without docstrings.
        places: where each part stands, such as ``gensr_lib/models/layers.py: SoftFilter.forward``.
    """

    text: str
    places: tuple[str, ...]

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        places = ", ".join(f"`{place}`" for place in self.places)
        return f"```python\n{self.text}\n```\n\n{places}"


def code(*functions: Callable | type | property) -> Listing:
    """What the library does, to stand under the formula that it computes.

    Args:
        functions: functions, methods, properties or classes of the library; not their names, so
            that one that is gone fails. Docstrings are left out: the chapter says what it is for.
    """
    plain = [_plain(function) for function in functions]
    sources = [textwrap.dedent(inspect.getsource(function)).rstrip() for function in plain]
    text = "\n\n\n".join(without_docstrings(source) for source in sources)
    return Listing(text, tuple(map(_place, plain)))


def without_docstrings(source: str) -> str:
    r"""Python source without its docstrings, and else as it was.

    >>> print(without_docstrings('def twice(x):\n    "Twice."\n\n    return 2 * x  # (B,)'))
    def twice(x):
        return 2 * x  # (B,)
    """
    lines = source.splitlines()
    gone: set[int] = set()  # numbers from 0
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            docstring = node.body[0]
            gone |= {*range(docstring.lineno - 1, docstring.end_lineno)}
            if not lines[docstring.end_lineno]:  # it parted the docstring from the code
                gone.add(docstring.end_lineno)
    return "\n".join(line for number, line in enumerate(lines) if number not in gone)


def _plain(function: Callable | type | property) -> Callable | type:
    """What stands in the source: a property's getter, and what a decorator wraps."""
    return inspect.unwrap(function.fget if isinstance(function, property) else function)


def _place(function: Callable | type) -> str:
    path = Path(inspect.getsourcefile(function)).relative_to(ROOT)
    return f"{path.as_posix()}: {function.__qualname__}"
