"""Trees of categorical columns: the heaviest spanning tree, log p, exact sums over missing cells, and draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skgen.ops.counts import count_pair

__all__ = ["Tree", "maximum_spanning_tree"]

_CHUNK = 2048  # rows
_TINY = np.finfo(float).tiny


def maximum_spanning_tree(weight: np.ndarray, root: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The spanning tree whose edges weigh most (Prim 1957), directed away from ``root``.

    Parameters
    ----------
    weight : array of shape (d, d)
        Symmetric; the diagonal is not read. Weights may be negative. Of equal edges (i, j), i < j, the one of the least
        i, then j, is taken, whichever the root: the tree is Kruskal's with that order.
    root : int

    Returns
    -------
    parents : int array of shape (d,)
        -1 for the root.
    order : int array of shape (d,)
        The columns, each after its parent.

    Examples
    --------
    >>> parents, order = maximum_spanning_tree(np.array([[0, 3, 1], [3, 0, 2], [1, 2, 0]]))
    >>> parents
    array([-1,  0,  1])
    """
    d = len(weight)
    # the place of each edge when all are sorted, the heaviest first: no two are equal
    i, j = np.triu_indices(d, 1)
    first = np.argsort(-weight[i, j], kind="stable")
    i, j = i[first], j[first]
    never = len(first)
    place = np.full((d, d), never)
    place[i, j] = place[j, i] = np.arange(never)
    parents, order = np.full(d, -1), np.full(d, root)
    best, via = np.full(d, never), np.full(d, root)  # the first edge from each column into the tree so far, and where to
    new = root
    for step in range(1, d):
        place[:, new] = best[new] = never  # inside the tree
        np.copyto(via, new, where=place[new] < best)
        np.minimum(best, place[new], out=best)
        new = int(best.argmin())
        parents[new], order[step] = via[new], new
    return parents, order


@dataclass
class Tree:
    r"""p(x) = p(x_root) prod_i p(x_i | x_parent(i)).

    Parameters
    ----------
    parents : int array of shape (d,)
        -1 for a column without a parent.
    order : int array of shape (d,)
        The columns, each after its parent.
    tables : list of d arrays of shape (levels of the parent, levels)
        p(column | parent); one row for a column without a parent.
    """

    parents: np.ndarray
    order: np.ndarray
    tables: list[np.ndarray]

    def __post_init__(self) -> None:
        with np.errstate(divide="ignore"):
            self.log_tables = [np.log(table) for table in self.tables]
        self._levels = np.array([table.shape[1] for table in self.tables], dtype=np.intp)
        self._above = np.maximum(self.parents, 0)  # the root has one row, whatever column 0 holds
        self._stride = np.where(self.parents >= 0, self._levels, 0)
        # so many children may oppose each other beyond the range of a product: their messages are added as logarithms
        self._crowded = np.bincount(self._above[self.parents >= 0], minlength=len(self.parents)) > 25
        sizes = np.array([table.size for table in self.tables], dtype=np.intp)
        self._begin = np.cumsum(sizes) - sizes
        self._flat = np.concatenate([table.ravel() for table in self.log_tables])
        self._linear = self._as_linear() if bool((self._levels == 2).all()) and np.isfinite(self._flat).all() else None

    def _as_linear(self) -> tuple[float, np.ndarray, np.ndarray]:
        """Binary columns: log p(x) = c + sum_i w_i x_i + sum_i q_i x_i x_parent(i)."""
        own_level = np.arange(2)
        at = self._begin[:, None, None] + self._stride[:, None, None] * own_level[:, None] + own_level
        t = self._flat.take(at)  # t[i, parent, own]; both rows of the root are its one
        own, above = t[:, 0, 1] - t[:, 0, 0], t[:, 1, 0] - t[:, 0, 0]
        pair = t[:, 1, 1] - t[:, 1, 0] - t[:, 0, 1] + t[:, 0, 0]
        linear = own + np.bincount(self._above, above, len(t))  # 0 for the root, whose rows are the same
        return float(t[:, 0, 0].sum()), linear, pair

    # ---- log p

    def log_prob(self, X: np.ndarray) -> np.ndarray:
        """log p of the observed cells of each row, (n,): NaN is summed over, exactly."""
        out = np.empty(len(X))
        for begin in range(0, len(X), _CHUNK):
            rows = slice(begin, begin + _CHUNK)
            out[rows] = self._log_prob_complete(X[rows])
        missing = np.flatnonzero(np.isnan(out))  # a row with a missing cell comes out as NaN
        for begin in range(0, len(missing), _CHUNK):
            rows = missing[begin : begin + _CHUNK]
            out[rows] = self._upward(X[rows])[0]
        return out

    def _log_prob_complete(self, X: np.ndarray) -> np.ndarray:
        if self._linear is not None:
            constant, linear, pair = self._linear
            x = np.ascontiguousarray(X.T)
            out = linear @ x
            joint = x.take(self._above, axis=0)
            joint *= x
            out += pair @ joint
            out += constant
            return out
        place = X.T.take(self._above, axis=0)
        place *= self._stride[:, None]
        place += X.T
        place += self._begin[:, None]
        missing = np.isnan(place.sum(axis=0))
        if missing.any():
            place[:, missing] = 0
        out = self._flat.take(place.astype(np.intp)).sum(axis=0)
        out[missing] = np.nan
        return out

    def _upward(self, X: np.ndarray, keep: bool = False) -> tuple[np.ndarray, dict, dict]:
        r"""log p of the observed cells, from the leaves to the root (Pearl 1988, section 4.2).

        inside_i(b) = [x_i is b or missing] prod_children up_c(b),  up_i(a) = sum_b p(b | a) inside_i(b),
        each divided by its largest entry, whose logarithm is put aside.

        Returns log p (n,) and, with ``keep``, inside and up by column, (levels, n) each: what ``expected_counts`` needs.
        """
        n = len(X)
        log_p, inside, up = np.zeros(n), {}, {}
        product: dict[int, np.ndarray] = {}  # of the messages that a column has had from its children; logs if crowded
        for i in self.order[::-1].tolist():
            x = np.ascontiguousarray(X[:, i])
            within = np.equal(x, np.arange(self._levels[i])[:, None]) | np.isnan(x)
            belief = within.astype(float)
            if i in product and self._crowded[i]:
                size = product[i].max(axis=0)
                log_p += size
                with np.errstate(invalid="ignore"):
                    belief *= np.nan_to_num(np.exp(product.pop(i) - size), nan=0.0)  # nothing possible: -inf - -inf
            elif i in product:
                belief *= product.pop(i)
            message = self.tables[i] @ belief
            top = message.max(axis=0)
            scale = np.maximum(top, _TINY)
            log_p += np.where(top > 0, np.log(scale), -np.inf)
            message /= scale
            if keep:
                inside[i], up[i] = belief / scale, message
            above = int(self.parents[i])
            if above < 0:
                continue
            if self._crowded[above]:
                with np.errstate(divide="ignore"):
                    message = np.log(message)
                product[above] = product[above] + message if above in product else message
            elif above in product:
                product[above] *= message
            else:
                product[above] = message.copy() if keep else message
        return log_p, inside, up

    # ---- expectation

    def expected_counts(self, X: np.ndarray, weight: np.ndarray) -> tuple[list[np.ndarray], float]:
        r"""sum over rows of weight x p(x_parent = a, x_i = b | observed cells), a table a column, and sum weight x log p.

        Upward, then downward: with outside_i(a) = p(x_parent = a | observed) / up_i(a),
        p(a, b | observed) = outside_i(a) p(b | a) inside_i(b).
        """
        counts, total = [np.zeros(table.shape) for table in self.tables], 0.0
        chunk = self._chunk()
        for begin in range(0, len(X), chunk):
            x, w = X[begin : begin + chunk], weight[begin : begin + chunk]
            log_p, inside, up = self._upward(x, keep=True)
            total += float(w @ log_p)
            posterior: dict[int, np.ndarray] = {}
            for i in self.order.tolist():
                above = int(self.parents[i])
                whole = posterior[above] if above >= 0 else np.ones((1, len(x)))
                outside = np.divide(whole, up[i], out=np.zeros_like(up[i]), where=up[i] > 0)
                counts[i] += self.tables[i] * ((outside * w) @ inside[i].T)
                posterior[i] = (self.tables[i].T @ outside) * inside[i]
        return counts, total

    def observed_counts(self, X: np.ndarray, weight: np.ndarray) -> list[np.ndarray]:
        """The same tables from complete rows, by counting."""
        nothing = np.zeros(len(X))
        return [
            count_pair(nothing if above < 0 else X[:, above], X[:, i], weight, *table.shape)
            for i, (above, table) in enumerate(zip(self.parents.tolist(), self.tables, strict=True))
        ]

    # ---- draws

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n rows, (n, d): each column after its parent."""
        out = np.empty((len(self.parents), n))
        u = np.empty(n)
        for i in self.order.tolist():
            table, above = self.tables[i], int(self.parents[i])
            edges = np.cumsum(table, axis=1)
            edges = edges[:, :-1] / edges[:, -1:]
            rng.random(out=u)
            if edges.shape[1] == 1:  # binary: is u past p(0 | parent)?
                past = edges[0, 0] if above < 0 else edges[:, 0].take(out[above].astype(np.intp))
                np.greater_equal(u, past, out=out[i])
                continue
            # row a of the edges lies in [a, a + 1]: one sorted array serves all parents
            rows = np.zeros(n) if above < 0 else out[above]
            found = np.searchsorted((edges + np.arange(len(edges))[:, None]).ravel(), rows + u, side="right")
            np.clip(found - rows * edges.shape[1], 0, edges.shape[1], out=out[i])
        return out.T

    def sample_missing(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A copy of X whose NaN cells are drawn given the observed ones: upward, then each column after its parent."""
        out = X.copy()
        chunk = self._chunk()
        for begin in range(0, len(X), chunk):
            x = out[begin : begin + chunk]
            _, inside, _ = self._upward(x, keep=True)
            for i in self.order.tolist():
                rows, above = np.flatnonzero(np.isnan(x[:, i])), int(self.parents[i])
                held = np.zeros(len(rows), dtype=np.intp) if above < 0 else x[rows, above].astype(np.intp)
                # p(b | a, observed) is proportional to p(b | a) inside_i(b)
                edges = np.cumsum(self.tables[i][held].T * inside[i][:, rows], axis=0)
                x[rows, i] = (rng.random(len(rows)) * edges[-1] >= edges[:-1]).sum(axis=0)
        return out

    def _chunk(self) -> int:
        """Rows whose messages are kept at once: about 2 million numbers of each sort."""
        return int(np.clip(2**21 // int(self._levels.sum()), 64, _CHUNK))
