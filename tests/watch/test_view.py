"""Views of runs: states of the pool, comparison with random prompts, findings, search, in the terminal and as JSON."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import edgewise as ew
from edgewise.cli import main as command
from edgewise.errors import ConfigError
from edgewise.replay import Trace
from edgewise.replay.logs import log_of_trace, open_log, open_logs, read_log
from edgewise.replay.logs.savings import count_waste
from edgewise.replay.logs.states import STATES, state_of, states_over_time
from edgewise.watch import Watcher, view
from edgewise.watch.findings import findings
from edgewise.watch.pairs import method_and_seed, paired
from edgewise.watch.prompts import belief, history, row_of, search
from edgewise.watch.terminal import plain, render, sparkline
from tests.replay.logs.writing import HOSTILE, outcomes, write_lines, write_verl
from tests.watch.runs import write_run

pytest.importorskip("pyarrow")
pandas = pytest.importorskip("pandas")


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 7), st.integers(0, 3)),
        min_size=1,
        max_size=60,
        unique_by=lambda x: x[:2],
    )
)
def test_states_are_those_of_the_last_group_of_each_prompt(entries: list[tuple[int, int, int]]) -> None:
    entries = sorted(entries)
    steps, index = np.unique([e[0] for e in entries], return_inverse=True)
    trace = Trace(
        ew.PromptPool(range(10)), steps, index, [e[1] for e in entries], [e[2] for e in entries], [3] * len(entries)
    )
    shown, counts = states_over_time(log_of_trace(trace), points=100)
    assert shown.tolist() == steps.tolist()
    for step, row in zip(shown.tolist(), counts.tolist(), strict=True):
        now = [
            state_of(
                *(
                    np.array([v for t, p, s in entries if p == prompt and t <= step for v in ([s] if part else [3])])
                    for part in (True, False)
                )
            )
            for prompt in range(10)
        ]
        assert row == [now.count(state) for state in STATES]


def test_a_selected_run_is_compared_with_its_random_prompts(tmp_path: Path) -> None:
    log = read_log(write_run(tmp_path / "run", steps=80))
    shown = view(log)
    comparison = shown["comparison"]
    chosen, random = ~log.random, log.random
    assert comparison["effective"]["estimate"] == pytest.approx((~log.silent[chosen]).mean(), abs=1e-4)
    assert comparison["uniform"]["estimate"] == pytest.approx((~log.silent[random]).mean(), abs=1e-4)
    assert comparison["uniform"]["low"] < comparison["uniform"]["estimate"] < comparison["uniform"]["high"]
    # As many groups with a gradient, at the ratio of the random prompts, cost this much more.
    needed = (~log.silent[chosen]).sum() / (~log.silent[random]).mean() * 4
    assert comparison["saved_rollouts"]["estimate"] == pytest.approx(needed - log.trials[chosen].sum(), abs=2)
    assert shown["headline"]["kind"] == "gain"
    assert "Selection works" in shown["headline"]["text"]
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown


def test_runs_without_a_random_share_are_not_called_better(tmp_path: Path) -> None:
    alone = view(read_log(write_run(tmp_path / "a", steps=20, random_share=0.0)))
    assert alone["headline"]["kind"] == "alone"
    assert "random_share" in alone["headline"]["text"]
    folder = write_run(tmp_path / "b", "uniform", steps=20, random_share=0.0)
    (folder / "config.yaml").write_text("task: x\nselector: uniform\n")
    assert view(read_log(folder))["headline"]["kind"] == "uniform"
    same = view(read_log(write_run(tmp_path / "c", "uniform", steps=40, random_share=0.3)))
    assert same["headline"]["kind"] == "unclear"


def test_a_few_random_groups_with_a_gradient_are_no_measure_of_what_was_saved(tmp_path: Path) -> None:
    # 1 of 60 random groups is mixed by chance, and 10 of 300 selected ones.
    lines = [
        {
            "step": t,
            "prompt": f"q{t} {p}",
            "reward": float(j and p + t % 3 == 0),
            "random": False,
            "edgewise_method": "edge",
        }
        for t in range(30)
        for p in range(10)
        for j in range(2)
    ]
    lines += [
        {"step": t, "prompt": f"r{t} {p}", "reward": float(j and t + p == 0), "random": True, "edgewise_method": "edge"}
        for t in range(30)
        for p in range(2)
        for j in range(2)
    ]
    lines.sort(key=lambda line: int(line["step"]))
    shown = view(read_log(write_lines(tmp_path / "log.jsonl", lines)))
    assert shown["comparison"]["saved_share"]["estimate"] is None
    assert shown["comparison"]["uniform"]["estimate"] == pytest.approx(1 / 60, abs=1e-4)
    assert shown["headline"]["kind"] == "unclear"


def test_a_run_without_a_random_share_is_compared_with_the_sample_that_it_evaluates(tmp_path: Path) -> None:
    folder = write_run(tmp_path, steps=40, random_share=0.0)
    # 40 prompts of rate 0, 0.5 and 1: a group of 4 is mixed in 0, 7 of 8 and 0 of the cases.
    sample = {"successes": [0] * 15 + [4] * 10 + [8] * 15, "trials": [8] * 40}
    write_lines(
        folder / "evals.jsonl", [{"step": step, "probe": sample} for step in (0, 20, 40)] + [{"step": 1, "probe": None}]
    )
    log = read_log(folder)
    assert log.uniform_sample is not None
    # 4 of 8 correct: 1 - 2 C(4, 4) / C(8, 4).
    assert log.uniform_sample.mean() == pytest.approx(0.25 * (1 - 2 / 70))
    shown = view(log)
    assert shown["comparison"]["uniform"]["estimate"] == pytest.approx(0.25 * (1 - 2 / 70), abs=1e-4)
    assert shown["headline"]["kind"] == "gain"
    assert "in a uniform sample of the pool" in shown["headline"]["text"]


def test_a_category_whose_grader_is_broken_is_an_alarm_with_what_to_do(tmp_path: Path) -> None:
    found = findings(read_log(write_run(tmp_path, "uniform", steps=80, broken="level 01")))
    assert found[0]["level"] == "alarm"
    assert found[0]["rule"] == "grader"
    assert "'level 01'" in found[0]["text"]
    assert "check that its grader reads the answer format" in found[0]["text"]
    assert all(entry["level"] == "alarm" for entry in found)


def test_findings_of_the_log_alone(tmp_path: Path) -> None:
    lines = [
        {"step": t, "prompt": f"q{p}", "reward": (p + j) % 2, "truncated": j == 0, "advantage": 0.0}
        for t in range(10)
        for p in range(10)
        for j in range(3)
    ]
    found = {entry["rule"]: entry["text"] for entry in findings(read_log(write_lines(tmp_path / "log.jsonl", lines)))}
    assert "all advantages of the last 100 groups are 0" in found["flat"]
    assert "33% of the recent completions were cut" in found["truncated"]


def test_a_category_that_names_no_prompt_changes_no_finding(tmp_path: Path) -> None:
    def log(later: str) -> Any:
        lines = [
            {"step": t, "prompt": f"q{p}", "prompt_id": p, "reward": 0, "category": later if t else "b"}
            for t in range(10)
            for p in range(4)
            for _ in range(2)
        ]
        return read_log(write_lines(tmp_path / f"{later}.jsonl", lines))

    assert (log("a").category_names, set(log("a").prompt_codes.tolist())) == (["b", "a"], {1})
    assert findings(log("a")) == findings(log("b"))


def test_groups_too_small_for_the_pool_are_an_alarm_with_the_size_to_use(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [
        {"step": t, "prompt": f"q{p}", "reward": int(rng.random() < 0.06)}
        for t in range(20)
        for p in range(40)
        for _ in range(2)
    ]
    (found,) = findings(read_log(write_lines(tmp_path / "small.jsonl", lines)))
    assert (found["level"], found["rule"]) == ("alarm", "silent")
    now, later = map(float, re.findall(r"(\d+)%", found["text"])[-2:])
    # 2 p (1 - p), and 1 - p^4 - (1 - p)^4.
    assert now == pytest.approx(11.3, abs=4)
    assert later == pytest.approx(21.9, abs=8)


def test_ids_that_changed_are_an_alarm_and_passes_through_a_dataset_are_not(tmp_path: Path) -> None:
    def lines(name: Any) -> list[dict[str, Any]]:
        return [
            {"step": t, "prompt": name(t, p), "reward": (t + p + j) % 2}
            for t in range(40)
            for p in range(8)
            for j in range(2)
        ]

    stable = lines(lambda t, p: f"q{(8 * t + p) % 80}")
    changed = lines(lambda t, p: f"{'old' if t < 25 else 'new'} template q{(8 * t + p) % 80}")
    once = lines(lambda t, p: f"q{8 * t + p}")
    found = {
        name: {e["rule"]: e["text"] for e in findings(read_log(write_lines(tmp_path / f"{name}.jsonl", content)))}
        for name, content in (("stable", stable), ("changed", changed), ("once", once))
    }
    assert "no prompt from before step 25 has come again" in found["changed"]["ids_changed"]
    assert "2.5 times each" in found["changed"]["ids_changed"]
    assert "ids_changed" not in found["stable"]
    assert "ids_changed" not in found["once"]


def test_more_ids_than_prompts_are_an_alarm(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "uniform", steps=10)
    (folder / "summary.json").write_text(json.dumps({"pool": {"all": 50}}))
    text = next(e["text"] for e in findings(read_log(folder)) if e["rule"] == "ids_changed")
    assert "the pool has 50: ids are not stable" in text


def test_prompts_that_were_given_up_are_an_alarm(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "uniform", steps=10, forgotten=200.0, late_groups=20.0)
    text = next(e["text"] for e in findings(read_log(folder)) if e["rule"] == "lost")
    assert "180 of 500 selected prompts have no result" in text
    assert not any(e["rule"] == "lost" for e in findings(read_log(write_run(tmp_path / "b", steps=10, forgotten=3.0))))


def test_every_reward_equal_is_named_with_what_to_do(tmp_path: Path) -> None:
    for value, rule, remedy in (
        (0.0, "no_success", "check the grader"),
        (1.0, "all_right", "the grader accepts everything"),
    ):
        lines = [{"step": t, "prompt": f"q{p}", "reward": value} for t in range(40) for p in range(8) for _ in range(2)]
        found = findings(read_log(write_lines(tmp_path / f"{rule}.jsonl", lines)))
        assert remedy in next(entry["text"] for entry in found if entry["rule"] == rule)


def test_a_slow_selection_is_an_alarm(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "uniform", steps=12)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line["seconds"], line["select_seconds"] = 2.0 * line["step"], 0.5
    write_lines(folder / "metrics.jsonl", lines)
    assert "selection takes 25% of a step" in next(
        e["text"] for e in findings(read_log(folder)) if e["rule"] == "slow_selection"
    )


def test_methods_are_paired_by_seed(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path / "runs" / "edge" / f"seed_{seed}", "edge", steps=30, seed=seed)
        write_run(tmp_path / "runs" / "uniform" / f"seed_{seed}", "uniform", steps=20 + seed, seed=seed)
    write_run(tmp_path / "runs" / "uniform" / "seed_9", "uniform", steps=20, seed=9)
    watcher = Watcher(open_logs([tmp_path / "runs"]))
    watcher.update()
    found = paired(watcher.views)
    assert found is not None
    assert found["baseline"] == "uniform"
    (row,) = found["rows"]
    assert (row["method"], row["seeds"]) == ("edge", 3)
    # By hand: the second half of the steps that both runs of a seed have.
    by_name = {view["name"]: view["curves"] for view in watcher.views}
    differences = []
    for seed in range(3):
        own, other = by_name[f"edge/seed_{seed}"], by_name[f"uniform/seed_{seed}"]
        end = min(own["step"][-1], other["step"][-1])
        part = [
            np.mean([v for x, v in zip(c["step"], c["effective"], strict=True) if end / 2 <= x <= end])
            for c in (own, other)
        ]
        differences.append(part[0] - part[1])
    assert row["effective"]["estimate"] == pytest.approx(np.mean(differences), abs=1e-3)
    assert row["effective"]["low"] < row["effective"]["estimate"] < row["effective"]["high"]
    out = io.StringIO()
    Console(file=out, width=120).print(render(watcher.views, 120))
    assert "minus uniform, paired by seed" in out.getvalue()
    assert paired(watcher.views[:1]) is None
    assert method_and_seed("a/b/seed_3") == ("a/b", "3")
    assert method_and_seed("run") is None


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 8)), max_size=30))
def test_the_belief_of_a_prompt_is_that_of_mopps(groups: list[tuple[int, int]]) -> None:
    s, k = np.array([min(x, y) for x, y in groups], int), np.array([y for _, y in groups], int)
    selector = ew.make_selector("mopps", ew.PromptPool(range(3)), rollouts=8, decay=0.5)
    shown = belief(s, k)
    for i in range(len(k)):
        selector.observe(np.array([1]), s[i : i + 1], k[i : i + 1])
        assert shown[i] == pytest.approx(selector.predict(np.array([1]))[0], abs=1e-6)
        selector.advance()


def test_prompts_are_found_by_id_and_category_the_newest_first(tmp_path: Path) -> None:
    log = read_log(write_run(tmp_path, steps=20))
    found = search(log, "", most=10)
    assert [entry["last_step"] for entry in found] == sorted((entry["last_step"] for entry in found), reverse=True)
    assert all(entry["category"] == "level 03" for entry in search(log, "LEVEL 03"))
    some = found[0]["id"]
    assert row_of(log, some) == found[0]["row"]
    assert row_of(log, "absent") is None
    assert any(entry["id"] == some for entry in search(log, some))


def test_a_prompt_shows_its_groups_and_completions(tmp_path: Path) -> None:
    reader = open_log(write_verl(tmp_path, outcomes()))
    reader.poll()
    row = int(reader.log.rows[-1])
    entry = history(reader, row)
    assert sum(group[1] for group in entry["groups"]) == int(reader.log.successes[reader.log.rows == row].sum())
    assert entry["completions"][0]["step"] == entry["groups"][-1][0]
    assert len(entry["completions"][0]["rollouts"]) == 4


def test_hostile_text_has_no_control_characters_in_the_terminal(tmp_path: Path) -> None:
    lines = [{"step": t, "prompt": f"{HOSTILE}{t % 3}", "reward": t % 2, "category": HOSTILE} for t in range(30)]
    reader = open_log(write_lines(tmp_path / f"{HOSTILE[:5].replace('/', '')}.jsonl", lines))
    reader.poll()
    out = io.StringIO()
    console = Console(file=out, width=100)
    console.print(render([view(reader.log)], 100))
    assert "\x1b" not in out.getvalue()
    assert "\u2028" not in out.getvalue()
    assert plain("a\x1b[31m\u202eb") == "a·[31m·b"


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=200), st.integers(1, 60))
def test_a_sparkline_fills_its_width(values: list[float | None], width: int) -> None:
    text = sparkline(values, width, 1.0)
    assert len(text) == (width if values else 0)
    assert (text.strip() == "") == (not any(value is not None for value in values)) or width < len(values)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_of_the_terminal_view_is_wider_than_the_terminal(width: int, tmp_path: Path) -> None:
    shown = view(read_log(write_run(tmp_path, steps=20, length=3.0)), time.time())
    out = io.StringIO()
    Console(file=out, width=width).print(render([shown, shown], width))
    assert max(map(len, out.getvalue().splitlines())) <= width
    assert "pool" in out.getvalue()
    heads = out.getvalue().splitlines()[1].split()
    assert {"run", "effective", "random", "saved", "success", "alarms"} <= set(heads)
    assert "…" not in "".join(heads)


def test_a_terminal_of_40_columns_cuts_no_number_of_the_pool(tmp_path: Path) -> None:
    shown = view(read_log(write_run(tmp_path, steps=20)), time.time())
    out = io.StringIO()
    Console(file=out, width=40).print(render([shown], 40))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 40
    for name, counts in shown["pool"]["counts"].items():
        numbers = [f"{counts[-1]:,}", f"{counts[-1] / 300:.0%}"]
        assert any(name in line and line.split()[-2:] == numbers for line in lines)


def test_a_watcher_follows_a_run_and_keeps_its_view_when_the_log_breaks(tmp_path: Path) -> None:
    rollouts = outcomes(steps=10)
    folder = write_verl(tmp_path / "run", [r for r in rollouts if r["step"] <= 5])
    watcher = Watcher([open_log(folder)])
    assert watcher.update()
    assert not watcher.update()
    write_verl(folder, rollouts)
    assert watcher.update()
    assert watcher.views[0]["steps"] == [1, 10]
    (folder / "11.jsonl").write_text('{"step": 11, "input": "q", "score": 7}\n')
    watcher.update()
    assert "go from 7 to 7, outside [0, 1]" in watcher.views[0]["notes"][0]
    assert watcher.views[0]["rollouts"] == len(rollouts)


def test_a_watcher_takes_up_runs_that_begin_later(tmp_path: Path) -> None:
    write_run(tmp_path / "first" / "edge" / "seed_0", steps=5)
    watcher = Watcher(open_logs([tmp_path]), lambda refused: open_logs([tmp_path], refused=refused))
    watcher.update()
    assert [shown["name"] for shown in watcher.views] == ["edge/seed_0"]
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "trace.npz").write_bytes(b"PK")
    (tmp_path / "mixed").mkdir()
    for name in ("train.jsonl", "eval.jsonl"):
        (tmp_path / "mixed" / name).touch()
    write_run(tmp_path / "another" / "edge" / "seed_0", steps=3)
    assert watcher.update()
    # Runs keep their place, in the page's requests too; those that cannot be read hide no other, and are named.
    assert [shown["name"] for shown in watcher.views] == ["first/edge/seed_0", "another/edge/seed_0"]
    assert [shown["steps"] for shown in watcher.views] == [[1, 5], [1, 3]]
    for shown in watcher.views:
        assert [place in note for note, place in zip(shown["notes"], ("mixed", "broken"), strict=True)] == [True, True]
    assert not watcher.update()
    shutil.rmtree(tmp_path / "mixed")
    assert watcher.update()
    assert [len(shown["notes"]) for shown in watcher.views] == [1, 1]


def test_a_run_that_is_begun_anew_keeps_nothing_of_the_one_before(tmp_path: Path) -> None:
    folder = write_verl(tmp_path / "run", outcomes(steps=10))
    watcher = Watcher([open_log(folder)])
    watcher.update()
    whole = watcher.views[0]["rollouts"]
    for path in folder.glob("*.jsonl"):
        path.unlink()
    watcher.update()
    assert watcher.views[0]["notes"] == ["the files of run are gone"]
    assert watcher.views[0]["rollouts"] == whole
    second = [rollout for rollout in outcomes(steps=10) if rollout["step"] <= 2]
    write_verl(folder, second)
    watcher.update()
    assert watcher.views[0]["steps"] == [1, 2]
    assert watcher.views[0]["rollouts"] == len(second)
    assert watcher.views[0]["notes"] == view(read_log(folder))["notes"]


def write_table(folder: Path, rollouts: list[dict[str, Any]], suffix: str, parts: bool) -> None:
    """One file, or one for every four steps, written whole; each tenth rollout has no reward."""
    folder.mkdir(exist_ok=True)
    table = pandas.DataFrame(rollouts).rename(columns={"correct": "reward"})
    table["reward"] = table["reward"].astype(float).where(table.index % 10 != 0)
    for number, part in table.groupby((table["step"] - 1) // 4 if parts else table["step"] * 0):
        path = folder / (f"part_{number}{suffix}" if parts else f"log{suffix}")
        text = part.to_csv(index=False) if suffix == ".csv" else part.to_json(orient="records", lines=True)
        if suffix == ".parquet":
            part.to_parquet(path)
        elif not path.exists() or path.read_text() != text:
            path.write_text(text)


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_what_is_read_as_it_is_written_is_what_is_read_at_once(suffix: str, parts: bool, tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def look(rollouts: list[dict[str, Any]]) -> None:
        write_table(folder, rollouts, suffix, parts)
        watcher.update()
        assert len(watcher.views) == 1
        once = view(read_log(folder), 0.0)
        assert {**watcher.views[0], "idle": None} == {**once, "idle": None}

    first, second = outcomes(), [{**r, "prompt": r["prompt"] + 100} for r in outcomes(steps=10, seed=1)]
    write_table(folder, first[:50], suffix, parts)
    watcher = Watcher(open_logs([folder]), lambda refused: open_logs([folder], refused=refused))
    watcher.update()
    for n in (70, 200, len(first)):
        look(first[:n])
    for path in folder.iterdir():
        path.unlink()
    watcher.update()
    for n in (70, 200, len(second)):
        look(second[:n])
    for path in folder.glob("part_2*"):
        path.unlink()
    look([r for r in first if r["step"] <= 8])


@pytest.mark.parametrize("name", ["log.jsonl", "metrics.jsonl"])
def test_a_line_that_cannot_be_read_is_named_as_soon_as_it_is_there(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "metrics.jsonl":
        write_run(tmp_path, steps=5)
    else:
        write_lines(path, [{"step": 1, "prompt": "q", "reward": reward} for reward in (0, 1)])
    watcher = Watcher([open_log(path)])
    watcher.update()
    with path.open("a") as file:
        file.write("Traceback (most recent call last):\n")
    assert watcher.update()
    assert "1 line is no JSON object" in watcher.views[0]["notes"][0]
    assert not watcher.update()


def test_a_run_that_is_resumed_counts_the_prompts_of_its_groups_alone(tmp_path: Path) -> None:
    lines = (write_run(tmp_path / "run", steps=20) / "metrics.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "run" / "metrics.jsonl").write_text("".join([*lines, lines[4]]))
    shown = view(read_log(tmp_path / "run"))
    assert shown["steps"] == [1, 5]
    assert shown["prompts"] == len({name for line in lines[:5] for name in json.loads(line)["ids"]})


def test_a_log_that_cannot_be_read_says_so_for_as_long(tmp_path: Path) -> None:
    folder = write_verl(tmp_path / "run", outcomes(steps=10))
    watcher = Watcher([open_log(folder)])
    watcher.update()
    whole = (folder / "10.jsonl").read_text()
    (folder / "10.jsonl").write_text(whole.replace('"score": 1.0', '"score": 7.0'))
    for _ in range(3):
        watcher.update()
        assert "outside [0, 1]" in watcher.views[0]["notes"][0]
    (folder / "10.jsonl").write_text(whole)
    watcher.update()
    assert {**watcher.views[0], "idle": None} == {**view(read_log(folder)), "idle": None}


def test_a_run_whose_folder_is_away_for_a_while_says_so_for_as_long(tmp_path: Path) -> None:
    watcher = Watcher([open_log(write_run(tmp_path / "run", steps=5))])
    watcher.update()
    (tmp_path / "run").rename(tmp_path / "away")
    assert watcher.update()
    assert "cannot read" in watcher.views[0]["notes"][0]
    assert not watcher.update()
    (tmp_path / "away").rename(tmp_path / "run")
    assert watcher.update()
    assert watcher.views[0]["notes"] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("1.jsonl", ""),
        ("rollouts.jsonl", ""),
        ("metrics.jsonl", ""),
        ("log.parquet", ""),
        ("log.csv", ""),
        ("log.csv", "step,prompt,reward\n"),
        ("log.csv", "step,prompt,reward\n1,"),
    ],
)
def test_a_run_that_has_not_written_yet_hides_no_other(name: str, text: str, tmp_path: Path) -> None:
    write_verl(tmp_path / "runs" / "begun", outcomes())
    (tmp_path / "runs" / "new").mkdir()
    (tmp_path / "runs" / "new" / name).write_text(text)
    watcher = Watcher(open_logs([tmp_path / "runs"]))
    watcher.update()
    assert [shown["rollouts"] > 0 for shown in watcher.views] == [True, False]
    with pytest.raises(ConfigError, match="holds no groups of rollouts"):
        count_waste(watcher.readers[1].log)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["edgewise", "watch", *arguments])
    command()


def test_the_command_prints_text_json_a_prompt_and_writes_nothing_into_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(tmp_path / "runs" / "edge", steps=20)
    write_verl(tmp_path / "runs" / "other", outcomes())
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    run(monkeypatch, str(folder), "--once")
    assert "Selection works" in capsys.readouterr().out
    run(monkeypatch, str(tmp_path / "runs"), "--json")
    shown = json.loads(capsys.readouterr().out)["runs"]
    assert [entry["name"] for entry in shown] == ["edge", "other"]
    some = str(read_log(folder).ids[0])
    run(monkeypatch, str(folder), "--prompt", some)
    assert "step" in capsys.readouterr().out
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("columns", ["0", "wide"])
def test_a_width_that_is_none_hides_nothing(
    columns: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    run(monkeypatch, str(write_run(tmp_path / "run", steps=20)), "--once")
    assert "Selection works" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("{tmp}/nothing",), "there is no"),
        (("{tmp}/empty",), "holds no log"),
        (("{tmp}/run", "--once", "--json"), "choose one of"),
        (("{tmp}/run", "--prompt", "absent"), "no prompt has the id 'absent'; ids are such as '"),
        (("{tmp}/run", "--every", "0"), "seconds above 0"),
        (("{tmp}/run", "--every", "inf"), "seconds above 0"),
        (("{tmp}/run", "--html", "{tmp}/missing/page.html"), "make it first"),
        (("{tmp}/run/metrics.jsonl", "--html", "{tmp}/run/metrics.jsonl"), "is what the results are made from"),
        (("{tmp}/run", "--web", "--host", "0.0.0.0"), "guard it with --token"),
        (("{tmp}/run", "--web", "--token", "short"), "at least 16 letters"),
    ],
)
def test_bad_input_gets_one_sentence_and_exit_code_2(
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    write_run(tmp_path / "run", steps=2)
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, *(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    assert stop.value.code == 2
    errors = capsys.readouterr().err
    assert words in errors
    assert len(errors.strip().splitlines()) == 1


def test_a_log_of_numbers_alone_says_so(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "edgewise.jsonl",
        [{"step": t, "effective_ratio": 0.5, "mean_effective_ratio": 0.4} for t in range(5)],
    )
    shown = view(read_log(path))
    assert "The effective ratio is 40% at step 4" in shown["headline"]["text"]
    Console(file=io.StringIO()).print(render([shown], 80))
    log = read_log(path)
    with pytest.raises(ConfigError, match="holds no groups"):
        count_waste(log)


def test_runs_of_several_comparisons_are_paired_within_their_own(tmp_path: Path) -> None:
    for place, methods in {"easy": ("uniform", "edge"), "hard": ("uniform", "mopps")}.items():
        for method in methods:
            write_run(tmp_path / place / method / "seed_0", method, steps=8, seed=len(place + method))
    watcher = Watcher(open_logs([tmp_path]))
    watcher.update()
    assert [view["name"] for view in watcher.views] == [
        "easy/edge/seed_0",
        "easy/uniform/seed_0",
        "hard/mopps/seed_0",
        "hard/uniform/seed_0",
    ]
    found = paired(watcher.views)
    assert found is not None
    assert {row["method"]: row["seeds"] for row in found["rows"]} == {"easy/edge": 1, "hard/mopps": 1}
    for row, place in zip(found["rows"], ("easy", "hard"), strict=True):
        own = Watcher(open_logs([tmp_path / place]))
        own.update()
        alone = paired(own.views)
        assert alone is not None
        assert row["success"] == alone["rows"][0]["success"]


def test_single_rollouts_of_a_run_folder_are_not_without_a_gradient(tmp_path: Path) -> None:
    lines = [{"step": t, "ids": list(range(8)), "successes": [t % 2] * 8, "trials": [1] * 8} for t in range(1, 41)]
    log = read_log(write_lines(tmp_path / "metrics.jsonl", lines))
    assert len(log) == 320
    assert not log.silent.any()
