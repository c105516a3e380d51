"""What the words of a command line may be."""

from __future__ import annotations

import argparse
import ast
from typing import Any, NoReturn

__all__ = ["Parser", "folds", "jobs", "kinds", "line", "named", "names", "parameter", "shape"]

_KINDS = ("continuous", "integer", "binary", "categorical", "bernoulli")  # those of skgen.tables, which imports pandas


class Parser(argparse.ArgumentParser):
    """Errors on one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {line(message)} ({self.prog} --help)\n")


def line(text: Any) -> str:
    """Text on one line."""
    return " ".join(str(text).split())


def names(text: str) -> list[str]:
    """``a,b``: names."""
    return [name.strip() for name in text.split(",") if name.strip()]


def shape(text: str) -> tuple[int, ...]:
    """``8,8`` or ``8x8x3``: the shape of an image."""
    try:
        shape = tuple(int(part) for part in text.lower().replace("x", ",").split(","))
    except ValueError:
        shape = ()
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be height,width or height,width,channels, such as 8,8")
    return shape


def folds(text: str) -> int:
    """A number of folds."""
    if not text.strip().isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of folds, 2 or more")
    return int(text)


def jobs(text: str) -> int:
    """A number of jobs."""
    try:
        jobs = int(text)
    except ValueError:
        jobs = 0
    if jobs == 0:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of jobs from 1 on, or -1 for all processors")
    return jobs


def kinds(text: str) -> dict[str, str] | str:
    """``age=integer,zip=categorical``, or one kind for all."""
    if "=" not in text:
        if text not in (*_KINDS, "auto"):
            raise argparse.ArgumentTypeError(f"{text!r} is no kind: choose one of {', '.join(_KINDS)}, or give column=kind,...")
        return text
    pairs = [part.partition("=") for part in names(text)]
    if wrong := [name for name, equals, kind in pairs if not (name and equals and kind)]:
        raise argparse.ArgumentTypeError(f"{text!r} must be column=kind,... ({wrong[0]!r} has no kind)")
    if wrong := [kind.strip() for _, _, kind in pairs if kind.strip() not in (*_KINDS, "auto")]:
        raise argparse.ArgumentTypeError(f"{wrong[0]!r} is no kind: choose one of {', '.join(_KINDS)}")
    return {name.strip(): kind.strip() for name, _, kind in pairs}


def named(text: str) -> tuple[str, str]:
    """``age=40``: a name and what it is."""
    name, equals, value = text.partition("=")
    if not (name.strip() and equals):
        raise argparse.ArgumentTypeError(f"{text!r} must be name=value, such as age=40")
    return name.strip(), value.strip()


def parameter(text: str) -> tuple[str, Any]:
    """``n_components=3``: a parameter and a number, tuple, True, False, None or text."""
    name, value = named(text)
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value
