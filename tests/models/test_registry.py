"""Names and paths of models: what cannot be used is refused with the place and the mend."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from gensr_lib.errors import ConfigError
from gensr_lib.models import available_models, build_model, model_class, registry
from tests.worlds import pocket

OWN = """
import torch
from gensr_lib.models import RankingModel

class Own(RankingModel):
    name = "own"

    def __init__(self, config, n_items):
        super().__init__(config, n_items=n_items)
        self.bias = torch.nn.Parameter(torch.zeros(n_items + 1))

    @classmethod
    def from_dataset(cls, dataset, config):
        return cls(config, dataset.n_items)

    def loss(self, batch):
        return {"own": -self.score(batch)[:, 0].mean()}

    def score(self, batch):
        return self.bias[batch.cand]

class Half(RankingModel):
    name = "half"

class Taken(Own):
    name = "gensr"

class Nameless(Own):
    name = ""

class Idle(Own):
    name = "idle"
    tasks = frozenset()

class NoOptions(Own):
    name = "no_options"
    Config = dict

not_a_class = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of somebody else, from which models are named by path."""
    (tmp_path / "own_models.py").write_text(textwrap.dedent(OWN))
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_models", None)


def test_a_model_from_outside_is_built_by_its_path(own):
    model = build_model("own_models:Own", pocket())
    assert model.name == "own" and model.bias.shape == (pocket().n_items + 1,)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("own_models:Half", "Half.*score"),
        ("own_models:Taken", "'gensr' is taken"),
        ("own_models:Nameless", "`name` is missing"),
        ("own_models:Idle", "tasks"),
        ("own_models:NoOptions", "Config"),
        ("own_models:not_a_class", "no subclass"),
        ("own_models:Missing", "cannot be imported.*Missing"),
        ("no_such_package.models:Own", "cannot be imported.*no_such_package"),
        (":Own", "cannot be imported"),
    ],
)
def test_what_is_no_model_is_refused(own, path, says):
    with pytest.raises(ConfigError, match=says):
        model_class(path)


def test_an_unknown_name_gets_the_closest_one():
    with pytest.raises(ConfigError, match="did you mean 'lightgcn'"):
        model_class("lightgnc")


def test_an_entry_without_its_file_is_named(monkeypatch):
    monkeypatch.setitem(registry.MODELS, "din", "recommendation.no_such_file:DIN")
    with pytest.raises(ConfigError, match=r"'din' of gensr_lib\.models\.registry.*no_such_file"):
        model_class("din")


def test_an_entry_of_another_name_is_refused(monkeypatch):
    monkeypatch.setitem(registry.MODELS, "pop", "anchors:Popularity")
    with pytest.raises(ConfigError, match=r"lists 'pop'.*'popularity'|name 'popularity' is taken"):
        model_class("pop")


def test_what_a_model_needs_is_asked_for_by_name():
    with pytest.raises(ConfigError, match="'gensr' needs language_model, lightgcn"):
        build_model("gensr", pocket())


def test_the_mapping_is_complete_and_lazy():
    assert list(available_models()) == list(registry.MODELS) and len(available_models()) >= 5
    assert "gensr" in available_models() and "no_such_model" not in available_models()


@pytest.mark.parametrize(
    "statement",
    [
        "import gensr_lib",
        "import gensr_lib.models.recommendation.lightgcn",
        "from gensr_lib import available_models; available_models()['popularity']",
    ],
)
def test_what_is_light_loads_neither_transformers_nor_matplotlib(statement):
    code = f"{statement}; import sys; print({{'transformers', 'matplotlib'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
