"""How tables are read and given back: kinds, levels, units, ties, containers, and what is refused."""

import datetime as dt
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skgen
from skgen import ColumnWarning, NaiveBayes

settings.register_profile("skgen", max_examples=25, derandomize=True, deadline=None)
settings.load_profile("skgen")


def kinds(X, *args, **options):
    return skgen.columns(X, *args, **options).kinds


def mixed(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "height": rng.normal(1.7, 0.1, n),
            "age": rng.integers(18, 90, n),
            "member": rng.random(n) < 0.5,
            "sex": np.array(["F", "M"])[rng.integers(0, 2, n)],
            "size": pd.Categorical.from_codes(rng.integers(0, 3, n), ["S", "M", "L", "XL"], ordered=True),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D"),
            "took": pd.to_timedelta(rng.integers(1, 500, n), unit="min"),
            "visits": pd.array(rng.integers(0, 9, n), dtype="Int64"),
            "flag": rng.integers(0, 2, n),
        }
    )


# ---- kinds


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (np.array([0.5, 1.5, 2.25]), "continuous"),
        (np.array([0.5, 1.5, 2.25], dtype=np.float32), "continuous"),
        (pd.array([0.5, None, 2.25], dtype="Float64"), "continuous"),
        (np.array([3, 4, 9]), "integer"),
        (np.array([3, 4, 9], dtype=np.uint8), "integer"),
        (pd.array([3, None, 9], dtype="Int64"), "integer"),
        (np.array([0, 1, 1]), "binary"),
        (pd.array([0, None, 1], dtype="Int8"), "binary"),
        (np.array([1, 1, 1]), "integer"),  # both must occur
        (np.array([0, 1, 2]), "integer"),
        (np.array([True, True, True]), "binary"),
        (pd.array([True, None, False], dtype="boolean"), "binary"),
        (np.array(["a", "b", "a"]), "categorical"),
        (pd.Series(["a", "b", None], dtype="string"), "categorical"),
        (pd.Categorical(["x", "y", "x"]), "categorical"),
        (pd.Categorical([1, 2, 1]), "categorical"),
        (np.array([1, 2.5, None], dtype=object), "continuous"),
        (np.array([1, 2, None], dtype=object), "integer"),
        (np.array([True, None, False], dtype=object), "binary"),
        (pd.to_datetime(["2020-01-01", None, "2021-05-05"]), "continuous"),
        (pd.to_datetime(["2020-01-01", None, "2021-05-05"]).tz_localize("Europe/Paris"), "continuous"),
        (pd.to_timedelta(["1h", None, "3h"]), "continuous"),
    ],
)
def test_kind_of_a_column_by_its_dtype(cells, kind):
    assert kinds(pd.DataFrame({"c": cells})) == [kind]


@pytest.mark.parametrize(
    ("X", "kind"),
    [
        (np.array([[0.0, 1.0], [1.0, 1.0]]), "binary"),
        (np.array([[0.0, np.nan], [1.0, 1.0]]), "binary"),
        (np.array([[0, 1], [1, 1]]), "binary"),
        (np.array([[1.0, 1.0], [1.0, 1.0]]), "continuous"),
        (np.array([[0, 1], [2, 1]]), "integer"),
        (np.array([[True, False], [True, True]]), "binary"),
        (np.array([[0.5, 1.0], [1.0, 0.0]]), "continuous"),
        ([[1, 2], [3, 4]], "integer"),
    ],
)
def test_an_array_has_one_kind(X, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ColumnWarning)
        assert kinds(X) == [kind, kind]


def test_an_array_of_text_and_numbers_is_read_column_by_column():
    X = np.array([["a", 1.5, 3], ["b", 2.5, 4], ["a", 0.5, 7]], dtype=object)
    assert kinds(X) == ["categorical", "continuous", "integer"]


def test_nan_changes_no_kind():
    frame = mixed().astype({"age": "Int64", "member": "boolean", "flag": "Int64"})
    before = kinds(frame)
    holes = frame.copy()
    holes.iloc[::7, :] = None
    assert kinds(holes) == before


def test_whole_floats_with_nan_get_one_warning():
    frame = pd.DataFrame({"a": [1.0, 2.0, np.nan, 3.0], "b": [4.0, 5.0, 6.0, np.nan], "c": [0.5, 1.5, 2.5, 3.5]})
    with pytest.warns(ColumnWarning, match="Float columns of whole numbers and NaN.*: 'a', 'b'.*column_kinds") as seen:
        skgen.columns(frame)
    assert len(seen) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asked = skgen.columns(frame, {"a": "integer", "b": "continuous"})
    assert asked.kinds == ["integer", "continuous", "continuous"]


def test_repeated_and_constant_columns_get_one_warning_each():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"dice": rng.integers(1, 7, 200) / 2, "same": 3.0, "fine": rng.normal(size=200), "half": rng.integers(0, 2, 200) / 2}
    )
    with pytest.warns(ColumnWarning) as seen:
        found = skgen.columns(frame)
    said = sorted(str(w.message) for w in seen)
    assert len(said) == 2
    assert "'same'" in said[0]
    assert "few distinct values: 'dice', 'half'" in said[1]
    assert "'fine'" not in "".join(said)
    assert found.scale[1] == 1.0


# ---- column_kinds


def test_column_kinds_as_text_dict_and_columns():
    frame = mixed()
    assert kinds(frame[["age", "visits"]] * 1.5, "continuous") == ["continuous", "continuous"]
    with pytest.warns(ColumnWarning, match="few distinct values: 'flag'"):
        skgen.columns(frame, {"flag": "continuous"})
    found = skgen.columns(frame, {"age": "categorical", "flag": "integer", 0: "auto"})
    assert found.kinds[1] == "categorical"
    assert found.kinds[-1] == "integer"
    assert found.kinds[3] == "categorical"
    half = NaiveBayes(column_kinds=found).fit(frame[:10])
    assert half.columns_.kinds == found.kinds
    assert [None if a is None else a.tolist() for a in half.columns_.levels] == [
        None if a is None else a.tolist() for a in found.levels
    ]
    assert not np.isnan(half.score_samples(frame)).any()
    assert np.isfinite(half.score_samples(frame)).all()  # levels seen elsewhere are inside the support
    alone = NaiveBayes(column_kinds={"age": "categorical"}).fit(frame[:10])
    assert (alone.score_samples(frame[10:]) == -np.inf).any()  # without them, some are not
    np.testing.assert_allclose(half.columns_.loc[0], frame["height"][:10].mean())  # units are those of the rows
    with pytest.raises(ValueError, match="column_kinds was read from columns"):
        skgen.columns(frame[["age"]], found)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"heigth": "continuous"}, "'heigth', which is not a column. Did you mean 'height'?"),
        ({99: "continuous"}, "names 99, which is not a column"),
        ({"age": "number"}, "'number' for column 'age': choose one of continuous, integer"),
        ("number", "'number'"),
        (3, "must be 'auto', one of"),
        ({"sex": "continuous"}, "Column 'sex' holds text or categories and cannot be continuous"),
        ({"sex": "integer"}, "Column 'sex' holds text or categories and cannot be integer"),
        ({"height": "integer"}, "Column 'height' holds .* and cannot be integer"),
        ({"age": "binary"}, "Column 'age' has .* distinct values and cannot be binary"),
    ],
)
def test_column_kinds_refused(wanted, said):
    with pytest.raises(ValueError, match=said):
        skgen.columns(mixed(), wanted)


def test_identifiers_and_free_text_are_refused():
    words = [f"user {i}" for i in range(60)]
    with pytest.raises(ValueError, match=r"Column 'id' has 60 levels in 60 cells, one a row: an identifier or free text.*Drop"):
        skgen.columns(pd.DataFrame({"id": words, "x": np.arange(60.0)}))
    many = pd.DataFrame({"id": np.repeat([f"u{i}" for i in range(10_001)], 2)})
    with pytest.raises(ValueError, match="more than 10,000"):
        skgen.columns(many)
    assert kinds(pd.DataFrame({"id": words[:20]})) == ["categorical"]  # too few rows to tell
    assert kinds(pd.DataFrame({"id": pd.Categorical(words)})) == ["categorical"]  # declared


def test_a_column_with_nothing_in_it():
    with pytest.raises(ValueError, match="'c' has no observed value"):
        skgen.columns(pd.DataFrame({"c": pd.Series([None, None], dtype="string"), "d": [1, 2]}))
    with pytest.warns(skgen.ColumnWarning, match="without an observed cell: 'c'"):
        model = NaiveBayes().fit(pd.DataFrame({"c": [np.nan] * 30, "d": np.linspace(0, 1, 30)}))
    assert np.isfinite(model.score_samples(pd.DataFrame({"c": [0.3], "d": [0.5]}))).all()


def test_two_columns_of_one_name():
    with pytest.raises(ValueError, match="two columns named 'a'"):
        skgen.columns(pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]))


# ---- units


def test_units_are_the_mean_and_sd_of_the_rows():
    rng = np.random.default_rng(0)
    X, weight = rng.normal([5, -3], [2, 0.1], (400, 2)), rng.random(400)
    found = skgen.columns(X, sample_weight=weight)
    mean = np.average(X, axis=0, weights=weight)
    np.testing.assert_allclose(found.loc, mean)
    np.testing.assert_allclose(found.scale, np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weight)))
    np.testing.assert_allclose([found.low, found.high], [X.min(0), X.max(0)])
    Z, bad = found.encode(X)
    assert bad is None
    np.testing.assert_allclose(Z, (X - found.loc) / found.scale)
    np.testing.assert_allclose(found.decode(Z), X)
    np.testing.assert_allclose(found.log_jacobian(Z), -np.log(found.scale).sum())
    Z[0, 1] = np.nan
    np.testing.assert_allclose(found.log_jacobian(Z)[:2], [-np.log(found.scale[0]), -np.log(found.scale).sum()])


def test_tied_columns():
    rng = np.random.default_rng(0)
    X = rng.normal([0, 10, 2, 30], [1, 5, 3, 7], (300, 4))
    steps = skgen.columns(X, step_features=2)
    np.testing.assert_allclose(steps.loc, [X[:, ::2].mean(), X[:, 1::2].mean()] * 2)
    np.testing.assert_allclose(steps.scale, [X[:, ::2].std(), X[:, 1::2].std()] * 2)
    pixels = skgen.columns(X, image_shape=(2, 2))
    np.testing.assert_allclose(pixels.scale, X.std())
    coloured = skgen.columns(X, image_shape=(1, 2, 2))
    np.testing.assert_allclose(coloured.scale, steps.scale)
    shared = skgen.columns(X, units="shared")
    np.testing.assert_allclose(shared.loc, X.mean())
    frame = pd.DataFrame(rng.integers(0, 5, (50, 4)), columns=list("abcd")).assign(e=rng.normal(size=50), f=rng.normal(9, 3, 50))
    tied = skgen.columns(frame, units="shared")
    np.testing.assert_allclose(tied.scale, [1] * 4 + [np.std(frame[["e", "f"]].to_numpy())] * 2)


def test_tied_columns_share_kind_and_levels():
    X = np.array([[0, 1], [1, 0], [0, 7]])
    assert kinds(pd.DataFrame(X)) == ["binary", "integer"]
    assert kinds(pd.DataFrame(X), image_shape=(1, 2)) == ["integer", "integer"]
    text = pd.DataFrame({"t0": ["a", "b", "a"], "t1": ["c", "a", "a"]})
    found = skgen.columns(text, step_features=1)
    assert [levels.tolist() for levels in found.levels] == [["a", "b", "c"]] * 2
    with pytest.raises(ValueError, match="cannot be both"):
        skgen.columns(text, {"t0": "categorical", "t1": "binary"}, step_features=1)
    with pytest.raises(ValueError, match=r"image_shape=\(3, 3\) has 9 pixels, but X has 2 columns"):
        skgen.columns(X, image_shape=(3, 3))
    with pytest.raises(ValueError, match="does not divide the 2 columns"):
        skgen.columns(X, step_features=3)
    with pytest.raises(ValueError, match="give one of them"):
        skgen.columns(X, step_features=1, image_shape=(1, 2))


# ---- outside the support


def test_cells_outside_the_support_are_found():
    frame = pd.DataFrame({"i": [1, 5, 9], "b": [0, 1, 1], "c": ["x", "y", "x"], "f": [0.5, 1.5, 2.5]})
    found = skgen.columns(frame)
    new = pd.DataFrame(
        {"i": [2.5, 100.0, 1.0, np.nan], "b": [0, 1, 2, np.nan], "c": ["x", "z", "y", None], "f": [1e9, 0, -1e9, np.nan]}
    )
    Z, bad = found.encode(new)
    assert bad.tolist() == [True, True, True, False]  # 2.5; a new level; 2 in a binary column; nothing but missing cells
    assert np.isnan(Z[[0, 1, 2], [0, 2, 1]]).all()
    assert np.isnan(Z[3]).all()
    assert Z[1, 0] == 100  # an integer never seen is inside
    binary = skgen.columns(np.array([[0, 1], [1, 1]]))
    assert binary.encode(np.array([[0.0, 1.0], [2.0, 0.0]]))[1].tolist() == [False, True]


def test_declared_levels_stay_and_are_smoothed():
    frame = pd.DataFrame({"size": pd.Categorical(["S", "M", "S", "M"], categories=["S", "M", "L"], ordered=True)})
    model = NaiveBayes(random_state=0).fit(frame, [0, 0, 1, 1])
    assert model.columns_.levels[0].tolist() == ["S", "M", "L"]
    large = pd.DataFrame({"size": pd.Categorical(["L"], categories=["S", "M", "L"], ordered=True)})
    np.testing.assert_allclose(model.score_samples(large), np.log(1 / 5))  # (0 + 1) / (2 + 3)
    drawn = model.sample(20)
    assert drawn["size"].dtype == frame["size"].dtype
    assert (model.sample(500)["size"] == "L").any()


# ---- and back


def test_a_frame_comes_back_as_it_came():
    frame = mixed()
    found = skgen.columns(frame)
    back = found.decode(found.encode(frame)[0])
    pd.testing.assert_frame_equal(back, frame, check_exact=False, rtol=1e-12)
    drawn = NaiveBayes(random_state=0).fit(frame).sample(15)
    pd.testing.assert_index_equal(drawn.index, pd.RangeIndex(15))
    assert drawn.dtypes.tolist() == frame.dtypes.tolist()
    assert drawn.columns.tolist() == frame.columns.tolist()
    assert NaiveBayes().fit(frame).sample(0).dtypes.tolist() == frame.dtypes.tolist()
    assert drawn["since"].between("2010-01-01", "2035-01-01").all()


def test_missing_cells_come_back_missing():
    frame = mixed().astype({"age": "Int64", "member": "boolean"}).drop(columns="flag")
    frame.iloc[::5, :] = None
    found = skgen.columns(frame)
    back = found.decode(found.encode(frame)[0])
    pd.testing.assert_frame_equal(back, frame, check_exact=False, rtol=1e-12)


def test_time_zones_and_resolutions_come_back():
    stamps = pd.date_range("2021-03-01", periods=30, freq="37h", tz="America/New_York")
    frame = pd.DataFrame({"t": stamps, "s": stamps.tz_localize(None).astype("datetime64[s]")})
    found = skgen.columns(frame)
    pd.testing.assert_frame_equal(found.decode(found.encode(frame)[0]), frame)
    assert NaiveBayes(random_state=0).fit(frame).sample(3).dtypes.tolist() == frame.dtypes.tolist()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int8, np.uint8, bool])
def test_an_array_comes_back_with_its_dtype_and_in_its_range(dtype):
    rng = np.random.default_rng(0)
    X = (rng.random((80, 3)) < 0.5) if dtype is bool else rng.normal(100, 20, (80, 3)).clip(0, 127).astype(dtype)
    model = NaiveBayes(random_state=0, distributions={"integer": "normal"}).fit(X)
    drawn = model.sample(400)
    assert drawn.dtype == X.dtype
    assert drawn.shape == (400, 3)
    if dtype is not bool:
        assert 60 < drawn.mean() < 140  # nothing wraps around
        assert abs(drawn.astype(float).mean() - X.astype(float).mean()) < 6
    found = skgen.columns(X)
    np.testing.assert_allclose(found.decode(found.encode(X.astype(float))[0]), X, rtol=1e-6)


def test_arrays_of_text_and_objects_come_back():
    X = np.array([["a", 1.5, 3], ["b", 2.5, 4], ["a", 0.5, 7]] * 5, dtype=object)
    drawn = NaiveBayes(random_state=0).fit(X).sample(5)
    assert drawn.dtype == object
    assert set(drawn[:, 0]) <= {"a", "b"}
    assert all(isinstance(v, int) or float(v).is_integer() for v in drawn[:, 2])
    text = np.array([["yes", "x"], ["no", "y"]] * 5)
    drawn = NaiveBayes(random_state=0).fit(text).sample(4)
    assert drawn.dtype == text.dtype
    assert set(drawn[:, 0]) <= {"yes", "no"}


def test_polars_frames_come_back():
    frame = pl.DataFrame(
        {
            "f": [0.5, 1.5, None, 2.0] * 5,
            "i": [1, 2, 3, None] * 5,
            "b": [True, False, None, True] * 5,
            "s": ["a", "b", "a", None] * 5,
            "d": [dt.date(2020, 1, 1), dt.date(2020, 2, 1), dt.date(2021, 1, 1), None] * 5,
            "e": pl.Series(["lo", "hi", "lo", None] * 5, dtype=pl.Enum(["lo", "mid", "hi"])),
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ColumnWarning)
        model = NaiveBayes(random_state=0).fit(frame)
    assert model.columns_.kinds == ["continuous", "integer", "binary", "categorical", "continuous", "categorical"]
    assert model.columns_.levels[5].tolist() == ["lo", "mid", "hi"]
    drawn = model.sample(7)
    assert isinstance(drawn, pl.DataFrame)
    assert drawn.schema == frame.schema
    back = model.columns_.decode(model.columns_.encode(_pandas(frame))[0])
    assert back.drop("f").equals(frame.drop("f"))
    assert np.isfinite(model.score_samples(frame)).all()


def _pandas(frame):
    from skgen.containers import as_table

    return as_table(frame, "test")[0]


cells = {
    "float": st.floats(-1e12, 1e12, allow_subnormal=False),
    "int": st.integers(-(2**40), 2**40),
    "text": st.sampled_from(["a", "b", "ä", "", "long text"]),
    "bool": st.booleans(),
    "date": st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)).map(lambda t: t.replace(microsecond=0)),
}


@given(st.data())
def test_round_trip_of_any_table(data):
    rows = data.draw(st.integers(1, 12))
    chosen = data.draw(st.lists(st.sampled_from(sorted(cells)), min_size=1, max_size=4))
    holes = data.draw(st.booleans())
    table = {}
    for j, kind in enumerate(chosen):
        values = data.draw(st.lists(cells[kind] | st.none() if holes else cells[kind], min_size=rows, max_size=rows))
        if all(v is None for v in values):
            values[0] = data.draw(cells[kind])
        dtype = {"float": "Float64", "int": "Int64", "text": "string", "bool": "boolean", "date": "datetime64[s]"}[kind]
        table[f"{kind} {j}"] = pd.Series(values, dtype=dtype)
    frame = pd.DataFrame(table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ColumnWarning)
        found = skgen.columns(frame)
    Z, bad = found.encode(frame)
    assert bad is None
    assert not np.isinf(Z).any()
    np.testing.assert_array_equal(np.isnan(Z), frame.isna().to_numpy())
    spread = max(1.0, *(float(c.abs().max()) for _, c in frame.items() if c.dtype == "Float64" and c.notna().any()), 1.0)
    pd.testing.assert_frame_equal(found.decode(Z), frame, check_exact=False, rtol=1e-9, atol=1e-9 * spread)


def test_the_printed_table():
    text = repr(skgen.columns(mixed()))
    assert "height  continuous   1." in text
    assert "sex     categorical  2 levels: F, M" in text
    assert "member  binary       2 levels: False, True" in text
    wide = repr(skgen.columns(np.random.default_rng(0).normal(size=(30, 200))))
    assert "..." in wide
    assert len(wide.splitlines()) < 60


def test_an_array_of_dates_comes_back():
    X = np.array(["2020-01-01", "2020-01-09", "2020-02-05", "NaT"] * 4, dtype="datetime64[D]").reshape(8, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ColumnWarning)
        found = skgen.columns(X)
    assert found.kinds == ["continuous", "continuous"]
    back = found.decode(found.encode(pd.DataFrame(X))[0])
    assert back.dtype == X.dtype
    np.testing.assert_array_equal(back, X)
