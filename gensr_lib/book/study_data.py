"""Studies that a page can be played with: their stored cells as a few numbers inside the page.

A Markdown page asks for the panel and names a study::

    :::{anywidget} /book/widgets/study.mjs
    {"study": "sensitivity"}
    :::

``part`` may stand beside it; without it the study's first part is shown. In the staged copy the
data take the place of that body. They are small (some 25 kB), and a page that holds what it shows
works wherever it lies, without a request that could fail. What they are: against the part's first
arm, for each world, task, other arm and metric the mean difference over users and its standard
error, from which all tests of the panel follow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..config.study import Study, read_study
from ..data.schema import BEHAVIORS
from ..errors import ConfigError, known
from ..experiments.significance import compare, metrics_of
from ..experiments.studies.cells import Cell, cells_of
from ..experiments.studies.stored import Stored, load_cells

PANEL = "book/widgets/study.mjs"
ASKED = re.compile(
    rf"^(?P<fence>:{{3,}})\{{anywidget\}} /?{re.escape(PANEL)}\n(?P<body>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
DIGITS = 6  # after the point; the smallest standard errors are some thousandths


def with_studies(text: str, root: Path) -> str:
    """A page with the data of each study that it asks for, or a sentence that says what is missing.

    Args:
        root: the project, whose ``data/studies`` is read.
    """
    return ASKED.sub(lambda found: _filled(found, root), text)


def give_studies(page: Path, root: Path) -> None:
    """`with_studies` for a page of the staged book, in place; a notebook has none."""
    if page.suffix == ".md":
        text = page.read_text(encoding="utf-8")
        page.write_text(with_studies(text, root), encoding="utf-8")


def study_faults(root: Path, pages: Iterable[Path]) -> list[str]:
    """Which pages would say that a study is missing, and why; and notebooks that ask for one."""
    wrong = []
    for path in pages:
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".md":
            if PANEL in text:
                name = path.relative_to(root).as_posix()
                wrong.append(f"{name}: {PANEL} is for pages in Markdown; put it into one")
            continue
        for found in ASKED.finditer(text):
            if fault := _shown(found["body"], root).get("missing"):
                wrong.append(f"{path.relative_to(root).as_posix()}: {fault}")
    return wrong


def study_data(study: Study, root: Path, part: str | None = None) -> dict[str, Any]:
    """What the panel shows of a part of a study; plain values, ready for JSON.

    Returns:
        ``title``; ``reference``, the first arm; ``metrics``, the plain ones and those expected
        under a known law that the rows have; ``worlds``, the seeds; and ``tasks``: for each one
        ``users``, a number per world, and ``arms``, a list of ``name`` and ``values``: by metric,
        for each world, ``[difference, standard error]``. An arm that does not serve a task, or
        whose rows are not kept, is left out of it.

    Raises:
        ConfigError: an unknown part, cells that are missing or damaged, or a reference without
            rows.
    """
    part = known("part of the study", part or next(iter(study.parts)), study.parts)
    cells = cells_of(study)
    found = load_cells(cells, root / "data" / "studies" / study.name)
    if len(found) < len(cells):
        raise ConfigError(
            f"study '{study.name}' is not whole: {len(found)} of {len(cells)} trainings are "
            f"stored; `gensr study run {study.name}` makes the others"
        )
    reference = next(iter(study.arms_of(part)))
    table = _tested([pair for pair in found if pair[0].part == part], reference)
    return {
        "title": study.title,
        "reference": reference,
        "metrics": list(table["metric"].unique()),
        "worlds": list(study.seeds_of(part)),
        "tasks": {task: _task(own) for task in BEHAVIORS if len(own := table[table.task == task])},
    }


def _tested(found: Sequence[tuple[Cell, Stored]], reference: str) -> pd.DataFrame:
    """`compare` within each world: of one seed, that is the paired t-test over its users."""
    worlds: dict[int, list[pd.DataFrame]] = {}
    for cell, stored in found:
        named = stored.ranks.assign(variant=cell.arm, seed=cell.seed)
        worlds.setdefault(cell.seed, []).append(named)
    tables = []
    for seed in sorted(worlds):
        ranks = pd.concat(worlds[seed], ignore_index=True)
        tables.append(compare(ranks, reference, metrics_of(ranks)).assign(seed=seed))
    return pd.concat(tables, ignore_index=True)


def _task(own: pd.DataFrame) -> dict[str, Any]:
    users = (own.drop_duplicates("seed")["df"] + 1).round().astype(int)
    arms = []
    for name, arm in own.groupby("variant", sort=False):
        values = {metric: _pairs(of) for metric, of in arm.groupby("metric", sort=False)}
        arms.append({"name": name, "values": values})
    return {"users": users.tolist(), "arms": arms}


def _pairs(worlds: pd.DataFrame) -> list[list[float]]:
    # Adding zero makes a rounded -0.0 plain.
    return (worlds[["difference", "se"]].round(DIGITS) + 0.0).to_numpy().tolist()


def _filled(found: re.Match[str], root: Path) -> str:
    body = json.dumps(_shown(found["body"], root), ensure_ascii=False, separators=(",", ":"))
    return f"{found['fence']}{{anywidget}} /{PANEL}\n{body}\n{found['fence']}"


def _shown(body: str, root: Path) -> dict[str, Any]:
    """What the panel gets: the data, or under ``missing`` a sentence in their place."""
    try:
        asked = _asked(body)
        return {**asked, **study_data(read_study(asked["study"]), root, asked.get("part"))}
    except ConfigError as error:
        return {"missing": str(error)}


def _asked(body: str) -> Mapping[str, str]:
    try:
        asked = json.loads(body)
    except ValueError:
        asked = None
    if not isinstance(asked, dict) or "study" not in asked or asked.keys() - {"study", "part"}:
        message = f'{PANEL}: its body is {{"study": name}}, with "part" if need be, not {body!r}'
        raise ConfigError(message)
    return asked
