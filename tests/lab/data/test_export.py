"""Exported problems: ids and splits are stable, rewards verify what the task verifies, trainers' own readers read the files."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from edgewise.errors import ConfigError, TaskError
from edgewise.lab.data import Export, compute_score, export, verification_reward
from edgewise.lab.data.command import data_command
from edgewise.lab.data.export import packed
from edgewise.lab.data.rewards import unpacked
from edgewise.tasks import make_task

TASKS: dict[str, dict[str, Any]] = {
    "school": {"level": [1, 2]},
    "countdown": {},
    "opgraph": {"op": [1, 3]},
    "gsm_infinite": {"op": [2, 4]},
}


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("form", ["jsonl", "trl"])
def test_files_hold_distinct_problems_that_their_task_verifies(tmp_path: Path, task: str, form: str) -> None:
    files = export(Export(task, {}, TASKS[task], 30, 10, format=form), tmp_path / "out")
    sides = {side: read(path) for side, path in files.items()}
    assert {side: len(rows) for side, rows in sides.items()} == {"train": 30, "test": 10}
    ids = [row["id"] for rows in sides.values() for row in rows]
    assert len(set(ids)) == 40
    again = {problem.id: problem for problem in make_task(task).problems(30, 0, split="train", **TASKS[task])}
    assert [row["id"] for row in sides["train"]] == list(again)
    if form == "trl":
        rows = sides["train"]
        solutions = [again[row["id"]].solution for row in rows]
        packed = [row["problem"] for row in rows]
        assert verification_reward(solutions, packed) == [1.0] * 30
        assert (
            verification_reward([[{"role": "assistant", "content": text}] for text in solutions], packed) == [1.0] * 30
        )
        assert verification_reward(["no idea"] * 30, packed) == [0.0] * 30
        messages = [[{"role": "assistant", "content": None}, {"role": "tool", "content": text}] for text in solutions]
        assert verification_reward(messages, packed) == [0.0] * 30
        said = [
            [*before, {"role": "assistant", "content": [{"type": "text", "text": text}]}]
            for before, text in zip(messages, solutions, strict=True)
        ]
        assert verification_reward(said, packed) == [1.0] * 30
        assert all(unpacked(text)[1] == again[row["id"]] for text, row in zip(packed, rows, strict=True))


def test_reasoning_and_missing_completions_are_no_answer() -> None:
    problem = make_task("school").problems(1, 0)[0]
    text = packed(problem, Export("school", {}, {}))
    parts = [{"type": "reasoning", "text": problem.solution}, {"type": "text", "text": "Done."}]
    thought, said = (
        [{"role": "assistant", "content": content}] for content in (parts, [*parts[::-1], {"text": problem.solution}])
    )
    assert verification_reward([None, thought, said, problem.solution], [text, text, text, None]) == [
        0.0,
        0.0,
        1.0,
        None,
    ]
    assert compute_score("edgewise/school", None, problem.answer, {"problem": text})["score"] == 0.0
    for info in (None, json.dumps({"problem": text}), {"problem": None}):
        with pytest.raises(ConfigError, match=r"no extra_info\.problem"):
            compute_score("edgewise/school", problem.solution, problem.answer, info)  # type: ignore[arg-type]


def test_trl_reads_its_files(tmp_path: Path) -> None:
    from datasets import load_dataset

    files = export(
        Export("school", {}, {"level": [1, 1]}, 20, 5, format="trl", chat=True, instruction=" Be brief."),
        tmp_path / "out",
    )
    data = load_dataset("json", data_files={k: str(v) for k, v in files.items()}, cache_dir=str(tmp_path / "cache"))
    assert {"prompt", "id", "category", "problem"} <= set(data["train"].column_names)
    assert data["train"][0]["prompt"][0]["content"].endswith(" Be brief.")
    assert len(data["test"]) == 5


def test_verl_reads_ids_category_and_reward_metadata(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    files = export(Export("school", {}, {"level": [1, 2]}, 20, 5, format="verl"), tmp_path / "out")
    rows = parquet.read_table(files["train"]).to_pylist()
    problems = make_task("school").problems(20, 0, split="train", level=[1, 2])
    for row, problem in zip(rows, problems, strict=True):
        assert row["extra_info"]["index"] == problem.id
        assert row["extra_info"]["category"] == row["ability"] == problem.category
        assert row["prompt"] == [{"content": problem.prompt, "role": "user"}]
        arguments = (row["data_source"], f" {problem.answer}", row["reward_model"]["ground_truth"], row["extra_info"])
        assert compute_score(*arguments)["score"] == 1.0
        assert compute_score("edgewise/school", "?", problem.answer, row["extra_info"])["acc"] == 0.0
    with pytest.raises(ConfigError, match=r"no extra_info\.problem"):
        compute_score("edgewise/school", "1", "1", {})


def test_a_data_set_in_files_is_exported_whole(tmp_path: Path) -> None:
    rows = [{"question": f"What is {a} + {a}?", "answer": f"It is {2 * a}.\n#### {2 * a}"} for a in range(40)]
    for name, part in (("train", rows[:30]), ("test", rows[30:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    options = {"train": str(tmp_path / "train.jsonl"), "eval": str(tmp_path / "test.jsonl"), "grader": "plain"}
    files = export(Export("math", options, {}, format="trl"), tmp_path / "out")
    train, test = read(files["train"]), read(files["test"])
    # The files are verified on a machine that does not have the data set.
    assert str(tmp_path) not in files["train"].read_text()
    (tmp_path / "train.jsonl").unlink()
    assert (len(train), len(test)) == (30, 10)
    answers = [unpacked(row["problem"])[1].answer for row in test]
    assert sorted(answers, key=int) == [str(2 * a) for a in range(30, 40)]
    assert (
        verification_reward([rf"\boxed{{{answer}}}" for answer in answers], [row["problem"] for row in test])
        == [1.0] * 10
    )


def test_a_context_in_a_file_is_not_needed_for_rewards(tmp_path: Path) -> None:
    places = [f"{letter}ort" for letter in "ABCDEFGHIJ"]
    harbour = {"places": places, "items": ["boat", "crane", "barrel", "gull", "sailor"], "all": "things"}
    (tmp_path / "harbour.json").write_text(json.dumps(harbour))
    options = {"contexts": [str(tmp_path / "harbour.json")], "rule": "published"}
    files = export(Export("gsm_infinite", options, {"op": [2, 4]}, 10, 2, format="trl"), tmp_path / "out")
    (tmp_path / "harbour.json").unlink()
    problems = [row["problem"] for row in read(files["train"])]
    assert verification_reward([unpacked(text)[1].solution for text in problems], problems) == [1.0] * 10
    assert {unpacked(text)[0].rule for text in problems} == {"published"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", ["trl", "verl"])
def test_a_data_set_with_named_columns_is_rewarded(tmp_path: Path, form: Any) -> None:
    rows = [{"text": f"What is {a} + {a}?", "gold": str(2 * a), "hard": str(a % 3)} for a in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {
        "train": str(tmp_path / "rows.jsonl"),
        "problem": "text",
        "answer": "gold",
        "level": "hard",
        "grader": "plain",
    }
    settings = Export("math", options, {}, format=form)
    files = export(settings, tmp_path / "out")
    if form == "trl":
        packed = read(files["train"])[0]["problem"]
    else:
        packed = (
            pytest.importorskip("pyarrow.parquet").read_table(files["train"]).to_pylist()[0]["extra_info"]["problem"]
        )
    fields = json.loads(packed)
    # Files of earlier versions carry every option but the paths.
    earlier = json.dumps(fields | {"options": {name: options[name] for name in options if name != "train"}})
    for text in (packed, earlier):
        completion = f"\\boxed{{{fields['answer']}}}"
        assert verification_reward([completion, "\\boxed{no}"], [text] * 2) == [1.0, 0.0]
        assert compute_score("edgewise/math", completion, fields["answer"], {"problem": text})["score"] == 1.0


@pytest.mark.parametrize("form", ["jsonl", "trl"])
def test_the_instruction_is_behind_every_prompt(tmp_path: Path, form: Any) -> None:
    files = export(Export("countdown", {}, {}, 3, 3, format=form, instruction=" Be brief."), tmp_path / "out")
    assert all(row["prompt"].endswith(" Be brief.") for path in files.values() for row in read(path))
    assert json.loads((tmp_path / "out" / "about.json").read_text())["instruction"] == " Be brief."


@pytest.mark.parametrize("form", ["jsonl", "verl"])
def test_a_text_that_no_file_can_hold_is_shown(tmp_path: Path, form: Any) -> None:
    rows = "".join(json.dumps({"problem": f"Smile {a} \ud83d", "answer": "1"}) + "\n" for a in range(20))
    (tmp_path / "rows.jsonl").write_text(rows)
    with pytest.raises(TaskError, match=r"no character of a file: .*Smile [0-9]+ \\ud83d"):
        export(
            Export("math", {"train": str(tmp_path / "rows.jsonl"), "grader": "plain"}, {}, format=form),
            tmp_path / "out",
        )
    assert not (tmp_path / "out").exists()


def test_no_test_prompt_is_a_training_prompt(tmp_path: Path) -> None:
    difficulty = {"family": ["division"]}
    task = make_task("school")
    drawn = {problem.prompt for problem in task.problems(400, 0, **difficulty)}
    # Two levels of a family share a few questions, which are problems of two keys.
    assert any(problem.prompt in drawn for problem in task.problems(100, 0, split="eval", **difficulty))
    files = export(Export("school", {}, difficulty, 400, 100), tmp_path / "out")
    train, test = ({row["prompt"] for row in read(path)} for path in files.values())
    assert train == drawn
    assert len(test) == 100
    assert not train & test


def test_bad_settings_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="say how many with train"):
        export(Export("school", {}, {}), tmp_path / "out")
    with pytest.raises(ConfigError, match="format must be one of verl, trl, jsonl"):
        Export("school", {}, {}, format="csv")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        Export("school", {}, {}, train=0)
    with pytest.raises(ConfigError, match=r"read from files have no difficulty settings, got \{'op': 3\}"):
        Export("geometry", {}, {"op": 3}, files=(tmp_path,))
    for name in ("split", "seed", "n"):
        with pytest.raises(ConfigError, match=f"'{name}' is not a difficulty setting"):
            Export("school", {}, {name: "eval"}, 3, 3)
    with pytest.raises(TaskError, match="wanted"):
        export(Export("opgraph", {}, {"op": [1, 1]}, 10_000, 10), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match="exists"):
        export(Export("school", {}, {}, 3, 3), tmp_path / "out")


def sources(folder: Path) -> dict[str, dict[str, Any]]:
    """Arguments of `edgewise data` for every data set, with small files where one is read from files."""
    from PIL import Image

    rows = [{"question": f"What is {a} + {a}?", "answer": f"It is {2 * a}.\n#### {2 * a}"} for a in range(30)]
    for name, part in (("train", rows[:20]), ("test", rows[20:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    for index in range(30):
        problem = folder / "pictured" / str(index)
        problem.mkdir(parents=True)
        Image.new("L", (12, 10 + index), 200).save(problem / "img_diagram.png")
        data = {"problem_text": f"Find x, {index}.", "choices": [str(index), "1.5", "2", "3"], "answer": "A"}
        (problem / "data.json").write_text(json.dumps(data))
    files = (folder / "train.jsonl", folder / "test.jsonl")
    return {
        "math": {"source": files, "options": "{grader: plain}"},
        "gsm8k": {"source": files, "options": "{grader: plain}"},
        "countdown": {"train": 20, "test": 5},
        "school": {"train": 20, "test": 5, "difficulty": "{level: [1, 2]}"},
        "gsm_infinite": {"train": 20, "test": 5, "difficulty": "{op: [2, 4]}"},
        "geometry3k": {"source": (folder / "pictured",)},
    }


@pytest.mark.parametrize("task", ["math", "gsm8k", "countdown", "school", "gsm_infinite", "geometry3k"])
@pytest.mark.parametrize("form", ["verl", "trl", "jsonl"])
def test_every_data_set_is_written_in_every_format(tmp_path: Path, task: str, form: Any) -> None:
    from PIL import Image

    data_command(task, tmp_path / "out", form, **sources(tmp_path)[task])
    suffix = "parquet" if form == "verl" else "jsonl"
    rows: dict[str, list[dict[str, Any]]] = {}
    for side in ("train", "test"):
        path = tmp_path / "out" / f"{side}.{suffix}"
        if form == "verl":
            rows[side] = pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
        else:
            rows[side] = read(path)
    ids = [row["extra_info"]["index"] if form == "verl" else row["id"] for side in rows.values() for row in side]
    assert len(set(ids)) == len(ids)
    assert len(rows["train"]) > len(rows["test"]) > 0
    row = rows["train"][0]
    if form == "verl":
        answer = row["reward_model"]["ground_truth"]
        assert row["ability"] == row["extra_info"]["category"]
        assert compute_score(row["data_source"], f"\\boxed{{{answer}}}", answer, row["extra_info"])["score"] in (
            0.0,
            1.0,
        )
    elif form == "trl":
        assert verification_reward(["no idea"], [row["problem"]]) == [0.0]
    if task != "geometry3k":
        return
    if form == "verl":
        picture = row["images"][0]["bytes"]
        assert row["prompt"][0]["content"].count("<image>") == len(row["images"]) == 1
        assert compute_score("edgewise/geometry", f"<answer>{answer}</answer>", answer, row["extra_info"])["acc"] == 1.0
    else:
        picture = (tmp_path / "out" / row["images"][0]).read_bytes()
        # TRL puts the placeholders in itself.
        assert ("<image>" in row["prompt"]) == (form == "jsonl")
    with Image.open(BytesIO(picture)) as image:
        assert image.width == 12


def test_rows_hold_no_figure_beside_its_picture(tmp_path: Path) -> None:
    files = export(Export("geometry", {}, {}, 3, 2), tmp_path / "out")
    assert all(set(row["meta"]) == {"op", "family"} and row["images"] for row in read(files["train"]))


def test_a_side_without_problems_is_refused(tmp_path: Path) -> None:
    rows = [{"question": f"What is {a} + 1?", "answer": str(a + 1)} for a in range(30)]
    for given, difficulty, side in ((rows[:1], {}, "train|test"), (rows, {"level": (1, 2)}, "train")):
        with pytest.raises(TaskError, match=f"holds no problem for ({side}); name a file of its own"):
            export(Export("math", {"train": given, "grader": "plain"}, difficulty), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_of_the_hub_is_named_as_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked = []

    def load(name: str, config: str | None, split: str) -> list[dict[str, str]]:
        asked.append((name, config, split))
        return [{"question": f"{split} {a}", "answer": f"#### {a}"} for a in range(10)]

    monkeypatch.setattr(datasets, "load_dataset", load)
    hub = [Path(f"hf:openai/gsm8k:main:{split}") for split in ("train", "test")]
    data_command("gsm8k", tmp_path / "out", source=tuple(hub), options="{grader: plain}")
    assert asked == [("openai/gsm8k", "main", "train"), ("openai/gsm8k", "main", "test")]
    assert len(read(tmp_path / "out" / "test.jsonl")) == 10


def test_files_are_named_for_what_is_read_from_files_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="geometry3k is read from files: --source TRAIN"):
        data_command("geometry3k", tmp_path / "out")
    with pytest.raises(ConfigError, match="school makes its problems; --source is for math, gsm8k, geometry3k"):
        data_command("school", tmp_path / "out", source=(tmp_path,))
    with pytest.raises(ConfigError, match="those of --source; --options names them too"):
        data_command("math", tmp_path / "out", source=(tmp_path,), options="{train: other.jsonl}")
    pictured = sources(tmp_path)["geometry3k"]["source"]
    with pytest.raises(TaskError, match="problems for train, wanted 1000"):
        data_command("geometry3k", tmp_path / "out", source=pictured, train=1000)
    assert not (tmp_path / "out").exists()
