"""Edge, our default: prompts drawn by their expected chance to be informative, from a belief that prompts share (ours)."""

from __future__ import annotations

import numpy as np

from edgewise.acquisition import Acquisition, PInformative, p_informative
from edgewise.arrays import Floats, Rows
from edgewise.beliefs.ability import AbilityBelief
from edgewise.beliefs.features import FeatureBelief
from edgewise.beliefs.logistic import LogisticBelief, StepGroups
from edgewise.calibration import OnlineCalibration, PlattCalibration
from edgewise.distributions import Distribution
from edgewise.errors import ConfigError
from edgewise.outcomes import Outcome
from edgewise.parts import Part
from edgewise.pool import PromptPool
from edgewise.sampling import Proportional
from edgewise.selectors.bandit import BanditSelector
from edgewise.selectors.base import selectors
from edgewise.selectors.rest import Rest

_UNSEEN = int(Outcome.UNSEEN)
_RESTING = 1e-6
"""Weight of a resting prompt's value: it is drawn only where no other is left."""
_AT_FIRST = -1.0
"""Log-odds by which untried prompts are predicted below the belief's even chance before any outcome: most prompts that are
worth training on fail at first. Predictions start there; values, and so what is selected, have a calibration of their own."""


class CalibratedInformative(Part, Acquisition):
    """E[P(informative) (1 - p)^headroom] under a belief, calibrated by last outcome, more for untried prompts, next to nothing while they rest.

    Args:
        pool: the prompts.
        belief: logistic belief over the pool.
        rollouts: k, rollouts of a prompt.
        exploration: standard deviations by which untried prompts are valued above their expectation.
        headroom: exponent of 1 - success rate, what a prompt can still gain.
        rest: share of the informative prompts that are rolled out before a prompt comes again, see `Rest`.
    """

    positive = True
    highest = 1.0

    def __init__(
        self,
        pool: PromptPool,
        belief: LogisticBelief,
        rollouts: int,
        exploration: float,
        headroom: float = 0.0,
        rest: float = 0.0,
    ):
        super().__init__(pool)
        if not 0 <= exploration < np.inf:
            raise ConfigError(f"exploration must be finite and >= 0, got {exploration}")
        if not 0 <= headroom < np.inf:
            raise ConfigError(f"headroom must be finite and >= 0, got {headroom}")
        self.plain, self.belief, self.exploration = PInformative(rollouts), belief, float(exploration)
        self.rollouts = self.plain.rollouts
        self.headroom = float(headroom)
        # Selected prompts are the most optimistic of their class (winner's curse), so the correction may only lower.
        self.calibration = self.add("calibration", OnlineCalibration(pool, len(Outcome), highest=0.0))
        self.rest = self.add("rest", Rest(pool, belief.seen, share=rest))

    def value(self, rates: Floats) -> Floats:
        values = self.plain.value(rates)
        return values if not self.headroom else values * (1.0 - rates) ** self.headroom

    def of(self, distribution: Distribution, rows: Rows | None = None) -> Floats:
        outcome = np.zeros(len(distribution), np.int64) if rows is None else self.belief.last_outcome(rows)
        unseen = outcome == _UNSEEN
        if unseen.any():
            expected, deviation = distribution.moments(self.value)
            values = self.calibration.apply(expected, outcome) + self.exploration * deviation * unseen
        else:
            values = self.calibration.apply(distribution.expect(self.value), outcome)
        if rows is not None:
            values = np.where(self.rest.resting(rows), _RESTING * values, values)
        return np.minimum(values, 1.0)

    def learn(self, groups: StepGroups) -> None:
        """Take in the groups of the step that ends."""
        # What is expected of a single rollout is p (1 - p), of which its outcome shows nothing.
        several = (groups.trials > 1).nonzero()[0]
        before, successes, trials = groups.before[several], groups.successes[several], groups.trials[several]
        expected = before.expect(p_informative, trials)
        informative = (successes > 0) & (successes < trials)
        self.calibration.learn(expected, groups.last_outcome[several], informative.astype(np.float64))
        self.rest.learn(len(groups.rows))

    def advance(self, steps: int = 1) -> None:
        if self.rest.due(steps):
            rows = self.rest.sample()
            expected = self.belief.distribution(rows).expect(self.plain.value)
            self.rest.expect(self.calibration.apply(expected, self.belief.last_outcome(rows)))
        super().advance(steps)


@selectors.register("edge")
class EdgeSelector(BanditSelector):
    """Draws prompts with probability proportional to E[P(informative) (1 - p)^headroom]^sharpness, from an ability belief.

    Dynamic sampling trains on prompts in proportion to their P(informative) = 1 - p^k - (1-p)^k, and pays for it with the
    rollouts it throws away. Drawing by the predicted P(informative) trains on nearly the same mixture without them. Taking
    the B best instead narrows training to one difficulty, and what lies above and below it is forgotten. Of two prompts
    that are as likely to be informative, the harder one has more to gain.

    The belief: each category's ability drifts with the policy, at a speed that is learned too, and is learned from all its prompts, each prompt keeps its
    own difficulty, so one observation moves every related prompt. Where categories are uninformative, a prompt is predicted
    from its own rollouts. Features have drifting weights of their own, beside the categories' abilities where there are both.

    No Gaussian belief fits a pool in which some prompts are unsolvable. So predictions and values are calibrated by past
    outcomes, separately for prompts not seen yet and for those whose last group was all wrong, mixed or all right.

    Args:
        pool: the prompts; categories or features sharpen the belief, none are needed.
        rollouts: k, rollouts of a prompt.
        sharpness: 0 draws uniformly; the higher, the closer to taking the best.
        exploration: standard deviations by which untried prompts are valued above their expectation, >= 0.
        drift: how far the policy's ability moves in a step, in logits.
        headroom: weight of what a prompt can still gain: values are P(informative) times (1 - success rate)^headroom, >= 0.
        adaptive: whether the speed of drift is learned from how well outcomes are predicted; `drift` is then where it starts.
        retention: share of the evidence about a prompt's difficulty that survives a policy step.
        candidate_factor: draw from a uniform sample of this many prompts for each one selected; None: from the whole pool.
            With features, a selection predicts every prompt it draws from: of a large pool, a sample of 16 is enough.
        retest: share of every selection for prompts whose last group was all wrong or all right, those of the category
            observed longest ago first: what is wrongly believed hopeless or mastered is found out.
        category_share: of every selection that one category may take, three times an even share where categories are few; 1: no
            limit. The category with the most informative groups may be the one that is guessed.
        rest: share of the prompts expected to be informative that are rolled out before a prompt comes again that came eight
            times, in [0, 1]; after fewer visits less, see `Rest`. Without it, long runs may become the repetition of a few
            prompts that are learned by heart.
        seed: seed of the draws.

    Example:
        >>> import edgewise as ew
        >>> selector = EdgeSelector(ew.PromptPool(range(50), ["easy", "hard"] * 25), rollouts=8)
        >>> rows = selector.select(4)
        >>> selector.observe(rows, [8, 0, 4, 5], 8)
        >>> selector.predict(rows).shape
        (4,)
    """

    belief: LogisticBelief
    acquisition: CalibratedInformative
    draw: Proportional

    def __init__(
        self,
        pool: PromptPool,
        *,
        rollouts: int = 8,
        sharpness: float = 4.0,
        exploration: float = 0.5,
        drift: float = 0.1,
        retention: float = 0.998,
        adaptive: bool = True,
        headroom: float = 0.25,
        candidate_factor: float | None = None,
        retest: float = 0.02,
        category_share: float = 0.25,
        rest: float = 0.5,
        seed: int = 0,
    ):
        kind = AbilityBelief if pool.features is None else FeatureBelief
        belief: LogisticBelief = kind(pool, drift=drift, retention=retention, adaptive=adaptive)
        acquisition = CalibratedInformative(pool, belief, rollouts, exploration, headroom, rest)
        super().__init__(
            pool,
            belief,
            acquisition,
            Proportional(pool, sharpness=sharpness),
            candidate_factor=candidate_factor,
            retest=retest,
            category_share=category_share,
            seed=seed,
        )
        start = np.zeros(len(Outcome))
        if pool.priors is None:
            start[_UNSEEN] = _AT_FIRST
        self.calibration = self.add("calibration", PlattCalibration(pool, len(Outcome), start))

    def rates(self, rows: Rows) -> Floats:
        return self.calibration.apply(self.belief.mean(rows), self.belief.last_outcome(rows))

    def advance(self, steps: int = 1) -> None:
        if steps:
            groups = self.belief.current_groups()
            self.calibration.learn(groups.before.mean(), groups.last_outcome, groups.successes / groups.trials)
            self.acquisition.learn(groups)
        super().advance(steps)
