"""The files that say what to install agree with each other, and the targets of the Makefile exist."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gensr_lib

CONDA_NAMES = {"torch": "pytorch", "torch-geometric": "pytorch_geometric"}  # where conda-forge calls it otherwise
CONDA_ONLY = {"python", "pip"}
PROFILES = {"smoke", "pocket", "paper"}


@pytest.fixture(scope="module")
def project(root) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def requirements(project) -> list[Requirement]:
    extras = project["optional-dependencies"]
    return [Requirement(line) for line in project["dependencies"] + extras["book"] + extras["test"]]


@pytest.fixture(scope="module")
def pins(root) -> dict[str, str]:
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in found}


def test_conda_names_the_same_packages_and_bounds(root, requirements):
    entries = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    conda = {entry.partition(" ")[0]: entry.partition(" ")[2] for entry in entries}
    expected = {CONDA_NAMES.get(r.name, r.name): str(r.specifier) for r in requirements}
    assert {name: bound for name, bound in conda.items() if name not in CONDA_ONLY} == expected


def test_conda_and_pip_want_the_same_python(root, project):
    entries = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    assert f"python {project['requires-python']}" in entries


def test_bounds_are_open_above(requirements):
    assert all(re.fullmatch(r">=[\d.]+", str(r.specifier)) for r in requirements)


def test_the_lock_pins_every_requirement_within_its_bounds(requirements, pins):
    for requirement in requirements:
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_the_lock_names_only_versions_that_an_index_can_have(root, pins):
    assert all(re.fullmatch(r"[\w.]+", version) for version in pins.values())  # no +cpu, no path
    assert "gensr-lib" not in pins
    assert (root / "constraints.txt").read_text(encoding="utf-8").startswith("# The lock")


def test_the_lock_covers_what_the_requirements_bring(requirements, pins):
    """An installed package that the lock does not know could change under the reader's feet."""
    todo, seen = [canonicalize_name(r.name) for r in requirements], set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            if not needed.marker or needed.marker.evaluate({"extra": ""}):
                todo.append(canonicalize_name(needed.name))
    # CUDA packages come with the GPU build of torch only, which pins them itself; setuptools is pip's company.
    missing = {name for name in seen - set(pins) if not re.match(r"nvidia-|cuda-|triton$|setuptools$", name)}
    assert not missing


def test_the_package_has_its_profiles_and_its_version():
    assert metadata.version("gensr-lib") == gensr_lib.__version__
    assert {p.stem for p in (Path(gensr_lib.__file__).parent / "config").glob("*.yaml")} >= PROFILES


def test_the_built_package_would_carry_the_profiles(root):
    tool = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert "config/*.yaml" in tool["package-data"]["gensr_lib"]


@pytest.mark.skipif(not shutil.which("make"), reason="no make on this machine")
def test_make_alone_lists_the_targets_that_the_readme_names(root):
    done = subprocess.run(["make", "-C", str(root)], capture_output=True, text=True, timeout=60, check=True)
    readme = (root / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmake ([a-z]+)", readme))
    assert {"book", "test", "lab", "sync"} <= named
    for target in named:
        assert re.search(rf"^  make {target}\b", done.stdout, re.MULTILINE), target


@pytest.mark.skipif(not shutil.which("make"), reason="no make on this machine")
def test_make_refuses_an_old_python(root, tmp_path):
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.1" && exit 0\nexit 1\n')
    old.chmod(0o755)
    command = ["make", "-C", str(root), "venv", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "Python 3.9.1" in done.stderr


def test_the_readme_links_to_files_that_exist(root):
    readme = (root / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", readme) if "://" not in link]
    assert links
    assert [link for link in links if not (root / link).exists()] == []


def test_licences_are_whole(root):
    text = (root / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert "creativecommons.org/licenses/by/4.0" in (root / "LICENSE-PROSE.md").read_text(encoding="utf-8")


def test_the_library_imports_without_the_extras():
    """The core must not need papermill or Jupyter: they are for the book."""
    code = "import sys; sys.modules.update(papermill=None, nbformat=None, jupytext=None, IPython=None); "
    code += "import gensr_lib.book.run, gensr_lib.book.cli, gensr_lib.config"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
