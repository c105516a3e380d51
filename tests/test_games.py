"""What two players minimise, in closed form; how rows of a table are shown to them; and what a game does when it breaks."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from skgen.learn.adversarial import energy_distance
from skgen.learn.games import LOSSES, class_logit, pack, slope_penalty
from skgen.models.implicit._table import TableFeatures, relaxed_draw
from skgen.models.implicit.gan import GAN, _Networks

torch64 = {"dtype": torch.float64}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), **torch64)


# ---- losses


@pytest.mark.parametrize("name", ["minimax", "non_saturating", "least_squares"])
@pytest.mark.parametrize("smooth", [0.0, 0.2])
def test_the_best_discriminator_is_the_share_of_real_rows(name, smooth):
    p, g = torch.tensor([0.9, 0.3, 0.5], **torch64), torch.tensor([0.1, 0.6, 0.5], **torch64)
    share = (1 - smooth) * p / (p + g)  # Goodfellow et al. 2014, proposition 1; Salimans et al. 2016, section 3.4
    best = share if name == "least_squares" else torch.logit(share)

    def slope(at):
        at = at.clone().requires_grad_(True)
        # E over real rows has weight p, over generated ones g: the two terms of the loss take turns
        on_real, _ = LOSSES[name](at, torch.full_like(at, -50.0 if name != "least_squares" else 0.0), smooth)
        on_fake, _ = LOSSES[name](torch.zeros_like(at), at, smooth)
        return torch.autograd.grad((p * on_real + g * on_fake).sum(), at)[0]

    assert slope(best).abs().max() < 1e-9
    assert slope(best + 0.1).abs().min() > 1e-3
    assert slope(torch.zeros(3, **torch64)).abs().max() > 1e-2


def test_only_minimax_saturates():
    fake = torch.tensor([-12.0], requires_grad=True, **torch64)  # the discriminator is sure that the row is generated
    slope = {name: float(torch.autograd.grad(LOSSES[name](fake, fake, 0.0)[1].sum(), fake)[0]) for name in LOSSES}
    assert abs(slope["minimax"]) < 1e-5
    assert all(slope[name] < -0.9 for name in LOSSES if name != "minimax")


def test_k_plus_one_classes_are_a_softmax():
    heads, K = 3 * randn(40, 4), 4
    p = torch.softmax(torch.cat([heads, torch.zeros(40, 1, **torch64)], dim=1), dim=1)
    y = torch.arange(40) % K
    c = torch.nn.functional.one_hot(y, K).double()
    own = p[torch.arange(40), y]
    assert torch.allclose(torch.sigmoid(class_logit(heads, c)), own)
    assert torch.allclose(torch.sigmoid(class_logit(heads, None)), 1 - p[:, K])
    c[::3] = torch.nan
    mixed = torch.sigmoid(class_logit(heads, c))
    assert torch.allclose(mixed, torch.where(torch.arange(40) % 3 == 0, 1 - p[:, K], own))
    assert not torch.allclose(torch.sigmoid(heads[torch.arange(40), y]), own, atol=0.05)  # K separate discriminators are seen
    heads.requires_grad_(True)
    class_logit(heads, c).sum().backward()
    assert torch.isfinite(heads.grad).all()


def test_packs_are_rows_side_by_side():
    x = randn(7, 2, 3, 3)
    packed = pack(x, 3)
    assert packed.shape == (2, 6, 3, 3)
    for i, j in itertools.product(range(2), range(3)):
        assert torch.equal(packed[i, 2 * j : 2 * j + 2], x[3 * i + j])
    assert pack(x, 1) is x
    assert pack(None, 4) is None


def mlp(seed=0):
    first, second = randn(3, 5, seed=seed), randn(5, seed=seed + 1)
    return lambda x: torch.tanh(x @ first) @ second


def test_r1_and_r2_are_half_the_squared_slopes_at_both_rows():
    judge, real, fake, w = mlp(), randn(6, 3, seed=5), randn(6, 3, seed=6), torch.tensor([1.0, 2, 1, 1, 3, 1], **torch64)
    eye, h = torch.eye(3, **torch64), 1e-5

    def half_square(rows):
        slope = torch.stack([(judge(rows + h * e) - judge(rows - h * e)) / (2 * h) for e in eye], dim=1)
        return 0.5 * slope.square().sum(dim=1)

    r1, r2 = half_square(real), half_square(fake)
    found = slope_penalty("non_saturating", judge, real, fake, seeded())
    assert torch.isclose(found, r1.mean() + r2.mean(), rtol=1e-6)
    weighted = slope_penalty("minimax", judge, real, fake, seeded(), w)
    assert torch.isclose(weighted, (w * r1).sum() / w.sum() + r2.mean(), rtol=1e-6)
    assert not torch.isclose(found, 2 * r1.mean(), rtol=1e-2)
    assert not torch.isclose(found, weighted, rtol=1e-2)


def test_the_wasserstein_penalty_asks_for_slope_one_between_the_rows():
    v = torch.tensor([3.0, 4.0], **torch64, requires_grad=True)
    real, fake = randn(8, 2), randn(8, 2, seed=1)
    found = slope_penalty("wasserstein", lambda x: x @ v, real, fake, seeded())
    assert torch.isclose(found, torch.tensor(16.0, **torch64))  # (5 - 1)^2
    (slope,) = torch.autograd.grad(found, v)
    assert torch.allclose(slope, 8 * v.detach() / 5)  # it trains the discriminator: d (|v| - 1)^2 / dv
    seen = []
    slope_penalty("wasserstein", lambda x: (seen.append(x.detach()), (x @ v))[1], real, fake, seeded())
    share = (seen[0] - fake) / (real - fake)
    assert torch.allclose(share[:, 0], share[:, 1])  # one share a row, on the line between the two
    assert ((share > 0) & (share < 1)).all()
    assert len(torch.unique(share[:, 0].round(decimals=6))) == 8


def test_weighted_energy_distance_is_that_of_repeated_rows():
    a, b = randn(5, 2), randn(4, 2, seed=1) + 1
    w = torch.tensor([1.0, 2.0, 1.0, 3.0, 1.0], **torch64)
    u = w / w.sum()
    d = torch.cdist
    want = 2 * (u @ d(a, b)).mean() - u @ d(a, a) @ u / (1 - u @ u) - d(b, b).sum() / 12
    assert np.isclose(energy_distance(a, b, w), float(want))
    assert np.isclose(energy_distance(a, b, torch.ones(5)), energy_distance(a, b))
    assert abs(energy_distance(a, b, w) - energy_distance(a, b)) > 0.01


# ---- tables


def features(kinds, n_levels, x):
    table = TableFeatures(kinds, n_levels).double()
    table.initialise(x, torch.ones(len(x)))
    return table


def mixed(n=2000):
    rng = np.random.default_rng(0)
    mode = rng.integers(0, 2, n)
    x = np.column_stack(
        [
            np.where(mode, -4.0, 4.0) + rng.normal(0, 0.3, n),
            rng.normal(2, 1, n),
            rng.poisson(3, n),
            rng.random(n) < 0.3,
            rng.integers(0, 3, n),
        ]
    )
    return torch.from_numpy(x), ("continuous", "continuous", "integer", "binary", "categorical"), (0, 0, 0, 2, 3)


def test_modes_are_as_many_as_the_information_criterion_allows():
    x, kinds, n_levels = mixed()
    table = features(kinds, n_levels, x)
    large = table.log_share.exp() > 0.02
    assert large.sum(dim=1).tolist()[:2] == [2, 1]
    assert torch.allclose(table.loc[0, large[0]].sort().values, torch.tensor([-4.0, 4.0], **torch64), atol=0.05)
    assert torch.allclose(table.scale[0, large[0]], torch.tensor(0.3, **torch64), atol=0.05)
    assert torch.allclose(table.log_share.exp().sum(dim=1), torch.ones(3, **torch64))


def test_a_row_shown_and_read_back_is_the_row():
    x, kinds, n_levels = mixed(200)
    table = features(kinds, n_levels, x)
    shown = table.show(x, None)
    assert shown.shape == (200, table.n_features)
    assert torch.allclose(table.cells(shown), x)
    assert torch.allclose(table.cells(table.show(x, seeded())), x)  # whichever mode the cell is said to come from
    assert not torch.allclose(table.cells(shown.roll(1, dims=1)), x)


def test_relaxed_draws_are_one_hot_with_the_shares_of_the_softmax():
    logits = torch.tensor([0.5, -1.0, 1.2], **torch64).expand(20_000, 3).clone().requires_grad_(True)
    drawn = relaxed_draw(logits, seeded())
    hard = drawn.detach()
    assert torch.allclose(hard, torch.nn.functional.one_hot(hard.argmax(dim=1), 3).double())
    share, want = hard.mean(dim=0), torch.softmax(logits[0].detach(), dim=0)
    assert (share - want).abs().max() < 4 * 0.5 / np.sqrt(20_000)
    assert (share - torch.softmax(logits[0].detach() / 0.3, dim=0)).abs().max() > 0.05  # draws are not those of the relaxed law
    (slope,) = torch.autograd.grad(drawn[:, 0].sum(), logits)
    assert slope[:, 0].mean() > 0.01  # a level becomes likelier with its own output,
    assert slope[:, 2].mean() < -0.01  # and less with another's
    assert slope.sum(dim=1).abs().max() < 1e-9


def test_the_noise_about_a_row_is_a_density():
    x, kinds, n_levels = mixed(300)
    columns = [0, 3, 4]
    table = features([kinds[j] for j in columns], [n_levels[j] for j in columns], x[:, columns])
    out = randn(1, table.n_outputs)
    line = torch.linspace(-12, 12, 4001, **torch64)

    def total(log_prob):
        states = itertools.product((0.0, 1.0), (0.0, 1.0, 2.0))
        grids = (torch.column_stack([line, torch.full_like(line, b), torch.full_like(line, k)]) for b, k in states)
        return sum(float(torch.trapezoid(log_prob(grid, out.expand(len(grid), -1), 0.3).exp(), line)) for grid in grids)

    assert np.isclose(total(table.log_prob), 1, atol=1e-3)

    def forgets_the_width(rows, given, h):
        return table.log_prob(rows, given, h) + np.log(h)

    assert abs(total(forgets_the_width) - 1) > 0.1


# ---- a game that breaks


def ring(n, seed=0):
    rng = np.random.default_rng(seed)
    angle = np.pi / 2 * rng.integers(0, 4, n)
    return 2 * np.column_stack([np.cos(angle), np.sin(angle)]) + rng.normal(0, 0.1, (n, 2))


SMALL = {"hidden_layer_sizes": (16,), "n_latent": 2, "max_epochs": 3, "random_state": 0}


class _OnePoint(_Networks):
    def generate(self, n, c, generator):
        return super().generate(1, None if c is None else c[:1], generator).expand(n, -1)


class Collapses(GAN):
    """A planted bug: whatever the noise, the generator makes one row."""

    def _module(self, columns, n_classes):
        return _OnePoint(columns, n_classes, self.n_latent, (16,), 1, False, False)


def test_a_generator_that_collapses_is_told():
    with pytest.warns(ConvergenceWarning, match="modes are missing"):
        Collapses(**{**SMALL, "n_parzen": 10}).fit(ring(200))


class _OneLevel(_Networks):
    def sample(self, n, c, generator):
        x = super().sample(n, c, generator)
        x[:, 1] = 2.0
        return x


class LosesLevels(GAN):
    """A planted bug: one column of several is always the same level."""

    def _module(self, columns, n_classes):
        return _OneLevel(columns, n_classes, self.n_latent, (16,), 1, False, False)


@pytest.mark.parametrize(("model", "told"), [(GAN, False), (LosesLevels, True)])
def test_a_column_that_no_longer_varies_is_named(model, told):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=300), "b": pd.Categorical(rng.choice(list("xyz"), 300)), "c": np.zeros(300)})
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model(**{**SMALL, "max_epochs": 3}).fit(X)
    flat = [str(w.message) for w in seen if "hardly vary" in str(w.message)]
    assert bool(flat) == told, flat
    assert all("column 'b':" in message for message in flat)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("loss", ["non_saturating", "wasserstein", "least_squares"])
def test_wild_rates_end_in_an_error_or_a_warning_that_names_them(loss):
    X = ring(200)
    model = GAN(loss=loss, **SMALL).fit(X)
    before, said = model.sample(20), ""
    model.set_params(learning_rate=1e4, max_epochs=10)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            model.fit(X)
        except ValueError as error:
            said = str(error)
    after = model.sample(20)
    assert np.array_equal(after, before) if said else np.isfinite(after).all()
    assert "lower learning_rate" in said + " ".join(str(warning.message) for warning in told)


@pytest.mark.filterwarnings("ignore:Generated rows are no nearer", "ignore:Only")
def test_a_loss_that_is_no_number_costs_a_tenth_of_the_rate(monkeypatch):
    calls = iter(range(10**6))

    def breaks(real, fake, smooth):
        d, g = LOSSES["non_saturating"](real, fake, smooth)
        return d * (torch.nan if next(calls) in (2, 3) else 1), g

    monkeypatch.setitem(LOSSES, "minimax", breaks)
    with pytest.warns(ConvergenceWarning, match="epoch 1 at learning_rate=0.001; training went on"):
        model = GAN(loss="minimax", **{**SMALL, "max_epochs": 8}).fit(ring(200))
    assert model.history_["learning_rate"][-1] == pytest.approx(1e-4)
    assert np.isfinite(model.sample(50)).all()
    assert np.isfinite(model.history_["energy_distance"][1:]).all()
