"""Names of a package that load their module when first used (PEP 562): importing a room is cheap.

Like the package ``lazy_loader``, in ten lines of the standard library: the doctor must be able to
say which packages are missing, and importing it imports the package's root.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def attach(
    package: str, names: Mapping[str, Sequence[str]], modules: Sequence[str] = ()
) -> tuple[Callable, list[str]]:
    """The ``__getattr__`` and ``__all__`` of a package.

    Args:
        package: its ``__name__``.
        names: public names by the module, relative to the package, that defines them.
        modules: modules of the package that are public as a whole.
    """
    home = {name: f"{package}.{module}" for module, listed in names.items() for name in listed}

    def __getattr__(name: str):
        if name in home:
            return getattr(import_module(home[name]), name)
        if name in modules:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module '{package}' has no attribute '{name}'")

    return __getattr__, sorted([*home, *modules])
