"""The kit's refits of a network on a table written differently: random by the seed, and in an order of the columns."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from skgen import FVSBN
from skgen.testing import check_generative


class IgnoresOrder(FVSBN):
    """Whatever ``order`` says, columns come in the order of the table."""

    def _checked_order(self, d):
        super()._checked_order(d)


class LearnsFromCopies(FVSBN):
    """Takes a row of half the weight for a whole one, in a rate that falls with the number of rows."""

    def _settings(self, n, max_epochs):
        settings = super()._settings(n, max_epochs)
        settings.learning_rate = self.learning_rate * (300 / n) ** 3
        return settings


def one(model, name):
    [result] = check_generative(model, only=name, on_fail=None, on_skip=None)
    return result


@pytest.mark.parametrize("name", ["unit_change", "column_permutation", "row_permutation"])
def test_a_right_network_passes(name):
    result = one(FVSBN, name)
    assert result["status"] == "passed", result["message"]


@pytest.mark.parametrize(
    ("model", "name", "word"),
    [
        (IgnoresOrder, "column_permutation", "order= the one before: mean log p"),
        (LearnsFromCopies, "row_permutation", "half the weight: mean log p"),
    ],
)
def test_planted_bug_is_found(model, name, word):
    result = one(model, name)
    assert result["status"] == "failed"
    assert word in result["message"]
