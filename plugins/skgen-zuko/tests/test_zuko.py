"""What is true of these models alone."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from skgen_zuko import MaskedAutoregressiveFlow, NeuralSplineFlow, RealNVP
from sklearn.datasets import make_moons

import skgen

FLOWS = [NeuralSplineFlow, MaskedAutoregressiveFlow, RealNVP]


@pytest.fixture(scope="module")
def mixed():
    """A number whose mean is told by two discrete columns, which tell of each other."""
    rng = np.random.default_rng(0)
    colour = rng.choice(["blue", "green", "red"], size=1500, p=[0.5, 0.3, 0.2])
    old = rng.random(1500) < np.where(colour == "red", 0.9, 0.2)
    size = rng.normal(np.where(old, 3.0, -1.0) + 2.0 * (colour == "blue"), 0.5)
    return pd.DataFrame({"colour": pd.Categorical(colour), "old": old, "size": size, "other": rng.normal(size, 1.0)})


@pytest.mark.parametrize("model", FLOWS)
def test_log_p_is_the_change_of_variables_by_autograd(model):
    rng = np.random.default_rng(1)
    X = np.exp(rng.normal(size=(300, 3)) @ rng.normal(size=(3, 3)) / 3) * [1.0, 10.0, 100.0]
    fitted = model(**{**model.quick, "max_epochs": 5, "n_transforms": 2, "batch_size": 32}, random_state=0).fit(X)
    density, scale = fitted.densities_[0]._network, fitted.columns_.scale
    transform, base = density.flow(None).transform, density.flow(None).base

    def latent(x):  # data units to z, written out
        coded = (x - torch.from_numpy(fitted.columns_.loc)) / torch.from_numpy(scale)
        return transform((coded - density.loc[0]) * torch.exp(-density.log_scale[0]))

    for x in torch.from_numpy(X[:5]):
        jacobian = torch.autograd.functional.jacobian(latent, x)
        z = latent(x)
        want = base.log_prob(z) + torch.linalg.slogdet(jacobian)[1]
        assert fitted.score_samples(x.numpy()[None])[0] == pytest.approx(float(want), abs=1e-6)


@pytest.mark.parametrize("model", FLOWS)
def test_mixed_tables_sum_and_integrate_to_one(model, mixed):
    fitted = model(hidden_layer_sizes=(16,), max_epochs=10, learning_rate=0.01, random_state=0).fit(mixed.drop(columns="other"))
    grid = np.linspace(-30, 30, 6001)
    total = 0.0
    for colour, old in itertools.product(["blue", "green", "red"], [False, True]):
        rows = pd.DataFrame(
            {"colour": pd.Categorical([colour] * len(grid), mixed["colour"].cat.categories), "old": old, "size": grid}
        )
        total += np.trapezoid(np.exp(fitted.score_samples(rows)), grid)
    assert total == pytest.approx(1, abs=2e-3)


def test_discrete_columns_are_the_context_of_the_flow_and_of_each_other(mixed):
    model = NeuralSplineFlow(hidden_layer_sizes=(32,), max_epochs=40, batch_size=64, learning_rate=0.01, random_state=0).fit(mixed)
    alone = skgen.make("naive_bayes").fit(mixed)
    assert model.score(mixed) > alone.score(mixed) + 0.8
    drawn = model.sample(4000, random_state=1)
    for colour in ["blue", "green", "red"]:
        of, real = drawn[drawn["colour"] == colour], mixed[mixed["colour"] == colour]
        assert of["old"].mean() == pytest.approx(real["old"].mean(), abs=0.06)
        assert of["size"].mean() == pytest.approx(real["size"].mean(), abs=0.25)
        assert np.corrcoef(of["size"], of["other"])[0, 1] == pytest.approx(np.corrcoef(real["size"], real["other"])[0, 1], abs=0.08)
    assert drawn["colour"].value_counts(normalize=True)["blue"] == pytest.approx(0.5, abs=0.05)


def test_a_spline_flow_bends_where_a_normal_cannot():
    X, _ = make_moons(1000, noise=0.08, random_state=0)
    fresh, _ = make_moons(1000, noise=0.08, random_state=1)
    flow = NeuralSplineFlow(max_epochs=60, batch_size=64, learning_rate=0.01, random_state=0).fit(X)
    assert flow.score(fresh) > skgen.make("gaussian_mixture", n_components=1).fit(X).score(fresh) + 0.7
    # and its draws lie on the moons: the mixture of a kernel at each row finds them as likely as real rows
    kernels = skgen.make("kde").fit(X)
    assert kernels.score(flow.sample(1000, random_state=0)) == pytest.approx(kernels.score(fresh), abs=0.25)


def test_the_start_is_naive_bayes():
    X, y = make_moons(200, noise=0.2, random_state=0)
    untrained = NeuralSplineFlow(max_epochs=1, learning_rate=1e-12, random_state=0, early_stopping=False).fit(X, y)
    normal = skgen.make("naive_bayes", distributions="normal").fit(X, y)
    np.testing.assert_allclose(untrained.score_samples(X), normal.score_samples(X), atol=0.05)


def test_coupling_takes_two_passes_and_is_of_the_same_contract():
    X, y = make_moons(300, noise=0.1, random_state=0)
    model = NeuralSplineFlow(coupling=True, max_epochs=20, batch_size=64, learning_rate=0.01, random_state=0)
    assert model.fit(X, y).score(X, y) > 0.9
    X4 = np.column_stack([X, X[:, ::-1] ** 2])
    for coupling, passes in ((True, 2), (False, 4)):
        fitted = model.set_params(coupling=coupling, max_epochs=2).fit(X4)
        assert {part.passes for part in fitted.densities_[0]._network.modules() if hasattr(part, "passes")} == {passes}


@pytest.mark.parametrize("model", FLOWS)
def test_files(model, mixed, tmp_path):
    fitted = model(**model.quick, random_state=0).fit(mixed)
    skgen.save(fitted, tmp_path / "flow.skgen")
    again = skgen.load(tmp_path / "flow.skgen")
    np.testing.assert_array_equal(again.score_samples(mixed), fitted.score_samples(mixed))
    pd.testing.assert_frame_equal(again.sample(50, random_state=3), fitted.sample(50, random_state=3))


def test_free_weights_are_those_no_mask_holds_at_zero():
    X = np.random.default_rng(0).normal(size=(100, 3))
    model = MaskedAutoregressiveFlow(hidden_layer_sizes=(4,), n_transforms=1, max_epochs=1, random_state=0).fit(X)
    # loc and scale: 6. hidden units see 0, 1 (3 of 4 that can: merged patterns), outputs 2 a column; counted by the gradient
    module = model.densities_[0]._network.requires_grad_(True)
    used = 0
    for _ in range(20):
        for p in module.parameters():
            torch.nn.init.normal_(p)
        module.zero_grad()
        module.log_prob(torch.randn(200, 3, dtype=torch.float64), None).sum().backward()
        used = max(used, sum(int((p.grad != 0).sum()) for p in module.parameters()))
    assert model.n_parameters_ == used
