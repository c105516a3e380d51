"""Expectation-maximisation: over classes that are partly known, and over components that never are."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skgen.ops.logs import softmax

__all__ = ["climb", "even_rows", "fit_partly_labelled", "spread_seeds", "warn_not_converged"]

_GROWTH = 10  # steps in which unlabelled rows enter


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

    E-step: p(y|x) by Bayes' rule for the rows without a label. M-step: a weighted fit a class. EM starts from classes that
    have grown from the labelled rows, see ``_grow``: a few labels alone are a start from which it ends anywhere.

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
        Stop after so many steps, or when the mean penalised log-likelihood (nats a row) gains less than ``tol``.

    Returns
    -------
    array of shape (K,)
        The class frequencies.
    """
    part._fit_classes(X[known], weights[known], rng)
    _grow(part, X, weights, weight, known, rng)
    part._fit_classes(X, weights, rng)  # what an update leaves as it is (families, graphs) was chosen on the labelled rows
    share = weights.sum(axis=0) / weights.sum()
    last = -np.inf
    for _ in range(max_iter):
        joint = _log_joint(part, X, share)
        p, log_total = softmax(np.ascontiguousarray(joint[~known].T))
        weights[~known] = (p * weight[~known]).T
        labelled = (weights[known] * np.where(weights[known] > 0, joint[known], 0)).sum()
        now = (weight[~known] @ log_total + labelled + part._log_smoothing_classes()) / weight.sum()
        if now - last < tol:
            break
        last = now
        share = weights.sum(axis=0) / weight.sum()
        part._update_classes(X, weights, rng)
    return share


def _log_joint(part: Any, X: np.ndarray, share: np.ndarray) -> np.ndarray:
    return part._log_prob_classes(X) + np.log(np.maximum(share, np.finfo(float).tiny))


def _grow(part: Any, X: np.ndarray, weights: np.ndarray, weight: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> None:
    """Unlabelled rows enter in ``_GROWTH`` steps, those that their class explains best first.

    By step t a class has taken in at most t / ``_GROWTH`` of its share of the unlabelled weight, that of its labelled rows: a
    dense class does not swallow the rest. Rows are ordered by log p(x) a cell, so that one with missing cells has its place
    among the others, and the last row of a quota counts in part, so that a row of weight 2 is that row twice.
    """
    quota = weights[known].sum(axis=0) / weights[known].sum() * weight[~known].sum()
    rows = np.flatnonzero(~known)
    n_seen = (~np.isnan(X[rows])).sum(axis=1)
    weights[~known] = 0.0
    for step in range(1, _GROWTH + 1):
        share = weights.sum(axis=0) / weights.sum()
        p, log_p = softmax(np.ascontiguousarray(_log_joint(part, X[rows], share).T))
        order = np.argsort(-np.where(n_seen > 0, log_p / np.maximum(n_seen, 1), -np.inf), kind="stable")
        nearest, entered = p.argmax(axis=0), np.zeros(len(rows))
        for k, most in enumerate(quota * step / _GROWTH):
            mine = order[nearest[order] == k]
            before = np.cumsum(weight[rows[mine]]) - weight[rows[mine]]
            entered[mine] = np.clip(most - before, 0.0, weight[rows[mine]])
        weights[rows] = (p * entered).T
        part._update_classes(X, weights, rng)
    p, _ = softmax(np.ascontiguousarray(_log_joint(part, X[rows], weights.sum(axis=0) / weights.sum()).T))
    weights[rows] = (p * weight[rows]).T


# ---- components, whose labels are never known


def climb(step: Callable[[], float], max_iter: int, tol: float) -> tuple[float, int, bool]:
    """Repeat an EM step until its objective gains less than ``tol``.

    Parameters
    ----------
    step : callable
        One E-step and one M-step; returns the objective before the M-step, in nats a row.
    max_iter : int
    tol : float

    Returns
    -------
    objective : float
        The last one seen.
    n_iter : int
    converged : bool
    """
    last = -np.inf
    for n_iter in range(1, max_iter + 1):
        now = step()
        if now - last < tol:
            return now, n_iter, True
        last = now
    return last, max_iter, False


def warn_not_converged(name: str, max_iter: int, tol: float) -> None:
    """ConvergenceWarning that names the parameter to change."""
    warnings.warn(
        f"{name} has not converged in max_iter={max_iter} EM iterations (tol={tol:g} nats a row): raise max_iter or tol.",
        ConvergenceWarning,
        stacklevel=2,
    )


def even_rows(X: np.ndarray, weight: np.ndarray, limit: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows to look for a start on, and their weights: all in an order of their own, or an even sample of ``limit``.

    The order follows what the rows hold, not where they stand, and the sample is taken at equal steps of cumulated
    weight: a row of weight 2 has the same part in it as that row twice.
    """
    mixed = np.where(np.isnan(X), 0.0, X) @ np.sqrt(np.arange(2.0, X.shape[1] + 2))
    order = np.argsort(mixed, kind="stable")
    if len(X) <= limit:
        return order, weight[order]
    cumulated = np.cumsum(weight[order])
    at = (np.arange(limit) + rng.random()) / limit * cumulated[-1]
    return order[np.searchsorted(cumulated, at, side="right").clip(max=len(X) - 1)], np.full(limit, cumulated[-1] / limit)


def spread_seeds(k: int, weight: np.ndarray, distance: Callable[[int], np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """k rows far from each other: greedy k-means++ (Arthur & Vassilvitskii 2007).

    Parameters
    ----------
    k : int
    weight : array of shape (n,)
    distance : callable
        Of one row to all, (n,), squared.
    """

    def draw(p: np.ndarray) -> int:
        cumulated = np.cumsum(p)
        return int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right").clip(max=len(p) - 1))

    seeds = [draw(weight)]
    nearest = distance(seeds[0])
    for _ in range(k - 1):
        p = weight * nearest
        if not p.sum() > 0:  # fewer distinct rows than seeds
            p = weight
        tried = [draw(p) for _ in range(2 + int(np.log(k)))]
        after = [np.minimum(nearest, distance(i)) for i in tried]
        best = int(np.argmin([weight @ a for a in after]))
        seeds.append(tried[best])
        nearest = after[best]
    return np.array(seeds)
