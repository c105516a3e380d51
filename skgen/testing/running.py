"""A fit that is interrupted, and fits and answers in several threads and processes at once."""

from __future__ import annotations

import inspect
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy.special import logsumexp
from sklearn.exceptions import NotFittedError

from skgen import GenerativeModel
from skgen.testing.result import CheckFailed, CheckInconclusive, CheckSkipped, Measured, brief, check, require
from skgen.testing.subject import Subject

__all__: list[str] = []

_ROWS = 120  # of the tables here: many fits, none of which needs to be good
_MOMENTS = (0.3, 0.8)  # shares of the calls within a fit, at which it is interrupted
_PROMPT = 2.0  # seconds from the signal to KeyboardInterrupt
_SLACK = 5.0  # nats a column that the best state so far may lie below a whole fit


# ---- C9


class _Calls:
    """The calls that skgen and the model's packages make or receive: their number, and which are of its own modules."""

    def __init__(self, estimator: Any, at: Callable[[int, Any], None] | None = None):
        base = {cls.__module__ for cls in GenerativeModel.__mro__}
        self._own = {cls.__module__ for cls in type(estimator).__mro__} - base
        self._packages = {"skgen"} | {module.partition(".")[0] for module in self._own}
        self._at, self.number, self.own = at, 0, list[int]()

    def _event(self, frame: Any, event: str, _: Any) -> None:
        if event not in ("call", "c_call"):
            return
        module = frame.f_globals.get("__name__") or ""
        if module.partition(".")[0] not in self._packages or module.startswith("skgen.testing"):
            return
        self.number += 1
        if module in self._own:
            self.own.append(self.number)
        if self._at is not None:
            self._at(self.number, frame)

    def __enter__(self) -> _Calls:
        self._before = sys.getprofile()
        sys.setprofile(self._event)
        return self

    def __exit__(self, *_: Any) -> None:
        sys.setprofile(self._before)

    def moments(self) -> list[int]:
        """Calls to interrupt at: of all that there were, and of those of the model's own modules."""
        own = [self.own[int(share * len(self.own))] for share in _MOMENTS] if self.own else []
        return sorted({1 + int(share * self.number) for share in _MOMENTS} | set(own))


def _raises(frame: Any) -> bool:
    """Whether what is raised here reaches the fit: Python drops it where a generator is being closed or an object ends."""
    while frame is not None and frame.f_globals.get("__name__") != __name__:  # up to the call of fit below
        if frame.f_code.co_flags & inspect.CO_GENERATOR or frame.f_code.co_name == "__del__":
            return False
        frame = frame.f_back
    return True


def _interrupted(model: Any, X: Any, y: Any, at: int) -> float | None:
    """Seconds from a SIGINT at call number ``at`` of ``fit`` to KeyboardInterrupt; None if it does not come so far."""
    sent: list[float] = []

    def send(number: int, frame: Any) -> None:
        if number >= at and not sent and _raises(frame):
            sent.append(time.perf_counter())
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with _Calls(model, send):
            model.fit(X, y)
    except KeyboardInterrupt:
        return time.perf_counter() - sent[0]
    finally:
        signal.signal(signal.SIGINT, before)
    if sent:
        raise CheckFailed("SIGINT in the middle of fit, and fit returns: it must raise KeyboardInterrupt, or a search goes on.")
    return None


def _answers(model: Any, X: Any, labelled: bool) -> list[np.ndarray]:
    out = [model.score_samples(X), np.asarray(model.sample(5, random_state=4))]
    return [*out, model.predict_joint_log_proba(X)] if labelled else out


def _as_before(model: Any, X: Any, labelled: bool, before: list[np.ndarray]) -> bool:
    try:
        after = _answers(model, X, labelled)
    except Exception:  # it may be whole still, fitted on the other table
        return False
    return hasattr(model, "classes_") == labelled and all(map(np.array_equal, before, after))


def _whole(model: Any, X: Any, y: np.ndarray | None, least: float) -> str:
    """What is wrong with a model that should be fitted on X, y as far as it came; "" if nothing is."""
    try:
        log_p, drawn = model.score_samples(X), np.asarray(model.sample(20, random_state=0))
        joint = None if y is None else model.predict_joint_log_proba(X)
    except Exception as error:
        return f"it raises {type(error).__name__}: {brief(error)}"
    if not np.isfinite(log_p).all() or not np.isfinite(drawn).all():
        return "log p or draws are not finite"
    if log_p.mean() < least:
        return f"its mean log p is {log_p.mean():.4g}, where a whole fit's is above {least:.4g}"
    if hasattr(model, "classes_") != (y is not None) or (y is not None and not np.array_equal(model.classes_, np.unique(y))):
        return "its classes_ is not that of the labels given"
    if joint is not None and not np.allclose(logsumexp(joint, axis=1), log_p, atol=1e-6):
        return "its score_samples is not the sum over the classes"
    return ""


@check(
    "C9",
    likely="the fit catches KeyboardInterrupt (a bare except), or puts half of its state on self before the rest is computed.",
)
def interrupt(subject: Subject) -> Measured:
    """SIGINT in the middle of fit raises KeyboardInterrupt, and leaves the model of before or a whole one, never half of one."""
    if threading.current_thread() is not threading.main_thread():
        raise CheckSkipped("signals reach the main thread only")
    data = subject.numeric()
    old = data.codes(data.X)[:_ROWS]
    y = np.arange(_ROWS) % 2
    # the second table lies elsewhere, so that a state of both of them scores it badly; bits are turned over
    new = 20 * old[::-1] + 1000 * old.std(axis=0) if data.continuous else 1 - old
    old, new = (X.astype(data.X.dtype) for X in (old, new))
    slowest, reached = 0.0, 0
    for first in (None, y):
        second = y if first is None else None
        whole = subject.new().fit(new, second)
        least = whole.score_samples(new).mean() - _SLACK * new.shape[1]
        with _Calls(whole) as calls:
            whole.fit(new, second)
        for at in calls.moments():
            model = subject.new().fit(old, first)
            before = _answers(model, old, first is not None)
            took = _interrupted(model, new, second, at)
            if took is None:
                continue
            reached += 1
            slowest = max(slowest, took)
            require(
                took < _PROMPT, f"KeyboardInterrupt comes {took:.1f} s after SIGINT in the middle of fit, {_PROMPT:g} s allowed."
            )
            if not _as_before(model, old, first is not None, before):
                wrong = _whole(model, new, second, least)
                require(not wrong, f"After a refit that was interrupted the model is neither as before nor whole: {wrong}.")
            _first_fit(subject, new, second, at, least)
    if not reached:
        raise CheckInconclusive("no fit came as far as the call at which it was to be interrupted: its length varies too much")
    return Measured(slowest, 1.0, f"{reached} interrupts, the slowest answer after {1000 * slowest:.1f} ms")


def _first_fit(subject: Subject, X: Any, y: Any, at: int, least: float) -> None:
    """A first fit that is interrupted leaves nothing, or a whole model."""
    model = subject.new()
    if _interrupted(model, X, y, at) is None:
        return
    try:
        model.score_samples(X[:1])
    except NotFittedError:
        return
    except Exception as error:
        said = f"{type(error).__name__}: {brief(error)}"
        raise CheckFailed(f"After a first fit that was interrupted, score_samples raises {said}") from error
    wrong = _whole(model, X, y, least)
    require(not wrong, f"After a first fit that was interrupted the model is neither unfitted nor whole: {wrong}.")


# ---- C11 and C12


def _fit_and_answer(model: Any, X: Any, y: Any, rows: Any) -> list[np.ndarray]:
    """What a fit says; a function of its own, so that another process can be handed it."""
    model = model.fit(X) if y is None else model.fit(X, y)
    return _answers(model, rows, y is not None)


def _jobs(subject: Subject, n: int) -> list[tuple]:
    """Fits of unlike models: seeds of their own, on the whole table or a part, by turns with labels."""
    data = subject.numeric()
    rows = [np.arange(i, len(data), 2 + i % 3)[:_ROWS] for i in range(n)]
    seeds = [{"random_state": i} if subject.needs_seed() else {} for i in range(n)]
    labels = [None if i % 2 else np.arange(len(r)) % 2 for i, r in enumerate(rows)]
    return [(subject.new(**s), data.rows(r), y, data.rows(r[:50])) for s, r, y in zip(seeds, rows, labels, strict=True)]


def _equal(one: list[list[np.ndarray]], other: list[list[np.ndarray]]) -> bool:
    return all(len(a) == len(b) and all(map(np.array_equal, a, b)) for a, b in zip(one, other, strict=True))


def _together(calls: list[Callable[[], Any]]) -> list[Any]:
    """The answers of calls that begin at once in threads of their own, which are switched often."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait()
        return call()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(run, calls))
    finally:
        sys.setswitchinterval(before)


@check(
    "C11",
    likely="scoring or drawing writes to self.",
)
def threads(subject: Subject) -> None:
    """Eight fits in eight threads, and four threads that ask one model, answer bit for bit as one after another."""
    want = [_fit_and_answer(*job) for job in _jobs(subject, 8)]
    got = _together([lambda job=job: _fit_and_answer(*job) for job in _jobs(subject, 8)])
    require(
        _equal(got, want),
        "Fits in eight threads answer otherwise than one after another. Likely: state kept on the class or module.",
    )
    data = subject.numeric()
    for y in (None, np.arange(len(data)) % 2):
        model = subject.new().fit(data.X, y)
        parts = [data.rows(np.arange(i, len(data) // 4 * 4, 4)) for i in range(4)]
        asked = [lambda X=X, m=model, y=y: _answers(m, X, y is not None) for X in parts for _ in range(2)]
        want = [call() for call in asked]
        require(
            _equal(_together(asked), want),
            "One fitted model asked from several threads answers otherwise than asked one after another. Likely: "
            "score_samples or sample keeps what it works on in an attribute.",
        )


def _in_processes(subject: Subject) -> list[list[np.ndarray]]:
    return Parallel(n_jobs=2, backend="loky")(delayed(_fit_and_answer)(*job) for job in _jobs(subject, 2))


@check(
    "C12",
    likely="state of the process is read by the fit.",
)
def processes(subject: Subject) -> None:
    """Fits in two processes of joblib, and a labelled fit with n_jobs=2, answer bit for bit as in this one."""
    if "__main__" in type(subject.estimator).__module__:
        raise CheckSkipped("a class of __main__ cannot be loaded in another process")
    want = [_fit_and_answer(*job) for job in _jobs(subject, 2)]
    try:
        got = _in_processes(subject)
    except BrokenProcessPool:  # joblib keeps its workers, and those of before know no folder that came on the path since
        got = _in_processes(subject)  # in new ones
    require(_equal(got, want), "Fits in two processes answer otherwise than in one. Likely: state of the process read by the fit.")
    if "n_jobs" not in subject.estimator.get_params(deep=False):
        return
    data = subject.labelled()[0]
    one, two = (_fit_and_answer(subject.new(n_jobs=n), data.X, data.y, data.X) for n in (None, 2))
    require(
        _equal([one], [two]),
        f"On table {data.name!r}, n_jobs=2 makes another model than n_jobs=None. Likely: random streams that follow the worker "
        "and not the class.",
    )
