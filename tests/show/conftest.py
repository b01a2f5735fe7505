"""Figures are tested in the style of the book."""

import matplotlib as mpl
import pytest

from gensr_lib.show import use_style


@pytest.fixture(autouse=True)
def style():
    """The style of the book, and matplotlib's own again after each test."""
    with mpl.rc_context():
        use_style()
        yield
