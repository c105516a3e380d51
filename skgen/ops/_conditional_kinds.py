"""One kind of column each: log p, draws, distribution function and start of every column of that kind at once.

Each kind sees its g columns as ``x``, the n_p network outputs of each as the first axis of ``p`` (n_p, ...), and the
``centre`` and ``width`` of the columns in a shape that broadcasts against ``x``. Binary columns come as (n, g), as they
lie in memory; the others as (g, n), so that sums over levels and components run over long rows.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skgen.ops._mixture_start import mixture_start

__all__ = ["LEAST_SCALE", "LEAST_STEP", "MOST_SCALE", "Binary", "Categorical", "Continuous", "Integer", "log_scale", "softplus"]

#: A component of a continuous column has its scale between these, in widths of the column: log p of a cell, in
#: standardised units, never exceeds -log(LEAST_SCALE) - log(2 pi) / 2 = 5.99 nats, repeated values or not.
LEAST_SCALE, MOST_SCALE = 1e-3, 1e3
#: The least scale of a component of an integer column, in whole numbers: it can hold .9999 of one value.
LEAST_STEP = 0.05
#: Every numeric conditional is, with a small probability, a logistic about the column's centre, so wide in widths: a cell
#: where a network is too sure of itself costs some ten nats, not a million.
ASTRAY_SCALE = 2.0
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def _far(x: Tensor) -> float:
    """A distance whose square, times what follows it, stays finite."""
    return 1e100 if x.dtype == torch.float64 else 1e15


def _standard(x: Tensor, m: Tensor, s: Tensor, centre: Tensor, width: Tensor) -> Tensor:
    """t = (x - mu) / sigma, taken from the centre while x still has all its digits."""
    far = _far(m)
    z = ((x - centre.to(x)) / width.to(x)).clamp(-far, far).to(m)
    return (z - m).mul_(torch.exp(-s)).clamp_(-far, far)


def softplus(z: Tensor) -> Tensor:
    """log(1 + e^z); torch's own threshold is for single precision, and wrong by 2e-9 at 20."""
    return F.softplus(z, threshold=40.0 if z.dtype == torch.float64 else 20.0)


class _MixtureLogProb(torch.autograd.Function):
    """log sum_k softmax(a)_k p_k(x) over the first axis of p = (a, m, raw log-scales), with its gradient in closed form.

    By automatic differentiation it takes twice as long. ``component(t, s, width)`` gives log p_k, d/dt and d/ds.
    """

    @staticmethod
    def forward(ctx, p, x, centre, width, limits, component):
        a, m, raw = p.view(3, -1, *x.shape).unbind(0)
        low, high = limits
        middle, half = (low + high) / 2, (high - low) / 2
        # tanh z = 2 S(2z) - 1: a third of tanh's time
        bend = ((raw - middle) * (2 / half)).sigmoid_().mul_(2).sub_(1)
        s = bend * half + middle
        t = _standard(x, m, s, centre, width)
        log_p, by_t, by_s = component(t, s, width.to(p))
        share, log_total = _softmax(a)
        r, log_joint = _softmax(log_p.add_(a))  # r_k = p(k | x)
        if not any(ctx.needs_input_grad[:2]):
            return log_joint - log_total
        into = torch.empty_like(p).view(3, *a.shape)
        torch.sub(r, share, out=into[0])
        # t = ((x - centre) / width - m) e^-s:  dt/dm = -e^-s,  dt/ds = -t
        torch.mul(by_t.mul_(r), s.neg().exp_(), out=into[1]).neg_()
        torch.mul(by_s, r, out=into[2]).sub_(t.mul_(by_t))
        into[2] *= bend.square_().neg_().add_(1)  # ds/draw = 1 - tanh^2
        ctx.save_for_backward(into, width)
        return log_joint - log_total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        into, width = ctx.saved_tensors
        by_x = None
        if ctx.needs_input_grad[1]:
            by_x = -(grad * into[1].sum(dim=0)) / width.to(grad)
        by_p = (into * grad).flatten(0, 1) if ctx.needs_input_grad[0] else None
        return by_p, by_x, None, None, None, None


def _softmax(a: Tensor) -> tuple[Tensor, Tensor]:
    top = a.amax(dim=0)
    e = (a - top).clamp_(min=-87.0 if a.dtype == torch.float32 else -690.0).exp_()
    total = e.sum(dim=0)
    return e.div_(total), total.log_().add_(top)


def _choose(share: Tensor, u: Tensor) -> Tensor:
    """The first k with share_0 + ... + share_k > u."""
    return (share.cumsum(dim=0)[:-1] <= u).sum(dim=0)


def _bound(raw: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """A log-scale between low and high, of slope 1 halfway: m + h tanh((raw - m) / h)."""
    middle, half = (low + high) / 2, (high - low) / 2
    return middle + half * torch.tanh((raw - middle) / half)


def log_scale(raw: Tensor) -> Tensor:
    """The log-scale of a component of a continuous column, in widths of the column, from the network's output."""
    return _bound(raw, math.log(LEAST_SCALE), math.log(MOST_SCALE))


def _unbound(log_scale: np.ndarray, low: np.ndarray | float, high: np.ndarray | float) -> np.ndarray:
    """The raw output at which ``_bound`` gives this; 1 % off the bounds at least, where tanh still has a slope."""
    middle, half = (low + high) / 2, (high - low) / 2
    return middle + half * np.arctanh(np.clip((log_scale - middle) / half, -0.99, 0.99))


#: Pseudo-rows of the marginal that a class's share of a level or component, and a component's place and scale, begin with.
_PRIOR_ROWS = 1.0
_SCALE_ROWS = 5.0
_TOGETHER = 8  # columns: what they need stays in cache


class _Kind(nn.Module):
    def alone(self, n_levels: int) -> _Kind:
        """The kind for one of its columns."""
        return self

    def start_of_classes(self, X: np.ndarray, weights: np.ndarray, start: np.ndarray, *units: np.ndarray) -> np.ndarray:
        """What a class adds to the outputs ``start`` (g, n_p) of the marginal, (K, g, n_p), from weights (K, n) of rows (n, g).

        Each column given the class alone, shrunk to its marginal: with it, an untrained network is naive Bayes.
        """
        raise NotImplementedError(f"{type(self).__name__} must define start_of_classes.")


class Binary(_Kind):
    """p(1) = sigmoid(z)."""

    rows_last = False
    n_parameters = n_features = 1

    def log_prob(self, x: Tensor, p: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        # log p(x) = -log(1 + exp((1 - 2x) z))
        return -softplus((1 - 2 * x.to(p)) * p[0])

    def draw(self, p: Tensor, u: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        return (u[0] >= torch.sigmoid(-p[0])).to(p)

    def cdf(self, x: Tensor, p: Tensor, u: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        one, zero = torch.sigmoid(p[0]), torch.sigmoid(-p[0])
        return torch.where(x > 0.5, zero + u * one, u * zero)

    def mean(self, p: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        return torch.sigmoid(p[0])

    def start(self, X: np.ndarray, weight: np.ndarray, centre: np.ndarray, width: np.ndarray) -> np.ndarray:
        """Log-odds (g, 1) of the counts with half a pseudo-row each."""
        one, zero = self._counts(X, weight)
        return np.log((one + 0.5) / (zero + 0.5))[:, None]

    def start_of_classes(self, X: np.ndarray, weights: np.ndarray, start: np.ndarray, *units: np.ndarray) -> np.ndarray:
        share = 1 / (1 + np.exp(-start[:, 0]))
        one, zero = self._counts(X, weights)
        odds = (one + _PRIOR_ROWS * share) / (zero + _PRIOR_ROWS * (1 - share))
        return (np.log(odds) - start[:, 0])[:, :, None]

    def _counts(self, X: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weighted ones and zeros of each column, NaN left out."""
        return weights @ (X == 1), weights @ (X == 0)


class Categorical(_Kind):
    """p(k) = softmax(z)_k. Columns of different K share one call: ``padding`` (K, g, 1) says which outputs do not exist."""

    rows_last = True

    def __init__(self, n_levels: list[int]):
        super().__init__()
        self.n_parameters = self.n_features = max(n_levels)
        padding = np.arange(self.n_parameters)[:, None] >= np.array(n_levels)  # numpy: it is there on the meta device too
        self.register_buffer("padding", torch.from_numpy(padding[:, :, None]) if padding.any() else None, persistent=False)

    def alone(self, n_levels: int) -> Categorical:
        return self if self.padding is None else Categorical([n_levels])

    def _logits(self, p: Tensor) -> Tensor:
        return p if self.padding is None else p.masked_fill(self.padding, -torch.inf)

    def log_prob(self, x: Tensor, p: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        return torch.log_softmax(self._logits(p), dim=0).gather(0, x.long()[None])[0]

    def draw(self, p: Tensor, u: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        chosen = _choose(torch.softmax(self._logits(p), dim=0), u[0])
        if self.padding is None:
            return chosen.to(p)
        # a sum that rounding left below 1 must not choose a level that is not there
        last = (~self.padding).sum(dim=0) - 1
        return torch.minimum(chosen, last).to(p)

    def cdf(self, x: Tensor, p: Tensor, u: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        share = torch.softmax(self._logits(p), dim=0)
        at = x.long()[None]
        own = share.gather(0, at)[0]
        return share.cumsum(dim=0).gather(0, at)[0] - (1 - u) * own

    def mean(self, p: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        return self._logits(p).argmax(dim=0).to(p)

    def start(self, X: np.ndarray, weight: np.ndarray, centre: np.ndarray, width: np.ndarray) -> np.ndarray:
        """Log-frequencies (g, K) with one pseudo-row spread over the K levels of the column."""
        g, K = X.shape[1], self.n_parameters
        n_levels = np.full(g, K) if self.padding is None else (~self.padding).sum(dim=0)[:, 0].cpu().numpy()
        logits = np.zeros((g, K))
        for j in range(g):
            seen = ~np.isnan(X[:, j])
            count = np.bincount(X[seen, j].astype(int), weight[seen], minlength=K)
            logits[j] = np.log(count + 1 / n_levels[j])
        return logits - logits.max(axis=1, keepdims=True)

    def start_of_classes(self, X: np.ndarray, weights: np.ndarray, start: np.ndarray, *units: np.ndarray) -> np.ndarray:
        out = np.zeros((len(weights), *start.shape))
        for j, logits in enumerate(start):
            seen = ~np.isnan(X[:, j])
            level = X[seen, j].astype(int)
            K = np.isfinite(logits).sum()  # the rest is padding
            share = np.exp(logits[:K]) / np.exp(logits[:K]).sum()
            for k, w in enumerate(weights[:, seen]):
                count = np.bincount(level, w, minlength=K) + _PRIOR_ROWS * share
                out[k, j, :K] = np.log(count / count.sum() / share)
        return out


class _Mixture(_Kind):
    """sum_k softmax(a)_k p_k(x): the outputs of a column are C logits a, C means m and C log-scales, bounded to s.

    Means and scales are in widths around the centre: mu = centre + width m, sigma = width exp(s).
    """

    rows_last = True
    n_features = 1

    def __init__(self, n_components: int, astray: float):
        super().__init__()
        self.n_components, self.n_parameters, self.astray = n_components, 3 * n_components, astray

    def _limits(self, width):
        """Bounds of s for columns of this width, tensors or arrays alike."""
        raise NotImplementedError

    def _parts(self, p: Tensor, width: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, m, raw = p.reshape(3, self.n_components, *p.shape[1:]).unbind(0)
        return a, m, _bound(raw, *self._limits(width.to(p)))

    def scale_at(self, outputs: np.ndarray, width: float) -> np.ndarray:
        """The scales (C,) in widths that the outputs (3C,) of one column stand for."""
        raw = torch.from_numpy(outputs[2 * self.n_components :])
        return torch.exp(_bound(raw, *self._limits(torch.tensor(width)))).numpy()

    def log_prob(self, x: Tensor, p: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        inside = self._log_mixture(x, p, centre, width)
        if self.astray == 0:
            return inside
        t = ((x - centre.to(x)) / (ASTRAY_SCALE * width.to(x))).to(p)
        astray = self._log_astray(t, width.to(p))
        return torch.logaddexp(inside + math.log1p(-self.astray), astray + math.log(self.astray))

    def cdf(self, x: Tensor, p: Tensor, u: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        t = ((x - centre.to(x)) / (ASTRAY_SCALE * width.to(x))).to(p)
        return (1 - self.astray) * self._mixture_cdf(x, p, u, centre, width) + self.astray * self._astray_cdf(t, u, width.to(p))

    def mean(self, p: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        return (1 - self.astray) * self._mixture_mean(p, centre, width) + self.astray * centre.to(p)

    def draw(self, p: Tensor, u: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        a, m, s = self._parts(p, width)
        k = _choose(torch.softmax(a, dim=0), (u[0] - self.astray) / (1 - self.astray))[None]
        v = m.gather(0, k)[0] + torch.exp(s.gather(0, k)[0]) * self._quantile(u[1])
        v = torch.where(u[0] < self.astray, ASTRAY_SCALE * torch.logit(u[1]), v)
        return self._rounded(centre.to(p) + width.to(p) * v)

    def start(self, X: np.ndarray, weight: np.ndarray, centre: np.ndarray, width: np.ndarray) -> np.ndarray:
        """A short EM a column: (g, 3C)."""
        share, mean, variance = mixture_start(X, weight, self.n_components, width, self.blur)
        low, high = (np.broadcast_to(limit, width.shape)[:, None] for limit in self._limits(width))
        log_scale = np.log(self._scale(variance) / width[:, None])
        return np.hstack([np.log(share), (mean - centre[:, None]) / width[:, None], _unbound(log_scale, low, high)])

    def start_of_classes(
        self, X: np.ndarray, weights: np.ndarray, start: np.ndarray, centre: np.ndarray, width: np.ndarray
    ) -> np.ndarray:
        """One EM step of each class from the mixture of all rows; (K, g, 3C), means in scales of their component."""
        out = np.zeros((len(weights), *start.shape))
        for at in (slice(j, j + _TOGETHER) for j in range(0, X.shape[1], _TOGETHER)):
            c, w, p = (
                torch.from_numpy(np.ascontiguousarray(a)) for a in (centre[at, None], width[at, None], start[at].T[:, :, None])
            )
            x = torch.from_numpy(np.ascontiguousarray(X[:, at].T))
            hidden = torch.isnan(x)
            a, m, s = self._parts(p, w)
            t = _standard(torch.nan_to_num(x), m, s, c, w)
            r = torch.softmax(self._component(t, s.expand_as(t).clone(), w)[0] + a, dim=0).masked_fill(hidden, 0.0)
            prior = _PRIOR_ROWS * torch.softmax(a[..., 0], dim=0)  # (C, g)
            usual = ((r * t * t).sum(dim=2) + _SCALE_ROWS) / (r.sum(dim=2) + _SCALE_ROWS)
            for k, row in enumerate(torch.from_numpy(np.ascontiguousarray(weights))):
                count = (r * row).sum(dim=2)
                logit = torch.log(count + prior) - torch.log((count + prior).sum(dim=0)) - torch.log_softmax(a[..., 0], dim=0)
                moved = (r * row * t).sum(dim=2) / (count + _PRIOR_ROWS)
                left = (r * row * (t - moved[..., None]) ** 2).sum(dim=2) + _SCALE_ROWS * usual
                out[k, at] = torch.cat([logit, moved, 0.5 * torch.log(left / (count + _SCALE_ROWS) / usual)]).T.numpy()
        return out


class Continuous(_Mixture):
    """sum_k pi_k N(x; mu_k, sigma_k^2)."""

    blur = 0.0

    def _limits(self, width):
        return math.log(LEAST_SCALE), math.log(MOST_SCALE)

    def _log_mixture(self, x: Tensor, p: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        log_p = _MixtureLogProb.apply(p, x, centre, width, self._limits(width.to(p)), self._component)
        return log_p - (torch.log(width) + _HALF_LOG_2PI).to(p)

    @staticmethod
    def _component(t: Tensor, s: Tensor, width: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # log N = -t^2 / 2 - log sigma - log(2 pi) / 2,  sigma = width e^s; what all components share is added once, outside
        square = t * t
        return square.mul(-0.5).sub_(s), -t, torch.full_like(s, -1)

    def _mixture_cdf(self, x: Tensor, p: Tensor, u: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        a, m, s = self._parts(p, width)
        below = torch.special.ndtr(_standard(x, m, s, centre, width))
        return (torch.softmax(a, dim=0) * below).sum(dim=0)

    def _mixture_mean(self, p: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        a, m, _ = self._parts(p, width)
        return centre.to(p) + width.to(p) * (torch.softmax(a, dim=0) * m).sum(dim=0)

    @staticmethod
    def _log_astray(t: Tensor, width: Tensor) -> Tensor:
        # log of S(t) S(-t) / sigma
        return -softplus(t) - softplus(-t) - torch.log(ASTRAY_SCALE * width)

    @staticmethod
    def _astray_cdf(t: Tensor, u: Tensor, width: Tensor) -> Tensor:
        return torch.sigmoid(t)

    @staticmethod
    def _quantile(u: Tensor) -> Tensor:
        return torch.special.ndtri(u)

    @staticmethod
    def _rounded(v: Tensor) -> Tensor:
        return v

    @staticmethod
    def _scale(variance: np.ndarray) -> np.ndarray:
        return np.sqrt(variance)


class Integer(_Mixture):
    """The mass that a mixture of logistic distributions has on [x - 1/2, x + 1/2]; over all whole numbers it sums to one."""

    blur = 1 / 12

    def _limits(self, width):
        log = torch.log if isinstance(width, Tensor) else np.log
        return math.log(LEAST_STEP) - log(width), math.log(MOST_SCALE) + 0 * width

    def _log_mixture(self, x: Tensor, p: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        return _MixtureLogProb.apply(p, x, centre, width, self._limits(width.to(p)), self._component)

    @staticmethod
    def _component(t: Tensor, s: Tensor, width: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # e, f = t +- step / 2,  step = 1 / sigma:  S(e) - S(f) = S(e) S(-f) (1 - exp(-step)),
        # which takes no difference of near numbers and has no tail to lose
        step = torch.exp(-s).div_(width)
        half = step / 2
        left, right = -t - half, t - half
        log_p = step.neg().expm1_().neg_().log_()
        log_p -= softplus(left)
        log_p -= softplus(right)
        left.sigmoid_()
        right.sigmoid_()
        # d log p / d step = 1 / (exp(step) - 1) + (S(-e) + S(f)) / 2,  d step / ds = -step
        by_s = (left + right).mul_(-0.5).sub_(step.expm1().reciprocal_()).mul_(step)
        return log_p, left.sub_(right), by_s

    def _mixture_cdf(self, x: Tensor, p: Tensor, u: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        a, m, s = self._parts(p, width)
        t, step = _standard(x, m, s, centre, width), torch.exp(-s) / width.to(p)
        below = torch.sigmoid(t - step / 2) + u * torch.exp(self._component(t, s, width.to(p))[0])
        return (torch.softmax(a, dim=0) * below).sum(dim=0)

    def _mixture_mean(self, p: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        a, m, s = self._parts(p, width)
        mu, step = centre.to(p) + width.to(p) * m, torch.exp(-s) / width.to(p)
        whole = torch.round(mu)
        f, offset = mu - whole, torch.zeros_like(mu)
        # E X = whole + sum_{k >= 0} P(X > whole + k) - P(X < whole - k). Both sides meet for a scale above 1, where the sum
        # of 32 terms is cut off but the rounded mean is that of the logistic up to 1e-8
        narrow = torch.clamp(step, min=1.0)
        for k in range(32):
            offset = offset + torch.sigmoid((f - k - 0.5) * narrow) - torch.sigmoid((-f - k - 0.5) * narrow)
        each = torch.where(step > 1, whole + offset, mu)
        return (torch.softmax(a, dim=0) * each).sum(dim=0)

    def _log_astray(self, t: Tensor, width: Tensor) -> Tensor:
        return self._component(t, torch.full_like(t, math.log(ASTRAY_SCALE)), width)[0]

    def _astray_cdf(self, t: Tensor, u: Tensor, width: Tensor) -> Tensor:
        step = 1 / (ASTRAY_SCALE * width)
        return torch.sigmoid(t - step / 2) + u * torch.exp(self._log_astray(t, width))

    @staticmethod
    def _quantile(u: Tensor) -> Tensor:
        return torch.logit(u)

    @staticmethod
    def _rounded(v: Tensor) -> Tensor:
        return torch.ceil(v - 0.5)

    @staticmethod
    def _scale(variance: np.ndarray) -> np.ndarray:
        """A logistic has variance (pi sigma)^2 / 3, rounding adds 1/12; a narrow one has 2 exp(-1 / (2 sigma)) in all."""
        wide = np.sqrt(3 * np.maximum(variance - 1 / 12, 0)) / np.pi
        narrow = 1 / (2 * np.log(2 / np.minimum(variance, 0.25)))
        return np.where(variance < 0.25, np.maximum(wide, narrow), wide)
