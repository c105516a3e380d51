"""What ``skgen check NAME`` prints: a model by name, its checks as a table, JSON or JUnit's XML, and an exit code."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Literal
from xml.etree import ElementTree as ET

from skgen.evaluate.named import load_class
from skgen.testing.run import check_generative, checks_for

__all__ = ["run"]

_ORDER = ("failed", "inconclusive", "xfail", "skipped", "passed")


def _plain(result: dict[str, Any]) -> dict[str, Any]:
    """A result that JSON can hold."""
    plain = {key: value for key, value in result.items() if key not in ("estimator", "exception")}
    for key in ("statistic", "p_value"):
        value = plain[key]
        plain[key] = float(value) if value is not None and value == value else None
    return {"estimator": repr(result["estimator"]), **plain}


def _junit(results: list[dict[str, Any]], tier: str) -> str:
    """JUnit's XML, which CI servers read: a test case a check."""
    counts = Counter(result["status"] for result in results)
    name = type(results[0]["estimator"]).__name__
    told = {"name": f"skgen check {name}, {tier} tier", "tests": str(len(results)), "errors": "0"}
    told |= {"failures": str(counts["failed"]), "skipped": str(len(results) - counts["failed"] - counts["passed"])}
    suite = ET.Element("testsuite", told | {"time": f"{sum(result['seconds'] for result in results):.3f}"})
    for result in results:
        about = {"classname": name, "name": f"{result['id']}-{result['check_name']}", "time": f"{result['seconds']:.3f}"}
        case = ET.SubElement(suite, "testcase", about)
        message = "".join(c for c in result["message"] if c.isprintable())  # XML has no words for control characters
        if result["status"] == "failed":
            ET.SubElement(case, "failure", {"message": message}).text = f"again: {result['replay']}"
        elif result["status"] != "passed":
            ET.SubElement(case, "skipped", {"message": f"{result['status']}: {message}"})
    whole = ET.Element("testsuites")
    whole.append(suite)
    ET.indent(whole)
    return ET.tostring(whole, encoding="unicode", xml_declaration=True)


def _table(results: list[dict[str, Any]], tier: str, seed: int) -> str:
    """A line a check; below those that did not pass, why, what is most likely wrong, and the command that runs it again."""
    counts = Counter(result["status"] for result in results)
    told = ", ".join(f"{counts[status]} {status}" for status in _ORDER if counts[status])
    lines = [f"{type(results[0]['estimator']).__name__}, {tier} tier, seed {seed}: {told}"]
    first: dict[str, str] = {}  # an error in the author's code -> the check that met it first
    for result in results:
        p = "" if result["p_value"] in (None, 0.0, 1.0) else f"p = {result['p_value']:.2g}"
        lines.append(
            f"{result['id']:4s} {result['check_name']:24s} {result['status']:12s} {result['seconds']:6.2f} s  {p}".rstrip()
        )
        if result["status"] == "passed":
            continue
        met = first.setdefault(result["message"], result["check_name"])
        lines.append(f"     {result['message'] if met == result['check_name'] else f'the same as in {met}'}")
        if result["status"] in ("failed", "inconclusive"):
            lines.append(f"     again: {result['replay']}")
    if tier == "quick" and len(results) > 1:
        left = [check.name for check in checks_for("full") if check.full_only]
        lines.append(
            f"{len(left)} checks are left for --tier full, which is to pass before a model is published: {', '.join(left)}."
        )
    return "\n".join(lines)


def run(
    name_or_path: str,
    tier: str = "quick",
    seed: int = 0,
    form: Literal["text", "json", "junit"] = "text",
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
    form : {"text", "json", "junit"}
        A table, a JSON list of the results, or JUnit's XML.
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
    if form == "json":
        text = json.dumps([_plain(result) for result in results], indent=2)
    else:
        text = _junit(results, tier) if form == "junit" else _table(results, tier, seed)
    return text, int(failed)
