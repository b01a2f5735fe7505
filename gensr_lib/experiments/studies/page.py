"""The README of a study's folder: what was asked, what is there, and how it was made."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from ...config.study import Study
from ...files import write_atomically
from .cells import cells_of
from .evidence import run_row
from .making import study_folder
from .stored import load_cells

FLAT = 0.01  # of validation N@5: an epoch that adds less is no climb
COLLAPSED = 0.5  # of the median over an arm's seeds: a training that ended below it went wrong


def write_page(study: Study) -> Path:
    """Write ``README.md`` beside the cells of a declared study.

    Raises:
        ConfigError: a damaged cell, or a folder that cannot be written to.
    """
    folder = study_folder(study.name)
    text = page(study, folder)
    return write_atomically(folder / "README.md", lambda p: p.write_text(text, encoding="utf-8"))


def page(study: Study, folder: Path) -> str:
    """The text of the page, of the cells that are in a folder."""
    cells = cells_of(study)
    found = load_cells(cells, folder)
    lines = [f"# {study.title}", "", study.about.strip(), ""]
    lines += [f"{len(found)} of {len(cells)} cells are here."]
    lines += ["", f"Made by `gensr study run {study.name}`, which goes on where it was stopped; "]
    lines[-1] += f"`gensr study check {study.name}` trains the start of one cell again."
    if not found:
        return "\n".join([*lines, ""])
    runs = pd.DataFrame([run_row(cell, stored) for cell, stored in found])
    lines += ["", *_table(runs)]
    lines += ["", *_made_by([stored.record for _, stored in found], _hours(runs))]
    lines += ["", *_remarks(runs, found)]
    return "\n".join([*lines, ""])


def _table(runs: pd.DataFrame) -> list[str]:
    by_arm = runs.groupby(["part", "variant"], sort=False)
    table = by_arm.agg(
        seeds=("seed", lambda seeds: ", ".join(map(str, sorted(seeds)))),
        minutes=("seconds", lambda seconds: round(seconds.median() / 60, 1)),
        gain=("gain", "mean"),
    ).reset_index()
    lines = [
        "| part | arm | worlds | median minutes | gain in the last fifth |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in table.itertuples():
        gain = "–" if pd.isna(row.gain) else f"{row.gain:+.3f}"
        lines.append(f"| {row.part} | {row.variant} | {row.seeds} | {row.minutes} | {gain} |")
    return lines


def _hours(runs: pd.DataFrame) -> float:
    """If each cell took the median of its arm: some waited for a core, some were gone on with."""
    return runs.groupby(["part", "variant"])["seconds"].transform("median").sum() / 3600


def _made_by(records: list[dict], hours: float) -> list[str]:
    of = [record["provenance"] for record in records]
    lines = ["## How it was made", ""]
    lines.append(f"- About {hours:.1f} hours of one core, cells side by side, beside other work.")
    days = sorted({item["finished"][:10] for item in of})
    lines.append(f"- Finished from {days[0]} to {days[-1]}.")
    for label, name in {
        "Version of the numbers": "numbers",
        "Python": "python",
        "Device": "device",
        "Machine": "machine",
        "Mark of how it rounds": "digits",
    }.items():
        counts = Counter(str(item[name]) for item in of)
        lines.append(f"- {label}: {_counted(counts)}.")
    packages = Counter(
        ", ".join(f"{name} {version}" for name, version in item["versions"].items()) for item in of
    )
    lines.append(f"- Packages: {_counted(packages)}.")
    commits = Counter(item["git_commit"][:12] for item in of)
    lines.append(f"- Commits: {_counted(commits)}.")
    return lines


def _counted(counts: Counter[str]) -> str:
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{value} ({count} cells)" for value, count in counts.most_common())


def _remarks(runs: pd.DataFrame, found: list) -> list[str]:
    """Trainings that still climbed, and those that went wrong: a mean must not hide them."""
    lines = ["## Of single trainings", ""]
    climbing = runs[runs["gain"] > FLAT]
    lines.append(
        f"- In {len(climbing)} of {runs['gain'].notna().sum()} trainings the last fifth of the "
        f"epochs, one at least, added more than {FLAT} to validation NDCG@5."
    )
    values = pd.DataFrame(
        [
            {
                "part": cell.part,
                "arm": cell.arm,
                "seed": cell.seed,
                "task": task,
                "value": of["N@10"],
            }
            for cell, stored in found
            for task, of in stored.record["metrics"].items()
        ]
    )
    median = values.groupby(["part", "arm", "task"])["value"].transform("median")
    wrong = values[values["value"] < COLLAPSED * median]
    for row in wrong.itertuples():
        lines.append(
            f"- Collapsed: {row.arm}, {row.part}, seed {row.seed}, task {row.task}: NDCG@10 "
            f"{row.value:.3f}, less than {COLLAPSED:g} of the median of its arm."
        )
    if wrong.empty:
        lines.append(f"- None ended below {COLLAPSED:g} of the median NDCG@10 of its arm.")
    return lines
