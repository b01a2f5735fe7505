"""What an input is, how it is tried, and the six things that may come of it.

right       the data set holds what the files say
clear       a `DataError` that names the file, the line, the column, the value, or a `ConfigError`
            that does so of the folder's mapping
unclear     one of them that lacks one of these
silent      it loads, and what it holds is wrong, or a loss is not mentioned
traceback   any other exception
hang        no answer within a minute and a half
"""

from __future__ import annotations

import gzip
import logging
import multiprocessing
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gensr_lib.config import DataConfig
from gensr_lib.data.dataset import Dataset
from gensr_lib.data.sources.load import load_dataset
from gensr_lib.errors import ConfigError, DataError

OUTCOMES = ("right", "clear", "unclear", "silent", "traceback", "hang")
SMALL = DataConfig(min_interactions=1, eval_negatives=5)
PATIENCE = 90  # seconds

Content = str | bytes | pd.DataFrame | pa.Table


@dataclass(frozen=True)
class Case:
    """An input and what it must come to: right, or an error that names things, or either.

    Attributes:
        name: in words, and unique.
        files: by name; a table is written as Parquet, text as UTF-8.
        right: whether the data set is what the files say.
        names: what an error must name.
        notes: what the notes of the data set must name, where something was left out.
        logged: whether a warning must be logged as well.
        is_new: not among the inputs of the review that found the faults.
    """

    name: str
    files: dict[str, Content]
    right: Callable[[Dataset], bool] | None = None
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    logged: bool = False
    is_new: bool = False


def read(name: str, files: dict, right: Callable, *notes: str, logged: bool = False) -> Case:
    """An input that is read right."""
    return Case(name, files, right, notes=notes, logged=logged)


def refused(name: str, files: dict, *names: str) -> Case:
    """An input that is an error of the events, which names some things."""
    return Case(name, files, names=("interactions", *names))


def refused_items(name: str, files: dict, *names: str) -> Case:
    """An input that is an error of the items, which names some things."""
    return Case(name, files, names=("items", *names))


def either(name: str, files: dict, right: Callable, *names: str) -> Case:
    """An input that is read right or refused: both will do."""
    return Case(name, files, right, names)


def write(files: dict[str, Content], folder: Path) -> None:
    """The files of a case in a folder."""
    for name, content in files.items():
        if content is ...:  # taken back by the case
            continue
        path = folder / name
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        elif isinstance(content, pd.DataFrame):
            content.to_parquet(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)


class _Kept(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def outcome(case: Case, folder: Path) -> tuple[str, str]:
    """One of `OUTCOMES`, and the message or the fault."""
    write(case.files, folder)
    kept = _Kept()
    logger = logging.getLogger("gensr_lib")
    logger.addHandler(kept)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = load_dataset(folder, "smoke", data_config=SMALL)
            return _judged(case, dataset, kept.records)
    except (DataError, ConfigError) as error:
        missing = [name for name in case.names if name not in str(error)]
        is_clear = case.names and not missing
        return ("clear", str(error)) if is_clear else ("unclear", f"{error} [lacks {missing}]")
    except Exception as error:  # what must not happen
        return "traceback", f"{type(error).__name__}: {error}"
    finally:
        logger.removeHandler(kept)


def _judged(case: Case, dataset: Dataset, logged: list) -> tuple[str, str]:
    said = " ".join(getattr(dataset, "notes", []))
    if case.right is None or not case.right(dataset):
        return "silent", f"{dataset!r}; {said}"
    if any(note not in said for note in case.notes) or bool(logged) < case.logged:
        return "silent", f"not mentioned; {said}"
    return "right", said


def _tried(case: Case, folder: str, answer) -> None:
    os.environ["GENSR_HOME"] = folder  # where negatives are stored
    answer.send(outcome(case, Path(folder)))


def tried(case: Case, patience: float = PATIENCE) -> tuple[str, str]:
    """`outcome` in a process of its own, which may hang or die."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        process = context.Process(target=_tried, args=(case, folder, sender))
        process.start()
        sender.close()
        try:
            found = receiver.recv() if receiver.poll(patience) else ("hang", f"{patience} s")
        except EOFError:
            found = ("traceback", "the process died")
        process.kill()
        process.join()
    return found


# --- a small shop, to be spoilt -----------------------------------------------------------------

USERS = ("ann", "ben", "eve")
DAYS = range(1, 9)
ROWS = [(user, day) for user in USERS for day in DAYS]  # in the order of the file


Values = Callable[[str, int], object] | str | None


def table(columns: dict[str, Values]) -> pd.DataFrame:
    """A row for each of `ROWS`.

    Args:
        columns: by name, a function of (user, day), or a text in which {u} and {d} stand for them;
            None leaves the column out.
    """
    made = {}
    for name, values in columns.items():
        if isinstance(values, str):
            made[name] = [values.format(u=user, d=day) for user, day in ROWS]
        elif values is not None:
            made[name] = [values(user, day) for user, day in ROWS]
    return pd.DataFrame(made)


def events(**changes: Values) -> pd.DataFrame:
    """Three customers, a click a day, every other day after a search; ann's items are a1 to a8."""
    columns = {
        "user_id": "{u}",
        "item_id": "{u[0]}{d}",
        "time": lambda user, day: day,
        "behavior": lambda user, day: "rec" if day % 2 else "src",
        "query": lambda user, day: "" if day % 2 else f"red shoe {day}",
    }
    return table({**columns, **changes})


def items(**changes: Values) -> pd.DataFrame:
    """The items of `events` in its order."""
    title = "Shoe {d} of {u}"
    columns = {"item_id": "{u[0]}{d}", "title": title, "categories": "Clothing > Shoes > Kind {d}"}
    return table({**columns, **changes})


def csv(table: pd.DataFrame, sep: str = ",", end: str = "\n") -> str:
    """A table as CSV without any quotes."""
    lines = [sep.join(table.columns), *(sep.join(map(str, row)) for row in table.to_numpy())]
    return end.join(lines) + end


def spoilt(text: str, lines: dict[int, str]) -> str:
    """A text with other lines, counted from 1 as an editor does."""
    found = text.split("\n")
    for number, line in lines.items():
        found[number - 1] = line
    return "\n".join(found)


LOG = csv(events())
CATALOGUE = csv(items())


def folder(log: Content = LOG, catalogue: Content = CATALOGUE) -> dict[str, Content]:
    """The two files, by what they hold."""
    ends = [".csv" if isinstance(table, str | bytes) else ".parquet" for table in (log, catalogue)]
    return {f"interactions{ends[0]}": log, f"items{ends[1]}": catalogue}


def log(**changes: Values) -> dict[str, Content]:
    """The shop with other columns of events."""
    return folder(csv(events(**changes)))


def shelf(**changes: Values) -> dict[str, Content]:
    """The shop with other columns of items."""
    return folder(LOG, csv(items(**changes)))


def line(number: int, text: str) -> dict[str, Content]:
    """The shop with another line in the file of events."""
    return folder(spoilt(LOG, {number: text}))


def item_line(number: int, text: str) -> dict[str, Content]:
    """The shop with another line in the file of items."""
    return folder(LOG, spoilt(CATALOGUE, {number: text}))


def one_time(value: str, usual: str = "{d}", column: str = "time") -> dict[str, Content]:
    """The shop with one other time, in line 5 (ann's fourth day)."""
    times = events(**{"time": None, column: usual})
    times.loc[3, column] = value
    return folder(csv(times))


def big_gzip(start: str, block: str, repeats: int) -> bytes:
    """A small file that unpacks to a large one: members of gzip one after the other."""
    return gzip.compress(start.encode()) + gzip.compress(block.encode()) * repeats


# --- what a data set that was read right looks like ----------------------------------------------


def order(dataset: Dataset, user: str = "ann") -> str:
    """The items of a user in the order of the log."""
    log = dataset.events
    return " ".join(log.loc[log["user_id"].eq(user), "item_id"])


def in_order(dataset: Dataset) -> bool:
    """All 24 events, each user's in the order of the days, half of them searches."""
    days = " ".join(f"a{day}" for day in DAYS)
    return order(dataset) == days and len(dataset.user) == 24 and dataset.is_search.sum() == 12


def with_texts(dataset: Dataset) -> bool:
    """`in_order`, and every item has its title."""
    return in_order(dataset) and dataset.item_title[1] == "Shoe 1 of ann"
