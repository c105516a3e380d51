"""Two players: a generator that makes rows and a discriminator that tells them from real ones, through skorch."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet
from torch import Tensor, nn

from skgen.learn.games import LOSSES, Game, pack, slope_penalty
from skgen.learn.gradient import Batches, Rows, Settings, Trained, TrainingDiverged, copy_state, seeded

__all__ = ["coverage", "energy_distance", "play"]

_JUDGED = 1000  # rows on either side of the two-sample statistic
_DRAWN = 300  # rows on either side, at least, if there are so many: by as few as are held out, chance would choose the weights
_NEIGHBOURS = 5
_COLLAPSED = 0.5  # share of real rows near a generated one, below which modes are missing
_CUT = 0.1  # what the rates are multiplied by when the distance falls no more, and when a loss is no number
_RESTARTS = 3
_ABSURD = 1e6  # a loss beyond which nothing is learnt: features are of order one
_MIDDLE = {"minimax": 0.0, "non_saturating": 0.0, "least_squares": 0.5}  # the discriminator's output between its answers


def energy_distance(a: Tensor, b: Tensor, weight: Tensor | None = None) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| >= 0, zero for equal distributions only (Szekely & Rizzo 2013).

    ``weight`` (n,) is that of the rows of a.

    Examples
    --------
    >>> energy_distance(torch.zeros(4, 1), torch.ones(4, 1))
    2.0
    """

    w, v = (a.new_ones(len(x)) / len(x) for x in (a, b))
    w = w if weight is None else weight.to(a) / weight.sum()

    def within(x: Tensor, u: Tensor) -> Tensor:
        pairs = 1 - u.square().sum()  # of different rows
        return u @ torch.cdist(x, x) @ u / pairs if pairs > 1e-9 else pairs * 0

    return float(2 * w @ torch.cdist(a, b) @ v - within(a, w) - within(b, v))


def coverage(real: Tensor, generated: Tensor, k: int = _NEIGHBOURS) -> float:
    """Share of real rows that have a generated one nearer than their k-th real neighbour (Naeem et al. 2020, eq. 10)."""
    k = min(k, len(real) - 1)
    if k < 1:
        return 1.0
    radius = torch.cdist(real, real).kthvalue(k + 1, dim=1).values  # the row itself is the first
    return float((torch.cdist(real, generated).min(dim=1).values <= radius).float().mean())


class _Players(NeuralNet):
    """skorch's loop over epochs, with an optimiser for either player."""

    def __init__(self, module: nn.Module, game: Game, share: Tensor | None, settings: Settings, seed: int, **kwargs: Any):
        super().__init__(module, criterion=nn.Identity, **kwargs)
        self.game, self.share, self.settings, self.seed = game, share, settings, seed
        self.labelled: Rows | None = None

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
        self.start_afresh(self.settings.learning_rate)
        return self

    def start_afresh(self, rate: float) -> None:
        """Both optimisers without a memory, and the mean of the generator from where it stands."""
        module = self.module_
        # beta_1 = 0.5 as in the DCGAN paper (section 4); 0 with a penalty on the gradient, whose game it steadies
        betas = (0.0, 0.9) if self.game.loss == "wasserstein" else (0.5, 0.999)
        how = {"betas": betas, "weight_decay": self.settings.weight_decay, "fused": True}
        self.optimizer_ = torch.optim.Adam(module.generator.parameters(), lr=rate, **how)
        self.discriminator_optimizer_ = torch.optim.Adam(
            module.discriminator.parameters(), lr=rate * self.game.discriminator_rate, **how
        )
        self.mean_ = {name: p.detach().clone() for name, p in module.generator.state_dict().items()}
        self.steps_ = 0

    def run_single_epoch(self, iterator: Batches | None, training: bool, prefix: str, step_fn: Any, **_: Any) -> None:
        if iterator is None:
            return
        epoch = len(self.history)
        generator = seeded(self.seed, epoch, 1)
        self.module_.train()
        sums, count = torch.zeros(4, dtype=torch.float64), 0
        while count < self.game.steps_per_epoch:
            iterator.epoch = epoch + (count << 20)  # of each pass another order
            for batch in iterator:
                sums += self._round(batch, generator)
                count += 1
        for name, value in zip(("generator_loss", "discriminator_loss", "d_real", "d_generated"), sums / count, strict=True):
            self.history.record(name, float(value))

    def _round(self, batch: Rows, generator: torch.Generator) -> Tensor:
        """Some steps of the discriminator, and one of the generator."""
        module, game = self.module_, self.game
        m, losses = game.packing, LOSSES[game.loss]
        if len(batch) % m or len(batch) == 1:  # rows are shown twice where there are too few for a pack, or for a variance
            batch = batch.take(torch.arange(max(m, len(batch) // m * m, 2 // m * m), device=batch.x.device) % len(batch))
        n, asked = len(batch), self._asked(batch.c, generator)
        real, w = pack(module.show(batch.x, generator), m), pack(batch.w[:, None], m).mean(dim=1)
        c, c_asked = pack(batch.c, m), pack(asked, m)
        c_of_generated = None if module.tells_classes else c_asked  # one class, "generated", whatever was asked for
        for _ in range(game.discriminator_steps):
            with torch.no_grad():
                fake = pack(module.generate(n, asked, generator), m)
            on_real, on_fake = module.judge(real, c), module.judge(fake, c_of_generated)
            each, _ = losses(on_real, on_fake, game.label_smoothing)
            loss_d = (each * w).sum() / w.sum()
            if game.gradient_penalty:
                c_of_real = None if module.tells_classes else c
                slope = slope_penalty(game.loss, lambda at, c=c_of_real: module.judge(at, c), real, fake, generator, w)
                loss_d = loss_d + game.gradient_penalty * slope
            self._step(self.discriminator_optimizer_, loss_d)
        fake = pack(module.generate(n, asked, generator), m)
        _, each = losses(on_real.detach(), module.judge(fake, c_asked), game.label_smoothing)
        loss_g = each.mean()
        self._step(self.optimizer_, loss_g)
        self._follow()
        D = torch.sigmoid if game.loss in ("minimax", "non_saturating") else lambda a: a
        return torch.stack([loss_g, loss_d, D(on_real).mean(), D(on_fake).mean()]).detach().double().cpu()

    def _step(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        if self.settings.gradient_clip is not None:
            nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], self.settings.gradient_clip)
        optimizer.step()

    def _asked(self, c: Tensor | None, generator: torch.Generator) -> Tensor | None:
        """Classes of the rows to generate: those of the batch, drawn where they are not known."""
        if c is None or not bool(torch.isnan(c).any()):
            return c
        drawn = torch.multinomial(self.share, len(c), replacement=True, generator=generator).to(c.device)
        return torch.where(torch.isnan(c), nn.functional.one_hot(drawn, c.shape[1]).to(c), c)

    @torch.no_grad()
    def _follow(self) -> None:
        """A running mean of the generator's weights, which is what is kept (Yaz et al. 2019)."""
        self.steps_ += 1
        share = max(1 - self.game.averaging, 9 / (9 + self.steps_))  # the start is soon forgotten
        for name, value in self.module_.generator.state_dict().items():
            mean = self.mean_[name]
            mean.lerp_(value, share) if mean.is_floating_point() else mean.copy_(value)

    def learnt(self) -> dict[str, Tensor]:
        """The module's state, with the averaged generator."""
        return copy_state(self.module_) | {f"generator.{name}": value.clone() for name, value in self.mean_.items()}

    def cut(self, best: dict[str, Tensor]) -> None:
        """Go on from the best weights at a tenth of the rates."""
        self.module_.load_state_dict(best)
        self.mean_ = {name: p.detach().clone() for name, p in self.module_.generator.state_dict().items()}
        for optimizer in (self.optimizer_, self.discriminator_optimizer_):
            for group in optimizer.param_groups:
                group["lr"] *= _CUT


def play(
    module: nn.Module,
    game: Game,
    share: np.ndarray | None,
    rows: Rows,
    held_out: Rows | None,
    settings: Settings,
    seed: int,
    monitor: Any = None,
    goes_on: bool = False,
) -> Trained:
    """Train both players; keep the generator whose rows are nearest to the held-out ones.

    An epoch is a pass over the rows, or as many as make ``game.steps_per_epoch`` steps. Losses of the players say little about
    the rows. What is watched is the energy distance between held-out rows (with others that are learnt from, where fewer than
    300 are held out: by a few dozen, chance would choose) and as many generated from noise that is the same in every epoch. After
    ``n_iter_no_change`` epochs without a smaller one, training goes on from the best weights at a tenth of the rates; and
    after as many again it ends. A loss that is no number, or beyond a million, does the same, three times.

    Parameters
    ----------
    module : nn.Module
        With submodules ``generator`` and ``discriminator``, and ``show(x, generator)``, ``generate(n, c, generator)``,
        ``judge(features, c)``, ``compared(features)`` and ``tells_classes``: the discriminator has an output a class.
    game : Game
    share : array of shape (K,), optional
        p(y), from which labels are drawn for rows that have none.
    rows, held_out : Rows
        Without ``held_out`` the rows themselves are watched.
    settings : Settings
    seed : int
    monitor : object, optional
    goes_on : bool
        The module has learnt already: its rows are the ones to beat.

    Returns
    -------
    Trained
        ``history`` has both losses, D on real and generated rows, its accuracy and the energy distance.

    Raises
    ------
    TrainingDiverged
        If a loss stays so.
    """
    device, dtype = torch.device(settings.device), torch.float64 if settings.precision == "float64" else torch.float32
    module.to(device=device, dtype=dtype)
    rows = rows.to(device, dtype)
    watched = _watched(rows, None if held_out is None else held_out.to(device, dtype), seed)
    share = None if share is None else torch.as_tensor(share, dtype=torch.float64)
    net = _Players(module, game, share, settings, seed, max_epochs=settings.max_epochs, device=settings.device, verbose=0)
    net.initialize()
    if rows.c is not None and bool(torch.isnan(rows.c).any()):  # held-out rows with a label may be too few to tell classes by
        net.labelled = rows.take(torch.nonzero(~torch.isnan(rows.c[:, 0]))[:, 0][:_JUDGED])
    best, lines, broken, began = copy_state(module), [], [], time.perf_counter()
    before = _judged(net, watched)[1]
    nearest = mark = before if goes_on else np.inf
    waited, cuts, rate = 0, 0, settings.learning_rate
    converged = interrupted = False
    try:
        while len(net.history) < settings.max_epochs and not converged:
            if monitor is not None:
                monitor.epoch_begins()
            net.fit_loop(rows, epochs=1)
            line = _line(net, watched, rate, began)
            lines.append(line)
            told = np.abs([line["generator_loss"], line["discriminator_loss"], line["energy_distance"]])
            whole = bool((told < _ABSURD).all())
            if not whole:
                broken.append(f"epoch {line['epoch']} at learning_rate={rate:g}")
                if len(broken) > _RESTARTS:
                    raise TrainingDiverged(
                        f"The losses became {line['generator_loss']:g} and {line['discriminator_loss']:g} in "
                        f"{', then in '.join(broken)}: lower learning_rate or discriminator_rate, or set gradient_penalty or "
                        "gradient_clip."
                    )
            elif line["energy_distance"] < nearest:
                best, nearest = net.learnt(), line["energy_distance"]
            waited += 1
            if nearest < mark - settings.tol:
                mark, waited = nearest, 0
            if not whole:
                rate, waited = rate * _CUT, 0
                module.load_state_dict(best)
                net.start_afresh(rate)
            elif waited >= settings.n_iter_no_change:
                converged = cuts == settings.n_cuts
                cuts, waited, rate = cuts + 1, 0, rate * _CUT
                net.cut(best)
            stopped = monitor is not None and monitor.epoch_ends(line, net.learnt)
            converged = converged or stopped
    except KeyboardInterrupt:
        interrupted = True
    module.load_state_dict(best)
    if broken and not interrupted:
        warnings.warn(
            f"A loss became infinite, NaN or absurd in {', then in '.join(broken)}; training went on at a tenth of the rate.",
            ConvergenceWarning,
            stacklevel=2,
        )
    if lines and not interrupted and not goes_on and not nearest < before:
        warnings.warn(
            "Generated rows are no nearer to the real ones than before training: lower learning_rate, or raise max_epochs.",
            ConvergenceWarning,
            stacklevel=2,
        )
    if lines and not interrupted:
        # a few held-out rows would not tell modes apart
        seen = (
            watched
            if len(rows) < len(watched)
            else rows.take(torch.randperm(len(rows), generator=seeded(seed, 3))[:_JUDGED].to(device))
        )
        _warn_of_collapse(module, seen, net._asked(seen.c, seeded(seed, 2)), seed)
    return Trained(best, lines, len(lines), interrupted, converged)


def _watched(rows: Rows, held_out: Rows | None, seed: int) -> Rows:
    """The rows by which a generator is judged: those held out, and where they are too few to judge by, others with them."""
    many = rows if held_out is None else held_out
    many = many.take(torch.randperm(len(many), generator=seeded(seed, 3))[:_JUDGED].to(many.x.device))
    if held_out is None or len(held_out) >= _DRAWN:
        return many
    more = rows.take(torch.randperm(len(rows), generator=seeded(seed, 3))[: _DRAWN - len(held_out)].to(rows.x.device))
    c = None if rows.c is None else torch.cat([many.c, more.c])
    return Rows(torch.cat([many.x, more.x]), c, torch.cat([many.w, more.w]))


def _line(net: _Players, watched: Rows, rate: float, began: float) -> dict:
    """A line of the history: the players' losses, and how near the averaged generator's rows are."""
    last = net.history[-1]
    accuracy, distance = _judged(net, watched)
    return {
        "epoch": len(net.history),
        "generator_loss": last["generator_loss"],
        "discriminator_loss": last["discriminator_loss"],
        "discriminator_accuracy": accuracy,
        "d_real": last["d_real"],
        "d_generated": last["d_generated"],
        "energy_distance": distance,
        "learning_rate": rate,
        "seconds": time.perf_counter() - began,
    }


def _judged(net: _Players, watched: Rows) -> tuple[float, float]:
    """The discriminator's accuracy on rows to watch and as many of the averaged generator, and the distance between them."""
    module, m = net.module_, net.game.packing
    own, noise = copy_state(module), seeded(net.seed, 2)
    module.load_state_dict(net.learnt())
    module.eval()
    with torch.no_grad():
        asked, times = net._asked(watched.c, noise), -(-_DRAWN // len(watched))
        many = None if asked is None else asked.repeat(times, 1)
        real, fake = module.show(watched.x, noise), module.generate(times * len(watched), many, noise)
        on_real, on_fake = (
            module.judge(pack(a, m), None if module.tells_classes else pack(c, m)) for a, c in ((real, asked), (fake, many))
        )
        middle = _MIDDLE.get(net.game.loss)
        middle = (on_real.mean() + on_fake.mean()) / 2 if middle is None else middle
        accuracy = float(((on_real > middle).double().mean() + (on_fake <= middle).double().mean()) / 2)
        distance = _distance(net, watched, real, fake, many, noise)
    module.load_state_dict(own)
    return accuracy, distance


def _distance(net: _Players, watched: Rows, real: Tensor, fake: Tensor, c_fake: Tensor | None, noise: torch.Generator) -> float:
    """Of rows beside their labels; where some have none, of rows without them, and of those with one beside it."""
    module = net.module_
    real, fake = module.compared(real), module.compared(fake)
    if c_fake is None:
        return energy_distance(real, fake, watched.w)
    if net.labelled is None:
        return energy_distance(_beside(real, watched.c), _beside(fake, c_fake), watched.w)
    own = net.labelled
    beside = _beside(module.compared(module.show(own.x, noise)), own.c), _beside(fake, c_fake)
    return energy_distance(real, fake, watched.w) + energy_distance(*beside, own.w)


def _beside(features: Tensor, c: Tensor) -> Tensor:
    return torch.cat([features, c.to(features)], dim=1)


@torch.no_grad()
def _warn_of_collapse(module: nn.Module, seen: Rows, asked: Tensor | None, seed: int) -> None:
    module.eval()
    noise = seeded(seed, 2)
    real, fake = (module.compared(a) for a in (module.show(seen.x, noise), module.generate(len(seen), asked, noise)))
    found = coverage(real, fake, max(_NEIGHBOURS, len(real) // 50))
    if found < _COLLAPSED:
        warnings.warn(
            f"Only {found:.0%} of the rows have a generated one nearby: modes are missing, or training was short. "
            "Raise max_epochs, or set gradient_penalty, packing=2 or another loss.",
            ConvergenceWarning,
            stacklevel=2,
        )
