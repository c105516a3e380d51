"""The command ``skgen``: models, compare, check, new-plugin; fit, sample, impute, score and show of files.

Heavy imports wait until a subcommand needs them. Bad usage, bad files and bad names exit 2 with one line on stderr;
Ctrl-C exits 130; a reader that goes away, as ``head`` does, is no error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import skgen
from skgen.cli import data_files
from skgen.cli.arguments import Parser, folds, jobs, kinds, line, names, shape

__all__ = ["main"]

_INTERRUPTED = 130


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="skgen", description="Generative models as scikit-learn estimators.")
    parser.add_argument("--version", action="version", version=f"skgen {skgen.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", parser_class=Parser)

    models = commands.add_parser("models", help="list the registered models", description="List the registered models.")
    models.add_argument("--load", action="store_true", help="import each: what fails and what to install, what columns each takes")
    models.add_argument("--json", action="store_true", help="as JSON")
    models.set_defaults(run=_models)

    compare = commands.add_parser(
        "compare",
        help="generative classifiers beside discriminative ones, in one table",
        description="Generative classifiers beside discriminative ones, in one table: the same folds, the same reading of the "
        "columns. A model that fails is a row with its error; exits 1 if all fail.",
    )
    compare.add_argument("data", help="wine, breast_cancer, digits, iris, or a csv or parquet file")
    compare.add_argument("--target", help="the column of labels (of a file)")
    compare.add_argument(
        "--models", type=names, metavar="A,B", help="names or module:Class; by default all that take the columns, and rivals"
    )
    compare.add_argument("--drop", type=names, default=[], metavar="A,B", help="columns to leave out")
    compare.add_argument("--drop-missing-target", action="store_true", help="leave out rows without a label (of a file)")
    compare.add_argument("--split-column", metavar="NAME", help="column of train, valid, test: used instead of folds")
    compare.add_argument(
        "--column-kinds",
        type=kinds,
        default="auto",
        metavar="A=KIND,...",
        help="how columns are read: continuous, integer, binary or categorical",
    )
    compare.add_argument("--image-shape", type=shape, metavar="8,8", help="the columns are pixels: height,width[,channels]")
    compare.add_argument("--folds", type=folds, metavar="N", help="stratified folds (5; 3 above 20,000 rows)")
    compare.add_argument("--seed", type=int, default=0, metavar="N", help="of folds and models (0)")
    compare.add_argument(
        "--time-limit",
        type=float,
        metavar="SECONDS",
        help="for each model: a fold that would end later is not begun; no fit is cut",
    )
    compare.add_argument("--device", help="told to models that have one, such as cuda")
    compare.add_argument("--n-jobs", type=jobs, metavar="N", help="told to models that have such a parameter")
    how = compare.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print JSON")
    how.add_argument("--csv", action="store_true", help="print CSV; notes go to stderr")
    compare.set_defaults(run=_compare)

    data_files.add_to(commands)

    plugin = commands.add_parser(
        "new-plugin",
        help="write a distribution with a model of your own",
        description="Write a complete distribution skgen-NAME: a working model to replace by yours, its entry point, a conformance "
        "test, a README and a CI file.",
    )
    plugin.add_argument("name", help="of the model, such as wild_mixture")
    plugin.add_argument("--folder", default=".", metavar="FOLDER", help="where skgen-NAME is made (.)")
    plugin.set_defaults(run=_new_plugin)

    check = commands.add_parser(
        "check", help="hold a model to the contract", description="Run the conformance kit on a model; exits 1 if a check fails."
    )
    check.add_argument("name", help="a name of `skgen models`, or module:Class")
    check.add_argument("--tier", choices=("quick", "full"), default="quick", help="full takes longer")
    check.add_argument("--only", metavar="CHECK", help="one check, by name or id")
    check.add_argument("--seed", type=int, default=0, metavar="N")
    form = check.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", default="text", help="as JSON")
    form.add_argument("--junit", dest="form", action="store_const", const="junit", help="as JUnit's XML, for CI servers")
    check.set_defaults(run=_check)
    return parser


# ---- subcommands: each returns the exit code


def _models(asked: argparse.Namespace) -> int:
    """A row a model from its entry point alone, nothing being imported, unless ``--load`` asks what importing gives."""
    from skgen.registry import entries, remark

    rows = []
    for entry in entries():
        row = {
            "name": entry.name,
            "family": entry.family,
            "distribution": entry.distribution,
            "version": entry.version,
            "class": entry.class_name,
            "remark": remark(entry),
        }
        if asked.load:
            row |= {"loads": False, "kinds": "", "likelihood": "", "missing": ""}
            if not entry.hidden and not entry.missing_extra:
                row |= _loaded(entry, row["remark"])
        rows.append(row)
    if asked.json:
        print(json.dumps(rows, indent=2))
        return 0
    heads = ("name", "family", "distribution", "version", *(("kinds", "likelihood", "missing") if asked.load else ()), "remark")
    widths = [max([len(head), *(len(row[head]) for row in rows)]) for head in heads]
    for row in [dict(zip(heads, heads, strict=True)), *rows]:
        print("  ".join(f"{row[head]:{width}s}" for head, width in zip(heads, widths, strict=True)).rstrip())
    return 0


def _loaded(entry: Any, remark: str) -> dict[str, Any]:
    """What a row says after its model was imported; what the import prints goes to stderr, it is no part of the table."""
    with redirect_stdout(sys.stderr):
        wrong = entry.trial()
        try:
            model = entry.load()()
            traits = {
                "kinds": ",".join(sorted(model.kinds)),
                "likelihood": str(model.likelihood),
                "missing": str(model.missing),
            }
        except Exception as error:  # a stranger's class may raise anything: the row says it
            return {"remark": wrong or f"{type(error).__name__}: {line(error)}"}
    return {"loads": True, **traits, "remark": "; ".join(filter(None, (remark, wrong)))}


def _compare(asked: argparse.Namespace) -> int:
    from skgen.evaluate.compare import compare
    from skgen.evaluate.datasets import load

    data = load(asked.data, asked.target, asked.split_column, asked.drop, asked.drop_missing_target)
    with redirect_stdout(sys.stderr):  # what a stranger's model prints is no part of the table
        result = compare(
            asked.models,
            data,
            n_folds=asked.folds,
            column_kinds=asked.column_kinds,
            image_shape=asked.image_shape,
            time_limit=asked.time_limit,
            device=asked.device,
            n_jobs=asked.n_jobs,
            random_state=asked.seed,
        )
    if asked.json:
        print(result.to_json())
    elif asked.csv:
        print(result.to_csv())
        for note in result.notes:
            print(note, file=sys.stderr)
    elif sys.stdout.isatty():
        from rich.console import Console

        Console().print(result)
    else:
        print(result)
    return int((result.table["error"] != "").all())


def _check(asked: argparse.Namespace) -> int:
    from skgen.testing.report import run

    with redirect_stdout(sys.stderr):
        text, code = run(asked.name, asked.tier, asked.seed, asked.form, asked.only)
    if code == 2:
        raise ValueError(text)
    print(text)
    return code


def _new_plugin(asked: argparse.Namespace) -> int:
    from skgen.author import new_plugin

    written = new_plugin(asked.name, asked.folder)
    top = written[0].parent
    for path in written:
        print(path)
    print(f'Next: cd {top} && pip install -e ".[test]" && skgen check {asked.name}, then write your own model in {written[2]}')
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; None is those of the process.

    Returns
    -------
    int
        0; 1 if a check failed, or every model of a comparison; 2 for bad usage, files or names; 130 if interrupted.
    """
    parser = _parser()
    asked = parser.parse_args(argv)
    if asked.command is None:
        parser.error("say what to do: fit, sample, impute, score, show, models, compare, check or new-plugin")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: print(f"skgen: warning: {line(message)}", file=sys.stderr)
            code = asked.run(asked)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("skgen: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # what is still buffered goes nowhere, so that closing stdout at exit does not complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"skgen {asked.command}: error: {line(error)}", file=sys.stderr)
        return 2
    return code
