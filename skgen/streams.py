"""Learning batch by batch: running sums of what a density is made from."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.utils.metaestimators import available_if

from skgen.labels import weights_by_class
from skgen.ops.logs import softmax
from skgen.seeds import generator

if TYPE_CHECKING:
    from skgen.base import GenerativeModel

__all__ = ["Streams", "may_stream"]

_REPLAYED = 2**16  # draws that stand for the rows of an earlier fit
_FAR = 10.0  # standard deviations that a batch may lie from the first one without a word


def may_stream(model: GenerativeModel) -> bool:
    """Whether there is a ``partial_fit``; an AttributeError that says why not."""
    if not model.streams:
        raise AttributeError(f"{type(model).__name__} keeps no running sums and has no partial_fit: fit it on all rows at once.")
    return True


class Streams:
    """The part of a model that learns batch by batch, through ``_partial_fit``."""

    streams = False
    _knows_all_classes = False  # the first batch makes room for every class that is declared, with rows or without

    def _partial_fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        """Add coded rows to the running sums of one density; the first batch finds none, and begins them.

        State is replaced, never written into: a batch that fails leaves the earlier ones whole.
        """
        raise NotImplementedError(f"{type(self).__name__} must define _partial_fit(X, weight, rng).")

    def _partial_fit_classes(self, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
        """The same for every class; a class without rows in the batch keeps its density bit for bit."""
        densities = [copy.copy(density) for density in getattr(self, "densities_", ())]
        densities = densities or [self.part(self.columns_) for _ in range(weights.shape[1])]
        for density, w, stream in zip(densities, weights.T, rng.spawn(len(densities)), strict=True):
            keep = w > 0
            if keep.any():
                density._partial_fit(X[keep], w[keep], stream)
        self.densities_ = densities

    def _add_class(self, k: int) -> None:
        """Room for a class at position k, before its first rows."""
        self.densities_ = [*self.densities_[:k], self.part(self.columns_), *self.densities_[k:]]

    @available_if(may_stream)
    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, sample_weight: Any = None) -> GenerativeModel:
        """Learn from one more batch of rows, in memory that does not grow with their number.

        The first batch settles kinds, levels, bins, scales and pseudo-rows for good: let it be typical, or give
        ``column_kinds=skgen.columns(...)`` read elsewhere. Where the statistics add up (tables, normals, Markov chains)
        the order of the batches does not matter; latent variables are found by stepwise EM. After ``fit``, which keeps no
        running sums, its rows are represented by draws from what they taught.

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
        y : array-like of shape (n,), optional
            In each batch or in none.
        classes : array-like, optional
            In the first call, all classes to come (default: those in y). In a later one, classes to add: the densities
            of the others stay as they are, bit for bit.
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For a class or a level that was not declared. The earlier batches stay whole.
        """
        before = dict(vars(self))
        try:
            if "columns_" not in before:
                self._validate_parameters()
                self._first_batch(X, y, classes, sample_weight)
            else:
                self._next_batch(X, y, classes, sample_weight)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise
        return self

    def _first_batch(self, X: Any, y: Any, classes: Any, sample_weight: Any) -> None:
        table, container, weight, (found, codes) = self._rows(X, y, sample_weight, reset=True)
        if found is not None:
            self.classes_ = found if classes is None else np.unique(np.asarray(classes))
            codes = self._recode(found, codes)
            self._class_mass = np.zeros(len(self.classes_))
            # a density there is once its class has rows; until then the class has probability zero
            self._learnt = np.isin(np.arange(len(self.classes_)), codes) | self._knows_all_classes
        Z, weight, codes = self._first_rows(table, container, weight, codes, units_given=True)
        self._batches = 0
        self._learn_batch(Z, weight, codes)

    def _next_batch(self, X: Any, y: Any, classes: Any, sample_weight: Any) -> None:
        labelled = "classes_" in vars(self)
        if self.task != "density" and labelled != (y is not None):
            name = type(self).__name__
            raise ValueError(f"{name} {'needs' if labelled else 'cannot take'} y in this batch, as in the first one.")
        table, _, weight, (found, codes) = self._rows(X, y, sample_weight, reset=False)
        if not len(weight):
            return  # rows of weight 0 are not there
        self._fitted = copy.copy(self._fitted)
        if "_batches" not in vars(self):
            self._resume()
        if labelled:
            if classes is not None:
                self._widen(np.union1d(self.classes_, np.asarray(classes)))
            codes = self._recode(found, codes)
            self._make_room(np.unique(codes[codes >= 0]))
        coded, outside = self.columns_.encode(table)
        if outside is not None:
            self._refuse_level(table, coded)
        self._warn_of_drift(coded)
        Z, copies = self._coding.rows_to_fit(coded)
        if copies > 1:
            weight, codes = np.tile(weight / copies, copies), None if codes is None else np.tile(codes, copies)
        self._learn_batch(Z, weight, codes)

    def _resume(self) -> None:
        """Begin running sums after ``fit``, which kept none: draws from what it learnt, of the weight of its rows."""
        rng, part, mass = generator(self.random_state), self._fitted, self._class_mass
        if "classes_" in vars(self):
            self._learnt = np.ones(len(mass), dtype=bool)
        n = _REPLAYED // len(mass)
        Z = np.concatenate([part._sample_class(k, n, rng) for k in range(len(mass))])
        part._partial_fit_classes(Z, np.kron(np.diag(mass / n), np.ones((n, 1))), rng)
        self._batches = 1

    def _learn_batch(self, Z: np.ndarray, weight: np.ndarray, codes: np.ndarray | None) -> None:
        rng, part = generator(self.random_state), self._fitted
        if codes is None:
            part._partial_fit_classes(Z, weight[:, None], rng)
            self._class_mass = vars(self).get("_class_mass", 0.0) + weight.sum()
        else:
            known = codes >= 0
            every = known.all()
            labelled = slice(None) if every else known  # a mask would copy
            weights = weights_by_class(codes[labelled], weight[labelled], len(self.classes_))
            mass = self._class_mass + weights.sum(axis=0)
            learnt = weights if self._learnt.all() else weights[:, self._learnt]
            if known.any():
                part._partial_fit_classes(Z[labelled], learnt, rng)
            self._class_share = mass / mass.sum()
            if not every:  # stepwise EM: labels by the present model
                joint = part._log_prob_classes(Z[~known]).T + self.class_log_prior_[self._learnt][:, None]
                share = softmax(joint)[0] * weight[~known]
                part._partial_fit_classes(Z[~known], share.T, rng)
                mass[self._learnt] += share.sum(axis=1)
            self._class_mass, self._class_share = mass, mass / mass.sum()
            _ = self.class_log_prior_
        self._batches += 1
        if hasattr(self, "max_iter"):
            self.n_iter_ = self._batches

    # ---- classes and levels that come later

    def _recode(self, found: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Codes among ``classes_`` of labels coded among ``found``."""
        place = pd.Index(self.classes_).get_indexer(pd.Index(found))
        if (place < 0).any():
            raise ValueError(
                f"y has the label {found[place < 0].tolist()[0]!r}, which is none of the classes {self.classes_.tolist()}: "
                "add it with partial_fit(X, y, classes=[...])."
            )
        return np.append(place, -1)[codes]

    def _widen(self, classes: np.ndarray) -> None:
        """More classes, still without rows."""
        if classes.dtype.kind != self.classes_.dtype.kind and "U" in (classes.dtype.kind, self.classes_.dtype.kind):
            raise ValueError(f"classes={classes.tolist()} mixes text and numbers: the classes so far are {self.classes_.tolist()}.")
        old = np.isin(classes, self.classes_)
        mass, learnt = np.zeros(len(classes)), np.zeros(len(classes), dtype=bool)
        mass[old], learnt[old] = self._class_mass, self._learnt
        self.classes_, self._class_mass, self._learnt = classes, mass, learnt

    def _make_room(self, codes: np.ndarray) -> None:
        """A density for each class that gets its first rows."""
        for k in codes[~self._learnt[codes]]:
            self._learnt = self._learnt.copy()
            self._learnt[k] = True
            self._fitted._add_class(int(self._learnt[:k].sum()))

    def _log_prob_each(self, Z: np.ndarray) -> np.ndarray:
        """(n, K) log p(x|y) of rows as the model takes them; -inf for a class without rows so far."""
        log_p = self._fitted._log_prob_classes(Z)
        learnt = vars(self).get("_learnt")
        if learnt is None or learnt.all():
            return log_p
        out = np.full((len(Z), len(learnt)), -np.inf)
        out[:, learnt] = log_p
        return out

    def _learnt_log_prior(self) -> np.ndarray:
        """log p(y) of the classes that have a density, 0 without classes."""
        if "classes_" not in vars(self):
            return np.zeros(1)
        return self.class_log_prior_[vars(self).get("_learnt", slice(None))]

    def _place(self, k: int) -> int:
        """Where class k is among the densities."""
        learnt = vars(self).get("_learnt")
        if learnt is None:
            return k
        if not learnt[k]:
            raise ValueError(
                f"Class {self.classes_.tolist()[k]!r} has had no rows yet: give some to partial_fit before drawing from it."
            )
        return int(learnt[:k].sum())

    def _refuse_level(self, table: Any, coded: np.ndarray) -> None:
        lost = np.isnan(coded) & ~np.asarray(pd.isna(table))
        i, j = np.argwhere(lost)[0]
        cell = table.iloc[i, j] if isinstance(table, pd.DataFrame) else table[i, j]
        name = self.columns_.names[j]
        cell = cell.item() if isinstance(cell, np.generic) else cell
        if self.columns_.levels[j] is None:
            raise ValueError(
                f"Column {name!r} holds {cell!r}, and only whole numbers in the first batch: begin again with "
                f"column_kinds={{{name!r}: 'continuous'}}."
            )
        raise ValueError(
            f"Column {name!r} holds {cell!r}, which the first batch did not: declare it, by a categorical dtype or "
            "column_kinds=skgen.columns(...) of a table that holds every level."
        )

    def _warn_of_drift(self, coded: np.ndarray) -> None:
        at = np.flatnonzero(self.columns_.continuous)
        if not len(at) or not len(coded):
            return
        mean = (np.ones(len(coded)) @ coded)[at] / len(coded)
        if np.isnan(mean).any():
            seen = ~np.isnan(coded[:, at])
            mean = np.where(seen, coded[:, at], 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        far = np.abs(mean) > _FAR
        if far.any():
            names = ", ".join(repr(self.columns_.names[j]) for j in at[far][:5])
            warnings.warn(
                f"The mean of this batch lies more than {_FAR:g} standard deviations from the first batch in {names}: scales "
                "and pseudo-rows stay those of the first batch.",
                UserWarning,
                stacklevel=4,
            )
