"""Pictures of codes and of rows that are images, by scikit-learn's convention for displays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from skgen.evaluate.codes import as_rows, decode, encode

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LatentManifoldDisplay", "LatentScatterDisplay", "ReconstructionDisplay", "SampleGridDisplay"]

_INCHES, _LARGEST, _MARGIN = 0.7, 10.0, 0.8  # a tile, a picture, and what is around it


class _Tiles:
    """Images side by side."""

    images: np.ndarray
    n_columns: int
    title: str | None = None

    def plot(self, *, ax: Axes | None = None, **kwargs: Any) -> Any:
        """Draw on ``ax``, or on a new figure.

        Parameters
        ----------
        ax : matplotlib Axes, optional
        **kwargs
            For matplotlib's ``imshow``.

        Returns
        -------
        self
        """
        ax = _axes(ax, type(self).__name__, self._size())
        grey = self.images.ndim == 3
        low, high = (float(f(self.images)) for f in (np.nanmin, np.nanmax))
        tiles = tile(self.images, self.n_columns, fill=low)
        if not grey and high > low:
            tiles = (tiles - low) / (high - low)
        how = {"cmap": "gray", "vmin": low, "vmax": high} if grey else {}
        self.image_ = ax.imshow(tiles, **{**how, "interpolation": "nearest", **kwargs})
        ax.set_axis_off()
        ax.set_title(self.title)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _size(self) -> tuple[float, float]:
        """Of a new figure, inches: a tile is seen, whatever the number of them."""
        height, width = self.images.shape[1:3]
        lines = -(-len(self.images) // self.n_columns)
        inches = np.array([self.n_columns * width, lines * height]) * _INCHES / max(height, width)
        return tuple(inches * min(1, _LARGEST / inches.max()) + _MARGIN)


class SampleGridDisplay(_Tiles):
    """Generated rows as images, side by side.

    Parameters
    ----------
    images : array of shape (n, height, width) or (n, height, width, 3)
    n_columns : int, optional
        Images a line; default: a square.
    title : str, optional

    Attributes
    ----------
    ax_, figure_, image_ : of matplotlib

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgen import NaiveBayes
    >>> from skgen.evaluate import SampleGridDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> model = NaiveBayes().fit(X.astype(int), y)
    >>> display = SampleGridDisplay.from_estimator(model, image_shape=(8, 8))  # doctest: +SKIP
    """

    def __init__(self, images: np.ndarray, *, n_columns: int | None = None, title: str | None = None):
        self.images, self.title = np.asarray(images, dtype=float), title
        self.n_columns = int(np.ceil(np.sqrt(len(self.images)))) if n_columns is None else n_columns

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        *,
        n_samples: int = 10,
        image_shape: tuple[int, ...] | None = None,
        random_state: Any = 0,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> SampleGridDisplay:
        """Draw ``n_samples`` rows of each class, a line a class; of a model without classes, as many lines of as many rows."""
        _check_count("n_samples", n_samples, 1)
        if not hasattr(model, "sample"):
            raise ValueError(f"{type(model).__name__} draws no rows: give a model with sample, or rows to from_rows.")
        if "classes_" in vars(model):
            classes = [c for c, p in zip(model.classes_, model.class_log_prior_, strict=True) if np.isfinite(p)]
            rows = np.concatenate([_cells(model.sample(n_samples, y=c, random_state=random_state)) for c in classes])
        else:
            rows = _cells(model.sample(n_samples**2, random_state=random_state))
        how = {"n_columns": n_samples, **kwargs}
        return cls.from_rows(rows, image_shape=_shape(model, image_shape), ax=ax, **how)

    @classmethod
    def from_rows(
        cls, X: Any, *, image_shape: tuple[int, ...], n_columns: int | None = None, ax: Axes | None = None, **kwargs: Any
    ) -> SampleGridDisplay:
        """Draw given rows, such as those of :class:`skgen.Snapshots`."""
        return cls(_images(X, image_shape), n_columns=n_columns).plot(ax=ax, **kwargs)


class ReconstructionDisplay(_Tiles):
    """Rows that are images above what the model makes of their codes.

    Parameters
    ----------
    given, made : arrays of shape (n, height, width) or (n, height, width, 3)
    n_columns : int, default=10

    Attributes
    ----------
    ax_, figure_, image_ : of matplotlib
    """

    def __init__(self, given: np.ndarray, made: np.ndarray, *, n_columns: int = 10):
        self.given, self.made, self.n_columns = np.asarray(given, dtype=float), np.asarray(made, dtype=float), n_columns
        lines = []
        for start in range(0, len(self.given), n_columns):
            for part in (self.given[start : start + n_columns], self.made[start : start + n_columns]):
                rest = np.full((n_columns - len(part), *part.shape[1:]), np.nan)
                lines.append(np.concatenate([part, rest]))
        self.images = np.concatenate(lines)

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        X: Any,
        *,
        y: Any = None,
        image_shape: tuple[int, ...] | None = None,
        n_columns: int = 10,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> ReconstructionDisplay:
        """Encode and decode the rows of ``X``."""
        _check_count("n_columns", n_columns, 1)
        X = as_rows(X)
        by_itself = y is None and hasattr(model, "reconstruct")  # with classes, by the predicted ones
        made = model.reconstruct(X) if by_itself else decode(model, encode(model, X, y), y)
        shape = _shape(model, image_shape)
        return cls(_images(X, shape), _images(made, shape), n_columns=min(n_columns, len(X))).plot(ax=ax, **kwargs)


class LatentManifoldDisplay(_Tiles):
    """What is decoded from a grid of two codes.

    Parameters
    ----------
    images : array of shape (n * n, height, width) or (n * n, height, width, 3)
    n_columns : int
    components : pair of int

    Attributes
    ----------
    ax_, figure_, image_ : of matplotlib
    """

    def __init__(self, images: np.ndarray, *, n_columns: int, components: tuple[int, int] = (0, 1)):
        self.images, self.n_columns, self.components = np.asarray(images, dtype=float), n_columns, components

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        X: Any = None,
        *,
        y: Any = None,
        components: tuple[int, int] = (0, 1),
        n: int = 15,
        image_shape: tuple[int, ...] | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> LatentManifoldDisplay:
        """Decode n x n codes, the second component upwards.

        Parameters
        ----------
        model : fitted estimator with ``transform`` and ``inverse_transform``
        X : array or data frame, optional
            Rows whose codes say how far the grid reaches: from their 2 to their 98 % quantile, other codes at the median.
            None: the quantiles of a standard normal, as befits vae, and other codes at 0.
        y : label, optional
            The class, where the codes depend on one.
        components : pair of int
        n : int
        image_shape : tuple, optional
            Default: the model's.
        """
        _check_count("n", n, 2)
        u = np.linspace(0.02, 0.98, n)
        if X is None:
            q = getattr(model, "n_components", None)
            if not isinstance(q, (int, np.integer)):
                raise ValueError(f"{type(model).__name__} does not tell how many codes it has: give rows X.")
            axes, middle = (ndtri(u), ndtri(u)), np.zeros(int(q))
        else:
            Z = encode(model, X, y)
            axes = [np.linspace(*np.quantile(Z[:, c], [0.02, 0.98]), n) for c in components]
            middle = np.median(Z, axis=0)
        if len(set(components)) != 2 or not all(0 <= c < len(middle) for c in components):
            raise ValueError(f"components={components!r} must be two of the {len(middle)} codes, counted from 0.")
        codes = np.tile(middle, (n * n, 1))
        codes[:, components[0]] = np.tile(axes[0], n)
        codes[:, components[1]] = np.repeat(axes[1][::-1], n)
        images = _images(decode(model, codes, y), _shape(model, image_shape))
        return cls(images, n_columns=n, components=components).plot(ax=ax, **kwargs)


class LatentScatterDisplay:
    """Two codes of rows, coloured by class.

    Parameters
    ----------
    codes : array of shape (n, 2)
    labels : array of shape (n,), optional
    components : pair of int

    Attributes
    ----------
    ax_, figure_ : of matplotlib
    points_ : list of matplotlib PathCollection
        One a class.
    """

    def __init__(self, codes: np.ndarray, labels: np.ndarray | None = None, *, components: tuple[int, int] = (0, 1)):
        self.codes, self.labels, self.components = codes, labels, components

    @classmethod
    def from_estimator(
        cls, model: Any, X: Any, y: Any = None, *, components: tuple[int, int] = (0, 1), ax: Axes | None = None, **kwargs: Any
    ) -> LatentScatterDisplay:
        """Encode the rows of ``X``; ``y`` only colours them."""
        Z = encode(model, X)
        if len(set(components)) != 2 or not all(0 <= c < Z.shape[1] for c in components):
            raise ValueError(f"components={components!r} must be two of the {Z.shape[1]} codes, counted from 0.")
        labels = None if y is None else np.asarray(y)
        if labels is not None and labels.shape != (len(Z),):
            raise ValueError(f"y has shape {labels.shape} for {len(Z)} rows: give one label a row.")
        return cls(Z[:, list(components)], labels, components=components).plot(ax=ax, **kwargs)

    def plot(self, *, ax: Axes | None = None, **kwargs: Any) -> LatentScatterDisplay:
        """Draw on ``ax``, or on a new figure; ``kwargs`` are for matplotlib's ``scatter``."""
        ax, how = _axes(ax, type(self).__name__), {"s": 8, **kwargs}
        if self.labels is None:
            self.points_ = [ax.scatter(*self.codes.T, **how)]
        else:
            known = ~pd.isna(self.labels)
            own = [(c, self.codes[known & (self.labels == c)]) for c in np.unique(self.labels[known])]
            own += [] if known.all() else [("no label", self.codes[~known])]
            self.points_ = [ax.scatter(*codes.T, **{"label": str(c), **how}) for c, codes in own]
            ax.legend()
        ax.set(xlabel=f"code {self.components[0]}", ylabel=f"code {self.components[1]}")
        self.ax_, self.figure_ = ax, ax.figure
        return self


def tile(images: np.ndarray, n_columns: int, fill: float = 0.0) -> np.ndarray:
    """Images (n, height, width, ...) side by side in one, ``n_columns`` a line; what is missing is filled."""
    n, height, width, *depth = images.shape
    lines = -(-n // n_columns)
    whole = np.full((lines * n_columns, height, width, *depth), np.nan)
    whole[:n] = images
    whole = whole.reshape(lines, n_columns, height, width, *depth).swapaxes(1, 2)
    return np.nan_to_num(whole.reshape(lines * height, n_columns * width, *depth), nan=fill)


def _axes(ax: Any, name: str, size: tuple[float, float] | None = None) -> Any:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(f'{name} draws with matplotlib: pip install "skgen[plot]".') from error
    return plt.subplots(figsize=size)[1]


def _check_count(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name}={value!r} must be an int >= {least}.")


def _cells(X: Any) -> np.ndarray:
    """Rows as numbers."""
    try:
        return np.asarray(as_rows(X), dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Pixels must be numbers, but the rows hold others: {error}.") from error


def _shape(model: Any, image_shape: Any) -> tuple[int, ...]:
    shape = getattr(model, "image_shape", None) if image_shape is None else image_shape
    if shape is None:
        raise ValueError(f"{type(model).__name__} does not know the shape of its images: give image_shape=(height, width).")
    return tuple(shape)


def _images(X: Any, image_shape: tuple[int, ...]) -> np.ndarray:
    cells = _cells(X)
    if cells.ndim != 2 or cells.shape[1] != np.prod(image_shape):
        raise ValueError(f"image_shape={image_shape} is of {int(np.prod(image_shape))} cells, but rows have {cells.shape[-1]}.")
    shape = image_shape[:2] if len(image_shape) == 3 and image_shape[2] == 1 else image_shape
    return cells.reshape(len(cells), *shape)
