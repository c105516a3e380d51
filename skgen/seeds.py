"""Streams of random numbers, and how many rows may be asked for."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

__all__ = ["check_n_samples", "generator"]


def generator(random_state: Any, purpose: int = 0) -> np.random.Generator:
    """A Generator of its own for each purpose (0: fit, 1: sample); no global state is touched.

    An int gives the same stream at each call, None a fresh one; a Generator or RandomState advances.
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31, size=4))
    if random_state is None:
        return np.random.default_rng()
    if isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool) and random_state >= 0:
        return np.random.default_rng([int(random_state), purpose])
    raise ValueError(f"random_state={random_state!r} must be None, an int >= 0, a RandomState or a Generator.")


def check_n_samples(n_samples: Any, n_columns: int, name: str = "n_samples") -> int:
    """``n_samples`` as an int, refused before work starts if it is no count or if its rows cannot fit in memory."""
    if isinstance(n_samples, (bool, np.bool_)) or not isinstance(n_samples, (int, np.integer)) or n_samples < 0:
        raise ValueError(f"{name}={n_samples!r} must be an int >= 0.")
    needed = 3 * 8 * int(n_samples) * max(1, n_columns)  # coded, decoded, and one in between
    available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 2**36
    if needed > available:
        raise ValueError(
            f"{name}={n_samples} rows of {n_columns} columns need {needed:,} bytes, and this machine has "
            f"{available:,}: draw them in several calls with a smaller {name}."
        )
    return int(n_samples)
