"""Sums over the paths of chains: hidden Markov models (states first, steps packed last) and order-k Markov chains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skgen.ops.logs import SMALLEST, log_sum_exp

__all__ = ["Chain", "Contexts", "Layout", "draw_codes", "lengths", "stationary"]

_FAINT = 1e-150  # a step whose scale is smaller may have lost what matters later
_REACHABLE = 1e-100  # where every transition is likelier, no state that underflows ever matters


def lengths(X: np.ndarray, step_features: int) -> np.ndarray:
    """Steps of each row up to the last observed one, (n,): NaN at the end is not there."""
    if not np.isnan(X[:, -1]).any():
        return np.full(len(X), X.shape[1] // step_features)
    seen = ~np.isnan(X)
    last = X.shape[1] - np.argmax(seen[:, ::-1], axis=1)
    return np.where(seen.any(axis=1), -(-last // step_features), 0)


def draw_codes(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One code for each column of weights (K, n), in proportion to them."""
    edges = np.cumsum(p, axis=0)
    return np.minimum((edges <= rng.random(p.shape[1]) * edges[-1]).sum(axis=0), len(p) - 1)


def stationary(transmat: np.ndarray) -> np.ndarray:
    """pi with pi A = pi: solves pi (I - A + 1 1') = 1'."""
    S = len(transmat)
    pi = np.linalg.solve((np.eye(S) - transmat + 1.0).T, np.ones(S))
    pi = np.maximum(pi, 0.0)
    return pi / pi.sum()


class Layout:
    """Sequences of unequal lengths as one run of steps: all first steps, then all second steps, longest sequences first.

    Parameters
    ----------
    length : int array of shape (n,)

    Attributes
    ----------
    row, step : int arrays of shape (N,)
        Of each packed step.
    blocks : list of (begin, end)
        Where each step number lies.
    """

    def __init__(self, length: np.ndarray):
        self.n = len(length)
        order = np.argsort(-length, kind="stable")
        T = int(length.max(initial=0))
        counts = np.searchsorted(np.sort(length), np.arange(T), side="right")
        counts = self.n - counts
        ends = np.cumsum(counts)
        begins = ends - counts
        self.blocks = list(zip(begins.tolist(), ends.tolist(), strict=True))
        self.step = np.repeat(np.arange(T), counts)
        self.row = order[np.arange(int(counts.sum())) - begins[self.step]]

    def __len__(self) -> int:
        return len(self.row)

    def pack(self, X: np.ndarray, step_features: int) -> np.ndarray:
        """Steps (N, F) of rows (n, T F)."""
        steps = X.reshape(self.n, X.shape[1] // step_features, step_features)
        if len(self.row) == self.n * steps.shape[1]:  # all of one length, in the order given
            return steps.transpose(1, 0, 2).reshape(-1, step_features)
        return steps[self.row, self.step]

    def add_up(self, values: np.ndarray) -> np.ndarray:
        """Sum of a packed quantity over each sequence, (n,)."""
        return np.bincount(self.row, values, self.n)


@dataclass
class Filtered:
    """``alpha`` (S, N) is p(state | steps so far), ``scale`` (N,) p(step | steps before) up to the step's largest density."""

    alpha: np.ndarray
    b: np.ndarray
    scale: np.ndarray
    log_p: np.ndarray
    lost: np.ndarray


@dataclass
class Chain:
    """A hidden chain with start distribution (S,) and transition matrix (S, S).

    Emission log-densities come packed by a :class:`Layout`, (S, N). The recursions scale each step (Rabiner 1989,
    section V.A). Where that would lose a path that matters, a row is named in ``lost`` and must be asked again through
    the ``log_`` methods, which work in logarithms on (S, T, n).
    """

    start: np.ndarray
    transmat: np.ndarray

    # ---- scaled

    def filter(self, log_b: np.ndarray, layout: Layout) -> Filtered:
        """The forward pass; ``log_b`` is overwritten."""
        S, N = log_b.shape
        lost = np.zeros(layout.n, dtype=bool)
        if not N:
            return Filtered(log_b, log_b, np.empty(0), np.zeros(layout.n), lost)
        top = log_b.max(axis=0)
        with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
            log_b -= top
            if self.transmat.min() < _REACHABLE:
                lost[layout.row[((log_b < SMALLEST) & (log_b > -np.inf)).any(axis=0)]] = True
            b = np.exp(log_b, out=log_b)
            forward = np.ascontiguousarray(self.transmat.T)
            alpha, scale = np.empty((S, N)), np.empty(N)
            before = 0
            for t, (begin, end) in enumerate(layout.blocks):
                now, total = alpha[:, begin:end], scale[begin:end]
                if t:
                    # alpha_t(j) = b_j(x_t) sum_i alpha_{t-1}(i) A_ij / c_t
                    np.matmul(forward, alpha[:, before : before + end - begin], out=now)
                    now *= b[:, begin:end]
                else:
                    np.multiply(self.start[:, None], b[:, begin:end], out=now)
                np.add.reduce(now, axis=0, out=total)
                now /= total
                before = begin
            faint = ~(scale > _FAINT)
            log_p = layout.add_up(np.log(scale) + top)
        if faint.any():
            lost[layout.row[faint]] = True
        return Filtered(alpha, b, scale, log_p, lost)

    def smooth(self, filtered: Filtered, layout: Layout, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weighted posteriors w p(state | row), (S, N), and expected transitions (S, S); lost rows count nothing.

        ``filtered`` is overwritten.
        """
        alpha, q = filtered.alpha, filtered.b
        S = len(alpha)
        if filtered.lost.any():
            gone = filtered.lost[layout.row]
            alpha[:, gone], q[:, gone], filtered.scale[gone] = 0.0, 0.0, 1.0
        q /= filtered.scale
        xi = np.zeros((S, S))
        first = layout.blocks[0][1] if layout.blocks else 0
        # every quantity is linear in beta: one that ends in the weights gives weighted posteriors
        beta = np.tile(weight[layout.row[:first]], (S, 1))
        for t in range(len(layout.blocks) - 1, -1, -1):
            begin, end = layout.blocks[t]
            ahead = beta[:, : end - begin]
            if t:
                before = layout.blocks[t - 1][0]
                now = q[:, begin:end]
                now *= ahead
                # xi_ij = A_ij sum_t alpha_{t-1}(i) b_j(x_t) beta_t(j) / c_t
                xi += alpha[:, before : before + end - begin] @ now.T
            alpha[:, begin:end] *= ahead
            if t:
                # beta_{t-1}(i) = sum_j A_ij b_j(x_t) beta_t(j) / c_t
                np.matmul(self.transmat, now, out=ahead)
        return alpha, xi * self.transmat

    def draw_paths(self, alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """States (T, n) drawn from the posterior, from filtered (T, S, n), last to first."""
        T, _, n = alpha.shape
        states = np.empty((T, n), dtype=np.intp)
        for t in range(T - 1, -1, -1):
            # p(s_t | s_{t+1}, x_1..t) is proportional to alpha_t(s_t) A(s_t, s_{t+1})
            p = alpha[t] if t == T - 1 else alpha[t] * self.transmat[:, states[t + 1]]
            states[t] = draw_codes(p, rng)
        return states

    def sample(self, n: int, T: int, rng: np.random.Generator) -> np.ndarray:
        """States (T, n)."""
        states = np.empty((T, n), dtype=np.intp)
        edges = np.cumsum(self.transmat, axis=1).T
        for t in range(T):
            table = np.cumsum(self.start)[:, None] if t == 0 else edges[:, states[t - 1]]
            states[t] = np.minimum((table <= rng.random(n) * table[-1]).sum(axis=0), len(self.start) - 1)
        return states

    # ---- in logarithms

    @property
    def _logs(self) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(divide="ignore"):
            return np.log(self.start), np.log(self.transmat)

    def log_filter(self, log_b: np.ndarray) -> np.ndarray:
        """log p(state_t, x_1..t), (S, T, n)."""
        log_start, log_a = self._logs
        out = np.empty_like(log_b)
        for t in range(log_b.shape[1]):
            out[:, t] = log_start[:, None] if t == 0 else log_sum_exp(out[:, t - 1][:, None] + log_a[:, :, None])
            out[:, t] += log_b[:, t]
        return out

    def log_smooth(self, log_b: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weighted posteriors (S, T, n), expected transitions (S, S) and log p (n,); a row of probability 0 counts nothing."""
        _, log_a = self._logs
        S, T, _ = log_b.shape
        forward = self.log_filter(log_b)
        log_p = log_sum_exp(forward[:, -1])
        some = np.isfinite(log_p)
        gamma, xi = np.zeros_like(log_b), np.zeros((S, S))
        log_b, forward, w, known = log_b[:, :, some], forward[:, :, some], weight[some], log_p[some]
        beta, posterior = np.zeros((S, len(known))), np.empty_like(log_b)
        for t in range(T - 1, -1, -1):
            posterior[:, t] = np.exp(forward[:, t] + beta - known) * w
            if t:
                q = log_b[:, t] + beta
                both = forward[:, t - 1][:, None] + log_a[:, :, None] + q
                xi += np.exp(both - known) @ w
                beta = log_sum_exp(log_a.T[:, :, None] + q[:, None])
        gamma[:, :, some] = posterior
        return gamma, xi, log_p

    def viterbi(self, log_b: np.ndarray) -> np.ndarray:
        """The most probable path of each row, (n, T), from (S, T, n) (Viterbi 1967); the first of equals."""
        log_start, log_a = self._logs
        S, T, n = log_b.shape
        back = np.empty((T, S, n), dtype=np.int32)
        best = log_start[:, None] + log_b[:, 0]
        for t in range(1, T):
            # best_t(j) = b_j(x_t) max_i best_{t-1}(i) A_ij
            ways = best[:, None] + log_a[:, :, None]
            back[t] = ways.argmax(axis=0)
            best = np.take_along_axis(ways, back[t][None], axis=0)[0] + log_b[:, t]
        path = np.empty((n, T), dtype=np.intp)
        path[:, -1] = best.argmax(axis=0)
        for t in range(T - 1, 0, -1):
            path[:, t - 1] = back[t][path[:, t], np.arange(n)]
        return path


@dataclass
class Contexts:
    """A chain of order k over K symbols, summed over what is not observed.

    ``tables[t]`` is p(x_t | the min(t, k) symbols before), (K ** min(t, k), K), the oldest symbol the slowest; ``masks[t]``
    (K, n) is 1 for the symbols that row may have at step t. A state is the symbols of the last k steps.
    """

    tables: list[np.ndarray]
    order: int

    def filter(self, masks: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """p(context before step t | observed before), (contexts, n) for t = 0..T, and the scale of each step (T, n)."""
        T, K, n = masks.shape
        alpha, scale = [np.ones((1, n))], np.empty((T, n))
        for t in range(T):
            table, before = self.tables[t], alpha[-1]
            if t < self.order:
                both = before[:, None] * table[:, :, None]
                both *= masks[t]
                after = both.reshape(-1, n)
            elif self.order == 0:
                after = table @ masks[t]
            else:  # the oldest symbol is summed out: one matrix product for each way of the k - 1 others
                old = before.reshape(K, -1, n).transpose(1, 0, 2)
                after = table.reshape(K, -1, K).transpose(1, 2, 0) @ old
                after *= masks[t]
                after = after.reshape(-1, n)
            after.sum(axis=0, out=scale[t])
            after /= np.where(scale[t] > 0, scale[t], 1.0)
            alpha.append(after)
        return alpha, scale

    def _ahead(self, t: int, beta: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """mask(x) beta(context after x): (ways of the symbols that stay, K, n)."""
        n = mask.shape[1]
        return mask[None] * (beta[:, None] if self.order == 0 else beta.reshape(-1, mask.shape[0], n))

    def _back(self, t: int, q: np.ndarray) -> np.ndarray:
        """sum_x p(x | context) q(context, x), (contexts, n)."""
        K, n = q.shape[1:]
        if t < self.order or self.order == 0:
            return np.matmul(self.tables[t][:, None], q)[:, 0]
        out = self.tables[t].reshape(K, -1, K).transpose(1, 0, 2) @ q
        return out.transpose(1, 0, 2).reshape(-1, n)

    def counts(self, masks: np.ndarray, weight: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """Expected number of (context, symbol) at each step, shaped as the tables, and log p (n,)."""
        T, K, n = masks.shape
        alpha, scale = self.filter(masks)
        with np.errstate(divide="ignore"):
            log_p = np.log(scale).sum(axis=0)
        w = np.where(np.isfinite(log_p), weight, 0.0)
        beta = np.ones((alpha[-1].shape[0], n))
        found = []
        for t in range(T - 1, -1, -1):
            q = self._ahead(t, beta, masks[t]) / np.where(scale[t] > 0, scale[t], 1.0)
            table, before = self.tables[t], alpha[t]
            if t < self.order or self.order == 0:
                pairs = np.matmul(q, (before * w)[:, :, None])[:, :, 0]
            else:
                old = (before * w).reshape(K, -1, n).transpose(1, 0, 2)
                pairs = (old @ q.transpose(0, 2, 1)).transpose(1, 0, 2).reshape(table.shape)
            found.append(pairs * table)
            beta = self._back(t, q)
        return found[::-1], log_p

    def draw(self, masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Symbols (T, n) drawn given the masks: messages from the end, draws from the beginning."""
        T, K, n = masks.shape
        ahead = []
        beta = np.ones((K ** min(T, self.order), n))
        for t in range(T - 1, -1, -1):
            q = self._ahead(t, beta, masks[t])
            ahead.append(q)
            beta = self._back(t, q)
            total = beta.sum(axis=0)
            beta = np.where(total > 0, beta / np.where(total > 0, total, 1.0), 1.0)
        ahead.reverse()
        symbols, context, rows = np.empty((T, n), dtype=np.int64), np.zeros(n, dtype=np.int64), np.arange(n)
        for t in range(T):
            stays = context % len(ahead[t])
            p = self.tables[t][context].T * ahead[t][stays, :, rows].T
            p = np.where(p.sum(axis=0) > 0, p, masks[t])  # of probability zero: anything that is allowed
            symbols[t] = draw_codes(p, rng)
            context = (context * K + symbols[t]) % K ** min(t + 1, self.order)
        return symbols
