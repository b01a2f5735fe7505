"""Is one variant of a model better than another? Paired tests over users and over training seeds at once.

Variants of a model (an ablation, another temperature) are trained with several seeds each and asked the same test
questions, so that ``d[u, s] = metric(variant) - metric(reference)`` is a table of users by seeds. Both are samples:
other users would answer differently, and so would another training. A test over users alone takes the luck of the
seeds for an effect; a test over three seeds alone throws the users away. Here both are random effects (Clark 1973,
"The language-as-fixed-effect fallacy", where the words of an experiment are what the seeds are here).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from scipy import stats
from scipy.special import nctdtrinc

from ..data.schema import BEHAVIORS
from ..errors import ConfigError, unknown
from ..training.metrics import METRICS, metric_columns

COLUMNS = ("variant", "seed", "task", "row", "user", "item", "rank")
LEVEL = 0.95  # of all intervals


@dataclass(frozen=True)
class CrossedTest:
    """Test of a mean difference; each field has one entry per table of users by seeds."""

    difference: np.ndarray  # mean over users and seeds
    se: np.ndarray  # its standard error
    df: np.ndarray  # degrees of freedom of that error
    low: np.ndarray
    high: np.ndarray  # ends of the 95 % interval
    p: np.ndarray  # two-sided


def seed_means(ranks: pd.DataFrame, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """The value of each run: ``variant, task, metric, seed, value``, a row each; users count once, as in `metrics`.

    Args:
        ranks: columns `COLUMNS`, a row per run and test question; ``rank`` is the positive's, from 1 on.
        metrics: some of `METRICS`.

    Raises:
        ConfigError: an unknown metric or task, a missing column, a rank that is none, a question that a run
            answers twice or not at all, or that is not the same in all runs.
    """
    runs = [wide.mean().rename("value").reset_index().assign(task=task) for task, wide in _wide(ranks, metrics).items()]
    table = pd.concat(runs, ignore_index=True)[["variant", "task", "metric", "seed", "value"]]
    return _in_order(table, ranks, metrics, ["variant", "task", "metric", "seed"])


def summary(ranks: pd.DataFrame, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Mean and spread over seeds: ``variant, task, metric, mean, sd, seeds, rows``, a row each.

    Args and errors as in `seed_means`. ``sd`` has ``seeds - 1`` in its denominator and is NaN for one seed;
    ``rows`` counts the test questions. Variants keep the order in which they first appear.
    """
    runs = seed_means(ranks, metrics).groupby(["variant", "task", "metric"], sort=False)["value"]
    table = runs.agg(mean="mean", sd="std", seeds="count").reset_index()
    return table.assign(rows=table["task"].map(ranks.groupby("task")["row"].nunique()))


def compare(ranks: pd.DataFrame, reference: str, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Each variant against one of them, by `crossed_test` over users and the seeds that both were trained with.

    Args:
        ranks: as in `seed_means`.
        reference: the variant that the others are compared with, such as the full model.
        metrics: some of `METRICS`.

    Returns:
        A row per task, variant and metric that both serve, with ``reference``, ``difference`` (variant minus
        reference), its 95 % interval ``low`` to ``high`` (of this comparison alone), ``se`` and ``df``; ``p``, and
        ``p_holm``, corrected for the number of variants compared in this task and metric; ``p_users``, the paired
        t-test over users' means over seeds that papers usually report; ``rows``, ``seeds``; and in how many seeds
        the variant's mean is better and worse, ``wins`` and ``losses``.

    Raises:
        ConfigError: as `seed_means`; an unknown reference, nothing to compare it with, or no common seeds.
    """
    tables, results = _wide(ranks, metrics), []
    if reference not in (variants := ranks["variant"].unique()):
        raise unknown("reference variant", reference, variants)
    for task, wide in tables.items():
        served = wide.columns.unique("variant")
        for variant in served.drop(reference) if reference in served else []:
            differences, seeds = _differences(wide, variant, reference, metrics, task)
            own = {"task": task, "variant": variant, "reference": reference, "metric": metrics}
            results.append(pd.DataFrame({**own, **_tested(differences), "seeds": len(seeds)}))
    if not results:
        raise ConfigError(f"no other variant serves a task of the reference '{reference}'; give at least two variants")
    table = _in_order(pd.concat(results, ignore_index=True), ranks, metrics, ["task", "variant", "metric"])
    table["p_holm"] = table.groupby(["task", "metric"])["p"].transform(holm)
    table["rows"] = table["task"].map(ranks.groupby("task")["row"].nunique())
    first = ["task", "variant", "reference", "metric", "difference", "low", "high", "p", "p_holm", "p_users"]
    return table[[*first, "se", "df", "rows", "seeds", "wins", "losses"]]


def crossed_test(differences: np.ndarray) -> CrossedTest:
    """Is the mean of a table of users by seeds zero, where both users and seeds are samples? (Clark 1973)

    With ``d[u, s] = m + a_u + b_s + e_us`` the mean squares of users, seeds and residual expect ``v_e + S v_a``,
    ``v_e + U v_b`` and ``v_e``, so that the variance of the grand mean is::

        v_a / U + v_b / S + v_e / (U S)  =  (MS_users + MS_seeds - MS_residual) / (U S)

    A component that is estimated below zero counts as zero. The variance is therefore never below
    ``MS_users / (U S)``, that of a test over users' means, nor ``MS_seeds / (U S)``, that of a test over seeds'
    means, nor ``MS_residual / (U S)``; and where the seeds' component is zero, the test *is* the one over users'
    means. Degrees of freedom are Satterthwaite's, of the mean squares that are left.

    With one seed this is the paired t-test over users, which speaks about this one training only. With two seeds
    it is too easily convinced: where seeds matter most, 13 % of the tests under the null have p < .05. With three
    it is 3 % to 8 %, with five 3 % to 6 % (simulated, 3,000 tables for each of many strengths of the effects). The far
    tail is less exact: with three seeds that matter much, p < .01 in 3 % of the tests, and that is where `holm` looks.

    Args:
        differences: (..., U, S), at least two users and one seed; leading dimensions are tables that are tested each.

    Returns:
        Arrays of shape (...). A table of zeros has p = 1 and the interval [0, 0].

    Raises:
        ConfigError: fewer than two users, no seed, or a difference that is not finite.
    """
    d = np.asarray(differences, dtype=float)
    if d.ndim < 2 or not np.isfinite(d).all():
        raise ConfigError(f"differences must be finite numbers of users by seeds, (..., U, S), not of shape {d.shape}")
    n_users, n_seeds = d.shape[-2:]
    if n_users < 2 or n_seeds < 1:
        raise ConfigError(f"a test needs at least two users and one seed, not {n_users} and {n_seeds}")
    squares, freedom = _mean_squares(d)  # (3, ...), (3,)
    users, seeds, residual = squares
    kept = np.stack([users > residual, seeds > residual])
    weights = np.concatenate([kept, 1 - kept.sum(axis=0, keepdims=True)])  # (3, ...), of users, seeds and residual
    total = (weights * squares).sum(axis=0)
    spread = np.tensordot(1 / freedom, weights**2 * squares**2, axes=1)
    df = np.divide(total**2, spread, out=np.full(total.shape, n_users - 1.0), where=spread > 0)
    return _t_test(d.mean(axis=(-2, -1)), np.sqrt(total / (n_users * n_seeds)), df)


def holm(p: Iterable[float]) -> np.ndarray:
    """Holm's (1979) corrected p-values: the k-th smallest of n times n - k + 1, never below a smaller one's.

    The correction is as good as the small p-values that it multiplies. Behind `crossed_test`, of families of four to
    eight variants that do not differ from their common reference, 3 % to 13 % have a corrected p below .05 with three
    seeds, and 4 % to 7 % with five (simulated, 500 users): with three, p just below .05 is a hint, no proof.

    >>> holm([0.01, 0.04, 0.03]).tolist() == [3 * 0.01, 2 * 0.03, 2 * 0.03]
    True
    """
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(corrected, 1)


def detectable(comparison: pd.DataFrame, power: float = 0.8, alpha: float = 0.05) -> pd.Series:
    """The smallest true difference that each test of the table would find with this probability.

    The noncentrality of the t distribution that puts ``power`` beyond the test's critical value, times ``se``; the
    measured variance is taken for the true one. With many degrees of freedom it is near ``(t_{1 - alpha/2} + t_power)
    se``; with the two or three that three seeds may leave it is not. A difference below this size that was not
    found is no sign of equality.

    Args:
        comparison: from `compare`; of its columns, ``se`` and ``df`` are used.
        power: between 0 and 1.
        alpha: the level of the test; divide it by the number of variants for a test that is corrected for them.

    Raises:
        ConfigError: a power or level that is no share, or a power below the level.
    """
    if not 0 < alpha < power < 1:
        raise ConfigError(f"power and alpha must be shares, 0 < alpha < power < 1, not {power} and {alpha}")
    df = comparison["df"].to_numpy(dtype=float)
    standard_errors = nctdtrinc(df, 1 - power, stats.t.ppf(1 - alpha / 2, df))
    return (standard_errors * comparison["se"]).rename("detectable")


def _mean_squares(d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean squares (3, ...) of users, seeds and residual of tables (..., U, S), and their degrees of freedom (3,).

    One seed leaves nothing to estimate the other two by; they are zero, and known.
    """
    n_users, n_seeds = d.shape[-2:]
    mean = d.mean(axis=(-2, -1), keepdims=True)
    by_user, by_seed = d.mean(axis=-1, keepdims=True) - mean, d.mean(axis=-2, keepdims=True) - mean
    users = n_seeds * (by_user**2).sum(axis=(-2, -1)) / (n_users - 1)
    if n_seeds == 1:
        return np.stack([users, 0 * users, 0 * users]), np.array([n_users - 1, np.inf, np.inf])
    freedom = np.array([n_users - 1, n_seeds - 1, (n_users - 1) * (n_seeds - 1)])
    seeds = n_users * (by_seed**2).sum(axis=(-2, -1)) / freedom[1]
    residual = ((d - mean - by_user - by_seed) ** 2).sum(axis=(-2, -1)) / freedom[2]
    return np.stack([users, seeds, residual]), freedom


def _t_test(mean: np.ndarray, se: np.ndarray, df: np.ndarray) -> CrossedTest:
    certain = np.where(mean == 0, 0.0, np.inf)  # t of a difference that never varies
    t = np.divide(np.abs(mean), se, out=certain, where=se > 0)
    half = stats.t.ppf((1 + LEVEL) / 2, df) * se
    return CrossedTest(mean, se, df, mean - half, mean + half, 2 * stats.t.sf(t, df))


def _tested(differences: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of `compare` for differences (M, U, S) in M metrics."""
    test = crossed_test(differences)
    by_seed = differences.mean(axis=1).round(12)  # (M, S): a sum in another order is no win
    return {
        **vars(test),
        "p_users": crossed_test(differences.mean(axis=-1, keepdims=True)).p,
        "wins": (by_seed > 0).sum(axis=-1),
        "losses": (by_seed < 0).sum(axis=-1),
    }


def _differences(
    wide: pd.DataFrame, variant: str, reference: str, metrics: Sequence[str], task: str
) -> tuple[np.ndarray, pd.Index]:
    """Variant minus reference, (M, U, S), and the S seeds that both were trained with."""
    own, other = (wide.xs(name, axis=1, level="variant") for name in (variant, reference))
    seeds = own.columns.unique("seed").intersection(other.columns.unique("seed")).sort_values()
    if seeds.empty:
        of = [f"'{n}' has {sorted(w.columns.unique('seed'))}" for n, w in ((variant, own), (reference, other))]
        raise ConfigError(f"no common seeds in task '{task}': {' and '.join(of)}; train both with the same seeds")
    columns = pd.MultiIndex.from_product([metrics, seeds])
    values = [table.reindex(columns=columns).to_numpy().reshape(-1, len(metrics), len(seeds)) for table in (own, other)]
    return (values[0] - values[1]).swapaxes(0, 1), seeds


def _wide(ranks: pd.DataFrame, metrics: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Per task, each user's mean (rows) in each metric and run (columns: metric, variant, seed)."""
    _check(ranks, metrics)
    values = metric_columns(ranks["rank"].to_numpy())
    table = ranks[["task", "variant", "seed", "row", "user"]].assign(**{name: values[name] for name in metrics})
    tables = {}
    for task in (task for task in BEHAVIORS if (table["task"] == task).any()):
        own = table[table["task"] == task]
        wide = own.pivot(index="row", columns=["variant", "seed"], values=list(metrics))
        wide.columns.names = ["metric", "variant", "seed"]
        _check_complete(wide, table, task)
        users = own.drop_duplicates("row").set_index("row")["user"].reindex(wide.index)
        tables[task] = wide.groupby(users.to_numpy()).mean()
    return tables


def _check(ranks: pd.DataFrame, metrics: Sequence[str]) -> None:
    named = (
        ("column of a table of ranks", COLUMNS, ranks.columns),
        ("metric", metrics, METRICS),
        ("task", ranks.get("task", pd.Series(dtype=str)).unique(), BEHAVIORS),
    )
    for kind, names, known in named:
        for name in names:
            if name not in known:
                raise unknown(kind, name, known)
    if not metrics:
        raise ConfigError(f"metrics is empty; name some of {', '.join(METRICS)}")
    if ranks.empty or not is_numeric_dtype(ranks["rank"]) or not (ranks["rank"] >= 1).all():
        raise ConfigError("ranks must be numbers from 1 on, and there must be some; see metrics.ranks")
    twice = ranks.duplicated(["variant", "seed", "task", "row"])
    if twice.any():
        raise ConfigError(f"{_run(ranks[twice].iloc[0])} has row {ranks['row'][twice].iloc[0]} more than once")
    questions = ranks.drop_duplicates(["task", "row", "user", "item"])
    other = questions.duplicated(["task", "row"])
    if other.any():
        at = questions[other].iloc[0]
        raise ConfigError(f"{_run(at)} has another user or item in row {at['row']} than the runs before it")


def _check_complete(wide: pd.DataFrame, table: pd.DataFrame, task: str) -> None:
    """Raise unless all runs of the variants that serve a task answered all its rows."""
    serving = table[table["variant"].isin(wide.columns.unique("variant"))]
    tested = set(wide.columns.droplevel("metric"))
    for variant, seed in serving[["variant", "seed"]].drop_duplicates().itertuples(index=False):
        if (variant, seed) not in tested:
            run = _run({"variant": variant, "seed": seed, "task": task})
            raise ConfigError(f"{run} was not tested, and other seeds of this variant were")
    missing = wide[wide.columns[0][0]].isna().sum()  # of any one metric, by run
    if missing.any():
        (variant, seed), lacks = missing.idxmax(), missing.max()
        run = _run({"variant": variant, "seed": seed, "task": task})
        raise ConfigError(f"{run} lacks {lacks} of the {len(wide)} rows that runs of this task were tested on")


def _run(at: pd.Series | dict) -> str:
    return f"variant '{at['variant']}', seed {at['seed']}, task '{at['task']}'"


def _in_order(table: pd.DataFrame, ranks: pd.DataFrame, metrics: Sequence[str], by: list[str]) -> pd.DataFrame:
    """Rows in the order in which variants appear, tasks and metrics are listed, and seeds count."""
    orders = {"variant": ranks["variant"].unique(), "task": BEHAVIORS, "metric": metrics}
    places = {name: {value: place for place, value in enumerate(order)} for name, order in orders.items()}

    def place(column: pd.Series) -> pd.Series:
        return column.map(places[column.name]) if column.name in places else column

    return table.sort_values(by, key=place, ignore_index=True)
