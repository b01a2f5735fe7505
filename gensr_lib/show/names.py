"""Names that people read where the code has short ones, such as UniSAR for ``unisar``."""

from __future__ import annotations

import re

from ..data.schema import TASK_LABELS
from ..experiments.comparison import PRINTED

FLOORS = {
    "category_count": "category count",
    "item_knn": "itemKNN",
    "ease": "EASE",
    "bm25": "BM25",
    "query_lookup": "query lookup",
    "lightgcn": "LightGCN",
    "gensar": "GenSAR",
}
IDENTIFIERS = {"gensar-text": "of text", "gensar-cf": "of clicks", "gensar-shared": "of both"}
MEASURES = {
    "p_holm": "p (Holm)",
    "disattenuated": "without noise",
    "mine": "MINE",
    "infonce": "InfoNCE",
    "knn": "kNN",
    "cf": "CF",
    "bpr": "BPR loss",
    "l2": "L2 penalty",
}
DISPLAYED = {**TASK_LABELS, **PRINTED, **FLOORS, **MEASURES}
DISPLAYED |= {name: f"GenSAR, {what}" for name, what in IDENTIFIERS.items()}
SYMBOLS = {"tau": "τ", "beta": "β"}  # as the paper writes settings
SETTING = re.compile(r"([a-z_][a-z0-9_]*)=(-?\d[\d.e-]*|true|false)")
CLICKS = {"rec": "recommendation clicks", "both": "all clicks"}  # that a system counts


def displayed(name: object) -> object:
    """The name of a task or a system as people know it; anything else as it is.

    What stands behind a comma is a variant: the clicks that it counts, a setting, or a name that
    stays.

    >>> displayed("unisar"), displayed("item_knn, rec"), displayed("rec"), displayed("loss")
    ('UniSAR', 'itemKNN, recommendation clicks', 'recommendation', 'loss')
    >>> displayed("tau=0.01"), displayed("perceptron, topic_taste=0")
    ('τ = 0.01', 'perceptron, topic taste = 0')
    """
    if not isinstance(name, str):
        return name
    system, *variant = name.split(", ")
    return ", ".join([_known(system), *(CLICKS.get(part, _known(part)) for part in variant)])


def _known(name: str) -> str:
    if setting := SETTING.fullmatch(name):
        option, value = setting.groups()
        return f"{SYMBOLS.get(option, option.replace('_', ' '))} = {value}"
    return DISPLAYED.get(name, name)
