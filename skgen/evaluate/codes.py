"""Work with codes: between two rows, along an attribute, along one code; of any model with transform and inverse_transform."""

from __future__ import annotations

import inspect
from typing import Any, Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skgen.containers import with_index_of

__all__ = ["interpolate", "latent_direction", "move", "traverse"]


def interpolate(
    model: Any, a: Any, b: Any, n_steps: int = 10, *, y: Any = None, path: Literal["linear", "spherical"] = "linear"
) -> Any:
    """Rows decoded from evenly spaced codes between those of two rows.

    Parameters
    ----------
    model : fitted estimator with ``transform`` and ``inverse_transform``
    a, b : array or data frame of shape (d,) or (n, d)
        The ends; as many rows in both, or one.
    n_steps : int, default=10
        Rows a pair, the (reconstructed) ends among them.
    y : label or array of shape (n,), optional
        Classes of the pairs, where the codes depend on them.
    path : {"linear", "spherical"}
        "spherical" turns from one code to the other as it stretches, and so keeps to lengths that normal codes have
        (White 2016, "Sampling generative networks").

    Returns
    -------
    array or data frame of n * n_steps rows
        As ``inverse_transform`` gives them; the steps of the first pair first.

    Raises
    ------
    ValueError
        If the ends have different numbers of rows, or n_steps is below 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> X = np.arange(1.0, 13.0).reshape(6, 2)
    >>> interpolate(PCA(1).fit(X), X[0], X[4], 3).round(6).tolist()
    [[1.0, 2.0], [5.0, 6.0], [9.0, 10.0]]
    """
    if n_steps < 2:
        raise ValueError(f"n_steps={n_steps} must be at least 2, the two ends.")
    if path not in ("linear", "spherical"):
        raise ValueError(f"path={path!r} must be 'linear' or 'spherical'.")
    first, last = encode(model, a, y), encode(model, b, y)
    if len(first) != len(last) and 1 not in (len(first), len(last)):
        raise ValueError(f"a has {len(first)} rows and b has {len(last)}: give as many ends as beginnings, or one.")
    first, last = np.broadcast_arrays(first, last)
    t = np.linspace(0, 1, n_steps)[:, None]
    if path == "linear":
        codes = [p + t * (q - p) for p, q in zip(first, last, strict=True)]
    else:
        codes = [_turn(p, q, t) for p, q in zip(first, last, strict=True)]
    labels = _each(y, len(first))
    return decode(model, np.concatenate(codes), None if labels is None else np.repeat(labels, n_steps))


def _turn(p: np.ndarray, q: np.ndarray, t: np.ndarray) -> np.ndarray:
    """sin((1 - t) w) / sin w p + sin(t w) / sin w q, w the angle between unit vectors; the lengths change evenly."""
    a, b = np.linalg.norm(p), np.linalg.norm(q)
    cosine = p @ q / (a * b) if a and b else 1.0
    angle = np.arccos(np.clip(cosine, -1, 1))
    if np.sin(angle) < 1e-6:  # one line: no plane to turn in
        return p + t * (q - p)
    unit = (np.sin((1 - t) * angle) * p / a + np.sin(t * angle) * q / b) / np.sin(angle)
    return unit * (a + t * (b - a))


def latent_direction(model: Any, X: Any, attribute: Any, *, y: Any = None) -> np.ndarray:
    """The step in codes that goes with a unit of an attribute: the difference of the class means, if it has two values.

    In general it is the slope of the codes on the attribute by least squares, cov(z, a) / var(a), which for a in {0, 1} is
    the mean code of rows with a = 1 less that of rows with a = 0.

    Parameters
    ----------
    model : fitted estimator with ``transform``
    X : array or data frame of shape (n, d)
    attribute : array of shape (n,)
        Numbers, or two values of any kind, the greater of which counts as 1.
    y : label or array of shape (n,), optional
        Classes, where the codes depend on them.

    Returns
    -------
    array of shape (n_codes,)

    Raises
    ------
    ValueError
        If the attribute is not one number a row, or the same in all rows.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> X, y = load_iris(return_X_y=True)
    >>> model = PCA(2).fit(X)
    >>> step = latent_direction(model, X, y == 0)
    >>> codes = model.transform(X)
    >>> bool(abs(step - codes[y == 0].mean(axis=0) + codes[y != 0].mean(axis=0)).max() < 1e-12)
    True
    """
    Z, a = encode(model, X, y), np.asarray(attribute)
    if a.shape != (len(Z),):
        raise ValueError(f"attribute has shape {a.shape}, but X has {len(Z)} rows: give one value a row.")
    values = np.unique(a)
    if len(values) == 2:
        a = a == values[1]
    elif a.dtype.kind not in "iufb":
        raise ValueError(f"attribute has {len(values)} values that are no numbers: compare it with one, as in attribute == 'yes'.")
    a = a.astype(float)
    if len(values) < 2 or not np.isfinite(a).all():
        raise ValueError("attribute must be finite and differ between rows: it says nothing of the codes otherwise.")
    a = a - a.mean()
    return a @ Z / (a @ a)


def move(model: Any, X: Any, direction: np.ndarray, step: float | np.ndarray = 1.0, *, y: Any = None) -> Any:
    """Rows with so much added to their codes, decoded.

    Parameters
    ----------
    model : fitted estimator with ``transform`` and ``inverse_transform``
    X : array or data frame of shape (d,) or (n, d)
    direction : array of shape (n_codes,)
        Such as ``latent_direction`` gives.
    step : float or array of shape (n,)
        How many directions; 0 is reconstruction. Of one row, as many steps as you like.
    y : label or array of shape (n,), optional
        Classes, where the codes depend on them.

    Returns
    -------
    array or data frame of shape (n, d)
        Of one row and m steps, (m, d).

    Raises
    ------
    ValueError
        If the direction is not one of the model's codes, or there are neither one step nor one a row.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> X, y = load_iris(return_X_y=True)
    >>> model = PCA(2).fit(X)
    >>> to_setosa = latent_direction(model, X, y == 0)
    >>> move(model, X[100:101], to_setosa).round(1).tolist()
    [[5.5, 3.4, 2.5, 0.7]]
    """
    Z, direction = encode(model, X, y), np.asarray(direction, dtype=float)
    if direction.shape != Z.shape[1:]:
        raise ValueError(f"direction has shape {direction.shape}, but the model has {Z.shape[1]} codes.")
    steps = np.atleast_1d(np.asarray(step, dtype=float))
    if steps.ndim != 1 or (len(steps) != len(Z) and 1 not in (len(steps), len(Z))):
        raise ValueError(f"step has shape {steps.shape}, but X has {len(Z)} rows: give one step, or one a row.")
    codes = Z + np.multiply.outer(steps, direction)
    moved = decode(model, codes, _each(y, len(codes)))
    return with_index_of(X, moved) if len(codes) == len(Z) else moved


def traverse(model: Any, x: Any, component: int | None = None, values: Any = None, *, y: Any = None) -> Any:
    """One row with one of its codes set to each of some values, decoded; or with each code in turn.

    Parameters
    ----------
    model : fitted estimator with ``transform`` and ``inverse_transform``
    x : array or data frame of shape (d,) or (1, d)
    component : int, optional
        Which code, from 0. None: each.
    values : array of shape (m,), optional
        Default: -3, -2, ..., 3, the reach of the codes of a VAE.
    y : label, optional
        The class of the row, where the codes depend on it.

    Returns
    -------
    array or data frame of shape (m, d)
        With ``component=None`` (n_codes * m, d), a code's rows together.

    Raises
    ------
    ValueError
        If there is no such code, or more than one row is given.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> model = PCA(1).fit(np.array([[0.0, 0.0], [1.0, 1.0]]))
    >>> abs(traverse(model, [0.5, 0.5], 0, [0.0]) - 0.5).max() < 1e-12
    np.True_
    """
    Z = encode(model, x, y)
    if len(Z) != 1:
        raise ValueError(f"x has {len(Z)} rows: give one.")
    if component is not None and not 0 <= component < Z.shape[1]:
        raise ValueError(f"component={component} must be one of the {Z.shape[1]} codes, from 0 to {Z.shape[1] - 1}.")
    values = np.arange(-3.0, 4.0) if values is None else np.atleast_1d(np.asarray(values, dtype=float))
    turned = range(Z.shape[1]) if component is None else [component]
    codes = np.repeat(Z[None], len(turned), axis=0).repeat(len(values), axis=1)
    for lines, j in zip(codes, turned, strict=True):
        lines[:, j] = values
    return decode(model, codes.reshape(-1, Z.shape[1]), _each(y, len(turned) * len(values)))


def encode(model: Any, X: Any, y: Any = None) -> np.ndarray:
    """Codes (n, q) of rows; of one row, if ``X`` has one dimension."""
    check_is_fitted(model)
    for name in ("transform", "inverse_transform"):
        if not hasattr(model, name):
            raise ValueError(f"{type(model).__name__} has no {name}: give a model with codes, such as vae, autoencoder or PCA.")
    return np.asarray(_ask(model.transform, as_rows(X), y), dtype=float)


def _each(y: Any, n: int) -> np.ndarray | None:
    """A label a row, of one label or as many."""
    return None if y is None else np.broadcast_to(np.asarray(y), (n,))


def as_rows(X: Any) -> Any:
    """Rows as they are, or one row of one dimension as a table."""
    return X if hasattr(X, "columns") or np.ndim(X) != 1 else np.asarray(X)[None]


def decode(model: Any, Z: np.ndarray, y: Any = None) -> Any:
    """Rows of codes, as ``inverse_transform`` gives them."""
    return _ask(model.inverse_transform, Z, y)


def _ask(method: Any, values: Any, y: Any) -> Any:
    if y is None:
        return method(values)
    if "y" not in inspect.signature(method).parameters:
        raise ValueError(f"{method.__qualname__} takes no y: its codes do not depend on a class.")
    return method(values, y)
