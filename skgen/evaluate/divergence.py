"""How far one fitted density is from another."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

__all__ = ["MOST_STATES", "Divergence", "kl_divergence"]

#: Up to so many states are summed over one by one.
MOST_STATES = 2**20
_CHUNK = 2**16


class Divergence(NamedTuple):
    """KL(p | q) = E_p log p - E_p log q, in nats; ``float()`` gives the value.

    Attributes
    ----------
    value : float
    standard_error : float
        0 if all states were summed over.
    log_p, log_q : float
        The two expectations.
    exact : bool
        Whether all states were summed over.
    """

    value: float
    standard_error: float
    log_p: float
    log_q: float
    exact: bool

    def __float__(self) -> float:
        return self.value


def kl_divergence(p: Any, q: Any, *, n_samples: int = 20_000, random_state: Any = None) -> Divergence:
    r"""KL(p | q) = sum_x p(x) log p(x) / q(x) of two fitted models of the same columns; not symmetric.

    Where every column has levels and there are at most 2^20 states, they are summed over; else it is a mean over draws
    from p, with its standard error. (Kullback & Leibler 1951.)

    Parameters
    ----------
    p, q : fitted models
        With ``score_samples``; p with ``columns_`` and ``sample``. With classes, p(x) is summed over them.
    n_samples : int, default=20000
        Draws, where states cannot be summed over.
    random_state : None, int, RandomState or Generator
        For those draws; None uses p's own.

    Returns
    -------
    Divergence
        In nats. Infinite where q is zero and p is not.

    Raises
    ------
    ValueError
        If the models were fitted on different columns.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import NaiveBayes
    >>> X = np.array([[0], [1], [1], [1]])
    >>> p, q = NaiveBayes(alpha=0).fit(X), NaiveBayes(alpha=0).fit(1 - X)
    >>> round(float(kl_divergence(p, q)), 4)  # 1/4 log(1/3) + 3/4 log 3
    0.5493
    """
    check_is_fitted(p)
    check_is_fitted(q)
    columns, others = p.columns_, getattr(q, "columns_", None)
    if others is not None and columns.names != others.names:
        raise ValueError(f"p has columns {columns.names[:5]}..., q has {others.names[:5]}...: fit both on the same ones, in order.")
    if others is not None and (columns.continuous != others.continuous).any():
        odd = columns.names[int(np.argmax(columns.continuous != others.continuous))]
        raise ValueError(
            f"Column {odd!r} is continuous for one model only, so their densities have different units: "
            "pass both the same column_kinds."
        )
    levels = columns.n_levels
    if (levels > 0).all() and np.prod(levels.astype(float)) <= MOST_STATES:
        return _enumerate(p, q, columns, levels)
    rows = p.sample(n_samples, random_state=random_state)
    log_p, log_q = p.score_samples(rows), q.score_samples(rows)
    if (log_q == -np.inf).any():
        return Divergence(np.inf, np.inf, float(log_p.mean()), -np.inf, False)
    gain = log_p - log_q
    error = float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else np.inf
    return Divergence(float(gain.mean()), error, float(log_p.mean()), float(log_q.mean()), False)


def _enumerate(p: Any, q: Any, columns: Any, levels: np.ndarray) -> Divergence:
    mean_p = mean_q = 0.0
    states = int(np.prod(levels))
    for begin in range(0, states, _CHUNK):
        codes = np.stack(np.unravel_index(np.arange(begin, min(begin + _CHUNK, states)), levels), axis=1)
        rows = columns.decode(codes.astype(float))
        log_p = p.score_samples(rows)
        held = log_p > -np.inf  # 0 log 0 = 0
        share = np.exp(log_p[held])
        mean_p += float(share @ log_p[held])
        log_q = q.score_samples(rows)[held]
        mean_q += float(share[share > 0] @ log_q[share > 0])
    return Divergence(mean_p - mean_q, 0.0, mean_p, mean_q, True)
