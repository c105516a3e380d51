"""log p(x) = sum_i log p(x_i | x_<i): which cell of a row is unlikely, given those before it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skgen.ops.logs import log_sum_exp, softmax
from skgen.seeds import generator

__all__ = ["ChainRule"]


def _has_cdf(model: Any) -> bool:
    return type(model)._columns_classes is not ChainRule._columns_classes


class ChainRule:
    """The part of a model that answers column by column.

    A model with an order of its own, whose conditionals are at hand, says so by ``_column_order`` and ``_columns_classes``;
    others are asked for the marginal of ever more columns.
    """

    def _column_order(self) -> np.ndarray | None:
        """Column numbers in the model's own order; None if it has none."""
        return None

    def _columns_classes(self, X: np.ndarray, what: Literal["log_prob", "cdf"], u: np.ndarray | None = None) -> np.ndarray:
        """log p, or the distribution function at u, of each cell given those before it and the class, (K, n, d)."""
        raise NotImplementedError(f"{type(self).__name__} must define _columns_classes(X, what, u).")

    def score_columns(self, X: Any) -> np.ndarray:
        """log p(x_i | x_<i), each column given those before it: in the order of the table, or in that of the model's ``order``.

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
        order = self._own_order()
        if order is None and self.missing == "none":
            raise ValueError(
                f"{type(self).__name__} has no p(column | columns before it): use a model whose `missing` is exact, such as "
                "bayes_net or gaussian_mixture, or an autoregressive one."
            )
        table, _ = self._table(X, reset=False, may_miss=True)
        coded, outside = self.columns_.encode(table)
        lost = np.zeros(coded.shape, dtype=bool)
        if outside is not None:  # coded as not observed
            lost[outside] = np.isnan(coded[outside]) & ~np.asarray(pd.isna(table[outside]))
        if order is None:
            order, prefix = np.arange(coded.shape[1]), self._prefixes(coded)
        else:
            # any value will do for an impossible cell: it has -inf, and what comes after it 0
            by_class = self._fitted._columns_classes(np.where(lost, 0.0, coded), "log_prob")[:, :, order]
            gain = -np.log(np.where(self.columns_.continuous, self.columns_.scale, 1.0))
            gain = np.where(np.isnan(coded), 0.0, gain)[:, order]
            prefix = self._mixed(np.cumsum(by_class, axis=2)) + np.cumsum(gain, axis=1)
        terms = _differences(prefix, lost[:, order], np.isnan(coded[:, order]))
        out = np.empty(coded.shape)
        out[:, order] = terms
        return out

    def _own_order(self) -> np.ndarray | None:
        """The model's order, where columns reach it as they are."""
        return self._fitted._column_order() if self._coding.identity else None

    def _prefixes(self, coded: np.ndarray) -> np.ndarray:
        """log p(x_0 .. x_i) for each i, (n, d), with what comes later left out."""
        prefix, shown = np.zeros(coded.shape), np.full(coded.shape, np.nan)
        for i in range(coded.shape[1]):
            shown[:, i] = coded[:, i]
            if np.isnan(coded[:, i]).all():
                prefix[:, i] = prefix[:, i - 1] if i else 0.0
            else:
                prefix[:, i] = self._log_marginal(shown) + self.columns_.log_jacobian(shown)
        return prefix

    def _mixed(self, by_class: np.ndarray) -> np.ndarray:
        """log sum_y p(y) exp(by_class) over the first axis."""
        if "classes_" not in vars(self):
            return by_class[0]
        prior = self._learnt_log_prior()[:, None, None]
        return log_sum_exp((by_class + prior).reshape(len(by_class), -1)).reshape(by_class.shape[1:])

    @available_if(_has_cdf)
    def conditional_cdf(self, X: Any, random_state: Any = None) -> np.ndarray:
        """F(x_i | x_<i) of each cell: uniform and independent for rows that follow the model (Rosenblatt 1952).

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
        random_state : None, int, RandomState or Generator
            A discrete cell is placed at random within its jump. None uses the estimator's own.

        Returns
        -------
        array of shape (n, d)
            In [0, 1]; NaN where a cell was not observed.
        """
        check_is_fitted(self, "columns_")
        rng = generator(self.random_state if random_state is None else random_state, purpose=1)
        order = self._own_order()
        if order is None:
            raise ValueError(f"{type(self).__name__} has several orders, or sees other columns than the table's: use n_orders=1.")
        Z = self._coded_question(X)[0]
        part = self._fitted
        cdf = part._columns_classes(Z, "cdf", rng.random(Z.shape))
        if len(cdf) == 1:
            return cdf[0]
        # p(y | columns before) weighs the classes
        before = np.cumsum(part._columns_classes(Z, "log_prob")[:, :, order], axis=2)
        before = np.concatenate([np.zeros((*before.shape[:2], 1)), before[:, :, :-1]], axis=2)
        before += self._learnt_log_prior()[:, None, None]
        share = np.empty_like(before)
        share[:, :, order] = softmax(before.reshape(len(before), -1))[0].reshape(before.shape)
        return (share * cdf).sum(axis=0)


def _differences(prefix: np.ndarray, lost: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """The terms whose running sums are ``prefix``: -inf once, where a row becomes impossible, and 0 after it."""
    impossible = (np.cumsum(lost, axis=1) > 0) | np.isneginf(prefix)
    none = np.zeros((len(prefix), 1))
    before = np.concatenate([none > 0, impossible[:, :-1]], axis=1)
    finite = np.concatenate([none, np.where(np.isneginf(prefix), 0.0, prefix)], axis=1)
    terms = np.where(hidden, 0.0, np.diff(finite, axis=1))  # of what is not observed, exactly 0
    return np.where(before, 0.0, np.where(impossible, -np.inf, terms))
