"""The board of claims: what the paper says, and what was found here.

Each claim has a judge, which reads the tables that the chapters of the default run left in
``figures/`` and gives the verdict by a rule, with the number that decides. So nothing on the board
is typed, and it changes when a chapter does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from ..data.schema import BEHAVIORS, TASK_LABELS
from ..errors import ConfigError
from ..models.gensr.options import GenSRConfig
from ..show.names import displayed
from ..show.study_plots import LEVEL

HOLDS = "holds"
IN_PART = "holds in part"
NOT_FOUND = "not found"
CONTRADICTED = "contradicted by the paper itself"
VERDICTS = (HOLDS, IN_PART, NOT_FOUND, CONTRADICTED)
SEPARATE = 0.95  # share of states whose task a linear probe must name; a half is chance
CONFLICT = -0.1  # cosines nearer to zero are none: sums in another order move them by as much
Read = Callable[[str], pd.DataFrame]


@dataclass(frozen=True)
class Verdict:
    """What a judge says.

    Attributes:
        word: one of `VERDICTS`.
        number: what decides, as a sentence of Markdown.
    """

    word: str
    number: str


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
        says: the claim, in a sentence.
        where: in the paper.
        chapter: where it is put to the test.
        picture: the figure that shows it best, without its suffix; '' for none.
        judge: reads tables by their names and decides.
    """

    says: str
    where: str
    chapter: str
    picture: str
    judge: Callable[[Read], Verdict]


def judged(figures: Path) -> Iterator[tuple[Claim, Verdict]]:
    """All claims with their verdicts, in the order of the paper.

    Raises:
        ConfigError: a table of a chapter is not there, or is not what its judge reads.
    """
    for claim in CLAIMS:
        try:
            yield claim, claim.judge(partial(_read, figures))
        except (LookupError, ValueError, TypeError) as error:
            message = (
                f"{figures}: the tables of {claim.chapter} do not decide '{claim.says}' "
                f"({type(error).__name__}: {error}); run the chapter anew: "
                f"python -m gensr_lib book run --only {claim.chapter} --in-place --force"
            )
            raise ConfigError(message) from None


def _read(figures: Path, name: str) -> pd.DataFrame:
    path = figures / f"{name}.csv"
    try:
        return pd.read_csv(path)
    except OSError:
        raise LookupError(f"{path.name} is missing") from None


# --- the judges -----------------------------------------------------------------------------------


def _overall(gaps: pd.DataFrame) -> str:
    """Whether all differences, some or none are above zero by their intervals."""
    above = gaps["low"] > 0
    return HOLDS if above.all() else IN_PART if above.any() else NOT_FOUND


def _with_interval(row: pd.Series, value: str, unit: str = "") -> str:
    """Such as ``+0.039 bit [0.012, 0.063]``."""
    return f"**{row[value]:+.3f}**{unit} [{row['low']:.3f}, {row['high']:.3f}]"


def _by_task(rows: pd.DataFrame, value: str, unit: str = "") -> str:
    """Both tasks' differences, with intervals, in words; KeyError if a task has no row."""
    rows = rows.set_index("task")
    parts = (
        f"{_with_interval(rows.loc[task], value, unit)} in {TASK_LABELS[task]}"
        for task in BEHAVIORS
    )
    return ", ".join(parts)


def _information(read: Read) -> Verdict:
    gaps = read("06_order")
    column = "GenSR - UniSAR"
    bound = gaps[gaps["reading"].str.startswith("score")]
    others = gaps.drop(bound.index)[column]
    number = (
        f"GenSR minus UniSAR by the calibrated bound: {_by_task(bound, column, ' bit')}; by other "
        f"readings of “input and output” {others.min():+.2f} to {others.max():+.2f}."
    )
    return Verdict(_overall(gaps), number)


def _against_tables(read: Read) -> Verdict:
    rows = read("06_printed")
    worst = rows.loc[(rows["Table 1 gensr"] - rows["implied gensr"]).idxmax()]
    is_refuted = worst["Table 1 gensr"] > worst["implied gensr"]
    number = (
        f"NDCG@10 of {worst['N@10 gensr']:.2f} ({worst['data']}, {TASK_LABELS[worst['task']]}) "
        f"implies **{worst['implied gensr']:.2f}** bit about the label; Table 1 has "
        f"{worst['Table 1 gensr']:.2f}."
    )
    return Verdict(CONTRADICTED if is_refuted else HOLDS, number)


def _lemma(read: Read) -> Verdict:
    shares = read("10_inequality_13").set_index(["estimate", "world"]).loc["LDA"]
    most_rows = shares.columns[-1]
    right, wrong = shares.loc["gaussian", most_rows], shares.loc["heavy tails", most_rows]
    holds = (shares[most_rows] > 0.5).all()
    number = (
        f"At {most_rows} rows inequality 13 holds in **{right:.0%}** of samples where the model of "
        f"the inputs is right, and in **{wrong:.0%}** where they have heavy tails."
    )
    return Verdict(HOLDS if holds else IN_PART, number)


def _channel(read: Read) -> Verdict:
    distances = read("10_formulas")
    squared, printed = distances["squared"], distances["as printed"]
    number = (
        f"Two estimates of a Gaussian channel's information are within **{squared.max():.2f}** "
        f"nats of the formula with w², and as far as **{printed.max():.2f}** from the printed one."
    )
    return Verdict(CONTRADICTED if (squared < printed).all() else HOLDS, number)


def _contrastive(read: Read) -> Verdict:
    """As printed it must at least be lower where the two views of each user agree."""
    losses = read("03_contrastive").set_index("views").loc[["aligned", "users mixed up"]]
    printed, ours = losses["as printed"], losses["ours"]
    number = (
        f"Where the views of users agree it is **{printed.iloc[0]:.3f}** as printed, and where "
        f"they are mixed up **{printed.iloc[1]:.3f}**; as its text describes it, "
        f"{ours.iloc[0]:.3f} and {ours.iloc[1]:.3f}."
    )
    is_blind = printed.iloc[0] > printed.iloc[1] - 1e-6
    return Verdict(CONTRADICTED if is_blind else HOLDS, number)


def _apart(read: Read) -> Verdict:
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
    return Verdict(word, number)


def _conflict(read: Read) -> Verdict:
    """No conflict in GenSR; and whether there is one in UniSAR that it could be spared."""
    rows = read("07_conflict").set_index(["system", "over"])["disattenuated"]
    windows = ["all shared", "last two thirds"]
    ours, theirs = (rows[system][windows] for system in ("gensr", "unisar"))
    is_spared = theirs.min() < CONFLICT
    word = NOT_FOUND if ours.min() < 0 else HOLDS if is_spared else IN_PART
    number = (
        f"Cosine of the tasks' gradients over all shared parameters, noise taken out: GenSR "
        f"**{ours.iloc[0]:+.2f}** ({ours.iloc[1]:+.2f} over the last two thirds of the training), "
        f"UniSAR **{theirs.iloc[0]:+.2f}** ({theirs.iloc[1]:+.2f}); one training each."
    )
    return Verdict(word, number)


def _ranking(read: Read) -> Verdict:
    rows = read("05_tests")
    best = rows[(rows["system"] == "gensr") & (rows["less the"] == "best baseline")]
    names = " and ".join(map(displayed, best["which is"]))
    number = (
        f"NDCG@10 less that of the best of 21 systems ({names}): {_by_task(best, 'difference')}."
    )
    return Verdict(_overall(best), number)


def _reader(read: Read) -> Verdict:
    rows = read("03_against")
    ours = rows[rows["GenSR minus"] == "gensr, perceptron"]
    number = f"NDCG@10 less that with a perceptron in T5's place: {_by_task(ours, 'difference')}."
    return Verdict(_overall(ours), number)


def _best_between(read: Read) -> Verdict:
    """Values of both knobs that are surely worse than the default, on either side of it."""
    rows = read("09_tests")
    rows[["knob", "setting"]] = rows["value"].str.extract(r"^(tau|beta)=(.*)")
    rows = rows.dropna(subset="knob")  # without those of the released form
    default = rows["knob"].map(GenSRConfig().model_dump())
    rows = rows.assign(below=rows["setting"].astype(float) < default.astype(float))
    worse = rows[(rows["p_holm"] < LEVEL) & (rows["high"] < 0)]
    sides = set(zip(worse["knob"], worse["below"], strict=True))
    word = HOLDS if len(sides) == 4 else IN_PART if sides else NOT_FOUND
    beta = rows[rows["value"] == "beta=0.3"]
    sharpest = rows[rows["value"] == "tau=0.01"]
    number = (
        f"NDCG@10 at β = 0.3 less that at the default, 0.01: {_by_task(beta, 'difference')}; at "
        f"τ = 0.01 less that at 0.07: {_by_task(sharpest, 'difference')}; five worlds."
    )
    return Verdict(word, number)


def _cost(read: Read) -> Verdict:
    cost = read("03_cost").set_index("system")
    own = cost.loc["GenSR, two-way"]
    number = (
        f"**{own['training']:.1f}** times UniSAR's cost in training and **{own['ranking']:.0f}** "
        f"times in ranking (one-way {cost.loc['GenSR, one-way', 'ranking']:.1f}), at equal width."
    )
    return Verdict(NOT_FOUND if own["ranking"] > 1 else HOLDS, number)


CLAIMS = (
    Claim(
        "GenSR ranks better than every other system, in both tasks",
        "Tables 2 and 3",
        "05_results",
        "05_standing",
        _ranking,
    ),
    Claim(
        "The generative model makes the difference, and not what is fed to it",
        "section 1",
        "03_gensr",
        "03_ranking",
        _reader,
    ),
    Claim(
        "Its outputs have more mutual information with the input than UniSAR's",
        "Table 1",
        "06_mutual_information",
        "06_readings",
        _information,
    ),
    Claim(
        "Table 1 and Tables 2 and 3 describe the same outputs",
        "Tables 1 to 3",
        "06_mutual_information",
        "",
        _against_tables,
    ),
    Claim(
        "Prompts part the parameter space; a discriminative model's states are mixed",
        "Figures 3a to 3c",
        "07_parameter_space",
        "07_pca_gensr",
        _apart,
    ),
    Claim(
        "So the tasks' gradients do not work against each other, as those of UniSAR do",
        "section 1",
        "07_parameter_space",
        "07_conflict",
        _conflict,
    ),
    Claim(
        "Generative parameters carry more information than discriminative ones",
        "Lemma 5.1",
        "10_theory",
        "10_sharing",
        _lemma,
    ),
    Claim(
        "The information of an estimate is ½ ln(1 + wσ²/σ²)",
        "eq. 14",
        "10_theory",
        "10_channel",
        _channel,
    ),
    Claim(
        "The contrastive loss as printed aligns the two views of a user",
        "eq. 10",
        "03_gensr",
        "",
        _contrastive,
    ),
    Claim(
        "Temperature and weight of the contrastive loss have a best value between extremes",
        "Figure 5",
        "09_sensitivity",
        "09_beta",
        _best_between,
    ),
    Claim(
        "GenSR is efficient beside other systems",
        "section 1",
        "03_gensr",
        "03_growth",
        _cost,
    ),
)
