"""Reading of parquet files in batches of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgewise.errors import ConfigError

BATCH = 1024
"""Rows that are in memory at a time."""


def open_parquet(path: Path) -> Any | None:
    """The file; None if it is not whole (being written, or cut).

    Raises:
        ConfigError: pyarrow is not installed, or the file cannot be read.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("parquet files need pyarrow: pip install 'edgewise[logs]'") from error
    try:
        # Mapped memory of a file that is cut ends the process, and TRL writes over its files.
        return pyarrow.parquet.ParquetFile(path, memory_map=False)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError):
        return None
    except OSError as error:
        # Arrow raises OSError both for damaged pages and for files that are not there.
        if not path.exists():
            raise ConfigError(f"cannot read {path}: there is no such file") from error
        return None


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Pages that cannot be decoded are a `ConfigError`."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ConfigError(f"{path} is damaged: {reason}; restore it, or leave it out") from error


class ParquetTable:
    """Columns of an open parquet file, read in batches of rows; see `edgewise.replay.logs.tables.Table`."""

    def __init__(self, file: Any):
        import pyarrow.types as kinds

        numbers = (kinds.is_floating, kinds.is_integer, kinds.is_decimal, kinds.is_boolean)
        schema = file.schema_arrow
        self._file, self.size, self.cut = file, int(file.metadata.num_rows), False
        self.names: list[str] = list(schema.names)
        self.numeric = [field.name for field in schema if any(is_one(field.type) for is_one in numbers)]

    def batches(self, columns: Sequence[str], first: int = 0) -> Iterator[tuple[int, dict[str, list[Any]]]]:
        place = 0
        for batch in self._file.iter_batches(batch_size=BATCH, columns=list(columns)):
            size = len(batch)
            if place + size > first:
                # By place: a name may be there twice, and its first column counts.
                values = {name: batch.column(batch.schema.names.index(name)).to_pylist() for name in columns}
                skip = max(first - place, 0)
                yield place + skip, {name: column[skip:] for name, column in values.items()} if skip else values
            place += size
