"""Claims C1 to C6, critics and real: definitions that load, rules by known numbers, runs that are resumed, and the page of their results."""

from __future__ import annotations

import dataclasses
import json
import re
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.small import rl_config

from edgewise.errors import CheckpointError, ConfigError
from edgewise.experiments.claims import ClaimStudy, Part, Rule, load, measures, names, scales
from edgewise.experiments.claims import page as pages
from edgewise.experiments.claims.measures import Measures
from edgewise.experiments.claims.plan import plan
from edgewise.experiments.claims.run import measured, results, run
from edgewise.experiments.claims.verdict import NOT_RUN, cell, judged
from edgewise.experiments.comparison import ComparisonConfig
from edgewise.experiments.provenance import stamped
from edgewise.experiments.study.config import Paper
from edgewise.experiments.summary import Ratio, Spread, Summary
from edgewise.lab.rl.config import PoolConfig
from edgewise.lab.rl.priors import PriorsConfig
from edgewise.method import Method
from edgewise.tasks import make_task
from edgewise.tasks.base import Split

DOCS = Path(__file__).parents[2] / "docs"
SIDES: tuple[Split, ...] = ("train", "eval")
EVERY = [(name, scale) for name in names() for scale in scales(name)]


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_every_claim_loads_at_every_scale_and_its_rules_have_their_methods(name: str, scale: str) -> None:
    study = load(name, scale)
    more = [
        "critics",
        "gsm8k",
        "likelihood",
        "likelihood-school",
        "midtrained",
        "pools",
        "published",
        "real",
        "real-large",
    ]
    assert names() == ["C1", "C2", "C2-single", "C3", "C4", "C5", "C6", *more]
    seeds = {len(part.comparison.seeds) for part in study.parts.values()}
    special = {("real", "smollm2"): 5, ("real", "gpu"): 16, ("critics", "laptop"): 12, ("likelihood", "laptop"): 12}
    special |= {("likelihood-school", "smollm2"): 5, ("likelihood-school", "gpu"): 16}
    special |= {("real-large", "smollm2"): 8, ("real-large", "gpu"): 16}
    special |= {("published", "gpu"): 8, ("midtrained", "smollm2"): 5, ("midtrained", "gpu"): 8, ("gsm8k", "gpu"): 5}
    assert seeds == {special.get((name, scale), 5 if scale == "laptop" or (name == "C1" and scale == "smollm2") else 3)}
    for rule in study.rules:
        for part in study.parts_of(rule):
            Method.parse(rule.method)
            assert rule.method in study.parts[part].comparison.methods
    assert all(number in {rule.say for rule in study.rules} for number in study.paper.numbers)
    assert "core hours left" in plan(study, {})[-1]
    with pytest.raises(ConfigError, match="the limit is 0"):
        plan(study, {}, 0)


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_every_claim_s_pools_have_problems_on_both_sides_of_the_split(name: str, scale: str) -> None:
    pools = {
        (task.name, str(part.comparison.run.pool.difficulty)): part.comparison.run.pool.difficulty
        for part in load(name, scale).parts.values()
        if (task := part.comparison.run.task) is not None and not task.options
    }
    for (task, _), difficulty in pools.items():
        for split in SIDES:
            assert len(make_task(task).problems(30, 0, split=split, **difficulty)) == 30


def test_c2_compares_the_algorithms_of_the_claim_in_the_demos_setting() -> None:
    study = load("C2", seeds=2, first=7)
    assert {"ppo", "grpo", "reinforce++"} <= study.parts.keys()
    assert {name: part.comparison.run.algorithm.like for name, part in study.parts.items()} == {
        n: n for n in study.parts
    }
    assert study.parts["ppo"].comparison.seeds == (7, 8)


def study_of(rules: tuple[Rule, ...], parts: dict[str, ComparisonConfig]) -> ClaimStudy:
    made = {name: Part(own, 0.1) for name, own in parts.items()}
    return ClaimStudy("C0", "laptop", "title", "question", Paper("source", "setting", "finding"), made, rules)


def known(values: dict[str, list[float]], measure: str) -> Measures:
    table = {method: {measure: tuple(row)} for method, row in values.items()}
    spent = {method: np.zeros((len(row), 2)) for method, row in values.items()}
    return Measures(Summary(), table, spent, tuple(range(len(next(iter(values.values()))))))


@pytest.mark.parametrize(
    ("first", "second", "rule", "verdict"),
    [
        ([0.5, 0.6, 0.7], [0.5, 0.6, 0.8], "holds", "reproduced"),
        ([0.5, 0.6, 0.7], [0.1, 0.2, 0.3], "fails", "not reproduced"),
        ([0.5, 0.6, 0.7], [0.2, 0.3, 0.9], "undecided", "not decided"),
    ],
)
def test_a_rule_is_judged_by_paired_intervals_in_every_part(
    first: list[float], second: list[float], rule: str, verdict: str
) -> None:
    comparison = ComparisonConfig(methods=("uniform", "edge"), seeds=(0, 1, 2))
    study = study_of(
        (Rule("better", "edge", "effective_ratio", minus="uniform", above=0),), {"a": comparison, "b": comparison}
    )
    uniform = [0.3, 0.41, 0.5]
    every = {
        name: known({"uniform": uniform, "edge": row}, "effective_ratio") for name, row in (("a", first), ("b", second))
    }
    found = judged(study, every)
    assert (found["rules"][0]["found"], found["verdict"]) == (rule, verdict)
    assert judged(study, {"a": every["a"]})["verdict"] == NOT_RUN


@pytest.mark.parametrize(
    ("own", "others", "bound", "found", "estimate"),
    [
        # Nothing was measured where no run reached the target.
        ([inf] * 5, [inf] * 5, {"below": 1}, "undecided", 1.0),
        ([inf] * 5, [inf] * 5, {"at_most": 1}, "undecided", 1.0),
        ([1, 1, inf, inf, inf], [2, 2, inf, inf, inf], {"at_most": 1}, "undecided", 1.0),
        ([1, 1, 1, inf, inf], [2, 2, 2, inf, inf], {"at_most": 1}, "holds", 0.5),
        ([1] * 5, [inf] * 5, {"below": 1}, "holds", 0.0),
        ([inf] * 5, [1] * 5, {"below": 1}, "fails", "inf"),
        # Three times half and three times double: no difference.
        ([1, 4] * 3, [2] * 6, {"below": 1}, "undecided", 1.0),
        ([1, nan, 1, 1, 1], [2] * 5, {"below": 1}, "undecided", None),
    ],
)
def test_a_rule_on_waiting_times_takes_the_summary_s_ratio_and_needs_runs_that_reached_the_target(
    own: list[float], others: list[float], bound: dict[str, float], found: str, estimate: float | str | None
) -> None:
    waits = (Spread.over(row, "rollouts_to_target") for row in (own, others))
    summary = Summary(ratios={"rollouts_vs_ds": {"edge": Ratio.between("edge", "ds", "rollouts", *waits)}})
    measured = {"a": Measures(summary, {}, {}, tuple(range(len(own))))}
    entry = cell(Rule("fewer", "edge", "rollouts_vs_ds", **bound), "a", measured)
    assert (entry["found"], entry["estimate"]) == (found, estimate)


def test_a_plan_has_no_estimate_where_a_method_missed_the_target() -> None:
    comparison = ComparisonConfig(methods=("ds", "edge"), seeds=(0, 1, 2))
    study = study_of((Rule("fewer", "edge", "rollouts_vs_ds", below=1),), {"a": comparison})

    def line(own: list[float]) -> str:
        waits = (Spread.over(row, "rollouts_to_target") for row in (own, [2.0, 2.1, 2.2]))
        summary = Summary(ratios={"rollouts_vs_ds": {"edge": Ratio.between("edge", "ds", "rollouts", *waits)}})
        return next(text for text in plan(study, {"a": known_spent(summary)}) if text.startswith("fewer"))

    def known_spent(summary: Summary) -> Measures:
        return Measures(summary, {}, {"edge": np.zeros((3, 2))}, (0, 1, 2))

    assert "no estimate: in 1 of 3 seeds one of the methods missed the target" in line([1.0, inf, 1.1])
    assert ": 5 seeds (effect +0.5" in line([1.0, 1.1, 1.2])


def test_a_rule_across_parts_pairs_the_seeds() -> None:
    comparison = ComparisonConfig(methods=("uniform", "mopps"), seeds=(0, 1, 2))
    rule = Rule("priors", "mopps", "spearman", parts=("with",), minus="mopps", minus_part="without", at_least=0.1)
    study = study_of((rule,), {"with": comparison, "without": comparison})
    every = {
        "with": known({"uniform": [0, 0, 0], "mopps": [0.5, 0.6, 0.7]}, "spearman"),
        "without": known({"uniform": [0, 0, 0], "mopps": [0.2, 0.31, 0.4]}, "spearman"),
    }
    line = judged(study, every)["rules"][0]["parts"]["with"]
    assert line["values"] == pytest.approx([0.3, 0.29, 0.3])
    assert line["found"] == "holds"


def test_rules_that_say_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="needs one of"):
        Rule("none", "edge", "spearman")
    with pytest.raises(ConfigError, match="would hold at a tie"):
        Rule("tie", "edge", "spearman", minus="uniform", at_least=0)
    with pytest.raises(ConfigError, match="measure"):
        Rule("unknown", "edge", "luck", above=0)
    with pytest.raises(ConfigError, match="has no part with its methods"):
        study_of((Rule("absent", "mopps", "spearman", above=0),), {"a": ComparisonConfig(methods=("uniform",))})
    with pytest.raises(ConfigError, match="scale of C6"):
        load("C6", "gpu")


def test_a_claim_runs_is_resumed_and_has_a_page(base: Path, tmp_path: Path) -> None:
    pool = PoolConfig(size=30, difficulty={"op": [1, 3]}, priors=PriorsConfig("rollouts", samples=2))
    comparison = ComparisonConfig(
        methods=("uniform", "edge"), seeds=(0, 1), run=rl_config(base, steps=2), placebo=False
    )
    prior = dataclasses.replace(
        comparison, methods=("uniform", "static"), run=dataclasses.replace(comparison.run, pool=pool)
    )
    rules = (
        Rule("better", "edge", "accuracy_at_tokens", parts=("online",), minus="uniform", above=0),
        Rule("filter", "static", "effective_ratio", parts=("offline",), minus="edge", minus_part="online", above=0),
    )
    study = study_of(rules, {"online": comparison, "offline": prior})
    assert results(study, tmp_path)["verdict"] == NOT_RUN
    events: list[str] = []
    found = run(study, tmp_path, 1, lambda part, event: events.append(f"{part} {event.what}"))
    assert {"online finished", "offline finished"} <= set(events)
    assert found["verdict"] != NOT_RUN
    row = found["parts"]["online"]["methods"]["edge"]
    assert row["rollouts"] == 2 * 4 * 4
    assert row["rollouts"] <= row["tokens"] <= row["rollouts"] * 6
    events.clear()
    assert run(study, tmp_path, 1, lambda part, event: events.append(event.what)) == found
    assert set(events) == {"kept"}
    assert "2 of 2 seeds finished, 0.00 core hours left" in plan(study, measured(study, tmp_path))[0]
    # Of a folder with more seeds than are asked for, the others count nowhere: each value has one a seed.
    fewer = study_of(rules, {"online": dataclasses.replace(comparison, seeds=(1,)), "offline": prior})
    alone, both = (measured(each, tmp_path)["online"] for each in (fewer, study))
    for measure in ("effective_ratio", "spearman", "final_accuracy", "mean_accuracy", "accuracy_at_tokens"):
        assert len(alone.of("edge", measure)) == 1
    assert alone.of("edge", "final_accuracy") == both.of("edge", "final_accuracy")[1:]
    assert alone.summary.seeds == ("1",)


def test_a_run_that_another_claim_has_finished_is_not_made_again(base: Path, tmp_path: Path) -> None:
    config = rl_config(base, steps=2)
    one = ComparisonConfig(methods=("uniform", "edge"), seeds=(0,), run=config, placebo=False)
    rule = Rule("more", "edge", "effective_ratio", minus="uniform", above=0)
    other = dataclasses.replace(one, run=dataclasses.replace(config, learning_rate=config.learning_rate / 2))
    first = run(study_of((rule,), {"a": one}), tmp_path / "first", 1)
    events: list[str] = []
    study = study_of((rule,), {"b": one, "c": other})
    second = run(study, tmp_path / "second", 1, lambda part, event: events.append(f"{part} {event.what}"))
    assert {event for event in events if event.startswith("b")} == {"b kept"}
    assert "c finished" in events
    assert second["parts"]["b"]["methods"] == first["parts"]["a"]["methods"]
    # Of another version of the program nothing is taken over.
    for place in tmp_path.glob("*/*/*/seed_0/origin.json"):
        place.write_text(json.dumps({**json.loads(place.read_text()), "program": "another"}))
    events.clear()
    run(study_of((rule,), {"d": one}), tmp_path / "third", 1, lambda part, event: events.append(event.what))
    assert "finished" in events


@pytest.mark.parametrize(("name", "scale"), [pair for pair in EVERY if load(*pair).prepare])
def test_a_claim_whose_model_is_missing_names_the_commands_that_make_it(
    name: str, scale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = load(name, scale, seeds=1)
    (base,) = {part.comparison.run.base for part in study.parts.values()}
    if own := re.search(r"configs/midtrain/[\w-]+\.yaml", study.differs):
        # The configuration is where a reader looks for them too.
        comment = (DOCS.parent / own[0]).read_text()
        assert all(f"#   {command}\n" in comment for command in study.prepare)
    assert study.prepare[-1].endswith(f" {base}")

    def compare(*_: Any, **__: Any) -> None:
        raise CheckpointError(f"{base} is not a model")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("edgewise.experiments.claims.run.compare", compare)
    with pytest.raises(ConfigError, match=f"there is no {base}; these commands make it:") as stop:
        run(study, tmp_path / "out")
    assert str(stop.value).splitlines()[1:] == [f"  {command}" for command in study.prepare]
    Path(base).mkdir(parents=True)
    with pytest.raises(CheckpointError, match="is not a model"):
        run(study, tmp_path / "out")


def test_a_damaged_run_of_another_claim_is_made_again(base: Path, tmp_path: Path) -> None:
    part = ComparisonConfig(methods=("uniform",), seeds=(0, 1), run=rl_config(base, steps=2), placebo=False)
    rule = Rule("some", "uniform", "effective_ratio", at_least=0.5)
    run(study_of((rule,), {"a": part}), tmp_path / "first", 1)
    evals = tmp_path / "first/a/uniform/seed_0/evals.jsonl"
    evals.write_text(evals.read_text().splitlines()[0] + "\n")
    events: list[str] = []
    study = study_of((rule,), {"b": part})
    run(study, tmp_path / "second", 1, lambda _, event: events.append(f"{event.run} {event.what}"))
    assert {event for event in events if not event.endswith("step")} == {
        "uniform/seed_0 finished",
        "uniform/seed_1 kept",
    }


def test_the_page_is_the_one_that_definitions_and_kept_results_give(tmp_path: Path) -> None:
    assert (DOCS / "claims.md").read_text() == pages.page(DOCS)
    assert pages.page(tmp_path).count("### C1, laptop: not yet run") == 1
    study = load("C3")
    parts: dict[str, Any] = {
        part: {"estimate": 0.25, "low": 0.1, "high": 0.4, "values": [], "found": "holds"} for part in study.parts
    }
    kept = {"claim": "C3", "scale": "laptop", "verdict": "reproduced", "parts": {}}
    kept["rules"] = [{"say": r.say, "rule": r.words(), "found": "holds", "parts": parts} for r in study.rules]
    path = pages.place(tmp_path, "C3", "laptop")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(stamped(kept, "edgewise experiment C3")))
    text = pages.write(tmp_path).read_text()
    assert "### C3, laptop: reproduced" in text
    assert "| countdown | 0.250 (0.100 to 0.400) | holds |" in text


def test_numbers_of_a_rule_that_was_changed_since_are_not_shown_under_the_new_one() -> None:
    study = load("C3")

    def shown(rules: tuple[Rule, ...]) -> tuple[str, list[Any]]:
        found = pages.read(DOCS, dataclasses.replace(study, rules=rules))
        assert found is not None
        return found["verdict"], found["rules"]

    verdict, whole = shown(study.rules)
    assert verdict != NOT_RUN
    assert None not in whole
    other = dataclasses.replace(study.rules[0], parts=("opgraph",))
    assert shown((other, *study.rules[1:])) == (NOT_RUN, [None, *whole[1:]])
    # A rule that is gone was part of the verdict.
    assert shown(study.rules[1:]) == (NOT_RUN, whole[1:])


def test_pages_that_quote_rules_have_them_as_the_kept_results_do(tmp_path: Path) -> None:
    text = (DOCS / "critics.md").read_text()
    assert pages.quoted(DOCS, text) == text
    study = load("critics")
    quoted = {rule.say for rule in study.rules if f"| {rule.say} | opgraph |" in text}
    assert quoted == {rule.say for rule in study.rules}
    parts = {part: {"estimate": 0.25, "low": 0.1, "high": 0.4, "values": [], "found": "holds"} for part in study.parts}
    kept: dict[str, Any] = {"claim": "critics", "scale": "laptop", "verdict": "reproduced", "parts": {}}
    kept["rules"] = [{"say": r.say, "rule": r.words(), "found": "holds", "parts": parts} for r in study.rules]
    path = pages.place(tmp_path, "critics", "laptop")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(stamped(kept, "edgewise experiment critics")))
    (tmp_path / "critics.md").write_text(text)
    pages.write(tmp_path)
    written = (tmp_path / "critics.md").read_text()
    assert written.count("| 0.250 (0.100 to 0.400) | holds |") == 2 * len(study.rules)
    assert "not yet run" not in written.lower()


def test_a_quarter_s_accuracy_is_the_area_under_the_line_through_the_evaluations() -> None:
    steps, accuracy = np.array([0.0, 10, 20, 35, 60]), np.array([0.0, 0.2, 0.1, 0.4, 0.5])
    fine = np.linspace(0, 60, 60_001)
    line = np.interp(fine, steps, accuracy)
    expected = [line[(fine >= a) & (fine <= a + 15)].mean() for a in (0, 15, 30, 45)]
    np.testing.assert_allclose(measures._quarters(steps, accuracy), expected, atol=1e-4)


def test_a_method_that_had_spent_more_at_its_first_average_has_no_accuracy_at_equal_rollouts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def curve(folder: Path) -> dict[str, Any]:
        spent = np.array([1.0, 2.0, 3.0]) * {"uniform": 1, "edge": 2, "ds": 5}[folder.parent.name]
        budgets = dict.fromkeys(measures.BUDGETS, spent)
        return {
            **budgets,
            "accuracy": np.array([0.1, 0.2, 0.3]),
            "every": spent,
            "quarters": np.zeros(4),
            "spent": spent,
        }

    monkeypatch.setattr(measures, "_curve", curve)
    monkeypatch.setattr(measures, "summarise", lambda folder, seeds: Summary())
    found = measures.measure(tmp_path, ("uniform", "edge", "ds"), (0,))
    for budget in measures.BUDGETS:
        at = [found.of(method, f"accuracy_at_{budget}")[0] for method in ("uniform", "edge", "ds")]
        np.testing.assert_allclose(at, [0.3, 0.15, nan])
