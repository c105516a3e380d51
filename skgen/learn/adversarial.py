"""Two players: a generator that makes rows and a discriminator that tells them from real ones, through skorch."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet
from torch import Tensor, nn

from skgen.learn.gradient import Batches, Rows, Settings, Trained, TrainingDiverged, copy_state, seeded

__all__ = ["LOSSES", "Game", "coverage", "energy_distance", "play"]

_JUDGED = 1000  # rows on either side of the two-sample statistic
_NEIGHBOURS = 5
_COLLAPSED = 0.5  # share of real rows near a generated one, below which modes are missing


@dataclass
class Game:
    """The rules of the game, beside those of any training."""

    loss: str = "non_saturating"
    discriminator_steps: int = 1
    discriminator_rate: float = 2.0
    label_smoothing: float = 0.0
    gradient_penalty: float = 0.0
    averaging: float = 0.999


def _softplus(a: Tensor) -> Tensor:
    return nn.functional.softplus(a)


def _minimax(real: Tensor, fake: Tensor, smooth: float) -> tuple[Tensor, Tensor]:
    # Goodfellow et al. 2014, eq. 1: the discriminator ascends E log D(x) + E log(1 - D(G(z))), the generator descends it
    return _bernoulli(real, fake, smooth), -_softplus(fake)


def _non_saturating(real: Tensor, fake: Tensor, smooth: float) -> tuple[Tensor, Tensor]:
    # the same game for the discriminator; the generator descends -E log D(G(z)) (section 3)
    return _bernoulli(real, fake, smooth), _softplus(-fake)


def _bernoulli(real: Tensor, fake: Tensor, smooth: float) -> Tensor:
    # one-sided label smoothing: real rows are asked to be 1 - smooth (Salimans et al. 2016, section 3.4)
    return (1 - smooth) * _softplus(-real) + smooth * _softplus(real) + _softplus(fake)


def _least_squares(real: Tensor, fake: Tensor, smooth: float) -> tuple[Tensor, Tensor]:
    # Mao et al. 2017, eq. 9, with a = 0, b = c = 1
    return 0.5 * (real - (1 - smooth)).square() + 0.5 * fake.square(), 0.5 * (fake - 1).square()


def _wasserstein(real: Tensor, fake: Tensor, smooth: float) -> tuple[Tensor, Tensor]:
    # Arjovsky et al. 2017, eq. 2; the Lipschitz constraint is the gradient penalty of Gulrajani et al. 2017
    return fake - real, -fake


#: What each player minimises, from the discriminator's outputs for real and generated rows.
LOSSES: dict[str, Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]] = {
    "minimax": _minimax,
    "non_saturating": _non_saturating,
    "least_squares": _least_squares,
    "wasserstein": _wasserstein,
}


def energy_distance(a: Tensor, b: Tensor) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| >= 0, zero for equal distributions only (Szekely & Rizzo 2013).

    Examples
    --------
    >>> energy_distance(torch.zeros(4, 1), torch.ones(4, 1))
    2.0
    """

    def within(x: Tensor) -> Tensor:
        return torch.cdist(x, x).sum() / max(1, len(x) * (len(x) - 1))

    return float(2 * torch.cdist(a, b).mean() - within(a) - within(b))


def coverage(real: Tensor, generated: Tensor, k: int = _NEIGHBOURS) -> float:
    """Share of real rows that have a generated one nearer than their k-th real neighbour (Naeem et al. 2020, eq. 10)."""
    k = min(k, len(real) - 1)
    if k < 1:
        return 1.0
    radius = torch.cdist(real, real).kthvalue(k + 1, dim=1).values  # the row itself is the first
    return float((torch.cdist(real, generated).min(dim=1).values <= radius).float().mean())


class _Players(NeuralNet):
    """skorch's loop over epochs, with an optimiser for either player."""

    def __init__(self, module: nn.Module, game: Game, settings: Settings, seed: int, **kwargs: Any):
        super().__init__(module, criterion=nn.Identity, **kwargs)
        self.game, self.settings, self.seed = game, settings, seed

    @property
    def _default_callbacks(self) -> list:
        return []

    def get_params(self, deep: bool = True, **kwargs: Any) -> dict:
        return {}

    def get_split_datasets(self, X: Any, y: Any = None, **_: Any) -> tuple[Rows, None]:
        return X, None

    def get_iterator(self, dataset: Rows, training: bool = False) -> Batches:
        return Batches(dataset, self.settings.batch_size, self.seed)

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> _Players:
        module, rate = self.module_, self.settings.learning_rate
        # beta_1 = 0.5 as in the DCGAN paper (section 4); 0 with a penalty on the gradient, whose game it steadies
        betas = (0.0, 0.9) if self.game.loss == "wasserstein" else (0.5, 0.999)
        self.optimizer_ = torch.optim.Adam(module.generator.parameters(), lr=rate, betas=betas, fused=True)
        self.discriminator_optimizer_ = torch.optim.Adam(
            module.discriminator.parameters(), lr=rate * self.game.discriminator_rate, betas=betas, fused=True
        )
        self.mean_ = {name: p.detach().clone() for name, p in module.generator.state_dict().items()}
        self.steps_ = 0
        return self

    def run_single_epoch(self, iterator: Batches | None, training: bool, prefix: str, step_fn: Any, **_: Any) -> None:
        if iterator is None:
            return
        epoch = iterator.epoch = len(self.history)
        generator = seeded(self.seed, epoch, 1)
        self.module_.train()
        sums, count = np.zeros(4), 0
        for batch in iterator:
            sums += self._round(batch, generator)
            count += 1
        for name, value in zip(("generator_loss", "discriminator_loss", "d_real", "d_generated"), sums / count, strict=True):
            self.history.record(name, float(value))

    def _round(self, batch: Rows, generator: torch.Generator) -> np.ndarray:
        """Some steps of the discriminator, and one of the generator."""
        module, game = self.module_, self.game
        losses = LOSSES[game.loss]
        real = module.show(batch.x)
        for _ in range(game.discriminator_steps):
            with torch.no_grad():
                fake = module.generate(len(real), batch.c, generator)
            on_real, on_fake = module.judge(real, batch.c, generator), module.judge(fake, batch.c, generator)
            each, _ = losses(on_real, on_fake, game.label_smoothing)
            loss_d = (each * batch.w).sum() / batch.w.sum() + module.extra_loss(real, fake, batch.c)
            if game.gradient_penalty:
                loss_d = loss_d + game.gradient_penalty * self._penalty(real, fake, batch.c, generator)
            self.discriminator_optimizer_.zero_grad()
            loss_d.backward()
            self.discriminator_optimizer_.step()
        fake = module.generate(len(real), batch.c, generator)
        _, each = losses(on_real.detach(), module.judge(fake, batch.c, generator), game.label_smoothing)
        loss_g = each.mean() + module.extra_loss(None, fake, batch.c)
        self.optimizer_.zero_grad()
        loss_g.backward()
        self.optimizer_.step()
        self._follow()
        d = torch.sigmoid if game.loss in ("minimax", "non_saturating") else lambda a: a
        numbers = [loss_g, loss_d, d(on_real).mean(), d(on_fake).mean()]
        return np.array([float(v.detach()) for v in numbers])

    def _penalty(self, real: Tensor, fake: Tensor, c: Tensor | None, generator: torch.Generator) -> Tensor:
        if self.game.loss == "wasserstein":
            # E (|grad D(x~)| - 1)^2 between real and generated rows (Gulrajani et al. 2017, eq. 3)
            share = torch.rand(len(real), *[1] * (real.dim() - 1), generator=generator, dtype=real.dtype).to(real.device)
            at = (share * real + (1 - share) * fake).requires_grad_(True)
        else:
            # R1: E |grad D(x)|^2 / 2 at real rows; with it the game converges (Mescheder et al. 2018, eq. 9)
            at = real.detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(self.module_.judge(at, c, generator).sum(), at, create_graph=True)
        square = slope.flatten(1).square().sum(dim=1)
        return ((square + 1e-12).sqrt() - 1).square().mean() if self.game.loss == "wasserstein" else 0.5 * square.mean()

    @torch.no_grad()
    def _follow(self) -> None:
        """A running mean of the generator's weights, which is what is kept (Yaz et al. 2019)."""
        self.steps_ += 1
        share = max(1 - self.game.averaging, 1 / self.steps_)
        for name, value in self.module_.generator.state_dict().items():
            mean = self.mean_[name]
            mean.lerp_(value, share) if mean.is_floating_point() else mean.copy_(value)

    def learnt(self) -> dict[str, Tensor]:
        """The module's state, with the averaged generator."""
        return copy_state(self.module_) | {f"generator.{name}": value.clone() for name, value in self.mean_.items()}


def play(
    module: nn.Module,
    game: Game,
    rows: Rows,
    held_out: Rows | None,
    settings: Settings,
    seed: int,
    monitor: Any = None,
) -> Trained:
    """Train both players; keep the generator whose rows are nearest to the held-out ones.

    Losses of the players say little about the rows. What is watched is the energy distance between held-out rows and as
    many generated from noise that is the same in every epoch; training ends after ``n_iter_no_change`` epochs without a
    smaller one.

    Parameters
    ----------
    module : nn.Module
        With submodules ``generator`` and ``discriminator``, and ``show(x)``, ``generate(n, c, generator)``,
        ``judge(features, c, generator)`` and ``extra_loss(real, fake, c)``.
    game : Game
    rows, held_out : Rows
        Without ``held_out`` the rows themselves are watched.
    settings : Settings
    seed : int
    monitor : object, optional

    Returns
    -------
    Trained
        ``history`` has both losses, D on real and generated rows, its accuracy and the energy distance.

    Raises
    ------
    TrainingDiverged
        If a loss becomes infinite or NaN.
    """
    device = torch.device(settings.device)
    module.to(device=device, dtype=torch.float32)
    rows = rows.to(device, torch.float32)
    watched = rows if held_out is None else held_out.to(device, torch.float32)
    watched = watched.take(torch.randperm(len(watched), generator=seeded(seed, 3))[:_JUDGED].to(device))
    net = _Players(module, game, settings, seed, max_epochs=settings.max_epochs, device=settings.device, verbose=0)
    net.initialize()
    best, best_distance, waited, lines, began = copy_state(module), np.inf, 0, [], time.perf_counter()
    converged = interrupted = False
    try:
        while len(net.history) < settings.max_epochs and not converged:
            if monitor is not None:
                monitor.epoch_begins()
            net.fit_loop(rows, epochs=1)
            line = _line(net, watched, began, game)
            lines.append(line)
            if not np.isfinite([line["generator_loss"], line["discriminator_loss"], line["energy_distance"]]).all():
                raise TrainingDiverged(
                    f"The game broke up in epoch {line['epoch']} (losses {line['generator_loss']:g} and "
                    f"{line['discriminator_loss']:g}): lower learning_rate or discriminator_rate, or set gradient_penalty."
                )
            if line["energy_distance"] < best_distance:
                best, best_distance, waited = net.learnt(), line["energy_distance"], 0
            else:
                waited += 1
            stop = monitor is not None and monitor.epoch_ends(line, net.learnt)
            converged = stop or waited >= settings.n_iter_no_change
    except KeyboardInterrupt:
        interrupted = True
    module.load_state_dict(best)
    if lines and not interrupted:
        _warn_of_collapse(module, watched, seed)
    return Trained(best, lines, len(lines), interrupted, converged)


def _line(net: _Players, watched: Rows, began: float, game: Game) -> dict:
    last, module = net.history[-1], net.module_
    line = {"epoch": len(net.history), "generator_loss": last["generator_loss"], "discriminator_loss": last["discriminator_loss"]}
    own = copy_state(module)
    module.load_state_dict(net.learnt())
    module.eval()
    with torch.no_grad():
        noise = seeded(net.seed, 2)
        real, fake = module.show(watched.x), module.generate(len(watched), watched.c, noise, hard=True)
        on_real, on_fake = module.judge(real, watched.c, noise), module.judge(fake, watched.c, noise)
        middle = {"least_squares": 0.5, "wasserstein": float((on_real.mean() + on_fake.mean()) / 2)}.get(game.loss, 0.0)
        line["discriminator_accuracy"] = float(((on_real > middle).float().mean() + (on_fake <= middle).float().mean()) / 2)
        line["d_real"], line["d_generated"] = last["d_real"], last["d_generated"]
        both = [
            torch.cat([a.flatten(1), a.new_zeros(len(a), 0) if watched.c is None else watched.c.to(a)], dim=1) for a in (real, fake)
        ]
        line["energy_distance"] = energy_distance(*both)
    module.load_state_dict(own)
    line["learning_rate"], line["seconds"] = net.settings.learning_rate, time.perf_counter() - began
    return line


@torch.no_grad()
def _warn_of_collapse(module: nn.Module, watched: Rows, seed: int) -> None:
    module.eval()
    real = module.show(watched.x).flatten(1)
    fake = module.generate(len(watched), watched.c, seeded(seed, 2), hard=True).flatten(1)
    found = coverage(real, fake)
    if found < _COLLAPSED:
        warnings.warn(
            f"Only {found:.0%} of the rows have a generated one nearby: modes are missing. Set gradient_penalty, another loss, "
            "or train for longer.",
            ConvergenceWarning,
            stacklevel=2,
        )
