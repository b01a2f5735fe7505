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
# loss hurts both tasks (§6.3.2, Figure 4). This chapter repeats that on several worlds of the same law, holds what it
# finds against what could have been found, and then takes out what the paper left in. Runs on disk are loaded; a sweep
# that was stopped goes on where it was.
#
# **What follows**
#
# - how to tell a difference from the luck of a training,
# - Figure 4: without the CF view, the semantic view, the soft filter, the contrastive loss,
# - beyond the paper: one prompt for both tasks, one task alone, a history of one behavior, the whole history in the
#   slot, and random vectors in the place of LightGCN's,
# - each effect beside the ceiling of its mechanism.
#
# You need [chapter 3](03_gensr.ipynb), which builds the model that is taken apart here.

# %%
import numpy as np
import pandas as pd

from gensr_lib import Workspace, compare, sweep
from gensr_lib.analysis import ceilings_of
from gensr_lib.experiments import (
    compare_worlds,
    crossed_test,
    detectable,
    holm,
    result_table,
    summary,
)
from gensr_lib.show import plots, sweep_plots, tables
from gensr_lib.training import EXPECTED, METRICS

plots.use_style()

# %% tags=["parameters"]
DATASET = "pocket"  # or "pocket-plain", "amazon-<category>", or a folder with your own tables
PROFILE = "pocket"  # or "smoke" (does it run?), "paper" (flan-t5-base; needs a GPU)
SEED = 0  # of the data, and the first seed of the trainings

# %%
book = Workspace.open(DATASET, PROFILE, SEED)
jobs = 1 if book.is_smoke else None  # None: as many processes as cores (or GPUs) and memory allow
is_simulated = book.dataset.truth is not None

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
# as often as it says. So is the *t*-test over three differences, where each training has users of its own: then nothing
# is shared, and the three are the sample.

# %% tags=["nbval-check-output"]
over_users = crossed_test(differences.mean(axis=2, keepdims=True))
own_users = 0.25 * np.random.default_rng(1).standard_normal((1000, 500, 3))
apart = own_users + (differences - by_user)
tests = {
    "over users": over_users,
    "users and seeds": crossed_test(differences),
    "over trainings with users of their own": crossed_test(apart.mean(axis=1)[..., None]),
}
false_alarms = pd.Series(
    {name: (test.p < 0.05).mean() for name, test in tests.items()}, name="share of p < .05"
)
assert false_alarms["over users"] > 0.15 > 0.08 > false_alarms["users and seeds"]
assert 0.03 < false_alarms.iloc[-1] < 0.07
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
# Where the law is known, luck can be taken further: each seed draws a *world* of its own, with its users, items and
# clicks, its LightGCN and its weights, and all variants of a seed share that world. A claim is then about the law, and
# not about one draw of it. Users of one world share its luck, so that the worlds are the sample: `p` is that of the
# *t*-test over the worlds' differences. On other data there is one world, and `p` is that of users and seeds, beside
# `p_users`, the test that papers usually report. `p_holm` corrects `p` for the number of variants that are compared;
# just below .05 it is a hint, not a proof.

# %%
test = compare_worlds if is_simulated else compare
metrics = EXPECTED if is_simulated else METRICS
metric = metrics[-1]  # N@10
several = "worlds" if is_simulated else "trainings"
print(f"A seed varies the {several}; metrics: {', '.join(metrics)}.")

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
    book.profile.studies.options["gensr"], name="for every run of a sweep", dtype=object
).to_frame()

# %% [markdown]
# Trainings are short, so that a hundred of them fit into the time. As in chapter 3 the prompts of the default profile
# are one-way. The profile `paper` changes nothing but the measurement of gradients.

# %%
sweep_4 = sweep(book, figure_4, jobs=jobs, worlds=is_simulated)

# %% [markdown]
# How far is the sweep's whole model from the one of chapter 3, and from LightGCN, whose vectors it uses?

# %% tags=["nbval-ignore-output"]
#| label: tbl:08-level
#| caption: "The level of the sweep: the whole model as the sweep trains it on the book's own data, beside chapter 3's."
level = result_table(
    {"GenSR of chapter 3": book.fit("gensr"), "LightGCN": book.fit("lightgcn")}, is_simulated
)
of_whole = sweep_4.table[(sweep_4.table["variant"] == WHOLE) & (sweep_4.table["seed"] == SEED)]
level.loc["whole GenSR of the sweep"] = of_whole.set_index(["task", "metric"])["value"]
beside = [(task, name) for task in book.tasks for name in dict.fromkeys(["N@10", metric])]
tables.show(level[beside], "08_level", book.figures, digits=4)

# %% [markdown]
# In the default run one epoch brings recommendation nearly to its end: 0.444, where chapter 3's three epochs have 0.464
# and LightGCN 0.420. Search is at 0.436, far below chapter 3's 0.605, in the steepest part of its learning: over the four
# worlds the whole model lies between 0.39 and 0.48. So the sweep speaks of recommendation in a model that is nearly trained, and of
# search in one that has begun.

# %% [markdown]
# ## Figure 4
#
# Bars are means over seeds, whiskers one standard deviation, dots the single worlds (or trainings, where there is one
# world). An axis that does not begin at zero says so. Much of the spread is that of the worlds' own levels, which all
# variants share; the tests below compare within worlds.

# %%
#| label: fig:08-figure-4
#| caption: Test metrics of GenSR and of its variants (the paper's Figure 4), mean ± one standard deviation over seeds; expected under the law where it is known.
figure = sweep_plots.ablation_bars(sweep_4.table, metrics=metrics)
plots.save_figure(figure, "08_figure_4", book.figures)
figure

# %% [markdown]
# ## What is significant
#
# Each variant against the whole model, in each task and metric: the difference, its 95 % interval, and the tests.
# `losses` counts the seeds in which the variant is worse; `detectable` is the difference that would be found with a
# power of 80 %.

# %%
tested = test(sweep_4.ranks, WHOLE, metrics)
tested["detectable"] = detectable(tested)

# %% tags=["nbval-ignore-output"]
#| label: tbl:08-tests
#| caption: Variants minus the whole model in NDCG@10 (expected, where the law is known), with 95 % intervals and p-values.
columns = ["difference", "low", "high", "p_users", "p", "p_holm", "losses", "detectable"]
columns = [column for column in columns if column in tested]
shown = tested[tested["metric"] == metric].set_index(["task", "variant"])[columns]
tables.show(shown, "08_tests", book.figures)

# %%
#| label: fig:08-differences
#| caption: Variants minus the whole model in NDCG@10, with 95 % intervals; filled where Holm's p is below .05.
figure = sweep_plots.difference_intervals(tested, metric)
plots.save_figure(figure, "08_differences", book.figures)
figure

# %% [markdown]
# In the default run two parts matter to recommendation, in all four worlds: without the CF view it loses 0.195, without
# the soft filter 0.043. The semantic view and the contrastive loss do nothing for it that could be seen: without them it
# is 0.006 and 0.003 *better*, where 0.013 would have been found.
#
# In search nothing can be told. The semantic view comes nearest, with a loss of 0.033 in three worlds of four, and its
# interval reaches from a loss of 0.109 to a gain of 0.043: a difference would have had to be 0.06 to 0.11 to be found. The
# paper reports that each of the four parts helps both tasks. Two of these eight statements are found here, and none is
# contradicted.

# %%
n10 = tested[tested["metric"] == metric].set_index(["task", "variant"])
if book.is_default:
    assert (n10.loc[[("rec", "w/o CF view"), ("rec", "w/o soft filter")], "high"] < 0).all()

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
    "whole history in the slot": {"history_slot": "sequence"},
    "random CF vectors": {"cf_vectors": "random"},
}

# %% [markdown]
# - *One prompt for both*: search's text serves recommendation too, with an empty query.
# - *Trained on one task*: no rows of the other task, and no test on it.
# - *History of one behavior*: the last clicks of that behavior, up to 20 in the default profile, where the whole model
#   has up to 40 of both.
# - *Whole history in the slot*: $C_u$ and $S_u$ as eq. 7 prints them, a vector for each click; no soft filter.
# - *Random CF vectors*: frozen noise of the same size. What remains of the CF view is an identity per item.

# %%
sweep_beyond = sweep(book, {WHOLE: {}, **beyond}, jobs=jobs, worlds=is_simulated)
tested_beyond = test(sweep_beyond.ranks, WHOLE, metrics)

# %%
#| label: fig:08-beyond
#| caption: Beyond the paper, variants minus the whole model in NDCG@10; 95 % intervals, filled where Holm's p < .05.
figure = sweep_plots.difference_intervals(tested_beyond, metric)
plots.save_figure(figure, "08_beyond", book.figures)
figure

# %% tags=["nbval-ignore-output"]
#| label: tbl:08-beyond
#| caption: Beyond the paper, variants minus the whole model in NDCG@10, with 95 % intervals and p-values.
tested_beyond["detectable"] = detectable(tested_beyond)
n10_beyond = tested_beyond[tested_beyond["metric"] == metric].set_index(["task", "variant"])
tables.show(n10_beyond[columns], "08_beyond", book.figures)

# %% [markdown]
# In the default run this is where the paper's argument is decided, and most of it in recommendation:
#
# - The *task prompt* is worth 0.010 there, just beyond what is certain. In search one prompt for both is even 0.047 better,
#   though by an interval that holds zero.
# - *Joint training* does not help. A model that is trained on recommendation alone is 0.006 better at it, in all four
#   worlds. Trained on search alone, with as many search rows and steps, search is 0.091 better, again in all four
#   ($p$ = .013, and .063 after Holm's correction): at this stage of the training recommendation's gradients are in
#   search's way.
# - The *joint history* helps recommendation: without the clicks after searches it loses 0.018, without its own 0.080. To
#   search it makes no difference that could be seen.
# - What fills the slot matters: the *whole history* in it costs recommendation 0.027 and search 0.164. A small T5 does not
#   learn in one epoch to attend to forty vectors; the soft filter does that work for it.
# - *Random CF vectors* cost 0.168 of the 0.195 that the whole CF view is worth: it is LightGCN's knowledge that counts,
#   and not that items have an identity.

# %%
if book.is_default:
    assert n10_beyond.loc[("rec", "random CF vectors"), "high"] < -0.03

# %% [markdown]
# ## What was there to be found
#
# A difference that is not found says something only if it could have been there. On a simulated world each mechanism
# has a *ceiling*: what a reader that knows the law gains by it ([chapter 3](03_gensr.ipynb)). Here each stands beside
# what GenSR gains by its own version of the mechanism, which is the loss of the variant without it. The reader and the
# model do not do the same thing under one name, so an effect may be above its ceiling; but where a ceiling is high and
# the effect near zero, the model leaves lying what the world has to give.

# %%
removed = {
    "soft filter": dict.fromkeys(book.tasks, "w/o soft filter"),
    "joint history": {task: f"history of {task} alone" for task in book.tasks},
    "joint training": {task: f"trained on {task} alone" for task in book.tasks},
    "task prompt": dict.fromkeys(book.tasks, "one prompt for both"),
    "collaborative view": dict.fromkeys(book.tasks, "w/o CF view"),
    "semantic view": dict.fromkeys(book.tasks, "w/o semantic view"),
    "alignment": dict.fromkeys(book.tasks, "w/o contrastive loss"),
}

# %% tags=["nbval-ignore-output"]
against = None
if is_simulated and len(book.tasks) == 2:
    ceilings = ceilings_of(book.dataset, history=book.specify("gensr").options.history)
    ceilings = ceilings.set_index(["mechanism", "task"])[["ceiling"]]
    found = pd.concat([n10, n10_beyond])
    effects = {
        (mechanism, task): found.loc[(task, variant)]
        for mechanism, variants in removed.items()
        for task, variant in variants.items()
    }
    effects = pd.DataFrame(effects).T.rename_axis(["mechanism", "task"])
    effects = effects[["difference", "low", "high", "detectable"]].astype(float)
    turned = {"effect": -effects["difference"], "low": -effects["high"], "high": -effects["low"]}
    against = ceilings.join(pd.DataFrame({**turned, "detectable": effects["detectable"]}))
    tables.show(against, "08_ceilings", book.figures)
else:
    print(
        "The ceilings are left out: they need the known law of a simulated world, and both tasks."
    )

# %% [markdown]
# In the default run the *soft filter* earns in recommendation most of what there is to be earned, 0.043 of 0.052, and the
# *joint history* half of it, 0.018 of 0.036. The collaborative view is worth more to GenSR than to the reader, who has
# the texts to fall back on; GenSR does not use them in recommendation, where they would be worth 0.120, as soon as it has
# LightGCN's vectors.
#
# *Joint training* is the clearest miss: what clicks of the other behavior tell is worth 0.041 to a reader in
# recommendation, and GenSR loses by them in both tasks. The reader counts the clicks of both to know the items; GenSR's
# items are frozen LightGCN vectors of recommendation alone, and what its shared weights learn of one task is not what the
# other one needs. In search the ceilings of filter, prompt and collaborative view are near 0.05 and that of the texts is
# 0.267; what GenSR earns of them is lost in the luck of trainings that have just begun.

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
every = summary(ranks, metrics).set_index(["variant", "task", "metric"])
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
    "options of every run": book.profile.studies.options["gensr"],
}
book.record("08_ablations", results).name

# %% [markdown]
# ## What this chapter found
#
# - Of the paper's four parts, two matter to recommendation in every world: the CF view, by 0.195, and the soft filter, by
#   0.043, which is most of what a filter can be worth here. The contrastive loss and the semantic view make no difference
#   to it that four worlds could show.
# - Of what the paper argues for and never takes out, the joint history helps recommendation, the task prompt hardly, and
#   joint training hurts: a model for one task alone is a little better in recommendation and far better in search, at
#   this stage of the training.
# - In search, after one epoch, differences below 0.06 to 0.11 cannot be seen. Longer trainings would say more, in hours.
# - All this is for small models with random language models and one-way prompts, trained for one epoch, on simulated
#   platforms; the options stand in the profile's section `sweep`. On real data
#   `make book DATASET=path/to/my-tables ARGS="--only 08_ablations"` runs the same chapter; `PROFILE=paper` is the
#   paper's setting.
#
# **Next:** [chapter 9](09_sensitivity.ipynb) turns the two knobs of the contrastive loss, and uses the same runs of the
# whole model.
