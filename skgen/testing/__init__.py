"""The conformance kit: does a generative model keep the contract, whoever wrote it?

``check_generative(MyModel)`` runs it, ``parametrize_with_checks([MyModel])`` makes it pytest items, and
``skgen check mypackage:MyModel`` prints it. scikit-learn's own checks (C1) see that an estimator behaves as one; the
statistical ones (S) see that its density, its sampler and its classifier are of one distribution.
"""

from skgen.testing.result import CHECKS, CheckFailed
from skgen.testing.run import ConformanceWarning, check_generative, parametrize_with_checks

__all__ = ["CHECKS", "CheckFailed", "ConformanceWarning", "check_generative", "parametrize_with_checks"]
