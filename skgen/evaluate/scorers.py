"""Scorers for searches and cross-validation: they judge the density, whether or not labels are there.

A scorer is called with ``(estimator, X, y)`` and greater is better. Without ``scoring=`` a search with labels tunes
accuracy; with one of these it tunes p(x), and the labels only choose what is learnt.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["bits_per_dim", "log_likelihood"]


def log_likelihood(estimator: Any, X: Any, y: Any = None) -> float:
    """Mean log p(x) of the rows of ``X``, in nats; ``y`` is not looked at.

    Parameters
    ----------
    estimator : fitted model with ``score_samples``
    X : array-like or data frame of shape (n, d)
    y : ignored

    Returns
    -------
    float
        -inf if a row lies outside the support of the model.

    Raises
    ------
    AttributeError
        If the estimator has no density.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skgen import NaiveBayes
    >>> from skgen.evaluate.scorers import log_likelihood
    >>> X, y = load_iris(return_X_y=True)
    >>> search = GridSearchCV(NaiveBayes(distributions="normal"), {"shrinkage": [0, 1000]}, scoring=log_likelihood).fit(X, y)
    >>> search.best_params_
    {'shrinkage': 0}
    """
    if not hasattr(estimator, "score_samples"):
        raise AttributeError(f"{type(estimator).__name__} has no score_samples(X), so there is no log p(x) to score by.")
    return float(np.mean(estimator.score_samples(X)))


def bits_per_dim(estimator: Any, X: Any, y: Any = None) -> float:
    """Minus the bits needed for a column of a row, log2 p(x) / d: negated so that greater is better, as scorers are.

    Comparable between data sets of different width; for continuous columns it depends on their units.

    Parameters
    ----------
    estimator : fitted model with ``score_samples``
    X : array-like or data frame of shape (n, d)
    y : ignored

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import NaiveBayes
    >>> from skgen.evaluate.scorers import bits_per_dim
    >>> X = np.array([[0, 1], [1, 0], [0, 0], [1, 1]])
    >>> round(bits_per_dim(NaiveBayes().fit(X), X), 6)  # two fair coins: one bit each
    -1.0
    """
    return log_likelihood(estimator, X) / (np.shape(X)[1] * float(np.log(2)))
