"""What goes wrong while a network learns: interrupts, killed processes, wild rates and cells, full disks, threads."""

import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

import skgen.learn.checkpoint
from skgen import FVSBN, MADE
from skgen.learn.gradient import TrainingDiverged

X, y = load_iris(return_X_y=True)
in_main_thread = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals reach the main thread"
)


def small(**more):
    given = {"hidden_layer_sizes": (8,), "n_components": 1, "max_epochs": 6, "learning_rate": 0.02, "random_state": 0}
    return MADE(**{**given, **more})


def bits(model, X=X):
    return model.score_samples(X).tobytes() + b"".join(w.tobytes() for w in model._fitted.densities_[0]._weights.values())


class At:
    """Do something at the end of an epoch of a fit."""

    def __init__(self, epoch, act):
        self.epoch, self.act = epoch, act

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch" and context.task_id + 1 == self.epoch:
            self.act()


def interrupt():
    signal.raise_signal(signal.SIGINT)


# ---- Ctrl-C


@in_main_thread
@pytest.mark.parametrize("epoch", [1, 4])
@pytest.mark.parametrize("class_conditional", ["shared", "separate"])
def test_an_interrupted_refit_leaves_the_old_model(epoch, class_conditional):
    model = small(class_conditional=class_conditional).fit(X, y)
    before = bits(model)
    model.set_callbacks(At(epoch, interrupt))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X[:100, :3], y[:100])
    assert bits(model) == before
    assert model.set_callbacks().fit(X, y).score(X, y) > 0.3


@in_main_thread
def test_an_interrupted_first_fit_keeps_the_best_weights():
    model = small(max_epochs=50).set_callbacks(At(5, interrupt))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert model.n_iter_ == 5
    whole = small(max_epochs=5).fit(X, y)
    assert np.array_equal(model.score_samples(X), whole.score_samples(X))
    assert np.array_equal(model.predict_proba(X), whole.predict_proba(X))


@in_main_thread
def test_a_search_stops_on_an_interrupt():
    fits = []
    search = GridSearchCV(small().set_callbacks(At(2, lambda: (fits.append(1), interrupt()))), {"learning_rate": [0.1, 0.01]}, cv=3)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    assert len(fits) == 1


# ---- a process that dies


class Killed(BaseException):
    pass


def die():
    raise Killed


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("class_conditional", ["shared", "separate"])
@pytest.mark.parametrize("epoch", [1, 3, 5])
def test_a_fit_goes_on_from_its_checkpoint_bit_for_bit(tmp_path, monkeypatch, epoch, class_conditional, optimizer):
    monkeypatch.setattr(skgen.learn.checkpoint, "_SECONDS", 0.0)
    how = {"class_conditional": class_conditional, "optimizer": optimizer, "batch_size": 32}
    whole = small(**how).fit(X, y)
    with pytest.raises(Killed):
        small(checkpoint=tmp_path / "c", **how).set_callbacks(At(epoch, die)).fit(X, y)
    gone = subprocess.Popen([sys.executable, "-c", ""])  # a number that no process has
    gone.wait()
    part = tmp_path / (f".c.{gone.pid}-7.part" if class_conditional == "shared" else f".c.0.{gone.pid}-7.part")
    part.write_bytes(b"what a kill in the middle of a write leaves")
    again = small(checkpoint=tmp_path / "c", **how).fit(X, y)
    assert all(
        np.array_equal(a._weights[name], b._weights[name])
        for a, b in zip(whole.densities_, again.densities_, strict=True)
        for name in a._weights
    )
    for a, b in zip(whole.densities_, again.densities_, strict=True):
        assert np.array_equal(a.history_["valid_loss"], b.history_["valid_loss"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_process_is_taken_up_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(skgen.learn.checkpoint, "_SECONDS", 0.0)
    path = tmp_path / "c"
    whole = bits(small(max_epochs=30).fit(X, y))
    for epoch in (7, 19):
        child = os.fork()
        if child == 0:
            try:
                small(max_epochs=30, checkpoint=path).set_callbacks(At(epoch, lambda: os.kill(os.getpid(), signal.SIGKILL))).fit(
                    X, y
                )
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status)
        assert path.exists()
    assert bits(small(max_epochs=30, checkpoint=path).fit(X, y)) == whole
    assert not path.exists()


@pytest.mark.parametrize("other", ["rows", "labels", "weights", "parameters", "seed"])
def test_a_checkpoint_of_another_fit_is_refused(tmp_path, other):
    path = tmp_path / "c"
    with pytest.raises(Killed):
        small(checkpoint=path).set_callbacks(At(2, die)).fit(X, y)
    model = small(checkpoint=path, **{"parameters": {"learning_rate": 0.5}, "seed": {"random_state": 1}}.get(other, {}))
    rows = X[::-1] if other == "rows" else X
    label = np.roll(y, 1) if other == "labels" else y
    weight = np.arange(1.0, 151) if other == "weights" else None
    with pytest.raises(ValueError, match="was written for other rows, parameters or random_state: remove it"):
        model.fit(rows, label, weight)


def test_wrong_paths_of_a_checkpoint_are_named(tmp_path):
    (tmp_path / "rubbish").write_text("rubbish")
    for path, message in (
        (tmp_path / "none" / "c", "folder .* does not exist"),
        (tmp_path, "is a folder"),
        (tmp_path / "rubbish", "cannot be read"),
        (3, "must be None or the path"),
    ):
        with pytest.raises(ValueError, match=message):
            small(checkpoint=path).fit(X)
    with pytest.raises(ValueError, match="lbfgs"):
        small(checkpoint=tmp_path / "c", optimizer="lbfgs").fit(X)


def test_a_full_disk_leaves_the_file_before(tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(skgen.learn.checkpoint, "_SECONDS", 0.0)
    path = tmp_path / "c"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    written = []

    def fill():
        written.append(path.read_bytes())
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))

    try:
        with pytest.raises(OSError, match=r"checkpoint=.* bytes cannot be written .* the file before is whole"):
            small(checkpoint=path).set_callbacks(At(3, fill)).fit(X, y)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == written[0]
    assert list(tmp_path.iterdir()) == [path]
    assert bits(small(checkpoint=path).fit(X, y)) == bits(small().fit(X, y))


# ---- losses that are no number


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_wild_rate_is_told_and_the_scores_are_finite(early_stopping, optimizer):
    with pytest.warns(ConvergenceWarning, match=r"learning_rate=10000|tenth of the rate"):
        model = small(learning_rate=1e4, early_stopping=early_stopping, optimizer=optimizer, gradient_clip=None).fit(X)
    assert np.isfinite(model.score_samples(X)).all()
    assert model.score(X) > -12  # no worse than independent columns


def test_a_wild_cell_leaves_finite_scores():
    wild = X.copy()
    wild[3, 2] = 1e300
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        with pytest.warns(skgen.ColumnWarning, match="million times"):
            model = small().fit(wild, y)
    assert np.isfinite(model.score_samples(wild)).all()
    assert np.isfinite(model.predict_log_proba(wild)).all()


def planted(left):
    """A MADE whose loss is no number in the next left[0] batches of training."""

    class Planted(MADE):
        def _module(self, columns, n_classes):
            module = super()._module(columns, n_classes)
            loss = module.loss

            def bad(x, c, generator, progress):
                if torch.is_grad_enabled() and left[0]:
                    left[0] -= 1
                    return loss(x, c, generator, progress) * torch.nan
                return loss(x, c, generator, progress)

            module.loss = bad
            return module

    return Planted(**small(early_stopping=False, batch_size=200).get_params())


def test_a_loss_that_is_no_number_once_starts_again():
    with pytest.warns(ConvergenceWarning, match=r"NaN in epoch 1 at learning_rate=0.02; training went on at a tenth"):
        model = planted([1]).fit(X)
    assert model.history_["learning_rate"].tolist() == pytest.approx([0.02] + [0.002] * 5)
    assert np.isfinite(model.score_samples(X)).all()


def test_a_loss_that_stays_no_number_is_an_error():
    with pytest.raises(TrainingDiverged, match=r"epoch 1 at learning_rate=0.02, then in epoch 2 at learning_rate=0.002.*lower"):
        planted([99]).fit(X)
    left = [0]
    model = planted(left).fit(X)
    before = bits(model)
    left[0] = 99
    with pytest.raises(TrainingDiverged):
        model.fit(X)
    assert bits(model) == before


# ---- what belongs to the process


def test_nothing_of_the_process_moves(tmp_path):
    import pickle

    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002, the global generator is what must not move
    random.seed(3)

    def state():
        return (
            torch.get_rng_state().numpy().tobytes(),
            str(np.random.get_state()),  # noqa: NPY002
            random.getstate(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
        )

    before = state()
    for model in (small(n_orders=2), small(class_conditional="separate"), small(random_state=None)):
        model.fit(X, y)
        assert state() == before
        model.score_samples(X)
        model.sample(5)
        model.partial_fit(X, y)
        pickle.loads(pickle.dumps(model)).score_samples(X)
        assert state() == before


def test_fits_in_threads_are_those_one_after_another():
    def fit(seed):
        return bits(small(random_state=seed).fit(X, y))

    serial = [fit(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(fit, range(8))) == serial


def test_another_default_dtype_is_no_hindrance():
    fitted = small().fit(X, y)
    want = bits(fitted)
    torch.set_default_dtype(torch.float64)
    try:
        assert bits(fitted) == want
        again = small().fit(X, y)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert np.isfinite(again.score_samples(X)).all()
    assert {w.dtype for name, w in again._fitted._weights.items() if name.endswith("weight")} == {np.dtype(np.float32)}


def test_a_fit_under_no_grad_learns():
    rows = (np.random.default_rng(0).random((200, 2)) < [0.2, 0.9]).astype(int)
    want = bits(FVSBN(max_epochs=3, random_state=0).fit(rows), rows)
    with torch.no_grad():
        assert bits(FVSBN(max_epochs=3, random_state=0).fit(rows), rows) == want
