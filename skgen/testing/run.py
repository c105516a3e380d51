"""Run the checks on a model: as a function that returns results, and as pytest items."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from sklearn.exceptions import SkipTestWarning

import skgen.testing.bounds
import skgen.testing.conditional
import skgen.testing.contract
import skgen.testing.files
import skgen.testing.hostile
import skgen.testing.identities
import skgen.testing.labels
import skgen.testing.resources
import skgen.testing.running
import skgen.testing.statistical  # noqa: F401
from skgen.testing.result import CHECKS, Check, CheckFailed, CheckInconclusive, CheckSkipped, told
from skgen.testing.subject import Subject

__all__ = [
    "QUICK_SECONDS",
    "BoundCheck",
    "ConformanceWarning",
    "check_generative",
    "checks_for",
    "parametrize_with_checks",
    "run_check",
]

#: Processor seconds that the quick tier may take for one model, and for one that trains a network: some two hundred fits
#: of which each builds and steps it.
QUICK_SECONDS, NETWORK_SECONDS = 15.0, 30.0
_BUDGET = "quick_seconds"
#: Checks that fail as well when draws do not come from the generator that is given.
_OF_CHANCE = {"copies", "skops_file", "skgen_file", "interrupt", "threads", "processes", "refit"}


class ConformanceWarning(UserWarning):
    """A check failed or settled nothing, and the caller asked for a warning."""


def checks_for(tier: str, only: str | None = None) -> list[Check]:
    """The checks of a tier, by id; ``only`` keeps the one of that name or id.

    Raises
    ------
    ValueError
        For an unknown tier or check.
    """
    if tier not in ("quick", "full"):
        raise ValueError(f"tier={tier!r} must be 'quick' or 'full'.")
    chosen = [c for c in CHECKS.values() if tier == "full" or not c.full_only]
    if only is not None:
        chosen = [c for c in CHECKS.values() if only in (c.name, c.id)]
        if not chosen:
            raise ValueError(f"There is no check {only!r}: choose from {', '.join(sorted(CHECKS))}.")
    return sorted(chosen, key=lambda c: (c.id[0], int(c.id[1:]), c.name))


def _budget(subject: Subject) -> None:
    """The quick tier stays within its processor seconds; twice those under a tracer such as coverage, which costs as much."""
    network = any(base.__module__ == "skgen.neural" for base in type(subject.estimator).__mro__)
    allowed = (NETWORK_SECONDS if network else QUICK_SECONDS) * (1 if sys.gettrace() is None else 2)
    if subject.tier == "quick" and subject.seconds > allowed:
        raise CheckFailed(
            f"The quick tier took {subject.seconds:.1f} processor seconds, {allowed:g} allowed: give the class "
            "cheaper `quick` parameters.",
            subject.seconds,
        )


_BUDGET_CHECK = Check("C0", _BUDGET, _budget)


def _with_likely(message: str, check: Check, subject: Subject) -> str:
    """What is most likely wrong: an earlier failure that explains this one, else what the check knows."""
    said, _, likely = message.partition(" Likely: ")
    if "random_state" in subject.failed and check.name in _OF_CHANCE:
        return f"{said} Likely: what random_state found; mend that first."
    if likely or said.endswith("]") or not check.likely:  # it has said so, or the author's own line is named
        return message
    stop = "" if said.endswith((".", ":", "?", "!")) else "."
    return f"{said}{stop} Likely: {check.likely}"


def run_check(check: Check, subject: Subject, expected: dict[str, str] | None = None) -> dict[str, Any]:
    """One check of one model, as a result dict; see :func:`check_generative`."""
    gaps = {**dict(subject.declares("known_gaps", {})), **(expected or {})}
    reason = gaps.get(check.name, gaps.get(check.id))
    exception: BaseException | None = None
    statistic = p_value = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subject.warm()
        start = time.process_time()
        try:
            found = check.run(subject)
            status, message = "passed", ""
            if found is not None:
                statistic, p_value, message = found.statistic, found.p_value, found.where
        except CheckSkipped as error:
            exception, status, message = error, "skipped", str(error)
        except CheckInconclusive as error:
            exception, status, message = error, "inconclusive", str(error)
        except CheckFailed as error:
            exception, status, message = error, "failed", str(error)
            statistic, p_value = error.statistic, error.p_value
        except Exception as error:
            exception, status, message = error, "failed", told(error)
        if status == "failed":
            subject.failed.add(check.name)
            message = _with_likely(message, check, subject)
    seconds = time.process_time() - start  # of the processor, so that other work on the machine does not count
    subject.seconds += seconds
    if reason is not None and status == "failed":
        status = "xfail"
    elif reason is not None and status == "passed":
        status = "failed"
        message = f"known_gaps lists {check.name!r} ({reason}), but the check passes now: take it out of known_gaps."
        exception = CheckFailed(message)
    return {
        "estimator": subject.estimator,
        "check_name": check.name,
        "exception": exception,
        "status": status,
        "expected_to_fail": reason is not None,
        "expected_to_fail_reason": reason or "",
        "id": check.id,
        "statistic": statistic,
        "p_value": p_value,
        "message": message,
        "seconds": seconds,
        "replay": subject.replay(check.name),
    }


def check_generative(
    estimator: Any,
    *,
    tier: Literal["quick", "full"] = "quick",
    seed: int = 0,
    on_fail: Literal["raise", "warn"] | None = "raise",
    on_skip: Literal["warn"] | None = "warn",
    callback: Callable[..., Any] | None = None,
    expected_failed_checks: dict[str, str] | None = None,
    only: str | None = None,
) -> list[dict[str, Any]]:
    """Hold a generative model to the contract.

    Parameters
    ----------
    estimator : class or instance
        A class is tried with its ``quick`` parameters and ``random_state=0``. An instance is cloned, not changed.
    tier : {"quick", "full"}
        "quick" is the contract with the cheaper statistical checks, within 15 processor seconds (30 for a network); "full"
        is everything.
    seed : int
        Of the draws the checks make. A failure names the command that repeats it.
    on_fail : {"raise", "warn"} or None
        What a failing check does; None only records it.
    on_skip : "warn" or None
        What a skipped or inconclusive check does.
    callback : callable, optional
        Called with each result as keyword arguments. Not together with ``on_fail="raise"``.
    expected_failed_checks : dict, optional
        {check name: reason}, beside the estimator's own ``known_gaps``. One that passes is a failure.
    only : str, optional
        Name or id of the one check to run.

    Returns
    -------
    list of dict
        One a check, as scikit-learn's ``check_estimator``: "estimator", "check_name", "exception", "status" ("passed", "failed",
        "inconclusive", "skipped", "xfail"), "expected_to_fail", "expected_to_fail_reason"; and "id", "statistic",
        "p_value", "message", "seconds" (of the processor), "replay".

    Raises
    ------
    CheckFailed
        With ``on_fail="raise"``, after the last check, with every check that failed; its cause is the first failure.
    ValueError
        For an unknown tier, check, or expected failure.

    Examples
    --------
    >>> from skgen import NaiveBayes
    >>> from skgen.testing import check_generative
    >>> [result] = check_generative(NaiveBayes, only="rows_exchangeable")
    >>> result["id"], result["status"]
    ('S3', 'passed')
    """
    if on_fail == "raise" and callback is not None:
        raise ValueError("callback cannot be provided together with on_fail='raise'.")
    if on_fail not in ("raise", "warn", None) or on_skip not in ("warn", None):
        raise ValueError(f"on_fail={on_fail!r} must be 'raise', 'warn' or None, and on_skip={on_skip!r} 'warn' or None.")
    subject = Subject(estimator, tier, seed)
    chosen = checks_for(tier, only)
    if tier == "quick" and only is None:
        chosen.append(_BUDGET_CHECK)
    if unknown := set(expected_failed_checks or {}) - set(CHECKS) - {c.id for c in CHECKS.values()}:
        from skgen.testing.contract import is_foreign_check

        if unknown := {name for name in unknown if not is_foreign_check(name)}:
            raise ValueError(f"expected_failed_checks names {sorted(unknown)[0]!r}, which is no check.")
    results = []
    for check in chosen:
        result = run_check(check, subject, expected_failed_checks)
        results.append(result)
        if callback is not None:
            callback(**result)
        if result["status"] == "failed" and on_fail == "warn":
            warnings.warn(describe(result), ConformanceWarning, stacklevel=2)
        if result["status"] in ("skipped", "inconclusive") and on_skip == "warn":
            warnings.warn(describe(result), SkipTestWarning, stacklevel=2)
    failed = [result for result in results if result["status"] == "failed"]
    if failed and on_fail == "raise":
        heading = f"{len(failed)} of {len(results)} checks fail:\n" if len(failed) > 1 else ""
        raise CheckFailed(heading + "\n".join(map(describe, failed))) from failed[0]["exception"]
    return results


def describe(result: dict[str, Any]) -> str:
    """A result in two lines: what happened, and the command that repeats it."""
    line = f"{result['id']} {result['check_name']} of {type(result['estimator']).__name__}: {result['status']}"
    if result["message"]:
        line += f". {result['message']}"
    return f"{line}\nAgain: {result['replay']}" if result["status"] in ("failed", "inconclusive") else line


class BoundCheck:
    """A check of one model as pytest calls it: raises, skips or xfails. Items of one model share their fits."""

    def __init__(self, check: Check, subject: Subject):
        self.check, self.subject = check, subject

    def __repr__(self) -> str:
        return f"{self.check.id}-{self.check.name}"

    def __call__(self, estimator: Any = None) -> dict[str, Any]:
        """Run it; ``estimator`` is what pytest passes along and is the subject's own."""
        import pytest

        result = run_check(self.check, self.subject)
        if result["status"] == "failed":
            raise CheckFailed(describe(result)) from result["exception"]
        if result["status"] == "xfail":
            pytest.xfail(result["expected_to_fail_reason"])
        if result["status"] in ("skipped", "inconclusive"):
            pytest.skip(describe(result))
        return result


def _items(estimators: Iterable[Any], tier: str, seed: int) -> Iterator[tuple[Any, BoundCheck]]:
    for estimator in estimators:
        subject = Subject(estimator, tier, seed)
        for check in [*checks_for(tier), *([_BUDGET_CHECK] if tier == "quick" else [])]:
            yield subject.estimator, BoundCheck(check, subject)


def parametrize_with_checks(estimators: Iterable[Any], *, tier: Literal["quick", "full"] = "quick", seed: int = 0) -> Any:
    """A pytest decorator: one test a model and check, of a function ``test(estimator, check)`` that calls ``check(estimator)``.

    Parameters
    ----------
    estimators : list of classes or instances
    tier : {"quick", "full"}
    seed : int

    Examples
    --------
    >>> from skgen import NaiveBayes
    >>> @parametrize_with_checks([NaiveBayes], tier="full")
    ... def test_contract(estimator, check):
    ...     check(estimator)
    """
    import pytest

    items = list(_items(estimators, tier, seed))
    return pytest.mark.parametrize(("estimator", "check"), items, ids=[f"{type(e).__name__}-{c!r}" for e, c in items])
