"""What ``skgen check NAME`` prints: a model by name, its checks in a table, and an exit code."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from skgen.evaluate.named import load_class
from skgen.testing.run import check_generative

__all__ = ["run"]

_ORDER = ("failed", "inconclusive", "xfail", "skipped", "passed")


def _plain(result: dict[str, Any]) -> dict[str, Any]:
    """A result that JSON can hold."""
    plain = {key: value for key, value in result.items() if key not in ("estimator", "exception")}
    for key in ("statistic", "p_value"):
        value = plain[key]
        plain[key] = float(value) if value is not None and value == value else None
    return {"estimator": repr(result["estimator"]), **plain}


def run(
    name_or_path: str,
    tier: str = "quick",
    seed: int = 0,
    as_json: bool = False,
    only: str | None = None,
    parameters: dict[str, Any] | None = None,
) -> tuple[str, int]:
    """Check a model and say how it did.

    Parameters
    ----------
    name_or_path : str
        A registry name, or ``module:Class``.
    tier : {"quick", "full"}
    seed : int
    as_json : bool
        A JSON list of the results in place of the table.
    only : str, optional
        Name or id of the one check to run.
    parameters : dict, optional
        In place of the class's ``quick`` ones.

    Returns
    -------
    text : str
    exit_code : int
        1 if a check failed, 2 if the model or check is unknown, else 0.

    Examples
    --------
    >>> text, exit_code = run("naive_bayes", only="C14")
    >>> print(text.splitlines()[0], exit_code)
    NaiveBayes, quick tier, seed 0: 1 passed 0
    """
    try:
        cls = load_class(name_or_path)
        estimator = cls if parameters is None else cls(**parameters)
        results = check_generative(estimator, tier=tier, seed=seed, on_fail=None, on_skip=None, only=only)
    except ValueError as error:
        return str(error), 2
    failed = any(result["status"] == "failed" for result in results)
    if as_json:
        return json.dumps([_plain(result) for result in results], indent=2), int(failed)
    counts = Counter(result["status"] for result in results)
    told = ", ".join(f"{counts[status]} {status}" for status in _ORDER if counts[status])
    lines = [f"{cls.__name__}, {tier} tier, seed {seed}: {told}"]
    for result in results:
        p = "" if result["p_value"] in (None, 0.0, 1.0) else f"p = {result['p_value']:.2g}"
        lines.append(
            f"{result['id']:4s} {result['check_name']:24s} {result['status']:12s} {result['seconds']:6.2f} s  {p}".rstrip()
        )
        if result["status"] in ("failed", "inconclusive", "skipped", "xfail"):
            lines.append(f"     {result['message']}")
        if result["status"] in ("failed", "inconclusive"):
            lines.append(f"     again: {result['replay']}")
    return "\n".join(lines), int(failed)
