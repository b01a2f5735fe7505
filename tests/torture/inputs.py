"""The table of inputs: name, files, and what must come of them.

Each case spoils one thing of a sound little shop (`cases.events`, `cases.items`): `read` says how to
see that it was read right, `refused` what the error must name. The cases stand by topic in the
files beside this one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from .cases import OUTCOMES, tried
from .inputs_amazon import AMAZON, NEW_AMAZON
from .inputs_files import FILES, NEW_FILES
from .inputs_mapping import NEW_MAPPING, NEW_TSV
from .inputs_parquet import NEW_PARQUET, PARQUET
from .inputs_tables import NEW_TABLES, TABLES
from .inputs_times import NEW_TIMES, TIMES

REVIEWED = [*TIMES, *TABLES, *FILES, *PARQUET, *AMAZON]
MADE_UP = [*NEW_TIMES, *NEW_TABLES, *NEW_FILES, *NEW_PARQUET, *NEW_AMAZON, *NEW_MAPPING, *NEW_TSV]
CASES = [*REVIEWED, *(replace(case, is_new=True) for case in MADE_UP)]


def report() -> None:
    """Try every input in a process of its own; print what is neither right nor clear, and counts."""
    counts = {"reviewed": Counter(), "made up": Counter()}
    for case in CASES:
        found, message = tried(case)
        counts["made up" if case.is_new else "reviewed"][found] += 1
        if found not in OUTCOMES[:2]:
            print(f"{found:10} {case.name}\n           {message[:200]}", flush=True)
    for kind, of_kind in counts.items():
        figures = ", ".join(f"{of_kind[name]} {name}" for name in OUTCOMES)
        print(f"{kind}: {figures} of {of_kind.total()}")
