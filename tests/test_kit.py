"""The kit itself: every check fails a model with a planted bug and passes right ones."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import warnings
from xml.etree import ElementTree as ET

import numpy as np
import planted
import planted_joint
import planted_random
import planted_running
import pytest
from sklearn.exceptions import SkipTestWarning

from skgen.models.explicit.naive_bayes import NaiveBayes
from skgen.testing import CHECKS, CheckFailed, ConformanceWarning, check_generative, parametrize_with_checks, report
from skgen.testing.proposal import Proposal, lattice
from skgen.testing.result import Check, CheckInconclusive, Measured, two_stage
from skgen.testing.run import QUICK_SECONDS, BoundCheck, checks_for, run_check
from skgen.testing.subject import Subject
from skgen.testing.tables import all_tables, table

#: check: the models with a bug that it must find, each with a word of its message.
PLANTED = {
    "density_normalised": {
        planted.TwoPercentHigh: "integrates to 1.02",
        planted.HalfLogDeterminant: "integrates",
        planted.ForgottenJacobian: "integrates",
        planted.LeakyCoins: "integrates",
    },
    "sample_matches_density": {
        planted.CovarianceAsRoot: "of the draws",
        planted.LostCorrelation: "of the draws",
        planted.FairCoins: "of the draws",
        planted.WrongClassShares: "of the draws",
        planted.Bootstrap: "log p",
    },
    "rows_exchangeable": {
        planted.OrderedRows: "position",
        planted.OrderedClasses: "position",
        planted.SlowChain: "row before",
    },
    "not_memorised": {planted.Bootstrap: "training rows", planted.ReusedStream: "repeat another"},
    "conditionals_uniform": {
        planted_joint.ForgetsPrefix: "F(x_j | x_<j)",
        planted_joint.ReusedNoise: "correlate",
        planted_joint.WideCdf: "off uniform",
        planted_joint.PercentCdf: "numbers from 0 to 1",
    },
    "conditional_calibrated": {
        planted_joint.IgnoresEvidence: "ranks among",
        planted_joint.PriorWeights: "log p ranks",
        planted_joint.FillsTheMean: "ranks among",
        planted_joint.MovesTheEvidence: "observed cell",
    },
    "moments_of_missing": {
        planted_joint.NoMoments: "off by",
        planted_joint.HalfTheSpread: "in variances",
    },
    "labelled_vs_split": {
        planted_joint.MixedUpClasses: "under another's",
        planted_joint.LastClassOverwrites: "under another's",
        planted_joint.ClassBefore: "opposite order",
        planted_joint.LearnsFromOthers: "alone",
    },
    "bound_valid": {planted.AboveLogP: "above one", planted.FallsWithDraws: "it falls"},
    "marginal_consistent": {planted.FilledIn: "off the marginal", planted.FilledCoins: "off the marginal"},
    "bayes_identity": {
        planted.NoPrior: "Bayes' rule",
        planted.DoubledPrior: "Bayes' rule",
        planted.FrozenPrior: "shares",
        planted.Underflow: "finite",
    },
    "unit_change": {planted.AbsoluteRidge: "times", planted.ForgottenJacobian: "times"},
    "column_permutation": {planted.FirstColumnLeads: "reversed", planted_random.FirstIsConstant: "reversed: mean log p"},
    "row_permutation": {
        planted.ReadsOrder: "shuffled",
        planted.CountsRows: "half the weight",
        planted.IgnoresWeights: "weights 0, 1, 5",
        planted_random.SharesOfRows: "half the weight: mean log p",
        planted_random.GlimpsesOfRows: "rows repeated: mean log p",
    },
    "sklearn_checks": {planted.ReturnsNothing: "scikit-learn's checks fail"},
    "sample_contract": {
        planted.AlwaysArray: "DataFrame",
        planted.AtLeastOne: "n_components",
        planted.Truncates: "2.5",
    },
    "random_state": {planted.SeedsEverything: "global", planted.DrawsGlobally: "different rows"},
    "copies": {planted.ForgetsOnPickle: "answers differently", planted.KeepsALambda: "pickle"},
    "skops_file": {planted.ForgetsOnPickle: "answers differently"},
    "skgen_file": {planted.KeepsALambda: ""},
    "batches": {planted.BatchCentred: "one by one"},
    "containers": {planted.WritesIntoX: "changes the array", planted.ReadsMemoryOrder: "Fortran"},
    "hostile_tables": {planted.Singular: "LinAlgError", planted.NanFarOut: "nan", planted.LooksUp: "KeyError"},
    "labels": {planted.CodesForLabels: "predict gives", planted.OneClassIsTooFew: "classes"},
    "refit": {planted.KeepsClasses: "classes_", planted.LosesTheOldFit: "changes the model"},
    "interrupt": {
        planted_running.Swallows: "fit returns",
        planted_running.Deaf: "fit returns",
        planted_running.Lingers: "s after SIGINT",
        planted_running.HalfAFit: "neither as before nor whole",
        planted_running.HalfAFirstFit: "neither unfitted nor whole",
    },
    "threads": {planted_running.SharedScratch: "eight threads", planted_running.KeepsTheBatch: "asked from several threads"},
    "processes": {planted_running.ReadsTheProcess: "two processes", planted_running.StreamOfTheWorker: "n_jobs=2"},
    "chunks": {planted.ChunkSized: "working_memory"},
    "memory": {planted.AllAtOnce: "MB"},
    "traits": {planted.SaysExact: "finite log p", planted.TakesAnything: "NaN"},
    "imports": {},  # see test_imports
}
RIGHT = (planted.TinyGaussian, planted.TinyBernoulli, NaiveBayes)
#: What takes minutes of other people's code or millions of rows, for right models too.
LONG = {"memory", "sklearn_checks", "skops_file"}


def one(model, name, **how):
    """The result of one check."""
    [result] = check_generative(model, only=name, on_fail=None, on_skip=None, **how)
    return result


def _cases():
    for name, models in PLANTED.items():
        marks = [pytest.mark.full] if name in LONG - {"sklearn_checks"} else []
        for model, word in models.items():
            yield pytest.param(name, model, word, marks=marks, id=f"{name}-{model.__name__}")


@pytest.mark.parametrize(("name", "model", "word"), list(_cases()))
def test_planted_bug_is_found(name, model, word):
    result = one(model, name)
    if name == "skgen_file" and result["status"] == "skipped":
        pytest.skip(result["message"])
    assert result["status"] == "failed"
    assert word in result["message"]
    assert result["exception"] is not None


def test_every_check_has_a_planted_bug():
    assert set(PLANTED) == set(CHECKS)


@pytest.mark.parametrize("model", RIGHT)
def test_right_models_pass(model):
    subject = Subject(model, tier="quick")
    for check in checks_for("full"):
        if check.name not in LONG:
            result = run_check(check, subject)
            assert result["status"] in ("passed", "skipped"), result["message"]


@pytest.mark.full
@pytest.mark.parametrize("model", RIGHT)
def test_right_models_pass_in_full(model):
    for result in check_generative(model, tier="full", on_fail=None, on_skip=None):
        assert result["status"] in ("passed", "skipped"), result["message"]


def test_a_fit_that_draws_is_allowed_what_its_seeds_differ_by():
    for seed in range(4):  # of the kit: other rows twice, other weights
        for name in ("unit_change", "column_permutation", "row_permutation"):
            result = one(planted_random.Glimpses, name, seed=seed)
            assert result["status"] in ("passed", "skipped"), result["message"]


@pytest.mark.parametrize("name", ["rows_exchangeable", "not_memorised"])
def test_kernels_pass(name):
    assert one(planted.TinyKernels, name)["status"] == "passed"


def test_results_have_the_shape_of_scikit_learn():
    result = one(planted.TwoPercentHigh, "S1")
    assert {"estimator", "check_name", "exception", "status", "expected_to_fail", "expected_to_fail_reason"} < set(result)
    assert result["id"] == "S1"
    assert isinstance(result["exception"], CheckFailed)
    assert result["statistic"] == pytest.approx(np.exp(0.02), abs=1e-3)
    assert result["p_value"] < 1e-4
    assert result["replay"].startswith("python -m skgen.testing planted:TwoPercentHigh --only density_normalised")


def test_on_fail_on_skip_and_callback():
    with pytest.raises(CheckFailed, match=r"S1 density_normalised of TwoPercentHigh: failed.*\nAgain: python"):
        check_generative(planted.TwoPercentHigh, only="S1")
    with pytest.warns(ConformanceWarning, match="S1"):
        check_generative(planted.TwoPercentHigh, only="S1", on_fail="warn")
    with pytest.warns(SkipTestWarning, match="missing = 'none'"):
        check_generative(planted.TinyGaussian, only="S7")
    seen = []
    check_generative(planted.TinyGaussian, only="S4", on_fail=None, callback=lambda **result: seen.append(result["status"]))
    assert seen == ["passed"]
    with pytest.raises(ValueError, match="callback"):
        check_generative(planted.TinyGaussian, callback=print)
    with pytest.raises(ValueError, match="on_fail"):
        check_generative(planted.TinyGaussian, on_fail="no")
    with pytest.raises(ValueError, match="no check 'S99'"):
        check_generative(planted.TinyGaussian, only="S99")
    with pytest.raises(ValueError, match="tier"):
        check_generative(planted.TinyGaussian, tier="nightly")
    with pytest.raises(ValueError, match="nothing_like_it"):
        check_generative(planted.TinyGaussian, only="S4", expected_failed_checks={"nothing_like_it": "a typing error"})


def test_all_failures_are_raised_together(monkeypatch):
    from skgen.testing import run

    few = [CHECKS[name] for name in ("sample_matches_density", "rows_exchangeable", "not_memorised")]
    monkeypatch.setattr(run, "checks_for", lambda tier, only=None: few)
    with pytest.raises(CheckFailed, match=r"^2 of 4 checks fail:\nS2 sample_matches_density of Bootstrap: failed") as caught:
        check_generative(planted.Bootstrap, on_skip=None)
    assert "\nS4 not_memorised of Bootstrap: failed" in str(caught.value)
    assert str(caught.value).count("Again: python") == 2


class NeverLearns(planted.TinyGaussian):
    """Its classifier gives one class: scikit-learn's check of that is a bare assert."""

    def predict(self, X):
        return np.full(len(super().predict(X)), self.classes_[0])


def test_a_bare_assert_is_told_by_its_line_and_each_failure_once():
    message = one(NeverLearns, "C1")["message"]
    assert "AssertionError: ;" not in message
    assert message.count("AssertionError: assert accuracy_score(y, y_pred) > 0.83 (line ") == 1
    assert "In check_classifiers_train (task='auto'/'classify')." in message


class GapThatIsThere(planted.Bootstrap):
    known_gaps = {"not_memorised": "draws are training rows"}  # noqa: RUF012


class GapThatWasMended(planted.TinyGaussian):
    known_gaps = {"not_memorised": "draws are training rows", "check_fit_score_takes_y": "mended"}  # noqa: RUF012


def test_known_gaps():
    result = one(GapThatIsThere, "S4")
    assert (result["status"], result["expected_to_fail"]) == ("xfail", True)
    assert result["expected_to_fail_reason"] == "draws are training rows"
    result = one(GapThatWasMended, "S4")
    assert result["status"] == "failed"
    assert "passes now" in result["message"]
    result = one(planted.TwoPercentHigh, "S1", expected_failed_checks={"density_normalised": "2 % high"})
    assert result["status"] == "xfail"
    result = one(GapThatWasMended, "C1")
    assert result["status"] == "failed"
    assert "check_fit_score_takes_y" in result["message"]


def test_seconds_are_counted():
    result = one(planted.Slow, "S4")
    assert result["seconds"] > 0
    subject = Subject(planted.TinyGaussian)
    subject.seconds = 2 * QUICK_SECONDS + 1  # too slow under a tracer as well
    budget = next(c for _, c in _all_items([planted.TinyGaussian]) if c.check.name == "quick_seconds").check
    assert run_check(budget, subject)["status"] == "failed"
    subject.seconds = 1.0
    assert run_check(budget, subject)["status"] == "passed"


def _all_items(models, **how):
    mark = parametrize_with_checks(models, **how)
    return mark.args[1]


def test_parametrize_with_checks():
    items = _all_items([planted.TwoPercentHigh, planted.TinyGaussian])
    assert {repr(check) for _, check in items} >= {"S1-density_normalised", "C1-sklearn_checks", "C0-quick_seconds"}
    assert "S9-unit_change" in {repr(check) for _, check in _all_items([planted.TinyGaussian], tier="full")}
    by_model = {(type(e).__name__, c.check.name): (e, c) for e, c in items}
    estimator, check = by_model["TwoPercentHigh", "density_normalised"]
    with pytest.raises(CheckFailed, match="integrates"):
        check(estimator)
    estimator, check = by_model["TinyGaussian", "density_normalised"]
    assert check(estimator)["status"] == "passed"
    with pytest.raises(pytest.skip.Exception, match="missing"):
        BoundCheck(CHECKS["marginal_consistent"], Subject(planted.TinyGaussian))()
    with pytest.raises(pytest.xfail.Exception, match="training rows"):
        BoundCheck(CHECKS["not_memorised"], Subject(GapThatIsThere))()


@parametrize_with_checks([planted.TinyBernoulli(random_state=1)])
def test_decorator(estimator, check):
    if check.check.name not in LONG:
        check(estimator)


def test_inconclusive_is_never_a_pass():
    def look(subject):
        return subject.settle("vague", [(table("line"), False)], lambda *_: Measured(0.0, 1.0, "10 points", conclusive=False), "")

    subject = Subject(planted.TinyGaussian)
    check = Check("S0", "vague", look)
    assert run_check(check, subject)["status"] == "inconclusive"
    with pytest.raises(CheckInconclusive):
        look(subject)
    with pytest.raises(pytest.skip.Exception, match="inconclusive"):
        BoundCheck(check, subject)()


def test_two_stage():
    asked = []

    def look(p_values):
        def measure(rng, factor):
            asked.append(factor)
            return Measured(1.0, p_values[len(asked) - 1])

        return measure

    assert two_stage(look([0.5]), np.random.default_rng).p_value == 0.5
    assert asked == [1]
    asked.clear()
    assert two_stage(look([1e-5, 0.3]), np.random.default_rng).p_value == 0.3
    assert asked == [1, 4]
    asked.clear()
    assert two_stage(look([1e-5, 1e-6]), np.random.default_rng).p_value == 1e-6


@pytest.mark.parametrize("case", all_tables(), ids=lambda t: t.name)
def test_tables_and_proposals(case):
    codes = case.codes(case.X)
    again = case.wrap(codes)
    assert np.array_equal(case.codes(again), codes)
    if not isinstance(case.X, np.ndarray):
        assert (again.dtypes == case.X.dtypes).all()
    holes = codes[:4].copy()
    holes[1, :] = np.nan
    assert np.array_equal(case.codes(case.wrap(holes)), holes, equal_nan=True)
    states = case.all_states()
    rng = np.random.default_rng(0)
    for n_kernels in (0, 32):
        proposal = Proposal(case, rng, n_kernels)
        if states is not None:  # the proposal's own mass over all states; integers leave a heavy tail outside
            assert np.exp(proposal.log_prob(states)).sum() == pytest.approx(1, abs=3e-4)
            continue
        other = Proposal(case, rng, 32)  # int r = E_q[r / q] for another normalised r
        draws = proposal.draw(lattice(rng, 40_000, proposal.dimensions))
        ratio = np.exp(other.log_prob(draws) - proposal.log_prob(draws))
        assert ratio.mean() == pytest.approx(1, abs=0.05)


def test_imports(tmp_path, monkeypatch):
    assert one(planted.TinyGaussian, "imports")["status"] == "passed"
    (tmp_path / "skgen").mkdir()
    (tmp_path / "skgen" / "__init__.py").write_text("import pandas\n\n\ndef names():\n    return []\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = one(planted.TinyGaussian, "imports")
    assert result["status"] == "failed"
    assert "pandas" in result["message"]
    (tmp_path / "skgen" / "__init__.py").write_text("raise SystemExit(3)\n")
    assert "status 3" in one(planted.TinyGaussian, "imports")["message"]


def test_report(monkeypatch):
    text, code = report.run("naive_bayes", only="S4")
    assert (text.splitlines()[0], code) == ("NaiveBayes, quick tier, seed 0: 1 passed", 0)
    text, code = report.run("planted:Bootstrap", only="S4", seed=3)
    assert code == 1
    assert "again: python -m skgen.testing planted:Bootstrap --only not_memorised --tier quick --seed 3" in text
    text, code = report.run("planted:Bootstrap", only="S4", form="json")
    [result] = json.loads(text)
    assert (result["status"], result["id"], code) == ("failed", "S4", 1)
    text, code = report.run("planted:Bootstrap", only="S4", form="junit")
    suite = ET.fromstring(text)[0]
    assert {key: suite.get(key) for key in ("tests", "failures", "skipped", "errors")} == {
        "tests": "1",
        "failures": "1",
        "skipped": "0",
        "errors": "0",
    }
    assert "draws are training rows" in suite.find("testcase/failure").get("message")
    assert "--only not_memorised" in suite.find("testcase/failure").text
    for name, message in {
        "naive_bays": "Did you mean naive_bayes",
        "no_such_module:Model": "cannot be loaded",
        "planted:NoSuchClass": "cannot be loaded",
        "planted:table": "not a class",
    }.items():
        text, code = report.run(name)
        assert code == 2
        assert message in text
    assert report.run("naive_bayes", only="S99")[1] == 2


def test_an_error_in_the_authors_code_is_told_once_with_its_line(tmp_path, monkeypatch):
    (tmp_path / "broken_model.py").write_text(
        "import numpy as np\nfrom skgen import GenerativeModel\n\n\nclass Broken(GenerativeModel):\n"
        "    def _fit(self, X, weight, rng):\n        self._n = len(X)\n\n"
        "    def _log_prob(self, X):\n        return np.zeros(self._m)\n\n"
        "    def _sample(self, n, rng):\n        return np.zeros((n, 2))\n"
    )
    monkeypatch.chdir(tmp_path)
    text, code = report.run("broken_model:Broken")
    assert code == 1
    said = "'Broken' object has no attribute '_m'. [_log_prob, line 10 of broken_model.py: return np.zeros(self._m)]"
    assert text.count(f"     AttributeError: {said}\n") == 1
    assert "the same as in random_state" in text


def test_every_check_says_what_is_most_likely_wrong():
    silent = [c.name for c in CHECKS.values() if not c.likely]
    assert silent == ["sklearn_checks"]  # scikit-learn's own messages
    text, _ = report.run("planted:Bootstrap", only="S4")
    assert "Likely: " in text


def test_replay_command_runs():
    model = NaiveBayes(alpha=2.5, random_state=4)
    command = one(model, "S4")["replay"]
    assert "--params" in command
    words = [sys.executable, *shlex.split(command)[1:]]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 passed" in done.stdout


def test_an_instance_is_not_changed():
    model = planted.TinyGaussian(random_state=0)
    before = dict(vars(model))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_generative(model, only="S8")
    assert vars(model) == before
