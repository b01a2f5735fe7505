"""The files that say what to install agree with each other, with the Makefile and workflows."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from itertools import chain

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gensr_lib
from gensr_lib.book.cli import build_parser

CONDA_NAMES = {"duckdb": "python-duckdb", "torch": "pytorch", "torch-geometric": "pytorch_geometric"}


@pytest.fixture(scope="module")
def project(root) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def needed(project) -> dict[str, list[Requirement]]:
    """Requirements by extra; '' for the library itself."""
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {extra: [Requirement(line) for line in lines] for extra, lines in groups.items()}


@pytest.fixture(scope="module")
def pins(root) -> dict[str, str]:
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def test_conda_names_the_same_packages_and_bounds(root, project, needed):
    entries = yaml.safe_load((root / "environment.yml").read_text())["dependencies"]
    conda = dict(entry.split(" ") for entry in entries if entry != "pip")
    listed = needed[""] + needed["book"] + needed["test"]
    expected = {CONDA_NAMES.get(r.name, r.name): str(r.specifier) for r in listed}
    assert conda == {"python": project["requires-python"], **expected}


def test_the_lock_pins_every_requirement_within_its_bounds(needed, pins):
    for requirement in chain(*needed.values()):
        assert re.fullmatch(r">=[\d.]+", str(requirement.specifier)), "bounds are open above"
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_the_lock_names_only_versions_that_an_index_can_have(pins):
    assert all(re.fullmatch(r"[\w.]+", version) for version in pins.values())  # no +cpu, no path
    assert "gensr-lib" not in pins


def test_the_lock_covers_what_the_requirements_bring(needed, pins):
    """An installed package that the lock does not know could change under the reader's feet."""
    todo = {canonicalize_name(r.name) for r in chain(*needed.values())}
    seen = set()
    while todo:
        name = todo.pop()
        seen.add(name)
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # of the extra "site", which the tests do without
            continue
        for need in map(Requirement, lines):
            if not need.marker or need.marker.evaluate({"extra": ""}):
                todo |= {canonicalize_name(need.name)} - seen
    # CUDA packages come with the GPU build of torch, which pins them; setuptools with pip.
    missing = [name for name in seen - set(pins) if not re.match(r"nvidia-|cuda-|triton$|setuptools$", name)]
    assert missing == []


def test_the_built_package_would_carry_profiles_version_and_command(root, project):
    tool = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert "config/*.yaml" in tool["setuptools"]["package-data"]["gensr_lib"]
    assert metadata.version("gensr-lib") == gensr_lib.__version__
    module, _, function = project["scripts"]["gensr"].partition(":")
    code = f"import sys; from {module} import {function}; sys.argv[0] = 'gensr'; {function}(['-h'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "fit" in done.stdout


def imported(root) -> set[str]:
    """The top-level packages that any file of the library imports, wherever in it."""
    found = set()
    for path in root.glob("gensr_lib/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"gensr_lib"}


def test_all_that_the_library_imports_is_required(root, needed):
    """What happens to be installed here may not be there on a fresh machine."""
    homes = metadata.packages_distributions()
    required = {canonicalize_name(requirement.name) for requirement in chain(*needed.values())}
    brought = {"jupyter_client", "traitlets"}  # by all that runs notebooks
    for name in sorted(imported(root) - brought):
        distributions = {canonicalize_name(home) for home in (name, *homes.get(name, []))}
        assert required & distributions, name


def test_the_library_imports_without_the_extras():
    """The core must not need papermill or Jupyter: they are for the book."""
    absent = dict.fromkeys(["papermill", "nbformat", "jupytext", "IPython", "griffe"])
    code = f"import sys; sys.modules.update({absent}); "
    code += "import gensr_lib.book.run, gensr_lib.book.cli, gensr_lib.book.site_check"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# ---- commands ------------------------------------------------------------------------------------


def blocks(text: str) -> str:
    """The shell blocks of a Markdown page, each command on one line."""
    found = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return "\n".join(found).replace("\\\n", " ")


def steps(root) -> dict[str, list[dict]]:
    """The steps of each workflow."""
    found = {}
    for path in root.glob(".github/workflows/*.yml"):
        jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
        found[path.name] = [step for job in jobs for step in job["steps"]]
    return found


def test_every_command_of_pages_and_workflows_exists(root):
    pages = [root / "README.md", *root.glob("book/*.md")]
    texts = [blocks(page.read_text(encoding="utf-8")) for page in pages]
    texts += [step.get("run", "") for listed in steps(root).values() for step in listed]
    text = "\n".join(texts) + (root / ".ci/run").read_text()
    targets = re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE)
    made = set(re.findall(r"\bmake ([a-z]+)", text))
    assert {"book", "test", "site"} <= made <= set(targets)
    commands = re.findall(r"-m gensr_lib ([^\n>]+)", text)
    assert len(commands) > 5
    for command in commands:
        build_parser().parse_args(command.split())  # it exits if it does not know them


def test_one_environment(root):
    """What the book needs is not touched by what the site brings, and one lock holds both."""
    text = (root / "Makefile").read_text(encoding="utf-8")
    recipe = {t: needs.split() for t, needs in re.findall(r"^([a-z]+):([^#\n]*)", text, re.M)}
    assert recipe["site"] == recipe["html"] == ["$(SITE)"] and recipe["book"] == ["$(STAMP)"]
    assert re.findall(r"-e '\.\[(.+)\]' -c constraints.txt", text) == ["book,test", "site"]
    assert re.findall(r"-e '\.\[(.+)\]'\n", text) == ["book,site,test"], "of the lock"


def test_workflows_are_pinned_and_have_few_rights(root):
    for path in root.glob(".github/workflows/*.yml"):
        assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}
    found = [step for listed in steps(root).values() for step in listed if "uses" in step]
    uses = {step["uses"] for step in found}
    assert uses and all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", use) for use in uses)
    assert len({use.split("@")[0] for use in uses}) == len(uses), "one version of each action"
    tokens = [s["with"]["persist-credentials"] for s in found if "actions/checkout@" in s["uses"]]
    assert len(tokens) == 3 and not any(tokens)
