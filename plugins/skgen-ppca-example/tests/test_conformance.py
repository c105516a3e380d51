"""skgen's conformance kit: scikit-learn's checks, and statistical tests that density, draws and classes are of one law."""

from skgen_ppca_example import PPCAExample

from skgen.testing import parametrize_with_checks


@parametrize_with_checks([PPCAExample], tier="full")
def test_conformance(estimator, check):
    check(estimator)
