"""A proposal distribution over the rows of a table, made from training rows and never from the model's own sampler."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from skgen.testing.tables import Table

__all__ = ["Proposal", "lattice"]

_WIDE = 0.25  # share of the wide component
_KEEP = 0.7  # a kernel keeps its row's level with this probability, else any level


def lattice(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """n points in the unit cube, evenly spread and shifted at random: each is uniform, and their mean has little error.

    The first axis is passed through once, in order; the others are the Kronecker lattice of the generalised golden
    ratio (Roberts 2018): u_i = frac(i a + shift), a_j = phi^-(j + 1).
    """
    phi = 2.0
    for _ in range(60):
        phi = (1 + phi) ** (1 / d)
    steps = np.arange(n)[:, None] * np.append(1 / n, phi ** -np.arange(1.0, d))
    return (steps + rng.random(d)) % 1.0


def _t2_quantile(u: np.ndarray) -> np.ndarray:
    """Student's t with two degrees of freedom: both ways in closed form, tails heavier than those of most densities."""
    u = np.clip(u, 1e-12, 1 - 1e-12)
    return (2 * u - 1) / np.sqrt(2 * u * (1 - u))


def _log_t2(z: np.ndarray) -> np.ndarray:
    return -1.5 * np.log(2 + z * z)


def _t2_lower(z: np.ndarray) -> np.ndarray:
    """F(-|z|), without cancellation."""
    root = np.sqrt(2 + z * z)
    return 1 / ((2 + z * z) * (1 + np.abs(z) / root))


def _log_t2_cell(x: np.ndarray, centre: np.ndarray, width: float) -> np.ndarray:
    """log of the mass on [x - 1/2, x + 1/2]."""
    upper, lower = (x + 0.5 - centre) / width, (x - 0.5 - centre) / width
    tail_u, tail_l = _t2_lower(upper), _t2_lower(lower)
    mass = np.where(lower >= 0, tail_l - tail_u, np.where(upper <= 0, tail_u - tail_l, 1 - tail_u - tail_l))
    return np.log(np.maximum(mass, 1e-300))


class Proposal:
    """A quarter wide and independent, three quarters kernels on training rows; heavy-tailed, discrete columns included.

    Parameters
    ----------
    table : Table
    rng : Generator
        Chooses the rows that carry kernels.
    n_kernels : int
        With 0 the wide component is alone: a smooth map of the unit cube, which suits a lattice in few dimensions.
    """

    def __init__(self, table: Table, rng: np.random.Generator, n_kernels: int = 64):
        self.table = table
        codes = table.codes(table.X)
        n_kernels = min(n_kernels, len(codes))
        centres = codes[rng.permutation(len(codes))[:n_kernels]]
        d = codes.shape[1]
        self.centres = np.vstack([np.median(codes, axis=0), centres])  # the first is the wide component
        spread = np.maximum(codes.std(axis=0), 1e-3)
        narrow = 0.8 * spread * max(1, n_kernels) ** (-1 / (d + 4))
        self.widths = np.vstack([1.5 * spread, np.tile(narrow, (len(centres), 1))])
        for j, column in enumerate(table.columns):
            if column.kind == "integer":
                self.widths[:, j] = np.maximum(self.widths[:, j], 0.8)
        self.log_share = np.log(np.append(_WIDE, np.full(n_kernels, (1 - _WIDE) / n_kernels))) if n_kernels else np.zeros(1)

    @property
    def dimensions(self) -> int:
        """How many uniform numbers a row takes."""
        return len(self.table.columns) + (len(self.centres) > 1)

    def draw(self, u: np.ndarray) -> np.ndarray:
        """Codes (n, d) from uniform numbers (n, ``dimensions``)."""
        n_kernels = len(self.centres) - 1
        which = np.zeros(len(u), dtype=int)
        if n_kernels:
            kernel = 1 + np.floor((u[:, 0] - _WIDE) / (1 - _WIDE) * n_kernels).astype(int).clip(max=n_kernels - 1)
            which, u = np.where(u[:, 0] < _WIDE, 0, kernel), u[:, 1:]
        out = np.empty((len(u), len(self.table.columns)))
        for j, column in enumerate(self.table.columns):
            v, centre = u[:, j], self.centres[which, j]
            if column.kind in ("continuous", "integer"):
                x = centre + self.widths[which, j] * _t2_quantile(v)
                out[:, j] = np.clip(np.round(x), -(2**50), 2**50) if column.kind == "integer" else x
                continue
            keep = np.where(which == 0, 0.0, _KEEP)
            other = np.floor((v - keep) / (1 - keep) * len(column.levels)).clip(0, len(column.levels) - 1)
            out[:, j] = np.where(v < keep, centre, other)
        return out

    def log_prob(self, codes: np.ndarray) -> np.ndarray:
        """log q of each row, (n,), nats."""
        out = np.empty(len(codes))
        for start in range(0, len(codes), 4096):
            x = codes[start : start + 4096]
            log_q = np.tile(self.log_share, (len(x), 1))
            for j, column in enumerate(self.table.columns):
                centre, width = self.centres[:, j], self.widths[:, j]
                if column.kind == "continuous":
                    log_q += _log_t2((x[:, [j]] - centre) / width) - np.log(width)
                elif column.kind == "integer":
                    log_q += _log_t2_cell(x[:, [j]], centre, width)
                else:
                    keep = np.append(0.0, np.full(len(centre) - 1, _KEEP))
                    log_q += np.log((1 - keep) / len(column.levels) + keep * (x[:, [j]] == centre))
            out[start : start + 4096] = logsumexp(log_q, axis=1)
        return out
