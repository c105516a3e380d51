"""Two players: losses in closed form, modes found, and what a user asks of them."""

import pickle
import signal
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import energy_distance as scipy_energy
from scipy.stats import multivariate_normal
from sklearn.linear_model import LogisticRegression

import skgen
from skgen import Snapshots
from skgen.learn.adversarial import coverage, energy_distance
from skgen.learn.games import LOSSES
from skgen.models.implicit._window import Observation, Watched, Window
from skgen.models.implicit.gan import GAN, _Networks

#: A dozen epochs are few, and the fit says so.
short = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SMALL = {"hidden_layer_sizes": (32, 32), "n_latent": 4, "random_state": 0}


def ring(n, seed=0):
    rng = np.random.default_rng(seed)
    angle = np.pi / 2 * rng.integers(0, 4, n)
    return 2 * np.column_stack([np.cos(angle), np.sin(angle)]) + rng.normal(0, 0.1, (n, 2))


def test_losses_are_those_of_the_papers():
    real, fake = torch.tensor([0.3, -1.2], dtype=torch.float64), torch.tensor([0.7, 0.1], dtype=torch.float64)
    D, G = torch.sigmoid(real), torch.sigmoid(fake)
    d, g = LOSSES["minimax"](real, fake, 0.0)
    assert torch.allclose(d, -torch.log(D) - torch.log(1 - G))
    assert torch.allclose(g, torch.log(1 - G))
    d, g = LOSSES["non_saturating"](real, fake, 0.1)
    assert torch.allclose(d, -0.9 * torch.log(D) - 0.1 * torch.log(1 - D) - torch.log(1 - G))
    assert torch.allclose(g, -torch.log(G))
    d, g = LOSSES["least_squares"](real, fake, 0.0)
    assert torch.allclose(d, 0.5 * (real - 1) ** 2 + 0.5 * fake**2)
    assert torch.allclose(g, 0.5 * (fake - 1) ** 2)
    d, g = LOSSES["wasserstein"](real, fake, 0.0)
    assert torch.allclose(d, fake - real)
    assert torch.allclose(g, -fake)


def test_energy_distance_is_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=400), rng.normal(1, 2, 400)
    ours = energy_distance(torch.from_numpy(a[:, None]), torch.from_numpy(b[:, None]))
    # scipy's is the square root, and counts the distance of a row to itself
    assert np.isclose(ours, scipy_energy(a, b) ** 2, atol=0.01)
    assert abs(energy_distance(torch.from_numpy(a[:, None]), torch.from_numpy(rng.normal(size=(400, 1))))) < 0.02


def test_coverage_counts_the_modes_that_are_reached():
    X = torch.from_numpy(ring(400))
    half = X[X[:, 0] > -1]  # three of four
    assert coverage(X, torch.from_numpy(ring(400, seed=1))) > 0.9
    assert 0.6 < coverage(X, half) < 0.85


def test_all_modes_of_a_ring_are_drawn():
    model = GAN(max_epochs=14, learning_rate=2e-3, **SMALL).fit(ring(800))
    drawn = model.sample(1000)
    centres = 2 * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
    distance = np.linalg.norm(drawn[:, None] - centres, axis=2)
    near = distance.min(axis=1) < 0.5
    assert np.bincount(distance.argmin(axis=1)[near], minlength=4).min() > 50
    assert near.mean() > 0.7
    history = model.history_
    assert {"generator_loss", "discriminator_loss", "discriminator_accuracy", "energy_distance"} <= set(history)
    assert history["energy_distance"].min() < 0.2 * history["energy_distance"][0]


def test_a_mixed_table_comes_back_as_it_was():
    rng = np.random.default_rng(0)
    level = rng.integers(0, 3, 600)
    X = pd.DataFrame(
        {
            "x": level + rng.normal(0, 0.2, 600),
            "c": pd.Categorical.from_codes(level, list("uvw")),
            "b": rng.random(600) < 0.3,
            "n": rng.poisson(3, 600),
        }
    )
    y = np.where(level == 2, "high", "low")
    model = GAN(max_epochs=8, learning_rate=2e-3, **SMALL).fit(X, y)
    drawn, labels = model.sample(400, return_y=True)
    assert drawn.dtypes.equals(X.dtypes)
    assert set(labels) == {"high", "low"}
    assert np.isfinite(model.score_samples(X)).all()
    assert model.likelihood_ == "estimate"
    assert model.score(X, y) > 0.9
    assert model.discriminate(X, y).shape == (600,)
    assert len(model.inverse_transform(rng.normal(size=(5, 4)), y="high")) == 5
    copy = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copy.score_samples(X), model.score_samples(X))


@short
def test_a_fit_is_a_function_of_its_seed():
    X = ring(200)
    one, other = (GAN(max_epochs=2, **SMALL).fit(X) for _ in range(2))
    assert np.array_equal(one.sample(20), other.sample(20))
    assert np.array_equal(one.score_samples(X), other.score_samples(X))


# ---- classes


class ForgetsTheClass(_Networks):
    """A planted bug: the generator is not told which class to make."""

    def _outputs(self, z, c):
        return super()._outputs(z, None if c is None else torch.zeros_like(c))


class Forgetful(GAN):
    def _module(self, columns, n_classes):
        return ForgetsTheClass(columns, n_classes, self.n_latent, (32, 32), 1, self._tells_classes(n_classes), False)


def blobs(n, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    return np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])[y] + rng.normal(0, 0.7, (n, 2)), y


def of_its_class(model):
    X, y = model.sample(300, return_y=True)
    return (LogisticRegression().fit(*blobs(600)).predict(X) == y).mean()


@short
def test_rows_are_of_the_class_asked_for():
    how = {"max_epochs": 8, "learning_rate": 3e-3, **SMALL}
    assert of_its_class(GAN(**how).fit(*blobs(600))) > 0.95
    assert of_its_class(Forgetful(**how).fit(*blobs(600))) < 0.6


@short
def test_the_discriminators_head_is_p_of_y_given_x():
    X, y = blobs(400)
    model = GAN(classifier="discriminator", max_epochs=5, learning_rate=3e-3, **SMALL).fit(X, y)
    assert model.score(X, y) > 0.95
    part = model.densities_[0]
    with torch.inference_mode():
        x = part._tensor((X - model.columns_.loc) / model.columns_.scale)
        heads = torch.softmax(part._network.heads(part._network.show(x, None)), dim=1).numpy()
    assert np.allclose(model.predict_proba(X), heads)
    # p(y) moves the answer as Bayes' rule says, and log p(x) not at all by the head
    shifted = heads * [0.8, 0.1, 0.1] / np.exp(model.class_log_prior_)
    log_p = model.score_samples(X)
    window = part._estimate.log_prob_classes(part, (X - model.columns_.loc) / model.columns_.scale)
    assert np.allclose(log_p, np.logaddexp.reduce(window + model.class_log_prior_, axis=1) - np.log(model.columns_.scale).sum())
    model.set_params(priors=[0.8, 0.1, 0.1])
    assert np.allclose(model.predict_proba(X), shifted / shifted.sum(axis=1, keepdims=True))
    # real, and of that class: with K + 1 classes a row is less often the first of these and the second than the first
    assert (model.discriminate(X, y) <= model.discriminate(X) + 1e-12).all()


@short
def test_rows_without_a_label_help():
    X, y = blobs(400, seed=1)
    partly = np.full(400, -1)
    # labels of the lowest rows of each class alone: what the others are like is learnt without labels
    few = np.concatenate([at[X[at, 1].argsort()[:10]] for at in (np.flatnonzero(y == k) for k in range(3))])
    partly[few] = y[few]
    how = {"max_epochs": 20, "learning_rate": 3e-3, **SMALL}
    model = GAN(unlabeled=-1, **how).fit(X, partly)
    assert model.densities_[0]._network.tells_classes
    assert model.score(*blobs(600, seed=2)) > 0.95
    alone = GAN(**how).fit(X[few], y[few])
    off = [[abs(one.sample(200, y=k)[:, 1].mean() - X[y == k, 1].mean()) for k in range(3)] for one in (model, alone)]
    assert max(off[0]) < 0.7 < min(off[1]), off
    assert model.discriminate(X).shape == (400,)


# ---- log p


class _Plane:
    """A part whose generator is known: x = A z, with noise of width h."""

    n_latent, _n_classes = 2, 0
    A = np.random.default_rng(1).normal(size=(6, 2))

    @property
    def _network(self):
        return self

    def _tensor(self, X):
        return torch.as_tensor(X, dtype=torch.float64)

    def _class(self, x, k):
        return None

    def log_observation(self, x, z, c, h):
        away = (x - z @ torch.from_numpy(self.A).T) / h
        return -0.5 * away.square().sum(dim=1) - 6 * np.log(h) - 3 * np.log(2 * np.pi)

    def draw(self, n, rng):
        return rng.normal(size=(n, 2)) @ self.A.T + rng.normal(0, 0.3, (n, 6))


def test_annealing_is_nearer_to_a_known_law_than_windows():
    part, rng = _Plane(), np.random.default_rng(0)
    watched, asked = part.draw(300, rng), part.draw(25, rng)
    truth = multivariate_normal(np.zeros(6), part.A @ part.A.T + 0.09 * np.eye(6)).logpdf(asked)
    columns = skgen.columns(watched)
    seen = Watched(watched, np.zeros(300, dtype=int), np.ones(300), np.ones(1))
    window = Window.chosen(columns, [part.draw(2000, rng)], seen)
    chains = Observation.chosen(part, seen, 250)
    assert chains.width == 0.3  # of those that are tried, the one that made the rows
    parzen, annealed = (np.abs(one.log_prob_classes(part, asked)[:, 0] - truth) for one in (window, chains))
    assert annealed.mean() < 0.3
    assert parzen.mean() > 1.5 * annealed.mean()


@short
def test_a_window_is_a_density():
    X = np.random.default_rng(0).normal(5, 2, (300, 1))
    model = GAN(max_epochs=4, learning_rate=3e-3, n_parzen=300, **SMALL).fit(X)
    line = np.linspace(-20, 30, 20_001)
    assert np.trapezoid(np.exp(model.score_samples(line[:, None])), line) == pytest.approx(1, abs=1e-3)


# ---- training


@short
def test_a_spectral_norm_is_at_most_one():
    def largest(**how):
        model = GAN(max_epochs=3, learning_rate=3e-3, **how, **SMALL).fit(ring(400))
        layers = [layer for layer in model.densities_[0]._network.discriminator if isinstance(layer, torch.nn.Linear)]
        return max(float(torch.linalg.matrix_norm(layer.weight, 2)) for layer in layers)

    assert largest(spectral_norm=True) < 1.05  # by power iteration
    assert largest() > 1.2


class At:
    """Do something at the end of an epoch of a fit."""

    def __init__(self, epoch, act):
        self.epoch, self.act = epoch, act

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch" and context.task_id + 1 == self.epoch:
            self.act()


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals reach the main thread")
@short
def test_an_interrupt_keeps_the_best_generator_and_an_earlier_fit():
    X, y = blobs(200)
    how = {"learning_rate": 3e-3, **SMALL}
    model = GAN(max_epochs=50, **how).set_callbacks(At(5, lambda: signal.raise_signal(signal.SIGINT)))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert model.n_iter_ == 5
    whole = GAN(max_epochs=5, **how).fit(X, y)
    assert np.array_equal(model.sample(20), whole.sample(20))
    best = int(whole.history_["energy_distance"].argmin())  # of the five, counted from 0
    assert not np.array_equal(model.sample(20), GAN(max_epochs=best, **how).fit(X, y).sample(20))
    whole.set_callbacks(At(1, lambda: signal.raise_signal(signal.SIGINT)))
    before = whole.sample(20)
    with pytest.raises(KeyboardInterrupt):
        whole.fit(X[:100])
    assert np.array_equal(whole.sample(20), before)


@short
def test_snapshots_leave_the_fit_as_it_is():
    X, y = blobs(200)
    how = {"max_epochs": 3, "learning_rate": 3e-3, **SMALL}
    seen = Snapshots(epochs=(1, 3), n_samples=8)
    watched, alone = GAN(**how).set_callbacks(seen).fit(X, y), GAN(**how).fit(X, y)
    assert np.array_equal(watched.sample(20), alone.sample(20))
    assert set(seen.samples_) == {1, 3}
    assert not np.allclose(seen.samples_[1], seen.samples_[3])


@short
def test_a_warm_start_is_never_farther_than_where_it_began():
    X, y = blobs(200)
    model = GAN(max_epochs=5, learning_rate=3e-3, warm_start=True, **SMALL).fit(X, y)
    before = model.sample(20)
    model.set_params(max_epochs=1, learning_rate=0.1).fit(X, y)
    assert model.history_["energy_distance"][0] > 0.05  # the epoch has spoilt the weights, which were not kept
    assert np.array_equal(model.sample(20), before)
    model.set_params(max_epochs=4, learning_rate=1e-3).fit(X, y)
    assert not np.array_equal(model.sample(20), before)
    with pytest.raises(ValueError, match="warm_start"):
        model.fit(X[:, :1], y)


@short
def test_rows_of_no_weight_are_not_there():
    X, y = blobs(400)
    model = GAN(max_epochs=5, learning_rate=3e-3, **SMALL).fit(X, sample_weight=(y != 1).astype(float))
    assert (model.sample(300)[:, 0] < 3.5).mean() > 0.95
    same = GAN(max_epochs=5, learning_rate=3e-3, **SMALL).fit(X[y != 1])
    assert np.array_equal(model.sample(20), same.sample(20))


# ---- what a user asks


@short
def test_what_there_is_no_answer_to_is_said():
    X, y = blobs(120)
    model = GAN(max_epochs=2, **SMALL).fit(X, y)
    apart = GAN(max_epochs=2, class_conditional="separate", **SMALL).fit(X, y)
    hole = np.array([[np.nan, 1.0]])
    for call, word in (
        (lambda: model.discriminate(X), "say which class by y="),
        (lambda: model.discriminate(X, 7), "y=7 is not a class"),
        (lambda: model.discriminate(hole, 0), "impute them first"),
        (lambda: model.score_samples(hole), "SimpleImputer"),
        (lambda: model.fit(hole, [0]), "SimpleImputer"),
        (lambda: model.sample(3, given={0: 1.0}), "use a model that can"),
        (lambda: model.sample_conditional(hole), "use a model that can"),
        (lambda: model.inverse_transform(np.zeros((2, 3)), 0), "n_latent=4"),
        (lambda: model.inverse_transform(np.zeros((2, 4))), "say which class by y="),
        (lambda: apart.discriminate(X, y), "class_conditional='shared'"),
        (lambda: GAN(optimizer="sgd").fit(X), "optimizer='sgd'"),
        (lambda: GAN(checkpoint="a").fit(X), "checkpoint='a'"),
        (lambda: GAN(precision="bfloat16").fit(X), "'float64'"),
        (lambda: GAN(hidden_layer_sizes=()).fit(X), "hidden_layer_sizes"),
        (lambda: GAN(classifier="discriminator", packing=2).fit(X, y), "packing=1"),
        (lambda: GAN(classifier="discriminator", class_conditional="separate").fit(X, y), "class_conditional='shared'"),
    ):
        with pytest.raises(ValueError, match=word):
            call()
    for name, word in (("n_parameters_", "undefined"), ("partial_fit", "fit it on all rows at once")):
        with pytest.raises(AttributeError, match=word):
            getattr(model, name)
    with pytest.raises(AttributeError, match="densities_"):
        _ = apart.history_
    assert len(apart.densities_[1].history_["epoch"]) == 2


@short
def test_latent_points_are_rows_and_neighbours_are_near():
    X, y = blobs(300)
    model = GAN(max_epochs=5, learning_rate=3e-3, **SMALL).fit(X, y)
    Z = np.random.default_rng(0).normal(size=(200, 4))
    rows, again = model.inverse_transform(Z, 1), model.inverse_transform(Z, np.ones(200, dtype=int))
    assert np.array_equal(rows, again)
    assert (LogisticRegression().fit(X, y).predict(rows) == 1).mean() > 0.9
    assert np.median(np.abs(model.inverse_transform(Z + 1e-6, 1) - rows)) < 1e-3
    assert rows.std(axis=0).min() > 0.05


def test_the_wasserstein_loss_needs_a_bounded_slope():
    X = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(ValueError, match="bounded slope"):
        GAN(loss="wasserstein", gradient_penalty=0.0).fit(X)
    with pytest.raises(ValueError, match="label_smoothing"):
        GAN(loss="wasserstein", label_smoothing=0.1).fit(X)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore::skgen.ColumnWarning")
def test_constants_are_drawn_as_they_are():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=100), np.full(100, 7.25), np.zeros(100)])
    drawn = GAN(max_epochs=2, n_parzen=20, random_state=0).fit(X).sample(200)
    assert (drawn[:, 1] == 7.25).all()
    assert (drawn[:, 2] == 0).all()
    assert len(np.unique(drawn[:, 0])) > 100


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_history_of_two_players_is_drawn():
    mpl = pytest.importorskip("matplotlib")
    mpl.use("Agg")
    X = np.random.default_rng(0).normal(size=(60, 2))
    display = skgen.HistoryDisplay.from_estimator(GAN(max_epochs=3, n_parzen=20, random_state=0).fit(X))
    assert [line.get_label() for line in display.lines_] == ["generator", "discriminator", "energy distance to held-out rows"]
