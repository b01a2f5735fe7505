"""The board of claims as a part of the landing page: a card for each, with a small picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ..show import plots, saving
from ..show.tables import signed
from .claims import Claim, judged
from .judges import Verdict
from .marks import Marks

BOARD = "book/claims.md"  # included by index.md; in the staged copy alone
THUMBS = "book/thumbs"
WIDTH = 3.6  # inches of a picture, about as large as a card shows it
AROUND, ROW = 0.95, 0.24  # inches of height: of the axis and its label, and of a number
SMALL = {"font.size": 9, "axes.labelsize": 9, "xtick.labelsize": 9, "ytick.labelsize": 9}


def write_board(root: Path, folder: Path) -> None:
    """Write the cards to ``folder/book/claims.md``, and the pictures that they show beside it.

    Args:
        root: the project, whose ``figures/`` hold the tables of the default run.
        folder: the staged copy.

    Raises:
        ConfigError: as `claims.judged`.
    """
    (folder / THUMBS).mkdir(parents=True)
    cards = []
    for claim, verdict in judged(root / "figures"):
        path = f"{THUMBS}/{claim.judge.__name__}.svg"
        saving.save_drawing(draw(verdict.marks), folder / path)
        cards.append(card(claim, verdict, path))
    text = "\n\n".join(["::::{grid} 1 1 2 2", *cards, "::::"])
    (folder / BOARD).write_text(text + "\n", encoding="utf-8")


def draw(marks: Marks) -> Figure:
    """The numbers that decide, for a card: a point with its interval in each row."""
    plots.use_style()
    with mpl.rc_context(SMALL):
        size = (WIDTH, AROUND + ROW * len(marks.table))
        fig, ax = plt.subplots(figsize=size, layout="constrained")
        plt.close(fig)
        plots.intervals(marks.table, "", ax=ax, reference=marks.reference, legend=False)
        fig.supxlabel(marks.xlabel, fontsize=9)  # below the picture: the panel may be narrower
        ax.locator_params(axis="x", nbins=4)
        ax.margins(x=0.1)
    return fig


def card(claim: Claim, verdict: Verdict, picture: str) -> str:
    """A card in MyST's syntax, which links to the chapter; paths are the including page's."""
    return "\n".join(
        [
            f":::{{card}} {claim.says}",
            f":link: notebooks/{claim.chapter}.ipynb",
            f"**{verdict.word[0].upper()}{verdict.word[1:]}**, {claim.where}",
            "^^^",
            f"![{claim.says}: {verdict.word}]({picture})",
            "",
            signed(verdict.number),
            ":::",
        ]
    )
