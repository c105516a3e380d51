"""The table that a comparison ends in: as a frame, on a terminal, in a pipe, as JSON and CSV."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Comparison", "seconds"]

#: column of the frame -> (head, whether more is better)
_COLUMNS = {
    "accuracy": ("accuracy", True),
    "log_loss": ("log-loss", False),
    "calibration_error": ("calib. error", False),
    "log_p": ("log p(x)", True),
    "fit_seconds": ("fit s", False),
    "predict_seconds": ("predict s", False),
    "sample_seconds": ("draw 1,000 s", False),
}

#: Columns of a terminal from which heads stand on one line, and errors beside their rows.
_WIDE = 120


def seconds(value: float) -> str:
    """Seconds to two or three significant figures, never as a bare zero."""
    if value < 0.0001:
        return "<0.0001"
    return f"{value:.4f}" if value < 0.01 else f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


@dataclass
class Comparison:
    """What :func:`skgen.compare` returns; printing it shows the table and the notes.

    Attributes
    ----------
    table : DataFrame
        One row a model: accuracy, log_loss, calibration_error, log_p (mean nats a row), likelihood ("exact", "bound",
        "estimate", or "" for a model without a density), fit_seconds, predict_seconds, sample_seconds, folds (done),
        stopped (what a time limit cut), error. NaN is not measured.
    title : str
        The data and the folds.
    notes : list of str
        What a reader must know: rows left out, subsamples, warnings of models.
    data : dict
        The data, folds and seed, for programs.
    """

    table: pd.DataFrame
    title: str
    notes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def to_json(self, path: str | Path | None = None) -> str:
        """The comparison as JSON, written to ``path`` if given. NaN is null; an infinity is the text "-inf" or "inf"."""
        models = [
            {"model": label, **{name: _plain(value) for name, value in row.items()}}
            for label, row in self.table.to_dict(orient="index").items()
        ]
        text = json.dumps({**self.data, "models": models, "notes": self.notes}, indent=2, ensure_ascii=False, allow_nan=False)
        return _write(text, path)

    def to_csv(self, path: str | Path | None = None) -> str:
        """The table as CSV, written to ``path`` if given."""
        return _write(self.table.to_csv(lineterminator="\n").rstrip("\n"), path)

    def best(self, column: str) -> float | None:
        """The best value of a column; None if fewer than two models have one, or the log p(x) are of unlike kinds."""
        values = self.table[column].dropna()
        if len(values) < 2 or (column == "log_p" and self.table.loc[values.index, "likelihood"].nunique() > 1):
            return None
        return values.max() if _COLUMNS[column][1] else values.min()

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.padding import Padding
        from rich.text import Text

        narrow = options.max_width < _WIDE
        yield Text(self.title, style="bold")
        yield self._rich_table(narrow)
        notes = [Text(note) for note in self.notes]
        if narrow:  # a remark has no room beside its row
            said = [(f"{label}: {_remark(row)}", row) for label, row in self.table.iterrows() if _remark(row)]
            notes = [Text(text, style=_style(row)) for text, row in said] + notes
        if notes:
            yield Text("")
        for note in notes:
            yield Padding(note, (0, 0, 0, 2))

    def _rich_table(self, narrow: bool) -> Table:
        from rich.table import Table
        from rich.text import Text

        shown = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0) if narrow else (0, 1))
        shown.add_column("model", no_wrap=True)
        for head, _ in _COLUMNS.values():
            shown.add_column(
                head.replace(" ", "\n").replace("-", "-\n") if narrow and head != "log p(x)" else head,
                justify="right",
                no_wrap=True,
            )
        remarks = not narrow and any(_remark(row) for _, row in self.table.iterrows())
        if remarks:
            shown.add_column("", overflow="fold")
        best = {column: self.best(column) for column in _COLUMNS}
        for label, row in self.table.iterrows():
            cells = [Text(_cell(column, row), style="bold green" if row[column] == best[column] else "") for column in _COLUMNS]
            shown.add_row(Text(str(label)), *cells, *([Text(_remark(row), style=_style(row))] if remarks else []))
        return shown

    def __repr__(self) -> str:
        from io import StringIO

        from rich.console import Console

        out = StringIO()
        Console(file=out, width=2_000, color_system=None, force_terminal=False).print(self)
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _remark(row: pd.Series) -> str:
    return row["error"] or row["stopped"]


def _style(row: pd.Series) -> str:
    return "red" if row["error"] else "yellow"


def _cell(column: str, row: pd.Series) -> str:
    value = row[column]
    if pd.isna(value):
        return "-"
    if column.endswith("_seconds"):
        return seconds(value)
    if column == "log_p":
        return f"{value:.4g} {row['likelihood']}" if abs(value) >= 1e5 else f"{value:.2f} {row['likelihood']}"
    return f"{value:.3f}"


def _plain(value: Any) -> Any:
    """A cell as JSON knows it."""
    if isinstance(value, float):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf") if math.isinf(value) else value
    return value


def _write(text: str, path: str | Path | None) -> str:
    if path is not None:
        Path(path).write_text(text + "\n", encoding="utf-8")
    return text
