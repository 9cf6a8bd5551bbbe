"""Composition of selector, gates and allocation over one clock: the object that a training loop holds."""

from __future__ import annotations

import functools
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt

from edgewise.advice import Advice, advise, silent_step
from edgewise.allocation import Allocation, make_allocation
from edgewise.arrays import (
    NOISE,
    Counts,
    Flags,
    Floats,
    Rows,
    as_array,
    is_number,
    require_sequence,
    whole_number,
    whole_numbers,
)
from edgewise.batch import Batch, Feedback
from edgewise.beliefs import monitor_belief
from edgewise.checkpoint import generator_state, load_state, restore_generator, save_state
from edgewise.errors import CheckpointError, ConfigError, PoolError, RewardError
from edgewise.flight import FlightTable
from edgewise.gates import Gate, GateStack, Groups
from edgewise.method import Method
from edgewise.oversampling import Oversampling, acceptance, oversampling
from edgewise.pool import PromptPool
from edgewise.predictions import PredictionMonitor
from edgewise.quota import Quota
from edgewise.resume import remapped, report_other_settings, require_same_method
from edgewise.rewards import read_rewards
from edgewise.selectors import Selector
from edgewise.step import PolicyStep, Totals

log = logging.getLogger("edgewise")

F = TypeVar("F", bound=Callable[..., Any])


class Listener(Protocol):
    """Observer of a curriculum, such as a recorder; see `Curriculum.listeners`."""

    def observed(self, step: int, rows: Rows, successes: Counts, trials: Counts) -> None:
        """Groups were observed in policy step `step` (from 1); arrays (n,)."""

    def restored(self, step: int) -> None:
        """A state saved in policy step `step` was loaded; 0: before the first."""


def _locked(method: F) -> F:
    """One thread at a time, and with all prompts of the pool, which may have grown by another curriculum or by `extend`."""

    @functools.wraps(method)
    def call(self: Curriculum, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            if len(self.pool) != self._size:
                self._follow()
            return method(self, *args, **kwargs)

    return cast(F, call)


class Curriculum:
    """Selection of prompts, observation of their rewards, and the account of both.

    Args:
        pool: the prompts.
        selector: a selector over the same pool, or a method by name, such as "edge" or "mopps:decay=0.5".
        rollouts: rollouts of each prompt, or an `Allocation`; 8 unless the selector was made for another number.
        gates: names or `Gate` objects, combined by AND; they decide which finished groups train the policy.
        quota: share of each selection by category name, for example {"math": 0.5, "code": 0.5}; other categories share the
            rest. Prompts of a category with a share of 0, or of the others where nothing is left for them, are not selected.
        random_share: share of every batch drawn uniformly from all prompts that may be selected, before the others are, in
            [0, 1): an honest sample of predictions.
        success_threshold: a reward of at least this counts as correct, in (0, 1], up to float noise of 1e-6.
        seed: seed of the selector, if it is made here, and of the random share.

    The clock counts policy steps. A `select` with nothing of the step in flight begins the next one, so a synchronous loop
    needs nothing else. Loops that keep prompts in flight across updates call `advance` after each update; from then on the
    clock moves by `advance` alone.

    All methods may be called from several threads. A copy in a forked process is refused: its state would diverge.

    Example:
        >>> import numpy as np
        >>> from edgewise import Curriculum, PromptPool
        >>> curriculum = Curriculum(PromptPool(range(100)), "edge", rollouts=4)
        >>> batch = curriculum.select(8)
        >>> feedback = curriculum.observe(batch, np.tile([1.0, 0.0, 0.0, 1.0], (8, 1)))
        >>> feedback.informative.all(), curriculum.steps
        (np.True_, 1)
    """

    def __init__(
        self,
        pool: PromptPool,
        selector: Selector | str = "edge",
        *,
        rollouts: int | Allocation | None = None,
        gates: Gate | str | Sequence[Gate | str] | None = None,
        quota: Mapping[str, float] | None = None,
        random_share: float = 0.0,
        success_threshold: float = 0.5,
        seed: int = 0,
    ):
        if not isinstance(pool, PromptPool):
            raise ConfigError(f"pool must be a PromptPool, got {type(pool).__name__}; make one with ew.PromptPool(ids)")
        seed = whole_number("seed", seed, 0, ConfigError, below=2**128)
        if rollouts is None:
            rollouts = (getattr(selector, "rollouts", None) if isinstance(selector, Selector) else None) or 8
        self.allocation = (
            rollouts if isinstance(rollouts, Allocation) else make_allocation("constant", rollouts=rollouts)
        )
        self.method = selector if isinstance(selector, str) else type(selector).__name__
        if isinstance(selector, str):
            parsed = Method.parse(selector)
            if parsed.gated and gates is not None:
                raise ConfigError(f"'{selector}' brings a gate of its own: leave gates= out, or +ds")
            gates = parsed.gates if parsed.gated else gates
            selector = parsed.make(pool, rollouts=self.allocation.mean, seed=seed)
        if not isinstance(selector, Selector):
            raise ConfigError(f"selector must be a name or a Selector, got {selector!r}")
        if selector.pool is not pool:
            raise ConfigError("the selector was made for another pool; make both from the same PromptPool")
        judged = getattr(selector, "rollouts", None)
        if judged is not None and judged != self.allocation.mean:
            raise ConfigError(
                f"the selector was made for groups of {judged} rollouts, the curriculum rolls out {self.allocation.mean}:"
                f" pass rollouts={self.allocation.mean} to make_selector, or the selector by name"
            )
        if not is_number(success_threshold) or not 0 < success_threshold <= 1 + NOISE:
            raise ConfigError(
                "success_threshold is the reward from which a rollout counts as correct, in (0, 1], got"
                f" {success_threshold!r}"
            )
        if not is_number(random_share) or not 0 <= random_share < 1:
            raise ConfigError(f"random_share is a share of the batch in [0, 1), got {random_share!r}")
        self.pool, self.selector, self.gates = pool, selector, GateStack(gates)
        self.quota = Quota(pool, quota) if quota is not None else None
        self.success_threshold, self.random_share = min(float(success_threshold), 1.0), float(random_share)
        self.rng = np.random.default_rng([seed, 0x9E37])
        # A rule without predictions of its own is accompanied by a belief that only predicts.
        self._monitor = None if selector.predicts else monitor_belief(pool)
        self._flight, self._step, self._totals = FlightTable(), PolicyStep(), Totals(len(pool.category_names))
        self._size, self._categories = len(pool), pool.category_names
        self._silent = 0
        self._predictions = PredictionMonitor()
        self._steps, self._manual, self._unaged = 0, False, False
        self._serial = _fresh_serial()
        self._owner, self._lock = os.getpid(), threading.RLock()
        self.listeners: list[Listener] = []
        """Not part of the state: recorders of what is observed."""

    def __repr__(self) -> str:
        gates = f", gates={self.gates.parts}" if self.gates.parts else ""
        return (
            f"Curriculum({self.pool!r}, {self.selector!r}, rollouts={self.allocation.mean}{gates}, steps={self.steps})"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_lock", "_owner")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.RLock(), _owner=os.getpid())

    @property
    def steps(self) -> int:
        """Policy steps begun so far."""
        return self._steps

    @property
    def tried(self) -> Rows:
        """Distinct rows observed or forgotten in the present policy step, sorted."""
        with self._lock:
            return self._step.tried()

    @property
    def in_flight(self) -> Rows:
        """Rows selected and neither observed nor forgotten, in the order of selection."""
        with self._lock:
            return self._flight.rows

    @property
    @_locked
    def available(self) -> int:
        """Number of prompts that can be selected now: neither in flight nor of a category whose share is 0.

        Example:
            >>> from edgewise import Curriculum, PromptPool
            >>> curriculum = Curriculum(PromptPool(range(5), list("aabbb")), rollouts=4, quota={"b": 1.0})
            >>> batch = curriculum.select(1)
            >>> curriculum.available
            2
        """
        return len(self.pool) - len(self._taken())

    @property
    def shortfall(self) -> int:
        """Groups that the present policy step still has to select; 0 without a gate that refills."""
        return self._step.shortfall

    def select(self, n: int) -> Batch:
        """The next n prompts, none of them in flight.

        A refill where the step is short of admitted groups; prompts of the step are then not selected again. A new policy
        step where nothing of the last one is in flight (or after `advance`); otherwise more prompts for the present step.

        Raises:
            PoolError: n is no whole number >= 0, or that many prompts are not available.
        """
        return self._select(n, None)

    @_locked
    def _select(self, n: int, begins: bool | None, wanted: int | None = None) -> Batch:
        """The next n prompts; the step asks for `wanted` groups, n if None. `begins` a step, or not; None: as `select` says."""
        self._require_owner()
        n = self._whole(n)
        step = self._step
        refill = step.shortfall > 0 and not begins
        if begins is None:
            idle = self._flight.waiting(self._steps) == 0
            begins = self._steps == 0 or (idle and not self._manual and not refill)
        busy = self._taken()
        if n > len(self.pool) - len(busy):
            raise PoolError(
                _unavailable(n, len(self.pool), len(busy), 0 if self.quota is None else len(self.quota.closed))
            )
        avoided = busy if begins else np.union1d(busy, step.tried())
        if begins:
            self._tick(1)
            self._step = step = step.following(n if wanted is None else wanted)
        elif not refill:
            step.join(n if wanted is None else wanted)
        extra = int(self.rng.binomial(n, self.random_share)) if self.random_share and n else 0
        drawn = np.empty(0, np.int64)
        if extra:
            # Before the others: what a selector leaves over is no uniform sample.
            drawn = self.pool.sample(extra, self.rng, avoided if n <= len(self.pool) - len(avoided) else busy)
            busy, avoided = np.union1d(busy, drawn), np.union1d(avoided, drawn)
        rows = np.concatenate([self._choose(n - extra, busy, avoided), drawn])
        random = np.arange(n) >= n - extra
        if extra or self.quota is not None:
            order = self.rng.permutation(n)
            rows, random = rows[order], random[order]
        predicted = self.selector.rates(rows) if self._monitor is None else self._monitor.mean(rows)
        counts = self.allocation.rollouts(predicted)
        self._serial += 1
        self._flight.add(rows, self._serial, counts, self._steps, predicted, random)
        if begins or refill:
            step.rounds += 1
        return Batch(rows, self.pool.ids[rows], counts, predicted, random, self._serial)

    def _taken(self) -> Rows:
        """Rows that cannot be selected now, sorted: in flight, or of a category whose share is 0."""
        busy = self._flight.busy()
        return np.union1d(busy, self.quota.closed) if self.quota is not None and len(self.quota.closed) else busy

    def _choose(self, n: int, busy: Rows, avoided: Rows) -> Rows:
        """n rows by the selector, none `busy`; of those `avoided` besides only where too few others are left.

        Trying a prompt again beats stopping the run, or leaving the quota.
        """
        if self.quota is None:
            exclude = avoided if n <= len(self.pool) - len(avoided) else busy
            return self.selector.select(n, exclude=exclude, new_step=False)
        rows = [np.empty(0, np.int64)]
        for members, count in self.quota.places(n, busy):
            if count:
                exclude = avoided if count <= len(members) - int(np.isin(members, avoided).sum()) else busy
                rows.append(self.selector.select(count, candidates=members, exclude=exclude, new_step=False))
        return np.concatenate(rows)

    def rounds(self, n: int, *, multiple: int = 1) -> Iterator[Batch]:
        """Batches of one policy step of n groups: the first, then refills until the gates have admitted n of them.

        Each batch is observed before the next is asked for. Without a gate that refills there is one batch. The size of each
        is rounded up to a multiple of `multiple`, for trainers that divide a batch among processes.

        Example:
            >>> import numpy as np
            >>> from edgewise import Curriculum, PromptPool
            >>> curriculum = Curriculum(PromptPool(range(100)), "uniform", rollouts=2, gates="informative")
            >>> rng = np.random.default_rng(0)
            >>> sum(curriculum.observe(batch, rng.integers(0, 2, (len(batch), 2))).admitted.sum() for batch in curriculum.rounds(8))
            np.int64(8)
        """
        n, multiple = self._whole(n), whole_number("multiple", multiple, 1, ConfigError)
        yield self._select(-(-n // multiple) * multiple, None if self._manual else True, wanted=n)
        while self._step.shortfall:
            with self._lock:
                free = self.available
                wanted = n if self.gates.refill == "batch" else self._step.shortfall
                batch = self._select(min(-(-wanted // multiple), free // multiple) * multiple, False)
            yield batch

    @_locked
    def observe(
        self,
        prompts: Batch | npt.ArrayLike,
        rewards: npt.ArrayLike,
        *,
        correct: npt.ArrayLike | None = None,
        lengths: npt.ArrayLike | None = None,
        rollouts: npt.ArrayLike | None = None,
    ) -> Feedback:
        """Take in the rewards of prompts in flight, in any order, in part and at any time.

        A prompt that was forgotten is taken in as evidence, weighted by its age. It is admitted, if the gates admit it, in loops
        that call `advance`, and never in others, where another prompt of the step has taken its place.

        Args:
            prompts: a batch or a part of one (`Batch.take`); or ids, (n,), or rows where the pool's ids are text.
            rewards: in [0, 1], or any finite numbers if `correct` is given; grouped in the order of `prompts`: (sum of
                rollouts,), (n, k) or a list of n lists. Values within 1e-6 of the range are clipped. Tensors are read.
            correct: correctness of each rollout apart from its reward, 0 or 1, as many as rewards; a reward of at least
                `success_threshold` if None.
            lengths: tokens of each completion, as many as rewards; for the account of wasted tokens.
            rollouts: completions that are reported of each prompt, (n,), where some were lost and rewards are flat.

        Raises:
            RewardError: NaN, out of range (the message names the prompt), the wrong number, or prompts that are not in
                flight. Nothing has been changed then.
        """
        self._require_owner()
        rows, positions, entries, counts, exact = self._located(prompts, rollouts)
        ids = self.pool.ids[rows]
        given = read_rewards(
            rewards,
            counts,
            ids,
            correct=correct,
            lengths=lengths,
            threshold=self.success_threshold,
            exact=exact,
        )
        trials, successes = given.trials, given.successes
        late, ages = entries["lost"], self._steps - entries["step"]
        groups = Groups(rows, ids, given.rewards, successes, trials, entries["step"], self._steps, given.lengths)
        passed, informative = self.gates.admit(groups), groups.informative
        # Where prompts stay in flight across updates, the trainer judges what is too old; elsewhere the step was refilled.
        admitted = passed if self._manual else passed & ~late
        aged = ages if ages.any() else None
        self.selector.observe(rows, successes, trials, age=aged)
        if self._monitor is not None and len(rows):
            self._monitor.observe(rows, successes, trials, age=aged)
        self._unaged = self._unaged or len(rows) > 0
        self._flight.remove(positions)
        self._step.observed(rows, admitted)
        self._totals.add(
            groups,
            self.pool.category_index(rows),
            informative=informative,
            late=late,
            ages=ages,
            current=self._step.counts,
        )
        accepted = passed if self.gates.parts else ~groups.alike
        self._predictions.add(rows, entries["predicted"], successes, trials, entries["random"], accepted)
        self._notify("observed", self._steps, rows, successes, trials)
        exhausted = self._settle()
        step = self._step
        return Feedback(admitted, successes, trials, informative, late, step.shortfall, step.surplus, exhausted)

    @_locked
    def forget(self, prompts: Batch | npt.ArrayLike | None = None) -> int:
        """Give up prompts whose results will not come (all in flight if None); they may be selected again.

        A result that comes later is still evidence. Returns the step's shortfall: prompts to select in their place.

        Args:
            prompts: a batch or a part of one; or ids, or rows where the pool's ids are text.
        """
        self._require_owner()
        positions = None if prompts is None else self._located(prompts, None)[1]
        older = self._flight.stale(self._steps - 1)
        rows = self._flight.lose(positions)
        self.selector.forget(rows)
        # A refill takes other prompts: those whose verifier is down would come back for ever.
        fresh = rows[~np.isin(rows, older)]
        self._step.observed(fresh, np.zeros(len(fresh), bool))
        self._totals.forgotten += len(rows)
        self._settle()
        return self._step.shortfall

    @_locked
    def advance(self, steps: int = 1) -> None:
        """The policy was updated `steps` times: beliefs age, and the next `select` belongs to the new step.

        For trainers that keep prompts in flight across updates. From the first call on, `select` no longer begins steps.
        """
        steps = whole_number("steps", steps, 0, ConfigError, below=2**31 - self._steps)
        self._require_owner()
        self._manual = True
        if steps:
            self._unaged = True
            self._tick(steps)
            self._step = self._step.following(0)

    @_locked
    def expects(self, prompts: npt.ArrayLike) -> Flags:
        """Whether a result of each prompt can be observed: it is in flight, or was forgotten, (n,). Ids or rows."""
        return self._flight.find(self._rows(prompts)) >= 0

    @_locked
    def stale(self, steps: int) -> Batch:
        """The prompts in flight that were selected at least `steps` policy steps ago, as a batch, to be given up or observed."""
        return self.batch(rows=self._flight.stale(self._steps - whole_number("steps", steps, 0, ConfigError)))

    @_locked
    def batch(self, ids: npt.ArrayLike | None = None, *, rows: npt.ArrayLike | None = None) -> Batch:
        """The prompts in flight (all, or those of `ids` or `rows`) as a batch, for results that come after a restart."""
        if rows is None:
            rows = self._flight.rows if ids is None else self._rows(ids)
        chosen = self.pool.check_rows(rows)
        positions = self._flight.find(chosen)
        self._require_found(chosen, positions, "in flight")
        entry = self._flight.entries(positions)
        serials = np.unique(entry["serial"])
        serial = int(serials[0]) if len(serials) == 1 else -1
        return Batch(chosen, self.pool.ids[chosen], entry["rollouts"], entry["predicted"], entry["random"], serial)

    @_locked
    def begin_again(self, prompts: Batch | npt.ArrayLike) -> None:
        """Roll out prompts in flight anew, as if they were selected now: their rollouts died with a process.

        Their number of rollouts is that of today, which may differ from that of a state that was loaded.

        Args:
            prompts: a batch or a part of one; or ids, or rows where the pool's ids are text.

        Raises:
            RewardError: prompts that are not in flight.

        Example:
            >>> from edgewise import Curriculum, PromptPool
            >>> first = Curriculum(PromptPool(range(5)), rollouts=4)
            >>> batch = first.select(2)
            >>> again = Curriculum(PromptPool(range(5)), rollouts=8)
            >>> _ = again.load_state_dict(first.state_dict())
            >>> again.begin_again(again.batch())
            >>> again.batch().rollouts.tolist()
            [8, 8]
        """
        self._require_owner()
        _, positions, entries, _, _ = self._located(prompts, None)
        counts = self.allocation.rollouts(entries["predicted"])
        self._flight.renew(positions, counts, self._steps)

    @_locked
    def predict(self, rows: npt.ArrayLike | None = None) -> Floats:
        """Predicted success rate now, (n,) in [0, 1]; of the whole pool if `rows` is None.

        A selector without predictions is accompanied by a Beta belief that only watches (`prediction_source`).
        """
        if self._monitor is None:
            return self.selector.predict(rows)
        if rows is None:
            return self._monitor.mean(np.arange(len(self.pool), dtype=np.int64))
        return self._monitor.mean(self.pool.check_rows(rows, distinct=False))

    @property
    def prediction_source(self) -> str:
        """ "selector", or "monitor" where the rule predicts nothing and a Beta belief watches beside it."""
        return "selector" if self._monitor is None else "monitor"

    @_locked
    def oversampling(self, n: int, *, confidence: float = 0.9) -> Oversampling:
        """Prompts to draw so that n groups are expected to be admitted by the gates (without gates: whose rollouts differ).

        It rests on the outcomes of recent groups, and on the predictions for them and for the prompts in flight.

        Args:
            n: groups that are needed, >= 1.
            confidence: probability that the interval `low` to `high` holds the number of prompts that will be needed.

        Raises:
            ConfigError: a number of groups or a confidence that does not fit.

        Example:
            >>> import numpy as np
            >>> from edgewise import Curriculum, PromptPool
            >>> curriculum = Curriculum(PromptPool(range(1000)), "uniform", rollouts=2)
            >>> feedback = curriculum.observe(curriculum.select(200), np.tile([[1.0, 0.0], [0.0, 0.0]], (100, 1)))
            >>> needed = curriculum.oversampling(32)
            >>> round(needed.factor, 1), needed.low < needed.prompts < needed.high
            (2.0, True)
        """
        held, coming = self._predictions.columns(), self._flight.predicted
        return oversampling(n, held, coming, self.allocation.mean, confidence)

    @_locked
    def drop_surplus(self) -> None:
        """Discard what the last step admitted beyond its need: the trainer does not keep it."""
        self._step.surplus = 0

    @_locked
    def grow(
        self,
        ids: Any,
        categories: Any = None,
        features: npt.ArrayLike | None = None,
        priors: npt.ArrayLike | None = None,
    ) -> Rows:
        """Add prompts to the pool during a run; returns their rows.

        Their `priors` count as known when the run began: what has faded of such evidence by now (`edge`, `dps`) has faded of theirs.
        """
        self._require_owner()
        rows = self.pool.extend(ids, categories, features, priors)
        self._follow()
        return rows

    def _follow(self) -> None:
        """Make room for what the pool has been extended by."""
        self.selector.grow()
        if self._monitor is not None:
            self._monitor.grow()
        if self.quota is not None:
            self.quota.refresh()
        self._totals.match(self.pool.match_categories(self._categories))
        self._size, self._categories = len(self.pool), self.pool.category_names

    @_locked
    def metrics(self) -> dict[str, float]:
        """Plain numbers for a trainer's logger; what cannot be computed yet is left out.

        `effective_ratio`, `success_rate` and `staleness` (policy steps between selection and observation, where prompts stay
        in flight across updates) are of the present policy step, `mean_...` of the whole run. `spearman` and
        `calibration_error` compare predictions with outcomes over the last 2,048 groups, `random_...` over the random
        share. `oversampling_factor` is the number of prompts to draw for each admitted group, see `oversampling`. `wasted_rollouts` (and `wasted_tokens`, where lengths were given) counts groups that taught nothing.
        """
        values: dict[str, float] = {
            "steps": self._steps,
            "rounds": self._step.rounds,
            "in_flight": len(self._flight),
            **self._totals.metrics(),
        }
        counts = self._step.counts
        if counts["groups"]:
            values["effective_ratio"] = counts["informative"] / counts["groups"]
            values["success_rate"] = counts["successes"] / counts["rollouts"]
        if counts["groups"] and self._manual:
            values["staleness"] = counts["age"] / counts["groups"]
        values.update(self._predictions.metrics())
        if len(self._predictions):
            rate = acceptance(self._predictions.columns(), self._flight.predicted, self.allocation.mean)[0]
            values["oversampling_factor"] = 1 / rate
        values.update(self.gates.metrics())
        values.update({f"selector_{name}": value for name, value in self.selector.metrics().items()})
        return {name: float(value) for name, value in values.items() if np.isfinite(value)}

    @_locked
    def advice(self) -> list[Advice]:
        """Alarms and hints in words, each with what to do; hints only where there is no alarm. Empty if all is well."""
        return advise(self.pool, self._predictions.columns(), self._totals, step=self._step, manual=self._manual)

    @_locked
    def state_dict(self) -> dict[str, Any]:
        """Everything that was learned and all that is in flight, with the ids of the prompts it belongs to.

        A dict of dicts, lists, numbers, text and numpy arrays. `torch.load` refuses the arrays with its `weights_only=True`;
        `save` writes a file of its own.
        """
        return {
            "ids": self.pool.ids,
            "categories": self.pool.category_names,
            "method": self.method,
            "settings": self._settings(),
            "selector": self.selector.state_dict(),
            "monitor": None if self._monitor is None else self._monitor.state_dict(),
            "gates": self.gates.state_dict(),
            "quota": None if self.quota is None else self.quota.state_dict(),
            "rng": generator_state(self.rng),
            "clock": {"steps": self._steps, "manual": self._manual, "unaged": self._unaged},
            "step": self._step.state_dict(),
            "totals": self._totals.state_dict(),
            "flight": self._flight.state_dict(),
            "predictions": self._predictions.state_dict(),
        }

    def _settings(self) -> dict[str, float]:
        """What the counts of successes rest on."""
        return {"success_threshold": self.success_threshold, "rollouts": float(self.allocation.mean)}

    @_locked
    def load_state_dict(self, state: dict[str, Any]) -> dict[str, int]:
        """Restore `state_dict` into a curriculum made the same way; ids decide, so the dataset may differ.

        Returns:
            How many prompts were kept, added and removed; logged where the dataset has changed.

        Raises:
            CheckpointError: another selector or other gates, or a damaged state. Nothing has been changed then.
            PoolError: none of the prompts is in the pool.
        """
        try:
            require_same_method(state, self.method, self.gates.names)
            report_other_settings(state.get("settings", {}), self._settings())
            remap, changes = remapped(self.pool, np.asarray(state["ids"]))
            step, totals = PolicyStep.restored(state["step"], remap), Totals.restored(state["totals"])
            totals.match(self.pool.match_categories(list(state["categories"])))
            flight, predictions = FlightTable(), PredictionMonitor()
            flight.load_state_dict(state["flight"], remap)
            predictions.load_state_dict(state["predictions"], remap)
            rng = np.random.default_rng()
            restore_generator(rng, state["rng"])
            clock = state["clock"]
            steps, manual, unaged = int(clock["steps"]), bool(clock["manual"]), bool(clock["unaged"])
            self._load_parts(state, remap)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise CheckpointError(f"not the state of a curriculum: {error!r}") from error
        self.rng, self._step, self._totals, self._flight, self._predictions = rng, step, totals, flight, predictions
        self._steps, self._manual, self._unaged = steps, manual, unaged
        self._serial = _fresh_serial()
        self._notify("restored", self._steps)
        return changes

    def _load_parts(self, state: dict[str, Any], remap: Rows | None) -> None:
        """Load everything that has a state of its own; on an error all of them are as before."""
        parts: list[tuple[str, Any]] = [("selector", self.selector), ("gates", self.gates)]
        parts += [("monitor", self._monitor)] * (self._monitor is not None) + [("quota", self.quota)] * (
            self.quota is not None and state["quota"] is not None
        )
        before = [part.state_dict() for _, part in parts]
        try:
            for name, part in parts:
                part.load_state_dict(state[name], *([remap] if name in ("selector", "monitor") else []))
        except Exception:
            for (_, part), old in zip(parts, before, strict=True):
                part.load_state_dict(old)
            raise

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save everything, the prompt ids included, to one npz: atomic, checksummed, versioned.

        Example:
            >>> import os, tempfile
            >>> from edgewise import Curriculum, PromptPool
            >>> path = os.path.join(tempfile.mkdtemp(), "curriculum.npz")
            >>> Curriculum(PromptPool(["a", "b", "c"])).save(path)
            >>> Curriculum(PromptPool(["c", "b", "a", "new"])).load(path)
            {'kept': 3, 'added': 1, 'removed': 0}
        """
        save_state(path, "curriculum", self.state_dict())

    def load(self, path: str | os.PathLike[str]) -> dict[str, int]:
        """Restore what `save` wrote, into a curriculum made by the same code; see `load_state_dict`."""
        return self.load_state_dict(load_state(path, "curriculum"))

    def _tick(self, steps: int) -> None:
        """Move the clock; beliefs age by as many steps if anything was observed since it last moved."""
        self._explain()
        self._steps += steps
        if self._unaged:
            self._unaged = False
            self.selector.advance(steps)
            if self._monitor is not None:
                self._monitor.advance(steps)

    def _explain(self) -> None:
        """Log why the step that ends had no gradient: the first time, the second, the fourth, the eighth and so on."""
        why = silent_step(self._step.counts)
        if why is not None:
            self._silent += 1
            if self._silent & (self._silent - 1) == 0:
                again = f" ({self._silent} steps so far)" if self._silent > 1 else ""
                log.warning("policy step %d: %s%s", self._steps, why, again)

    def _settle(self) -> bool:
        """Decide whether the step is short of groups; True if it stays so, its rounds being used up."""
        # A filter of a trainer that keeps prompts in flight: the trainer itself draws on until it has enough.
        if self._manual and self.gates.max_rounds == 1:
            return False
        if self._step.settle(self.gates, self._flight.waiting(self._steps)):
            self._totals.exhausted += 1
            log.warning(
                "policy step %d stays at %d of %d groups after %d rounds",
                self._steps,
                self._step.admitted,
                self._step.wanted,
                self._step.rounds,
            )
        return self._step.closed

    def _rows(self, prompts: npt.ArrayLike) -> Rows:
        """Rows of ids; integers are rows where the pool's ids are text."""
        require_sequence("prompts", prompts, RewardError)
        given = as_array(prompts)
        if given.ndim == 0:
            raise RewardError(f"prompts must be a batch, ids or rows, got {prompts!r}")
        if given.dtype.kind in "iu" and self.pool.ids.dtype.kind != "i":
            return self.pool.check_rows(given)
        return self.pool.check_rows(self.pool.rows(prompts))

    def _located(
        self, prompts: Batch | npt.ArrayLike, rollouts: npt.ArrayLike | None
    ) -> tuple[Rows, Counts, np.ndarray, Counts, bool]:
        """Rows, positions and entries in the flight table, expected rollouts, and whether exactly as many have to come."""
        if isinstance(prompts, Batch):
            rows, counts = self.pool.check_rows(prompts.rows), np.asarray(prompts.rollouts, np.int64)
            positions = self._flight.find(rows, prompts.serial if prompts.serial >= 0 else None)
        else:
            rows = self._rows(prompts)
            positions = self._flight.find(rows)
            counts = None
        self._require_found(rows, positions, "in flight")
        entries = self._flight.entries(positions)
        handed = entries["rollouts"]
        exact = rollouts is not None or counts is not None
        if rollouts is not None:
            counts = whole_numbers("rollouts", rollouts, len(rows), RewardError)
        if counts is None:
            counts = handed
        bad = ((counts < 1) | (counts > handed)).nonzero()[0]
        if bad.size:
            raise RewardError(
                f"prompt {self.pool.ids[rows[bad[0]]].item()!r} reports {counts[bad[0]]} rollouts,"
                f" {handed[bad[0]]} were selected"
            )
        return rows, positions, entries, counts, exact

    def _require_found(self, rows: Rows, positions: Counts, what: str) -> None:
        if (positions < 0).any():
            unknown = self.pool.ids[rows[positions < 0][0]]
            raise RewardError(
                f"prompt {unknown.item()!r} is not {what}: it was not selected, or its result was observed already"
            )

    def _require_owner(self) -> None:
        # Workers that are spawned, not forked, unpickle a copy, which is theirs by its process.
        loader = sys.modules.get("torch.utils.data._utils.worker")
        if os.getpid() != self._owner or (loader is not None and loader.get_worker_info() is not None):
            raise ConfigError(
                "this is a copy of a curriculum in another process (a DataLoader worker or a fork), whose selections would"
                " diverge from the original's: select and observe in one process (num_workers=0)"
            )

    def _notify(self, event: str, *args: Any) -> None:
        """Call the listeners; one that fails is an extra and does not end the run."""
        for listener in self.listeners:
            try:
                getattr(listener, event)(*args)
            except Exception as error:
                log.warning("%s failed and is left out of this step: %r", type(listener).__name__, error)

    def _whole(self, n: int) -> int:
        return whole_number("the number of prompts to select", n, 0, PoolError)


def _unavailable(n: int, size: int, taken: int, closed: int) -> str:
    size, busy = size - closed, taken - closed
    quota = " in categories with a share" if closed else ""
    if n > size:
        return f"asked for {n} prompts, but the pool has {size}{quota}: ask for {size} at most"
    return (
        f"asked for {n} prompts, but {busy} of the {size}{quota} are in flight: observe them, or forget those whose results will"
        " never come"
    )


def _fresh_serial() -> int:
    """A start for serials that no earlier life of the same run has used."""
    return int.from_bytes(os.urandom(5), "big") << 20
