# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 8. Ablations: what GenSR rests on
#
# **Overview.** What is each part of GenSR worth? The paper takes four parts out, one at a time, and reports that each
# loss hurts both tasks (§6.3.2, Figure 4). This chapter repeats that with several trainings per variant and paired
# tests, and then takes out what the paper left in. Runs on disk are loaded; a sweep that was stopped goes on where it
# was.
#
# :::{admonition} Of the world before
# The outputs of this chapter, and what its text says of "the default run", are of the data set that
# is now called `pocket-plain`, made by version 28a67bb of this repository: there most mechanisms have
# next to no ceiling ([chapter 3](03_gensr.ipynb) shows those of today's default). A run of this
# chapter now takes today's default data, and its own numbers stand in its tables.
# :::
#
# **What follows**
#
# - how to tell a difference from the luck of a training,
# - Figure 4: without the CF view, the semantic view, the soft filter, the contrastive loss,
# - beyond the paper: one prompt for both tasks, one task alone, a history of one behavior, token-level semantics, the
#   whole history in the slot, and random vectors in the place of LightGCN's.
#
# You need [chapter 3](03_gensr.ipynb), which builds the model that is taken apart here.

# %%
import numpy as np
import pandas as pd

from gensr_lib import Workspace, compare, sweep
from gensr_lib.experiments import crossed_test, detectable, holm, result_table, summary
from gensr_lib.show import plots, sweep_plots, tables

plots.use_style()

# %% tags=["parameters"]
DATASET = "pocket"  # or "pocket-plain", "amazon-<category>", or a folder with your own tables
PROFILE = "pocket"  # or "smoke" (does it run?), "paper" (flan-t5-base; needs a GPU)
SEED = 0  # of the data, and the first seed of the trainings

# %%
book = Workspace.open(DATASET, PROFILE, SEED)
jobs = 1 if book.is_smoke else None  # None: as many processes as cores (or GPUs) and memory allow

# %% [markdown]
# ## A tiny example first: the luck of a training
#
# Train the *same* model with three seeds, call it "whole", and with three more, call it "variant". Nothing was taken
# out. Each user still answers a little differently under each, and each training is a little better or worse for
# everybody. Here are a thousand such experiments with 500 users, in which nothing is true but luck:

# %%
rng = np.random.default_rng(0)
by_user, by_training = (
    0.25 * rng.standard_normal((1000, 500, 1)),
    0.03 * rng.standard_normal((1000, 1, 3)),
)
differences = (
    by_user + by_training + 0.2 * rng.standard_normal((1000, 500, 3))
)  # (experiments, users, seeds)

# %% [markdown]
# The usual paired test over users averages the trainings first. It has 500 users to be sure with, and takes the luck of
# the three trainings for an effect. A test that counts both users and trainings as samples (Clark 1973) is right about
# as often as it says.

# %% tags=["nbval-check-output"]
over_users = crossed_test(differences.mean(axis=2, keepdims=True))
tests = {"over users": over_users, "users and seeds": crossed_test(differences)}
false_alarms = pd.Series(
    {name: (test.p < 0.05).mean() for name, test in tests.items()}, name="share of p < .05"
)
assert false_alarms["over users"] > 0.15 > 0.08 > false_alarms["users and seeds"]
false_alarms.round(2).to_frame()

# %% [markdown]
# With several variants, one of them is soon lucky. Holm's correction raises the p-values for that, by multiplying small
# ones, and here three trainings reach their limits. Again nothing is true but luck; four variants share a whole model:

# %% tags=["nbval-check-output"]
levels = 0.02 * rng.standard_normal(
    (400, 5, 1, 3)
)  # of the whole and its variants in each training
answers = (
    levels
    + 0.2 * rng.standard_normal((400, 5, 500, 1))
    + 0.14 * rng.standard_normal((400, 5, 500, 3))
)
p = crossed_test(answers[:, 1:] - answers[:, :1]).p  # (experiments, variants)
corrected = np.array([holm(family) for family in p])
share = {
    name: (found < 0.05).any(axis=1).mean() for name, found in {"p": p, "p_holm": corrected}.items()
}
assert 0.05 < share["p_holm"] < 0.15 < share["p"]
pd.Series(share, name="experiments with some p < .05").round(2).to_frame()

# %% [markdown]
# So below `p_users` is the test that papers usually report, and `p` the one to go by. `p_holm` corrects `p` for the
# number of variants that are compared; just below .05 it is a hint, not a proof.

# %% [markdown]
# ## The variants
#
# A sweep is a name for each set of options. First the paper's five.

# %%
WHOLE = "whole GenSR"
figure_4 = {
    WHOLE: {},
    "w/o CF view": {"cf_view": False},
    "w/o semantic view": {"semantic_view": False},
    "w/o soft filter": {"history_slot": "mean"},
    "w/o contrastive loss": {"contrastive": False},
}

# %% [markdown]
# *Without a view*, its encoder, its filter and its two slots in the prompt are gone. *Without the soft filter*, the
# average of the encoded history stands in the slot, the same for all candidates. *Without the contrastive loss*, eq. 8
# has one term.
#
# Many trainings must be affordable ones. On top of each variant come the options that the profile keeps for sweeps:

# %% tags=["nbval-ignore-output"]
pd.Series(
    book.profile.sweep.options["gensr"], name="for every run of a sweep", dtype=object
).to_frame()

# %% [markdown]
# Trainings are short, so that seventy of them fit into the time. As in chapter 3 the prompts of the default profile are
# one-way. The profile `paper` changes nothing but the measurement of gradients.

# %%
sweep_4 = sweep(book, figure_4, jobs=jobs)

# %% [markdown]
# How far is the sweep's whole model from the one of chapter 3, and from LightGCN, whose vectors it uses?

# %% tags=["nbval-ignore-output"]
#| label: tbl:08-level
#| caption: "The level of the sweep: the whole model as the sweep trains it (mean over seeds) beside chapter 3's."
level = result_table({"GenSR of chapter 3": book.fit("gensr"), "LightGCN": book.fit("lightgcn")})
of_whole = (
    sweep_4.table[sweep_4.table["variant"] == WHOLE].groupby(["task", "metric"])["value"].mean()
)
level.loc["whole GenSR of the sweep"] = of_whole
tables.show(level, "08_level", book.figures, digits=4)

# %% [markdown]
# In the default run the sweep's model is weaker than the fully trained one, and its recommendation is below LightGCN's
# own. What follows says what the parts are worth *at this stage of training*; a part that pays only late would show
# little here.

# %% [markdown]
# ## Figure 4
#
# Bars are means over seeds, whiskers one standard deviation, dots the single trainings. An axis that does not begin at
# zero says so.

# %%
#| label: fig:08-figure-4
#| caption: Test metrics of GenSR and of its variants (the paper's Figure 4), mean ± one standard deviation over seeds.
figure = sweep_plots.ablation_bars(sweep_4.table)
plots.save_figure(figure, "08_figure_4", book.figures)
figure

# %% [markdown]
# ## What is significant
#
# Each variant against the whole model, in each task and metric: the difference, its 95 % interval, and the tests.
# `losses` counts the trainings, out of three, that are worse than the whole model's; `detectable` is the difference
# that would be found with a power of 80 %.

# %%
tested = compare(sweep_4.ranks, WHOLE)
tested["detectable"] = detectable(tested)

# %% tags=["nbval-ignore-output"]
#| label: tbl:08-tests
#| caption: Variants minus the whole model in NDCG@10, with 95 % intervals and p-values.
columns = ["difference", "low", "high", "p_users", "p", "p_holm", "losses", "detectable"]
shown = tested[tested["metric"] == "N@10"].set_index(["task", "variant"])[columns]
tables.show(shown, "08_tests", book.figures)

# %%
#| label: fig:08-differences
#| caption: Variants minus the whole model in NDCG@10, with 95 % intervals; filled where Holm's p is below .05.
figure = sweep_plots.difference_intervals(tested, "N@10")
plots.save_figure(figure, "08_differences", book.figures)
figure

# %% [markdown]
# In the default run each view carries one task. Without the CF view recommendation falls to the level of popularity,
# and without the semantic view search loses a third. The other task hardly notices. Without the soft filter
# recommendation is *better*, by 0.03 and in all three trainings; our reading is that a plain average is learned sooner.
# Without the contrastive loss recommendation is lower by 0.03, in all three trainings; in search one of the three ranks
# far worse than the others, and nothing can be said. The paper reports a loss for each of the four in both tasks.
#
# How much of this is the machine's? The same code and the same seeds on another processor, whose sums differ in the last
# digit, gave 0.017 in place of 0.031 for the contrastive loss, which could then not be told from luck, and 0.038 in
# place of 0.028 for the soft filter. A seed fixes a training on one machine only: it is one draw of many, like the seeds
# themselves. So the cell below asserts what is far from chance, and nothing else.
#
# Two columns keep us honest. `detectable` says how far our silence goes: in search an effect of 0.1 could have been
# missed, and far more where one training went badly. And `p_users` would have told another story: over users alone
# seven of the eight differences have p < .05.

# %%
n10 = tested[tested["metric"] == "N@10"].set_index(["task", "variant"])
if (book.dataset_name, book.profile_name, book.seed) == ("pocket-plain", "pocket", 0):
    lost = [("rec", "w/o CF view"), ("src", "w/o semantic view")]
    assert (n10.loc[lost, "high"] < -0.05).all()

# %% [markdown]
# In which metrics is a difference significant, after Holm's correction?

# %% tags=["nbval-ignore-output"]
significant = tested[tested["p_holm"] < 0.05].groupby(["task", "variant"])["metric"].agg(list)
significant.rename("significant in").to_frame()

# %% [markdown]
# ## Beyond the paper
#
# The paper's central mechanism is the *task-specific prompt*, and it is never taken out. Nor are the joint training and
# the joint history, which the paper's introduction argues for. And some choices could have been made otherwise.

# %%
beyond = {}
if book.has("rec", "src", part="one prompt, one task and histories of one behavior"):
    beyond = {
        "one prompt for both": {"task_prompts": False},
        "trained on rec alone": {"trained_on": "rec"},
        "trained on src alone": {"trained_on": "src"},
        "history of rec alone": {"history_of": "rec"},
        "history of src alone": {"history_of": "src"},
    }
beyond |= {
    "one vector per token": {"semantic_level": "token"},
    "whole history in the slot": {"history_slot": "sequence"},
    "random CF vectors": {"cf_vectors": "random"},
}

# %% [markdown]
# - *One prompt for both*: search's text serves recommendation too, with an empty query.
# - *Trained on one task*: no rows of the other task, and no test on it.
# - *History of one behavior*: the last 20 items of that behavior, where the whole model has the last 20 of both.
# - *One vector per token*: the semantic history has ten steps per item, as in the authors' released code.
# - *Whole history in the slot*: $C_u$ and $S_u$ as eq. 7 prints them, 20 vectors each; no soft filter.
# - *Random CF vectors*: frozen noise of the same size. What remains of the CF view is an identity per item.

# %%
sweep_beyond = sweep(book, {WHOLE: {}, **beyond}, jobs=jobs)
tested_beyond = compare(sweep_beyond.ranks, WHOLE)

# %%
#| label: fig:08-beyond
#| caption: Beyond the paper, variants minus the whole model in NDCG@10; 95 % intervals, filled where Holm's p < .05.
figure = sweep_plots.difference_intervals(tested_beyond, "N@10")
plots.save_figure(figure, "08_beyond", book.figures)
figure

# %% tags=["nbval-ignore-output"]
#| label: tbl:08-beyond
#| caption: Beyond the paper, variants minus the whole model in NDCG@10, with 95 % intervals and p-values.
tested_beyond["detectable"] = detectable(tested_beyond)
shown_beyond = tested_beyond[tested_beyond["metric"] == "N@10"].set_index(["task", "variant"])[
    columns
]
tables.show(shown_beyond, "08_beyond", book.figures)

# %% [markdown]
# What the default run says, task by task:
#
# - **History.** Searches alone as a history cost recommendation 0.06, in all three trainings. Recommendation clicks
#   alone cost *nothing* that can be told from luck, in either task: twenty of them know the user about as well as twenty
#   of both.
# - **CF vectors.** Noise in their place costs three quarters of what the whole view is worth. The rest of the view's
#   worth is only that the model can tell items apart by number.
# - **One prompt for both.** No difference that can be told from luck. An empty query already says which task it is, so
#   the words of the prompt are not needed for it. (In search one training of three went badly; hence the interval.)
# - **One task alone.** Nothing that shows is lost by training on one task, and recommendation gains 0.035, in all three
#   trainings. Each task sees the same rows of its own as in joint training, but joint training counts a row of search
#   twice (`search_weight`) and takes one step for both, which may be all there is to it. We find no mutual enhancement.
# - **Tokens, whole histories.** One vector per token changes nothing that shows. With the whole history in the slot,
#   some forty more tokens in the prompt, recommendation is better by 0.04, and search is behind in all three trainings,
#   far behind in some.
#
# Mind what is measured: a model in the middle of its training. A variant that gets there sooner wins here, whatever it
# would be worth in the end.

# %%
n10_beyond = tested_beyond[tested_beyond["metric"] == "N@10"].set_index(["task", "variant"])
if (book.dataset_name, book.profile_name, book.seed) == ("pocket-plain", "pocket", 0):
    assert n10_beyond.loc[("rec", "random CF vectors"), "high"] < -0.03

# %% [markdown]
# ## All numbers
#
# Both sweeps, every task and metric, mean and standard deviation over seeds.

# %% tags=["nbval-ignore-output"]
#| label: tbl:08-all
#| caption: "Test metrics of every variant, mean ± standard deviation over seeds. A dash: not trained on the task."
ranks = pd.concat(
    [sweep_4.ranks, sweep_beyond.ranks[sweep_beyond.ranks["variant"] != WHOLE]], ignore_index=True
)
every = summary(ranks).set_index(["variant", "task", "metric"])
text = every["mean"].map("{:.3f}".format) + " ± " + every["sd"].map("{:.3f}".format)
text = text.unstack(["task", "metric"]).reindex(ranks["variant"].unique()).fillna("–")
tables.show(text.rename_axis("variant"), "08_all", book.figures)

# %% [markdown]
# What this chapter found goes on record, with its provenance:

# %% tags=["nbval-ignore-output"]
both = pd.concat([tested, tested_beyond], ignore_index=True)
results = {
    "runs": pd.concat([sweep_4.runs, sweep_beyond.runs])[["variant", "seed", "run"]].to_dict(
        "records"
    ),
    "means": every.reset_index().to_dict("records"),
    "tests": both.to_dict("records"),
    "options of every run": book.profile.sweep.options["gensr"],
}
book.record("08_ablations", results).name

# %% [markdown]
# ## What this chapter found
#
# - Of the paper's four parts, the two views matter, each for one task: CF vectors for recommendation, texts for search.
#   The soft filter costs recommendation a little at this stage, and the contrastive loss makes no difference that three
#   trainings of this size can show.
# - Taking out what the paper never takes out changes little: one prompt for both tasks, or one task alone, do as well.
#   In this world, at this stage of training, the gain of GenSR over a single-task model is not there to be explained.
# - A test over users alone would have called most of these differences certain. It cannot see that trainings differ.
# - All this is for small models, trained for one epoch, with one-way prompts, on a simulated platform; the options
#   stand in the profile's section `sweep`. On real data
#   `make book DATASET=path/to/my-tables ARGS="--only 08_ablations"` runs the same chapter; `PROFILE=paper` is the
#   paper's setting.
#
# **Next:** [chapter 9](09_sensitivity.ipynb) turns the two knobs of the contrastive loss, and uses the same runs of the
# whole model.
