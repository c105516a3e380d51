"""Hidden Markov models with any model as emission."""

from __future__ import annotations

import copy
from dataclasses import field
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
from scipy.optimize import minimize
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skgen import registry
from skgen.base import GenerativeModel
from skgen.learn.em import climb, even_rows, spread_seeds, warn_not_converged
from skgen.ops.chains import Chain, Layout, lengths, stationary
from skgen.ops.logs import log_sum_exp, softmax
from skgen.parameters import Interval
from skgen.tables import Columns

__all__ = ["HMM"]

_START_STEPS = 20_000  # states are first told apart on so many steps
_START_CELLS = 2**22  # starts are compared on so many (step, state) pairs
_SHORT, _LONG = 10, 100  # least and most EM iterations of a start that is compared with others
_CHEAP = 200_000  # (step, state) pairs that such a start may visit to have more than the least
_LLOYD = 5
_SOFT = 0.1  # share of a step that a start spreads over all states
_STAY = 0.5  # weight of staying where one is, in the first transition matrix
_HELD = 2**20  # (step, state) pairs of a chunk of sequences
_LEAST = 1e-10  # transition probability that the maximisation with a stationary start goes down to


class HMM(ClassNamePrefixFeaturesOutMixin, TransformerMixin, GenerativeModel):
    r"""A hidden Markov model, p(x) = sum_s p(s_1) p(x_1|s_1) prod_t p(s_t|s_{t-1}) p(x_t|s_t); a row is a sequence.

    The emission p(x_t | s) is any model of one step of ``step_features`` columns, the same at every step; with naive
    Bayes, columns of all kinds at once. Shorter sequences end in NaN; a cell that is missing anywhere is summed out, in
    ``fit`` too. Fitted by EM (Baum-Welch) over all sequences at once.

    Parameters
    ----------
    emission : str or model, default="naive_bayes"
        A registry name or a model. ``GaussianMixture()`` is the normal with a full covariance.
    n_states : int, default=2
    start : {"free", "stationary"}
        "free" has a start distribution of its own; "stationary" starts from that of the transition matrix.
    alpha : float, default=0.1
        Pseudo-counts of each transition (and, where free, of each start). 0 is maximum likelihood.
    step_features : int, default=1
        Columns a step, step-major.
    n_init : int, default=3
        Starts. All run for a few EM iterations on some thousand steps, the better half for twice as many, and so on.
    max_iter : int, default=200
    tol : float, default=1e-4
        EM stops when the mean penalised log-likelihood (nats a row, that is a sequence) gains less.

    Attributes
    ----------
    transmat_ : array of shape (S, S)
        p(next state | state).
    startprob_ : array of shape (S,)
    emissions_ : list
        The fitted density of each state.
    converged_ : bool
    n_iter_ : int

    Notes
    -----
    ``score_samples`` is as exact as the emission, in nats a sequence; ``likelihood``, ``missing`` and the kinds of columns
    are the emission's. With a stationary start, an M-step of the transition matrix is a numerical maximisation that is
    taken only if it gains. ConvergenceWarning if ``max_iter`` was too few; ValueError for an emission that is set up to
    read tables or labels itself.

    References
    ----------
    Baum et al. (1970), "A maximization technique occurring in the statistical analysis of probabilistic functions of
    Markov chains"; Rabiner (1989), "A tutorial on hidden Markov models"; Zucchini & MacDonald (2009), *Hidden Markov
    Models for Time Series*.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import HMM
    >>> X = np.repeat([[-1.0, -1.1, 4.0, 4.2], [4.1, 4.0, -1.0, -1.2]], 10, axis=0)
    >>> X += np.random.default_rng(0).normal(0, 0.1, (20, 4))
    >>> model = HMM(n_states=2, random_state=0).fit(X)
    >>> path = model.decode(X)
    >>> bool((path[:, 0] == path[:, 1]).all() and (path[:, 0] != path[:, 2]).all())
    True
    >>> model.predict_states(X).shape
    (20, 4, 2)
    """

    emission: Any = field(default="naive_bayes", kw_only=False)
    n_states: Annotated[int, Interval(1)] = 2
    start: Literal["free", "stationary"] = "free"
    alpha: Annotated[float, Interval(0)] = 0.1
    step_features: Annotated[int, Interval(1)] = 1
    n_init: Annotated[int, Interval(1)] = 3
    max_iter: Annotated[int, Interval(1)] = 200
    tol: Annotated[float, Interval(0)] = 1e-4

    quick = MappingProxyType({"n_init": 1, "n_states": 4, "max_iter": 5})
    known_gaps = MappingProxyType(
        {"unit_change": "steps are one variable in one unit: columns multiplied by numbers of their own are another table"}
    )

    # ---- what the emission says

    def _template(self) -> GenerativeModel:
        model = registry.make(self.emission) if isinstance(self.emission, str) else self.emission
        if not isinstance(model, GenerativeModel):
            raise ValueError(f"emission={model!r} of {type(self).__name__} must be a model or a name from skgen.names().")
        return model

    @property
    def kinds(self) -> frozenset:
        return frozenset(self._template().kinds)

    @property
    def likelihood(self) -> str:
        return self._template().likelihood

    @property
    def missing(self) -> str:
        return self._template().missing

    @property
    def missing_in_fit(self) -> bool:
        return self._template().missing_in_fit

    @property
    def streams(self) -> bool:
        return self._template().streams

    def _step_columns(self) -> Columns:
        """The columns of one step; all steps must agree."""
        c = self.columns_
        parent = vars(c).get("parent", np.arange(len(c)))  # a column may be shown as several bits
        n_source = int(parent[-1]) + 1
        if n_source % self.step_features:
            raise ValueError(
                f"step_features={self.step_features} does not divide the {n_source} columns of X: columns are step-major."
            )
        width = len(c) // (n_source // self.step_features)
        first = c.subset(range(width))
        for j in range(width, len(c)):
            same = first.kinds[j % width] == c.kinds[j]
            ours, theirs = first.levels[j % width], c.levels[j]
            if not same or (ours is None) != (theirs is None) or (ours is not theirs and not ours.equals(theirs)):
                raise ValueError(
                    f"Columns {c.names[j % width]!r} and {c.names[j]!r} are one variable at two steps, but differ in "
                    "kind or levels: pass column_kinds=skgen.columns(X, step_features=...)."
                )
        return first

    # ---- fit

    def _fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        self._one_step = self._step_columns()
        steps = _Steps(X, weight, len(self._one_step), self.n_states)
        n_init = self.n_init if self.n_states > 1 else 1
        per_row = max(1, len(steps) * self.n_states // len(X))
        rows, w = even_rows(X, weight, max(1, _START_CELLS // per_row), rng)
        some = _Steps(X[rows], w, len(self._one_step), self.n_states)
        starts, n_iter = [], int(np.clip(_CHEAP // max(1, len(some) * self.n_states), _SHORT, _LONG))
        for i in range(n_init):
            self._begin(some, rng, bold=i > 0)
            starts.append((self._emission, self._chain))
        while len(starts) > 1:  # all run a little, the better half goes on for twice as long, and so on
            objectives = []
            for i, (emission, chain) in enumerate(starts):
                self._emission, self._chain = emission, chain
                objectives.append(climb(lambda: self._step(some, rng), n_iter, self.tol)[0])
                starts[i] = self._emission, self._chain
            starts = [starts[i] for i in np.argsort(objectives, kind="stable")[::-1][: len(starts) // 2]]
            n_iter *= 2
        self._emission, self._chain = starts[0]
        _, self.n_iter_, self.converged_ = climb(lambda: self._step(steps, rng), self.max_iter, self.tol)
        if not self.converged_:
            warn_not_converged(type(self).__name__, self.max_iter, self.tol)

    def _update(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        self._step(_Steps(X, weight, len(self._one_step), self.n_states), rng)

    def _partial_fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        if "_chain" not in vars(self):
            self._fit(X, weight, rng)
        steps = _Steps(X, weight, len(self._one_step), self.n_states)
        gamma, xi, first, _ = self._expect(steps)
        before = vars(self).get("_sums", (0.0, 0.0))
        emission = copy.copy(self._emission)
        if len(steps):
            emission._partial_fit_classes(steps.Y, gamma.T, rng)
        self._emission, self._sums = emission, (before[0] + xi, before[1] + first)
        self._maximise(*self._sums)

    def _begin(self, steps: _Steps, rng: np.random.Generator, bold: bool) -> None:
        """States from clusters of the steps, transitions that favour staying; a bold start leaves more to chance."""
        S = self.n_states
        stay = _STAY * rng.random() if bold else _STAY
        elsewhere = rng.dirichlet(np.ones(S), S) if bold else np.full((S, S), 1 / S)
        self._chain = Chain(np.full(S, 1 / S), (1 - stay) * elsewhere + stay * np.eye(S))
        self._emission = self._template().as_component(self._one_step, "emission")
        if S == 1:
            self._emission._fit_classes(steps.Y, steps.weight[:, None], rng)
            return
        rows, w = even_rows(steps.Y, steps.weight, _START_STEPS, rng)
        H = _as_numbers(steps.Y[rows], self._one_step, w)
        square = np.square(H).sum(axis=1)
        seeds = spread_seeds(S, w, lambda i: np.maximum(square - 2 * (H @ H[i]) + square[i], 0.0), rng)
        centres = H[seeds].copy()
        for _ in range(1 if bold else _LLOYD):
            nearest = (0.5 * np.square(centres).sum(axis=1)[:, None] - centres @ H.T).argmin(axis=0)
            share = np.zeros((S, len(H)))
            share[nearest, np.arange(len(H))] = w
            mass = share.sum(axis=1)
            held = mass > 0
            centres[held] = (share @ H)[held] / mass[held, None]
        share = (1 - _SOFT) * share + _SOFT / S * w
        self._emission._fit_classes(steps.Y[rows], share.T, rng)

    def _step(self, steps: _Steps, rng: np.random.Generator) -> float:
        """One EM iteration; the mean penalised log-likelihood (nats a row) before it."""
        gamma, xi, first, log_p = self._expect(steps)
        objective = float(steps.row_weight @ np.maximum(log_p, np.finfo(float).min / len(log_p)))
        objective += self._log_smoothing()
        if len(steps):
            self._emission._update_classes(steps.Y, gamma.T, rng)
        self._maximise(xi, first)
        return objective / steps.row_weight.sum()

    def _log_smoothing(self) -> float:
        emission = self._emission._log_smoothing_classes()
        if not self.alpha:
            return emission
        free = self._chain.start if self.start == "free" else np.ones(1)
        return emission + self.alpha * float(np.log(self._chain.transmat).sum() + np.log(free).sum())

    def _expect(self, steps: _Steps) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """E-step: weighted posteriors (S, N), expected transitions (S, S), first states (S,) and log p (n,)."""
        S = self.n_states
        log_p = np.empty(len(steps.row_weight))
        xi, first = np.zeros((S, S)), np.zeros(S)
        gamma = None if len(steps.chunks) == 1 else np.empty((S, len(steps)))
        for layout, at, rows in steps.chunks:
            filtered = self._chain.filter(self._log_emissions(steps.Y[at]), layout)
            log_p[rows] = filtered.log_p
            w = steps.row_weight[rows]
            found, pairs = self._chain.smooth(filtered, layout, w)
            xi += pairs
            for i in np.flatnonzero(filtered.lost):  # rare: a path that underflows
                own = layout.row == i
                log_b = self._log_emissions(steps.Y[at][own])[:, :, None]
                one, pairs, log_p[rows[i : i + 1]] = self._chain.log_smooth(log_b, w[i : i + 1])
                found[:, own] = one[:, :, 0]
                xi += pairs
            if len(layout):
                first += found[:, : layout.blocks[0][1]].sum(axis=1)
            if gamma is None:
                gamma = found
            else:
                gamma[:, at] = found
        return gamma, xi, first, log_p

    def _log_emissions(self, Y: np.ndarray) -> np.ndarray:
        """log p(step | state), (S, N), an array of our own."""
        if not len(Y):
            return np.zeros((self.n_states, 0))
        return np.ascontiguousarray(self._emission._log_prob_classes(Y).T)

    def _maximise(self, xi: np.ndarray, first: np.ndarray) -> None:
        """M-step of the chain: p(j | i) = (xi_ij + alpha) / (sum_j xi_ij + alpha S), and the start likewise."""
        counts = xi + self.alpha
        total = counts.sum(axis=1, keepdims=True)
        transmat = np.where(total > 0, counts / np.where(total > 0, total, 1.0), self._chain.transmat)
        if self.start == "stationary":
            transmat = _maximise_stationary(counts, first, [self._chain.transmat, transmat])
            self._chain = Chain(stationary(transmat), transmat)
            return
        begin = first + self.alpha
        begin = begin / begin.sum() if begin.sum() > 0 else self._chain.start
        self._chain = Chain(begin, transmat)

    # ---- log p, draws, states

    def _chunks(self, n: int, T: int) -> list[slice]:
        size = max(1, _HELD // (T * self.n_states))
        return [slice(begin, begin + size) for begin in range(0, n, size)]

    def _filtered(self, X: np.ndarray, length: np.ndarray) -> tuple[Any, Layout, np.ndarray]:
        layout = Layout(length)
        Y = layout.pack(X, len(self._one_step))
        return self._chain.filter(self._log_emissions(Y), layout), layout, Y

    def _log_steps(self, X: np.ndarray) -> np.ndarray:
        """log p(step | state) of whole rows, (S, T, n)."""
        F, T = len(self._one_step), X.shape[1] // len(self._one_step)
        Y = X.reshape(len(X), T, F).transpose(1, 0, 2).reshape(-1, F)
        seen = ~np.isnan(Y).all(axis=1)
        out = np.zeros((self.n_states, len(Y)))
        out[:, seen] = self._log_emissions(Y[seen])
        return out.reshape(self.n_states, T, len(X))

    def _log_prob(self, X: np.ndarray) -> np.ndarray:
        out = np.zeros(len(X))
        length = lengths(X, len(self._one_step))
        for chunk in self._chunks(len(X), X.shape[1] // len(self._one_step)):
            filtered, _, _ = self._filtered(X[chunk], length[chunk])
            out[chunk] = filtered.log_p
            lost = np.flatnonzero(filtered.lost) + chunk.start
            if len(lost):
                out[lost] = log_sum_exp(self._chain.log_filter(self._log_steps(X[lost]))[:, -1])
        return out

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        F = len(self._one_step)
        T = len(self.columns_) // F
        states = self._chain.sample(n, T, rng)
        Y = np.empty((states.size, F))
        flat = states.ravel()
        for s in range(self.n_states):
            at = np.flatnonzero(flat == s)
            if len(at):
                Y[at] = self._emission._sample_class(s, len(at), rng)
        return Y.reshape(T, n, F).transpose(1, 0, 2).reshape(n, T * F)

    def _sample_missing(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        F = len(self._one_step)
        T = X.shape[1] // F
        out = X.copy()
        for chunk in self._chunks(len(X), T):
            x = X[chunk]
            states = self._chain.draw_paths(self._alpha(x), rng).ravel()
            Y = x.reshape(len(x), T, F).transpose(1, 0, 2).reshape(-1, F)
            gaps = np.isnan(Y).any(axis=1)
            for s in range(self.n_states):
                at = np.flatnonzero(gaps & (states == s))
                if len(at):
                    Y[at] = self._emission._sample_missing_class(s, Y[at], rng)
            out[chunk] = Y.reshape(T, len(x), F).transpose(1, 0, 2).reshape(len(x), -1)
        return out

    def _alpha(self, X: np.ndarray) -> np.ndarray:
        """p(state | steps so far), (T, S, n)."""
        forward = self._chain.log_filter(self._log_steps(X))
        out = softmax(forward.reshape(self.n_states, -1))[0]
        return np.ascontiguousarray(out.reshape(forward.shape).transpose(1, 0, 2))

    def _posteriors(self, X: np.ndarray) -> np.ndarray:
        """p(state_t | row), (n, T, S)."""
        T = X.shape[1] // len(self._one_step)
        out = np.empty((len(X), T, self.n_states))
        for chunk in self._chunks(len(X), T):
            gamma, _, log_p = self._chain.log_smooth(self._log_steps(X[chunk]), np.ones(len(X[chunk])))
            gamma[:, :, ~np.isfinite(log_p)] = 1 / self.n_states  # of probability zero: nothing was learnt
            out[chunk] = gamma.transpose(2, 1, 0)
        return out

    # ---- questions about states

    def _coded_rows(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Rows as the densities take them, and p(class | row) (n, K)."""
        check_is_fitted(self, "columns_")
        table, _ = self._table(X, reset=False, may_miss=self.missing != "none")
        coded, _ = self.columns_.encode(table)
        Z, _ = self._coding.encode(coded)
        if "classes_" not in vars(self):
            return Z, np.ones((len(Z), 1))
        joint = self._fitted._log_prob_classes(Z) + self._learnt_log_prior()
        return Z, np.ascontiguousarray(softmax(np.ascontiguousarray(joint.T))[0].T)

    def predict_states(self, X: Any) -> np.ndarray:
        """Posterior probabilities of the states at each step.

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
            NaN is a cell that was not observed; steps after the end of a sequence are forecasts.

        Returns
        -------
        array of shape (n, T, S)
            Each step's sum to one. After ``fit(X, y)`` the states of all classes stand side by side, class by class, and
            the probabilities are those of class and state together.
        """
        Z, share = self._coded_rows(X)
        found = [density._posteriors(Z) * p[:, None, None] for density, p in zip(self._fitted.densities_, share.T, strict=True)]
        return np.concatenate(found, axis=2)

    def decode(self, X: Any) -> np.ndarray:
        """The most probable path of states of each row (Viterbi 1967).

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)

        Returns
        -------
        int array of shape (n, T)
            After ``fit(X, y)``: the path under the most probable class, numbered as in ``predict_states``. Steps after
            the end of a sequence continue it in the likeliest way.
        """
        Z, share = self._coded_rows(X)
        label = share.argmax(axis=1)
        T = Z.shape[1] // len(self._fitted.densities_[0]._one_step)
        out = np.empty((len(Z), T), dtype=np.intp)
        for k, density in enumerate(self._fitted.densities_):
            rows = np.flatnonzero(label == k)
            for chunk in self._chunks(len(rows), T * self.n_states):
                at = rows[chunk]
                out[at] = density._chain.viterbi(density._log_steps(Z[at])) + k * self.n_states
        return out

    def transform(self, X: Any) -> np.ndarray:
        """``predict_states``, the steps of a row side by side: (n, T * S), step-major."""
        states = self.predict_states(X)
        return states.reshape(len(states), -1)

    @property
    def _n_features_out(self) -> int:
        densities = self._fitted.densities_
        return len(self._fitted.columns_) // len(densities[0]._one_step) * self.n_states * len(densities)

    # ---- what a user reads

    @property
    def transmat_(self) -> np.ndarray:
        """p(next state | state), (S, S); rows sum to one."""
        return self._chain.transmat.copy()

    @property
    def startprob_(self) -> np.ndarray:
        """p(first state), (S,)."""
        return self._chain.start.copy()

    @property
    def emissions_(self) -> list[GenerativeModel]:
        """The fitted density of one step, a state each."""
        return list(self._emission.densities_)

    def _n_parameters(self) -> int:
        S = self.n_states
        own = sum(density._n_parameters() for density in self.emissions_)
        return own + S * (S - 1) + (S - 1 if self.start == "free" else 0)


class _Steps:
    """The steps of all sequences, packed by chunks of sequences whose recursions stay in memory."""

    def __init__(self, X: np.ndarray, weight: np.ndarray, width: int, n_states: int):
        length = lengths(X, width)
        order = np.argsort(-length, kind="stable")
        self.row_weight = weight
        self.chunks: list[tuple[Layout, slice, np.ndarray]] = []
        pieces, done = [], 0
        chunk_of = np.cumsum(length[order]) // max(1, _HELD // n_states)
        for rows in np.split(order, np.flatnonzero(np.diff(chunk_of)) + 1):
            layout = Layout(length[rows])
            pieces.append(layout.pack(X[rows], width))
            self.chunks.append((layout, slice(done, done + len(layout)), rows))
            done += len(layout)
        self.Y = np.concatenate(pieces) if len(pieces) > 1 else pieces[0]
        self.weight = np.concatenate([weight[rows][layout.row] for layout, _, rows in self.chunks])
        if not done:  # nothing observed: a step that says nothing, so that there is an emission
            self.Y, self.weight = np.full((1, width), np.nan), np.ones(1)

    def __len__(self) -> int:
        return self.chunks[-1][1].stop


def _as_numbers(Y: np.ndarray, columns: Columns, weight: np.ndarray) -> np.ndarray:
    """Steps as points: integers standardised, categories as indicator columns, what is missing in the middle."""
    pieces = []
    for j, kind in enumerate(columns.kinds):
        y = Y[:, j]
        seen = ~np.isnan(y)
        points = y[:, None]
        if kind == "categorical":
            points = (y[:, None] == np.arange(len(columns.levels[j]))).astype(float)
        mass = max(float(weight @ seen), np.finfo(float).tiny)
        points = np.where(seen[:, None], points, 0.0)
        centre = weight @ points / mass
        points = np.where(seen[:, None], points - centre, 0.0)
        if kind == "integer":
            points /= np.sqrt(max(float(weight @ points[:, 0] ** 2) / mass, 1e-12))
        pieces.append(points)
    return np.concatenate(pieces, axis=1)


def _maximise_stationary(counts: np.ndarray, first: np.ndarray, starts: list[np.ndarray]) -> np.ndarray:
    r"""argmax_A sum_ij c_ij log A_ij + sum_i f_i log pi_i(A), pi A = pi; never worse than ``starts[0]``.

    With rows A_i = softmax(theta_i) and Z = (I - A + 1 pi)^-1:  d pi_k / d A_ij = pi_i Z_jk  (Schweitzer 1968).
    """
    S = len(counts)
    if S == 1:
        return np.ones((1, 1))
    size = counts.sum() + first.sum()

    def value(A: np.ndarray) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(counts > 0, counts * np.log(A), 0.0).sum()
            return float(terms + np.where(first > 0, first * np.log(stationary(A)), 0.0).sum()) / size

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        A = np.ascontiguousarray(softmax(theta.reshape(S, S).T.copy())[0].T)
        pi = np.maximum(stationary(A), 1e-300)
        Z = np.linalg.inv(np.eye(S) - A + pi)
        slope = counts / A + np.outer(pi, Z @ (first / pi))
        gradient = A * (slope - (A * slope).sum(axis=1, keepdims=True))
        f = (counts * np.log(A)).sum() + first @ np.log(pi)
        return -f / size, -gradient.ravel() / size

    begun = [np.maximum(A, _LEAST) / np.maximum(A, _LEAST).sum(axis=1, keepdims=True) for A in starts]
    theta = np.log(max(begun, key=value)).ravel()
    bounds = [(np.log(_LEAST) - 1, 1.0)] * theta.size
    found = minimize(
        loss, theta, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 200, "gtol": 1e-10, "ftol": 1e-15}
    )
    A = np.ascontiguousarray(softmax(found.x.reshape(S, S).T.copy())[0].T)
    return A if value(A) >= value(starts[0]) else starts[0]
