"""Seconds and memory of `load_dataset` on 0.54 million events, beside another version's if asked.

    python benchmarks/loading.py [--quick] [--out FILE] [--against FOLDER]

A pocket world is written as a folder of tables, once as Parquet and once as CSV; each load is a
process of its own. ``--against`` names a checkout of another version: the two are then timed one
right after the other in each repeat, and the ratios are medians of those within the repeats.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from command import command

from gensr_lib.config import PocketConfig
from gensr_lib.data.pocket.world import simulate

HERE = Path(__file__).resolve().parents[1]
FORMATS = ("parquet", "csv")
WORLD = PocketConfig(n_users=12_000, n_items=12_000, n_events=540_000)
TINY = PocketConfig(n_users=150, n_items=300, n_events=3_000)

# What is loaded first is for the imports, so that they do not count. In the other version the
# function may live elsewhere; `gensr_lib.load_dataset` is its name in all of them.
LOAD = """
import json, resource, sys, time
import numpy as np, psutil
from gensr_lib import load_dataset

def resident():
    return psutil.Process().memory_info().rss / 1e6

load_dataset("pocket", "smoke")
before, wall, cpu = resident(), time.perf_counter(), time.process_time()
dataset = load_dataset(*sys.argv[1:])
found = {"wall s": time.perf_counter() - wall, "cpu s": time.process_time() - cpu}
unit = 1 if sys.platform == "darwin" else 1024
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
found |= {"peak MB": peak - before, "resident MB": resident() - before, "process MB": peak}
wall = time.perf_counter()
load_dataset(*sys.argv[1:])
found["again s"] = time.perf_counter() - wall
# What a model with a vector per item trains on: 1 + 4 candidates a row, 1,024 rows a batch.
n = len(dataset.rows["train"]["rec"])
rows = np.random.default_rng(0).integers(0, n, (20, 1024))
candidates = np.random.default_rng(1).integers(1, dataset.n_items + 1, (1024, 5))
dataset.batch("train", "rec", rows[0], candidates)
cpu = time.process_time()
for index in rows:
    dataset.batch("train", "rec", index, candidates)
found["candidates per s"] = len(rows) * candidates.size / (time.process_time() - cpu)
print(json.dumps(found | {"events": len(dataset.user), "hash": dataset.hash}))
"""


def write_tables(config: PocketConfig, folder: Path) -> None:
    """The world's two tables in each format, one folder a format."""
    world = simulate(config)
    for name, table in {"interactions": world.interactions, "items": world.items}.items():
        for form in FORMATS:
            path = folder / form / f"{name}.{form}"
            path.parent.mkdir(exist_ok=True)
            table = table.astype(dict.fromkeys(table.select_dtypes("category"), object))
            table.to_parquet(path) if form == "parquet" else table.to_csv(path, index=False)


def load(checkout: Path, folder: Path, profile: str = "pocket") -> dict:
    """The figures of one load by the version in a checkout, in a process and a home of its own."""
    with tempfile.TemporaryDirectory() as home:
        names = {"PYTHONPATH": str(checkout), "GENSR_HOME": home, "OMP_NUM_THREADS": "1"}
        program = [sys.executable, "-c", LOAD, str(folder), profile]
        done = subprocess.run(program, env=os.environ | names, cwd=home, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(versions: dict[str, Path], folder: Path, repeats: int) -> dict:
    """All loads of one folder by version, and the ratios of this version to the other."""
    loads = [{name: load(path, folder) for name, path in versions.items()} for _ in range(repeats)]
    hashes = {found["hash"] for pair in loads for found in pair.values()}
    result = {"loads": loads, "same data": len(hashes) == 1}
    if len(versions) == 2:
        figures = [name for name in loads[0]["this"] if name.endswith((" s", " MB"))]
        ratios = {n: [pair["this"][n] / pair["other"][n] for pair in loads] for n in figures}
        result["this / other"] = {name: statistics.median(found) for name, found in ratios.items()}
    return result


def table(result: dict) -> str:
    """The figures for a terminal: a line per format and version."""
    lines = [f"{'median of ' + str(result['repeats']):24}" + "".join(f"{n:>13}" for n in UNITS)]
    for form in FORMATS:
        loads = result[form]["loads"]
        for name in loads[0]:
            medians = [statistics.median(pair[name][unit] for pair in loads) for unit in UNITS]
            lines.append(f"{form + ', ' + name:24}" + "".join(f"{m:13.2f}" for m in medians))
        if ratios := result[form].get("this / other"):
            lines.append(f"{form + ', ratio':24}" + "".join(f"{ratios[u]:13.2f}" for u in UNITS))
    return "\n".join(lines)


UNITS = ("wall s", "cpu s", "peak MB", "resident MB")


def run(quick: bool, against: Path | None = None) -> dict:
    """Write the tables, then load them in each format."""
    repeats = 1 if quick else 3
    versions = {"this": HERE} | ({"other": against.resolve()} if against else {})
    with tempfile.TemporaryDirectory() as place:
        # Elsewhere: a process counts the peak of the one that started it as its own.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
            other.submit(write_tables, TINY if quick else WORLD, Path(place)).result()
        found = {form: measure(versions, Path(place) / form, repeats) for form in FORMATS}
    return {"repeats": repeats, **found}


AGAINST = {"dest": "against", "type": Path, "help": "a checkout of another version to compare with"}
main = partial(command, __doc__, run, table, "loading", options=(AGAINST,))

if __name__ == "__main__":
    main()
