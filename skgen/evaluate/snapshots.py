"""What a network draws while it learns: the same noise at chosen epochs, so that the pictures can be compared."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from numbers import Integral
from typing import Any

__all__ = ["Snapshots"]


def _counts(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and value > 0


class Snapshots:
    """A callback that draws rows after chosen epochs, each time from the same noise, and leaves the fit bit-identical.

    Parameters
    ----------
    epochs : int or iterable of int
        Counted from 1.
    n_samples : int
        Rows a draw.
    y : None, label or array-like of shape (n_samples,)
        The class of the rows, or a label a row, where the model is fitted with y. None draws from all classes.
    random_state : int
        Seed of the noise.

    Attributes
    ----------
    samples_ : dict
        {epoch: rows}, in the container that was given to ``fit``; of the latest fit.

    Notes
    -----
    Follows scikit-learn's ``FitCallback`` protocol (experimental in 1.9). Models that train by epochs call it: those that
    derive from :class:`skgen.NeuralModel`; with ``class_conditional="separate"`` and several classes there is no whole
    model before the last epoch, and nothing is drawn.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> import skgen
    >>> seen = skgen.Snapshots(epochs=(1, 5), n_samples=3)
    >>> model = skgen.MADE(hidden_layer_sizes=(8,), n_components=1, max_epochs=5, random_state=0)
    >>> _ = model.set_callbacks(seen).fit(load_iris().data)
    >>> {epoch: rows.shape for epoch, rows in seen.samples_.items()}
    {1: (3, 4), 5: (3, 4)}
    """

    def __init__(self, epochs: int | Iterable[int] = (1, 10, 25), n_samples: int = 100, *, y: Any = None, random_state: int = 0):
        self.epochs = (epochs,) if isinstance(epochs, Integral) else tuple(epochs)
        self.n_samples, self.y, self.random_state = n_samples, y, random_state
        if not all(map(_counts, self.epochs)):
            raise ValueError(f"epochs={self.epochs} must be whole numbers from 1 on.")
        if not _counts(n_samples):
            raise ValueError(f"n_samples={n_samples!r} must be a whole number from 1 on.")

    def setup(self, estimator: Any, context: Any) -> None:
        """A fit begins."""
        self.samples_: dict[int, Any] = {}

    def teardown(self, estimator: Any, context: Any) -> None:
        """A fit has ended."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """An epoch begins."""

    def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any = None) -> None:
        """Draw, if this is the end of one of the epochs asked for."""
        epoch = context.task_id + 1
        if context.task_name != "epoch" or epoch not in self.epochs or fitted_estimator is None:
            return
        model = copy.copy(fitted_estimator)
        self.samples_[epoch] = model.sample(self.n_samples, y=self.y, random_state=self.random_state)
