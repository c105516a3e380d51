"""The model that CONTRIBUTING.md shows is copied out of it as a newcomer would, and held to the kit."""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from skgen.testing import check_generative

GUIDE = Path(__file__).parents[1] / "CONTRIBUTING.md"


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Its class, from a file of its own: checks pickle it."""
    [block] = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (tmp_path / "copied_from_the_guide.py").write_text(block, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("copied_from_the_guide").IndependentNormal
    sys.modules.pop("copied_from_the_guide")


def test_the_model_of_the_guide_passes_the_kit(model):
    results = check_generative(model, on_skip=None)
    assert {result["status"] for result in results} <= {"passed", "skipped"}
    assert sum(result["status"] == "passed" for result in results) > 15


def test_the_model_of_the_guide_is_right(model):
    X = np.random.default_rng(0).normal(5.0, [1.0, 100.0], (300, 2))
    fitted = model(reg_covar=0.0).fit(X)
    np.testing.assert_allclose(fitted.score_samples(X), norm.logpdf(X, X.mean(axis=0), X.std(axis=0)).sum(axis=1))
    np.testing.assert_allclose(fitted.means_, X.mean(axis=0))
    assert fitted.n_parameters_ == 4
