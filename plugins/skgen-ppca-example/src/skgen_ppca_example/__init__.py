"""Probabilistic principal components, in NumPy alone: what a plugin for skgen looks like."""

from typing import Annotated

import numpy as np

from skgen import GenerativeModel, Interval

__all__ = ["PPCAExample"]

_LEAST = 1e-6  # of the noise variance, in squared scales of the columns


class PPCAExample(GenerativeModel):
    r"""x = W z + mean + e,  z ~ N(0, I_q),  e ~ N(0, s2 I):  p(x) = N(mean, W W' + s2 I)  (Tipping & Bishop 1999).

    Parameters
    ----------
    n_components : int, default=2
        Dimension q of z; as many as there are columns, less one, if there are fewer.

    References
    ----------
    Tipping & Bishop (1999), "Probabilistic principal component analysis".

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> round(PPCAExample().fit(X, y).score(X, y), 2)
    0.97
    """

    n_components: Annotated[int, Interval(1)] = 2

    __skgen_api__ = 1
    kinds = frozenset({"continuous"})
    likelihood = "exact"
    missing = "none"

    def _fit(self, X, weight, rng):
        self._mean = np.average(X, axis=0, weights=weight)
        away = X - self._mean
        S = (away * weight[:, None]).T @ away / weight.sum()
        values, U = np.linalg.eigh(S)
        values, U = values[::-1], U[:, ::-1]
        d = len(values)
        q = min(self.n_components, d - 1)
        # s2 = mean of the d - q smallest eigenvalues (eq. 8), W = U_q (L_q - s2 I)^{1/2} (eq. 7)
        self._noise = max(float(values[q:].mean()), _LEAST)
        self._W = U[:, :q] * np.sqrt(np.maximum(values[:q] - self._noise, 0.0))

    def _log_prob(self, X):
        away = X - self._mean
        d, q = self._W.shape
        # C = W W' + s2 I:  C^-1 = (I - W M^-1 W') / s2 with M = W'W + s2 I,  log|C| = (d - q) log s2 + log|M|
        M = self._W.T @ self._W + self._noise * np.eye(q)
        projected = away @ self._W
        square = (np.square(away).sum(axis=1) - (projected * np.linalg.solve(M, projected.T).T).sum(axis=1)) / self._noise
        log_det = (d - q) * np.log(self._noise) + np.linalg.slogdet(M)[1]
        return -0.5 * (d * np.log(2 * np.pi) + log_det + square)

    def _sample(self, n, rng):
        d, q = self._W.shape
        return self._mean + rng.normal(size=(n, q)) @ self._W.T + np.sqrt(self._noise) * rng.normal(size=(n, d))

    def _n_parameters(self):
        d, q = self._W.shape
        return d + d * q - q * (q - 1) // 2 + 1

    @property
    def components_(self):
        """W in data units, (d, q)."""
        return self._W * self.columns_.scale[:, None]
