"""What several files of this folder share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A project folder of its own, shared by the tests of a file: the data set is made once."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENSR_HOME", str(folder))
        yield folder
