# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5. The comparison: Tables 2 and 3
#
# **Overview.** The paper's result is two tables: 22 systems in recommendation and search, on two data sets, GenSR on top of
# both. Here are both tables with systems that were trained in this book, on its data, beside what is printed. Then: which
# differences are more than luck, how far our order of the systems is the paper's, how much of a table is its
# protocol, and a system that is newer than the paper.
#
# **What follows**
#
# - Table 2 and Table 3, ours beside the paper's,
# - tests against the best baseline, and intervals,
# - our order of the systems and the paper's,
# - cells that cannot be,
# - what the protocol is worth: ties, a hundred candidates or all, one loss for all, twins,
# - GenSAR, and what its identifiers know.
#
# You need [chapter 4](04_baselines.ipynb) for the systems and [chapter 3](03_gensr.ipynb) for GenSR.

# %%
import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score

from gensr_lib import Workspace
from gensr_lib.data import Dataset, Tables, simulate, synthesize_searches
from gensr_lib.experiments import (
    against,
    agreement,
    beside_print,
    best_of,
    bootstrap,
    finished,
    fit_all,
    ranking_tables,
    result_table,
)
from gensr_lib.experiments.comparison import FLOORS, PRINTED
from gensr_lib.models import build_model
from gensr_lib.show import plots, side_by_side, tables
from gensr_lib.training import evaluate, train
from gensr_lib.training.metrics import summarise
from gensr_lib.training.protocols import ranked

plots.use_style()

# %% tags=["parameters"]
DATASET = "pocket"  # or "pocket-plain", "amazon-<category>", or a folder with your own tables
PROFILE = "pocket"  # or "smoke" (does it run?), "paper" (flan-t5-base; needs a GPU)
SEED = 0  # of the data, the initial weights and the training
MISSING = "make"  # or "skip": show only the runs that are there, as `gensr compare` left them

# %%
book = Workspace.open(DATASET, PROFILE, SEED)
dataset = book.dataset
is_simulated = dataset.truth is not None
metric = "expected N@10" if is_simulated else "N@10"

# %% [markdown]
# ## The runs
#
# The 22 systems of the paper, GenSAR, and the floors; each trained once, by the settings of the profile, which were chosen
# on validation rows. `gensr compare` makes the same runs from the command line, one process per core or GPU; here the
# missing ones are made, or named.

# %%
able = book.able(*FLOORS, *PRINTED, "gensar")
dear_first = sorted(able, key=lambda name: ("gen" not in name, name in FLOORS))
runs = fit_all(book, dear_first) if MISSING == "make" else finished(book, able)
runs = {name: runs[name] for name in able if name in runs}
anchors = {}
if is_simulated and runs:
    history = book.specify("gensr").options.history
    given = {"items": "views", "clicks_of": "rec"}
    anchors["reader, as GenSR"] = book.fit("reader", "reader-as-gensr", history=history, **given)
    anchors["oracle"] = book.fit("oracle")
lacking = [name for name in able if name not in runs]
print(f"{len(runs)} systems; not trained here: {', '.join(lacking) or 'none'}")

# %% [markdown]
# ## Table 2: recommendation
#
# In the paper's rows and columns. Ours are the plain metrics of the test rows; bold is the best of a column, underlined the
# second. The paper's numbers are of other data, and larger models: compare orders, not levels.

# %%
SHOWN = ["R@5", "R@10", "N@5", "N@10"]
SOURCES = ["ours", "Amazon", "KuaiSAR"]
best_in = [(source, name) for source in SOURCES for name in SHOWN]
by_task = {}
if runs:
    by_task = {task: beside_print(runs | anchors, task) for task in book.tasks}

# %% tags=["nbval-ignore-output"]
#| label: tbl:05-rec
#| caption: "Table 2, recommendation. Left ours, one training each; right the paper's, as printed. A dash: not there."
tables.show(by_task.get("rec"), "05_rec", book.figures, digits=3, best_in=best_in)

# %% [markdown]
# RECPROSE

# %% [markdown]
# ## Table 3: search

# %% tags=["nbval-ignore-output"]
#| label: tbl:05-src
#| caption: "Table 3, search. Left ours, one training each; right the paper's, as printed, GenSR's row for Amazon corrected from the authors' log."
tables.show(by_task.get("src"), "05_src", book.figures, digits=3, best_in=best_in)

# %% [markdown]
# SRCPROSE

# %% [markdown]
# ## What is more than luck
#
# The paper marks GenSR where a paired t-test against the best baseline has p below 0.01. Here all systems are tested against
# the best baseline of a task, on NDCG@10 by user, with Holm's correction for their number. The test is over users: it
# says whether *these trainings* differ for other users like them, and nothing of another training. The intervals of the
# figure are bootstrapped over users.

# %%
NEWER = ("gensr", "gensar")
baselines, tested = {}, {}
for task in by_task:
    serving = {name: run for name, run in runs.items() if task in run.evaluation.metrics}
    trained = {name: run for name, run in serving.items() if name not in FLOORS}
    if len(trained) > 2:
        baselines[task] = best_of(trained, task, metric, but=NEWER)
        tested[task] = against(serving, task, baselines[task], metric)

# %% tags=["nbval-ignore-output"]
#| label: tbl:05-tests
#| caption: "GenSR and GenSAR less the best baseline, paired over users; p corrected for all systems of the task (Holm)."
rows = {
    (task, name, baselines[task]): found.loc[name]
    for task, found in tested.items()
    for name in NEWER
    if name in found.index
}
tests = None
if rows:
    tests = pd.DataFrame(rows).T.rename_axis(["task", "system", "best baseline"])
tables.show(tests, "05_tests", book.figures, digits=4)

# %%
#| label: fig:05-standing
#| caption: What each system reaches in both tasks. Bars are bootstrapped 95 % intervals over users; one training each.
kinds = dict.fromkeys(FLOORS, "floors") | dict.fromkeys(anchors, "anchors")
kinds |= dict.fromkeys(NEWER, "GenSR, GenSAR")
standings = {}
for task in by_task:
    own = {n: r for n, r in (runs | anchors).items() if task in r.evaluation.metrics}
    ends = pd.DataFrame({n: bootstrap(r, task, metric) for n, r in own.items()}, ["low", "high"]).T
    means = pd.Series({n: r.evaluation.both[task][metric] for n, r in own.items()}, name="mean")
    group = pd.Series({n: kinds.get(n, "baselines") for n in own}, name="group")
    standings[task] = pd.concat([means, ends, group], axis=1)
figure = plots.ladders(standings, metric) if standings else None
if figure:
    plots.save_figure(figure, "05_standing", book.figures)
figure

# %% [markdown]
# LUCKPROSE

# %% [markdown]
# ## Is our order the paper's?
#
# Kendall's $\tau$ is 1 for the same order of the systems, -1 for the reverse, and near 0 for two orders that have nothing to
# do with each other. Its interval is over draws of our users.

# %% tags=["nbval-ignore-output"]
#| label: tbl:05-order
#| caption: "How far our order of the paper's systems agrees with the paper's, by NDCG@10; and the paper's two data sets with each other."
printed = ranking_tables(corrected=True)["N@10"]
rows = {}
for task in by_task:
    theirs = printed.loc[task].unstack("data")
    common = [
        n for n in runs if PRINTED.get(n) in theirs.index and task in runs[n].evaluation.metrics
    ]
    if len(common) > 2:
        for data in theirs:
            rows[task, f"ours and {data}"] = vars(agreement(runs, theirs[data], task, metric))
    pair = theirs.dropna()
    rows[task, "Amazon and KuaiSAR"] = {
        "tau": pair.corr("kendall").iloc[0, 1],
        "systems": len(pair),
    }
orders = pd.DataFrame(rows).T.rename_axis(["task", "orders"]) if rows else None
tables.show(orders, "05_order", book.figures)

# %%
#| label: fig:05-order
#| caption: Place of each system in the paper (Amazon) and here; on the line both are equal. The best are at the top right.
pairs = {}
for task in by_task:
    ours = {PRINTED[n]: r.evaluation.both[task][metric] for n, r in runs.items()
            if n in PRINTED and task in r.evaluation.metrics}  # fmt: skip
    pair = pd.DataFrame({"paper": printed.loc[task, "Amazon"], "ours": pd.Series(ours)}).dropna()
    if len(pair) > 2:
        pairs[task] = pair
figure = side_by_side.orders(pairs, "place in the paper", "place here") if pairs else None
if figure:
    plots.save_figure(figure, "05_order", book.figures)
figure

# %% [markdown]
# ORDERPROSE

# %% [markdown]
# ## Cells that cannot be
#
# With one positive in each list a rank is worth the same wherever it stands. So $R@5 / \log_2 6 \le N@5 \le R@5$, and what
# ranks six to ten add to R@10 and to N@10 is tied as well. `Evaluation` refuses metrics that break this; of the paper's
# 55 printed rows four do.

# %% tags=["nbval-check-output"]
as_printed = ranking_tables()
impossible = as_printed[as_printed["note"] != ""]
assert len(impossible) == 4
print(impossible.drop(columns="note").to_string())

# %% [markdown]
# For GenSR in search on Amazon the authors released a log: R@10 and N@5 are swapped in print, and the tables above have
# it corrected. The others are left as they are, and no order above rests on them alone.

# %% [markdown]
# ## What the protocol is worth
#
# **Ties.** Here a candidate with the positive's score counts half a place. Sorting, with the positive in the first column,
# counts none, and whatever ties gains by it.

# %% tags=["nbval-ignore-output"]
#| label: tbl:05-ties
#| caption: "NDCG@10 where a tie counts half a place, as here, and where sorting puts the positive first."
COUNTING = [
    n for n in ("popularity", "category_count", "item_knn", "bm25", "query_lookup") if n in runs
]
LEARNED = [n for n in ("din", "sasrec", "qem", "zam", "jsr", "unisar") if n in runs]


def ndcg(name: str, **rules: str) -> dict[str, float]:
    """N@10 by task of a trained system under rules of `ranked`."""
    table = ranked(runs[name].model, dataset, **rules)
    return {task: summarise(own)["N@10"] for task, own in table.groupby("task", sort=False)}


ties = {}
for name in (*COUNTING, *LEARNED):
    for rule in ("half", "positive first"):
        for task, value in ndcg(name, ties=rule).items():
            ties.setdefault(name, {})[task, rule] = value
ties = pd.DataFrame(ties).T.rename_axis("system") if ties else None
tables.show(ties, "05_ties", book.figures)

# %% [markdown]
# TIESPROSE
#
# **A hundred candidates, or all.** The same systems among all items that a user does not touch. The levels must fall;
# does the order stay?

# %% tags=["nbval-ignore-output"]
#| label: tbl:05-all
#| caption: "NDCG@10 among the hundred stored candidates and among the whole catalogue, and the places of the systems in both."
all_items = {}
for name in (*COUNTING, *LEARNED):
    for task, value in ndcg(name, candidates="all").items():
        all_items[task, name] = {
            "stored": runs[name].evaluation.metrics[task]["N@10"],
            "all": value,
        }
if all_items:
    all_items = pd.DataFrame(all_items).T.rename_axis(["task", "system"])
    places = all_items.groupby("task").rank(ascending=False).add_prefix("place, ")
    all_items = all_items.join(places.astype(int))
tables.show(all_items if len(all_items) else None, "05_all", book.figures)

# %% [markdown]
# ALLPROSE
#
# **One loss for all.** Each system above has the loss that it was published with. A study of architectures would give all the
# same. Here is the binary cross-entropy that DIN, GenSR and UniSAR have, for some of the others, by
# `models.common_loss`; all other settings are the system's.

# %%
OTHERS = [n for n in ("gru4rec", "sasrec", "seqrec", "nrhub", "zam") if n in runs]
by_click = {}
for name in OTHERS:
    spec = book.specify(name)
    settings = {**spec.options.model_dump(), **spec.training.model_dump()}
    by_click[f"{name}-by-click"] = {"model": f"gensr_lib.models.common_loss:{name}", **settings}
common = fit_all(book, by_click) if MISSING == "make" else finished(book, by_click)

# %% tags=["nbval-ignore-output"]
#| label: tbl:05-loss
#| caption: Systems with the loss of their paper and with one loss for all.
both = {}
for name in OTHERS:
    if f"{name}-by-click" in common:
        both[name] = runs[name]
        both[f"{name}, common loss"] = common[f"{name}-by-click"]
losses = result_table(both, expected=is_simulated) if both else None
tables.show(losses, "05_loss", book.figures)

# %% [markdown]
# LOSSPROSE
#
# **Twins.** Chapter 1 has the twin world: each purchase is also made into a search, and stands twice in the log. Visible
# twins leave the answer in the history. What do systems make of it?

# %% tags=["nbval-ignore-output"]
#| label: tbl:05-twins
#| caption: "Search in the twin world, N@10 by the rule for twins; ZAM that reads both behaviors is trained for three epochs."
world = simulate(book.profile.pocket.plain(), SEED)
named = world.items.loc[world.items["categories"] != "", "item_id"]  # others get no search
clicks = world.interactions[world.interactions["behavior"] == "rec"]
purchases = Tables(clicks[clicks["item_id"].isin(named)], world.items)
logged = synthesize_searches(purchases, SEED)
twins = {}
for rule in ("hidden", "visible"):
    data = Dataset.from_tables(logged, book.profile.data.replace(twins=rule), "twins", SEED)
    for name, options in {"query_lookup": {}, "qem": {}, "zam": {"history_of": "both"}}.items():
        model = build_model(name, data, options)
        if any(p.requires_grad for p in model.parameters()):
            train(model, data, book.specify(name).training.replace(epochs=3), seed=SEED)
        twins.setdefault(name, {})[rule] = evaluate(model, data).metrics["src"]["N@10"]
twins = pd.DataFrame(twins).T.rename_axis("system")
tables.show(twins, "05_twins", book.figures)

# %% [markdown]
# TWINSPROSE

# %% [markdown]
# ## Newer than the paper: what identifiers know
#
# GenSAR (Shi et al., 2025) writes items as codes. An item has two identifiers, one from its text for search and one from
# its clicks for recommendation, and they begin alike. Variants have one: of the text, of the clicks, or of both. On
# a simulated world one can ask what the codes know of an item.

# %%
VARIANTS = {"gensar": {}} if "gensar" in runs else {}
if VARIANTS:
    for kind in ("text", "cf", "shared"):
        VARIANTS[f"gensar-{kind}"] = {"model": "gensar", "identifiers": kind}
written = fit_all(book, VARIANTS) if MISSING == "make" else finished(book, VARIANTS)

# %% tags=["nbval-ignore-output"]
#| label: tbl:05-gensar
#| caption: "GenSAR with two identifiers for an item, and with one: of text, of clicks (cf), or of both (shared)."
variants = result_table(written, expected=is_simulated) if written else None
tables.show(variants, "05_gensar", book.figures)


# %%
def known(codes: np.ndarray) -> dict[str, float]:
    """Adjusted mutual information of the first two codes (I, M) with what the world knows of items."""
    first = np.unique(codes[:, :2], axis=0, return_inverse=True)[1].ravel()
    return {what: adjusted_mutual_info_score(first, labels) for what, labels in of_items.items()}


encoded = None
if is_simulated and written:
    number = dataset.truth.item_index(dataset.item_ids[1:])
    taste = KMeans(16, n_init=4, random_state=SEED).fit_predict(dataset.truth.item_latent[number])
    count = np.bincount(dataset.item[dataset.rows_before_cut()], minlength=dataset.n_items + 1)[1:]
    popularity = pd.qcut(count, 10, labels=False, duplicates="drop")
    of_items = {"topic": dataset.truth.topic[number], "taste": taste, "popularity": popularity}
    encoded = {}
    for name, run in written.items():
        ids = {"semantic": run.model.semantic_ids, "collaborative": run.model.collaborative_ids}
        for kind, tokens in ids.items():
            encoded[name, kind] = known(tokens[1:].numpy())
    encoded = pd.DataFrame(encoded).T.rename_axis(["system", "identifier"])

# %% tags=["nbval-ignore-output"]
#| label: tbl:05-codes
#| caption: "What the first two codes of an identifier tell of an item: mutual information, adjusted so that chance is 0 and equality 1."
tables.show(encoded, "05_codes", book.figures)

# %% [markdown]
# CODESPROSE

# %% [markdown]
# What this chapter found goes on record, with its provenance:

# %% tags=["nbval-ignore-output"]
every = runs | anchors | common | written
results = {
    "runs": {name: str(run.folder.relative_to(book.folder)) for name, run in every.items()},
    "metrics": {name: run.evaluation.both for name, run in every.items()},
    "order": orders.reset_index().to_dict("records") if orders is not None else [],
}
book.record("05_results", results).name

# %% [markdown]
# ## What this chapter found
#
# FOUNDPROSE
#
# **Next:** [chapter 6](06_mutual_information.ipynb) asks what the inputs of GenSR and UniSAR tell about their answers.
