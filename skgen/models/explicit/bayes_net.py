"""Bayesian networks: each column depends on the columns that a graph gives it as parents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from scipy.special import xlogy
from sklearn.utils.validation import check_is_fitted

from skgen import bayes
from skgen.base import GenerativeModel
from skgen.models.explicit._network_input import columns_of, position, read_graph, read_table
from skgen.ops.counts import PairCounts
from skgen.ops.graphs import d_separated
from skgen.ops.junction import MOST_CELLS, Network
from skgen.ops.linear_gaussian import MixedNetwork
from skgen.ops.structure import MixedScore, TableScore, hill_climb, mixed_information
from skgen.ops.trees import maximum_spanning_tree
from skgen.parameters import Interval

__all__ = ["BayesianNetwork"]

_GRAPHS = ("chow_liu", "hill_climb", "empty", "chain", "complete")


class BayesianNetwork(GenerativeModel):
    r"""A directed acyclic graph over the columns, p(x) = prod_i p(x_i | x_parents(i)), with a table a column.

    Every question is answered exactly and for many rows at once: log p with any cells missing, draws of some cells
    given others, posteriors of all columns (:meth:`marginals`), independence read off the graph
    (:meth:`is_independent`). Continuous and integer columns are cut into bins at their quantiles, exactly, so that log p
    stays that of the data; or they are linear in their continuous parents with normal noise.

    Parameters
    ----------
    graph : str or dict, default="chow_liu"
        {column: [its parents]}, by names or positions; a column that is no key has no parents. Or how to find one:
        "chow_liu" (the likeliest tree), "hill_climb" (adding, removing and reversing arrows while ``criterion`` gains),
        "empty" (independent columns), "chain" (each column given the one before), "complete" (each given all before).
        With classes, one graph a class is found.
    tables : dict, optional
        {column: its table}, used as given; the other columns' tables are fitted. A table is a DataFrame with a row for
        each configuration of the parents and a column for each state, a mapping {configuration: {state: p}} ({state: p}
        without parents; a configuration is the parent's state, or a tuple of states), or an array with rows over
        the parents' levels, the last parent fastest, in the order of ``columns_.levels``.
    alpha : float, default=0.5
        Pseudo-counts in each cell of each table (0.5: the prior of Jeffreys). 0 is maximum likelihood.
        In a regression, pseudo-rows of independent columns with the mean and spread of all rows.
    continuous : {"bins", "linear_gaussian"}
        What continuous columns are. "linear_gaussian": normal given their parents, with a mean linear in the continuous
        ones, and a regression of its own for each configuration of the discrete ones. A discrete column then cannot
        have a continuous parent; "chain" and "complete" take the discrete columns first, and in "chow_liu" the continuous
        ones hang on the tree of the discrete ones. Integers are dequantised.
    criterion : {"bic", "bdeu"}
        What "hill_climb" climbs on: the Bayesian information criterion, or the marginal likelihood under a Dirichlet
        prior of 10 rows spread evenly over each table (linear-Gaussian columns: by the former).
    max_parents : int or None, default=5
        Most parents a column may have in "hill_climb".
    n_bins : int or None
        Bins a continuous or integer column; None lets the number of rows decide, see :mod:`skgen.conversions`.
    max_iter : int, default=100
        Most steps of EM, taken only where cells are missing in ``fit``.
    tol : float, default=1e-6
        EM stops when a step adds less than this to the objective (nats a row).

    Attributes
    ----------
    graph_ : dict
        {column: [parents]}.
    parents_ : dict
        The same as tuples.
    tables_ : dict of DataFrame
        {column: p(column | parents)}, a row for each configuration of the parents; one row without parents. For a
        linear-Gaussian column the rows are the configurations of its discrete parents, and the cells the intercept,
        the slope on each continuous parent and the standard deviation "sd" of the noise, in the units of the data.
    history_ : array of shape (n_iter_,)
        What EM climbs on, before each step: mean log-likelihood plus the log prior of ``alpha`` a row (nats).
    n_iter_ : int
        Steps of EM.

    Notes
    -----
    ``score_samples`` is exact, in nats. Missing cells are summed over by variable elimination along a greedy
    (weighted min-fill) order, rows side by side; the cost is that of the largest table in that order.

    If cells are missing in ``fit``, "chow_liu" takes each mutual information from the rows that observe both columns;
    "hill_climb" searches on the table completed by one draw from that tree; the tables are then found by EM.

    Raises ValueError for a graph with a cycle or an unknown column, a given table that does not sum to one, a table of
    more than 2^22 cells, and a question whose sum needs a larger one (naming the treewidth). Linear-Gaussian columns with
    missing cells are integrated out in closed form for each joint level of the discrete columns that they depend on and
    that the row misses; more than 4,096 of those are refused.

    References
    ----------
    Pearl (1988), *Probabilistic Reasoning in Intelligent Systems*; Lauritzen & Spiegelhalter (1988), "Local computations
    with probabilities on graphical structures", JRSS B 50(2); Heckerman, Geiger & Chickering (1995), "Learning Bayesian
    networks", Machine Learning 20(3); Lauritzen & Wermuth (1989), "Graphical models for associations between variables,
    some of which are qualitative and some quantitative", Annals of Statistics 17(1).

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from skgen import BayesianNetwork
    >>> rng = np.random.default_rng(0)
    >>> rain = rng.random(2000) < 0.3
    >>> wet = np.where(rain, rng.random(2000) < 0.9, rng.random(2000) < 0.2)
    >>> X = pd.DataFrame({"rain": rain, "wet": wet})
    >>> model = BayesianNetwork(graph={"wet": ["rain"]}).fit(X)
    >>> model.tables_["wet"].loc[True].round(1).to_dict()
    {False: 0.1, True: 0.9}
    >>> model.marginals({"wet": True})["rain"].round(1).to_dict()
    {False: 0.4, True: 0.6}
    """

    graph: str | dict = "chow_liu"
    tables: dict | None = None
    alpha: Annotated[float, Interval(0)] = 0.5
    continuous: Literal["bins", "linear_gaussian"] = "bins"
    criterion: Literal["bic", "bdeu"] = "bic"
    max_parents: Annotated[int, Interval(1)] | None = 5
    n_bins: Annotated[int, Interval(2, 1000)] | None = None
    max_iter: Annotated[int, Interval(1)] = 100
    tol: Annotated[float, Interval(0)] = 1e-6

    missing = "exact"
    missing_in_fit = True

    @property
    def kinds(self) -> frozenset[str]:
        discrete = frozenset({"binary", "categorical"})
        return discrete | {"continuous"} if self.continuous == "linear_gaussian" else discrete

    # ---- a network given whole

    @classmethod
    def from_dict(cls, network: Mapping, **parameters: Any) -> BayesianNetwork:
        """A fitted estimator from a network given whole, without data.

        Parameters
        ----------
        network : mapping
            "states": {node: [its states]}; "parents": {node: [its parents]}; "tables" (or "cpt"): {node: table}, as the
            parameter ``tables`` (rows run over the parents' states, the last parent fastest); "nodes", optional: their
            order.
        **parameters
            Of the estimator, such as ``random_state`` or the ``alpha`` of a later fit.

        Returns
        -------
        BayesianNetwork
            Takes and returns data frames with a column for each node. ``fit`` would keep the graph and fit the tables.

        Raises
        ------
        ValueError
            Naming the node at fault.

        Examples
        --------
        >>> model = BayesianNetwork.from_dict({
        ...     "states": {"rain": ["yes", "no"], "wet": ["yes", "no"]},
        ...     "parents": {"rain": [], "wet": ["rain"]},
        ...     "tables": {"rain": [[0.3, 0.7]], "wet": [[0.9, 0.1], [0.2, 0.8]]},
        ... })
        >>> model.marginals()["wet"].round(2).to_dict()
        {'yes': 0.41, 'no': 0.59}
        """
        absent = [part for part in ("states", "parents") if part not in network]
        if absent or ("tables" not in network and "cpt" not in network):
            raise ValueError(f"The network lacks {(absent or ['tables'])[0]!r}: give 'states', 'parents' and 'tables'.")
        tables = network["tables"] if "tables" in network else network["cpt"]
        states = network["states"]
        nodes = list(network.get("nodes", states))
        for node in (*nodes, *states):
            if node not in states or node not in nodes:
                raise ValueError(f"Node {node!r} is not in both 'nodes' and 'states': name each node in both.")
        columns = columns_of({node: states[node] for node in nodes})
        model = cls(graph=dict(network["parents"]), **parameters)
        model._validate_parameters()
        model._prepare(columns, np.empty((0, len(nodes))), np.empty(0))
        part = model._fitted
        density = part.part(part.columns_)
        density._net = Network(*density._given_tables(tables, read_graph(model.graph, columns)))
        density._history, density.n_iter_ = [], 1
        part.densities_ = [density]
        model.n_features_in_ = len(nodes)
        if all(isinstance(node, str) for node in nodes):
            model.feature_names_in_ = np.array(nodes, dtype=object)
        return model

    def _given_tables(self, tables: Mapping, parents: list[list[int]]) -> tuple[list[list[int]], list[np.ndarray]]:
        self._check_sizes(parents)
        given = self._read_tables(tables, parents)
        for i, name in enumerate(self.columns_.names):
            if i not in given:
                raise ValueError(f"Node {name!r} has no table: give one to every node.")
        return parents, [given[i] for i in range(len(parents))]

    def _read_tables(self, tables: Mapping | None, parents: list[list[int]]) -> dict[int, np.ndarray]:
        found = {}
        for node, table in (tables or {}).items():
            i = position(self.columns_, node, "tables")
            if self.columns_.levels[i] is None:
                raise ValueError(f"tables names {node!r}, a continuous column, which has no table: leave it out, to be fitted.")
            found[i] = read_table(table, i, parents[i], self.columns_)
        return found

    # ---- fit

    def _fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        parents = self._find_graph(X, weight, rng)
        self._check_sizes(parents)
        levels = self.columns_.n_levels.tolist()
        self._given = self._read_tables(self.tables, parents)
        self._history: list[float] = []
        self.n_iter_ = 1
        net: Network | MixedNetwork
        if all(levels):
            net = Network(parents, [np.full([levels[j] for j in (*above, i)], 1 / levels[i]) for i, above in enumerate(parents)])
        else:
            net = MixedNetwork(parents, levels)
        self._net = self._refit(net, net.observed_counts(X, weight))
        if np.isnan(X).any():
            # a count of nothing would stay nothing in EM, so it starts a little above
            self._net = self._refit(net, net.observed_counts(X, weight), self.alpha + 0.5)
            self._expectation_maximisation(X, weight, self.max_iter)

    def _refit(self, net: Any, counts: list[np.ndarray], alpha: float | None = None) -> Any:
        return net.refit(counts, self.alpha if alpha is None else alpha).fix(self._given)

    def _expectation_maximisation(self, X: np.ndarray, weight: np.ndarray, max_iter: int) -> None:
        """Tables of the present graph from rows with missing cells. Log-likelihood plus log prior never falls."""
        gaps = np.isnan(X).any(axis=1)
        X, w, whole, total = X[gaps], weight[gaps], X[~gaps], weight.sum()
        complete = self._net.observed_counts(whole, weight[~gaps])
        for step in range(max_iter):
            expected, log_p = self._net.expected_counts(X, w)
            now = float(log_p + self._net.log_prob(whole) @ weight[~gaps] + self._net.log_prior(self.alpha)) / total
            self._history.append(now)
            self.n_iter_ = len(self._history)
            if step and now - self._history[-2] < self.tol:
                break
            self._net = self._refit(self._net, [a + b for a, b in zip(complete, expected, strict=True)])

    def _update(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        # the graph stands, so that an outer EM never falls
        if np.isnan(X).any():
            self._expectation_maximisation(X, weight, 1)
        else:
            self._net = self._refit(self._net, self._net.observed_counts(X, weight))

    def _log_smoothing(self) -> float:
        return self._net.log_prior(self.alpha)

    def _check_sizes(self, parents: list[list[int]]) -> None:
        names, levels = self.columns_.names, self.columns_.n_levels
        for i, above in enumerate(parents):
            wrong = [j for j in above if not levels[j]] if levels[i] else []
            if wrong:
                raise ValueError(
                    f"Column {names[i]!r} is discrete and has the continuous parent {names[wrong[0]]!r}, which no linear-Gaussian "
                    "network allows: turn the arrow, or use continuous='bins'."
                )
            cells = float(np.prod([float(levels[j]) for j in (*above, i) if levels[j]]))
            if cells > MOST_CELLS:
                raise ValueError(
                    f"Column {names[i]!r} with its {len(above)} parents needs a table of {cells:.3g} cells, more than "
                    f"{MOST_CELLS}: give it fewer parents, or its columns fewer levels (n_bins)."
                )

    # ---- graphs

    def _find_graph(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> list[list[int]]:
        if not isinstance(self.graph, str):
            return read_graph(self.graph, self.columns_)
        parents: list[list[int]] = [[] for _ in self.columns_.names]
        order = np.argsort(self.columns_.n_levels == 0, kind="stable").tolist()  # discrete columns first
        if self.graph == "empty":
            return parents
        if self.graph in ("chain", "complete"):
            for at, i in enumerate(order):
                parents[i] = sorted(order[:at]) if self.graph == "complete" else order[max(at - 1, 0) : at]
            return parents
        if self.graph == "chow_liu":
            return self._tree(X, weight)
        if self.graph == "hill_climb":
            return self._climb(X, weight, rng)
        raise ValueError(f"graph={self.graph!r} must be a dict {{column: [parents]}} or one of {', '.join(map(repr, _GRAPHS))}.")

    def _in_order(self, X: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Columns from the most even to the most certain, discrete ones first.

        Where data cannot tell two graphs apart, the first column decides; in this order it is the same one however the
        columns stand.
        """
        levels = self.columns_.n_levels
        certain = np.zeros(len(levels))
        for i, k in enumerate(levels.tolist()):
            seen = ~np.isnan(X[:, i])
            if k and seen.any():
                p = np.bincount(X[seen, i].astype(np.intp), weight[seen], k) / weight[seen].sum()
                certain[i] = xlogy(p, p).sum().round(10)
        return np.lexsort((np.arange(len(levels)), certain, levels == 0))

    def _tree(self, X: np.ndarray, weight: np.ndarray) -> list[list[int]]:
        order = self._in_order(X, weight)
        X, levels = X[:, order], self.columns_.n_levels[order]
        if (levels > 0).all():
            information = PairCounts(X, weight, levels).mutual_information(self.alpha)
        else:
            information = mixed_information(X, weight, levels.tolist(), self.alpha)
            # first the tree of the discrete columns: none of them may have a continuous parent
            information += 1e3 * np.outer(levels > 0, levels > 0)
        # rounded, so that equal edges are seen as equal and a rule decides between them
        parents, _ = maximum_spanning_tree(information.round(10))
        return self._back(order, [[] if above < 0 else [above] for above in parents.tolist()])

    @staticmethod
    def _back(order: np.ndarray, parents: list[list[int]]) -> list[list[int]]:
        """A graph over columns in some order, over the columns as they stand."""
        out: list[list[int]] = [[] for _ in parents]
        for at, above in enumerate(parents):
            out[order[at]] = sorted(order[above].tolist())
        return out

    def _climb(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> list[list[int]]:
        if np.isnan(X).any():
            tree = self.part(self.columns_)
            tree.graph, tree.tables = "chow_liu", None
            tree._fit(X, weight, rng)
            X = tree._sample_missing(X, rng)
        order = self._in_order(X, weight)
        X, levels = X[:, order], self.columns_.n_levels[order]
        score: TableScore | MixedScore = TableScore(X, weight, levels.tolist(), self.criterion)
        allowed = None
        if not (levels > 0).all():
            score = MixedScore(X, weight, levels.tolist(), score, self.alpha)
            allowed = (levels > 0)[:, None] | (levels == 0)
        return self._back(order, hill_climb(score, len(levels), self.max_parents, allowed))

    # ---- what the base asks

    def _log_prob(self, X: np.ndarray) -> np.ndarray:
        return self._net.log_prob(X)

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self._net.sample(n, rng)

    def _sample_missing(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self._net.sample_missing(X, rng)

    def _n_parameters(self) -> int:
        return self._net.n_parameters()

    # ---- what a user asks

    def marginals(self, evidence: Any = None) -> dict:
        """p(column | evidence) of every column at once.

        Parameters
        ----------
        evidence : {column: value}, or array-like or data frame of shape (n, d), optional
            Observed cells; in a table, NaN marks the others. None: the margins of p(x).

        Returns
        -------
        dict
            {column: Series over its levels}; for a table {column: DataFrame of shape (n, levels)}. A column that is
            itself observed has probability one at its value; for a binned column a level is its interval. A
            linear-Gaussian column has "mean" and "sd" in their place, in the units of the data. With classes, all are
            averaged over p(y | evidence).

        Raises
        ------
        ValueError
            If the evidence has probability zero, or names a column or value that fit did not see.
        """
        check_is_fitted(self, "columns_")
        single = evidence is None or isinstance(evidence, Mapping)
        coded = self._rows_given(evidence or {}) if single else self._coded_question(evidence)[0]
        Z, _ = self._coding.encode(coded)
        densities = self._fitted.densities_
        share = np.ones((len(Z), 1))
        if "classes_" in vars(self):
            share = np.exp(bayes.log_posterior(self._log_prob_coded(coded) + self.class_log_prior_, self.class_log_prior_))
        found = [density._net.marginals(Z) for density in densities]
        index = evidence.index if isinstance(evidence, pd.DataFrame) else None
        out = {}
        seen_by_parts = self._fitted.columns_
        for j, name in enumerate(self.columns_.names):
            if seen_by_parts.levels[j] is None:
                frame = pd.DataFrame(self._mean_and_sd(j, share, [one[j] for one in found]), columns=["mean", "sd"], index=index)
                out[name] = frame.iloc[0].rename(None) if single else frame
                continue
            p = sum(share[:, [k]] * one[j] for k, one in enumerate(found))
            if not (p.sum(axis=1) > 0.5).all():
                row = "" if single else f" of row {int(np.argmin(p.sum(axis=1)))}"
                raise ValueError(
                    f"The evidence{row} has probability zero: nothing follows from it. Change it, or fit with alpha > 0."
                )
            frame = pd.DataFrame(p, columns=pd.Index(seen_by_parts.levels[j], name=name), index=index)
            out[name] = frame.iloc[0].rename(None) if single else frame
        return out

    def _mean_and_sd(self, j: int, share: np.ndarray, found: list[np.ndarray]) -> np.ndarray:
        """Of a mixture over classes, in data units."""
        c = self._fitted.columns_
        mean = sum(share[:, k] * one[:, 0] for k, one in enumerate(found))
        second = sum(share[:, k] * (one[:, 1] ** 2 + one[:, 0] ** 2) for k, one in enumerate(found))
        sd = found[0][:, 1] if len(found) == 1 else np.sqrt(np.maximum(second - mean**2, 0))
        return np.column_stack([mean * c.scale[j] + c.loc[j], sd * c.scale[j]])

    def is_independent(self, a: Any, b: Any, given: Any = ()) -> bool:
        """Whether the graph says that columns are independent given others, by d-separation.

        Parameters
        ----------
        a, b, given : column, or list of columns
            By name or position.

        Returns
        -------
        bool
            True means independent whatever the tables; False, that some tables make them dependent. With classes:
            within every class.

        Examples
        --------
        >>> X = np.random.default_rng(0).integers(0, 2, (100, 3))
        >>> model = BayesianNetwork(graph={2: [0, 1]}).fit(X)
        >>> model.is_independent(0, 1), model.is_independent(0, 1, given=2)
        (True, False)
        """
        check_is_fitted(self, "columns_")
        sets = [self._positions(which, what) for which, what in ((a, "a"), (b, "b"), (given, "given"))]
        return all(d_separated(density._parents, *sets) for density in self._fitted.densities_)

    def _positions(self, which: Any, what: str) -> list[int]:
        several = isinstance(which, Iterable) and not isinstance(which, (str, bytes))
        if several and isinstance(which, tuple) and which in self.columns_.names:  # a tuple may itself be a name
            several = False
        return [position(self.columns_, name, what) for name in (which if several else [which])]

    # ---- what a user reads

    @property
    def _parents(self) -> Sequence[Sequence[int]]:
        return self._net.parents

    @property
    def graph_(self) -> dict:
        names = self.columns_.names
        return {names[i]: [names[j] for j in above] for i, above in enumerate(self._parents)}

    @property
    def parents_(self) -> dict:
        return {name: tuple(above) for name, above in self.graph_.items()}

    @property
    def history_(self) -> np.ndarray:
        return np.array(self._history)

    @property
    def tables_(self) -> dict:
        c, out = self.columns_, {}
        for i, above in enumerate(self._parents):
            discrete = [j for j in above if c.levels[j] is not None]
            rows: pd.Index = pd.RangeIndex(1)
            if len(discrete) == 1:
                rows = pd.Index(c.levels[discrete[0]], name=c.names[discrete[0]])
            elif discrete:
                rows = pd.MultiIndex.from_product([c.levels[j] for j in discrete], names=[c.names[j] for j in discrete])
            if c.levels[i] is None:
                linear = [j for j in above if c.levels[j] is None]
                cells, names = self._regression_table(i, linear), ["intercept", *(c.names[j] for j in linear), "sd"]
            else:
                cells, names = self._net.table(i).reshape(-1, len(c.levels[i])).copy(), pd.Index(c.levels[i], name=c.names[i])
            out[c.names[i]] = pd.DataFrame(cells, index=rows, columns=names)
        return out

    def _regression_table(self, i: int, linear: list[int]) -> np.ndarray:
        """Intercept, slopes and deviation in data units: (y - l) / s = b_0 + sum_j b_j (x_j - l_j) / s_j."""
        c = self.columns_
        b, v = self._net.regression(i)
        slopes = c.scale[i] * b[:, 1:] / c.scale[linear]
        intercept = c.loc[i] + c.scale[i] * b[:, 0] - slopes @ c.loc[linear]
        return np.column_stack([intercept, slopes, c.scale[i] * np.sqrt(v)])
