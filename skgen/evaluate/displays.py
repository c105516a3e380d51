"""Pictures, by scikit-learn's convention for displays; matplotlib (the extra ``plot``) is imported when one is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["HistoryDisplay"]


_SHOWN = (
    ("train_loss", "training"),
    ("valid_loss", "held out"),
    ("generator_loss", "generator"),
    ("discriminator_loss", "discriminator"),
    ("energy_distance", "energy distance to held-out rows"),
)


class HistoryDisplay:
    """The losses of a training, epoch by epoch; of two players, both losses and the distance of generated rows.

    Parameters
    ----------
    history : dict of arrays
        ``history_`` of a model: "epoch", "train_loss" and, with rows held out, "valid_loss"; or "generator_loss",
        "discriminator_loss" and "energy_distance".
    name : str, optional
        Of the model.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        Training first.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgen import MADE
    >>> from skgen.evaluate.displays import HistoryDisplay
    >>> model = MADE(hidden_layer_sizes=(8,), n_components=1, max_epochs=5, random_state=0).fit(load_iris().data)
    >>> display = HistoryDisplay.from_estimator(model)  # doctest: +SKIP
    """

    def __init__(self, history: dict[str, np.ndarray], *, name: str | None = None):
        self.history, self.name = history, name

    @classmethod
    def from_estimator(cls, model: Any, *, ax: Axes | None = None, **kwargs: Any) -> HistoryDisplay:
        """Draw the training of a fitted model.

        Parameters
        ----------
        model : estimator with ``history_``
        ax : matplotlib Axes, optional
            None makes a new figure.
        **kwargs
            For matplotlib's ``plot``, both lines.

        Returns
        -------
        HistoryDisplay

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If it keeps no history of its training.
        ImportError
            Without matplotlib, saying what to install.
        """
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(model)
        history = getattr(model, "history_", None)
        if history is None or not {"train_loss", "generator_loss"} & set(history):
            raise ValueError(
                f"{type(model).__name__} has no history_ of one training: give a model trained by epochs, such as made, or with "
                "class_conditional='separate' one of its densities_."
            )
        return cls(history, name=type(model).__name__).plot(ax=ax, **kwargs)

    def plot(self, *, ax: Axes | None = None, **kwargs: Any) -> HistoryDisplay:
        """Draw on ``ax``, or on a new figure.

        Returns
        -------
        self
        """
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError('HistoryDisplay draws with matplotlib: pip install "skgen[plot]".') from error

        if ax is None:
            _, ax = plt.subplots()
        self.lines_ = []
        for key, label in _SHOWN:
            values = self.history.get(key)
            if values is not None and not np.isnan(values).all():
                self.lines_ += ax.plot(self.history["epoch"], values, **{"label": label, **kwargs})
        ax.set(xlabel="epoch", ylabel="loss (nats a row, coded units)" if "train_loss" in self.history else "loss", title=self.name)
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self
