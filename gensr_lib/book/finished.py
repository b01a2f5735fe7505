"""Which trainings ``runs/`` holds, and what they found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

METRIC = "N@10"


def finished_runs(folder: Path, dataset: str = "*", profile: str = "*") -> list[Path]:
    """The records of finished runs; those that were moved aside (``seed-0.<hash>``) are not."""
    found = sorted(folder.glob(f"{dataset}/{profile}/*/seed-*/metrics.json"))
    return [path for path in found if path.parent.name.removeprefix("seed-").isdigit()]


def run_row(path: Path) -> dict[str, Any]:
    """Place, NDCG@10 by task, seconds and end of one run, from its record."""
    *_, dataset, profile, model, seed, _ = path.parts
    record = json.loads(path.read_text(encoding="utf-8"))
    row = {"data set": dataset, "profile": profile, "model": model}
    row["seed"] = seed.removeprefix("seed-")
    row |= {f"{METRIC} {task}": found[METRIC] for task, found in record["metrics"].items()}
    seconds = round(record["seconds"]["all"])
    return {**row, "seconds": seconds, "finished": record["provenance"]["finished"][:16]}
