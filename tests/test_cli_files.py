"""fit, sample, impute, score and show: from tables to model files to tables, without Python."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest

import skgen
from skgen.cli import main
from skgen.files import notes


@pytest.fixture(scope="module")
def people():
    """Mixed columns that tell of each other, and a label."""
    rng = np.random.default_rng(0)
    n = 600
    old = rng.random(n) < 0.4
    return pd.DataFrame(
        {
            "age": np.where(old, rng.integers(60, 90, n), rng.integers(18, 60, n)),
            "height": np.round(rng.normal(170, 9, n), 1),
            "town": np.where(rng.random(n) < 0.9, np.where(old, "Rome", "Oslo"), "Bern"),
            "member": rng.random(n) < np.where(old, 0.8, 0.1),
            "group": np.where(old, "b", "a"),
        }
    )


@pytest.fixture
def files(people, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    people.to_csv("people.csv", index=False)
    assert main(["fit", "people.csv", "--model", "mixture", "--target", "group", "-o", "m.skgen"]) == 0
    return tmp_path


def test_fit_is_fit_and_says_what_it_did(files, people, capsys):
    assert main(["fit", "people.csv", "--model", "naive_bayes", "--set", "alpha=2.5", "--seed", "3", "-o", "n.skgen"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "naive_bayes learnt 600 rows of 5 columns in " in said.err
    model = skgen.load("n.skgen")
    assert (model.alpha, model.random_state) == (2.5, 3)
    assert not hasattr(model, "classes_")
    order = json.dumps(list(people.columns))
    assert notes("n.skgen") == {"data": "people", "columns": order}
    assert notes("m.skgen") == {"data": "people", "target": "group", "columns": order}
    want = skgen.make("naive_bayes", alpha=2.5, random_state=3).fit(people)
    np.testing.assert_allclose(model.score_samples(people), want.score_samples(people))


def test_rows_without_a_label_are_learnt_from(files, people, capsys):
    some = people.copy()
    some.loc[20:, "group"] = None
    some.to_csv("some.csv", index=False)
    assert main(["fit", "some.csv", "--model", "naive_bayes", "--target", "group", "-o", "s.skgen"]) == 0
    assert "580 rows have no 'group', and are learnt from without it" in capsys.readouterr().err
    model = skgen.load("s.skgen")
    assert set(model.classes_) == {"a", "b"}
    assert (model.predict(people.drop(columns="group")) == people["group"]).mean() > 0.9


def test_draws_are_a_table_as_it_was_read(files, people):
    assert main(["sample", "m.skgen", "-n", "25001", "-o", "rows.csv"]) == 0
    rows, read = pd.read_csv("rows.csv"), pd.read_csv("people.csv")
    assert len(rows) == 25001  # in three chunks
    assert rows.dtypes.to_dict() == read.dtypes.to_dict()
    assert list(rows.columns) == list(read.columns)
    assert rows["age"].mean() == pytest.approx(people["age"].mean(), abs=2)
    assert rows["group"].value_counts(normalize=True)["b"] == pytest.approx((people["group"] == "b").mean(), abs=0.03)
    # the class and the columns belong together
    assert rows[rows["group"] == "b"]["age"].mean() > rows[rows["group"] == "a"]["age"].mean() + 20
    assert not rows.iloc[:10_000].reset_index(drop=True).equals(rows.iloc[10_000:20_000].reset_index(drop=True))


def test_the_seed_is_the_draw(files, capsys):
    said = []
    for seed in ("1", "1", "2"):
        assert main(["sample", "m.skgen", "-n", "5", "--seed", seed]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != said[2]
    assert said[0].count("\n") == 6
    assert main(["sample", "m.skgen", "-n", "0"]) == 0
    assert capsys.readouterr().out == "age,height,town,member,group\n"


def test_what_is_given_is_kept_and_listened_to(files, people):
    words = ["--given", "age=70", "--given", "member=true", "--given", "town=Rome"]
    assert main(["sample", "m.skgen", "-n", "400", *words, "-o", "g.tsv"]) == 0
    rows = pd.read_csv("g.tsv", sep="\t")
    assert set(rows["age"]) == {70}
    assert set(rows["member"]) == {True}
    assert set(rows["town"]) == {"Rome"}
    assert (rows["group"] == "b").mean() > 0.9
    assert main(["sample", "m.skgen", "-n", "50", "--given", "group=a", "-o", "a.csv"]) == 0
    assert set(pd.read_csv("a.csv")["group"]) == {"a"}


def test_imputing_fills_the_missing_cells_and_no_other(files, people):
    rng = np.random.default_rng(1)
    holes = people.astype({"age": "Int64", "member": "boolean"}).assign(id=[f"row {i}" for i in range(len(people))])
    hidden = {name: rng.random(len(people)) < 0.3 for name in ("age", "town", "member", "height")}
    for name, at in hidden.items():
        holes.loc[at, name] = None
    holes.to_csv("holes.csv", index=False)
    for how in ("mean", "mode", "draw"):
        assert main(["impute", "m.skgen", "holes.csv", "--how", how, "-o", "filled.csv"]) == 0
        filled = pd.read_csv("filled.csv")
        assert list(filled.columns) == list(holes.columns)
        assert not filled.isna().any().any()
        for name, at in hidden.items():
            assert (filled[name][~at] == people[name][~at]).all()
        if how != "draw":
            assert (filled["town"][hidden["town"]] == people["town"][hidden["town"]]).mean() > 0.8
    assert pd.read_csv("filled.csv")["age"].dtype.kind == "i"


def test_scoring_adds_columns_and_tells_the_means(files, people, capsys):
    assert main(["score", "m.skgen", "people.csv", "-o", "scored.csv.gz"]) == 0
    said = capsys.readouterr().err
    with gzip.open("scored.csv.gz", "rt") as file:
        scored = pd.read_csv(file)
    model, X = skgen.load("m.skgen"), people.drop(columns="group")
    np.testing.assert_allclose(scored["log_p"], model.score_samples(X), rtol=1e-9)
    np.testing.assert_allclose(scored["p_b"], model.predict_proba(X)[:, 1], atol=1e-6)
    assert (scored["predicted"] == model.predict(X)).all()
    assert f"mean log p {model.score_samples(X).mean():.6g} nats over 600 rows" in said
    assert f"accuracy {model.score(X, people['group']):.4f} on the 600 rows with a 'group'" in said
    assert main(["fit", "people.csv", "--model", "naive_bayes", "-o", "n.skgen"]) == 0
    assert main(["score", "n.skgen", "people.csv", "-o", "d.csv"]) == 0
    assert list(pd.read_csv("d.csv").columns) == [*people.columns, "log_p"]


def test_what_a_file_holds_is_shown(files, capsys):
    assert main(["show", "m.skgen"]) == 0
    said = capsys.readouterr().out
    for word in ("Mixture", "data: people", "classes of group: a (0.", "town", "categorical", "3 levels: Bern, Oslo, Rome"):
        assert word in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit", "people.csv", "--model", "naive_bays", "-o", "x.skgen"], "Did you mean naive_bayes"),
        (
            ["fit", "people.csv", "--model", "naive_bayes", "--set", "alfa=1", "-o", "x.skgen"],
            "no parameter 'alfa'. Did you mean 'alpha'",
        ),
        (["fit", "people.csv", "--model", "naive_bayes", "--set", "alpha=-1", "-o", "x.skgen"], "alpha"),
        (["fit", "people.csv", "--model", "naive_bayes", "--target", "grup", "-o", "x.skgen"], "Did you mean 'group'"),
        (["fit", "people.csv", "--model", "naive_bayes", "-o", "nowhere/x.skgen"], "no folder nowhere"),
        (["fit", "nothing.csv", "--model", "naive_bayes", "-o", "x.skgen"], "no file and no bundled data set"),
        (["sample", "people.csv"], "not a model file"),
        (["sample", "nothing.skgen"], "nothing.skgen"),
        (["sample", "m.skgen", "-n", "-1"], "0 or more"),
        (["sample", "m.skgen", "--given", "agge=3"], "'agge', which is no column of the model. Did you mean 'age'"),
        (["sample", "m.skgen", "--given", "town=Paris"], "town has no value 'Paris': choose from Bern, Oslo, Rome"),
        (["sample", "m.skgen", "--given", "group=c"], "group has no value 'c': choose from a, b"),
        (["sample", "m.skgen", "-o", "rows.parquet"], "must be a csv or tsv file"),
        (["fit", "people.csv", "--model", "naive_bayes", "-o", "people.csv"], "is what is read: name another file"),
        (["fit", "people.csv", "--model", "naive_bayes", "-o", "model.csv"], "named like a table"),
        (["fit", "people.csv", "--model", "naive_bayes", "--target", "height", "-o", "x.skgen"], "'height' holds decimals"),
        (["sample", "m.skgen", "-o", "m.skgen"], "is what is read: name another file"),
        (["impute", "m.skgen", "people.csv", "-o", "people.csv"], "is what is read: name another file"),
        (["score", "m.skgen", "scored.csv"], "has a column 'log_p', which is what score writes"),
        (["score", "m.skgen", "empty.csv"], "empty.csv has no rows"),
        (["score", "m.skgen", "nothing.csv"], "There is no file nothing.csv"),
        (["score", "m.skgen", "utf16.csv"], "is not text in UTF-8: save it as CSV UTF-8"),
        (["sample", "m.skgen", "--given", "age"], "--given 'age' must be column=value"),
        (["sample", "m.skgen", "--given", "age=3", "--given", "age=4"], "--given names 'age' twice"),
        (["impute", "m.skgen", "other.csv"], "no column 'height', which the model was fitted on. Did you mean 'hight'"),
    ],
)
def test_what_cannot_be_is_one_line(files, people, capsys, words, message):
    people.rename(columns={"height": "hight"}).to_csv("other.csv", index=False)
    people.assign(log_p=0).to_csv("scored.csv", index=False)
    people[:0].to_csv("empty.csv", index=False)
    people.to_csv("utf16.csv", index=False, encoding="utf-16")
    capsys.readouterr()
    assert main(words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (files / "x.skgen").exists()


@pytest.mark.filterwarnings("default")
def test_a_level_never_seen_has_no_density_and_is_told_of(files, people, capsys):
    people.assign(town="Paris").to_csv("levels.csv", index=False)
    capsys.readouterr()
    assert main(["score", "m.skgen", "levels.csv", "-o", "s.csv"]) == 0
    said = capsys.readouterr().err
    assert "skgen: warning: 600 rows have a cell outside what was seen in fit: it is treated as not observed." in said
    assert "600 rows have log_p -inf: row 0, for one, has 'Paris' in column 'town', which fit did not see." in said
    assert (pd.read_csv("s.csv")["log_p"] == -np.inf).all()


def test_columns_of_whole_numbers_with_gaps_are_filled_with_decimals(files, people):
    (files / "few.csv").write_text("age,height,town,member\n70,,Rome,\n,180,Oslo,True\n")
    assert main(["impute", "m.skgen", "few.csv", "-o", "filled.csv"]) == 0
    filled = pd.read_csv("filled.csv")
    assert not filled.isna().any().any()
    assert filled["height"][1] == 180
    assert filled["height"][0] == pytest.approx(170, abs=10)


def test_a_model_of_an_array_has_columns_by_number(files):
    assert main(["fit", "digits", "--model", "naive_bayes", "-o", "d.skgen"]) == 0
    assert main(["sample", "d.skgen", "-n", "8", "-o", "d.csv"]) == 0
    holes = pd.read_csv("d.csv").astype({"20": float})
    holes.loc[::2, "20"] = np.nan
    holes.to_csv("h.csv", index=False)
    assert main(["impute", "d.skgen", "h.csv", "-o", "f.csv"]) == 0
    assert main(["score", "d.skgen", "f.csv", "-o", "s.csv"]) == 0
    filled = pd.read_csv("f.csv")
    assert not filled.isna().any().any()
    assert (filled["20"][1::2] == holes["20"][1::2]).all()


def test_semicolons_tabs_and_decimal_commas_are_read(files, people, capsys):
    people.to_csv("comma.csv", sep=";", decimal=",", index=False)
    people.to_csv("point.csv", sep=";", index=False)
    people.to_csv("tabs.txt", sep="\t", index=False)
    want = skgen.make("naive_bayes", random_state=0).fit(people.drop(columns="group"), people["group"])
    for name in ("comma.csv", "point.csv", "tabs.txt"):
        assert main(["fit", name, "--model", "naive_bayes", "--target", "group", "-o", "x.skgen"]) == 0
        X = people.drop(columns="group")
        np.testing.assert_allclose(skgen.load("x.skgen").score_samples(X), want.score_samples(X))


def test_the_columns_keep_their_order_and_names_may_hold_anything(files, people):
    odd = people.rename(columns={"age": "a=b", "height": 'he"ight, cm', "town": "Straße"})
    odd = odd[["a=b", "group", 'he"ight, cm', "Straße", "member"]]
    odd.to_csv("odd.csv", index=False)
    assert main(["fit", "odd.csv", "--model", "naive_bayes", "--target", "group", "-o", "o.skgen"]) == 0
    assert main(["sample", "o.skgen", "-n", "5", "--given", "a=b=33", "--given", "Straße=Bern", "-o", "rows.csv"]) == 0
    rows = pd.read_csv("rows.csv")
    assert list(rows.columns) == list(odd.columns)
    assert set(rows["a=b"]) == {33}
    assert set(rows["Straße"]) == {"Bern"}


def test_accidents_of_a_table_are_told_of(files, people, capsys):
    people.assign(height=people["height"].astype(object).where(people.index > 0, "oops")).to_csv("o.csv", index=False)
    people[["age", "height"]].to_csv("h.csv", index=False, header=False)
    capsys.readouterr()
    assert main(["fit", "o.csv", "--model", "naive_bayes", "-o", "x.skgen"]) == 0
    assert "Column 'height' is read as categories: " in (said := capsys.readouterr().err)
    assert "values are numbers, but 'oops' is not." in said
    assert main(["fit", "h.csv", "--model", "naive_bayes", "-o", "x.skgen"]) == 0
    assert "does the file have a first row of names?" in capsys.readouterr().err


def test_a_table_that_fails_halfway_leaves_the_old_file(files, people, monkeypatch):
    (files / "rows.csv").write_text("what was there")
    later = iter([1])
    whole = skgen.get("mixture").sample

    def fails(self, *args, **kwargs):
        if next(later, None) is None:
            raise ValueError("no more")
        return whole(self, *args, **kwargs)

    monkeypatch.setattr(skgen.get("mixture"), "sample", fails)
    assert main(["sample", "m.skgen", "-n", "20000", "-o", "rows.csv"]) == 2
    assert (files / "rows.csv").read_text() == "what was there"
    assert [path.name for path in files.iterdir() if path.name.startswith(".rows")] == []
