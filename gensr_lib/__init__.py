"""Generative search and recommendation: the models, losses and analyses behind the GenSR book.

The rooms, from the ground floor up; each imports only from those above it in this list:
``config`` (every option), ``data`` (raw files to batches), ``models`` (one file per system),
``training`` (loop, evaluation, metrics), ``experiments`` (runs, studies, tests), ``analysis``
(information, parameter space, theory), ``explore`` and ``show`` (lists for one user; figures and
tables), ``book`` (the chapters, the site, the command line).

The names below are the public entry points. Each loads its module when first used, so ``import
gensr_lib`` is cheap.
"""

from .lazy import attach

__version__ = "0.1.0"

# The version of the numbers, raised by hand together with a "numbers change" of CHANGELOG.md: what
# was trained under another one is trained anew. Everything else (comments, loaders, plots, new
# models) leaves trained models as they are.
NUMBERS = 2

__getattr__, __all__ = attach(
    __name__,
    {
        "config": ["available_profiles"],
        "data.sources.load": ["load_dataset"],
        "models": ["available_models", "build_model"],
        "training.loop": ["train"],
        "training.evaluation": ["evaluate"],
        "experiments.spec": ["load_profile"],
        "experiments.workspace": ["Workspace"],
        "experiments.data_check": ["check_tables"],
        "experiments.significance": ["compare"],
        "analysis.representations": ["collect"],
        "analysis.mutual_information": ["estimate"],
        "explore.ranker": ["Ranker"],
    },
    modules=["analysis", "config", "data", "explore", "models", "show", "training"],
)
