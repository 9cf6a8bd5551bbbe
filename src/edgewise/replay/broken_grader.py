"""Recovery of selectors from a broken grader: one category has no success for 60 steps, then its grader is repaired.

    python -m edgewise.replay.broken_grader RESULT.json [PAGE.md]

runs every selector in a simulated world and writes the numbers, and the table between <!-- broken grader --> and
<!-- end of broken grader --> of a page. About a minute on one core. Seeds are fixed, so the numbers are too.

The policy does not learn here, so that a category's share depends on what is believed of it alone. The share is compared with that
of the same selector, on the same seed, whose grader never failed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edgewise.arrays import Floats
from edgewise.checkpoint import write_atomic
from edgewise.curriculum import Curriculum
from edgewise.errors import ConfigError, EdgewiseError
from edgewise.method import Method
from edgewise.pool import PromptPool
from edgewise.replay.judge import replaced
from edgewise.replay.methods import applicable, made
from edgewise.replay.simulator import Policy, World

WORLD = World(easiest=2.5, hardest=-2.5, rate=0.0, noise=0.0, wander=0.0)
"""Ten categories, most prompts informative, and a policy that stays as it is."""
CATEGORY = 4
"""The category whose grader fails: of middling difficulty, the most informative one."""
FAULT, AFTER = 60, 150
"""Policy steps with the broken grader, and after its repair."""
BATCH, ROLLOUTS = 64, 8
WINDOW = 10
"""Steps over which a share is averaged."""
REGAINED = 0.8
"""Part of its usual share from which a category has recovered."""
SEEDS = list(range(200, 205))
PLACE = "broken grader"


class Trial(NamedTuple):
    """One run.

    Attributes:
        share: share of the category among the prompts selected in each step, (steps,).
        named: step of the fault, from 1, in which `Curriculum.advice` named the category; None if it did not.
        effective_ratio: share of informative groups in each step, (steps,).
    """

    share: Floats
    named: int | None
    effective_ratio: Floats


def trial(method: str, seed: int, *, broken: bool, world: World = WORLD, after: int = AFTER) -> Trial:
    """A run whose first `FAULT` steps have a broken grader if `broken`."""
    policy, chosen = Policy(world, seed), Method.parse(method)
    pool = _pool(policy)
    selector = made(chosen, pool, ROLLOUTS, seed, policy.rates)
    curriculum = Curriculum(pool, selector, rollouts=ROLLOUTS, gates=chosen.gates)
    share, ratio = np.zeros((2, FAULT + after))
    named = None
    for step in range(FAULT + after):
        fails = broken and step < FAULT
        mine, informative = [], []
        for batch in curriculum.rounds(BATCH):
            rewards = policy.roll(batch.rows, ROLLOUTS)
            mine.append(policy.category[batch.rows] == CATEGORY)
            if fails:
                rewards[mine[-1]] = 0.0
            informative.append(curriculum.observe(batch, rewards).informative)
        share[step], ratio[step] = np.concatenate(mine).mean(), np.concatenate(informative).mean()
        if named is None and fails:
            said = [advice.text for advice in curriculum.advice() if advice.rule == "grader"]
            named = step + 1 if any(f"'{CATEGORY}'" in text for text in said) else None
    return Trial(share, named, ratio)


def _pool(policy: Policy) -> PromptPool:
    """The prompts with their categories as numbers, which say what is easier, and without features."""
    return PromptPool(policy.pool.ids, [str(category) for category in policy.category])


def recovery(run: Trial, usual: Trial) -> float:
    """Steps from the repair until the category has `REGAINED` of its usual share over `WINDOW` steps; inf if never."""
    means = np.convolve(run.share[FAULT:], np.full(WINDOW, 1.0 / WINDOW), "valid")
    there = np.flatnonzero(means >= REGAINED * usual.share[FAULT:].mean())
    return float(there[0]) if there.size else float("inf")


def measured(method: str, seeds: Sequence[int] = tuple(SEEDS)) -> dict[str, Any]:
    """Numbers of one method, ready for JSON; a category that does not recover takes "inf" steps."""
    pairs = [(trial(method, seed, broken=True), trial(method, seed, broken=False)) for seed in seeds]
    steps = [recovery(*pair) for pair in pairs]
    median = float(np.median(steps))
    return {
        "steps": ["inf" if step == np.inf else step for step in steps],
        "median": "inf" if median == np.inf else median,
        "reached": int(np.isfinite(steps).sum()),
        "named": [run.named for run, _ in pairs],
        "usual_share": float(np.mean([usual.share[FAULT:].mean() for _, usual in pairs])),
        "broken_share": float(np.mean([run.share[FAULT - 20 : FAULT].mean() for run, _ in pairs])),
        "effective_ratio": float(np.mean([usual.effective_ratio[FAULT:].mean() for _, usual in pairs])),
    }


def methods() -> list[str]:
    """Every selector that works here without options, and the variants that show what matters."""
    return [*applicable(_pool(Policy(WORLD))), f"e2h:steps={FAULT + AFTER}", "oracle", "ds", "edge:retest=0"]


def table(values: dict[str, Any]) -> str:
    """Markdown, the quickest first."""
    lines = [
        "| selector | share of the category | in the last 20 steps of the fault | steps to recover, median | recovered |"
        " named by `advice()` in step | effective ratio |",
        "|---" * 7 + "|",
    ]
    rows = sorted(values["methods"].items(), key=lambda item: (float(item[1]["median"]), -item[1]["reached"], item[0]))
    for name, row in rows:
        named = [step for step in row["named"] if step is not None]
        when = (
            f"{np.median(named):.0f}"
            if len(named) == len(row["named"])
            else f"{len(named)} of {len(row['named'])} runs"
        )
        steps = "-" if row["median"] == "inf" else f"{row['median']:.0f}"
        lines.append(
            f"| `{name}` | {row['usual_share']:.3f} | {row['broken_share']:.3f} | {steps} | {row['reached']} of"
            f" {len(row['steps'])} | {when} | {row['effective_ratio']:.3f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """The command."""
    if not 1 <= len(arguments) <= 2:
        raise ConfigError("usage: python -m edgewise.replay.broken_grader RESULT.json [PAGE.md]")
    page = Path(arguments[1]) if len(arguments) == 2 else None
    if page is not None:
        replaced(page.read_text("utf-8"), PLACE, "")
    values: dict[str, Any] = {"seeds": SEEDS, "methods": {}}
    for method in methods():
        values["methods"][method] = measured(method)
        print(method, values["methods"][method]["steps"], file=sys.stderr, flush=True)
    write_atomic(Path(arguments[0]), json.dumps(values, indent=1).encode())
    if page is not None:
        write_atomic(page, replaced(page.read_text("utf-8"), PLACE, table(values)).encode())


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except EdgewiseError as error:
        print(f"edgewise: {error}", file=sys.stderr)
        sys.exit(2)
