"""The chain of states of a fitted DenseHMM given the length of a sequence, and what a step of it may hold.

A chain is a dict of logarithms: "starts" (S,), "edges" (S, S) and "ends" (S,). A row of edges and its end sum to one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skgen_pomegranate._base import draw

__all__ = ["draw_states", "even_chain", "log_length", "log_to_come", "step_is_discrete"]


def even_chain(S: int, T: int) -> dict[str, np.ndarray]:
    """All states alike, and an end in T steps.

    A DenseHMM that is given no chain starts from rows that sum to one with ends of 1/S beside them, which is no distribution:
    what it takes for log p then falls by nats in the first step, and its ``fit`` stops there.
    """
    even = np.full(S, -np.log(S))
    return {"starts": even, "edges": np.tile(even + np.log1p(-1 / T), (S, 1)), "ends": np.full(S, -np.log(T))}


def log_to_come(chain: dict[str, np.ndarray], T: int) -> np.ndarray:
    """log p(end after T | state at step t), (T, S): b_T = e, b_t = A b_(t+1)."""
    left = [chain["ends"]]
    for _ in range(T - 1):
        left.append(np.logaddexp.reduce(chain["edges"] + left[-1], axis=1))
    return np.array(left[::-1])


def log_length(chain: dict[str, np.ndarray], T: int) -> float:
    """log P(T) = log s' A^(T-1) e."""
    return float(np.logaddexp.reduce(chain["starts"] + log_to_come(chain, T)[0]))


def draw_states(chain: dict[str, np.ndarray], n: int, T: int, rng: np.random.Generator) -> np.ndarray:
    """(n, T) paths of states, each step given the one before and that the sequence ends after T."""
    states = np.zeros((n, T), dtype=np.intp)
    log_p = np.broadcast_to(chain["starts"], (n, len(chain["starts"])))
    for t, rest in enumerate(log_to_come(chain, T) if n else ()):
        # p(s_t | s_(t-1), T) = p(s_t | s_(t-1)) p(end after T | s_t) / p(end after T | s_(t-1))
        log_p = log_p + rest
        states[:, t] = draw(np.exp(log_p - log_p.max(axis=1, keepdims=True)), rng)
        log_p = chain["edges"][states[:, t]]
    return states


def step_is_discrete(columns: Any, F: int) -> bool:
    """Whether a step of F columns is of codes, or of numbers.

    Raises
    ------
    ValueError
        Where steps differ or hold both, naming the columns, and where there is one step.
    """
    names, d = columns.names, len(columns.names)
    if d % F:
        raise ValueError(f"step_features={F} does not divide the {d} columns of X: columns are step-major.")
    if d == F:
        raise ValueError(f"X has {d} feature(s), one step of {F} column(s), and pomegranate fits sequences of two steps or more.")
    levels = columns.n_levels.reshape(-1, F)
    for t, j in np.argwhere(levels != levels[0])[:1]:
        raise ValueError(
            f"Columns {names[j]!r} and {names[t * F + j]!r} are one variable at two steps, but differ in kind or levels: pass "
            "column_kinds=skgen.columns(X, step_features=...)."
        )
    discrete = levels[0] > 0
    if discrete.any() and not discrete.all():
        raise ValueError(
            f"Column {names[np.argmax(discrete)]!r} is discrete and column {names[np.argmin(discrete)]!r} continuous, which no "
            "emission of pomegranate holds: emission='categorical' cuts numbers into bins, and skgen's hmm takes both."
        )
    return bool(discrete.all())
