"""A generative model in the place of another tool of scikit-learn's."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal

import numpy as np
from sklearn.base import TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from skgen import registry
from skgen.parameters import Parameters

__all__ = ["GenerativeImputer"]


class GenerativeImputer(TransformerMixin, Parameters):
    """Missing cells filled from p(missing | observed), beside SimpleImputer, KNNImputer and IterativeImputer.

    Parameters
    ----------
    model : str or model
        A registered name or an instance; fitted as a density, on rows with missing cells where it can be.
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

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import GaussianMixture, GenerativeImputer
    >>> X = np.array([[1.0, 2.1], [2.0, 3.9], [3.0, 6.2], [4.0, 8.1], [5.0, np.nan]])
    >>> GenerativeImputer(GaussianMixture(shrinkage=0)).fit_transform(X).round(0)[-1]
    array([ 5., 10.])
    """

    model: Any = field(default="gaussian_mixture", kw_only=False)
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
        model = registry.get(self.model)() if isinstance(self.model, str) else clone(self.model)
        if model.missing == "none":
            raise ValueError(f"model={self.model!r} takes no missing cells: use one that does, such as gaussian_mixture.")
        seeds = {} if self.random_state is None else {"random_state": self.random_state}
        self.model_ = model.set_params(task="density", **seeds).fit(X)
        self.n_features_in_ = self.model_.n_features_in_
        if hasattr(self.model_, "feature_names_in_"):
            self.feature_names_in_ = self.model_.feature_names_in_
        return self

    def transform(self, X: Any) -> Any:
        """X with its missing cells filled.

        Returns
        -------
        table of shape (n, d)
            In the container given to ``fit``; observed cells as given.
        """
        check_is_fitted(self, "model_")
        return self.model_.impute(X, how=self.how)

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
        return tags
