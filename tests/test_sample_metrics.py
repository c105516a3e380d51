"""Metrics of generated rows against closed forms, brute force, and generators with a planted fault."""

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import sqrtm
from scipy.stats import binom, kstest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

from skgen import GaussianMixture
from skgen.evaluate import (
    category_coverage,
    classifier_two_sample,
    frechet_distance,
    maximum_mean_discrepancy,
    memorisation,
    precision_recall,
    sample_report,
    train_on_synthetic,
)
from skgen.evaluate.features import points
from skgen.evaluate.samples import auc_with_error


def as_is(X):
    return X


# ---- features


def mixed(n, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "size": rng.normal(50, 10, n),
            "count": rng.poisson(20, n),
            "colour": pd.Categorical(rng.choice(["red", "green", "blue"], n)),
            "wet": rng.random(n) < 0.3,
        }
    )


def test_levels_that_differ_are_as_far_as_two_independent_numbers():
    frame = mixed(4000)
    (P,) = points(None, frame)
    assert P.shape == (4000, 1 + 1 + 3 + 1)
    first, second = P[:2000], P[2000:]
    square = np.square(first - second)
    assert square[:, 0].mean() == pytest.approx(2, abs=0.2)  # E (z - z')^2 = 2
    assert square[:, 1].mean() == pytest.approx(2, abs=0.2)
    same = frame["colour"].cat.codes.to_numpy()[:2000] == frame["colour"].cat.codes.to_numpy()[2000:]
    np.testing.assert_allclose(square[:, 2:5].sum(axis=1), np.where(same, 0, 2))
    apart = frame["wet"].to_numpy()[:2000] != frame["wet"].to_numpy()[2000:]
    np.testing.assert_allclose(square[:, 5], 2 * apart)


def test_missing_cells_and_unknown_levels_are_marked():
    real, new = mixed(50), mixed(50, seed=1)
    new["colour"] = new["colour"].astype(object).where(np.arange(50) > 0, "purple")
    new.loc[1, "size"] = np.nan
    P, Q = points(None, real, new)
    assert P.shape[1] == Q.shape[1] == 6 + 2  # a mark each for size and colour
    assert np.isfinite(Q).all()
    assert Q[1, 1] == 1
    assert Q[:, 1].sum() == 1
    assert P[:, 1].sum() == 0


def test_frames_are_matched_by_name_and_others_refused():
    real = mixed(50)
    P, Q = points(None, real, real[real.columns[::-1]])
    np.testing.assert_array_equal(P, Q)
    with pytest.raises(ValueError, match="'wet' of the real rows is not in the other table"):
        points(None, real, real.drop(columns="wet"))
    with pytest.raises(ValueError, match="3 and 2 columns"):
        points(None, np.eye(3), np.eye(2))


def test_features_may_be_transformer_classifier_or_function():
    X = np.random.default_rng(0).normal(size=(60, 3))
    pca = PCA(2).fit(X)
    np.testing.assert_array_equal(points(pca, X)[0], pca.transform(X))
    classifier = LogisticRegression().fit(X, X[:, 0] > 0)
    np.testing.assert_allclose(points(classifier, X)[0], classifier.predict_log_proba(X), atol=1e-9)
    np.testing.assert_array_equal(points(as_is, X)[0], X)
    for wrong, match in ((PCA, "is a class"), ("pca", "must be None"), (lambda X: X[1:], "one finite row")):
        with pytest.raises(ValueError, match=match):
            points(wrong, X)


# ---- classifier two-sample test


def test_two_sample_p_value_is_that_of_the_binomial_and_uniform_under_equality():
    rng = np.random.default_rng(0)
    found = [
        classifier_two_sample(*rng.normal(size=(2, 120, 2)), classifier="logistic", features=as_is, random_state=i)
        for i in range(200)
    ]
    one = found[0]
    right = round(one.accuracy * one.n_test)
    assert one.p_value == pytest.approx(binom.sf(right - 1, one.n_test, 0.5))
    assert np.mean([f.accuracy for f in found]) == pytest.approx(0.5, abs=0.01)
    assert np.mean([f.auc for f in found]) == pytest.approx(0.5, abs=0.012)
    assert np.mean([f.p_value < 0.1 for f in found]) < 0.17  # .1 + 3 sd
    assert np.mean([f.low <= 0.5 <= f.high for f in found]) > 0.9


def test_two_sample_of_disjoint_rows_is_one_and_of_copies_below_a_half():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(400, 2))
    apart = classifier_two_sample(real, real + 100, classifier="logistic", random_state=0)
    assert apart.accuracy == apart.auc == 1.0
    assert apart.p_value < 1e-20
    from sklearn.neighbors import KNeighborsClassifier

    assert classifier_two_sample(real, real, classifier=KNeighborsClassifier(1), random_state=0).accuracy < 0.35


def test_two_sample_sees_a_lost_correlation():
    rng = np.random.default_rng(0)
    real = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], 1000)
    assert classifier_two_sample(real, rng.normal(size=(1000, 2)), random_state=0).low > 0.6
    with pytest.raises(ValueError, match="'forest' must be one of"):
        classifier_two_sample(real, real, classifier="forest")
    with pytest.raises(ValueError, match="at least 4"):
        classifier_two_sample(real, real[:3])


def test_auc_is_a_count_of_pairs_and_its_error_that_of_repeats():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 6, 40).astype(float), rng.integers(0, 5, 30).astype(float)
    pairs = (a[:, None] > b) + 0.5 * (a[:, None] == b)
    auc, error = auc_with_error(a, b)
    assert auc == pytest.approx(pairs.mean())
    # DeLong: the variance of the two marginal means
    assert error**2 == pytest.approx(pairs.mean(axis=1).var(ddof=1) / 40 + pairs.mean(axis=0).var(ddof=1) / 30)
    many = [auc_with_error(rng.normal(0.5, 1, 80), rng.normal(0, 1, 60)) for _ in range(400)]
    assert np.mean([e for _, e in many]) == pytest.approx(np.std([v for v, _ in many]), rel=0.15)
    assert auc_with_error(np.array([0.0, -np.inf]), np.array([-np.inf]))[0] == 0.75


# ---- maximum mean discrepancy


def by_hand(P, Q, bandwidths):
    def kernel(x, y):
        return np.mean([np.exp(-np.sum((x - y) ** 2) / (2 * w * w)) for w in bandwidths])

    def within(X):
        return np.mean([kernel(a, b) for i, a in enumerate(X) for j, b in enumerate(X) if i != j])

    return within(P) + within(Q) - 2 * np.mean([kernel(a, b) for a in P for b in Q])


def test_mmd_by_hand():
    rng = np.random.default_rng(0)
    P, Q = rng.normal(size=(9, 2)), rng.normal(1, 2, size=(7, 2))
    found = maximum_mean_discrepancy(P, Q, features=as_is, random_state=0)
    assert found.value == pytest.approx(by_hand(P, Q, found.bandwidths), abs=1e-12)
    both = np.concatenate([P, Q])
    middle = np.median([np.linalg.norm(a - b) for i, a in enumerate(both) for b in both[:i]])
    np.testing.assert_allclose(found.bandwidths, middle * np.array([0.25, 0.5, 1, 2, 4]))


def test_mmd_is_unbiased_and_its_p_value_uniform_where_distributions_are_equal():
    rng = np.random.default_rng(0)
    found = [maximum_mean_discrepancy(*rng.normal(size=(2, 40, 2)), features=as_is, random_state=i) for i in range(200)]
    values = np.array([f.value for f in found])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(200)  # the biased one would be at + 2 (1 - E k) / n
    assert (values < 0).mean() > 0.3
    assert kstest([f.p_value for f in found], "uniform").pvalue > 0.01


def test_mmd_of_two_normals_in_closed_form():
    rng = np.random.default_rng(0)
    n = 2000
    P, Q = rng.normal(size=(n, 1)), rng.normal(1.5, 1, size=(n, 1))
    found = maximum_mean_discrepancy(P, Q, features=as_is, n_permutations=0, max_rows=None)
    with pytest.raises(ValueError, match="n_permutations=-1 must be an int >= 0"):
        maximum_mean_discrepancy(P, Q, features=as_is, n_permutations=-1)
    # E exp(-d^2 / 2 w^2), d ~ N(m, 2): w / sqrt(w^2 + 2) exp(-m^2 / 2 (w^2 + 2))
    w = np.array(found.bandwidths)
    height = w / np.sqrt(w**2 + 2)
    assert found.value == pytest.approx((2 * height * (1 - np.exp(-(1.5**2) / (2 * (w**2 + 2))))).mean(), rel=0.1)
    assert np.isnan(found.p_value)


def test_mmd_of_tables_full_of_equal_rows():
    assert maximum_mean_discrepancy(np.zeros((20, 2)), np.zeros((20, 2)), features=as_is).p_value == 1.0
    with pytest.raises(ValueError, match="at least 2"):
        maximum_mean_discrepancy(np.zeros((1, 2)), np.zeros((20, 2)))


# ---- Frechet distance


def test_frechet_distance_of_known_moments():
    rng = np.random.default_rng(0)
    d = 4
    draws = []
    for _ in range(2):
        mean, A = rng.normal(size=d), rng.normal(size=(d, d))
        Z = rng.normal(size=(50, d))
        Z = np.linalg.solve(np.linalg.cholesky(np.cov(Z - Z.mean(0), rowvar=False)), (Z - Z.mean(0)).T).T  # moments 0 and I
        draws.append((mean, A @ A.T, mean + Z @ A.T))
    (m, S, P), (k, T, Q) = draws
    expected = np.sum((m - k) ** 2) + np.trace(S + T - 2 * np.real(sqrtm(S @ T)))
    assert frechet_distance(P, Q, features=as_is) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(P, P, features=as_is) == pytest.approx(0, abs=1e-9)
    # one dimension: (m - m')^2 + (s - s')^2; a constant column and more columns than rows have singular covariances
    x, y = np.array([[0.0], [2.0]]), np.array([[10.0], [16.0]])
    assert frechet_distance(x, y, features=as_is) == pytest.approx(12**2 + (np.sqrt(2) - np.sqrt(18)) ** 2)
    wide = rng.normal(size=(5, 20))
    assert frechet_distance(wide, wide + 1, features=as_is) == pytest.approx(20)


# ---- neighbours


@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_recall_by_brute_force(k):
    rng = np.random.default_rng(k)
    P, Q = rng.integers(0, 6, (40, 2)).astype(float), rng.integers(2, 9, (40, 2)).astype(float)  # ties and copies

    def radii(X):
        return np.array([np.sort([np.linalg.norm(a - b) for b in X])[k] for a in X])

    r, s = radii(P), radii(Q)
    in_real = np.array([[np.linalg.norm(q - p) <= r[i] for i, p in enumerate(P)] for q in Q])
    in_new = np.array([[np.linalg.norm(p - q) <= s[j] for j, q in enumerate(Q)] for p in P])
    found = precision_recall(P, Q, features=as_is, k=k)
    assert found.precision == pytest.approx(in_real.any(axis=1).mean())
    assert found.recall == pytest.approx(in_new.any(axis=1).mean())
    assert found.density == pytest.approx(in_real.sum() / (k * 40))
    assert found.coverage == pytest.approx(in_real.any(axis=0).mean())


def test_density_and_coverage_of_equal_distributions_are_as_in_the_paper():
    rng = np.random.default_rng(0)
    found = [precision_recall(*rng.normal(size=(2, 300, 3)), features=as_is, k=5, random_state=0) for _ in range(20)]
    # Naeem et al. 2020, lemma 1 and 2: E density = 1; E coverage = 1 - (n-1)...(n-k) / (2n-1)...(2n-k)
    i = np.arange(1, 6)
    assert np.mean([f.coverage for f in found]) == pytest.approx(1 - np.prod((300 - i) / (600 - i)), abs=0.006)
    assert np.mean([f.density for f in found]) == pytest.approx(1, abs=0.02)


def test_a_lost_mode_costs_recall_and_noise_costs_precision():
    rng = np.random.default_rng(0)
    modes = np.where(rng.random((600, 1)) < 0.5, -8.0, 8.0)
    real, right = modes + rng.normal(size=(600, 2)), modes + rng.normal(size=(600, 2))
    halves = precision_recall(real, right, random_state=0)
    lost = precision_recall(real, 8 + rng.normal(size=(600, 2)), random_state=0)
    noisy = precision_recall(real, modes + 4 * rng.normal(size=(600, 2)), random_state=0)
    assert min(halves.precision, halves.recall, halves.coverage) > 0.9
    assert lost.precision > 0.9
    assert max(lost.recall, lost.coverage) < 0.65
    assert noisy.precision < 0.6
    assert noisy.recall > 0.9
    with pytest.raises(ValueError, match="k=0"):
        precision_recall(real, right, k=0)
    with pytest.raises(ValueError, match="lower k"):
        precision_recall(real[:5], right, k=5)


def test_memorisation_counts_nearest_rows_and_its_z_is_that_of_random_divisions():
    rng = np.random.default_rng(0)
    train, held, new = rng.normal(size=(60, 2)), rng.normal(size=(40, 2)), rng.normal(size=(200, 2))
    found = memorisation(train, new, held, features=as_is)
    both = np.concatenate([train, held])
    nearest = NearestNeighbors(n_neighbors=1).fit(both).kneighbors(new, return_distance=False)[:, 0]
    assert found.share == pytest.approx((nearest < 60).mean())
    assert found.expected == 0.6
    counts = np.bincount(nearest, minlength=100)
    shuffled = np.array([counts[rng.permutation(100)[:60]].sum() for _ in range(20_000)]) / 200
    assert found.z == pytest.approx((found.share - shuffled.mean()) / shuffled.std(), abs=0.05)
    assert found.copies == found.held_out_copies == 0


def test_memorisation_is_standard_normal_where_nothing_was_learnt_by_heart_and_large_where_it_was():
    rng = np.random.default_rng(0)
    z = [memorisation(*(rng.normal(size=(n, 2)) for n in (80, 150, 50)), features=as_is).z for _ in range(300)]
    assert abs(np.mean(z)) < 0.2
    assert np.std(z) == pytest.approx(1, abs=0.12)
    train, held = rng.normal(size=(80, 2)), rng.normal(size=(50, 2))
    near = memorisation(train, train + rng.normal(0, 0.02, size=(80, 2)), held, features=as_is)
    assert near.z > 4
    assert near.copies == 0
    assert memorisation(train, held, held, features=as_is).z < -4
    # two rows alike, one on each side, share what falls to them
    twice = memorisation(np.zeros((1, 1)), np.zeros((10, 1)), np.zeros((1, 1)), features=as_is)
    assert (twice.share, twice.expected, twice.z) == (0.5, 0.5, 0.0)


# ---- what they are good for


def test_training_on_draws_of_the_truth_is_as_good_as_on_real_rows_and_on_wrong_labels_it_is_not():
    rng = np.random.default_rng(0)

    def rows(n):
        y = rng.integers(0, 2, n)
        return rng.normal(size=(n, 2)) + 2.0 * y[:, None], np.array(["no", "yes"])[y]

    (X, y), (A, a), (T, t) = rows(500), rows(500), rows(2000)
    table = train_on_synthetic(X, y, A, a, T, t, random_state=0)
    bayes = 0.9214  # Phi(sqrt(2)): two normals at distance sqrt(8)
    np.testing.assert_allclose(table.loc[["logistic"]], bayes, atol=0.02)
    np.testing.assert_allclose(table.loc[["boosting"]], bayes, atol=0.05)
    assert table.loc["most frequent class"].max() < 0.55
    wrong = train_on_synthetic(X, y, A, rng.permutation(a), T, t, classifiers="logistic", random_state=0)
    assert wrong.loc["logistic", "generated"] < 0.8
    one = train_on_synthetic(X, y, A, np.repeat("no", 500), T, t, classifiers="logistic", random_state=0)
    assert one.loc["logistic", "generated"] == pytest.approx((t == "no").mean())
    with pytest.raises(ValueError, match="y_generated has shape"):
        train_on_synthetic(X, y, A, a[1:], T, t)
    with pytest.raises(ValueError, match="Unknown label type of y_train"):
        train_on_synthetic(X, rng.normal(size=500), A, a, T, t)
    with pytest.raises(ValueError, match=r"No label of y_generated \(0, ...\) occurs in y_test"):
        train_on_synthetic(X, y, A, np.arange(500) % 2, T, t)


def test_levels_lost_are_counted_and_named():
    real = pd.DataFrame({"a": ["x"] * 95 + ["y"] * 4 + ["z"], "b": [True] * 99 + [False], "c": np.arange(100.0)})
    new = pd.DataFrame({"a": ["x"] * 9 + ["y"], "b": [True] * 10, "c": np.arange(10.0)})
    found = category_coverage(real, new, rare=0.04)
    assert found.share == 3 / 5
    assert found.lost == [("a", "z"), ("b", False)]
    assert (found.n_rare, found.rare) == (3, 1 / 3)
    assert found.expected_rare == pytest.approx(np.mean([1 - 0.96**10, 1 - 0.99**10, 1 - 0.99**10]))
    assert category_coverage(real, real.head(1)).lost == [("a", "y"), ("a", "z"), ("b", False)]  # the most frequent first
    assert np.isnan(category_coverage(np.random.default_rng(0).normal(size=(9, 2)), np.eye(2)).share)
    other = pd.DataFrame({"a": ["x", "v", None, "y"], "b": [True, False, True, True], "c": np.arange(4.0)})
    assert category_coverage(real, other).foreign == 0.25  # a missing cell is none
    assert category_coverage(real, real).foreign == 0
    with pytest.raises(ValueError, match=r"rare=2 must be a share between 0 and 1\."):
        category_coverage(real, new, rare=2)


def test_what_is_expected_of_rare_levels_is_what_draws_keep():
    rng = np.random.default_rng(0)
    p = np.array([0.9, 0.08, 0.01, 0.01])
    real = pd.DataFrame({"a": np.repeat(list("abcd"), [90, 8, 1, 1])})
    found = [category_coverage(real, pd.DataFrame({"a": rng.choice(list("abcd"), 100, p=p)})) for _ in range(300)]
    assert np.mean([f.rare for f in found]) == pytest.approx(found[0].expected_rare, abs=0.06)


# ---- all of them


def labelled(n, seed):
    rng = np.random.default_rng(seed)
    frame = mixed(n, seed)
    y = rng.integers(0, 2, n)
    frame["size"] += 25 * y
    return frame, y


def test_report_tells_a_right_generator_from_wrong_ones():
    (X, y), (new, z), (train, _) = labelled(600, 0), labelled(600, 1), labelled(300, 2)
    right = sample_report(X, new, y_real=y, y_generated=z, X_train=train, random_state=0).to_frame()
    for metric, tolerance in (("two-sample AUC", 0.08), ("precision", 0.06), ("recall", 0.06), ("coverage", 0.06)):
        assert right.loc[metric, "generated"] == pytest.approx(right.loc[metric, "real"], abs=tolerance)
    assert right.loc["levels kept", "generated"] == 1
    assert abs(right.loc["MMD^2", "generated"]) < 0.005
    assert abs(right.loc["nearer to rows learnt from", "generated"]) < 0.06
    assert abs(right.loc["z of that", "generated"]) < 3
    assert right.loc["copies of rows learnt from", "generated"] == right.loc["foreign rows", "generated"] == 0
    assert right.loc["trained on it: logistic", "generated"] > 0.8
    known = sample_report(X, train, X_train=train, random_state=0).to_frame()
    assert known.loc["copies of rows learnt from", "generated"] == 1
    assert known.loc["z of that", "generated"] > 5 > 3 > known.loc["z of that", "real"]
    strange = new.assign(colour="pink")
    assert sample_report(X, strange, random_state=0).to_frame().loc["foreign rows", "generated"] == 1

    wrong = new.copy()
    wrong["colour"] = "red"
    report = sample_report(X, wrong, y_real=y, y_generated=1 - z, X_train=train, random_state=0)
    table = report.to_frame()
    assert table.loc["two-sample AUC", "generated"] > 0.7
    assert table.loc["levels kept", "generated"] < 1
    assert table.loc["coverage", "generated"] < table.loc["coverage", "real"] - 0.2
    assert table.loc["trained on it: logistic", "generated"] < 0.2
    assert "two-sample AUC" in str(report)
    by_heart = sample_report(X, train, X_train=train, random_state=0).to_frame()
    assert by_heart.loc["nearer to rows learnt from", "generated"] > 0.4


def test_report_is_reproducible_and_leaves_the_global_generator_alone():
    X = np.random.default_rng(0).normal(size=(120, 2))
    new = GaussianMixture(n_components=1, random_state=0).fit(X).sample(120)
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (sample_report(X, new, n_repeats=1, random_state=5).to_frame() for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    assert not {"levels kept", "nearer to rows learnt from"} & set(first.index)
    with pytest.raises(ValueError, match="go together"):
        sample_report(X, new, y_real=np.zeros(120))
    with pytest.raises(ValueError, match="n_repeats=0"):
        sample_report(X, new, n_repeats=0)


def test_polars_frames():
    pl = pytest.importorskip("polars")
    frame = mixed(80)
    other = pl.DataFrame({name: frame[name].astype(str).tolist() if name == "colour" else frame[name].tolist() for name in frame})
    np.testing.assert_allclose(points(None, other)[0].std(axis=0), points(None, frame)[0].std(axis=0))
    assert precision_recall(other, other).precision == 1.0
