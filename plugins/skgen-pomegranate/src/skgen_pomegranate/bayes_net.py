"""pomegranate's Bayesian network."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pomegranate.bayesian_network import BayesianNetwork, _learn_structure
from pomegranate.distributions import Categorical, ConditionalCategorical

from skgen import Interval
from skgen_pomegranate._base import FAILURES, Adapter, draw, whole

__all__ = ["PomegranateBayesianNetwork"]

_MOST_CELLS = 2**22  # of one table


class PomegranateBayesianNetwork(Adapter):
    r"""pomegranate's network of tables over discrete columns, p(x) = prod_i p(x_i | x_parents(i)).

    Structure, tables and log p are pomegranate's; draws are taken from its tables. Continuous and integer columns are cut
    into bins at their quantiles by skgen.

    Parameters
    ----------
    algorithm : {"chow-liu", "exact"}
        How pomegranate finds the structure: the likeliest tree, or the best network by dynamic programming over all
        subsets of columns (time and memory grow as 2^d).
    graph : dict, optional
        {column: [its parents]}, by names or positions; a column that is no key has no parents. Used as given in place of
        ``algorithm``.
    inertia : float, default=0.05
        Share of the table as it was that stays in each fitted table, and so the only smoothing that pomegranate has for
        all tables: p = inertia / levels + (1 - inertia) * observed share. Its own default is 0, maximum likelihood, where
        log p of a combination that ``fit`` did not see is -inf.
    pseudocount : float, default=0
        Added to counts in the search for a structure; pomegranate does not add it to the tables.
    max_parents : int, optional
        Most parents of a column in "exact"; by default pomegranate's rule, log2(2 w / log2 w) for weights of sum w.
    n_bins : int, optional
        Bins a continuous or integer column; None lets the number of rows decide.

    Attributes
    ----------
    graph_ : dict
        {column: [parents]}.
    tables_ : dict
        {column: array of shape (levels of each parent ..., levels)}, p(column | parents).
    network_ : pomegranate.bayesian_network.BayesianNetwork
        The network with these tables in double precision, built anew each time; it takes codes.

    Notes
    -----
    ``score_samples`` is exact, in nats: the sum of the nodes' own ``log_probability``, taken in double precision where the
    network's adds up in single. pomegranate 1.1.2 walks over rows in Python there,
    so that a node is asked for each combination of a column and its parents once. Tables are counted in single
    precision. A Chow-Liu tree of columns with unlike numbers of levels, or with a pair of levels that never meet, is made
    of logarithms of nothing in pomegranate 1.1.2, and "exact" likewise unless ``pseudocount`` > 0: see the README.

    Raises ValueError for a graph with a cycle or an unknown column, a table of more than 2^22 cells, and where pomegranate
    finds no structure.

    References
    ----------
    Schreiber (2018), "pomegranate: fast and flexible probabilistic modeling in Python", JMLR 18(164).
    Chow & Liu (1968), "Approximating discrete probability distributions with dependence trees".

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> rain = rng.random(2000) < 0.3
    >>> wet = np.where(rain, rng.random(2000) < 0.9, rng.random(2000) < 0.2)
    >>> model = PomegranateBayesianNetwork(inertia=0).fit(np.column_stack([rain, wet]))
    >>> model.graph_
    {0: [], 1: [0]}
    >>> model.tables_[1].round(1).tolist()
    [[0.8, 0.2], [0.1, 0.9]]
    """

    algorithm: Literal["chow-liu", "exact"] = "chow-liu"
    graph: dict | None = None
    inertia: Annotated[float, Interval(0, 1, open_high=True)] = 0.05
    pseudocount: Annotated[float, Interval(0)] = 0.0
    max_parents: Annotated[int, Interval(1)] | None = None
    n_bins: Annotated[int, Interval(2, 1000)] | None = None

    __skgen_api__ = 1
    kinds = frozenset({"binary", "categorical"})
    likelihood = "exact"
    missing = "none"
    quick = MappingProxyType({"n_bins": 4})
    known_gaps = MappingProxyType(
        {"column_permutation": "the tree hangs on the first column, and inertia smooths the tables of its arrows as they point"}
    )

    # ---- fit

    def _fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        rows, w = whole(X), torch.from_numpy(np.ascontiguousarray(weight))
        self._parents = self._learn_structure(rows, w) if self.graph is None else self._read_graph(self.graph)
        levels, self._tables = self.columns_.n_levels.tolist(), []
        for i, above in enumerate(self._parents):
            shape = [levels[j] for j in (*above, i)]
            cells = np.prod(shape, dtype=float)
            if cells > _MOST_CELLS:
                raise ValueError(
                    f"Column {self.columns_.names[i]!r} with its {len(above)} parents needs a table of {cells:.3g} cells, more "
                    f"than {_MOST_CELLS}: give it fewer parents (max_parents), or its columns fewer levels (n_bins)."
                )
            # of all declared levels: pomegranate would leave out those beyond the greatest it sees
            self._tables.append(np.full(shape, 1 / levels[i]))
        self._learn_tables(rows, w)

    def _update(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        # the structure stands, and the new tables are (1 - inertia) of the way to the likeliest: an EM around it never falls
        self._learn_tables(whole(X), torch.from_numpy(np.ascontiguousarray(weight)))

    def _learn_tables(self, rows: torch.Tensor, weight: torch.Tensor) -> None:
        nodes = self._nodes(torch.float32)  # pomegranate counts into conditional tables in single precision only
        for i, node in enumerate(nodes):
            node.fit(self._family(rows, i), sample_weight=weight)
        self._tables = [node.probs[0].detach().double().numpy() for node in nodes]
        self._forget()

    def _learn_structure(self, rows: torch.Tensor, weight: torch.Tensor) -> list[tuple[int, ...]]:
        try:  # the search alone: fit(), around it, counts tables twice, of the levels that occur
            found = _learn_structure(
                rows, weight, algorithm=self.algorithm, pseudocount=self.pseudocount, max_parents=self.max_parents
            )
        except FAILURES as error:
            raise ValueError(
                f"pomegranate found no structure for {rows.shape[1]} columns and {len(rows)} rows ({error}): give max_parents, "
                "greater weights or a graph."
            ) from error
        return [tuple(above) for above in found]

    def _read_graph(self, graph: Mapping) -> list[tuple[int, ...]]:
        parents: list[tuple[int, ...]] = [() for _ in self.columns_.names]
        for node, above in graph.items():
            if isinstance(above, str):
                raise ValueError(f"graph gives column {node!r} the parents {above!r}: give a list of columns, [] for none.")
            parents[self._position(node)] = tuple(self._position(parent) for parent in above)
        _order(parents, self.columns_.names)
        return parents

    def _position(self, name: Any) -> int:
        names = list(self.columns_.names)
        if name in names:
            return names.index(name)
        if isinstance(name, (int, np.integer)) and not isinstance(name, bool) and 0 <= name < len(names):
            return int(name)
        raise ValueError(f"graph names {name!r}, which is not a column: choose from {names[:20]}.")

    # ---- what the base asks

    def _nodes(self, dtype: torch.dtype) -> list[Categorical | ConditionalCategorical]:
        """A node a column, with its table."""
        how = {"inertia": self.inertia, "check_data": False}
        tables = [torch.from_numpy(table).to(dtype) for table in self._tables]
        return [Categorical(p[None], **how) if p.ndim == 1 else ConditionalCategorical([p], **how) for p in tables]

    def _make(self) -> list[Categorical | ConditionalCategorical]:
        return self._nodes(torch.float64)

    def _family(self, rows: torch.Tensor, i: int) -> torch.Tensor:
        """The cells of a column's parents and its own, as its node takes them."""
        cells = rows[:, [*self._parents[i], i]]
        return cells.unsqueeze(-1) if self._parents[i] else cells

    def _log_prob(self, X: np.ndarray) -> np.ndarray:
        rows, out = X.astype(np.intp), np.zeros(len(X))
        # log p(x) = sum_i log p(x_i | x_parents(i))
        for i, node in enumerate(self._object):
            # a node walks over rows in Python, so it is asked about each family of cells once
            cells = tuple(rows[:, j] for j in (*self._parents[i], i))
            _, first, where = np.unique(np.ravel_multi_index(cells, self._tables[i].shape), return_index=True, return_inverse=True)
            out += node.log_probability(self._family(whole(rows[first]), i)).numpy()[where]
        return out

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        X = np.zeros((n, len(self._tables)), dtype=np.intp)
        for i in _order(self._parents, self.columns_.names):
            table = self._tables[i]
            p = table[tuple(X[:, j] for j in self._parents[i])]  # a node without parents: its one row
            X[:, i] = draw(np.broadcast_to(p, (n, table.shape[-1])), rng)
        return X.astype(float)

    def _n_parameters(self) -> int:
        return sum(table.size - table.size // table.shape[-1] for table in self._tables)

    # ---- what a user reads

    @property
    def graph_(self) -> dict:
        names = self.columns_.names
        return {names[i]: [names[j] for j in above] for i, above in enumerate(self._parents)}

    @property
    def tables_(self) -> dict:
        return {name: table.copy() for name, table in zip(self.columns_.names, self._tables, strict=True)}

    @property
    def network_(self) -> BayesianNetwork:
        nodes = self._make()
        return BayesianNetwork(nodes, [(nodes[j], nodes[i]) for i, above in enumerate(self._parents) for j in above])


def _order(parents: list[tuple[int, ...]], names: Any) -> list[int]:
    """Columns, parents before children. pomegranate takes cyclic graphs too, whose product of tables is no density."""
    try:
        return list(TopologicalSorter(dict(enumerate(parents))).static_order())
    except CycleError as error:
        way = " -> ".join(repr(names[i]) for i in error.args[1])
        raise ValueError(f"graph has a directed cycle through the columns {way}: remove or turn one of its arrows.") from None
