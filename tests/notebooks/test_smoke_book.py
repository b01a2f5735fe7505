"""The real book: it runs in profile smoke; its committed notebooks are whole and in step."""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml

from gensr_lib.book import notebook_pages
from gensr_lib.book.run import WIDGET, chapters, run_book
from gensr_lib.show import listings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks"
CHAPTERS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
SOMEBODYS = [re.escape(str(ROOT)), re.escape(f"{Path.home()}/"), r"/(home|Users)/\w", r"/tmp/\w"]
MACHINE_PATHS = re.compile("|".join(SOMEBODYS))

# ---- the checks; each returns what is wrong ------------------------------------------------------


def read(path: Path) -> list:
    return nbformat.read(path, as_version=4).cells


def out_of_step(path: Path) -> list[str]:
    """Cells that differ from the .py twin: by content, since git does not keep times."""
    twin = path.with_suffix(".py")
    if not twin.exists():
        return ["has no .py twin"]
    ours, theirs = (
        [(cell.cell_type, cell.source.rstrip(), cell.metadata.get("tags", [])) for cell in cells]
        for cells in (read(path), jupytext.read(twin).cells)
    )
    if len(ours) != len(theirs):
        return [f"has {len(ours)} cells, its .py twin {len(theirs)}: make sync"]
    pairs = enumerate(zip(ours, theirs, strict=True), start=1)
    return [f"cell {number} differs from the .py twin: make sync" for number, (a, b) in pairs if a != b]


def not_executed(path: Path) -> list[str]:
    """Cells that were not run in order, errors, warnings, and a notebook without any output."""
    code = [cell for cell in read(path) if cell.cell_type == "code" and cell.source.strip()]
    outputs = [output for cell in code for output in cell.outputs]
    wrong = [] if outputs else ["has no outputs: make refresh"]
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        wrong.append("was not executed from top to bottom: make refresh")
    for output in outputs:
        if output.output_type == "error":
            wrong.append(f"shows the error {output.ename}")
        if output.get("name") == "stderr":
            wrong.append(f"shows on stderr: {output.text[:80]}")
    return wrong


def not_parametrised(path: Path) -> list[str]:
    """A parameters cell that is missing, lacks a name, or holds other than papermill's literals."""
    cells = [cell for cell in read(path) if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        return [f"has {len(cells)} cells tagged 'parameters'"]
    names, wrong = set(), []
    for statement in ast.parse(cells[0].source).body:
        try:
            (target,) = statement.targets
            ast.literal_eval(statement.value)
            names.add(target.id)
        except (AttributeError, ValueError):
            wrong.append(f"has more than literals: {ast.unparse(statement)}")
    missing = [name for name in ("DATASET", "PROFILE", "SEED") if name not in names]
    return wrong + [f"has no parameter {name}" for name in missing]


def machine_paths(path: Path) -> list[str]:
    """Absolute paths of somebody's machine in sources or outputs (pictures are base64)."""
    texts = []
    for cell in read(path):
        texts.append(cell.source)
        for output in cell.get("outputs", []):
            texts += [output.get("text", ""), *output.get("traceback", [])]
            data = output.get("data", {}).items()
            texts += [str(value) for kind, value in data if not kind.startswith("image/")]
    found = [match.group() for text in texts if (match := MACHINE_PATHS.search(text))]
    return [f"names a path of this machine: {name}" for name in found]


def lost_lines(path: Path) -> list[str]:
    """Lines of prose that a page does not show: MyST takes a line that begins with % for a comment."""
    prose = [cell.source for cell in read(path) if cell.cell_type == "markdown"]
    lines = [line for text in prose for line in text.splitlines() if line.startswith("%")]
    return [f"a page leaves out the line '{line}': break it elsewhere" for line in lines]


SAVED_BY = {"fig": "plots.save_figure", "tbl": "tables.show"}


def badly_labelled(path: Path) -> list[str]:
    """Labelled cells without a caption, or that do not save ``fig:NN-words`` as ``NN_words``."""
    code = [cell.source for cell in read(path) if cell.cell_type == "code"]
    wrong = [(source.splitlines()[:1], _wrong_label(source, path.stem[:2])) for source in code]
    return [f"{first}: {fault}" for first, fault in wrong if fault]


def _wrong_label(source: str, chapter: str) -> str:
    """What is wrong with the label of a cell, or ''; a table must also be what the cell shows."""
    lines = re.findall(r"^#\| (.*)$", source, re.MULTILINE)
    try:
        options = yaml.safe_load("\n".join(lines)) or {}
    except yaml.YAMLError:
        return "label and caption are no YAML; put the caption into quotes"
    if "label" not in options:
        return ""
    kind, _, words = options["label"].partition(":")
    if kind not in SAVED_BY or not words.startswith(f"{chapter}-"):
        return f"the label is neither fig:{chapter}-words nor tbl:{chapter}-words"
    if not options.get("caption"):
        return "has no caption"
    statements = ast.parse(source).body[-1 if kind == "tbl" else 0 :]
    names = [name for statement in statements for name in _names_given_to(SAVED_BY[kind], statement)]
    name = words.replace("-", "_")
    return "" if name in names else f"{SAVED_BY[kind]} does not save {name!r}"


def _names_given_to(function: str, tree: ast.AST) -> list[str]:
    """The literal second arguments of the calls of a function."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    second = [c.args[1] for c in calls if ast.unparse(c.func) == function and len(c.args) > 1]
    return [argument.value for argument in second if isinstance(argument, ast.Constant)]


def stale_listings(path: Path) -> list[str]:
    """Code of the library that is shown under a formula and is not what the library does now."""
    wrong = []
    for cell in read(path):
        if "listings.code(" not in cell.source:
            continue
        texts = [output.data["text/markdown"] for output in cell.outputs if "data" in output]
        places = re.findall(r"`(gensr_lib/[\w/]+)\.py: ([\w.]+)`", texts[0]) if texts else []
        now = listings.code(*(named(module, name) for module, name in places))._repr_markdown_()
        if not places or texts != [now]:
            wrong.append(f"{cell.source} does not show what the library does: make refresh")
    return wrong


def named(module: str, name: str):
    """What stands in a module under a name, such as ``GenSR.encode``."""
    found = importlib.import_module(module.replace("/", "."))
    for part in name.split("."):
        found = inspect.getattr_static(found, part)
    return found


CHECKS = [out_of_step, not_executed, not_parametrised, machine_paths, lost_lines, badly_labelled, stale_listings]

# ---- the checks notice what they are for -------------------------------------------------------


@pytest.fixture
def good(tmp_path, write_chapter) -> Path:
    """A chapter as it should be: executed, clean, and with its twin."""
    path = write_chapter(tmp_path / "01_good.ipynb", "print(SEED)")
    notebook = nbformat.read(path, as_version=4)
    for count, cell in enumerate(notebook.cells[1:], start=1):
        cell.execution_count = count
    notebook.cells[2].outputs = [nbformat.v4.new_output("stream", text="0\n")]
    nbformat.write(notebook, path)
    jupytext.write(notebook, path.with_suffix(".py"), fmt="py:percent")
    return path


def labelled(label: str, *lines: str, caption: str = "Rows."):
    """A change that gives the last cell a label, a caption and some code."""
    options = [f"#| label: {label}", *([f"#| caption: {caption}"] if caption else [])]
    return lambda cells: cells[2].update(source="\n".join([*options, *lines]))


def spoil(path: Path, change) -> Path:
    notebook = nbformat.read(path, as_version=4)
    change(notebook.cells)
    nbformat.write(notebook, path)
    return path


@pytest.mark.parametrize("check", CHECKS)
def test_a_good_chapter_passes(good, check):
    assert check(good) == []


SHOWN = 'tables.show(counts, "01_all_counts", book.figures)'
DRAWN = 'plots.save_figure(fig, "01_all_counts", book.figures)'


@pytest.mark.parametrize(
    "change",
    [
        labelled("tbl:01-all-counts", "counts = count()", SHOWN),
        labelled("tbl:01-all-counts", SHOWN, caption='"Rows: all."'),
        labelled("fig:01-all-counts", "fig = draw()", DRAWN, "fig"),
    ],
)
def test_a_well_labelled_cell_passes(good, change):
    assert badly_labelled(spoil(good, change)) == []
    (wrong,) = badly_labelled(good.rename(good.with_name("02_good.ipynb")))
    assert "neither" in wrong, "of another chapter"


def shown(text: str | None):
    """A change of a chapter's last cell: it shows a function of the library, as ``text``, or not."""
    place = "`gensr_lib/show/listings.py: code`"
    data = {"text/markdown": f"```python\n{text}\n```\n\n{place}"}
    outputs = [nbformat.v4.new_output("display_data", data=data)] if text else []
    return lambda cells: cells[2].update(source="listings.code(listings.code)", outputs=outputs)


def test_a_listing_of_today_passes(good):
    assert stale_listings(spoil(good, shown(listings.code(listings.code).text))) == []


STDERR = nbformat.v4.new_output("stream", name="stderr", text="UserWarning: no")
ERROR = nbformat.v4.new_output("error", ename="KeyError", evalue="x", traceback=[])


BAD = [
    (out_of_step, lambda cells: cells[0].update(source="# Other"), "cell 1 differs"),
    (out_of_step, lambda cells: cells[1].metadata.update(tags=[]), "cell 2 differs"),
    (out_of_step, lambda cells: cells.pop(), "2 cells, its .py twin 3"),
    (not_executed, lambda cells: cells[2].update(outputs=[]), "no outputs"),
    (not_executed, lambda cells: cells[2].update(execution_count=5), "top to bottom"),
    (not_executed, lambda cells: cells[1].update(execution_count=None), "top to bottom"),
    (not_executed, lambda cells: cells[2].update(outputs=[ERROR]), "KeyError"),
    (not_executed, lambda cells: cells[2].update(outputs=[STDERR]), "stderr"),
    (not_parametrised, lambda cells: cells[1].metadata.update(tags=[]), "0 cells tagged"),
    (not_parametrised, lambda cells: cells[1].update(source='SEED = int("0")'), "SEED = int"),
    (not_parametrised, lambda cells: cells[1].update(source="SEED = 0"), "parameter DATASET"),
    (lost_lines, lambda cells: cells[0].update(source="# One\n\nThe middle 95\n% of all"), "'% of all'"),
    (machine_paths, lambda cells: cells[2].update(source=f"open('{ROOT}/x')"), f"{ROOT}"),
    (machine_paths, lambda cells: cells[2].outputs[0].update(text="/home/ann/x"), "/home/a"),
    (badly_labelled, labelled("tbl:01-all-counts", SHOWN, caption=""), "no caption"),
    (badly_labelled, labelled("tbl:01-all-counts", SHOWN, caption="Rows: all."), "no YAML"),
    (badly_labelled, labelled("tbl:02-all-counts", SHOWN), "neither"),
    (badly_labelled, labelled("table:01-all-counts", SHOWN), "neither"),
    (badly_labelled, labelled("tbl:01-counts", SHOWN), "'01_counts'"),
    (badly_labelled, labelled("tbl:01-all-counts", SHOWN, "counts"), "tables.show does not"),
    (badly_labelled, labelled("tbl:01-all-counts", DRAWN), "tables.show does not"),
    (badly_labelled, labelled("fig:01-counts", DRAWN, "fig"), "plots.save_figure does not"),
    (stale_listings, shown("def path_of(): ..."), "does not show"),
    (stale_listings, shown(None), "does not show"),
    (badly_labelled, labelled("fig:01-all-counts", SHOWN), "plots.save_figure does not"),
]


@pytest.mark.parametrize(("check", "change", "words"), BAD)
def test_a_bad_chapter_is_noticed(good, check, change, words):
    assert any(words in problem for problem in check(spoil(good, change)))


def test_a_missing_twin_is_noticed(good):
    good.with_suffix(".py").unlink()
    assert out_of_step(good) == ["has no .py twin"]


# ---- the committed chapters --------------------------------------------------------------------


def test_there_are_chapters():
    """Without any, the parametrised tests below would pass by testing nothing."""
    assert chapters(FOLDER) == CHAPTERS
    numbers = [path.stem[:2] for path in CHAPTERS]
    assert len(set(numbers)) == len(numbers), "two chapters have one number"


def test_the_readme_lists_the_chapters_that_there_are():
    """In order, each with its title and link: no chapter is forgotten, none is promised."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(.+?)\]\(notebooks/(\w+)\.ipynb\)", readme, re.MULTILINE)
    titles = [read(path)[0].source.splitlines()[0].removeprefix("# ") for path in CHAPTERS]
    assert listed == list(zip(titles, [path.stem for path in CHAPTERS], strict=True))


def test_every_equation_of_the_papers_sections_4_and_5_is_displayed():
    cells = [cell for path in CHAPTERS for cell in read(path) if cell.cell_type == "markdown"]
    tags = [int(tag) for cell in cells for tag in re.findall(r"\\tag\{(\d+)\}\$\$", cell.source)]
    assert sorted(tags) == [*range(3, 15)], "each once, as printed"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_begins_with_what_follows_and_ends_with_what_it_found(path):
    """A page of the site moves the end to the beginning; it knows both by these words."""
    first, *_, last = read(path)
    assert notebook_pages.AHEAD in first.source
    assert last.source.startswith(f"{notebook_pages.FOUND}\n") and f"\n\n{notebook_pages.NEXT} " in last.source


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_committed_chapter(path, check):
    assert check(path) == []


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder for all that the chapters write: a test run changes nothing in the checkout."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("GENSR_HOME", str(home))
        yield home


@pytest.fixture(scope="module")
def executed(home) -> Path:
    """The folder with the book executed in profile smoke."""
    before = committed_files()
    parameters = {"DATASET": "pocket", "PROFILE": "smoke", "SEED": 0}
    run_book(FOLDER, parameters, home / "book", timeout=600)
    assert committed_files() == before, "a smoke run changed committed notebooks or figures"
    return home / "book"


def committed_files() -> dict[str, str]:
    files = [path for name in ("notebooks", "figures") for path in (ROOT / name).glob("*.*")]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files if p.is_file()}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_smoke_book_ran(executed):
    assert [p.name for p in chapters(executed)] == [p.name for p in CHAPTERS]
    assert (executed / "status.md").read_text().count("| ran |") == len(CHAPTERS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_each_chapter_of_the_smoke_book_has_figures_and_no_errors(executed, path):
    outputs = [o for cell in read(executed / path.name) for o in cell.get("outputs", [])]
    assert [output.ename for output in outputs if output.output_type == "error"] == []
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert any(kind.startswith("image/") for kind in kinds)
    assert WIDGET not in kinds


def nbval(path: Path, home: Path) -> subprocess.CompletedProcess:
    """Run a notebook by nbval in its own process, in profile smoke by way of the environment."""
    settings = home / "nbval.ini"  # an empty one: this project's pytest options are not nbval's
    settings.write_text("[pytest]\n")
    options = ["-q", "-c", str(settings), "-p", "no:cacheprovider", "-p", "no:xdist"]
    options += ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=600", str(path)]
    command = [sys.executable, "-m", "pytest", *options]
    ours = ("PYTEST", "MPLBACKEND")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    env |= {"GENSR_PROFILE": "smoke", "GENSR_HOME": str(home)}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=1500)


def checked_outputs(path: Path) -> dict[str, list[str]]:
    """By source, what the cells that nbval compares print and show, as text."""
    found = {}
    for cell in read(path):
        if "nbval-check-output" in cell.metadata.get("tags", []):
            texts = [o.get("text") or o.get("data", {}).get("text/plain") for o in cell.outputs]
            found[cell.source] = texts
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_what_no_profile_changes_is_as_committed(path, executed):
    """As nbval would compare it, without another run of the chapter."""
    assert checked_outputs(executed / path.name) == checked_outputs(path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nbval_runs_a_committed_chapter(home, executed):
    """One stands for all. After the smoke book, in its home: what that has trained is loaded."""
    done = nbval(FOLDER / "03_gensr.ipynb", home)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize(("profile", "passes"), [("smoke", True), ("x", False)])
def test_nbval_sees_the_profile_and_failing_cells(tmp_path, write_chapter, profile, passes):
    resolve = "import os\nPROFILE = os.environ.get('GENSR_PROFILE', PROFILE)"
    code = f"assert PROFILE == '{profile}'"
    done = nbval(write_chapter(tmp_path / "01_any.ipynb", resolve, code), tmp_path)
    assert (done.returncode == 0) == passes, done.stdout[-2000:]
