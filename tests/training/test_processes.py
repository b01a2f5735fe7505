"""Several processes that train together take the steps of one, and do not go on with another number's run."""

from __future__ import annotations

import json

import pytest
import torch

from gensr_lib.errors import ConfigError
from gensr_lib.models.losses import of_all_processes
from gensr_lib.training.checkpoints import POINTER
from gensr_lib.training.loop import make_accelerator, train
from tests.processes import SHORT, SYSTEMS, lightgcn, start_two, step_gradient
from tests.worlds import pocket


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> list[dict]:
    """The gradients that each of two processes has after averaging, by system."""
    return start_two("gradients", tmp_path_factory.mktemp("gradients"))


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_gradient_of_two_processes_is_that_of_one(together, system):
    """Without dropout, and with as many rows in each: also of eq. 10 and of UniSAR's transition alignment, where the
    rows of a batch are each other's negatives."""
    alone = step_gradient(system, make_accelerator(cpu=True))
    assert any(gradient.abs().max() > 1e-4 for gradient in alone.values())
    for found in together:
        assert set(found[system]) == set(alone)
        for name, gradient in alone.items():
            assert torch.allclose(found[system][name], gradient, rtol=1e-4, atol=1e-6), name


def test_alone_nothing_is_gathered():
    x = torch.ones(2, 3)
    assert of_all_processes(x) is x


def test_a_run_that_another_number_of_processes_began_is_refused_by_both_numbers(tmp_path):
    train(lightgcn(), pocket(), SHORT.replace(epochs=1, max_steps_per_epoch=2), folder=tmp_path)
    pointer = json.loads((tmp_path / POINTER).read_text())
    assert pointer["processes"] == 1
    (tmp_path / POINTER).write_text(json.dumps({**pointer, "processes": 7}))
    with pytest.raises(ConfigError, match=r"7 processes began .* 1 cannot") as error:
        train(lightgcn(), pocket(), SHORT.replace(epochs=1, max_steps_per_epoch=2), folder=tmp_path)
    assert str(tmp_path) in str(error.value) and "delete" in str(error.value)
