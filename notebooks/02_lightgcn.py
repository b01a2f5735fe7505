# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2. LightGCN: the CF view
#
# **Overview.** GenSR looks at an item from two views. The semantic view reads its text; the collaborative-filtering
# (CF) view knows only who clicked it. For the latter the paper takes a frozen table
# $\mathcal{E} \in \mathbb{R}^{|\mathcal{I}| \times d}$ from LightGCN (He et al., 2020), trained on recommendation
# behavior alone (§4.1.1, footnote 1). This chapter trains that table and asks what is in it, and what cannot be.
#
# **What follows**
#
# - one round of propagation by hand, on three users and three items,
# - the BPR loss at its start, $\ln 2$, and why,
# - the training on the data set, and its result beside systems that need no training, and the oracle,
# - what the item vectors know: neighbours, categories, dimensions,
# - what they cannot know, and how GenSR uses them.
#
# You need [chapter 1](01_data.ipynb) and matrix products.
#
# The text speaks of the default run; on other data the tables have other numbers.

# %%
import math

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from gensr_lib import Workspace
from gensr_lib.experiments import fit_all, result_table
from gensr_lib.models import LightGCN, LightGCNConfig
from gensr_lib.models.losses import bpr
from gensr_lib.show import listings, plots, tables
from gensr_lib.training import ndcg_at_k, ranks

# %% tags=["parameters"]
DATASET = "pocket"  # or "pocket-plain", "amazon-<category>", or a folder with your own tables
PROFILE = "pocket"  # or "smoke" (does it run?), "paper" (flan-t5-base; needs a GPU)
SEED = 0  # of the data, the initial weights and the training

# %%
book = Workspace.open(DATASET, PROFILE, SEED)
dataset = book.dataset
plots.use_style()

# %% [markdown]
# ## Propagation by hand
#
# Users and items are the nodes of one graph, clicks its edges. LightGCN has one learned vector per node and no other
# weight. A round of propagation replaces a node's vector by a weighted sum of its neighbours':
#
# $$\begin{gathered} E^{(l+1)} = D^{-1/2} A D^{-1/2} E^{(l)}, \\ E = \frac{1}{L + 1} \sum_{l=0}^{L} E^{(l)} \end{gathered}$$
#
# Let user 0 click items 1 and 2, user 1 items 2 and 3, user 2 item 3. In the library users count from 0 and items from
# 1; item 0 is padding.

# %% tags=["nbval-check-output"]
edges = np.array([[0, 0, 1, 1, 2], [1, 2, 2, 3, 3]])  # users above, items below
clicks = np.zeros((3, 3))
clicks[edges[0], edges[1] - 1] = 1
adjacency = np.block([[np.zeros((3, 3)), clicks], [clicks.T, np.zeros((3, 3))]])
adjacency.astype(int)

# %% [markdown]
# Each edge is divided by the roots of the degrees at its two ends, so a popular item does not drown out the others.

# %% tags=["nbval-check-output"]
degree = adjacency.sum(axis=1)
normalised = adjacency / np.sqrt(np.outer(degree, degree))
nodes = ["u0", "u1", "u2", "i1", "i2", "i3"]
pd.DataFrame(normalised, nodes, nodes).round(2)

# %% [markdown]
# In the library the matrix is sparse, users and items stand below each other, and a row for the padding stays zero:

# %% tags=["remove-input"]
listings.code(LightGCN.graph, LightGCN.propagate)

# %% [markdown]
# Two rounds, averaged with the start, in dense numpy and by the library:

# %%
torch.manual_seed(SEED)
model = LightGCN(
    LightGCNConfig(width=2, layers=2), n_users=3, n_items=3, edges=torch.from_numpy(edges)
)
start = model.embedding.detach().numpy()[[0, 1, 2, 4, 5, 6]]  # row 3 is the padding
by_hand = (start + normalised @ start + normalised @ normalised @ start) / 3
with torch.no_grad():
    users, items = model.propagate()
assert np.allclose(users, by_hand[:3], atol=1e-6)
assert np.allclose(items[1:], by_hand[3:], atol=1e-6)
assert (items[0] == 0).all()

# %% [markdown]
# The second power of the matrix shows what a second round adds. Item 1 and item 2 share user 0, so they now exchange
# vectors; items 1 and 3 have no user in common and meet only in round four.

# %% tags=["nbval-check-output"]
second = pd.DataFrame(normalised @ normalised, nodes, nodes)
assert second.loc["i1", "i2"] > 0
assert second.loc["i1", "i3"] == 0
second.loc["i1":, "i1":].round(2)

# %% [markdown]
# ## The loss at its start
#
# The score of an item is the dot product $\hat y_{ui} = e_u \cdot e_i$, and training pushes the score of a click $i$ above
# that of a random item $j$ (Bayesian personalised ranking, BPR), while a small weight $\lambda$ keeps the vectors short:
#
# $$\mathcal{L}_{\text{BPR}} = -\sum_{(u, i, j)} \ln \sigma(\hat y_{ui} - \hat y_{uj}) + \lambda \lVert E^{(0)} \rVert^2.$$

# %% tags=["remove-input"]
listings.code(LightGCN.loss, bpr)

# %% [markdown]
# At the start all vectors are small, so the difference is about 0 and the loss about $-\ln \sigma(0) = \ln 2$.
#
# The clicks are those of recommendation. Data that have none lend the clicks of their searches; then read "search" for
# "recommendation" in this chapter, and mind that LightGCN ranks without a look at the query.

# %%
fresh = book.build("lightgcn")
(task,) = fresh.tasks
train = dataset.rows["train"][task].event
index = np.arange(min(1000, len(train)))
negatives = dataset.training_negatives(task, 1, (SEED, 0))[index]
candidates = np.column_stack([dataset.item[train[index]], negatives])
first_loss = fresh.loss(dataset.batch("train", task, index, candidates))["bpr"].item()
assert not book.is_default or abs(first_loss - math.log(2)) < 0.02
print(f"BPR loss of the fresh model {first_loss:.4f}, ln 2 = {math.log(2):.4f}")

# %% [markdown]
# ## Training
#
# The graph holds the recommendation clicks of the training part and nothing else; no held-out event and no search makes
# an edge.

# %%
user, item = dataset.training_edges(task)
cut = dataset.rows_before_cut()
assert cut[train].all()
assert len(user) == (cut & (dataset.is_search == (task == "src"))).sum()
distinct = len(pd.DataFrame({"user": user, "item": item}).drop_duplicates())
print(
    f"{distinct:,} distinct edges between {dataset.n_users:,} users and {dataset.n_items:,} items"
)

# %% [markdown]
# `fit_all` trains what is not there yet, side by side in processes of one thread each, so that the numbers of a machine do
# not depend on how many cores it has: LightGCN on the clicks of recommendation, and for later on those of both behaviors.

# %%
#| label: fig:02-training
#| caption: Training of LightGCN. Losses are means over an epoch; the validation metric is NDCG@5 among 100 candidates.
trained = {"lightgcn": {}}
if len(book.tasks) == 2:
    trained["lightgcn-both"] = {"model": "lightgcn", "edges": "both"}
trained = fit_all(book, trained)
lightgcn = trained["lightgcn"]
fig = plots.training_curves(lightgcn.history, best_epoch=lightgcn.record["best_epoch"])
plots.save_figure(fig, "02_training", book.figures)
fig

# %% [markdown]
# The BPR loss falls from $\ln 2$. The squared norm of the vectors (`l2`) grows meanwhile, as larger vectors separate
# clicks from non-clicks more sharply; a small weight holds it back. The epoch with the best validation NDCG@5 is kept:
# the loss may go on falling where ranking no longer gains. That is epoch 54, and training ends after
# ten more. In its first two epochs the loss falls fastest and NDCG@5 stays at 0.19, about what popularity reaches
# in the table below: it seems that what is learned first is which items are clicked much.

# %% [markdown]
# ## Results
#
# The test ranks of recommendation, beside what costs almost nothing: popularity, a count of the categories in the
# history, the neighbours of its items (itemKNN) and a linear model of items in closed form (EASE). The last two read a
# user's last forty clicks; they learn from the clicks of both behaviors, or of recommendation alone (`rec`). Where the
# click law is known, the oracle scores by the true probability of a click; no system can be better on average. There
# each metric is also averaged over the law, which takes much of the noise of single clicks out of it (`expected`).
#
# One more row is LightGCN on the clicks of *both* behaviors: one graph, trained on both tasks. GenSR's collaborative
# view keeps it out: the paper trains LightGCN on recommendation alone (its footnote 1).

# %%
#| label: tbl:02-results
#| caption: Test metrics of recommendation in this run, plain and (where the law is known) expected under the law.
floors = book.able("popularity", "category_count", "item_knn", "ease")
runs = {name: book.fit(name) for name in [*floors, "lightgcn"]}
if len(book.tasks) == 2:
    runs["item_knn, rec"] = book.fit("item_knn", "item_knn-rec", edges="rec")
    runs["ease, rec"] = book.fit("ease", "ease-rec", edges="rec")
    runs["lightgcn, both"] = trained["lightgcn-both"]
is_simulated = dataset.truth is not None
if is_simulated:
    runs["oracle"] = book.fit("oracle")
table = result_table(runs, expected=is_simulated)[[task]]
tables.show(table, "02_results", book.figures)

# %%
#| label: fig:02-results
#| caption: NDCG@10 of recommendation; where the click law is known, expected under it, with the oracle as a dashed line.
metric = "expected N@10" if is_simulated else "N@10"
best_first = table.sort_values((task, metric), ascending=False)
fig = plots.system_bars(best_first, metric)
plots.save_figure(fig, "02_results", book.figures)
fig

# %% [markdown]
# LightGCN stands *among the floors that read the history*: its expected NDCG@10 is 0.420, that of
# itemKNN 0.420 and of EASE 0.415. Learned from recommendation alone, as LightGCN is, EASE has 0.423 and itemKNN 0.447.
# None of the three has more than clicks. On the clicks of both behaviors all three rank recommendation worse than on
# its own: in this world the two tasks weigh tastes differently, and items that recommendation hardly shows take a third
# of the searches. For LightGCN's own ranking, the footnote costs nothing here. Read the results of later chapters with
# this table in mind: GenSR takes LightGCN's item vectors, not its ranking, and what it learns must show against the
# floors.
#
# How long LightGCN is trained decides a great deal. With half of the epochs at half of the rate validation NDCG@10 ended at
# 0.377, where this training reaches 0.428, and everything that was built on its vectors ended lower.
#
# The plain NDCG@10 of most rows is 0.01 to 0.02 below the expected one: all are tested on the same drawn clicks,
# so they share their luck. Where it falls differently, the expected metrics are the ones to go by: the plain ones put
# LightGCN on both behaviors 0.018 below the one on recommendation, the expected ones 0.028.
#
# Popularity ranks alike for everyone, so what LightGCN adds comes mostly from what it knows of the single user. It
# has 1.8 times popularity's NDCG@10, and 0.66 of the oracle's. How certain is the gain? With one test row per user,
# the answer is in the paired differences. (In profile `smoke` a short training on a tiny world need not beat
# popularity, so the gain is computed here and asserted nowhere.)

# %%
own, base = (
    book.fit(name).evaluation.table.query("task == @task") for name in ["lightgcn", "popularity"]
)
assert (own["row"].to_numpy() == base["row"].to_numpy()).all()
n10 = [ndcg_at_k(part["rank"], 10) for part in (own, base)]
gain = n10[0] - n10[1]
print(
    f"N@10 over popularity: {gain.mean():+.4f} (standard error {gain.std(ddof=1) / len(gain) ** 0.5:.4f})"
)

# %% [markdown]
# The standard error speaks of the sample of test rows. It says nothing of another seed, another world or other
# settings.
#
# ## What the vectors know: neighbours
#
# Training saw no title and no category. If items of one category end up close to each other, the clicks alone have
# told. We take the cosine between item vectors, first for three much-clicked items of different categories. Of an item
# without a category nobody can say whether it is of the same.

# %%
vectors = lightgcn.model.item_vectors()[1:]  # (I, d) without the padding
unit = torch.nn.functional.normalize(vectors, dim=1).numpy()
category = dataset.items["categories"].to_numpy()
train_clicks = np.bincount(item, minlength=dataset.n_items + 1)[1:]
by_clicks = pd.Series(category).iloc[np.argsort(-train_clicks, kind="stable")]
if (category != "").any():
    by_clicks = by_clicks[by_clicks != ""]
examples = by_clicks.drop_duplicates().index[:3].to_numpy()

# %%
#| label: tbl:02-neighbours
#| caption: The four nearest items of three much-clicked ones, by the cosine of their vectors.
cosine = unit[examples] @ unit.T
cosine[np.arange(len(examples)), examples] = -np.inf  # an item is not its own neighbour
near = np.argsort(-cosine, axis=1)[:, :4]
titles = np.array(dataset.item_title[1:], dtype=object)
of = np.repeat(examples, 4)
neighbours = pd.DataFrame(
    {"item": titles[of], "neighbour": titles[near.ravel()], "category": category[near.ravel()]}
)
neighbours["cosine"] = np.take_along_axis(cosine, near, axis=1).ravel()
same = np.where(neighbours["category"] == category[of], "yes", "no")
neighbours["same"] = np.where(neighbours["category"] == "", "unknown", same)
tables.show(neighbours.set_index(["item", "neighbour"]), "02_neighbours", book.figures, digits=2)

# %% [markdown]
# Every neighbour that has a category has that of its item. The others have no text, no title and no
# category: clicks alone have put them there. That is what the CF view can lend to the semantic one.
#
# But three items are an anecdote. The same for all items that have a category and a training click (at most 2,000 of
# them): the share of the ten nearest among these in the same category, beside the share among all (chance), and beside
# the same graph with the vectors of the fresh model. The last shows how much is the graph's, before anything is
# learned.


# %%
def share_in_category(table: np.ndarray, index: np.ndarray, k: int = 10) -> float:
    """Share of the k nearest neighbours (by cosine) of some items that have their category."""
    cosine = table[index] @ table[known].T  # (n, known)
    cosine[index[:, None] == known[None, :]] = -np.inf
    nearest = known[np.argpartition(-cosine, k, axis=1)[:, :k]]
    return float((category[nearest] == category[index][:, None]).mean())


shares = {}
clicked = np.flatnonzero(train_clicks > 0)
known = clicked[category[clicked] != ""]  # two items without a category do not share one
some = known[np.unique(np.linspace(0, len(known) - 1, min(2000, len(known))).astype(int))]
if book.has("categories", part="the categories of neighbours"):
    same = category[some][:, None] == category[known][None, :]
    before = torch.nn.functional.normalize(fresh.item_vectors()[1:], dim=1).numpy()
    shares["chance"] = (same.sum() - len(some)) / (same.size - len(some))
    shares["propagation only"] = share_in_category(before, some)
    shares["trained"] = share_in_category(unit, some)

# %%
#| label: tbl:02-category
#| caption: Share of an item's ten nearest neighbours that are of its category.
assert not book.is_default or shares["trained"] > shares["chance"]
named = {"name": "neighbours in the same category", "dtype": float}
same_category = pd.Series(shares, **named).rename_axis("vectors")
tables.show(same_category, "02_category", book.figures)

# %% [markdown]
# Propagation alone stays near chance, and nearly all is learned: 0.89 of the neighbours, where
# chance gives 0.10. A category is the easy part: a user has a few favourite ones, so items of one category share users.

# %% [markdown]
# ## What the vectors know: dimensions
#
# How many directions carry the table? The singular values of the centred table give the share of variance that the
# first $k$ directions explain. A fresh table spreads it nearly evenly.

# %%
#| label: fig:02-spectrum
#| caption: Share of the item table's variance that its first k directions carry.
stages = {"initial vectors": fresh.embedding.detach()[-dataset.n_items :]}
stages |= {"propagation only": fresh.item_vectors()[1:], "trained": vectors}
spectrum = pd.DataFrame(index=range(1, vectors.shape[1] + 1))
for name, part in stages.items():
    values = torch.linalg.svdvals(part - part.mean(dim=0)).square()
    spectrum[name] = (values.cumsum(0) / values.sum()).numpy()
assert np.allclose(spectrum.iloc[-1], 1)
fig = plots.lines(spectrum, "directions k", "share of variance")
plots.save_figure(fig, "02_spectrum", book.figures)
fig

# %% [markdown]
# The more a curve bends towards the upper left, the fewer directions carry the table. The first two curves coincide:
# propagation alone concentrates nothing. After training, ten directions carry two thirds of the
# variance, and the default world has ten topics; the rest is spread over many. How far training concentrates the table
# depends on how long it lasts: compare the profiles. In one number:

# %%
half = (spectrum >= 0.5).idxmax()
half.rename("directions for half of the variance")

# %% [markdown]
# ## What the vectors know: the truth
#
# In the pocket world every item has a true topic and a true latent vector $z_i$, so two questions have an answer. Are
# two items of one topic close? And within a topic, does the cosine of the learned vectors follow that of the latent
# vectors? The truth has a topic for items without a text too, so all items with a training click are in. (The cells of
# this section do nothing for a real data set.)

# %%
#| label: fig:02-truth
#| caption: Cosines of the learned vectors for pairs of items of one topic and of different topics, pocket world only.
truth = {}
if dataset.truth is not None:
    number = dataset.truth.item_index(dataset.item_ids[1:])[clicked]
    topic, latent = dataset.truth.topic[number], dataset.truth.item_latent[number]
    left, right = np.triu_indices(len(clicked), k=1)  # all pairs of items
    together = topic[left] == topic[right]
    learned = (unit[clicked] @ unit[clicked].T)[left, right]
    pairs = {"same topic": learned[together], "different topics": learned[~together]}
    truth |= {f"mean cosine, {name}": float(values.mean()) for name, values in pairs.items()}
    fig = plots.distributions(
        pairs, "cosine of the learned vectors", kind="hist", bins=np.linspace(-1, 1, 61)
    )
    plots.save_figure(fig, "02_truth", book.figures)
fig if truth else None

# %% [markdown]
# The less the two histograms overlap, the better the topic can be read off a pair of vectors. Pairs
# of one topic lie around 0.4 and the others around 0.06. They cross near 0.25, and a quarter of the pairs of one topic
# lie below it.

# %% [markdown]
# The second question needs care: a topic gives all its items a common direction, which may hide what sets them apart.
# So we ask it twice, of the vectors as they are and after taking out the mean of the topic. A rank correlation over
# thousands of pairs that share items has no simple standard error; what *no* relation would give is seen by shuffling
# the items within their topics.


# %%
def latent_correlation(table: np.ndarray) -> float:
    """Rank correlation, over pairs of one topic, of the cosines in a table and of the latent vectors."""
    units = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (table, latent)]
    cosines = [(part[left[together]] * part[right[together]]).sum(axis=1) for part in units]
    return float(spearmanr(*cosines).statistic)


if dataset.truth is not None:
    raw = vectors.numpy()[clicked]
    centred = raw - pd.DataFrame(raw).groupby(topic).transform("mean").to_numpy()
    within = np.argsort(topic, kind="stable")  # the items, topic by topic
    shuffles = np.random.default_rng(SEED).random((20, len(topic)))
    orders = [
        np.lexsort([draw, topic]) for draw in shuffles
    ]  # the same, in random order within each topic

# %%
#| label: tbl:02-truth
#| caption: Rank correlation of learned and latent cosines over pairs of one topic, beside items shuffled in a topic.
rows = {}
if dataset.truth is not None:
    for name, part in {"as they are": raw, "without the topic's mean": centred}.items():
        shuffled = [latent_correlation(part[order][np.argsort(within)]) for order in orders]
        truth[f"correlation, {name}"] = latent_correlation(part)
        rows[name] = [truth[f"correlation, {name}"], np.mean(shuffled), np.std(shuffled)]
correlations = pd.DataFrame(
    rows, index=["correlation", "shuffled: mean", "shuffled: sd"]
).T.rename_axis("vectors")
tables.show(correlations, "02_truth", book.figures)

# %% [markdown]
# Both answers are yes. The place within the topic is learned too: the correlation, 0.30 and with the
# topic's mean taken out 0.45, stands seventy standard deviations and more clear of the shuffled ones. The topic's common
# direction hides a part of it, as feared.

# %% [markdown]
# How much of the gap to the oracle could a system close that, like LightGCN, knows a user but not the moment? The click
# law answers: we score recommendations by it with the long-term taste in place of the state, so without drift and
# without recent searches.

# %%
if dataset.truth is not None:
    target = dataset.events.iloc[dataset.rows["test"]["rec"].event]
    at = dataset.truth.rows(target["user_id"], target["time"], target["behavior"])
    every = dataset.batch("test", "rec", np.arange(len(target))).cand.numpy()
    law = dataset.truth.log_prob(at, dataset.truth.item_index(dataset.item_ids[every]), static=True)
    rank = ranks(torch.from_numpy(law)).numpy()
    truth["N@10 of the oracle without the moment"] = float(ndcg_at_k(rank, 10).mean())
pd.Series(truth, name="pocket world", dtype=float).round(3)

# %% [markdown]
# The moment and the taste are about equal parts of the gap: the exact taste without the moment has a
# (plain) NDCG@10 of 0.523, which is 0.09 below the oracle's and 0.11 above LightGCN's. That second part is what has to
# be inferred from some twenty recommendation clicks per user; itemKNN, at 0.436, gets a little further with them.
#
# ## What it cannot do
#
# An item without a training click of recommendation has no edge. Nothing reaches it in propagation, and BPR meets it
# only as a negative: its vector carries no taste. The table counts such items and shows how often test rows ask for
# them.

# %%
#| label: tbl:02-cold
#| caption: Items by their training clicks of recommendation, the test rows that ask for them, and LightGCN's NDCG@10 on those rows.
bins = pd.cut(
    train_clicks, [-1, 0, 4, 9, 19, np.inf], labels=["0", "1-4", "5-9", "10-19", "20 or more"]
)
asked = pd.Series(bins[dataset.item[dataset.rows["test"][task].event] - 1]).value_counts()
cold = pd.DataFrame({"items": pd.Series(bins).value_counts(), "test rows": asked})
cold["N@10"] = (
    pd.Series(n10[0]).groupby(np.asarray(bins[own["item"].to_numpy() - 1]), observed=False).mean()
)
tables.show(cold.loc[bins.categories].rename_axis("training clicks"), "02_cold", book.figures)

# %% [markdown]
# 144 items, one in ten, have no edge, and 340 more have fewer than five clicks. Nearly all of the
# 144 are items that recommendation hardly shows; they passed the 5-core by searches. The last column rises with the
# clicks: in none of the nine test rows that ask for an item without an edge is it among the first ten, and items with
# 20 clicks or more have an NDCG@10 of 0.528. Lines with few test rows are noisy, and the column mixes two causes: an
# item with many clicks has a better vector, and it is popular besides.
#
# The searches know these items. But recommendation seldom asks for what it hardly shows, so there is little to gain
# here: six in ten test rows ask for an item with 20 clicks or more. In search it matters: a search finds a hidden item
# like any other, and GenSR's CF view of it is then a vector without taste.

# %% [markdown]
# And LightGCN cannot search: a query has no place in the graph. The model says so itself.

# %%
assert lightgcn.model.tasks == {task} == set(lightgcn.evaluation.metrics)

# %% [markdown]
# ## How GenSR uses it
#
# GenSR takes the item table, frozen, for the items of the *whole* history, clicked after a search or not, and for the
# candidate. It scales the table to a root mean square of one, so that the size of the vectors does not depend on how
# long LightGCN was trained; a learned projection then brings them to the width of the language model.

# %%
table_cf = lightgcn.model.item_vectors()
scaled = table_cf / table_cf[1:].square().mean().sqrt()
assert (scaled[0] == 0).all()
assert math.isclose(scaled[1:].square().mean().item(), 1, rel_tol=1e-4)
assert not table_cf.requires_grad

# %% [markdown]
# What this chapter found goes on record, with its provenance:

# %% tags=["nbval-ignore-output"]
results = {
    "metrics": {name: run.evaluation.both for name, run in runs.items()},
    "gain over popularity (N@10)": {
        "mean": gain.mean(),
        "standard error": gain.std(ddof=1) / len(gain) ** 0.5,
    },
    "neighbours in the same category": shares,
    "directions for half of the variance": half.to_dict(),
    "truth": truth,
    "items without training clicks": int((train_clicks == 0).sum()),
}
book.record("02_lightgcn", results).name

# %% [markdown]
# ## What this chapter found
#
# - LightGCN averages a node's vector with those of its neighbours; there is nothing to learn but the vectors it starts
#   from.
# - As a ranking, LightGCN (0.420) is no more than rules that need no training: EASE equals it (0.423), item neighbours are above
#   it (0.447); clicks of searches in its graph cost it 0.03.
# - Trained on clicks alone, the item vectors gather items of one category. 0.89 of an item's ten
#   neighbours share its category, where chance gives 0.10; items without any text find their place too.
# - In the pocket world they know the topic of an item, and its place within the topic, as far as its clicks go.
# - The vectors know nothing of words: items that nobody clicked in recommendation, and queries, are beyond them.
#
# **Next:** [chapter 3](03_gensr.ipynb) puts the frozen table beside the semantic view, filters the history for each
# candidate, and lets a generative model answer "Yes" or "No": GenSR.
