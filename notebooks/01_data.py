# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1. Data: one history, two tasks
#
# **Overview.** A platform records two behaviors of the same users: clicks on what it *recommends* (`rec`) and clicks
# after a *search* (`src`). GenSR serves both tasks from one history $H_u = \{(i_1, b_1), \dots, (i_N, b_N)\}$ of items
# $i_n$ and behaviors $b_n$ (the paper's §3). This chapter builds the data and the protocol of §6.1, and asks how much a
# history may hold before the answer is in it.
#
# **What follows**
#
# - the two tables that every data set is turned into,
# - the leave-one-out split and the rule for histories, first on twelve events written by hand,
# - how the two behaviors differ, and what they share,
# - one row of the data as a model receives it: a `Batch`,
# - why 99 stored negatives and a fair rule for ties fix the level of chance,
# - how large a leak gets if a history may hold the answer,
# - what the authors' released code and logs say of such a leak,
# - the same rows, lists included, for other libraries.
#
# You need no more than pandas and the idea of ranking. Your own data may lack searches, categories or texts: what needs
# them is then left out, in all chapters, and a printed line says so.
#
# The text speaks of the default run; on other data the tables have other numbers.

# %%
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from IPython.display import display

from gensr_lib import Workspace, evaluate, load_dataset
from gensr_lib.config import Config, DataConfig
from gensr_lib.data import (
    BEHAVIORS,
    Dataset,
    Tables,
    export_huggingface,
    merged_history,
    query_of,
    read_manifest,
    simulate,
    synthesize_searches,
)
from gensr_lib.data.sources.load import available_datasets
from gensr_lib.experiments import released_log
from gensr_lib.experiments.paper import with_published
from gensr_lib.models import RankingModel
from gensr_lib.show import log_plots, plots, tables
from gensr_lib.training import metric_columns, ranks

# %% tags=["parameters"]
DATASET = "pocket"  # or "pocket-plain", "amazon-<category>", or a folder with your own tables
PROFILE = "pocket"  # or "smoke" (does it run?), "paper" (flan-t5-base; needs a GPU)
SEED = 0  # of the simulation, the made queries and the stored negatives

# %%
book = Workspace.open(DATASET, PROFILE, SEED)
dataset = book.dataset
plots.use_style()

# %% [markdown]
# ## Two tables
#
# A loader returns two tables and nothing else. `interactions` has one row per click: who clicked what and when, under
# which behavior; for a search also the query as typed and a session, which joins the clicks that one query led to. The
# rows are in a fixed order, by user and then by time: the split relies on it.

# %%
same_user = dataset.user[1:] == dataset.user[:-1]
assert (dataset.time[1:] >= dataset.time[:-1])[same_user].all()
dataset.events.head(8)

# %% [markdown]
# `items` has one row per item, and `categories` is a path from the general to the particular. The title is a short name
# for people; `text` says more, in the pocket world also what an item is good for. Some items may have no text at all:
# `i00004`, the last one below, has neither title nor category, and tables show its id. The semantic
# view of GenSR reads `dataset.item_text`: title and text, nothing said twice.

# %%
spoken = next((i for i, text in enumerate(dataset.item_text) if text), 1)
print(f"item_title: {dataset.item_title[spoken]}\nitem_text:  {dataset.item_text[spoken]}")
dataset.items.head(4)

# %% [markdown]
# Filters come next. The k-core keeps users and items with at least $k$ interactions (the paper: $k = 5$), again and
# again until all have them. The table shows what is left after each step; its last three lines are the rows of the
# split: what is trained on, validated and tested. Where a profile limits the rows of validation or test, the same users
# are kept for both tasks. `pocket` validates on at most 500 rows per task, so half of the default users are left out
# there; it tests on at most 5,000, which only larger data reach.

# %%
#| label: tbl:01-counts
#| caption: Events of each behavior, users, items and distinct queries after each step, and in the rows of the split.
counts = with_published(dataset.count_table(), dataset.name)
tables.show(counts, "01_counts", book.figures)

# %% [markdown]
# Data that somebody brings may not be used as they are: rows can be dropped, and searches made where the log has none.
# All of it is listed here. The pocket world has nothing to list.

# %%
notes = pd.DataFrame({"what was dropped or made up": dataset.notes})
tables.show(notes, "01_notes", book.figures)

# %% [markdown]
# ### The paper's two data sets
#
# The paper takes Kindle books of Amazon, with searches made from the purchases, and KuaiSAR, where people really
# searched. Neither may be passed on, so neither comes with the book; both are prepared by the same functions as the rest.
# KuaiSAR is filtered and split as §6.1.1 says: users of both behaviors, all events of the last day for the test, those of
# the day before for validation. Where raw files lie in `data/raw/`, the counts of each step are shown here, and those that
# are published below ours.

# %%
for name in ("amazon-kindle", "kuaisar"):
    if name in available_datasets():
        prepared = load_dataset(name, book.profile, SEED)
        counts = with_published(prepared.count_table(), name)
        display(tables.show(counts, f"01_counts_{name}", book.figures))
    else:
        print(f"{name}: not here; `gensr data get {name}` brings it into data/raw/{name}/")

# %% [markdown]
# In all these tables of counts the three parts hold fewer rows than the filtered log has events. An event that is newer than
# the training part without being its user's held-out one is neither trained on nor tested, and a limit on rows leaves out
# more. That is the price of cutting each log in time.

# %% [markdown]
# ## The pocket world
#
# The default data set is simulated, so its click law is known. Each item $i$ has a topic $k(i)$, a
# log-popularity $a_i$ and a latent vector $z_i$; each user a taste $\pi_u$ over topics and, for each
# topic, a latent vector $z_{uk}$; all latent vectors have $d$ numbers. A recommendation click first
# picks a topic, then an item of it:
#
# $$\begin{aligned}
#   p(i \mid u, t) &= \operatorname{softmax}_k(l_{ut})[k(i)] \cdot
#     \operatorname{softmax}_{j \in k(i)}(A\,a_j + B\,z_{uk} \cdot z_j / \sqrt{d} + g_j)[i], \\
#   l_{utk} &= \log \pi_{uk} + D\,x_{us} \cdot e_k + S\,\frac{h_{utk}}{1 + h_{utk}}
# \end{aligned}$$
#
# where $x_{us}$ is a slow drift from visit $s$ to visit, $e_k$ the direction in which it leads to topic $k$, $h_{utk}$
# counts the user's recent searches of topic $k$, and $g_j$ is below zero for items that are hardly shown. A search begins with a topic and an item that the user has in mind, whose words make
# the query; the click prefers items that have these words ($C$ for each word) and items close to
# $w_\theta \odot z_{uk}$, a weighted taste; [the page on this world](../book/pocket_world.md) has search's formula with its
# own $A'$ and $B'$, and what $T$, $O$ and $w_\theta$ are. So search shifts what is clicked in recommendation, and recommendation
# clicks shift what is searched. An item that a user clicked before is rarely clicked again: it
# counts only $R$ times.
#
# The last six options below are *dials*. Each is there to make one mechanism of the paper worth
# something, and does nothing at zero:
#
# - $T$, a taste of its own in each topic: a history is then better weighed by the candidate than
#   averaged (the soft filter).
# - a second person, who has the account in some visits; the log does not say who clicks.
# - $O$ and $\theta$, what search's taste has of its own, and the angle between the two tasks' laws
#   over the same features: one law for both must err (the task's prompt).
# - items that recommendation hardly shows ($g_j < 0$): what they are is known from searches (joint
#   training) and from texts.
# - items without any text: what they are is known from clicks (two views, and their alignment).
#
# In the default world the second person and $O$ stand at zero. About three in ten items are hardly
# shown and about three in ten have no text, drawn apart: some items are both.
#
# [Chapter 3](03_gensr.ipynb) measures what each mechanism is worth on this world to somebody who
# knows the law. The strengths were chosen by these ceilings, before any system was trained; no
# system's result went into them. With every dial at zero this is the data set `pocket-plain`, the
# negative control.

# %%
letters = {
    "A": "popularity",
    "A', of search": "search_popularity",
    "B": "affinity",
    "B', of search": "search_affinity",
    "D": "drift",
    "S": "search_shift",
    "C": "query_match",
    "R": "repeat",
    "T": "topic_taste",
    "second person": "second_person",
    "O": "own_search_taste",
    "theta, in degrees": "task_angle",
    "hardly shown": "rec_hidden",
    "without text": "no_text",
}

# %% tags=["nbval-ignore-output"]
#| label: tbl:01-law
#| caption: The strengths of the law of this world; from T on, the dials.
law = None
if dataset.truth is not None:
    world = dataset.truth.config
    law = [(letter, name, getattr(world, name)) for letter, name in letters.items()]
    law = pd.DataFrame(law, columns=["letter", "option", "value"]).set_index("letter")
tables.show(law, "01_law", book.figures)

# %% [markdown]
# Since the law is code, we can ask for the probability of every item of the catalogue at one event: here the first
# search of the test part. (For a real data set nobody knows the law; the cell then does nothing.)

# %%
if dataset.truth is not None:
    target = dataset.events.iloc[dataset.rows["test"]["src"].event[:1]]
    row = dataset.truth.rows(target["user_id"], target["time"], target["behavior"])
    probability = np.exp(
        dataset.truth.log_prob(row, np.arange(dataset.truth.config.n_items)[None])
    )[0]
    assert np.isclose(probability.sum(), 1)
    clicked = dataset.truth.item_index(target["item_id"])[0]
    print(f"query: {target['query'].item()!r}")
    print(
        f"clicked item: p = {probability[clicked]:.3f}, rank {1 + (probability > probability[clicked]).sum()}"
    )

# %% [markdown]
# One event is an example, no more. Later chapters rank all test rows by this law and call it the *oracle*: what a
# system reaches that knows everything but the dice. Where two people share an account, it knows who
# is there.

# %% [markdown]
# ## The split, by hand
#
# Twelve events are enough to see the rules at work. Ann's log ends with a *twin*: she buys a lamp at time 8, and the
# log holds the search that led to the purchase at the same time. Bob's log is short.

# %%
ann = [("tea", ""), ("mug", "green mug"), ("pot", ""), ("cup", ""), ("jug", "glass jug")]  # 1 to 5
ann += [("pan", ""), ("rug", "wool rug"), ("lamp", "")]  # times 6 to 8
clicks = [("ann", item, time, query) for time, (item, query) in enumerate(ann, start=1)]
clicks += [("ann", "lamp", 8, "desk lamp")]  # the twin of the purchase at time 8
clicks += [("bob", item, time, "") for time, item in enumerate(["vase", "fork", "bowl"], start=1)]
events = pd.DataFrame(clicks, columns=["user_id", "item_id", "time", "query"])
events["behavior"] = np.where(events["query"] == "", "rec", "src")
events["session_id"] = np.arange(len(events))
names = events["item_id"].unique()
items = pd.DataFrame({"item_id": names, "title": names, "categories": "", "text": names})

# %% [markdown]
# `Dataset.from_tables` validates, filters and splits; we build it under two rules for twins, compared below. The test
# event of a behavior is the user's last one, its validation event the last one before the first test event.

# %% tags=["nbval-check-output"]
#| label: tbl:01-split
#| caption: The twelve events, and the part of the split that each belongs to.
config = DataConfig(min_interactions=1, eval_negatives=2)
tiny = {
    rule: Dataset.from_tables(Tables(events, items), config.replace(twins=rule))
    for rule in ("hidden", "visible")
}
part = pd.Series("", index=range(len(events)))
for split, tasks in tiny["hidden"].rows.items():
    for rows in tasks.values():
        part[rows.event] = split
example = tiny["hidden"].events.assign(part=part)
tables.show(
    example[["user_id", "time", "behavior", "item_id", "query", "part"]], "01_split", book.figures
)

# %% [markdown]
# Both test events are the lamp. All that Ann did up to time 5 is training, and so is the whole of Bob's log, which is
# too short to hold anything out.

# %%
assert example.query("user_id == 'ann' and part == 'train'")["time"].max() == 5
assert (example.query("user_id == 'bob'")["part"] == "train").all()
assert sorted(example.query("part == 'test'")["behavior"]) == ["rec", "src"]

# %% [markdown]
# Now the histories of Ann's held-out rows. Under the rule of this book (`hidden`) a history ends before the validation
# events: nothing that is held out for either task is in it. Under the other rule (`visible`), which cuts the log by row
# number, a history holds all rows above the target.


# %% tags=["nbval-check-output"]
#| label: tbl:01-tiny-histories
#| caption: Histories of Ann's held-out rows under both rules, oldest item first; a star marks a click after a search.
def history_of(data: Dataset, split: str, task: str) -> str:
    """The history of the first row of a split, oldest first."""
    items, is_search = merged_history(data.batch(split, task, np.array([0])), 20)
    names = [
        f"{data.item_ids[i]}{'*' * bool(s)}"
        for i, s in zip(items[0], is_search[0], strict=True)
        if i
    ]
    return " ".join(names)


held_out = [(split, task) for split in ("valid", "test") for task in BEHAVIORS]
histories = pd.DataFrame(
    {rule: [history_of(data, *row) for row in held_out] for rule, data in tiny.items()}
)
histories.index = pd.MultiIndex.from_tuples(held_out, names=["split", "task"])
tables.show(histories, "01_tiny_histories", book.figures)

# %% [markdown]
# Look at the last line, the search for a lamp. With visible twins the purchase of the same lamp stands in the row
# above, and the answer is part of the question. The purchase itself is spared only because its twin happens to stand
# below it.

# %%
assert (histories["hidden"] == "tea mug* pot cup jug*").all()
assert "lamp" in histories.loc[("test", "src"), "visible"]
assert "lamp" not in histories.loc[("test", "rec"), "visible"]

# %% [markdown]
# During training the rule is the same in small: the history of a row holds the user's events that are *strictly
# earlier* than the row's time.
#
# ## How the two behaviors differ
#
# We compare them on the training part, from here on of the chapter's own data set. First, how many events of each
# behavior a user has, and how long queries are.

# %%
train = dataset.events[dataset.rows_before_cut()]
by_task = {task: train[train["behavior"] == task] for task in book.tasks}
per_user = {task: rows["user_id"].value_counts() for task, rows in by_task.items()}
shown = {task: np.minimum(count, np.quantile(count, 0.99)) for task, count in per_user.items()}
words = {}
if book.has("src", part="the length of queries"):
    words["src"] = np.minimum(by_task["src"]["query"].str.split().str.len(), 12)

# %%
#| label: fig:01-behaviors
#| caption: Training events per user (cumulative share of users) and words per query (share of searches).
fig, axes = plots.panels(1 + len(words))
activity = {"ax": axes[0], "title": "How active users are"}
plots.distributions(shown, "training events per user (top 1 % cut)", **activity)
if words:
    longest = words["src"].max()
    bins = np.arange(1, longest + 2) - 0.5
    length = {"kind": "hist", "bins": bins, "ax": axes[1], "title": "Query length"}
    label = "words per query" + (" (12: or more)" if longest == 12 else "")
    plots.distributions(words, label, **length)
plots.save_figure(fig, "01_behaviors", book.figures)
fig

# %% [markdown]
# In the first panel, the curve further to the left is the rarer behavior. That is search, and most of
# its queries have two or three words; none has more than four.

# %% [markdown]
# Second, popularity: sort the items by their clicks and add up. A curve close to the diagonal means that all items are
# clicked alike; a curve that rises at once means that few items take most of the clicks.

# %%
#| label: fig:01-popularity
#| caption: Share of the training clicks that the most clicked items take, for each behavior in its own order of items.
curves = {}
for task, rows in by_task.items():
    count = (
        rows["item_id"]
        .value_counts()
        .reindex(dataset.items["item_id"], fill_value=0)
        .sort_values(ascending=False)
    )
    share = np.r_[0, count.cumsum() / count.sum()]
    curves[task] = np.interp(np.arange(101), np.linspace(0, 100, len(share)), share)
popularity = pd.DataFrame(curves)
fig, (ax,) = plots.panels()
ax.plot([0, 100], [0, 1], color="#999999", linewidth=1, linestyle=":", label="all items alike")
plots.lines(popularity, "top x % of the items", "share of the clicks", ax=ax)
plots.save_figure(fig, "01_popularity", book.figures)
fig

# %% [markdown]
# Two curves that agree say nothing about *which* items are popular, as each behavior has its own order of items.
# Recommendation's clicks gather on fewer items than search's, and its curve is flat at the right: about a tenth of
# the items have no recommendation click in training. [Chapter 2](02_lightgcn.ipynb) comes back to them.
#
# How much a ranking by popularity can reach depends on the height of the curve, since negatives are drawn from all
# items alike. At the top tenth of the catalogue:

# %%
top_tenth = popularity.loc[10]
assert (popularity.diff().dropna() >= 0).all().all()
assert (top_tenth > 0.099).all()  # never below the diagonal, as the items are sorted
top_tenth.rename("share of the clicks on the top 10 % of the items").round(3)

# %% [markdown]
# ## What the two behaviors share
#
# Joint modelling can pay only if one behavior tells something about the other. Three shares say how much, each beside
# what chance gives:
#
# - **topic of the user**: search clicks whose category occurs among the user's recommendation clicks; *chance*: among
#   those of another user;
# - **topic of the moment**: recommendation clicks in the category of the user's latest search click; *chance*: of any
#   search click of the same user, earlier or later;
# - **words**: query words that the clicked item's text contains; *chance*: a random item's text.
#
# First the user: does somebody search for what is clicked in recommendation?

# %%
shares = {}
category = dataset.items.set_index("item_id")["categories"]
topics = book.has("rec", "src", "categories", part="the topics that both behaviors share")
if topics:
    train = train.assign(category=train["item_id"].map(category))
    train = train[train["category"] != ""]  # two items without a category do not share one
    rec, src = (train[train["behavior"] == task] for task in BEHAVIORS)
    seen = pd.MultiIndex.from_frame(rec[["user_id", "category"]]).unique()
    own = pd.MultiIndex.from_frame(src[["user_id", "category"]]).isin(seen).mean()
    users = np.random.default_rng(SEED).permutation(train["user_id"].unique())
    another = pd.Series(np.roll(users, 1), index=users)  # a ring: nobody is their own neighbour
    pairs = [src["user_id"].map(another), src["category"]]
    others = pd.MultiIndex.from_arrays(pairs).isin(seen).mean()
    shares["topic of the user"] = {"observed": own, "chance": others}

# %% [markdown]
# Then the moment: does a click follow the search before it?

# %%
if topics:
    searched = train["category"].where(train["behavior"] == "src")
    latest = searched.groupby(train["user_id"]).ffill()[rec.index]
    after_search = latest.notna()
    moment = (latest == rec["category"])[after_search].mean()
    mix = src.groupby("user_id")["category"].value_counts(normalize=True)  # each user's searches
    asked = pd.MultiIndex.from_frame(rec[after_search][["user_id", "category"]])
    any_search = mix.reindex(asked, fill_value=0).mean()
    shares["topic of the moment"] = {"observed": moment, "chance": any_search}

# %% [markdown]
# And the words, for at most 2,000 searches:


# %%
def words_found(queries: pd.Series, texts: pd.Series) -> float:
    """Mean share of the words of each query that its text has."""
    bags = texts.str.lower().str.findall(r"[\w-]+").map(set)
    typed = queries.str.lower().str.split()
    return np.mean([np.mean([w in bag for w in q]) for q, bag in zip(typed, bags, strict=True)])


if book.has("src", "texts", part="the words of queries"):
    sample = by_task["src"].sample(min(2000, len(by_task["src"])), random_state=SEED)
    text = pd.Series(dataset.item_text, index=dataset.item_ids)[1:]
    any_text = text.sample(len(sample), replace=True, random_state=SEED)
    read = {"observed": text[sample["item_id"]], "chance": any_text}
    shares["words"] = {name: words_found(sample["query"], t) for name, t in read.items()}

# %%
#| label: tbl:01-shared
#| caption: What the two behaviors share, as shares of events (words, of query words), beside what chance gives.
shared = pd.DataFrame(shares).T.rename_axis("what is shared")
if book.is_default:
    found = shared.drop(index="topic of the moment")
    assert (found["observed"] > found["chance"]).all(), "taste is shared, and queries say something"
tables.show(shared, "01_shared", book.figures)

# %% [markdown]
# The first line is about taste, and a table of counts could use it. The second is about time and needs the order of
# events. Both leave out items without a category. The third is what search lives on; it counts clicks on items without
# a text, which can hold no word. In data with made searches do not read the second line: *any search* then holds the
# click's own twin. None of the three shows a cause.
#
# All three lie above chance. Chance is high in the first line, as ten topics are few: another user's
# clicks hold the topic of almost every second search.

# %% [markdown]
# ## Where queries come from in purchase data
#
# Public data of product search often has purchases but no searches. The usual recipe (HEM, Ai et al., 2017), which the
# paper's Amazon data follow too, makes a query out of the category path of a purchased item: the words of all levels,
# without stop words and repetitions. `gensr_lib.data.sources.made_searches` does this:

# %% tags=["nbval-check-output"]
for path in [
    "Cell Phones & Accessories > Accessories > Chargers > Car Chargers",
    "Beauty > Makeup > Nails",
]:
    print(f"{path}  ->  {query_of(path)!r}")

# %% [markdown]
# Such a query is given to *each* purchase as a search of the same user, item and time: a twin. The two rows are one
# fact, and a split that treats them as two lets the answer slip into the question.

# %% [markdown]
# ## One row as a model sees it
#
# A `Batch` holds rows of one task: the recommendation history, the search sessions, how the two merge in time, the
# query, and the candidates with the positive in column 0. Zero is padding everywhere. Our row is the first search of the
# test part; in data without searches, the first recommendation.

# %%
#| label: tbl:01-batch
#| caption: Shape and first values of each field of the first search of the test part.
batch = dataset.batch("test", book.tasks[-1], np.array([0]))
tensors = {
    f"batch.{name}": value for name, value in vars(batch).items() if isinstance(value, torch.Tensor)
}
fields = {name: tuple(value.shape) for name, value in tensors.items()}
values = {name: value.flatten()[:6].tolist() for name, value in tensors.items()}
row_of_data = pd.DataFrame({"shape": fields, "first values": values}).rename_axis("field")
tables.show(row_of_data, "01_batch", book.figures)

# %% [markdown]
# Numbers are for models. The same row with names: the end of the merged history $H_u$, items and behaviors.

# %%
#| label: tbl:01-history
#| caption: The last eight clicks of the same row's history, oldest first.
recent, is_search = (part[0] for part in merged_history(batch, 8))
behavior = np.where(is_search, "src", "rec")[recent != 0]
recent = recent[recent != 0].numpy()
titles = np.array(dataset.item_title, dtype=object)
read = {
    "behavior": behavior,
    "item": titles[recent],
    "category": category[dataset.item_ids[recent]].to_numpy(),
}
tables.show(pd.DataFrame(read), "01_history", book.figures)

# %% [markdown]
# And the question that follows it: a query, the positive, and the first five of its negatives. A name such as `i00664`
# is all that a person sees of an item without a text.

# %%
#| label: tbl:01-candidates
#| caption: The first six of the same row's 100 candidates.
candidates = batch.cand[0, :6].numpy()
table = pd.DataFrame(
    {"candidate": titles[candidates], "category": category[dataset.item_ids[candidates]].to_numpy()}
)
table["label"] = ["positive"] + ["negative"] * (len(table) - 1)
print(f"query: {batch.query_text[0]!r}")
tables.show(table, "01_candidates", book.figures)

# %% [markdown]
# ## Chance
#
# A positive is ranked among 99 negatives (§6.1.3): items that the user never touched, under either behavior, in any
# part of the split. They are drawn once and stored, so all systems rank the same lists.

# %%
for split in ("valid", "test"):
    for task in BEHAVIORS:
        rows = dataset.rows[split][task]
        assert rows.negatives.shape == (len(rows), dataset.config.eval_negatives)
        assert not dataset.sampler.is_touched(
            dataset.user[rows.event][:, None], rows.negatives
        ).any()

# %% [markdown]
# The rank of the positive is one, plus the candidates that score better, plus half of those that tie. A scorer that
# gives all candidates the same score knows nothing, and gets the mean of a random rank, $1 + 99/2 = 50.5$. A rule that
# counts only the *better* candidates would give it rank 1: a perfect result for no knowledge at all. Mind that only the
# *rank* is at chance. A constant scorer never puts the positive among the first ten, so its R@10 and N@10 are 0, where
# those of random scores are .10 and .045.

# %%
tied = torch.tensor([[0.5, 0.9, 0.7, 0.5, 0.1]])  # the positive is in column 0
assert ranks(tied).item() == 1 + 2 + 1 / 2  # two are better, one ties
constant = ranks(torch.zeros(1, 100)).item()
assert constant == np.arange(1, 101).mean() == 50.5
assert metric_columns(np.array([constant]))["R@10"].item() == 0

# %% [markdown]
# The metrics are the paper's Recall@K and NDCG@K for $K = 5$ and $10$, written R@K and N@K in tables. What chance gives
# follows from the uniform rank: $R@K = K / 100$ and $N@K = \frac{1}{100} \sum_{r=1}^{K} 1 / \log_2(r + 1)$. Does a
# random scorer agree, within its standard error? We take twenty seeds in a row, 10,000 lists each.

# %%
chance = {name: values.mean() for name, values in metric_columns(np.arange(1, 101)).items()}
assert np.isclose(chance["R@5"], 0.05)
assert np.isclose(chance["N@10"], sum(1 / np.log2(r + 1) for r in range(1, 11)) / 100)
seeds = [torch.Generator().manual_seed(seed) for seed in range(SEED, SEED + 20)]
drawn = [metric_columns(ranks(torch.rand(10_000, 100, generator=seed)).numpy()) for seed in seeds]
by_seed = pd.DataFrame(
    [{name: values.mean() for name, values in columns.items()} for columns in drawn]
)

# %%
#| label: tbl:01-chance
#| caption: Chance by the closed form and by a random scorer, mean and standard error over twenty seeds.
random = pd.DataFrame(
    {"closed form": chance, "random scorer": by_seed.mean(), "standard error": by_seed.sem()}
)
random["lowest seed"], random["highest seed"] = by_seed.min(), by_seed.max()
assert (abs(random["closed form"] - random["random scorer"]) < 5 * random["standard error"]).all()
tables.show(random.rename_axis("metric"), "01_chance", book.figures, digits=4)

# %% [markdown]
# The last two columns are a warning for small test sets: even with 10,000 lists, luck moves each metric by several per
# cent of its value.

# %% [markdown]
# ## The leak, measured
#
# A model of this book is a class with a `score`. The *repeat scorer* gives 1 to a candidate that stands in the history
# and 0 to any other; it learns nothing and reads no query. Given the positives alone, it says how often the positive
# stands in the row's own history. Some repeats are real: people click an item again. What exceeds them is a leak.


# %%
class Repeat(RankingModel):
    """Scores 1 for a candidate that stands in the history, else 0."""

    name = "repeat"

    def score(self, batch):
        history = torch.cat([batch.rec_items, batch.ses_clicks.flatten(1)], dim=1)  # (B, N)
        return (batch.cand[:, :, None] == history[:, None, :]).any(dim=2).float()  # (B, C)


def positive_in_history(data: Dataset, split: str, task: str, most: int = 5000) -> float:
    """Share of rows (at most ``most``, evenly spaced) whose positive is in the history that a model would be given."""
    rows = data.rows[split][task]
    if not len(rows):
        return np.nan
    index = np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int))
    positive = data.item[rows.event[index]][:, None]
    return float(Repeat(Config()).score(data.batch(split, task, index, positive)).mean())


# %% [markdown]
# We measure two data sets. The first is the book's, as loaded above. The second is a *twin world*, so that the effect
# can be seen without any download: the recommendation clicks of the plain pocket world on items with a category, each
# given a search by the recipe above, as if they were purchases.

# %%
world = simulate(book.profile.pocket.plain(), SEED)
named = world.items.loc[world.items["categories"] != "", "item_id"]  # others get no search
recommended = world.interactions[world.interactions["behavior"] == "rec"]
purchases = Tables(recommended[recommended["item_id"].isin(named)], world.items)
twins = synthesize_searches(purchases, SEED)
rules = {rule: book.profile.data.replace(twins=rule) for rule in ("hidden", "visible")}
worlds = {
    ("this data set", rule): load_dataset(book.dataset_name, book.profile, SEED, data_config=config)
    for rule, config in rules.items()
}
worlds |= {
    ("twin world", rule): Dataset.from_tables(twins, rules[rule], "twins", SEED) for rule in rules
}

# %%
#| label: tbl:01-leak
#| caption: "Share of rows whose positive stands in the row's own history, under both rules for twins. A dash: no rows."
places = [(task, split) for task in BEHAVIORS for split in ("train", "valid", "test")]
leak = pd.DataFrame(
    {key: [positive_in_history(data, s, t) for t, s in places] for key, data in worlds.items()}
)
leak.index = pd.MultiIndex.from_tuples(places, names=["task", "split"])
leak.columns.names = ["data", "twins"]
tables.show(leak, "01_leak", book.figures)

# %% [markdown]
# In the twin world with visible twins, every search has its answer in its history, in all three parts. With hidden
# twins only real repeats remain, and they are the same for the two rows of a twin.

# %%
assert (leak.loc["src", ("twin world", "visible")] == 1).all()
assert (leak["twin world"]["hidden"] < 0.5).all()
assert np.isclose(*leak["twin world"]["hidden"].xs("test", level="split"))

# %% [markdown]
# The repeat scorer turns the leak into a result. Negatives are never in a history, so the scorer ranks a positive first
# where it is in the history and in the middle elsewhere: each metric equals the share of rows whose positive is in the
# history. Where no positive is, it is even below chance.

# %%
repeat = {key: evaluate(Repeat(Config()), data, batch_size=512) for key, data in worlds.items()}
scored = pd.concat(
    {key: result.frame()[["R@5", "N@10"]] for key, result in repeat.items()},
    names=["data", "twins"],
)
assert np.allclose(scored["R@5"], scored["N@10"])

# %%
#| label: fig:01-leak
#| caption: NDCG@10 of the repeat scorer on the test part, under both rules for twins.
fig, axes = plots.panels(2, sharey=True)
for ax, name in zip(axes, ["this data set", "twin world"], strict=True):
    values = scored["N@10"].loc[name].unstack("task")
    colours = [plots.TASK_COLOURS[task] for task in values]
    values.plot.bar(ax=ax, color=colours, rot=0, legend=False, ylim=(0, 1.12), title=name)
    for bars in ax.containers:
        ax.bar_label(bars, fmt="%.3f", padding=10, fontsize=9)
    ax.axhline(chance["N@10"], color="#222222", linestyle="--", linewidth=1.5)
    ax.grid(axis="x", visible=False)
    ax.set(xlabel="twins", ylabel="N@10 of the repeat scorer")
axes[0].legend(
    [*ax.containers, ax.lines[0]], [*plots.TASK_LABELS.values(), f"chance ({chance['N@10']:.4f})"]
)
plots.save_figure(fig, "01_leak", book.figures)
fig

# %% [markdown]
# One bar stands out: in the twin world with visible twins the repeat scorer is perfect at search. So a number from data
# with visible twins says little about a system: whatever can compare two item ids solves it. This book therefore hides
# twins everywhere, keeps `twins="visible"` as a switch, and names the rule wherever a table depends on it. For the
# default data set the rule hardly matters, as its searches are events of their own: the bars differ by 0.001 at
# most.

# %% [markdown]
# ## Where the query went
#
# Is this leak in the paper's own numbers? The authors' data are not released, their code and two
# logs are. In the code, the prompt of search ends in a sentence with a gap for the query, and
# Python's `format` is to fill the gap. But `format` fills braces, and the gap has other brackets:

# %%
template = "… based on the query <Query>?"
assert template.format(Query="desk lamp") == template

# %% [markdown]
# So all search prompts of the released code are one text. The query is also turned into token ids,
# and no module reads them ([Paper versus code](../paper_versus_code.md) names files and lines).
# Whatever this code says of a candidate, it says from the history. Its two tasks have the same
# inputs, but for one constant phrase. This is what the released test log has for them, on Amazon:

# %%
#| label: tbl:01-released-test
#| caption: The authors' released test log (their numbers, not ours), and chance among 1 + 99.
released = released_log.results_by_task()
released.loc["chance"] = [chance[name] for name in ("R@5", "N@5", "R@10", "N@10")]
assert released.loc["src", "HR@5"] > released.loc["rec", "HR@5"] + 0.3
tables.show(released, "01_released_test", book.figures, digits=4)

# %% [markdown]
# If this code made the log, the history alone puts the clicked item of a search among the first
# five in 98 of 100 rows, and that of a recommendation in 61. A history that holds the purchase from
# which the search was made would do exactly that: it is the twin world with visible twins. Then the
# search column measures the protocol, and says nothing about search. What we cannot know is whether
# this code did make the log: the logs are dated 4 to 10 January 2025, the first commit with code 24
# January, and a prompt that held the query may have come before.
#
# The training log holds something else, which concerns everybody who trains such a model.

# %%
#| label: fig:01-released-log
#| caption: "The authors' released training log: task loss (means of a thousand steps) and HR@5 on the validation rows of both tasks. The authors validate from the middle of the fourth epoch on."
loss = released_log.training_loss()["task_loss"].rename("task loss (nats)")
hits = released_log.validation().rename("validation HR@5")
entropy = released_log.base_rate_loss()
fig = log_plots.plateau(
    loss,
    hits,
    base_rate=(f"one positive in five: H(1/5) = {entropy:.4f} nats", entropy),
    chance=(f"chance: {chance['R@5']:.2f}", chance["R@5"]),
    until=4,
    note="four epochs\nat the base rate",
)
plots.save_figure(fig, "01_released_log", book.figures)
fig

# %% [markdown]
# A row of their training has one positive and four negatives. Who answers *yes* with probability
# 1/5 whatever is asked pays the entropy $H(1/5)$, and for four epochs the model pays just that; at
# their end validation is at chance. Then it learns, within two epochs. A training that stops early,
# after two epochs without a gain, say, would have ended on the plateau, and its author would have
# reported that the method does not work.

# %%
plateau = loss[(loss.index > 1) & (loss.index < 4)]
assert abs(plateau.mean() - entropy) < 0.002 and loss[loss.index > 6].max() < 0.2
assert hits.loc[:4].max() < chance["R@5"] and hits.loc[6:].min() > 0.75

# %% [markdown]
# ## The same rows elsewhere
#
# Most systems that one would like to compare with live in other libraries. Their numbers stand beside ours only if they
# rank the same lists. `gensr data export` writes any data set with its split, histories and stored negatives for RecBole
# or for `datasets` of Hugging Face; here the latter, as a function, with the files that it wrote.

# %%
with TemporaryDirectory() as folder:
    export = export_huggingface(dataset, Path(folder, "rows"))
    files = pd.DataFrame(read_manifest(export)["files"]).T[["rows", "bytes"]].dropna()
    task = book.tasks[0]
    exported = pd.read_parquet(export / task / "test.parquet")
files.rename_axis("file")

# %% [markdown]
# `read_manifest` has compared each file with its checksum. A test row has the clicked item, the stored negatives, and the
# history that a model may see, so nobody has to rebuild the protocol. The candidates are those of our own batches:

# %%
rows = dataset.rows["test"][task]
lists = dataset.item_ids[np.c_[dataset.item[rows.event], rows.negatives]]
assert [[row.positive, *row.negatives] for row in exported.itertuples()] == lists.tolist()
exported[["user_id", "query", "positive", "history_items"]].head(3)

# %% [markdown]
# What this chapter found goes on record, with its provenance:

# %% tags=["nbval-ignore-output"]
results = {
    "counts": dataset.count_table().reset_index().to_dict("records"),
    "top_tenth_share": top_tenth.to_dict(),
    "shared": shared.T.to_dict(),
    "chance": chance,
    "leak": {
        f"{data}, {rule}": {f"{t} {s}": v for (t, s), v in leak[data, rule].items()}
        for data, rule in leak
    },
}
book.record("01_data", results).name

# %% [markdown]
# ## What this chapter found
#
# - Every data set becomes the same two tables; filters, split, negatives and batches are then the same code.
# - A history ends before anything that is held out, for both tasks. Else, where searches are made from purchases, a scorer that
#   learns nothing is perfect at search.
# - The behaviors differ: a search states its topic in words, a recommendation click does not. They share topics, of the
#   user and (in the simulated data) of the moment: that is what joint modelling can use.
# - In the simulated data three items in ten have no text, and three in ten are hardly recommended: neither texts nor the clicks
#   of one task know them all.
# - With 99 stored negatives random scores have $R@5 = 0.05$ and $N@10 = 0.0454$. Ties count half in the rank, so a
#   constant scorer has the mean rank of chance, and metrics of 0.
# - In the authors' released code no model reads the query, yet their log has almost perfect search: as if the history held the
#   answer.
#
# **Next:** [chapter 2](02_lightgcn.ipynb) turns the recommendation clicks of the training part into a graph and learns
# the *CF view* of items from it: LightGCN, the frozen table that GenSR takes as $\mathcal{E}$.
