"""What the benchmarks share: their command line, the file they write, and the conditions that stand in it."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path

import torch
import transformers

from gensr_lib.files import git_commit


def command(
    about: str,
    run: Callable[..., dict],
    table: Callable[[dict], str],
    name: str,
    arguments: list[str] | None = None,
    options: tuple[dict, ...] = (),
) -> None:
    """Measure, print a table, write ``results/<name>.json``.

    Args:
        run: takes whether to be quick, returns the figures.
        arguments: of the command line; default: the process's own.
        options: for each further option, what `add_argument` takes; `run` gets it by its ``dest``.
    """
    default = Path(__file__).parent / "results" / f"{name}.json"
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="very little: does the benchmark run? no figures")
    parser.add_argument("--out", type=Path, default=default, help="JSON file (default: %(default)s)")
    for option in options:
        parser.add_argument(f"--{option['dest']}", **option)
    given = vars(parser.parse_args(arguments))
    quick, out = given.pop("quick"), given.pop("out")
    found = run(quick, **given)  # before the conditions: it may set the number of threads
    result = {"quick": quick, "conditions": conditions(), **found}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["conditions"]))
    print(table(result))
    print(f"written to {out}")


def conditions() -> dict:
    """Where and with what the figures are taken."""
    gpu = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if gpu else f"CPU ({platform.machine()})",
        "precision": "bfloat16 autocast" if gpu and torch.cuda.is_bf16_supported() else "float32",
        "threads": torch.get_num_threads(), "python": platform.python_version(), "torch": torch.__version__,
        "transformers": transformers.__version__, "git_commit": git_commit(Path(__file__).parent),
    }  # fmt: skip
