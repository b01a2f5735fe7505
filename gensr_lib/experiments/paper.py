"""The numbers that the paper reports, as data; wherever shown, they are marked as the paper's."""

from __future__ import annotations

import pandas as pd

from ..data.schema import REC, SRC

# Table 1, "Mutual Information Estimation": system, data set, task. No unit, no spread is given.
_TABLE_1 = {
    "unisar": {"Amazon": {SRC: 0.9003, REC: 0.8739}, "KuaiSAR": {SRC: 0.8514, REC: 0.8475}},
    "gensr": {"Amazon": {SRC: 0.9378, REC: 0.9217}, "KuaiSAR": {SRC: 0.9251, REC: 0.9168}},
}


def table_1() -> pd.DataFrame:
    """The paper's Table 1: one row per system, columns (data set, task), as printed.

    >>> float(table_1().loc["gensr", ("Amazon", "src")])
    0.9378
    """
    columns = {
        system: {
            (data, task): value for data, tasks in sets.items() for task, value in tasks.items()
        }
        for system, sets in _TABLE_1.items()
    }
    return pd.DataFrame(columns).T.rename_axis("system")
