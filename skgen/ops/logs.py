"""Sums of exponentials, with the summed axis first and nothing ever below the exponent's range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["SMALLEST", "log_sum_exp", "mix_moments", "softmax"]

#: Below this exponent a term is less than 1e-300 of the largest one: clamping there changes no sum, and keeps
#: exp away from subnormal results, which cost ten times as much.
SMALLEST = -690.0


def log_sum_exp(a: np.ndarray) -> np.ndarray:
    """log sum_k exp(a_k) over the FIRST axis.

    Parameters
    ----------
    a : array of shape (K, ...)
        May hold -inf. Left as it is.

    Returns
    -------
    array of shape (...)
        -inf where every term is.

    Examples
    --------
    >>> log_sum_exp(np.array([[-1e4, -np.inf], [-1e4, -np.inf]]))
    array([-9999.30685282,           -inf])
    """
    if len(a) == 1:
        return a[0].copy()
    top = a.max(axis=0)
    lost = top == -np.inf
    top = np.where(np.isfinite(top), top, 0.0)
    terms = a - top
    np.maximum(terms, SMALLEST, out=terms)
    np.exp(terms, out=terms)
    out = np.log(terms.sum(axis=0))
    out += top
    out[lost] = -np.inf
    return out


def softmax(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """exp(a_k) / sum_k exp(a_k) over the FIRST axis, and log sum_k exp(a_k).

    Parameters
    ----------
    a : array of shape (K, n)
        Overwritten with the result. Where every term is -inf the shares are equal.
    """
    top = a.max(axis=0)
    lost = top == -np.inf
    if lost.any():
        a[:, lost] = 0.0
        top = np.where(lost, 0.0, top)
    a -= top
    np.maximum(a, SMALLEST, out=a)
    np.exp(a, out=a)
    total = a.sum(axis=0)
    a /= total
    log_total = np.log(total)
    log_total += top
    log_total[lost] = -np.inf
    return a, log_total


def mix_moments(share: np.ndarray, each: Sequence[tuple[np.ndarray, np.ndarray] | None]) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean and variance of a mixture of K parts, from its shares and the means and variances of the parts.

    Parameters
    ----------
    share : array of shape (K, n)
    each : K pairs of arrays of shape (n, d)

    Returns
    -------
    mean, variance : arrays of shape (n, d); None where a part has none
    """
    known = [one for one in each if one is not None]
    if len(known) < len(each):
        return None
    mean = sum(s[:, None] * m for s, (m, _) in zip(share, known, strict=True))
    # Var x = E Var(x | k) + Var E(x | k)
    variance = sum(s[:, None] * (v + (m - mean) ** 2) for s, (m, v) in zip(share, known, strict=True))
    return mean, variance
