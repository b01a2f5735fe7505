# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10. Theory: what Lemma 5.1 says, and what holds
#
# **Overview.** The paper argues by theory that the generative paradigm has more mutual information than the
# discriminative one (§5.2, Lemma 5.1, proof in the appendix). Does the proof hold, and what does it need? This chapter
# takes it step by step. Each step is first stated in the paper's terms. Then it is put into a model so small that the
# right answer is known, and simulated.
#
# **What follows**
#
# - eq. 14 with the weight squared, as a Gaussian channel needs it,
# - three meanings of "the information of an estimate", and which of them follows the error,
# - generative and discriminative estimates of one separator over $n$: where inequality (13) holds and where not,
# - when two tasks should share their weights and when not, with the boundary,
# - which term of the appendix' Taylor expansion carries the error.
#
# You need no other chapter. Nothing here judges GenSR's results: a model can be good for reasons other than those its
# proof gives.

# %%
import numpy as np
import pandas as pd
from sklearn.feature_selection import mutual_info_regression
from tqdm.auto import tqdm

from gensr_lib import Workspace
from gensr_lib.analysis import theory
from gensr_lib.show import listings, live, plots, tables

plots.use_style()

# %% tags=["parameters"]
DATASET = "pocket"  # only named in the record of this chapter
PROFILE = (
    "pocket"  # or "smoke" (does it run?: few repetitions); "paper" is the same as "pocket" here
)
SEED = 0  # of all simulations

# %%
book = Workspace.open(DATASET, PROFILE, SEED)
repetitions = 12 if book.is_smoke else 50
sizes = [20 * 2**k for k in range(5 if book.is_smoke else 9)]  # 20 ... 5120

# %% [markdown]
# ## What Lemma 5.1 claims
#
# Let $X \sim \mathcal N(\mu, \Sigma)$ and let the noise be Gaussian and independent. Lemma 5.1 says, for the generative
# parameters $\phi$ and the discriminative ones $\theta$, and for search $S$ and recommendation $R$,
#
# $$I_\theta(X; Y_S) + I_\theta(X; Y_R) \le I_\phi(X; Y_S) + I_\phi(X; Y_R). \tag{11}$$
#
# The proof has two halves. The first bounds the error of estimation: expand both losses around the true parameters,
# bound the remainders by the *separability* of the loss (Prasad et al., 2017), bound the inverse Hessians by the
# partition that prompts bring, and conclude
#
# $$\lVert \hat w_\phi - w_\phi^* \rVert \le \lVert \hat w_\theta - w_\theta^* \rVert. \tag{13}$$
#
# The second half turns error into information, by the Gaussian model $Y = w^* X + b^* + \epsilon$ and
#
# $$I(X; \hat Y) = \tfrac12 \ln\left(1 + \frac{w \sigma_X^2}{\sigma_\epsilon^2}\right). \tag{14}$$
#
# We start with the end, because eq. 14 is easy to check.

# %% [markdown]
# ## Eq. 14 by hand and by simulation
#
# For $Y = wX + b + \epsilon$ we have $\mathrm{Var}(Y) = w^2\sigma_X^2 + \sigma_\epsilon^2$, and the information is half
# the log of the ratio of $\mathrm{Var}(Y)$ to the variance of the noise. So the weight enters squared:
# $I(X; Y) = \frac12 \ln(1 + w^2 \sigma_X^2 / \sigma_\epsilon^2)$. With $w = 2$ and both deviations 1 this is
# $\frac12 \ln 5$; as printed it would be $\frac12 \ln 3$. Both, as they are used below:

# %% tags=["remove-input"]
listings.code(theory.channel_information, theory.printed_information)

# %% tags=["nbval-check-output"]
#| label: tbl:10-printed
#| caption: Information by eq. 14 over the weight w, as printed and with its square (nats).
weights = np.array([-2, -1, -0.5, 0, 0.5, 1, 2])
formulas = {
    "printed": theory.printed_information(weights),
    "squared": theory.channel_information(weights),
}
assert np.isclose(formulas["squared"][-1], np.log(5) / 2)
formulas = pd.DataFrame(formulas, index=pd.Index(weights, name="w"))
tables.show(formulas, "10_printed", book.figures)

# %% [markdown]
# The two agree at $w = 0$ and $w = 1$ and nowhere else. As printed, a negative weight gives negative information, and
# from $w = -1$ down the logarithm does not exist. Now samples decide. Two estimators know nothing of either formula:
# the sample correlation, as $-\frac12 \ln(1 - r^2)$, and scikit-learn's nearest-neighbour estimator.

# %%
grid = np.linspace(-3, 3, 13)
rng = np.random.default_rng(SEED)
x = rng.standard_normal(1000 if book.is_smoke else 4000)
found = {"correlation": [], "nearest neighbours": []}
for w in grid:
    y = w * x + rng.standard_normal(len(x))
    found["correlation"].append(-np.log1p(-(np.corrcoef(x, y)[0, 1] ** 2)) / 2)
    found["nearest neighbours"].append(mutual_info_regression(x[:, None], y, random_state=SEED)[0])

# %%
#| label: fig:10-channel
#| caption: Information of the channel Y = wX + noise over w, in nats. Lines are the two formulas, marks are estimates.
fine = np.linspace(-3, 3, 241)
formulas = {
    "squared": theory.channel_information(fine),
    "as printed": theory.printed_information(fine),
}
channel, (ax,) = plots.panels()
plots.lines(pd.DataFrame(formulas, index=fine), "weight w", "information (nats)", ax=ax)
for marker, (name, values) in zip("ox", found.items(), strict=True):
    ax.plot(grid, values, marker, color="#222222", fillstyle="none", label=name)
ax.set_ylim(-0.6, 1.3)
ax.legend()
plots.save_figure(channel, "10_channel", book.figures)
channel

# %% [markdown]
# The marks lie on the curve with $w^2$. The printed curve meets them at $w = 0$ and $w = 1$; on the left it leaves the
# picture and falls without bound towards $w = -\sigma_\epsilon^2 / \sigma_X^2$, here −1. We take this for a slip of the pen; the rest of this chapter uses $w^2$.

# %% tags=["nbval-ignore-output"]
#| label: tbl:10-formulas
#| caption: Largest distance of each estimate from the two formulas over the weights where a formula exists, in nats.
gap = {
    (name, formula): np.nanmax(np.abs(np.array(values) - law(grid)))
    for name, values in found.items()
    for formula, law in (
        ("squared", theory.channel_information),
        ("as printed", theory.printed_information),
    )
}
assert gap["correlation", "squared"] < 0.1 < 0.3 < gap["correlation", "as printed"]
distances = pd.Series(gap).unstack().rename_axis("estimate")
tables.show(distances, "10_formulas", book.figures)

# %% [markdown]
# ## What is the information of an estimate?
#
# Read literally, $I(X; Y_S)$ is a property of the world: no parameter occurs in it, and (11) would be an equality. The
# proof speaks of $\hat Y$, so the lemma must mean something that depends on the estimate $\hat w$. Three readings:
#
# - **(a)** eq. 14, squared, at $\hat w$: what $\hat w' X + \epsilon$ tells about $X$. It grows with the *size* of
#   $\hat w$.
# - **(b)** what the score $\hat w' X$ tells about the true $Y$: at most $I(X; Y)$, reached at $\hat w = w^*$. For
#   Gaussians it is $-\frac12 \ln(1 - r^2)$, where $r$ is the correlation of score and $Y$.
# - **(c)** the same for a $Y$ of two classes, as "Yes" and "No" are: $I(\hat w' X; Y) \le \ln 2$. With Gaussian classes
#   the score is Gaussian in each class, and one integral over a line gives the exact value.
#
# Readings (a) and (b) are a few lines each:

# %% tags=["remove-input"]
listings.code(theory.vector_information, theory.score_information)

# %% [markdown]
# Let $w^* = (2, 0)$, and let $\hat w$ be too long, too short or turned.

# %% tags=["nbval-check-output"]
#| label: tbl:10-readings
#| caption: "Estimates of one separator: their error, and their information by three readings (nats)."
classes = theory.world("gaussian", d=2, distance=2.0)
truth = classes.separator
turned = {
    f"turned {a}°": 2 * np.array([np.cos(np.radians(a)), np.sin(np.radians(a))]) for a in (30, 60)
}
estimates = {
    "w*": truth,
    "half of w*": truth / 2,
    "1.5 w*": 1.5 * truth,
    "3 w*": 3 * truth,
    **turned,
}
vectors = np.stack(list(estimates.values()))
readings = pd.DataFrame({"error": np.linalg.norm(vectors - truth, axis=1)}, index=list(estimates))
readings["(a) eq. 14"] = theory.vector_information(vectors, np.eye(2))
readings["(b) score, Gaussian Y"] = theory.score_information(vectors, truth, np.eye(2))
readings["(c) score, two classes"] = classes.information(vectors)
tables.show(readings, "10_readings", book.figures)

# %% [markdown]
# The same for two tasks whose estimates are turned and stretched (sliders need JavaScript):

# %% tags=["nbval-ignore-output"]
live("channel")

# %% [markdown]
# - (a) is no measure of success. $3 w^*$ has the largest error and the largest (a); turning $w^*$ costs nothing.
# - (b) and (c) see the direction only. With one feature, every $\hat w \ne 0$ is as good as the truth.
# - So "$\hat w \to w^*$ raises the information" holds from below for (a), and holds for (b) and (c) where the error is
#   an error of direction.

# %% [markdown]
# How often does a smaller error go with more information? Draw pairs of estimates around a $w^*$ in ten dimensions and
# count the pairs where the closer one has more.

# %% tags=["nbval-ignore-output"]
#| label: tbl:10-agree
#| caption: Pairs of estimates of which the one with the smaller error has more information, by three readings.
classes = theory.world("gaussian")
truth, pairs = classes.separator, 2000
offsets = rng.standard_normal((2, pairs, 10)) * rng.uniform(0.1, 0.8, (2, pairs, 1))
errors = np.linalg.norm(offsets, axis=-1)
information = {
    "(a) eq. 14": theory.vector_information(truth + offsets, np.eye(10)),
    "(b) score, Gaussian Y": theory.score_information(truth + offsets, truth, np.eye(10)),
    "(c) score, two classes": classes.information(truth + offsets),
}
agree = {name: ((i[0] > i[1]) == (errors[0] < errors[1])).mean() for name, i in information.items()}
assert (
    agree["(a) eq. 14"] < 0.4
    and min(agree["(b) score, Gaussian Y"], agree["(c) score, two classes"]) > 0.75
)
right = pd.Series(agree, name="share of pairs").rename_axis("reading")
tables.show(right, "10_agree", book.figures)

# %% [markdown]
# For (a) the order is mostly the wrong way round: noise makes an estimate longer, and (a) rewards length. For (b) and
# (c) the step from (13) to (11) is a good rule, not a law. From here on, "information" is (c) for classes and (b) for
# the linear tasks.

# %% [markdown]
# ## Two estimates of one separator
#
# Inequality (13) compares a generative and a discriminative estimate of the same thing. The classical pair is exact: if
# $X \mid Y{=}k \sim \mathcal N(\mu_k, \Sigma)$, then $\ln \frac{P(1 \mid x)}{P(0 \mid x)} = w^{*\prime} x + c$ with
# $w^* = \Sigma^{-1}(\mu_1 - \mu_0)$. The generative estimate models $P(x \mid y)$ and plugs in moments (LDA; naive
# Bayes if $\Sigma$ is taken to be diagonal). The discriminative one models $P(y \mid x)$ and minimises the log-loss
# (logistic regression): the first is a closed form, the second the zero of a gradient, found by Newton's method.

# %% tags=["remove-input"]
listings.code(theory.lda, theory.log_loss_derivatives)

# %% [markdown]
# First a single sample of 60 rows:

# %% tags=["nbval-ignore-output"]
#| label: tbl:10-single
#| caption: Weights of the four features, true and as five methods estimate them from one sample of 60 rows.
small = theory.world("gaussian", d=4)
x, y = small.draw(60, repetitions=1, seed=SEED)
single = {name: theory.estimate(name, x, y)[0][0] for name in theory.ESTIMATORS}
single = pd.DataFrame({"w*": small.separator, **single}, index=["w₁", "w₂", "w₃", "w₄"]).T
tables.show(single, "10_single", book.figures, digits=2)

# %% [markdown]
# All of them see the first two features, and each is off in its own way. Now many samples, over $n$, in the world for
# which LDA is right: ten features, classes a Mahalanobis distance of 2 apart. A sample that a plane separates has no
# maximum-likelihood estimate; its error counts as infinite. The *L2* variant has a fixed penalty ($C = 1$).

# %%
curves = {
    "gaussian": theory.estimation_curves(
        theory.world("gaussian"), sizes, repetitions=repetitions, seed=SEED
    )
}
shown = curves["gaussian"].query("estimator != 'naive Bayes'")
by_size = shown.groupby(["n", "estimator"])[["error", "information"]]
quantiles = by_size.quantile([0.1, 0.5, 0.9], interpolation="nearest")
low, middle, high = (
    quantiles.xs(q, level=2).unstack().replace(np.inf, np.nan) for q in (0.1, 0.5, 0.9)
)

# %%
#| label: fig:10-estimates
#| caption: Error and information of estimates of one separator over n; medians, and the middle 80 % of the samples.
labels = {"error": r"$\Vert\hat w - w^*\Vert$", "information": "information (nats)"}
estimation, axes = plots.panels(2)
for ax, (column, label) in zip(axes, labels.items(), strict=True):
    plots.bands(
        middle[column],
        low[column],
        high[column],
        "rows n",
        label,
        ax=ax,
        logx=True,
        legend=ax is axes[1],
    )
axes[0].set_yscale("log")
axes[1].axhline(classes.information(classes.separator), color="#777777", linestyle=":")
plots.save_figure(estimation, "10_estimates", book.figures)
estimation

# %% [markdown]
# The error: LDA lies below logistic regression for every $n$ where the latter exists, as (13) says, and both fall like
# $n^{-1/2}$. Logistic regression has no line at first, because most small samples are separable. The information: both approach
# that of $w^*$ (dotted). But look at the L2 line: a *discriminative* estimate with a penalty beats LDA in
# small samples, even in LDA's own world. So (13) depends on the estimates that are compared, not on the paradigm alone.
# The table gives the medians.

# %% tags=["nbval-ignore-output"]
#| label: tbl:10-estimates
#| caption: Error and information (nats), medians over samples; the last column is the share of separable samples.
medians = middle.copy()
medians["separable", "logistic"] = (
    curves["gaussian"].query("estimator == 'logistic'").groupby("n")["separable"].mean()
)
tables.show(medians, "10_estimates", book.figures)

# %% [markdown]
# For large $n$ the ratio is known. Efron (1975): the efficiency of logistic regression relative to LDA is
# $(4 + \Delta^2)\, E[p(1 - p)]$ for equal priors, many features and distance $\Delta$. The simulation takes the mean
# squared sine of the angle to $w^*$.

# %% tags=["nbval-ignore-output"]
#| label: tbl:10-efficiency
#| caption: Efficiency of logistic regression relative to LDA, by Efron's formula and in simulation.
n, rows = (600, []) if book.is_smoke else (4000, [])
for distance in tqdm((1.0, 2.0, 3.0, 4.0), leave=False, disable=None):
    law = theory.world("gaussian", distance=distance)
    table = theory.estimation_curves(
        law, [n], ("LDA", "logistic"), repetitions=2 * repetitions, seed=SEED
    )
    across = (np.sin(np.radians(table["angle"])) ** 2).groupby(table["estimator"]).mean()
    rows.append((distance, theory.efron_efficiency(distance), across["LDA"] / across["logistic"]))
efficiency = pd.DataFrame(rows, columns=["distance", "formula", "simulation"]).set_index("distance")
assert np.isclose(efficiency["formula"][2.0], 0.899, atol=6e-4)  # Efron's table
assert (efficiency["simulation"] / efficiency["formula"] - 1).abs().max() < 0.3
tables.show(efficiency, "10_efficiency", book.figures)

# %% [markdown]
# So where the generative model is right, the paper's direction of (13) is right, and known since 1975. The gain is
# small for classes that overlap and large for classes that are far apart.

# %% [markdown]
# ## When the generative model is wrong
#
# Four more worlds. In the first three the log-odds are *still exactly* $w^{*\prime} x + c$, so that there is one true
# separator to find; only the law of $x$ is not what LDA or naive Bayes believes.
#
# - `correlated`: Gaussian classes with correlated features. LDA is right, naive Bayes is not.
# - `heavy tails`: a tenth of the rows has four times the spread.
# - `clusters`: a fourth of the rows forms a second cluster.
# - `unequal spread`: class 1 is wider. No linear score is exact, so only the information can be compared.

# %%
for name in tqdm(theory.WORLDS[1:], leave=False, disable=None):
    curves[name] = theory.estimation_curves(
        theory.world(name), sizes, repetitions=repetitions, seed=SEED
    )
everything = pd.concat(curves, names=["world", "row"]).reset_index("world")
wide = everything.pivot(
    index=["world", "n", "repetition"], columns="estimator", values=["error", "information"]
)

# %% [markdown]
# A generative estimate converges to the separator of its own model, whatever the truth. That limit needs no simulation:
# put the true moments into $\Sigma^{-1}(\mu_1 - \mu_0)$.

# %% tags=["nbval-check-output"]
#| label: tbl:10-limits
#| caption: "Where generative estimates end with ever more rows: the error that stays, and the information (nats). A dash: no linear score is exact."
limits = {}
for name in theory.WORLDS:
    law = theory.world(name)
    for label, covariance in (("LDA", "full"), ("naive Bayes", "diagonal")):
        w = law.generative_limit(covariance)
        off = np.nan if law.separator is None else np.linalg.norm(w - law.separator)
        limits[name, label] = {
            "error that stays": float(off),
            "information": float(law.information(w)),
        }
limits = pd.DataFrame(limits).T.unstack()
tables.show(limits.loc[list(theory.WORLDS)], "10_limits", book.figures)

# %% [markdown]
# LDA keeps an error with heavy tails and with clusters, naive Bayes with correlated features too. With heavy tails the
# error is one of length alone: the information is unharmed in the limit.

# %% [markdown]
# Where does (13) hold? Here is the share of samples in which the generative error is at most the discriminative one.

# %% tags=["nbval-ignore-output"]
#| label: tbl:10-inequality-13
#| caption: Share of samples where the generative error is at most that of unpenalised logistic regression.
exact = wide.drop("unequal spread")["error"]
holds = {
    name: (exact[name] <= exact["logistic"]).groupby(["world", "n"]).mean()
    for name in ("LDA", "naive Bayes")
}
holds = pd.DataFrame(holds).unstack("n").stack(0)
assert (
    holds.loc["gaussian"].mean(axis=1).min() > 0.6
    and holds.loc[("heavy tails", "LDA"), sizes[-1]] < 0.4
)
by_estimate = holds.swaplevel().sort_index().rename_axis(["estimate", "world"])
tables.show(by_estimate, "10_inequality_13", book.figures, digits=2)

# %% [markdown]
# Read along a row. In the first columns nearly all shares are near 1, because logistic regression does not exist in
# small samples and its error counts as infinite. Then the rows part. Where the generative model is right (`gaussian`,
# and `correlated` for LDA) the share stays above one half. Where its error stays, the share falls to 0: for LDA with
# heavy tails, and for naive Bayes in all worlds but the Gaussian one. For LDA with clusters the error that stays is so small
# that the last $n$ shown is only on the way. So the sample size decides which side of (13) is larger.

# %% [markdown]
# And the information, as a gain over logistic regression:

# %%
#| label: fig:10-gain
#| caption: Mean information of the generative estimates minus that of unpenalised logistic regression, in nats, over n.
means = wide["information"].groupby(["world", "n"]).mean()
gain_figure, axes = plots.panels(2, height=3.4, sharey=True)
for ax, name in zip(axes, ("LDA", "naive Bayes"), strict=True):
    gain = (means[name] - means["logistic"]).unstack("world")[list(theory.WORLDS)]
    plots.lines(
        gain, "rows n", "gain in information (nats)", ax=ax, title=name, markers=True, legend=False
    )
    ax.axhline(0, color="#777777", linewidth=1)
    ax.set_yscale("symlog", linthresh=0.003)
    ax.set(
        xscale="log",
        yticks=[-0.1, -0.01, 0, 0.01, 0.1],
        yticklabels=["−0.1", "−0.01", "0", "0.01", "0.1"],
    )
plots.legend_below(gain_figure, axes)
plots.save_figure(gain_figure, "10_gain", book.figures)
gain_figure

# %% [markdown]
# Above zero the generative estimate carries more information. Naive Bayes leads at small $n$ in every world:
# it has few parameters, and being wrong costs little there. With correlated features, clusters and unequal spread its
# lines cross zero: there, more data help the discriminative estimate only. LDA with heavy tails is behind throughout,
# since its moments are at the mercy of few rows. And at $n = 20$ LDA does not lead even where its model is right: 18
# degrees of freedom are few for the covariance of ten features. Yet (13) "held" in all of these samples: on what can
# be separated logistic regression grows without end, so that its error is infinite though its direction is as good. (The vertical axis is linear within ±0.003.)

# %% [markdown]
# The last table asks for differences beyond chance. The gains are paired, sample by sample. **G** marks a mean gain of
# the generative estimate of more than two standard errors, **D** one of the discriminative estimate.

# %% tags=["nbval-ignore-output"]
#| label: tbl:10-crossing
#| caption: "Who carries more information at each n: G generative, D discriminative, a dot where neither does clearly."
leads = {}
for generative in ("LDA", "naive Bayes"):
    for discriminative in ("logistic", "logistic L2"):
        gain = (wide["information"][generative] - wide["information"][discriminative]).groupby(
            ["world", "n"]
        )
        clear = (gain.mean() / gain.sem()).unstack("n").loc[list(theory.WORLDS)]
        sign = np.sign(clear).where(clear.abs() > 2, 0)
        leads[f"{generative} against {discriminative}"] = sign.replace({1: "G", -1: "D", 0: "·"})
leads = pd.concat(leads, names=["estimates", "world"])
tables.show(leads, "10_crossing", book.figures)

# %% [markdown]
# Where a row goes from G to D, more data turn the order over. Against the penalised estimate LDA starts with D: the
# order of plain estimates in small samples is as much a matter of the penalty as of the paradigm.
#
# This is the finding of Ng and Jordan (2001): the generative estimate needs fewer rows to get near its limit, and the
# discriminative one has the better limit where the model of $x$ is wrong in what decides: naive Bayes where inputs correlate,
# cluster or spread unequally, LDA where they cluster or have heavy tails. LDA under unequal spread and naive Bayes under heavy
# tails are ahead up to 5,120 rows all the same.

# %% [markdown]
# ### "Generative" means two things
#
# In Prasad et al. (2017) and above, a generative model is one of $P(x \mid y)$: it says how the *inputs* arise, and
# $P(y \mid x)$ follows by Bayes' rule. GenSR generates the *answer*. Its loss is
#
# $$-\ln P_\Theta(\text{Yes} \mid \text{prompt}(x)) = -\ln \frac{e^{z_\text{Yes}}}{e^{z_\text{Yes}} + e^{z_\text{No}}}
# = -\ln \sigma(z_\text{Yes} - z_\text{No}),$$
#
# a conditional likelihood, that is the logistic loss of the score $z_\text{Yes} - z_\text{No}$. The paper's footnote 6
# says as much. No law of $x$ is modelled, so the separability results for generative models do not carry over to GenSR
# as such. In this section's terms both paradigms of the paper are discriminative.
#
# What *does* differ between them is how two tasks share parameters. That is the next section.

# %% [markdown]
# ## Two tasks: to share or to partition
#
# The lemma's other ground is the partition that prompts bring. Its smallest model has two linear tasks,
# $Y_t = w_t' X + \epsilon$ for $t \in \{S, R\}$, whose true weights have equal length and an angle $\theta$ between
# them. From $n$ rows per task, least squares fits either one *shared* $\hat w$, or a *partitioned* pair
# $\hat w_S, \hat w_R$, or a *partial* pooling: a pair that is drawn towards the shared weights, the more so the less
# the data tell them apart.
#
# With infinite data the shared weights are the mean of the two, $\theta/2$ away from each. By reading (b) this costs,
# for $\theta = 90°$ and unit length and noise: $\frac12 \ln 2 = 0.347$ nats per task become
# $-\frac12\ln(1 - \frac12 \cdot \frac12) = 0.144$.

# %% tags=["nbval-check-output"]
#| label: tbl:10-limit
#| caption: Information about both tasks together (nats) with ever more rows, tasks at a right angle.
apart = theory.task_pair(90.0)
mean_of_both = apart.mean(axis=0)
limit = {"partitioned": theory.score_information(apart, apart, np.eye(10)).sum(),
         "shared": theory.score_information(mean_of_both, apart, np.eye(10)).sum()}  # fmt: skip
assert np.isclose(limit["shared"], 2 * -np.log(1 - 1 / 4) / 2)
limit = pd.Series(limit, name="both tasks").rename_axis("weights")
tables.show(limit, "10_limit", book.figures)

# %% [markdown]
# So with enough data partition wins, for every $\theta > 0$. With few rows the shared weights have the smaller
# variance, because they see $2n$ rows. To first order in $1/n$ the two are equal where
#
# $$\begin{gathered} \sin^2(\theta/2) = \frac{q}{2(1 + q)}, \\ q = \frac{(d - 1)\,\sigma_\epsilon^2}{n \lVert w \rVert^2}. \end{gathered}$$

# %% tags=["remove-input"]
listings.code(theory.sharing_boundary, theory.fit_tasks)

# %% [markdown]
# Now the simulation: pairs of tasks at all angles, with more and more rows.

# %%
angles = np.arange(0, 121, 15 if book.is_smoke else 5)
task_sizes = [15, 20, 30, 50, 80, 130, 200, 320, 500, 800]
rows = []
for n in tqdm(task_sizes, leave=False, disable=None):
    gram, cross = theory.draw_tasks(n, 10, 4 * repetitions, seed=SEED)
    for angle in angles:
        w = theory.task_pair(angle)
        fits = {pooling: theory.fit_tasks(pooling, w, gram, cross) for pooling in theory.POOLINGS}
        both = {
            p: theory.score_information(fit, w, np.eye(10)).sum(axis=1).mean()
            for p, fit in fits.items()
        }
        rows.append({"n": n, "angle": angle, **both})
tasks = pd.DataFrame(rows).set_index(["n", "angle"])
difference = (tasks["partitioned"] - tasks["shared"]).unstack("angle")
simulated = [np.interp(0, difference.loc[n], difference.columns) for n in task_sizes]

# %%
#| label: fig:10-sharing
#| caption: "I_S + I_R of partitioned minus shared weights, in nats (d = 10, length and noise 1), and its boundary."
sharing, (ax,) = plots.panels(height=3.6)
image = ax.pcolormesh(
    difference.columns, difference.index, difference, cmap="PuOr", vmin=-0.55, vmax=0.55
)
fine = np.geomspace(task_sizes[0], task_sizes[-1], 200)
ax.plot(theory.sharing_boundary(fine), fine, color="#222222", label="boundary, to first order")
ax.plot(simulated, task_sizes, "o", color="#222222", fillstyle="none", label="boundary, simulated")
ax.set(
    yscale="log",
    xlabel="angle between the tasks (degrees)",
    ylabel="rows per task n",
    xlim=(0, 120),
)
ax.set_yticks(task_sizes, task_sizes)
ax.minorticks_off()
plots.legend_below(sharing, [ax])
sharing.colorbar(image, ax=ax, label="partitioned minus shared (nats)")
plots.save_figure(sharing, "10_sharing", book.figures)
sharing

# %% [markdown]
# Orange: sharing carries more information. Purple: partition does. The line is the closed form, with nothing fitted.
# Partition wins for large angles or many rows; sharing wins for tasks that are alike, when rows are few. Circles are
# the boundary in the simulation. The formula is for large $n$; with hardly more rows than features it is too low.

# %% [markdown]
# Where would your tasks lie? The same closed form, with its two errors (sliders need JavaScript):

# %% tags=["nbval-ignore-output"]
live("sharing")

# %% tags=["nbval-ignore-output"]
#| label: tbl:10-boundary
#| caption: The angle (degrees) above which partition has more information, in simulation (interpolated) and by formula.
boundary = pd.DataFrame(
    {"simulation": simulated, "formula": theory.sharing_boundary(task_sizes)}, index=task_sizes
)
assert (boundary["simulation"] - boundary["formula"]).abs().loc[50:].max() < 6
tables.show(boundary.rename_axis("n").T, "10_boundary", book.figures, digits=1)

# %% [markdown]
# Partial pooling is the third way. Below is the loss of each estimate against the best of the three, for some angles.

# %% tags=["nbval-ignore-output"]
#| label: tbl:10-pooling
#| caption: I_S + I_R lost against the best of the three, in nats; rows are n, columns the angle and the estimate.
lost = tasks.rsub(tasks.max(axis=1), axis=0)
assert lost["partial"].max() < min(lost["shared"].max(), lost["partitioned"].max()) / 1.5
some = (
    lost.unstack("angle").swaplevel(axis=1).loc[[20, 50, 200, 800], [0, 30, 90]].sort_index(axis=1)
)
tables.show(some, "10_pooling", book.figures)

# %% [markdown]
# Partial pooling loses .05 at most here (20 rows, 90 degrees), where the wrong one of the other two loses up to .4, and it
# needs no decision beforehand. So (11) for two tasks is a matter of bias
# against variance: which side is larger depends on the angle, the noise and $n$. Also note that the paper's
# discriminative baselines are not the *shared* estimate: a shared encoder with a head per task is a partial pooling,
# and so is one language model with two prompts.

# %% [markdown]
# ### Gradients at the shared optimum
#
# At the optimum of $L_S + L_R$ the sum of the two gradients is zero. So they are opposite: their cosine is $-1$ for any
# two tasks, however alike. A conflict of gradients *at* the optimum says nothing about the tasks; only the conflict on the
# way does.

# %% tags=["nbval-ignore-output"]
#| label: tbl:10-opposite
#| caption: "Gradients of two tasks at the optimum of their sum: cosine, and length of each, by the angle between the tasks (degrees)."
gram, cross = theory.draw_tasks(100, 10, 1, seed=SEED)
conflict = {}
for angle in (0, 10, 90):
    w = theory.task_pair(angle)
    fit = theory.fit_tasks("shared", w, gram, cross)
    search, recommendation = ((gram @ (fit - w)[..., None])[..., 0] - cross)[0]
    lengths = np.linalg.norm(search), np.linalg.norm(recommendation)
    conflict[angle] = {"cosine": search @ recommendation / np.prod(lengths), "length": lengths[0]}
    assert np.isclose(conflict[angle]["cosine"], -1)
tables.show(pd.DataFrame(conflict).T.rename_axis("angle"), "10_opposite", book.figures)

# %% [markdown]
# ### The inequality of the Hessians
#
# The proof assumes that a partition makes the Hessian block-diagonal and its inverse smaller. Two readings
# differ. *Deleting* the off-diagonal blocks of a given Hessian never makes its inverse larger (eigenvalues interlace).
# But *splitting* shared parameters into two sets halves the data behind each: the shared Hessian is $H_S + H_R$, the
# split one has the blocks $H_S$ and $H_R$, and its inverse is never smaller.

# %% tags=["nbval-ignore-output"]
#| label: tbl:10-inverses
#| caption: "Norm of the inverse of two Hessians, taken as one and with the blocks of the two tasks alone."
factor = np.random.default_rng(SEED).standard_normal((60, 20))
coupled = factor.T @ factor  # (20, 20): two sets of 10 parameters that interact
deleted = coupled * np.kron(np.eye(2), np.ones((10, 10)))
inverses = {
    "a given Hessian": (coupled, deleted),
    "two tasks": (
        gram[0].sum(axis=0),
        np.kron(np.diag([1, 0]), gram[0, 0]) + np.kron(np.diag([0, 1]), gram[0, 1]),
    ),
}
norms = {
    name: [np.linalg.norm(np.linalg.inv(h), 2) for h in pair] for name, pair in inverses.items()
}
assert (
    norms["a given Hessian"][0] > norms["a given Hessian"][1]
    and norms["two tasks"][0] < norms["two tasks"][1]
)
inverted = pd.DataFrame(norms, index=["as one", "in blocks"]).T.rename_axis("Hessian")
tables.show(inverted, "10_inverses", book.figures, digits=4)

# %% [markdown]
# In the second row the partition has the *larger* inverse: this is its variance, seen from the proof. And in GenSR
# neither row applies as it stands: all weights serve both tasks, and the prompt is a part of the input, so the Hessian
# of its weights has no blocks by construction.
#
# ## The Taylor step
#
# The appendix expands the gradient of the loss around the truth, $\nabla L_n(w^*) + H\Delta + R(\Delta) = 0$, and goes
# on with $\Delta \approx -H^{-1} R(\Delta)$. The first term is gone. But $\nabla L_n(w^*)$ is not zero: it is the mean
# of $n$ independent terms with mean zero, of the order $n^{-1/2}$, while $R$ is of the order $\lVert \Delta \rVert^2$,
# that is $n^{-1}$. Here are all three, for logistic regression with five features.

# %%
law = theory.world("gaussian", d=5)
taylor_sizes = [200 * 2**k for k in range(3 if book.is_smoke else 6)]
terms = {}
for n in tqdm(taylor_sizes, leave=False, disable=None):
    x, y = law.draw(n, 2 * repetitions, seed=SEED)
    terms[n] = theory.taylor_terms(x, y, np.append(law.separator, 0.0)).median()
terms = pd.DataFrame(terms).T
slopes = {name: np.polyfit(np.log(terms.index), np.log(terms[name]), 1)[0] for name in terms}

# %%
#| label: fig:10-taylor
#| caption: The terms of the expansion over n, medians over samples, both axes logarithmic.
names = {"error": "whole error", "gradient": "gradient term", "remainder": "remainder"}
taylor = plots.lines(terms.rename(columns=names), "rows n", "length, in units of w", markers=True)
taylor.axes[0].set(xscale="log", yscale="log")
taylor.axes[0].set_xticks(taylor_sizes, taylor_sizes)
taylor.axes[0].minorticks_off()
plots.save_figure(taylor, "10_taylor", book.figures)
taylor

# %% [markdown]
# The line of the gradient term lies on that of the whole error, and the remainder falls away from both. The fitted
# slopes say the orders.

# %% tags=["nbval-ignore-output"]
#| label: tbl:10-slopes
#| caption: Fitted slopes of the terms over n, on logarithmic axes, and each term's share of the error at the largest n.
assert abs(slopes["gradient"] + 0.5) < 0.15 and abs(slopes["remainder"] + 1) < 0.3
assert terms["remainder"].iloc[-1] < terms["gradient"].iloc[-1] / 3
share = terms.iloc[-1] / terms["error"].iloc[-1]
slopes_table = pd.DataFrame({"slope": slopes, "share of the error": share}).rename_axis("term")
tables.show(slopes_table, "10_slopes", book.figures)

# %% [markdown]
# So bounds on $R$, such as separability gives, order the small term. To order the errors one needs the large one,
# $\lVert H^{-1} \nabla L_n(w^*) \rVert$, which depends on the curvature and on the variance of the gradient; Efron's
# efficiency comes from just that. Two smaller gaps: a smaller upper bound does not make the bounded quantity smaller,
# and $\lVert H^{-1} \rVert \lVert R \rVert$ is at least $\lVert H^{-1} R \rVert$, not about it.

# %% [markdown]
# ## What the lemma needs
#
# | the proof needs | here | for GenSR |
# | --- | --- | --- |
# | information that depends on the estimate | readings (b), (c); not (a) | MINE (chapter 6) is another reading |
# | eq. 14 with $w^2$ | confirmed by two estimators | – |
# | information that grows as the error falls | a good rule for (b), (c); reversed for (a) | not known |
# | the right model of $P(x \mid y)$ | then (13) mostly holds (Efron) | it models $P(y \mid x)$, as its baselines do |
# | estimates that converge to the truth | fails for naive Bayes or LDA in three worlds of five | not known |
# | an error ruled by the remainder | it is ruled by the gradient term | the same expansion |
# | a smaller inverse Hessian by partition | true for deleted blocks, reversed for split weights | assumed |
# | the same Gaussian noise, known, in both paradigms | given in the simulation | the answers are "Yes" and "No" |
#
# What survives is worth having. Where its model of the inputs is right and rows are not too few, a generative
# estimate *is* better than plain logistic regression; a crude one such as naive Bayes is better in small samples even
# where it is wrong. And where two tasks differ enough for their data, giving each its own parameters *does* carry more
# information. Both are statements of bias and variance with a boundary, not inequalities that always hold. Whether
# GenSR is on the good side of it is a question for experiments: [chapter 8](08_ablations.ipynb) turns the angle between the tasks,
# [chapter 6](06_mutual_information.ipynb) and [chapter 7](07_parameter_space.ipynb) look at what the trained models know.
#
# What this chapter found goes on record, with its provenance:

# %% tags=["nbval-ignore-output"]
results = {
    "agreement_of_error_and_information": agree,
    "share_of_samples_where_13_holds": {
        " ".join(key): row.to_dict() for key, row in holds.iterrows()
    },
    "who_carries_more_information": {", ".join(key): "".join(row) for key, row in leads.iterrows()},
    "efficiency": efficiency.reset_index().to_dict("list"),
    "boundary_degrees": boundary["simulation"].to_dict(),
    "taylor_slopes": slopes,
}
book.record("10_theory", results).name

# %% [markdown]
# ## What this chapter found
#
# - Eq. 14, the information of a channel, needs $w^2$; as printed it is right only at $w = 0$ and $w = 1$.
# - Eq. 14 at an estimate grows with its length, not with its closeness to the truth; what its score tells of the true $Y$
#   mostly does.
# - The generative estimate errs less (13) where its model of the inputs is right; where that is wrong, in small samples only. A
#   penalised discriminative one can beat it anyway.
# - Two tasks gain from weights of their own beyond an angle that shrinks like $n^{-1/2}$, below it from shared ones; partial
#   pooling is within .05 nats of the better one.
# - The proof's Taylor step drops its largest term.
# - GenSR is "generative" in the sense that it generates its answer. Its loss is a conditional likelihood.
#
# **Next:** [chapter 11](11_explore.ipynb) puts your own questions to the trained systems. To go on here, change the worlds:
# `theory.TwoClasses` takes any mixtures of Gaussians, and `theory.logistic_law` makes worlds with an exact separator.
