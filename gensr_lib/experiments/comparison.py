"""The paper's comparison, Tables 2 and 3: its systems by name, ours beside print, tests, order.

Runs are of one workspace: the same data, stored candidates and seed. So a difference of two of them
is of these trainings; chapters 8 and 9 say how much another training or world would change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from ..data.schema import BEHAVIORS, REC
from ..errors import ConfigError, known, unknown
from ..models.registry import model_class
from .paper import METRICS, ranking_tables
from .significance import LEVEL, compare
from .store import Run
from .workspace import Workspace

# The names of the paper's tables, in the order of their rows.
PRINTED = {
    "din": "DIN",
    "gru4rec": "GRU4Rec",
    "sasrec": "SASRec",
    "bert4rec": "BERT4Rec",
    "fmlp": "FMLP",
    "collm": "CoLLM",
    "idgenrec": "IDGenRec",
    "nrhub": "NRHUB",
    "seqrec": "SeqRec",
    "sesrec": "SESRec",
    "qem": "QEM",
    "hem": "HEM",
    "aem": "AEM",
    "zam": "ZAM",
    "tem": "TEM",
    "copps": "CoPPS",
    "jsr": "JSR",
    "user": "USER",
    "unifiedssr": "UnifiedSSR",
    "unisar": "UniSAR",
    "bsr": "BSR",
    "gensr": "GenSR",
}
FLOORS = ("popularity", "category_count", "item_knn", "ease", "bm25", "query_lookup", "lightgcn")
RESAMPLES = 2000  # of users, for a bootstrap interval
OURS = "ours"


@dataclass(frozen=True)
class Agreement:
    """How far two orders of the same systems agree.

    Attributes:
        tau: Kendall's τ-b, 1 for the same order, -1 for the reverse one, near 0 for none.
        low, high: its 95 % interval over draws of our users; the other values are taken as exact.
        p: two-sided, of as large a τ between unrelated orders.
        systems: how many are in both.
    """

    tau: float
    low: float
    high: float
    p: float
    systems: int


def dear_first(names: Iterable[str]) -> list[str]:
    """Names of models in the order in which processes side by side should begin them.

    Language models, then the paper's systems from the last row of its tables to the first, then
    all others: a long one that begins last would leave the other processes without work.
    """
    rows = list(PRINTED)
    return sorted(
        names,
        key=lambda name: (
            "language_model" not in model_class(name).needs,
            -rows.index(name) if name in rows else 1,
        ),
    )


def fit_floors(workspace: Workspace) -> dict[str, Run]:
    """The floors and LightGCN by name, those that the data allow.

    LightGCN learns from recommendation and the neighbour models from both behaviors. Where the data
    have both, they are also there the other way round: ``lightgcn, both``, ``item_knn, rec`` and
    ``ease, rec``.
    """
    runs = {name: workspace.fit(name) for name in workspace.able(*FLOORS)}
    if len(workspace.tasks) == 2:
        for name, edges in (("item_knn", "rec"), ("ease", "rec"), ("lightgcn", "both")):
            runs[f"{name}, {edges}"] = workspace.fit(name, f"{name}-{edges}", edges=edges)
    return runs


def fit_anchors(workspace: Workspace) -> dict[str, Run]:
    """On a simulated world, what a model could reach: ``reader, as GenSR``, who knows the law and
    is given GenSR's texts, clicks and length of history, and the ``oracle``. Elsewhere none.
    """
    if workspace.dataset.truth is None:
        return {}
    history = workspace.specify("gensr").options.history
    given = {"items": "views", "clicks_of": REC, "history": history}
    reader = workspace.fit("reader", "reader-as-gensr", **given)
    return {"reader, as GenSR": reader, "oracle": workspace.fit("oracle")}


def beside_print(runs: Mapping[str, Run], task: str) -> pd.DataFrame:
    """Table 2 (``rec``) or 3 (``src``): the paper's systems in its order, then our other runs.

    Columns (source, metric): ``ours``, then each data set of the paper with its numbers, which are
    printed, GenSR's row for Amazon search corrected, and a ``note``. What either lacks is NaN.

    Args:
        runs: by name of the model, or by any name for those that the paper does not have.

    Raises:
        ConfigError: runs of different data sets, as in all functions of this file.
    """
    _check_data(runs)
    own = {name: run.evaluation.metrics.get(task) for name, run in runs.items()}
    own = {name: values for name, values in own.items() if values}
    printed = ranking_tables(corrected=True).loc[task]
    rows = [name for name, label in PRINTED.items() if label in printed.index.unique("system")]
    rows += [name for name in own if name not in PRINTED]
    labels = [PRINTED.get(name, name) for name in rows]
    parts = {OURS: pd.DataFrame([own.get(name, {}) for name in rows], labels, columns=METRICS)}
    for data in printed.index.unique("data"):
        parts[data] = printed.loc[data].reindex(labels).fillna({"note": ""})
    return pd.concat(parts, axis=1).rename_axis("system")


def ranks_of(runs: Mapping[str, Run]) -> pd.DataFrame:
    """The test rows of runs by name, as the tests of `significance` take them."""
    tables = [
        run.evaluation.table.assign(variant=name, seed=run.record["seed"])
        for name, run in runs.items()
    ]
    return pd.concat(tables, ignore_index=True)


def best_of(
    runs: Mapping[str, Run], task: str, metric: str = "N@10", but: Sequence[str] = ()
) -> str:
    """The name of the run that is best in a metric of a task, of those not named in ``but``.

    Raises:
        ConfigError: none serves the task.
    """
    means = _means(runs, task, metric)
    means = {name: value for name, value in means.items() if name not in but}
    if not means:
        raise ConfigError(f"no run serves '{task}': there is no best one")
    return max(means, key=means.get)


def against(
    runs: Mapping[str, Run], task: str, reference: str, metric: str = "N@10"
) -> pd.DataFrame:
    """Each run against a reference by the paired t-test over users, with Holm's correction.

    A row per run that serves the task: ``difference``, its 95 % interval ``low`` to ``high``, ``p``
    and ``p_holm``, as `significance.compare` gives them.

    Raises:
        ConfigError: an unknown reference, or one that does not serve the task.
    """
    serving = {name: runs[name] for name in _means(runs, task, metric)}
    if reference not in serving:
        raise unknown(f"run that serves '{task}'", reference, serving)
    ranks = ranks_of(serving)
    found = compare(ranks[ranks["task"] == task], reference, [metric]).set_index("variant")
    return found[["difference", "low", "high", "p", "p_holm"]].rename_axis("system")


def bootstrap(run: Run, task: str, metric: str = "N@10", seed: int = 0) -> tuple[float, float]:
    """95 % interval of a mean over users, from `RESAMPLES` draws of as many users (percentiles)."""
    users = _of_users(run, task, metric).to_numpy()
    rng = np.random.default_rng(seed)
    options = {"confidence_level": LEVEL, "n_resamples": RESAMPLES, "method": "percentile"}
    found = stats.bootstrap((users,), np.mean, batch=100, rng=rng, **options)
    return found.confidence_interval.low, found.confidence_interval.high


def standing(
    runs: Mapping[str, Run], metric: str, groups: Mapping[str, str], others: str = "trained"
) -> dict[str, pd.DataFrame]:
    """What each run reaches in each task that it serves, as `plots.ladders` draws it.

    Args:
        groups: of runs by name; the others are called ``others``.

    Returns:
        By task, a row for each run: its ``mean`` over users, the 95 % interval ``low`` to ``high``
        (`bootstrap`), and its ``group``.
    """
    found = {}
    for task in BEHAVIORS:
        means = pd.Series(_means(runs, task, metric), name="mean", dtype=float)
        ends = [bootstrap(runs[name], task, metric) for name in means.index]
        if ends:
            ends = pd.DataFrame(ends, means.index, ["low", "high"])
            found[task] = pd.concat([means, ends], axis=1).assign(
                group=[groups.get(name, others) for name in means.index]
            )
    return found


def agreement(
    runs: Mapping[str, Run], theirs: pd.Series, task: str, metric: str = "N@10", seed: int = 0
) -> Agreement:
    """Our order of the systems against another one.

    Args:
        theirs: values by the paper's names of the systems; missing ones are left out.

    Raises:
        ConfigError: fewer than three systems are in both.
    """
    theirs = theirs.dropna()
    common = [name for name in _means(runs, task, metric) if PRINTED.get(name) in theirs.index]
    if len(common) < 3:
        raise ConfigError(f"{len(common)} systems in both: an order needs three at least")
    other = theirs[[PRINTED[name] for name in common]].to_numpy(dtype=float)
    users = pd.DataFrame({name: _of_users(runs[name], task, metric) for name in common}).to_numpy()
    tau, p = stats.kendalltau(users.mean(axis=0), other)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(users), np.full(len(users), 1 / len(users)), size=RESAMPLES)
    taus = [stats.kendalltau(means, other).statistic for means in draws @ users]
    low, high = np.quantile(taus, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Agreement(float(tau), float(low), float(high), float(p), len(common))


def _of_users(run: Run, task: str, metric: str) -> pd.Series:
    """A metric of each user of a task, the mean over the user's rows."""
    user = run.evaluation.table.loc[run.evaluation.table["task"] == task, "user"].to_numpy()
    return pd.Series(run.evaluation.values(task, metric)).groupby(user).mean()


def _means(runs: Mapping[str, Run], task: str, metric: str) -> dict[str, float]:
    """The mean over users of those runs that serve a task."""
    known("task", task, BEHAVIORS)
    _check_data(runs)
    serving = {n: r for n, r in runs.items() if r.evaluation.table["task"].eq(task).any()}
    return {name: _of_users(run, task, metric).mean() for name, run in serving.items()}


def _check_data(runs: Mapping[str, Run]) -> None:
    """Runs that rank other lists cannot stand beside each other.

    Raises:
        ConfigError: naming the runs by the hash of their data.
    """
    of = {}
    for name, run in runs.items():
        of.setdefault(run.record["data"], []).append(name)
    if len(of) > 1:
        what = "; ".join(f"{', '.join(names)} of {data}" for data, names in of.items())
        raise ConfigError(f"these runs are of different data and cannot be compared: {what}")
