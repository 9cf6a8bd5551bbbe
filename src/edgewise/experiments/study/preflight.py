"""Checks of a study before anything is trained: what would fail later, and claims that are decided before the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgewise.errors import ConfigError, EdgewiseError
from edgewise.experiments.study.claims import TRAINING, Claim
from edgewise.experiments.study.config import Region, Study
from edgewise.experiments.study.stages import Stage
from edgewise.lab.model.tokenizer import Tokenizer
from edgewise.lab.rl.trainer import RLConfig, make_curriculum
from edgewise.lab.run.budgets import require_equal
from edgewise.lab.run.config import from_dict
from edgewise.lab.run.problems import require_problems
from edgewise.pool import PromptPool
from edgewise.tasks import Problem, TextWorld, make_text_world
from edgewise.tasks.base import check_difficulty

SAMPLE = 100
"""Problems of each pool and evaluation that are made before the run to try its settings."""
LARGE = 4000
"""Problems that are made where a few do not decide whether a region has any."""


def check(study: Study) -> None:
    """Refuse what cannot work, and claims whose verdict is certain.

    Raises:
        ConfigError, TaskError: the message names the arm, the region or the claim.
    """
    _budgets(study)
    for claim in (*study.needs, *study.claims):
        _measurable(claim, study)
    _stages(study)
    evaluation = study.chain(next(iter(study.arms)), study.seeds[0])[-1]
    for name, region in study.regions.items():
        if _share(study, evaluation, region) == 0:
            raise ConfigError(
                f"{study.name}: no problem of the evaluation lies in the region {name}; widen it, or the evaluation"
            )
    for claim in study.claims:
        _undecided(claim, study)
    _joint(study)


def inside(region: Region, problem: Problem) -> bool:
    """Whether a problem lies in a region."""
    op, context = problem.meta.get("op"), problem.meta.get("context", "")
    return op is not None and region.op[0] <= int(op) <= region.op[1] and region.context in ("", context)


def _share(study: Study, stage: Stage, region: Region) -> float:
    """Share of the problems of a stage that lie in a region, from few of them unless that share is 0 or 1."""
    share = 0.0
    for most in (SAMPLE, LARGE):
        problems = _problems(stage, _task(stage), most)
        share = sum(inside(region, problem) for problem in problems) / len(problems)
        if 0 < share < 1 or len(problems) < most:
            break
    return share


def _task(stage: Stage) -> TextWorld:
    """The task of a chain of stages: that of its pre-training."""
    while stage.parent is not None:
        stage = stage.parent
    return make_text_world(stage.settings["task"], **stage.settings["task_options"])


def _problems(stage: Stage, task: TextWorld, most: int) -> list[Problem]:
    """Problems of an evaluation or of the pool of RL, at most so many."""
    settings = stage.settings
    if stage.kind == "evaluation":
        return task.problems(min(settings["problems"], most), settings["seed"], split="eval", **settings["difficulty"])
    pool = settings["pool"]
    return task.problems(min(pool["size"], most), pool["seed"], **pool["difficulty"])


def _budgets(study: Study) -> None:
    costs = {arm: study.costs(arm) for arm in study.arms}
    for place, part in enumerate(("pre-training", "after pre-training")):
        # An arm without any training after pre-training is what the others are compared with.
        charged = {f"{arm} ({part})": cost[place] for arm, cost in costs.items() if cost[place] > 0}
        require_equal(charged, study.budgets.tolerance)


def _measurable(claim: Claim, study: Study) -> None:
    """A measure must exist for both arms."""
    if claim.metric in TRAINING:
        for arm in filter(None, (claim.arm, claim.minus)):
            if not any(stage.kind == "rl" for stage in study.chain(arm, study.seeds[0])):
                raise ConfigError(f"the claim '{claim.say}' needs {claim.metric}, but the arm {arm} has no RL")
    if claim.metric == "picked" and study.regions[claim.where].context:
        raise ConfigError(
            f"the claim '{claim.say}': prompts are counted by op alone; name a region without a context, not {claim.where}"
        )


def _stages(study: Study) -> None:
    """Try the data and the settings of every stage."""
    tried: set[str] = set()
    for arm in study.arms:
        chain = study.chain(arm, study.seeds[0])
        task = _task(chain[0])
        tokenizer = Tokenizer.for_task(task)
        for stage in chain:
            if stage.name in tried:
                continue
            tried.add(stage.name)
            try:
                _stage(stage, task, tokenizer, chain[0].settings["model"]["max_position_embeddings"])
            except EdgewiseError as error:
                raise type(error)(f"{study.name}, arm {arm}, {stage.kind}: {error}") from error


def _stage(stage: Stage, task: TextWorld, tokenizer: Tokenizer, positions: int) -> None:
    settings = stage.settings
    check_difficulty(settings["pool"]["difficulty"] if stage.kind == "rl" else settings["difficulty"])
    if stage.kind in ("pretrain", "midtrain"):
        task.demonstrations(1, 0, **settings["difficulty"])
        return
    if stage.kind == "rl":
        pool, exam = settings["pool"], settings["evaluation"]
        require_problems(task, pool["size"], pool["seed"], "train", pool["difficulty"], "pool.size")
        require_problems(task, exam["problems"], exam["seed"], "eval", pool["difficulty"], "evaluation.problems")
    else:
        require_problems(task, settings["problems"], settings["seed"], "eval", settings["difficulty"], "problems")
    problems = _problems(stage, task, SAMPLE)
    longest = max(len(tokens) for tokens in tokenizer.encode([problem.prompt for problem in problems]))
    if longest + settings["max_new_tokens"] > positions:
        raise ConfigError(
            f"prompts of {longest} tokens and max_new_tokens {settings['max_new_tokens']} are longer than the model's"
            f" {positions} positions"
        )
    if stage.kind == "rl":
        prompts = PromptPool([problem.id for problem in problems], [problem.category for problem in problems])
        make_curriculum(from_dict(RLConfig, {**settings, "base": "parent"}), prompts)


def _undecided(claim: Claim, study: Study) -> None:
    """Refuse a claim that holds, or fails, whatever comes out."""
    if claim.minus and study.chain(claim.arm, study.seeds[0]) == study.chain(claim.minus, study.seeds[0]):
        raise ConfigError(f"the claim '{claim.say}' compares equal arms: {claim.arm} and {claim.minus}")
    low, high = (-1.0, 1.0) if claim.minus else (0.0, 1.0)
    if claim.metric == "picked" and not claim.minus:
        stage = [stage for stage in study.chain(claim.arm, study.seeds[0]) if stage.kind == "rl"][-1]
        share = _share(study, stage, study.regions[claim.where])
        low, high = (share, share) if share in (0.0, 1.0) else (low, high)
    _open(claim, low, high, "whatever comes out")


def _open(claim: Claim, low: float, high: float, when: str) -> None:
    ends = claim.holds(low), claim.holds(high)
    if ends[0] == ends[1]:
        raise ConfigError(
            f"the claim '{claim.say}' ({claim.words()}) {'cannot fail' if ends[0] else 'cannot hold'} {when}: its measure lies"
            f" between {low:g} and {high:g}; change the threshold"
        )


def _joint(study: Study) -> None:
    """Refuse claims that the conditions decide, and claims that exclude each other."""
    rules = Rules(study)
    if not rules.possible(study.needs):
        raise ConfigError(f"{study.name}: its conditions exclude each other, so that it can never be tested")
    for claim in study.claims:
        low, high = (rules.extreme(claim, study.needs, largest) for largest in (False, True))
        _open(claim, low, high, "when the conditions are met")
    if not rules.possible([*study.needs, *study.claims]):
        raise ConfigError(f"{study.name}: its claims cannot all hold when its conditions are met")


class Rules:
    """Conditions and claims as linear inequalities over the measures of all arms, each in [0, 1].

    pass@k grows with k, and the outcome is right at least as often as all steps are.
    """

    def __init__(self, study: Study):
        claims = (*study.needs, *study.claims)
        single = [
            replace(claim, arm=arm, minus="") for claim in claims for arm in filter(None, (claim.arm, claim.minus))
        ]
        self.columns = {_key(claim): place for place, claim in enumerate({_key(c): c for c in single}.values())}
        self.order = [
            (self.columns[_key(a)], self.columns[_key(b)])
            for a in single
            for b in single
            if a is not b and _below(a, b)
        ]

    def vector(self, claim: Claim) -> npt.NDArray[np.float64]:
        """Coefficients of a claim's measure, (columns,)."""
        row = np.zeros(len(self.columns))
        row[self.columns[_key(replace(claim, minus=""))]] = 1.0
        if claim.minus:
            row[self.columns[_key(replace(claim, arm=claim.minus, minus=""))]] = -1.0
        return row

    def solve(
        self, goal: npt.NDArray[np.float64], claims: Sequence[Claim], slack: float = 1e-6
    ) -> npt.NDArray[np.float64] | None:
        """Measures that meet all claims and minimise `goal @ measures`, (columns,); None if there are none."""
        from scipy.optimize import linprog

        rows = [_sign(claim) * self.vector(claim) for claim in claims]
        limits = [_sign(claim) * claim.threshold - slack * (claim.bound in ("above", "below")) for claim in claims]
        for small, large in self.order:
            row = np.zeros(len(self.columns))
            row[small], row[large] = 1.0, -1.0
            rows.append(row)
            limits.append(0.0)
        found = linprog(goal, np.array(rows) if rows else None, limits or None, bounds=(0.0, 1.0))
        return found.x if found.success else None

    def possible(self, claims: Sequence[Claim]) -> bool:
        return self.solve(np.zeros(len(self.columns)), claims) is not None

    def extreme(self, claim: Claim, claims: Sequence[Claim], largest: bool) -> float:
        """Smallest or largest value of a claim's measure where `claims` hold."""
        row = self.vector(claim)
        found = self.solve(-row if largest else row, claims)
        return float("nan") if found is None else round(float(row @ found), 9)


def _sign(claim: Claim) -> float:
    """-1 for lower limits: a linear program has upper ones."""
    return -1.0 if claim.bound in ("at_least", "above") else 1.0


def _key(claim: Claim) -> tuple[str, str, str, str]:
    return claim.arm, claim.metric, claim.where, claim.kind


def _below(a: Claim, b: Claim) -> bool:
    """Whether the measure of `a` is never above that of `b`."""
    if (a.arm, a.where) != (b.arm, b.where) or a.k is None or b.k is None or _key(a) == _key(b):
        return False
    return a.k <= b.k and (a.kind == b.kind or b.kind == "outcome")
