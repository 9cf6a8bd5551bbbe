"""Fit of edge's options to logs: later outcomes decide, and the defaults stay where they are as good."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.replay.logs.writing import outcomes, write_lines, write_verl

from edgewise.cli import main as command
from edgewise.errors import ConfigError
from edgewise.method import Method
from edgewise.replay import Policy, Trace, World, simulate
from edgewise.replay.logs import fit as module
from edgewise.replay.logs import log_of_trace, read_log
from edgewise.replay.logs.fit import fit
from edgewise.replay.logs.fit_command import words

K = 8
WANDERING = World(prompts=200, wander=0.5, easiest=3.0, hardest=-3.0)
"""Difficulties that change at every step: what was seen of a prompt is soon worth little."""


def trace_of(world: World, seed: int = 0, steps: int = 80, batch: int = 32) -> Trace:
    policy, rng = Policy(world, seed), np.random.default_rng(seed)
    index, rows, successes = [], [], []
    for step in range(steps):
        chosen = rng.choice(world.prompts, batch, replace=False)
        right = policy.roll(chosen, K).sum(axis=1).astype(np.int64)
        policy.train(chosen, right, np.full(batch, K), batch)
        index += [step] * batch
        rows += chosen.tolist()
        successes += right.tolist()
    return Trace(policy.pool, np.arange(steps), index, rows, successes, np.full(len(rows), K))


def test_a_log_in_which_difficulties_change_asks_for_less_retention() -> None:
    grid = {"drift": (0.05, 0.2), "retention": (0.9, 0.98)}
    found = fit(log_of_trace(trace_of(WANDERING)), grid=grid)
    assert found.better
    assert found.gain.low > 0
    assert found.best["retention"] < found.defaults["retention"]
    assert Method.parse(found.method).options["retention"] == found.best["retention"]
    assert words(found).startswith(f"{found.method}\n")
    losses = [loss for _, loss in found.losses]
    assert losses == sorted(losses)


@pytest.mark.parametrize(
    "world", [World(prompts=200), World(prompts=200, forgetting=0.02), World(prompts=200, floor=0.25)]
)
def test_fitted_options_predict_later_outcomes_no_worse_than_the_defaults(world: World) -> None:
    found = fit(log_of_trace(trace_of(world)), grid={"drift": (0.05, 0.2), "retention": (0.98, 1.0)})
    assert found.gain.high > 0
    if not found.better:
        assert found.method == "edge"
        assert "The defaults" in words(found)


def test_options_are_chosen_by_earlier_outcomes_alone() -> None:
    """Outcomes of the last block change nothing about the options that predict it and the blocks before it."""
    trace = trace_of(WANDERING)
    grid = {"drift": (0.05, 0.2), "retention": (0.9,)}
    whole = fit(log_of_trace(trace), grid=grid)
    last = trace.index >= 64
    changed = np.where(last, K - trace.successes, trace.successes)
    other = fit(log_of_trace(Trace(trace.pool, trace.steps, trace.index, trace.rows, changed, trace.trials)), grid=grid)
    assert whole.chosen == other.chosen
    assert len(whole.chosen) == 4
    assert whole.gain.estimate != other.gain.estimate


def test_better_predictions_that_would_choose_worse_are_not_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of_trace(trace_of(WANDERING, steps=60))
    grid = {"drift": (0.1,), "retention": (0.9,)}
    assert fit(log, grid=grid).better
    # A shadow for which the fitted options take no informative group at all.
    picked = module._picked

    def worse(*given: Any) -> np.ndarray:
        sums = picked(*given)
        return sums * ([0, 1, 1] if given[3].get("retention") == 0.9 else 1)

    monkeypatch.setattr(module, "_picked", worse)
    found = fit(log, grid=grid)
    assert (found.method, found.better) == ("edge", False)
    assert found.gain.low > 0
    assert "takes fewer informative groups (0.0% instead of" in words(found)


def test_priors_and_sharpness_are_judged_by_later_steps_and_exploration_is_left_alone(tmp_path: Path) -> None:
    # Prompts that are all right or all wrong for good: what was seen of them helps a fresh belief.
    rng = np.random.default_rng(0)
    lines = [
        {"step": t, "prompt": f"q{p}", "reward": float(p < 60)}
        for t in range(60)
        for p in rng.choice(120, 8, replace=False).tolist()
        for _ in range(4)
    ]
    found = fit(read_log(write_lines(tmp_path / "log.jsonl", lines)), grid={"drift": (0.1,), "retention": (0.998,)})
    assert found.prior_strength is not None
    assert found.prior_gain.low > 0
    rates = sorted(found.priors.values())
    assert len(rates) > 110
    assert np.mean(np.array(rates) < 0.2) + np.mean(np.array(rates) > 0.8) > 0.95
    assert f"prior_strength={found.prior_strength:g}" in words(found)
    assert found.sharpness == 4
    assert "Exploration stays at its default" in words(found)


def test_choices_are_not_scored_on_the_log_of_a_run_that_selected(tmp_path: Path) -> None:
    lines = [
        {"step": t, "prompt": f"q{p}", "reward": (t + j) % 2}
        for t in range(60)
        for p in [*range(8), 8 + t, 68 + t]
        for j in range(2)
    ]
    found = fit(read_log(write_lines(tmp_path / "log.jsonl", lines)), grid={"drift": (0.1,), "retention": (0.998,)})
    assert np.isnan(found.sharpness_gain.estimate)
    assert "The run selected its prompts itself" in words(found)


@pytest.mark.parametrize("late", [False, True])
def test_choices_are_not_scored_where_steps_are_too_small(late: bool, tmp_path: Path) -> None:
    """`late`: the steps are large enough in the first block alone, of which nothing is scored."""
    lines = [
        {"step": t, "prompt": f"q{p}", "reward": (t + p + j) % 2}
        for t in range(60)
        for p in range(8 if late and t < 6 else 2)
        for j in range(2)
    ]
    found = fit(read_log(write_lines(tmp_path / "log.jsonl", lines)), grid={"drift": (0.1,), "retention": (0.998,)})
    assert np.isnan(found.sharpness_gain.estimate)
    assert found.method == "edge"
    assert late or "A step is too small for choices" in words(found)


def test_logs_that_cannot_be_fitted_say_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds 12 steps; a fit needs at least 40"):
        fit(read_log(write_verl(tmp_path / "a", outcomes())))
    (tmp_path / "b").mkdir()
    write_lines(tmp_path / "b" / "metrics.jsonl", [{"step": t, "successes": [0], "trials": [4]} for t in range(50)])
    with pytest.raises(ConfigError, match="does not name its prompts"):
        fit(read_log(tmp_path / "b"))


def test_priors_of_verls_own_log_are_not_said_to_fit_its_adapter(tmp_path: Path) -> None:
    rollouts = outcomes(steps=45)
    grid = {"drift": (0.1,), "retention": (0.998,)}
    stock = fit(read_log(write_verl(tmp_path / "stock", rollouts)), grid=grid)
    assert stock.rendered
    assert "no ids, so FILE names them by hashes that verl's adapter refuses" in words(stock)
    assert "every adapter takes them" not in words(stock)
    # The adapter's mode adds what it selected by.
    for path in write_verl(tmp_path / "ours", rollouts).iterdir():
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        marks = {"edgewise_method": "uniform", "edgewise_predicted": 0.5, "edgewise_random": False}
        write_lines(path, [{**line, **marks, "prompt_id": line["input"].removeprefix("question ")} for line in lines])
    ours = fit(read_log(tmp_path / "ours"), grid=grid)
    assert not ours.rendered
    assert set(ours.priors) <= set(map(str, range(40)))
    assert "verl" not in words(ours)


def test_the_command_prints_one_line_of_options_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trace_of(World(prompts=100), steps=40, batch=8).save(tmp_path / "trace.npz")
    monkeypatch.setattr(
        sys, "argv", ["edgewise", "fit", str(tmp_path / "trace.npz"), "--out", str(tmp_path / "fit.json")]
    )
    command()
    first = capsys.readouterr().out.splitlines()[0]
    assert Method.parse(first).selector == "edge"
    assert json.loads((tmp_path / "fit.json").read_text())["method"] == first


@pytest.mark.slow
def test_a_fitted_method_has_no_lower_effective_ratio_in_closed_loop() -> None:
    found = fit(log_of_trace(trace_of(WANDERING)))
    result = simulate(
        ["edge", found.method], WANDERING, seeds=range(6), baseline="edge", steps=100, batch=32, rollouts=K
    )
    mean, half = result.difference("effective_ratio", found.method)
    assert mean + half > 0
