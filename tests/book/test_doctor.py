"""The environment check: what it says of this machine, and of machines where something is wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest

from gensr_lib.book import doctor
from gensr_lib.book.doctor import NOTE, OK, PROBLEM, Check

Usage = namedtuple("Usage", "total used free")


def found(check, words: str) -> list[str]:
    """The statuses of what a check says with these words."""
    return [line.status for line in check() if words in line.text]


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty project folder."""
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def pretend(monkeypatch):
    """Function that gives a package another version; None: it is missing."""
    real = metadata.version
    sound = subprocess.CompletedProcess([], 0, stdout="")
    monkeypatch.setattr(subprocess, "run", lambda *a, **b: sound)  # pip check takes seconds

    def fake(package: str, version: str | None) -> None:
        def look_up(name: str) -> str:
            if name != package:
                return real(name)
            if version is None:
                raise metadata.PackageNotFoundError(name)
            return version

        monkeypatch.setattr(metadata, "version", look_up)

    return fake


# ---- the whole -----------------------------------------------------------------------------------


def test_where_the_tests_run_the_book_can_run(capsys, root, monkeypatch):
    monkeypatch.chdir(root)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HOME", str(root.parent))
    assert doctor.doctor() == 0
    printed = capsys.readouterr().out
    assert printed.startswith("ok       Python 3.") and "can run here" in printed
    assert f"~/{root.name}," in printed and str(root.parent) not in printed
    assert "hf_secret" not in printed


def test_one_problem_makes_the_exit_code_1_and_notes_do_not(monkeypatch, capsys):
    for status, code in ((PROBLEM, 1), (NOTE, 0), (OK, 0)):
        check = Check(status, "something", "do this")
        monkeypatch.setattr(doctor, "CHECKS", (lambda check=check: [check],))
        assert doctor.doctor() == code
        first, second, *_, last = capsys.readouterr().out.splitlines()
        assert first == f"{status:<8} something" and second.strip() == "-> do this"
        assert ("cannot run" in last) == bool(code)


def test_a_check_that_fails_is_a_problem_and_the_others_go_on(monkeypatch):
    def broken():
        """The broken part."""
        raise OSError("libtorch.so: cannot open")

    monkeypatch.setattr(doctor, "CHECKS", (broken, lambda: [Check(OK, "fine")]))
    first, second = doctor.examine()
    assert first.status == PROBLEM and second == Check(OK, "fine")
    assert "The broken part." in first.text and "libtorch.so" in first.text


def test_it_answers_with_nothing_but_the_standard_library(root):
    """In a Python that sees no installed package."""
    script = "import sys; from gensr_lib.book.cli import main; sys.exit(main(['doctor']))"
    env = {"PYTHONPATH": str(root), "PATH": os.environ["PATH"], "HOME": str(Path.home())}
    command = [sys.executable, "-S", "-c", script]
    done = subprocess.run(command, env=env, cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr == ""
    assert "packages are missing" in done.stdout and "failed" not in done.stdout


# ---- its parts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "status"), [((3, 10), PROBLEM), ((3, 14), OK)])
def test_python(monkeypatch, version, status):
    monkeypatch.setattr(sys, "version_info", (*version, 0, "final", 0))
    assert found(doctor.check_machine, "Python") == [status]


@pytest.mark.parametrize(("free", "status"), [(0.2e9, PROBLEM), (50e9, OK)])
def test_disk_space_also_of_a_folder_that_is_not_there_yet(monkeypatch, tmp_path, free, status):
    asked = []
    monkeypatch.setenv("GENSR_HOME", str(tmp_path / "not" / "yet"))
    usage = Usage(100e9, 0, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or usage)
    assert found(doctor.check_machine, "disk") == [status] and asked == [tmp_path]


@pytest.mark.parametrize(("free", "status"), [(1.5e9, NOTE), (8e9, OK)])
def test_memory(monkeypatch, free, status):
    memory = namedtuple("Memory", "available")(free)
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    assert found(doctor.check_machine, "memory") == [status]


@pytest.mark.parametrize("package", ["torch", "papermill"])
def test_a_missing_package(pretend, package):
    pretend(package, None)
    assert found(doctor.check_packages, f"{package} is missing") == [PROBLEM]


def test_an_old_package(pretend):
    pretend("scikit-learn", "1.5.0")  # the bound itself, without its zero, is new enough
    assert found(doctor.check_packages, "scikit-learn 1.5.0 is not") == []
    pretend("scikit-learn", "1.4.9")
    assert found(doctor.check_packages, "scikit-learn 1.4.9 is not >=1.5") == [PROBLEM]


def test_versions_other_than_the_lock_are_a_note(pretend):
    pretend("pandas", "99.1")
    assert found(doctor.check_packages, "pandas 99.1 (") == [NOTE]
    assert found(doctor.check_packages, "torch") == []  # 2.13.0+cpu is the lock's 2.13.0


def test_packages_that_do_not_fit_each_other_are_a_note(monkeypatch):
    answer = subprocess.CompletedProcess([], 1, stdout="a 1.0 requires b, which is not installed.")
    monkeypatch.setattr(subprocess, "run", lambda *a, **b: answer)
    assert found(doctor.check_packages, "a 1.0 requires b") == [NOTE]


def test_torch_that_is_there_and_cannot_be_imported_is_a_problem(monkeypatch, pretend):
    monkeypatch.setitem(sys.modules, "torch", None)  # import raises ImportError
    monkeypatch.setattr(doctor, "CHECKS", (doctor.check_torch,))
    assert [line.status for line in doctor.examine()] == [PROBLEM]
    pretend("torch", None)
    assert doctor.examine() == [], "a missing one is named among the packages"


def test_a_driver_without_a_gpu_build_is_a_note(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name, path=None: "/usr/bin/nvidia-smi")
    assert found(doctor.check_torch, "NVIDIA") == [NOTE]


def test_a_gpu_is_named(monkeypatch):
    gpu = namedtuple("Properties", "name total_memory")("H100", 80e9)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda number: gpu)
    assert found(doctor.check_torch, "2 x H100, 80 GB") == [OK]


def test_a_missing_kernel_is_a_problem(monkeypatch):
    monkeypatch.setattr("jupyter_client.kernelspec.find_kernel_specs", dict)
    assert found(doctor.check_kernel, "no Jupyter kernel") == [PROBLEM]


def test_the_project_and_what_it_holds(home, monkeypatch):
    assert found(doctor.check_project, "project in") == [PROBLEM]
    (home / "notebooks").mkdir()
    (home / "notebooks/01_data.ipynb").touch()
    (home / "data/raw/amazon-kindle").mkdir(parents=True)
    for name in ("gensr/seed-0", "unisar/seed-0", "lightgcn/seed-0.0123456789abcdef"):
        (home / "runs/pocket/smoke" / name).mkdir(parents=True)
        (home / "runs/pocket/smoke" / name / "metrics.json").touch()
    (home / "runs/pocket/smoke/sasrec/seed-0").mkdir(parents=True)  # not finished
    for words in ("chapters: 1", "pocket, pocket-plain, amazon-kindle", "finished runs: 2"):
        assert found(doctor.check_project, words) == [OK], words
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert found(doctor.check_project, "nothing can be written") == [PROBLEM]


def test_missing_programs_are_notes(monkeypatch):
    there = lambda name, path=None: None if name == "node" else f"/bin/{name}"  # noqa: E731
    monkeypatch.setattr(shutil, "which", there)
    assert found(doctor.check_programs, "program") == [OK, NOTE, OK]
