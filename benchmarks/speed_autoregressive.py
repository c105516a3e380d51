"""Autoregressive networks: NADE's step against autograd through a plain loop, draws of MADE against one pass a column.

    python benchmarks/speed_autoregressive.py

The rivals are written here the textbook way and give the same numbers: gradients to rounding, draws cell for cell.
"""

from race import race, report  # first: it limits the threads

import numpy as np
import torch

import skgen
from skgen.models.autoregressive.nade import _Scan

torch.set_num_threads(1)


def nade_step(n: int, d: int, size: int, ones: float) -> float:
    """Loss and gradients of a batch; ``ones`` is the share of ones in the data."""
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(n, d, generator=generator) < ones).float()
    weights = [(torch.randn(shape, generator=generator) * 0.1).requires_grad_() for shape in ((size,), (d, size), (d, size), (d,))]
    start, W, V, bias = weights
    ends = list(range(d + 1))

    def plain():
        a, out = start.expand(n, -1), []
        for i in range(d):
            out.append(torch.sigmoid(a) @ V[i] + bias[i])
            a = a + x[:, i : i + 1] * W[i]
        return torch.stack(out, dim=1)

    def ours():
        return _Scan.apply(start.expand(n, -1), x, W, V, ends, ends, False, True) + bias

    def step(outputs):
        for p in weights:
            p.grad = None
        torch.nn.functional.binary_cross_entropy_with_logits(outputs(), x, reduction="sum").backward()
        return [p.grad.clone() for p in weights]

    raced = race({"plain loop, autograd": lambda: step(plain), "skgen NADE": lambda: step(ours)}, rounds=15)
    (_, theirs), (_, own) = raced.values()
    worst = max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(theirs, own, strict=True))
    assert worst < 1e-4, worst
    return report(f"NADE step, batch {n} x {d} columns, {ones:.0%} ones, {size} hidden; gradients differ by {worst:.0e}", raced)


def full_passes(network, n: int, generator: torch.Generator) -> torch.Tensor:
    """One pass of the whole network a column."""
    conditionals, order = network.conditionals, network.orders[0]
    noise = conditionals.noise(n, generator, network.bias)
    x = torch.zeros(n, network.n_columns, dtype=network.bias.dtype)
    for j in order.tolist():
        parameters = network.outputs(network.features(x), None, network.place(order), 0)
        x[:, j] = conditionals.sample_column(j, parameters[:, conditionals.parameters_of(j)], noise[:, j])
    return x


def made_draws(n: int, d: int, sizes: tuple[int, ...]) -> float:
    rng = np.random.default_rng(0)
    X = (rng.random((500, d)) < 0.3).astype(float)
    model = skgen.make(
        "made",
        hidden_layer_sizes=sizes,
        column_kinds="binary",
        max_epochs=2,
        early_stopping=False,
        random_state=0,
        learning_rate=0.01,
    )
    network = model.fit(X).densities_[0]._network

    @torch.inference_mode()
    def draw(how):
        return how(torch.Generator().manual_seed(1))

    contenders = {
        f"{d} full passes": lambda: draw(lambda g: full_passes(network, n, g)),
        "skgen MADE, incremental": lambda: draw(lambda g: network.sample(n, None, g)),
    }
    raced = race(contenders, rounds=5)
    (_, theirs), (_, own) = raced.values()
    assert torch.equal(theirs, own)
    return report(f"MADE {sizes}, {n} draws of {d} columns; all {own.numel()} cells are equal", raced)


def main() -> None:
    for ones in (0.1, 0.3, 0.5):
        nade_step(256, 64, 256, ones)
    nade_step(256, 784, 500, 0.13)
    made_draws(1000, 64, (256, 256))
    made_draws(500, 784, (500,))


if __name__ == "__main__":
    main()
