"""Tables of rollouts, files that are written whole: parquet, CSV, and the tables of Weights & Biases."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from edgewise.errors import ConfigError
from edgewise.replay.logs.jsonl import LONGEST
from edgewise.replay.logs.parquet import ParquetTable, open_parquet, reading

PARQUET, CSV, WANDB = TABLES = (".parquet", ".csv", ".table.json")
"""How the names of such files end."""


class Table(Protocol):
    """Columns of a file: the names of all, of those that hold numbers or bools, the number of rows, and whether one more is cut."""

    names: list[str]
    numeric: list[str]
    size: int
    cut: bool

    def batches(self, columns: Sequence[str], first: int = 0) -> Iterator[tuple[int, dict[str, list[Any]]]]:
        """(number of the first row, values by column) of each batch, from row `first` on."""
        ...


def is_table(path: Path) -> bool:
    """Whether the name of a file is that of a table."""
    return path.name.endswith(TABLES)


@contextmanager
def open_table(path: Path) -> Iterator[Table | None]:
    """The table of a file; None if it is not whole (being written, or cut).

    Raises:
        ConfigError: pyarrow is not installed, or the file cannot be read.
    """
    if path.name.endswith(PARQUET):
        file = open_parquet(path)
        if file is None:
            yield None
        else:
            with file, reading(path):
                yield ParquetTable(file)
        return
    if path.name.endswith(CSV):
        yield _csv(path)
    else:
        columns = _wandb(path)
        yield None if columns is None else _Columns(columns)


class _Columns:
    """A table in memory."""

    def __init__(self, columns: dict[str, list[Any]], cut: bool = False):
        self._columns, self.names, self.cut = columns, list(columns), cut
        self.numeric = [n for n, values in columns.items() if any(isinstance(value, (int, float)) for value in values)]
        self.size = len(next(iter(columns.values()), []))

    def batches(self, columns: Sequence[str], first: int = 0) -> Iterator[tuple[int, dict[str, list[Any]]]]:
        if self.size > first:
            yield first, {name: self._columns[name][first:] for name in columns}


def _csv(path: Path) -> _Columns | None:
    try:
        import pyarrow
        import pyarrow.csv
    except ImportError as error:
        raise ConfigError("CSV files need pyarrow: pip install 'edgewise[logs]'") from error
    cut: list[str] = []

    def odd(row: Any) -> str:
        """A row with another number of values: the last one may be half written."""
        if row.actual_columns > row.expected_columns or not _ends_in(path, row.text):
            return "error"
        cut.append(row.text)
        return "skip"

    try:
        if not path.stat().st_size:
            return None
        table = pyarrow.csv.read_csv(
            path,
            # A row has to fit into a block.
            read_options=pyarrow.csv.ReadOptions(block_size=LONGEST),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=odd),
        )
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ConfigError(f"{path} is no CSV with the names of its columns in the first line: {reason}") from error
    return _Columns(_first_of_each(table.column_names, [column.to_pylist() for column in table.columns]), bool(cut))


def _ends_in(path: Path, text: str) -> bool:
    """Whether a file ends in a text, but for line breaks."""
    end = text.encode("utf-8", "surrogateescape").strip()
    try:
        with path.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - len(end) - 2, 0))
            return file.read().strip().endswith(end)
    except OSError:
        return False


def _wandb(path: Path) -> dict[str, list[Any]] | None:
    try:
        table = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    except (ValueError, RecursionError):
        return None
    names, rows = (table.get(key) if isinstance(table, dict) else None for key in ("columns", "data"))
    if not isinstance(names, list) or not isinstance(rows, list):
        raise ConfigError(f"{path} is no table of Weights & Biases: it has no lists 'columns' and 'data'")
    if any(not isinstance(row, list) or len(row) != len(names) for row in rows):
        raise ConfigError(f"{path} is damaged: its rows do not have the {len(names)} values of its columns")
    return _first_of_each([str(name) for name in names], [[row[i] for row in rows] for i in range(len(names))])


def _first_of_each(names: Sequence[str], columns: Sequence[list[Any]]) -> dict[str, list[Any]]:
    """Columns by name; of several with one name the first."""
    found: dict[str, list[Any]] = {}
    for name, values in zip(names, columns, strict=True):
        found.setdefault(name, values)
    return found
