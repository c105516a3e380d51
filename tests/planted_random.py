"""Models for the tests of the kit whose fit is random by its seed, as a network's is: a right one, then wrong ones."""

from __future__ import annotations

import numpy as np
from planted import TinyBernoulli

# ---- a right one


class Glimpses(TinyBernoulli):
    """Coins after a short look at the table: mean log p of two seeds is often 0.1 nat apart."""

    def _fit(self, X, weight, rng):
        rows = X[rng.choice(len(X), 30, p=weight / weight.sum())]
        super()._fit(rows, np.ones(len(rows)), rng)


# ---- wrong ones


class FirstIsConstant(Glimpses):
    """The column that comes first is taken for nearly constant."""

    def _fit(self, X, weight, rng):
        super()._fit(X, weight, rng)
        self._p[0] = 0.9


class SharesOfRows(Glimpses):
    """Sums of weights over numbers of rows."""

    def _fit(self, X, weight, rng):
        super()._fit(X, weight, rng)
        self._p = np.clip(self._p * weight.sum() / len(weight), 0.01, 0.99)


class GlimpsesOfRows(Glimpses):
    """Draws rows by their number, not by their weight."""

    def _fit(self, X, weight, rng):
        super()._fit(X, np.ones(len(X)), rng)
