"""What models with a discrete latent variable share: which component a row belongs to."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skgen.base import GenerativeModel
from skgen.ops.logs import mix_moments, softmax

__all__ = ["ComponentModel"]


class ComponentModel(ClassNamePrefixFeaturesOutMixin, TransformerMixin, GenerativeModel):
    """A sum over components, p(x) = sum_k w_k p(x | k). A model writes ``_log_joint`` and keeps ``_log_weight``."""

    def _log_joint(self, X: np.ndarray) -> np.ndarray:
        """log w_k + log p(x | k) of coded rows for one density, (K, n)."""
        raise NotImplementedError(f"{type(self).__name__} must define _log_joint(X).")

    def _sample_missing_component(self, k: int, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A copy of coded rows whose NaN cells are drawn from p(missing | observed, k)."""
        raise NotImplementedError(f"{type(self).__name__} must define _sample_missing_component(k, X, rng).")

    def _sample_missing(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        share = softmax(self._log_joint(X))[0]  # p(k | observed): the evidence weighs the components anew
        component = (rng.random(len(X)) > np.cumsum(share, axis=0)[:-1]).sum(axis=0)
        full = np.empty(X.shape)
        for k in np.unique(component):
            rows = component == k
            full[rows] = self._sample_missing_component(int(k), X[rows], rng)
        return full

    def _missing_moments_component(self, k: int, X: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and variance of each NaN cell given the others and k, where they have a closed form."""
        return None

    def _missing_moments(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        share = softmax(self._log_joint(X))[0]
        return mix_moments(share, [self._missing_moments_component(k, X) for k in range(len(share))])

    @property
    def weights_(self) -> np.ndarray:
        """Component weights (K,), summing to one."""
        return np.exp(self._log_weight)

    @property
    def _n_features_out(self) -> int:
        return sum(len(density._log_weight) for density in self._fitted.densities_)

    def transform(self, X: Any) -> np.ndarray:
        """Responsibilities: the probability of each component given the row.

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
            NaN is a cell that was not observed.

        Returns
        -------
        array of shape (n, n_components)
            Rows sum to one. After ``fit(X, y)`` the components of all classes stand side by side, class by class, and
            the probabilities are those of class and component together.
        """
        return self._responsibilities(X)

    def _responsibilities(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "columns_")
        table, _ = self._table(X, reset=False, may_miss=self.missing != "none")
        coded, _ = self.columns_.encode(table)
        Z, _ = self._coding.encode(coded)
        log_prior = self._learnt_log_prior()
        densities = self._fitted.densities_
        joint = [density._log_joint(Z) + prior for density, prior in zip(densities, log_prior, strict=True)]
        return np.ascontiguousarray(softmax(np.concatenate(joint))[0].T)

    def predict_component(self, X: Any) -> np.ndarray:
        """The most probable component of each row, (n,): a clustering. ``predict`` is always a class.

        After ``fit(X, y)``, the number of a column of ``transform``.
        """
        return self._responsibilities(X).argmax(axis=1)
