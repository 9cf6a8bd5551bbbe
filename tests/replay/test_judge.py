"""The judge: who is judged with what knowledge, what the tables say, where they are written."""

import numpy as np
import pytest

from edgewise.errors import ConfigError
from edgewise.replay import World, interval, judge, simulate


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(judge, "regime", lambda name: World(prompts=120, categories=3, rate=0.3))
    monkeypatch.setattr(judge, "SEEDS", [0, 1])
    monkeypatch.setattr(judge, "SIMULATED_STEPS", 6)


def test_everyone_is_judged_once_and_edge_with_every_knowledge(small):
    todo = list(judge.jobs("simulator:default"))
    assert len(set(todo)) == len(todo)
    known = {job.method: job.knows for job in todo if job.method != "edge"}
    assert {"uniform", "mopps", "dps", "greso", "lze", "ds"} <= {
        name for name, knows in known.items() if knows == "any"
    }
    assert {"sec", "dump"} <= {name for name, knows in known.items() if knows == "labels"}
    assert [job.knows for job in todo if job.method == "edge"] == list(judge.KNOWLEDGE)


def test_the_tables_hold_the_numbers_of_the_runs(small):
    place = "simulator:default"
    todo = [job for job in judge.jobs(place) if job.method in ("uniform", "mopps", "edge")]
    results = {job: judge.judged(job) for job in todo}
    text = judge.tables(place, results)
    lines = text.splitlines()
    direct = simulate(["edge"], judge.regime(""), [0, 1], "mopps", 6, knows="labels", wrong=0.5)
    mean, half = direct.difference("effective_ratio", "edge")
    row = next(line for line in lines if line.startswith("| labels, half of them wrong"))
    assert f"{mean:+.3f} ± {half:.3f}" in row
    assert ("**" in row.split("|")[2]) == (abs(mean) > half)
    mean, half = direct.interval("effective_ratio", "edge")
    row = next(line for line in lines if line.startswith("| `edge` | labels, half"))
    assert row.split("|")[3].strip() == f"{mean:.3f} ± {half:.3f}"
    uniform = next(line for line in lines if line.startswith("| `uniform`")).split("|")
    # Every seed of uniform is where it ends after at most all of its steps.
    assert float(uniform[8].split("±")[0]) <= 6
    assert float(uniform[9].split("±")[0]) <= 6 * 64 * 8


def test_steps_to_the_aim_count_from_one():
    accuracy = np.array([[[0.1, 0.3, 0.2], [0.1, 0.1, 0.1]]])
    rollouts = np.array([[[8.0, 16.0, 24.0]] * 2])
    made = judge.Comparison(
        "simulator", {}, ["a"], [0, 1], None, {}, [1, 2, 3], {"accuracy": accuracy, "rollouts": rollouts}
    )
    steps, spent = judge._reached(made, np.array([0.3, 0.3]))
    assert steps[0] == 2
    assert spent[0] == 16
    assert np.isnan(steps[1])
    assert np.isnan(spent[1])
    assert judge._cell(steps, digits=0) == "-"


def test_a_cell_is_bold_where_the_interval_excludes_zero():
    assert judge._cell(np.array([0.2, 0.21, 0.22]), True).startswith("**+0.210 ± ")
    assert not judge._cell(np.array([-0.2, 0.21, 0.22]), True).startswith("**")
    assert judge._cell(np.array([0.2, 0.21, 0.22])) == f"0.210 ± {interval([0.2, 0.21, 0.22])[1]:.3f}"


def test_only_what_stands_between_the_markers_changes():
    page = "a\n<!-- opgraph -->\nold\n<!-- end of opgraph -->\nb\n"
    assert judge.replaced(page, "opgraph", "new") == "a\n<!-- opgraph -->\n\nnew\n\n<!-- end of opgraph -->\nb\n"
    with pytest.raises(ConfigError, match="end of countdown"):
        judge.replaced(page, "countdown", "new")
    with pytest.raises(ConfigError, match="usage"):
        judge.main([])
    with pytest.raises(ConfigError, match="places"):
        judge.main(["page.md", "elsewhere"])
