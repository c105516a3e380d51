"""Real rows against generated rows: whether they can be told apart, and how far they are.

No density is asked for, so these judge every model. Each takes ``features``, what rows are compared by
(:func:`skgen.evaluate.features.points`). None has a meaning of its own: look at the value for two halves of the real
rows beside it, as :func:`skgen.evaluate.sample_report` shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import binomtest, rankdata
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgen.evaluate.features import points
from skgen.seeds import generator

__all__ = [
    "Discrepancy",
    "TwoSampleTest",
    "auc_with_error",
    "classifier_two_sample",
    "frechet_distance",
    "maximum_mean_discrepancy",
]

_BANDWIDTHS = np.array([0.25, 0.5, 1.0, 2.0, 4.0])  # of the median distance


def equally_many(tables: list[np.ndarray], most: int | None, rng: np.random.Generator) -> list[np.ndarray]:
    """Rows of each table at random, as many as the shortest has and at most ``most``."""
    n = min(len(X) for X in tables)
    n = n if most is None else min(n, most)
    return [X if len(X) == n else X[rng.permutation(len(X))[:n]] for X in tables]


def auc_with_error(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float]:
    """P(score of a positive > score of a negative), ties one half, and its standard error (DeLong et al. 1988).

    Examples
    --------
    >>> auc_with_error(np.array([3.0, 4.0]), np.array([1.0, 2.0]))
    (1.0, 0.0)
    """
    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    # share of the other side that each score beats
    beats = (ranks[:m] - rankdata(positive)) / n
    beaten = 1 - (ranks[m:] - rankdata(negative)) / m
    variance = (beats.var(ddof=1) / m if m > 1 else 0.0) + (beaten.var(ddof=1) / n if n > 1 else 0.0)
    return float(beats.mean()), float(np.sqrt(variance))


# ---- can they be told apart?


class TwoSampleTest(NamedTuple):
    """A classifier told to separate real from generated rows, on rows held out; ``float()`` gives the accuracy.

    Attributes
    ----------
    accuracy : float
        One half: it cannot. One: it always can.
    low, high : float
        95 % interval of the accuracy (Wilson).
    auc : float
    p_value : float
        Of one half or less; exact.
    n_test : int
        Rows judged.
    """

    accuracy: float
    low: float
    high: float
    auc: float
    p_value: float
    n_test: int

    def __float__(self) -> float:
        return self.accuracy


def classifier_two_sample(
    X_real: Any,
    X_generated: Any,
    *,
    features: Any = None,
    classifier: Any = None,
    max_rows: int | None = 5000,
    random_state: Any = None,
) -> TwoSampleTest:
    """Held-out accuracy of a classifier that separates real from generated rows; one half where it cannot.

    As many rows of each are taken; the classifier learns on half of them and judges the other half, so that its number
    of right answers is binomial where the two distributions are equal. Well below one half: generated rows repeat the
    real ones, so that what was learnt of a row is wrong of its copy; give rows that the model has not seen.

    Parameters
    ----------
    X_real, X_generated : array-likes or data frames of shape (n, d)
    features : see :func:`skgen.evaluate.features.points`
    classifier : "boosting", "logistic" or scikit-learn classifier, optional
        None is "boosting", ``HistGradientBoostingClassifier(max_leaf_nodes=8)``.
    max_rows : int, optional
        Of each table, drawn at random.
    random_state : None, int, RandomState or Generator

    Returns
    -------
    TwoSampleTest

    References
    ----------
    Lopez-Paz & Oquab (2017), "Revisiting classifier two-sample tests".

    Examples
    --------
    >>> import numpy as np
    >>> from skgen.evaluate import classifier_two_sample
    >>> rng = np.random.default_rng(0)
    >>> real, far = rng.normal(size=(300, 2)), rng.normal(size=(300, 2)) + 9
    >>> classifier_two_sample(real, far, random_state=0).accuracy > 0.98
    True
    """
    P, Q = points(features, X_real, X_generated)
    return separate(P, Q, classifier, max_rows, generator(random_state))


def named_classifiers(classifiers: Any) -> dict[str, Any]:
    """Named scikit-learn classifiers that take points."""
    known = {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)),
        "boosting": HistGradientBoostingClassifier(max_leaf_nodes=8),
    }
    if classifiers is None:
        return known
    if isinstance(classifiers, Mapping):
        return dict(classifiers)
    given = [classifiers] if isinstance(classifiers, str) or hasattr(classifiers, "fit") else list(classifiers)
    found = {}
    for one in given:
        if isinstance(one, str) and one not in known:
            raise ValueError(f"classifier={one!r} must be one of {', '.join(known)}, or a scikit-learn classifier.")
        found[one if isinstance(one, str) else type(one).__name__] = known[one] if isinstance(one, str) else one
    return found


def seeded(estimator: Any, rng: np.random.Generator) -> Any:
    """A clone whose own randomness comes from ``rng`` where the user set none."""
    new = clone(estimator)
    seeds = {k: int(rng.integers(2**31)) for k, v in new.get_params().items() if k.split("__")[-1] == "random_state" and v is None}
    return new.set_params(**seeds)


def separate(P: np.ndarray, Q: np.ndarray, classifier: Any, most: int | None, rng: np.random.Generator) -> TwoSampleTest:
    """:func:`classifier_two_sample` of points."""
    P, Q = equally_many([P, Q], most, rng)
    if len(P) < 4:
        raise ValueError(f"There are {len(P)} rows of each kind: a classifier needs at least 4 to learn from and to judge.")
    (model,) = named_classifiers("boosting" if classifier is None else classifier).values()
    X, kind = np.concatenate([P, Q]), np.repeat([0, 1], len(P))
    seed = int(rng.integers(2**31))
    X_learn, X_judge, learn, judge = train_test_split(X, kind, test_size=0.5, stratify=kind, random_state=seed)
    model = seeded(model, rng).fit(X_learn, learn)
    right = int((model.predict(X_judge) == judge).sum())
    found = binomtest(right, len(judge), 0.5, alternative="greater")
    within = binomtest(right, len(judge)).proportion_ci(method="wilson")
    score = model.decision_function(X_judge) if hasattr(model, "decision_function") else model.predict_proba(X_judge)[:, 1]
    auc = auc_with_error(score[judge == 1], score[judge == 0])[0]
    return TwoSampleTest(right / len(judge), float(within.low), float(within.high), auc, float(found.pvalue), len(judge))


# ---- how far are they?


class Discrepancy(NamedTuple):
    """Squared maximum mean discrepancy; ``float()`` gives the value.

    Attributes
    ----------
    value : float
        Unbiased, so around 0, and as often below it, where the two are equal.
    p_value : float
        Of so large a value among rows that change sides at random.
    bandwidths : tuple of float
    """

    value: float
    p_value: float
    bandwidths: tuple[float, ...]

    def __float__(self) -> float:
        return self.value


def maximum_mean_discrepancy(
    X_real: Any,
    X_generated: Any,
    *,
    features: Any = None,
    n_permutations: int = 200,
    max_rows: int | None = 1000,
    random_state: Any = None,
) -> Discrepancy:
    r"""E k(x, x') + E k(y, y') - 2 E k(x, y) of real rows x and generated rows y, without bias.

    k is the mean of five Gaussian kernels whose bandwidths are 1/4 to 4 times the median distance of all rows. The
    p-value is exact: sides are changed at random (Gretton et al. 2012, lemma 6 and section 5).

    Parameters
    ----------
    X_real, X_generated : array-likes or data frames of shape (n, d)
    features : see :func:`skgen.evaluate.features.points`
    n_permutations : int
        0 leaves the p-value out (NaN).
    max_rows : int, optional
        Of each table, drawn at random; work grows with its square.
    random_state : None, int, RandomState or Generator

    Returns
    -------
    Discrepancy
        0 to 2, in no units; 0 where the distributions are equal.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen.evaluate import maximum_mean_discrepancy
    >>> rng = np.random.default_rng(0)
    >>> real, shifted = rng.normal(size=(200, 1)), rng.normal(size=(200, 1)) + 1
    >>> maximum_mean_discrepancy(real, shifted, random_state=0).p_value < 0.01
    True
    """
    if isinstance(n_permutations, bool) or not isinstance(n_permutations, (int, np.integer)) or n_permutations < 0:
        raise ValueError(f"n_permutations={n_permutations!r} must be an int >= 0.")
    P, Q = points(features, X_real, X_generated)
    return discrepancy(P, Q, n_permutations, max_rows, generator(random_state))


def discrepancy(P: np.ndarray, Q: np.ndarray, n_permutations: int, most: int | None, rng: np.random.Generator) -> Discrepancy:
    """:func:`maximum_mean_discrepancy` of points."""
    P, Q = (X if most is None or len(X) <= most else X[rng.permutation(len(X))[:most]] for X in (P, Q))
    m, n = len(P), len(Q)
    if min(m, n) < 2:
        raise ValueError(f"There are {m} real and {n} generated rows: give at least 2 of each.")
    both = np.concatenate([P, Q])
    square = cdist(both, both, "sqeuclidean")
    apart = square[square > 0]
    bandwidths = _BANDWIDTHS * (np.median(np.sqrt(apart)) if len(apart) else 1.0)
    # k(x, y) = mean over widths w of exp(-|x - y|^2 / 2 w^2); half the width is the fourth power
    power = np.exp(-square / (2 * bandwidths[-1] ** 2))
    K = power.copy()
    for _ in bandwidths[1:]:
        power **= 2
        power **= 2
        K += power
    K /= len(bandwidths)
    np.fill_diagonal(K, 0.0)
    # one column a division of the rows; the first is the true one
    sides = np.zeros((m + n, 1 + n_permutations))
    sides[:m, 0] = 1
    for b in range(1, 1 + n_permutations):
        sides[rng.permutation(m + n)[:m], b] = 1
    to_real = K @ sides
    to_all = K.sum(axis=1)[:, None]
    real = (sides * to_real).sum(axis=0)
    across = ((1 - sides) * to_real).sum(axis=0)
    generated = ((1 - sides) * (to_all - to_real)).sum(axis=0)
    # MMD^2 = sum_{i != j} k(x_i, x_j) / m(m-1) + sum_{i != j} k(y_i, y_j) / n(n-1) - 2 sum_ij k(x_i, y_j) / mn
    values = real / (m * (m - 1)) + generated / (n * (n - 1)) - 2 * across / (m * n)
    as_large = (values[1:] >= values[0] - 1e-12).sum()
    p_value = float((1 + as_large) / (1 + n_permutations)) if n_permutations else float("nan")
    return Discrepancy(float(values[0]), p_value, tuple(bandwidths.tolist()))


def frechet_distance(X_real: Any, X_generated: Any, *, features: Any = None) -> float:
    r"""Squared Fréchet distance of two normals with the moments of the rows: \|m - m'\|^2 + tr(S + S' - 2 (S S')^{1/2}).

    With ``features`` an Inception network this is the FID. It is biased upwards by about tr(S) / n of each table, so
    compare values of equal numbers of rows.

    Parameters
    ----------
    X_real, X_generated : array-likes or data frames of shape (n, d)
    features : see :func:`skgen.evaluate.features.points`

    Returns
    -------
    float
        0 where means and covariances are equal.

    References
    ----------
    Dowson & Landau (1982); Heusel et al. (2017), "GANs trained by a two time-scale update rule", eq. 6.

    Examples
    --------
    >>> from skgen.evaluate import frechet_distance
    >>> frechet_distance([[0.0], [2.0]], [[3.0], [5.0]], features=lambda X: X)
    9.0
    """
    return frechet(*points(features, X_real, X_generated))


def frechet(P: np.ndarray, Q: np.ndarray) -> float:
    """:func:`frechet_distance` of points."""
    if min(len(P), len(Q)) < 2:
        raise ValueError(f"There are {len(P)} real and {len(Q)} generated rows: give at least 2 of each.")
    S, T = (np.atleast_2d(np.cov(X, rowvar=False)) for X in (P, Q))
    roots = []
    for C in (S, T):
        values, vectors = np.linalg.eigh(C)
        roots.append(vectors * np.sqrt(np.maximum(values, 0.0)))
    # tr (S T)^{1/2} is the sum of the singular values of A'B, where S = A A' and T = B B'
    common = np.linalg.svd(roots[0].T @ roots[1], compute_uv=False).sum()
    between = np.square(P.mean(axis=0) - Q.mean(axis=0)).sum()
    return float(max(between + np.trace(S) + np.trace(T) - 2 * common, 0.0))
