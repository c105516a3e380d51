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

__all__ = ["MixedNetwork", "add_moments", "regress"]

_LOG_2PI = np.log(2 * np.pi)
_HELD = 2**21  # numbers at once: rows x configurations of what they miss x what each of those needs
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


def add_moments(out: np.ndarray, code: np.ndarray, weight: np.ndarray, u: np.ndarray) -> None:
    """Add sum weight u u' of the rows (n, k) of each code to ``out``, (Q, k, k)."""
    for a in range(u.shape[1]):
        wu = weight * u[:, a]
        for b in range(a + 1):
            total = np.bincount(code, wu * u[:, b], len(out))
            out[:, a, b] += total
            if a != b:
                out[:, b, a] += total


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
        D, C = self._split(X)
        whole = ~(np.isnan(C).any(axis=1) | np.isnan(D[:, self.switches]).any(axis=1))
        out = np.empty(len(X))
        if whole.any():
            d, c = (D, C) if whole.all() else (D[whole], C[whole])
            out[whole] = self.net.log_prob(d) + self._log_normal_whole(d, c)
        for rows, _, _, log_w in self._expansions(D, C, np.flatnonzero(~whole)):
            out[rows] = log_sum_exp(log_w)
        return out

    def _split(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return X[:, self.discrete], X[:, self.continuous]

    def _log_normal_whole(self, D: np.ndarray, C: np.ndarray) -> np.ndarray:
        """log p of continuous cells, all observed, given the switches: one regression after another."""
        log_p = np.zeros(len(C))
        for i in range(C.shape[1]):
            code = self._code(D, i)
            v = self.variances[i][code]
            log_p -= 0.5 * (np.square(C[:, i] - self._mean(C, i, code)) / v + np.log(v) + _LOG_2PI)
        return log_p

    def _log_normal(self, D: np.ndarray, C: np.ndarray) -> np.ndarray:
        """The same with missing continuous cells, integrated out."""
        out = np.zeros(len(C))
        for seen, at in _patterns(C):
            if seen.all():
                out[at] = self._log_normal_whole(D[at], C[at])
            elif seen.any():
                configurations, which = self._configurations(D[at])
                mean, covariance, _ = self._joint(configurations)
                root = np.linalg.cholesky(covariance[:, seen][:, :, seen])
                log_det = 2 * np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
                z = _turn(np.linalg.inv(root)[which], C[at][:, seen] - mean[which][:, seen])
                out[at] = -0.5 * (np.square(z).sum(axis=1) + log_det[which] + z.shape[1] * _LOG_2PI)
        return out

    # ---- rows as mixtures over the switches they miss

    def _configurations(self, D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The distinct joint levels of the switches, (G, discrete columns), and which each row has."""
        code, size = np.zeros(len(D), dtype=np.int64), 1
        for j in self.switches:
            code, size = code * self.net.levels[j] + D[:, j].astype(np.int64), size * self.net.levels[j]
            if size > 2**40:  # before the numbers grow too large
                code, size = np.unique(code, return_inverse=True)[1], len(D)
        _, first, which = np.unique(code, return_index=True, return_inverse=True)
        out = np.zeros((len(first), len(self.discrete)))
        out[:, self.switches] = D[np.ix_(first, self.switches)]
        return out, which

    def _joint(self, configurations: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean (G, m), covariance (G, m, m) and a root of it, of all continuous columns given the switches."""
        G, m = len(configurations), len(self.continuous)
        slope, own, v = np.zeros((G, m, m)), np.zeros((G, m)), np.zeros((G, m))
        for c in range(m):
            code = self._code(configurations, c)
            own[:, c], v[:, c] = self.coefficients[c][code, 0], self.variances[c][code]
            slope[:, c, self.linear[c]] = self.coefficients[c][code, 1:]
        # x = b + B x + e  =>  x = (I - B)^-1 (b + e)
        back = np.linalg.inv(np.eye(m) - slope)
        root = back * np.sqrt(v)[:, None, :]
        return (back @ own[..., None])[..., 0], root @ root.mT, root

    def _expansions(self, D: np.ndarray, C: np.ndarray, rows: np.ndarray) -> Iterator[tuple]:
        """Each row once for every joint level of the switches that it misses.

        Yields n rows that miss the same switches; their discrete and continuous cells Q times over, the switches filled,
        (Q n, columns) each; and log p of those, (Q, n).
        """
        if not len(rows):
            return
        missing = np.isnan(D[np.ix_(rows, self.switches)])
        keys, inverse, counts = np.unique(missing, axis=0, return_inverse=True, return_counts=True)
        groups = np.split(rows[np.argsort(inverse.ravel(), kind="stable")], np.cumsum(counts)[:-1])
        for key, members in zip(keys, groups, strict=True):
            lost = [j for j, gap in zip(self.switches, key, strict=True) if gap]
            sizes = [self.net.levels[j] for j in lost]
            Q = int(np.prod(sizes, dtype=float))
            if Q > MOST_CONFIGURATIONS:
                raise ValueError(
                    f"A row misses {len(lost)} discrete columns that continuous ones depend on, {Q} joint levels to sum over, "
                    f"more than {MOST_CONFIGURATIONS}: observe some of them, or use continuous='bins'."
                )
            filled = np.array(list(product(*map(range, sizes))), dtype=float).reshape(Q, len(lost))
            step = max(1, _HELD // (Q * (D.shape[1] + (1 + C.shape[1]) ** 2)))
            for begin in range(0, len(members), step):
                some = members[begin : begin + step]
                d, c = np.tile(D[some], (Q, 1)), np.tile(C[some], (Q, 1))
                d[:, lost] = np.repeat(filled, len(some), axis=0)
                yield some, d, c, (self.net.log_prob(d) + self._log_normal(d, c)).reshape(Q, len(some))

    def _conditional(self, D: np.ndarray, C: np.ndarray) -> Iterator[tuple]:
        """Continuous columns given the switches and the observed ones.

        Yields, by pattern of observed cells, the rows, their conditional means (n, m), the distinct configurations, which
        of them each row has, and their conditional covariances (G, m, m).
        """
        for seen, at in _patterns(C):
            configurations, which = self._configurations(D[at])
            mean, covariance, _ = self._joint(configurations)
            moved, x = mean[which], C[at][:, seen]
            if seen.all():
                moved, covariance = x, np.zeros_like(covariance)
            elif seen.any():
                gain = _gain(covariance, seen)
                moved = moved + _turn(gain[which], x - moved[:, seen])
                moved[:, seen] = x
                covariance = np.where(np.outer(~seen, ~seen), covariance - gain @ covariance[:, seen], 0.0)
            yield at, moved, configurations, which, covariance

    def marginals(self, X: np.ndarray) -> list[np.ndarray]:
        """For each column p(column | observed cells), (n, levels), or for a continuous one its mean and deviation, (n, 2)."""
        D, C = self._split(X)
        out = [np.zeros((len(X), k or 2)) for k in self.levels]
        for rows, d, c, log_w in self._expansions(D, C, np.arange(len(X))):
            possible = log_w.max(axis=0) > -np.inf
            share = softmax(log_w)[0] * possible
            for i, p in zip(self.discrete, self.net.marginals(d), strict=True):
                out[i][rows] = np.einsum("qn,qnk->nk", share, p.reshape(*share.shape, -1))
            mean, variance = np.empty(c.shape), np.empty(c.shape)
            for at, moved, _, which, covariance in self._conditional(d, c):
                mean[at], variance[at] = moved, np.diagonal(covariance, axis1=1, axis2=2)[which]
            mean, variance = mean.reshape(*share.shape, -1), variance.reshape(*share.shape, -1)
            first = np.einsum("qn,qnm->nm", share, mean)
            spread = np.einsum("qn,qnm->nm", share, variance + np.square(mean - first))
            for at, i in enumerate(self.continuous):
                out[i][rows] = np.column_stack([first[:, at], np.sqrt(spread[:, at])])
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
            add_moments(moments, code, w, u)
            out.append(moments)
        return out

    def expected_counts(self, X: np.ndarray, weight: np.ndarray) -> tuple[list[np.ndarray], float]:
        """The same in expectation given the observed cells, and sum weight x log p."""
        D, C = self._split(X)
        counts = [np.zeros(table.shape) for table in self.net.tables]
        moments = [np.zeros((len(v), 2 + len(above), 2 + len(above))) for v, above in zip(self.variances, self.linear, strict=True)]
        total = 0.0
        for rows, d, c, log_w in self._expansions(D, C, np.arange(len(X))):
            share, log_p = softmax(log_w)
            total += float(weight[rows] @ log_p)
            r = (share * weight[rows]).ravel()
            d, c, r = d[r > 0], c[r > 0], r[r > 0]
            for sum_so_far, part in zip(counts, self.net.expected_counts(d, r)[0], strict=True):
                sum_so_far += part
            for at, mean, configurations, which, covariance in self._conditional(d, c):
                z, w = np.column_stack([np.ones(len(at)), mean]), r[at]
                mass = np.bincount(which, w, len(configurations))[:, None, None]
                for i, above in enumerate(self.linear):
                    own = [*above, i]
                    add_moments(moments[i], self._code(d[at], i), w, z[:, [0, *(1 + j for j in own)]])
                    np.add.at(moments[i][:, 1:, 1:], self._code(configurations, i), mass * covariance[:, own][:, :, own])
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
        for rows, d, c, log_w in self._expansions(D, C, np.flatnonzero(np.isnan(X).any(axis=1))):
            if (log_w.max(axis=0) == -np.inf).any():
                raise ValueError(
                    "The observed cells of a row have probability zero under the network, so nothing can be drawn given them: "
                    "change them, or fit with alpha > 0."
                )
            share = np.cumsum(softmax(log_w)[0], axis=0)
            chosen = (rng.random(len(rows)) * share[-1] >= share[:-1]).sum(axis=0) * len(rows) + np.arange(len(rows))
            d, c = self.net.sample_missing(d[chosen], rng), c[chosen]
            noise = rng.standard_normal(c.shape)
            for seen, at in _patterns(c):
                configurations, which = self._configurations(d[at])
                mean, covariance, root = self._joint(configurations)
                drawn = mean[which] + _turn(root[which], noise[at])
                if seen.any():  # a draw of all columns, moved by what the observed ones are off it by (Matheron's rule)
                    drawn += _turn(_gain(covariance, seen)[which], (c[at] - drawn)[:, seen])
                c[at] = np.where(seen, c[at], drawn)
            out[np.ix_(rows, self.discrete)], out[np.ix_(rows, self.continuous)] = d, c
        return out


def _patterns(C: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each pattern of observed cells, and the rows that have it."""
    seen = ~np.isnan(C)
    if seen.all():
        return [(np.ones(C.shape[1], dtype=bool), np.arange(len(C)))] if len(C) else []
    packed = np.ascontiguousarray(np.packbits(seen, axis=1))
    key = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, inverse, counts = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    groups = np.split(np.argsort(inverse, kind="stable"), np.cumsum(counts)[:-1])
    return list(zip(seen[first], groups, strict=True))


def _gain(covariance: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """S_.o S_oo^-1, (Q, m, observed): how far all columns move with the observed ones."""
    return np.linalg.solve(covariance[:, seen][:, :, seen], covariance[:, seen]).mT


def _turn(matrix: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A matrix a row (n, i, j) times a vector a row (n, j)."""
    return (matrix @ x[..., None])[..., 0]
