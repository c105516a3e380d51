"""Rows whose class is known, given by probabilities, or not known at all: one loss for a network of all classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from skgen.learn.gradient import Rows

__all__ = ["labelled_loss", "one_hot", "shares", "to_rows"]


_LEAST = float(np.finfo(np.float32).tiny)


def labelled_loss(share: np.ndarray | None) -> Callable:
    """-log p(x|y) of rows with a label, its mean where p(y) is given, -log sum_y p(y) p(x|y) where c is NaN."""

    def each(module: nn.Module, x: torch.Tensor, c: Any, generator: torch.Generator, progress: float) -> torch.Tensor:
        if hasattr(module, "loss"):
            return module.loss(x, c, generator, progress)
        return -module.log_prob(x, c)

    def loss(module: nn.Module, rows: Rows, generator: torch.Generator, progress: float) -> torch.Tensor:
        if rows.c is None:
            return each(module, rows.x, None, generator, progress)
        sure = rows.c.amax(dim=1) > 1 - 1e-6  # false for NaN
        if bool(sure.all()):
            return each(module, rows.x, rows.c, generator, progress)
        out = torch.zeros_like(rows.w)
        if bool(sure.any()):
            out[sure] = each(module, rows.x[sure], rows.c[sure], generator, progress)
        x, c, K = rows.x[~sure], rows.c[~sure], rows.c.shape[1]
        by_class = torch.stack([each(module, x, one_hot(x, k, K), generator, progress) for k in range(K)], dim=1)
        log_prior = torch.log(torch.as_tensor(share, dtype=x.dtype, device=x.device))
        unknown = torch.isnan(c[:, :1])
        mean = (torch.where(unknown, 0.0, c) * by_class).sum(dim=1)
        out[~sure] = torch.where(unknown[:, 0], -torch.logsumexp(log_prior - by_class, dim=1), mean)
        return out

    return loss


def one_hot(x: torch.Tensor, k: int, n_classes: int) -> torch.Tensor:
    """Labels (n, n_classes) of as many rows of class k as x has, with its dtype and device."""
    c = torch.zeros(len(x), n_classes, dtype=x.dtype, device=x.device)
    c[:, k] = 1.0
    return c


def shares(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p(class | row) and row weights."""
    total = weights.sum(axis=1)
    return weights / total[:, None], total


def to_rows(X: np.ndarray, c: np.ndarray | None, weight: np.ndarray) -> Rows:
    """Tensors of float32, weights of mean one; without rows whose weight is too small for a float32."""

    def tensor(a: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(a, dtype=np.float32))

    share = weight / weight.mean()
    if share.min() < _LEAST:
        keep = share >= _LEAST
        X, c, share = X[keep], None if c is None else c[keep], share[keep]
    return Rows(tensor(X), None if c is None else tensor(c), tensor(share))
