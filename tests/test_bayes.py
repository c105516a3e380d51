"""Bayes' rule and priors against closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from skgen.bayes import class_priors, estimate_priors, log_posterior
from skgen.ops.logs import log_sum_exp, softmax

settings.register_profile("skgen", max_examples=25, derandomize=True, deadline=None)
settings.load_profile("skgen")

numbers = st.floats(-1e6, 1e6)


@given(st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=5))
def test_posterior_is_the_normalised_joint(rows):
    joint = np.array(rows)
    posterior = log_posterior(joint, np.log([0.2, 0.3, 0.5]))
    np.testing.assert_allclose(np.exp(posterior).sum(axis=1), 1)
    # differences between classes are those of the joint
    np.testing.assert_allclose(posterior[:, 0] - posterior[:, 1], joint[:, 0] - joint[:, 1], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(log_posterior(joint + 1e4, np.zeros(3)), posterior, atol=1e-6)


def test_a_row_that_no_class_can_have_gets_the_priors():
    prior = np.array([0.2, 0.8])
    joint = np.array([[-np.inf, -np.inf], [-np.inf, -1e9], [-1e9, -1e9 - np.log(3)]])
    np.testing.assert_allclose(np.exp(log_posterior(joint, np.log(prior))), [[0.2, 0.8], [0, 1], [0.75, 0.25]], rtol=1e-6)
    assert joint[0, 0] == -np.inf  # the caller's array is left as it is


@pytest.mark.parametrize(
    ("priors", "expected"),
    [
        (None, [0.5, 0.3, 0.2]),
        ("uniform", [1 / 3] * 3),
        ([1, 1, 2], [0.25, 0.25, 0.5]),
        ({"b": 0, "a": 3, "c": 1}, [0.75, 0, 0.25]),
    ],
)
def test_class_priors(priors, expected):
    np.testing.assert_allclose(class_priors(priors, np.array(["a", "b", "c"]), np.array([0.5, 0.3, 0.2])), expected)


@pytest.mark.parametrize(
    ("priors", "said"),
    [
        ("flat", "'flat'"),
        ([0.5, 0.5], "do not fit"),
        ([0.5, 0.6, -0.1], "do not fit"),
        ([0, 0, 0], "do not fit"),
        ([np.nan, 1, 1], "do not fit"),
        ([np.inf, 1, 1], "do not fit"),
        ({"a": 1, "b": 1}, "leaves out class 'c'"),
        ({"a": 1, "b": 1, "c": 1, "d": 1}, "names 'd'"),
        (["x", "y", "z"], "not numbers"),
        (3, "do not fit"),
    ],
)
def test_class_priors_refused(priors, said):
    with pytest.raises(ValueError, match=f"{said}.*give None, 'uniform', or one number"):
        class_priors(priors, np.array(["a", "b", "c"]), np.array([0.5, 0.3, 0.2]))


def test_priors_are_found_by_maximum_likelihood():
    rng = np.random.default_rng(0)
    truth = np.array([0.05, 0.95])
    x = np.concatenate([rng.normal(-1, 1, 1000), rng.normal(1, 1, 19000)])
    log_density = np.stack([stats.norm(-1).logpdf(x), stats.norm(1).logpdf(x)]).T
    found = estimate_priors(log_density, np.array([0.5, 0.5]))
    np.testing.assert_allclose(found, truth, atol=0.01)

    def likelihood(p):
        return np.log(np.exp(log_density) @ np.array([p, 1 - p])).mean()

    grid = np.linspace(0.001, 0.999, 999)  # the maximum over a grid agrees
    assert abs(grid[np.argmax([likelihood(p) for p in grid])] - found[0]) < 1e-3
    assert likelihood(found[0]) > likelihood(0.5) + 0.1


def test_priors_of_nothing_but_impossible_rows_stay():
    np.testing.assert_array_equal(estimate_priors(np.full((4, 2), -np.inf), np.array([0.3, 0.7])), [0.3, 0.7])


@given(st.lists(st.lists(numbers | st.just(-np.inf), min_size=4, max_size=4), min_size=1, max_size=4))
def test_log_sum_exp_and_softmax(rows):
    a = np.array(rows)
    expected = np.logaddexp.reduce(a, axis=0)
    np.testing.assert_allclose(log_sum_exp(a), expected, rtol=1e-12, atol=1e-12)
    shares, total = softmax(a.copy())
    np.testing.assert_allclose(total, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(shares.sum(axis=0), 1)
