"""What every model trained by gradients does: early stopping, going on, batches, unknown labels, weights, files, callbacks."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import skgen
from skgen import FVSBN, MADE, Mixture, Snapshots
from skgen.evaluate.displays import HistoryDisplay
from skgen.learn.gradient import Rows
from skgen.learn.labelled import labelled_loss

X, y = load_iris(return_X_y=True)
SMALL = {"hidden_layer_sizes": (8,), "n_components": 1, "max_epochs": 4, "learning_rate": 0.02, "random_state": 0}


def small(**more):
    return MADE(**{**SMALL, **more})


def answers(model, X=X):
    return np.column_stack([model.score_samples(X), *([model.predict_log_proba(X)] if hasattr(model, "predict") else [])])


# ---- early stopping


@pytest.mark.parametrize("labelled", [False, True])
def test_the_weights_kept_are_those_best_on_held_out_rows(labelled):
    rng = np.random.default_rng(0)
    train, held = rng.normal(size=(60, 4)), rng.normal(size=(40, 4))
    a, b = (np.arange(60) % 2, np.arange(40) % 2) if labelled else (None, None)
    train[:, 1] += 2 * train[:, 0]  # something to learn, and little to learn it from
    held[:, 1] += 2 * held[:, 0]
    model = small(max_epochs=60, learning_rate=0.1, batch_size=16, n_iter_no_change=15).fit(train, a, X_val=held, y_val=b)
    best = np.nanmin(model.history_["valid_loss"])
    assert model.history_["valid_loss"][-1] > best  # it did overfit, so there is something to choose
    log_p = model._log_density(held)[0][np.arange(40), b] if labelled else model.score_samples(held)
    in_coded_units = log_p + np.log(model.columns_.scale).sum()
    assert -in_coded_units.mean() == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize("name", ["fvsbn", "nade", "made"])
def test_small_mixed_tables_are_no_worse_than_naive_bayes(name):
    """Where rows are too few to train on, what is left is naive Bayes, and not one density for all classes."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 2060)
    level, flag = pd.Categorical(rng.integers(0, 3, 2060)), rng.random(2060) < 0.3 * label
    table = pd.DataFrame({"z": rng.normal(label, 1), "c": level, "b": flag})
    train, test = slice(0, 60), slice(60, None)
    model = skgen.make(name, random_state=0).fit(table[train], label[train])
    naive = skgen.NaiveBayes().fit(table[train], label[train])
    assert model.score(table[test], label[test]) > naive.score(table[test], label[test]) - 0.03
    assert model.score_samples(table[test]).mean() > naive.score_samples(table[test]).mean() - 0.3
    assert (model.predict(table[test]) == 0).mean() < 0.6


def test_rows_to_stop_by_are_a_quarter_of_a_small_table():
    held = {n: len(MADE()._split(np.zeros((n, 1)), None, np.ones(n), np.random.default_rng(0))[1]) for n in (40, 80, 150, 1000)}
    assert held == {40: 10, 80: 20, 150: 20, 1000: 100}
    assert MADE()._split(np.zeros((8, 1)), None, np.ones(8), np.random.default_rng(0))[1] is None


def test_weights_of_any_size_leave_scores_finite():
    weight = np.where(np.arange(len(X)) % 2, 1e300, 1.0)
    heavy, alone = small().fit(X, sample_weight=weight), small().fit(X, sample_weight=np.where(weight > 1, 1.0, 0.0))
    assert np.isfinite(heavy.score_samples(X)).all()
    assert abs(heavy.score_samples(X).mean() - alone.score_samples(X).mean()) < 0.5


def test_one_wild_cell_is_named():
    wild = X.copy()
    wild[7, 1] = 1e300
    with pytest.warns(skgen.ColumnWarning, match=r"million times as far out.*: 1 \(1e\+300\)"):
        small(max_epochs=1).fit(wild)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small(max_epochs=1).fit(np.where(wild > 100, 50.0, X))


def test_layers_are_an_int_a_list_or_a_tuple():
    one = small().fit(X)
    for given in (8, [8], np.int64(8)):
        assert np.array_equal(small(hidden_layer_sizes=given).fit(X).score_samples(X), one.score_samples(X))
    for wrong in (0, "8", (8.5,), [], None, True):
        with pytest.raises(ValueError, match="hidden_layer_sizes"):
            small(hidden_layer_sizes=wrong).fit(X)


def test_rows_to_stop_by_are_read_in_the_units_of_fit():
    one = small().fit(X, y, X_val=X, y_val=y)
    scaled = small().fit(X * 100, y, X_val=X * 100, y_val=y)
    assert np.allclose(one.history_["valid_loss"], scaled.history_["valid_loss"], atol=1e-5)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"X_val": X}, "X_val needs y_val"),
        ({"y_val": y}, "y_val is given without X_val"),
        ({"X_val": X, "y_val": y + 1}, "y_val has a label that y has not"),
        ({"X_val": X[:9], "y_val": y}, "X_val has 9 rows"),
        ({"X_val": X[:, :2], "y_val": y}, "X has 2 features"),
    ],
)
def test_wrong_rows_to_stop_by_are_named(more, message):
    with pytest.raises(ValueError, match=message):
        small().fit(X, y, **more)


def test_history_has_a_line_an_epoch():
    held_out = small().fit(X).history_
    assert list(held_out) == ["epoch", "train_loss", "learning_rate", "valid_loss", "seconds"]
    assert held_out["epoch"].tolist() == [1, 2, 3, 4]
    assert (np.diff(held_out["seconds"]) > 0).all()
    assert "valid_loss" not in small(early_stopping=False).fit(X).history_


def test_verbose_prints_every_so_many_epochs(capsys):
    small(verbose=2).fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["epoch", "2"], ["epoch", "4"]]
    assert all("train" in line and "valid" in line and "rate" in line for line in lines)
    small().fit(X)
    assert capsys.readouterr().out == ""


# ---- going on


@pytest.mark.parametrize("class_conditional", ["shared", "separate"])
def test_warm_start_goes_on(class_conditional):
    model = small(warm_start=True, class_conditional=class_conditional, max_epochs=2, learning_rate=1e-6).fit(X, y)
    before = model.score_samples(X)
    again = model.fit(X, y).score_samples(X)
    assert np.allclose(again, before, atol=1e-2)  # a rate of 1e-6 moves nothing, a fresh start would
    other = small(class_conditional=class_conditional, max_epochs=2, learning_rate=1e-6, random_state=1).fit(X, y)
    assert not np.array_equal(again, other.score_samples(X))
    further = model.set_params(learning_rate=0.02, max_epochs=20).fit(X, y)
    assert further.score_samples(X).mean() > before.mean() + 0.1


@pytest.mark.parametrize("change", [(X[:, :3], y, {}), (X, None, {}), (X, y, {"hidden_layer_sizes": (9,)})])
def test_warm_start_from_another_network_is_refused(change):
    model = small(warm_start=True).fit(X, y)
    before = answers(model)
    with pytest.raises(ValueError, match="warm_start=False"):
        model.set_params(**change[2]).fit(*change[:2])
    assert np.array_equal(answers(model.set_params(**SMALL)), before)


def test_batch_by_batch():
    order = np.random.default_rng(0).permutation(150)
    model = small()
    for epoch in range(10):
        for at in np.array_split(order, 5):
            model.partial_fit(X[at], y[at], classes=[0, 1, 2] if "classes_" not in vars(model) else None)
        if epoch == 0:
            first = model.score_samples(X).mean()
    assert model.score(X, y) > 0.8
    # it starts as naive Bayes, so there is less to gain than from independent columns
    assert model.score_samples(X).mean() > max(first + 0.3, -1.9)
    assert model.history_["epoch"].tolist()[-1] == 50


def test_a_batch_that_fails_leaves_the_earlier_ones():
    model = small().partial_fit(X, y)
    before, moments = answers(model), copy.deepcopy(model._fitted._moments)
    with pytest.raises(ValueError, match="class_conditional='separate'"):
        model.partial_fit(X, y + 1, classes=[3])
    copied = copy.copy(model)
    copied.partial_fit(X, y)
    assert np.array_equal(answers(model), before)
    now = model._fitted._moments
    assert all(torch.equal(now["state"][0][k], moments["state"][0][k]) for k in ("exp_avg", "exp_avg_sq"))


def test_a_class_that_was_declared_comes_later():
    model = small().partial_fit(X[:100], y[:100], classes=[0, 1, 2])
    assert (model.predict_proba(X)[:, 2] == 0).all()
    model.partial_fit(X[100:], y[100:])
    assert (model.predict_proba(X)[:, 2] > 0).all()


@pytest.mark.parametrize("first", [100, 50])
def test_a_class_is_added_to_separate_networks(first):
    model = small(class_conditional="separate").partial_fit(X[:first], y[:first])
    of_first = model._log_density(X)[0][:, 0]
    order = np.random.default_rng(0).permutation(np.arange(first, 150))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The mean of this batch lies")
        model.partial_fit(X[order], y[order], classes=[1, 2])
    assert np.array_equal(model._log_density(X)[0][:, 0], of_first)
    assert model.predict_proba(X).shape == (150, 3)


# ---- classes and weights


def test_separate_networks_are_one_fit_each():
    model = small(class_conditional="separate", early_stopping=False).fit(X, y)
    seeds = np.random.default_rng(0).spawn(3)
    for k, density in enumerate(model.densities_):
        alone = model._fitted.part(model._fitted.columns_)
        Z = model._coding.encode(model.columns_.encode(X[y == k])[0])[0]
        alone._fit(Z, np.ones(50), seeds[k])
        assert np.array_equal(alone._log_prob(Z), density._log_prob(Z))
    parallel = small(class_conditional="separate", early_stopping=False, n_jobs=2).fit(X, y)
    assert np.array_equal(answers(parallel), answers(model))


class _Table(nn.Module):
    """log p(x = j | y = k) = log softmax of logits[k]."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64))

    def log_prob(self, x, c):
        return (c @ torch.log_softmax(self.logits, dim=1)).gather(1, x.long())[:, 0]


def test_the_loss_of_unknown_labels_is_that_of_the_sum_over_classes():
    share = np.array([0.2, 0.5, 0.3])
    x = torch.tensor([[0.0], [1.0], [2.0], [3.0]], dtype=torch.float64)
    nan = torch.nan
    c = torch.tensor([[1, 0, 0], [nan, nan, nan], [0.25, 0.75, 0], [nan, nan, nan]], dtype=torch.float64)
    module = _Table()
    loss = labelled_loss(share)(module, Rows(x, c, torch.ones(4, dtype=torch.float64)), torch.Generator(), 0.0)
    loss.sum().backward()
    p = torch.softmax(module.logits.detach(), dim=1).numpy()  # p(x | y)
    want = [
        -np.log(p[0, 0]),
        -np.log(share @ p[:, 1]),
        -(0.25 * np.log(p[0, 2]) + 0.75 * np.log(p[1, 2])),
        -np.log(share @ p[:, 3]),
    ]
    assert np.allclose(loss.detach().numpy(), want, atol=1e-12)
    # d loss / d logits = sum over rows of p(y | row) (p(. | y) - 1[x])
    gradient = np.zeros((3, 4))
    posterior = [np.eye(3)[0], share * p[:, 1] / (share @ p[:, 1]), np.array([0.25, 0.75, 0]), share * p[:, 3] / (share @ p[:, 3])]
    for j, r in enumerate(posterior):
        gradient += r[:, None] * (p - np.eye(4)[j])
    assert np.allclose(module.logits.grad.numpy(), gradient, atol=1e-12)


def test_rows_without_a_label_teach_where_labels_are_few():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 400)
    rows = rng.normal(size=(400, 2)) + 4 * label[:, None]
    few = np.where(np.arange(400) < 8, label, -1)
    model = small(unlabeled=-1, max_epochs=40).fit(rows, few)
    assert (model.predict(rows) == label).mean() > 0.97


def test_a_weight_of_two_is_the_row_twice_where_nothing_is_drawn():
    rng = np.random.default_rng(0)
    rows, weight = rng.integers(0, 2, (60, 4)), rng.integers(0, 3, 60)
    label = rows[:, 0] ^ rng.integers(0, 2, 60)
    exact = {"optimizer": "lbfgs", "early_stopping": False, "precision": "float64", "random_state": 0, "weight_decay": 0.01}
    weighted = FVSBN(**exact).fit(rows, label, sample_weight=weight)
    at = np.repeat(np.arange(60), weight)
    repeated = FVSBN(**exact).fit(rows[at], label[at])
    assert np.allclose(answers(weighted, rows), answers(repeated, rows), atol=1e-4)  # as far as the steps converge


def test_inside_a_mixture_weights_are_soft():
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(-4, 1, (150, 2)), rng.normal(4, 1, (150, 2))])
    one = small(max_epochs=20, direct=False)
    model = Mixture(one, n_components=2, n_init=1, max_iter=5, random_state=0).fit(rows)
    responsibility = model.transform(rows)
    assert (np.abs(responsibility[:150].mean(axis=0) - responsibility[150:].mean(axis=0)) > 0.9).all()
    assert model.score(rows) > -5


# ---- precision, devices


@pytest.mark.parametrize("precision", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop", "lbfgs"])
def test_precisions_and_optimizers_learn(precision, optimizer):
    model = small(precision=precision, optimizer=optimizer, max_epochs=15, learning_rate=0.01).fit(X, y)
    assert model.history_["train_loss"].min() < model.history_["train_loss"][0] - 0.1
    assert np.isfinite(answers(model)).all()
    assert all(
        w.dtype == (np.float64 if precision == "float64" else np.float32)
        for w in model._fitted._weights.values()
        if w.dtype.kind == "f" and w.ndim == 2
    )


def test_scores_do_not_depend_on_the_batch():
    model = small().fit(X, y)
    whole = model.score_samples(X)
    one_by_one = np.concatenate([model.score_samples(X[i : i + 1]) for i in range(150)])
    assert np.allclose(one_by_one, whole, rtol=1e-12, atol=0)


@pytest.mark.parametrize("device", ["cuda:77", "nowhere", "meta"])
def test_a_missing_device_is_named(device):
    with pytest.raises(ValueError, match=f"device='{device}' is not there.*use 'auto', 'cpu'"):
        small(device=device).fit(X)


def test_cpu_and_auto():
    assert np.isfinite(small(device="cpu").fit(X).score_samples(X)).all()
    assert np.isfinite(small(device="auto").fit(X).score_samples(X)).all()


# ---- files


def test_a_pickle_is_small_and_holds_no_module():
    model = small().fit(X, y)
    file = pickle.dumps(model)
    n_bytes = 4 * sum(w.size for w in model._fitted._weights.values())
    assert len(file) < 3 * n_bytes + 5000
    assert b"torch" not in file
    again = pickle.loads(file)
    assert np.array_equal(answers(again), answers(model))
    assert np.array_equal(again.sample(5, random_state=0), model.sample(5, random_state=0))


def test_a_model_loads_where_its_device_is_not():
    model = small().fit(X)
    model._fitted.device = "cuda:77"  # as if it had been trained there
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.score_samples(X), model.score_samples(X))


# ---- callbacks


class Told:
    """Everything that scikit-learn tells a callback; ``stop_at`` epoch ends the fit."""

    def __init__(self, stop_at=None):
        self.stop_at, self.began, self.ended = stop_at, [], []

    def setup(self, estimator, context):
        self.began, self.ended = [], []

    def teardown(self, estimator, context):
        self.ended.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None):
        self.began.append((context.task_name, context.task_id, None if X is None else X.shape))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.ended.append((context.task_name, context.task_id, fitted_estimator))
        return context.task_name == "epoch" and context.task_id + 1 == self.stop_at


def test_a_callback_is_told_of_each_epoch_and_may_stop_the_fit():
    told = Told(stop_at=2)
    model = small().set_callbacks(told).fit(X, y)
    assert model.n_iter_ == 2
    assert told.began == [("fit", 0, X.shape), ("epoch", 0, X.shape), ("epoch", 1, X.shape)]
    *epochs, (name, _, last), teardown = told.ended
    assert name == "fit"
    assert teardown == "teardown"
    assert [n for n, _, _ in epochs] == ["epoch", "epoch"]
    assert [e.n_iter_ for _, _, e in epochs] == [1, 2]
    assert epochs[0][2].history_["epoch"].tolist() == [1]
    assert np.isfinite(answers(epochs[0][2])).all()
    assert np.array_equal(answers(last), answers(model))


def test_a_callback_is_torn_down_after_an_error():
    told = Told()
    with pytest.raises(ValueError, match="device"):
        small(device="nowhere").set_callbacks(told).fit(X)
    assert told.ended == ["teardown"]


def test_a_separate_network_is_no_whole_model_yet():
    told = Told()
    small(class_conditional="separate").set_callbacks(told).fit(X, y)
    assert {e for name, _, e in told.ended[:-1] if name == "epoch"} == {None}


def test_progress_bars_reach_through_pipeline_and_search(capsys):
    for outer in (
        make_pipeline(StandardScaler(), small()),
        GridSearchCV(small(), {"learning_rate": [0.1, 0.01]}, cv=2),
    ):
        outer.set_callbacks(ProgressBar()).fit(X, y)
        assert "MADE - fit" in capsys.readouterr().out


@pytest.mark.parametrize("weight", [None, np.ones(150)])
def test_scikit_learns_monitor_scores_each_epoch(weight):
    monitor = ScoringMonitor(scoring="accuracy")
    model = small().set_callbacks(monitor).fit(X, y, sample_weight=weight)
    lines = monitor.get_logs().data
    accuracy = {line["task_id_path"]: line["accuracy"] for line in lines}
    assert {path for path in accuracy if len(path) == 2} == {(0, e) for e in range(4)}
    assert accuracy[0,] == model.score(X, y)


# ---- snapshots, pictures


@pytest.mark.parametrize("label", [None, 1, np.array([0, 1, 2, 2])])
def test_snapshots_draw_from_one_noise_and_leave_the_fit_as_it_is(label):
    seen = Snapshots(epochs=(1, 3, 99), n_samples=4, y=label)
    plain = small().fit(X, y)
    model = small().set_callbacks(seen).fit(X, y)
    assert np.array_equal(answers(model), answers(plain))
    assert sorted(seen.samples_) == [1, 3]
    assert not np.array_equal(seen.samples_[1], seen.samples_[3])
    fitted = small(max_epochs=1).fit(X, y)
    if fitted.history_["valid_loss"][0] == np.nanmin(model.history_["valid_loss"][:1]):
        assert np.array_equal(seen.samples_[1], fitted.sample(4, y=label, random_state=0))


def test_snapshots_leave_a_generator_that_was_given_where_it_is():
    a, b = (np.random.default_rng(5) for _ in range(2))
    seen = Snapshots(epochs=(1, 2), n_samples=3)
    model = small(random_state=a).set_callbacks(seen).fit(X)
    plain = small(random_state=b).fit(X)
    assert np.array_equal(answers(model), answers(plain))
    assert a.bit_generator.state == b.bit_generator.state


@pytest.mark.parametrize("wrong", [{"epochs": (0,)}, {"epochs": (1.5,)}, {"n_samples": 0}])
def test_snapshots_refuse_what_is_no_number(wrong):
    with pytest.raises(ValueError, match="whole number"):
        Snapshots(**wrong)


def test_history_is_drawn():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    model = small().fit(X)
    display = HistoryDisplay.from_estimator(model)
    assert [line.get_label() for line in display.lines_] == ["training", "held out"]
    assert np.array_equal(display.lines_[1].get_ydata(), model.history_["valid_loss"])
    assert display.ax_.get_title() == "MADE"
    _, ax = plt.subplots()
    again = HistoryDisplay.from_estimator(small(early_stopping=False).fit(X), ax=ax)
    assert again.ax_ is ax
    assert again.figure_ is ax.figure
    assert len(again.lines_) == 1
    plt.close("all")


def test_history_of_what_has_none_is_refused():
    with pytest.raises(ValueError, match="has no history_"):
        HistoryDisplay.from_estimator(skgen.NaiveBayes().fit(X))
    with pytest.raises(ValueError, match="densities_"):
        HistoryDisplay.from_estimator(small(class_conditional="separate").fit(X, y))
