"""The kit's checks of columns given others, classes beside others and fits side by side: right models, bugs seen by one."""

from __future__ import annotations

import signal
import sys
import threading

import planted
import planted_joint
import planted_running
import pytest

from skgen.testing import check_generative
from skgen.testing.run import checks_for, run_check
from skgen.testing.subject import Subject

NEW = ("conditionals_uniform", "conditional_calibrated", "labelled_vs_split", "interrupt", "threads", "processes")


def one(model, name, **how):
    """The result of one check."""
    [result] = check_generative(model, only=name, on_fail=None, on_skip=None, **how)
    return result


@pytest.mark.parametrize(
    ("model", "skipped"),
    [
        (planted_joint.TinyMarginal, set()),
        (planted_joint.TinySuffix, set()),
        (planted_joint.TinyOrdered, {"conditional_calibrated"}),
        (planted.TinyBernoulli, {"conditional_calibrated"}),
        (planted_running.KeepsTheBest, {"conditionals_uniform", "conditional_calibrated"}),
    ],
)
def test_right_models_pass(model, skipped):
    subject = Subject(model)
    for name in NEW:
        [check] = checks_for("full", name)
        result = run_check(check, subject)
        assert result["status"] == ("skipped" if name in skipped else "passed"), result["message"]


@pytest.mark.parametrize(
    ("model", "seen_by"),
    [
        (planted_joint.WideCdf, "conditionals_uniform"),
        (planted_joint.IgnoresEvidence, "conditional_calibrated"),
        (planted_joint.ClassBefore, "labelled_vs_split"),
        (planted_running.Swallows, "interrupt"),
        (planted_running.KeepsTheBatch, "threads"),
        (planted_running.ReadsTheProcess, "processes"),
    ],
)
def test_no_other_check_sees_it(model, seen_by):
    subject = Subject(model)
    asked = [c for c in checks_for("quick") if c.id not in ("C1", "C4", "C7", "C13")]  # those take longest, and look elsewhere
    failed = {c.name for c in asked if run_check(c, subject)["status"] == "failed"}
    assert failed == {seen_by}


def test_skips_say_why():
    assert "conditional_cdf" in one(planted.TinyGaussian, "S5")["message"]
    assert "missing = 'none'" in one(planted.TinyGaussian, "S6")["message"]
    assert "cannot draw missing cells" in one(planted.TinyBernoulli, "S6")["message"]
    told = []
    thread = threading.Thread(target=lambda: told.append(one(planted.TinyGaussian, "C9")))
    thread.start()
    thread.join()
    assert told[0]["status"] == "skipped"
    assert "main thread" in told[0]["message"]


@pytest.mark.parametrize("model", [planted.TinyGaussian, planted_running.Swallows])
def test_the_process_is_left_as_it_was(model):
    before = signal.getsignal(signal.SIGINT), sys.getprofile(), sys.getswitchinterval()
    for name in ("interrupt", "threads"):
        one(model, name)
    assert (signal.getsignal(signal.SIGINT), sys.getprofile(), sys.getswitchinterval()) == before
