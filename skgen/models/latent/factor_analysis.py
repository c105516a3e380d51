"""Factor analysis: a normal whose columns are independent given a few factors."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import minimize

from skgen.models.latent._linear import LinearGaussian

__all__ = ["FactorAnalysis"]


class FactorAnalysis(LinearGaussian):
    r"""Factor analysis, x = W z + mu + e with z ~ N(0, I_q) and e ~ N(0, Psi), Psi diagonal: p(x) = N(mu, W W' + Psi).

    The rows are read once, for their covariance. Given Psi the likeliest W is known, and a quasi-Newton search over
    log Psi finds the rest (Joreskog 1967). With missing cells that is one step of an EM over those cells, exactly.

    Parameters
    ----------
    n_components : int, default=2
        q, the number of factors. More than d - 1 add nothing, since W W' + Psi is any covariance then; so many are used.
    shrinkage : float, default=3.0
        Pseudo-rows, uncorrelated and with the variances of all rows, in the covariance: it is regular however few
        rows a class has. 0 is maximum likelihood.
    reg_covar : float, default=1e-6
        Least noise variance, relative to standardised columns. At least 1e-10. It is reached by a column that the factors
        explain altogether (a Heywood case).
    max_iter : int, default=500
        Most iterations of the search, or of EM where cells are missing in ``fit``.
    tol : float, default=1e-6
        Stop when the mean penalised log-likelihood (nats a row) gains less.

    Attributes
    ----------
    components_ : array of shape (q, d)
        The loadings W', in data units, rotated so that W' Psi^-1 W is diagonal.
    mean_ : array of shape (d,)
    noise_variance_ : array of shape (d,)
        The diagonal of Psi, in squared data units.
    covariance_ : array of shape (d, d)
    converged_ : bool
    n_iter_ : int

    Notes
    -----
    Changing the unit of a column changes nothing (but with shrinkage and ``units="shared"``). ``score_samples`` is exact for
    continuous columns, in nats and in the units of the data, and exact where cells are missing. A fit that has not
    converged warns with a ConvergenceWarning. ValueError for a parameter out of range.

    References
    ----------
    Joreskog (1967), "Some contributions to maximum likelihood factor analysis", Psychometrika 32; Rubin & Thayer (1982),
    "EM algorithms for ML factor analysis", Psychometrika 47.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import FactorAnalysis
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(2000, 1))
    >>> X = z * [1.0, 2.0, 3.0] + rng.normal(0, [0.1, 0.5, 1.0], (2000, 3))
    >>> model = FactorAnalysis(n_components=1, shrinkage=0).fit(X)
    >>> np.round(np.sqrt(model.noise_variance_), 1)
    array([0.1, 0.5, 1. ])
    """

    def _maximise(self, S: np.ndarray, max_iter: int) -> tuple[int, bool]:
        d, variance = len(S), np.diag(S)
        q = self._n_factors(d)
        if q == 0:
            self._set(np.zeros((d, 0)), np.maximum(variance, self.reg_covar))
            return 1, True
        last = vars(self).get("_noise")
        if last is None:
            # what the other columns do not explain of each, halved for the factors (Joreskog 1967, eq. 26)
            own = 1 / np.maximum(np.diag(np.linalg.pinv(S, hermitian=True)), 1 / np.maximum(variance, np.finfo(float).tiny))
            last = (1 - 0.5 * q / d) * own

        def loss(log_noise: np.ndarray) -> tuple[float, np.ndarray]:
            # log det C + tr C^-1 S at the best W; L and U are of Psi^-1/2 S Psi^-1/2:
            #   sum log psi + sum_(used) (log L + 1) + sum_(rest) L,   gradient in log psi_j: sum_(rest) U_jk^2 (1 - L_k)
            value, vector, scaled = _spectrum(S, log_noise, q)
            used = value > 1
            total = np.trace(scaled)
            f = log_noise.sum() + np.log(value[used]).sum() + used.sum() + total - value[used].sum()
            gradient = 1 - np.diag(scaled) - np.square(vector[:, used]) @ (1 - value[used])
            return f, gradient

        low = np.log(self.reg_covar)
        high = np.maximum(np.log(np.maximum(variance, self.reg_covar)), low)
        start = np.clip(np.log(np.maximum(last, self.reg_covar)), low, high)
        # tol is that of EM; a quasi-Newton search ends with a rush, and its last steps pin the answer down to rounding
        options = {"maxiter": max_iter, "maxfun": 20 * max_iter, "ftol": 1e-7 * self.tol, "gtol": 1e-8, "maxcor": 20}
        bounds = np.stack([np.full(d, low), high], axis=1)
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        value, vector, _ = _spectrum(S, found.x, q)
        noise = np.exp(found.x)
        # W = Psi^1/2 U (L - I)^1/2
        self._set(np.sqrt(noise)[:, None] * vector * np.sqrt(np.maximum(value - 1, 0.0)), noise)
        return int(found.nit), found.nit < max_iter


def _spectrum(S: np.ndarray, log_noise: np.ndarray, q: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The q greatest eigenvalues of Psi^-1/2 S Psi^-1/2, their vectors, and that matrix."""
    root = np.exp(-0.5 * log_noise)
    scaled = S * root * root[:, None]
    d = len(S)
    if d <= 100:
        value, vector = np.linalg.eigh(scaled)
        return value[d - q :][::-1], vector[:, d - q :][:, ::-1], scaled
    value, vector = eigh(scaled, subset_by_index=(d - q, d - 1), check_finite=False)
    return value[::-1], vector[:, ::-1], scaled
