"""Networks with a code in the middle: encoders and decoders, dense and convolutional, and p(x | z) of a mixed table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from skgen.ops._conditional_kinds import LEAST_SCALE, log_scale
from skgen.ops.conditionals import Conditionals
from skgen.tables import Columns

__all__ = ["ACTIVATIONS", "ConvDecoder", "ConvEncoder", "Outputs", "TiedDecoder", "layer_table", "perceptron"]

_NARROW = 4.0  # floors: a scale below so many is at the floor
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "elu": nn.ELU, "silu": nn.SiLU}


def perceptron(sizes: Sequence[int], activation: str) -> nn.Sequential:
    """Linear layers between these widths, an activation after each but the last."""
    steps: list[nn.Module] = []
    for a, b in pairwise(sizes):
        steps += [nn.Linear(a, b), ACTIVATIONS[activation]()]
    return nn.Sequential(*steps[:-1])


def _halved(shape: tuple[int, int], times: int) -> list[tuple[int, int]]:
    """Height and width after 0, 1, ... convolutions of stride 2."""
    sizes = [shape]
    for _ in range(times):
        sizes.append(tuple((side + 1) // 2 for side in sizes[-1]))
    return sizes


class ConvEncoder(nn.Module):
    """Images (n, height * width * f), pixel by pixel, with ``n_extra`` more inputs that join after the convolutions."""

    def __init__(
        self, shape: tuple[int, int], n_inputs: int, n_extra: int, channels: Sequence[int], sizes: Sequence[int], activation: str
    ):
        super().__init__()
        self.shape, self.n_pixels = shape, n_inputs - n_extra
        f = self.n_pixels // (shape[0] * shape[1])
        steps: list[nn.Module] = []
        for a, b in pairwise([f, *channels]):
            steps += [nn.Conv2d(a, b, 3, stride=2, padding=1), ACTIVATIONS[activation]()]
        self.convolutions = nn.Sequential(*steps)
        height, width = _halved(shape, len(channels))[-1]
        self.head = perceptron([channels[-1] * height * width + n_extra, *sizes], activation)

    def forward(self, x: Tensor) -> Tensor:
        pixels = x[:, : self.n_pixels].reshape(len(x), *self.shape, -1).permute(0, 3, 1, 2)
        seen = self.convolutions(pixels).flatten(1)
        return self.head(torch.cat([seen, x[:, self.n_pixels :]], dim=1))


class ConvDecoder(nn.Module):
    """The way back: a perceptron, then upsampling and convolution up to the image, its outputs pixel by pixel."""

    def __init__(self, shape: tuple[int, int], n_outputs: int, channels: Sequence[int], sizes: Sequence[int], activation: str):
        super().__init__()
        self.sizes = _halved(shape, len(channels))[::-1]
        self.first = (channels[-1], *self.sizes[0])
        self.foot = perceptron([*sizes, int(np.prod(self.first))], activation)
        self.activation = ACTIVATIONS[activation]()
        widths = [*reversed(channels), n_outputs // (shape[0] * shape[1])]
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))

    def forward(self, z: Tensor) -> Tensor:
        h = self.foot(z).reshape(len(z), *self.first)
        for convolution, size in zip(self.convolutions, self.sizes[1:], strict=True):
            # upsampling and then a convolution leaves no chequerboard (Odena et al. 2016)
            h = convolution(nn.functional.interpolate(self.activation(h), size=size))
        return h.permute(0, 2, 3, 1).flatten(1)


class TiedDecoder(nn.Module):
    """A perceptron whose weights are those of an encoder, transposed: W_l' for W_l, with biases of its own.

    What it makes of a feature of the encoder goes to the output of the same level or mean; other outputs are constants.
    """

    def __init__(self, encoder: nn.Sequential, positions: np.ndarray, n_outputs: int, activation: str):
        super().__init__()
        self._layers = [layer for layer in encoder if isinstance(layer, nn.Linear)][::-1]  # not its own parameters
        self.biases = nn.ParameterList(torch.zeros(layer.in_features) for layer in self._layers[:-1])
        self.activation, self.n_outputs = ACTIVATIONS[activation](), n_outputs
        self.register_buffer("positions", torch.from_numpy(positions), persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        for i, layer in enumerate(self._layers):
            if i:
                z = self.activation(z + self.biases[i - 1])
            z = z @ layer.weight
        return z.new_zeros(len(z), self.n_outputs).index_copy(1, self.positions, z)


class Outputs(nn.Module):
    r"""p(x | z) = prod_j p(x_j | outputs_j), every column by its kind; outputs = what a decoder makes of z + biases.

    Parameters
    ----------
    columns : Columns
    n_mixture : int
        Components of a numeric column.
    scale : {"free", "column", "shared"}
        The scale of a numeric column given z: a function of z, one a column, or one for all columns of its kind (in widths of
        the column).
    astray : float
        See :class:`skgen.ops.conditionals.Conditionals`.

    Attributes
    ----------
    n_outputs : int
        What a decoder must give.
    """

    def __init__(self, columns: Columns, n_mixture: int, scale: str, astray: float):
        super().__init__()
        self.conditionals = Conditionals(columns.kinds, columns.n_levels, n_mixture, astray)
        P = self.conditionals.n_parameters
        # a bias each, but that scales may share one and the logit of a lone component does not matter
        own, made, shared = np.full(P, -1), np.zeros(P, dtype=bool), {}
        n_biases = 0
        for j, kind in enumerate(columns.kinds):
            numeric = kind in ("continuous", "integer")
            at = self.conditionals.parameters_of(j)
            for i in range(at.start, at.stop):
                part = (i - at.start) // n_mixture if numeric else 1
                if part == 0 and n_mixture == 1:
                    continue
                made[i] = part < 2 or scale == "free" or not numeric
                if part == 2 and scale == "shared":
                    key = kind, i - at.start
                    own[i] = shared.setdefault(key, n_biases)
                    n_biases += own[i] == n_biases
                else:
                    own[i] = n_biases
                    n_biases += 1
        self.bias = nn.Parameter(torch.zeros(n_biases))
        self._keep("own", np.where(own < 0, n_biases, own))  # the one after the last is 0
        self._keep("made", np.flatnonzero(made))
        self.n_outputs, self._all = int(made.sum()), bool(made.all())
        # columns that have their unit in common are seen and made in it: pixels
        kinds, units = np.array(columns.kinds), np.column_stack([columns.loc, columns.scale])
        alike = bool(columns.continuous.sum() > 1) and bool(
            (units == units[np.argmax(columns.continuous)])[columns.continuous].all()
        )
        self._tied = np.where((kinds == "continuous") & alike, -1, columns.group)

    def _keep(self, name: str, value: np.ndarray) -> None:
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value, dtype=np.int64)), persistent=False)

    def initialise(self, x: Tensor, weight: Tensor) -> None:
        """Biases at which every column has its marginal."""
        start = self.conditionals.initialise(x, weight, self._tied)
        total = torch.zeros(len(self.bias) + 1, dtype=start.dtype).index_add(0, self.own, start)
        count = torch.zeros_like(total).index_add(0, self.own, torch.ones_like(start))
        self.bias.copy_((total / count.clamp(min=1))[:-1])

    def means_of_features(self) -> np.ndarray:
        """For each feature of the columns, the place in a decoder's outputs of the mean or logit that belongs to it."""
        made, C = self.made.cpu().numpy(), self.conditionals.n_components
        places = []
        for j, kind in enumerate(self.conditionals.kinds):
            at = self.conditionals.parameters_of(j)
            places.extend([at.start + C] if kind in ("continuous", "integer") else range(at.start, at.stop))
        return np.searchsorted(made, places)

    def forward(self, made: Tensor) -> Tensor:
        """All parameters (n, P) of the columns from a decoder's outputs (n, n_outputs)."""
        bias = torch.cat([self.bias, self.bias.new_zeros(1)])[self.own]
        if self._all:
            return made + bias
        return bias.expand(len(made), -1).index_add(1, self.made, made.to(bias.dtype))  # half precision makes halves

    def narrow(self, parameters: Tensor) -> np.ndarray:
        """Continuous columns whose scale is at its floor for half of these rows or more, of parameters (n, P)."""
        C, found = self.conditionals.n_components, []
        for j in np.flatnonzero(np.array(self.conditionals.kinds) == "continuous"):
            share, _, raw = parameters[:, self.conditionals.parameters_of(int(j))].reshape(len(parameters), 3, C).unbind(1)
            raw = raw.gather(1, share.argmax(dim=1, keepdim=True))
            if (log_scale(raw) < math.log(_NARROW * LEAST_SCALE)).double().mean() >= 0.5:
                found.append(j)
        return np.array(found, dtype=int)

    def log_prob(self, x: Tensor, parameters: Tensor, cross_entropy: bool = False) -> Tensor:
        """log p(x | z) of the observed cells, (n, S), from rows (n, d) and parameters (n * S, P), a row's together; or minus
        the cross-entropy, for grey ones."""
        S = len(parameters) // max(len(x), 1)
        each = self.conditionals.log_prob(x if S == 1 else x.repeat_interleave(S, dim=0), parameters, cross_entropy)
        return each.sum(dim=1).reshape(len(x), S)


def layer_table(module: nn.Module) -> list[dict]:
    """A line a layer that has parameters of its own: name, what it is, its weights' shapes and their number."""
    lines = []
    for name, part in module.named_modules():
        own = list(part.parameters(recurse=False))
        if own:
            shapes = " ".join("x".join(map(str, p.shape)) for p in own)
            kind = type(part).__name__.removeprefix("_")
            lines.append({"layer": name or kind, "kind": kind, "shape": shapes, "parameters": sum(p.numel() for p in own)})
    return lines
