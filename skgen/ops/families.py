"""Univariate families, each fitted for K classes at once from weights (n, K).

A continuous column comes coded, x = unit * (z + origin); positive families see v = z + origin >= 0 and so stay free of
units. An integer column comes as it is. ``log_prob`` is (K, n), nats; ``take(k)`` is class k alone.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import betaln, digamma, expit, gammaln, log_ndtr, polygamma

__all__ = ["CONTINUOUS", "INTEGER", "Family", "Separate", "fit_family", "has_heavy_tails"]

_LOG_2PI = np.log(2 * np.pi)
_DEGREES = (2.0, 4.0, 8.0, 16.0, 64.0)  # of freedom, of Student's t
_LEAST = np.finfo(float).tiny  # keeps a sum of no weights from dividing by zero
_TINY = 1e-9  # least variance, in units of the column's own


def _moments(x: np.ndarray, W: np.ndarray, shrinkage: float) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and variance a class; ``shrinkage`` pseudo-rows carry the variance of all rows. A class without
    rows has the mean and variance of all."""
    total = W.sum(axis=0)
    everyone = W.sum(axis=1)
    pooled = np.average(x, weights=everyone)
    spread = np.average((x - pooled) ** 2, weights=everyone)
    safe = np.maximum(total, _LEAST)
    mean = np.where(total > 0, (x @ W) / safe, pooled)
    scatter = np.stack([w @ (x - m) ** 2 for w, m in zip(W.T, mean, strict=True)])
    variance = (scatter + shrinkage * spread) / np.maximum(total + shrinkage, _LEAST)
    return mean, np.where(total > 0, variance, spread)


@dataclass
class Family:
    """Parameters as arrays whose first axis is the class."""

    n_parameters = 2
    positive = False
    integer = False

    @classmethod
    def fit(cls, x: np.ndarray, W: np.ndarray, shrinkage: float, alpha: float) -> Family:
        raise NotImplementedError

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def sample(self, k: int, n: int, rng: np.random.Generator) -> np.ndarray:
        raise NotImplementedError

    def take(self, k: int) -> Family:
        return type(self)(**{f.name: getattr(self, f.name)[k : k + 1] for f in dataclasses.fields(self)})

    def count(self, k: int) -> int:
        """Free parameters of class k."""
        return self.n_parameters

    def held_out(self, x: np.ndarray, W: np.ndarray) -> float:
        """Log-likelihood of each row given the others, summed: less one a parameter in-sample (Stone 1977)."""
        fit = float(np.einsum("kn,nk->", np.maximum(self.log_prob(x), -1e6), W))
        return fit - sum(self.count(k) for k in range(W.shape[1]))


@dataclass
class Normal(Family):
    """N(mean, variance)."""

    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def fit(cls, x, W, shrinkage, alpha):
        mean, variance = _moments(x, W, shrinkage)
        return cls(mean, np.maximum(variance, _TINY))

    def log_prob(self, x):
        m, v = self.mean[:, None], self.variance[:, None]
        return -0.5 * ((x - m) ** 2 / v + np.log(v) + _LOG_2PI)

    def sample(self, k, n, rng):
        return self.mean[k] + np.sqrt(self.variance[k]) * rng.standard_normal(n)


@dataclass
class LogNormal(Normal):
    """log v ~ N(mean, variance): log p(v) = log N(log v) - log v."""

    positive = True

    @classmethod
    def fit(cls, x, W, shrinkage, alpha):
        return super().fit(np.log(np.maximum(x, _LEAST)), W, shrinkage, alpha)

    def log_prob(self, x):
        inside = x > 0
        log_x = np.log(np.where(inside, x, 1.0))
        return np.where(inside, super().log_prob(log_x) - log_x, -np.inf)

    def sample(self, k, n, rng):
        return np.exp(super().sample(k, n, rng))


@dataclass
class Gamma(Family):
    """p(v) = v^(a-1) exp(-v/s) / (Gamma(a) s^a)."""

    shape: np.ndarray
    scale: np.ndarray
    positive = True

    @classmethod
    def fit(cls, x, W, shrinkage, alpha):
        x = np.maximum(x, _LEAST)
        everyone = W.sum(axis=1)
        total = W.sum(axis=0) + shrinkage  # a pseudo-row has the mean and the mean log of all rows
        mean = (x @ W + shrinkage * np.average(x, weights=everyone)) / total
        mean_log = (np.log(x) @ W + shrinkage * np.average(np.log(x), weights=everyone)) / total
        gap = np.maximum(np.log(mean) - mean_log, _TINY)
        a = (3 - gap + np.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)  # Minka 2002, then Newton on log a - psi(a) = gap
        for _ in range(20):
            slope = 1 / a - polygamma(1, a)
            a = np.maximum(a - (np.log(a) - digamma(a) - gap) / slope, a / 2)
        return cls(a, mean / a)

    def log_prob(self, x):
        a, s = self.shape[:, None], self.scale[:, None]
        inside = x > 0
        v = np.where(inside, x, 1.0)
        return np.where(inside, (a - 1) * np.log(v) - v / s - gammaln(a) - a * np.log(s), -np.inf)

    def sample(self, k, n, rng):
        return rng.gamma(self.shape[k], self.scale[k], n)


@dataclass
class StudentT(Family):
    """Student's t with location, scale and degrees of freedom, by EM on its scale mixture (Liu & Rubin 1995)."""

    mean: np.ndarray
    variance: np.ndarray
    df: np.ndarray
    n_parameters = 3

    @classmethod
    def fit(cls, x, W, shrinkage, alpha):
        start, spread = _moments(x, W, shrinkage)
        best, score = None, np.full(len(start), -np.inf)
        mean, variance = start, spread
        for df in reversed(_DEGREES):  # from the normal on, each from where the last one came to
            candidate = cls._fixed(x, W, mean, variance, df, shrinkage, spread)
            mean, variance = candidate.mean.copy(), candidate.variance.copy()
            found = np.einsum("kn,nk->k", candidate.log_prob(x), W)
            if best is None:
                best, score = candidate, found
                continue
            better = found > score
            if not better.any():  # heavier tails only lose from here
                break
            for field in dataclasses.fields(cls):
                getattr(best, field.name)[better] = getattr(candidate, field.name)[better]
            score = np.maximum(score, found)
        return best

    @classmethod
    def _fixed(cls, x, W, mean, variance, df, shrinkage, pooled):
        total = W.sum(axis=0)
        for _ in range(30):
            old_mean, old_variance = mean, variance
            # E[precision | x] = (df + 1) / (df + squared distance)
            u = (df + 1) / (df + (x - mean[:, None]) ** 2 / np.maximum(variance, _TINY)[:, None]) * W.T
            mean = np.where(total > 0, u @ x / np.maximum(u.sum(axis=1), _LEAST), mean)
            scatter = (u * (x - mean[:, None]) ** 2).sum(axis=1)
            variance = (scatter + shrinkage * pooled) / np.maximum(total + shrinkage, _LEAST)
            moved = np.maximum((mean - old_mean) ** 2, np.abs(variance - old_variance) * 1e-5)
            if (moved <= 1e-10 * variance).all():
                break
        return cls(mean, np.maximum(variance, _TINY), np.full(len(mean), df))

    def improve(self, x: np.ndarray, W: np.ndarray, shrinkage: float) -> StudentT:
        """One EM step from here, then the likeliest degrees of freedom there: an outer EM needs no more (Liu & Rubin 1995)."""
        pooled = _moments(x, W, shrinkage)[1]
        df, total = self.df[:, None], W.sum(axis=0)
        u = (df + 1) / (df + (x - self.mean[:, None]) ** 2 / self.variance[:, None]) * W.T
        mean = np.where(total > 0, u @ x / np.maximum(u.sum(axis=1), _LEAST), self.mean)
        scatter = (u * (x - mean[:, None]) ** 2).sum(axis=1)
        variance = (scatter + shrinkage * pooled) / np.maximum(total + shrinkage, _LEAST)
        variance = np.maximum(np.where(total > 0, variance, self.variance), _TINY)
        tried = [StudentT(mean, variance, np.full(len(mean), df)) for df in _DEGREES]
        likely = np.stack([np.einsum("kn,nk->k", one.log_prob(x), W) for one in tried]).argmax(axis=0)
        return StudentT(mean, variance, np.array(_DEGREES)[likely])

    def log_prob(self, x):
        m, v, df = self.mean[:, None], self.variance[:, None], self.df[:, None]
        norm = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(df * np.pi * v)
        return norm - (df + 1) / 2 * np.log1p((x - m) ** 2 / (df * v))

    def sample(self, k, n, rng):
        return self.mean[k] + np.sqrt(self.variance[k]) * rng.standard_t(self.df[k], n)


@dataclass
class Poisson(Family):
    """p(x) = r^x exp(-r) / x!"""

    rate: np.ndarray
    n_parameters = 1
    positive = integer = True

    @classmethod
    def fit(cls, x, W, shrinkage, alpha):
        pooled = np.average(x, weights=W.sum(axis=1))
        total = W.sum(axis=0) + shrinkage
        rate = (x @ W + shrinkage * pooled) / np.maximum(total, _LEAST)
        return cls(np.maximum(np.where(total > 0, rate, pooled), _TINY))

    def log_prob(self, x):
        inside = x >= 0
        v = np.where(inside, x, 0.0)
        r = self.rate[:, None]
        plain = v * np.log(r) - r - gammaln(v + 1)
        # for large counts Stirling's series, whose terms do not cancel; with t = v / r - 1:
        # -r ((1 + t) log(1 + t) - t) - log(2 pi v) / 2 - 1 / 12 v + ...
        big, t = np.maximum(v, 32.0), np.maximum(v - r, -0.999 * r) / r
        series = -r * ((1 + t) * np.log1p(t) - t) - 0.5 * np.log(2 * np.pi * big) - 1 / (12 * big) + 1 / (360 * big**3)
        return np.where(inside, np.where((v >= 32) & (np.abs(t) < 0.5), series, plain), -np.inf)

    def sample(self, k, n, rng):
        return rng.poisson(min(self.rate[k], 9e18), n).astype(float)


@dataclass
class NegativeBinomial(Family):
    """A Poisson whose rate is Gamma(size): mean m, variance m + m^2 / size."""

    mean: np.ndarray
    size: np.ndarray
    positive = integer = True

    @classmethod
    def fit(cls, x, W, shrinkage, alpha):
        mean = Poisson.fit(x, W, shrinkage, alpha).rate
        values, where = np.unique(x, return_inverse=True)
        everyone = W.sum(axis=1)
        sizes = []
        for m, w in zip(mean, W.T, strict=True):
            counts = np.bincount(where, w + shrinkage * everyone / everyone.sum(), len(values))

            def loss(log_size, m=m, counts=counts):
                one = cls(np.array([m]), np.array([np.exp(log_size)]))
                return -counts @ one.log_prob(values)[0]

            sizes.append(np.exp(minimize_scalar(loss, bounds=(-6.0, 14.0), method="bounded", options={"xatol": 1e-4}).x))
        return cls(mean, np.array(sizes))

    def log_prob(self, x):
        inside = x >= 0
        v = np.where(inside, x, 0.0)
        m, r = self.mean[:, None], self.size[:, None]
        # Gamma(v + r) / (Gamma(r) v!) = 1 / ((v + r) B(v + 1, r)), in terms that do not cancel for large counts
        pmf = -betaln(v + 1, r) - np.log(v + r) - r * np.log1p(m / r) - v * np.log1p(r / m)
        return np.where(inside, pmf, -np.inf)

    def sample(self, k, n, rng):
        return rng.poisson(np.minimum(rng.gamma(self.size[k], self.mean[k] / self.size[k], n), 9e18)).astype(float)


@dataclass
class DiscretisedNormal(Family):
    """The mass of N(mean, variance) on [x - 1/2, x + 1/2]."""

    mean: np.ndarray
    variance: np.ndarray
    integer = True

    @classmethod
    def fit(cls, x, W, shrinkage, alpha):
        mean, variance = _moments(x, W, shrinkage)
        return cls(mean, np.maximum(variance - 1 / 12, 1e-2))  # Sheppard's correction

    def log_prob(self, x):
        s = np.sqrt(self.variance)[:, None]
        upper, lower = (x + 0.5 - self.mean[:, None]) / s, (x - 0.5 - self.mean[:, None]) / s
        far, near = np.where(lower > 0, -lower, upper), np.where(lower > 0, -upper, lower)  # Phi(far) - Phi(near), left tail
        big, small = log_ndtr(far), log_ndtr(near)
        with np.errstate(divide="ignore"):
            mass = big + np.log1p(-np.exp(np.minimum(small - big, 0.0)))
        # where the difference underflows, the density at the middle of the cell
        middle = -0.5 * (((x - self.mean[:, None]) / s) ** 2 + _LOG_2PI) - np.log(s)
        return np.where(np.isfinite(mass) & (1.0 / s > 1e-7), mass, middle)

    def sample(self, k, n, rng):
        return np.round(self.mean[k] + np.sqrt(self.variance[k]) * rng.standard_normal(n))


@dataclass
class Separate(Family):
    """One family of one class each, which need not agree in anything but the name."""

    each: list[Family]

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate([family.log_prob(x) for family in self.each])

    def sample(self, k: int, n: int, rng: np.random.Generator) -> np.ndarray:
        return self.each[k].sample(0, n, rng)

    def take(self, k: int) -> Family:
        return self.each[k]

    def count(self, k: int) -> int:
        return self.each[k].count(0)


def _pseudo_rows(counts: np.ndarray, back: np.ndarray) -> float:
    """m of p(v) = (c(v) + m back(v)) / (n + m) that makes each row likeliest given the others."""
    n, less = counts.sum(), np.maximum(counts - 1, 0.0)
    if n <= 1:
        return 1.0

    def loss(log_m: float) -> float:
        m = np.exp(log_m)
        return -float(counts @ np.log((less + m * back) / (n - 1 + m)))

    return float(np.exp(minimize_scalar(loss, bounds=(-5.0, np.log(n) + 5), method="bounded", options={"xatol": 1e-3}).x))


@dataclass
class SmoothedTable(Family):
    """A table of the values seen, backed off twice: p_k = (c_k + m_k p) / (n_k + m_k), p = (c + m q) / (n + m).

    p is the table of all rows; q the likelier of a discretised logistic and, for counts, a negative binomial, so a value
    never seen has a mass as well. The pseudo-rows m and m_k make each row likeliest given the others (leave-one-out).
    """

    values: np.ndarray  # (K, v), each row the same
    log_mass: np.ndarray  # (K, v)
    rest: np.ndarray  # (K,) log weight of q for a value never seen
    left_out: np.ndarray  # (K, v) log mass when one row of that value is left out
    centre: np.ndarray  # of q: logistic where size is 0
    width: np.ndarray
    size: np.ndarray
    integer = True

    @classmethod
    def fit(cls, x, W, shrinkage, alpha):
        everyone = W.sum(axis=1)
        values, where = np.unique(x, return_inverse=True)
        counts = np.stack([np.bincount(where, w, len(values)) for w in W.T])
        everything, K = counts.sum(axis=0), W.shape[1]
        mean, variance = _moments(x, everyone[:, None], 0.0)
        centre, width, size = mean[0], max(float(np.sqrt(3 * variance[0]) / np.pi), 0.3), 0.0
        q = np.exp(_log_back_off(values, centre, width, size))
        if values[0] >= 0 and len(values) > 1:
            count = NegativeBinomial.fit(x, everyone[:, None], 0.0, 0.0)
            q_count = np.exp(_log_back_off(values, count.mean[0], 0.0, count.size[0]))
            if everything @ np.log(np.maximum(q_count, 1e-300)) > everything @ np.log(np.maximum(q, 1e-300)):
                q, centre, width, size = q_count, count.mean[0], 0.0, count.size[0]
        q = np.maximum(q, 1e-300)
        n, m = everything.sum(), _pseudo_rows(everything, q)
        pooled = (everything + m * q) / (n + m)
        pooled_less = (np.maximum(everything - 1, 0) + m * q) / (max(n - 1, 0) + m)
        log_mass, rest, left_out = np.empty(counts.shape), np.empty(K), np.empty(counts.shape)
        for k, c in enumerate(counts):
            own, n_k = _pseudo_rows(c, pooled_less) if K > 1 else 0.0, c.sum()
            if K == 1 and n_k > 0:
                log_mass[k], left_out[k], rest[k] = np.log(pooled), np.log(pooled_less), np.log(m / (n + m))
                continue
            log_mass[k] = np.log((c + own * pooled) / (n_k + own))
            left_out[k] = np.log((np.maximum(c - 1, 0) + own * pooled_less) / (max(n_k - 1, 0) + own))
            rest[k] = np.log(own / (n_k + own)) + np.log(m / (n + m))
        same = [np.repeat(v, K) for v in (centre, width, size)]
        return cls(np.tile(values, (K, 1)), log_mass, rest, left_out, *same)

    def log_prob(self, x):
        values = self.values[0]
        at = np.searchsorted(values, x).clip(max=len(values) - 1)
        other = self.rest[:, None] + _log_back_off(x, self.centre[0], self.width[0], self.size[0])
        return np.where(values[at] == x, self.log_mass[:, at], other)

    def held_out(self, x, W):
        at, K = np.searchsorted(self.values[0], x), W.shape[1]
        # centre, width and m were chosen on all rows, each m_k on those of its class
        return float(np.einsum("kn,nk->", self.left_out[:, at], W)) - 3 - (K if K > 1 else 0)

    def sample(self, k, n, rng):
        mass = np.exp(self.log_mass[k])
        mass = np.append(mass, max(0.0, 1 - mass.sum()))
        x = np.append(self.values[k], np.nan)[rng.choice(len(mass), n, p=mass / mass.sum())]
        unseen = np.flatnonzero(np.isnan(x))
        while len(unseen):  # q without the values of the table
            if self.size[k] > 0:
                draw = NegativeBinomial(self.centre, self.size).sample(k, len(unseen), rng)
            else:
                draw = np.round(self.centre[k] + self.width[k] * rng.logistic(size=len(unseen)))
            x[unseen] = draw
            unseen = unseen[np.isin(draw, self.values[k])]
        return x

    def count(self, k):
        return self.values.shape[1]


def _log_back_off(x: np.ndarray, centre: float, width: float, size: float) -> np.ndarray:
    """log q: a negative binomial of mean ``centre`` if it has a ``size``, else a discretised logistic."""
    if size > 0:
        return NegativeBinomial(np.array([centre]), np.array([size])).log_prob(x)[0]
    return _log_logistic_cell(x, np.float64(centre), np.float64(width))


def _log_logistic_cell(x: np.ndarray, centre: np.ndarray, width: np.ndarray) -> np.ndarray:
    """log of sigma((x + 1/2 - c) / s) - sigma((x - 1/2 - c) / s)."""
    distance = np.abs(x - centre) / width
    half = 0.5 / width
    # sigma(a) - sigma(b) = sigma(a) sigma(-b) (1 - exp(b - a)), in the left tail by symmetry
    upper, lower = -distance + half, -distance - half
    with np.errstate(divide="ignore"):
        return np.where(upper < -30, upper, np.log(expit(upper))) + np.log(expit(-lower)) + np.log(-np.expm1(-2 * half))


CONTINUOUS: dict[str, type[Family]] = {"normal": Normal, "lognormal": LogNormal, "gamma": Gamma, "student_t": StudentT}
INTEGER: dict[str, type[Family]] = {
    "poisson": Poisson,
    "negative_binomial": NegativeBinomial,
    "normal": DiscretisedNormal,
    "table": SmoothedTable,
}


def has_heavy_tails(x: np.ndarray, W: np.ndarray) -> bool:
    """Whether the fourth moment of any class exceeds a normal's: the sign of the slope of t's likelihood in 1 / df at 0."""
    if not len(x):
        return False
    mean, variance = _moments(x, W, 0.0)
    fourth = np.stack([w @ (x - m) ** 4 for w, m in zip(W.T, mean, strict=True)])
    return bool((fourth > 3 * W.sum(axis=0) * variance**2).any())


def fit_family(
    name: str, integer: bool, x: np.ndarray, W: np.ndarray, shrinkage: float, alpha: float, before: Family | None = None
) -> Family:
    """The family called ``name`` fitted to the observed cells of one column, or ``before`` improved where it can be."""
    seen = ~np.isnan(x)
    if not seen.all():
        x, W = x[seen], W[seen]
    family = (INTEGER if integer else CONTINUOUS)[name]
    if not len(x):  # nothing observed: about unit spread
        x, W = np.array([0.0, 2.0] if integer else [0.5, 2.0] if family.positive else [-1.0, 1.0]), np.ones((2, W.shape[1]))
    if isinstance(before, StudentT):  # which has no closed form to fit at each step of an EM around it
        return before.improve(x, W, shrinkage)
    return family.fit(x, W, shrinkage, alpha)
