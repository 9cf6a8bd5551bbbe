"""Program of a user: typed, over the core alone. `tools.dist` runs it, and checks its types, against an installed wheel."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

import edgewise as ew


class Fewest(ew.Selector):
    """The prompts with the fewest rollouts so far."""

    by_row = {"seen": 0.0}  # noqa: RUF012 (as users write it)

    def __init__(self, pool: ew.PromptPool, *, seed: int = 0) -> None:
        super().__init__(pool, seed=seed)
        self.seen: npt.NDArray[np.float64] = np.zeros(len(pool))

    def choose(self, n: int, candidates: ew.selectors.Candidates) -> npt.NDArray[np.int64]:
        rows = candidates.rows
        return rows[np.argsort(self.seen[rows])[:n]]

    def learn(
        self, rows: npt.NDArray[np.int64], successes: npt.NDArray[np.int64], trials: npt.NDArray[np.int64]
    ) -> None:
        self.seen[rows] += trials


def train(curriculum: ew.Curriculum, steps: int, seed: int) -> int:
    """Rewards out of thin air; returns the number of informative groups."""
    rng = np.random.default_rng(seed)
    informative = 0
    for _ in range(steps):
        for batch in curriculum.rounds(16):
            rates: npt.NDArray[np.float64] = (batch.rows % 10) / 9
            rewards = rng.random((len(batch), 8)) < rates[:, None]
            feedback: ew.Feedback = curriculum.observe(batch, rewards)
            informative += int(feedback.informative.sum())
    return informative


def main() -> None:
    ids = [f"prompt {i}" for i in range(500)]
    labels = [f"level {i % 10}" for i in range(500)]

    def make(method: str) -> ew.Curriculum:
        return ew.Curriculum(ew.PromptPool(ids, labels), method, rollouts=8, seed=1)

    for method in ("edge", "edge+ds", "mopps", "dps", "uniform", "sec", "greso"):
        curriculum = make(method)
        informative = train(curriculum, 12, 0)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "curriculum.npz"
            curriculum.save(path)
            other = make(method)
            changes: dict[str, int] = other.load(path)
        first: list[str] = curriculum.select(16).ids.tolist()
        if first != other.select(16).ids.tolist() or changes["kept"] != 500:
            sys.exit(f"{method}: a restored curriculum selects other prompts")
        share: float = curriculum.metrics()["mean_effective_ratio"]
        predicted: npt.NDArray[np.float64] = curriculum.predict()
        if not 0 < share <= 1 or not np.isfinite(predicted).all() or informative == 0:
            sys.exit(f"{method}: an effective ratio of {share}")
    pool = ew.PromptPool(ids)
    own = ew.Curriculum(pool, Fewest(pool), rollouts=8)
    train(own, 3, 0)
    try:
        own.select(501)
    except ew.errors.PoolError as error:
        print(f"refused as it should be: {error}")
    estimate: float = float(np.mean(ew.pass_at_k([2, 0], [8, 8], 4)))
    print(f"numpy {np.__version__}, edgewise {ew.__version__}, pass@4 {estimate:.2f}: works")


if __name__ == "__main__":
    main()
