"""Logs whose lines are not in the order of their steps: what counts, and what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.replay.logs.writing import outcomes, write_lines

from edgewise.replay.logs import open_log, read_log


def lines(rollouts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"step": r["step"], "prompt": str(r["prompt"]), "reward": float(r["correct"])} for r in rollouts]


def counts(log: Any) -> tuple[int, int, int]:
    return len(log), int(log.trials.sum()), int(log.successes.sum())


def said(log: Any, words: str) -> bool:
    return any(words in note for note in log.notes)


ROLLOUTS = outcomes(steps=40)
WHOLE = (320, 1280, sum(r["correct"] for r in ROLLOUTS))


@pytest.mark.parametrize(("by", "name"), [("group", "rank"), ("rollout", "rank"), ("rollout", "")])
def test_files_of_several_ranks_are_shares_of_one_run(by: str, name: str, tmp_path: Path) -> None:
    for rank in range(4):
        own = [r for i, r in enumerate(ROLLOUTS) if (i // 4 if by == "group" else i) % 4 == rank]
        write_lines(tmp_path / f"rollouts_{name}{rank}.jsonl", lines(own))
    log = read_log(tmp_path)
    assert counts(log) == WHOLE
    assert set(log.trials.tolist()) == {4}
    assert said(log, "4 files hold the same steps")


def test_lines_in_descending_and_in_any_order_lose_nothing(tmp_path: Path) -> None:
    falling = sorted(ROLLOUTS, key=lambda r: -r["step"])
    shuffled = [ROLLOUTS[i] for i in np.random.default_rng(0).permutation(len(ROLLOUTS))]
    for name, order, noted in (("falling", falling, False), ("shuffled", shuffled, True)):
        log = read_log(write_lines(tmp_path / f"{name}.jsonl", lines(order)))
        assert counts(log) == WHOLE
        assert said(log, "not in the order of their steps") == noted
        assert not said(log, "left out")


def test_steps_that_begin_again_with_other_prompts_are_counted_on(tmp_path: Path) -> None:
    second = [{**r, "prompt": r["prompt"] + 100} for r in ROLLOUTS]
    log = read_log(write_lines(tmp_path / "log.jsonl", lines([*ROLLOUTS, *second])))
    assert counts(log) == (640, 2560, 2 * WHOLE[2])
    assert log.steps.max() == 80
    assert said(log, "begin again with other prompts (2 parts)")


def test_steps_that_begin_again_with_the_same_prompts_are_another_run(tmp_path: Path) -> None:
    other = [{**r, "correct": not r["correct"]} for r in ROLLOUTS]
    log = read_log(write_lines(tmp_path / "log.jsonl", lines([*ROLLOUTS, *other])))
    assert counts(log) == (320, 1280, 1280 - WHOLE[2])
    assert said(log, "320 groups of the earlier part")


@pytest.mark.parametrize("back", [3, 16])
def test_a_resumed_run_counts_what_it_rolled_out_again_once(back: int, tmp_path: Path) -> None:
    before = [r for r in ROLLOUTS if r["step"] <= 24]
    again = [{**r, "correct": True} for r in ROLLOUTS if r["step"] > 24 - back]
    reader = open_log(write_lines(tmp_path / "log.jsonl", lines([*before, *again])))
    reader.poll()
    log = reader.log
    assert set(log.trials.tolist()) == {4}
    assert counts(log)[:2] == WHOLE[:2]
    assert (log.successes[log.steps > 24 - back] == 4).all()
    newest = reader.completions(int(log.rows[log.steps == 24][0]))[0]
    assert [rollout["reward"] for rollout in newest["rollouts"]] == [1.0] * 4


@pytest.mark.parametrize("back", [2, 4, 7])
def test_a_run_that_is_resumed_some_steps_back_with_other_prompts_replaces_them(back: int, tmp_path: Path) -> None:
    before = [r for r in ROLLOUTS if r["step"] <= 24]
    again = [{**r, "prompt": r["prompt"] + 1000} for r in ROLLOUTS if r["step"] > 24 - back]
    # The steps of a log need not follow each other.
    sparse = [{**r, "step": 2 * r["step"]} for r in (*before, *again)]
    for number, rollouts in enumerate(([*before, *again], sparse)):
        log = read_log(write_lines(tmp_path / f"{number}.jsonl", lines(rollouts)))
        assert counts(log)[:2] == WHOLE[:2]
        assert said(log, "resumed some steps back" if not number or 2 * back <= 8 else "steps")


@pytest.mark.parametrize("begin", [2, 5, 9])
def test_a_run_that_is_resumed_far_back_in_its_first_steps_is_no_next_pass(begin: int, tmp_path: Path) -> None:
    before = [r for r in ROLLOUTS if r["step"] <= 24]
    again = [{**r, "prompt": r["prompt"] + 1000} for r in ROLLOUTS if r["step"] >= begin]
    log = read_log(write_lines(tmp_path / "log.jsonl", lines([*before, *again])))
    assert counts(log) == WHOLE
    assert said(log, f"{8 * (25 - begin)} groups of the earlier part")


def test_groups_whose_rollouts_come_late_stay_whole(tmp_path: Path) -> None:
    # An asynchronous trainer: the second half of every group is logged two steps later.
    late = sorted(enumerate(ROLLOUTS), key=lambda pair: (pair[1]["step"] + 2 * (pair[0] % 4 >= 2), pair[0]))
    log = read_log(write_lines(tmp_path / "log.jsonl", lines([r for _, r in late])))
    assert counts(log) == WHOLE
    assert log.notes == []


@pytest.mark.parametrize("most", [8, 16, 40])
def test_an_asynchronous_run_whose_groups_all_come_late_loses_none(most: int, tmp_path: Path) -> None:
    late = np.repeat(np.random.default_rng(most).uniform(0, most, len(ROLLOUTS) // 4), 4)
    order = np.argsort([r["step"] + steps for r, steps in zip(ROLLOUTS, late, strict=True)], kind="stable")
    log = read_log(write_lines(tmp_path / "log.jsonl", lines([ROLLOUTS[i] for i in order])))
    assert counts(log) == WHOLE
    assert log.notes == []


@pytest.mark.parametrize("steps", [12, 30])
@pytest.mark.parametrize("begin", [1, 5])
def test_single_groups_that_come_many_steps_late_do_not_replace_the_steps_between(
    begin: int, steps: int, tmp_path: Path
) -> None:
    # An agent that took as long as so many updates.
    slow = [i for i, r in enumerate(ROLLOUTS) if r["step"] == begin][:4]
    late = sorted(
        enumerate(ROLLOUTS), key=lambda pair: (pair[1]["step"] + steps * (pair[0] in slow), pair[0] not in slow)
    )
    log = read_log(write_lines(tmp_path / "log.jsonl", lines([r for _, r in late])))
    assert counts(log) == WHOLE
    assert log.notes == []
