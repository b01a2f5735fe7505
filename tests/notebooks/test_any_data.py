"""Any data runs the book: every chapter in profile smoke, on six small folders of own tables.

The cells run in this process, one chapter after the other: a kernel for each would take minutes.
"""

from __future__ import annotations

import ast
from pathlib import Path

import jupytext
import pandas as pd
import pytest

from gensr_lib.experiments.needs import LEAST, LEAST_USERS
from gensr_lib.experiments.workspace import Workspace

from .folders import FOLDERS, SMALLEST, write_folder

CHAPTERS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("[0-9][0-9]_*.py"))
# Chapter 10 simulates its own data: the smoke book runs it, and no folder could change it.
TAKING_DATA = [path for path in CHAPTERS if path.stem != "10_theory"]

NO_SEARCHES = "no searches to test"
NO_RECOMMENDATIONS = "no recommendations to test"
NO_CATEGORIES = "no categories"
NO_TEXTS = "no titles or texts"
# What is said to be missing, and in how many chapters at least; nothing else may be.
LEFT_OUT = {
    "recommendations": {NO_SEARCHES: 6, NO_CATEGORIES: 4},
    "searches": {NO_RECOMMENDATIONS: 6},
    "no-categories": {NO_CATEGORIES: 4},
    "no-titles": {NO_CATEGORIES: 4, NO_TEXTS: 3},
    "random": {},
    "made-searches": {},
}


@pytest.fixture(scope="module", params=FOLDERS)
def folder(request, tmp_path_factory):
    """One of the folders, as the data of all chapters that are run; what they train stays."""
    home = tmp_path_factory.mktemp("home")
    data = write_folder(home / request.param, *FOLDERS[request.param])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENSR_HOME", str(home))
        patch.setenv("GENSR_DATASET", str(data))
        patch.setenv("GENSR_PROFILE", "smoke")
        yield data


def run_chapter(path: Path, **parameters: object) -> dict[str, object]:
    """Execute the cells; what a cell shows is made as a notebook would make it.

    Returns:
        The names that the chapter leaves behind.
    """
    names = {"__name__": "__main__"}
    for number, cell in enumerate(jupytext.read(path).cells, start=1):
        if cell.cell_type == "code":
            where = f"{path.stem}, cell {number}"
            body = ast.parse(cell.source).body
            shown = body.pop() if body and isinstance(body[-1], ast.Expr) else None
            exec(compile(ast.Module(body, []), where, "exec"), names)
            if shown:
                value = eval(compile(ast.Expression(shown.value), where, "eval"), names)
                getattr(value, "_repr_html_", value.__repr__)()
            if "parameters" in cell.metadata.get("tags", []):
                names |= parameters
    return names


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_chapter_runs_and_says_what_is_left_out(folder, capsys):
    said = {}
    for path in TAKING_DATA:
        run_chapter(path)
        lines = capsys.readouterr().out.splitlines()
        said[path.stem] = [line for line in lines if line.endswith("is left out.")]
    expected = LEFT_OUT[folder.name]
    for missing, chapters in expected.items():
        naming = [name for name, lines in said.items() if any(missing in line for line in lines)]
        assert len(naming) >= chapters, said
    for line in [line for lines in said.values() for line in lines]:
        assert any(missing in line for missing in expected), line
    recorded = {path.stem for path in folder.parent.glob("runs/*/smoke/chapters/*.json")}
    assert recorded == {path.stem for path in TAKING_DATA}


@pytest.mark.slow
def test_as_few_users_as_can_be_tested_are_enough_for_its_estimates(tmp_path, monkeypatch):
    """Chapter 6 wants the most rows of all; the others have run on these users by hand."""
    folder = write_folder(tmp_path / "few", *FOLDERS["random"], size=SMALLEST)
    for name, value in {"HOME": tmp_path, "DATASET": folder, "PROFILE": "smoke"}.items():
        monkeypatch.setenv(f"GENSR_{name}", str(value))
    names = run_chapter(next(path for path in CHAPTERS if path.stem == "06_mutual_information"))
    assert [len(rows) for rows in names["dataset"].rows["test"].values()] == [LEAST] * 2
    assert len(names["table"]) == 6 * 4  # readings by two systems and two tasks


@pytest.mark.slow
def test_a_behavior_of_few_users_is_read_and_not_tested(tmp_path, monkeypatch, capsys):
    """LightGCN trains on these recommendations, and chapter 11 asks it for no search."""
    folder = write_folder(tmp_path / "few", *FOLDERS["random"])
    log = pd.read_csv(folder / "interactions.csv")
    late = ~log["user_id"].isin(log["user_id"].unique()[: LEAST_USERS - 1]) & (log["behavior"] == "rec")
    log.loc[late, ["behavior", "query"]] = "src", "red mug"
    log.to_csv(folder / "interactions.csv", index=False)
    for name, value in {"HOME": tmp_path, "DATASET": folder, "PROFILE": "smoke"}.items():
        monkeypatch.setenv(f"GENSR_{name}", str(value))
    names = run_chapter(next(path for path in CHAPTERS if path.stem == "11_explore"))
    assert names["book"].tasks == ["src"] and "rec" in names["dataset"].rows["test"]
    assert set(names["shares"]) == {"gensr", "unisar", "popularity"} == {*names["systems"]} - {"lightgcn"}
    assert f"only {LEAST_USERS - 1} recommendations to test" in capsys.readouterr().out


# --- only what is there -----------------------------------------------------------------------


@pytest.fixture
def trains_nothing(tmp_path, monkeypatch) -> Workspace:
    """A workspace that may train what a test asks for, and nothing in a chapter."""
    # The fixture of a folder may still be open, with its data set in the environment.
    for name, value in {"HOME": tmp_path, "DATASET": "pocket", "PROFILE": "smoke"}.items():
        monkeypatch.setenv(f"GENSR_{name}", str(value))
    return Workspace("pocket", "smoke")


@pytest.mark.parametrize("there", [[], ["popularity"], ["qem"], ["popularity", "bm25", "din", "qem", "zam", "jsr"]])
def test_the_results_of_runs_that_are_there_train_nothing(trains_nothing, monkeypatch, capsys, there):
    for name in there:
        trains_nothing.fit(name)
    for place in ("experiments.workspace", "training.loop"):
        monkeypatch.setattr(f"gensr_lib.{place}.train", lambda *a, **k: pytest.fail("trained"))
    monkeypatch.setattr(Workspace, "_make", lambda *a: pytest.fail("trained"))
    path = next(path for path in CHAPTERS if path.stem == "05_results")
    names = run_chapter(path, MISSING="skip")
    assert list(names["everything"]) == [name for name in names["able"] if name in there]
    said = capsys.readouterr().out
    assert f"{len(there)} systems; not trained here: " in said and ", unisar, " in said
