"""``gensr study``: the long evidence of the book, one function per action."""

from __future__ import annotations

import argparse
from typing import Any

from .arguments import whole_number


def add_study(commands: argparse._SubParsersAction) -> None:
    """The parsers of all actions; each sets ``run``, the function to call with the arguments."""
    about = "studies: many trainings whose evidence is kept in data/studies and read by chapters"
    parser = commands.add_parser("study", help=about, description=about)
    actions = parser.add_subparsers(required=True, metavar="action")
    for add in (_add_list, _add_run, _add_check):
        add(actions)


def _add_list(actions: argparse._SubParsersAction) -> None:
    listed = actions.add_parser("list", help="the studies, and how many of their cells are here")
    listed.set_defaults(run=_list)


def _list(args: argparse.Namespace) -> None:
    import pandas as pd

    from ..config.study import available_studies, read_study
    from ..experiments.studies.making import state

    rows = []
    for name in available_studies():
        now = state(read_study(name))
        counts = {"cells": now.cells, "here": now.stored, "of other settings": now.others}
        rows.append({"study": name, **counts, "what is asked": now.study.title})
    print(pd.DataFrame(rows).to_string(index=False))


def _add_run(actions: argparse._SubParsersAction) -> None:
    about = "make the missing cells of studies; it can be stopped and gone on with at any time"
    run = actions.add_parser("run", help=about, description=about)
    run.add_argument("names", nargs="*", metavar="NAME", help="of studies (default: all)")
    run.add_argument("--jobs", type=whole_number(1), help="processes at once")
    about = "only these worlds, so that machines which share nothing can share the work"
    run.add_argument("--worlds", nargs="+", type=whole_number(0), metavar="N", help=about)
    about = "make also the cells that are here, write over them, and say where they differed"
    run.add_argument("--anew", action="store_true", help=about)
    run.set_defaults(run=_run, resume="; the same command goes on with what is missing")


def _run(args: argparse.Namespace) -> int:
    changed = _make(args.names, jobs=args.jobs, worlds=args.worlds, anew=args.anew)
    return int(changed > 0)


def remake_studies() -> None:
    """Make every cell of every study anew, and print where one came out otherwise."""
    _make([], anew=True)


def _make(names: list[str], **options: Any) -> int:
    """Make studies, all of them without names; how many cells came out otherwise than before."""
    from ..config.study import available_studies
    from ..experiments.studies.whole import make_study

    changed = 0
    for name in names or available_studies():
        found = make_study(name, **options)
        print(f"{name}: {found.stored} of {found.cells} cells are here", flush=True)
        for line in found.changed:
            print(f"  {line}")
        changed += len(found.changed)
    return changed


def _add_check(actions: argparse._SubParsersAction) -> None:
    about = "train the start of one stored cell of each study again, and compare; drawn by the day"
    check = actions.add_parser("check", help=about, description=about)
    check.add_argument("names", nargs="*", metavar="NAME", help="of studies (default: all)")
    check.add_argument("--jobs", type=whole_number(1), help="processes at once")
    about = "train the whole cell, and compare its test metrics too"
    check.add_argument("--whole", action="store_true", help=about)
    check.set_defaults(run=_check)


def _check(args: argparse.Namespace) -> int:
    from ..config.study import available_studies
    from ..experiments.studies.checks import spot_checks

    found = spot_checks(args.names or available_studies(), whole=args.whole, jobs=args.jobs)
    for check in found:
        print(check)
    return int(not all(check.is_good for check in found))
