"""Where the book keeps its files, and how files are written so that no kill leaves one half
done.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import ConfigError


def project_root() -> Path:
    """The folder that holds ``notebooks/``, ``data/``, ``figures/`` and ``runs/``.

    ``GENSR_HOME`` if set; else the nearest folder above the working directory with a ``notebooks``
    folder and a ``pyproject.toml``; else the working directory (the library used on its own).
    """
    if home := os.environ.get("GENSR_HOME"):
        return Path(home).resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").exists() and (folder / "notebooks").is_dir():
            return folder
    return here


def write_atomically(path: Path, write: Callable[[Path], object], suffix: str = "") -> Path:
    """Call ``write`` with a temporary name, then rename to ``path``: readers see all or nothing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part{suffix}")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def git_commit(folder: Path) -> str:
    """The commit that is checked out in a folder, with ``-dirty`` if files were changed since.

    "unknown" without git, without a repository or before the first commit.
    """
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def read_or_refuse(path: Path, read: Callable[[Path], Any]) -> Any:
    """What ``read`` makes of a file of a run.

    Raises:
        ConfigError: it is missing or damaged; the message names it.
    """
    try:
        return read(path)
    except Exception as error:  # json, parquet, safetensors and pickle each have their own errors
        raise ConfigError(
            f"{path}: missing or damaged ({error}); delete the folder {path.parent} and run again."
        ) from None


def read_json(path: Path) -> Any:
    """A JSON file of a run; `ConfigError` as `read_or_refuse`."""
    return read_or_refuse(path, lambda p: json.loads(p.read_text(encoding="utf-8")))


def write_json(path: Path, content: Any) -> Path:
    """Write a JSON file whole or not at all; numpy's numbers become plain ones, all else text."""
    text = json.dumps(content, indent=2, default=_plain) + "\n"
    return write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)
