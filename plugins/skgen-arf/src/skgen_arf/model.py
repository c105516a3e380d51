"""AdversarialRandomForest: a mixture of the leaves of trees that were grown to leave nothing dependent inside a leaf."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np

from skgen import GenerativeModel, Interval
from skgen_arf.levels import Levels
from skgen_arf.normals import Normals
from skgen_arf.rounds import Growth, play
from skgen_arf.trees import Trees
from skgen_arf.whole import Whole

__all__ = ["AdversarialRandomForest"]

_PAIRS = 2**18  # of a row and a leaf, in one piece of work
_FILLS = 3  # times that missing cells of the rows to fit are drawn anew
_ENOUGH = 10  # least leaves that complete rows must fill, to start from them
_SMALLEST = -690.0  # below this exponent a term changes no sum


class AdversarialRandomForest(GenerativeModel):
    r"""Adversarial random forest, p(x) = 1/T sum_t sum_l coverage_tl prod_j p_tl,j(x_j) over the leaves l of T trees.

    A forest learns to tell real rows from rows whose columns are independent. Its leaves, as mixture components, make better
    synthetic rows; the next forest learns to tell those, and so on until it cannot (Watson et al. 2023, algorithm 1). Then the
    columns are about independent inside a leaf, and each gets a distribution of its own there: a continuous column a normal
    truncated to the leaf's box, a binary or categorical one a table, an integer one a normal's masses on the integers mixed
    with the table of the column.

    Parameters
    ----------
    n_estimators : int, default=50
        Trees T. More make the density smoother and likelier on new rows; time and memory grow in proportion.
    min_samples_leaf : int, default=5
        Rows in a leaf, by weight: of those a tree is grown from, and again of the real ones, for which leaves are pruned.
    max_depth : int or None, default=None
    max_features : int, float, "sqrt", "log2" or None, default="sqrt"
        Columns looked at for a split, as scikit-learn's forests have it.
    max_iter : int, default=10
        Adversarial rounds after the first forest.
    tol : float, default=0.0
        delta: rows are not told apart when the out-of-bag accuracy is at most 1/2 + delta.
    alpha : float, default=0.1
        Pseudo-counts a level in a leaf, spread over the levels its box holds as over all rows; for an integer column,
        pseudo-rows for values never seen. 0 is maximum likelihood, and a level absent from a leaf impossible there.
    shrinkage : float, default=0.1
        Pseudo-rows in a leaf that carry a numeric column's variance over all rows.
    reg_covar : float, default=1e-6
        Added to each variance of a continuous column, in squared scales of the column over all rows.

    Attributes
    ----------
    accuracies_ : array of shape (n_iter_,)
        Out-of-bag accuracy of each forest grown; the one kept is the last but one of them, or the only one.
    converged_ : bool
        Whether the last accuracy is at most 1/2 + ``tol``. If it is not, the rounds stopped since it rose, or at ``max_iter``.
    n_leaves_ : int
        Leaves of all trees.
    n_iter_ : int
        Forests grown.

    Notes
    -----
    ``score_samples`` is exact, in nats and in the units of the data, and integrates to one: the boxes of a tree share out the
    space. A missing cell is integrated out exactly: a row then reaches every leaf whose box its observed cells allow.
    Categories enter the trees by their codes, so that a box holds a run of levels in their order; integers likewise. Missing cells
    of the rows given to ``fit`` are drawn from a fit to the complete rows, if there are enough, and three times again from
    the fit so far.

    ``n_parameters_`` counts coverages and the parameters of the leaves, not the splits.

    References
    ----------
    Watson, Blesch, Kapar & Wright (2023), "Adversarial random forests for density estimation and generative modeling",
    AISTATS, arXiv:2205.09435; Jelinek & Mercer (1980), "Interpolated estimation of Markov source parameters from sparse data".

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skgen_arf import AdversarialRandomForest
    >>> X, y = load_wine(return_X_y=True)
    >>> model = AdversarialRandomForest(random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.98)
    True
    >>> model.sample(3, y=1).shape
    (3, 13)
    """

    n_estimators: Annotated[int, Interval(1)] = 50
    min_samples_leaf: Annotated[int, Interval(1)] = 5
    max_depth: Annotated[int, Interval(1)] | None = None
    max_features: Annotated[int, Interval(1)] | Annotated[float, Interval(0, 1)] | Literal["sqrt", "log2"] | None = "sqrt"
    max_iter: Annotated[int, Interval(0)] = 10
    tol: Annotated[float, Interval(0)] = 0.0
    alpha: Annotated[float, Interval(0)] = 0.1
    shrinkage: Annotated[float, Interval(0)] = 0.1
    reg_covar: Annotated[float, Interval(0)] = 1e-6

    __skgen_api__ = 1
    kinds = frozenset({"continuous", "integer", "binary", "categorical"})
    likelihood = "exact"
    missing = "exact"
    missing_in_fit = True
    quick = MappingProxyType({"n_estimators": 3, "min_samples_leaf": 20, "max_iter": 1})

    # ---- fit

    def _fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        complete = ~np.isnan(X).any(axis=1)
        if complete.all():
            self._learn(X, weight, self.max_iter, rng)
            return
        # stochastic EM from the complete rows, or from independent columns if those are few. One draw of a cell each time: of
        # several, the observed cells would come as ties, by which any tree tells real rows from synthetic ones
        if complete.sum() >= _ENOUGH * self.min_samples_leaf:
            self._learn(X[complete], weight[complete], 0, rng)
            filled = self._sample_missing(X, rng)
        else:
            filled = self._from_margins(X, weight, rng)
        for _ in range(_FILLS):
            self._learn(filled, weight, 0, rng)
            filled = self._sample_missing(X, rng)
        self._learn(filled, weight, self.max_iter, rng)

    def _from_margins(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Each NaN cell from the observed cells of its column; where there are none, about one scale around zero."""
        out = X.copy()
        for j, kind in enumerate(self.columns_.kinds):
            gap = np.isnan(X[:, j])
            if gap.all():
                n_levels = max(int(self.columns_.n_levels[j]), 3 if kind == "integer" else 1)
                out[:, j] = rng.standard_normal(len(X)) if kind == "continuous" else rng.integers(n_levels, size=len(X))
            elif gap.any():
                share = weight[~gap] / weight[~gap].sum()
                out[gap, j] = rng.choice(X[~gap, j], int(gap.sum()), p=share)
        return out

    def _learn(self, X: np.ndarray, weight: np.ndarray, max_iter: int, rng: np.random.Generator) -> None:
        """From complete rows: the rounds, then the density in each leaf (FORDE, section 4)."""
        how = Growth(self.n_estimators, self.min_samples_leaf, self.max_depth, self.max_features)
        trees, accuracies, self.converged_ = play(X, weight, how, max_iter, self.tol, rng)
        self.accuracies_, self.n_iter_ = np.array(accuracies), len(accuracies)
        self._trees = trees.prune(X, weight, self.min_samples_leaf)
        leaf, box = self._trees.find(X), self._trees.regions(X.shape[1])
        self._mass = np.bincount(leaf.ravel(), np.repeat(weight, leaf.shape[1]), self._trees.n_leaves)
        kinds, seen = np.array(self.columns_.kinds), (X, weight, leaf, self._mass, box)
        self._normals = Normals.fit(np.flatnonzero(kinds == "continuous"), *seen, self.shrinkage, self.reg_covar)
        whole = np.flatnonzero(kinds == "integer").tolist()
        self._whole = [Whole.fit(j, *seen, self.shrinkage, self.alpha, rng) for j in whole]
        tables = np.flatnonzero(np.isin(kinds, ("binary", "categorical")))
        self._levels = Levels.fit(tables, np.asarray(self.columns_.n_levels)[tables], *seen, self.alpha)

    @property
    def _parts(self) -> list:
        """Distributions in the leaves, of disjoint columns."""
        return [self._normals, *self._whole, self._levels]

    # ---- log p and draws

    def _log_joint(self, X: np.ndarray, row: np.ndarray, leaf: np.ndarray) -> np.ndarray:
        """log coverage / T + sum_j log p_leaf,j(x_j), the sum over observed cells, of pairs of a row and a leaf."""
        out = np.log(self._mass / self._mass.sum())[leaf]  # the masses of each tree sum to the same
        for part in self._parts:
            part.add_log_prob(X, row, leaf, out)
        return out

    def _pieces(self, X: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Rows, and for pairs of them and a leaf they may fall in: position among those rows, ascending, and leaf."""
        gaps = np.isnan(X).sum(axis=1)
        complete, rest = np.flatnonzero(gaps == 0), np.argsort(gaps, kind="stable")[int((gaps == 0).sum()) :]
        trees = len(self._trees.root)
        step = max(1, _PAIRS // trees)
        for start in range(0, len(complete), step):
            rows = complete[start : start + step]
            yield rows, np.repeat(np.arange(len(rows)), trees), self._trees.find(X[rows]).ravel()
        step = max(1, _PAIRS // (4 * trees))
        while len(rest):
            rows = rest[:step]
            pairs = self._trees.reach(X[rows], _PAIRS if len(rows) > 1 else None)
            if pairs is None:  # too many at once
                step = len(rows) // 2
            else:
                yield rows, *pairs
                rest = rest[len(rows) :]

    def _log_prob(self, X: np.ndarray) -> np.ndarray:
        out = np.empty(len(X))
        for rows, row, leaf in self._pieces(X):
            log_p, first = self._log_joint(X[rows], row, leaf), np.searchsorted(row, np.arange(len(rows)))
            top = np.maximum.reduceat(log_p, first)
            top = np.where(np.isneginf(top), 0.0, top)
            terms = np.exp(np.maximum(log_p - top[row], _SMALLEST)) * ~np.isneginf(log_p)
            with np.errstate(divide="ignore"):
                out[rows] = np.log(np.add.reduceat(terms, first)) + top
        return out

    def _draw(self, leaf: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        out = np.empty((len(leaf), len(self.columns_)))
        for part in self._parts:
            part.draw(leaf, out, rng)
        return out

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self._draw(rng.choice(len(self._mass), n, p=self._mass / self._mass.sum()), rng)

    def _sample_missing(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        chosen = np.empty(len(X), dtype=np.intp)
        for rows, row, leaf in self._pieces(X):
            # p(leaf | observed cells); the greatest of log p plus Gumbel noise is a draw from it
            key = self._log_joint(X[rows], row, leaf) + rng.gumbel(size=len(row))
            order = np.lexsort((key, row))
            last = np.searchsorted(row, np.arange(len(rows)), side="right") - 1
            chosen[rows] = leaf[order[last]]
        return np.where(np.isnan(X), self._draw(chosen, rng), X)

    def _missing_moments(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        gaps, columns = np.isnan(X), self._normals.columns
        if np.delete(gaps, columns, axis=1).any():
            return None  # a table has no mean, and masses on the integers have none in closed form
        mean, variance = X.copy(), np.zeros(X.shape)
        each_mean, each_variance = self._normals.moments()
        for rows, row, leaf in self._pieces(X):
            log_p, first = self._log_joint(X[rows], row, leaf), np.searchsorted(row, np.arange(len(rows)))
            top = np.maximum.reduceat(log_p, first)
            share = np.exp(np.maximum(log_p - np.where(np.isneginf(top), 0.0, top)[row], _SMALLEST))
            share /= np.add.reduceat(share, first)[row]
            for c, j in enumerate(columns):
                m, v = each_mean[leaf, c], each_variance[leaf, c]
                centre = np.add.reduceat(share * m, first)
                # Var x = E Var(x | leaf) + Var E(x | leaf)
                spread = np.add.reduceat(share * (v + (m - centre[row]) ** 2), first)
                here = gaps[rows, j]
                mean[rows[here], j], variance[rows[here], j] = centre[here], spread[here]
        return mean, variance

    # ---- what a user reads, and what a file keeps

    @property
    def n_leaves_(self) -> int:
        return self._trees.n_leaves

    def _n_parameters(self) -> int:
        L, trees = self._trees.n_leaves, len(self._trees.root)
        numeric = 2 * L * (len(self._normals.columns) + len(self._whole))
        levels = np.isfinite(self._levels.log_theta).sum() - L * len(self._levels.columns)
        tables = sum(len(one.values) for one in self._whole)  # shares, and tables whose sum is one
        return int(L - trees + numeric + levels + tables)

    def _get_state(self) -> dict[str, Any]:
        if "_trees" not in vars(self):
            return {}
        t, normals, levels = self._trees, self._normals, self._levels
        state = {"root": t.root, "feature": t.feature.astype(np.int32), "threshold": t.threshold}
        state |= {"left": t.left.astype(np.int32), "right": t.right.astype(np.int32)}
        state |= {"columns": normals.columns, "mean": normals.mean, "sd": normals.sd}
        state |= {
            "tables": levels.columns,
            "n_levels": levels.n_levels,
            "where": _packed(levels.where),
            "count": _packed(levels.count),
        }
        state |= {"total": levels.total, "alpha": levels.alpha}
        each = ("column", "mean", "sd", "share", "values", "count", "logistic")
        return state | {"whole": [{name: getattr(one, name) for name in each} for one in self._whole]}

    def _set_state(self, state: dict[str, Any]) -> None:
        if not state:
            return
        links = (state[name].astype(np.intp) for name in ("left", "right"))
        self._trees = Trees(state["feature"].astype(np.intp), state["threshold"], *links, state["root"])
        lower, upper = self._trees.regions(len(self.columns_))
        columns = state["columns"]
        self._normals = Normals(columns, state["mean"], state["sd"], lower[:, columns], upper[:, columns])
        self._whole = [
            Whole(**one, lower=np.floor(lower[:, one["column"]]) + 0.5, upper=np.floor(upper[:, one["column"]]) + 0.5)
            for one in state["whole"]
        ]
        tables, where, count = state["tables"], state["where"].astype(np.intp), state["count"].astype(float)
        boxes = lower[:, tables], upper[:, tables]
        self._levels = Levels(tables, state["n_levels"], where, count, state["total"], *boxes, state["alpha"])


def _packed(a: np.ndarray) -> np.ndarray:
    """Whole numbers in as few bytes as hold them; other arrays as they are."""
    for kind in (np.uint8, np.uint16, np.uint32):
        if len(a) and a.max() <= np.iinfo(kind).max and (a == a.astype(kind)).all():
            return a.astype(kind)
    return a
