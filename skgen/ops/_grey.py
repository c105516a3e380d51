"""Grey values from 0 to 1: fitted by cross-entropy, scored and drawn as the continuous Bernoulli of the mean that this fits."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from skgen.ops._conditional_kinds import Binary, softplus

__all__ = ["Grey", "natural_parameter"]

#: Least and greatest mean of a grey value: log p of a cell is at most about 6.9 nats, and one at the wrong end costs a thousand.
_LEAST_GREY = 1e-3


class Grey(Binary):
    r"""A value in [0, 1] of mean m = sigmoid(z), by the continuous Bernoulli of that mean: p(x) = C(a) exp(a x).

    Training by cross-entropy, x z - log(1 + e^z), fits the mean whatever the distribution is; what is scored and drawn is the
    density of that mean, C(a) = a / (e^a - 1) (Loaiza-Ganem & Cunningham 2019, where the parameter is a and not the mean, so
    that cross-entropy would fit another model than the one that is scored).
    """

    def cross_entropy(self, x: Tensor, p: Tensor) -> Tensor:
        """x log m + (1 - x) log(1 - m), which is no log-density."""
        return x.to(p) * p[0] - softplus(p[0])

    def log_prob(self, x: Tensor, p: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        a = natural_parameter(p[0])
        # log C(a) = log(a / (e^a - 1)) = -a / 2 - log(sinh(a / 2) / (a / 2))
        return a * (x.to(p) - 0.5) - _log_sinhc(a / 2)

    def draw(self, p: Tensor, u: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        # F^-1(u) = log(1 + u (e^a - 1)) / a, from the end of the unit interval at which the density is highest
        a = natural_parameter(p[0])
        b, v = -a.abs(), torch.where(a > 0, 1 - u[0], u[0])
        x = torch.where(b > -1e-6, v, torch.log1p(v * torch.expm1(b)) / torch.where(b > -1e-6, -1.0, b)).clamp(0, 1)
        return torch.where(a > 0, 1 - x, x)

    def cdf(self, x: Tensor, p: Tensor, u: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        a, x = natural_parameter(p[0]), x.to(p)
        b, y = -a.abs(), torch.where(a > 0, 1 - x, x)
        below = torch.where(b > -1e-6, y, torch.expm1(b * y) / torch.where(b > -1e-6, -1.0, torch.expm1(b)))
        return torch.where(a > 0, 1 - below, below)

    def mean(self, p: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        return torch.sigmoid(p[0]).clamp(_LEAST_GREY, 1 - _LEAST_GREY)

    def _counts(self, X: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return weights @ np.nan_to_num(X), weights @ np.nan_to_num(1 - X)  # a grey cell is so much white and so much black


def natural_parameter(z: Tensor) -> Tensor:
    """The a at which C(a) exp(a x) on [0, 1] has mean sigmoid(z).

    The mean is 1/2 + L(a / 2) / 2, L(t) = coth t - 1 / t the function of Langevin, which Newton steps invert.
    """
    wide = z.double()
    y = torch.tanh(wide / 2).clamp(2 * _LEAST_GREY - 1, 1 - 2 * _LEAST_GREY)
    size = y.abs()
    t = size * (3 - size**2) / (1 - size**2)  # within 5 % (Cohen 1991)
    for _ in range(4):
        small = t < 1e-2
        s = torch.where(small, 1.0, t)
        value = torch.where(small, t / 3 - t**3 / 45, 1 / torch.tanh(s) - 1 / s)
        slope = torch.where(small, 1 / 3 - t**2 / 15, 1 / s**2 - 1 / torch.sinh(s.clamp(max=300)) ** 2)
        t = (t - (value - size) / slope).clamp(min=0)
    return (2 * t * torch.sign(y)).to(z)


def _log_sinhc(t: Tensor) -> Tensor:
    """log(sinh t / t)."""
    t = t.abs()
    small = t < 1e-2
    s = torch.where(small, 1.0, t)
    # sinh t = e^t (1 - e^-2t) / 2
    return torch.where(small, t**2 / 6, s + torch.log(-torch.expm1(-2 * s)) - math.log(2.0) - torch.log(s))
