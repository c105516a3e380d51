"""Generative adversarial network for images: strided convolutions on both sides."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn

from skgen.learn.games import class_logit
from skgen.learn.gradient import Trained
from skgen.models.implicit._base import AdversarialModel, discriminator_layer
from skgen.models.implicit._table import relaxed_draw
from skgen.parameters import Interval
from skgen.reading import ColumnWarning, shape_of_images
from skgen.tables import Columns

__all__ = ["DCGAN"]

_WHITE = 0.01  # share of cells at an end of the range that makes it a colour
_MARGIN = 0.1  # of the range beyond the largest cell seen, which tanh would reach only far out
_MANY = 100  # columns, a square number of which are probably an image
_QUIET = 0.1  # least deviation of a pixel when rows are compared, as a share of that of all pixels


def _halving(side: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """A convolution that halves both sides; one of a single pixel stays."""
    return {
        "kernel_size": tuple(4 if s > 1 else 1 for s in side),
        "stride": tuple(2 if s > 1 else 1 for s in side),
        "padding": tuple(1 if s > 1 else 0 for s in side),
    }


class _Networks(nn.Module):
    """The architecture rules of Radford et al. (2016, section 3).

    Strided convolutions in place of pooling, no dense layers but the first of G and the last of D, batch normalisation in
    both but for G's output and D's input, ReLU and tanh in G, leaky ReLU in D.
    """

    def __init__(
        self,
        columns: Columns,
        shape: tuple[int, int, int],
        n_classes: int,
        n_latent: int,
        channels: tuple,
        packing: int,
        tells_classes: bool,
        spectral: bool,
    ):
        super().__init__()
        self.n_latent, self.tells_classes = n_latent, tells_classes
        self._shape, (height, width, depth) = shape, shape
        sides = [(height, width)]
        for _ in channels:
            sides.append((max(1, sides[-1][0] // 2), max(1, sides[-1][1] // 2)))
        kinds = np.asarray(list(columns.kinds))
        self._binary = bool((kinds == "binary").all())
        self.register_buffer("rounded", torch.from_numpy(np.isin(kinds, ("integer", "binary")).astype(np.float32)))
        self.register_buffer("most", torch.from_numpy(np.where(kinds == "binary", 1.0, np.inf)))
        # tanh is stretched to middle +- reach; pixels have those of their channel
        self._group = np.asarray(columns.group)
        self.register_buffer("middle", torch.from_numpy(np.full(len(kinds), 0.5)))
        self.register_buffer("reach", torch.from_numpy(np.full(len(kinds), 0.5)))
        self.register_buffer("spread", torch.from_numpy(np.ones(len(kinds))))

        widths = [*reversed(channels), depth]
        steps: list[nn.Module] = [
            nn.Linear(n_latent + n_classes, widths[0] * sides[-1][0] * sides[-1][1]),
            nn.Unflatten(1, (widths[0], *sides[-1])),
        ]
        for (a, b), small, large in zip(pairwise(widths), reversed(sides[1:]), reversed(sides[:-1]), strict=True):
            left = tuple((y - 2 * x) * (y > 1) for x, y in zip(small, large, strict=True))  # 1 where the side is odd
            steps += [nn.BatchNorm2d(a), nn.ReLU(), nn.ConvTranspose2d(a, b, output_padding=left, **_halving(large))]
        self.generator = nn.Sequential(*steps)

        judged: list[nn.Module] = []
        for i, ((a, b), side) in enumerate(zip(pairwise([packing * depth, *channels]), sides, strict=False)):
            judged.append(discriminator_layer(nn.Conv2d(a, b, **_halving(side)), spectral))
            judged += [nn.BatchNorm2d(b)] if i and not spectral else []
            judged.append(nn.LeakyReLU(0.2))
        seen = channels[-1] * sides[-1][0] * sides[-1][1]
        # the last layer has an output a class, and one that is added to all of them: a projection on the label
        outputs = n_classes if tells_classes else 1 + packing * n_classes
        self.discriminator = nn.Sequential(*judged, nn.Flatten(), discriminator_layer(nn.Linear(seen, outputs), spectral))

    def initialise(self, x: Tensor, weight: Tensor, c: Tensor | None) -> None:
        """Read the range of the pixels of each channel, which tanh is stretched to; a constant has none, and is kept."""
        for g in np.unique(self._group) if not self._binary and len(x) else ():
            own = torch.from_numpy(np.flatnonzero(self._group == g))
            cells = x[:, own].double()
            ends = [cells.min(), cells.max()]
            for i, away in ((0, ends[0] - ends[1]), (1, ends[1] - ends[0])):
                # black and white are ends of the range; where hardly a cell has that value, it is only the largest seen
                lonely = (cells == ends[i]).double().mean() < _WHITE
                ends[i] = ends[i] + _MARGIN * away if lonely else ends[i]
            self.middle[own], self.reach[own] = (ends[1] + ends[0]) / 2, (ends[1] - ends[0]) / 2
        if len(x):
            cells = self.show(x, None).flatten(1).double()
            spread = cells.std(dim=0, correction=0)
            least = _QUIET * cells.std(correction=0)
            # nothing varies in a single row
            self.spread.copy_(torch.sqrt(spread.square() + least**2) if least > 1e-6 else torch.ones_like(spread))

    def show(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Coded rows as images (n, channels, height, width) in [-1, 1]."""
        if generator is not None and not self._binary:
            noise = torch.rand(x.shape, generator=generator, dtype=torch.float64).to(x) - 0.5
            x = x + self.rounded.to(x) * noise  # else D would tell whole numbers from others
        t = (x - self.middle.to(x)) / self._unit(x)
        height, width, depth = self._shape
        return t.reshape(-1, height, width, depth).permute(0, 3, 1, 2)

    def compared(self, features: Tensor) -> Tensor:
        """Features in which rows are compared with generated ones, of about the weight of a class.

        Each pixel counts in units of its own deviation: else those at the rim, which are black in all rows, would not, and the
        early images of a generator, blurred and right on average, would look nearer than sharp ones.
        """
        return features.flatten(1) / (self.spread.to(features) * self.spread.numel() ** 0.5)

    def heads(self, features: Tensor) -> Tensor:
        """The discriminator's outputs, one a class."""
        return self.discriminator(features)

    def judge(self, features: Tensor, c: Tensor | None) -> Tensor:
        """The discriminator's logit of "real" (and of class c), (n,)."""
        out = self.discriminator(features)
        if self.tells_classes:
            return class_logit(out, c)
        # psi(phi(x)) + v_y' phi(x) (Miyato & Koyama 2018, eq. 3)
        return out[:, 0] if c is None else out[:, 0] + (out[:, 1:] * c).sum(dim=1)

    def _outputs(self, z: Tensor, c: Tensor | None) -> Tensor:
        return self.generator(z if c is None else torch.cat([z, c], dim=1))

    def _images(self, z: Tensor, c: Tensor | None, generator: torch.Generator) -> Tensor:
        out = self._outputs(z, c)
        if not self._binary:
            return torch.tanh(out)
        return 2 * relaxed_draw(torch.stack([out, torch.zeros_like(out)], dim=-1), generator)[..., 0] - 1

    def generate(self, n: int, c: Tensor | None, generator: torch.Generator) -> Tensor:
        """Images G(z) for normal z."""
        like = self.generator[0].weight
        z = torch.randn(n, self.n_latent, generator=generator, dtype=torch.float64).to(like)
        return self._images(z, c, generator)

    def decode(self, z: Tensor, c: Tensor | None, generator: torch.Generator) -> Tensor:
        """Coded rows of latent points."""
        return self._cells(self._images(z, c, generator))

    def sample(self, n: int, c: Tensor | None, generator: torch.Generator) -> Tensor:
        return self._cells(self.generate(n, c, generator))

    def _values(self, images: Tensor) -> Tensor:
        t = images.permute(0, 2, 3, 1).flatten(1)
        return self.middle.to(t) + t * self.reach.to(t)

    def _unit(self, like: Tensor) -> Tensor:
        return torch.where(self.reach > 0, self.reach, 1.0).to(like)

    def _cells(self, images: Tensor) -> Tensor:
        x = self._values(images)
        whole = torch.where(torch.isinf(self.most), x.round(), x.round().clamp(0, 1))
        return torch.where(self.rounded > 0, whole, x)

    def log_observation(self, x: Tensor, z: Tensor, c: Tensor | None, h: float) -> Tensor:
        """log p(x | z): Bernoulli pixels, or G(z) with normal noise of h half ranges."""
        out = self._outputs(z, c)
        if self._binary:
            logits = out.permute(0, 2, 3, 1).flatten(1)
            return -nn.functional.softplus((1 - 2 * x) * logits).sum(dim=1)
        scale = h * self._unit(x)
        away = (x - self._values(torch.tanh(out))) / scale
        return (-0.5 * away.square() - torch.log(scale) - 0.5 * np.log(2 * np.pi)).sum(dim=1)


class DCGAN(AdversarialModel):
    r"""A generative adversarial network of convolutions, for rows that are images (Radford, Metz & Chintala 2016).

    As :class:`GAN`, with strided convolutions and batch normalisation in both players. With labels the generator is told
    the class, and the discriminator sees a projection on it (Miyato & Koyama 2018).

    Parameters
    ----------
    image_shape : (height, width) or (height, width, channels)
        Of a row. None: one line of pixels.
    channels : tuple of int, default=(32, 64)
        Of the discriminator's convolutions, each of which halves the sides while there is more than a pixel;
        the generator has them in reverse.
    n_latent : int, default=32
    steps_per_epoch, loss, discriminator_steps, discriminator_rate, label_smoothing : as in GAN
    gradient_penalty, spectral_norm, averaging, packing : as in GAN
        With ``spectral_norm`` the discriminator has no batch normalisation.
    classifier, density, n_parzen, n_annealing : as in GAN

    Attributes
    ----------
    history_ : dict of arrays
        As in :class:`GAN`.

    References
    ----------
    Radford, Metz & Chintala (2016), "Unsupervised representation learning with deep convolutional generative adversarial
    networks"; Miyato & Koyama (2018), "cGANs with projection discriminator".

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgen import DCGAN
    >>> X = load_digits().data[load_digits().target == 0].astype(int)
    >>> model = DCGAN(image_shape=(8, 8), channels=(8, 16), learning_rate=2e-3, max_epochs=30, random_state=0).fit(X)
    >>> model.sample(3).shape
    (3, 64)
    """

    image_shape: tuple | list | None = None
    channels: tuple | list | int = (32, 64)
    learning_rate: Annotated[float, Interval(0, open_low=True)] = 5e-4
    gradient_penalty: Annotated[float, Interval(0)] = 0.0

    kinds = frozenset({"continuous", "integer", "binary"})
    quick = MappingProxyType(
        {
            "channels": (16,),
            "n_latent": 4,
            "max_epochs": 1,
            "steps_per_epoch": 8,
            "batch_size": 128,
            "learning_rate": 5e-3,
            "discriminator_rate": 8.0,
            "n_parzen": 50,
            "classifier": "discriminator",
        }
    )

    def _module(self, columns: Columns, n_classes: int) -> nn.Module:
        channels = self._widths("channels")
        shape = self._image(len(columns))
        packing, tells_classes = self._packed(n_classes), self._tells_classes(n_classes)
        return _Networks(columns, shape, n_classes, self.n_latent, channels, packing, tells_classes, self.spectral_norm)

    def _learn(self, *args: Any, **how: Any) -> Trained:
        d = len(self.columns_)
        if self.image_shape is None and d >= _MANY and math.isqrt(d) ** 2 == d:
            side = math.isqrt(d)
            warnings.warn(
                f"Without image_shape a row of {d} columns is one line of pixels: if rows are images, give "
                f"image_shape=({side}, {side}).",
                ColumnWarning,
                stacklevel=2,
            )
        return super()._learn(*args, **how)

    def _image(self, d: int) -> tuple[int, int, int]:
        """Height, width and channels; one line of pixels if no shape is given."""
        if self.image_shape is None:
            return 1, d, 1
        return shape_of_images(self.image_shape)
