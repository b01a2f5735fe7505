"""The panel of a study: its data against the library, its tests against scipy, and what is missing is said."""

from __future__ import annotations

import json
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gensr_lib.book import study_data as panel
from gensr_lib.config.study import read_study
from gensr_lib.data.schema import BEHAVIORS
from gensr_lib.errors import ConfigError
from gensr_lib.experiments.significance import holm
from gensr_lib.experiments.studies.cells import cells_of
from gensr_lib.experiments.studies.effects import Without, effects, mean_effects
from gensr_lib.experiments.studies.evidence import Evidence
from gensr_lib.experiments.studies.stored import load_cells
from gensr_lib.show.modules import bundled
from gensr_lib.training.metrics import metric_columns
from tests.book.test_widgets import node

NAME = "sensitivity"
ASKED = f':::{{anywidget}} /{panel.PANEL}\n{{"study": "%s"}}\n:::\n'
ROUNDED = 10**-panel.DIGITS
WORLDS = [0, 1, 2, 3, 4]


@pytest.fixture(scope="module")
def evidence(root) -> Evidence:
    study = read_study(NAME)
    folder = root / "data/studies" / NAME
    return Evidence(study, folder, load_cells(cells_of(study), folder), is_stored=True)


@pytest.fixture(scope="module")
def data(root) -> dict:
    """What the page gets, through JSON as there."""
    return json.loads(json.dumps(panel.study_data(read_study(NAME), root)))


@pytest.fixture(scope="module")
def compared(root, data):
    """Function that gives the panel's rows for a list of (task, choice)."""

    def run(asked: list) -> list[pd.DataFrame]:
        code = f"const m = await import('{(root / panel.PANEL).as_uri()}');"
        code += "return given[1].map(([task, c]) => m.compared(given[0], task, { ...m.first(given[0]), ...c }));"
        return [pd.DataFrame(rows).set_index("name") for rows in node(code, data, asked)]

    return run


@pytest.fixture(scope="module")
def users(evidence) -> pd.DataFrame:
    """A user's mean in each metric, from the stored ranks: index task, seed, variant, user."""
    ranks = evidence.ranks
    plain = metric_columns(ranks["rank"].to_numpy())
    ranks = ranks.assign(**{name: plain[name] for name in ("R@5", "R@10", "N@5", "N@10")})
    return ranks.groupby(["task", "seed", "variant", "user"])[["R@5", "R@10", "N@5", "N@10", "expected N@10"]].mean()


# ---- the data ----------------------------------------------------------------------------------------


def test_the_data_are_the_differences_of_the_stored_means(data, evidence, users):
    study = evidence.study
    assert data["reference"] == "default" and data["worlds"] == WORLDS
    assert data["metrics"] == ["R@5", "R@10", "N@5", "N@10", "expected N@10"]
    table = evidence.table.set_index(["task", "metric", "variant", "seed"])["value"].sort_index()
    assert list(data["tasks"]) == list(BEHAVIORS)
    for task, of in data["tasks"].items():
        assert of["users"] == [len(users.loc[task, seed, "default"]) for seed in WORLDS]
        assert [arm["name"] for arm in of["arms"]] == [name for name in study.arms if name != "default"]
        for arm, metric in product(of["arms"], data["metrics"]):
            expected = table[task, metric, arm["name"]] - table[task, metric, "default"]
            found = [difference for difference, _ in arm["values"][metric]]
            np.testing.assert_allclose(found, expected[WORLDS], rtol=0, atol=5 * ROUNDED)
    assert len(json.dumps(data)) < 40_000, "small enough to stand in the page"


def test_an_arm_is_shown_in_the_tasks_that_it_serves(root):
    found = panel.study_data(read_study("comparison"), root)
    arms = {task: {arm["name"] for arm in of["arms"]} for task, of in found["tasks"].items()}
    cells = cells_of(read_study("comparison"))
    served = {task: set() for task in BEHAVIORS}
    for cell, stored in load_cells(cells, root / "data/studies/comparison"):
        for task in stored.ranks["task"].unique():
            served[task].add(cell.arm)
    assert {task: own | {found["reference"]} for task, own in arms.items()} == served
    assert arms["rec"] != arms["src"], "or this says nothing"


# ---- the tests ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["R@5", "expected N@10"])
def test_over_worlds_it_is_the_test_of_the_library(data, compared, evidence, metric):
    removed = [Without(arm["name"], arm["name"], "default") for arm in data["tasks"]["rec"]["arms"]]
    expected = mean_effects(effects(evidence.table, removed, metric)).loc["pocket"]
    asked = [(task, {"metric": metric, "correction": how}) for task in BEHAVIORS for how in ("none", "holm")]
    seen = []
    for (task, choice), found in zip(asked, compared(asked), strict=True):
        own = expected.xs(task, level="task").loc[found.index]
        np.testing.assert_allclose(found["difference"], -own["effect"], rtol=0, atol=5 * ROUNDED)
        np.testing.assert_allclose(found[["low", "high"]], -own[["high", "low"]], rtol=0, atol=20 * ROUNDED)
        p = own["p"] if choice["correction"] == "none" else own["p_holm"]
        np.testing.assert_allclose(found["p"], p, rtol=0.01, atol=0.002)
        assert (found["star"] == (p < 0.05)).all()
        seen.append(found["star"].sum() / len(found))
    assert 0 < max(seen) < 1, "some have a star and some have none"


@pytest.mark.parametrize(("test", "worlds"), [("users", [3]), ("pooled", [0, 2, 4]), ("pooled", WORLDS)])
def test_over_users_it_is_the_paired_t_test_of_scipy(compared, users, test, worlds):
    choice = {"test": test, "worlds": worlds, "world": worlds[0], "correction": "none"}
    asked = [(task, {**choice, "metric": metric}) for task in BEHAVIORS for metric in ("R@10", "N@10")]
    for (task, at), found in zip(asked, compared(asked), strict=True):
        values = users.loc[task, at["metric"]].loc[worlds].unstack("variant")
        assert len(values) > 900 * len(worlds)
        for arm, row in found.iterrows():
            expected = stats.ttest_rel(values[arm], values["default"])
            assert row["p"] == pytest.approx(expected.pvalue, rel=0.01, abs=1e-3)
            interval = expected.confidence_interval()
            np.testing.assert_allclose(row[["low", "high"]].astype(float), interval, rtol=0, atol=5 * ROUNDED)


def test_p_is_corrected_as_the_library_does(root):
    rng = np.random.default_rng(0)
    families = [rng.uniform(0, 0.1, n).tolist() for n in (1, 2, 11)] + [[0.02, 0.02, 1.0], [0.04, 0.01, 0.03]]
    code = "const m = await import(given[0]);"
    code += "return given[1].map((p) => ['none', 'bonferroni', 'holm'].map((how) => m.corrected(p, how)));"
    for p, (none, bonferroni, by_holm) in zip(
        families, node(code, (root / panel.PANEL).as_uri(), families), strict=True
    ):
        assert none == p
        np.testing.assert_allclose(bonferroni, np.minimum(1, len(p) * np.array(p)))
        np.testing.assert_allclose(by_holm, holm(p))


def test_edges_of_a_t_test(root):
    code = """const m = await import(given[0]);
    return [m.judged(m.ofUsers([0, 0], 9)), m.judged(m.ofUsers([0.5, 0], 9)), m.judged(m.ofWorlds([[0.5, 0.1]]))];"""
    same, certain, lone = node(code, (root / panel.PANEL).as_uri())
    assert same == {"difference": 0, "low": 0, "high": 0, "p": 1}
    assert certain == {"difference": 0.5, "low": 0.5, "high": 0.5, "p": 0}
    assert lone == {"difference": 0.5, "low": None, "high": None, "p": None}


# ---- what is drawn and said --------------------------------------------------------------------------

EVERYWHERE = """const m = await import(given[0]);
const data = given[1];
const found = [];
for (const metric of data.metrics)
  for (const test of ["worlds", "users", "pooled"])
    for (const correction of ["none", "bonferroni", "holm"])
      for (const worlds of [[], [3], [0, 4], data.worlds])
        for (const width of [326, 727])
          found.push([test, worlds.length, m.draw(data, { metric, test, correction, world: 2, worlds }, width)]);
return found;"""


def test_every_choice_is_drawn_and_said(root, data):
    for test, worlds, drawn in node(EVERYWHERE, (root / panel.PANEL).as_uri(), data):
        text = json.dumps(drawn)
        assert not any(word in text for word in ("NaN", "undefined", "Infinity", "null")), text
        if worlds == 0 and test != "users":
            assert drawn == {"figures": [], "says": "No world is chosen: choose one."}
            continue
        assert len(drawn["figures"]) == 2 and all(figure.startswith("<svg") for figure in drawn["figures"])
        assert ("common mistake" in drawn["says"]) == (test == "pooled")
        is_lone = test == "worlds" and worlds == 1
        assert ("needs two" in drawn["says"]) == is_lone and not (is_lone and "★" in text)


def test_what_the_page_says_to_try_comes_out_so(root, compared):
    """The numbers in the prose of book/studies.md."""
    one, pooled = {"test": "users"}, {"test": "pooled"}
    cases = [
        ("src", {**one, "world": 1}, 10, "world 1 gives 10 of 11 arms a star, world 0 only 4"),
        ("src", {**one, "world": 0}, 4, "world 0 only 4"),
        ("src", {}, 5, "5 stars in search, 2 in recommendation"),
        ("rec", {}, 2, "5 stars in search, 2 in recommendation"),
        ("src", pooled, 9, "makes it 9 stars in search"),
        ("rec", {"correction": "none"}, 5, "recommendation has 5 stars instead of 2"),
        ("src", {"worlds": [0, 1]}, 1, "worlds 0 and 1 leave one star, and 1 and 2 leave none"),
        ("src", {"worlds": [1, 2]}, 0, "worlds 0 and 1 leave one star, and 1 and 2 leave none"),
        ("rec", {"metric": "R@5"}, 0, "no star is left in recommendation, and 4 are in search"),
        ("src", {"metric": "R@5"}, 4, "no star is left in recommendation, and 4 are in search"),
    ]
    prose = " ".join((root / "book/studies.md").read_text(encoding="utf-8").split())
    for (*_, stars, says), found in zip(cases, compared([case[:2] for case in cases]), strict=True):
        assert found["star"].sum() == stars and says in prose, says
    others = [("rec", {"test": "users", "correction": "none", "world": world}) for world in (0, 2, 3, 4)]
    worlds = compared([("rec", {"test": "users", "correction": "bonferroni", "world": 1}), *others])
    assert [bool(found["star"]["tau=0.03"]) for found in worlds] == [True, False, False, False, False]
    assert worlds[0]["difference"]["tau=0.03"] > 0
    left = pd.concat(compared([(task, {}) for task in BEHAVIORS])).query("star")
    assert (left["difference"] < 0).all() and "tau=0.03" not in left.index


def test_the_module_stands_alone(root, tmp_path):
    (tmp_path / "renamed.mjs").write_text(bundled(root / panel.PANEL), encoding="utf-8")
    code = "return typeof (await import(given[0])).default.render;"
    assert node(code, (tmp_path / "renamed.mjs").as_uri()) == "function"


# ---- on the page -------------------------------------------------------------------------------------


@pytest.fixture
def partial(root, tmp_path) -> Path:
    """A project whose `sensitivity` lacks a cell."""
    folder = tmp_path / "data/studies" / NAME
    shutil.copytree(root / "data/studies" / NAME, folder)
    min(folder.glob("*.parquet")).unlink()
    (tmp_path / "page.md").write_text("# A page\n\n" + ASKED % NAME)
    return tmp_path


def body(text: str) -> dict:
    opening, line, closing = text.strip().splitlines()
    assert opening == f":::{{anywidget}} /{panel.PANEL}" and closing == ":::"
    return json.loads(line)


def test_a_page_gets_the_data_and_keeps_the_rest(root, data):
    before = f"# A\n\n:::{{anywidget}} /book/widgets/stars.mjs\n:::\n\n{ASKED % NAME}\nB\n"
    after = panel.with_studies(before, root)
    start, end = before.index(ASKED % NAME), -len("\nB\n")
    assert after[:start] == before[:start] and after[end:] == "\nB\n"
    assert body(after[start:end]) == {"study": NAME, **data}
    asked = ASKED.replace('"study": "%s"', f'"study": "{NAME}", "part": "pocket"')
    assert body(panel.with_studies(asked, root)) == {"study": NAME, "part": "pocket", **data}


def test_a_study_that_is_not_whole_is_said_by_the_page_and_by_the_gate(root, partial):
    said = "study 'sensitivity' is not whole: 59 of 60 trainings are stored; "
    said += "`gensr study run sensitivity` makes the others"
    assert body(panel.with_studies(ASKED % NAME, partial)) == {"missing": said}
    assert panel.study_faults(partial, [partial / "page.md"]) == [f"page.md: {said}"]
    code = """const el = {};
    (await import(given[0])).default.render({ model: { get: (name) => ({ missing: given[1] })[name] }, el });
    return el.innerHTML;"""
    shown = node(code, (root / panel.PANEL).as_uri(), said)
    assert said in shown and "no study to explore" in shown


def test_a_notebook_that_asks_for_a_panel_is_told(tmp_path):
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": [{"source": ASKED % NAME}]}))
    (found,) = panel.study_faults(tmp_path, [tmp_path / "a.ipynb"])
    assert found.startswith(f"a.ipynb: {panel.PANEL} is for pages in Markdown")
    before = (tmp_path / "a.ipynb").read_bytes()
    panel.give_studies(tmp_path / "a.ipynb", tmp_path)
    assert (tmp_path / "a.ipynb").read_bytes() == before


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"study": "sensitivty"}', "did you mean 'sensitivity'"),
        ('{"study": "sensitivity", "part": "poket"}', "did you mean 'pocket'"),
        ('{"study": "sensitivity", "arm": "x"}', "its body is"),
        ('["sensitivity"]', "its body is"),
        ("", "its body is"),
    ],
)
def test_a_wrong_body_is_told(root, tmp_path, line, says):
    text = f":::{{anywidget}} /{panel.PANEL}\n{line}\n:::\n"
    assert says in body(panel.with_studies(text, root))["missing"]


def test_a_damaged_cell_is_told(partial):
    damaged = min((partial / "data/studies" / NAME).glob("*.parquet"))
    damaged.write_bytes(b"no parquet")
    with pytest.raises(ConfigError, match=f"{damaged.name}.*damaged"):
        panel.study_data(read_study(NAME), partial)
