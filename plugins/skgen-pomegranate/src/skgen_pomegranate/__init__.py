"""pomegranate's Bayesian network and hidden Markov model, as they are, in the contract of skgen."""

from skgen_pomegranate._base import Adapter  # noqa: F401  (first: it imports pomegranate without a change of threads)
from skgen_pomegranate.bayes_net import PomegranateBayesianNetwork
from skgen_pomegranate.hmm import PomegranateHMM

__all__ = ["PomegranateBayesianNetwork", "PomegranateHMM"]
