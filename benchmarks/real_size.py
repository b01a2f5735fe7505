"""Seconds and memory of `load_dataset` on raw files of the size of real data, and whether both grow in step with it.

    python benchmarks/real_size.py [--quick] [--out FILE] [--data NAME] [--most SHARE]

The files are made up (`raw_amazon`, `raw_kuaisar`), in the schema and of the size of the real ones; each load is a
process of its own with one thread (DuckDB takes all) and the profile ``paper``. ``--most 0.1`` stops at a tenth of the
full size.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from command import command
from loading import HERE, load
from raw_amazon import write_amazon
from raw_kuaisar import Sizes, write_kuaisar

KINDLE = {"n_reviews": 989_618, "n_users": 68_223, "n_items": 61_934}  # reviews_Kindle_Store_5 of 2014
PARTS = ((2014, 0.01), (2014, 0.1), (2014, 1), (2018, 0.1), (2023, 0.1))  # releases, and shares of that size


@dataclass(frozen=True)
class Load:
    """Some raw files to be loaded.

    Attributes:
        name: what they are.
        share: of the full size.
        write: writes them into a folder; it must be known in another process.
    """

    name: str
    share: float
    write: Callable[[Path], object]


def amazon(quick: bool) -> list[Load]:
    """Kindle in the schema of 2014, small to full, and a tenth of it in those of 2018 and 2023."""
    loads = []
    for release, share in ((2014, 0.01), (2018, 0.01), (2023, 0.01)) if quick else PARTS:
        size = {name: round(n * share) for name, n in KINDLE.items()}
        loads.append(Load(f"Amazon {release}, {share:.0%}", share, partial(write_amazon, release=release, **size)))
    return loads


def kuaisar(quick: bool) -> list[Load]:
    """KuaiSAR's full release, small to full, as CSV files."""
    shares = (0.01,) if quick else (0.01, 0.1, 1)
    return [Load(f"KuaiSAR, {s:.0%}", s, partial(write_kuaisar, sizes=Sizes().scaled(s))) for s in shares]


DATA = {"amazon": amazon, "kuaisar": kuaisar}  # a new kind of raw files is a function like this one, and a line here


def measure(made: Load, folder: Path) -> dict:
    """Write the files of a load, and load them."""
    started = time.perf_counter()
    # Elsewhere: a process counts the peak of the one that started it as its own.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        other.submit(made.write, folder).result()
    written = time.perf_counter() - started
    found = load(HERE, folder, "paper")
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    more = {"share": made.share, "files MB": size, "writing s": written}
    return found | more | {"cpu ms per 1000 events": 1e6 * found["cpu s"] / found["events"]}


def run(quick: bool, data: str = "amazon", most: float = 1) -> dict:
    """The figures of each load of a kind of data, by its name."""
    found = {}
    for made in DATA[data](quick):
        if made.share <= most:
            with tempfile.TemporaryDirectory() as place:
                found[made.name] = measure(made, Path(place))
    return {"data": data, "loads": found}


FIGURES = ("wall s", "cpu s", "again s", "peak MB", "process MB", "files MB", "candidates per s", "events")
FIGURES += ("cpu ms per 1000 events",)


def table(result: dict) -> str:
    """The figures for a terminal: a line per load."""
    lines = [f"{'':24}" + "".join(f"{name:>24}" for name in FIGURES)]
    for name, found in result["loads"].items():
        lines.append(f"{name:24}" + "".join(f"{found[figure]:24,.1f}" for figure in FIGURES))
    return "\n".join(lines)


OPTIONS = (
    {"dest": "data", "choices": list(DATA), "default": "amazon", "help": "which raw files (default: %(default)s)"},
    {"dest": "most", "type": float, "default": 1, "help": "largest share of the full size (default: %(default)s)"},
)
main = partial(command, __doc__, run, table, "real_size", options=OPTIONS)

if __name__ == "__main__":
    main()
