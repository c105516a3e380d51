"""Weight decay by the number of rows, and running means of the weights."""

import numpy as np
import pytest
import torch

import skgen
from skgen.learn.gradient import Rows, Settings, train


def bits(n=200, d=6, seed=0):
    return (np.random.default_rng(seed).random((n, d)) < 0.4).astype(float)


def fvsbn(**parameters):
    return skgen.make("fvsbn", **{"column_kinds": "binary", "random_state": 0, "max_epochs": 5, **parameters})


def test_automatic_weight_decay_is_one_over_rows():
    X = bits()
    automatic = fvsbn(early_stopping=False).fit(X).score_samples(X)
    given = fvsbn(early_stopping=False, weight_decay=0.1 / len(X)).fit(X).score_samples(X)
    none = fvsbn(early_stopping=False, weight_decay=0.0).fit(X).score_samples(X)
    assert np.array_equal(automatic, given)
    assert not np.array_equal(automatic, none)


class Line(torch.nn.Module):
    """One weight, drawn to 1 by every row."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def loss(self, x, c, generator, progress):
        return (self.weight - x[:, 0]) ** 2


def trained(averaging, noise, **settings):
    rows = Rows(torch.ones(64, 1) + noise * torch.randn(64, 1, generator=torch.Generator().manual_seed(0)), None, torch.ones(64))
    settings = Settings(batch_size=4, max_epochs=40, learning_rate=0.3, optimizer="sgd", averaging=averaging, **settings)
    found = train(Line(), lambda module, rows, *rest: module.loss(rows.x, None, *rest), rows, rows, settings, 0)
    return float(found.state["weight"]), float(rows.x.mean()), found


def test_mean_of_the_weights_is_nearer_than_the_last_step():
    last, target, _ = trained(0.0, noise=1.0, n_cuts=0, n_iter_no_change=100)
    mean, _, found = trained(3.0, noise=1.0, n_cuts=0, n_iter_no_change=100)
    losses = [line["valid_loss"] for line in found.history]
    assert abs(mean - target) < abs(last - target)
    # what is watched is the loss of the mean, which is what is kept
    assert min(losses) == pytest.approx(float((mean - target) ** 2) + losses_at_best(target), abs=1e-5)


def losses_at_best(target):
    rows = torch.ones(64, 1) + torch.randn(64, 1, generator=torch.Generator().manual_seed(0))
    return float(((rows - target) ** 2).mean())


def test_averaging_resumes_bit_for_bit(tmp_path):
    X = bits()

    class Killed(RuntimeError):
        pass

    class KillAt:
        def setup(self, estimator, context):
            self.epochs = 0

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context, **_):
            pass

        def on_fit_task_end(self, estimator, context, **_):
            self.epochs += 1
            if self.epochs == 4:
                raise Killed

    whole = fvsbn(averaging=2.0, max_epochs=8).fit(X).score_samples(X)
    model = fvsbn(averaging=2.0, max_epochs=8, checkpoint=tmp_path / "half").set_callbacks(KillAt())
    with pytest.raises(Killed):
        model.fit(X)
    assert (tmp_path / "half").exists()
    again = fvsbn(averaging=2.0, max_epochs=8, checkpoint=tmp_path / "half").fit(X)
    assert np.array_equal(again.score_samples(X), whole)
    assert again.n_iter_ == 8
