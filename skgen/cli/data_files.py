"""Generative models for people without Python: fit, sample, impute, score and show, from tables and model files to tables."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from skgen.cli.arguments import kinds, names, parameter, shape
from skgen.cli.tables import (
    ORDER,
    TARGET,
    any_unlabelled,
    as_frame,
    cell,
    check_output,
    given_cells,
    impossible,
    label_of,
    name_of,
    opened,
    sizes,
    tables,
    writer,
)

__all__ = ["add_to"]

_TABLES = {".csv", ".tsv", ".txt", ".gz", ".parquet", ".pq", ".xlsx"}


def add_to(commands: Any) -> None:
    """The subcommands, added to those of the command line."""
    fit = commands.add_parser(
        "fit",
        help="learn a model from a table",
        description="Learn a model from a table and write it to a file. With --target it learns one density a class, and rows "
        "without a label are learnt from as well.",
    )
    fit.add_argument("data", help="a csv, tsv or parquet file; or wine, breast_cancer, digits, iris")
    fit.add_argument("--model", required=True, help="a name of `skgen models`")
    fit.add_argument("--target", help="the column of labels")
    fit.add_argument("--drop", type=names, default=[], metavar="A,B", help="columns to leave out, such as numbers of rows")
    fit.add_argument(
        "--column-kinds",
        type=kinds,
        metavar="A=KIND,...",
        help="how columns are read: continuous, integer, binary or categorical",
    )
    fit.add_argument("--image-shape", type=shape, metavar="8,8", help="the columns are pixels: height,width[,channels]")
    fit.add_argument("--set", type=parameter, action="append", default=[], metavar="NAME=VALUE", help="a parameter of the model")
    fit.add_argument("--seed", type=int, default=0, metavar="N")
    fit.add_argument("-o", "--output", required=True, metavar="FILE", help="the model file, such as model.skgen")
    fit.set_defaults(run=_fit)

    sample = commands.add_parser("sample", help="draw rows from a model file", description="Draw rows, as the table was.")
    sample.add_argument("model", help="a file that `skgen fit` or skgen.save wrote")
    sample.add_argument("-n", type=int, default=10, metavar="ROWS", help="how many (10)")
    sample.add_argument("--given", action="append", default=[], metavar="COLUMN=VALUE", help="what is known of each row")
    sample.add_argument("--seed", type=int, default=0, metavar="N", help="the same seed draws the same rows (0)")
    _output(sample)
    sample.set_defaults(run=_sample)

    impute = commands.add_parser(
        "impute", help="fill the missing cells of a table", description="Fill the missing cells; all else stays as it is."
    )
    impute.add_argument("model", help="a file that `skgen fit` or skgen.save wrote")
    impute.add_argument("data", help="a table with the columns that the model was fitted on; others are copied")
    impute.add_argument(
        "--how", choices=("mean", "mode", "draw"), default="mean", help="draw keeps the spread of the columns (mean)"
    )
    impute.add_argument("--seed", type=int, default=0, metavar="N", help="of --how draw (0)")
    _output(impute)
    impute.set_defaults(run=_impute)

    score = commands.add_parser(
        "score",
        help="log p of each row, and its class",
        description="The table with a column log_p (nats, in the units of the data; with classes, of the row whatever its class) "
        "and, with classes, predicted and the probability of each. Means go to stderr.",
    )
    score.add_argument("model", help="a file that `skgen fit` or skgen.save wrote")
    score.add_argument("data", help="a table with the columns that the model was fitted on; others are copied")
    _output(score)
    score.set_defaults(run=_score)

    show = commands.add_parser("show", help="what a model file holds", description="What a model file holds.")
    show.add_argument("model", help="a file that `skgen fit` or skgen.save wrote")
    show.set_defaults(run=_show)


def _output(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-o", "--output", default="-", metavar="FILE", help="a csv or tsv file, .gz is compressed; - is the terminal (-)"
    )


# ---- subcommands: each returns the exit code


def _fit(asked: argparse.Namespace) -> int:
    import skgen
    from skgen.evaluate.datasets import BUNDLED, load

    check_output(asked.output, asked.data)
    if Path(asked.output).suffix.lower() in _TABLES:
        raise ValueError(f"-o {asked.output} would be a model file, and is named like a table: call it model.skgen, say.")
    data = load(asked.data, asked.target, None, asked.drop, labels="some")
    target = "target" if asked.data in BUNDLED else asked.target
    start = time.perf_counter()
    model = _made(skgen.get(asked.model), asked, data)
    model = model.fit(data.X) if data.y is None else model.fit(data.X, data.y)
    seconds = time.perf_counter() - start
    order = [name for name in data.heads if name == target or name in set(map(str, data.X.columns))]
    notes = {"data": data.name} | ({TARGET: target} if target else {}) | ({ORDER: json.dumps(order)} if order else {})
    skgen.save(model, asked.output, notes=notes)
    for note in data.notes:
        print(note, file=sys.stderr)
    classes = "" if data.y is None else f", {len(model.classes_)} classes of {target!r}"
    size = Path(asked.output).stat().st_size
    print(
        f"{asked.model} learnt {len(data.X):,} rows of {data.X.shape[1]} columns{classes} in {seconds:.1f} s: "
        f"{asked.output} ({size / 1024:,.0f} kB)",
        file=sys.stderr,
    )
    return 0


def _made(cls: type, asked: argparse.Namespace, data: Any) -> Any:
    """The model with the parameters that were asked for, and those that the table asks for."""
    from skgen.evaluate.datasets import near

    given, known = dict(asked.set), set(cls().get_params(deep=False))
    if asked.column_kinds is not None:
        given.setdefault("column_kinds", asked.column_kinds)
    if asked.image_shape is not None or (data.image_shape is not None and "image_shape" in known):
        given.setdefault("image_shape", asked.image_shape or data.image_shape)
    if "random_state" in known:
        given.setdefault("random_state", asked.seed)
    if data.y is not None and any_unlabelled(data.y, asked.target):
        given.setdefault("unlabeled", float("nan"))
    if unknown := sorted(set(given) - known):
        hint = near(unknown[0], known) or f" It has {', '.join(sorted(known))}."
        raise ValueError(f"{asked.model} has no parameter {unknown[0]!r}.{hint}")
    return cls(**given)


def _sample(asked: argparse.Namespace) -> int:
    import numpy as np

    check_output(asked.output, asked.model)
    model, told = opened(asked.model)
    target, order = told.get(TARGET, "target"), json.loads(told.get(ORDER, "[]"))
    how: dict[str, Any] = {}
    classes = getattr(model, "classes_", None)
    cells = given_cells(asked.given, [*map(str, model.columns_.names), *([target] if classes is not None else [])])
    if classes is not None and target in cells and target not in model.columns_.names:
        how["y"] = label_of(cells.pop(target), classes, target)
    if cells:
        how["given"] = {name_of(model, name): cell(model, name, value) for name, value in cells.items()}
    rng = np.random.default_rng(asked.seed)
    with writer(asked.output) as write:
        for size in sizes(asked.n):
            if classes is None:
                frame = as_frame(model.sample(size, random_state=rng, **how), model)
            else:
                X, y = model.sample(size, return_y=True, random_state=rng, **how)
                frame = as_frame(X, model)
                frame[target] = y
            write(frame[order] if sorted(order) == sorted(map(str, frame.columns)) else frame)
    return 0


def _impute(asked: argparse.Namespace) -> int:
    import numpy as np

    check_output(asked.output, asked.model, asked.data)
    model, _ = opened(asked.model)
    rng = np.random.default_rng(asked.seed)
    with writer(asked.output) as write:
        for frame, X in tables(asked.data, model):
            whole = as_frame(model.impute(X, asked.how, random_state=rng), model)
            whole.columns = [str(name) for name in whole.columns]
            for name in whole.columns:
                missing = frame[name].isna()
                if missing.any():
                    filled = frame[name].astype(object).where(~missing, whole[name].set_axis(frame.index))
                    try:
                        frame[name] = filled.astype(frame[name].dtype)
                    except (TypeError, ValueError):  # a decimal among whole numbers
                        frame[name] = filled
            write(frame)
    return 0


def _score(asked: argparse.Namespace) -> int:
    import numpy as np

    check_output(asked.output, asked.model, asked.data)
    model, told = opened(asked.model)
    target = told.get(TARGET, "target")
    classes = getattr(model, "classes_", None)
    total, n, right, known = 0.0, 0, 0, 0
    with writer(asked.output) as write:
        for frame, X in tables(asked.data, model):
            new = ["log_p", *([] if classes is None else ["predicted", *(f"p_{label}" for label in classes)])]
            if taken := [name for name in new if name in frame.columns]:
                raise ValueError(f"{asked.data} has a column {taken[0]!r}, which is what score writes: rename it.")
            frame["log_p"] = log_p = model.score_samples(X)
            if np.isneginf(log_p).any():
                print(impossible(X, log_p, model), file=sys.stderr)
            total, n = total + log_p.sum(), n + len(log_p)
            if classes is not None:
                p = model.predict_proba(X)
                frame["predicted"] = classes[p.argmax(axis=1)]
                if target in frame.columns:
                    labelled = frame[target].notna().to_numpy()
                    right += int((frame[target].astype(str) == frame["predicted"].astype(str)).to_numpy()[labelled].sum())
                    known += int(labelled.sum())
                for k, label in enumerate(classes):
                    frame[f"p_{label}"] = np.round(p[:, k], 6)
            write(frame)
    print(f"mean log p {total / max(n, 1):.6g} nats over {n:,} rows", file=sys.stderr)
    if known:
        print(f"accuracy {right / known:.4f} on the {known:,} rows with a {target!r}", file=sys.stderr)
    return 0


def _show(asked: argparse.Namespace) -> int:
    model, told = opened(asked.model)
    print(model)
    for name, text in told.items():
        print(f"{name}: {', '.join(json.loads(text)) if name == ORDER else text}")
    target = told.get(TARGET, "target")
    if hasattr(model, "classes_"):
        prior = zip(model.classes_, model.class_log_prior_, strict=True)
        print(f"classes of {target}: " + ", ".join(f"{label} ({math.exp(log_p):.3f})" for label, log_p in prior))
    print(repr(model.columns_))
    return 0
