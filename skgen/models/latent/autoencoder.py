"""Autoencoder: rows through a narrow code and back, and a density of the codes that makes it a generative model."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from skgen import registry
from skgen.base import GenerativeModel
from skgen.containers import as_table
from skgen.learn.gradient import Rows, Settings, Trained
from skgen.models.latent._bound import fixed_noise
from skgen.models.latent._codes import CodeModel
from skgen.models.latent._network import Outputs, TiedDecoder
from skgen.parameters import Interval
from skgen.tables import Columns

__all__ = ["Autoencoder"]

_WIDTHS = (1.0, 2.0, 4.0)  # of the proposals around a row's code, in units of the mean posterior's
_LOOKED_AT, _DRAWS = 500, 2  # rows from whose codes, and draws of cells from which, the mean posterior is found


class _Network(nn.Module):
    """code = encoder(features), p(x | code) = outputs(decoder(code)); in training the features may be corrupted."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, outputs: Outputs, noise: str | None, level: float):
        super().__init__()
        self.encoder, self.decoder, self.outputs = encoder, decoder, outputs
        self.noise, self.level = noise, level
        conditionals, F = outputs.conditionals, outputs.conditionals.n_features
        self.register_buffer("lowest", torch.zeros(F))
        self.register_buffer("highest", torch.ones(F))
        owner = conditionals.feature_owner
        width = torch.bincount(owner, minlength=conditionals.n_columns)
        self.register_buffer("_owner", owner, persistent=False)
        self.register_buffer("_width", torch.from_numpy(width.numpy())[owner], persistent=False)
        first = np.searchsorted(owner.numpy(), owner.numpy())
        self.register_buffer("_level", torch.from_numpy(np.arange(F) - first), persistent=False)
        levels = np.isin(np.array(conditionals.kinds), ["categorical"])[owner.numpy()]
        self.register_buffer("_is_level", torch.from_numpy(levels), persistent=False)

    def initialise(self, x: Tensor, weight: Tensor, c: Tensor | None) -> None:
        """Marginals as biases, and the range of each feature."""
        self.outputs.initialise(x, weight)
        features = self.outputs.conditionals.features(x)
        self.lowest.copy_(features.amin(dim=0))
        self.highest.copy_(features.amax(dim=0))

    def corrupt(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """What is encoded in training: normal noise on every feature, or whole cells hidden or put at an end of their range."""
        if self.noise is None or self.level == 0:
            return features
        n, d = len(features), len(self.outputs.conditionals.kinds)
        if self.noise == "gaussian":
            return features + self.level * torch.randn(features.shape, generator=generator).to(features)
        hit = (torch.rand(n, d, generator=generator) < self.level).to(features.device)[:, self._owner]
        if self.noise == "masking":
            return features.masked_fill(hit, 0.0)
        u = torch.rand(n, d, generator=generator).to(features)[:, self._owner]
        end = torch.where(u < 0.5, self.lowest, self.highest)
        some_level = ((u * self._width).long() == self._level).to(features)
        return torch.where(hit, torch.where(self._is_level, some_level, end), features)

    def encode(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Codes (n, q)."""
        return self.encoder(self.outputs.conditionals.features(x))

    def decode(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """The parameters (m, P) of the columns given codes (m, q)."""
        return self.outputs(self.decoder(z))

    def loss(self, x: Tensor, c: Tensor | None, generator: torch.Generator, progress: float) -> Tensor:
        """-log p(x | code of the corrupted row)."""
        features = self.corrupt(self.outputs.conditionals.features(x), generator)
        return -self.outputs.log_prob(x, self.decode(self.encoder(features)), cross_entropy=True)[:, 0]

    def sharpness(self, z: Tensor, draws: int, generator: torch.Generator) -> Tensor:
        """The Fisher information (q, q) of codes about rows, its mean over codes z: E grad log p(x | z) grad log p(x | z)'."""
        total = 0.0
        for _ in range(draws):
            with torch.no_grad():
                x = self.outputs.conditionals.sample(self.decode(z), generator)
            at = z.clone().requires_grad_(True)
            (slope,) = torch.autograd.grad(self.outputs.log_prob(x, self.decode(at)).sum(), at)
            total = total + slope.T @ slope / len(z)
        return total / draws


class Autoencoder(CodeModel):
    r"""Autoencoder: code = f(x), and the columns independent given the code, p(x_j | g(code)), f and g by networks.

    Trained by the log-likelihood of a row given its own code: cross-entropy for binary and categorical columns, and, but for
    constants, the squared error for numeric ones. With ``noise`` the encoder is shown a corrupted row (Vincent et al. 2010).
    It becomes a generative model by a density of its codes, a Gaussian mixture of each class fitted afterwards, from which
    ``sample`` draws.

    Parameters
    ----------
    n_components : int, default=8
        Dimension of the code.
    hidden_layer_sizes : tuple of int or int, default=(128, 128)
        Of the encoder; the decoder has them in reverse.
    activation : {"relu", "tanh", "elu", "silu"}
    image_shape : tuple or None
        (height, width) or (height, width, channels) if the columns are pixels: the networks are then convolutional.
    channels : tuple of int or None
        Of the convolutions, each of stride 2. None: dense networks, whatever ``image_shape`` says.
    n_mixture : int, default=1
        Components of a numeric column given the code.
    scale : {"column", "free", "shared"}
        The scale of a numeric column given the code: one a column, a function of the code, or one for all.
    noise : None, "gaussian", "masking" or "salt_and_pepper"
        On the input in training: normal noise of standard deviation ``noise_level``, in widths of a column, or a share
        ``noise_level`` of cells hidden, or put at an end of their range (a categorical one: at any level).
    noise_level : float, default=0.3
    tied_weights : bool, default=False
        The decoder's weights are the encoder's, transposed (dense networks).
    code_density : None, model or registry name
        The density of the codes of a class. None: a Gaussian mixture of a component for twenty rows, ten at most.
    n_samples_score : int, default=100
        Codes that ``score_samples`` tries for a row; set_params changes it without a refit.

    Notes
    -----
    The other parameters are those of :class:`skgen.NeuralModel`. Reconstruction error is no log p(x). ``score_samples`` is an
    importance-sampled estimate of log int p(x | z) p(z) dz in nats and data units: a quarter of the codes z are drawn from
    the density of codes, the others around the row's own code, as widely as the codes of an average row could lie, twice and
    four times so. It is off in either direction where these miss what explains a row, the more so the more dimensions a code
    has and the fewer codes are tried: below a hundred it means little. No part of training looks at it.

    The networks do not see the class; classes differ by the density of their codes. Rows without a label train the networks
    and enter that density by EM. Rows with missing cells are not taken by ``fit``, ``transform`` and ``score_samples``:
    ``noise="masking"`` and a mean in their place is what :meth:`denoise` expects.

    References
    ----------
    Hinton & Salakhutdinov (2006), "Reducing the dimensionality of data with neural networks"; Vincent et al. (2010), "Stacked
    denoising autoencoders"; Ghosh et al. (2020), "From variational to deterministic autoencoders" (a density of codes).

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import Autoencoder
    >>> rng = np.random.default_rng(0)
    >>> angle = rng.uniform(0, 2 * np.pi, 600)
    >>> X = np.column_stack([np.cos(angle), np.sin(angle), np.cos(2 * angle)])
    >>> model = Autoencoder(n_components=2, hidden_layer_sizes=(32,), max_epochs=60, learning_rate=5e-3, random_state=0).fit(X)
    >>> bool(np.mean((model.reconstruct(X) - X) ** 2) < 0.05 * X.var())
    True
    """

    scale: Literal["free", "column", "shared"] = "column"
    noise: Literal["gaussian", "masking", "salt_and_pepper"] | None = None
    noise_level: Annotated[float, Interval(0)] = 0.3
    tied_weights: bool = False
    code_density: Any = None
    n_samples_score: Annotated[int, Interval(1)] = 100

    likelihood = "estimate"
    missing = "none"
    streams = False
    quick = MappingProxyType(
        {
            "hidden_layer_sizes": (8,),
            "n_components": 3,
            "max_epochs": 4,
            "early_stopping": False,
            "learning_rate": 0.08,
            "batch_size": 64,
            "code_density": "ppca",
            "n_samples_score": 16,
        }
    )
    known_gaps = MappingProxyType(
        {
            **CodeModel.known_gaps,
            "labelled_vs_split": "the networks learn to reconstruct rows of all classes, and nothing in it looks at log p: on the "
            "rows of one class alone they find another code, whose density differs by about a nat",
        }
    )

    # ---- training: the network, then the density of its codes

    def _module(self, columns: Columns, n_classes: int) -> nn.Module:
        if self.noise in ("masking", "salt_and_pepper") and self.noise_level > 1:
            raise ValueError(f"noise_level={self.noise_level:g} is the share of cells that {self.noise!r} hits: at most 1.")
        outputs = self._outputs(columns)
        encoder = self._encoder(columns, outputs.conditionals.n_features, self.n_components)
        if not self.tied_weights:
            decoder = self._decoder(columns, self.n_components, outputs.n_outputs)
        elif isinstance(encoder, nn.Sequential):
            decoder = TiedDecoder(encoder, outputs.means_of_features(), outputs.n_outputs, self.activation)
        else:
            raise ValueError("tied_weights=True needs dense layers in a row: set channels=None, or tied_weights=False.")
        return _Network(encoder, decoder, outputs, self.noise, self.noise_level)

    @property
    def _is_conditional(self) -> bool:
        return False

    def _learn(
        self, module: nn.Module, share: Any, rows: Rows, held_out: Rows | None, settings: Settings, seed: int, **how: Any
    ) -> Trained:
        rows, held_out = (r if r is None else Rows(r.x, None, r.w) for r in (rows, held_out))
        return super()._learn(module, None, rows, held_out, settings, seed, **how)

    def _train(self, X: np.ndarray, c: np.ndarray | None, weight: np.ndarray, rng: np.random.Generator, **how: Any) -> None:
        super()._train(X, c, weight, rng, **how)
        known = np.ones(len(X), dtype=bool) if c is None else ~np.isnan(c[:, 0])
        weights = weight[:, None] if c is None else np.where(known[:, None], c, 0.0) * weight[:, None]
        self._fit_codes(self._encode_part(X, None), weights, weight, known, rng)

    def _fit_codes(
        self, codes: np.ndarray, weights: np.ndarray, weight: np.ndarray, known: np.ndarray, rng: np.random.Generator
    ) -> None:
        """The density of the codes of each class, and how widely the codes of a row may lie."""
        n, q = codes.shape
        container = as_table(codes, type(self).__name__)[1]
        columns = Columns(list(range(q)), ["continuous"] * q, [None] * q, np.arange(q), container, [codes.dtype] * q)
        columns.measure(codes, weight)
        Z, _ = columns.encode(codes, measured=True)
        self._codes = self._template(n // weights.shape[1]).as_component(columns, role="code_density")
        if known.all():
            self._codes._fit_classes(Z, weights, rng)
            self._code_share = weights.sum(axis=0) / weights.sum()
        else:
            self._code_share = self._codes._fit_partly_labelled(Z, weights, weight, known, rng)
        # the posterior of a row's code, were it normal and alike for all rows: precision of the likelihood + of the codes
        some = self._tensor(codes[:: max(1, n // _LOOKED_AT)])
        sharp = self._network.sharpness(some, _DRAWS, torch.Generator().manual_seed(int(rng.integers(2**62)))).cpu().numpy()
        precision = sharp.astype(float) + np.diag(1 / np.maximum(columns.scale, 1e-6) ** 2)
        self._root = np.linalg.cholesky(np.linalg.inv((precision + precision.T) / 2))

    def _template(self, n: int) -> GenerativeModel:
        given = self.code_density
        if given is None:
            return registry.make("gaussian_mixture", n_components=int(np.clip(n // 20, 1, 10)))
        model = registry.make(given) if isinstance(given, str) else given
        if not isinstance(model, GenerativeModel) or "continuous" not in model.kinds:
            raise ValueError(f"code_density={given!r} must be a model of continuous columns, or the registry name of one.")
        return model

    def _n_parameters(self) -> int:
        own = [*self._network.decoder.parameters(), *self._network.outputs.parameters()]
        return sum(p.numel() for p in own) + sum(density._n_parameters() for density in self._codes.densities_)

    # ---- log p(x) and draws

    def _check_codes(self) -> None:
        if "_codes" not in vars(self):
            raise ValueError(f"The density of the codes of {type(self).__name__} is fitted when training is over: ask then.")

    def _draw_codes_of(self, k: int, n: int, rng: np.random.Generator) -> np.ndarray:
        return self._codes._sample_class(k, n, rng) * self._codes.columns_.scale + self._codes.columns_.loc

    def _log_prob_codes(self, z: np.ndarray) -> np.ndarray:
        """log p(z | y) of codes (m, q), (m, K)."""
        columns = self._codes.columns_
        return self._codes._log_prob_classes((z - columns.loc) / columns.scale) - np.log(columns.scale).sum()

    def _sample_class(self, k: int, n: int, rng: np.random.Generator) -> np.ndarray:
        if "_network" not in vars(self):
            return super()._sample_class(k, n, rng)
        self._check_codes()
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        out = []
        with torch.inference_mode():
            for start in range(0, n, 4096):
                z = self._tensor(self._draw_codes_of(k, min(4096, n - start), rng))
                drawn = self._network.outputs.conditionals.sample(self._network.decode(z), generator)
                out.append(drawn.cpu().numpy().astype(float))
        return np.concatenate(out) if out else np.empty((0, len(self.columns_)))

    def _log_prob_classes(self, X: np.ndarray) -> np.ndarray:
        if "_network" not in vars(self):
            return super()._log_prob_classes(X)
        self._check_codes()
        S, q = self.n_samples_score, self.n_components
        noise = fixed_noise(S, q)[0]
        anywhere = self._fixed_codes(S // 4)
        local = noise[: S - len(anywhere)] @ self._root.T
        width = np.array(_WIDTHS)[np.arange(len(local)) % len(_WIDTHS)]
        local = local * width[:, None]
        step = self._rows_at_once(S)
        out = np.empty((len(X), len(self._code_share)))
        for start in range(0, len(X), step):
            at = slice(start, start + step)
            out[at] = self._estimate(X[at], local, width, anywhere)
        return out

    def _fixed_codes(self, n: int) -> np.ndarray:
        """The same draws from the density of codes, whatever the class, for all rows."""
        rng = np.random.default_rng(0)
        which = rng.choice(len(self._code_share), n, p=self._code_share)
        out = np.empty((n, self.n_components))
        for k in np.unique(which):
            out[which == k] = self._draw_codes_of(int(k), int((which == k).sum()), rng)
        return out

    def _estimate(self, X: np.ndarray, local: np.ndarray, width: np.ndarray, anywhere: np.ndarray) -> np.ndarray:
        """log 1/S sum_s p(x | z_s) p(z_s | y) / r(z_s), (n, K); r is the mixture of all that the z_s are drawn from."""
        n, q = len(X), self.n_components
        S = len(local) + len(anywhere)
        with torch.inference_mode():
            x = self._tensor(X)
            code = self._network.encode(x).cpu().numpy().astype(float)
            away = np.concatenate(
                [np.broadcast_to(local, (n, *local.shape)), anywhere - code[:, None]], axis=1
            )  # from a row's own code
            z = (code[:, None] + away).reshape(-1, q)
            log_px = self._network.outputs.log_prob(x, self._network.decode(self._tensor(z))).cpu().numpy().astype(float)
        log_pz = self._log_prob_codes(z).reshape(n, S, -1)
        square = np.square(away @ np.linalg.inv(self._root).T).sum(axis=2)
        log_unit = -0.5 * q * math.log(2 * math.pi) - np.log(np.diag(self._root)).sum()
        with np.errstate(divide="ignore"):
            shares = [np.log((width == w).sum() / S) + log_unit - q * np.log(w) - 0.5 * square / w**2 for w in _WIDTHS]
            shares.append(np.log(len(anywhere) / S) + np.logaddexp.reduce(log_pz + np.log(self._code_share), axis=2))
        log_r = np.logaddexp.reduce(shares)
        return np.logaddexp.reduce(log_px[:, :, None] + log_pz - log_r[:, :, None], axis=1) - math.log(S)

    def _sample_missing_class(self, k: int, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self._sample_missing(X, rng)  # which says that there is no answer

    def _log_prob_coded(self, coded: np.ndarray) -> np.ndarray:
        for part in (self._fitted, *self._fitted.densities_):
            part.n_samples_score = self.n_samples_score
        return super()._log_prob_coded(coded)

    # ---- what a user asks

    def denoise(self, X: Any) -> Any:
        """Rows as they would be without the noise: :meth:`reconstruct` of what the encoder makes of noisy rows.

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)

        Returns
        -------
        array or table of n rows, as :meth:`inverse_transform` gives them
        """
        return self.reconstruct(X)
