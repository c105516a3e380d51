"""Questions at the edge, put to every model: nothing observed, a column never seen, evidence that cannot be."""

import warnings

import numpy as np
import pandas as pd
import pytest

import skgen
from skgen import HMM, BayesianNetwork, ChowLiuTree, MarkovChain, Mixture, NaiveBayes
from skgen.sequences import pad, unpad

rng = np.random.default_rng(0)
NUMBERS = rng.normal(size=(60, 4))
LEVELS = rng.integers(0, 3, (60, 4)).astype(float)
Y = np.repeat(["a", "b"], [40, 20])
MODELS = (
    "naive_bayes",
    "markov_chain",
    "bayes_net",
    "chow_liu",
    "kde",
    "mixture",
    "gaussian_mixture",
    "hmm",
    "ppca",
    "factor_analysis",
)
DISCRETE = tuple(name for name in MODELS if name not in ("gaussian_mixture", "ppca", "factor_analysis"))
BOTH = [*((name, "continuous") for name in MODELS), *((name, "categorical") for name in DISCRETE)]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def make(name, kind):
    return skgen.make(name, column_kinds=kind, random_state=0)


# ---- nothing observed


@pytest.mark.parametrize(("name", "kind"), BOTH)
def test_a_row_of_which_nothing_is_known(name, kind):
    model = make(name, kind).fit(NUMBERS if kind == "continuous" else LEVELS, Y)
    empty = np.full((3, 4), np.nan)
    np.testing.assert_allclose(model.score_samples(empty), 0, atol=1e-9)
    for priors, expected, label in (
        (None, [2 / 3, 1 / 3], "a"),
        ({"a": 0.1, "b": 0.9}, [0.1, 0.9], "b"),
        ("uniform", [0.5] * 2, None),
    ):
        model.set_params(priors=priors)
        np.testing.assert_allclose(model.predict_proba(empty), [expected] * 3, atol=1e-9)
        assert label is None or (model.predict(empty) == label).all()
    for how in ("mean", "mode", "draw"):
        assert np.isfinite(model.impute(empty, how=how)).all()
    assert np.isfinite(model.sample_conditional(empty, 2)).all()
    assert np.isfinite(model.predict_missing(empty, 2)).all()
    np.testing.assert_array_equal(model.sample(4, given=dict.fromkeys(range(4), np.nan)), model.sample(4, given={}))


@pytest.mark.parametrize(("name", "kind"), BOTH)
def test_such_rows_teach_nothing(name, kind):
    X = NUMBERS if kind == "continuous" else LEVELS
    model = make(name, kind)
    if name in ("mixture", "hmm"):
        model.set_params(n_init=1)  # which rows a start falls on is drawn among all
    more = np.concatenate([X, np.full((5, 4), np.nan)])
    fitted = model.fit(more)
    assert np.isfinite(fitted.score_samples(more)).all()
    if name in ("naive_bayes", "bayes_net", "chow_liu", "markov_chain", "gaussian_mixture", "ppca") and kind == "categorical":
        alone = make(name, kind).fit(X)
        np.testing.assert_allclose(fitted.score_samples(X), alone.score_samples(X), rtol=1e-3)  # by EM, to its tol


def test_nothing_but_missing_cells_is_no_table_of_levels():
    with pytest.raises(ValueError, match="no observed"):
        make("naive_bayes", "categorical").fit(np.full((5, 2), np.nan))


# ---- a column never seen


@pytest.mark.parametrize("name", MODELS)
def test_a_number_never_observed(name):
    X = NUMBERS.copy()
    X[:, 1] = np.nan
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", skgen.ColumnWarning)
        model = make(name, "continuous").fit(X, Y)
    steps = name in ("hmm", "markov_chain")  # where columns are one variable, the others tell of it
    assert any("without an observed cell: 1" in str(one.message) for one in said) != steps
    for rows in (X[:4], NUMBERS[:4]):
        assert np.isfinite(model.score_samples(rows)).all()
        np.testing.assert_allclose(model.predict_proba(rows).sum(axis=1), 1)
    assert np.isfinite(model.impute(X[:4])).all()
    assert np.isfinite(model.sample(4)).all()
    mean, sd = model.predict_missing(X[:4], 1).T
    assert (np.abs(mean) < 1).all()
    assert ((sd > 0.2) & (sd < 3)).all()


@pytest.mark.parametrize("name", DISCRETE)
def test_a_level_never_observed(name):
    if name in ("hmm", "markov_chain"):  # steps share their levels
        X = LEVELS.copy()
        X[:, 1] = np.nan
        model = make(name, "categorical").fit(X, Y)
        assert np.isfinite(model.impute(X[:4])).all()
        return
    frame = pd.DataFrame(LEVELS.astype(int).astype(str), columns=list("abcd")).astype("category")
    never = frame.assign(b=pd.Series([None] * 60, dtype=object))
    with pytest.raises(ValueError, match=r"'b' has no observed value.*declare its categories"):
        skgen.make(name).fit(never, Y)
    declared = frame.assign(b=pd.Categorical([None] * 60, categories=["x", "y"]))
    model = skgen.make(name, random_state=0).fit(declared, Y)
    np.testing.assert_allclose(model.predict_missing(declared[:3], "b"), 0.5, atol=1e-6)
    assert np.isfinite(model.score_samples(declared.assign(b=pd.Categorical(["x"] * 60, categories=["x", "y"])))).all()
    assert set(model.impute(declared)["b"]) <= {"x", "y"}


# ---- evidence that cannot be


def certain(levels=2):
    """b copies a, c is free, d is always 0 though 1 is declared."""
    a = np.arange(80) // 2 % 2
    codes = np.column_stack([a, a, np.random.default_rng(3).integers(0, 2, 80), np.zeros(80, dtype=int)])
    return pd.DataFrame(codes, columns=list("abcd")).astype(pd.CategoricalDtype(range(levels)))


UNSMOOTHED = {
    "naive_bayes": NaiveBayes(alpha=0),
    "chow_liu": ChowLiuTree(alpha=0),
    "bayes_net": BayesianNetwork(alpha=0),
    "bayes_net complete": BayesianNetwork(alpha=0, graph="complete"),
    "markov_chain": MarkovChain(alpha=0, homogeneous=False),
    "mixture": Mixture(NaiveBayes(alpha=0), n_components=2),
    "mixture of trees": Mixture(ChowLiuTree(alpha=0), n_components=2),
    "hmm": HMM(NaiveBayes(alpha=0), n_states=2, alpha=0),
}


@pytest.mark.parametrize("classes", [False, True], ids=["density", "classes"])
@pytest.mark.parametrize("name", UNSMOOTHED)
def test_evidence_of_probability_zero(name, classes):
    X = certain(levels=3)  # nobody has the level 2
    y = np.repeat(["p", "q"], [50, 30]) if classes else None
    model = UNSMOOTHED[name].set_params(random_state=0).fit(X, y)
    asked = X[:3].copy()
    asked.loc[1, :] = [0, 0, np.nan, 2]
    asked.loc[2, "c"] = np.nan
    log_p = model.score_samples(asked)
    np.testing.assert_array_equal(np.isinf(log_p), [False, True, False])
    assert log_p[1] == -np.inf
    if classes:
        np.testing.assert_allclose(model.predict_proba(asked)[1], [50 / 80, 30 / 80])
        assert model.predict(asked)[1] == "p"
        assert np.isfinite(model.predict_proba(asked)).all()
    for question in (
        lambda rows: model.sample_conditional(rows, 2),
        model.impute,
        lambda rows: model.impute(rows, how="mode"),
        lambda rows: model.impute(rows, how="draw"),
        lambda rows: model.predict_missing(rows, "c"),
    ):
        with pytest.raises(ValueError, match=r"observed cells of row 1 have probability zero under .*alpha > 0"):
            question(asked)
        question(asked.iloc[[0, 2]])
    with pytest.raises(ValueError, match="given cells have probability zero"):
        model.sample(3, given={"d": 2})
    assert len(model.sample(3, given={"d": 0})) == 3
    if classes:
        with pytest.raises(ValueError, match="given cells have probability zero in class 'q'"):
            model.sample(y=["q", "q"], given={"d": 2})
        with pytest.raises(ValueError, match="row 1 have probability zero in class 'p'"):
            model.sample_conditional(asked, y="p")


@pytest.mark.parametrize("name", ["chow_liu", "bayes_net", "bayes_net complete", "markov_chain", "mixture of trees"])
def test_cells_that_are_possible_alone_but_not_together(name):
    model = UNSMOOTHED[name].set_params(random_state=0).fit(certain())
    together = certain()[:1].copy()
    together.loc[0, :] = [0, 1, np.nan, 0]
    assert model.score_samples(together)[0] == -np.inf
    with pytest.raises(ValueError, match="probability zero"):
        model.predict_missing(together, "c")
    np.testing.assert_allclose(model.predict_missing(together, "b"), [[1, 0]], atol=1e-12)  # what b holds is not read
    whole = together.assign(c=certain()["c"][:1])
    pd.testing.assert_frame_equal(model.impute(whole), whole)  # nothing is asked, nothing refused
    with pytest.raises(ValueError, match="given cells have probability zero"):
        model.sample(given={"a": 0, "b": 1})


def test_a_class_in_which_the_evidence_cannot_be_is_left_out():
    X, y = certain(), np.repeat([0, 1], 40)
    X.loc[y == 1, "d"] = 1
    for model in (ChowLiuTree(alpha=0), NaiveBayes(alpha=0)):
        fitted = model.set_params(random_state=0).fit(X, y)
        np.testing.assert_allclose(fitted.predict_proba(pd.DataFrame(X[:1]).assign(c=None)), [[1, 0]], atol=1e-12)
        _, drawn = fitted.sample(20, given={"d": 1}, return_y=True)
        assert (drawn == 1).all()
        with pytest.raises(ValueError, match="in class 0"):
            fitted.sample(y=0, given={"d": 1})


# ---- networks and sequences that cannot be


@pytest.mark.parametrize(
    ("graph", "tables", "says"),
    [
        ({"a": ["b"], "b": ["c"], "c": ["a"]}, None, "cycle, 'a' -> .* -> 'a'"),
        ({"a": ["a"]}, None, "'a'"),
        ({"b": ["a"]}, {"b": [[0.5, 0.5], [0.3, 0.6]]}, "'b' at a=1 sums to 0.9"),
        ({"b": ["a"]}, {"a": [0.7, 0.7]}, "'a' sums to 1.4"),
    ],
)
def test_networks_that_cannot_be(graph, tables, says):
    with pytest.raises(ValueError, match=says):
        BayesianNetwork(graph=graph, tables=tables).fit(certain())


@pytest.mark.parametrize("name", ["markov_chain", "hmm"])
def test_sequences_of_length_zero(name):
    rows = pad([[0, 1, 1], [], [1], [1, 0]])
    assert [len(sequence) for sequence in unpad(rows)] == [3, 0, 1, 2]
    model = skgen.make(name, column_kinds="categorical", random_state=0).fit(rows)
    assert model.score_samples(rows)[1] == pytest.approx(0, abs=1e-12)
    assert np.isfinite(model.score_samples(rows)).all()
    with pytest.raises(ValueError, match="length zero"):
        pad([[], []])
    with pytest.raises(ValueError, match="no observed"):
        skgen.make(name, column_kinds="categorical").fit(np.full((4, 3), np.nan))
