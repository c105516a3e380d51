"""Classes balanced by rows drawn from a generative model, by the protocol of imbalanced-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import OneToOneFeatureMixin

from skgen.containers import as_table
from skgen.labels import is_missing
from skgen.parameters import Parameters
from skgen.roles import inner_model, made_by_name
from skgen.seeds import generator

__all__ = ["GenerativeOverSampler"]

_STRATEGIES = ("auto", "not majority", "minority", "not minority", "all")


class GenerativeOverSampler(OneToOneFeatureMixin, Parameters):
    """Rows of the rarer classes drawn from p(x|y) and put below the rows given, beside RandomOverSampler and SMOTE.

    Parameters
    ----------
    model : "auto", str or model
        A registered name or an instance; fitted on all rows and labels. "auto" is ``GaussianMixture()`` where all columns
        are continuous or integer, else ``ChowLiuTree()``.
    sampling_strategy : str, float, dict or callable
        As in imbalanced-learn. "not majority" ("auto"), "minority", "not minority" or "all": these classes get as many
        rows as the largest has. A float, for two classes: the rarer gets this share of the rows of the other. A dict
        {class: rows it shall have}, or a function of y that gives one.
    random_state : None, int, RandomState or Generator
        None leaves the model's own.

    Attributes
    ----------
    model_ : the fitted model
    sampling_strategy_ : dict
        {class: rows drawn}.

    Raises
    ------
    ValueError
        If a strategy asks for fewer rows than a class has, or names what is no class.

    Notes
    -----
    Resample the rows that are learnt from, never those that judge: inside cross-validation, after the split. In
    imbalanced-learn that is ``imblearn.pipeline.make_pipeline(GenerativeOverSampler(...), classifier)``, which resamples in
    ``fit`` alone; without it, the loop of the example.

    Where rows have missing cells, those drawn get the missing cells of a row of their class drawn at random: complete
    rows would give their class away.

    Balanced classes shift the probabilities of a classifier towards the rarer ones; its order of rows may stay as it was.
    Whether rows drawn are worth more than class weights is a question to the data: ``benchmarks/oversampling.py``.

    References
    ----------
    Chawla et al. (2002), "SMOTE"; Lemaître, Nogueira & Aridas (2017), "Imbalanced-learn".

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import StratifiedKFold
    >>> from skgen import GaussianMixture, GenerativeOverSampler
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X, y = X[:, :5], y
    >>> sampler = GenerativeOverSampler(GaussianMixture(), random_state=0)
    >>> for train, test in StratifiedKFold(2).split(X, y):
    ...     X_more, y_more = sampler.fit_resample(X[train], y[train])
    ...     model = LogisticRegression(max_iter=5000).fit(X_more, y_more)
    ...     print((y_more == 0).sum() == (y_more == 1).sum(), model.score(X[test], y[test]) > 0.85)
    True True
    True True
    """

    model: Any = field(default="auto", kw_only=False)
    sampling_strategy: str | float | Mapping | Callable = "auto"
    random_state: Any = None

    def fit(self, X: Any, y: Any) -> GenerativeOverSampler:
        """Check the input and settle how many rows each class gets; ``fit_resample`` does the work.

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
        y : array-like of shape (n,)
        """
        self._validate_parameters()
        self._settle(X, y)
        return self

    def _settle(self, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        table, container = as_table(X, type(self).__name__)
        labels = np.asarray(y)
        labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
        if labels.shape != (len(table),):
            raise ValueError(f"y has shape {labels.shape} for {len(table)} rows: give one label a row.")
        if is_missing(labels).any():
            raise ValueError("y has missing labels: resample the rows that have one.")
        unlabeled = getattr(self.model, "unlabeled", None)
        if unlabeled is not None and is_missing(labels, unlabeled).any():
            raise ValueError(f"y has rows without a label (unlabeled={unlabeled!r} of the model): resample the rows that have one.")
        self.sampling_strategy_ = rows_to_draw(self.sampling_strategy, labels)
        self.n_features_in_ = table.shape[1]
        vars(self).pop("feature_names_in_", None)
        if container.kind != "array" and all(isinstance(name, str) for name in table.columns):
            self.feature_names_in_ = np.asarray(table.columns, dtype=object)
        return table, labels

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """The rows given, and below them those drawn.

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
        y : array-like of shape (n,)

        Returns
        -------
        X_resampled : table of shape (n + drawn, d)
            In the container given, its columns and dtypes; a data frame has a fresh index.
        y_resampled : array, Series, list or frame of one column
        """
        self._validate_parameters()
        if isinstance(y, pd.DataFrame) and y.shape[1] == 1:
            X_more, y_more = self.fit_resample(X, y.iloc[:, 0])
            return X_more, y_more.to_frame()
        table, labels = self._settle(X, y)
        model = inner_model(self, X)
        seeds = {} if self.random_state is None else {"random_state": self.random_state}
        self.model_ = model.set_params(task="classify", **seeds).fit(X, labels)
        wanted = [label for label, n in self.sampling_strategy_.items() for _ in range(n)]
        new_y = np.empty(len(wanted), dtype=labels.dtype)
        new_y[:] = wanted
        new_X = self.model_.sample(y=new_y)
        missing = np.asarray(pd.isna(table))
        if missing.any() and len(new_y):
            new_X = self._with_holes(new_X, new_y, missing, labels)
        return _below(X, new_X), _below(labels if np.ndim(y) == 2 else y, new_y)

    def _with_holes(self, new_X: Any, new_y: np.ndarray, missing: np.ndarray, labels: np.ndarray) -> Any:
        """Rows drawn, each with the missing cells of a row of its class."""
        rng = generator(self.model_.random_state, purpose=2)
        donors = np.empty(len(new_y), dtype=int)
        for label in self.sampling_strategy_:
            mine = new_y == label
            donors[mine] = rng.choice(np.flatnonzero(labels == label), mine.sum())
        columns = self.model_.columns_
        coded = columns.encode(as_table(new_X, "sample")[0])[0]
        coded[missing[donors]] = np.nan
        return columns.decode(coded)

    def set_params(self, **params: Any) -> GenerativeOverSampler:
        """Set parameters; those of the model as ``model__name``, which makes a model of its registered name."""
        return super().set_params(**made_by_name(self, params))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = getattr(self.model, "missing_in_fit", True)
        return tags


def rows_to_draw(strategy: Any, labels: np.ndarray) -> dict[Any, int]:
    """{class: rows to draw} for a strategy of imbalanced-learn."""
    codes, classes = pd.factorize(labels)
    has = dict(zip(classes.tolist(), np.bincount(codes).tolist(), strict=True))
    if len(has) < 2:
        raise ValueError(f"y has one class, {next(iter(has), None)!r}: there is nothing to balance.")
    largest, smallest = max(has, key=has.get), min(has, key=has.get)
    most = has[largest]
    if callable(strategy):
        strategy = strategy(labels)
    if isinstance(strategy, Mapping):
        for label, n in strategy.items():
            if label not in has:
                raise ValueError(f"sampling_strategy names {label!r}, which is no class: y has {list(has)}.")
            if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < has[label]:
                raise ValueError(
                    f"sampling_strategy wants {n!r} rows of class {label!r}: give {has[label]}, which it has, or more."
                )
        return {label: int(n) - has[label] for label, n in strategy.items()}
    if isinstance(strategy, str):
        if strategy not in _STRATEGIES:
            raise ValueError(f"sampling_strategy={strategy!r} must be one of {_STRATEGIES}, a float, a dict or a callable.")
        taken = {
            "minority": {smallest},
            "not minority": set(has) - {smallest},
            "all": set(has),
        }.get(strategy, set(has) - {largest})
        return {label: most - n for label, n in has.items() if label in taken}
    if isinstance(strategy, bool) or not isinstance(strategy, (int, float, np.number)) or not 0 < strategy <= 1:
        raise ValueError(f"sampling_strategy={strategy!r} must be a share in (0, 1] of the rows of the larger class.")
    if len(has) > 2:
        raise ValueError(f"sampling_strategy={strategy!r} is a share, but y has {len(has)} classes: give a dict {{class: rows}}.")
    other = next(label for label in has if label != largest)
    drawn = int(most * strategy) - has[other]
    if drawn < 0:
        raise ValueError(
            f"sampling_strategy={strategy!r} leaves {int(most * strategy)} rows of class {other!r}, which has {has[other]}: "
            f"give a share of at least {has[other] / most:.3g}."
        )
    return {other: drawn}


def _below(upper: Any, lower: Any) -> Any:
    """Rows or labels put below those given, in their container."""
    if isinstance(upper, pd.DataFrame):
        return pd.concat([upper, lower], ignore_index=True)
    if isinstance(upper, pd.Series):
        return pd.concat([upper, pd.Series(lower, name=upper.name).astype(upper.dtype)], ignore_index=True)
    if isinstance(upper, list):
        return [*upper, *lower.tolist()]
    if isinstance(upper, np.ndarray):
        return np.concatenate([upper, lower])
    import narwhals as nw

    first = nw.from_native(upper, eager_only=True, allow_series=True, pass_through=True)
    if not isinstance(first, (nw.DataFrame, nw.Series)):
        return np.concatenate([np.asarray(upper), lower])
    if isinstance(first, nw.Series):
        second = nw.new_series(first.name, lower.tolist(), first.dtype, backend=first.implementation)
        return nw.concat([first.to_frame(), second.to_frame()])[first.name].to_native()
    return nw.concat([first, nw.from_native(lower, eager_only=True)]).to_native()
