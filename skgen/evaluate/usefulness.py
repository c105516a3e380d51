"""What generated rows are good for: classifiers trained on them, and the levels they keep."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.metrics import get_scorer
from sklearn.utils.multiclass import type_of_target

from skgen.evaluate.features import encode_alike, foreign, points
from skgen.evaluate.samples import named_classifiers, seeded
from skgen.seeds import generator

__all__ = ["CategoryCoverage", "category_coverage", "train_on_synthetic"]


def train_on_synthetic(
    X_train: Any,
    y_train: Any,
    X_generated: Any,
    y_generated: Any,
    X_test: Any,
    y_test: Any,
    *,
    features: Any = None,
    classifiers: Any = None,
    scoring: str = "accuracy",
    random_state: Any = None,
) -> pd.DataFrame:
    """Classifiers trained on generated rows and on real ones, both judged on the same real rows (TSTR beside TRTR).

    Parameters
    ----------
    X_train, y_train : real rows and their labels
        What the model learnt from.
    X_generated, y_generated : generated rows and their labels
        ``model.sample(n, return_y=True)``.
    X_test, y_test : real rows that neither the model nor a classifier has seen
    features : see :func:`skgen.evaluate.features.points`
        Read on ``X_train``.
    classifiers : {name: classifier}, classifier, or names among "logistic", "boosting"; None is both
    scoring : str
        Of scikit-learn's scorers.
    random_state : None, int, RandomState or Generator

    Returns
    -------
    DataFrame
        A row a classifier and one, "most frequent class", that looks at no column; columns "generated" and "real".

    Raises
    ------
    ValueError
        If the tables differ in columns, labels do not fit the rows, or those learnt from are other classes than ``y_test`` has.

    References
    ----------
    Esteban, Hyland & Rätsch (2017), "Real-valued (medical) time series generation with recurrent conditional GANs".

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import train_test_split
    >>> from skgen import GaussianMixture
    >>> from skgen.evaluate import train_on_synthetic
    >>> X, X_test, y, y_test = train_test_split(*load_iris(return_X_y=True), random_state=0)
    >>> X_new, y_new = GaussianMixture(random_state=0).fit(X, y).sample(500, return_y=True)
    >>> table = train_on_synthetic(X, y, X_new, y_new, X_test, y_test, classifiers="logistic", random_state=0)
    >>> bool(table.loc["logistic", "generated"] > 0.9)
    True
    """
    P, Q, T = points(features, X_train, X_generated, X_test)
    rng = generator(random_state)
    columns = {}
    asked = label_array(y_test, T, "y_test")
    for source, name, X, y in (("generated", "y_generated", Q, y_generated), ("real", "y_train", P, y_train)):
        given = label_array(y, X, name)
        mine, theirs = given.tolist(), asked.tolist()
        if not set(mine) & set(theirs):
            raise ValueError(
                f"No label of {name} ({mine[0]!r}, ...) occurs in y_test ({theirs[0]!r}, ...): give labels of the same classes."
            )
        columns[source] = learn_from(X, given, T, asked, classifiers, scoring, rng)
    return pd.DataFrame(columns)


def label_array(y: Any, X: np.ndarray, name: str) -> np.ndarray:
    """Labels as an array, one a row."""
    y = np.asarray(y)
    if y.shape != (len(X),):
        raise ValueError(f"{name} has shape {y.shape} for {len(X)} rows: give one label a row.")
    if type_of_target(y) not in ("binary", "multiclass"):
        raise ValueError(f"Unknown label type of {name}: {type_of_target(y)}. Give classes.")
    return y


def learn_from(
    P: np.ndarray, y: np.ndarray, T: np.ndarray, y_test: np.ndarray, classifiers: Any, scoring: str, rng: np.random.Generator
) -> dict[str, float]:
    """Score on points T of each classifier trained on points P."""
    score = get_scorer(scoring)
    found = {}
    for name, classifier in [*named_classifiers(classifiers).items(), ("most frequent class", DummyClassifier())]:
        # a generator that lost all classes but one teaches that class
        model = seeded(classifier, rng) if len(np.unique(y)) > 1 else DummyClassifier()
        found[name] = float(score(model.fit(P, y), T, y_test))
    return found


class CategoryCoverage(NamedTuple):
    """Which levels of the real rows occur among the generated ones; ``float()`` gives ``share``.

    Attributes
    ----------
    share : float
        Of all levels seen in the real rows; NaN if no column has levels.
    rare : float
        Of the rare ones; NaN if there are none.
    expected_rare : float
        What so many draws from the real frequencies would keep of the rare ones, on average.
    n_rare : int
    lost : list of (column, level)
        The levels that do not occur, the most frequent first.
    foreign : float
        Share of generated rows with a cell that no real row could have: another level, or 2.5 among integers.
    """

    share: float
    rare: float
    expected_rare: float
    n_rare: int
    lost: list[tuple[Any, Any]]
    foreign: float = 0.0

    def __float__(self) -> float:
        return self.share


def category_coverage(X_real: Any, X_generated: Any, *, column_kinds: Any = None, rare: float = 0.02) -> CategoryCoverage:
    """Share of the levels seen in real rows that the generated rows have too, and of the rare ones.

    Parameters
    ----------
    X_real, X_generated : array-likes or data frames of shape (n, d)
    column_kinds : None, Columns or {column: kind}
        Which columns have levels; None goes by dtype.
    rare : float, default=0.02
        A level with at most this share of its column's observed cells is rare.

    Returns
    -------
    CategoryCoverage

    Raises
    ------
    ValueError
        If the tables differ in columns, or ``rare`` is no share.

    Examples
    --------
    >>> import pandas as pd
    >>> from skgen.evaluate import category_coverage
    >>> real = pd.DataFrame({"colour": ["red"] * 98 + ["blue", "green"]})
    >>> found = category_coverage(real, real.head(99))
    >>> found.rare, found.lost
    (0.5, [('colour', 'green')])
    """
    if isinstance(rare, bool) or not isinstance(rare, (int, float)) or not 0 <= rare <= 1:
        raise ValueError(f"rare={rare!r} must be a share between 0 and 1.")
    columns, (real, generated) = encode_alike(column_kinds, X_real, X_generated)
    return levels_kept(columns, real, generated, rare)._replace(foreign=foreign(columns, X_generated))


def levels_kept(columns: Any, real: np.ndarray, generated: np.ndarray, rare: float) -> CategoryCoverage:
    """:func:`category_coverage` of coded rows."""
    held, share, drawn, names = [], [], [], []
    for j in np.flatnonzero(columns.n_levels):
        k = int(columns.n_levels[j])
        counts, new = (np.bincount(Z[~np.isnan(Z[:, j]), j].astype(int), minlength=k) for Z in (real, generated))
        seen = np.flatnonzero(counts)
        held += (new[seen] > 0).tolist()
        share += (counts[seen] / counts.sum()).tolist()
        drawn += [int(new.sum())] * len(seen)
        names += [(columns.names[j], columns.levels[j][code]) for code in seen]
    kept, p, n = np.array(held, dtype=bool), np.array(share), np.array(drawn)
    few = p <= rare
    nan = float("nan")
    return CategoryCoverage(
        float(kept.mean()) if len(kept) else nan,
        float(kept[few].mean()) if few.any() else nan,
        float((1 - (1 - p[few]) ** n[few]).mean()) if few.any() else nan,
        int(few.sum()),
        [names[i] for i in np.argsort(-p, kind="stable") if not kept[i]],
    )
