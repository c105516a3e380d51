"""Training by gradients, through skorch: early stopping on held-out rows, restarts, checkpoints; it knows no model."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet
from torch import nn

from skgen.learn.checkpoint import Checkpoint

__all__ = ["Batches", "Rows", "Settings", "Trained", "TrainingDiverged", "copy_state", "seeded", "train"]

_RESTARTS = 3
_MUCH = 0.1  # nats a row that training may lose against the weights before it without a word
_STEP = 0.1  # what a restart and a cut multiply the rate by
_OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "lbfgs": torch.optim.LBFGS,
}


class TrainingDiverged(ValueError):
    """The loss became infinite or NaN, at smaller and smaller rates."""


class _Stop(Exception):
    """Training is over: neither an error nor a user's interrupt (skorch stops early by KeyboardInterrupt)."""


@dataclass
class Rows:
    """Coded rows x (n, d), weights of p(class | row) c (n, K) or None, and row weights w (n,), of mean one."""

    x: torch.Tensor
    c: torch.Tensor | None
    w: torch.Tensor

    def __len__(self) -> int:
        return len(self.x)

    def take(self, at: Any) -> Rows:
        return Rows(self.x[at], None if self.c is None else self.c[at], self.w[at])

    def to(self, device: torch.device, dtype: torch.dtype) -> Rows:
        return Rows(*(None if a is None else a.to(device, dtype) for a in (self.x, self.c, self.w)))


@dataclass
class Settings:
    """How to train; a model's parameters of the same names say what each means."""

    max_epochs: int = 200
    batch_size: int = 128
    learning_rate: float = 1e-3
    optimizer: str = "adam"
    weight_decay: float = 0.0
    gradient_clip: float | None = None
    averaging: float = 0.0
    n_iter_no_change: int = 10
    n_cuts: int = 1
    tol: float = 1e-4
    precision: str = "float32"
    device: str = "cpu"
    checkpoint: Path | None = None


@dataclass
class Trained:
    """What training found: the best weights, a line an epoch, and why it ended."""

    state: dict[str, torch.Tensor]
    history: list[dict] = field(default_factory=list)
    n_epochs: int = 0
    interrupted: bool = False
    converged: bool = True
    optimizer: dict | None = None


def seeded(*numbers: int) -> torch.Generator:
    """A generator that is a function of these numbers alone."""
    return torch.Generator().manual_seed(
        int(np.random.SeedSequence([n % 2**63 for n in numbers]).generate_state(1, np.uint64)[0] >> 1)
    )


class Batches:
    """Batches of rows. No DataLoader: a slice of a tensor is a hundred times cheaper than collating its rows."""

    def __init__(self, rows: Rows, size: int, seed: int | None):
        self.rows, self.size, self.seed, self.epoch = rows, size, seed, 0

    def __iter__(self) -> Iterator[Rows]:
        n = len(self.rows)
        if self.seed is None:
            for start in range(0, n, self.size):
                yield self.rows.take(slice(start, start + self.size))
            return
        if n <= self.size:
            yield self.rows
            return
        # the order is a function of (seed, epoch): weights, moments and the epoch are all that a resumed run needs
        order = torch.randperm(n, generator=seeded(self.seed, self.epoch)).to(self.rows.x.device)
        whole = n // self.size * self.size
        for at in [*order[:whole].split(self.size), *([order[whole:]] if whole < n else [])]:
            yield self.rows.take(at)


class _Average:
    """A running mean of the weights over the last ``window`` steps: what is watched, kept and returned.

    The noise of the steps averages out in it, as it would at a smaller rate, while training goes on at the larger one
    (Polyak & Juditsky 1992).
    """

    def __init__(self, parameters: Iterable[nn.Parameter], window: float):
        self.parameters, self.window = list(parameters), window
        self.restart()

    def restart(self) -> None:
        self.steps, self.mean = 0, [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def step(self) -> None:
        self.steps += 1
        share = max(1 / max(1.0, self.window), 9 / (9 + self.steps))  # the start is soon forgotten
        for mean, p in zip(self.mean, self.parameters, strict=True):
            mean.lerp_(p, share)

    def swap(self) -> None:
        for mean, p in zip(self.mean, self.parameters, strict=True):
            p.data, mean.data = mean.data, p.data

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The module has the mean for its weights."""
        self.swap()
        try:
            yield
        finally:
            self.swap()


class _Net(NeuralNet):
    """skorch's loop over epochs; batches and losses are ours."""

    average: _Average | None = None

    def __init__(self, module: nn.Module, loss: Callable, seed: int, settings: Settings, **kwargs: Any):
        super().__init__(module, criterion=nn.Identity, **kwargs)
        self.loss, self.seed, self.settings = loss, seed, settings

    @property
    def _default_callbacks(self) -> list:
        return []

    def get_params(self, deep: bool = True, **kwargs: Any) -> dict:
        return {}

    def get_split_datasets(self, X: tuple[Rows, Rows | None], y: Any = None, **_: Any) -> tuple[Rows, Rows | None]:
        return X

    def get_iterator(self, dataset: Rows, training: bool = False) -> Batches:
        size = self.settings.batch_size if training else max(self.settings.batch_size, 1024)
        return Batches(dataset, len(dataset) if self.settings.optimizer == "lbfgs" else size, self.seed if training else None)

    def mean_loss(self, batch: Rows, generator: torch.Generator) -> torch.Tensor:
        progress = self.epoch / max(1, self.settings.max_epochs)
        if self.settings.precision == "bfloat16":
            with torch.autocast(self.settings.device.split(":")[0], dtype=torch.bfloat16):
                each = self.loss(self.module_, batch, generator, progress)
        else:
            each = self.loss(self.module_, batch, generator, progress)
        return (each * batch.w).sum() / batch.w.sum()

    def run_single_epoch(self, iterator: Batches | None, training: bool, prefix: str, step_fn: Any, **_: Any) -> None:
        if iterator is None:
            return
        self.epoch = iterator.epoch = len(self.history)
        # noise in training is a function of (seed, epoch), on held-out rows always the same
        generator = seeded(self.seed, self.epoch, 1) if training else seeded(self.seed, 2)
        self._set_training(training)
        with nullcontext() if training or self.average is None else self.average.shown():
            self.history.record(f"{prefix}_loss", self._pass(iterator, training, generator))

    def _pass(self, iterator: Batches, training: bool, generator: torch.Generator) -> float:
        total, mass = 0.0, 0.0
        for batch in iterator:
            loss = self._step(batch, generator) if training else self._value(batch, generator)
            if training and self.average is not None:
                self.average.step()
            share = float(batch.w.sum())
            total, mass = total + loss * share, mass + share
        return float(total) / mass

    def learnt(self) -> dict[str, torch.Tensor]:
        """A copy of the module's state, with the mean of the weights if they are averaged."""
        with nullcontext() if self.average is None else self.average.shown():
            return copy_state(self.module_)

    @torch.no_grad()
    def _value(self, batch: Rows, generator: torch.Generator) -> torch.Tensor:
        return self.mean_loss(batch, generator)

    def _step(self, batch: Rows, generator: torch.Generator) -> torch.Tensor:
        found: list[torch.Tensor] = []
        state = generator.get_state() if self.settings.optimizer == "lbfgs" else None

        def closure() -> torch.Tensor:
            if state is not None:
                generator.set_state(state)  # a line search compares losses: the noise must be the same
            self.optimizer_.zero_grad()
            loss = self.mean_loss(batch, generator)
            found.append(loss.detach())
            if self.settings.optimizer == "lbfgs" and self.settings.weight_decay:
                loss = loss + 0.5 * self.settings.weight_decay * sum(p.square().sum() for p in self.module_.parameters())
            loss.backward()
            if self.settings.gradient_clip is not None and self.settings.optimizer != "lbfgs":  # a line search needs the true one
                nn.utils.clip_grad_norm_(self.module_.parameters(), self.settings.gradient_clip)
            return loss

        self.optimizer_.step(closure)
        return found[0]


def _optimizer(settings: Settings) -> dict:
    kwargs: dict[str, Any] = {"optimizer": _OPTIMIZERS[settings.optimizer], "lr": settings.learning_rate}
    if settings.optimizer == "lbfgs":
        return {**kwargs, "lr": 1.0, "optimizer__line_search_fn": "strong_wolfe", "optimizer__max_iter": 20}
    kwargs["optimizer__weight_decay"] = settings.weight_decay
    if settings.optimizer == "sgd":
        return {**kwargs, "optimizer__momentum": 0.9}
    if settings.optimizer == "rmsprop":  # torch has no fused one
        return {**kwargs, "optimizer__alpha": 0.9}
    return {**kwargs, "optimizer__fused": True}


def copy_state(module: nn.Module) -> dict[str, torch.Tensor]:
    """A module's state, detached from it."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def train(
    module: nn.Module,
    loss: Callable[[nn.Module, Rows, torch.Generator, float], torch.Tensor],
    rows: Rows,
    held_out: Rows | None,
    settings: Settings,
    seed: int,
    monitor: Any = None,
    optimizer_state: dict | None = None,
    keep_best: bool = True,
    tell: bool = True,
) -> Trained:
    """Minimise the mean loss; keep the weights that are best on held-out rows (on the rows themselves without any).

    After ``n_iter_no_change`` epochs without a gain of ``tol`` the best weights are taken up again at a tenth of the rate,
    ``n_cuts`` times; then training ends. A loss that is no number starts again from the best weights at a tenth of the
    rate, at most three times.

    Parameters
    ----------
    module : nn.Module
        Initialised; changed in place.
    loss : callable
        loss(module, batch, generator, progress) -> (n,), nats a row; progress in [0, 1) for warm-ups. All noise comes from
        the generator.
    rows, held_out : Rows
    settings : Settings
    seed : int
        Order of the batches and noise are functions of it and of the epoch.
    monitor : object, optional
        With ``epoch_begins()`` and ``epoch_ends(line, learnt) -> stop``.
    optimizer_state : dict, optional
        To go on with the moments of an earlier call.
    keep_best : bool
        False: the last weights are the result.
    tell : bool
        Warn if no epoch was better than none; False for a few steps of an outer loop.

    Returns
    -------
    Trained
        With ``interrupted=True`` if a KeyboardInterrupt ended it; the weights are the best up to there.

    Raises
    ------
    TrainingDiverged
        Naming the epoch and the rates that were tried.
    """
    device = torch.device(settings.device)
    dtype = torch.float64 if settings.precision == "float64" else torch.float32
    module.to(device=device, dtype=dtype)
    rows, held_out = rows.to(device, dtype), None if held_out is None else held_out.to(device, dtype)
    net = _Net(
        module, loss, seed, settings, max_epochs=settings.max_epochs, device=settings.device, verbose=0, **_optimizer(settings)
    )
    net.initialize()
    if optimizer_state is not None:
        net.optimizer_.load_state_dict(optimizer_state)
    if settings.averaging and settings.optimizer != "lbfgs" and keep_best:
        net.average = _Average(module.parameters(), settings.averaging * len(rows) / settings.batch_size)
    run = _Run(net, settings, held_out is not None, monitor, keep_best, tell)
    if keep_best:
        run.start(float(_evaluate(net, rows if held_out is None else held_out)))
    if settings.checkpoint is not None:
        run.resume(Checkpoint(settings.checkpoint, (rows, held_out), seed))
    converged = interrupted = False
    try:
        while len(net.history) < settings.max_epochs:
            net.fit_loop((rows, held_out), epochs=1)
            run.after_epoch()
    except _Stop:
        converged = True
    except KeyboardInterrupt:
        interrupted = True
    return run.result(converged, interrupted)


def _evaluate(net: _Net, rows: Rows) -> float:
    net.epoch = 0
    net._set_training(False)
    generator, total, mass = seeded(net.seed, 2), 0.0, 0.0
    for batch in net.get_iterator(rows):
        share = float(batch.w.sum())
        total, mass = total + float(net._value(batch, generator)) * share, mass + share
    return total / mass


class _Run:
    """The state of one training beside the net: the best so far, patience, rate; all that a checkpoint needs."""

    def __init__(self, net: _Net, settings: Settings, held_out: bool, monitor: Any, keep_best: bool, tell: bool):
        self.net, self.settings, self.monitor, self.keep_best, self.tell = net, settings, monitor, keep_best, tell
        self.watched = "valid_loss" if held_out else "train_loss"
        self.best_loss, self.first_loss, self.best = np.inf, np.inf, copy_state(net.module_)
        self.initial = self.best
        self.waited, self.cuts, self.restarts, self.rate = 0, 0, 0, settings.learning_rate
        self.lines: list[dict] = []
        self.tried: list[str] = []
        self.checkpoint: Checkpoint | None = None
        self.began = time.perf_counter()
        if monitor is not None:
            monitor.epoch_begins()

    def start(self, loss: float) -> None:
        """The loss before the first epoch: what training has to beat."""
        if np.isfinite(loss):
            self.first_loss = loss
            if self.watched == "valid_loss":  # of an epoch's own rows the loss is known from before its last steps only
                self.best_loss = loss

    def after_epoch(self) -> None:
        last = self.net.history[-1]
        line = {"epoch": len(self.net.history), "train_loss": last["train_loss"], "learning_rate": self.rate}
        if "valid_loss" in last:
            line["valid_loss"] = last["valid_loss"]
        line["seconds"] = time.perf_counter() - self.began
        self.lines.append(line)
        if not (np.isfinite(line["train_loss"]) and np.isfinite(line[self.watched])):
            self._restart(line)
        elif line[self.watched] < self.best_loss - self.settings.tol or not self.keep_best:
            self.best_loss, self.best, self.waited = line[self.watched], self.net.learnt(), 0
        else:
            if line[self.watched] < self.best_loss:  # too little to go on for, enough to keep
                self.best_loss, self.best = line[self.watched], self.net.learnt()
            self.waited += 1
        if self.monitor is not None:
            stop = self.monitor.epoch_ends(line, self.net.learnt)
            if stop:
                raise _Stop
        if self.waited >= self.settings.n_iter_no_change:
            if self.cuts == self.settings.n_cuts or self.settings.optimizer == "lbfgs":
                raise _Stop
            self.cuts, self.waited = self.cuts + 1, 0
            self._take_up(self.rate * _STEP)
        if self.checkpoint is not None:
            self.checkpoint.write(self)
        if self.monitor is not None and len(self.net.history) < self.settings.max_epochs:
            self.monitor.epoch_begins()

    def _take_up(self, rate: float) -> None:
        """Go on from the best weights at another rate, without the moments of the way from there."""
        self.rate = rate
        self.net.module_.load_state_dict(self.best)
        self.net.optimizer_.state.clear()
        for group in self.net.optimizer_.param_groups:
            group["lr"] = rate
        if self.net.average is not None:
            self.net.average.restart()

    def _restart(self, line: dict) -> None:
        self.tried.append(f"epoch {line['epoch']} at learning_rate={self.rate:g}")
        if self.restarts == _RESTARTS or self.settings.optimizer == "lbfgs":
            raise TrainingDiverged(
                f"The loss became {line['train_loss']} in {', then in '.join(self.tried)}: lower learning_rate, set gradient_clip, "
                "or look for cells far outside their column's scale."
            )
        self.restarts += 1
        self._take_up(self.rate * _STEP)

    def resume(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        checkpoint.read(self)

    def result(self, converged: bool, interrupted: bool) -> Trained:
        if self.tried and not interrupted:
            warnings.warn(
                f"The loss became infinite or NaN in {', then in '.join(self.tried)}; training went on at a tenth of the rate.",
                ConvergenceWarning,
                stacklevel=2,
            )
        held_out = self.watched == "valid_loss"
        failed = (
            self.keep_best and self.lines and (self.best_loss >= self.first_loss if held_out else self.best_loss > self.first_loss)
        )
        if failed:
            self.best = self.initial
            # columns that are independent leave nothing to gain, and a network loses a little; more than that is a wild rate
            least = min((line[self.watched] for line in self.lines if np.isfinite(line[self.watched])), default=np.inf)
            if self.tell and not interrupted and least > self.first_loss + _MUCH:
                warnings.warn(
                    f"{len(self.lines)} epochs at learning_rate={self.settings.learning_rate:g} were no better on "
                    f"{'held-out rows' if held_out else 'the rows'} than none: the weights are those before training. "
                    "Lower learning_rate, or give more rows.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
        if self.checkpoint is not None and not interrupted:
            self.checkpoint.remove()
        return Trained(
            self.best,
            self.lines,
            len(self.lines),
            interrupted,
            converged,
            self.net.optimizer_.state_dict() if not self.keep_best else None,
        )
