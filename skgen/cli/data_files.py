"""Generative models for people without Python: fit, sample, impute, score and show, from tables and model files to tables."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from skgen.cli.arguments import kinds, names, parameter, shape

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["add_to"]

_CHUNK = 10_000  # rows drawn, completed or scored at a time
#: Notes in a model file: what the column of labels is called, and the order of all columns.
_TARGET, _ORDER = "target", "columns"
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
    from skgen.evaluate.datasets import BUNDLED, load, read_table

    _check_output(asked.output, asked.data)
    if Path(asked.output).suffix.lower() in _TABLES:
        raise ValueError(f"-o {asked.output} would be a model file, and is named like a table: call it model.skgen, say.")
    data = load(asked.data, asked.target, None, asked.drop, labels="some")
    given = dict(asked.set)
    cls = skgen.get(asked.model)
    known = set(cls().get_params(deep=False))
    own = {"column_kinds": asked.column_kinds, "image_shape": asked.image_shape or data.image_shape}
    for name, value in own.items():
        if value is not None and name in known:
            given.setdefault(name, value)
        elif value is not None and data.image_shape is None:
            raise ValueError(f"{asked.model} has no parameter {name}.")
    if "random_state" in known:
        given.setdefault("random_state", asked.seed)
    if data.y is not None:
        _check_labels(data.y, asked.target)
        if _unlabelled(data.y):
            given.setdefault("unlabeled", float("nan"))
    if unknown := sorted(set(given) - known):
        from skgen.evaluate.datasets import near

        raise ValueError(
            f"{asked.model} has no parameter {unknown[0]!r}.{near(unknown[0], known)} It has {', '.join(sorted(known))}."
        )
    start = time.perf_counter()
    model = cls(**given)
    model = model.fit(data.X) if data.y is None else model.fit(data.X, data.y)
    seconds = time.perf_counter() - start
    target = "target" if asked.data in BUNDLED else asked.target
    order = [*map(str, data.X.columns), *([target] if target else [])] if hasattr(data.X, "columns") else []
    if target and asked.data not in BUNDLED:
        heads = list(read_table(Path(asked.data)).columns.map(str))
        order.sort(key=heads.index)
    notes = {"data": data.name} | ({_TARGET: target} if target else {}) | ({_ORDER: json.dumps(order)} if order else {})
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


def _sample(asked: argparse.Namespace) -> int:
    import numpy as np

    _check_output(asked.output, asked.model)
    model, told = _opened(asked.model)
    target, order = told.get(_TARGET, "target"), json.loads(told.get(_ORDER, "[]"))
    how: dict[str, Any] = {}
    classes = getattr(model, "classes_", None)
    cells = _given(asked.given, [*map(str, model.columns_.names), *([target] if classes is not None else [])])
    if classes is not None and target in cells and target not in model.columns_.names:
        how["y"] = _label(cells.pop(target), classes, target)
    if cells:
        how["given"] = {_name(model, name): _cell(model, name, value) for name, value in cells.items()}
    rng = np.random.default_rng(asked.seed)
    with _writer(asked.output) as write:
        for size in _sizes(asked.n):
            if classes is None:
                frame = _frame(model.sample(size, random_state=rng, **how), model)
            else:
                X, y = model.sample(size, return_y=True, random_state=rng, **how)
                frame = _frame(X, model)
                frame[target] = y
            write(frame[order] if sorted(order) == sorted(map(str, frame.columns)) else frame)
    return 0


def _impute(asked: argparse.Namespace) -> int:
    import numpy as np

    _check_output(asked.output, asked.model, asked.data)
    model, _ = _opened(asked.model)
    rng = np.random.default_rng(asked.seed)
    with _writer(asked.output) as write:
        for frame, X in _tables(asked.data, model):
            whole = _frame(model.impute(X, asked.how, random_state=rng), model)
            for name in model.columns_.names:
                missing = frame[name].isna()
                if missing.any():
                    name = str(name)
                    filled = frame[name].astype(object).where(~missing, whole[name].set_axis(frame.index))
                    try:
                        frame[name] = filled.astype(frame[name].dtype)
                    except (TypeError, ValueError):  # a decimal among whole numbers
                        frame[name] = filled
            write(frame)
    return 0


def _score(asked: argparse.Namespace) -> int:
    import numpy as np

    _check_output(asked.output, asked.model, asked.data)
    model, told = _opened(asked.model)
    target = told.get(_TARGET, "target")
    classes = getattr(model, "classes_", None)
    total, n, right, known = 0.0, 0, 0, 0
    with _writer(asked.output) as write:
        for frame, X in _tables(asked.data, model):
            new = ["log_p", *([] if classes is None else ["predicted", *(f"p_{label}" for label in classes)])]
            if taken := [name for name in new if name in frame.columns]:
                raise ValueError(f"{asked.data} has a column {taken[0]!r}, which is what score writes: rename it.")
            frame["log_p"] = log_p = model.score_samples(X)
            if np.isneginf(log_p).any():
                print(_impossible(X, log_p, model), file=sys.stderr)
            total, n = total + log_p.sum(), n + len(log_p)
            if classes is not None:
                p = model.predict_proba(X)
                frame["predicted"] = classes[p.argmax(axis=1)]
                if target in frame.columns:
                    told = frame[target].notna().to_numpy()
                    right += int((frame[target].astype(str) == frame["predicted"].astype(str)).to_numpy()[told].sum())
                    known += int(told.sum())
                for k, label in enumerate(classes):
                    frame[f"p_{label}"] = np.round(p[:, k], 6)
            write(frame)
    print(f"mean log p {total / max(n, 1):.6g} nats over {n:,} rows", file=sys.stderr)
    if known:
        print(f"accuracy {right / known:.4f} on the {known:,} rows with a {target!r}", file=sys.stderr)
    return 0


def _show(asked: argparse.Namespace) -> int:
    model, told = _opened(asked.model)
    print(model)
    for name, text in told.items():
        print(f"{name}: {', '.join(json.loads(text)) if name == _ORDER else text}")
    target = told.get(_TARGET, "target")
    if hasattr(model, "classes_"):
        prior = zip(model.classes_, model.class_log_prior_, strict=True)
        print(f"classes of {target}: " + ", ".join(f"{label} ({math.exp(log_p):.3f})" for label, log_p in prior))
    print(repr(model.columns_))
    return 0


# ---- tables in and out


def _unlabelled(y: Any) -> bool:
    import pandas as pd

    return y is not None and bool(pd.isna(y).any())


def _check_labels(y: Any, target: str | None) -> None:
    import pandas as pd

    values = pd.Series(y).dropna()
    if pd.api.types.is_float_dtype(values.infer_objects()) and (values.astype(float) % 1 != 0).any():
        raise ValueError(
            f"Column {target!r} holds decimals, such as {values.iloc[0]}, and is no class: leave --target out, and it is learnt "
            "as a column beside the others."
        )


def _opened(path: str) -> tuple[Any, dict[str, str]]:
    """A fitted model, and the notes beside it."""
    import skgen
    from skgen.files import notes

    model = skgen.load(path)
    if not hasattr(model, "columns_") or not hasattr(model, "sample"):
        raise ValueError(
            f"{path} holds {type(model).__name__}, which is no fitted model of rows: use a file that `skgen fit` wrote."
        )
    return model, notes(path)


def _tables(path: str, model: Any) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """A table in chunks: all of its columns, and those of the model in the model's order."""
    from skgen.evaluate.datasets import near, read_table

    frame = read_table(Path(path))
    frame.columns = [str(name) for name in frame.columns]
    wanted = [str(name) for name in model.columns_.names]
    if absent := [name for name in wanted if name not in frame.columns]:
        raise ValueError(f"{path} has no column {absent[0]!r}, which the model was fitted on.{near(absent[0], frame.columns)}")
    if not len(frame):
        raise ValueError(f"{path} has no rows.")
    for start in range(0, len(frame), _CHUNK):
        part = frame.iloc[start : start + _CHUNK].copy()
        X = part[wanted].set_axis(model.columns_.names, axis=1)
        yield part, X


def _frame(X: Any, model: Any) -> pd.DataFrame:
    import pandas as pd

    return X if isinstance(X, pd.DataFrame) else pd.DataFrame(X, columns=[str(name) for name in model.columns_.names])


def _sizes(n: int) -> Iterator[int]:
    if n < 0:
        raise ValueError(f"-n {n} must be a number of rows, 0 or more.")
    yield from [_CHUNK] * (n // _CHUNK) + ([n % _CHUNK] if n % _CHUNK or not n else [])


@contextmanager
def _writer(path: str) -> Iterator[Any]:
    """A function that writes frames one after the other, the heads once; a file is there whole or not at all."""
    separator = "\t" if ".tsv" in path.lower() else ","
    with _text(path) as stream:
        first = True

        def write(frame: pd.DataFrame) -> None:
            nonlocal first
            frame.to_csv(stream, index=False, header=first, sep=separator)
            first = False

        yield write


@contextmanager
def _text(path: str) -> Iterator[TextIO]:
    import gzip

    from skgen.learn.whole_files import written_whole

    if path == "-":
        yield sys.stdout
        return
    if Path(path).suffix.lower() in (".parquet", ".pq", ".xlsx", ".zip"):
        raise ValueError(f"{path} must be a csv or tsv file, or one of them with .gz: other tables are not written row by row.")
    opened = gzip.open if path.lower().endswith(".gz") else open
    with written_whole(Path(path)) as part, opened(part, "wt", encoding="utf-8", newline="") as stream:
        yield stream


def _check_output(path: str, *inputs: str) -> None:
    """An output goes to a folder that is there, and over no input."""
    if path == "-":
        return
    place = Path(path).resolve()
    if not place.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {Path(path).parent} to write {Path(path).name} into.")
    if place.is_dir() or place in {Path(given).resolve() for given in inputs}:
        raise ValueError(f"-o {path} is {'a folder' if place.is_dir() else 'what is read'}: name another file.")


def _impossible(X: pd.DataFrame, log_p: Any, model: Any) -> str:
    """Which rows have no density, and the first cell that no model of these columns could hold."""
    import numpy as np

    rows, columns = np.flatnonzero(np.isneginf(log_p)), model.columns_
    told = f"{len(rows):,} rows have log_p -inf"
    for j, name in enumerate(columns.names):
        if columns.levels[j] is None:
            continue
        cells = X[name].iloc[rows]
        odd = cells[cells.notna() & ~cells.astype(str).isin({str(level) for level in columns.levels[j]})]
        if len(odd):
            return f"{told}: row {odd.index[0]}, for one, has {odd.iloc[0]!r} in column {name!r}, which fit did not see."
    return f"{told}, the first of them row {X.index[rows[0]]}: a cell there is outside of what the model holds possible."


# ---- words into cells


def _given(words: list[str], names: list[str]) -> dict[str, str]:
    """``age=40`` of each word, by the names there are, in which there may be signs of equality too."""
    cells: dict[str, str] = {}
    for word in words:
        ends = [i for i, letter in enumerate(word) if letter == "="]
        if not ends:
            raise ValueError(f"--given {word!r} must be column=value, such as age=40.")
        known = [i for i in ends if word[:i] in names or word[:i].strip() in names]
        name, value = word[: (known or ends)[0]], word[(known or ends)[0] + 1 :]
        name = name if name in names else name.strip()
        if name in cells:
            raise ValueError(f"--given names {name!r} twice.")
        cells[name] = value.strip()
    return cells


def _name(model: Any, name: str) -> Any:
    from skgen.evaluate.datasets import near

    for known in model.columns_.names:
        if str(known) == name:
            return known
    raise ValueError(f"--given names {name!r}, which is no column of the model.{near(name, model.columns_.names)}")


def _cell(model: Any, name: str, value: str) -> Any:
    """A word as the value of a column: one of its levels, or a number."""
    columns = model.columns_
    j = columns.names.index(_name(model, name))
    if columns.levels[j] is not None:
        return _label(value, columns.levels[j], name)
    try:
        return float(value)
    except ValueError:
        return value  # a date; else the model says what the column holds


def _label(value: str, known: Any, name: str) -> Any:
    """One of the known values by what it looks like: ``1`` and ``1.0``, ``true`` and ``True`` are one."""
    for one in known:
        if str(one) == value or (str(one).lower() == value.lower() and str(one) in ("True", "False")):
            return one
    for one in known:
        try:
            if float(one) == float(value):
                return one
        except (TypeError, ValueError):
            continue
    raise ValueError(f"{name} has no value {value!r}: choose from {', '.join(str(one) for one in list(known)[:20])}.")
