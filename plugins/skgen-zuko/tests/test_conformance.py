"""skgen's conformance kit: scikit-learn's checks, and statistical tests that density, draws and classes are of one law."""

from skgen_zuko import MaskedAutoregressiveFlow, NeuralSplineFlow, RealNVP

from skgen.testing import parametrize_with_checks


@parametrize_with_checks([NeuralSplineFlow, MaskedAutoregressiveFlow, RealNVP], tier="full")
def test_conformance(estimator, check):
    check(estimator)
