"""The examples of the docstrings run, in the modules as installed."""

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("name", ["skgen_zuko"])
def test_examples(name):
    found = doctest.testmod(import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
