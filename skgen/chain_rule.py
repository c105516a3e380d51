"""log p(x) = sum_i log p(x_i | x_<i): which cell of a row is unlikely, given those before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

__all__ = ["ChainRule"]


class ChainRule:
    """The part of a model that answers column by column."""

    def score_columns(self, X: Any) -> np.ndarray:
        """log p(x_i | x_<i), each column given those before it.

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
            A cell that was not observed has the term 0, and the others are given what is observed.

        Returns
        -------
        array of shape (n, d)
            Nats, in the units of the data. A row's terms sum to its ``score_samples``; the first impossible cell of a row
            has -inf, and those after it 0.

        Raises
        ------
        ValueError
            If the model cannot leave cells out.
        """
        check_is_fitted(self, "columns_")
        if self.missing not in ("exact", "suffix"):
            raise ValueError(
                f"{type(self).__name__} has no p(column | columns before it): use a model whose `missing` is exact, such as "
                "bayes_net or gaussian_mixture, or an autoregressive one."
            )
        table, _ = self._table(X, reset=False, may_miss=True)
        coded, outside = self.columns_.encode(table)
        n, d = coded.shape
        prefix = np.zeros((n, d + 1))
        shown = np.full((n, d), np.nan)
        lost = np.zeros((n, d), dtype=bool)
        if outside is not None:  # coded as not observed
            lost[outside] = np.isnan(coded[outside]) & ~np.asarray(pd.isna(table[outside]))
        for i in range(d):
            shown[:, i] = coded[:, i]
            if np.isnan(coded[:, i]).all():
                prefix[:, i + 1] = prefix[:, i]
                continue
            prefix[:, i + 1] = self._log_marginal(shown) + self.columns_.log_jacobian(shown)
        impossible = (np.cumsum(lost, axis=1) > 0) | np.isneginf(prefix[:, 1:])
        before = np.concatenate([np.zeros((n, 1), dtype=bool), impossible[:, :-1]], axis=1)
        finite = np.where(np.isneginf(prefix), 0.0, prefix)
        terms = np.where(np.isnan(coded), 0.0, np.diff(finite, axis=1))  # of what is not observed, exactly 0
        return np.where(before, 0.0, np.where(impossible, -np.inf, terms))
