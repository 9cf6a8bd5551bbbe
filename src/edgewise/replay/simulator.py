"""A simulated policy that learns from what is selected, so that selection changes the learning.

Prompt i of category c succeeds with rate floor + (1 - floor) sigmoid(ability_c - difficulty_i). A policy step trains on
up to B groups. A group with s successes of k carries the signal 4 (s/k) (1 - s/k): the size of its policy gradient in
the logit, 0 when all or none are right. With g_c the signal of category c over B, and G their sum, ability grows by

    ability <- ability + rate G^(returns - 1) K g + noise,        K[c, c'] = transfer^|c - c'|.

With returns = 1 progress is proportional to the signal; with 1/2, the default, to its square root, as for a noisy gradient
that the optimizer normalises: four times as many informative groups point twice as well. Categories without signal fall
back towards where they began by the share `forgetting` a step. What is left out: memorising single prompts, reward
hacking, collapse, and any text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import numpy.typing as npt

from edgewise.arrays import Rows
from edgewise.curriculum import Curriculum
from edgewise.errors import ConfigError
from edgewise.method import Method
from edgewise.pool import PromptPool
from edgewise.replay.comparison import Comparison, Run, compare
from edgewise.replay.methods import known_pool, made
from edgewise.replay.scores import Scores
from edgewise.replay.trace import Trace

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class World:
    """A pool of prompts and how a policy learns on it. Logits: 0 is a success rate of 1/2, -4 one of 1/55.

    Attributes:
        prompts: in the pool.
        categories: of equal size, neighbours alike, from the easiest to the hardest.
        easiest, hardest: logit of the middle prompt of the first and the last category at the start.
        spread: standard deviation of difficulty inside a category, logits.
        floor: success rate of a blind guess, in [0, 1).
        rate: logits that a step of nothing but perfectly informative groups adds.
        returns: exponent of progress in the signal, in (0, 1]; 1: proportional.
        transfer: share of a category's progress that reaches the next one, in [0, 1].
        noise: standard deviation of a category's random walk, logits a step.
        wander: the same for each single prompt.
        forgetting: share of its progress that a category without signal loses each step, in [0, 1).
        plateau: logits that a category can gain, > 0; progress slows down as it is approached.
        rote: how much prompts are learned by heart, >= 0: a perfectly informative group adds so many logits to its own prompt, and
            teaches the others 1 / (1 + rote n) of what it would, n being the informative groups its prompt had before.
    """

    prompts: int = 2000
    categories: int = 10
    easiest: float = 3.0
    hardest: float = -12.0
    spread: float = 1.5
    floor: float = 0.0
    rate: float = 0.08
    returns: float = 0.5
    transfer: float = 0.6
    noise: float = 0.01
    wander: float = 0.02
    forgetting: float = 0.0
    plateau: float = np.inf
    rote: float = 0.0

    def __post_init__(self) -> None:
        if self.prompts < 2 or not 1 <= self.categories <= self.prompts:
            raise ConfigError(f"a world needs 1 <= categories <= prompts, got {self.categories} and {self.prompts}")
        if self.easiest < self.hardest:
            raise ConfigError(f"easiest must be at least hardest, got {self.easiest} and {self.hardest}")
        for name in ("spread", "rate", "noise", "wander", "rote"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ConfigError(f"{name} must be finite and >= 0, got {getattr(self, name)}")
        if not self.plateau > 0:
            raise ConfigError(f"plateau must be > 0, got {self.plateau}")
        for name, inside in (
            ("floor", 0 <= self.floor < 1),
            ("forgetting", 0 <= self.forgetting < 1),
            ("transfer", 0 <= self.transfer <= 1),
            ("returns", 0 < self.returns <= 1),
        ):
            if not inside:
                raise ConfigError(f"{name} is a share, got {getattr(self, name)}")


REGIMES = {
    "default": World(),
    "small": World(prompts=400),
    "useful": World(easiest=2.5, hardest=-2.5),
    "hard": World(easiest=-1.0, hardest=-16.0),
    "guessable": World(floor=0.25),
    "forgetful": World(forgetting=0.02),
    "fast": World(easiest=-1.0, hardest=-8.0, rate=0.4, returns=0.2, transfer=0.8, noise=0.05, plateau=6.0),
    "rote": World(rote=1.0),
}
"""Worlds worth trying: `small` has few prompts for many steps, in `useful` most prompts are informative from the start, in
`hard` nearly none. In `fast` nothing is solved at the start, abilities gain some 3 logits in ten steps and then level off,
and progress hardly depends on how many groups are informative, as where a pretrained model learns the form of the answers. In
`rote` a prompt that comes again is learned by heart and teaches the others little, as in long runs on countdown."""


def regime(name: str) -> World:
    if name not in REGIMES:
        raise ConfigError(f"unknown regime '{name}'. Known: {', '.join(REGIMES)}.")
    return REGIMES[name]


class Policy:
    """The simulated policy. Equal seeds give equal prompts, noise and rollouts, whatever is selected."""

    def __init__(self, world: World, seed: int = 0):
        self.world = world
        rng = np.random.default_rng([seed, 1])
        self.category = np.arange(world.prompts) % world.categories
        centre = np.linspace(-world.easiest, -world.hardest, world.categories)
        self.difficulty = centre[self.category] + world.spread * rng.standard_normal(world.prompts)
        self.ability = np.zeros(world.categories)
        # Informative groups of each prompt, and the logits that it alone has gained by them.
        self.trained, self.known = np.zeros(world.prompts, np.int64), np.zeros(world.prompts)
        # Features: two noisy views of the difficulty and two columns that mean nothing.
        views = self.difficulty[:, None] + 2.0 * rng.standard_normal((world.prompts, 2))
        features = np.concatenate([views, rng.standard_normal((world.prompts, 2))], axis=1)
        labels = [f"level {category:02d}" for category in self.category]
        self.pool = PromptPool(np.arange(world.prompts), labels, features)
        distance = np.abs(np.arange(world.categories)[:, None] - np.arange(world.categories))
        self._reach = world.transfer**distance  # (C, C), 0**0 = 1
        self._rolls, self._drift = np.random.default_rng([seed, 2]), np.random.default_rng([seed, 3])

    def rates(self) -> Floats:
        """True success rate of every prompt now, (prompts,)."""
        return self._rates(self.known)

    def skill(self) -> Floats:
        """Success rate of every prompt if it had never been trained on, (prompts,): that of held-out prompts like it."""
        return self._rates(0.0)

    def _rates(self, known: Floats | float) -> Floats:
        logit = self.ability[self.category] - self.difficulty + known
        return self.world.floor + (1.0 - self.world.floor) / (1.0 + np.exp(-logit))

    def roll(self, rows: Rows, rollouts: int | Counts) -> Floats:
        """Rewards 0 or 1: (n, rollouts) for one number of rollouts, (sum of rollouts,) for one number a prompt, (n,)."""
        rates = self.rates()[rows]
        counts = np.broadcast_to(rollouts, len(rows))
        rewards = (self._rolls.random(int(counts.sum())) < np.repeat(rates, counts)).astype(np.float64)
        return rewards.reshape(len(rows), rollouts) if isinstance(rollouts, int) else rewards

    def train(self, rows: Rows, successes: Counts, trials: Counts, batch: int) -> None:
        """One policy step on finished groups, each (n,), out of a batch of `batch`: missing groups carry no signal."""
        world = self.world
        rate = successes / trials
        own = 4.0 * rate * (1.0 - rate)
        taught = own / (1.0 + world.rote * self.trained[rows])
        signal = np.bincount(self.category[rows], taught, world.categories) / batch
        total = signal.sum()
        if total > 0:
            gain = world.rate * total ** (world.returns - 1.0) * (self._reach @ signal)
            self.ability += gain * np.clip(1.0 - self.ability / world.plateau, 0.0, 1.0)
        if world.forgetting:
            self.ability[signal == 0] *= 1.0 - world.forgetting
        np.add.at(self.known, rows, world.rote * own)
        np.add.at(self.trained, rows, own > 0)
        self.ability += world.noise * self._drift.standard_normal(world.categories)
        self.difficulty += world.wander * self._drift.standard_normal(world.prompts)


def simulate(
    methods: Sequence[str | Method],
    world: World | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    baseline: str = "uniform",
    steps: int = 200,
    batch: int = 64,
    rollouts: int = 8,
    probe: int = 256,
    target: float | None = None,
    knows: str = "all",
    wrong: float = 0.0,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare methods that train the simulated policy through a real `Curriculum`.

    Args:
        methods: names as `Method.parse` reads them (`ds` is dynamic sampling), or `Method`s.
        world: the prompts and the policy; `World()` if None.
        seeds: one world each, the same for every method.
        baseline: one of the methods, added if it is missing.
        steps: policy steps; batch: prompts a step; rollouts: of each.
        probe: prompts drawn uniformly each step, never shown to the selector, to judge its predictions on.
        target: mean success rate over the pool; steps and rollouts to reach it are counted, NaN where a run does not.
            None: what the baseline reaches at the end with the same seed.
        knows: what the selector may know about the prompts, see `known_pool`.
        wrong: share of the labels that are wrong.
        progress: told the method after each run.
    """
    world = world if world is not None else World()
    chosen = [Method.parse(name) if isinstance(name, str) else name for name in methods]
    first = next((m for m in chosen if m.name == baseline), None) or Method.parse(baseline)
    # The baseline runs first: the default target is where it ends.
    chosen = [first, *(m for m in chosen if m.name != baseline)]
    if not 1 <= batch <= world.prompts:
        raise ConfigError(f"batch must lie between 1 and the world's {world.prompts} prompts, got {batch}")
    if rollouts < 2 or steps < 1 or probe < 2:
        raise ConfigError(
            f"need rollouts >= 2, steps >= 1 and a probe of at least 2 prompts, got {rollouts}, {steps}, {probe}"
        )
    if target is not None and not 0 < target <= 1:
        raise ConfigError(f"target is a mean success rate in (0, 1], got {target}")
    reached: dict[int, float] = {}

    def run(m: Method, seed: int) -> Run:
        policy = Policy(world, seed)
        pool = known_pool(policy.pool, knows, wrong, seed)
        selector = made(m, pool, rollouts, seed, policy.rates)
        curriculum = Curriculum(pool, selector, rollouts=rollouts, gates=m.gates)
        numbers, curves = _trained(policy, curriculum, seed, steps, batch, probe)
        aim = target if target is not None else reached.setdefault(seed, float(curves["accuracy"][-1]))
        there = np.flatnonzero(curves["accuracy"] >= aim)
        numbers["accuracy"] = float(curves["accuracy"][-1])
        numbers["steps_to_target"] = float(there[0] + 1) if there.size else float("nan")
        numbers["rollouts_to_target"] = float(curves["rollouts"][there[0]]) if there.size else float("nan")
        return numbers, curves

    differing = {f.name: getattr(world, f.name) for f in fields(World) if getattr(world, f.name) != f.default}
    settings = {"prompts": world.prompts, **differing, "knows": knows, "wrong": wrong, "steps": steps}
    settings |= {"batch": batch, "rollouts": rollouts, "target": target}
    notes = [] if target is not None else [f"target: the mean success rate that {baseline} reaches at the end"]
    times = [float(step + 1) for step in range(steps)]
    return compare("simulator", settings, chosen, seeds, baseline, run, times, notes, progress)


def simulated_trace(
    world: World | None = None, seed: int = 0, steps: int = 200, checkpoints: int = 15, samples: int = 32
) -> Trace:
    """A complete trace of a simulated policy that trains on uniform batches of 64 prompts with 8 rollouts."""
    if not 2 <= checkpoints <= steps + 1:
        raise ConfigError(f"need 2 <= checkpoints <= steps + 1, got {checkpoints} and {steps}")
    world = world if world is not None else World()
    policy, rng = Policy(world, seed), np.random.default_rng([seed, 4])
    batch = min(64, world.prompts)
    at = np.linspace(0, steps, checkpoints).round().astype(np.int64)
    counts = np.empty((checkpoints, world.prompts), np.int64)
    for step in range(steps + 1):
        for position in np.flatnonzero(at == step):
            counts[position] = rng.binomial(samples, policy.rates())
        rows = rng.choice(world.prompts, batch, replace=False)
        trials = np.full(batch, 8)
        policy.train(rows, policy.roll(rows, trials).reshape(batch, 8).sum(axis=1), trials, batch)
    about = {"source": "edgewise.replay.simulated_trace", "seed": seed, "world": asdict(world)}
    return Trace.from_evaluations(policy.pool, at, counts, samples, about)


def _trained(policy: Policy, curriculum: Curriculum, seed: int, steps: int, batch: int, probe: int) -> Run:
    scores, rng = Scores(), np.random.default_rng([seed, 5])
    # Admitted groups that wait for a step: row, successes, trials. A refill may bring more than its step can use.
    waiting = np.empty((3, 0), np.int64)
    seen = np.zeros(len(curriculum.pool), bool)
    for _ in range(steps):
        rates = policy.rates()
        sample = rng.choice(len(rates), min(probe, len(rates)), replace=False)
        picks, informative, predicted_sample = [], [], None
        for selected in curriculum.rounds(batch):
            if predicted_sample is None:
                predicted_sample = curriculum.predict(sample)  # after the beliefs have aged, before any outcome
            feedback = curriculum.observe(selected, policy.roll(selected.rows, selected.rollouts))
            groups = np.stack([selected.rows, feedback.successes, feedback.trials])
            waiting = np.concatenate([waiting, groups[:, feedback.admitted]], axis=1)
            picks.append(selected)
            informative.append(feedback.informative)
        tried = np.concatenate([selected.rows for selected in picks])
        seen[tried] = True
        scores.begin()
        # Beside a rule that predicts nothing a belief watches: its predictions are not the rule's.
        own = 0.0 if curriculum.prediction_source == "selector" else np.nan
        scores.prediction("selected", own + np.concatenate([selected.predicted for selected in picks]), rates[tried])
        if predicted_sample is not None:
            scores.prediction("probe", own + predicted_sample, rates[sample])
        scores.choice(rates[picks[0].rows], rates, curriculum.allocation.mean)
        trained, waiting = waiting[:, :batch], waiting[:, batch:]
        policy.train(trained[0], trained[1], trained[2], batch)
        scores.put(
            effective_ratio=float(np.concatenate(informative).mean()),
            accuracy=float(policy.skill().mean()),
            rollouts=curriculum.metrics()["rollouts"],
        )
    return {**scores.settled(), "tried": float(seen.mean())}, scores.curves()
