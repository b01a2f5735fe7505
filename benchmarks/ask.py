"""GenSR in a page: bytes, seconds of an answer over the whole catalogue, difference to torch.

    python benchmarks/ask.py [--quick] [--out FILE]

The run `gensr` of profile ``pocket`` is exported as chapter 11 does and asked in node, one process;
where it is not in ``runs/``, it is trained first. Seconds are those of the processor.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from command import command

from gensr_lib.data.schema import TITLE
from gensr_lib.experiments.workspace import Workspace
from gensr_lib.explore import Ranker, export_page

ENGINE = Path(__file__).parents[1] / "book/widgets/ask/engine.mjs"
ASK = """
import { readFileSync } from "node:fs";
const { engine, folder, queries } = JSON.parse(readFileSync(0, "utf-8"));
const { load, question, score } = await import(engine);
const model = JSON.parse(readFileSync(`${folder}/model.json`, "utf-8"));
const page = load(model, new Uint8Array(readFileSync(`${folder}/weights.bin`)).buffer);
const items = model.items.ids.map((_, i) => i + 1);
const answers = model.users.flatMap(({ events }) => queries.map((query) => {
  const before = process.cpuUsage();
  const scores = [...score(page, question(page, events, query), items)];
  const { user, system } = process.cpuUsage(before);
  return { scores, seconds: (user + system) / 1e6 };
}));
console.log(JSON.stringify(answers));
"""
UNKNOWN = "xyzzy plugh"  # words that nobody has typed


def asked_in_node(folder: str, queries: list[str]) -> list[dict]:
    """Scores of all items and seconds, for each exported user with each query."""
    given = json.dumps({"engine": ENGINE.as_uri(), "folder": folder, "queries": queries})
    done = subprocess.run(
        ["node", "--input-type=module", "-e", ASK], input=given, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def measure(workspace: Workspace, n_users: int) -> dict:
    """Users with a test event of each task, each asked without a query and with two."""
    dataset = workspace.dataset
    trained = workspace.fit("gensr", one_way=True)
    ranker = Ranker.from_run(trained, dataset)
    queries = ["", dataset.items[TITLE].loc[lambda title: title != ""].iloc[0], UNKNOWN]
    users = dataset.user_ids[:n_users].tolist()
    with TemporaryDirectory() as folder:
        sizes = export_page(trained, dataset, folder, users)
        answers = asked_in_node(folder, queries)
    expected = [ranker.scores(user, query) for user in users for query in queries]
    difference = np.abs(np.array([answer["scores"] for answer in answers]) - expected)
    seconds = [answer["seconds"] for answer in answers]
    return {
        "bytes": sizes,
        "items": dataset.n_items,
        "answers": len(answers),
        "largest_difference": difference.max(),
        "seconds": statistics.median(seconds),
        "longest_seconds": max(seconds),
    }


def table(result: dict) -> str:
    """The figures for a terminal."""
    found = result["page"]
    lines = [f"{found['answers']} answers over {found['items']} items"]
    lines += [f"{name:24}{size / 1e6:10.3f} MB" for name, size in found["bytes"].items()]
    lines.append(f"{'an answer, median':24}{found['seconds']:10.3f} s")
    lines.append(f"{'the longest':24}{found['longest_seconds']:10.3f} s")
    lines.append(f"{'largest difference':24}{found['largest_difference']:10.1e} (logit)")
    return "\n".join(lines)


def run(quick: bool) -> dict:
    """One thread."""
    torch.set_num_threads(1)
    return {"page": measure(Workspace("pocket", "smoke" if quick else "pocket"), 2 if quick else 20)}


main = partial(command, __doc__, run, table, "ask")

if __name__ == "__main__":
    main()
