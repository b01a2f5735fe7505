"""Run the book: its chapters in order, by papermill, each only if something it depends on has changed.

A chapter's *fingerprint* covers its cells (not their outputs), the chapters before it, the
parameters, the library's source, the installed versions and the data set's files. Where it is that
of the last successful run, the chapter is skipped; so a run that was killed, or that failed, goes
on where it was.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import ConfigError, unknown
from .status import NOTEBOOK_AT, ChapterRecord, machine, read_status, write_status

KERNEL = "python3"
QUIET = ["--IPKernelApp.log_level=CRITICAL"]  # else each chapter ends with the kernel's remarks on its own shutdown
SMALL_FILE = 1_000_000  # bytes; up to here a data file is known by its content, above by size and time


class BookError(RuntimeError):
    """A chapter failed; the message names the chapter, the cell and the error, and where the notebook is."""


def chapters(folder: Path) -> list[Path]:
    """The notebooks of a folder whose names start with two digits, in order.

    Raises:
        ConfigError: there is none.
    """
    found = sorted(p for p in Path(folder).glob("*.ipynb") if re.fullmatch(r"\d\d_\w+", p.stem))
    if not found:
        raise ConfigError(f"no chapters (01_name.ipynb, 02_…) in {folder}: run this from the book's root")
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
    progress: bool | None = None,
) -> list[ChapterRecord]:
    """Execute the chapters in ``folder`` and write the executed notebooks and a status page to ``out``.

    Args:
        folder: where the chapters are; also the kernels' working directory.
        parameters: values for the notebooks' parameters cells.
        out: where the executed notebooks go.
        only: names of chapters (``01_data``, or just ``01``); the others are left as they are.
        force: run also the chapters whose inputs have not changed.
        in_place: copy the outputs back into the notebooks in ``folder``; default parameters only.
        timeout: seconds that one cell may take.
        progress: show a bar over the cells; by default where the error stream is a terminal.

    Returns:
        One record per selected chapter.

    Raises:
        ConfigError: a chapter or parameter is unknown, ``in_place`` with other than the default
            parameters, or another run is writing to ``out``.
        BookError: a chapter failed. The chapters before it keep their results.
    """
    folder, out = Path(folder).resolve(), Path(out).resolve()
    everything = chapters(folder)
    selected = _select(everything, only)
    for path in selected:
        _check_parameters(path, parameters, defaults_only=in_place)
    bar = sys.stderr.isatty() if progress is None else progress
    with _locked(out):
        prints = fingerprints(everything, parameters)
        runner = _Runner(folder, out, parameters, machine(folder), timeout, bar)
        records = []
        for path in selected:
            records.append(runner.chapter(path, prints[path.stem], force))
            if in_place:
                copy_outputs(out / path.name, path)
    return records


class _Runner:
    """What stays the same from chapter to chapter of one run."""

    def __init__(self, folder: Path, out: Path, parameters: dict, machine: dict, timeout: int, bar: bool) -> None:
        self.folder, self.out, self.parameters = folder, out, parameters
        self.machine, self.timeout, self.bar = machine, timeout, bar
        self.records = read_status(out)

    def chapter(self, path: Path, fingerprint: str, force: bool) -> ChapterRecord:
        """Run or skip one chapter, and note it on the status page."""
        last = self.records.get(path.stem)
        current = last and last.outcome != "failed" and last.fingerprint == fingerprint
        if current and not force and (self.out / path.name).exists():
            return self._note(ChapterRecord(**{**vars(last), "outcome": "skipped"}))
        start = time.perf_counter()
        error = self._execute(path)
        record = ChapterRecord(
            chapter=path.stem,
            outcome="failed" if error else "ran",
            seconds=round(time.perf_counter() - start, 2),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            fingerprint=fingerprint,
            parameters=self.parameters,
            machine=self.machine,
            error=error,
        )
        self._note(record)
        if error:
            raise BookError(error)
        return record

    def _execute(self, path: Path) -> str:
        """Execute under a temporary name, then rename; return the message if it failed, else ''."""
        import papermill

        part, failed = self.out / f"{path.stem}.partial.ipynb", self.out / f"{path.stem}.failed.ipynb"
        bar = {"desc": path.stem, "leave": False} if self.bar else False
        limits = {"execution_timeout": self.timeout, "start_timeout": 120}
        options = {"kernel_name": KERNEL, "extra_arguments": QUIET, "cwd": str(self.folder), "progress_bar": bar}
        failed.unlink(missing_ok=True)
        try:
            with _kernel_environment() as kernel:
                papermill.execute_notebook(str(path), str(part), self.parameters, **options, **limits, **kernel)
        except Exception as error:  # of the notebook, of its kernel, or a cell that took too long
            if part.exists():
                os.replace(part, failed)
            return _explain(path.stem, failed, error)
        os.replace(part, self.out / path.name)
        return ""

    def _note(self, record: ChapterRecord) -> ChapterRecord:
        self.records[record.chapter] = record
        write_status(self.out, self.records)
        took = f"unchanged since {record.finished}" if record.outcome == "skipped" else f"{record.seconds:.1f} s"
        print(f"{record.chapter:<26} {record.outcome:<8} {took}", flush=True)
        return record


def fingerprints(paths: Sequence[Path], parameters: dict[str, Any]) -> dict[str, str]:
    """The hash of all that each chapter depends on, by chapter; ``paths`` in the order of the book."""
    chain = _hash(parameters, _library(), _installed(), _data_files(parameters.get("DATASET")))
    result = {}
    for path in paths:
        chain = result[path.stem] = _hash(chain, path.name, _sources(path))
    return result


def copy_outputs(executed: Path, notebook: Path) -> None:
    """Give ``notebook`` the outputs of its executed copy, and nothing else of it.

    What papermill added stays behind: the injected cell, times, and paths of this machine; so do
    progress bars, which mean nothing without their kernel. Cells are numbered from 1 again.
    """
    import nbformat

    target, done = nbformat.read(notebook, as_version=4), nbformat.read(executed, as_version=4)
    count = 0
    for cell, source in zip(target.cells, _own_cells(done), strict=True):
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count if source.execution_count is not None else None
            cell.outputs = [_numbered(output, count) for output in source.outputs if not _is_widget(output)]
    part = notebook.with_name(f".{notebook.stem}.part.ipynb")
    nbformat.write(target, part)
    os.replace(part, notebook)


def _select(everything: list[Path], only: Sequence[str] | None) -> list[Path]:
    wanted = {name.removesuffix(".ipynb") for name in only or []}
    names = [path.stem for path in everything]
    for name in sorted(wanted):
        if name not in names and name not in [known[:2] for known in names]:
            raise unknown("chapter", name, names)
    return [p for p in everything if not wanted or p.stem in wanted or p.stem[:2] in wanted]


def _check_parameters(path: Path, parameters: dict[str, Any], defaults_only: bool) -> None:
    """papermill only logs a parameter that a notebook does not have; here it is an error."""
    import papermill

    known = papermill.inspect_notebook(str(path))
    for name, value in parameters.items():
        if name not in known:
            raise ConfigError(f"{path.name}: {unknown('parameter', name, known)}")
        default = ast.literal_eval(known[name]["default"])
        if defaults_only and value != default:
            raise ConfigError(
                f"the committed notebooks show the default run only: {name} is {value!r}, "
                f"and {path.name} has {default!r}; leave out --in-place"
            )


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigError(f"another run of the book is writing to {out}: wait for it to end") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _kernel_environment() -> Iterator[dict[str, Any]]:
    """Hide variables that would let a chapter do other than its parameters say; yield the kernel's settings.

    GENSR_* would override the parameters, and a MPLBACKEND of the shell would keep figures out of the notebook.
    The kernel talks through sockets in a folder of its own, not through open ports, which two kernels may both want.
    """
    from traitlets.config import Config

    changed = ("GENSR_PROFILE", "GENSR_DATASET", "MPLBACKEND")
    before = {name: os.environ.pop(name, None) for name in changed}
    try:
        with TemporaryDirectory(prefix="gensr-", ignore_cleanup_errors=True) as sockets:
            own = {"transport": "ipc", "ip": os.path.join(sockets, "kernel")}
            fits = os.name != "nt" and len(own["ip"]) < 90  # a socket's whole path may have about 100 characters
            yield {"config": Config({"KernelManager": own})} if fits else {}
    finally:
        os.environ.update({name: value for name, value in before.items() if value is not None})


def _explain(chapter: str, notebook: Path, error: Exception) -> str:
    """Chapter, cell, the cell's first lines and the error's first line: what one needs to find the place."""
    kind, text = getattr(error, "ename", type(error).__name__), str(getattr(error, "evalue", error)).strip()
    what = f"{kind}: {text.splitlines()[0] if text else ''}".rstrip(": ")
    if not notebook.exists():
        return f"chapter {chapter} failed before its first cell\n{what}"
    number, source = _last_started_cell(notebook)
    lines = [f"    {line}" for line in source.splitlines()[:5]]
    where = f"chapter {chapter} failed at cell {number}:"
    return "\n".join([where, *lines, what, f"{NOTEBOOK_AT}{notebook}"])


def _last_started_cell(notebook: Path) -> tuple[int, str]:
    """Number (from 1, all kinds of cells) and source of the cell that an executed notebook ended in."""
    import nbformat

    cells = list(enumerate(_own_cells(nbformat.read(notebook, as_version=4)), start=1))
    started = [c for c in cells if c[1].metadata.get("papermill", {}).get("start_time")]
    number, cell = (started or cells)[-1]
    return number, cell.source


def _own_cells(notebook: Any) -> list[Any]:
    """The cells without those that papermill put in."""
    added = {"injected-parameters", "papermill-error-cell-tag"}
    return [cell for cell in notebook.cells if not added & set(cell.metadata.get("tags", []))]


def _is_widget(output: Any) -> bool:
    return "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def _numbered(output: Any, count: int) -> Any:
    if "execution_count" in output:
        output.execution_count = count
    return output


def _sources(path: Path) -> list[Any]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    # The format allows a cell's source as one string or as lines; both are the same source.
    return [[c["cell_type"], "".join(c["source"]), c.get("metadata", {}).get("tags", [])] for c in cells]


def _library() -> list[Any]:
    root = Path(__file__).parents[1]
    files = sorted(p for p in root.rglob("*") if p.suffix in {".py", ".yaml"})
    return [[p.relative_to(root).as_posix(), hashlib.sha256(p.read_bytes()).hexdigest()] for p in files]


def _installed() -> list[str]:
    return sorted({f"{d.metadata['Name']}=={d.version}" for d in metadata.distributions()})


def _data_files(dataset: Any) -> list[Any]:
    """The files of a folder, or those that a name stands for in ``data/raw/``; none if the data are simulated."""
    from ..data.sources.load import find

    root = find(dataset, must_exist=False).path if isinstance(dataset, str) else None
    if root is None:
        return []
    return [[p.relative_to(root).as_posix(), _content(p)] for p in sorted(root.rglob("*")) if p.is_file()]


def _content(path: Path) -> list[Any]:
    stat = path.stat()
    if stat.st_size <= SMALL_FILE:
        return [hashlib.sha256(path.read_bytes()).hexdigest()]
    return [stat.st_size, stat.st_mtime_ns]


def _hash(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()
