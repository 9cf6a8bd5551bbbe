"""Savings estimated from logs: waste is counted, and intervals cover the truth of simulated runs."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.replay.logs.writing import expected, outcomes, write_lines, write_trl, write_verl
from tools.coverage import BATCH, PROMPTS, Found, coverage, noise, simulated

from edgewise.cli import main as command
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.replay import Trace
from edgewise.replay.logs import RunLog, log_of_trace, read_log
from edgewise.replay.logs.answer import answer, choice_words, percent, saved_words, table, to_dict
from edgewise.replay.logs.savings import Savings, count_waste, estimate_savings, saved_interval
from edgewise.statistics import Interval


def require_coverage(found: Found, least: float) -> None:
    for key, values in found.items():
        hits, errors, widths = (np.array(column, float) for column in zip(*values, strict=True))
        assert hits.mean() >= least, (key, hits.mean())
        # No bias: the mean error within 3 of its standard errors.
        assert abs(errors.mean()) < 3.3 * widths.mean() / math.sqrt(len(errors)), (key, errors.mean())


def test_intervals_of_a_few_logs_cover_the_truth() -> None:
    require_coverage(coverage(10, 40, ("mopps",)), 0.7)


def test_few_informative_groups_that_come_by_chance_are_no_savings() -> None:
    assert noise(10, 20, 0.01) == (0, 0)
    given, missed = noise(15, 20, 0.05)
    assert given >= 20
    # 4 or more of 30 have probability 0.06.
    assert missed <= 4


def test_picks_that_hold_all_informative_groups_leave_doubt() -> None:
    base = np.array([[1.0, 8, 80]] * 24)
    interval = saved_interval(np.array([[1.0, 2, 20]] * 24), base)
    assert interval.estimate == pytest.approx(0.75)
    assert interval.high - interval.low > 0.05
    # Fewer informative groups, or fewer expected among the picks.
    assert math.isnan(saved_interval(np.array([[1.0, 2, 20]] * 19), base[:19]).estimate)
    assert math.isnan(saved_interval(np.array([[1.0, 1, 10]] * 24), base).estimate)


@pytest.mark.slow
def test_intervals_of_50_logs_cover_the_truth_at_their_stated_rate() -> None:
    # 95% of 50 are 47.5; 43 or fewer have probability 0.04 for one estimate, 42 or fewer 0.012.
    require_coverage(coverage(50, 80, ("mopps", "edge")), 0.85)


def test_waste_is_counted_exactly_with_its_lengths(tmp_path: Path) -> None:
    rollouts = outcomes()
    groups = expected(rollouts)
    silent = {key for key, (s, k, _) in groups.items() if s in (0, k)}
    for log in (read_log(write_verl(tmp_path / "a", rollouts)), read_log(write_trl(tmp_path / "b", rollouts))):
        waste = count_waste(log)
        assert (waste.groups, waste.silent_groups, waste.rollouts) == (len(groups), len(silent), len(rollouts))
        assert waste.silent_rollouts == sum(groups[key][1] for key in silent)
        assert waste.all_wrong == sum(groups[key][1] for key in silent if groups[key][0] == 0)
        assert waste.silent_length == sum(groups[key][2] for key in silent)
        assert waste.all_right + waste.all_wrong == waste.silent_rollouts


def test_a_group_whose_rewards_differ_taught_something_although_none_was_correct(tmp_path: Path) -> None:
    lines = [{"step": 1, "prompt": "a", "reward": r} for r in (0.0, 0.25)] + [
        {"step": 1, "prompt": "b", "reward": 0.25}
    ] * 2
    log = read_log(write_lines(tmp_path / "log.jsonl", lines))
    assert (log.informative.tolist(), log.silent.tolist()) == ([False, False], [False, True])
    assert count_waste(log).silent_rollouts == 2


def test_an_informed_selector_is_estimated_to_save_and_uniform_to_save_nothing() -> None:
    savings = estimate_savings(log_of_trace(simulated(0, 60)[0]), ("edge", "uniform"))
    edge, uniform = savings.headline("edge"), savings.headline("uniform")
    assert edge is not None
    assert uniform is not None
    assert edge.saved.low > 0.2
    assert uniform.saved.low < 0 < uniform.saved.high
    assert {choice.share for choice in savings.choices["edge"]} == {0.5, 0.25, 0.125, None}
    assert all(choice.scored == 1.0 for choice in savings.choices["edge"] if choice.share is not None)
    whole = savings.choices["edge"][-1]
    assert whole.scored == pytest.approx(BATCH / PROMPTS, rel=0.3)


def test_outcomes_are_seen_only_after_the_choice() -> None:
    """With outcomes that are pure chance no selector can be estimated to save anything."""
    rng = np.random.default_rng(0)
    trace, _ = simulated(0, 120)
    random = Trace(trace.pool, trace.steps, trace.index, trace.rows, rng.permutation(trace.successes), trace.trials)
    for name in ("edge", "mopps"):
        savings = estimate_savings(log_of_trace(random), (name,))
        for choice in savings.choices[name]:
            assert choice.effective.low < savings.uniform.estimate + 0.01, (name, choice)


def test_passes_draws_and_selection_are_told_apart() -> None:
    assert estimate_savings(log_of_trace(simulated(1, 60)[0]), ()).sampling == "draws"
    passes = estimate_savings(log_of_trace(simulated(1, 60, passes=True)[0]), ("mopps",))
    assert passes.sampling == "passes"
    assert None not in {choice.share for choice in passes.choices["mopps"]}
    assert any("in passes" in note for note in passes.notes)
    trace, _ = simulated(1, 60)
    skewed = trace.rows < 40
    picked = Trace(
        trace.pool,
        trace.steps,
        trace.index[skewed | (trace.index % 6 == 0)],
        trace.rows[skewed | (trace.index % 6 == 0)],
        trace.successes[skewed | (trace.index % 6 == 0)],
        trace.trials[skewed | (trace.index % 6 == 0)],
    )
    selected = estimate_savings(log_of_trace(picked), ())
    assert selected.sampling == "selected"
    assert any("did not draw its prompts uniformly" in note for note in selected.notes)


@pytest.mark.parametrize("length", [1.1, 1.2, 1.3, 1.4, 1.5, 3.0])
def test_passes_and_draws_are_recognised_however_long_the_log_is(length: float) -> None:
    steps = round(length * 500 / 25)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        passes = np.concatenate([rng.permutation(500) for _ in range(4)])[: 25 * steps]
        draws = np.concatenate([rng.choice(500, 25, replace=False) for _ in range(steps)])
        for rows, sampling in ((passes, "passes"), (draws, "draws")):
            index, trials = np.repeat(np.arange(steps), 25), np.full(25 * steps, 4)
            trace = Trace(PromptPool(range(500)), np.arange(steps), index, rows, trials // 2, trials)
            assert estimate_savings(log_of_trace(trace), ()).sampling == sampling, (seed, sampling)


def test_short_logs_and_logs_without_prompts_are_counted_and_say_why_there_is_no_estimate(tmp_path: Path) -> None:
    short = estimate_savings(read_log(write_verl(tmp_path / "a", outcomes(steps=3))))
    assert not short.choices
    assert "at least 10" in short.notes[0]
    run = tmp_path / "run"
    run.mkdir()
    write_lines(run / "metrics.jsonl", [{"step": t, "successes": [0, 2], "trials": [4, 4]} for t in range(20)])
    unnamed = estimate_savings(read_log(run))
    assert not unnamed.choices
    assert "does not name its prompts" in answer(unnamed)
    assert "50% of your rollouts were spent on groups that taught nothing" in answer(unnamed)
    with pytest.raises(ConfigError, match="holds no groups"):
        count_waste(
            RunLog(
                **{**vars(log_of_trace(simulated(0, 2)[0])), **dict.fromkeys(("steps", "rows"), np.empty(0, np.int64))}
            )
        )


def test_the_answer_in_words_names_shares_and_intervals() -> None:
    savings = estimate_savings(log_of_trace(simulated(0, 60)[0]), ("edge",))
    words = answer(savings)
    waste = savings.waste
    assert words.startswith(f"{percent(waste.share)} of your rollouts were spent on groups that taught nothing")
    assert f"{waste.silent_rollouts:,} of {waste.rollouts:,} rollouts" in words
    assert "`edge`, taking the best 1 of 4 candidates" in choice_words(savings, "edge")
    assert "Dynamic sampling would have filled" in words
    assert len({len(line) for line in table(savings).splitlines()[1:2]}) == 1
    assert json.loads(json.dumps(to_dict(savings), allow_nan=False))["methods"]["edge"][0]["share"] == 0.5


def small_steps(path: Path, size: int, random: int = 0, **marks: Any) -> RunLog:
    """40 steps of a few prompts, of which every other one has mixed groups; the first of each step are random."""
    lines = [
        {
            "step": t,
            "prompt": f"q{(size * t + p) * 7 % 61}",
            "reward": float(j and p % 2),
            "random": p < random,
            **marks,
        }
        for t in range(40)
        for p in range(size)
        for j in range(2)
    ]
    return read_log(write_lines(path, lines))


@pytest.mark.parametrize(
    ("size", "takes"),
    [
        (3, ["best 67% of the candidates", "best 1 of 3 candidates"]),
        (5, ["best 40% of the candidates", "best 1 of 5 candidates"]),
        (6, ["best 1 of 2 candidates", "best 1 of 3 candidates", "best 1 of 6 candidates"]),
        (8, ["best 1 of 2 candidates", "best 1 of 4 candidates", "best 1 of 8 candidates"]),
    ],
)
def test_a_choice_is_named_by_what_the_steps_can_hold(size: int, takes: list[str], tmp_path: Path) -> None:
    savings = estimate_savings(small_steps(tmp_path / "log.jsonl", size), ["mopps"])
    rows = [re.split(" {2,}", line) for line in table(savings).splitlines() if line.startswith("mopps")]
    assert [row[1] for row in rows if "pool" not in row[1]] == takes
    assert takes[1] in choice_words(savings, "mopps")


def test_a_run_that_selected_is_not_called_uniform(tmp_path: Path) -> None:
    chosen = estimate_savings(small_steps(tmp_path / "a.jsonl", 8, edgewise_method="edge"), ["mopps"])
    assert chosen.sampling == "selected"
    assert "taking the best 1 of 4 selected prompts" in choice_words(chosen, "mopps")
    assert "selected (this run)" in table(chosen)
    assert "as its log says" in answer(chosen)
    share = estimate_savings(small_steps(tmp_path / "b.jsonl", 8, 4, edgewise_method="edge"), ["mopps"])
    assert share.sampling == "random share"
    assert "uniform (its random share)" in table(share)
    for savings in (chosen, share):
        assert "uniform (this run)" not in answer(savings)
        assert "trained on selected prompts" in answer(savings)


def test_steps_that_are_too_small_for_a_choice_are_the_reason_for_no_estimate(tmp_path: Path) -> None:
    for random, what in ((0, "A step"), (1, "The random share of a step")):
        savings = estimate_savings(small_steps(tmp_path / f"{random}.jsonl", 1 + 5 * random, random), ["mopps"])
        assert not savings.choices
        assert f"{what} has too few prompts to choose among (1 at most)" in answer(savings)


def test_the_headline_is_the_first_share_with_an_estimate_where_the_quarter_has_none() -> None:
    # 32 of 640 groups are mixed: 4 are expected in an eighth.
    rng = np.random.default_rng(0)
    successes = rng.permutation(np.repeat([2, 0], [32, 608]))
    trace = Trace(
        PromptPool(range(640)), np.arange(20), np.arange(640) // 32, np.arange(640), successes, np.full(640, 4)
    )
    savings = estimate_savings(log_of_trace(trace), ["mopps"], shares=(0.125, 0.5))
    headline = savings.headline("mopps")
    assert headline is not None
    assert headline.share == 0.5
    assert math.isnan(savings.choices["mopps"][0].saved.estimate)


def test_savings_that_are_not_clear_are_not_called_savings() -> None:
    assert saved_words(Interval(0.3, 0.2, 0.4, 0.95), "rollouts") == "30% (20 to 40) fewer rollouts"
    assert saved_words(Interval(-0.3, -0.4, -0.2, 0.95), "tokens") == "30% (20 to 40) more tokens"
    assert "no clear difference" in saved_words(Interval(0.1, -0.1, 0.3, 0.95), "rollouts")
    assert percent(0.0004) == "under 0.1%"


def test_a_log_of_groups_that_all_taught_nothing_has_no_ratio() -> None:
    trace, _ = simulated(0, 30)
    silent = Trace(trace.pool, trace.steps, trace.index, trace.rows, np.zeros(len(trace), np.int64), trace.trials)
    savings: Savings = estimate_savings(log_of_trace(silent), ("edge",))
    assert savings.waste.share == 1.0
    assert "100% of your rollouts" in answer(savings)
    assert math.isnan(savings.choices["edge"][0].saved.estimate)
    assert "0 of the 960 candidates had a gradient; 20 are needed" in answer(savings)
    assert choice_words(savings, "edge") == ""


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["edgewise", *arguments])
    command()


def test_the_command_answers_on_logs_of_each_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rollouts = outcomes(steps=15)
    write_trl(tmp_path / "trl", rollouts)
    write_verl(tmp_path / "verl", rollouts, low=-1.0)
    simulated(0, 20)[0].save(tmp_path / "trace.npz")
    run(monkeypatch, "replay", str(tmp_path / "trl"))
    assert "characters) were spent on groups that taught nothing" in capsys.readouterr().out
    run(
        monkeypatch,
        "replay",
        str(tmp_path / "verl"),
        "--scale",
        "-1",
        "1",
        "--json",
        "--out",
        str(tmp_path / "out.json"),
    )
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "out.json").read_text())
    run(monkeypatch, "replay", str(tmp_path / "trace.npz"), "--selectors", "mopps:decay=1.0")
    assert "`mopps:decay=1.0`, taking" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, "replay", str(tmp_path / "verl"))
    assert stop.value.code == 2
    assert "--scale -1 1" in capsys.readouterr().err
