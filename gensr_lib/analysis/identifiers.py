"""What do the identifiers of a generative system know of the items that they stand for?

On a simulated world each item has a topic, a vector of tastes and a popularity. Items with the same
codes are a group, and groups can be held against these.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score

from ..data.dataset import Dataset
from ..errors import ConfigError

GROUPS = 16  # of tastes, which are vectors
TENTHS = 10  # of items by popularity


def item_facts(dataset: Dataset, seed: int = 0) -> dict[str, np.ndarray]:
    """What a simulated world knows of each item, as groups (I,): ``topic``, ``taste`` and
    ``popularity``.

    Tastes are `GROUPS` clusters of the items' latent vectors (k-means), popularity is a tenth of
    the items by training clicks of both behaviors; items with as many clicks are in one tenth.

    Args:
        seed: of k-means.

    Raises:
        ConfigError: the law of the data is not known.
    """
    if dataset.truth is None:
        raise ConfigError(f"{dataset.name} is no simulated world: what its items are is not known")
    number = dataset.truth.item_index(dataset.item_ids[1:])
    tastes = KMeans(GROUPS, n_init=4, random_state=seed)
    clicked = dataset.training_edges("both")[1]
    count = np.bincount(clicked, minlength=dataset.n_items + 1)[1:]
    return {
        "topic": dataset.truth.topic[number],
        "taste": tastes.fit_predict(dataset.truth.item_latent[number]),
        "popularity": pd.qcut(count, TENTHS, labels=False, duplicates="drop"),
    }


def code_information(codes: np.ndarray, facts: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Adjusted mutual information of some codes with each fact: 0 by chance, 1 if they group the
    items alike (Vinh et al., 2010).

    Args:
        codes: (I, m) m codes of each item's identifier, which are taken together.
        facts: groups (I,) by name, as `item_facts` gives them.
    """
    groups = np.unique(codes, axis=0, return_inverse=True)[1].ravel()
    return {name: adjusted_mutual_info_score(groups, fact) for name, fact in facts.items()}
