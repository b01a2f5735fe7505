"""Pickle files from elsewhere, of which only containers are admitted.

A pickle is a program: it may call whatever it names. Here it may name what builds numpy arrays,
tables of pandas and the containers of Python, and nothing else, so that it can make data and do
nothing.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict, defaultdict
from importlib import import_module
from pathlib import Path
from typing import Any

from ....errors import DataError

# Where each lives now, by where it lived when files were written: numpy moved `core` with 2.0, and
# pandas 2.0 made one class of all indexes of numbers.
ADMITTED = {
    "numpy": {"ndarray": "numpy", "dtype": "numpy"},
    "numpy.core.multiarray": dict.fromkeys(("_reconstruct", "scalar"), "numpy._core.multiarray"),
    "numpy._core.multiarray": dict.fromkeys(("_reconstruct", "scalar"), "numpy._core.multiarray"),
    "numpy.core.numeric": {"_frombuffer": "numpy._core.numeric"},
    "numpy._core.numeric": {"_frombuffer": "numpy._core.numeric"},
    "pandas": dict.fromkeys(("DataFrame", "Series", "Index", "RangeIndex"), "pandas"),
    "pandas.core.frame": {"DataFrame": "pandas"},
    "pandas.core.series": {"Series": "pandas"},
    "pandas.core.indexes.base": {"Index": "pandas", "_new_Index": "pandas.core.indexes.base"},
    "pandas.core.indexes.range": {"RangeIndex": "pandas"},
    "pandas.core.internals.managers": dict.fromkeys(
        ("BlockManager", "SingleBlockManager"), "pandas.core.internals.managers"
    ),
    "pandas._libs.internals": {"_unpickle_block": "pandas._libs.internals"},
    "_codecs": {"encode": "_codecs"},  # how old protocols write bytes
}
RENAMED = {
    ("pandas.core.internals.blocks", "new_block"): ("pandas._libs.internals", "_unpickle_block"),
    **{
        ("pandas.core.indexes.numeric", name): ("pandas", "Index")
        for name in ("Int64Index", "UInt64Index", "Float64Index")
    },
}
CONTAINERS = {
    **{("builtins", kind.__name__): kind for kind in (list, dict, set, frozenset, tuple, slice)},
    **{("builtins", kind.__name__): kind for kind in (int, float, str, bool, complex)},
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
}


def read_pickle(path: Path) -> Any:
    """The content of a pickle file, if it holds containers of numbers and texts only.

    Raises:
        DataError: the file is missing, damaged, or names anything else; the message says what.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        with path.open("rb") as file:
            return _Unpickler(file).load()
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to call
        found = f"the file is damaged, or written by a library too old ({error!r})"
        raise DataError(f"{path}: {found}. Get it again.") from error


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """What a pickle names, if it is admitted; `DataError` if not."""
        module = {"__builtin__": "builtins"}.get(module, module)
        if (module, name) in CONTAINERS:
            return CONTAINERS[module, name]
        module, name = RENAMED.get((module, name), (module, name))
        home = ADMITTED.get(module, {}).get(name)
        if home is None:
            said = "and only arrays, tables and containers are admitted: it may run anything"
            raise DataError(f"the pickle names {module}.{name}, {said}. It was not loaded.")
        return getattr(import_module(home), name)
