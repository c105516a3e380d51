"""A class by name: of the registry, or ``module:Class`` also from the working directory."""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path

from skgen import registry

__all__ = ["load_class"]


def load_class(name: str) -> type:
    """The class behind a registry name, ``distribution:name``, or ``module:Class``.

    Parameters
    ----------
    name : str
        A module is looked for in the working directory first.

    Returns
    -------
    type

    Raises
    ------
    ValueError
        If there is no such model, module or class, or the module fails on import.
    PluginError
        If a registered model cannot be loaded.

    Examples
    --------
    >>> load_class("naive_bayes").__name__, load_class("skgen.models.explicit.kde:KDE").__name__
    ('NaiveBayes', 'KDE')
    """
    try:
        return registry.get(name)
    except ValueError as unknown:
        module, colon, attribute = name.partition(":")
        if not colon:
            raise ValueError(f"{unknown} A class outside the registry is given as module:Class.") from None
    if not all(part.isidentifier() for part in [*module.split("."), *attribute.split(".")]):
        raise ValueError(f"{name!r} is no registered model and no module:Class, such as mypackage.models:MyModel.")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
    except Exception as error:  # a stranger's module may raise anything on import
        why = str(error) if isinstance(error, (ImportError, AttributeError)) else f"{type(error).__name__}: {error}"
        raise ValueError(f"{name!r} cannot be loaded: {why}.") from error
    finally:
        sys.path.remove(here)
    if not isinstance(found, type):
        raise ValueError(f"{name!r} is {type(found).__name__}, not a class.")
    return found
