"""Changes of variables that keep a density: a fitted transformer and the log-determinant of its Jacobian."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import boxcox
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, PowerTransformer, RobustScaler, StandardScaler

__all__ = ["COLUMNWISE", "flat_steps", "forward", "log_abs_det_jacobian"]

#: Transformers that change each column by itself, and so leave a missing cell missing.
COLUMNWISE = (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, PowerTransformer)


def log_abs_det_jacobian(transformer: Any, X: np.ndarray) -> np.ndarray:
    r"""log \|det dT(x)/dx\| of a fitted transformer at each row; a cell that is NaN adds nothing.

    Parameters
    ----------
    transformer : fitted transformer
        StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, PowerTransformer, PCA with all components, a pipeline
        of them, None or "passthrough", or any object with a method of this name, ``log_abs_det_jacobian(X)``.
    X : array of shape (n, d)

    Returns
    -------
    array of shape (n,)

    Raises
    ------
    ValueError
        If the transformer is not one-to-one, or its derivative is not known.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> X = np.array([[0.0, 0.0], [2.0, 4.0]])
    >>> np.exp(log_abs_det_jacobian(MinMaxScaler().fit(X), X))
    array([0.125, 0.125])
    """
    if transformer is None or (isinstance(transformer, str) and transformer == "passthrough"):
        return np.zeros(len(X))
    if hasattr(transformer, "log_abs_det_jacobian"):
        return np.asarray(transformer.log_abs_det_jacobian(X), dtype=float)
    if isinstance(transformer, Pipeline):
        total = np.zeros(len(X))
        for _, step in transformer.steps:
            total += log_abs_det_jacobian(step, X)
            X = forward(step, X)
        return total
    if isinstance(transformer, PCA):
        return np.full(len(X), _pca_log_det(transformer))
    if isinstance(transformer, COLUMNWISE):
        return np.where(np.isnan(X), 0.0, _log_slopes(transformer, X)).sum(axis=1)
    raise ValueError(
        f"{type(transformer).__name__} is not known to be one-to-one with a derivative, so a density behind it has "
        "none in the units of the data: use a scaler, PowerTransformer or full-rank PCA, or give the "
        "transformer a method log_abs_det_jacobian(X)."
    )


def _pca_log_det(pca: PCA) -> float:
    if pca.n_components_ < pca.n_features_in_:
        raise ValueError(
            f"PCA keeps {pca.n_components_} of {pca.n_features_in_} dimensions, so it is not one-to-one and a "
            "density behind it has none in the units of the data: keep all components (which needs as many rows)."
        )
    log_det = np.linalg.slogdet(pca.components_)[1]
    if not pca.whiten:
        return float(log_det)
    variance = pca.explained_variance_
    if variance[-1] <= variance[0] * len(variance) * np.finfo(float).eps:
        raise ValueError("PCA(whiten=True) divides by a standard deviation of zero: some columns are sums of others. Drop them.")
    return float(log_det - 0.5 * np.log(variance).sum())


def _log_slopes(transformer: Any, X: np.ndarray) -> np.ndarray:
    """log |dT_j/dx_j| of a column-wise transformer, (n, d)."""
    if getattr(transformer, "clip", False):
        raise ValueError(f"{type(transformer).__name__}(clip=True) is flat outside the range it was fitted on: set clip=False.")
    if isinstance(transformer, PowerTransformer):
        return _power_log_slopes(transformer, X)
    scale = transformer.scale_
    log_scale = np.zeros(X.shape[1]) if scale is None else np.log(np.abs(scale))
    if not np.isfinite(log_scale).all():
        raise ValueError(f"{type(transformer).__name__} has a scale of zero in column {int(np.argmin(np.isfinite(log_scale)))}.")
    return np.broadcast_to(log_scale if isinstance(transformer, MinMaxScaler) else -log_scale, X.shape)


def _power_log_slopes(transformer: PowerTransformer, X: np.ndarray) -> np.ndarray:
    # Box-Cox: f'(x) = x^(a - 1). Yeo-Johnson: f'(x) = (1 + x)^(a - 1) for x >= 0, (1 - x)^(1 - a) below
    power = transformer.lambdas_
    positive_only = transformer.method == "box-cox"
    log_slope = (power - 1) * (np.log(X) if positive_only else np.sign(X) * np.log1p(np.abs(X)))
    if not transformer.standardize:
        return log_slope
    # T = (f - mean) / sd; two points whose f differ by ((2^a) - 1) / a tell the sd
    low = np.full(X.shape[1], 1.0 if positive_only else 0.0)
    rise = np.diff(forward(transformer, np.stack([low, low + 1])), axis=0)[0]
    with np.errstate(divide="ignore"):
        log_sd = np.log(boxcox(2.0, power)) - np.log(rise)
    if not np.isfinite(log_sd).all():
        raise ValueError(f"PowerTransformer is flat in column {int(np.argmin(np.isfinite(log_sd)))}: scale or drop the column.")
    return log_slope - log_sd


def forward(transformer: Any, X: np.ndarray) -> np.ndarray:
    """T(x) of each row, as floats."""
    if transformer is None or (isinstance(transformer, str) and transformer == "passthrough"):
        return X
    return np.asarray(transformer.transform(X), dtype=float)


def flat_steps(transformer: Any) -> list[Any]:
    """The steps of a pipeline, in order and without those that do nothing."""
    if transformer is None or (isinstance(transformer, str) and transformer == "passthrough"):
        return []
    if isinstance(transformer, Pipeline):
        return [one for _, step in transformer.steps for one in flat_steps(step)]
    if not hasattr(transformer, "inverse_transform"):
        raise ValueError(f"transformer={transformer!r} has no inverse_transform: a density behind it has none in the units of X.")
    return [transformer]
