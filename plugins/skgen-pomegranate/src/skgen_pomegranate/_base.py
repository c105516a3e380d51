"""What both adapters need: a pomegranate object made of arrays, draws by a NumPy generator, and tensors."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch

from skgen import GenerativeModel

__all__ = ["FAILURES", "Adapter", "draw", "whole"]

# apricot, which pomegranate imports, has numba start its threads, and that gives torch as many as there are cores: small
# tensors then take a hundred times as long. So that the import leaves the process as it was:
_THREADS = torch.get_num_threads()
importlib.import_module("pomegranate.hmm")
torch.set_num_threads(_THREADS)

#: What pomegranate and torch raise where an estimate breaks down.
FAILURES = (ValueError, IndexError, RuntimeError)  # torch's LinAlgError is a RuntimeError


class Adapter(GenerativeModel):
    """A model that keeps what pomegranate learnt as arrays, and pomegranate's object beside them while it lives.

    Copies, pickles and files hold the arrays alone: the object is made of them again, bit for bit, at the first question.
    """

    def _make(self) -> Any:
        """The pomegranate object that the arrays describe, in double precision."""
        raise NotImplementedError

    @property
    def _object(self) -> Any:
        # dict.setdefault is one step, so that threads come to use the same object
        made = vars(self).get("_made")
        return vars(self).setdefault("_made", self._make()) if made is None else made

    def _forget(self) -> None:
        """The arrays have changed."""
        vars(self).pop("_made", None)

    def __getstate__(self) -> dict:
        return {key: one for key, one in super().__getstate__().items() if key != "_made"}


def whole(X: np.ndarray) -> torch.Tensor:
    """Codes as the integers that pomegranate indexes its tables with."""
    return torch.from_numpy(np.ascontiguousarray(X, dtype=np.int64))


def draw(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One level for each row of probabilities, by the inverse of their sums.

    pomegranate's own ``sample`` draws from the global generator of torch, and calls it for each cell.

    Parameters
    ----------
    p : array of shape (n, k)
        Rows sum to one up to single precision.
    rng : Generator

    Returns
    -------
    int array of shape (n,)
    """
    cumulative = p.cumsum(axis=1)
    u = rng.random(len(p)) * cumulative[:, -1]
    return np.minimum((cumulative <= u[:, None]).sum(axis=1), p.shape[1] - 1)
