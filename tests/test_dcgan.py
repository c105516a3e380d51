"""A generative adversarial network of convolutions: shapes, the paper's rules, and what is drawn."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import skgen
from skgen.models.implicit.dcgan import DCGAN, _Networks

short = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs, and the fit says so
DIGITS = load_digits()


def networks(shape, kind="continuous", n_classes=2, tells=False, channels=(8, 16), spectral=False):
    d = int(np.prod(shape))
    x = np.random.default_rng(0).random((20, d))
    columns = skgen.columns(x if kind == "continuous" else (x > 0.5).astype(int), column_kinds=kind)
    return _Networks(columns, (*shape, 1)[:3], n_classes, 3, channels, 1, tells, spectral).double().requires_grad_(False)


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (5, 7), (7, 1), (1, 13), (3, 3, 3), (9, 6, 2), (1, 1)])
@pytest.mark.parametrize("tells", [False, True])
def test_any_sides_and_colours(shape, tells):
    net = networks(shape, tells=tells, channels=(4, 8, 8))
    c = torch.eye(2, dtype=torch.float64).repeat(3, 1)
    images = net.generate(6, c, torch.Generator().manual_seed(0))
    height, width, depth = (*shape, 1)[:3]
    assert images.shape == (6, depth, height, width)
    assert images.abs().max() <= 1
    assert net.judge(images, c).shape == (6,)
    assert net.sample(6, c, torch.Generator().manual_seed(0)).shape == (6, height * width * depth)
    if tells:
        assert net.heads(images).shape == (6, 2)


def test_a_row_is_rows_of_pixels_of_colours():
    net = networks((4, 5, 3))
    x = torch.rand(2, 60, dtype=torch.float64)
    shown = net.show(x, None)
    for i, j, k in itertools.product(range(4), range(5), range(3)):
        assert torch.allclose(shown[:, k, i, j], 2 * x[:, (5 * i + j) * 3 + k] - 1)
    assert torch.allclose(net._values(shown), x)
    assert not torch.allclose(net._values(shown.flip(1)), x)


def test_the_papers_rules():
    net = networks((16, 16), channels=(8, 16, 32))
    made, judged = list(net.generator), list(net.discriminator)
    dense = [isinstance(layer, torch.nn.Linear) for layer in made], [isinstance(layer, torch.nn.Linear) for layer in judged]
    assert (dense[0].index(True), sum(dense[0])) == (0, 1)
    assert (dense[1].index(True), sum(dense[1])) == (len(judged) - 1, 1)
    assert not any(isinstance(layer, (torch.nn.MaxPool2d, torch.nn.AvgPool2d)) for layer in made + judged)
    assert isinstance(made[-1], torch.nn.ConvTranspose2d)  # no normalisation of the output,
    assert isinstance(judged[1], torch.nn.LeakyReLU)  # nor of the input
    assert sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in made) == 3
    assert sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in judged) == 2


def test_spectral_norms_are_at_most_one():
    def largest(spectral):
        net = networks((8, 8), spectral=spectral)
        images = torch.rand(4, 1, 8, 8, dtype=torch.float64)
        for _ in range(100):  # each forward is a step of the power iteration
            net.discriminator(images)
        layers = [layer for layer in net.discriminator.eval() if hasattr(layer, "weight") and layer.weight.dim() > 1]
        return max(float(torch.linalg.matrix_norm(layer.weight.flatten(1), 2)) for layer in layers)

    assert largest(True) < 1.001
    assert largest(False) != pytest.approx(1, abs=0.001)


def test_the_noise_about_an_image_is_a_density():
    binary = networks((2, 2), "binary", 0)
    every = torch.tensor(list(itertools.product((0.0, 1.0), repeat=4)), dtype=torch.float64)
    z = torch.randn(1, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).expand(16, 3)
    binary.eval()
    assert torch.isclose(binary.log_observation(every, z, None, 0.3).exp().sum(), torch.tensor(1.0, dtype=torch.float64))
    grey = networks((1, 1), n_classes=0).eval()
    line = torch.linspace(-6, 6, 4001, dtype=torch.float64)
    p = grey.log_observation(line[:, None], z[:1].expand(4001, 3), None, 0.3).exp()
    assert float(torch.trapezoid(p, line)) == pytest.approx(1, abs=1e-6)
    assert float(torch.trapezoid(p * 0.3, line)) < 0.9  # a forgotten width is seen


@pytest.fixture(scope="module")
def zeros_and_ones():
    rows = DIGITS.target < 2
    return DIGITS.data[rows].astype(int), DIGITS.target[rows]


@short
def test_digits_are_of_the_class_asked_for(zeros_and_ones):
    X, y = zeros_and_ones
    model = DCGAN(image_shape=(8, 8), channels=(16, 32), n_latent=8, learning_rate=2e-3, max_epochs=15, random_state=0).fit(X, y)
    drawn, labels = model.sample(200, return_y=True)
    assert drawn.dtype == X.dtype
    assert drawn.min() >= 0
    assert drawn.max() <= 16
    assert (LogisticRegression(max_iter=500).fit(X / 16, y).predict(drawn / 16) == labels).mean() > 0.95
    assert model.score(X, y) > 0.9
    assert np.array_equal(drawn, model.sample(200))
    rows = model.inverse_transform(np.zeros((2, 8)), [0, 1])
    assert rows.shape == (2, 64)
    assert not np.array_equal(rows[0], rows[1])
    assert ((model.discriminate(X, y) > 0) & (model.discriminate(X, y) < 1)).all()
    assert model.discriminate(X, y).mean() > model.discriminate(X, 1 - y).mean()  # zeros that are said to be ones


@short
def test_binary_images_and_a_spare_line(zeros_and_ones):
    X, _ = zeros_and_ones
    drawn = DCGAN(image_shape=(8, 8), channels=(8,), n_latent=4, max_epochs=2, random_state=0).fit(X > 7).sample(50)
    assert drawn.dtype == bool
    line = DCGAN(channels=(8,), n_latent=4, max_epochs=2, random_state=0).fit(np.random.default_rng(0).normal(50, 9, (60, 5)))
    assert line.sample(7).shape == (7, 5)


@pytest.mark.parametrize("image_shape", [(8, 7), (64,), (-8, -8), (8, 8, 1, 1)])
def test_a_wrong_shape_is_named(image_shape):
    with pytest.raises(ValueError, match="image_shape"):
        DCGAN(image_shape=image_shape).fit(DIGITS.data[:50].astype(int))


@short
def test_a_channel_that_is_nearly_empty_does_not_stretch_the_others():
    X = DIGITS.data[:200]
    sparse, constant = np.zeros_like(X), np.full_like(X, 7.0)
    sparse[::4, 27] = 16
    rows = np.stack([X, sparse, constant], axis=-1).reshape(200, -1)
    settings = {"image_shape": (8, 8, 3), "channels": 4, "max_epochs": 2, "n_parzen": 20, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", skgen.ColumnWarning)
        drawn = DCGAN(**settings).fit(rows).sample(100).reshape(100, 64, 3)
    assert (drawn[..., :2] > -3.5).all()
    assert (drawn[..., :2] < 19.5).all()  # a tenth of the range beyond it
    assert (drawn[..., 2] == 7).all()


@short
def test_a_row_that_may_be_an_image_is_asked_about():
    X = np.random.default_rng(0).normal(size=(30, 144))
    with pytest.warns(skgen.ColumnWarning, match=r"image_shape=\(12, 12\)"):
        DCGAN(channels=4, max_epochs=1, n_parzen=10, random_state=0).fit(X)


def test_images_are_compared_pixel_by_pixel_in_units_of_their_deviation():
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(500, 16)) * np.repeat([0.0, 0.3, 1.0], [4, 4, 8]))
    net = networks((4, 4))
    net.initialise(x, torch.ones(500), None)
    shown = net.show(x, None)
    spread = net.compared(shown).std(dim=0, correction=0) * 4
    sd, overall = shown.flatten(1).std(dim=0, correction=0), shown.std(correction=0)
    assert torch.allclose(spread, sd / torch.sqrt(sd**2 + (0.1 * overall) ** 2), rtol=1e-6)
    assert spread[:4].max() == 0  # a pixel that is the same in all rows tells nothing
    assert spread[4:].min() > 0.9
