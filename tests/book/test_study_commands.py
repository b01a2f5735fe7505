"""``gensr study``: its words reach the functions, and its exit codes say what they found."""

from __future__ import annotations

import pytest

from gensr_lib.book.cli import main
from gensr_lib.config.study import Study
from gensr_lib.experiments.studies import checks, whole

SMALL = {
    "name": "small",
    "title": "A title",
    "about": "About.",
    "profile": "smoke",
    "worlds": 1,
    "arms": {"counted": {"model": "popularity"}},
    "parts": {"pocket": {}},
}


@pytest.fixture
def only(tmp_path, monkeypatch):
    """One study, `SMALL`, in a home of its own."""
    from gensr_lib.config import study as declarations

    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    small = Study.parse(SMALL)
    monkeypatch.setattr(declarations, "available_studies", lambda: ["small"])
    monkeypatch.setattr(declarations, "read_study", lambda name: small)
    for module in (whole, checks):
        monkeypatch.setattr(module, "read_study", lambda name: small)
    return small


def test_a_study_is_listed_made_checked_and_made_anew(only, capsys):
    assert main(["study", "list"]) == 0
    assert "A title" in capsys.readouterr().out
    assert main(["study", "run", "--jobs", "1"]) == 0
    assert "small: 1 of 1 cells are here" in capsys.readouterr().out
    assert main(["study", "check", "small", "--jobs", "1"]) == 0
    assert "equal" in capsys.readouterr().out
    assert main(["study", "run", "small", "--anew", "--worlds", "0"]) == 0


def test_a_miss_and_a_change_are_told_by_the_exit_code(only, monkeypatch, capsys):
    miss = checks.Check("small", "counted", checks.MISS, 0.1, "test rec N@10", True, 1.0)
    monkeypatch.setattr(checks, "spot_checks", lambda *a, **k: [miss])
    assert main(["study", "check"]) == 1
    assert "a miss" in capsys.readouterr().out
    monkeypatch.setattr(whole, "make_study", lambda *a, **k: whole.Made(1, 1, ["counted was otherwise"]))
    assert main(["study", "run"]) == 1
    assert "counted was otherwise" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "ablation"], "did you mean 'ablations'"),
        (["check", "ablation"], "did you mean 'ablations'"),
        (["run", "sensitivity", "--worlds", "9"], "and not [9]"),
    ],
)
def test_mistakes_are_said_in_a_line(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    assert main(["study", *words]) == 2
    assert says in capsys.readouterr().err
