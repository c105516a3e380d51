"""A step of training through the engine beside a bare torch loop, and the first fit of a process.

10,000 rows x 20, an MLP of 64-64, batches of 128, Adam (fused) on both sides, the same module.
"""

from race import race, report  # first: it limits the threads

import subprocess
import sys
import time

import numpy as np
import torch
from torch import nn

from skgen.learn.gradient import Settings, train
from skgen.learn.labelled import labelled_loss, to_rows

torch.set_num_threads(1)
EPOCHS, BATCH = 3, 128
X = np.random.default_rng(0).normal(size=(10_000, 20))
STEPS = EPOCHS * -(-len(X) // BATCH)


class Autoencoder(nn.Module):
    """Minus half a squared error: the cheapest loss there is, so that the engine's own share shows."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 20))

    def log_prob(self, x, c):
        return -0.5 * (self.net(x) - x).square().sum(dim=1)


def module() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Autoencoder()


def bare(clip: float | None) -> float:
    net, x = module(), torch.as_tensor(X, dtype=torch.float32)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    for _ in range(EPOCHS):
        for at in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            loss = -net.log_prob(x[at], None).mean()
            loss.backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(net.parameters(), clip)
            optimizer.step()
    return loss.item()


def engine(clip: float | None) -> float:
    settings = Settings(max_epochs=EPOCHS, batch_size=BATCH, learning_rate=1e-3, gradient_clip=clip)
    return train(module(), labelled_loss(None), to_rows(X, None, np.ones(len(X))), None, settings, 0).history[-1]["train_loss"]


_COLD = """
import time; t = time.perf_counter(); out = []
def lap(name):
    global t
    now = time.perf_counter(); out.append(f"{name} {now - t:.2f}"); t = now
import numpy, sklearn.base, pandas; lap("numpy, scikit-learn, pandas")
import torch; lap("torch")
import skorch; lap("skorch")
from skgen import MADE; lap("skgen.MADE")
import torch._dynamo; lap("what torch's first optimizer step imports (torch._dynamo)")
X = numpy.random.default_rng(0).random((200, 5))
MADE(hidden_layer_sizes=(16,), max_epochs=5, random_state=0).fit(X); lap("fit, 200 x 5, five epochs")
print("s;  ".join(out) + "s")
"""


def cold() -> None:
    plain = "import numpy as np; from skgen import MADE; X = np.random.default_rng(0).random((200, 5)); "
    plain += "MADE(hidden_layer_sizes=(16,), max_epochs=5, random_state=0).fit(X)"

    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", plain], check=True)
    print(f"first fit of a torch model in a cold process: {time.perf_counter() - start:.1f} s, of which")
    print("   " + subprocess.run([sys.executable, "-c", _COLD], check=True, capture_output=True, text=True).stdout.strip())


def main() -> None:
    for clip in (None, 10.0):
        contenders = {"skgen engine": lambda clip=clip: engine(clip), "bare torch loop": lambda clip=clip: bare(clip)}
        raced = race(contenders, rounds=5)
        us = {name: seconds / STEPS * 1e6 for name, (seconds, _) in raced.items()}
        ratio = us["skgen engine"] / us["bare torch loop"]
        report(
            f"a training step, gradient_clip={clip}: engine / bare loop = {ratio:.2f} (at most 1.5)",
            raced,
            lambda name, loss, us=us: f"{us[name]:.0f} us a step, loss {loss:.3f}",
        )
    cold()


if __name__ == "__main__":
    main()
