"""What models without a density share: two players, and a Parzen window over what the generator makes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import torch
from sklearn.utils.validation import check_array, check_is_fitted
from torch import Tensor, nn

from skgen.learn.adversarial import Game, play
from skgen.learn.gradient import Rows, Settings, Trained
from skgen.neural import NeuralModel
from skgen.ops.kernels import Kernel, KernelSum
from skgen.parameters import Interval

__all__ = ["AdversarialModel"]

_PARZEN = 2000  # generated rows of a class
_GRID = np.geomspace(0.02, 2.0, 15)  # bandwidths tried, in units of a column's spread


class AdversarialModel(NeuralModel):
    """A generator and a discriminator. A model writes the module, with both as submodules.

    ``score_samples`` is an estimate: the mean of kernels at ``n_parzen`` generated rows, in coded columns (Goodfellow et al.
    2014, section 5), a normal one on numeric columns and Aitchison & Aitken's (1976) on the others, their bandwidth the
    one likeliest for rows held out of training.
    """

    loss: Literal["minimax", "non_saturating", "least_squares", "wasserstein"] = "non_saturating"
    discriminator_steps: Annotated[int, Interval(1)] = 1
    discriminator_rate: Annotated[float, Interval(0, open_low=True)] = 1.0
    label_smoothing: Annotated[float, Interval(0, 0.5)] = 0.0
    gradient_penalty: Annotated[float, Interval(0)] = 0.1
    averaging: Annotated[float, Interval(0, 1, open_high=True)] = 0.999
    n_latent: Annotated[int, Interval(1)] = 32
    n_parzen: Annotated[int, Interval(10)] = _PARZEN

    likelihood = "estimate"
    missing = "none"
    streams = False

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
        )
        trained = play(module, game, rows, held_out, settings, seed, monitor=how.get("monitor"))
        self._watched = (rows if held_out is None else held_out).take(slice(0, 1000))
        return trained

    # ---- log p: a window over generated rows

    def _set_weights(self, state: dict[str, Tensor]) -> None:
        super()._set_weights(state)
        watched = vars(self).pop("_watched", None)
        if watched is None:  # a snapshot while training: its draws are asked for, not its density
            return
        rng = np.random.default_rng(0)
        self._drawn = [self._sample_class(k, self.n_parzen, rng) for k in range(max(1, self._n_classes))]
        x = watched.x.double().cpu().numpy()
        code = np.zeros(len(x), dtype=int) if watched.c is None else watched.c.argmax(dim=1).cpu().numpy()
        self._bandwidth = self._choose(x, code)
        self._open_windows()

    def _kernel(self, h: float) -> Kernel:
        kinds, d = list(self.columns_.kinds), len(self.columns_)
        numeric = np.isin(kinds, ("continuous", "integer"))
        spread = np.concatenate(self._drawn).std(axis=0)
        unit = np.where(numeric, np.where(spread > 0, spread, 1.0), 1.0)
        bandwidth = np.where(numeric, h, np.clip(h, 1e-3, 0.9))
        return Kernel(kinds, self.columns_.n_levels, unit[:d], bandwidth)

    def _choose(self, x: np.ndarray, code: np.ndarray) -> float:
        """The bandwidth under which held-out rows are likeliest."""
        best, chosen = -np.inf, 1.0
        for h in _GRID:
            kernel = self._kernel(h)
            found = sum(
                float(KernelSum(kernel, rows, np.ones(len(rows))).log_prob(x[code == k]).sum())
                for k, rows in enumerate(self._drawn)
                if (code == k).any()
            )
            if found > best:
                best, chosen = found, float(h)
        return chosen

    def _open_windows(self) -> None:
        kernel = self._kernel(self._bandwidth)
        self._windows = [KernelSum(kernel, rows, np.ones(len(rows))) for rows in self._drawn]

    def _log_prob_classes(self, X: np.ndarray) -> np.ndarray:
        if "_network" not in vars(self):
            return super()._log_prob_classes(X)
        return np.stack([window.log_prob(X) for window in self._windows]).T

    def __getstate__(self) -> dict:
        return {name: value for name, value in super().__getstate__().items() if name != "_windows"}

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        if "_drawn" in vars(self):
            self._open_windows()

    # ---- what a user asks of the players

    def _player(self) -> AdversarialModel:
        check_is_fitted(self, "columns_")
        densities = self._fitted.densities_
        if len(densities) > 1:
            raise ValueError(f"{type(self).__name__} has players of its own for each class: use class_conditional='shared'.")
        return densities[0]

    def discriminate(self, X: Any, y: Any = None) -> np.ndarray:
        """D(x): how real the discriminator finds each row, (n,).

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
        y : array-like of shape (n,), optional
            Labels, needed after ``fit(X, y)``.

        Returns
        -------
        array of shape (n,)
            A probability for the losses "minimax" and "non_saturating", else the critic's number.
        """
        part = self._player()
        coded, _ = self._coded_question(X)
        Z, _ = self._coding.encode(coded)
        net = part._network
        with torch.inference_mode():
            x = part._tensor(Z)
            c = None if "classes_" not in vars(self) else part._tensor(np.eye(len(self.classes_))[self._codes_given(y, len(Z))])
            out = net.judge(net.show(x), c, torch.Generator().manual_seed(0))
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
        with torch.inference_mode():
            c = None if "classes_" not in vars(self) else part._tensor(np.eye(len(self.classes_))[self._codes_given(y, len(Z))])
            x = part._network.decode(part._tensor(Z), c, torch.Generator().manual_seed(0))
        return self.columns_.decode(self._coding.decode(x.cpu().numpy().astype(float), np.random.default_rng(0)))
