"""``gensr data``: what there is about data sets on the command line, one function per action."""

from __future__ import annotations

import argparse

from ..errors import known
from .check_command import add_check
from .export_command import add_export


def add_data(commands: argparse._SubParsersAction) -> None:
    """The parsers of all actions; each sets ``run``, the function to call with the arguments."""
    about = "data sets: which there are, their files, whether one is sound, and export"
    parser = commands.add_parser("data", help=about, description=about)
    actions = parser.add_subparsers(required=True, metavar="action")
    for add in (_add_list, _add_get, add_check, add_export):
        add(actions)


def _add_list(actions: argparse._SubParsersAction) -> None:
    listed = actions.add_parser(
        "list", help="the names that can be loaded, and whether they are here"
    )
    listed.set_defaults(run=_list)


def _list(args: argparse.Namespace) -> None:
    import pandas as pd

    from ..data.sources.load import listed_datasets

    print(pd.DataFrame(listed_datasets()).to_string(index=False))


def _add_get(actions: argparse._SubParsersAction) -> None:
    about = "download the raw files of a data set; without a name, what can be downloaded"
    get = actions.add_parser("get", help=about, description=about)
    get.add_argument("name", nargs="?", help="of the data set, such as movielens-100k")
    get.set_defaults(run=_get, resume="; the same command goes on with what is here")


def _get(args: argparse.Namespace) -> None:
    from ..data.sources.load import offers

    offered = offers()
    if args.name not in offered:
        _show(offered)
    if args.name is None:
        return
    offer = offered[known("data set to download", args.name, offered)]
    print(offer.terms, flush=True)
    from ..data.sources.downloads import fetch

    for file in fetch(args.name):
        print(f"{file.path}: {file.path.stat().st_size:,} bytes, {file.origin}")
    print(f"{args.name} is here: --dataset {args.name}")


def _show(offered: dict) -> None:
    import pandas as pd

    rows = [
        {"data set": name, "size": offer.size, "licence": offer.licence}
        for name, offer in offered.items()
    ]
    print(pd.DataFrame(rows).to_string(index=False))
