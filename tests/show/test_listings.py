"""A chapter shows the code that runs, all of it but the docstrings."""

import ast
import inspect
import textwrap

import pytest

from gensr_lib.models import GenSR, SoftFilter, contrastive
from gensr_lib.models.recommendation.lightgcn import LightGCN
from gensr_lib.show.listings import code, without_docstrings

DOCUMENTED = '''\
class Both:
    """A class.

    Of two paragraphs.
    """

    def one(self):
        "With a line of its own."
        text = """no docstring"""
        return text  # a comment stays

    async_ = 1
'''


def test_docstrings_go_and_nothing_else():
    assert without_docstrings(DOCUMENTED).splitlines() == [
        "class Both:",
        "    def one(self):",
        '        text = """no docstring"""',
        "        return text  # a comment stays",
        "",
        "    async_ = 1",
    ]
    assert without_docstrings("x = 1\n\n\ny = 2") == "x = 1\n\n\ny = 2"


@pytest.mark.parametrize("function", [SoftFilter.forward, contrastive, GenSR.encode, SoftFilter])
def test_what_is_shown_is_the_function_statement_by_statement(function):
    shown = ast.parse(code(function).text).body[0]
    whole = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    for node in ast.walk(whole):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            del node.body[0]
    assert ast.dump(shown) == ast.dump(whole)


def test_properties_and_decorated_functions_are_shown_with_their_places():
    shown = code(GenSR.loss_weights, LightGCN.item_vectors)
    assert shown.text.startswith("@property\ndef loss_weights")
    assert "@torch.no_grad()\ndef item_vectors" in shown.text
    assert shown.places == (
        "gensr_lib/models/gensr/model.py: GenSR.loss_weights",
        "gensr_lib/models/recommendation/lightgcn.py: LightGCN.item_vectors",
    )


def test_a_notebook_shows_python_and_a_terminal_plain_text():
    shown = code(contrastive)
    assert shown._repr_markdown_().startswith("```python\ndef contrastive(")
    assert shown._repr_markdown_().endswith("\n```\n\n`gensr_lib/models/losses.py: contrastive`")
    assert repr(shown) == shown.text and "```" not in repr(shown)


def test_a_name_that_is_gone_fails():
    with pytest.raises(AttributeError):
        code(GenSR.attend)
