"""The command line: ``python -m gensr_lib book run|status``, ``site check|build|pages``, ``doctor``.

Exit codes: 0 done, 1 a chapter failed or a check found something, 2 the request cannot be carried out
as it is (the message says why), 130 interrupted. A new command is a function ``_add_name(commands)``
that adds its parser and sets ``run``, the function to call with the parsed arguments.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from ..errors import ConfigError, DataError, unknown
from ..files import project_root

# Longest time for one cell, in seconds. Training on real data may take days: only a hang should meet the limit.
TIMEOUTS = {"smoke": 600, "pocket": 3600}
LONGEST = 14 * 24 * 3600


def main(argv: list[str] | None = None) -> int:
    """Parse ``argv`` (default: the process's arguments), run the command and return its exit code."""
    args = build_parser().parse_args(argv)
    try:
        return args.run(args) or 0
    except (DataError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ImportError as error:
        if (error.name or "gensr_lib").partition(".")[0] == "gensr_lib":
            raise  # a fault of the library, not of the installation
        advice = "make venv installs the packages (make site: those of the site), python -m gensr_lib doctor names them"
        print(f"error: {error}: {advice}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"interrupted{getattr(args, 'resume', '')}", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """The parser with all commands."""
    parser = argparse.ArgumentParser(prog="python -m gensr_lib", description="Tools of the GenSR book.")
    commands = parser.add_subparsers(required=True, metavar="command")
    for add in (_add_book, _add_site, _add_doctor):
        add(commands)
    return parser


def resolve_dataset(name: str) -> str:
    """A data set's name as it is, a folder as an absolute path (chapters run in another folder).

    Raises:
        DataError, ConfigError: as `gensr_lib.data.sources.load.find`.

    >>> resolve_dataset("pocket")
    'pocket'
    """
    from ..data.sources.load import find

    return find(name).address


def output_folder(dataset: str, profile: str) -> Path:
    """Where the executed chapters go: ``runs/book/<data set>/<profile>``, the last name of a folder."""
    return project_root() / "runs" / "book" / Path(dataset).name / profile


def _add_book(commands: argparse._SubParsersAction) -> None:
    book = commands.add_parser("book", help="run the chapters, or show how their last run went")
    actions = book.add_subparsers(required=True, metavar="action")
    run = actions.add_parser("run", help="run the chapters whose inputs have changed")
    run.add_argument("--profile", default="pocket", help="how large everything is (default: pocket)")
    run.add_argument("--dataset", default="pocket", help="a data set's name or a folder with your tables")
    run.add_argument("--seed", type=_whole_number(0), default=0)
    run.add_argument("--only", nargs="+", metavar="CHAPTER", help="just these, e.g. 01_data")
    run.add_argument("--force", action="store_true", help="run also what has not changed")
    run.add_argument("--in-place", action="store_true", help="copy the outputs into the committed notebooks")
    run.add_argument("--timeout", type=_whole_number(1), metavar="SECONDS", help="longest time for one cell")
    run.set_defaults(run=_run_book, resume="; the same command goes on from the chapter it was in")
    status = actions.add_parser("status", help="print the status pages of the runs so far")
    status.set_defaults(run=_book_status)


def _whole_number(least: int) -> Callable[[str], int]:
    """A type for argparse, whose own refusal of a number would not say which ones there are."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {least} on")
        return int(text)

    return parse


def _run_book(args: argparse.Namespace) -> int:
    from ..config import available_profiles
    from .run import BookError, run_book

    if args.profile not in available_profiles():
        raise unknown("profile", args.profile, available_profiles())
    dataset = resolve_dataset(args.dataset)
    parameters = {"DATASET": dataset, "PROFILE": args.profile, "SEED": args.seed}
    out = output_folder(dataset, args.profile)
    timeout = args.timeout or TIMEOUTS.get(args.profile, LONGEST)
    options = {"only": args.only, "force": args.force, "in_place": args.in_place, "timeout": timeout}
    try:
        run_book(project_root() / "notebooks", parameters, out, **options)
    except BookError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"executed chapters and status.md: {out}")
    return 0


def _book_status(args: argparse.Namespace) -> int:
    pages = sorted((project_root() / "runs" / "book").glob("*/*/status.md"))
    if not pages:
        print("the book has not been run here yet: python -m gensr_lib book run")
    for page in pages:
        print(page.read_text(encoding="utf-8"))
    return 0


def _add_site(commands: argparse._SubParsersAction) -> None:
    site = commands.add_parser("site", help="check, build or refresh the published site")
    actions = site.add_subparsers(required=True, metavar="action")
    check = actions.add_parser("check", help="build it strictly without a network; whatever is odd is an error")
    check.set_defaults(run=_check_site)
    build = actions.add_parser("build", help="write the site as HTML; fetches the theme")
    build.add_argument("--out", default="_build/html", metavar="FOLDER")
    build.set_defaults(run=_build_site)
    pages = actions.add_parser("pages", help="make the status page and the API page anew")
    pages.set_defaults(run=_write_pages)


def _check_site(args: argparse.Namespace) -> int:
    from .site_check import check_site

    wrong = check_site(project_root())
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"{len(wrong)} faults: the site must not be published" if wrong else "the site is sound")
    return 1 if wrong else 0


def _build_site(args: argparse.Namespace) -> int:
    from .site_check import build_site

    build_site(project_root(), Path(args.out))
    print(f"the site: {Path(args.out).resolve() / 'index.html'}")
    return 0


def _write_pages(args: argparse.Namespace) -> int:
    from .site_pages import write_pages
    from .site_stage import STATUS

    written = write_pages(project_root())
    for path in written:
        print(path)
    if project_root() / STATUS not in written:
        print(f"{STATUS} stays as it is: the default book was not run here (make book)")
    return 0


def _add_doctor(commands: argparse._SubParsersAction) -> None:
    doctor = commands.add_parser("doctor", help="can the book run here? If not, what to do")
    doctor.set_defaults(run=_doctor)


def _doctor(args: argparse.Namespace) -> int:
    from .doctor import doctor

    return doctor()
