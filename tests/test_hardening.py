"""What two hostile readers found: each line was once an internal error, a leak or a wrong number."""

import numpy as np
import pandas as pd
import pytest

import skgen
from skgen import KDE, ChowLiuTree, GaussianMixture, GenerativeModel, NaiveBayes

rng = np.random.default_rng(0)
P, Y = rng.normal(size=(90, 3)), np.arange(90) % 3
D = pd.DataFrame({"x": rng.normal(size=90), "k": rng.poisson(3, 90), "b": rng.random(90) < 0.5, "c": rng.choice(list("abc"), 90)})


@pytest.fixture(scope="module")
def mixed():
    return NaiveBayes(random_state=0).fit(D, Y)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"x": np.inf}, "'x' is continuous and cannot hold inf"),
        ({"x": 1e300}, "'x' cannot hold"),
        ({"k": 1e30}, "'k' is integer"),
        ({"k": 2.5}, "'k' is integer"),
        ({"c": ["a"]}, "'c' takes one value"),
        ({"c": {}}, "'c' takes one value"),
        ({"c": "nowhere"}, "no level 'nowhere'"),
        ({"nothing": 1}, "'nothing', which is not a column"),
    ],
)
def test_given_cells_are_checked(mixed, given, match):
    with pytest.raises(ValueError, match=match):
        mixed.sample(2, given=given)


@pytest.mark.parametrize("nothing", [np.nan, None, pd.NA])
@pytest.mark.parametrize("column", ["x", "k", "b", "c"])
def test_nothing_given_is_nothing_given(mixed, column, nothing):
    pd.testing.assert_frame_equal(mixed.sample(3, given={column: nothing}), mixed.sample(3, given={}))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"x": "foo"}, "'x' is continuous, but holds text"),
        ({"x": pd.Timestamp("2020-01-01")}, "'x' held numbers in fit"),
        ({"x": 1j}, "'x' is complex"),
        ({"x": pd.Series([np.inf] * 90, dtype=object)}, "'x' contains infinity"),
    ],
)
def test_a_column_of_another_sort_is_named(mixed, change, match):
    with pytest.raises(ValueError, match=match):
        mixed.score_samples(D.assign(**change))


def test_zero_and_one_stand_for_false_and_true(mixed):
    np.testing.assert_array_equal(mixed.score_samples(D.assign(b=D["b"].astype(int))), mixed.score_samples(D))
    assert (mixed.score_samples(D.assign(b=2)) == -np.inf).all()


@pytest.mark.parametrize("model", [NaiveBayes, GaussianMixture, ChowLiuTree, KDE])
def test_a_column_never_observed_is_told_and_filled(model):
    X = P.copy()
    X[:, 1] = np.nan
    with pytest.warns(skgen.ColumnWarning, match="without an observed cell"):
        fitted = model(random_state=0).fit(X)
    assert np.isfinite(fitted.impute(X[:2])).all()
    assert np.isfinite(fitted.predict_missing(X[:2], 1)).all()


@pytest.mark.parametrize("model", [NaiveBayes, GaussianMixture, ChowLiuTree])
def test_draws_stay_within_what_a_float_holds(model):
    fitted = model(random_state=0).fit(np.random.default_rng(1).uniform(-1.7, 1.7, (60, 1)) * 1e308)
    assert np.isfinite(fitted.sample(500)).all()


def test_tiny_units_keep_their_jacobian():
    tiny = GaussianMixture().fit(P * 1e-200).score(P * 1e-200)
    np.testing.assert_allclose(tiny + 3 * np.log(1e-200), GaussianMixture().fit(P).score(P), rtol=1e-9)


@pytest.mark.parametrize(
    "parameters", [{"shrinkage": np.inf}, {"alpha": 10**30}, {"alpha": np.inf}, {"n_jobs": 0}, {"n_jobs": 10**30}]
)
def test_infinite_and_absurd_parameters_are_refused(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        NaiveBayes(**parameters).fit(P)


def test_labels_at_the_edge():
    big = Y.astype("u8") + np.uint64(2**63)
    assert NaiveBayes().fit(P, big).classes_.tolist() == [2**63, 2**63 + 1, 2**63 + 2]
    half = NaiveBayes(random_state=0).fit(P, Y.astype(np.float16))
    assert half.sample(2, y=half.classes_[0]).shape == (2, 3)
    with pytest.raises(ValueError, match="is no label"):
        half.sample(y={})
    with pytest.raises(ValueError, match="priors names 'a'"):
        NaiveBayes(priors={"a": 1}).fit(P, Y)


def test_containers_at_the_edge():
    pl = pytest.importorskip("polars")
    with pytest.raises(TypeError, match="collect"):
        NaiveBayes().fit(pl.DataFrame({"a": [1.0, 2.0, 3.0]}).lazy())
    text = np.array([[b"a", b"b"], [b"b", b"a"]] * 20)
    assert set(NaiveBayes(random_state=0).fit(text).sample(5).ravel()) <= {"a", "b"}
    holes = np.where(P > 1, np.nan, P)
    np.testing.assert_array_equal(
        NaiveBayes().fit(np.ma.masked_array(P, P > 1)).score_samples(holes), NaiveBayes().fit(holes).score_samples(holes)
    )
    huge = P * 5e307
    assert np.isfinite(GaussianMixture().fit(huge).score_samples(huge)).all()


def test_kernels_do_not_vouch_for_their_own_label():
    with pytest.raises(ValueError, match="vouch for its own label"):
        KDE(unlabeled=-1).fit(P, np.where(np.arange(90) < 60, -1, Y))


class Blind(GenerativeModel):
    """A unit normal that knows nothing of missing cells."""

    def _fit(self, X, weight, rng):
        pass

    def _log_prob(self, X):
        return -0.5 * (X**2 + np.log(2 * np.pi)).sum(axis=1)

    def _sample(self, n, rng):
        return rng.normal(size=(n, len(self.columns_)))


def test_a_model_without_missing_cells_is_not_asked_about_them():
    model = Blind().fit(P)
    one, two = P[:3].copy(), P[:3].copy()
    one[:, 0], two[:, :2] = np.nan, np.nan
    assert np.isfinite(model.impute(one)).all()  # the other cells are all there
    for question in (model.impute, lambda X: model.predict_missing(X, 0)):
        with pytest.raises(ValueError, match="does not take missing cells"):
            question(two)
    with pytest.raises(ValueError, match="cannot draw missing cells"):
        model.sample_conditional(two)


def test_star_import_brings_the_public_names():
    names: dict = {}
    exec("from skgen import *", names)
    assert {"NaiveBayes", "GaussianMixture", "compare", "columns"} <= set(names)
