"""The command: what it prints, its exit codes, one line for every error, and what it does not import."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import skgen
from skgen import cli
from skgen.evaluate import compare as compare_module


def run(*arguments, stdin=None, timeout=120):
    """The command in a process of its own."""
    return subprocess.run([sys.executable, "-m", "skgen", *arguments], capture_output=True, text=True, timeout=timeout, check=False)


def refused(capsys, *arguments):
    """The one line of an error that exits 2."""
    try:
        code = cli.main(list(arguments))
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.endswith("\n")
    assert "Traceback" not in err
    return err


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 80)
    frame = pd.DataFrame({"count": rng.poisson(1 + 5 * y), "size": rng.normal(y), "answer": np.where(y, "yes", "no")})
    frame["split"] = np.resize(["train", "test"], 80)
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    return path


# ---- models


def test_models_lists_without_importing_what_is_heavy():
    code = (
        "import sys, time; start = time.process_time(); from skgen.cli import main; code = main(['models']);"
        "seconds = time.process_time() - start;"
        "heavy = sorted({'torch', 'sklearn', 'pandas', 'numpy', 'scipy', 'rich'} & set(sys.modules));"
        "print(code, heavy, seconds < 0.5, seconds, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.startswith("0 [] True"), done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["name", "family", "distribution", "version", "remark"]
    row = next(line.split() for line in lines if line.startswith("naive_bayes"))
    assert row == ["naive_bayes", "explicit", "skgen", skgen.__version__]


def test_models_as_json_tells_what_is_missing(capsys, monkeypatch):
    from skgen import registry

    known = (
        registry.Entry("wanting", "skgen.models.flow.wanting:Wanting", "skgen", "1", ("dear",)),
        registry.Entry("shadow", "stranger:Shadow", "stranger", "2", blocked="'shadow' is built in"),
    )
    monkeypatch.setattr(registry, "entries", lambda: known)
    needs = property(lambda entry: 'pip install "skgen[dear]"' if entry.extras else "")
    monkeypatch.setattr(registry.Entry, "missing_extra", needs)
    assert cli.main(["models", "--json"]) == 0
    wanting, shadow = json.loads(capsys.readouterr().out)
    assert (wanting["family"], wanting["class"]) == ("flow", "Wanting")
    assert wanting["remark"] == 'needs: pip install "skgen[dear]"'
    assert (shadow["family"], shadow["remark"]) == ("plugin", "'shadow' is built in")


def test_a_reader_that_goes_away_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -c \"import sys; from skgen import cli, registry; entry = registry.Entry('m' * 50, 'a:b', 'c');"
        "registry.entries = lambda: (entry,) * 5000; sys.exit(cli.main(['models']))\" | head -1; echo ${PIPESTATUS[0]}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[1:] == ["0"]


# ---- compare


def test_compare_in_a_pipe_prints_a_plain_table():
    done = run("compare", "iris", "--models", "naive_bayes", "--folds", "2")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert done.stdout.splitlines()[0] == "iris: 150 rows, 4 continuous columns, 3 classes; 2 stratified folds, seed 0"
    assert "naive_bayes" in done.stdout


def test_compare_does_not_import_torch(table):
    code = (
        "import sys; from skgen.cli import main;"
        f"main(['compare', {str(table)!r}, '--target', 'answer', '--models', 'naive_bayes,logistic_regression', '--folds', '2']);"
        "sys.exit(7 if 'torch' in sys.modules else 0)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=120)


def test_options_of_compare(capsys, table):
    options = ["--target", "answer", "--models", "naive_bayes", "--seed", "3"]
    assert cli.main(["compare", str(table), *options, "--json", "--folds", "2", "--column-kinds", "count=continuous"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert (read["random_state"], read["folds"], read["columns"], read["classes"]) == (3, 2, 2, ["no", "yes"])
    assert read["models"][0]["accuracy"] > 0.8
    assert cli.main(["compare", str(table), *options, "--csv", "--split-column", "split", "--drop", "size"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].startswith("model,accuracy,log_loss,calibration_error,log_p,likelihood,fit_seconds")
    assert out.splitlines()[1].startswith("naive_bayes,0.")
    assert "log p(x)" in err
    assert (
        cli.main(
            [
                "compare",
                "digits",
                "--models",
                "naive_bayes",
                "--folds",
                "2",
                "--image-shape",
                "8x8",
                "--n-jobs",
                "1",
                "--time-limit",
                "60",
                "--device",
                "cpu",
            ]
        )
        == 0
    )
    assert "64 integer columns" in capsys.readouterr().out


def test_a_model_that_fails_is_no_bad_usage(capsys, monkeypatch):
    from skgen import NaiveBayes

    def fail(self, *arguments, **keywords):
        raise RuntimeError("planted")

    monkeypatch.setattr(NaiveBayes, "fit", fail)
    assert cli.main(["compare", "iris", "--models", "naive_bayes", "--folds", "2"]) == 1
    assert "RuntimeError: planted" in capsys.readouterr().out
    assert cli.main(["compare", "iris", "--models", "naive_bayes,logistic_regression", "--folds", "2"]) == 0


def test_a_class_of_the_working_directory_is_compared(capsys, monkeypatch, tmp_path):
    (tmp_path / "my_own_models.py").write_text(
        "from skgen.models.explicit.naive_bayes import NaiveBayes\n\n\nclass Mine(NaiveBayes):\n    pass\n"
    )
    (tmp_path / "my_broken_models.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["compare", "iris", "--models", "my_own_models:Mine,naive_bayes", "--folds", "2", "--json"]) == 0
    mine, theirs = json.loads(capsys.readouterr().out)["models"]
    assert (mine["model"], mine["log_p"]) == ("my_own_models:Mine", theirs["log_p"])
    assert "ZeroDivisionError" in refused(capsys, "compare", "iris", "--models", "my_broken_models:Mine")
    assert "has no attribute 'Yours'" in refused(capsys, "compare", "iris", "--models", "my_own_models:Yours")


def test_rows_without_a_label_are_dropped_when_asked(capsys, tmp_path):
    path = tmp_path / "some.csv"
    path.write_text("a,answer\n" + "".join(f"{i / 7},{'xy'[i % 2] if i != 3 else ''}\n" for i in range(30)))
    options = ["--target", "answer", "--models", "naive_bayes", "--folds", "2", "--json"]
    assert cli.main(["compare", str(path), *options, "--drop-missing-target"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["rows"] == 29
    assert "1 rows without a 'answer' are left out." in read["notes"]


def test_a_terminal_gets_colours(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "150")
    assert cli.main(["compare", "iris", "--models", "naive_bayes", "--folds", "2"]) == 0
    assert "naive_bayes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to do: fit, sample, impute, score, show, models, compare, check or new-plugin"),
        (["comparee"], "invalid choice: 'comparee'"),
        (["models", "--nope"], "unrecognized arguments: --nope"),
        (["compare"], "the following arguments are required: data"),
        (["compare", "wine", "--folds", "x"], "'x' must be a whole number of folds, 2 or more"),
        (["compare", "wine", "--folds", "-3"], "'-3' must be a whole number of folds, 2 or more"),
        (["compare", "wine", "--n-jobs", "0"], "argument --n-jobs: '0' must be a number of jobs from 1 on, or -1"),
        (["compare", "wine", "--image-shape", "8"], "must be height,width"),
        (["compare", "wine", "--image-shape", "4,4"], "has 16 pixels, but X has 13 columns"),
        (["compare", "wine", "--column-kinds", "a=integer,b"], "'b' has no kind"),
        (["compare", "wine", "--column-kinds", "alcool=integer"], "Did you mean 'alcohol'"),
        (
            ["compare", "wine", "--column-kinds", "whole"],
            "argument --column-kinds: 'whole' is no kind: choose one of continuous, integer",
        ),
        (["compare", "wine", "--column-kinds", "alcohol=whole"], "'whole' is no kind"),
        (["compare", "wine", "--models", "no_module:Model"], "'no_module:Model' cannot be loaded: No module named 'no_module'"),
        (["compare", "wine", "--models", "json:loads"], "not a class"),
        (["compare", "wine", "--models", "fractions:Fraction"], "is no model"),
        (["check", ":"], "':' is no registered model and no module:Class"),
        (["check", "json:"], "'json:' is no registered model and no module:Class"),
        (["compare", "wine", "--json", "--csv"], "not allowed with argument"),
        (["compare", "wine", "--folds", "1"], "'1' must be a whole number of folds, 2 or more"),
        (["compare", "wine", "--seed", "-1"], "random_state=-1"),
        (["compare", "wine", "--time-limit", "-5"], "time_limit=-5.0"),
        (["compare", "wine", "--models", ","], "models is empty"),
        (["compare", "wine", "--models", "naive_baye"], "Did you mean 'naive_bayes'"),
        (["compare", "wine", "--target", "class"], "bundled with its target"),
        (["compare", "wnie"], "Did you mean 'wine'"),
        (["compare", "no/such/file.csv", "--target", "y"], "There is no file and no bundled data set 'no/such/file.csv'"),
        (["check", "naive_baye"], "Did you mean naive_bayes"),
        (["check", "no_module:Model"], "no_module"),
    ],
)
def test_bad_usage_is_one_line(capsys, arguments, message):
    assert message in refused(capsys, *arguments)


def test_bad_files_are_one_line(capsys, tmp_path, table):
    def against(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        return refused(capsys, "compare", str(path), "--target", "answer")

    assert "more than one column 'answer'" in against("twice.csv", b"a,answer,answer\n1,x,x\n2,y,y\n")
    assert "Every class has one row ('x', 'y')" in against("two.csv", b"a,answer\n1,x\n2,y\n")
    assert "is a folder" in refused(capsys, "compare", str(tmp_path), "--target", "answer")
    assert "cannot be read as a table: No columns to parse" in against("empty.csv", b"")
    assert "has no rows" in against("head.csv", b"size,answer\n")
    assert "cannot be read as a table" in against("ragged.csv", b"a,answer\n1,2\n1,2,3,4\n")
    assert "is not text in UTF-8: save it as CSV UTF-8" in against("binary.csv", bytes(range(256)) * 4)
    assert "cannot be read as a table" in against("broken.csv.gz", b"no gzip at all")
    assert "cannot be read as a table" in against("broken.parquet", b"no parquet at all")
    assert "Every class has one row ('x', 'y')" in against("semicolon.csv", b"a;answer\n1;x\n2;y\n")
    assert "no column beside the target" in against("alone.csv", b"answer\nx\ny\n")
    assert "missing cells (first at row 1, counting from 0): drop those rows (--drop-missing-target does)" in against(
        "missing.csv", b"a,answer\n1,x\n2,\n3,y\n"
    )
    numbers = "".join(f"{i},{i / 7}\n" for i in range(40)).encode()
    assert "The target is continuous" in against("numbers.csv", b"a,answer\n" + numbers)
    text = "".join(f"text {i},{i % 2}\n" for i in range(60)).encode()
    assert "Column 'a' has 60 levels in 60 cells" in against("text.csv", b"a,answer\n" + text)
    assert "Did you mean 'answer'" in refused(capsys, "compare", str(table), "--target", "anser")
    assert "Which column of table is the target" in refused(capsys, "compare", str(table))
    assert "Did you mean 'size'" in refused(capsys, "compare", str(table), "--target", "answer", "--drop", "sise")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user that permissions bind")
def test_an_unreadable_file_is_one_line(capsys, table):
    table.chmod(0)
    assert "cannot be read" in refused(capsys, "compare", str(table), "--target", "answer")


def test_an_interrupt_exits_130(capsys, monkeypatch):
    def interrupt(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(compare_module, "compare", interrupt)
    assert cli.main(["compare", "iris"]) == 130
    assert capsys.readouterr().err == "skgen: interrupted\n"


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_ends_a_run():
    code = (
        "import sys, time; from skgen import cli; from skgen.evaluate import folds;"
        "folds.run = lambda *rest: (print('on', file=sys.__stdout__, flush=True), time.sleep(60));"
        "sys.exit(cli.main(['compare', 'iris', '--models', 'naive_bayes']))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "on\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "skgen: interrupted\n"


# ---- the rest


def test_version_and_help(capsys):
    for arguments, expected in [(["--version"], f"skgen {skgen.__version__}\n"), (["--help"], "usage: skgen")]:
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert stop.value.code == 0
        assert capsys.readouterr().out.startswith(expected)


def test_check_runs_the_kit(capsys):
    assert cli.main(["check", "naive_bayes", "--only", "C14"]) == 0
    assert "C14" in capsys.readouterr().out


def test_check_exits_1_when_a_check_fails(capsys, monkeypatch):
    from skgen.testing import report

    monkeypatch.setattr(report, "run", lambda *arguments: ("S1 failed", 1))
    assert cli.main(["check", "naive_bayes"]) == 1
    assert capsys.readouterr().out == "S1 failed\n"
