"""One file from which a killed training goes on bit for bit: weights, moments, best weights and counters."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from skgen.learn.whole_files import clear, written_whole

__all__ = ["Checkpoint"]

_FORMAT = "skgen-checkpoint/1"
_COUNTERS = ("best_loss", "first_loss", "waited", "cuts", "restarts", "rate", "lines", "tried")
_SECONDS = 1.0  # between two writes: an epoch may be shorter than writing it


class Checkpoint:
    """The file of one training.

    It is written atomically after an epoch (at most once a second), and removed when training ends. A file of another
    training (other rows, parameters or seed) is refused. Fits that run at the same time need a file each. What a
    killed process leaves of a write, a hidden ``.part`` file, is removed by the next fit.

    Parameters
    ----------
    path : Path
        A file that need not exist; its folder must.
    rows : sequence of Rows or None
        What is trained on and what is held out: the file must have been written for the same.
    seed : int
    """

    def __init__(self, path: Path, rows: Iterable[Any], seed: int):
        self.path, self._last = Path(path), -np.inf
        if not self.path.parent.is_dir():
            raise ValueError(f"checkpoint={str(path)!r}: the folder {str(self.path.parent)!r} does not exist.")
        clear(self.path)
        digest = hashlib.sha256(str(seed).encode())
        for tensor in (t for part in rows if part is not None for t in (part.x, part.c, part.w) if t is not None):
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        self._of = digest.hexdigest()

    def _about(self, run: Any) -> str:
        shapes = {name: list(value.shape) for name, value in run.best.items()}
        s = run.settings
        settings = [
            s.batch_size,
            s.learning_rate,
            s.optimizer,
            s.weight_decay,
            s.gradient_clip,
            s.averaging,
            s.n_iter_no_change,
            s.n_cuts,
            s.precision,
        ]
        return hashlib.sha256(json.dumps([self._of, shapes, settings]).encode()).hexdigest()

    def write(self, run: Any) -> None:
        """Keep where ``run`` stands, unless it was kept a moment ago."""
        now = time.monotonic()
        if now - self._last < _SECONDS:
            return
        self._last = now
        module = run.net.module_.state_dict()
        tensors = {f"module/{name}": value for name, value in module.items()}
        tensors |= {f"best/{name}": value for name, value in run.best.items()}
        state = run.net.optimizer_.state_dict()["state"]
        for i, moments in state.items():
            tensors |= {f"moments/{i}/{name}": torch.as_tensor(value) for name, value in moments.items()}
        if run.net.average is not None:
            tensors |= {f"average/{i}": value for i, value in enumerate(run.net.average.mean)}
        meta = {name: getattr(run, name) for name in _COUNTERS}
        meta["averaged"] = 0 if run.net.average is None else run.net.average.steps
        text = {"format": _FORMAT, "about": self._about(run), "run": json.dumps(meta)}
        try:
            with written_whole(self.path) as part:
                save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, part, text)
        except (OSError, SafetensorError) as error:
            size = sum(value.numel() * value.element_size() for value in tensors.values())
            raise OSError(
                f"checkpoint={str(self.path)!r}: {size} bytes cannot be written ({error}); the file before is whole."
            ) from error

    def read(self, run: Any) -> None:
        """Put ``run`` where the file was written, if there is one."""
        if not self.path.exists():
            return
        try:
            with safe_open(self.path, "pt") as file:
                text = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no mapping
        except (SafetensorError, OSError) as error:
            raise ValueError(f"checkpoint={str(self.path)!r} cannot be read ({error}): remove it to start afresh.") from None
        if text.get("format") != _FORMAT or text.get("about") != self._about(run):
            raise ValueError(
                f"checkpoint={str(self.path)!r} was written for other rows, parameters or random_state: remove it, or name another."
            )
        meta = json.loads(text["run"])
        averaged = meta.pop("averaged")
        for name, value in meta.items():
            setattr(run, name, value)
        device = next(iter(run.best.values())).device
        state: dict[int, dict] = {}
        module = {}
        run.best = dict(run.best)
        for name, value in tensors.items():
            kind, _, rest = name.partition("/")
            if kind == "module":
                module[rest] = value
            elif kind == "average":
                run.net.average.mean[int(rest)] = value.to(device)
            elif kind == "best":
                run.best[rest] = value.to(device)
            else:
                i, _, moment = rest.partition("/")
                state.setdefault(int(i), {})[moment] = value
        run.net.module_.load_state_dict(module)
        if run.net.average is not None:
            run.net.average.steps = averaged
        optimizer = run.net.optimizer_
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        for group in optimizer.param_groups:
            group["lr"] = run.rate
        for line in run.lines:  # skorch numbers an epoch by the length of its history
            run.net.history.new_epoch()
            run.net.history.record("train_loss", line["train_loss"])

    def remove(self) -> None:
        """Training has ended."""
        self.path.unlink(missing_ok=True)
