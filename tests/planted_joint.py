"""Models for the tests of the kit, of columns given others and classes beside others: right ones, then wrong ones."""

from __future__ import annotations

import copy

import numpy as np
from planted import TinyBernoulli, TinyGaussian
from scipy import stats
from scipy.special import softmax

from skgen import GaussianMixture

_LOG_2PI = np.log(2 * np.pi)

# ---- right ones


class TinyMarginal(TinyGaussian):
    """The normal whose cells may be missing, and drawn given the rest."""

    missing = "exact"

    def _patterns(self, X):
        for hidden in np.unique(np.isnan(X), axis=0):
            yield np.flatnonzero((np.isnan(X) == hidden).all(axis=1)), np.flatnonzero(~hidden), np.flatnonzero(hidden)

    def _log_prob(self, X):
        out = np.zeros(len(X))
        for rows, seen, _ in self._patterns(X):
            if len(seen):
                root = np.linalg.cholesky(self._covariance[np.ix_(seen, seen)])
                z = np.linalg.solve(root, (X[np.ix_(rows, seen)] - self._mean[seen]).T)
                out[rows] = -0.5 * (z**2).sum(axis=0) - np.log(np.diag(root)).sum() - 0.5 * len(seen) * _LOG_2PI
        return out

    def _given(self, X, seen, hidden):
        """Mean (n, h) and covariance (h, h) of the hidden columns given those seen."""
        S = self._covariance
        if not len(seen):
            return np.tile(self._mean[hidden], (len(X), 1)), S[np.ix_(hidden, hidden)]
        slope = np.linalg.solve(S[np.ix_(seen, seen)], S[np.ix_(seen, hidden)])
        mean = self._mean[hidden] + (X[:, seen] - self._mean[seen]) @ slope
        return mean, S[np.ix_(hidden, hidden)] - S[np.ix_(hidden, seen)] @ slope

    def _sample_missing(self, X, rng):
        full = X.copy()
        for rows, seen, hidden in self._patterns(X):
            mean, S = self._given(X[rows], seen, hidden)
            if len(hidden):
                full[np.ix_(rows, hidden)] = mean + rng.standard_normal(mean.shape) @ np.linalg.cholesky(S).T
        return full


class TinySuffix(TinyMarginal):
    """The normal where only the end of a row may be missing."""

    missing = "suffix"

    def _patterns(self, X):
        hidden = np.isnan(X)
        if (hidden[:, :-1] & ~hidden[:, 1:]).any():
            raise ValueError("a missing cell stands before an observed column: only the end of a row may be missing")
        return super()._patterns(X)


class TinyOrdered(TinyMarginal):
    """The normal as an autoregressive model would give it: F(x_j | x_<j), and no missing cells."""

    missing = "none"
    _widths = (1.0, 1.0)

    def conditional_cdf(self, X, random_state=None):
        Z, _ = self.columns_.encode(np.asarray(X, dtype=float))
        share = np.exp(self.class_log_prior_) if "classes_" in vars(self) else np.ones(1)
        log_p, out = np.tile(np.log(share), (len(Z), 1)), np.empty(Z.shape)
        for j in range(Z.shape[1]):
            normals = []
            for one in self.densities_:
                mean, S = one._given(Z, np.arange(j), np.array([j]))
                normals.append(stats.norm(mean[:, 0], np.sqrt(S[0, 0]) * self._widths[j % 2]))
            # F(x_j | x_<j) = sum_y p(y | x_<j) F(x_j | x_<j, y)
            out[:, j] = (softmax(log_p, axis=1).T * [normal.cdf(Z[:, j]) for normal in normals]).sum(axis=0)
            log_p = log_p + np.stack([normal.logpdf(Z[:, j]) for normal in normals]).T
        return out


# ---- wrong ones: columns given others


class ForgetsPrefix(TinyMarginal):
    def _sample(self, n, rng):
        return self._mean + np.sqrt(np.diag(self._covariance)) * rng.standard_normal((n, len(self._mean)))


class ReusedNoise(TinyMarginal):
    def _sample(self, n, rng):
        noise = rng.standard_normal((n, len(self._mean)))
        noise[:, 1:] = 0.8 * noise[:, 1:] + 0.6 * noise[:, :1]
        return self._mean + noise @ np.linalg.cholesky(self._covariance).T


class WideCdf(TinyOrdered):
    _widths = 1.0, 2.0


class PercentCdf(TinyOrdered):
    def conditional_cdf(self, X, random_state=None):
        return 100 * super().conditional_cdf(X, random_state)


class IgnoresEvidence(TinyMarginal):
    """The rank of the cell itself is right on average: what shows is that it does not go with the rest of the row."""

    def _sample_missing(self, X, rng):
        return np.where(np.isnan(X), self._sample(len(X), rng), X)


class PriorWeights(GaussianMixture):
    """Components are drawn as if nothing were observed."""

    quick = {"n_components": 3}  # noqa: RUF012

    def _sample_missing(self, X, rng):
        component = rng.choice(len(self._log_weight), len(X), p=np.exp(self._log_weight))
        full = X.copy()
        for k in np.unique(component):
            full[component == k] = self._sample_missing_component(int(k), X[component == k], rng)
        return full


class FillsTheMean(TinyMarginal):
    def _sample_missing(self, X, rng):
        full = X.copy()
        for rows, seen, hidden in self._patterns(X):
            full[np.ix_(rows, hidden)] = self._given(X[rows], seen, hidden)[0]
        return full


class MovesTheEvidence(TinyMarginal):
    def sample_conditional(self, X, n_draws=1, **how):
        return super().sample_conditional(X, n_draws, **how) + 1e-9


# ---- wrong ones: classes beside others


class MixedUpClasses(TinyGaussian):
    def _log_prob_classes(self, X):
        return super()._log_prob_classes(X)[:, ::-1]


class LastClassOverwrites(TinyGaussian):
    def _fit_classes(self, X, weights, rng):
        super()._fit_classes(X, weights, rng)
        self.densities_ = [self.densities_[-1]] * len(self.densities_)


class ClassBefore(TinyGaussian):
    """A little of a class's covariance is left in the buffer of the next."""

    def _fit_classes(self, X, weights, rng):
        super()._fit_classes(X, weights, rng)
        alone = copy.deepcopy(self.densities_)
        for before, now in zip(alone[:-1], self.densities_[1:], strict=True):
            now._covariance = 0.9 * now._covariance + 0.1 * before._covariance


class LearnsFromOthers(TinyBernoulli):
    def _fit_classes(self, X, weights, rng):
        super()._fit_classes(X, weights + 0.1 * weights.sum(axis=1, keepdims=True), rng)


class NoMoments(TinyMarginal):
    def _missing_moments(self, X):
        return np.where(np.isnan(X), 0.0, X), np.ones(X.shape)


class HalfTheSpread(GaussianMixture):
    """Variances of the missing cells taken for standard deviations."""

    def _missing_moments(self, X):
        mean, variance = super()._missing_moments(X)
        return mean, np.square(variance)
