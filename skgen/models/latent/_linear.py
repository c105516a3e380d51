"""What linear latent models share: x = W z + mu + noise, with everything that is asked of it in closed form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from skgen.base import GenerativeModel
from skgen.learn.em import climb, warn_not_converged
from skgen.ops.gaussians import Moments, weighted_moments
from skgen.parameters import Interval

__all__ = ["LinearGaussian"]

_STEEP = 1e3  # W' Psi^-1 W, from which on rounding of the short form of log p shows
_LOG_2PI = np.log(2 * np.pi)
_CHUNK = 2048  # rows at most: what is made of them stays in cache
_CELLS = 2**21  # of the largest array made of the rows of a chunk


@dataclass
class _Chunk:
    """Rows, what is known of their z, and log p of their observed cells."""

    at: slice
    away: np.ndarray  # x - mean, 0 where missing
    patterns: np.ndarray  # distinct rows of observed cells, (P, d)
    which: np.ndarray  # the pattern of each row
    z: np.ndarray  # E[z | x]
    spread: np.ndarray  # Cov[z | x] of each pattern, (P, q, q)
    log_p: np.ndarray


class LinearGaussian(ClassNamePrefixFeaturesOutMixin, TransformerMixin, GenerativeModel):
    """x = W z + mu + e with z ~ N(0, I), e ~ N(0, Psi) and Psi diagonal, so that p(x) = N(mu, W W' + Psi).

    A model writes ``_maximise``: the likeliest W and Psi for a covariance matrix.
    """

    n_components: Annotated[int, Interval(1)] = 2
    shrinkage: Annotated[float, Interval(0)] = 3.0
    reg_covar: Annotated[float, Interval(1e-10)] = 1e-6
    max_iter: Annotated[int, Interval(1)] = 500
    tol: Annotated[float, Interval(0)] = 1e-6

    kinds = frozenset({"continuous"})
    missing = "exact"
    missing_in_fit = True
    streams = True

    def _maximise(self, S: np.ndarray, max_iter: int) -> tuple[int, bool]:
        """Set ``_W`` (d, q) and ``_noise`` (d,) to those likeliest under covariance S; iterations, and whether they sufficed.

        From a fitted state the likelihood never falls.
        """
        raise NotImplementedError(f"{type(self).__name__} must define _maximise(S, max_iter).")

    def _n_factors(self, d: int) -> int:
        return min(self.n_components, d - 1)  # W W' + Psi is any covariance with d - 1

    # ---- fit

    def _fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        for name in ("_W", "_noise"):
            vars(self).pop(name, None)
        if not np.isnan(X.sum()):
            self.n_iter_, self.converged_ = self._fit_complete(X, weight)
        else:
            seen = ~np.isnan(X).all(axis=1)  # rows of which nothing is known teach nothing
            X, weight = X[seen], weight[seen]
            self._start(X, weight)
            _, self.n_iter_, self.converged_ = climb(lambda: self._step(X, weight), self.max_iter, self.tol)
        if not self.converged_:
            warn_not_converged(type(self).__name__, self.max_iter, self.tol)

    def _fit_complete(self, X: np.ndarray, weight: np.ndarray) -> tuple[int, bool]:
        moments = weighted_moments(X, weight, diagonal=False)
        self._mean = moments.mean[0]
        return self._maximise(self._shrunk(moments.scatter[0], weight.sum()), self.max_iter)

    def _update(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        if np.isnan(X.sum()):
            self._step(X, weight)
        else:
            self._fit_complete(X, weight)

    def _shrunk(self, scatter: np.ndarray, mass: float) -> np.ndarray:
        """S = (scatter + s I) / (mass + s): the maximum of the posterior is that of the likelihood under S."""
        if mass + self.shrinkage <= 0:
            return np.eye(len(scatter))
        S = scatter / (mass + self.shrinkage)
        S.flat[:: len(S) + 1] += self.shrinkage / (mass + self.shrinkage)
        return S

    def _start(self, X: np.ndarray, weight: np.ndarray) -> None:
        """Independent columns, from the observed cells."""
        seen = ~np.isnan(X)
        mass = np.maximum(weight @ seen, np.finfo(float).tiny)
        self._mean = weight @ np.where(seen, X, 0.0) / mass
        spread = weight @ np.where(seen, (X - self._mean) ** 2, 0.0)
        unseen = mass < 1e-12 * max(weight.sum(), 1e-300)
        self._noise = np.maximum(np.where(unseen, 1.0, (spread + self.shrinkage) / (mass + self.shrinkage)), self.reg_covar)
        self._W = np.zeros((X.shape[1], self._n_factors(X.shape[1])))

    def _step(self, X: np.ndarray, weight: np.ndarray) -> float:
        """One EM iteration over the missing cells; the mean penalised log-likelihood before it."""
        if not weight.sum() > 0:
            return 0.0
        moments = self._expected_moments(X, weight)
        objective = (moments.log_likelihood + self._log_smoothing()) / weight.sum()
        self._mean = moments.mean[0]
        self._maximise(self._shrunk(moments.scatter[0], moments.mass[0]), 20)
        return objective

    def _expected_moments(self, X: np.ndarray, weight: np.ndarray) -> Moments:
        """E-step: the moments of the rows, missing cells in expectation."""
        d, mass = X.shape[1], weight.sum()
        first, second, log_likelihood = np.zeros(d), np.zeros((d, d)), 0.0
        for chunk in self._infer(X):
            w = weight[chunk.at]
            log_likelihood += float(w @ chunk.log_p)
            unseen = ~chunk.patterns
            # E[x] = mu + W E[z] and Cov[x] = W Cov[z] W' + Psi where missing
            x = chunk.away + np.where(unseen[chunk.which], chunk.z @ self._W.T, 0.0)
            first += w @ x
            second += (x * w[:, None]).T @ x
            share = np.bincount(chunk.which, w, len(unseen))
            root = (unseen * np.sqrt(share)[:, None])[:, :, None] * (self._W @ np.linalg.cholesky(chunk.spread))
            flat = root.transpose(0, 2, 1).reshape(-1, d)
            second += flat.T @ flat
            second.flat[:: d + 1] += (share @ unseen) * self._noise
        shift = first / mass
        scatter = second - np.outer(shift, first)
        return Moments(np.array([mass]), (self._mean + shift)[None], scatter[None], np.array([[mass]]), log_likelihood)

    def _partial_fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        complete = not np.isnan(X.sum())
        if not complete:
            if "_W" not in vars(self):
                self._fit(X, weight, rng)
            seen = ~np.isnan(X).all(axis=1)
            X, weight = X[seen], weight[seen]
            if not len(X):
                return
        batch = weighted_moments(X, weight, diagonal=False) if complete else self._expected_moments(X, weight)
        sums = vars(self).get("_sums")
        self._sums = batch if sums is None else sums + batch
        self._mean = self._sums.mean[0]
        self.n_iter_, self.converged_ = self._maximise(self._shrunk(self._sums.scatter[0], self._sums.mass[0]), self.max_iter)

    def _log_smoothing(self) -> float:
        """-s/2 (log det C + tr C^-1) of the pseudo-rows, C = W W' + Psi."""
        scaled = self._W / self._noise[:, None]
        M = np.eye(self._W.shape[1]) + self._W.T @ scaled
        log_det = np.log(self._noise).sum() + np.linalg.slogdet(M)[1]
        return float(-0.5 * self.shrinkage * (log_det + (1 / self._noise).sum() - np.trace(np.linalg.solve(M, scaled.T @ scaled))))

    def _set(self, W: np.ndarray, noise: np.ndarray) -> None:
        """Keep loadings with a fixed sign: the largest of each factor is positive."""
        if W.size:
            W = W * np.where(W[np.abs(W).argmax(axis=0), np.arange(W.shape[1])] < 0, -1.0, 1.0)
        self._W, self._noise = W, noise

    # ---- z given x

    def _infer(self, X: np.ndarray) -> Iterator[_Chunk]:
        d, q = self._W.shape
        scaled = self._W / self._noise[:, None]
        rows = int(min(_CHUNK, max(64, _CELLS // max(q * d, 1))))
        pairs = (scaled[:, :, None] * self._W[:, None, :]).reshape(d, q * q)
        log_noise = np.log(self._noise) + _LOG_2PI
        steep = q > 0 and pairs.sum(axis=0)[:: q + 1].max() > _STEEP
        for start in range(0, len(X), rows):
            at = slice(start, start + rows)
            away = X[at] - self._mean
            if np.isnan(away.sum()):
                patterns, which = _distinct(~np.isnan(away))
                away = np.where(patterns[which], away, 0.0)
            else:
                patterns, which = np.ones((1, d), dtype=bool), np.zeros(len(away), dtype=np.intp)
            # p(z | x) = N(V W' Psi^-1 (x - mu), V), V = (I + W' Psi^-1 W)^-1, sums over the observed cells
            M = (patterns.astype(float) @ pairs).reshape(len(patterns), q, q) + np.eye(q)
            V = np.linalg.inv(M)
            V = (V + V.mT) / 2
            b = away @ scaled
            z = b @ V[0] if len(V) == 1 else np.matmul(V[which], b[:, :, None])[:, :, 0]
            log_det = np.linalg.slogdet(M)[1] + patterns @ log_noise
            if steep:  # what z leaves over, and z: no difference of large numbers, and flat in the rounding of z
                rest = np.where(patterns[which], away - z @ self._W.T, 0.0)
                square = np.square(rest) @ (1 / self._noise) + np.einsum("nq,nq->n", z, z)
            else:
                square = np.square(away) @ (1 / self._noise) - np.einsum("nq,nq->n", b, z)
            yield _Chunk(at, away, patterns, which, z, V, -0.5 * (log_det[which] + np.maximum(square, 0.0)))

    def _log_prob(self, X: np.ndarray) -> np.ndarray:
        out = np.empty(len(X))
        for chunk in self._infer(X):
            out[chunk.at] = chunk.log_p
        return out

    def _encode(self, X: np.ndarray) -> np.ndarray:
        out = np.empty((len(X), self._W.shape[1]))
        for chunk in self._infer(X):
            out[chunk.at] = chunk.z
        return out

    # ---- draws

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        d, q = self._W.shape
        return self._mean + rng.standard_normal((n, q)) @ self._W.T + np.sqrt(self._noise) * rng.standard_normal((n, d))

    def _missing_moments(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, variance, unseen = X.copy(), np.zeros(X.shape), np.isnan(X)
        for chunk in self._infer(X):
            hidden = unseen[chunk.at]
            # E[x] = mu + W E[z], Var[x_j] = w_j' Cov[z] w_j + psi_j
            mean[chunk.at] = np.where(hidden, self._mean + chunk.z @ self._W.T, X[chunk.at])
            spread = np.einsum("jq,pqr,jr->pj", self._W, chunk.spread, self._W) + self._noise
            variance[chunk.at] = np.where(hidden, spread[chunk.which], 0.0)
        return mean, variance

    def _sample_missing(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        out = X.copy()
        d, q = self._W.shape
        for chunk in self._infer(X):
            root = np.linalg.cholesky(chunk.spread)[chunk.which]
            z = chunk.z + np.matmul(root, rng.standard_normal((len(chunk.z), q, 1)))[:, :, 0]
            x = self._mean + z @ self._W.T + np.sqrt(self._noise) * rng.standard_normal((len(z), d))
            out[chunk.at] = np.where(np.isnan(X[chunk.at]), x, X[chunk.at])
        return out

    # ---- what a user asks

    @property
    def _n_features_out(self) -> int:
        return sum(density._W.shape[1] for density in self._fitted.densities_)

    def transform(self, X: Any) -> np.ndarray:
        """Posterior mean of z, E[z | x].

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
            NaN is a cell that was not observed.

        Returns
        -------
        array of shape (n, q)
            Without unit. After ``fit(X, y)`` the q factors of each class stand side by side, class by class.
        """
        check_is_fitted(self, "columns_")
        table, _ = self._table(X, reset=False, may_miss=True)
        Z, _ = self._coding.encode(self.columns_.encode(table)[0])
        return np.concatenate([density._encode(Z) for density in self._fitted.densities_], axis=1)

    def inverse_transform(self, Z: Any) -> Any:
        """Decode: the mean of x given z, W z + mu.

        Parameters
        ----------
        Z : array-like of shape (n, q)

        Returns
        -------
        table of n rows, in the units and the container given to ``fit``

        Raises
        ------
        ValueError
            After ``fit(X, y)``: z is one a class.
        """
        check_is_fitted(self, "columns_")
        if len(self._fitted.densities_) > 1:
            raise ValueError(f"{type(self).__name__} was fitted with classes, each with a z of its own: use task='density'.")
        density = self._fitted.densities_[0]
        Z = check_array(Z, dtype=float, ensure_min_features=0, ensure_min_samples=0)
        if Z.shape[1] != density._W.shape[1]:
            raise ValueError(
                f"Z has {Z.shape[1]} columns, but there are {density._W.shape[1]} components: give what transform gives."
            )
        X = self._coding.decode(density._mean + Z @ density._W.T, np.random.default_rng(0))
        return self.columns_.decode(X)

    @property
    def mean_(self) -> np.ndarray:
        """mu (d,), in data units."""
        return self._mean * self.columns_.scale + self.columns_.loc

    @property
    def components_(self) -> np.ndarray:
        """The loadings W' (q, d), in data units."""
        return self._W.T * self.columns_.scale

    @property
    def noise_variance_(self) -> np.ndarray:
        """The diagonal of Psi (d,), in squared data units."""
        return self._noise * self.columns_.scale**2

    @property
    def covariance_(self) -> np.ndarray:
        """W W' + Psi (d, d), in squared data units."""
        return self.components_.T @ self.components_ + np.diag(self.noise_variance_)

    def _n_parameters(self) -> int:
        d, q = self._W.shape
        return d + d * q - q * (q - 1) // 2 + self._n_noise(d)  # a rotation of z changes nothing

    def _n_noise(self, d: int) -> int:
        return d


def _distinct(seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows of a boolean matrix, and which of them each row is."""
    packed = np.ascontiguousarray(np.packbits(seen, axis=1))
    key = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    return seen[first], which
