"""What mechanisms are worth in several worlds: effects, ceilings, and how one follows the other.

An *effect* is the value of the whole model minus that of the arm that lacks the mechanism, within a
world; a *ceiling* is the same difference of two readers who know the law (`analysis.ceilings`).
Users are nested in worlds, and all of a world share its luck (which items are popular, how tastes
and words lie), so that the worlds are the sample: means, intervals and slopes are over one number
for each world, by Student's t with W - 1 degrees of freedom for W worlds. This needs no model of
what varies in a world: its users, clicks and trainings are all in the spread between worlds.

Tables are those of `evidence.Evidence.table`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...data.schema import BEHAVIORS
from ...errors import ConfigError, known
from ..significance import crossed_test, detectable, holm

AT = ["part", "mechanism", "task"]
ABOVE = "above zero"


@dataclass(frozen=True)
class Without:
    """A mechanism as what lacks it.

    Attributes:
        mechanism: its name.
        arm: without it, or by task.
        whole: with it.
    """

    mechanism: str
    arm: str | Mapping[str, str]
    whole: str

    def of(self, task: str) -> str | None:
        """The arm that lacks it in a task; None if there is none."""
        return self.arm if isinstance(self.arm, str) else self.arm.get(task)


def effects(table: pd.DataFrame, removed: Sequence[Without], metric: str) -> pd.DataFrame:
    """What each mechanism is worth in each world: ``part, mechanism, task, seed, effect``.

    Parts in which an arm was not trained, or does not serve the task, are left out.

    Raises:
        ConfigError: an unknown metric or arm; an arm and its whole that share no world of a part.
    """
    known("metric", metric, table["metric"].unique())
    values = table[table["metric"] == metric]
    wide = values.pivot(index=["part", "task", "seed"], columns="variant", values="value")
    rows = []
    for removal in removed:
        for task in BEHAVIORS:
            arm = removal.of(task)
            if arm is None:
                continue
            for name in (arm, removal.whole):
                known("arm", name, wide.columns)
            pair = wide[[removal.whole, arm]]
            pair = pair[pair.index.get_level_values("task") == task]
            worth = (pair[removal.whole] - pair[arm]).dropna()
            rows.append(worth.rename("effect").reset_index().assign(mechanism=removal.mechanism))
    found = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()
    if found.empty:
        raise ConfigError("no arm shares a part, a world and a task with its whole")
    return found[[*AT, "seed", "effect"]]


def mean_effects(found: pd.DataFrame) -> pd.DataFrame:
    """Mean over worlds, a row per part, mechanism and task.

    Columns ``effect``, its 95 % interval ``low`` to ``high``, ``p`` and ``p_holm`` (corrected
    within part and task), ``worlds``, ``above zero`` (worlds in which it is), and ``detectable``,
    the smallest effect that the test would find with a power of 80 %.

    Raises:
        ConfigError: an effect in a single world.
    """
    rows = {}
    for at, own in found.groupby(AT, sort=False):
        if len(own) < 2:
            raise ConfigError(
                f"{', '.join(at)}: one world; a claim about the law needs two at least"
            )
        values = own["effect"].to_numpy()
        test = {name: value.item() for name, value in vars(crossed_test(values[:, None])).items()}
        above = int((values.round(12) > 0).sum())
        rows[at] = {**test, "worlds": len(values), ABOVE: above}
    table = pd.DataFrame(rows).T.rename_axis(AT)
    table["detectable"] = detectable(table)
    table["p_holm"] = table.groupby(["part", "task"], sort=False)["p"].transform(holm)
    table = table.rename(columns={"difference": "effect"})
    columns = ["effect", "low", "high", "p", "p_holm", "worlds", ABOVE, "detectable"]
    return table[columns].astype({"worlds": int, ABOVE: int})


def slopes(x: pd.DataFrame | np.ndarray, y: pd.DataFrame) -> dict[str, float]:
    """The slope of y on x within worlds: least squares in each world, then the mean over worlds.

    Args:
        x, y: (worlds, doses) of the same index and columns. A world in which x does not vary has no
            slope and is left out.

    Returns:
        ``slope``, its 95 % interval ``low`` to ``high``, ``p`` (against zero) and ``worlds``; NaN
        where fewer than two worlds have a slope.
    """
    x, y = (np.asarray(values, dtype=float) for values in (x, y))
    apart = x - x.mean(axis=1, keepdims=True)
    spread = (apart**2).sum(axis=1)
    some = spread > 1e-12
    each = (apart * y).sum(axis=1)[some] / spread[some]
    if len(each) < 2:
        nothing = dict.fromkeys(("slope", "low", "high", "p"), float("nan"))
        return {**nothing, "worlds": len(each)}
    test = crossed_test(each[:, None])
    names = {"slope": "difference", "low": "low", "high": "high", "p": "p"}
    return {name: getattr(test, field).item() for name, field in names.items()} | {
        "worlds": len(each)
    }


def dose_response(
    effect: pd.DataFrame, ceiling: pd.DataFrame, doses: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """How effects follow their ceilings over the doses of a dial, by dial, mechanism and task.

    Args:
        effect, ceiling: both as `effects` gives them.
        doses: by dial, the parts that are its doses.

    Returns:
        Columns of `slopes`, and how far the mean ceiling moves over the doses, ``least`` to
        ``most``; a mechanism is in the row of a dial if it was measured at every dose.

    Raises:
        ConfigError: there is no row.
    """
    rows = {}
    wide = {
        name: table.pivot(index=["mechanism", "task", "seed"], columns="part", values="effect")
        for name, table in {"effect": effect, "ceiling": ceiling}.items()
    }
    for dial, parts in doses.items():
        both = [table.reindex(columns=list(parts)).dropna() for table in wide.values()]
        common = both[0].index.intersection(both[1].index)
        y, x = (table.loc[common] for table in both)
        for at in dict.fromkeys(
            zip(*[common.get_level_values(n) for n in ("mechanism", "task")], strict=True)
        ):
            own = x.loc[at].mean()
            ends = {"least": own.min(), "most": own.max()}
            rows[(dial, *at)] = slopes(x.loc[at], y.loc[at]) | ends
    if not rows:
        raise ConfigError("no dial has a mechanism that was measured at all its doses in one world")
    table = pd.DataFrame(rows).T.rename_axis(["dial", "mechanism", "task"])
    return table.astype({"worlds": int})


def trend(table: pd.DataFrame, values: Mapping[str, float], metric: str) -> pd.DataFrame:
    """Does a metric rise or fall with an option? Its slope over the option within worlds, by task.

    Args:
        table: as above, of one part.
        values: the option's value in each arm, in the unit that the trend is over (such as a
            logarithm).

    Returns:
        Columns of `slopes`, a row per task.

    Raises:
        ConfigError: an unknown arm or metric.
    """
    known("metric", metric, table["metric"].unique())
    for arm in values:
        known("arm", arm, table["variant"].unique())
    own = table[(table["metric"] == metric) & table["variant"].isin(list(values))]
    rows = {}
    for task, part in own.groupby("task", sort=False):
        y = part.pivot(index="seed", columns="variant", values="value")[list(values)].dropna()
        x = np.tile(list(values.values()), (len(y), 1))
        rows[task] = slopes(x, y)
    return pd.DataFrame(rows).T.rename_axis("task").astype({"worlds": int})
