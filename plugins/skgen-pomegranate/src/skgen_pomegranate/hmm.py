"""pomegranate's dense hidden Markov model."""

from __future__ import annotations

import warnings
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pomegranate.hmm import DenseHMM
from sklearn.exceptions import ConvergenceWarning

from skgen import Interval
from skgen_pomegranate._base import FAILURES, Adapter, whole
from skgen_pomegranate._chain import draw_states, even_chain, log_length, step_is_discrete
from skgen_pomegranate._emissions import (
    add_variance,
    collapsed,
    draw_steps,
    make_nodes,
    normal_start,
    read_nodes,
    table_start,
    write_nodes,
)

__all__ = ["PomegranateHMM"]

_REMEDY = "take fewer states (n_states), or a greater reg_covar or pseudocount."
_ONE_STEP = "pomegranate 1.1.2 cannot fit sequences of a single step, and the check has a table of one column"
_HELD = 2**22  # (row, step, state, state) cells of a chunk of sequences


class PomegranateHMM(Adapter):
    r"""pomegranate's DenseHMM over rows that are sequences of T steps, as a density of rows of that length.

    pomegranate's model has a probability of ending after each step, and its log p is that of x *and* of ending after T
    steps. Of a row the length is given, so that what is shown is

        log p(x | T) = log p(x, end after T) - log P(T),     P(T) = s' A^(T-1) e,

    with the start s, the transitions A and the ends e of the fitted pomegranate model. EM climbs pomegranate's p(x, T).

    Parameters
    ----------
    n_states : int, default=2
    emission : {"auto", "normal", "categorical"}
        What a step is given its state. "auto": normal where all columns are continuous, tables where all are discrete;
        pomegranate has no emission for steps that hold both. The other two have skgen convert the columns.
    covariance_type : {"full", "diag"}
        Of normal emissions.
    step_features : int, default=1
        Columns a step, step-major.
    reg_covar : float, default=1e-6
        Added to each variance in each step of EM, in squared scales of the columns. pomegranate's ``min_cov`` is accepted
        there and not used, so that with 0 a state that shrinks onto a point ends EM.
    pseudocount : float, default=0
        Added to each count of a categorical emission. Starts, transitions and ends are never smoothed.
    max_iter : int, default=200
    tol : float, default=1e-4
        EM stops when the mean log p(x, T) (nats a row, that is a sequence) gains less. pomegranate's ``fit`` compares the
        sum over rows without their weights; its ``summarize`` and ``from_summaries`` are called here instead.

    Attributes
    ----------
    startprob_, transmat_, endprob_ : arrays of shape (S,), (S, S), (S,)
        s, A and e. Rows of A sum to one together with e.
    means_, covariances_ : arrays of shape (S, F) and (S, F, F) or (S, F)
        Of normal emissions, in the units of the data.
    probabilities_ : list of arrays of shape (S, levels)
        Of categorical emissions, for each column of a step.
    hmm_ : pomegranate.hmm.DenseHMM
        The model itself in double precision, built anew each time; it takes coded steps, (n, T, F).
    history_ : array of shape (n_iter_,)
        Mean log p(x, T) before each step of EM (nats a row, of coded rows).
    converged_, n_iter_ : bool, int

    Notes
    -----
    ``score_samples`` is exact, in nats a sequence; with several categorical columns a step pomegranate adds up their log p
    in single precision. A normal emission starts from pomegranate's k-means with one iteration, as its ``fit`` does for
    rows without weights; a categorical one from tables drawn at random, since clusters of codes leave states empty.
    ConvergenceWarning if ``max_iter`` was too few or an estimate broke down, where the one before is kept. ValueError for
    steps of several kinds or unlike levels, and for sequences of a single step.

    References
    ----------
    Schreiber (2018), "pomegranate: fast and flexible probabilistic modeling in Python", JMLR 18(164); Rabiner (1989).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.repeat([[-1.0, -1.1, 4.0, 4.2], [4.1, 4.0, -1.0, -1.2]], 20, axis=0)
    >>> X += np.random.default_rng(0).normal(0, 0.1, X.shape)
    >>> model = PomegranateHMM(n_states=2, random_state=0).fit(X)
    >>> sorted(model.means_.round().ravel().tolist())
    [-1.0, 4.0]
    >>> bool(np.allclose(model.transmat_.sum(axis=1) + model.endprob_, 1))
    True
    """

    n_states: Annotated[int, Interval(1)] = 2
    emission: Literal["auto", "normal", "categorical"] = "auto"
    covariance_type: Literal["full", "diag"] = "full"
    step_features: Annotated[int, Interval(1)] = 1
    reg_covar: Annotated[float, Interval(0)] = 1e-6
    pseudocount: Annotated[float, Interval(0)] = 0.0
    max_iter: Annotated[int, Interval(1)] = 200
    tol: Annotated[float, Interval(0)] = 1e-4

    __skgen_api__ = 1
    likelihood = "exact"
    missing = "none"
    quick = MappingProxyType({"max_iter": 1, "covariance_type": "diag"})
    known_gaps = MappingProxyType(
        {
            "density_normalised": _ONE_STEP,
            "sample_matches_density": _ONE_STEP,
            "not_memorised": _ONE_STEP,
            "bound_valid": _ONE_STEP,
            "labelled_vs_split": "tables start at random, and the one step of EM in `quick` does not forget it",
            "unit_change": "steps are one variable in one unit: columns multiplied by numbers of their own are another table",
        }
    )

    @property
    def kinds(self) -> frozenset[str]:
        normal, categorical = frozenset({"continuous"}), frozenset({"binary", "categorical"})
        return {"auto": normal | categorical, "normal": normal, "categorical": categorical}[self.emission]

    # ---- fit

    def _fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        S, F = self.n_states, self.step_features
        self._discrete = step_is_discrete(self.columns_, F)
        steps = self._steps(X)
        points, each = steps.numpy().reshape(-1, F), np.repeat(weight, steps.shape[1])
        self._chain = even_chain(S, steps.shape[1])
        if self._discrete:
            self._emission = table_start(points, each, self.columns_.n_levels[:F], S, rng)
        else:
            self._emission = normal_start(points, each, S, self.covariance_type == "full", rng)
        self._history: list[float] = []
        self.converged_, trouble = False, f"did not converge in max_iter={self.max_iter} steps: raise max_iter or tol."
        model = self._make()
        for i in range(self.max_iter):
            before = self._chain, self._emission
            sound = self._step(model, steps, weight)
            if i and self._history[-1] - self._history[-2] < self.tol:
                self._chain, self._emission = before  # pomegranate's fit, too, leaves the last step undone
                self.converged_ = True
                break
            if not sound:
                trouble = f"keeps the estimate before step {i + 1} of EM, which gave none: {_REMEDY}"
                break
        else:
            self._made = model  # it holds what the arrays do
        self.n_iter_ = len(self._history)
        if not self.converged_:
            warnings.warn(f"{type(self).__name__} {trouble}", ConvergenceWarning, stacklevel=2)

    def _update(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        self._step(self._make(), self._steps(X), weight)

    def _step(self, model: DenseHMM, steps: torch.Tensor, weight: np.ndarray) -> bool:
        """One step of EM; whether it gave an estimate, without which the present one stays."""
        size, total = max(1, _HELD // (steps.shape[1] * self.n_states**2)), 0.0
        for rows, w in zip(steps.split(size), torch.from_numpy(np.ascontiguousarray(weight)).split(size), strict=True):
            total += float(model.summarize(rows, sample_weight=w) @ w)
        self._history = [*self._history, total / float(weight.sum())]
        add_variance(model.distributions, self.reg_covar)
        try:
            model.from_summaries()
        except FAILURES:
            return False
        chain = {name: getattr(model, name).detach().numpy().copy() for name in self._chain}
        emission = read_nodes(list(model.distributions))
        if collapsed(emission, self._discrete) or any(np.isnan(one).any() for one in chain.values()):
            return False
        self._chain, self._emission = chain, emission
        self._forget()
        return True

    # ---- the pomegranate model

    def _make(self) -> DenseHMM:
        even = torch.full((self.n_states,), 1 / self.n_states)
        nodes = make_nodes(self._emission, self._discrete, self.pseudocount)
        model = DenseHMM(nodes, edges=even.repeat(self.n_states, 1), starts=even, ends=even, check_data=False).double()
        for name, value in self._chain.items():
            getattr(model, name).copy_(torch.from_numpy(value))
        write_nodes(model.distributions, self._emission)
        model._reset_cache()  # what pomegranate derives from its parameters
        return model

    def _steps(self, X: np.ndarray) -> torch.Tensor:
        """Rows as pomegranate takes them, (n, T, F)."""
        steps = whole(X) if self._discrete else torch.from_numpy(np.array(X, dtype=float))
        return steps.reshape(len(X), X.shape[1] // self.step_features, self.step_features)

    # ---- what the base asks

    @property
    def _length(self) -> int:
        return len(self.columns_.names) // self.step_features

    def _log_prob(self, X: np.ndarray) -> np.ndarray:
        joint = self._object.log_probability(self._steps(X)).numpy()
        # pomegranate says NaN where no path of states gives the sequence: it takes -inf from -inf
        return np.where(np.isnan(joint), -np.inf, joint) - log_length(self._chain, self._length)

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        states = draw_states(self._chain, n, self._length, rng)
        return draw_steps(self._emission, self._discrete, states.ravel(), rng).reshape(n, self._length * self.step_features)

    def _n_parameters(self) -> int:
        # a row of transitions and its end sum to one, and so do the starts
        S, F = self.n_states, self.step_features
        if self._discrete:
            return S - 1 + S * S + S * sum(p.shape[1] - 1 for p in self._emission)
        return S - 1 + S * S + S * (F + (F * (F + 1) // 2 if self.covariance_type == "full" else F))

    # ---- what a user reads

    startprob_ = property(lambda self: np.exp(self._chain["starts"]))
    transmat_ = property(lambda self: np.exp(self._chain["edges"]))
    endprob_ = property(lambda self: np.exp(self._chain["ends"]))
    history_ = property(lambda self: np.array(self._history))
    hmm_ = property(lambda self: self._make())

    @property
    def means_(self) -> np.ndarray:
        F = self.step_features
        return self._parameters(0, "normal") * self.columns_.scale[:F] + self.columns_.loc[:F]

    @property
    def covariances_(self) -> np.ndarray:
        scale = self.columns_.scale[: self.step_features]
        return self._parameters(1, "normal") * (np.outer(scale, scale) if self.covariance_type == "full" else scale**2)

    @property
    def probabilities_(self) -> list[np.ndarray]:
        return [p.copy() for p in self._parameters(slice(None), "categorical")]

    def _parameters(self, which: Any, of: str) -> Any:
        emission = "categorical" if self._discrete else "normal"
        if emission != of:
            raise AttributeError(f"The emissions are {emission}: read {'probabilities_' if self._discrete else 'means_'}.")
        return self._emission[which]
