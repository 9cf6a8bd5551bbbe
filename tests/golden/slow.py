"""Slow implementations of published rules, straight from their equations: no numpy, no vectors, nothing of Edgewise.

    python -m tests.golden.slow      writes states.json, which the fast implementations are compared with

Each rule gets the same observations: of each policy step the prompts, their successes and their rollouts.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

FILE = Path(__file__).with_name("states.json")
CATEGORIES = ["easy", "easy", "middle", "middle", "hard", "hard", "hard"]
RATES = [0.95, 0.8, 0.6, 0.45, 0.3, 0.1, 0.0]
ROLLOUTS = 8
DIFFICULTY = [5.0, 20.0, 40.0, 55.0, 70.0, 90.0, 100.0]

Step = list[tuple[int, int]]


def observations(steps: int = 20) -> list[Step]:
    """Prompts and successes by step, from a generator in whole numbers that every platform computes alike."""
    state, result = 12345, []

    def draw() -> float:
        nonlocal state
        state = (1103515245 * state + 12345) % 2**31
        return state / 2**31

    for _ in range(steps):
        rows = [row for row in range(len(RATES)) if draw() < 0.5] or [0]
        result.append([(row, sum(draw() < RATES[row] for _ in range(ROLLOUTS))) for row in rows])
    return result


def mopps(steps: list[Step], decay: float = 0.5) -> list[float]:
    """Posterior means (arXiv 2507.04632): alpha <- decay alpha + (1 - decay) alpha0 + successes."""
    alpha, beta = [1.0] * len(RATES), [1.0] * len(RATES)
    for step in steps:
        for row, successes in step:
            alpha[row] = decay * alpha[row] + (1 - decay) + successes
            beta[row] = decay * beta[row] + (1 - decay) + ROLLOUTS - successes
    return [a / (a + b) for a, b in zip(alpha, beta, strict=True)]


def dps(steps: list[Step], retention: float = 0.5) -> list[float]:
    """Predicted success rates of the hidden Markov model (arXiv 2603.10887): every prompt is moved in every step."""
    result = []
    for prompt in range(len(RATES)):
        counts = [[1.0] * 3 for _ in range(3)]  # [to][from]
        before, predicted = [1 / 3] * 3, [1 / 3] * 3
        for step in steps:
            successes = dict(step).get(prompt)
            moves = _columns(counts)
            counts = [[retention * c + (1 - retention) for c in row] for row in counts]
            posterior = predicted
            if successes is not None:
                shown = 0 if successes == 0 else 2 if successes == ROLLOUTS else 1
                posterior = [float(state == shown) for state in range(3)]
                total = sum(moves[shown][j] * before[j] for j in range(3))
                for i in range(3):
                    counts[shown][i] += moves[shown][i] * before[i] / total
            moves = _columns(counts)
            predicted = [sum(moves[to][old] * posterior[old] for old in range(3)) for to in range(3)]
            before = posterior
        result.append(predicted[2] + predicted[1] / 2)
    return result


def _columns(counts: list[list[float]]) -> list[list[float]]:
    sums = [sum(counts[to][old] for to in range(3)) for old in range(3)]
    return [[counts[to][old] / sums[old] for old in range(3)] for to in range(3)]


def sec(steps: list[Step], rate: float = 0.5, temperature: float = 0.2) -> list[float]:
    """Probability of each category in the order of names (arXiv 2505.14970): TD(0) on the mean absolute advantage."""
    names = sorted(set(CATEGORIES))
    value = dict.fromkeys(names, 0.0)
    for step in steps:
        for name in names:
            advantages: list[float] = []
            for row, successes in step:
                if CATEGORIES[row] != name:
                    continue
                rewards = [1.0] * successes + [0.0] * (ROLLOUTS - successes)
                mean = sum(rewards) / ROLLOUTS
                deviation = math.sqrt(sum((r - mean) ** 2 for r in rewards) / ROLLOUTS)
                advantages += [abs(r - mean) / deviation if deviation else 0.0 for r in rewards]
            if advantages:
                value[name] = (1 - rate) * value[name] + rate * sum(advantages) / len(advantages)
    weights = [math.exp(value[name] / temperature) for name in names]
    return [weight / sum(weights) for weight in weights]


def adarft(steps: list[Step], sensitivity: float = 2.0, size: float = 50.0, target: float = 0.5) -> list[float]:
    """Target difficulty after each step (arXiv 2504.05520): T <- clip(T + eta tanh(alpha (mean reward - beta)))."""
    level, levels = 0.0, []
    for step in steps:
        mean = sum(successes for _, successes in step) / (ROLLOUTS * len(step))
        level = min(max(level + size * math.tanh(sensitivity * (mean - target)), 0.0), 100.0)
        levels.append(level)
    return levels


def main() -> None:
    steps = observations()
    rules = {"mopps": mopps(steps), "dps": dps(steps), "sec": sec(steps), "adarft": adarft(steps)}
    FILE.write_text(json.dumps({"observations": steps, **rules}, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
