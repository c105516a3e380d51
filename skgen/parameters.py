"""Annotated fields become scikit-learn parameters, and are validated from the same annotation."""

from __future__ import annotations

import functools
import inspect
import math
import numbers
import types
import typing
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, Union, dataclass_transform

import numpy as np
from sklearn.base import BaseEstimator

__all__ = ["Interval", "Parameters"]

#: Names a model class sets without an annotation: they describe the class and are not parameters.
TRAITS = frozenset(
    {"kinds", "likelihood", "missing", "missing_in_fit", "keeps_rows", "streams", "quick", "known_gaps", "__skgen_api__"}
)


@dataclass(frozen=True)
class Interval:
    """A closed range for a number, for use in ``Annotated[float, Interval(0, 1)]``.

    Parameters
    ----------
    low, high : float
        The ends. An infinite end means any finite value.
    open_low, open_high : bool
        Leave the end itself out.

    Examples
    --------
    >>> 0.5 in Interval(0, 1), 0 in Interval(0, 1, open_low=True)
    (True, False)
    >>> Interval(0, 1, open_low=True)
    (0, 1]
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return bool(above and below)

    def __repr__(self) -> str:
        opening = "(" if self.open_low or math.isinf(self.low) else "["
        closing = ")" if self.open_high or math.isinf(self.high) else "]"
        return f"{opening}{self.low:g}, {self.high:g}{closing}"


def _allowed(annotation: Any, value: Any) -> bool:
    """Whether ``value`` is one that ``annotation`` allows."""
    origin = typing.get_origin(annotation)
    if annotation is Any or annotation is inspect.Parameter.empty:
        return True
    if annotation is None or annotation is type(None):
        return value is None
    if origin in (Union, types.UnionType):
        return any(_allowed(option, value) for option in typing.get_args(annotation))
    if origin is Literal:
        return isinstance(value, (str, int, bool, type(None))) and value in typing.get_args(annotation)
    if origin is Annotated:
        base, *extra = typing.get_args(annotation)
        return _allowed(base, value) and all(value in e for e in extra if isinstance(e, Interval))
    if origin is not None:
        return isinstance(value, origin)
    if annotation is bool:
        return isinstance(value, (bool, np.bool_))
    if annotation is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_)) and abs(int(value)) < 2**63
    if annotation is float:
        if isinstance(value, numbers.Integral):
            return _allowed(int, value)
        return isinstance(value, numbers.Real) and not math.isnan(value)
    return isinstance(value, annotation)


def _describe(annotation: Any) -> str:
    """``annotation`` in words, for an error message."""
    origin = typing.get_origin(annotation)
    if annotation is None or annotation is type(None):
        return "None"
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(option) for option in typing.get_args(annotation))
    if origin is Literal:
        return "one of " + ", ".join(map(repr, typing.get_args(annotation)))
    if origin is Annotated:
        base, *extra = typing.get_args(annotation)
        return " ".join([_describe(base), *(f"in {e!r}" for e in extra if isinstance(e, Interval))])
    words = {int: "an int", float: "a number", str: "a str", bool: "a bool", dict: "a dict", list: "a list", tuple: "a tuple"}
    return words.get(origin or annotation, getattr(annotation, "__name__", str(annotation)))


@functools.cache
def _annotations(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in fields(cls)}


@dataclass_transform(kw_only_default=True)
class Parameters(BaseEstimator):
    """Root of all models: annotated class fields become keyword parameters of a generated ``__init__``.

    A subclass writes ``alpha: Annotated[float, Interval(0, inf)] = 1.0`` and nothing else; ``get_params``, ``clone``
    and the signature follow. Overriding a field without an annotation would silently leave the inherited default in
    the signature, and annotating a trait would turn it into a parameter, so both are refused when the class is made.

    Raises
    ------
    TypeError
        At class creation: an unannotated override of a field, or an annotated trait.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = inspect.get_annotations(cls)
        inherited = {f.name for base in cls.__mro__[1:] if "__dataclass_fields__" in vars(base) for f in fields(base)}
        for name in TRAITS & set(own):
            if "ClassVar" not in str(own[name]):
                raise TypeError(f"{cls.__name__}.{name} describes the class and is not a parameter: drop its annotation.")
        for name in (inherited & set(vars(cls))) - set(own):
            raise TypeError(f"{cls.__name__}.{name} overrides a parameter: repeat its annotation, as in `{name}: type = ...`.")
        dataclass(cls, kw_only=True, repr=False, eq=False)

    def _validate_parameters(self) -> None:
        """Hold every parameter against its annotation.

        Raises
        ------
        ValueError
            Naming the parameter, its value and what is allowed.
        """
        for name, annotation in _annotations(type(self)).items():
            value = getattr(self, name)
            if not _allowed(annotation, value):
                raise ValueError(f"{name}={value!r} of {type(self).__name__} must be {_describe(annotation)}.")
