# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 11. Explore: ask the trained systems
#
# **Overview.** The chapters before measure systems by averages over test rows. Here you ask them yourself, for one user
# at a time, over the whole catalogue: GenSR (the paper's §4) with and without a query, and UniSAR, LightGCN and
# popularity beside it. After two lists for one user it is your turn: on the published page GenSR itself answers, in your
# browser, and in JupyterLab all four systems do. Then the chapter goes behind the lists.
#
# **What follows**
#
# - what a user's mixed history looks like, and what GenSR makes of it,
# - what a query changes, and what the user adds to a query,
# - where the soft filter looks (eq. 5), and what the CF and the semantic view contribute,
# - how much the lists of four systems have in common, and how good they are under the true click law,
# - what happens with somebody whom no system has seen.
#
# You need [chapter 3](03_gensr.ipynb), which builds and trains GenSR; UniSAR is introduced in
# [chapter 6](06_mutual_information.ipynb).
#
# The text speaks of the default run; on other data the tables have other numbers.

# %%
import numpy as np
import pandas as pd

from gensr_lib import Ranker, Workspace
from gensr_lib.errors import ConfigError
from gensr_lib.explore import export_page
from gensr_lib.explore import views as explore
from gensr_lib.files import project_root
from gensr_lib.show import plots, tables

plots.use_style()

# %% tags=["parameters"]
DATASET = "pocket"  # or "pocket-plain", "amazon-<category>", or a folder with your own tables
PROFILE = "pocket"  # or "smoke" (does it run?), "paper" (flan-t5-base; needs a GPU)
SEED = 0  # of the data and the trainings

# %%
book = Workspace.open(DATASET, PROFILE, SEED)
dataset = book.dataset
n_users = 5 if book.is_smoke else 40

# %% [markdown]
# ## Four systems
#
# Runs that chapters 3 and 6 have left on disk are loaded; one that is missing is trained now, which takes as long as it
# took there. The command `python -m gensr_lib book run --only 03 06` makes them beforehand.
#
# A `Ranker` is a trained model that answers for one user: `recommend(user, k)` and `search(user, query, k)` score the
# whole catalogue. GenSR encodes the history once, then reads the prompts of all items in chunks.

# %%
systems = ["gensr", "unisar", "lightgcn", "popularity"]
rankers = {name: Ranker.from_run(book.fit(name), dataset) for name in systems}
gensr = rankers["gensr"]
recommends = book.has("rec", part="lists without a query")
searches = book.has("src", part="lists for a query")

# %% [markdown]
# ## One user
#
# We take the first user with a test row of search who has one of recommendation too. Her last click under each behavior
# is held out, and so is all that happened from the earlier of the two validation events on: a ranker shows a model the
# history that the test protocol shows.

# %%
tests = {task: dataset.rows["test"][task].event for task in book.tasks}
tested = [set(dataset.user[rows]) for rows in tests.values()]
person = min(set.intersection(*tested) or tested[-1])
own = {task: rows[dataset.user[rows] == person] for task, rows in tests.items()}
event = {task: rows[0] for task, rows in own.items() if len(rows)}
user = dataset.user_ids[person]

# %% [markdown]
# `plain` is how we ask where nothing is typed: without a query, unless the data have nothing but searches.

# %%
query = dataset.query_texts[dataset.query[event["src"]]] if searches else ""
plain = "" if recommends else query
history = gensr.history(user)
held_out = dataset.time[list(event.values())]
assert history["time"].max() < held_out.min(), "nothing held out is seen"

# %% [markdown]
# This is $H_u$ of the paper's §3, oldest first: recommendation clicks (`rec`) and search clicks (`src`) in one
# sequence. Read it before you go on, and guess what she may want next.
#
# GenSR sees the items of both behaviors. It does not see which behavior a click belongs to, and it does not see the
# past queries; UniSAR sees both. An item without text is shown by its id, as 17 of her 36 clicks are.

# %% tags=["nbval-ignore-output"]
#| label: tbl:11-history
#| caption: The twenty most recent clicks of the history that GenSR reads of one user, oldest first.
tables.show(history.drop(columns=["time", "item_id"]).tail(20), "11_history", book.figures)

# %% [markdown]
# ## Recommendation
#
# No query, so the task prompt is the one for recommendation. Items that she has already clicked are left out.

# %% tags=["nbval-ignore-output"]
#| label: tbl:11-recommended
#| caption: The ten items of the whole catalogue that GenSR recommends.
best = explore.ask(gensr, user, plain, 10)
assert not set(best["item_id"]) & set(history["item_id"])
recommended = best if recommends else best[:0]
tables.show(recommended.drop(columns="item_id"), "11_recommended", book.figures)

# %% [markdown]
# Compare the categories with those of the history. Four of the list have no text, hence no category;
# the others are suitcases, hiking and skincare, which the history has too.
#
# P(Yes) is not the probability of a click. The model was trained with a few random negatives per click, so it answers
# "clicked, or drawn at random?". Each of the ten has 0.78 or more, while the probabilities of the
# next click add up to 1 over the whole catalogue.

# %% [markdown]
# ## Search
#
# Now the query of her held-out search. The same user, the same model; only the prompt differs, and it ends in the
# query's words.

# %% tags=["nbval-ignore-output"]
#| label: tbl:11-found
#| caption: The ten items that GenSR finds for the query of the user's held-out search.
found = explore.ask(gensr, user, query, 10) if searches else best[:0]
print(f"query: {query}")
tables.show(found.drop(columns="item_id"), "11_found", book.figures)

# %% [markdown]
# All items that have a category are audio, as the query says, though only two of those eight are
# earbuds. The other two have no text; only the CF view can tell what they are. How much does the user add to a query?
# Here is the same query from nobody, an empty history.

# %% tags=["nbval-ignore-output"]
if searches:
    anybody = gensr.search(None, query, 10)
    shared = len(set(found["item_id"]) & set(anybody["item_id"]))
    print(f"{shared} of the 10 items are found without a history too")

# %% [markdown]
# Five are, so the other five are there because of her history.
#
# Words that nobody has ever typed are allowed. The model has to answer something, so it does; look at P(Yes) of the
# first item, not at the fact that there is a list. It is 0.947 for her query and 0.893 for nonsense:
# lower, but still a yes.

# %% tags=["nbval-ignore-output"]
if searches:
    nonsense = gensr.search(user, "xyzzy plugh", 10)
    yes, no = found["P(Yes)"][0], nonsense["P(Yes)"][0]
    print(f"P(Yes) of the first item: {yes:.3f} for her query, {no:.3f} for nonsense")
    same = nonsense["item_id"].isin(recommended["item_id"]).sum()
    print(f"of the ten items for nonsense, {same} are recommended ones")

# %% [markdown]
# ## Your turn
#
# Choose a user or type a new one's items; type a query, or leave it empty for recommendation. What is wrong with a
# question, such as an item that does not exist, is said there.
#
# In JupyterLab (`make lab`, run all cells) a form asks all four systems. The published page has GenSR itself in the
# form's place: it computes in your browser, with JavaScript, from [model.json](../book/ask/model.json) and
# [weights.bin](../book/ask/weights.bin), and gives the numbers of this chapter.

# %% tags=["nbval-ignore-output"]
some = tests[book.tasks[0]][:n_users]
users = dataset.user_ids[dataset.user[some]].tolist()
form = explore.form(rankers, list(dict.fromkeys([str(user), *users])), query, k=5)
if book.is_default:
    export_page(book.fit("gensr"), dataset, project_root() / "book" / "ask")

# %% tags=["panel-ask"]
form

# %% [markdown]
# Questions worth asking it:
#
# - Does the order of the history matter? Give a new user's items in two orders.
# - Which words of a query count? Leave them out one by one.
# - Find a user for whom the CF view decides, and one for whom the semantic view does.

# %% [markdown]
# ## Where did the clicked item land?
#
# The list looks sensible, but is it right? For each task one item was really clicked and held out. Its rank among *all*
# items is a harder question than that of the test protocol, which has 99 rivals drawn at random.

# %% tags=["nbval-ignore-output"]
#| label: tbl:11-clicked
#| caption: "Rank of the held-out item in the whole catalogue, for one user. A dash: the task is not served."
places = {}
for task, row in event.items():
    for name, ranker in rankers.items():
        if task in ranker.model.tasks:
            scores = ranker.scores(user, query if task == "src" else "")
            places[task, name] = 1 + int((scores > scores[dataset.item[row] - 1]).sum())
by_task = pd.Series(places, name="rank").unstack().reindex(columns=systems).rename_axis("task")
tables.show(by_task.astype("Int64"), "11_clicked", book.figures)

# %% [markdown]
# One click is one click. GenSR puts the clicked earbuds first in search. In recommendation the
# clicked suitcase trolley is 285th of 1,364 items, although another suitcase trolley is third in the list above; UniSAR
# and LightGCN have it higher, popularity lower. A good list can miss the click, and a rank of several hundred
# can be a fair answer. The averages stand in the chapters before; further down there is a measure that does not depend
# on which item was clicked.

# %% [markdown]
# ## Where GenSR looks
#
# For each candidate the soft filter weighs the history by the importance scores $\alpha_j$ (eq. 5). Below: the five
# items found first, and the twelve most recent clicks. Blue labels are recommendation clicks, orange ones search
# clicks.

# %%
shown = found if searches else recommended
explanation = gensr.explain(user, query, shown["item_id"][:5])
recent = explanation.history.tail(12)
labels = {
    "candidates": explanation.contributions["title"],
    "history": recent["title"],
    "behaviors": recent["behavior"],
}
labels = {name: column.tolist() for name, column in labels.items()}
assert all(np.allclose(alpha.sum(axis=1), 1, atol=1e-4) for alpha in explanation.weights.values())

# %%
#| label: fig:11-weights-semantic
#| caption: Importance scores of the soft filter in the semantic view (eq. 5), for the five items found first.
semantic_map = None
if book.has("texts", part="the weights of the semantic view"):
    weights = explanation.weights["semantic"][:, -12:]
    semantic_map = plots.weights_heatmap(weights, **labels, title="semantic view")
    plots.save_figure(semantic_map, "11_weights_semantic", book.figures)
semantic_map

# %% [markdown]
# Columns that stand out for all candidates are clicks that the filter always looks at; a row that differs from the
# others is a candidate with its own view of the history. Equal weights would be 1 / 36, or 0.03.
# Of the twelve shown the guitar plectrum stands out for all candidates with a text: it has a tenth of their weight, and is
# the nearest to audio devices. The swimming goggles, two columns before it, are no kin of theirs. Most of all has a click that is too
# old to be shown, the golden suitcase trolley: .14 for the earbuds and .21 for the speaker. Candidates without a text, such as
# `i01404`, weigh all clicks alike. So look at the weights, but do not read too much into them.

# %%
#| label: fig:11-weights-cf
#| caption: Importance scores of the soft filter in the CF view (eq. 5), same user, query and items.
cf_map = plots.weights_heatmap(explanation.weights["cf"][:, -12:], **labels, title="CF view")
plots.save_figure(cf_map, "11_weights_cf", book.figures)
cf_map

# %% [markdown]
# The CF view knows those without a text, too. Four of the five candidates give the salmon hiking rucksack
# more than an equal share, the earbuds most; `i01385` looks at another rucksack instead. The speaker also looks at `i00164`,
# which has no text; she clicked it when she searched for a speaker.
#
# The importance scores do not depend on the query: eq. 5 has the candidate and the history in it, nothing else. They
# say where the model looks, not what it concludes.

# %% [markdown]
# ## What each view contributes
#
# So we take a part out and see what happens to the score, which is the logit of P(Yes). The slots of one view, the
# user's and the item's, are filled with zeros; the prompt keeps its length and all else stays. `history` empties the
# two slots of the user instead. A bar to the right means that the score falls without the part.
#
# This is a sensitivity, not a share: the model was never trained on such prompts, and the parts interact, so the bars
# do not add up to the score.

# %%
#| label: fig:11-contributions
#| caption: How much lower the score (logit) of five items is without the CF view, the semantic view or the history.
bars = explore.contribution_bars(explanation, f"query: {query}")
plots.save_figure(bars, "11_contributions", book.figures)
bars

# %% [markdown]
# All five items lose most without the CF view, by far. The history comes second and differs from
# item to item: it is worth little to the speaker and most to `i01385`. The semantic view is worth next to nothing; four of
# the five scores even rise a little without it.
#
# But a loss that all items share changes no list. So the next table asks what stays of the ten best items when a part
# is taken out, for this user with and without her query.

# %% tags=["nbval-ignore-output"]
#| label: tbl:11-without
#| caption: Share of the ten highest-scored items that stay among the ten when slots are zeroed, one user.
stays = {}
for asked in dict.fromkeys([plain, query]):
    best = set(np.argsort(-gensr.scores(user, asked))[:10])
    for part in ("cf", "semantic", "history"):
        left = np.argsort(-gensr.scores(user, asked, zeroed=[part]))[:10]
        stays[part, "search" if asked else "recommendation"] = len(best & set(left)) / 10
staying = pd.Series(stays).unstack().rename(explore.PART_NAMES).rename_axis("without")
tables.show(staying, "11_without", book.figures, digits=1)

# %% [markdown]
# A low number means that the part decides the list. Both lists hang on the CF view: without it, two of
# the ten items found by the query stay, and none of those recommended. The history comes next: five found items stay,
# and three recommended ones. The semantic view matters least: nine stay of both. Here 388 of the 1,364 items have
# no text, and only the CF view can tell those apart. See in the form above whether other users are like this one.

# %% [markdown]
# ## Side by side
#
# The same question to four systems, first without a query.

# %% tags=["nbval-ignore-output"]
#| label: tbl:11-side-rec
#| caption: The five items that each system recommends to the user.
side = explore.side_by_side(rankers, user, k=5) if recommends else None
tables.show(side, "11_side_rec", book.figures)

# %% [markdown]
# GenSR's list shares one item with UniSAR's and two with LightGCN's; those two have three in common, and begin with the same
# skincare serum. A suitcase trolley is in all four lists.
# Popularity has one list per task for everybody, without what the user has seen. With the query:

# %% tags=["nbval-ignore-output"]
#| label: tbl:11-side-src
#| caption: "The five items that each system finds for the query. A dash: the system does not serve search."
side = explore.side_by_side(rankers, user, query, k=5) if searches else None
tables.show(side, "11_side_src", book.figures)

# %% [markdown]
# LightGCN knows users and items by number only; it has no place for a query. GenSR and UniSAR have
# one of the five items in common, and all their items with a text are audio devices.
#
# How alike are the lists in general? Over several test users, the share of ten recommended items that two systems have
# in common.

# %% tags=["nbval-ignore-output"]
#| label: tbl:11-overlap
#| caption: Share of ten recommended items that two systems have in common, mean over test users.
task = book.tasks[0]
typed = dataset.query_texts[dataset.query[some]].tolist()  # empty for recommendations
serving = {name: ranker for name, ranker in rankers.items() if task in ranker.model.tasks}
shares = explore.overlap(serving, users, typed)
assert np.allclose(np.diag(shares), 1) and np.allclose(shares, shares.T)
tables.show(shares.rename_axis("system"), "11_overlap", book.figures, digits=2)

# %% [markdown]
# Any two of the trained systems share half of their lists or less. On average GenSR and LightGCN
# are the most alike, with 0.50; GenSR and UniSAR are the least, with 0.31. As the next section shows, what their lists
# are worth differs less. In a catalogue of this size many items suit a user about equally well, and systems break such
# ties by different things.

# %% [markdown]
# ## How good is a list?
#
# In the pocket world the click law is known. So we need not wait for a click: the oracle gives the probability of each
# item to be the next one, and a list is worth the sum of its ten. The oracle's own list is the best that can be had;
# real data have no such column.

# %%
worth = pd.DataFrame(columns=systems)
if dataset.truth is not None:
    oracle = Ranker.from_run(book.fit("oracle"), dataset)
    for number, name in enumerate(users):
        law = pd.Series(np.exp(oracle.scores(name)), index=dataset.item_ids[1:])
        lists = {
            system: ranker.recommend(name)
            for system, ranker in {**rankers, "oracle": oracle}.items()
        }
        worth.loc[number, list(lists)] = {
            system: law[list(top["item_id"])].sum() for system, top in lists.items()
        }

# %% tags=["nbval-ignore-output"]
#| label: tbl:11-worth
#| caption: True probability that the next recommendation click lies in a list of ten, mean over test users.
worth = worth.astype(float)
if book.is_default:
    assert worth["popularity"].mean() < worth["gensr"].mean() < worth["oracle"].mean()
mean_worth = worth.mean().rename_axis("system").rename("P(next click in the list)")
tables.show(mean_worth, "11_worth", book.figures)

# %% [markdown]
# This is the recall at ten over the whole catalogue that each system can expect, without the noise of which item
# happened to be clicked. Even the oracle's number is far from 1: a click is a draw from a broad law. It is 0.40.
# GenSR's lists are worth half of that, 0.19, LightGCN's 0.17 and UniSAR's 0.13; popularity's 0.08. Over so few users,
# small differences between systems mean nothing; [chapter 8](08_ablations.ipynb) has tests for that.

# %% [markdown]
# ## Somebody new
#
# A new user is given by what she did, oldest first: items, or events such as `(item, "src", query)`. GenSR reads
# nothing but the history, so it serves her like anybody else. Here are three items of the most frequent category.

# %% tags=["nbval-ignore-output"]
most_frequent_first = dataset.items["categories"].value_counts().index
category = next((name for name in most_frequent_first if name), "")  # "": items without one
three = dataset.items.query("categories == @category")["item_id"].tolist()[:3]
for_her = explore.ask(gensr, three, plain, 10)
if book.has("categories", part="the category of a list for somebody new"):
    same = (for_her["categories"] == category).sum()
    print(f"category of the three items: {category}; in the list: {same} of 10")

# %% [markdown]
# UniSAR has a vector per user beside the history; a new user gets the mean of all these vectors. LightGCN has nothing
# but such a vector, and says so:

# %% tags=["nbval-check-output"]
try:
    explore.ask(rankers["lightgcn"], three, plain, 10)
except ConfigError as error:
    print(error)

# %% [markdown]
# What this chapter found goes on record, with its provenance:

# %%
results = {
    "user": user, "query": query, "ranks": {f"{task} {name}": place for (task, name), place in places.items()},
    "worth": worth.mean().dropna().to_dict(), "overlap": shares.to_dict(), "users": len(users),
}  # fmt: skip
path = book.record("11_explore", results)
assert path.exists()

# %% [markdown]
# ## What this chapter found
#
# - A query decides the kind of item; who asks, which items of that kind. For our one user both lists change most without the
#   CF view, then without her history.
# - The importance scores show where GenSR looks; what a part is worth to a list must be measured by taking it out.
# - Lists of good systems differ more than their metrics do. Where the click law is known, a list can be judged without
#   waiting for a click.
#
# **Next:** this is the last chapter. Ask a model of your own: [Add a model](../book/add_a_model.md) shows how to make
# one, and a `Ranker` takes it as above. Or run the whole book on your own tables:
# `make book DATASET=path/to/my-tables`.
