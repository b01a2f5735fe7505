"""Generative search and recommendation: the models, losses and analyses behind the GenSR book.

The names below are the public entry points; each loads its module when first used, so that
``import gensr_lib`` is cheap.
"""

from importlib import import_module

__version__ = "0.1.0"

_PUBLIC = {
    "load_dataset": ".data.loading",
    "load_profile": ".config",
    "available_profiles": ".config",
    "available_models": ".models",
    "build_model": ".models",
    "train": ".training",
    "evaluate": ".evaluation",
    "Workspace": ".runs",
    "Ranker": ".ranker",
    "collect": ".representations",
    "estimate": ".mutual_information",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'gensr_lib' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name], __name__), name)
