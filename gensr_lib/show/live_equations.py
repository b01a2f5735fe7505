"""The live equations of ``book/widgets`` in a notebook, and in the pages that are made of it.

Each is an ES module that exports ``default {render({model, el})}``, the protocol of anywidget. On
the site MyST's directive ``anywidget`` loads it. A notebook's output holds the module itself and
the lines that start it, so that Jupyter needs no further package. Both load one file: what the
modules share is put in the place of its import.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from ..errors import ConfigError, known
from ..files import project_root
from .modules import bundled

FOLDER = "book/widgets"
NO_EQUATIONS = ("common.mjs", "study.mjs")  # what all share; a panel that needs a page's data
# The shadow root keeps the page's style and the equation's apart, as on the site.
PAGE = """\
<div id="{place}">Run this cell to make the equation live.</div>
<script type="module">
const source = {source}, values = {values};
const module = URL.createObjectURL(new Blob([source], {{ type: "text/javascript" }}));
const equation = (await import(module)).default;
for (const place of document.querySelectorAll("#{place}")) {{
  if (place.shadowRoot) continue;
  const el = place.attachShadow({{ mode: "open" }}).appendChild(document.createElement("div"));
  equation.render({{ model: {{ get: (name) => values[name] }}, el }});
}}
</script>
"""


@dataclass(frozen=True)
class LiveEquation:
    """What a cell shows: an equation with sliders.

    Attributes:
        name: of its module, without the ending.
        source: the module, which imports nothing.
        values: where the sliders start, by the names in the module's ``controls``.
    """

    name: str
    source: str
    values: dict[str, float]

    def __repr__(self) -> str:
        return f"live equation '{self.name}'"

    def _repr_html_(self) -> str:
        key = f"{self.name} {json.dumps(self.values, sort_keys=True)}"
        place = f"live-{self.name}-{crc32(key.encode()):08x}"  # the same in each run of the cell
        return PAGE.format(place=place, source=_script(self.source), values=_script(self.values))


def live(name: str, **values: float) -> LiveEquation:
    """An equation with sliders, as the last line of a notebook's cell.

    Args:
        name: a module of ``book/widgets``, such as "soft_filter".
        values: where its sliders start, in place of the chapter's own numbers.

    Raises:
        ConfigError: no such equation or slider, or the folder ``book/widgets`` is missing.

    >>> live("soft_filter", angle=90)
    live equation 'soft_filter'
    """
    modules = {path.stem: path for path in _folder().glob("*.mjs") if path.name not in NO_EQUATIONS}
    source = bundled(modules[known("live equation", name, modules)])
    sliders = re.findall(r'\bname: "(\w+)",\s+label:', source)
    for slider in values:
        known(f"slider of the live equation '{name}'", slider, sliders)
    return LiveEquation(name, source, values)


def directive(code: str) -> str:
    """The MyST directive that shows on a page what a cell ``live(...)`` shows; else ''.

    >>> print(directive('live("soft_filter", angle=90)'))
    :::{anywidget} /book/widgets/soft_filter.mjs
    {"angle": 90}
    :::
    >>> directive("plots.lines(table)")
    ''
    """
    try:
        match ast.parse(code).body:
            case [ast.Expr(ast.Call(ast.Name("live"), [ast.Constant(str(name))], keywords))]:
                values = {word.arg: ast.literal_eval(word.value) for word in keywords}
                body = json.dumps(values)
                return f":::{{anywidget}} /{FOLDER}/{name}.mjs\n{body}\n:::"
    except (SyntaxError, ValueError):
        pass  # a magic command, or values that only a run can know
    return ""


def _folder() -> Path:
    for root in (Path(__file__).parents[2], project_root()):
        if (root / FOLDER).is_dir():
            return root / FOLDER
    raise ConfigError(f"no {FOLDER} in {project_root()}: live equations need the book's checkout")


def _script(value: object) -> str:
    """A value as JavaScript that cannot end the script it stands in."""
    return json.dumps(value).replace("<", "\\u003c")
