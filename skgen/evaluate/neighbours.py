"""Real rows against generated rows by their nearest neighbours: fidelity, variety, and rows learnt by heart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import norm

from skgen.evaluate.features import points
from skgen.evaluate.samples import equally_many
from skgen.seeds import generator

__all__ = ["Memorisation", "PrecisionRecall", "memorisation", "precision_recall"]

_CELLS = 2**22  # distances at a time
_SAME = 1e-9  # of the spread of a column: distances that differ by less are equal but for rounding
_CHANCE = 5  # such rows, at least: a few may coincide
_OVERLAP = 0.25  # share of held-out rows among those learnt from, above what is usual, that must be a mistake


def blocks(P: np.ndarray, Q: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Distances of all points of Q from some of P at a time; by differences, so that equal points are at distance 0."""
    rows = max(1, _CELLS // max(1, len(Q)))
    for start in range(0, len(P), rows):
        some = slice(start, min(start + rows, len(P)))
        yield some, cdist(P[some], Q)


# ---- fidelity and variety


class PrecisionRecall(NamedTuple):
    """Two manifolds of balls that reach each point's k-th neighbour of its own kind.

    Attributes
    ----------
    precision : float
        Share of generated rows inside a ball of the real ones: fidelity.
    recall : float
        Share of real rows inside a ball of the generated ones: variety.
    density : float
        Real balls that a generated row lies in, over k; may exceed 1. Less taken in by one outlier among the real rows.
    coverage : float
        Share of real balls that hold a generated row.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall(
    X_real: Any,
    X_generated: Any,
    *,
    features: Any = None,
    k: int = 5,
    max_rows: int | None = 5000,
    random_state: Any = None,
) -> PrecisionRecall:
    """Precision, recall, density and coverage of generated rows, by k-nearest-neighbour balls.

    As many rows of each are taken. Two samples of one distribution have density 1 and coverage 1 - 2^-k or so, and a
    precision and recall that depend on the dimension: look at two halves of the real rows.

    Parameters
    ----------
    X_real, X_generated : array-likes or data frames of shape (n, d)
    features : see :func:`skgen.evaluate.features.points`
    k : int, default=5
        The row itself is not counted.
    max_rows : int, optional
        Of each table, drawn at random; work grows with its square.
    random_state : None, int, RandomState or Generator

    Returns
    -------
    PrecisionRecall

    References
    ----------
    Kynkäänniemi et al. (2019), "Improved precision and recall metric for assessing generative models", eq. 1 and 2; Naeem
    et al. (2020), "Reliable fidelity and diversity metrics for generative models", eq. 3 and 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen.evaluate import precision_recall
    >>> rng = np.random.default_rng(0)
    >>> real = np.concatenate([rng.normal(-9, 1, (200, 2)), rng.normal(9, 1, (200, 2))])
    >>> one_mode = rng.normal(9, 1, (400, 2))  # faithful, without variety
    >>> found = precision_recall(real, one_mode, random_state=0)
    >>> bool(found.precision > 0.9), bool(found.recall < 0.6)
    (True, True)
    """
    P, Q = points(features, X_real, X_generated)
    return manifolds(P, Q, k, max_rows, generator(random_state))


def _radii(P: np.ndarray, k: int) -> np.ndarray:
    """Distance of each point to its k-th neighbour among the others."""
    out = np.empty(len(P))
    for some, D in blocks(P, P):
        out[some] = np.partition(D, k, axis=1)[:, k]  # the point itself is the nearest
    return out


def manifolds(P: np.ndarray, Q: np.ndarray, k: int, most: int | None, rng: np.random.Generator) -> PrecisionRecall:
    """:func:`precision_recall` of points."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"k={k!r} must be an int >= 1.")
    P, Q = equally_many([P, Q], most, rng)
    if len(P) <= k:
        raise ValueError(f"There are {len(P)} rows of each kind, and k={k} neighbours are asked for: lower k or give more rows.")
    around_real, around_generated = _radii(P, k), _radii(Q, k)
    held = np.zeros(len(Q))
    recalled, covered = np.zeros(len(P), dtype=bool), np.zeros(len(P), dtype=bool)
    for some, D in blocks(P, Q):
        inside = around_real[some, None] >= D
        held += inside.sum(axis=0)
        covered[some] = inside.any(axis=1)
        recalled[some] = (around_generated >= D).any(axis=1)
    return PrecisionRecall(float((held > 0).mean()), float(recalled.mean()), float(held.mean() / k), float(covered.mean()))


# ---- rows learnt by heart


class Memorisation(NamedTuple):
    """Whether generated rows lie nearer to the rows learnt from than to others; ``float()`` gives ``excess``.

    Attributes
    ----------
    share : float
        Of generated rows whose nearest real row is one learnt from, ties shared.
    expected : float
        What chance gives: the share of the rows learnt from among all real rows.
    z : float
        How many standard deviations ``share`` is above that, were the real rows divided at random.
    p_value : float
        One-sided, normal.
    copies, held_out_copies : float
        Shares of generated rows that equal a row learnt from, and a held-out row.
    """

    share: float
    expected: float
    z: float
    p_value: float
    copies: float
    held_out_copies: float

    @property
    def excess(self) -> float:
        """Share less what chance gives."""
        return self.share - self.expected

    def __float__(self) -> float:
        return self.excess


def memorisation(
    X_train: Any, X_generated: Any, X_holdout: Any, *, features: Any = None, max_rows: int | None = 2000, random_state: Any = None
) -> Memorisation:
    """Whether generated rows lie nearer to the rows learnt from than held-out rows of the same origin would.

    Parameters
    ----------
    X_train : array-like or data frame of shape (n, d)
        What the model learnt from. All are looked at.
    X_generated : array-like or data frame
    X_holdout : array-like or data frame
        Rows of the same origin that the model has not seen, divided from the others at random.
    features : see :func:`skgen.evaluate.features.points`
        Read on ``X_train``. Copies are points that coincide, so features that lose something find more of them.
    max_rows : int, optional
        Of the generated rows, drawn at random.
    random_state : None, int, RandomState or Generator

    Returns
    -------
    Memorisation

    Notes
    -----
    Let c_i be the number of generated rows whose nearest real row is i. If the N real rows had been divided at random
    into n learnt from and the rest, the sum of c_i over the former would have mean n c and variance
    n (N - n) / (N - 1) var(c): z is exact in these moments, although draws that share a neighbour are not independent.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen.evaluate import memorisation
    >>> rng = np.random.default_rng(0)
    >>> train, other = rng.normal(size=(100, 3)), rng.normal(size=(100, 3))
    >>> found = memorisation(train, train[:50], other)
    >>> found.share, found.copies
    (1.0, 1.0)
    """
    P, Q, H = points(features, X_train, X_generated, X_holdout)
    refuse_overlap(P, H)
    rng = generator(random_state)
    return nearer(P, Q if max_rows is None or len(Q) <= max_rows else Q[rng.permutation(len(Q))[:max_rows]], H)


def refuse_overlap(P: np.ndarray, H: np.ndarray) -> None:
    """Raise if held-out rows (H) repeat rows learnt from (P) far more often than those repeat one another."""
    if not (len(P) and len(H)):
        return
    whole, times = np.unique(np.concatenate([P, H]), axis=0, return_inverse=True)
    times = times.ravel()
    learnt = np.bincount(times[: len(P)], minlength=len(whole))
    seen, usual = (learnt[times[len(P) :]] > 0).mean(), (learnt[times[: len(P)]] > 1).mean()
    if seen > usual + _OVERLAP and len(H) * (seen - usual) > _CHANCE:
        raise ValueError(
            f"{seen:.0%} of the rows of X_holdout are rows of X_train: give rows that the model has not learnt from, or nothing "
            "that it repeats would be noticed."
        )


def above_chance(counts: np.ndarray, n_train: int) -> float:
    """z of the sum of ``counts`` over the first ``n_train`` rows, were rows divided at random."""
    N = len(counts)
    variance = n_train * (N - n_train) / (N - 1) * counts.var() if N > 1 else 0.0
    above = counts[:n_train].sum() - n_train * counts.mean()
    return float(above / np.sqrt(variance)) if variance > 0 else 0.0


def nearer(P: np.ndarray, Q: np.ndarray, H: np.ndarray) -> Memorisation:
    """:func:`memorisation` of points."""
    if not min(len(P), len(Q), len(H)):
        raise ValueError("There must be rows learnt from, generated rows and held-out rows: one of the tables is empty.")
    real, n = np.concatenate([P, H]), len(P)
    counts = np.zeros(len(real))
    copies = np.zeros(2)
    for _, D in blocks(Q, real):
        least = D.min(axis=1, keepdims=True)
        nearest = least * (1 + _SAME) + _SAME >= D
        counts += (nearest / nearest.sum(axis=1, keepdims=True)).sum(axis=0)
        copies += (D[:, :n].min(axis=1) <= _SAME).sum(), (D[:, n:].min(axis=1) <= _SAME).sum()
    z = above_chance(counts, n)
    share = counts[:n].sum() / len(Q)
    return Memorisation(float(share), n / len(real), z, float(norm.sf(z)), *(copies / len(Q)).tolist())
