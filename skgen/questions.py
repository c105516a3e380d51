"""Draws, and any part of a row given any other: NaN marks what is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skgen import bayes
from skgen.ops.logs import mix_moments, softmax
from skgen.seeds import check_n_samples, generator

if TYPE_CHECKING:
    from skgen.tables import Columns

__all__ = ["Questions"]

_POINTS = 129, 65, 65  # of the grids on which a continuous cell is integrated: over its range, then where its mass is
_BATCH = 2**16  # rows asked about at a time
_MAX_INTEGERS = 2049


class Questions:
    """The part of a model that answers about some cells given others, through ``_log_prob`` and ``_sample_missing``."""

    def _sample_missing(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A copy of coded rows (n, d) whose NaN cells are drawn from p(missing | observed)."""
        raise ValueError(
            f"{type(self).__name__} cannot draw missing cells given the others: use a model that can, such as "
            "naive_bayes, gaussian_mixture or chow_liu."
        )

    def _sample_missing_class(self, k: int, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The same from the density of class k."""
        return self.densities_[k]._sample_missing(X, rng)

    def _missing_moments(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and variance of each NaN cell of coded rows given the observed ones, where they have a closed form."""
        return None

    def _missing_moments_class(self, k: int, X: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """The same for the density of class k."""
        return self.densities_[k]._missing_moments(X)

    # ---- draws

    def sample(
        self, n_samples: int = 1, *, y: Any = None, given: Any = None, return_y: bool = False, random_state: Any = None
    ) -> Any:
        """Draw rows.

        Parameters
        ----------
        n_samples : int, default=1
            0 is allowed.
        y : label or array of labels, optional
            The class of all rows, or one label a row.
        given : {column: value} or one-row table, optional
            Cells that all rows share; the rest is drawn given them, and so is the class unless y fixes it.
        return_y : bool
            Return the labels as well.
        random_state : None, int, RandomState or Generator
            None uses the estimator's own.

        Returns
        -------
        X : the container given to ``fit``, its columns and dtypes
            Exchangeable rows; in the order of ``y`` if that is an array.
        y : array of shape (n_samples,)
            With ``return_y=True``.

        Raises
        ------
        ValueError
            For a bad ``n_samples``, an unknown class, a given column or value that fit did not see, or given cells that
            have probability zero.
        """
        check_is_fitted(self, "columns_")
        n = check_n_samples(n_samples, self.n_features_in_)
        rng = generator(self.random_state if random_state is None else random_state, purpose=1)
        classes = vars(self).get("classes_")
        if classes is None and (y is not None or return_y):
            raise ValueError(f"{type(self).__name__} was fitted without y and has no classes: call fit(X, y), or drop y.")
        if y is not None and np.ndim(y) and n not in (1, len(y)):
            raise ValueError(f"n_samples={n} and y has {len(y)} labels: leave n_samples out, y gives one label a row.")
        codes = None if y is None else self._codes_given(y, n if np.ndim(y) == 0 else len(y))
        n = n if codes is None else len(codes)
        row = None if given is None else self._rows_given(given)
        if row is not None:
            classes_asked = None if codes is None else np.unique(codes)
            copies = 1 if codes is None else len(classes_asked)
            self._check_possible(np.repeat(row, copies, axis=0), classes_asked, "given cells")
        start = None if row is None else np.repeat(row, n, axis=0)
        if classes is not None and codes is None:
            codes = self._draw_codes(start, n, rng)
        if start is not None:
            coded = self._draw_missing(start, codes, rng)
        elif classes is None:
            coded = self._sample_coded(0, n, rng)
        else:
            coded = np.empty((n, len(self.columns_)))
            for k in np.unique(codes):
                rows = codes == k
                coded[rows] = self._sample_coded(int(k), int(rows.sum()), rng)
        X = self.columns_.decode(coded)
        return (X, classes[codes]) if return_y else X

    def _draw_codes(self, coded: np.ndarray | None, n: int, rng: np.random.Generator) -> np.ndarray:
        """Class codes from p(y), or from p(y | observed cells) of coded rows."""
        if coded is None:
            return rng.choice(len(self.classes_), n, p=np.exp(self.class_log_prior_))
        p = np.exp(bayes.log_posterior(self._log_prob_coded(coded) + self.class_log_prior_, self.class_log_prior_))
        return (rng.random((n, 1)) > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)

    def sample_conditional(self, X: Any, n_draws: int = 1, *, y: Any = None, random_state: Any = None) -> Any:
        """Draw the missing cells of each row given its observed ones.

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
            NaN marks what is drawn.
        n_draws : int, default=1
            Draws a row.
        y : label or array of shape (n,), optional
            Classes that the rows are known to have; else the class is drawn from p(y | observed) too.
        random_state : None, int, RandomState or Generator
            None uses the estimator's own.

        Returns
        -------
        table of n * n_draws rows
            A row's draws together, observed cells as given, in the container given to ``fit``; the index of a data
            frame repeats that of X.

        Raises
        ------
        ValueError
            If a cell lies outside what was seen in fit, a row's observed cells have probability zero, or the model cannot
            draw given the rest.
        """
        check_is_fitted(self, "columns_")
        coded, table = self._coded_question(X)
        n_draws = check_n_samples(n_draws, len(coded) * coded.shape[1], name="n_draws")
        rng = generator(self.random_state if random_state is None else random_state, purpose=1)
        codes = None if y is None else self._codes_given(y, len(coded))
        self._check_possible(coded, codes)
        repeated, codes = np.repeat(coded, n_draws, axis=0), None if codes is None else np.repeat(codes, n_draws)
        drawn = self._draw_missing(repeated, codes, rng)
        return _restore(self.columns_, self.columns_.decode(drawn), table, n_draws, X)

    def _coded_question(self, X: Any) -> tuple[np.ndarray, Any]:
        table, _ = self._table(X, reset=False, may_miss=True)
        coded, outside = self.columns_.encode(table)
        if outside is not None:
            row = int(np.argmax(outside))
            held = np.isnan(coded[row]) & ~pd.isna(table.iloc[row] if isinstance(table, pd.DataFrame) else table[row])
            name = self.columns_.names[int(np.argmax(np.asarray(held)))]
            raise ValueError(f"Row {row} holds a value in column {name!r} that fit did not see: nothing can be given on it.")
        return coded, table

    def _check_possible(self, coded: np.ndarray, codes: np.ndarray | None = None, what: str | None = None) -> None:
        """Refuse coded rows (of classes, if given) whose observed cells have probability zero: nothing follows from them."""
        seen = ~np.isnan(coded)
        asked = np.flatnonzero(seen.any(axis=1) & ~seen.all(axis=1))
        if self.missing != "exact" or not len(asked):
            return
        if codes is None:
            log_p = self._log_marginal(coded[asked])
        else:
            log_p = self._log_prob_coded(coded[asked])[np.arange(len(asked)), codes[asked]]
        lost = asked[log_p == -np.inf]
        if len(lost):
            of = "" if codes is None else f" in class {self.classes_.tolist()[codes[lost[0]]]!r}"
            raise ValueError(
                f"The {what or f'observed cells of row {lost[0]}'} have probability zero{of} under {type(self).__name__}, and "
                "nothing follows from what cannot be: change a cell, or fit with smoothing (alpha > 0), under which all can be."
            )

    def _codes_given(self, y: Any, n: int) -> np.ndarray:
        if "classes_" not in vars(self):
            raise ValueError(f"{type(self).__name__} was fitted without y and has no classes: drop y.")
        wanted = np.full(n, y) if np.ndim(y) == 0 else np.asarray(y)
        try:
            codes = pd.Index(self.classes_).get_indexer(pd.Index(wanted))
        except TypeError:
            raise ValueError(f"y={y!r} is no label: choose from {self.classes_.tolist()}.") from None
        if len(codes) != n:
            raise ValueError(f"y has {len(codes)} labels for {n} rows: give one label, or one a row.")
        if (codes < 0).any():
            raise ValueError(f"y={wanted[codes < 0].tolist()[0]!r} is not a class: choose from {self.classes_.tolist()}.")
        return codes

    def _draw_missing(self, coded: np.ndarray, codes: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
        """Coded rows of the data with their NaN cells drawn; class codes drawn from p(y | observed) unless given."""
        if codes is None:
            codes = np.zeros(len(coded), dtype=int) if "classes_" not in vars(self) else self._draw_codes(coded, len(coded), rng)
        full = coded.copy()
        for k in np.unique(codes):
            rows = np.flatnonzero((codes == k) & np.isnan(coded).any(axis=1))
            if len(rows):
                full[rows] = self._sample_missing_coded(int(k), coded[rows], rng)
        return np.where(np.isnan(coded), full, coded)

    def _sample_missing_coded(self, k: int, coded: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The same for rows of class k, through the conversions."""
        Z, _ = self._coding.encode(coded)
        return self._coding.decode(self._fitted._sample_missing_class(self._place(k), Z, rng), rng)

    def _rows_given(self, given: Any) -> np.ndarray:
        """One coded row from {column: value} or a one-row table, NaN where nothing is given."""
        if not isinstance(given, Mapping):
            coded, _ = self._coded_question(given)
            if len(coded) != 1:
                raise ValueError(f"given has {len(coded)} rows: give one row, or use sample_conditional for many.")
            return coded
        columns = self.columns_
        row = np.full((1, len(columns)), np.nan)
        positions = {name: j for j, name in enumerate(columns.names)}
        for name, value in given.items():
            if name not in positions:
                raise ValueError(f"given names {name!r}, which is not a column: choose from {columns.names[:20]}.")
            row[0, positions[name]] = columns.encode_cell(positions[name], value)
        return row

    # ---- one column given the others

    def predict_missing(self, X: Any, column: Any) -> np.ndarray:
        """p(column | the other observed cells), whatever X holds in that column.

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
        column : name or position

        Returns
        -------
        array of shape (n, K) or (n, 2)
            Probabilities of the levels of a binary or categorical column, in the order of ``columns_.levels``; mean and
            standard deviation, in data units, of an integer or continuous one (in closed form for normals and their
            mixtures, else by quadrature).
        """
        check_is_fitted(self, "columns_")
        positions = {name: j for j, name in enumerate(self.columns_.names)}
        if isinstance(column, (int, np.integer)) and column not in positions and 0 <= column < len(positions):
            column = self.columns_.names[column]
        if not pd.api.types.is_hashable(column) or column not in positions:
            raise ValueError(f"{column!r} is not a column: choose from {self.columns_.names[:20]}.")
        j = positions[column]
        coded, _ = self._coded_question(X)
        asked = coded.copy()
        asked[:, j] = np.nan
        self._check_possible(asked)
        if (found := self._closed_moments(asked)) is not None:
            mean, sd = found[0][:, j], np.sqrt(found[1][:, j])
        else:
            values, p = self._cell(coded, j)
            if self.columns_.levels[j] is not None:
                return p.T
            mean = (values * p).sum(axis=0)
            sd = np.sqrt(np.maximum(((values - mean) ** 2 * p).sum(axis=0), 0))
        if self.columns_.kinds[j] == "continuous":
            mean, sd = mean * self.columns_.scale[j] + self.columns_.loc[j], sd * self.columns_.scale[j]
        return np.column_stack([mean, sd])

    def _closed_moments(self, coded: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and variance of each NaN cell of coded rows of the data, classes summed out, where they have a closed form."""
        if not self._coding.identity:
            return None
        if "classes_" not in vars(self):
            return self._fitted._missing_moments_class(0, coded)
        prior = self.class_log_prior_
        share = np.exp(bayes.log_posterior(self._log_prob_coded(coded) + prior, prior)).T
        possible = np.flatnonzero(share.any(axis=1))
        each = [self._fitted._missing_moments_class(self._place(int(k)), coded) for k in possible]
        return mix_moments(share[possible], each)

    def _conditional_means(self, coded: np.ndarray) -> np.ndarray | None:
        """Coded rows whose NaN cells hold their conditional mean or most probable level, NaN left where those are to be found by
        ``_cell``; None if all are."""
        found = self._closed_moments(coded)
        return None if found is None else found[0]

    def _cell(self, coded: np.ndarray, j: int) -> tuple[np.ndarray, np.ndarray]:
        """Candidate coded values (V, n) of cell j and their probabilities given the rest of each row."""
        c, n = self.columns_, len(coded)
        if c.levels[j] is not None:
            values = np.repeat(np.arange(len(c.levels[j]), dtype=float)[:, None], n, axis=1)
            return values, self._weigh(coded, j, values)
        # a column that fit never saw is asked about around the centre of its code
        lowest, highest = (c.low[j], c.high[j]) if np.isfinite(c.low[j]) else (c.loc[j] - 5 * c.scale[j], c.loc[j] + 5 * c.scale[j])
        if c.kinds[j] == "integer":
            reach = highest - lowest
            step = max(1.0, np.ceil(1.5 * reach / _MAX_INTEGERS))
            low = max(0.0, lowest - reach / 4) if lowest >= 0 else lowest - reach / 4
            grid = np.arange(np.floor(low), highest + reach / 4 + 1, step)
            values = np.repeat(grid[:, None], n, axis=1)
            return values, self._weigh(coded, j, values)
        low, high = ((end - c.loc[j]) / c.scale[j] for end in (lowest, highest))
        middle, half = (low + high) / 2, max((high - low) * 0.75, 1.0)
        values = np.repeat(middle + half * np.linspace(-1, 1, _POINTS[0])[:, None], n, axis=1)
        for points in _POINTS[1:]:  # once more where the mass is
            p = self._weigh(coded, j, values)
            mean = (values * p).sum(axis=0)
            sd = np.sqrt(np.maximum(((values - mean) ** 2 * p).sum(axis=0), (values[1] - values[0]) ** 2))
            values = mean + np.minimum(8 * sd, half) * np.linspace(-1, 1, points)[:, None]
        return values, self._weigh(coded, j, values)

    def _weigh(self, coded: np.ndarray, j: int, values: np.ndarray) -> np.ndarray:
        """p(cell j = value | rest), normalised over the candidates of each row."""
        others = np.delete(coded, j, axis=1)
        if self.missing == "none" and np.isnan(others).any():
            hidden = int(np.argmax(np.isnan(np.insert(others, j, 0.0, axis=1)).any(axis=0)))
            self._refuse_missing(self.columns_.names[hidden], fitting=False)
        log_p = np.empty(values.shape)
        at_once = max(1, _BATCH // max(len(coded), 1))
        for start in range(0, len(values), at_once):
            some = values[start : start + at_once]
            asked = np.tile(coded, (len(some), 1))
            asked[:, j] = some.ravel()
            log_p[start : start + at_once] = self._log_marginal(asked).reshape(some.shape)
        return softmax(log_p)[0]

    # ---- filling

    def impute(self, X: Any, how: Literal["mean", "mode", "draw"] = "mean", *, y: Any = None, random_state: Any = None) -> Any:
        """One completed table.

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
            NaN marks what is filled.
        how : {"mean", "mode", "draw"}
            "mean": the conditional mean of a continuous or integer cell (rounded where the column holds integers) and
            the most probable level of the others. "mode": the most probable value of each cell by itself. "draw": one
            joint draw of all missing cells, which alone keeps the spread and the dependence of the columns.
        y : label or array of shape (n,), optional
            Classes that the rows are known to have ("draw" only).
        random_state : None, int, RandomState or Generator

        Returns
        -------
        table of n rows in the container given to ``fit``; observed cells as given
        """
        if how == "draw":
            return self.sample_conditional(X, 1, y=y, random_state=random_state)
        if how not in ("mean", "mode"):
            raise ValueError(f"how={how!r} must be 'mean', 'mode' or 'draw'.")
        if y is not None:
            raise ValueError(f"y= is taken with how='draw'; how={how!r} averages over the classes.")
        check_is_fitted(self, "columns_")
        coded, table = self._coded_question(X)
        self._check_possible(coded)
        found = self._conditional_means(coded) if how == "mean" and np.isnan(coded).any() else None
        full = coded.copy() if found is None else found
        for j in np.flatnonzero(np.isnan(full).any(axis=0)):
            rows = np.flatnonzero(np.isnan(coded[:, j]))
            values, p = self._cell(coded[rows], int(j))
            if how == "mode" or self.columns_.levels[j] is not None:
                full[rows, j] = np.take_along_axis(values, p.argmax(axis=0)[None], axis=0)[0]
            else:
                full[rows, j] = (values * p).sum(axis=0)
        return _restore(self.columns_, self.columns_.decode(full), table, 1, X)


def _restore(columns: Columns, filled: Any, table: Any, n_draws: int, X: Any) -> Any:
    """The filled table with the observed cells exactly as given, and the index of X."""
    if columns.container.kind == "array" and isinstance(table, np.ndarray):
        given = np.repeat(table, n_draws, axis=0)
        if np.asarray(filled).dtype.kind in "fiub":
            with np.errstate(invalid="ignore"):  # the ends of int64 are no floats
                return np.where(np.isnan(given), filled, given).astype(filled.dtype, copy=False)
        return filled
    if columns.container.kind != "pandas":
        return filled
    given = table.iloc[np.repeat(np.arange(len(table)), n_draws)]
    out = {}
    for j, name in enumerate(filled.columns):
        cells, missing = given.iloc[:, j], given.iloc[:, j].isna().to_numpy()
        if missing.all():
            out[name] = filled.iloc[:, j].array
            continue
        both = filled.iloc[:, j].astype(object).where(missing, cells.astype(object).to_numpy())
        try:
            out[name] = both.astype(filled.dtypes.iloc[j]).array
        except (OverflowError, TypeError, ValueError):
            dtype = filled.dtypes.iloc[j]
            raise ValueError(f"Column {name!r} holds a value that its dtype in fit, {dtype}, cannot hold.") from None
    frame = pd.DataFrame(out)
    frame.columns = filled.columns
    if isinstance(X, pd.DataFrame):
        frame.index = X.index.repeat(n_draws)
    return frame
