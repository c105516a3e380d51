"""Every registered model against the kit; a new model needs no test file of its own but for what is true of it alone."""

from __future__ import annotations

import pytest

import skgen
from skgen.testing import check_generative
from skgen.testing.run import describe


def _failures(name: str, tier: str) -> str:
    results = check_generative(skgen.get(name), tier=tier, on_fail=None, on_skip=None)
    return "\n".join(describe(r) for r in results if r["status"] == "failed" or (tier == "full" and r["status"] == "inconclusive"))


@pytest.mark.parametrize("name", skgen.names())
def test_quick_tier(name):
    """scikit-learn's checks for all three tasks and the kit's quick tier, its processor seconds included."""
    failures = _failures(name, "quick")
    assert not failures, failures


@pytest.mark.full
@pytest.mark.parametrize("name", skgen.names())
def test_full_tier(name):
    failures = _failures(name, "full")
    assert not failures, failures
