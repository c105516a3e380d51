"""Work with codes and their pictures, on models whose codes are known: principal components, and a toy with classes."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

import skgen
from skgen.evaluate import (
    LatentManifoldDisplay,
    LatentScatterDisplay,
    ReconstructionDisplay,
    SampleGridDisplay,
    interpolate,
    latent_direction,
    move,
    traverse,
)
from skgen.evaluate.latent_displays import tile

mpl.use("Agg")
rng = np.random.default_rng(0)
X = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4)) + 3


@pytest.fixture(scope="module")
def pca():
    return PCA(4).fit(X)  # all codes: decoding is exact


class Doubled(BaseEstimator):
    """Codes are rows times two, less ten for class b."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X, y=None):
        return 2 * np.asarray(X, dtype=float) - 10 * (np.asarray(y) == "b").reshape(-1, 1)

    def inverse_transform(self, Z, y=None):
        return (Z + 10 * (np.asarray(y) == "b").reshape(-1, 1)) / 2


def test_between_two_rows_a_linear_code_gives_a_straight_line(pca):
    rows = interpolate(pca, X[:3], X[3:6], 5)
    t = np.tile(np.linspace(0, 1, 5), 3)[:, None]
    assert np.allclose(rows, np.repeat(X[:3], 5, axis=0) * (1 - t) + np.repeat(X[3:6], 5, axis=0) * t)
    assert np.allclose(interpolate(pca, X[0], X[3], 5), rows[:5])
    fan = interpolate(pca, X[0], X[3:6], 5)
    assert np.allclose(fan[5:10], interpolate(pca, X[0], X[4], 5))
    with pytest.raises(ValueError, match="a has 2 rows and b has 3"):
        interpolate(pca, X[:2], X[:3])


def test_the_spherical_path_keeps_its_speed_and_length():
    same = PCA(2).fit(np.array([[1.0, 0], [-1, 0], [0, 2], [0, -2]]))
    a, b = np.array([1.0, 0.0]), np.array([0.0, 2.0])
    points = interpolate(same, a, b, 7, path="spherical")
    t = np.linspace(0, 1, 7)
    assert np.allclose(points, ((1 + t) * np.array([np.cos(t * np.pi / 2), np.sin(t * np.pi / 2)])).T)
    # a line through the centre has no plane to turn in
    assert np.allclose(interpolate(same, a, -a, 3, path="spherical"), [[1, 0], [0, 0], [-1, 0]])
    assert not np.allclose(points, interpolate(same, a, b, 7))


def test_direction_is_the_difference_of_class_means_and_the_slope_on_a_number(pca):
    Z, flag = pca.transform(X), X[:, 0] > 3
    step = latent_direction(pca, X, flag)
    assert np.allclose(step, Z[flag].mean(axis=0) - Z[~flag].mean(axis=0))
    assert np.allclose(latent_direction(pca, X, np.where(flag, "yes", "no")), step)
    number = Z @ np.array([1.0, -2, 0, 0.5]) + 7
    slope = [np.polyfit(number, z, 1)[0] for z in Z.T]
    assert np.allclose(latent_direction(pca, X, number), slope)
    with pytest.raises(ValueError, match="one value a row"):
        latent_direction(pca, X, flag[:5])
    with pytest.raises(ValueError, match="differ between rows"):
        latent_direction(pca, X, np.ones(len(X)))
    with pytest.raises(ValueError, match="no numbers"):
        latent_direction(pca, X, np.array(["a", "b", "c", "d"] * 50))


def test_moving_adds_to_the_code(pca):
    step = np.array([1.0, 0, 0, 0])
    assert np.allclose(move(pca, X[:5], step, 2.0), X[:5] + 2 * pca.components_[0])
    each = np.array([0.0, 1, 2, 3, 4])
    assert np.allclose(move(pca, X[:5], step, each), X[:5] + np.outer(each, pca.components_[0]))
    with pytest.raises(ValueError, match="4 codes"):
        move(pca, X[:5], step[:2])


def test_one_row_is_moved_by_many_steps(pca):
    steps = np.array([-1.0, 0.0, 2.0])
    assert np.allclose(move(pca, X[0], np.ones(4), steps), X[0] + np.outer(steps, pca.components_.sum(axis=0)))
    assert np.allclose(move(Doubled().fit(X), X[:1], np.ones(4), steps, y=["b"]), X[0] + steps[:, None] / 2)
    with pytest.raises(ValueError, match="give one step, or one a row"):
        move(pca, X[:2], np.ones(4), steps)


def test_each_code_is_traversed_in_turn(pca):
    rows = traverse(pca, X[0], values=[-1.0, 1.0])
    assert np.allclose(rows, np.concatenate([traverse(pca, X[0], j, [-1.0, 1.0]) for j in range(4)]))
    assert traverse(pca, X[0], 1, 2.0).shape == (1, 4)
    labelled = traverse(Doubled().fit(X), X[:1], values=[0.0, 1.0], y="b")
    assert np.allclose(labelled[0], [5.0, *X[0, 1:]])


def test_a_traversal_sets_one_code(pca):
    rows = traverse(pca, X[:1], 2)
    codes = pca.transform(rows)
    assert np.allclose(codes[:, 2], np.arange(-3, 4))
    assert np.allclose(codes[:, [0, 1, 3]], pca.transform(X[:1])[:, [0, 1, 3]])
    with pytest.raises(ValueError, match="from 0 to 3"):
        traverse(pca, X[:1], 4)
    with pytest.raises(ValueError, match="give one"):
        traverse(pca, X[:2], 0)


def test_codes_of_a_class_are_asked_for_with_it():
    model = Doubled().fit(X)
    rows = interpolate(model, X[:2], X[2:4], 3, y=["a", "b"])
    assert np.allclose(rows[[0, 2, 3, 5]], X[[0, 2, 1, 3]])
    assert np.allclose(move(model, X[:2], np.ones(4), y="b"), X[:2] + 0.5)
    assert np.allclose(latent_direction(model, X, X[:, 0], y="b"), latent_direction(model, X, X[:, 0], y="a"))
    with pytest.raises(ValueError, match="takes no y"):
        interpolate(PCA(1).fit(X), X[0], X[1], y="a")
    with pytest.raises(ValueError, match="has no inverse_transform"):
        interpolate(skgen.GaussianMixture().fit(X), X[0], X[1])
    with pytest.raises(ValueError, match="as many ends"):
        interpolate(model, X[:2], X[:3])


def test_tables_come_back_as_tables():
    pytest.importorskip("torch")
    table = pd.DataFrame({"a": X[:, 0], "b": pd.Categorical(np.where(X[:, 1] > 3, "u", "v"))})
    model = skgen.VAE(n_components=2, hidden_layer_sizes=8, max_epochs=2, random_state=0).fit(table)
    rows = interpolate(model, table.iloc[:1], table.iloc[1:2], 4)
    assert rows.dtypes.equals(table.dtypes)
    assert len(rows) == 4
    assert latent_direction(model, table, table["b"]).shape == (2,)


# ---- pictures


def test_tiles_lie_in_reading_order():
    images = np.arange(5)[:, None, None] * np.ones((5, 2, 3))
    whole = tile(images, 2, fill=-1.0)
    assert whole.shape == (6, 6)
    assert np.array_equal(whole[::2, ::3], [[0, 1], [2, 3], [4, -1]])
    assert tile(np.zeros((3, 2, 2, 3)), 3).shape == (2, 6, 3)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X.astype(int), y


def test_grids_of_draws(digits):
    X, y = digits
    some = y < 3
    model = skgen.NaiveBayes().fit(X[some], y[some])
    display = SampleGridDisplay.from_estimator(model, image_shape=(8, 8), n_samples=4)
    assert display.image_.get_array().shape == (24, 32)  # a line a class
    first = np.asarray(model.sample(4, y=1, random_state=0))[0].reshape(8, 8)
    assert np.array_equal(display.image_.get_array()[8:16, :8], first)
    alone = skgen.NaiveBayes().fit(X[some])
    assert SampleGridDisplay.from_estimator(alone, image_shape=(8, 8), n_samples=3).image_.get_array().shape == (24, 24)
    ax = display.figure_.add_subplot()
    assert SampleGridDisplay.from_rows(X[:7], image_shape=(8, 8), n_columns=7, ax=ax).ax_ is ax
    with pytest.raises(ValueError, match="image_shape"):
        SampleGridDisplay.from_estimator(alone)
    with pytest.raises(ValueError, match="of 49 cells, but rows have 64"):
        SampleGridDisplay.from_rows(X[:7], image_shape=(7, 7))
    colour = SampleGridDisplay.from_rows(X[:4, :48], image_shape=(4, 4, 3)).image_.get_array()
    assert colour.shape == (8, 8, 3)
    assert colour.max() == 1


def test_reconstructions_stand_below_what_was_given(digits):
    X, _ = digits
    model = PCA(10).fit(X)
    shown = ReconstructionDisplay.from_estimator(model, X[:5], image_shape=(8, 8), n_columns=3).image_.get_array()
    assert shown.shape == (32, 24)
    assert np.array_equal(shown[:8, 8:16], X[1].reshape(8, 8))
    assert np.allclose(shown[24:32, :8], model.inverse_transform(model.transform(X[3:4])).reshape(8, 8))
    assert (shown[16:, 16:] == shown.min()).all()  # nothing was given for the sixth


def test_the_manifold_is_decoded_from_a_grid(digits):
    X, _ = digits
    model = PCA(3).fit(X)
    shown = LatentManifoldDisplay.from_estimator(model, X, components=(0, 2), n=5, image_shape=(8, 8)).image_.get_array()
    Z = model.transform(X)
    corner = np.median(Z, axis=0)
    corner[0], corner[2] = np.quantile(Z[:, 0], 0.02), np.quantile(Z[:, 2], 0.98)
    assert np.allclose(shown[:8, :8], model.inverse_transform(corner[None]).reshape(8, 8))  # the second code upwards
    middle = np.zeros(3)
    plain = LatentManifoldDisplay.from_estimator(model, n=3, image_shape=(8, 8)).image_.get_array()
    assert np.allclose(plain[8:16, 8:16], model.inverse_transform(middle[None]).reshape(8, 8))
    with pytest.raises(ValueError, match="two of the 3 codes"):
        LatentManifoldDisplay.from_estimator(model, components=(0, 3), image_shape=(8, 8))


def test_scatter_of_codes(digits):
    X, y = digits
    model = PCA(2).fit(X)
    display = LatentScatterDisplay.from_estimator(model, X, y)
    assert len(display.points_) == 10
    assert np.allclose(display.points_[4].get_offsets(), model.transform(X[y == 4]))
    assert len(LatentScatterDisplay.from_estimator(model, X, components=(1, 0)).points_) == 1


def test_pictures_are_as_large_as_their_tiles_ask(digits):
    X, _ = digits
    few, many = (SampleGridDisplay.from_rows(X[:n], image_shape=(8, 8)).figure_.get_size_inches() for n in (4, 100))
    assert (few < many).all()
    assert many.max() <= 11
    wide = SampleGridDisplay.from_rows(X[:8], image_shape=(8, 8), n_columns=8).figure_.get_size_inches()
    assert wide[0] > 2 * wide[1]


def test_rows_that_are_no_images_are_told(digits):
    X, _ = digits
    assert SampleGridDisplay.from_rows(X[0], image_shape=(8, 8)).images.shape == (1, 8, 8)
    with pytest.raises(ValueError, match="Pixels must be numbers"):
        SampleGridDisplay.from_rows(pd.DataFrame({"a": ["x"], "b": [1]}), image_shape=(1, 2))


def test_displays_say_what_they_cannot_draw(digits):
    X, y = digits
    model = PCA(2).fit(X)
    partly = np.array([None, *map(str, y[1:])], dtype=object)
    assert len(LatentScatterDisplay.from_estimator(model, X, partly).points_) == 11  # rows without a label are drawn too
    for call, told in (
        (lambda: LatentScatterDisplay.from_estimator(model, X, y[:5]), "give one label a row"),
        (lambda: SampleGridDisplay.from_estimator(model, image_shape=(8, 8)), "PCA draws no rows"),
        (lambda: SampleGridDisplay.from_estimator(model, n_samples=0), "n_samples=0 must be an int >= 1"),
        (lambda: LatentManifoldDisplay.from_estimator(model, n=2.5), "n=2.5 must be an int >= 2"),
        (lambda: ReconstructionDisplay.from_estimator(model, X[:4], n_columns=0), "n_columns=0 must be an int >= 1"),
    ):
        with pytest.raises(ValueError, match=told):
            call()


@pytest.fixture(scope="module")
def named():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=list("abc"), index=[f"r{i}" for i in range(60)])
    y = np.where(X["a"] > 0, "high", "low")
    how = {"n_components": 2, "hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
    return X, y, skgen.make("vae", **how).fit(X), skgen.make("autoencoder", **how).fit(X, y)


def test_answers_row_by_row_keep_the_index(named):
    X, _, vae, autoencoder = named
    for frame in (vae.reconstruct(X), autoencoder.denoise(X), vae.elbo_terms(X), move(vae, X, np.zeros(2))):
        assert frame.index.equals(X.index)


def test_odd_questions_to_codes_are_told(named):
    X, y, vae, autoencoder = named
    assert len(vae.inverse_transform(np.zeros((0, 2)))) == len(autoencoder.inverse_transform(np.zeros((0, 2)))) == 0
    assert np.array_equal(vae.predict_missing(X[:2], 1), vae.predict_missing(X[:2], "b"))
    for call, told in (
        (lambda: autoencoder.inverse_transform([[0.0, 0.0]], "nonsense"), "is not a class"),
        (lambda: autoencoder.transform(X, y[:3]), "3 labels for 60 rows"),
        (lambda: autoencoder.sample(2, given={"a": 1.0}), "cannot draw missing cells"),
        (lambda: skgen.make("vae", image_shape=(1.0, 3)).fit(X), "positive ints"),
        (lambda: skgen.make("vae", image_shape=(-1, -3)).fit(X), "positive ints"),
        (lambda: skgen.make("vae", image_shape=(3,)).fit(X), "positive ints"),
        (lambda: skgen.make("vae", image_shape=[2, 2]).fit(X), "has 4 pixels, but X has 3 columns"),
    ):
        with pytest.raises(ValueError, match=told):
            call()
    half = skgen.make("vae", n_components=2, hidden_layer_sizes=(8,), max_epochs=2, precision="bfloat16", random_state=0).fit(X)
    assert np.isfinite(half.score_samples(X)).all()
