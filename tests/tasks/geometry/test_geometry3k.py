"""Files of Geometry3K in both layouts, and pictures that are damaged, huge or no pictures."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgewise.errors import TaskError
from edgewise.tasks import Geometry
from edgewise.tasks.geometry.geometry3k import open_picture

TASK = Geometry()
DATA = Path(os.environ.get("EDGEWISE_DATA", Path(__file__).parents[4] / "shared" / "data")) / "geometry3k"
ENTRY = {
    "problem_text": "Find x.",
    "choices": ["6", "5 \\sqrt { 3 }", "a lot"],
    "precise_value": [6.0, 8.66, 7.5],
    "answer": "B",
    "problem_type_graph": ["Triangle"],
    "problem_type_goal": ["Length"],
    "id": 7,
}


def png(width: int = 20, height: int = 10, level: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((height, width), level, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def deep_png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((10, 20), 30_000, np.uint16)).save(buffer, "PNG")
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that declares a huge picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def folder(root: Path, name: str = "7", picture: bytes | None = None, **change: Any) -> Path:
    own = root / name
    own.mkdir(parents=True)
    (own / "data.json").write_text(json.dumps(ENTRY | change), encoding="utf-8")
    (own / "logic_form.json").write_text(json.dumps({"text_logic_form": ["Find(x)"]}))
    (own / "img_diagram.png").write_bytes(png() if picture is None else picture)
    return own


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as files

    files.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def row(picture: bytes | None = None, **change: Any) -> dict[str, Any]:
    images = [{"bytes": png() if picture is None else picture, "path": None}]
    return {"images": images, "problem": "<image>Find x.", "answer": "3"} | change


def test_the_real_problems_are_read() -> None:
    if not DATA.exists():
        pytest.skip(f"Geometry3K is not at {DATA}; EDGEWISE_DATA names its folder")
    problems = TASK.load(DATA)
    assert len(problems) == 10
    assert problems.left_out == ()
    assert {problem.answer for problem in problems} >= {"80", "13", "5 \\sqrt { 3 }", "\\frac { 2 \\sqrt { 2 } } { 5 }"}
    assert len({problem.id for problem in problems}) == 10
    for problem in problems:
        assert problem.prompt.startswith("<image> ")
        assert problem.images[0].min() < 100 < problem.images[0].max()
        assert problem.meta["logic_form"]
        assert TASK.verify(problem, f"So the answer is <answer> {problem.answer} </answer>").correct
        wrong = next(choice for choice in problem.meta["choices"] if choice != problem.answer)
        assert not TASK.verify(problem, f"<answer> {wrong} </answer>").correct


def test_a_folder_and_a_parquet_file_give_the_same_problem(tmp_path: Path) -> None:
    own = folder(tmp_path / "train")
    for path in (own, tmp_path / "train", tmp_path):
        problem = TASK.load(path)[0]
        assert (problem.prompt, problem.answer, problem.category) == ("<image> Find x.", "5 \\sqrt { 3 }", "Triangle")
        assert (problem.images[0] == 0).all()
        assert problem.images[0].shape == (10, 20)
    stored = TASK.load(parquet(tmp_path / "a.parquet", [row(answer="5 \\sqrt { 3 }")]))[0]
    assert stored.image_digest == problem.image_digest


def test_pictures_are_part_of_the_identity(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", [row(png(level=0)), row(png(level=9)), row(png(level=0))])
    one, other, again = TASK.load(path)
    assert one.prompt == other.prompt == "<image>Find x."
    assert one.id == again.id != other.id


def test_an_answer_in_words_is_replaced_by_its_value(tmp_path: Path) -> None:
    assert TASK.load(folder(tmp_path, answer="C"))[0].answer == "7.5"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"picture": b""}, r"img_diagram\.png cannot be read"),
        ({"picture": b"GIF89a" + bytes(50)}, r"img_diagram\.png cannot be read"),
        ({"picture": png(90, 90)[:60]}, r"img_diagram\.png cannot be read"),
        ({"picture": bomb(60_000, 60_000)}, r"img_diagram\.png (has 60000 x 60000 pixels|is too large)"),
        ({"picture": bomb(6_000, 5_000)}, r"img_diagram\.png has 6000 x 5000 pixels, at most 25,000,000"),
        ({"picture": bomb(0, 5)}, r"img_diagram\.png cannot be read"),
        ({"picture": deep_png()}, r"img_diagram\.png has more than 8 bits a channel"),
        ({"problem_text": "<image> and <image>"}, "the text shows 2 pictures, and 1 are there"),
        ({"answer": "Z"}, "names none of its 3 choices"),
        ({"answer": None}, "needs problem_text, choices and answer; it has problem_text"),
        ({"answer": "C", "precise_value": None}, "'a lot' is no number"),
    ],
)
def test_problems_that_cannot_be_used_are_left_out_and_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    folder(tmp_path, "1")
    folder(tmp_path, "2", **change)
    with pytest.warns(UserWarning, match="1 of 2 problems in .* were left out") as caught:
        problems = TASK.load(tmp_path)
    assert len(problems) == 1
    assert problems.left_out[0].where == str(tmp_path / "2")
    assert len(str(caught[0].message)) < 1000
    with pytest.raises(TaskError, match=message):
        TASK.load(tmp_path, strict=True)
    shutil.rmtree(tmp_path / "1")
    with pytest.raises(TaskError, match=message):
        TASK.load(tmp_path)


def test_rows_that_cannot_be_used_are_left_out_and_named(tmp_path: Path) -> None:
    rows = [
        row(),
        row(b"nothing"),
        row(answer="many"),
        row(problem=None),
        row(images=[{"bytes": None, "path": "a.png"}]),
        row(images=[]),
        row(),
    ]
    path = parquet(tmp_path / "a.parquet", rows)
    with pytest.warns(UserWarning, match="5 of 7 problems"):
        problems = TASK.load(path)
    assert [one.where.rpartition(" ")[2] for one in problems.left_out] == ["1", "2", "3", "4", "5"]
    assert [one.reason.split(":")[0] for one in problems.left_out] == [
        f"the picture in {path} row 1 cannot be read",
        "the answer 'many' is no number",
        "a problem needs a text, an answer and pictures",
        "a picture has no bytes in the file",
        "the text shows 1 pictures, and 0 are there",
    ]


def test_paths_without_problems_are_named(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="there is no file or folder"):
        TASK.load(tmp_path / "absent")
    with pytest.raises(TaskError, match=r"holds no problem of Geometry3K: a folder needs data\.json"):
        TASK.load(tmp_path)
    (tmp_path / "junk.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(TaskError, match="is no readable parquet file"):
        TASK.load(tmp_path / "junk.parquet")
    with pytest.raises(TaskError, match="lacks the columns images, answer; it has problem"):
        TASK.load(parquet(tmp_path / "columns.parquet", [{"problem": "Find x."}]))


def test_transparent_pictures_stand_on_white(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGBA", (4, 3), (0, 0, 0, 0)).save(path)
    assert open_picture(path, "a.png").tolist() == [[255] * 4] * 3
