"""Imports go one way, and what is public is documented: read from the source, so that a new file is held to it at once."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import skgen
from skgen import registry
from skgen.tables import KINDS

ROOT = Path(skgen.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
#: The neck of the house: what a model may import by name.
NECK = {"skgen.base", "skgen.neural"}
SHELVES = {"skgen.evaluate", "skgen.testing", "skgen.cli", "skgen.files", "skgen.report"}
TORCH = re.compile(r"skgen\.(neural|learn\.(gradient|labelled|checkpoint|contrastive|adversarial|games)|ops\.|models\.)")


def module_of(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(text, name, top_only=False):
    """Modules that a source imports; ``from skgen import X`` counts as where X lives if that is known."""
    found = set()
    tree = ast.parse(text)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    nodes = tree.body if top_only else ast.walk(tree)
    for node in nodes:
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively: write the whole path"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = node.module.startswith("skgen") and _exists(whole)
                found.add(
                    whole if is_module else skgen._LAZY.get(alias.name, node.module) if node.module == "skgen" else node.module
                )
    return found


def _exists(module):
    path = ROOT.parent.joinpath(*module.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def below(module, package):
    return module == package or module.startswith(package + ".")


def wrong_arrows(name, imported):
    """The imports among ``imported`` that module ``name`` may not have."""
    ours = {m for m in imported if below(m, "skgen")}
    parts = name.split(".")
    wrong = set()
    if below(name, "skgen.ops"):
        wrong = {m for m in ours if not below(m, "skgen.ops")}
    elif below(name, "skgen.learn"):
        wrong = {m for m in ours if not (below(m, "skgen.ops") or below(m, "skgen.learn"))}
    elif below(name, "skgen.models") and len(parts) > 2:
        family = f"skgen.models.{parts[2]}"
        for m in ours:
            private = below(m, family) and m.split(".")[-1].startswith("_")
            ground = below(m, "skgen.ops") or below(m, "skgen.learn")
            if not (
                private or ground or m in NECK or (below(m, "skgen") and not below(m, "skgen.models") and top(m) not in SHELVES)
            ):
                wrong.add(m)
    elif top(name) not in SHELVES and name not in ("skgen", "skgen.__main__"):
        wrong = {m for m in ours if top(m) in SHELVES or below(m, "skgen.models")}
    if not TORCH.match(name) and top(name) not in SHELVES:
        wrong |= {m for m in imported if below(m, "torch") or below(m, "skorch")}
    return wrong


def top(module):
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_go_one_way(path):
    name = module_of(path)
    assert wrong_arrows(name, imports(path.read_text(), name)) == set()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("skgen.ops.counts", "from skgen.parameters import Interval"),
        ("skgen.ops.counts", "from skgen import Columns"),
        ("skgen.learn.em", "from skgen.base import GenerativeModel"),
        ("skgen.models.explicit.kde", "from skgen.models.explicit.naive_bayes import NaiveBayes"),
        ("skgen.models.explicit.kde", "from skgen.models.latent._base import LatentModel"),
        ("skgen.models.explicit.kde", "from skgen.evaluate import compare"),
        ("skgen.models.explicit.kde", "def f():\n    from skgen.testing import run"),
        ("skgen.base", "import skgen.evaluate.compare"),
        ("skgen.base", "from skgen.models.explicit import naive_bayes"),
        ("skgen.tables", "import torch"),
        ("skgen.compose", "from torch import nn"),
    ],
)
def test_a_wrong_arrow_is_seen(name, line):
    assert wrong_arrows(name, imports(line, name))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("skgen.ops.counts", "from skgen.ops.logs import softmax"),
        ("skgen.learn.em", "from skgen.ops.logs import softmax"),
        ("skgen.models.latent.hmm", "from skgen.models.latent._base import LatentModel\nfrom skgen.base import GenerativeModel"),
        ("skgen.models.explicit.kde", "from skgen import GenerativeModel, Interval, registry"),
        ("skgen.evaluate.compare", "from skgen.models.explicit.naive_bayes import NaiveBayes"),
        ("skgen.base", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from skgen.evaluate import compare"),
    ],
)
def test_a_right_arrow_passes(name, line):
    assert not wrong_arrows(name, imports(line, name))


def test_the_package_itself_imports_nothing_heavy():
    found = imports((ROOT / "__init__.py").read_text(), "skgen", top_only=True)
    assert all(m.split(".")[0] in sys.stdlib_module_names for m in found)
    heavy = "('torch', 'sklearn', 'pandas', 'numpy', 'scipy')"
    code = f"import sys, skgen, skgen.registry; print([m for m in {heavy} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert said == "[]"


def test_the_core_imports_no_torch():
    core = "skgen.base, skgen.compose, skgen.tables, skgen.conversions, skgen.models.explicit.naive_bayes"
    code = f"import sys; import {core}; print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert said == "False"


def undocumented(text, name):
    """Public classes and functions of a source without a docstring, and the module itself."""
    tree = ast.parse(text)
    lacking = [] if ast.get_docstring(tree) else [name]
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_") and not ast.get_docstring(node):
            lacking.append(f"{name}.{node.name}")
    return lacking


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_public_names_have_docstrings(path):
    assert undocumented(path.read_text(), module_of(path)) == []


def test_a_missing_docstring_is_seen():
    assert undocumented("def f(): pass\nclass _C: pass", "m") == ["m", "m.f"]


def documented_parameters(cls):
    """Names in the Parameters section of a class and of its bases."""
    names = set()
    for base in cls.__mro__:
        section = re.search(r"Parameters\n\s*-+\n(.*?)(?:\n\s*\n\s*\w[\w ]*\n\s*-{3,}|\Z)", inspect.getdoc(base) or "", re.DOTALL)
        for line in section[1].splitlines() if section else ():
            if re.match(r"\w[\w, ]*\s*:", line):
                names |= set(re.findall(r"\w+", line.split(":")[0]))
    return names


def models():
    composed = [skgen.GenerativeClassifier, skgen.TransformedDensity]
    ready = [e for e in registry.entries() if e.distribution == "skgen" and not e.missing_extra and _exists(e.target.split(":")[0])]
    return composed + [entry.load() for entry in ready]


@pytest.mark.parametrize("cls", models(), ids=lambda c: c.__name__)
def test_every_parameter_is_documented(cls):
    assert set(cls.__dataclass_fields__) - documented_parameters(cls) == set()
    assert ">>>" in inspect.getdoc(cls)
    assert not documented_parameters(type("Bare", (), {"__doc__": "No section."}))


@pytest.mark.parametrize("cls", models(), ids=lambda c: c.__name__)
def test_every_model_states_its_traits(cls):
    for name, allowed in {
        "likelihood": {"exact", "bound", "estimate"},
        "missing": {"exact", "estimate", "suffix", "none"},
        "missing_in_fit": {True, False},
    }.items():
        value = inspect.getattr_static(cls, name)
        assert isinstance(value, property) or value in allowed
    kinds = inspect.getattr_static(cls, "kinds")
    assert isinstance(kinds, property) or set(kinds) <= set(KINDS)
    assert cls.__skgen_api__ == registry.API
