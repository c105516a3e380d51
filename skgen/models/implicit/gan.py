"""Generative adversarial network for tables."""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType

import torch
from torch import Tensor, nn

from skgen.learn.games import class_logit
from skgen.models.implicit._base import AdversarialModel, discriminator_layer
from skgen.models.implicit._table import TableFeatures
from skgen.tables import Columns

__all__ = ["GAN"]


def _layers(sizes: list[int], activation: nn.Module, spectral: bool = False) -> nn.Sequential:
    steps: list[nn.Module] = []
    for a, b in pairwise(sizes):
        steps += [discriminator_layer(nn.Linear(a, b), spectral), activation]
    return nn.Sequential(*steps[:-1])


class _Networks(nn.Module):
    """G(z, c) and D(x, c), each a perceptron.

    The class stands beside the input of either; or D has an output a class, and is not told which.
    """

    def __init__(
        self, columns: Columns, n_classes: int, n_latent: int, sizes: tuple, packing: int, tells_classes: bool, spectral: bool
    ):
        super().__init__()
        self.columns = TableFeatures(columns.kinds, columns.n_levels)
        self.n_latent, self.tells_classes = n_latent, tells_classes
        shown = self.columns.n_features + (0 if tells_classes else n_classes)
        self.generator = _layers([n_latent + n_classes, *sizes, self.columns.n_outputs], nn.ReLU())
        self.discriminator = _layers([packing * shown, *sizes, n_classes if tells_classes else 1], nn.LeakyReLU(0.2), spectral)

    def initialise(self, x: Tensor, weight: Tensor, c: Tensor | None) -> None:
        """Read the columns' modes."""
        self.columns.initialise(x, weight)

    def show(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """What the discriminator sees of coded rows."""
        return self.columns.show(x, generator)

    def compared(self, features: Tensor) -> Tensor:
        """Features in which rows are compared with generated ones."""
        return self.columns.compared(features)

    def heads(self, features: Tensor) -> Tensor:
        """The discriminator's outputs, one a class."""
        return self.discriminator(features)

    def judge(self, features: Tensor, c: Tensor | None) -> Tensor:
        """The discriminator's logit of "real" (and of class c), (n,)."""
        if self.tells_classes:
            return class_logit(self.heads(features), c)
        return self.discriminator(features if c is None else torch.cat([features, c], dim=1))[:, 0]

    def _outputs(self, z: Tensor, c: Tensor | None) -> Tensor:
        return self.generator(z if c is None else torch.cat([z, c], dim=1))

    def generate(self, n: int, c: Tensor | None, generator: torch.Generator) -> Tensor:
        """Features of G(z) for normal z."""
        like = self.generator[0].weight
        z = torch.randn(n, self.n_latent, generator=generator, dtype=torch.float64).to(like)
        return self.columns.relax(self._outputs(z, c), generator)

    def decode(self, z: Tensor, c: Tensor | None, generator: torch.Generator) -> Tensor:
        """Coded rows of latent points."""
        return self.columns.cells(self.columns.relax(self._outputs(z, c), generator))

    def sample(self, n: int, c: Tensor | None, generator: torch.Generator) -> Tensor:
        return self.columns.cells(self.generate(n, c, generator))

    def log_observation(self, x: Tensor, z: Tensor, c: Tensor | None, h: float) -> Tensor:
        """log p(x | z): levels and modes by their probabilities, numbers with normal noise of h widths of their mode."""
        return self.columns.log_prob(x, self._outputs(z, c), h)


class GAN(AdversarialModel):
    r"""A generative adversarial network: x = G(z) with z normal, against a discriminator D (Goodfellow et al. 2014).

    Levels of a category are drawn from a relaxed softmax, so that tables of mixed columns have gradients. There is no
    density: ``score_samples`` is a Parzen window over generated rows, an estimate.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int or int, default=(128, 128)
        Of both players.
    n_latent : int, default=32
    steps_per_epoch : int, default=20
        An epoch is one pass over the rows, or as many as make so many steps of the generator: a small table would else be judged,
        and given up, after a step or two.
    loss : {"non_saturating", "minimax", "least_squares", "wasserstein"}
    discriminator_steps : int
        Steps of the discriminator for one of the generator.
    discriminator_rate : float
        The discriminator's learning rate, in units of the generator's.
    label_smoothing : float
        Real rows are asked to be 1 less this (one-sided).
    gradient_penalty : float
        Weight of the penalty on the discriminator's slope: at real and at generated rows (R1, R2), or between them for the
        Wasserstein loss.
    spectral_norm : bool
        Divide each layer of the discriminator by its largest singular value.
    averaging : float
        Of the generator's weights: the share that a step leaves of the running mean, which is what is kept.
    packing : int
        Rows that the discriminator judges together; more than one finds out a generator that repeats itself.
    classifier : {"bayes", "discriminator"}
        Whence p(y | x): Bayes' rule on the densities of the classes, or the discriminator, which then has K + 1 classes, as it
        has where some rows have no label.
    density : {"parzen", "annealed"}
        What ``score_samples`` is. "parzen": kernels at ``n_parzen`` generated rows. "annealed": the integral over z of normal
        noise about G(z), by annealed importance sampling; nearer to the truth, and slow.
    n_parzen : int
        Generated rows a class.
    n_annealing : int
        Temperatures.

        These four are read by ``fit``: set later, they do nothing before the next one.

    Attributes
    ----------
    history_ : dict of arrays
        Both losses, D on real and on generated rows, its accuracy on rows to watch (one half where it cannot tell), and the
        energy distance between these and generated rows, by which the kept weights are chosen. The rows to watch are held out,
        but of a table with fewer than 3,000 rows, where they are too few, 300 are watched, most of them learnt from.


    References
    ----------
    Goodfellow et al. (2014), "Generative adversarial nets"; Mescheder, Geiger & Nowozin (2018), "Which training methods for
    GANs do actually converge?"; Jang, Gu & Poole (2017), "Categorical reparameterization with Gumbel-softmax".

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import GAN
    >>> X = np.random.default_rng(0).normal(3, 0.5, (500, 2))
    >>> model = GAN(hidden_layer_sizes=(32, 32), n_latent=4, max_epochs=30, learning_rate=2e-3, random_state=0).fit(X)
    >>> bool((abs(model.sample(500).mean(axis=0) - 3) < 0.3).all())
    True
    """

    hidden_layer_sizes: tuple | list | int = (128, 128)

    quick = MappingProxyType(
        {
            "hidden_layer_sizes": (32,),
            "n_latent": 4,
            "max_epochs": 1,
            "steps_per_epoch": 1,
            "batch_size": 64,
            "learning_rate": 4e-2,
            "gradient_penalty": 0.0,
            "n_parzen": 50,
            "classifier": "discriminator",
        }
    )

    def _module(self, columns: Columns, n_classes: int) -> nn.Module:
        sizes = self._widths("hidden_layer_sizes")
        return _Networks(
            columns, n_classes, self.n_latent, sizes, self._packed(n_classes), self._tells_classes(n_classes), self.spectral_norm
        )
