"""Which code counts for a run: what it imports, and nothing else."""

from __future__ import annotations

import inspect

import pytest

from gensr_lib import provenance
from gensr_lib.models import GenSR, LightGCN, available_models
from gensr_lib.provenance import OF_EVERY_RUN, code_hash, imported
from tests.worlds import pocket

FILES = {
    "runs.py": "from .models import available\nfrom .plots import draw\n",
    "training.py": "from .models.base import Model\n",
    "evaluation.py": "from . import counting\n",
    "counting.py": "",
    "backbone.py": "import torch\n",
    "metrics.py": "",
    "plots.py": "",
    "analysis.py": "from .models.one import One\n",
    "data/loading.py": "def load():\n    from ..metrics import rank\n",
    "models/__init__.py": "from .one import One\nfrom .deep.two import Two\n",
    "models/base.py": "from ..data import loading\n",
    "models/layers.py": "",
    "models/one.py": "from .base import Model\n",
    "models/deep/__init__.py": "",
    "models/deep/two.py": "from ..layers import mean\nfrom ..base import Model\n",
}


@pytest.fixture
def package(tmp_path):
    """A small package with the library's layout."""
    for name, source in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return tmp_path


def changes_hash(package, name: str, model: str) -> bool:
    before = code_hash(package / model, package)
    (package / name).write_text(FILES[name] + "x = 2\n")
    return code_hash(package / model, package) != before


@pytest.mark.parametrize(
    "name", [*OF_EVERY_RUN, "runs.py", "metrics.py", "counting.py", "models/base.py", "models/layers.py"]
)
def test_what_a_run_imports_counts(package, name):
    assert changes_hash(package, name, "models/deep/two.py")


@pytest.mark.parametrize("name", ["plots.py", "analysis.py", "models/one.py", "models/__init__.py"])
def test_analyses_and_other_models_do_not_count(package, name):
    assert not changes_hash(package, name, "models/deep/two.py")


def test_blocks_count_for_the_models_that_use_them(package):
    assert not changes_hash(package, "models/layers.py", "models/one.py")


@pytest.mark.parametrize("name", FILES)
def test_everything_counts_for_a_chapter(package, name):
    before = code_hash(package=package)
    (package / name).write_text(FILES[name] + "x = 2\n")
    assert code_hash(package=package) != before


def test_the_real_library():
    names = {p.relative_to(provenance.PACKAGE).as_posix() for p in imported([inspect.getfile(GenSR)])}
    assert {"models/gensr.py", "models/layers.py", "backbone.py", "losses.py", "data/batches.py"} <= names
    assert not {"runs.py", "plots.py", "models/lightgcn.py", "models/__init__.py"} & names
    assert all((provenance.PACKAGE / name).is_file() for name in OF_EVERY_RUN)
    assert code_hash(inspect.getfile(GenSR)) != code_hash(inspect.getfile(LightGCN)) != code_hash()


def test_no_model_imports_another_models_file():
    """Else a change to one model would train another one anew; blocks that models share stand in layers."""
    own = {name: inspect.getfile(cls) for name, cls in available_models().items()}
    for name, path in own.items():
        reached = {str(p) for p in imported([path])}
        others = {other for other, file in own.items() if file != path and not file.endswith("base.py")}
        assert not {other for other in others if own[other] in reached}, name


def test_peak_memory_is_in_mb_on_mac_too(monkeypatch):
    """ru_maxrss is in kB on Linux and in bytes on macOS."""
    expected = {"linux": 2**20, "darwin": 2**30}
    for platform, raw in expected.items():
        monkeypatch.setattr(provenance.sys, "platform", platform)
        usage = type("Usage", (), {"ru_maxrss": raw})
        monkeypatch.setattr(provenance.resource, "getrusage", lambda who, usage=usage: usage)
        assert provenance.provenance(pocket(), 0, "code")["peak_memory_mb"] == 1024
