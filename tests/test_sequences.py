"""Sequences as rows: what is padded comes back, windows carry their context, and nothing changes its kind."""

import itertools

import numpy as np
import pandas as pd
import pytest

import skgen
from skgen import MarkovChain
from skgen.sequences import pad, unpad, window


@pytest.mark.parametrize("features", [1, 3])
def test_lists_of_arrays_come_back(features):
    rng = np.random.default_rng(0)
    given = [rng.normal(size=(t, features)) if features > 1 else rng.normal(size=t) for t in (4, 1, 7, 0, 7)]
    table = pad(given)
    assert table.shape == (5, 7 * features)
    back = unpad(table, features)
    assert [len(s) for s in back] == [4, 1, 7, 0, 7]
    for ours, theirs in zip(back, given, strict=True):
        np.testing.assert_array_equal(ours.reshape(len(theirs), features), theirs.reshape(len(theirs), features))


def test_columns_are_step_major():
    table = pad([[[1, 2], [3, 4]], [[5, 6]]])
    np.testing.assert_array_equal(table, [[1, 2, 3, 4], [5, 6, np.nan, np.nan]])


def test_dtype_stays_where_nothing_is_padded():
    assert pad([[1, 2], [3, 4]]).dtype == np.array([1]).dtype
    assert pad([[1, 2], [3]]).dtype == float
    assert pad([np.array([200], np.uint8), np.array([1, 2], np.uint8)])[0, 0] == 200  # not squeezed into too small a float


def test_strings_are_sequences_of_characters():
    table = pad(["emma", "bo"])
    assert table.shape == (2, 4)
    assert [("".join(s)) for s in unpad(table)] == ["emma", "bo"]
    model = MarkovChain(order=1).fit(pad(["abab", "ba", "aba"]))
    assert model.columns_.kinds[0] == "categorical"
    assert np.isfinite(model.score_samples(pad(["ab"], length=4))).all()


def test_long_frame_round_trip():
    frame = pd.DataFrame(
        {
            "who": ["b", "a", "b", "b", "a"],
            "when": [3, 1, 1, 2, 2],
            "count": [30, 1, 10, 20, 2],
            "mood": pd.Categorical(["x", "y", "y", "x", "x"], categories=["x", "y", "z"]),
            "ok": [True, False, True, False, True],
        }
    )
    wide = pad(frame, group="who", order="when")
    assert list(wide.index) == ["b", "a"]
    assert list(wide.columns[:3]) == ["t0_count", "t0_mood", "t0_ok"]
    assert wide["t2_count"].dtype == "Int64"
    kinds = skgen.columns(wide, step_features=3)
    assert kinds.kinds[:3] == ["integer", "categorical", "binary"]
    assert list(kinds.levels[1]) == ["x", "y", "z"]
    back = unpad(wide, 3, order="when")
    want = frame.assign(first=[0, 1, 0, 0, 1]).sort_values(["first", "when"]).drop(columns="first").reset_index(drop=True)
    assert back["who"].tolist() == want["who"].tolist()
    for name in ("when", "count", "mood", "ok"):
        expected = want[name] - 1 if name == "when" else want[name]
        assert back[name].tolist() == expected.tolist(), name


def test_a_group_of_a_longer_table_is_padded_to_length():
    frame = pd.DataFrame({"g": [1, 1], "x": [0.5, 1.5]})
    wide = pad(frame, group="g", length=3)
    assert wide.shape == (1, 3)
    assert np.isnan(wide.iloc[0, 2])


def test_windows_carry_their_context():
    rng = np.random.default_rng(1)
    text = rng.integers(0, 3, 101)
    rows = window(text, 10, overlap=2)
    assert rows.shape == (13, 10)
    for before, after in itertools.pairwise(rows):
        np.testing.assert_array_equal(before[-2:], after[:2])
    back = np.concatenate([rows[0], *[row[2:] for row in rows[1:]]])
    np.testing.assert_array_equal(back[: len(text)], text)
    assert np.isnan(back[len(text) :]).all()


def test_windows_of_an_even_cut_keep_the_dtype_and_the_features():
    x = np.arange(24, dtype=np.int16).reshape(12, 2)
    rows = window(x, 4)
    assert rows.dtype == np.int16
    np.testing.assert_array_equal(rows.reshape(-1, 2), x)
    assert window("hello", 2)[2].tolist() == ["o", None]


def test_log_p_of_a_long_sequence_from_its_windows():
    """Sum over windows of log p(rest | context) is log p of the whole sequence given its first steps."""
    rng = np.random.default_rng(2)
    text = (np.cumsum(rng.integers(0, 2, 60)) + rng.integers(0, 2, 60)) % 3
    k = 2
    rows = window(text, 11, overlap=k)
    model = MarkovChain(order=k, column_kinds="categorical").fit(rows)
    context = np.where(np.arange(11) < k, rows, np.nan)
    found = (model.score_samples(rows) - model.score_samples(context)).sum()
    table = model.tables_[k]
    want = sum(np.log(table.loc[(text[t - 2], text[t - 1]), text[t]]) for t in range(k, len(text)))
    assert found == pytest.approx(want, abs=1e-10)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: pad([]), "no sequence"),
        (lambda: pad([[], []]), "length zero"),
        (lambda: pad([[1, 2, 3]], length=2), "longest sequence"),
        (lambda: pad([[1.0], [[1.0, 2.0]]]), "features a step"),
        (lambda: pad([[1]], group="g"), "DataFrame"),
        (lambda: pad(np.zeros((2, 2, 2, 2))), "shape"),
        (lambda: pad(pd.DataFrame({"a": [1]})), "group="),
        (lambda: pad(pd.DataFrame({"a": [1]}), group="b"), "'b'"),
        (lambda: pad(pd.DataFrame({"a": [1.0, np.nan], "x": [1, 2]}), group="a"), "missing in row 1"),
        (lambda: unpad(np.zeros((2, 3)), 2), "does not divide"),
        (lambda: window([1, 2], 2, overlap=2), "overlap"),
        (lambda: window([], 2), "length zero"),
    ],
)
def test_errors_name_the_fault(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_unpad_reads_features_from_names_and_lists_as_arrays():
    long = pd.DataFrame({"id": [1, 1, 2], "x": [0.5, 1.5, 2.5], "k": ["u", "v", "u"]})
    back = unpad(pad(long, group="id"))
    assert back.columns.tolist() == ["id", "step", "x", "k"]
    assert back["x"].tolist() == [0.5, 1.5, 2.5]
    assert [s.tolist() for s in unpad([[1, 2], [3, float("nan")]])] == [[1, 2], [3]]
    with pytest.raises(ValueError, match="two dimensions"):
        unpad(np.arange(3.0))


def test_pad_names_what_it_cannot_take():
    long = pd.DataFrame({"id": [1, 1], "g": [1, 1], "t": [0.0, np.nan], "x": [1, 2]})
    with pytest.raises(ValueError, match="must be one column"):
        pad(long, group=["id", "g"])
    with pytest.raises(ValueError, match="'t' is missing in row 1"):
        pad(long, group="id", order="t")
    with pytest.raises(ValueError, match="dates or durations"):
        pad([np.array(["2026-01-01"], dtype="M8[D]"), np.array(["2026-01-01", "2026-01-02"], dtype="M8[D]")])
