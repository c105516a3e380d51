"""The oversampler: how many rows, of which distribution, in which container, and nothing of the fold that judges."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest
from sklearn.base import clone
from sklearn.datasets import load_iris

from skgen import ChowLiuTree, GaussianMixture, GenerativeOverSampler, NaiveBayes
from skgen.compose import GenerativeImputer
from skgen.compose import GenerativeOverSampler as FromCompose


@pytest.fixture
def uneven():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [200, 50, 20])
    return rng.normal(size=(270, 2)) + 5.0 * y[:, None], y


def counts(y):
    return dict(zip(*(v.tolist() for v in np.unique(y, return_counts=True)), strict=True))


def test_it_is_where_the_other_roles_are():
    assert FromCompose is GenerativeOverSampler
    assert GenerativeImputer.__module__ == "skgen.roles"


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("auto", {0: 200, 1: 200, 2: 200}),
        ("not majority", {0: 200, 1: 200, 2: 200}),
        ("all", {0: 200, 1: 200, 2: 200}),
        ("minority", {0: 200, 1: 50, 2: 200}),
        ("not minority", {0: 200, 1: 200, 2: 20}),
        ({2: 60, 1: 50}, {0: 200, 1: 50, 2: 60}),
        (lambda y: {1: (y == 0).sum() // 2}, {0: 200, 1: 100, 2: 20}),
    ],
)
def test_strategies_are_those_of_imbalanced_learn(uneven, strategy, expected):
    X, y = uneven
    sampler = GenerativeOverSampler("naive_bayes", sampling_strategy=strategy, random_state=0)
    X_more, y_more = sampler.fit_resample(X, y)
    assert counts(y_more) == expected
    np.testing.assert_array_equal(X_more[:270], X)
    np.testing.assert_array_equal(y_more[:270], y)
    assert sum(sampler.sampling_strategy_.values()) == len(X_more) - 270
    assert sampler.fit(X, y).sampling_strategy_ == {k: expected[k] - counts(y)[k] for k in sampler.sampling_strategy_}


def test_a_share_for_two_classes(uneven):
    X, y = uneven[0][:250], uneven[1][:250]
    _, y_more = GenerativeOverSampler("naive_bayes", sampling_strategy=0.6, random_state=0).fit_resample(X, y)
    assert counts(y_more) == {0: 200, 1: 120}
    with pytest.raises(ValueError, match=r"leaves 20 rows of class 1, which has 50: give a share of at least 0\.25"):
        GenerativeOverSampler("naive_bayes", sampling_strategy=0.1).fit(X, y)


@pytest.mark.parametrize(
    ("strategy", "match"),
    [
        (0.5, "y has 3 classes"),
        (1.5, r"a share in \(0, 1\]"),
        ("majority", "must be one of"),
        ({3: 100}, "names 3, which is no class"),
        ({1: 49}, "wants 49 rows of class 1: give 50"),
        ([1, 2], "must be a str or a number or"),
    ],
)
def test_other_strategies_are_refused(uneven, strategy, match):
    with pytest.raises(ValueError, match=match):
        GenerativeOverSampler("naive_bayes", sampling_strategy=strategy).fit_resample(*uneven)


def test_labels_that_cannot_be_balanced_are_refused(uneven):
    X, y = uneven
    sampler = GenerativeOverSampler("naive_bayes")
    with pytest.raises(ValueError, match="one class"):
        sampler.fit_resample(X, np.zeros(270))
    with pytest.raises(ValueError, match="missing labels"):
        sampler.fit_resample(X, np.where(y == 2, np.nan, y))
    with pytest.raises(ValueError, match="one label a row"):
        sampler.fit_resample(X, y[1:])
    with pytest.raises(ValueError, match="of GenerativeOverSampler must be a model of skgen"):
        GenerativeOverSampler(3).fit_resample(X, y)


def test_rows_drawn_are_of_the_density_of_their_class():
    rng = np.random.default_rng(0)
    y = np.repeat(["many", "few"], [4000, 500])
    X = np.where(y == "many", rng.normal(0, 1, 4500), rng.normal(6, 2, 4500))[:, None]
    X_more, y_more = GenerativeOverSampler(GaussianMixture(n_components=1), random_state=0).fit_resample(X, y)
    new = X_more[4500:, 0]
    assert set(y_more[4500:]) == {"few"}
    assert kstest(new, "norm", args=(6, 2)).statistic < 0.06
    assert len(np.unique(new)) == 3500  # drawn and not repeated


def test_frames_keep_dtypes_categories_and_names():
    rng = np.random.default_rng(1)
    n = 150
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=n).astype("float32"),
            "count": pd.array(rng.poisson(9, n), dtype="Int64"),
            "colour": pd.Categorical(rng.choice(["red", "blue"], n), categories=["red", "green", "blue"]),
            "wet": rng.random(n) < 0.5,
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D"),
        },
        index=np.arange(n) + 7,
    )
    y = pd.Series(pd.Categorical(np.where(np.arange(n) < 30, "rare", "common")), name="kind", index=frame.index)
    X_more, y_more = GenerativeOverSampler("naive_bayes", random_state=0).fit_resample(frame, y)
    assert list(X_more.dtypes) == list(frame.dtypes)
    assert y_more.dtype == y.dtype
    assert y_more.name == "kind"
    assert y_more.value_counts().tolist() == [120, 120]
    assert X_more.index.equals(pd.RangeIndex(240))
    pd.testing.assert_frame_equal(X_more.head(n), frame.reset_index(drop=True))
    as_frame = GenerativeOverSampler("naive_bayes", random_state=0).fit_resample(frame, y.to_frame())[1]
    pd.testing.assert_frame_equal(as_frame, y_more.to_frame())


def test_lists_and_narrow_arrays(uneven):
    X, y = uneven
    sampler = GenerativeOverSampler("naive_bayes", random_state=0)
    as_list = sampler.fit_resample(X.tolist(), y.tolist())
    assert type(as_list[0]) is type(as_list[1]) is list
    np.testing.assert_allclose(as_list[0], sampler.fit_resample(X, y)[0])
    X_more, y_more = sampler.fit_resample(X.astype(np.float32), y.astype(np.int8))
    assert (X_more.dtype, y_more.dtype) == (np.float32, np.int8)
    assert sampler.fit_resample(X, y[:, None])[1].shape == y_more.shape


def test_polars_frames():
    pl = pytest.importorskip("polars")
    X, y = load_iris(return_X_y=True)
    names = pl.Series("species", np.array(["a", "b", "c"])[y][:120])
    frame = pl.DataFrame(X[:120], schema=list("wxyz")).with_columns(
        pl.Series("e", ["u", "v"] * 60, dtype=pl.Enum(["u", "v", "w"])), pl.Series("s", ["p", "q", "q"] * 40)
    )
    X_more, y_more = GenerativeOverSampler("naive_bayes", random_state=0).fit_resample(frame, names)
    assert X_more.schema == frame.schema
    assert y_more.name == "species"
    assert y_more.value_counts()["count"].to_list() == [50, 50, 50]


def test_missing_cells_do_not_tell_which_rows_were_drawn():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [600, 150, 150])
    X = rng.normal(size=(900, 3)) + y[:, None]
    X[rng.random(900) < np.array([0.1, 0.6, 0.3])[y], 1] = np.nan
    sampler = GenerativeOverSampler(GaussianMixture(n_components=1), random_state=0)
    X_more, y_more = sampler.fit_resample(X, y)
    new = np.isnan(X_more)[900:]
    assert new[y_more[900:] == 1, 1].mean() == pytest.approx(0.6, abs=0.07)
    assert new[y_more[900:] == 2, 1].mean() == pytest.approx(0.3, abs=0.07)
    assert not new[:, [0, 2]].any()
    frame = pd.DataFrame({"a": pd.Categorical(np.where(X[:, 0] > 0, "p", "q")).set_categories(["q", "p"]), "b": X[:, 1]})
    drawn, _ = GenerativeOverSampler("naive_bayes", random_state=0).fit_resample(frame, y)
    assert drawn["b"][900:].isna().mean() == pytest.approx(0.45, abs=0.05)
    assert list(drawn.dtypes) == list(frame.dtypes)


def test_same_seed_same_rows_and_the_global_generator_is_left_alone(uneven):
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second, other = (GenerativeOverSampler("naive_bayes", random_state=s).fit_resample(*uneven)[0] for s in (4, 4, 5))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_clone_set_params_and_the_model_by_the_columns(uneven):
    X, y = uneven
    sampler = GenerativeOverSampler("gaussian_mixture", sampling_strategy="minority").set_params(model__n_components=2)
    copy = clone(sampler)
    assert copy.model.n_components == 2
    assert copy.sampling_strategy == "minority"
    given = NaiveBayes(task="density")
    GenerativeOverSampler(given, random_state=0).fit_resample(X, y)
    assert not hasattr(given, "columns_")  # a clone was fitted
    assert isinstance(GenerativeOverSampler().fit_resample(X, y) and _model(X, y), GaussianMixture)
    assert isinstance(_model(pd.DataFrame({"a": np.where(X[:, 0] > 0, "p", "q"), "b": X[:, 1]}), y), ChowLiuTree)
    with pytest.raises(ValueError, match="model='auto' has no parameters"):
        GenerativeOverSampler().set_params(model__alpha=1)


def _model(X, y):
    sampler = GenerativeOverSampler(random_state=0)
    sampler.fit_resample(X, y)
    return sampler.model_


def test_rows_that_are_left_out_change_nothing(uneven):
    """What is drawn depends on the rows given alone: a fold that judges leaks nothing."""
    X, y = uneven
    train = np.arange(270) % 3 > 0
    sampler = GenerativeOverSampler("naive_bayes", random_state=0)
    before = sampler.fit_resample(X[train], y[train])[0]
    spoilt = X.copy()
    spoilt[~train] = 1e6
    sampler.fit_resample(spoilt, y)
    np.testing.assert_array_equal(sampler.fit_resample(spoilt[train], y[train])[0], before)


def test_in_a_pipeline_of_imbalanced_learn(uneven):
    pipeline = pytest.importorskip("imblearn.pipeline")
    from sklearn.linear_model import LogisticRegression

    X, y = uneven
    model = pipeline.make_pipeline(GenerativeOverSampler("naive_bayes", random_state=0), LogisticRegression()).fit(X, y)
    assert model.predict(X).shape == y.shape  # nothing is resampled here


def test_rows_without_a_label_are_refused():
    X = np.random.default_rng(0).normal(size=(60, 2))
    y = np.r_[np.full(20, -1), np.zeros(30), np.ones(10)].astype(int)
    with pytest.raises(ValueError, match="unlabeled=-1"):
        GenerativeOverSampler(GaussianMixture(unlabeled=-1)).fit_resample(X, y)
