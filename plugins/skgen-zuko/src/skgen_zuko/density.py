"""p(x) of a table as a torch module: a lazy flow of zuko for what is numeric, given what is discrete."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from zuko.flows import GeneralCouplingTransform, MaskedAutoregressiveTransform
from zuko.lazy import LazyDistribution
from zuko.nn import MaskedMLP

from skgen import Columns

__all__ = ["TableDensity"]

_LOG_TWO_PI = math.log(2 * math.pi)
_LEAST_SCALE = 0.05  # of a column within a class, in standard deviations over all rows, at the start


class TableDensity(nn.Module):
    r"""p(x | y) = prod_j p(x_j | x_<j, y) over discrete columns j, times p(numeric columns | discrete columns, y).

    The first factors are softmaxes of a masked network; the second is a normalizing flow whose context is the discrete
    columns and the class, one-hot: for z = f(x; context) ~ N(0, I), log p(x) = log N(z; 0, I) + log |det df/dx|.

    Parameters
    ----------
    columns : Columns
    n_classes : int
    hidden : tuple of int
        Widths of the network of the discrete columns.
    flow : callable(n_features, n_context) -> zuko.lazy.LazyDistribution
    """

    def __init__(self, columns: Columns, n_classes: int, hidden: tuple[int, ...], flow: Callable[..., LazyDistribution]):
        super().__init__()
        levels = np.asarray(columns.n_levels)
        self.discrete, self.numeric = np.flatnonzero(levels > 0).tolist(), np.flatnonzero(levels == 0).tolist()
        self.levels = levels[self.discrete].tolist()
        rows = max(1, n_classes)
        n_shown, d = sum(self.levels), len(self.numeric)
        if self.discrete:
            self.bias = nn.Parameter(torch.zeros(rows, n_shown))
        if len(self.discrete) > 1:
            owner = torch.repeat_interleave(torch.arange(len(self.levels)), torch.tensor(self.levels))
            of_class = torch.ones(n_shown, n_classes, dtype=torch.bool)
            self.logits = MaskedMLP(torch.cat([owner[:, None] > owner, of_class], dim=1), hidden)
        if self.numeric:
            self.loc = nn.Parameter(torch.zeros(rows, d))
            self.log_scale = nn.Parameter(torch.zeros(rows, d))
            self.flow = flow(d, n_shown + n_classes)

    #: log p of a row does not depend on the others: all classes are scored in one pass.
    stacks_classes = True

    @torch.no_grad()
    def initialise(self, x: Tensor, weight: Tensor, c: Tensor | None) -> None:
        """Start as naive Bayes: independent columns, given the class; the flow is the identity."""
        by_class = weight[:, None] if c is None else torch.nan_to_num(c) * weight[:, None]  # (n, K)
        share = by_class / by_class.sum(0).clamp_min(1e-9)
        at = 0
        for j, size in zip(self.discrete, self.levels, strict=True):
            counts = by_class.T @ one_hot(x[:, j].long(), size).to(by_class)  # (K, L)
            self.bias[:, at : at + size] = torch.log((counts + 1) / (counts + 1).sum(1, keepdim=True))
            at += size
        if len(self.discrete) > 1:
            _zero_last(self.logits)
        if self.numeric:
            z = x[:, self.numeric]
            mean = share.T @ z
            self.loc.copy_(mean)
            self.log_scale.copy_(torch.log((share.T @ z.square() - mean.square()).clamp_min(_LEAST_SCALE**2)) / 2)
            for part in self.flow.transform.modules():
                if isinstance(part, (MaskedAutoregressiveTransform, GeneralCouplingTransform)):
                    _zero_last(part.hyper)

    def log_prob(self, x: Tensor, c: Tensor | None) -> Tensor:
        """(n,) nats of coded rows (n, d); ``c`` is (n, K) one-hot or None."""
        shown = [one_hot(x[:, j].long(), size).to(x) for j, size in zip(self.discrete, self.levels, strict=True)]
        total = x.new_zeros(len(x))
        if self.discrete:
            logits = self._logits(torch.cat(shown, dim=1), c)
            for cells, part in zip(shown, logits.split(self.levels, dim=1), strict=True):
                total = total + (cells * torch.log_softmax(part, dim=1)).sum(1)
        if self.numeric:
            # z = (x - loc_y) / scale_y goes through the flow
            log_scale = _of_class(self.log_scale, c)
            z = (x[:, self.numeric] - _of_class(self.loc, c)) * torch.exp(-log_scale)
            z, log_abs_det_jacobian = self.flow.transform(_context(shown, c)).call_and_ladj(z)
            # log N(z; 0, I) + log |det dz/dx|; the flow's own log_prob has the same, and checks its arguments each time
            total = total - 0.5 * (z.square() + _LOG_TWO_PI).sum(-1) + log_abs_det_jacobian - log_scale.sum(-1)
        return total

    def sample(self, n: int, c: Tensor | None, generator: torch.Generator) -> Tensor:
        """n coded rows, (n, d): the discrete columns one after the other, then the numeric ones through the inverse flow."""
        like = self.bias if self.discrete else self.loc
        out, shown = like.new_zeros(n, len(self.discrete) + len(self.numeric)), []
        for k, (j, size) in enumerate(zip(self.discrete, self.levels, strict=True)):
            blank = [like.new_zeros(n, rest) for rest in self.levels[k:]]  # those to come are masked
            part = self._logits(torch.cat([*shown, *blank], dim=1), c).split(self.levels, dim=1)[k]
            upto = torch.softmax(part, dim=1).expand(n, size).cumsum(1)[:, :-1].contiguous()
            u = torch.rand(n, 1, generator=generator, dtype=torch.float64).to(like)
            out[:, j] = torch.searchsorted(upto, u, right=True)[:, 0].to(out)
            shown.append(one_hot(out[:, j].long(), size).to(out))
        if self.numeric and n:
            # the flow's own sample() would draw from torch's global generator
            noise = torch.randn(n, len(self.numeric), generator=generator, dtype=torch.float64).to(like)
            z = self.flow.transform(_context(shown, c)).inv(noise)
            out[:, self.numeric] = z * torch.exp(_of_class(self.log_scale, c)) + _of_class(self.loc, c)
        return out

    def n_free(self) -> int:
        """Weights that no mask holds at zero."""
        masked = sum(int((~part.mask).sum()) for part in self.modules() if hasattr(part, "mask") and hasattr(part, "weight"))
        return sum(p.numel() for p in self.parameters()) - masked

    def _logits(self, shown: Tensor, c: Tensor | None) -> Tensor:
        bias = _of_class(self.bias, c)
        if len(self.discrete) == 1:
            return bias
        return bias + self.logits(shown if c is None else torch.cat([shown, c], dim=1))


def _of_class(parameter: Tensor, c: Tensor | None) -> Tensor:
    """The row of each row's class, (n, m); (1, m) without classes."""
    return parameter if c is None else c @ parameter


def _context(shown: list[Tensor], c: Tensor | None) -> Tensor | None:
    """What the flow is given: the discrete columns and the class, one-hot."""
    given = shown if c is None else [*shown, c]
    return torch.cat(given, dim=1) if given else None


def _zero_last(network: nn.Sequential) -> None:
    """A network whose outputs are all zero, until it learns."""
    nn.init.zeros_(network[-1].weight)
    nn.init.zeros_(network[-1].bias)
