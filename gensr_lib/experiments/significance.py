"""Is one variant of a model better than another? Paired tests over users and seeds at once.

Variants of a model (an ablation, another temperature) are trained with several seeds each and asked
the same test questions, so that ``d[u, s] = metric(variant) - metric(reference)`` is a table of
users by seeds. Both are samples: other users would answer differently, and so would another
training. A test over users alone takes the luck of the seeds for an effect; one over three seeds
alone throws the users away. Here both are random effects (Clark 1973, "The language-as-fixed-effect
fallacy", where the words of an experiment are what the seeds are here).

A table of *ranks* has the columns `COLUMNS` and a row per run and test question; ``rank`` is the
positive's, from 1 on. Every seed of a variant answers each question of the tasks that the variant
serves, once: otherwise, and for unknown names, there is a `ConfigError`. Of a simulated world it
has the columns `EXPECTED` too, and they can be tested like the plain metrics: the luck of the one
click that was drawn is then out of the error, and smaller differences are detectable.

Where each seed has a world of its own, users are nested in worlds, and these are the sample: see
`studies.effects`.
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
from ..training.metrics import EXPECTED, METRICS, metric_columns

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


def metrics_of(ranks: pd.DataFrame) -> list[str]:
    """The metrics that a table of ranks can be tested in: plain, then those of `EXPECTED` in it."""
    return [*METRICS, *(name for name in EXPECTED if name in ranks)]


def compare(ranks: pd.DataFrame, reference: str, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Each variant against ``reference``, such as the full model, by `crossed_test`.

    Over users and the seeds that both were trained with. A row per task, variant and metric that
    both serve, with ``reference``, ``difference`` (variant minus reference), its 95 % interval
    ``low`` to ``high`` (of this comparison alone), ``se`` and ``df``; ``p``, and ``p_holm``,
    corrected for the number of variants compared in this task and metric; ``p_users``, the paired
    t-test over users' means over seeds that papers usually report; ``rows``, ``seeds``; and in how
    many seeds the variant's mean is better and worse, ``wins`` and ``losses``.
    """
    tables = _user_means(ranks, metrics)
    variants = ranks["variant"].unique()
    if reference not in variants:
        raise unknown("reference variant", reference, variants)
    parts = []
    for task, users in tables.items():
        served = users.columns.unique("variant")
        for variant in variants if reference in served else ():
            if variant != reference and variant in served:
                d = _differences(users, variant, reference, metrics, task)  # (M, U, S)
                names = {"task": task, "variant": variant, "reference": reference}
                parts.append(pd.DataFrame({**names, "metric": metrics, **_tested(d)}))
    if not parts:
        raise ConfigError(f"no other variant serves a task of the reference '{reference}'")
    table = pd.concat(parts, ignore_index=True)
    table["p_holm"] = table.groupby(["task", "metric"])["p"].transform(holm)
    table["rows"] = table["task"].map(ranks.groupby("task")["row"].nunique())
    first = ["task", "variant", "reference", "metric", "difference", "low", "high"]
    rest = ["p", "p_holm", "p_users", "se", "df", "rows", "seeds", "wins", "losses"]
    return table[first + rest]


def crossed_test(differences: np.ndarray) -> CrossedTest:
    """Is the mean of a table of users by seeds zero, where both are samples? (Clark 1973)

    With ``d[u, s] = m + a_u + b_s + e_us`` the mean squares of users, seeds and residual expect
    ``v_e + S v_a``, ``v_e + U v_b`` and ``v_e``, so that the variance of the grand mean is::

        v_a / U + v_b / S + v_e / (U S)  =  (MS_users + MS_seeds - MS_residual) / (U S)

    A component that is estimated below zero counts as zero; where it is the seeds', the test *is*
    the one over users' means. Degrees of freedom are Satterthwaite's, of what is left.

    With one seed this is the paired t-test over users, which speaks about this one training only.
    With two seeds it is too easily convinced: where seeds matter most, 13 % of the tests under the
    null have p < .05. With three it is 3 % to 8 %, with five 3 % to 6 % (simulated, 3,000 tables
    for each of many strengths of the effects). The far tail is less exact: with three seeds that
    matter much, p < .01 in 3 % of the tests, and that is where `holm` looks.

    Takes differences (..., U, S), finite and of at least two users and one seed, and returns arrays
    of shape (...). A table of zeros has p = 1 and the interval [0, 0].
    """
    d = np.asarray(differences, dtype=float)
    if d.ndim < 2 or not np.isfinite(d).all():
        raise ConfigError(f"differences must be finite, users by seeds, not of shape {d.shape}")
    n_users, n_seeds = d.shape[-2:]
    if n_users < 2 or n_seeds < 1:
        raise ConfigError(f"a test needs two users and one seed, not {n_users} and {n_seeds}")
    squares, freedom = _mean_squares(d)  # (3, ...), (3,)
    kept = squares[:2] > squares[2]  # components of users and of seeds above zero
    weights = np.concatenate([kept, 1 - kept.sum(axis=0, keepdims=True)])  # (3, ...)
    total = (weights * squares).sum(axis=0)
    spread = np.tensordot(1 / freedom, weights**2 * squares**2, axes=1)
    df = np.divide(total**2, spread, out=np.full(total.shape, n_users - 1.0), where=spread > 0)
    mean = d.mean(axis=(-2, -1))
    se = np.sqrt(total / (n_users * n_seeds))
    certain = np.where(mean == 0, 0.0, np.inf)  # t of a difference that never varies
    t = np.divide(np.abs(mean), se, out=certain, where=se > 0)
    half = stats.t.ppf((1 + LEVEL) / 2, df) * se
    return CrossedTest(mean, se, df, mean - half, mean + half, 2 * stats.t.sf(t, df))


def holm(p: Iterable[float]) -> np.ndarray:
    """Holm's (1979) corrected p-values: the k-th smallest of n times n - k + 1, made monotone.

    The correction is as good as the small p-values that it multiplies. Behind `crossed_test`, of
    families of four to eight variants that do not differ from their common reference, 3 % to 13 %
    have a corrected p below .05 with three seeds, and 4 % to 7 % with five (simulated, 500 users):
    with three, p just below .05 is a hint, no proof.

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

    The noncentrality of the t distribution that puts ``power`` beyond the test's critical value,
    times ``se``; the measured variance is taken for the true one. With many degrees of freedom it
    is near ``(t_{1 - alpha/2} + t_power) se``; with the two or three that three seeds may leave it
    is not. A difference below this size that was not found is no sign of equality.

    Of the ``comparison``, from `compare`, only ``se`` and ``df`` are used. For a test that is
    corrected for several variants, divide ``alpha`` by their number.
    """
    if not 0 < alpha < power < 1:
        raise ConfigError(f"give shares 0 < alpha < power < 1, not alpha {alpha}, power {power}")
    df = comparison["df"].to_numpy(dtype=float)
    standard_errors = nctdtrinc(df, 1 - power, stats.t.ppf(1 - alpha / 2, df))
    return (standard_errors * comparison["se"]).rename("detectable")


def _mean_squares(d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean squares (3, ...) of users, seeds and residual of (..., U, S), and their freedom (3,).

    One seed leaves nothing to estimate the other two by; they are zero, and known.
    """
    n_users, n_seeds = d.shape[-2:]
    mean = d.mean(axis=(-2, -1), keepdims=True)
    by_user = d.mean(axis=-1, keepdims=True) - mean
    by_seed = d.mean(axis=-2, keepdims=True) - mean
    users = n_seeds * (by_user**2).sum(axis=(-2, -1)) / (n_users - 1)
    if n_seeds == 1:
        return np.stack([users, 0 * users, 0 * users]), np.array([n_users - 1, np.inf, np.inf])
    freedom = np.array([n_users - 1, n_seeds - 1, (n_users - 1) * (n_seeds - 1)])
    seeds = n_users * (by_seed**2).sum(axis=(-2, -1)) / freedom[1]
    residual = ((d - mean - by_user - by_seed) ** 2).sum(axis=(-2, -1)) / freedom[2]
    return np.stack([users, seeds, residual]), freedom


def _tested(differences: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of `compare` for differences (M, U, S) in M metrics."""
    by_seed = differences.mean(axis=1).round(12)  # (M, S): a sum in another order is no win
    return {
        **vars(crossed_test(differences)),
        "p_users": crossed_test(differences.mean(axis=-1, keepdims=True)).p,
        "seeds": differences.shape[-1],
        "wins": (by_seed > 0).sum(axis=-1),
        "losses": (by_seed < 0).sum(axis=-1),
    }


def _differences(
    users: pd.DataFrame, variant: str, reference: str, metrics: Sequence[str], task: str
) -> np.ndarray:
    """Variant minus reference, (M, U, S), for the S seeds that both were trained with."""
    pair = [users.xs(name, axis=1, level="variant") for name in (variant, reference)]
    own, other = (table.columns.unique("seed") for table in pair)
    seeds = own.intersection(other).sort_values()
    if seeds.empty:
        have = f"'{variant}' has {sorted(own)} and '{reference}' has {sorted(other)}"
        raise ConfigError(f"no common seeds in task '{task}': {have}; train both with the same")
    columns = pd.MultiIndex.from_product([metrics, seeds])
    values = [table[columns].to_numpy().reshape(-1, len(metrics), len(seeds)) for table in pair]
    return (values[0] - values[1]).swapaxes(0, 1)


def _user_means(ranks: pd.DataFrame, metrics: Sequence[str]) -> dict[str, pd.DataFrame]:
    """By task, each user's mean (rows) in each metric and run (columns metric, variant, seed)."""
    table = _valued(ranks, metrics)
    tables = {}
    for task in BEHAVIORS:
        own = table[table["task"] == task]
        if not own.empty:
            wide = own.pivot(index="row", columns=["variant", "seed"], values=list(metrics))
            wide.columns.names = ["metric", "variant", "seed"]
            users = own.drop_duplicates("row").set_index("row")["user"].reindex(wide.index)
            tables[task] = wide.groupby(users.to_numpy()).mean()
    return tables


def _valued(ranks: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """The table, checked, with a column for every metric."""
    _check(ranks, metrics)
    _check_questions(ranks)
    _check_complete(ranks)
    values = metric_columns(ranks["rank"].to_numpy())
    return ranks.assign(**{name: values[name] for name in metrics if name in values})


def _check(ranks: pd.DataFrame, metrics: Sequence[str]) -> None:
    for kind, known, names in (
        ("column of a table of ranks", ranks.columns, COLUMNS),
        ("metric", metrics_of(ranks), metrics),
        ("task", BEHAVIORS, ranks.get("task", pd.Series()).unique()),
    ):
        for name in names:
            if name not in known:
                raise unknown(kind, name, known)
    if not metrics:
        raise ConfigError(f"metrics is empty; name some of {', '.join(metrics_of(ranks))}")
    if ranks.empty or not is_numeric_dtype(ranks["rank"]) or not (ranks["rank"] >= 1).all():
        raise ConfigError("ranks must be numbers from 1 on, and not none; see metrics.ranks")
    for name in set(metrics) & set(EXPECTED):
        values = ranks[name]
        if not (is_numeric_dtype(values) and values.between(0, 1).all()):
            raise ConfigError(
                f"'{name}' must be numbers from 0 to 1 in every row; runs of an earlier version "
                f"have none: make them anew, or compare plain metrics"
            )


def _check_questions(ranks: pd.DataFrame) -> None:
    """Raise unless each run answers a question once, and it is the same one in all runs."""
    twice = ranks[ranks.duplicated(["variant", "seed", "task", "row"])]
    if len(twice):
        at = twice.iloc[0]
        raise ConfigError(f"{_run(at)} has row {at['row']} more than once")
    question = ["task", "row"]
    questions = ranks.drop_duplicates([*question, "user", "item"])
    other = questions[questions.duplicated(question)]
    if len(other):
        at = other.iloc[0]
        raise ConfigError(
            f"{_run(at)} has another user or item in row {at['row']} than the others; where every "
            f"seed has a world of its own, take studies.effects"
        )


def _check_complete(ranks: pd.DataFrame) -> None:
    """Raise unless all runs of the variants that serve a task answered all its rows."""
    every = ranks[["variant", "seed"]].drop_duplicates()
    for task, own in ranks.groupby("task"):
        runs = pd.MultiIndex.from_frame(every[every["variant"].isin(own["variant"])])
        rows = own["row"].nunique()
        lacks = rows - own.groupby(["variant", "seed"]).size().reindex(runs, fill_value=0)
        if lacks.any():
            variant, seed = lacks.idxmax()
            run = _run({"variant": variant, "seed": seed, "task": task})
            raise ConfigError(f"{run} lacks {lacks.max()} of the {rows} rows of this task")


def _run(at: pd.Series | dict) -> str:
    return f"variant '{at['variant']}', seed {at['seed']}, task '{at['task']}'"
