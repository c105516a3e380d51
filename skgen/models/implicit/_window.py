"""Two estimates of log p for a model that has none: kernels at generated rows, and noise added to G(z)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from skgen.ops.annealing import annealed_log_marginal
from skgen.ops.kernels import Kernel, KernelSum
from skgen.tables import Columns

__all__ = ["Observation", "Watched", "Window"]

_BANDWIDTHS = np.geomspace(0.02, 2.0, 15)  # of kernels, in units of a column's spread
_WIDTHS = (0.03, 0.1, 0.3, 1.0)  # of the noise about G(z)
_FEW = 50  # rows by which that width is chosen
_ROWS = 256  # of one pass of chains


@dataclass
class Watched:
    """Coded rows by which a width is chosen: x (n, d), their classes (-1: not known), weights, and p(y)."""

    x: np.ndarray
    code: np.ndarray
    weight: np.ndarray
    share: np.ndarray

    def first(self, n: int) -> Watched:
        return Watched(self.x[:n], self.code[:n], self.weight[:n], self.share)

    def total(self, log_prob: Callable[[int, np.ndarray], np.ndarray]) -> float:
        """Weighted log-likelihood, from ``log_prob(k, rows)`` = log p(x | y = k) of some rows."""
        log_p = np.empty(len(self.x))
        for k in np.unique(self.code):
            at = self.code == k
            if k >= 0:
                log_p[at] = log_prob(int(k), at)
            else:  # log sum_y p(y) p(x | y)
                each = [np.log(share) + log_prob(j, at) for j, share in enumerate(self.share)]
                log_p[at] = np.logaddexp.reduce(each, axis=0)
        return float(self.weight @ log_p)


class Window:
    """The mean of kernels at generated rows (Goodfellow et al. 2014, section 5), in coded columns.

    A normal kernel on numeric columns, in units of the column's spread in the held-out rows, and Aitchison & Aitken's (1976)
    on the others; one bandwidth, the likeliest for held-out rows. One window a class.
    """

    def __init__(self, columns: Columns, drawn: list[np.ndarray], spread: np.ndarray, bandwidth: float):
        self.columns, self.drawn, self.spread, self.bandwidth = columns, drawn, spread, bandwidth
        self._open()

    def _open(self) -> None:
        kinds = list(self.columns.kinds)
        numeric = np.isin(kinds, ("continuous", "integer"))
        unit = np.where(numeric & (self.spread > 0), self.spread, 1.0)
        width = np.where(numeric, self.bandwidth, np.clip(self.bandwidth, 1e-3, 0.9))
        kernel = Kernel(kinds, self.columns.n_levels, unit, width)
        self._sums = [KernelSum(kernel, rows, np.ones(len(rows))) for rows in self.drawn]

    @classmethod
    def chosen(cls, columns: Columns, drawn: list[np.ndarray], watched: Watched) -> Window:
        """With the bandwidth under which the watched rows are likeliest."""
        x, weight, found = watched.x, watched.weight, {}
        spread = np.sqrt(np.average((x - np.average(x, axis=0, weights=weight)) ** 2, axis=0, weights=weight))

        def total(i: int) -> float:
            if i not in found:
                window = cls(columns, drawn, spread, float(_BANDWIDTHS[i]))
                found[i] = window, watched.total(lambda k, at: window._sums[k].log_prob(x[at]))
            return found[i][1]

        # every third bandwidth, then those beside the best
        best = max(range(1, len(_BANDWIDTHS), 3), key=total)
        best = max(range(max(0, best - 2), min(best + 3, len(_BANDWIDTHS))), key=total)
        return found[best][0]

    def log_prob_classes(self, part: Any, X: np.ndarray) -> np.ndarray:
        return np.stack([one.log_prob(X) for one in self._sums]).T

    def __getstate__(self) -> dict:
        return {name: value for name, value in vars(self).items() if name != "_sums"}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        self._open()


class Observation:
    """log of the integral of N(z; 0, I) p(x | G(z), h), by annealed importance sampling (Wu et al. 2017); h as above."""

    def __init__(self, width: float, n_steps: int):
        self.width, self.n_steps = width, n_steps

    @classmethod
    def chosen(cls, part: Any, watched: Watched, n_steps: int) -> Observation:
        """With the width of noise under which some of the watched rows are likeliest."""
        few = watched.first(_FEW)
        tried = [cls(h, n_steps) for h in _WIDTHS]
        return max(tried, key=lambda one: few.total(lambda k, at: one._log_prob(part, few.x[at], k)))

    def _log_prob(self, part: Any, X: np.ndarray, k: int) -> np.ndarray:
        found = []
        for start in range(0, len(X), _ROWS):
            x = part._tensor(X[start : start + _ROWS])
            c = part._class(x, k)

            def log_likelihood(z: torch.Tensor, x: torch.Tensor = x, c: Any = c) -> torch.Tensor:
                n, chains, L = z.shape
                many, many_c = (None if a is None else a.repeat_interleave(chains, dim=0) for a in (x, c))
                return part._network.log_observation(many, z.reshape(n * chains, L), many_c, self.width).reshape(n, chains)

            found.append(annealed_log_marginal(log_likelihood, len(x), part.n_latent, x, self.n_steps).cpu().numpy())
        return np.concatenate(found) if found else np.empty(0)

    def log_prob_classes(self, part: Any, X: np.ndarray) -> np.ndarray:
        return np.stack([self._log_prob(part, X, k) for k in range(max(1, part._n_classes))]).T
