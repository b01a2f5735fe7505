# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 7. Parameter space: two tasks, one model
#
# **Overview.** The paper explains GenSR's gain by a picture: a discriminative model squeezes search and recommendation
# into one space, where their gradients conflict; prompts split the space into two (§6.3.1, Figure 3). This chapter
# draws the three pictures, puts numbers beside them, each against what chance gives, and asks since when and why the
# tasks are apart.
#
# **What follows**
#
# - Figure 3a: are the two tasks' data different at all? t-SNE of inputs and outputs, with density contours,
# - Figures 3b and 3c: hidden states of UniSAR and of GenSR on common principal axes,
# - how much of the separation is there *before training*, and how much the prompt alone makes,
# - gradient conflict, measured during the training of both models: layer by layer, on the same rows, with the noise
#   taken out.
#
# You need [chapter 3](03_gensr.ipynb) and [chapter 6](06_mutual_information.ipynb), which train the two models.
#
# The text speaks of the default run; on other data the tables have other numbers.

# %%
import re
from itertools import product

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from gensr_lib import Workspace
from gensr_lib.analysis import collect, gradient_conflict, kde_overlap, pca, separation, tsne
from gensr_lib.show import plots, tables

plots.use_style()

# %% tags=["parameters"]
DATASET = "pocket"  # or "pocket-plain", "amazon-<category>", or a folder with your own tables
PROFILE = "pocket"  # or "smoke" (does it run?), "paper" (flan-t5-base; needs a GPU)
SEED = 0  # of the data, the trainings and the shuffles

# %%
book = Workspace.open(DATASET, PROFILE, SEED)
dataset = book.dataset
systems, tasks = ("unisar", "gensr"), book.tasks
both = book.has("rec", "src", part="how far the two tasks are apart and whether they conflict")
n_rows, permutations = (50, 20) if book.is_smoke else (500, 200)

# %% [markdown]
# ## Two clouds and five statistics
#
# What does "separate" mean? Here are two clouds of points, and five statistics of them. The *silhouette* compares the
# distance to the own cloud with that to the other one; the *probe* is a linear classifier's accuracy at telling the two
# apart on points that it has not seen; *MMD* compares the distributions as a whole; the *overlap* is the area that the
# two densities have in common; the *principal angle* compares the directions in which the clouds spread. Beside each
# stands its value when the labels are shuffled: what chance gives.


# %%
def beside_chance(found: pd.DataFrame) -> pd.DataFrame:
    """Each statistic, what shuffled labels give (mean ± standard deviation), and its p."""
    mean, sd = (found[f"permuted {what}"].map("{:.3f}".format) for what in ("mean", "sd"))
    shuffled = (mean + " ± " + sd).map(tables.signed)
    return found[["value"]].assign(shuffled=shuffled, p=found["p"])


# %% tags=["nbval-ignore-output"]
#| label: tbl:07-tiny
#| caption: Two clouds of 200 points in ten dimensions, half a standard deviation apart in one direction. Angles are in degrees.
rng = np.random.default_rng(0)
near, other = rng.standard_normal((2, 200, 10))
other[:, 0] += 0.5
tiny = separation(near, other, permutations=200, seed=0)
tables.show(beside_chance(tiny), "07_tiny", book.figures)

# %% [markdown]
# Half a standard deviation in one of ten directions can hardly be seen in a picture, and yet it is there: `p` is the
# share of shuffles that look at least as far apart. With a thousand points nearly *any* difference is certain. So read
# the value for how far, and `p` only for whether. The angle in the last row is at chance, since shifting a cloud does
# not change the directions in which it spreads.
#
# Points of one user are not independent, so below whole users swap their labels in a shuffle.

# %% [markdown]
# ## The same questions for both models
#
# We ask both models about clicks of the test part: a user and an item, the clicked one or another. We also keep both
# models as they were *before* training: the same architecture, with its random start.

# %%
trained = {name: book.fit(name).model for name in systems}
fresh = {}
for name in systems:
    fresh[name] = book.build(name).eval()  # as in training: the same start

# %%
stages = {"before training": fresh, "trained": trained}
asked = {
    (stage, name, task): collect(model, dataset, task, negatives=1, max_rows=n_rows)
    for stage, models in stages.items()
    for name, model in models.items()
    for task in tasks
}

# %% [markdown]
# ## Figure 3a: the data of the two tasks
#
# The paper concatenates $X$ and $Y$, maps them to the plane by t-SNE (Van der Maaten and Hinton, 2008) and draws density contours. Our $X$ is the input
# of the trained GenSR as in chapter 6 (four vectors of user and item, and the query), $Y$ the label. A recommendation
# has *no* query, so the query part alone tells the tasks apart, by construction. The second panel leaves it out: the
# same users and items, without the words.

# %%
width = asked["trained", "gensr", tasks[0]].input.shape[1] // 5
joint = {
    task: np.c_[asked["trained", "gensr", task].input, asked["trained", "gensr", task].label]
    for task in tasks
}
wordless = {
    task: np.delete(points, np.s_[4 * width : 5 * width], axis=1) for task, points in joint.items()
}

# %%
coordinates = {}
for title, by_task in {"X and Y": joint, "X and Y without the query": wordless}.items():
    points = np.concatenate(list(by_task.values()))
    plane = tsne(points, perplexity=min(30, len(points) // 3), seed=SEED)
    ends = np.cumsum([len(part) for part in by_task.values()])[:-1]
    coordinates[title] = dict(zip(tasks, np.split(plane, ends), strict=True))

# %%
#| label: fig:07-tsne
#| caption: t-SNE of inputs and outputs of both tasks, with density contours (the paper's Figure 3a).
figure, axes = plots.panels(2, height=3.6)
for ax, (title, points) in zip(axes, coordinates.items(), strict=True):
    plots.clouds(points, ax=ax, xlabel="t-SNE 1", ylabel="t-SNE 2", title=title, legend=False)
plots.legend_below(figure, axes)
plots.save_figure(figure, "07_tsne", book.figures)
figure

# %% [markdown]
# The contours of the two tasks differ in the first panel and nearly coincide in the second. What do
# the numbers say of it? They are taken in the full space, not in the plane of the picture.

# %% tags=["nbval-ignore-output"]
#| label: tbl:07-data
#| caption: How far the data of the two tasks lie apart in the full space, beside shuffled tasks (mean ± standard deviation). Angles are in degrees.
users = tuple(asked["trained", "gensr", task].user for task in tasks)
shuffles = {"permutations": permutations, "groups": users}
data = {}
if both:
    data["X and Y"] = separation(joint["rec"], joint["src"], seed=SEED, **shuffles)
    data["without the query"] = separation(wordless["rec"], wordless["src"], **shuffles)
apart = beside_chance(pd.concat(data, names=["data", "statistic"])) if both else None
tables.show(apart, "07_data", book.figures)

# %% [markdown]
# The query separates the tasks all but completely: a recommendation has none. Without it little is
# left: users and items of the two tasks differ beyond chance, but the probe is right in 57% of the cases, where chance
# gives 50%, and the silhouette is below 0.01. The paper's first insight, that the tasks "exhibit distinct data
# distributions", is here the statement that searches have queries. How much of it a picture shows is another matter, since
# t-SNE keeps neighbourhoods and not distances: of models that were trained with sums in another order the clouds of $X$ and $Y$
# overlapped by half. Here is the overlap of the two densities in its plane:

# %% tags=["nbval-ignore-output"]
#| label: tbl:07-overlap
#| caption: "Overlap of the two tasks' densities in the plane of t-SNE: 1 where they are the same, 0 apart."
overlap = {
    title: kde_overlap(points["rec"], points["src"])
    for title, points in (coordinates.items() if both else ())
}
overlap = pd.Series(overlap, name="overlap", dtype=float).rename_axis("data")
tables.show(overlap, "07_overlap", book.figures)

# %% [markdown]
# ## Figures 3b and 3c: hidden states
#
# `encoder` is what the shared layers give: UniSAR's pooled histories, or the mean of GenSR's encoder states. `head` is
# the state that the answer is read from: UniSAR's mixture of experts, with a gate per task, or GenSR's decoder state.
# One PCA over both tasks gives the axes of a panel (with one task: over that one). The paper shows trained models; above
# each stands the same model before its training, with its random start.


# %%
def hidden_states(name: str) -> plots.Figure:
    """Both tasks' states of a model on common principal axes: a row per stage, a panel per state."""
    figure, axes = plots.panels(2, height=6.4, rows=2)
    for ax, (stage, state) in zip(axes, product(stages, ("encoder", "head")), strict=True):
        states = [asked[stage, name, task].hidden[state] for task in tasks]
        found = pca(states[0], states[-1])
        points = dict(zip(tasks, (found.rec, found.src), strict=False))
        shares = [f"PC {i} ({share:.0%})" for i, share in enumerate(found.explained, 1)]
        look = {"xlabel": shares[0], "ylabel": shares[1], "title": f"{state}, {stage}"}
        plots.clouds(points, ax=ax, legend=False, **look)
    plots.legend_below(figure, axes)
    return figure


# %%
#| label: fig:07-pca-unisar
#| caption: Hidden states of UniSAR on common principal axes, with their shares of the variance; above before training, below trained (the paper's Figure 3b).
figure = hidden_states("unisar")
plots.save_figure(figure, "07_pca_unisar", book.figures)
figure

# %% [markdown]
# UniSAR's shared encoders put both tasks in one place, as the paper's Figure 3b has it; the clouds
# of its head lie side by side and overlap at the edge. But look at the axes: the two components hold 54% of the
# encoder's variance and 31% of the head's. What happens in the other directions cannot be seen.

# %%
#| label: fig:07-pca-gensr
#| caption: Hidden states of GenSR on common principal axes, with their shares of the variance; above before training, below trained (the paper's Figure 3c).
figure = hidden_states("gensr")
plots.save_figure(figure, "07_pca_gensr", book.figures)
figure

# %% [markdown]
# The encoder states of the trained GenSR are apart, as in the paper's Figure 3c. Those of its head are
# mostly apart: search has two clumps there, and the end of the recommendation cloud reaches into one of them. But look at the
# upper panels: so are those of a GenSR that has not seen a single click.

# %% [markdown]
# ## The numbers beside the pictures
#
# For each model, state and stage, five statistics with their shuffled values.

# %%
rows = {}
for stage, name, state in product(stages, systems, ("encoder", "head")) if both else ():
    clouds = [asked[stage, name, task].hidden[state] for task in tasks]
    rows[stage, name, state] = separation(*clouds, seed=SEED, **shuffles)
levels = ["stage", "system", "state", "statistic"]
separations = pd.concat(rows, names=levels) if both else pd.DataFrame()

# %% [markdown]
# First the value, then in brackets what shuffled tasks give. An overlap is low where clouds are apart; all other
# statistics are high.

# %% tags=["nbval-ignore-output"]
#| label: tbl:07-separation
#| caption: Separation of the two tasks' hidden states; in brackets the mean of the shuffled tasks.
shown = None
if both:
    value, chance = (
        separations[column].map("{:.3f}".format).map(tables.signed)
        for column in ("value", "permuted mean")
    )
    shown = (value + " (" + chance + ")").unstack("statistic")[
        separations.index.unique("statistic")
    ]
    shown = shown.reorder_levels(["system", "state", "stage"]).sort_index()
tables.show(shown, "07_separation", book.figures)

# %% [markdown]
# Compare `before training` with `trained`. GenSR's states are separate *before it has seen a single
# click*: a linear probe tells the tasks apart in every case. The two prompts are different texts, and a random
# transformer already maps different texts to different places. Figure 3c is therefore not by itself a result of
# training. Training moves GenSR's clouds further apart here by the silhouette, MMD² and the angle; only the overlap of
# its head's densities grows. On other data training may do the opposite.
#
# UniSAR's encoders are at chance or close to it, before and after: they read the user and the item, never the task, and
# the users are the same. Its head, with a gate and experts per task, is told apart by the probe almost as surely as
# GenSR's, whatever the picture shows. Training brings the two tasks closer there: the silhouette falls from 0.53 to
# 0.11. So "shared space or partitioned space" depends on the layer one looks at, which the paper does not name, and on
# looking at more than two axes.

# %%
if book.is_default:
    probe = separations["value"].xs("probe accuracy", level="statistic").unstack("stage")
    assert (probe.drop(("unisar", "encoder")) > 0.9).all(axis=None), (
        "apart, before training and after"
    )
    assert (probe.loc[[("unisar", "encoder")]] < 0.65).all(axis=None)

# %% [markdown]
# ## The prompt alone
#
# A cleaner question: the *same* users and items, once under the recommendation prompt and once under the search prompt
# with an empty query. Whatever differs now is the prompt's work (in UniSAR: the head's and the missing query's). Data
# without recommendations give their searches, asked as recommendations; a prompt whose task the data lack was never
# trained.

# %%
own_task = tasks[0]
other_task = "src" if own_task == "rec" else "rec"
told = {"negatives": 1, "max_rows": n_rows, "as_task": other_task}
swapped = {
    (stage, name): collect(model, dataset, own_task, **told)
    for stage, models in stages.items()
    for name, model in models.items()
}

# %% [markdown]
# Each state is compared with that of the same question asked as its own task.

# %%
alone = {}
for (stage, name), sample in swapped.items():
    own = asked[stage, name, own_task]
    for state in ("encoder", "head"):
        step = (sample.hidden[state] - own.hidden[state]).astype(float)
        spread = own.hidden[state].std(axis=0)
        alone[name, state, stage] = [
            np.linalg.norm(step.mean(axis=0)) / np.linalg.norm(spread),
            np.linalg.norm(step - step.mean(axis=0), axis=1).mean() / np.linalg.norm(spread),
        ]

# %% [markdown]
# Two lengths: of the mean move over all questions, and of what is left of each move when that mean is taken out.

# %% tags=["nbval-ignore-output"]
#| label: tbl:07-prompt
#| caption: What changing the task does to the state of the same question, in units of the spread between questions.
columns = ["shift common to all", "shift that depends on the question"]
prompt_alone = (
    pd.DataFrame(alone, index=columns).T.rename_axis(["system", "state", "stage"]).sort_index()
)
assert (prompt_alone.loc[("unisar", "encoder")] == 0).all(axis=None), (
    "UniSAR's encoders do not know the task"
)
tables.show(prompt_alone, "07_prompt", book.figures)

# %% [markdown]
# The first column is a pure translation: all questions move by the same vector. A translation separates two clouds in
# any picture, and does nothing by itself: a linear layer behind it sees the same differences. The second column is what
# could make the tasks *behave* differently; training raises it from 0.27 to 0.38 in GenSR's encoder, and from
# 0.28 to 1.02 in its head, which is nearly as much as in UniSAR's. UniSAR's encoders have exactly zero in both: they do not
# know the task. Its heads have weights of their own, so both columns are large from the start.

# %% [markdown]
# Does the prompt matter for the answer? If we ask recommendation questions with the wrong prompt, how well do the
# scores still tell clicks from negatives? The area under the ROC curve says: 0.5 is chance.

# %% tags=["nbval-ignore-output"]
#| label: tbl:07-wrong-task
#| caption: Area under the ROC curve on the same recommendation questions (one click, nine negatives).
auc = {}
for name, model in trained.items():
    for told in ("rec", "src"):
        sample = collect(model, dataset, own_task, negatives=9, max_rows=n_rows, as_task=told)
        auc[name, told] = roc_auc_score(sample.label, sample.score)
labels = {"rec": "asked as recommendation", "src": "asked as search"}
wrong = pd.Series(auc).unstack().rename(columns=labels)
tables.show(wrong.rename_axis("system"), "07_wrong_task", book.figures)

# %% [markdown]
# Both models lose most of their ranking. UniSAR falls from 0.90 to 0.51, which is near chance: its
# other head has learned to answer by the query, and here is none. GenSR falls from 0.92 to 0.65: some of what it
# knows of recommendation is reached from a search prompt without a query. On this reading prompts part the tasks less
# far than heads do.

# %% [markdown]
# ## Gradient conflict
#
# The mechanism behind the pictures is said to be gradient conflict: for a parameter that both tasks share, the step
# that helps one task hurts the other. While both models were trained, the gradient of each task was measured every so
# many steps, for each layer that both tasks reach. The cosine between the two is below zero where they conflict.
#
# Two things must be kept out of it. *Auxiliary losses*: an alignment of views or of transitions is the same function in
# both tasks, so its gradients agree by construction. What is measured is the loss that asks for the click alone, eq. 9
# in GenSR and the cross-entropy in UniSAR, without dropout. *Noise*: the gradient $\hat g$ of some rows is that of all
# rows plus noise, and noise in thousands of dimensions is orthogonal to everything, which pulls each cosine towards
# zero. So a measurement takes many rows of each task (the same for both models), in two halves. The cosine $r$ of the
# two halves of *one* task is the reliability of its gradient; between halves of *different* tasks the expected cosine
# is $\cos(g_{rec}, g_{src}) \sqrt{r_{rec}\, r_{src}}$, up to what the noise does to the lengths. Dividing by the root
# gives the angle without noise: Spearman's correction for attenuation.
#
# Here it is with an angle that is known, 120 degrees, so a cosine of $-0.5$:

# %% tags=["nbval-check-output"]
rng = np.random.default_rng(0)
truth = np.zeros((2, 5000))  # the gradients of both tasks without noise
truth[0, 0], truth[1, :2] = 1, (np.cos(2 * np.pi / 3), np.sin(2 * np.pi / 3))
halves = truth[:, None] + 0.02 * rng.normal(size=(2, 2, 5000))  # (task, half, dimension)
unit = halves / np.linalg.norm(halves, axis=-1, keepdims=True)
reliability = {task: unit[k, 0] @ unit[k, 1] for k, task in enumerate(("rec", "src"))}
between = (unit[0] @ unit[1].T).mean()  # of the four pairs of halves
corrected, _ = gradient_conflict.disattenuate(between, reliability)
assert abs(corrected + 0.5) < 0.05 and between > -0.3
print(f"between {between:.2f}, reliabilities {reliability['rec']:.2f} and {reliability['src']:.2f}")
print(f"without noise {corrected:.2f}")

# %% [markdown]
# Where a reliability is hardly above zero there is nothing to divide by: such a gradient says nothing about angles,
# and neither agreement nor conflict could be seen. There the corrected cosine is a dash, and a column `noise` names the task.

# %%
gradients = {name: book.fit(name).gradients for name in systems}
steps = [set(table.get("step", [])) for table in gradients.values()]
shared_steps = set.intersection(*steps)
measured = both and len(shared_steps) > 1
if both and not measured:
    print(
        "The training was too short to measure gradients: the part on their conflict is left out."
    )
if measured:
    probes = {book.specify(name).training.probe_rows for name in systems}
    assert len(probes) == 1, "not the same rows"
    print(f"{len(shared_steps)} measurements of up to {probes.pop()} rows of each task")

# %% [markdown]
# The table of a model has a row for each layer, and one for all shared parameters as a single vector. The figure shows all
# measurements; the tables below it have those of the steps at which both models were measured, where UniSAR has a longer training.

# %%
layers, whole, all_steps = {}, {}, {}
for name, table in gradients.items() if measured else ():
    is_whole = table["layer"] == gradient_conflict.ALL
    is_shared = table["step"].isin(shared_steps)
    layers[name] = table[~is_whole & is_shared]
    whole[name] = table[is_whole & is_shared].set_index("step")
    all_steps[name] = table[is_whole].set_index("step")

# %%
#| label: fig:07-conflict
#| caption: Cosine between the tasks' gradients over all shared parameters, over the whole training of each model, as measured, and without noise where both gradients are reliable (the last ones of UniSAR are not).
figure = None
if measured:
    figure, axes = plots.panels(2, sharex=True, sharey=True)
    titles = {"cosine": "as measured", "disattenuated": "without noise"}
    for ax, (column, title) in zip(axes, titles.items(), strict=True):
        curves = pd.DataFrame({name: table[column] for name, table in all_steps.items()})
        look = {"markers": True, "legend": False, "title": title}
        plots.lines(curves, "training step", "cosine between the tasks", ax=ax, **look)
        ax.axhline(0, color="#777777", linewidth=1)
    plots.legend_below(figure, axes)
    plots.save_figure(figure, "07_conflict", book.figures)
figure

# %% [markdown]
# Look at the very start first. In GenSR both tasks push the share of "Yes" down to the share of positives, through the
# same weights, so they agree; UniSAR can learn that share in each task's own head. It is one in ten:
# a click has nine negatives. The first cosine is 0.96 in GenSR and 0.03 in UniSAR. GenSR's agreement wears off with
# each measurement, and is over by step 720; at the last one its curve without noise is at 0.02. UniSAR's is between −0.06 and
# 0.06 as long as GenSR is trained; later, as its gradients get smaller and noisier, it swings between −0.14 and 0.21, and its mean
# is near zero still.
#
# One vector of all shared parameters can hide a conflict in one layer. The next figure has every layer at every
# measured step, as far as its gradients are reliable.

# %%
#| label: fig:07-layers
#| caption: Distribution of the cosine without noise over all shared layers and measured steps. Estimates beyond ±1 lie outside the picture.
figure = None
cosines = {name: table["disattenuated"].dropna() for name, table in layers.items()}
cosines = {name: values for name, values in cosines.items() if len(values)}
if cosines:
    xlabel = "cosine of the tasks' gradients, without noise"
    figure = plots.distributions(cosines, xlabel, xlim=(-1, 1))
    figure.axes[0].axvline(0, color="#777777", linewidth=1)
    plots.save_figure(figure, "07_layers", book.figures)
figure

# %% [markdown]
# To the left of zero the tasks conflict. That is 43% of UniSAR's values and 21% of GenSR's, whose start is among them. (A
# cosine without noise is an estimate, and may pass −1 or 1. Of the cosines as measured, those of layers too noisy for this
# figure included, 43% and 25% are below zero.) In numbers:

# %% tags=["nbval-ignore-output"]
#| label: tbl:07-conflict
#| caption: "Cosines of gradients, means over the measurements. Of half the rows each: between the tasks, and between the halves of recommendation and of search, their reliabilities. Without noise: the former over the root of the product of the latter."
rows = {}
for name, table in whole.items():
    table = table.reset_index()
    late = table[table["step"] > max(shared_steps) / 3]
    parts = {"all shared": table, "last two thirds": late, "layer by layer": layers[name]}
    for over, part in parts.items():
        summed = gradient_conflict.summary(part.assign(system=name), by="system")
        rows[name, over] = summed.loc[name]
columns = ["cosine", "below zero", "between", "rec", "src", "disattenuated", "noise"]
conflict = pd.DataFrame(rows, index=columns).T.infer_objects()
conflict = conflict.drop(columns=() if (conflict["noise"] != "").any() else "noise")
if measured:
    conflict.index.names = ["system", "over"]
tables.show(conflict, "07_conflict", book.figures)

# %% [markdown]
# GenSR's agreement at the start flatters its mean over all steps; the rows `last two thirds` (of the
# steps that both have) leave it out. What is *without noise* there is a ratio of means, in which noisy measurements weigh little,
# and no mean of the points in the figure above. Read the
# reliabilities first: they say how well the angle can be known at all. In the default run's last two thirds they are 0.83
# and 0.69 in UniSAR, 0.49 and 0.61 in GenSR: enough to take the noise out. The cosine is then −0.05 in UniSAR and 0.09
# in GenSR, of which the first of these three measurements, still part of the start, has most. The signs are those of the
# paper's explanation. But once the start is over the tasks' gradients are nearly orthogonal in both models, and a training
# of UniSAR that differed from this one by the order of its sums alone had 0.06: three measurements of nearly nothing. The
# rows `layer by layer` favour GenSR, but its start is in them.

# %% [markdown]
# Which layers? The five with the lowest and the highest mean for each model, among those whose gradients are reliable
# in both tasks:

# %% tags=["nbval-ignore-output"]
#| label: tbl:07-by-layer
#| caption: Layers (by their names in the code) with the lowest and the highest cosine without noise; the share of measurements below zero, and the lower of the two reliabilities.
columns = ["disattenuated", "below zero", "reliability"]
ends = {}
for name, table in layers.items():
    by_layer = gradient_conflict.summary(table).dropna(subset="disattenuated")
    by_layer["reliability"] = by_layer[["rec", "src"]].min(axis=1)
    by_layer = by_layer.sort_values("disattenuated")[columns]
    # Of fewer than ten layers each is shown once.
    ends[name] = pd.concat([by_layer.head(5), by_layer.iloc[5:].tail(5)])
ends = pd.concat(ends, names=["system"]) if measured else pd.DataFrame()
ends = ends.rename(lambda name: re.sub(r"^lm\.|layers?\.|block\.", "", str(name)))
tables.show(ends, "07_by_layer", book.figures)

# %% [markdown]
# All means of GenSR are above zero; the start counts here too. UniSAR's lowest five lie beside or behind
# its encoders, where searches are pooled, the user's vector comes in and both tasks are answered, and are below zero at three to five of the five
# measurements: if a conflict of tasks is to be found anywhere on these data, it is there. (In the other training of UniSAR
# they were of the encoder across the two types of events.) The authors' published figure has one layer of each model:
# GenSR's always positive, UniSAR's often negative. Which layer is shown decides the picture: in this table two of GenSR's
# are positive at all five measurements, and each of the others is negative at one or more. Five measurements are few.
#
# What this chapter found goes on record, with its provenance:

# %% tags=["nbval-ignore-output"]
results = {
    "separation": {" / ".join(key): row["value"] for key, row in separations.iterrows()},
    "data": {" / ".join(key): row["value"] for key, row in apart.iterrows()} if both else {},
    "prompt alone": {" / ".join(key): row.to_dict() for key, row in prompt_alone.iterrows()},
    "auc": {" / ".join(key): value for key, value in auc.items()},
    "gradients": {" / ".join(key): row.to_dict() for key, row in conflict.iterrows()},
    "t-SNE": {k: {t: p.round(3).tolist() for t, p in v.items()} for k, v in coordinates.items()},
}
book.record("07_parameter_space", results).name

# %% [markdown]
# ## What this chapter found
#
# - The tasks' data are distinct because searches have queries; users and items differ little.
# - Prompts separate GenSR's states even before training; in UniSAR only the task heads do.
# - UniSAR is "shared" in its encoder and "partitioned" in its heads; the paper names no layer.
# - With the wrong prompt GenSR loses more than half of its ranking, UniSAR with the wrong head all of it.
# - After the start, where GenSR's tasks agree, their gradients are nearly orthogonal in both models: over the last two
#   thirds of the steps that both have a cosine of 0.09 in GenSR, of −0.05 in UniSAR and of 0.06 in another training of it. Which
#   layers conflict differs between trainings, too.
#
# **Next:** [chapter 8](08_ablations.ipynb) takes GenSR apart, the task-specific prompt included.
