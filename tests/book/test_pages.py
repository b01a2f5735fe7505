"""The pages beside the chapters: their examples run."""

from __future__ import annotations

import ast
import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gensr_lib.book.cli import main
from gensr_lib.config import DefaultWorld, PocketConfig
from gensr_lib.errors import ConfigError
from gensr_lib.experiments.needs import NEEDS
from gensr_lib.experiments.spec import load_profile, resolve

GAP = "…"


def blocks(page: Path, language: str = "python") -> list[str]:
    """The code blocks of a page in one language."""
    code = rf"^```{language}\n(.*?)^```$"
    return re.findall(code, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_page_of_differences_has_the_values_of_the_profile(root):
    """They are written by hand, and the profile's change."""
    page = (root / "paper_versus_code.md").read_text(encoding="utf-8")
    profile = load_profile("pocket")
    (ours, training), (theirs, others) = (resolve(profile, model) for model in ("gensr", "unisar"))
    given = profile.data
    expected = {
        "history": (f"the last {ours.history} clicks", f"the last {given.history_rec} recommendation clicks and the "
                    f"last {given.history_src} searches"),
        "negatives beside a positive": (training.negatives, others.negatives),
        "epochs at most": (training.epochs, others.epochs),
        "weight of search rows": (f"{training.search_weight:g}", f"{others.search_weight:g}"),
        "dropout": (f"{ours.dropout:g}", f"{theirs.dropout:g}"),
    }  # fmt: skip
    for row, values in expected.items():
        (cells,) = re.findall(rf"^\| {row} \(`pocket`\) \| (.*) \| (.*) \|$", page, re.MULTILINE)
        assert all(re.match(rf"{value}\b", cell) for value, cell in zip(values, cells, strict=True)), row


def run_examples(page: Path, least: int) -> None:
    """Run the Python examples of a page, of which there are ``least`` or more."""
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(verbose=False, optionflags=flags)
    text = "\n".join(blocks(page))
    example = doctest.DocTestParser().get_doctest(text, {}, page.name, None, 0)
    printed: list[str] = []
    result = runner.run(example, out=printed.append)
    assert result.failed == 0 and result.attempted >= least, "".join(printed)


# ---- Bring your own data -----------------------------------------------------------------------

OWN = "book/your_own_data.md"


@pytest.fixture
def shop(root, tmp_path, monkeypatch) -> Path:
    """A project of its own, with the chapters of this one and the shop that *Bring your own data* makes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    (tmp_path / "notebooks").symlink_to(root / "notebooks")
    run_examples(root / OWN, least=22)
    return tmp_path


def commands(root: Path, words: str) -> list[list[str]]:
    """The commands of the page that begin with some words, as a shell splits them."""
    lines = "\n".join(blocks(root / OWN, "bash")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith(words)]


def test_your_data_says_what_happens_and_its_commands_map_the_columns(root, shop, capsys):
    """The fixture has compared what the page prints; its shop is left whole."""
    assert (shop / "my-shop/products.csv").read_text().startswith("sku,name")
    mapping = shop / "my-shop/columns.yaml"
    said = yaml.safe_load(blocks(root / OWN, "yaml")[0])
    assert yaml.safe_load(mapping.read_text()) == said
    mapping.unlink()
    checks = commands(root, "gensr data check")
    assert [main(check[1:]) for check in checks] == [2, 2, 2, 0]
    printed = capsys.readouterr().out
    assert yaml.safe_load(mapping.read_text()) == said and printed.count("my-shop: can be used") == 1
    options = checks[3][checks[3].index("--values") + 1 :]
    assert all(f" {option}" in printed for option in options[:2]), "the check itself has proposed them"


def test_the_parts_that_need_something_are_those_of_the_chapters(root):
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \|$", (root / OWN).read_text(encoding="utf-8"), re.MULTILINE)
    asked = []
    for path in sorted((root / "notebooks").glob("[0-9][0-9]_*.py")):
        for arguments, part in re.findall(r'book\.has\(([^)]*?), part="(.+?)"\)', path.read_text(encoding="utf-8")):
            names = [NEEDS[need] for need in re.findall(r'"(\w+)"', arguments)]
            asked.append((str(int(path.stem[:2])), part, ", ".join(names)))
    assert len(asked) > 12 and rows == asked


@pytest.mark.slow
def test_your_data_runs_as_its_commands_say(root, shop, capsys):
    """The first chapter in both profiles; `make` itself says what its targets run."""
    makes = commands(root, "make book")
    assert len(makes) == 2
    for command in makes:
        make = [*command, "-n", "-o", ".venv/.installed"]
        # Not as a part of the make that may have started the tests: it would print its folders.
        alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        alone.pop("MFLAGS", None)
        done = subprocess.run(make, cwd=root, env=alone, capture_output=True, text=True, check=True)
        _, *module, command = shlex.split(done.stdout)[:4]
        assert (module, command) == (["-m", "gensr_lib"], "book")
        arguments = shlex.split(done.stdout)[3:]
        assert main([*arguments, "--only", "01_data"]) == 0, capsys.readouterr().err
    assert len(list(shop.glob("runs/book/my-shop/*/01_data.ipynb"))) == 2


# ---- The pocket world --------------------------------------------------------------------------


def test_the_examples_of_the_pocket_world_run(root):
    run_examples(root / "book/pocket_world.md", least=10)


def test_the_strengths_on_the_page_are_those_of_the_two_worlds(root):
    """Each dial with its range and value, each strength with both values; none is left out."""
    page = (root / "book/pocket_world.md").read_text(encoding="utf-8")
    plain = PocketConfig()
    default = DefaultWorld()
    dials = re.findall(r"^\| `(\w+)`[^|]*\| 0 to (\S+) \| (\S+) \|", page, re.MULTILINE)
    assert len(dials) == 6
    for name, most, value in dials:
        assert getattr(plain, name) == 0 and getattr(default, name) == float(value)
        assert getattr(default.replace(**{name: float(most)}), name) == float(most)
        with pytest.raises(ConfigError, match=name):
            default.replace(**{name: 1.01 * float(most)})
    listed = re.findall(r"^\| `(\w+)`[^|]*\| ([\d.]+) \| ([\d.]+) \|", page, re.MULTILINE)
    said = {name: (float(before), float(now)) for name, before, now in listed}
    n_topics = said.pop("n_topics")
    assert n_topics == (plain.topics, default.topics)
    assert said == {name: (getattr(plain, name), getattr(default, name)) for name in said}
    changed = {name for name in DefaultWorld.strengths if getattr(plain, name) != getattr(default, name)}
    assert changed == {*said, "n_topics", *(name for name, _, value in dials if float(value))}


# ---- What can go wrong -------------------------------------------------------------------------


def texts_of(folder: Path) -> set[str]:
    """Every text in the source of a folder; what an f-string fills in is a gap."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in folder.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    plain = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    filled = [node.values for node in nodes if isinstance(node, ast.JoinedStr)]

    def words(part: ast.expr) -> str:
        return part.value if isinstance(part, ast.Constant) else GAP

    return plain | {"".join(map(words, parts)) for parts in filled}


def test_each_message_of_the_page_is_one_of_the_library(root):
    """Its words stand in one text of the source, in order; a gap of the page may be anything."""
    page = (root / "book/what_can_go_wrong.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\| `(.+?)` \|", page, re.MULTILINE)
    assert len(quoted) > 35 and len(set(quoted)) == len(quoted)
    source = "\n".join(texts_of(root / "gensr_lib"))
    patterns = {text: ".*".join(map(re.escape, text.split(GAP))) for text in quoted}
    assert [text for text, pattern in patterns.items() if not re.search(pattern, source)] == []


@pytest.fixture(scope="module")
def extended(root, tmp_path_factory) -> Path:
    """A copy of the library with the model of the page *Add a model*, made as the page says."""
    home = tmp_path_factory.mktemp("extended")
    for name in ("gensr_lib", "tests"):
        shutil.copytree(root / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", home)
    model, register, _ = blocks(root / "book/add_a_model.md")
    (home / "gensr_lib/models/joint/mean_history.py").write_text(model)
    listed = home / "gensr_lib/models/registry.py"
    text = listed.read_text()
    assert text.count("MODELS = {\n") == 1
    listed.write_text(text.replace("MODELS = {\n", f"MODELS = {{\n{register}"))
    return home


DRIVER = """
import sys
import pytest
assert pytest.main(sys.argv[1:]) == 0
exec(open("page.py").read())
print("losses", *run.history["src bpr"])
"""


def test_the_added_model_passes_the_contract_and_learns_in_smoke(root, extended):
    """One process for all of it: the contract tests, then the page's own last example."""
    shell = blocks(root / "book/add_a_model.md", "bash")[0].splitlines()
    command = next(line for line in shell if "pytest" in line)
    (extended / "page.py").write_text(blocks(root / "book/add_a_model.md")[2])
    home = str(extended)
    env = {**os.environ, "PYTHONPATH": home, "GENSR_HOME": home, "OMP_NUM_THREADS": "1"}
    options = [*shlex.split(command)[3:], "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    run = [sys.executable, "-c", DRIVER, *options]
    done = subprocess.run(run, cwd=home, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 20 and "failed" not in done.stdout
    losses = re.search(r"^losses (.+)$", done.stdout, re.MULTILINE)[1].split()
    assert len(losses) >= 2 and float(losses[-1]) < 0.9 * float(losses[0]), "it must learn"


def test_the_commands_for_many_gpus_are_ones_that_accelerate_knows(root):
    from accelerate.commands.launch import launch_command_parser

    text = "\n".join(blocks(root / "book/gpu.md", "bash")).replace("\\\n", " ")
    commands = [shlex.split(line) for line in text.splitlines() if "accelerate launch" in line]
    assert len(commands) == 2
    for command in commands:
        known = launch_command_parser().parse_args(command[2:])
        assert known.module and known.training_script == "gensr_lib" and known.multi_gpu
        assert known.training_script_args[:2] == ["fit", "gensr"]
    assert known.num_processes == 8 and known.num_machines == 2
