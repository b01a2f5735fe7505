"""Run the book: its chapters in order, by papermill, each only if something it depends on changed.

A chapter's *fingerprint* covers its cells (not their outputs), the chapters before it, the
parameters, the data set's files, `gensr_lib.NUMBERS` and the lock file. Where it is that of the
last successful run, the chapter is skipped; so a run that was killed, or that failed, goes on
where it was. The library's source is no part of it: whoever edits the library says ``--force``,
or raises ``NUMBERS``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import psutil

from .. import NUMBERS
from ..errors import ConfigError, unknown
from ..files import project_root, write_atomically
from .status import DEFAULT_RUN, ChapterRecord, machine, read_status, write_status

LOCK = "constraints.txt"
QUIET = ["--IPKernelApp.log_level=CRITICAL"]  # else kernels remark on their own shutdown
SOCKETS = "gensr-kernel-"  # how the folders of the kernels' sockets begin; then the process
GO_ON = (
    " What was trained is kept, and the same command goes on from there; it may be given "
    "--timeout, the seconds of a cell."
)
WIDGET = "application/vnd.jupyter.widget-view+json"


class BookError(RuntimeError):
    """A chapter failed; the message names the chapter, the cell, the error and the notebook."""


def chapters(folder: Path) -> list[Path]:
    """The notebooks of a folder whose names start with two digits, in order.

    Raises:
        ConfigError: there is none.
    """
    found = sorted(p for p in Path(folder).glob("*.ipynb") if re.fullmatch(r"\d\d_\w+", p.stem))
    if not found:
        raise ConfigError(f"no chapters (01_name.ipynb, 02_…) in {folder}: run this in the book")
    return found


def run_book(
    folder: Path,
    parameters: dict[str, Any],
    out: Path,
    *,
    only: Sequence[str] | None = None,
    force: bool = False,
    in_place: bool = False,
    timeout: int = 3600,
) -> list[ChapterRecord]:
    """Execute the chapters in ``folder``, their working directory; one record for each.

    Args:
        parameters: values for the notebooks' parameters cells.
        out: where the executed notebooks and the status page go.
        only: names of chapters (``01_data``, or just ``01``); the others are left as they are.
        force: run also the chapters whose inputs have not changed.
        in_place: copy the outputs back into the notebooks; with the default parameters only.
        timeout: seconds that one cell may take.

    Raises:
        ConfigError: unknown chapter, ``in_place`` with other parameters, ``out`` is in use.
        BookError: a chapter failed. The chapters before it keep their results.
    """
    out = Path(out).resolve()
    everything = chapters(Path(folder).resolve())
    selected = _select(everything, only)
    if in_place and parameters != DEFAULT_RUN:
        raise ConfigError("--in-place: the committed notebooks show the default run only")
    prints = fingerprints(everything, parameters)
    with _locked(out):
        _sweep(out)
        records = read_status(out)
        for path in selected:
            record = records.get(path.stem)
            if not force and _is_current(record, prints[path.stem], out / path.name):
                record = replace(record, outcome="skipped")
            else:
                record = _run_chapter(path, prints[path.stem], parameters, out, timeout)
            _note(record, records, out)
            if in_place:
                copy_outputs(out / path.name, path)
    return [records[path.stem] for path in selected]


def _note(record: ChapterRecord, records: dict[str, ChapterRecord], out: Path) -> None:
    """Put a record among the others on the status page; a failed one ends the run."""
    records[record.chapter] = record
    write_status(out, records)
    print(f"{record.chapter:<26} {record.outcome:<8} {record.seconds:.1f} s", flush=True)
    if record.error:
        raise BookError(record.error)


def _is_current(last: ChapterRecord | None, fingerprint: str, executed: Path) -> bool:
    """Whether the last run of a chapter succeeded, is there, and had all that it depends on."""
    known = last is not None and not last.error and last.fingerprint == fingerprint
    return known and executed.exists()


def _run_chapter(
    path: Path, fingerprint: str, parameters: dict, out: Path, timeout: int
) -> ChapterRecord:
    """Execute one chapter, whether it succeeds or not."""
    start = time.perf_counter()
    error = _execute(path, parameters, out, timeout)
    return ChapterRecord(
        chapter=path.stem,
        outcome="failed" if error else "ran",
        seconds=round(time.perf_counter() - start, 2),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        fingerprint=fingerprint,
        parameters=parameters,
        machine=machine(path.parent),
        error=error,
    )


def _execute(path: Path, parameters: dict, out: Path, timeout: int) -> str:
    """Execute under a temporary name, then rename; the message if it failed, else ''."""
    import papermill

    part = out / f"{path.stem}.partial.ipynb"
    failed = out / f"{path.stem}.failed.ipynb"
    failed.unlink(missing_ok=True)
    options = {
        "cwd": str(path.parent),
        "kernel_name": "python3",
        "extra_arguments": QUIET,
        "progress_bar": {"desc": path.stem, "leave": False} if sys.stderr.isatty() else False,
        "execution_timeout": timeout,
        "start_timeout": 120,
    }
    try:
        with _kernel_environment() as kernel:
            papermill.execute_notebook(path, part, parameters, **options, **kernel)
    except Exception as error:  # of the notebook, of its kernel, or a cell that took too long
        if part.exists():
            os.replace(part, failed)
        return _explain(path.stem, failed, error)
    _drop_widgets(part)
    os.replace(part, out / path.name)
    return ""


def fingerprints(paths: Sequence[Path], parameters: dict[str, Any]) -> dict[str, str]:
    """The hash of all that each chapter depends on; ``paths`` in the order of the book."""
    lock = project_root() / LOCK
    locked = lock.read_text(encoding="utf-8") if lock.exists() else ""
    chain = _hash(parameters, NUMBERS, locked, _data_files(parameters.get("DATASET")))
    result = {}
    for path in paths:  # a chapter may load what those before it have made
        chain = result[path.stem] = _hash(chain, path.name, _sources(path))
    return result


def _sources(path: Path) -> list[Any]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    # The format allows a cell's source as one string or as lines; both are the same source.
    return [
        [cell["cell_type"], "".join(cell["source"]), cell.get("metadata", {}).get("tags", [])]
        for cell in cells
    ]


def _data_files(dataset: Any) -> list[Any]:
    """The raw files of a data set; none if it is simulated."""
    from ..data.sources.load import find

    files = find(dataset, must_exist=False).files() if isinstance(dataset, str) else {}
    return [[name, _file_hash(path)] for name, path in files.items()]


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash(*values: Any) -> str:
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _select(everything: list[Path], only: Sequence[str] | None) -> list[Path]:
    wanted = {name.removesuffix(".ipynb") for name in only or []}
    names = [path.stem for path in everything]
    for name in sorted(wanted - set(names) - {known[:2] for known in names}):
        raise unknown("chapter", name, names)
    return [p for p in everything if not wanted or wanted & {p.stem, p.stem[:2]}]


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            yield
    except Timeout:
        message = f"another run of the book is writing to {out}: wait for it to end"
        raise ConfigError(message) from None


def _sweep(out: Path) -> None:
    """Remove what runs left behind that were killed; ``out`` is locked, so nobody writes to it."""
    for part in out.glob("*.partial.ipynb"):
        part.unlink()
    for folder in Path(gettempdir()).glob(f"{SOCKETS}*-*"):
        process = folder.name.removeprefix(SOCKETS).partition("-")[0]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _kernel_environment() -> Iterator[dict[str, Any]]:
    """Hide what would let a chapter do other than its parameters say; yield kernel settings.

    GENSR_* would override the parameters, and a shell's MPLBACKEND would keep figures out of the
    notebook. The kernel talks through sockets in a folder of its own, not through open ports,
    which two kernels may both want.
    """
    from traitlets.config import Config

    hidden = ("GENSR_PROFILE", "GENSR_DATASET", "MPLBACKEND")
    before = {name: os.environ.pop(name) for name in hidden if name in os.environ}
    try:
        folder = {"prefix": f"{SOCKETS}{os.getpid()}-", "ignore_cleanup_errors": True}
        with TemporaryDirectory(**folder) as sockets:
            own = {"transport": "ipc", "ip": os.path.join(sockets, "kernel")}
            # A socket's whole path may have about 100 characters.
            fits = os.name != "nt" and len(own["ip"]) < 90
            yield {"config": Config({"KernelManager": own})} if fits else {}
    finally:
        os.environ.update(before)


def _explain(chapter: str, notebook: Path, error: Exception) -> str:
    """What one needs to find the place: chapter, cell, its first lines, the error's first line."""
    import nbformat

    kind = getattr(error, "ename", type(error).__name__)
    text = str(getattr(error, "evalue", error)).strip()
    what = f"{kind}: {text.splitlines()[0]}" if text else kind
    what += GO_ON if kind == "CellTimeoutError" else ""
    if not notebook.exists():
        return f"chapter {chapter} failed before its first cell\n{what}"
    cells = list(enumerate(_own_cells(nbformat.read(notebook, as_version=4)), start=1))
    started = [c for c in cells if c[1].metadata.get("papermill", {}).get("start_time")]
    number, cell = (started or cells)[-1]
    lines = [f"    {line}" for line in cell.source.splitlines()[:5]]
    where = f"chapter {chapter} failed at cell {number}:"
    return "\n".join([where, *lines, what, f"The notebook up to there: {notebook}"])


def copy_outputs(executed: Path, notebook: Path) -> None:
    """Give ``notebook`` the outputs of its executed copy, and nothing else of it.

    What papermill added stays behind: the injected cell, times, and paths of this machine. Cells
    are numbered from 1 again.
    """
    import nbformat

    target = nbformat.read(notebook, as_version=4)
    cells = zip(target.cells, _own_cells(nbformat.read(executed, as_version=4)), strict=True)
    code = [(cell, source) for cell, source in cells if cell.cell_type == "code"]
    for count, (cell, source) in enumerate(code, start=1):
        cell.execution_count = count if source.execution_count is not None else None
        cell.outputs = source.outputs
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
    write_atomically(notebook, lambda part: nbformat.write(target, part))


def _own_cells(notebook: Any) -> list[Any]:
    """The cells without those that papermill put in."""
    added = {"injected-parameters", "papermill-error-cell-tag"}
    return [cell for cell in notebook.cells if not added & set(cell.metadata.get("tags", []))]


def _drop_widgets(path: Path) -> None:
    """Take progress bars out of an executed notebook: they mean nothing without their kernel."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if WIDGET not in o.get("data", {})]
    nbformat.write(notebook, path)
