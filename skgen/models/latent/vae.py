"""Variational autoencoder: a normal code, and columns that are independent given it."""

from __future__ import annotations

import warnings
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from skgen import bayes
from skgen.learn.gradient import Rows, Settings, Trained
from skgen.models.latent._bound import ACTIVE, Network, Watch, fixed_noise
from skgen.models.latent._codes import CodeModel
from skgen.parameters import Interval
from skgen.tables import Columns, listed

__all__ = ["VAE"]

_LEARNT_BY = 10  # epochs, after which a code that says nothing is told of


class VAE(CodeModel):
    r"""Variational autoencoder: z ~ p(z), x_j ~ p(x_j | z) independently, both ways by networks (Kingma & Welling 2014).

    The encoder gives q(z | x) = N(mu(x), diag sigma(x)^2), and training raises the evidence lower bound
    E_q log p(x | z) - beta KL(q(z | x) || p(z)), or the importance-weighted one of ``n_importance`` draws (Burda et al. 2016).
    Binary, categorical, integer and continuous columns may stand side by side.

    Parameters
    ----------
    n_components : int, default=8
        Dimension of z.
    hidden_layer_sizes : tuple of int or int, default=(128, 128)
        Of the encoder; the decoder has them in reverse. (): both are linear, and with ``scale="shared"`` p(x) is that of
        probabilistic PCA.
    activation : {"relu", "tanh", "elu", "silu"}
    image_shape : tuple or None
        (height, width) or (height, width, channels) if the columns are pixels: the networks are then convolutional.
    channels : tuple of int or None
        Of the convolutions, each of stride 2. None: dense networks, whatever ``image_shape`` says.
    n_mixture : int, default=1
        Components of a numeric column given z: 1 is a normal, or a discretised logistic for integers.
    scale : {"free", "column", "shared"}
        The scale of a numeric column given z: a function of z, a number for each column, or one for all. Where values repeat
        (black pixels as floats), a free scale falls to its floor, and log p says little of the rest of the row.
    beta : float, default=1.0
        Weight of the KL term, in nats. A loss that averages cross-entropy over d pixels has d times the weight it states.
    kl_warmup : int, default=0
        Epochs over which the weight of the KL term grows from zero to ``beta``.
    free_bits : float, default=0.0
        Nats of each dimension of z that cost nothing (Kingma et al. 2016).
    n_importance : int, default=1
        Draws of z in the objective; with more than 1 it is the importance-weighted bound.
    prior : {"normal", "vamp"}
        p(z): N(0, I), or the mean of q(z | u) over ``n_pseudo`` learnt inputs u (VampPrior, Tomczak & Welling 2018).
    n_pseudo : int, default=100
    n_samples_score : int, default=100
        Draws of z in ``score_samples``; set_params changes it without a refit.

    Attributes
    ----------
    history_ : dict of arrays
        Also "kl", the mean KL(q(z|x) || N(0, I)) in nats, and "active_units", the dimensions of z whose posterior mean varies
        from row to row (variance above 0.01), of watched rows.

    Notes
    -----
    The other parameters are those of :class:`skgen.NeuralModel`. ``score_samples`` is the importance-weighted bound
    log 1/S sum_s p(x, z_s) / q(z_s | x), in nats and data units, with one fixed noise for all rows and classes: at most log p
    on average over noise, and nearer to it the greater S is. A missing cell is left out of the likelihood, in ``fit`` too
    (MIWAE, Mattei & Frellsen 2019); the encoder is shown a learnt value in its place, and half of the draws of such a row
    come from p(z). Conditional draws are by importance resampling among ``n_samples_score``. With classes one network serves
    all, p(x | y, z) and q(z | x, y), and rows without a label have the sum over classes (M2, Kingma et al. 2014).

    A ConvergenceWarning says what helps where no dimension of z is active, and where the scale of a column is at its floor.

    References
    ----------
    Kingma & Welling (2014), "Auto-encoding variational Bayes"; Burda, Grosse & Salakhutdinov (2016), "Importance weighted
    autoencoders"; Kingma et al. (2014), "Semi-supervised learning with deep generative models"; Tomczak & Welling (2018),
    "VAE with a VampPrior"; Mattei & Frellsen (2019), "MIWAE: deep generative modelling and imputation of incomplete data".

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import VAE
    >>> rng = np.random.default_rng(0)
    >>> angle = rng.uniform(0, 2 * np.pi, 600)
    >>> X = np.column_stack([np.cos(angle), np.sin(angle)]) + rng.normal(0, 0.05, (600, 2))
    >>> model = VAE(n_components=2, hidden_layer_sizes=(32,), max_epochs=60, learning_rate=5e-3, random_state=0).fit(X)
    >>> model.transform(X).shape
    (600, 2)
    >>> terms = model.elbo_terms(X)
    >>> bool((terms["gap"].mean() > 0) & np.allclose(terms["reconstruction"] - terms["kl"], terms["elbo"]))
    True

    Another architecture is a subclass: here an encoder with a residual block.

    >>> from torch import nn
    >>> class Residual(nn.Sequential):
    ...     def forward(self, h):
    ...         return h + super().forward(h)
    >>> class ResidualVAE(VAE):
    ...     def _encoder(self, columns, n_inputs, n_outputs):
    ...         block = Residual(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32))
    ...         return nn.Sequential(nn.Linear(n_inputs, 32), block, nn.ReLU(), nn.Linear(32, n_outputs))
    >>> model = ResidualVAE(n_components=2, hidden_layer_sizes=(32,), max_epochs=2, random_state=0).fit(X)
    >>> model.summary()["layer"].tolist()
    ['Network', 'encoder.0', 'encoder.1.0', 'encoder.1.2', 'encoder.3', 'decoder.0', 'decoder.2', 'outputs']
    """

    beta: Annotated[float, Interval(0)] = 1.0
    kl_warmup: Annotated[int, Interval(0)] = 0
    free_bits: Annotated[float, Interval(0)] = 0.0
    n_importance: Annotated[int, Interval(1)] = 1
    prior: Literal["normal", "vamp"] = "normal"
    n_pseudo: Annotated[int, Interval(1)] = 100
    n_samples_score: Annotated[int, Interval(1)] = 100

    likelihood = "bound"
    missing = "estimate"
    missing_in_fit = True
    quick = MappingProxyType(
        {
            "hidden_layer_sizes": (16,),
            "n_components": 2,
            "max_epochs": 3,
            "learning_rate": 0.03,
            "batch_size": 64,
            "n_samples_score": 8,
        }
    )

    # ---- training

    def _module(self, columns: Columns, n_classes: int) -> nn.Module:
        if self.free_bits and self.n_importance > 1:
            raise ValueError(f"free_bits={self.free_bits:g} is of the bound of one draw: set n_importance=1, or free_bits=0.")
        if self.optimizer == "lbfgs" and (self.free_bits or self.kl_warmup):
            raise ValueError("optimizer='lbfgs' needs one objective throughout: set kl_warmup=0 and free_bits=0, or use 'adam'.")
        q, outputs = self.n_components, self._outputs(columns)
        return Network(
            self._encoder(columns, outputs.conditionals.n_features + n_classes, 2 * q),
            self._decoder(columns, q + n_classes, outputs.n_outputs),
            outputs,
            q,
            n_classes,
            n_pseudo=self.n_pseudo if self.prior == "vamp" else 0,
            beta=self.beta,
            free_bits=self.free_bits,
            n_importance=self.n_importance,
        )

    def _learn(
        self, module: nn.Module, share: Any, rows: Rows, held_out: Rows | None, settings: Settings, seed: int, **how: Any
    ) -> Trained:
        whole = how.get("tell", True) and how.get("keep_best", True)
        if whole and self.kl_warmup:
            module.warm_up = self.kl_warmup / settings.max_epochs
            settings.n_iter_no_change += self.kl_warmup  # until the weight is whole, the bound may well fall
        watch = Watch(how.pop("monitor", None), module, rows if held_out is None else held_out)
        trained = super()._learn(module, share, rows, held_out, settings, seed, monitor=watch, **how)
        if whole and not trained.interrupted:
            self._tell_of_collapse(trained)
            self._tell_of_narrow_columns(module, watch)
        return trained

    def _tell_of_narrow_columns(self, module: Network, watch: Watch) -> None:
        names = [self.columns_.names[j] for j in watch.narrow(module)]
        if names:
            warnings.warn(
                f"The scale given z is at its floor in column {listed(names)}: log p is that of repeated values, and "
                "the code serves them before all other columns. Set scale='shared', or give column_kinds='integer' or 'bernoulli'.",
                ConvergenceWarning,
                stacklevel=2,
            )

    def _tell_of_collapse(self, trained: Trained) -> None:
        losses = [line.get("valid_loss", line["train_loss"]) for line in trained.history]
        if trained.n_epochs >= _LEARNT_BY and trained.history[int(np.nanargmin(losses))]["active_units"] == 0:
            warnings.warn(
                f"No dimension of z is active (variance of its posterior mean above {ACTIVE:g}): the decoder does without the "
                "code, and the columns are independent in this model. If they are not in the data, give the KL term less weight "
                "while the code is learnt: kl_warmup=20, free_bits=0.1, or beta below 1.",
                ConvergenceWarning,
                stacklevel=2,
            )

    # ---- the bound

    def _log_prob_classes(self, X: np.ndarray) -> np.ndarray:
        if "_network" not in vars(self):
            return super()._log_prob_classes(X)
        return self._ask(X, lambda x, c, noise: self._network.log_prob(x, c, noise)[:, None])[:, :, 0].T

    def _ask(self, X: np.ndarray, question: Any, classes: Any = None) -> np.ndarray:
        """``question(x, c, noise) -> (n, m)`` for rows as members of these classes, or of all, (K, n, m), a few at a time."""
        classes, S, out = range(max(1, self._n_classes)) if classes is None else classes, self.n_samples_score, []
        with torch.inference_mode():
            noise = tuple(self._tensor(a) for a in fixed_noise(S, self.n_components))
            step = self._rows_at_once(S)
            for start in range(0, len(X), step):
                x = self._tensor(X[start : start + step])
                out.append(torch.stack([question(x, self._class(x, k), noise) for k in classes]).cpu().numpy())
        return np.concatenate(out, axis=1) if out else np.empty((len(classes), 0, 1))

    def _hand_on(self) -> None:
        """The number of draws acts without a refit."""
        for part in (self._fitted, *self._fitted.densities_):
            part.n_samples_score = self.n_samples_score

    def _log_prob_coded(self, coded: np.ndarray) -> np.ndarray:
        self._hand_on()
        return super()._log_prob_coded(coded)

    def elbo_terms(self, X: Any, y: Any = None) -> pd.DataFrame:
        """The evidence lower bound of each row, term by term.

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
        y : label or array of shape (n,), optional
            Classes: the terms are then those of log p(x | y), else of log p(x).

        Returns
        -------
        data frame of n rows, nats, in data units
            "reconstruction", E_q log p(x | z); "kl", KL(q(z|x) || p(z)); "elbo", their difference; "log_prob", the bound of
            ``n_samples_score`` draws; and "gap" = log_prob - elbo, KL(q(z|x) || p(z|x)) as far as log_prob is log p(x). With
            classes summed out, "kl" contains KL(q(y|x) || p(y)).
        """
        coded, Z = self._coded_rows(X)
        self._hand_on()
        densities = self._fitted.densities_
        gain = self.columns_.log_jacobian(coded)
        if y is not None:
            codes, each = self._codes_given(y, len(Z)), np.empty((1, len(Z), 3))
            for k in np.unique(codes):
                at, one = codes == k, len(densities) > 1
                density = densities[k if one else 0]
                each[:, at] = density._ask(Z[at], density._network.terms, [0 if one else int(k)])
        else:
            each = np.concatenate([density._ask(Z, density._network.terms) for density in densities])
        # (K, n) each
        reconstruction, kl, log_p = np.moveaxis(each, 2, 0)
        if y is not None or "classes_" not in vars(self):
            terms = reconstruction[0], kl[0], log_p[0]
        else:
            # log p(x) >= sum_y q(y) [elbo_y + log p(y) - log q(y)], greatest at q(y) = softmax_y
            prior = self.class_log_prior_
            log_q = bayes.log_posterior((reconstruction - kl).T + prior, prior).T
            q = np.exp(log_q)
            with np.errstate(invalid="ignore"):
                surprise = np.where(q > 0, q * (log_q - prior[:, None]), 0.0).sum(axis=0)
            joint = log_p + prior[:, None]
            top = joint.max(axis=0)
            terms = (q * reconstruction).sum(axis=0), (q * kl).sum(axis=0) + surprise, np.log(np.exp(joint - top).sum(axis=0)) + top
        recon, divergence, bound = terms
        index = X.index if isinstance(X, pd.DataFrame) else None
        frame = pd.DataFrame({"reconstruction": recon + gain, "kl": divergence}, index=index)
        frame["elbo"] = frame["reconstruction"] - frame["kl"]
        frame["log_prob"] = bound + gain
        frame["gap"] = frame["log_prob"] - frame["elbo"]
        return frame

    # ---- missing cells

    def _conditional_means(self, coded: np.ndarray) -> np.ndarray:
        self._hand_on()
        Z, _ = self._coding.encode(coded)
        each = np.concatenate([density._ask(Z, density._network.expect) for density in self._fitted.densities_])
        if "classes_" in vars(self):
            prior = self.class_log_prior_
            share = np.exp(bayes.log_posterior(self._log_prob_coded(coded) + prior, prior))
            each = np.einsum("nk,knd->nd", share, each)[None]
        means, kinds = each[0], np.array(self.columns_.kinds)
        means[:, kinds == "binary"] = means[:, kinds == "binary"] > 0.5
        means[:, kinds == "categorical"] = np.nan
        return np.where(np.isnan(coded), means, coded)

    def _sample_missing(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self._sample_missing_class(0, X, rng)

    def _sample_missing_coded(self, k: int, coded: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        self._hand_on()
        return super()._sample_missing_coded(k, coded, rng)

    def _sample_missing_class(self, k: int, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if "_network" not in vars(self):
            return super()._sample_missing_class(k, X, rng)
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        S, out = self.n_samples_score, []
        step = self._rows_at_once(S)
        with torch.inference_mode():
            for start in range(0, len(X), step):
                x = self._tensor(X[start : start + step])
                out.append(self._network.complete(x, self._class(x, k), S, generator).cpu().numpy().astype(float))
        return np.concatenate(out) if out else X.copy()
