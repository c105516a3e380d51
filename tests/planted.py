"""Models for the tests of the kit: three right ones of a few lines, and one or more wrong ones for every check."""

from __future__ import annotations

import random

import numpy as np
from scipy.special import logsumexp

from skgen import GenerativeModel
from skgen.models.explicit.naive_bayes import NaiveBayes
from skgen.testing.tables import table

_LOG_2PI = np.log(2 * np.pi)

# ---- right ones


class TinyGaussian(GenerativeModel):
    """One normal with a full covariance."""

    def _fit(self, X, weight, rng):
        self._mean = weight @ X / weight.sum()
        rest = X - self._mean
        self._covariance = (rest.T * weight) @ rest / weight.sum() + 1e-6 * np.eye(X.shape[1])

    def _log_prob(self, X):
        values, vectors = np.linalg.eigh(self._covariance)
        values = np.maximum(values, 1e-9)
        out = np.full(len(X), -0.5 * (np.log(values).sum() + len(values) * _LOG_2PI))
        for value, axis in zip(values, vectors.T, strict=True):
            out -= 0.5 * ((X - self._mean) * axis).sum(axis=1) ** 2 / value
        return out

    def _sample(self, n, rng):
        return self._mean + rng.standard_normal((n, len(self._mean))) @ np.linalg.cholesky(self._covariance).T

    def _n_parameters(self):
        d = len(self._mean)
        return d + d * (d + 1) // 2


class TinyBernoulli(GenerativeModel):
    """Independent coins; what is not observed is a factor of one."""

    kinds = frozenset({"binary"})
    missing = "exact"
    missing_in_fit = True

    def _fit(self, X, weight, rng):
        seen = ~np.isnan(X)
        self._p = (weight @ np.nan_to_num(X) + 1) / (weight @ seen + 2)

    def _log_prob(self, X):
        p = np.where(X == 1, self._p, 1 - self._p)
        return np.where(np.isnan(X), 0.0, np.log(p)).sum(axis=1)

    def _sample(self, n, rng):
        return (rng.random((n, len(self._p))) < self._p).astype(float)

    def _n_parameters(self):
        return len(self._p)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if tags.classifier_tags is not None:
            tags.classifier_tags.poor_score = True  # the bits of a binned column are not independent
        return tags


class TinyKernels(GenerativeModel):
    """A round kernel on each row."""

    def _fit(self, X, weight, rng):
        self._rows, self._log_share = X, np.log(weight / weight.sum())
        self._width = weight.sum() ** (-1 / (X.shape[1] + 4))

    def _log_prob(self, X):
        out = np.empty(len(X))
        for start in range(0, len(X), 512):
            square = sum((x[:, None] - r) ** 2 for x, r in zip(X[start : start + 512].T, self._rows.T, strict=True))
            out[start : start + 512] = logsumexp(self._log_share - 0.5 * square / self._width**2, axis=1)
        return out - X.shape[1] * (np.log(self._width) + 0.5 * _LOG_2PI)

    def _sample(self, n, rng):
        rows = self._rows[rng.choice(len(self._rows), n, p=np.exp(self._log_share))]
        return rows + self._width * rng.standard_normal(rows.shape)

    def _n_parameters(self):
        return self._rows.size


# ---- wrong ones


class TwoPercentHigh(TinyGaussian):
    def _log_prob(self, X):
        return super()._log_prob(X) + 0.02


class AboveLogP(TinyGaussian):
    likelihood = "bound"

    def _log_prob(self, X):
        return super()._log_prob(X) + 0.05


class FallsWithDraws(TinyGaussian):
    """As where log(number of draws) is taken off twice."""

    n_samples_score: int = 10

    likelihood = "bound"

    def _log_prob_coded(self, coded):
        return super()._log_prob_coded(coded) - np.log(self.n_samples_score)[..., None]


class HalfLogDeterminant(TinyGaussian):
    def _log_prob(self, X):
        return super()._log_prob(X) + 0.25 * np.linalg.slogdet(self._covariance)[1]


class ForgottenJacobian(TinyGaussian):
    def score_samples(self, X):
        log_p = super().score_samples(X)
        return log_p + np.log(self.columns_.scale).sum()


class LeakyCoins(TinyBernoulli):
    def _log_prob(self, X):
        return super()._log_prob(X) - np.log(self._p[0] * X[:, 0] + 0.5)


class CovarianceAsRoot(TinyGaussian):
    def _sample(self, n, rng):
        return self._mean + 1.2 * rng.standard_normal((n, len(self._mean))) @ self._covariance


class LostCorrelation(TinyGaussian):
    def _sample(self, n, rng):
        return self._mean + np.sqrt(np.diag(self._covariance)) * rng.standard_normal((n, len(self._mean)))


class FairCoins(TinyBernoulli):
    def _sample(self, n, rng):
        return (rng.random((n, len(self._p))) < 0.5).astype(float)


class WrongClassShares(TinyGaussian):
    def sample(self, n_samples=1, *, y=None, return_y=False, random_state=None):
        if y is None and "classes_" in vars(self):
            y = self.classes_[np.random.default_rng(random_state).integers(len(self.classes_), size=n_samples)]
        return super().sample(n_samples, y=y, return_y=return_y, random_state=random_state)


class OrderedRows(TinyGaussian):
    def _sample(self, n, rng):
        rows = super()._sample(n, rng)
        return rows[np.argsort(rows[:, 0] + 2 * rng.standard_normal(n))]


class OrderedClasses(TinyGaussian):
    def sample(self, n_samples=1, *, y=None, return_y=False, random_state=None):
        if y is not None or "classes_" not in vars(self):
            return super().sample(n_samples, y=y, return_y=return_y, random_state=random_state)
        X, y = super().sample(n_samples, return_y=True, random_state=random_state)
        order = np.argsort(y, kind="stable")
        return (X[order], y[order]) if return_y else X[order]


class SlowChain(TinyBernoulli):
    def _sample(self, n, rng):
        rows = super()._sample(n, rng)
        for i in range(1, n):
            if rng.random() < 0.3:
                rows[i] = rows[i - 1]
        return rows


class Bootstrap(TinyKernels):
    def _sample(self, n, rng):
        return self._rows[rng.choice(len(self._rows), n, p=np.exp(self._log_share))]


class ReusedStream(TinyGaussian):
    def _sample(self, n, rng):
        half = super()._sample((n + 1) // 2, rng)
        return rng.permutation(np.vstack([half, half])[:n])


class FilledIn(NaiveBayes):
    def _log_prob_classes(self, X):
        return super()._log_prob_classes(np.nan_to_num(X))


class FilledCoins(TinyBernoulli):
    def _log_prob(self, X):
        return super()._log_prob(np.where(np.isnan(X), self._p > 0.5, X))


class NoPrior(TinyGaussian):
    def predict_joint_log_proba(self, X):
        return super().predict_joint_log_proba(X) - self.class_log_prior_


class DoubledPrior(TinyGaussian):
    def predict_joint_log_proba(self, X):
        return super().predict_joint_log_proba(X) + self.class_log_prior_


class FrozenPrior(TinyGaussian):
    def sample(self, n_samples=1, **how):
        asked, self.priors = self.priors, None
        try:
            return super().sample(n_samples, **how)
        finally:
            self.priors = asked


class Underflow(TinyGaussian):
    def predict_proba(self, X):
        joint = np.exp(self.predict_joint_log_proba(X))
        with np.errstate(invalid="ignore"):
            return joint / joint.sum(axis=1, keepdims=True)


class AbsoluteRidge(TinyGaussian):
    def _fit(self, X, weight, rng):
        super()._fit(X, weight, rng)
        self._covariance = self._covariance + np.diag(0.01 / np.minimum(self.columns_.scale, 1e50) ** 2)


class FirstColumnLeads(TinyGaussian):
    def _fit(self, X, weight, rng):
        super()._fit(X, weight, rng)
        self._covariance[0, 0] *= 1.05


class ReadsOrder(TinyGaussian):
    def _fit(self, X, weight, rng):
        super()._fit(X[: (len(X) + 1) // 2], weight[: (len(X) + 1) // 2], rng)


class CountsRows(TinyGaussian):
    def _fit(self, X, weight, rng):
        super()._fit(X, weight, rng)
        self._covariance = self._covariance * (1 + 1 / len(X))


class IgnoresWeights(TinyGaussian):
    def _fit(self, X, weight, rng):
        super()._fit(X, np.ones(len(X)), rng)


class ReturnsNothing(TinyGaussian):
    def fit(self, X, y=None, sample_weight=None):
        super().fit(X, y, sample_weight)


class AlwaysArray(NaiveBayes):
    def sample(self, n_samples=1, **how):
        drawn = super().sample(n_samples, **how)
        return np.asarray(drawn) if not isinstance(drawn, tuple) else drawn


class AtLeastOne(TinyGaussian):
    def sample(self, n_samples=1, **how):
        if isinstance(n_samples, int) and n_samples < 1:
            raise ValueError("Invalid value for 'n_components': 0.")
        return super().sample(n_samples, **how)


class Truncates(TinyGaussian):
    def sample(self, n_samples=1, **how):
        return super().sample(int(n_samples) if isinstance(n_samples, (int, float, str)) else n_samples, **how)


class SeedsEverything(TinyGaussian):
    def _fit(self, X, weight, rng):
        np.random.seed(0)  # noqa: NPY002
        super()._fit(X, weight, rng)


class DrawsGlobally(TinyGaussian):
    def _sample(self, n, rng):
        return super()._sample(n, np.random.default_rng(random.getrandbits(32)))


class ForgetsOnPickle(TinyGaussian):
    def __getstate__(self):
        state = dict(super().__getstate__())
        if "_fitted" in state:
            state["_class_share"] = np.ones(len(state.get("classes_", [0]))) / len(state.get("classes_", [0]))
        return state


class KeepsALambda(TinyGaussian):
    def _fit(self, X, weight, rng):
        super()._fit(X, weight, rng)
        self._link = lambda x: x


class BatchCentred(TinyGaussian):
    def _log_prob(self, X):
        log_p = super()._log_prob(X)
        return log_p + 1e-3 * (log_p - log_p.mean())


class WritesIntoX(TinyGaussian):
    def score_samples(self, X):
        log_p = super().score_samples(X)
        if isinstance(X, np.ndarray) and X.flags.writeable:
            X += 1
        return log_p


class ReadsMemoryOrder(TinyGaussian):
    def fit(self, X, y=None, sample_weight=None):
        if isinstance(X, np.ndarray) and X.flags.f_contiguous and not X.flags.c_contiguous:
            X = X.ravel(order="K").reshape(X.shape)
        return super().fit(X, y, sample_weight)


class Singular(TinyGaussian):
    def _fit(self, X, weight, rng):
        super()._fit(X, weight, rng)
        np.linalg.cholesky(self._covariance - 2e-6 * np.eye(len(self._mean)))


class NanFarOut(TinyGaussian):
    def _log_prob(self, X):
        log_p = super()._log_prob(X)
        return np.where(log_p < -1e100, np.nan, log_p)


class LooksUp(NaiveBayes):
    def score_samples(self, X):
        if hasattr(X, "columns") and "city" in X.columns:
            [{"Bergen": 0, "Lima": 1, "Perth": 2}[city] for city in X["city"]]
        return super().score_samples(X)


class CodesForLabels(TinyGaussian):
    def predict(self, X):
        return self.predict_joint_log_proba(X).argmax(axis=1)


class OneClassIsTooFew(TinyGaussian):
    def fit(self, X, y=None, sample_weight=None):
        if y is not None and len(np.unique(y)) < 2:
            raise ValueError("at least two classes are needed")
        return super().fit(X, y, sample_weight)


class KeepsClasses(TinyGaussian):
    def fit(self, X, y=None, sample_weight=None):
        before = vars(self).get("classes_"), vars(self).get("_class_share")
        super().fit(X, y, sample_weight)
        if y is None and before[0] is not None:
            self.classes_, self._class_share = before
        return self


class LosesTheOldFit(TinyGaussian):
    def fit(self, X, y=None, sample_weight=None):
        try:
            return super().fit(X, y, sample_weight)
        except ValueError:
            for name in [name for name in vars(self) if name.startswith("_class_share")]:
                self._class_share = np.ones(len(self.classes_)) / len(self.classes_)
                del name
            raise


class ChunkSized(TinyGaussian):
    def _log_prob(self, X):
        return super()._log_prob(X) + 1e-13 * len(X)


class AllAtOnce(TinyGaussian):
    def score_samples(self, X):
        log_p = super().score_samples(X)
        return log_p + 0.0 * np.ones((len(log_p), 100)).sum(axis=1)


class SaysExact(TinyGaussian):
    missing = "exact"

    def _log_prob(self, X):
        return super()._log_prob(X)


class TakesAnything(TinyGaussian):
    def score_samples(self, X):
        return super().score_samples(np.nan_to_num(X) if isinstance(X, np.ndarray) else X)


class Slow(TinyGaussian):
    def _fit(self, X, weight, rng):
        super()._fit(X, weight, rng)
        seen = table("plane").X
        for _ in range(20):
            np.linalg.svd(np.tile(seen, (1, 10)))
