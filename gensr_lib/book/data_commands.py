"""``gensr data``: what there is about data sets on the command line, one function per action."""

from __future__ import annotations

import argparse

from .export_command import add_export


def add_data(commands: argparse._SubParsersAction) -> None:
    """The parsers of all actions; each sets ``run``, the function to call with the arguments."""
    about = "data sets: which there are, and their export"
    parser = commands.add_parser("data", help=about, description=about)
    actions = parser.add_subparsers(required=True, metavar="action")
    for add in (_add_list, add_export):
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
