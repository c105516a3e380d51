"""What generative models are measured against: scikit-learn's classifiers, each prepared and tuned as a user would.

Every rival sees the same table: missing numbers are filled by the median with an indicator beside them, a missing
category is a level of its own, categories are one-hot (the 100 most frequent, the others together), numbers are
standardised (tied columns, such as pixels, by one scale). Gradient boosting takes categories and missing cells as they
are. Parameters are chosen by a small grid over three inner folds of the training rows, on a stratified subsample of
at most ``TUNE_ROWS``, by log-loss (the support vector machine by accuracy, its probabilities by Platt scaling).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from skgen.containers import as_table
from skgen.evaluate.metrics import log_loss
from skgen.tables import Columns

__all__ = ["RIVALS", "TUNE_ROWS", "Rival", "make", "subsample"]

#: Rows that parameters are chosen on, and rows that a support vector machine is fitted on, at most.
TUNE_ROWS = 2_000
SVM_ROWS = 10_000
_ONE_THREAD_ROWS = 10_000
_MANY_ROWS = 5_000  # from here on rows are held out to stop early
_MANY_LEVELS = 100
_BOOSTING_LEVELS = 255  # of a native category in histogram gradient boosting


def subsample(y: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of about ``n`` rows in which classes keep their shares, each at least one row."""
    if len(y) <= n:
        return np.arange(len(y))
    codes = np.unique(y, return_inverse=True)[1]
    order = rng.permutation(len(y))
    by_class = order[np.argsort(codes[order], kind="stable")]
    counts = np.bincount(codes)
    rank = np.arange(len(y)) - np.repeat(np.cumsum(counts) - counts, counts)
    # a class's first row has share 0, so every class is there
    return np.sort(by_class[np.argsort(rank / np.repeat(counts, counts), kind="stable")[:n]])


def _minus_log_loss(estimator: Any, X: np.ndarray, y: np.ndarray) -> float:
    return -log_loss(y, estimator.predict_proba(X), estimator.classes_)


class TiedScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Centre each column, and divide by one scale a group of tied columns, such as the pixels of an image."""

    def __init__(self, group: Any):
        self.group = group

    def fit(self, X: np.ndarray, y: Any = None) -> TiedScaler:
        self.n_features_in_ = X.shape[1]
        self.mean_ = np.nan_to_num(np.nanmean(X, axis=0))
        self.scale_ = np.ones(X.shape[1])
        for g in np.unique(self.group):
            members = np.asarray(self.group) == g
            spread = np.sqrt(np.nanmean(np.square(X[:, members] - self.mean_[members])))
            self.scale_[members] = spread if spread > 0 else 1.0
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        return (X - self.mean_) / self.scale_


class Rival(ClassifierMixin, BaseEstimator):
    """A classifier that reads a table through ``columns``, chooses its parameters on a subsample, and fits on all rows.

    Parameters
    ----------
    columns : Columns
    classifier : classifier of a matrix without missing cells, or of the coded one if ``native``
    grid : dict or list of dict
    native : bool
        The classifier takes categories and missing cells as they are.
    final : dict, optional
        Parameters of the last fit that the search need not pay for, such as more trees.
    calibrate : bool
        The classifier has no probabilities: choose by accuracy, then scale its decisions (Platt).
    max_rows : int or None
        Fit on a stratified subsample of so many rows.
    n_jobs, random_state : as in scikit-learn

    Attributes
    ----------
    best_params_ : dict
    notes_ : list of str
        What a reader of its figures must know.
    """

    def __init__(
        self,
        columns: Columns,
        classifier: Any,
        grid: Any,
        native: bool = False,
        final: dict | None = None,
        calibrate: bool = False,
        max_rows: int | None = None,
        n_jobs: int | None = None,
        random_state: int = 0,
    ):
        self.columns = columns
        self.classifier = classifier
        self.grid = grid
        self.native = native
        self.final = final
        self.calibrate = calibrate
        self.max_rows = max_rows
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _matrix(self, X: Any) -> Any:
        coded = self.columns.encode(as_table(X, "compare")[0])[0]
        return coded if self.native else self.preparation_.transform(coded)

    def fit(self, X: Any, y: Any) -> Rival:
        if not self.native:
            self.preparation_ = preparation(self.columns).fit(self.columns.encode(as_table(X, "compare")[0])[0])
        Z, y = self._matrix(X), np.asarray(y)
        rng = np.random.default_rng(self.random_state)
        self.notes_: list[str] = []
        with threadpool_limits(1):  # threads on so few rows wait for each other
            self.best_params_ = self._choose(Z, y, rng)
        rows = subsample(y, self.max_rows or len(y), rng)
        if len(rows) < len(y):
            self.notes_.append(f"fitted on a stratified subsample of {len(rows):,} training rows")
        chosen = clone(self.classifier).set_params(**self.best_params_, **(self.final or {}))
        with threadpool_limits(1 if len(rows) < _ONE_THREAD_ROWS else None):
            self.fitted_ = self._calibrated(chosen, Z[rows], y[rows]) if self.calibrate else chosen.fit(Z[rows], y[rows])
        self.classes_ = self.fitted_.classes_
        return self

    def _choose(self, Z: Any, y: np.ndarray, rng: np.random.Generator) -> dict:
        rows = subsample(y, TUNE_ROWS, rng)
        fewest = int(np.unique(y[rows], return_counts=True)[1].min())
        if fewest < 2:
            self.notes_.append("not tuned: a class has one training row")
            return {}
        folds = StratifiedKFold(min(3, fewest), shuffle=True, random_state=self.random_state)
        scoring = "accuracy" if self.calibrate else _minus_log_loss
        search = GridSearchCV(
            self.classifier, self.grid, scoring=scoring, cv=folds, refit=False, n_jobs=self.n_jobs, error_score="raise"
        )
        return search.fit(Z[rows], y[rows]).best_params_

    def _calibrated(self, chosen: Any, Z: Any, y: np.ndarray) -> Any:
        fewest = int(np.unique(y, return_counts=True)[1].min())
        if fewest < 2:
            self.notes_.append("probabilities scaled on its own training rows: a class has one row")
            return CalibratedClassifierCV(FrozenEstimator(chosen.fit(Z, y))).fit(Z, y)
        folds = StratifiedKFold(min(3, fewest), shuffle=True, random_state=self.random_state)
        return CalibratedClassifierCV(chosen, ensemble=False, cv=folds, n_jobs=self.n_jobs).fit(Z, y)

    def predict(self, X: Any) -> np.ndarray:
        return self.fitted_.predict(self._matrix(X))

    def predict_proba(self, X: Any) -> np.ndarray:
        return self.fitted_.predict_proba(self._matrix(X))


def preparation(columns: Columns) -> ColumnTransformer:
    """Imputation, scaling and one-hot of the coded matrix."""
    categorical = np.array([kind == "categorical" for kind in columns.kinds])
    numbers, categories = np.flatnonzero(~categorical), np.flatnonzero(categorical)
    tied = columns.group[numbers]
    scaler = StandardScaler() if len(np.unique(tied)) == len(tied) else TiedScaler(tied)
    numeric = make_pipeline(scaler, SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True))
    wide = np.minimum(columns.n_levels[categories], _MANY_LEVELS).sum() > 1_000
    one_hot = make_pipeline(
        SimpleImputer(strategy="constant", fill_value=-1.0, keep_empty_features=True),
        OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=_MANY_LEVELS, sparse_output=bool(wide)),
    )
    steps = [("numbers", numeric, numbers), ("categories", one_hot, categories)]
    return ColumnTransformer([step for step in steps if len(step[2])])


def _logistic_regression(columns: Columns, seed: int, n_jobs: int | None, rows: int, n_classes: int) -> Rival:
    model = LogisticRegression(max_iter=3_000)
    return Rival(columns, model, {"C": [0.001, 0.01, 0.1, 1.0, 10.0, 100.0]}, n_jobs=n_jobs, random_state=seed)


def _rbf_svm(columns: Columns, seed: int, n_jobs: int | None, rows: int, n_classes: int) -> Rival:
    # the mean squared distance of two rows grows by two a standardised number and by up to two a category
    gamma = [factor / len(columns) for factor in (0.1, 0.3, 1.0, 3.0)]
    return Rival(
        columns,
        SVC(cache_size=500),
        {"C": [1.0, 10.0], "gamma": gamma},
        calibrate=True,
        max_rows=SVM_ROWS,
        n_jobs=n_jobs,
        random_state=seed,
    )


def _random_forest(columns: Columns, seed: int, n_jobs: int | None, rows: int, n_classes: int) -> Rival:
    model = RandomForestClassifier(50, random_state=seed, n_jobs=n_jobs)
    return Rival(columns, model, {"min_samples_leaf": [1, 5]}, final={"n_estimators": 200}, random_state=seed)


def _hist_gradient_boosting(columns: Columns, seed: int, n_jobs: int | None, rows: int, n_classes: int) -> Rival:
    categorical = np.array([kind == "categorical" for kind in columns.kinds])
    native = np.flatnonzero(categorical & (columns.n_levels <= _BOOSTING_LEVELS))
    # one tree a class and round: many classes get half the rounds at twice the rate; many rows stop early
    rate, rounds = (0.1, 100) if n_classes <= 4 else (0.2, 50)
    early = rows > _MANY_ROWS
    model = HistGradientBoostingClassifier(
        learning_rate=rate,
        max_iter=5 * rounds if early else rounds,
        early_stopping=early,
        categorical_features=native if len(native) else None,
        random_state=seed,
    )
    # small trees of small leaves for a small table, from which the default of 20 rows a leaf learns little
    grid = [{"max_leaf_nodes": [4], "min_samples_leaf": [5]}, {"max_leaf_nodes": [31], "min_samples_leaf": [20]}]
    return Rival(columns, model, grid, native=True, n_jobs=n_jobs, random_state=seed)


def _k_nearest_neighbors(columns: Columns, seed: int, n_jobs: int | None, rows: int, n_classes: int) -> Rival:
    near = [k for k in (3, 5, 10, 20, 40) if k <= rows // 4] or [1]
    model = KNeighborsClassifier(n_neighbors=near[0], n_jobs=n_jobs)
    return Rival(columns, model, {"n_neighbors": near, "weights": ["uniform", "distance"]}, random_state=seed)


def _mlp(columns: Columns, seed: int, n_jobs: int | None, rows: int, n_classes: int) -> Rival:
    early = rows > _MANY_ROWS
    rate = 0.001 if early else 0.01
    model = MLPClassifier((100,), learning_rate_init=rate, max_iter=300, early_stopping=early, random_state=seed)
    return Rival(columns, model, {"alpha": [0.01, 1.0]}, n_jobs=n_jobs, random_state=seed)


#: Names that ``compare`` takes beside those of registered models.
RIVALS: dict[str, Callable[..., Rival]] = {
    "logistic_regression": _logistic_regression,
    "rbf_svm": _rbf_svm,
    "random_forest": _random_forest,
    "hist_gradient_boosting": _hist_gradient_boosting,
    "k_nearest_neighbors": _k_nearest_neighbors,
    "mlp": _mlp,
}


def make(name: str, columns: Columns, y: np.ndarray, random_state: int, n_jobs: int | None = None) -> Rival:
    """The rival called ``name``, for a table read as ``columns`` with labels ``y``."""
    return RIVALS[name](columns, int(random_state), n_jobs, len(y), len(np.unique(y)))
