"""Mixtures of normals: one component is the multivariate normal, and with classes quadratic discriminant analysis."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from skgen.learn.em import climb, even_rows, spread_seeds, warn_not_converged
from skgen.models.latent._base import ComponentModel
from skgen.ops.gaussians import DiagonalGaussians, FullGaussians, Moments, has_missing, weighted_moments
from skgen.ops.logs import log_sum_exp
from skgen.parameters import Interval

__all__ = ["GaussianMixture"]

_START_ROWS = 4096  # starts are compared on so many rows
_SHORT = 10  # EM iterations of a start that is compared with others
_LLOYD = 3
_FORGET = 0.7  # exponent of the step size of stepwise EM


class GaussianMixture(ComponentModel):
    r"""A sum of normals, p(x) = sum_k w_k N(x; m_k, S_k), fitted by EM.

    One component (the default) is fitted in closed form. A covariance is that of the maximum of the posterior under
    ``shrinkage`` pseudo-rows whose spread is that of all rows, so that it is regular however few rows a class has.
    Missing cells are integrated out, in ``fit`` too.

    Parameters
    ----------
    n_components : int, default=1
        Components of a density: of each class after ``fit(X, y)``. One shrunk normal a class is hard to beat with some
        hundred rows a class; with thousands, and for a density of one population, more are better: choose by ``bic``.
    covariance_type : {"full", "tied", "diag", "spherical"}
        "tied" is one matrix for the components of a density. "spherical" is round in standardised columns.
    shrinkage : float, default=3.0
        Pseudo-rows in each covariance, uncorrelated, with the variances of all rows divided by
        ``n_components ** (2 / d)`` (Fraley & Raftery 2007). 0 is maximum likelihood.
    reg_covar : float, default=1e-6
        Least variance of a component in any direction, relative to standardised columns: a bound that is reached only
        by a component that collapses, and otherwise changes nothing. At least 1e-10.
    n_init : int, default=3
        Starts; the best after a few EM iterations on a few thousand rows is followed.
    max_iter : int, default=200
    tol : float, default=1e-4
        EM stops when the mean penalised log-likelihood (nats a row) gains less.

    Attributes
    ----------
    weights_ : array of shape (K,)
    means_ : array of shape (K, d)
        In data units. A dequantised column counts from the lower end of its cells: its mean is half a unit larger.
    covariances_ : array of shape (K, d, d); (d, d) if tied; (K, d) if diag or spherical
        In squared data units.
    converged_ : bool
    n_iter_ : int

    Notes
    -----
    ``score_samples`` is exact for continuous columns, in nats and in the units of the data. A fit that has not
    converged in ``max_iter`` iterations warns with a ConvergenceWarning. ValueError for a parameter out of range.

    References
    ----------
    Dempster, Laird & Rubin (1977), "Maximum likelihood from incomplete data via the EM algorithm"; Ghahramani & Jordan
    (1994), "Supervised learning from incomplete data via an EM approach"; Fraley & Raftery (2007), "Bayesian
    regularization for normal mixture estimation and model-based clustering".

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import GaussianMixture
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(-4, 1, (200, 1)), rng.normal(4, 1, (100, 1))])
    >>> model = GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> np.round(np.sort(model.means_.ravel()))
    array([-4.,  4.])
    >>> model.transform(X).shape
    (300, 2)
    """

    n_components: Annotated[int, Interval(1)] = 1
    covariance_type: Literal["full", "tied", "diag", "spherical"] = "full"
    shrinkage: Annotated[float, Interval(0)] = 3.0
    reg_covar: Annotated[float, Interval(1e-10)] = 1e-6
    n_init: Annotated[int, Interval(1)] = 3
    max_iter: Annotated[int, Interval(1)] = 200
    tol: Annotated[float, Interval(0)] = 1e-4

    kinds = frozenset({"continuous"})
    missing = "exact"
    missing_in_fit = True
    streams = True

    # ---- fit

    def _fit_classes(self, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
        if self.n_components > 1 or has_missing(X):
            super()._fit_classes(X, weights, rng)
            return
        each = [weighted_moments(X, w, self._diagonal) for w in weights.T]
        columns = ([getattr(moments, name) for moments in each] for name in ("mass", "mean", "scatter", "seen"))
        together = self._maximise(Moments(*map(np.concatenate, columns), np.nan), None)
        self.densities_ = [self.part(self.columns_) for _ in each]
        for k, density in enumerate(self.densities_):
            density._gaussians, density._log_weight = together.take(slice(k, k + 1)), np.zeros(1)
            density.n_iter_, density.converged_ = 1, True

    def _fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        if self.n_components == 1 and not has_missing(X):
            self._gaussians = self._maximise(weighted_moments(X, weight, self._diagonal), None)
            self._log_weight, self.n_iter_, self.converged_ = np.zeros(1), 1, True
            return
        self._start(X, weight, rng)
        _, self.n_iter_, self.converged_ = climb(lambda: self._step(X, weight), self.max_iter, self.tol)
        if not self.converged_:
            warn_not_converged(type(self).__name__, self.max_iter, self.tol)

    def _update(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        self._step(X, weight)

    def _partial_fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        if "_gaussians" not in vars(self):
            self._fit(X, weight, rng)
        if self.n_components == 1 and not has_missing(X):
            batch = weighted_moments(X, weight, self._diagonal)
        else:
            batch = self._gaussians.moments(X, weight, self._log_weight)
        sums = vars(self).get("_sums")
        if sums is not None:
            before, now = sums.mass.sum(), batch.mass.sum()
            if now > 0 and self.n_components > 1:
                # s = (1 - g) s + g s(batch), g = t^-0.7 (Cappe & Moulines 2009, eq. 13), with 1 / t the batch's share of all
                # rows, which it is for equal batches: early E-steps are forgotten, and few rows move little.
                # With one component there is nothing to forget, and g is that share
                g = (now / (before + now)) ** _FORGET
                sums, batch = sums * ((1 - g) * (before + now) / before), batch * (g * (before + now) / now)
            batch = sums + batch
        self._sums = batch
        self._gaussians = self._maximise(batch, self._gaussians)
        self._log_weight = np.log(np.maximum(batch.mass / batch.mass.sum(), np.finfo(float).tiny))

    @property
    def _tied(self) -> bool:
        return self.covariance_type == "tied" and self.n_components > 1

    @property
    def _diagonal(self) -> bool:
        return self.covariance_type in ("diag", "spherical")

    def _target(self, d: int) -> float:
        """Variance of the pseudo-rows in standardised columns."""
        return self.n_components ** (-2 / d)

    def _step(self, X: np.ndarray, weight: np.ndarray) -> float:
        """One EM iteration; the mean penalised log-likelihood before it."""
        before = self._gaussians
        moments = before.moments(X, weight, self._log_weight)
        objective = moments.log_likelihood + self._log_prior(before)
        self._gaussians = self._maximise(moments, before)
        total = moments.mass.sum()
        self._log_weight = np.log(np.maximum(moments.mass / total, np.finfo(float).tiny))
        return objective / weight.sum()

    def _log_prior(self, gaussians: FullGaussians | DiagonalGaussians) -> float:
        # log of the conjugate prior up to a constant, -s/2 (log det S + t tr S^-1), once for each matrix
        terms = gaussians.log_det + self._target(gaussians.mean.shape[1]) * gaussians.trace_of_precision
        if self._tied:
            terms = terms[:1]
        return float(-0.5 * self.shrinkage * terms.sum())

    def _log_smoothing(self) -> float:
        return self._log_prior(self._gaussians)

    def _maximise(self, moments: Moments, before: FullGaussians | DiagonalGaussians | None) -> FullGaussians | DiagonalGaussians:
        """M-step: S = (scatter + s t I) / (mass + s), the maximum of the penalised expected log-likelihood."""
        d = moments.mean.shape[1]
        s, t = self.shrinkage, self._target(d)
        scatter, mass = moments.scatter, moments.seen
        form = DiagonalGaussians if self._diagonal else FullGaussians
        if self._diagonal:
            if self.covariance_type == "spherical":
                scatter = scatter.mean(axis=1, keepdims=True)
                mass = mass.mean(axis=1, keepdims=True)
            scatter = scatter + s * t
        else:
            if self._tied:
                scatter, mass = scatter.sum(axis=0, keepdims=True), mass.sum(axis=0, keepdims=True)
            mass = mass[:, :, None]
            scatter = scatter + s * t * np.eye(d)
        # a component without rows keeps its shape where no pseudo-row gives it one
        some = mass + s > 1e-12 * moments.mass.sum()
        covariance = scatter / np.where(some, mass + s, 1.0)
        if not some.all():
            last = t * (1.0 if self._diagonal else np.eye(d)) if before is None else before.covariance[: len(covariance)]
            covariance = np.where(some, covariance, last)
        return form.make(moments.mean, covariance, self.reg_covar)

    # ---- starts

    def _start(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        """The best of ``n_init`` starts after a few EM iterations on a few thousand rows."""
        K = self.n_components
        rows, w = even_rows(X, weight, max(_START_ROWS, 40 * K), rng)
        some = X[rows]
        missing = np.isnan(some)
        filled = some
        if missing.any():
            seen_mass = np.maximum(w @ ~missing, np.finfo(float).tiny)
            filled = np.where(missing, (w @ np.where(missing, 0.0, some)) / seen_mass, some)
        best, best_objective = None, -np.inf
        n_init = self.n_init if K > 1 else 1
        for _ in range(n_init):
            self._seed(filled, missing, w, rng)
            if n_init > 1 or 8 * len(rows) < len(X):
                objective, _, _ = climb(lambda: self._step(some, w), _SHORT, self.tol)
            else:
                objective = 0.0
            if best is None or objective > best_objective:
                best, best_objective = (self._gaussians, self._log_weight), objective
        self._gaussians, self._log_weight = best

    def _seed(self, X: np.ndarray, missing: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        """k-means++ and a few steps of k-means; all components start from the covariance within the clusters."""
        K, d = self.n_components, X.shape[1]
        square = np.square(X).sum(axis=1)
        seeds = spread_seeds(K, weight, lambda i: np.maximum(square - 2 * (X @ X[i]) + square[i], 0.0), rng)
        centres = X[seeds].copy()
        for _ in range(_LLOYD):
            nearest = (0.5 * np.square(centres).sum(axis=1)[:, None] - centres @ X.T).argmin(axis=0)
            share = np.zeros((K, len(X)))
            share[nearest, np.arange(len(X))] = weight
            mass = share.sum(axis=1)
            held = mass > 0
            centres[held] = (share @ X)[held] / mass[held, None]
        away = X - centres[nearest]
        total = weight.sum()
        # a missing cell was filled, and would vary by about one in standardised columns
        spread = weight @ np.square(away) + weight @ missing
        if self._diagonal:
            scatter = np.broadcast_to(spread, (K, d))
        else:
            pooled = (away * weight[:, None]).T @ away
            np.fill_diagonal(pooled, spread)
            scatter = np.broadcast_to(pooled, (K, d, d))
        of = K if self._tied else 1  # a tied M-step adds up what each component has
        self._gaussians = self._maximise(Moments(mass, centres, scatter / of, np.full((K, 1), total / of), np.nan), None)
        self._log_weight = np.log(np.maximum(mass, 1e-3 * total / K) / np.maximum(mass, 1e-3 * total / K).sum())

    # ---- log p and draws

    def _log_joint(self, X: np.ndarray) -> np.ndarray:
        return self._gaussians.log_prob(X, self._log_weight)

    def _log_prob(self, X: np.ndarray) -> np.ndarray:
        return log_sum_exp(self._log_joint(X))

    def _log_prob_classes(self, X: np.ndarray) -> np.ndarray:
        together, log_weight = self._stack()
        joint = together.log_prob(X, log_weight)
        if self.n_components == 1:
            return joint.T
        by_class = joint.reshape(-1, self.n_components, len(X))
        return log_sum_exp(by_class.transpose(1, 0, 2)).T

    def _stack(self) -> tuple[FullGaussians | DiagonalGaussians, np.ndarray]:
        """The components of all classes as one, kept until one of them is another."""
        each = [density._gaussians for density in self.densities_]
        if len(each) == 1:
            return each[0], self.densities_[0]._log_weight
        held = vars(self).get("_together")
        if held is None or len(held[0]) != len(each) or any(a is not b for a, b in zip(held[0], each, strict=True)):
            held = each, type(each[0]).stack(each), np.concatenate([density._log_weight for density in self.densities_])
            self._together = held
        return held[1:]

    def __getstate__(self) -> dict:
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_together"}

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        edges = np.cumsum(self.weights_)
        component = (
            np.searchsorted(edges[:-1] / edges[-1], rng.random(n), side="right") if len(edges) > 1 else np.zeros(n, dtype=int)
        )
        return self._gaussians.sample(component, rng)

    def _sample_missing_component(self, k: int, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self._gaussians.sample_missing(k, X, rng)

    def _missing_moments_component(self, k: int, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._gaussians.missing_moments(k, X)

    # ---- what a user reads

    @property
    def means_(self) -> np.ndarray:
        """Component means (K, d), in data units."""
        return self._gaussians.mean * self.columns_.scale + self.columns_.loc

    @property
    def covariances_(self) -> np.ndarray:
        """Covariances in squared data units: (K, d, d), (d, d) if tied, the diagonals (K, d) if diag or spherical."""
        covariance, scale = self._gaussians.covariance, self.columns_.scale
        if self._diagonal:
            return covariance * scale**2
        covariance = covariance * np.outer(scale, scale)
        return covariance[0] if self.covariance_type == "tied" else covariance

    def _n_parameters(self) -> int:
        K, d = self._gaussians.mean.shape
        matrix = d * (d + 1) // 2
        return K - 1 + K * d + {"full": K * matrix, "tied": matrix, "diag": K * d, "spherical": K}[self.covariance_type]
