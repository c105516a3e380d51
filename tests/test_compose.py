"""Bayes' rule over foreign densities, and densities behind a change of variables."""

import warnings

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from scipy import stats
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.utils.estimator_checks import check_estimator

from skgen import GenerativeClassifier, NaiveBayes, TransformedDensity
from skgen.jacobians import log_abs_det_jacobian


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def lines():
    """Two correlated columns of unlike units, all positive."""
    rng = np.random.default_rng(0)
    return np.exp(rng.standard_normal((400, 2)) @ [[0.5, 0.3], [0, 0.4]] + [0, 5])


def normal(X):
    return stats.multivariate_normal(X.mean(0), np.cov(X.T, bias=True))


# ---- Bayes' rule


def test_it_is_bayes_rule_over_the_density_given(iris):
    X, y = iris
    y, weight = y[20:], np.array([30, 50, 50]) / 130
    X = X[20:]
    model = GenerativeClassifier(KernelDensity(bandwidth=0.4)).fit(X, y)
    each = np.stack([KernelDensity(bandwidth=0.4).fit(X[y == k]).score_samples(X) for k in range(3)]).T
    np.testing.assert_allclose(model.predict_joint_log_proba(X), each + np.log(weight), rtol=1e-9)
    np.testing.assert_allclose(model.score_samples(X), np.logaddexp.reduce(each + np.log(weight), axis=1), rtol=1e-9)
    p = np.exp(each) * weight
    np.testing.assert_allclose(model.predict_proba(X), p / p.sum(axis=1, keepdims=True), rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(np.exp(model.class_log_prior_), weight)
    model.set_params(priors="uniform")
    p = np.exp(each)
    np.testing.assert_allclose(model.predict_proba(X), p / p.sum(axis=1, keepdims=True), rtol=1e-7, atol=1e-12)
    assert all(isinstance(d, KernelDensity) for d in model.densities_)


def test_gaussians_a_class_are_quadratic_discriminant_analysis(iris):
    X, y = iris
    ours = GenerativeClassifier(GaussianMixture(reg_covar=0), random_state=0).fit(X, y)
    theirs = QuadraticDiscriminantAnalysis().fit(X, y)
    assert np.mean(ours.predict(X) == theirs.predict(X)) > 0.98
    np.testing.assert_allclose(
        ours.score_samples(X[:5]), np.log(sum(normal(X[y == k]).pdf(X[:5]) for k in range(3)) / 3), rtol=1e-6
    )


def test_the_priors_are_not_dropped():
    X = np.random.default_rng(0).normal(size=(400, 2))
    X = np.concatenate([X, X[:20], X[:20]])
    y = np.repeat([0, 1], [420, 20])
    p = GenerativeClassifier(KernelDensity(bandwidth=100.0)).fit(X, y).predict_proba(X)  # both densities are flat
    np.testing.assert_allclose(p.mean(axis=0), [420 / 440, 20 / 440], atol=1e-3)


def test_a_dict_gives_each_class_its_own(iris):
    X, y = iris
    named = np.array(["a", "b", "c"])[y]
    densities = {"b": KernelDensity(bandwidth=0.5), "a": "naive_bayes", "c": GaussianMixture(2)}
    model = GenerativeClassifier(densities, random_state=0).fit(X, named)
    kinds = [type(d).__name__ for d in model.densities_]
    assert kinds == ["NaiveBayes", "KernelDensity", "GaussianMixture"]
    assert model.score(X, named) > 0.95
    alone = NaiveBayes().fit(X[y == 0])
    np.testing.assert_allclose(model.predict_joint_log_proba(X)[:, 0], alone.score_samples(X) + np.log(1 / 3), rtol=1e-9)
    np.testing.assert_allclose(model.densities_[0].score_samples(X), alone.score_samples(X), rtol=1e-9)
    assert model.densities_[0].sample(3).shape == (3, 4)
    assert not hasattr(densities["b"], "tree_")
    with pytest.raises(ValueError, match="no entry for class 'c'"):
        GenerativeClassifier({"a": "naive_bayes", "b": "naive_bayes"}).fit(X, named)
    with pytest.raises(ValueError, match="entry for 'd', which is not a class"):
        GenerativeClassifier({**densities, "d": "naive_bayes"}).fit(X, named)
    with pytest.raises(ValueError, match="one density a class: call fit"):
        GenerativeClassifier(densities).fit(X)
    twin = clone(model)
    np.testing.assert_array_equal(twin.fit(X, named).score_samples(X), model.score_samples(X))


def test_the_density_given_is_left_as_it_is(iris):
    X, y = iris
    inner = KernelDensity()
    model = GenerativeClassifier(inner).fit(X, y)
    assert not hasattr(inner, "tree_")
    assert model.density is inner
    search = GridSearchCV(model, {"density__bandwidth": [0.01, 0.3, 30.0]}, cv=3).fit(X, y)
    assert search.best_params_ == {"density__bandwidth": 0.3}
    assert inner.bandwidth == 1.0


@pytest.mark.parametrize("density", [KernelDensity(bandwidth=0.2), GaussianMixture(3), "naive_bayes"])
def test_draws_are_exchangeable_and_of_their_class(iris, density):
    X, y = iris
    model = GenerativeClassifier(density, random_state=0).fit(X, y)
    drawn, labels = model.sample(1500, return_y=True)
    np.testing.assert_allclose(np.bincount(labels) / 1500, 1 / 3, atol=0.05)
    assert np.mean(model.predict(drawn) == labels) > 0.9
    one = model.sample(1500, y=2)
    np.testing.assert_allclose(one.mean(0), X[y == 2].mean(0), atol=0.1)
    for column in one.T:
        assert abs(stats.spearmanr(np.arange(1500), column).statistic) < 0.09
    np.testing.assert_array_equal(model.sample(5), model.sample(5))
    assert not np.array_equal(model.sample(5), model.sample(5, random_state=3))
    assert model.sample(0).shape == (0, 4)
    mixture = GaussianMixture(3, random_state=0).fit(X)
    sorted_rows = stats.spearmanr(np.arange(1500), mixture.sample(1500)[0][:, 2]).statistic
    assert abs(sorted_rows) > 0.09  # what scikit-learn returns would be caught


def test_densities_that_cannot_draw_say_so(iris):
    X, y = iris
    with pytest.raises(ValueError, match="FactorAnalysis cannot draw rows"):
        GenerativeClassifier(FactorAnalysis(2)).fit(X, y).sample(3)
    with pytest.raises(ValueError, match=r"kernel='linear'.*cannot draw rows"):
        GenerativeClassifier(KernelDensity(kernel="linear")).fit(X, y).sample(3)


@pytest.mark.parametrize(
    ("density", "said"),
    [
        (IsolationForest(), "IsolationForest: its score_samples is an outlier score"),
        (BernoulliRBM(), "BernoulliRBM: its score_samples is a stochastic pseudo-likelihood"),
        (StandardScaler(), "has no fit and score_samples"),
        (KernelDensity, r"is a class: pass an instance, KernelDensity\(\)"),
        (3, "has no fit and score_samples"),
        ("kernel_densty", "no model 'kernel_densty'"),
        (NaiveBayes(priors="uniform"), "sets priors: set it on the outer model"),
    ],
)
def test_what_is_no_density_is_refused(iris, density, said):
    for model in (GenerativeClassifier(density), TransformedDensity(StandardScaler(), density)):
        with pytest.raises(ValueError, match=said):
            model.fit(*iris)


def test_weights_are_passed_on_or_refused(iris):
    X, y = iris
    weight = np.arange(150) % 3
    twice = np.repeat(np.arange(150), weight)
    for density in (KernelDensity(bandwidth=0.4), NaiveBayes()):
        a = GenerativeClassifier(density).fit(X, y, sample_weight=weight)
        b = GenerativeClassifier(density).fit(X[twice], y[twice])
        np.testing.assert_allclose(a.predict_joint_log_proba(X), b.predict_joint_log_proba(X), rtol=1e-6)
    with pytest.raises(ValueError, match=r"Class 0 .*GaussianMixture takes no sample_weight"):
        GenerativeClassifier(GaussianMixture()).fit(X, y, sample_weight=weight + 0.5)
    GenerativeClassifier(GaussianMixture()).fit(X, y, sample_weight=np.full(150, 2.0))


def test_what_goes_wrong_names_the_class(iris):
    X, y = iris
    y = y.copy()
    y[0] = 7
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with pytest.raises(ValueError, match=r"Class 7 \(1 rows\).*GaussianMixture"):
            GenerativeClassifier(GaussianMixture()).fit(X, y)


def test_columns_are_read_on_all_rows_before_the_split_by_class():
    frame = pd.DataFrame({"c": ["x", "y"] * 20 + ["z", "x"] * 20, "b": [0] * 40 + [1] * 40, "f": np.linspace(0, 9, 80)})
    y = np.repeat([0, 1], 40)
    model = GenerativeClassifier(NaiveBayes(), random_state=0).fit(frame, y)
    assert model.columns_.kinds == ["categorical", "binary", "continuous"]
    for density in model.densities_:
        assert density.columns_.levels[0].tolist() == ["x", "y", "z"]  # though class 0 has no z
        assert density.columns_.kinds == model.columns_.kinds
    assert np.isfinite(model.predict_joint_log_proba(frame)).all()
    assert model.sample(9).dtypes.tolist() == frame.dtypes.tolist()
    assert model.likelihood_ == "exact"
    hidden = frame.astype({"b": "Int64"})
    hidden.loc[3, "b"] = None
    assert np.isfinite(model.score_samples(hidden)).all()
    with pytest.raises(ValueError, match=r"Column 'c' is categorical, which KernelDensity cannot take: it takes continuous"):
        GenerativeClassifier(KernelDensity()).fit(frame, y)


def test_integers_are_dequantised_for_a_continuous_density():
    rng = np.random.default_rng(0)
    X, y = np.concatenate([rng.poisson(4, (200, 1)), rng.poisson(40, (200, 1))]), np.repeat([0, 1], 200)
    model = GenerativeClassifier(GaussianMixture(random_state=0), random_state=0).fit(X, y)
    assert model.likelihood_ == "estimate"
    mass = np.exp(model.score_samples(np.arange(-60, 200)[:, None]))
    assert abs(mass.sum() - 1) < 0.01
    assert model.sample(5).dtype == X.dtype


def test_a_scaler_inside_each_class_keeps_its_unit():
    rng = np.random.default_rng(0)
    X, y = np.concatenate([rng.normal(0, 1, (500, 2)), rng.normal(0, 6, (500, 2))]), np.repeat([0, 1], 500)
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(random_state=0))
    right = GenerativeClassifier(pipeline).fit(X, y)
    plain = GenerativeClassifier(GaussianMixture(random_state=0)).fit(X, y)
    np.testing.assert_allclose(right.predict_joint_log_proba(X), plain.predict_joint_log_proba(X), atol=1e-3)
    assert right.score(X, y) > 0.8
    lost = np.stack([clone(pipeline).fit(X[y == k]).score_samples(X) for k in (0, 1)]).T  # each class in units of its own
    assert np.mean(lost.argmax(1) == y) < 0.6


def test_missing_labels_by_em(iris):
    X, y = iris
    some = y.copy()
    some[np.arange(150) % 5 != 0] = -1
    model = GenerativeClassifier(KernelDensity(bandwidth=0.5), unlabeled=-1).fit(X, some)
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.score(X, y) > 0.85
    assert GenerativeClassifier("naive_bayes", unlabeled=-1).fit(X, some).score(X, y) > 0.85
    with pytest.raises(ValueError, match="GaussianMixture takes no sample_weight"):
        GenerativeClassifier(GaussianMixture(random_state=0), unlabeled=-1).fit(X, some)


def test_n_jobs_and_parameters(iris):
    X, y = iris
    one = GenerativeClassifier("naive_bayes").fit(X, y)
    with parallel_config("threading"):
        two = GenerativeClassifier("naive_bayes", n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(one.score_samples(X), two.score_samples(X))
    assert one.n_parameters_ == sum(d.n_parameters_ for d in one.densities_) + 2
    with pytest.raises(AttributeError, match="does not define its number of free parameters"):
        _ = GenerativeClassifier(KernelDensity()).fit(X, y).n_parameters_


# ---- a change of variables


TRANSFORMERS = [
    "passthrough",
    StandardScaler(),
    StandardScaler(with_std=False),
    MinMaxScaler((0, 1e-3)),
    MaxAbsScaler(),
    RobustScaler(),
    RobustScaler(with_scaling=False),
    PowerTransformer(),
    PowerTransformer(standardize=False),
    PowerTransformer("box-cox"),
    PowerTransformer("box-cox", standardize=False),
    PCA(),
    PCA(whiten=True),
    make_pipeline(StandardScaler(), PCA(whiten=True)),
    make_pipeline(PowerTransformer("box-cox"), "passthrough", PCA(), MinMaxScaler()),
]


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=str)
def test_the_jacobian_is_the_numerical_one(lines, transformer):
    if isinstance(transformer, str):
        np.testing.assert_array_equal(log_abs_det_jacobian(transformer, lines), np.zeros(len(lines)))
        return
    fitted = clone(transformer).fit(lines)
    rows = lines[:20]
    h = 1e-6 * rows
    found = log_abs_det_jacobian(fitted, rows)
    for row, step, log_det in zip(rows, h, found, strict=True):
        D = np.diag(step)
        J = (fitted.transform(row + D) - fitted.transform(row - D)) / (2 * step[:, None])
        np.testing.assert_allclose(log_det, np.linalg.slogdet(J)[1], atol=1e-5)
    # of the row alone, whatever the batch
    np.testing.assert_array_equal(found[3:4], log_abs_det_jacobian(fitted, rows[3:4]))


def test_yeo_johnson_below_zero():
    X = np.random.default_rng(0).standard_t(4, (300, 2)) * 3
    fitted = PowerTransformer().fit(X)
    assert (np.abs(fitted.lambdas_ - 1) > 0.005).any()
    h = 1e-5
    slope = (fitted.transform(X + h) - fitted.transform(X - h)) / (2 * h)
    np.testing.assert_allclose(log_abs_det_jacobian(fitted, X), np.log(slope).sum(axis=1), atol=1e-4)


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=str)
def test_log_p_is_in_the_units_of_the_data(lines, transformer):
    model = TransformedDensity(transformer, GaussianMixture(reg_covar=0), random_state=0).fit(lines)
    nonlinear = "power" in str(transformer).lower()
    if not nonlinear:  # a Gaussian behind a linear map is the same Gaussian
        np.testing.assert_allclose(model.score_samples(lines), normal(lines).logpdf(lines), atol=1e-6)
    grid = [np.linspace(1e-3, 12, 500), np.linspace(1e-3, 1500, 900)]
    at = np.stack(np.meshgrid(*grid, indexing="ij"), -1).reshape(-1, 2)
    total = np.trapezoid(np.trapezoid(np.exp(model.score_samples(at)).reshape(500, 900), grid[1]), grid[0])
    if nonlinear:  # the others have mass below zero
        assert abs(total - 1) < 0.02
    drawn = model.sample(4000)
    np.testing.assert_allclose(drawn.mean(0), lines.mean(0), rtol=0.1)
    np.testing.assert_allclose(np.median(drawn, 0), np.median(lines, 0), rtol=0.2)


def test_the_choice_of_scaler_does_not_move_the_score(lines):
    scores = [
        TransformedDensity(t, GaussianMixture(reg_covar=0)).fit(lines).score(lines)
        for t in (MinMaxScaler((0, 1e-3)), StandardScaler())
    ]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)
    lost = [
        make_pipeline(t, GaussianMixture(reg_covar=0)).fit(lines).score(lines) for t in (MinMaxScaler((0, 1e-3)), StandardScaler())
    ]
    assert lost[0] > lost[1] + 5  # what a plain pipeline says


def test_box_cox_is_the_lognormal(lines):
    model = TransformedDensity(PowerTransformer("box-cox"), NaiveBayes(distributions="normal")).fit(lines[:, :1])
    lognormal = stats.lognorm(np.log(lines[:, 0]).std(), scale=np.exp(np.log(lines[:, 0]).mean()))
    np.testing.assert_allclose(model.score(lines[:, :1]), lognormal.logpdf(lines[:, 0]).mean(), atol=0.01)
    assert model.score_samples([[-1.0], [0.0]]).tolist() == [-np.inf, -np.inf]


@pytest.mark.parametrize(
    ("transformer", "said"),
    [
        (PCA(1), "PCA keeps 1 of 2 dimensions, so it is not one-to-one"),
        (make_pipeline(StandardScaler(), PCA(1)), "PCA keeps 1 of 2"),
        (QuantileTransformer(n_quantiles=50), "QuantileTransformer is not known to be one-to-one"),
        (Normalizer(), "Normalizer.* has no inverse_transform"),
        (MinMaxScaler(clip=True), r"MinMaxScaler\(clip=True\) is flat outside"),
        (FunctionTransformer(np.log), "FunctionTransformer is not known to be one-to-one"),
    ],
)
def test_what_is_not_one_to_one_is_refused(lines, transformer, said):
    for model in (
        TransformedDensity(transformer, "naive_bayes"),
        GenerativeClassifier(make_pipeline(transformer, KernelDensity())),
    ):
        with pytest.raises(ValueError, match=said):
            model.fit(lines, np.arange(400) % 2)


def test_singular_maps_are_refused(lines):
    twice = np.column_stack([lines, lines.sum(axis=1)])
    with pytest.raises(ValueError, match="standard deviation of zero"):
        TransformedDensity(PCA(whiten=True), "naive_bayes").fit(twice)
    with pytest.raises(ValueError, match="PCA keeps 2 of 3 dimensions"):
        TransformedDensity(PCA(), "naive_bayes").fit(np.column_stack([lines, lines[:, 0] ** 2])[:2])


def test_a_stranger_gives_its_own_jacobian(lines):
    class Log(FunctionTransformer):
        """log x, which knows its derivative."""

        def log_abs_det_jacobian(self, X):
            return -np.log(X).sum(axis=1)

    model = TransformedDensity(Log(np.log, np.exp, check_inverse=False), NaiveBayes(distributions="normal"), random_state=0).fit(
        lines
    )
    expected = sum(stats.lognorm(np.log(c).std(), scale=np.exp(np.log(c).mean())).logpdf(c) for c in lines.T)
    np.testing.assert_allclose(model.score_samples(lines), expected, atol=0.05)
    assert (model.sample(100) > 0).all()


@pytest.mark.parametrize("density", [NaiveBayes(distributions="normal"), GaussianMixture(reg_covar=0, random_state=0)])
def test_bayes_rule_is_the_same_behind_a_common_map(density):
    X, y = load_wine(return_X_y=True)
    X = X[:, :6]
    behind = TransformedDensity(StandardScaler(), density).fit(X, y)
    plain = (density if isinstance(density, NaiveBayes) else GenerativeClassifier(density)).fit(X, y)
    np.testing.assert_allclose(behind.predict_proba(X), plain.predict_proba(X), atol=1e-6)
    np.testing.assert_allclose(behind.score_samples(X), plain.score_samples(X), atol=1e-6)
    assert behind.classes_.tolist() == [0, 1, 2]
    assert len(behind.densities_) == 3
    assert behind.transformer_.scale_.shape == (6,)
    drawn, labels = behind.set_params(random_state=0).sample(300, return_y=True)
    assert np.mean(behind.predict(drawn) == labels) > 0.85


def test_missing_cells_pass_scalers_but_no_rotation(lines):
    X = np.column_stack([lines, lines[:, ::-1]])
    holes = X.copy()
    holes[::3, 1] = np.nan
    model = TransformedDensity(StandardScaler(), NaiveBayes(distributions="normal")).fit(holes)
    plain = NaiveBayes(distributions="normal").fit(holes)
    np.testing.assert_allclose(model.score_samples(holes), plain.score_samples(holes), atol=1e-6)
    with pytest.raises(ValueError, match=r"TransformedDensity .*missing cells"):
        TransformedDensity(PCA(), "naive_bayes").fit(holes)


@pytest.mark.parametrize("model", [GenerativeClassifier("naive_bayes"), TransformedDensity(PowerTransformer(), "naive_bayes")])
def test_missing_cells_are_drawn_given_the_others(iris, model):
    X, y = iris
    model = clone(model).set_params(random_state=0).fit(X, y)
    holes = X.copy()
    holes[:, 2] = np.nan
    filled = model.impute(holes, how="draw")
    np.testing.assert_array_equal(filled[:, [0, 1, 3]], X[:, [0, 1, 3]])
    assert np.corrcoef(filled[:, 2], X[:, 2])[0, 1] > 0.9  # by the class that the other cells tell


def test_transformed_labels_that_are_partly_known(iris):
    X, y = iris
    some = np.where(np.arange(150) % 5 == 0, y, -1)
    for transformer in (StandardScaler(), PCA()):
        model = TransformedDensity(transformer, "naive_bayes", unlabeled=-1).fit(X, some)
        Z = clone(transformer).fit(X).transform(X)  # learnt on all rows in the end
        inside = NaiveBayes(unlabeled=-1).fit(Z, some)
        np.testing.assert_allclose(model.predict_proba(X), inside.predict_proba(Z), atol=1e-2)
        jacobian = log_abs_det_jacobian(clone(transformer).fit(X), X)
        np.testing.assert_allclose(model.score_samples(X), inside.score_samples(Z) + jacobian, atol=1e-2)
        if isinstance(transformer, StandardScaler):
            assert model.score(X, y) > 0.85


@pytest.mark.parametrize(
    "transformer", [StandardScaler(), PowerTransformer(), PowerTransformer("box-cox"), PCA(whiten=True)], ids=str
)
def test_rows_far_away_keep_finite_probabilities(transformer):
    X, y = load_wine(return_X_y=True)
    X = X[:, :4]
    for density in (NaiveBayes(distributions="normal"), KernelDensity(), GaussianMixture()):
        model = TransformedDensity(transformer, density).fit(X, y)
        for far in (X[:3] * 1e6, X[:3] * -1e6, X[:3] * 1e60, np.full((1, 4), 1e300), np.full((1, 4), -1e300)):
            p, log_p = model.predict_proba(far), model.score_samples(far)
            np.testing.assert_allclose(p.sum(axis=1), 1)
            assert not np.isnan(log_p).any()
            assert (log_p < np.inf).all()


def test_frames_weights_and_names(lines):
    frame = pd.DataFrame(lines, columns=["a", "b"], index=np.arange(5, 405))
    model = TransformedDensity(StandardScaler(), NaiveBayes(distributions={"a": "lognormal", "b": "normal"}), random_state=0)
    weight = np.arange(400) % 3
    with pytest.raises(ValueError, match=r"'a' holds .* and cannot be 'lognormal'"):
        model.fit(frame)  # behind the scaler it is not positive
    model.set_params(density__distributions={"a": "student_t"}).fit(frame, sample_weight=weight)
    twice = np.repeat(np.arange(400), weight)
    again = clone(model).fit(frame.iloc[twice])
    np.testing.assert_allclose(model.score_samples(frame), again.score_samples(frame), rtol=1e-6)
    assert model.sample(3).columns.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="PowerTransformer takes no sample_weight"):
        TransformedDensity(PowerTransformer(), "naive_bayes").fit(frame, sample_weight=weight + 0.5)
    with pytest.raises(AttributeError, match="n_parameters_ of TransformedDensity is not defined"):
        _ = model.n_parameters_


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "model",
    [
        GenerativeClassifier(KernelDensity(), column_kinds="continuous"),
        GenerativeClassifier(NaiveBayes(distributions="normal"), task="density"),
        TransformedDensity(StandardScaler(), NaiveBayes(distributions="normal")),
        TransformedDensity(StandardScaler(), KernelDensity(), task="density"),
    ],
    ids=str,
)
def test_scikit_learns_checks(model):
    failed = [r for r in check_estimator(model, on_fail=None, on_skip=None) if r["status"] == "failed"]
    assert [(r["check_name"], r["exception"]) for r in failed] == []
