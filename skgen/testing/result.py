"""What a check is, what it answers, and when a statistical one may call a model wrong."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from skgen.testing.subject import Subject

__all__ = [
    "CHECKS",
    "Check",
    "CheckFailed",
    "CheckInconclusive",
    "CheckSkipped",
    "Measured",
    "brief",
    "check",
    "require",
    "told",
    "two_stage",
]

#: A statistical check fails below the first level and then, on four times the draws of a fresh seed, below the second.
FIRST_LEVEL, SECOND_LEVEL = 1e-3, 1e-4

_SKGEN = Path(__file__).parent.parent
_STANDARD = sysconfig.get_path("stdlib")


class CheckFailed(AssertionError):
    """The model breaks a promise; the message says which and what is most likely wrong."""

    def __init__(self, message: str, statistic: float | None = None, p_value: float | None = None):
        super().__init__(message)
        self.statistic, self.p_value = statistic, p_value


class CheckSkipped(Exception):
    """The check does not apply to this model; the message says why."""


class CheckInconclusive(Exception):
    """The check had too little to go by; never a silent pass."""


@dataclass(frozen=True)
class Measured:
    """A statistic of one look at the model, its p-value under "the model is right", and words for a message."""

    statistic: float
    p_value: float
    where: str = ""
    conclusive: bool = True


@dataclass(frozen=True)
class Check:
    """One check: ``run(subject)`` returns a Measured or None, or raises one of the three above.

    Attributes
    ----------
    id, name : str
        As in "S1" and "density_normalised".
    full_only : bool
        Whether it is left to the full tier.
    statistical : bool
        Whether it draws, and so takes two looks.
    likely : str
        What is most often wrong with a model that fails it, for messages that cannot tell more closely.
    """

    id: str
    name: str
    run: Callable[[Subject], Measured | None]
    full_only: bool = False
    statistical: bool = False
    likely: str = ""

    @property
    def about(self) -> str:
        """The first line of its docstring."""
        return (self.run.__doc__ or "").strip().splitlines()[0]


CHECKS: dict[str, Check] = {}


def check(id: str, *, full_only: bool = False, statistical: bool = False, likely: str = "") -> Callable:
    """Register a function of a Subject as a check, under its own name."""

    def register(function: Callable[[Any], Measured | None]) -> Callable[[Any], Measured | None]:
        CHECKS[function.__name__] = Check(id, function.__name__, function, full_only, statistical, likely)
        return function

    return register


def brief(text: Any) -> str:
    """The first 300 characters of a message."""
    text = str(text).strip()
    return text if len(text) <= 300 else text[:300] + " ..."


def told(error: BaseException) -> str:
    """Type and message of an error, and the innermost line outside skgen and its libraries, where its author can mend it."""
    frames = traceback.extract_tb(error.__traceback__)
    said = brief(error)
    if not said:  # a bare assert
        said = (
            f"{frames[-1].line} (line {frames[-1].lineno} of {Path(frames[-1].filename).name})" if frames else "without a message"
        )
    own = [frame for frame in frames if not _is_library(frame.filename)]
    where = f" [{own[-1].name}, line {own[-1].lineno} of {Path(own[-1].filename).name}: {own[-1].line}]" if own else ""
    stop = "" if where or said.endswith((".", "!", "?", "...")) else "."
    return f"{type(error).__name__}: {said}{where}{stop}"


def _is_library(path: str) -> bool:
    return path.startswith(("<", _STANDARD)) or "site-packages" in path or Path(path).is_relative_to(_SKGEN)


def require(condition: Any, message: str) -> None:
    """Fail the check with ``message`` unless ``condition`` holds."""
    if not condition:
        raise CheckFailed(message)


def two_stage(look: Callable[[np.random.Generator, int], Measured], generator: Callable[[int], np.random.Generator]) -> Measured:
    """Two looks before a model is called wrong: a false alarm has probability 1e-7 if the p-values are honest.

    Parameters
    ----------
    look : callable(rng, factor) -> Measured
        ``factor`` multiplies the number of draws: 1, then 4.
    generator : callable(stage) -> Generator
        Independent streams for stages 1 and 2.

    Returns
    -------
    Measured
        Of the last look taken; ``p_value`` is below ``SECOND_LEVEL`` only if both looks say "wrong".
    """
    first = look(generator(1), 1)
    if not first.conclusive or first.p_value >= FIRST_LEVEL:
        return first
    second = look(generator(2), 4)
    if second.conclusive and second.p_value >= SECOND_LEVEL:
        return Measured(second.statistic, max(second.p_value, first.p_value), second.where)
    return second
