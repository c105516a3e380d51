"""The Chow-Liu tree: each column depends on one other, and no tree is likelier."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd

from skgen.base import GenerativeModel
from skgen.ops.counts import PairCounts
from skgen.ops.trees import Tree, maximum_spanning_tree
from skgen.parameters import Interval

__all__ = ["ChowLiuTree"]

_MOST_CELLS = 25_000_000  # of one pairwise table: 200 MB


class ChowLiuTree(GenerativeModel):
    r"""A tree over the columns, p(x) = p(x_root) prod_i p(x_i | x_parent(i)), the likeliest of all trees.

    It is the spanning tree with the greatest sum of mutual informations (Chow & Liu 1968), one for each class: a Bayesian
    network in which no column has two parents.
    Continuous and integer columns are cut into bins at their quantiles, exactly: log p stays that of the data.

    Parameters
    ----------
    alpha : float, default=1.0
        Pseudo-counts in each cell of each pairwise table, N + alpha K_i K_j rows in all. Mutual information and
        conditionals come from that table, the root's margin from its table with the neighbour it tells most about. 0 is
        maximum likelihood.
    n_bins : int or None
        Bins a continuous or integer column; None is the cube root of the number of rows a class, between 2 and 16.
    max_iter : int, default=100
        Most steps of EM, taken only where cells are missing in ``fit``.
    tol : float, default=1e-6
        EM stops when a step adds less than this to the mean log-likelihood (nats a row).

    Attributes
    ----------
    parents_ : dict
        {column: its parent, None for the root}. The root has the greatest sum of mutual informations with the others;
        with equally many levels in all columns, another root would change no probability.
    graph_ : dict
        {column: [parents]}, as a Bayesian network is given.
    tables_ : dict of DataFrame
        {column: p(column | parent)}, a row for each level of the parent; the root has one row. For a binned column a
        level is its interval.
    n_iter_ : int
        Steps of EM.

    Notes
    -----
    ``score_samples`` is exact, in nats, and exact for rows with missing cells: a sum over all their completions, by one
    pass from the leaves to the root. If cells are missing in ``fit``, each mutual information is that of the rows where
    both columns are observed, and the tables are then found by EM on that tree (exact posteriors over its edges), so they are
    maximum-likelihood ones (for alpha > 0, most probable ones) where cells are missing at random, given the tree.

    Raises ValueError naming two columns whose table would have more than 25 million cells.

    References
    ----------
    Chow & Liu (1968), "Approximating discrete probability distributions with dependence trees", IEEE Transactions on
    Information Theory 14(3).

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import ChowLiuTree
    >>> rng = np.random.default_rng(0)
    >>> a = rng.random(500) < 0.5
    >>> X = np.column_stack([a, rng.random(500) < 0.5, a ^ (rng.random(500) < 0.1)])  # the third copies the first
    >>> model = ChowLiuTree().fit(X)
    >>> model.parents_
    {0: 2, 1: 2, 2: None}
    >>> model.score_samples(np.array([[True, np.nan, True]])).round(1)
    array([-0.9])
    """

    alpha: Annotated[float, Interval(0)] = 1.0
    n_bins: Annotated[int, Interval(2, 1000)] | None = None
    max_iter: Annotated[int, Interval(1)] = 100
    tol: Annotated[float, Interval(0)] = 1e-6

    kinds = frozenset({"binary", "categorical"})
    missing = "exact"
    missing_in_fit = True
    streams = True

    def _fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        levels = self.columns_.n_levels
        self._check_size(levels)
        counts = PairCounts(X, weight, levels)
        self._read(counts)
        if not counts.complete:
            self._expectation_maximisation(X, weight, self.max_iter)

    def _partial_fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        # a cell that is missing is left out of the tables of its column; those of other pairs have the row
        levels = self.columns_.n_levels
        self._check_size(levels)
        counts = vars(self).get("_counts", PairCounts(X[:0], weight[:0], levels)) + PairCounts(X, weight, levels)
        self._read(counts)
        self._counts = counts

    def _read(self, counts: PairCounts) -> None:
        """The likeliest tree for these tables."""
        levels = counts.levels
        # the spanning tree of the mutual informations is the likeliest tree (Chow & Liu 1968, section III)
        # equal edges (a column and its copy) must be seen as equal in spite of rounding: which one is taken is a rule then
        information = counts.mutual_information(self.alpha).round(10)
        np.fill_diagonal(information, 0.0)
        root = int(information.sum(axis=1).round(8).argmax())
        parents, order = maximum_spanning_tree(information, root)
        own = [counts.table(max(above, 0), i) for i, above in enumerate(parents.tolist())]
        own[root] = np.atleast_2d(counts.table(root, root).diagonal())
        neighbour = int(levels[order[1]]) if len(order) > 1 else 1
        self._tree = Tree(parents, order, self._smooth(own, root, neighbour))
        self.n_iter_ = 1

    def _check_size(self, levels: np.ndarray) -> None:
        if len(levels) < 2:
            return
        i, j = np.argsort(-levels, kind="stable")[:2]
        if levels[i] * levels[j] > _MOST_CELLS:
            a, b = self.columns_.names[i], self.columns_.names[j]
            raise ValueError(
                f"Columns {a!r} and {b!r} have {levels[i]} and {levels[j]} levels, too many for a table of both: "
                "merge levels or drop one of the two."
            )

    def _smooth(self, counts: list[np.ndarray], root: int, neighbour: int) -> list[np.ndarray]:
        """p(b | a) = (c(a, b) + alpha) / (c(a) + alpha K_b); the root's is the margin of its table with ``neighbour`` levels."""
        tables = []
        for i, table in enumerate(counts):
            c = table + self.alpha * (neighbour if i == root else 1)
            total = c.sum(axis=1, keepdims=True)
            if self.alpha == 0 and not total.all():  # a level of the parent never seen, and no pseudo-count
                c, total = np.where(total > 0, c, 1.0), np.where(total > 0, total, c.shape[1])
            tables.append(c / total)
        return tables

    def _expectation_maximisation(self, X: np.ndarray, weight: np.ndarray, max_iter: int) -> None:
        """The tables of the present tree from rows with missing cells. The penalised likelihood never falls."""
        tree = self._tree
        gaps = np.isnan(X).any(axis=1)
        complete = tree.observed_counts(X[~gaps], weight[~gaps])
        X, w = X[gaps], weight[gaps]
        neighbour = tree.tables[tree.order[1]].shape[1] if len(tree.order) > 1 else 1
        last = -np.inf
        for step in range(max_iter):
            expected, log_p = tree.expected_counts(X, w)
            now = log_p + sum(float(c[c > 0] @ t[c > 0]) for c, t in zip(complete, tree.log_tables, strict=True))
            if abs(now - last) < self.tol * weight.sum():
                break
            last = now
            both = [a + b for a, b in zip(complete, expected, strict=True)]
            tree = Tree(tree.parents, tree.order, self._smooth(both, int(tree.order[0]), neighbour))
            self.n_iter_ = step + 1
        self._tree = tree

    def _update(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        # a refit maximises the likelihood of complete rows; with gaps the tree stands, so that an outer EM never falls
        if np.isnan(X).any():
            self._expectation_maximisation(X, weight, 1)
        else:
            self._fit(X, weight, rng)

    def _log_prob(self, X: np.ndarray) -> np.ndarray:
        return self._tree.log_prob(X)

    def _log_smoothing(self) -> float:
        if not self.alpha:
            return 0.0
        tree = self._tree
        neighbour = tree.tables[tree.order[1]].shape[1] if len(tree.order) > 1 else 1
        each = [float(table.sum()) for table in tree.log_tables]
        return self.alpha * (sum(each) + (neighbour - 1) * each[int(tree.order[0])])

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self._tree.sample(n, rng)

    def _sample_missing(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self._tree.sample_missing(X, rng)

    # ---- what a user reads

    @property
    def parents_(self) -> dict:
        names = self.columns_.names
        return {name: None if above < 0 else names[above] for name, above in zip(names, self._tree.parents.tolist(), strict=True)}

    @property
    def graph_(self) -> dict:
        return {name: [] if above is None else [above] for name, above in self.parents_.items()}

    @property
    def tables_(self) -> dict:
        out = {}
        for i, (name, above) in enumerate(zip(self.columns_.names, self._tree.parents.tolist(), strict=True)):
            levels = pd.Index(self.columns_.levels[i], name=name)
            rows = pd.Index([0]) if above < 0 else pd.Index(self.columns_.levels[above], name=self.columns_.names[above])
            out[name] = pd.DataFrame(self._tree.tables[i].copy(), index=rows, columns=levels)
        return out

    def _n_parameters(self) -> int:
        return sum(len(table) * (table.shape[1] - 1) for table in self._tree.tables)
