"""``python -m gensr_lib doctor``: can the book run here, and if not, what to do?

Only the standard library is imported at the top, so that this answers also where packages are missing.
The report names no folder of the user beyond the project's, no host and no variable's value: it can be
pasted into an issue.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ..files import project_root

OK, NOTE, PROBLEM = "ok", "note", "problem"
PACKAGE = Path(__file__).resolve().parents[1]
PYTHON = (3, 11)
KEY_PACKAGES = ("torch", "transformers", "accelerate", "numpy", "pandas", "papermill")  # named in the report
NOT_TO_RUN = ("jupyterlab", "jupytext")  # of the extra "book": to read and edit chapters, not to run them
GB = 1e9
MEMORY = 2 * GB  # twice the peak of the pocket book's largest training
DISK, DISK_PAPER = 1 * GB, 10 * GB  # the pocket book's runs take 50 MB; flan-t5-base with its checkpoints several GB
REQUIREMENT = re.compile(r"([\w.-]+)\s*>=\s*([\d.]+)(?:.*extra == ['\"](\w+)['\"])?")


@dataclass(frozen=True)
class Check:
    """One finding: ``ok``, ``note`` (the pocket book runs all the same) or ``problem``, and what to do about it."""

    status: str
    text: str
    advice: str = ""


@dataclass(frozen=True)
class Needed:
    """A package with its lower bound; ``group`` is '' for the library itself, or the name of an extra."""

    name: str
    bound: str
    group: str


def doctor() -> int:
    """Print the report; 0 if the pocket book can run here, else 1."""
    checks = examine()
    print(report(checks))
    return int(any(check.status == PROBLEM for check in checks))


def examine() -> list[Check]:
    """All findings, in the order of the report. A check that fails itself is a problem, not a crash."""
    found: list[Check] = []
    for check in CHECKS:
        try:
            found += check()
        except Exception as error:  # whatever a broken installation raises is what the reader must see
            about = (check.__doc__ or check.__name__).splitlines()[0].rstrip(".")
            advice = "reinstall: make venv"
            found.append(Check(PROBLEM, f"{about}: the check failed with {type(error).__name__}: {error}", advice))
    return found


def report(checks: list[Check]) -> str:
    """The findings as text, a line each with its advice below, and the verdict; the home folder reads ~."""
    lines = []
    for check in checks:
        lines.append(f"{check.status:<8} {check.text}")
        lines += [f"         -> {check.advice}"] * bool(check.advice)
    problems, notes = (sum(check.status == status for check in checks) for status in (PROBLEM, NOTE))
    verdict = "the pocket book cannot run here yet" if problems else "the pocket book can run here"
    counts = f"{problems} problem{'s' * (problems != 1)}, {notes} note{'s' * (notes != 1)}"
    return without_home("\n".join([*lines, "", f"{counts}: {verdict}"]))


def without_home(text: str) -> str:
    """The text with ~ for the user's home folder, wherever it stands as a whole folder name."""
    homes = {str(Path.home()), str(Path.home().resolve())} - {"/"}
    for home in sorted(homes, key=len, reverse=True):
        text = re.sub(rf"{re.escape(home)}(?![\w-]|\.\w)", "~", text)
    return text


# --- the machine -------------------------------------------------------------------------------


def check_python() -> Iterator[Check]:
    """Python and the operating system."""
    text = f"Python {platform.python_version()} on {platform.system()} {platform.release()}, {platform.machine()}"
    old = sys.version_info[:2] < PYTHON
    advice = "install Python 3.11 or newer, then make venv PYTHON=python3.11" if old else ""
    yield Check(PROBLEM if old else OK, text, advice)


def check_machine() -> Iterator[Check]:
    """Cores and memory."""
    cores, free = _cores(), _free_memory()
    memory = "free memory unknown (psutil is missing)" if free is None else f"{free / GB:.1f} GB of memory free"
    short = free is not None and free < MEMORY
    advice = f"the pocket book wants {MEMORY / GB:.0f} GB: close other programs" if short else ""
    yield Check(NOTE if short else OK, f"{cores} cores, {memory}", advice)
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > 1.5 * cores and not os.environ.get("OMP_NUM_THREADS"):
        yield Check(NOTE, "other programs keep the cores busy", "set OMP_NUM_THREADS=1, or wait: training slows down")


def check_disk() -> Iterator[Check]:
    """Disk space."""
    free = shutil.disk_usage(_existing(project_root())).free
    text = f"{free / GB:.1f} GB of disk space free where the project is"
    if free < DISK:
        yield Check(PROBLEM, text, f"make room: runs, data and figures want {DISK / GB:.0f} GB")
    elif free < DISK_PAPER:
        yield Check(NOTE, text, f"enough for profile pocket; profile paper wants {DISK_PAPER / GB:.0f} GB")
    else:
        yield Check(OK, text)


# --- packages ----------------------------------------------------------------------------------


def check_packages() -> Iterator[Check]:
    """The packages."""
    wanted = requirements()
    installed = {need.name: installed_version(need.name) for need in wanted}
    for need in wanted:
        if (wrong := _what_is_wrong(need, installed[need.name])) is not None:
            optional = need.group not in ("", "book") or need.name in NOT_TO_RUN
            advice = f"make venv, or: pip install '{need.name}>={need.bound}' -c constraints.txt"
            yield Check(NOTE if optional else PROBLEM, f"{need.name} {wrong}{_purpose(need)}", advice)
    named = [f"{name} {installed[name]}" for name in KEY_PACKAGES if installed.get(name)]
    if named:
        yield Check(
            OK, f"{sum(map(bool, installed.values()))} of {len(wanted)} packages, among them {', '.join(named)}"
        )
    locked = locked_versions()
    pinned = [(name, version, locked.get(_canonical(name))) for name, version in installed.items() if version]
    other = [f"{name} {version} ({pin})" for name, version, pin in pinned if pin and version.partition("+")[0] != pin]
    if other:
        advice = "fine, but the last digits of results may differ; make venv installs the locked ones"
        yield Check(NOTE, f"{len(other)} versions differ from constraints.txt: {', '.join(other)}", advice)


def requirements() -> list[Needed]:
    """What the library and its extras need: from ``pyproject.toml`` in a checkout, else from the installation."""
    path = PACKAGE.parent / "pyproject.toml"
    if not path.exists():
        found = [REQUIREMENT.match(line) for line in metadata.requires("gensr-lib") or []]
        return [Needed(m[1], m[2], m[3] or "") for m in found if m]
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    found = [(group, REQUIREMENT.match(line)) for group, lines in groups.items() for line in lines]
    return [Needed(m[1], m[2], group) for group, m in found if m]


def installed_version(name: str) -> str | None:
    """The version of an installed package, None if there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def locked_versions() -> dict[str, str]:
    """The versions in ``constraints.txt`` by package; none outside a checkout."""
    path = PACKAGE.parent / "constraints.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    pins = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {_canonical(name): version for name, version in pins}


def check_torch() -> Iterator[Check]:
    """torch and the device it uses."""
    try:
        import torch
    except ImportError as error:
        if installed_version("torch"):  # else it is named among the packages
            advice = "reinstall it: pip install --force-reinstall torch -c constraints.txt"
            yield Check(PROBLEM, f"torch is installed and cannot be imported: {error}", advice)
        return
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        many = f"{torch.cuda.device_count()} x " if torch.cuda.device_count() > 1 else ""
        yield Check(OK, f"device: {many}{properties.name}, {properties.total_memory / GB:.0f} GB each")
        return
    yield Check(OK, f"device: CPU, {torch.get_num_threads()} threads in torch")
    if shutil.which("nvidia-smi"):
        advice = "install torch's CUDA build if the GPU is to be used: https://pytorch.org/get-started/locally/"
        yield Check(NOTE, "there is an NVIDIA driver, but this build of torch sees no GPU", advice)


def check_kernel() -> Iterator[Check]:
    """The Jupyter kernel that runs the chapters."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        return  # it comes with ipykernel, which is named among the packages
    try:
        KernelSpecManager().get_kernel_spec("python3")
        yield Check(OK, "Jupyter kernel python3")
    except NoSuchKernel:
        yield Check(PROBLEM, "no Jupyter kernel python3", "python -m ipykernel install --sys-prefix")


# --- the project -------------------------------------------------------------------------------


def check_project() -> Iterator[Check]:
    """The project's folder."""
    root = project_root()
    chapters = len(list((root / "notebooks").glob("[0-9][0-9]_*.ipynb")))
    where = f"project in {root}{' (GENSR_HOME)' * bool(os.environ.get('GENSR_HOME'))}"
    if chapters:
        yield Check(OK, f"{where}, {chapters} chapters")
    else:
        advice = "call this in the folder of the checkout, and leave GENSR_HOME unset"
        yield Check(PROBLEM, f"{where} has no notebooks/", advice)
    if not os.access(_existing(root), os.W_OK):
        yield Check(PROBLEM, f"nothing can be written to {root}", "make it writable, or copy the project elsewhere")


def check_data() -> Iterator[Check]:
    """Data sets and finished runs."""
    with contextlib.suppress(ImportError):  # of a package that is missing: said above
        from ..data.sources.load import available_datasets

        yield Check(OK, f"data sets: {', '.join(available_datasets())}")
    runs = finished_runs(project_root() / "runs")
    texts = [f"{place}: {', '.join(models)}" for place, models in runs.items()]
    yield Check(OK, f"finished runs: {'; '.join(texts) or 'none yet, make book makes them'}")


def finished_runs(folder: Path) -> dict[str, list[str]]:
    """Models with at least one finished run, by ``<data set>/<profile>``; runs that were moved aside do not count."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*/*/*/seed-*/metrics.json")):
        place, model = "/".join(path.relative_to(folder).parts[:2]), path.parts[-3]
        if path.parts[-2].removeprefix("seed-").isdigit() and model not in found.setdefault(place, []):
            found[place].append(model)
    return {place: models for place, models in found.items() if models}


# --- what only some need -----------------------------------------------------------------------


def check_site() -> Iterator[Check]:
    """Programs that only the site and the provenance of results need."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    missing = [name for name in ("git", "node", "jupyter-book") if not shutil.which(name, path=beside)]
    uses = {"git": "results will not name the commit", "node": "the site cannot be built",
            "jupyter-book": "the site cannot be built"}  # fmt: skip
    there = [name for name in uses if name not in missing]
    if there:
        yield Check(OK, f"programs: {', '.join(there)}")
    for name in missing:
        yield Check(NOTE, f"no {name}: {uses[name]}", f"install {name} if you want that; the chapters do without")


def check_paper() -> Iterator[Check]:
    """The weights that profile paper needs."""
    try:
        from ..config import read_profile

        name = read_profile("paper").backbone.name
        weights = _cached(name)
    except ImportError:
        return  # named among the packages
    if weights:
        yield Check(OK, f"profile paper: {name} is on this machine")
    else:
        advice = "nothing to do for the profiles smoke and pocket, which need no network"
        yield Check(NOTE, f"profile paper: {name} must be fetched from the Hugging Face hub", advice)


CHECKS: tuple[Callable[[], Iterator[Check]], ...] = (
    check_python, check_machine, check_packages, check_torch, check_kernel, check_project, check_data, check_disk,
    check_site, check_paper,
)  # fmt: skip


def _cached(name: str) -> bool:
    """Whether a backbone needs no network: the pocket one, a folder, or files in the hub's cache."""
    if name == "pocket" or Path(name).is_dir():
        return True
    from huggingface_hub import try_to_load_from_cache

    return all(isinstance(try_to_load_from_cache(name, file), str) for file in ("config.json", "model.safetensors"))


def _what_is_wrong(need: Needed, version: str | None) -> str | None:
    if version is None:
        return "is missing"
    return f"{version} is older than {need.bound}" if _numbers(version) < _numbers(need.bound) else None


def _purpose(need: Needed) -> str:
    return {"": "", "book": ", which the chapters need"}.get(need.group, f" (only for the extra '{need.group}')")


def _numbers(version: str) -> tuple[int, ...]:
    """(2, 13) for 2.13.0+cpu: what bounds are compared by; zeros at the end say nothing."""
    parts = [int(number) for number in re.findall(r"\d+", re.match(r"[\d.]*", version)[0])]
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)


def _canonical(name: str) -> str:
    """PyPI's one spelling of a name: PyYAML and pyyaml are the same package."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _free_memory() -> float | None:
    try:
        import psutil
    except ImportError:
        return None
    return float(psutil.virtual_memory().available)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())
