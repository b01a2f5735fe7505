"""What is known of each chapter's last run, and the page that tells it.

A folder of executed chapters holds ``status.json`` (read to decide what may be skipped) and
``status.md`` (the same, for people). That of the default run is also a page of the site.
"""

from __future__ import annotations

import io
import json
import platform
import re
import subprocess
import tarfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from ..files import git_commit, of_seed, project_root, write_atomically

PAGE = "book/status.md"
FINISHED = "finished (UTC)"
DEFAULT_RUN = {"DATASET": "pocket", "PROFILE": "pocket", "SEED": 0}  # shown by the notebooks
HEAD = """\
# Status

When each chapter was last run, with what, and how long it took. `make book` notes this in
`runs/`; the page of the site is made from it by `python -m gensr_lib site pages`. A chapter that
finds its trained models in `runs/` loads them: its minutes are then without their training.
*Numbers* is the edition of what trainings compute: it rises when a change of the code alters them.
"""


@dataclass(frozen=True)
class ChapterRecord:
    """One chapter's last run.

    Attributes:
        chapter: name of the notebook without suffix, e.g. ``01_data``.
        outcome: ``ran``, ``skipped`` (its inputs had not changed) or ``failed``.
        seconds: wall-clock time of the run that made the notebook, also if skipped since.
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
    import torch

    device = f"cpu ({torch.get_num_threads()} threads)"
    if torch.cuda.is_available():
        device = f"cuda ({torch.cuda.get_device_name()})"
    versions = {name: metadata.version(name) for name in ("torch", "transformers", "gensr-lib")}
    python = platform.python_version()
    return {"device": device, "python": python, **versions, "commit": git_commit(folder)}


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
    entries = {"chapters": [asdict(records[name]) for name in sorted(records)]}
    _write(out / "status.json", json.dumps(entries, indent=1, default=str) + "\n")
    errors = [f"\n```text\n{record.error}\n```\n" for record in records.values() if record.error]
    _write(out / "status.md", status_page(records) + "".join(errors))


def write_site_page(root: Path) -> bool:
    """Write ``book/status.md`` anew; False, and nothing written, without a default run."""
    records = read_status(root / "runs/book/pocket/pocket")
    records = {name: r for name, r in records.items() if r.parameters == DEFAULT_RUN}
    if records:
        _write(root / PAGE, status_page(records))
    return bool(records)


def status_page(records: dict[str, ChapterRecord]) -> str:
    """The records as a Markdown page: one table, without the messages of failed chapters."""
    return f"{HEAD}\n{_table([_row(records[name]) for name in sorted(records)])}\n"


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [_line(rows[0]), _line(["---"] * len(rows[0])), *(_line(r.values()) for r in rows)]
    return "\n".join(lines)


def _row(record: ChapterRecord) -> dict[str, Any]:
    dataset, profile, seed = (record.parameters.get(name, "") for name in DEFAULT_RUN)
    folder = of_seed(project_root() / "runs" / Path(dataset).name / profile, seed)
    source = _provenance(folder / "chapters" / f"{record.chapter}.json")
    has_read = source.get("data_read", True)
    return {
        "chapter": record.chapter,
        "outcome": record.outcome,
        "minutes": f"{record.seconds / 60:.1f}",
        "data set": Path(dataset).name if has_read else "none",
        "profile": profile,
        "seeds": _range(source.get("seeds", [seed])),
        "data hash": source.get("dataset_hash", "")[:8] if has_read else "",
        "numbers": source.get("numbers", ""),
        "code hash": source.get("code_hash", "")[:8],
        "torch": record.machine.get("torch", ""),
        "device": record.machine.get("device", ""),
        # Short, but with its "-dirty".
        "commit": re.sub(r"^(\w{8})\w+", r"\1", record.machine.get("commit", "")),
        FINISHED: record.finished[:16].replace("T", " "),
    }


def _range(seeds: list[Any]) -> str:
    """Seeds as people write them.

    >>> _range([0]), _range([0, 1, 2, 3]), _range([0, 2])
    ('0', '0–3', '0, 2')
    """
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}–{seeds[-1]}"
    return ", ".join(map(str, seeds))


def status_rows(root: Path) -> dict[str, dict[str, str]]:
    """The rows of the committed status page by chapter; empty if there is no page."""
    path = root / PAGE
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return {row["chapter"]: row for row in _rows(text)}


def _rows(page: str) -> list[dict[str, str]]:
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def narrow(page: str) -> str:
    """The status page with a narrower table: days for times, what all rows share in a sentence."""
    rows = _rows(page)
    for row in rows:
        if FINISHED in row:
            row[FINISHED] = row[FINISHED].partition(" ")[0]
    same = [name for name in rows[0] if len({row[name] for row in rows}) == 1] if rows[1:] else []
    if not same:
        return page
    text, _, _ = page.partition("\n| ")
    told = ", ".join(f"{name} {rows[0][name]}" for name in same)
    table = [{name: row[name] for name in row if name not in same} for row in rows]
    return f"{text}\nThe same for all: {told}.\n\n{_table(table)}\n"


@lru_cache
def code_at(root: Path, commit: str) -> str:
    """The hash of the library's sources at a commit, as `provenance.code_hash`; '' if not known."""
    command = ["git", "archive", "--format=tar", commit, "gensr_lib"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    from ..experiments.provenance import hash_of_sources  # imports torch

    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as files:
        sources = {
            Path(file.name).relative_to("gensr_lib"): files.extractfile(file).read()
            for file in files
            if file.name.endswith(".py")
        }
    return hash_of_sources(sources)


def _provenance(path: Path) -> dict[str, Any]:
    """What a chapter has recorded of its data and code; empty if it left no readable record."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["provenance"]
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _line(cells: Iterable[Any]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))
