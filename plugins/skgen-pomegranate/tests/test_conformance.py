"""skgen's conformance kit: scikit-learn's checks, and statistical tests that density, draws and classes are of one law."""

from skgen_pomegranate import PomegranateBayesianNetwork, PomegranateHMM

from skgen.testing import parametrize_with_checks


@parametrize_with_checks([PomegranateBayesianNetwork, PomegranateHMM], tier="full")
def test_conformance(estimator, check):
    check(estimator)
