"""The environment check: what it says of this machine, and of machines on which something is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from gensr_lib.book import doctor
from gensr_lib.book.doctor import NOTE, OK, PROBLEM, Check

Usage = namedtuple("Usage", "total used free")


def run(check) -> list[Check]:
    return list(check())


def statuses(found: list[Check], words: str) -> list[str]:
    return [check.status for check in found if words in check.text]


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty project folder."""
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def versions(monkeypatch):
    """Function that pretends that packages have other versions; None: they are missing."""
    real = metadata.version

    def fake(**other):
        def version(name):
            found = other.get(name.replace("-", "_"), real(name) if name.replace("-", "_") not in other else None)
            if found is None:
                raise metadata.PackageNotFoundError(name)
            return found

        monkeypatch.setattr(metadata, "version", version)

    return fake


# --- the whole ----------------------------------------------------------------------------------


def test_where_the_tests_run_the_book_can_run(capsys, root, monkeypatch):
    monkeypatch.chdir(root)
    assert doctor.doctor() == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].startswith("ok       Python 3.") and "the pocket book can run here\n" in printed
    assert f"{len(list((root / 'notebooks').glob('[0-9][0-9]_*.ipynb')))} chapters" in printed


def test_one_problem_makes_the_exit_code_1_and_notes_do_not(monkeypatch, capsys):
    for status, code in ((PROBLEM, 1), (NOTE, 0), (OK, 0)):
        monkeypatch.setattr(doctor, "CHECKS", (lambda status=status: [Check(status, "something", "do this")],))
        assert doctor.doctor() == code
        first, second, *_, last = capsys.readouterr().out.splitlines()
        assert (first, second) == (f"{status:<8} something", "         -> do this")
        counts = {PROBLEM: "1 problem, 0 notes: ", NOTE: "0 problems, 1 note: ", OK: "0 problems, 0 notes: "}
        assert last.startswith(counts[status]) and ("cannot run here" in last) == bool(code)


def test_a_check_that_fails_is_a_problem_and_the_others_go_on(monkeypatch):
    def broken():
        """The broken part."""
        raise OSError("libtorch.so: cannot open")

    monkeypatch.setattr(doctor, "CHECKS", (broken, lambda: [Check(OK, "fine")]))
    first, second = doctor.examine()
    assert first.status == PROBLEM and second == Check(OK, "fine")
    assert first.text == "The broken part: the check failed with OSError: libtorch.so: cannot open"
    assert first.advice == "reinstall: make venv"


def test_it_answers_with_nothing_but_the_standard_library(root):
    """In a Python that sees no installed package: each is named, and nothing crashes."""
    script = "import sys; from gensr_lib.book.doctor import doctor; sys.exit(doctor())"
    environment = {"PYTHONPATH": str(root), "PATH": os.environ["PATH"], "HOME": str(Path.home())}
    done = subprocess.run([sys.executable, "-S", "-c", script], env=environment, cwd=root, capture_output=True,
                          text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 1 and done.stderr == ""
    assert "problem  torch is missing\n" in done.stdout and "papermill is missing, which the chapters" in done.stdout
    assert "the check failed" not in done.stdout


def test_nothing_of_the_user_stands_in_the_report(monkeypatch, home):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HOME", str(home.parent))
    text = doctor.report(doctor.examine())
    assert "hf_secret" not in text and str(home.parent) not in text and f"~/{home.name}" in text


def test_only_the_home_folder_itself_is_replaced(monkeypatch):
    monkeypatch.setenv("HOME", "/users/ann")
    assert doctor.without_home("/users/ann/book, /users/ann. /users/anna/x") == "~/book, ~. /users/anna/x"
    monkeypatch.setenv("HOME", "/")
    assert doctor.without_home("/data/book") == "/data/book"


# --- the machine --------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "status"), [((3, 10), PROBLEM), ((3, 11), OK), ((3, 14), OK)])
def test_python(monkeypatch, version, status):
    monkeypatch.setattr(sys, "version_info", (*version, 0, "final", 0))
    (found,) = run(doctor.check_python)
    assert found.status == status and bool(found.advice) == (status == PROBLEM)


@pytest.mark.parametrize(("free", "status"), [(0.2e9, PROBLEM), (3e9, NOTE), (50e9, OK)])
def test_disk_space(monkeypatch, free, status):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(100e9, 0, free))
    (found,) = run(doctor.check_disk)
    assert found.status == status and found.text.startswith(f"{free / 1e9:.1f} GB")


def test_disk_space_of_a_folder_that_is_not_there_yet(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setenv("GENSR_HOME", str(tmp_path / "not" / "yet"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or Usage(1, 0, 50e9))
    run(doctor.check_disk)
    assert asked == [tmp_path]


@pytest.mark.parametrize(("free", "status"), [(1.5e9, NOTE), (8e9, OK)])
def test_memory(monkeypatch, free, status):
    monkeypatch.setattr("psutil.virtual_memory", lambda: namedtuple("Memory", "available")(free))
    assert run(doctor.check_machine)[0].status == status


def test_busy_cores_are_noticed_unless_threads_are_limited(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "getloadavg", lambda: (1000.0, 0, 0))
    assert statuses(run(doctor.check_machine), "busy") == [NOTE]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert statuses(run(doctor.check_machine), "busy") == []
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(os, "getloadavg", lambda: (0.1, 0, 0))
    assert statuses(run(doctor.check_machine), "busy") == []


# --- packages -----------------------------------------------------------------------------------


def test_the_requirements_are_those_of_the_project(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    expected = [(r.name, str(r.specifier), g) for g, lines in groups.items() for r in map(Requirement, lines)]
    assert [(n.name, f">={n.bound}", n.group) for n in doctor.requirements()] == expected


def test_an_installation_without_a_checkout_says_the_same(monkeypatch, tmp_path):
    lines = ["accelerate>=1.1", 'papermill>=2.6; extra == "book"']
    monkeypatch.setattr(doctor, "PACKAGE", tmp_path / "gensr_lib")
    monkeypatch.setattr(metadata, "requires", lambda name: lines)
    assert [vars(n) for n in doctor.requirements()] == [
        {"name": "accelerate", "bound": "1.1", "group": ""}, {"name": "papermill", "bound": "2.6", "group": "book"}
    ]  # fmt: skip
    assert doctor.locked_versions() == {} and statuses(run(doctor.check_packages), "differ") == []


@pytest.mark.parametrize(
    ("package", "status"),
    [("torch", PROBLEM), ("papermill", PROBLEM), ("jupyterlab", NOTE), ("jupytext", NOTE), ("nbval", NOTE)],
)
def test_a_missing_package(versions, package, status):
    versions(**{package: None})
    found = run(doctor.check_packages)
    assert statuses(found, f"{package} is missing") == [status]
    (check,) = [check for check in found if "is missing" in check.text]
    assert "make venv" in check.advice and f"pip install '{package}>=" in check.advice
    wanted = len(doctor.requirements())
    assert statuses(found, f"{wanted - 1} of {wanted} packages, among them ") == [OK]


def test_an_old_package(versions):
    versions(numpy="1.26.4", scikit_learn="1.5.0")
    found = run(doctor.check_packages)
    assert statuses(found, "numpy 1.26.4 is older than 2.0") == [PROBLEM]
    assert [check.text for check in found if "older" in check.text] == ["numpy 1.26.4 is older than 2.0"]


def test_versions_other_than_the_lock_are_a_note(versions):
    versions(pandas="99.1", pyyaml="6.0.99")
    (check,) = [check for check in run(doctor.check_packages) if "differ" in check.text]
    pins = doctor.locked_versions()
    assert check.status == NOTE and check.text.startswith("2 versions differ from constraints.txt: ")
    assert f"pandas 99.1 ({pins['pandas']})" in check.text and f"pyyaml 6.0.99 ({pins['pyyaml']})" in check.text


def test_comments_in_the_lock_pin_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "PACKAGE", tmp_path / "gensr_lib")
    (tmp_path / "constraints.txt").write_text("# numpy==1.0: too old\nNumPy==2.3.1\n-c other.txt\nscikit_learn==1.7\n")
    assert doctor.locked_versions() == {"numpy": "2.3.1", "scikit-learn": "1.7"}


def test_a_local_version_is_that_of_the_lock(versions):
    versions(torch=doctor.locked_versions()["torch"] + "+cu130")
    assert not any("torch" in check.text for check in run(doctor.check_packages) if "differ" in check.text)


@pytest.mark.parametrize("pair", [("2.9", "2.13"), ("1.26.4", "2.0"), ("0.4.2", "0.4.3"), ("2.0", "2.0.0")])
def test_versions_are_compared_as_pip_does(pair):
    lower, upper = pair
    assert (doctor._numbers(lower) < doctor._numbers(upper)) == (Version(lower) < Version(upper))
    assert doctor._numbers(upper + "+cpu") >= doctor._numbers(lower)


def test_torch_that_is_there_and_cannot_be_imported_is_a_problem(monkeypatch, versions):
    monkeypatch.setitem(sys.modules, "torch", None)  # import raises ImportError
    (found,) = run(doctor.check_torch)
    assert found.status == PROBLEM and found.text.startswith("torch is installed and cannot be imported: ")
    versions(torch=None)
    assert run(doctor.check_torch) == [], "a missing one is named among the packages"


def test_a_driver_without_a_gpu_build_is_a_note(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name, path=None: "/usr/bin/nvidia-smi")
    assert [check.status for check in run(doctor.check_torch)] == [OK, NOTE]
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    assert [check.status for check in run(doctor.check_torch)] == [OK]


def test_a_gpu_is_named(monkeypatch):
    properties = namedtuple("Properties", "name total_memory")("H100", 80e9)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda number: properties)
    assert run(doctor.check_torch) == [Check(OK, "device: 2 x H100, 80 GB each")]
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert run(doctor.check_torch) == [Check(OK, "device: H100, 80 GB each")]


def test_a_missing_kernel_is_a_problem(monkeypatch):
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    def missing(self, name):
        raise NoSuchKernel(name)

    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", missing)
    assert [check.status for check in run(doctor.check_kernel)] == [PROBLEM]


# --- the project --------------------------------------------------------------------------------


def test_a_folder_without_chapters_is_a_problem(home):
    assert [check.status for check in run(doctor.check_project)] == [PROBLEM]
    (home / "notebooks").mkdir()
    (home / "notebooks" / "01_data.ipynb").touch()
    (found,) = run(doctor.check_project)
    assert found.status == OK and found.text.endswith("(GENSR_HOME), 1 chapters")


def test_a_folder_that_cannot_be_written_is_a_problem(home, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert statuses(run(doctor.check_project), "nothing can be written") == [PROBLEM]


def test_data_sets_and_finished_runs_are_listed(home):
    for name in ("gensr/seed-0", "gensr/seed-1", "unisar/seed-0", "lightgcn/seed-0.0123456789abcdef"):
        folder = home / "runs" / "pocket" / "smoke" / name
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps({}))
    (home / "runs" / "pocket" / "smoke" / "sasrec" / "seed-0").mkdir(parents=True)  # not finished
    (home / "data" / "raw" / "amazon-kindle").mkdir(parents=True)
    (home / "data" / "raw" / "README.md").touch()
    data, runs = run(doctor.check_data)
    assert data.text == "data sets: pocket, amazon-kindle"
    assert runs.text == "finished runs: pocket/smoke: gensr, unisar"


def test_no_run_yet_is_no_problem(home):
    _, runs = run(doctor.check_data)
    assert runs.status == OK and runs.text == "finished runs: none yet, make book makes them"


# --- what only some need ------------------------------------------------------------------------


def test_missing_programs_are_notes(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None if name == "node" else f"/bin/{name}")
    found = run(doctor.check_site)
    assert found[0] == Check(OK, "programs: git, jupyter-book") and statuses(found, "no node: the site") == [NOTE]
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    assert [check.status for check in run(doctor.check_site)] == [NOTE] * 3


def test_profile_paper_says_whether_it_needs_the_hub(monkeypatch):
    files = {}
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda name, file: files.get(file))
    (found,) = run(doctor.check_paper)
    assert found.status == NOTE and "google/flan-t5-base must be fetched" in found.text
    files["config.json"] = "/cache/config.json"
    assert run(doctor.check_paper)[0].status == NOTE, "the configuration alone is not the weights"
    files["model.safetensors"] = "/cache/model.safetensors"
    assert run(doctor.check_paper)[0].status == OK


def test_a_folder_or_the_pocket_backbone_needs_no_hub(tmp_path):
    assert doctor._cached("pocket") and doctor._cached(str(tmp_path))
