"""Normalizing flows of zuko as generative models of skgen."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Literal

from torch import nn
from zuko.flows import MAF, NSF, Flow
from zuko.flows import RealNVP as ZukoRealNVP

from skgen import Columns, Interval, NeuralModel
from skgen_zuko.density import TableDensity

__all__ = ["MaskedAutoregressiveFlow", "NeuralSplineFlow", "RealNVP"]

_SHARED = """
    Numeric columns go through the flow; discrete ones come first, as an autoregressive product of softmaxes, and are the
    flow's context together with the class.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(64, 64)
        Widths of the networks that give each transformation its parameters.
    n_transforms : int, default=3
        Transformations, one after the other.{own}

    Other parameters are those of ``skgen.NeuralModel``, with ``learning_rate=0.003`` and ``weight_decay="auto"``.
    """


class _Flow(NeuralModel):
    """What the flows share; a subclass is one call."""

    # chosen by the log-likelihood of held-out folds of wine, breast_cancer, iris and moons
    learning_rate: Annotated[float, Interval(0, open_low=True)] = 3e-3
    weight_decay: Annotated[float, Interval(0)] | Literal["auto"] = "auto"
    hidden_layer_sizes: Any = (64, 64)
    n_transforms: Annotated[int, Interval(1)] = 3

    __skgen_api__ = 1
    kinds = frozenset({"continuous", "binary", "categorical"})
    likelihood = "exact"
    quick = MappingProxyType(
        {"hidden_layer_sizes": (8,), "n_transforms": 1, "max_epochs": 1, "batch_size": 1000, "learning_rate": 0.01}
    )

    def _flow(self, n_features: int, n_context: int) -> Flow:
        raise NotImplementedError

    def _module(self, columns: Columns, n_classes: int) -> nn.Module:
        return TableDensity(columns, n_classes, self._widths("hidden_layer_sizes"), self._flow)

    @property
    def _shape(self) -> dict[str, Any]:
        return {"transforms": self.n_transforms, "hidden_features": self._widths("hidden_layer_sizes")}


class NeuralSplineFlow(_Flow):
    __doc__ = (
        r"""z_i = RQS(x_i; theta_i(x_<i)), a monotone rational-quadratic spline in each step (Durkan et al. 2019).
    """
        + _SHARED.format(
            own="""
    n_knots : int, default=8
        Bins of a spline, between -5 and 5 standard deviations; outside it is the identity.
    coupling : bool, default=False
        Each step moves half of the columns given the other half, in place of each given those before it: faster draws."""
        )
        + """
    Examples
    --------
    >>> import skgen
    >>> from sklearn.datasets import make_moons
    >>> X, y = make_moons(300, noise=0.1, random_state=0)
    >>> model = skgen.make("zuko_nsf", max_epochs=30, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9), model.sample(2, y=1).shape
    (True, (2, 2))
    """
    )

    n_knots: Annotated[int, Interval(2)] = 8
    coupling: bool = False

    def _flow(self, n_features: int, n_context: int) -> Flow:
        return NSF(n_features, n_context, bins=self.n_knots, passes=2 if self.coupling else None, **self._shape)


class MaskedAutoregressiveFlow(_Flow):
    __doc__ = r"""z_i = x_i exp(a_i(x_<i)) + m_i(x_<i), the order turned round from step to step (Papamakarios et al. 2017).
    """ + _SHARED.format(own="")

    def _flow(self, n_features: int, n_context: int) -> Flow:
        return MAF(n_features, n_context, **self._shape)


class RealNVP(_Flow):
    __doc__ = r"""Half of the columns moved and scaled given the other half, in turns: both ways in one pass (Dinh et al. 2017).
    """ + _SHARED.format(own="")

    def _flow(self, n_features: int, n_context: int) -> Flow:
        return ZukoRealNVP(n_features, n_context, **self._shape)
