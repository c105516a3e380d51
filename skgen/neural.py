"""NeuralModel: a torch module with log_prob and sample becomes an estimator; training parameters are declared here, once."""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import nn

from skgen.base import GenerativeModel
from skgen.labels import read_labels, weights_by_class
from skgen.learn.gradient import Rows, Settings, Trained, train
from skgen.learn.labelled import labelled_loss, one_hot, shares, to_rows
from skgen.learn.progress import CallbackSupportMixin, Monitor, with_callbacks
from skgen.parameters import Interval
from skgen.tables import Columns

__all__ = ["NeuralModel"]

_LEAST_HELD_OUT = 3  # rows below which nothing is held out
_HELD_OUT = 20  # rows to stop by, if they are no more than a quarter: with fewer it is chance that tells when to stop
_EPOCHS_OF_A_STEP = 3  # of an EM around the network
_SCORED = 4096  # rows a pass of the module, at most
#: torch's default generator is one for the process: without the lock, fits in threads would share its numbers.
_BUILDING = threading.Lock()


class NeuralModel(CallbackSupportMixin, GenerativeModel):
    r"""Base of models that are trained by gradients.

    A subclass writes ``_module(columns, n_classes)``: an ``nn.Module`` with ``log_prob(x, c) -> (n,)`` and
    ``sample(n, c, generator) -> (n, d)``, where ``c`` is (n, K) one-hot, or None without classes. If training differs from
    maximum likelihood, also ``loss(x, c, generator, progress) -> (n,)``; to start near the data, ``initialise(x, weight, c)``.
    With ``stacks_classes = True`` on the module, whose log p of a row then may not depend on the others, a row is scored for all
    classes in one call.
    One conditional network is shared by all classes, and a row without a label has the loss -log sum_y p(x, y).

    Parameters
    ----------
    max_epochs : int
        Most passes over the rows.
    batch_size : int or "auto"
        "auto": about a fortieth of the rows, between 16 and 256.
    learning_rate : float
    optimizer : {"adam", "adamw", "sgd", "rmsprop", "lbfgs"}
        "lbfgs" takes all rows at once, and finds its steps by a line search: ``learning_rate`` and ``batch_size`` are not read.
    weight_decay : float or "auto"
        Added to a row's loss: half of it times the sum of the squared weights ("adamw" shrinks the weights instead, apart from
        the gradient). "auto": a Gaussian prior of fixed width on each weight, and so one over the number of rows.
    gradient_clip : float or None
        Largest norm of a step's gradient.
    averaging : float
        The weights that are watched and kept are a running mean over so many epochs; 0: those of the last step.
    early_stopping : bool
        Hold out ``validation_fraction`` of the rows (of each class), stop when their log-likelihood no longer rises, and
        keep the weights that were best. False: all rows are trained on, and watched.
    validation_fraction : float
        Of a small table more: 20 rows, or a quarter of fewer than 80.
    n_iter_no_change : int
        Epochs without a gain of ``tol`` (nats a row) before the rate is cut to a tenth, from the best weights; and, after
        that, before training ends.
    tol : float
    class_conditional : {"shared", "separate"}
        One network for all classes, or one each.
    precision : {"float32", "float64", "bfloat16"}
        Of training. Scores are computed in float64 where the device has it.
    device : str
        "auto" is a GPU if there is one.
    checkpoint : None or path
        A file that is kept up to date while training. If the process dies, the same call goes on from it bit for bit.
    warm_start : bool
        ``fit`` goes on from the weights of the last ``fit``.
    verbose : int
        Every so many epochs a line.

    Attributes
    ----------
    history_ : dict of arrays
        "epoch", "train_loss" and "valid_loss" (nats a row, in coded units), "learning_rate", "seconds".
    n_iter_ : int
        Epochs.
    """

    # Defaults were chosen by the log-likelihood of the valid rows of adult, dna, mushrooms and nips (400 to 5,000 binary
    # rows) with fvsbn, nade and made, and by that of held-out folds of iris, wine, breast_cancer and penguins. Cutting the rate
    # once from the best weights made a running mean of the weights superfluous, so averaging is 0: it pays where time, and
    # not patience, ends a fit. Weight decay that goes with one over the rows gained 0.1 to 0.5 nats on adult and dna.
    # Rates: a larger one is better on breast_cancer (by 2 nats), a smaller one on nips and dna (by 1): 0.005 and 0.002 lie between.
    max_epochs: Annotated[int, Interval(1)] = 500
    batch_size: Annotated[int, Interval(1)] | Literal["auto"] = "auto"
    learning_rate: Annotated[float, Interval(0, open_low=True)] = 1e-3
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop", "lbfgs"] = "adam"
    weight_decay: Annotated[float, Interval(0)] | Literal["auto"] = 0.0
    gradient_clip: Annotated[float, Interval(0, open_low=True)] | None = 10.0
    averaging: Annotated[float, Interval(0)] = 0.0
    early_stopping: bool = True
    validation_fraction: Annotated[float, Interval(0, 1, open_low=True, open_high=True)] = 0.1
    n_iter_no_change: Annotated[int, Interval(1)] = 10
    tol: Annotated[float, Interval(0)] = 1e-4
    class_conditional: Literal["shared", "separate"] = "shared"
    precision: Literal["float32", "float64", "bfloat16"] = "float32"
    device: str = "auto"
    checkpoint: Any = None
    warm_start: bool = False
    verbose: Annotated[int, Interval(0)] | bool = 0

    kinds = frozenset({"continuous", "integer", "binary", "categorical"})
    streams = True
    _prior_precision = 1.0  # of weight_decay="auto"
    known_gaps = MappingProxyType(
        {"check_sample_weight_equivalence_on_dense_data": "rows held out and mini-batches are drawn: equal in distribution"}
    )

    def _module(self, columns: Columns, n_classes: int) -> nn.Module:
        """The network for these columns; ``n_classes`` is 0 without classes. Constant tensors come from torch.from_numpy."""
        raise NotImplementedError(f"{type(self).__name__} must define _module(columns, n_classes).")

    def _widths(self, name: str, least: int = 1) -> tuple[int, ...]:
        """A parameter of layer widths as a tuple, at least so many layers; one int is one layer."""
        given = getattr(self, name)
        sizes = tuple(given) if isinstance(given, (tuple, list)) else (given,)
        if len(sizes) < least or any(isinstance(s, bool) or not isinstance(s, (int, np.integer)) or s < 1 for s in sizes):
            raise ValueError(f"{name}={given!r} of {type(self).__name__} must be positive ints, one a layer.")
        return tuple(int(s) for s in sizes)

    # ---- fit, as the user calls it

    @with_callbacks
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, *, X_val: Any = None, y_val: Any = None) -> NeuralModel:
        """Learn p(x), or p(x|y) p(y), by gradient steps.

        Parameters
        ----------
        X, y, sample_weight
            As in every model.
        X_val : array-like or data frame of shape (m, d), optional
            Rows to stop by, instead of a part of X.
        y_val : array-like of shape (m,), optional
            Their labels, if y is given.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Naming the parameter, column or class at fault; ``TrainingDiverged`` if the loss stays no number.
        KeyboardInterrupt
            Passed on. An earlier fit stays whole; a first one keeps the best weights so far.
        """
        self._validate_parameters()
        if X_val is None and y_val is not None:
            raise ValueError("y_val is given without X_val: give the rows that it labels.")
        trial = _Trial(self, X, None if self.task == "density" else y, sample_weight, X_val, y_val)
        before = dict(vars(self))
        self._trial = trial
        try:
            super().fit(X, y, sample_weight)
            if trial.interrupted and "columns_" in before:
                vars(self).clear()
                vars(self).update(before)
        finally:
            vars(self).pop("_trial", None)
        if trial.interrupted:
            raise KeyboardInterrupt
        trial.monitor.end()
        return self

    def _first_rows(self, *args: Any, **kwargs: Any) -> tuple[np.ndarray, np.ndarray, Any]:
        out = super()._first_rows(*args, **kwargs)
        if "_trial" in vars(self):
            self._trial.begin(self)
            self._fitted._trial = self._trial
        return out

    def _resume(self) -> None:
        self._batches = 1  # weights are all that has to be there
        if "classes_" in vars(self):
            self._learnt = np.ones(len(self.classes_), dtype=bool)

    # ---- fit, as the base calls it

    @property
    def _is_shared(self) -> bool:
        return self.class_conditional == "shared"

    _knows_all_classes = _is_shared

    def _fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        self._train(X, None, weight, rng)

    def _update(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        self._train(X, None, weight, rng, start=self._weights, max_epochs=_EPOCHS_OF_A_STEP)

    def _fit_classes(self, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
        trial = vars(self).pop("_trial", None)
        if weights.shape[1] == 1:
            self._train(X, None, weights[:, 0], rng, trial=trial)
        elif self._is_shared:
            self._train(X, *shares(weights), rng, trial=trial)
        elif trial is None or (self.n_jobs not in (None, 1) and self.checkpoint is None):
            super()._fit_classes(X, weights, rng)
            self.n_iter_ = max(density.n_iter_ for density in self.densities_)
        else:
            self.densities_ = []
            for k, (w, stream) in enumerate(zip(weights.T, rng.spawn(weights.shape[1]), strict=True)):
                density, keep = self.part(self.columns_), w > 0
                density._train(X[keep], None, w[keep], stream, trial=trial.of_class(k))
                self.densities_ = [*self.densities_, density]
            self.n_iter_ = max(density.n_iter_ for density in self.densities_)

    def _update_classes(self, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
        if "_weights" not in vars(self):
            super()._update_classes(X, weights, rng)
            return
        c, total = (None, weights[:, 0]) if self._n_classes == 0 else shares(weights)
        self._train(X, c, total, rng, start=self._weights, max_epochs=_EPOCHS_OF_A_STEP)

    def _fit_partly_labelled(
        self, X: np.ndarray, weights: np.ndarray, weight: np.ndarray, known: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        if not self._is_shared or weights.shape[1] == 1:
            vars(self).pop("_trial", None)
            return super()._fit_partly_labelled(X, weights, weight, known, rng)
        share = weights.sum(axis=0) / weights.sum()
        c = np.where(known[:, None], weights > 0, np.nan)
        self._train(X, c, weight, rng, trial=vars(self).pop("_trial", None), share=share)
        return share

    def _train(
        self,
        X: np.ndarray,
        c: np.ndarray | None,
        weight: np.ndarray,
        rng: np.random.Generator,
        *,
        trial: _Trial | None = None,
        start: dict | None = None,
        share: np.ndarray | None = None,
        max_epochs: int | None = None,
        keep_best: bool = True,
    ) -> None:
        """Weights from rows (n, d), p(class | row) (n, K), NaN where unknown, or None, and row weights."""
        K = 0 if c is None else c.shape[1]
        if c is not None and share is None:
            share = (weight @ c) / weight.sum()
        seed = int(rng.integers(2**62))
        settings = self._settings(len(X), max_epochs)
        if trial is None:
            settings.checkpoint = None  # a part of another model, of which there are several
        else:
            start = trial.start(len(self.columns_), K)
            if settings.checkpoint is not None and trial.class_code is not None:
                settings.checkpoint = settings.checkpoint.with_name(f"{settings.checkpoint.name}.{trial.class_code}")
        given = None if trial is None else trial.held_out
        if given is not None:
            rows, held_out = to_rows(X, c, weight), to_rows(given[0], None if c is None else given[1], np.ones(len(given[0])))
        elif keep_best and self.early_stopping:
            rows, held_out = self._split(X, c, weight, rng)
        else:
            rows, held_out = to_rows(X, c, weight), None
        trained = self._learn(
            self._build(K, seed, rows, start),
            share,
            rows,
            held_out,
            settings,
            seed,
            monitor=None if trial is None else trial.monitor,
            optimizer_state=copy.deepcopy(vars(self).get("_moments")),  # torch steps in place; what was learnt before stays
            keep_best=keep_best,
            tell=max_epochs is None,
        )
        if trained.interrupted:
            if trial is None or trial.class_code is not None:  # there is no whole model to keep
                raise KeyboardInterrupt
            trial.interrupted = True
        self._n_classes, self.n_iter_, self._moments = K, trained.n_epochs, trained.optimizer
        before = [] if keep_best else vars(self).get("_lines", [])
        self._lines = [*before, *({**line, "epoch": len(before) + line["epoch"]} for line in trained.history)]
        self._set_weights(trained.state)

    def _learn(
        self, module: nn.Module, share: Any, rows: Rows, held_out: Rows | None, settings: Settings, seed: int, **how: Any
    ) -> Trained:
        """Weights by minimising the loss of the rows; a model with another way of learning overrides this."""
        return train(module, labelled_loss(share), rows, held_out, settings, seed, **how)

    def _settings(self, n: int, max_epochs: int | None) -> Settings:
        size = (
            int(np.clip(2 ** np.floor(np.log2(max(n, 1) / 40 + 1e-9)), 16, 256)) if self.batch_size == "auto" else self.batch_size
        )
        decay = self._prior_precision / max(n, 1) if self.weight_decay == "auto" else self.weight_decay
        same = ("learning_rate", "optimizer", "gradient_clip", "averaging", "n_iter_no_change", "tol", "precision")
        return Settings(
            max_epochs=max_epochs or self.max_epochs,
            batch_size=size,
            weight_decay=decay,
            device=self._device(),
            checkpoint=None if self.checkpoint is None or max_epochs else self._checkpoint_path(),
            **{name: getattr(self, name) for name in same},
        )

    def _checkpoint_path(self) -> Path:
        if self.optimizer == "lbfgs":
            raise ValueError("checkpoint cannot keep the state of optimizer='lbfgs': use 'adam', or no checkpoint.")
        try:
            path = Path(self.checkpoint)
        except TypeError:
            raise ValueError(f"checkpoint={self.checkpoint!r} must be None or the path of a file.") from None
        if path.is_dir():
            raise ValueError(f"checkpoint={str(path)!r} is a folder: name a file in it.")
        return path

    def _device(self) -> str:
        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        if why := _absence(self.device):
            raise ValueError(f"device={self.device!r} is not there ({why}): use 'auto', 'cpu' or another name of torch's.")
        return self.device

    def _split(self, X: np.ndarray, c: Any, weight: np.ndarray, rng: np.random.Generator) -> tuple[Rows, Rows | None]:
        """Rows to train on and rows to stop by: a share of each class, and of the rows without one."""
        label = np.zeros(len(X), dtype=int) if c is None else np.where(np.isnan(c[:, 0]), -1, c.argmax(axis=1))
        order = rng.permutation(len(X))
        order = order[np.argsort(label[order], kind="stable")]
        _, start, count = np.unique(label[order], return_index=True, return_counts=True)
        share = (count * max(self.validation_fraction, min(_HELD_OUT, len(X) / 4) / len(X))).astype(int)
        held = np.concatenate([order[a : a + m] for a, m in zip(start, share, strict=True)])
        if len(held) < _LEAST_HELD_OUT:
            return to_rows(X, c, weight), None
        kept = np.ones(len(X), dtype=bool)
        kept[held] = False
        held.sort()
        kept_c, held_c = (None, None) if c is None else (c[kept], c[held])
        return to_rows(X[kept], kept_c, weight[kept]), to_rows(X[held], held_c, weight[held])

    def _build(self, n_classes: int, seed: int, rows: Rows | None = None, start: dict | None = None) -> nn.Module:
        """A new module whose random weights are a function of ``seed``; the caller's generators are left alone."""
        return _to_the_end(self._built, n_classes, seed, rows, start)

    def _built(self, n_classes: int, seed: int, rows: Rows | None, start: dict | None) -> nn.Module:
        with _BUILDING, torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the devices too
            module = self._module(self.columns_, n_classes)
            if start is None and rows is not None and hasattr(module, "initialise"):
                with torch.no_grad():
                    module.initialise(rows.x, rows.w, rows.c)
        if start is not None:
            own = {name: tuple(value.shape) for name, value in module.state_dict().items()}
            if own != {name: np.shape(value) for name, value in start.items()}:
                raise ValueError(
                    f"{type(self).__name__} cannot go on from weights of other shapes, of a network for other columns or "
                    "parameters: clone the estimator, or set warm_start=False."
                )
            module.load_state_dict({name: torch.as_tensor(value) for name, value in start.items()})
        return module

    # ---- batch by batch

    def _partial_fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        self._train(X, None, weight, rng, start=vars(self).get("_weights"), keep_best=False, max_epochs=1)

    def _partial_fit_classes(self, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
        one = weights.shape[1] == 1 and "_densities" not in vars(self)
        if not one and not self._is_shared:
            super()._partial_fit_classes(X, weights, rng)
            return
        c, total = (None, weights[:, 0]) if one else shares(weights)
        self._train(X, c, total, rng, start=vars(self).get("_weights"), keep_best=False, max_epochs=1)

    def _add_class(self, k: int) -> None:
        if self._is_shared:
            raise ValueError(
                "A class cannot be added to a network that all classes share: name all classes in the first partial_fit, or use "
                "class_conditional='separate'."
            )
        if "_weights" in vars(self):  # of the one class so far
            first = copy.copy(self)
            for name in ("_weights", "_network", "_lines", "_moments", "_n_classes", "n_iter_"):
                vars(self).pop(name, None)
            self.densities_ = [first]
        super()._add_class(k)

    # ---- weights, and the module that scores

    def _set_weights(self, state: dict[str, torch.Tensor]) -> None:
        self._weights = {name: value.detach().cpu().numpy().copy() for name, value in state.items()}
        self._awake()

    def _awake(self) -> None:
        """The module that answers: in float64 where the device has it, built without drawing a number."""
        device = self._device() if self.device == "auto" else "cpu" if _absence(self.device) else self.device
        try:
            module = _to_the_end(self._on_meta)
            module.load_state_dict({name: torch.as_tensor(value) for name, value in self._weights.items()}, assign=True)
            hollow = any(tensor.is_meta for tensor in chain(module.parameters(), module.buffers()))
        except (NotImplementedError, RuntimeError):  # another library's module may look at its constants, which "meta" has none of
            hollow = True
        if hollow:  # a constant was not made by torch.from_numpy
            module = self._build(self._n_classes, 0, start=self._weights)
        dtype = torch.float32 if torch.device(device).type == "mps" else torch.float64
        self._network = module.to(device=device, dtype=dtype).eval().requires_grad_(False)

    def _on_meta(self) -> nn.Module:
        with torch.device("meta"):
            return self._module(self.columns_, self._n_classes)

    def __getstate__(self) -> dict:
        state = dict(super().__getstate__())
        for name in ("_network", "_moments", "_trial"):
            state.pop(name, None)
        return state

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        if "_weights" in vars(self):
            self._awake()

    def _tensor(self, X: np.ndarray) -> torch.Tensor:
        weight = next(self._network.parameters())
        return torch.as_tensor(np.ascontiguousarray(X)).to(device=weight.device, dtype=weight.dtype)

    def _class(self, x: torch.Tensor, k: int) -> torch.Tensor | None:
        """One-hot labels of rows of class k, None without classes."""
        return None if self._n_classes == 0 else one_hot(x, k, self._n_classes)

    # ---- log p and draws

    def _log_prob(self, X: np.ndarray) -> np.ndarray:
        return self._log_prob_classes(X)[:, 0]

    def _log_prob_classes(self, X: np.ndarray) -> np.ndarray:
        if "_network" not in vars(self):
            return super()._log_prob_classes(X)
        out = np.empty((max(1, self._n_classes), len(X)))
        with torch.inference_mode():
            if len(out) > 1 and getattr(self._network, "stacks_classes", False):
                for at in _chunks(len(X), max(1, _SCORED // len(out))):
                    x = self._tensor(X[at])
                    c = torch.cat([self._class(x, k) for k in range(len(out))])
                    out[:, at] = self._network.log_prob(x.repeat(len(out), 1), c).view(len(out), -1).cpu().numpy()
                return out.T
            for at in _chunks(len(X)):
                x = self._tensor(X[at])
                for k in range(len(out)):
                    out[k, at] = self._network.log_prob(x, self._class(x, k)).cpu().numpy()
        return out.T

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self._sample_class(0, n, rng)

    def _sample_class(self, k: int, n: int, rng: np.random.Generator) -> np.ndarray:
        if "_network" not in vars(self):
            return super()._sample_class(k, n, rng)
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        drawn = []
        with torch.inference_mode():
            for at in _chunks(n):
                like = self._tensor(np.empty((at.stop - at.start, 0)))
                drawn.append(self._network.sample(len(like), self._class(like, k), generator).cpu().numpy().astype(float))
        return np.concatenate(drawn) if drawn else np.empty((0, len(self.columns_)))

    def _missing_moments_class(self, k: int, X: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        return None if "_network" in vars(self) else super()._missing_moments_class(k, X)

    @property
    def densities_(self) -> list:
        """One a class; one in all where a network is shared."""
        state = vars(self)
        if "_fitted" in state:
            return state["_fitted"].densities_
        return [self] if "_weights" in state else state.get("_densities", [])

    @densities_.setter
    def densities_(self, densities: list) -> None:
        self._densities = densities

    # ---- what a user reads

    @property
    def history_(self) -> dict[str, np.ndarray]:
        """A line an epoch: losses (nats a row, in coded units), rate and seconds."""
        trained = self.densities_
        if len(trained) != 1:
            raise AttributeError("history_ is one a class: read densities_[k].history_." if trained else "Call fit first.")
        lines = trained[0]._lines
        return {name: np.array([line.get(name, np.nan) for line in lines]) for name in (lines[0] if lines else ())}

    def _n_parameters(self) -> int:
        free = getattr(self._network, "n_free", None)
        return int(free()) if free is not None else sum(p.numel() for p in self._network.parameters())


class _Trial:
    """What one call of ``fit`` brings along: rows to stop by, weights to start from, and who is told of each epoch."""

    def __init__(self, model: NeuralModel, X: Any, y: Any, sample_weight: Any, X_val: Any, y_val: Any):
        self.X_val, self.y_val, self.held_out = X_val, y_val, None
        self.interrupted, self.class_code = False, None
        self._last = vars(model).get("_fitted") if model.warm_start else None
        most = model.max_epochs if model._is_shared or y is None else None
        snapshot = functools.partial(_snapshot, model)
        self.monitor = Monitor(model, snapshot, int(model.verbose), most, X, y, sample_weight)

    def start(self, n_columns: int, n_classes: int) -> dict | None:
        """Weights of the last fit, with ``warm_start``."""
        if self._last is None:
            return None
        densities = self._last.densities_
        own = densities[self.class_code or 0] if (self.class_code or 0) < len(densities) else None
        if own is None or (len(densities) > 1) != (self.class_code is not None):
            raise ValueError("warm_start=True goes on from a fit with other classes: clone the estimator, or set warm_start=False.")
        if (len(own.columns_), own._n_classes) != (n_columns, n_classes):
            raise ValueError(
                f"warm_start=True goes on from a fit with {len(own.columns_)} columns and {own._n_classes} classes, and there are "
                f"{n_columns} and {n_classes} now: clone the estimator, or set warm_start=False."
            )
        return own._weights

    def of_class(self, k: int) -> _Trial:
        """For a network of one class."""
        one = copy.copy(self)
        one.class_code = k
        if self.held_out is not None:
            own = self.held_out[1][:, k] > 0
            one.held_out = (self.held_out[0][own], None) if own.any() else None
        return one

    def begin(self, model: NeuralModel) -> None:
        """Code the rows to stop by, once the columns are known."""
        if self.X_val is None:
            return
        table, _ = model._table(self.X_val, reset=False, may_miss=model.missing != "none")
        Z, _ = model._coding.encode(model.columns_.encode(table)[0])
        shares = None
        if "classes_" in vars(model):
            if self.y_val is None:
                raise ValueError("X_val needs y_val, since y is given.")
            if np.shape(self.y_val) != (len(Z),):
                raise ValueError(f"y_val has shape {np.shape(self.y_val)}, but X_val has {len(Z)} rows: give one label a row.")
            found, codes = read_labels(self.y_val, np.ones(len(Z), dtype=bool), None)
            place = np.searchsorted(model.classes_, found).clip(max=len(model.classes_) - 1)
            if (model.classes_[place] != found).any():
                raise ValueError(f"y_val has a label that y has not: y has {model.classes_.tolist()}.")
            shares = weights_by_class(place[codes], np.ones(len(Z)), len(model.classes_))
        self.held_out = Z, shares


def _snapshot(model: NeuralModel, state: dict[str, torch.Tensor], lines: list[dict]) -> dict | None:
    """Attributes of an estimator fitted as far as ``state``; None while its classes are fitted one after another."""
    if not model._is_shared and len(vars(model).get("classes_", (0,))) > 1:
        return None
    part = model._fitted.part(model._fitted.columns_)
    n_classes = len(vars(model).get("classes_", ()))
    part._n_classes = n_classes if n_classes > 1 else 0
    part._lines, part.n_iter_ = lines, len(lines)
    part._set_weights(state)
    return {"_fitted": part}


def _chunks(n: int, size: int = _SCORED) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def _to_the_end(build: Callable, *args: Any) -> Any:
    """build(*args), in a thread of its own if Ctrl-C could reach it here.

    While it runs, torch's default device or its default generator is another. An interrupt as they are put back would leave
    them changed for good; it does not reach other threads, and is raised here when the building is over.
    """
    if threading.current_thread() is not threading.main_thread():
        return build(*args)
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(build, *args).result()


def _absence(device: str) -> str:
    """Why nothing can be computed on a device; empty if something can."""
    try:
        (torch.zeros(1, device=device) + 1).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        return str(error).splitlines()[0].split(". ")[0][:100]
    return ""
