"""The imputer: what it fills, against closed forms and against the model itself."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skgen import ChowLiuTree, GaussianMixture, GenerativeImputer


@parametrize_with_checks(
    [
        GenerativeImputer("naive_bayes", random_state=0),
        GenerativeImputer("gaussian_mixture", random_state=0),
        GenerativeImputer(random_state=0),
    ]
)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def holes():
    rng = np.random.default_rng(0)
    X = rng.multivariate_normal([1.0, -2.0, 5.0], [[2.0, 1.2, 0.3], [1.2, 1.0, 0.1], [0.3, 0.1, 4.0]], 400)
    return X, np.where(rng.random(X.shape) < 0.2, np.nan, X)


def test_mean_is_the_conditional_mean_of_the_gaussian(holes):
    _, X = holes
    imputer = GenerativeImputer(GaussianMixture(n_components=1, shrinkage=0)).fit(X)
    filled = imputer.transform(X)
    mean, cov = imputer.model_.means_[0], imputer.model_.covariances_[0]
    for row, full in zip(X, filled, strict=True):
        hidden, seen = np.isnan(row), ~np.isnan(row)
        # E[x_h | x_s] = mu_h + S_hs S_ss^-1 (x_s - mu_s)
        wanted = mean[hidden] + cov[np.ix_(hidden, seen)] @ np.linalg.solve(cov[np.ix_(seen, seen)], row[seen] - mean[seen])
        np.testing.assert_allclose(full[hidden], wanted, atol=2e-3)
        np.testing.assert_array_equal(full[seen], row[seen])


def test_draws_keep_the_spread_that_means_lose(holes):
    whole, X = holes
    hidden = np.isnan(X)[:, 2]
    spread = {
        how: GenerativeImputer(GaussianMixture(n_components=1), how=how, random_state=0).fit_transform(X)[hidden, 2].std()
        for how in ("mean", "draw")
    }
    assert spread["mean"] < 0.5 * whole[:, 2].std() < 0.8 * whole[:, 2].std() < spread["draw"]


def test_frame_comes_back_as_it_was():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "n": pd.array(rng.poisson(4, 60), dtype="Int64"),
            "c": pd.Categorical(rng.choice(list("ab"), 60)),
            "x": rng.normal(size=60),
        },
        index=range(100, 160),
    )
    frame.loc[103, "n"], frame.loc[105, "c"], frame.loc[107, "x"] = pd.NA, None, np.nan
    filled = GenerativeImputer("naive_bayes").fit_transform(frame)
    assert not filled.isna().any().any()
    assert filled.dtypes.equals(frame.dtypes)
    assert filled.index.equals(frame.index)
    pd.testing.assert_frame_equal(filled.drop([103, 105, 107]), frame.drop([103, 105, 107]))


def test_inside_a_pipeline(holes):
    whole, X = holes
    y = (whole[:, 0] > 1).astype(int)
    model = make_pipeline(GenerativeImputer(GaussianMixture(n_components=1)), LogisticRegression())
    assert clone(model).fit(X, y).score(X, y) > 0.9


def test_model_without_missing_cells_is_refused():
    class NoMissing(GaussianMixture):
        missing = "none"

    with pytest.raises(ValueError, match="takes no missing cells"):
        GenerativeImputer(NoMissing()).fit(np.eye(3))


def mixed(n=120, seed=2):
    """A category, a number that goes with it and a count, with holes; and the whole."""
    rng = np.random.default_rng(seed)
    c = rng.integers(0, 2, n)
    whole = pd.DataFrame(
        {"c": np.array(["left", "right"])[c], "x": rng.normal(6 * c, 1), "n": pd.array(rng.poisson(3, n), dtype="Int64")}
    )
    holes = whole.mask(rng.random(whole.shape) < 0.15)
    holes.index = holes.index[::-1] // 2  # an index that repeats
    return whole, holes


def test_the_model_is_chosen_by_the_columns(holes):
    whole, frame = mixed(600)
    imputer = GenerativeImputer(random_state=0).fit(frame)
    assert isinstance(imputer.model_, ChowLiuTree)
    filled = imputer.transform(frame)
    both = (frame["c"].isna() & frame["x"].notna()).to_numpy()
    assert both.sum() > 40
    assert (filled["c"].to_numpy() == whole["c"].to_numpy())[both].mean() > 0.9
    assert isinstance(GenerativeImputer().fit(holes[1]).model_, GaussianMixture)


def test_search_over_the_model(holes):
    whole, X = holes
    y = (whole[:, 0] > 1).astype(int)
    for model in ("gaussian_mixture", GaussianMixture()):
        pipeline = make_pipeline(GenerativeImputer(model, random_state=0), LogisticRegression())
        grid = {"generativeimputer__model__n_components": [1, 2], "generativeimputer__how": ["mean", "draw"]}
        search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
        assert search.best_score_ > 0.8
        found = search.best_estimator_[0]
        assert found.model_.n_components == search.best_params_["generativeimputer__model__n_components"]
    imputer = GenerativeImputer().set_params(model="gaussian_mixture", model__n_components=3)
    assert imputer.model.n_components == 3
    with pytest.raises(ValueError, match="model='auto' has no parameters"):
        GenerativeImputer().set_params(model__n_components=3)


@pytest.mark.parametrize("dtype", ["category", "str", object])
def test_an_unseen_category_stays_and_says_nothing(dtype):
    _, frame = mixed()
    imputer = GenerativeImputer("mixture", random_state=0).fit(frame.astype({"c": dtype}))
    asked = pd.DataFrame({"c": ["up", "left", None], "x": [np.nan, np.nan, np.nan], "n": pd.array([1, 1, 1], dtype="Int64")})
    with pytest.warns(UserWarning, match="1 cells of 'c' hold a category that fit did not see"):
        filled = imputer.transform(asked.astype({"c": dtype}))
    assert filled["c"].tolist()[:2] == ["up", "left"]
    assert filled["x"][0] == filled["x"][2]
    assert filled["x"][1] < 2


def test_columns_by_their_imputers():
    _, frame = mixed()
    numbers = make_pipeline(GenerativeImputer(), StandardScaler())
    names = make_pipeline(GenerativeImputer("naive_bayes"), OneHotEncoder(sparse_output=False))
    columns = make_column_transformer((numbers, ["x", "n"]), (names, ["c"])).set_output(transform="pandas")
    out = columns.fit_transform(frame)
    assert list(out) == ["pipeline-1__x", "pipeline-1__n", "pipeline-2__c_left", "pipeline-2__c_right"]
    assert out.index.equals(frame.index)
    assert not out.isna().any(axis=None)
    np.testing.assert_array_equal(columns.get_feature_names_out(), list(out))


def test_other_containers(holes):
    pl = pytest.importorskip("polars")
    _, frame = mixed()
    given = pl.DataFrame({"c": pl.Series([None if pd.isna(v) else v for v in frame["c"]]), "x": pl.Series(frame["x"].to_numpy())})
    given = given.with_columns(pl.col("x").fill_nan(None))
    filled = GenerativeImputer(random_state=0).fit_transform(given)
    assert isinstance(filled, pl.DataFrame)
    assert filled.schema == given.schema
    assert sum(filled.null_count().row(0)) == 0
    assert isinstance(GenerativeImputer().set_output(transform="polars").fit_transform(holes[1]), pl.DataFrame)
    framed = GenerativeImputer().set_output(transform="pandas").fit_transform(holes[1])
    assert list(framed) == ["x0", "x1", "x2"]


def test_draws_by_random_state(holes):
    _, X = holes
    one, same, other = (GenerativeImputer(how="draw", random_state=seed).fit(X) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.transform(X), same.transform(X))
    np.testing.assert_array_equal(one.transform(X), GenerativeImputer(how="draw", random_state=0).fit_transform(X))
    assert not np.array_equal(one.transform(X), other.transform(X))
    loose = GenerativeImputer(how="draw").fit(X)
    assert not np.array_equal(loose.transform(X), loose.transform(X))


def test_intervals_of_draws_cover_what_was_hidden():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 5))
    whole = rng.normal(size=(3000, 5)) @ root
    hidden = rng.random(whole.shape) < 0.3
    X = np.where(hidden, np.nan, whole)
    imputer = GenerativeImputer("gaussian_mixture", random_state=0).fit(X[:2000])
    draws = imputer.model_.sample_conditional(X[2000:], 200).reshape(1000, 200, 5)
    low, high = np.quantile(draws, [0.05, 0.95], axis=1)
    inside = ((low < whole[2000:]) & (whole[2000:] < high))[hidden[2000:]]
    assert abs(inside.mean() - 0.9) < 0.03


def test_what_is_no_model_is_refused():
    with pytest.raises(ValueError, match="must be a model of skgen"):
        GenerativeImputer(LogisticRegression()).fit(np.eye(3))
