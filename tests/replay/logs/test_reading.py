"""Import of logs: what every format yields, and what bad input gets."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.replay.logs.writing import HOSTILE, expected, outcomes, write_lines, write_trl, write_verl, write_wandb

import edgewise as ew
from edgewise.adapters.prompts import digest as adapters_digest
from edgewise.cli import main
from edgewise.errors import ConfigError
from edgewise.replay import Recorder
from edgewise.replay.logs import RunLog, digest, open_log, open_logs, read_log
from edgewise.replay.logs.groups import GroupTable
from edgewise.replay.logs.rule import Rule
from edgewise.replay.logs.savings import count_waste
from edgewise.replay.logs.tables import open_table

pytest.importorskip("pyarrow")


def table(log: RunLog, names: dict[str, int]) -> dict[tuple[int, int], tuple[int, int, int]]:
    return {
        (int(step), names[str(log.ids[row])]): (int(s), int(k), int(n))
        for step, row, s, k, n in zip(log.steps, log.rows, log.successes, log.trials, log.lengths, strict=True)
    }


def test_trl_completions_give_every_group_with_its_lengths(tmp_path: Path) -> None:
    rollouts = outcomes()
    log = read_log(write_trl(tmp_path / "run", rollouts, format_reward=1.0))
    names = {digest([{"role": "user", "content": f"question {i}"}]): i for i in range(40)}
    assert table(log, names) == expected(rollouts)
    assert (log.source, log.unit) == ("TRL", "characters")
    assert (log.silent == ~log.informative).all()
    assert any("format_reward" in note for note in log.notes)


def test_verl_rollout_data_give_every_group_although_uids_differ_at_each_step(tmp_path: Path) -> None:
    rollouts = outcomes()
    log = read_log(write_verl(tmp_path / "run", rollouts))
    assert table(log, {digest(f"question {i}"): i for i in range(40)}) == expected(rollouts)
    assert (log.source, log.unit, log.notes) == ("verl", "characters", [])
    trace = log.trace()
    assert (len(trace), trace.trials.sum()) == (len(expected(rollouts)), len(rollouts))


def test_verl_uids_that_number_the_rollouts_give_whole_groups(tmp_path: Path) -> None:
    rollouts = outcomes()
    folder = write_verl(tmp_path / "run", rollouts, numbered=True)
    (first, second) = (folder / "1.jsonl").read_text().splitlines()[:2]
    assert json.loads(first)["uid"] != json.loads(second)["uid"]
    log = read_log(folder)
    assert table(log, {digest(f"question {i}"): i for i in range(40)}) == expected(rollouts)


def test_named_columns_of_jsonl_parquet_and_csv_give_the_same_log(tmp_path: Path) -> None:
    import pandas

    rollouts = outcomes()
    lines = [
        {"t": r["step"], "who": r["prompt"], "right": r["correct"], "n": r["length"], "src": "ab"[r["prompt"] % 2]}
        for r in rollouts
    ]
    pandas.DataFrame(lines).to_parquet(tmp_path / "log.parquet")
    pandas.DataFrame(lines).to_csv(tmp_path / "log.csv", index=False)
    columns = "step=t,id=who,correct=right,length=n,category=src"
    for path in (write_lines(tmp_path / "log.jsonl", lines), tmp_path / "log.parquet", tmp_path / "log.csv"):
        log = read_log(path, columns=columns)
        assert table(log, {str(i): i for i in range(40)}) == expected(rollouts)
        assert log.unit == "tokens"
        assert log.ids.dtype == np.int64
        assert set(log.pool.category_names) == {"a", "b"}
        assert all(
            log.category_names[log.prompt_codes[row] - 1] == "ab"[log.ids[row] % 2] for row in range(len(log.ids))
        )


def test_tables_of_weights_and_biases_give_every_group_and_the_texts(tmp_path: Path) -> None:
    rollouts = outcomes()
    write_wandb(tmp_path / "wandb" / "offline-run-1-abc", rollouts)
    reader = open_log(tmp_path)
    assert reader.poll()
    assert not reader.poll()
    log = reader.log
    assert table(log, {digest(f"question {i}"): i for i in range(40)}) == expected(rollouts)
    assert (log.name, log.source, log.unit) == ("offline-run-1-abc", "Weights & Biases", "characters")
    group = reader.completions(0)[0]
    assert [rollout["completion"].strip("x") for rollout in group["rollouts"]] == [""] * group["trials"]


def test_a_table_that_an_evaluation_has_logged_at_the_step_of_another_is_left_out(tmp_path: Path) -> None:
    rollouts = outcomes(steps=3)
    run = write_wandb(tmp_path / "run", rollouts)
    tables = run / "files" / "media" / "table"
    held_out = [["2", f"held out {i}", "x", 1.0] for i in range(8)]
    table_of_step_2 = {"columns": ["step", "prompt", "completion", "accuracy_reward"], "data": held_out}
    (tables / "completions_3_0123456789abcdef0123.table.json").write_text(json.dumps(table_of_step_2))
    log = read_log(run)
    assert int(log.trials.sum()) == len(rollouts)
    assert any("1 tables have the step of an earlier one" in note for note in log.notes)


def test_tables_of_a_run_that_is_begun_anew_take_the_steps_of_those_that_are_removed(tmp_path: Path) -> None:
    tables = write_wandb(tmp_path / "run", outcomes(steps=3)) / "files" / "media" / "table"
    reader = open_log(tmp_path / "run")
    reader.poll()
    kept, removed = sorted(tables.glob("completions_*"), key=lambda path: int(path.name.split("_")[1]))[:2]
    removed.unlink()
    written = json.loads(kept.read_text())
    for line in written["data"]:
        line[:2] = ["2", f"new {line[1]}"]
    (tables / "completions_7_0123456789abcdef0123.table.json").write_text(json.dumps(written))
    assert reader.poll()
    assert sorted(set(reader.log.steps.tolist())) == [1, 2, 3]
    assert not reader.log.notes


def test_a_csv_keeps_line_breaks_and_a_table_is_read_anew_when_it_has_changed(tmp_path: Path) -> None:
    import pandas

    path = tmp_path / "log.csv"
    lines = [{"step": 1, "prompt": 'a,\n"b"', "completion": "x\ny", "reward": reward} for reward in (1.0, 0.0)]
    pandas.DataFrame(lines).to_csv(path, index=False)
    reader = open_log(path)
    reader.poll()
    assert (reader.log.trials.tolist(), reader.completions(0)[0]["rollouts"][0]["completion"]) == ([2], "x\ny")
    pandas.DataFrame([*lines, {**lines[0], "step": 2}]).to_csv(path, index=False)
    assert reader.poll()
    assert reader.log.trials.tolist() == [2, 1]


def test_a_csv_cut_anywhere_gives_the_whole_rows_before_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    head = "step,prompt,reward,completion\n"
    rows = [f'{step},"a,\n""{step}""",{reward},"x\ny"\n' for step in (1, 2) for reward in (1, 0)]
    text = head + "".join(rows)
    for cut in range(len(head) + 1, len(text)):
        path.write_text(text[:cut])
        reader = open_log(path)
        reader.poll()
        whole = sum(cut >= len(head) + len("".join(rows[: i + 1])) for i in range(len(rows)))
        assert whole <= reader.log.trials.sum() <= whole + 1


def cut_while_it_is_read(path: Path) -> None:
    with open_table(path) as table:
        assert table is not None
        os.truncate(path, 10)
        list(table.batches(["completion"]))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_that_is_cut_or_removed_behind_the_reader_loses_its_texts_alone(suffix: str, tmp_path: Path) -> None:
    import pandas

    path = tmp_path / f"log{suffix}"
    table = pandas.DataFrame(outcomes()).rename(columns={"correct": "reward"}).assign(completion="x" * 100)
    table.to_csv(path) if suffix == ".csv" else table.to_parquet(path)
    reader = open_log(path)
    reader.poll()
    assert reader.completions(0)[0]["rollouts"]
    if suffix == ".parquet":
        with pytest.raises(ConfigError, match="damaged"):
            cut_while_it_is_read(path)
    path.unlink()
    assert [group["rollouts"] for group in reader.completions(0)] == [[]] * (reader.log.rows == 0).sum()


def test_what_an_error_quotes_of_a_log_moves_no_cursor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,prompt,reward\n1,a,\x1b[2J\u202eX,1\n1,a,1\n")
    monkeypatch.setattr(sys, "argv", ["edgewise", "replay", str(path)])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().err
    assert "·[2J·X" in said
    assert "\x1b" not in said


def test_a_csv_may_have_long_completions(tmp_path: Path) -> None:
    lines = [f"1,a,{reward},{'x' * 3_000_000}\n" for reward in (1, 0)]
    (tmp_path / "log.csv").write_text("step,prompt,reward,completion\n" + "".join(lines))
    assert read_log(tmp_path / "log.csv").lengths.tolist() == [6_000_000]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.table.json", "[1, 2]", "no lists 'columns' and 'data'"),
        ("a.table.json", '{"columns": ["step", "prompt", "reward"], "data": [[1, 2]]}', "do not have the 3 values"),
        ("a.csv", "step,prompt,reward\n1,a,1,2\n", "no CSV with the names of its columns"),
        ("a.csv", "step,prompt,reward\n1,a\n1,a,1\n", "no CSV with the names of its columns"),
    ],
)
def test_tables_that_cannot_be_read_are_refused_by_name(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=f"{name}.*{said}"):
        read_log(tmp_path / name)


def test_a_recorded_trace_and_a_run_folder_are_logs(tmp_path: Path) -> None:
    pool = ew.PromptPool([f"p{i}" for i in range(30)], ["x", "y", "z"] * 10)
    curriculum = ew.Curriculum(pool, "uniform", rollouts=4)
    recorder = Recorder(pool, tmp_path / "trace.npz").attach(curriculum)
    rng, lines = np.random.default_rng(0), []
    for step in range(1, 11):
        batch = curriculum.select(5)
        rewards = rng.integers(0, 2, (5, 4))
        curriculum.observe(batch, rewards.astype(float))
        lines.append(
            {
                "step": step,
                "effective_ratio": 0.5,
                "predicted": batch.predicted.tolist(),
                "successes": rewards.sum(1).tolist(),
                "trials": [4] * 5,
                "ids": batch.ids.tolist(),
                "categories": [pool.category_names[c - 1] for c in pool.categories[batch.rows]],
            }
        )  # type: ignore[index]
    recorder.save()
    trace = read_log(tmp_path / "trace.npz")
    run = tmp_path / "run"
    run.mkdir()
    write_lines(run / "metrics.jsonl", lines)
    log = read_log(run)
    assert (trace.pool_size, len(trace), len(log)) == (30, 50, 50)
    assert sorted(zip(trace.steps, trace.ids[trace.rows], trace.successes, strict=True)) == sorted(
        zip(log.steps, log.ids[log.rows], log.successes, strict=True)
    )
    assert np.isfinite(log.predicted).all()
    assert {log.category_names[c - 1] for c in log.codes} == {"x", "y", "z"}
    assert log.numbers["effective_ratio"][1].tolist() == [0.5] * 10


def test_ids_of_logs_are_those_of_the_adapters() -> None:
    for prompt in ("plain", [{"role": "user", "content": "é", "name": None}], [{"role": "user", "content": "a"}]):
        assert digest(prompt) == adapters_digest(prompt)


def test_polling_reads_what_has_come_since(tmp_path: Path) -> None:
    rollouts = outcomes(steps=6)
    path = tmp_path / "log.jsonl"
    text = "".join(
        json.dumps({"step": r["step"], "prompt": str(r["prompt"]), "reward": float(r["correct"])}) + "\n"
        for r in rollouts
    ).encode()
    names = {digest(str(i)): i for i in range(40)}
    want = {key: (s, k, 0) for key, (s, k, _) in expected(rollouts).items()}
    path.write_bytes(text[: len(text) // 2])
    reader = open_log(path)
    assert reader.poll()
    assert (
        any("ends within a line" in note for note in reader.log.notes)
        or text[len(text) // 2 - 1 : len(text) // 2] == b"\n"
    )
    assert not reader.poll()
    path.write_bytes(text)
    assert reader.poll()
    got = {key: (s, k, 0) for key, (s, k, _) in table(reader.log, names).items()}
    assert got == want
    assert reader.log.notes == []


def test_a_file_that_was_written_anew_is_read_anew_however_long_it_is(tmp_path: Path) -> None:
    first, second = (
        [{"step": r["step"], "prompt_id": r["prompt"], "reward": float(r["correct"])} for r in outcomes(seed=seed)]
        for seed in (0, 1)
    )
    path = write_lines(tmp_path / "log.jsonl", first[:40])
    reader = open_log(path)
    reader.poll()
    with path.open("a") as file:
        file.write("no JSON\n")
    reader.poll()
    # As a run that begins again does, or one that is cut back to its checkpoint, while nothing looks at the log.
    write_lines(path, second)
    assert reader.poll()
    fresh = read_log(path)
    assert reader.log.notes == fresh.notes == []
    for name in ("steps", "successes", "trials"):
        assert getattr(reader.log, name).tolist() == getattr(fresh, name).tolist()


@settings(max_examples=40)
@given(st.integers(1, 2000), st.integers(0, 3))
def test_a_file_cut_anywhere_gives_the_whole_lines_before_the_cut(cut: int, seed: int) -> None:
    import tempfile

    lines = [
        json.dumps({"step": r["step"], "prompt": str(r["prompt"]), "reward": float(r["correct"])})
        for r in outcomes(steps=2, batch=4, seed=seed)
    ]
    text = ("\n".join(lines) + "\n").encode()
    cut = min(cut, len(text))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        path.write_bytes(text[:cut])
        reader = open_log(path)
        whole = text[:cut].count(b"\n") + (text[:cut].endswith(b"}") and 1)
        reader.poll()
        assert int(reader.log.trials.sum()) == whole if whole else True


def test_a_half_written_parquet_is_left_out_and_read_when_it_is_whole(tmp_path: Path) -> None:
    rollouts = outcomes(steps=3)
    write_trl(tmp_path, rollouts)
    last = tmp_path / "completions" / "completions_00003.parquet"
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) // 2])
    reader = open_log(tmp_path)
    reader.poll()
    assert set(reader.log.steps.tolist()) == {1, 2}
    assert any("not whole yet" in note and "completions_00003" in note for note in reader.log.notes)
    last.write_bytes(whole)
    os.utime(last, (2e9, 2e9))
    assert reader.poll()
    assert set(reader.log.steps.tolist()) == {1, 2, 3}
    assert reader.log.notes == []


def test_generation_batches_that_train_for_several_steps_are_counted_once(tmp_path: Path) -> None:
    rollouts = outcomes(steps=2)
    twice = [{**r, "step": 2 * r["step"] + extra} for extra in (0, 1) for r in rollouts]
    log = read_log(write_trl(tmp_path, twice))
    assert int(log.trials.sum()) == len(rollouts)
    assert any("repeat the rollouts" in note for note in log.notes)


@pytest.mark.parametrize(("begin", "end"), [(1, 4), (4, 6)])
def test_files_that_an_earlier_run_left_behind_are_not_read(begin: int, end: int, tmp_path: Path) -> None:
    write_verl(tmp_path, outcomes(steps=9))
    for step in range(1, 10):
        os.utime(tmp_path / f"{step}.jsonl", (1e9 + step * 60 + (1e6 if begin <= step <= end else 0),) * 2)
    log = read_log(tmp_path)
    assert set(log.steps.tolist()) == set(range(1, end + 1))
    assert any(f"{9 - end} files from {end + 1}.jsonl on are older" in note for note in log.notes)


def test_a_file_in_which_the_steps_begin_again_keeps_the_later_part(tmp_path: Path) -> None:
    first, second = outcomes(steps=40, seed=1), outcomes(steps=30, seed=2)
    path = write_lines(
        tmp_path / "log.jsonl",
        [
            {"step": r["step"], "prompt": str(r["prompt"]), "reward": float(r["correct"]), "pad": "x" * 40}
            for r in [*first, *[r for r in second if r["step"] > 20]]
        ],
    )
    log = read_log(path)
    want = {
        **{k: v for k, v in expected(first).items() if k[0] <= 20},
        **{k: v for k, v in expected(second).items() if k[0] > 20},
    }
    got = table(log, {digest(str(i)): i for i in range(40)})
    assert {key: value[:2] for key, value in got.items()} == {key: value[:2] for key, value in want.items()}
    assert any("steps fall back" in note for note in log.notes)


def test_rewards_between_other_limits_need_a_scale_or_a_threshold(tmp_path: Path) -> None:
    rollouts = outcomes()
    write_verl(tmp_path, rollouts, low=-1.0, high=2.0)
    with pytest.raises(ConfigError, match=r"go from -1 to 2, outside \[0, 1\].*--scale -1 2.*--success 2"):
        read_log(tmp_path)
    want = sum(r["correct"] for r in rollouts)
    assert read_log(tmp_path, scale=(-1, 2)).successes.sum() == want
    assert read_log(tmp_path, success=2.0).successes.sum() == want
    with pytest.raises(ConfigError, match="still go from"):
        read_log(tmp_path, scale=(0, 1.5))
    with pytest.raises(ConfigError, match="low before high"):
        read_log(tmp_path, scale=(1, 0))


@pytest.mark.parametrize("success", [math.nan, math.inf])
def test_a_threshold_that_is_no_number_is_refused(success: float) -> None:
    with pytest.raises(ConfigError, match=r"--success takes .*; got (nan|inf)"):
        Rule(success=success)


@pytest.mark.parametrize(
    ("lines", "columns", "words"),
    [
        ([{"step": 1, "prompt": "a", "points": "x"}], None, r"no reward.*--columns reward=NAME.*step, prompt, points"),
        ([{"prompt": "a", "reward": 1}], None, r"no column for the training step.*prompt, reward"),
        ([{"step": 1, "reward": 1}], None, r"no column for the prompt"),
        ([{"step": 1, "prompt": "a", "r1": 1.0, "r2": 0.0}], None, r"several that may be rewards \(r1, r2\)"),
        (
            [{"step": 1, "prompt": "a", "reward": 1}],
            "reward=scor",
            r"no column 'scor' for reward; it has step, prompt, reward",
        ),
        ([{"step": 1, "prompt": "a", "reward": 1}], "rewad=score", r"Did you mean 'reward'"),
        ([{"step": 1, "prompt": "a", "reward": 1}], "reward", r"role=column"),
        ([{"step": None, "prompt": "a", "reward": 1}], None, r"a reward: 1 record\(s\) have no number in 'step'"),
        ([{"step": 1, "prompt": "a", "rewards": [1, 0]}], None, r"in 'rewards'; a record is one rollout, not the list"),
    ],
)
def test_columns_that_do_not_fit_get_one_sentence_that_names_those_there(
    lines: list[dict[str, Any]], columns: str | None, words: str, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "log.jsonl", lines)
    with pytest.raises(ConfigError, match=words) as stop:
        read_log(path, columns=columns)
    assert "\n" not in str(stop.value)


def test_folders_without_a_log_and_with_several_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no log: expected TRL.*it holds nothing"):
        read_log(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"it holds notes\.txt"):
        read_log(tmp_path)
    with pytest.raises(ConfigError, match="there is no"):
        read_log(tmp_path / "absent")
    for name in ("a", "b"):
        write_verl(tmp_path / name, outcomes(steps=2))
    with pytest.raises(ConfigError, match=r"the logs of 2 runs \(a, b\)"):
        read_log(tmp_path)
    assert [reader.name for reader in open_logs([tmp_path])] == ["a", "b"]
    assert [reader.name for reader in open_logs([tmp_path / "a", tmp_path])] == ["a", "b"]
    write_verl(tmp_path / "more" / "a", outcomes(steps=2))
    assert [reader.name for reader in open_logs([tmp_path])] == ["a", "b", "more/a"]
    one = tmp_path / "c"
    one.mkdir()
    for name in ("train", "other"):
        write_lines(one / f"{name}.jsonl", [{"step": 1}])
    with pytest.raises(ConfigError, match=r"different names.*give one of them"):
        read_log(one)


@pytest.mark.parametrize("command", ["replay", "fit"])
def test_a_file_that_is_no_log_says_what_it_is(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content, said in (
        (
            "noise.jsonl",
            b"\x00\xff\n" * 9,
            "noise holds no rollout with a step and a reward: noise.jsonl: 9 lines are no JSON object",
        ),
        ("array.json", b'[{"step": 1, "prompt": "a", "rew', "1 line is no JSON object"),
        ("old.jsonl", b'{"step": 1}\r{"step": 2}\r', "1 line is no JSON object"),
        ("indented.json", b'{\n "step": 1\n}', "3 lines are no JSON object"),
        ("windows.jsonl", '{"step": 1}\n'.encode("utf-16"), "is UTF-16"),
        ("run.jsonl.gz", b"\x1f\x8b", "is compressed: unpack it first, such as with gunzip -k"),
        ("notes.txt", b"x", "notes.txt is no log: expected TRL's"),
    ):
        (tmp_path / name).write_bytes(content)
        monkeypatch.setattr("sys.argv", ["edgewise", command, str(tmp_path / name)])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 2
        assert said in capsys.readouterr().err


def test_lines_that_are_no_json_are_counted_and_hostile_text_is_text(tmp_path: Path) -> None:
    lines = [
        json.dumps({"step": 1, "prompt": HOSTILE, "completion": HOSTILE, "reward": r, "category": HOSTILE})
        for r in (0, 1)
    ]
    deep = '{"a":' + "[" * 100_000
    (tmp_path / "log.jsonl").write_text("\n".join([lines[0], "{broken", deep, "[1]", lines[1], ""]))
    reader = open_log(tmp_path / "log.jsonl")
    reader.poll()
    log = reader.log
    assert (len(log), log.trials.tolist(), log.category_names) == (1, [2], [HOSTILE[:200]])
    assert any("3 lines are no JSON object" in note and "line 2" in note for note in log.notes)
    group = reader.completions(0)[0]
    assert [rollout["completion"] for rollout in group["rollouts"]] == [HOSTILE, HOSTILE]


@pytest.mark.parametrize("kind", ["trl", "verl"])
def test_completions_of_a_prompt_are_read_again_from_the_files(kind: str, tmp_path: Path) -> None:
    rollouts = outcomes()
    (write_trl if kind == "trl" else write_verl)(tmp_path, rollouts)
    reader = open_log(tmp_path)
    reader.poll()
    log = reader.log
    row = int(log.rows[-1])
    groups = reader.completions(row)
    assert [group["step"] for group in groups] == sorted(log.steps[log.rows == row].tolist(), reverse=True)[:8]
    for group in groups:
        assert len(group["rollouts"]) == group["trials"] == 4
        assert sum(rollout["reward"] for rollout in group["rollouts"]) == group["successes"]
        assert all("question" in rollout["prompt"] for rollout in group["rollouts"])


def test_rollouts_without_a_reward_are_left_out(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "log.jsonl", [{"step": 1, "prompt": "a", "reward": r} for r in (1, None, 0, "bad", float("nan"))]
    )
    log = read_log(path)
    assert log.trials.tolist() == [2]
    assert any("3 rollouts have no reward" in note for note in log.notes)


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans(), st.integers(0, 9)), max_size=200),
    st.integers(1, 50),
)
def test_groups_do_not_depend_on_how_rollouts_arrive(rollouts: list[tuple[int, int, bool, int]], size: int) -> None:
    table = GroupTable()
    for start in range(0, len(rollouts), size):
        part = rollouts[start : start + size]
        step, row, right, length = (np.array(column) for column in zip(*part, strict=True))
        table.add(
            step=step,
            row=row,
            group=0,
            part=0,
            successes=right,
            trials=1,
            length=length,
            truncated=0,
            low=right,
            high=right,
            advantage=-1,
            predicted=-1,
            random=0,
            where=np.arange(start, start + len(part)),
        )
        if start % (3 * size) == 0:
            table.columns()
    got = table.columns()
    want: dict[tuple[int, int], list[int]] = {}
    for step, row, right, length in rollouts:
        entry = want.setdefault((step, row), [0, 0, 0])
        entry[0] += right
        entry[1] += 1
        entry[2] += length
    found = {
        (int(a), int(b)): [int(c), int(d), int(e)]
        for a, b, c, d, e in zip(*(got[name] for name in ("step", "row", "successes", "trials", "length")), strict=True)
    }
    assert found == want
    assert (np.diff(got["step"]) >= 0).all()


MEMORY = """
import json, resource, sys
from edgewise.replay.logs import read_log
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
log = read_log(sys.argv[1])
print(int(log.trials.sum()), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with path.open("w") as file:
        for i in range(6400):
            file.write(
                json.dumps({"step": i // 64, "prompt": f"q{i // 8 % 50}", "reward": i % 2, "completion": "x" * 40_000})
                + "\n"
            )
    assert path.stat().st_size > 250e6
    done = subprocess.run([sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True)
    rollouts, megabytes = map(int, re.findall(r"\d+", done.stdout))
    assert rollouts == 6400
    # A chunk of 2048 records of 40 kB.
    assert megabytes < 200


OUTPUTS = [("replay", "--out"), ("fit", "--out"), ("fit", "--priors"), ("watch", "--html")]


@pytest.mark.parametrize("arguments", OUTPUTS)
def test_a_full_disk_and_a_missing_folder_are_one_sentence_and_leave_nothing(
    arguments: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = [
        {"step": t, "prompt": f"q{(3 * t + p) % 20}", "reward": (t + p + j) % 2}
        for t in range(40)
        for p in range(3)
        for j in range(2)
    ]
    path = write_lines(tmp_path / "log.jsonl", lines)
    monkeypatch.setattr("edgewise.replay.logs.fit.GRID", {"drift": (0.1,), "retention": (0.998,)})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    command, option = arguments
    for place, words in (("missing/out", "make it first"), ("out", "No space left on device")):
        monkeypatch.setattr(os, "fsync", full)
        monkeypatch.setattr(sys, "argv", ["edgewise", command, str(path), option, str(tmp_path / place)])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 2
        errors = capsys.readouterr().err
        assert words in errors
        assert len(errors.strip().splitlines()) == 1
        assert [entry.name for entry in tmp_path.iterdir()] == ["log.jsonl"]


@pytest.mark.parametrize("arguments", OUTPUTS)
def test_results_do_not_take_the_place_of_their_log(
    arguments: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_lines(tmp_path / "log.jsonl", _changed(outcomes(), lambda i, line: line))
    before = path.read_bytes()
    command, option = arguments
    monkeypatch.setattr(sys, "argv", ["edgewise", command, str(path), option, str(path)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert (stop.value.code, path.read_bytes()) == (2, before)
    assert "give them another name" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["3.jsonl", "results.jsonl"])
@pytest.mark.parametrize("arguments", OUTPUTS)
def test_results_are_no_log_of_the_folder_that_they_are_made_from(
    arguments: tuple[str, str],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = write_verl(tmp_path / "run", outcomes(steps=40))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    command, option = arguments
    monkeypatch.setattr(sys, "argv", ["edgewise", command, str(folder), option, str(folder / name)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert "would be among the logs" in capsys.readouterr().err
    # Under another name it may lie beside them.
    monkeypatch.setattr(sys, "argv", ["edgewise", command, str(folder), option, str(folder / "results.json")])
    main()
    assert len(read_log(folder)) == 320


def _changed(rollouts: list[dict[str, Any]], change: Any) -> list[dict[str, Any]]:
    return [
        change(i, {"step": r["step"], "prompt": f"question {r['prompt']}", "reward": float(r["correct"])})
        for i, r in enumerate(rollouts)
    ]


@pytest.mark.parametrize(
    ("change", "left_out", "note"),
    [
        (lambda i, line: line | {"prompt": None} if i < 4 else line, 4, "4 rollouts have neither a prompt nor an id"),
        (lambda i, line: line | {"prompt_id": "x" * 300 + line["prompt"]}, 0, None),
        (lambda i, line: line | {"prompt_id": int(line["prompt"][9:]) if i % 2 else line["prompt"][9:]}, 0, None),
        (lambda i, line: line | {"prompt_id": [int, float][i % 2](line["prompt"][9:])}, 0, None),
        (lambda i, line: line | {"prompt_id": math.nan}, 0, None),
        (
            lambda i, line: line | {"prompt": math.nan} if i < 4 else line,
            4,
            "4 rollouts have neither a prompt nor an id",
        ),
        (lambda i, line: line | {"reward": str(line["reward"]) if i else "n/a"}, 1, "1 rollouts have no reward"),
        (lambda i, line: line | {"reward": [str, bool][i % 2](line["reward"] == 1)}, 0, None),
        (lambda i, line: line | {"step": 0.5} if i == 0 else line, 1, "1 rollouts have no reward, or no whole number"),
        (lambda i, line: line | {"edgewise_method": ["edge", None, math.nan, [1], {}][i % 5]}, 0, None),
        (lambda i, line: line | {"uid": f"record {i}"}, 0, "groups are the rollouts of a prompt in a step"),
        (
            lambda i, line: {
                "step": line["step"],
                "reward": line["reward"],
                "messages": [
                    {"role": "user", "content": line["prompt"]},
                    {"role": "assistant", "content": f"answer {i}"},
                ],
            },
            0,
            None,
        ),
    ],
    ids=[
        "no prompt",
        "long id",
        "number and text",
        "number and float",
        "id NaN",
        "prompt NaN",
        "text reward",
        "verdict as text",
        "half a step",
        "method of any type",
        "uid of records",
        "messages",
    ],
)
def test_odd_values_leave_the_other_groups_as_they_are(
    change: Any, left_out: int, note: str | None, tmp_path: Path
) -> None:
    rollouts = outcomes()
    log = read_log(write_lines(tmp_path / "log.jsonl", _changed(rollouts, change)))
    want = expected(rollouts[left_out:])
    assert sorted(zip(log.steps, log.successes, log.trials, strict=True)) == sorted(
        (step, successes, trials) for (step, _), (successes, trials, _) in want.items()
    )
    assert len(log.ids) == len({prompt for _, prompt in want})
    assert [n for n in log.notes if "left out" in n or "groups are" in n] == (
        [n for n in log.notes if note in n] if note else []
    )
    assert not note or any(note in n for n in log.notes)


@pytest.mark.parametrize(
    "change",
    [
        {"step": 0.5},
        {"step": -1},
        {"successes": None},
        {"trials": "abc"},
        {"successes": [0.5, 1, 1]},
        {"trials": [2.5, 4, 4]},
        {"ids": ["a", None, "c"]},
        {"ids": ["a", math.nan, "c"]},
    ],
    ids=str,
)
def test_a_line_of_a_journal_that_does_not_fit_leaves_the_others_as_they_are(
    change: dict[str, Any], tmp_path: Path
) -> None:
    lines = [{"step": step, "ids": ["a", "b", "c"], "successes": [0, 1, 4], "trials": [4] * 3} for step in range(6)]
    log = read_log(write_lines(tmp_path / "metrics.jsonl", [*lines[:4], lines[4] | change, lines[5]]))
    assert log.steps.tolist() == [step for step in (0, 1, 2, 3, 5) for _ in range(3)]
    assert (len(log.ids), log.notes) == (
        3,
        ["metrics.jsonl: 1 lines have no step, or groups that do not fit together, and are left out."],
    )


def test_a_number_beyond_every_float_is_left_out_of_its_series(tmp_path: Path) -> None:
    line = {"ids": ["a", "b"], "successes": [0, 1], "trials": [4] * 2}
    steps = [{"step": step, **line, "reward": 0.5 if step else 10**400, "odd": 10**400} for step in range(6)]
    log = read_log(write_lines(tmp_path / "metrics.jsonl", steps))
    assert log.numbers["reward"][0].tolist() == [1, 2, 3, 4, 5]
    assert "odd" not in log.numbers


def test_a_log_of_which_some_groups_have_no_prompt_cannot_be_followed(tmp_path: Path) -> None:
    lines = [{"step": step, "ids": ["a", "b"], "successes": [0, 1], "trials": [4] * 2} for step in range(6)]
    log = read_log(write_lines(tmp_path / "metrics.jsonl", [*lines[:4], lines[4] | {"ids": None}, lines[5]]))
    assert log.notes == ["metrics.jsonl does not name its prompts: the pool over time cannot be shown."]
    with pytest.raises(ConfigError, match="does not name its prompts"):
        log.trace()


@pytest.mark.parametrize("size", ["Infinity", "1e300", "-5", '"abc"'])
def test_a_size_of_the_pool_that_no_pool_has_is_unknown(size: str, tmp_path: Path) -> None:
    lines = [{"step": step, "ids": ["a", "b"], "successes": [0, 1], "trials": [4] * 2} for step in range(6)]
    write_lines(tmp_path / "metrics.jsonl", lines)
    (tmp_path / "summary.json").write_text(f'{{"pool": {{"all": {size}}}}}')
    assert read_log(tmp_path).pool_size is None


def test_numbers_as_ids_stay_the_same_where_pandas_makes_them_floats(tmp_path: Path) -> None:
    import pandas

    # TRL logs evaluation beside training, whose rollouts have no id: the column of that file holds floats.
    lines = _changed(outcomes(), lambda i, line: line | {"edgewise_id": int(line["prompt"][9:])})
    half = len(lines) // 2
    evaluated = {**lines[half], "edgewise_id": None, "prompt": "another question"}
    pandas.DataFrame(lines[:half]).to_parquet(tmp_path / "part_0.parquet")
    pandas.DataFrame([*lines[half:], evaluated]).to_parquet(tmp_path / "part_1.parquet")
    log = read_log(tmp_path)
    assert set(log.ids.tolist()) == {str(line["edgewise_id"]) for line in lines} | {digest("another question")}
    assert len(log) == len(expected(outcomes())) + 1


def test_lengths_in_tokens_and_in_characters_are_not_added(tmp_path: Path) -> None:
    rollouts = outcomes()
    half = len(rollouts) // 2
    for part, own in enumerate((rollouts[:half], rollouts[half:])):
        lines = _changed(
            own, lambda i, line, part=part: line | {"completion": "xyz"} | ({"num_tokens": 7} if part else {})
        )
        write_lines(tmp_path / f"part_{part}.jsonl", lines)
    log = read_log(tmp_path)
    assert log.unit is None
    assert any("lengths are left out" in note for note in log.notes)


def test_groups_of_one_rollout_are_not_counted_as_without_a_gradient(tmp_path: Path) -> None:
    log = read_log(write_lines(tmp_path / "log.jsonl", _changed(outcomes(k=1), lambda i, line: line)))
    assert set(log.trials.tolist()) == {1}
    assert not log.silent.any()
    assert any("one rollout each" in note for note in log.notes)
    with pytest.raises(ConfigError, match=r"one rollout in a group.*--columns"):
        count_waste(log)


@pytest.mark.parametrize("names", ["rollouts_{}", "{}"], ids=["parts", "verl"])
@pytest.mark.parametrize(
    ("ending", "words"),
    [(".gz", r"compressed parts \(\w+\.jsonl\.gz\).*gunzip -k"), (".1", r"older parts .*oldest first")],
)
def test_parts_that_are_not_read_are_named(names: str, ending: str, words: str, tmp_path: Path) -> None:
    write_lines(tmp_path / f"{names.format(2)}.jsonl", _changed(outcomes(), lambda i, line: line))
    (tmp_path / f"{names.format(1)}.jsonl{ending}").write_bytes(b"x")
    with pytest.raises(ConfigError, match=words):
        read_log(tmp_path)


def test_copies_hidden_files_and_one_that_is_begun_change_nothing(tmp_path: Path) -> None:
    rollouts = outcomes(steps=3)
    write_verl(tmp_path, rollouts)
    for name in ("2 (1).jsonl", "2_val.jsonl", ".3.jsonl"):
        (tmp_path / name).write_bytes((tmp_path / "2.jsonl").read_bytes())
    (tmp_path / "4.jsonl").touch()
    log = read_log(tmp_path)
    assert {step: (log.steps == step).sum() for step in (1, 2, 3)} == {1: 8, 2: 8, 3: 8}
    assert log.trials.sum() == len(rollouts)
    assert (log.unit, log.lengths.sum(), log.notes) == ("characters", sum(r["length"] for r in rollouts), [])


@pytest.mark.parametrize("kind", [bool, int, Decimal], ids=str)
def test_a_reward_under_a_name_of_its_own_is_a_column_of_any_numbers(kind: Any, tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    lines = [{"step": r["step"], "prompt": f"question {r['prompt']}", "passed": kind(r["correct"])} for r in outcomes()]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(lines), tmp_path / "log.parquet")
    assert read_log(tmp_path / "log.parquet").successes.sum() == sum(line["passed"] for line in lines)


def test_columns_may_come_late_and_twice(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    lines = _changed(outcomes(), lambda i, line: line)
    events = [{"event": "begins"}] * 100
    late = [line | {"level": "a"} for line in lines]
    log = read_log(write_lines(tmp_path / "log.jsonl", [*events, *lines[:100], *late[100:]]))
    assert (log.trials.sum(), log.category_names) == (len(lines), ["a"])
    names = [*lines[0], "reward"]
    columns = [[line[name] for line in lines] for name in lines[0]]
    table = pyarrow.Table.from_arrays([*map(pyarrow.array, columns), pyarrow.array([0.0] * len(lines))], names=names)
    pyarrow.parquet.write_table(table, tmp_path / "log.parquet")
    assert np.array_equal(read_log(tmp_path / "log.parquet").successes, log.successes)


@pytest.mark.parametrize("prompts", [True, False])
def test_ids_that_are_numbered_in_each_category_are_prompts_of_their_own(prompts: bool, tmp_path: Path) -> None:
    def change(i: int, line: dict[str, Any]) -> dict[str, Any]:
        number = int(line["prompt"][9:])
        line |= {"problem_id": number // 2, "data_source": "ab"[number % 2]}
        return line if prompts else {name: value for name, value in line.items() if name != "prompt"}

    rollouts = outcomes()
    path = write_lines(tmp_path / "log.jsonl", _changed(rollouts, change))
    reader = open_log(path)
    reader.poll()
    log = reader.log
    want = expected(rollouts)
    assert (len(log), len(log.ids)) == (len(want), len({prompt for _, prompt in want}))
    assert any("ids stand for prompts of several categories" in note for note in log.notes)
    row = next(row for row, name in enumerate(log.ids.tolist()) if "/" in name)
    category, _, number = log.ids[row].partition("/")
    assert log.category_names[log.prompt_codes[row] - 1] == category
    group = reader.completions(row)[0]
    assert len(group["rollouts"]) == group["trials"]
    if prompts:
        assert {rollout["prompt"] for rollout in group["rollouts"]} == {
            f"question {2 * int(number) + 'ab'.index(category)}"
        }
        # The category of a prompt may change: it stays the same.
        same = _changed(rollouts, lambda i, line: line | {"problem_id": line["prompt"], "data_source": "ab"[i % 2]})
        assert len(read_log(write_lines(tmp_path / "same.jsonl", same)).ids) == len(log.ids)
