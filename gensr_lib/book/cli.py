"""The command line ``gensr``, which is ``python -m gensr_lib``.

``fit``, ``compare`` and ``runs`` train systems and list what was trained, ``data`` is about data
sets, ``study`` makes and checks the long evidence, ``book run|status`` and
``site check|build|pages`` make the book and its site, ``doctor`` says what is missing.

Exit codes: 0 done, 1 a chapter failed or a check found something, 2 the request cannot be carried
out as it is (the message says why), 130 interrupted. A new command is a function
``_add_name(commands)`` that adds its parser and sets ``run``, the function to call with the parsed
arguments.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError
from ..files import of_seed, project_root, read_json
from .arguments import whole_number
from .data_commands import add_data
from .study_commands import add_study, remake_studies

# Longest time for one cell, in seconds. Training on real data may take days: only a hang should
# meet the limit.
TIMEOUTS = {"smoke": 600, "pocket": 3600}
LONGEST = 14 * 24 * 3600
PLACE = ("model", "seed", "variant")  # arguments of `Workspace.fit`: --set must not reach them


def main(argv: list[str] | None = None) -> int:
    """Parse ``argv`` (default: the process's arguments), run the command, return its exit code."""
    args = build_parser().parse_args(argv)
    try:
        return args.run(args) or 0
    except (DataError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ImportError as error:
        if (error.name or "gensr_lib").partition(".")[0] == "gensr_lib":
            raise  # a fault of the library, not of the installation
        advice = "make venv installs the packages (make site: those of the site)"
        print(f"error: {error}: {advice}, python -m gensr_lib doctor names them", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"interrupted{getattr(args, 'resume', '')}", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """The parser with all commands."""
    parser = argparse.ArgumentParser(prog="gensr", description="Tools of the GenSR book.")
    commands = parser.add_subparsers(required=True, metavar="command")
    rooms = (
        _add_fit,
        _add_compare,
        _add_runs,
        add_data,
        add_study,
        _add_book,
        _add_site,
        _add_doctor,
    )
    for add in rooms:
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


def output_folder(dataset: str, profile: str, seed: int) -> Path:
    """Where the executed chapters go: ``runs/book/<data set>/<profile>`` (`of_seed`)."""
    return of_seed(project_root() / "runs" / "book" / Path(dataset).name / profile, seed)


def _add_place(parser: argparse.ArgumentParser) -> None:
    """The three options that say which data, how large, and with which luck."""
    parser.add_argument("--dataset", default="pocket", help="a name, or a folder with your tables")
    parser.add_argument("--profile", default="pocket", help="how large all is (default: pocket)")
    parser.add_argument("--seed", type=whole_number(0), default=0)


def _add_fit(commands: argparse._SubParsersAction) -> None:
    about = "train and test one system, also in several processes (book/gpu.md)"
    fit = commands.add_parser("fit", help=about, description=about)
    fit.add_argument("model", help="a name, such as lightgcn, or your own package.module:Class")
    _add_place(fit)
    fit.add_argument(
        "--set",
        nargs="+",
        default=[],
        action="extend",
        metavar="OPTION=VALUE",
        help="options of the model or of its training, e.g. --set tau=0.1 epochs=2",
    )
    fit.set_defaults(run=_fit, resume="; the same command goes on from the last checkpoint")


def _fit(args: argparse.Namespace) -> None:
    """Every process of a launcher comes through here; the first of them speaks."""
    from accelerate import PartialState

    from ..experiments.workspace import Workspace
    from ..training.loop import make_accelerator

    options = parse_options(args.set)
    workspace = Workspace(resolve_dataset(args.dataset), args.profile, args.seed)
    make_accelerator()
    processes = PartialState()
    if processes.is_main_process:
        print(f"processes: {processes.num_processes}", flush=True)
    run = workspace.fit(args.model, **options)
    if processes.is_main_process:
        _say_notes(workspace.dataset.notes)
        for task, metrics in run.record["metrics"].items():
            values = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
            print(f"{args.model}  {task}  {values}")
        print(f"{'loaded' if run.loaded else 'trained'}: {run.folder}", flush=True)
    processes.destroy_process_group()


def _say_notes(notes: list[str]) -> None:
    """In one line, what was dropped or made up when the data were read."""
    if notes:
        print(f"about the data: {'; '.join(notes)}", flush=True)


def parse_options(pairs: list[str]) -> dict[str, Any]:
    """``option=value`` pairs; values are YAML scalars.

    >>> parse_options(["tau=0.1", "one_way=true", "history_of=both", "eval_every=null"])
    {'tau': 0.1, 'one_way': True, 'history_of': 'both', 'eval_every': None}

    Raises:
        ConfigError: a pair without a name or without ``=``, a value that is no YAML, or a name
            that says which run it is and not how it is trained.
    """
    import yaml

    options = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        try:
            options[name] = yaml.safe_load(text)
        except yaml.YAMLError:
            equals = ""
        if not (name.isidentifier() and equals):
            raise ConfigError(f"--set {pair}: option=value is needed, e.g. --set tau=0.1")
        if name in PLACE:
            raise ConfigError(f"--set {pair}: {name} is no option of a model or its training")
    return options


def _add_compare(commands: argparse._SubParsersAction) -> None:
    about = "train and test many systems side by side, a process each per core or GPU"
    compare = commands.add_parser("compare", help=about, description=about)
    about = "names of systems, the long ones first (default: all of the paper's and the floors)"
    compare.add_argument("systems", nargs="*", metavar="SYSTEM", help=about)
    _add_place(compare)
    compare.add_argument("--jobs", type=whole_number(1), help="processes at once")
    compare.set_defaults(run=_compare, resume="; the same command makes the runs that are missing")


def _compare(args: argparse.Namespace) -> None:
    from ..experiments import fit_all, result_table
    from ..experiments.comparison import FLOORS, PRINTED, dear_first
    from ..experiments.workspace import Workspace

    workspace = Workspace(resolve_dataset(args.dataset), args.profile, args.seed)
    asked = args.systems or dear_first(workspace.able(*PRINTED, *FLOORS))
    runs = fit_all(workspace, asked, jobs=args.jobs)
    _say_notes(workspace.dataset.notes)
    print(result_table(runs).to_string(float_format="%.4f", na_rep="–"))
    print(f"runs: {workspace.folder}")


def _add_runs(commands: argparse._SubParsersAction) -> None:
    runs = commands.add_parser("runs", help="list the finished trainings with their main metrics")
    runs.add_argument("--dataset", default="*", help="only of this data set")
    runs.add_argument("--profile", default="*", help="only of this profile")
    runs.set_defaults(run=_runs)


def _runs(args: argparse.Namespace) -> None:
    import pandas as pd

    from .finished import finished_runs, run_row

    rows = []
    for path in finished_runs(project_root() / "runs", Path(args.dataset).name, args.profile):
        try:
            rows.append(run_row(path))
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            print(f"cannot be read: {path}: {error!r}", file=sys.stderr)
    table = pd.DataFrame(rows).to_string(index=False, float_format="%.4f", na_rep="–")
    print(table if rows else "no finished run: gensr fit, or make book")


def _add_book(commands: argparse._SubParsersAction) -> None:
    book = commands.add_parser("book", help="run the chapters, or show how their last run went")
    actions = book.add_subparsers(required=True, metavar="action")
    run = actions.add_parser("run", help="run the chapters whose inputs have changed")
    _add_place(run)
    run.add_argument("--only", nargs="+", metavar="CHAPTER", help="just these, e.g. 01_data")
    about = "run also what has not changed: for you who edit the library, which is not looked at"
    run.add_argument("--force", action="store_true", help=about)
    about = "make the evidence of all studies anew first (hours), then run all chapters"
    run.add_argument("--full", action="store_true", help=about)
    about = "copy the outputs into the committed notebooks"
    run.add_argument("--in-place", action="store_true", help=about)
    about = "longest time for one cell"
    run.add_argument("--timeout", type=whole_number(1), metavar="SECONDS", help=about)
    run.set_defaults(run=_run_book, resume="; the same command goes on from the chapter it was in")
    status = actions.add_parser("status", help="print the status pages of the runs so far")
    status.set_defaults(run=_book_status)


def _run_book(args: argparse.Namespace) -> int:
    from ..experiments.spec import load_profile
    from ..experiments.workspace import DEFAULT
    from .run import BookError, run_book

    profile = load_profile(args.profile).name  # a typo is found here, not in the first chapter
    dataset = resolve_dataset(args.dataset)
    out = output_folder(dataset, profile, args.seed)
    if args.full and (dataset, profile) != DEFAULT[:2]:
        raise ConfigError("--full: the studies are of the data set and profile pocket")
    if args.full:
        remake_studies()
    try:
        records = run_book(
            project_root() / "notebooks",
            {"DATASET": dataset, "PROFILE": profile, "SEED": args.seed},
            out,
            only=args.only,
            force=args.force or args.full,
            in_place=args.in_place,
            timeout=args.timeout or TIMEOUTS.get(profile, LONGEST),
        )
    except BookError as error:
        print(error, file=sys.stderr)
        return 1
    recorded = of_seed(project_root() / "runs" / Path(dataset).name / profile, args.seed)
    _say_notes(_recorded_notes(recorded, [record.chapter for record in records]))
    print(f"executed chapters and status.md: {out}")
    return 0


def _recorded_notes(folder: Path, chapters: list[str]) -> list[str]:
    """What the chapters have recorded of their data; the runner itself reads none."""
    paths = [folder / "chapters" / f"{chapter}.json" for chapter in chapters]
    found = [read_json(path) for path in paths if path.exists()]
    return found[-1].get("notes", []) if found else []


def _book_status(args: argparse.Namespace) -> None:
    pages = sorted(project_root().glob("runs/book/**/status.md"))
    texts = [page.read_text(encoding="utf-8") for page in pages]
    print("\n".join(texts) or "the book has not been run here yet: python -m gensr_lib book run")


def _add_site(commands: argparse._SubParsersAction) -> None:
    about = "check: build it strictly, look at it. build: write HTML. pages: make its status page."
    site = commands.add_parser("site", help="check or build the published site", description=about)
    site.add_argument("action", choices=("check", "build", "pages"))
    site.add_argument("--out", default="_build/html", metavar="FOLDER", help="for build")
    about = "for build: where it will be published (default: GitHub's pages, if GITHUB_REPOSITORY)"
    site.add_argument("--address", default="", metavar="URL", help=about)
    about = "for build: a built theme, where it cannot be fetched"
    site.add_argument("--theme", default="", metavar="FOLDER", help=about)
    site.set_defaults(run=_site)


def _site(args: argparse.Namespace) -> int:
    return {"check": _check, "build": _build, "pages": _pages}[args.action](args)


def _check(args: argparse.Namespace) -> int:
    from .site_check import check_site

    wrong = check_site(project_root())
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"{len(wrong)} faults: it must not be published" if wrong else "the site is sound")
    return 1 if wrong else 0


def _build(args: argparse.Namespace) -> None:
    from .site_check import build_site

    build_site(project_root(), Path(args.out), args.address, args.theme)
    print(f"the site: {Path(args.out).resolve() / 'index.html'}")


def _pages(args: argparse.Namespace) -> None:
    from .status import PAGE, write_site_page

    written = write_site_page(project_root())
    print(PAGE if written else f"{PAGE} stays: the default book was not run here (make book)")


def _add_doctor(commands: argparse._SubParsersAction) -> None:
    doctor = commands.add_parser("doctor", help="can the book run here? If not, what to do")
    about = "also read this data set: a name, or a folder with your tables"
    doctor.add_argument("--dataset", help=about)
    doctor.set_defaults(run=_doctor)


def _doctor(args: argparse.Namespace) -> int:
    from .doctor import doctor

    return doctor(args.dataset)
