"""What a long fit tells while it runs: scikit-learn's callbacks (experimental there, so in this module only) and lines."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sklearn.callback import CallbackSupportMixin, with_callbacks

__all__ = ["CallbackSupportMixin", "Monitor", "with_callbacks"]


_TOLD = ("train_loss", "valid_loss", "generator_loss", "discriminator_loss", "energy_distance")


class Monitor:
    """The epochs of one fit as scikit-learn tasks, and a line each if ``verbose``.

    Parameters
    ----------
    estimator : estimator that supports callbacks
        Its callback context must have been begun, by ``begin``.
    snapshot : callable
        Takes what an epoch has learnt and the lines so far, and gives the attributes of an estimator fitted that far, or
        None where there is no whole one yet.
    verbose : int
        Every so many epochs a line; 0: none.
    most : int or None
        Epochs at most, if known.
    X, y, sample_weight
        What ``fit`` was given: callbacks such as scikit-learn's ScoringMonitor score on them.
    """

    def __init__(
        self,
        estimator: Any,
        snapshot: Callable[[Any, list[dict]], dict | None],
        verbose: int = 0,
        most: int | None = None,
        X: Any = None,
        y: Any = None,
        sample_weight: Any = None,
    ):
        self._estimator, self._snapshot, self._verbose = estimator, snapshot, verbose
        self._rows = {"X": X, "y": y, "metadata": None if sample_weight is None else {"sample_weight": sample_weight}}
        self._lines: list[dict] = []
        self._context = estimator._init_callback_context(max_subtasks=most)
        self._context.call_on_fit_task_begin(estimator=estimator, **self._rows)
        self._begin = time.perf_counter()

    def epoch_begins(self) -> None:
        self._task = self._context.subcontext(task_name="epoch")
        self._task.call_on_fit_task_begin(estimator=self._estimator, **self._rows)

    def epoch_ends(self, line: dict, learnt: Callable[[], Any]) -> bool:
        """Whether a callback wants the fit to stop here.

        Parameters
        ----------
        line : dict
            What is known of the epoch: its number, losses in nats a row, learning rate.
        learnt : callable
            Gives the module's state; called only if a callback asks for a fitted estimator.
        """
        if self._verbose and line["epoch"] % self._verbose == 0:
            parts = [f"epoch {line['epoch']:4d}"]
            parts += [f"{name.removesuffix('_loss')} {line[name]:.4f}" for name in _TOLD if name in line]
            print(
                "   ".join([*parts, f"rate {line['learning_rate']:.1e}", f"{time.perf_counter() - self._begin:.1f} s"]), flush=True
            )
        self._lines.append(line)
        stop = self._task.call_on_fit_task_end(
            estimator=self._estimator,
            reconstruction_attributes=lambda: self._snapshot(learnt(), list(self._lines)),
            **self._rows,
        )
        return bool(stop)

    def end(self) -> None:
        """The fit is over, and has succeeded."""
        self._context.call_on_fit_task_end(estimator=self._estimator, reconstruction_attributes=dict, **self._rows)
