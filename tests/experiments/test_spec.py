"""A run's specification: what is in its hash, and what is not."""

from __future__ import annotations

import linecache
import logging
import os
import shutil
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest

from gensr_lib.config import Profile, read_profile
from gensr_lib.errors import ConfigError
from gensr_lib.experiments import spec as specs
from gensr_lib.experiments import workspace as workspaces
from gensr_lib.experiments.workspace import Workspace
from gensr_lib.models import GenSR

PRINT_HASHES = """
from gensr_lib import Workspace
book = Workspace("pocket", "smoke")
print(*(book.specify(name).hash for name in ("popularity", "gensr")))
"""
# Changes of which none changes a number: (file, text, text instead).
HARMLESS = [
    ("files.py", "import json\n", "import json  # a comment\n"),
    ("training/metrics.py", '"""Ranking metrics', '"""Another docstring. Ranking metrics'),
    ("analysis/theory.py", "\n\n\n", "\n\n\n# a comment in an analysis\n\n\n"),
    ("data/sources/load.py", "\n\n\n", "\n\n\ndef load_something_new():\n    return None\n\n\n"),
    ("models/registry.py", "MODELS = {\n", 'MODELS = {\n    "new": "joint.new:New",\n'),
]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    return tmp_path


def hashes(library: Path, home: Path) -> list[str]:
    env = {**os.environ, "PYTHONPATH": str(library), "GENSR_HOME": str(home)}
    done = subprocess.run([sys.executable, "-c", PRINT_HASHES], env=env, capture_output=True, text=True, cwd=home)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_comments_loaders_and_new_models_retrain_nothing_and_numbers_do(root, home, tmp_path):
    copied = tmp_path / "copy"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / "gensr_lib", copied / "gensr_lib", ignore=ignored)
    for name, old, new in HARMLESS:
        path = copied / "gensr_lib" / name
        text = path.read_text(encoding="utf-8")
        assert old in text, name
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
    new = 'from ..anchors import Popularity\n\n\nclass New(Popularity):\n    name = "new"\n'
    (copied / "gensr_lib" / "models" / "joint" / "new.py").write_text(new)
    here = hashes(root, home)
    assert hashes(copied, home) == here
    init = copied / "gensr_lib" / "__init__.py"
    init.write_text(init.read_text().replace("\nNUMBERS = ", "\nNUMBERS = 1000 + "))
    assert not set(hashes(copied, home)) & set(here)


def test_asking_for_a_hash_trains_nothing(home, monkeypatch):
    monkeypatch.setattr(workspaces, "train", lambda *a, **o: pytest.fail("trained"))
    book = Workspace("pocket", "smoke")
    assert book.specify("gensr").hash == book.specify("gensr").hash
    assert not list((home / "runs").rglob("*")) if (home / "runs").exists() else True


def test_everything_that_decides_the_numbers_is_in_the_hash(home):
    book = Workspace("pocket", "smoke")
    spec = book.specify("gensr")
    others = [
        book.specify("gensr", seed=1),
        book.specify("gensr", tau=0.3),
        book.specify("gensr", epochs=3),
        replace(spec, data="other"),
        replace(spec, built_on={**spec.built_on, "lightgcn": "other"}),
        replace(spec, code="other"),
        replace(spec, processes=2),
        replace(spec, processes=3),
        book.specify("unisar"),
    ]
    found = [spec.hash, *(other.hash for other in others)]
    assert len(set(found)) == len(found)
    assert spec.record()["options"]["tau"] == 0.07, "the options are complete"


def test_one_process_goes_without_saying_and_more_are_named(home):
    spec = Workspace("pocket", "smoke").specify("lightgcn")
    two = replace(spec, processes=2)
    assert "processes" not in spec.record() and two.record()["processes"] == 2
    assert spec.alike == two.alike == spec.hash != two.hash


def test_the_hash_of_a_run_of_the_book_is_what_it_was(home):
    """Trainings of days hang on it: a new key of a specification must be absent where it says nothing new."""
    book = Workspace("pocket", "smoke")
    found = {name: book.specify(name).hash for name in ("popularity", "lightgcn", "unisar", "gensr")}
    assert book.dataset.hash != "1538de4abcac62dd" or found == {
        "popularity": "70563ec18a012888",
        "lightgcn": "79a9ccab4fe45d01",
        "unisar": "a6fcbce25df1f18e",
        "gensr": "0f75682c62a4bb9a",
    }


def test_a_backbone_with_other_weights_is_another_run(home, tmp_path):
    book = Workspace("pocket", "smoke")
    folder = tmp_path / "t5"
    folder.mkdir()
    book.profile = book.profile.replace(backbone={"name": str(folder)})
    hashes = []
    for content in ("one", "other", "one"):
        (folder / "model.safetensors").write_text(content)
        os.utime(folder / "model.safetensors", (len(hashes),) * 2)
        hashes.append(book.specify("gensr").hash)
    assert hashes[0] == hashes[2] != hashes[1]


def test_a_model_from_outside_is_trained_again_when_its_code_changes(home, monkeypatch):
    source = (
        "from gensr_lib.models import Popularity\n\n\n"
        "class Mine(Popularity):\n    '''Mine.'''\n\n    name = 'mine'\n\n"
        "    def score(self, batch):\n        return 2 * super().score(batch)\n"
    )
    monkeypatch.syspath_prepend(home)
    codes = []
    for text in (source, source + "\n# a comment\n", source.replace("Mine.'", "Yours.'"), source.replace("2 *", "3 *")):
        (home / "mine.py").write_text(text)
        sys.modules.pop("mine", None)
        codes.append(Workspace("pocket", "smoke").specify("mine:Mine").code)
    sys.modules.pop("mine", None)
    assert codes[0] == codes[1] == codes[2] != codes[3]
    assert specs.code_of(specs.model_class("popularity")) == ""


def test_a_model_that_was_edited_since_it_was_imported_is_refused(home, monkeypatch):
    """Its class is the old one, and the run would be known by the new code."""
    monkeypatch.syspath_prepend(home)
    text = "from gensr_lib.models import Popularity\n\n\nclass Mine(Popularity):\n    name = 'mine'\n    weight = 2\n"
    (home / "edited.py").write_text(text)
    before = Workspace("pocket", "smoke").specify("edited:Mine").code
    (home / "edited.py").write_text(text.replace("2", "3"))
    linecache.clearcache()
    with pytest.raises(ConfigError, match="edited was edited since it was imported"):
        Workspace("pocket", "smoke").specify("edited:Mine")
    sys.modules.pop("edited")
    assert Workspace("pocket", "smoke").specify("edited:Mine").code != before


def test_the_code_of_a_model_is_also_that_of_those_it_is_made_from(home, monkeypatch):
    monkeypatch.syspath_prepend(home)
    base = "from gensr_lib.models import Popularity\n\n\nclass Base(Popularity):\n    weight = 2\n"
    (home / "derived.py").write_text("from based import Base\n\n\nclass Mine(Base):\n    name = 'mine'\n")
    codes = []
    for text in (base, base.replace("2", "3")):
        (home / "based.py").write_text(text)
        for name in ("based", "derived"):
            sys.modules.pop(name, None)
        linecache.clearcache()
        codes.append(Workspace("pocket", "smoke").specify("derived:Mine").code)
    assert codes[0] != codes[1]


def test_a_model_without_a_file_is_told_to_be_written_to_one(home, monkeypatch):
    module = types.ModuleType("typed_in")
    exec("from gensr_lib.models import Popularity\nclass Mine(Popularity):\n    name = 'mine'", vars(module))
    monkeypatch.setitem(sys.modules, "typed_in", module)
    module.Mine.__module__ = "typed_in"
    with pytest.raises(ConfigError, match=r"write the model to a \.py file"):
        Workspace("pocket", "smoke").specify("typed_in:Mine")


def test_a_name_that_model_and_training_have_is_the_models_by_keyword(home):
    found = Workspace("pocket", "smoke").specify("fmlp", negatives=7)
    plain = Workspace("pocket", "smoke").specify("fmlp")
    assert found.options.negatives == 7 and found.training == plain.training


def test_a_specification_of_other_data_or_called_as_what_it_is_built_on_is_refused(home):
    book = Workspace("pocket", "smoke")
    with pytest.raises(ConfigError, match=r"is of data .*, and this workspace has"):
        book.run(Workspace("pocket", "smoke", 1).specify("popularity"))
    with pytest.raises(ConfigError, match="variant 'lightgcn': gensr is built on that"):
        book.fit("gensr", variant="lightgcn")


def test_a_model_from_outside_is_fitted_and_loaded_by_its_path(home, monkeypatch):
    text = "from gensr_lib.models import Popularity\n\n\nclass Mine(Popularity):\n    name = 'mine'\n"
    (home / "mine_too.py").write_text(text)
    monkeypatch.syspath_prepend(home)
    first = Workspace("pocket", "smoke").fit("mine_too:Mine")
    again = Workspace("pocket", "smoke").fit("mine_too:Mine")
    assert not first.loaded and again.loaded and first.folder.parts[-2:] == ("mine", "seed-0")
    assert again.record["model"] == "mine_too:Mine" and again.record["metrics"] == first.record["metrics"]


def test_a_run_of_the_old_layout_is_said_so_and_kept(home, caplog):
    book = Workspace("pocket", "smoke")
    folder = book.folder / "popularity" / "seed-0"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"hash": "0123", "name": "popularity", "model": {}, "training": {}}')
    (folder / "metrics.json").write_text('{"hash": "0123", "metrics": {}}')
    with caplog.at_level(logging.WARNING):
        assert not book.fit("popularity").loaded
    assert "earlier layout" in caplog.text and "seed-0.0123" in caplog.text
    assert (folder.with_name("seed-0.0123") / "metrics.json").exists()


def test_an_option_of_another_model_is_refused_by_name(home):
    with pytest.raises(ConfigError, match="option of lightgcn 'tau'"):
        Workspace("pocket", "smoke").specify("lightgcn", tau=0.1)


def test_data_that_are_not_simulated_have_settings_of_their_own(home, tmp_path, monkeypatch):
    """`real_data` lies over a model's own entry there, and under the caller's options."""
    changed = read_profile("smoke").model_dump(exclude_unset=True) | {
        "real_data": {"gensr": {"model": {"tau": 0.5}, "training": {"epochs": 7}}, "qem": {"training": {"epochs": 9}}}
    }
    monkeypatch.setattr(specs, "read_profile", lambda name: Profile.parse(changed))
    mine, simulated = Workspace(str(tmp_path), "smoke"), Workspace("pocket", "smoke")
    for book, tau, epochs in [(mine, 0.5, 7), (simulated, GenSR.Config().tau, 1)]:
        options, training = specs.resolve(book.profile, "gensr")
        assert (options.tau, training.epochs) == (tau, epochs)
        assert (options.history, training.probe_rows) == (40, 64), "the profile's own entry stays"
    assert specs.resolve(mine.profile, "qem")[1].epochs == 9, "a model without an entry of its own"
    assert specs.resolve(mine.profile, "gensr", epochs=2)[1].epochs == 2
    for block, wrong in [({"gensr": {"model": {"tua": 1}}}, "tua"), ({"gesnr": {}}, "gesnr")]:
        monkeypatch.setattr(specs, "read_profile", lambda name, b=block: Profile.parse(changed | {"real_data": b}))
        with pytest.raises(ConfigError, match=f"profile smoke: .*{wrong}"):
            Workspace("pocket", "smoke").profile  # noqa: B018
