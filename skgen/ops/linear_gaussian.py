r"""Networks with continuous columns: linear in their continuous parents, one regression a configuration of the discrete ones.

p(x_i | parents) = N(x_i; b_0(q) + sum_j b_j(q) x_j, v(q)), q the levels of the discrete parents: the conditional Gaussian
networks of Lauritzen & Wermuth (1989). A discrete column has discrete parents only. Given the discrete columns that some
regression reads (the switches), all continuous columns are jointly normal; where a switch is missing, its levels are
summed over one by one, and everything stays exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from skgen.ops.graphs import topological_order
from skgen.ops.junction import Network
from skgen.ops.logs import log_sum_exp, softmax

__all__ = ["MixedNetwork", "regress"]

_LOG_2PI = np.log(2 * np.pi)
_HELD = 2**21  # configurations x rows x columns at once
#: Most joint levels of missing switches that are summed over.
MOST_CONFIGURATIONS = 4096
#: Least variance, of that of a column as a whole.
_FLOOR = 1e-9


def regress(moments: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    r"""Weighted least squares from moments sum w u u', u = (1, parents, column), one problem a row.

    ``alpha`` pseudo-rows say that parents and column are independent, of mean 0 and variance 1.

    Parameters
    ----------
    moments : array of shape (Q, k, k)
    alpha : float

    Returns
    -------
    coefficients : array of shape (Q, k - 1)
        The intercept first.
    variance : array of shape (Q,)

    Examples
    --------
    >>> u = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 3.0], [1.0, 2.0, 5.0]])
    >>> coefficients, variance = regress((u.T @ u)[None], alpha=0.0)
    >>> coefficients.round(6)
    array([[1., 2.]])
    """
    A = moments + alpha * np.eye(moments.shape[-1])
    gram, cross = A[:, :-1, :-1], A[:, :-1, -1]
    if alpha:
        b = np.linalg.solve(gram, cross[..., None])[..., 0]
    else:
        b = (np.linalg.pinv(gram, hermitian=True) @ cross[..., None])[..., 0]
    mass = A[:, 0, 0]
    spread = A[:, -1, -1] - (b * cross).sum(axis=1)
    variance = np.where(mass > 0, spread / np.where(mass > 0, mass, 1.0), 1.0)
    return b, np.maximum(variance, _FLOOR)


class MixedNetwork:
    """A network over columns some of which are continuous.

    Parameters
    ----------
    parents : d lists of ints
    levels : d ints
        0 for a continuous column.
    tables : list of arrays, optional
        Of the discrete columns, in their order; even ones by default.
    regressions : list of (coefficients, variances), optional
        Of the continuous columns, in their order: (Q, 1 + continuous parents) and (Q,); unit normals by default.

    Raises
    ------
    ValueError
        If a discrete column has a continuous parent.
    """

    def __init__(
        self,
        parents: Sequence[Sequence[int]],
        levels: Sequence[int],
        tables: Sequence[np.ndarray] | None = None,
        regressions: Sequence[tuple[np.ndarray, np.ndarray]] | None = None,
    ):
        self.parents, self.levels = [list(above) for above in parents], list(levels)
        self.discrete = [i for i, k in enumerate(levels) if k]
        self.continuous = [i for i, k in enumerate(levels) if not k]
        self.place = {i: at for of in (self.discrete, self.continuous) for at, i in enumerate(of)}
        for i in self.discrete:
            odd = [j for j in parents[i] if not levels[j]]
            if odd:
                raise ValueError(f"Discrete column {i} has the continuous parent {odd[0]}.")
        own = [[self.place[j] for j in parents[i]] for i in self.discrete]
        if tables is None:
            tables = [np.full([levels[j] for j in (*parents[i], i)], 1 / levels[i]) for i in self.discrete]
        self.net = Network(own, tables)
        self.switched = [[self.place[j] for j in parents[i] if levels[j]] for i in self.continuous]
        self.linear = [[self.place[j] for j in parents[i] if not levels[j]] for i in self.continuous]
        self.order = topological_order(self.linear)
        self.switches = sorted({j for above in self.switched for j in above})
        counts = [int(np.prod([self.net.levels[j] for j in above], dtype=np.int64)) for above in self.switched]
        if regressions is None:
            regressions = [(np.zeros((q, 1 + len(above))), np.ones(q)) for q, above in zip(counts, self.linear, strict=True)]
        self.coefficients = [np.asarray(b, dtype=float) for b, _ in regressions]
        self.variances = [np.asarray(v, dtype=float) for _, v in regressions]

    def _like(self, net: Network, regressions: Sequence[tuple[np.ndarray, np.ndarray]]) -> MixedNetwork:
        new = MixedNetwork(self.parents, self.levels, net.tables, regressions)
        new.net = net
        return new

    def fix(self, given: dict[int, np.ndarray]) -> MixedNetwork:
        """The same with these tables, by column."""
        net = self.net.fix({self.place[i]: table for i, table in given.items()})
        return self._like(net, list(zip(self.coefficients, self.variances, strict=True)))

    def table(self, i: int) -> np.ndarray:
        """p(column | parents) of a discrete column."""
        return self.net.tables[self.place[i]]

    def regression(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (Q, 1 + continuous parents), the intercept first, and variances (Q,) of a continuous column."""
        return self.coefficients[self.place[i]], self.variances[self.place[i]]

    def n_parameters(self) -> int:
        return self.net.n_parameters() + sum(b.size + v.size for b, v in zip(self.coefficients, self.variances, strict=True))

    # ---- log p

    def _code(self, D: np.ndarray, c: int) -> np.ndarray:
        """Which regression of continuous column c each row of discrete codes takes."""
        code = np.zeros(len(D), dtype=np.intp)
        for j in self.switched[c]:
            code = code * self.net.levels[j] + D[:, j].astype(np.intp)
        return code

    def _mean(self, C: np.ndarray, c: int, code: np.ndarray) -> np.ndarray:
        b = self.coefficients[c]
        if len(b) == 1:
            return b[0, 0] + C[:, self.linear[c]] @ b[0, 1:]
        b = b[code]
        return b[:, 0] + (b[:, 1:] * C[:, self.linear[c]]).sum(axis=1)

    def log_prob(self, X: np.ndarray) -> np.ndarray:
        """log p of the observed cells, (n,): NaN is integrated or summed out, exactly.

        Raises
        ------
        ValueError
            If more than ``MOST_CONFIGURATIONS`` joint levels of missing switches would have to be summed over.
        """
        D, C = X[:, self.discrete], X[:, self.continuous]
        whole = ~(np.isnan(C).any(axis=1) | np.isnan(D[:, self.switches]).any(axis=1))
        out = np.empty(len(X))
        if whole.any():
            d, c = (D, C) if whole.all() else (D[whole], C[whole])
            log_p = self.net.log_prob(d)
            for i in range(c.shape[1]):
                code = self._code(d, i)
                v = self.variances[i][code]
                log_p -= 0.5 * (np.square(c[:, i] - self._mean(c, i, code)) / v + np.log(v) + _LOG_2PI)
            out[whole] = log_p
        for rows, _, log_w, _ in self._mixtures(D, C, np.flatnonzero(~whole)):
            out[rows] = log_sum_exp(log_w)
        return out

    # ---- rows as mixtures over the switches they miss

    def _joint(self, configurations: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean (Q, m), covariance (Q, m, m) and root of it, of all continuous columns, for given switches (Q, switches)."""
        Q, m = len(configurations), len(self.continuous)
        D = np.zeros((Q, len(self.discrete)))
        D[:, self.switches] = configurations
        slope, own, v = np.zeros((Q, m, m)), np.zeros((Q, m)), np.zeros((Q, m))
        for c in range(m):
            code = self._code(D, c)
            own[:, c], v[:, c] = self.coefficients[c][code, 0], self.variances[c][code]
            slope[:, c, self.linear[c]] = self.coefficients[c][code, 1:]
        # x = b + B x + e  =>  x = (I - B)^-1 (b + e)
        back = np.linalg.inv(np.eye(m) - slope)
        root = back * np.sqrt(v)[:, None, :]
        return (back @ own[..., None])[..., 0], root @ root.mT, root

    def _mixtures(self, D: np.ndarray, C: np.ndarray, rows: np.ndarray) -> Iterator[tuple]:
        """Groups of rows that miss the same switches and hold the same others.

        Yields the rows, the configurations (Q, switches) that they may have, log p(configuration, observed cells)
        (Q, rows), and the joint normals of the configurations.
        """
        if not len(rows):
            return
        codes = np.nan_to_num(D[np.ix_(rows, self.switches)], nan=-1.0)
        keys, inverse, counts = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
        groups = np.split(rows[np.argsort(inverse.ravel(), kind="stable")], np.cumsum(counts)[:-1])
        sizes = [self.net.levels[j] for j in self.switches]
        for key, members in zip(keys, groups, strict=True):
            ways = [range(k) if a < 0 else (int(a),) for a, k in zip(key, sizes, strict=True)]
            Q = int(np.prod([len(way) for way in ways], dtype=float))
            if Q > MOST_CONFIGURATIONS:
                raise ValueError(
                    f"A row misses {int((key < 0).sum())} discrete columns that continuous ones depend on, {Q} joint levels "
                    f"to sum over, more than {MOST_CONFIGURATIONS}: observe some of them, or use continuous='bins'."
                )
            configurations = np.array(list(product(*ways)), dtype=float).reshape(Q, len(self.switches))
            joint = self._joint(configurations)
            step = max(1, _HELD // (Q * max(1, C.shape[1])))
            for begin in range(0, len(members), step):
                some = members[begin : begin + step]
                log_w = np.empty((Q, len(some)))
                for q in range(Q):
                    log_w[q] = self.net.log_prob(self._clamp(D[some], configurations[q]))
                for seen, at in _patterns(C[some]):
                    if seen.any():
                        log_w[:, at] += _log_normal(C[some[at]][:, seen], joint[0][:, seen], joint[1][:, seen][:, :, seen])
                yield some, configurations, log_w, joint

    def _clamp(self, D: np.ndarray, configuration: np.ndarray) -> np.ndarray:
        D = D.copy()
        D[:, self.switches] = configuration
        return D

    def _split(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return X[:, self.discrete], X[:, self.continuous]

    def marginals(self, X: np.ndarray) -> list[np.ndarray]:
        """For each column p(column | observed cells), (n, levels), or for a continuous one its mean and deviation, (n, 2)."""
        D, C = self._split(X)
        out = [np.zeros((len(X), k or 2)) for k in self.levels]
        for rows, configurations, log_w, joint in self._mixtures(D, C, np.arange(len(X))):
            possible = log_w.max(axis=0) > -np.inf
            share = softmax(log_w.copy())[0] * possible
            for q, configuration in enumerate(configurations):
                for i, p in zip(self.discrete, self.net.marginals(self._clamp(D[rows], configuration)), strict=True):
                    out[i][rows] += share[q][:, None] * p
            for seen, at in _patterns(C[rows]):
                mean, cov = _conditional(C[rows[at]], seen, joint)
                first = np.einsum("qn,qnm->nm", share[:, at], mean)
                second = np.einsum("qn,qnm->nm", share[:, at], np.square(mean) + np.diagonal(cov, axis1=1, axis2=2)[:, None])
                for c, i in enumerate(self.continuous):
                    out[i][rows[at], 0] = first[:, c]
                    out[i][rows[at], 1] = np.sqrt(np.maximum(second[:, c] - first[:, c] ** 2, 0)) * (not seen[c])
        return out

    # ---- expectation and maximisation

    def observed_counts(self, X: np.ndarray, weight: np.ndarray) -> list[np.ndarray]:
        """Counts of each table, then moments (Q, k, k) of each regression, from the rows that observe the whole family."""
        D, C = self._split(X)
        out = self.net.observed_counts(D, weight)
        for c, above in enumerate(self.linear):
            seen = ~(np.isnan(C[:, [*above, c]]).any(axis=1) | np.isnan(D[:, self.switched[c]]).any(axis=1))
            u = np.column_stack([np.ones(seen.sum()), C[seen][:, [*above, c]]])
            code, w = self._code(D[seen], c), weight[seen]
            moments = np.zeros((len(self.variances[c]), u.shape[1], u.shape[1]))
            if len(moments) == 1:
                moments[0] = (u * w[:, None]).T @ u
            else:
                for q in np.unique(code):
                    at = code == q
                    moments[q] = (u[at] * w[at, None]).T @ u[at]
            out.append(moments)
        return out

    def expected_counts(self, X: np.ndarray, weight: np.ndarray) -> tuple[list[np.ndarray], float]:
        """The same in expectation given the observed cells, and sum weight x log p."""
        D, C = self._split(X)
        counts = [np.zeros(table.shape) for table in self.net.tables]
        moments = [np.zeros((len(v), 2 + len(above), 2 + len(above))) for v, above in zip(self.variances, self.linear, strict=True)]
        total = 0.0
        for rows, configurations, log_w, joint in self._mixtures(D, C, np.arange(len(X))):
            share, log_p = softmax(log_w)
            total += float(weight[rows] @ log_p)
            share = share * weight[rows]
            m = len(self.continuous)
            whole = np.zeros((len(configurations), 1 + m, 1 + m))  # E of (1, x)(1, x)'
            for seen, at in _patterns(C[rows]):
                mean, cov = _conditional(C[rows[at]], seen, joint)
                z = np.concatenate([np.ones((*mean.shape[:2], 1)), mean], axis=2)
                r = share[:, at]
                whole += (z * r[:, :, None]).mT @ z
                whole[:, 1:, 1:] += r.sum(axis=1)[:, None, None] * cov
            clamped = np.zeros((len(configurations), len(self.discrete)))
            clamped[:, self.switches] = configurations
            for c, above in enumerate(self.linear):
                at = np.array([0, *(1 + j for j in above), 1 + c])
                np.add.at(moments[c], self._code(clamped, c), whole[:, at][:, :, at])
            for q, configuration in enumerate(configurations):
                held = share[q] > 0
                found, _ = self.net.expected_counts(self._clamp(D[rows[held]], configuration), share[q][held])
                for sum_so_far, part in zip(counts, found, strict=True):
                    sum_so_far += part
        return counts + moments, total

    def refit(self, counts: Sequence[np.ndarray], alpha: float) -> MixedNetwork:
        """The likeliest parameters given such counts and ``alpha`` pseudo-counts a cell, pseudo-rows a regression."""
        tables = len(self.discrete)
        return self._like(self.net.refit(counts[:tables], alpha), [regress(m, alpha) for m in counts[tables:]])

    def log_prior(self, alpha: float) -> float:
        """What the pseudo-counts and pseudo-rows add to the log-likelihood."""
        if not alpha:
            return 0.0
        # E log N(y; b_0 + b'x, v) over independent x, y of mean 0 and variance 1
        rows = sum(
            float((np.log(v) + _LOG_2PI + (1 + np.square(b).sum(axis=1)) / v).sum())
            for b, v in zip(self.coefficients, self.variances, strict=True)
        )
        return self.net.log_prior(alpha) - 0.5 * alpha * rows

    # ---- draws

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n rows, (n, d): each column after its parents."""
        X = np.empty((n, len(self.levels)))
        D, C = self.net.sample(n, rng), np.zeros((n, len(self.continuous)))
        for c in self.order:
            code = self._code(D, c)
            C[:, c] = self._mean(C, c, code) + np.sqrt(self.variances[c][code]) * rng.standard_normal(n)
        X[:, self.discrete], X[:, self.continuous] = D, C
        return X

    def sample_missing(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A copy whose NaN cells are drawn from p(missing | observed): switches, then the rest given them."""
        out = X.copy()
        D, C = self._split(X)
        for rows, configurations, log_w, joint in self._mixtures(D, C, np.flatnonzero(np.isnan(X).any(axis=1))):
            if (log_w.max(axis=0) == -np.inf).any():
                raise ValueError(
                    "The observed cells of a row have probability zero under the network, so nothing can be drawn given them: "
                    "change them, or fit with alpha > 0."
                )
            share = np.cumsum(softmax(log_w)[0], axis=0)
            chosen = (rng.random(len(rows)) * share[-1] >= share[:-1]).sum(axis=0)
            d, c = D[rows], C[rows]
            d[:, self.switches] = configurations[chosen]
            d = self.net.sample_missing(d, rng)
            mean, _, root = joint
            drawn = mean[chosen] + (root[chosen] @ rng.standard_normal((len(rows), len(self.continuous), 1)))[..., 0]
            for seen, at in _patterns(c):
                for q in np.unique(chosen[at]):
                    some = at[chosen[at] == q]
                    # a draw of all columns, moved by what the observed ones say it is off by (Matheron's rule)
                    drawn[some] += (c[some] - drawn[some])[:, seen] @ _gain(joint[1][[q]], seen)[0].T
            c = np.where(np.isnan(c), drawn, c)
            out[np.ix_(rows, self.discrete)], out[np.ix_(rows, self.continuous)] = d, c
        return out


def _patterns(C: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each pattern of observed cells, and the rows that have it."""
    seen = ~np.isnan(C)
    keys, inverse, counts = np.unique(seen, axis=0, return_inverse=True, return_counts=True)
    groups = np.split(np.argsort(inverse.ravel(), kind="stable"), np.cumsum(counts)[:-1])
    return list(zip(keys, groups, strict=True))


def _gain(covariance: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """S_.o S_oo^-1, (Q, m, observed): how far all columns move with the observed ones."""
    return np.linalg.solve(covariance[:, seen][:, :, seen], covariance[:, seen]).mT


def _conditional(C: np.ndarray, seen: np.ndarray, joint: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Mean (Q, n, m) and covariance (Q, m, m) of all continuous columns given the observed ones."""
    mean, covariance, _ = joint
    if not seen.any():
        return np.broadcast_to(mean[:, None], (len(mean), *C.shape)), covariance
    gain = _gain(covariance, seen)
    moved = mean[:, None] + (C[:, seen] - mean[:, None, seen]) @ gain.mT
    moved[:, :, seen] = C[:, seen]
    left = covariance - gain @ covariance[:, seen]
    return moved, np.where(np.outer(~seen, ~seen), left, 0.0)


def _log_normal(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """log N(x; mean, covariance), (Q, n)."""
    root = np.linalg.cholesky(covariance)
    z = np.linalg.solve(root, (x - mean[:, None]).mT)
    log_det = 2 * np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    return -0.5 * (np.square(z).sum(axis=1) + (log_det + x.shape[1] * _LOG_2PI)[:, None])
