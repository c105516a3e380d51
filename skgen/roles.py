"""A generative model in the place of another tool of scikit-learn's."""

from __future__ import annotations

import warnings
from dataclasses import field
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.base import TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from skgen import registry
from skgen.base import GenerativeModel
from skgen.parameters import Parameters
from skgen.reading import ColumnWarning, columns

__all__ = ["GenerativeImputer"]


def inner_model(role: Any, X: Any) -> GenerativeModel:
    """A fresh model of ``role.model``: an instance, a registered name, or "auto", which looks at the kinds of columns."""
    if isinstance(role.model, GenerativeModel):
        return clone(role.model)
    if not isinstance(role.model, str):
        raise ValueError(f"model={role.model!r} of {type(role).__name__} must be a model of skgen, its name, or 'auto'.")
    if role.model != "auto":
        return registry.make(role.model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ColumnWarning)  # fit warns
        kinds = set(columns(X).kinds)
    return registry.make("gaussian_mixture" if kinds <= {"continuous", "integer"} else "chow_liu")


def made_by_name(role: Any, params: dict[str, Any]) -> dict[str, Any]:
    """Parameters to set, with a model in the place of its registered name where parameters of it are among them."""
    if not any(name.startswith("model__") for name in params):
        return params
    given = params.get("model", role.model)
    if isinstance(given, str) and given == "auto":
        raise ValueError("model='auto' has no parameters to set: give model= a name, such as 'gaussian_mixture', as well.")
    return {**params, "model": registry.make(given)} if isinstance(given, str) else params


class GenerativeImputer(TransformerMixin, Parameters):
    """Missing cells filled from p(missing | observed), beside SimpleImputer, KNNImputer and IterativeImputer.

    Parameters
    ----------
    model : "auto", str or model
        A registered name or an instance; fitted as a density, on rows with missing cells where it can be. "auto" is
        ``GaussianMixture()`` where all columns are continuous or integer, else ``ChowLiuTree()``.
    how : {"mean", "mode", "draw"}
        As in ``impute``: "mean" and "mode" fill each cell by itself, "draw" draws a row's missing cells together and
        keeps their spread.
    random_state : None, int, RandomState or Generator
        None leaves the model's own.

    Attributes
    ----------
    model_ : the fitted density

    Raises
    ------
    ValueError
        If the model takes no missing cells.

    Notes
    -----
    ``set_params(model__n_components=3)``, and so a search over it, works on a model given by name as well. A category that
    ``fit`` did not see stays as it is, with a warning, and tells nothing about the other cells of its row.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import GaussianMixture, GenerativeImputer
    >>> X = np.array([[1.0, 2.1], [2.0, 3.9], [3.0, 6.2], [4.0, 8.1], [5.0, np.nan]])
    >>> GenerativeImputer(GaussianMixture(shrinkage=0)).fit_transform(X).round(0)[-1]
    array([ 5., 10.])
    """

    model: Any = field(default="auto", kw_only=False)
    how: Literal["mean", "mode", "draw"] = "mean"
    random_state: Any = None

    def fit(self, X: Any, y: Any = None) -> GenerativeImputer:
        """Learn p(x) of the rows of X; y is ignored.

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
            NaN marks a missing cell.
        """
        self._validate_parameters()
        model = self._make(X)
        if model.missing == "none":
            raise ValueError(f"model={self.model!r} takes no missing cells: use one that does, such as gaussian_mixture.")
        seeds = {} if self.random_state is None else {"random_state": self.random_state}
        self.model_ = model.set_params(task="density", **seeds).fit(X)
        self.n_features_in_ = self.model_.n_features_in_
        if hasattr(self.model_, "feature_names_in_"):
            self.feature_names_in_ = self.model_.feature_names_in_
        return self

    def _make(self, X: Any) -> GenerativeModel:
        """A fresh model, for this table if it is to be chosen."""
        return inner_model(self, X)

    def set_params(self, **params: Any) -> GenerativeImputer:
        """Set parameters; those of the model as ``model__name``, which makes a model of its registered name."""
        return super().set_params(**made_by_name(self, params))

    def transform(self, X: Any) -> Any:
        """X with its missing cells filled.

        Returns
        -------
        table of shape (n, d)
            In the container given to ``fit``; observed cells as given.
        """
        check_is_fitted(self, "model_")
        if not isinstance(X, pd.DataFrame) or self.model_.columns_.container.kind != "pandas":
            return self.model_.impute(X, how=self.how)
        unseen = self._unseen(X)
        filled = self.model_.impute(X.mask(unseen) if unseen.any(axis=None) else X, how=self.how)
        for name in X.columns[unseen.any()]:
            cells = filled[name]
            if isinstance(cells.dtype, pd.CategoricalDtype):
                cells = cells.cat.add_categories(X.loc[unseen[name], name].unique())
            filled[name] = cells.mask(unseen[name], X[name].astype(object))
        return filled

    def _unseen(self, X: pd.DataFrame) -> pd.DataFrame:
        """Which cells hold a category that fit did not see."""
        held = pd.DataFrame(False, index=X.index, columns=X.columns)
        read = self.model_.columns_
        for name, kind, levels in zip(read.names, read.kinds, read.levels, strict=True):
            if kind == "categorical" and name in held:
                held[name] = (X[name].notna() & ~X[name].isin(levels)).to_numpy()
        if held.any(axis=None):
            names = ", ".join(repr(name) for name in X.columns[held.any()])
            warnings.warn(
                f"{int(held.sum().sum())} cells of {names} hold a category that fit did not see: each stays as it is, and tells "
                "nothing about the other cells of its row.",
                UserWarning,
                stacklevel=3,
            )
        return held

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns, which are those of the table given to ``fit``."""
        check_is_fitted(self, "model_")
        names = getattr(self, "feature_names_in_", None)
        if input_features is not None:
            given = np.asarray(input_features, dtype=object)
            if len(given) != self.n_features_in_ or (names is not None and list(given) != list(names)):
                raise ValueError("input_features should be the names of the columns given to fit.")
            return given
        return np.array([f"x{j}" for j in range(self.n_features_in_)], dtype=object) if names is None else np.asarray(names)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        takes = getattr(self.model, "kinds", ("categorical",))
        tags.input_tags.categorical = tags.input_tags.string = "categorical" in takes
        return tags
