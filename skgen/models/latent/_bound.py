"""The evidence lower bound of a network with a normal code: objectives, importance weights, missing cells, active units."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor, nn

from skgen.learn.gradient import Rows
from skgen.models.latent._network import Outputs

__all__ = ["ACTIVE", "Network", "Watch", "fixed_noise", "log_normal"]

#: The variance of its posterior mean over rows, from which on a dimension of z is active (Burda et al. 2016, eq. 18).
ACTIVE = 0.01
_LOG_2PI = math.log(2 * math.pi)
_MIDDLE, _HALF = -2.0, 5.0  # log sigma of q stays within _MIDDLE +- _HALF, with slope 1 in the middle
_WATCHED = 1000  # rows whose codes are looked at after each epoch


def log_normal(z: Tensor, mean: Tensor | float, log_sd: Tensor | float) -> Tensor:
    """log N(z; mean, diag sd^2), summed over the last dimension."""
    scaled = (z - mean) * torch.exp(-log_sd) if isinstance(log_sd, Tensor) else z - mean
    return (-0.5 * scaled.square() - log_sd - 0.5 * _LOG_2PI).sum(dim=-1)


@functools.lru_cache(maxsize=16)
def fixed_noise(S: int, q: int) -> tuple[np.ndarray, np.ndarray]:
    """S normal points (S, q) and uniforms (S,), always the same: a Latin hypercube, evenly spread in every dimension.

    Each point by itself is exactly normal over the seeds, so that what is averaged over them stays a lower bound.
    """
    rng = np.random.default_rng([S, q])
    strata = rng.permuted(np.tile(np.arange(S), (q + 1, 1)), axis=1).T
    u = (strata + rng.random((S, q + 1))) / S
    return ndtri(u[:, :q]), u[:, q]


class Network(nn.Module):
    r"""q(z | x, c) by an encoder, p(x | z, c) by a decoder and ``outputs``, and the prior p(z).

    An estimator hands it draws of z as ``noise``: normals (S, q) or (n, S, q), and uniforms (S,) or (n, S) that choose a
    component of the VampPrior.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        outputs: Outputs,
        q: int,
        n_classes: int,
        *,
        n_pseudo: int,
        beta: float,
        free_bits: float,
        n_importance: int,
    ):
        super().__init__()
        self.encoder, self.decoder, self.outputs = encoder, decoder, outputs
        self.q, self.n_classes = q, n_classes
        self.beta, self.free_bits, self.n_importance = beta, free_bits, n_importance
        self.warm_up = 0.0  # share of the training over which the weight of the KL term grows
        F = outputs.conditionals.n_features
        self.absent = nn.Parameter(torch.zeros(F))
        self.pseudo = nn.Parameter(torch.zeros(n_pseudo, F)) if n_pseudo else None
        self.register_buffer("_owner", outputs.conditionals.feature_owner, persistent=False)

    def initialise(self, x: Tensor, weight: Tensor, c: Tensor | None) -> None:
        """Marginals as biases; a missing cell is shown as its column's mean; pseudo-inputs are rows, a little apart."""
        self.outputs.initialise(x, weight)
        features = self.outputs.conditionals.features(x)
        seen = (~torch.isnan(x)).to(features)[:, self._owner] * weight[:, None]
        self.absent.copy_((seen * features).sum(dim=0) / seen.sum(dim=0).clamp(min=1e-12))
        if self.pseudo is not None:
            rows = self.show(x[torch.randint(len(x), (len(self.pseudo),))])
            self.pseudo.copy_(rows + 0.01 * torch.randn(rows.shape))

    def n_free(self) -> int:
        """Parameters of p(x): the encoder is none, unless the prior is made of it."""
        counted = self.parameters() if self.pseudo is not None else [*self.decoder.parameters(), *self.outputs.parameters()]
        return sum(p.numel() for p in counted)

    # ---- q(z | x) and p(x | z)

    def show(self, x: Tensor) -> Tensor:
        """Features (n, F) of rows, a learnt value where a cell is missing."""
        features = self.outputs.conditionals.features(x)
        if torch.isfinite(x.sum()):
            return features
        return torch.where(torch.isnan(x)[:, self._owner], self.absent, features)

    def posterior(self, features: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """mu and log sigma of q(z | x, c), (n, q) each."""
        mean, raw = self.encoder(features if c is None else torch.cat([features, c], dim=1)).chunk(2, dim=1)
        return mean, _MIDDLE + _HALF * torch.tanh((raw - _MIDDLE) / _HALF)

    def encode(self, x: Tensor, c: Tensor | None) -> Tensor:
        """The posterior mean of z, (n, q)."""
        return self.posterior(self.show(x), c)[0]

    def decode(self, z: Tensor, c: Tensor | None) -> Tensor:
        """The parameters (m, P) of the columns given z (m, q)."""
        return self.outputs(self.decoder(z if c is None else torch.cat([z, c], dim=1)))

    def log_likelihood(self, x: Tensor, z: Tensor, c: Tensor | None, cross_entropy: bool = False) -> Tensor:
        """log p(x | z, c) of the observed cells, (n, S), at z (n, S, q)."""
        parameters = self.decode(z.flatten(0, 1), None if c is None else c.repeat_interleave(z.shape[1], dim=0))
        return self.outputs.log_prob(x, parameters, cross_entropy)

    # ---- p(z)

    def _components(self, c: Tensor | None) -> tuple[Tensor, Tensor, Tensor | int]:
        """mu and log sigma of q(z | u_k), (K, n_pseudo, q) over classes, and which class each row is of."""
        if c is None:
            mean, log_sd = self.posterior(self.pseudo, None)
            return mean[None], log_sd[None], 0
        K, m = c.shape[1], len(self.pseudo)
        each = torch.eye(K, dtype=c.dtype, device=c.device).repeat_interleave(m, dim=0)
        mean, log_sd = self.posterior(self.pseudo.repeat(K, 1), each)
        return mean.reshape(K, m, -1), log_sd.reshape(K, m, -1), c.argmax(dim=1)

    def log_prior(self, z: Tensor, c: Tensor | None) -> Tensor:
        """log p(z), (n, S), at z (n, S, q)."""
        if self.pseudo is None:
            return log_normal(z, 0.0, 0.0)
        mean, log_sd, code = self._components(c)
        out = z.new_empty(z.shape[:2])
        for k in range(len(mean)):
            rows = slice(None) if c is None else code == k
            precision = torch.exp(-2 * log_sd[k])
            at, m = z[rows].flatten(0, 1), mean[k]
            # sum_j (z_j - m_j)^2 / s_j^2, without a tensor of draws x components x dimensions
            square = at.square() @ precision.T - 2 * at @ (m * precision).T + (m.square() * precision).sum(dim=1)
            log_p = -0.5 * square.clamp(min=0) - (log_sd[k] + 0.5 * _LOG_2PI).sum(dim=1)
            out[rows] = (torch.logsumexp(log_p, dim=1) - math.log(len(m))).reshape(-1, z.shape[1])
        return out

    def draw_prior(self, n: int, c: Tensor | None, normal: Tensor, uniform: Tensor) -> Tensor:
        """z ~ p(z), (n, S, q), from normals (S, q) or (n, S, q) and uniforms (S,) or (n, S)."""
        if self.pseudo is None:
            return normal.expand(n, *normal.shape[-2:])
        mean, log_sd, code = self._components(c)
        k = (uniform * mean.shape[1]).long().clamp(max=mean.shape[1] - 1).expand(n, normal.shape[-2])
        rows = code[:, None] if isinstance(code, Tensor) else code
        return mean[rows, k] + torch.exp(log_sd[rows, k]) * normal

    # ---- training

    def loss(self, x: Tensor, c: Tensor | None, generator: torch.Generator, progress: float) -> Tensor:
        """Minus the bound of each row. While the KL term has less weight, its gradient alone shows it, not its value."""
        mean, log_sd = self.posterior(self.show(x), c)
        noise = torch.randn(len(x), self.n_importance, self.q, generator=generator).to(mean)
        z = mean[:, None] + torch.exp(log_sd)[:, None] * noise
        log_px = self.log_likelihood(x, z, c, cross_entropy=True)
        if self.n_importance > 1:
            # log p(z) - log q(z | x), weighted as the KL term is
            ratio = self.log_prior(z, c) + (0.5 * noise.square() + log_sd[:, None] + 0.5 * _LOG_2PI).sum(dim=2)
            kl = None
        elif self.pseudo is None:
            # KL(N(mu, sigma^2) || N(0, 1)) = (mu^2 + sigma^2 - 1) / 2 - log sigma      (Kingma & Welling, appendix B)
            kl = 0.5 * (mean.square() + torch.exp(2 * log_sd) - 1) - log_sd
        else:
            kl = log_normal(z, mean[:, None], log_sd[:, None]) - self.log_prior(z, c)

        def bound(weight: float, free: float) -> Tensor:
            if kl is None:
                return torch.logsumexp(log_px + weight * ratio, dim=1) - math.log(self.n_importance)
            cost = kl.sum(dim=1)
            if free:
                # sum_j max(free, mean over the batch of KL_j)      (Kingma et al. 2016, eq. 15)
                least = free * self.q / kl.shape[1]
                cost = kl.mean(dim=0).clamp(min=least).sum().expand(len(x))
            return log_px[:, 0] - weight * cost

        whole = bound(self.beta, 0.0)
        weight = self.beta * (min(1.0, progress / self.warm_up) if self.warm_up else 1.0)
        if not self.training or (weight == self.beta and not self.free_bits):
            return -whole
        eased = bound(weight, self.free_bits)
        return -(whole.detach() + eased - eased.detach())

    # ---- log p(x)

    def weigh(self, x: Tensor, c: Tensor | None, noise: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Draws z (n, S, q) and log weights (n, S), log p(x, z) - log r(z), of which the mean is p(x).

        r is q(z | x). In a row with missing cells, which the encoder may never have seen, every second draw is from p(z), and
        r is the mixture of both: no weight exceeds twice the likelihood.
        """
        normal, uniform = noise
        mean, log_sd = self.posterior(self.show(x), c)
        z = mean[:, None] + torch.exp(log_sd)[:, None] * normal
        S, gaps = z.shape[1], torch.isnan(x).any(dim=1)
        own, other = (S + 1) // 2, S // 2
        mixed = bool(gaps.any()) and other > 0
        if mixed:
            wide = self.draw_prior(len(x), c, normal[..., own:, :], uniform[..., own:])
            z = torch.where(gaps[:, None, None] & (torch.arange(S, device=z.device) >= own)[:, None], _padded(wide, own), z)
        log_p, log_r = self.log_prior(z, c), log_normal(z, mean[:, None], log_sd[:, None])
        if mixed:
            both = torch.logaddexp(log_r + math.log(own / S), log_p + math.log(other / S))
            log_r = torch.where(gaps[:, None], both, log_r)
        return z, self.log_likelihood(x, z, c) + log_p - log_r

    def log_prob(self, x: Tensor, c: Tensor | None, noise: tuple[Tensor, Tensor]) -> Tensor:
        """log 1/S sum_s p(x, z_s) / r(z_s), (n,); 0 where nothing is observed."""
        _, log_w = self.weigh(x, c, noise)
        log_p = torch.logsumexp(log_w, dim=1) - math.log(log_w.shape[1])
        return log_p.masked_fill(torch.isnan(x).all(dim=1), 0.0)

    def terms(self, x: Tensor, c: Tensor | None, noise: tuple[Tensor, Tensor]) -> Tensor:
        """(n, 3): E_q log p(x | z), KL(q || p(z)), and the importance-weighted bound."""
        mean, log_sd = self.posterior(self.show(x), c)
        z = mean[:, None] + torch.exp(log_sd)[:, None] * noise[0]
        reconstruction = self.log_likelihood(x, z, c).mean(dim=1)
        if self.pseudo is None:
            kl = (0.5 * (mean.square() + torch.exp(2 * log_sd) - 1) - log_sd).sum(dim=1)
        else:
            kl = (log_normal(z, mean[:, None], log_sd[:, None]) - self.log_prior(z, c)).mean(dim=1)
        return torch.stack([reconstruction, kl, self.log_prob(x, c, noise)], dim=1)

    def expect(self, x: Tensor, c: Tensor | None, noise: tuple[Tensor, Tensor]) -> Tensor:
        """E[x_j | observed cells, c] by the same weights, (n, d); of no use for a categorical column."""
        z, log_w = self.weigh(x, c, noise)
        means = self.outputs.conditionals.mean(
            self.decode(z.flatten(0, 1), None if c is None else c.repeat_interleave(z.shape[1], 0))
        )
        return torch.einsum("ns,nsd->nd", torch.softmax(log_w, dim=1), means.reshape(*z.shape[:2], -1))

    # ---- draws

    def _noise(self, n: int, S: int, generator: torch.Generator, like: Tensor) -> tuple[Tensor, Tensor]:
        wide = torch.float32 if generator.device.type == "mps" else torch.float64
        normal = torch.randn(n, S, self.q, generator=generator, dtype=wide)
        return normal.to(like), torch.rand(n, S, generator=generator, dtype=wide).to(like)

    def sample(self, n: int, c: Tensor | None, generator: torch.Generator) -> Tensor:
        """n rows: z ~ p(z), x ~ p(x | z)."""
        z = self.draw_prior(n, c, *self._noise(n, 1, generator, self.absent))[:, 0]
        return self.outputs.conditionals.sample(self.decode(z, c), generator)

    def complete(self, x: Tensor, c: Tensor | None, S: int, generator: torch.Generator) -> Tensor:
        """Rows whose NaN cells are drawn given the others: z by importance resampling among S draws, then the cells."""
        z, log_w = self.weigh(x, c, self._noise(len(x), S, generator, x))
        reached = torch.softmax(log_w, dim=1).cumsum(dim=1)
        u = torch.rand(len(x), 1, generator=generator, dtype=torch.float64).to(reached)
        chosen = (reached[:, :-1] <= u).sum(dim=1)
        drawn = self.outputs.conditionals.sample(self.decode(z[torch.arange(len(x)), chosen], c), generator)
        return torch.where(torch.isnan(x), drawn, x)


def _padded(z: Tensor, before: int) -> Tensor:
    """z (n, s, q) with so many rows of zeros before it."""
    return torch.cat([z.new_zeros(len(z), before, z.shape[2]), z], dim=1)


class Watch:
    """Stands before another monitor of a training and adds to each epoch's line what the codes of some rows are like."""

    def __init__(self, inner: Any, module: Network, rows: Rows):
        self.inner, self.module = inner, module
        some = rows.take(slice(None, None, max(1, len(rows) // _WATCHED)))
        self.x, c = some.x, some.c
        self.c = None if c is None else torch.where(torch.isnan(c), 1 / c.shape[1], c)

    def epoch_begins(self) -> None:
        if self.inner is not None:
            self.inner.epoch_begins()

    @torch.no_grad()
    def narrow(self, module: Network) -> np.ndarray:
        """Columns whose scale is at its floor, of the rows watched; a constant column has no other."""
        like = module.absent
        c = None if self.c is None else self.c.to(like)
        mean, _ = module.posterior(module.show(self.x.to(like)), c)
        found = module.outputs.narrow(module.decode(mean, c))
        seen = self.x[:, found]
        return found[((seen != seen[:1]) & ~torch.isnan(seen)).any(dim=0).cpu().numpy()] if len(seen) else found

    @torch.no_grad()
    def epoch_ends(self, line: dict, learnt: Any) -> bool:
        like = self.module.absent
        mean, log_sd = self.module.posterior(self.module.show(self.x.to(like)), None if self.c is None else self.c.to(like))
        kl = 0.5 * (mean.square() + torch.exp(2 * log_sd) - 1) - log_sd
        line["kl"] = float(kl.sum(dim=1).mean())
        line["active_units"] = int((mean.var(dim=0, correction=0) > ACTIVE).sum())
        return False if self.inner is None else self.inner.epoch_ends(line, learnt)
