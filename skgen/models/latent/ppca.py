"""Probabilistic principal components: a normal whose covariance is a few directions and noise alike in all others."""

from __future__ import annotations

import numpy as np

from skgen.models.latent._linear import LinearGaussian

__all__ = ["PPCA"]


class PPCA(LinearGaussian):
    r"""Probabilistic PCA, x = W z + mu + e with z ~ N(0, I_q) and e ~ N(0, s2 I): p(x) = N(mu, W W' + s2 I).

    The maximum of the likelihood is the principal components, in closed form (Tipping & Bishop 1999). With missing
    cells it is found by EM over those cells, exactly.

    Parameters
    ----------
    n_components : int, default=2
        q, the dimension of z. More than d - 1 add nothing, since W W' + s2 I is any covariance then; so many are used.
    shrinkage : float, default=3.0
        Pseudo-rows, uncorrelated and with the variances of all rows, in the covariance: it is regular however few
        rows a class has. 0 is maximum likelihood.
    reg_covar : float, default=1e-6
        Least s2, relative to standardised columns. At least 1e-10.
    max_iter : int, default=500
        Most EM iterations, taken only where cells are missing in ``fit``.
    tol : float, default=1e-6
        EM stops when the mean penalised log-likelihood (nats a row) gains less.

    Attributes
    ----------
    components_ : array of shape (q, d)
        The loadings W', in data units: principal directions times the standard deviation along them that is not noise.
    mean_ : array of shape (d,)
    noise_variance_ : array of shape (d,)
        In squared data units.
    covariance_ : array of shape (d, d)
    converged_ : bool
    n_iter_ : int

    Notes
    -----
    Noise is alike in all *standardised* columns, so that no column's unit matters; with ``units="shared"`` it is alike
    in data units, and without shrinkage ``score_samples`` is then that of scikit-learn's PCA. ``score_samples`` is exact
    for continuous columns, in nats and in the units of the data, and exact where cells are missing. A fit that has not
    converged warns with a ConvergenceWarning. ValueError for a parameter out of range.

    References
    ----------
    Tipping & Bishop (1999), "Probabilistic principal component analysis", JRSS B 61(3); Roweis (1998), "EM algorithms for
    PCA and SPCA".

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import PPCA
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(500, 1))
    >>> X = z * [1.0, 2.0, 3.0] + rng.normal(0, 0.1, (500, 3))
    >>> model = PPCA(n_components=1).fit(X)
    >>> X[0, 2] = np.nan
    >>> bool(abs(model.impute(X[:1])[0, 2] - 3 * z[0, 0]) < 0.5)
    True
    """

    def _maximise(self, S: np.ndarray, max_iter: int) -> tuple[int, bool]:
        value, vector = np.linalg.eigh(S)
        q = self._n_factors(len(S))
        self._set_spectrum(value[::-1][:q], vector[:, ::-1][:, :q], max(float(np.trace(S)), 0.0))
        return 1, True

    def _set_spectrum(self, value: np.ndarray, vector: np.ndarray, total: float) -> None:
        # s2 = mean of the d - q least eigenvalues,  W = U (L - s2 I)^(1/2)    (Tipping & Bishop, eqs. 7 and 8)
        d, q = vector.shape
        noise = max((total - value.sum()) / (d - q), self.reg_covar)
        self._set(vector * np.sqrt(np.maximum(value - noise, 0.0)), np.full(d, noise))

    def _fit_complete(self, X: np.ndarray, weight: np.ndarray) -> tuple[int, bool]:
        n, d = X.shape
        if n >= d:
            return super()._fit_complete(X, weight)
        # fewer rows than columns: the Gram matrix of the rows has the same eigenvalues, and is smaller
        mass = weight.sum()
        self._mean = (weight @ X) / mass
        rows = (X - self._mean) * np.sqrt(weight)[:, None]
        value, vector = np.linalg.eigh(rows @ rows.T)
        q = self._n_factors(d)
        top = value[::-1][:q]
        kept = top > 1e-13 * max(value[-1], np.finfo(float).tiny)
        directions = np.zeros((d, q))
        directions[:, : len(top)][:, kept] = rows.T @ vector[:, ::-1][:, :q][:, kept] / np.sqrt(top[kept])
        spread = np.zeros(q)
        spread[: len(top)][kept] = top[kept]
        s = self.shrinkage
        self._set_spectrum((spread + s) / (mass + s), directions, (np.square(rows).sum() + s * d) / (mass + s))
        return 1, True

    def _n_noise(self, d: int) -> int:
        return 1
