"""What models without a density share: two players, what a user asks of them, and an estimate of log p."""

from __future__ import annotations

import warnings
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_array, check_is_fitted
from torch import Tensor, nn

from skgen.learn.adversarial import play
from skgen.learn.games import Game
from skgen.learn.gradient import Rows, Settings, Trained
from skgen.models.implicit._window import Observation, Watched, Window
from skgen.neural import NeuralModel
from skgen.parameters import Interval
from skgen.tables import listed

__all__ = ["AdversarialModel", "discriminator_layer"]

_WATCHED = 1000  # held-out rows by which a bandwidth is chosen
_FLAT = 0.05  # of a column's deviation: less is a column that hardly varies
_USUAL = 0.95  # share of the most frequent value, above which a column is not looked at


def discriminator_layer(layer: nn.Module, spectral: bool) -> nn.Module:
    """The layer, divided by its largest singular value if ``spectral`` (Miyato et al. 2018)."""
    return nn.utils.parametrizations.spectral_norm(layer) if spectral else layer


def _usual(X: np.ndarray) -> np.ndarray:
    """Share of the most frequent value of each column."""
    ordered = np.sort(X, axis=0)
    n, found = len(X), np.empty(X.shape[1])
    for j, x in enumerate(ordered.T):
        ends = np.flatnonzero(np.concatenate([x[1:] != x[:-1], [True]]))
        found[j] = np.diff(ends, prepend=-1).max() / n
    return found


class AdversarialModel(NeuralModel):
    """A generator and a discriminator. A model writes the module, with both as submodules.

    The module has the attributes that ``skgen.learn.adversarial.play`` names, ``sample(n, c, generator)`` and
    ``decode(z, c, generator)`` in coded cells, and ``log_observation(x, z, c, h)``, log p(x | z) with noise of width h.
    """

    # Defaults were chosen by the energy distance to held-out rows of rings and grids of Gaussians: with a penalty of 0.1 the
    # discriminator wins on a ring (accuracy 0.8, half the rows between the modes), with 1 no loss does; patience of 10
    # epochs ended games that were still getting better.
    n_iter_no_change: Annotated[int, Interval(1)] = 30
    gradient_clip: Annotated[float, Interval(0, open_low=True)] | None = None
    tol: Annotated[float, Interval(0)] = 0.0
    steps_per_epoch: Annotated[int, Interval(1)] = 20
    loss: Literal["minimax", "non_saturating", "least_squares", "wasserstein"] = "non_saturating"
    discriminator_steps: Annotated[int, Interval(1)] = 1
    discriminator_rate: Annotated[float, Interval(0, open_low=True)] = 1.0
    label_smoothing: Annotated[float, Interval(0, 0.5)] = 0.0
    gradient_penalty: Annotated[float, Interval(0)] = 1.0
    spectral_norm: bool = False
    averaging: Annotated[float, Interval(0, 1, open_high=True)] = 0.999
    packing: Annotated[int, Interval(1)] = 1
    n_latent: Annotated[int, Interval(1)] = 32
    classifier: Literal["bayes", "discriminator"] = "bayes"
    density: Literal["parzen", "annealed"] = "parzen"
    n_parzen: Annotated[int, Interval(10)] = 2000
    n_annealing: Annotated[int, Interval(1)] = 100

    likelihood = "estimate"
    missing = "none"
    streams = False
    known_gaps = MappingProxyType(
        {
            **NeuralModel.known_gaps,
            "labelled_vs_split": "p(y | x) of classifier='discriminator', as in `quick`, is learnt from all rows",
        }
    )
    _partly_labelled = False

    def _validate_parameters(self) -> None:
        super()._validate_parameters()
        for name, usual in (("optimizer", "adam"), ("checkpoint", None)):
            if getattr(self, name) != usual:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is not for two players: {type(self).__name__} takes {usual!r} only."
                )
        if self.precision == "bfloat16":
            raise ValueError(f"{type(self).__name__} is trained with precision='float32' or 'float64'.")
        if self.classifier == "discriminator" and self.class_conditional == "separate":
            raise ValueError(
                "classifier='discriminator' needs one discriminator for all classes, and class_conditional='separate' trains one "
                "each: use class_conditional='shared'."
            )
        if self.loss == "wasserstein" and not (self.gradient_penalty or self.spectral_norm):
            raise ValueError("loss='wasserstein' needs a bounded slope: set gradient_penalty above 0, or spectral_norm=True.")
        if self.loss == "wasserstein" and self.label_smoothing:
            raise ValueError(
                "label_smoothing is for losses that ask for an answer, which loss='wasserstein' does not: set it to 0."
            )
        if self.packing > 1 and self.classifier == "discriminator":
            raise ValueError("classifier='discriminator' tells classes of single rows: use packing=1.")

    def _tells_classes(self, n_classes: int) -> bool:
        """Whether the discriminator has K + 1 classes."""
        return n_classes > 0 and (self.classifier == "discriminator" or self._partly_labelled)

    def _packed(self, n_classes: int) -> int:
        return 1 if self._tells_classes(n_classes) else self.packing

    def _fit_partly_labelled(self, *args: Any) -> np.ndarray:
        self._partly_labelled = True
        return super()._fit_partly_labelled(*args)

    def _build(self, n_classes: int, seed: int, rows: Rows | None = None, start: dict | None = None) -> nn.Module:
        self._goes_on = start is not None
        return super()._build(n_classes, seed, rows, start)

    def _learn(
        self, module: nn.Module, share: Any, rows: Rows, held_out: Rows | None, settings: Settings, seed: int, **how: Any
    ) -> Trained:
        game = Game(
            self.loss,
            self.discriminator_steps,
            self.discriminator_rate,
            self.label_smoothing,
            self.gradient_penalty,
            self.averaging,
            self._packed(0 if rows.c is None else rows.c.shape[1]),
            self.steps_per_epoch,
        )
        goes_on = vars(self).pop("_goes_on")
        trained = play(module, game, share, rows, held_out, settings, seed, monitor=how.get("monitor"), goes_on=goes_on)
        self._class_share = np.ones(1) if share is None else np.asarray(share, dtype=float)
        self._watched = (rows if held_out is None else held_out).take(slice(0, _WATCHED))
        return trained

    # ---- log p: noise about what the generator makes

    def _set_weights(self, state: dict[str, Tensor]) -> None:
        super()._set_weights(state)
        rows = vars(self).pop("_watched", None)
        if rows is None:  # a snapshot while training: its draws are asked for, not its density
            return
        x, weight = (a.double().cpu().numpy() for a in (rows.x, rows.w))
        code = np.zeros(len(x), dtype=int)
        if rows.c is not None:
            c = rows.c.cpu().numpy()
            code = np.where(np.isnan(c[:, 0]), -1, c.argmax(axis=1))
        watched = Watched(x, code, weight, self._class_share)
        rng = np.random.default_rng(0)
        drawn = [self._sample_class(k, self.n_parzen, rng) for k in range(max(1, self._n_classes))]
        self._warn_of_flat_columns(x, np.concatenate(drawn))
        if self.density == "parzen":
            self._estimate = Window.chosen(self.columns_, drawn, watched)
        else:
            self._estimate = Observation.chosen(self, watched, self.n_annealing)

    def _warn_of_flat_columns(self, X: np.ndarray, drawn: np.ndarray) -> None:
        """Warn where coded rows vary and generated ones hardly do: rows as a whole may have neighbours all the same."""
        seen = _usual(X) < min(_USUAL, 1 - 10 / len(drawn))  # else chance draws nothing but the usual value
        numeric = np.isin(self.columns_.kinds, ("continuous", "integer"))
        varies, usual = drawn.std(axis=0) > _FLAT * X.std(axis=0), _usual(drawn)
        flat = np.flatnonzero(seen & np.where(numeric, ~varies, usual == 1))
        if len(flat):
            names = listed([self.columns_.names[j] for j in flat])
            warnings.warn(
                f"Generated rows hardly vary in column {names}: modes are missing, or training was short. Raise max_epochs, "
                "or set gradient_penalty, packing=2 or another loss.",
                ConvergenceWarning,
                stacklevel=2,
            )

    def _log_prob_classes(self, X: np.ndarray) -> np.ndarray:
        if "_network" not in vars(self):
            return super()._log_prob_classes(X)
        log_p = self._estimate.log_prob_classes(self, X)
        if self.classifier == "bayes" or not self._n_classes:
            return log_p
        # p(x | y) = p(y | x) p(x) / p(y), with p(y | x) from the discriminator
        log_share = np.log(self._class_share)
        log_marginal = np.logaddexp.reduce(log_p + log_share, axis=1, keepdims=True)
        with torch.inference_mode():
            x = self._tensor(X)
            heads = self._network.heads(self._network.show(x, None))
            return torch.log_softmax(heads, dim=1).cpu().numpy() + log_marginal - log_share

    def _sample_missing_class(self, k: int, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self._sample_missing(X, rng)  # there is one generator for all classes, and it answers no questions

    def _n_parameters(self) -> int:
        raise AttributeError(
            f"{type(self).__name__} has no likelihood that its weights maximise, so that n_parameters_, bic and aic are undefined: "
            "compare by skgen.evaluate.sample_report."
        )

    # ---- what a user asks of the players

    def _player(self) -> AdversarialModel:
        check_is_fitted(self, "columns_")
        densities = self._fitted.densities_
        if len(densities) > 1:
            raise ValueError(f"{type(self).__name__} has players of its own for each class: use class_conditional='shared'.")
        return densities[0]

    def _asked_classes(self, y: Any, n: int) -> Tensor | None:
        if "classes_" not in vars(self):
            if y is not None:
                self._codes_given(y, n)  # says that there are no classes
            return None
        if y is None:
            raise ValueError(f"{type(self).__name__} was fitted with y: say which class by y=, one label or one a row.")
        part = self._player()
        codes = self._codes_given(y, n)
        return None if part._n_classes == 0 else part._tensor(np.eye(len(self.classes_))[codes])

    def discriminate(self, X: Any, y: Any = None) -> np.ndarray:
        """D(x): how real the discriminator finds each row.

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
        y : array-like of shape (n,), or one label
            Needed after ``fit(X, y)``, unless the discriminator has K + 1 classes (``classifier="discriminator"``, or rows
            without a label): then, without y, how real the row is as one of any class.

        Returns
        -------
        array of shape (n,)
            A probability for the losses "minimax" and "non_saturating", else the critic's number. With ``packing`` m > 1
            the discriminator is shown the row m times.

        Raises
        ------
        ValueError
            Naming what is missing: y, or one discriminator for all classes.
        """
        part = self._player()
        coded, _ = self._coded_question(X)
        if np.isnan(coded).any():
            raise ValueError(f"{type(self).__name__} cannot judge rows with missing cells: impute them first.")
        Z, _ = self._coding.encode(coded)
        net, m = part._network, part._packed(part._n_classes)
        c = None if y is None and net.tells_classes else self._asked_classes(y, len(Z))
        with torch.inference_mode():
            shown = net.show(part._tensor(Z), None)
            out = net.judge(torch.cat([shown] * m, dim=1), None if c is None else torch.cat([c] * m, dim=1))
            return (torch.sigmoid(out) if self.loss in ("minimax", "non_saturating") else out).cpu().numpy()

    def inverse_transform(self, Z: Any, y: Any = None) -> Any:
        """G(z): the rows that latent points stand for.

        Parameters
        ----------
        Z : array-like of shape (n, n_latent)
        y : label or array of shape (n,), optional
            Classes, needed after ``fit(X, y)``.

        Returns
        -------
        table of n rows, in the container given to ``fit``
        """
        part = self._player()
        Z = check_array(Z, dtype=float, ensure_min_samples=0)
        if Z.shape[1] != self.n_latent:
            raise ValueError(f"Z has {Z.shape[1]} columns, but n_latent={self.n_latent}.")
        c = self._asked_classes(y, len(Z))
        with torch.inference_mode():
            x = part._network.decode(part._tensor(Z), c, torch.Generator().manual_seed(0))
        return self.columns_.decode(self._coding.decode(x.cpu().numpy().astype(float), np.random.default_rng(0)))
