"""What the authors' released logs say of their own training and test of GenSR, as data.

From ``GenSR/log`` of https://github.com/Polaris-JZ/GenSR at commit ed5b19d: flan-t5-base on Amazon,
one positive and four negatives a row. `paper_versus_code.md` says what we make of it.
"""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from ..data.schema import REC, SRC
from ..errors import ConfigError
from ..files import project_root

LOG = Path("data", "paper", "released_log.csv")
CHECKOUT = Path(__file__).resolve().parents[2]  # the log is not part of an installed package
STEPS = 35_182  # of an epoch
STEPS_PER_LINE = 100  # the log has a line for every hundredth step
POSITIVES = 1 / 5  # share of the training prompts whose answer is yes

# HR@5 by the epochs that were trained. The authors validate every half epoch, after the third.
_VALIDATION = {
    3.5: 0.0449,
    4.0: 0.0419,
    4.5: 0.3148,
    5.0: 0.4240,
    5.5: 0.7315,
    6.0: 0.7963,
    6.5: 0.8037,
    7.0: 0.8038,
    7.5: 0.8066,
    8.0: 0.8032,
    8.5: 0.8024,
}
_TEST = {
    REC: {"HR@5": 0.6102, "NDCG@5": 0.4922, "HR@10": 0.7200, "NDCG@10": 0.5278},
    SRC: {"HR@5": 0.9782, "NDCG@5": 0.9664, "HR@10": 0.9853, "NDCG@10": 0.9687},
}


def base_rate_loss(share: float = POSITIVES) -> float:
    """The entropy H(share) in nats: the cross-entropy of a model that says the base rate to all.

    >>> round(base_rate_loss(), 4)
    0.5004
    """
    return -share * math.log(share) - (1 - share) * math.log(1 - share)


def training_loss() -> pd.DataFrame:
    """The losses of the released training log, each the mean of a thousand steps.

    Returns:
        ``task_loss`` (nats) and ``contrastive_loss`` by the number of ``epochs`` that were trained
        in the middle of those steps.

    Raises:
        ConfigError: the file with the log is not there.
    """
    table = pd.read_csv(_find_log())
    middle = table["step"] + table["lines"] * STEPS_PER_LINE / 2
    losses = table[["task_loss", "contrastive_loss"]]
    return losses.set_index((middle / STEPS).rename("epochs"))


def validation() -> pd.Series:
    """HR@5 on the authors' validation rows of both tasks together, by ``epochs`` trained.

    >>> float(validation()[4.0])
    0.0419
    """
    return pd.Series(_VALIDATION, name="HR@5").rename_axis("epochs")


def results_by_task() -> pd.DataFrame:
    """The released test log: a row per task, a column per metric."""
    return pd.DataFrame(_TEST).T.rename_axis("task")


def _find_log() -> Path:
    """The log of the project in use, or else of the checkout that this library lies in."""
    for root in (project_root(), CHECKOUT):
        if (root / LOG).is_file():
            return root / LOG
    raise ConfigError(
        f"{project_root() / LOG}: not found. The authors' log comes with the checkout of this book "
        f"and not with the package: work in a checkout, or copy the file to this place."
    )
