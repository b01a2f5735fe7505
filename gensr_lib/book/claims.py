"""The board of claims: what the paper says, and what was found here.

Each claim has a judge (`judges`), which reads the tables that the chapters of the default run left
in ``figures/`` and gives the verdict by a rule, with the number that decides. So nothing on the
board is typed, and it changes when a chapter does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from ..errors import ConfigError
from . import judges
from .judges import Read, Verdict


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
        says: the claim, in a sentence.
        where: in the paper.
        chapter: where it is put to the test.
        judge: reads tables by their names and decides.
    """

    says: str
    where: str
    chapter: str
    judge: Callable[[Read], Verdict]


def judged(figures: Path) -> Iterator[tuple[Claim, Verdict]]:
    """All claims with their verdicts, in the order of the paper.

    Raises:
        ConfigError: a table of a chapter is not there, or is not what its judge reads.
    """
    for claim in CLAIMS:
        try:
            yield claim, claim.judge(partial(_read, figures))
        except (LookupError, ValueError, TypeError) as error:
            message = (
                f"{figures}: the tables of {claim.chapter} do not decide '{claim.says}' "
                f"({type(error).__name__}: {error}); run the chapter anew: "
                f"python -m gensr_lib book run --only {claim.chapter} --in-place --force"
            )
            raise ConfigError(message) from None


def _read(figures: Path, name: str) -> pd.DataFrame:
    path = figures / f"{name}.csv"
    try:
        return pd.read_csv(path)
    except OSError:
        raise LookupError(f"{path.name} is missing") from None


CLAIMS = (
    Claim(
        "GenSR ranks better than every other system, in both tasks",
        "Tables 2 and 3",
        "05_results",
        judges.ranking,
    ),
    Claim(
        "The generative model makes the difference, and not what is fed to it",
        "section 1",
        "03_gensr",
        judges.reader,
    ),
    Claim(
        "Its outputs have more mutual information with the input than UniSAR's",
        "Table 1",
        "06_mutual_information",
        judges.information,
    ),
    Claim(
        "Table 1 and Tables 2 and 3 describe the same outputs",
        "Tables 1 to 3",
        "06_mutual_information",
        judges.against_tables,
    ),
    Claim(
        "Prompts part the parameter space; a discriminative model's states are mixed",
        "Figures 3a to 3c",
        "07_parameter_space",
        judges.apart,
    ),
    Claim(
        "So the tasks' gradients do not work against each other, as those of UniSAR do",
        "section 1",
        "07_parameter_space",
        judges.conflict,
    ),
    Claim(
        "Generative parameters carry more information than discriminative ones",
        "Lemma 5.1",
        "10_theory",
        judges.lemma,
    ),
    Claim(
        "The information of an estimate is ½ ln(1 + w · signal variance / noise variance)",
        "eq. 14",
        "10_theory",
        judges.channel,
    ),
    Claim(
        "The contrastive loss as printed aligns the two views of a user",
        "eq. 10",
        "03_gensr",
        judges.contrastive,
    ),
    Claim(
        "Each of four parts is needed: without it both tasks lose",
        "Figure 4",
        "08_ablations",
        judges.figure_4,
    ),
    Claim(
        "The soft filter, which reads the history for each candidate, serves both tasks",
        "eq. 5 and 6",
        "08_ablations",
        judges.soft_filter,
    ),
    Claim(
        "Search and recommendation enhance each other when they are trained together",
        "section 1",
        "08_ablations",
        judges.joint_training,
    ),
    Claim(
        "A prompt for each task is what keeps the tasks apart",
        "eq. 7",
        "08_ablations",
        judges.task_prompt,
    ),
    Claim(
        "Temperature and weight of the contrastive loss have a best value between extremes",
        "Figure 5",
        "09_sensitivity",
        judges.best_between,
    ),
    Claim(
        "GenSR is efficient (here beside UniSAR)",
        "section 1",
        "03_gensr",
        judges.cost,
    ),
)
