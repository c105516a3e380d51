r"""Networks of categorical columns: log p, exact sums over missing cells, posteriors and draws, for many rows at once.

Rows come last in every array. What is summed over is settled once a batch (:class:`Plan`): columns observed in every
row of the batch are read off the tables, the others are eliminated one by one, and where some rows hold a value for one
of those, a 0/1 indicator multiplies it in. The buckets of that elimination form a junction tree (Lauritzen &
Spiegelhalter 1988; Dechter 1999): a pass up gives log p, a pass down the posteriors of all cliques or a draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from skgen.ops.graphs import ancestors, elimination, topological_order
from skgen.ops.logs import SMALLEST

__all__ = ["MOST_CELLS", "Network", "Plan"]

_CHUNK = 2048  # rows
_HELD = 2**21  # cells of a clique table times rows, at once
#: Largest clique table: beyond it, an exact sum is refused.
MOST_CELLS = 2**22
_TINY = np.finfo(float).tiny
_PLANS = 64  # kept
_RESCALE = 8  # messages multiplied as they are: each lies in [0, 1], and more may take a level out of the exponent's range


class Plan:
    """How to sum over the columns in ``free``, for rows that observe all others.

    Parameters
    ----------
    network : Network
    free : boolean array of shape (d,)
        Columns that are missing in some row.
    lit : boolean array of shape (d,)
        Those of them that are observed in some other row.
    prune : bool
        Leave out columns that no row observes and that have no observed descendant: their sum is one.

    Attributes
    ----------
    cliques : list of tuples
        Of columns, in the order of elimination: the first is summed out.
    cells : int
        Of the largest clique table.
    total : int
        Of all together.
    """

    def __init__(self, network: Network, free: np.ndarray, lit: np.ndarray, prune: bool):
        parents, levels = network.parents, network.levels
        nodes = range(len(parents))
        if prune:
            nodes = sorted(ancestors(parents, np.flatnonzero(~free | lit).tolist()))
        self.lit = {i for i in nodes if free[i] and lit[i]}
        families = {i: [j for j in (*parents[i], i) if free[j]] for i in nodes}
        self.plain = [i for i in nodes if not families[i]]  # observed with all their parents
        self.cliques = elimination(families.values(), levels)
        self.clique = {clique[0]: clique for clique in self.cliques}
        place = {v: at for at, v in enumerate(self.clique)}
        sizes = [int(np.prod([float(levels[i]) for i in clique])) for clique in self.cliques]
        self.cells, self.total = max(sizes, default=1), max(1, sum(sizes))
        self.scope = {i: tuple(sorted(family, key=place.__getitem__)) for i, family in families.items() if family}
        self.bucket: dict[int, list[int]] = {clique[0]: [] for clique in self.cliques}  # tables by the first column summed out
        for i, scope in self.scope.items():
            self.bucket[scope[0]].append(i)
        self.below: dict[int, list[int]] = {clique[0]: [] for clique in self.cliques}  # buckets that send here
        for clique in self.cliques:
            if len(clique) > 1:
                self.below[clique[1]].append(clique[0])
        self.given = {i: [j for j in (*parents[i], i) if not free[j]] for i in self.scope}


class Network:
    r"""p(x) = prod_i p(x_i | x_parents(i)).

    Parameters
    ----------
    parents : d lists of ints
    tables : list of d arrays of shape (levels of each parent ..., levels)
        p(column | parents).
    """

    def __init__(self, parents: Sequence[Sequence[int]], tables: Sequence[np.ndarray]):
        self.parents = [list(above) for above in parents]
        self.tables = [np.asarray(table, dtype=float) for table in tables]
        self.order = topological_order(self.parents)
        self.levels = [table.shape[-1] for table in self.tables]
        # place of p(x_i | parents) in all tables laid end to end: begin_i + x_i + sum over parents of stride x parent
        sizes = np.array([table.size for table in self.tables])
        self._begin = np.cumsum(sizes) - sizes
        most = max([len(above) for above in self.parents] + [0])
        self._above = np.zeros((most, len(self.parents)), dtype=np.intp)
        self._stride = np.zeros((most, len(self.parents)))
        for i, above in enumerate(self.parents):
            shape = self.tables[i].shape
            self._above[: len(above), i] = above
            self._stride[: len(above), i] = [np.prod(shape[at + 1 :]) for at in range(len(above))]
        self._flat = self._logs(self.tables)
        self._plans: dict[bytes, Plan] = {}

    @staticmethod
    def _logs(tables: Sequence[np.ndarray]) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.concatenate([np.log(table.ravel()) for table in tables]) if tables else np.empty(0)

    def with_tables(self, tables: Sequence[np.ndarray]) -> Network:
        """The same graph with other tables; plans are kept, since they do not depend on the numbers."""
        new = Network(self.parents, tables)
        new._plans = self._plans
        return new

    def fix(self, given: dict[int, np.ndarray]) -> Network:
        """The same with these tables, by column."""
        return self.with_tables([given.get(i, table) for i, table in enumerate(self.tables)]) if given else self

    def table(self, i: int) -> np.ndarray:
        """p(column | parents)."""
        return self.tables[i]

    def n_parameters(self) -> int:
        return sum(table.size - table.size // table.shape[-1] for table in self.tables)

    def __getstate__(self) -> dict:
        return {**vars(self), "_plans": {}}

    # ---- log p

    def _place(self, X: np.ndarray) -> np.ndarray:
        """Where each cell's probability stands in the tables laid end to end, (d, n); NaN somewhere in a row that has a gap."""
        x = np.ascontiguousarray(X.T)
        place = x + self._begin[:, None]
        for above, stride in zip(self._above, self._stride, strict=True):
            some = np.flatnonzero(stride)
            if 2 * len(some) < len(x):
                place[some] += x[above[some]] * stride[some, None]
            else:
                more = x.take(above, axis=0)
                more *= stride[:, None]
                place += more
        return place

    def log_prob(self, X: np.ndarray) -> np.ndarray:
        """log p of the observed cells of each row, (n,): NaN is summed over, exactly.

        Raises
        ------
        ValueError
            If a sum would need a table of more than ``MOST_CELLS`` cells.
        """
        out = np.empty(len(X))
        for begin in range(0, len(X), _CHUNK):
            rows = slice(begin, begin + _CHUNK)
            place = self._place(X[rows])
            missing = np.isnan(place.sum(axis=0))
            if missing.any():
                place[:, missing] = 0
            out[rows] = self._flat.take(place.astype(np.intp)).sum(axis=0)
            out[rows][missing] = np.nan
        rest = np.flatnonzero(np.isnan(out))
        for rows, plan in self._batches(X, rest, prune=True):
            out[rows] = self._up(plan, X[rows])[0]
        return out

    # ---- batches

    def _batches(self, X: np.ndarray, rows: np.ndarray, prune: bool, held: bool = False) -> Iterator[tuple[np.ndarray, Plan]]:
        """The rows in groups that one plan serves: by pattern of missing cells, or all together if patterns are many."""
        if not len(rows) or not X.shape[1]:
            return
        missing = np.isnan(X[rows])
        packed = np.ascontiguousarray(np.packbits(missing, axis=1))
        key = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
        _, first, inverse, counts = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
        if len(first) > max(1, len(rows) // 64):
            free = missing.any(axis=0)
            plan = self._plan(free, free & ~missing.all(axis=0), prune)
            if plan.cells <= MOST_CELLS:
                yield from self._chunks(rows, plan, held)
                return
        groups = np.split(np.argsort(inverse, kind="stable"), np.cumsum(counts)[:-1])
        for i, members in zip(first.tolist(), groups, strict=True):
            plan = self._plan(missing[i], np.zeros(X.shape[1], dtype=bool), prune)
            if plan.cells > MOST_CELLS:
                width = max(len(clique) for clique in plan.cliques) - 1
                raise ValueError(
                    f"Summing over the {int(missing[i].sum())} missing cells of a row needs a table of {plan.cells:.3g} cells "
                    f"(treewidth {width} under a greedy order), more than {MOST_CELLS}: observe more columns, or use a "
                    "graph with fewer parents a column, such as graph='chow_liu' or a smaller max_parents."
                )
            yield from self._chunks(rows[members], plan, held)

    @staticmethod
    def _chunks(rows: np.ndarray, plan: Plan, held: bool) -> Iterator[tuple[np.ndarray, Plan]]:
        size = int(np.clip(_HELD // (plan.total if held else plan.cells), 1, _CHUNK))
        for begin in range(0, len(rows), size):
            yield rows[begin : begin + size], plan

    def _plan(self, free: np.ndarray, lit: np.ndarray, prune: bool) -> Plan:
        key = np.packbits(np.concatenate([free, lit, [prune]])).tobytes()
        if key not in self._plans:
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            self._plans[key] = Plan(self, free, lit, prune)
        return self._plans[key]

    # ---- the pass up

    def _shared(self, i: int, scope: tuple[int, ...]) -> np.ndarray:
        """A table none of whose columns is read off the rows, its axes in the order of ``scope``."""
        family = [*self.parents[i], i]
        return self.tables[i].transpose([family.index(j) for j in scope])

    def _read(self, plan: Plan, i: int, X: np.ndarray) -> np.ndarray:
        """A table at the observed columns of each row, (axes of its scope ..., n)."""
        scope, given = plan.scope[i], plan.given[i]
        family = [*self.parents[i], i]
        table = self.tables[i].transpose([family.index(j) for j in (*scope, *given)])
        return table.reshape(-1, self._count(given)).take(self._code(X, given), axis=1).reshape([*map(self._size, scope), len(X)])

    def _size(self, i: int) -> int:
        return self.levels[i]

    def _count(self, columns: Sequence[int]) -> int:
        return int(np.prod([self.levels[j] for j in columns], dtype=np.int64))

    def _code(self, X: np.ndarray, columns: Sequence[int]) -> np.ndarray:
        """One number for what each row holds in ``columns``, the last fastest."""
        code = np.zeros(len(X), dtype=np.intp)
        for j in columns:
            code = code * self.levels[j] + X[:, j].astype(np.intp)
        return code

    def _indicator(self, x: np.ndarray, n_levels: int) -> np.ndarray:
        """1 where a column may have a level, (levels, n): at the level observed, or everywhere."""
        return (np.equal(x, np.arange(n_levels)[:, None]) | np.isnan(x)).astype(float)

    def _up(self, plan: Plan, X: np.ndarray, keep: bool = False) -> tuple[np.ndarray, dict, dict]:
        r"""log p of the observed cells, one column summed out after another.

        T_v(v, S) = [x_v is v or missing] prod of the tables and messages that hold v,  m_v(S) = sum_v T_v(v, S).
        A message goes to the first column of S that is summed out, divided by its largest entry, whose logarithm is kept.

        Returns log p (n,) and, with ``keep``, T and m by column: what the passes down need.
        """
        n = len(X)
        log_p, full, sums = np.zeros(n), {}, {}
        for i in plan.plain:
            with np.errstate(divide="ignore"):
                log_p += np.log(self.tables[i].ravel().take(self._code(X, [*self.parents[i], i])))
        inbox: dict[int, list[tuple[tuple[int, ...], np.ndarray]]] = {clique[0]: [] for clique in plan.cliques}
        for clique in plan.cliques:
            v, rest = clique[0], clique[1:]
            shared = [(plan.scope[i], self._shared(i, plan.scope[i])) for i in plan.bucket[v] if not plan.given[i]]
            terms = inbox.pop(v) + [(plan.scope[i], self._read(plan, i, X)) for i in plan.bucket[v] if plan.given[i]]
            if v in plan.lit:
                terms.append(((v,), self._indicator(X[:, v], self.levels[v])))
            log_p, table, message = self._sum_out(clique, shared, terms, n, log_p, keep)
            if keep:
                full[v], sums[v] = table, message
            if rest:
                top = message.reshape(-1, n).max(axis=0)
                with np.errstate(divide="ignore"):
                    log_p = log_p + np.log(top)
                inbox[rest[0]].append((rest, message / np.maximum(top, _TINY)))
            else:
                with np.errstate(divide="ignore"):
                    log_p = log_p + np.log(message)
        return log_p, full, sums

    def _sum_out(
        self, clique: tuple, shared: list, terms: list, n: int, log_p: np.ndarray, keep: bool
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """The product over a bucket, and its sum over the first column; what was divided out goes to log p."""
        groups: dict[tuple, list[np.ndarray]] = {}
        for scope, term in terms:
            groups.setdefault(scope, []).append(term)
        merged: dict[tuple, np.ndarray] = {}
        for scope, several in groups.items():
            log_p, merged[scope] = _product(several, log_p)
        common = np.ones([1] * len(clique))
        for scope, table in shared:
            common = common * self._spread(table, scope, clique)
        shape = [self.levels[i] for i in clique]
        if not keep and list(merged) in ([], [clique[:1]]) and len(clique) > 1:
            common = np.broadcast_to(common, shape).reshape(shape[0], -1)
            # a leaf: one matrix product
            message = common.T @ merged.get(clique[:1], np.ones((shape[0], n)))
            return log_p, None, message.reshape([*shape[1:], n])
        product = common[..., None]
        for count, scope in enumerate(sorted(merged, key=len), start=1):
            product = product * self._spread(merged[scope], scope, clique, rows=True)
            if count % _RESCALE == 0:
                log_p, product = _rescale(product, log_p)
        product = np.broadcast_to(product, [*shape, n])
        return log_p, product, product.sum(axis=0)

    def _spread(self, table: np.ndarray, scope: tuple, clique: tuple, rows: bool = False) -> np.ndarray:
        """``table`` with axes of length one for the columns of ``clique`` it does not hold."""
        held = set(scope)
        return table.reshape([self.levels[i] if i in held else 1 for i in clique] + ([table.shape[-1]] if rows else []))

    # ---- the passes down

    def _beliefs(self, plan: Plan, full: dict, sums: dict) -> Iterator[tuple[tuple, np.ndarray]]:
        r"""p(clique | observed cells) of each clique, from the last summed out to the first.

        p(v, S | observed) = T_v(v, S) p(S | observed) / m_v(S), and p(S | observed) is a margin of the clique above.
        """
        held: dict[int, np.ndarray] = {}
        waiting = {v: len(below) for v, below in plan.below.items()}
        for clique in plan.cliques[::-1]:
            v, rest = clique[0], clique[1:]
            below = sums[v]
            outside = np.ones(below.shape) if not rest else self._margin(held[rest[0]], plan, rest)
            outside = np.divide(outside, below, out=np.zeros(below.shape), where=below > 0)
            belief = full.pop(v) * outside
            if waiting[v]:
                held[v] = belief
            if rest:
                waiting[rest[0]] -= 1
                if not waiting[rest[0]]:
                    del held[rest[0]]
            yield clique, belief

    def _margin(self, belief: np.ndarray, plan: Plan, scope: tuple) -> np.ndarray:
        clique = plan.clique[scope[0]]
        return belief.sum(axis=tuple(at for at, i in enumerate(clique) if i not in scope))

    def marginals(self, X: np.ndarray) -> list[np.ndarray]:
        """p(column | observed cells of the row), d arrays (n, levels); zeros where those have probability zero."""
        out = [np.empty((len(X), k)) for k in self.levels]
        for rows, plan in self._batches(X, np.arange(len(X)), prune=False, held=True):
            x = X[rows]
            log_p, full, sums = self._up(plan, x, keep=True)
            for i in range(len(self.levels)):
                if i not in plan.bucket:
                    out[i][rows] = self._indicator(x[:, i], self.levels[i]).T * (log_p > -np.inf)[:, None]
            for clique, belief in self._beliefs(plan, full, sums):
                out[clique[0]][rows] = belief.sum(axis=tuple(range(1, len(clique)))).T * (log_p > -np.inf)[:, None]
        return out

    def expected_counts(self, X: np.ndarray, weight: np.ndarray) -> tuple[list[np.ndarray], float]:
        """sum over rows of weight x p(column, parents | observed cells), shaped as the tables, and sum weight x log p."""
        counts, total = [np.zeros(table.shape) for table in self.tables], 0.0
        for rows, plan in self._batches(X, np.arange(len(X)), prune=False, held=True):
            x, w = X[rows], weight[rows]
            log_p, full, sums = self._up(plan, x, keep=True)
            total += float(w @ log_p)
            for i in plan.plain:
                place = self._code(x, [*self.parents[i], i])
                counts[i] += np.bincount(place, w, counts[i].size).reshape(counts[i].shape)
            for clique, belief in self._beliefs(plan, full, sums):
                mass: np.ndarray | None = None
                for i in plan.bucket[clique[0]]:
                    scope, given = plan.scope[i], plan.given[i]
                    gone = tuple(at for at, j in enumerate(clique) if j not in scope)
                    if not given:
                        mass = belief @ w if mass is None else mass
                        part = mass.sum(axis=gone)
                    else:
                        p = belief.sum(axis=gone).reshape(-1, len(x)) * w
                        code, size = self._code(x, given), self._count(given)
                        part = np.stack([np.bincount(code, one, size) for one in p])
                    part = part.reshape([self.levels[j] for j in (*scope, *given)])
                    family = [*self.parents[i], i]
                    counts[i] += part.transpose([(*scope, *given).index(j) for j in family])
        return counts, total

    def observed_counts(self, X: np.ndarray, weight: np.ndarray) -> list[np.ndarray]:
        """The same by counting, for each table the rows that observe the column and its parents."""
        out = []
        for i, table in enumerate(self.tables):
            family = [*self.parents[i], i]
            seen = ~np.isnan(X[:, family].sum(axis=1))
            x, w = (X, weight) if seen.all() else (X[seen], weight[seen])
            out.append(np.bincount(self._code(x, family), w, table.size).reshape(table.shape))
        return out

    def refit(self, counts: Sequence[np.ndarray], alpha: float) -> Network:
        """The likeliest tables given expected counts and ``alpha`` pseudo-counts a cell; a row without counts is even."""
        tables = []
        for table in counts:
            c = table + alpha
            total = c.sum(axis=-1, keepdims=True)
            tables.append(np.where(total > 0, c / np.where(total > 0, total, 1.0), 1 / c.shape[-1]))
        return self.with_tables(tables)

    def log_prior(self, alpha: float) -> float:
        """What ``alpha`` pseudo-counts a cell add to the log-likelihood: alpha sum log p."""
        return alpha * float(self._flat.sum()) if alpha else 0.0

    # ---- draws

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n rows, (n, d): each column after its parents."""
        X = np.empty((n, len(self.parents)))
        for i in self.order:
            table = self.tables[i].reshape(-1, self.levels[i])
            X[:, i] = _draw(table.T.take(self._code(X, self.parents[i]), axis=1), rng)
        return X

    def sample_missing(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A copy whose NaN cells are drawn from p(missing | observed), exactly: summed out one by one, drawn in reverse.

        Raises
        ------
        ValueError
            If the observed cells of a row have probability zero.
        """
        out = X.copy()
        gaps = np.flatnonzero(np.isnan(X).any(axis=1))
        for rows, plan in self._batches(X, gaps, prune=False, held=True):
            x = X[rows]
            log_p, full, _ = self._up(plan, x, keep=True)
            if (log_p == -np.inf).any():
                raise ValueError(
                    "The observed cells of a row have probability zero under the network, so nothing can be drawn given them: "
                    "change them, or fit with alpha > 0."
                )
            every = np.arange(len(x))
            for clique in plan.cliques[::-1]:
                v, rest = clique[0], clique[1:]
                table = full.pop(v).reshape(self.levels[v], -1, len(x))
                x[:, v] = _draw(table[:, self._code(x, rest), every], rng)
            out[rows] = x
        return out


def _product(several: list[np.ndarray], log_p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The product of messages over the same columns; many of them in logs, where opposing evidence cannot underflow."""
    if len(several) <= _RESCALE:
        out = several[0]
        for term in several[1:]:
            out = out * term
        return log_p, out
    with np.errstate(divide="ignore"):
        out = np.log(several[0])
        for term in several[1:]:
            out += np.log(term)
    top = out.reshape(-1, out.shape[-1]).max(axis=0)
    top = np.where(np.isfinite(top), top, 0.0)  # all levels impossible
    return log_p + top, np.exp(np.maximum(out - top, SMALLEST)) * (out > -np.inf)


def _rescale(table: np.ndarray, log_p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    top = np.maximum(table.reshape(-1, table.shape[-1]).max(axis=0), _TINY)
    return log_p + np.log(top), table / top


def _draw(weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A level for each row from non-negative weights (levels, n)."""
    edges = np.cumsum(weight, axis=0)
    u = rng.random(weight.shape[1]) * edges[-1]
    return (u >= edges[:-1]).sum(axis=0)
