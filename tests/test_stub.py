"""The stub that editors read is what the entry points say."""

import importlib.util
from pathlib import Path

import pytest

import skgen

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def make_stub():
    spec = importlib.util.spec_from_file_location("make_stub", ROOT / "tools" / "make_stub.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_stub_is_current(make_stub):
    assert (ROOT / "skgen" / "__init__.pyi").read_text() == make_stub.stub(), "run `python tools/make_stub.py`"


def test_stub_names_every_public_name(make_stub):
    text = make_stub.stub()
    for name in dir(skgen):
        assert f" as {name}\n" in text or name == "__version__", name
