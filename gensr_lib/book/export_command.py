"""``gensr data export``: a data set as the files of another library."""

from __future__ import annotations

import argparse

from .arguments import whole_number

FORMATS = ("recbole", "huggingface")


def add_export(actions: argparse._SubParsersAction) -> None:
    """The parser of the command."""
    about = "write a data set for another library: the same split, histories and negatives"
    export = actions.add_parser("export", help=about, description=about)
    export.add_argument("name", help="of the data set, or a folder with your tables")
    export.add_argument("--to", required=True, choices=FORMATS, help="whose files")
    about = "a folder that is new or empty, or with --force holds an older export"
    export.add_argument("--out", required=True, metavar="FOLDER", help=about)
    about = "whose filters and protocol (default: pocket)"
    export.add_argument("--profile", default="pocket", help=about)
    export.add_argument("--seed", type=whole_number(0), default=0, help="of the negatives")
    export.add_argument("--force", action="store_true", help="replace an older export")
    export.set_defaults(run=run_export)


def run_export(args: argparse.Namespace) -> None:
    """Write the export, and print its files."""
    from ..data.export.folder import read_manifest, refuse_folder
    from ..data.export.huggingface import export_huggingface
    from ..data.export.recbole import export_recbole
    from ..data.sources.load import load_dataset

    refuse_folder(args.out, args.force)  # before anything is read
    dataset = load_dataset(args.name, args.profile, args.seed)
    export = {"recbole": export_recbole, "huggingface": export_huggingface}[args.to]
    folder = export(dataset, args.out, args.force)
    for name, file in read_manifest(folder)["files"].items():
        rows = f", {file['rows']:,} rows" if "rows" in file else ""
        print(f"{name}: {file['bytes']:,} bytes{rows}")
    if dataset.notes:
        print(f"about the data: {'; '.join(dataset.notes)}")
    print(f"data {dataset.hash}, README.md says how to read it: {folder}")
