"""Model files: what comes back, what is refused, and what a file can never do."""

import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import BayesianGaussianMixture
from sklearn.mixture import GaussianMixture as SKGaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, PowerTransformer, RobustScaler, StandardScaler

import skgen
from skgen.containers import from_plain
from skgen.files import _digest
from skgen.storing import Reader, Unstorable, Writer

RNG = np.random.default_rng(0)
N = 80
LABELS = RNG.choice(["yes", "no"], N)
TABLE = pd.DataFrame(
    {
        "size": RNG.normal(size=N),
        "colour": pd.Categorical(RNG.choice(["red", "blau", "vert"], N), categories=["red", "blau", "vert", "other"]),
        "count": RNG.integers(0, 9, N),
        "on": RNG.random(N) < 0.5,
        "text": pd.Series(RNG.choice(["a", "b"], N), dtype="str"),
        "large": pd.array(RNG.integers(0, 3, N), dtype="Int64"),
    }
)
NUMBERS = TABLE[["size", "count"]].astype(float)


def table_of(name):
    if name == "markov_chain":
        return (NUMBERS > 0).astype(int).to_numpy()
    return TABLE if "categorical" in skgen.make(name).kinds and name != "hmm" else NUMBERS


def through(model, folder):
    path = folder / "model.skgen"
    skgen.save(model, path)
    return skgen.load(path)


def equal(a, b):
    return a.equals(b) if hasattr(a, "equals") else np.array_equal(a, b)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore::skgen.reading.ColumnWarning")
@pytest.mark.parametrize("name", skgen.names())
def test_every_model_answers_as_before(name, tmp_path):
    X = table_of(name)
    for y in (None, LABELS):
        model = skgen.make(name, random_state=0).set_params(**skgen.make(name).quick)
        model = model.fit(X) if y is None else model.fit(X, y)
        back = through(model, tmp_path)
        assert type(back) is type(model)
        assert repr(back) == repr(model)
        assert np.array_equal(back.score_samples(X), model.score_samples(X))
        assert equal(back.sample(20, random_state=1), model.sample(20, random_state=1))
        if y is not None:
            assert np.array_equal(back.predict_proba(X), model.predict_proba(X))
        assert repr(clone(back)) == repr(model)
        trusted = skgen.trusted_types(*{skgen.registry.find(name).distribution} - {"skgen"})
        for copy in (
            pickle.loads(pickle.dumps(model)),
            skops.io.loads(skops.io.dumps(model), trusted=trusted),
        ):
            assert np.array_equal(copy.score_samples(X), model.score_samples(X))
            assert equal(copy.sample(20, random_state=1), model.sample(20, random_state=1))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_models_made_of_models_come_back(tmp_path):
    X, y = load_iris(return_X_y=True)
    for model in (
        skgen.GenerativeClassifier(skgen.make("gaussian_mixture", random_state=0)),
        skgen.make("mixture", component="chow_liu", n_components=2, random_state=0),
        skgen.make(
            "mixture", component=skgen.make("mixture", n_components=2, max_iter=3), n_components=2, max_iter=3, random_state=0
        ),
    ):
        model.fit(X, y)
        assert np.array_equal(through(model, tmp_path).predict_proba(X), model.predict_proba(X))
    imputer = skgen.GenerativeImputer(skgen.make("gaussian_mixture", random_state=0)).fit(X)
    X[::7, 1] = np.nan
    assert np.array_equal(through(imputer, tmp_path).transform(X), imputer.transform(X))


@pytest.mark.parametrize(
    "density", [skgen.make("gaussian_mixture", random_state=0), "naive_bayes", SKGaussianMixture(2, random_state=0)]
)
@pytest.mark.parametrize(
    "transformer",
    [
        *(StandardScaler(), MinMaxScaler(), MaxAbsScaler(), RobustScaler(), PowerTransformer(), PowerTransformer("box-cox")),
        *(PCA(), make_pipeline(StandardScaler(), PCA(whiten=True)), "passthrough"),
    ],
    ids=str,
)
def test_densities_behind_scikit_learns_transformers_come_back(transformer, density, tmp_path):
    X, y = load_iris(return_X_y=True)
    model = skgen.TransformedDensity(transformer, density, random_state=0).fit(X, y)
    back = through(model, tmp_path)
    assert np.array_equal(back.score_samples(X), model.score_samples(X))
    assert np.array_equal(back.sample(20, random_state=0), model.sample(20, random_state=0))
    assert repr(back) == repr(model)


def test_scikit_learns_densities_come_back(tmp_path):
    X, y = load_iris(return_X_y=True)
    for density in (SKGaussianMixture(2, random_state=0), BayesianGaussianMixture(n_components=2, max_iter=500, random_state=0)):
        model = skgen.GenerativeClassifier(density).fit(X, y)
        assert np.array_equal(through(model, tmp_path).predict_proba(X), model.predict_proba(X))


def test_trusted_types_are_those_of_skgen_and_of_plugins_by_name():
    own = skgen.trusted_types()
    assert all(name.startswith("skgen.") or name == "numpy.dtype" for name in own)
    with pytest.raises(ValueError, match="no distribution 'no-such-thing' with models"):
        skgen.trusted_types("no_such_thing")
    stored = skops.io.dumps(skgen.make("mixture", component=Odd()))
    with pytest.raises(skops.io.exceptions.UntrustedTypesFoundException, match="Odd"):
        skops.io.loads(stored, trusted=own)


def test_a_frame_of_polars_comes_back_as_one(tmp_path):
    frame = pl.DataFrame({"a": NUMBERS["size"].to_numpy(), "b": pl.Series(LABELS, dtype=pl.Enum(["yes", "no", "other"]))})
    model = skgen.make("naive_bayes").fit(frame)
    one, other = through(model, tmp_path).sample(9, random_state=0), model.sample(9, random_state=0)
    assert isinstance(one, pl.DataFrame)
    assert one.equals(other)
    assert one.schema == frame.schema
    assert pickle.loads(pickle.dumps(model)).sample(9, random_state=0).equals(other)


def test_unfitted_models_and_values_of_all_sorts_come_back(tmp_path):
    assert repr(through(skgen.make("naive_bayes", alpha=0.3), tmp_path)) == "NaiveBayes(alpha=0.3)"
    values = [
        *(None, True, 7, 2**70, -0.0, 1e-320, float("inf"), "süß \ud800", [], (), (1, (2,)), {}, {1: "a", ("b", 2): [None]}),
        *(slice(1, None), np.dtype(">f4"), np.float32, np.float64(0.1), np.int8(-3), np.bool_(True), np.datetime64("2020-01-02")),
    ]
    arrays = [
        *(
            np.empty((0, 3)),
            np.array(5),
            np.arange(6.0).reshape(2, 3).T,
            np.arange(9)[::2],
            np.array([True, False]),
            np.zeros(2, "f2"),
        ),
        *(np.array(["ab", "", "ç"]), np.array(["2020-01-01", "NaT"], "M8[D]"), np.array(["a", "bc"], object)),
        *(np.array([None, "a", 2], object), np.array([1, 2], ">i4"), np.array([[np.nan, np.inf]]), np.array([], object)),
    ]
    writer = Writer()
    told = json.loads(json.dumps([writer.value(v, "v") for v in [*values, *arrays]]))
    reader = Reader(writer.objects, writer.arrays)
    for v, stored in zip([*values, *arrays], told, strict=True):
        back = reader.value(stored)
        assert type(back) is type(v)
        if isinstance(v, np.ndarray):
            assert (back.dtype, back.shape, back.flags.f_contiguous) == (
                v.dtype,
                v.shape,
                np.array(v, order="K").flags.f_contiguous,
            )
            assert back.tobytes() == v.tobytes() or back.tolist() == v.tolist()
        else:
            assert back == v
            assert str(back) == str(v)


# ---- what is refused


class Odd(skgen.make("naive_bayes").__class__):
    """Not registered."""


def test_what_a_file_cannot_hold_is_named_and_the_old_file_is_kept(tmp_path):
    X, y = load_iris(return_X_y=True)
    path = tmp_path / "model.skgen"
    skgen.save(skgen.make("naive_bayes").fit(X, y), path)
    before = path.read_bytes()
    model = skgen.make("naive_bayes")
    for bad, told in (
        (
            skgen.make("gaussian_mixture", random_state=np.random.RandomState(0)),
            "The parameter random_state of GaussianMixture is a",
        ),
        (skgen.make("mixture", component=LogisticRegression()), "The parameter component of Mixture is a sklearn"),
        (skgen.make("naive_bayes", priors=lambda: 1), "The parameter priors of NaiveBayes is a builtins.function"),
        (Odd().fit(X, y), "register the class as an entry point"),
        (LogisticRegression(), "LogisticRegression"),
        (skgen.make("naive_bayes", priors=np.array([1j])), "is an array of complex128"),
        (type(model), "give a model and then a path"),
    ):
        with pytest.raises(ValueError, match=told):
            skgen.save(bad, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.skgen"]
    with pytest.raises(FileNotFoundError):
        skgen.save(model, tmp_path / "no" / "model.skgen")
    model._mind = sys
    with pytest.raises(Unstorable, match=r"The attribute _mind of NaiveBayes is an? "):
        skgen.save(model, path)


class Scaler(StandardScaler):
    """An object that no file knows."""


class Held(skgen.GenerativeModel):
    """A stranger's model around an object that no file knows."""

    kinds = frozenset({"continuous"})

    def _fit(self, X, weight, rng):
        self._other = Scaler().fit(X, sample_weight=weight)

    def _log_prob(self, X):
        return -0.5 * (self._other.transform(X) ** 2 + np.log(2 * np.pi * self._other.var_)).sum(axis=1)

    def _sample(self, n, rng):
        return self._other.inverse_transform(rng.normal(size=(n, len(self.columns_))))


class Handing(Held):
    """The same, which hands over arrays."""

    def _get_state(self):
        return {name: getattr(self._other, name) for name in ("mean_", "var_", "scale_")} if hasattr(self, "_other") else {}

    def _set_state(self, state):
        if state:
            self._other = Scaler()
            vars(self._other).update(state)


def test_a_model_around_another_object_hands_over_its_state(tmp_path, monkeypatch):
    from skgen import registry, storing

    found = [registry.Entry(c.__name__.lower(), f"{__name__}:{c.__name__}", "stranger") for c in (Held, Handing)]
    monkeypatch.setattr(storing, "entries", lambda: (*registry.entries(), *found))
    monkeypatch.setattr(storing, "find", lambda name: registry.find(name, [*registry.entries(), *found]))
    X, y = load_iris(return_X_y=True)
    model = Handing().fit(X, y)
    assert np.array_equal(through(model, tmp_path).predict_proba(X), model.predict_proba(X))
    with pytest.raises(
        ValueError,
        match=r"The attribute _other of Held is a test_files.Scaler, which a model file cannot hold: give the model _get_state",
    ):
        skgen.save(Held().fit(X), tmp_path / "other.skgen")
    monkeypatch.undo()
    skgen_error = pytest.raises(
        skgen.PluginError, match=r"holds a model 'stranger:handing', which is not installed: pip install stranger"
    )
    with skgen_error:
        skgen.load(tmp_path / "model.skgen")


# ---- what a file can never do


def written(tmp_path, change=lambda told: None, **more):
    """A file whose description was changed, with the right digest."""
    X, y = load_iris(return_X_y=True)
    writer = Writer()
    root = writer.value(skgen.make("gaussian_mixture", random_state=0).fit(X, y), "model")
    told = {"format": 1, "version": skgen.__version__, "root": root, "objects": writer.objects} | more
    change(told)
    text = json.dumps(told)
    path = tmp_path / "changed.skgen"
    save_file(writer.arrays, path, metadata={"skgen": text, "sha256": _digest(text, writer.arrays)})
    return path


@pytest.mark.parametrize(
    "name",
    [
        *(
            "os:system",
            "builtins:eval",
            "skgen:../../etc/passwd",
            "skgen.cli:main",
            "skgen:naive_bayes.__init__",
            "subprocess:Popen",
        ),
        *("Popen", "skgen.compose:GenerativeClassifier", "../model", "", ":", "skgen:"),
    ],
)
def test_a_file_names_no_class_but_those_of_the_registry(name, tmp_path):
    def change(told):
        told["objects"][0]["model"] = name

    with pytest.raises((ValueError, skgen.PluginError)):
        skgen.load(written(tmp_path, change))

    def held(told):
        told["objects"][0] = {"held": name, "state": []}

    with pytest.raises(ValueError, match="cannot be opened"):
        skgen.load(written(tmp_path, held))


@pytest.mark.parametrize("key", ["__class__", "__dict__", "a.b", "__setstate__", "a b", "../x", ""])
def test_a_file_sets_no_attribute_that_is_not_plain(key, tmp_path):
    def change(told):
        told["objects"][0]["state"].append([key, 1])

    with pytest.raises(ValueError, match="is no name of an attribute"):
        skgen.load(written(tmp_path, change))


def test_odd_descriptions_are_errors_of_one_kind(tmp_path):
    for more in (
        *({"root": value} for value in (None, 3, "skgen", [])),
        *(
            {"root": value}
            for value in ({}, {"object": 99}, {"object": -1}, {"object": "0"}, {"array": "99"}, {"dict": 5}, {"pickle": "x"})
        ),
        *(
            {"root": value}
            for value in ({"text": "0", "lengths": "0", "dtype": "O", "shape": [1]}, {"dtype": "x"}, {"number": "x"})
        ),
        *({"objects": value} for value in (None, [], [5], {"0": 1})),
        {"format": 2},
        {"format": "x"},
    ):
        with pytest.raises(ValueError, match="cannot be opened"):
            skgen.load(written(tmp_path, **more))
    deep = 5
    for _ in range(500):
        deep = [deep]
    with pytest.raises(ValueError, match="too deeply"):
        skgen.load(written(tmp_path, root=deep))
    with pytest.raises(ValueError, match="upgrade skgen"):
        skgen.load(written(tmp_path, format=2))


def test_one_word_of_a_file_takes_no_gigabytes(tmp_path):
    wide = {"pandas": "index", "cells": ["a"] * 3, "dtype": "S900000000", "name": None}
    for value in (wide, {"pandas": "dtype", "dtype": "V900000000"}):
        with pytest.raises(ValueError, match="is no type of a column"):
            from_plain(value)
    tracemalloc.start()
    with pytest.raises(ValueError, match="too wide"):
        skgen.load(written(tmp_path, root={"dtype": "S900000000"}))
    assert tracemalloc.get_traced_memory()[1] < 2**21
    tracemalloc.stop()


def test_pickles_and_other_files_are_no_model_files(tmp_path):
    path = tmp_path / "model.skgen"

    class Runs:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    for stored in (pickle.dumps(Runs()), b"", b"abc", b"\xff" * 100, struct.pack("<Q", 2**50) + b"{}", b"x" * 9):
        path.write_bytes(stored)
        with pytest.raises(ValueError, match="not a model file of skgen"):
            skgen.load(path)
    joblib.dump(Runs(), path)
    with pytest.raises(ValueError, match="not a model file of skgen"):
        skgen.load(path)
    save_file({"a": np.zeros(3)}, path)
    with pytest.raises(ValueError, match="not a model file of skgen"):
        skgen.load(path)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(FileNotFoundError):
        skgen.load(tmp_path / "none.skgen")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    X, y = load_iris(return_X_y=True)
    model = skgen.make("naive_bayes").fit(X, y)
    path = tmp_path_factory.mktemp("files") / "model.skgen"
    skgen.save(model, path)
    return path, path.read_bytes(), model.score_samples(X), X


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_changed_file_is_an_error_or_the_same_model(stored, data):
    path, whole, log_p, X = stored
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        what = data.draw(st.sampled_from(["flip", "cut", "insert", "copy"]))
        if what == "flip":
            changed[at] ^= 1 << data.draw(st.integers(0, 7))
        elif what == "cut":
            del changed[at : at + data.draw(st.integers(1, 64))]
        else:
            source = data.draw(st.integers(0, len(whole) - 1))
            changed[at:at] = data.draw(st.binary(max_size=16)) if what == "insert" else whole[source : source + 40]
        changed = changed or bytearray(b"0")
    other = path.with_name("changed.skgen")
    other.write_bytes(bytes(changed))
    try:
        back = skgen.load(other)
    except ValueError:
        return
    assert np.array_equal(back.score_samples(X), log_p)


def test_opening_takes_less_than_twice_the_file(tmp_path):
    X = np.random.default_rng(0).normal(size=(40_000, 20))
    path = tmp_path / "model.skgen"
    skgen.save(skgen.make("naive_bayes").fit(X[:300]), path)
    model = skgen.load(path)
    model._ballast = X
    skgen.save(model, path)
    del model
    tracemalloc.start()
    skgen.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * path.stat().st_size


def test_a_write_that_is_cut_short_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.skgen"
    small, large = skgen.make("naive_bayes"), skgen.make("naive_bayes")
    skgen.save(small, path)
    before = path.read_bytes()
    large._ballast = np.zeros(10**6)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, limits[1]))
        with pytest.raises(OSError, match=r"could not be written|too large"):
            skgen.save(large, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.skgen"]


def test_a_file_is_for_others_to_read_as_any_new_file_is(tmp_path):
    path, plain = tmp_path / "model.skgen", tmp_path / "plain"
    plain.touch()
    skgen.save(skgen.make("naive_bayes"), path)
    assert path.stat().st_mode == plain.stat().st_mode
    path.chmod(0o640)
    skgen.save(skgen.make("naive_bayes"), path)
    assert path.stat().st_mode & 0o777 == 0o640


def test_torch_is_imported_only_for_models_that_need_it(tmp_path):
    path = tmp_path / "model.skgen"
    skgen.save(skgen.make("chow_liu").fit(TABLE, LABELS), path)
    asked = f"import sys, skgen; skgen.load({str(path)!r}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False, timeout=120).returncode == 0


def test_a_model_of_another_device_opens_here(tmp_path):
    X = load_iris().data
    model = skgen.make("made", max_epochs=1, random_state=0).fit(X)
    model._fitted.set_params(device="cuda")
    for part in model.densities_:
        part.device = "cuda"
    model.device = "cuda"
    assert np.array_equal(through(model, tmp_path).score_samples(X), model.score_samples(X))


# ---- files of releases

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.skgen")), ids=lambda path: path.stem)
def test_files_of_releases_open_and_answer_as_then(path):
    import importlib.util

    told = importlib.util.spec_from_file_location("make_golden", Path(__file__).parents[1] / "tools" / "make_golden.py")
    tool = importlib.util.module_from_spec(told)
    told.loader.exec_module(tool)
    X = tool.table(path.name.split("-")[0])
    then, model = json.loads(path.with_suffix(".json").read_text()), skgen.load(path)
    np.testing.assert_allclose(model.score_samples(X), then["log_p"], rtol=1e-9)
    np.testing.assert_allclose(model.predict_proba(X), then["proba"], atol=1e-9)
    assert list(model.sample(3, random_state=0).columns) == list(X.columns)


def test_there_are_files_of_this_release():
    assert len(list(GOLDEN.glob(f"*-{skgen.__version__}.skgen"))) >= 6
