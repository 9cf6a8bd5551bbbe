"""A stock TRL run, as it is, and the log that is read from it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("trl")
pytest.importorskip("pyarrow")
from edgewise.replay.logs import digest, read_log
from edgewise.replay.logs.savings import count_waste

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(280)]
EXAMPLE = Path(__file__).parents[3] / "examples" / "trl_logs.py"


def test_the_log_of_a_stock_run_holds_what_its_trainer_saw(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("trl_logs", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    trainer = example.train(str(tmp_path / "run"), steps=3, pool=40)
    lines = [line for line in trainer.state.log_history if "reward" in line]
    log = read_log(tmp_path / "run")
    assert (log.source, log.notes) == ("TRL", [])
    assert log.trials.tolist() == [example.ROLLOUTS] * (3 * example.PROMPTS)
    for step, line in enumerate(lines, start=1):
        part = log.steps == step
        assert log.successes[part].sum() / log.trials[part].sum() == pytest.approx(line["reward"], abs=1e-5)
        assert log.silent[part].mean() == pytest.approx(line["frac_reward_zero_std"], abs=1e-5)
    problems = example.TASK.problems(40, 0, count=(2, 4), weights=[1, 4, 2])
    assert set(log.ids.tolist()) <= {digest(problem.prompt) for problem in problems}
    assert count_waste(log).silent_rollouts == int(log.trials[~log.informative].sum())
