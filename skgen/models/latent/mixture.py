"""Mixtures of any model: sum_k w_k p_k(x), each p_k a fitted part of its own."""

from __future__ import annotations

import copy
from copy import deepcopy
from dataclasses import field
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np

from skgen import registry
from skgen.base import GenerativeModel
from skgen.learn.em import climb, even_rows, spread_seeds, warn_not_converged
from skgen.models.latent._base import ComponentModel
from skgen.ops.logs import log_sum_exp, softmax
from skgen.parameters import Interval

__all__ = ["Mixture"]

_START_ROWS = 10_000  # starts are compared on so many rows
_SHORT = 10  # EM iterations of a start that is compared with others
_LOST = 0.01  # rows, under which a component has lost its own
_SOFT = 0.1  # share of a row that a start spreads over all components
_LIKELIHOODS = ("estimate", "bound", "exact")
_MISSING = ("none", "suffix", "estimate", "exact")


class Mixture(ComponentModel):
    r"""A sum of models, p(x) = sum_k w_k p_k(x), fitted by EM.

    With naive Bayes for component this is a latent class model (of binary columns: a mixture of Bernoullis), with a
    Gaussian mixture of one component a Gaussian mixture, with trees a mixture of trees. The M-step is a weighted fit a
    component; a model that shares work between classes shares it between components.

    Parameters
    ----------
    component : str, model or list of these, default="naive_bayes"
        What a component is: a registry name or a model. A list gives each component a model of its own.
    n_components : int or None
        None: the length of the list, else 3.
    n_init : int, default=3
        Starts; the best after a few EM iterations on some thousand rows is followed.
    max_iter : int, default=200
    tol : float, default=1e-4
        EM stops when the mean penalised log-likelihood (nats a row) gains less.

    Attributes
    ----------
    weights_ : array of shape (K,)
    components_ : list
        The fitted densities, one a component.
    converged_ : bool
    n_iter_ : int

    Notes
    -----
    ``likelihood``, ``missing`` and the kinds of columns are those of the components, the weakest of a list. A component
    that has lost its rows in the end is started again, once, from the rows that the mixture explains least, if the objective
    ends higher so. ConvergenceWarning if ``max_iter`` was too few; ValueError for a component that is set up to read
    tables or labels itself.

    References
    ----------
    Dempster, Laird & Rubin (1977), "Maximum likelihood from incomplete data via the EM algorithm"; McLachlan & Peel
    (2000), *Finite Mixture Models*.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import Mixture
    >>> X = np.repeat([[0, 0, 1, 1], [1, 1, 0, 0]], 50, axis=0)
    >>> model = Mixture("naive_bayes", n_components=2, random_state=0).fit(X)
    >>> np.round(model.weights_, 2)
    array([0.5, 0.5])
    >>> model.predict_component([[0, 0, 1, 1], [0, 0, 0, 1]]).shape
    (2,)
    """

    component: Any = field(default="naive_bayes", kw_only=False)
    n_components: Annotated[int, Interval(1)] | None = None
    n_init: Annotated[int, Interval(1)] = 3
    max_iter: Annotated[int, Interval(1)] = 200
    tol: Annotated[float, Interval(0)] = 1e-4

    quick = MappingProxyType({"n_components": 2, "n_init": 1, "tol": 0.03, "max_iter": 3})

    # ---- what the components say

    def _templates(self) -> list[GenerativeModel]:
        """The models as given, names looked up: one for all components, or a list of one each."""
        given = self.component if isinstance(self.component, (list, tuple)) else [self.component]
        if not len(given):
            raise ValueError(f"component={self.component!r} of {type(self).__name__} is empty: give one model or name at least.")
        models = [registry.make(one) if isinstance(one, str) else one for one in given]
        for one in models:
            if not isinstance(one, GenerativeModel):
                raise ValueError(f"component={one!r} of {type(self).__name__} must be a model or a name from skgen.names().")
        return models

    @property
    def kinds(self) -> frozenset:
        return frozenset.intersection(*(frozenset(model.kinds) for model in self._templates()))

    @property
    def likelihood(self) -> str:
        return min((model.likelihood for model in self._templates()), key=_LIKELIHOODS.index)

    @property
    def missing(self) -> str:
        return min((model.missing for model in self._templates()), key=_MISSING.index)

    @property
    def missing_in_fit(self) -> bool:
        return all(model.missing_in_fit for model in self._templates())

    @property
    def streams(self) -> bool:
        return all(model.streams for model in self._templates())

    @property
    def step_features(self) -> int | None:
        """Columns a step where the components read rows as sequences: such columns are tied over steps."""
        found = {getattr(model, "step_features", None) for model in self._templates()}
        return found.pop() if len(found) == 1 else None

    # ---- fit

    def _fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        rows, w = even_rows(X, weight, _START_ROWS, rng)
        some, best, best_objective = X[rows], None, -np.inf
        K = self._count()
        n_init = self.n_init if K > 1 else 1
        for _ in range(n_init):
            self._begin(some, self._first_shares(some, w, rng), rng)
            objective = 0.0
            if n_init > 1:
                objective, _, _ = climb(lambda: self._step(some, w, rng), _SHORT, self.tol)
            if best is None or objective > best_objective:
                best, best_objective = (self._groups, self._log_weight), objective
        self._groups, self._log_weight = best
        if len(rows) < len(X):
            self._begin(X, (softmax(self._log_joint(X))[0] * weight).T, rng)
        objective, self.n_iter_, self.converged_ = climb(lambda: self._step(X, weight, rng), self.max_iter, self.tol)
        if self.n_iter_ < self.max_iter and (self.weights_ * weight.sum() < _LOST * weight.mean()).any():
            self._restart(X, weight, objective, rng)
        if not self.converged_:
            warn_not_converged(type(self).__name__, self.max_iter, self.tol)

    def _update(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        self._step(X, weight, rng)

    def _partial_fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        if "_groups" not in vars(self):
            self._fit(X, weight, rng)
        share = softmax(self._log_joint(X))[0] * weight
        mass = vars(self).get("_mass", 0.0) + share.sum(axis=1)
        groups = [(copy.copy(part), at) for part, at in self._groups]
        for part, at in groups:
            part._partial_fit_classes(X, share[at].T, rng)
        self._groups, self._mass = groups, mass
        self._set_weight(mass)

    def _count(self) -> int:
        several = isinstance(self.component, (list, tuple))
        if several and self.n_components not in (None, len(self.component)):
            raise ValueError(
                f"n_components={self.n_components} and component is a list of {len(self.component)}: "
                "leave n_components out, a list gives one model a component."
            )
        return len(self.component) if several else 3 if self.n_components is None else self.n_components

    def _begin(self, X: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> None:
        """Components fitted afresh from weights (n, K)."""
        inner = [model.as_component(self.columns_) for model in self._templates()]
        columns = (
            [slice(0, shares.shape[1])]
            if not isinstance(self.component, (list, tuple))
            else [slice(k, k + 1) for k in range(len(inner))]
        )
        self._groups = list(zip(inner, columns, strict=True))
        for part, at in self._groups:
            part._fit_classes(X, shares[:, at], rng)
        self._set_weight(shares.sum(axis=0))

    def _set_weight(self, mass: np.ndarray) -> None:
        self._log_weight = np.log(np.maximum(mass / mass.sum(), np.finfo(float).tiny))

    def _step(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> float:
        """One EM iteration; the mean penalised log-likelihood before it."""
        share, log_p = softmax(self._log_joint(X))
        objective = float(weight @ np.maximum(log_p, np.finfo(float).min / len(log_p))) + self._log_smoothing()
        share *= weight
        self._revive(share, log_p, weight)
        for part, at in self._groups:
            part._update_classes(X, share[at].T, rng)
        self._set_weight(share.sum(axis=1))
        return objective / weight.sum()

    def _log_smoothing(self) -> float:
        return sum(part._log_smoothing_classes() for part, _ in self._groups)

    def _restart(self, X: np.ndarray, weight: np.ndarray, objective: float, rng: np.random.Generator) -> None:
        """Climb once more with new rows for the components that lost theirs; what was found stays where that is higher."""
        found = deepcopy(self._groups), self._log_weight
        self._restarted: set[int] = set()
        self._step(X, weight, rng)
        del self._restarted  # a second fall would look like the end of the climb
        again, n_iter, converged = climb(lambda: self._step(X, weight, rng), self.max_iter - self.n_iter_, self.tol)
        if again > objective:
            self.n_iter_, self.converged_ = self.n_iter_ + n_iter, converged
        else:
            self._groups, self._log_weight = found

    def _revive(self, share: np.ndarray, log_p: np.ndarray, weight: np.ndarray) -> None:
        """A component left with less than a hundredth of a row gets the rows that the mixture explains least, once."""
        restarted = vars(self).get("_restarted")
        for k in np.flatnonzero(share.sum(axis=1) < _LOST * weight.mean()) if restarted is not None else ():
            if int(k) not in restarted:
                restarted.add(int(k))
                worst = np.argsort(log_p, kind="stable")[: max(2, len(log_p) // (10 * len(share)))]
                share[:, worst] *= 0.5
                share[k, worst] += 0.5 * weight[worst]

    def _first_shares(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Weights (n, K): each row mostly with the nearest of K rows that are far apart."""
        K = self._count()
        distance = _distances(X, self.columns_)
        seeds = spread_seeds(K, weight, distance, rng)
        nearest = np.stack([distance(i) for i in seeds]).argmin(axis=0)
        share = np.full((len(X), K), _SOFT / K)
        share[np.arange(len(X)), nearest] += 1 - _SOFT
        return share * weight[:, None]

    # ---- log p and draws

    def _log_joint(self, X: np.ndarray) -> np.ndarray:
        log_p = [part._log_prob_classes(X).T for part, _ in self._groups]
        return (log_p[0] if len(log_p) == 1 else np.concatenate(log_p)) + self._log_weight[:, None]

    def _log_prob(self, X: np.ndarray) -> np.ndarray:
        return log_sum_exp(self._log_joint(X))

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        component = rng.choice(len(self._log_weight), n, p=self.weights_ / self.weights_.sum())
        X = np.empty((n, len(self.columns_)))
        for part, columns in self._groups:
            for k in range(columns.start, columns.stop):
                at = np.flatnonzero(component == k)
                if len(at):
                    X[at] = part._sample_class(k - columns.start, len(at), rng)
        return X

    def _sample_missing_component(self, k: int, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        part, columns = next((part, at) for part, at in self._groups if at.start <= k < at.stop)
        return part._sample_missing_class(k - columns.start, X, rng)

    def _missing_moments_component(self, k: int, X: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        part, columns = next((part, at) for part, at in self._groups if at.start <= k < at.stop)
        return part._missing_moments_class(k - columns.start, X)

    # ---- what a user reads

    @property
    def components_(self) -> list[GenerativeModel]:
        """The fitted densities, one a component."""
        return [density for part, _ in self._groups for density in part.densities_]

    def _n_parameters(self) -> int:
        densities = self.components_
        return sum(density._n_parameters() for density in densities) + len(densities) - 1


def _distances(X: np.ndarray, columns: Any) -> Any:
    """Squared distance of one row to all, by row number: differences in numeric columns, mismatches in categorical ones.

    A cell that is not observed counts for nothing, in proportion to the cells that are.
    """
    names = np.array(columns.kinds) == "categorical"
    numbers = X[:, ~names]
    seen = ~np.isnan(X)
    centre, width = np.zeros(numbers.shape[1]), np.ones(numbers.shape[1])
    for j, kind in enumerate(np.array(columns.kinds)[~names]):  # an integer column in units of its spread, as continuous ones
        x = numbers[:, j][~np.isnan(numbers[:, j])]
        if kind == "integer" and len(x) and x.max() > x.min():
            centre[j], width[j] = x.mean(), x.std()
    numbers = np.where(np.isnan(numbers), 0.0, (numbers - centre) / width)
    square, known = np.square(numbers), seen[:, ~names].astype(float)
    codes = X[:, names]
    complete = bool(seen.all())
    total = square.sum(axis=1)

    def distance(i: int) -> np.ndarray:
        if complete:
            out = np.maximum(total - 2 * (numbers @ numbers[i]) + total[i], 0.0)
        else:
            out = np.maximum(square @ known[i] - 2 * (numbers @ numbers[i]) + known @ square[i], 0.0)
        if codes.shape[1]:
            out += ((codes != codes[i]) & seen[:, names] & seen[i, names]).sum(axis=1)
        return out if complete else out * (X.shape[1] / np.maximum(seen @ seen[i].astype(float), 1.0))

    return distance
