"""What is known of each chapter's last run, and the status page made from it.

A folder of executed chapters holds ``status.json`` (read to decide what may be skipped) and
``status.md`` (the same, for people).
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from ..files import git_commit, write_atomically

NOTEBOOK_AT = "The notebook up to there: "  # starts the last line of a failed chapter's message


@dataclass(frozen=True)
class ChapterRecord:
    """One chapter's last run.

    Attributes:
        chapter: name of the notebook without suffix, e.g. ``01_data``.
        outcome: ``ran``, ``skipped`` (its inputs had not changed) or ``failed``.
        seconds: wall-clock time of the run that made the executed notebook, also if it was skipped since.
        finished: when that run ended, ISO 8601 in UTC.
        fingerprint: hash of everything the chapter depends on.
        parameters: what papermill passed to it.
        machine: versions, device and commit of that run (`machine`).
        error: the message, if it failed.
    """

    chapter: str
    outcome: str
    seconds: float
    finished: str
    fingerprint: str
    parameters: dict[str, Any]
    machine: dict[str, str]
    error: str = ""


def machine(folder: Path) -> dict[str, str]:
    """Versions and device of this process, and the git commit of ``folder``."""
    packages = {name: _version(name) for name in ("torch", "transformers", "gensr-lib")}
    return {"device": device(), "python": platform.python_version(), **packages, "commit": git_commit(folder)}


def device() -> str:
    """The device that training would use, in words."""
    import torch

    if torch.cuda.is_available():
        return f"cuda ({torch.cuda.get_device_name()})"
    if torch.backends.mps.is_available():
        return "mps"
    return f"cpu ({torch.get_num_threads()} threads)"


def read_status(out: Path) -> dict[str, ChapterRecord]:
    """The records in a folder by chapter; none if there is no readable ``status.json``.

    An unreadable file, or one of another version, only means that the chapters run again.
    """
    try:
        entries = json.loads((out / "status.json").read_text(encoding="utf-8"))["chapters"]
        return {entry["chapter"]: ChapterRecord(**entry) for entry in entries}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_status(out: Path, records: dict[str, ChapterRecord]) -> None:
    """Write ``status.json`` and ``status.md``, chapters in order."""
    ordered = [records[name] for name in sorted(records)]
    text = json.dumps({"chapters": [asdict(record) for record in ordered]}, indent=1, default=str) + "\n"
    write_atomically(out / "status.json", lambda part: part.write_text(text, encoding="utf-8"))
    write_atomically(out / "status.md", lambda part: part.write_text(status_page(ordered), encoding="utf-8"))


def status_page(records: list[ChapterRecord]) -> str:
    """The records as a Markdown page: a table, and the messages of the chapters that failed."""
    rows = [_row(record) for record in records]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = ["# Status of the book", "", _line(columns), _line(["---"] * len(columns))]
    lines += [_line(row.get(column, "") for column in columns) for row in rows]
    lines += ["", "*seconds* and everything right of it belong to the run that made the executed notebook."]
    for record in records:
        if record.error:
            lines += ["", f"## {record.chapter} failed", "", "```text", record.error, "```"]
    return "\n".join(lines) + "\n"


def _row(record: ChapterRecord) -> dict[str, Any]:
    known = {"PROFILE": "profile", "DATASET": "data set", "SEED": "seed"}
    parameters = {known.get(name, name): value for name, value in record.parameters.items()}
    head = {"chapter": record.chapter, "outcome": record.outcome, "seconds": f"{record.seconds:.1f}"}
    return {**head, **parameters, **record.machine, "finished (UTC)": record.finished}


def _line(cells) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
