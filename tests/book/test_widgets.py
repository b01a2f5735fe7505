"""The arithmetic of the live equations, run by node and held against the library and scipy."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import nn

from gensr_lib.analysis import theory
from gensr_lib.errors import ConfigError
from gensr_lib.experiments.significance import crossed_test, detectable
from gensr_lib.models.layers import SoftFilter
from gensr_lib.models.losses import contrastive
from gensr_lib.show import live_equations, style
from gensr_lib.show.live_equations import directive, live
from gensr_lib.show.modules import bundled

NAMES = ("channel", "contrastive", "sharing", "soft_filter", "stars")
CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def node(code: str, *given: object) -> object:
    """What an asynchronous function body returns in node; ``given`` is there as `given`."""
    if not shutil.which("node"):
        pytest.skip("node is not installed: the live equations are JavaScript")
    script = f"const given = {json.dumps(given)};\n"
    script += f"const answer = await (async () => {{ {code} }})();\nconsole.log(JSON.stringify(answer));"
    command = ["node", "--input-type=module", "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=120, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def widgets(root) -> Path:
    return root / "book/widgets"


@pytest.fixture
def call(widgets):
    """Function that gives the values of a module's expression, one for each list of arguments."""

    def run(name: str, function: str, rows: list) -> np.ndarray:
        module = (widgets / f"{name}.mjs").as_uri()
        body = f"const m = await import('{module}'); return given[0].map((row) => ({function})(m, ...row));"
        return np.array(node(body, rows), dtype=float)

    return run


# ---- the five --------------------------------------------------------------------------------------


def test_soft_filter_is_that_of_the_model(call):
    history = torch.tensor([[[2.0, 0.0], [0.0, 2.0], [-2.0, 0.0]]], dtype=torch.float64)
    candidates = [list(pair) for pair in product((-40.0, -1.5, 0.0, 0.3, 1.5), repeat=2)]
    layer = SoftFilter(width=2, heads=1).double()
    layer.start_aligned()
    with torch.no_grad():
        filtered, alpha = layer(torch.tensor([candidates], dtype=torch.float64), history, torch.ones(1, 3, dtype=bool))
    found = call("soft_filter", "(m, c) => m.weights(c, m.HISTORY)", [[c] for c in candidates])
    np.testing.assert_allclose(found, alpha[0], **CLOSE)
    found = call("soft_filter", "(m, c) => m.filtered(m.weights(c, m.HISTORY), m.HISTORY)", [[c] for c in candidates])
    np.testing.assert_allclose(found, filtered[0], **CLOSE)
    turned = call("soft_filter", "(m, a, l) => m.vector(a, l)", [[0, 1.5], [90, 1.5]])
    np.testing.assert_allclose(turned, [[1.5, 0], [0, 1.5]], **CLOSE)  # the candidates of chapter 3


@pytest.fixture
def views() -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors of five users in two views."""
    draws = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cf, semantic = nn.functional.normalize(draws, dim=-1)
    return cf, semantic


@pytest.mark.parametrize("tau", [0.01, 0.07, 1.0])
def test_contrastive_has_the_loss_and_gradient_of_the_library(call, views, tau):
    """The derivatives by the cosines, taken on to the vectors by the chain rule, are torch's."""
    cf, semantic = views
    cosines = (cf @ semantic.T).numpy()
    rows = [
        [cosines[u, u], [*np.delete(cosines[u], u), *np.delete(cosines[:, u], u)], tau] for u in range(len(cosines))
    ]
    cf.requires_grad_()
    expected = contrastive(cf, semantic, torch.arange(5), tau)
    found = call("contrastive", "(m, ...row) => m.loss(...row)", rows)
    np.testing.assert_allclose(found.mean(), expected.item(), **CLOSE)
    by_cosine = np.zeros((5, 5))
    for u, parts in enumerate(call("contrastive", "(m, ...row) => m.gradient(...row)", rows) / 5):
        others = np.delete(np.arange(5), u)
        by_cosine[u, u] += parts[0]
        by_cosine[u, others] += parts[1:5]
        by_cosine[others, u] += parts[5:]
    (by_vector,) = torch.autograd.grad(expected, cf)
    across = semantic.numpy()[None] - cosines[..., None] * cf.detach().numpy()[:, None]  # (5, 5, 3)
    np.testing.assert_allclose((by_cosine[..., None] * across).sum(axis=1), by_vector, rtol=1e-8, atol=1e-8)


def test_contrastive_spreads_the_push_as_chapter_9_does(call):
    taus = [0.01, 0.03, 0.05, 0.07, 0.09]
    cosines = torch.tensor([0.9, 0.8, 0.5, 0.0], dtype=torch.float64)
    push = torch.stack([(cosines / tau).softmax(dim=0)[1:] for tau in taus])
    found = call("contrastive", "(m, tau) => m.spread(m.OTHERS, tau)", [[tau] for tau in taus])
    np.testing.assert_allclose(found, push / push.sum(dim=1, keepdim=True), **CLOSE)
    # The pull as it counts in eq. 8, by torch: three other users, each in both directions of eq. 10.
    own = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)
    logits = torch.cat([own[None], cosines[1:], cosines[1:]]) / 0.07
    (slope,) = torch.autograd.grad(-0.2 * logits.log_softmax(dim=0)[0], own)
    (force,) = call("contrastive", "(m, ...row) => m.force(...row)", [[0.9, [0.8, 0.5, 0], 0.07, 0.2]])
    np.testing.assert_allclose(force, -slope.item(), **CLOSE)


def test_channel_has_the_three_readings_of_the_library(call):
    cases = list(product((0, 30, 60, 90), (0.5, 1, 3), (0.5, 2.0, 4.0)))
    found = call(
        "channel",
        "(m, ...at) => { const r = m.readings(...at); return [r.a, r.b, r.c, r.sign, m.flips(at[0], at[2])]; }",
        cases,
    )
    for (angle, times, length), values in zip(cases, found, strict=True):
        classes = theory.world("gaussian", d=2, distance=length)
        turn = np.radians(angle)
        estimate = times * length * np.array([np.cos(turn), np.sin(turn)])
        a = theory.vector_information(estimate, np.eye(2))
        b = theory.score_information(estimate, classes.separator, np.eye(2))
        wrong = stats.norm.sf(np.cos(turn) * length / 2)
        sign = np.log(2) - stats.entropy([wrong, 1 - wrong])
        expected = [a, b, classes.information(estimate), sign, wrong]
        np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-9)
    coin = call("channel", "(m, share) => m.binaryInformation(share)", [[0], [0.1], [0.5]])
    np.testing.assert_allclose(coin, [np.log(2), np.log(2) - stats.entropy([0.1, 0.9]), 0], **CLOSE)


def test_sharing_has_the_boundary_and_the_information_of_the_library(call):
    cases = list(product((15, 50, 800), (2, 10), (0.1, 1.0, 2.0)))
    found = call("sharing", "(m, ...at) => m.boundary(...at)", cases)
    expected = [theory.sharing_boundary(n, d, 1.0, noise) for n, d, noise in cases]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    body = "(m, a, n, d, s) => [m.sharedMisses(a, n, d, s), m.separateMisses(n, d, s), m.crossingRows(a, d, s)]"
    rows = [[float(angle), *case] for case, angle in zip(cases, expected, strict=True)]
    shared, own, crossing = call("sharing", body, rows).T
    np.testing.assert_allclose(shared, own, **CLOSE)
    np.testing.assert_allclose(crossing, [n for n, _, _ in cases], rtol=1e-9)
    pair = theory.task_pair(90.0)
    for noise in (1.0, 2.0):  # with noise 1 these are chapter 10's .347 and .144 nats for each task
        fits = np.stack([pair[0], pair.mean(axis=0)])
        limit = theory.score_information(fits, pair[0], np.eye(10), noise)
        found = call("sharing", "(m, ...at) => m.information(...at)", [[0.0, noise], [0.5, noise]])
        np.testing.assert_allclose(found, limit, **CLOSE)
    np.testing.assert_array_equal(call("sharing", "(m, a) => m.crossingRows(a, 10, 1)", [[90], [120]]), [0, 0])


def test_sharing_foretells_the_simulation_of_chapter_10(call):
    w = theory.task_pair(30.0)
    gram, cross = theory.draw_tasks(400, 10, 400, seed=0)
    body = "(m) => [m.sharedMisses(30, 400, 10, 1), m.separateMisses(400, 10, 1)]"
    for pooling, missed in zip(("shared", "partitioned"), call("sharing", body, [[]])[0], strict=True):
        fit = theory.fit_tasks(pooling, w, gram, cross)
        cosine = (fit * w).sum(axis=-1) / np.linalg.norm(fit, axis=-1)
        assert missed == pytest.approx(1 - (cosine**2).mean(), rel=0.08)


def test_what_all_share_has_the_t_distributions_of_scipy(call):
    freedoms, noncentral = (0.97, 1, 2, 3.8, 30, 4999), (0, 0.5, 3.0, 12.0)
    cases = list(product(freedoms, noncentral, (0.2, 2.0, 9.0)))
    found = call("common", "(m, df, at, t) => m.tail(t, m.spreadLaw(df), at)", cases)
    expected = [1 - stats.nct.cdf(t, df, at) if at else stats.t.sf(t, df) for df, at, t in cases]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)
    cases = list(product(freedoms, (0.025, 0.05 / 2 / 16)))
    found = call("common", "(m, df, p) => m.critical(p, m.spreadLaw(df))", cases)
    np.testing.assert_allclose(found, [stats.t.isf(p, df) for df, p in cases], rtol=1e-7)


DESIGN = {"users": 40, "seeds": 3, "byUser": 0.25, "bySeed": 0.03, "rest": 0.2}
DESIGNS = [{}, {"seeds": 7, "users": 500}, {"bySeed": 0.0}, {"byUser": 0.0}, {"byUser": 0.0, "bySeed": 0.0}]


def exact_table(users: int, seeds: int, byUser: float, bySeed: float, rest: float) -> np.ndarray:
    """Differences, users by seeds, whose mean squares are just what these spreads make expect."""
    rng = np.random.default_rng(0)
    a, b, e = rng.standard_normal((users, 1)), rng.standard_normal((1, seeds)), rng.standard_normal((users, seeds))
    a, b = a - a.mean(), b - b.mean()
    e += e.mean() - e.mean(axis=0) - e.mean(axis=1, keepdims=True)
    a *= np.sqrt((rest**2 / seeds + byUser**2) * (users - 1) / (a**2).sum())
    b *= np.sqrt((rest**2 / users + bySeed**2) * (seeds - 1) / (b**2).sum())
    a, b = (1 - 1e-9) * a, (1 - 1e-9) * b  # rounding must not lift a spread of 0 above 0
    return a + b + e * rest * np.sqrt((users - 1) * (seeds - 1) / (e**2).sum())


@pytest.mark.parametrize("changes", DESIGNS)
def test_stars_has_the_power_of_the_tests_of_the_library(call, changes):
    design = DESIGN | changes
    found = call("stars", "(m, d) => [m.crossed(d), m.overWorlds(d)].flatMap(({ se, df }) => [se, df])", [[design]])
    se, df, *worlds = found[0]
    crossed = crossed_test(exact_table(**design))
    np.testing.assert_allclose([se, df], [crossed.se, crossed.df], rtol=1e-6)
    variance = design["bySeed"] ** 2 + (design["byUser"] ** 2 + design["rest"] ** 2) / design["users"]
    of_worlds = stats.zscore(np.arange(design["seeds"]), ddof=1) * np.sqrt(variance)
    expected = crossed_test(of_worlds[:, None])
    np.testing.assert_allclose(worlds, [expected.se, expected.df], rtol=1e-9)
    effect = detectable(pd.DataFrame({"se": [se], "df": [df]}), power=0.8, alpha=0.05 / 4)[0]
    assert call("stars", "(m, t, e) => m.power(t, e, 4)", [[{"se": se, "df": df}, effect]])[0] == pytest.approx(0.8)


def test_stars_foretells_the_false_alarms_of_chapter_8(call):
    """The simulation of that chapter's tiny example, with more tables."""
    design = {"users": 200, "seeds": 3, "byUser": 0.25, "bySeed": 0.03, "rest": 0.2}
    rng = np.random.default_rng(0)
    tables = 0.25 * rng.standard_normal((4000, 200, 1)) + 0.03 * rng.standard_normal((4000, 1, 3))
    tables += 0.2 * rng.standard_normal((4000, 200, 3))
    share = (crossed_test(tables.mean(axis=2, keepdims=True)).p < 0.05).mean()
    (found, honest, some) = call(
        "stars", "(m, d) => [m.falseAlarm(d), m.falseAlarm({ ...d, bySeed: 0 }), m.someAlarm(4)]", [[design]]
    )[0]
    assert found == pytest.approx(share, abs=0.02) and found > 0.1
    assert honest == pytest.approx(0.05) and some == pytest.approx(1 - 0.95**4)


# ---- what they draw and say ------------------------------------------------------------------------

EVERYWHERE = """
const { widget, controls, draw } = { ...await import(given[0]) };
const ends = controls.map(({ name, stops, min, max, value }) =>
  [...new Set([value, ...(stops ?? [min, max])])].map((v) => [name, v]));
const start = Object.fromEntries(controls.map(({ name, value }) => [name, value]));
const tried = [...ends.flat().map(([name, v]) => ({ ...start, [name]: v })),
  ...[0, 1].map((k) => Object.fromEntries(ends.map((of) => of.at(k - 1))))];
return tried.flatMap((values) => [326, 800].map((width) => [values, draw(values, width)]));
"""


@pytest.mark.parametrize("name", NAMES)
def test_every_slider_can_go_to_both_ends(widgets, name):
    drawn = node(EVERYWHERE, (widgets / f"{name}.mjs").as_uri())
    assert len(drawn) > 8
    for values, parts in drawn:
        text = json.dumps(parts)
        assert not any(word in text for word in ("NaN", "undefined", "Infinity", "null")), (values, text)
        assert parts["says"].strip() and all(figure.startswith("<svg") for figure in parts["figures"])


SAID = {
    "soft_filter": ("0.882, 0.106, 0.013", "(1.738, 0.211)"),  # chapter 3
    "contrastive": ("99 % of the push",),  # chapter 9: .9863 at τ = .07
    "channel": ("0.275", "0.111", "0.805"),  # chapter 10: turned 30° and 60°; half of ln 5
    "sharing": ("14.4 %", "15.3 %", "up to about 58 rows"),
    "stars": ("16 % of such", "26 % of the"),
}


@pytest.mark.parametrize("name", NAMES)
def test_it_starts_with_the_numbers_of_the_chapter(widgets, name):
    start = "const { controls, draw } = await import(given[0]);"
    start += "return draw(Object.fromEntries(controls.map(({ name, value }) => [name, value])), 640).says;"
    says = node(start, (widgets / f"{name}.mjs").as_uri())
    says = " ".join(says.split())
    assert all(number in says for number in SAID[name]), says


def test_what_all_share(widgets):
    body = """const m = await import(given[0]);
    const stops = [{ name: "tau", value: 1 }, { name: "beta", value: 2 }];
    return [[m.REC, m.SRC, m.GREEN, m.PINK], [m.number(-0.001), m.number(-1.5, 1)], m.ticks(0.45),
      m.nearest([1, 2, 5], 4), m.started(stops, (name) => ({ tau: 7, beta: "x" })[name]).map((c) => c.value),
      [-9, -6.5, -1.2, 0, 3, 8].map(m.normal)];"""
    colours, numbers, ticks, place, values, normal = node(body, (widgets / "common.mjs").as_uri())
    named = [re.fullmatch(r"var\((--gensr-[a-z]+), (#\w+)\)", colour).groups() for colour in colours]
    assert [colour for _, colour in named] == list(style.COLOURS[:4]), "of light pages"
    dark = re.search(r":root\.dark \{(.*?)\}", (widgets.parent / "style.css").read_text(), re.DOTALL)[1]
    assert all(f"{name}: #" in dark for name, _ in named), "and those of dark ones"
    assert numbers == ["0.00", "−1.5"] and ticks == [0, 0.1, 0.2, 0.3, 0.4]
    assert place == 2 and values == [7, 2], "what is no number is left out"
    np.testing.assert_allclose(normal, stats.norm.cdf([-9, -6.5, -1.2, 0, 3, 8]), rtol=0, atol=1e-11)


# ---- in a notebook and on a page -------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_module_stands_alone(widgets, tmp_path, name):
    """In any folder and under any name, as the builder of the site puts it."""
    alone = tmp_path / "renamed.mjs"
    alone.write_text(bundled(widgets / f"{name}.mjs"), encoding="utf-8")
    assert node("return typeof (await import(given[0])).default.render;", alone.as_uri()) == "function"
    assert alone.stat().st_size < 20_000, "a few kB each"


@pytest.mark.parametrize(
    "line",
    ['import { a } from "./other.mjs";', 'import { a } from "./common.mjs";', 'import "x";', 'export { a } from "x";'],
)
def test_what_a_page_could_not_load_is_refused(tmp_path, line):
    (tmp_path / "a.mjs").write_text(f"{line}\n")
    with pytest.raises(
        ConfigError,
        match=r"a\.mjs.* cannot be put into one file|common\.mjs: no such module|other\.mjs: no such module",
    ):
        bundled(tmp_path / "a.mjs")


def test_a_notebook_gets_the_module_and_the_values(widgets):
    shown = live("soft_filter", angle=90)
    page = shown._repr_html_()
    assert page == live("soft_filter", angle=90)._repr_html_(), "the same output in each run"
    assert page != live("soft_filter", angle=91)._repr_html_()
    assert 'values = {"angle": 90};' in page and page.count("<script") == page.count("</script>") == 1
    script = page.split("const source = ")[1].split(", values = ")[0]
    assert json.loads(script) == bundled(widgets / "soft_filter.mjs")


def test_no_text_of_a_module_ends_the_script_it_stands_in():
    text = 'const a = "</script><b>";'
    shown = live_equations._script(text)
    assert "<" not in shown and json.loads(shown) == text


def test_a_wrong_name_or_place_is_told(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'soft_filter'"):
        live("soft_filer")
    with pytest.raises(ConfigError, match="slider of the live equation 'stars' 'seed'; did you mean 'seeds'"):
        live("stars", seed=3)
    with pytest.raises(ConfigError, match="unknown live equation 'common'"):
        live("common")
    monkeypatch.setattr(live_equations, "FOLDER", "book/none")
    with pytest.raises(ConfigError, match="no book/none in"):
        live("stars")


@pytest.mark.parametrize(
    "code", ["%matplotlib inline", "live('stars', seeds=n)", "live(name)", "x = live('stars')", ""]
)
def test_only_a_plain_call_becomes_a_directive(code):
    assert directive(code) == ""
