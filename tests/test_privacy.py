"""The privacy report: models that repeat their rows are caught, one that generalises is not, and its numbers are right."""

import inspect
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import skgen
from skgen import KDE, GaussianMixture, GenerativeModel, NaiveBayes
from skgen.evaluate import PrivacyWarning, memorisation, privacy_report


class Bootstrap(GenerativeModel):
    """Draws the rows it was given; its density is a normal that fits, so that log p alone says nothing."""

    kinds = frozenset({"continuous", "categorical", "integer", "binary"})
    likelihood = "estimate"
    missing = "none"
    blur: float = 0.0

    def _fit(self, X, weight, rng):
        self._rows = X.copy()

    def _log_prob(self, X):
        return -0.5 * np.square(X).sum(axis=1)

    def _sample(self, n, rng):
        return self._rows[rng.integers(len(self._rows), size=n)] + self.blur * rng.standard_normal((n, self._rows.shape[1]))


class OnlyDraws(Bootstrap):
    """The same without a density."""

    def _log_prob(self, X):
        raise NotImplementedError("no density")


@pytest.fixture(scope="module")
def halves():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1600, 4)) @ rng.normal(size=(4, 4))
    return X[:800], X[800:]


def quietly(model, train, held, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrivacyWarning)
        return privacy_report(model, train, held, **kwargs)


def test_a_bootstrap_is_caught_although_its_density_gives_nothing_away(halves):
    train, held = halves
    with pytest.warns(PrivacyWarning, match="Bootstrap gives away"):
        report = privacy_report(Bootstrap().fit(train), train, held, random_state=0)
    table = report.to_frame()
    low, high = table.loc["membership by log p, AUC", ["low", "high"]]
    assert low < 0.5 < high
    assert table.loc["draws nearer to a row learnt from", "value"] == 1.0
    assert table.loc["draws nearer to a row learnt from", "z"] > 10
    assert table.loc["draws equal to a row learnt from", "value"] == 1.0
    assert table.loc["draws equal to a row learnt from", "unlearnt"] == 0.0
    # 2,000 draws of 800 rows leave a share exp(-2.5) of them out; these are told as held-out rows are
    assert table.loc["membership by draws, AUC", "value"] == pytest.approx(1 - 0.5 * np.exp(-2.5), abs=0.01)
    assert table.loc["membership by draws, found at 1 % false", "value"] == pytest.approx(1 - np.exp(-2.5), abs=0.03)
    assert table.loc["distance of a draw to the nearest row, median", "value"] == pytest.approx(0, abs=1e-12)
    assert [finding.split(":")[0] for finding in report.findings] == ["Membership", "Nearness", "Copies"]


def test_a_bootstrap_with_noise_makes_no_copies_and_is_caught(halves):
    train, held = halves
    report = quietly(Bootstrap(blur=0.03).fit(train), train, held, random_state=0)
    assert report.to_frame().loc["draws equal to a row learnt from", "value"] == 0
    assert any(finding.startswith("Nearness") for finding in report.findings)


def test_a_model_that_only_draws_has_the_other_attacks(halves):
    report = quietly(OnlyDraws().fit(halves[0]), *halves, random_state=0)
    assert not any("log p" in name for name in report.to_frame().index)
    assert len(report.findings) == 3


def test_a_mixture_that_fits_is_not_accused_and_one_of_too_many_components_is(halves):
    train, held = halves
    for seed in range(5):  # and no warning, which would be an error
        assert privacy_report(GaussianMixture(n_components=3, random_state=seed).fit(train), train, held).findings == []
    crowded = GaussianMixture(n_components=80, shrinkage=0, random_state=0).fit(train)
    report = quietly(crowded, train, held, random_state=0)
    assert report.to_frame().loc["membership by log p, AUC", "low"] > 0.6
    assert len(report.findings) >= 2


def test_a_narrow_kernel_is_caught_by_its_density(halves):
    train, held = halves
    report = quietly(KDE(bandwidth=0.02).fit(train), train, held, random_state=0)
    assert report.to_frame().loc["membership by log p, AUC", "value"] > 0.99
    assert report.to_frame().loc["membership by log p, found at 1 % false", "value"] > 0.95


def test_membership_is_scikit_learns_auc(halves):
    train, held = halves
    model = GaussianMixture(n_components=20, random_state=0).fit(train)
    value = quietly(model, train, held, random_state=0).to_frame().loc["membership by log p, AUC", "value"]
    scores = np.concatenate([model.score_samples(train), model.score_samples(held)])
    assert value == pytest.approx(roc_auc_score(np.repeat([1, 0], 800), scores), abs=1e-12)


def crowd(n, seed):
    """A table of levels in which most combinations occur once."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({c: pd.Categorical(rng.choice(list("abcdefgh"), n), categories=list("abcdefgh")) for c in "pqrst"})


def test_rare_combinations_of_levels_are_caught_and_chance_is_not():
    train, held = crowd(600, 0), crowd(500, 1)
    caught = quietly(Bootstrap().fit(train), train, held, random_state=0)
    assert any(finding.startswith("Rare combinations") for finding in caught.findings)
    assert any(finding.startswith("Copies") for finding in caught.findings)
    table = caught.to_frame()
    assert table.loc["rare combinations repeated", "value"] == pytest.approx(1 - np.exp(-2000 / 600), abs=0.03)
    fair = privacy_report(NaiveBayes(random_state=0).fit(train), train, held, n_samples=4000, random_state=0)
    assert fair.findings == []
    row = fair.to_frame().loc["draws equal to a row learnt from"]
    # of 8^5 equally likely rows a draw hits one of n with probability n / 8^5
    assert row["value"] == pytest.approx(600 / 8**5, abs=0.006)
    assert row["unlearnt"] == pytest.approx(500 / 8**5, abs=0.006)


def test_repeated_rows_of_a_small_table_are_no_copies():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.random(800) < 0.3, "b": rng.integers(0, 4, 800)})
    report = privacy_report(NaiveBayes(random_state=0).fit(X[:400]), X[:400], X[400:], random_state=0)
    assert report.to_frame().loc["draws equal to a row learnt from", "value"] == 1.0
    assert abs(report.to_frame().loc["draws equal to a row learnt from", "z"]) < 2  # shared by all rows that are equal
    assert "rare combinations repeated" not in report.to_frame().index  # none occurs once
    assert report.findings == []


def test_report_is_reproducible_and_prints(halves):
    model = GaussianMixture(n_components=2, random_state=0).fit(halves[0])
    first, second = (privacy_report(model, *halves, n_samples=300, random_state=1) for _ in range(2))
    pd.testing.assert_frame_equal(first.to_frame(), second.to_frame())
    assert "no guarantee" in str(first)
    assert "None of these attacks" in str(first)


def test_what_cannot_be_reported_is_refused(halves):
    train, held = halves
    model = GaussianMixture(random_state=0).fit(train)
    with pytest.raises(ValueError, match="n_samples=0"):
        privacy_report(model, train, held, n_samples=0)
    with pytest.raises(ValueError, match="at least 2 of each"):
        privacy_report(model, train, held[:1])
    with pytest.raises(ValueError, match="Call 'fit'"):
        privacy_report(GaussianMixture(), train, held)


def test_no_promise_is_made_by_a_word():
    word = "anonym" + "ous"
    sources = [Path(inspect.getfile(privacy_report)), *Path(skgen.__file__).parent.rglob("*.py")]
    sources.append(Path(skgen.__file__).parents[1] / "README.md")
    assert [path.name for path in sources if word in path.read_text().lower()] == []


def test_rows_held_out_must_not_be_rows_learnt_from():
    X = np.random.default_rng(0).normal(size=(200, 3))
    model = skgen.GaussianMixture(random_state=0).fit(X[:100])
    for held in (X[:100], X[50:150]):
        with pytest.raises(ValueError, match="of the rows of X_holdout are rows of X_train"):
            privacy_report(model, X[:100], held, random_state=0)
        with pytest.raises(ValueError, match="of the rows of X_holdout are rows of X_train"):
            memorisation(X[:100], X[:100], held)
    privacy_report(model, X[:100], X[100:], random_state=0)
    coins = np.random.default_rng(0).integers(0, 2, (200, 3))  # rows that repeat one another anyway
    memorisation(coins[:100], coins[:50], coins[100:])
    with pytest.raises(ValueError, match="draws no rows"):
        privacy_report(object(), X[:100], X[100:])
