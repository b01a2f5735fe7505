"""One loss for all systems: that of clicks, on the system's own scores, options and training."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gensr_lib.errors import ConfigError
from gensr_lib.models import available_models
from gensr_lib.models.registry import build_model, model_class
from tests.worlds import pocket

PATH = "gensr_lib.models.common_loss:"


@pytest.mark.parametrize("name", ["gru4rec", "seqrec", "hem", "copps"])
def test_the_loss_is_the_cross_entropy_of_each_candidate(name):
    data = pocket()
    cls = model_class(PATH + name)
    assert issubclass(cls, available_models()[name]) and cls is model_class(PATH + name)
    model = build_model(PATH + name, data, cls.tiny).eval()
    (task,) = model.tasks
    batch = data.batch("valid", task, range(5))
    scores = model.score(batch)
    target = torch.zeros_like(scores)
    target[:, 0] = 1
    expected = F.binary_cross_entropy_with_logits(scores, target)
    assert list(model.loss(batch)) == ["click"] and model.loss_weights == {}
    assert model.loss(batch)["click"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_model_is_saved_and_read_as_what_it_is(tmp_path):
    cls = model_class(PATH + "sasrec")
    model = build_model(PATH + "sasrec", pocket(), cls.tiny).eval()
    model.save_pretrained(tmp_path)
    batch = pocket().batch("valid", "rec", range(3))
    assert torch.equal(cls.from_pretrained(tmp_path).score(batch), model.score(batch))


def test_an_unknown_system_is_an_error():
    with pytest.raises(ConfigError, match="no model of the library is called 'sasrek'"):
        model_class(PATH + "sasrek")
