"""Names that people read where the code has short ones, such as UniSAR for ``unisar``."""

from __future__ import annotations

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
CLICKS = {"rec": "recommendation clicks", "both": "all clicks"}  # that a system counts


def displayed(name: object) -> object:
    """The name of a task or a system as people know it; anything else as it is.

    What stands behind a comma is a variant: the clicks that it counts, or a name that stays.

    >>> displayed("unisar"), displayed("item_knn, rec"), displayed("rec"), displayed("loss")
    ('UniSAR', 'itemKNN, recommendation clicks', 'recommendation', 'loss')
    """
    if not isinstance(name, str):
        return name
    system, *variant = name.split(", ")
    named = (CLICKS.get(part, DISPLAYED.get(part, part)) for part in variant)
    return ", ".join([DISPLAYED.get(system, system), *named])
