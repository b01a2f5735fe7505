"""Is one variant better than another under the law of the world, and not only in one draw of it?

In a sweep with ``worlds=True`` each seed draws everything anew: world, negatives, LightGCN and
weights; the variants of a seed share its world. Users are then nested in worlds, and all of a world
share its luck (which items are popular, how tastes and words lie), so that the worlds are the
sample. The test is a t-test over the paired difference of each world, with W - 1 degrees of freedom
for W worlds. It needs no model of what varies in a world: its users, clicks and training are all in
the spread between worlds.

Tables of *ranks* are those of `significance`, whose tests are for seeds that share one world.
`significance.seed_means`, `summary` and `detectable` serve both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..errors import ConfigError, unknown
from ..training.metrics import METRICS
from .significance import crossed_test, holm, seed_means

GROUP = ["task", "variant", "reference", "metric"]


def world_differences(
    ranks: pd.DataFrame, reference: str, metrics: Sequence[str] = METRICS
) -> pd.DataFrame:
    """Variant minus reference in each world, in the column ``difference``.

    The others are ``task, variant, reference, metric, seed``. A row for each world that both were
    trained in, and for each task that both serve.

    Raises:
        ConfigError: an unknown reference or metric; runs that answered different questions of a
            world; nothing that can be compared.
    """
    values = seed_means(ranks, metrics)
    if reference not in values["variant"].to_numpy():
        raise unknown("reference variant", reference, values["variant"].unique())
    own = values[values["variant"] != reference]
    other = values[values["variant"] == reference].rename(columns={"variant": "reference"})
    at = ["task", "metric", "seed"]
    pairs = own.merge(other, on=at, suffixes=("", " of reference"))
    if pairs.empty:
        raise ConfigError(f"no other variant shares a task and a seed with the '{reference}'")
    pairs["difference"] = pairs["value"] - pairs["value of reference"]
    pairs = pairs.sort_values("task", kind="stable", ignore_index=True)
    return pairs[[*GROUP, "seed", "difference"]]


def compare_worlds(
    ranks: pd.DataFrame, reference: str, metrics: Sequence[str] = METRICS
) -> pd.DataFrame:
    """Each variant against ``reference`` by a t-test over worlds, those that both have.

    A row per task, variant and metric, with the columns of `significance.compare` as far as they
    apply: ``difference``, its 95 % interval ``low`` to ``high``, ``se``, ``df`` (W - 1), ``p``, and
    ``p_holm``, corrected for the variants compared in this task and metric; ``worlds``; and in how
    many of them the variant is better and worse, ``wins`` and ``losses``. The value of each world
    is in `world_differences`.

    Raises:
        ConfigError: as `world_differences`, or a comparison in a single world.
    """
    by_world = world_differences(ranks, reference, metrics)
    rows = []
    for names, own in by_world.groupby(GROUP, sort=False):
        if len(own) < 2:
            raise ConfigError(
                f"variant '{names[1]}' shares one world with '{reference}' in task '{names[0]}': a "
                f"claim about the law needs two at least; train both with more seeds"
            )
        d = own["difference"].to_numpy()
        test = crossed_test(d[:, None])  # W units, measured once each: the paired t-test
        signs = np.sign(d.round(12))
        counts = {"worlds": len(d), "wins": (signs > 0).sum(), "losses": (signs < 0).sum()}
        values = {name: value.item() for name, value in vars(test).items()}
        rows.append({**dict(zip(GROUP, names, strict=True)), **values, **counts})
    table = pd.DataFrame(rows)
    table["p_holm"] = table.groupby(["task", "metric"])["p"].transform(holm)
    rest = ["difference", "low", "high", "p", "p_holm", "se", "df", "worlds", "wins", "losses"]
    return table[[*GROUP, *rest]]
