"""What decides the claims of the paper: rules over the tables that chapters leave in ``figures/``.

A judge gives the verdict and the number behind it, as a sentence, so that neither is typed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from ..data.schema import BEHAVIORS, TASK_LABELS
from ..models.gensr.options import GenSRConfig
from ..show.names import displayed
from ..show.study_plots import LEVEL
from .marks import PLAIN, Marks, differences, points, with_intervals

HOLDS = "holds"
WHERE = "holds where there is something to find"
IN_PART = "holds in part"
NOT_FOUND = "not found"
OPPOSITE = "the opposite was found"
CONTRADICTED = "contradicted by the paper itself"
WRONG = "wrong as printed"
VERDICTS = (HOLDS, WHERE, IN_PART, NOT_FOUND, OPPOSITE, CONTRADICTED, WRONG)
SEPARATE = 0.95  # share of states whose task a linear probe must name; a half is chance
CONFLICT = -0.1  # cosines nearer to zero are none: sums in another order move them by as much
# The ends of both knobs' ranges in the paper's Figure 5.
ENDS = ("beta=0.001", "beta=0.3", "tau=0.01", "tau=0.09")
Read = Callable[[str], pd.DataFrame]  # a table by its name, without suffix


@dataclass(frozen=True)
class Verdict:
    """What a judge says.

    Attributes:
        word: one of `VERDICTS`.
        number: what decides, as a sentence of Markdown.
        marks: the same, to be drawn.
    """

    word: str
    number: str
    marks: Marks


def _overall(gaps: pd.DataFrame) -> str:
    """Whether all differences, some or none are above zero by their intervals, or all below."""
    above, below = gaps["low"] > 0, gaps["high"] < 0
    if above.any():
        return HOLDS if above.all() else IN_PART
    return OPPOSITE if below.all() else NOT_FOUND


def _with_interval(row: pd.Series, value: str, unit: str = "") -> str:
    """Such as ``+0.039 bit [0.012, 0.063]``."""
    low, high = (
        f"{end:.3f}" if abs(end) >= 0.0005 else f"{end:.4f}" for end in row[["low", "high"]]
    )
    return f"**{row[value]:+.3f}**{unit} [{low}, {high}]"


def _by_task(rows: pd.DataFrame, value: str, unit: str = "") -> str:
    """Both tasks' differences, with intervals, in words; KeyError if a task has no row."""
    rows = rows.set_index("task")
    parts = (
        f"{_with_interval(rows.loc[task], value, unit)} in {TASK_LABELS[task]}"
        for task in BEHAVIORS
    )
    return ", ".join(parts)


def information(read: Read) -> Verdict:
    """Whether GenSR's information is above UniSAR's, in both tasks and by all readings."""
    gaps = read("06_order")
    bound = gaps[gaps["reading"].str.startswith("score")]
    others = gaps.drop(bound.index)["gap"]
    number = (
        f"GenSR minus UniSAR by the calibrated bound: {_by_task(bound, 'gap', ' bit')}; by "
        f"{len(others) // len(BEHAVIORS)} other readings of “input and output” that can be trusted "
        f"{others.min():+.3f} to {others.max():+.3f}."
    )
    marks = differences(bound, "gap", "GenSR minus UniSAR (bits)")
    return Verdict(_overall(gaps), number, marks)


def against_tables(read: Read) -> Verdict:
    """Whether what Tables 2 and 3 imply about the label is as much as Table 1 has."""
    rows = read("06_printed")
    worst = rows.loc[(rows["Table 1 gensr"] - rows["implied gensr"]).idxmax()]
    is_refuted = worst["Table 1 gensr"] > worst["implied gensr"]
    number = (
        f"GenSR's NDCG@10 of {worst['N@10 gensr']:.2f} ({worst['data']}, "
        f"{TASK_LABELS[worst['task']]}) implies **{worst['implied gensr']:.2f}** bit about the "
        f"label; Table 1 has {worst['Table 1 gensr']:.2f}."
    )
    values = {"implied by NDCG@10": worst["implied gensr"], "Table 1": worst["Table 1 gensr"]}
    marks = Marks(points(values, [PLAIN, PLAIN]), "bits about the label, GenSR")
    return Verdict(CONTRADICTED if is_refuted else HOLDS, number, marks)


def lemma(read: Read) -> Verdict:
    """Whether inequality 13 holds in most samples of every world."""
    shares = read("10_inequality_13").set_index(["estimate", "world"]).loc["LDA"]
    most_rows = shares.columns[-1]
    right, wrong = shares.loc["gaussian", most_rows], shares.loc["heavy tails", most_rows]
    holds = (shares[most_rows] > 0.5).all()
    number = (
        f"At {most_rows} rows the generative estimate (LDA, beside logistic regression) has the "
        f"smaller error (ineq. 13) in **{right:.0%}** of samples where its model of the inputs is "
        f"right, and in **{wrong:.0%}** where they have heavy tails."
    )
    table = points(shares[most_rows].to_dict(), [PLAIN] * len(shares))
    marks = Marks(
        table, f"share of samples where ineq. 13 holds, {most_rows} rows", {"a half": 0.5}
    )
    return Verdict(HOLDS if holds else IN_PART, number, marks)


def channel(read: Read) -> Verdict:
    """Whether simulations follow eq. 14 as printed, or with the square of w."""
    distances = read("10_formulas")
    squared, printed = distances["squared"], distances["as printed"]
    number = (
        f"Two estimates of a Gaussian channel's information are within **{squared.max():.2f}** "
        f"nats of the formula with w², and as far as **{printed.max():.2f}** from the printed one."
    )
    values = {"with w²": squared.max(), "as printed": printed.max()}
    marks = Marks(points(values, [PLAIN, PLAIN]), "largest distance (nats)", {"none": 0.0})
    return Verdict(WRONG if (squared < printed).all() else HOLDS, number, marks)


def contrastive(read: Read) -> Verdict:
    """As printed it must at least be lower where the two views of each user agree."""
    losses = read("03_contrastive").set_index("views").loc[["aligned", "users mixed up"]]
    printed, ours = losses["as printed"], losses["ours"]
    number = (
        f"Where the views of users agree it is **{printed.iloc[0]:.3f}** as printed, and where "
        f"they are mixed up **{printed.iloc[1]:.3f}**; as its text describes it, "
        f"{ours.iloc[0]:.3f} and {ours.iloc[1]:.3f}."
    )
    is_blind = printed.iloc[0] > printed.iloc[1] - 1e-6
    values = {
        f"{name}, {views}": losses.loc[views, name] for name in losses for views in losses.index
    }
    marks = Marks(points(values, [PLAIN] * 2 + ["gensr"] * 2), "loss (nats)")
    return Verdict(WRONG if is_blind else HOLDS, number, marks)


def apart(read: Read) -> Verdict:
    """Separated states of GenSR, not of UniSAR; and whether training has done it."""
    rows = read("07_separation").set_index(["system", "state", "stage"])["probe accuracy"]
    accuracy = rows.str.split().str[0].astype(float)  # behind it, in brackets: shuffled tasks
    trained, before = (accuracy["gensr", "encoder", s] for s in ("trained", "before training"))
    other = accuracy["unisar", "encoder", "trained"]
    found = trained >= SEPARATE > other
    word = NOT_FOUND if not found else IN_PART if before >= SEPARATE else HOLDS
    number = (
        f"A linear probe tells the task from the encoder's states of GenSR in **{trained:.0%}** of "
        f"cases, of UniSAR in {other:.0%}; of GenSR *before any training* in **{before:.0%}**."
    )
    values = {"GenSR": trained, "GenSR, untrained": before, "UniSAR": other}
    table = points(values, ["gensr", "gensr", "unisar"])
    marks = Marks(table, "accuracy of a probe for the task", {"chance": 0.5})
    return Verdict(word, number, marks)


def conflict(read: Read) -> Verdict:
    """No conflict in GenSR; and whether there is one in UniSAR that it could be spared."""
    rows = read("07_conflict").set_index(["system", "over"])["disattenuated"]
    windows = ["all shared", "last two thirds"]
    ours, theirs = (rows[system][windows] for system in ("gensr", "unisar"))
    is_spared = theirs.min() < CONFLICT
    word = NOT_FOUND if ours.min() < 0 else HOLDS if is_spared else IN_PART
    number = (
        f"Cosine of the tasks' gradients over all shared parameters, noise taken out: GenSR "
        f"**{ours.iloc[0]:+.2f}** ({ours.iloc[1]:+.2f} over the last two thirds of the steps that "
        f"both have), "
        f"UniSAR **{theirs.iloc[0]:+.2f}** ({theirs.iloc[1]:+.2f}); one training each."
    )
    values = {
        f"{displayed(system)}{part}": found.iloc[k]
        for system, found in {"gensr": ours, "unisar": theirs}.items()
        for k, part in enumerate(("", ", last two thirds"))
    }
    table = points(values, ["gensr", "gensr", "unisar", "unisar"])
    return Verdict(word, number, Marks(table, "cosine of the gradients", {"no conflict": 0.0}))


def ranking(read: Read) -> Verdict:
    """Whether GenSR is above the best of the other systems, by intervals over users."""
    rows = read("05_tests")
    ours = rows[rows["system"] == "gensr"]
    best, floor = (ours[ours["less the"] == f"best {kind}"] for kind in ("baseline", "floor"))
    others = " and ".join(f"{count:.0f}" for count in best["of"])
    names = " and ".join(map(displayed, best["which is"]))
    number = (
        f"Expected NDCG@10 of GenSR minus that of the best of {others} others ({names}): "
        f"{_by_task(best, 'difference')}; minus that of the best floor: "
        f"{_by_task(floor, 'difference')}."
    )
    marks = differences(best, "difference", "NDCG@10, GenSR minus the best other")
    return Verdict(_overall(best), number, marks)


def reader(read: Read) -> Verdict:
    """Whether GenSR is above the same system with a perceptron as its reader."""
    rows = read("03_against")
    ours = rows[rows["GenSR minus"] == "gensr, perceptron"]
    number = (
        f"Expected NDCG@10 of GenSR minus that with a perceptron in T5's place: "
        f"{_by_task(ours, 'difference')}."
    )
    marks = differences(ours, "difference", "NDCG@10, T5 minus perceptron")
    return Verdict(_overall(ours), number, marks)


def figure_4(read: Read) -> Verdict:
    """Whether the loss of each of the four parts hurts both tasks."""
    rows = _worth(read, "CF view", "semantic view", "soft filter", "contrastive loss")
    hurts = rows[_is_found(rows)]
    named = [f"{row.mechanism} in {TASK_LABELS[row.task]}" for row in hurts.itertuples()]
    number = (
        f"Of four parts in two tasks, **{len(hurts)}** of {len(rows)} losses are more than luck "
        f"over {rows['worlds'].min():.0f} worlds ({', '.join(named) or 'none'}); by readers who "
        f"know the law {_is_there(rows).sum()} could be."
    )
    return Verdict(_where(rows), number, _worths(rows))


def soft_filter(read: Read) -> Verdict:
    """Whether both tasks lose without the soft filter."""
    rows = _worth(read, "soft filter")
    number = f"Whole minus without it: {_beside_ceilings(rows)}."
    return Verdict(_where(rows), number, _worths(rows))


def joint_training(read: Read) -> Verdict:
    """Whether both tasks lose by training on one alone."""
    rows = _worth(read, "joint training")
    number = f"Both tasks minus one alone: {_beside_ceilings(rows)}."
    return Verdict(_where(rows), number, _worths(rows))


def task_prompt(read: Read) -> Verdict:
    """Whether both tasks lose by one prompt for both."""
    rows = _worth(read, "task prompt")
    number = f"Two prompts minus one for both, in the default world: {_beside_ceilings(rows)}."
    return Verdict(_where(rows), number, _worths(rows))


def _worth(read: Read, *mechanisms: str) -> pd.DataFrame:
    """What mechanisms are worth in both tasks; LookupError if a row is missing."""
    rows = read("08_worth")
    rows = rows[rows["mechanism"].isin(mechanisms)]
    if len(rows) != len(mechanisms) * len(BEHAVIORS):
        raise LookupError(f"08_worth has not both tasks of {', '.join(mechanisms)}")
    return rows


def _worths(rows: pd.DataFrame) -> Marks:
    """What mechanisms are worth, beside what they could be; several have their names at rows."""
    several = rows["mechanism"].nunique() > 1
    labels = [
        f"{row.mechanism}, {TASK_LABELS[row.task]}" if several else TASK_LABELS[row.task]
        for row in rows.itertuples()
    ]
    ceiling = pd.Series(rows["ceiling"].to_numpy(), labels)
    marks = {"what it could be": ceiling, "nothing": 0.0}
    return Marks(
        with_intervals(rows, "effect", labels),
        "what it is worth in NDCG@10; ◇ what it could be",
        marks,
    )


def _is_found(rows: pd.DataFrame) -> pd.Series:
    """Effects that are more than luck."""
    return (rows["p_holm"] < LEVEL) & (rows["effect"] > 0)


def _is_there(rows: pd.DataFrame) -> pd.Series:
    """Ceilings as large as what the test would find."""
    return rows["ceiling"] >= rows["detectable"]


def _where(rows: pd.DataFrame) -> str:
    """Whether all effects are found, all of those that could be, some, or none."""
    found, there = _is_found(rows), _is_there(rows)
    if not found.any():
        return NOT_FOUND
    return HOLDS if found.all() else WHERE if found[there].all() else IN_PART


def _beside_ceilings(rows: pd.DataFrame) -> str:
    """Effects with their intervals, and what they could be."""
    most = rows.set_index("task")["ceiling"]
    could = " and ".join(f"{most[task]:.3f}" for task in BEHAVIORS)
    told = (
        f"expected NDCG@10 {_by_task(rows, 'effect')}, mean of {rows['worlds'].min():.0f} worlds; "
        f"a reader who knows the law loses {could}"
    )
    for row in rows[~_is_there(rows) & ~_is_found(rows)].itertuples():
        told += f"; in {TASK_LABELS[row.task]} less than {row.detectable:.3f} could not be seen"
    return told


def best_between(read: Read) -> Verdict:
    """Values of both knobs that are surely worse than the default, on either side of it."""
    rows = read("09_tests")
    rows[["knob", "setting"]] = rows["value"].str.extract(r"^(tau|beta)=(.*)")
    rows = rows.dropna(subset="knob")  # without those of the released form
    default = rows["knob"].map(GenSRConfig().model_dump())
    rows = rows.assign(below=rows["setting"].astype(float) < default.astype(float))
    worse = rows[(rows["p_holm"] < LEVEL) & (rows["high"] < 0)]
    sides = set(zip(worse["knob"], worse["below"], strict=True))
    word = HOLDS if len(sides) == 4 else IN_PART if sides else NOT_FOUND
    told = (
        f"{displayed(row['value'])} in {TASK_LABELS[row['task']]} "
        f"{_with_interval(row, 'difference')}"
        for _, row in worse.iterrows()
    )
    number = (
        f"Surely below the default (β = 0.01, τ = 0.07) in expected NDCG@10: "
        f"{', '.join(told) or 'no value'}; {rows['worlds'].min():.0f} worlds. The picture has the "
        f"ends of both knobs."
    )
    ends = rows[rows["value"].isin(ENDS)].sort_values("value", kind="stable")
    labels = [f"{displayed(row.value)}, {TASK_LABELS[row.task]}" for row in ends.itertuples()]
    drawn = with_intervals(ends, "difference", labels)
    marks = Marks(drawn, "NDCG@10, minus that at the default", {"no difference": 0.0})
    return Verdict(word, number, marks)


def cost(read: Read) -> Verdict:
    """Whether ranking costs less than UniSAR's, at equal width."""
    cost = read("03_cost").set_index("system")
    own, one_way = (cost.loc[f"GenSR, {form}"] for form in ("two-way", "one-way"))
    number = (
        f"**{own['training']:.1f}** times UniSAR's cost in training and **{own['ranking']:.0f}** "
        f"times in ranking (one-way {one_way['training']:.1f} and {one_way['ranking']:.1f}), 32 "
        f"rows at once, at equal width."
    )
    values = {what: own[what] for what in ("training", "ranking")}
    values |= {f"{what}, one-way": one_way[what] for what in values}
    marks = Marks(points(values, ["gensr"] * 4), "times UniSAR's cost", {"as much": 1.0})
    return Verdict(OPPOSITE if own["ranking"] > 1 else HOLDS, number, marks)
