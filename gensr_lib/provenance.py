"""Where a number comes from: which data, code, versions and machine made it.

The code of a *run* is hashed by what the run imports, so that a new analysis or another model leaves
trained models as they are; the code of a *chapter* is the whole library.
"""

from __future__ import annotations

import ast
import hashlib
import platform
import resource
import sys
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from .data.dataset import Dataset
from .files import git_commit

PACKAGE = Path(__file__).resolve().parent
PACKAGES = ("torch", "transformers", "accelerate", "numpy", "pandas", "scikit-learn", "tokenizers")
# Every run goes through these; what they import counts too.
OF_EVERY_RUN = ("training.py", "evaluation.py", "backbone.py", "data/loading.py")
# They start or list models, and change no number of a model that they already know.
NOT_FOLLOWED = ("__init__.py", "models/__init__.py")


def code_hash(model_file: str | Path | None = None, package: Path = PACKAGE) -> str:
    """SHA-256 (first 16 digits) of source files of the library.

    Args:
        model_file: the file of a model: only what a run of it imports, directly or not. None: all files.
        package: the library's folder.
    """
    package = package.resolve()
    if model_file is None:
        files = set(package.rglob("*.py"))
    else:
        files = imported([Path(model_file), *(package / name for name in OF_EVERY_RUN)], package)
        files |= {package / "runs.py"}  # it starts every run, and imports every model only to look it up
    sha = hashlib.sha256()
    for path in sorted(files):
        sha.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return sha.hexdigest()[:16]


def imported(files: Iterable[str | Path], package: Path = PACKAGE) -> set[Path]:
    """The given files and all of the package's files that they import by relative imports, directly or not."""
    seen, waiting = set(), {Path(path).resolve() for path in files}
    ignored = {(package / name).resolve() for name in NOT_FOLLOWED}
    while waiting:
        path = waiting.pop()
        seen.add(path)
        waiting |= _relative_imports(path) - seen - ignored
    return seen


def _relative_imports(path: Path) -> set[Path]:
    """Files named by ``from .x import y`` anywhere in a file, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            target = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            candidates = [target.with_suffix(".py"), target / "__init__.py"]
            candidates += [target / f"{alias.name}.py" for alias in node.names]  # from . import module
            found |= {candidate.resolve() for candidate in candidates if candidate.is_file()}
    return found


def provenance(dataset: Dataset, seed: int, code: str) -> dict[str, Any]:
    """Which data, code, versions and machine a result comes from.

    Args:
        code: the `code_hash` of what made the result.
    """
    cuda = torch.cuda.is_available()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {
        "dataset": dataset.name, "dataset_hash": dataset.hash, "dataset_config": dataset.config.model_dump(mode="json"),
        "seed": seed, "code_hash": code, "git_commit": git_commit(PACKAGE),
        "python": platform.python_version(), "versions": {p: metadata.version(p) for p in PACKAGES},
        "device": torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads",
        "machine": platform.machine(), "peak_memory_mb": round(peak),
        "peak_gpu_mb": round(torch.cuda.max_memory_allocated() / 2**20) if cuda else 0,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }  # fmt: skip
