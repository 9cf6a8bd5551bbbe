"""Files of Geometry3K (arXiv 2105.04165) in both published layouts: folders, and parquet with images, problem and answer.

A folder holds data.json, logic_form.json and img_diagram.png; the path given is one of them, or a folder of them. Pictures are decoded
when they are loaded, so that a damaged one is named at once; a file that declares more than 25 million pixels is refused before that.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.errors import ConfigError, TaskError
from edgewise.tasks.base import Problem
from edgewise.tasks.written_number import number

IMAGE = "<image>"
DATA, PICTURE, LOGIC = "data.json", "img_diagram.png", "logic_form.json"
PIXELS = 25_000_000
"""Pixels of the largest picture that is read."""
BYTES = 50_000_000
"""Bytes of the largest picture file that is read."""
NAMED = 5
"""Problems that the warning names."""
COLUMNS = ("images", "problem", "answer")


@dataclass(frozen=True)
class LeftOut:
    """A problem of a file that is not used: its folder, or file and row, and the reason."""

    where: str
    reason: str


class LoadedProblems(list[Problem]):
    """The problems of a path, and those that were left out."""

    left_out: tuple[LeftOut, ...] = ()


def load_geometry3k(path: str | Path, *, strict: bool = False) -> LoadedProblems:
    """The problems of a folder or parquet file of Geometry3K; those whose picture or answer is unreadable are left out.

    Args:
        path: a folder of problems (at any depth), one problem's folder, or a parquet file.
        strict: refuse the whole path instead of leaving problems out.

    Raises:
        TaskError: nothing is there that can be read, columns are missing, or, if `strict`, a problem cannot be used.
        ConfigError: Pillow, or pyarrow for parquet files, is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise TaskError(f"there is no file or folder {path}")
    problems, left_out = LoadedProblems(), []
    for where, read in _folders(path) if path.is_dir() else _rows(path):
        try:
            problems.append(read())
        except TaskError as error:
            left_out.append(LeftOut(where, str(error)))
    problems.left_out = tuple(left_out)
    if not problems and not left_out:
        raise TaskError(f"{path} holds no problem of Geometry3K: a folder needs {DATA} and {PICTURE}")
    if left_out and (strict or not problems):
        raise TaskError(f"{left_out[0].where}: {left_out[0].reason} ({len(left_out)} of the problems are unusable)")
    if left_out:
        named = "; ".join(f"{one.where}: {one.reason}" for one in left_out[:NAMED])
        more = f"; and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
        total = len(problems) + len(left_out)
        warnings.warn(f"{len(left_out)} of {total} problems in {path} were left out: {named}{more}", stacklevel=3)
    return problems


def open_picture(source: Path | bytes, where: str) -> npt.NDArray[np.uint8]:
    """Grey levels (height, width) of a picture file; transparency becomes white.

    Raises:
        TaskError: it is no picture, damaged, animated beyond its first frame or too large; the message names `where`.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ConfigError("pictures of Geometry3K need Pillow: pip install pillow") from error
    size = len(source) if isinstance(source, bytes) else _size(source, where)
    if size > BYTES:
        raise TaskError(f"the picture {where} has {size:,} bytes, at most {BYTES:,} are read")
    try:
        with warnings.catch_warnings():
            # The limit below is lower than Pillow's own, and ours to name.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
                width, height = image.size
                if width * height > PIXELS:
                    raise TaskError(f"the picture {where} has {width} x {height} pixels, at most {PIXELS:,} are read")
                if image.mode[0] in "IF":  # Pillow's conversion to 8 bits clips them to white
                    raise TaskError(f"the picture {where} has more than 8 bits a channel; save it with 8")
                image.load()
                whole = image.convert("RGBA")
    except TaskError:
        raise
    except Image.DecompressionBombError as error:
        raise TaskError(f"the picture {where} is too large, at most {PIXELS:,} pixels are read") from error
    except Exception as error:  # Pillow's decoders raise whatever a damaged file makes them raise
        raise TaskError(f"the picture {where} cannot be read: {str(error) or type(error).__name__}") from error
    ground = Image.new("RGBA", whole.size, "white")
    return np.asarray(Image.alpha_composite(ground, whole).convert("L"))


Reader = Any


def _folders(root: Path) -> Iterator[tuple[str, Reader]]:
    found = [root] if (root / DATA).exists() else [path.parent for path in root.rglob(DATA)]
    for folder in sorted(found, key=lambda path: (len(path.name), path.name, str(path))):
        yield str(folder), lambda folder=folder: _folder(folder)


def _folder(folder: Path) -> Problem:
    data = _json(folder / DATA)
    logic = _json(folder / LOGIC) if (folder / LOGIC).exists() else {}
    text, choices, letter = (data.get(key) for key in ("problem_text", "choices", "answer"))
    if not isinstance(text, str) or not isinstance(choices, list) or not isinstance(letter, str):
        raise TaskError(f"{folder / DATA} needs problem_text, choices and answer; it has {', '.join(map(str, data))}")
    place = ord(letter) - ord("A") if len(letter) == 1 else -1
    if not 0 <= place < len(choices):
        raise TaskError(f"the answer {letter!r} in {folder / DATA} names none of its {len(choices)} choices")
    answer = str(choices[place])
    precise = data.get("precise_value")
    if number(answer) is None and isinstance(precise, list) and len(precise) == len(choices):
        answer = str(precise[place])
    kinds = data.get("problem_type_graph")
    meta = {
        "id": data.get("id"),
        "choices": [str(choice) for choice in choices],
        "graph": kinds,
        "goal": data.get("problem_type_goal"),
        "source": data.get("source"),
        "logic_form": logic,
    }
    category = str(kinds[0]) if isinstance(kinds, list) and kinds else "figure"
    return _problem(text, answer, category, meta, (open_picture(folder / PICTURE, str(folder / PICTURE)),))


def _rows(path: Path) -> Iterator[tuple[str, Reader]]:
    """The rows of a parquet file, one batch in memory at a time."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ConfigError("parquet files need pyarrow: pip install pyarrow") from error
    try:
        file = ParquetFile(path)
        names = file.schema_arrow.names
        missing = [name for name in COLUMNS if name not in names]
        if missing:
            raise TaskError(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(names)}")
        row = 0
        for batch in file.iter_batches(batch_size=16, columns=list(COLUMNS)):
            for record in batch.to_pylist():
                where = f"{path} row {row}"
                yield where, lambda record=record, where=where: _row(record, where)
                row += 1
    except (ArrowException, OSError, ValueError) as error:
        raise TaskError(f"{path} is no readable parquet file: {error}") from error


def _row(record: Mapping[str, Any], where: str) -> Problem:
    text, answer, images = record["problem"], record["answer"], record["images"]
    if not isinstance(text, str) or not isinstance(answer, str | int | float) or not isinstance(images, list | dict):
        raise TaskError("a problem needs a text, an answer and pictures")
    pictures = []
    for image in images if isinstance(images, list) else [images]:
        data = image.get("bytes") if isinstance(image, Mapping) else image
        if not isinstance(data, bytes):
            raise TaskError("a picture has no bytes in the file")
        pictures.append(open_picture(data, f"in {where}"))
    return _problem(text, str(answer), "figure", {}, tuple(pictures))


def _problem(text: str, answer: str, category: str, meta: dict[str, Any], pictures: tuple[Any, ...]) -> Problem:
    if number(answer) is None:
        raise TaskError(f"the answer {answer[:60]!r} is no number")
    places = text.count(IMAGE)
    if len(pictures) < max(places, 1):
        raise TaskError(f"the text shows {max(places, 1)} pictures, and {len(pictures)} are there")
    lacking = len(pictures) - places
    prompt = " ".join([*[IMAGE] * lacking, text.strip()]) if lacking > 0 else text.strip()
    return Problem(prompt, "", answer, category, meta, images=pictures)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise TaskError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise TaskError(f"{path} does not hold a JSON object")
    return value


def _size(path: Path, where: str) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise TaskError(f"the picture {where} cannot be read: {error}") from error
