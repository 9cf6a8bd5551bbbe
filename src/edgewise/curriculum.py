"""The one object a trainer talks to: selector + gate + allocation, asked for a batch and told its rewards."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgewise.allocation import Allocation, make_allocation
from edgewise.beliefs import monitor_belief
from edgewise.checkpoint import generator_state, load_state, restore_generator, save_state
from edgewise.errors import CheckpointError, ConfigError, PoolError, RewardError
from edgewise.forecasts import ForecastWindow
from edgewise.gates import Gate, Groups, make_gate
from edgewise.pool import PromptPool, Rows
from edgewise.selectors import Selector, make_selector

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
log = logging.getLogger("edgewise")


@dataclass(frozen=True)
class Batch:
    """Prompts to roll out: everything by position, shape (n,).

    `rollouts` says how many completions each prompt gets; rewards are told grouped in this order. `predicted` is the mean
    success rate believed before the rollout, `probe` marks prompts drawn uniformly to judge the predictions.
    """

    serial: int
    rows: Rows
    ids: np.ndarray
    rollouts: Counts
    predicted: Floats
    probe: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, positions: Any, rollouts: Any = None) -> Batch:
        """A part of the batch, for results that come piecemeal; `rollouts` where some completions were lost."""
        where = np.asarray(positions, np.int64)
        counts = self.rollouts[where]
        if rollouts is not None:
            counts = np.broadcast_to(np.asarray(rollouts, np.int64), counts.shape)
        return Batch(self.serial, self.rows[where], self.ids[where], counts, self.predicted[where], self.probe[where])


@dataclass(frozen=True)
class Feedback:
    """What a trainer does with the groups it has just reported.

    Attributes:
        admitted: which groups train the policy, bool (n,).
        shortfall: groups still missing in this step; select again to refill. 0: train now.
        surplus: admitted groups beyond what the step asked for; keep them, they count for the next step.
        exhausted: the gate's cap on rounds was reached and the step stays short.
    """

    admitted: npt.NDArray[np.bool_]
    shortfall: int
    surplus: int
    exhausted: bool


class Listener(Protocol):
    """Is told whatever a curriculum observes; see `Curriculum.listeners`."""

    def observed(self, step: int, rows: Rows, successes: Counts, trials: Counts) -> None:
        """Groups were observed in policy step `step` (counted by the curriculum from 1); all arrays (n,)."""

    def restored(self, step: int) -> None:
        """The curriculum went back to a state saved in policy step `step`; 0: before the first."""


class Curriculum:
    """Selects prompts, takes their rewards, keeps beliefs, counts rollouts.

    Args:
        pool: the prompts.
        selector: a selector over the same pool, or the name of one.
        gate: which finished groups train the policy; None admits all.
        rollouts: rollouts a prompt, or an `Allocation`.
        success: a reward of at least this counts as a success, in (0, 1].
        probe: share of every batch drawn uniformly instead of selected, in [0, 1): an honest sample for calibration.
        seed: of the probe.
    """

    def __init__(
        self,
        pool: PromptPool,
        selector: Selector | str = "edge",
        gate: Gate | None = None,
        rollouts: int | Allocation = 8,
        success: float = 0.5,
        probe: float = 0.0,
        seed: int = 0,
    ):
        self.allocation = (
            rollouts if isinstance(rollouts, Allocation) else make_allocation("constant", rollouts=rollouts)
        )
        if isinstance(selector, str):
            selector = make_selector(selector, pool, seed=seed, rollouts=self.allocation.mean)
        if selector.pool is not pool:
            raise ConfigError("the selector was made for another pool; make both from the same PromptPool")
        if not 0 < success <= 1:
            raise ConfigError(f"success is the reward from which a rollout counts as correct, in (0, 1], got {success}")
        if not 0 <= probe < 1:
            raise ConfigError(f"probe is a share of the batch in [0, 1), got {probe}")
        self.pool, self.selector, self.gate = pool, selector, gate
        # Success rates beside a rule that predicts none.
        self.monitor = None if selector.predicts else monitor_belief(pool)
        self.success, self.probe = float(success), float(probe)
        self.rng = np.random.default_rng([seed, 0x9E37])
        self._step = _Step()
        self._totals = {"steps": 0, "rollouts": 0, "groups": 0, "informative": 0, "successes": 0, "exhausted": 0}
        self._serial = 0
        self._monitored = 0
        # Prompts in flight: row, serial of its batch and rollouts handed out.
        self._flight = np.empty((0, 3), np.int64)
        self._recent = ForecastWindow()
        # Not part of the state: whoever records what is observed.
        self.listeners: list[Listener] = []

    @property
    def steps(self) -> int:
        """Policy steps begun so far."""
        return self._totals["steps"]

    @property
    def in_flight(self) -> Rows:
        """Rows handed out and not yet observed or forgotten."""
        return self._flight[:, 0].copy()

    def select(self, n: int) -> Batch:
        """The next n prompts, none of them in flight.

        Begins a new policy step, unless the step is short of admitted groups: then this is its refill, and prompts that
        the step has already rolled out are not picked again.
        """
        batch = self._hand_out(n, new_step=self._step.shortfall == 0)
        self._step.rounds += 1
        return batch

    def predict(self, rows: Rows) -> Floats:
        """Predicted success rates, (n,): the selector's, or those of a monitor belief where it predicts none."""
        return self.selector.predict(rows) if self.monitor is None else self.monitor.mean(rows)

    def select_more(self, n: int) -> Batch:
        """n more prompts for the policy step under way, as a refill picks them.

        For trainers that ask for prompts piecemeal: `select` where a policy step begins, `select_more` within it, so that
        beliefs age with the policy rather than with every request.
        """
        if self.steps == 0:
            return self.select(n)
        batch = self._hand_out(n, new_step=False)
        self._step.wanted += len(batch)
        return batch

    def _hand_out(self, n: int, new_step: bool) -> Batch:
        if int(n) != n or n < 0:
            raise PoolError(f"select needs a whole number of prompts >= 0, got {n}")
        n = int(n)
        busy = np.unique(self._flight[:, 0]) if len(self._flight) else self._flight[:, 0]
        if n > len(self.pool) - len(busy):
            raise PoolError(
                f"asked for {n} prompts, but {len(busy)} of the {len(self.pool)} are in flight;"
                " observe them, or forget those whose results will never come"
            )
        if not new_step:
            # Unless every prompt has been tried in this step: trying again beats stopping the run.
            untried = np.union1d(busy, self._step.tried)
            busy = untried if n <= len(self.pool) - len(untried) else busy
        extra = int(self.rng.binomial(n, self.probe)) if self.probe and n else 0
        if new_step and self.monitor is not None and self._totals["groups"] > self._monitored:
            self._monitored = self._totals["groups"]
            self.monitor.advance()
        rows = self.selector.select(n - extra, exclude=busy, new_step=new_step)
        if extra:
            rows = np.concatenate([rows, self.pool.sample(extra, self.rng, np.union1d(busy, rows))])
        predicted = self.predict(rows)
        counts = self.allocation.rollouts(predicted)
        self._serial += 1
        if new_step:
            self._step = _Step(wanted=n, admitted=self._step.surplus, first=self._serial)
            self._totals["steps"] += 1
        flight = np.empty((len(rows), 3), np.int64)
        flight[:, 0], flight[:, 1], flight[:, 2] = rows, self._serial, counts
        self._flight = np.concatenate([self._flight, flight]) if len(self._flight) else flight
        marks = np.arange(len(rows)) >= len(rows) - extra
        return Batch(self._serial, rows, self.pool.ids[rows], counts, predicted, marks)

    def observe(self, batch: Batch, rewards: Any) -> Feedback:
        """Tell the rewards of a batch, or of a part of it (`batch.take`), in any order and at any time.

        Args:
            batch: what `select` returned.
            rewards: (sum of rollouts,) in [0, 1], grouped in the batch's order; (n, k) where all k are equal.

        Raises:
            RewardError: NaN, infinite or outside [0, 1] (names the prompt), the wrong number, or a batch that is not in
                flight. Nothing has been changed then.
        """
        values = self._check_rewards(batch, rewards)
        flight = self._flight_of(batch)
        correct = np.add.reduceat(values >= self.success, np.cumsum(batch.rollouts) - batch.rollouts, dtype=np.int64)
        groups = Groups(values, batch.rollouts, correct)
        admitted = self.gate.admit(groups) if self.gate is not None else np.ones(len(batch), bool)
        self.selector.observe(batch.rows, correct, batch.rollouts)
        if self.monitor is not None:
            self.monitor.observe(batch.rows, correct, batch.rollouts)
        self._flight = np.delete(self._flight, flight, axis=0)
        informative = (correct > 0) & (correct < batch.rollouts)
        step = self._step
        step.tried = np.concatenate([step.tried, batch.rows])
        step.admitted += int(admitted.sum())
        for name, value in (
            ("rollouts", batch.rollouts.sum()),
            ("groups", len(batch)),
            ("informative", informative.sum()),
            ("successes", correct.sum()),
        ):
            step.counts[name] += int(value)
            self._totals[name] += int(value)
        self._recent.add(batch.predicted, correct, batch.rollouts, batch.probe)
        for listener in self.listeners:
            listener.observed(self.steps, batch.rows, correct, batch.rollouts)
        if self.gate is None:
            return Feedback(admitted, 0, 0, False)
        missing = max(step.wanted - step.admitted, 0)
        # With part of the step still in flight, its groups may yet fill it; batches of earlier steps may never come.
        waiting = bool((self._flight[:, 1] >= step.first).any())
        exhausted = missing > 0 and step.rounds >= self.gate.max_rounds and not waiting
        if exhausted and self.gate.max_rounds > 1:
            self._totals["exhausted"] += 1
            log.warning("step stays at %d of %d groups after %d rounds", step.admitted, step.wanted, step.rounds)
        step.shortfall = 0 if exhausted or waiting else missing
        step.surplus = max(step.admitted - step.wanted, 0) if self.gate.max_rounds > 1 else 0
        return Feedback(admitted, step.shortfall, step.surplus, exhausted)

    def forget(self, batch: Batch | None = None) -> None:
        """The results of this batch (of all in flight, if None) will never come; its prompts may be picked again."""
        if batch is None:
            self.selector.forget(self.in_flight)
            self._flight = self._flight[:0]
        else:
            self.selector.forget(batch.rows)
            self._flight = np.delete(self._flight, self._flight_of(batch), axis=0)

    def drop_surplus(self) -> None:
        """The trainer does not keep what the last step admitted beyond its batch."""
        self._step.surplus = 0

    def grow(self, ids: Any, categories: Any = None, features: Any = None) -> Rows:
        """Add prompts to the pool during a run; returns their rows."""
        rows = self.pool.extend(ids, categories, features)
        self.selector.grow()
        if self.monitor is not None:
            self.monitor.grow()
        return rows

    def metrics(self) -> dict[str, float]:
        """Plain numbers for a trainer's logger; what cannot be computed yet is left out."""
        step, total = self._step.counts, self._totals
        values: dict[str, float] = {
            "steps": total["steps"],
            "rollouts": total["rollouts"],
            "rounds": self._step.rounds,
            "in_flight": len(self._flight),
            "exhausted_steps": total["exhausted"],
        }
        for prefix, counts in (("", step), ("mean_", total)):
            if counts["groups"]:
                values[f"{prefix}effective_ratio"] = counts["informative"] / counts["groups"]
                values[f"{prefix}success_rate"] = counts["successes"] / counts["rollouts"]
        values.update(self._recent.metrics())
        values.update({f"selector_{name}": value for name, value in self.selector.metrics().items()})
        return {name: float(value) for name, value in values.items() if np.isfinite(value)}

    def state_dict(self) -> dict[str, Any]:
        return {
            "selector": self.selector.state_dict(),
            "monitor": {} if self.monitor is None else self.monitor.state_dict(),
            "monitored": self._monitored,
            "rng": generator_state(self.rng),
            "step": self._step.state_dict(),
            "totals": dict(self._totals),
            "serial": self._serial,
            "flight": self._flight.copy(),
            "recent": self._recent.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        """Restore `state_dict`; `remap[old row]` is the present row, -1 for prompts that are gone."""
        try:
            step, recent = _Step.restored(state["step"], remap), ForecastWindow.restored(state["recent"])
            flight = np.asarray(state["flight"], np.int64).reshape(-1, 3).copy()
            totals, serial = dict(state["totals"]), int(state["serial"])
            if remap is not None and len(flight):
                flight[:, 0] = remap[flight[:, 0]]
                flight = flight[flight[:, 0] >= 0]
            rng = np.random.default_rng()
            restore_generator(rng, state["rng"])
            self.selector.load_state_dict(state["selector"], remap)
            if self.monitor is not None:
                self.monitor.load_state_dict(state["monitor"], remap)
            self._monitored = int(state["monitored"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise CheckpointError(f"not the state of a curriculum: {error!r}") from error
        self.rng, self._step, self._recent, self._flight = rng, step, recent, flight
        self._totals, self._serial = totals, serial
        for listener in self.listeners:
            listener.restored(self.steps)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save everything, the prompt ids included, to one npz; atomic."""
        parts = {"selector": self.selector.spec, "allocation": self.allocation.spec}
        parts["gate"] = self.gate.spec if self.gate is not None else None
        setting = {"success": self.success, "probe": self.probe, "gated": self.gate is not None}
        state = {"ids": self.pool.ids, "parts": parts, "setting": setting, "state": self.state_dict()}
        save_state(path, "curriculum", state)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        pool: PromptPool,
        selector: Selector | None = None,
        gate: Gate | None = None,
        rollouts: Allocation | None = None,
    ) -> Curriculum:
        """Restore a saved curriculum for `pool`. Prompt ids decide: the dataset may be reordered, grown or shrunk.

        Parts made by `make_selector`, `make_gate` and `make_allocation` are rebuilt; others have to be passed.
        """
        saved = load_state(path, "curriculum")
        parts, setting = saved["parts"], saved["setting"]
        if selector is None:
            selector = make_selector(parts["selector"]["name"], pool, **_options(parts, "selector"))
        if gate is None and setting["gated"]:
            gate = make_gate(parts["gate"]["name"], **_options(parts, "gate"))
        if rollouts is None:
            rollouts = make_allocation(parts["allocation"]["name"], **_options(parts, "allocation"))
        curriculum = cls(pool, selector, gate, rollouts, setting["success"], setting["probe"])
        curriculum.restore(saved["state"], saved["ids"])
        return curriculum

    def restore(self, state: dict[str, Any], ids: np.ndarray) -> dict[str, int]:
        """Load a state that belongs to a pool of `ids`; returns and logs how many prompts were kept, added, removed."""
        remap = self.pool.find(ids)
        kept = int((remap >= 0).sum())
        changes = {"kept": kept, "added": len(self.pool) - kept, "removed": len(ids) - kept}
        if kept == 0:
            raise PoolError(
                f"the checkpoint is for another dataset: none of its {len(ids)} prompts (such as {ids[0].item()!r})"
                f" is in the pool (such as {self.pool.ids[0].item()!r})"
            )
        same = len(ids) == len(self.pool) and bool((remap == np.arange(len(ids))).all())
        self.load_state_dict(state, None if same else remap)
        if changes["added"] or changes["removed"]:
            log.warning(
                "the dataset has changed since the checkpoint: %(kept)d prompts kept, %(added)d added, %(removed)d removed",
                changes,
            )
        return changes

    def _check_rewards(self, batch: Batch, rewards: Any) -> Floats:
        values = np.asarray(rewards)
        expected = int(batch.rollouts.sum())
        if values.dtype.kind not in "fiub":
            raise RewardError(f"rewards must be numbers in [0, 1], got {values.dtype}")
        if values.ndim == 2 and values.shape[0] == len(batch) and (batch.rollouts == values.shape[1]).all():
            values = values.ravel()
        if values.shape != (expected,):
            raise RewardError(f"expected {expected} rewards for {len(batch)} prompts, got shape {values.shape}")
        values = values.astype(np.float64)
        bad = np.flatnonzero(~((values >= 0) & (values <= 1)))
        if bad.size:
            owner = np.repeat(batch.ids, batch.rollouts)[bad[0]]
            raise RewardError(
                f"prompt {owner.item()!r} has reward {values[bad[0]]}; rewards must lie in [0, 1]"
                f" ({bad.size} of {expected} do not). Scale them, or pass the correctness instead."
            )
        return values

    def _flight_of(self, batch: Batch) -> Counts:
        """Positions in the flight table of a batch's rows."""
        mine = np.flatnonzero(self._flight[:, 1] == batch.serial)
        order = mine[np.argsort(self._flight[mine, 0])]
        place = np.minimum(np.searchsorted(self._flight[order, 0], batch.rows), max(len(order) - 1, 0))
        found = self._flight[order[place], 0] == batch.rows if len(order) else np.zeros(len(batch), bool)
        if not found.all():
            unknown = batch.ids[~found][0]
            raise RewardError(
                f"prompt {unknown.item()!r} of batch {batch.serial} is not in flight:"
                " it was never handed out, or has been observed or forgotten already"
            )
        positions = order[place] if len(order) else np.empty(0, np.int64)
        if len(np.unique(positions)) != len(positions):
            raise RewardError("a prompt stands twice in the batch")
        too_many = (batch.rollouts < 1) | (batch.rollouts > self._flight[positions, 2])
        if too_many.any():
            raise RewardError(
                f"prompt {batch.ids[too_many][0].item()!r} reports more rollouts than were handed out, or none"
            )
        return positions


def _options(parts: dict[str, Any], part: str) -> dict[str, Any]:
    if not parts.get(part):
        raise ConfigError(f"the checkpoint's {part} was not made by name; pass `{part}=` to Curriculum.load")
    return parts[part]["options"]


class _Step:
    """The policy step under way."""

    def __init__(self, wanted: int = 0, admitted: int = 0, first: int = 0):
        # `first` is the serial of the step's first batch.
        self.wanted, self.admitted, self.first = wanted, admitted, first
        self.rounds = self.shortfall = self.surplus = 0
        self.tried: Rows = np.empty(0, np.int64)
        self.counts = {"rollouts": 0, "groups": 0, "informative": 0, "successes": 0}

    def state_dict(self) -> dict[str, Any]:
        return {**vars(self), "counts": dict(self.counts), "tried": self.tried.copy()}

    @classmethod
    def restored(cls, state: dict[str, Any], remap: Rows | None) -> _Step:
        step = cls()
        for name in vars(step):
            setattr(step, name, state[name])
        step.counts = dict(state["counts"])
        step.tried = np.asarray(state["tried"], np.int64)
        if remap is not None:
            step.tried = remap[step.tried]
            step.tried = step.tried[step.tried >= 0]
        return step
