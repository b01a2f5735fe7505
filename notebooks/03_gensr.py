# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. GenSR: one generative model for two tasks
#
# **Overview.** This chapter builds GenSR from the parts of the paper's §4, one equation at a time, each on numbers
# small enough to check by hand. Then the model is trained on the data of chapter 1, with the frozen LightGCN table of
# chapter 2. The question is that of Tables 2 and 3 (§6.2): how well does one model rank in both tasks? The answer
# stands between floors, which cost nothing, and what can be known at all.
#
# **What follows**
#
# - two views of a history, and how the candidate decides what of it counts (eq. 3 to 6),
# - what the contrastive loss asks for (eq. 10),
# - what the language model really reads, a prompt with four soft tokens (eq. 7), and its answer (eq. 8 and 9),
# - how far one model gets in both tasks, between floors and ceilings,
# - what each mechanism of the paper can be worth on these data,
# - where the model looks.
#
# You need [chapter 1](01_data.ipynb) and [chapter 2](02_lightgcn.ipynb).
#
# The text speaks of the default run; on other data the tables have other numbers.

# %%
import numpy as np
import pandas as pd
import torch
from scipy.stats import norm

from gensr_lib import Workspace
from gensr_lib.analysis import ceilings_of, costs, growth
from gensr_lib.data import merged_history
from gensr_lib.experiments import (
    fit_all,
    fit_anchors,
    fit_floors,
    result_table,
    seen_table,
    standing,
)
from gensr_lib.models import PROMPTS, GenSR, SoftFilter, contrastive
from gensr_lib.models.losses import instruction_tuning
from gensr_lib.show import listings, live, plots, tables

plots.use_style()

# %% tags=["parameters"]
DATASET = "pocket"  # or "pocket-plain", "amazon-<category>", or a folder with your own tables
PROFILE = "pocket"  # or "smoke" (does it run?), "paper" (flan-t5-base; needs a GPU)
SEED = 0  # of the data, the initial weights and the training

# %%
book = Workspace.open(DATASET, PROFILE, SEED)
dataset = book.dataset

# %% [markdown]
# ## Two views of a history (eq. 3 and 4)
#
# A user's history $H_u$ holds her clicks under both behaviors, oldest first. The CF view has a LightGCN vector of each
# item, $E_u^{\text{cf}} = (e_1, \dots, e_N)$, as chapter 2 made them; they stay as they are. The semantic view has the
# language model's own embeddings of the item's text, $E_u^{\text{sem}} = (s_1, \dots, s_N)$. Each view passes an encoder
# of its own, in which every click reads every other (MSA, multi-head self-attention) and then a small network (FFN):
#
# $$C_u = \mathrm{FFN}(\mathrm{MSA}(E_u^{\text{cf}}, E_u^{\text{cf}}, E_u^{\text{cf}})) \in \mathbb{R}^{N \times d}, \tag{3}$$
#
# $$S_u = \mathrm{FFN}(\mathrm{MSA}(E_u^{\text{sem}}, E_u^{\text{sem}}, E_u^{\text{sem}})) \in \mathbb{R}^{N \times d'}. \tag{4}$$
#
# Left open is where the order of the clicks enters, and how a text of several words becomes one $s_i$. We add a
# learned vector for each place, and take the mean of the words (`semantic_level="token"` keeps all of them). The
# functions below are those of the library that the rest of this chapter calls, as they run.

# %% tags=["remove-input"]
listings.code(GenSR.encode, GenSR.semantic_items)

# %% [markdown]
# ## Soft filtering on three items (eq. 5 and 6)
#
# Not all of a long history bears on one candidate. Let $C_u = \{h_1, \dots, h_N\}$. For a candidate $i_c$ with vector
# $e_{i_c}$ each click gets an importance score by multi-head cross-attention (MCA), and the history is summed up by
# the scores, for each candidate in another way; so is $S_u$, with $s_{i_c}$ and weights of its own:
#
# $$\alpha_j = \frac{\exp(\mathrm{MCA}(e_{i_c}, h_j))}{\sum_{k=1}^{N} \exp(\mathrm{MCA}(e_{i_c}, h_k))}, \tag{5}$$
#
# $$C_u^{\text{filter}} = \sum_{j=1}^{N} \alpha_j \cdot W_V h_j. \tag{6}$$

# %% tags=["remove-input"]
listings.code(SoftFilter.forward)

# %% [markdown]
# Let there be three clicks, in the plane. With one head and all projections set to the identity, MCA is a scaled dot
# product and everything can be done by hand.

# %%
history = torch.tensor([[[2.0, 0.0], [0.0, 2.0], [-2.0, 0.0]]])  # (1, 3, 2)
candidates = torch.tensor([[[1.5, 0.0], [0.0, 1.5]]])  # (1, 2, 2): one like h_1, one like h_2
soft_filter = SoftFilter(width=2, heads=1)
for projection in (soft_filter.query, soft_filter.key, soft_filter.value):
    torch.nn.init.eye_(projection.weight)
filtered, alpha = soft_filter(candidates, history, torch.ones(1, 3, dtype=torch.bool))

# %% [markdown]
# The attention of the first candidate to $h_1$ is $2 \cdot 1.5 / \sqrt{2}$; the other two follow, and the softmax of
# the three, $\alpha_j$, is the first row of the table.

# %% tags=["nbval-check-output"]
scores = np.array([2 * 1.5, 0, -2 * 1.5]) / np.sqrt(2)  # of the first candidate
by_hand = np.exp(scores) / np.exp(scores).sum()
assert np.allclose(by_hand, alpha[0, 0].detach(), atol=1e-6)
pd.DataFrame(
    alpha[0].detach().numpy().round(3), index=["like h1", "like h2"], columns=["h1", "h2", "h3"]
)

# %% [markdown]
# Each candidate looks at the items that resemble it, and gets *its own* summary of the same user: the first candidate
# finds a user who points to the right, the second one who points up.

# %% tags=["nbval-check-output"]
pd.DataFrame(
    filtered[0].detach().numpy().round(3), index=["like h1", "like h2"], columns=["x", "y"]
)

# %% [markdown]
# Turn the candidate, and see what becomes of the user (sliders need JavaScript; they begin at the numbers above):

# %% tags=["nbval-ignore-output"]
live("soft_filter")

# %% [markdown]
# ## The contrastive loss on three users (eq. 10)
#
# Each user has two views, $C_u$ and $S_u$, here the means of their clicks. The loss is low when a user's two views point the
# same way and views of different users do not. The paper prints
#
# $$\mathcal{L}_c = -\frac{1}{|B|} \sum_{u \in B} \log \frac{\exp(\mathrm{sim}(C_u, S_{u'})/\tau)}{\sum_{u' \in B}
# \exp(\mathrm{sim}(C_u, S_{u'})/\tau) + \sum_{u' \in B} \exp(\mathrm{sim}(S_u, C_{u'})/\tau)}, \tag{10}$$
#
# where "$u'$ refers to other users in the batch". Its numerator has $S_{u'}$, which cannot be meant: $u'$ is bound by no sum
# there, and the text calls $C_u$ and $S_u$ the positive pair. And without that pair below the line the fraction could exceed
# one. So we read
#
# $$\mathcal{L}_c = -\frac{1}{|B|} \sum_{u \in B} \log \frac{e^{s(C_u, S_u)}}{e^{s(C_u, S_u)} + \sum_{u' \ne u}
# e^{s(C_u, S_{u'})} + \sum_{u' \ne u} e^{s(S_u, C_{u'})}}, \tag{10, ours}$$
#
# with $s(a, b) = \cos(a, b) / \tau$.

# %% tags=["remove-input"]
listings.code(contrastive)

# %% [markdown]
# Three users whose views agree, are mixed up, or are all the same. Beside ours stands the printed form, with the sum of its
# denominator in the numerator too, as $u'$ means nothing else:


# %%
def as_printed(cf: torch.Tensor, semantic: torch.Tensor, temperature: float) -> float:
    """Eq. 10 with u' over the other users, above the line as below it."""
    similar = torch.cosine_similarity(cf[:, None], semantic[None], dim=-1) / temperature
    others = similar.masked_fill(torch.eye(len(cf), dtype=torch.bool), -torch.inf)
    to_semantic, to_cf = others.logsumexp(dim=1), others.logsumexp(dim=0)  # (B,) each
    return (torch.logaddexp(to_semantic, to_cf) - to_semantic).mean().item()


# %% tags=["nbval-check-output"]
#| label: tbl:03-contrastive
#| caption: The contrastive loss of three users, as printed and as we read it, at a temperature of 0.5.
views, users = torch.eye(3), torch.arange(3)
cases = {
    "aligned": (views, views),
    "users mixed up": (views, views.roll(1, dims=0)),
    "all users alike": (torch.ones(3, 3), torch.ones(3, 3)),
}
losses = {
    name: {
        "as printed": as_printed(*case, temperature=0.5),
        "ours": contrastive(*case, users, temperature=0.5).item(),
    }
    for name, case in cases.items()
}
losses = pd.DataFrame(losses).T.rename_axis("views")
# One positive and 2 + 2 negatives; where every pair looks the same, 2B - 1 choices.
assert np.isclose(losses.loc["aligned", "ours"], -np.log(np.exp(2) / (np.exp(2) + 4)))
assert np.isclose(losses.loc["all users alike", "ours"], np.log(2 * 3 - 1))
tables.show(losses, "03_contrastive", book.figures)

# %% [markdown]
# As printed the loss is $\ln 2$ in all three cases: it does not see whether the views of a user agree. In our form the middle
# row is the worst case, where each user's CF view agrees with the semantic view of somebody else. The last row is a
# collapse, where all users look alike; it costs $\ln(2B - 1)$ for a batch of $B$ users, and this is what keeps users apart.

# %% [markdown]
# ## What the language model reads (eq. 7)
#
# The words of a prompt for task $t$ are cut into five segments, with vectors between them:
#
# $$E_t = [e_1^t, C_u, e_2^t, S_u, e_3^t, e_{i_c}, e_4^t, s_{i_c}, e_5^t], \qquad t \in \{S, R\}. \tag{7}$$
#
# As printed, $C_u$ and $S_u$ are matrices of $N$ rows, and what eq. 6 made of them is used nowhere. The text and the
# paper's Figure 2 have the filtered vectors in these places, and so do we; $W$ brings the CF vectors to the
# width of the language model:
#
# $$E_t = [e_1^t, W C_u^{\text{filter}}, e_2^t, S_u^{\text{filter}}, e_3^t, W e_{i_c}, e_4^t, s_{i_c}, e_5^t]. \tag{7, ours}$$
#
# So history and candidate enter as four *soft tokens*, marked below by `<extra_id_k>`. The rest is text, and the text
# names the task. The query comes last, so that its length moves nothing else.

# %% tags=["nbval-check-output"]
for task, text in PROMPTS.items():
    print(f"{task}: {text}")

# %% [markdown]
# What fills the four slots, and how they are put among the words:

# %% tags=["remove-input"]
listings.code(GenSR.soft_filter, GenSR.prompt)

# %% [markdown]
# Now with real rows: four searches of the test part (four recommendations, where the data have no search) and an
# untrained model. Its CF table is chapter 2's LightGCN, its language model and tokenizer are the profile's.

# %%
model = book.build("gensr").eval()
batch = dataset.batch("test", book.tasks[-1], np.arange(4))
state = model.encode(batch)
slots, weights = model.soft_filter(state, batch)
embeddings, mask = model.prompt(batch, state, slots).whole()

# %% [markdown]
# The shapes tell the story. The two histories are encoded once per user, whatever the number of candidates; the soft
# filter then makes one vector per user *and* candidate; and the language model reads one short prompt for each.

# %% tags=["nbval-ignore-output"]
shapes = {
    "C_u, encoded CF history (eq. 3)": state["cf"].states,
    "S_u, encoded semantic history (eq. 4)": state["semantic"].states,
    "importance scores, CF view (eq. 5)": weights["cf"],
    "filtered CF history in its slot (eq. 6)": slots["user_cf"],
    "candidate's text in its slot": slots["item_semantic"],
    "prompt E_t (eq. 7)": embeddings,
}
pd.DataFrame({"shape": [tuple(t.shape) for t in shapes.values()]}, index=list(shapes))

# %% [markdown]
# ## Yes or no (eq. 8 and 9)
#
# The language model reads the prompt and writes its answer $y$, "Yes" for what is clicked and "No" for what is not. The
# loss adds to the likelihood of the right answer the contrastive loss with a weight:
#
# $$\mathcal{L} = \mathcal{L}_{S\&R} + \beta \mathcal{L}_c, \tag{8}$$
#
# $$\mathcal{L}_{S\&R} = -\sum_{t=1}^{|y|} \log P_\Theta(y_t \mid y_{<t}, E). \tag{9}$$
#
# Here $|y| = 1$: each answer is told by its first token. Generation is constrained to the two words, so that $P_\Theta$ is a
# softmax over two logits, and candidates are ranked by their $P(\text{Yes})$.

# %% tags=["remove-input"]
listings.code(GenSR.loss, GenSR.loss_weights, instruction_tuning)

# %% tags=["remove-input"]
listings.code(GenSR.answer, GenSR.score)

# %% [markdown]
# Before training the model knows nothing: its random weights lean to one of the two words, but by about the same for
# every candidate, so nothing is ranked yet.

# %% tags=["nbval-ignore-output"]
with torch.no_grad():
    p_yes = model.score(batch).sigmoid()
    start = {
        name: term.item()
        for name, term in model.loss(batch.with_candidates(batch.cand[:, :5])).items()
    }
print(f"P(Yes) before training: mean {p_yes.mean():.3f}, standard deviation {p_yes.std():.3f}")
print(
    f"loss before training: generation {start['generation']:.3f}, contrastive {start['contrastive']:.3f}"
)

# %% [markdown]
# ## Training
#
# Below, eq. 9 is called `generation`. Each step takes a batch of recommendation rows and one of search rows, so both tasks
# end an epoch together. A row has one positive, answered "Yes", and negatives redrawn each epoch, answered "No". The
# epoch with the best mean validation NDCG@5 over both tasks is kept.

# %% tags=["nbval-ignore-output"]
spec = book.specify("gensr")
profiled = book.profile.models["gensr"].model
pd.Series({**spec.training.model_dump(), **profiled}, name="value", dtype=object).to_frame()

# %% [markdown]
# In the default profile the prompt is *one-way* (`one_way`): its words do not attend to its slots, so
# they are encoded once for all candidates of a user, and a candidate costs four tokens. Trained to the
# end on `pocket-plain`, one seed, it ranked as the paper's form does (NDCG@10 .4315 and .8887 against
# .4310 and .8819), in half of the seconds. `one_way=False` is the paper's form, and the profile `paper`
# has it. One more help for a small random model: the soft filter of the CF view
# begins with $W_Q = W_K = W_V = I$ (`cf_filter_start`), as a filter by likeness, and is trained from
# there. And it is trained without dropout: on validation rows three epochs without it, at twice the rate, end where
# three with it do.

# %% [markdown]
# ## What differs between GenSR and UniSAR
#
# The paper compares GenSR with UniSAR, the best discriminative model for both tasks, and so does this book from chapter
# 6 on. A difference between two systems speaks of their *paradigms* only as far as the rest is equal. What a profile
# can make equal is: the clicks that they see, the weight of the tasks, the rows of a step. The rest is this table.

# %%
other = book.specify("unisar")
ours, theirs, given = spec.training, other.training, book.profile.data
size = {
    name: sum(p.numel() for p in book.build(name).parameters() if p.requires_grad)
    for name in ("gensr", "unisar")
}
start = "pretrained"
if book.profile.backbone.name == "pocket":
    start = "random, but queries = keys in the encoder: tokens attend to their like"

# %% tags=["nbval-ignore-output"]
#| label: tbl:03-differences
#| caption: What differs between GenSR and UniSAR in input and training, with the values of this run.
differences = {
    "history": (
        f"last {given.history_rec} clicks and {given.history_src} searches, merged",
        f"last {given.history_rec} clicks and {given.history_src} searches",
    ),
    "types of events": ("not told", "told: attention within and between types"),
    "queries in the history": ("not read", "read, as means of word vectors"),
    "query of a search": ("tokens, read by the language model", "mean of word vectors"),
    "items": ("text, and a LightGCN vector (frozen)", "a trained vector, no text"),
    "users": ("history alone", "history and a trained vector"),
    "positions in the history": ("learned, of the merged order", "learned, of both orders"),
    "losses": ("Yes or No; views aligned", "click; queries with items, transitions aligned"),
    "weight of search": (ours.search_weight, theirs.search_weight),
    "rows of a step (rec)": (ours.batch_size, theirs.batch_size),
    "first filter of the CF view": (spec.options.cf_filter_start, "–"),
    "negatives": (ours.negatives, theirs.negatives),
    "epochs": (ours.epochs, theirs.epochs),
    "learning rate": (f"{ours.learning_rate:g}", f"{theirs.learning_rate:g}"),
    "dropout": (f"{spec.options.dropout:g}", f"{other.options.dropout:g}"),
    "first weights": (start, "random"),
    "trained parameters": (f"{size['gensr']:,}", f"{size['unisar']:,}"),
}
differences = pd.DataFrame(differences, index=["GenSR", "UniSAR"]).T.astype(str)
tables.show(differences, "03_differences", book.figures)

# %% [markdown]
# Four of these help GenSR, three UniSAR. GenSR reads texts, has item vectors that LightGCN was trained for, where the first
# filter of the CF view is said to be *aligned* begins to compare them at once, and in the profiles without a pretrained model its T5 begins with $W_q = W_k$ in each layer of the encoder: a token attends to
# its like from the first step on, as a pretrained model can. Without this start a short training spends most of its
# steps on finding it out, and search is far worse (`pocket_t5` has the numbers); UniSAR gets no such help. UniSAR is
# told which events were searches and what was asked in them, has a vector of its own for each user, and its alignment
# loss learns from every query in the histories, not only from the one to be answered.
#
# That GenSR is not told the types is the paper's: the history of its §3 has the behavior $b_n$ of each event, and eq. 3
# and 4 do not use it.

# %% [markdown]
# Three systems are trained here side by side, each on one thread: GenSR, GenSR with a perceptron in T5's place, which stands
# in the tables below, and UniSAR, which chapters 6, 7 and 11 hold against it. A run that is already on disk with the same
# data and configuration is loaded; one that was killed goes on.

# %%
trained = {name: {} for name in book.able("unisar", "gensr")}
trained["gensr-mlp"] = {"model": "gensr", "reader": "mlp"}
trained = fit_all(book, trained)
run = trained["gensr"]
model = run.model
if book.is_default:  # the loss ends below that of a coin
    assert run.history.filter(like="generation").iloc[-1].max() < 0.693

# %%
#| label: fig:03-training
#| caption: Training of GenSR. Losses are means over an epoch; the validation metric is NDCG@5 among 100 candidates.
curves = plots.training_curves(run.history, best_epoch=run.record["best_epoch"])
plots.save_figure(curves, "03_training", book.figures)
curves

# %% [markdown]
# Read the panel *generation* for what is learned first: the loss of search falls faster and further, because a query says much more
# about the click than a history does. Search still gains .04 in the last of three epochs, in which the rate falls to zero.
# More of them were tried beforehand, on validation rows: four at the same rate ended no higher, five at half of it gained .02
# in search and nothing in recommendation.

# %% [markdown]
# The generation loss can be compared with a constant guess: with $n$ negatives per positive, always answering with the
# base rate costs $H(1/(1+n))$ nats. What lies below that line is information about the click.

# %% tags=["nbval-ignore-output"]
rate = 1 / (1 + spec.training.negatives)
constant = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
last = run.history.iloc[-1]
of_task = ", ".join(f"{task} {last[f'{task} generation']:.3f}" for task in book.tasks)
print(f"best constant guess {constant:.3f}; GenSR {of_task}")

# %% [markdown]
# ## Floors, ceilings and the oracle
#
# All systems rank the same stored candidates, 1 positive among 99 negatives. A number says little
# by itself, so it stands between what costs nothing and what nobody can pass:
#
# - *Floors* are rules and closed forms that are fitted in a second: popularity, counting the
#   categories of the history, neighbours of its items (itemKNN, EASE), matching words (BM25),
#   remembering what was clicked for the same query. A system below one of them has not been
#   trained, or has nothing to show on these data.
# - *LightGCN* is the collaborative view alone: on the clicks of recommendation, as the paper has it
#   (its footnote 1), and on those of both behaviors.
# - *GenSR with a perceptron*: all that GenSR has up to its four slots, and then one hidden layer over products of user
#   and candidate in the language model's place (`reader="mlp"`). What T5 itself brings, or costs, is the difference.
# - *Readers* know the click law and read what they are given: everything about the items, or what GenSR knows of them,
#   texts and the clicks of recommendation. It is a yardstick and no bound: a model that has learned from all users can pass it.
# - The *oracle* is the law itself.

# %%
runs = fit_floors(book)
floors = [name for name in runs if not name.startswith("lightgcn")]
runs |= {"gensr": trained["gensr"], "gensr, perceptron": trained["gensr-mlp"]}
runs |= fit_anchors(book)
is_simulated = dataset.truth is not None
if is_simulated:
    runs["reader"] = book.fit("reader", history=spec.options.history)

# %% [markdown]
# Where the law is known, each metric is also averaged over it. A list has 100 candidates, and the
# law says how probable each of them was to be the click: the *expected* metric is the mean over all
# of them in place of the one that was drawn. It estimates the same quantity with several times less
# noise, and every comparison below uses it.

# %% tags=["nbval-ignore-output"]
#| label: tbl:03-results
#| caption: "Test metrics of this run, plain and (where the law is known) expected under the law; the best in the first task first. A dash: the system does not serve the task."
shown = ["R@5", "R@10", "N@5", "N@10"]
shown = ["R@10", "N@5", "N@10", "expected N@10"] if is_simulated else shown
table = result_table(runs, metrics=shown)
best_first = table.sort_values((book.tasks[0], shown[-1]), ascending=False)
tables.show(best_first, "03_results", book.figures)

# %%
metric = "expected N@10" if is_simulated else "N@10"
kinds = dict.fromkeys(floors, "floors") | dict.fromkeys(["oracle"], "oracle")
kinds |= dict.fromkeys(["reader", "reader, as GenSR"], "readers")
kinds |= dict.fromkeys(["lightgcn", "lightgcn, both"], "lightgcn")
placed = standing(runs, metric, kinds, others="gensr")

# %%
#| label: fig:03-ranking
#| caption: What each system reaches in both tasks, between floors and oracle. Bars are 95 % intervals over users.
ladder = plots.ladders(placed, metric)
plots.save_figure(ladder, "03_ranking", book.figures)
ladder

# %% [markdown]
# How far is GenSR from each of the others? The differences are paired: the same rows, the same
# candidates. `detectable` is the smallest true difference that the test would find four times out
# of five; a smaller one may well have been missed.

# %%
rivals = [*floors, "lightgcn", "lightgcn, both", "gensr, perceptron", "reader, as GenSR"]
rows = []
for task in book.tasks:
    own = runs["gensr"].evaluation.values(task, metric)
    for name in (name for name in rivals if name in runs and task in runs[name].model.tasks):
        gain = own - runs[name].evaluation.values(task, metric)
        se = gain.std(ddof=1) / len(gain) ** 0.5
        detectable = (norm.ppf(0.975) + norm.ppf(0.8)) * se
        low, high = gain.mean() - 1.96 * se, gain.mean() + 1.96 * se
        rows.append((task, name, gain.mean(), low, high, detectable))
columns = ["task", "GenSR minus", "difference", "low", "high", "detectable"]
against = pd.DataFrame(rows, columns=columns).set_index(["task", "GenSR minus"])

# %% tags=["nbval-ignore-output"]
#| label: tbl:03-against
#| caption: GenSR minus each of the others, with 95 % intervals over test rows; one training.
tables.show(against, "03_against", book.figures)

# %% [markdown]
# GenSR is **above every floor in both tasks**. In recommendation it is above itemKNN on
# recommendation alone, the best of them, by 0.017, and the test could have seen 0.011; above LightGCN, whose vectors it
# reads, by 0.044. In search it is above BM25 by 0.039.
#
# It is *not* above its own perceptron. What reads the four slots as products and one hidden layer is even in
# recommendation (0.005 ahead, hardly more than nothing), ahead by 0.051 in search, and trained in half of
# the time. The language model's part in GenSR, as far as this world and a random T5 of this size can show it, is to
# read the slots, and a perceptron reads them as well. What T5 might bring besides, its knowledge of language, a random
# one does not have.
#
# These intervals are over test rows, for one training on one world: they say nothing of how much
# another training, or another world of the same law, would differ.
#
# How much of what can be known does GenSR know? Where the law is known, two ratios answer that. The
# reader is no strict bound: it weighs a few features of the law, and in recommendation GenSR is above it, as the
# perceptron is in both tasks.

# %% tags=["nbval-ignore-output"]
#| label: tbl:03-shares
#| caption: GenSR's expected NDCG@10 as a share of that of the reader with its input, and of the oracle's.
shares = {}
if is_simulated:
    for task, ranked in placed.items():
        mean = ranked["mean"]
        of = {name: float(mean["gensr"] / mean[name]) for name in ("reader, as GenSR", "oracle")}
        shares[task] = of
shares_table = pd.DataFrame(shares).T.rename_axis("task").add_prefix("of ") if shares else None
if book.is_default:
    assert all(share["reader, as GenSR"] >= 0.8 for share in shares.values())
    for ranked in placed.values():
        assert ranked["mean"]["gensr"] > ranked["mean"].reindex(floors).max()
tables.show(shares_table, "03_shares", book.figures)

# %% [markdown]
# ## What it costs
#
# The paper's third promise is efficiency: one model in the place of two. Here is what the forms of GenSR cost, and UniSAR
# beside them, all with random weights, on one thread, timed in turn, so that the multiples of UniSAR say more than the
# seconds. *Two-way* is the paper's own form, in which each candidate's prompt is read as a whole; *one-way* is the one
# trained above; the *perceptron* reads slots and no prompt.

# %% tags=["nbval-ignore-output"]
#| label: tbl:03-cost
#| caption: "Cost of GenSR and UniSAR in training (loss and gradient, nine negatives a row) and in ranking (the stored candidates). `training` and `ranking` are multiples of UniSAR. One thread of this machine."
threads = torch.get_num_threads()
torch.set_num_threads(1)
forms = {"GenSR, two-way": {"one_way": False}, "GenSR, one-way": {"one_way": True}}
forms["GenSR, perceptron"] = {"reader": "mlp"}
built = {name: book.build("gensr", **options) for name, options in forms.items()}
built["UniSAR"] = book.build("unisar")
cost = costs(built, dataset, to="UniSAR", rows=8 if book.is_smoke else 32)
cost["candidates per second"] = cost["candidates per second"].round().astype(int)
tables.show(cost, "03_cost", book.figures, digits=1)

# %% [markdown]
# How does ranking grow with the number of candidates, up to the whole catalogue? All four encode a history once; what
# follows is paid for each candidate.

# %%
#| label: fig:03-growth
#| caption: "Milliseconds to rank so many candidates for one user (recommendation where it is there), one thread; both axes logarithmic."
grown = growth(built, dataset, book.tasks[0], [10, 30, 100, 300, dataset.n_items], rows=4)
scales = {"xscale": "log", "yscale": "log", "markers": True}
figure = plots.lines(grown, "candidates", "ms per user", **scales)
plots.save_figure(figure, "03_growth", book.figures)
figure

# %% [markdown]
# And with the length of the history? The encoders of the views attend from each click to each, and the filter from each
# candidate to each click; the language model reads two filtered vectors, however long the history is.

# %% tags=["nbval-ignore-output"]
#| label: tbl:03-history
#| caption: "Milliseconds to rank the stored candidates for one user by the clicks that GenSR reads, one thread."
lengths = {}
for n in (10, 20, 40, 80):
    longer = {name: book.build("gensr", history=n, **options) for name, options in forms.items()}
    lengths[n] = growth(longer, dataset, book.tasks[0], [100], rows=4).loc[100]
torch.set_num_threads(threads)
by_history = pd.DataFrame(lengths).T.rename_axis("clicks")
tables.show(by_history, "03_history", book.figures, digits=1)

# %% [markdown]
# The paper's own form costs three to four times what UniSAR does in training and 16 to 20 times in ranking, from day to
# day: each candidate is a prompt of its own. One-way, about 1.5 and 3 times remain. The perceptron is cheaper than UniSAR
# in both. The multiples of ranking depend on what is asked: the table has 32 rows at once, of both tasks. With four rows of
# recommendation, as in the figure, they are 4 and 2: a search's prompt is longer, and with more rows at once UniSAR takes
# less for each and two-way GenSR, on this processor, more.
# So the language model is what costs, and that of the paper is a thousand times as large: its promise
# of efficiency is about one model in the place of two, not about a cheap one. In the paper's own log flan-t5-base
# ranks some 2,500 candidates a second on an A100; `python benchmarks/throughput.py` measures it where there is a GPU.
#
# Up to some hundred candidates the encoding of the history is a part of the price; from there on it is one of candidates, and
# the whole catalogue costs two-way GenSR more than ten times what UniSAR takes. The length of the history hardly counts: eight
# times as many clicks cost the forms that read a prompt a twentieth to a sixth more, from day to day.

# %% [markdown]
# ## Pairs that training has seen
#
# A search can be answered in two ways: by matching the query with the item, or by remembering that
# this very query led to this very item before. Where each item has one query, as in data whose
# searches are made of categories, remembering is enough: whoever clicked the item in training left
# the pair there, and search can be a dictionary of pairs of query and item. Only pairs that are not in
# it ask for matching; with one query for each item these are of items that no training search led to.
# So here are both kinds of test searches apart. The floor `query_lookup` is the dictionary itself.
#
# The metric is the plain one, also where the law is known: the expected one averages each list over
# seen and unseen pairs, and would mix what the table parts.

# %% tags=["nbval-ignore-output"]
#| label: tbl:03-seen
#| caption: "NDCG@10 of test searches whose pair of query and clicked item is among the training searches, and of the others, with 95 % intervals over rows. A dash: too few rows."
seen = None
if book.has("src", part="pairs that training has seen"):
    seen = seen_table(runs, dataset, metric="N@10")
tables.show(seen, "03_seen", book.figures)

# %% [markdown]
# Read each row across: a system that is good on seen pairs and near popularity on the others has learned
# the dictionary; one that matches words should lose less. An item that is clicked often is also more
# often in a seen pair, so some of the gap may be popularity's: its own row says how much. Few rows on
# one side make wide intervals, and then the table says little about that side.
#
# A fifth of the pairs are seen. The dictionary has 0.95 there and popularity's level, 0.13, on the others.
# GenSR falls from 0.77 to 0.57, less than popularity falls, and on unseen pairs it is above BM25: it matches.

# %% [markdown]
# ## What this world can and cannot show
#
# An ablation that finds nothing says something only if there was something to find. Before any
# system was trained, each mechanism of the paper was given its *ceiling* on this world: what a
# reader that knows the law loses when it may not use what the mechanism stands for.

# %% tags=["nbval-ignore-output"]
#| label: tbl:03-ceilings
#| caption: Ceiling of each mechanism, expected NDCG@10 of a reader with it minus without it.
ceilings = shown = None
if is_simulated and len(book.tasks) == 2:
    ceilings = ceilings_of(dataset, history=spec.options.history)
    wide = ceilings.pivot(index="mechanism", columns="task", values=["ceiling", "se"])
    ceilings = ceilings.set_index(["mechanism", "task"])
    shown = wide.sort_values(("ceiling", "rec"), ascending=False)
    shown = shown.rename(columns={"se": "standard error"})
else:
    print(
        "The ceilings are left out: they need the known law of a simulated world, and both tasks."
    )
tables.show(shown, "03_ceilings", book.figures)

# %%
#| label: fig:03-ceilings
#| caption: What each mechanism could add, with 95 % intervals. Right of the line, it is worth .03 or more to somebody who knows the law.
bounds = None
if ceilings is not None:
    half = 1.96 * ceilings["se"]
    gains = pd.DataFrame({"mean": ceilings["ceiling"], "group": "readers"})
    gains = gains.assign(low=gains["mean"] - half, high=gains["mean"] + half)
    gains = {task: gains.xs(task, level="task") for task in book.tasks}
    bounds = plots.ladders(gains, "ceiling in NDCG@10", reference={".03": 0.03})
    plots.save_figure(bounds, "03_ceilings", book.figures)
if book.is_default:
    assert (ceilings["ceiling"].groupby("mechanism").max() >= 0.03).all()
bounds

# %% [markdown]
# Only the two views and the soft filter clear .03 in both tasks. The others do so in one of them; what
# [chapter 8](08_ablations.ipynb) does not find of them in the other says nothing.

# %% [markdown]
# ## Where the model looks
#
# The importance scores $\alpha_j$ show which clicks of a user speak for a candidate. Below: one user of the test part,
# the positive and four negatives, and the most recent items of the mixed history. Blue labels are recommendation
# clicks, orange ones search clicks.

# %%
row = dataset.batch("test", book.tasks[0], np.array([0]))
shown = row.with_candidates(row.cand[:, :5])
items, by_view = model.filter_weights(shown)
real = (items[0] != 0).nonzero().squeeze(1)[-12:]
names = [dataset.item_title[i] for i in items[0, real]]
behaviors = ["src" if s else "rec" for s in merged_history(shown, model.config.history)[1][0, real]]
titles = [
    ("positive: " if c == 0 else "") + dataset.item_title[i] for c, i in enumerate(shown.cand[0])
]

# %%
#| label: fig:03-filter-semantic
#| caption: Importance scores of the soft filter in the semantic view (eq. 5), one row per candidate, for the twelve most recent clicks; a row sums to 1 over all clicks that GenSR reads.
semantic_map = None
if book.has("texts", part="the weights of the semantic view"):
    weights = by_view["semantic"][0][:, real].numpy()
    semantic_map = plots.weights_heatmap(weights, titles, names, behaviors, "semantic view")
    plots.save_figure(semantic_map, "03_filter_semantic", book.figures)
semantic_map

# %% [markdown]
# In the semantic view the labels can be read: look for rows whose weight sits on items of the candidate's kind. They
# do so loosely, if at all: the speaker and the dog collar look most at a guitar plectrum (0.15 and 0.20), the suitcase
# at swimming goggles (0.09), and less at the suitcase organiser (0.04). A candidate without text, named here by its id, weighs all
# clicks alike.

# %%
#| label: fig:03-filter-cf
#| caption: Importance scores of the soft filter in the CF view (eq. 5), same user and candidates.
cf_map = plots.weights_heatmap(
    by_view["cf"][0][:, real].numpy(), titles, names, behaviors, "CF view"
)
plots.save_figure(cf_map, "03_filter_cf", book.figures)
cf_map

# %% [markdown]
# The CF view cannot be read from the titles: its vectors know who clicked, not what the item is. Rows that look alike
# mean that this view tells these candidates little apart.

# %% [markdown]
# One user proves nothing, so here are 200 test rows of each task (fewer where there are fewer): how far the weights are
# from equal. Under equal weights a history of $n$ items has entropy $\ln n$; the ratio of the entropy of $\alpha$ to
# $\ln n$ is 1 for a filter that ignores the candidate, and falls towards 0 as it picks single items. Beside it stands
# how much of the weight goes to items of the candidate's own category, against the share of such items in the history.

# %%
category = np.r_[[""], dataset.items["categories"].to_numpy(dtype=object)]
found = []
for task in book.tasks:
    sample = dataset.batch("test", task, np.arange(min(200, len(dataset.rows["test"][task]))))
    sample = sample.with_candidates(sample.cand[:, :1])  # the positives
    items, by_view = model.filter_weights(sample)
    valid = (items != 0).numpy()
    same = (category[items] == category[sample.cand[:, :1]]) & valid & (valid.sum(1) > 1)[:, None]
    found += [(task, view, alpha[:, 0].numpy(), valid, same) for view, alpha in by_view.items()]

# %% [markdown]
# If the filter did nothing, the first column of numbers would be 1 and the last two would be equal.

# %% tags=["nbval-ignore-output"]
#| label: tbl:03-filter
#| caption: What the soft filter does with the histories of test rows, for the positive candidates; means.
rows = []
for task, view, alpha, valid, same in found:
    several = valid.sum(1) > 1
    entropy = -(alpha * np.log(np.maximum(alpha, 1e-12))).sum(1)[several] / np.log(
        valid.sum(1)[several]
    )
    share = same.sum() / valid[several].sum()
    rows.append((task, view, entropy.mean(), share, (alpha * same)[several].sum(1).mean()))
columns = [
    "task",
    "view",
    "entropy / ln n",
    "same category: share of items",
    "same category: share of weight",
]
filter_table = pd.DataFrame(rows, columns=columns).set_index(["task", "view"])
if not book.has("categories", part="weights within the candidate's own category"):
    filter_table = filter_table[["entropy / ln n"]]
tables.show(filter_table, "03_filter", book.figures)

# %% [markdown]
# The filter is soft indeed: 0.87 to 0.94 of the entropy of equal weights. It leans towards the
# candidate's own category, most of all in the CF view, where in recommendation 0.23 of the items get 0.32 of the
# weight; the semantic view picks a little harder, and less by category. The ceiling of the soft filter above is what a
# reader gains by going all the way: from a mean over all clicks to one over those of the candidate's own topic.

# %% [markdown]
# ## Two ranked lists
#
# The first test row of each task: the ten candidates that GenSR ranks highest, with P(Yes). The list is as it comes,
# good or bad; a star marks the item that was clicked.


# %%
def top_ten(task: str) -> pd.DataFrame:
    """The ten best candidates of the first test row of a task."""
    row = dataset.batch("test", task, np.array([0]))
    with torch.no_grad():
        p_yes = model.score(row)[0].sigmoid()
    best = p_yes.argsort(descending=True)[:10]
    items = row.cand[0, best].numpy()
    clicked = np.where(best == 0, "*", "")
    columns = {
        "item": np.array(dataset.item_title, dtype=object)[items],
        "category": category[items],
    }
    columns |= {"P(Yes)": p_yes[best].numpy(), "clicked": clicked}
    return pd.DataFrame(columns, index=pd.RangeIndex(1, 11, name="rank"))


# %% tags=["nbval-ignore-output"]
#| label: tbl:03-recommendation
#| caption: The ten candidates that GenSR ranks highest in the first recommendation row of the test part.
ten = top_ten("rec") if book.has("rec", part="a ranked list of recommendations") else None
tables.show(ten, "03_recommendation", book.figures)

# %% [markdown]
# And a search, with the query as the user typed it:

# %% tags=["nbval-ignore-output"]
#| label: tbl:03-search
#| caption: The ten candidates that GenSR ranks highest in the first search row of the test part.
ten = top_ten("src") if book.has("src", part="the ranked list of a search") else None
if ten is not None:
    print(f"query: {dataset.batch('test', 'src', np.array([0])).query_text[0]}")
tables.show(ten, "03_search", book.figures)

# %% [markdown]
# The search finds audio devices, as the query says, and puts the clicked earbuds first; among them
# are items without text, of which only the clicks can tell what they are. In recommendation skincare, suitcases and
# hiking gear lead, which is what the user clicks, and the clicked suitcase is not among the ten: a click is one draw
# from a broad law. The two lists come from the same weights: only the prompt, and the query in it, differ.
#
# What this chapter found goes on record, with its provenance:

# %% tags=["nbval-ignore-output"]
metrics = {name: r.evaluation.both for name, r in runs.items()}
found = {"metrics": metrics, "shares": shares}
if ceilings is not None:
    found["ceilings"] = ceilings["ceiling"].unstack("task").to_dict()
book.record("03_gensr", found).name

# %% [markdown]
# ## What this chapter found
#
# - A candidate sees its own summary of the user's history, made by attention over both behaviors (eq. 5 and 6).
# - The language model reads four soft tokens and a few words; the words name the task (eq. 7).
# - One decoder step and two logits give P(Yes), which ranks the candidates. The history is encoded once per user.
# - One model is above every untrained rule in both tasks. It has 0.73 and 0.69 of what the click law allows in
#   recommendation and search; a *reader* of the same input, who knows the law, has 0.70 and 0.74.
# - A perceptron in the language model's place does as well in recommendation and better in search.
# - The language model is what costs: as the paper has it, GenSR takes three to four times as long as UniSAR to train and 4 to
#   20 times as long to rank; where the words of the prompt are read without its slots (*one-way*), some 1.5 and 2 to 4 times.
# - In these data each mechanism of the paper could add .03 of NDCG@10 or more in one of the tasks (alignment just so), so an
#   ablation that finds nothing there means something.
# - These numbers cannot be compared with the paper's tables, which are for other data and a model of 255 million
#   parameters, about a thousand times as many.
#
# **Next:** [chapter 4](04_baselines.ipynb) builds twenty of the systems that the paper holds GenSR against.
