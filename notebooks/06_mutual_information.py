# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6. Mutual information: what do inputs tell about outputs?
#
# **Overview.** The claim of the paper's title is one about information: a generative model with a prompt per task has a
# higher mutual information $I(X; Y_t)$ between its input $X$ and the output $Y_t$ of task $t$ than a discriminative
# model with shared encoders (§5). The evidence is Table 1 (§5.3), eight numbers estimated by MINE. This chapter asks
# what such numbers say, first where the truth is known and then for GenSR and UniSAR.
#
# **What follows**
#
# - three estimators against cases in which the information is known,
# - MINE against the pocket world, whose click law is known,
# - UniSAR, the discriminative counterpart, trained under the protocol of the chapters before,
# - Table 1 for both models under six readings of "X" and "Y", and what is wrong with each,
# - a bound that needs no estimator, from each model's own score, and the order of the models by it,
# - Tables 2 and 3 of the paper turned into bits, and held against its Table 1.
#
# You need [chapter 3](03_gensr.ipynb), which trains the GenSR that is examined here.
#
# The text speaks of the default run; on other data the tables have other numbers.

# %%
from functools import partial

import numpy as np
import pandas as pd

from gensr_lib import Workspace
from gensr_lib.analysis import (
    answer_information,
    calibrated_bound,
    collect,
    entropy,
    estimate,
    gaussian_information,
    information_of_ndcg,
    user_interval,
)
from gensr_lib.analysis.critics import MineLoss, donsker_varadhan
from gensr_lib.experiments import ranking_tables, result_table, table_1
from gensr_lib.show import listings, plots, tables

plots.use_style()

# %% tags=["parameters"]
DATASET = "pocket"  # or "pocket-plain", "amazon-<category>", or a folder with your own tables
PROFILE = "pocket"  # or "smoke" (does it run?), "paper" (flan-t5-base; needs a GPU)
SEED = 0  # of the data, the trainings, the samples and the estimates

# %%
book = Workspace.open(DATASET, PROFILE, SEED)
dataset = book.dataset
book.has("rec", "src", part="the other task")
n_gauss, repeats = (1000, 2) if book.is_smoke else (10_000, 5)
few = min(repeats, 3)  # where the spread is not reported
bound = (
    {"steps": 10} if book.is_smoke else {}
)  # options of the neural bounds: none, so their defaults
rng = np.random.default_rng(SEED)

# %% [markdown]
# ## What the number means
#
# $I(X; Y)$ is how much knowing $X$ lowers the uncertainty about $Y$: $H(Y) - H(Y \mid X)$, in nats (natural logarithm)
# or bits (base 2; one nat is 1.443 bits). Take a fair coin $X$ that is sent through a channel which flips one answer in
# ten. The receiver's uncertainty falls from $\ln 2$ to the entropy of a coin with $p = 0.1$.

# %% tags=["nbval-check-output"]
by_hand = entropy([0.5, 0.5]) - entropy([0.9, 0.1])
assert np.isclose(by_hand, np.log(2) + 0.1 * np.log(0.1) + 0.9 * np.log(0.9))
print(
    f"I = {by_hand:.4f} nats = {by_hand / np.log(2):.4f} bits; the ceiling H(Y) is {np.log(2):.4f} nats = 1 bit"
)

# %% [markdown]
# **The ceiling matters.** $I(X; Y) \le H(Y)$, whatever $X$ is. An answer of yes or no has at most $\ln 2 = 0.693$ nats,
# which is one bit.

# %% [markdown]
# ## Three estimators
#
# From samples alone, information must be estimated. The paper takes MINE, mutual information neural estimation (Belghazi et al., 2018): a network
# $f$ is trained to tell true pairs from shuffled ones, and by the formula of Donsker and Varadhan
#
# $$I(X; Y_t) \ge \mathbb{E}_{P(X, Y_t)}[f(x, y_t)] - \log \mathbb{E}_{P(X) P(Y_t)}\left[e^{f(x, y_t)}\right] \tag{12}$$
#
# for every $f$, with equality for the best one. In training, the gradient of the logarithm is divided by a moving average,
# since that of a single batch would be biased:

# %% tags=["remove-input"]
listings.code(donsker_varadhan, MineLoss)

# %% [markdown]
# Here are three estimators:
#
# - **MINE**. Ours is eq. 12 plus four things. With many columns a *group lasso* lets $f$ drop those that do not help: on 320
#   columns of which one tells, less than half of the information would be found without it (a test of the library).
#   Columns enter as *normal scores*, Gaussian quantiles of their ranks in the training part. And for a discrete $Y$
#   $f$ has *products* of columns, which start at the pairs whose moments differ between the classes. For a continuous
#   one $f$ is *cut off* at the highest value that it gave to a pair of the part that stops the training: a single
#   shuffled pair, far from all that training saw, could else have the whole mean of $e^f$ to itself.
# - **InfoNCE** (van den Oord et al., 2018) asks the network to find the true partner among a batch; a lower bound too, and never above the
#   logarithm of the batch size.
# - **kNN** (Kraskov et al., 2004; for a discrete $Y$ Ross, 2014) counts neighbours and trains nothing.
#
# A bound holds for data that $f$ was not trained on. We train on one part, stop by a second, and report a third. Where
# the mean lies a little below zero, nothing was found; we print it as it is.

# %% [markdown]
# The test case: $d$ pairs of correlated Gaussians, for which $I = -\frac{d}{2} \ln(1 - \rho^2)$.


# %%
def gaussian_pairs(d: int, nats: float) -> tuple[np.ndarray, np.ndarray]:
    """x and y (n, d) with correlation per column such that the information is ``nats`` in all."""
    rho = np.sqrt(1 - np.exp(-2 * nats / d))
    x, noise = rng.standard_normal((2, n_gauss, d))
    return x, rho * x + np.sqrt(1 - rho**2) * noise


assert np.isclose(gaussian_information(np.sqrt(1 - np.exp(-2 * 1.5 / 4)), 4), 1.5)

# %%
cases = [(1, 1.0), (2, 1.0), (5, 1.0), (20, 1.0), (20, 2.0), (20, 0.0)]
cases = cases[::3] if book.is_smoke else cases
found, curves = [], {}
for d, truth in cases:
    x, y = gaussian_pairs(d, truth)
    for method in ("mine", "infonce", "knn"):
        result = estimate(
            x, y, method, seed=SEED, repeats=few, **(bound if method != "knn" else {})
        )
        found.append((d, truth, method, result.nats))
        curves[d, truth, method] = result.curve

# %% tags=["nbval-ignore-output"]
#| label: tbl:06-gaussians
#| caption: Estimates for correlated Gaussians in nats, by dimensions and true information; 10,000 samples by default.
gaussians = pd.DataFrame(found, columns=["dimensions", "truth", "method", "nats"])
gaussians = gaussians.pivot(index=["dimensions", "truth"], columns="method", values="nats")[
    ["mine", "infonce", "knn"]
]
if not book.is_smoke:
    informative = gaussians.query("truth > 0")
    assert (abs(informative["mine"] / informative.index.get_level_values("truth") - 1) < 0.1).all()
    assert abs(gaussians.loc[(20, 0.0), "mine"]) < 0.02
tables.show(gaussians, "06_gaussians", book.figures)

# %% [markdown]
# MINE stays within ten per cent of the truth in up to twenty dimensions, and finds nothing where there is nothing. The
# neighbours are as good in one and two dimensions, fall short in five, and far short in twenty: most points there are
# about equally far apart. This is why a *neural* estimator is used for hidden states at all.

# %% [markdown]
# Why hold out data? The next figure shows one case. The bound on the training part goes on rising, above the truth,
# because the network learns single pairs by heart. The bound on the held-out part does not follow.

# %%
#| label: fig:06-holding-out
#| caption: The Donsker-Varadhan bound (nats) during MINE's training, mean over the repeats (d = 20, truth 1 nat).
curve = curves[20, 1.0, "mine"].groupby("step")[["train", "valid"]].mean()
figure = plots.lines(
    curve.rename(columns={"valid": "held out"}).assign(truth=1.0), "training step", "bound (nats)"
)
plots.save_figure(figure, "06_holding_out", book.figures)
figure

# %% [markdown]
# With more steps, a larger network or fewer rows the upper curve would rise further. Early stopping and the part that
# is reported are therefore part of the definition of the estimate.
#
# **Units must not matter.** Information stays the same when a column goes through any increasing function. Here is
# one case twice, the second time with $\sinh(3x)$ in place of $x$: most values are then near zero and a few are in the
# thousands. Normal scores see only ranks, so the two estimates are equal. Only increasing functions of single columns
# are covered; a rotation of the columns changes the estimate, though not the information.

# %%
x, y = gaussian_pairs(3, gaussian_information(0.8, 3))
plain, bent = (
    estimate(columns, y, seed=SEED, repeats=few, **bound) for columns in (x, np.sinh(3 * x))
)
assert np.isclose(plain.nats, bent.nats)
print(
    f"x: {plain.nats:.4f}, sinh(3x): {bent.nats:.4f}, truth: {gaussian_information(0.8, 3):.4f} nats"
)

# %% [markdown]
# ## A yes or no
#
# The outputs of Table 1 are answers, so here are two channels with a discrete $Y$: the coin from above, and a logistic
# law $P(Y = 1 \mid x) = \sigma(2x)$ of a Gaussian $x$, whose information is one integral. The coin is hidden among ten
# columns of noise.

# %%
x = rng.standard_normal((n_gauss, 11))
flips, coins = rng.random((2, n_gauss))
points, weights = np.polynomial.hermite_e.hermegauss(80)  # quadrature for a Gaussian x
law = 1 / (1 + np.exp(-2 * points))
channels = {
    "flipped coin": (np.c_[x[:, :10], x[:, 10] > 0], (x[:, 10] > 0) ^ (flips < 0.1), by_hand),
    "logistic law": (
        x[:, 0],
        coins < 1 / (1 + np.exp(-2 * x[:, 0])),
        entropy([0.5, 0.5]) - weights @ entropy(np.c_[law, 1 - law]) / weights.sum(),
    ),
}

# %% tags=["nbval-ignore-output"]
#| label: tbl:06-discrete
#| caption: MINE for two channels with a yes or no, in nats.
rows = {}
for name, (columns, answer, truth) in channels.items():
    result = estimate(columns, answer, seed=SEED, repeats=few, **bound)
    rows[name] = {"truth": truth, "mine": result.nats, "ceiling H(Y)": result.ceiling}
    assert book.is_smoke or abs(result.nats / truth - 1) < 0.1
tables.show(pd.DataFrame(rows).T.rename_axis("channel"), "06_discrete", book.figures)

# %% [markdown]
# MINE finds both within ten per cent, the coin in spite of the noise around it.
#
# **A product.** Whether an item suits a query is a matter of *both*. The simplest such case: two vectors $q$ and $i$ of
# two Gaussian numbers each, hidden in 64 columns apiece, and $P(Y = 1) = \sigma(2\, q \cdot i)$, or without noise
# $Y = 1$ where $q \cdot i > 0$. No column alone says anything. The sum $q \cdot i$ has a Laplace distribution, so
# the truth is one integral again; without noise it is one bit. We give MINE 4,000 rows, as many as a model has different
# questions (of 6,000 rows: each click stands there three times, so that yes and no are balanced).


# %%
def product_case(noisy: bool, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Columns (n, 128), of which 0, 1, 64 and 65 decide, and the answers (n,)."""
    own = np.random.default_rng(SEED)
    columns = own.standard_normal((n, 128))
    product = (columns[:, :2] * columns[:, 64:66]).sum(axis=1)
    p = 1 / (1 + np.exp(-2 * product)) if noisy else product > 0
    return columns, own.random(n) < p


size = np.linspace(0, 40, 400_001)  # |q.i|, whose density is exp(-size)
left = entropy(np.stack([1 / (1 + np.exp(2 * size)), 1 / (1 + np.exp(-2 * size))], axis=-1))
truths = {"noisy": np.log(2) - np.trapezoid(np.exp(-size) * left, size), "noiseless": np.log(2)}

# %% tags=["nbval-ignore-output"]
#| label: tbl:06-product
#| caption: MINE where a product of hidden columns decides, 4,000 rows of 128 columns, in bits.
rows = {}
for name, truth in truths.items():
    result = estimate(*product_case(name == "noisy"), seed=SEED, repeats=few, **bound)
    share = result.nats / truth
    rows[name] = {"truth": truth / np.log(2), "mine": result.bits, "share found": share}
    assert book.is_smoke or share > (0.8 if name == "noisy" else 0.5)
products = pd.DataFrame(rows).T.rename_axis("case")
tables.show(products, "06_product", book.figures)

# %% [markdown]
# With noise, which is the case of a click, nearly all is found. Without noise it is about three quarters of a bit:
# next to the boundary the network would have to be sure from few rows, and a bound that is sure and wrong pays dearly.
# With more than a few true columns it fails: with eight in each vector and
# the same rows less than a third of a bit was left, with sixty-four next to nothing. An estimate on a model's *input*
# must be read with this in mind.
#
# ## A world whose law is known
#
# In the pocket world the probability of each click is written down. Show a user one clicked item and one random item of
# the catalogue, and let $Y$ say which of the two a given item is: then $I(X; Y)$ is known exactly, where $X$ is all
# there is to know (user, state, query, item). The log-probability of the click is a sufficient statistic of $X$: it
# keeps all the information about $Y$ in one number. MINE should find it.

# %%
known = {}
if dataset.truth is not None:
    names = dataset.truth.item_index(dataset.item_ids[1:])  # ours, from 1, to the simulation's
    for task, is_src in (("rec", False), ("src", True)):
        events = np.flatnonzero(dataset.is_search == is_src)
        events = events[np.linspace(0, len(events) - 1, min(len(events), 5000)).astype(int)]
        at = dataset.events.iloc[events]
        rows = dataset.truth.rows(at["user_id"], at["time"], at["behavior"])
        shown = np.c_[
            names[dataset.item[events] - 1],
            rng.integers(dataset.truth.config.n_items, size=len(events)),
        ]
        known[task] = (dataset.truth.log_prob(rows, shown), events)

# %% tags=["nbval-ignore-output"]
#| label: tbl:06-known
#| caption: "Information about one click against one random item in the pocket world, in bits; the ceiling is 1 bit."
rows = {}
for task, (log_prob, events) in known.items():
    label, group = np.tile([1, 0], len(events)), np.repeat(events, 2)
    result = estimate(
        log_prob.ravel(), label, "mine", seed=SEED, repeats=repeats, **bound, groups=group
    )
    neighbours = estimate(log_prob.ravel(), label, "knn", seed=SEED, repeats=repeats, groups=group)
    truth = dataset.truth.information(task, n_negatives=1) / np.log(2)
    rows[task] = {
        "truth": truth,
        "mine": result.bits,
        "sd": result.sd / np.log(2),
        "knn": neighbours.bits,
    }
known_table = pd.DataFrame(rows).T.rename_axis("task")
if rows and not book.is_smoke:
    assert (abs(known_table["mine"] - known_table["truth"]) < 0.05).all()
tables.show(known_table, "06_known", book.figures)

# %% [markdown]
# Somebody who knows everything about the user knows 0.85 of the bit in search, where the query tells
# most, and 0.71 in recommendation: the click itself is random. No model can get past these numbers on a
# true label.

# %% [markdown]
# ## UniSAR, the counterpart
#
# UniSAR (Shi et al., 2024) is the discriminative model that the paper compares with: shared transformers over the
# history, alignment losses, and for each task a head of its own behind a mixture of experts. It is trained on the same
# rows and negatives as GenSR, and tested on the same candidates.

# %%
run = book.fit("unisar")
runs = {"unisar": run, "gensr": book.fit("gensr")}

# %%
#| label: fig:06-unisar
#| caption: Training of UniSAR. Losses are means over an epoch; the validation metric is NDCG@5 among 100 candidates.
training = plots.training_curves(run.history, best_epoch=run.record["best_epoch"])
plots.save_figure(training, "06_unisar", book.figures)
training

# %% [markdown]
# Its ranking metrics, beside those of GenSR and between two anchors, popularity and the oracle:

# %% tags=["nbval-ignore-output"]
#| label: tbl:06-systems
#| caption: Test metrics of the two systems, of popularity and of the oracle in this run.
anchors = ["popularity"] + ["oracle"] * (dataset.truth is not None)
systems = result_table({name: book.fit(name) for name in [*runs, *anchors]})
tables.show(systems, "06_systems", book.figures, digits=4)

# %% [markdown]
# GenSR ranks better in recommendation, and UniSAR in search. Keep this in mind below: if information
# measures what the paper wants it to measure, the order of the models in information should be their order in ranking.

# %% [markdown]
# ## What exactly are X and Y?
#
# The paper says "the input $X$ and the task-specific outputs" $Y_t$, and gives no unit. We ask each model
# about *questions*: a user of the test part, the item that was clicked or one that was not, equally often. For each
# question we keep
#
# - the **input** representation: what enters the part that answers. For GenSR the four vectors that fill the prompt's
#   slots and the mean embedding of the query; for UniSAR the five vectors before the experts. Five vectors of one width
#   in both;
# - the **hidden** state that the answer is read from: the decoder's state, or the mixture of experts;
# - the answer: P(Yes), a number, or a yes or no: *drawn* by it, or *decided*, yes where P(Yes) is above one half;
# - the **label**: whether the item was clicked.

# %%
negatives = 3  # 20 test rows, the fewest, make 120 questions; an estimate needs 100
models = {name: run.model for name, run in runs.items()}
samples = {
    (name, task): collect(model, dataset, task, negatives=negatives, max_rows=2000).balanced()
    for task in book.tasks
    for name, model in models.items()
}

# %% tags=["nbval-ignore-output"]
#| label: tbl:06-samples
#| caption: The questions that each model was asked, and the columns of its input.
asked = [(task, name, *sample.input.shape) for (name, task), sample in samples.items()]
asked = pd.DataFrame(asked, columns=["task", "system", "questions", "columns of the input"])
tables.show(asked.set_index(["task", "system"]), "06_samples", book.figures)

# %% [markdown]
# A **reading** is a choice of X and Y. The first is the most literal one of "input and output"; its Y is a *function*
# of its X. Then $H(Y \mid X)$ has no noise left, and the true mutual information of two continuous variables so tied is
# infinite: what MINE gives is how much of it its network can find. The two with P(Yes) have no ceiling, the others one bit;
# those with the label are about being *right*.
#
# The *decided* answer $\hat Y$ is a function of $X$ too, but a discrete one: $H(\hat Y \mid X) = 0$, hence
# $I(X; \hat Y) = H(\hat Y)$ exactly. Nothing has to be estimated. It is one bit for a model that says yes half of the
# time, and near one bit for any that does so nearly half of the time, whether it is right or not.

# %%
readings = {
    "input → P(Yes)": lambda s: (s.input, s.probability),
    "hidden → P(Yes)": lambda s: (s.hidden["head"], s.probability),
    "input → yes or no drawn": lambda s: (s.input, s.answers(SEED)),
    "input → label": lambda s: (s.input, s.label),
    "hidden → label": lambda s: (s.hidden["head"], s.label),
}
DECIDED = "input → yes or no decided"

# %%
estimates = []
by_repeat = {}
for reading, choose in readings.items():
    for (name, task), sample in samples.items():
        x, y = choose(sample)
        result = estimate(
            x,
            y,
            seed=SEED,
            repeats=repeats,
            discrete=y.dtype.kind == "i",
            groups=sample.user,
            **bound,
        )
        by_repeat[reading, task, name] = result.values / np.log(2)
        estimates.append((reading, task, name, result.bits, result.sd / np.log(2), result.nats))
for (name, task), sample in samples.items():
    said_yes = sample.decisions().mean()
    nats = float(entropy([1 - said_yes, said_yes]))
    estimates.append((DECIDED, task, name, nats / np.log(2), np.nan, nats))
table = pd.DataFrame(estimates, columns=["reading", "task", "system", "bits", "sd", "nats"])

# %% [markdown]
# ## What could stand in the paper's Table 1
#
# The paper's numbers first, as printed.

# %% tags=["nbval-check-output"]
#| label: tbl:06-paper
#| caption: The paper's Table 1, as printed (not our numbers). No unit is given.
printed = table_1().reindex(columns=list(plots.TASK_LABELS), level=1)  # in the order of ours
tables.show(printed, "06_paper", book.figures, digits=4)

# %% [markdown]
# In print GenSR is above UniSAR in every column. Now ours, in bits: mean ± standard deviation over the repeats (splits,
# networks and shuffles; *one* trained model each). The decided answer has an exact value and no spread. The figure has
# the same numbers.

# %% tags=["nbval-ignore-output"]
#| label: tbl:06-readings
#| caption: What could stand in the paper's Table 1, by six readings of it, in bits, on the data of this run.
order = ["unisar", "gensr"]
shown = table.assign(
    value=[
        f"{bits:.3f} exact" if np.isnan(sd) else f"{bits:.3f} ± {sd:.3f}"
        for bits, sd in zip(table["bits"], table["sd"], strict=True)
    ]
)
shown = shown.pivot(index="reading", columns=["task", "system"], values="value")
shown = shown.loc[[*readings, DECIDED]]
tables.show(shown, "06_readings", book.figures)

# %%
#| label: fig:06-readings
#| caption: Information under six readings, in bits. Bars are one standard deviation over the repeats.
figure, axes = plots.panels(len(book.tasks), height=3.8, sharex=True, sharey=True)
ceiling = {"ceiling of a yes or no": 1.0}
for ax, task in zip(axes, book.tasks, strict=True):
    own = (
        table[table["task"] == task]
        .set_index("reading")
        .rename(columns={"system": "group", "bits": "mean"})
    )
    sd = own["sd"].fillna(0)  # the decided answer is exact
    own = own.assign(low=own["mean"] - sd, high=own["mean"] + sd)
    plots.intervals(
        own, "bits", ax=ax, title=plots.TASK_LABELS[task], reference=ceiling, legend=False
    )
plots.legend_below(figure, axes)
plots.save_figure(figure, "06_readings", book.figures)
figure

# %% [markdown]
# What is said of the two systems hangs on the reading: in search UniSAR has far more of one, and less of another.
#
# **Can the paper's values be nats?** They lie between 0.85 and 0.94. If $Y$ is the answer yes or no, they cannot: the
# ceiling is 0.693 nats. They can be bits. If $Y$ is the probability, there is no ceiling, and any value is possible.
# All eight lie just below one. The decided answer would explain that without a word about knowledge: its information is
# $H(\hat Y)$, and a model that says yes to 30 % of the questions has 0.88 bit, to 35 % 0.93 bit.

# %%
assert table_1().to_numpy().min() > np.log(2)
assert table_1().to_numpy().max() < 1
says_yes = np.array([0.30, 0.35])
crowd = entropy(np.stack([1 - says_yes, says_yes], axis=-1)) / np.log(2)
assert np.allclose(crowd, [0.88, 0.93], atol=0.005)

# %% [markdown]
# ## Three checks on the estimates
#
# **First: drawn answers have an exact value.** If the answer is drawn by $p = $ P(Yes), then
# $I(X; \hat Y) = h(\bar p) - \overline{h(p)}$, where $h$ is the entropy of a coin: no estimator is needed. It is large
# for a model that is *sure*, right or wrong. And a label has a truth in the pocket world: no representation can tell
# more of it. The table holds MINE against both.

# %% tags=["nbval-ignore-output"]
#| label: tbl:06-checks
#| caption: MINE beside what is known, in bits.
found = table.set_index(["reading", "task", "system"])["bits"]
checks = []
for (name, task), sample in samples.items():
    exact = answer_information(sample.probability) / np.log(2)
    known_bits = known_table["truth"].get(task, np.nan) if known else np.nan
    drawn, label = (
        found[reading, task, name] for reading in ("input → yes or no drawn", "hidden → label")
    )
    checks.append((task, name, exact, drawn, known_bits, label))
    assert not book.is_default or (drawn < exact + 0.05 and label < known_bits + 0.05)
columns = [
    "task",
    "system",
    "drawn: exact",
    "drawn: MINE",
    "label: truth (ceiling)",
    "label: MINE (hidden)",
]
tables.show(
    pd.DataFrame(checks, columns=columns).set_index(["task", "system"]), "06_checks", book.figures
)

# %% [markdown]
# MINE stays below what is known, as a lower bound should: for the drawn answers of the default run by 0.15 and 0.18 bit
# in recommendation, and in search by 0.20 and 0.32, which is a third of UniSAR's and near three quarters of GenSR's.
#
# **Second: a hidden state cannot know more than its input.** UniSAR's hidden state is computed from its input and
# nothing else, so it cannot know more of the label than the input does (the data-processing inequality). What MINE
# finds in the two:

# %% tags=["nbval-ignore-output"]
#| label: tbl:06-found-in
#| caption: "What MINE finds of the label in UniSAR's input and in its hidden state, in bits."
found_in = found.xs("unisar", level="system").unstack("task")
found_in = found_in.loc[["input → label", "hidden → label"]].rename_axis("UniSAR")
tables.show(found_in, "06_found_in", book.figures)

# %% [markdown]
# Where more is found in the hidden state, the information is in the input all the same; a small network that sees a few
# thousand rows does not get it out. The model, with its long training, did. So a MINE estimate on representations says
# how *accessible* the information is, at this number of rows, with this network. It is no property of the model alone.
#
# **Third: what would a model say that has learned nothing?** We take both models with their random start, and read
# "input → P(Yes)" again.

# %%
fresh = {}
for name in order:
    model = book.build(name)  # as in training: the same start
    for task in book.tasks:
        sample = collect(model, dataset, task, negatives=negatives, max_rows=2000).balanced()
        result = estimate(
            sample.input,
            sample.probability,
            seed=SEED,
            repeats=few,
            discrete=False,
            groups=sample.user,
            **bound,
        )
        fresh[task, name] = result.bits

# %% tags=["nbval-ignore-output"]
#| label: tbl:06-untrained
#| caption: Information of input and P(Yes) in untrained and trained models, in bits, and NDCG@10 of the trained ones.
control = pd.DataFrame({"untrained": fresh, "trained": found["input → P(Yes)"]}).rename_axis(
    ["task", "system"]
)
control["N@10"] = [systems.loc[name, (task, "N@10")] for task, name in control.index]
tables.show(control, "06_untrained", book.figures)

# %% [markdown]
# Models that have learned nothing have 0.87 to 1.06 bits. Training adds three to five tenths for
# UniSAR, and five for GenSR in recommendation; in search GenSR has less than half of what it had, and has learned to
# search meanwhile. A random network is a smooth function, easily found. Under the most literal reading of "input and
# output" nothing ties the number to what a model knows.

# %%
assert not book.is_default or control["untrained"].min() > 0.1

# %% [markdown]
# ## A bound from the score
#
# What a model has made of its input stands in one number, its score $s$. For a label no neural estimator is needed
# then. By the data-processing inequality, and for every conditional distribution $q$,
#
# $$I(X; \text{label}) \;\ge\; I(s; \text{label}) \;\ge\; H(\text{label}) - \mathbb{E}\,[-\ln q(\text{label} \mid s)].$$
#
# For $q$ we take a logistic curve of the score (Platt scaling), fitted on four fifths of the users and measured on the
# last fifth, in turn. The bound has one dimension, is the same for all systems, and has a standard error by users. An
# isotonic curve in place of the logistic one shows whether the shape of the scores matters. Beside it stands what the
# ranking metric implies: if scores of clicks and of other items were Gaussian with equal variances, NDCG@10 among 100
# candidates would fix their distance, and the distance fixes $I(s; \text{label})$.

# %%
bounds, isotonic = (
    {
        (task, name): calibrated_bound(s.score, s.label, s.user, method=method, seed=SEED)
        for (name, task), s in samples.items()
    }
    for method in ("platt", "isotonic")
)

# %% tags=["nbval-ignore-output"]
#| label: tbl:06-bounds
#| caption: What the score tells of the label at least, in bits, with standard errors by users.
rows = {}
for (task, name), found_bound in bounds.items():
    metric = systems.loc[name, (task, "N@10")]
    rows[task, name] = {
        "bound": found_bound.bits,
        "se": found_bound.se / np.log(2),
        "isotonic": isotonic[task, name].bits,
        "hidden → label (MINE)": found["hidden → label", task, name],
        "input → label (MINE)": found["input → label", task, name],
        "N@10": metric,
        "implied by N@10": information_of_ndcg(metric) if metric > 0.05 else np.nan,
    }
bound_table = pd.DataFrame(rows).T.rename_axis(["task", "system"])
if book.is_default:
    off = bound_table["bound"] - bound_table["implied by N@10"]
    assert (abs(off.loc["rec"]) < 0.1).all()
    assert (bound_table["bound"] > bound_table["input → label (MINE)"]).any()
tables.show(bound_table, "06_bounds", book.figures)

# %% [markdown]
# In recommendation the bound and the bits that the ranking implies are near each other (0.05 apart and less),
# though they have little in common: one is measured on questions with a yes or no, the other on lists of 100. In search
# the bound is higher, by 0.10 for UniSAR and 0.16 for GenSR: a query rules out whole topics, so the scores of clicks
# and of other items are no two bells of one width, and a question with one random item is easier than its share of a
# list. And where "input → label" by MINE is *below* the bound, as in all four rows, the estimate is proved to be too
# low: the input knows at least what the score knows.
#
# ## Does the order survive?
#
# The paper's conclusion is an order: GenSR above UniSAR, in both tasks. An order can be read off numbers that are
# right. So the MINE estimates on the input take no part, nor does "hidden → P(Yes)": that Y is a fixed function
# of its X, whose information is infinite. Four readings are left. Both systems were asked the same questions of the
# same users and, in MINE, with the same splits; differences are therefore taken in pairs. The interval is the middle 95%
# over bootstrap samples of users. For MINE, which would have to be trained anew for each sample, it is the range of
# the paired repeats instead.


# %%
def decided_information(sample, rows: np.ndarray) -> float:
    """H of the decided answers of some rows, in nats."""
    said_yes = sample.decisions()[rows].mean()
    return float(entropy([1 - said_yes, said_yes]))


def gap_in_bits(measure, task: str, rows: np.ndarray) -> float:
    """GenSR minus UniSAR on the same rows."""
    gensr, unisar = (measure(name, task, rows) for name in ("gensr", "unisar"))
    return (gensr - unisar) / np.log(2)


exact = {
    "score → label (bound)": lambda name, task, rows: bounds[task, name].gain[rows].mean(),
    "input → yes or no drawn (exact)": lambda name, task, rows: answer_information(
        samples[name, task].probability[rows]
    ),
    "input → yes or no decided (exact)": lambda name, task, rows: decided_information(
        samples[name, task], rows
    ),
}

# %% tags=["nbval-ignore-output"]
#| label: tbl:06-order
#| caption: GenSR minus UniSAR in bits, by pairs. Interval over users; for MINE the range over paired repeats.
rows = {}
for task in book.tasks:
    user = samples["gensr", task].user
    assert np.array_equal(user, samples["unisar", task].user)
    for reading, measure in exact.items():
        here = partial(gap_in_bits, measure, task)
        low, high = user_interval(here, user, draws=20 if book.is_smoke else 500, seed=SEED)
        rows[reading, task] = here(np.arange(len(user))), low, high
    pairs = (by_repeat["hidden → label", task, name] for name in ("gensr", "unisar"))
    gaps = np.subtract(*pairs)
    rows["hidden → label (MINE)", task] = gaps.mean(), gaps.min(), gaps.max()
gap_table = pd.DataFrame(rows, index=["gap", "low", "high"]).T
gap_table = gap_table.rename_axis(["reading", "task"])
tables.show(gap_table, "06_order", book.figures)

# %% [markdown]
# The rows about the label are about being right, those about a drawn or decided answer about being sure, and nothing ties the
# one to the other. A model can
# raise the information of its drawn answers by sharper probabilities, and that of its decided ones by saying yes more
# often, without a better ranking. Only the rows about the label can be read as what Table 1 is meant to show. One
# training of each model stands behind them. GenSR is above UniSAR by 0.039 bit in recommendation
# [0.012, 0.063] and by 0.035 in search [0.011, 0.061], in the bound; MINE on hidden states agrees in sign,
# in search within its range [−0.025, 0.084]. In search
# that is *not* the order of the ranking: UniSAR's NDCG@10 is higher there. Which of two models knows more of the label
# depends on the question, one random item or ninety-nine, and not only on what is called information.
#
# ## The paper's ranking in bits
#
# The same map can be applied to the numbers in print. Tables 2 and 3 of the paper give NDCG@10 among 100 candidates. At
# equal shares of yes and no, as above, they imply the following. Four of their rows cannot come from any ranks
# ([chapter 5](05_results.ipynb)). In one of them, GenSR's for Amazon search, two cells of Table 3 are swapped, R@10 and N@5, and the
# authors' own log has them right; N@10 is the same in both. In the others N@10 may be wrong or another cell; the table
# takes GenSR's for KuaiSAR search as printed.

# %% tags=["nbval-check-output"]
#| label: tbl:06-printed
#| caption: "NDCG@10 as printed, the information about the label that it implies, and what Table 1 has (all the paper's, in bits)."
ranking = ranking_tables(corrected=True)["N@10"]
rows = {}
for (data, task), stated in table_1().items():
    values = {"unisar": ranking[task, data, "UniSAR"], "gensr": ranking[task, data, "GenSR"]}
    implied = {name: information_of_ndcg(value) for name, value in values.items()}
    rows[data, task] = {
        ("N@10", "unisar"): values["unisar"],
        ("N@10", "gensr"): values["gensr"],
        ("implied", "unisar"): implied["unisar"],
        ("implied", "gensr"): implied["gensr"],
        ("implied", "gap"): implied["gensr"] - implied["unisar"],
        ("Table 1", "unisar"): stated["unisar"],
        ("Table 1", "gensr"): stated["gensr"],
        ("Table 1", "gap"): stated["gensr"] - stated["unisar"],
    }
implied_table = pd.DataFrame(rows).T.rename_axis(["data", "task"])
assert (implied_table["implied"]["gensr"] < implied_table["Table 1"]["gensr"]).all()
assert implied_table["implied"].loc[("KuaiSAR", "rec"), "gensr"] < 0.4
tables.show(implied_table, "06_printed", book.figures)

# %% [markdown]
# Take KuaiSAR's recommendation. The ranking of the two systems implies 0.381 and 0.385 bit, a gap of 0.004; Table 1 has
# 0.848 and 0.917, a gap of 0.069. The implied numbers vary between 0.38 and 0.93, as recommendation and search differ;
# those of Table 1 hardly vary. With one click in five questions, in place of one in two, all would be lower still (0.26
# for the first). So one reading of Table 1 **is refuted by the paper's own ranking**: it is not the information, in
# bits, that the systems' outputs carry about what the user clicked.
#
# Two things are assumed. The Gaussian scores are one: other shapes move the bits. On our own models the map is near the
# bound that assumes no shape in recommendation, and up to 0.16 bit below it in search. That is not the gap between 0.38
# and 0.85, but it is more than the differences in search. The other is that the *output* is meant. What an input knows
# may lie above what the system's ranking shows; but then Table 1 would say that both systems leave half of what they know in
# recommendation unused (on KuaiSAR more), and it would not speak for either.

# %%
low_rate = information_of_ndcg(ranking["rec", "KuaiSAR", "UniSAR"], base_rate=0.2)
first, second = implied_table["implied"].loc[("KuaiSAR", "rec"), ["unisar", "gensr"]]
assert np.allclose([first, second, low_rate], [0.381, 0.385, 0.260], atol=0.001)

# %% [markdown]
# **What remains of Table 1?** Its values can be the decided or the drawn answers, which say how often and how surely a
# model says yes. Its order about the label, on our data, is that of the calibrated bound: it agrees with the paper's, and in search not with the ranking.
#
# What this chapter found goes on record, with its provenance:

# %% tags=["nbval-ignore-output"]
results = {
    "gaussians (nats)": {
        f"d={d}, truth={t}": row.to_dict() for (d, t), row in gaussians.iterrows()
    },
    "pocket world (bits)": known_table.to_dict("index") if known else {},
    "products (bits)": products.to_dict("index"),
    "table 1": table.to_dict("records"),
    "bounds (bits)": {" / ".join(key): row.to_dict() for key, row in bound_table.iterrows()},
    "gaps (bits)": {" / ".join(key): row.to_dict() for key, row in gap_table.iterrows()},
    "untrained (bits)": {" / ".join(key): value for key, value in fresh.items()},
    "metrics": {name: run.evaluation.metrics for name, run in runs.items()},
}
book.record("06_mutual_information", results).name

# %% [markdown]
# ## What this chapter found
#
# - Where the truth is known, held-out MINE is right within ten per cent (Gaussians) and 0.01 bit (simulated clicks). Where a
#   product of a few hidden columns decides, it finds nearly all with noise and about three quarters without, at 4,000 rows; of
#   many columns it finds little.
# - Values of 0.85 to 0.94 for a yes or no can be bits, not nats. The entropy of the *decided* answer alone gives them to any
#   model that says yes to 28 to 36 questions of a hundred.
# - MINE on a model's own input is provably too low: the model's score alone tells more. It orders no models. Read literally
#   (input against P(Yes)), untrained models have about one bit.
# - A model's calibrated score bounds from below what it knows of the click, without an estimator. GenSR's bound is 0.04 bit above
#   UniSAR's in both tasks; in search UniSAR ranks better all the same.
# - The paper's Table 1 cannot be what outputs tell of the click: for KuaiSAR's recommendation its NDCG implies 0.381 (UniSAR) and
#   0.385 bit (GenSR); Table 1 has 0.848 and 0.917.
#
# **Next:** [chapter 7](07_parameter_space.ipynb) looks at the same hidden states as clouds of points: are the tasks
# apart, and since when?
