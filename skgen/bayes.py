"""Bayes' rule in logs, class priors and their estimation: pure functions, used once, by the base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import log_softmax

from skgen.ops.logs import log_sum_exp

__all__ = ["class_priors", "estimate_priors", "log_posterior", "most_probable"]


def log_posterior(log_joint: np.ndarray, class_log_prior: np.ndarray) -> np.ndarray:
    r"""log p(y|x) = log p(x, y) - log sum_y p(x, y).

    Parameters
    ----------
    log_joint : array of shape (n, K)
        log p(x|y) + log p(y), nats.
    class_log_prior : array of shape (K,)
        What is answered where every class gives the row probability zero: nothing was learnt from x.

    Returns
    -------
    array of shape (n, K)
        Finite wherever the priors are positive; each row's exponentials sum to one.
    """
    lost = ~np.isfinite(log_joint).any(axis=1)
    if lost.any():
        log_joint = np.where(lost[:, None], class_log_prior, log_joint)
    return log_softmax(log_joint, axis=1)


def most_probable(log_joint: np.ndarray, class_log_prior: np.ndarray) -> np.ndarray:
    """argmax_y log p(x, y), (n,), the first of equals; the likeliest class beforehand where every class is impossible.

    One pass a class over the rows: several times faster than ``argmax`` along a short last axis.
    """
    best = log_joint[:, 0].copy()
    code = np.zeros(len(best), dtype=np.intp)
    for k in range(1, log_joint.shape[1]):
        column = log_joint[:, k]
        code[column > best] = k
        np.maximum(best, column, out=best)
    code[best == -np.inf] = class_log_prior.argmax()
    return code


def class_priors(priors: Any, classes: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """The prior p(y) that a user's ``priors`` stands for.

    Parameters
    ----------
    priors : None, "uniform", array-like of shape (K,) or mapping {label: p}
        None is the class frequencies.
    classes : array of shape (K,)
    frequencies : array of shape (K,)
        Weighted shares of the classes in the training rows.

    Returns
    -------
    array of shape (K,), summing to one

    Raises
    ------
    ValueError
        If ``priors`` does not give one finite, non-negative number a class, not all zero.
    """
    labels = list(classes.tolist())
    remedy = f"give None, 'uniform', or one number >= 0 for each of the classes {labels}."
    if priors is None:
        return frequencies
    if isinstance(priors, str):
        if priors != "uniform":
            raise ValueError(f"priors={priors!r} is not known: {remedy}")
        return np.full(len(classes), 1 / len(classes))
    if isinstance(priors, Mapping):
        if wrong := [key for key in priors if key not in labels]:
            raise ValueError(f"priors names {wrong[0]!r}, which is not a class: {remedy}")
        if absent := [label for label in labels if label not in priors]:
            raise ValueError(f"priors={dict(priors)!r} leaves out class {absent[0]!r}: {remedy}")
        priors = [priors[label] for label in labels]
    try:
        p = np.asarray(priors, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"priors={priors!r} are not numbers: {remedy}") from None
    if p.shape != (len(classes),) or not np.isfinite(p).all() or (p < 0).any() or p.sum() <= 0:
        raise ValueError(f"priors={priors!r} do not fit: {remedy}")
    return p / p.sum()


def estimate_priors(log_density: np.ndarray, start: np.ndarray, max_iter: int = 1000, tol: float = 1e-10) -> np.ndarray:
    r"""The class priors of unlabelled rows by EM (Saerens, Latinne & Decaestecker 2002, eq. 2.9).

    Parameters
    ----------
    log_density : array of shape (n, K)
        log p(x|y), nats.
    start : array of shape (K,)
        Priors to start from, those of the training rows.

    Returns
    -------
    array of shape (K,)
    """
    p = np.asarray(start, dtype=float)
    for _ in range(max_iter):
        with np.errstate(divide="ignore"):
            joint = log_density + np.log(p)
        seen = np.isfinite(joint).any(axis=1)
        # p(y) <- 1/n sum_i p(y | x_i)
        new = np.exp(joint[seen] - log_sum_exp(joint[seen].T)[:, None]).mean(axis=0) if seen.any() else p
        if np.abs(new - p).max() < tol:
            return new
        p = new
    return p
