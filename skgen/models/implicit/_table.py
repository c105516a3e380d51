"""How a table is shown to a discriminator, and how a generator's outputs become rows: relaxed draws, and modes of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from skgen.ops._mixture_start import mixture_start, within_fences

__all__ = ["TableFeatures", "relaxed_draw"]

_TEMPERATURE = 0.3  # of relaxed categories
_CANDIDATES = (1, 2, 3, 5, 8)  # modes of a numeric column that are tried
_FAR = 20.0  # a numeric cell is shown within so many widths
_ATOM = 1e-5  # a mode narrower than so many widths is one repeated value


class TableFeatures(nn.Module):
    r"""Columns of any kind as inputs of a network, and back, with gradients.

    A numeric cell is shown three times: which mode of its column it comes from, its place in that mode, and its
    standardised value. Modes are the components of a Gaussian mixture of the column alone, as many as the Bayesian
    information criterion allows; the one of a cell is drawn from its posterior (the "mode-specific normalisation" of Xu et
    al. 2019, with a smooth joint of mode and place). So a generator makes sharp, separate modes by a discrete choice,
    which a continuous function of normal noise cannot. Levels, modes and binary cells are drawn, and have the gradient of
    their softmax (straight-through; Jang et al. 2017, Maddison et al. 2017).

    Parameters
    ----------
    kinds : sequence of str
    n_levels : sequence of int

    Attributes
    ----------
    n_features, n_outputs : int
        Inputs that show a row; outputs that a generator gives for one.
    """

    def __init__(self, kinds: Sequence[str], n_levels: Sequence[int]):
        super().__init__()
        kinds = np.asarray(list(kinds))
        self.n_columns, C = len(kinds), max(_CANDIDATES)
        self._numeric = np.flatnonzero(np.isin(kinds, ("continuous", "integer"))).tolist()
        self._binary = np.flatnonzero(kinds == "binary").tolist()
        self._levels = [(j, int(n_levels[j])) for j in np.flatnonzero(kinds == "categorical")]
        d, b, levels = len(self._numeric), len(self._binary), sum(k for _, k in self._levels)
        self._sizes = [d * C, d, d, b, *(k for _, k in self._levels)]
        self.n_features, self.n_outputs = sum(self._sizes), 2 * d * C + b + levels
        self._is_integer = kinds[self._numeric] == "integer"
        self.register_buffer("rounded", torch.from_numpy(self._is_integer.astype(np.float32)))
        for name, value in (("loc", 0.0), ("scale", 1.0), ("log_share", 0.0)):
            self.register_buffer(name, torch.from_numpy(np.full((d, C), value)))
        self.register_buffer("centre", torch.from_numpy(np.zeros(d)))
        self.register_buffer("width", torch.from_numpy(np.ones(d)))

    def initialise(self, x: Tensor, weight: Tensor) -> None:
        """Read the modes of the numeric columns."""
        X, w = x.double().cpu().numpy()[:, self._numeric], weight.double().cpu().numpy()
        if not X.shape[1]:
            return
        blur = self._is_integer / 12.0  # an integer is shown with the noise of its cell
        inside = np.column_stack([within_fences(column, w) for column in X.T])
        centre = np.average(inside, axis=0, weights=w)
        width = np.sqrt(np.average((inside - centre) ** 2, axis=0, weights=w) + blur)
        constant = np.flatnonzero(width == 0)
        width[constant] = 1.0
        best = np.full(len(centre), np.inf)
        for C in _CANDIDATES:
            share, mean, variance = mixture_start(inside, w, C, width)
            scale = np.sqrt(variance + blur[:, None])
            criterion = _information(inside, w, share, mean, np.maximum(scale, 1e-3 * width[:, None]))
            for j in np.flatnonzero(criterion < best):
                best[j] = criterion[j]
                for buffer, value, empty in zip(
                    (self.loc, self.scale, self.log_share),
                    (mean, scale, np.log(share)),
                    (centre[j], width[j], -np.inf),
                    strict=True,
                ):
                    buffer[j] = empty
                    buffer[j, :C] = torch.from_numpy(value[j])
        for j in constant:  # one mode without a width: what is drawn is the value
            self.loc[j], self.scale[j], self.log_share[j] = centre[j], _ATOM / 2, -np.inf
            self.log_share[j, 0] = 0.0
        self.centre.copy_(torch.from_numpy(centre))
        self.width.copy_(torch.from_numpy(width))

    # ---- rows as features

    def show(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Coded rows (n, d) as features (n, F); without a generator each cell in its likeliest mode."""
        pieces = []
        if self._numeric:
            value = x[:, self._numeric].to(self.loc)
            if generator is not None:
                value = value + self.rounded * (_uniform(value, generator) - 0.5)
            away = (value[..., None] - self.loc) / self.scale
            log_posterior = self.log_share - torch.log(self.scale) - 0.5 * away.square()
            mode = _hard(log_posterior if generator is None else log_posterior + _gumbel(away, generator))
            pieces += [mode.flatten(1), (away * mode).sum(dim=2), (value - self.centre) / self.width]
            pieces = [piece.clamp(-_FAR, _FAR) for piece in pieces]
        if self._binary:
            pieces.append(x[:, self._binary])
        pieces += [nn.functional.one_hot(x[:, j].long(), k) for j, k in self._levels]
        return torch.cat([piece.to(x.dtype) for piece in pieces], dim=1)

    def relax(self, out: Tensor, generator: torch.Generator) -> Tensor:
        """A generator's outputs (n, n_outputs) as features of one draw each."""
        n, (d, C) = len(out), self.loc.shape
        numbers, binary, *levels = out.split([2 * d * C, len(self._binary), *(k for _, k in self._levels)], dim=1)
        pieces = []
        if self._numeric:
            logits, places = numbers.reshape(n, 2, d, C).unbind(dim=1)
            mode = relaxed_draw(torch.where(torch.isinf(self.log_share), -torch.inf, logits), generator)
            place = (mode * places).sum(dim=2)
            loc, scale = (((mode * buffer.to(mode)).sum(dim=2)) for buffer in (self.loc, self.scale))
            value = (loc - self.centre.to(loc) + place * scale) / self.width.to(loc)
            pieces += [mode.flatten(1), place, value]
        if self._binary:
            on = relaxed_draw(torch.stack([binary, torch.zeros_like(binary)], dim=2), generator)
            pieces.append(on[..., 0])
        pieces += [relaxed_draw(logits, generator) for logits in levels]
        return torch.cat(pieces, dim=1)

    def compared(self, features: Tensor) -> Tensor:
        """Features without the places in the modes: what a distance between rows is measured in."""
        modes, _, *others = features.split(self._sizes, dim=1)
        return torch.cat([modes, *others], dim=1)

    def cells(self, features: Tensor) -> Tensor:
        """Features as coded rows (n, d)."""
        x = features.new_empty(len(features), self.n_columns, dtype=self.loc.dtype)
        modes, place, _, binary, *levels = features.split(self._sizes, dim=1)
        if self._numeric:
            mode = modes.reshape(len(features), *self.loc.shape).argmax(dim=2)[..., None]
            loc, scale = (a.expand(len(features), -1, -1).gather(2, mode)[..., 0] for a in (self.loc, self.scale))
            value = torch.where(scale < _ATOM * self.width, loc, loc + scale * place)
            x[:, self._numeric] = torch.where(self.rounded > 0, value.round(), value)
        x[:, self._binary] = (binary > 0.5).to(x)
        for (j, _), level in zip(self._levels, levels, strict=True):
            x[:, j] = level.argmax(dim=1).to(x)
        return x

    def log_prob(self, x: Tensor, out: Tensor, h: float) -> Tensor:
        """log p of coded rows (n,) given a generator's outputs, numbers with normal noise of h widths of their mode."""
        n, (d, C) = len(out), self.loc.shape
        numbers, binary, *levels = out.split([2 * d * C, len(self._binary), *(k for _, k in self._levels)], dim=1)
        log_p = out.new_zeros(n)
        if self._numeric:
            logits, places = numbers.reshape(n, 2, d, C).unbind(dim=1)
            log_share = torch.log_softmax(torch.where(torch.isinf(self.log_share), -torch.inf, logits), dim=2)
            scale = h * self.scale.to(out).clamp(min=1e-3 * float(self.width.min()))
            away = (x[:, self._numeric, None] - self.loc.to(out) - places * self.scale.to(out)) / scale
            log_normal = -0.5 * away.square() - torch.log(scale) - 0.5 * np.log(2 * np.pi)
            log_p = log_p + torch.logsumexp(log_share + log_normal, dim=2).sum(dim=1)
        if self._binary:
            sign = 1 - 2 * x[:, self._binary]
            log_p = log_p - nn.functional.softplus(sign * binary).sum(dim=1)
        for (j, _), logits in zip(self._levels, levels, strict=True):
            log_p = log_p + torch.log_softmax(logits, dim=1).gather(1, x[:, j : j + 1].long())[:, 0]
        return log_p


def _information(X: np.ndarray, w: np.ndarray, share: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The Bayesian information criterion of a mixture for each column."""
    log_p = np.log(share) - np.log(scale) - 0.5 * (((X[..., None] - mean) / scale) ** 2 + np.log(2 * np.pi))
    return (3 * share.shape[1] - 1) * np.log(w.sum()) - 2 * w @ np.logaddexp.reduce(log_p, axis=2)


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers in (0, 1), the same on every device."""
    u = torch.rand(like.shape, generator=generator, dtype=torch.float64)
    return u.clamp(1e-12, 1 - 1e-12).to(like.device)


def _gumbel(like: Tensor, generator: torch.Generator) -> Tensor:
    return (-torch.log(-torch.log(_uniform(like, generator)))).to(like.dtype)


def _hard(a: Tensor) -> Tensor:
    return nn.functional.one_hot(a.argmax(dim=-1), a.shape[-1]).to(a.dtype)


def relaxed_draw(logits: Tensor, generator: torch.Generator) -> Tensor:
    """One-hot draws with the gradient of the relaxed ones."""
    a = logits + _gumbel(logits, generator)
    soft = torch.softmax(a / _TEMPERATURE, dim=-1)
    return _hard(a) + soft - soft.detach()
