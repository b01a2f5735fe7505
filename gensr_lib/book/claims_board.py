"""The board of claims as a part of the landing page: a card for each, with a small picture."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ..show.tables import signed
from .claims import Claim, Verdict, judged

BOARD = "book/claims.md"  # included by index.md; in the staged copy alone
THUMBS = "book/thumbs"
WIDTH = 640  # pixels of a small picture: twice what a card shows, for dense screens


def write_board(root: Path, folder: Path) -> None:
    """Write the cards to ``folder/book/claims.md``, and the pictures that they show beside it.

    Args:
        root: the project, whose ``figures/`` hold the tables and the pictures of the default run.
        folder: the staged copy.

    Raises:
        ConfigError: as `claims.judged`.
    """
    thumbs = folder / THUMBS
    thumbs.mkdir(parents=True)
    cards = []
    for claim, verdict in judged(root / "figures"):
        if claim.picture:
            with Image.open(root / f"figures/{claim.picture}.png") as picture:
                picture.thumbnail((WIDTH, WIDTH))
                small = picture.convert("RGB").quantize(64)
            small.save(thumbs / f"{claim.picture}.png", optimize=True)
        cards.append(card(claim, verdict))
    text = "\n\n".join(["::::{grid} 1 1 2 2", *cards, "::::"])
    (folder / BOARD).write_text(text + "\n", encoding="utf-8")


def card(claim: Claim, verdict: Verdict) -> str:
    """A card in MyST's syntax, which links to the chapter; paths are the including page's."""
    picture = f"{THUMBS}/{claim.picture}.png"
    return "\n".join(
        [
            f":::{{card}} {claim.says}",
            f":link: notebooks/{claim.chapter}.ipynb",
            f"**{verdict.word[0].upper()}{verdict.word[1:]}**, {claim.where}",
            "^^^",
            *([f"![{claim.says}: {verdict.word}]({picture})", ""] if claim.picture else []),
            signed(verdict.number),
            ":::",
        ]
    )
