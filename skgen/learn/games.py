"""The games that a generator and a discriminator play: their losses, penalties, and classes as the discriminator's outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["LOSSES", "Game", "class_logit", "pack", "slope_penalty"]


@dataclass
class Game:
    """The rules, beside the settings of any training."""

    loss: str = "non_saturating"
    discriminator_steps: int = 1
    discriminator_rate: float = 1.0
    label_smoothing: float = 0.0
    gradient_penalty: float = 0.0
    averaging: float = 0.999
    packing: int = 1
    steps_per_epoch: int = 1


def _softplus(a: Tensor) -> Tensor:
    return nn.functional.softplus(a)


def _minimax(real: Tensor, fake: Tensor, smooth: float) -> tuple[Tensor, Tensor]:
    # Goodfellow et al. 2014, eq. 1: the discriminator ascends E log D(x) + E log(1 - D(G(z))), the generator descends it
    return _bernoulli(real, fake, smooth), -_softplus(fake)


def _non_saturating(real: Tensor, fake: Tensor, smooth: float) -> tuple[Tensor, Tensor]:
    # the same game for the discriminator; the generator descends -E log D(G(z)) (section 3)
    return _bernoulli(real, fake, smooth), _softplus(-fake)


def _bernoulli(real: Tensor, fake: Tensor, smooth: float) -> Tensor:
    # one-sided label smoothing: real rows are asked to be 1 - smooth (Salimans et al. 2016, section 3.4)
    return (1 - smooth) * _softplus(-real) + smooth * _softplus(real) + _softplus(fake)


def _least_squares(real: Tensor, fake: Tensor, smooth: float) -> tuple[Tensor, Tensor]:
    # Mao et al. 2017, eq. 9, with a = 0, b = c = 1
    return 0.5 * (real - (1 - smooth)).square() + 0.5 * fake.square(), 0.5 * (fake - 1).square()


def _wasserstein(real: Tensor, fake: Tensor, smooth: float) -> tuple[Tensor, Tensor]:
    # Arjovsky et al. 2017, eq. 2; the Lipschitz constraint is the gradient penalty of Gulrajani et al. 2017
    return fake - real, -fake


#: What each player minimises, from the discriminator's outputs for real and generated rows.
LOSSES: dict[str, Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]] = {
    "minimax": _minimax,
    "non_saturating": _non_saturating,
    "least_squares": _least_squares,
    "wasserstein": _wasserstein,
}


def class_logit(heads: Tensor, c: Tensor | None) -> Tensor:
    """Logit of "real and of class y", (n,), where the discriminator tells K classes and "generated" apart.

    The K + 1 probabilities are the softmax of the K heads and 0 (Salimans et al. 2016, section 5). A row without a label,
    of which c is NaN, or all rows if c is None, have the logit of "real, of any class".

    Examples
    --------
    >>> heads = torch.tensor([[2.0, -1.0]])
    >>> p = torch.softmax(torch.tensor([2.0, -1.0, 0.0]), 0)
    >>> bool(torch.isclose(class_logit(heads, torch.tensor([[1.0, 0.0]])), torch.logit(p[0])))
    True
    >>> bool(torch.isclose(class_logit(heads, None), torch.logit(p[0] + p[1])))
    True
    """
    any_class = torch.logsumexp(heads, dim=1)
    if c is None:
        return any_class
    unknown = torch.isnan(c[:, 0])
    own = torch.where(unknown[:, None], 0.0, c)
    others = torch.logsumexp(torch.cat([heads.masked_fill(own > 0.5, -torch.inf), torch.zeros_like(heads[:, :1])], dim=1), dim=1)
    return torch.where(unknown, any_class, (own * heads).sum(dim=1) - others)


def pack(rows: Tensor | None, m: int) -> Tensor | None:
    """m rows side by side, (n, F, ...) -> (n // m, m F, ...): a generator that repeats itself is found out (Lin et al. 2018).

    Examples
    --------
    >>> pack(torch.arange(6.0).reshape(3, 2), 2)
    tensor([[0., 1., 2., 3.]])
    """
    if rows is None or m == 1:
        return rows
    n = len(rows) // m
    return rows[: n * m].reshape(n, m * rows.shape[1], *rows.shape[2:])


def slope_penalty(
    loss: str,
    judge: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    generator: torch.Generator,
    weight: Tensor | None = None,
) -> Tensor:
    """What the discriminator pays for its slope: about 1 between real and generated rows, or small at both.

    ``weight`` (n,) is that of the real rows.
    """
    if loss == "wasserstein":
        # E (|grad D(x~)| - 1)^2 between real and generated rows (Gulrajani et al. 2017, eq. 3)
        share = torch.rand(len(real), *[1] * (real.dim() - 1), generator=generator, dtype=torch.float64).to(real)
        return _mean(((_square_slope(judge, share * real + (1 - share) * fake) + 1e-12).sqrt() - 1).square(), weight)
    # R1 + R2: E |grad D|^2 / 2 at real and at generated rows (Mescheder et al. 2018, eqs. 9 and 10). R1 alone lets D become
    # steep where only generated rows are, and modes of a ring were lost again after they had been found.
    return 0.5 * (_mean(_square_slope(judge, real), weight) + _mean(_square_slope(judge, fake), None))


def _square_slope(judge: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """|grad D|^2 of each row, (n,), with a gradient of its own."""
    at = rows.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(judge(at).sum(), at, create_graph=True)
    return slope.flatten(1).square().sum(dim=1)


def _mean(each: Tensor, weight: Tensor | None) -> Tensor:
    return each.mean() if weight is None else (each * weight).sum() / weight.sum()
