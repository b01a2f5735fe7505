"""What is admitted comes back as it was; what could run anything is refused before it runs."""

from __future__ import annotations

import collections
import os
import pickle
import pickletools
import subprocess

import numpy as np
import pandas as pd
import pytest

from gensr_lib.data.sources.formats.safe_pickle import ADMITTED, read_pickle
from gensr_lib.errors import DataError

TABLE = pd.DataFrame(
    {
        "user_id": [3, 5],
        "neg_items": pd.Series([[1, 2], [4]], dtype=object),
        "keyword": pd.Series(["[1, 2]", None], dtype=object),
        "ts": [1.5, 2.5],
    }
)
PLAIN = {
    "by user": {1: {"his": [1, 2], "ts": np.array([3, 4])}, 2: {}},
    "ordered": collections.OrderedDict(a=(1, None, True)),
    "default": collections.defaultdict(list, {1: ["x"]}),
    "ragged": np.array([[1], [2, 3]], dtype=object),
    "scalars": [np.int64(7), np.float32(0.5), 2**70, "texts", b"bytes", {1, 2}],
}


def written(path, content, protocol: int = 4):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_tables_and_containers_come_back(tmp_path, protocol):
    columns = pd.Index(list(TABLE), dtype=object)  # names of columns as they were before pandas 3
    table = TABLE.set_axis(columns, axis=1).set_index(pd.Index([7, 9]))
    found = read_pickle(written(tmp_path / "t.pkl", table, protocol))
    pd.testing.assert_frame_equal(found, table)
    found = read_pickle(written(tmp_path / "c.pkl", PLAIN, protocol))
    assert found["by user"][1]["ts"].tolist() == [3, 4] and found["default"] == {1: ["x"]}
    assert found["ordered"] == PLAIN["ordered"] and found["scalars"] == PLAIN["scalars"]
    assert found["ragged"].tolist() == [[1], [2, 3]]


def test_files_of_older_libraries_are_read(tmp_path):
    """The names that numpy 1 and pandas 1 wrote, in place of those of today."""
    content = pickle.dumps(np.arange(3), protocol=2).replace(b"numpy._core", b"numpy.core")
    (tmp_path / "n.pkl").write_bytes(content)
    assert read_pickle(tmp_path / "n.pkl").tolist() == [0, 1, 2]
    index = pickle.dumps(pd.Index([4, 5]), protocol=2)
    for old, new in ((b"cpandas\nIndex", b"cpandas.core.indexes.numeric\nInt64Index"), (b"numpy._core", b"numpy.core")):
        assert old in index
        index = index.replace(old, new)
    (tmp_path / "i.pkl").write_bytes(index)
    assert read_pickle(tmp_path / "i.pkl").tolist() == [4, 5]


class Calls:
    """Whose pickle calls a function when it is loaded."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (Calls(os.system, "touch escaped"), "posix.system"),
        (Calls(eval, "1"), "builtins.eval"),
        (Calls(subprocess.Popen, ["true"]), "subprocess.Popen"),
        (Calls(pd.eval, "1"), "pandas"),
        (Calls(pd.read_pickle, "other.pkl"), "pandas"),
        (Calls(np.load, "other.npy"), "numpy"),
        (Calls(getattr, "text", "upper"), "builtins.getattr"),
        (Calls(bytearray, 10**12), "builtins.bytearray"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_runs_is_refused_by_name(tmp_path, monkeypatch, call, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=rf"hidden\.pkl: the pickle names {name}"):
        read_pickle(written(tmp_path / "hidden.pkl", {"a": [TABLE["ts"].to_numpy(), call]}))
    assert not (tmp_path / "escaped").exists()


def test_a_dotted_name_does_not_lead_out_of_an_admitted_module(tmp_path):
    """Protocol 4 lets a name walk through attributes: numpy's `ndarray.__class__` and on."""
    for name in ("ndarray.__init__.__globals__", "dtype.__class__"):
        forged = b"\x80\x04\x8c\x05numpy\x8c" + bytes([len(name)]) + name.encode() + b"\x93."
        pickletools.dis(forged, out=open(os.devnull, "w"))  # noqa: SIM115 - it is well formed
        (tmp_path / "f.pkl").write_bytes(forged)
        with pytest.raises(DataError, match=r"the pickle names numpy\.(ndarray|dtype)\."):
            read_pickle(tmp_path / "f.pkl")


def test_every_admitted_name_exists():
    import importlib

    for names in ADMITTED.values():
        for name, home in names.items():
            assert hasattr(importlib.import_module(home), name)


def test_a_file_that_is_missing_cut_or_no_pickle(tmp_path):
    with pytest.raises(DataError, match=r"t\.pkl: no such file"):
        read_pickle(tmp_path / "t.pkl")
    path = written(tmp_path / "t.pkl", PLAIN)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"t\.pkl: the file is damaged"):
        read_pickle(path)
    path.write_text("user_id,item_id\n")
    with pytest.raises(DataError, match="damaged"):
        read_pickle(path)
