"""Contenders timed in turn in one process: least CPU time of several interleaved rounds, on one thread.

Import this before NumPy or torch: it limits their threads. Ratios within a table hold; absolute times drift with the
machine. Each table prints what was learnt beside the time, since speed without likelihood means nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")


def race(contenders: dict[str, Callable[[], Any]], rounds: int = 7, budget: float = 60.0) -> dict[str, tuple[float, Any]]:
    """{name: (least seconds, last result)}; after ``budget`` wall seconds no new round starts."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    results: dict[str, Any] = {}
    begin = time.perf_counter()
    for turn in range(rounds):
        if turn and time.perf_counter() - begin > budget:
            break
        for name, call in contenders.items():
            start = time.process_time()
            results[name] = call()
            times[name].append(time.process_time() - start)
    return {name: (min(spent), results[name]) for name, spent in times.items()}


def report(title: str, raced: dict[str, tuple[float, Any]], note: Callable[[str, Any], str] = lambda name, result: "") -> float:
    """Print one table and return the ratio of the best rival's time to ours; ours are the names that begin with skgen."""
    ours = min(seconds for name, (seconds, _) in raced.items() if name.startswith("skgen"))
    rivals = {name: seconds for name, (seconds, _) in raced.items() if not name.startswith("skgen")}
    print(title)
    for name, (seconds, result) in raced.items():
        print(f"   {name:44s} {seconds * 1e3:10.2f} ms   {seconds / ours:8.2f} x ours   {note(name, result)}")
    if not rivals:
        return float("nan")
    best = min(rivals, key=rivals.__getitem__)
    print(f"   -> {rivals[best] / ours:.2f} times the speed of {best}", flush=True)
    return rivals[best] / ours
