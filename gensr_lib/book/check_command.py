"""``gensr data check``: read a data set, say what comes of it, keep a mapping of its columns."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import ConfigError

OPTIONS = {
    "columns": ("NAME=COLUMN", "what a column is called, e.g. user_id=customer items.item_id=sku"),
    "values": ("VALUE=NAME", "what a behavior is: rec, src or drop, e.g. behavior:click=rec"),
    "files": ("TABLE=FILE", "what a table is called, e.g. interactions=log.tsv"),
}


def add_check(actions: argparse._SubParsersAction) -> None:
    """The parser of the command."""
    about = "read a data set: what it holds, what is wrong with it, what the book would leave out"
    check = actions.add_parser("check", help=about, description=about)
    check.add_argument("dataset", help="a name, or a folder with your tables")
    for option, (form, about) in OPTIONS.items():
        how = {"nargs": "+", "default": [], "action": "extend", "metavar": form}
        check.add_argument(f"--{option}", **how, help=f"of your own tables: {about}")
    about = "keep them in the folder's columns.yaml, which is read from then on"
    check.add_argument("--save", action="store_true", help=about)
    check.add_argument("--out", type=Path, help="also write the report: .md, .html or .json")
    check.add_argument("--profile", default="pocket", help="whose filters (default: pocket)")
    check.set_defaults(run=run_check)


def run_check(args: argparse.Namespace) -> int:
    """Print the report; 2 if the data are refused, else 0."""
    from ..data.sources.load import find
    from ..data.sources.own.column_map import write_map
    from ..experiments.data_check import check_tables
    from ..experiments.data_report import writer
    from .column_options import mapped

    if args.out:
        writer(args.out)  # an ending that cannot be written is found before anything is read
    is_mapped = any(getattr(args, option) for option in OPTIONS)
    if args.save and not is_mapped:
        raise ConfigError("--save: nothing is there to be kept; add --columns, --values or --files")
    source = find(args.dataset)
    columns = mapped(source, args.columns, args.values, args.files) if is_mapped else None
    report = check_tables(args.dataset, args.profile, columns=columns)
    print(report.text())
    if args.save and report.is_readable:
        print(f"the mapping is kept: {write_map(source.path, columns)}")
    elif args.save:
        print("the mapping is not kept: one of the tables cannot be read by it", file=sys.stderr)
    if args.out:
        print(f"the report: {report.write(args.out)}")
    return 2 if report.is_refused else 0
