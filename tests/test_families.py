"""Each univariate family: normalised, close to SciPy's, recovered from its own draws, weighted as repeated rows."""

import numpy as np
import pytest
from scipy import integrate, stats

from skgen.ops.families import (
    CONTINUOUS,
    INTEGER,
    DiscretisedNormal,
    Gamma,
    LogNormal,
    NegativeBinomial,
    Normal,
    Poisson,
    StudentT,
    fit_family,
    has_heavy_tails,
)
from skgen.ops.products import NormalBlock, TableBlock

one = np.array


TRUE = {
    "normal": (Normal(one([1.0, -2.0]), one([4.0, 0.25])), [stats.norm(1, 2), stats.norm(-2, 0.5)]),
    "lognormal": (
        LogNormal(one([0.5, -1.0]), one([0.25, 1.0])),
        [stats.lognorm(0.5, scale=np.exp(0.5)), stats.lognorm(1, scale=np.exp(-1))],
    ),
    "gamma": (Gamma(one([0.7, 5.0]), one([2.0, 0.3])), [stats.gamma(0.7, scale=2), stats.gamma(5, scale=0.3)]),
    "student_t": (StudentT(one([0.0, 3.0]), one([1.0, 4.0]), one([4.0, 16.0])), [stats.t(4), stats.t(16, 3, 2)]),
}
COUNTS = {
    "poisson": (Poisson(one([0.4, 7.0])), [stats.poisson(0.4), stats.poisson(7)]),
    "negative_binomial": (NegativeBinomial(one([3.0, 10.0]), one([1.0, 6.0])), [stats.nbinom(1, 1 / 4), stats.nbinom(6, 6 / 16)]),
    "normal": (DiscretisedNormal(one([2.2, -5.0]), one([3.0, 40.0])), None),
}


def two_classes(draw, n=4000):
    """Rows of two classes and their weights (n, 2)."""
    rng = np.random.default_rng(0)
    x = np.concatenate([draw(0, n, rng), draw(1, n, rng)])
    W = np.zeros((2 * n, 2))
    W[:n, 0] = W[n:, 1] = 1
    return x, W


@pytest.mark.parametrize("name", TRUE)
def test_continuous_log_p_is_scipys_and_integrates_to_one(name):
    family, expected = TRUE[name]
    low = 1e-12 if family.positive else -np.inf
    x = np.linspace(0.01, 8, 50) if family.positive else np.linspace(-9, 12, 50)
    for k in (0, 1):
        np.testing.assert_allclose(family.log_prob(x)[k], expected[k].logpdf(x), rtol=1e-10)
        alone = family.take(k)
        total = integrate.quad(lambda v, a=alone: np.exp(a.log_prob(one([v]))[0, 0]), low, np.inf, limit=200)[0]
        assert abs(total - 1) < 1e-4
        wrong = integrate.quad(lambda v, a=alone: 1.01 * np.exp(a.log_prob(one([v]))[0, 0]), low, np.inf, limit=200)[0]
        assert abs(wrong - 1) > 5e-3  # a density one per cent too high is seen
    if family.positive:
        assert (family.log_prob(one([0.0, -1.0])) == -np.inf).all()


@pytest.mark.parametrize("name", COUNTS)
def test_integer_log_p_sums_to_one(name):
    family, expected = COUNTS[name]
    support = np.arange(0, 2000.0) if family.positive else np.arange(-400, 400.0)
    mass = np.exp(family.log_prob(support))
    np.testing.assert_allclose(mass.sum(axis=1), 1, atol=1e-9)
    if expected:
        np.testing.assert_allclose(mass[:, :30], [e.pmf(support[:30]) for e in expected], rtol=1e-9)
        assert (family.log_prob(one([-1.0])) == -np.inf).all()


def test_discretised_normal_is_the_mass_of_its_cell_far_out_too():
    family = DiscretisedNormal(one([0.0]), one([4.0]))
    x = np.arange(-10, 11.0)
    np.testing.assert_allclose(np.exp(family.log_prob(x)[0]), np.diff(stats.norm(0, 2).cdf(np.append(x - 0.5, 10.5))), rtol=1e-9)
    far = family.log_prob(one([-1000.0, 1000.0]))[0]
    np.testing.assert_allclose(far, stats.norm(0, 2).logsf(999.5), rtol=1e-6)
    wide = DiscretisedNormal(one([0.0]), one([1e20])).log_prob(x)[0]
    np.testing.assert_allclose(wide, stats.norm(0, 1e10).logpdf(x), rtol=1e-9)


@pytest.mark.parametrize(("name", "table"), [(n, TRUE) for n in TRUE] + [(n, COUNTS) for n in COUNTS])
def test_fit_recovers(name, table):
    truth, _ = table[name]
    x, W = two_classes(truth.sample)
    found = fit_family(name, table is COUNTS, x, W, 0.0, 1.0)
    for k in (0, 1):
        rows = x[W[:, k] > 0]
        gap = (truth.log_prob(rows)[k] - found.log_prob(rows)[k]).mean()
        assert abs(gap) < 3e-3  # nats a row; the fit is at least as likely as the truth, up to a grid of df
        other = found.log_prob(rows)[1 - k].mean()
        assert found.log_prob(rows)[k].mean() > other + 0.1  # and the classes are not mixed up


@pytest.mark.parametrize("name", TRUE)
def test_continuous_draws_match(name):
    family, expected = TRUE[name]
    for k in (0, 1):
        draws = family.sample(k, 4000, np.random.default_rng(k))
        assert stats.kstest(draws, expected[k].cdf).pvalue > 1e-3
        assert stats.kstest(draws * 1.3, expected[k].cdf).pvalue < 1e-3


@pytest.mark.parametrize("name", [*COUNTS, "table"])
def test_integer_draws_match(name):
    if name == "table":
        x, W = two_classes(lambda k, n, rng: rng.choice([0, 3, 10, 11], n, p=[[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]][k]), 300)
        family = fit_family("table", True, x.astype(float), W, 0.0, 1.0)
    else:
        family, _ = COUNTS[name]
    support = np.arange(-60, 100.0)
    for k in (0, 1):
        draws = family.sample(k, 5000, np.random.default_rng(k))
        assert np.array_equal(draws, np.round(draws))
        expected = 5000 * np.exp(family.log_prob(support)[k])
        seen = np.array([(draws == v).sum() for v in support])
        often = expected > 8
        statistic = ((seen - expected)[often] ** 2 / expected[often]).sum()
        assert stats.chi2(often.sum()).sf(statistic) > 1e-3
        assert abs(seen[~often].sum() - (5000 - expected[often].sum())) < 5 * np.sqrt(5 + 5000 - expected[often].sum())


def test_table_is_a_mass_function_that_follows_the_counts():
    x, W = two_classes(lambda k, n, rng: rng.choice([0, 3, 10], n, p=[[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]][k]), 500)
    table = fit_family("table", True, x.astype(float), W, 0.0, 1.0)
    support = np.arange(-5000, 5000.0)
    np.testing.assert_allclose(np.exp(table.log_prob(support)).sum(axis=1), 1, atol=2e-3)
    mass = np.exp(table.log_prob(one([0.0, 3.0, 10.0])))
    np.testing.assert_allclose(mass, [[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]], atol=0.06)
    assert np.isfinite(table.log_prob(one([4.0, 1e6]))).all()  # a value never seen has some


@pytest.mark.parametrize(("name", "table"), [(n, CONTINUOUS) for n in CONTINUOUS] + [(n, INTEGER) for n in INTEGER])
def test_a_weight_of_two_is_the_row_twice(name, table):
    rng = np.random.default_rng(0)
    x = rng.poisson(5, 60) + 1.0 if table is INTEGER else rng.gamma(2, size=60)
    weight = rng.integers(0, 3, 60)
    twice = np.repeat(np.arange(60), weight)
    keep = weight > 0
    a = fit_family(name, table is INTEGER, x[keep], weight[keep, None].astype(float), 1.0, 1.0)
    b = fit_family(name, table is INTEGER, x[twice], np.ones((len(twice), 1)), 1.0, 1.0)
    np.testing.assert_allclose(a.log_prob(x), b.log_prob(x), rtol=1e-6)


@pytest.mark.parametrize(("name", "table"), [(n, CONTINUOUS) for n in CONTINUOUS] + [(n, INTEGER) for n in INTEGER])
def test_hard_columns_stay_finite(name, table):
    for x in (np.full(5, 3.0), one([2.0]), np.full(4, np.nan), one([1.0, 1e6, 1.0])):
        W = np.ones((len(x), 2))
        W[:, 1] = 0.0  # a class without rows
        family = fit_family(name, table is INTEGER, x, W, 1.0, 1.0)
        log_p = family.log_prob(one([1.0, 3.0, 50.0]))
        assert np.isfinite(log_p).all()
        if np.isnan(x).all():
            assert log_p[:, 0].max() < 0  # no spike where nothing was seen
        assert np.isfinite(family.sample(0, 10, np.random.default_rng(0))).all()


def test_a_class_without_rows_has_the_spread_of_all():
    x = np.random.default_rng(0).normal(2, 3, 500)
    W = np.ones((500, 2))
    W[:, 1] = 0.0
    for shrinkage in (0.0, 1.0):
        for found in (fit_family("normal", False, x, W, shrinkage, 1.0), NormalBlock.fit(np.array([0]), x[:, None], W, shrinkage)):
            np.testing.assert_allclose(np.ravel(found.mean), x.mean())
            np.testing.assert_allclose(np.ravel(found.variance), x.var())


def test_held_out_prefers_the_family_the_rows_came_from():
    rng = np.random.default_rng(0)
    ones = np.ones((3000, 1))
    for name, draws in {
        "normal": rng.normal(20, 2, 3000),
        "lognormal": rng.lognormal(0, 1, 3000),
        "gamma": rng.gamma(0.8, 1, 3000),
        "student_t": 50 + rng.standard_t(3, 3000),
    }.items():
        scores = {other: fit_family(other, False, draws, ones, 0.0, 1.0).held_out(draws, ones) for other in CONTINUOUS}
        assert max(scores, key=scores.get) == name
    for name, draws in {
        "poisson": rng.poisson(4, 3000),
        "negative_binomial": rng.negative_binomial(2, 0.1, 3000),
        "normal": np.round(rng.normal(-30, 9, 3000)),
        "table": rng.choice([0, 7, 8, 40], 3000),
    }.items():
        able = [other for other in INTEGER if draws.min() >= 0 or not INTEGER[other].positive]
        scores = {
            other: fit_family(other, True, draws.astype(float), ones, 0.0, 1.0).held_out(draws.astype(float), ones)
            for other in able
        }
        assert max(scores, key=scores.get) == name


# ---- many columns at once


@pytest.mark.parametrize("holes", [False, True])
def test_normal_block_is_its_columns_one_by_one(holes):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5000, 4)) * [1, 2, 3, 4]
    if holes:
        X[rng.random(X.shape) < 0.2] = np.nan
    W = rng.random((5000, 3))
    columns = np.array([0, 2, 3])
    block = NormalBlock.fit(columns, X, W, 1.0)
    out = np.zeros((3, 5000))
    block.add_log_prob(X, out)
    expected = np.zeros((3, 5000))
    for j in columns:
        seen = ~np.isnan(X[:, j])
        family = fit_family("normal", False, X[:, j], W, 1.0, 1.0)
        expected[:, seen] += family.log_prob(X[seen, j])
    np.testing.assert_allclose(out, expected, rtol=1e-8, atol=1e-8)
    drawn = np.empty((6000, 4))
    block.sample(1, drawn, rng)
    np.testing.assert_allclose(drawn[:, columns].std(0), np.sqrt(block.variance[1]), rtol=0.05)


@pytest.mark.parametrize("levels", [[2, 2, 2], [2, 5, 3]])
@pytest.mark.parametrize("holes", [False, True])
def test_table_block_counts(levels, holes):
    rng = np.random.default_rng(1)
    X = np.stack([rng.integers(0, n, 3000) for n in levels]).T.astype(float)
    if holes:
        X[rng.random(X.shape) < 0.2] = np.nan
    W = rng.random((3000, 2))
    block = TableBlock.fit(np.arange(3), np.array(levels), X, W, 0.7)
    out, expected = np.zeros((2, 3000)), np.zeros((2, 3000))
    block.add_log_prob(X, out)
    for j, n in enumerate(levels):
        for k in (0, 1):
            count = np.array([W[X[:, j] == v, k].sum() for v in range(n)]) + 0.7
            for v in range(n):
                expected[k, X[:, j] == v] += np.log(count[v] / count.sum())
    np.testing.assert_allclose(out, expected, rtol=1e-9)
    drawn = np.empty((8000, 3))
    block.sample(0, drawn, rng)
    for j, n in enumerate(levels):
        share = np.array([(drawn[:, j] == v).mean() for v in range(n)])
        wanted = np.array([(X[:, j] == v) @ W[:, 0] for v in range(n)])
        np.testing.assert_allclose(share, wanted / wanted.sum(), atol=0.02)


@pytest.mark.parametrize(("sample", "heavy"), [("standard_normal", None), ("random", False), ("standard_t", True)])
def test_student_t_is_tried_where_it_can_win(sample, heavy):
    """Excess kurtosis is the sign of d log-likelihood / d (1 / df) at 0: compared with the likelihood itself."""
    rng = np.random.default_rng(3)
    x = rng.standard_t(5, 3000) if sample == "standard_t" else getattr(rng, sample)(3000)
    mean, variance = x.mean(), x.var()
    gain = stats.t(1e4, mean, np.sqrt(variance * (1 - 2e-4))).logpdf(x).sum() - stats.norm(mean, np.sqrt(variance)).logpdf(x).sum()
    found = has_heavy_tails(x, np.ones((len(x), 1)))
    assert found == (gain > 0)
    assert heavy is None or found == heavy
