"""Evaluations in TRL's log: TRL writes their completions over the file of the step after which they come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.replay.logs.writing import expected, outcomes, write_trl

from edgewise.errors import ConfigError
from edgewise.replay.logs import open_log, read_log

pytest.importorskip("pyarrow")
ROLLOUTS = outcomes(steps=6)
HELD_OUT = [{**r, "prompt": r["prompt"] + 100, "step": 4} for r in outcomes(steps=1)]
OVERWRITTEN = [*(r for r in ROLLOUTS if r["step"] != 4), *HELD_OUT]


def write_state(checkpoint: Path, *steps: int) -> None:
    history: list[dict[str, Any]] = [{"step": step, "reward": 0.5} for step in range(1, 7)]
    checkpoint.mkdir()
    lines = history + [{"step": step, "eval_loss": 0.0} for step in steps]
    (checkpoint / "trainer_state.json").write_text(json.dumps({"log_history": lines}))


def groups(log: Any) -> list[tuple[int, int, int]]:
    return sorted(zip(log.steps.tolist(), log.successes.tolist(), log.trials.tolist(), strict=True))


def wanted(*left_out: int) -> list[tuple[int, int, int]]:
    table = expected(r for r in ROLLOUTS if r["step"] not in left_out)
    return sorted((step, successes, trials) for (step, _), (successes, trials, _) in table.items())


def test_steps_that_the_trainers_state_calls_evaluated_are_left_out(tmp_path: Path) -> None:
    folder = write_trl(tmp_path / "run", OVERWRITTEN)
    write_state(folder / "checkpoint-3")
    write_state(folder / "checkpoint-6", 4)
    log = read_log(folder)
    assert groups(log) == wanted(4)
    assert len(log.ids) == len({r["prompt"] for r in ROLLOUTS if r["step"] != 4})
    assert log.unit == "characters"
    assert any("32 rollouts of evaluations" in note for note in log.notes)


def test_an_evaluation_before_the_training_is_none_of_its_steps(tmp_path: Path) -> None:
    folder = write_trl(tmp_path / "run", [*({**r, "step": 0} for r in HELD_OUT), *ROLLOUTS])
    assert groups(read_log(folder)) == wanted()


def test_a_state_that_is_saved_later_is_read_later(tmp_path: Path) -> None:
    folder = write_trl(tmp_path / "run", OVERWRITTEN)
    reader = open_log(folder)
    reader.poll()
    assert groups(reader.log) != wanted(4)
    write_state(folder / "checkpoint-6", 4)
    assert reader.poll()
    assert groups(reader.log) == wanted(4)
    assert not reader.poll()


def test_where_our_adapter_names_the_prompts_the_training_of_an_evaluated_step_counts(tmp_path: Path) -> None:
    import pandas

    folder = write_trl(tmp_path / "run", ROLLOUTS)
    # Of prompts that are trained on too.
    write_trl(tmp_path / "held_out", [{**r, "prompt": r["prompt"] - 100} for r in HELD_OUT])
    for path in sorted((folder / "completions").iterdir()):
        frame = pandas.read_parquet(path)
        frame["edgewise_id"] = [str(prompt) for prompt in frame["prompt"]]
        if path.name == "completions_00004.parquet":
            # TRL keeps the newest rollouts: half of the first group that is left was pushed out.
            held_out = pandas.read_parquet(tmp_path / "held_out" / "completions" / path.name)
            frame = pandas.concat([frame.iloc[18:], held_out.assign(edgewise_id=None)])
        frame.to_parquet(path)
    log = read_log(folder)
    kept = [r for i, r in enumerate(ROLLOUTS) if r["step"] != 4 or i % 32 >= 20]
    table = expected(kept)
    assert groups(log) == sorted((step, s, k) for (step, _), (s, k, _) in table.items())


def test_a_log_of_evaluations_alone_is_refused_with_the_reason(tmp_path: Path) -> None:
    folder = write_trl(tmp_path / "run", HELD_OUT)
    write_state(folder / "checkpoint-6", 4)
    with pytest.raises(ConfigError, match=r"all are of evaluations.*eval_steps"):
        read_log(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"log_history": 3}', '{"log_history": [{"eval_loss": 0}]}', '{"log_history": ["a"]}']
)
def test_a_state_that_cannot_be_read_names_no_evaluation(text: str, tmp_path: Path) -> None:
    folder = write_trl(tmp_path / "run", ROLLOUTS)
    write_state(folder / "checkpoint-6", 4)
    (folder / "checkpoint-6" / "trainer_state.json").write_text(text)
    assert groups(read_log(folder)) == wanted()
