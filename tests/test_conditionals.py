"""Conditionals of mixed columns: normalised, SciPy's numbers, drawn as they are scored, finite at any extreme."""

from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy import integrate, special, stats  # noqa: E402

from skgen.ops import _conditional_kinds as kinds_module  # noqa: E402
from skgen.ops.conditionals import FEATURE_LIMIT, Conditionals  # noqa: E402

MIXED = ["continuous", "categorical", "integer", "binary", "categorical", "continuous", "categorical", "binary", "integer"]
LEVELS = [0, 3, 0, 2, 4, 0, 7, 2, 0]
SCALES = {"usual": 1.0, "wide": 8.0, "extreme": 60.0}


def mixed(n=50, spread=1.0, n_components=3, dtype=torch.float64, seed=0):
    """A mixed table, units of its own, outputs of a random network, and draws."""
    columns = Conditionals(MIXED, LEVELS, n_components, astray=0)
    columns.centre.copy_(torch.tensor([0.3, 0, 7, 0, 0, -1, 0, 0, -40]))
    columns.width.copy_(torch.tensor([1.5, 1, 4, 1, 1, 0.2, 1, 1, 30]))
    generator = torch.Generator().manual_seed(seed)
    p = (spread * torch.randn(n, columns.n_parameters, generator=generator, dtype=torch.float64)).to(dtype)
    return columns, columns.sample(p, generator), p


def alone(kind, n_components=3, centre=0.0, width=1.0):
    columns = Conditionals([kind], [0], n_components, astray=0)
    columns.centre.fill_(centre)
    columns.width.fill_(width)
    return columns


def parts(columns, p, j):
    """Shares, means and scales of column j, in units of x, from the documented equations alone."""
    a, m, raw = p[:, columns.parameters_of(j)].double().numpy().reshape(len(p), 3, -1).transpose(1, 0, 2)
    width = float(columns.width[j])
    least = 1e-3 if columns.kinds[j] == "continuous" else 0.05 / width
    low, high = np.log(least), np.log(1e3)
    s = (low + high) / 2 + (high - low) / 2 * np.tanh((raw - (low + high) / 2) / ((high - low) / 2))
    return special.softmax(a, axis=1), float(columns.centre[j]) + width * m, width * np.exp(s)


def scipy_log_p(columns, x, p):
    x, out = x.double().numpy(), np.zeros(x.shape)
    for j, kind in enumerate(columns.kinds):
        own = p[:, columns.parameters_of(j)].double().numpy()
        if kind == "binary":
            out[:, j] = stats.bernoulli.logpmf(x[:, j], special.expit(own[:, 0]))
        elif kind == "categorical":
            out[:, j] = special.log_softmax(own, axis=1)[np.arange(len(x)), x[:, j].astype(int)]
        else:
            share, mean, scale = parts(columns, p, j)
            cell = x[:, j, None]
            if kind == "continuous":
                each = stats.norm.logpdf(cell, mean, scale)
            else:
                # the smaller of the two tails keeps its digits; a difference of logs does not vanish as one of masses does
                upper = cell > mean
                more = np.where(
                    upper, stats.logistic.logsf(cell - 0.5, mean, scale), stats.logistic.logcdf(cell + 0.5, mean, scale)
                )
                less = np.where(
                    upper, stats.logistic.logsf(cell + 0.5, mean, scale), stats.logistic.logcdf(cell - 0.5, mean, scale)
                )
                each = more + np.log(-np.expm1(less - more))
            out[:, j] = special.logsumexp(each, axis=1, b=share)
    return out


# ---- layout


def test_outputs_and_inputs_are_sorted_by_column():
    columns = Conditionals(MIXED, LEVELS, 2)
    assert columns.n_parameters == 6 + 3 + 6 + 1 + 4 + 6 + 7 + 1 + 6
    assert columns.n_features == 1 + 3 + 1 + 1 + 4 + 1 + 7 + 1 + 1
    for owner, of in ((columns.parameter_owner, columns.parameters_of), (columns.feature_owner, columns.features_of)):
        assert (owner.diff() >= 0).all()
        for j in range(9):
            assert (owner[of(j)] == j).all()
            assert (owner == j).sum() == of(j).stop - of(j).start
    assert not list(columns.parameters())
    assert set(columns.state_dict()) == {"centre", "width", "start", "unit"}


def test_a_column_depends_on_its_own_outputs_alone():
    columns, x, p = mixed(4)
    p.requires_grad_()
    for j in range(9):
        (grad,) = torch.autograd.grad(columns.log_prob(x, p)[:, j].sum(), p)
        assert ((grad != 0).any(dim=0) <= (columns.parameter_owner == j)).all()
        assert (grad[:, columns.parameters_of(j)] != 0).any()


def test_features():
    columns, x, _ = mixed(20)
    x[0] = torch.nan
    x[1, 0] = 1e30
    shown = columns.features(x)
    assert shown.shape == (20, columns.n_features)
    assert (shown[0] == 0).all()
    assert shown[1, 0] == FEATURE_LIMIT
    for j, kind in enumerate(MIXED):
        own, cells = shown[2:, columns.features_of(j)], x[2:, j]
        if kind == "categorical":
            expected = torch.eye(LEVELS[j], dtype=x.dtype)[cells.long()]
        else:
            expected = ((cells - columns.centre[j]) / columns.width[j])[:, None].clamp(-FEATURE_LIMIT, FEATURE_LIMIT)
        torch.testing.assert_close(own, expected)
        torch.testing.assert_close(columns.feature_column(j, x[:, j]), shown[:, columns.features_of(j)])
    binary = Conditionals(["binary"] * 3, [2] * 3)
    assert binary.features(torch.tensor([[0.0, 1.0, torch.nan]])).tolist() == [[0, 1, 0]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((["count"], [0]), "column 0 has unknown kind 'count'"),
        ((["binary", "categorical"], [2, 0]), "column 1 is categorical"),
        ((["binary"], [2, 2]), "one column each"),
        ((["integer"], [0], 0), "n_components"),
    ],
)
def test_wrong_columns_are_named(arguments, said):
    with pytest.raises(ValueError, match=said):
        Conditionals(*arguments)


# ---- log p


def assert_is_scipys(spread):
    columns, x, p = mixed(200, spread)
    np.testing.assert_allclose(columns.log_prob(x, p).numpy(), scipy_log_p(columns, x, p), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
def test_log_p_is_scipys(spread):
    assert_is_scipys(spread)


def whole_mass(columns, p, low, high):
    x = torch.arange(low, high + 1, dtype=torch.float64)[:, None]
    return columns.log_prob(x, p.expand(len(x), -1)).exp().sum().item()


def outputs(spread, n_components=3, seed=0):
    """Raw outputs of one numeric column; logits and scales as extreme as ``spread``, means within 30 widths."""
    rng = np.random.default_rng(seed)
    rows = [
        spread * rng.standard_normal(n_components),
        3 * rng.standard_normal(n_components),
        spread * rng.standard_normal(n_components),
    ]
    return torch.tensor(np.concatenate(rows))[None]


def assert_integers_sum_to_one(spread, seed):
    columns = alone("integer", centre=3.0, width=2.0)
    p = outputs(spread, seed=seed)
    p[:, 6:].clamp_(max=5)  # the sum over 400,000 numbers holds such tails
    assert abs(whole_mass(columns, p, -200_000, 200_000) - 1) < 1e-6


@pytest.mark.parametrize("spread", SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("seed", [0, 1])
def test_integers_sum_to_one(spread, seed):
    assert_integers_sum_to_one(spread, seed)


def assert_density_integrates_to_one(spread, seed):
    columns = alone("continuous", centre=-2.0, width=0.4)
    p = outputs(spread, seed=seed)
    _, mean, scale = parts(columns, p, 0)
    # ends and the middle of each component cut the line where the integrand changes
    cuts = np.unique(np.concatenate([mean + k * scale for k in (-40, -8, -3, -1, 0, 1, 3, 8, 40)]))

    def density(v):
        x = torch.as_tensor(np.atleast_1d(v))[:, None]
        return columns.log_prob(x, p.expand(len(x), -1)).exp().numpy()[:, 0]

    total = sum(integrate.fixed_quad(density, a, b, n=60)[0] for a, b in pairwise(cuts))
    assert abs(total - 1) < 1e-6


@pytest.mark.parametrize("spread", SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("seed", [0, 1])
def test_density_integrates_to_one(spread, seed):
    assert_density_integrates_to_one(spread, seed)


@pytest.mark.parametrize("spread", [1.0, 60.0, 1e6])
def test_levels_sum_to_one(spread):
    n_levels = [2, 3, 4, 7, 8, 300]
    columns = Conditionals(["binary"] + ["categorical"] * 5, n_levels)
    p = spread * torch.randn(1, columns.n_parameters, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for j, k in enumerate(n_levels):
        x = torch.zeros(k, 6, dtype=torch.float64)
        x[:, j] = torch.arange(k)
        total = columns.log_prob(x, p.expand(k, -1))[:, j].exp().sum()
        assert abs(total - 1) < 1e-9


def test_a_repeated_value_has_a_bounded_density():
    columns = alone("continuous", n_components=1, width=2.0)
    p = torch.tensor([[0.0, 0.0, -1e30]], dtype=torch.float64)
    at_most = -np.log(1e-3) - 0.5 * np.log(2 * np.pi) - np.log(2.0)
    assert abs(columns.log_prob(torch.zeros(1, 1, dtype=torch.float64), p).item() - at_most) < 1e-9
    assert round(at_most + np.log(2.0), 2) == 5.99


# ---- gradients


def test_gradient_is_that_of_finite_differences():
    columns, x, p = mixed(3, spread=1.5)
    x[0, [0, 4]] = torch.nan
    p.requires_grad_()
    assert torch.autograd.gradcheck(lambda q: columns.log_prob(x, q), (p,), eps=1e-6, atol=1e-6)


def test_gradient_with_respect_to_a_continuous_cell():
    columns = alone("continuous", centre=0.5, width=3.0)
    p = outputs(1.0).expand(4, -1)
    x = torch.linspace(-3, 3, 4, dtype=torch.float64)[:, None].requires_grad_()
    assert torch.autograd.gradcheck(lambda v: columns.log_prob(v, p), (x,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_at_every_extreme(dtype):
    columns, x, p = mixed(400, dtype=dtype)
    generator = torch.Generator().manual_seed(1)
    x = x.to(dtype)
    numeric = [j for j, kind in enumerate(MIXED) if kind in ("integer", "continuous")]
    for j in numeric:
        size = 10 ** torch.linspace(0, 12 if MIXED[j] == "integer" else 30, 400)
        x[:, j] = torch.round(size * (torch.randint(0, 2, (400,), generator=generator) * 2 - 1))
    for spread in (0.0, 1.0, 1e3, 1e6):
        q = (spread * p).requires_grad_()
        log_p = columns.log_prob(x, q)
        assert torch.isfinite(log_p).all()
        (grad,) = torch.autograd.grad(log_p.sum(), q)
        assert torch.isfinite(grad).all()
        assert torch.isfinite(columns.sample(q.detach(), generator)).all()
        u = columns.cdf(x, q.detach(), torch.rand_like(x))
        assert ((u >= 0) & (u <= 1)).all()


def test_far_tails_of_integers_fall_as_a_logistic():
    columns = alone("integer", n_components=1, width=10.0)
    p = torch.tensor([[0.0, 0.0, 0.0]], dtype=torch.float64)
    _, _, scale = parts(columns, p, 0)
    x = torch.tensor([[1e3], [-1e3], [1e12], [-1e12]], dtype=torch.float64)
    log_p = columns.log_prob(x, p.expand(4, -1))[:, 0].numpy()
    # p(x) -> (1 - e^(-1/s)) e^(-(|x| - 1/2) / s)
    expected = np.log(-np.expm1(-1 / scale[0, 0])) - (np.abs(x.numpy()[:, 0]) - 0.5) / scale[0, 0]
    np.testing.assert_allclose(log_p, expected, rtol=1e-9)


def test_single_precision_is_close_to_double():
    columns, x, p = mixed(300)
    p = p.float().double()
    x = x.float().double()
    torch.testing.assert_close(columns.log_prob(x.float(), p.float()).double(), columns.log_prob(x, p), rtol=2e-4, atol=2e-4)
    assert columns.float().log_prob(x.float(), p.float()).dtype == torch.float32


def test_single_precision_outputs_keep_the_digits_of_large_numbers():
    columns = alone("integer", n_components=1, centre=1e9, width=2.0)
    p = torch.tensor([[0.0, 0.0, 0.0]])
    x = 1e9 + torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    log_p = columns.log_prob(x, p.expand(2, -1))
    assert log_p[0] - log_p[1] > 0.05


# ---- NaN


def test_an_unobserved_cell_counts_nothing():
    columns, x, p = mixed(40)
    hidden = torch.rand(x.shape, generator=torch.Generator().manual_seed(2)) < 0.3
    some = x.masked_fill(hidden, torch.nan)
    q = p.clone().requires_grad_()
    log_p = columns.log_prob(some, q)
    assert (log_p[hidden] == 0).all()
    torch.testing.assert_close(log_p[~hidden], columns.log_prob(x, p)[~hidden])
    (grad,) = torch.autograd.grad(log_p.sum(), q)
    assert torch.isfinite(grad).all()
    assert (grad[hidden[:, columns.parameter_owner]] == 0).all()
    u = columns.cdf(some, p, torch.rand_like(x))
    assert (u.isnan() == hidden).all()


# ---- draws


def drawn(j_kind, n=20_000, seed=3):
    """Many draws of a mixed row from one set of outputs."""
    columns, _, p = mixed(1, seed=seed)
    p = p.expand(n, -1)
    return columns, columns.sample(p, torch.Generator().manual_seed(11)), p


def assert_draws_follow_log_p():
    columns, x, p = drawn(MIXED)
    n = len(x)
    for j, kind in enumerate(MIXED):
        own = x[:, j].numpy()
        if kind == "continuous":
            share, mean, scale = (part[0] for part in parts(columns, p[:1], j))
            cdf = lambda v, s=share, m=mean, w=scale: (s * stats.norm.cdf(v[:, None], m, w)).sum(axis=1)  # noqa: E731
            assert stats.kstest(own, cdf).pvalue > 1e-3
            continue
        value, count = np.unique(own, return_counts=True)
        grid = torch.zeros(len(value), 9, dtype=torch.float64)
        grid[:, j] = torch.as_tensor(value)
        expected = n * columns.log_prob(grid, p[: len(value)])[:, j].exp().numpy()
        often = expected > 10
        count, expected = np.r_[count[often], n - count[often].sum()], np.r_[expected[often], n - expected[often].sum()]
        statistic = ((count - expected) ** 2 / np.maximum(expected, 1)).sum()
        assert stats.chi2.sf(statistic, max(often.sum() - 1, 1)) > 1e-4


def test_draws_follow_log_p():
    assert_draws_follow_log_p()


def test_a_column_alone_is_drawn_as_in_the_whole_row():
    columns, _, p = mixed(500, spread=2.0)
    whole = columns.sample(p, torch.Generator().manual_seed(5))
    u = columns.noise(500, torch.Generator().manual_seed(5), p)
    for j in range(9):
        own = columns.sample_column(j, p[:, columns.parameters_of(j)], u[:, j])
        torch.testing.assert_close(own, whole[:, j], rtol=1e-12, atol=1e-12)


def test_noise_comes_from_the_generator_alone():
    columns, _, p = mixed(20)
    before = torch.random.get_rng_state()
    once, again = (columns.sample(p, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(once, again)
    assert torch.equal(before, torch.random.get_rng_state())
    u = columns.noise(100_000, torch.Generator().manual_seed(0), torch.zeros(1))
    assert u.dtype == torch.float32
    assert u.min() > 0
    assert u.max() < 1
    draws = columns.sample(p.float(), torch.Generator().manual_seed(7))  # both precisions see the same noise
    assert ((draws - once).abs() < 1e-2 * (1 + once.abs())).double().mean() > 0.97


# ---- distribution functions


def test_cdf_of_draws_is_uniform():
    columns, x, p = mixed(20_000, seed=4)
    u = columns.cdf(x, p, torch.rand(x.shape, generator=torch.Generator().manual_seed(8), dtype=torch.float64))
    for j in range(9):
        assert stats.kstest(u[:, j].numpy(), "uniform").pvalue > 1e-4


def test_cdf_adds_up_log_p():
    columns, _, p = mixed(1, seed=6)
    for j, kind in enumerate(MIXED):
        if kind == "continuous":
            _, mean, scale = parts(columns, p, j)
            low, high = (mean - 9 * scale).min(), float(mean.mean())
            v = torch.linspace(low, high, 40_001, dtype=torch.float64)
        else:
            v = torch.arange(-3000 if kind == "integer" else 0, LEVELS[j] or 30, dtype=torch.float64)
        x = torch.zeros(len(v), 9, dtype=torch.float64)
        x[:, j] = v
        q = p.expand(len(v), -1)
        density = columns.log_prob(x, q)[:, j].exp().numpy()
        for u in (0.0, 0.4, 1.0):
            ours = columns.cdf(x, q, torch.full_like(x, u))[:, j].numpy()
            if kind == "continuous":
                summed = integrate.cumulative_simpson(density, x=v.numpy(), initial=0)
                np.testing.assert_allclose(ours, summed, atol=1e-6)
            else:
                np.testing.assert_allclose(ours, np.cumsum(density) - (1 - u) * density, atol=1e-9)


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_mean_is_the_sum_of_value_times_p(spread):
    columns, _, p = mixed(1, spread, seed=9)
    mean = columns.mean(p)[0]
    for j, kind in enumerate(MIXED):
        own = p[:, columns.parameters_of(j)]
        if kind == "categorical":
            assert mean[j] == own.argmax()
        elif kind == "binary":
            assert mean[j] == pytest.approx(special.expit(own.item()))
        elif kind == "continuous":
            share, mu, _ = parts(columns, p, j)
            assert mean[j].item() == pytest.approx((share * mu).sum())
        else:
            x = torch.zeros(400_001, 1, dtype=torch.float64)
            x[:, 0] = torch.arange(-200_000, 200_001)
            column = alone("integer", 3, float(columns.centre[j]), float(columns.width[j]))
            expected = (column.log_prob(x, own.expand(len(x), -1)).exp() * x).sum()
            assert mean[j].item() == pytest.approx(expected.item(), rel=1e-6, abs=1e-6)


# ---- the start


def marginals(n, seed):
    rng = np.random.default_rng(seed)
    gains = np.where(rng.random(n) < 0.9, 0, np.round(np.exp(rng.normal(8, 1, n))))
    two = np.where(rng.random(n) < 0.3, rng.normal(-2, 0.2, n), rng.normal(1, 0.6, n))
    columns = [
        two,
        rng.choice(3, n, p=[0.7, 0.2, 0.1]),
        rng.poisson(3, n),
        rng.random(n) < 0.2,
        rng.choice(4, n),
        rng.normal(5, 2, n),
    ]
    return np.column_stack([*columns, np.full(n, 6), rng.random(n) < 0.9, gains]).astype(float)


def test_start_is_the_marginal_of_each_column():
    X, new = marginals(3000, 0), marginals(3000, 1)
    X[::7, 2] = np.nan
    weight = np.ones(3000)
    columns = Conditionals(MIXED, LEVELS, 5)
    biases = columns.initialise(X, weight)
    assert biases.shape == (columns.n_parameters,)
    assert biases.dtype == torch.float64
    log_p = columns.log_prob(torch.from_numpy(new), biases.expand(3000, -1)).numpy()

    # levels: the counts with one pseudo-row
    for j, k in enumerate(LEVELS):
        if k:
            share = (np.bincount(X[:, j].astype(int), minlength=k) + 1 / k) / 3001
            np.testing.assert_allclose(log_p[:, j], np.log(share)[new[:, j].astype(int)], rtol=1e-9)
    # densities: what made the column, at the cost of a few parameters fitted to 3000 rows
    true = np.logaddexp(np.log(0.3) + stats.norm.logpdf(new[:, 0], -2, 0.2), np.log(0.7) + stats.norm.logpdf(new[:, 0], 1, 0.6))
    assert log_p[:, 0].mean() > true.mean() - 0.01
    assert log_p[:, 5].mean() > stats.norm.logpdf(new[:, 5], 5, 2).mean() - 0.01
    assert log_p[:, 2].mean() > stats.poisson.logpmf(new[:, 2], 3).mean() - 0.02
    # zeros and a log-normal rounded: the entropy of the coin and of the rest
    some = new[:, 8] > 0
    gains = np.where(some, np.log(0.1) + stats.lognorm.logpdf(np.maximum(new[:, 8], 1), 1, scale=np.exp(8)), np.log(0.9))
    assert log_p[:, 8].mean() > gains.mean() - 0.05
    assert columns.width[2] == pytest.approx(np.nanstd(X[:, 2]))
    assert columns.centre[5] == pytest.approx(X[:, 5].mean())


def test_start_of_classes_is_naive_bayes():
    """An untrained network of one class a group of rows: counts with a pseudo-row of the marginal; normals of each class."""
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], [400, 200])
    X = np.column_stack(
        [rng.random(600) < 0.2 + 0.5 * label, (rng.random(600) * (1 + 2 * label)).astype(int), rng.normal(3 * label, 1 + label)]
    ).astype(float)
    X[::9] = np.nan
    c = torch.nn.functional.one_hot(torch.from_numpy(label), 2).double()
    columns = Conditionals(["binary", "categorical", "continuous"], [2, 3, 0], n_components=1, astray=0)
    biases = columns.initialise(X, np.ones(600))
    by_class = columns.initialise_classes(X, c, biases)
    log_p = columns.log_prob(torch.from_numpy(X), biases + c @ by_class).numpy()
    for k in (0, 1):
        own = X[(label == k) & ~np.isnan(X[:, 0])]
        got = log_p[(label == k) & ~np.isnan(X[:, 0])]
        marginal = X[~np.isnan(X[:, 0])]
        n, m = len(own), len(marginal)
        for j, levels in ((0, 2), (1, 3)):
            share = (np.bincount(marginal[:, j].astype(int), minlength=levels) + 1 / levels) / (m + 1)
            counts = np.bincount(own[:, j].astype(int), minlength=levels) + share
            np.testing.assert_allclose(got[:, j], np.log(counts / (n + 1))[own[:, j].astype(int)], rtol=1e-6)
        # a mean with one pseudo-row, a variance with five
        normal = stats.norm.logpdf(own[:, 2], own[:, 2].mean(), own[:, 2].std())
        assert abs(got[:, 2].mean() - normal.mean()) < 0.02
        assert got[:, 2].mean() > columns.log_prob(torch.from_numpy(own), biases.expand(n, -1))[:, 2].mean() + 0.1
    # several components, and rows without a class: what is learnt of classes must tell them apart
    columns = Conditionals(["continuous", "integer"], [0, 0], n_components=5)
    X = np.column_stack([rng.normal(2 * label, 1), rng.poisson(2 + 3 * label)]).astype(float)
    biases = columns.initialise(X, np.ones(600))
    by_class = columns.initialise_classes(X, c.numpy() * (np.arange(600) % 3 > 0)[:, None], biases)
    each = [columns.log_prob(torch.from_numpy(X), (biases + by_class[k]).expand(600, -1)).sum(dim=1) for k in (0, 1)]
    naive = [stats.norm.logpdf(X[:, 0], 2 * k, 1) + stats.poisson.logpmf(X[:, 1], 2 + 3 * k) for k in (0, 1)]
    best = (naive[1] > naive[0]) == label
    assert ((each[1] > each[0]).numpy() == label).mean() > best.mean() - 0.02


def test_start_takes_weights_as_repeated_rows():
    X = marginals(300, 2)
    weight = np.random.default_rng(0).integers(1, 4, 300)
    weighted, repeated = Conditionals(MIXED, LEVELS), Conditionals(MIXED, LEVELS)
    one, other = (
        weighted.initialise(X, weight.astype(float)),
        repeated.initialise(np.repeat(X, weight, axis=0), np.ones(weight.sum())),
    )
    torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(weighted.width, repeated.width)
    plain = Conditionals(MIXED, LEVELS).initialise(X, np.ones(300))
    assert (plain - one).abs().max() > 1e-3


def test_start_of_hard_columns():
    X = np.column_stack(
        [np.full(5, 2.5), np.full(5, np.nan), [0, 0, 0, 0, 1e100], [3, 3, 3, 3, 3], np.full(5, np.nan), [1, 2, np.nan, 2, 1]]
    )
    columns = Conditionals(["continuous", "continuous", "continuous", "integer", "integer", "categorical"], [0, 0, 0, 0, 0, 3])
    biases = columns.initialise(X, np.ones(5))
    assert torch.isfinite(biases).all()
    x = torch.from_numpy(X)
    assert torch.isfinite(columns.log_prob(x, biases.expand(5, -1))).all()
    assert columns.log_prob(x, biases.expand(5, -1))[0, 3] > np.log(0.6)
    one_row = columns.initialise(X[:1], np.ones(1))
    assert torch.isfinite(columns.log_prob(x[:1], one_row[None])).all()


def test_a_wild_cell_does_not_set_the_unit():
    X = marginals(2000, 3)[:, [0, 2]]
    columns, wild = Conditionals(["continuous", "integer"], [0, 0]), Conditionals(["continuous", "integer"], [0, 0])
    start = columns.initialise(X, np.ones(2000))
    expected = columns.log_prob(torch.from_numpy(X[10:]), start.expand(1990, -1))
    X[3], X[4] = [1e100, 1e12], [-1e100, -1e12]
    start = wild.initialise(X, np.ones(2000))
    found = wild.log_prob(torch.from_numpy(X[10:]), start.expand(1990, -1))
    assert (wild.width < 2 * columns.width).all()
    assert (found.mean(dim=0) > expected.mean(dim=0) - 0.03).all()
    for dtype in (torch.float32, torch.float64):
        x, p = torch.from_numpy(X).to(dtype), start.to(dtype).expand(2000, -1)
        assert torch.isfinite(wild.log_prob(x, p)).all()
        assert (wild.features(x).abs() <= FEATURE_LIMIT).all()


# ---- the tests can fail


def test_shifted_edges_are_seen(monkeypatch):
    right = kinds_module.Integer._component

    def wrong(t, s, width):
        log_p, by_t, by_s = right(t + 0.5 * torch.exp(-s) / width, s, width)
        return log_p, by_t, by_s

    monkeypatch.setattr(kinds_module.Integer, "_component", staticmethod(wrong))
    with pytest.raises(AssertionError):
        assert_is_scipys(1.0)
    with pytest.raises(AssertionError):
        assert_draws_follow_log_p()


def test_cells_that_do_not_meet_are_seen(monkeypatch):
    right = kinds_module.Integer._component

    def wrong(t, s, width):  # cells of width 0.9
        return right(t, s, width / 0.9)

    monkeypatch.setattr(kinds_module.Integer, "_component", staticmethod(wrong))
    with pytest.raises(AssertionError):
        assert_integers_sum_to_one(1.0, 0)


def test_a_forgotten_width_is_seen(monkeypatch):
    right = kinds_module.Continuous.log_prob

    def wrong(self, x, p, centre, width):
        return right(self, x, p, centre, width) + torch.log(width)

    monkeypatch.setattr(kinds_module.Continuous, "log_prob", wrong)
    with pytest.raises(AssertionError):
        assert_density_integrates_to_one(1.0, 0)
    with pytest.raises(AssertionError):
        assert_is_scipys(1.0)


def test_a_small_step_moves_a_narrow_component_by_little():
    rng = np.random.default_rng(0)
    x = np.where(rng.random(2000) < 0.9, 0.0, rng.gamma(2, 5000, 2000).round())[:, None]  # capital gains: nearly always 0
    columns = Conditionals(["integer"], [0])
    bias = columns.initialise(x, np.ones(2000))
    rows = torch.from_numpy(x)
    before = columns.log_prob(rows, bias.expand(2000, -1)).mean()
    after = columns.log_prob(rows, (bias + 0.1 * torch.from_numpy(rng.choice([-1.0, 1.0], len(bias)))).expand(2000, -1)).mean()
    assert abs(after - before) < 0.3


@pytest.mark.parametrize("kind", ["continuous", "integer"])
def test_a_cell_far_from_what_the_network_says_costs_nats_not_millions(kind):
    sure = Conditionals([kind], [0], n_components=2)
    plain = Conditionals([kind], [0], n_components=2, astray=0)
    sure.width.fill_(10.0)
    plain.width.fill_(10.0)
    p = torch.tensor([[0.0, 0.0, 0.5, 0.5, -9.0, -9.0]], dtype=torch.float64)  # within a hair of half a width above the centre
    x = torch.tensor([[-20.0], [5.0], [7.0], [60.0]], dtype=torch.float64)
    each = p.expand(4, -1)
    wide = torch.distributions.TransformedDistribution(
        torch.distributions.Uniform(0.0, 1.0), [torch.distributions.SigmoidTransform().inv]
    )
    if kind == "continuous":
        astray = torch.exp(wide.log_prob(x[:, 0] / 20)) / 20
    else:
        astray = wide.cdf((x[:, 0] + 0.5) / 20) - wide.cdf((x[:, 0] - 0.5) / 20)
    expected = 0.999 * plain.log_prob(x, each)[:, 0].exp() + 0.001 * astray
    np.testing.assert_allclose(sure.log_prob(x, each)[:, 0].exp(), expected, rtol=1e-5)
    assert (sure.log_prob(x, each) > -15).all()
    assert plain.log_prob(x, each).min() < -500
    n = 200_000
    drawn = sure.sample(p.expand(n, -1), torch.Generator().manual_seed(0))
    assert 100 < (abs(drawn - 5) > 3).sum() < 300  # about one in a thousand
    cdf = sure.cdf(drawn, p.expand(n, -1), torch.rand(n, 1, generator=torch.Generator().manual_seed(1)))
    assert stats.kstest(cdf[:, 0].numpy(), "uniform").pvalue > 1e-3


# ---- grey values


@pytest.mark.parametrize("z", [-9.0, -3.0, -0.4, -1e-9, 0.0, 0.02, 1.0, 4.0, 12.0])
def test_grey_values_are_a_density_on_the_unit_interval_with_the_mean_of_cross_entropy(z):
    columns = Conditionals(["bernoulli"], [0])
    parameters = torch.tensor([[z]], dtype=torch.float64)

    def p(x):
        return float(torch.exp(columns.log_prob(torch.tensor([[x]], dtype=torch.float64), parameters)))

    ends = [0, 1e-3, 0.01, 0.1, 0.9, 0.99, 0.999, 1]
    parts = [integrate.quad(p, a, b) for a, b in pairwise(ends)]
    assert sum(value for value, _ in parts) == pytest.approx(1, abs=1e-8)
    mean = np.clip(1 / (1 + np.exp(-z)), 1e-3, 1 - 1e-3)
    assert sum(integrate.quad(lambda x: x * p(x), a, b)[0] for a, b in pairwise(ends)) == pytest.approx(mean, abs=1e-6)
    assert float(columns.mean(parameters)) == pytest.approx(mean)
    at = torch.tensor([[0.0], [0.3], [0.7], [1.0]], dtype=torch.float64)
    cdf = columns.cdf(at, parameters.expand(4, 1), torch.zeros(4, 1))[:, 0]
    below = [integrate.quad(p, 0, x, points=[x / 100, x / 10])[0] if x else 0 for x in (0, 0.3, 0.7, 1)]
    np.testing.assert_allclose(cdf, below, atol=1e-6)
    # draws are the inverse of the distribution function
    u = torch.linspace(0.01, 0.99, 9, dtype=torch.float64)
    drawn = columns.sample_column(0, parameters.expand(9, 1), torch.stack([u, u], dim=1))
    np.testing.assert_allclose(columns.cdf(drawn[:, None], parameters.expand(9, 1), torch.zeros(9, 1))[:, 0], u, atol=1e-7)
    single = columns.log_prob(at.float(), parameters.float().expand(4, 1))
    np.testing.assert_allclose(single, columns.log_prob(at, parameters.expand(4, 1)), rtol=2e-3, atol=2e-3)


def test_cross_entropy_of_grey_values_fits_their_mean():
    x = torch.tensor([[0.0], [0.1], [0.2], [0.9]], dtype=torch.float64)
    columns = Conditionals(["bernoulli", "binary"], [0, 2])
    X = torch.cat([x, torch.tensor([[0.0], [1], [1], [torch.nan]])], dim=1)
    z = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    columns.log_prob(X, z.expand(4, 2), cross_entropy=True).sum().backward()
    # d/dz sum x z - log(1 + e^z) = sum x - sigmoid(z); a binary column has its log p as ever
    np.testing.assert_allclose(z.grad, [[1.2 - 2, 2 - 1.5]])
    start = columns.initialise(X, np.ones(4))
    assert float(torch.sigmoid(start[0])) == pytest.approx(1.7 / 5)
    truth = columns.log_prob(X, torch.zeros(4, 2, dtype=torch.float64))
    np.testing.assert_allclose(truth[:, 0], 0, atol=1e-12)  # of mean one half: uniform
    assert not np.allclose(truth[:, 0], columns.log_prob(X, torch.zeros(4, 2), cross_entropy=True)[:, 0])
