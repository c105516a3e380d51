"""Kernel densities against sums written out, SciPy, quadrature and enumeration."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.neighbors import KernelDensity

from skgen.models.explicit import kde
from skgen.models.explicit.kde import KDE
from skgen.ops.kernels import MANY, Kernel, KernelSum, distinct_rows, log_normaliser, spatial_order

MIXED = Kernel(
    ["continuous", "integer", "binary", "categorical"],
    np.array([0, 0, 2, 3]),
    np.array([1.0, 3.0, 1.0, 1.0]),
    np.array([0.4, 0.3, 0.2, 0.5]),
)


def rows(n, seed=0):
    """Coded rows of the four kinds, which depend on each other."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    return np.column_stack(
        [z, rng.poisson(np.exp(1 + 0.5 * z)), rng.random(n) < 1 / (1 + np.exp(-2 * z)), np.clip(np.round(z + 1), 0, 2)]
    ).astype(float)


def factor(kernel, j, x, centre):
    """K_j(x, centre), written out."""
    h = kernel.bandwidth[j]
    if kernel.kinds[j] == "continuous":
        return norm.pdf(x, centre, h * kernel.unit[j])
    if kernel.kinds[j] == "integer":
        sigma = h * kernel.unit[j]
        k = np.arange(-400, 401)
        return np.exp(-0.5 * ((x - centre) / sigma) ** 2) / np.exp(-0.5 * (k / sigma) ** 2).sum()
    return np.where(x == centre, 1 - h, 0.0) + h / kernel.n_levels[j]


def brute(kernel, X, weight, asked):
    """log p by the definition, an unobserved cell a factor of one."""
    out = []
    for x in asked:
        log_k = np.log(weight / weight.sum())
        for j in np.flatnonzero(~np.isnan(x)):
            with np.errstate(divide="ignore"):
                log_k = log_k + np.log(factor(kernel, j, x[j], X[:, j]))
        out.append(logsumexp(log_k))
    return np.array(out)


# ---- the sum


@pytest.mark.parametrize(("m", "error"), [(300, 1e-10), (MANY + 900, 1e-6)])
def test_log_p_is_the_sum_of_kernels(m, error):
    X, asked = rows(m), rows(200, seed=1)
    weight = np.random.default_rng(2).gamma(0.5, size=m) + 1e-3
    asked[::3, 0] = asked[1::4, 2] = asked[::5, 3] = np.nan
    asked[-1] = np.nan
    got = KernelSum(MIXED, X, weight).log_prob(asked)
    np.testing.assert_allclose(got, brute(MIXED, X, weight, asked), atol=error)


@pytest.mark.parametrize("d", [2, 10, 30])
def test_error_against_float64_brute_force(d):
    rng = np.random.default_rng(0)
    centre = rng.normal(0, 2, (5, d))
    X = centre[rng.integers(0, 5, 6000)] + rng.normal(size=(6000, d))
    far = centre[:3] * 40  # where nothing is near: no underflow
    asked = np.concatenate([centre[rng.integers(0, 5, 150)] + rng.normal(size=(150, d)), far])
    h = 6000 ** (-1 / (d + 4))
    kernel = Kernel(["continuous"] * d, np.zeros(d, dtype=int), np.ones(d), np.full(d, h))
    square = ((asked[:, None] - X) ** 2).sum(axis=2) if d < 30 else np.stack([((a - X) ** 2).sum(axis=1) for a in asked])
    want = logsumexp(-0.5 * square / h**2, axis=1) - np.log(6000) - d * np.log(h) - 0.5 * d * np.log(2 * np.pi)
    np.testing.assert_allclose(KernelSum(kernel, X, np.ones(6000)).log_prob(asked), want, rtol=1e-12, atol=2e-6)


def test_a_row_is_scored_alike_in_any_company():
    X, asked = rows(MANY + 1), rows(700, seed=1)
    found = KernelSum(MIXED, X, np.ones(len(X)))
    together = found.log_prob(asked)
    order = np.random.default_rng(0).permutation(700)
    np.testing.assert_allclose(found.log_prob(asked[order]), together[order], rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(np.concatenate([found.log_prob(a[None]) for a in asked[:50]]), together[:50], rtol=1e-7, atol=1e-7)


def test_the_continuous_case_is_the_peers():
    X = np.random.default_rng(0).normal(size=(200, 2)) * [1.0, 20.0]
    m = KDE(bandwidth=0.3, units="shared").fit(X)
    h = m.bandwidths_[0]
    assert h == m.bandwidths_[1]
    peer = KernelDensity(bandwidth=h, leaf_size=201).fit(X)
    np.testing.assert_allclose(m.score_samples(X), peer.score_samples(X), rtol=1e-8)


@pytest.mark.parametrize("sigma", [0.05, 0.3, 1.0, 1.9, 2.1, 7.0])
def test_the_discrete_normal_sums_to_one(sigma):
    k = np.arange(-200, 201)
    total = np.exp(-0.5 * (k / sigma) ** 2)
    log_z, slope = log_normaliser(np.array(sigma))
    assert log_z == pytest.approx(np.log(total.sum()), abs=1e-13)
    assert slope == pytest.approx((total * k**2).sum() / total.sum() / sigma**2, rel=1e-12, abs=1e-30)


def test_a_density_of_all_four_kinds_has_mass_one():
    X, weight = rows(12), np.arange(1.0, 13.0)
    found = KernelSum(MIXED, X, weight)
    x = np.linspace(-7, 7, 281)  # the trapezoid rule is exact for a normal to all digits at this step
    total = 0.0
    for i, b, c in itertools.product(range(-15, 40), range(2), range(3)):
        total += np.exp(found.log_prob(np.column_stack([x, np.tile([i, b, c], (len(x), 1))]))).sum() * 0.05
    assert total == pytest.approx(1, abs=1e-9)


def test_a_missing_cell_is_integrated_out():
    X = rows(40)
    found = KernelSum(MIXED, X, np.ones(40))
    x = np.array([0.3, 4.0, 1.0, 2.0])

    def p(*cells):
        return np.exp(found.log_prob(np.array([cells])))[0]

    nan = np.nan
    assert p(nan, 4, 1, 2) == pytest.approx(quad(lambda v: p(v, 4, 1, 2), -8, 8, limit=200)[0], rel=1e-7)
    assert p(x[0], nan, 1, 2) == pytest.approx(sum(p(x[0], k, 1, 2) for k in range(-30, 60)), rel=1e-9)
    assert p(x[0], 4, nan, nan) == pytest.approx(sum(p(x[0], 4, b, c) for b in (0, 1) for c in (0, 1, 2)), rel=1e-9)


# ---- the bandwidth


def left_out(kernel, X):
    """Mean log-likelihood of each row under the others."""
    keep = ~np.eye(len(X), dtype=bool)
    return np.mean([brute(kernel, X[keep[i]], np.ones(len(X) - 1), X[i : i + 1])[0] for i in range(len(X))])


def test_the_bandwidth_has_the_highest_leave_one_out_likelihood():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rows(150), columns=list("abcd")).astype({"b": int, "c": bool, "d": int}).astype({"d": "category"})
    m = KDE().fit(table)
    part = m._fitted.densities_[0]
    X = m.columns_.encode(table)[0]
    kernel = part._sum.kernel
    assert len(distinct_rows(X)[0]) == 150
    best, h = left_out(kernel, X), kernel.bandwidth.copy()
    for _ in range(12):
        kernel.bandwidth = h * np.exp(rng.normal(0, 0.2, 4))
        kernel.bandwidth[2:] = np.minimum(kernel.bandwidth[2:], 1)
        assert left_out(kernel, X) <= best + 1e-6
    kernel.bandwidth = h


def test_the_slope_of_the_leave_one_out_likelihood():
    X = rows(60)
    X[::7, 1] = np.nan
    full = np.where(np.isnan(X), 3.0, X)
    out = kde._LeftOut(np.arange(60), np.ones(60), np.arange(60), np.ones(60), np.arange(60), np.full(X.shape, -1), copies=False)
    start = np.log(MIXED.bandwidth)

    def value(theta):
        return out.likelihood(Kernel(MIXED.kinds, MIXED.n_levels, MIXED.unit, np.exp(theta)), X, full)[0]

    slope = out.likelihood(MIXED, X, full)[1]
    np.testing.assert_allclose(slope, approx_fprime(start, value, 1e-6), atol=1e-5)


def test_copies_do_not_ask_for_a_bandwidth_of_zero():
    x = np.random.default_rng(0).normal(size=(200, 2))
    once, thrice = KDE().fit(x), KDE().fit(np.repeat(x, 3, axis=0))
    assert thrice.bandwidths_[0] == pytest.approx(once.bandwidths_[0], rel=1e-4)
    rounded = KDE().fit(x.round(1)[:, :1])
    assert rounded.bandwidths_[0] > 0.02
    with pytest.warns(UserWarning, match="Constant"):
        same = KDE().fit(np.full((20, 1), 7.0))  # nothing remains when all equal rows are left out
    assert np.isfinite(same.score_samples([[7.0]])).all()


def test_repeated_levels_are_information():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.choice(["x", "y", "z"], 600, p=[0.7, 0.2, 0.1]), "b": rng.choice(["u", "v"], 600)})
    m = KDE().fit(X)
    assert m.bandwidths_["a"] < 0.2
    p = np.exp(m.score_samples(pd.DataFrame({"a": list("xyz"), "b": [None] * 3})))
    np.testing.assert_allclose(p, X["a"].value_counts(normalize=True)[list("xyz")], atol=0.02)
    # leave one copy out of counts: sum_c n_c log((n_c - 1) K_eq + (n - n_c) K_ne), at its best
    one = KDE().fit(X[["a"]])
    count = X["a"].value_counts().to_numpy()

    def loo(b):
        return count @ np.log((count - 1) * (1 - b + b / 3) + (600 - count) * b / 3)

    grid = np.exp(np.linspace(np.log(1e-6), 0, 4000))
    assert loo(one.bandwidths_["a"]) >= max(loo(b) for b in grid) - 1e-3


def test_scott_and_numbers():
    X = np.random.default_rng(0).normal(size=(500, 3)) * [1.0, 10.0, 100.0]
    scott = KDE(bandwidth="scott").fit(X)
    np.testing.assert_allclose(list(scott.bandwidths_.values()), X.std(axis=0) * 500 ** (-1 / 7))
    np.testing.assert_allclose(list(KDE(bandwidth=0.25).fit(X).bandwidths_.values()), X.std(axis=0) * 0.25)
    table = pd.DataFrame({"x": X[:, 0], "c": np.repeat(["a", "b"], 250)})
    given = KDE(bandwidth={"continuous": 0.5, "categorical": 0.1}).fit(table).bandwidths_
    assert given == pytest.approx({"x": 0.5 * X[:, 0].std(), "c": 0.1})


@pytest.mark.parametrize("bad", ["silverman", 0.0, -1, float("inf"), {"continuous": 0}, {"colour": 1.0}, {"binary": 1.5}, True])
def test_a_bad_bandwidth_is_named(bad):
    with pytest.raises(ValueError, match="bandwidth"):
        KDE(bandwidth=bad).fit(np.random.default_rng(0).normal(size=(20, 2)))


# ---- missing cells in fit, weights, units


def test_filled_cells_come_from_rows_alike():
    rng = np.random.default_rng(0)
    z = rng.normal(size=600)
    X = np.column_stack([z, z + 0.1 * rng.normal(size=600)])
    X = X[distinct_rows(X)[0]]
    M = X.copy()
    gone = rng.random(600) < 0.4
    M[gone, 1] = np.nan
    kernel = Kernel(["continuous"] * 2, np.zeros(2, dtype=int), np.ones(2), np.full(2, 0.2))
    filled, source, origin = kde.fill(kernel, M, np.ones(600), rng)
    assert not np.isnan(filled).any()
    assert np.array_equal(np.bincount(source), np.where(gone, 5, 1))
    assert np.array_equal(filled[:, 0], M[source, 0])
    at = origin[:, 1] >= 0
    assert np.array_equal(filled[at, 1], M[origin[at, 1], 1])
    assert np.corrcoef(filled[at, 1], X[source[at], 1])[0, 1] > 0.9


def test_a_fit_with_missing_cells_is_close_to_the_complete_one():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 2)) @ rng.normal(size=(2, 5)) + 0.5 * rng.normal(size=(2000, 5))
    M = X[:1000].copy()
    M[rng.random(M.shape) < 0.3] = np.nan
    complete, partial = KDE().fit(X[:1000]), KDE(random_state=0).fit(M)
    assert abs(partial.score(X[1000:]) - complete.score(X[1000:])) < 0.2
    whole_rows = M[~np.isnan(M).any(axis=1)]
    assert partial.score(X[1000:]) > KDE().fit(whole_rows).score(X[1000:])
    never = np.column_stack([X[:100], np.full(100, np.nan)])
    with pytest.warns(UserWarning, match="without an observed cell"):
        assert np.isfinite(KDE(random_state=0).fit(never).score(never))


@pytest.mark.parametrize("missing", [False, True])
def test_weight_two_is_the_row_twice(missing):
    X = np.random.default_rng(0).normal(size=(80, 3))
    if missing:
        X[np.random.default_rng(1).random(X.shape) < 0.2] = np.nan
    weight = np.arange(80) % 3
    a = KDE(random_state=0).fit(X, sample_weight=weight)
    b = KDE(random_state=0).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(a.score_samples(X), b.score_samples(X), rtol=1e-6)
    table = pd.DataFrame(rows(60), columns=list("abcd"))[["b", "c", "d"]].astype(int).astype({"d": "category"})
    weight = np.arange(60) % 4
    a = KDE().fit(table, sample_weight=weight)
    b = KDE().fit(table.loc[np.repeat(np.arange(60), weight)])
    np.testing.assert_allclose(a.score_samples(table), b.score_samples(table), rtol=1e-6)


def test_units_cost_their_logarithm():
    X = np.random.default_rng(0).normal(size=(200, 3))
    a = np.array([1e-4, 3.0, 1e6])
    one, other = KDE().fit(X), KDE().fit(X * a)
    np.testing.assert_allclose(other.score_samples(X * a), one.score_samples(X) - np.log(a).sum(), rtol=1e-6)


# ---- draws


def test_draws_from_a_kernel_follow_it():
    rng = np.random.default_rng(0)
    centre = np.tile([1.5, 4.0, 1.0, 2.0], (200_000, 1))
    drawn = MIXED.draw(centre, rng)
    assert drawn[:, 0].mean() == pytest.approx(1.5, abs=0.01)
    assert drawn[:, 0].std() == pytest.approx(0.4, rel=0.01)
    for j in (1, 2, 3):
        values, counts = np.unique(drawn[:, j], return_counts=True)
        p = factor(MIXED, j, values, centre[0, j])
        assert np.abs(counts / 200_000 - p).max() < 5 * np.sqrt(0.25 / 200_000)


def test_conditional_draws_follow_the_conditional():
    table = pd.DataFrame(rows(300), columns=list("abcd")).astype({"b": int, "c": bool, "d": int}).astype({"d": "category"})
    m = KDE(random_state=0).fit(table)
    asked = table.iloc[[3]].copy()
    asked["d"] = pd.Categorical([None], categories=table["d"].cat.categories)
    asked["a"] = np.nan
    drawn = m.sample_conditional(asked, 20_000)
    want = m.predict_missing(asked, "d")[0]
    got = drawn["d"].value_counts(normalize=True)[list(table["d"].cat.categories)]
    np.testing.assert_allclose(got, want, atol=0.015)
    mean, sd = m.predict_missing(asked, "a")[0]
    assert drawn["a"].mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(20_000) + 1e-3)
    assert drawn["a"].std() == pytest.approx(sd, rel=0.03)


def test_draws_have_the_moments_of_the_rows_and_the_kernel():
    X = np.random.default_rng(0).gamma(2, size=(400, 2))
    m = KDE(bandwidth=0.3, random_state=0).fit(X)
    drawn = m.sample(60_000)
    np.testing.assert_allclose(drawn.mean(axis=0), X.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(drawn.var(axis=0), X.var(axis=0) * 1.09, rtol=0.03)


# ---- the contract


def test_classes_and_far_rows():
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, np.pi, 400)
    y = np.repeat(["upper", "lower"], 200)
    X = np.column_stack([np.cos(angle) + (y == "lower"), np.where(y == "upper", np.sin(angle), 0.5 - np.sin(angle))])
    X += 0.1 * rng.normal(size=X.shape)
    m = KDE().fit(X[::2], y[::2])
    assert m.score(X[1::2], y[1::2]) > 0.95
    p = m.predict_proba([[1e9, 0.0], [-1e200, 1e200]])
    np.testing.assert_allclose(p.sum(axis=1), 1)
    with pytest.raises(AttributeError, match="undefined"):
        _ = m.n_parameters_


def test_an_update_keeps_the_bandwidth():
    X = np.random.default_rng(0).normal(size=(100, 2))
    part = KDE().fit(X)._fitted.densities_[0]
    before = part._sum.kernel.bandwidth.copy()
    weight = np.random.default_rng(1).random(100)
    part._update(X, weight, np.random.default_rng(0))
    np.testing.assert_array_equal(part._sum.kernel.bandwidth, before)
    np.testing.assert_allclose(part._log_prob(X), brute(part._sum.kernel, X, weight, X), rtol=1e-9)


def test_an_order_of_blocks_is_a_permutation():
    F = np.random.default_rng(0).normal(size=(1000, 3))
    order = spatial_order(F, 64)
    assert np.array_equal(np.sort(order), np.arange(1000))
    blocks = F[order][:960].reshape(15, 64, 3)
    assert np.ptp(blocks, axis=1).prod(axis=1).mean() < np.ptp(F, axis=0).prod() / 8
