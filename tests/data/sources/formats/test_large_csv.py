"""Tables in a database on disk: what may stand in a header, and a disk or a memory that is too small."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from gensr_lib.data.sources.formats.allowance import Allowance
from gensr_lib.data.sources.formats.large_csv import LargeTables
from gensr_lib.errors import ConfigError, DataError

MANY = "SELECT hash(range) AS x, hash(range + 1) AS y FROM range(3000000)"  # 48 MB


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def base(notes):
    with LargeTables(Allowance(0.5, notes)) as opened:
        yield opened


def table(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name", ["it's", "a, b", "x': 'BIGINT'}) --", '"', "", "a", "column0", "select", "ü", "$path", "a\\"]
)
def test_a_header_may_hold_any_other_names(tmp_path, base, name):
    quoted = name.replace('"', '""')
    path = table(tmp_path, f'"{quoted}",n,"{quoted}"\nx,1,y\nz,2,w\n')
    base.load("found", path, {"n": "BIGINT", "more": "DOUBLE"}, optional={"more"})
    assert base.frame("SELECT * FROM found").to_numpy()[:, 0].tolist() == [1, 2]
    assert base.numbers("SELECT count(more) AS n FROM found")["n"].tolist() == [0]


def test_a_row_that_cannot_be_read_names_its_column(tmp_path, base, notes):
    base.load("found", table(tmp_path, "other,n\nx,1\ny,two\n"), {"n": "BIGINT", "other": "VARCHAR"})
    assert notes == [
        "table.csv: 1 of 2 rows cannot be read, the first is line 3 (column n): 'y,two'; they are left out."
    ]


def test_the_share_of_the_rows_is_kept_to(tmp_path, base):
    base.load("found", table(tmp_path, "n\n1\ntwo\n"), {"n": "BIGINT"})
    with pytest.raises(DataError, match=r"2 of 3 rows .*at most 50\.0% may be left out; download"):
        base.load("more", table(tmp_path, "n\n1\ntwo\nthree\n"), {"n": "BIGINT"})


@contextmanager
def small_disk():
    """No file grows beyond a megabyte: the system then says much the same as of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("step", ["run", "load", "put"])
def test_a_disk_that_fills_up_at_work_is_said_and_leaves_nothing(tmp_path, home, step):
    numbers = np.random.default_rng(0).integers(1 << 62, size=500_000)
    path = table(tmp_path, "\n".join(["x", *numbers.astype(str)]) + "\n")
    steps = {
        "run": lambda base: base.run(f"CREATE TABLE many AS {MANY}"),
        "put": lambda base: base.put("many", x=numbers),
        "load": lambda base: base.load("many", path, {"x": "BIGINT"}),
    }
    with small_disk(), pytest.raises(ConfigError, match="is the disk full"), LargeTables(Allowance(0.5, [])) as base:
        steps[step](base)
    assert not list((home / "data" / "processed").iterdir())


@pytest.mark.parametrize("ask", ["numbers", "frame"])
def test_a_query_whose_temporary_files_fill_the_disk(base, ask):
    base.run("SET memory_limit = '60MB'; SET threads = 1; SET max_temp_directory_size = '1MB'")
    with pytest.raises(ConfigError, match=r"failed to offload [^\n]*is the disk full"):
        getattr(base, ask)(f"SELECT x FROM ({MANY}) ORDER BY y")


def test_a_memory_that_is_too_small_is_no_damage(base):
    base.run("SET memory_limit = '10MB'; SET temp_directory = ''")
    with pytest.raises(ConfigError, match=r"more memory than .*large_csv\.MEMORY"):
        base.run(f"CREATE TABLE many AS SELECT list(x) FROM ({MANY})")
