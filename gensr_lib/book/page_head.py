"""What a page says of itself to search engines and to those who share it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ..show.style import COLOURS
from .notebook_pages import plain

FRONT = re.compile(r"\A---\n(.*?)\n---\n+", re.DOTALL)
LONGEST = 200  # characters of a description; search engines show some 160
CARD = "book/images/card.png"
INCHES, DPI = (8.0, 4.2), 150  # 1200 x 630 pixels


def with_head(text: str, **more: Any) -> str:
    """A page in Markdown with a description, its own or its first sentences, in the front matter.

    >>> print(with_head("# A page\\n\\n**Overview.** It says `this`. And more.", thumbnail="a.png"))
    ---
    thumbnail: a.png
    description: It says this. And more.
    ---
    # A page
    <BLANKLINE>
    **Overview.** It says `this`. And more.

    Args:
        more: other entries of the front matter; those that the page has itself win.
    """
    found = FRONT.match(text)
    head = {**more, **(yaml.safe_load(found[1]) if found else {})}
    body = text[found.end() :] if found else text
    if about := head.get("description") or first_sentences(body):
        head["description"] = about
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n{body}"


def first_sentences(body: str) -> str:
    """As many of a page's first sentences as a description holds, at least one; '' if none."""
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", body)]
    prose = [part for part in paragraphs if re.match(r"[\w*`\[{]", part)]
    if not prose:
        return ""
    first, *others = re.split(r"(?<=[.!?:]) (?=[A-Z])", plain(prose[0]).removeprefix("Overview. "))
    for sentence in others:
        if len(f"{first} {sentence}") > LONGEST:
            break
        first = f"{first} {sentence}"
    return first


def draw_card(title: str, path: Path) -> None:
    """The picture that is shown where a page of the site is shared: its title, 1200 x 630."""
    from matplotlib.figure import Figure

    figure = Figure(INCHES, dpi=DPI, facecolor="#10243e")
    figure.text(0.08, 0.56, title, color="white", size=30, weight="bold", va="center")
    about = "Search and recommendation in one generative model,\nread step by step, with the code"
    figure.text(0.08, 0.32, about, color="#b8c7db", size=15, va="center")
    for number, colour in enumerate(COLOURS[:3]):
        figure.add_artist(_bar(0.08 + 0.11 * number, colour))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI, metadata={"Software": None})  # else it names its version


def _bar(left: float, colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((left, 0.76), 0.1, 0.025, color=colour)
