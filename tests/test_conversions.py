"""Conversions between kinds: each keeps log p correct, which is checked by summing or integrating over the data."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import skgen
from skgen import GenerativeModel, NaiveBayes
from skgen.conversions import N_OFFSETS, Bins, Coding


class Table(GenerativeModel):
    """One smoothed table over all joint states of its columns."""

    kinds = frozenset({"binary", "categorical"})
    missing = "exact"

    def _fit(self, X, weight, rng):
        self._shape = tuple(int(n) for n in self.columns_.n_levels)
        self._p = np.full(self._shape, 0.1)
        np.add.at(self._p, tuple(X.T.astype(int)), weight)
        self._p /= self._p.sum()

    def _log_prob(self, X):
        if not np.isnan(X).any():
            return np.log(self._p[tuple(X.T.astype(int))])
        out = np.empty(len(X))
        for i, row in enumerate(X):
            out[i] = np.log(self._p[tuple(slice(None) if np.isnan(c) else int(c) for c in row)].sum())
        return out

    def _sample(self, n, rng):
        flat = rng.choice(self._p.size, n, p=self._p.ravel())
        return np.stack(np.unravel_index(flat, self._shape)).T.astype(float)


class Bits(Table):
    """The same, of a model that takes nothing but bits."""

    kinds = frozenset({"binary"})


class Normals(GenerativeModel):
    """Independent normals, which take continuous columns only."""

    def _fit(self, X, weight, rng):
        self._mean = np.average(X, axis=0, weights=weight)
        self._sd = np.sqrt(np.average((X - self._mean) ** 2, axis=0, weights=weight))

    def _log_prob(self, X):
        return stats.norm(self._mean, self._sd).logpdf(X).sum(axis=1)

    def _sample(self, n, rng):
        return self._mean + self._sd * rng.standard_normal((n, len(self._mean)))


def skewed(n=500, seed=0):
    return np.random.default_rng(seed).gamma(2.0, size=n)


# ---- bins


@pytest.mark.parametrize("n_bins", [2, 3, 8, 16])
def test_bins_of_a_line_integrate_to_one(n_bins):
    x = skewed()
    bins = Bins.from_values(x, np.ones(len(x)), n_bins, integer=False)
    assert len(bins) == n_bins
    code, _ = bins.encode(x)
    share = np.bincount(code.astype(int), minlength=n_bins) / len(x)
    np.testing.assert_allclose(share, 1 / n_bins, atol=0.01)

    def density(v):
        c, log_p = bins.encode(np.array([v]))
        return share[int(c[0])] * np.exp(log_p[0])

    ends = bins.edges
    total = integrate.quad(density, -np.inf, ends[0])[0] + integrate.quad(density, ends[-1], np.inf)[0]
    total += sum(integrate.quad(density, a, b)[0] for a, b in itertools.pairwise(ends))
    assert abs(total - 1) < 1e-6
    assert abs(total * 1.01 - 1) > 1e-3


@pytest.mark.parametrize(
    "x",
    [
        np.random.default_rng(0).poisson(3, 300),
        np.random.default_rng(0).poisson(300, 300),
        np.array([5] * 20),
        np.array([0, 1] * 20),
        np.array([-7, -7, 0, 3, 3, 3, 900]),
        np.array([4]),
    ],
    ids=["few values", "many", "constant", "two", "gaps", "one row"],
)
@pytest.mark.parametrize("n_bins", [2, 5, 16])
def test_bins_of_integers_sum_to_one(x, n_bins):
    bins = Bins.from_values(x.astype(float), np.ones(len(x)), n_bins, integer=True)
    support = np.arange(-20_000, 30_000.0)
    code, log_p = bins.encode(support)
    mass = np.bincount(code.astype(int), np.exp(log_p), len(bins))
    np.testing.assert_allclose(mass, 1, atol=1e-6)  # p(x | bin) of each bin


@pytest.mark.parametrize("integer", [False, True])
def test_draws_from_bins_go_back_into_them_and_follow_their_density(integer):
    x = np.round(skewed() * 10) if integer else skewed()
    bins = Bins.from_values(x, np.ones(len(x)), 6, integer)
    code = np.repeat(np.arange(len(bins), dtype=float), 4000)
    drawn = bins.decode(np.append(code, np.nan), np.random.default_rng(0))
    assert np.isnan(drawn[-1])
    drawn = drawn[:-1]
    np.testing.assert_array_equal(bins.encode(drawn)[0], code)
    if integer:
        np.testing.assert_array_equal(drawn, np.round(drawn))
    for b in range(len(bins)):
        inside = drawn[code == b]
        if b == 0:
            low = bins.edges[0] - 1 if integer else bins.edges[0]
            np.testing.assert_allclose((low - inside).mean(), bins.left, rtol=0.1)
        elif b == len(bins) - 1:
            np.testing.assert_allclose((inside - bins.edges[-1]).mean(), bins.right, rtol=0.1)
        elif not integer:
            assert stats.kstest(inside, stats.uniform(bins.edges[b - 1], bins.edges[b] - bins.edges[b - 1]).cdf).pvalue > 1e-3


def test_bins_weigh_rows_as_if_repeated():
    x = skewed(200)
    weight = np.random.default_rng(1).integers(1, 4, 200)
    for integer in (False, True):
        v = np.round(10 * x) if integer else x
        a = Bins.from_values(v, weight.astype(float), 7, integer)
        b = Bins.from_values(np.repeat(v, weight), np.ones(weight.sum()), 7, integer)
        np.testing.assert_allclose(a.edges, b.edges)
        np.testing.assert_allclose([a.left, a.right], [b.left, b.right])


# ---- a model of tables on columns of another kind


@pytest.mark.parametrize("model", [Table(), Bits()])
def test_a_continuous_column_behind_bins_is_a_density(model):
    x = skewed(200)[:, None] * 50
    fitted = model.fit(x)
    assert fitted.likelihood_ == "exact"
    grid = np.linspace(-300, 1200, 300_001)
    total = np.trapezoid(np.exp(fitted.score_samples(grid[:, None])), grid)
    assert abs(total - 1) < 2e-3
    drawn = fitted.set_params(random_state=0).sample(5000)[:, 0]
    assert stats.ks_2samp(drawn, x[:, 0]).statistic < 0.1
    np.testing.assert_allclose(np.median(drawn), np.median(x), rtol=0.15)


@pytest.mark.parametrize("model", [Table(), Bits()])
def test_an_integer_column_behind_bins_is_a_mass_function(model):
    x = np.random.default_rng(0).poisson(6, (200, 1))
    fitted = model.fit(x)
    assert fitted.columns_.kinds == ["integer"]
    mass = np.exp(fitted.score_samples(np.arange(-300, 400)[:, None]))
    np.testing.assert_allclose(mass.sum(), 1, atol=1e-6)
    drawn = fitted.set_params(random_state=0).sample(500)
    assert drawn.dtype == x.dtype
    np.testing.assert_allclose(drawn.mean(), x.mean(), rtol=0.1)


def test_bits_are_one_to_one_with_bins():
    x = np.column_stack([skewed(400), skewed(400, 1)])
    columns = skgen.columns(x)
    Z = columns.encode(x)[0]
    as_bins = Coding(columns, {"categorical"}, "Model", Z, np.ones(400), 8, str)
    as_bits = Coding(columns, {"binary"}, "Model", Z, np.ones(400), 8, str)
    codes, gain = as_bins.encode(Z)
    bits, gain_bits = as_bits.encode(Z)
    assert bits.shape == (400, 6)
    assert set(np.unique(bits)) == {0.0, 1.0}
    assert as_bits.columns.kinds == ["binary"] * 6
    np.testing.assert_array_equal(bits[:, :3] @ [1, 2, 4], codes[:, 0])
    np.testing.assert_allclose(gain, gain_bits)
    every = np.array(np.unravel_index(np.arange(8), (2, 2, 2))).T
    back = as_bits.decode(np.hstack([every, every]), np.random.default_rng(0))
    np.testing.assert_array_equal(as_bits.encode(back)[0][:, :3], every)


def test_missing_cells_pass_through_conversions():
    x = np.column_stack([skewed(300), skewed(300, 1)])
    model = Table().fit(x)
    both = model.score_samples([[2.0, np.nan]])
    grid = np.linspace(-40, 60, 20_001)
    at = np.column_stack([np.full_like(grid, 2.0), grid])
    np.testing.assert_allclose(both, np.log(np.trapezoid(np.exp(model.score_samples(at)), grid)), atol=2e-3)
    np.testing.assert_allclose(model.score_samples([[np.nan, np.nan]]), 0, atol=1e-9)


def test_tied_columns_share_their_bins():
    x = np.random.default_rng(0).normal([0, 5, 0, 5], 1, (300, 4))
    columns = skgen.columns(x, step_features=2)
    coding = Coding(columns, {"categorical"}, "Model", columns.encode(x)[0], np.ones(300), 5, str)
    assert coding.bins[0] is coding.bins[2]
    assert coding.bins[0] is not coding.bins[1]


# ---- dequantisation


@pytest.mark.parametrize("rate", [0.7, 6.0, 60.0])
def test_a_dequantised_integer_is_nearly_a_mass_function(rate):
    x = np.random.default_rng(0).poisson(rate, (2000, 1))
    model = Normals().fit(x)
    assert model.likelihood_ == "estimate"
    support = np.arange(-500, 1000)[:, None]
    mass = np.exp(model.score_samples(support))
    assert abs(mass.sum() - 1) < 5e-3
    part = model._fitted.densities_[0]
    unit = model._coding.columns
    centre, sd = part._mean * unit.scale + unit.loc, part._sd * unit.scale
    cell = np.diff(stats.norm(centre, sd).cdf(np.append(support[:, 0], 1000)))
    np.testing.assert_allclose(mass, cell, atol=2e-3)  # the mass of [x, x + 1)
    drawn = model.set_params(random_state=0).sample(4000)
    assert drawn.dtype == x.dtype
    np.testing.assert_allclose([drawn.mean(), drawn.std()], [x.mean(), np.sqrt(x.var() + 1 / 6)], rtol=0.05)  # twice a uniform


def test_a_dequantised_binary_table_sums_to_about_one():
    x = (np.random.default_rng(0).random((500, 3)) < [0.2, 0.5, 0.9]).astype(int)
    model = Normals(random_state=0).fit(x)
    states = np.array(np.unravel_index(np.arange(8), (2, 2, 2))).T
    total = np.exp(model.score_samples(states)).sum()
    assert 0.3 < total <= 1.0 + 1e-6  # a normal has mass outside the cells of 0 and 1
    assert set(np.unique(model.sample(200))) <= {0, 1}


def test_offsets_are_fixed_and_a_function_of_the_row():
    x = np.random.default_rng(0).poisson(5, (300, 4))
    columns = skgen.columns(x)
    Z = columns.encode(x.astype(float))[0]
    coding = Coding(columns, {"continuous"}, "Model", Z, np.ones(300), None, str)
    again = Coding(columns, {"continuous"}, "Model", Z[::-1], np.ones(300), None, str)
    np.testing.assert_allclose(coding.encode(Z)[0], again.encode(Z)[0], rtol=1e-12)
    np.testing.assert_array_equal(coding.encode(Z)[0][5:6], coding.encode(Z[5:6])[0])
    spread = np.sort(coding.offset, axis=0)
    np.testing.assert_allclose(spread, np.tile((np.arange(N_OFFSETS) + 0.5)[:, None] / N_OFFSETS, (1, 4)))
    used = coding._own_offset(Z)
    assert len(np.unique(used)) == N_OFFSETS  # rows do not share one offset
    one_offset = Normals().fit(x)
    np.testing.assert_array_equal(one_offset.score_samples(x), one_offset.score_samples(x))


def test_few_values_are_fitted_at_all_offsets():
    x = np.random.default_rng(0).poisson(0.7, (500, 1))  # each value at one offset would shift the mean
    weight = np.arange(500) % 3
    centre = np.average(x[:, 0], weights=weight) + 0.5
    part = Normals().fit(x, sample_weight=weight)
    view = part._coding.columns
    np.testing.assert_allclose(part._fitted.densities_[0]._mean * view.scale + view.loc, centre)
    many = np.random.default_rng(0).poisson(50, (1500, 6))
    coding = Coding(skgen.columns(many), {"continuous"}, "Model", many.astype(float), np.ones(1500), None, str)
    assert coding.rows_to_fit(many.astype(float))[0].shape == (1500, 6)


# ---- which conversions there are


@pytest.mark.parametrize(
    ("kind", "native", "possible"),
    [
        ("continuous", "continuous", True),
        ("integer", "continuous", True),
        ("binary", "continuous", True),
        ("categorical", "continuous", False),
        ("continuous", "categorical", True),
        ("integer", "categorical", True),
        ("binary", "categorical", True),
        ("categorical", "categorical", True),
        ("continuous", "binary", True),
        ("integer", "binary", True),
        ("binary", "binary", True),
        ("categorical", "binary", False),
        ("continuous", "integer", False),
    ],
)
def test_every_conversion_there_is(kind, native, possible):
    cells = {
        "continuous": skewed(60),
        "integer": np.arange(60) % 7,
        "binary": np.arange(60) % 2 == 0,
        "categorical": ["a", "b", "c"] * 20,
    }
    frame = pd.DataFrame({"it": cells[kind]})
    columns = skgen.columns(frame)
    assert columns.kinds == [kind]
    Z = columns.encode(frame)[0]
    if possible:
        coding = Coding(columns, {native}, "Model", Z, np.ones(60), None, str)
        seen = coding.encode(Z)[0]
        assert np.isfinite(seen).all()
        assert set(coding.columns.kinds) == ({"binary"} if (kind, native) == ("binary", "categorical") else {native})
        back = coding.decode(seen, np.random.default_rng(0))
        if kind in ("binary", "categorical") or (kind == "integer" and native == "continuous"):
            np.testing.assert_array_equal(back, Z)
    else:
        with pytest.raises(ValueError, match=f"Column 'it' is {kind}, which Model cannot take: it takes {native}. Models that"):
            Coding(columns, {native}, "Model", Z, np.ones(60), None, str)


def test_a_refusal_names_models_that_take_the_column():
    frame = pd.DataFrame({"a": [0.5, 1.5, 2.5], "colour": ["red", "blue", "red"]})
    with pytest.raises(ValueError, match=r"'colour' is categorical.*Normals.*naive_bayes"):
        Normals().fit(frame)


def test_native_kinds_are_left_alone():
    x = np.column_stack([skewed(100), skewed(100, 2)])
    model = NaiveBayes().fit(x)
    assert model._coding.identity
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", skgen.ColumnWarning)
        constant = Table().fit(np.full((30, 1), 2.0))
    assert np.isfinite(constant.score_samples([[2.0], [3.0]])).all()


def test_grey_values_are_shown_as_numbers_with_the_jacobian():
    rng = np.random.default_rng(0)
    X = rng.beta(2, 5, (500, 2))
    grey, plain = skgen.GaussianMixture(column_kinds="bernoulli").fit(X), skgen.GaussianMixture().fit(X)
    assert grey.columns_.kinds == ["bernoulli"] * 2
    assert np.allclose(grey.score_samples(X), plain.score_samples(X))
    drawn = grey.sample(2000, random_state=0)
    assert drawn.min() >= 0
    assert np.allclose(drawn, np.clip(plain.sample(2000, random_state=0), 0, 1))
    assert (grey.score_samples([[0.5, 1.5]]) == -np.inf).all()
    holes = X[:5].copy()
    holes[:, 1] = np.nan
    assert np.allclose(grey.score_samples(holes), plain.score_samples(holes))
    binned = skgen.make("chow_liu", column_kinds="bernoulli").fit(X)
    assert binned.score_samples(X).mean() > 0.2
    with pytest.raises(ValueError, match=r"Column 0 holds 2 and cannot be bernoulli.*divide by the white one"):
        skgen.GaussianMixture(column_kinds="bernoulli").fit(2 * np.round(X + 0.3))
    with pytest.raises(ValueError, match="cannot hold 3"):
        grey.sample(2, given={0: 3.0})
