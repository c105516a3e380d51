"""Expectation-maximisation: over classes that are partly known, and over components that never are."""

from __future__ import annotations

from typing import Any

import numpy as np

from skgen.ops.logs import softmax

__all__ = ["fit_partly_labelled"]


def fit_partly_labelled(
    part: Any,
    X: np.ndarray,
    weights: np.ndarray,
    weight: np.ndarray,
    known: np.ndarray,
    rng: np.random.Generator,
    max_iter: int = 100,
    tol: float = 1e-6,
) -> np.ndarray:
    r"""EM over the classes of unlabelled rows (Nigam et al. 2000, eq. 11).

    E-step: p(y|x) by Bayes' rule for the rows without a label. M-step: a weighted fit a class.

    Parameters
    ----------
    part : model with the class-wise hooks
        Left fitted.
    X : array of shape (n, d)
    weights : array of shape (n, K)
        One non-zero entry for a labelled row; the other rows are overwritten.
    weight : array of shape (n,)
    known : boolean array of shape (n,)
    max_iter, tol : int, float
        Stop after so many steps, or when the mean log-likelihood (nats a row) gains less than ``tol``.

    Returns
    -------
    array of shape (K,)
        The class frequencies.
    """
    part._fit_classes(X[known], weights[known], rng)
    share = weights[known].sum(axis=0)
    share /= share.sum()
    last = -np.inf
    for _ in range(max_iter):
        joint = part._log_prob_classes(X) + np.log(np.maximum(share, np.finfo(float).tiny))
        p, log_total = softmax(np.ascontiguousarray(joint[~known].T))
        weights[~known] = (p * weight[~known]).T
        labelled = (weights[known] * np.where(weights[known] > 0, joint[known], 0)).sum()
        now = (weight[~known] @ log_total + labelled) / weight.sum()
        if now - last < tol:
            break
        last = now
        share = weights.sum(axis=0) / weight.sum()
        part._update_classes(X, weights, rng)
    return share
