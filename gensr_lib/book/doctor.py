"""``python -m gensr_lib doctor``: can the book run here, and if not, what to do?

Only the standard library is imported at the top, so that this answers also where packages are
missing. The report names no folder of the user beyond the project's, no host and no variable's
value: it can be pasted into an issue.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from ..files import project_root
from .finished import finished_runs

OK, NOTE, PROBLEM = "ok", "note", "problem"
ROOT = Path(__file__).resolve().parents[2]  # of the checkout; pyproject.toml and the lock lie here
GB = 1e9
MEMORY = 2 * GB  # twice the peak of the pocket book's largest training
DISK = 1 * GB  # the pocket book's runs take 50 MB, the paper's checkpoints several GB
PROGRAMS = {
    "git": "without it results do not name their commit",
    "node": "only the site needs it, and make site installs it",
    "jupyter-book": "only the site needs it, and make site installs it",
}


class Check(NamedTuple):
    """One finding: ``ok``, ``note`` (the book runs all the same) or ``problem``; what to do."""

    status: str
    text: str
    advice: str = ""


def doctor(dataset: str | None = None) -> int:
    """Print the report; 0 if the pocket book can run here (with these data), else 1."""
    home = str(Path.home()) + os.sep
    checks = examine(dataset)
    for status, text, advice in checks:
        print(f"{status:<8} {text}".replace(home, "~/"))
        if advice:
            print(f"         -> {advice}")
    problems = sum(check.status == PROBLEM for check in checks)
    can = f"cannot run here yet, problems: {problems}" if problems else "can run here"
    print(f"\nthe pocket book {can}")
    return int(problems > 0)


def examine(dataset: str | None = None) -> list[Check]:
    """All findings, in the order of the report. A check that fails is a problem, not a crash."""
    found: list[Check] = []
    for check in [*CHECKS, *([partial(check_data, dataset)] if dataset else [])]:
        try:
            found += check()
        except Exception as error:  # what a broken installation raises is what one must see
            about = getattr(check, "func", check).__doc__
            what = f"{about} The check failed: {type(error).__name__}: {error}"
            found.append(Check(PROBLEM, what, "reinstall: make venv"))
    return found


def check_machine() -> Iterator[Check]:
    """Python, cores, memory and disk."""
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    old = sys.version_info[:2] < (3, 11)
    advice = "make venv PYTHON=python3.11, or newer" if old else ""
    yield Check(PROBLEM if old else OK, f"Python {platform.python_version()} on {system}", advice)
    there = next(p for p in (project_root(), *project_root().parents) if p.exists())
    free = shutil.disk_usage(there).free
    advice = f"make room: runs and data want {DISK / GB:.0f} GB" if free < DISK else ""
    yield Check(PROBLEM if advice else OK, f"{free / GB:.1f} GB of disk space free", advice)
    try:
        import psutil
    except ImportError:
        return
    free = psutil.virtual_memory().available
    advice = f"it wants {MEMORY / GB:.0f} GB: close other programs" if free < MEMORY else ""
    text = f"{os.cpu_count()} cores, {free / GB:.1f} GB of memory free"
    yield Check(NOTE if advice else OK, text, advice)


def check_packages() -> Iterator[Check]:
    """The packages against the bounds of pyproject.toml, against each other and the lock."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        yield Check(PROBLEM, "packages are missing, packaging among them", "make venv")
        return
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["book"]
    for need in map(Requirement, lines):
        version = _version(need.name)
        if version is None:
            yield Check(PROBLEM, f"{need.name} is missing", f"make venv, or: pip install '{need}'")
        elif not need.specifier.contains(version, prereleases=True):
            yield Check(PROBLEM, f"{need.name} {version} is not {need.specifier}", "make venv")
    yield from _other_than_locked()
    command = [sys.executable, "-m", "pip", "check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    for line in done.stdout.splitlines() if done.returncode else []:
        yield Check(NOTE, f"pip check: {line}", "make venv")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _other_than_locked() -> Iterator[Check]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    installed = [(name, _version(name), pin) for name, pin in pins]
    there = [(name, version, pin) for name, version, pin in installed if version]
    # What follows a plus (2.13.0+cpu) names a build of the same version.
    other = [f"{name} {v} ({pin})" for name, v, pin in there if v.partition("+")[0] != pin]
    text = f"{len(there)} packages of the lock, {len(other)} in other versions {', '.join(other)}"
    advice = "fine, but the last digits of results may differ; make venv installs the lock"
    yield Check(NOTE, text, advice) if other else Check(OK, f"{len(there)} packages as locked")


def check_torch() -> Iterator[Check]:
    """torch and the device it uses."""
    if not _version("torch"):
        return  # named among the packages
    import torch

    text = f"torch {torch.__version__}, device: CPU, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        each = f"{gpu.name}, {gpu.total_memory / GB:.0f} GB each"
        text = f"torch {torch.__version__}, device: {torch.cuda.device_count()} x {each}"
    elif shutil.which("nvidia-smi"):
        advice = "install torch's CUDA build: https://pytorch.org/get-started/locally/"
        yield Check(NOTE, "there is an NVIDIA driver, but this torch sees no GPU", advice)
    yield Check(OK, text)


def check_kernel() -> Iterator[Check]:
    """The Jupyter kernel that runs the chapters."""
    if not _version("jupyter_client"):
        return  # it comes with ipykernel, which is named among the packages
    from jupyter_client.kernelspec import find_kernel_specs

    if "python3" in find_kernel_specs():
        yield Check(OK, "Jupyter kernel python3")
    else:
        advice = "python -m ipykernel install --sys-prefix"
        yield Check(PROBLEM, "no Jupyter kernel python3", advice)


def check_project() -> Iterator[Check]:
    """The project's folder, data sets and finished runs."""
    root = project_root()
    chapters = len(list(root.glob("notebooks/[0-9][0-9]_*.ipynb")))
    advice = "" if chapters else "call this in the folder of the checkout, without GENSR_HOME"
    yield Check(OK if chapters else PROBLEM, f"project in {root}, chapters: {chapters}", advice)
    if root.exists() and not os.access(root, os.W_OK):
        yield Check(PROBLEM, f"nothing can be written to {root}", "make it writable")
    try:
        from ..data.sources.load import available_datasets

        yield Check(OK, f"data sets: {', '.join(available_datasets())}")
    except ImportError:
        pass  # what is missing is named among the packages
    runs = len(finished_runs(root / "runs"))
    yield Check(OK, f"finished runs: {runs} (gensr runs lists them)")


def check_data(dataset: str) -> Iterator[Check]:
    """A data set, as the pocket book reads it."""
    from ..data.sources.load import load_dataset
    from ..errors import ConfigError, DataError

    try:
        found = load_dataset(dataset)
    except (ConfigError, DataError) as error:
        yield Check(PROBLEM, str(error), f"gensr data check {dataset} lists all that is wrong")
        return
    sizes = f"{found.n_users} users, {found.n_items} items, {len(found.user)} events"
    yield Check(OK, f"data set {found.name}: {sizes} are left after the filters")
    if found.notes:
        yield Check(NOTE, f"about the data: {'; '.join(found.notes)}")


def check_programs() -> Iterator[Check]:
    """Programs that only the site and the provenance of results need."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    for name, use in PROGRAMS.items():
        if shutil.which(name, path=beside):
            yield Check(OK, f"program {name}")
        else:
            yield Check(NOTE, f"no program {name}", use)


CHECKS = (check_machine, check_packages, check_torch, check_kernel, check_project, check_programs)
