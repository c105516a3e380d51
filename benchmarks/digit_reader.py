"""A small convolutional network that reads handwritten digits: the judge of generated ones, and what augmentation may help.

    python benchmarks/digit_reader.py --data DIR        prints its accuracy on the 10,000 test digits

Rows are images of 28 x 28 pixels, 0 to 255, one a row. As a transformer it gives the 64 units before the answer, which are the
features that the metrics of ``skgen.evaluate`` compare rows by. One thread; nothing of it comes from skgen.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import Tensor, nn

torch.set_num_threads(1)

SIDE = 28


def load(data: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """X_train (60000, 784), y_train, X_test (10000, 784), y_test; pixels uint8, from images/mnist.npz."""
    folder = data / "images" if (data / "images").is_dir() else data
    with np.load(folder / "mnist.npz") as found:
        X, X_test = (found[name].reshape(-1, SIDE * SIDE) for name in ("X_train", "X_test"))
        return X, found["y_train"].astype(int), X_test, found["y_test"].astype(int)


def shifted(x: Tensor, generator: torch.Generator, most: int = 2) -> Tensor:
    """Each image (n, 1, 28, 28) moved by up to ``most`` pixels either way."""
    wide = nn.functional.pad(x, (most,) * 4)
    at = torch.randint(0, 2 * most + 1, (len(x), 2), generator=generator)
    rows, columns = (at[:, i, None] + torch.arange(SIDE) for i in (0, 1))
    return wide[torch.arange(len(x))[:, None, None], 0, rows[:, :, None], columns[:, None, :]][:, None]


class DigitReader:
    """Two convolutions with pooling, a layer of 64 units, ten answers.

    Parameters
    ----------
    steps : int
        Of Adam, batches of 64 rows at a rate that falls from 0.002 to 0 along a cosine.
    augment : callable, optional
        (images, generator) -> images, of each batch.
    seed : int
    """

    def __init__(self, steps: int = 4000, augment=None, seed: int = 0):
        self.steps, self.augment, self.seed = steps, augment, seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> DigitReader:
        generator = torch.Generator().manual_seed(self.seed)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            self.body = nn.Sequential(
                *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
                *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
                *(nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU()),
            )
            self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(64, 10))
        parts = nn.Sequential(self.body, self.head).train()
        optimizer = torch.optim.Adam(parts.parameters(), lr=2e-3, weight_decay=1e-5)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        images, labels = self._images(X), torch.as_tensor(np.asarray(y))
        with torch.random.fork_rng():  # of dropout
            torch.manual_seed(self.seed)
            for _ in range(self.steps):
                at = torch.randint(0, len(images), (64,), generator=generator)
                x = images[at] if self.augment is None else self.augment(images[at], generator)
                loss = nn.functional.cross_entropy(parts(x), labels[at])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        parts.eval()
        return self

    @staticmethod
    def _images(X: np.ndarray) -> Tensor:
        return torch.as_tensor(np.asarray(X, dtype=np.float32)).reshape(-1, 1, SIDE, SIDE) / 255

    def transform(self, X: np.ndarray) -> np.ndarray:
        """The units before the answer, (n, 64)."""
        with torch.inference_mode():
            return np.concatenate([self.body(some).numpy() for some in self._images(X).split(1000)])

    def predict(self, X: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.head(torch.from_numpy(self.transform(X))).argmax(dim=1).numpy()

    def score(self, X: np.ndarray, y: np.ndarray) -> float:
        """Share read correctly."""
        return float((self.predict(X) == np.asarray(y)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    X, y, X_test, y_test = load(parser.parse_args().data)
    began = time.process_time()
    reader = DigitReader().fit(X, y)
    print(f"{reader.score(X_test, y_test):.4f} of the test digits read correctly, {time.process_time() - began:.0f} CPU seconds")


if __name__ == "__main__":
    main()
