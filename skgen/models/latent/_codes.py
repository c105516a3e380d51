"""What autoencoders share: their networks as replaceable parts, codes of rows and rows of codes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted
from torch import Tensor, nn

from skgen import bayes
from skgen.containers import with_index_of
from skgen.models.latent._network import ConvDecoder, ConvEncoder, Outputs, layer_table, perceptron
from skgen.neural import NeuralModel
from skgen.parameters import Interval
from skgen.tables import Columns

__all__ = ["CodeModel"]


_CELLS = 2**21  # numbers in the largest tensor of a pass


class CodeModel(ClassNamePrefixFeaturesOutMixin, TransformerMixin, NeuralModel):
    """Rows to codes and back by two networks.

    ``_encoder`` and ``_decoder`` make them; another architecture is a subclass that overrides one. A model's module answers
    ``encode(x, c) -> (n, q)`` and ``decode(z, c) -> (n, P)``, and has ``outputs``, an :class:`Outputs`.
    """

    n_components: Annotated[int, Interval(1)] = 8
    hidden_layer_sizes: tuple | list | int = (128, 128)
    activation: Literal["relu", "tanh", "elu", "silu"] = "relu"
    image_shape: tuple | list | None = None
    channels: tuple | list | int | None = (32, 64)
    n_mixture: Annotated[int, Interval(1)] = 1
    scale: Literal["free", "column", "shared"] = "free"
    learning_rate: Annotated[float, Interval(0, open_low=True)] = 1e-3

    kinds = frozenset({"continuous", "integer", "binary", "categorical", "bernoulli"})
    _astray = 1e-3  # see skgen.ops.conditionals.Conditionals

    # ---- the networks

    def _encoder(self, columns: Columns, n_inputs: int, n_outputs: int) -> nn.Module:
        """A module from (n, n_inputs) to (n, n_outputs).

        The inputs are the features of the columns, in their order (a one-hot level, a standardised number), and then the
        class one-hot, if there are classes.
        """
        sizes = self._sizes()
        if self._is_convolutional:
            n_extra = n_inputs - Outputs(columns, 1, "free", 0.0).conditionals.n_features
            shape = tuple(self.image_shape[:2])
            return ConvEncoder(shape, n_inputs, n_extra, self._channels(), [*sizes, n_outputs], self.activation)
        return perceptron([n_inputs, *sizes, n_outputs], self.activation)

    def _decoder(self, columns: Columns, n_inputs: int, n_outputs: int) -> nn.Module:
        """A module from (n, n_inputs), codes and then the class one-hot, to (n, n_outputs), parameters of the columns in their
        order, which count from the columns' marginals."""
        sizes = self._sizes()[::-1]
        if self._is_convolutional:
            return ConvDecoder(tuple(self.image_shape[:2]), n_outputs, self._channels(), [n_inputs, *sizes], self.activation)
        return perceptron([n_inputs, *sizes, n_outputs], self.activation)

    def _outputs(self, columns: Columns) -> Outputs:
        return Outputs(columns, self.n_mixture, self.scale, self._astray)

    @property
    def _is_convolutional(self) -> bool:
        return self.image_shape is not None and self.channels is not None

    def _sizes(self) -> tuple[int, ...]:
        return self._widths("hidden_layer_sizes", least=0)

    def _channels(self) -> tuple[int, ...]:
        return self._widths("channels")

    def _rows_at_once(self, n_draws: int) -> int:
        """Rows that are scored together, each with so many codes: a power of two, so that rows are grouped alike however many
        come."""
        widest = max(self._network.outputs.conditionals.n_parameters, *self._sizes(), self.n_components)
        if self._is_convolutional:
            widest = max(widest, max(self._channels()) * int(np.prod(self.image_shape[:2])))
        return 2 ** int(np.log2(np.clip(_CELLS // (n_draws * widest), 1, 2048)))

    # ---- codes

    @property
    def _n_features_out(self) -> int:
        return sum(density.n_components for density in self._fitted.densities_)

    def _encode_part(self, Z: np.ndarray, c: Tensor | None) -> np.ndarray:
        """Codes of rows as the network sees them, for one network."""
        with torch.inference_mode():
            x = self._tensor(Z)
            return self._network.encode(x, None if c is None else c.to(x)).cpu().numpy().astype(float)

    def _coded_rows(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Rows coded, and as the network sees them."""
        check_is_fitted(self, "columns_")
        table, _ = self._table(X, reset=False, may_miss=self.missing != "none")
        coded, outside = self.columns_.encode(table)
        if outside is not None and self.missing == "none":
            raise ValueError(
                f"Row {int(np.argmax(outside))} of X has a cell outside what was seen in fit, and {type(self).__name__} cannot "
                "leave a cell out: drop the row or declare the level in fit."
            )
        return coded, self._coding.encode(coded)[0]

    def transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Codes of rows.

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
        y : label or array of shape (n,), optional
            Classes, where the encoder depends on them; without, codes are averaged over p(y | x), which takes as long as
            ``predict_proba``: give y, or lower ``n_samples_score``.

        Returns
        -------
        array of shape (n, n_components)
            With ``class_conditional="separate"`` the codes of each class's network stand side by side.
        """
        coded, Z = self._coded_rows(X)
        densities = self._fitted.densities_
        if len(densities) > 1:
            return np.concatenate([density._encode_part(Z, None) for density in densities], axis=1)
        one = densities[0]
        self._check_classes(y, len(Z))
        if not one._is_conditional:
            return one._encode_part(Z, None)
        K = len(self.classes_)
        if y is not None:
            return one._encode_part(Z, torch.eye(K)[torch.from_numpy(self._codes_given(y, len(Z)))])
        prior = self.class_log_prior_
        share = np.exp(bayes.log_posterior(self._log_prob_coded(coded) + prior, prior))
        return sum(share[:, k : k + 1] * one._encode_part(Z, torch.eye(K)[[k] * len(Z)]) for k in range(K))

    def inverse_transform(self, Z: Any, y: Any = None) -> Any:
        """Decode: the mean of x given codes.

        Parameters
        ----------
        Z : array-like of shape (n, n_components)
        y : label or array of shape (n,), optional
            Classes, needed where the decoder depends on them.

        Returns
        -------
        array or table of n rows
            In data units. If ``fit`` was given an array of numbers, an array of means: p(1) for a 0/1 column; the most
            probable level of a categorical one. Else a table like the one given to ``fit``.

        Raises
        ------
        ValueError
            If a network of each class has a code of its own, or y is needed.
        """
        check_is_fitted(self, "columns_")
        densities = self._fitted.densities_
        if len(densities) > 1:
            raise ValueError(f"{type(self).__name__} has codes of its own for each class: use class_conditional='shared'.")
        one = densities[0]
        Z = check_array(Z, dtype=float, ensure_min_samples=0)
        if Z.shape[1] != one.n_components:
            raise ValueError(f"Z has {Z.shape[1]} columns, but n_components={one.n_components}: give what transform gives.")
        self._check_classes(y, len(Z))
        c = None
        if one._is_conditional:
            if y is None:
                raise ValueError("The decoder depends on the class: give y=, one label or one a row, or fit with task='density'.")
            c = torch.eye(len(self.classes_))[torch.from_numpy(self._codes_given(y, len(Z)))]
        return self._table_of_means(one._decode_part(Z, c))

    def _check_classes(self, y: Any, n: int) -> None:
        """Labels that are given must be those of fit, even where the networks do not see them."""
        if y is not None and "classes_" in vars(self):
            self._codes_given(y, n)

    def _decode_part(self, Z: np.ndarray, c: Tensor | None) -> np.ndarray:
        """Means of coded cells given codes, for one network."""
        if not len(Z):
            return np.empty((0, len(self.columns_)))
        with torch.inference_mode():
            z = self._tensor(Z)
            network = self._network
            parameters = network.decode(z, None if c is None else c.to(z))
            return network.outputs.conditionals.mean(parameters).cpu().numpy().astype(float)

    def _table_of_means(self, means: np.ndarray) -> Any:
        columns = self.columns_
        numeric = columns.container.kind == "array" and columns.container.dtype.kind in "fiub"
        out = means * columns.scale + columns.loc
        for j, levels in enumerate(columns.levels):
            if levels is None:
                continue
            if numeric and columns.kinds[j] == "binary":
                low, high = (float(level) for level in levels)
                out[:, j] = low + means[:, j] * (high - low)
            else:
                means[:, j] = np.round(means[:, j])
                out[:, j] = levels.to_numpy()[means[:, j].astype(int)] if numeric else 0
        if not numeric:
            return columns.decode(means)
        return out.astype(columns.container.dtype) if columns.container.dtype.kind == "f" else out

    def reconstruct(self, X: Any, y: Any = None) -> Any:
        """Rows after encoding and decoding, as :meth:`inverse_transform` gives them.

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
        y : label or array of shape (n,), optional
            Classes; if the networks depend on them and none are given, the predicted ones.
        """
        check_is_fitted(self, "columns_")
        if y is None and len(self._fitted.densities_) == 1 and self._fitted.densities_[0]._is_conditional:
            y = self.predict(X)
        return with_index_of(X, self.inverse_transform(self.transform(X, y), y))

    @property
    def _is_conditional(self) -> bool:
        """Whether the networks are shown the class."""
        return self._n_classes > 0

    # ---- what it is made of

    def summary(self) -> pd.DataFrame:
        """Layers and parameters.

        Returns
        -------
        data frame
            A line a layer: "layer" (its place in the network), "kind", "shape" of its weights, and the number of "parameters".
            With a network for each class, that of the first.
        """
        check_is_fitted(self, "columns_")
        return pd.DataFrame(layer_table(self._fitted.densities_[0]._network))
