"""Generative adversarial network for tables."""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn

from skgen.models.implicit._base import AdversarialModel
from skgen.ops.conditionals import Conditionals
from skgen.tables import Columns

__all__ = ["GAN"]

_TEMPERATURE = 0.3  # of relaxed categories


def _layers(sizes: list[int], activation: nn.Module) -> nn.Sequential:
    steps: list[nn.Module] = []
    for a, b in pairwise(sizes):
        steps += [nn.Linear(a, b), activation]
    return nn.Sequential(*steps[:-1])


class _Networks(nn.Module):
    """G(z, c) and D(x, c), each a perceptron; the class stands beside the input of either."""

    def __init__(self, columns: Columns, n_classes: int, n_latent: int, sizes: tuple):
        super().__init__()
        self.columns = Conditionals(columns.kinds, columns.n_levels)
        self.n_latent, self.n_classes = n_latent, n_classes
        F = self.columns.n_features
        self.generator = _layers([n_latent + n_classes, *sizes, F], nn.ReLU())
        self.discriminator = _layers([F + n_classes, *sizes, 1], nn.LeakyReLU(0.2))
        kinds = list(columns.kinds)
        self._binary = [self.columns.features_of(j).start for j, kind in enumerate(kinds) if kind == "binary"]
        self._levels = [self.columns.features_of(j) for j, kind in enumerate(kinds) if kind == "categorical"]
        self._kinds = kinds

    def initialise(self, x: Tensor, weight: Tensor) -> None:
        """Read the columns' centres and widths."""
        self.columns.initialise(x, weight)

    def show(self, x: Tensor) -> Tensor:
        """What the discriminator sees of coded rows."""
        return self.columns.features(x)

    def extra_loss(self, real: Tensor | None, fake: Tensor, c: Tensor | None) -> float:
        return 0.0

    def judge(self, features: Tensor, c: Tensor | None, generator: torch.Generator) -> Tensor:
        return self.discriminator(features if c is None else torch.cat([features, c], dim=1))[:, 0]

    def generate(self, n: int, c: Tensor | None, generator: torch.Generator, hard: bool = False) -> Tensor:
        like = self.generator[0].weight
        z = torch.randn(n, self.n_latent, generator=generator, dtype=torch.float64).to(like)
        return self._relaxed(z, c, generator)

    def _relaxed(self, z: Tensor, c: Tensor | None, generator: torch.Generator) -> Tensor:
        """Features of G(z): levels are drawn, and have the gradient of their softmax (Jang et al. 2017; Maddison et al. 2017)."""
        out = self.generator(z if c is None else torch.cat([z, c], dim=1))
        if not self._binary and not self._levels:
            return out
        u = torch.rand(out.shape, generator=generator, dtype=torch.float64).to(out).clamp(1e-6, 1 - 1e-6)
        pieces = list(out.unbind(dim=1))
        for j in self._binary:
            a = pieces[j] + torch.logit(u[:, j])
            soft = torch.sigmoid(a / _TEMPERATURE)
            pieces[j] = (a > 0).to(soft) + soft - soft.detach()
        for at in self._levels:
            a = out[:, at] - torch.log(-torch.log(u[:, at]))
            soft = torch.softmax(a / _TEMPERATURE, dim=1)
            level = nn.functional.one_hot(a.argmax(dim=1), soft.shape[1]).to(soft)
            for i, column in enumerate((level + soft - soft.detach()).unbind(dim=1)):
                pieces[at.start + i] = column
        return torch.stack(pieces, dim=1)

    def decode(self, z: Tensor, c: Tensor | None, generator: torch.Generator) -> Tensor:
        """Coded rows of latent points."""
        return self._cells(self._relaxed(z, c, generator))

    def sample(self, n: int, c: Tensor | None, generator: torch.Generator) -> Tensor:
        return self._cells(self.generate(n, c, generator, hard=True))

    def _cells(self, features: Tensor) -> Tensor:
        x = features.new_empty(len(features), len(self._kinds))
        for j, kind in enumerate(self._kinds):
            f = features[:, self.columns.features_of(j)]
            if kind == "categorical":
                x[:, j] = f.argmax(dim=1).to(x)
            elif kind == "binary":
                x[:, j] = (f[:, 0] > 0.5).to(x)
            else:
                v = f[:, 0] * self.columns.width[j].to(x) + self.columns.centre[j].to(x)
                x[:, j] = v.round() if kind == "integer" else v
        return x


class GAN(AdversarialModel):
    r"""A generative adversarial network: x = G(z) with z normal, against a discriminator D (Goodfellow et al. 2014).

    Levels of a category are drawn from a relaxed softmax, so that tables of mixed columns have gradients. There is no
    density: ``score_samples`` is a Parzen window over generated rows, an estimate.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(128, 128)
        Of both players.
    n_latent : int, default=32
    loss : {"non_saturating", "minimax", "least_squares", "wasserstein"}
    discriminator_steps : int
        Steps of the discriminator for one of the generator.
    discriminator_rate : float
        The discriminator's learning rate, in units of the generator's.
    label_smoothing : float
        Real rows are asked to be 1 less this (one-sided).
    gradient_penalty : float
        Weight of the penalty on the discriminator's slope: at real rows (R1), or between real and generated ones for the
        Wasserstein loss.
    averaging : float
        Of the generator's weights: the share that a step leaves of the running mean, which is what is kept.
    n_parzen : int
        Generated rows in the window of ``score_samples``.

    Attributes
    ----------
    history_ : dict of arrays
        Both losses, D on real and on generated rows, its accuracy on held-out rows (one half where it cannot tell), and the
        energy distance between held-out and generated rows, by which the kept weights are chosen.

    References
    ----------
    Goodfellow et al. (2014), "Generative adversarial nets"; Mescheder, Geiger & Nowozin (2018), "Which training methods for
    GANs do actually converge?"; Jang, Gu & Poole (2017), "Categorical reparameterization with Gumbel-softmax".

    Examples
    --------
    >>> import numpy as np
    >>> from skgen.models.implicit.gan import GAN
    >>> X = np.random.default_rng(0).normal(3, 0.5, (500, 2))
    >>> model = GAN(hidden_layer_sizes=(32, 32), n_latent=4, max_epochs=30, learning_rate=2e-3, random_state=0).fit(X)
    >>> bool((abs(model.sample(500).mean(axis=0) - 3) < 0.3).all())
    True
    """

    hidden_layer_sizes: tuple = (128, 128)

    quick = MappingProxyType({"hidden_layer_sizes": (16,), "n_latent": 4, "max_epochs": 3, "batch_size": 64, "n_parzen": 200})

    def _module(self, columns: Columns, n_classes: int) -> nn.Module:
        sizes = tuple(self.hidden_layer_sizes)
        if not sizes or any(isinstance(s, bool) or not isinstance(s, (int, np.integer)) or s < 1 for s in sizes):
            raise ValueError(f"hidden_layer_sizes={self.hidden_layer_sizes!r} must be a tuple of positive ints, one a layer.")
        return _Networks(columns, n_classes, self.n_latent, sizes)
